"""Losses from residuals r themselves, for walks, which carry r and not sqrt(lam) r: noise moves null directions too.

train loss = train_floor + 1/2 sum_i lam_i r_i^2
test loss  = test_floor + y^T (b + M y),  y = r + delta; b is 0 where test_floor is the smallest
"""

import numpy as np
from numba import prange

from .intrinsics import fma
from .jit import cell, sweep, worker
from .stochastic.energies import curved_sum
from .tasks import NONE_LEFT, claim_cells

ROWS_A_TASK = 64


@cell
def quadratic_form(residual, offset, slope, matrices, which):
    """y^T (b + M y), y = r + delta."""
    total = 0.0
    for i in range(residual.size):
        row = slope[i]
        for j in range(residual.size):
            row = fma(matrices[which, i, j], residual[j] + offset[j], row)
        total = fma(row, residual[i] + offset[i], total)
    return total


@worker
def weigh_residuals(landscape, seed, residuals, train_loss, test_loss, first, last):
    """Losses of some rows at each of M moments, residuals (R, M, d)."""
    curvature, offsets, matrices = landscape.curvature, landscape.offset, landscape.test_matrix
    train_floor, test_floor, slope = landscape.train_floor, landscape.test_floor, landscape.test_slope
    axes = curvature.shape[1]
    lam, offset, r = np.empty(axes), np.empty(axes), np.empty(axes)
    for row in range(first, last):
        n = seed[row]
        which = n if matrices.shape[0] > 1 else 0
        for i in range(axes):
            lam[i], offset[i] = curvature[n, i], offsets[n, i]
        for k in range(residuals.shape[1]):
            for i in range(axes):
                r[i] = residuals[row, k, i]
            train_loss[row, k] = train_floor[n] + 0.5 * curved_sum(lam, r)
            test_loss[row, k] = test_floor[n] + quadratic_form(r, offset, slope[n], matrices, which)


@worker
def residual_losses_worker(landscape, seed, residuals, train_loss, test_loss, tasks):
    """Claim tasks of a few rows with one schedule each."""
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, residuals.shape[0], seed.size, ROWS_A_TASK)
        if s == NONE_LEFT:
            return
        weigh_residuals(landscape, seed, residuals[s], train_loss[s], test_loss[s], first, last)


@sweep
def residual_losses_sweep(landscape, seed, residuals, train_loss, test_loss, tasks, workers):
    """Losses of residuals (S, R, M, d) of the R seeds `seed`; the arguments are those of `losses.losses_sweep`.

    A cell that `stochastic.walk_sweep` found at or below a level has a train loss at or below it here too.
    """
    for _ in prange(workers):
        residual_losses_worker(landscape, seed, residuals, train_loss, test_loss, tasks)
