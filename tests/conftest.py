"""What several tests share: how hypothesis searches, runs and their files, problems given as arrays."""

import contextlib
import itertools
import signal

import numpy as np
import pytest
import runs
from hypothesis import HealthCheck, settings

import simlr

# The same examples in every run; `pytest --hypothesis-profile=search` looks for new ones.
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("simlr", max_examples=25, derandomize=True, **QUIET)
settings.register_profile("search", max_examples=1000, print_blob=True, **QUIET)
settings.load_profile("simlr")

# A shell that starts the tests in the background has Ctrl-C ignored, in every process below: some send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The file of a small finished run; not to be changed."""
    path = tmp_path_factory.mktemp("finished") / "small.h5"
    simlr.run(runs.grid(), out=path)
    return path


@pytest.fixture(scope="session")
def half(tmp_path_factory):
    """The file of a small run of which three blocks of six are done; not to be changed."""
    path = tmp_path_factory.mktemp("half") / "small.h5"
    runs.run_blocks(runs.grid(), path, [0, 1, 4])
    return path


@pytest.fixture
def folder(tmp_path):
    """An empty working directory."""
    with contextlib.chdir(tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def run_grid():
    """run_grid(problem, schedules, levels, **tables) -> the Run, in memory; `threads` and `folder` are taken too."""

    def run(problem, schedules, levels, *, max_steps=20000, threads=None, folder=".", **tables):
        tables = {"record": {"points": 0}, **tables}
        tables |= {"problem": problem, "schedule": schedules}
        tables.setdefault("stop", {"train_loss": levels, "max_steps": max_steps})
        return simlr.run(simlr.GridConfig.from_tables(tables, folder), threads=threads)

    return run


@pytest.fixture(scope="session")
def run_arrays(run_grid, tmp_path_factory):
    """run_arrays(arrays, schedules, levels, **tables) -> the Run on a `quadratic` problem, all its seeds."""
    folder = tmp_path_factory.mktemp("arrays")
    numbers = itertools.count()

    def run(arrays, schedules, levels, **tables):
        name = f"{next(numbers)}.npz"
        np.savez(folder / name, **arrays)
        tables.setdefault("seeds", {"count": 1_000_000})
        return run_grid({"kind": "quadratic", "file": name}, schedules, levels, folder=folder, **tables)

    return run
