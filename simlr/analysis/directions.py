"""Where the error is left: over directions of curvature, and over seeds as bias and variance.

Needs the residuals at the stops, `[record] stop_residual = true`. With r the residual, delta the test minimiser's and M
the test matrix, all in the axes of the train Hessian, of curvature lam:

    train loss - floor = 1/2 sum_i lam_i r_i^2                 part of direction i: 1/2 lam_i r_i^2
    test loss - floor  = (r + delta)^T M (r + delta)           part of direction i: (r + delta)_i [M (r + delta)]_i

The parts add up to the whole; those of the test loss can be negative where M is not diagonal. Pure functions of a
`simlr.store.run.Run`, which look at a piece of the seeds at a time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..store.file_format import is_own
from ..store.run import Run
from .statistics import CELLS_AT_ONCE, jackknife
from .summary import columns_of, problem_groups

NEEDED = "stop_residual"
# Seeds share a test distribution where their covariances agree to this share of the largest entry.
SAME = 1e-9
FEWEST_SEEDS = 3
NO_RESIDUALS = (
    "The picture of which directions keep the error needs the residuals at the stops: [record] stop_residual = true"
)
NO_TARGET = "the best parameters of the test distribution are not known, or differ from seed to seed"
OTHER_TEST = "the test distributions of the seeds differ"


@dataclass(frozen=True)
class Direction:
    """The share of the errors that one schedule leaves in the direction of one rank of curvature, mean over seeds."""

    schedule: str
    problem: tuple
    level: float
    rank: int  # 1 for the steepest direction of each seed
    seeds: int  # that reached the level, have such a direction, and an error to share out
    curvature: float  # mean
    train_share: float  # mean over seeds of 1/2 lam_i r_i^2 / (train loss - floor)
    train_share_error: float  # standard error of the mean
    test_share: float  # mean over seeds of (r + delta)_i [M (r + delta)]_i / (test loss - floor)
    test_share_error: float

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "schedule")


@dataclass(frozen=True)
class Spread:
    """Bias and variance over seeds of one schedule at one level: their sum is the mean test loss above the floor."""

    schedule: str
    problem: tuple
    level: float
    seeds: int  # that reached the level
    bias_squared: float  # unbiased: that of the mean iterate, less variance / seeds
    bias_squared_error: float  # jackknife
    variance: float
    variance_error: float
    test_loss_above_floor: float  # mean
    note: str  # why there are no numbers, or ""

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "schedule")


def recorded(run: Run) -> bool:
    """Whether a run has what is needed here."""
    return {NEEDED, "offset", "test_matrix", "curvature_axes"} <= set(run.names)


# ---- directions ----


def directions(run: Run, schedules: Sequence[int] | None = None) -> list[Direction]:
    """The share of the errors in every direction of curvature; the formulas are at the head of this module.

    Parameters
    ----------
    run
        Finished or not.
    schedules
        Places of the schedules that are wanted; None for all.

    Returns
    -------
    list of Direction
        By schedule, then problem combination, level and rank; ranks that no seed has are left out. Empty where the run
        has no residuals at the stops.
    """
    if not recorded(run):
        return []
    names, groups = [str(name) for name in run["schedule"]], problem_groups(run)
    rows = []
    for s in range(len(names)) if schedules is None else schedules:
        for problem, seeds in groups:
            totals = _totals(run, s, seeds)
            for e, level in enumerate(run["level"].tolist()):
                cell = {"schedule": names[s], "problem": problem, "level": level}
                rows += [Direction(**cell, rank=i + 1, **means) for i, means in enumerate(_means(totals[:, e]))]
    return rows


def _totals(run, s, seeds):
    """Sums over seeds (7, E, d) by rank: count, curvature, train share and its square, test share and its square.

    The seventh is the count of test shares.
    """
    levels, dimension = run["level"].size, run["axis"].size
    totals = np.zeros((7, levels, dimension))
    for piece in _seed_pieces(seeds, levels * dimension + 2 * dimension * dimension):
        lam, train, test = _shares(run, s, piece)
        known = np.isfinite(train) & np.isfinite(lam)[:, None, :]
        tested = known & np.isfinite(test)
        lam = np.broadcast_to(lam[:, None, :], known.shape)
        for i, values in enumerate((1.0, lam, train, train**2)):
            totals[i] += np.where(known, values, 0.0).sum(axis=0)
        for i, values in enumerate((test, test**2, 1.0)):
            totals[4 + i] += np.where(tested, values, 0.0).sum(axis=0)
    return totals


def _shares(run, s, piece):
    """Curvature (N, d), shares of train and of test loss (N, E, d) of some seeds, steepest direction first."""
    r = _at_stops(run, s, piece)
    lam, delta = run.part("curvature", piece), run.part("offset", piece)
    matrix = np.nan_to_num(run.part("test_matrix", piece))
    with np.errstate(all="ignore"):
        train = 0.5 * lam[:, None, :] * r**2
        shifted = np.where(np.isnan(lam)[:, None, :], 0.0, r + delta[:, None, :])
        test = shifted * np.einsum("nij,nej->nei", matrix, shifted)
        train = train / np.nansum(train, axis=2, keepdims=True)
        test = test / test.sum(axis=2, keepdims=True)
    order = np.argsort(-np.where(np.isnan(lam), -np.inf, lam), axis=1, kind="stable")
    train, test = (np.take_along_axis(values, order[:, None, :], axis=2) for values in (train, test))
    return np.take_along_axis(lam, order, axis=1), train, test


def _at_stops(run, s, piece):
    """Residuals (N, E, d) of one schedule, NaN where a level was not reached."""
    reached = is_own(run.part("status", s, piece), run.config.level_kind)
    return np.where(reached[:, :, None], run.part(NEEDED, s, piece), np.nan)


def _seed_pieces(seeds, values_a_seed):
    """Slices of the seeds of a group, which lie together, that take little memory at a time."""
    size = max(1, CELLS_AT_ONCE // max(1, values_a_seed))
    first, last = (int(seeds[0]), int(seeds[-1]) + 1) if np.size(seeds) else (0, 0)
    return [slice(begin, min(begin + size, last)) for begin in range(first, last, size)]


def _means(totals):
    """The fields of `Direction` for each rank, from sums (7, d)."""
    means = []
    for count, lam, train, train2, test, test2, tested in totals.T.tolist():
        if not count:
            continue
        shares = [*_mean_and_error(count, train, train2), *_mean_and_error(tested, test, test2)]
        names = ("train_share", "train_share_error", "test_share", "test_share_error")
        means.append({"seeds": int(count), "curvature": lam / count, **dict(zip(names, shares, strict=True))})
    return means


def _mean_and_error(count, total, squares):
    """The mean of `count` values, and its standard error, from their sum and that of their squares."""
    if not count:
        return math.nan, math.nan
    mean = total / count
    if count < 2:
        return mean, math.nan
    return mean, math.sqrt(max(0.0, squares / count - mean**2) / (count - 1))


# ---- bias and variance ----


def bias_and_variance(run: Run, schedules: Sequence[int] | None = None) -> list[Spread]:
    """Bias and variance over seeds of every schedule at every level in every problem.

    With v_n = theta_n - theta_star = Q_n (r_n + delta_n), their mean v and Sigma = Q M Q^T, common to the seeds:

        variance = sum_n (v_n - v)^T Sigma (v_n - v) / (N - 1),  bias^2 = v^T Sigma v - variance / N,

    both unbiased; their sum is the mean test loss above its floor. Standard errors are the jackknife's. Only seeds that
    reached the level count.

    Parameters
    ----------
    run
        Finished or not.
    schedules
        Places of the schedules that are wanted; None for all.

    Returns
    -------
    list of Spread
        By problem combination, then schedule and level. Where the target or Sigma is not common to the seeds the
        numbers are NaN, and the note says why. Empty where the run has no residuals at the stops.
    """
    if not recorded(run):
        return []
    names = [str(name) for name in run["schedule"]]
    rows = []
    for problem, seeds in problem_groups(run):
        sigma, note = common_covariance(run, seeds)
        for s in range(len(names)) if schedules is None else schedules:
            cells = _spreads(run, s, seeds, sigma) if not note else [_nothing(note)] * run["level"].size
            for level, cell in zip(run["level"].tolist(), cells, strict=True):
                rows.append(Spread(schedule=names[s], problem=problem, level=level, **cell))
    return rows


def common_covariance(run: Run, seeds: NDArray[np.int64]) -> tuple[NDArray[np.float64] | None, str]:
    """The covariance Sigma = Q M Q^T of the test distribution that some seeds share.

    Parameters
    ----------
    run
        Finished or not.
    seeds : int64 (N,)
        Places of the seeds of one problem combination, which lie together.

    Returns
    -------
    sigma : float64 (d, d) or None
        None where they share none, or their target differs.
    reason : str
        Why there is none; "" where there is one.
    """
    if not np.size(seeds):
        return None, "no seeds"
    sigma: Any = None
    target: Any = None
    for piece in _seed_pieces(seeds, 4 * run["axis"].size ** 2):
        q: Any = run.part("curvature_axes", piece)
        targets: Any = run.part("target", piece)
        done: Any = ~np.isnan(run.part("train_floor", piece))
        if not done.any():
            continue
        if not np.isfinite(targets[done]).all() or np.isnan(q[done]).any():
            return None, NO_TARGET
        covariance = np.einsum(
            "nij,njk,nlk->nil", q[done], np.asarray(run.part("test_matrix", piece))[done], q[done], optimize=True
        )
        sigma, target = (covariance[0], targets[done][0]) if sigma is None else (sigma, target)
        if (abs(targets[done] - target) > SAME * np.max(abs(target), initial=1.0)).any():
            return None, NO_TARGET
        if not (abs(covariance - sigma) <= SAME * abs(sigma).max()).all():
            return None, OTHER_TEST
    return (sigma, "") if sigma is not None else (None, "no seeds")


def _nothing(note):
    """The numbers of a `Spread` where there are none."""
    names = ("bias_squared", "bias_squared_error", "variance", "variance_error", "test_loss_above_floor")
    return {"seeds": 0, **dict.fromkeys(names, math.nan), "note": note}


def _spreads(run, s, seeds, sigma):
    """The numbers of the `Spread`s of one schedule in one problem, a level each."""
    levels, dimension = run["level"].size, run["axis"].size
    pieces = _seed_pieces(seeds, 2 * levels * dimension + dimension * dimension)
    count, total = np.zeros(levels), np.zeros((levels, dimension))
    for piece in pieces:
        v = _errors(run, s, piece)
        known = np.isfinite(v).all(axis=2)
        count += known.sum(axis=0)
        total += np.where(known[:, :, None], v, 0.0).sum(axis=0)
    mean = total / np.maximum(count, 1.0)[:, None]
    pulled = mean @ sigma
    quadratic, linear = [], []
    for piece in pieces:
        away = _errors(run, s, piece) - mean
        quadratic.append(np.einsum("nei,ij,nej->ne", away, sigma, away, optimize=True))
        linear.append(np.einsum("nei,ei->ne", away, pulled))
    quadratic, linear = np.concatenate(quadratic), np.concatenate(linear)
    return [
        _spread_of(quadratic[:, e], linear[:, e], float(mean[e] @ pulled[e]), _nothing("too few seeds"))
        for e in range(levels)
    ]


def _errors(run, s, piece):
    """theta - theta_star (N, E, d) at the stops of one schedule, NaN where a level was not reached."""
    v = _at_stops(run, s, piece) + run.part("offset", piece)[:, None, :]
    return np.einsum("nij,nej->nei", run.part("curvature_axes", piece), v)


def _spread_of(quadratic, linear, mean_loss, nothing):
    """Bias and variance from q_n = (v_n - v)^T Sigma (v_n - v), l_n = (v_n - v)^T Sigma v and v^T Sigma v.

    Without seed n the mean is v - (v_n - v) / (N - 1), whence the jackknife's estimates in closed form.
    """
    known = np.isfinite(quadratic)
    q, along = quadratic[known], linear[known]
    n = q.size
    if n < FEWEST_SEEDS:
        return {**nothing, "seeds": n}
    variance = q.sum() / (n - 1)
    without = (q.sum() - q * n / (n - 1)) / (n - 2)
    bias_without = mean_loss - 2.0 * along / (n - 1) + q / (n - 1) ** 2 - without / (n - 1)
    numbers = {"seeds": n, "bias_squared": mean_loss - variance / n, "bias_squared_error": jackknife(bias_without)}
    numbers |= {"variance": variance, "variance_error": jackknife(without)}
    numbers |= {"test_loss_above_floor": mean_loss + variance * (n - 1) / n}
    return {key: value if key == "seeds" else float(value) for key, value in numbers.items()} | {"note": ""}
