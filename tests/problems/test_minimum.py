"""Minimisers of convex losses: against scipy, closed forms and what is known of separable rows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive import convex as naive
from simlr.problems.losses import MOST_CURVATURE, Objective, values
from simlr.problems.minimum import curvature_bound, minimum, train_loss

optimize = pytest.importorskip("scipy.optimize")

KINDS = ("squared", "logistic", "softmax", "huber", "squared_hinge")


def objective_of(kind, n=60, d=4, ridge=0.0, seed=0, delta=0.7):
    """A train loss of random rows that no hyperplane separates."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    score = x @ rng.standard_normal(d) + 1.5 * rng.standard_normal(n)
    y, outputs = np.where(score > 0, 1.0, -1.0), 1
    if kind == "softmax":
        y, outputs = np.digitize(score, [-1.0, 1.0]).astype(float), 3
    elif kind in ("squared", "huber"):
        y = score
    return Objective(kind, x, y, outputs, delta, np.full(outputs * d, ridge))


def naive_loss(objective, theta):
    """Its value by the formulas."""
    theta = theta.reshape(objective.outputs, -1)
    strength = objective.ridge.reshape(theta.shape)
    return naive.loss(objective.kind, objective.x, objective.y, theta, strength, objective.delta)


def naive_gradient(objective, theta):
    """Its gradient by the formulas."""
    theta = theta.reshape(objective.outputs, -1)
    strength = objective.ridge.reshape(theta.shape)
    given = objective.kind, objective.x, objective.y, theta, strength, objective.delta
    return naive.gradient(*given).reshape(-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_the_twin_s_gradient_is_that_of_its_loss(kind, ridge):
    """By central differences."""
    objective = objective_of(kind, n=12, ridge=ridge)
    theta = np.random.default_rng(1).standard_normal(objective.ridge.size)
    found, h = naive_gradient(objective, theta), 1e-6
    for i in range(theta.size):
        step = h * (np.arange(theta.size) == i)
        slope = (naive_loss(objective, theta + step) - naive_loss(objective, theta - step)) / (2 * h)
        assert found[i] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ridge", [0.0, 0.03])
@pytest.mark.parametrize("seed", range(4))
def test_the_minimum_is_scipy_s(kind, ridge, seed):
    """To 1e-8 of the loss; and the gradient vanishes there."""
    objective = objective_of(kind, ridge=ridge, seed=seed)
    found = minimum(objective)
    start = np.zeros(objective.ridge.size)
    given = {"jac": lambda theta: naive_gradient(objective, theta), "method": "BFGS", "options": {"gtol": 1e-10}}
    least = optimize.minimize(lambda theta: naive_loss(objective, theta), start, **given).fun
    assert found.floor == pytest.approx(least, rel=1e-8)
    assert found.floor <= least * (1.0 + 1e-13)
    assert np.abs(naive_gradient(objective, found.theta)).max() < 1e-9
    assert naive_loss(objective, found.theta) == pytest.approx(found.floor, rel=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_rows_are_the_formulas(kind):
    """Also at scores of which the exponential overflows."""
    objective = objective_of(kind, n=30)
    z = np.random.default_rng(2).standard_normal((30, objective.outputs)) * np.logspace(-3, 3, 30)[:, None]
    wanted = [naive.row_loss(kind, list(z[i]), objective.y[i], objective.delta) for i in range(30)]
    np.testing.assert_allclose(values(objective, z), wanted, rtol=1e-12)


def test_a_ridge_has_its_closed_form():
    """(2/n X^T X + ridge I)^-1 2/n X^T y."""
    objective = objective_of("squared", ridge=0.4)
    n, x = len(objective.y), objective.x
    wanted = np.linalg.solve(2 / n * x.T @ x + 0.4 * np.eye(4), 2 / n * x.T @ objective.y)
    np.testing.assert_allclose(minimum(objective).theta, wanted, rtol=1e-12)


def separable(kind, seed=0):
    """Rows that a hyperplane through 0 separates, by a margin of at least 0.05."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((40, 3))
    score = x @ [1.0, -2.0, 0.5]
    x, score = x[np.abs(score) > 0.3], score[np.abs(score) > 0.3]
    y = (score > 0).astype(float) if kind == "softmax" else np.where(score > 0, 1.0, -1.0)
    return Objective(kind, x, y, 2 if kind == "softmax" else 1, 1.0, np.zeros(6 if kind == "softmax" else 3))


@pytest.mark.parametrize("kind", ["logistic", "softmax"])
@pytest.mark.parametrize("seed", range(5))
def test_separable_rows_have_no_minimiser(kind, seed):
    """The infimum is 0, and is not reached; with a ridge there is a minimiser."""
    objective = separable(kind, seed)
    found = minimum(objective)
    assert found.floor == 0.0 and np.isnan(found.theta).all()
    found = minimum(objective._replace(ridge=np.full(objective.ridge.size, 1e-3)))
    assert found.floor > 0.0 and np.isfinite(found.theta).all()


def test_the_squared_hinge_reaches_0_on_separable_rows():
    found = minimum(separable("squared_hinge"))
    assert found.floor == pytest.approx(0.0, abs=1e-25) and np.isfinite(found.theta).all()


def test_rows_on_the_hyperplane_leave_an_infimum_above_0():
    """Of four rows two lie on it, one of each class: log 2 each; the other two go to 0."""
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    objective = Objective("logistic", x, np.array([1.0, -1.0, 1.0, -1.0]), 1, 1.0, np.zeros(2))
    found = minimum(objective)
    assert np.isnan(found.theta).all()
    assert found.floor == pytest.approx(0.5 * math.log(2.0), rel=1e-12)


def hessian_of(objective, theta):
    """By central differences of the gradient."""
    h, p = 1e-5, theta.size
    rows = [
        (naive_gradient(objective, theta + h * one) - naive_gradient(objective, theta - h * one)) / (2 * h)
        for one in np.eye(p)
    ]
    return np.array(rows)


@given(
    kind=st.sampled_from(KINDS), seed=st.integers(0, 100), size=st.floats(0.1, 3.0), ridge=st.sampled_from([0.0, 0.2])
)
@settings(max_examples=60, deadline=None)
def test_the_hessian_is_nowhere_above_its_bound(kind, seed, size, ridge):
    objective = objective_of(kind, n=15, d=3, ridge=ridge, seed=seed)
    theta = size * np.random.default_rng(seed).standard_normal(objective.ridge.size)
    top = np.linalg.eigvalsh(hessian_of(objective, theta))[-1]
    assert top <= curvature_bound(objective)[0] * (1.0 + 1e-6)
    assert curvature_bound(objective).size == objective.ridge.size
    assert MOST_CURVATURE[kind] > 0.0


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 100), rate=st.floats(0.01, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_step_of_at_most_1_over_the_bound_lowers_the_loss(kind, seed, rate):
    """By at least rate / (2 L) |gradient|^2."""
    objective = objective_of(kind, n=15, d=3, seed=seed)
    theta = np.random.default_rng(seed).standard_normal(objective.ridge.size)
    gradient, eta = naive_gradient(objective, theta), rate / curvature_bound(objective)[0]
    before, after = train_loss(objective, theta), train_loss(objective, theta - eta * gradient)
    assert after <= before - 0.5 * eta * float(gradient @ gradient) + 1e-12 * before


@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_rows_does_not_matter(kind, seed):
    objective = objective_of(kind, seed=seed)
    order = np.random.default_rng(seed).permutation(len(objective.y))
    other = objective._replace(x=np.ascontiguousarray(objective.x[order]), y=objective.y[order])
    assert minimum(other).floor == pytest.approx(minimum(objective).floor, rel=1e-12)
