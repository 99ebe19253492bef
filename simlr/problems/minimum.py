"""The minimiser of a convex loss by safeguarded Newton steps, or that there is none.

Logistic and softmax losses of rows that a hyperplane separates have no minimiser: the loss falls towards its infimum as
theta goes to infinity. There every Newton step goes on by about as much as the one before, while next to a minimiser
they shrink quadratically; that tells the two apart. Where every row is on its own side, the infimum is 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from . import lapack
from .losses import HUBER, MOST_CURVATURE, SOFTMAX, Objective, slopes, values

MOST_STEPS = 200
# Of the length of theta: a step so short ends the search, and a last one longer than LONG says that there is no end.
SHORT, LONG = 1e-14, 1e-4
# Of the largest entry on the diagonal: added to the Hessian, so that directions that it does not see stay as they are.
LEAST_SHARE = 1e-13
HALVINGS = 40


class Minimum(NamedTuple):
    """Where a train loss is least, and how small it is there."""

    theta: NDArray[np.float64]  # (outputs d,) a minimiser; NaN where there is none
    floor: float  # the least train loss, or the infimum where there is no least


def minimum(objective: Objective) -> Minimum:
    """The minimum of a train loss, searched for from 0.

    Raises
    ------
    RunError
        Where the rows are so large that the loss or its Hessian is not finite.
    """
    theta = np.zeros(objective.ridge.size)
    loss, gradient, hessian = _derivatives(objective, theta)
    share = 1.0
    for _ in range(MOST_STEPS):
        step = _newton(gradient, hessian)
        theta, found, taken = _line_search(objective, theta, loss, gradient, step)
        share = float(np.abs(taken).max()) / max(float(np.abs(theta).max()), np.finfo(float).tiny)
        done = share <= SHORT or not found < loss
        loss, gradient, hessian = _derivatives(objective, theta)
        if done or is_separated(objective, theta) or loss == 0.0:
            break
    else:
        done = False
    if is_separated(objective, theta):
        return Minimum(np.full(theta.size, np.nan), 0.0)
    last = _newton(gradient, hessian)
    away = float(np.abs(last).max()) / max(float(np.abs(theta).max()), np.finfo(float).tiny)
    if objective.kind in _UNBOUNDED and not objective.ridge.any() and away > LONG and theta.any():
        return Minimum(np.full(theta.size, np.nan), loss)
    return Minimum(theta, loss)


_UNBOUNDED = ("logistic", SOFTMAX)


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


def _derivatives(objective, theta):
    """The train loss, its gradient and its Hessian (of Huber's loss, the Hessian of the touching parabola)."""
    n, z = objective.y.size, objective.scores(theta)
    first, second = slopes(objective, z)
    gradient = (first.T @ objective.x / n).reshape(-1) + objective.ridge * theta
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
    """(theta, loss, step) after the first of the step and its halves that brings the loss down by enough."""
    slope = float(gradient @ step)
    if objective.kind == HUBER:  # the touching parabola takes short steps, whose doubles may do as well
        best = min((train_loss(objective, theta + size * step), size) for size in (1.0, 2.0, 4.0))
        if best[0] < loss:
            return theta + best[1] * step, best[0], best[1] * step
    size = 1.0
    for _ in range(HALVINGS):
        moved = theta + size * step
        found = train_loss(objective, moved)
        if found <= loss + 1e-4 * size * slope:
            return moved, found, size * step
        size *= 0.5
    return theta, loss, np.zeros_like(theta)
