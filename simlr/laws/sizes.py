"""How the tuned loss of a grid falls with steps, rows and work, and which size is best for how much work."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..analysis.budgets import STEPS, made_for
from ..analysis.families import edge_of
from ..analysis.summary import problem_groups
from ..claims.evidence import slope, student_tail
from ..config.methods import label
from ..errors import InputError, unknown
from ..inputs import rules
from ..schedules import batch_sizes
from ..store.run import Run
from .exponents import Exponent, exponent
from .of_run import LOSSES

Array = NDArray[np.float64]
SIZES = ("random_features", "feature_count", "dimension", "train_rows")  # what is taken for the size of a model
LEAST_POINTS, LEAST_SIZES = 4, 3
BENT, CHANCE = 0.1, 0.005  # of the exponent, that of the halves differs; by which chance that is of the seeds, at most


class Point(NamedTuple):
    """A schedule at one of the budgets that it is made for."""

    steps: int
    rows: float  # steps times the batch size
    size: float  # of the model; 1 where none is named
    schedule: str
    losses: Array  # (R,) of the seeds
    floors: Array  # (R,) the smallest loss there can be; NaN where it is not known
    rates: dict[str, float]  # the schedule's parameters that are rates
    edges: tuple[tuple[str, str], ...] = ()  # of the best of a budget: (rate, "lowest" or "highest" of those tried)

    @property
    def loss(self) -> float:
        """The mean over the seeds."""
        return float(self.losses.mean())

    @property
    def work(self) -> float:
        """Steps x batch size x size: in proportion to the multiplications."""
        return self.rows * self.size


class Line(NamedTuple):
    """How the best loss of a family falls with one budget, in one problem."""

    family: str
    problem: tuple[tuple[str, Any], ...]  # the parameters that are axes, but for the size where it is one budget
    against: str  # "steps", "rows" or "work"
    points: tuple[Point, ...]  # the best at each budget; against work, those that no cheaper one is as good as
    exponent: Exponent | None  # None, with the reason in `why`
    why: str
    size_exponent: tuple[float, float, float]  # of the best size in work, with its interval; NaN but against work
    halves: tuple[float, float] = (math.nan, math.nan)  # the exponents over the first and the last half of the points
    bends: bool = False  # whether these differ: one power law does not fit

    @property
    def edges(self) -> dict[tuple[str, str], int]:
        """{(rate, "lowest" or "highest"): at how many budgets the best one is that of all that were tried}."""
        found = [edge for point in self.points for edge in point.edges]
        return {edge: found.count(edge) for edge in dict.fromkeys(found)}


def scaling(
    run: Run, loss: str = LOSSES[0], size: str = "", floor: float | None = None, resamples: int = 200
) -> list[Line]:
    """Exponents of the tuned loss of every [[schedule]] table in steps, in rows and in work.

    At each budget a family's best schedule is the one whose mean loss is least, over its parameters and, against rows
    and work, over batch sizes. Against work, all sizes of the model are put together: what is kept is the frontier,
    the points that have less loss than all that take no more work, and the size along it grows as work^a.

    Parameters
    ----------
    run
        Of a grid with [stop] steps, finished.
    loss
        "test_loss" or "train_loss".
    size
        The numeric parameter of the problem that is the model's size; by default the first of random_features,
        feature_count, dimension and train_rows that is an axis. Work is steps x batch size x size.
    floor
        What the loss falls to, the same for all. By default it is the problem's own floor where that is known and
        the same for all sizes that are put together; else it is fitted.
    resamples
        Draws for the intervals, at least 20.

    Returns
    -------
    list of Line
        By family, problem, and budget. The best of several is chosen by the seeds that it is judged by, which makes
        its loss a little too small where seeds are few.

    Raises
    ------
    InputError
        A ValueError: a study, no budgets of steps, a size that is no number.
    """
    rules.one_of(*LOSSES, noun="loss")("loss", loss)
    if run.is_study or run.config.level_kind != STEPS:
        raise InputError("exponents are of the loss at several budgets; they need a grid with stop.steps")
    size, told = _size(run, size), (floor, resamples)
    lines: list[Line] = []
    for family, problem, points in _families(run, loss, size):
        by_size: dict[float, list[Point]] = {}
        for point in points:
            by_size.setdefault(point.size, []).append(point)
        for value, own in by_size.items():
            fixed = problem if not size else (*problem, (size, value))
            lines.append(_line(family, fixed, "steps", _best(own, "steps"), told))
            if len({point.rows / point.steps for point in own}) > 1:
                lines.append(_line(family, fixed, "rows", _frontier(own, "rows"), told))
        if len(by_size) > 1:
            lines.append(_line(family, problem, "work", _frontier(points, "work"), told, points))
    return lines


def _size(run, wanted):
    """The problem's parameter that is the size; "" where there is none."""
    axes, combinations = run.config.problem_combinations()
    if wanted and wanted not in run.config.problem:
        raise unknown("--size", wanted, [name for name in run.config.problem if name != "kind"], "problem parameter")
    name = wanted or next((one for one in SIZES if one in axes), "")
    values = {one[name] for one in combinations} if name else set()
    if not all(isinstance(value, int | float) and not isinstance(value, bool) and value > 0 for value in values):
        raise InputError(f"--size {name}: must be a number above 0, got {sorted(map(str, values))}")
    return name


