"""Optimisers, averages and noisy gradients: the kernels against their twins, closed forms and exact moments."""

import functools

import numpy as np
import pytest
import stochastic_steps

from naive import stochastic as naive
from simlr.kernels import arrays, draws, jit
from simlr.kernels.residual_losses import residual_losses_sweep
from simlr.kernels.stochastic import gradients

CLOSE = 1e-11
REACHED, DIVERGED = 1, 3
SIZES = [1, 2, 7, 50]
STEPS = 10_000
MOMENTS = [0, 1, 2, 3, 10, 31, 32, 33, 100, 999, 1000, 4096, 9999, 10_000]
OPTIMIZERS = ["gd", "momentum", "nesterov"]
NOISES = ["none", "isotropic", "hessian", "with_replacement", "shuffled"]
ROOT, DRAW = 20200507, 11


def varying_rates(rng, steps, sharpness):
    """A decaying schedule with jitter, within the stable range of every optimiser at beta = 0.9."""
    return (0.3 + 0.7 * np.linspace(1.0, 0.0, steps)) * rng.uniform(0.1, 0.4, steps) / sharpness


def assert_close(found, expected, largest):
    """Within CLOSE of the run's largest value."""
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=CLOSE * largest)


@functools.cache
def problem_of(axes, rows=37):
    return stochastic_steps.draw_rows(np.random.default_rng(axes), rows, axes)


def twin_gradient(noise, problem, sigma, batch):
    """The twin's gradient, and what turns its iterates into residuals."""
    if noise in ("with_replacement", "shuffled"):
        make = {"with_replacement": naive.with_replacement, "shuffled": naive.shuffled}[noise]
        return make(problem.x, problem.y, batch, ROOT, DRAW)
    if noise == "none":
        return naive.exact(problem.curvature)
    make = {"isotropic": naive.isotropic, "hessian": naive.hessian}[noise]
    return make(problem.curvature, sigma, ROOT, DRAW)


def twin_residuals(noise, problem, theta, rates, optimizer, beta, sigma, batch):
    """Residuals of the twin's iterates from theta, along the Hessian's axes."""
    gradient = twin_gradient(noise, problem, sigma, batch)
    if noise in ("with_replacement", "shuffled"):
        return problem.residual(naive.iterates(gradient, theta, rates, optimizer, beta))
    return naive.iterates(gradient, problem.residual(theta), rates, optimizer, beta)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("axes", SIZES)
def test_every_iterate_is_the_twin_s_over_ten_thousand_steps(axes, optimizer, noise):
    """With varying rates and both averages; more axes than rows at d = 50, so that null directions are there."""
    problem, rng = problem_of(axes), np.random.default_rng(1)
    theta = rng.normal(size=axes)
    sgd = noise in ("with_replacement", "shuffled")
    rates = varying_rates(rng, STEPS, problem.curvature.max() * (8.0 * axes if sgd else 1.0))
    beta, sigma, batch, start, decay = 0.9, 0.3, 5, 700, 0.98
    expected = twin_residuals(noise, problem, theta, rates, optimizer, beta, sigma, batch)
    largest = np.abs(expected).max()
    assert np.isfinite(largest)
    options = {"optimizer": optimizer, "beta": beta, "noise": noise, "sigma": sigma, "batch": batch, "root": ROOT}
    options |= {"draw": [DRAW], "record": MOMENTS, "z": problem.z[None], "rho": problem.rho[None]}
    residual = problem.residual(theta)
    tail = stochastic_steps.take_steps(problem.curvature, residual, rates, average="tail", tail_start=start, **options)
    blend = stochastic_steps.take_steps(
        problem.curvature, residual, rates, average="exponential", decay=decay, **options
    )
    blended = naive.exponential(expected, decay)
    for k, t in enumerate(MOMENTS):
        assert_close(tail.record_r[0, 0, k], expected[t], largest)
        assert_close(tail.record_average[0, 0, k], naive.tail(expected, start, t), largest)
        assert_close(blend.record_average[0, 0, k], blended[t], largest)
    np.testing.assert_array_equal(tail.record_r, blend.record_r)
    np.testing.assert_array_equal(tail.r[0, 0], tail.record_r[0, 0, -1])


