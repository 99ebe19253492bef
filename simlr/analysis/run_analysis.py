"""The whole analysis of a run against one baseline: every part is made when it is first asked for, and kept.

The CSV files hold all of its rows, the page the telling ones. docs/analysis.md defines them.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from . import answers, directions, families, pairs, summary
from .directions import Direction, Spread
from .outcomes import Answer
from .pairs import Pair
from .schedule_parts import ScheduleParts
from .summary import baseline
from .verdict import verdict_of

# Every annealed schedule meets every steady one: of more schedules than these that is too many rows.
MOST_SCHEDULES = 500


class _WithVerdict:
    """What every run may have: the verdict of its paper."""

    @cached_property
    def verdict(self):
        """The `papers.Verdict` of the run; None where it has none."""
        return verdict_of(self.run)

    @property
    def findings(self):
        """The `papers.Finding`s of the verdict."""
        return list(self.verdict.findings) if self.verdict else []


class StudyAnalysis(_WithVerdict):
    """The analysis of a study's run: its verdict alone."""

    rows = pairs = best = annealing = directions = spread = answer_rows = ()
    answer = None
    notes = ()

    def __init__(self, run):
        self.run = run


class Analysis(_WithVerdict):
    """The analysis of a grid's run.

    Parameters
    ----------
    run : simlr.store.run.Run
        Finished or not.
    base : int or None
        The place of the schedule that others are compared with, by default `summary.baseline(run)`.
    """

    def __init__(self, run, base=None):
        self.run = run
        self.base = baseline(run) if base is None else base
        self._parts = ScheduleParts(run)
        self._directions, self._spreads = {}, {}

    @cached_property
    def answer(self) -> Answer | None:
        """The `outcomes.Answer` to the question of the grid, or None."""
        return answers.answer(self.run, self._parts)

    @property
    def answer_rows(self) -> Sequence[Any]:
        """What the answer is made of."""
        return self.answer.rows if self.answer else []

    @cached_property
    def rows(self) -> list[summary.Row]:
        """`summary.Row`s."""
        return summary.rows(self.run, self.base)

    @cached_property
    def pairs(self) -> Any:
        """`pairs.Pair`s of all pairs of schedules; where they are too many, those with the baseline alone."""
        return pairs.table_of_pairs(self.run, self.base, parts=self._parts)[0]

    @cached_property
    def best(self) -> Any:
        """`families.Choice`s."""
        return families.best_values(self.run, self._parts)

    @cached_property
    def annealing(self) -> Any:
        """`pairs.Pair`s of annealed and steady schedules; none where they are too many, which `notes` say."""
        return [] if self._many_schedules else families.annealing(self.run, self._parts)

    @property
    def _many_schedules(self):
        return self.run["schedule"].size > MOST_SCHEDULES

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is too much of to be here, a line each."""
        line = f"no annealing.csv beyond {MOST_SCHEDULES:,} schedules; simlr.families.annealing makes its rows"
        return (line,) if self._many_schedules else ()

    def against_baseline(self, name: str, problem: tuple, level: float) -> Pair:
        """A schedule against the baseline. Of what is asked alone: there are too many pairs to make all for a page.

        Parameters
        ----------
        name
            Of the schedule.
        problem
            The problem combination, ((parameter, value), ...).
        level
            At which they are compared.
        """
        seeds, place = dict(summary.problem_groups(self.run))[problem], self.run["level"].tolist().index(level)
        a, b = (pairs.Side(self.run, s, parts=self._parts) for s in (pairs.index_of(self.run, name), self.base))
        return pairs.pair_at((a, b), (problem, seeds), (place, place))

    def directions_of(self, places: Sequence[int]) -> list[Direction]:
        """The `Direction`s of some schedules, given by their places."""
        return self._of_schedules(self._directions, directions.directions, places)

    def spread_of(self, places: Sequence[int]) -> list[Spread]:
        """The `Spread`s of some schedules, given by their places."""
        return self._of_schedules(self._spreads, directions.bias_and_variance, places)

    def _of_schedules(self, kept, make, places):
        """Rows of some schedules, made once each: `kept` has {name: rows} of those that were asked for before."""
        names = [str(name) for name in self.run["schedule"]]
        missing = [s for s in places if names[s] not in kept]
        kept |= {names[s]: [] for s in missing}
        for row in make(self.run, missing) if missing else ():
            kept[row.schedule].append(row)
        return [row for s in places for row in kept[names[s]]]

    @cached_property
    def directions(self) -> Any:
        """`directions.Direction`s."""
        return self.directions_of(range(self.run["schedule"].size))

    @cached_property
    def spread(self) -> Any:
        """`directions.Spread`s."""
        rows = self.spread_of(range(self.run["schedule"].size))
        # By problem combination first.
        groups = [problem for problem, _ in summary.problem_groups(self.run)]
        return sorted(rows, key=lambda row: groups.index(row.problem))
