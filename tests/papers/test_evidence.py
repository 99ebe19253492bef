"""Evidence for and against: tails against exact sums and mpmath, Holm by hand, sample sizes, and overlapping splits."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from simlr.claims import evidence
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED


@pytest.mark.parametrize(
    ("least", "trials", "share"),
    [
        (0, 5, 0.3),
        (3, 5, 0.5),
        (28, 28, 0.5),
        (40, 61, 0.82),
        (6, 5, 0.5),
        (700, 1300, 0.5),
        (600, 1300, 0.5),
        (3, 900, 0.001),
    ],
)
def test_binomial_tails_are_exact_sums(least, trials, share):
    p = Fraction(share)
    exact = sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(least, trials + 1))
    assert evidence.binomial_tail(least, trials, share) == pytest.approx(float(exact), rel=1e-11)


@pytest.mark.parametrize("degrees", [1, 2, 3, 7, 19, 40])
@pytest.mark.parametrize("t", [-2.0, 0.0, 1.5, 4.0])
def test_students_tail_is_the_integral(t, degrees):
    exact = mpmath.quad(lambda x: (1 + x * x / degrees) ** (-(degrees + 1) / mpmath.mpf(2)), [t, 30, mpmath.inf])
    exact /= mpmath.sqrt(degrees) * mpmath.beta(mpmath.mpf(1) / 2, degrees / mpmath.mpf(2))
    assert evidence.student_tail(t, degrees) == pytest.approx(float(exact), rel=1e-6, abs=1e-12)
    assert math.isnan(evidence.student_tail(math.nan, degrees))


def test_holm_is_holms():
    assert evidence.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert evidence.holm([0.9, 0.8]) == [1.0, 1.0]
    found = evidence.holm([math.nan, 0.01])
    assert math.isnan(found[0]) and found[1] == 0.02


def test_a_claim_holds_fails_or_is_open():
    strong, weak, against = evidence.Evidence(1e-6, 1.0), evidence.Evidence(0.3, 0.7), evidence.Evidence(1.0, 1e-6)
    assert evidence.outcomes([strong, weak, against, evidence.UNKNOWN]) == [HOLDS, UNDECIDED, FAILS, UNDECIDED]
    # Against one of ten by chance at 0.002: not after the correction.
    assert evidence.outcomes([evidence.Evidence(0.998, 0.002)] + [weak] * 9)[0] == UNDECIDED


def test_unknown_draws_count_against_either_side():
    assert evidence.of_share(20, 20, 0.5) == (2.0**-20, 1.0)
    assert evidence.of_share(0, 20, 0.5, unknown=20) == (1.0, 1.0)
    assert all(map(math.isnan, evidence.of_share(0, 0, 0.5)))


def test_so_many_draws_have_the_power():
    count = evidence.draws_needed(0.82)
    least = next(k for k in range(count + 1) if evidence.binomial_tail(k, count, 0.5) <= evidence.LEVEL)
    drawn = np.random.default_rng(0).binomial(count, 0.82, 20_000)
    assert count == 61
    assert (drawn >= least).mean() > 0.985


def test_means_of_nothing_are_unknown():
    for values in ([], [1.0], [1.0, math.nan], [1.0, math.inf]):
        assert all(map(math.isnan, evidence.of_mean(values)))
    assert evidence.of_mean([0.0, 0.0]) == (1.0, 1.0)


@pytest.mark.parametrize("apart", [0.0, 1e-15])
@pytest.mark.parametrize("draws", [2, 9, 10, 40])
def test_equal_draws_are_a_sign_test(draws, apart):
    """As of a fair coin, however far from the bound; overlapping ones count as fewer, and a shared error counts."""
    values = 2.0 + apart * np.arange(draws) / draws
    assert evidence.of_mean(values) == (pytest.approx(0.5**draws), pytest.approx(1.0 - 0.5**draws))
    assert evidence.of_mean(values, 3.0) == (pytest.approx(1.0 - 0.5**draws), pytest.approx(0.5**draws))
    assert evidence.of_mean(values, overlap=1.0).below == pytest.approx(0.5 ** (draws / (draws + 1.0)))
    assert evidence.of_mean(values, error=4.0).below == pytest.approx(evidence.student_tail(0.5, draws - 1))
    assert (evidence.outcomes([evidence.of_mean(values)]) == [HOLDS]) == (draws >= 10)


@pytest.mark.parametrize("draws", [4, 8, 16])
def test_draws_that_are_as_good_as_equal_show_no_more_than_a_sign_test(draws):
    """Within a thousandth of their distance from the bound, in any unit, on either side, however near each other."""
    off = np.linspace(-0.5, 0.5, draws)
    for unit in (1e-6, 1.0, 1e6):
        for apart in (1e-3, 1e-7, 1e-11, 0.0):
            values = unit * (1.0 + 0.999 * apart * off)
            assert evidence.of_mean(values).below == pytest.approx(0.5**draws)
            assert evidence.of_mean(values, 2.0 * unit).above == pytest.approx(0.5**draws)
    assert evidence.of_mean(1.0 + 2e-3 * off).below < 0.5**draws


def test_no_p_is_told_as_0():
    assert str(evidence.Evidence(0.0, 1.0)) == "p < 1e-15"
    assert str(evidence.Evidence(1.0, 0.0)) == "p = 1, < 1e-15 against"
    assert str(evidence.Evidence(2e-15, 1.0)) == "p = 2e-15"
    assert evidence.student_tail(1e9, 40) == 0.0  # which is why


def test_draws_at_their_bound_up_to_rounding_show_nothing():
    rounded = np.array([1e-16, 3e-16, 2e-16, 1e-16])
    assert evidence.of_mean(rounded) == evidence.of_mean(1.0 + 4.0 * rounded, 1.0) == (1.0, 1.0)
    assert evidence.of_mean(1e9 * (1.0 + 4.0 * rounded), 1e9) == (1.0, 1.0)


def test_two_draws_with_a_spread_are_a_t_test_of_one_degree():
    """P(T >= t) = 1/2 - atan(t) / pi; in any unit, and with squares that no number holds."""
    for unit in (1e-3, 1.0, 1e300):
        shown = evidence.of_mean([unit, 2.0 * unit])
        assert shown.below == pytest.approx(0.5 - math.atan(3.0) / math.pi)
        assert shown.above == pytest.approx(0.5 + math.atan(3.0) / math.pi)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_overlapping_draws_are_not_counted_as_many(overlap):
    """Of draws that share half of their variance a naive t-test finds an effect in a third; the corrected one does not.

    The correction adds the variance that they share, in units of that within: rho / (1 - rho) with correlation rho.
    """
    drawn = np.random.default_rng(1)
    found = 0
    for _ in range(2000):
        shared = drawn.standard_normal() * math.sqrt(overlap)
        values = shared + drawn.standard_normal(10) * math.sqrt(1.0 - overlap)
        found += evidence.of_mean(values, overlap=overlap / (1.0 - overlap)).below <= 0.05
    assert found / 2000 < 0.065


def test_a_slope_has_its_standard_error():
    x = np.array([0.0, 1.0, 2.0, 3.0])
    found, error, degrees = evidence.slope(x, 2.0 * x + np.array([0.1, -0.1, -0.1, 0.1]))
    assert (found, degrees) == (pytest.approx(2.0), 2)
    assert error == pytest.approx(math.sqrt(0.04 / 2 / 5.0))
    assert math.isnan(evidence.slope(x[:2], x[:2])[0]) and math.isnan(evidence.slope(x * 0.0, x)[0])
