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
        own = columns_of(self, "a", "b")
        del own["over"]
        return dict(self.over) | own

    @property
    def where(self) -> dict[str, Any]:
        """{axis: its value} of the comparison, but for the level."""
        return dict(self.problem) | dict(self.over)


def answer(run: Run, parts: ScheduleParts | None = None) -> Answer | None:
    """The `Answer` to the question of a run's grid; None where it has none, or the run is a part of one."""
    question = None if run.is_study else run.config.question
    if not question or "shard" in run.attributes:
        return None
    parts = parts or ScheduleParts(run)
    return _answer_pair(run, question, parts) if "compare" in question else answer_growth(run, question, parts)


# ---- the comparisons ----


def _answer_pair(run, question, parts):
    """The answer to a question with two sides."""
    rows = compare(run, question, parts)
    names = [questions.side_name(side) for side in question["compare"]]
    axes = axes_of(rows, run.config.level_kind)
    depends = dependence(rows, axes)
    outcome = _together(rows)
    told = _Teller(run, question, names, axes)
    return Answer(
        question["text"], outcome, told.sentence(rows, outcome, depends), told.notes(rows), rows, axes, depends
    )


def compare(run: Run, question: dict, parts: ScheduleParts | None = None) -> list[Comparison]:
    """All `Comparison`s of a question with two sides."""
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
                    np.stack([values_of(parts, s, seeds, where, question["measure"]) for s in own])
                    for own, where in zip(places, at, strict=True)
                ]
                cell = {"problem": problem, "over": over, "level": float(run["level"][e])}
                rows.append(_comparison(cell, losses, [[entries[s] for s in own] for own in places], question))
    return rows


def _comparison(cell, losses, entries, question):
    """One `Comparison`, of what the schedules of both sides came to: two arrays (M, N)."""
    known = ~(np.isnan(losses[0]).any(axis=0) | np.isnan(losses[1]).any(axis=0))
    losses = [own[:, known] for own in losses]
    tuned = any(len(own) > 1 for own in losses)
    halves = (slice(0, None, 2), slice(1, None, 2)) if tuned else (slice(0, 0), slice(None))
    chosen = [first_smallest(_medians(own[:, halves[0]])) or 0 for own in losses]
    a, b = (own[i, halves[1]] for own, i in zip(losses, chosen, strict=True))
    found = {"a": entries[0][chosen[0]].name, "b": entries[1][chosen[1]].name}
    found |= {"tuned_on": losses[0][:, halves[0]].shape[1]}
    found |= {"edge_a": _edges(entries[0], chosen[0]), "edge_b": _edges(entries[1], chosen[1])}
    return Comparison(**cell, **found, **_ratio(a, b, question["margin"]))


def _medians(losses):
    """Medians over the seeds (M, N) -> (M,), NaN without seeds."""
    if not losses.shape[1]:
        return np.full(len(losses), np.nan)
    with np.errstate(invalid="ignore"):
        return np.median(losses, axis=1)


def _ratio(a, b, margin):
    """What is measured of two sides, seed by seed (N,)."""
    some = np.isfinite(a) | np.isfinite(b)
    a, b = a[some], b[some]
    logs = np.sort(log_ratios(a, b))
    with np.errstate(over="ignore"):
        ratio, low, high = (float(np.exp(value)) for value in median_interval(logs))
    wins = int((logs < -EQUAL).sum())
    share, share_low, share_high = (float(value) for value in wilson(np.array(wins), np.array(logs.size)))
    found = {"pairs": logs.size, "missed_a": int(np.isinf(a).sum()), "missed_b": int(np.isinf(b).sum())}
    found |= {"ratio": ratio, "ratio_low": low, "ratio_high": high, "outcome": outcome_of(low, high, margin)}
    return found | {"win_share": share, "win_share_low": share_low, "win_share_high": share_high}


