"""Walks of any optimiser through exact or noisy gradients, to the first passage of each train-loss level.

A step of a cell (one schedule with one seed) in the Hessian's axes is

    g_t at r_t (`gradients`),            r_(t+1), v_(t+1) from g_t, eta_t, beta (`optimizers`),
    a_(t+1) from r_(t+1) (`averages`),   2 (train loss - floor) = sum_i lam_i r_i^2 (`energies`),

and the levels are checked after every step, on the last iterate. r itself is carried, since noise moves null
directions too.

The cells of a pool lie side by side in SIMD lanes, axis by axis. With noise they are the schedules of one seed, so
that one draw, or one gathered row, serves them all; without, the seeds of one schedule. No lane's arithmetic looks at
another lane, and noise is drawn by address, so the bits do not depend on which cells share a pool.

A cell with nothing left to do is stored at once and its lane zeroed; when an eighth of the lanes lie idle, the pool is
filled anew. Rates are laid out in the order of the lanes for SEGMENT steps at a time.
"""

import numpy as np
from numba import prange

from ..jit import cell, sweep, worker
from ..tasks import NONE_LEFT, claim_cells
from .averages import average_lanes
from .energies import weigh_lanes
from .gradients import NO_NOISE, QUAD, SHUFFLED, WITH_REPLACEMENT, gradient_lanes
from .lanes import (
    answer_alarms,
    end_lanes,
    lay_out_rates,
    load_cells,
    make_pool,
    nearest,
    record_lanes,
    start_cells,
    store_cells,
)
from .optimizers import update_lanes

SEGMENT = 32
LANES = 8
# Of lam, r, velocity, average and gradient.
POOL_BYTES = 96 * 1024
LARGEST_POOL = 128


