"""The grid description: its defaults, its round trip through TOML, and how everything that is wrong is refused."""

import copy
import time
from pathlib import Path

import numpy as np
import pytest
import runs
from hypothesis import assume, given
from hypothesis import strategies as st
from kinds import PARAMETERS, steps_of

import simlr
from simlr.claims.registry import load_paper, paper_names
from simlr.config.grid import TABLES, GridConfig
from simlr.config.methods import OPTIMIZERS
from simlr.config.reading import read
from simlr.config.settings import SETTINGS
from simlr.errors import InputError, show
from simlr.problems import registry
from simlr.schedules.rules import RULES
from simlr.schedules.schedule import FLOW

MINIMAL = {
    "problem": {"kind": "nakkiran2020"},
    "stop": {"train_loss": [0.1]},
    "schedule": [{"kind": "flow"}],
}


def tables(**changes):
    """A small valid grid as tables; a dotted key (with __ for the dot) replaces one value."""
    made = copy.deepcopy(MINIMAL)
    for key, value in changes.items():
        *parents, last = key.split("__")
        here = made
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
        here[last] = value
    return made


def grid(**changes):
    return GridConfig.from_tables(tables(**changes))


def refused(message, **changes):
    """The grid is refused in one line that holds the message."""
    with pytest.raises(InputError) as refusal:
        grid(**changes)
    assert message in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1 and len(str(refusal.value)) < 500


# ---- what is not said ----


def test_every_default():
    config = grid()
    assert config.name == "grid"
    assert config.engine == "auto"
    expected = {"kind": "nakkiran2020", "samples": "random", "start": (0.0, 0.0), "theta_star": (1.0, 1.0)}
    assert config.problem == expected
    assert config.seeds == {"count": 1000, "root": 0}
    assert config.stop == {"train_loss": [0.1], "max_steps": 1_000_000}
    expected = {"points": 200, "flow_time": 20.0, "seeds": 64, "iterates": False, "dtype": "float64"}
    assert config.record == expected | {"stop_residual": False}
    assert config.schedule == ({"name": "flow", "unit": "absolute", "kind": "flow"},)
    assert config.optimizer == ({"kind": "gd"},)
    assert config.run == {"block_seeds": 0}
    assert config.folder == "."


def test_names_of_schedules():
    made = grid(
        schedule=[
            {"kind": "flow"},
            {"phases": [{"kind": "flow"}]},
            {"kind": "constant", "learning_rate": [0.1, 1], "name": "mine"},
            {"kind": "step", "learning_rate": [0.1, 0.2], "step_size": [3, 4], "gamma": 0.5},
            {
                "phases": [{"kind": "constant", "learning_rate": [1e-05, 2], "steps": 3}, {"kind": "flow"}],
                "name": "two",
            },
        ]
    ).schedules()
    assert [schedule.name for schedule, _ in made] == [
        *("flow", "schedule-2", "mine[learning_rate=0.1]", "mine[learning_rate=1.0]"),
        *(f"step[learning_rate={rate},step_size={size}]" for rate in (0.1, 0.2) for size in (3, 4)),
        *("two[phase1.learning_rate=1e-05]", "two[phase1.learning_rate=2.0]"),
    ]


def test_values_are_cast():
    config = grid(
        seeds__count=np.int64(7), stop__train_loss=1, record__flow_time=np.float32(2), problem__start=(1, 2), name="x y"
    )
    assert config.seeds["count"] == 7 and type(config.seeds["count"]) is int
    assert config.levels == [1.0] and type(config.levels[0]) is float
    assert type(config.record["flow_time"]) is float
    assert config.problem["start"] == (1.0, 2.0)
    assert config.level_kind == "train_loss"
    assert grid(stop={"excess_train_loss": 0.5}).level_kind == "excess_train_loss"


def test_the_grids_that_come_with_simlr_are_valid():
    for name in paper_names():
        assert read(load_paper(name).GRID).name == name
    config = GridConfig.from_toml(runs.ROOT / "data/diabetes.toml")
    assert (config.name, config.folder) == ("diabetes", str(runs.ROOT / "data"))


