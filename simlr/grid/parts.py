"""Computing some cells of a block: an extension wants those that its file has not."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..plan.plan import Plan
from ..problems.source import Source

MOST_ENGINES = 8


class Part(NamedTuple):
    """Some schedules with some consecutive seeds of a block.

    Attributes
    ----------
    schedules : tuple of int
        Their numbers.
    begin, end : int
        The seeds begin..end - 1 of the block, counted from its first one.
    """

    schedules: tuple[int, ...]
    begin: int
    end: int


def parts(wanted: NDArray[np.bool_]) -> Iterator[Part]:
    """The parts that make up the cells of a block that are wanted, (S, N); none of them twice."""
    for row in np.unique(wanted, axis=0):
        schedules = tuple(np.flatnonzero((wanted == row).all(axis=1)).tolist())
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield Part(schedules, begin, end)


class PartEngine:
    """Computes parts of the blocks of a plan; see `Engine`, of which it has one for each choice of schedules.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    sources : list of Source
        The problems, one of each combination of problem parameters.
    threads : int, optional
        How many to compute with; all of them by default.
    """

    def __init__(self, plan: Plan, sources: Sequence[Source], threads: int | None = None):
        self._plan, self._sources, self._threads = plan, sources, threads
        self._engines: dict[tuple[int, ...], Any] = {}
        self._stopped = False

    def stop(self) -> None:
        """Ask for an end, soon, from any thread."""
        self._stopped = True
        for engine in list(self._engines.values()):
            engine.stop()

    def computed(self, first: int, wanted: NDArray[np.bool_]) -> Iterator[tuple[Part, dict[str, NDArray]]]:
        """Compute what is wanted, (S, N), of a block that begins with a seed.

        Yields
        ------
        (part, arrays)
            The arrays by dataset name, which hold until the next part is asked for.

        Raises
        ------
        Stopped
            Where `stop` was called.
        """
        for part in parts(wanted):
            engine = self._engine(part.schedules)
            arrays = engine.block(first + part.begin, first + part.end)
            yield part, arrays
            engine.give_back(arrays)

    def _engine(self, schedules):
        """What computes some schedules; the last few are kept."""
        if schedules not in self._engines:
            from ..engine.block_engine import Engine

            while len(self._engines) >= MOST_ENGINES:
                self._engines.pop(next(iter(self._engines)))
            self._engines[schedules] = Engine(self._plan.some(schedules), self._sources, self._threads)
        if self._stopped:
            self._engines[schedules].stop()
        return self._engines[schedules]
