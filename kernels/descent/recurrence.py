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
"""

import numpy as np
from numba import prange

from ..arrays import DIVERGED, DIVERGED_SUM, GONE, REACHED
from ..intrinsics import fma
from ..jit import cell, inline, sweep, worker
from ..tasks import NONE_LEFT, claim_cells

SPAN = 8
LANES = 8
LEVEL_1_BYTES = 24 * 1024
LARGEST_POOL = 512
# Fewer lanes than this cannot hide the latency of their multiplications.
FEWEST_LANES = 64
TASKS_A_THREAD = 4
NEVER = (1 << 63) - 1


@cell
def pool_width(axes):
    """Lanes whose three arrays stay in level-1 cache: a multiple of LANES."""
    width = LEVEL_1_BYTES // (24 * axes) // LANES * LANES
    return max(LANES, min(LARGEST_POOL, width))


@cell
def fair_width(cells, workers):
    """Lanes that leave every thread some tasks to take, so that none waits long for the last: a multiple of LANES."""
    return max(FEWEST_LANES, cells // (TASKS_A_THREAD * workers * LANES) * LANES)


@cell
def step_lanes(scale, now, after, filled, eta, t):
    """One step of all lanes: x_i <- f_i x_i. Arrays (d, width)."""
    rate = -eta[t]
    for i in range(scale.shape[0]):
        for lane in range(filled):
            after[i, lane] = now[i, lane] * fma(rate, scale[i, lane], 1.0)


@cell
def span_lanes(scale, now, after, filled, eta, t):
    """SPAN = 8 steps of all lanes, with one load and one store a coordinate."""
    e0, e1, e2, e3 = -eta[t], -eta[t + 1], -eta[t + 2], -eta[t + 3]
    e4, e5, e6, e7 = -eta[t + 4], -eta[t + 5], -eta[t + 6], -eta[t + 7]
    for i in range(scale.shape[0]):
        for lane in range(filled):
            lam = scale[i, lane]
            x = now[i, lane]
            x *= fma(e0, lam, 1.0)
            x *= fma(e1, lam, 1.0)
            x *= fma(e2, lam, 1.0)
            x *= fma(e3, lam, 1.0)
            x *= fma(e4, lam, 1.0)
            x *= fma(e5, lam, 1.0)
            x *= fma(e6, lam, 1.0)
            x *= fma(e7, lam, 1.0)
            after[i, lane] = x


@cell
def weigh_lanes(lanes, energy, bar, alarm, filled):
    """energy = sum_i x_i^2 of every lane; alarm where it is at or below the bar, or beyond the limit (NaN included)."""
    for lane in range(filled):
        energy[lane] = lanes[0, lane] * lanes[0, lane]
    for i in range(1, lanes.shape[0]):
        for lane in range(filled):
            energy[lane] = fma(lanes[i, lane], lanes[i, lane], energy[lane])
    alarms = 0
    for lane in range(filled):
        alarmed = (energy[lane] <= bar[lane]) | (not energy[lane] <= DIVERGED_SUM)
        alarm[lane] = alarmed
        alarms += alarmed
    return alarms > 0


@cell
def square_sum(x):
    """sum_i x_i^2, in the order and rounding of weigh_lanes."""
    total = 0.0
    for i in range(x.size):
        total = fma(x[i], x[i], total)
    return total


@inline
def write_levels(x, first_level, last_level, outcome, step, time, n, status, stop_step, stop_time, stop_x):
    """Write the same outcome for some levels of seed n."""
    for level in range(first_level, last_level):
        status[n, level] = outcome
        stop_step[n, level] = step
        stop_time[n, level] = time
        for i in range(x.size):
            stop_x[n, level, i] = x[i]


@inline
def decide(x, energy, step, time, n, threshold, decided, status, stop_step, stop_time, stop_x):
    """Write the levels that seed n has passed with this x; where it has diverged, all that are left."""
    diverged = not energy <= DIVERGED_SUM
    first = last = decided[n]
    while last < threshold.shape[1] and (diverged or energy <= threshold[n, last]):
        last += 1
    outcome = DIVERGED if diverged else REACHED
    write_levels(x, first, last, outcome, step, time, n, status, stop_step, stop_time, stop_x)
    decided[n] = GONE if diverged else last


@inline
def bar_of(n, threshold, decided):
    """What the energy of seed n must fall to next; -1, which it never does, after its last level."""
    return threshold[n, decided[n]] if decided[n] < threshold.shape[1] else -1.0


@inline
def is_done(n, step, threshold, decided, row, last_record):
    """Whether neither a level nor a recorded moment of seed n needs another step."""
    if decided[n] < threshold.shape[1]:
        return False
    return decided[n] == GONE or row[n] < 0 or step >= last_record


@inline
def replay(
    scale, now, lane, x, eta, time, t, span, first_step, n, threshold, decided, status, stop_step, stop_time, stop_x
):
    """Step one lane through the span by itself, deciding levels at their exact steps; return its next bar."""
    bar = bar_of(n, threshold, decided)
    for i in range(x.size):
        x[i] = now[i, lane]
    k, end = t, t + span
    while k < end:
        energy = 0.0
        # One loop, which adds in order and so stays scalar: vector code would not pay for a handful of axes.
        for i in range(x.size):
            x[i] *= fma(-eta[k], scale[i, lane], 1.0)
            energy = fma(x[i], x[i], energy)
        k += 1
        if energy <= bar or not energy <= DIVERGED_SUM:
            step = first_step + k
            decide(x, energy, step, time[k], n, threshold, decided, status, stop_step, stop_time, stop_x)
            bar = bar_of(n, threshold, decided)
            end = k if decided[n] >= threshold.shape[1] else end
    return bar


@inline
def leave_pool(scale, lanes, bar, alarm, seed, x_now, lane, count):
    """Store the x of the cell in `lane` and give its lane to the last cell; return how many cells are left."""
    n = seed[lane]
    last = count - 1
    seed[lane] = seed[last]
    bar[lane] = bar[last]
    bar[last] = -1.0
    alarm[lane] = alarm[last]
    for i in range(scale.shape[0]):
        x_now[n, i] = lanes[i, lane]
        scale[i, lane] = scale[i, last]
        lanes[i, lane] = lanes[i, last]
        lanes[i, last] = 0.0
    return last


@cell
def answer_alarms(
    scale, now, after, bar, alarm, words, seed, x, count, eta, time, t, span, first_step, stays,
    threshold, row, last_record, x_now, decided, status, stop_step, stop_time, stop_x,
):  # fmt: skip
    """Replay the lanes in which something happened; return how many cells are left. `stays`: none may leave but GONE.

    Backwards, so that the cell which takes a freed lane has been answered already.
    """
    step = first_step + t + span
    for word in range((count - 1) // LANES, -1, -1):
        if words[word] == 0:
            continue
        for lane in range(min(count, word * LANES + LANES) - 1, word * LANES - 1, -1):
            if alarm[lane]:
                n = seed[lane]
                bar[lane] = replay(
                    scale, now, lane, x, eta, time, t, span, first_step, n, threshold, decided,
                    status, stop_step, stop_time, stop_x,
                )  # fmt: skip
                if decided[n] == GONE or (not stays and is_done(n, step, threshold, decided, row, last_record)):
                    count = leave_pool(scale, after, bar, alarm, seed, x_now, lane, count)
    return count


@cell
def record_lanes(
    scale, lanes, bar, alarm, seed, count, step, slot, threshold, row, last_record, x_now, decided, record_x
):
    """Record this moment of the seeds whose trajectory is kept; return how many cells have more to do."""
    for lane in range(count - 1, -1, -1):
        n = seed[lane]
        if row[n] >= 0:
            for i in range(scale.shape[0]):
                record_x[row[n], slot, i] = lanes[i, lane]
        if is_done(n, step, threshold, decided, row, last_record):
            count = leave_pool(scale, lanes, bar, alarm, seed, x_now, lane, count)
    return count


@cell
def load_cells(scales, threshold, row, last_record, x_now, decided, first, last, first_step, scale, lanes, bar, seed):
    """Put the cells that have steps to take into the pool; return how many, and the slot from which one records."""
    count = 0
    kept = False
    for n in range(first, last):
        if is_done(n, first_step, threshold, decided, row, last_record):
            continue
        for i in range(scale.shape[0]):
            scale[i, count] = scales[n, i]
            lanes[i, count] = x_now[n, i]
        seed[count] = n
        bar[count] = bar_of(n, threshold, decided)
        kept |= row[n] >= 0
        count += 1
    return count, kept


@cell
def next_moment(record_step, slot, first_step):
    """The first slot from `slot` on that lies after first_step, and its step in this chunk; never, where none does."""
    while slot < record_step.size and 0 <= record_step[slot] <= first_step:
        slot += 1
    if slot < record_step.size and record_step[slot] >= 0:
        return slot, record_step[slot] - first_step
    return slot, NEVER


@cell
def stable_until(eta, t, end, steepest):
    """The first step from t on at which some |1 - eta lam| may exceed 1."""
    while t < end and fma(-eta[t], steepest, 1.0) >= -1.0:
        t += 1
    return t


@worker
def descend_pool(
    scales, threshold, row, eta, time, end, record_step, last_record,
    x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last, first_step,
):  # fmt: skip
    """Take one chunk of steps of one schedule with the seeds first..last - 1."""
    axes = scales.shape[1]
    width = (last - first + LANES - 1) // LANES * LANES
    # Rows a power of two apart would all lie in the same few sets of the level-1 cache.
    stride = width + LANES
    scale, now, after = np.zeros((axes, stride)), np.zeros((axes, stride)), np.zeros((axes, stride))
    energy, bar, x = np.zeros(width), np.full(width, -1.0), np.zeros(axes)
    alarm, seed = np.zeros(width, np.uint8), np.zeros(width, np.int64)
    words = alarm.view(np.int64)
    count, kept = load_cells(
        scales, threshold, row, last_record, x_now, decided, first, last, first_step, scale, now, bar, seed
    )
    steepest = scale.max()
    slot, moment = next_moment(record_step, 0, first_step) if kept else (0, NEVER)
    stable = 0
    t = 0
    while t < end and count > 0:
        filled = (count + LANES - 1) // LANES * LANES
        if t >= stable:
            stable = stable_until(eta, t, end, steepest)
        span = SPAN if t + SPAN <= min(stable, moment) else 1
        if span == SPAN:
            span_lanes(scale, now, after, filled, eta, t)
        else:
            step_lanes(scale, now, after, filled, eta, t)
        if weigh_lanes(after, energy, bar, alarm, filled):
            count = answer_alarms(
                scale, now, after, bar, alarm, words, seed, x, count,
                eta, time, t, span, first_step, t + span == moment,
                threshold, row, last_record, x_now, decided, status, stop_step, stop_time, stop_x,
            )  # fmt: skip
        t += span
        if t == moment:
            count = record_lanes(
                scale, after, bar, alarm, seed, count, first_step + t, slot, threshold, row, last_record, x_now,
                decided, record_x,
            )  # fmt: skip
            slot, moment = next_moment(record_step, slot + 1, first_step)
        now, after = after, now
    for lane in range(count):
        for i in range(axes):
            x_now[seed[lane], i] = now[i, lane]


@cell
def start_cells(x, threshold, row, x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last):
    """Step 0: runs beyond the limit, levels met at the start, the first recorded moment; x (d,) is scratch."""
    for n in range(first, last):
        for i in range(x.size):
            x[i] = x_now[n, i]
        decide(x, square_sum(x), 0, 0.0, n, threshold, decided, status, stop_step, stop_time, stop_x)
        if row[n] >= 0 and record_x.shape[1] > 0:
            for i in range(x.size):
                record_x[row[n], 0, i] = x[i]


@worker
def descend_worker(cells, rates, course, first_step, tasks, workers):
    """Claim tasks, a pool of seeds with one schedule each, until none is left or a stop is asked for."""
    threshold, row = cells.threshold, cells.row
    width = min(pool_width(cells.scale.shape[2]), fair_width(rates.length.size * row.size, workers))
    x = np.zeros(cells.scale.shape[2])
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, rates.length.size, row.size, width)
        if s == NONE_LEFT:
            return
        x_now, decided, record_x = course.x[s], course.decided[s], course.record_x[s]
        status, stop_step, stop_time, stop_x = (
            course.status[s], course.stop_step[s], course.stop_time[s], course.stop_x[s],
        )  # fmt: skip
        if first_step == 0:
            start_cells(x, threshold, row, x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last)
        end = min(rates.length[s] - first_step, rates.eta.shape[1])
        descend_pool(
            cells.scale[rates.unit[s]], threshold, row,
            rates.eta[s], rates.time[s], end, rates.record_step[s], rates.last_record[s],
            x_now, decided, status, stop_step, stop_time, stop_x, record_x, first, last, first_step,
        )  # fmt: skip


@sweep
def descend_sweep(cells, rates, course, first_step, tasks, workers):
    """Take one chunk of steps with every cell: x_i <- (1 - eta_t lam_i) x_i until its levels are passed.

    Parameters: `Cells`, `Rates`, `Course` of `arrays`; first_step, the number of steps before this chunk; tasks (2,)
    int64, the next task (0 at launch) and a flag that another thread sets to stop early; workers, the number of
    threads. Updates `Course`; a level that is still to be decided keeps status 0.
    """
    for _ in prange(workers):
        descend_worker(cells, rates, course, first_step, tasks, workers)
