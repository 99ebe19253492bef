"""Axes of nearly equal curvature as one: how the means of a spectrum of a million axes take the time of hundreds.

A bin holds the c axes whose curvatures lie in one of so many equal parts of an octave. It is one axis of curvature
lam = mean lam_j that is there c times, with r^2 = sum lam_j r_j^2 / sum lam_j, so that trace and train loss at the
start are kept; what is lost is of second order in the width of the bins.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import ENDED, Landscape
from ..kernels.stochastic.mean_curves import VARIANCE, Found

FIRST_BINS = 4  # an octave
MOST_HALVINGS = 40  # axes that are then still in one bin are taken for different


class Axes(NamedTuple):
    """What the steps of N seeds see of their axes."""

    landscape: Landscape
    dimension: NDArray[np.int64]  # (N,) axes, or bins
    weight: NDArray[np.float64]  # (N, d) c lam
    exact: NDArray[np.bool_]  # (N,) whether no two axes of different curvature are in one bin


def every_axis(landscape: Landscape, dimension: NDArray[np.int64]) -> Axes:
    """Each axis by itself."""
    return Axes(landscape, dimension, landscape.curvature, np.ones(dimension.size, bool))


def grouped(landscape: Landscape, dimension: NDArray[np.int64], bins: int) -> Axes:
    """Axes in bins, so many an octave.

    Parameters
    ----------
    landscape : Landscape
        Its test_matrix (N, d) is the diagonal of M; offset and slope are 0.
    dimension : (N,) int64
        The axes of each seed.
    bins : int
        How many an octave of curvature has.

    Returns
    -------
    Axes
        As wide as the seed with the most bins has it; each seed's bins depend on nothing but the seed.
    """
    sums = [_sums(landscape, n, size, bins) for n, size in enumerate(dimension)]
    counts = np.array([part[0].size for part in sums], np.int64)
    wide = np.zeros((5, counts.size, counts.max()))
    for n, (curvature, residual, test, weight, _) in enumerate(sums):
        wide[:4, n, : counts[n]] = curvature, residual, test, weight
    curvature, residual, test, weight, nothing = wide
    binned = landscape._replace(
        curvature=curvature, residual=residual, test_matrix=test, offset=nothing, test_slope=nothing
    )
    return Axes(binned, counts, weight, np.array([part[4] for part in sums]))


def _sums(landscape, n, size, bins):
    """(curvature, residual, M, weight) of the bins of seed n, (bins,) each, and whether they lose nothing."""
    lam, r = landscape.curvature[n, :size], landscape.residual[n, :size]
    test = landscape.test_matrix[n, :size]
    place = np.full(size, np.iinfo(np.int64).max)  # flat axes come last
    curved = lam > 0.0
    place[curved] = np.floor(bins * np.log2(lam.max() / lam[curved]))
    order = np.argsort(place, kind="stable")
    first = np.flatnonzero(np.diff(place[order], prepend=-1))
    lam, r, test = lam[order], r[order], test[order]
    counts = np.diff(np.append(first, size))
    trace, squares = np.add.reduceat(lam, first), np.add.reduceat(lam * r * r, first)
    flat = trace == 0.0
    squares[flat], below = np.add.reduceat(r * r, first)[flat], np.where(flat, counts, trace)
    exact = (np.maximum.reduceat(lam, first) == np.minimum.reduceat(lam, first)).all()
    return trace / counts, np.sqrt(squares / below), np.add.reduceat(test, first), trace, exact


# ---- until the curve stays where it is ----


def skip(found: Found, closed: NDArray[np.bool_]) -> None:
    """Let the cells (S, N) that are closed take no part."""
    found.decided[closed] = ENDED


def take_over(found: Found, newer: Found, open_cells: NDArray[np.bool_], recorded: NDArray[np.int64]) -> None:
    """Put what was found anew of some cells (S, N) into `found`; recorded (R,) are the seeds of its rows."""
    for name in ("decided", "status", "stop_step", "stop_time", "stop"):
        getattr(found, name)[open_cells] = getattr(newer, name)[open_cells]
    found.record[open_cells[:, recorded]] = newer.record[open_cells[:, recorded]]


def change(found: Found, newer: Found, recorded: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest share (S, N) by which a loss at a stop or a recorded moment moved; inf where a step or outcome did.

    The variance of a loss is not looked at.
    """
    moved = np.where((found.status == newer.status) & (found.stop_step == newer.stop_step), 0.0, np.inf).max(axis=2)
    moved = np.maximum(moved, _share(found.stop, newer.stop))
    if found.record.size:
        moved[:, recorded] = np.maximum(moved[:, recorded], _share(found.record, newer.record))
    return moved


def _share(before, after):
    """The largest relative change along the last two axes; of what is no number, or infinite in both, none."""
    before, after = (np.delete(values, VARIANCE, axis=3) for values in (before, after))
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    with np.errstate(all="ignore"):
        moved = np.where(same, 0.0, abs(after - before) / abs(after))
    return np.where(np.isnan(moved), np.inf, moved).max(axis=(2, 3))
