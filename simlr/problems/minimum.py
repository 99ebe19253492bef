"""The minimiser of a convex loss by safeguarded Newton steps, or that there is none.

Logistic and softmax losses of rows that a hyperplane separates have no minimiser: the loss falls towards its infimum as
theta goes to infinity, and with it the curvature of the rows that are separated; that tells them apart. Where every row
is on its own side, the infimum is 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from . import lapack
from .losses import HUBER, MOST_CURVATURE, SOFTMAX, Objective, slopes, values

MOST_STEPS = 200
POLISHES = 8
# Rows of orthonormal axes that curve less than this hold nothing: the search ends where they have 1e-16 left.
HELD = 1e-12
# Of the largest entry on the diagonal: added to the Hessian, so that directions that it does not see stay as they are.
LEAST_SHARE = 1e-13
HALVINGS = 40


class Minimum(NamedTuple):
    """Where a train loss is least, and how small it is there."""

    theta: NDArray[np.float64]  # (outputs d,) a minimiser; NaN where there is none
    floor: float  # the least train loss, or the infimum where there is no least


def minimum(objective: Objective) -> Minimum:
    """The minimum of a train loss, searched for from 0; of several minimisers the one nearest to it.

    Raises
    ------
    RunError
        Where the rows are so large that the loss or its Hessian is not finite.
    """
    theta = np.zeros(objective.ridge.size)
    loss, gradient, hessian = _derivatives(objective, theta)
    for _ in range(MOST_STEPS):
        theta, found = _line_search(objective, theta, loss, gradient, _newton(gradient, hessian))
        done = not found < loss
        loss, gradient, hessian = _derivatives(objective, theta)
        if done or loss == 0.0 or is_separated(objective, theta):
            break
    if is_separated(objective, theta):
        return Minimum(np.full(theta.size, np.nan), 0.0)
    if not _is_held(objective, theta):
        return Minimum(np.full(theta.size, np.nan), loss)
    theta = _nearest(objective, _polished(objective, theta))
    return Minimum(theta, train_loss(objective, theta))


_UNBOUNDED = ("logistic", SOFTMAX)


def _is_held(objective, theta):
    """Whether the loss curves at theta in every direction that the rows see.

    Where only some rows are separated, those have no curvature left once the search ends, and nothing holds theta. In
    axes in which the rows are orthonormal that is a matter of the rows' own weights.
    """
    if objective.kind not in _UNBOUNDED or objective.ridge.any():
        return True
    left, roots, _ = np.linalg.svd(objective.x, full_matrices=False)
    left = left[:, roots > lapack.null_bound(roots[0], *objective.x.shape)]
    _, second = slopes(objective, objective.scores(theta))
    seen = left.shape[1]
    if objective.kind != SOFTMAX:
        found = np.linalg.eigvalsh(left.T @ (left * second[:, None]))
    else:  # which shifts of all classes leave as it is
        found = np.linalg.eigvalsh(_softmax_hessian(left, second) * len(left))[seen:]
    return seen == 0 or bool(found[0] > HELD)


def _nearest(objective, theta):
    """The minimiser nearest to 0: without what the rows do not see, and without a shift of all classes."""
    if objective.ridge.any():
        return theta
    _, roots, axes = np.linalg.svd(objective.x, full_matrices=False)
    axes = axes[roots > lapack.null_bound(roots[0], *objective.x.shape)]
    found = theta.reshape(objective.outputs, -1)
    if len(axes) < found.shape[1]:
        found = found @ axes.T @ axes
    if objective.kind == SOFTMAX:
        found = found - found.mean(axis=0)
    return found.reshape(-1)


def _polished(objective, theta):
    """theta after Newton steps that bring the gradient down, whose loss no longer shows whether they help."""
    _, gradient, hessian = _derivatives(objective, theta, exact=True)
    for _ in range(POLISHES):
        moved = theta + _newton(gradient, hessian)
        _, found, other = _derivatives(objective, moved, exact=True)
        if not np.abs(found).max() < np.abs(gradient).max():
            break
        theta, gradient, hessian = moved, found, other
    return theta


def is_separated(objective: Objective, theta: NDArray[np.float64]) -> bool:
    """Whether theta has every row on its own side, under a loss that then falls along theta to 0 for ever."""
    if objective.kind not in _UNBOUNDED or objective.ridge.any():
        return False
    z = objective.scores(theta)
    if objective.kind != SOFTMAX:
        return bool((objective.y * z[:, 0] > 0.0).all())
    own = np.arange(objective.y.size), objective.y.astype(int)
    right = z[own]
    z[own] = -np.inf
    return bool((right > z.max(axis=1)).all())


def curvature_bound(objective: Objective) -> NDArray[np.float64]:
    """Eigenvalues (outputs d,), the largest first, of a matrix that the Hessian is nowhere above.

    c X^T X / n + diag(ridge) for every output, c the largest second derivative of a row's loss.
    """
    n, d = objective.x.shape
    gram = MOST_CURVATURE[objective.kind] / n * (objective.x.T @ objective.x) + np.diag(objective.ridge[:d])
    if not np.isfinite(gram).all():
        raise RunError("problem: the squares of the features overflow; standardize = 'train' keeps them in range")
    found = np.linalg.eigvalsh(gram)[::-1]
    found = np.where(found > lapack.null_bound(found[0], n, d), found, 0.0)
    return np.repeat(found, objective.outputs)


def train_loss(objective: Objective, theta: NDArray[np.float64]) -> float:
    """The mean of the rows' losses, with the ridge."""
    penalty = 0.5 * float(objective.ridge @ theta**2)
    return float(values(objective, objective.scores(theta)).mean()) + penalty


