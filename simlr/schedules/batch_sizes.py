"""Batch sizes that grow while training goes on: the keys `batch_growth`, `batch_every`, `batch_most` of a [[noise]].

After t steps a batch has min(batch_most, floor(batch_size batch_growth^floor(t / batch_every))) rows. Smith et al.
(2018), "Don't Decay the Learning Rate, Increase the Batch Size", arXiv:1711.00489, let it grow where a rate would fall.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

GROWTH, EVERY, MOST = KEYS = "batch_growth", "batch_every", "batch_most"
LARGEST = 2.0**53  # beyond which not every whole number is one of float64
NEVER = np.iinfo(np.int64).max
MOST_TIMES = 1_000_000


def grows(noise: Mapping[str, Any]) -> bool:
    """Whether the batch size of a noise changes from step to step."""
    return GROWTH in noise


def pieces(noise: Mapping[str, Any], steps: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The batch sizes of a noise, and after how many steps each of them ends.

    Parameters
    ----------
    noise
        A checked [[noise]] table of one combination; without a batch size, the size is 1.
    steps
        The most that are taken.

    Returns
    -------
    sizes : (K,) float64
        Rows a step, ascending.
    until : (K,) int64
        Ascending; the last never ends.

    Raises
    ------
    InputError
        Where it grows more often than a million times.
    """
    first = float(noise.get("batch_size", 1))
    if noise.get(GROWTH, 1.0) == 1.0:
        return np.array([first]), np.array([NEVER])
    growth, every, most = noise[GROWTH], noise[EVERY], float(noise.get(MOST) or LARGEST)
    times = -(-steps // every) - 1  # that it grows
    times = min(times, math.ceil(math.log(most / first) / math.log(growth)))
    if times > MOST_TIMES:
        raise InputError(f"noise.{EVERY}: the batch size grows {times:,} times in {steps:,} steps, over {MOST_TIMES:,}")
    grown = first * growth ** np.arange(times + 1.0)
    near = np.rint(grown)  # a whole number that rounding alone keeps below itself
    sizes = np.minimum(most, np.where(abs(grown - near) < 1e-9 * grown, near, np.floor(grown)))
    new = np.flatnonzero(np.diff(sizes))
    return np.append(sizes[:1], sizes[new + 1]), np.append((new + 1) * every, NEVER)


def batch_sizes(noise: Mapping[str, Any], steps: int) -> NDArray[np.float64]:
    """The rows of each of the first `steps` steps, (steps,)."""
    sizes, until = pieces(noise, steps)
    return sizes[np.searchsorted(until, np.arange(steps), side="right")]


def rows_used(noise: Mapping[str, Any], steps: int) -> float:
    """The rows of the first `steps` steps together."""
    sizes, until = pieces(noise, steps)
    ends = np.minimum(until, steps)
    return float((sizes * np.diff(ends, prepend=0)).sum())
