"""Passes over rows that lie side by side in lanes, for one cell after the other: where there are few schedules.

BLOCK rows are gone through at a time. Sums over rows are PARTS sums of every PARTS-th row, added in their order at the
end: the bits are those of this way, whatever the number of cells, and others than those of `passes`, where the lanes
are schedules. There is one score a row.
"""

from typing import NamedTuple

import numpy as np

from ..intrinsics import fma
from ..jit import cell, inline, worker
from ..matrices.block_products import QUAD
from .losses import HUBER, LOGISTIC, SQUARED_HINGE, hinge_of, huber_of, logistic_of, squared_of

BLOCK, PARTS = 64, 16


class Lanes(NamedTuple):
    """What a pass works with."""

    score: np.ndarray  # (BLOCK,), then weight times slope
    loss: np.ndarray  # (BLOCK,) sums of every BLOCK-th row
    parts: np.ndarray  # (d, PARTS)
    theta: np.ndarray  # (d,)


@worker
def make_lanes(parameters):
    """Room for a pass."""
    return Lanes(np.zeros(BLOCK), np.zeros(BLOCK), np.zeros((parameters, PARTS)), np.zeros(parameters))


@inline
def score_block(columns, first, lanes):
    """score = <x, theta> of the rows from `first` on."""
    score, theta, whole = lanes.score, lanes.theta, lanes.theta.size // QUAD * QUAD
    for lane in range(BLOCK):
        score[lane] = 0.0
    for i in range(0, whole, QUAD):
        t0, t1, t2, t3 = theta[i], theta[i + 1], theta[i + 2], theta[i + 3]
        a, b, c, d = columns[i], columns[i + 1], columns[i + 2], columns[i + 3]
        for lane in range(BLOCK):
            row = first + lane
            score[lane] = fma(t3, d[row], fma(t2, c[row], fma(t1, b[row], fma(t0, a[row], score[lane]))))
    for i in range(whole, theta.size):
        t0, a = theta[i], columns[i]
        for lane in range(BLOCK):
            score[lane] = fma(t0, a[first + lane], score[lane])


@inline
def gather_block(columns, first, lanes):
    """parts += what the rows from `first` on add to the gradient, whose weight times slope is in score."""
    slope = lanes.score
    for i in range(lanes.theta.size):
        column, parts = columns[i], lanes.parts[i]
        for lane in range(PARTS):
            total = fma(slope[lane], column[first + lane], parts[lane])
            total = fma(slope[PARTS + lane], column[first + PARTS + lane], total)
            total = fma(slope[2 * PARTS + lane], column[first + 2 * PARTS + lane], total)
            parts[lane] = fma(slope[3 * PARTS + lane], column[first + 3 * PARTS + lane], total)


@inline
def squared_block(y, weight, first, lanes):
    """Scores to weight times slope, and the losses, of the squared loss."""
    for lane in range(BLOCK):
        slope, loss = squared_of(lanes.score[lane], y[first + lane])
        lanes.score[lane] = weight[first + lane] * slope
        lanes.loss[lane] = fma(weight[first + lane], loss, lanes.loss[lane])


@inline
def huber_block(y, weight, delta, first, lanes):
    """The same of Huber's loss."""
    for lane in range(BLOCK):
        slope, loss = huber_of(lanes.score[lane], y[first + lane], delta)
        lanes.score[lane] = weight[first + lane] * slope
        lanes.loss[lane] = fma(weight[first + lane], loss, lanes.loss[lane])


@inline
def hinge_block(y, weight, first, lanes):
    """The same of the squared hinge loss."""
    for lane in range(BLOCK):
        slope, loss = hinge_of(lanes.score[lane], y[first + lane])
        lanes.score[lane] = weight[first + lane] * slope
        lanes.loss[lane] = fma(weight[first + lane], loss, lanes.loss[lane])


@inline
def logistic_block(y, weight, first, lanes):
    """The same of the logistic loss."""
    for lane in range(BLOCK):
        slope, loss = logistic_of(lanes.score[lane], y[first + lane])
        lanes.score[lane] = weight[first + lane] * slope
        lanes.loss[lane] = fma(weight[first + lane], loss, lanes.loss[lane])


@inline
def apply_block(table, y, first, lanes):
    """The same of the table's loss."""
    if table.kind == LOGISTIC:
        logistic_block(y, table.weight, first, lanes)
    elif table.kind == HUBER:
        huber_block(y, table.weight, table.delta, first, lanes)
    elif table.kind == SQUARED_HINGE:
        hinge_block(y, table.weight, first, lanes)
    else:
        squared_block(y, table.weight, first, lanes)


@inline
def count_block(table, y, n, first, lanes):
    """How many of the rows from `first` on are told right."""
    hits, middle = 0, table.middle[n]
    for lane in range(BLOCK):
        right = (lanes.score[lane] > middle) == (y[first + lane] > middle)
        hits += right and table.weight[first + lane] > 0.0
    return hits


@cell
def pass_one(table, n, lane, theta, lanes, gradient, with_gradient, with_hits):
    """(train loss, rows told right) of the parameters in a lane, and their gradient (p, width) in that lane."""
    columns, y, hits, penalty = table.columns[n], table.y[n], 0, 0.0
    for i in range(lanes.theta.size):
        lanes.theta[i] = theta[i, lane]
        penalty = fma(0.5 * table.ridge[i] * theta[i, lane], theta[i, lane], penalty)
        for part in range(PARTS):
            lanes.parts[i, part] = 0.0
    for part in range(BLOCK):
        lanes.loss[part] = 0.0
    for first in range(0, columns.shape[1], BLOCK):
        score_block(columns, first, lanes)
        if with_hits:
            hits += count_block(table, y, n, first, lanes)
        apply_block(table, y, first, lanes)
        if with_gradient:
            gather_block(columns, first, lanes)
    for part in range(BLOCK):
        penalty += lanes.loss[part]
    if with_gradient:
        for i in range(lanes.theta.size):
            total = table.ridge[i] * lanes.theta[i]
            for part in range(PARTS):
                total += lanes.parts[i, part]
            gradient[i, lane] = total
    return penalty, hits
