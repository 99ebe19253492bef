"""Several run files as one: what a run of the joined grid has, and what is refused."""

import csv
from pathlib import Path

import numpy as np
import pytest
import runs

import simlr
from simlr.errors import InputError
from simlr.grid.job import Job
from simlr.report import __main__ as report
from simlr.report.joined import joined
from simlr.store.compatibility import JOINED

GAUSSIAN = {"kind": "gaussian", "dimension": 3, "train_rows": 5}


def tables(**changes):
    """A small grid as nested dicts."""
    grid = {
        "name": "small",
        "problem": dict(GAUSSIAN),
        "seeds": {"count": 9, "root": 3},
        "stop": {"train_loss": [1.5, 0.3], "max_steps": 200},
        "record": {"points": 4, "seeds": 5},
        "run": {"block_seeds": 4},
        "engine": "recurrence",
        "schedule": [{"kind": "constant", "learning_rate": [0.05, 0.3]}, {"kind": "flow"}],
    }
    return {**grid, **changes}


def made(*grids):
    """The files of some grids."""
    paths = [f"run{i}.h5" for i in range(len(grids))]
    for path, grid in zip(paths, grids, strict=True):
        simlr.run(grid, path)
    return paths


def assert_is(joined_run, whole):
    """All of the joined run is what the run of the joined grid has."""
    assert joined_run.complete
    assert joined_run.config.replace(name="small").identity() == whole.config.identity()
    runs.assert_same_bits(joined_run, whole)


STEPS = [{"kind": "constant", "learning_rate": [0.05, 0.3]}]
NOISY = [{"kind": "gradient", "sigma": 0.2}, {"kind": "none"}]
OTHER = {**GAUSSIAN, "train_rows": 2}
TWO = [{"kind": "gd"}, {"kind": "momentum", "momentum": 0.5, "average": "tail", "average_start": 3}]
JOINS = {
    "problem": ([tables(), tables(problem=OTHER)], tables(problem={**GAUSSIAN, "train_rows": [5, 2]})),
    "three of them": (
        [tables(problem={**GAUSSIAN, "train_rows": rows}) for rows in ([2, 7], 3)],
        tables(problem={**GAUSSIAN, "train_rows": [2, 7, 3]}),
    ),
    "levels": (
        # Where a flow meets a level is looked for from the level before: its last bits depend on that.
        [tables(schedule=STEPS), tables(schedule=STEPS, stop={"train_loss": [0.1], "max_steps": 200})],
        tables(schedule=STEPS, stop={"train_loss": [1.5, 0.3, 0.1], "max_steps": 200}),
    ),
    "rates": (
        [tables(), tables(schedule=[{"kind": "constant", "learning_rate": 2.5}, {"kind": "flow"}])],
        tables(schedule=[{"kind": "constant", "learning_rate": [0.05, 0.3, 2.5]}, {"kind": "flow"}]),
    ),
    "schedules": (
        [tables(), tables(schedule=[{"kind": "cosine", "learning_rate": 0.3, "steps": 100}])],
        tables(schedule=[*tables()["schedule"], {"kind": "cosine", "learning_rate": 0.3, "steps": 100}]),
    ),
    "noise": (
        [tables(schedule=STEPS, noise=[{"kind": "gradient", "sigma": sigma}]) for sigma in (0.1, 0.2)],
        tables(schedule=STEPS, noise=[{"kind": "gradient", "sigma": [0.1, 0.2]}]),
    ),
    "optimisers": (
        [tables(schedule=STEPS, optimizer=[one]) for one in TWO],
        tables(schedule=STEPS, optimizer=TWO),
    ),
    "two keys": (
        [tables(schedule=STEPS, problem=problem, noise=[noise]) for problem in (GAUSSIAN, OTHER) for noise in NOISY],
        tables(schedule=STEPS, problem={**GAUSSIAN, "train_rows": [5, 2]}, noise=NOISY),
    ),
}


QUICK = "problem", "two keys"  # the others look at one key each


