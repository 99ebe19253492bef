"""Cutting schedules into the stages of their closed form: no compiled code, only arithmetic on steps.

A stage is what one launch skips: any number of pieces of constant rates, then at most one piece of varying rates. Those
grow sixteenfold from stage to stage, so that a table is made only as far as cells go, or sixteen times that; each stage
costs a cell that goes on some 100 ns.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..schedules.schedule import Piece, Schedule

FIRST_TABLE = 4096
LONGEST_TABLE = 1 << 23
GROWTH = 16
# A stage's tables, or a chunk of rates, of one batch of schedules stay small.
STEPS_A_BATCH = LONGEST_TABLE
SCHEDULES_A_BATCH = 256
# Steps from one row of a table to the next: few to step through. Long tables have half the rows.
SPACING = 64
LONG = 1 << 15


def stages(schedule: Schedule, first: int = 0) -> list[list[Piece]]:
    """The steps of a schedule from `first` on, cut into stages: a list of pieces each, as of `Schedule.pieces`."""
    cut, stage, size = [], [], FIRST_TABLE
    for start, steps, rate in schedule.pieces():
        begin, end = max(start, first), start + steps
        while begin < end:
            taken = end - begin if rate is not None else min(size, end - begin)
            stage.append((begin, taken, rate))
            begin += taken
            if rate is None:
                cut.append(stage)
                stage, size = [], min(size * GROWTH, LONGEST_TABLE)
    return [*cut, stage] if stage else cut


def longest_table(schedule: Schedule) -> int:
    """At most how many steps of varying rates one stage of a schedule has, and at least 1."""
    varying = max((steps for _, steps, rate in schedule.pieces() if rate is None), default=1)
    return min(varying, LONGEST_TABLE)


def batches(schedules: Iterable[int], weights: Iterable[int]) -> Iterator[NDArray[np.int64]]:
    """Consecutive schedules in batches of limited number and total weight; one that weighs more is alone.

    Parameters
    ----------
    schedules
        Their indices.
    weights
        Of each, what it adds to a batch: steps of its longest table, say.

    Yields
    ------
    int64 (R,)
        The indices of one batch.
    """
    batch: list[int] = []
    load = 0
    for index, weight in zip(schedules, weights, strict=True):
        if batch and (load + weight > STEPS_A_BATCH or len(batch) == SCHEDULES_A_BATCH):
            yield np.array(batch)
            batch, load = [], 0
        batch.append(index)
        load += weight
    if batch:
        yield np.array(batch)


def row_spacing(steps: int) -> int:
    """Steps from one row of a table to the next."""
    return SPACING if steps <= LONG else 2 * SPACING
