"""How the best value of one parameter grows with another: best ~ against^p, where p is local, step by step.

For every value of `against` the best value is the vertex of the parabola through the smallest median and its two
neighbours, in logarithms of both; an end of the values tried is taken as it is. Intervals are of joint resamples of the
seeds, in which every value of both parameters meets the same seeds.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import question as questions
from ..store.run import Run
from ..text import value_text
from .families import NO_EDGE, as_small, edge_of
from .levels import place
from .outcomes import DEPENDS, NO, UNSURE, WORDS, YES, Answer, axes_of, values_of
from .schedule_parts import ScheduleParts
from .statistics import COVERAGE, RESAMPLES, joint_medians
from .summary import columns_of, problem_groups
from .wording import begun, joined, noun

# A local exponent this near to the expected one agrees with it.
NEAR = 0.1
AGREES, DIFFERS, OPEN, FIRST = "agrees", "differs", "unsure", ""


@dataclass(frozen=True)
class Growth:
    """The best value at one value of the other parameter, and the exponent of the step that leads there."""

    problem: tuple
    level: float
    against: float
    best: float  # NaN where no value reaches the level
    best_low: float  # its 95 % interval
    best_high: float
    lowest: float  # the smallest median of the measure
    edge: str  # where the best is the lowest or the highest that was tried
    exponent: float  # log(best / best before) / log(against / against before); NaN at the first
    exponent_low: float
    exponent_high: float
    outcome: str  # agrees (with the expected exponent), differs, or unsure; "" at the first

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "against", "best")

    @property
    def where(self) -> dict[str, Any]:
        """{axis: its value}, but for the level."""
        return dict(self.problem)


class _Curve:
    """The best values along `against` in one problem combination at one level, and those of every resample."""

    def __init__(self, problem, level, against, points):
        """`points` has what `_best_of` returns for each of the A values of `against`."""
        self.problem, self.level, self.against = problem, level, np.array(against)
        best, resampled, self.lowest, self.edges = zip(*points, strict=True)
        self.best = np.array(best)  # (A,), logarithms
        self.resampled = np.stack(resampled)  # (A, B)

    def exponent(self, first, last):
        """(p, low, high) of best ~ against^p by least squares over some of the values."""
        x = np.log(self.against[first : last + 1])
        x = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        slopes = x @ self.resampled[first : last + 1]
        return (float(x @ self.best[first : last + 1]), *interval(slopes))

    def rows(self, expected):
        """The `Growth`s."""
        rows = []
        for i, against in enumerate(self.against.tolist()):
            local = self.exponent(i - 1, i) if i else (math.nan,) * 3
            best = np.exp([self.best[i], *interval(self.resampled[i])]).tolist()
            values = {"problem": self.problem, "level": self.level, "against": against, "lowest": self.lowest[i]}
            values |= dict(zip(("best", "best_low", "best_high"), best, strict=True)) | {"edge": self.edges[i]}
            values |= dict(zip(("exponent", "exponent_low", "exponent_high"), local, strict=True))
            rows.append(Growth(**values, outcome=outcome_of(*local[1:], expected) if i else FIRST))
        return rows

    def sentence(self, question, where):
        """The curve in words: the exponent as far as it is as expected, and beyond; `where` it is, in a list."""
        rows = self.rows(question["exponent"])
        agree = [row.outcome != DIFFERS for row in rows[1:]]
        last = agree.index(False) if False in agree else len(agree)
        parts = []
        for first, end in ((0, last), (last, len(rows) - 1)):
            if end > first:
                p, low, high = (f"{v:.2f}" for v in self.exponent(first, end))
                ends = (noun(question["against"]).at.format(value_text(rows[place].against)) for place in (first, end))
                between = "{} to {}".format(*ends)
                parts.append(f"with exponent {p} (95 % {low} to {high}) from {between}")
        return (f"at {joined(where)} " if where else "") + ", then ".join(parts)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of some resamples.

    Parameters
    ----------
    values : float64 (B,)
        An estimate in each resample; what is not finite is not known.

    Returns
    -------
    (low, high) : float
        NaN where less than 95 % of them are known.
    """
    known = np.sort(values[np.isfinite(values)])
    if known.size < COVERAGE * values.size or not known.size:
        return math.nan, math.nan
    tail = int((1.0 - COVERAGE) / 2.0 * known.size)
    return float(known[tail]), float(known[known.size - 1 - tail])


def outcome_of(low: float, high: float, expected: float) -> str:
    """What the interval of an exponent says of the expected one.

    Parameters
    ----------
    low, high
        The interval; NaN where it is not known.
    expected
        The exponent.

    Returns
    -------
    str
        AGREES where it comes within `NEAR` of the expected one and is narrower than 1, DIFFERS where it does not come
        so near, else OPEN.
    """
    if math.isnan(low):
        return OPEN
    if low > expected + NEAR or high < expected - NEAR:
        return DIFFERS
    return AGREES if low - NEAR <= expected <= high + NEAR and high - low < 1.0 else OPEN


