"""Fits of the laws: known parameters come back, intervals hold them, exact curves are predicted unseen."""

import numpy as np
import pytest
from exact_curves import STEPS, WARMUP, curves, schedules

from simlr.errors import InputError
from simlr.laws import PUBLISHED, Curve, fit, leave_one_out, predict
from simlr.laws.fitting import _robust_step

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


def correlated(random, size, correlation):
    values = random.normal(size=size)
    for k in range(1, size):
        values[k] = correlation * values[k - 1] + (1.0 - correlation**2) ** 0.5 * values[k]
    return values


@pytest.mark.parametrize("correlation, every, sets", [(0.0, 40, 4), (0.95, 10, 4)])
def test_a_small_proof_of_coverage(correlation, every, sets):
    """Of 4 noisy sets of curves, 5 intervals of 95 % each: at most 5 of 20 miss, which chance passes once in 3,000."""
    missed, at = 0, np.arange(WARMUP + every, STEPS + 1, every)
    for seed in range(sets):
        random, curves = np.random.default_rng(seed), []
        for name in ("constant", "cosine", "two-stage"):
            losses = predict("annealing", TRUE, RATES[name], at)
            curves.append(
                Curve(name, RATES[name], at, losses * np.exp(1e-3 * correlated(random, at.size, correlation)))
            )
        found = fit("annealing", curves, starts=1)
        assert found.correlation == pytest.approx(correlation, abs=0.4 if correlation == 0.0 else 0.15)
        missed += sum(not low <= TRUE[name] <= high for name, (low, high) in found.intervals.items())
    assert missed <= 5


def test_flat_curves_have_no_intervals_of_what_they_do_not_show():
    noise = np.random.default_rng(0).normal(size=AT.size)
    found = fit("annealing", [Curve("flat", np.full(STEPS, 3e-3), AT, 2.5 * np.exp(1e-4 * noise))], starts=1)
    assert found.intervals["C"] == found.intervals["lambda"] == (0.0, np.inf)
    assert found.intervals["alpha"][1] / max(found.intervals["alpha"][0], 1e-300) > 10.0


def test_what_the_curves_do_not_determine_has_no_interval():
    constant = [one for one in synthetic("annealing", TRUE, 1e-4) if one.name == "constant"]
    rates = np.full(STEPS, 3e-3)
    curve = constant[0]._replace(rates=rates, losses=predict("annealing", TRUE, rates, AT) * (1 + 1e-4 * np.sin(AT)))
    found = fit("annealing", [curve], starts=1, resamples=50)
    assert found.intervals["C"] == found.intervals["lambda"] == (0.0, np.inf)
    assert 0.0 < found.intervals["L0"][0] < found.intervals["L0"][1] < np.inf


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
