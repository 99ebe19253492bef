"""Passes over rows: scores, losses and gradients of many parameters (p, width) side by side in lanes.

Score c of a row is <x, theta_c>, theta_c the c-th d of the weights, which `models` makes of the parameters. Sums run
over features and rows in their order, QUAD of each at a time, which changes no bits. Where a table has `columns`, its
rows lie in lanes in the place of the parameters, and only as many of these are gone through as are busy: see
`in_lanes`.
"""

from typing import NamedTuple

import numpy as np

from ..intrinsics import fma
from ..jit import cell, inline, worker
from ..matrices.block_products import QUAD, add_block
from ..pool import whole_lanes
from ..stochastic.gradients import gradient_axis, misfit_axis
from .in_lanes import Lanes, make_lanes, pass_one
from .losses import apply_loss, count_hits
from .models import LINEAR, fold, room_of, unfold


class Scratch(NamedTuple):
    """What a pass over rows works with; W lanes."""

    misfit: np.ndarray  # (QUAD outputs, W)
    total: np.ndarray  # (W,) the loss
    hits: np.ndarray  # (W,) how many rows are told right
    top: np.ndarray  # (W,) of softmax, as the next three
    own: np.ndarray  # (W,)
    rest: np.ndarray  # (W,)
    gap: np.ndarray  # (W,)
    weights: np.ndarray  # (outputs d, W) and the gradient in them, where they are not the parameters themselves
    slope: np.ndarray  # (outputs d, W)
    lanes: Lanes  # where rows lie in lanes


@worker
def make_scratch(table, width):
    """Room for passes over the rows of a table."""
    outputs = table.outputs
    return Scratch(
        np.zeros((QUAD * outputs, width)), np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width),
        np.zeros(width), np.zeros(width), np.zeros((room_of(table), width)), np.zeros((room_of(table), width)),
        make_lanes(table.ridge.size),
    )  # fmt: skip


@inline
def score_rows(x, j, outputs, theta, misfit, filled):
    """misfit = the scores of rows j .. j + 3."""
    features = x.shape[1]
    whole = features // QUAD * QUAD
    for c in range(outputs):
        own, scores = theta[c * features : (c + 1) * features], misfit[QUAD * c : QUAD * (c + 1)]
        for q in range(QUAD):
            for lane in range(filled):
                scores[q, lane] = 0.0
        for i in range(0, whole, QUAD):
            add_block(x, j, i, own, i, scores, 0, filled)
        for i in range(whole, features):
            misfit_axis(x, j, i, own, scores, filled)


@inline
def gather_gradient(x, j, outputs, misfit, gradient, filled):
    """gradient += what rows j .. j + 3 add, whose weight times slope is misfit."""
    features = x.shape[1]
    whole = features // QUAD * QUAD
    for c in range(outputs):
        own, slopes = gradient[c * features : (c + 1) * features], misfit[QUAD * c : QUAD * (c + 1)]
        for i in range(0, whole, QUAD):
            add_block(x.T, i, j, slopes, 0, own, i, filled)
        for i in range(whole, features):
            gradient_axis(x, j, i, slopes, own, filled)


@inline
def ridge_gradient(table, theta, gradient, filled):
    """gradient = ridge theta, which the passes over rows add to."""
    for i in range(theta.shape[0]):
        strength = table.ridge[i]
        for lane in range(filled):
            gradient[i, lane] = strength * theta[i, lane]


@inline
def ridge_loss(table, theta, total, filled):
    """total = sum_i ridge_i theta_i^2 / 2."""
    for lane in range(filled):
        total[lane] = 0.0
    for i in range(theta.shape[0]):
        half = 0.5 * table.ridge[i]
        if half > 0.0:
            for lane in range(filled):
                total[lane] = fma(half * theta[i, lane], theta[i, lane], total[lane])


@cell
def batch_pass(table, x, y, weight, rows, theta, scratch, gradient, filled):
    """gradient = that of the loss of the first `rows` gathered rows x (b, d), y and weight (b,), with the ridge."""
    weights, slope = fold(table, theta, scratch.weights, filled), gradient if table.model == LINEAR else scratch.slope
    ridge_gradient(table, weights, slope, filled)
    for j in range(0, rows, QUAD):
        score_rows(x, j, table.outputs, weights, scratch.misfit, filled)
        apply_loss(table, y, weight, j, scratch, filled, False)
        gather_gradient(x, j, table.outputs, scratch.misfit, slope, filled)
    unfold(table, theta, slope, gradient, filled)


@cell
def full_pass(table, n, theta, scratch, gradient, count):
    """scratch.total = the train loss of seed n with the ridge, gradient its gradient, of the first `count` lanes."""
    filled, slope = whole_lanes(count), gradient if table.model == LINEAR else scratch.slope
    weights = fold(table, theta, scratch.weights, filled)
    if table.columns.shape[1] > 0:
        for lane in range(count):
            scratch.total[lane] = pass_one(table, n, lane, weights, scratch.lanes, slope, True, False)[0]
        unfold(table, theta, slope, gradient, count)
        return
    x, y = table.x[n], table.y[n]
    ridge_gradient(table, weights, slope, filled)
    ridge_loss(table, weights, scratch.total, filled)
    for j in range(0, x.shape[0], QUAD):
        score_rows(x, j, table.outputs, weights, scratch.misfit, filled)
        apply_loss(table, y, table.weight, j, scratch, filled, True)
        gather_gradient(x, j, table.outputs, scratch.misfit, slope, filled)
    unfold(table, theta, slope, gradient, filled)


@inline
def add_losses(table, n, theta, scratch, count, with_hits):
    """scratch.total as of `full_pass`, to the same bits, and, where it is asked for, scratch.hits."""
    filled = whole_lanes(count)
    weights = fold(table, theta, scratch.weights, filled)
    if table.columns.shape[1] > 0:
        for lane in range(count):
            found = pass_one(table, n, lane, weights, scratch.lanes, weights, False, with_hits)
            scratch.total[lane], scratch.hits[lane] = found
        return
    for lane in range(filled):
        scratch.hits[lane] = 0.0
    x, y = table.x[n], table.y[n]
    ridge_loss(table, weights, scratch.total, filled)
    for j in range(0, x.shape[0], QUAD):
        score_rows(x, j, table.outputs, weights, scratch.misfit, filled)
        if with_hits:
            count_hits(table, y, table.middle[n], table.weight, j, scratch, filled)
        apply_loss(table, y, table.weight, j, scratch, filled, True)


@cell
def loss_pass(table, n, theta, scratch, count):
    """scratch.total = the train loss of seed n with the ridge, of the first `count` lanes."""
    add_losses(table, n, theta, scratch, count, False)


@cell
def hits_pass(table, n, theta, scratch, count):
    """The same, and scratch.hits = how many rows there are whose class is told."""
    add_losses(table, n, theta, scratch, count, True)