def vertices(values: NDArray[np.float64], medians: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the best of some values: where the median of a loss is smallest.

    The vertex of the parabola through the smallest and its neighbours, in logarithms; the value itself where it is the
    first or last that is finite, or the three lie on a line.

    Parameters
    ----------
    values : (V,)
        Above 0, in ascending order.
    medians : float64 (V, B)
        For each of them, in each of B resamples.

    Returns
    -------
    float64 (B,)
        NaN where no median is finite.
    """
    x = np.log(values)
    with np.errstate(all="ignore"):
        y = np.where(np.isfinite(medians) & (medians > 0.0), np.log(medians), np.inf)
    least, column = np.argmin(y, axis=0), np.arange(y.shape[1])
    at_least = np.where(np.isfinite(y[least, column]), x[least], np.nan)
    inside = (least > 0) & (least < len(x) - 1)
    i = np.where(inside, least, 1)
    if len(x) < 3:
        return at_least
    left, middle, right = (y[i + k, column] for k in (-1, 0, 1))
    with np.errstate(all="ignore"):
        before, after = (middle - left) / (x[i] - x[i - 1]), (right - middle) / (x[i + 1] - x[i])
        bend = after - before
        vertex = 0.5 * (x[i - 1] + x[i]) - before * (x[i + 1] - x[i - 1]) / (2.0 * bend)
    good = inside & np.isfinite(left) & np.isfinite(right) & (bend > 0.0)
    return np.where(good, np.clip(vertex, x[i - 1], x[i + 1]), at_least)


def curves(run: Run, question: dict, parts: ScheduleParts) -> list[_Curve]:
    """How the best value grows in every problem combination at every level.

    Parameters
    ----------
    run
        Finished or not.
    question
        Of the second form, checked.
    parts
        What was read of the run.

    Returns
    -------
    list of _Curve
        By problem combination, then level.
    """
    entries = questions.entries_of(run.config)
    chosen = questions.members(question["among"], entries)
    groups: dict[Any, dict[Any, list[int]]] = {}
    for s in chosen:
        values = entries[s].parameters
        groups.setdefault(values[question["against"]], {}).setdefault(values[question["best"]], []).append(s)
    curves = []
    for problem, seeds in problem_groups(run):
        for e, level in enumerate(run["level"].tolist()):
            points = [_best_of(parts, groups[a], seeds, e, question["measure"]) for a in sorted(groups)]
            curves.append(_Curve(problem, level, sorted(groups), points))
    return curves


def _best_of(parts, by_value, seeds, level, measure):
    """(log of the best, of every resample (B,), the smallest median, edge) at one value of `against`."""
    values = sorted(by_value)
    losses = np.stack(
        [np.min([values_of(parts, s, seeds, level, measure) for s in by_value[value]], axis=0) for value in values]
    )
    losses = losses[:, ~np.isnan(losses).any(axis=0)]
    if not losses.shape[1]:
        return math.nan, np.full(RESAMPLES // 4, np.nan), math.nan, NO_EDGE
    resampled = np.concatenate([vertices(values, part) for part in joint_medians(losses, RESAMPLES // 4)])
    medians = np.median(losses, axis=1)
    least = int(np.argmin(medians))
    edge = edge_of(values, [values[v] for v in as_small(medians, least)]) if np.isfinite(medians[least]) else NO_EDGE
    return float(vertices(values, medians[:, None])[0]), resampled, float(medians[least]), edge


# ---- what it says ----


def answer_growth(run: Run, question: dict, parts: ScheduleParts) -> Answer:
    """The `Answer` to a question of the second form; parameters as of `curves`."""
    all_curves = curves(run, question, parts)
    rows = [row for curve in all_curves for row in curve.rows(question["exponent"])]
    steps = {row.outcome for row in rows} - {FIRST, OPEN}
    outcome = {frozenset({AGREES}): YES, frozenset({DIFFERS}): NO, frozenset(): UNSURE}.get(frozenset(steps), DEPENDS)
    kind, levels = run.config.level_kind, run["level"].tolist()
    axes = axes_of(rows, kind)
    best, against = noun(question["best"]).name, noun(question["against"]).name
    first = f"It depends on the {against}" if outcome == DEPENDS else begun(outcome)
    sentences = []
    for curve in all_curves:
        where = [noun(key).at.format(value_text(value)) for key, value in curve.problem if key in dict(axes)]
        sentences.append(curve.sentence(question, where + [place(kind, curve.level)] * (len(levels) > 1)))
    shown = sentences if len(sentences) < 3 else [sentences[0], sentences[-1]]
    grows = f"by the least {WORDS[question['measure']]}, the best {best} grows with the {against}"
    expected = f"with growth as expected, the exponent would be {question['exponent']:g}"
    sentence = f"{first}: {expected}. {begun(grows)} {'; '.join(shown)}."
    short = f"{first}: {grows} {sentences[0]}; {expected}."
    notes: list[str] = []
    edges, unreached = sum(bool(row.edge) for row in rows), sum(math.isnan(row.best) for row in rows)
    if edges:
        tried = f"the best {best} is the lowest or the highest tried, so a better one may lie beyond"
        sentence, short = (f"{text} In {edges} of {len(rows)} settings {tried}." for text in (sentence, short))
    if unreached:
        notes.append(f"in {unreached} of {len(rows)} cases most seeds do not reach the level with any value")
    details = f"The best {best} grows {shown[-1]}." if len(shown) > 1 else ""
    told = sentence, tuple(notes), rows, axes, (question["against"],), first
    return Answer(question["text"], outcome, *told, short, details)
