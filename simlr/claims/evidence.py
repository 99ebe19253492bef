"""What draws say for and against a claim: exact binomial tests, t-tests, Holm's correction, and how many draws to take.

A claim about draws says that something is above a bound: a share of draws, or a mean. It is tested twice, by two
one-sided p: that it lies at or below the bound, whose smallness speaks for the claim, and that it lies at or above it,
whose smallness speaks against. The first is judged at `LEVEL`, the second at `AGAINST` for all findings together, both
fixed for all papers; where neither is small nothing is decided.

A paper holds where all its findings hold. So for them no correction is due: the chance that all are found to hold
though one of them is false is at most that of this one (an intersection-union test; Berger 1982, Technometrics 24,
295-300). It does not hold where any finding is false; the more of them there are, the likelier is one by chance, and
the p against are corrected by Holm's method (1979, Scand. J. Statist. 6, 65-70).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .verdict import FAILS, HOLDS, UNDECIDED

LEVEL = 1e-3  # of a test for a claim
AGAINST = 1e-2  # of all tests against it together: how often at most one that is at its bound is refuted
POWER = 0.99
EXACT_TRIALS = 512  # of a fair coin up to which whole numbers are added
REACH = 20  # standard deviations, and terms more, beyond which nothing is left to add
ROUNDING = 1e-12  # of draws, in units of 1 or of the largest: below it they are equal, and a mean is at its bound
ALIKE = 1e-3  # of their distance from the bound: draws within it are as good as equal
LEAST_P = 1e-15  # to which tails are right, and below which none is told


class Evidence(NamedTuple):
    """Two one-sided p of a claim that something is above a bound; NaN where nothing was measured."""

    below: float  # p of data so favourable, or more, where it is at or below: small speaks for the claim
    above: float  # p of data so unfavourable, or more, where it is at or above: small speaks against

    def __str__(self) -> str:
        """Both as a reader needs them; none is 0, for none can be: "p < 1e-15" is as much as tails are right to."""
        small = [f"< {LEAST_P:.0e}" if p < LEAST_P else f"{p:.2g}" for p in self]
        of = "p " if self.below < LEAST_P else "p = "
        return of + small[0] + (f", {small[1]} against" if self.above < 0.05 else "")


UNKNOWN = Evidence(math.nan, math.nan)


def outcomes(evidence: Sequence[Evidence]) -> list[str]:
    """HOLDS, FAILS or UNDECIDED of each finding of one claim; those against by Holm's method, those for as they are."""
    against = holm([one.above for one in evidence])
    return [
        HOLDS if one.below <= LEVEL else FAILS if corrected <= AGAINST else UNDECIDED
        for one, corrected in zip(evidence, against, strict=True)
    ]


def holm(values: Sequence[float]) -> list[float]:
    """The p of a family corrected by Holm's method: the k-th smallest of m times m - k + 1, none below one before it.

    NaN stays NaN, and counts as one of the m.
    """
    found, largest = [math.nan] * len(values), 0.0
    known = sorted((p, place) for place, p in enumerate(values) if not math.isnan(p))
    for rank, (p, place) in enumerate(known):
        largest = max(largest, (len(values) - rank) * p)
        found[place] = min(1.0, largest)
    return found


# ---- shares of draws ----


def binomial_tail(least: int, trials: int, share: float) -> float:
    """P(B >= least), B ~ Binomial(trials, share), within 1e-11 of the exact sum.

    Of a fair coin thrown at most `EXACT_TRIALS` times by whole numbers. Else the first term by logarithms of factorials
    and the others by their ratios, P(B = k + 1) / P(B = k) = (trials - k) / (k + 1) * share / (1 - share), upwards from
    above the mean and downwards from below it, so that the terms only fall.
    """
    if least <= 0 or least > trials:
        return float(least <= 0)
    if share <= 0.0 or share >= 1.0:
        return float(share >= 1.0)
    if share == 0.5 and trials <= EXACT_TRIALS:
        return sum(math.comb(trials, k) for k in range(least, trials + 1)) / 2**trials
    if least <= trials * share:
        return 1.0 - binomial_tail(trials - least + 1, trials, 1.0 - share)
    k = np.arange(least, min(trials, least + REACH + int(REACH * math.sqrt(trials))), dtype=np.float64)
    terms = 1.0 + float(np.cumprod((trials - k) / (k + 1.0) * (share / (1.0 - share))).sum())
    chosen = math.lgamma(trials + 1) - math.lgamma(least + 1) - math.lgamma(trials - least + 1)
    first = chosen + least * math.log(share) + (trials - least) * math.log1p(-share)
    return min(1.0, terms * math.exp(first))


