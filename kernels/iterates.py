"""The iterates themselves at the recorded moments: theta = theta_hat + Q r."""

import numpy as np
from numba import prange

from .intrinsics import fma
from .jit import sweep, worker
from .tasks import NONE_LEFT, claim_cells

ROWS_A_TASK = 64


@worker
def turn_back(axes, minimiser, residuals, clear, iterates, first, last):
    """theta of some rows at each of M moments; residuals (R, M, d), which become NaN where `clear` is true."""
    r, theta = np.empty(minimiser.shape[1]), np.empty(minimiser.shape[1])
    for row in range(first, last):
        for k in range(residuals.shape[1]):
            for i in range(r.size):
                r[i] = residuals[row, k, i]
                theta[i] = minimiser[row, i]
            for j in range(r.size):
                for i in range(r.size):
                    theta[i] = fma(axes[row, i, j], r[j], theta[i])
            for i in range(r.size):
                iterates[row, k, i] = theta[i]
                if clear:
                    residuals[row, k, i] = np.nan


@worker
def iterates_worker(axes, minimiser, residuals, clear, rows, iterates, tasks):
    """Claim tasks of a few rows with one schedule each."""
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, residuals.shape[0], minimiser.shape[0], ROWS_A_TASK)
        if s == NONE_LEFT:
            return
        turn_back(axes, minimiser, residuals[s], clear, iterates[rows[s]], first, last)


@sweep
def iterates_sweep(axes, minimiser, residuals, clear, rows, iterates, tasks, workers):
    """theta = theta_hat + Q r at M moments of R seeds with each schedule; NaN where r is.

    Parameters: axes (R, d, d) = Q; minimiser (R, d) = theta_hat; residuals (S, R, M, d), which become NaN where
    `clear` is true; rows (S,), the schedules' rows in iterates (.., R, M, d), float64 or float32, which are filled
    there; tasks and workers as in `descent.descend_sweep`.
    """
    for _ in prange(workers):
        iterates_worker(axes, minimiser, residuals, clear, rows, iterates, tasks)
