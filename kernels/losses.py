"""Losses at the stops and at the recorded moments, from x = sqrt(lam) r.

r_i        = x_i / sqrt(lam_i);  along null directions (lam_i = 0) the residual of the start, which never moves
train loss = train_floor + 1/2 sum_i x_i^2
test loss  = test_floor + y^T (b + M y),  y = r + delta; b is 0 where test_floor is the smallest
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from .intrinsics import fma
from .jit import cell, inline, sweep, worker
from .quadratic_forms import quadratic_form, quadratic_forms
from .tasks import NONE_LEFT, claim_cells

ROWS_A_TASK = 64
# Moments that are weighed side by side, in SIMD lanes: few enough that all their axes stay in the first-level cache.
MOMENTS_A_TILE = 32
FEW_MOMENTS = 8


class Tile(NamedTuple):
    """What a thread works with: some moments of one seed, side by side."""

    x: np.ndarray  # (d, MOMENTS_A_TILE)
    part: np.ndarray  # (MOMENTS_A_TILE,)
    total: np.ndarray  # (MOMENTS_A_TILE,)
    y: np.ndarray  # (d,) of a single moment


@inline
def load_tile(moments, row, first, count, tile):
    """x[i, k] = coordinate i of moment first + k of a row, moments (R, M, d); total[k] = sum_i x_i^2."""
    for i in range(tile.x.shape[0]):
        for k in range(count):
            value = moments[row, first + k, i]
            tile.x[i, k] = value
            # In the order and rounding of descent.recurrence.square_sum.
            tile.total[k] = fma(value, value, tile.total[k] if i > 0 else 0.0)


@inline
def to_residuals(x, landscape, n, count):
    """Turn the x of seed n into r, in place."""
    for i in range(x.shape[0]):
        if landscape.curvature[n, i] > 0.0:
            root = math.sqrt(landscape.curvature[n, i])
            for k in range(count):
                x[i, k] = x[i, k] / root
        else:
            for k in range(count):
                x[i, k] = landscape.residual[n, i]


@inline
def leave_moments(moments, row, first, count, residual, keep):
    """Leave the residuals where their moments were, or NaN, so that the array is as new for the next block."""
    for k in range(count):
        for i in range(residual.shape[0]):
            moments[row, first + k, i] = residual[i, k] if keep else np.nan


@inline
def add_offset(x, offset, n, count):
    """Turn the residuals of seed n into y = r + delta, in place."""
    for i in range(x.shape[0]):
        shift = offset[n, i]
        for k in range(count):
            x[i, k] += shift


@cell
def weigh_few(landscape, seed, moments, train_loss, test_loss, place, first, last, tile):
    """weigh_rows where there are too few moments to lie side by side, to the same bits; they become residuals."""
    y, lam, matrices = tile.y, landscape.curvature, landscape.test_matrix
    for row in range(first, last):
        n = seed[row]
        which = n if matrices.shape[0] > 1 else 0
        for k in range(moments.shape[1]):
            energy = 0.0
            for i in range(y.size):
                x = moments[row, k, i]
                energy = fma(x, x, energy)
                residual = x / math.sqrt(lam[n, i]) if lam[n, i] > 0.0 else landscape.residual[n, i]
                moments[row, k, i] = residual
                y[i] = residual + landscape.offset[n, i]
            total = quadratic_form(y, landscape.test_slope, matrices, n, which)
            train_loss[place, row, k] = landscape.train_floor[n] + 0.5 * energy
            test_loss[place, row, k] = landscape.test_floor[n] + total


@cell
def weigh_rows(landscape, seed, moments, keep, train_loss, test_loss, place, first, last, tile):
    """Losses of the seeds seed[first:last] at each of M moments; moments (R, M, d), losses (.., R, M) in [place]."""
    x, total, matrices = tile.x, tile.total, landscape.test_matrix
    for row in range(first, last):
        n = seed[row]
        which = n if matrices.shape[0] > 1 else 0
        for begin in range(0, moments.shape[1], MOMENTS_A_TILE):
            count = min(MOMENTS_A_TILE, moments.shape[1] - begin)
            load_tile(moments, row, begin, count, tile)
            for k in range(count):
                train_loss[place, row, begin + k] = landscape.train_floor[n] + 0.5 * total[k]
            to_residuals(x, landscape, n, count)
            leave_moments(moments, row, begin, count, x, keep)
            add_offset(x, landscape.offset, n, count)
            quadratic_forms(x, landscape.test_slope, matrices, n, which, count, tile.part, total)
            for k in range(count):
                test_loss[place, row, begin + k] = landscape.test_floor[n] + total[k]


@worker
def losses_worker(landscape, seed, moments, keep, places, train_loss, test_loss, tasks):
    """Claim tasks of a few seeds with one schedule each."""
    dimension = moments.shape[3]
    tile = Tile(
        np.empty((dimension, MOMENTS_A_TILE)), np.empty(MOMENTS_A_TILE), np.empty(MOMENTS_A_TILE), np.empty(dimension)
    )
    few = keep and moments.shape[2] < FEW_MOMENTS
    while tasks[1] == 0:
        s, first, last = claim_cells(tasks, moments.shape[0], seed.size, ROWS_A_TASK)
        if s == NONE_LEFT:
            return
        if few:
            weigh_few(landscape, seed, moments[s], train_loss, test_loss, places[s], first, last, tile)
        else:
            weigh_rows(landscape, seed, moments[s], keep, train_loss, test_loss, places[s], first, last, tile)


@sweep
def losses_sweep(landscape, seed, moments, keep, places, train_loss, test_loss, tasks, workers):
    """Losses at M moments of R seeds with each schedule; NaN where x is.

    Parameters: `Landscape` of `arrays`; seed (R,), the seeds of the block that are weighed; moments (S, R, M, d), x at
    each, which becomes the residual where `keep` is true and NaN elsewhere; places (S,), where the schedules stand in
    train_loss and test_loss (.., R, M), float64 or float32, which are filled there; tasks and workers as in
    `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        losses_worker(landscape, seed, moments, keep, places, train_loss, test_loss, tasks)