def outcome_of(low: float, high: float, margin: float) -> str:
    """What the interval of a ratio says, differences up to `margin` counting as none."""
    if high * (1.0 + margin) < 1.0:
        return BETTER
    if low > 1.0 + margin:
        return WORSE
    return EVEN if low * (1.0 + margin) >= 1.0 and high <= 1.0 + margin else OPEN


def _edges(entries, chosen):
    """The numeric parameters whose chosen value is the end of what was tried, in one text."""
    if len(entries) < 2:
        return ""
    found = []
    for key, value in entries[chosen].parameters.items():
        tried = sorted({e.parameters[key] for e in entries if isinstance(e.parameters.get(key), float)})
        if isinstance(value, float) and len(tried) > 1 and edge_of(tried, tried.index(value)):
            found.append(f"{key} {edge_of(tried, tried.index(value))}")
    return ", ".join(found)


# ---- what they say together ----


def _together(rows):
    """The outcome of all comparisons: one that is unsure neither helps nor hinders, and what is never less is a no."""
    told = {row.outcome for row in rows} - {OPEN}
    if told <= {EVEN}:
        return SAME if told else UNSURE
    if BETTER not in told:
        return NO
    return YES if told == {BETTER} else DEPENDS


def value_at(run: Run, row: Any, axis: str) -> Any:
    """The value of a row along an axis."""
    return row.level if axis == run.config.level_kind else row.where[axis]


def dependence(rows: Sequence[Comparison], axes: Sequence[Any]) -> tuple[str, ...]:
    """The names of the axes that the ratio depends on most: shares of the variance of log ratio between its values."""
    logs = np.log(np.clip([row.ratio for row in rows], 1e-9, 1e9))
    known = np.isfinite(logs)
    total = logs[known].var() if known.any() else 0.0
    if not total > 0.0 or not axes:
        return ()
    shares = {}
    for name, values in axes:
        own = np.array([row.where.get(name, row.level) for row in rows], dtype=object)
        means = np.zeros(logs.size)
        for value in values:
            same = known & np.array([one == value for one in own])
            means[same] = logs[same].mean() if same.any() else 0.0
        shares[name] = means[known].var() / total
    ordered = sorted(shares, key=shares.__getitem__, reverse=True)
    return tuple(ordered[: 1 if shares[ordered[0]] >= MOST_OF_IT else 2])


def _digits(value):
    """A number in three digits, zeros at the end among them."""
    return f"{value:#.3g}".removesuffix(".")


class _Teller:
    """The words of an answer."""

    def __init__(self, run, question, names, axes):
        self.kind, self.axes, self.names = run.config.level_kind, [name for name, _ in axes], names
        self.measure, self.margin = WORDS[question["measure"]], question["margin"]

    def sentence(self, rows, outcome, depends):
        """The answer."""
        told = [row for row in rows if row.pairs and not math.isnan(row.ratio)]
        if not told:
            return "Not sure: no seed has been compared."
        low, high = min(told, key=lambda row: row.ratio), max(told, key=lambda row: row.ratio)
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
        digits = (_digits(value) for value in (row.ratio, row.ratio_low, row.ratio_high, 100 * row.win_share))
        ratio, low, high, share = digits
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
        told = ", ".join(f"{count[key]} {word}" for key, word in words.items() if count[key])
        return f"; of {len(rows)} comparisons {told}"

    def notes(self, rows):
        """What a reader has to know to trust it."""
        found = []
        if any(row.tuned_on for row in rows):
            found.append(
                "tuned: each side's schedule was chosen on every other seed, and compared on the seeds between"
            )
        for side, name in zip("ab", self.names, strict=True):
            edges = Counter(getattr(row, f"edge_{side}") for row in rows if getattr(row, f"edge_{side}"))
            for edge, count in edges.items():
                found.append(f"{name}: {edge} of those tried was chosen in {count} of {len(rows)} comparisons")
            missed = sum(getattr(row, f"missed_{side}") for row in rows)
            if missed:
                pairs = sum(row.pairs for row in rows)
                found.append(f"{name}: {missed} of {pairs} pairs are lost, for the level was not reached")
        return tuple(found)
