"""Cells through a piece of varying learning rates by its table of products, stepping only where that is unsafe.

The table of `products` is for axes with lam <= cap, where every factor lies in [0.7, 1]. A cell that has moved along
other axes takes its steps one by one, level and limit checked at each, until at some row those axes died out: |x_i|
below the normal numbers, after at most two thousand steps of factors below 0.7 in size, and no rate of the piece beyond
2 / lam_i. From then on sum_i x_i^2 cannot grow, so the first row at which it is at or below a threshold is found by
bisection, and the exact step by stepping from the row before. Recorded moments are stepped to from the row before too.

What has died out counts as 0 in the sums. Where a later piece may grow it again it is carried (`carried`): those axes
take the steps of the piece one by one, without a look at any level.
"""

import math
from typing import NamedTuple

import numpy as np

from ..arrays import DIVERGED_SUM, ENDED
from ..intrinsics import fma
from ..jit import cell, inline
from ..pool import NEVER, bar_of, is_done, next_moment
from .carried import (
    DEEP,
    LOG_STEP,
    SMALLEST_NORMAL,
    can_grow,
    from_exponent,
    grown,
    log_ratio,
    plain,
    put,
    stepped,
    take_axis,
    where_it_stands,
)  # fmt: skip
from .products import REACH, log_product, set_weights
from .recurrence import decide, land_levels, square_sum
from .unrolled import EIGHT, load_eight, product_of_eight, sum_of_eight

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
    peak: float  # the largest rate of the whole schedule
    known: np.ndarray  # (d,) the lam for which the weights stand
    weight: np.ndarray  # (d, NODES)
    base: np.ndarray  # (d,) log of the product up to the row at which x stands
    x: np.ndarray  # (d,) where the cell stands
    depth: np.ndarray  # (d,) above 0 where an axis is carried: it is value 2^(-600 depth)
    value: np.ndarray  # (d,)
    y: np.ndarray  # (d,) scratch
    ahead: np.ndarray  # (d,) scratch
    previous: np.ndarray  # (d,) scratch


@inline
def carry_step(piece, i, x, y, eta, lam):
    """Axis i, at x, after one step, which is y where nothing has to be carried."""
    if not can_grow(piece.peak, lam):
        return y
    value, depth = stepped(piece.value[i] if piece.depth[i] > 0 else x, piece.depth[i], eta, lam)
    piece.value[i], piece.depth[i] = value, depth
    return plain(value, depth)


@cell
def step_singly(piece, x, first, last, time, carries, cells, rates, course, s, n):
    """Take the steps first..last - 1 of a piece one by one and decide levels; return the time after them.

    carries: axes that get too small are carried on; else x only shrinks.
    """
    unit, bar = rates.unit[s], bar_of(cells, course.decided, s, n)
    for t in range(first, last):
        energy = 0.0
        for i in range(x.size):
            lam = cells.scale[unit, n, i]
            y = x[i] * fma(-piece.eta[t], lam, 1.0)
            if carries and (piece.depth[i] > 0 or not DEEP <= abs(y) < np.inf):
                y = carry_step(piece, i, x[i], y, piece.eta[t], lam)
            piece.previous[i] = x[i]
            x[i] = y
            energy = fma(y, y, energy)
        time += piece.eta[t]
        if energy <= bar or not energy <= DIVERGED_SUM:
            level = course.decided[s, n]
            decide(cells, course, s, n, x, energy, piece.before + t + 1, time)
            land_levels(cells, course, s, n, level, x, piece.previous, piece.eta[t])
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
        if scale[n, i] > piece.cap and (x[i] != 0.0 or piece.depth[i] > 0):
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
        time = step_singly(piece, piece.x, t, end, time, True, cells, rates, course, s, n)
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
            y[i] = grown(x[i], log_product(piece.coefficient, row, piece.weight, i) - piece.base[i])
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
        tau += 0.5 * total / slope * log_ratio(total, bar)
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
        above = log_ratio(jump(piece, row), bar)
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
        time = step_singly(piece, piece.y, t, end, time, False, cells, rates, course, s, n)
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
        excess, shortfall = log_ratio(highest, bar), log_ratio(lowest, bar)
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
        moving = piece.x[i] != 0.0 or (piece.depth[i] > 0 and scale[n, i] <= piece.cap)
        if scale[n, i] != piece.known[i] and moving:
            set_weights(scale[n, i], piece.cap, piece.weight[i])
            piece.known[i] = scale[n, i]
        # Row 0 is that of no steps.
        moved = row > 0 and moving
        piece.base[i] = log_product(piece.coefficient, row, piece.weight, i) if moved else 0.0


@inline
def load_cell(piece, lam, course, s, n):
    """Set x, depth and value to where a cell of curvatures lam (N, d) stands."""
    for i in range(piece.x.size):
        piece.x[i], piece.depth[i] = course.x[s, n, i], 0
        if can_grow(piece.peak, lam[n, i]):
            piece.value[i], piece.depth[i] = where_it_stands(course, s, n, i)


@inline
def store_stepped(piece, lam, course, s, n):
    """Store where a cell stands that has taken all steps of the piece one by one, x."""
    for i in range(piece.x.size):
        if can_grow(piece.peak, lam[n, i]):
            put(course, s, n, i, piece.value[i] if piece.depth[i] > 0 else piece.x[i], piece.depth[i])
        else:
            course.x[s, n, i] = piece.x[i]


@inline
def store_tabulated(piece, t, lam, course, s, n):
    """Store where a cell stands at the end of the piece, y; from step t on it went by the table."""
    last = piece.time.size - 1
    for i in range(piece.y.size):
        if not can_grow(piece.peak, lam[n, i]):
            course.x[s, n, i] = piece.y[i]
            continue
        depth = piece.depth[i]
        value = piece.value[i] if depth > 0 else piece.x[i]
        if lam[n, i] > piece.cap:
            value, depth = take_axis(value, depth, piece.eta, t, piece.eta.size, lam[n, i])
        elif value != 0.0:
            exponent = log_product(piece.coefficient, last, piece.weight, i) - piece.base[i]
            value, depth = from_exponent(value, exponent - LOG_STEP * depth)
        put(course, s, n, i, value, depth)


@inline
def take_cell(piece, cells, rates, course, s, n):
    """Take one cell through a piece."""
    lam, y = cells.scale[rates.unit[s]], piece.y
    load_cell(piece, lam, course, s, n)
    t, slot = step_to_table(piece, cells, rates, course, s, n)
    if t == piece.eta.size or course.decided[s, n] == ENDED:
        store_stepped(piece, lam, course, s, n)
        return
    row = t // piece.every
    set_base(piece, row, lam, n)
    at_end = pass_levels(piece, row, cells, rates, course, s, n)
    if cells.row[n] >= 0:
        at_end = False
        record_moments(piece, slot, cells, rates, course, s, n)
    if not at_end:
        jump(piece, piece.time.size - 1)
    if is_done(cells, rates, course.decided, s, n, piece.before + piece.eta.size):
        for i in range(y.size):
            course.x[s, n, i] = y[i]
    else:
        store_tabulated(piece, t, lam, course, s, n)


@cell
def take_tabulated(piece, cells, rates, course, s, first, last):
    """Take the seeds first..last - 1 through a piece."""
    for n in range(first, last):
        if not is_done(cells, rates, course.decided, s, n, piece.before):
            take_cell(piece, cells, rates, course, s, n)
