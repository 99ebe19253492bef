"""The answer to the question of a grid, in one sentence with its figure and uncertainty, and the rows behind it.

    found = answers.answer(run)
    print(found.outcome, found.sentence)

Pure functions of a `store.run.Run` whose grid has a [question]; see `config.question`. Every combination of problem
parameters, of the parameters named in `over` and of levels is compared by itself, by the rule of `comparison`.

Fair to both sides: where a side has several schedules, the one of the smallest median on every other seed is taken, and
the two that were chosen are compared on the seeds between, so that to have tried many is no advantage. At a budget of
steps only schedules are taken that are made for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import question as questions
from ..store.run import Run
from .answer_words import Words
from .budgets import made_for
from .comparison import BETTER, EVEN, FEWEST, TIE, WORSE, Judged, apart, judged, overshoots, takes_equal_loss, tally
from .families import as_small, edge_of, first_smallest
from .growth import answer_growth
from .on_page import base_of, compared, groups, lead_of
from .outcomes import DEPENDS, NO, SAME, UNSURE, YES, Answer, axes_of, place_of, values_of
from .schedule_parts import ScheduleParts
from .summary import columns_of, problem_groups
from .summary import rows as rows_of

# An axis that accounts for this share of the differences between the comparisons is named alone.
MOST_OF_IT = 0.5


@dataclass(frozen=True, kw_only=True)
class Comparison(Judged):
    """The first side against the second one in one combination of problem, `over` and level."""

    problem: tuple
    over: tuple  # ((parameter, value), ...)
    level: float
    a: str  # the schedule that was taken of the first side
    b: str
    tuned_on: int  # seeds on which they were chosen, 0 where there was no choice
    edge_a: str  # parameters whose chosen value is the lowest or the highest that was tried
    edge_b: str

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter and each of `over` a column of its own."""
        columns = columns_of(self, "a", "b")
        del columns["over"]
        return dict(self.over) | columns

    @property
    def where(self) -> dict[str, Any]:
        """{axis: its value} of the comparison, but for the level."""
        return dict(self.problem) | dict(self.over)


def answer(
    run: Run,
    parts: ScheduleParts | None = None,
    beside: Sequence[float] | None = None,
    rows: Sequence[Comparison] | None = None,
) -> Answer | None:
    """The answer to the question of a run's grid.

    Parameters
    ----------
    run
        Finished or not.
    parts
        What was read of the run already; read anew where it is None.
    beside
        p of the comparisons that the page tells beside the answer; None to make them.
    rows
        What `compare` gives; made anew where it is None.

    Returns
    -------
    Answer or None
        None where the grid has no question, and of a shard.
    """
    question = question_of(run)
    if not question:
        return None
    parts = parts or ScheduleParts(run)
    if "compare" not in question:
        return answer_growth(run, question, parts)
    rows = compare(run, question, parts) if rows is None else rows
    if beside is None:
        base = base_of(run, lead_of(run, rows))
        beside = compared(run, base, groups(rows_of(run, base)), parts).p
    rows = judged(rows, question["margin"], beside)
    axes = axes_of(rows, run.config.level_kind)
    depends, outcome = dependence(rows, axes), overall_outcome(rows)
    words = Words(run, question, axes)
    lead = words.lead(rows, outcome, depends)
    told = words.sentence(rows, lead), words.notes(rows), rows, axes, depends, lead
    return Answer(question["text"], outcome, *told, words.short(rows, lead))


def question_of(run: Run) -> dict:
    """The question of a run's grid; {} where it has none, and of a shard."""
    return {} if run.is_study or "shard" in run.attributes else run.config.question


# ---- the comparisons ----


def compare(run: Run, question: dict, parts: ScheduleParts | None = None) -> list[Comparison]:
    """Every comparison of a question with two sides.

    Parameters
    ----------
    run
        Finished or not.
    question
        Of the first form, checked.
    parts
        What was read of the run already; read anew where it is None.

    Returns
    -------
    list of Comparison
        By problem combination, then `over` and level; judged together.
    """
    parts, made = parts or ScheduleParts(run), made_for(run)
    sides, entries = question["compare"], questions.entries_of(run.config)
    moments = [side.get("at") for side in sides]
    levels = [0] if all(moment is not None for moment in moments) else range(run["level"].size)
    rows = []
    for problem, seeds in problem_groups(run):
        for over, places in questions.cells(question["over"], sides, entries):
            for e in levels:
                taken = [
                    [s for s in side if moment is not None or made[s, e]]
                    for side, moment in zip(places, moments, strict=True)
                ]
                if all(taken):
                    cell = {"problem": problem, "over": over, "level": float(run["level"][e])}
                    seen = [
                        _Seen(parts, side, seeds, place_of(run, moment, e), question["measure"])
                        for side, moment in zip(taken, moments, strict=True)
                    ]
                    rows.append(_comparison(cell, seen, [[entries[s] for s in side] for side in taken]))
    return judged(rows, question["margin"])


