"""What of a run file is the answer already where its grid asks for more: more seeds, schedules, levels or steps.

A cell is a schedule with a seed. Its numbers depend on neither the other cells nor the levels, so it is taken over
where the grid with more would compute the same, and computed again where it would not, or where that is not certain.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..config.grid import GridConfig
from ..config.stop import SAME_LOSS_KINDS, VALIDATION
from ..errors import InputError, show
from ..inputs import toml
from ..plan.definitions import NONE as NEW
from ..plan.definitions import matched
from ..plan.engines import CLOSED_FORM, EXPECTATION, MIXED
from ..plan.plan import Plan
from ..schedules.schedule import Schedule
from ..store import file_format
from ..store.compatibility import first_difference, tables_without_axes

GROWS = "--extend adds seeds, schedules, levels and steps, and leaves all else as it is"
# Where losses end for good: at a stop, whatever number of steps would be left.
FINAL = (file_format.STATUS_REACHED, file_format.STATUS_DIVERGED, file_format.STATUS_BUDGET_SPENT)
# A run that ended so is at the same point at every level that is harder to meet.
ENDED = (file_format.STATUS_OUT_OF_STEPS, file_format.STATUS_DIVERGED)
ABOVE_FLOOR = 1.0 + 1e-9
# As far as rates that vary are compared one by one.
MOST_RATES, RATES_AT_ONCE = 1 << 22, 1 << 16
EVERYTHING = 1 << 62
NOTHING = 0


def check_grown(path: str | Path, there: GridConfig, here: GridConfig) -> None:
    """Refuse a grid that is not the file's with more of the same: in one line, with the key and both values.

    Parameters
    ----------
    path : str or Path
        The run file.
    there, here : GridConfig
        The grid of the file, and the one that it is to grow to.

    Raises
    ------
    InputError
    """
    recorded, wanted = (toml.write(_fixed(config)) for config in (there, here))
    if recorded != wanted:
        raise InputError(f"{path}: holds another grid ({first_difference(recorded, wanted)}); {GROWS}")
    for key, before, now in (
        ("seeds.count", there.seeds["count"], here.seeds["count"]),
        ("stop.max_steps", there.stop["max_steps"], here.stop["max_steps"]),
    ):
        if now < before:
            raise InputError(f"{path}: {key} is {before} there, {now} here; {GROWS}")
    lost = [level for level in there.levels if level not in here.levels]
    if lost:
        raise InputError(f"{path}: level {lost[0]} of stop.{there.level_kind} is there, and not here; {GROWS}")


def _fixed(config):
    """The tables of a grid without what may grow."""
    tables = tables_without_axes(config)
    tables["seeds"].pop("count")
    tables["stop"].pop("max_steps")
    return tables


def seeds_there(there: Plan, here: Plan) -> NDArray[np.int64]:
    """(N,): which of the file's seeds each of the grid's is, both counted from 0; NEW where it is none."""
    found = []
    for combination, _, first, last in here.pieces(0, here.seeds):
        draws = np.arange(first, last, dtype=np.int64)
        seeds = draws + there.offsets[combination] - there.first
        known = (draws < there.sizes[combination][1]) & (seeds >= 0) & (seeds < there.seeds)
        found.append(np.where(known, seeds, NEW))
    return np.concatenate(found)


def schedules_there(path: str | Path, there: Plan, here: Plan) -> NDArray[np.int64]:
    """(S,): which of the file's schedules each of the grid's is, wherever it stands in the list; NEW where it is none.

    InputError where one of the file's is not among the grid's.
    """
    found, lost = matched(here, there)
    if lost:
        raise InputError(f"{path}: {_what_is_lost(there, lost[0], here)}; {GROWS}")
    return found


def _what_is_lost(there, s, here):
    """Which schedule of the file the grid has not, and the first key in which that of its name is another one."""
    name, before = there.names[s], there.parameters[s]
    if name not in here.names:
        return f"schedule {show(name, 60)} is there, and not here"
    now = here.parameters[here.names.index(name)]
    missing = "nothing"
    for key in {**before, **now}:
        if before.get(key, missing) != now.get(key, missing):
            values = (show(each.get(key, missing), 40) for each in (before, now))
            return "schedule {}: {} is {} there, {} here".format(show(name, 60), key, *values)
    return f"schedule {show(name, 60)} is another one there"


class Growth:
    """Which cells of a grid stand in the file of a smaller one.

    Parameters
    ----------
    path : str or Path
        The run file.
    there, here : Plan
        The plan of the file, with its own blocks, and that of the grid.

    Attributes
    ----------
    seed : (N,) int64
        The file's number of every seed of the grid; NEW where it has none.
    schedule : (S,) int64
        The same of the schedules.
    level : (E,) int64
        Where what the file says of every level is; of one that is new, where a run that ended before says the same.

    Raises
    ------
    InputError
        Where the grid is not the file's with more of the same.
    """

    def __init__(self, path: str | Path, there: Plan, here: Plan):
        check_grown(path, there.config, here.config)
        self.there, self.here = there, here
        self.seed, self.schedule = seeds_there(there, here), schedules_there(path, there, here)
        self._known = np.flatnonzero(self.schedule != NEW)
        self._set_levels()
        same_way = _ways(there) == _ways(here)
        self._within = np.array([self._steps_alike(s) if same_way else NOTHING for s in self._known], np.int64)
        self._same_moments = np.array([self._has_moments(s) for s in self._known], bool)
        self._final = np.zeros((len(here.schedules), there.seeds), bool)

    def _set_levels(self):
        """Where the file has each level; of a new one, the next that is easier to meet."""
        there, here = self.there.config.levels, self.here.config.levels
        nearest = [min((other for other in there if other >= level), default=None) for level in here]
        self.level = np.array([NEW if level is None else there.index(level) for level in nearest])
        self._new_levels = [e for e, level in enumerate(here) if level not in there]
        kind, bins = self.here.config.level_kind, self.here.bin_error
        follows = kind in SAME_LOSS_KINDS and not bins and (self.level != NEW).all()
        self._all_levels_new = bool(self._new_levels) and not follows
        self.level[self.level == NEW] = 0

    def _steps_alike(self, s):
        """Up to how many steps schedule s of the grid does what the file's did; EVERYTHING where in all."""
        before, now = self.there.schedules[self.schedule[s]], self.here.schedules[s]
        engine = self.here.engines[s]
        if self.there.engines[self.schedule[s]] != engine or self._all_levels_new:
            return NOTHING
        if before.phases == now.phases:
            return EVERYTHING
        binned = engine == EXPECTATION and self.here.bin_error > 0.0
        if now.plateau or before.plateau:
            return NOTHING
        if engine == MIXED or binned or VALIDATION in self.here.config.stop or self._new_levels:
            return NOTHING
        from ..engine.deterministic import largest_rate

        if largest_rate(before) != largest_rate(now):  # which says how carefully steps are taken
            return NOTHING
        return _closed_form_alike(before, now) if engine == CLOSED_FORM else _steps_taken_alike(before, now)

    def _has_moments(self, s):
        """Whether schedule s of the grid is recorded at the moments at which the file's was."""
        there, other = self.there, self.schedule[s]
        return not there.points or (
            np.array_equal(there.record_step[other], self.here.record_step[s])
            and np.array_equal(there.record_flow_time[other], self.here.record_flow_time[s], equal_nan=True)
        )

    def note(self, first: int, last: int, arrays: dict[str, NDArray]) -> None:
        """Note which cells of a block of the file are final, given its arrays {dataset: flat array}."""
        shape = len(self.there.schedules), last - first, self.there.levels
        status, step = (arrays[name].reshape(shape) for name in ("status", "stop_step"))
        _, recorded = self.there.recorded_rows(first, last)
        for s, within, same_moments in zip(self._known, self._within, self._same_moments, strict=True):
            if within == NOTHING:
                continue
            of_one = status[self.schedule[s]]
            final = np.ones(last - first, bool)
            if within != EVERYTHING:
                final &= (np.isin(of_one, FINAL) & (step[self.schedule[s]] < within)).all(axis=1)
            for e in self._new_levels:
                final &= np.isin(of_one[:, self.level[e]], ENDED)
                if self.here.config.level_kind == "train_loss":
                    final &= self.here.config.levels[e] > ABOVE_FLOOR * arrays["train_floor"]
            if not same_moments:
                final[recorded - first] = False
            self._final[s, first:last] = final

    def missing(self, first: int, last: int) -> NDArray[np.bool_]:
        """(S, N): which cells of the seeds first..last - 1 of the grid are computed."""
        seeds = self.seed[first:last]
        missing = np.ones((len(self.here.schedules), seeds.size), bool)
        known = seeds != NEW
        missing[:, known] = ~self._final[:, seeds[known]]
        return missing


