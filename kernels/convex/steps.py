"""Steps of any optimiser on a convex loss of the train rows, or of mini-batches, to the levels of the train loss.

A step of a cell (one schedule with one seed) in the parameters' own axes is

    g_t at theta_t (`passes`),   theta_(t+1) from g_t, eta_t and what is carried (`optimizers`),   a_(t+1) (`averages`),

and the levels are checked after every step. Schedule-free optimisers take g_t at another point than theta_t; else the
pass over all rows that gives the train loss gives the next gradient too. Mini-batches need that pass for levels alone;
without any, the loss is looked at only where the parameters are so long that it may lie beyond the limit.

The lanes of a pool are schedules of one seed, so that a row that is loaded, or drawn, serves them all; of few schedules
the passes over all rows have rows in their lanes instead (`in_lanes`). What a pool is,
how cells come into it and leave it, and what is kept of them is that of `stochastic.lanes`, with energy = 2 train loss
and the parameters in the place of the residual. No lane looks at another one, so the bits do not depend on which cells
share a pool.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..arrays import ENDED
from ..draws import LABEL_NOISE, fill_normal
from ..intrinsics import claim, fma
from ..jit import cell, inline, sweep, worker
from ..matrices.block_products import QUAD
from ..pool import LANES, bar_of, is_done, raise_alarms, whole_lanes
from ..stochastic.averages import average_lanes
from ..stochastic.gradients import (
    ALL_ROWS,
    SHUFFLED,
    WITH_REPLACEMENT,
    make_drawn,
    order_epoch,
    rows_of_epoch,
    rows_with_replacement,
    steps_an_epoch,
)
from ..stochastic.lanes import (
    IDLE,
    Launch,
    Members,
    decide,
    end_lanes,
    first_moment,
    lay_out_rates,
    leave_lane,
    load_cells,
    make_pool,
    read_lane,
    record,
    record_lanes,
    store_cells,
)
from ..stochastic.steps import SEGMENT, pool_width, segment_end
from ..tasks import NONE_LEFT, claim_cells
from .landing import keep_before, land_lane, make_trial
from .models import fold, norms, parameters_of
from .optimizers import fill_numbers, is_elsewhere, make_memory, step_lanes
from .passes import batch_pass, full_pass, hits_pass, loss_pass, make_scratch

# Where |beta|^2 times the largest |x|^2 is below it, beta the weights, no loss is near the limit of 1e100.
SAFE_REACH = 1e90


class Batch(NamedTuple):
    """The rows of one mini-batch, gathered; b is the batch rounded up to a multiple of QUAD."""

    x: np.ndarray  # (b, d)
    y: np.ndarray  # (b,)
    weight: np.ndarray  # (b,)


@inline
def gather_batch(table, n, drawn, batch, count):
    """Copy the first `count` of drawn.picked side by side; return how many rows that is with those of weight 0."""
    padded = (count + QUAD - 1) // QUAD * QUAD
    for j in range(padded):
        row = drawn.picked[j] if j < count else drawn.picked[0]
        batch.weight[j] = 1.0 / count if j < count else 0.0
        batch.y[j] = table.y[n, row]
        for i in range(table.x.shape[2]):
            batch.x[j, i] = table.x[n, row, i]
    return padded


@inline
def batch_gradient(pool, at, drawn, batch, scratch, launch, n, step, filled):
    """pool.gradient = that of the mini-batch of a step, at the parameters `at`."""
    table, noise, count = launch.rows, launch.noise, drawn.picked.size
    if noise.kind == WITH_REPLACEMENT:
        rows_with_replacement(drawn, noise, n, table.count[n], step)
    elif noise.kind == SHUFFLED:
        count = rows_of_epoch(drawn, step)
    rows = gather_batch(table, n, drawn, batch, count)
    if drawn.normal.size > 0:
        fill_normal(drawn.normal, noise.root, noise.draw[n], LABEL_NOISE, step + 1)
        for j in range(count):
            batch.y[j] = fma(noise.sigma[0], drawn.normal[j], batch.y[j])
    batch_pass(table, batch.x, batch.y, batch.weight, rows, at, scratch, pool.gradient, filled)


@inline
def take_losses(pool, scratch, count):
    """energy = 2 loss."""
    for lane in range(count):
        pool.energy[lane] = 2.0 * scratch.total[lane]


@inline
def guard(pool, scratch, table, n, count):
    """energy = 0 where the loss cannot be near the limit, else 2 loss."""
    norms(fold(table, pool.r, scratch.weights, count), pool.energy, count)
    far = 0
    for lane in range(count):
        far += not pool.energy[lane] * table.reach[n] <= SAFE_REACH
    if far > 0:
        loss_pass(table, n, pool.r, scratch, count)
        take_losses(pool, scratch, count)
        return
    for lane in range(count):
        pool.energy[lane] = 0.0


@inline
def look(pool, memory, scratch, launch, n, count):
    """The energy of all lanes, and the next gradient where it is that of all rows."""
    elsewhere, whole = is_elsewhere(launch.method.optimizer), launch.noise.kind < WITH_REPLACEMENT
    if whole and elsewhere:
        full_pass(launch.rows, n, memory.point, scratch, pool.gradient, count)
    if whole and not elsewhere:
        full_pass(launch.rows, n, pool.r, scratch, pool.gradient, count)
        take_losses(pool, scratch, count)
    elif launch.cells.threshold[n, 0] >= 0.0:
        loss_pass(launch.rows, n, pool.r, scratch, count)
        take_losses(pool, scratch, count)
    else:
        guard(pool, scratch, launch.rows, n, count)


@inline
def answer_alarms(pool, trial, scratch, count, launch, step, t):
    """Decide levels in the lanes with an alarm after step t of the chunk; return how many cells left the pool."""
    cells, rates, decided = launch.cells, launch.rates, launch.passages.decided
    left = 0
    for lane in range(count):
        if pool.alarm[lane] == 0 or pool.schedule[lane] == IDLE:
            continue
        s, n = pool.schedule[lane], pool.seed[lane]
        first = decided[s, n]
        decide(pool, lane, cells, launch.passages, s, n, step, rates.time[s, t + 1])
        if launch.passages.stop_fraction.shape[2] > 0:
            land_lane(pool, lane, launch, trial, scratch, first, t)
        pool.bar[lane] = bar_of(cells, decided, s, n)
        # A cell that is to be recorded at this very step leaves afterwards, unless it has diverged.
        stays = pool.moment[lane] == step and decided[s, n] != ENDED
        if not stays and is_done(cells, rates, decided, s, n, step):
            leave_lane(pool, lane, launch)
            left += 1
    return left


@inline
def take_segment(pool, memory, drawn, batch, trial, scratch, count, launch, n, step, end, first_step):
    """Take the steps from `step` to `end`, first_step that of the chunk; return how many cells left the pool."""
    method, filled = launch.method, whole_lanes(count)
    lay_out_rates(pool, count, launch.rates, step - first_step, end - step)
    moment = first_moment(pool, count)
    left = 0
    at = memory.point if is_elsewhere(method.optimizer) else pool.r
    for now in range(step, end):
        if launch.noise.kind >= WITH_REPLACEMENT:
            batch_gradient(pool, at, drawn, batch, scratch, launch, n, now, filled)
        keep_before(trial, pool.r, filled)
        step_lanes(method.optimizer, pool, memory, now - step, now + 1, filled)
        average_lanes(
            method.average, now + 1, pool.tail_start, pool.decay, pool.r, pool.average, pool.past, pool.present, filled
        )
        look(pool, memory, scratch, launch, n, count)
        if raise_alarms(pool.energy, pool.bar, pool.alarm, filled):
            left += answer_alarms(pool, trial, scratch, count, launch, now + 1, now - first_step)
        if now + 1 == moment:
            left += record_lanes(pool, count, launch, moment)
            moment = first_moment(pool, count)
    return left + end_lanes(pool, count, launch, end)


@worker
def step_pool(launch, rules, members, first_step, width):
    """Take one chunk of steps with one pool."""
    noise, n, table = launch.noise, members.other, launch.rows
    batches, shuffled, parameters = noise.kind >= WITH_REPLACEMENT, noise.kind == SHUFFLED, parameters_of(launch.rows)
    pool = make_pool(parameters, launch.state.velocity.shape[2], launch.state.average.shape[2], SEGMENT, width)
    kind = launch.method.optimizer
    memory = make_memory(kind, pool.velocity, parameters, rules.prepares)
    scratch = make_scratch(table, width)
    trial = make_trial(parameters, width if launch.passages.stop_fraction.shape[2] > 0 else 0)
    size = (table.count[n] if noise.kind == ALL_ROWS else noise.batch) if batches else 0
    drawn = make_drawn(0, size if noise.sigma[0] > 0.0 else 0, size, table.count[n] if shuffled else 0, 0)
    for j in range(size):
        drawn.picked[j] = j  # of all rows; others are drawn
    padded = (drawn.picked.size + QUAD - 1) // QUAD * QUAD
    batch = Batch(np.zeros((padded, table.x.shape[2])), np.zeros(padded), np.zeros(padded))
    step, last_step = first_step, first_step + launch.rates.eta.shape[1]
    count = busy = 0
    while step < last_step:
        if 8 * busy <= 7 * count:
            store_cells(pool, count, launch.state)
            count = busy = load_cells(pool, members, launch, step)
            if count == 0:
                return
            fill_numbers(memory, pool.schedule, rules)
            if not batches:
                full_pass(table, n, memory.point if is_elsewhere(kind) else pool.r, scratch, pool.gradient, count)
        # The order in hand at the start of a chunk may be another epoch's.
        if shuffled and (step == first_step or step % steps_an_epoch(drawn.order.size, noise.batch) == 0):
            order_epoch(drawn, noise, n, step)
        end = segment_end(pool, count, launch, n, step, last_step)
        busy -= take_segment(pool, memory, drawn, batch, trial, scratch, count, launch, n, step, end, first_step)
        step = end
    store_cells(pool, count, launch.state)


@cell
def start_cells(pool, scratch, members, launch):
    """Step 0: runs beyond the limit, levels met at the start, the first recorded moment. Lane 0 is scratch."""
    cells, passages, n = launch.cells, launch.passages, members.other
    for s in range(members.first, members.last):
        read_lane(0, launch.state.r, s, n, pool.r)
        read_lane(0, launch.state.average, s, n, pool.average)
        if s == members.first:  # all schedules start alike
            loss_pass(launch.rows, n, pool.r, scratch, 1)
            take_losses(pool, scratch, 1)
        decide(pool, 0, cells, passages, s, n, 0, 0.0)
        if cells.row[n] >= 0 and passages.record_r.shape[2] > 0:
            record(pool, 0, passages, s, cells.row[n], 0)


@worker
def convex_worker(launch, rules, first_step, tasks):
    """Claim tasks, one pool each, until none is left or a stop is asked for."""
    schedules, seeds = launch.passages.decided.shape
    parameters = parameters_of(launch.rows)
    width = pool_width(parameters, schedules)
    while tasks[1] == 0:
        n, first, last = claim_cells(tasks, seeds, schedules, width)
        if n == NONE_LEFT:
            return
        members = Members(first, last, n, True)
        if first_step == 0:
            pool = make_pool(parameters, 0, launch.state.average.shape[2], 0, LANES)
            start_cells(pool, make_scratch(launch.rows, LANES), members, launch)
        step_pool(launch, rules, members, first_step, width)


@sweep
def convex_sweep(cells, rates, method, rules, noise, rows, state, passages, first_step, tasks, workers):
    """Take one chunk of steps with every cell, until its levels are passed and its moments recorded.

    Parameters: as for `stochastic.steps.stochastic_sweep`, with these differences. Cells: scale[0] (N, p) holds the
    eigenvalues of what bounds the Hessian, whose largest one is the unit of rates; threshold (N, E) is twice the level,
    below 0 where out of reach. rules are `optimizers.Rules`, and state.velocity (S, N, rows) holds what the optimiser
    carries, as many rows as `optimizers.room` says. rows is a `losses.Table`. State, Passages hold the p parameters in
    the place of r; every schedule starts at the same ones. Noise is none, of mini-batches, or of labels: sigma, one for
    all schedules, times normals that are drawn for every step and added to the labels of its rows.
    """
    for _ in prange(workers):
        convex_worker(Launch(cells, rates, method, noise, rows, state, passages), rules, first_step, tasks)


@worker
def measure_worker(table, seed, theta, loss, hits, tasks):
    """Claim one seed after the other: its moments side by side in lanes."""
    schedules, seeds, moments, parameters = theta.shape
    many = schedules * moments
    width = pool_width(parameters, many)
    lanes, scratch = np.zeros((parameters, width)), make_scratch(table, width)
    while tasks[1] == 0:
        r = claim(tasks)
        if r >= seeds:
            return
        for first in range(0, many, width):
            count = min(width, many - first)
            for lane in range(count):
                s, k = (first + lane) // moments, (first + lane) % moments
                for i in range(parameters):
                    lanes[i, lane] = theta[s, r, k, i]
            hits_pass(table, seed[r], lanes, scratch, count)
            for lane in range(count):
                s, k = (first + lane) // moments, (first + lane) % moments
                loss[s, r, k] = scratch.total[lane]
                share = scratch.hits[lane] / table.count[seed[r]]
                hits[s, r, k] = share if scratch.total[lane] < np.inf else np.nan


@sweep
def measure_sweep(table, seed, theta, loss, hits, tasks, workers):
    """The mean loss over the rows of a table, and the share of them whose class is told, at M moments.

    Parameters: `losses.Table` of N seeds; seed (R,), which of them; theta (S, R, M, p); loss and hits (S, R, M),
    filled, NaN where theta is; tasks and workers as in `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        measure_worker(table, seed, theta, loss, hits, tasks)
