"""What a page has room for, and what it compares: whatever the size of a run, so many problems, schedules and levels.

The page of a question leads with the comparison in which its two sides differ most clearly. What the second one chose
there is, without a gradient flow, what others are compared with.

The comparisons of a page are told together, so that Holm's correction is over all of them and over those that they
were chosen among; see `comparison.judged`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..config import question as questions
from ..store.run import Run
from ..text import some
from .budgets import at_each_budget, lines_of, made_for
from .comparison import BETTER, WORSE
from .families import ANNEALING, STEADY, shapes_and_methods
from .levels import last, last_shared
from .pairs import Pair, Side, pair_at
from .schedule_parts import ScheduleParts
from .summary import Row, baseline, flows, problem_groups
from .wording import at as words_at

MOST_LINES, MOST_LEVELS, MOST_GROUPS = 24, 8, 4
# In the names of schedules: numbers of steps, by which those of several budgets differ.
_STEPS = re.compile(r"(?<=[\[,])[\w.]*steps=[^,\]]*(?:,|(?=\]))")
_EMPTY = re.compile(r",(?=\])|\[\]")


class Group:
    """The cells of one problem combination, and what of them is shown: `shown` schedules, `levels`, the `last` one."""

    def __init__(self, cells, most):
        self.cells, self.rows = cells, list(cells.values())
        self.names, self.all_levels = names(self.rows), levels(self.rows)
        self.kind = self.rows[0].level_kind
        self.last = last_shared(self.kind, self.rows)
        self.base = cells[self.names[0], self.last].baseline
        # Levels at which every seed starts: nothing is trained there.
        reached = [row for row in self.rows if row.reached]
        self.at_start = {row.level for row in reached} - {row.level for row in reached if row.stop_time != 0.0}
        # What has room: the first and the last level, the baseline and the highest ratios at the last level, of what
        # can be compared there before all others.
        self.levels = some(self.all_levels, MOST_LEVELS)
        self.shown = self.names
        if len(self.names) > most:
            at_last = {name: cells[name, self.last] for name in self.names if name != self.base}
            rest = sorted(at_last, key=lambda name: _rank(at_last[name]))
            self.shown = [self.base, *rest[: most - 1]]

    def of(self, name: str) -> list[Row]:
        """The rows of one schedule at the levels shown."""
        return [self.cells[name, level] for level in self.levels]


def _rank(row):
    return not row.compares, math.inf if math.isnan(row.ratio) else -row.ratio


def names(rows: Sequence[Row]) -> list[str]:
    """The schedules, each once, in order."""
    return list(dict.fromkeys(row.schedule for row in rows))


def levels(rows: Sequence[Row]) -> list[float]:
    """The levels, each once, in order."""
    return list(dict.fromkeys(row.level for row in rows))


def groups(rows: Sequence[Row], most: int = MOST_LINES) -> dict[tuple, Group]:
    """Some problem combinations, and what of each is shown.

    Parameters
    ----------
    rows
        Of all schedules, levels and problem combinations.
    most
        How many schedules are shown at most.

    Returns
    -------
    dict
        {problem: `Group`}, the first and the last combination among them.
    """
    problems = some(list(dict.fromkeys(row.problem for row in rows)), MOST_GROUPS)
    cells: dict[tuple, dict] = {problem: {} for problem in problems}
    for row in rows:
        if row.problem in cells:
            cells[row.problem][row.schedule, row.level] = row
    return {problem: Group(of_problem, most) for problem, of_problem in cells.items()}


def lines(run: Run, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of a run as tables have them: what is one schedule made for each budget of steps is one line.

    Parameters
    ----------
    run
        Finished or not.
    rows
        All of its `Row`s.

    Returns
    -------
    sequence of Row
        `rows` where no schedules are one, see `budgets.lines_of`; else of those only the ones at the budget that each
        is made for, under a name without numbers of steps.
    """
    names_of_run, budgets = [str(name) for name in run["schedule"]], run["level"].tolist()
    told = {names_of_run[s]: _EMPTY.sub("", _STEPS.sub("", names_of_run[s])) for s in lines_of(run)}
    firsts = {places[0] for places in lines_of(run).values()}
    after = [told[names_of_run[s]] for s in firsts] + [name for name in names_of_run if name not in told]
    if not told or len(set(after)) < len(after):
        return rows
    kept = {(names_of_run[s], level) for f in firsts for s, level in zip(at_each_budget(run, f), budgets, strict=True)}
    return [
        replace(row, schedule=told.get(row.schedule, row.schedule), baseline=told.get(row.baseline, row.baseline))
        for row in rows
        if row.schedule not in told or (row.schedule, row.level) in kept
    ]


# ---- what is compared ----