# ---- TOML and back ----

finite = st.floats(allow_nan=False, allow_infinity=False)
rate = st.floats(0.0, 1e6)
text = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)


def axis(values):
    """One value, or a list of different ones."""
    return st.one_of(values, st.lists(values, min_size=1, max_size=3, unique=True))


@st.composite
def phase(draw, last):
    kind = draw(st.sampled_from([*PARAMETERS, *([FLOW] if last else [])]))
    if kind == FLOW:
        return {"kind": kind}
    # Values that go together in every combination; vectors as TOML has them.
    given = {name: draw(axis(values)) for name, values in PARAMETERS[kind].items()}
    return {"kind": kind, **given, "steps": draw(steps_of(kind))}


@st.composite
def one_schedule(draw, name):
    settings = {"name": name, "unit": draw(st.sampled_from(["absolute", "sharpness"]))}
    if draw(st.booleans()):
        return settings | draw(phase(last=True))
    count = draw(st.integers(1, 3))
    return settings | {"phases": [draw(phase(last=i == count - 1)) for i in range(count)]}


@st.composite
def grids(draw):
    """Tables of any valid grid."""
    names = draw(st.lists(text.filter(lambda name: "[" not in name), min_size=1, max_size=3, unique=True))
    vector = st.tuples(finite, finite)
    kind = draw(st.sampled_from(["train_loss", "excess_train_loss"]))
    problem = {
        "kind": "nakkiran2020",
        "samples": draw(axis(st.sampled_from(["random", "all"]))),
        "start": draw(st.one_of(vector, st.lists(vector, min_size=1, max_size=3, unique=True))),
    }
    return {
        "name": draw(text.filter(lambda name: "/" not in name and "\\" not in name and name[0] != ".")),
        "engine": draw(st.sampled_from(["auto", "recurrence", "closed-form"])),
        "problem": problem,
        "seeds": {"count": draw(st.integers(1, 2**62)), "root": draw(st.integers(0, 2**62))},
        "stop": {
            kind: draw(st.lists(st.floats(1e-300, 1e100), min_size=1, unique=True)),
            "landing": draw(st.sampled_from(["step", "exact"])),
            "max_steps": 10_000,
        },
        "record": {
            "points": draw(st.integers(0, 1000)),
            "flow_time": draw(st.floats(1e-6, 1e6)),
            "seeds": draw(st.one_of(st.just("all"), st.integers(0, 100))),
            "iterates": draw(st.booleans()),
            "stop_residual": draw(st.booleans()),
            "dtype": draw(st.sampled_from(["float32", "float64"])),
        },
        "schedule": [draw(one_schedule(name)) for name in names],
        "run": {"block_seeds": draw(st.integers(0, 2**62))},
    }


@given(grids())
def test_any_grid_comes_back_from_its_toml(made):
    try:
        config = GridConfig.from_tables(made)
    except InputError as error:
        # two names may meet once the lists are expanded; 0.0 and -0.0 are one value
        assert "must be unique" in str(error) or "different" in str(error)
        assume(False)
    twin = GridConfig.from_toml(config.to_toml())
    assert twin == config
    assert twin.to_toml() == config.to_toml()
    assert twin.tables() == config.tables()
    assert twin.schedules() == config.schedules()
    assert config.replace() == config


def test_the_folder_is_no_part_of_the_grid(folder):
    Path("grid.toml").write_text(grid().to_toml())
    here, there = GridConfig.from_toml("grid.toml"), GridConfig.from_toml(folder / "grid.toml")
    assert (here.folder, there.folder) == (".", str(folder))
    assert here == there == grid()
    assert here.replace(folder="elsewhere").folder == "elsewhere"


def test_the_identity_leaves_out_the_name_and_the_blocks():
    config = grid()
    assert grid(name="other", run__block_seeds=3).identity() == config.identity()
    for changes in ({"seeds__count": 9}, {"record__points": 3}, {"stop__max_steps": 7}, {"engine": "recurrence"}):
        assert grid(**changes).identity() != config.identity()


