"""A constant learning rate in closed form: first passages, divergence and recorded moments without taking the steps.

While the rate is eta, step k of a cell has x_i(k) = f_i^k x_i, with the recurrence's own rounded factor
f_i = fma(-eta, lam_i, 1), here as sign^k exp(-decay_i k), decay_i = -log |f_i| (infinite where f_i = 0). So

    q(k) = sum_i x_i(k)^2 = sum_i x_i^2 exp(-2 decay_i k)

is, in real k > 0, a sum of exponentials: convex, and log q too. From that follows all that is used here.

First passage. Let q(start) > threshold. The set {k : q(k) <= threshold} is an interval by convexity, so the first
integer in it is the ceiling of its left end, or there is none: if that ceiling lies beyond the right end, so does every
later integer. Left of the interval log q is convex and falling, so Newton's method on log q - log threshold climbs from
`start` to its left end without passing it; where the slope is no longer falling while q is above, there is no interval.
This holds whether some |f_i| > 1 or not.

Rounding may shift either end of the interval a little, and sums below the normal numbers come in steps of 5e-324, so
from the integer that Newton's method names the first passage is bracketed in strides that double, and bisected.

Divergence. {k : q(k) <= limit} is an interval too, and holds 0, so the first integer outside is found by bisection.

An axis that is carried (`carried`) has x_i = value exp(shift_i), and joins the sums as it grows.
"""

import math
from typing import NamedTuple

import numpy as np

from ..arrays import DIVERGED_SUM, ENDED
from ..intrinsics import fma
from ..jit import cell, inline
from ..pool import bar_of, is_done, next_moment
from ..status import DIVERGED, REACHED
from .carried import (
    LOG_STEP,
    can_grow,
    decay_of,
    exponent_of,
    from_exponent,
    grown,
    log_sums,
    put,
    where_it_stands,
)
from .recurrence import land_levels, write_levels

MOST_ITERATIONS = 200
CLOSE_ENOUGH = 1e-3
# Sums of squares below this lose digits, or their slopes do.
SMALL_SUM = 1e-250


class ConstantRate(NamedTuple):
    """A piece of one schedule at one rate, and what a thread works with to take cells through it."""

    eta: float
    steps: int
    before: int  # steps before the piece
    elapsed: float  # time before the piece, in the schedule's unit
    known: np.ndarray  # (d,) the lam for which decay and odd_sign stand
    decay: np.ndarray  # (d,) -log |f_i|
    odd_sign: np.ndarray  # (d,) the sign of f_i
    x: np.ndarray  # (d,) where the cell stands before the piece
    shift: np.ndarray  # (d,) and its logarithmic scale, 0 but where an axis is carried
    y: np.ndarray  # (d,) scratch
    previous: np.ndarray  # (d,) scratch


@inline
def set_decay(piece, scale, n):
    """Set decay and odd_sign for seed n; scale (N, d)."""
    for i in range(piece.x.size):
        lam = scale[n, i]
        if lam == piece.known[i]:
            continue
        piece.decay[i] = decay_of(piece.eta, lam)
        piece.odd_sign[i] = -1.0 if fma(-piece.eta, lam, 1.0) < 0.0 else 1.0
        piece.known[i] = lam


@inline
def decayed_sums(x, shift, decay, k):
    """q(k) and -q'(k) / 2 = sum_i decay_i x_i(k)^2."""
    total = 0.0
    slope = 0.0
    for i in range(x.size):
        y = grown(x[i], exponent_of(shift, decay, i, k))
        total = fma(y, y, total)
        if y != 0.0:
            slope = fma(decay[i] * y, y, slope)
    return total, slope


@inline
def falls(x, shift, decay, k):
    """Whether q falls at step k."""
    total, slope = decayed_sums(x, shift, decay, k)
    return slope > 0.0 if total >= SMALL_SUM else log_sums(x, shift, decay, k)[1] > 0.0


