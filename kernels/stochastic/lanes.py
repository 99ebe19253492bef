"""A pool of cells in SIMD lanes: filling it, noting what happens in a lane, and emptying it.

A cell is (s, n), schedule and seed. The pool's own arrays come in three tuples:

columns  lam, r, velocity, average (d, width), and rates (steps, width)
numbers  bar, scale, beta, sigma, decay (width,)
places   schedule, seed, moment, slot, tail_start (width,) int64

bar is what the energy must fall to next, scale what turns rates into absolute ones, moment the next step to record and
slot its place. A lane whose schedule is IDLE holds no cell. What all threads share is passed array by array, since
taking an array out of a tuple costs a reference count, which threads would fight for.
"""

import numpy as np

from ..arrays import DIVERGED, DIVERGED_SUM, GONE, REACHED
from ..jit import cell, worker
from .energies import weigh_lanes

IDLE = -1
NEVER = 1 << 62


@cell
def is_done(s, n, step, threshold, decided, row, length, last_record):
    """Whether no level, no recorded moment, or no step of the schedule is left to cell (s, n)."""
    if decided[s, n] == GONE or step >= length[s]:
        return True
    return decided[s, n] >= threshold.shape[1] and (row[n] < 0 or step >= last_record[s])


@cell
def bar_of(s, n, threshold, decided):
    """What the energy of cell (s, n) must fall to next; -1, which it never does, after its last level."""
    return threshold[n, decided[s, n]] if decided[s, n] < threshold.shape[1] else -1.0


@cell
def sharpness_of(curvature, n):
    """The largest curvature of seed n, 1 where all is flat."""
    sharpness = 0.0
    for i in range(curvature.shape[1]):
        sharpness = max(sharpness, curvature[n, i])
    return sharpness if sharpness > 0.0 else 1.0


# ---- one lane ----


@cell
def put_cell(lane, s, n, source, target):
    """Lane of target (d, width) = source[s, n] (d,)."""
    for i in range(target.shape[0]):
        target[i, lane] = source[s, n, i]


@cell
def take_cell(lane, s, n, source, target):
    """target[s, n] (d,) = lane of source (d, width)."""
    for i in range(source.shape[0]):
        target[s, n, i] = source[i, lane]


@cell
def keep_cell(lane, a, b, k, source, target):
    """target[a, b, k] (d,) = lane of source (d, width)."""
    for i in range(source.shape[0]):
        target[a, b, k, i] = source[i, lane]


@cell
def clear_lane(lane, columns, numbers, places):
    """Zero everything of a lane, so that what is still computed in it stays 0 and alarms nobody."""
    for column in columns:
        for i in range(column.shape[0]):
            column[i, lane] = 0.0
    for number in numbers:
        number[lane] = 0.0
    bar, scale = numbers[:2]
    bar[lane], scale[lane] = -1.0, 1.0
    schedule, _, moment, _, _ = places
    schedule[lane], moment[lane] = IDLE, NEVER


@cell
def store_lane(lane, columns, places, state_r, state_velocity, state_average):
    """Put the cell in a lane back among all cells."""
    _, r, velocity, average, _ = columns
    s, n = places[0][lane], places[1][lane]
    take_cell(lane, s, n, r, state_r)
    take_cell(lane, s, n, velocity, state_velocity)
    take_cell(lane, s, n, average, state_average)


@cell
def next_moment(lane, s, step, record_step, places):
    """Move the lane's slot on to the first moment after `step`."""
    _, _, moment, slot, _ = places
    k = slot[lane]
    while k < record_step.shape[1] and 0 <= record_step[s, k] <= step:
        k += 1
    slot[lane] = k
    moment[lane] = record_step[s, k] if k < record_step.shape[1] and record_step[s, k] >= 0 else NEVER


# ---- all lanes ----


@worker
def make_pool(axes, moving, averaging, steps, width):
    """An empty pool's columns, numbers and places; velocity and average have as many axes as are asked for."""
    columns = (
        np.zeros((axes, width)), np.zeros((axes, width)), np.zeros((moving, width)), np.zeros((averaging, width)),
        np.zeros((steps, width)),
    )  # fmt: skip
    numbers = (np.full(width, -1.0), np.ones(width), np.zeros(width), np.zeros(width), np.zeros(width))
    none = np.full(width, IDLE)
    places = (none, none.copy(), np.full(width, NEVER), np.zeros(width, np.int64), np.zeros(width, np.int64))
    return columns, numbers, places


@cell
def load_cells(
    first, last, other, across, step, curvature, unit, threshold, row, length, record_step, last_record, decided,
    betas, sigmas, decays, tail_starts, state_r, state_velocity, state_average, columns, numbers, places,
):  # fmt: skip
    """Fill the pool with the cells that have steps to take; return how many.

    They are the schedules first..last - 1 with the seed `other` where `across`, else these seeds with that schedule.
    """
    lam, r, velocity, average, _ = columns
    bar, scale, beta, sigma, decay = numbers
    schedule, seed, _, slot, tail_start = places
    count = 0
    for own in range(first, last):
        s, n = (own, other) if across else (other, own)
        if is_done(s, n, step, threshold, decided, row, length, last_record):
            continue
        clear_lane(count, columns, numbers, places)
        put_cell(count, s, n, state_r, r)
        put_cell(count, s, n, state_velocity, velocity)
        put_cell(count, s, n, state_average, average)
        for i in range(lam.shape[0]):
            lam[i, count] = curvature[n, i]
        bar[count], scale[count] = bar_of(s, n, threshold, decided), sharpness_of(curvature, n) if unit[s] else 1.0
        beta[count], sigma[count], decay[count] = betas[s], sigmas[s], decays[s]
        schedule[count], seed[count], slot[count], tail_start[count] = s, n, 0, tail_starts[s]
        if row[n] >= 0:
            next_moment(count, s, step, record_step, places)
        count += 1
    for lane in range(count, bar.size):
        clear_lane(lane, columns, numbers, places)
    return count