@cell
def pool_width(axes, cells):
    """Lanes of a pool, a multiple of LANES: what the second-level cache holds, and pools of equal width."""
    most = max(LANES, min(LARGEST_POOL, POOL_BYTES // (40 * axes) // LANES * LANES))
    pools = (cells + most - 1) // most
    share = (cells + pools - 1) // pools
    return (share + LANES - 1) // LANES * LANES


@worker
def make_scratch(axes, own_axes, batch, rows, width):
    """What a pool works with from step to step; batch and rows are 0 where no rows are drawn."""
    padded = (batch + QUAD - 1) // QUAD * QUAD
    return (
        np.zeros(own_axes), np.zeros(axes), np.zeros(rows, np.int64), np.zeros(batch), np.zeros(batch, np.int64),
        np.zeros((padded, axes)), np.zeros((padded, axes)), np.zeros(padded),
        np.zeros((QUAD, width)), np.zeros((axes, width)), np.zeros(width), np.zeros(width), np.zeros(width),
    )  # fmt: skip


@worker
def start_pool(cells, state, passages, first, last, other, across):
    """Step 0 of the cells of one pool: for first, last and other see load_cells."""
    decided, status, stop_step, stop_time, stop_r, stop_average, record_r, record_average = passages
    columns, _, _ = make_pool(cells.scale.shape[2], 0, state.average.shape[2], 0, 1)
    start_cells(
        first, last, other, across, cells.scale[0], cells.threshold, cells.row, columns, np.zeros(1), np.zeros(1),
        decided, status, stop_step, stop_time, stop_r, stop_average, record_r, record_average, state.r, state.average,
    )  # fmt: skip


@worker
def walk_pool(cells, plan, method, noise, rows, state, passages, first, last, other, first_step, width):
    """Take one chunk of steps with one pool: for first, last and other see load_cells."""
    curvature, threshold, row, unit = cells.scale[0], cells.threshold, cells.row, plan.unit
    eta, time, length, record_step, last_record = plan.eta, plan.time, plan.length, plan.record_step, plan.last_record
    decided, status, stop_step, stop_time, stop_r, stop_average, record_r, record_average = passages
    state_r, state_velocity, state_average = state
    kind, root, batch, sigmas, draws, own_axes = noise
    optimizer, averaging, betas, tail_starts, decays = method
    z, rho, counts = rows
    across = kind != NO_NOISE
    n = other if across else 0
    which, draw, lam_n = n if z.shape[0] > 1 else 0, draws[n], curvature[n]
    columns, numbers, places = make_pool(
        curvature.shape[1], state_velocity.shape[2], state_average.shape[2], SEGMENT, width
    )
    lam, r, velocity, average, rates = columns
    bar, scale, beta, sigma, decay = numbers
    schedule, tail_start = places[0], places[4]
    sampled, dealt = batch if kind >= WITH_REPLACEMENT else 0, counts[n] if kind == SHUFFLED else 0
    normal, push, order, uniform, picked, batch_z, batch_pull, batch_rho, misfit, gradient, energy, keep, take = (
        make_scratch(lam.shape[0], own_axes[n], sampled, dealt, width)
    )
    step, last_step = first_step, first_step + eta.shape[1]
    count = busy = 0
    while step < last_step:
        if 8 * busy <= 7 * count:
            store_cells(count, columns, places, state_r, state_velocity, state_average)
            count = busy = load_cells(
                first, last, other, across, step, curvature, unit, threshold, row, length, record_step, last_record,
                decided, betas, sigmas, decays, tail_starts, state_r, state_velocity, state_average,
                columns, numbers, places,
            )  # fmt: skip
            if count == 0:
                return
        filled = (count + LANES - 1) // LANES * LANES
        end, moment = nearest(count, length, places)
        end = min(end, last_step, step + SEGMENT)
        lay_out_rates(count, eta, step - first_step, end - step, scale, schedule, rates)
        for k in range(end - step):
            now = step + k
            gradient_lanes(
                kind, root, draw, now, now == first_step, lam, r, sigma, lam_n, normal, push, z, rho,
                which, counts[n], order, uniform, picked, batch_z, batch_pull, batch_rho, misfit, gradient, filled,
            )  # fmt: skip
            update_lanes(optimizer, gradient, rates, k, beta, r, velocity, filled)
            average_lanes(averaging, now + 1, tail_start, decay, r, average, keep, take, filled)
            if weigh_lanes(lam, r, energy, bar, filled):
                busy -= answer_alarms(
                    count, now + 1, now - first_step, energy, time, threshold, row, length, last_record,
                    columns, numbers, places, decided, status, stop_step, stop_time, stop_r, stop_average,
                    state_r, state_velocity, state_average,
                )  # fmt: skip
            if now + 1 == moment:
                busy -= record_lanes(
                    count, moment, threshold, row, length, record_step, last_record, columns, numbers, places,
                    decided, record_r, record_average, state_r, state_velocity, state_average,
                )  # fmt: skip
                _, moment = nearest(count, length, places)
        step = end
        busy -= end_lanes(count, step, length, columns, numbers, places, state_r, state_velocity, state_average)
    store_cells(count, columns, places, state_r, state_velocity, state_average)


@worker
def walk_worker(cells, plan, method, noise, rows, state, passages, first_step, tasks):
    """Claim tasks, one pool each, until none is left or a stop is asked for."""
    schedules, seeds = passages.decided.shape
    across = noise.kind != NO_NOISE
    inner, outer = (schedules, seeds) if across else (seeds, schedules)
    width = pool_width(cells.scale.shape[2], inner)
    while tasks[1] == 0:
        row, first, last = claim_cells(tasks, outer, inner, width)
        if row == NONE_LEFT:
            return
        if first_step == 0:
            start_pool(cells, state, passages, first, last, row, across)
        walk_pool(cells, plan, method, noise, rows, state, passages, first, last, row, first_step, width)


@sweep
def walk_sweep(cells, plan, method, noise, rows, state, passages, first_step, tasks, workers):
    """Take one chunk of steps with every cell, until its levels are passed and its moments recorded.

    Parameters: `Cells` of `arrays`, of which scale[0] (lam), threshold and row are read; `Rates`, with T steps of every
    schedule in its own unit; `Method`, `Noise`, `Rows` (empty (1, 0, d), (1, 0) and zeros (N,) without mini-batches),
    `State` and `Passages`; first_step, the number of steps before this chunk; tasks and workers as in
    `descent.descend_sweep`. Updates State and Passages; a level that is still to be decided keeps status 0.

    After the last chunk State holds, for each cell, where it left: at the last level and moment, at divergence, or at
    the end of its schedule; the caller writes what is left to decide from it, as out of steps. A cell takes no step
    beyond its needs, so without levels or moments it takes none. Everything may be cut into chunks and launches in
    any way, by steps, schedules or seeds, without a change of bits; noise kind, batch, optimiser and average are
    common to one launch.
    """
    for _ in prange(workers):
        walk_worker(cells, plan, method, noise, rows, state, passages, first_step, tasks)
