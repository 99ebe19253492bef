"""Estimates over seeds and how sure they are: resampling, the sign test, medians. Arrays in, arrays out.

All resampling is counter-based (Philox, keyed by `RESAMPLING_SEED` and the number of seeds), so that a report is a pure
function of its file; equal numbers of seeds meet equal draws.
"""

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..claims.evidence import binomial_tail

# Ratios this close to 1 count as equal: rounding must not win.
EQUAL = 1e-9
CELLS_AT_ONCE = 1 << 22
NORMAL_975 = 1.959963984540054

RESAMPLING_SEED = 20200515
RESAMPLES = 4000
COVERAGE = 0.95
# Values held at a time while seeds are resampled one by one.
VALUES_AT_ONCE = 1 << 22
MOST_DRAWS, FEWEST_RESAMPLES, MOST_RESAMPLES = 2 * 10**8, 100, 1000


def generator(*key: int) -> np.random.Generator:
    """NumPy's generator on Philox4x64-10 with a key of the fixed seed and one number more."""
    return np.random.Generator(np.random.Philox(key=[RESAMPLING_SEED, *key]))


# ---- the median, and its interval ----


def median_interval(ordered: NDArray[np.float64]) -> tuple[float, float, float]:
    """The median with an interval that holds that of the law in at least 95 % of all samples, whatever the law.

    The ends are order statistics: the k-th smallest value and the k-th largest, k the largest whole number with
    2 P(B < k) <= 0.05, B ~ Binomial(n, 1/2). That is exact, for no law is assumed: too few values lie below the law's
    median, or above it, with that probability; where values tie it covers more often. Of fewer than 6 values there is
    no such k, and the interval is the whole line. The interval of -x is the mirrored interval of x.

    Parameters
    ----------
    ordered : float64 (n,)
        In ascending order; infinite ones may be among them.

    Returns
    -------
    (median, low, high) : float
        NaN of no values.

    Source: Thompson (1936), Annals of Mathematical Statistics 7, 122-128; David and Nagaraja (2003), Order Statistics,
    section 7.1.
    """
    count = ordered.size
    if not count:
        return math.nan, math.nan, math.nan
    middle = float(_midpoints(ordered[(count - 1) // 2], ordered[count // 2]))
    rank = median_rank(count)
    return (middle, float(ordered[rank - 1]), float(ordered[count - rank])) if rank else (middle, -math.inf, math.inf)


@functools.lru_cache(maxsize=65536)
def median_rank(count: int) -> int:
    """The k of `median_interval` for so many values; 0 where there is none."""
    # P(B < k) = P(B >= count - k + 1), a fair coin; near where the normal law would have it.
    rank = max(0, int(0.5 * count - 0.5 * NORMAL_975 * math.sqrt(count)))
    tail = (1.0 - COVERAGE) / 2.0
    while rank and binomial_tail(count - rank + 1, count, 0.5) > tail:
        rank -= 1
    while binomial_tail(count - rank, count, 0.5) <= tail:
        rank += 1
    return rank


def _midpoints(low, high):
    """The mean of two values; of equal infinite ones, themselves; 0 between the two infinities."""
    with np.errstate(invalid="ignore"):
        middle = np.where(low == high, low, 0.5 * low + 0.5 * high)
    return np.where(np.isinf(low) & np.isinf(high) & (low != high), 0.0, middle)


# ---- the sign test ----


@functools.lru_cache(maxsize=65536)
def sign_test(wins: int, losses: int) -> float:
    """Two-sided p of the sign test: min(1, 2 P(B <= min(wins, losses))), B ~ Binomial(wins + losses, 1/2).

    Source: Dixon and Mood (1946).

    Parameters
    ----------
    wins, losses
        Numbers of trials; ties are left out beforehand.

    Returns
    -------
    float
        p; 1 where there is nothing to test.
    """
    return 1.0 if wins == losses else min(1.0, 2.0 * binomial_tail(max(wins, losses), wins + losses, 0.5))


# ---- which of several is best ----


def resamples_for(seeds: int, values: int) -> int:
    """How many joint resamples of so many seeds of so many values are made: 1000, fewer where that takes long."""
    return int(np.clip(MOST_DRAWS // max(1, seeds * values), FEWEST_RESAMPLES, MOST_RESAMPLES))


def win_shares(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each of V values has the smallest median loss when the seeds are resampled jointly.

    Parameters
    ----------
    losses : float64 (V, N)
        Of every value in every seed; infinite ones count as large.

    Returns
    -------
    float64 (V,)
        Shares of the resamples; equal smallest medians share the win. NaN where there are no seeds, or in every
        resample all medians are infinite.
    """
    wins, decided = np.zeros(len(losses)), 0
    for medians in joint_medians(losses):
        best = medians.min(axis=0)
        known = np.isfinite(best)
        ties = (medians == best)[:, known]
        wins += (ties / ties.sum(axis=0)).sum(axis=1)
        decided += int(known.sum())
    return wins / decided if decided else np.full(len(losses), np.nan)


def joint_medians(losses: NDArray[np.float64], times: int | None = None) -> Iterator[NDArray[np.float64]]:
    """Medians of the losses of V values over joint resamples of the seeds.

    Equal numbers of seeds meet equal resamples.

    Parameters
    ----------
    losses : float64 (V, N)
        Of every value in every seed; infinite ones count as large.
    times
        How many resamples; None for as many as `resamples_for` says.

    Yields
    ------
    float64 (V, B)
        The medians of some of the resamples; nothing without seeds.
    """
    choices, seeds = losses.shape
    if not seeds:
        return
    times = times or resamples_for(seeds, choices)
    order = np.argsort(losses, axis=1, kind="stable")
    ordered = np.take_along_axis(losses, order, axis=1)
    # The median of a resample is a value of this window but once in a billion times: six standard deviations.
    reach = math.ceil(3.0 * math.sqrt(seeds))
    window = max(0, seeds // 2 - reach), min(seeds, seeds // 2 + reach)
    for counts in _resampled(seeds, times):
        medians = _medians_within(counts, order, ordered, window)
        yield _medians_within(counts, order, ordered, (0, seeds)) if medians is None else medians


def _resampled(seeds, times):
    """How often each seed was picked in each resample, some resamples at a time: whole numbers as floats (N, B)."""
    return (_resampled_at_once(seeds, times),) if seeds * times <= VALUES_AT_ONCE else _pieces(seeds, times)


@functools.lru_cache(maxsize=2)
def _resampled_at_once(seeds, times):
    """All resamples, kept: those of every comparison of as many seeds are the same."""
    (counts,) = _pieces(seeds, times)
    return counts


def _pieces(seeds, times):
    """`_resampled`, drawn anew. A float counts exactly as far as its digits go."""
    random, step = generator(seeds), max(1, VALUES_AT_ONCE // seeds)
    for first in range(0, times, step):
        picked = random.integers(0, seeds, (min(step, times - first), seeds))
        picked += seeds * np.arange(len(picked))[:, None]
        counts = np.bincount(picked.ravel(), minlength=picked.size).reshape(picked.shape)
        yield np.ascontiguousarray(counts.T, np.float32 if seeds < 1 << 24 else np.float64)


def _medians_within(counts, order, ordered, window):
    """The medians (V, B) of resamples, looked for among the values of these places in order; None where one is not."""
    first, last = window
    ranks, medians = ((len(counts) - 1) // 2, len(counts) // 2), []
    for places, values in zip(order, ordered, strict=True):
        before = counts[places[:first]].sum(axis=0)
        passed = np.cumsum(counts[places[first:last]], axis=0)
        passed += before
        if (before > ranks[0]).any() or (passed[-1] <= ranks[1]).any():
            return None
        low, high = (first + np.count_nonzero(passed <= rank, axis=0) for rank in ranks)
        medians.append(_midpoints(values[low], values[high]))
    return np.stack(medians)


# ---- standard errors ----


def jackknife(left_out: NDArray[np.float64]) -> NDArray[np.float64]:
    """The jackknife's standard error: sqrt((n - 1) / n sum_n (estimate_n - their mean)^2).

    Source: Efron and Stein (1981).

    Parameters
    ----------
    left_out : float64 (n, ...)
        The estimates with one seed left out.

    Returns
    -------
    float64 (...)
        In the unit of the estimates.
    """
    count = len(left_out)
    return np.sqrt((count - 1.0) / count * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))


def pieces_of_schedules(shape: tuple[int, ...]) -> list[slice]:
    """Slices of schedules (S, N, E) whose copies take little memory."""
    size = max(1, CELLS_AT_ONCE // max(1, shape[1] * shape[2]))
    return [slice(first, first + size) for first in range(0, shape[0], size)]


def quantiles(values: NDArray[np.float64], mask: NDArray[np.bool_], shares: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles over the seeds, by linear interpolation.

    Parameters
    ----------
    values : float64 (S, N, E)
        What is known of every seed, NaN elsewhere.
    mask : bool (S, N, E)
        The seeds that count.
    shares : sequence of Q
        From 0, the smallest value, to 1.

    Returns
    -------
    float64 (Q, S, E)
        NaN where no seed counts.
    """
    quantiles = np.empty((len(shares), mask.shape[0], mask.shape[2]))
    for piece in pieces_of_schedules(mask.shape):
        count = mask[piece].sum(axis=1)
        ordered = np.sort(np.where(mask[piece], values[piece], np.nan), axis=1)  # NaN goes to the end
        for i, share in enumerate(shares):
            place = share * np.maximum(count - 1, 0)
            below = np.floor(place).astype(np.int64)
            above = np.minimum(below + 1, np.maximum(count - 1, 0))
            low, high = (np.take_along_axis(ordered, at[:, None], axis=1)[:, 0] for at in (below, above))
            with np.errstate(invalid="ignore"):
                between = (high > low) & (place > below)  # not where one that is not needed is infinite
                quantiles[i, piece] = np.where(between, low + (place - below) * (high - low), low)
        del ordered  # before the next piece is copied
    return quantiles


def wilson(successes: NDArray, trials: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The share of successes and its 95 % Wilson interval with continuity correction.

    (2 k + z^2 -+ (1 + z sqrt(z^2 - 2 s - 1 / n + 4 p (n (1 - p) + s)))) / (2 (n + z^2)), k of n, p = k / n, z the
    normal quantile of 0.975, s = 1 for the lower and -1 for the upper end; 0 is the lower end of no successes and 1 the
    upper one of nothing else. It covers at least 94.6 % for every n and every true share; without the correction it may
    cover 84 % near 0 and 1. Source: Wilson (1927); Newcombe (1998), Statistics in Medicine 17, 857-872, method 4.

    Parameters
    ----------
    successes, trials : int64 (...)
        Counts.

    Returns
    -------
    share, low, high : float64 (...)
        NaN without trials.
    """
    z2, ends = NORMAL_975**2, []
    with np.errstate(all="ignore"):
        share = successes / trials
        for side, last in ((1.0, 0.0), (-1.0, 1.0)):
            inside = z2 - 2.0 * side - 1.0 / trials + 4.0 * share * (trials * (1.0 - share) + side)
            end = (2.0 * successes + z2 - side * (1.0 + NORMAL_975 * np.sqrt(inside))) / (2.0 * (trials + z2))
            ends.append(np.where(share == last, last, end))
        low, high = np.minimum(np.maximum(ends[0], 0.0), share), np.maximum(np.minimum(ends[1], 1.0), share)
    return share, np.where(trials > 0, low, np.nan), np.where(trials > 0, high, np.nan)


@functools.lru_cache(maxsize=1 << 14)
def wilson_of(successes: int, trials: int) -> tuple[float, float, float]:
    """`wilson` of one pair of counts; on a page the same ones come again and again."""
    share, low, high = map(float, wilson(np.array(successes), np.array(trials)))
    return share, low, high


def most_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians over the seeds.

    Parameters
    ----------
    values : (R, X)
        Of R seeds; what is not finite is not known.

    Returns
    -------
    float64 (X,)
        NaN where at most half of the seeds are known.
    """
    known = np.isfinite(values).sum(axis=0)
    medians = np.full(values.shape[1], np.nan)
    enough = 2 * known > len(values)
    if enough.any():
        medians[enough] = np.nanmedian(np.where(np.isfinite(values), values, np.nan)[:, enough], axis=0)
    return medians


def median_of_known(values: NDArray[np.float64]) -> float:
    """The median of what is not NaN; NaN where all is."""
    ordered = np.sort(values[~np.isnan(values)])  # of the few values of a pair many times as fast as np.median
    return 0.5 * (ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]) if ordered.size else math.nan
