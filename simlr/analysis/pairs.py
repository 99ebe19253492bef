"""Two schedules seed by seed, for any two schedules of a run, by the rule of `comparison`.

    for row in pairs.compare(run, "annealed", "flow"):
        print(row.problem, row.level, row.outcome, row.ratio, row.ratio_low, row.ratio_high, row.p)

Pure functions of a `simlr.store.run.Run`. The median of ratios is taken of their logarithms, so that B against A is the
inverse of A against B.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import unknown
from ..store.file_format import STATUS_AT_FLOOR, STATUS_NOT_RUN, is_own
from ..store.run import Run
from ..text import meant
from .budgets import made_for
from .comparison import (
    MARGIN,
    TOLERANCE,
    Judged,
    apart,
    first_loss,
    judged,
    log_ratios,
    overshoots,
    takes_equal_loss,
    tally,
)
from .levels import is_loss
from .schedule_parts import ScheduleParts
from .statistics import EQUAL, median_of_known
from .summary import columns_of, problem_groups

__all__ = ["Pair", "Side", "compare", "index_of", "log_ratios", "median_gap", "pair_at", "table_of_pairs"]

# What is compared: the dataset, and whether less is better said of equal levels.
MEASURES = ("test_loss", "train_loss", "stop_step", "stop_time")
# (pair, level, seed) looked at in a table of all pairs; above that, only pairs with the baseline.
MOST_CELLS = 1 << 26
MOST_PAIRS = 5000


@dataclass(frozen=True, kw_only=True)
class Pair(Judged):
    """Schedule a against b at one level in one problem combination."""

    a: str
    b: str
    problem: tuple  # ((parameter, value), ...) where problem parameters are grid axes
    level: float  # of a
    level_b: float  # of b; the same but in a comparison of two levels
    train_gap: float  # median of larger / smaller train loss at the stops - 1; above the floor for excess levels
    equal_train_loss: bool  # whether some seeds count, and none is apart

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "a", "b")


def index_of(run: Run, schedule: str | int, key: str = "compare") -> int:
    """The place of a schedule in a run.

    Parameters
    ----------
    run
        Finished or not.
    schedule
        Its name, as it is or as reports write it, or its place.
    key
        What a message calls it.

    Returns
    -------
    int
        From 0.

    Raises
    ------
    InputError
        With the nearest name, where there is none of this name.
    """
    names = [str(name) for name in run["schedule"]]
    if isinstance(schedule, int | np.integer) and 0 <= schedule < len(names):
        return int(schedule)
    found = meant(str(schedule), names)
    if not found:
        raise unknown(key, schedule, names, "schedule")
    return names.index(found)


def compare(
    run: Run, a: str | int, b: str | int, *, tolerance: float = TOLERANCE, measure: str = "test_loss"
) -> list[Pair]:
    """Schedule a against schedule b in every problem combination at every level.

    Parameters
    ----------
    run
        Finished or not.
    a, b
        Names or places of schedules.
    tolerance
        How far the train losses at the stops may differ to be equal, as a share of the level's excess over the floor.
    measure
        One of `MEASURES`.

    Returns
    -------
    list of Pair
        By problem combination, then level. ratio = median_n measure_a,n / measure_b,n with the exact 95 % interval of
        `statistics.median_interval`; win_share = share of the pairs with measure_a < measure_b, with its Wilson
        interval; p = the exact sign test of wins against losses, p_holm the same corrected over these rows.

    Raises
    ------
    InputError
        For a schedule or a measure that is not there.
    """
    if measure not in MEASURES:
        raise unknown("compare", measure, MEASURES, "measure")
    sides = Side(run, index_of(run, a), measure), Side(run, index_of(run, b), measure)
    levels = range(run["level"].size)
    rows = [pair_at(sides, group, (e, e), tolerance) for group in problem_groups(run) for e in levels]
    return judged(rows, margin_of(run))


def margin_of(run: Run) -> float:
    """Which differences count as none: what the question of the grid says, else `comparison.MARGIN`."""
    return getattr(run.config, "question", {}).get("margin", MARGIN)


class Side:
    """One schedule of a run, its datasets (N, E) read once; of a `ScheduleParts` that is shared, by all sides.

    `values` are the measure, infinite where a seed did not reach the level, NaN where none can or nothing is known yet.
    """

    def __init__(self, run, index: int, measure: str = "test_loss", parts: ScheduleParts | None = None):
        kind, parts = run.config.level_kind, parts or ScheduleParts(run)
        self.name, self.levels = str(parts.fixed("schedule")[index]), parts.fixed("level")
        self.status = parts("status", index)
        self.reached = is_own(self.status, kind)
        values = parts(measure, index)
        known = np.where(self.reached & ~np.isnan(values), values, np.inf)
        self.values = np.where(np.isin(self.status, (STATUS_AT_FLOOR, STATUS_NOT_RUN)), np.nan, known)
        self.excess = parts.excess
        self.at_equal_loss = self.excess is not None and takes_equal_loss(measure)
        self.floor = parts.floor[:, None]
        self.train = parts("train_loss", index)
        self.shown_train = self.train - self.floor if kind == "excess_train_loss" else self.train

    def overshoots(self, seeds: NDArray[np.int64], level: int) -> bool:
        """Whether most of the seeds that reach a level, given by its place, stop below it."""
        if self.excess is None or not self.at_equal_loss:
            return False
        reached = seeds[self.reached[seeds, level]]
        below = overshoots(self.train[reached, level], self.floor[reached, 0], self.excess[reached, level])
        return bool(2 * below.sum() > reached.size)


class Starts:
    """The losses at the start of every seed of a run: test losses where they are recorded, else train losses.

    Parameters
    ----------
    run, parts
        The run, finished or not, and what was read of it.
    """

    def __init__(self, run: Run, parts: ScheduleParts):
        self._pairs, unknown = [], np.full(run["seed"].size, np.nan)
        if {"recorded_seed", "trajectory_test_loss"} <= set(run.names):
            test = unknown.copy()
            test[run.recorded_rows] = parts("trajectory_test_loss", 0)[:, 0]
            self._pairs.append(("values", test))
        # A level that is a train loss is met below the start, or there.
        can = {"curvature", "initial_residual"} <= set(run.names) or "initial_train_loss" in run.names
        if can and not is_loss(run.config.level_kind):
            self._pairs.append(("train", first_loss(run)))

    def ends_above(self, side: Side, seeds: NDArray[np.int64], level: int) -> bool:
        """Whether the median loss at the start is surpassed at a level, given by its place, and that is a number.

        It is looked at in those of the seeds of which both losses are known; without one it is False.
        """
        for name, start in self._pairs:
            losses = np.where(np.isnan(side.values[seeds, level]), np.nan, getattr(side, name)[seeds, level])
            known = ~np.isnan(losses) & ~np.isnan(start[seeds])
            if known.any():
                with np.errstate(invalid="ignore"):
                    end = np.median(losses[known])
                return bool(np.isfinite(end) and end > np.median(start[seeds][known]) * (1.0 + EQUAL))
        return False


def pair_at(sides: tuple[Side, Side], group: tuple, where: tuple[int, int], tolerance: float = TOLERANCE) -> Pair:
    """Two schedules over the seeds of one problem combination.

    Parameters
    ----------
    sides
        a and b.
    group
        (((parameter, value), ...), seeds), one of `problem_groups`.
    where
        The places of the two levels, one for each side.
    tolerance
        As of `compare`.

    Returns
    -------
    Pair
        Not judged yet.
    """
    problem, seeds = group
    a, b = (side.values[seeds, e] for side, e in zip(sides, where, strict=True))
    not_equal = None
    if sides[0].excess is not None and sides[0].at_equal_loss and where[0] == where[1]:
        first, second = (side.train[seeds, where[0]] for side in sides)
        not_equal = apart(first, second, sides[0].excess[seeds, where[0]], tolerance)
    found = tally(a, b, not_equal)
    both = np.isfinite(a) & np.isfinite(b)
    gap = median_gap(*(side.shown_train[seeds, e][both] for side, e in zip(sides, where, strict=True)))
    named: dict[str, Any] = {"a": sides[0].name, "b": sides[1].name, "problem": problem}
    named |= {"level": float(sides[0].levels[where[0]]), "level_b": float(sides[0].levels[where[1]])}
    equal = bool(both.any() and not found["apart"])
    return Pair(**named, **found, train_gap=gap, equal_train_loss=equal)


def median_gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The median of |a / b - 1| over the seeds, the smaller one below, so that both orders agree.

    Parameters
    ----------
    a, b : float64 (N,)
        Train losses of the same seeds.

    Returns
    -------
    float
        NaN where none is known of both.
    """
    with np.errstate(all="ignore"):
        gap = np.where(a == b, 0.0, np.maximum(a, b) / np.minimum(a, b) - 1.0)
    return float(median_of_known(gap))


