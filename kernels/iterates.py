"""The iterates themselves at the recorded moments: theta = theta_hat + Q r."""

import numpy as np
from numba import prange

from .intrinsics import fma
from .jit import cell, sweep, worker
from .tasks import NONE_LEFT, claim_cells

ROWS_A_TASK = 64


@cell
def turn_back(eigenvectors, minimiser, residuals, clear, iterates, first, last, theta):
    """theta of some seeds at each of M moments; residuals (R, M, d), which become NaN where `clear` is true."""
    for row in range(first, last):
        for k in range(residuals.shape[1]):
            for i in range(theta.size):
                theta[i] = minimiser[row, i]
            for j in range(theta.size):
                for i in range(theta.size):
                    theta[i] = fma(eigenvectors[row, i, j], residuals[row, k, j], theta[i])
            for i in range(theta.size):
                iterates[row, k, i] = theta[i]
                if clear:
                    residuals[row, k, i] = np.nan


@worker
def iterates_worker(eigenvectors, minimiser, residuals, clear, places, iterates, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    theta = np.empty(minimiser.shape[1])
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, residuals.shape[0], minimiser.shape[0], ROWS_A_TASK)
        if s == NONE_LEFT:
            return
        turn_back(eigenvectors, minimiser, residuals[s], clear, iterates[places[s]], first, last, theta)


@sweep
def iterates_sweep(eigenvectors, minimiser, residuals, clear, places, iterates, tasks, workers):
    """theta = theta_hat + Q r at M moments of R seeds with each schedule; NaN where r is.

    Parameters: eigenvectors (R, d, d) = Q; minimiser (R, d) = theta_hat; residuals (S, R, M, d), which become NaN where
    `clear` is true; places (S,), where the schedules stand in iterates (.., R, M, d), float64 or float32, which are
    filled there; tasks and workers as in `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        iterates_worker(eigenvectors, minimiser, residuals, clear, places, iterates, tasks)
