"""Quantiles of losses of a normal iterate: closed forms, published probabilities, draws, laws of scale and order."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.engine.distribution import quadratic_forms
from simlr.errors import InputError

NORMAL = NormalDist()
ANYWHERE = (1e-9, 1e-3, 0.1, 0.5, 0.9, 1.0, 2.0, 5.0, 12.0, 30.0)


def form(weight, mean=None, variance=None):
    zeros, ones = np.zeros(len(weight)), np.ones(len(weight))
    return quadratic_forms.form_of(weight, zeros if mean is None else mean, ones if variance is None else variance)


def test_imhofs_probabilities():
    """Imhof (1961, Biometrika 48), table 1: 0.6, 0.3 and 0.1 of a chi square each."""
    found = form([0.6, 0.3, 0.1])
    assert [round(1.0 - quadratic_forms.cdf(found, x), 4) for x in (0.1, 0.7, 2.0)] == [0.9458, 0.5064, 0.1240]


@pytest.mark.parametrize("x", ANYWHERE)
def test_one_and_two_squares_have_closed_forms(x):
    assert quadratic_forms.cdf(form([1.0]), x) == pytest.approx(math.erf(math.sqrt(x / 2.0)), rel=1e-13)
    assert quadratic_forms.cdf(form([1.0, 1.0]), x) == pytest.approx(-math.expm1(-x / 2.0), rel=1e-13)
    assert quadratic_forms.tails(form([1.0, 1.0]), x / 2.0)[1] == pytest.approx(math.exp(-x / 2.0), rel=1e-12)


@pytest.mark.parametrize("deviation", [1e-6, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("p", [1e-6, 0.05, 0.5, 0.975])
def test_one_square_around_another_mean(deviation, p):
    """P((3 + s Z)^2 <= x) is a difference of two values of the normal distribution."""
    x = quadratic_forms.quantile(form([1.0], [3.0], [deviation**2]), p)
    low, high = ((sign * math.sqrt(x) - 3.0) / deviation for sign in (-1.0, 1.0))
    assert NORMAL.cdf(high) - NORMAL.cdf(low) == pytest.approx(p, rel=1e-9 if deviation > 1e-3 else 1e-6)


@given(
    rates=st.lists(st.integers(1, 40), min_size=2, max_size=6, unique=True), x=st.floats(0.05, 200.0)
)  # fmt: skip
def test_pairs_of_squares_are_sums_of_exponentials(rates, x):
    """Twice the same weight each: P(Q > x) = sum_i prod_(j != i) w_i / (w_i - w_j) exp(-x / 2 w_i)."""
    w = [float(rate) for rate in rates]
    exact = sum(math.prod(a / (a - b) for b in w if b != a) * math.exp(-x / (2.0 * a)) for a in w)
    size = sum(abs(math.prod(a / (a - b) for b in w if b != a)) for a in w)
    assert 1.0 - quadratic_forms.cdf(form([*w, *w]), x) == pytest.approx(exact, abs=1e-14 * size + 1e-12)


@given(
    terms=st.lists(
        st.tuples(st.floats(0.0, 10.0), st.floats(-5.0, 5.0), st.floats(0.0, 4.0)), min_size=1, max_size=8
    ),
    scale=st.sampled_from([1e-30, 0.5, 1e20]),
)  # fmt: skip
def test_quantiles_ascend_scale_and_come_back(terms, scale):
    w, m, v = (np.array(column) for column in zip(*terms, strict=True))
    found, p = form(w, m, v), (0.01, 0.3, 0.5, 0.8, 0.999)
    x = [quadratic_forms.quantile(found, one) for one in p]
    assert all(a <= b for a, b in itertools.pairwise(x)) and x[0] >= found.lowest
    scaled = form(scale * w, m, v)
    assert [quadratic_forms.quantile(scaled, one) for one in p] == pytest.approx([scale * one for one in x], rel=1e-8)
    # Where so little varies that neighbouring numbers are far apart, no x has the probability.
    if found.deviation > 1e-6 * found.mean:
        assert [quadratic_forms.cdf(found, one) for one in x] == pytest.approx(p, abs=1e-8)


def test_many_squares_are_nearly_normal():
    found = form(np.ones(10_000))
    x = quadratic_forms.quantile(found, 0.975)
    # Wilson and Hilferty's cube root, right to about 1e-6 here.
    root = 2.0 / (9.0 * 10_000)
    assert x == pytest.approx(10_000 * (1.0 - root + NORMAL.inv_cdf(0.975) * math.sqrt(root)) ** 3, rel=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [{"kind": "gd"}, {"kind": "momentum", "momentum": 0.8}, {"kind": "nesterov", "momentum": 0.8}],
    ids=lambda one: one["kind"],
)
@pytest.mark.parametrize("covariance", ["isotropic", "hessian"])
def test_draws_fall_below_quantiles_as_often_as_they_should(optimizer, covariance):
    """20,000 runs of a plain loop: every share within 4 standard errors."""
    rng, steps, count = np.random.default_rng(3), [1, 10, 30], 20_000
    lam, start, moved = 2.0 * rng.random((2, 4)), rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    weight, eta = rng.random(4), np.stack([np.full(30, 0.3), 0.4 * (1.0 - np.arange(30) / 30)])
    noise = {"kind": "gradient", "sigma": 0.3, "covariance": covariance}
    probability = [0.05, 0.5, 0.95]
    found = simlr.loss_quantiles(
        lam, start, eta, noise, probability, optimizer, test_diagonal=weight, offset=moved, steps=steps
    )
    assert found.train_loss.shape == found.test_loss.shape == (2, 2, 3, 3)
    beta = optimizer.get("momentum", 0.0)
    for s, n in np.ndindex(2, 2):
        x, velocity = np.tile(start[n], (count, 1)), np.zeros((count, 4))
        size = 0.3 * (np.sqrt(lam[n]) if covariance == "hessian" else 1.0)
        for t in range(30):
            gradient = lam[n] * x + size * rng.normal(size=x.shape)
            velocity = beta * velocity + gradient
            x = x - eta[s, t] * (gradient + beta * velocity if optimizer["kind"] == "nesterov" else velocity)
            if t + 1 in steps:
                k = steps.index(t + 1)
                losses = (0.5 * lam[n] * x * x).sum(axis=1), (weight * (x + moved[n]) ** 2).sum(axis=1)
                for loss, quantiles in zip(losses, (found.train_loss, found.test_loss), strict=True):
                    share = (loss[:, None] <= quantiles[s, n, k]).mean(axis=0)
                    error = np.sqrt(np.array(probability) * (1.0 - np.array(probability)) / count)
                    assert (abs(share - probability) <= 4.0 * error).all()


def test_without_noise_every_quantile_is_the_loss():
    lam, start, eta = np.array([[1.0, 0.5]]), np.array([[1.0, -2.0]]), np.full((1, 20), 0.3)
    found = simlr.loss_quantiles(lam, start, eta, {"kind": "none"}, [0.1, 0.9], steps=[0, 20])
    exact = simlr.expected_losses(lam, start, eta, {"kind": "none"}, steps=[0, 20])
    assert found.train_loss == pytest.approx(np.repeat(exact.train_loss[..., None], 2, axis=-1), rel=1e-12)


def test_the_mean_and_variance_are_those_of_the_recursions():
    """Integrals of quantiles over p: their mean, and that of their squares."""
    lam, start, eta = np.array([[1.0, 0.3, 0.1]]), np.array([[1.0, -2.0, 0.5]]), np.full((1, 40), 0.5)
    noise, p = {"kind": "gradient", "sigma": 0.5}, (np.arange(100) + 0.5) / 100
    x = simlr.loss_quantiles(lam, start, eta, noise, p).train_loss[0, 0, 0]
    exact = simlr.expected_losses(lam, start, eta, noise)
    assert x.mean() == pytest.approx(exact.train_loss[0, 0, 0], rel=0.02)
    assert x.var() == pytest.approx(exact.train_loss_variance[0, 0, 0], rel=0.15)


def test_diverging_losses_have_infinite_quantiles():
    found = simlr.loss_quantiles([[1.0]], [[1.0]], np.full((1, 2000), 3.0), {"kind": "gradient", "sigma": 1.0})
    assert np.isinf(found.train_loss).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": {"kind": "fresh", "batch_size": 1}}, "'fresh': its size depends on the iterate"),
        ({"probability": [0.5, 1.0]}, "probability must lie between 0 and 1, got 1"),
        ({"optimizer": {"kind": "gd", "average": "tail"}}, "average 'tail': quantiles are those of the last iterate"),
        ({"test_diagonal": [1.0]}, r"test_diagonal must have shape \(2,\) or \(1, 2\), got \(1,\)"),
        ({"test_diagonal": [1.0, -1.0]}, "test_diagonal must be >= 0, got -1"),
        ({"steps": [9]}, "steps must ascend from 0 to at most the 5"),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    arguments = {"noise": {"kind": "gradient", "sigma": 1.0}} | changes
    with pytest.raises(InputError, match=message):
        simlr.loss_quantiles([[1.0, 0.5]], [[1.0, 1.0]], np.full((1, 5), 0.1), **arguments)
