"""Gradient descent: `simlr.descend` and discrete grids against their twin, and what must not change the answer."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from simlr.errors import InputError
from simlr.kernels import jit

CLOSE = {"rtol": 1e-9, "atol": 0.0}
REACHED, OUT_OF_STEPS, DIVERGED, AT_FLOOR = 1, 2, 3, 4


def draw_quadratics(rng, seeds, axes, nulls=False):
    """Curvature (N, d) over three decades and residual (N, d); with `nulls`, some curvature is 0."""
    curvature = 10 ** rng.uniform(-2.0, 1.0, (seeds, axes))
    if nulls:
        curvature[rng.random(curvature.shape) < 0.3] = 0.0
    return curvature, rng.normal(size=(seeds, axes))


def draw_rates(rng, schedules, steps, sharpness, mode):
    """Rates (S, T) in three regimes: never growing, growing now and then, diverging."""
    largest = {"stable": 2.0, "unstable": 3.0, "diverging": 1e4}[mode]
    return rng.uniform(0.0, largest, (schedules, steps)) / sharpness


def draw_levels(rng, count, curvature, residual):
    """Levels between 1e-8 and 3 times the largest start loss; the last one may be 0, out of reach."""
    highest = (0.5 * curvature * residual**2).sum(axis=1).max() + 1e-9
    levels = highest * 10 ** rng.uniform(-8.0, 0.5, count)
    if rng.random() < 0.3:
        levels[-1] = 0.0
    return levels


def assert_is_stop(found, at, expected):
    """One cell and level of a Descent is where the twin stops."""
    assert found.status[at] == expected.status
    assert found.stop_step[at] == expected.step
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(found.train_loss[at], expected.train_loss, **CLOSE)
        np.testing.assert_allclose(found.test_loss[at], expected.test_loss, rtol=1e-7)
        np.testing.assert_allclose(found.residual[at], expected.residual, rtol=1e-7, atol=1e-300)


def assert_equal(one, other):
    """Two Descents, bit by bit."""
    for name, values in one._asdict().items():
        np.testing.assert_array_equal(values, getattr(other, name), err_msg=name)


sizes = st.fixed_dictionaries(
    {"schedules": st.integers(1, 3), "seeds": st.integers(1, 4), "axes": st.integers(1, 6), "steps": st.integers(1, 40)}
)
numbers = st.integers(0, 2**32 - 1)
modes = st.sampled_from(["stable", "unstable", "diverging"])


# ---- against the twin ----


@given(number=numbers, size=sizes, mode=modes, levels=st.integers(1, 4), nulls=st.booleans())
def test_every_ending_is_the_twin_s(number, size, mode, levels, nulls):
    rng = np.random.default_rng(number)
    seeds, axes = size["seeds"], size["axes"]
    curvature, residual = draw_quadratics(rng, seeds, axes, nulls)
    rates = draw_rates(rng, size["schedules"], size["steps"], max(curvature.max(), 1e-3), mode)
    wanted = draw_levels(rng, levels, curvature, residual)
    matrix = rng.normal(size=(seeds, axes, axes))
    found = simlr.descend(curvature, residual, rates, wanted, matrix)
    for s, n, k in np.ndindex(found.status.shape):
        problem = naive.quadratic(curvature[n], residual[n], matrix[n])
        assert_is_stop(found, (s, n, k), naive.stop(problem, rates[s], wanted[k]))


def test_every_ending_occurs():
    """What the test above compares includes all four outcomes."""
    rng = np.random.default_rng(0)
    curvature, residual = draw_quadratics(rng, 4, 3)
    calm, wild = draw_rates(rng, 1, 40, 10.0, "stable"), draw_rates(rng, 1, 40, 10.0, "diverging")
    found = simlr.descend(curvature, residual, np.concatenate([calm, wild]), [1e9, 0.1, 1e-12, 0.0])
    assert set(found.status.ravel()) == {REACHED, OUT_OF_STEPS, DIVERGED, AT_FLOOR}


@pytest.mark.parametrize(
    ("seeds", "axes", "steps"), [(300, 1, 20), (300, 2, 30), (260, 3, 9), (70, 60, 25), (9, 17, 1)]
)
def test_sizes_beyond_one_pool(seeds, axes, steps):
    """More cells than lanes, and the last cells of pools that are not full."""
    rng = np.random.default_rng(seeds + axes)
    curvature, residual = draw_quadratics(rng, seeds, axes)
    rates = draw_rates(rng, 2, steps, curvature.max(), "stable")
    levels = draw_levels(rng, 3, curvature, residual)
    found = simlr.descend(curvature, residual, rates, levels)
    for n in {0, 7, 8, seeds // 2, seeds - 2, seeds - 1} & set(range(seeds)):
        for s, k in np.ndindex(2, 3):
            expected = naive.stop(naive.quadratic(curvature[n], residual[n]), rates[s], levels[k])
            assert_is_stop(found, (s, n, k), expected)


EDGES = [0, 1, 7, 8, 9, 15, 16, 17, 4087, 4088, 4095, 4096, 4097, 4104, 8191, 8192, 8193, 8200]


@pytest.mark.parametrize("steps", [4095, 4096, 4097, 8192, 8201])
def test_levels_are_passed_at_exact_steps(steps):
    """Spans of 8 steps and chunks of 4096: levels just above the loss of chosen steps, one axis, closed form."""
    rate = 0.001
    loss = 0.5 * np.exp(2.0 * np.array(EDGES) * np.log1p(-rate))
    found = simlr.descend([[1.0]], [[1.0]], np.full((1, steps), rate), loss * (1 + 1e-9))
    reached = np.array(EDGES) <= steps
    np.testing.assert_array_equal(found.stop_step[0, 0], np.where(reached, EDGES, steps))
    np.testing.assert_array_equal(found.status[0, 0], np.where(reached, REACHED, OUT_OF_STEPS))
    np.testing.assert_allclose(found.train_loss[0, 0][reached], loss[reached], rtol=1e-11)
    np.testing.assert_allclose(found.residual[0, 0, ~reached], (1 - rate) ** steps, rtol=1e-11)


@pytest.mark.parametrize("step", [0, 1, 6, 7, 8, 9, 4094, 4095, 4096, 4100])
def test_divergence_is_the_first_step_beyond_the_limit(step):
    """One rate that carries the loss from 1/2 beyond 1e100; rates of 0 before it, calm ones after."""
    rates = np.zeros(4200)
    rates[step], rates[step + 1 :] = 1e60, 0.5
    found = simlr.descend([[1.0, 0.0]], [[1.0, 3.0]], rates[None], [1e-3, 0.0, 0.6])
    assert found.status[0, 0].tolist() == [DIVERGED, AT_FLOOR, REACHED]
    assert found.stop_step[0, 0].tolist() == [step + 1, step + 1, 0]
    np.testing.assert_allclose(found.train_loss[0, 0], [0.5e120, 0.5e120, 0.5], rtol=1e-12)
    np.testing.assert_array_equal(found.residual[0, 0, :, 1], 3.0)


def test_the_limit_itself_is_no_divergence():
    """A train loss of exactly 1e100 goes on, the next number above has diverged."""
    edge = np.sqrt(2e100)
    while 0.5 * edge * edge > 1e100:
        edge = np.nextafter(edge, 0.0)
    beyond = edge
    while 0.5 * beyond * beyond <= 1e100:
        beyond = np.nextafter(beyond, np.inf)
    found = simlr.descend([[1.0], [1.0]], [[edge], [beyond]], [[1.0, 1.0]], [1.0])
    assert found.status.ravel().tolist() == [REACHED, DIVERGED]
    assert found.stop_step.ravel().tolist() == [1, 0]


@pytest.mark.parametrize("step", range(10))
def test_a_level_passed_for_one_step_only(step):
    """Down below the level in one step, up again in the next: the first passage counts."""
    rates = np.full(20, 0.0)
    rates[step], rates[step + 1] = 0.9, 20.0
    found = simlr.descend([[1.0]], [[1.0]], rates[None], [0.01, 0.4])
    assert found.stop_step[0, 0].tolist() == [step + 1, step + 1]
    assert found.status[0, 0].tolist() == [REACHED, REACHED]
    np.testing.assert_allclose(found.train_loss[0, 0], 0.005, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16])
def test_a_rate_whose_product_only_rounds_to_two_grows(steps):
    """eta lam = 2 + 2^-52 exactly, which rounds to 2; but 1 - eta lam = -(1 + 2^-52), and the loss creeps up.

    The second axis is gone after one step, which is the only one at which the loss is as low as the level.
    """
    eta = 3 * 2.0**-1
    curvature = np.array([[(2**53 + 1) // 3 * 2.0**-51, 2.0 / 3.0]])
    assert eta * curvature[0, 0] == 2.0
    first = simlr.descend(curvature, [[1.0, 1.0]], [[eta]], [0.0]).train_loss[0, 0, 0]
    found = simlr.descend(curvature, [[1.0, 1.0]], np.full((1, steps), eta), [first])
    assert found.status[0, 0, 0] == REACHED
    assert found.stop_step[0, 0, 0] == 1


def test_a_level_that_equals_the_loss_is_reached():
    found = simlr.descend([[1.0]], [[1.0]], [[0.5, 0.5]], [0.5, 0.125, 0.03125, 0.03])
    assert found.stop_step[0, 0].tolist() == [0, 1, 2, 2]
    assert found.status[0, 0].tolist() == [REACHED, REACHED, REACHED, OUT_OF_STEPS]
    assert found.train_loss[0, 0].tolist() == [0.5, 0.125, 0.03125, 0.03125]


def test_null_directions_never_move():
    found = simlr.descend([[2.0, 0.0], [0.0, 0.0]], [[1.0, 5.0], [3.0, -4.0]], [[0.4] * 30], [1e-6])
    np.testing.assert_array_equal(found.residual[0, :, 0, 1], [5.0, -4.0])
    assert found.residual[0, 1, 0].tolist() == [3.0, -4.0]
    assert found.test_loss[0, :, 0].tolist() == pytest.approx([12.5, 12.5], rel=1e-6)
    assert found.status[0, :, 0].tolist() == [REACHED, REACHED]
    assert found.train_loss[0, 1, 0] == 0.0


# ---- what must not change the answer ----


@given(number=numbers, size=sizes, mode=modes)
def test_the_order_of_seeds_schedules_and_levels_is_of_no_account(number, size, mode):
    rng = np.random.default_rng(number)
    curvature, residual = draw_quadratics(rng, size["seeds"], size["axes"], nulls=True)
    rates = draw_rates(rng, size["schedules"], size["steps"], max(curvature.max(), 1e-3), mode)
    levels = draw_levels(rng, 5, curvature, residual)
    whole = simlr.descend(curvature, residual, rates, levels)
    s, n, k = rng.permutation(len(rates)), rng.permutation(len(curvature)), rng.permutation(5)
    shuffled = simlr.descend(curvature[n], residual[n], rates[s], levels[k])
    assert_equal(simlr.engine.descend.Descent(*(values[np.ix_(s, n, k)] for values in whole)), shuffled)


@pytest.mark.parametrize("mode", ["stable", "unstable", "diverging"])
@pytest.mark.parametrize("axes", [1, 2, 5, 60])
def test_a_cell_alone_has_the_bits_it_has_among_others(axes, mode):
    rng = np.random.default_rng(axes)
    curvature, residual = draw_quadratics(rng, 300, axes, nulls=True)
    rates = draw_rates(rng, 2, 50, curvature.max(), mode)
    levels = draw_levels(rng, 4, curvature, residual)
    whole = simlr.descend(curvature, residual, rates, levels)
    for n in (0, 1, 131, 299):
        for s in (0, 1):
            own = slice(n, n + 1)
            alone = simlr.descend(curvature[own], residual[own], rates[s : s + 1], levels)
            assert_equal(alone, simlr.engine.descend.Descent(*(values[s : s + 1, own] for values in whole)))


@pytest.mark.parametrize("mode", ["stable", "unstable"])
def test_the_number_of_threads_is_of_no_account(mode):
    rng = np.random.default_rng(3)
    curvature, residual = draw_quadratics(rng, 300, 3)
    rates = draw_rates(rng, 3, 5000, curvature.max(), mode)
    levels = draw_levels(rng, 4, curvature, residual)
    try:
        jit.set_threads(1)
        one = simlr.descend(curvature, residual, rates, levels)
    finally:
        jit.set_threads(None)
    assert_equal(one, simlr.descend(curvature, residual, rates, levels))


@given(number=numbers, scale=st.floats(1e-6, 1e6), mode=st.sampled_from(["stable", "unstable"]))
def test_scaling_curvature_and_rates_against_each_other(number, scale, mode):
    """H -> c H with eta -> eta / c and levels -> c levels: the same residuals."""
    rng = np.random.default_rng(number)
    curvature, residual = draw_quadratics(rng, 3, 4)
    rates = draw_rates(rng, 2, 30, curvature.max(), mode)
    levels = draw_levels(rng, 3, curvature, residual)
    one = simlr.descend(curvature, residual, rates, levels)
    other = simlr.descend(scale * curvature, residual, rates / scale, scale * levels)
    np.testing.assert_array_equal(one.stop_step, other.stop_step)
    np.testing.assert_array_equal(one.status, other.status)
    np.testing.assert_allclose(scale * one.train_loss, other.train_loss, rtol=1e-10)
    np.testing.assert_allclose(one.residual, other.residual, rtol=1e-9)


@given(number=numbers, mode=st.sampled_from(["stable", "unstable"]), steps=st.integers(2, 60), data=st.data())
def test_two_halves_are_the_whole(number, mode, steps, data):
    """Going on from where the first part ended."""
    rng = np.random.default_rng(number)
    curvature, residual = draw_quadratics(rng, 3, 4)
    rates = draw_rates(rng, 1, steps, curvature.max(), mode)
    cut = data.draw(st.integers(1, steps - 1))
    whole = simlr.descend(curvature, residual, rates, [0.0])
    first = simlr.descend(curvature, residual, rates[:, :cut], [0.0])
    second = simlr.descend(curvature, first.residual[0, :, 0], rates[:, cut:], [0.0])
    np.testing.assert_allclose(second.residual, whole.residual, rtol=1e-12)
    np.testing.assert_allclose(second.train_loss, whole.train_loss, rtol=1e-12)


def test_arrays_that_may_not_be_written_to_are_taken():
    """One schedule and one seed too: a broadcast view of one entry is contiguous, and read-only."""
    arrays = [np.array([[1.0]]), np.array([[1.0]]), np.array([[0.5, 0.5]]), np.array([0.2])]
    for array in arrays:
        array.setflags(write=False)
    assert simlr.descend(*arrays).stop_step.tolist() == [[[1]]]


def test_lists_and_a_single_level_are_taken():
    found = simlr.descend([[1, 2]], [[1, 1]], [[1]], 1)
    assert found.status.shape == (1, 1, 1)
    assert found.residual.shape == (1, 1, 1, 2)
    assert (found.stop_step.dtype, found.status.dtype, found.train_loss.dtype) == (np.int64, np.uint8, np.float64)


# ---- what is refused ----

GOOD = {"curvature": [[1.0, 2.0]], "residual": [[1.0, 1.0]], "learning_rate": [[0.1]], "levels": [0.1]}
REFUSED = [
    ({"curvature": [1.0, 2.0]}, r"curvature must have 2 axes, none empty, got shape \(2,\)"),
    ({"curvature": [[1.0, -2.0]]}, "curvature must be >= 0, got -2"),
    ({"curvature": [[1.0, np.nan]]}, "curvature must be finite"),
    ({"curvature": [[1.0, "x"]]}, "curvature must be an array of numbers"),
    ({"curvature": [[1.0], [1.0, 2.0]]}, "curvature must be an array of numbers"),
    ({"residual": [[1.0]]}, r"residual must have the shape of curvature, \(1, 2\), got \(1, 1\)"),
    ({"residual": [[np.inf, 1.0]]}, "residual must be finite"),
    ({"learning_rate": [0.1]}, r"learning_rate must have 2 axes, none empty, got shape \(1,\)"),
    ({"learning_rate": [[]]}, r"learning_rate must have 2 axes, none empty, got shape \(1, 0\)"),
    ({"learning_rate": [[-0.1]]}, "learning_rate must be >= 0, got -0.1"),
    ({"levels": []}, r"levels must have 1 axes, none empty, got shape \(0,\)"),
    ({"levels": [-1.0]}, "levels must be >= 0, got -1"),
    ({"levels": [np.nan]}, "levels must be finite"),
    ({"test_matrix": np.eye(3)}, r"test_matrix must have shape \(2, 2\) or \(1, 2, 2\), got \(3, 3\)"),
    ({"test_matrix": [1.0, 2.0]}, r"test_matrix must have 2 or 3 axes, none empty, got shape \(2,\)"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_bad_arrays_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        simlr.descend(**{**GOOD, **change})


# ---- grids of discrete schedules ----

KINDS = [
    {"kind": "constant", "learning_rate": 0.11, "steps": 300},
    {"kind": "step", "learning_rate": 0.17, "step_size": 40, "gamma": 0.6, "steps": 300},
    {"kind": "step", "learning_rate": 0.17, "step_size": 100, "gamma": 0.6, "steps": 290},
    {"kind": "exponential", "learning_rate": 0.17, "gamma": 0.99, "steps": 300},
    {"kind": "linear", "learning_rate": 0.19, "steps": 300},
    {"kind": "polynomial", "learning_rate": 0.19, "power": 2.0, "steps": 300},
    {"kind": "cosine", "learning_rate": 0.19, "steps": 300},
    {"kind": "warmup", "learning_rate": 0.19, "steps": 300},
]


def named(schedules, **changes):
    return [{"name": str(i), **table, **changes} for i, table in enumerate(schedules)]


def rates_of(table):
    """The twin's rates of a [[schedule]] table with steps."""
    phases = table.get("phases", [table])
    own = [{k: v for k, v in phase.items() if k not in ("name", "unit")} for phase in phases]
    return [eta for phase in own if phase["kind"] != "flow" for eta in naive.rates(**phase)]


