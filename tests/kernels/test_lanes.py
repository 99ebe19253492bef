"""The bits are the same whatever the SIMD lanes: two, four or eight numbers wide, and whichever cells share a pool."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from runs import ROOT, environment

import simlr
from simlr.kernels import jit

LEVELS = [0.3, 0.01]
# Of x86-64, the first has SSE2 and multiplies and adds in software, the second AVX2 with FMA.
WIDTHS = {"generic": 2, "haswell": 4}


def cells():
    """Curvature, residual and rates of cells that reach both levels or diverge, at very different steps."""
    rng = np.random.default_rng(8)
    curvature, residual = rng.uniform(0.6, 1.4, (77, 3)), rng.normal(size=(77, 3))
    decaying = np.outer([1.0, 0.3, 0.1], 1.0 + np.cos(np.pi * np.arange(600) / 600))
    return curvature, residual, np.concatenate([decaying, np.full((1, 600), 4.0)])


def descend(curvature, residual, rates):
    """What `simlr.descend` gives; no cell may be left over, or one more kernel would be compiled."""
    found = simlr.descend(curvature, residual, rates, LEVELS)
    assert (found.status != 2).all()
    return found


def digest():
    """SHA-256 of every bit of the answer."""
    return hashlib.sha256(b"".join(array.tobytes() for array in descend(*cells()))).hexdigest()


@pytest.mark.slow
@pytest.mark.skipif("+avx2" not in jit.processor()[1], reason="needs an x86-64 processor with AVX2")
def test_every_width_of_lanes():
    """Compiled for processors with narrower lanes, in processes of their own."""
    code = "import test_lanes; print(test_lanes.digest())"
    folder = os.path.dirname(os.path.abspath(__file__))
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True,
            env=environment(NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="", PYTHONPATH=path),
        )
        for name in WIDTHS
    ]  # fmt: skip
    wanted = digest()
    assert [process.communicate(timeout=300)[0].strip() for process in started] == [wanted] * len(WIDTHS)


@pytest.mark.parametrize("size", [1, 3, 8, 50])
def test_every_company_in_a_pool(size):
    """A few seeds at a time, which fill fewer lanes and leave them earlier."""
    curvature, residual, rates = cells()
    whole = descend(curvature, residual, rates)
    for first in range(0, len(curvature), size):
        own = slice(first, first + size)
        part = descend(curvature[own], residual[own], rates)
        for name in part._fields:
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:, own])
