"""Two schedules at equal train loss: test losses paired over seeds, for any two schedules of a run.

    for row in pairs.compare(run, "annealed", "flow"):
        print(row.problem, row.level, row.ratio, row.ratio_low, row.ratio_high, row.p)

Pure functions of a `simlr.store.run.Run`. A pair counts only the seeds in which both schedules reached the level. The
median of ratios is taken of their logarithms, so that B against A is the inverse of A against B.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import unknown
from ..store.file_format import is_own
from ..store.run import Run
from .schedule_parts import ScheduleParts
from .statistics import EQUAL, median_interval, sign_test, wilson
from .summary import columns_of, problem_groups

# Train losses at the stops that differ by more than this share, in the median: not at equal train loss.
TOLERANCE = 0.05
# What is compared: the dataset, and whether less is better said of equal levels.
MEASURES = ("test_loss", "train_loss", "stop_step", "stop_time")
# (pair, level, seed) looked at in a table of all pairs; above that, only pairs with the baseline.
MOST_CELLS = 1 << 26
MOST_PAIRS = 5000


@dataclass(frozen=True)
class Pair:
    """Schedule a against b at one level in one problem combination, over the seeds in which both reached it."""

    a: str
    b: str
    problem: tuple  # ((parameter, value), ...) where problem parameters are grid axes
    level: float  # of a
    level_b: float  # of b; the same but in a comparison of two levels
    seeds: int
    pairs: int  # seeds in which both reached the level
    ratio: float  # measure of a / of b, in the same seed: median; below 1 where a is better
    ratio_low: float  # its 95 % bootstrap interval, seeds resampled
    ratio_high: float
    wins: int  # seeds in which a has the smaller one, by more than rounding
    losses: int
    ties: int
    win_share: float  # wins / pairs
    win_share_low: float  # its 95 % Wilson interval
    win_share_high: float
    p: float  # two-sided sign test of wins against losses
    train_gap: float  # median of larger / smaller train loss at the stops - 1; above the floor for excess levels
    equal_train_loss: bool  # whether that is at most the tolerance; False without pairs

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
        Its name, or its place.
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
    if schedule not in names:
        raise unknown(key, schedule, names, "schedule")
    return names.index(schedule)


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
        How far the train losses at the stops may differ (median of the larger over the smaller one, less 1) to count as
        equal.
    measure
        One of `MEASURES`.

    Returns
    -------
    list of Pair
        By problem combination, then level. ratio = median_n measure_a,n / measure_b,n with the 95 % percentile
        bootstrap interval of `statistics.median_interval`; win_share = share of the pairs with measure_a < measure_b,
        with its Wilson interval; p = the exact sign test of wins against losses.

    Raises
    ------
    InputError
        For a schedule or a measure that is not there.
    """
    if measure not in MEASURES:
        raise unknown("compare", measure, MEASURES, "measure")
    sides = Side(run, index_of(run, a), measure), Side(run, index_of(run, b), measure)
    return [pair_at(sides, group, (e, e), tolerance) for group in problem_groups(run) for e in range(run["level"].size)]


class Side:
    """One schedule of a run, its datasets (N, E) read once; of a `ScheduleParts` that is shared, by all sides."""

    def __init__(self, run, index: int, measure: str = "test_loss", parts: ScheduleParts | None = None):
        kind, parts = run.config.level_kind, parts or ScheduleParts(run)
        self.name, self.levels = str(parts.fixed("schedule")[index]), parts.fixed("level")
        self.status = parts("status", index)
        self.reached = is_own(self.status, kind)
        self.values = parts(measure, index)
        train = parts("train_loss", index)
        self.train = train - run["train_floor"][:, None] if kind == "excess_train_loss" else train


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
        Of the seeds in which both reached their level.
    """
    problem, seeds = group
    both = np.logical_and(*(side.reached[seeds, e] for side, e in zip(sides, where, strict=True)))
    a, b = (side.values[seeds, e][both] for side, e in zip(sides, where, strict=True))
    logs = log_ratios(a, b)
    wins, losses = int((logs < -EQUAL).sum()), int((logs > EQUAL).sum())
    share, low, high = map(float, wilson(np.array(wins), np.array(logs.size)))
    with np.errstate(over="ignore"):
        ratio, ratio_low, ratio_high = (float(np.exp(value)) for value in median_interval(np.sort(logs)))
    gap = median_gap(*(side.train[seeds, e][both] for side, e in zip(sides, where, strict=True)))
    pair: dict[str, Any] = {"a": sides[0].name, "b": sides[1].name, "problem": problem, "seeds": int(np.size(seeds))}
    pair |= {"level": float(sides[0].levels[where[0]]), "level_b": float(sides[0].levels[where[1]])}
    pair |= {"pairs": logs.size, "ratio": ratio, "ratio_low": ratio_low, "ratio_high": ratio_high}
    pair |= {"wins": wins, "losses": losses, "ties": logs.size - wins - losses, "p": sign_test(wins, losses)}
    pair |= {"win_share": share, "win_share_low": low, "win_share_high": high}
    return Pair(**pair, train_gap=gap, equal_train_loss=bool(gap <= tolerance))


def log_ratios(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(a / b) of losses, seed by seed.

    Parameters
    ----------
    a, b : (N,)
        Of the same seeds; 0 and infinity may be among them, NaN is not known.

    Returns
    -------
    float64 (N',)
        0 for equal ones, two zeros among them; what is not known of both is left out.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    with np.errstate(all="ignore"):
        # Each logarithm by itself, so that the two orders differ in sign alone.
        logs = np.where(a == b, 0.0, np.log(a) - np.log(b))
    return logs[~np.isnan(logs)]


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
    gap = gap[~np.isnan(gap)]
    return float(np.median(gap)) if gap.size else float("nan")


def table_of_pairs(
    run: Run, base: int, tolerance: float = TOLERANCE, parts: ScheduleParts | None = None
) -> tuple[list[Pair], bool]:
    """All pairs of a run's schedules, a before b in the run's order.

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
        By pair, then problem combination and level.
    everything : bool
        Whether all pairs are there.
    """
    count, levels = run["schedule"].size, run["level"].size
    many = count * (count - 1) // 2
    everything = many <= MOST_PAIRS and many * levels * run["seed"].size <= MOST_CELLS
    chosen = list(combinations(range(count), 2)) if everything else [(i, base) for i in range(count) if i != base]
    groups, sides_of, rows, parts = problem_groups(run), {}, [], parts or ScheduleParts(run)
    for i, j in chosen:
        for index in (i, j):
            if index not in sides_of:
                sides_of[index] = Side(run, index, parts=parts)
        sides = sides_of[i], sides_of[j]
        rows += [pair_at(sides, group, (e, e), tolerance) for group in groups for e in range(levels)]
        # Held no longer than they are needed: all of them would be the whole file.
        if not everything:
            del sides_of[i]
    return rows, everything