def _families(run, loss, size):
    """(family and method, problem but for the size, its `Point`s) of each."""
    made, levels = made_for(run), run["level"]
    names, cells = run.config.families(), run.config.combinations()
    values, floors, fixed = run[loss], run[loss.replace("loss", "floor")], run.config.problem
    found: dict[tuple, list[Point]] = {}
    for problem, seeds in problem_groups(run):
        rest = tuple(one for one in problem if one[0] != size)
        own = dict(problem).get(size, fixed.get(size, 1.0)) if size else 1.0
        for s, (schedule, parameters, optimizer, noise) in enumerate(cells):
            rates = {
                key: value for key, value in parameters.items() if "rate" in key and isinstance(value, float | int)
            }
            sizes = ("batch_size", *batch_sizes.KEYS)
            method = label(optimizer), label({key: value for key, value in noise.items() if key not in sizes})
            points = found.setdefault((names[s], method, repr(rest)), [(names[s], rest)])
            for e in np.flatnonzero(made[s]):
                losses = np.asarray(values[s, seeds, e], np.float64)
                if np.isfinite(losses).all():
                    steps = int(levels[e])
                    rows = batch_sizes.rows_used(noise, steps)
                    points.append(Point(steps, rows, float(own), schedule.name, losses, floors[seeds], rates))
    for (family, method, _), (head, *points) in found.items():
        several = len({key[1] for key in found if key[0] == family}) > 1
        if points:
            yield (f"{family}, {', '.join(method)}" if several else family), head[1], points


def _best(points: Sequence[Point], against: str) -> list[Point]:
    """Of each budget the point with the least loss, in ascending order, and which of its rates are at an end."""
    found: dict[float, list[Point]] = {}
    for point in points:
        found.setdefault(getattr(point, against), []).append(point)
    return [_with_edges(found[budget]) for budget in sorted(found)]


def _with_edges(tried):
    """The best of the points of one budget, and which of its rates are the lowest or the highest of those there."""
    best, edges = min(tried, key=lambda point: point.loss), []
    for key, value in best.rates.items():
        values = sorted({point.rates[key] for point in tried if key in point.rates})
        if len(values) > 1 and (edge := edge_of(values, [value])):
            edges.append((key, edge))
    return best._replace(edges=tuple(edges))


def _frontier(points: Sequence[Point], against: str) -> list[Point]:
    """The best of each budget that are better than those of every smaller one."""
    kept: list[Point] = []
    for point in _best(points, against):
        if not kept or point.loss < kept[-1].loss:
            kept.append(point)
    return kept