@pytest.mark.parametrize("engine", ["recurrence", "auto"])
@pytest.mark.parametrize("unit", ["absolute", "sharpness"])
def test_every_kind_in_a_grid_is_the_twin_s(run_arrays, unit, engine):
    """Floors, offsets and a test matrix too; the last level lies below the floor, the first is met at the start."""
    rng = np.random.default_rng(5)
    curvature, residual = draw_quadratics(rng, 4, 3, nulls=True)
    half = rng.normal(size=(4, 3, 3))
    arrays = {"curvature": curvature, "residual": residual, "test_matrix": half @ half.transpose(0, 2, 1)}
    arrays |= {"offset": rng.normal(size=(4, 3)), "train_floor": rng.random(4), "test_floor": rng.random(4)}
    levels = [100.0, 2.0, 1.1, 1.001, 0.0]
    run = run_arrays(arrays, named(KINDS, unit=unit), levels, engine=engine)
    for n in range(4):
        problem = naive.Quadratic(*(arrays[key][n] for key in ORDER))
        for s, table in enumerate(KINDS):
            rates = rates_of(table)
            rates = naive.in_sharpness(rates, curvature[n]) if unit == "sharpness" else rates
            for k, level in enumerate(levels):
                assert_is_result(run, (s, n, k), naive.stop(problem, rates, level))


