"""Fits of the laws: known parameters come back, intervals hold them, exact curves are predicted unseen."""

import numpy as np
import pytest
from exact_curves import STEPS, WARMUP, curves, schedules

from simlr.errors import InputError
from simlr.laws import PUBLISHED, Curve, fit, leave_one_out, predict
from simlr.laws.fitting import _block_length, _resampled, _robust_step

TRUE = {"L0": 2.6, "A": 0.5, "C": 1.0, "alpha": 0.5, "lambda": 0.99}
AT = np.unique(np.round(np.linspace(WARMUP + 1, STEPS, 50)).astype(int))
RATES = schedules(3e-3)


def synthetic(law, parameters, spread=0.0, seed=0):
    random = np.random.default_rng(seed)
    return [
        Curve(name, rates, AT, predict(law, parameters, rates, AT) * np.exp(spread * random.normal(size=AT.size)))
        for name, rates in RATES.items()
    ]


@pytest.mark.parametrize("law, parameters", [("annealing", TRUE), ("multi-power", PUBLISHED["multi-power"]["25M"])])
def test_known_parameters_come_back_from_curves_without_noise(law, parameters):
    found = fit(law, synthetic(law, parameters), hold_out=["wsd"], starts=3, resamples=0)
    assert found.error(True) < 1e-4
    assert found.parameters["L0"] == pytest.approx(parameters["L0"], rel=1e-3)
    assert found.intervals == {} and found.grouping_error < 1e-4


def test_a_small_proof_of_coverage():
    """Of 4 noisy sets of curves, 5 intervals of 95 % each: at most 5 of 20 miss, which chance passes once in 3,000."""
    missed = 0
    for seed in range(4):
        found = fit("annealing", synthetic("annealing", TRUE, 1e-3, seed), hold_out=["wsd"], starts=1)
        missed += sum(not low <= TRUE[name] <= high for name, (low, high) in found.intervals.items())
        assert found.error(True) < 3e-3 * 1.5
    assert missed <= 5


def test_what_the_curves_do_not_determine_has_no_interval():
    constant = [one for one in synthetic("annealing", TRUE, 1e-4) if one.name == "constant"]
    rates = np.full(STEPS, 3e-3)
    curve = constant[0]._replace(rates=rates, losses=predict("annealing", TRUE, rates, AT) * (1 + 1e-4 * np.sin(AT)))
    found = fit("annealing", [curve], starts=1, resamples=50)
    assert found.intervals["C"] == found.intervals["lambda"] == (0.0, np.inf)
    assert 0.0 < found.intervals["L0"][0] < found.intervals["L0"][1] < np.inf


def test_blocks_are_single_without_correlation_and_long_with_it():
    random = np.random.default_rng(0).normal(size=2000)
    assert _block_length(random) <= 3
    walk = random.copy()
    for k in range(1, walk.size):
        walk[k] = 0.9 * walk[k - 1] + random[k]
    r = float(np.corrcoef(walk[1:], walk[:-1])[0, 1])
    assert _block_length(walk) == pytest.approx((6**0.5 * r / (1 - r * r)) ** (2 / 3) * 2000 ** (1 / 3), rel=0.05)
    assert _block_length(np.zeros(9)) == 1
    drawn = _resampled(np.arange(10.0), 4, np.random.default_rng(1))
    assert drawn.size == 10 and ((np.diff(drawn[:4]) % 10) == 1).all()


def test_the_robust_step_is_least_squares_where_all_is_small_and_the_median_where_nothing_is():
    ones = np.ones((5, 1))
    assert _robust_step(ones, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 100.0)[0] == pytest.approx(3.0)
    assert _robust_step(ones, np.array([0.0, 0.0, 0.0, 0.0, 1e6]), 1e-3)[0] == pytest.approx(0.0, abs=1e-2)


@pytest.mark.slow
def test_exact_curves_are_predicted_unseen():
    """Leave one schedule out, on one power law: the loss, about 0.3, to 0.001."""
    for error in leave_one_out("annealing", curves(2.0, 1.0, 0.1, count=25), starts=1):
        assert error.held_out and error.rmse < 1e-3, error


def test_an_unseen_wsd_on_exact_curves():
    found = fit("multi-power", curves(2.0, 1.0, 0.1, count=15), hold_out=["wsd"], starts=1, resamples=0)
    assert found.error(True) < 1e-3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hold_out": ["wds"]}, "unknown curve 'wds'; did you mean 'wsd'"),
        ({"hold_out": [*RATES]}, "has 5 parameters: more losses than that are needed, got 0"),
        ({"delta": 0.0}, "delta must be a finite number > 0"),
        ({"level": 1.0}, "level must be a number between 0 and 1"),
        ({"starts": 0}, "starts must be a whole number >= 1"),
    ],
)
def test_bad_settings_are_told_in_one_line(change, message):
    with pytest.raises(InputError, match=message):
        fit("annealing", synthetic("annealing", TRUE), **change)


def test_bad_curves_are_named():
    good = synthetic("annealing", TRUE)
    with pytest.raises(InputError, match="two are called 'wsd'"):
        fit("annealing", [good[3], good[3]])
    with pytest.raises(InputError, match=r"curve 'wsd': losses must be > 0, got -1"):
        fit("annealing", [good[3]._replace(losses=-np.ones(AT.size))])
    with pytest.raises(InputError, match=r"curve 'wsd': losses: one for each of the 50 steps, got 49"):
        fit("annealing", [good[3]._replace(losses=np.ones(49))])
    with pytest.raises(InputError, match="at least two, got 1"):
        leave_one_out("annealing", good[:1])
