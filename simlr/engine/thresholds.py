"""From a grid's levels to what the kernels compare with."""

import numpy as np
from numpy.typing import NDArray

from ..config.grid import GridConfig
from ..config.stop import LOSS_KINDS
from ..problems.source import Batch


def energies(excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """What sum_i x_i^2 = 2 (train loss - floor) must fall to for losses above the floor; -1 where out of reach."""
    return np.where(excess > 0.0, 2.0 * excess, -1.0)


def highest_first(levels: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order (E,) in which the kernels have losses (E,)."""
    return np.argsort(-levels, kind="stable")


def thresholds(
    config: GridConfig, train_floor: NDArray[np.float64], initial_train_loss: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """In which order the kernels have the levels, and what sum_i x_i^2 must fall to for each.

    Parameters
    ----------
    config : the grid, of which the levels and their kind are read.
    train_floor : (N,) the smallest train loss of each seed.
    initial_train_loss : (N,) the train loss at the start.

    Returns
    -------
    order : (E,) losses come highest first; levels that are no losses lowest first.
    threshold : (N, E) 2 (level - floor), rounded so that floor + 1/2 threshold is never above the level: a cell that
        has passed has a train loss at or below the level in the file too. -1 where out of reach. Levels that are no
        losses have none: (N, 0).
    """
    levels = np.array(config.levels, dtype=np.float64)
    if config.level_kind not in LOSS_KINDS:
        return np.argsort(levels, kind="stable"), np.empty((train_floor.size, 0))
    order = highest_first(levels)
    excess = np.broadcast_to(levels[order], (train_floor.size, levels.size)).copy()
    if config.level_kind == "train_loss_fraction":
        excess *= initial_train_loss[:, None]
    if config.level_kind != "excess_train_loss":
        wanted = excess.copy()
        excess -= train_floor[:, None]
        above = train_floor[:, None] + excess > wanted
        excess[above] = np.nextafter(excess[above], -np.inf)
    return order, energies(excess)


def initial_train_loss(batch: Batch) -> NDArray[np.float64]:
    """The train loss at the start of every seed (N,): the sum in the order of the axes, whatever the block."""
    total = np.zeros(batch.train_floor.size)
    with np.errstate(over="ignore"):
        for lam, r in zip(batch.curvature.T, batch.initial_residual.T, strict=True):
            total += lam * r * r
        return batch.train_floor + 0.5 * total


def of_rows(
    config: GridConfig, floor: NDArray[np.float64], initial: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The same where rows are gone through.

    Parameters
    ----------
    config : GridConfig
        With its levels.
    floor, initial : (N,) float64
        The smallest train loss, and the one at the start.

    Returns
    -------
    (E,) and (N, E)
        The kernels' order of the levels, and twice the train loss of each, -1 where it is out of reach.
    """
    levels = np.array(config.levels, np.float64)
    if config.level_kind not in LOSS_KINDS:
        return np.argsort(levels, kind="stable"), np.empty((floor.size, 0))
    order = highest_first(levels)
    wanted = np.broadcast_to(levels[order], (floor.size, levels.size))
    if config.level_kind == "train_loss_fraction":
        wanted = wanted * initial[:, None]
    if config.level_kind == "excess_train_loss":
        wanted = wanted + floor[:, None]
    return order, np.where(wanted > floor[:, None], 2.0 * wanted, -1.0)
