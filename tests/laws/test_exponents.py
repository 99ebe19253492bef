"""Exponents of losses in budgets: known ones come back, intervals hold them, a closed form of exact means."""

import numpy as np
import pytest

import simlr
from simlr.errors import InputError
from simlr.laws import exponent

BUDGETS = np.geomspace(100, 10_000, 12)


@pytest.mark.parametrize("p, floor", [(0.5, 0.3), (1.5, 0.0), (0.08, 1.0)])
def test_known_exponents_come_back(p, floor):
    found = exponent(BUDGETS, floor + 2.0 * BUDGETS**-p, resamples=20)
    assert found.exponent == pytest.approx(p, rel=1e-4)
    assert found.floor == pytest.approx(floor, abs=1e-4) and found.amplitude == pytest.approx(2.0, rel=1e-3)
    assert found.rmse < 1e-8 and not found.at_bound


def test_intervals_hold_the_truth_over_seeds():
    """Of 20 sets of 30 seeds, 95 % intervals: at most 5 miss, which chance passes once in 3,000."""
    missed = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        losses = (0.3 + 2.0 * BUDGETS**-0.5) * (1.0 + 0.02 * random.normal(size=(30, 12)))
        low, high = exponent(BUDGETS, losses, resamples=100).exponent_interval
        missed += not low <= 0.5 <= high
    assert missed <= 5


@pytest.mark.parametrize("seeds", [1, 4])
def test_intervals_hold_the_truth_of_few(seeds):
    """Of 12 sets of one curve or four seeds, 95 % intervals: at most 4 miss, which chance passes once in 5,000."""
    missed = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        losses = (0.3 + 2.0 * BUDGETS**-0.5) * (1.0 + 0.01 * random.normal(size=(seeds, 12)))
        low, high = exponent(BUDGETS, losses, resamples=60).exponent_interval
        missed += not low <= 0.5 <= high
    assert missed <= 4


@pytest.mark.parametrize("losses", [np.ones(12), np.ones((3, 12))])
def test_flat_losses_have_no_exponent(losses):
    assert exponent(BUDGETS, losses, resamples=20).exponent_interval == (0.0, np.inf)
    noisy = losses * (1.0 + 0.01 * np.random.default_rng(0).normal(size=losses.shape))
    low, high = exponent(BUDGETS, noisy, resamples=100).exponent_interval
    assert low < 0.01 and high == np.inf


def test_gradient_flow_on_a_power_law_has_its_exponent():
    """Without noise the excess of sources 0.5 on a spectrum j^-2 falls as steps^-0.5, away from both ends."""
    rank = np.arange(1.0, 5001.0)
    lam, start = 2.0 * rank[None] ** -2.0, rank[None] ** 0.0
    at = np.unique(np.geomspace(100, 5000, 8).astype(int))
    losses = simlr.expected_losses(lam, start, np.full((1, 5000), 0.2), {"kind": "none"}, steps=at).train_loss[0, 0]
    found = exponent(at, losses, floor=0.0, resamples=20)
    assert found.exponent == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    "budgets, losses, options, message",
    [
        ([1, 2, 3], [1, 1, 1], {}, "at least 4 budgets, got 3"),
        ([1, 3, 2, 4], [1, 1, 1, 1], {}, "budgets must be above 0 and ascend"),
        ([1, 2, 3, 4], [1, 1, 0, 1], {}, "losses must be > 0, got 0"),
        ([1, 2, 3, 4], [4, 3, 2, 1], {"floor": 1.0}, "floor must be below all losses"),
        ([1, 2, 3, 4], [4, 3, 2, 1], {"resamples": 2}, "resamples must be a whole number >= 20"),
    ],
)
def test_bad_input_is_told(budgets, losses, options, message):
    with pytest.raises(InputError, match=message):
        exponent(budgets, losses, **options)