@cell
def store_cells(count, columns, places, state_r, state_velocity, state_average):
    """Put all cells of the pool back."""
    for lane in range(count):
        if places[0][lane] != IDLE:
            store_lane(lane, columns, places, state_r, state_velocity, state_average)


@cell
def lay_out_rates(count, eta, t, steps, scale, schedule, rates):
    """rates (SEGMENT, width), row k = the absolute rate of step t + k of the chunk in every lane that holds a cell."""
    for lane in range(count):
        s = schedule[lane]
        if s != IDLE:
            for k in range(steps):
                rates[k, lane] = eta[s, t + k] / scale[lane]


@cell
def nearest(count, length, places):
    """The last step up to which no lane's schedule ends, and the next moment of any lane."""
    schedule, _, moment, _, _ = places
    end = soonest = NEVER
    for lane in range(count):
        if schedule[lane] != IDLE:
            end = min(end, length[schedule[lane]])
        soonest = min(soonest, moment[lane])
    return end, soonest


@cell
def decide(
    lane, s, n, step, time, energy, threshold, r, average,
    decided, status, stop_step, stop_time, stop_r, stop_average,
):  # fmt: skip
    """Write the levels that cell (s, n) has passed; where it has diverged, all that are left."""
    diverged = not energy <= DIVERGED_SUM
    k = decided[s, n]
    while k < threshold.shape[1] and (diverged or energy <= threshold[n, k]):
        status[s, n, k] = DIVERGED if diverged else REACHED
        stop_step[s, n, k] = step
        stop_time[s, n, k] = time
        keep_cell(lane, s, n, k, r, stop_r)
        keep_cell(lane, s, n, k, average, stop_average)
        k += 1
    decided[s, n] = GONE if diverged else k


@cell
def answer_alarms(
    count, step, t, energy, time, threshold, row, length, last_record, columns, numbers, places,
    decided, status, stop_step, stop_time, stop_r, stop_average, state_r, state_velocity, state_average,
):  # fmt: skip
    """Decide levels in the lanes that passed one or diverged; return how many cells left the pool."""
    _, r, _, average, _ = columns
    bar = numbers[0]
    schedule, seed, moment, _, _ = places
    left = 0
    for lane in range(count):
        if schedule[lane] == IDLE or (energy[lane] > bar[lane] and energy[lane] <= DIVERGED_SUM):
            continue
        s, n = schedule[lane], seed[lane]
        decide(
            lane, s, n, step, time[s, t + 1], energy[lane], threshold, r, average,
            decided, status, stop_step, stop_time, stop_r, stop_average,
        )  # fmt: skip
        bar[lane] = bar_of(s, n, threshold, decided)
        # A cell that is to be recorded at this very step leaves afterwards, unless it has diverged.
        stays = moment[lane] == step and decided[s, n] != GONE
        if not stays and is_done(s, n, step, threshold, decided, row, length, last_record):
            store_lane(lane, columns, places, state_r, state_velocity, state_average)
            clear_lane(lane, columns, numbers, places)
            left += 1
    return left


@cell
def record_lanes(
    count, step, threshold, row, length, record_step, last_record, columns, numbers, places,
    decided, record_r, record_average, state_r, state_velocity, state_average,
):  # fmt: skip
    """Record the lanes whose moment this is; return how many cells left the pool."""
    _, r, _, average, _ = columns
    schedule, seed, moment, slot, _ = places
    left = 0
    for lane in range(count):
        if moment[lane] != step:
            continue
        s, n = schedule[lane], seed[lane]
        keep_cell(lane, s, row[n], slot[lane], r, record_r)
        keep_cell(lane, s, row[n], slot[lane], average, record_average)
        next_moment(lane, s, step, record_step, places)
        if is_done(s, n, step, threshold, decided, row, length, last_record):
            store_lane(lane, columns, places, state_r, state_velocity, state_average)
            clear_lane(lane, columns, numbers, places)
            left += 1
    return left


@cell
def end_lanes(count, step, length, columns, numbers, places, state_r, state_velocity, state_average):
    """Let the cells leave whose schedules end here; return how many."""
    schedule = places[0]
    left = 0
    for lane in range(count):
        if schedule[lane] != IDLE and step >= length[schedule[lane]]:
            store_lane(lane, columns, places, state_r, state_velocity, state_average)
            clear_lane(lane, columns, numbers, places)
            left += 1
    return left


@cell
def start_cells(
    first, last, other, across, curvature, threshold, row, columns, energy, bar,
    decided, status, stop_step, stop_time, stop_r, stop_average, record_r, record_average, state_r, state_average,
):  # fmt: skip
    """Step 0: runs beyond the limit, levels met at the start, the first recorded moment. Lane 0 is scratch."""
    lam, r, _, average, _ = columns
    for own in range(first, last):
        s, n = (own, other) if across else (other, own)
        put_cell(0, s, n, state_r, r)
        put_cell(0, s, n, state_average, average)
        for i in range(lam.shape[0]):
            lam[i, 0] = curvature[n, i]
        weigh_lanes(lam, r, energy, bar, 1)
        decide(
            0, s, n, 0, 0.0, energy[0], threshold, r, average,
            decided, status, stop_step, stop_time, stop_r, stop_average,
        )  # fmt: skip
        if row[n] >= 0 and record_r.shape[2] > 0:
            keep_cell(0, s, row[n], 0, r, record_r)
            keep_cell(0, s, row[n], 0, average, record_average)
