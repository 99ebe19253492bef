"""Cells through a piece of varying learning rates by its table of products, stepping only where that is unsafe.

The table of `products` is for axes with lam <= cap, where every factor lies in [0.7, 1]. A cell that has moved along
other axes takes its steps one by one, level and limit checked at each, until at some row those axes died out: |x_i|
below the normal numbers, after at most two thousand steps of factors below 0.7 in size, and no rate of the piece beyond
2 / lam_i. From then on sum_i x_i^2 cannot grow, so the first row at which it is at or below a threshold is found by
bisection, and the exact step by stepping from the row before. Recorded moments are stepped to from the row before too.

What has died out stays 0. Steps taken one by one hold it at the smallest number, from which a later piece with rates
beyond 2 / lam_i may grow it again, by hundreds of powers of ten, into a divergence that exact arithmetic does not have.
"""

import math

import numpy as np

from ..arrays import DIVERGED_SUM, GONE
from ..intrinsics import fma
from ..jit import cell, inline
from .products import REACH, log_product, set_weights
from .recurrence import bar_of, decide, next_moment, square_sum

SMALLEST_NORMAL = 2.0**-1022
HOP = 8
# Between rows that are farther apart than this, a guess saves looks; so many of Newton's steps make a good one.
FAR = 256
FLOW_ITERATIONS = 4


@cell
def walk(x, scale, n, eta, first, last, time, before, threshold, decided, status, stop_step, stop_time, stop_x):
    """Take the steps first..last - 1 of a piece one by one and decide levels; return the time after them."""
    bar = bar_of(n, threshold, decided)
    for t in range(first, last):
        energy = 0.0
        for i in range(x.size):
            x[i] *= fma(-eta[t], scale[n, i], 1.0)
            energy = fma(x[i], x[i], energy)
        time += eta[t]
        if energy <= bar or not energy <= DIVERGED_SUM:
            decide(x, energy, before + t + 1, time, n, threshold, decided, status, stop_step, stop_time, stop_x)
            if decided[n] == GONE:
                return time
            bar = bar_of(n, threshold, decided)
    return time


@inline
def hop_above(x, scale, n, eta, first, last, time, bar, ahead):
    """Take HOP steps at a time from step `first` on, while sum_i x_i^2, which never grows, stays above the bar.

    Factors are multiplied among themselves first, since x would wait for each of them. `ahead` (d,) is scratch. Returns
    the step and the time reached.
    """
    while first + HOP <= last:
        e0, e1, e2, e3 = eta[first], eta[first + 1], eta[first + 2], eta[first + 3]
        e4, e5, e6, e7 = eta[first + 4], eta[first + 5], eta[first + 6], eta[first + 7]
        energy = 0.0
        for i in range(x.size):
            lam = scale[n, i]
            early = (fma(-e0, lam, 1.0) * fma(-e1, lam, 1.0)) * (fma(-e2, lam, 1.0) * fma(-e3, lam, 1.0))
            late = (fma(-e4, lam, 1.0) * fma(-e5, lam, 1.0)) * (fma(-e6, lam, 1.0) * fma(-e7, lam, 1.0))
            ahead[i] = x[i] * (early * late)
            energy = fma(ahead[i], ahead[i], energy)
        if energy <= bar:
            break
        for i in range(x.size):
            x[i] = ahead[i]
        time += ((e0 + e1) + (e2 + e3)) + ((e4 + e5) + (e6 + e7))
        first += HOP
    return first, time


@inline
def is_tabulated(x, scale, n, cap):
    """Whether seed n moves only along axes that the table is for; what has died out elsewhere is set to 0.

    Died out is what lies below the normal numbers and cannot grow again in this piece: max eta lam <= 2.
    """
    for i in range(x.size):
        if scale[n, i] > cap and x[i] != 0.0:
            if abs(x[i]) >= SMALLEST_NORMAL or scale[n, i] * REACH > 2.0 * cap:
                return False
            x[i] = 0.0
    return True


@cell
def keep_moment(x, row, slot, record_x):
    """Write one recorded moment."""
    for i in range(x.size):
        record_x[row, slot, i] = x[i]