ORDER = ("curvature", "residual", "test_matrix", "offset", "train_floor", "test_floor")


def assert_is_result(run, at, expected):
    """One cell and level of a Run is where the twin stops."""
    assert run.status[at] == expected.status
    assert run.stop_step[at] == expected.step
    np.testing.assert_allclose(run.stop_time[at], expected.time, rtol=1e-12)
    np.testing.assert_allclose(run.train_loss[at], expected.train_loss, **CLOSE)
    np.testing.assert_allclose(run.test_loss[at], expected.test_loss, rtol=1e-8)


def one_axis(loss=0.5):
    """A curvature of 1 and a start with this train loss."""
    return {"curvature": np.array([1.0]), "residual": np.array([np.sqrt(2.0 * loss)])}


ENGINES = ["recurrence", "closed-form"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("steps", [1, 63, 64, 4095, 4096, 4097, 8193])
def test_chunks_and_closed_forms_stop_at_exact_steps(run_arrays, steps, engine):
    rate = 0.001
    wanted = np.array([k for k in EDGES if k <= steps + 1])
    loss = 0.5 * np.exp(2.0 * wanted * np.log1p(-rate))
    schedule = [{"kind": "constant", "learning_rate": rate, "steps": steps}]
    run = run_arrays(one_axis(), schedule, (loss * (1 + 1e-9)).tolist(), engine=engine)
    reached = wanted <= steps
    np.testing.assert_array_equal(run.stop_step[0, 0], np.minimum(wanted, steps))
    np.testing.assert_array_equal(run.status[0, 0], np.where(reached, REACHED, OUT_OF_STEPS))
    np.testing.assert_allclose(run.stop_time[0, 0], rate * np.minimum(wanted, steps), rtol=1e-12)
    np.testing.assert_allclose(run.train_loss[0, 0, reached], loss[reached], rtol=1e-11)


@given(
    number=numbers,
    axes=st.integers(1, 8),
    mode=st.sampled_from(["stable", "unstable", "edge"]),
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=4),
)
def test_closed_forms_are_the_recurrence(run_arrays, number, axes, mode, lengths):
    """Phases of constant rates in closed form and step by step: the same stops, divergences and moments."""
    rng = np.random.default_rng(number)
    curvature, residual = draw_quadratics(rng, 6, axes, nulls=True)
    # At the edges one factor is 0 or -1.
    largest = {"stable": 2.0, "unstable": 2.6}.get(mode)
    rates = largest * rng.random(len(lengths)) if largest else rng.choice([1.0, 2.0], len(lengths))
    phases = [
        {"kind": "constant", "learning_rate": float(rate), "steps": steps}
        for rate, steps in zip(rates, lengths, strict=True)
    ]
    levels = draw_levels(rng, 5, curvature, residual).tolist()
    options = {"record": {"points": 40, "seeds": 3}}
    arrays = {"curvature": curvature, "residual": residual}
    schedule = [{"name": "phases", "unit": "sharpness", "phases": phases}]
    one, other = (run_arrays(arrays, schedule, levels, engine=engine, **options) for engine in ENGINES)
    np.testing.assert_array_equal(one.status, other.status)
    np.testing.assert_array_equal(one.stop_step, other.stop_step)
    for name in ("stop_time", "train_loss", "trajectory_train_loss"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-9, atol=1e-300, err_msg=name)
    for name in ("test_loss", "trajectory_test_loss"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_million_steps_near_the_limit_of_stability(run_arrays, engine):
    """Factors -(1 - 2e-7) and 1 - 1e-6: the stop is that of exact arithmetic, to 1e-9 in the loss."""
    curvature, rate = np.array([2.0, 1e-6]), 1.0 - 1e-7
    arrays = {"curvature": curvature, "residual": np.array([1.0, 1000.0])}
    steps = 1_000_000
    schedule = [{"kind": "constant", "learning_rate": rate, "steps": steps}]
    levels = [1.2, 0.75, 1e-9]
    run = run_arrays(arrays, schedule, levels, engine=engine, max_steps=steps)
    factors = 1.0 - rate * curvature
    for k, level in enumerate(levels):
        step = int(run.stop_step[0, 0, k])
        loss = [0.5 * sum(curvature * arrays["residual"] ** 2 * np.abs(factors) ** (2 * t)) for t in (step - 1, step)]
        np.testing.assert_allclose(run.train_loss[0, 0, k], loss[1], rtol=1e-9)
        assert loss[1] <= level < loss[0] or step == steps
    assert run.status[0, 0].tolist() == [REACHED, REACHED, OUT_OF_STEPS]


@pytest.mark.parametrize("rate", [1e-3, 1e-6, 3e-9])
def test_closed_forms_over_a_billion_steps(run_arrays, rate):
    """The first k with f^(2k) / 2 at or below the level, f = 1 - eta lam rounded once, by sixty digits."""
    steps, level = 10**10, 1e-9
    factor = float(1 - Fraction(rate) * Fraction(0.7))
    with localcontext() as context:
        context.prec = naive.DIGITS
        expected = (Decimal(level) / Decimal("0.35")).ln() / (2 * Decimal(factor).ln())
    schedule = [{"kind": "constant", "learning_rate": rate, "steps": steps}]
    arrays = {"curvature": np.array([0.7]), "residual": np.array([1.0])}
    run = run_arrays(arrays, schedule, [level, 1e-300], max_steps=steps, engine="closed-form")
    assert run.stop_step[0, 0, 0] == math.ceil(expected)
    at_stop = 0.35 * math.exp(2 * math.ceil(expected) * math.log(factor))
    np.testing.assert_allclose(run.train_loss[0, 0, 0], at_stop, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_divergence_in_a_grid(run_arrays, engine):
    """Factor -3: the loss is 9^k / 2, and the first beyond 1e100 is at k = 106. A later flow does not bring it back."""
    phases = [{"kind": "constant", "learning_rate": 4.0, "steps": 500}, {"kind": "flow"}]
    schedules = [{"name": "steps", **phases[0]}, {"name": "flow", "phases": phases}]
    run = run_arrays(one_axis(), schedules, [1.0, 0.1, 0.0], engine=engine, record={"points": 400, "seeds": 1})
    step = int(np.ceil(np.log(2e100) / np.log(9.0)))
    for s in (0, 1):
        assert run.status[s, 0].tolist() == [REACHED, DIVERGED, AT_FLOOR]
        assert run.stop_step[s, 0].tolist() == [0, step, step]
        np.testing.assert_allclose(run.stop_time[s, 0], [0.0, 4.0 * step, 4.0 * step], rtol=1e-12)
        np.testing.assert_allclose(run.train_loss[s, 0, 1], 0.5 * 9.0**step, rtol=1e-10)
        recorded = run.recorded_step[s] < step
        np.testing.assert_array_equal(
            np.isfinite(run.trajectory_train_loss[s, 0]), recorded & (run.recorded_step[s] >= 0)
        )


@pytest.mark.filterwarnings("error")
def test_a_diverging_run_recorded_in_float32_gives_no_warning(run_arrays):
    """Losses up to 1e100 are beyond float32: inf there, and no line on the screen."""
    schedule = [{"kind": "linear", "learning_rate": 4.0, "end_learning_rate": 4.5, "steps": 200}]
    record = {"points": 100, "seeds": 1, "dtype": "float32", "iterates": True}
    run = run_arrays(one_axis(), schedule, [0.1], record=record)
    assert run.status[0, 0, 0] == DIVERGED
    assert np.isinf(run.trajectory_train_loss).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("record", [{"points": 0}, {"points": 50, "seeds": "all"}])
def test_a_rate_that_grows_beyond_all_numbers_diverges_in_silence(run_arrays, record):
    schedule = [{"kind": "exponential", "learning_rate": 1e3, "gamma": 2.0, "steps": 5000}]
    arrays = {"curvature": np.array([[1.0, 0.0], [0.0, 0.0]]), "residual": np.ones((2, 2))}
    run = run_arrays(arrays, schedule, [1e-30], record=record)
    assert run.status[0, :, 0].tolist() == [DIVERGED, REACHED]


# ---- recorded moments ----

RECORDED = [
    {"kind": "constant", "learning_rate": 0.3, "steps": 9000},
    {"kind": "cosine", "learning_rate": 1.9, "steps": 5000},
    {"kind": "cosine", "learning_rate": 1.9, "steps": 7},
    {"kind": "step", "learning_rate": 1.0, "step_size": 1000, "gamma": 0.5, "steps": 4097},
]


TRAJECTORIES = ("train_loss", "test_loss", "iterate")


@pytest.mark.parametrize("engine", ["recurrence", "auto"])
def test_a_recorded_moment_is_the_state_of_a_run_that_ends_there(run_arrays, engine):
    """And it goes on after the last level, for the recorded seeds."""
    rng = np.random.default_rng(8)
    curvature, residual = draw_quadratics(rng, 5, 2)
    arrays = {"curvature": curvature, "residual": residual}
    record = {"points": 30, "seeds": 3, "iterates": True}
    run = run_arrays(arrays, named(RECORDED, unit="sharpness"), [1e-2, 1e-3], record=record, engine=engine)
    assert (run.status == REACHED).any()
    for s, table in enumerate(RECORDED):
        rates = np.array(rates_of(table))
        used = run.recorded_step[s] >= 0
        assert run.recorded_step[s][used].tolist() == sorted({0, *run.recorded_step[s][used]})
        assert run.recorded_step[s].max() == table["steps"]
        for slot in np.flatnonzero(used):
            step = run.recorded_step[s, slot]
            np.testing.assert_allclose(run.recorded_time[s, slot], rates[:step].sum(), rtol=1e-12)
            assert run.learning_rate[s, slot] == pytest.approx(rates[min(step, len(rates) - 1)], rel=1e-12)
            # Schedule n of the three is that of seed n; a rate of 0 follows, as there is no run of no steps.
            own = np.append(rates[:step], 0.0) / curvature[:3].max(axis=1)[:, None]
            ended = simlr.descend(curvature[:3], residual[:3], own, [0.0])
            seeds = np.arange(3)
            for name, expected in zip(TRAJECTORIES, (ended.train_loss, ended.test_loss, ended.residual), strict=True):
                found = run[f"trajectory_{name}"][s, :, slot]
                np.testing.assert_allclose(found, expected[seeds, seeds, 0], rtol=1e-9, atol=1e-15, err_msg=name)


@pytest.mark.parametrize("engine", ["recurrence", "auto"])
def test_recording_changes_no_stop(run_arrays, engine):
    rng = np.random.default_rng(9)
    curvature, residual = draw_quadratics(rng, 40, 2)
    arrays = {"curvature": curvature, "residual": residual}
    records = [
        {"points": 0},
        {"points": 77, "seeds": 10},
        {"points": 2, "seeds": "all"},
        {"points": 200, "seeds": "all"},
    ]
    schedules = named(RECORDED, unit="sharpness")
    first, *others = (run_arrays(arrays, schedules, [1e-2, 1e-9], record=r, engine=engine) for r in records)
    for other in others:
        for name in ("status", "stop_step", "stop_time", "train_loss", "test_loss"):
            np.testing.assert_array_equal(first[name], other[name], err_msg=name)


def test_float32_records_are_the_rounded_float64_ones(run_arrays):
    rng = np.random.default_rng(10)
    curvature, residual = draw_quadratics(rng, 3, 2)
    arrays, schedules = {"curvature": curvature, "residual": residual}, named(RECORDED, unit="sharpness")
    record = {"points": 20, "seeds": "all", "iterates": True}
    double, single = (
        run_arrays(arrays, schedules, [0.01], record={**record, "dtype": t}) for t in ("float64", "float32")
    )
    for name in ("trajectory_train_loss", "trajectory_test_loss", "trajectory_iterate"):
        assert single[name].dtype == np.float32
        np.testing.assert_array_equal(single[name], double[name].astype(np.float32))
    np.testing.assert_array_equal(single.train_loss, double.train_loss)


# ---- how the work is cut ----


def assert_same_run(one, other):
    """All that came out, bit by bit."""
    own_to_a_run = {"block", "block_start", "block_done", "block_crc32", "finished_at", "wall_seconds", "end_crc32"}
    assert one.names == other.names
    for name in set(one.names) - own_to_a_run:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


MIXED = [
    {"name": "flow", "kind": "flow"},
    {"name": "cosine", "kind": "cosine", "learning_rate": 1.9, "steps": 5000, "unit": "sharpness"},
    {"name": "constant", "kind": "constant", "learning_rate": 0.2, "steps": 500},
    {"name": "wild", "kind": "constant", "learning_rate": 2.2, "unit": "sharpness", "steps": 5000},
    {"name": "phases", "phases": [{"kind": "constant", "learning_rate": 0.19, "steps": 5}, {"kind": "flow"}]},
]


@pytest.mark.parametrize(("block_seeds", "threads"), [(1, 1), (7, 2), (8, 1), (64, 2), (0, 1), (0, 2), (149, 2)])
def test_blocks_and_threads_are_of_no_account(run_arrays, block_seeds, threads):
    rng = np.random.default_rng(11)
    curvature, residual = draw_quadratics(rng, 150, 3, nulls=True)
    arrays = {"curvature": curvature, "residual": residual, "train_floor": rng.random(150)}
    options = {"record": {"points": 20, "seeds": 20, "iterates": True}}
    whole = run_arrays(arrays, MIXED, [2.0, 0.1, 0.9], run={"block_seeds": 150}, **options)
    cut = run_arrays(arrays, MIXED, [2.0, 0.1, 0.9], run={"block_seeds": block_seeds}, threads=threads, **options)
    assert_same_run(whole, cut)
    assert {REACHED, DIVERGED, AT_FLOOR} <= set(whole.status.ravel())


def test_the_seeds_of_a_grid_may_be_permuted(run_arrays):
    rng = np.random.default_rng(12)
    curvature, residual = draw_quadratics(rng, 90, 3, nulls=True)
    order = rng.permutation(90)
    record = {"points": 20, "seeds": "all"}
    one = run_arrays({"curvature": curvature, "residual": residual}, MIXED, [0.5, 0.01], record=record)
    arrays = {"curvature": curvature[order], "residual": residual[order]}
    other = run_arrays(arrays, MIXED, [0.5, 0.01], record=record)
    for name in ("status", "stop_step", "stop_time", "train_loss", "test_loss", "trajectory_train_loss"):
        np.testing.assert_array_equal(one[name][:, order], other[name], err_msg=name)


SPLIT_IN_TWO = [
    (
        {"kind": "constant", "learning_rate": 0.1, "steps": 300},
        [
            {"kind": "constant", "learning_rate": 0.1, "steps": 123},
            {"kind": "constant", "learning_rate": 0.1, "steps": 177},
        ],
    ),
    (
        {"kind": "exponential", "learning_rate": 0.19, "gamma": 0.99, "steps": 300},
        [
            {"kind": "exponential", "learning_rate": 0.19, "gamma": 0.99, "steps": 100},
            {"kind": "exponential", "learning_rate": 0.19 * 0.99**100, "gamma": 0.99, "steps": 200},
        ],
    ),
    (
        {"kind": "linear", "learning_rate": 0.19, "steps": 300},
        [
            {"kind": "linear", "learning_rate": 0.19, "end_learning_rate": 0.095, "steps": 150},
            {"kind": "linear", "learning_rate": 0.095, "steps": 150},
        ],
    ),
    (
        {"kind": "step", "learning_rate": 0.19, "step_size": 100, "gamma": 0.5, "steps": 300},
        [{"kind": "constant", "learning_rate": rate, "steps": 100} for rate in (0.19, 0.095, 0.0475)],
    ),
]


@pytest.mark.parametrize(("whole", "phases"), SPLIT_IN_TWO, ids=[whole["kind"] for whole, _ in SPLIT_IN_TWO])
def test_a_schedule_split_into_phases_is_the_whole(run_arrays, whole, phases):
    rng = np.random.default_rng(13)
    curvature, residual = draw_quadratics(rng, 20, 3)
    schedules = [{"name": "whole", **whole}, {"name": "split", "phases": phases}]
    run = run_arrays({"curvature": curvature, "residual": residual}, schedules, [0.1, 1e-9])
    np.testing.assert_array_equal(run.stop_step[0], run.stop_step[1])
    np.testing.assert_array_equal(run.status[0], run.status[1])
    for name in ("train_loss", "test_loss", "stop_time"):
        np.testing.assert_allclose(run[name][0], run[name][1], rtol=1e-12, err_msg=name)


@given(number=numbers, scales=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=2))
def test_rates_in_sharpness_units_know_no_scale(run_arrays, number, scales):
    """c H with levels c eps has the same steps, losses c times as large and times 1 / c."""
    rng = np.random.default_rng(number)
    curvature, residual = draw_quadratics(rng, 3, 3)
    schedules = [
        {**table, "unit": "sharpness", "name": str(i)} for i, table in enumerate([RECORDED[2], MIXED[2], MIXED[0]])
    ]
    levels = np.array([1.0, 0.03, 1e-4])
    one, other = (
        run_arrays({"curvature": c * curvature, "residual": residual}, schedules, (c * levels).tolist()) for c in scales
    )
    np.testing.assert_array_equal(one.stop_step, other.stop_step)
    np.testing.assert_array_equal(one.status, other.status)
    ratio = scales[1] / scales[0]
    np.testing.assert_allclose(one.train_loss * ratio, other.train_loss, rtol=1e-10)
    np.testing.assert_allclose(one.stop_time, other.stop_time * ratio, rtol=1e-10)
    np.testing.assert_allclose(one.test_loss, other.test_loss, rtol=1e-10)


def test_a_rate_in_sharpness_units_is_that_over_the_sharpness(run_arrays):
    rng = np.random.default_rng(14)
    curvature, residual = draw_quadratics(rng, 1, 3)
    sharpness = float(curvature.max())
    both = [
        {"name": "absolute", "kind": "constant", "learning_rate": 1.9 / sharpness, "steps": 500},
        {"name": "sharpness", "kind": "constant", "learning_rate": 1.9, "unit": "sharpness", "steps": 500},
    ]
    run = run_arrays({"curvature": curvature, "residual": residual}, both, [0.1, 1e-9])
    np.testing.assert_array_equal(run.stop_step[0], run.stop_step[1])
    np.testing.assert_allclose(run.train_loss[0], run.train_loss[1], rtol=1e-11)
    np.testing.assert_allclose(run.stop_time[0], run.stop_time[1], rtol=1e-12)
    np.testing.assert_allclose(run.stop_time[1], run.stop_step[1] * 1.9 / sharpness, rtol=1e-12)


# ---- levels in the file ----


@given(number=numbers, floors=st.floats(-12.0, 3.0), kind=st.sampled_from(["train_loss", "excess_train_loss"]))
def test_a_reached_level_is_not_exceeded_in_the_file(run_arrays, number, floors, kind):
    """train_loss <= level to the last bit wherever status is 1, for floors of every size."""
    rng = np.random.default_rng(number)
    curvature, residual = draw_quadratics(rng, 30, 2)
    floor = 10**floors * rng.random(30)
    excess = 10.0 ** rng.uniform(-14.0, 1.0, 6)
    levels = excess if kind == "excess_train_loss" else floor[:6] + excess
    arrays = {"curvature": curvature, "residual": residual, "train_floor": floor}
    schedules = named([RECORDED[1], RECORDED[0]], unit="sharpness")
    run = run_arrays(arrays, schedules, None, stop={kind: levels.tolist(), "max_steps": 10000})
    limit = levels + (floor[None, :, None] if kind == "excess_train_loss" else 0.0)
    limit = np.broadcast_to(limit, run.train_loss.shape)
    reached = run.status == REACHED
    assert (run.train_loss[reached] <= limit[reached]).all()
    out_of_reach = np.broadcast_to(levels <= floor[:, None], run.status.shape) & (kind == "train_loss")
    np.testing.assert_array_equal(run.status == AT_FLOOR, out_of_reach)


def test_a_floor_whose_sum_with_the_excess_rounds_above_the_level(run_arrays):
    """floor + (level - floor) may be more than the level; starts as high as that are above it, and not reached."""
    floor = np.random.default_rng(15).uniform(0.0, 0.1, 2000)
    level = 0.9
    residual = np.sqrt(2 * (level - floor))
    above = floor + 0.5 * (residual * residual) > level
    assert 100 < above.sum() < 1900
    arrays = {"curvature": np.ones((2000, 1)), "residual": residual[:, None], "train_floor": floor}
    run = run_arrays(arrays, [{"kind": "linear", "learning_rate": 0.1, "steps": 3}], [level])
    assert (run.status == REACHED).all()
    assert (run.train_loss <= level).all()
    assert (run.stop_step[0, above, 0] == 1).all()
