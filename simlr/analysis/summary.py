"""From the arrays of a run to rows: quantiles, ratios at equal train loss, intervals and the claim's verdict.

Pure functions of a `simlr.store.run.Run`: no files, no compiled code. A row is one schedule at one level, for each
combination of problem parameters where they are axes.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..store.file_format import STATUS_AT_FLOOR, STATUS_DIVERGED, STATUS_NOT_RUN, STATUS_OUT_OF_STEPS, is_own
from ..store.run import Run
from .budgets import at_each_budget, made_for
from .comparison import apart, excess_of, first_loss, overshoots
from .levels import WORDS, is_loss
from .statistics import EQUAL, median_of_known, pieces_of_schedules, quantiles, wilson

BASELINE = "flow"
COUNTS = {
    "out_of_steps": STATUS_OUT_OF_STEPS,
    "diverged": STATUS_DIVERGED,
    "at_floor": STATUS_AT_FLOOR,
    "not_run": STATUS_NOT_RUN,
}


@dataclass(frozen=True)
class Row:
    """One schedule at one level. Losses, steps and times are over the seeds that reached it, NaN where none did.

    By budgets, a seed has reached it that took all its steps; by validation, every one that has not diverged.
    """

    schedule: str
    problem: tuple  # ((parameter, value), ...) where problem parameters are grid axes
    level_kind: str  # what the level is: see `stopping.level_kind`
    level: float
    seeds: int
    reached: int
    out_of_steps: int
    diverged: int
    at_floor: int  # the level is at or below the train floor
    not_run: int
    test_loss: float  # median, as are all without a quantile in their name
    test_loss_q05: float
    test_loss_q25: float
    test_loss_q75: float
    test_loss_q95: float
    test_loss_over_level: float
    train_loss: float
    train_loss_over_level: float  # below 1: a discrete step went past the level; above the floor for excess levels
    overshoots: int  # of the seeds that reached it, those that stop below it by over 1 % of its excess over the floor
    test_floor: float  # the smallest test loss there is, over all seeds
    stop_step: float
    stop_time: float
    baseline: str
    pairs: int  # seeds that count for both, by the rule of `comparison`
    apart: int  # seeds in which both reached the level, at train losses that differ: not counted
    both_reached: int  # seeds in which both reached it, apart or not
    ratio: float  # test loss of the baseline / of this schedule, in the same seed at the same level: median
    ratio_q25: float
    ratio_q75: float
    above_1: float  # share of the pairs whose ratio is above 1
    above_1_low: float  # its 95 % interval, see `statistics.wilson`
    above_1_high: float
    test_accuracy: float | None = None  # median share of test rows classified correctly; None where the run has none

    @property
    def compares(self) -> bool:
        """Whether the ratio says something: most seeds count in which both reached the level, and it is a number."""
        return self.both_reached > 0 and self.apart <= self.pairs and 0.0 < self.ratio < np.inf

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, as the CSV has it: each problem parameter is a column of its own."""
        found = columns_of(self, "schedule")
        return found if self.test_accuracy is not None else {k: v for k, v in found.items() if k != "test_accuracy"}


def columns_of(row: Any, *names: str) -> dict[str, Any]:
    """A row as {column: value}.

    Parameters
    ----------
    row
        A dataclass with a field `problem`, ((parameter, value), ...).
    *names
        The fields that it is named by, which come first.

    Returns
    -------
    dict
        Then each problem parameter in a column of its own, then the rest.
    """
    kind: Any = type(row)
    rest = {name: getattr(row, name) for name in _names_of(kind) if name != "problem"}
    return {name: rest.pop(name) for name in names} | {f"problem_{key}": value for key, value in row.problem} | rest


@cache
def _names_of(kind):
    """The names of the fields of a dataclass; a file has thousands of rows of one."""
    return tuple(field.name for field in fields(kind))


# ---- arrays to rows ----


