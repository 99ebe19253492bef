"""A pool of cells in SIMD lanes: filling it, noting what happens in a lane, and emptying it.

A cell is (s, n), schedule and seed. A lane whose schedule is IDLE holds no cell; all else in it is 0, so that what is
computed there stays 0 and raises no alarm.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import DIVERGED_SUM, ENDED, Cells, Method, Noise, Passages, Rates, Rows, State
from ..intrinsics import fma
from ..jit import cell, inline, worker
from ..landing import fraction_taken, land
from ..pool import NEVER, bar_of, is_done, levels_passed, next_moment
from ..status import REACHED
from .energies import curved_sums
from .optimizers import move_of

IDLE = -1


class Launch(NamedTuple):
    """All that a launch is given."""

    cells: Cells
    rates: Rates
    method: Method
    noise: Noise
    rows: Rows
    state: State
    passages: Passages


class Members(NamedTuple):
    """The cells of one pool: the schedules first..last - 1 with one seed, or these seeds with one schedule."""

    first: int
    last: int
    other: int  # that seed, or that schedule
    across: bool  # whether they are schedules


class Pool(NamedTuple):
    """What the lanes hold."""

    lam: np.ndarray  # (d, width)
    r: np.ndarray  # (d, width)
    velocity: np.ndarray  # (d, width), or (0, width) where nothing moves by a velocity
    average: np.ndarray  # (d, width), or (0, width) where nothing is averaged
    gradient: np.ndarray  # (d, width) scratch
    rates: np.ndarray  # (steps, width) absolute rates of some steps
    energy: np.ndarray  # (width,) sum_i lam_i r_i^2
    bar: np.ndarray  # (width,) what the energy must fall to next
    alarm: np.ndarray  # (width,) uint8
    unit: np.ndarray  # (width,) absolute rates are those of the schedule, divided by it
    beta: np.ndarray  # (width,)
    sigma: np.ndarray  # (width,)
    decay: np.ndarray  # (width,)
    past: np.ndarray  # (width,) scratch of the averages
    present: np.ndarray  # (width,) scratch of the averages
    schedule: np.ndarray  # (width,)
    seed: np.ndarray  # (width,)
    moment: np.ndarray  # (width,) the next step to record
    slot: np.ndarray  # (width,) its place
    tail_start: np.ndarray  # (width,)
    after: np.ndarray  # (d,) scratch of landings, as the next two
    back: np.ndarray  # (d,)
    weight: np.ndarray  # (d,)


@worker
def make_pool(dimension, moving, averaging, steps, width):
    """An empty pool; velocity and average have as many axes as are asked for."""
    return Pool(
        np.zeros((dimension, width)), np.zeros((dimension, width)), np.zeros((moving, width)),
        np.zeros((averaging, width)), np.zeros((dimension, width)), np.zeros((steps, width)),
        np.zeros(width), np.full(width, -1.0), np.zeros(width, np.uint8), np.ones(width),
        np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width),
        np.full(width, IDLE), np.full(width, IDLE), np.full(width, NEVER), np.zeros(width, np.int64),
        np.zeros(width, np.int64), np.zeros(dimension), np.zeros(dimension), np.zeros(dimension),
    )  # fmt: skip


@inline
def sharpness_of(curvature, n):
    """The largest curvature of seed n, 1 where all is flat."""
    sharpness = 0.0
    for i in range(curvature.shape[1]):
        sharpness = max(sharpness, curvature[n, i])
    return sharpness if sharpness > 0.0 else 1.0


# ---- one lane ----


@inline
def read_lane(lane, source, s, n, target):
    """Lane of target (d, width) = source[s, n] (d,)."""
    for i in range(target.shape[0]):
        target[i, lane] = source[s, n, i]


@inline
def write_lane(lane, source, target, s, n):
    """target[s, n] (d,) = lane of source (d, width)."""
    for i in range(source.shape[0]):
        target[s, n, i] = source[i, lane]


@inline
def write_lane_at(lane, source, target, s, n, k):
    """target[s, n, k] (d,) = lane of source (d, width)."""
    for i in range(source.shape[0]):
        target[s, n, k, i] = source[i, lane]


@cell
def clear_lane(pool, lane):
    """Zero everything of a lane."""
    for column in (pool.lam, pool.r, pool.velocity, pool.average, pool.rates):
        for i in range(column.shape[0]):
            column[i, lane] = 0.0
    for number in (pool.beta, pool.sigma, pool.decay):
        number[lane] = 0.0
    for number in (pool.seed, pool.slot, pool.tail_start):
        number[lane] = 0
    pool.bar[lane], pool.unit[lane] = -1.0, 1.0
    pool.schedule[lane], pool.moment[lane] = IDLE, NEVER


@cell
def store_lane(pool, lane, state):
    """Put the cell in a lane back among all cells."""
    s, n = pool.schedule[lane], pool.seed[lane]
    write_lane(lane, pool.r, state.r, s, n)
    write_lane(lane, pool.velocity, state.velocity, s, n)
    write_lane(lane, pool.average, state.average, s, n)


@cell
def load_lane(pool, lane, launch, s, n, step):
    """Put cell (s, n) into a lane, with `step` steps behind it."""
    cells, rates, method, noise, _, state, passages = launch
    clear_lane(pool, lane)
    read_lane(lane, state.r, s, n, pool.r)
    read_lane(lane, state.velocity, s, n, pool.velocity)
    read_lane(lane, state.average, s, n, pool.average)
    read_lane(lane, cells.scale, 0, n, pool.lam)
    pool.bar[lane] = bar_of(cells, passages.decided, s, n)
    pool.unit[lane] = sharpness_of(cells.scale[0], n) if rates.unit[s] else 1.0
    pool.beta[lane], pool.sigma[lane], pool.decay[lane] = method.beta[s], noise.sigma[s], method.decay[s]
    pool.schedule[lane], pool.seed[lane], pool.tail_start[lane] = s, n, method.tail_start[s]
    if cells.row[n] >= 0:
        pool.slot[lane], pool.moment[lane] = next_moment(rates, s, 0, step)


@cell
def leave_lane(pool, lane, launch):
    """Let the cell in a lane leave the pool."""
    store_lane(pool, lane, launch.state)
    clear_lane(pool, lane)


# ---- all lanes ----


@cell
def load_cells(pool, members, launch, step):
    """Fill the pool with the cells that have steps to take; return how many."""
    count = 0
    for own in range(members.first, members.last):
        s, n = (own, members.other) if members.across else (members.other, own)
        if not is_done(launch.cells, launch.rates, launch.passages.decided, s, n, step):
            load_lane(pool, count, launch, s, n, step)
            count += 1
    for lane in range(count, pool.bar.size):
        clear_lane(pool, lane)
    return count


@cell
def store_cells(pool, count, state):
    """Put all cells of the pool back."""
    for lane in range(count):
        if pool.schedule[lane] != IDLE:
            store_lane(pool, lane, state)


@inline
def lay_out_rates(pool, count, rates, t, steps):
    """Row k of the pool's rates = the absolute rate of step t + k of the chunk in every lane that holds a cell."""
    by_cell = rates.own.shape[0] > 0
    for lane in range(count):
        s = pool.schedule[lane]
        if s != IDLE:
            for k in range(steps):
                rate = rates.own[s, pool.seed[lane]] if by_cell else rates.eta[s, t + k]
                pool.rates[k, lane] = rate / pool.unit[lane]


