"""Optimal schedules: Chebyshev steps reach the minimax bound also when they are iterated; silver steps theirs."""

import math

import numpy as np
import pytest

import simlr
from naive import schedules as naive_schedules
from simlr.errors import InputError
from simlr.schedules import optimal
from simlr.schedules.tabulation import tabulate

SIZES = [*range(1, 20), 31, 32, 33, 64, 100, 127, 128, 243, 256, 500, 511, 512, 513, 729, 1000, 1023, 1024]
# Contraction a step is at most (sqrt(k) - 1) / (sqrt(k) + 1): from k = 10 on, 1024 steps stay far above 1e-300.
SMALLEST = [0.1, 1e-2, 1e-4, 1e-6]


def bound(steps, smallest, largest):
    """1 / T_n((L + m) / (L - m)), as 1 / cosh(n arccosh)."""
    return 1.0 / math.cosh(steps * math.acosh((largest + smallest) / (largest - smallest)))


def spectrum(steps, smallest, largest):
    """Curvatures with those where the polynomial is largest: the extrema of T_n."""
    extrema = (largest + smallest) / 2 + (largest - smallest) / 2 * np.cos(np.pi * np.arange(steps + 1) / steps)
    found = np.concatenate([extrema, np.linspace(smallest, largest, 300), np.geomspace(smallest, largest, 300)])
    return np.unique(np.clip(found, smallest, largest))


def chebyshev(steps, smallest, largest=1.0):
    return tabulate("chebyshev", steps=steps, smallest_curvature=smallest, largest_curvature=largest)


@pytest.mark.parametrize("smallest", SMALLEST)
def test_iterated_chebyshev_steps_reach_the_minimax_bound(smallest):
    """In double precision, one step after the other, at every curvature of the spectrum."""
    for steps in SIZES:
        curvature = spectrum(steps, smallest, 1.0)
        residual = np.ones_like(curvature)
        for eta in chebyshev(steps, smallest):
            residual -= eta * (curvature * residual)
        assert abs(residual).max() == pytest.approx(bound(steps, smallest, 1.0), rel=1e-9), steps


def descended(rates, smallest):
    """Distance to the minimiser after descent in coordinates that are not the curvature's axes: every step rounds."""
    random = np.random.default_rng(0)
    axes, _ = np.linalg.qr(random.standard_normal((60, 60)))
    hessian = axes @ np.diag(np.linspace(smallest, 1.0, 60)) @ axes.T
    minimiser, theta = random.standard_normal(60), np.zeros(60)
    for eta in rates:
        theta = theta - eta * (hessian @ (theta - minimiser))
    return abs(theta - minimiser).max() / np.linalg.norm(minimiser)


@pytest.mark.parametrize("steps", [64, 100, 1000, 1023, 1024])
def test_rounding_on_the_way_stays_small(steps):
    assert descended(chebyshev(steps, 1e-2), 1e-2) < bound(steps, 1e-2, 1.0) + 1e-13


@pytest.mark.parametrize("order", [1, -1])
def test_a_sorted_order_would_not_do(order):
    """Why there is an order at all: with the same rates sorted, rounding errors grow beyond the start."""
    assert not descended(np.sort(chebyshev(256, 1e-2))[::order], 1e-2) < 1.0


@pytest.mark.parametrize("steps", SIZES)
def test_chebyshev_rates_are_the_roots(steps):
    middle, half = (2.0 + 0.5) / 2, (2.0 - 0.5) / 2
    roots = [1.0 / (middle + half * math.cos(math.pi * (2 * j + 1) / (2 * steps))) for j in range(steps)]
    np.testing.assert_allclose(np.sort(chebyshev(steps, 0.5, 2.0)), np.sort(roots), rtol=1e-14)


def test_the_order_of_lebedev_and_finogenov():
    """16 steps, the usual example: every root is followed by its mirror image."""
    known = [1, 31, 15, 17, 7, 25, 9, 23, 3, 29, 13, 19, 5, 27, 11, 21]
    assert naive_schedules.chebyshev_order(16) == known
    angle = np.pi * np.array(known) / 32
    np.testing.assert_allclose(chebyshev(16, 0.5, 1.5), 1.0 / (1.0 + 0.5 * np.cos(angle)), rtol=1e-14)


def test_chebyshev_steps_of_a_run():
    """Through the kernels: the train loss of every curvature falls by the square of the bound."""
    steps, curvature = 128, np.linspace(1e-2, 1.0, 50)[:, None]
    rates = chebyshev(steps, 1e-2)[None, :]
    found = simlr.descend(curvature, np.ones_like(curvature), rates, np.array([1e-300]))
    assert abs(found.residual).max() <= bound(steps, 1e-2, 1.0) * (1 + 1e-9)


