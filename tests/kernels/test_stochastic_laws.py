"""Walks: what must not change a bit of them, and the laws that they obey."""

import numpy as np
import pytest
import stochastic_steps
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from naive import stochastic as naive

OPTIMIZERS = ["gd", "momentum", "nesterov"]
AVERAGES = ["none", "tail", "exponential"]
NOISES = ["none", "isotropic", "hessian", "with_replacement", "shuffled"]

numbers = st.integers(0, 2**32 - 1)
kinds = st.fixed_dictionaries(
    {"optimizer": st.sampled_from(OPTIMIZERS), "average": st.sampled_from(AVERAGES), "noise": st.sampled_from(NOISES)}
)
sizes = st.fixed_dictionaries(
    {
        "schedules": st.integers(1, 11),
        "seeds": st.integers(1, 11),
        "axes": st.integers(1, 6),
        "steps": st.integers(2, 80),
    }
)


class Grid:
    """Random problems: arrays by seed and by schedule, of which any part can be run by itself."""

    def __init__(self, number, schedules, seeds, axes, steps, rows=7):
        rng = np.random.default_rng(number)
        self.curvature = 10 ** rng.uniform(-2.0, 0.0, (seeds, axes))
        self.curvature[rng.random((seeds, axes)) < 0.2] = 0.0
        self.residual = rng.normal(size=(seeds, axes))
        self.z, self.rho = rng.normal(size=(seeds, rows, axes)), rng.normal(size=(seeds, rows))
        # One schedule in five diverges.
        largest = np.where(rng.random(schedules) < 0.2, 50.0, 0.3)
        self.eta = largest[:, None] * rng.uniform(size=(schedules, steps))
        self.beta, self.decay = rng.uniform(0.0, 0.95, schedules), rng.uniform(0.0, 1.0, schedules)
        self.sigma = rng.uniform(0.0, 0.3, schedules)
        self.tail_start = rng.integers(0, steps, schedules)
        self.lengths = rng.integers(1, steps + 1, schedules)
        record = np.sort(rng.integers(1, steps + 1, (schedules, 3)), axis=1)
        record[:, 0] = 0
        record[:, 1:][record[:, 1:] > self.lengths[:, None]] = -1
        record[:, 2][record[:, 2] == record[:, 1]] = -1
        self.record, self.unit = record, rng.integers(0, 2, schedules)
        self.levels = np.abs(rng.normal(size=3))
        self.draw = rng.integers(0, 1000, seeds)

    def run(self, schedules=slice(None), seeds=slice(None), curvature=None, **options):
        """The steps of some schedules and seeds."""
        own = ["eta", "beta", "decay", "sigma", "tail_start", "lengths", "record", "unit"]
        arrays = {name: getattr(self, name)[schedules] for name in own}
        arrays |= {name: getattr(self, name)[seeds] for name in ("residual", "z", "rho", "draw")}
        curvature = self.curvature if curvature is None else curvature
        arrays |= {"levels": self.levels, "batch": 3, "root": -5}
        arrays["eta"] = arrays["eta"].copy()
        return stochastic_steps.take_steps(curvature=curvature[seeds], **{**arrays, **options})


# ---- the same bits ----


@given(number=numbers, size=sizes, kind=kinds, data=st.data())
def test_chunks_are_of_no_account(number, size, kind, data):
    grid = Grid(number, **size)
    cuts = sorted(data.draw(st.sets(st.integers(1, size["steps"] - 1), max_size=4)))
    stochastic_steps.assert_equal(grid.run(**kind, cuts=cuts), grid.run(**kind))


@given(number=numbers, size=sizes, kind=kinds)
def test_the_order_and_choice_of_schedules_and_seeds_are_of_no_account(number, size, kind):
    grid = Grid(number, **size)
    whole, rng = grid.run(**kind), np.random.default_rng(number)
    schedules = rng.permutation(size["schedules"])[: rng.integers(1, size["schedules"] + 1)]
    seeds = rng.permutation(size["seeds"])[: rng.integers(1, size["seeds"] + 1)]
    stochastic_steps.assert_equal(grid.run(schedules, seeds, **kind), whole, schedules, seeds)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("axes", [1, 3, 50])
def test_a_cell_alone_has_the_bits_it_has_in_pools_that_are_full(axes, noise):
    """More schedules and seeds than a pool has lanes, so that pools are left, filled anew and not full."""
    grid = Grid(axes, 150, 150, axes, 70)
    kind = {"noise": noise, "optimizer": "nesterov", "average": "tail"}
    whole = grid.run(**kind)
    for s, n in ((0, 0), (7, 149), (149, 8), (64, 64)):
        own, other = slice(s, s + 1), slice(n, n + 1)
        stochastic_steps.assert_equal(grid.run(own, other, **kind), whole, own, other)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_number_of_threads_is_of_no_account(optimizer, noise):
    grid = Grid(4, 40, 40, 3, 300)
    kind = {"noise": noise, "optimizer": optimizer, "average": "exponential"}
    stochastic_steps.assert_equal(grid.run(**kind, threads=1), grid.run(**kind, threads=2))


# ---- laws ----


@given(number=numbers, size=sizes, noise=st.sampled_from(NOISES), optimizer=st.sampled_from(["momentum", "nesterov"]))
def test_without_memory_momentum_is_gradient_descent(number, size, noise, optimizer):
    grid = Grid(number, **size)
    plain, rolling = grid.run(noise=noise), grid.run(noise=noise, optimizer=optimizer, beta=0.0)
    # A diverging velocity may be infinite, and 0 times infinity is not a number: only then do they part.
    stochastic_steps.assert_equal(plain._replace(r=rolling.r, velocity=rolling.velocity), rolling)
    calm = plain.decided != stochastic_steps.arrays.ENDED
    np.testing.assert_array_equal(plain.r[calm], rolling.r[calm])


