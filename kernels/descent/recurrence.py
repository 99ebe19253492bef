"""Gradient descent on diagonal quadratics over (schedule x seed), to the first passage of each train-loss level.

With x = sqrt(lam) r, step t of a cell is

    x_i <- f_i x_i,    f_i = 1 - eta_t lam_i (one rounding),    2 (train loss - floor) = sum_i x_i^2.

The cells of a pool lie side by side in SIMD lanes, axis by axis, in level-1 cache, and take SPAN steps per look at
their losses. Where every rate of the span is at most 2 / (largest lam of the pool), |f_i| <= 1 and, rounding being
monotone, sum_i x_i^2 never grows: a cell that is above its level after the span was above it at every step, and none
can have diverged. Elsewhere the span is one step. A cell for which something has happened is stepped through that span
once more by itself (`replay`), which finds the exact step and writes what is to be written; so the wide loops hold no
bookkeeping, and the bits do not depend on which cells share a pool. A cell with nothing left to do leaves the pool, and
the last one takes its place.

Where a schedule has rates beyond 2 / lam, `settle_lanes` looks for axes that float64 has lost once a chunk, and before
such rates could have grown anything by 2^300, and takes them anew through the steps since the last look (`carried`).
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..arrays import DIVERGED_SUM, ENDED
from ..intrinsics import fma
from ..jit import cell, inline, sweep, worker
from ..landing import fraction_taken, land
from ..pool import LANES, NEVER, bar_of, is_done, lanes_within, levels_passed, next_moment, raise_alarms, whole_lanes
from ..status import REACHED
from ..tasks import NONE_LEFT, claim_cells
from .carried import MOST_GROWTH, SUSPECT, can_grow, plain, put, take_axis, where_it_stands
from .unrolled import EIGHT, load_eight, step_eight

SPAN = EIGHT
LEVEL_1_BYTES = 24 * 1024
LARGEST_POOL = 512
# Fewer lanes than this cannot hide the latency of their multiplications.
FEWEST_LANES = 64
TASKS_A_THREAD = 4


class Pool(NamedTuple):
    """What the lanes hold beside x, for seeds of one schedule."""

    scale: np.ndarray  # (d, stride) what a rate is multiplied with
    energy: np.ndarray  # (width,) sum_i x_i^2
    bar: np.ndarray  # (width,)
    alarm: np.ndarray  # (width,) uint8
    words: np.ndarray  # (width / LANES,) int64, the same bytes
    seed: np.ndarray  # (width,)
    x: np.ndarray  # (d,) scratch
    before: np.ndarray  # (d,) scratch


@cell
def fair_width(cells, workers):
    """Lanes that leave every thread some tasks to take, so that none waits long for the last: a multiple of LANES."""
    return max(FEWEST_LANES, cells // (TASKS_A_THREAD * workers * LANES) * LANES)


@inline
def step_lanes(scale, now, after, filled, eta, t):
    """One step of all lanes: x_i <- f_i x_i. Arrays (d, width)."""
    rate = -eta[t]
    for i in range(scale.shape[0]):
        for lane in range(filled):
            after[i, lane] = now[i, lane] * fma(rate, scale[i, lane], 1.0)


@inline
def span_lanes(scale, now, after, filled, eta, t):
    """SPAN steps of all lanes, with one load and one store a coordinate."""
    e = load_eight(eta, t)
    for i in range(scale.shape[0]):
        for lane in range(filled):
            after[i, lane] = step_eight(e, scale[i, lane], now[i, lane])


@inline
def square_sums(lanes, energy, filled):
    """energy = sum_i x_i^2 of every lane."""
    for lane in range(filled):
        energy[lane] = lanes[0, lane] * lanes[0, lane]
    for i in range(1, lanes.shape[0]):
        for lane in range(filled):
            energy[lane] = fma(lanes[i, lane], lanes[i, lane], energy[lane])


@inline
def square_sum(x):
    """sum_i x_i^2, in the order and rounding of square_sums."""
    total = 0.0
    for i in range(x.size):
        total = fma(x[i], x[i], total)
    return total


@inline
def write_levels(course, s, n, x, last_level, outcome, step, time):
    """Write the same outcome, where the cell is at x, for its undecided levels up to last_level - 1."""
    for level in range(course.decided[s, n], last_level):
        course.status[s, n, level] = outcome
        course.stop_step[s, n, level] = step
        course.stop_time[s, n, level] = time
        if outcome == REACHED and course.stop_fraction.shape[2] > 0:
            course.stop_fraction[s, n, level] = 1.0
        for i in range(x.size):
            course.stop_x[s, n, level, i] = x[i]


@inline
def decide(cells, course, s, n, x, energy, step, time):
    """Write the levels that a cell has passed with this x; where it has diverged, all that are left."""
    last, outcome = levels_passed(cells, course.decided, s, n, energy)
    write_levels(course, s, n, x, last, outcome, step, time)
    course.decided[s, n] = last if energy <= DIVERGED_SUM else ENDED


@cell
def land_levels(cells, course, s, n, first, x, before, eta):
    """Shorten the step from `before`, which is overwritten, to x at this rate, for the levels from `first` on that a
    cell has met with it, where it is to land on them."""
    if course.stop_fraction.shape[2] == 0:
        return
    for i in range(x.size):
        before[i] -= x[i]
    for level in range(first, cells.threshold.shape[1]):
        if course.status[s, n, level] != REACHED:
            break
        share = land(x, before, x[:0], cells.threshold[n, level], course.stop_x[s, n, level])
        course.stop_fraction[s, n, level] = fraction_taken(share)
        course.stop_time[s, n, level] -= share * eta


@inline
def replay(pool, now, after, lane, cells, rates, course, s, first_step, t, span):
    """Step one lane through the span by itself, deciding levels at their exact steps; return its next bar.

    `now` are the lanes before the span, `after` those after it, where it is a single step.
    """
    x, before, n = pool.x, pool.before, pool.seed[lane]
    bar = bar_of(cells, course.decided, s, n)
    for i in range(x.size):
        x[i] = after[i, lane] if span == 1 else now[i, lane]
        before[i] = now[i, lane]
    k, end = t, t + span
    while k < end:
        energy = 0.0
        # One loop, which adds in order and so stays scalar: vector code would not pay for a handful of axes.
        for i in range(x.size):
            if span > 1:
                before[i] = x[i]
                x[i] *= fma(-rates.eta[s, k], pool.scale[i, lane], 1.0)
            energy = fma(x[i], x[i], energy)
        k += 1
        if energy <= bar or not energy <= DIVERGED_SUM:
            first = course.decided[s, n]
            decide(cells, course, s, n, x, energy, first_step + k, rates.time[s, k])
            land_levels(cells, course, s, n, first, x, before, rates.eta[s, k - 1])
            bar = bar_of(cells, course.decided, s, n)
            end = k if course.decided[s, n] >= cells.threshold.shape[1] else end
    return bar


@inline
def leave_pool(pool, lanes, course, s, lane, count):
    """Store the x of the cell in `lane` and give its lane to the last cell; return how many cells are left."""
    n = pool.seed[lane]
    last = count - 1
    pool.seed[lane] = pool.seed[last]
    pool.bar[lane] = pool.bar[last]
    pool.bar[last] = -1.0
    pool.alarm[lane] = pool.alarm[last]
    for i in range(pool.scale.shape[0]):
        course.x[s, n, i] = lanes[i, lane]
        pool.scale[i, lane] = pool.scale[i, last]
        lanes[i, lane] = lanes[i, last]
        lanes[i, last] = 0.0
    return last


@inline
def answer_alarms(pool, now, after, count, cells, rates, course, s, first_step, t, span, stays):
    """Replay the lanes in which something happened; return how many cells are left. `stays`: only ENDED may leave.

    Backwards, so that the cell which takes a freed lane has been answered already.
    """
    step = first_step + t + span
    for word in range((count - 1) // LANES, -1, -1):
        if pool.words[word] == 0:
            continue
        for lane in range(min(count, word * LANES + LANES) - 1, word * LANES - 1, -1):
            if pool.alarm[lane]:
                n = pool.seed[lane]
                pool.bar[lane] = replay(pool, now, after, lane, cells, rates, course, s, first_step, t, span)
                ended = course.decided[s, n] == ENDED
                if ended or (not stays and is_done(cells, rates, course.decided, s, n, step)):
                    count = leave_pool(pool, after, course, s, lane, count)
    return count


@inline
def record_lanes(pool, lanes, count, cells, rates, course, s, step, slot):
    """Record this moment of the seeds whose trajectory is kept; return how many cells have more to do."""
    for lane in range(count - 1, -1, -1):
        n = pool.seed[lane]
        if cells.row[n] >= 0:
            for i in range(pool.scale.shape[0]):
                course.record_x[s, cells.row[n], slot, i] = lanes[i, lane]
        if is_done(cells, rates, course.decided, s, n, step):
            count = leave_pool(pool, lanes, course, s, lane, count)
    return count


@cell
def load_cells(pool, lanes, cells, rates, course, s, first, last, first_step):
    """Fill a pool with the seeds that have steps to take: how many, the largest scale, whether one is recorded."""
    unit = rates.unit[s]
    count, steepest, kept = 0, 0.0, False
    for n in range(first, last):
        if is_done(cells, rates, course.decided, s, n, first_step):
            continue
        for i in range(pool.scale.shape[0]):
            pool.scale[i, count] = cells.scale[unit, n, i]
            lanes[i, count] = course.x[s, n, i]
            steepest = max(steepest, pool.scale[i, count])
        pool.seed[count] = n
        pool.bar[count] = bar_of(cells, course.decided, s, n)
        kept |= cells.row[n] >= 0
        count += 1
    return count, steepest, kept


@cell
def stable_until(eta, t, end, steepest):
    """The first step from t on at which some |1 - eta lam| may exceed 1."""
    while t < end and fma(-eta[t], steepest, 1.0) >= -1.0:
        t += 1
    return t


@cell
def settle_lanes(pool, lanes, count, rates, course, s, first, last):
    """Store where the cells stand after `last` steps of the chunk, having been stored after `first`.

    An axis that may have been lost meanwhile is taken through the steps between anew, and put right in its lane.
    """
    for lane in range(count):
        n = pool.seed[lane]
        for i in range(pool.scale.shape[0]):
            lam = pool.scale[i, lane]
            if not can_grow(rates.peak[s], lam):
                course.x[s, n, i] = lanes[i, lane]
                continue
            value, depth = where_it_stands(course, s, n, i)
            if depth == 0 and SUSPECT <= abs(lanes[i, lane]) < np.inf:
                value = lanes[i, lane]
            else:
                value, depth = take_axis(value, depth, rates.eta[s], first, last, lam)
                lanes[i, lane] = plain(value, depth)
            put(course, s, n, i, value, depth)


@cell
def step_pool(pool, now, after, cells, rates, course, s, first, last, first_step):
    """Take one chunk of steps of one schedule with the seeds first..last - 1; now, after (d, stride) are zero."""
    count, steepest, kept = load_cells(pool, now, cells, rates, course, s, first, last, first_step)
    eta, end = rates.eta[s], min(rates.length[s] - first_step, rates.eta.shape[1])
    slot, moment = next_moment(rates, s, 0, first_step) if kept else (0, NEVER)
    stable = t = settled = 0
    growing, growth = can_grow(rates.peak[s], steepest), 1.0
    while t < end and count > 0:
        filled = whole_lanes(count)
        if t >= stable:
            stable = stable_until(eta, t, end, steepest)
        span = SPAN if t + SPAN <= min(stable, moment - first_step) else 1
        if span == SPAN:
            span_lanes(pool.scale, now, after, filled, eta, t)
        else:
            if growing and t >= stable:
                factor = abs(fma(-eta[t], steepest, 1.0))
                growth *= factor
                if growth > MOST_GROWTH:
                    settle_lanes(pool, now, count, rates, course, s, settled, t)
                    growth, settled = factor, t
            step_lanes(pool.scale, now, after, filled, eta, t)
            if growth > MOST_GROWTH:
                settle_lanes(pool, after, count, rates, course, s, settled, t + 1)
                growth, settled = 1.0, t + 1
        square_sums(after, pool.energy, filled)
        step = first_step + t + span
        if raise_alarms(pool.energy, pool.bar, pool.alarm, filled):
            count = answer_alarms(pool, now, after, count, cells, rates, course, s, first_step, t, span, step == moment)
        t += span
        if step == moment:
            count = record_lanes(pool, after, count, cells, rates, course, s, step, slot)
            slot, moment = next_moment(rates, s, slot + 1, step)
        now, after = after, now
    if growing:
        settle_lanes(pool, now, count, rates, course, s, settled, t)
        return
    for lane in range(count):
        for i in range(now.shape[0]):
            course.x[s, pool.seed[lane], i] = now[i, lane]


@worker
def descend_pool(cells, rates, course, s, first, last, first_step):
    """Take one chunk of steps of one schedule with the seeds first..last - 1."""
    dimension, width = cells.scale.shape[2], whole_lanes(last - first)
    # Rows a power of two apart would all lie in the same few sets of the level-1 cache.
    shape = dimension, width + LANES
    alarm = np.zeros(width, np.uint8)
    pool = Pool(
        np.zeros(shape), np.zeros(width), np.full(width, -1.0),
        alarm, alarm.view(np.int64), np.zeros(width, np.int64), np.zeros(dimension),
        np.zeros(dimension),
    )  # fmt: skip
    step_pool(pool, np.zeros(shape), np.zeros(shape), cells, rates, course, s, first, last, first_step)


@cell
def start_cells(cells, course, s, first, last, x):
    """Step 0: runs beyond the limit, levels met at the start, the first recorded moment; x (d,) is scratch."""
    for n in range(first, last):
        for i in range(x.size):
            x[i] = course.x[s, n, i]
        decide(cells, course, s, n, x, square_sum(x), 0, 0.0)
        if cells.row[n] >= 0 and course.record_x.shape[2] > 0:
            for i in range(x.size):
                course.record_x[s, cells.row[n], 0, i] = x[i]


@worker
def descend_worker(cells, rates, course, first_step, tasks, workers):
    """Claim tasks, a pool of seeds with one schedule each, until none is left or a stop is asked for."""
    schedules, seeds, dimension = course.x.shape
    width = min(lanes_within(LEVEL_1_BYTES, 24 * dimension, LARGEST_POOL), fair_width(schedules * seeds, workers))
    x = np.zeros(dimension)
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, schedules, seeds, width)
        if s == NONE_LEFT:
            return
        if first_step == 0:
            start_cells(cells, course, s, first, last, x)
        descend_pool(cells, rates, course, s, first, last, first_step)


@sweep
def descend_sweep(cells, rates, course, first_step, tasks, workers):
    """Take one chunk of steps with every cell: x_i <- (1 - eta_t lam_i) x_i until its levels are passed.

    Parameters: `Cells`, `Rates`, `Course` of `arrays`; first_step, the number of steps before this chunk; tasks (2,)
    int64, the next task (0 at launch) and a flag that another thread sets to stop early; workers, the number of
    threads. Updates `Course`; a level that is still to be decided keeps status 0.
    """
    for _ in prange(workers):
        descend_worker(cells, rates, course, first_step, tasks, workers)
