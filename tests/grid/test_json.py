"""What `--json` prints: strict JSON with the documented keys and types, and nothing where something is wrong."""

import math
import re
import shutil

import numpy as np
import pytest
import runs
from strict import parsed

import simlr
from simlr import status
from simlr.__main__ import main
from simlr.claims.readings import reading
from simlr.claims.verdict import UNDECIDED, Finding, at_least, at_most, near
from simlr.cli.structured import as_json
from simlr.papers import __main__ as papers

PAGE = (runs.ROOT / "docs/json.md").read_text(encoding="utf-8")
GRID = """
name = "few"
[problem]
kind = "nakkiran2020"
[seeds]
count = 3
[stop]
train_loss = 1e-2
max_steps = 40
[record]
points = 0
[[schedule]]
kind = "constant"
learning_rate = [0.5, 2.5]
"""


def keys_of(title):
    """The keys that the tables under a heading of the document have."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


def told(capsys, *arguments, status=0):
    """What a command prints, by the strict parser."""
    assert main(list(arguments)) == status
    return parsed(capsys.readouterr().out)


def test_numbers_that_json_lacks_are_null():
    given = {"a": np.array([1.0, np.nan, np.inf]), 2: (True, None, "x"), "c": np.int64(3), "d": np.float64(-np.inf)}
    assert parsed(as_json(given)) == {"a": [1.0, None, None], "2": [True, None, "x"], "c": 3, "d": None}


def test_a_run_and_what_it_would_take(folder, capsys):
    (folder / "few.toml").write_text(GRID)
    before = told(capsys, "run", "few.toml", "--dry-run", "--json")
    assert set(before) == keys_of("`simlr run GRID.toml --dry-run --json`")
    assert (before["cells"], before["seeds"], before["levels"]) == (6, 3, 1) and not list(folder.glob("data/*"))
    made = told(capsys, "run", "few.toml", "--json", "--quiet", "--out", "few.h5")
    assert set(made) == keys_of("`simlr run GRID.toml --json`")
    assert (made["format"], made["file"], made["complete"]) == ("simlr run 1", "few.h5", True)
    assert before["file_bytes"] >= (folder / "few.h5").stat().st_size
    run = simlr.load(folder / "few.h5")
    assert [row["schedule"] for row in made["summary"]] == run["schedule"].tolist()
    assert all(isinstance(row["diverged"], int | float) for row in made["summary"])
    assert made["verdict"] in ("holds", "does not hold", "undecided") and made["wall_seconds"] == run["wall_seconds"]
    (one,) = told(capsys, "status", "few.h5", "--json", "--quiet")["files"]
    assert (one["file"], one["state"], one["missing"], one["seconds_left"]) == ("few.h5", "finished", 0, 0.0)
    sound = told(capsys, "verify", "few.h5", "--json")
    assert sound == told(capsys, "verify", "--json", "--quiet", "few.h5")
    assert set(sound) == keys_of("`simlr verify RUN.h5 --json`")
    assert sound["sound"] and sound["faults"] == [] and sound["seeds"] == 3


def test_what_a_growing_file_would_take(folder, capsys):
    (folder / "few.toml").write_text(GRID)
    assert main(["run", "few.toml", "--quiet", "--out", "few.h5"]) == 0
    grown = ["--out", "few.h5", "--extend", "--set", "seeds.count=5", "--dry-run", "--json"]
    before = told(capsys, "run", "few.toml", *grown)
    assert set(before) == keys_of("`simlr run GRID.toml --dry-run --json`") | {"reused", "computed"}
    assert (before["reused"], before["computed"]) == (6, 4) and "`reused` and `computed`" in PAGE


CURVES = "step,learning_rate,loss\n" + "".join(f"{t},{0.1 if t < 60 else 0.01},{2 + t**-0.5}\n" for t in range(1, 101))


def test_a_fit_and_a_benchmark(folder, capsys):
    """The keys of the pages that stand beside those of grids; what an exact problem adds has a test of its own."""
    (folder / "curve.csv").write_text(CURVES)
    few = ["--law", "annealing", "--starts", "1", "--resamples", "0", "--optimise", "--horizon", "50"]
    assert set(told(capsys, "fit", "curve.csv", *few, "--json")) | {"exact"} == keys_of("`simlr fit ... --json`")
    measured = told(capsys, "bench", "--quick", "--only", "draws", "--json")
    assert set(measured) | set(measured["figures"][0]) == keys_of("`simlr bench --json`")


def test_what_is_damaged_or_unfinished_is_told_too(half, folder, capsys):
    shutil.copy(half, folder / "half.h5")
    unfinished = told(capsys, "verify", "half.h5", "--json", status=1)
    assert not unfinished["sound"] and "3 of 6 blocks are missing" in unfinished["faults"][0]
    state = told(capsys, "status", "half.h5", "--json", "--quiet", status=1)
    assert set(state) == {"format", "files", "together"}
    assert set(state["files"][0]) | set(state) == keys_of("`simlr status FILE... --json`")
    assert (state["files"][0]["done"], state["files"][0]["missing"]) == (3, 3)
    content = bytearray((folder / "half.h5").read_bytes())
    content[2000] ^= 255
    (folder / "half.h5").write_bytes(content)
    damaged = told(capsys, "verify", "half.h5", "--json", status=1)
    assert not damaged["sound"] and damaged["faults"]


def test_time_left_that_nobody_knows_is_null(tmp_path):
    one = status.Status(tmp_path, "unfinished", left=math.nan)
    assert parsed(as_json(status.as_values([one])))["files"][0]["seconds_left"] is None


WRONG = [
    ["run", "none.toml", "--json"], ["run", "few.toml", "--json", "--set", "seeds.cuont=3"],
    ["verify", "no.h5", "--json"],
    ["status", "no.h5", "--json"], ["papers", "nobody", "--json"], ["list", "cosin", "--json"],
    ["fit", "no.csv", "--json"], ["report", "no.h5", "--json"], ["optimise", "no.toml", "--json"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG, ids=lambda given: given[0])
def test_what_is_wrong_is_one_line_and_no_json(folder, arguments, capsys):
    (folder / "few.toml").write_text(GRID)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("simlr: ")


def test_the_list_of_a_grid_is_that_of_the_command(capsys):
    assert told(capsys, "run", "--list", "--json") == told(capsys, "list", "--json")


def test_papers_are_listed(capsys):
    listed = told(capsys, "papers", "nakkiran2020", "--list", "--json")
    assert listed["format"] == papers.FORMAT and set(listed["papers"][0]) == {"paper", "source", "claim"}


FINDINGS = {
    "near": (near("x", 1.25, 1.0, 0.5), {"measured": 1.25, "relation": "=", "paper": 1.0, "tolerance": 0.5}),
    "relative": (near("x", 1.0, 2.0, 0.01, True), {"tolerance": 0.01, "tolerance_is_relative": True}),
    "a bound": (at_most("x", 0.5, 1.0), {"measured": 0.5, "relation": "<=", "paper": 1.0, "tolerance": None}),
    "from below": (at_least("x", 0.5, 1e-3), {"relation": ">=", "paper": 1e-3, "paper_text": ">= 0.001"}),
    "in text": (Finding("x", "1.999", 2.0, "0.02 (4 sigma)"), {"measured": 1.999, "tolerance": 0.02}),
    "a share": (Finding("x", "9 of 12 seeds (0.7500)", "3/4", "exactly"),
                {"measured": 0.75, "paper": 0.75, "tolerance": 0.0, "tolerance_text": "exactly"}),
    "all": (Finding("x", "3 of 4", "all"), {"measured": 0.75, "paper": 1.0, "paper_text": "all"}),
    "a p that is smaller": (Finding("x", 1.0, "> 0", "p < 1e-15"), {"p_value": 1e-15, "tolerance": None}),
    "a p value": (Finding("x", 1.0, "> 0", "p = 0.0012, 0.03 against"), {"p_value": 0.0012, "tolerance": None}),
    "a p in the note": (Finding("x", 1.0, "> 0", "", note="of 8; p = 0.0012"), {"p_value": 0.0012, "tolerance": None}),
    "a p of something else": (Finding("x", 1.0, "> 0", "", note="where p = 0.5 of the draws"), {"p_value": None}),
    "words": (Finding("x", "0.5 to 0.7", "", "", UNDECIDED), {"measured": None, "measured_text": "0.5 to 0.7",
                                                           "paper": None, "relation": None}),
    "no number": (Finding("x", math.nan, 1.0), {"measured": None, "measured_text": "nan"}),
    "not 3 in 4 of something": (Finding("x", "kept to in 3 of 4 draws", "first"), {"measured": None, "paper": None}),
}  # fmt: skip


@pytest.mark.parametrize(("finding", "expected"), FINDINGS.values(), ids=FINDINGS)
def test_the_numbers_of_a_finding_are_numbers(finding, expected):
    found = parsed(as_json(reading(finding)))
    assert {key: found[key] for key in expected} == expected
    assert set(found) == keys_of("A finding")
