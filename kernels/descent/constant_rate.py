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

import numpy as np

from ..arrays import DIVERGED, DIVERGED_SUM, GONE, REACHED
from ..intrinsics import fma
from ..jit import cell
from .recurrence import bar_of, next_moment, write_levels

MOST_ITERATIONS = 200
CLOSE_ENOUGH = 1e-3


@cell
def set_decay(scale, n, eta, known, decay, odd_sign):
    """decay_i = -log |f_i| and the sign of f_i for seed n's axes; `known` is the lam for which they stand already."""
    for i in range(decay.size):
        if scale[n, i] == known[i]:
            continue
        factor = fma(-eta, scale[n, i], 1.0)
        decay[i] = -math.log(abs(factor)) if factor != 0.0 else np.inf
        odd_sign[i] = -1.0 if factor < 0.0 else 1.0
        known[i] = scale[n, i]


@cell
def grown(x, decay, k):
    """x exp(-decay k), without 0 times infinity."""
    if x == 0.0 or k == 0.0 or decay == 0.0:
        return x
    return x * math.exp(-decay * k)


@cell
def leap_sums(x, decay, k):
    """q(k) and -q'(k) / 2 = sum_i decay_i x_i(k)^2."""
    total = 0.0
    slope = 0.0
    for i in range(x.size):
        y = grown(x[i], decay[i], k)
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
        total, slope = leap_sums(x, decay, k)
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
    while k - 1 > start and leap_sums(x, decay, float(k - 1))[0] <= threshold:
        k -= 1
    while k <= last:
        total, slope = leap_sums(x, decay, float(k))
        if total <= threshold:
            return k
        if not slope > 0.0:
            return last + 1
        k += 1
    return last + 1


@cell
def first_divergence(x, decay, last):
    """The first integer k with 0 < k <= last and not q(k) <= the limit, given q(0) at or below it; else last + 1."""
    if leap_sums(x, decay, float(last))[0] <= DIVERGED_SUM:
        return last + 1
    inside, outside = 0, last
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if leap_sums(x, decay, float(middle))[0] <= DIVERGED_SUM:
            inside = middle
        else:
            outside = middle
    return outside


@cell
def leap(x, decay, odd_sign, k, out):
    """out_i = f_i^k x_i."""
    for i in range(x.size):
        y = grown(x[i], decay[i], float(k))
        out[i] = y * odd_sign[i] if k % 2 == 1 else y


@cell
def pass_levels(
    x, y, decay, odd_sign, eta, last, before, elapsed, n, threshold, decided, status, stop_step, stop_time, stop_x
):
    """Write the levels that seed n passes at steps 1..last of a phase; y (d,) is scratch."""
    k = 0
    while decided[n] < threshold.shape[1]:
        bar = bar_of(n, threshold, decided)
        if k == 0 or leap_sums(x, decay, float(k))[0] > bar:
            k = first_passage(x, decay, bar, k, last)
            if k > last:
                return
        leap(x, decay, odd_sign, k, y)
        time = elapsed + eta * k
        write_levels(y, decided[n], decided[n] + 1, REACHED, before + k, time, n, status, stop_step, stop_time, stop_x)
        decided[n] += 1


@cell
def record_phase(x, y, decay, odd_sign, last, before, row, record_step, record_x):
    """Write the recorded moments that lie at steps 1..last of a phase."""
    slot, moment = next_moment(record_step, 0, before)
    while moment <= last:
        leap(x, decay, odd_sign, moment, y)
        for i in range(x.size):
            record_x[row, slot, i] = y[i]
        slot, moment = next_moment(record_step, slot + 1, before)


@cell
def leap_phase(
    x, y, decay, odd_sign, eta, steps, before, elapsed, n, row, record_step,
    threshold, decided, status, stop_step, stop_time, stop_x, record_x,
):  # fmt: skip
    """Take seed n, which stands at x, through `steps` steps at the rate eta; y (d,) is scratch."""
    end = first_divergence(x, decay, steps)
    last = min(steps, end - 1)
    pass_levels(
        x, y, decay, odd_sign, eta, last, before, elapsed, n, threshold, decided, status, stop_step, stop_time, stop_x
    )
    if row >= 0:
        record_phase(x, y, decay, odd_sign, last, before, row, record_step, record_x)
    leap(x, decay, odd_sign, min(steps, end), y)
    for i in range(x.size):
        x[i] = y[i]
    if end <= steps:
        write_levels(
            x, decided[n], threshold.shape[1], DIVERGED, before + end, elapsed + eta * end, n,
            status, stop_step, stop_time, stop_x,
        )  # fmt: skip
        decided[n] = GONE
