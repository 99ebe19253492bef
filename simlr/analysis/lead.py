"""The comparison that the page of a question with two sides leads with: where the two differ most clearly.

What the two sides chose there stands beside each other in the pictures, and the second one, where there is no gradient
flow, is the schedule that others are compared with.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..config import question as questions
from ..store.run import Run
from .comparison import BETTER, WORSE
from .summary import baseline, flows
from .wording import at


class Lead(NamedTuple):
    """One comparison of a question, and what the sides chose in the other settings of its problem and level."""

    problem: tuple
    level: float
    a: str  # schedules
    b: str
    sides: dict[str, str]  # {a: its side's name, b: its side's name}
    labels: dict[str, str]  # {schedule: its side and setting} of all that were chosen there
    over: dict[str, Any]  # {parameter: value} that both have equal, where there are others


def lead_of(run: Run, rows: Sequence[Any]) -> Lead | None:
    """The leading comparison of a question.

    Parameters
    ----------
    run
        Whose grid asks the question.
    rows
        Its `answers.Comparison`s; no correction need have been made for those beside them.

    Returns
    -------
    Lead or None
        Of those in which the first side has surely less the one of the smallest ratio; else, where it has surely more,
        of the largest; else that farthest from 1. None where no ratio is known, or the sides are one schedule at two
        moments.
    """
    known = [row for row in rows if row.a != row.b and row.pairs and 0.0 < row.ratio < math.inf]
    if not known or any("at" in side for side in run.config.question["compare"]):
        return None
    better, worse = ([row for row in known if row.outcome == outcome] for outcome in (BETTER, WORSE))
    chosen: Any = max(known, key=lambda row: abs(math.log(row.ratio)))
    if better or worse:
        chosen = min(better, key=lambda row: row.ratio) if better else max(worse, key=lambda row: row.ratio)
    beside = [row for row in known if (row.problem, row.level) == (chosen.problem, chosen.level)]
    first, second = map(questions.side_name, run.config.question["compare"])
    labels: dict[str, str] = {}
    for row in [chosen, *beside]:
        behind = f", {at('', dict(row.over), [*dict(row.over)], row.level)}" if row.over and len(beside) > 1 else ""
        labels = {row.b: second + behind, row.a: first + behind} | labels
    over = dict(chosen.over) if len(beside) > 1 else {}
    order = dict.fromkeys([chosen.b, chosen.a, *labels])
    sides, labels = {chosen.a: first, chosen.b: second}, {name: labels[name] for name in order}
    return Lead(chosen.problem, chosen.level, chosen.a, chosen.b, sides, labels, over)


def base_of(run: Run, lead: Lead | None) -> int:
    """The place of the schedule that others are compared with.

    Parameters
    ----------
    run
        Finished or not.
    lead
        What the page of its question leads with.

    Returns
    -------
    int
        `summary.baseline`, but where that is merely the first schedule: the second side of the lead.
    """
    if lead is None or flows(run):
        return baseline(run)
    return [str(name) for name in run["schedule"]].index(lead.b)