def test_text_paths_and_marks(folder):
    text = "# see grid.toml\n" + grid().to_toml() + "# written by hand, in my.toml"
    assert GridConfig.from_toml(text) == grid()
    Path("a = b.toml").write_text(text)
    Path("windows.toml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    for source in ("a = b.toml", Path("a = b.toml"), "windows.toml"):
        assert GridConfig.from_toml(source) == grid()


def test_replace_keeps_the_rest():
    config = grid(seeds__root=5)
    assert config.replace(seeds={"count": 10}).seeds == {"count": 10, "root": 5}
    assert config.replace(name="new").seeds == config.seeds
    assert config.replace(schedule=[{"kind": "constant", "learning_rate": 1}]).schedules()[0][0].name == "constant"
    assert config.replace(problem={"kind": "nakkiran2020", "samples": "all"}).problem["samples"] == "all"
    assert config.seeds == {"count": 1000, "root": 5}
    with pytest.raises(InputError, match="grid: unknown key 'seed'; did you mean 'seeds'"):
        config.replace(seed={"count": 10})
    with pytest.raises(InputError, match="seeds: unknown key 'cuont'"):
        config.replace(seeds={"cuont": 10})


# ---- --set ----


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("seeds.count", 5, lambda c: c.seeds["count"]),
        ("seeds.root", 5, lambda c: c.seeds["root"]),
        ("name", "new", lambda c: c.name),
        ("stop.train_loss", [1.0, 2.0], lambda c: c.levels),
        ("stop.train_loss.0", 3.0, lambda c: c.levels[0]),
        ("schedule.0.learning_rate", [0.25, 0.5], lambda c: c.schedule[0]["learning_rate"]),
        ("schedule.0.learning_rate.1", 0.75, lambda c: c.schedule[0]["learning_rate"][1]),
        ("schedule.1.phases.0.steps", 17, lambda c: c.schedule[1]["phases"][0]["steps"]),
        ("schedule.1", {"kind": "flow", "name": "x", "unit": "absolute"}, lambda c: c.schedule[1]),
        ("record.points", 3, lambda c: c.record["points"]),
        ("problem.samples", ["random", "all"], lambda c: c.problem["samples"]),
    ],
)
def test_single_values_can_be_set(key, value, found):
    text = grid(
        schedule=[
            {"kind": "constant", "learning_rate": [0.1, 0.2]},
            {"phases": [{"kind": "constant", "learning_rate": 1.0, "steps": 2}, {"kind": "flow"}]},
        ]
    ).to_toml()
    changed = GridConfig.from_toml(text, [(key, value)])
    assert found(changed) == value
    assert changed != GridConfig.from_toml(text)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sead.count", "grid: unknown key 'sead'; did you mean 'seeds'?"),
        ("seeds.cuont", "seeds: unknown key 'cuont'; did you mean 'count'?"),
        ("schedule.7.kind", "--set schedule.7.kind: '7' is no entry; there are 1, counted from 0"),
        ("schedule.-1.kind", "'-1' is no entry"),
        ("schedule.\u00b2.kind", "is no entry"),
        ("schedule.00000000000000000000001.kind", "is no entry"),
        ("schedule.x", "--set schedule.x: 'x' is no entry"),
        ("stop.train_loss.0.x", "--set stop.train_loss.0.x: '0' is a value, not a table"),
        ("name.x", "--set name.x: 'name' is a value, not a table"),
        ("optimizer.0.kind", "optimizer must be a list of at least one table"),
    ],
)
def test_settings_that_fit_nowhere(key, message):
    text = 'name = "n"\nproblem = {kind = "nakkiran2020"}\nstop = {train_loss = [1.0]}\nschedule = [{kind = "flow"}]\n'
    with pytest.raises(InputError) as refusal:
        GridConfig.from_toml(text, [(key, 1)])
    assert message in str(refusal.value)


