"""Gradient flow: crossing times against sixty digits, flows alone and after steps, and their recorded moments."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import descent as naive
from simlr.kernels.descent import flow_lanes
from simlr.kernels.descent.exponential import exp_lane, log_lane
from simlr.kernels.descent.flow import crossing_time

REACHED, AT_FLOOR = 1, 4
FLOW = [{"kind": "flow"}]
numbers = st.integers(0, 2**32 - 1)


def energy(x, lam, tau=0):
    """sum x_i^2 exp(-2 lam_i tau), to sixty digits."""
    with localcontext() as context:
        context.prec = naive.DIGITS
        return sum(Decimal(v) ** 2 * (-2 * Decimal(c) * Decimal(tau)).exp() for v, c in zip(x, lam, strict=True))


def assert_crosses(x, lam, threshold, tau):
    """tau is the crossing time but for roundings of the exponents and of the sum."""
    exact = naive.crossing_time_in_digits(x, lam, threshold)
    with localcontext() as context:
        context.prec = naive.DIGITS
        weights = [Decimal(v) ** 2 * (-2 * Decimal(c) * exact).exp() for v, c in zip(x, lam, strict=True)]
        slope = sum(w * Decimal(c) for w, c in zip(weights, lam, strict=True)) / sum(weights)
        error = abs(Decimal(tau) - exact)
        assert error <= Decimal("2e-15") * exact + Decimal("1e-15") * len(x) / slope


# ---- crossing times ----


@given(number=numbers, axes=st.integers(1, 6), decades=st.floats(0.0, 12.0), depth=st.floats(-14.0, 200.0))
def test_crossing_times_to_sixty_digits(number, axes, decades, depth):
    """Curvatures over many decades, levels from just below the start to 1e-200 of it."""
    rng = np.random.default_rng(number)
    lam = 10 ** rng.uniform(-decades / 2, decades / 2, axes)
    x = rng.normal(size=axes)
    start = float(np.sum(x * x))
    threshold = start * (1 - 10**depth) if depth < -1.0 else start * 10 ** -max(depth, 0.1)
    assert_crosses(x, lam, threshold, crossing_time(x, lam, threshold, 0.0))


@given(number=numbers, axes=st.integers(1, 5))
def test_a_start_on_the_way_leads_to_the_same_time(number, axes):
    rng = np.random.default_rng(number)
    lam, x = 10 ** rng.uniform(-2, 2, axes), rng.normal(size=axes)
    threshold = float(np.sum(x * x)) * 10 ** rng.uniform(-20, -1)
    whole = crossing_time(x, lam, threshold, 0.0)
    assert crossing_time(x, lam, threshold, whole * rng.random()) == pytest.approx(whole, rel=1e-13)


@pytest.mark.parametrize("level", [1 - 1e-15, 0.5, 1e-3, 1e-300])
def test_one_axis_in_closed_form(level):
    """tau = -log(level) / (2 lam)."""
    tau = crossing_time(np.array([1.0]), np.array([0.25]), level, 0.0)
    assert tau == pytest.approx(-2 * np.log(level), rel=1e-15, abs=1e-15)


def test_what_lies_along_null_directions_never_goes():
    x, lam = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    assert crossing_time(x, lam, 3.9, 0.0) == np.inf
    assert crossing_time(x, lam, 4.5, 0.0) == pytest.approx(np.log(2.0) / 2, rel=1e-14)
    assert crossing_time(x, np.zeros(2), 1.0, 0.0) == np.inf


def test_widely_different_curvatures():
    """Newton's method has to pass a plateau of twelve decades of time."""
    x, lam = np.array([1.0, 1e-3]), np.array([1.0, 1e-12])
    for threshold in (0.5, 1e-5, 1.01e-6, 0.99e-6, 1e-7, 1e-20):
        assert_crosses(x, lam, threshold, crossing_time(x, lam, threshold, 0.0))


# ---- side by side ----


def cross(x, lam, thresholds):
    """tau (E, W) of W cells, x and lam (d, W), that cross the same share of their starts, one after the other."""
    lanes = flow_lanes.make_lanes(len(x))
    count = x.shape[1]
    lanes.x[:, :count], lanes.curvature[:, :count] = x, lam
    lanes.sharpness[:count] = lam.max(axis=0)
    lanes.tau[:] = 0.0
    flow_lanes.look(lanes, lanes.seed.size)
    found = []
    for threshold in thresholds:
        lanes.threshold[:], lanes.moving[:] = 1.0, 0.0
        lanes.threshold[:count], lanes.moving[:count] = threshold, 1.0
        flow_lanes.cross_together(lanes, lanes.seed.size)
        assert all(flow_lanes.is_ordinary(lanes, k) for k in range(count))
        found.append(lanes.tau[:count].copy())
    return np.array(found)


