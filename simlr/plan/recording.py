"""What is recorded of a grid: the moments of every schedule, and the seeds whose trajectories are kept."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..schedules.schedule import Schedule

# The first recorded moment of a flow, as a fraction of how long it is recorded.
FIRST_FLOW_FRACTION = 1000.0


def recorded_moments(
    schedule: Schedule, points: int, flow_time: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The moments at which one schedule is recorded: its start, its steps from 1 to T, then its flow.

    Steps and flow times are in geometric progression. Where there are steps and a flow, at most half of the slots after
    the start go to the steps.

    Parameters
    ----------
    schedule
        T discrete steps, and a flow after them where it has one.
    points
        K, the number of slots.
    flow_time
        How long a flow is recorded, in the schedule's unit of time.

    Returns
    -------
    steps : int64 (K,)
        Discrete steps taken; -1 in slots that are not used.
    flow : float64 (K,)
        Flow time at the moments that lie in a flow, in the schedule's unit; NaN elsewhere.
    """
    steps, flow = np.full(points, -1, np.int64), np.full(points, np.nan)
    if not points:
        return steps, flow
    steps[0] = 0
    room = points - 1
    slots = room // 2 if schedule.flows else room
    if schedule.length <= slots:
        taken = np.arange(1, schedule.length + 1)
    else:
        taken = np.unique(np.rint(np.geomspace(1, schedule.length, slots)).astype(np.int64))
    steps[1 : 1 + taken.size] = taken
    if schedule.flows and taken.size < room:
        steps[1 + taken.size :] = schedule.length
        flow[1 + taken.size :] = np.geomspace(flow_time / FIRST_FLOW_FRACTION, flow_time, room - taken.size)
    return steps, flow


@dataclass(frozen=True)
class RecordedSeeds:
    """The seeds of a grid whose trajectories are kept, each of which has a row of the run file.

    Attributes
    ----------
    offsets : tuple of P + 1 int
        The first seed of each of the P combinations of problem parameters, and the number of all seeds.
    draws : int
        How many of the first draws of every combination are recorded, where it has so many.
    """

    offsets: tuple[int, ...]
    draws: int

    @cached_property
    def row_offsets(self) -> list[int]:
        """The first row of every combination, and the number of all rows."""
        offsets = [0]
        for first, last in pairwise(self.offsets):
            offsets.append(offsets[-1] + min(self.draws, last - first))
        return offsets

    @property
    def every_one(self) -> bool:
        """Whether all seeds are recorded."""
        return self.row_offsets[-1] == self.offsets[-1]

    def rows_before(self, seed: int) -> int:
        """How many rows belong to seeds before this one of the grid."""
        starts = zip(pairwise(self.row_offsets), self.offsets, strict=False)
        return sum(min(last - first, max(0, seed - start)) for (first, last), start in starts)

    def rows_of(self, pieces: list[tuple[int, int, int, int]]) -> tuple[int | None, NDArray[np.int64]]:
        """The recorded ones among some consecutive seeds, given as `Plan.pieces` does; their rows lie together.

        Returns
        -------
        row : int or None
            The grid's row of the first of them; None where there is none.
        seeds : int64 (R,)
            The seeds, numbered as in the pieces.
        """
        first_row, seeds = None, [np.empty(0, np.int64)]
        for combination, begin, first_draw, last_draw in pieces:
            start, end = self.row_offsets[combination : combination + 2]
            kept = min(last_draw, end - start) - first_draw
            if kept > 0:
                first_row = start + first_draw if first_row is None else first_row
                seeds.append(np.arange(begin, begin + kept, dtype=np.int64))
        return first_row, np.concatenate(seeds)
