"""Losses of linear scores z = <x, theta>, and their slopes, for the rows of a block and all lanes at once.

Squared          (z - y)^2                                            slope 2 (z - y)
Logistic         log(1 + exp(-u)), u = y z, y = +-1                   -y / (1 + exp(u))
Softmax          log sum_c exp(z_c) - z_y, y a class number           exp(z_c) / sum exp(z) - [c = y]
Huber            (z - y)^2 / 2 where |z - y| <= delta, else delta (|z - y| - delta / 2)
Squared hinge    max(0, 1 - u)^2, u = y z, y = +-1                    -2 y max(0, 1 - u)

Train and test loss are their means over rows. A score that is not finite gives a loss that is not a number or infinite,
never a finite one, so that a run that left the range of float64 is seen to have diverged. Small losses keep their
digits: log(1 + e) is log_lane of the rounded sum and what the rounding lost.

Arrays: misfit (QUAD outputs, width) holds the scores of QUAD rows, class c of row q in row QUAD c + q, and afterwards
weight times slope; total (width,) takes weight times loss.
"""

from typing import NamedTuple

import numpy as np

from ..descent.exponential import LOWEST_EXPONENT, exp_lane, log_lane
from ..intrinsics import fma
from ..jit import inline
from ..matrices.block_products import QUAD

SQUARED, LOGISTIC, SOFTMAX, HUBER, SQUARED_HINGE = 0, 1, 2, 3, 4


class Table(NamedTuple):
    """Rows of every seed, as many of them, up to a multiple of QUAD; those beyond `count` have zeros and weight 0."""

    x: np.ndarray  # (N, rows, d)
    columns: np.ndarray  # (N, d, rows to a multiple of BLOCK), x's columns: where rows lie in lanes; else (N, 0, 0)
    y: np.ndarray  # (N, rows, or as many as columns has) a number, +-1, or a class number
    weight: np.ndarray  # (rows, or as many as columns has) 1 / count
    count: np.ndarray  # (N,) int64, all the same
    reach: np.ndarray  # (N,) the largest |x|^2 of a row
    middle: np.ndarray  # (N,) above it a score, or a number, tells the second of two classes
    kind: int  # of the losses above
    outputs: int  # scores of a row: the classes of softmax, else 1
    delta: float  # of Huber's loss
    ridge: np.ndarray  # (outputs d,) what half the square of each weight is multiplied with and added
    model: int  # of `models`: what the parameters make of the weights


# ---- one row: (slope, loss) at its score z ----


@inline
def squared_of(z, label):
    """The squared loss."""
    error = z - label
    return 2.0 * error, error * error


@inline
def huber_of(z, label, delta):
    """Huber's loss: within delta inside^2 / 2, and what is beyond adds delta a unit."""
    error = z - label
    inside = min(abs(error), delta)
    beyond = abs(error) - inside
    return (inside if error >= 0.0 else -inside) + 0.0 * error, fma(delta, beyond, 0.5 * inside * inside) + 0.0 * error


@inline
def hinge_of(z, label):
    """The squared hinge loss."""
    lack = 1.0 - label * z
    lack = 0.5 * (lack + abs(lack))
    return -2.0 * label * lack, lack * lack


@inline
def logistic_of(z, label):
    """The logistic loss."""
    u = label * z
    e = exp_lane(max(-abs(u), LOWEST_EXPONENT))
    one = 1.0 + e
    inverse = 1.0 / one
    loss = 0.5 * (abs(u) - u) + (log_lane(one) + (e - (one - 1.0)) * inverse)
    return -label * (e * inverse if u >= 0.0 else inverse), loss


# ---- QUAD rows, lanes of many parameters ----


@inline
def squared_rows(y, weight, j, scratch, filled, with_loss):
    """Rows j .. j + 3 under the squared loss."""
    for q in range(QUAD):
        label, share = y[j + q], weight[j + q]
        for lane in range(filled):
            slope, loss = squared_of(scratch.misfit[q, lane], label)
            scratch.misfit[q, lane] = share * slope
            if with_loss:
                scratch.total[lane] = fma(share, loss, scratch.total[lane])


@inline
def huber_rows(y, weight, j, delta, scratch, filled, with_loss):
    """Rows j .. j + 3 under Huber's loss."""
    for q in range(QUAD):
        label, share = y[j + q], weight[j + q]
        for lane in range(filled):
            slope, loss = huber_of(scratch.misfit[q, lane], label, delta)
            scratch.misfit[q, lane] = share * slope
            if with_loss:
                scratch.total[lane] = fma(share, loss, scratch.total[lane])