@cell
def newton_time(x, shift, decay, threshold, start, last):
    """A real k at most a little below the left end of {q <= threshold}; beyond `last` where that comes later."""
    k = float(start)
    # What decays infinitely fast is gone after one step, and has no derivative before.
    for i in range(x.size):
        if decay[i] == np.inf and x[i] != 0.0 and start == 0:
            k = 1.0
    for _ in range(MOST_ITERATIONS):
        if k > last:
            return k
        total, slope = decayed_sums(x, shift, decay, k)
        if total >= SMALL_SUM:
            if total <= threshold:
                return k
            if not slope > 0.0 or not total <= DIVERGED_SUM:
                return last + 1.0
            step = 0.5 * total / slope * (math.log(total) - math.log(threshold))
        else:
            logarithm, slope = log_sums(x, shift, decay, k)
            if logarithm <= math.log(threshold):
                return k
            if not slope > 0.0:
                return last + 1.0
            step = 0.5 / slope * (logarithm - math.log(threshold))
        k += step
        if step < CLOSE_ENOUGH:
            return k
    return k


@cell
def bisected(x, shift, decay, threshold, above, within):
    """The first integer with q <= threshold between one above it and one within."""
    while within - above > 1:
        middle = (above + within) // 2
        if decayed_sums(x, shift, decay, float(middle))[0] <= threshold:
            within = middle
        else:
            above = middle
    return within


@cell
def passage_before(x, shift, decay, threshold, start, k):
    """The first integer after start with q <= threshold, which k is one of."""
    stride = 1
    while k - stride > start and decayed_sums(x, shift, decay, float(k - stride))[0] <= threshold:
        k -= stride
        stride *= 2
    return bisected(x, shift, decay, threshold, max(k - stride, start), k)


@cell
def passage_between(x, shift, decay, threshold, falling, rising):
    """The first integer with q <= threshold between two above it, one before the smallest q and one behind; else -1."""
    begin = falling
    while rising - falling > 1:
        middle = (falling + rising) // 2
        if decayed_sums(x, shift, decay, float(middle))[0] <= threshold:
            return bisected(x, shift, decay, threshold, begin, middle)
        if falls(x, shift, decay, float(middle)):
            falling = middle
        else:
            rising = middle
    return -1


@cell
def passage_after(x, shift, decay, threshold, k, last):
    """The first integer after k with q <= threshold, given q(k) above it; else last + 1."""
    stride = 1
    while k < last and falls(x, shift, decay, float(k)):
        following = min(k + stride, last)
        if decayed_sums(x, shift, decay, float(following))[0] <= threshold:
            return bisected(x, shift, decay, threshold, k, following)
        if stride > 1 and not falls(x, shift, decay, float(following)):
            found = passage_between(x, shift, decay, threshold, k, following)
            return found if found > 0 else last + 1
        k = following
        stride *= 2
    return last + 1


@cell
def carried_passage(x, shift, decay, threshold, start, last):
    """The first integer k with start < k <= last and q(k) <= threshold, given q(start) > threshold; else last + 1."""
    if not threshold > 0.0:
        return last + 1
    real = newton_time(x, shift, decay, threshold, start, last)
    k = max(start + 1, math.ceil(real)) if real <= last else last
    if decayed_sums(x, shift, decay, float(k))[0] <= threshold:
        return passage_before(x, shift, decay, threshold, start, k)
    return passage_after(x, shift, decay, threshold, k, last)


@cell
def first_passage(x, decay, threshold, start, last):
    """The same where no axis is carried."""
    return carried_passage(x, x[:0], decay, threshold, start, last)


@cell
def carried_divergence(x, shift, decay, last):
    """The first integer k with 0 < k <= last and not q(k) <= the limit, given q(0) at or below it; else last + 1."""
    if decayed_sums(x, shift, decay, float(last))[0] <= DIVERGED_SUM:
        return last + 1
    inside, outside = 0, last
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if decayed_sums(x, shift, decay, float(middle))[0] <= DIVERGED_SUM:
            inside = middle
        else:
            outside = middle
    return outside