@inline
def walk_to_table(
    x, scale, n, eta, every, cap, before, elapsed, row, record_step, slot,
    threshold, decided, status, stop_step, stop_time, stop_x, record_x,
):  # fmt: skip
    """Step seed n from the start of a piece to the first row at which it is_tabulated: (step, next slot)."""
    t = 0
    slot, moment = next_moment(record_step, slot, before)
    time = elapsed
    while t < eta.size and not (t % every == 0 and is_tabulated(x, scale, n, cap)):
        end = min(t // every * every + every, eta.size)
        end = min(end, moment) if row >= 0 else end
        time = walk(x, scale, n, eta, t, end, time, before, threshold, decided, status, stop_step, stop_time, stop_x)
        t = end
        if decided[n] == GONE:
            break
        if t == moment and row >= 0:
            keep_moment(x, row, slot, record_x)
            slot, moment = next_moment(record_step, slot + 1, before)
    return t, slot


@inline
def slide(x, base, coefficient, row, weight, y):
    """y_i = x_i P(lam_i) from the row of `base` to this one; returns sum_i y_i^2."""
    energy = 0.0
    for i in range(x.size):
        y[i] = 0.0
        if x[i] != 0.0:
            y[i] = x[i] * math.exp(log_product(coefficient, row, weight, i) - base[i])
        energy = fma(y[i], y[i], energy)
    return energy


@inline
def row_by_flow(x, scale, n, time, start, first, last, bar):
    """About the row from `first` to `last` at which sum_i x_i^2, which stands at x in row `start`, falls to the bar.

    It is where a gradient flow would have fallen so far in the time of the steps: log(1 - eta lam) is -eta lam but for
    its square. A look at a long table waits for the memory, this does not.
    """
    tau = 0.0
    for _ in range(FLOW_ITERATIONS):
        total, slope = 0.0, 0.0
        for i in range(x.size):
            y = x[i] * math.exp(-scale[n, i] * tau)
            total = fma(y, y, total)
            slope = fma(scale[n, i] * y, y, slope)
        if not slope > 0.0:
            break
        tau += 0.5 * total / slope * math.log(total / bar)
    tau += time[start]
    while last - first > 1:
        row = (first + last) // 2
        if time[row] <= tau:
            first = row
        else:
            last = row
    return first


@inline
def last_row_above(x, scale, n, base, coefficient, time, start, first, last, weight, y, bar, excess, shortfall):
    """The last row from `first` (above the bar) to `last` (not above it) with sum_i x_i^2 > bar; x is of row `start`.

    excess and shortfall are log(sum / bar) at both. Where there are many rows between, the first look is at the one
    that `row_by_flow` finds, the second beside it. Then the rows are narrowed by the false position of the Illinois
    method, log sum being almost straight in time, and by halving at every third look, which bounds their number.
    """
    guess = row_by_flow(x, scale, n, time, start, first, last, bar) if last - first > FAR else -1
    looks = 0
    while last - first > 1:
        looks += 1
        row = (first + last) // 2
        if guess >= 0 and looks <= 2:
            row = max(guess, first + 1) if looks == 1 else (first + 1 if first >= guess else last - 1)
        elif looks % 3 != 0 and shortfall > -np.inf:
            row = min(max(first + int((last - first) * (excess / (excess - shortfall))), first + 1), last - 1)
        above = math.log(slide(x, base, coefficient, row, weight, y) / bar)
        if above > 0.0:
            first, excess, shortfall = row, above, 0.5 * shortfall
        else:
            last, shortfall, excess = row, above, 0.5 * excess
    return first


@inline
def pass_tabulated(
    x, y, ahead, scale, n, base, weight, eta, time, coefficient, every, first, before, elapsed,
    threshold, decided, status, stop_step, stop_time, stop_x,
):  # fmt: skip
    """Decide the levels that seed n passes after row `first`, where it stands at x; whether y is left at the end."""
    start, last = first, time.size - 1
    at_end = True
    highest = square_sum(x)
    lowest = slide(x, base, coefficient, last, weight, y)
    while decided[n] < threshold.shape[1]:
        bar = bar_of(n, threshold, decided)
        if not lowest <= bar:
            break
        at_end = False
        excess, shortfall = math.log(highest / bar), math.log(lowest / bar) if lowest > 0.0 else -np.inf
        first = last_row_above(
            x, scale, n, base, coefficient, time, start, first, last, weight, y, bar, excess, shortfall
        )
        highest = slide(x, base, coefficient, first, weight, y)
        t, level = first * every, decided[n]
        moment = elapsed + time[first]
        # One row is enough but for rounding at its end.
        while decided[n] == level and t < eta.size:
            end = min(t // every * every + every, eta.size)
            t, moment = hop_above(y, scale, n, eta, t, end, moment, bar, ahead)
            moment = walk(
                y, scale, n, eta, t, end, moment, before, threshold, decided, status, stop_step, stop_time, stop_x
            )
            t = end
        if decided[n] == level:
            break
    return at_end


@cell
def record_tabulated(x, y, scale, n, base, weight, eta, coefficient, every, before, row, record_step, slot, record_x):
    """Write the recorded moments that are left in a piece."""
    slot, moment = next_moment(record_step, slot, before)
    while moment <= eta.size:
        j = moment // every if moment < eta.size else coefficient.shape[0] - 1
        slide(x, base, coefficient, j, weight, y)
        for t in range(j * every, moment):
            for i in range(y.size):
                y[i] *= fma(-eta[t], scale[n, i], 1.0)
        keep_moment(y, row, slot, record_x)
        slot, moment = next_moment(record_step, slot + 1, before)


@inline
def glide_phase(
    x, y, ahead, known, weight, base, scale, n, eta, time, coefficient, every, cap, before, elapsed, row, record_step,
    threshold, decided, status, stop_step, stop_time, stop_x, record_x,
):  # fmt: skip
    """Take seed n, which stands at x, through a tabulated piece; `known` is the lam for which weights stand already."""
    t, slot = walk_to_table(
        x, scale, n, eta, every, cap, before, elapsed, row, record_step, 0,
        threshold, decided, status, stop_step, stop_time, stop_x, record_x,
    )  # fmt: skip
    if t >= eta.size or decided[n] == GONE:
        return
    first = t // every
    for i in range(x.size):
        if scale[n, i] != known[i] and x[i] != 0.0:
            set_weights(scale[n, i], cap, weight[i])
            known[i] = scale[n, i]
        # Row 0 is that of no steps.
        base[i] = log_product(coefficient, first, weight, i) if first > 0 and x[i] != 0.0 else 0.0
    at_end = pass_tabulated(
        x, y, ahead, scale, n, base, weight, eta, time, coefficient, every, first, before, elapsed,
        threshold, decided, status, stop_step, stop_time, stop_x,
    )  # fmt: skip
    if row >= 0:
        at_end = False
        record_tabulated(
            x, y, scale, n, base, weight, eta, coefficient, every, before, row, record_step, slot, record_x
        )
    if not at_end:
        slide(x, base, coefficient, time.size - 1, weight, y)
    for i in range(x.size):
        x[i] = y[i]
