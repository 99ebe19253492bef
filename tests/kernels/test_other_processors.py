"""Whether the kernels are code for other processors, too: compiled for one that is not here, by LLVM, and read."""

import json
import pickle
import subprocess
import sys

import cross
import pytest
import runs
from llvmlite import binding

import simlr
from simlr.kernels import separate

TRIPLE = "aarch64-unknown-linux-gnu"
# One of each family, with what it inlines.
CHOSEN = [
    ("simlr.kernels.descent.recurrence", "stable_until"),
    ("simlr.kernels.descent.constant_rate", "passage_after"),
    ("simlr.kernels.descent.flow", "crossing_time"),
    ("simlr.kernels.losses", "weigh_rows"),
    ("simlr.kernels.landing", "land"),
    ("simlr.kernels.draws", "fill_normal"),
    ("simlr.kernels.problems.regression", "gram"),
    ("simlr.kernels.stochastic.optimizers", "momentum_lanes"),
    ("simlr.kernels.convex.optimizers", "adam_lanes"),
]
FUSED = {"fmla", "fmls", "fmadd", "fmsub", "fnmadd", "fnmsub", "fmla.2d", "fmls.2d"}
X86 = {"movq", "movl", "vmovapd", "vfmadd213sd", "vfmadd231pd", "leaq", "pushq", "callq", "xorl", "addq"}


@pytest.fixture(scope="module")
def signatures():
    """The argument types with which a run calls these kernels."""
    grid = {
        "problem": {"kind": "gaussian", "dimension": 3, "train_rows": 5},
        "seeds": {"count": 2},
        "stop": {"train_loss": [0.5], "max_steps": 30},
        "record": {"points": 0},
        "schedule": [{"kind": "constant", "learning_rate": 0.1}],
    }
    simlr.run(runs.grid(seeds__count=4))
    for more in ({"noise": [{"kind": "minibatch", "batch_size": 2}]}, {"optimizer": [{"kind": "adam"}]}):
        simlr.run({**grid, **more})
    return {key: next(iter(separate._kernels[key].inner.overloads)) for key in CHOSEN}


@pytest.mark.slow
def test_kernels_compile_for_aarch64(signatures, tmp_path):
    binding.initialize_all_targets()
    try:
        binding.Target.from_triple(TRIPLE)
    except RuntimeError:
        pytest.skip(f"this LLVM has no target {TRIPLE}")
    (tmp_path / "signatures").write_bytes(pickle.dumps(signatures))
    command = [sys.executable, cross.__file__, TRIPLE, tmp_path / "signatures"]
    environment = runs.environment(NUMBA_CACHE_DIR=tmp_path / "cache")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert len(told) == len(CHOSEN)
    for name, found in told.items():
        words = set(found["words"])
        assert not found["strange"] and not words & X86, name
        assert {"ldr", "str"} & words and "ret" in words, name
    fused = {name for name, found in told.items() if FUSED & set(found["words"])}
    assert {name.split(".")[2] for name in fused} >= {"descent", "losses"}, {
        k: sorted(v["words"]) for k, v in told.items()
    }
