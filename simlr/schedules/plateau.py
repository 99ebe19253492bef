"""The schedule kind `reduce_on_plateau`: a rate that is lowered once a seed's loss no longer falls.

It is torch.optim.lr_scheduler.ReduceLROnPlateau of mode "min", with a look in the place of an epoch. Its rates are
those of a run, one for every seed, so they cannot be tabulated: `Plateaus` follows them from look to look.

After every `every` steps of a cell with the loss v, the best one so far b, at first infinite,

    v improves where v < b (1 - threshold), or v < b - threshold where that is absolute;
    waiting = 0 where it does, or while a cooldown lasts, else waiting + 1;
    waiting > patience:   eta <- max(factor eta, min_learning_rate) if that is a fall of more than epsilon,
                          and waiting = 0, and a cooldown begins,

as torch.optim.lr_scheduler.ReduceLROnPlateau (2.13) has it in mode "min"; but where b < 0 a share is one of |b|. No
arithmetic looks at another cell, so the bits do not depend on which are in a block.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs import rules
from .registry import Array, schedule
from .schedule import Schedule

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MODES = RELATIVE, ABSOLUTE = "relative", "absolute"
MONITORED = TRAIN_LOSS, VALIDATION_LOSS = "train_loss", "validation_loss"


def _check(key, steps, learning_rate, threshold, threshold_mode, min_learning_rate, **others):
    """Refuse a share that no loss can fall by, and a floor that lies above the first rate."""
    if threshold_mode == RELATIVE and threshold >= 1.0:
        rule = f"a share of the best loss where threshold_mode is {RELATIVE!r}: a number >= 0, below 1"
        rules.refuse(f"{key}.threshold", rule, threshold)
    if min_learning_rate > learning_rate:
        rules.refuse(f"{key}.min_learning_rate", f"at most learning_rate = {learning_rate:g}", min_learning_rate)


@schedule(
    check=_check,
    rules={
        "learning_rate": rules.not_negative,
        "factor": partial(rules.number, least=0.0, most=1.0 - 2.0**-53, rule="a number >= 0, below 1"),
        "patience": rules.count_or_none,
        "threshold": rules.not_negative,
        "threshold_mode": rules.one_of(*MODES, noun="mode"),
        "cooldown": rules.count_or_none,
        "min_learning_rate": rules.not_negative,
        "epsilon": rules.not_negative,
        "every": rules.count,
        "monitor": rules.one_of(*MONITORED, noun="loss"),
    },
    defaults={
        "factor": 0.1,
        "patience": 10,
        "threshold": 1e-4,
        "threshold_mode": RELATIVE,
        "cooldown": 0,
        "min_learning_rate": 0.0,
        "epsilon": 1e-8,
        "every": 10,
        "monitor": TRAIN_LOSS,
    },
)
def reduce_on_plateau(t: Array, steps: int, **rule: Any) -> Array:
    """eta_t = learning_rate * factor^(plateaus of the seed's loss so far)  (torch's ReduceLROnPlateau).

    A plateau is more than `patience` looks in a row without an improvement; no rate is below min_learning_rate.

    A look, every so many steps, is an improvement where loss < best (1 - threshold), or best - threshold where that is
    absolute. After a fall come `cooldown` looks that do not count; one of at most epsilon is not made.
    """
    raise InputError(
        "schedule kind 'reduce_on_plateau': its rates are those of a run, by the loss of each seed; "
        "a run that records trajectories has them as trajectory_learning_rate"
    )


def look_of(rule: dict[str, Any]) -> tuple:
    """What schedules of one launch have in common besides their method: when which loss is looked at."""
    return (rule["every"], rule["monitor"]) if rule else ()


class Plateaus:
    """The rates of S schedules with N seeds.

    Parameters
    ----------
    given : list of S dict
        `Schedule.plateau` of each; all with one `look_of`.
    seeds : int
        N.

    Attributes
    ----------
    rate : (S, N) float64
        The learning rates now, in the schedules' units.
    every, monitor
        Steps from look to look, and which loss is looked at.
    """

    def __init__(self, given: Sequence[dict[str, Any]], seeds: int):
        self.every, self.monitor = look_of(given[0])
        self._rule = {key: np.array([rule[key] for rule in given])[:, None] for key in given[0]}
        cells = len(given), seeds
        self.rate: Floats = np.broadcast_to(self._rule["learning_rate"], cells).astype(np.float64)
        self._best = np.full(cells, np.inf)
        self._waiting, self._cooling, self._since = (np.zeros(cells, np.int64) for _ in range(3))
        # What was before: (cells, first steps, one after the last step, rates) of the cells that were lowered there.
        self._pieces: list[tuple[tuple[Counts, ...], Counts, int, Floats]] = []

    @classmethod
    def of(cls, schedules: Sequence[Schedule], seeds: int) -> Self | None:
        """Of some schedules, all with one `look_of`; None where their rates are no seed's own."""
        found = [schedule.plateau for schedule in schedules]
        return cls(found, seeds) if found[0] else None

    def windows(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The steps first..last - 1 cut at the looks: (first, one after the last)."""
        while first < last:
            end = min(last, (first // self.every + 1) * self.every)
            yield first, end
            first = end

    def look(self, step: int, loss: Floats) -> None:
        """Look at the losses (S, N) after so many steps, and lower rates."""
        rule, best = self._rule, self._best
        with np.errstate(invalid="ignore"):
            by_share = best * (1.0 - np.copysign(rule["threshold"], best))
            is_better = loss < np.where(rule["threshold_mode"] == RELATIVE, by_share, best - rule["threshold"])
        self._best = np.where(is_better, loss, best)
        self._waiting = np.where(is_better | (self._cooling > 0), 0, self._waiting + 1)
        self._cooling = np.maximum(self._cooling - 1, 0)
        ends = self._waiting > rule["patience"]
        self._waiting[ends] = 0
        self._cooling = np.where(ends, rule["cooldown"], self._cooling)
        lower = np.maximum(self.rate * rule["factor"], rule["min_learning_rate"])
        falls = ends & (self.rate - lower > rule["epsilon"])
        if falls.any():
            cells = np.nonzero(falls)
            self._pieces.append((cells, self._since[cells], step, self.rate[cells]))
            self._since[cells] = step
            self.rate = np.where(falls, lower, self.rate)

    def rates_at(self, steps: Counts) -> Floats:
        """The rates (S, N, M) of the steps that follow so many steps (S, N, M)."""
        found = np.broadcast_to(self.rate[..., None], steps.shape).copy()
        for cells, first, end, rate in self._pieces:
            within = (steps[cells] >= first[:, None]) & (steps[cells] < end)
            found[cells] = np.where(within, rate[:, None], found[cells])
        return found

    def times_at(self, steps: Counts) -> Floats:
        """The sums of the rates of so many steps (S, N, M)."""
        found = self.rate[..., None] * np.maximum(steps - self._since[..., None], 0)
        for cells, first, end, rate in self._pieces:
            found[cells] += rate[:, None] * np.clip(steps[cells] - first[:, None], 0, end - first[:, None])
        return found

    def stop_times(self, stops: dict[str, NDArray]) -> Floats:
        """The times (S, N, E) of stops in the fields of Passages, of which the last step may be a fraction."""
        step, fraction = stops["stop_step"], stops.get("stop_fraction", np.empty((0, 0, 0)))
        times = self.times_at(step)
        if fraction.size:
            before = np.maximum(step - 1, 0)
            landed = self.times_at(before) + fraction * self.rates_at(before)
            times = np.where((fraction < 1.0) & (step > 0), landed, times)
        return times
