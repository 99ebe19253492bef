"""What the schedules of a question came to: one measure of theirs, seed by seed, and what an answer is made of."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.question import END, EXCESS
from ..store.file_format import STATUS_AT_FLOOR, STATUS_NOT_RUN, is_own
from ..store.run import Run
from .schedule_parts import ScheduleParts

YES, NO, DEPENDS, SAME, UNSURE = "yes", "no", "it depends", "no difference", "not sure"
WORDS = {
    "test_loss": "test loss",
    "train_loss": "train loss",
    "excess_test_loss": "test loss above its floor",
    "excess_train_loss": "train loss above its floor",
    "stop_step": "number of steps",
    "stop_time": "time",
}


class Answer(NamedTuple):
    """The answer to a question."""

    question: str
    outcome: str  # one of YES, NO, DEPENDS, SAME, UNSURE
    sentence: str
    notes: tuple
    rows: list  # what was compared: `answers.Comparison`s or `growth.Growth`s
    axes: tuple  # ((name, its values), ...): what the rows lie along
    depends: tuple  # names of the axes that the answer depends on most


def values_of(parts: ScheduleParts, s: int, seeds: NDArray[np.int64], level: Any, measure: str) -> NDArray[np.float64]:
    """The measure (N,) of schedule s on some seeds at a level, given by its place, or at END of the schedule.

    Infinite where the seed did not reach the level, NaN where no schedule can or nothing is known yet.
    """
    if measure in EXCESS:
        loss, floor = EXCESS[measure]
        return values_of(parts, s, seeds, level, loss) - parts.run[floor][seeds]
    if level == END:
        return _at_end(parts, s, seeds, measure)
    status = parts("status", s)[seeds, level]
    values = parts(measure, s)[seeds, level].astype(np.float64)
    values = np.where(is_own(status, parts.run.config.level_kind) & ~np.isnan(values), values, np.inf)
    return np.where(np.isin(status, (STATUS_AT_FLOOR, STATUS_NOT_RUN)), np.nan, values)


def _at_end(parts, s, seeds, measure):
    """The loss at the last recorded moment, the end of the schedule; infinite after a divergence."""
    run = parts.run
    slot = int(np.argmax(run["recorded_step"][s]))
    rows = {seed: row for row, seed in enumerate(run.recorded_rows.tolist())}
    values = parts(f"trajectory_{measure}", s)[[rows[seed] for seed in seeds.tolist()], slot].astype(np.float64)
    done = (parts("status", s)[seeds] != STATUS_NOT_RUN).all(axis=1)
    return np.where(done, np.where(np.isnan(values), np.inf, values), np.nan)


def axes_of(rows: list, level_kind: str) -> tuple:
    """What the rows of an answer lie along: ((name, its values in order), ...); the level is named by its kind."""
    values: dict[str, dict] = {}
    for row in rows:
        for key, value in (*row.where.items(), (level_kind, row.level)):
            values.setdefault(key, {})[value] = None
    return tuple((key, tuple(own)) for key, own in values.items() if len(own) > 1)


def place_of(run: Run, moment: Any, level: Any) -> Any:
    """The place of the level that a side is looked at: its own, where it has one, else the one that is compared."""
    if moment is None or moment == END:
        return level if moment is None else END
    return run["level"].tolist().index(moment)