# ---- closed forms ----


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("axes", SIZES)
def test_powers_of_the_companion_matrix(axes, optimizer):
    curvature, residual = np.linspace(0.001, 1.0, axes), np.linspace(-1.0, 1.0, axes) + 0.01
    eta, beta = 1.2, 0.8
    found = stochastic_steps.take_steps(
        curvature, residual, np.full(STEPS, eta), optimizer=optimizer, beta=beta, record=MOMENTS
    )
    for k, t in enumerate(MOMENTS):
        for i in range(axes):
            power = naive.companion_power(optimizer, eta, curvature[i], beta, t)
            assert_close(found.record_r[0, 0, k, i], power[0, 0] * residual[i], 1.1)


def test_at_a_constant_rate_momentum_is_the_heavy_ball():
    curvature, residual = np.array([0.01, 0.3, 1.0]), np.array([1.0, -2.0, 3.0])
    found = stochastic_steps.take_steps(
        curvature, residual, np.full(STEPS, 1.7), optimizer="momentum", beta=0.7, record=MOMENTS
    )
    expected = naive.heavy_ball(naive.exact(curvature), residual, 1.7, 0.7, STEPS)
    assert_close(found.record_r[0, 0], expected[MOMENTS], np.abs(expected).max())


@pytest.mark.parametrize("start", [0, 1, 500])
def test_averages_of_a_geometric_sequence(start):
    lam, eta, decay = 0.004, 0.5, 0.97
    rates, options = np.full(STEPS, eta), {"record": MOMENTS, "tail_start": start, "decay": decay}
    tail = stochastic_steps.take_steps([lam], [1.0], rates, average="tail", **options).record_average.ravel()
    blend = stochastic_steps.take_steps([lam], [1.0], rates, average="exponential", **options).record_average.ravel()
    f, t = 1.0 - eta * lam, np.array(MOMENTS)
    count = np.maximum(t - start + 1, 1)
    assert_close(tail, np.where(t < start, f**t, f**start * (1 - f**count) / (count * (1 - f))), 1.0)
    assert_close(blend, decay**t + (1 - decay) * f * (f**t - decay**t) / (f - decay), 1.0)


# ---- exact moments ----

MANY = 100_000


def assert_moments(sample, mean, second):
    """Mean and second moment of (N, d) within 4 standard errors, entry by entry."""
    root = np.sqrt(len(sample))
    products = sample[:, :, None] * sample[:, None, :]
    for found, expected in ((sample, mean), (products, second)):
        error = found.std(axis=0) / root
        assert (np.abs(found.mean(axis=0) - expected) <= 4 * error).all()


def steps_of_many(curvature, residual, rates, **options):
    """r after every step count on MANY seeds, (N, d)."""
    tile = np.tile(residual, (MANY, 1))
    return stochastic_steps.take_steps(np.tile(curvature, (MANY, 1)), tile, rates, root=ROOT, **options)


@pytest.mark.parametrize("noise", ["isotropic", "hessian"])
def test_additive_noise_has_its_moments(noise):
    curvature, residual, rates = np.array([1.0, 0.3, 0.0]), np.array([1.0, -1.0, 0.5]), np.linspace(1.2, 0.4, 12)
    sigmas = np.array([0.5, 0.05])
    found = steps_of_many(curvature, residual, np.tile(rates, (2, 1)), noise=noise, sigma=sigmas).r
    for s, sigma in enumerate(sigmas):
        covariance = sigma**2 * (np.diag(curvature) if noise == "hessian" else np.eye(3))
        mean, second = residual, np.outer(residual, residual)
        for eta in rates:
            mean, second = naive.additive_moments(mean, second, eta, curvature, covariance)
        null = curvature == 0.0
        if noise == "hessian":
            np.testing.assert_array_equal(found[s][:, null], np.tile(residual[null], (MANY, 1)))
        moving = ~null if noise == "hessian" else np.full(3, True)
        assert_moments(found[s][:, moving], mean[moving], second[np.ix_(moving, moving)])


