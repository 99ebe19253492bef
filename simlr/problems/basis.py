"""The axes that rows are given in: the features' own, those of the train rows' Hessian, or random ones.

Gradient descent is the same along any orthonormal axes; optimisers that act entry by entry are not.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..inputs import rules
from ..inputs.parameters import Parameter
from . import lapack
from .source import Samples, Sets

Floats = NDArray[np.float64]

FEATURES, EIGEN, RANDOM = BASES = "features", "eigen", "random"
MEANINGS = {
    EIGEN: "the axes of the train rows' X^T X",
    RANDOM: "the axes of a random orthogonal matrix, the same for all seeds",
}
PARAMETER = Parameter(
    "basis",
    rules.one_of(*BASES),
    FEATURES,
    "the axes of theta, for optimisers that act entry by entry: features, eigen (of the train rows), or random",
)


def told(table: dict) -> list[str]:
    """What a report says of the bases of a problem's table, one sentence each; none for the features' own."""
    chosen = table.get("basis", FEATURES)
    chosen = chosen if isinstance(chosen, list) else [chosen]
    return [
        f"With basis = {one!r} theta lies along {MEANINGS[one]}; what acts entry by entry acts along these."
        for one in chosen
        if one in MEANINGS
    ]


def turned(sets: Sets, basis: str, root: int) -> Sets:
    """The rows of N draws, and their target, along the axes of a basis.

    With B the matrix whose columns are the axes, x becomes B^T x and theta_star B^T theta_star. The axes of "eigen" are
    eigenvectors of X^T X of each draw's train rows, the largest eigenvalue first; their signs mean nothing. Along
    those that no train row has anything of, train rows are 0, and not what rounding left.
    """
    if basis == FEATURES:
        return sets
    with lapack.one_thread():
        if basis == RANDOM:
            none = np.zeros(sets.train.x.shape[2], bool)
            known = [(random_axes(root, none.size), none)] * len(sets.train.x)
        else:
            known = [_eigen_axes(x) for x in sets.train.x]
        axes = [b for b, _ in known]
        train, test = _along(sets.train, axes), _along(sets.test, axes)
        validation = None if sets.validation is None else _along(sets.validation, axes)
        target = None if sets.target is None else np.stack([b.T @ t for b, t in zip(axes, sets.target, strict=True)])
    for x, (_, unseen) in zip(train.x, known, strict=True):
        x[:, unseen] = 0.0
    return Sets(train, validation, test, target)


@cache
def random_axes(root: int, dimension: int) -> Floats:
    """An orthogonal matrix (d, d), uniform over all: Q of the QR decomposition, R's diagonal above 0, of d x d normals.

    They are those of NumPy's stream Philox(key=[root, 0], counter=[0, 0, 7, 0]), row after row. Stewart (1980), The
    Efficient Generation of Random Orthogonal Matrices, SIAM J. Numer. Anal. 17(3).
    """
    from ..kernels.draws import BASIS, fill_normal

    normal = np.empty(dimension**2)
    fill_normal(normal, root, 0, BASIS, 0)
    with lapack.one_thread():
        q, r = np.linalg.qr(normal.reshape(dimension, dimension))
    return q * np.where(np.diag(r) < 0.0, -1.0, 1.0)


def _eigen_axes(x):
    """The axes of the rows x (n, d), and which of them no row has anything of."""
    values, axes = np.linalg.eigh(x.T @ x)
    values, axes = values[::-1], np.ascontiguousarray(axes[:, ::-1])
    return axes, values <= lapack.null_bound(values[0], *x.shape)


def _along(rows, axes):
    """Samples with x B in the place of x."""
    return Samples(np.stack([x @ b for x, b in zip(rows.x, axes, strict=True)]), rows.y)