def rows(run: Run, base: int | None = None) -> list[Row]:
    """What every schedule of a run came to at every level.

    Parameters
    ----------
    run
        Finished or not.
    base
        The place of the schedule that others are compared with, by default `baseline(run)`; at another budget of steps
        than it is made for, the schedule that is one with it there.

    Returns
    -------
    list of Row
        By problem combination, then schedule, then level, in the grid's order.
    """
    # The status is read first: what it calls final was written before it.
    status, levels, names = run["status"], run["level"], run["schedule"]
    bases, kind = at_each_budget(run, baseline(run) if base is None else base), run.config.level_kind
    all_rows = []
    for problem, seeds in problem_groups(run):
        columns = _columns(run, status[:, seeds], levels, bases, seeds)
        for s, name in enumerate(names):
            for e, level in enumerate(levels.tolist()):
                cell = {key: values[s][e] for key, values in columns.items()}
                cell |= {"problem": problem, "level_kind": kind, "level": level, "baseline": str(names[bases[e]])}
                all_rows.append(Row(schedule=str(name), **cell))
    return all_rows


def baseline(run: Run) -> int:
    """Index of the schedule that others are compared with: named "flow", else the first pure flow, else the first."""
    return next(iter(flows(run)), 0)


def flows(run: Run) -> list[int]:
    """Places of the schedules that are natural baselines: the one named "flow", else all pure flows."""
    names = [str(name) for name in run["schedule"]]
    if BASELINE in names:
        return [names.index(BASELINE)]
    for key in ("schedule_kind", "schedule_phase1_kind"):
        kinds = list(run[key]) if key in run.names else []
        if "flow" in kinds:
            return [s for s, kind in enumerate(kinds) if kind == "flow"]
    return []


def is_exact(run: Run) -> bool:
    """Whether each problem combination of a run is one seed of exact means over the noise."""
    return "expectation" in run.attributes and run["seed"].size == len(problem_groups(run))


# The groups of every run that is still in use; a run's parameters are known before its first block is computed.
_groups_of_runs: WeakKeyDictionary = WeakKeyDictionary()


def problem_groups(run: Run) -> list[tuple[tuple, NDArray[np.int64]]]:
    """The combinations of problem parameters that are axes, in the order in which they first occur.

    Parameters
    ----------
    run
        Whose groups are made once, when they are first asked for.

    Returns
    -------
    list of (tuple, int64 (N,))
        (((parameter, value), ...), the places of its seeds), the latter read-only; one group without parameters where
        none is an axis.
    """
    if run in _groups_of_runs:
        return _groups_of_runs[run]
    keys = [name for name in run.names if name.startswith("problem_") and run.dims(name) == ("seed",)]
    labels, columns = [key.removeprefix("problem_") for key in keys], [run[key] for key in keys]
    combination = np.zeros(run["seed"].size, np.int64)
    for column in columns:
        values, places = np.unique(column, return_inverse=True)
        # Numbered anew after every parameter, so that no product of their counts can overflow.
        combination = np.unique(combination * values.size + places, return_inverse=True)[1]
    _, firsts = np.unique(combination, return_index=True)
    groups = []
    for first in np.sort(firsts) if keys else [0]:
        parameters = [column[first : first + 1].tolist()[0] for column in columns]
        seeds = np.flatnonzero(combination == combination[first]) if keys else np.arange(combination.size)
        seeds.setflags(write=False)
        groups.append((tuple(zip(labels, parameters, strict=True)), seeds))
    _groups_of_runs[run] = groups
    return groups