def _derivatives(objective, theta, exact=False):
    """The train loss, its gradient and its Hessian; of Huber's loss that of the touching parabola, or the exact one."""
    n, z = objective.y.size, objective.scores(theta)
    first, second = slopes(objective, z)
    gradient = (first.T @ objective.x / n).reshape(-1) + objective.ridge * theta
    if exact and objective.kind == HUBER:
        second = np.where(second < 1.0, 0.0, 1.0)
    if objective.kind == SOFTMAX:
        hessian = _softmax_hessian(objective.x, second)
    else:
        hessian = objective.x.T @ (objective.x * (second / n)[:, None])
    hessian[np.diag_indices_from(hessian)] += objective.ridge
    if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
        raise RunError("problem: the features are too large for this loss; standardize = 'train' keeps them in range")
    return train_loss(objective, theta), gradient, hessian


def _softmax_hessian(x, shares):
    """sum_rows (diag(p) - p p^T) (x) x x^T / n, class after class."""
    (n, d), k = x.shape, shares.shape[1]
    hessian = np.empty((k, d, k, d))
    for a in range(k):
        for b in range(a + 1):
            weight = shares[:, a] * ((a == b) - shares[:, b]) / n
            block = x.T @ (x * weight[:, None])
            hessian[a, :, b] = hessian[b, :, a] = block
    return hessian.reshape(k * d, k * d)


def _newton(gradient, hessian):
    """-(H + a little)^-1 g."""
    raised = hessian.copy()
    raised[np.diag_indices_from(raised)] += max(LEAST_SHARE * float(hessian.diagonal().max()), np.finfo(float).tiny)
    try:
        return -np.linalg.solve(raised, gradient)
    except np.linalg.LinAlgError:
        return -np.linalg.lstsq(raised, gradient, rcond=None)[0]


def _line_search(objective, theta, loss, gradient, step):
    """(theta, loss) after the first of the step and its halves that brings the loss down by enough."""
    slope = float(gradient @ step)
    if objective.kind == HUBER:  # the touching parabola takes short steps, whose doubles may do as well
        best = min((train_loss(objective, theta + size * step), size) for size in (1.0, 2.0, 4.0))
        if best[0] < loss:
            return theta + best[1] * step, best[0]
    size = 1.0
    for _ in range(HALVINGS):
        moved = theta + size * step
        found = train_loss(objective, moved)
        if found <= loss + 1e-4 * size * slope:
            return moved, found
        size *= 0.5
    return theta, loss
