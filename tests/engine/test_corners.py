"""Exact descent at the edges of float64: axes that die and grow again, levels of every size, and no false endings."""

import math
from functools import cache

import arithmetic
import numpy as np
import pytest

import simlr
from naive import precise
from simlr.engine.deterministic import largest_rate
from simlr.kernels.descent.constant_rate import first_divergence, first_passage
from simlr.kernels.descent.flow import crossing_time

REACHED, OUT_OF_STEPS, DIVERGED = 1, 2, 3
ENGINES = ["recurrence", "closed-form", "auto"]
in_every_engine = pytest.mark.parametrize("engine", ENGINES)


def constant(rate, steps):
    return {"kind": "constant", "learning_rate": rate, "steps": steps}


@pytest.fixture
def one(run_arrays):
    """one(curvature, residual, phases, levels, engine) -> the Run of one seed with one schedule."""

    def run(curvature, residual, phases, levels, engine="auto", **tables):
        arrays = {"curvature": np.array([curvature]), "residual": np.array([residual])}
        schedule = [{"name": "one", "phases": phases, "unit": tables.pop("unit", "absolute")}]
        return run_arrays(arrays, schedule, levels, max_steps=10**9, engine=engine, **tables)

    return run


# ---- flows ----


@pytest.mark.parametrize(
    ("curvature", "loss", "level", "time"),
    [
        (1.0, 1e10, 1e-299, 355.749396871),
        (1.0, 1e60, 1e-250, 356.900689),
        (1.0, 1e10, 1e-320, 379.926546),
        (1e300, 1e9, 1e-3, 1.38155106e-299),
        (1e-300, 1.0, 1e-30, 3.45387764e301),
        (1e300, 1e60, 1e-320, 4.375e-298),
        (1e-300, 1e60, 1e-300, None),
    ],
)
def test_flows_cross_where_ratios_and_slopes_are_beyond_all_numbers(one, curvature, loss, level, time):
    residual = math.sqrt(2.0 * loss) / math.sqrt(curvature)
    run = one([curvature], [residual], [{"kind": "flow"}], [level])
    exact = (np.log(np.longdouble(loss)) - np.log(np.longdouble(level))) / 2 / np.longdouble(curvature)
    assert run.status[0, 0, 0] == REACHED
    assert run.stop_time[0, 0, 0] == pytest.approx(float(exact), rel=1e-4 if level < 1e-310 else 1e-13)
    assert time is None or run.stop_time[0, 0, 0] == pytest.approx(time, rel=1e-4)
    assert run.train_loss[0, 0, 0] == pytest.approx(level, rel=1e-12, abs=1e-323)


def test_the_crossing_time_itself():
    assert crossing_time(np.array([1e155]), np.array([1e-3]), 1e-200, 0.0) == pytest.approx(
        255.0 * math.log(10.0) * 1e3
    )
    # The steep axis dies at once, the flat one alone is left; its slope is 1e-300.
    x, lam = np.array([1e30, 1.0]), np.array([1e300, 1e-300])
    assert crossing_time(x, lam, 1e-10, 0.0) == pytest.approx(5.0 * math.log(10.0) * 1e300, rel=1e-13)
    assert crossing_time(x, lam, 1e40, 0.0) == pytest.approx(10.0 * math.log(10.0) * 1e-300, rel=1e-13)


# ---- axes that die and grow again ----

CURVATURE, RESIDUAL, LEVEL = [1.0, 1e-6], [1.0, 1e3], 1e-300
# Phases, status, step and loss in exact arithmetic.
DYING = {
    "after 145 steps": ([(0.99, 145), (4.0, 647)], OUT_OF_STEPS, 792, 1.24129101e37),
    "slowly": ([(0.1, 20000), (2.5, 3000)], OUT_OF_STEPS, 23000, 0.490589671),
    "within a chunk": ([(0.5, 1400), (4.0, 900)], OUT_OF_STEPS, 2300, 4.29774497e15),
    "over chunks": ([(0.5, 14000), (4.0, 9000)], DIVERGED, 22939, 6.80586438e100),
    "twice": ([(0.5, 1400), (4.0, 900), (0.5, 1400), (4.0, 870)], OUT_OF_STEPS, 4570, None),
    "at once": ([(1.0 + 1e-9, 40), (3.0, 1200)], OUT_OF_STEPS, 1240, None),
    "by large rates": ([(1.0 + 1e-9, 40), (5e5, 62)], OUT_OF_STEPS, 102, None),
    "to nothing": ([(1.0, 1), (4.0, 900)], OUT_OF_STEPS, 901, None),
    "in turn": ([(0.9, 200), (3.0, 100)] * 9, OUT_OF_STEPS, 2700, None),
}


@cache
def exactly(name):
    """The Passages of one of them, asked for its end."""
    phases, _, step, _ = DYING[name]
    rates = [rate for rate, steps in phases for _ in range(steps)]
    return precise.descend_in_digits(np.array(CURVATURE), np.array(RESIDUAL), rates, 2.0 * LEVEL, np.array([step]))