@given(number=numbers, axes=st.integers(1, 6), decades=st.floats(0.0, 8.0))
def test_crossing_times_side_by_side_to_sixty_digits(number, axes, decades):
    """Five cells in sixteen lanes, through levels from just below the start to 1e-40 of it."""
    rng = np.random.default_rng(number)
    lam, x = 10 ** rng.uniform(-decades / 2, decades / 2, (axes, 5)), rng.normal(size=(axes, 5))
    shares = np.sort(np.concatenate([1 - 10 ** rng.uniform(-12, -1, 2), 10 ** rng.uniform(-40, -1, 3)]))[::-1]
    thresholds = shares[:, None] * np.sum(x * x, axis=0)
    for threshold, times in zip(thresholds, cross(x, lam, thresholds), strict=True):
        for k in range(5):
            assert_crosses(x[:, k], lam[:, k], threshold[k], times[k])


@given(number=numbers, axes=st.integers(1, 4))
def test_a_crossing_time_has_the_same_bits_in_every_company(number, axes):
    rng = np.random.default_rng(number)
    lam, x = 10 ** rng.uniform(-2, 2, (axes, 16)), rng.normal(size=(axes, 16))
    thresholds = np.outer(10 ** np.array([-1.0, -2.0, -9.0]), np.sum(x * x, axis=0))
    whole = cross(x, lam, thresholds)
    for k in (0, 7, 15):
        np.testing.assert_array_equal(cross(x[:, k:], lam[:, k:], thresholds[:, k:])[:, 0], whole[:, k])


@given(number=numbers)
def test_exp_and_log_to_three_units_of_the_last_place(number):
    rng = np.random.default_rng(number)
    with localcontext() as context:
        context.prec = naive.DIGITS
        for z in [0.0, *(-(10 ** rng.uniform(-17, 2.84, 20)))]:
            assert abs(Decimal(exp_lane(z)) / Decimal(z).exp() - 1) <= 3 * Decimal(2) ** -53
        for v in [*np.exp(rng.uniform(-600, 600, 10)), *(1.0 + 10 ** rng.uniform(-15, -1, 10))]:
            assert abs(Decimal(log_lane(v)) / Decimal(v).ln() - 1) <= 4 * Decimal(2) ** -53
    assert log_lane(1.0) == 0.0 and exp_lane(0.0) == exp_lane(-0.0) == 1.0


# ---- grids ----


def draw_problem(rng, seeds, axes):
    """Arrays of a quadratic with everything in it."""
    half = rng.normal(size=(seeds, axes, axes))
    curvature = 10 ** rng.uniform(-2.0, 1.0, (seeds, axes))
    curvature[rng.random(curvature.shape) < 0.2] = 0.0
    return {
        "curvature": curvature,
        "residual": rng.normal(size=(seeds, axes)),
        "test_matrix": half @ half.transpose(0, 2, 1),
        "offset": rng.normal(size=(seeds, axes)),
        "train_floor": rng.random(seeds) * 0.01,
        "test_floor": rng.random(seeds),
    }


def twin(arrays, n):
    """Seed n as a naive.Quadratic."""
    order = ("curvature", "residual", "test_matrix", "offset", "train_floor", "test_floor")
    return naive.Quadratic(*(arrays[key][n] for key in order))


# Name, phases, the twin's rates of the steps.
WARM, COOL = {"kind": "constant", "learning_rate": 0.19}, {"kind": "cosine", "learning_rate": 0.25}
AFTER_STEPS = {
    "flow": FLOW,
    "one step": [{**WARM, "steps": 1}, *FLOW],
    "many steps": [{**WARM, "steps": 100}, *FLOW],
    "cosine": [{**COOL, "steps": 37}, *FLOW],
    "both": [{**WARM, "steps": 20}, {**COOL, "steps": 9}, *FLOW],
    "nothing": [{"kind": "constant", "learning_rate": 0.0, "steps": 3}, *FLOW],
}


def rates_of(phases):
    return [eta for phase in phases if phase["kind"] != "flow" for eta in naive.rates(**phase)]