class _Seen:
    """What the M schedules of one side came to in N seeds: `losses` (M, N), and the train losses there."""

    def __init__(self, parts, side, seeds, level, measure):
        self.losses = np.stack([values_of(parts, s, seeds, level, measure) for s in side])
        self.train = self.excess = self.floor = None
        if parts.excess is not None and takes_equal_loss(measure) and level != questions.END:
            self.train = np.stack([parts("train_loss", s)[seeds, level] for s in side])
            self.excess, self.floor, self.level = parts.excess[seeds, level], parts.floor[seeds], level

    def keep(self, known):
        """Only some of the seeds."""
        self.losses = self.losses[:, known]
        if self.train is not None:
            self.train, self.excess, self.floor = self.train[:, known], self.excess[known], self.floor[known]

    def best(self, on):
        """The places of the schedules of the smallest median on some seeds, of those that mostly stop at the level."""
        losses = self.losses[:, on]
        if not losses.size or len(losses) < 2:
            return [0]
        with np.errstate(invalid="ignore"):
            medians = np.median(losses, axis=1)
        if self.train is not None:
            reached = np.isfinite(losses)
            below = reached & overshoots(self.train[:, on], self.floor[on], self.excess[on])
            lands = 2 * below.sum(axis=1) <= reached.sum(axis=1)
            if (lands & np.isfinite(medians)).any():
                medians = np.where(lands, medians, np.inf)
        return as_small(medians, first_smallest(medians)) or [0]


def _comparison(cell, seen, entries):
    """One `Comparison`, of what the schedules of both sides came to."""
    known = ~(np.isnan(seen[0].losses).any(axis=0) | np.isnan(seen[1].losses).any(axis=0))
    for side in seen:
        side.keep(known)
    tuned = any(len(side.losses) > 1 for side in seen)
    # Chosen on every other seed, compared on those between.
    chosen_on, compared_on = (slice(0, None, 2), slice(1, None, 2)) if tuned else (slice(0, 0), slice(None))
    equal = [side.best(chosen_on) for side in seen]
    chosen = [places[0] for places in equal]
    a, b = (side.losses[i, compared_on] for side, i in zip(seen, chosen, strict=True))
    not_equal = None
    if seen[0].train is not None and seen[1].train is not None and seen[0].level == seen[1].level:
        train = (side.train[i, compared_on] for side, i in zip(seen, chosen, strict=True))
        not_equal = apart(*train, seen[0].excess[compared_on])
    sides = {"a": entries[0][chosen[0]].name, "b": entries[1][chosen[1]].name}
    sides |= {"edge_a": _edges(entries[0], equal[0]), "edge_b": _edges(entries[1], equal[1])}
    found = tally(a, b, not_equal)
    # Of how many it could have been, so that what is missing shows.
    found["seeds"] = known.size // 2 if tuned else known.size
    return Comparison(**cell, **sides, tuned_on=seen[0].losses[:, chosen_on].shape[1], **found)


def _edges(entries, chosen):
    """The numeric parameters whose chosen value, of each of the equally good, is the end tried, in one text."""
    edges = {}
    for key in entries[chosen[0]].parameters:
        tried = {e.parameters[key] for e in entries if isinstance(e.parameters.get(key), float | int)}
        best = [entries[s].parameters.get(key) for s in chosen]
        edges[key] = edge_of(tried, best) if len(tried) > 1 and set(best) <= tried else ""
    return ", ".join(f"{key} {edge}" for key, edge in edges.items() if edge)


# ---- what they say together ----


def overall_outcome(rows: Sequence[Comparison]) -> str:
    """What all comparisons say: one that is unsure neither helps nor hinders, and what is never less is a no.

    Nor does a tie of fewer seeds than take a "surely".

    Parameters
    ----------
    rows
        The comparisons.

    Returns
    -------
    str
        One of `outcomes`: YES, NO, DEPENDS, SAME or UNSURE.
    """
    told = [row for row in rows if row.outcome != TIE or row.pairs >= FEWEST]
    sure = {EVEN if row.outcome == TIE else row.outcome for row in told} & {BETTER, WORSE, EVEN}
    if sure <= {EVEN}:
        return SAME if sure else UNSURE
    if BETTER not in sure:
        return NO
    return YES if sure == {BETTER} else DEPENDS


def value_at(run: Run, row: Any, axis: str) -> Any:
    """The value of a row of an answer along an axis, which is named as `outcomes.axes_of` names it."""
    return row.level if axis == run.config.level_kind else row.where[axis]


def dependence(rows: Sequence[Comparison], axes: Sequence[Any]) -> tuple[str, ...]:
    """The axes that the ratio depends on most: shares of the variance of log ratio between the values of an axis.

    Parameters
    ----------
    rows
        The comparisons.
    axes
        (name, its values) of every axis, as `outcomes.axes_of` gives them.

    Returns
    -------
    tuple of str
        At most two names, one where it accounts for most of the variance; none where the ratio does not vary.
    """
    logs = np.log(np.clip([row.ratio for row in rows], 1e-9, 1e9))
    known = np.isfinite(logs)
    total = logs[known].var() if known.any() else 0.0
    if not total > 0.0 or not axes:
        return ()
    shares = {}
    for name, values in axes:
        value_of = [row.where.get(name, row.level) for row in rows]
        means = np.zeros(logs.size)
        for value in values:
            same = known & np.array([one == value for one in value_of])
            means[same] = logs[same].mean() if same.any() else 0.0
        shares[name] = means[known].var() / total
    ordered = sorted(shares, key=shares.__getitem__, reverse=True)
    return tuple(ordered[: 1 if shares[ordered[0]] >= MOST_OF_IT else 2])
