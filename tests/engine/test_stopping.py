"""Stopping rules: budgets of steps, shares of the first train loss, and validation, against loops."""

import math

import kinds
import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from naive import stochastic as naive_stochastic
from naive import stopping as naive_stopping
from simlr.config import stop as stop_rules
from simlr.errors import InputError
from simlr.inputs import toml
from simlr.kernels import validation

SEEDS, STEPS = 6, 200
STATUS = {"stopped": 6, "spent": 5, "diverged": 3, "ended": 2}
# Rates of the kinds go up to 10, so many of these diverge.
CURVATURE = np.array([0.9, 0.4, 0.0])
RULES = {
    "fraction": {"train_loss_fraction": [0.5, 0.01], "max_steps": 3000},  # noisy runs end there
    "steps": {"steps": [70, 3, 200], "max_steps": 300},
    "validation": {"validation": {"patience": [5, 1], "every": 4, "min_delta": 1e-4}, "max_steps": 300},
    "relative": {
        "validation": {"patience": [5, 1], "every": 4, "min_delta": 0.01, "min_delta_mode": "relative"},
        "max_steps": 300,
    },
}


# ---- the rule alone ----


def followed(curve, patiences, min_delta, window, relative=False):
    """The kernel's rule on a curve, a window of checks at a time: [(best check, stop check or None), ...]."""
    patience, least = np.array(patiences), (0.0, min_delta) if relative else (min_delta, 0.0)
    best_at, stopped_at = np.empty(patience.size, np.int64), np.empty(patience.size, np.int64)
    best, wait, decided, best_check = np.inf, -1, 0, 0
    found = [None] * patience.size
    for first in range(0, len(curve), window):
        part, before = np.array(curve[first : first + window]), decided
        best, wait, decided, improved = validation.follow_losses(
            part, part.size, patience, *least, best, wait, decided, best_at, stopped_at
        )
        for k in range(before, decided):
            found[k] = best_check if best_at[k] == validation.EARLIER else first + best_at[k], first + stopped_at[k]
        best_check = best_check if improved == validation.EARLIER else first + improved
        if decided == patience.size:
            break
    return [one or (best_check, None) for one in found]


# Few values, so that ties and falls of exactly min_delta abound; and what is no number.
LOSSES = st.one_of(
    st.sampled_from([0.0, 1.0, 0.75, 0.5, 0.25, math.nan, math.inf, -math.inf, 1e308]), st.floats(allow_nan=True)
)


@settings(max_examples=1000)
@given(
    st.lists(LOSSES, min_size=1, max_size=60),
    st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True).map(sorted),
    st.sampled_from([0.0, 0.25, 1e-12, 1e300]),
    st.integers(1, 20),
)
def test_every_patience_ends_where_a_loop_for_it_alone_does(curve, patiences, min_delta, window):
    wanted = [naive_stopping.early_stopping(curve, p, min_delta) for p in patiences]
    assert followed(curve, patiences, min_delta, window) == wanted


@settings(max_examples=1000)
@given(
    st.lists(st.one_of(LOSSES, st.sampled_from([-1.0, -1.01, 0.99, 0.9801])), min_size=1, max_size=60),
    st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True).map(sorted),
    st.sampled_from([0.0, 0.25, 0.01, 1e-12]),
    st.integers(1, 20),
)
def test_a_share_of_the_best_loss_ends_patiences_where_a_loop_does(curve, patiences, share, window):
    wanted = [naive_stopping.early_stopping(curve, p, share, True) for p in patiences]
    found = followed(curve, patiences, share, window, True)
    assert found == wanted
    # Relative to the best, a power of two in all losses changes nothing; that is what it is for.
    small = [loss for loss in curve if not 0.0 < abs(loss) < 1e-280 and not abs(loss) > 1e280]
    assert followed([8.0 * loss for loss in small], patiences, share, window, True) == followed(
        small, patiences, share, window, True
    )


