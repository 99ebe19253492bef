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

Divergence. {k : q(k) <= limit} is an interval too, and holds 0, so the first integer outside is found by bisection.
"""

import math
from typing import NamedTuple

import numpy as np

from ..arrays import DIVERGED_SUM, ENDED
from ..intrinsics import fma
from ..jit import cell, inline
from ..pool import bar_of, is_done, next_moment
from ..status import DIVERGED, REACHED
from .recurrence import write_levels

MOST_ITERATIONS = 200
CLOSE_ENOUGH = 1e-3


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
    y: np.ndarray  # (d,) scratch


@cell
def set_decay(piece, scale, n):
    """Set decay and odd_sign for seed n; scale (N, d)."""
    for i in range(piece.x.size):
        lam = scale[n, i]
        if lam == piece.known[i]:
            continue
        factor = fma(-piece.eta, lam, 1.0)
        piece.decay[i] = -math.log(abs(factor)) if factor != 0.0 else np.inf
        piece.odd_sign[i] = -1.0 if factor < 0.0 else 1.0
        piece.known[i] = lam


@cell
def decayed(x, decay, k):
    """x exp(-decay k), without 0 times infinity."""
    if x == 0.0 or k == 0.0 or decay == 0.0:
        return x
    return x * math.exp(-decay * k)


@cell
def decayed_sums(x, decay, k):
    """q(k) and -q'(k) / 2 = sum_i decay_i x_i(k)^2."""
    total = 0.0
    slope = 0.0
    for i in range(x.size):
        y = decayed(x[i], decay[i], k)
        total = fma(y, y, total)
        if y != 0.0:
            slope = fma(decay[i] * y, y, slope)
    return total, slope


@cell
def newton_time(x, decay, threshold, start, last):
    """A real k at most a little below the left end of {q <= threshold}; beyond `last` where that comes later."""
    k = float(start)
    # What decays infinitely fast is gone after one step, and has no derivative before.
    for i in range(x.size):
        if decay[i] == np.inf and x[i] != 0.0 and start == 0:
            k = 1.0
    for _ in range(MOST_ITERATIONS):
        total, slope = decayed_sums(x, decay, k)
        if total <= threshold or k > last:
            return k
        if not slope > 0.0 or not total <= DIVERGED_SUM:
            return last + 1.0
        step = 0.5 * total / slope * (math.log(total) - math.log(threshold))
        k += step
        if step < CLOSE_ENOUGH:
            return k
    return k


@cell
def first_passage(x, decay, threshold, start, last):
    """The first integer k with start < k <= last and q(k) <= threshold, given q(start) > threshold; else last + 1."""
    if not threshold > 0.0:
        return last + 1
    real = newton_time(x, decay, threshold, start, last)
    if not real <= last:
        real = float(last)
    k = max(start + 1, math.ceil(real))
    while k - 1 > start and decayed_sums(x, decay, float(k - 1))[0] <= threshold:
        k -= 1
    while k <= last:
        total, slope = decayed_sums(x, decay, float(k))
        if total <= threshold:
            return k
        if not slope > 0.0:
            return last + 1
        k += 1
    return last + 1


@cell
def first_divergence(x, decay, last):
    """The first integer k with 0 < k <= last and not q(k) <= the limit, given q(0) at or below it; else last + 1."""
    if decayed_sums(x, decay, float(last))[0] <= DIVERGED_SUM:
        return last + 1
    inside, outside = 0, last
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if decayed_sums(x, decay, float(middle))[0] <= DIVERGED_SUM:
            inside = middle
        else:
            outside = middle
    return outside


@cell
def jump(piece, k):
    """y_i = f_i^k x_i."""
    for i in range(piece.x.size):
        y = decayed(piece.x[i], piece.decay[i], float(k))
        piece.y[i] = y * piece.odd_sign[i] if k % 2 == 1 else y


@cell
def pass_levels(piece, last, cells, course, s, n):
    """Write the levels that a cell passes at steps 1..last of a piece."""
    k = 0
    while course.decided[s, n] < cells.threshold.shape[1]:
        bar = bar_of(cells, course.decided, s, n)
        if k == 0 or decayed_sums(piece.x, piece.decay, float(k))[0] > bar:
            k = first_passage(piece.x, piece.decay, bar, k, last)
            if k > last:
                return
        jump(piece, k)
        level, time = course.decided[s, n] + 1, piece.elapsed + piece.eta * k
        write_levels(course, s, n, piece.y, level, REACHED, piece.before + k, time)
        course.decided[s, n] = level


@cell
def record_moments(piece, last, cells, rates, course, s, n):
    """Write the recorded moments of a cell that lie at steps 1..last of a piece."""
    slot, moment = next_moment(rates, s, 0, piece.before)
    while moment - piece.before <= last:
        jump(piece, moment - piece.before)
        for i in range(piece.y.size):
            course.record_x[s, cells.row[n], slot, i] = piece.y[i]
        slot, moment = next_moment(rates, s, slot + 1, piece.before)


@inline
def take_cell(piece, cells, rates, course, s, n):
    """Take one cell through a piece."""
    set_decay(piece, cells.scale[rates.unit[s]], n)
    for i in range(piece.x.size):
        piece.x[i] = course.x[s, n, i]
    end = first_divergence(piece.x, piece.decay, piece.steps)
    last = min(piece.steps, end - 1)
    pass_levels(piece, last, cells, course, s, n)
    if cells.row[n] >= 0:
        record_moments(piece, last, cells, rates, course, s, n)
    jump(piece, min(piece.steps, end))
    for i in range(piece.y.size):
        course.x[s, n, i] = piece.y[i]
    if end <= piece.steps:
        step, time = piece.before + end, piece.elapsed + piece.eta * end
        write_levels(course, s, n, piece.y, cells.threshold.shape[1], DIVERGED, step, time)
        course.decided[s, n] = ENDED


@cell
def take_constant_rate(piece, cells, rates, course, s, first, last):
    """Take the seeds first..last - 1 through a piece."""
    for n in range(first, last):
        if not is_done(cells, rates, course.decided, s, n, piece.before):
            take_cell(piece, cells, rates, course, s, n)