@in_every_engine
@pytest.mark.parametrize("name", DYING)
def test_what_has_died_grows_from_where_it_is(one, name, engine):
    phases, status, step, loss = DYING[name]
    run = one(CURVATURE, RESIDUAL, [constant(*phase) for phase in phases], [LEVEL], engine)
    assert (run.status[0, 0, 0], run.stop_step[0, 0, 0]) == (status, step)
    assert loss is None or run.train_loss[0, 0, 0] == pytest.approx(loss, rel=1e-8)
    exact = exactly(name)
    assert run.train_loss[0, 0, 0] == pytest.approx(float(exact.energy[0, 0] / 2), rel=float(exact.error[0, 0]))
    assert (exact.diverged_surely[0] == step) == (status == DIVERGED)


@pytest.mark.parametrize("name", DYING)
def test_descend_gives_the_same(name):
    phases, status, step, _ = DYING[name]
    rates = np.repeat([rate for rate, _ in phases], [steps for _, steps in phases])
    found = simlr.descend([CURVATURE] * 9, [RESIDUAL] * 9, [rates], [LEVEL])
    assert (found.status == status).all() and (found.stop_step == step).all()
    np.testing.assert_allclose(found.train_loss, float(exactly(name).energy[0, 0] / 2), rtol=1e-10)


@in_every_engine
@pytest.mark.parametrize("unit", ["absolute", "sharpness"])
def test_it_is_seen_at_recorded_moments_budgets_and_by_later_levels(one, run_arrays, engine, unit):
    """The axis dies, and the level is passed by the other one after it has come back, or before."""
    phases = [constant(0.5, 1400), constant(4.0, 880), constant(0.5, 3000)]
    record = {"points": 60, "seeds": 1}
    run = one(CURVATURE, RESIDUAL, phases, [0.4959, 0.4953], engine, unit=unit, record=record)
    rates = np.repeat([phase["learning_rate"] for phase in phases], [phase["steps"] for phase in phases])
    budgets_of_steps = [1400, 2270, 2290]
    moments = run.recorded_step[0][run.recorded_step[0] >= 0]
    arrays = {"curvature": np.array([CURVATURE]), "residual": np.array([RESIDUAL])}
    at = np.array([[*budgets_of_steps, *moments]])
    exact = precise.descend(*arrays.values(), rates, np.array([[2 * 0.4953]]), at)
    assert exact.possible[0, 0] == exact.sure[0, 0] == run.stop_step[0, 0, 1] > 2280
    losses = exact.energy[0].astype(float) / 2
    np.testing.assert_allclose(run.trajectory_train_loss[0, 0, : moments.size], losses[3:], rtol=1e-10)
    stop = {"steps": budgets_of_steps, "max_steps": 10000}
    schedule = [{"name": "one", "phases": phases, "unit": unit}]
    budgets = run_arrays(arrays, schedule, None, stop=stop, engine=engine)
    np.testing.assert_allclose(budgets.train_loss[0, 0], losses[:3], rtol=1e-10)


@in_every_engine
@pytest.mark.parametrize("gamma", [1.0008, 1.002])
def test_rates_that_grow_from_step_to_step(run_arrays, engine, gamma):
    """Two axes die where their rates pass 1 / lam, and grow again from 2 / lam on; the third hardly moves."""
    curvature, residual = np.array([[1.0, 0.3, 1e-12], [1.0, 1e-2, 1e-12], [0.5, 0.4, 1e-12]]), [2.0, 2.0, 1e6]
    arrays = {"curvature": curvature.repeat(30, axis=0), "residual": np.tile(residual, (90, 1))}
    steps = int(5.5 / math.log10(gamma))
    schedule = [{"name": "one", "kind": "exponential", "learning_rate": 1e-4, "gamma": gamma, "steps": steps}]
    run = run_arrays(arrays, schedule, [0.6, 1e-9], max_steps=steps, engine=engine)
    rates = run.config.schedules()[0][0].rates(0, steps)
    thresholds = np.tile([1.2, 2e-9], (3, 1))
    with np.errstate(all="ignore"):
        judged = precise.descend(curvature, arrays["residual"][::30], rates, thresholds, run.stop_step[0, ::30])
    assert (run.stop_step[0].reshape(3, 30, 2) == run.stop_step[0, ::30, None]).all()
    assert {REACHED, DIVERGED} == set(run.status[0, 0])
    np.testing.assert_array_equal(arithmetic.wrong_stops(_every(run, 30), 0, judged, steps), False)


def _every(run, stride):
    """What every so many seeds are."""
    return {name: run[name][:, ::stride] for name in ("status", "stop_step", "train_loss")}