def test_a_thousand_random_curves():
    """Noisy falls and rises, as validation curves have them."""
    rng = np.random.default_rng(0)
    for _ in range(1000):
        length = int(rng.integers(2, 400))
        curve = np.exp(-np.arange(length) / 30.0) + 0.003 * np.arange(length) + rng.normal(0, 0.05, length)
        curve = curve.round(int(rng.integers(1, 6)))
        curve[rng.random(length) < 0.02] = rng.choice([np.nan, np.inf])
        patiences, min_delta = [1, 3, 10, 50], float(rng.choice([0.0, 0.01]))
        wanted = [naive_stopping.early_stopping(curve.tolist(), p, min_delta) for p in patiences]
        assert followed(curve, patiences, min_delta, int(rng.integers(1, 33))) == wanted


# ---- whole runs ----


def arrays(seed=0):
    """Seeds with a null direction, and validation and test losses whose minima lie elsewhere."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(2, SEEDS, 3, 3))
    held_out = factors @ factors.transpose(0, 1, 3, 2) / 3
    return {
        "curvature": CURVATURE * rng.uniform(0.5, 1.0, (SEEDS, 1)),
        "residual": rng.normal(size=(SEEDS, 3)),
        "train_floor": rng.uniform(0.0, 0.1, SEEDS),
        "test_matrix": held_out[0],
        "offset": rng.normal(0, 0.3, (SEEDS, 3)),
        "test_floor": rng.random(SEEDS),
        "validation_matrix": held_out[1],
        "validation_offset": rng.normal(0, 0.3, (SEEDS, 3)),
        "validation_floor": rng.random(SEEDS),
    }


ARRAYS = arrays()


def problem_of(n):
    """Seed n's train and test loss."""
    a = {name: values[n] for name, values in ARRAYS.items()}
    return naive.quadratic(
        a["curvature"], a["residual"], a["test_matrix"], a["offset"], a["train_floor"], a["test_floor"]
    )


def validation_of(n):
    """Seed n's validation loss, as the test loss of a problem."""
    a = {name: values[n] for name, values in ARRAYS.items()}
    return naive.quadratic(
        a["curvature"], a["residual"], a["validation_matrix"], a["validation_offset"], 0.0, a["validation_floor"]
    )


def paths(rates):
    """[(iterates, whether the last of them has diverged), ...] of every seed."""
    found = []
    for n in range(SEEDS):
        problem = problem_of(n)
        path = naive.path(problem, rates)
        found.append((path, not naive.train_loss(problem, path[-1]) <= naive.LIMIT))
    return found


def check_cell(run, s, n, e, path, outcome, step, train, test):
    """One cell at one level against the iterate of a loop."""
    where = f"schedule {s}, seed {n}, level {e}: {outcome} at {step}"
    assert run.status[s, n, e] == STATUS[outcome], where
    assert run.stop_step[s, n, e] == step, where
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(run.train_loss[s, n, e], train(path[step]), rtol=1e-9, atol=1e-13, err_msg=where)
        np.testing.assert_allclose(run.test_loss[s, n, e], test(path[step]), rtol=1e-9, atol=1e-13, err_msg=where)


def check_validation(run, rule, rates, s=0):
    """All cells of a schedule that validation stopped."""
    for n, (path, diverged) in enumerate(paths(rates)):
        held_out, problem = validation_of(n), problem_of(n)
        for e, patience in enumerate(rule["patience"]):
            outcome, step, end = naive_stopping.validated(
                lambda t: naive.test_loss(held_out, path[t]), len(path) - 1, diverged,  # noqa: B023 - used at once
                rule["every"], patience, rule["min_delta"], rule.get("restore", True),
                rule.get("min_delta_mode") == "relative",
            )  # fmt: skip
            losses = (lambda r: naive.train_loss(problem, r)), (lambda r: naive.test_loss(problem, r))  # noqa: B023
            check_cell(run, s, n, e, path, outcome, step, *losses)
            assert run.stop_look_step[s, n, e] == end
            with np.errstate(all="ignore"):
                wanted = naive.test_loss(held_out, path[step])
            np.testing.assert_allclose(run.validation_loss[s, n, e], wanted, rtol=1e-9)
            np.testing.assert_allclose(run.stop_time[s, n, e], math.fsum(rates[:step]), rtol=1e-9, atol=1e-300)