@inline
def first_end(pool, count, length):
    """The last step up to which no lane's schedule ends."""
    end = NEVER
    for lane in range(count):
        if pool.schedule[lane] != IDLE:
            end = min(end, length[pool.schedule[lane]])
    return end


@inline
def first_moment(pool, count):
    """The next moment to record in any lane."""
    soonest = NEVER
    for lane in range(count):
        soonest = min(soonest, pool.moment[lane])
    return soonest


@cell
def decide(pool, lane, cells, passages, s, n, step, time):
    """Write the levels that cell (s, n) has passed; where it has diverged, all that are left."""
    last, outcome = levels_passed(cells, passages.decided, s, n, pool.energy[lane])
    for level in range(passages.decided[s, n], last):
        passages.status[s, n, level] = outcome
        passages.stop_step[s, n, level] = step
        passages.stop_time[s, n, level] = time
        if outcome == REACHED and passages.stop_fraction.shape[2] > 0:
            passages.stop_fraction[s, n, level] = 1.0
        write_lane_at(lane, pool.r, passages.stop_r, s, n, level)
        write_lane_at(lane, pool.average, passages.stop_average, s, n, level)
    passages.decided[s, n] = last if pool.energy[lane] <= DIVERGED_SUM else ENDED


@cell
def land_lane(pool, lane, launch, first, t, k):
    """Shorten step t of the chunk, row k of the pool's rates, for the levels from `first` on that are met with it.

    The landed iterate is averaged in the place of the step's.
    """
    cells, passages, s, n = launch.cells, launch.passages, pool.schedule[lane], pool.seed[lane]
    for i in range(pool.back.size):
        move = move_of(launch.method.optimizer, pool.gradient, pool.beta, pool.velocity, i, lane)
        pool.after[i], pool.back[i], pool.weight[i] = pool.r[i, lane], pool.rates[k, lane] * move, pool.lam[i, lane]
    for level in range(first, cells.threshold.shape[1]):
        if passages.status[s, n, level] != REACHED:
            break
        share = land(pool.after, pool.back, pool.weight, cells.threshold[n, level], passages.stop_r[s, n, level])
        for i in range(pool.average.shape[0]):
            average = fma(pool.present[lane] * share, pool.back[i], pool.average[i, lane])
            passages.stop_average[s, n, level, i] = average
        passages.stop_fraction[s, n, level] = fraction_taken(share)
        passages.stop_time[s, n, level] -= share * launch.rates.eta[s, t]