@pytest.mark.parametrize("steps", [300, 3_000_000])
def test_the_largest_rate_of_a_schedule_is_known(steps):
    """Of a warmup and a decay in one phase each; where there are very many steps, nearly."""
    phases = [
        {"kind": "warmup", "learning_rate": 0.7, "steps": steps},
        {"kind": "cosine", "learning_rate": 0.6, "steps": 9},
    ]
    tables = {"problem": {"kind": "nakkiran2020"}, "stop": {"train_loss": [0.1], "max_steps": 10**7}}
    schedule = [{"name": "one", "phases": phases}, {"kind": "flow"}, {**constant(0.3, 5), "name": "constant"}]
    config = simlr.GridConfig.from_tables({**tables, "schedule": schedule})
    found = [largest_rate(one) for one, *_ in config.schedules()]
    assert found == pytest.approx([0.7, 0.0, 0.3], rel=0.01)


def test_first_divergence_beyond_the_exponents_of_float64():
    """3^647 is beyond all numbers; times 1e-290 it is not."""
    decay = np.array([-math.log(3.0), 1e-6])
    assert first_divergence(np.array([1e-290, 1.0]), decay, 647) == 648
    assert first_divergence(np.array([1e-290, 1.0]), decay, 1000) == math.ceil((290 + 50.15) / math.log10(3.0))


@in_every_engine
@pytest.mark.parametrize(
    ("rate", "steps", "loss"), [(1e40, 8, 0.5), (1e40, 10, 5e79), (1e200, 1, 0.5), (1e200, 2, 5e79)]
)
def test_huge_rates_bring_it_back_in_few_steps(one, engine, rate, steps, loss):
    """From about 1e-360; the flat axis hardly moves."""
    phases = [(1.0 + 1e-9, 40), (rate, steps)]
    run = one([1.0, 1e-250], [1.0, 1e125], [constant(*phase) for phase in phases], [1e-3], engine)
    assert run.status[0, 0, 0] == OUT_OF_STEPS
    assert run.train_loss[0, 0, 0] == pytest.approx(loss, rel=1e-5)


def test_a_factor_beyond_all_numbers_leaves_alone_what_is_zero():
    """And takes 1e-290 by 1e310 to where it belongs; the other axis shrinks a little."""
    found = simlr.descend([[1e200, 1e-151]], [[0.0, 1e75]], [[1e150]], [0.041])
    assert (found.status.item(), found.stop_step.item()) == (REACHED, 1)
    grown = simlr.descend([[1e10, 1e-301]], [[1e-295, 1e150]], [[1e300]], [1e-3])
    assert grown.status.item() == OUT_OF_STEPS
    assert grown.train_loss.item() == pytest.approx(5e39, rel=1e-12)


# ---- levels of every size ----


@pytest.mark.parametrize("engine", ["closed-form", "auto"])
def test_a_level_below_the_normal_numbers_is_found_at_once(one, engine):
    """Not step by step: 18 million steps, of a thousand million."""
    run = one([1.0, 1e-4], [1.0, 1.0], [constant(1.99998, 10**9)], [1e-320], engine)
    step = int(run.stop_step[0, 0, 0])
    factors = np.longdouble(1) - np.longdouble(1.99998) * np.array([1.0, 1e-4], np.longdouble)
    energy = (np.array([1.0, 1e-4]) * np.abs(factors) ** (2 * step)).sum()
    assert run.status[0, 0, 0] == REACHED
    assert energy == pytest.approx(2e-320, rel=1e-3)


@pytest.mark.parametrize("threshold", [1e-300, 1e-308, 1e-320, 5e-324])
def test_first_passages_of_tiny_thresholds_are_those_of_steps(threshold):
    """One by one from a start near them."""
    x, factors = np.array([1e-140, 3e-150]), np.array([0.97, -0.99])
    decay, k = -np.log(np.abs(factors)), 1
    while not float(np.sum((x * np.abs(factors) ** k) ** 2)) <= threshold:
        k += 1
    assert abs(first_passage(x, decay, threshold, 0, 10**12) - k) <= (1 if threshold > 1e-322 else 20)


def test_a_short_passage_before_a_growing_axis():
    """q falls below the threshold for a few steps only."""
    x, decay = np.array([1.0, 1e-150]), np.array([1e-3, -2e-3])
    lowest = min(float(np.sum((x * np.exp(-decay * k)) ** 2)) for k in range(115000, 116000))
    sums = [float(np.sum((x * np.exp(-decay * k)) ** 2)) for k in range(114000, 117000)]
    passed = 114000 + int(np.argmax(np.array(sums) <= 1.0001 * lowest))
    assert abs(first_passage(x, decay, 1.0001 * lowest, 0, 10**9) - passed) <= 1
    assert first_passage(x, decay, 0.99 * lowest, 0, 10**9) == 10**9 + 1


# ---- many at random ----


@pytest.mark.parametrize("kind", arithmetic.KINDS)
def test_random_problems_are_what_their_twins_say(kind):
    """A few of those of `make soak`."""
    count, faults = arithmetic.search(kind, 0, 1)
    assert count > 1000 and faults == []