def check_budgets(run, budgets, rates, s=0):
    """All cells of a schedule that budgets stopped."""
    for n, (path, diverged) in enumerate(paths(rates)):
        problem = problem_of(n)
        for e, budget in enumerate(budgets):
            outcome, step = naive_stopping.at_budget(budget, len(path) - 1, diverged)
            losses = (lambda r: naive.train_loss(problem, r)), (lambda r: naive.test_loss(problem, r))  # noqa: B023
            check_cell(run, s, n, e, path, outcome, step, *losses)
            np.testing.assert_allclose(run.stop_time[s, n, e], math.fsum(rates[:step]), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("kind", sorted(kinds.PARAMETERS))
@settings(max_examples=8)
@given(data=st.data())
def test_validation_stops_every_kind_of_schedule_where_a_loop_does(run_arrays, kind, data):
    parameters = data.draw(st.fixed_dictionaries(kinds.PARAMETERS[kind]))
    steps = data.draw(kinds.steps_of(kind))
    rule = {
        "patience": data.draw(st.sampled_from([[1], [7, 2], [3, 30, 1]])),
        "every": data.draw(st.integers(1, min(steps, 25))),
        "min_delta": data.draw(st.sampled_from([1e-6, 1e-2])),
        "min_delta_mode": data.draw(st.sampled_from(["absolute", "relative"])),
        "restore": data.draw(st.booleans()),
    }
    schedule = schedule_of(kind, steps, parameters)
    run = run_arrays(ARRAYS, [schedule], None, stop={"validation": rule, "max_steps": STEPS})
    check_validation(run, rule, own_rates(schedule))


@pytest.mark.parametrize("kind", sorted(kinds.PARAMETERS))
@settings(max_examples=8)
@given(data=st.data())
def test_budgets_stop_every_kind_of_schedule_where_a_loop_does(run_arrays, kind, data):
    parameters = data.draw(st.fixed_dictionaries(kinds.PARAMETERS[kind]))
    steps = data.draw(kinds.steps_of(kind))
    budgets = data.draw(st.lists(st.integers(1, STEPS), min_size=1, max_size=4, unique=True))
    engine = data.draw(st.sampled_from(["auto", "recurrence", "closed-form"]))
    schedule = schedule_of(kind, steps, parameters)
    run = run_arrays(ARRAYS, [schedule], None, stop={"steps": budgets, "max_steps": STEPS}, engine=engine)
    check_budgets(run, budgets, own_rates(schedule))


def schedule_of(kind, steps, parameters):
    """A schedule as a grid has it."""
    steps = {} if kind == "table" else {"steps": steps}
    return {"kind": kind, **steps, **{k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()}}


def own_rates(schedule):
    """The rates of a schedule; what they are is for the tests of schedules."""
    if schedule["kind"] == "table":
        return schedule["learning_rates"]
    own = {key: tuple(value) if isinstance(value, list) else value for key, value in schedule.items() if key != "kind"}
    return simlr.schedules.tabulate(schedule["kind"], **own).tolist()


def test_jumps_to_budgets_and_looks_end_where_steps_do(run_arrays):
    """Long schedules, constant, in pieces and varying: closed forms against the recurrence and the loop."""
    schedules = [
        {"kind": "constant", "learning_rate": [0.02, 2.0, 2.4], "steps": 12000},
        {"kind": "step", "learning_rate": 1.9, "step_size": 700, "gamma": 0.6, "steps": 12000},
        {"kind": "cosine", "learning_rate": 1.5, "steps": 12000},
        {"kind": "constant", "learning_rate": 0.03, "steps": 900, "unit": "sharpness"},
    ]
    given = [s | {"name": str(i)} for i, s in enumerate(schedules)]
    budgets = [11000, 1, 5000, 64, 4096, 4097]
    stop = {"steps": budgets, "max_steps": 12000}
    engines = ("auto", "recurrence", "closed-form")
    many = {name: np.tile(values, (11,) + (1,) * (values.ndim - 1)) for name, values in ARRAYS.items()}
    found = {engine: run_arrays(many, given, None, stop=stop, engine=engine) for engine in engines}
    assert [set(found[engine].engine) for engine in engines] == [{2, 3}, {1}, {2}]
    for run in found.values():
        for s, rates in enumerate([[0.02] * 12000, [2.0] * 12000, [2.4] * 12000]):
            check_budgets(run, budgets, rates, s)
        np.testing.assert_array_equal(run.status, found["recurrence"].status)
        np.testing.assert_allclose(run.test_loss, found["recurrence"].test_loss, rtol=1e-9)
        np.testing.assert_allclose(run.stop_time, found["recurrence"].stop_time, rtol=1e-12)
    for mode in ("absolute", "relative"):
        rule = {"patience": [2, 40], "every": 70, "min_delta": 1e-7, "min_delta_mode": mode}
        stop = {"validation": rule, "max_steps": 12000}
        found = {engine: run_arrays(ARRAYS, given, None, stop=stop, engine=engine) for engine in ("auto", "recurrence")}
        assert found["auto"].engine.tolist() == [2, 2, 2, 2, 1, 2]
        for run in found.values():
            for s, rate in enumerate([0.02, 2.0, 2.4]):
                check_validation(run, rule, [rate] * 12000, s)
            for name in ("status", "stop_step", "stop_look_step"):
                np.testing.assert_array_equal(run[name], found["recurrence"][name])
            np.testing.assert_allclose(run.test_loss, found["recurrence"].test_loss, rtol=1e-9)


def test_budgets_far_beyond_what_one_steps_through(run_arrays):
    """A million million steps of a constant rate, against the power."""
    arrays_ = {"curvature": np.array([[1.0, 1e-9]]), "residual": np.array([[1.0, 1.0]])}
    budgets = [10**12, 10**9, 10]
    run = run_arrays(arrays_, [{"kind": "constant", "learning_rate": 0.5}], None, stop={"steps": budgets})
    assert run.config.stop["max_steps"] == 10**12
    for e, budget in enumerate(budgets):
        r = [math.exp(budget * math.log1p(-0.5 * lam)) for lam in (1.0, 1e-9)]
        assert run.status[0, 0, e] == 5 and run.stop_step[0, 0, e] == budget
        np.testing.assert_allclose(run.test_loss[0, 0, e], sum(x * x for x in r) / 2, rtol=1e-6)
        np.testing.assert_allclose(run.stop_time[0, 0, e], 0.5 * budget, rtol=1e-12)


def test_a_share_is_a_level_of_the_seed(run_arrays):
    """Each seed stops where it would at its own level, in steps and in flows."""
    schedules = [
        {"kind": "constant", "learning_rate": 0.4, "steps": 150},
        {"name": "flow", "phases": [{"kind": "constant", "learning_rate": 1.2, "steps": 2}, {"kind": "flow"}]},
    ]
    fractions = [0.1, 0.9, 0.5]
    run = run_arrays(ARRAYS, schedules, None, stop={"train_loss_fraction": fractions})
    outcomes = set()
    for n in range(SEEDS):
        problem = problem_of(n)
        for s, (rates, flows) in enumerate([([0.4] * 150, False), ([1.2] * 2, True)]):
            for e, fraction in enumerate(fractions):
                wanted = naive.stop(problem, rates, fraction * naive.train_loss(problem, problem.residual), flows)
                outcomes.add(wanted.status)
                assert run.status[s, n, e] == wanted.status
                assert run.stop_step[s, n, e] == wanted.step
                np.testing.assert_allclose(run.stop_time[s, n, e], wanted.time, rtol=1e-9)
                np.testing.assert_allclose(run.test_loss[s, n, e], wanted.test_loss, rtol=1e-8)
                assert wanted.status != 1 or run.train_loss[s, n, e] <= fraction * run_start(run, n) * (1 + 1e-15)
    assert {1, 4} <= outcomes


def run_start(run, n):
    return run.train_floor[n] + 0.5 * float(np.sum(run.curvature[n] * run.initial_residual[n] ** 2))


# ---- stochastic steps ----

STOCHASTIC = {
    "optimizer": [{"kind": "momentum", "momentum": 0.8, "average": "exponential", "average_decay": 0.9}],
    "noise": [{"kind": "gradient", "sigma": [0.0, 0.3]}],
}


def noisy_momentum(sigma, rates):
    """The iterates of momentum with noise, of every seed."""
    found = []
    for n in range(SEEDS):
        gradient = naive_stochastic.isotropic(ARRAYS["curvature"][n], sigma, 0, n)
        found.append(naive_stochastic.iterates(gradient, ARRAYS["residual"][n], rates, "momentum", 0.8))
    return found


@pytest.mark.parametrize("restore", [True, False])
@pytest.mark.parametrize(("least", "relative"), [(1e-6, False), (0.02, True)])
def test_stochastic_steps_stop_where_loops_do(run_arrays, restore, least, relative):
    rates, rule = [0.05] * 150, {"patience": [4, 12], "every": 5, "min_delta": least, "restore": restore}
    rule["min_delta_mode"] = "relative" if relative else "absolute"
    schedule = [{"kind": "constant", "learning_rate": 0.05, "steps": 150}]
    run = run_arrays(ARRAYS, schedule, None, stop={"validation": rule}, **STOCHASTIC)
    spent = run_arrays(ARRAYS, schedule, None, stop={"steps": [60, 150, 500]}, **STOCHASTIC)
    outcomes = set()
    for s, sigma in enumerate([0.0, 0.3]):
        for n, path in enumerate(noisy_momentum(sigma, rates)):
            average = naive_stochastic.exponential(path, 0.9)
            problem, held_out = problem_of(n), validation_of(n)
            losses = (lambda r: naive.train_loss(problem, r)), (lambda r: naive.test_loss(problem, r))  # noqa: B023
            for e, patience in enumerate(rule["patience"]):
                outcome, step, end = naive_stopping.validated(
                    lambda t: naive.test_loss(held_out, path[t]), 150, False, 5, patience, least, restore, relative  # noqa: B023
                )  # fmt: skip
                outcomes.add(outcome)
                check_cell(run, s, n, e, path, outcome, step, *losses)
                assert run.stop_look_step[s, n, e] == end
                wanted = naive.test_loss(problem, average[step])
                np.testing.assert_allclose(run.average_test_loss[s, n, e], wanted, rtol=1e-9)
            for e, budget in enumerate([60, 150, 500]):
                outcome, step = naive_stopping.at_budget(budget, 150, False)
                check_cell(spent, s, n, e, path, outcome, step, *losses)
                wanted = naive.test_loss(problem, average[step])
                np.testing.assert_allclose(spent.average_test_loss[s, n, e], wanted, rtol=1e-9)
    assert outcomes == {"stopped", "ended"}


def test_validation_rows_stand_between_train_rows_and_test_rows(run_grid):
    """Mini-batches on real rows, checked on the same split's validation rows: a loop in theta, in NumPy alone."""
    problem = {"kind": "dataset", "file": "diabetes.csv", "train_rows": 30, "validation_rows": 25, "test_rows": 40}
    rule = {"patience": [3, 10], "every": 4, "min_delta": 1e-4}
    tables = {"seeds": {"count": 5, "root": 9}, "noise": [{"kind": "none"}, {"kind": "minibatch", "batch_size": 3}]}
    schedule = [{"kind": "constant", "learning_rate": 0.02, "steps": 120}]
    data = runs.ROOT / "data"
    run = run_grid(problem, schedule, None, stop={"validation": rule}, folder=data, **tables)
    table = np.loadtxt(data / "diabetes.csv", delimiter=",", skiprows=1)
    for n in range(5):
        train, held_out = naive.split(9, n, len(table), 30, 65)
        rows = naive.standardized(table, train)
        (x, y), (vx, vy), (zx, zy) = ((rows[own, :-1], rows[own, -1]) for own in (train, held_out[:25], held_out[25:]))
        exact = naive.descend_rows(x, y, np.zeros(10), [0.02] * 120)
        noisy = naive_stochastic.iterates(naive_stochastic.with_replacement(x, y, 3, 9, n), np.zeros(10), [0.02] * 120)
        for s, path in enumerate([exact, noisy]):
            for e, patience in enumerate(rule["patience"]):
                outcome, step, end = naive_stopping.validated(
                    lambda t: naive.mean_squared_error(vx, vy, path[t]), 120, False, 4, patience, 1e-4, True  # noqa: B023
                )  # fmt: skip
                assert run.status[s, n, e] == STATUS[outcome]
                assert (run.stop_step[s, n, e], run.stop_look_step[s, n, e]) == (step, end)
                wanted = naive.mean_squared_error(vx, vy, path[step]), naive.mean_squared_error(zx, zy, path[step])
                found = run.validation_loss[s, n, e], run.test_loss[s, n, e]
                np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_validation_rows_leave_the_train_rows_alone(run_grid):
    problem = {"kind": "dataset", "file": "diabetes.csv", "train_rows": 30, "test_rows": 40}
    schedule = [{"kind": "constant", "learning_rate": 0.02, "steps": 50}]
    tables = {"seeds": {"count": 4}, "folder": runs.ROOT / "data"}
    before = run_grid(problem, schedule, [0.5], **tables)
    after = run_grid(problem | {"validation_rows": 60}, schedule, [0.5], **tables)
    for name in ("train_loss", "stop_step", "curvature", "train_minimiser"):
        np.testing.assert_array_equal(before[name], after[name])
    assert (before.test_loss != after.test_loss).all()


# ---- the same bits ----

BITS = """
name = "bits"
[problem]
kind = "dataset"
file = "{file}"
train_rows = [20, 7]
validation_rows = 15
[seeds]
count = 23
[record]
points = 12
seeds = 3
iterates = true
[[schedule]]
kind = "constant"
unit = "sharpness"
learning_rate = [0.3, 2.3]
[[schedule]]
kind = "cosine"
unit = "sharpness"
learning_rate = 1.0
steps = 290
{methods}
"""
METHODS = (
    '[[optimizer]]\nkind = "gd"\n[[optimizer]]\nkind = "momentum"\n[[noise]]\nkind = "minibatch"\nbatch_size = 2\n'
)


def bits_grid(rule, methods, block_seeds=0):
    text = BITS.format(file=runs.ROOT / "data" / "diabetes.csv", methods=methods)
    tables = toml.read(text)[0]
    return simlr.GridConfig.from_tables(tables | {"stop": RULES[rule], "run": {"block_seeds": block_seeds}})


@pytest.mark.parametrize("methods", ["", METHODS], ids=["exact", "stochastic"])
@pytest.mark.parametrize("rule", RULES)
def test_bits_depend_on_neither_threads_nor_blocks_nor_interruptions(tmp_path, rule, methods):
    whole = simlr.run(bits_grid(rule, methods))
    for threads, block_seeds in [(1, 46), (2, 5), (1, 1)]:
        runs.assert_same_bits(simlr.run(bits_grid(rule, methods, block_seeds), threads=threads), whole)
    path = tmp_path / "run.h5"
    runs.run_blocks(bits_grid(rule, methods, 6), path, [1, 4])
    if "validation" in RULES[rule]:
        assert np.isnan(simlr.load(path).validation_loss[:, :6]).all()
        assert (simlr.load(path).stop_look_step[:, :6] == -1).all()
    runs.assert_same_bits(simlr.run(bits_grid(rule, methods, 6), path, resume=True), whole)


def test_closed_forms_look_to_the_same_bits_whatever_the_block(run_arrays):
    schedule = [{"kind": "constant", "learning_rate": [0.03, 2.3], "steps": 5000}]
    stop = {"validation": {"patience": [2, 9], "every": 100}}
    first, other = (
        run_arrays(ARRAYS, schedule, None, stop=stop, run={"block_seeds": n}, threads=t) for n, t in [(6, 1), (1, 2)]
    )
    assert first.engine.tolist() == [2, 2]
    for name in ("status", "stop_step", "stop_time", "test_loss", "validation_loss", "stop_look_step"):
        assert first[name].tobytes() == other[name].tobytes()


def test_trajectories_are_those_of_a_run_with_levels(run_arrays):
    schedule = [{"kind": "constant", "learning_rate": 0.3, "steps": 200}, {"kind": "flow"}]
    tables = {"record": {"points": 20, "seeds": "all", "iterates": True}}
    wanted = run_arrays(ARRAYS, schedule[:1], [1e-9], **tables)
    for stop in ({"steps": [3, 20]}, {"validation": {"patience": 1, "every": 1}}):
        run = run_arrays(ARRAYS, schedule[:1], None, stop=stop | {"max_steps": 200}, **tables)
        for name in ("trajectory_train_loss", "trajectory_test_loss", "trajectory_iterate", "recorded_step"):
            np.testing.assert_allclose(run[name], wanted[name], rtol=1e-12)


def test_the_file_says_what_the_levels_and_outcomes_are(tmp_path):
    run = simlr.run(bits_grid("validation", ""), tmp_path / "v.h5")
    import h5py

    with h5py.File(tmp_path / "v.h5") as file:
        assert file["level"].attrs["level_kind"] == "validation_patience"
        assert file["level"][:].tolist() == [5.0, 1.0]
        meanings = file["status"].attrs["flag_meanings"].split()
        assert meanings[5:] == ["budget_spent", "validation_stopped"]
    assert set(np.unique(run.status)) <= {2, 3, 6}
    assert simlr.GridConfig.from_toml(run.config.to_toml()) == run.config


def test_the_mode_is_told_and_the_default_leaves_grids_as_they_are():
    absolute, relative = bits_grid("validation", ""), bits_grid("relative", "")
    said = dict(absolute.stop["validation"], min_delta_mode="absolute")
    assert absolute.replace(stop={**absolute.stop, "validation": said}) == absolute
    assert "min_delta_mode" not in absolute.to_toml()
    assert "min_delta 0.01 of the best" in stop_rules.describe(relative.stop)
    assert "min_delta 0.0001" in stop_rules.describe(absolute.stop)
    assert simlr.GridConfig.from_toml(relative.to_toml()) == relative


# ---- bad input ----

NAKKIRAN = {"kind": "nakkiran2020"}
CONSTANT = {"kind": "constant", "learning_rate": 0.1}
LATE_FLOW = {"name": "late", "phases": [{**CONSTANT, "steps": 50}, {"kind": "flow"}]}
WITH, RELATIVE = {"patience": 3}, {"min_delta_mode": "relative"}
REFUSED = [
    ({"steps": [10], "train_loss": [0.1]}, CONSTANT, "stop must have exactly one of", "got train_loss and steps"),
    ({"max_steps": 5}, CONSTANT, "stop must have exactly one of train_loss, excess_train_loss", "got none"),
    ({"stepz": [10]}, CONSTANT, "unknown key 'stepz'", "did you mean 'steps'?"),
    ({"steps": [0]}, CONSTANT, "stop.steps must be a whole number >= 1, got 0", ""),
    ({"steps": [1.5]}, CONSTANT, "stop.steps must be a whole number >= 1, got 1.5", ""),
    ({"steps": []}, CONSTANT, "stop.steps must be a list of at least one level", ""),
    ({"steps": [7, 7]}, CONSTANT, "stop.steps must be a list of different levels", ""),
    ({"steps": [2**53 + 1]}, CONSTANT, "stop.steps must be a whole number from 1 to 9007199254740992", ""),
    ({"steps": [10, 400], "max_steps": 300}, CONSTANT, "stop.max_steps must be at least the largest of stop.steps", ""),
    ({"steps": [50, 60]}, LATE_FLOW, "a budget of 60 steps falls into the flow of schedule 'late'", "after 50"),
    ({"steps": 1}, {"kind": "flow"}, "a budget of 1 steps falls into the flow of schedule 'flow'", "after 0"),
    ({"train_loss_fraction": 1.0}, CONSTANT, "stop.train_loss_fraction must be a number between 0 and 1", "got 1.0"),
    ({"train_loss_fraction": [0.5, 0]}, CONSTANT, "stop.train_loss_fraction must be a number between 0 and 1", "got 0"),
    ({"validation": [5]}, CONSTANT, "stop.validation must be a table", ""),
    ({"validation": {}}, CONSTANT, "stop.validation.patience is missing", ""),
    ({"validation": WITH | {"patients": 3}}, CONSTANT, "unknown key 'patients'", "did you mean 'patience'?"),
    ({"validation": {"patience": [0]}}, CONSTANT, "stop.validation.patience must be a whole number >= 1, got 0", ""),
    ({"validation": {"patience": [2, 2]}}, CONSTANT, "stop.validation.patience must be a list of different", ""),
    ({"validation": WITH | {"every": 0}}, CONSTANT, "stop.validation.every must be a whole number >= 1, got 0", ""),
    ({"validation": WITH | {"min_delta": -1.0}}, CONSTANT, "stop.validation.min_delta must be a finite number", ""),
    ({"validation": WITH | {"min_delta_mode": "relativ"}}, CONSTANT, "unknown mode 'relativ'", "'relative'"),
    ({"validation": WITH | RELATIVE | {"min_delta": 1.0}}, CONSTANT, "min_delta must be a share of the best loss", ""),
    ({"validation": WITH | {"restore": 1}}, CONSTANT, "stop.validation.restore must be true or false, got 1", ""),
    ({"validation": WITH}, LATE_FLOW, "stop.validation looks between steps, and schedule 'late' has a flow", ""),
    ({"validation": WITH | {"every": 60}}, {**CONSTANT, "steps": 50}, "every must be at most the steps of every", "60"),
]  # fmt: skip


@pytest.mark.parametrize(("stop", "schedule", "sentence", "rest"), REFUSED, ids=lambda v: str(v)[:40])
def test_what_cannot_be_is_refused_in_one_line(stop, schedule, sentence, rest):
    with pytest.raises(InputError) as refusal:
        simlr.GridConfig.from_tables({"problem": NAKKIRAN, "stop": stop, "schedule": [schedule]})
    assert sentence in str(refusal.value) and rest in str(refusal.value) and "\n" not in str(refusal.value)


def test_validation_needs_a_validation_set(run_grid, run_arrays):
    rows = {"kind": "dataset", "file": "diabetes.csv", "train_rows": 30}
    bare = {name: values for name, values in ARRAYS.items() if not name.startswith("validation")}
    data, stop = runs.ROOT / "data", {"validation": WITH}
    start = "stop.validation needs a validation set of problem "
    with pytest.raises(InputError, match=start + "'nakkiran2020', which has none"):
        run_grid(NAKKIRAN, [CONSTANT], None, stop=stop)
    with pytest.raises(InputError, match=start + "'dataset', whose validation_rows are 0"):
        run_grid(rows, [CONSTANT], None, stop=stop, folder=data)
    with pytest.raises(InputError, match=start + "'quadratic', whose file has no array validation_matrix"):
        run_arrays(bare, [CONSTANT], None, stop=stop)
    with pytest.raises(InputError, match=r"train_rows = 30 and validation_rows = 412 and test_rows = 0 need more than"):
        run_grid(rows | {"validation_rows": 412}, [CONSTANT], None, stop=stop, folder=data)
    with pytest.raises(InputError, match=r"schedule 'cosine', of varying rates, has no closed form from look to look"):
        cosine = {"kind": "cosine", "learning_rate": 0.1, "steps": 90}
        run_arrays(ARRAYS, [cosine], None, stop=stop, engine="closed-form")


# ---- the report ----

TOLD = {
    "fraction": ("when the train loss reaches each share of that at the start", "0.5 of start"),
    "steps": ("after each number of steps", "steps 70"),
    "validation": ("where validation stops with each patience", "patience 5"),
    "relative": ("where validation stops with each patience", "patience 5"),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_report_tells_levels_by_what_they_are(tmp_path, rule):
    from simlr.report import __main__

    path = tmp_path / "run.h5"
    simlr.run(bits_grid(rule, ""), path)
    assert __main__.main([str(path), "--out", str(tmp_path / "report")]) == 0
    text = (tmp_path / "report" / "report.md").read_text()
    assert all(words in text for words in TOLD[rule])
    kind = {"fraction": "train_loss_fraction", "steps": "steps"}.get(rule, "validation_patience")
    assert f",{kind}," in (tmp_path / "report" / "summary.csv").read_text()
