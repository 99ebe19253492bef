"""`[stop] landing = "exact"`: steps shortened to the level, by every engine, against bisection along the step."""

import kinds
import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from naive import landing as naive_landing
from simlr.errors import InputError
from simlr.inputs import toml
from simlr.papers import nakkiran2020

ENGINES = ["recurrence", "closed-form"]
KEPT = {"points": 0, "stop_residual": True}
SEEDS, STEPS = 4, 200
LEVELS = [0.9, 0.3, 0.05, 0.049, 1e-3, 1e-9]


def arrays(seed=0):
    """Seeds with a null direction, a floor, and a test loss whose minimum lies elsewhere."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(SEEDS, 3, 3))
    return {
        "curvature": np.array([0.9, 0.4, 0.0]) * rng.uniform(0.5, 1.0, (SEEDS, 1)),
        "residual": rng.normal(size=(SEEDS, 3)) + 1.0,
        "test_matrix": half @ half.transpose(0, 2, 1) / 3,
        "offset": rng.normal(0, 0.3, (SEEDS, 3)),
        "train_floor": rng.uniform(0.0, 0.01, SEEDS),
        "test_floor": rng.random(SEEDS),
    }


ARRAYS = arrays()


def problem_of(n):
    """Seed n for the twin."""
    order = ("curvature", "residual", "test_matrix", "offset", "train_floor", "test_floor")
    return naive.Quadratic(*(ARRAYS[key][n] for key in order))


def recomputed(run):
    """The train loss above its floor at every stop, from the residuals of the file, in extended precision."""
    r = run.stop_residual.astype(np.longdouble)
    return 0.5 * np.einsum("nd,sned->sne", run.curvature.astype(np.longdouble), r * r)


def landed(run):
    """Where a step was shortened."""
    return (run.status == 1) & (run.stop_step > 0)


def assert_at_the_level(run, level):
    """The train loss above its floor is the level above it at every landing, to 1e-12, and in the file not above it."""
    at, level = landed(run), np.broadcast_to(level, run.status.shape)
    excess = (level - run.train_floor[:, None].astype(np.longdouble))[at]
    # What is left of a level above the floor is known to the rounding of the level.
    known = np.maximum(1e-12, 2.0**-51 * level[at] / excess)
    assert (abs(recomputed(run)[at] / excess - 1.0) <= known).all()
    assert (run.train_loss[at] <= level[at]).all()


def schedule_of(kind, steps, parameters):
    """A schedule as a grid has it."""
    steps = {} if kind == "table" else {"steps": steps}
    return {"kind": kind, **steps, **{k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()}}


def own_rates(schedule):
    """The rates of a schedule."""
    if schedule["kind"] == "table":
        return schedule["learning_rates"]
    own = {key: tuple(value) if isinstance(value, list) else value for key, value in schedule.items() if key != "kind"}
    return simlr.schedules.tabulate(schedule["kind"], **own).tolist()


def check_cell(run, at, problem, path, rates):
    """One cell at one level against bisection along its step."""
    level = LEVELS[at[2]]
    wanted = naive_landing.land(path, lambda r: naive.train_loss(problem, r), level)
    if wanted is None:
        assert run.status[at] != 1 and np.isnan(run.stop_fraction[at])
        return
    assert run.status[at] == 1 and run.stop_step[at] == wanted.step
    if wanted.step == 0:
        assert run.stop_fraction[at] == 1.0 and run.stop_time[at] == 0.0
        return
    before = path[wanted.step - 1]
    eta, taken = rates[wanted.step - 1], sum(rates[: wanted.step - 1])
    # How well a share is known from losses that are known to 1e-13.
    slope = problem.curvature @ (wanted.point * (before - path[wanted.step]))
    known = 1e-9 + 1e-12 * naive.train_loss(problem, before) / max(slope, 1e-300)
    assert 0.0 < run.stop_fraction[at] <= 1.0
    assert abs(run.stop_fraction[at] - wanted.fraction) <= known
    np.testing.assert_allclose(run.stop_time[at], taken + run.stop_fraction[at] * eta, rtol=1e-9)
    point = before + run.stop_fraction[at] * (path[wanted.step] - before)
    np.testing.assert_allclose(run.stop_residual[at], point, rtol=0.0, atol=1e-10 * abs(before).max())
    np.testing.assert_allclose(run.test_loss[at], naive.test_loss(problem, run.stop_residual[at]), rtol=1e-9)


@pytest.mark.parametrize("kind", sorted(kinds.PARAMETERS))
@settings(max_examples=8)
@given(data=st.data())
def test_every_kind_of_schedule_lands_where_bisection_does(run_arrays, kind, data):
    """In both engines, which agree; the steps are those at which whole ones stop."""
    parameters = data.draw(st.fixed_dictionaries(kinds.PARAMETERS[kind]))
    schedule = schedule_of(kind, data.draw(kinds.steps_of(kind)), parameters)
    stop = {"train_loss": LEVELS, "max_steps": STEPS}
    found = [
        run_arrays(ARRAYS, [schedule], None, stop=stop | {"landing": "exact"}, record=KEPT, engine=engine)
        for engine in ENGINES
    ]
    whole = run_arrays(ARRAYS, [schedule], None, stop=stop, record=KEPT, engine="recurrence")
    rates = own_rates(schedule)
    for run in found:
        assert_at_the_level(run, np.array(LEVELS))
        np.testing.assert_array_equal(run.stop_step, whole.stop_step)
        np.testing.assert_array_equal(run.status, whole.status)
        for n in range(SEEDS):
            problem = problem_of(n)
            path = naive.path(problem, rates)
            for e in range(len(LEVELS)):
                check_cell(run, (0, n, e), problem, path, rates)
    assert_equal_engines(*found)


def assert_equal_engines(one, other):
    """The same landings, to 1e-10 of what a residual is there."""
    np.testing.assert_array_equal(one.status, other.status)
    at = one.status == 1
    for name in ("train_loss", "test_loss", "stop_time"):
        np.testing.assert_allclose(one[name][at], other[name][at], rtol=1e-10, err_msg=name)
    size = np.nanmax(abs(one.stop_residual), axis=3, keepdims=True)
    difference = abs(one.stop_residual - other.stop_residual) / np.where(size > 0.0, size, 1.0)
    assert np.nanmax(difference[at], initial=0.0) <= 1e-10


@pytest.mark.parametrize("unit", ["absolute", "sharpness"])
def test_long_schedules_land_by_powers_by_tables_and_by_steps(run_arrays, unit):
    """Tens of thousands of steps, phases, and a flow behind them, whose crossings are exact as they are."""
    phases = [{"kind": "cosine", "learning_rate": 0.01, "steps": 3000}, {"kind": "flow"}]
    schedules = [
        {"name": "constant", "kind": "constant", "learning_rate": [2e-4, 0.03, 1.0, 1.9], "steps": 30000},
        {"name": "cosine", "kind": "cosine", "learning_rate": [0.003, 1.7], "steps": 30000},
        {"name": "step", "kind": "step", "learning_rate": 1.1, "step_size": 700, "gamma": 0.6, "steps": 20000},
        {"name": "phases", "phases": phases},
    ]
    many = {name: np.tile(values, (17,) + (1,) * (values.ndim - 1)) for name, values in ARRAYS.items()}
    given = [schedule | {"unit": unit} for schedule in schedules]
    stop = {"excess_train_loss": [0.3, 0.05, 0.049, 1e-3, 1e-7, 1e-12], "landing": "exact", "max_steps": 30000}
    found = [run_arrays(many, given, None, stop=stop, record=KEPT, engine=e) for e in (*ENGINES, "auto")]
    assert set(found[2].engine) >= {1, 3} or set(found[2].engine) >= {2, 3}
    for run in found:
        at = landed(run)
        assert at.sum() > 1000
        assert np.max(abs(recomputed(run)[at] / np.broadcast_to(run.level, at.shape)[at] - 1.0)) <= 1e-12
        in_flow = (run.status == 1) & (run.stop_step == 3000) & (np.arange(len(run.schedule)) == 7)[:, None, None]
        assert in_flow.any() and (run.stop_fraction[in_flow] == 1.0).all()
        assert (np.isnan(run.stop_fraction) == (run.status != 1)).all()
    assert_equal_engines(found[0], found[1])
    assert_equal_engines(found[0], found[2])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rate", [1.0, 1.0 - 1e-9, 1.0 + 1e-5])
def test_a_step_that_kills_the_loss_lands_on_levels_far_below(run_arrays, rate, engine):
    """One step takes all, or a billionth of a billionth of it away; many levels are met in it, each with its share."""
    one = {"curvature": np.array([1.0]), "residual": np.array([1.0])}
    levels = [0.4, 1e-3, 1e-9, 1e-10]
    schedule = [{"kind": "constant", "learning_rate": rate, "steps": 5}]
    run = run_arrays(one, schedule, None, stop={"train_loss": levels, "landing": "exact"}, record=KEPT, engine=engine)
    assert (run.stop_step == 1).all()
    np.testing.assert_allclose(recomputed(run)[0, 0].astype(float), levels, rtol=1e-15)
    fractions = (1.0 - np.sqrt(2.0 * np.array(levels))) / rate
    np.testing.assert_allclose(run.stop_fraction[0, 0], fractions, rtol=1e-12)
    np.testing.assert_allclose(run.stop_time[0, 0], rate * fractions, rtol=1e-12)


def test_axes_that_died_and_grew_again_land_too(run_arrays):
    """The steep axis falls to 1e-915, grows above the level by rates beyond 2 / lam, and falls with the flat one."""
    phases = [
        {"kind": "constant", "learning_rate": 0.1, "steps": 20000},
        {"kind": "constant", "learning_rate": 2.5, "steps": 5300},
        {"kind": "constant", "learning_rate": 1.9, "steps": 40000},
    ]
    one = {"curvature": np.array([1.0, 1e-4]), "residual": np.array([1.0, 200.0])}
    stop = {"train_loss": [0.083, 0.08, 1e-3], "landing": "exact"}
    found = [run_arrays(one, [{"phases": phases}], None, stop=stop, record=KEPT, engine=engine) for engine in ENGINES]
    for run in found:
        assert (run.status == 1).all() and (run.stop_step > 25300).all()
        assert_at_the_level(run, run.level)
        assert abs(run.stop_residual[0, 0, 0, 0]) > 0.01
    assert_equal_engines(*found)


# ---- whole runs ----

METHODS = """
name = "walks"
[problem]
kind = "dataset"
file = "diabetes.csv"
train_rows = [30, 21]
test_rows = 50
[seeds]
count = 9
root = 5
[stop]
train_loss = [0.65, 0.9, 0.89]
max_steps = 400
landing = "exact"
[record]
points = 12
seeds = 3
stop_residual = true
[[schedule]]
kind = "constant"
learning_rate = [0.02, 0.1]
[[schedule]]
kind = "cosine"
unit = "sharpness"
learning_rate = 0.5
steps = 300
[[optimizer]]
kind = "gd"
[[optimizer]]
kind = "momentum"
momentum = 0.9
average = "tail"
[[optimizer]]
kind = "nesterov"
average = "exponential"
[[noise]]
kind = "none"
[[noise]]
kind = "gradient"
sigma = 0.1
[[noise]]
kind = "gradient"
sigma = 0.1
covariance = "hessian"
[[noise]]
kind = "minibatch"
batch_size = 5
[[noise]]
kind = "minibatch"
batch_size = 4
sampling = "epochs"
"""


def methods(**changes):
    return simlr.GridConfig.from_tables(toml.read(METHODS)[0], runs.ROOT / "data").replace(**changes)


@pytest.fixture(scope="module")
def walks():
    return simlr.run(methods())


def test_methods_land_in_a_grid_where_their_whole_steps_stop(walks):
    whole = simlr.run(methods(stop={"landing": "step"}))
    assert "stop_fraction" not in whole.names
    assert_at_the_level(walks, walks.level)
    for name in ("status", "stop_step", "trajectory_train_loss", "trajectory_average_test_loss"):
        np.testing.assert_array_equal(walks[name], whole[name], err_msg=name)
    at = landed(walks)
    assert (at.any(axis=(1, 2))).all()
    assert (walks.stop_time[at] < whole.stop_time[at]).all() and (walks.train_loss >= whole.train_loss)[at].all()
    assert (np.isnan(walks.stop_fraction) == (walks.status != 1)).all()
    averaging = np.array(["average" in name for name in walks.schedule])[:, None, None]
    assert (np.isfinite(walks.average_test_loss) == averaging).all()


def test_bits_do_not_depend_on_threads_blocks_and_interruptions(walks, tmp_path):
    for threads, block_seeds in ((1, 0), (2, 4), (1, 18)):
        runs.assert_same_bits(walks, simlr.run(methods(run={"block_seeds": block_seeds}), threads=threads))
    config = runs.grid(stop__landing="exact", record__stop_residual=True)
    half = runs.run_blocks(config, tmp_path / "half.h5", [0, 2])
    assert np.isnan(half.stop_fraction[:, 7:14]).all() and np.isfinite(half.stop_fraction[0, :7]).all()
    simlr.run(config, out=tmp_path / "half.h5", resume=True)
    runs.assert_same_bits(simlr.load(tmp_path / "half.h5"), simlr.run(config.replace(run={"block_seeds": 3})))


def test_constant_rates_tend_to_the_flow_as_they_fall():
    """The default grid at equal train loss: the smaller a constant rate, the nearer its test loss is to the flow's."""
    rates = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    schedule = [{"kind": "flow"}, {"kind": "constant", "learning_rate": rates}]
    grid = runs.grid(nakkiran2020.GRID, seeds__count=40, record__points=0, schedule=schedule, stop__landing="exact")
    run = simlr.run(grid)
    mixed = run.curvature[:, 1] > 0.0
    away = abs(run.test_loss[1:] / run.test_loss[0] - 1.0)[:, mixed]
    assert (run.status[:, mixed] == 1).all() and mixed.sum() > 20
    # The nearest ones agree to rounding at the lowest levels.
    assert (np.diff(away, axis=0) <= 1e-12).all() and (away[-1] < 0.02 * away[0] + 1e-12).all()


