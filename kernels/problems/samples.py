"""The rows of a split themselves, in the features' own axes: for losses that no quadratic stands for."""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..intrinsics import claim
from ..jit import sweep, worker
from .regression import deal, take_stretch


class Rows(NamedTuple):
    """Rows of N draws, filled."""

    x: np.ndarray  # (N, rows, d), or (N, rows, d + 1) with a last feature of 1
    y: np.ndarray  # (N, rows)


@worker
def samples_cell(split, root, draw, order, first, keeps_target, x, y):
    """Rows from place `first` on of the split of one draw; the target standardised as the features, or kept."""
    d = split.columns.shape[0] - 1
    table = np.empty((y.size, d + 1))
    take_stretch(split, root, draw, order, first, table)
    for k in range(y.size):
        y[k] = split.columns[d, order[first + k]] if keeps_target else table[k, d]
        for i in range(d):
            x[k, i] = table[k, i]
        for i in range(d, x.shape[1]):
            x[k, i] = 1.0


@worker
def samples_worker(split, root, draws, keeps_target, train, validation, test, tasks):
    """Claim one seed after the other."""
    order = np.empty(split.columns.shape[1], np.int64)
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        deal(split, root, draws[n], order)
        samples_cell(split, root, draws[n], order, 0, keeps_target, train.x[n], train.y[n])
        if split.validation_rows > 0:
            first = split.train_rows
            samples_cell(split, root, draws[n], order, first, keeps_target, validation.x[n], validation.y[n])
        first = split.train_rows + split.validation_rows
        samples_cell(split, root, draws[n], order, first, keeps_target, test.x[n], test.y[n])


@sweep
def samples_sweep(split, root, draws, keeps_target, train, validation, test, tasks, workers):
    """The train, validation and test rows of one split a seed, of the draws and in the order of `split_sweep`.

    Parameters: as there; keeps_target, whether targets are classes, which are not standardised; train, validation and
    test, `Rows` to fill; tasks and workers as in `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        samples_worker(split, root, draws, keeps_target, train, validation, test, tasks)