def test_momentum_through_noise_has_its_moments():
    curvature, residual, rates = np.array([1.0, 0.2]), np.array([1.0, -1.0]), np.linspace(0.9, 0.3, 15)
    found = steps_of_many(curvature, residual, rates, optimizer="momentum", beta=0.6, noise="isotropic", sigma=0.4)
    start = np.concatenate([residual, np.zeros(2)])
    mean, second = start, np.outer(start, start)
    for eta in rates:
        mean, second = naive.momentum_moments(mean, second, eta, 0.6, curvature, 0.16 * np.eye(2))
    assert_moments(np.concatenate([found.r[0], found.velocity[0]], axis=1), mean, second)


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_with_replacement_have_their_moments(batch):
    problem = problem_of(2, rows=9)
    residual, rates = problem.residual(np.array([2.0, -1.0])), np.linspace(0.2, 0.05, 12)
    found = steps_of_many(
        problem.curvature, residual, rates, noise="with_replacement", batch=batch, z=problem.z[None],
        rho=problem.rho[None],
    )  # fmt: skip
    mean, second = residual, np.outer(residual, residual)
    for eta in rates:
        mean, second = naive.batch_moments(mean, second, eta, problem.z, problem.rho, batch)
    assert_moments(found.r[0], mean, second)


# ---- batches ----