@given(number=numbers, axes=st.integers(1, 5), unit=st.sampled_from(["absolute", "sharpness"]))
def test_every_ending_is_the_twin_s(run_arrays, number, axes, unit):
    """Levels met at the start, in the steps, in the flow, and out of reach; in no order."""
    rng = np.random.default_rng(number)
    arrays = draw_problem(rng, 3, axes)
    levels = np.append(10 ** rng.uniform(-6.0, 1.0, 4), [0.0])[rng.permutation(5)]
    schedules = [{"name": name, "phases": phases, "unit": unit} for name, phases in AFTER_STEPS.items()]
    run = run_arrays(arrays, schedules, levels.tolist())
    for n in range(3):
        problem = twin(arrays, n)
        sharpness = problem.curvature.max() if unit == "sharpness" else 1.0
        for s, phases in enumerate(AFTER_STEPS.values()):
            rates = [eta / (sharpness or 1.0) for eta in rates_of(phases)]
            for k, level in enumerate(levels):
                assert_is_result(run, (s, n, k), naive.stop(problem, rates, level, flows=True))


def assert_is_result(run, at, expected):
    assert run.status[at] == expected.status
    assert run.stop_step[at] == expected.step
    np.testing.assert_allclose(run.stop_time[at], expected.time, rtol=1e-10)
    np.testing.assert_allclose(run.train_loss[at], expected.train_loss, rtol=1e-9)
    np.testing.assert_allclose(run.test_loss[at], expected.test_loss, rtol=1e-9)


@given(number=numbers, axes=st.integers(1, 6), lowest=st.floats(-30.0, -1.0))
def test_the_train_loss_in_a_flow_is_the_level(run_arrays, number, axes, lowest):
    """To 1e-12, be the level far below the start or just below it."""
    rng = np.random.default_rng(number)
    arrays = {"curvature": 10 ** rng.uniform(-3, 3, (20, axes)), "residual": rng.normal(size=(20, axes))}
    start = 0.5 * np.sum(arrays["curvature"] * arrays["residual"] ** 2, axis=1)
    levels = start.min() * np.append(10 ** rng.uniform(lowest, 0.0, 4), 1 - 1e-12)
    run = run_arrays(arrays, [{"kind": "flow"}], levels.tolist())
    assert (run.status == REACHED).all()
    np.testing.assert_allclose(run.train_loss, np.broadcast_to(levels, run.train_loss.shape), rtol=1e-12)


def test_a_level_out_of_reach_gives_the_minimiser_s_losses(run_arrays):
    rng = np.random.default_rng(1)
    arrays = draw_problem(rng, 30, 3)
    run = run_arrays(arrays, [{"kind": "flow"}, {"name": "warm", "phases": AFTER_STEPS["one step"]}], [0.0])
    assert (run.status == AT_FLOOR).all()
    assert np.isinf(run.stop_time).all()
    at_end = np.where(arrays["curvature"] > 0.0, 0.0, arrays["residual"]) + arrays["offset"]
    expected = arrays["test_floor"] + np.einsum("ni,nij,nj->n", at_end, arrays["test_matrix"], at_end)
    for s, steps in enumerate((0, 1)):
        np.testing.assert_array_equal(run.stop_step[s, :, 0], steps)
        np.testing.assert_allclose(run.test_loss[s, :, 0], expected, rtol=1e-12)
        np.testing.assert_array_equal(run.train_loss[s, :, 0], arrays["train_floor"])


def test_small_learning_rates_approach_the_flow(run_arrays):
    """Times and test losses of the stop differ by O(eta): a tenth of the rate, a tenth of the room."""
    arrays = {"curvature": np.array([2.0, 0.5, 0.1]), "residual": np.array([1.0, -1.0, 2.0])}
    rates = [1e-2, 1e-3, 1e-4]
    schedules = [{"kind": "flow"}, {"kind": "constant", "learning_rate": rates}]
    run = run_arrays(arrays, schedules, [0.1], max_steps=1_000_000)
    for name in ("stop_time", "test_loss"):
        off = np.abs(run[name][1:, 0, 0] - run[name][0, 0, 0])
        assert (off <= 2.5 * np.array(rates)).all(), name


