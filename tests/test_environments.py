"""The real command line in surroundings that are not as kind as a developer's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import runs

import simlr

GRID = f"{sys.executable} -m simlr.grid small.toml --out run.h5"
PLACES = [
    pytest.param("{grid} --threads 64", marks=pytest.mark.slow),
    "NUMBA_NUM_THREADS=64 {grid} --threads 64",
    *(
        pytest.param(line, marks=pytest.mark.slow)
        for line in (
            "NUMBA_THREADING_LAYER=workqueue {grid}",
            "ulimit -n 10; {grid}",
            "umask 077; {grid} </dev/null",
            "{grid} <&- >&- 2>&-",
            "{grid} | head -1",
        )
    ),
    "taskset -c 0 {grid}",
    "TMPDIR=/nowhere env -u TERM -u HOME {grid}",
]
REFUSALS = {
    "NUMBA_NUM_THREADS=0": "NUMBA_NUM_THREADS must be a whole number of 1 or more, got '0'",
    "NUMBA_NUM_THREADS=many": "NUMBA_NUM_THREADS must be a whole number of 1 or more, got 'many'",
    "NUMBA_THREADING_LAYER=none-such": "Numba cannot be used: The threading layer requested",
    "NUMBA_DISABLE_JIT=1": "NUMBA_DISABLE_JIT is set",
}


@pytest.fixture
def small(folder):
    """A small grid file in a folder whose name is not plain."""
    place = folder / "Gr\u00f6\u00dfe und Ma\u00df"
    place.mkdir()
    (place / "small.toml").write_text(runs.SMALL)
    return place


def shell(line, place):
    """A line of bash, ended."""
    command = ["bash", "-c", line.format(grid=GRID)]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, env=runs.environment(), timeout=240)


@pytest.mark.parametrize("line", PLACES)
def test_a_run_in_odd_surroundings_has_the_same_bits(line, small, finished):
    if "taskset" in line and not shutil.which("taskset"):
        pytest.skip("needs taskset")
    done = shell(line, small)
    assert done.returncode == 0, done.stderr
    told = [one for one in done.stderr.splitlines() if not one.startswith("compiling kernels")]
    assert "Traceback" not in done.stderr and len(told) <= 2
    runs.assert_same_bits(simlr.load(small / "run.h5"), simlr.load(finished))


@pytest.mark.parametrize("setting", REFUSALS)
def test_a_compiler_that_does_not_work_is_one_line_and_touches_nothing(setting, small):
    done = shell(f"{setting} {{grid}}", small)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert REFUSALS[setting] in done.stderr
    assert os.listdir(small) == ["small.toml"]


def test_five_descriptors_are_enough(small, finished):
    """Nothing of HDF5's is open while a run is written; with fewer, Python itself does not start."""
    done = shell("ulimit -n 5; {grid} --quiet", small)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    runs.assert_same_bits(simlr.load(small / "run.h5"), simlr.load(finished))


def test_a_report_without_a_place_for_caches_says_nothing_of_them(small, finished):
    pytest.importorskip("matplotlib")
    shutil.copy(finished, small / "run.h5")
    line = f"HOME=/dev/null XDG_CACHE_HOME= {sys.executable} -m simlr.report run.h5 --out made"
    done = shell(line, small)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(small, "made", "report.html").exists()
