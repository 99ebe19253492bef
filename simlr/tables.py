"""Learning-rate tables: the rates of all schedules, a chunk of steps at a time, computed once and kept while used."""

from collections import OrderedDict

import numpy as np

CHUNK = 4096
KEPT_BYTES = 64 << 20


class RateTables:
    """Chunk c holds steps c CHUNK .. (c + 1) CHUNK - 1; the cut never depends on how the work is split."""

    def __init__(self, schedules):
        self._schedules = schedules
        self._kept = OrderedDict()
        self._pieces = [schedule.pieces() for schedule in schedules]
        # Time of the first c CHUNK steps of a varying piece: grown one chunk after the other.
        self._sums = {}

    def one(self, s, chunk):
        """eta (T,) and time (T + 1,) of one schedule's chunk, T the steps that it has there."""
        key = (s, chunk)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        eta = self._schedules[s].rates(chunk * CHUNK, (chunk + 1) * CHUNK)
        time = np.empty(eta.size + 1)
        time[0] = self._elapsed_before(s, chunk)
        with np.errstate(over="ignore"):
            np.cumsum(eta, out=time[1:])
            time[1:] += time[0]
        self._kept[key] = eta, time
        while len(self._kept) * CHUNK * 16 > KEPT_BYTES:
            self._kept.popitem(last=False)
        return eta, time

    def _elapsed_before(self, s, chunk):
        """The sum of the learning rates before a chunk: constant pieces by a product, others by sums in order."""
        with np.errstate(over="ignore", invalid="ignore"):
            return sum((self._time_of(s, piece, chunk * CHUNK) for piece in self._pieces[s]), 0.0)

    def _time_of(self, s, piece, end):
        """The time that the steps of one piece before step `end` take."""
        first, steps, rate = piece
        taken = min(max(end - first, 0), steps)
        if rate is not None:
            return rate * taken if taken else 0.0
        known = self._sums.setdefault((s, first), [0.0])
        whole, rest = divmod(taken, CHUNK)
        while len(known) <= whole:
            start = first + (len(known) - 1) * CHUNK
            known.append(known[-1] + float(np.sum(self._schedules[s].rates(start, start + CHUNK))))
        start = first + whole * CHUNK
        return known[whole] + (float(np.sum(self._schedules[s].rates(start, start + rest))) if rest else 0.0)

    def chunk(self, rows, chunk):
        """eta (S, T) and time (S, T + 1) of the schedules `rows`; where one has fewer steps, zeros follow."""
        longest = max(min(self._schedules[s].length - chunk * CHUNK, CHUNK) for s in rows)
        eta = np.zeros((len(rows), max(longest, 0)))
        time = np.zeros((len(rows), max(longest, 0) + 1))
        for i, s in enumerate(rows):
            own_eta, own_time = self.one(s, chunk)
            eta[i, : own_eta.size] = own_eta
            time[i, : own_time.size] = own_time
        return eta, time

    def at(self, s, steps):
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

    def elapsed(self, s):
        """The time of all discrete steps of a schedule, in its unit."""
        length = self._schedules[s].length
        return float(self.at(s, np.array([length]))[1][0])
