"""Losses from residuals r themselves, for stochastic steps, which carry r and not sqrt(lam) r: noise moves
null directions too.

train loss = train_floor + 1/2 sum_i lam_i r_i^2
test loss  = test_floor + y^T (b + M y),  y = r + delta; b is 0 where test_floor is the smallest
"""

import numpy as np
from numba import prange

from .jit import cell, sweep, worker
from .quadratic_forms import quadratic_form
from .stochastic.energies import curved_sum
from .tasks import NONE_LEFT, claim_cells

ROWS_A_TASK = 64


@cell
def weigh_residuals(landscape, seed, residuals, train_loss, test_loss, first, last, scratch):
    """Losses of the seeds seed[first:last] at each of M moments, residuals (R, M, d); scratch is three of (d,)."""
    lam, r, y = scratch
    for row in range(first, last):
        n = seed[row]
        which = n if landscape.test_matrix.shape[0] > 1 else 0
        for i in range(lam.size):
            lam[i] = landscape.curvature[n, i]
        for k in range(residuals.shape[1]):
            for i in range(r.size):
                r[i] = residuals[row, k, i]
                y[i] = r[i] + landscape.offset[n, i]
            train_loss[row, k] = landscape.train_floor[n] + 0.5 * curved_sum(lam, r)
            total = quadratic_form(y, landscape.test_slope, landscape.test_matrix, n, which)
            test_loss[row, k] = landscape.test_floor[n] + total


@worker
def residual_losses_worker(landscape, seed, residuals, train_loss, test_loss, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    dimension = residuals.shape[3]
    scratch = np.empty(dimension), np.empty(dimension), np.empty(dimension)
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, residuals.shape[0], seed.size, ROWS_A_TASK)
        if s == NONE_LEFT:
            return
        weigh_residuals(landscape, seed, residuals[s], train_loss[s], test_loss[s], first, last, scratch)


@sweep
def residual_losses_sweep(landscape, seed, residuals, train_loss, test_loss, tasks, workers):
    """Losses of residuals (S, R, M, d) of the R seeds `seed`; the arguments are those of `losses.losses_sweep`.

    A cell that `stochastic.steps.stochastic_sweep` found at or below a level has a train loss at or below it here too.
    """
    for _ in prange(workers):
        residual_losses_worker(landscape, seed, residuals, train_loss, test_loss, tasks)