def _line(family, problem, against, points, told, tried=()):
    """The `Line` through points, the best of those that were tried."""
    floor, resamples = told
    own = points[0].floors if len({point.size for point in points}) == 1 else np.array(math.nan)
    known = np.asarray(own if floor is None else floor, np.float64)
    is_known = bool(np.isfinite(known).all())
    needed = LEAST_POINTS - is_known
    sizes = _size_exponent(points, tried) if against == "work" else (math.nan,) * 3
    if len(points) < needed:
        why = f"{len(points)} budgets, and {needed} are needed"
        return Line(family, problem, against, tuple(points), None, why, sizes)
    budgets = np.array([getattr(point, against) for point in points], np.float64)
    least = min(points, key=lambda point: point.loss)
    if is_known and not known.mean() < least.loss:
        why = f"floor {known.mean():g} is not below the loss {least.loss:g} after {least.steps:,} steps"
        return Line(family, problem, against, tuple(points), None, why, sizes)
    losses = _above([point.losses - (known if is_known else 0.0) for point in points])
    try:
        found = exponent(budgets, losses, floor=0.0 if is_known else None, resamples=resamples)
    except InputError as error:
        return Line(family, problem, against, tuple(points), None, str(error), sizes)
    if is_known:  # which was taken from every seed's losses
        found = found._replace(floor=float(known.mean()), floor_interval=(float(known.mean()),) * 2)
    halves, bends = _halves(budgets, losses - (0.0 if is_known else found.floor), found.exponent)
    return Line(family, problem, against, tuple(points), found, "", sizes, halves, bends)


def _halves(budgets, losses, whole):
    """Exponents over the first and the last half of losses (K,) or (R, K), and whether they are surely others."""
    seeds, half = np.atleast_2d(losses), (budgets.size + 1) // 2
    parts = slice(half), slice(-half, None)
    if budgets.size < LEAST_POINTS or seeds.min() <= 0.0:
        return (math.nan, math.nan), False
    of_seeds = [[_straight(budgets[part], one[part]) for part in parts] for one in seeds]
    first, last = (_straight(budgets[part], seeds.mean(axis=0)[part]) for part in parts)
    apart = np.diff(of_seeds, axis=1)[:, 0]
    error = float(apart.std(ddof=1)) / math.sqrt(len(seeds)) if len(seeds) > 1 else 0.0
    chance = student_tail(abs(float(apart.mean())) / error, len(seeds) - 1) if error else 0.0
    return (first, last), bool(abs(last - first) > BENT * whole and chance <= CHANCE)


def _straight(budgets, losses):
    """The exponent of losses (K,) above their floor, by least squares of the logarithms."""
    return -float(np.polyfit(np.log(budgets), np.log(losses), 1)[0])


def _above(losses):
    """(R, K) of the seeds where all have as many and none is 0 or below; else (K,) the means."""
    whole = np.stack(losses, axis=1) if len({one.size for one in losses}) == 1 else np.zeros((1, 1))
    return whole if whole.min() > 0.0 and len(whole) > 1 else np.array([one.mean() for one in losses])


def _size_exponent(points, tried):
    """(a, low, high) of size = const work^a along the frontier; NaN with fewer than four points or three sizes.

    By least squares of the logarithms, with the 95 % interval of Student's t. Points of the largest and the smallest
    size do not count: beyond what was tried there may be a better one.
    """
    ends = min(point.size for point in tried), max(point.size for point in tried)
    points = [point for point in points if point.size not in ends]
    if len(points) < LEAST_POINTS or len({point.size for point in points}) < LEAST_SIZES:
        return math.nan, math.nan, math.nan
    work, size = (np.log([getattr(point, name) for point in points]) for name in ("work", "size"))
    found, error, degrees = slope(work, size)
    low, high = 0.0, 1000.0  # of Student's t, whose upper 2.5 % begin between them
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if student_tail(middle, degrees) > 0.025 else (low, middle)
    return found, found - high * error, found + high * error
