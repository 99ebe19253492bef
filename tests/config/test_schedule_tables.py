"""Schedules of a grid that are vectors, files or functions: axes, names, the round trip, and what a resume looks at."""

import io
import math
import time
import tomllib

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.config.grid import GridConfig
from simlr.errors import InputError
from simlr.inputs import vectors
from simlr.schedules.registry import Rates
from simlr.schedules.rules import MOST_RATES
from simlr.schedules.tabulation import from_callable, tabulate

BASE = {
    "problem": {"kind": "nakkiran2020"},
    "seeds": {"count": 20},
    "stop": {"train_loss": [0.1], "max_steps": 100_000},
}


def grid(*schedules, folder="."):
    return GridConfig.from_tables({**BASE, "schedule": list(schedules)}, folder)


def only(config):
    """The rates of a grid's only schedule."""
    ((made, _),) = config.schedules()
    return made.rates(0, made.length)


def refused(message, *schedules, folder="."):
    with pytest.raises(InputError, match=message) as caught:
        grid(*schedules, folder=folder)
    assert len(str(caught.value).splitlines()) == 1


# ---- vectors ----


def test_a_list_of_vectors_is_an_axis():
    own = {"kind": "multistep", "learning_rate": [0.5, 1], "steps": 9, "milestones": [[2, 4], [3]]}
    made = grid(own).schedules()
    assert [schedule.name for schedule, _ in made] == [
        *("multistep[learning_rate=0.5,milestones=(2, 4)]", "multistep[learning_rate=0.5,milestones=(3,)]"),
        *("multistep[learning_rate=1.0,milestones=(2, 4)]", "multistep[learning_rate=1.0,milestones=(3,)]"),
    ]
    assert made[0][1]["milestones"] == "(2, 4)"
    one = grid({**own, "milestones": [2, 4]}).schedules()
    assert [schedule.name for schedule, _ in one] == ["multistep[learning_rate=0.5]", "multistep[learning_rate=1.0]"]


def test_arrays_are_vectors_too():
    own = {"kind": "piecewise_constant", "boundaries": np.array([2, 4]), "learning_rates": np.array([1.0, 2.0, 3.0])}
    assert only(grid({**own, "steps": 5})).tolist() == [1.0, 1.0, 2.0, 2.0, 3.0]


def test_a_long_vector_has_a_short_name():
    many = [[0.1 + k] * 100 for k in range(2)]
    names = [schedule.name for schedule, _ in grid({"kind": "table", "learning_rates": many}).schedules()]
    assert len(set(names)) == 2
    assert all(name.startswith("table[learning_rates=100 values ") and len(name) < 60 for name in names)


def test_parameters_that_do_not_go_together_are_refused_in_any_combination():
    refused(
        "learning_rates must be a list of 3 rates, one more than boundaries",
        {"kind": "piecewise_constant", "boundaries": [[1], [1, 2]], "learning_rates": [1.0, 2.0]},
    )
    refused(
        "decay_steps must be at most steps - warmup_steps = 0, got 5",
        {"kind": "warmup_stable_decay", "learning_rate": 1.0, "steps": 9, "warmup_steps": [1, 9], "decay_steps": 5},
    )
    refused(r"unknown key 'anneal'; ", {"kind": "cosine", "learning_rate": 1.0, "steps": 9, "anneal": "linear"})


def test_words_and_flags_are_axes_too():
    own = {"kind": "one_cycle", "learning_rate": 1.0, "steps": 9, "anneal": ["cosine", "linear"]}
    names = [schedule.name for schedule, _ in grid({**own, "three_phase": [False, True]}).schedules()]
    assert names[1] == "one_cycle[anneal='cosine',three_phase=True]"


# ---- files ----


@pytest.fixture
def tables(tmp_path):
    """A folder with tables: rates.npy, rates.csv with a header, bare.csv without."""
    np.save(tmp_path / "rates.npy", np.array([0.5, 0.25, 0.0]))
    (tmp_path / "rates.csv").write_text("step,fast,slow\n0,1.0,0.1\n1,2.0,0.2\n")
    (tmp_path / "bare.csv").write_text("0.5\n1e-300\n\n0.1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"file": "rates.npy"}, [0.5, 0.25, 0.0]),
        ({"file": "rates.csv"}, [0.1, 0.2]),
        ({"file": "rates.csv", "column": "fast"}, [1.0, 2.0]),
        ({"file": "rates.csv", "column": 1}, [1.0, 2.0]),
        ({"file": "bare.csv"}, [0.5, 1e-300, 0.1]),
        ({"file": "bare.csv", "steps": 2}, [0.5, 1e-300]),
    ],
)
def test_files_are_read_relative_to_the_grid(tables, own, expected):
    config = grid({"kind": "table", **own}, folder=tables)
    assert only(config).tolist() == expected
    assert config.schedule[0]["source"].startswith(own["file"])