@inline
def hinge_rows(y, weight, j, scratch, filled, with_loss):
    """Rows j .. j + 3 under the squared hinge loss."""
    for q in range(QUAD):
        label, share = y[j + q], weight[j + q]
        for lane in range(filled):
            slope, loss = hinge_of(scratch.misfit[q, lane], label)
            scratch.misfit[q, lane] = share * slope
            if with_loss:
                scratch.total[lane] = fma(share, loss, scratch.total[lane])


@inline
def logistic_rows(y, weight, j, scratch, filled, with_loss):
    """Rows j .. j + 3 under the logistic loss."""
    for q in range(QUAD):
        label, share = y[j + q], weight[j + q]
        for lane in range(filled):
            slope, loss = logistic_of(scratch.misfit[q, lane], label)
            scratch.misfit[q, lane] = share * slope
            if with_loss:
                scratch.total[lane] = fma(share, loss, scratch.total[lane])


@inline
def softmax_top(q, outputs, scratch, filled):
    """top = the largest score of a row."""
    for lane in range(filled):
        scratch.top[lane] = scratch.misfit[q, lane]
    for c in range(1, outputs):
        for lane in range(filled):
            score = scratch.misfit[QUAD * c + q, lane]
            scratch.top[lane] = score if score > scratch.top[lane] else scratch.top[lane]


@inline
def softmax_rows(y, weight, j, outputs, scratch, filled, with_loss):
    """Rows j .. j + 3 under the softmax loss; what the right class lacks is the sum of the others, without a rounding
    to 1 in between."""
    for q in range(QUAD):
        label, share = int(y[j + q]), weight[j + q]
        softmax_top(q, outputs, scratch, filled)
        for lane in range(filled):
            scratch.rest[lane] = 0.0
            scratch.gap[lane] = scratch.misfit[QUAD * label + q, lane] - scratch.top[lane]
        for c in range(outputs):
            other = 0.0 if c == label else 1.0
            for lane in range(filled):
                below = scratch.misfit[QUAD * c + q, lane] - scratch.top[lane]
                e = exp_lane(max(below, LOWEST_EXPONENT)) + 0.0 * below
                scratch.misfit[QUAD * c + q, lane] = e
                scratch.rest[lane] = fma(other, e, scratch.rest[lane])
        for lane in range(filled):
            own, rest = scratch.misfit[QUAD * label + q, lane], scratch.rest[lane]
            total = own + rest
            inverse = 1.0 / total
            scratch.own[lane] = share * inverse
            if with_loss:
                loss = log_lane(total) + (rest - (total - own)) * inverse - scratch.gap[lane]
                scratch.total[lane] = fma(share, loss, scratch.total[lane])
            scratch.misfit[QUAD * label + q, lane] = -rest
        for c in range(outputs):
            for lane in range(filled):
                scratch.misfit[QUAD * c + q, lane] *= scratch.own[lane]


@inline
def apply_loss(table, y, weight, j, scratch, filled, with_loss):
    """Turn the scores of rows j .. j + 3 into weight times slope, and, where it is asked for, add up their losses."""
    if table.kind == LOGISTIC:
        logistic_rows(y, weight, j, scratch, filled, with_loss)
    elif table.kind == SOFTMAX:
        softmax_rows(y, weight, j, table.outputs, scratch, filled, with_loss)
    elif table.kind == HUBER:
        huber_rows(y, weight, j, table.delta, scratch, filled, with_loss)
    elif table.kind == SQUARED_HINGE:
        hinge_rows(y, weight, j, scratch, filled, with_loss)
    else:
        squared_rows(y, weight, j, scratch, filled, with_loss)


@inline
def count_hits(table, y, middle, weight, j, scratch, filled):
    """Count those of rows j .. j + 3 whose class the scores tell: the second of two above the middle, or the first
    largest one."""
    for q in range(QUAD):
        label, one = y[j + q], 1.0 if weight[j + q] > 0.0 else 0.0
        if table.kind != SOFTMAX:
            for lane in range(filled):
                right = (scratch.misfit[q, lane] > middle) == (label > middle)
                scratch.hits[lane] += one if right else 0.0
            continue
        own = int(label)
        for lane in range(filled):
            score, right = scratch.misfit[QUAD * own + q, lane], True
            for c in range(table.outputs):
                other = scratch.misfit[QUAD * c + q, lane]
                right = right & ((other < score) | ((c >= own) & (other == score)))
            scratch.hits[lane] += one if right else 0.0
