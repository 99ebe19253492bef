"""The slow twin of landing on a level: bisection along the last step. Imports nothing of simlr."""

from typing import NamedTuple

import numpy as np


class Landing(NamedTuple):
    """The step that met a level, the share of it that was taken, and the point at which that ends."""

    step: int
    fraction: float
    point: np.ndarray


def fraction_of(before, after, loss, level):
    """The first share of the step from `before` to `after` at which the loss is at or below the level."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if loss(before + middle * (after - before)) <= level else (middle, high)
    return high


def land(iterates, loss, level):
    """Where a run is first at or below the level, its last step shortened; None where it never is."""
    for step, point in enumerate(iterates):
        if loss(point) <= level:
            if step == 0:
                return Landing(0, 1.0, point)
            before = iterates[step - 1]
            fraction = fraction_of(before, point, loss, level)
            return Landing(step, fraction, before + fraction * (point - before))
    return None
