"""Learning-rate tables: the rates of all schedules, a chunk of steps at a time, computed once and kept while used."""

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..schedules.registry import Array
from ..schedules.schedule import Piece, Schedule
from .kept import Kept

CHUNK = 4096
KEPT_BYTES = 64 << 20
# A launch gets the tables of so many chunks at most, and of so many bytes.
MOST_CHUNKS = 8
SPAN_BYTES = 8 << 20


def chunks_of(lengths: NDArray[np.int64]) -> int:
    """How many chunks the longest of some schedules has, and at least one, in which nothing is left to do."""
    return max(1, -(-int(lengths.max()) // CHUNK))


class RateTables:
    """The learning rates eta_t and the times sum_{u<t} eta_u of some schedules, in each one's unit, by chunks of steps.

    Chunk c holds steps c CHUNK .. (c + 1) CHUNK - 1; the cut never depends on how the work is split.
    """

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = schedules
        self._kept = Kept(KEPT_BYTES, lambda made: sum(table.nbytes for table in made))
        self._last: tuple[tuple[int, int], tuple[Array, Array]] | None = None
        self._whole: dict[int, float] = {}
        self._pieces: dict[int, list[Piece]] = {}
        # Time of the first c CHUNK steps of a varying piece: grown one chunk after the other.
        self._sums: dict[tuple[int, int], list[float]] = {}

    def one(self, s: int, chunk: int) -> tuple[Array, Array]:
        """eta (T,) and time (T + 1,) of one schedule's chunk, T the steps that it has there."""
        last = self._last
        if last is None or last[0] != (s, chunk):
            eta = self._rates(s, chunk * CHUNK, (chunk + 1) * CHUNK)
            time = np.empty(eta.size + 1)
            time[0] = self._elapsed_before(s, chunk)
            with np.errstate(over="ignore"):
                np.cumsum(eta, out=time[1:])
                time[1:] += time[0]
            last = self._last = (s, chunk), (eta, time)
        return last[1]

    def _rates(self, s, first, last):
        """The rates of steps first..last - 1 of a schedule, NaN where every seed has its own."""
        schedule = self._schedules[s]
        if schedule.plateau:
            return np.full(max(0, min(last, schedule.length) - first), np.nan)
        return schedule.rates(first, last)

    def _elapsed_before(self, s, chunk):
        """The sum of the learning rates before a chunk: constant pieces by a product, others by sums in order."""
        end, times = chunk * CHUNK, []
        with np.errstate(over="ignore", invalid="ignore"):
            for first, steps, rate in self._pieces.get(s) or self._pieces.setdefault(s, self._schedules[s].pieces()):
                taken = min(max(end - first, 0), steps)
                if rate is not None:
                    times.append(rate * taken if taken else 0.0)
                    continue
                sums = self._sums.setdefault((s, first), [0.0])
                whole, rest = divmod(taken, CHUNK)
                while len(sums) <= whole:
                    start = first + (len(sums) - 1) * CHUNK
                    sums.append(sums[-1] + float(np.sum(self._rates(s, start, start + CHUNK))))
                start = first + whole * CHUNK
                rates = self._rates(s, start, start + rest)
                times.append(sums[whole] + float(np.sum(rates)) if rest else sums[whole])
        return sum(times, 0.0)

    def spans(self, schedules: Iterable[int], chunks: int, ahead: bool) -> Generator[tuple[int, Array, Array]]:
        """The tables of one run of chunks after the other.

        The runs grow: where most cells end early, little is tabulated in vain, and later a launch is worth its while.

        Parameters
        ----------
        schedules
            Indices of S of the schedules.
        chunks
            How many chunks there are.
        ahead
            Whether a thread makes the next tables meanwhile.

        Yields
        ------
        first : int
            The first step.
        eta : float64 (S, T)
            Learning rates, 0 beyond a schedule's end.
        time : float64 (S, T + 1)
            Times before each step and after the last.
        """
        schedules = tuple(schedules)
        cuts = ((schedules, first, last) for first, last in self._cuts(len(schedules), chunks))
        cut, following = next(cuts), next(cuts, None)
        if not ahead or not following:
            while following:
                yield cut[1] * CHUNK, *self.span(*cut)
                cut, following = following, next(cuts, None)
            yield cut[1] * CHUNK, *self.span(*cut)
            return
        with ThreadPoolExecutor(1, "simlr-tables") as helper:
            coming = helper.submit(self.span, *cut)
            while following:
                tables = coming.result()
                coming = helper.submit(self.span, *following)
                yield cut[1] * CHUNK, *tables
                cut, following = following, next(cuts, None)
            yield cut[1] * CHUNK, *coming.result()

    def _cuts(self, schedules, count):
        """The runs of chunks, (first, one beyond the last): 1, 2, 4, ... of them, as far as memory allows."""
        most = max(1, min(MOST_CHUNKS, SPAN_BYTES // (16 * CHUNK * schedules)))
        first, size = 0, 1
        while first < count:
            yield first, min(first + size, count)
            first, size = first + size, min(2 * size, most)

    def span(self, schedules: tuple[int, ...], first: int, last: int) -> tuple[Array, Array]:
        """eta (S, T) and time (S, T + 1) of the chunks first..last - 1 of some schedules, by index, kept while used.

        Where a schedule has fewer steps, zeros follow.
        """
        return self._kept.get((schedules, first, last), lambda: self._tabulated(schedules, first, last))

    def _tabulated(self, schedules, first, last):
        """The tables of `span`, made anew."""
        begin = first * CHUNK
        longest = max(0, min(max(self._schedules[s].length for s in schedules), last * CHUNK) - begin)
        eta, time = np.zeros((len(schedules), longest)), np.zeros((len(schedules), longest + 1))
        for i, s in enumerate(schedules):
            time[i, 0] = self._elapsed_before(s, first)
            for chunk in range(first, last):
                chunk_eta, chunk_time = self.one(s, chunk)
                place = chunk * CHUNK - begin
                eta[i, place : place + chunk_eta.size] = chunk_eta
                # Its first entry is the last one of the chunk before, but for rounding, and no step ends there.
                time[i, place + 1 : place + chunk_time.size] = chunk_time[1:]
        return eta, time

    def at(self, s: int, steps: NDArray[np.int64]) -> tuple[Array, Array]:
        """Learning rate before, and time at, ascending steps (-1 gives NaN): float64 arrays like `steps`.

        The rate of step t is that which leads from t to t + 1; at the end of the schedule it is that of its last step.
        """
        rate, time = np.full(steps.shape, np.nan), np.full(steps.shape, np.nan)
        length = self._schedules[s].length
        for i, step in enumerate(steps):
            if step < 0:
                continue
            if length == 0:
                rate[i], time[i] = 0.0, 0.0
                continue
            last = min(step, length - 1)
            eta, elapsed = self.one(s, int(last // CHUNK))
            rate[i] = eta[last % CHUNK]
            time[i] = elapsed[step - last // CHUNK * CHUNK]
        return rate, time

    def elapsed(self, s: int) -> float:
        """The time of all discrete steps of a schedule, in its unit."""
        if s not in self._whole:
            self._whole[s] = float(self.at(s, np.array([self._schedules[s].length]))[1][0])
        return self._whole[s]
