"""Losses at the stops and at the recorded moments, from x = sqrt(lam) r.

r_i        = x_i / sqrt(lam_i);  along null directions (lam_i = 0) the residual of the start, which never moves
train loss = train_floor + 1/2 sum_i x_i^2
test loss  = test_floor + y^T (b + M y),  y = r + delta; b is 0 where test_floor is the smallest
"""

import math

import numpy as np
from numba import prange

from .intrinsics import fma
from .jit import inline, sweep, worker
from .tasks import NONE_LEFT, claim_cells

ROWS_A_TASK = 64
# Moments that are weighed side by side, in SIMD lanes: few enough that all their axes stay in the first-level cache.
MOMENTS_A_TILE = 32
FEW_MOMENTS = 8


@inline
def load_tile(moments, row, first, count, x, energy):
    """x[i, k] = coordinate i of moment first + k of a row, moments (R, M, d); energy[k] = sum_i x_i^2."""
    for i in range(x.shape[0]):
        for k in range(count):
            value = moments[row, first + k, i]
            x[i, k] = value
            # In the order and rounding of descent.square_sum.
            energy[k] = fma(value, value, energy[k] if i > 0 else 0.0)


@inline
def to_residuals(x, lam, start, n, count):
    """Turn the x of seed n into r, in place; lam and start (N, d)."""
    for i in range(x.shape[0]):
        if lam[n, i] > 0.0:
            root = math.sqrt(lam[n, i])
            for k in range(count):
                x[i, k] = x[i, k] / root
        else:
            for k in range(count):
                x[i, k] = start[n, i]


@inline
def leave_moments(moments, row, first, count, residual, keep):
    """Leave the residuals where their moments were, or NaN, so that the array is as new for the next block."""
    for k in range(count):
        for i in range(residual.shape[0]):
            moments[row, first + k, i] = residual[i, k] if keep else np.nan


@inline
def quadratic_forms(residual, offset, slope, n, matrices, which, count, part, total):
    """total[k] = y^T (b + M y) of every moment; residuals become y = r + delta, part is scratch."""
    for i in range(residual.shape[0]):
        shift = offset[n, i]
        for k in range(count):
            residual[i, k] += shift
    for i in range(residual.shape[0]):
        for j in range(residual.shape[0]):
            weight = matrices[which, i, j]
            for k in range(count):
                part[k] = fma(weight, residual[j, k], part[k] if j > 0 else slope[n, i])
        for k in range(count):
            total[k] = fma(part[k], residual[i, k], total[k] if i > 0 else 0.0)


@inline
def weigh_one(lam, start, offset, slope, n, matrices, which, moments, row, k, x):
    """The same for one moment: sum_i x_i^2 and y^T (b + M y); it becomes r, and x (d,) y = r + delta."""
    energy, total = 0.0, 0.0
    for i in range(x.size):
        value = moments[row, k, i]
        energy = fma(value, value, energy)
        residual = value / math.sqrt(lam[n, i]) if lam[n, i] > 0.0 else start[n, i]
        moments[row, k, i] = residual
        x[i] = residual + offset[n, i]
    for i in range(x.size):
        part = slope[n, i]
        for j in range(x.size):
            part = fma(matrices[which, i, j], x[j], part)
        total = fma(part, x[i], total)
    return energy, total


@worker
def weigh_few(landscape, seed, moments, train_loss, test_loss, s, first, last):
    """weigh_rows where there are too few moments to lie side by side, to the same bits; they become residuals."""
    lam, start, offset, matrices, train_floor, test_floor, slope = landscape
    x = np.empty(moments.shape[2])
    for row in range(first, last):
        n = seed[row]
        which = n if matrices.shape[0] > 1 else 0
        for k in range(moments.shape[1]):
            energy, total = weigh_one(lam, start, offset, slope, n, matrices, which, moments, row, k, x)
            train_loss[s, row, k] = train_floor[n] + 0.5 * energy
            test_loss[s, row, k] = test_floor[n] + total


@worker
def weigh_rows(landscape, seed, moments, keep, train_loss, test_loss, s, first, last):
    """Losses of the rows first..last - 1 at each of M moments; moments (R, M, d), losses (.., R, M) in row s."""
    lam, start, offset, matrices, train_floor, test_floor, slope = landscape
    shape = moments.shape[2], MOMENTS_A_TILE
    x, part, total = np.empty(shape), np.empty(MOMENTS_A_TILE), np.empty(MOMENTS_A_TILE)
    for row in range(first, last):
        n = seed[row]
        which = n if matrices.shape[0] > 1 else 0
        for begin in range(0, moments.shape[1], MOMENTS_A_TILE):
            count = min(MOMENTS_A_TILE, moments.shape[1] - begin)
            load_tile(moments, row, begin, count, x, total)
            for k in range(count):
                train_loss[s, row, begin + k] = train_floor[n] + 0.5 * total[k]
            to_residuals(x, lam, start, n, count)
            leave_moments(moments, row, begin, count, x, keep)
            quadratic_forms(x, offset, slope, n, matrices, which, count, part, total)
            for k in range(count):
                test_loss[s, row, begin + k] = test_floor[n] + total[k]


@worker
def losses_worker(landscape, seed, moments, keep, rows, train_loss, test_loss, tasks):
    """Claim tasks of a few rows with one schedule each."""
    few = keep and moments.shape[2] < FEW_MOMENTS
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, moments.shape[0], seed.size, ROWS_A_TASK)
        if s == NONE_LEFT:
            return
        if few:
            weigh_few(landscape, seed, moments[s], train_loss, test_loss, rows[s], first, last)
        else:
            weigh_rows(landscape, seed, moments[s], keep, train_loss, test_loss, rows[s], first, last)


@sweep
def losses_sweep(landscape, seed, moments, keep, rows, train_loss, test_loss, tasks, workers):
    """Losses at M moments of R seeds with each schedule; NaN where x is.

    Parameters: `Landscape` of `arrays`; seed (R,), the seeds of the rows; moments (S, R, M, d), x at each, which
    becomes the residual where `keep` is true and NaN elsewhere; rows (S,), the schedules' rows in train_loss and
    test_loss (.., R, M), float64 or float32, which are filled there; tasks and workers as in `descent.descend_sweep`.
    """
    for _ in prange(workers):
        losses_worker(landscape, seed, moments, keep, rows, train_loss, test_loss, tasks)
