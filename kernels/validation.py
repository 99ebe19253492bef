"""Early stopping on a validation loss, looked at now and then, with every patience in one pass.

Look k of a cell has the loss v_k, the start being look 0. With b the best loss so far (infinite before the start), a
look improves on it where

    v_k + min_delta < b,

which neither NaN nor infinity does. A cell with patience p stops at the first look at which the last p looks have not
improved on the best; the best look is then the same for every patience that is still waiting, so one count of waiting
decides all of them. The start does not count as waiting, whatever its loss.

The losses are quadratics of what the cells are carried as, x = sqrt(lam) r or r itself:

    y = unit where + shift = r + delta,    v = floor + y^T (b + M y).

Looks lie side by side in SIMD lanes; the sums are in one order whatever their number.
"""

import numpy as np
from numba import prange

from .arrays import DIVERGED, GONE, VALIDATION_STOPPED
from .intrinsics import fma
from .jit import cell, sweep, worker
from .tasks import NONE_LEFT, claim_cells

SEEDS_A_TASK = 64
# The best look came before this window.
EARLIER = -1


@cell
def watch(losses, count, patience, min_delta, best, wait, decided, kept_at, stopped_at):
    """Follow the losses of some looks, the first `count`; return best, wait, decided, and the look kept last.

    best, wait and decided are what the looks before left (infinity, -1 and 0 before the start). For every patience that
    ends, kept_at is the look that is best then (EARLIER: none of these) and stopped_at the look at which it ends.
    """
    kept = EARLIER
    for k in range(count):
        if losses[k] + min_delta < best:
            best, wait, kept = losses[k], 0, k
            continue
        wait += 1
        while decided < patience.size and wait >= patience[decided]:
            kept_at[decided], stopped_at[decided] = kept, k
            decided += 1
        if decided == patience.size:
            break
    return best, wait, decided, kept


@cell
def weigh_looks(where, s, n, count, unit, shift, matrix, floor, slope, y, part, losses):
    """losses[k] = floor + y_k^T (b + M y_k) of the looks of one cell; y (d, W) and part (W,) are scratch."""
    for i in range(y.shape[0]):
        for k in range(count):
            y[i, k] = fma(where[s, n, k, i], unit[n, i], shift[n, i])
    for k in range(count):
        losses[k] = 0.0
    for i in range(y.shape[0]):
        for k in range(count):
            part[k] = fma(matrix[n, i, i], y[i, k], slope[n, i])
        for j in range(i):
            weight = matrix[n, i, j]
            for k in range(count):
                part[k] = fma(weight, y[j, k], part[k])
        for k in range(count):
            losses[k] = fma(part[k], y[i, k], losses[k])
    for k in range(count):
        losses[k] += floor[n]


@cell
def looks_made(step, s, n, course_status, course_step):
    """How many looks of a window a cell was there for: neither ended nor diverged."""
    count = 0
    while count < step.shape[1] and step[s, count] >= 0:
        if course_status[s, n, 0] == DIVERGED and step[s, count] >= course_step[s, n, 0]:
            break
        count += 1
    return count


@cell
def copy_cell(source, s, n, k, target, m):
    """target[s, n, m] = source[s, n, k], along the last axis."""
    for i in range(source.shape[3]):
        target[s, n, m, i] = source[s, n, k, i]


@cell
def stop_at_look(look_step, look_time, where, average, s, n, k, level, stop_step, stop_time, stop, stop_average):
    """What a cell is given as at one level: what it was at look k of the window."""
    stop_step[s, n, level] = look_step[s, k]
    stop_time[s, n, level] = look_time[s, k]
    copy_cell(where, s, n, k, stop, level)
    copy_cell(average, s, n, k, stop_average, level)


@cell
def stop_at_best(best_step, best_time, best, best_average, s, n, level, stop_step, stop_time, stop, stop_average):
    """What a cell is given as at one level: what it was at its best look, in an earlier window."""
    stop_step[s, n, level] = best_step[s, n]
    stop_time[s, n, level] = best_time[s, n]
    copy_cell(best, s, n, 0, stop, level)
    copy_cell(best_average, s, n, 0, stop_average, level)


@cell
def keep_best(look_step, look_time, where, average, s, n, k, best_step, best_time, best, best_average):
    """Note look k of the window as the best so far."""
    best_step[s, n], best_time[s, n] = look_step[s, k], look_time[s, k]
    copy_cell(where, s, n, k, best, 0)
    copy_cell(average, s, n, k, best_average, 0)


@cell
def look_at_seeds(looks, validation, rule, known, gone, s, first, last, y, part, losses, kept_at, stopped_at):
    """Follow some seeds with schedule s through the looks of a window."""
    step, time, where, average = looks
    unit, shift, matrix, floor, slope = validation
    patience, min_delta, restore = rule
    best_loss, wait, decided, best_step, best_time, best, best_average = known[:7]
    status, look_step, stop_step, stop_time, stop, stop_average = known[7:]
    course_decided, course_status, course_step = gone
    for n in range(first, last):
        before = decided[s, n]
        if before == patience.size:
            continue
        count = looks_made(step, s, n, course_status, course_step)
        if count == 0:
            continue
        weigh_looks(where, s, n, count, unit, shift, matrix, floor, slope, y, part, losses)
        best_loss[s, n], wait[s, n], after, kept = watch(
            losses, count, patience, min_delta, best_loss[s, n], wait[s, n], before, kept_at, stopped_at
        )
        for level in range(before, after):
            status[s, n, level] = VALIDATION_STOPPED
            look_step[s, n, level] = step[s, stopped_at[level]]
            k = kept_at[level] if restore == 1 else stopped_at[level]
            if k == EARLIER:
                stop_at_best(
                    best_step, best_time, best, best_average, s, n, level, stop_step, stop_time, stop, stop_average
                )
            else:
                stop_at_look(step, time, where, average, s, n, k, level, stop_step, stop_time, stop, stop_average)
        if kept != EARLIER:
            keep_best(step, time, where, average, s, n, kept, best_step, best_time, best, best_average)
        decided[s, n] = after
        if after == patience.size:
            course_decided[s, n] = GONE


@worker
def look_worker(looks, validation, rule, known, gone, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    width = looks.step.shape[1]
    y, part, losses = np.empty((looks.where.shape[3], width)), np.empty(width), np.empty(width)
    kept_at, stopped_at = np.empty(rule.looks.size, np.int64), np.empty(rule.looks.size, np.int64)
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, looks.step.shape[0], looks.where.shape[1], SEEDS_A_TASK)
        if s == NONE_LEFT:
            return
        look_at_seeds(looks, validation, rule, known, gone, s, first, last, y, part, losses, kept_at, stopped_at)


@sweep
def look_sweep(looks, validation, rule, known, gone, tasks, workers):
    """Look at the validation loss of every cell at each look of a window, and end the patiences that are exhausted.

    Parameters: `Looks`, `Validation`, `Patience` of `arrays`; known, the `Watch`, updated; gone, (decided (S, N),
    status and stop_step (S, N, 1)) of the cells' Course or Passages, which say where a cell diverged: from that step on
    it is not looked at; decided becomes GONE where no patience is left; tasks and workers as in
    `descent.descend_sweep`.
    """
    for _ in prange(workers):
        look_worker(looks, validation, rule, known, gone, tasks)
