"""Ridge regression on rows of few ones, and one pass of SGD over them, for many schedules at once.

The loss is mean_k (<x_k, w> - y_k)^2 + alpha |w|^2, its Hessian H = (2/n) X^T X + 2 alpha I. A step at row k is
w' = (1 - 2 eta alpha) w - 2 eta (<x_k, w> - y_k) x_k.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[np.float64]
# Made up: categories of 14 attributes, as a census has them, 122 in all.
ATTRIBUTES = (5, 8, 5, 16, 5, 7, 14, 6, 5, 2, 2, 2, 5, 40)
MOST_COLUMNS = 20_000  # the Hessian has their square: 3 GB


class Ridge(NamedTuple):
    """The rows, and what follows from them."""

    rows: Array  # (n, d)
    labels: Array  # (n,)
    alpha: float
    curvature: Array  # (d,) eigenvalues of H, the largest first
    axes: Array  # (d, d) eigenvectors, as rows
    minimiser: Array  # (d,)
    least: float  # the loss there

    def excess(self, weights: Array) -> Array:
        """The loss of weights (..., d) above the least; inf where they are no numbers, or beyond 1e100."""
        along = np.einsum("ij,...j->...i", self.axes, weights - self.minimiser, optimize=False)
        found = 0.5 * (self.curvature * along**2).sum(axis=-1)
        return np.where(found < 1e100, found, np.inf)


def ridge(rows: Array, labels: Array, alpha: float) -> Ridge:
    """The `Ridge` of rows and labels."""
    from ..kernels.problems.spectrum import symmetric_eigen

    count, size = rows.shape
    hessian = 2.0 / count * np.einsum("ki,kj->ij", rows, rows, optimize=False) + 2.0 * alpha * np.eye(size)
    values, axes = np.empty(size), np.empty((size, size))
    symmetric_eigen(hessian, values, axes)
    pull = 2.0 / count * np.einsum("ki,k->i", rows, labels, optimize=False)
    minimiser = np.einsum("ij,i->j", axes, np.einsum("ij,j->i", axes, pull, optimize=False) / values, optimize=False)
    misfit = np.einsum("ki,i->k", rows, minimiser, optimize=False) - labels
    return Ridge(rows, labels, alpha, values, axes, minimiser, float(np.mean(misfit**2) + alpha * (minimiser**2).sum()))


def made_up(count: int, skew: float, noise: float, linear: bool, root: int) -> tuple[Array, Array]:
    """Rows (count, 122) of fourteen ones, and labels -1 and 1, a quarter of them 1; or labels that are linear.

    Category k of an attribute, from 0, has a probability in proportion to (k + 1)^-skew, by uniforms of the stream
    (root, 0, SAMPLE). A label is that of sum of normal weights (root, 0, TARGET), plus noise (root, 0, LABEL_NOISE) of
    that many times its deviation, against its upper quartile.
    """
    from ..kernels.draws import LABEL_NOISE, SAMPLE, TARGET, fill_normal, fill_uniform

    drawn = np.empty(count * len(ATTRIBUTES))
    fill_uniform(drawn, root, 0, SAMPLE, 0)
    rows, first = np.zeros((count, sum(ATTRIBUTES))), 0
    for column, size in zip(drawn.reshape(count, -1).T, ATTRIBUTES, strict=True):
        shares = np.arange(1.0, size + 1.0) ** -skew
        edges = np.cumsum(shares / shares.sum())[:-1]
        rows[np.arange(count), first + np.searchsorted(edges, column, side="right")] = 1.0
        first += size
    weights, misfit = np.empty(first), np.empty(count)
    fill_normal(weights, root, 0, TARGET, 0)
    fill_normal(misfit, root, 0, LABEL_NOISE, 0)
    score = np.einsum("ki,i->k", rows, weights, optimize=False)
    if linear and not score.std() > 0.0:
        raise InputError("study.labels: linear labels need rows that differ; study.rows or study.skew leaves none")
    if linear:
        return rows, score / score.std()
    score = score + noise * score.std() * misfit
    return rows, np.where(score > np.quantile(score, 0.75), 1.0, -1.0)


def read_libsvm(path: str) -> tuple[Array, Array]:
    """Rows and labels of a text file with "label index:value index:value ..." on each line, indices from 1."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"study.file {path!r}: cannot be read: {error}") from None
    labels, cells = [], []
    for number, line in enumerate(lines, start=1):
        try:
            label, *rest = line.split()
            pairs = [cell.split(":") for cell in rest]
            found = [(int(index), float(value)) for index, value in pairs]
            labels.append(float(label))
        except ValueError:
            raise InputError(f"{path}, line {number}: must be a label, then index:value, ...") from None
        if not np.isfinite([labels[-1], *(value for _, value in found)]).all() or min(found, default=(1,))[0] < 1:
            raise InputError(f"{path}, line {number}: indices are from 1, and values finite")
        if len({index for index, _ in found}) < len(found) or max(found, default=(1,))[0] > MOST_COLUMNS:
            raise InputError(f"{path}, line {number}: every index is given once, and is at most {MOST_COLUMNS}")
        cells.append(found)
    if len(labels) < 2 or not any(cells):
        raise InputError(f"{path}: at least two rows with a value are needed")
    rows = np.zeros((len(labels), max(index for found in cells for index, _ in found)))
    for k, found in enumerate(cells):
        for index, value in found:
            rows[k, index - 1] = value
    return rows, np.array(labels)


def one_pass(problem: Ridge, rates: Array, order: NDArray[np.int64]) -> Array:
    """The excess losses (C,) of schedules (C, T) that take a step at each row of `order` (T,), from weights of 0.

    The weights are kept as scale times u, so that a step changes those of the row alone.
    """
    places = [np.flatnonzero(row) for row in problem.rows]
    u, scale = np.zeros((problem.rows.shape[1], len(rates))), np.ones(len(rates))
    shrink = 1.0 - 2.0 * problem.alpha * rates.T
    with np.errstate(all="ignore"):
        for t, k in enumerate(order):
            place = places[k]
            values, eta = problem.rows[k, place], rates[:, t]
            misfit = scale * np.einsum("i,ic->c", values, u[place], optimize=False) - problem.labels[k]
            scale = scale * shrink[t]
            u[place] -= values[:, None] * (2.0 * eta * misfit / scale)
        return problem.excess((scale * u).T)
