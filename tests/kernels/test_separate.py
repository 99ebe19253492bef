"""Kernels that are compiled once and called by address: from each other, from Python, and after the cache was lost."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

from simlr.kernels import jit, separate


class Pair(NamedTuple):
    """Arrays as kernels are given them."""

    x: np.ndarray
    y: np.ndarray


@jit.inline
def _scaled(pair, k, factor):
    return factor * pair.x[k]


@jit.cell
def _total(pair, factor):
    total = 0.0
    for k in range(pair.x.size):
        total += _scaled(pair, k, factor)
    return total


@jit.worker
def _room(size):
    return np.empty((size, size, size))


@jit.worker
def _totals(pair, count):
    out = np.empty(count)
    for k in range(count):
        out[k] = _total(pair, k)
    return out, _total(pair, factor=0.5)


@jit.worker
def _room_for(size):
    return _room(size).size


PAIR = Pair(np.arange(4.0), np.zeros(2))


def test_kernels_call_each_other_and_are_called_from_python():
    out, half = _totals(PAIR, 3)
    assert out.tolist() == [0.0, 6.0, 12.0]
    assert half == 3.0
    # One compiled function for each kind of factor, whole number and real.
    assert {signature[1] for signature in _total.inner.overloads} == {numba.int64, numba.float64}
    assert _total(PAIR, 2.0) == 12.0


def test_the_code_of_a_callee_stands_nowhere_but_in_its_own():
    """Compiled here: cached code shows no IR."""
    pair = numba.typeof(PAIR)
    caller = numba.njit(**jit.OPTIONS)(_totals.py_func)
    caller.compile((pair, numba.int64))
    text = caller.inspect_llvm((pair, numba.int64))
    defined = re.findall(r'^define .*?@"?([\w.$]+)', text, re.M)
    assert not any("_total5" in name or name.startswith("simlr.") for name in defined)
    assert re.search(r"^declare .*@simlr\._total\.[0-9a-f]{16}\(", text, re.M)
    # What is to be inlined is.
    assert "_scaled" not in "".join(re.findall(r"^ .*call .*$", text, re.M))


def test_an_array_that_does_not_fit_is_a_memory_error_through_every_caller():
    assert _room_for(2) == 8
    with pytest.raises(MemoryError):
        _room_for(1 << 14)


def test_arguments_that_a_kernel_does_not_have_are_refused_where_the_caller_is_compiled():
    @numba.njit
    def wrong(x):
        return _total(x)

    with pytest.raises(numba.TypingError):
        wrong(PAIR)


LAB = """
import numba
from simlr.kernels import jit

@jit.cell
def low(x):
    return x + 1.0

@jit.inline
def between(x):
    return 2.0 * low(x)

@jit.cell
def middle(x):
    return between(x)

@jit.sweep
def high(out):
    for i in numba.prange(out.size):
        out[i] = middle(float(i))
"""
CALL = """
import numpy as np, chain
out = np.zeros(3)
chain.high(out)
compiled = chain.high, chain.middle.inner, chain.between.inner, chain.low.inner
print(out.tolist(), *(sum(function.stats.cache_hits.values()) for function in compiled))
"""


@pytest.mark.parametrize("lost", ["", "low", "between", "middle", "high"])
def test_what_a_kernel_calls_is_loaded_before_it_or_compiled_again_where_its_code_is_lost(tmp_path, lost):
    (tmp_path / "chain.py").write_text(LAB, encoding="utf-8")
    root = Path(separate.__file__).parents[1]
    paths = os.pathsep.join([str(tmp_path), str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": paths}

    def run():
        return subprocess.run(
            [sys.executable, "-c", CALL], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert run() == "[2.0, 4.0, 6.0] 0 0 0 0"
    kept = set((tmp_path / "cache").rglob("chain.*.nbc"))
    assert len(kept) == 4
    for path in kept:
        if lost and f".{lost}-" in path.name:
            path.unlink()
    # What was loaded, and not asked for: code that is loaded whole holds what was inlined into it.
    expected = {name: int(name != lost) for name in ("high", "middle", "between", "low")}
    if lost != "middle":
        expected["between"] = 0
    assert run() == "[2.0, 4.0, 6.0] " + " ".join(map(str, expected.values()))
    # What was compiled beside loaded code names all that it calls, too, through what was inlined into it.
    assert run() == "[2.0, 4.0, 6.0] 1 1 0 1"
