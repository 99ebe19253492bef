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
from typing import NamedTuple

import numpy as np

from ..arrays import DIVERGED_SUM, ENDED
from ..intrinsics import fma
from ..jit import cell, inline
from ..pool import NEVER, bar_of, is_done, next_moment
from .products import REACH, log_product, set_weights
from .recurrence import decide, square_sum
from .unrolled import EIGHT, load_eight, product_of_eight, sum_of_eight

SMALLEST_NORMAL = 2.0**-1022
# Between rows that are farther apart than this, a guess saves looking at rows; so many of Newton's steps make a good
# one.
FAR = 256
FLOW_ITERATIONS = 4


class Tabulated(NamedTuple):
    """A tabulated piece of one schedule, of J rows, and what a thread works with to take cells through it."""

    eta: np.ndarray  # (steps,)
    time: np.ndarray  # (J + 1,) sum of the piece's rates before each row
    coefficient: np.ndarray  # (J + 1, NODES)
    every: int  # steps from one row to the next
    cap: float  # the largest lam that the table is for
    before: int  # steps before the piece
    elapsed: float  # time before the piece, in the schedule's unit
    known: np.ndarray  # (d,) the lam for which the weights stand
    weight: np.ndarray  # (d, NODES)
    base: np.ndarray  # (d,) log of the product up to the row at which x stands
    x: np.ndarray  # (d,) where the cell stands
    y: np.ndarray  # (d,) scratch
    ahead: np.ndarray  # (d,) scratch


@cell
def step_singly(piece, x, first, last, time, cells, rates, course, s, n):
    """Take the steps first..last - 1 of a piece one by one and decide levels; return the time after them."""
    unit, bar = rates.unit[s], bar_of(cells, course.decided, s, n)
    for t in range(first, last):
        energy = 0.0
        for i in range(x.size):
            x[i] *= fma(-piece.eta[t], cells.scale[unit, n, i], 1.0)
            energy = fma(x[i], x[i], energy)
        time += piece.eta[t]
        if energy <= bar or not energy <= DIVERGED_SUM:
            decide(cells, course, s, n, x, energy, piece.before + t + 1, time)
            if course.decided[s, n] == ENDED:
                return time
            bar = bar_of(cells, course.decided, s, n)
    return time


@inline
def step_above(piece, scale, n, first, last, time, bar):
    """Take y EIGHT steps at a time from step `first` on, while sum_i y_i^2, which never grows, stays above the bar.

    Factors are multiplied among themselves first, since y would wait for each of them. Returns the step and the time
    reached.
    """
    eta, y, ahead = piece.eta, piece.y, piece.ahead
    while first + EIGHT <= last:
        e = load_eight(eta, first)
        energy = 0.0
        for i in range(y.size):
            ahead[i] = y[i] * product_of_eight(e, scale[n, i])
            energy = fma(ahead[i], ahead[i], energy)
        if energy <= bar:
            break
        for i in range(y.size):
            y[i] = ahead[i]
        time += sum_of_eight(e)
        first += EIGHT
    return first, time


@inline
def is_tabulated(piece, scale, n):
    """Whether seed n moves only along axes that the table is for; what has died out elsewhere is set to 0.

    Died out is what lies below the normal numbers and cannot grow again in this piece: max eta lam <= 2.
    """
    x = piece.x
    for i in range(x.size):
        if scale[n, i] > piece.cap and x[i] != 0.0:
            if abs(x[i]) >= SMALLEST_NORMAL or scale[n, i] * REACH > 2.0 * piece.cap:
                return False
            x[i] = 0.0
    return True


@cell
def record_moment(x, course, s, row, slot):
    """Write one recorded moment."""
    for i in range(x.size):
        course.record_x[s, row, slot, i] = x[i]