@inline
def answer_alarms(pool, count, launch, step, t, k):
    """Decide levels in the lanes with an alarm after step t of the chunk, row k of the pool's rates; return how many
    cells left the pool."""
    cells, rates, decided = launch.cells, launch.rates, launch.passages.decided
    left = 0
    for lane in range(count):
        if pool.alarm[lane] == 0 or pool.schedule[lane] == IDLE:
            continue
        s, n = pool.schedule[lane], pool.seed[lane]
        first = decided[s, n]
        decide(pool, lane, cells, launch.passages, s, n, step, rates.time[s, t + 1])
        if launch.passages.stop_fraction.shape[2] > 0:
            land_lane(pool, lane, launch, first, t, k)
        pool.bar[lane] = bar_of(cells, decided, s, n)
        # A cell that is to be recorded at this very step leaves afterwards, unless it has diverged.
        stays = pool.moment[lane] == step and decided[s, n] != ENDED
        if not stays and is_done(cells, rates, decided, s, n, step):
            leave_lane(pool, lane, launch)
            left += 1
    return left


@inline
def record(pool, lane, passages, s, row, slot):
    """Record the cell in a lane, of schedule s, in a row of the recorded seeds."""
    write_lane_at(lane, pool.r, passages.record_r, s, row, slot)
    write_lane_at(lane, pool.average, passages.record_average, s, row, slot)


@inline
def record_lanes(pool, count, launch, step):
    """Record the lanes whose moment this is; return how many cells left the pool."""
    cells, rates, passages = launch.cells, launch.rates, launch.passages
    left = 0
    for lane in range(count):
        if pool.moment[lane] != step:
            continue
        s, n, slot = pool.schedule[lane], pool.seed[lane], pool.slot[lane]
        record(pool, lane, passages, s, cells.row[n], slot)
        pool.slot[lane], pool.moment[lane] = next_moment(rates, s, slot, step)
        if is_done(cells, rates, passages.decided, s, n, step):
            leave_lane(pool, lane, launch)
            left += 1
    return left


@inline
def end_lanes(pool, count, launch, step):
    """Let the cells leave whose schedules end here; return how many."""
    left = 0
    for lane in range(count):
        if pool.schedule[lane] != IDLE and step >= launch.rates.length[pool.schedule[lane]]:
            leave_lane(pool, lane, launch)
            left += 1
    return left


@cell
def start_cells(pool, members, launch):
    """Step 0: runs beyond the limit, levels met at the start, the first recorded moment. Lane 0 is scratch."""
    cells, passages = launch.cells, launch.passages
    for own in range(members.first, members.last):
        s, n = (own, members.other) if members.across else (members.other, own)
        read_lane(0, launch.state.r, s, n, pool.r)
        read_lane(0, launch.state.average, s, n, pool.average)
        read_lane(0, cells.scale, 0, n, pool.lam)
        curved_sums(pool.lam, pool.r, pool.energy, 1)
        decide(pool, 0, cells, passages, s, n, 0, 0.0)
        if cells.row[n] >= 0 and passages.record_r.shape[2] > 0:
            record(pool, 0, passages, s, cells.row[n], 0)