@pytest.mark.parametrize(
    "which", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in JOINS if name not in QUICK)]
)
def test_a_joined_run_is_that_of_the_joined_grid(folder, which):
    grids, whole = JOINS[which]
    assert_is(joined(made(*grids)), simlr.run(whole))


def test_shards_of_one_grid(folder):
    paths = ["b.h5", "a.h5", "c.h5"]
    for index, path in enumerate(paths):
        job = Job(simlr.GridConfig.from_tables(tables()), (index, 3))
        job.run(*job.open(path))
    assert_is(joined(paths), simlr.run(tables()))
    with pytest.raises(InputError, match="seed 8"):
        joined(paths[:2])


def test_an_unfinished_file_is_shown_as_far_as_it_is(folder):
    runs.run_blocks(simlr.GridConfig.from_tables(tables()), "half.h5", [0])
    simlr.run(tables(problem=OTHER), "other.h5")
    run = joined(["half.h5", "other.h5"])
    assert not run.complete and run.seed.size == 18
    np.testing.assert_array_equal((run.status > 0).all(axis=(0, 2)), [*[True] * 4, *[False] * 5, *[True] * 9])
    assert np.isnan(run.test_loss[:, 4:9]).all() and "half.h5" in run.attributes[JOINED]


REFUSED = {
    "seeds.count": {"seeds": {"count": 8, "root": 3}},
    "seeds.root": {"seeds": {"count": 9, "root": 4}},
    "problem.kind": {"problem": {"kind": "nakkiran2020"}},
    "the rule of [stop] is train_loss in, excess_train_loss in": {
        "stop": {"excess_train_loss": [0.1], "max_steps": 200}
    },
    "stop.max_steps": {"stop": {"train_loss": [1.5], "max_steps": 300}},
    "record.points": {"record": {"points": 5, "seeds": 5}},
    "engine": {"engine": "auto"},
    "none of them has schedule 'constant[learning_rate=0.05]' with problem.train_rows = 2": {
        "problem": OTHER,
        "schedule": [{"kind": "constant", "learning_rate": 0.7}, {"kind": "flow"}],
    },
    "none of them has problem.dimension = 3, problem.train_rows = 2": {
        "problem": {**OTHER, "dimension": 2},
    },
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_cannot_be_joined_is_refused_by_key(folder, key):
    paths = made(tables(), tables(**REFUSED[key]))
    with pytest.raises(InputError) as refused:
        joined(paths)
    told = str(refused.value)
    assert set(key.replace(",", "").split()) <= set(told.replace(",", "").split()) and "run0.h5" in told


def test_schedules_of_one_name_that_are_different_are_named_after_their_files(folder):
    cosine = {"kind": "cosine", "name": "mine", "learning_rate": 0.1, "steps": 50}
    linear = {"kind": "linear", "name": "mine", "learning_rate": 0.1, "steps": 50}
    run = joined(made(tables(schedule=[cosine]), tables(schedule=[linear])))
    assert run.schedule.tolist() == ["mine of run0", "mine of run1"]


def test_the_command_reports_on_several_as_on_one(folder, capsys):
    paths = made(*JOINS["problem"][0])
    simlr.run(JOINS["problem"][1], "whole.h5")
    assert report.main([*paths, "-o", "both", "--format", "csv,md"]) == 0
    shown = capsys.readouterr().out
    assert report.main(["whole.h5", "--out", "whole", "--format", "csv,md"]) == 0
    assert "2 problems" in shown
    for path in Path("whole").iterdir():
        if path.suffix == ".csv":
            assert Path("both", path.name).read_text() == path.read_text()
    text = Path("both/report.md").read_text()
    assert "number of rows: 5, 2" in text.replace("\\", "") and "run0.h5" in text and "run1.h5" in text
    with open("both/summary.csv", encoding="utf-8") as file:
        assert {row["problem_train_rows"] for row in csv.DictReader(file)} == {"5.0", "2.0"}


def test_the_command_refuses_in_a_line(folder, capsys):
    paths = made(tables(), tables(engine="auto"))
    assert report.main(paths) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1 and "engine is" in told.err
    with pytest.raises(SystemExit):
        report.main([*paths, "--explore"])