def noise_of_batches(batch):
    """The noise of one seed's mini-batches, whose streams are those of ROOT and DRAW."""
    return arrays.Noise(gradients.SHUFFLED, ROOT, batch, np.zeros(1), np.array([DRAW]), np.ones(1, np.int64))


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (13, 4), (5, 5), (5, 8), (7, 1), (442, 8)])
def test_every_row_comes_once_an_epoch(count, batch):
    drawn, noise = gradients.make_drawn(1, 1, batch, count, 1), noise_of_batches(batch)
    batches = -(-count // batch)
    epochs = []
    for epoch in range(3):
        dealt = []
        for step in range(epoch * batches, (epoch + 1) * batches):
            gradients.order_epoch(drawn, noise, 0, step)
            size = gradients.rows_of_epoch(drawn, step)
            assert drawn.picked[:size].tolist() == naive.dealt(ROOT, DRAW, step, batch, count).tolist()
            dealt += drawn.picked[:size].tolist()
        assert sorted(dealt) == list(range(count))
        epochs.append(tuple(dealt))
    assert len(set(epochs)) == 3


@pytest.mark.parametrize("count", [1, 3, 64, 442, 1000])
def test_rows_with_replacement_are_the_twin_s(count):
    drawn, noise = gradients.make_drawn(1, 1, 9, 0, 1), noise_of_batches(9)
    for step in range(50):
        gradients.rows_with_replacement(drawn, noise, 0, count, step)
        assert drawn.picked.tolist() == naive.picked(ROOT, DRAW, step, 9, count)


def test_seeds_with_their_own_rows():
    """Different rows, and different numbers of them, in one launch."""
    problems = [problem_of(3, rows) for rows in (8, 11, 6)]
    z, rho = np.zeros((3, 11, 3)), np.zeros((3, 11))
    for n, problem in enumerate(problems):
        z[n, : len(problem.z)], rho[n, : len(problem.z)] = problem.z, problem.rho
    theta, rates, own = np.array([1.0, 2.0, -1.0]), np.full(40, 0.03), [8, 11, 6]
    curvature, residual = [p.curvature for p in problems], [p.residual(theta) for p in problems]
    for noise, make in (("shuffled", naive.shuffled), ("with_replacement", naive.with_replacement)):
        found = stochastic_steps.take_steps(
            curvature, residual, rates, noise=noise, z=z, rho=rho, row_count=own, root=ROOT
        )
        for n, problem in enumerate(problems):
            expected = naive.iterates(make(problem.x, problem.y, 4, ROOT, n), theta, rates)[-1]
            assert_close(found.r[0, n], problem.residual(expected), 10.0)


def test_axes_that_a_seed_lacks_stay_where_they_are():
    found = stochastic_steps.take_steps(
        [[1.0, 0.5, 0.0, 0.0]], [[1.0, 1.0, 0.0, 0.0]], np.full(20, 0.1), noise="isotropic", dimension=2
    )
    np.testing.assert_array_equal(found.r[0, 0, 2:], 0.0)
    alone = stochastic_steps.take_steps([[1.0, 0.5]], [[1.0, 1.0]], np.full(20, 0.1), noise="isotropic")
    np.testing.assert_array_equal(found.r[0, 0, :2], alone.r[0, 0])


def test_purposes_are_those_of_the_draws():
    assert (naive.GRADIENT_NOISE, naive.BATCH) == (draws.GRADIENT_NOISE, draws.BATCH)


# ---- stops ----


def first_passage(curvature, iterates, level):
    """(status, step) of the first step at or below the level, or beyond 1e100; None where neither comes."""
    with np.errstate(over="ignore", invalid="ignore"):
        losses = 0.5 * (curvature * iterates**2).sum(axis=1)
    for step, loss in enumerate(losses):
        if not loss <= 1e100:
            return DIVERGED, step
        if loss <= level:
            return REACHED, step
    return None


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("noise", ["none", "isotropic", "hessian"])
def test_stops_are_the_twin_s(noise, optimizer):
    """Rates from calm to diverging, levels from above the start to far below the noise, and averages at the stops."""
    rng = np.random.default_rng(5)
    curvature, residual = rng.uniform(0.1, 1.0, (5, 3)), rng.normal(size=(5, 3))
    rates = np.array([0.02, 0.3, 1.0, 7.0])[:, None] * rng.uniform(0.5, 1.0, (4, 300))
    levels, beta, sigma = [5.0, 0.1, 0.01, 1e-9], 0.5, 0.05
    found = stochastic_steps.take_steps(
        curvature, residual, rates, optimizer=optimizer, beta=beta, noise=noise, sigma=sigma, levels=levels,
        average="tail", tail_start=3, root=ROOT,
    )  # fmt: skip
    make = {"none": lambda c, *_: naive.exact(c), "isotropic": naive.isotropic, "hessian": naive.hessian}[noise]
    seen = set()
    for s, n in np.ndindex(4, 5):
        with np.errstate(over="ignore", invalid="ignore"):
            iterates = naive.iterates(make(curvature[n], sigma, ROOT, n), residual[n], rates[s], optimizer, beta)
        for k, level in enumerate(levels):
            passage = first_passage(curvature[n], iterates, level)
            seen.add(passage and passage[0])
            if passage is None:
                assert found.status[s, n, k] == 0
                np.testing.assert_allclose(found.r[s, n], iterates[-1], rtol=1e-9, atol=1e-13)
                continue
            assert (found.status[s, n, k], found.stop_step[s, n, k]) == passage
            step = passage[1]
            np.testing.assert_allclose(found.stop_time[s, n, k], rates[s, :step].sum(), rtol=1e-12)
            np.testing.assert_allclose(found.stop_r[s, n, k], iterates[step], rtol=1e-9, atol=1e-13)
            average = naive.tail(iterates, 3, step)
            np.testing.assert_allclose(found.stop_average[s, n, k], average, rtol=1e-9, atol=1e-12)
    assert seen >= ({REACHED, DIVERGED, None} if noise != "none" else {REACHED, DIVERGED})


def test_schedules_of_different_lengths_and_moments():
    """Each lane has its own end and its own moments; the state at the end is that of the last step."""
    rng = np.random.default_rng(6)
    curvature, residual, rates = rng.uniform(0.1, 1.0, (2, 3)), rng.normal(size=(2, 3)), rng.uniform(0, 0.5, (3, 90))
    lengths, record = [90, 33, 64], [[0, 1, 50, 90], [0, 5, 33, -1], [0, 63, 64, -1]]
    found = stochastic_steps.take_steps(
        curvature, residual, rates, noise="isotropic", lengths=lengths, record=record, average="tail", tail_start=10,
        cuts=[40, 64], root=ROOT,
    )  # fmt: skip
    for s, n in np.ndindex(3, 2):
        iterates = naive.iterates(naive.isotropic(curvature[n], 0.1, ROOT, n), residual[n], rates[s, : lengths[s]])
        assert_close(found.r[s, n], iterates[-1], 3.0)
        assert_close(found.average[s, n], naive.tail(iterates, 10, lengths[s]), 3.0)
        for k, step in enumerate(record[s]):
            if step < 0:
                assert np.isnan(found.record_r[s, n, k]).all()
            else:
                assert_close(found.record_r[s, n, k], iterates[step], 3.0)


def test_recording_goes_on_after_the_last_level():
    found = stochastic_steps.take_steps(
        [[1.0], [1.0]], [[1.0], [1.0]], np.full(30, 0.5), levels=[0.01], record=[0, 10, 20], recorded=1
    )
    np.testing.assert_array_equal(found.record_r.ravel(), 0.5 ** np.array([0.0, 10.0, 20.0]))
    np.testing.assert_array_equal(found.r.ravel(), [0.5**20, 0.5**3])
    assert found.stop_step.ravel().tolist() == [3, 3]


def test_rates_in_units_of_sharpness():
    rng = np.random.default_rng(7)
    curvature, residual, rates = rng.uniform(0.1, 4.0, (3, 2)), rng.normal(size=(3, 2)), rng.uniform(0, 1.5, (2, 50))
    found = stochastic_steps.take_steps(curvature, residual, rates, unit=[1, 0], noise="hessian", sigma=0.2, root=ROOT)
    for n in range(3):
        own = rates[0] / curvature[n].max()
        expected = naive.iterates(naive.hessian(curvature[n], 0.2, ROOT, n), residual[n], own)[-1]
        assert_close(found.r[0, n], expected, 3.0)
        absolute = stochastic_steps.take_steps(
            curvature[n], residual[n], rates[1], noise="hessian", sigma=0.2, root=ROOT, draw=[n]
        )
        np.testing.assert_array_equal(found.r[1, n], absolute.r[0, 0])


def test_losses_from_residuals():
    """The formula, and that a stop is never above its level."""
    rng = np.random.default_rng(8)
    curvature, residual = rng.uniform(0.0, 1.0, (70, 3)), rng.normal(size=(70, 3))
    found = stochastic_steps.take_steps(
        curvature, residual, np.full((2, 200), 0.4), noise="hessian", levels=[0.3, 0.05], sigma=0.1
    )
    matrix, floor = rng.normal(size=(70, 3, 3)), rng.uniform(size=70)
    offset, slope = rng.normal(size=(2, 70, 3))
    landscape = arrays.Landscape(curvature, residual, offset, matrix, np.zeros(70), floor, slope)
    train, test = np.empty((2, 70, 2)), np.empty((2, 70, 2))
    tasks = np.zeros(2, np.int64)
    jit.launch(residual_losses_sweep, landscape, np.arange(70), found.stop_r, train, test, tasks, jit.threads())
    reached = found.status == REACHED
    assert reached.any()
    assert (train <= [0.3, 0.05])[reached].all()
    np.testing.assert_allclose(train, 0.5 * (curvature[:, None] * found.stop_r**2).sum(-1), rtol=1e-13)
    away = found.stop_r + offset[:, None]
    expected = floor[:, None] + np.einsum("snei,nij,snej->sne", away, matrix, away)
    expected += np.einsum("snei,ni->sne", away, slope)
    np.testing.assert_allclose(test, expected, rtol=1e-11)
