"""Early stopping on a validation loss, checked now and then, with every patience in one pass.

Check k of a cell has the loss v_k, the start being check 0. With b the best loss so far (infinite before the start), a
check improves on it where

    v_k + min_delta < b    or, by a share of the best,    v_k < b (1 - min_share),

which neither NaN nor infinity does. The share is one of |b|: where b < 0 the bound is b (1 + min_share). A cell with
patience p stops at the first check at which the last p checks have not improved on the best; the best check is then the
same for every patience that is still waiting, so one count of waiting decides all of them. The start does not count as
waiting, whatever its loss.

The losses are quadratics of what the cells are carried as, x = sqrt(lam) r or r itself:

    y = unit where + shift = r + delta,    v = floor + y^T (b + M y).

Checks lie side by side in SIMD lanes; the sums are in one order whatever their number.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from .arrays import ENDED
from .intrinsics import fma
from .jit import cell, inline, sweep, worker
from .quadratic_forms import triangular_forms
from .status import DIVERGED, VALIDATION_STOPPED
from .tasks import NONE_LEFT, claim_cells

SEEDS_A_TASK = 64
# The best check came before this window.
EARLIER = -1


class Scratch(NamedTuple):
    """What a thread works with, W checks and E patiences."""

    y: np.ndarray  # (d, W)
    part: np.ndarray  # (W,)
    losses: np.ndarray  # (W,)
    best_at: np.ndarray  # (E,)
    stopped_at: np.ndarray  # (E,)


@cell
def follow_losses(losses, count, patience, min_delta, min_share, best, wait, decided, best_at, stopped_at):
    """Follow the losses of the first `count` checks; return best, wait, decided, and the last check that improved.

    best, wait and decided are what the checks before left (infinity, -1 and 0 before the start). For every patience
    that ends, best_at is the check that is best then (EARLIER: none of these), stopped_at the check at which it ends.
    """
    improved = EARLIER
    for k in range(count):
        if losses[k] + min_delta < best * (1.0 - math.copysign(min_share, best)):
            best, wait, improved = losses[k], 0, k
            continue
        wait += 1
        while decided < patience.size and wait >= patience[decided]:
            best_at[decided], stopped_at[decided] = improved, k
            decided += 1
        if decided == patience.size:
            break
    return best, wait, decided, improved


@inline
def validation_losses(checks, validation, s, n, count, scratch):
    """losses[k] = floor + y_k^T (b + M y_k) of the checks of one cell."""
    y, losses = scratch.y, scratch.losses
    for i in range(y.shape[0]):
        for k in range(count):
            y[i, k] = fma(checks.where[s, n, k, i], validation.unit[n, i], validation.shift[n, i])
    triangular_forms(y, validation.slope, validation.matrix, n, count, scratch.part, losses)
    for k in range(count):
        losses[k] += validation.floor[n]


@inline
def checks_made(step, s, n, runs):
    """How many checks of a window a cell was there for: neither ended nor diverged; step (S, W)."""
    count = 0
    while count < step.shape[1] and step[s, count] >= 0:
        if runs.status[s, n, 0] == DIVERGED and step[s, count] >= runs.stop_step[s, n, 0]:
            break
        count += 1
    return count


@inline
def copy_cell(source, s, n, k, target, m):
    """target[s, n, m] = source[s, n, k], along the last axis."""
    for i in range(source.shape[3]):
        target[s, n, m, i] = source[s, n, k, i]


@inline
def stop_at_check(checks, watch, s, n, k, level):
    """What a cell is given as at one level: what it was at check k of the window."""
    watch.stop_step[s, n, level] = checks.step[s, k]
    watch.stop_time[s, n, level] = checks.time[s, k]
    copy_cell(checks.where, s, n, k, watch.stop, level)
    copy_cell(checks.average, s, n, k, watch.stop_average, level)


@inline
def stop_at_best(watch, s, n, level):
    """What a cell is given as at one level: what it was at its best check, in an earlier window."""
    watch.stop_step[s, n, level] = watch.best_step[s, n]
    watch.stop_time[s, n, level] = watch.best_time[s, n]
    copy_cell(watch.best, s, n, 0, watch.stop, level)
    copy_cell(watch.best_average, s, n, 0, watch.stop_average, level)


@inline
def note_best(checks, watch, s, n, k):
    """Note check k of the window as the best so far."""
    watch.best_step[s, n], watch.best_time[s, n] = checks.step[s, k], checks.time[s, k]
    copy_cell(checks.where, s, n, k, watch.best, 0)
    copy_cell(checks.average, s, n, k, watch.best_average, 0)


@inline
def end_patiences(checks, rule, watch, s, n, first, last, scratch):
    """Write where the patiences first..last - 1 of a cell ended."""
    for level in range(first, last):
        watch.status[s, n, level] = VALIDATION_STOPPED
        watch.check_step[s, n, level] = checks.step[s, scratch.stopped_at[level]]
        k = scratch.best_at[level] if rule.restore == 1 else scratch.stopped_at[level]
        if k == EARLIER:
            stop_at_best(watch, s, n, level)
        else:
            stop_at_check(checks, watch, s, n, k, level)


@inline
def check_cell(checks, validation, rule, watch, runs, s, n, scratch):
    """Follow one cell through the checks of a window."""
    before = watch.decided[s, n]
    count = checks_made(checks.step, s, n, runs)
    if before == rule.patience.size or count == 0:
        return
    if checks.loss.shape[0] > 0:
        for k in range(count):
            scratch.losses[k] = checks.loss[s, n, k]
    else:
        validation_losses(checks, validation, s, n, count, scratch)
    watch.best_loss[s, n], watch.wait[s, n], after, improved = follow_losses(
        scratch.losses, count, rule.patience, rule.min_delta, rule.min_share,
        watch.best_loss[s, n], watch.wait[s, n], before, scratch.best_at, scratch.stopped_at,
    )  # fmt: skip
    end_patiences(checks, rule, watch, s, n, before, after, scratch)
    if improved != EARLIER:
        note_best(checks, watch, s, n, improved)
    watch.decided[s, n] = after
    if after == rule.patience.size:
        runs.decided[s, n] = ENDED


@cell
def check_seeds(checks, validation, rule, watch, runs, s, first, last, scratch):
    """Follow the seeds first..last - 1 through the checks of a window."""
    for n in range(first, last):
        check_cell(checks, validation, rule, watch, runs, s, n, scratch)


@worker
def validation_worker(checks, validation, rule, watch, runs, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    width, patiences = checks.step.shape[1], rule.patience.size
    scratch = Scratch(
        np.empty((checks.where.shape[3], width)), np.empty(width), np.empty(width),
        np.empty(patiences, np.int64), np.empty(patiences, np.int64),
    )  # fmt: skip
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, checks.step.shape[0], checks.where.shape[1], SEEDS_A_TASK)
        if s == NONE_LEFT:
            return
        check_seeds(checks, validation, rule, watch, runs, s, first, last, scratch)


@sweep
def validation_sweep(checks, validation, rule, watch, runs, tasks, workers):
    """Check the validation loss of every cell at each check of a window, and end the patiences that are exhausted.

    Parameters: `Checks`, `Validation`, `Patience`, `Watch` of `arrays`, the last updated; runs, the `Runs` of the
    cells' Course or Passages, which say where a cell diverged: from that step on it is not checked; decided becomes
    ENDED where no patience is left; tasks and workers as in `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        validation_worker(checks, validation, rule, watch, runs, tasks)
