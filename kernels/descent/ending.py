"""How a run ends after its steps: by a gradient flow that crosses the levels left, or out of steps."""

import math

import numpy as np
from numba import prange

from ..arrays import ENDED
from ..jit import inline, sweep, worker
from ..status import AT_FLOOR, OUT_OF_STEPS, REACHED
from ..tasks import NONE_LEFT, claim_cells
from .flow import crossing_time
from .recurrence import write_levels

SEEDS_A_TASK = 64


@inline
def flow(x, lam, tau, i):
    """Coordinate i after the flow time tau: exp(-lam_i tau) x_i; at tau = inf only null directions are left."""
    return x[i] * math.exp(-lam[i] * tau) if lam[i] > 0.0 else x[i]


@inline
def cross_levels(x, lam, unit, elapsed, cells, rates, course, s, n):
    """Let a cell flow through the levels that it has not passed; unit turns flow time into the schedule's unit."""
    tau = 0.0
    for k in range(course.decided[s, n], cells.threshold.shape[1]):
        tau = crossing_time(x, lam, cells.threshold[n, k], tau) if cells.threshold[n, k] > 0.0 else np.inf
        course.status[s, n, k] = REACHED if tau < np.inf else OUT_OF_STEPS
        course.stop_step[s, n, k] = rates.length[s]
        course.stop_time[s, n, k] = elapsed + tau * unit
        if tau < np.inf and course.stop_fraction.shape[2] > 0:
            course.stop_fraction[s, n, k] = 1.0
        for i in range(x.size):
            course.stop_x[s, n, k, i] = flow(x, lam, tau, i)


@inline
def record_flow(x, lam, unit, flows, course, s, row):
    """Record the moments that lie in the flow, in a row of the recorded seeds."""
    for slot in range(flows.record_time.shape[1]):
        if flows.record_time[s, slot] >= 0.0:
            tau = flows.record_time[s, slot] / unit
            for i in range(x.size):
                course.record_x[s, row, slot, i] = flow(x, lam, tau, i)


@worker
def finish_seeds(curvature, cells, rates, course, flows, elapsed, s, first, last):
    """End the cells of some seeds with schedule s."""
    flowing = flows.flows[s] == 1
    x, lam = np.empty(curvature.shape[1]), np.empty(curvature.shape[1])
    for n in range(first, last):
        recorded = flowing and cells.row[n] >= 0 and course.record_x.shape[2] > 0
        decided = course.decided[s, n]
        if decided == ENDED or (decided >= cells.threshold.shape[1] and not recorded):
            continue
        sharpness = 0.0
        for i in range(x.size):
            x[i], lam[i] = course.x[s, n, i], curvature[n, i]
            sharpness = max(sharpness, lam[i])
        unit = sharpness if rates.unit[s] == 1 and sharpness > 0.0 else 1.0
        if flowing:
            cross_levels(x, lam, unit, elapsed, cells, rates, course, s, n)
        else:
            write_levels(course, s, n, x, cells.threshold.shape[1], OUT_OF_STEPS, rates.length[s], elapsed)
        if recorded:
            record_flow(x, lam, unit, flows, course, s, cells.row[n])


@worker
def finish_worker(curvature, cells, rates, course, flows, elapsed, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, rates.length.size, cells.row.size, SEEDS_A_TASK)
        if s == NONE_LEFT:
            return
        finish_seeds(curvature, cells, rates, course, flows, elapsed[s], s, first, last)


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
