"""Every block of TOML and Python of the README and the pages is run, as a reader would run it.

A page's Python blocks run one after the other, in a folder with the files that a reader would have there: mine.csv,
mine.toml and runs in data/. A TOML block is a grid, or a part of one that the rest is put to; it is run with few seeds.
What something else runs, or nothing, says so above the block, or once for its page:

    <!-- not run: why -->          <!-- blocks run by tests/... -->
"""

import contextlib
import io
import re
import shutil
import tomllib
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import runs

import simlr
from simlr.claims.registry import load_paper

PAGES = [
    *(runs.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")),
    *sorted((runs.ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"(?:<!-- (not run: .*?) -->\n)?^```(toml|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ELSEWHERE = re.compile(r"<!-- blocks run by (tests/\S+\.py) -->")

# What is missing of a grid: schedules that the questions of the pages ask for, noise, and rows to draw it from.
REST = """
[problem]
kind = "gaussian"
dimension = 4
train_rows = 8
label_noise = 0.1

[seeds]
count = 20

[stop]
train_loss_fraction = [0.5]
max_steps = 200

[record]
points = 5

[[schedule]]
name = "annealed"
unit = "sharpness"
phases = [
  { kind = "constant", learning_rate = [0.5, 1.0], steps = 20 },
  { kind = "constant", learning_rate = 0.1, steps = 20 },
]

[[schedule]]
kind = "constant"
learning_rate = [0.01, 0.02, 0.04]

[[schedule]]
name = "small"
kind = "constant"
learning_rate = 0.005

[[noise]]
kind = "minibatch"
batch_size = [1, 4]
"""
MINE = """
name = "mine"

[problem]
kind = "gaussian"
dimension = 4
train_rows = [8, 12]

[seeds]
count = 30

[stop]
train_loss_fraction = [0.5, 0.1]
max_steps = 500

[record]
points = 10
stop_residual = true

[[schedule]]
kind = "flow"

[[schedule]]
name = "annealed"
unit = "sharpness"
phases = [{ kind = "constant", learning_rate = 1.5, steps = 5 }, { kind = "flow" }]

[[schedule]]
kind = "constant"
unit = "sharpness"
learning_rate = [0.3, 1.0]
"""

QUESTION = """
[question]
text = "Does annealing end with less test loss?"
compare = ["annealed", "flow"]
"""


class Block(NamedTuple):
    """One block of code of a page."""

    page: Path
    line: int
    language: str
    code: str
    left_out: str  # why nothing runs it; "" where it is run


def blocks_of(page):
    """The blocks of a page that no other test runs."""
    text = page.read_text(encoding="utf-8")
    if ELSEWHERE.search(text):
        return []
    return [
        Block(page, text[: found.start()].count("\n") + 1, found[2], found[3], found[1] or "")
        for found in BLOCK.finditer(text)
    ]


def named(page):
    return str(page.relative_to(runs.ROOT))


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
TOML = [block for block in BLOCKS if block.language == "toml"]
WITH_PYTHON = [page for page in PAGES if any(one.language == "python" for one in blocks_of(page))]


def test_there_are_blocks_and_few_are_left_out():
    assert len(TOML) > 15 and len(WITH_PYTHON) > 4
    assert len([block for block in BLOCKS if block.left_out]) <= 2
    assert all(len(block.left_out) > len("not run: ") + 10 for block in BLOCKS if block.left_out)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_what_is_run_elsewhere_is(page):
    for path in ELSEWHERE.findall(page.read_text(encoding="utf-8")):
        assert named(page) in (runs.ROOT / path).read_text(encoding="utf-8")


def write_table(path):
    """A table with all the columns that the pages name."""
    random = np.random.default_rng(0)
    rows = [
        f"{('train', 'test')[number % 2]},{'yes' if price > 70 else 'no'},{size:.2f},{rooms},{price:.1f}"
        for number, (size, rooms, price) in enumerate(
            zip(random.normal(70, 20, 300), random.integers(1, 6, 300), random.normal(70, 9, 300), strict=True)
        )
    ]
    path.write_text("\n".join(["set,label,size,rooms,price", *rows]) + "\n")


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory):
    """The folder in which a reader works; data/mine.h5 and data/nakkiran2020.h5 are there."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "data").mkdir()
    write_table(folder / "mine.csv")
    shutil.copy(runs.ROOT / "data/digits.npz", folder)
    (folder / "mine.toml").write_text(MINE)
    simlr.run(MINE + QUESTION, folder / "data/mine.h5")
    paper = simlr.config.read(load_paper("nakkiran2020").GRID, [("seeds.count", 32), ("record.points", 10)])
    simlr.run(paper, folder / "data/nakkiran2020.h5")
    return folder


@pytest.mark.parametrize("page", WITH_PYTHON, ids=named)
def test_the_python_of_a_page_runs(page, readers_folder):
    names = {}
    with contextlib.chdir(readers_folder), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)  # of packages that read a run
        for block in blocks_of(page):
            if block.language == "python" and not block.left_out:
                # so that a traceback has the line of the page
                code = "\n" * block.line + block.code
                exec(compile(code, str(page), "exec"), names)


def fewer(value):
    """A number of steps of a page, or several, as few as a test needs; different ones stay different."""
    if isinstance(value, list):
        return [fewer(one) for one in value]
    return value // 5 if isinstance(value, int) and value >= 100 else value


def in_short(tables):
    """The tables of a grid with few seeds, steps and recorded moments."""
    stop = dict(tables["stop"])
    if "steps" in stop:
        stop = {key: fewer(value) for key, value in stop.items()}
    schedules = [{k: fewer(v) if k.endswith("steps") else v for k, v in one.items()} for one in tables["schedule"]]
    seeds = {**tables.get("seeds", {}), "count": 20 if "question" in tables else 2}
    return {**tables, "stop": stop, "schedule": schedules, "seeds": seeds, "record": {"points": 4}}


def whole(code):
    """The tables of a block, with the rest of a grid where it is a part of one."""
    tables, rest = tomllib.loads(code), tomllib.loads(REST)
    if {"problem", "stop", "schedule"} <= tables.keys():
        return tables
    needed = {"problem", "stop", "seeds", "record", "schedule"}
    if "question" in tables:
        needed.add("noise")
    if "best" in tables.get("question", {}):  # of a parameter that all schedules have
        rest["schedule"] = [one for one in rest["schedule"] if "learning_rate" in one]
    return {**{key: rest[key] for key in needed if key not in tables}, **tables}


@pytest.mark.parametrize("block", TOML, ids=lambda block: f"{named(block.page)}:{block.line}")
def test_a_grid_of_a_page_runs(block, readers_folder):
    if block.left_out:
        pytest.skip(block.left_out)
    with contextlib.chdir(readers_folder):
        tables = whole(block.code)
        simlr.GridConfig.from_tables(tables, ".")  # as it stands
        run = simlr.run(simlr.GridConfig.from_tables(in_short(tables), "."))
        assert run.complete and (run.status > 0).all()
        if "question" in tables:
            assert simlr.answers.answer(run).sentence