def test_one_curvature_only():
    np.testing.assert_allclose(chebyshev(5, 2.0, 2.0), 0.5, rtol=1e-15)


RATIO = 1 + math.sqrt(2)


@pytest.mark.parametrize("order", range(1, 15))
def test_silver_steps_sum_to_a_power_of_the_silver_ratio(order):
    """Altschuler and Parrilo (2023), part II: the sum of 2^k - 1 steps is rho^k - 1."""
    steps = 2**order - 1
    assert math.fsum(tabulate("silver", steps=steps, learning_rate=1.0)) == pytest.approx(RATIO**order - 1, rel=1e-12)


@pytest.mark.parametrize("order", range(1, 11))
@pytest.mark.parametrize("largest", [1.0, 5.0])
def test_silver_steps_keep_their_promise_on_quadratics(order, largest):
    """Loss above the minimum, over largest |theta_0 - theta*|^2, at most 1 / (1 + sqrt(4 rho^(2 k) - 3))."""
    curvature = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 4000), np.linspace(0.0, 1.0, 4000)]) * largest
    residual = np.ones_like(curvature)
    for eta in tabulate("silver", steps=2**order - 1, learning_rate=1.0 / largest):
        residual -= eta * (curvature * residual)
    promise = 1.0 / (1.0 + math.sqrt(4.0 * RATIO ** (2 * order) - 3.0))
    assert (0.5 * curvature * residual**2).max() <= promise * largest


@pytest.mark.parametrize("order", range(1, 9))
def test_silver_steps_keep_their_promise_on_huber_losses(order):
    """Not quadratic: linear beyond a width, on which plain gradient descent is slowest."""
    width = np.geomspace(1e-6, 1.0, 2000)
    x = np.ones_like(width)
    for eta in tabulate("silver", steps=2**order - 1, learning_rate=1.0):
        x -= eta * np.clip(x, -width, width)
    loss = np.where(abs(x) <= width, 0.5 * x**2, width * abs(x) - 0.5 * width**2)
    assert loss.max() <= 1.0 / (1.0 + math.sqrt(4.0 * RATIO ** (2 * order) - 3.0))


@pytest.mark.parametrize("kind", ["chebyshev", "silver", "cosine_restarts", "table"])
def test_ten_million_steps_come_in_chunks(kind):
    """A chunk far inside costs what one at the start does: nothing is computed of the steps before."""
    import time

    from simlr.schedules.schedule import Phase

    own = {
        "chebyshev": {"smallest_curvature": 1e-3, "largest_curvature": 1.0},
        "silver": {"learning_rate": 1.0},
        "cosine_restarts": {"learning_rate": 1.0, "cycle_steps": 10, "cycle_factor": 2, "end_learning_rate": 0.0},
        "table": {"learning_rates": simlr.schedules.Rates([0.5] * 10**6)},
    }[kind]
    steps = 10**6 if kind == "table" else 10**7
    made = Phase(kind, steps, tuple(own.items()))
    made.rates(0, 1)
    began = time.process_time()
    for first in range(0, steps, steps // 20):
        assert made.rates(first, first + 4096).size == 4096
    assert time.process_time() - began < 2.0


def test_eigencurve_deals_its_steps_as_the_paper_does():
    """Pan et al. 2022: a spectrum 1/j, j <= 100, 1,000 steps, intervals that double."""
    spectrum = tuple(1.0 / j for j in range(1, 101))
    lengths = optimal._interval_steps(1000, spectrum, 2.0)
    assert lengths[lengths > 0].tolist() == [317, 224, 162, 110, 78, 64, 45]
    rates = tabulate("eigencurve", 1000, learning_rate=1.0, curvature=spectrum)
    expected = [1.0, 0.9090909090909091, 0.5, 0.1277139208173691, 0.011757789535567314]
    np.testing.assert_allclose(rates[[0, 10, 100, 500, 999]], expected, rtol=1e-14)
    with pytest.raises(InputError, match="steps must be at least 7, one for each interval, got 6"):
        tabulate("eigencurve", 6, learning_rate=1.0, curvature=spectrum)
    with pytest.raises(InputError, match=r"curvature\[1\] must be a finite number > 0, got 0.0"):
        tabulate("eigencurve", 6, learning_rate=1.0, curvature=(1.0, 0.0))
