"""Landing on a level: the root along a step, and noisy, moving and averaged steps against bisection."""

import numpy as np
import pytest
import stochastic_steps
from hypothesis import given, settings
from hypothesis import strategies as st

from naive import landing as naive_landing
from naive import stochastic as naive
from simlr.kernels.landing import land

ROOT, DRAW, STEPS = 7, 3, 400
NOISES = ["none", "isotropic", "hessian", "with_replacement", "shuffled"]
AVERAGES = {"none": {}, "tail": {"tail_start": 20}, "exponential": {"decay": 0.9}}


# ---- the root alone ----


def energy(weight, point):
    """sum_i w_i x_i^2 with sixty-four more bits than squares of float64 need."""
    point = point.astype(np.longdouble)
    return np.sum(weight * point * point)


@settings(max_examples=400)
@given(
    number=st.integers(0, 2**32),
    axes=st.integers(1, 12),
    scale=st.sampled_from([1.0, 1e-150, 1e-100, 1e40]),
    fall=st.sampled_from([1.0, 1e-3, 1e-8, 1e-30, 0.0]),
    level=st.floats(0.0, 1.0),
    weighted=st.booleans(),
)
def test_the_landed_point_is_at_the_level_however_far_the_step_falls(number, axes, scale, fall, level, weighted):
    """On the segment, its first point at the level; never above it."""
    rng = np.random.default_rng(number)
    weight = 10.0 ** rng.uniform(-3.0, 3.0, axes) if weighted else np.ones(axes)
    before, after = scale * rng.normal(size=axes), scale * fall * rng.normal(size=axes)
    low, high = energy(weight, after), energy(weight, before)
    threshold = float(low + level**4 * (high - low))
    if not low <= threshold < high or threshold < 1e-300:
        return
    landed, back = np.empty(axes), before - after
    share = land(after, back, weight if weighted else np.empty(0), threshold, landed)
    assert 0.0 <= share <= 1.0
    np.testing.assert_array_less(abs(landed - (after + share * back)), 1e-15 * (abs(landed) + abs(after)) + 5e-324)
    assert abs(float(energy(weight, landed) / threshold) - 1.0) < 1e-14
    # The energy falls there, so that no earlier point of the step is at the level.
    slope = float(np.sum(weight * landed * back)) / np.sqrt(threshold) / np.sqrt(float(energy(weight, back)))
    assert slope > -1e-7


def test_a_step_that_meets_the_level_by_its_end_alone_is_whole():
    after, landed = np.array([0.5, 0.0]), np.empty(2)
    assert land(after, np.array([0.5, 0.75]), np.empty(0), 0.25, landed) == 0.0
    np.testing.assert_array_equal(landed, after)


def test_a_step_through_the_minimum_lands_before_it():
    """From 1 to -1/2: the energy is 1/4 at its end and, first, at a half of the step."""
    landed = np.empty(1)
    assert land(np.array([-0.5]), np.array([1.5]), np.empty(0), 0.25, landed) == pytest.approx(2.0 / 3.0, rel=1e-15)
    np.testing.assert_allclose(landed, 0.5, rtol=1e-15)


# ---- noisy, moving and averaged steps ----


def twin(noise, problem, theta, rates, optimizer, options):
    """Residuals of all iterates, by loops in theta or along the axes."""
    beta, sigma, batch = options["beta"], options["sigma"], options["batch"]
    if noise in ("with_replacement", "shuffled"):
        make = {"with_replacement": naive.with_replacement, "shuffled": naive.shuffled}[noise]
        gradient = make(problem.x, problem.y, batch, ROOT, DRAW)
        return problem.residual(naive.iterates(gradient, theta, rates, optimizer, beta))
    make = {"isotropic": naive.isotropic, "hessian": naive.hessian}.get(noise)
    gradient = make(problem.curvature, sigma, ROOT, DRAW) if make else naive.exact(problem.curvature)
    return naive.iterates(gradient, problem.residual(theta), rates, optimizer, beta)


def averaged(average, path, landing, options):
    """The average in which the landed iterate takes the place of the step's."""
    path = np.concatenate([path[: landing.step], landing.point[None]])
    if average == "tail":
        return naive.tail(path, options["tail_start"], landing.step)
    return naive.exponential(path, options["decay"])[-1]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "nesterov"])
def test_every_method_lands_where_bisection_along_its_step_does(optimizer, noise, average):
    """Levels that are met singly and several in a step; one of them at the start, one never."""
    problem, rng = stochastic_steps.draw_rows(np.random.default_rng(4), 23, 3), np.random.default_rng(5)
    theta = problem.minimiser + 30.0 * rng.normal(size=3)
    lam = problem.curvature
    rates = rng.uniform(0.02, 0.1, STEPS) / lam.max()
    options = {"beta": 0.8, "sigma": 0.3, "batch": 5, **AVERAGES[average]}
    path = twin(noise, problem, theta, rates, optimizer, options)

    def loss(r):
        return 0.5 * float(lam @ (r * r))

    start = loss(path[0])
    levels = [2.0 * start, *(start * np.array([0.97, 0.5, 0.4999, 0.4998, 0.2, 0.06])), 1e-12 * start]
    found = stochastic_steps.take_steps(
        lam, path[0], rates, optimizer=optimizer, noise=noise, average=average, root=ROOT, draw=[DRAW],
        z=problem.z[None], rho=problem.rho[None], levels=levels, landing=True, cuts=(7, 130), **options
    )  # fmt: skip
    time = np.concatenate([[0.0], np.cumsum(rates)])
    for e, level in enumerate(levels):
        landing = naive_landing.land(path, loss, level)
        if landing is None:
            assert found.status[0, 0, e] == 0 and np.isnan(found.stop_fraction[0, 0, e])
            continue
        step, fraction, point = landing
        assert found.status[0, 0, e] == 1 and found.stop_step[0, 0, e] == step
        np.testing.assert_allclose(found.stop_fraction[0, 0, e], fraction, rtol=1e-7)
        wanted = time[step - 1] + fraction * rates[step - 1] if step else 0.0
        np.testing.assert_allclose(found.stop_time[0, 0, e], wanted, rtol=1e-9)
        np.testing.assert_allclose(found.stop_r[0, 0, e], point, rtol=0.0, atol=1e-10 * abs(path[0]).max())
        if step:
            assert loss(found.stop_r[0, 0, e]) == pytest.approx(level, rel=1e-14)
        if average != "none":
            expected = averaged(average, path, landing, options)
            np.testing.assert_allclose(found.stop_average[0, 0, e], expected, rtol=0.0, atol=1e-10 * abs(path[0]).max())
    assert np.unique(found.stop_step[0, 0][found.status[0, 0] == 1]).size < (found.status[0, 0] == 1).sum()


def test_whole_steps_have_no_fractions_and_the_decisions_of_shortened_ones():
    rng = np.random.default_rng(2)
    curvature, residual, rates = rng.uniform(0.1, 1.0, (5, 2)), rng.normal(size=(5, 2)), np.full((2, 60), 0.3)
    options = {"optimizer": "momentum", "levels": (0.05, 0.001), "record": [[0, 20, 60]] * 2}
    whole, landed = (
        stochastic_steps.take_steps(curvature, residual, rates, landing=landing, **options) for landing in (False, True)
    )
    assert whole.stop_fraction.size == 0
    for name in ("status", "stop_step", "r", "velocity", "record_r", "decided"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(landed, name), err_msg=name)