def _ways(plan):
    """What a grid decides for all of its cells together, on which the last bits of each depend."""
    few = 0
    if plan.config.by_rows:
        from ..engine.convex import FEW_SCHEDULES

        few = len(plan.schedules) <= FEW_SCHEDULES
    means = set(plan.engines) == {EXPECTATION}
    return plan.config.by_rows, few, means, plan.dimension, plan.has_plateaus  # of which rates are recorded


def _steps_taken_alike(before: Schedule, now: Schedule) -> int:
    """Up to how many steps two schedules are the same, where steps are taken one by one."""
    if before.length > MOST_RATES or now.length < before.length:
        return NOTHING
    for first in range(0, before.length, RATES_AT_ONCE):
        last = min(first + RATES_AT_ONCE, before.length)
        if not np.array_equal(before.rates(first, last), now.rates(first, last)):
            return NOTHING
    return before.length


def _closed_form_alike(before: Schedule, now: Schedule) -> int:
    """The same where steps are skipped: up to half of the first piece of a constant rate that is of another length.

    The search for a step goes no further than twice as far as that step, so the end of the piece has no part in it.
    """
    for one, other in zip(before.pieces(), now.pieces(), strict=False):
        first, steps, rate = one
        if rate is None or other[2] is None or rate != other[2]:
            return first
        if one != other:
            return first + min(steps, other[1]) // 2
    return NOTHING
