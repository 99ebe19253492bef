"""From a grid's levels to what the kernels compare with."""

import numpy as np

from ..config.stop import LOSS_KINDS


def thresholds(config, train_floor, initial_train_loss):
    """In which order the kernels have the levels (E,), and what sum_i x_i^2 must fall to for each (N, E).

    Losses come highest first, and their thresholds are 2 (level - floor), rounded so that floor + 1/2 threshold is
    never above the level: a cell that has passed has a train loss at or below the level in the file too. -1 where out
    of reach. Levels that are no losses come lowest first, and have no thresholds: (N, 0).
    """
    levels = np.array(config.levels, dtype=np.float64)
    if config.level_kind not in LOSS_KINDS:
        return np.argsort(levels, kind="stable"), np.empty((train_floor.size, 0))
    order = np.argsort(-levels, kind="stable")
    excess = np.broadcast_to(levels[order], (train_floor.size, levels.size)).copy()
    if config.level_kind == "train_loss_fraction":
        excess *= initial_train_loss[:, None]
    if config.level_kind != "excess_train_loss":
        wanted = excess.copy()
        excess -= train_floor[:, None]
        above = train_floor[:, None] + excess > wanted
        excess[above] = np.nextafter(excess[above], -np.inf)
    return order, np.where(excess > 0.0, 2.0 * excess, -1.0)


def initial_train_loss(batch):
    """The train loss at the start of every seed (N,): the sum in the order of the axes, whatever the block."""
    total = np.zeros(batch.train_floor.size)
    with np.errstate(over="ignore"):
        for lam, r in zip(batch.curvature.T, batch.initial_residual.T, strict=True):
            total += lam * r * r
        return batch.train_floor + 0.5 * total