def against_baseline(
    run: Run, base: int, shown: dict[tuple, Group], parts: ScheduleParts
) -> dict[tuple[tuple, str], Pair]:
    """Every schedule shown against the baseline, at the last level that schedules share with it.

    Parameters
    ----------
    run
        Finished or not.
    base
        The place of the baseline, at one of its budgets where it is made for several.
    shown
        What there is room for: `groups` of its rows.
    parts
        What was read of the run.

    Returns
    -------
    dict
        {(problem, schedule): `Pair`, not judged yet}; without those that are not made for the budget.
    """
    names_of_run, levels_of_run = [str(name) for name in run["schedule"]], run["level"].tolist()
    seeds, made, pairs, bases = dict(problem_groups(run)), made_for(run), {}, at_each_budget(run, base)
    sides = {b: Side(run, b, parts=parts) for b in set(bases)}
    for name in dict.fromkeys(name for group in shown.values() for name in group.shown):
        s = names_of_run.index(name)
        side = sides.get(s) or Side(run, s, parts=parts)
        for problem, group in shown.items():
            e = levels_of_run.index(group.last)
            if name in group.shown and s != bases[e] and made[s, e] and made[bases[e], e]:
                pairs[problem, name] = pair_at((side, sides[bases[e]]), (problem, seeds[problem]), (e, e))
    return pairs


def annealed_against_best_steady(run: Run, shown: dict[tuple, Group], parts: ScheduleParts) -> tuple[list[Pair], int]:
    """Every annealed schedule against the steady one of the least median test loss, at the last level that both reach.

    A seed that does not reach the level counts as one of infinite test loss. Of the steady ones those are looked at
    that are at equal train loss with the annealed one in most seeds; where none is, that of the least median is taken.

    Parameters and order as of `against_baseline`; at most `MOST_LINES` of a problem, in the order of the run.

    Returns
    -------
    pairs : list of Pair
        a is the annealed one; not judged yet.
    passed_over : int
        How many steady ones, over all pairs, were looked at beside those that were taken.
    """
    shapes, methods = shapes_and_methods(run)
    steady = [s for s, shape in enumerate(shapes) if shape == STEADY]
    annealed = [s for s, shape in enumerate(shapes) if shape == ANNEALING]
    if not steady or not annealed:
        return [], 0
    seeds, made, pairs = dict(problem_groups(run)), made_for(run), []
    passed_over = 0
    for problem in shown:
        reached = _Reached(run, shown[problem].cells)
        for a in annealed[:MOST_LINES]:
            own = [s for s in steady if methods[s] == methods[a]] or steady
            at = [e for e in range(run["level"].size) if made[a, e] and reached(a, e)]
            at = [e for e in at if any(made[s, e] and reached(s, e) for s in own)]
            if at:
                e = run["level"].tolist().index(last(run.config.level_kind, run["level"][at].tolist()))
                own = [s for s in own if made[s, e] and reached(s, e)]
                pairs.append(_against_best((a, own), (problem, seeds[problem]), e, (run, parts)))
                passed_over += len(own) - 1
    return pairs, passed_over


class Compared(NamedTuple):
    """The pairs that the page of a run makes, not judged yet, and how many they were chosen among."""

    against: dict[tuple[tuple, str], Pair]  # {(problem, schedule): with the baseline}
    annealed: list[Pair]  # with the best steady one
    passed_over: int  # pairs that could have been in their place, of which p is taken to be 1

    @property
    def p(self) -> list[float]:
        """p of what they are told beside, for Holm's correction of a question's comparisons.

        Those are fixed by the grid, whatever the page finds: what it passes over counts for its own choices alone.
        """
        return [pair.p for pair in (*self.against.values(), *self.annealed)]


def compared(run: Run, base: int, shown: dict[tuple, Group], parts: ScheduleParts) -> Compared:
    """What the page of a run compares. Parameters as of `against_baseline`."""
    against = against_baseline(run, base, shown, parts) if run["schedule"].size > 1 else {}
    annealed, passed_over = annealed_against_best_steady(run, shown, parts)
    return Compared(against, annealed, passed_over + sum(len(g.names) - len(g.shown) for g in shown.values()))


class _Reached:
    """Whether a schedule, given by its place, reaches a level in some seeds of one problem."""

    def __init__(self, run, cells):
        self.names, self.levels, self.cells = [str(name) for name in run["schedule"]], run["level"].tolist(), cells

    def __call__(self, s, e):
        return self.cells[self.names[s], self.levels[e]].reached > 0


def _against_best(places, group, e, source):
    """The annealed schedule of some places against the best of its steady ones."""
    a, own = places
    run, parts = source
    side, sides = Side(run, a, parts=parts), {s: Side(run, s, parts=parts) for s in own}
    medians = {}
    for s, one in sides.items():
        known = one.values[group[1], e]
        known = known[~np.isnan(known)]
        with np.errstate(invalid="ignore"):
            medians[s] = float(np.median(known)) if known.size else math.inf
    best = sorted(own, key=lambda s: (math.isnan(medians[s]), medians[s]))  # stable
    pairs = (pair_at((side, sides[s]), group, (e, e)) for s in best)
    first = next(pairs)
    return (
        first
        if 2 * first.apart <= first.both_reached
        else next((pair for pair in pairs if 2 * pair.apart <= pair.both_reached), first)
    )


# ---- what the page of a question leads with ----


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
        behind = (
            f", {words_at('', dict(row.over), [*dict(row.over)], row.level)}" if row.over and len(beside) > 1 else ""
        )
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