@given(number=numbers, size=sizes, kind=kinds, noise=st.sampled_from(["isotropic", "hessian"]))
def test_noise_of_size_zero_is_no_noise(number, size, kind, noise):
    grid = Grid(number, **size)
    stochastic_steps.assert_equal(
        grid.run(**{**kind, "noise": noise}, sigma=0.0), grid.run(**{**kind, "noise": "none"})
    )


@given(number=numbers, size=sizes, kind=kinds)
def test_averages_change_nothing_of_the_run(number, size, kind):
    grid = Grid(number, **size)
    with_average, without = grid.run(**kind), grid.run(**{**kind, "average": "none"})
    for name in ("r", "velocity", "status", "stop_step", "stop_time", "stop_r", "record_r"):
        np.testing.assert_array_equal(getattr(with_average, name), getattr(without, name))


@given(number=numbers, size=sizes, kind=kinds)
def test_averages_without_memory_are_the_last_iterate(number, size, kind):
    grid = Grid(number, **size)
    last = {"tail": {"tail_start": size["steps"]}, "exponential": {"decay": 0.0}, "none": {}}[kind["average"]]
    found = grid.run(**kind, **last)
    if kind["average"] != "none":
        reached = found.status == 1
        np.testing.assert_array_equal(found.stop_average[reached], found.stop_r[reached])
        calm = found.decided != stochastic_steps.arrays.ENDED
        np.testing.assert_array_equal(found.average[calm], found.r[calm])


@given(number=numbers, size=sizes, kind=kinds, power=st.integers(-10, 10))
def test_scaling_curvature_and_rates_by_powers_of_four(number, size, kind, power):
    """H -> c H, eta -> eta / c, levels -> c levels: the same residuals, bit by bit, where c is a power of four.

    Rows grow by sqrt(c) with the curvature, their misfits too; sigma by sqrt(c) where the noise has H's covariance,
    else by c.
    """
    grid, c = Grid(number, **size), 4.0**power
    # A flat problem has no sharpness that could scale.
    grid.curvature[:, 0] = 0.1
    sigma = grid.sigma * (np.sqrt(c) if kind["noise"] == "hessian" else c)
    # Rates in units of sharpness stay as they are.
    eta = np.where(grid.unit[:, None] == 1, grid.eta, grid.eta / c)
    options = {"levels": c * grid.levels, "sigma": sigma, "eta": eta}
    options |= {"z": np.sqrt(c) * grid.z, "rho": np.sqrt(c) * grid.rho}
    one, other = grid.run(**kind), grid.run(**kind, **options, curvature=c * grid.curvature)
    # The limit of 1e100 does not scale.
    assume(
        not ((one.decided == stochastic_steps.arrays.ENDED) | (other.decided == stochastic_steps.arrays.ENDED)).any()
    )
    for name in ("r", "average", "decided", "status", "stop_step", "stop_r", "stop_average", "record_r"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@given(number=numbers, optimizer=st.sampled_from(OPTIMIZERS), batch=st.sampled_from([9, 10, 64]))
def test_one_batch_of_all_rows_is_the_full_gradient(number, optimizer, batch):
    rng = np.random.default_rng(number)
    problem = stochastic_steps.draw_rows(rng, 9, 3)
    rates, residual = rng.uniform(0.0, 0.3, (2, 60)), problem.residual(rng.normal(size=3))
    options = {"optimizer": optimizer, "beta": 0.5, "z": problem.z[None], "rho": problem.rho[None], "batch": batch}
    full = stochastic_steps.take_steps(problem.curvature, residual, rates, **options)
    epochs = stochastic_steps.take_steps(problem.curvature, residual, rates, noise="shuffled", **options)
    np.testing.assert_allclose(epochs.r, full.r, rtol=0.0, atol=1e-11 * max(1.0, np.abs(full.r).max()))


@given(number=numbers, noise=st.sampled_from(NOISES[1:]))
def test_every_schedule_meets_the_same_noise(number, noise):
    """Equal schedules, wherever they stand, have equal iterates; another draw has others."""
    grid = Grid(number, 1, 2, 3, 20)
    twice = {"eta": np.tile(grid.eta, (9, 1)), "beta": 0.5, "decay": 0.5, "sigma": 0.2, "tail_start": 0, "unit": 0}
    twice |= {"lengths": 20, "record": None, "levels": [-1.0], "noise": noise}
    found = grid.run(**twice)
    np.testing.assert_array_equal(found.r, np.broadcast_to(found.r[0], found.r.shape))
    other = grid.run(**twice, draw=grid.draw + 1000)
    assert (other.r != found.r).any()


@settings(max_examples=5)
@given(number=numbers)
def test_roots_of_any_sign_name_streams(number):
    grid = Grid(number, 1, 1, 2, 10)
    options = {"lengths": 10, "record": None, "levels": [-1.0], "unit": 0, "sigma": 0.3, "noise": "isotropic"}
    for root in (-1, 0, 2**62):
        found = grid.run(**options, root=root)
        gradient = naive.isotropic(grid.curvature[0], 0.3, root, int(grid.draw[0]))
        expected = naive.iterates(gradient, grid.residual[0], grid.eta[0])[-1]
        np.testing.assert_allclose(found.r[0, 0], expected, rtol=1e-9)
