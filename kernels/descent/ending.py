"""How a run ends after its steps: by a gradient flow that crosses the levels left, or out of steps."""

import math

import numpy as np
from numba import prange

from ..arrays import ENDED
from ..jit import inline, sweep, worker
from ..status import AT_FLOOR, OUT_OF_STEPS, REACHED
from ..tasks import NONE_LEFT, claim_cells
from .exponential import LOWEST_EXPONENT
from .flow import crossing_time
from .flow_lanes import FEWEST_LANES, cross_together, is_ordinary, look, make_lanes
from .recurrence import write_levels

SEEDS_A_TASK = 64


@inline
def flow(x, lam, tau):
    """A coordinate after the flow time tau: exp(-lam tau) x; at tau = inf only null directions are left."""
    return x * math.exp(-lam * tau) if lam > 0.0 else x


@inline
def gather(lanes, count, width, curvature, course, s):
    """Put the cells of lanes.seed[:count] at their starts; the lanes that are left over get the first one's."""
    for k in range(width):
        n = lanes.seed[k] if k < count else lanes.seed[0]
        sharpness = 0.0
        for i in range(lanes.x.shape[0]):
            lanes.x[i, k], lanes.curvature[i, k] = course.x[s, n, i], curvature[n, i]
            sharpness = max(sharpness, curvature[n, i])
        lanes.sharpness[k], lanes.tau[k] = sharpness, 0.0


@inline
def cross_alone(lanes, k, threshold):
    """The crossing time of one lane, from where it is; inf where it stays above."""
    if not threshold > 0.0 or lanes.tau[k] == np.inf:
        return np.inf
    x, curvature = lanes.x_alone, lanes.curvature_alone
    for i in range(x.size):
        x[i], curvature[i] = lanes.x[i, k], lanes.curvature[i, k]
    return crossing_time(x, curvature, threshold, lanes.tau[k])


@inline
def write_crossing(lanes, k, elapsed, unit, rates, course, s, level):
    """The stop of one lane at its tau."""
    n, tau = lanes.seed[k], lanes.tau[k]
    course.status[s, n, level] = REACHED if tau < np.inf else OUT_OF_STEPS
    course.stop_step[s, n, level] = rates.length[s]
    course.stop_time[s, n, level] = elapsed + tau * unit
    if tau < np.inf and course.stop_fraction.shape[2] > 0:
        course.stop_fraction[s, n, level] = 1.0
    for i in range(lanes.x.shape[0]):
        course.stop_x[s, n, level, i] = lanes.y[i, k]


@inline
def place_alone(lanes, k):
    """y of one lane at its tau, without a bound on the exponents."""
    for i in range(lanes.x.shape[0]):
        lanes.y[i, k] = flow(lanes.x[i, k], lanes.curvature[i, k], lanes.tau[k])


@worker
def cross_levels(lanes, count, curvature, cells, rates, course, elapsed, s):
    """Let the cells of lanes.seed[:count] flow through the levels that they have not passed."""
    width = (count + FEWEST_LANES - 1) // FEWEST_LANES * FEWEST_LANES
    gather(lanes, count, width, curvature, course, s)
    look(lanes, width)
    lanes.alone[:] = 0
    for level in range(cells.threshold.shape[1]):
        for k in range(width):
            n = lanes.seed[k] if k < count else lanes.seed[0]
            threshold = cells.threshold[n, level]
            wanted = k < count and level >= course.decided[s, n] and threshold > 0.0 and lanes.alone[k] == 0
            lanes.threshold[k] = threshold if wanted else 1.0
            lanes.moving[k] = 1.0 if wanted else 0.0
            lanes.before[k] = lanes.tau[k]
        cross_together(lanes, width)
        for k in range(count):
            n = lanes.seed[k]
            if level < course.decided[s, n]:
                continue
            threshold = cells.threshold[n, level]
            if lanes.alone[k] == 1 or not threshold > 0.0 or not is_ordinary(lanes, k):
                lanes.alone[k], lanes.tau[k] = 1, lanes.before[k]
                lanes.tau[k] = cross_alone(lanes, k, threshold)
            if lanes.alone[k] == 1 or lanes.sharpness[k] * lanes.tau[k] > -LOWEST_EXPONENT:
                place_alone(lanes, k)
            unit = lanes.sharpness[k] if rates.unit[s] == 1 and lanes.sharpness[k] > 0.0 else 1.0
            write_crossing(lanes, k, elapsed, unit, rates, course, s, level)


@inline
def record_flow(x, lam, in_sharpness, flows, course, s, row):
    """Record the moments that lie in the flow, in a row of the recorded seeds."""
    sharpness = 0.0
    for i in range(lam.size):
        sharpness = max(sharpness, lam[i])
    unit = sharpness if in_sharpness == 1 and sharpness > 0.0 else 1.0
    for slot in range(flows.record_time.shape[1]):
        if flows.record_time[s, slot] >= 0.0:
            tau = flows.record_time[s, slot] / unit
            for i in range(x.size):
                course.record_x[s, row, slot, i] = flow(x[i], lam[i], tau)


@worker
def finish_seeds(lanes, curvature, cells, rates, course, flows, elapsed, s, first, last):
    """End the cells of some seeds with schedule s."""
    flowing, count = flows.flows[s] == 1, 0
    for n in range(first, last):
        if course.decided[s, n] < cells.threshold.shape[1] and course.decided[s, n] != ENDED:
            if flowing:
                lanes.seed[count] = n
                count += 1
            else:
                write_levels(
                    course, s, n, course.x[s, n], cells.threshold.shape[1], OUT_OF_STEPS, rates.length[s], elapsed
                )
        if count == lanes.seed.size or (count > 0 and n == last - 1):
            cross_levels(lanes, count, curvature, cells, rates, course, elapsed, s)
            count = 0
        if flowing and course.decided[s, n] != ENDED and cells.row[n] >= 0 and course.record_x.shape[2] > 0:
            record_flow(course.x[s, n], curvature[n], rates.unit[s], flows, course, s, cells.row[n])


@worker
def finish_worker(curvature, cells, rates, course, flows, elapsed, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    lanes = make_lanes(curvature.shape[1])
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, rates.length.size, cells.row.size, SEEDS_A_TASK)
        if s == NONE_LEFT:
            return
        finish_seeds(lanes, curvature, cells, rates, course, flows, elapsed[s], s, first, last)


@sweep
def finish_sweep(curvature, cells, rates, course, flows, elapsed, tasks, workers):
    """End every cell after its discrete steps, by exp(-lam tau) or out of steps.

    Parameters: curvature (N, d); `Cells`, `Rates`, `Course`, `Flows` of `arrays`; elapsed (S,), the time of all
    discrete steps in each schedule's unit; tasks and workers as in `descent.descend_sweep`. Updates `Course`.
    """
    for _ in prange(workers):
        finish_worker(curvature, cells, rates, course, flows, elapsed, tasks)


def mark_out_of_reach(cells, course):
    """Levels at or below a seed's floor get their own status, whatever ended the run."""
    out_of_reach = cells.threshold < 0.0
    if out_of_reach.any():
        course.status[:, out_of_reach] = AT_FLOOR
