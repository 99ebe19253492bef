"""The whole analysis of a run against one baseline: every part is made when it is first asked for, and kept.

The CSV files hold all of its rows, the page the telling ones. docs/analysis.md defines them.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from . import answers, directions, families, on_page, pairs, summary
from . import optima as optimal_schedules
from .comparison import judged, outcome
from .directions import Direction, Spread
from .outcomes import Answer
from .pairs import Pair
from .schedule_parts import ScheduleParts
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

    rows = lines = pairs = best = optima = annealing = directions = spread = answer_rows = ()
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
        The place of the schedule that others are compared with, by default what `on_page.base_of` gives.
    """

    def __init__(self, run, base=None):
        self.run = run
        self._parts = ScheduleParts(run)
        question = answers.question_of(run)
        self._compared = answers.compare(run, question, self._parts) if "compare" in question else None
        self.lead = on_page.lead_of(run, self._compared) if self._compared else None
        self.base = on_page.base_of(run, self.lead) if base is None else base
        self._directions, self._spreads = {}, {}

    @cached_property
    def shown(self) -> dict[tuple, on_page.Group]:
        """What a page has room for, by problem combination."""
        return on_page.groups(self.rows)

    @cached_property
    def _unjudged(self):
        """What the page compares."""
        return on_page.compared(self.run, self.base, self.shown, self._parts)

    @cached_property
    def answer(self) -> Answer | None:
        """The `outcomes.Answer` to the question of the grid, or None."""
        return answers.answer(self.run, self._parts, self._unjudged.p, self._compared)

    @cached_property
    def _judged(self):
        """`_unjudged`, judged together with what the answer compares."""
        against, annealed, passed_over = self._unjudged
        beside = [row.p for row in self.answer_rows if hasattr(row, "p")] + [1.0] * passed_over
        found = judged([*against.values(), *annealed], self.margin, beside)
        return dict(zip(against, found[: len(against)], strict=True)), found[len(against) :]

    @property
    def margin(self) -> float:
        """Differences up to this share count as none."""
        return pairs.margin_of(self.run)

    @property
    def against(self) -> dict[tuple[tuple, str], Pair]:
        """The schedules of the page against the baseline: {(problem, schedule): `Pair`}."""
        return self._judged[0]

    @property
    def annealed(self) -> list[Pair]:
        """The annealed schedules of the page against the best steady one."""
        return self._judged[1]

    @property
    def answer_rows(self) -> Sequence[Any]:
        """What the answer is made of."""
        return self.answer.rows if self.answer else []

    @cached_property
    def rows(self) -> list[summary.Row]:
        """`summary.Row`s."""
        return summary.rows(self.run, self.base)

    @cached_property
    def lines(self) -> Sequence[summary.Row]:
        """The rows as tables have them: see `on_page.lines`."""
        return on_page.lines(self.run, self.rows)

    @cached_property
    def pairs(self) -> Any:
        """`pairs.Pair`s of all pairs of schedules; where they are too many, those with the baseline alone."""
        return self._told_alike(pairs.table_of_pairs(self.run, self.base, parts=self._parts)[0])

    def _told_alike(self, rows):
        """The rows of a file; those that the page tells say what it says.

        A row that the page has with its sides exchanged keeps its own direction.
        """
        told = {}
        for pair in (*self.against.values(), *self.annealed):
            told[pair.a, pair.b, pair.problem, pair.level] = told[pair.b, pair.a, pair.problem, pair.level] = pair
        found = []
        for row in rows:
            same = told.get((row.a, row.b, row.problem, row.level))
            p = same.p_holm if same else row.p_holm
            found.append(row if not same else replace(row, p_holm=p, outcome=outcome(row, p, self.margin)))
        return found

    @cached_property
    def best(self) -> Any:
        """`families.Choice`s."""
        return families.best_values(self.run, self._parts)

    @cached_property
    def optima(self) -> list[optimal_schedules.Distance]:
        """`optima.Distance`s, where the grid has optimal schedules."""
        return optimal_schedules.distances(self.run, self._parts)

    @cached_property
    def annealing(self) -> Any:
        """`pairs.Pair`s of annealed and steady schedules; none where they are too many, which `notes` say."""
        if self._many_schedules:
            return []
        return self._told_alike(families.annealing(self.run, self._parts))

    @property
    def _many_schedules(self):
        return self.run["schedule"].size > MOST_SCHEDULES

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is too much of to be here, a line each."""
        line = f"no annealing.csv beyond {MOST_SCHEDULES:,} schedules; simlr.families.annealing makes its rows"
        return (line,) if self._many_schedules else ()

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


def analysis_of(run: Any, base: int | None = None) -> Any:
    """The `StudyAnalysis` of a study's run, else the `Analysis`, against schedule `base`."""
    return StudyAnalysis(run) if run.is_study else Analysis(run, base)