def test_a_flow_after_a_flow_of_no_steps_is_the_flow(run_arrays):
    """Steps of rate 0 change nothing but the number of steps."""
    rng = np.random.default_rng(2)
    arrays = draw_problem(rng, 20, 3)
    schedules = [{"name": name, "phases": AFTER_STEPS[name]} for name in ("flow", "nothing")]
    run = run_arrays(arrays, schedules, [0.1, 1e-3])
    for name in ("status", "train_loss", "test_loss", "stop_time"):
        np.testing.assert_array_equal(run[name][0], run[name][1], err_msg=name)
    flowed = run.stop_time[1] > 0.0
    np.testing.assert_array_equal(run.stop_step[1], np.where(flowed, 3, 0))


# ---- recorded moments ----


@pytest.mark.parametrize("unit", ["absolute", "sharpness"])
@pytest.mark.parametrize("points", [1, 2, 3, 10, 41])
def test_recorded_moments_of_steps_and_flow(run_arrays, points, unit):
    """min(T, (K - 1) // 2) slots for the steps, the rest for the flow, geometric from flow_time / 1000 to flow_time."""
    rng = np.random.default_rng(3)
    arrays = draw_problem(rng, 4, 3)
    arrays["curvature"][0] = 0.0
    schedules = [{"name": name, "phases": phases, "unit": unit} for name, phases in AFTER_STEPS.items()]
    record = {"points": points, "seeds": "all", "flow_time": 30.0, "iterates": True}
    run = run_arrays(arrays, schedules, [0.1], record=record)
    for s, phases in enumerate(AFTER_STEPS.values()):
        rates = rates_of(phases)
        steps, flow_times = moments(len(rates), 30.0, points)
        assert run.recorded_step[s].tolist() == steps
        times = [sum(rates[:step]) + tau for step, tau in zip(steps, flow_times, strict=True)]
        np.testing.assert_allclose(run.recorded_time[s], times, rtol=1e-12)
        for n in range(4):
            problem = twin(arrays, n)
            unit_rate = (problem.curvature.max() if unit == "sharpness" else 1.0) or 1.0
            path = naive.path(problem, [eta / unit_rate for eta in rates])
            states = [
                naive.flow(problem, path[step], tau / unit_rate) for step, tau in zip(steps, flow_times, strict=True)
            ]
            assert_recorded(run, s, n, problem, states)


def moments(length, flow_time, points):
    """Steps and flow times of all slots: the start, the steps in geometric progression, then the flow."""
    room = points - 1
    slots = min(length, room // 2)
    taken = range(1, length + 1) if slots == length else np.rint(np.geomspace(1, length, slots)) if slots else []
    taken = sorted({int(step) for step in taken})
    in_flow = room - len(taken)
    times = np.geomspace(flow_time / 1000, flow_time, in_flow) if in_flow else []
    return [0, *taken, *[length] * in_flow], [0.0, *[0.0] * len(taken), *times]


def assert_recorded(run, s, n, problem, states):
    """The slots hold these residuals and their losses; theta = theta_hat + Q r is r for arrays."""
    train = [naive.train_loss(problem, r) for r in states]
    test = [naive.test_loss(problem, r) for r in states]
    np.testing.assert_allclose(run.trajectory_train_loss[s, n], train, rtol=1e-10)
    np.testing.assert_allclose(run.trajectory_test_loss[s, n], test, rtol=1e-10)
    np.testing.assert_allclose(run.trajectory_iterate[s, n], states, rtol=1e-9, atol=1e-14)


def test_learning_rates_of_recorded_moments(run_arrays):
    """That of the next step, at the end of the steps that of the last; 0 in a flow."""
    arrays = {"curvature": np.array([1.0]), "residual": np.array([1.0])}
    phases = [{"kind": "linear", "learning_rate": 0.4, "steps": 4}, *FLOW]
    run = run_arrays(arrays, [{"name": "both", "phases": phases}], [0.1], record={"points": 9, "seeds": 1})
    assert run.recorded_step[0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4]
    np.testing.assert_allclose(run.learning_rate[0], [0.4, 0.3, 0.2, 0.1, 0.1, 0.0, 0.0, 0.0, 0.0], rtol=1e-14)
    np.testing.assert_allclose(run.recorded_time[0, :5], [0.0, 0.4, 0.7, 0.9, 1.0], rtol=1e-14)
    np.testing.assert_allclose(run.recorded_time[0, 5:], 1.0 + 20.0 * np.array([1e-3, 1e-2, 0.1, 1.0]), rtol=1e-14)
