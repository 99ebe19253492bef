"""The answer to the question of a grid, in one sentence with its figure and uncertainty, and the rows behind it.

    found = answers.answer(run)
    print(found.outcome, found.sentence)

Pure functions of a `store.run.Run` whose grid has a [question]; see `config.question`. Every combination of problem
parameters, of the parameters named in `over` and of levels is compared by itself.

Fair to both sides: where a side has several schedules, the one of the smallest median on every other seed is taken, and
the two that were chosen are compared on the seeds between those, so that to have tried many is no advantage. A seed in
which one side did not reach its level is lost for it; seeds in which neither did, or none can, do not count.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import question as questions
from ..store.run import Run
from ..text import value_text
from .families import edge_of, first_smallest
from .growth import answer_growth
from .levels import place
from .outcomes import DEPENDS, NO, SAME, UNSURE, WORDS, YES, Answer, axes_of, place_of, values_of
from .pairs import log_ratios
from .schedule_parts import ScheduleParts
from .statistics import EQUAL, median_interval, wilson
from .summary import columns_of, problem_groups

BETTER, WORSE, EVEN, OPEN = "better", "worse", "even", "unsure"
# An axis that accounts for this share of the differences between the comparisons is named alone.
MOST_OF_IT = 0.5


@dataclass(frozen=True)
class Comparison:
    """The first side against the second one in one combination of problem, `over` and level."""

    problem: tuple
    over: tuple  # ((parameter, value), ...)
    level: float
    a: str  # the schedule that was taken of the first side
    b: str
    tuned_on: int  # seeds on which they were chosen, 0 where there was no choice
    pairs: int  # seeds on which they were compared, and at least one of them reached its level
    missed_a: int  # of these, seeds in which the first did not
    missed_b: int
    ratio: float  # measure of the first / of the second in the same seed: median; below 1 where the first has less
    ratio_low: float  # its 95 % bootstrap interval, seeds resampled
    ratio_high: float
    win_share: float  # share of the pairs in which the first has less, by more than rounding
    win_share_low: float  # its 95 % Wilson interval
    win_share_high: float
    edge_a: str  # parameters whose chosen value is the lowest or the highest that was tried
    edge_b: str
    outcome: str  # better, worse, even (the whole interval within the margin) or unsure

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter and each of `over` a column of its own."""
        columns = columns_of(self, "a", "b")
        del columns["over"]
        return dict(self.over) | columns

    @property
    def where(self) -> dict[str, Any]:
        """{axis: its value} of the comparison, but for the level."""
        return dict(self.problem) | dict(self.over)