def _columns(run, status, levels, bases, seeds):
    """{field of Row: list (S, E)} of one group of seeds; each large dataset is held only while it is needed."""
    kind = run.config.level_kind
    reached = is_own(status, kind)
    columns = {"reached": reached.sum(axis=1)}
    columns |= {name: (status == code).sum(axis=1) for name, code in COUNTS.items()}
    columns["seeds"] = np.full(columns["reached"].shape, seeds.size)
    test, train = _of_seeds(run, "test_loss", seeds), _of_seeds(run, "train_loss", seeds)
    excess = excess_of(run)
    excess = excess if excess is None else excess[seeds]
    below = excess is not None and reached & overshoots(train, run["train_floor"][seeds][:, None], excess)
    columns["overshoots"] = below.sum(axis=1) if excess is not None else np.zeros(reached.shape[::2], int)
    columns |= _test_columns(test, reached, levels if is_loss(kind) else np.nan * levels)
    known = ~np.isin(status, (STATUS_AT_FLOOR, STATUS_NOT_RUN))
    test = np.where(reached & ~np.isnan(test), test, np.inf)
    columns |= _ratio_columns(test, known, (train, excess), bases, made_for(run))
    del test
    columns["train_loss"] = quantiles(train, reached, [0.5])[0]
    if kind == "excess_train_loss":
        train = train - run["train_floor"][seeds][:, None]
    if kind == "train_loss_fraction":
        train = train / first_loss(run)[seeds][:, None]
    known = levels if WORDS[kind].falls else np.nan * levels
    columns["train_loss_over_level"] = _over(quantiles(train, reached, [0.5])[0], known)
    del train
    for name in ("stop_step", "stop_time"):
        columns[name] = quantiles(_of_seeds(run, name, seeds), reached, [0.5])[0]
    if "test_accuracy" in run.names:
        columns["test_accuracy"] = quantiles(_of_seeds(run, "test_accuracy", seeds), reached, [0.5])[0]
    columns["test_floor"] = np.full(reached.shape[::2], median_of_known(run["test_floor"][seeds]))
    return {name: values.tolist() for name, values in columns.items()}


def _of_seeds(run, name, seeds):
    """One dataset (S, N, E) of the seeds of a group, which lie together; no others are read."""
    together = seeds.size and seeds[-1] - seeds[0] + 1 == seeds.size
    return run.part(name, slice(None), slice(int(seeds[0]), int(seeds[-1]) + 1)) if together else run[name][:, seeds]


def _test_columns(test, reached, levels):
    """Quantiles of the test loss (S, N, E)."""
    low, first, median, third, high = quantiles(test, reached, [0.05, 0.25, 0.5, 0.75, 0.95])
    columns = {"test_loss": median, "test_loss_q05": low, "test_loss_q25": first, "test_loss_q75": third}
    return columns | {"test_loss_q95": high, "test_loss_over_level": _over(median, levels)}


def _ratio_columns(values, known, train, bases, made):
    """Ratios of the baseline's test loss to that of each schedule, seed by seed, by the rule of `comparison`.

    `values` (S, N, E) are infinite where a level was not reached; `known` is where it can be; `train` is the pair of
    the train losses at the stops and the excess of the levels (N, E), or None; `bases` are the places of the baseline
    at each level.
    """
    ratios = []
    loss, excess = train
    at = bases, slice(None), range(len(bases))
    base, base_known, base_loss = values[at].T, known[at].T, loss[at].T
    for piece in pieces_of_schedules(values.shape):
        both = known[piece] & base_known & (made[piece] & made[bases, range(len(bases))])[:, None]
        met = both & np.isfinite(values[piece]) & np.isfinite(base)
        aside = met & apart(loss[piece], base_loss, excess) if excess is not None else np.zeros(met.shape, bool)
        counted = both & ~aside
        with np.errstate(all="ignore"):
            # As `comparison.log_ratios`: each logarithm by itself, and what is equal is a tie.
            logs = np.log(base) - np.log(values[piece])
        logs[both & (values[piece] == base)] = 0.0
        pairs, above = counted.sum(axis=1), (counted & (logs > EQUAL)).sum(axis=1)
        with np.errstate(over="ignore"):
            found = np.exp(quantiles(logs, counted, [0.25, 0.5, 0.75]))
        neither = (counted & ~np.isfinite(values[piece]) & ~np.isfinite(base)).sum(axis=1)
        found[:, 2 * neither > pairs] = np.nan  # a tie of failures has no ratio
        ratios.append((pairs, aside.sum(axis=1), met.sum(axis=1), *wilson(above, pairs), *found))
    names = (
        "pairs",
        "apart",
        "both_reached",
        "above_1",
        "above_1_low",
        "above_1_high",
        "ratio_q25",
        "ratio",
        "ratio_q75",
    )
    return {n: np.concatenate(parts) for n, parts in zip(names, zip(*ratios, strict=True), strict=True)}


def _over(values, levels):
    """values (S, E) / levels (E,); NaN at a level of 0."""
    return values / np.where(levels > 0.0, levels, np.nan)
