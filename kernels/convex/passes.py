"""Passes over rows: scores, losses and gradients of many parameters (outputs d, width) side by side in lanes.

Score c of a row is <x, theta_c>, theta_c the c-th d of the parameters. Sums run over features and rows in their order,
QUAD of each at a time, which changes no bits.
"""

from ..block_products import QUAD, add_block
from ..intrinsics import fma
from ..jit import cell, inline
from ..stochastic.gradients import gradient_axis, misfit_axis
from .losses import apply_loss, count_hits


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
    ridge_gradient(table, theta, gradient, filled)
    for j in range(0, rows, QUAD):
        score_rows(x, j, table.outputs, theta, scratch.misfit, filled)
        apply_loss(table, y, weight, j, scratch, filled, False)
        gather_gradient(x, j, table.outputs, scratch.misfit, gradient, filled)


@cell
def full_pass(table, n, theta, scratch, gradient, filled):
    """scratch.total = the train loss of seed n with the ridge, gradient its gradient."""
    x, y = table.x[n], table.y[n]
    ridge_gradient(table, theta, gradient, filled)
    ridge_loss(table, theta, scratch.total, filled)
    for j in range(0, x.shape[0], QUAD):
        score_rows(x, j, table.outputs, theta, scratch.misfit, filled)
        apply_loss(table, y, table.weight, j, scratch, filled, True)
        gather_gradient(x, j, table.outputs, scratch.misfit, gradient, filled)


@inline
def add_losses(table, n, theta, scratch, filled, with_hits):
    """scratch.total as of `full_pass`, to the same bits, and, where it is asked for, scratch.hits."""
    x, y = table.x[n], table.y[n]
    ridge_loss(table, theta, scratch.total, filled)
    for j in range(0, x.shape[0], QUAD):
        score_rows(x, j, table.outputs, theta, scratch.misfit, filled)
        if with_hits:
            count_hits(table, y, table.middle[n], table.weight, j, scratch, filled)
        apply_loss(table, y, table.weight, j, scratch, filled, True)


@cell
def loss_pass(table, n, theta, scratch, filled):
    """scratch.total = the train loss of seed n with the ridge."""
    add_losses(table, n, theta, scratch, filled, False)


@cell
def hits_pass(table, n, theta, scratch, filled):
    """The same, and scratch.hits = how many rows there are whose class is told."""
    for lane in range(filled):
        scratch.hits[lane] = 0.0
    add_losses(table, n, theta, scratch, filled, True)


@inline
def norms(theta, out, filled):
    """out = |theta|^2 of every lane."""
    for lane in range(filled):
        out[lane] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(filled):
            out[lane] = fma(theta[i, lane], theta[i, lane], out[lane])