def table_of_pairs(
    run: Run, base: int, tolerance: float = TOLERANCE, parts: ScheduleParts | None = None
) -> tuple[list[Pair], bool]:
    """All pairs of a run's schedules, a before b in the run's order; at a budget of steps, of those made for it.

    Parameters
    ----------
    run
        Finished or not.
    base
        The place of the baseline, with which alone the others are compared where all pairs are too many.
    tolerance
        As of `compare`.
    parts
        What was read of the run already; read anew where it is None.

    Returns
    -------
    rows : list of Pair
        By pair, then problem combination and level; judged together.
    everything : bool
        Whether all pairs are there.
    """
    count, levels = run["schedule"].size, run["level"].size
    many = count * (count - 1) // 2
    everything = many <= MOST_PAIRS and many * levels * run["seed"].size <= MOST_CELLS
    chosen = list(combinations(range(count), 2)) if everything else [(i, base) for i in range(count) if i != base]
    groups, sides_of, rows, parts = problem_groups(run), {}, [], parts or ScheduleParts(run)
    made = made_for(run)
    for i, j in chosen:
        at = np.flatnonzero(made[i] & made[j]).tolist()
        for index in (i, j):
            if index not in sides_of:
                sides_of[index] = Side(run, index, parts=parts)
        sides = sides_of[i], sides_of[j]
        rows += [pair_at(sides, group, (e, e), tolerance) for group in groups for e in at]
        # Held no longer than they are needed: all of them would be the whole file.
        if not everything:
            del sides_of[i]
    return judged(rows, margin_of(run)), everything