@inline
def step_to_table(piece, cells, rates, course, s, n):
    """Step a cell from the start of a piece to the first row at which it is_tabulated: (step, next slot)."""
    row, steps, scale = cells.row[n], piece.eta.size, cells.scale[rates.unit[s]]
    t, time = 0, piece.elapsed
    slot, moment = next_moment(rates, s, 0, piece.before) if row >= 0 else (0, NEVER)
    while t < steps and not (t % piece.every == 0 and is_tabulated(piece, scale, n)):
        end = min(t // piece.every * piece.every + piece.every, steps, moment - piece.before)
        time = step_singly(piece, piece.x, t, end, time, cells, rates, course, s, n)
        t = end
        if course.decided[s, n] == ENDED:
            break
        if t == moment - piece.before:
            record_moment(piece.x, course, s, row, slot)
            slot, moment = next_moment(rates, s, slot + 1, piece.before)
    return t, slot


@inline
def jump(piece, row):
    """y_i = x_i P(lam_i) from the row at which x stands to this one; returns sum_i y_i^2."""
    x, y = piece.x, piece.y
    energy = 0.0
    for i in range(x.size):
        y[i] = 0.0
        if x[i] != 0.0:
            y[i] = x[i] * math.exp(log_product(piece.coefficient, row, piece.weight, i) - piece.base[i])
        energy = fma(y[i], y[i], energy)
    return energy


@inline
def row_by_flow(piece, scale, n, start, first, last, bar):
    """About the row from `first` to `last` at which sum_i x_i^2, which stands at x in row `start`, falls to the bar.

    It is where a gradient flow would have fallen so far in the time of the steps: log(1 - eta lam) is -eta lam but for
    its square. Looking at a row of a long table waits for the memory, this does not.
    """
    tau = 0.0
    for _ in range(FLOW_ITERATIONS):
        total, slope = 0.0, 0.0
        for i in range(piece.x.size):
            y = piece.x[i] * math.exp(-scale[n, i] * tau)
            total = fma(y, y, total)
            slope = fma(scale[n, i] * y, y, slope)
        if not slope > 0.0:
            break
        tau += 0.5 * total / slope * math.log(total / bar)
    tau += piece.time[start]
    while last - first > 1:
        row = (first + last) // 2
        if piece.time[row] <= tau:
            first = row
        else:
            last = row
    return first


@inline
def last_row_above(piece, scale, n, start, first, last, bar, excess, shortfall):
    """The last row from `first` (above the bar) to `last` (not above it) with sum_i x_i^2 > bar; x is of row `start`.

    excess and shortfall are log(sum / bar) at both. Where there are many rows between, the first trial is the one that
    `row_by_flow` finds, the second beside it. Then the rows are narrowed by the false position of the Illinois method,
    log sum being almost straight in time, and by halving at every third trial, which bounds their number.
    """
    guess = row_by_flow(piece, scale, n, start, first, last, bar) if last - first > FAR else -1
    trials = 0
    while last - first > 1:
        trials += 1
        row = (first + last) // 2
        if guess >= 0 and trials <= 2:
            row = max(guess, first + 1) if trials == 1 else (first + 1 if first >= guess else last - 1)
        elif trials % 3 != 0 and shortfall > -np.inf:
            row = min(max(first + int((last - first) * (excess / (excess - shortfall))), first + 1), last - 1)
        above = math.log(jump(piece, row) / bar)
        if above > 0.0:
            first, excess, shortfall = row, above, 0.5 * shortfall
        else:
            last, shortfall, excess = row, above, 0.5 * excess
    return first


@inline
def step_from_row(piece, row, bar, cells, rates, course, s, n):
    """Step y from a row above the bar until it passes a level; whether it did before the end of the piece."""
    scale, steps, level = cells.scale[rates.unit[s]], piece.eta.size, course.decided[s, n]
    t, time = row * piece.every, piece.elapsed + piece.time[row]
    # One row is enough but for rounding at its end.
    while course.decided[s, n] == level and t < steps:
        end = min(t // piece.every * piece.every + piece.every, steps)
        t, time = step_above(piece, scale, n, t, end, time, bar)
        time = step_singly(piece, piece.y, t, end, time, cells, rates, course, s, n)
        t = end
    return course.decided[s, n] != level


@inline
def pass_levels(piece, first, cells, rates, course, s, n):
    """Decide the levels that a cell passes after row `first`, where it stands at x; whether y is left at the end."""
    scale, start, last = cells.scale[rates.unit[s]], first, piece.time.size - 1
    at_end = True
    highest, lowest = square_sum(piece.x), jump(piece, last)
    while course.decided[s, n] < cells.threshold.shape[1]:
        bar = bar_of(cells, course.decided, s, n)
        if not lowest <= bar:
            break
        at_end = False
        excess, shortfall = math.log(highest / bar), math.log(lowest / bar) if lowest > 0.0 else -np.inf
        first = last_row_above(piece, scale, n, start, first, last, bar, excess, shortfall)
        highest = jump(piece, first)
        if not step_from_row(piece, first, bar, cells, rates, course, s, n):
            break
    return at_end


@cell
def record_moments(piece, slot, cells, rates, course, s, n):
    """Write the recorded moments of a cell that are left in a piece, from `slot` on."""
    unit, y = rates.unit[s], piece.y
    slot, moment = next_moment(rates, s, slot, piece.before)
    while moment - piece.before <= piece.eta.size:
        end = moment - piece.before
        row = end // piece.every if end < piece.eta.size else piece.coefficient.shape[0] - 1
        jump(piece, row)
        for t in range(row * piece.every, end):
            for i in range(y.size):
                y[i] *= fma(-piece.eta[t], cells.scale[unit, n, i], 1.0)
        record_moment(y, course, s, cells.row[n], slot)
        slot, moment = next_moment(rates, s, slot + 1, piece.before)


@inline
def set_base(piece, row, scale, n):
    """Set weights and base for seed n, which stands at x in this row."""
    for i in range(piece.x.size):
        if scale[n, i] != piece.known[i] and piece.x[i] != 0.0:
            set_weights(scale[n, i], piece.cap, piece.weight[i])
            piece.known[i] = scale[n, i]
        # Row 0 is that of no steps.
        moved = row > 0 and piece.x[i] != 0.0
        piece.base[i] = log_product(piece.coefficient, row, piece.weight, i) if moved else 0.0


@inline
def take_cell(piece, cells, rates, course, s, n):
    """Take one cell through a piece."""
    x, y = piece.x, piece.y
    for i in range(x.size):
        x[i] = course.x[s, n, i]
    t, slot = step_to_table(piece, cells, rates, course, s, n)
    if t < piece.eta.size and course.decided[s, n] != ENDED:
        row = t // piece.every
        set_base(piece, row, cells.scale[rates.unit[s]], n)
        at_end = pass_levels(piece, row, cells, rates, course, s, n)
        if cells.row[n] >= 0:
            at_end = False
            record_moments(piece, slot, cells, rates, course, s, n)
        if not at_end:
            jump(piece, piece.time.size - 1)
        for i in range(x.size):
            x[i] = y[i]
    for i in range(x.size):
        course.x[s, n, i] = x[i]


@cell
def take_tabulated(piece, cells, rates, course, s, first, last):
    """Take the seeds first..last - 1 through a piece."""
    for n in range(first, last):
        if not is_done(cells, rates, course.decided, s, n, piece.before):
            take_cell(piece, cells, rates, course, s, n)
