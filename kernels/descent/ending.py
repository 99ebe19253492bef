"""How a run ends after its steps: by a gradient flow that crosses the levels left, or out of steps."""

import math

import numpy as np
from numba import prange

from ..arrays import AT_FLOOR, GONE, OUT_OF_STEPS, REACHED
from ..jit import cell, sweep, worker
from ..tasks import NONE_LEFT, claim_cells
from .flow import crossing_time
from .recurrence import write_levels

SEEDS_A_TASK = 64


@cell
def flow_to(x, lam, tau, n, k, moments):
    """moments[n, k]_i = exp(-lam_i tau) x_i; at tau = inf only what lies along null directions is left."""
    for i in range(x.size):
        moments[n, k, i] = x[i] * math.exp(-lam[i] * tau) if lam[i] > 0.0 else x[i]


@cell
def cross_levels(x, lam, unit, elapsed, steps, n, threshold, decided, status, stop_step, stop_time, stop_x):
    """Let seed n flow through the levels that it has not passed; unit turns flow time into the schedule's unit."""
    tau = 0.0
    for k in range(decided[n], threshold.shape[1]):
        tau = crossing_time(x, lam, threshold[n, k], tau) if threshold[n, k] > 0.0 else np.inf
        status[n, k] = REACHED if tau < np.inf else OUT_OF_STEPS
        stop_step[n, k] = steps
        stop_time[n, k] = elapsed + tau * unit
        flow_to(x, lam, tau, n, k, stop_x)


@cell
def record_flow(x, lam, unit, record_time, row, record_x):
    """Record the moments that lie in the flow."""
    for slot in range(record_time.size):
        if record_time[slot] >= 0.0:
            flow_to(x, lam, record_time[slot] / unit, row, slot, record_x)


@worker
def finish_seeds(curvature, cells, rates, course, flows, elapsed, s, first, last):
    """End the cells of some seeds with schedule s."""
    threshold, row, record_time = cells.threshold, cells.row, flows.record_time[s]
    x_now, decided, status = course.x[s], course.decided[s], course.status[s]
    stop_step, stop_time, stop_x, record_x = (
        course.stop_step[s],
        course.stop_time[s],
        course.stop_x[s],
        course.record_x[s],
    )
    steps, flowing = rates.length[s], flows.flows[s] == 1
    x, lam = np.empty(curvature.shape[1]), np.empty(curvature.shape[1])
    for n in range(first, last):
        recorded = flowing and row[n] >= 0 and record_x.shape[1] > 0
        if decided[n] == GONE or (decided[n] >= threshold.shape[1] and not recorded):
            continue
        sharpness = 0.0
        for i in range(x.size):
            x[i], lam[i] = x_now[n, i], curvature[n, i]
            sharpness = max(sharpness, lam[i])
        unit = sharpness if rates.unit[s] == 1 and sharpness > 0.0 else 1.0
        if flowing:
            cross_levels(x, lam, unit, elapsed, steps, n, threshold, decided, status, stop_step, stop_time, stop_x)
        else:
            write_levels(
                x, decided[n], threshold.shape[1], OUT_OF_STEPS, steps, elapsed, n,
                status, stop_step, stop_time, stop_x,
            )  # fmt: skip
        if recorded:
            record_flow(x, lam, unit, record_time, row[n], record_x)


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
