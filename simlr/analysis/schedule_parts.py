"""The datasets of a run one schedule at a time, each read once by all that look at it."""

from collections import OrderedDict
from functools import cached_property

from numpy.typing import NDArray

from .comparison import excess_of

# Held at a time; what was not looked at for longest goes first.
BYTES_HELD = 1 << 28


class ScheduleParts:
    """What was read of the schedules of a run: every read of a file opens it anew, and pairs look at each many times.

    For one look at a run, which may go on meanwhile: nothing that is held is read again.
    """

    def __init__(self, run):
        self.run = run
        self._held: OrderedDict[int, dict[str, NDArray]] = OrderedDict()
        self._bytes = 0
        self._fixed: dict[str, NDArray] = {}

    def fixed(self, name: str) -> NDArray:
        """A whole dataset that is known before the first block is computed: `schedule`, `level`."""
        if name not in self._fixed:
            self._fixed[name] = self.run[name]
        return self._fixed[name]

    @cached_property
    def excess(self) -> NDArray | None:
        """`comparison.excess_of` of the run; what is not known yet, as it is first looked at, stays so."""
        return excess_of(self.run)

    @cached_property
    def floor(self) -> NDArray:
        """The train floor of each seed, (N,); as `excess`."""
        return self.run["train_floor"]

    def __call__(self, name: str, schedule: int) -> NDArray:
        """`run.part(name, schedule)`: one schedule's part of a dataset, (N, E) for one of schedules, seeds, levels."""
        if schedule not in self._held:
            # First of all, and given up together with the rest: what the status calls final was written before it.
            self._held[schedule] = {}
            self._hold("status", schedule)
        self._held.move_to_end(schedule)
        if name not in self._held[schedule]:
            self._hold(name, schedule)
        part = self._held[schedule][name]
        while self._bytes > BYTES_HELD and len(self._held) > 1:
            _, given_up = self._held.popitem(last=False)
            self._bytes -= sum(values.nbytes for values in given_up.values())
        return part

    def _hold(self, name, schedule):
        values = self.run.part(name, schedule)
        self._held[schedule][name] = values
        self._bytes += values.nbytes
