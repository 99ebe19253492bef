"""Run files and grids of former days: they load, verify and report, and run again they give the same numbers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from runs import ROOT

import simlr
from simlr.config import read
from simlr.plan.plan import Plan
from simlr.store.verify import verify

KEPT = ROOT / "tests/kept"
FILES = sorted(KEPT.glob("*.h5"))
GRIDS = sorted(KEPT.glob("*.toml"))
# What says when, where and by which code a run was made.
OF_THE_DAY = {"finished_at", "wall_seconds", "block_crc32", "end_crc32"}


def test_there_are_some():
    assert len(FILES) == 4 and len(GRIDS) == 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_run_file_loads_verifies_and_reports(path, folder):
    shutil.copy(path, "run.h5")
    assert simlr.load("run.h5").complete
    assert "run.h5" in verify("run.h5")
    assert simlr.report.main(["run.h5", "--format", "csv,md"]) == 0
    assert "# " in Path("run-report/report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_grid_gives_its_numbers(path):
    kept = simlr.load(path)
    config = read(kept.attributes["config"])
    if "file" in getattr(config, "problem", {}):
        config = simlr.GridConfig.from_toml(
            kept.attributes["config"], [("problem.file", str(ROOT / "data/diabetes.csv"))]
        )
    run = simlr.run(config)
    assert set(kept.names) <= set(run.names) | OF_THE_DAY
    for name in set(kept.names) - OF_THE_DAY:
        one, other = kept[name], run[name]
        if one.dtype.kind == "f":
            np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-300, err_msg=name)
        else:
            assert (one == other).all(), name


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_a_grid_is_still_understood(path):
    shipped = read(ROOT / "data" / path.name)
    kept = simlr.GridConfig.from_toml(path.read_text(encoding="utf-8"))
    assert kept.name == shipped.name
    assert Plan.of_grid(kept, ((2, 3),) * len(kept.problem_combinations()[1])).cells
