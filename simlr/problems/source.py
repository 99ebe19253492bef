"""What a problem kind is made of: its parameters, the source that draws, and the quadratics that it draws.

A problem kind is a `Problem`: its parameters, and `prepare`, which checks them, reads what is to be read, and returns
an object that draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Problem:
    """A kind of problem."""

    kind: str
    meaning: str
    parameters: tuple
    prepare: Callable  # (parameters, folder of the grid file) -> an object with the attributes of `Source`
    check: Callable | None = None  # ({parameter: value, or list of values}): refuses what no single parameter shows


class Source:
    """What `prepare` returns. Draw number k with a root is a pure function of (root, k)."""

    axes = 0  # d
    limit = None  # the number of different draws, where there are only so many
    identity = ""  # digest of the files behind it; a run is resumed only where it is the same

    # Where mini-batches can be drawn, a method (root, draws, their Batch, workers) -> the train rows in curvature axes,
    # z (N, n, d) = Q^T x, and their labels' residuals, rho (N, n) = y - <x, theta_hat>.
    rows = None

    # Where there is a validation set, a method (root, draws, their Batch, workers) -> the `Quadratic` of these draws,
    # or their `Sloped`; the Batch may have more axes than the source, all 0.
    validation = None
    # What such a set takes, for who asks for one in vain.
    validation_needs = "which has none"

    def draw(self, root, draws, workers):
        """The `Batch` of these draws, (N,) int64."""
        raise NotImplementedError


class Batch(NamedTuple):
    """The quadratics of N draws, in curvature axes, r = Q^T (theta - train_minimiser). Float64.

    Train loss = train_floor + 1/2 sum_i lam_i r_i^2; test loss = test_floor + y^T (b + M y), y = r + offset. Where
    there is no slope b, y is measured from the test minimiser theta_star. Where that lies far away in directions that
    hardly matter (a kernel, or more features than rows), a sum of squares around it loses all digits; then y is
    measured from a theta_star of one's own, the start, say, and b is the gradient of the test loss there.
    """

    curvature: np.ndarray  # (N, d) lam
    curvature_axes: np.ndarray  # (N, d, d) Q, columns are axes
    initial_residual: np.ndarray  # (N, d) r at the start
    train_minimiser: np.ndarray  # (N, d) theta_hat
    test_matrix: np.ndarray  # (N, d, d) M
    offset: np.ndarray  # (N, d) delta = Q^T (theta_hat - theta_star)
    train_floor: np.ndarray  # (N,)
    test_floor: np.ndarray  # (N,) the test loss at y = 0: the smallest, where there is no slope
    target: np.ndarray  # (N, d) theta_star, NaN where it is not known
    test_slope: np.ndarray | None = None  # (N, d) b; None where it is 0


class Quadratic(NamedTuple):
    """A loss of N draws in the axes of their Batch: floor + (r + offset)^T M (r + offset). Float64."""

    matrix: np.ndarray  # (N, d, d) M
    offset: np.ndarray  # (N, d)
    floor: np.ndarray  # (N,)


class Sloped(NamedTuple):
    """A loss as that of a Batch with a slope: floor + y^T (b + M y), y = r + offset. Float64."""

    matrix: np.ndarray  # (N, d, d) M
    offset: np.ndarray  # (N, d)
    floor: np.ndarray  # (N,)
    slope: np.ndarray  # (N, d) b


def empty_batch(count, axes):
    """A Batch of zeros without a slope, to be filled."""
    vector, matrix = (count, axes), (count, axes, axes)
    shapes = (vector, matrix, vector, vector, matrix, vector, (count,), (count,), vector)
    return Batch(*(np.zeros(shape) for shape in shapes))
