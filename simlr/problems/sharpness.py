"""The sharpness at some parameters: the largest eigenvalue of the train loss's Hessian there, by Lanczos' method.

H v = (1/n) sum_i x_i l''(z_i) <x_i, v> + ridge v, and for softmax, with p the classes' shares and u_c = <x, v_c>,
the row's part of class c is p_c (u_c - sum_k p_k u_k) x. Of a diagonal network with weights u * v, G that product of
the weights and g the gradient in them, H (a, b) = (v * q + g * b, u * q + g * a), q = G (v * a + u * b). No Hessian is
made. All parameters at once: after j products
there are j orthonormal vectors v_1, ..., v_j and a tridiagonal T of theirs, whose largest eigenvalue theta with its
eigenvector s has a residual of beta_j |s_j|, within which the Hessian has an eigenvalue. It is refined until that is
TOLERANCE theta, by at most p steps, where T is the Hessian itself.

Lanczos (1950), J. Res. Nat. Bur. Standards 45(4). The first vector is normal, the same for all, so that no direction
can be missed but by a chance of measure 0; every vector is made orthogonal to all before it twice.
"""

import numpy as np
from numpy.typing import NDArray

from .losses import HUBER, LINEAR, LOGISTIC, SOFTMAX, SQUARED, Objective, slopes, weights_of

Floats = NDArray[np.float64]

TOLERANCE = 1e-9  # of the residual, as a share of the eigenvalue
NOTHING = 1e-13  # of the largest entry of T: what is left is rounding, and the vectors hold all that it had
MOST_STEPS = 500
BYTES_AT_ONCE = 1 << 26  # of the vectors, and of the rows' curvatures


def sharpness(objective: Objective, theta: Floats) -> Floats:
    """The largest eigenvalue of the Hessian of a train loss, its ridge included.

    Huber's and the squared hinge loss have the second derivative of where they are quadratic, and 0 elsewhere.

    Parameters
    ----------
    objective : Objective
        The train loss: n rows of d features, k outputs.
    theta : (M, p) float64
        Parameters, class after class; of a diagonal network u, then v.

    Returns
    -------
    float64 (M,)
        To `TOLERANCE` of its size; NaN where parameters or scores are not finite, or so many steps are not enough.
    """
    found = np.full(len(theta), np.nan)
    rows, parameters = objective.x.shape[0] * objective.outputs, theta.shape[1]
    room = max(1, BYTES_AT_ONCE // (8 * max(rows, 32 * parameters)))
    known = np.flatnonzero(np.isfinite(theta).all(axis=1))
    with np.errstate(all="ignore"):
        for first in range(0, known.size, room):
            chosen = known[first : first + room]
            found[chosen] = _largest(objective, theta[chosen])
    return found


def _largest(objective, theta):
    """The sharpness at finite parameters (M, p)."""
    many, parameters = theta.shape
    product = _product_at(objective, theta)
    vectors = np.empty((many, 0, parameters))
    diagonal, beside = np.empty((many, 0)), np.empty((many, 0))
    start = np.random.Generator(np.random.Philox(key=0)).standard_normal(parameters)
    v = np.broadcast_to(start / np.linalg.norm(start), theta.shape)
    for step in range(1, min(parameters, MOST_STEPS) + 1):
        vectors = np.concatenate([vectors, v[:, None]], axis=1)
        w = product(v)
        diagonal = np.column_stack([diagonal, (v * w).sum(axis=1)])
        for _ in range(2):
            w -= np.einsum("mjp,mj->mp", vectors, np.einsum("mjp,mp->mj", vectors, w))
        length, size = np.sqrt((w**2).sum(axis=1)), np.abs(diagonal).max(axis=1)
        length = np.where(length <= NOTHING * np.maximum(size, beside.max(axis=1, initial=0.0)), 0.0, length)
        if step & (step - 1) == 0 or step % 8 == 0 or step == min(parameters, MOST_STEPS):
            value, last = _ritz(diagonal, beside)
            is_done = (length * last <= TOLERANCE * value) | (step == parameters)
            if (is_done | ~np.isfinite(value)).all():
                break
        beside = np.column_stack([beside, length])
        v = np.where(length[:, None] > 0.0, w / length[:, None], 0.0)
    return np.where(is_done & np.isfinite(value), np.maximum(value, 0.0), np.nan)


def _scores(objective, theta):
    """z (M, k, n) of every row at every parameters."""
    return theta.reshape(len(theta), objective.outputs, -1) @ objective.x.T


def second_derivatives(objective: Objective, z: Floats) -> Floats:
    """l''(z) of every row at scores z (M, 1, n); for softmax the shares of the classes, (M, k, n)."""
    kind, y = objective.kind, objective.y
    if kind == SOFTMAX:
        shares = np.exp(z - z.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)
    if kind == SQUARED:
        return np.where(np.isfinite(z), 2.0, np.nan)
    if kind == LOGISTIC:
        e = np.exp(-np.abs(z))
        return e / (1.0 + e) ** 2
    if kind == HUBER:
        return np.where(np.abs(z - y) <= objective.delta, 1.0, np.where(np.isfinite(z), 0.0, np.nan))
    return np.where(y * z < 1.0, 2.0, np.where(np.isfinite(z), 0.0, np.nan))


def _product_at(objective, theta):
    """The function that gives H v (M, p) of v (M, p), at parameters (M, p)."""
    weights = weights_of(objective.model, theta)
    z = _scores(objective, weights)
    curved = second_derivatives(objective, z)
    if objective.model == LINEAR:
        return lambda v: _product(objective, curved, v)
    gradient = np.stack([slopes(objective, each.T)[0].T @ objective.x for each in z]).reshape(weights.shape)
    gradient /= objective.y.size
    first, second = np.split(theta, 2, axis=1)

    def product(v):
        a, b = np.split(v, 2, axis=1)
        along = _product(objective, curved, second * a + first * b)
        return np.hstack([second * along + gradient * b, first * along + gradient * a])

    return product


def _product(objective, weight, v):
    """What the Hessian in the weights makes of v, (M, k d)."""
    u = _scores(objective, v)
    if objective.kind == SOFTMAX:
        u = u - (weight * u).sum(axis=1, keepdims=True)
    along = (weight * u) @ objective.x / objective.y.size
    return along.reshape(v.shape) + objective.ridge * v


def _ritz(diagonal, beside):
    """The largest eigenvalue (M,) of each T, NaN where it has NaN, and |s_j| of its eigenvector's last entry."""
    many, size = diagonal.shape
    matrix, place = np.zeros((many, size, size)), np.arange(size)
    matrix[:, place, place] = diagonal
    matrix[:, place[1:], place[:-1]] = beside
    known = np.isfinite(matrix).all(axis=(1, 2))
    values, axes = np.linalg.eigh(np.where(known[:, None, None], matrix, 0.0))
    return np.where(known, values[:, -1], np.nan), np.abs(axes[:, -1, -1])
