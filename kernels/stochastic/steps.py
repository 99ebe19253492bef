"""Steps of any optimiser along exact or noisy gradients, to the first passage of each train-loss level.

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

from numba import prange

from ..jit import cell, inline, sweep, worker
from ..pool import lanes_within, raise_alarms, whole_lanes
from ..tasks import NONE_LEFT, claim_cells
from .averages import average_lanes
from .energies import curved_sums
from .gradients import NO_NOISE, SHUFFLED, WITH_REPLACEMENT, gradient_lanes, make_drawn, order_epoch, steps_an_epoch
from .lanes import (
    Launch,
    Members,
    answer_alarms,
    end_lanes,
    first_end,
    first_moment,
    lay_out_rates,
    load_cells,
    make_pool,
    record_lanes,
    start_cells,
    store_cells,
)
from .optimizers import update_lanes

SEGMENT = 32
# Of lam, r, velocity, average and gradient.
POOL_BYTES = 96 * 1024
LARGEST_POOL = 128


@cell
def pool_width(dimension, cells):
    """Lanes of a pool, a multiple of LANES: what the second-level cache holds, and pools of equal width."""
    most = lanes_within(POOL_BYTES, 40 * dimension, LARGEST_POOL)
    pools = (cells + most - 1) // most
    return whole_lanes((cells + pools - 1) // pools)


@inline
def segment_end(pool, count, launch, n, step, last_step):
    """The step up to which no schedule of the pool ends, no epoch, and no laid-out rates."""
    end = min(first_end(pool, count, launch.rates.length), last_step, step + SEGMENT)
    if launch.noise.kind == SHUFFLED:
        epoch = steps_an_epoch(launch.rows.count[n], launch.noise.batch)
        end = min(end, (step // epoch + 1) * epoch)
    return end


@inline
def take_segment(pool, drawn, count, launch, n, step, end, first_step):
    """Take the steps from `step` to `end`, first_step that of the chunk; return how many cells left the pool."""
    method, filled = launch.method, whole_lanes(count)
    lay_out_rates(pool, count, launch.rates, step - first_step, end - step)
    moment = first_moment(pool, count)
    left = 0
    for now in range(step, end):
        gradient_lanes(pool, drawn, launch, n, now, filled)
        update_lanes(method.optimizer, pool.gradient, pool.rates, now - step, pool.beta, pool.r, pool.velocity, filled)
        average_lanes(
            method.average, now + 1, pool.tail_start, pool.decay, pool.r, pool.average, pool.past, pool.present, filled
        )
        curved_sums(pool.lam, pool.r, pool.energy, filled)
        if raise_alarms(pool.energy, pool.bar, pool.alarm, filled):
            left += answer_alarms(pool, count, launch, now + 1, now - first_step, now - step)
        if now + 1 == moment:
            left += record_lanes(pool, count, launch, moment)
            moment = first_moment(pool, count)
    return left + end_lanes(pool, count, launch, end)


@worker
def step_pool(launch, members, first_step, width):
    """Take one chunk of steps with one pool."""
    noise, dimension = launch.noise, launch.cells.scale.shape[2]
    n = members.other if members.across else 0
    pool = make_pool(dimension, launch.state.velocity.shape[2], launch.state.average.shape[2], SEGMENT, width)
    batch = noise.batch if noise.kind >= WITH_REPLACEMENT else 0
    shuffled = noise.kind == SHUFFLED
    drawn = make_drawn(dimension, noise.dimension[n], batch, launch.rows.count[n] if shuffled else 0, width)
    step, last_step = first_step, first_step + launch.rates.eta.shape[1]
    count = busy = 0
    while step < last_step:
        if 8 * busy <= 7 * count:
            store_cells(pool, count, launch.state)
            count = busy = load_cells(pool, members, launch, step)
            if count == 0:
                return
        # The order in hand at the start of a chunk may be another epoch's.
        if shuffled and (step == first_step or step % steps_an_epoch(drawn.order.size, batch) == 0):
            order_epoch(drawn, noise, n, step)
        end = segment_end(pool, count, launch, n, step, last_step)
        busy -= take_segment(pool, drawn, count, launch, n, step, end, first_step)
        step = end
    store_cells(pool, count, launch.state)


@worker
def stochastic_worker(launch, first_step, tasks):
    """Claim tasks, one pool each, until none is left or a stop is asked for."""
    schedules, seeds = launch.passages.decided.shape
    across = launch.noise.kind != NO_NOISE
    inner, outer = (schedules, seeds) if across else (seeds, schedules)
    dimension = launch.cells.scale.shape[2]
    width = pool_width(dimension, inner)
    while tasks[1] == 0:
        row, first, last = claim_cells(tasks, outer, inner, width)
        if row == NONE_LEFT:
            return
        members = Members(first, last, row, across)
        if first_step == 0:
            start_cells(make_pool(dimension, 0, launch.state.average.shape[2], 0, 1), members, launch)
        step_pool(launch, members, first_step, width)


@sweep
def stochastic_sweep(cells, rates, method, noise, rows, state, passages, first_step, tasks, workers):
    """Take one chunk of steps with every cell, until its levels are passed and its moments recorded.

    Parameters: `Cells` of `arrays`, of which scale[0] (lam), threshold and row are read; `Rates`, with T steps of every
    schedule in its own unit; `Method`, `Noise`, `Rows` (empty (1, 0, d), (1, 0) and zeros (N,) without mini-batches),
    `State` and `Passages`; first_step, the number of steps before this chunk; tasks and workers as in
    `descent.recurrence.descend_sweep`. Updates State and Passages; a level that is still to be decided keeps status 0.

    After the last chunk State holds, for each cell, where it left: at the last level and moment, at divergence, or at
    the end of its schedule; the caller writes what is left to decide from it, as out of steps. A cell takes no step
    beyond its needs, so without levels or moments it takes none. Everything may be cut into chunks and launches in
    any way, by steps, schedules or seeds, without a change of bits; noise kind, batch, optimiser and average are
    common to one launch.
    """
    for _ in prange(workers):
        stochastic_worker(Launch(cells, rates, method, noise, rows, state, passages), first_step, tasks)
