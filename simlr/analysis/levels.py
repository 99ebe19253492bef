"""What the levels of a run are called, by the rule that it was stopped by: losses, steps, or patience."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..config.stop import PATIENCE, SAME_LOSS_KINDS
from ..text import brief


class Words(NamedTuple):
    """What one kind of level is called."""

    when: str  # what test losses are taken at, in a title
    same: str  # what two schedules share, in a caption
    heading: str  # a column's heading
    place: str  # one level, after "at"
    axis: str  # an axis of levels
    falls: bool  # whether lower levels come later


_LOSS = Words("when the train loss reaches each level", "level", "{}", "train loss {}", "train loss", True)
WORDS = {
    "train_loss": _LOSS,
    "excess_train_loss": _LOSS._replace(place="train loss {} above the floor", axis="train loss above its floor"),
    "train_loss_fraction": Words(
        "when the train loss reaches each share of that at the start",
        "share of the first train loss",
        "{} of start",
        "{} of the first train loss",
        "train loss / that at the start",
        True,
    ),
    "steps": Words("after each number of steps", "number of steps", "steps {}", "{} steps", "steps", False),
    PATIENCE: Words(
        "where validation stops with each patience",
        "patience",
        "patience {}",
        "patience {}",
        "patience, in looks",
        False,
    ),
}


def level_text(level: float) -> str:
    """A level as one writes it, in four digits: 0.1, 0.001, 1e-4."""
    return brief(level, 4)


def text(kind: str, level: float) -> str:
    """A level of a kind: a loss in four digits, a number of steps or looks in all of them."""
    return level_text(level) if WORDS[kind].falls or not math.isfinite(level) else f"{int(level)}"


def heading(kind: str, level: float) -> str:
    """The heading of a level's column."""
    return WORDS[kind].heading.format(text(kind, level))


def place(kind: str, level: float) -> str:
    """Where a level is, after the word "at"."""
    told = WORDS[kind].place.format(text(kind, level))
    return "1 step" if told == "1 steps" else told


def last(kind: str, levels: Sequence[float]) -> float:
    """The level that comes last in a run: the lowest loss, the most steps, the most patience."""
    return min(levels) if WORDS[kind].falls else max(levels)


def last_shared(kind: str, rows: list) -> float:
    """The last level that a schedule shares with the baseline.

    Parameters
    ----------
    kind
        Of the levels.
    rows
        `summary.Row`s of one problem combination.

    Returns
    -------
    float
        The last level of all where no other schedule shares one.
    """
    shared = [row.level for row in rows if row.both_reached and row.schedule != row.baseline]
    return last(kind, shared or [row.level for row in rows])


def is_loss(kind: str) -> bool:
    """Whether the levels are train losses, the same for every seed."""
    return kind in SAME_LOSS_KINDS
