"""Feature maps of a table's rows, and what gradient descent sees of them: the spectrum of the train rows' features.

A map is linear in its parameters theta, so descent on it is least squares on its features. A kernel has no features
that could be written down, but theta moves in the span of the n train rows only, where the symmetric square root of
their kernel matrix K has the inner products of the features: row i of K^(1/2) stands for train row i, and
K_(z, train) K^(-1/2) for any other. Then theta (n,) = K^(1/2) alpha, f(x) = sum_i alpha_i k(x_i, x), and |theta| is f's
norm in the kernel's space. Kernel gradient descent is descent on these rows:

    f <- f - eta (2/n) K (f - y) on the train rows,    H = (2/n) K
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from . import lapack

Floats = NDArray[np.float64]

MAPS = "linear", "relu", "fourier", "rbf"
# Those of which a number is drawn, each at its number in kernels.problems.features: RELU, FOURIER.
DRAWN = "relu", "fourier"


class Spectrum(NamedTuple):
    """The train rows' features (n, d) = left diag(root) Q[:, :k]^T, k <= d; those of one draw."""

    curvature: Floats  # (d,) 2/n root^2, the largest first; what counts as 0 is 0
    axes: Floats  # (d, d) Q
    left: Floats  # (n, k)
    root: Floats  # (k,)


class RandomFeatures:
    """p random features of a kind of DRAWN, drawn anew for every seed."""

    def __init__(self, kind: str, count: int, length_scale: float):
        self._number, self.dimension, self._length_scale = DRAWN.index(kind), count, length_scale

    def _of(self, rows, root, draw):
        """Features (n, p) of rows (n, D + 1)."""
        from ..kernels.problems.features import fill_features

        out = np.empty((len(rows), self.dimension))
        fill_features(rows, root, draw, self._number, self._length_scale, out)
        if not np.isfinite(out).all():
            raise RunError(f"problem: the features of draw {draw} overflow; standardize = 'train' keeps them in range")
        return out

    def spectrum(self, train: Floats, root: int, draw: int) -> Spectrum:
        """The `Spectrum` of the train rows (n, D + 1), the target last."""
        left, root_of, right = _decomposed(lapack.singular, self._of(train, root, draw), draw)
        curvature = np.zeros(self.dimension)
        curvature[: root_of.size] = 2.0 / len(train) * root_of**2
        return Spectrum(_without_null(curvature, len(train)), np.ascontiguousarray(right.T), left, root_of)

    def along(self, rows: Floats, train: Floats, root: int, draw: int, axes: Floats, curvature: Floats) -> Floats:
        """Features (m, d) of any rows in the curvature's axes."""
        return self._of(rows, root, draw) @ axes

    def train_along(self, train: Floats, root: int, draw: int, axes: Floats, curvature: Floats) -> Floats:
        """Those of the train rows (n, d)."""
        return self._of(train, root, draw) @ axes


class GaussianKernel:
    """k(x, y) = exp(-|x - y|^2 / (2 ell^2)) between n train rows: n axes."""

    def __init__(self, train_rows: int, length_scale: float):
        self.dimension, self._length_scale = train_rows, length_scale

    def _between(self, rows, others):
        """The kernel (n, m) between rows."""
        from ..kernels.problems.features import fill_kernel

        out = np.empty((len(rows), len(others)))
        fill_kernel(rows, others, self._length_scale, out)
        return out

    def spectrum(self, train: Floats, root: int, draw: int) -> Spectrum:
        """The `Spectrum` of the train rows (n, D + 1), the target last."""
        values, vectors = _decomposed(lapack.symmetric_eigen, self._between(train, train), draw)
        axes = np.ascontiguousarray(vectors.T)
        curvature = _without_null(2.0 / self.dimension * values, self.dimension)
        return Spectrum(curvature, axes, axes, self._roots(curvature))

    def _roots(self, curvature):
        """Singular values of K^(1/2)."""
        return np.sqrt(0.5 * self.dimension * curvature)

    def along(self, rows: Floats, train: Floats, root: int, draw: int, axes: Floats, curvature: Floats) -> Floats:
        """Features (m, d) of any rows in the curvature's axes: K_(z, train) Q diag(root)^-1."""
        features, roots = self._between(rows, train) @ axes, self._roots(curvature)
        features *= np.where(roots > 0.0, 1.0 / np.where(roots > 0.0, roots, 1.0), 0.0)
        return features

    def train_along(self, train: Floats, root: int, draw: int, axes: Floats, curvature: Floats) -> Floats:
        """Those of the train rows (n, d)."""
        return axes * self._roots(curvature)


def _decomposed(decompose, matrix, draw):
    """What `decompose` gives of a matrix."""
    try:
        return decompose(matrix)
    except np.linalg.LinAlgError as error:
        raise RunError(f"problem: LAPACK gave up on the features of draw {draw}: {error}") from None


def _without_null(curvature, rows):
    """The curvature (d,) of so many rows with 0 in place of what counts as null."""
    return np.where(curvature > lapack.null_bound(curvature[0], rows, curvature.size), curvature, 0.0)


def minimum(spectrum: Spectrum, target: Floats) -> tuple[Floats, float]:
    """Q^T theta_hat (d,), theta_hat the train minimiser nearest to 0, and the mean squared error (1/n) that is left."""
    known = spectrum.curvature[: spectrum.root.size] > 0.0
    along = np.where(known, spectrum.left.T @ target, 0.0)
    best = np.zeros(spectrum.curvature.size)
    best[: along.size] = along / np.where(known, spectrum.root, 1.0)
    left_over = target - spectrum.left @ along
    return best, float(np.mean(left_over * left_over))


def held_out(features: Floats, target: Floats) -> tuple[Floats, Floats, float]:
    """M (d, d), slope b (d,) and constant of the mean squared error of y on rows of features (m, d): c + y^T (b + M y).

    y is measured from 0, where the error is the mean square of the targets.
    """
    matrix = features.T @ features
    matrix /= len(target)
    return matrix, -2.0 / len(target) * (features.T @ target), float(np.mean(target * target))
