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
    lead: str = ""  # the first words of the sentence: "Yes, less so with more rows"
    short: str = ""  # the sentence as a page begins with it; no caveat that changes its meaning is missing
    details: str = ""  # what it leaves out


def values_of(parts: ScheduleParts, s: int, seeds: NDArray[np.int64], level: Any, measure: str) -> NDArray[np.float64]:
    """What a schedule came to in some seeds.

    Parameters
    ----------
    parts
        Of the run.
    s
        The place of the schedule.
    seeds : int64 (N,)
        Places of the seeds.
    level : int or END
        The place of the level; or the end of the schedule, its last recorded moment.
    measure
        One of `config.question.MEASURES`.

    Returns
    -------
    float64 (N,)
        The measure; infinite where the seed did not reach the level or diverged, NaN where no schedule can reach it or
        nothing is known yet.
    """
    run = parts.run
    if measure in EXCESS:
        loss, floor = EXCESS[measure]
        above = values_of(parts, s, seeds, level, loss) - (parts.floor if floor == "train_floor" else run[floor])[seeds]
        return np.maximum(above, 0.0)  # rounding puts none below its floor; NaN stays
    if level == END:
        slot = int(np.argmax(run["recorded_step"][s]))
        row_of = {seed: row for row, seed in enumerate(run.recorded_rows.tolist())}
        losses = parts(f"trajectory_{measure}", s)[[row_of[seed] for seed in seeds.tolist()], slot].astype(np.float64)
        done = (parts("status", s)[seeds] != STATUS_NOT_RUN).all(axis=1)
        return np.where(done, np.where(np.isnan(losses), np.inf, losses), np.nan)
    status = parts("status", s)[seeds, level]
    values = parts(measure, s)[seeds, level].astype(np.float64)
    values = np.where(is_own(status, run.config.level_kind) & ~np.isnan(values), values, np.inf)
    return np.where(np.isin(status, (STATUS_AT_FLOOR, STATUS_NOT_RUN)), np.nan, values)


def axes_of(rows: list, level_kind: str) -> tuple:
    """What the rows of an answer lie along.

    Parameters
    ----------
    rows
        `Comparison`s or `Growth`s.
    level_kind
        The name of the level's axis.

    Returns
    -------
    tuple of (str, tuple)
        (name, its values in order) of every axis that has more than one.
    """
    values: dict[str, dict] = {}
    for row in rows:
        for key, value in (*row.where.items(), (level_kind, row.level)):
            values.setdefault(key, {})[value] = None
    return tuple((key, tuple(several)) for key, several in values.items() if len(several) > 1)


def place_of(run: Run, moment: Any, level: Any) -> Any:
    """The place of the level at which a side is compared.

    Parameters
    ----------
    run
        Its levels are those of the grid.
    moment : level, END or None
        Where the question says that the side is taken; None where it does not.
    level : int
        The place of the level that is compared now.

    Returns
    -------
    int or END
        That of its own, where it has one.
    """
    if moment is None or moment == END:
        return level if moment is None else END
    return run["level"].tolist().index(moment)