# ---- what is wrong ----

NO_NUMBERS = [
    True,
    "1",
    [[1.0]],
    {"a": 1},
    float("nan"),
    float("inf"),
    -float("inf"),
    -1,
    10**400,
    None,
    [0.1, "x"],
    [],
]
NO_COUNTS = [True, 1.0, "1", [1], {}, -1, 2**62 + 1, 10**400, None, float("nan")]


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("name", "engine")])
def test_unknown_keys(table):
    wrong = {"kindd": 1} if table in ("problem", "optimizer", "noise", "schedule") else {"zzz": 1}
    made = tables()
    if table == "schedule":
        made["schedule"][0] |= wrong
    elif table in ("optimizer", "noise"):
        made[table] = [{"kind": "gd" if table == "optimizer" else "none"} | wrong]
    else:
        made[table] = made.get(table, {}) | wrong
    with pytest.raises(InputError) as refusal:
        GridConfig.from_tables(made)
    assert "unknown key" in str(refusal.value) and str(refusal.value).startswith(table)
    assert ("did you mean 'kind'?" if "kindd" in wrong else "valid are '") in str(refusal.value)


def test_unknown_kinds_and_near_names():
    refused("grid: unknown key 'schedul'; did you mean 'schedule'?", schedul=[])
    refused("problem.kind: unknown kind 'nakkiran'; did you mean 'nakkiran2020'?", problem={"kind": "nakkiran"})
    refused("problem.kind: unknown kind 'zzz'; valid are 'gaussian', 'quadratic', 'dataset'", problem={"kind": "zzz"})
    refused("problem (kind 'nakkiran2020'): unknown key 'strat'; did you mean 'start'?", problem__strat=[0, 0])
    refused("schedule 'schedule-1': unknown kind 'cosin'; did you mean 'cosine'?", schedule__0__kind="cosin")
    refused("schedule 'x': unknown kind 'cosin'; did you mean 'cosine'?", schedule=[{"name": "x", "kind": "cosin"}])
    wrong = [{"kind": "cosine", "learning_rat": 0.1, "steps": 5}]
    refused(
        "schedule 'cosine' (kind 'cosine'): unknown key 'learning_rat'; did you mean 'learning_rate'?", schedule=wrong
    )
    refused("schedule 'flow' (kind 'flow'): unknown key 'steps'; ", schedule__0__steps=5)
    refused("schedule 'flow'.unit: unknown unit 'sharpnes'; did you mean 'sharpness'?", schedule__0__unit="sharpnes")
    refused("optimizer 'gdd': unknown kind 'gdd'; ", optimizer=[{"kind": "gdd"}])
    refused("record.dtype: unknown value 'float23'; did you mean 'float32'?", record__dtype="float23")
    refused("record.seeds: unknown value 'al'; did you mean 'all'?", record__seeds="al")
    refused("engine: unknown engine 'recurence'; did you mean 'recurrence'?", engine="recurence")
    phases = [{"kind": "constnt", "learning_rate": 1.0}]
    refused("schedule 'p', phase 1: unknown kind 'constnt'", schedule=[{"name": "p", "phases": phases}])


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda v: show(v, 30))
def test_rates_that_are_none(value):
    constant = {"kind": "constant", "learning_rate": value}
    refused("schedule 'constant'.learning_rate must be a", schedule=[constant])


