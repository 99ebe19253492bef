"""What is told of the weights at a stop or a recorded moment, beside their losses: their sizes and their margin."""

import numpy as np
from numpy.typing import NDArray

from ..kernels.convex.losses import Table
from ..problems import lapack
from ..problems.losses import LOSSES, OF_CLASSES

Floats = NDArray[np.float64]


def sizes(weights: Floats) -> tuple[Floats, Floats]:
    """|beta|_1 of weights (..., d), and |beta|_1^2 / |beta|_2^2: of k entries of one size k."""
    with np.errstate(all="ignore"):
        length = np.abs(weights).sum(axis=-1)
        largest = np.abs(weights).max(axis=-1, keepdims=True)
        shares = np.abs(weights) / largest
        return length, shares.sum(axis=-1) ** 2 / (shares**2).sum(axis=-1)


def margins(table: Table, theta: Floats) -> Floats:
    """By how much of |theta| the row that is worst told is on its own side, below 0 where it is on the other one.

    Parameters
    ----------
    table : Table
        The train rows of N seeds.
    theta : (S, N, M, outputs d) float64
        Weights at M moments of S schedules.

    Returns
    -------
    (S, N, M) float64
        min y <x, theta> / |theta| over the rows, of softmax that of the right class's score less the largest other one;
        NaN where theta is 0 or the loss has no classes.
    """
    found = np.full(theta.shape[:3], np.nan)
    if LOSSES[table.kind] not in OF_CLASSES:
        return found
    with lapack.one_thread(), np.errstate(all="ignore"):
        for n, count in enumerate(table.count):
            x, y = table.x[n, :count], table.y[n, :count]
            score = theta[:, n].reshape(*found.shape[::2], table.outputs, -1) @ x.T  # (S, M, outputs, rows)
            if table.outputs == 1:
                side = y * score[:, :, 0]
            else:
                own = y.astype(int)[None, None, None]
                right = np.take_along_axis(score, own, 2)[:, :, 0]
                np.put_along_axis(score, own, -np.inf, 2)
                side = right - score.max(axis=2)
            found[:, n] = side.min(axis=2) / np.sqrt((theta[:, n] ** 2).sum(axis=2))
    return found
