"""The words of an answer to a question with two sides: what a person would say of its comparisons."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..config import question as questions
from ..store.run import Run
from ..text import many, powers
from .comparison import APART, BETTER, EVEN, FEWEST, NEITHER, NOTHING, OPEN, TIE, WORSE
from .outcomes import DEPENDS, YES
from .statistics import EQUAL
from .wording import MEASURES, at, begun, joined, noun

# Of the comparisons that are decided, at least this share has less and none more: "yes", if less so somewhere.
MOSTLY = 0.75
# A trend is told of where the ratios at its ends differ by this many margins.
TREND = 5.0


def times(row: Any, unit: str = "times as much") -> str:
    """The ratio of a comparison with its interval: "0.16 times as much (95 % 0.14 to 0.22)".

    Parameters
    ----------
    row : comparison.Tally
        Of at least one pair.
    unit
        Of what it is the ratio.
    """
    if math.isinf(row.ratio):
        return f"it does not get there in {row.missed_a} of {many(row.pairs, 'seed')}"
    if row.ratio == 0.0 and row.missed_b:
        return f"the other does not get there in {row.missed_b} of {many(row.pairs, 'seed')}"
    if not 0.0 < row.ratio_high - row.ratio_low < math.inf and row.ratio_high == row.ratio_low:
        return f"exactly {digits(row.ratio)} {unit}"
    if row.ratio_high - row.ratio_low <= EQUAL * row.ratio:
        return f"exactly {digits(row.ratio)} {unit}"
    if row.ratio_low == 0.0 and math.isinf(row.ratio_high):
        return f"{digits(row.ratio)} {unit} (too few for an interval: {many(row.pairs, 'seed')})"
    high = "no bound" if math.isinf(row.ratio_high) else digits(row.ratio_high)
    return f"{digits(row.ratio)} {unit} (95 % {digits(row.ratio_low)} to {high})"


def digits(value: float) -> str:
    """A ratio in two digits, three near 1, where the third one tells."""
    return f"{value:.3f}" if 0.9 <= value <= 1.1 else powers(f"{value:.2g}" if value < 1000.0 else f"{value:.1e}")


def _all(count):
    """All of so many."""
    return "both" if count == 2 else f"all {count}"


class Words:
    """The words of an answer.

    Parameters
    ----------
    run, question
        The run and its question, of the first form.
    axes
        What the comparisons lie along, as `outcomes.axes_of` gives it.
    """

    def __init__(self, run: Run, question: dict, axes: Sequence[Any]):
        self.kind, self.axes = run.config.level_kind, dict(axes)
        self.a, self.b = (questions.side_name(side) for side in question["compare"])
        self.measure, self.margin = MEASURES[question["measure"]], question["margin"]
        self.ratio_of = lambda row: times(row, self.measure.times)

    def lead(self, rows: Sequence[Any], outcome: str, depends: Sequence[str]) -> str:
        """The first words: yes, no, it depends, and on what."""
        count = Counter(row.outcome for row in rows)
        decided = sum(count[key] for key in (BETTER, WORSE, EVEN, TIE))
        so_far = ", where it is decided" if 0 < 2 * decided < len(rows) else ""
        if outcome == YES or (outcome == DEPENDS and not count[WORSE] and count[BETTER] >= MOSTLY * decided):
            trend = self._trend(rows, depends) if len(rows) > 1 else ""
            return "Yes" + (f", less so with {trend}" if trend else ", in most settings" if outcome != YES else so_far)
        if outcome == DEPENDS and depends:
            return f"It depends on the {' and the '.join(noun(axis).name for axis in depends)}"
        return begun(outcome) + so_far

    def _trend(self, rows, depends):
        """Towards which values of the axis that matters most the first side gains less and less; "" without."""
        name = next((axis for axis in depends[:1] if all(isinstance(v, int | float) for v in self.axes[axis])), None)
        if name is None:
            return ""
        means = []
        for value in sorted(self.axes[name]):
            logs = [math.log(row.ratio) for row in rows if self._value(row, name) == value and 0 < row.ratio < math.inf]
            means.append(np.mean(logs) if logs else math.nan)
        if not abs(means[-1] - means[0]) > TREND * math.log1p(self.margin):
            return ""
        steps = np.diff(means)
        if (steps > 0.0).all():
            return noun(name).more
        return noun(name).fewer if (steps < 0.0).all() else ""

    def _value(self, row, axis):
        return row.level if axis == self.kind else row.where[axis]

    def sentence(self, rows: Sequence[Any], lead: str) -> str:
        """The whole answer."""
        return " ".join([*self._told(rows, lead), *self._edges(rows)])

    def short(self, rows: Sequence[Any], lead: str) -> str:
        """The answer as a page begins with it: the sides, which the picture names, are named once."""
        return " ".join([*self._told(rows, lead, brief=True), *self._edges(rows)])

    def _told(self, rows, lead, brief=False):
        """The sentences on which side has less."""
        if not any(row.pairs or row.apart for row in rows):
            return ["Not sure: no seed has been compared."]
        count = Counter(row.outcome for row in rows)
        better, worse = ([row for row in rows if row.outcome == key] for key in (BETTER, WORSE))
        clauses = []
        if better:
            most = min(better, key=lambda row: row.ratio)
            clauses.append(self._clause(f"{self.a} {self.measure.less} than {self.b}", better, rows, most))
        if worse:
            most = max(worse, key=lambda row: row.ratio)
            start = f"it {self.measure.more}" if better else f"{self.a} {self.measure.more} than {self.b}"
            clauses.append(self._clause(start, worse, rows, most))
        rest = self._rest(count, rows, bool(better or worse), brief)
        first = clauses[0] if clauses else rest.pop(0)
        return [f"{lead}: {first}.", *(f"{begun(text)}." for text in [*clauses[1:], *rest])]

    def _clause(self, start, chosen, rows, most):
        """What some comparisons say, and the one that says it most clearly."""
        where = at(self.kind, most.where, self.axes, most.level)
        if len(rows) == 1:
            return f"{start}, {self.ratio_of(most)}"
        of = f"in {len(chosen)} of {len(rows)} settings"
        if len(chosen) == len(rows):
            of = f"in {_all(len(rows))} settings"
        most_words = f"most at {where}" if len(chosen) > 1 else f"at {where}"
        return f"{start} {of}, {most_words}: {self.ratio_of(most)}"

    def _rest(self, count, rows, is_other, brief):
        """What is said of the comparisons in which neither side has surely less, in at most one clause.

        In brief the two sides, which were named before, are not named again.
        """
        left = len(rows) - count[BETTER] - count[WORSE]
        if not left:
            return []
        even, ties, small = count[EVEN] + count[TIE], count[TIE], f"{100 * self.margin:g} %"
        brief = brief and is_other
        both, place = ("", "") if brief else (f"{self.a} and {self.b} ", "in ")
        one = brief and even == 1
        same = f"{'has' if one else 'have'} exactly the same {self.measure.same}"
        near = f"{'differs' if one else 'differ'} by less than {small}"
        told = []
        if even:
            told.append((even, f"{both}{same if ties == even else near}"))
        told += [(count[key], text) for key, text in self._undecided(count, rows) if count[key]]
        if len(rows) == 1:
            return [told[0][1] if even else f"{self.a} against {self.b} {told[0][1]}"]
        others, settings = ("other ", "") if is_other else ("", " settings")
        left = "one" if is_other and left == 1 else left
        if len(told) == 1 and even:
            lost = is_other and not count[WORSE] and ties < even
            who = f"the other {left}" if is_other else _all(left)
            return [f"in {who} nothing is lost" if lost else f"{place}{who} {told[0][1]}"]
        if len(told) == 1:
            return [f"{f'the other {left}' if is_other else f'{_all(left)}{settings}'} {told[0][1]}"]
        first = (
            f"{place}{even} of the {others}{left}{settings} {told[0][1]}"
            if even
            else f"{told[0][0]} of the {others}{left}{settings} {told[0][1]}"
        )
        return [joined([first, *(f"{number} {text}" for number, text in told[1:])])]

    def _undecided(self, count, rows):
        """Why comparisons say nothing: (outcome, words)."""
        return (
            (OPEN, f"{'is' if count[OPEN] == 1 else 'are'} not decided" + self._why(rows)),
            (APART, "cannot be compared, for the train losses at the stops differ by more than 1 %"),
            (NEITHER, "cannot be compared, for in most seeds neither gets there"),
            (NOTHING, "cannot be compared, for no seed can get there"),
        )

    def _why(self, rows):
        """Why some are not decided."""
        few = [row.pairs for row in rows if row.outcome == OPEN and row.pairs < FEWEST]
        if not few:
            return ""
        return f", with {max(few)} of {many(max(row.seeds for row in rows), 'seed')} to compare"

    def _edges(self, rows):
        """In at most one sentence, where the best of a side is the lowest or the highest tried."""
        found = [
            (name, *edge.rsplit(" ", 1))
            for side, name in (("a", self.a), ("b", self.b))
            for row in rows if row.pairs
            for edge in getattr(row, f"edge_{side}").split(", ") if edge
        ]  # fmt: skip
        if not found:
            return []
        told: dict[str, list[str]] = {}
        for (name, key), number in Counter(edge[:2] for edge in found).items():
            # With several settings the ends are told once, for all of them, and each has its count.
            ends = sorted({end for *whose, end in found if len(rows) > 1 or whose == [name, key]})
            end = f" is the {' or '.join(ends)} tried" if len(rows) == 1 or not told else ""
            of = _all(number) if number == len(rows) else f"{number} of {len(rows)}"
            of = of if name in told else f"{of} settings"
            where = f" in {of}" if len(rows) > 1 else ""
            told.setdefault(name, []).append(f"the best {noun(key).name}{end}{where}")
        sides = ", ".join(f"for {name} {joined(parts)}" for name, parts in told.items())
        return [f"{begun(sides)}, so a better one may lie beyond."]

    def notes(self, rows: Sequence[Any]) -> tuple[str, ...]:
        """What a reader has to know to trust it."""
        notes = []
        if any(row.tuned_on for row in rows):
            notes.append(
                "tuned: each side's schedule was chosen on every other seed, and compared on the seeds between"
            )
        pairs = sum(row.pairs for row in rows)
        for side, name in zip("ab", (self.a, self.b), strict=True):
            missed = sum(getattr(row, f"missed_{side}") for row in rows)
            if missed:
                notes.append(
                    f"{name}: {missed} of {pairs} pairs are lost, or tied where both are, for the level was not reached"
                )
        aside = sum(row.apart for row in rows)
        if aside:
            more = f"{aside} further pairs" if pairs else many(aside, "pair")
            notes.append(f"{more} are not counted: their train losses at the stops differ by more than 1 %")
        return tuple(notes)