@pytest.mark.parametrize("key", ["record__flow_time", "stop__train_loss", "stop__excess_train_loss"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda v: show(v, 30))
def test_positive_numbers_that_are_none(key, value):
    changes = {"stop": {}, key: value} if key.startswith("stop") else {key: value}
    refused(f"{key.replace('__', '.')} must be a ", **changes)


@pytest.mark.parametrize(
    "key", ["seeds__count", "seeds__root", "stop__max_steps", "record__points", "run__block_seeds"]
)
@pytest.mark.parametrize("value", NO_COUNTS, ids=lambda v: show(v, 30))
def test_counts_that_are_none(key, value):
    refused(f"{key.replace('__', '.')} must be a whole number ", **{key: value})


def test_levels_that_are_none():
    refused("stop.train_loss must be a number from 0 to 1e+100, got 1e+101", stop={"train_loss": [1.0, 1e101]})
    refused("stop.excess_train_loss must be a number > 0, at most 1e+100, got 0", stop={"excess_train_loss": 0})
    assert grid(stop={"train_loss": 0}).levels == [0.0]


@pytest.mark.parametrize("key", ["seeds__count", "stop__max_steps"])
def test_zeros_that_are_not_allowed(key):
    refused(f"{key.replace('__', '.')} must be a whole number >= 1, got 0", **{key: 0})
    grid(seeds__root=0, record__points=0, run__block_seeds=0, record__seeds=0)


def test_a_rate_of_zero_is_allowed():
    made = grid(schedule=[{"kind": "constant", "learning_rate": [0, 0.1]}]).schedules()
    assert made[0][0].name == "constant[learning_rate=0.0]"


@pytest.mark.parametrize("table", ["problem", "seeds", "stop", "record", "run"])
@pytest.mark.parametrize("value", [1, "x", [], [{}], True, None], ids=repr)
def test_tables_that_are_none(table, value):
    refused(f"{table} must be a table, got {value!r}", **{table: value})


@pytest.mark.parametrize("value", [1, "x", {}, [], [1], [[]], [{}, 1], True], ids=repr)
@pytest.mark.parametrize("table", ["schedule", "optimizer"])
def test_lists_of_tables_that_are_none(table, value):
    refused(f"{table} must be a list of at least one table, [[{table}]], got ", **{table: value})


def test_missing_things():
    for key, message in {
        "problem": "[problem] is missing",
        "stop": "[stop] is missing",
        "schedule": "[[schedule]] is missing: at least one is needed",
    }.items():
        made = tables()
        del made[key]
        with pytest.raises(InputError, match="missing") as refusal:
            GridConfig.from_tables(made)
        assert str(refusal.value) == message
    refused("problem.kind is missing; valid are 'gaussian', 'quadratic', 'dataset', ", problem={})
    refused("problem (kind 'quadratic'): file is missing", problem={"kind": "quadratic"})
    refused(
        "stop must have exactly one of train_loss, excess_train_loss, train_loss_fraction, steps, validation, got none",
        stop={},
    )
    both = {"train_loss": [1.0], "excess_train_loss": [1.0]}
    refused("got train_loss and excess_train_loss", stop=both)
    refused("schedule 'x': kind is missing; valid are 'constant', ", schedule=[{"name": "x"}])
    refused("schedule 'constant' (kind 'constant'): learning_rate is missing", schedule=[{"kind": "constant"}])
    cosine = {"kind": "cosine", "learning_rate": 1.0}
    refused("schedule 'cosine' (kind 'cosine'): steps is missing", schedule=[cosine])
    constant = {"kind": "constant", "learning_rate": 1.0}
    refused("steps is missing in a phase that is not the last", schedule=[{"phases": [constant, constant]}])


def test_schedules_that_cannot_be():
    flow, step = {"kind": "flow"}, {"kind": "constant", "learning_rate": 1.0, "steps": 600}
    refused("a flow ends by itself and must be the last phase", schedule=[{"phases": [flow, step]}])
    refused("must be the last phase", schedule=[{"phases": [flow, flow]}])
    long = {"schedule": [{"phases": [step, step]}], "stop__max_steps": 1000}
    refused("its phases sum to 1200 steps, more than stop.max_steps = 1000", **long)
    refused("has both kind and phases", schedule=[{"kind": "flow", "phases": [flow]}])
    refused("schedule 'schedule-1': unknown key 'steps'", schedule=[{"phases": [flow], "steps": 3}])
    for value in ([], {}, "flow", [1], [[flow]]):
        refused("schedule 'schedule-1'.phases must be a list of at least one table", schedule=[{"phases": value}])
    for value in (1, ["flow"], True, {}):
        refused("kind must be a string, got ", schedule=[{"kind": value}])
        refused("problem.kind must be a string, got ", problem={"kind": value})
        refused("optimizer[0].kind must be a string, got ", optimizer=[{"kind": value}])
    refused("schedule name must be unique, got 'flow' 2 times", schedule=[flow, flow])
    twins = [{"kind": "constant", "learning_rate": [1.0, 2.0]}, {"name": "constant[learning_rate=2.0]", "kind": "flow"}]
    refused("schedule name must be unique, got 'constant[learning_rate=2.0]' 2 times", schedule=twins)
    refused("optimizer: the same one is given twice", optimizer=[{"kind": "gd"}, {}])


def test_lists_that_say_the_same_twice():
    refused("stop.train_loss must be a list of different levels, got [1, 1.0]", stop={"train_loss": [1, 1.0]})
    rates = [{"kind": "constant", "learning_rate": [0.1, 0.1]}]
    refused("schedule 'constant'.learning_rate must be a list of different values", schedule=rates)
    refused("problem.samples must be a list of different values", problem__samples=["all", "all"])
    refused("problem.start must be a list of different values", problem__start=[[0, 0], [0.0, 0]])


@pytest.mark.parametrize(
    "value", [[], [1], [1, 2, 3], [1, "x"], "x", 5, {}, [[1, 2], 3], [[1]], [[[1, 2]]], [1, float("nan")]]
)
def test_vectors_that_are_none(value):
    refused("problem.start must be a list of 2 finite numbers", problem__start=value)


@pytest.mark.parametrize(
    "value", ["", "  ", "a\nb", "a/b", "a\\b", ".hidden", "..", "n" * 201, "\u00fc" * 101, 5, ["x"], "\udc80", "\0"]
)
def test_names_that_are_none(value):
    refused("name must be ", name=value)
    if isinstance(value, str) and (not value.strip() or not value.isprintable()):
        refused("schedule[0].name must be a string", schedule__0__name=value)


def test_flags_that_are_none():
    for value in (1, "true", [True], None):
        refused("record.iterates must be true or false, got ", record__iterates=value)
    for value in (1, ["float32"], True, None):
        refused("record.dtype must be 'float64' or 'float32', got ", record__dtype=value)


def test_too_many_combinations_are_refused_before_they_are_made():
    many = [0.001 * k for k in range(1, 102)]
    began = time.process_time()
    four = {"kind": "polynomial", "learning_rate": many, "end_learning_rate": many, "power": many, "steps": 5}
    refused("schedule: its lists give 1,030,301 combinations, more than 1,000,000", schedule=[four])
    vectors = [[k, 0] for k in range(1001)]
    problem = {"kind": "nakkiran2020", "start": vectors, "theta_star": vectors}
    refused("problem: its lists give 1,002,001 combinations, more than 1,000,000", problem=problem)
    phases = [{"kind": "constant", "learning_rate": many, "steps": 1}] * 3000
    refused("schedule: its lists give far too many combinations, more than 1,000,000", schedule=[{"phases": phases}])
    refused("record.points must be a whole number from 0 to 1000000, got 1000000000", record__points=10**9)
    rates = [1e-5 * k for k in range(1, 5001)]
    methods = {"optimizer": [{"kind": "momentum", "momentum": rates}], "noise": [{"kind": "gradient", "sigma": rates}]}
    refused("grid: its lists give 25,000,000 combinations, more than 1,000,000", **methods)
    assert time.process_time() - began < 2.0  # made, they would take hours


def test_ten_thousand_schedules_take_a_moment():
    began = time.process_time()
    many = [0.001 * k for k in range(1, 101)]
    config = grid(schedule=[{"kind": "step", "learning_rate": many, "gamma": many, "step_size": 7}])
    assert len(config.schedules()) == 10_000
    assert time.process_time() - began < 10.0


def test_values_that_cannot_even_be_shown():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    refused("seeds.count must be a whole number >= 1, got a list too long to be shown", seeds__count=deep)
    refused("seeds.count must be a whole number from 1 to ", seeds__count=10**5000)
    assert show("x" * 1000).endswith("...") and len(show("x" * 1000)) == 80
    with pytest.raises(InputError, match="grid must be a table, got 5"):
        GridConfig.from_tables(5)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = \n", r"grid: not valid TOML: Invalid value \(at line 1, column 5\)"),
        ("x = 1\nx = 2\n", r"grid: not valid TOML: Cannot overwrite a value \(at line 2, column 6\): 'x = 2'"),
        ("x = 1\nrows = 3O\n", r"\(at line 2, column 9\): 'rows = 3O'; '3O' is no number, and text stands in quotes"),
        ("x = gaussian # so\n", "'gaussian' is no number, and text stands in quotes"),
        ("x = [1, 2\ny = 3\n", r"line 2, column 1\): 'y = 3'$"),
        ("x = " + "[" * 100_000, "grid: not valid TOML"),
        ("x = " + "9" * 10_000, "grid: not valid TOML"),
        ("none.toml", r"none\.toml: cannot be read: No such file or directory"),
        ("nul\0.toml", "cannot be read: embedded null byte"),
        ("latin.toml", r"latin\.toml: not UTF-8 text"),
        ("broken.toml", r"broken\.toml: not valid TOML: Invalid value"),
        (".", r"\.: cannot be read: Is a directory"),
    ],
    ids=range(12),
)
def test_sources_that_are_no_grid(source, message, folder):
    Path("latin.toml").write_bytes('name = "gr\u00f6\u00dfer"\n'.encode("latin-1"))
    Path("broken.toml").write_text("x = \n")
    with pytest.raises(InputError, match=message) as refusal:
        GridConfig.from_toml(source)
    assert len(str(refusal.value).splitlines()) == 1


