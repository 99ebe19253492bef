"""The whole analysis of a run against one baseline: every part is made when it is first asked for, and kept.

The CSV files hold all of its rows, the page the telling ones. docs/analysis.md defines them.
"""

from functools import cached_property

from ..cli.arguments import say
from . import answers, directions, families, pairs, summary
from .summary import baseline
from .verdict import verdict_of

# Every annealed schedule meets every steady one: of more schedules than these that is too many rows.
MOST_SCHEDULES = 500


class _Judged:
    """What every run may have: the verdict of its paper."""

    @cached_property
    def verdict(self):
        """The `papers.Verdict` of the run; None where it has none."""
        return verdict_of(self.run)

    @property
    def findings(self):
        """The `papers.Finding`s of the verdict."""
        return list(self.verdict.findings) if self.verdict else []


class StudyAnalysis(_Judged):
    """The analysis of a study's run: its verdict alone."""

    rows = pairs = best = annealing = directions = spread = answer_rows = ()
    answer = None

    def __init__(self, run):
        self.run = run


class Analysis(_Judged):
    """The rows of a run; `base` is the place of the schedule that others are compared with."""

    def __init__(self, run, base=None):
        self.run = run
        self.base = baseline(run) if base is None else base

    @cached_property
    def answer(self):
        """The `outcomes.Answer` to the question of the grid, or None."""
        return answers.answer(self.run)

    @property
    def answer_rows(self):
        """What the answer is made of."""
        return self.answer.rows if self.answer else []

    @cached_property
    def rows(self):
        """`summary.Row`s."""
        return summary.rows(self.run, self.base)

    @cached_property
    def pairs(self):
        """`pairs.Pair`s of all pairs of schedules; where they are too many, those with the baseline alone."""
        return pairs.table_of_pairs(self.run, self.base)[0]

    @cached_property
    def best(self):
        """`families.Choice`s."""
        return families.best_values(self.run)

    @cached_property
    def annealing(self):
        """`pairs.Pair`s of annealed and steady schedules; none, and a line that says so, where they are too many."""
        if self.run["schedule"].size > MOST_SCHEDULES:
            say(f"simlr: no annealing.csv beyond {MOST_SCHEDULES:,} schedules; simlr.families.annealing makes its rows")
            return []
        return families.annealing(self.run)

    @cached_property
    def directions(self):
        """`directions.Direction`s."""
        return directions.directions(self.run)

    @cached_property
    def spread(self):
        """`directions.Spread`s."""
        return directions.bias_and_variance(self.run)