@cell
def first_divergence(x, decay, last):
    """The same where no axis is carried."""
    return carried_divergence(x, x[:0], decay, last)


@inline
def jump(piece, k):
    """y_i = f_i^k x_i."""
    for i in range(piece.x.size):
        y = grown(piece.x[i], exponent_of(piece.shift, piece.decay, i, float(k)))
        piece.y[i] = y * piece.odd_sign[i] if k % 2 == 1 else y


@inline
def pass_levels(piece, last, cells, course, s, n):
    """Write the levels that a cell passes at steps 1..last of a piece."""
    k = 0
    while course.decided[s, n] < cells.threshold.shape[1]:
        bar = bar_of(cells, course.decided, s, n)
        if k == 0 or decayed_sums(piece.x, piece.shift, piece.decay, float(k))[0] > bar:
            k = carried_passage(piece.x, piece.shift, piece.decay, bar, k, last)
            if k > last:
                return
        if course.stop_fraction.shape[2] > 0:
            jump(piece, k - 1)
            for i in range(piece.y.size):
                piece.previous[i] = piece.y[i]
        jump(piece, k)
        level, time = course.decided[s, n], piece.elapsed + piece.eta * k
        write_levels(course, s, n, piece.y, level + 1, REACHED, piece.before + k, time)
        land_levels(cells, course, s, n, level, piece.y, piece.previous, piece.eta)
        course.decided[s, n] = level + 1


@inline
def record_moments(piece, last, cells, rates, course, s, n):
    """Write the recorded moments of a cell that lie at steps 1..last of a piece."""
    slot, moment = next_moment(rates, s, 0, piece.before)
    while moment - piece.before <= last:
        jump(piece, moment - piece.before)
        for i in range(piece.y.size):
            course.record_x[s, cells.row[n], slot, i] = piece.y[i]
        slot, moment = next_moment(rates, s, slot + 1, piece.before)


@inline
def load_cell(piece, lam, peak, course, s, n):
    """Set x and shift to where a cell of curvatures lam (N, d) stands."""
    for i in range(piece.x.size):
        value, depth = course.x[s, n, i], 0
        if can_grow(peak, lam[n, i]):
            value, depth = where_it_stands(course, s, n, i)
        piece.x[i], piece.shift[i] = value, -LOG_STEP * depth


@inline
def store_cell(piece, lam, peak, course, s, n):
    """Store where the cell stands after the piece, y."""
    for i in range(piece.y.size):
        if can_grow(peak, lam[n, i]):
            exponent = exponent_of(piece.shift, piece.decay, i, float(piece.steps))
            value, depth = from_exponent(piece.x[i], exponent)
            put(course, s, n, i, value * piece.odd_sign[i] if piece.steps % 2 == 1 else value, depth)
        else:
            course.x[s, n, i] = piece.y[i]


@inline
def take_cell(piece, cells, rates, course, s, n):
    """Take one cell through a piece."""
    lam, peak = cells.scale[rates.unit[s]], rates.peak[s]
    set_decay(piece, lam, n)
    load_cell(piece, lam, peak, course, s, n)
    end = carried_divergence(piece.x, piece.shift, piece.decay, piece.steps)
    last = min(piece.steps, end - 1)
    pass_levels(piece, last, cells, course, s, n)
    if cells.row[n] >= 0:
        record_moments(piece, last, cells, rates, course, s, n)
    if end <= piece.steps:
        jump(piece, end)
        step, time = piece.before + end, piece.elapsed + piece.eta * end
        write_levels(course, s, n, piece.y, cells.threshold.shape[1], DIVERGED, step, time)
        course.decided[s, n] = ENDED
    else:
        jump(piece, piece.steps)
        store_cell(piece, lam, peak, course, s, n)


@cell
def take_constant_rate(piece, cells, rates, course, s, first, last):
    """Take the seeds first..last - 1 through a piece."""
    for n in range(first, last):
        if not is_done(cells, rates, course.decided, s, n, piece.before):
            take_cell(piece, cells, rates, course, s, n)