def test_the_grid_needs_the_file_no_longer(tables):
    config = grid(
        {"kind": "table", "file": "rates.npy"}, {"phases": [{"kind": "table", "file": "bare.csv"}]}, folder=tables
    )
    for path in tables.iterdir():
        path.unlink()
    twin = GridConfig.from_toml(config.to_toml())
    assert twin == config
    assert twin.schedules() == config.schedules()
    assert twin.replace(seeds={"count": 3}).schedule == config.schedule


def test_a_list_of_files_is_an_axis(tables):
    config = grid({"name": "own", "kind": "table", "file": ["rates.npy", "rates.csv"], "steps": [1, 2]}, folder=tables)
    assert [schedule.name for schedule, _ in config.schedules()] == [
        f"own[file='{file}'][steps={steps}]" for file in ("rates.npy", "rates.csv") for steps in (1, 2)
    ]
    assert GridConfig.from_toml(config.to_toml()) == config


def saved(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


WRONG = {
    "none.csv": (None, "none.csv: cannot be read: No such file"),
    "none.npy": (None, "none.npy: cannot be read: No such file"),
    "empty.csv": (b"", "empty.csv: no rows of numbers"),
    "header.csv": (b"rate\n", "header.csv: no rows of numbers"),
    "word.csv": (b"rate\n1\nx\n", "word.csv, line 3: 'x' is not a number"),
    "nan.csv": (b"1\nnan\n", "nan.csv, line 2: 'nan' is not finite"),
    "negative.csv": (b"1\n-2\n", r"negative.csv: learning_rates\[1\] must be a finite number >= 0, got -2.0"),
    "ragged.csv": (b"1\n2,3\n", "ragged.csv, line 2: 2 fields, expected 1"),
    "text.npy": (b"1\n2\n", "text.npy: not a readable NPY file"),
    "cut.npy": (saved(np.ones(50))[:200], "cut.npy: the array in it claims shape .50,., more than the file holds"),
    "object.npy": (saved(np.array([{}]), allow_pickle=True), "object.npy: not a readable NPY file: 'Object arrays"),
    "matrix.npy": (saved(np.ones((2, 2))), r"matrix.npy: the array must have 1 axis, got shape \(2, 2\)"),
    "complex.npy": (saved(np.ones(2, complex)), "complex.npy: the array holds complex128, not real numbers"),
    "nan.npy": (saved(np.array([1.0, np.nan])), r"nan.npy: learning_rates\[1\] must be a finite number >= 0, got nan"),
    "none-at-all.npy": (saved(np.ones(0)), "must be a list of numbers >= 0, not empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_no_tables(name, tmp_path):
    content, message = WRONG[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refused(message, {"kind": "table", "file": name}, folder=tmp_path)


def test_wrong_columns_and_keys(tables):
    def table(**own):
        return {"kind": "table", **own}

    refused(
        r"column: unknown name 'fats'; did you mean 'fast'\?", table(file="rates.csv", column="fats"), folder=tables
    )
    refused("column 'rate': no header row", table(file="bare.csv", column="rate"), folder=tables)
    refused("column 3 is not there; it has 3 columns", table(file="rates.csv", column=3), folder=tables)
    refused("has both file and learning_rates", table(file="rates.csv", learning_rates=[1.0]), folder=tables)
    refused("has both file and source", table(file="rates.csv", source="x"), folder=tables)
    refused("a file in their place, is missing", table())
    refused("steps must be at most 2, the rates in the table, got 3", table(file="rates.csv", steps=3), folder=tables)
    refused(r"'two', phase 1.file must be a string of one line", {"name": "two", "phases": [table(file=["a", "b"])]})
    refused("at most 1,000,000 rates, got 1,000,001", table(learning_rates=[0.0] * (MOST_RATES + 1)))


def test_a_column_of_a_csv_is_found_beside_a_byte_order_mark(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf rate , other\r\n1,2\r\n")
    assert vectors.read_column(tmp_path / "x.csv", "rate") == [1.0]


def test_tabulate_reads_files_of_the_working_folder(tables, monkeypatch):
    monkeypatch.chdir(tables)
    assert tabulate("table", steps=2, file="rates.npy").tolist() == [0.5, 0.25]
    phases = [{"kind": "table", "file": "rates.npy"}, {"kind": "table", "file": "rates.csv"}]
    assert tabulate("phases", steps=5, phases=phases).tolist() == [0.5, 0.25, 0.0, 0.1, 0.2]


# ---- functions ----


@given(rates=st.lists(st.floats(0.0, 1e300), min_size=1, max_size=50))
def test_any_function_survives_the_round_trip(rates):
    own = from_callable(lambda step: rates[step], len(rates), name="own")
    config = grid(own)
    twin = GridConfig.from_toml(config.to_toml())
    assert twin == config
    np.testing.assert_array_equal(only(twin), rates)


def test_what_a_function_may_return():
    assert from_callable(lambda step: np.float32(0.5), 2)["learning_rates"] == (0.5, 0.5)
    assert from_callable(lambda step: np.array(1), 2)["learning_rates"] == (1.0, 1.0)
    assert type(from_callable(lambda step: 1, 2)["learning_rates"]) is Rates

    def mine(step):
        return 1.0 / (1 + step)

    assert from_callable(mine, 3)["name"] == "mine"
    assert from_callable(mine, 3, unit="sharpness")["unit"] == "sharpness"
    assert only(grid(from_callable(mine, 3))).tolist() == [1.0, 1 / 2, 1 / 3]


@pytest.mark.parametrize(
    ("function", "steps", "message"),
    [
        (5, 3, "must be a function step -> rate, got 5"),
        (lambda step: 1.0, 0, "steps must be a whole number >= 1, got 0"),
        (lambda step: 1.0, MOST_RATES + 1, "steps must be a whole number from 1 to 1000000"),
        (lambda step: -1.0 if step == 2 else 1.0, 3, "schedule 'own' at step 2 must be a finite number >= 0, got -1.0"),
        (lambda step: math.inf, 3, "at step 0 must be a finite number >= 0, got inf"),
        (lambda step: "x", 3, "schedule 'own': fails at step 0: ValueError"),
        (lambda step: None, 3, "fails at step 0: TypeError"),
        (lambda step: 1 / step, 3, "fails at step 0: ZeroDivisionError: 'division by zero'"),
        (lambda step: np.ones(2), 3, "fails at step 0: TypeError"),
    ],
)
def test_functions_that_are_no_schedules(function, steps, message):
    with pytest.raises(InputError, match=message) as caught:
        from_callable(function, steps, name="own")
    assert "\n" not in str(caught.value)


# ---- runs ----


def test_a_run_holds_its_rates(tmp_path):
    """Nothing else is needed to report on it, or to resume it; other rates are another grid."""
    rates = [0.5 / (1 + step) for step in range(300)]
    config = grid(from_callable(lambda step: rates[step], 300, name="own"), {"kind": "flow"})
    path = tmp_path / "own.h5"
    run = simlr.run(config, out=path)
    assert simlr.load(path).config == config
    assert run.schedule_learning_rates[0].startswith("300 values ")
    simlr.run(config, out=path, resume=True)
    rates[200] = np.nextafter(rates[200], 1.0)
    other = grid(from_callable(lambda step: rates[step], 300, name="own"), {"kind": "flow"})
    with pytest.raises(InputError, match=r"holds another grid \(schedule\.0\.learning_rates"):
        simlr.run(other, out=path, resume=True)


def test_a_table_of_a_constant_is_a_constant(run_grid):
    problem = {"kind": "nakkiran2020"}
    own = [
        {"kind": "constant", "learning_rate": 0.3, "steps": 300},
        {"kind": "table", "learning_rates": [0.3] * 300},
        {"kind": "piecewise_constant", "boundaries": [100], "learning_rates": [0.3, 0.3], "steps": 300},
        {"kind": "multistep", "milestones": [1000], "learning_rate": 0.3, "steps": 300},
    ]
    run = run_grid(problem, own, [1e-2], seeds={"count": 50})
    for k in (1, 2, 3):
        np.testing.assert_array_equal(run.stop_step[k], run.stop_step[0])
        np.testing.assert_allclose(run.test_loss[k], run.test_loss[0], rtol=1e-12)


def test_a_file_that_changed_is_noticed_by_resume(folder):
    (folder / "rates.csv").write_text("0.5\n" * 50)
    text = 'problem = { kind = "nakkiran2020" }\nseeds = { count = 20 }\nstop = { train_loss = [0.1] }\n'
    (folder / "grid.toml").write_text(text + '[[schedule]]\nkind = "table"\nfile = "rates.csv"\n')
    assert runs.command("grid.toml", "--out", "x.h5", "--quiet", cwd=folder).returncode == 0
    assert runs.command("grid.toml", "--out", "x.h5", "--quiet", "--resume", cwd=folder).returncode == 0
    (folder / "rates.csv").write_text("0.5\n" * 49 + "0.25\n")
    done = runs.command("grid.toml", "--out", "x.h5", "--quiet", "--resume", cwd=folder)
    assert done.returncode == 2
    assert "holds another grid (schedule.0.learning_rates" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_long_table_takes_a_moment():
    began = time.process_time()
    config = grid({"kind": "table", "learning_rates": np.linspace(1.0, 0.0, 100_000)})
    tomllib.loads(config.to_toml())
    made = config.schedules()[0][0]
    for first in range(0, 100_000, 4096):
        made.rates(first, first + 4096)
    assert time.process_time() - began < 5.0