# ---- anything ----

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, 1, -1, 2**63, 10**400]),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(
            ["flow", "constant", "cosine", "gd", "all", "random", "nakkiran2020", "quadratic", "sharpness"]
        ),
        st.dates(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
KEYS = st.one_of(
    st.sampled_from(
        [*TABLES, *(parameter.name for table in SETTINGS.values() for parameter in table), *RULES, "kind", "phases"]
    ),
    st.text(max_size=5),
)


def places(value, path=()):
    """Every place in nested tables and lists."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*path, key))


@given(st.data())
def test_a_grid_with_something_wrong_is_refused_or_runs(data):
    """Values replaced, keys added and taken away at random, anywhere: an InputError of one line, or a grid."""
    made = data.draw(grids())
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from([path for path in places(made) if path]))
        here = made
        for part in parents:
            here = here[part]
        action = data.draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "remove":
            del here[last]
        elif action == "add" and isinstance(here, dict):
            here[data.draw(KEYS)] = data.draw(VALUES)
        else:
            here[last] = data.draw(VALUES)
        assume(made)
    began = time.process_time()
    try:
        config = GridConfig.from_tables(made)
    except InputError as error:
        assert len(str(error).splitlines()) == len(error.faults)
        assert all(len(fault) < 2000 for fault in error.faults)
    else:
        assert GridConfig.from_toml(config.to_toml()) == config
    assert time.process_time() - began < 5.0


@given(st.text(max_size=60))
def test_any_text_is_a_grid_or_refused(source):
    with pytest.raises(InputError, match=r"\S"):
        GridConfig.from_toml(source + "\n")


@given(st.binary(max_size=60))
def test_any_file_is_a_grid_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "grid.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"grid\.toml|missing|unknown key|must be"):
        GridConfig.from_toml(path)


def test_tables_of_names_agree():
    assert {"gd", "momentum", "nesterov", "sgd", "adam", "schedule_free_sgd"} <= set(OPTIMIZERS)
    assert {"quadratic", "dataset", "nakkiran2020"} <= set(registry.kinds())
    assert simlr.GridConfig is GridConfig
