"""The bound on the last iterate: against exact fractions, known sums, and the laws that it obeys."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive.bounds import last_iterate_bound, wsd_theorem
from simlr.errors import InputError
from simlr.schedules import bounds
from simlr.schedules.checking import build, check_phase

RATES = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=1, max_size=24).filter(any)
EVERY_KIND = [
    {"kind": "constant"},
    {"kind": "step", "step_size": 20},
    {"kind": "multistep", "milestones": [3, 50, 51], "gamma": 1e-9},
    {"kind": "exponential", "gamma": 0.9},
    {"kind": "linear"},
    {"kind": "cosine"},
    {"kind": "inverse_sqrt"},
    {"kind": "one_cycle", "warmup_fraction": 0.3},
    {"kind": "warmup_stable_decay", "decay_steps": 40, "warmup_steps": 7},
    {"kind": "warmup_stable_decay", "decay_steps": 90, "decay": "1-sqrt"},
    {"kind": "triangular", "up_steps": 13},
    {"kind": "cosine_restarts", "cycle_steps": 31},
    {"kind": "silver"},
]


def made(kind, steps, learning_rate=0.7, **own):
    table = check_phase("test", {"kind": kind, "steps": steps, "learning_rate": learning_rate, **own})
    return build("test", "test", "absolute", [table], steps)


def apart(found, exact):
    """How far a float is from a fraction, relative."""
    return float(abs(Fraction(found) - exact) / exact)


@given(RATES, st.floats(0.1, 10.0), st.data())
def test_the_bound_is_the_sums_as_printed(rates, distance, data):
    norms = data.draw(st.lists(st.floats(0.1, 10.0), min_size=len(rates), max_size=len(rates)))
    found = bounds.last_iterate_bound(rates, distance, norms)
    assert apart(found, last_iterate_bound(rates, distance, norms)) < 1e-14


@pytest.mark.parametrize("own", EVERY_KIND, ids=lambda own: own["kind"])
def test_stretches_in_closed_form_are_the_sums_as_printed(own):
    schedule = made(steps=120, **own)
    exact = last_iterate_bound(schedule.rates(0, 120))
    assert apart(bounds.of_schedule(schedule).at(), exact) < 1e-14
    assert apart(bounds.of_schedule(schedule, 50).at(), last_iterate_bound(schedule.rates(0, 50))) < 1e-14


@pytest.mark.parametrize("steps", [2, 1000, 10**6, 10**15])
def test_a_constant_rate_has_harmonic_numbers(steps):
    """Its best bound is sqrt((1 + H_{T - 1}) / T): the factor log T, at any length, to 1e-15."""
    with mpmath.workdps(40):
        exact = mpmath.sqrt((1 + mpmath.harmonic(steps - 1)) / steps)
        assert abs(bounds.of_schedule(made("constant", steps)).best / exact - 1) < 2e-15
    if steps <= 10**6:
        assert bounds.terms(np.full(steps, 0.3)).best == pytest.approx(float(exact), rel=1e-14)


def test_a_million_varying_steps_keep_their_digits():
    """Linear decay to 0: sums of k, of k^2 and of (2 k + 1) / (3 k) in exact arithmetic."""
    steps = 10**6
    with mpmath.workdps(40):
        total, squares = mpmath.mpf(steps) * (steps + 1) / 2, mpmath.mpf(steps) * (steps + 1) * (2 * steps + 1) / 6
        # k rates remain: k / [(k - 1) k / 2] * [k (k + 1) (2 k + 1) / 6] / [k (k + 1) / 2] = 2 (2 k + 1) / (3 (k - 1))
        third = mpmath.mpf(4) / 3 * (steps - 1) + 2 * mpmath.harmonic(steps - 1)
        exact = 2 * mpmath.sqrt(1 / (2 * total) * (squares / total + third) / 2)
        assert abs(bounds.of_schedule(made("linear", steps)).best / exact - 1) < 1e-13


@pytest.mark.parametrize("steps", [50, 400, 1500])
@pytest.mark.parametrize("part", [0.1, 0.2, 0.5])
def test_a_cooldown_keeps_within_the_theorem(steps, part):
    decay = int(part * (steps + 1))
    schedule = made("warmup_stable_decay", steps, decay_steps=decay)
    assert bounds.of_schedule(schedule).best <= math.sqrt(wsd_theorem(steps, steps + 1 - decay))


@given(RATES, st.floats(1e-3, 1e3))
def test_the_best_bound_knows_no_scale(rates, factor):
    rate, least = bounds.best_base_rate(rates)
    scaled = bounds.best_base_rate(np.multiply(rates, factor))
    assert scaled == (pytest.approx(rate / factor, rel=1e-12), pytest.approx(least, rel=1e-12))
    for other in (0.9, 1.0, 1.1):
        assert bounds.last_iterate_bound(np.multiply(rates, rate * other)) >= least * (1.0 - 1e-13)


@given(RATES, st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_distance_and_gradient_norm_are_units(rates, distance, norm):
    one, other = bounds.terms(rates), bounds.terms(rates, distance, norm)
    assert other.best == pytest.approx(distance * norm * one.best, rel=1e-12)
    assert other.best_factor == pytest.approx(distance / norm * one.best_factor, rel=1e-12)


@given(RATES, st.integers(1, 9))
def test_zero_rates_at_the_end_change_nothing(rates, zeros):
    assert bounds.terms([*rates, *[0.0] * zeros]) == bounds.terms(rates)


def test_extremes():
    assert bounds.last_iterate_bound([0.0, 0.0]) == math.inf
    factor, least = bounds.best_base_rate([0.0])
    assert math.isnan(factor) and least == math.inf
    assert bounds.terms([1e200, 1e180]).best == pytest.approx(bounds.terms([1.0, 1e-20]).best)
    for largest in (1.7e308, 2e-308):  # nothing overflows on the way to what does not depend on the scale
        scaled, one = bounds.terms([largest, 0.5 * largest, 0.25 * largest]), bounds.terms([1.0, 0.5, 0.25])
        assert scaled.best == pytest.approx(one.best, rel=1e-14)
        assert scaled.best_rate == pytest.approx(one.best_rate, rel=1e-14)
    assert bounds.terms([1.0], 1e200).best == math.inf
    assert bounds.of_schedule(made("exponential", 5000, gamma=2.0)).best == math.inf
    assert bounds.of_schedule(made("constant", 9, 0.0)).best == math.inf
    # A plateau so low that what comes after it is, in its units, infinite.
    rising = made("warmup_stable_decay", 5000, 1e-108, decay_steps=1000, end_learning_rate=1e201)
    assert bounds.of_schedule(rising).best == pytest.approx(bounds.terms(rising.rates(0, 5000)).best, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "rates must be a vector of at least one number, got shape (0,)"),
        (([[1.0]],), "rates must be a vector of at least one number, got shape (1, 1)"),
        ((["x"],), "rates must be a vector, each a finite number >= 0, got ['x']"),
        (([1.0, -1.0],), "rates[1] must be a finite number >= 0, got -1.0"),
        (([float("nan")],), "rates[0] must be a finite number >= 0, got nan"),
        (([1.0], 0.0), "distance must be a finite number > 0, got 0.0"),
        (([1.0], 1.0, 0.0), "gradient_norm must be a finite number > 0, got 0.0"),
        (([1.0], 1.0, [1.0, 2.0]), "gradient_norm must be one number, or one for each of the 1 rates, got '2 numbers'"),
        (([1.0], 1.0, [0.0]), "gradient_norm[0] must be a finite number > 0, got 0.0"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError) as told:
        bounds.last_iterate_bound(*arguments)
    assert str(told.value) == message
