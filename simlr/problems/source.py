"""What a problem kind is made of: its parameters, the source that draws, and the quadratics that it draws.

A problem kind is a `Problem`: its parameters, and `prepare`, which checks them, reads what is to be read, and returns
an object that draws. docs/adding-a-problem.md walks through one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..inputs.parameters import Parameter
from .losses import Terms


class Batch(NamedTuple):
    """The quadratics of N draws, in curvature axes, r = Q^T (theta - train_minimiser). Float64.

    Train loss = train_floor + 1/2 sum_i lam_i r_i^2; test loss = test_floor + y^T (b + M y), y = r + offset. Where
    there is no slope b, y is measured from the test minimiser theta_star. Where that lies far away in directions that
    hardly matter (a kernel, or more features than rows), a sum of squares around it loses all digits; then y is
    measured from a theta_star of one's own, the start, say, and b is the gradient of the test loss there.
    """

    curvature: NDArray[np.float64]  # (N, d) lam
    curvature_axes: NDArray[np.float64]  # (N, d, d) Q, columns are axes
    initial_residual: NDArray[np.float64]  # (N, d) r at the start
    train_minimiser: NDArray[np.float64]  # (N, d) theta_hat
    test_matrix: NDArray[np.float64]  # (N, d, d) M
    offset: NDArray[np.float64]  # (N, d) delta = Q^T (theta_hat - theta_star)
    train_floor: NDArray[np.float64]  # (N,)
    test_floor: NDArray[np.float64]  # (N,) the test loss at y = 0: the smallest, where there is no slope
    target: NDArray[np.float64]  # (N, d) theta_star, NaN where it is not known
    test_slope: NDArray[np.float64] | None = None  # (N, d) b; None where it is 0


class Quadratic(NamedTuple):
    """A loss of N draws in the axes of their Batch: floor + (r + offset)^T M (r + offset). Float64."""

    matrix: NDArray[np.float64]  # (N, d, d) M
    offset: NDArray[np.float64]  # (N, d)
    floor: NDArray[np.float64]  # (N,)


class Sloped(NamedTuple):
    """A loss as that of a Batch with a slope: floor + y^T (b + M y), y = r + offset. Float64."""

    matrix: NDArray[np.float64]  # (N, d, d) M
    offset: NDArray[np.float64]  # (N, d)
    floor: NDArray[np.float64]  # (N,)
    slope: NDArray[np.float64]  # (N, d) b


def empty_batch(count: int, dimension: int) -> Batch:
    """A Batch of zeros for so many draws, without a slope, to be filled."""
    vector, matrix = (count, dimension), (count, dimension, dimension)
    shapes = (vector, matrix, vector, vector, matrix, vector, (count,), (count,), vector)
    return Batch(*(np.zeros(shape) for shape in shapes))


class Samples(NamedTuple):
    """Rows of N draws in the features' own axes. Float64."""

    x: NDArray[np.float64]  # (N, rows, d)
    y: NDArray[np.float64]  # (N, rows) a number, +-1, or a class number, as the loss wants it


class Sets(NamedTuple):
    """The rows of N draws."""

    train: Samples
    validation: Samples | None  # None where there is no validation set
    test: Samples
    target: NDArray[np.float64] | None = None  # (N, p) theta_star, where the labels come from one


RowsOf = Callable[[int, NDArray[np.int64], Batch, int], Sequence[NDArray[np.float64]]]
SamplesOf = Callable[[int, NDArray[np.int64], int], Sets]
ValidationOf = Callable[[int, NDArray[np.int64], Batch, int], Quadratic | Sloped]


class Source:
    """What `prepare` returns. Draw number k with a root is a pure function of (root, k).

    Attributes
    ----------
    dimension : int
        d, the number of axes.
    limit : int or None
        The number of different draws, where there are only so many.
    is_same : bool
        Whether all draws are the same problem, so that more than one seed is worth while with noise only.
    is_population : bool
        Whether it is the loss of a population of Gaussian inputs, of which new rows can be drawn at every step; its
        train_floor is then the variance of what the inputs cannot tell.
    modes : callable or None
        Where M is diagonal in every draw, (root, draws, workers) -> their Batch without matrices, for more axes than
        these have room for: test_matrix (N, d) is M's diagonal, curvature_axes (N, 0).
    identity : str
        Digest of the files behind it; a run is resumed only where it is the same.
    rows : callable or None
        Where mini-batches can be drawn, (root, draws, their Batch, workers) -> the train rows in curvature axes,
        z (N, n, d) = Q^T x, and their labels' residuals, rho (N, n) = y - <x, theta_hat>.
    samples : callable or None
        Where losses may be others than the squared one, (root, draws, workers) -> the `Sets` of these draws.
    terms : Terms
        The train loss; with another one than the plain squared loss, `draw` and all that goes with it is not called,
        and `dimension` counts parameters.
    validation : callable or None
        Where there is a validation set, (root, draws, their Batch, workers) -> the `Quadratic` of these draws, or their
        `Sloped`; the Batch may have more axes than the source, all 0.
    validation_needs : str
        What such a set takes, for who asks for one in vain.
    """

    dimension: int = 0
    limit: int | None = None
    is_same: bool = False
    is_population: bool = False
    identity: str = ""
    rows: RowsOf | None = None
    terms: Terms = Terms()
    validation_needs: str = "which has none"

    @property
    def validation(self) -> ValidationOf | None:
        """As above. A kind whose sources all have a validation set may make it a method, as `draw` is."""
        return None

    @property
    def samples(self) -> SamplesOf | None:
        """As above."""
        return None

    @property
    def modes(self) -> Callable[[int, NDArray[np.int64], int], Batch] | None:
        """As above."""
        return None

    def describe(self) -> str:
        """What was read from files, in one line; "" where nothing was."""
        return ""

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The `Batch` of these draws, (N,), by so many threads, whose number changes no bit."""
        raise NotImplementedError


@dataclass(frozen=True)
class Problem:
    """A kind of problem."""

    kind: str
    meaning: str
    parameters: tuple[Parameter, ...]
    prepare: Callable[[dict[str, Any], Path], Source]  # (parameters, folder of the grid file)
    # ({parameter: value, or list of values}): refuses what no single parameter shows
    check: Callable[[dict[str, Any]], None] | None = None
    optional: tuple[str, ...] = ()  # parameters that stand in a grid only where they say something, and not by default