def of_share(count: int, trials: int, share: float, unknown: int = 0) -> Evidence:
    """The evidence that draws are of a kind with more than a probability.

    Parameters
    ----------
    count, trials
        How many of how many draws are of the kind.
    share
        The probability.
    unknown
        Of how many of the draws this is not known. They count against the claim where it is to be shown, and for it
        where it is to be refuted.
    """
    if not trials:
        return UNKNOWN
    return Evidence(binomial_tail(count, trials, share), binomial_tail(trials - count - unknown, trials, 1.0 - share))


def draws_needed(true: float, share: float = 0.5, level: float = LEVEL, power: float = POWER) -> int:
    """The fewest draws from which on a true share is found above `share`, at that level, with that power."""
    trials = 1
    while True:
        least = next(k for k in range(trials + 2) if binomial_tail(k, trials, share) <= level)
        if least <= trials and binomial_tail(least, trials, true) >= power:
            return trials
        trials += 1


# ---- means ----


def student_tail(t: float, degrees: int) -> float:
    """P(T >= t) of Student's t with a whole number of degrees of freedom, to 1e-15; NaN for NaN.

    By the finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    if math.isnan(t) or degrees < 1:
        return math.nan
    theta = math.atan(t / math.sqrt(degrees))
    sine, square = math.sin(theta), math.cos(theta) ** 2
    odd = degrees % 2
    term = math.cos(theta) if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 if odd else 1, degrees - 2, 2):
        term *= square * k / (k + 1)
        total += term
    inside = 2.0 / math.pi * (theta + sine * total) if odd else sine * total
    return min(1.0, max(0.0, 0.5 * (1.0 - inside)))


def of_mean(values: ArrayLike, bound: float = 0.0, overlap: float = 0.0, error: float = 0.0) -> Evidence:
    """The evidence that the mean of a law is above a bound, by a t-test on draws (n,); unknown for less than two.

    A t-test compares the distance of the draws from the bound with their spread. Where they are equal up to `ROUNDING`
    there is none to compare with; where they lie within `ALIKE` of the distance, its p is that of a normal law hundreds
    of deviations out, of which so few draws say nothing. Such draws show what a sign test makes of n of them on one
    side, 2^-n, whatever the law, and never less; at the bound itself nothing.

    Parameters
    ----------
    values : (n,)
        The draws: logarithms, exponents, shares, counts. One that is NaN makes all of it unknown.
    bound
        What the mean is compared to.
    overlap
        The correlation of any two draws, as of splits that share this part of their rows: the variance of the mean is
        s^2 (1/n + overlap). With overlap = n_test / n_train that is Nadeau and Bengio's correction (2003, Machine
        Learning 52, 239-281). Equal draws count as 1 / (1/n + overlap).
    error
        A standard error on top, of what all draws share.
    """
    known = np.asarray(values, dtype=np.float64)
    if known.size < 2 or not np.isfinite(known).all() or not math.isfinite(error):
        return UNKNOWN
    scale = max(float(np.abs(known).max()), 1.0)  # in units of it no square is infinite
    known, error = known / scale, error / scale
    off, of_one = float(known.mean()) - bound / scale, 1.0 / known.size + overlap
    spread, equal = float(known.std(ddof=1)), float(np.ptp(known)) <= max(ROUNDING, ALIKE * abs(off))
    if equal and abs(off) <= ROUNDING:
        return Evidence(1.0, 1.0)
    deviation = math.sqrt(spread**2 * of_one + error**2)
    tail = student_tail(abs(off) / deviation, known.size - 1) if deviation > 0.0 else 0.0
    tail = max(tail, 2.0 ** (-1.0 / of_one)) if equal else tail
    return Evidence(tail, 1.0 - tail) if off > 0.0 else Evidence(1.0 - tail, tail)


def slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, int]:
    """(slope, its standard error, degrees of freedom) of the least-squares line through points x (n,), y (n,).

    NaN for fewer than three points, or where all x are one.
    """
    degrees = x.size - 2
    off = x - x.mean() if x.size else x
    squares = float((off**2).sum())
    if degrees < 1 or squares == 0.0:
        return math.nan, math.nan, max(degrees, 0)
    found = float((off * y).sum()) / squares
    rest = y - y.mean() - found * off
    return found, math.sqrt(float((rest**2).sum()) / degrees / squares), degrees