# ---- the grid ----


def test_whole_steps_are_the_default_and_leave_the_grid_as_it_was():
    assert runs.grid(stop__landing="step") == runs.grid()
    assert runs.grid(stop__landing="step").identity() == runs.grid().identity()
    exact = runs.grid(stop__landing="exact")
    assert exact.stop["landing"] == "exact" and exact.identity() != runs.grid().identity()
    assert simlr.GridConfig.from_toml(exact.to_toml()) == exact
    assert exact.replace(stop={"landing": "step"}) == runs.grid()


@pytest.mark.parametrize(
    ("stop", "sentence"),
    [
        ({"train_loss": [0.1], "landing": "exactly"}, "stop.landing: unknown landing 'exactly'; did you mean 'exact'?"),
        ({"train_loss": [0.1], "landing": 1}, "stop.landing must be 'step' or 'exact', got 1"),
        ({"steps": [10], "landing": "exact"}, "shortens a step to a train loss, and stop.steps has none to land on"),
        ({"validation": {"patience": 5}, "landing": "exact"}, "and stop.validation has none to land on"),
    ],
)
def test_what_cannot_be_landed_on_is_refused_in_one_line(stop, sentence):
    tables = {"problem": {"kind": "nakkiran2020"}, "stop": stop, "schedule": [{"kind": "constant", "learning_rate": 1}]}
    with pytest.raises(InputError) as refusal:
        simlr.GridConfig.from_tables(tables)
    assert sentence in str(refusal.value) and "\n" not in str(refusal.value)