def answer(run: Run, parts: ScheduleParts | None = None) -> Answer | None:
    """The answer to the question of a run's grid.

    Parameters
    ----------
    run
        Finished or not.
    parts
        What was read of the run already; read anew where it is None.

    Returns
    -------
    Answer or None
        None where the grid has no question, and of a shard.
    """
    question = None if run.is_study else run.config.question
    if not question or "shard" in run.attributes:
        return None
    parts = parts or ScheduleParts(run)
    if "compare" not in question:
        return answer_growth(run, question, parts)
    rows = compare(run, question, parts)
    axes = axes_of(rows, run.config.level_kind)
    depends, outcome = dependence(rows, axes), overall_outcome(rows)
    words = _Words(run, question, axes)
    sentence, notes = words.sentence(rows, outcome, depends), words.notes(rows)
    return Answer(question["text"], outcome, sentence, notes, rows, axes, depends)


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
        By problem combination, then `over` and level.
    """
    parts = parts or ScheduleParts(run)
    sides, entries = question["compare"], questions.entries_of(run.config)
    moments = [side.get("at") for side in sides]
    levels = [0] if all(moment is not None for moment in moments) else range(run["level"].size)
    rows = []
    for problem, seeds in problem_groups(run):
        for over, places in questions.cells(question["over"], sides, entries):
            for e in levels:
                at = [place_of(run, moment, e) for moment in moments]
                losses = [
                    np.stack([values_of(parts, s, seeds, where, question["measure"]) for s in side])
                    for side, where in zip(places, at, strict=True)
                ]
                cell = {"problem": problem, "over": over, "level": float(run["level"][e])}
                rows.append(_comparison(cell, losses, [[entries[s] for s in side] for side in places], question))
    return rows


def _comparison(cell, losses, entries, question):
    """One `Comparison`, of what the schedules of both sides came to: two arrays (M, N)."""
    known = ~(np.isnan(losses[0]).any(axis=0) | np.isnan(losses[1]).any(axis=0))
    losses = [side[:, known] for side in losses]
    tuned = any(len(side) > 1 for side in losses)
    # Chosen on every other seed, compared on those between.
    chosen_on, compared_on = (slice(0, None, 2), slice(1, None, 2)) if tuned else (slice(0, 0), slice(None))
    tuned_on = losses[0][:, chosen_on].shape[1]
    with np.errstate(invalid="ignore"):
        chosen = [first_smallest(np.median(side[:, chosen_on], axis=1)) or 0 if tuned_on else 0 for side in losses]
    a, b = (side[i, compared_on] for side, i in zip(losses, chosen, strict=True))
    either = np.isfinite(a) | np.isfinite(b)
    a, b = a[either], b[either]
    logs = np.sort(log_ratios(a, b))
    with np.errstate(over="ignore"):
        ratio, low, high = (float(np.exp(value)) for value in median_interval(logs))
    share, share_low, share_high = map(float, wilson(np.array((logs < -EQUAL).sum()), np.array(logs.size)))
    sides = {"a": entries[0][chosen[0]].name, "b": entries[1][chosen[1]].name}
    sides |= {"edge_a": _edges(entries[0], chosen[0]), "edge_b": _edges(entries[1], chosen[1])}
    counts = {"pairs": logs.size, "missed_a": int(np.isinf(a).sum()), "missed_b": int(np.isinf(b).sum())}
    ratios = {
        "ratio": ratio,
        "ratio_low": low,
        "ratio_high": high,
        "outcome": outcome_of(low, high, question["margin"]),
    }
    shares = {"win_share": share, "win_share_low": share_low, "win_share_high": share_high}
    return Comparison(**cell, tuned_on=tuned_on, **sides, **counts, **ratios, **shares)


def outcome_of(low: float, high: float, margin: float) -> str:
    """What the interval of a ratio says.

    Parameters
    ----------
    low, high
        Of the first side's measure over the second's.
    margin
        Differences up to this share count as none.

    Returns
    -------
    str
        BETTER, WORSE, EVEN or OPEN.
    """
    if high * (1.0 + margin) < 1.0:
        return BETTER
    if low > 1.0 + margin:
        return WORSE
    return EVEN if low * (1.0 + margin) >= 1.0 and high <= 1.0 + margin else OPEN


def _edges(entries, chosen):
    """The numeric parameters whose chosen value is the end of what was tried, in one text."""
    if len(entries) < 2:
        return ""
    edges = []
    for key, value in entries[chosen].parameters.items():
        tried = sorted({e.parameters[key] for e in entries if isinstance(e.parameters.get(key), float)})
        if isinstance(value, float) and len(tried) > 1 and edge_of(tried, tried.index(value)):
            edges.append(f"{key} {edge_of(tried, tried.index(value))}")
    return ", ".join(edges)


# ---- what they say together ----


def overall_outcome(rows: Sequence[Comparison]) -> str:
    """What all comparisons say: one that is unsure neither helps nor hinders, and what is never less is a no.

    Parameters
    ----------
    rows
        The comparisons.

    Returns
    -------
    str
        One of `outcomes`: YES, NO, DEPENDS, SAME or UNSURE.
    """
    sure = {row.outcome for row in rows} - {OPEN}
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


class _Words:
    """The words of an answer to a question with two sides."""

    def __init__(self, run, question, axes):
        self.kind, self.axes = run.config.level_kind, [name for name, _ in axes]
        self.names = [questions.side_name(side) for side in question["compare"]]
        self.measure, self.margin = WORDS[question["measure"]], question["margin"]

    def sentence(self, rows, outcome, depends):
        """The answer."""
        known = [row for row in rows if row.pairs and not math.isnan(row.ratio)]
        if not known:
            return "Not sure: no seed has been compared."
        low, high = min(known, key=lambda row: row.ratio), max(known, key=lambda row: row.ratio)
        start = outcome[0].upper() + outcome[1:]
        if outcome == DEPENDS:
            start += f" on {' and '.join(depends)}" if depends else ""
        ratio, others = self.figure(low)
        text = f"{start}: {self.at(low)}the {self.measure} of {self.names[0]} is {ratio} times that of {self.names[1]}"
        text += f" ({others})"
        if low is not high:
            ratio, others = self.figure(high)
            text += f", {self.at(high)}{ratio} times ({others})"
        return text + self.counts(rows) + "."

    @staticmethod
    def figure(row):
        """The ratio, and its uncertainty with the share of seeds."""
        values = (row.ratio, row.ratio_low, row.ratio_high, 100 * row.win_share)
        # In three digits, zeros at the end among them.
        ratio, low, high, share = (f"{value:#.3g}".removesuffix(".") for value in values)
        return ratio, f"95 % {low} to {high}; less in {share} % of the seeds"

    def at(self, row):
        """Where the comparison stands."""
        level = [place(self.kind, row.level)] if self.kind in self.axes else []
        places = [f"{key} = {value_text(v)}" for key, v in row.where.items() if key in self.axes]
        return f"at {', '.join([*level, *places])} " if level or places else ""

    def counts(self, rows):
        """How many comparisons came out how."""
        if len(rows) < 2:
            return ""
        count = Counter(row.outcome for row in rows)
        words = {
            BETTER: "surely less",
            WORSE: "surely more",
            EVEN: f"equal within {100 * self.margin:g} %",
            OPEN: "unsure",
        }
        counts = ", ".join(f"{count[key]} {word}" for key, word in words.items() if count[key])
        return f"; of {len(rows)} comparisons {counts}"

    def notes(self, rows):
        """What a reader has to know to trust it."""
        notes = []
        if any(row.tuned_on for row in rows):
            notes.append(
                "tuned: each side's schedule was chosen on every other seed, and compared on the seeds between"
            )
        for side, name in zip("ab", self.names, strict=True):
            edges = Counter(getattr(row, f"edge_{side}") for row in rows if getattr(row, f"edge_{side}"))
            for edge, count in edges.items():
                notes.append(f"{name}: {edge} of those tried was chosen in {count} of {len(rows)} comparisons")
            missed = sum(getattr(row, f"missed_{side}") for row in rows)
            if missed:
                pairs = sum(row.pairs for row in rows)
                notes.append(f"{name}: {missed} of {pairs} pairs are lost, for the level was not reached")
        return tuple(notes)
