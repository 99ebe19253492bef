"""A block of seeds whose train rows are gone through at every step: losses that no quadratic stands for, and ridges.

Every combination of problem parameters is a part by itself, of one loss and one number of parameters; what is computed
of it is put into the block's arrays, NaN along the axes that it lacks. The parameters theta start at 0, class after
class for softmax; those of a diagonal network are u, then v, and start at `Terms.start`.
"""

from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.stop import LOSS_KINDS, VALIDATION
from ..kernels import arrays
from ..kernels.convex import optimizers as by_rows
from ..kernels.convex.in_lanes import BLOCK
from ..kernels.convex.losses import Table
from ..kernels.convex.steps import convex_sweep, measure_sweep
from ..kernels.descent.ending import mark_out_of_reach
from ..kernels.matrices.block_products import QUAD
from ..kernels.stochastic import averages
from ..plan.plan import Plan
from ..plan.stages import batches
from ..problems import lapack
from ..problems.losses import (
    DIAGONAL,
    LOSSES,
    MODELS,
    OF_CLASSES,
    Objective,
    Terms,
    has_diagonal,
    margins,
    sizes,
    weights_of,
)
from ..problems.minimum import Minimum, curvature_bound, minimum, train_loss
from ..problems.sharpness import sharpness
from ..problems.source import Samples, Source
from ..schedules.plateau import VALIDATION_LOSS, Plateaus
from ..store import file_format
from .buffers import Buffers
from .deterministic import ExactDescent
from .early_stopping import EarlyStopping
from .step_budgets import without_levels
from .stochastic import OF_METHOD, Stochastic, carried, column, kind_of, launched_as, numbers_of
from .stop_rules import StopRules
from .thresholds import of_rows

Floats = NDArray[np.float64]

# Of so many schedules rows lie in lanes, of more the schedules of a seed do, which need as many as fill them.
FEW_SCHEDULES = 12


class Part(NamedTuple):
    """Some seeds of a block, of one combination of problem parameters."""

    place: slice  # where they lie in the block
    rows: slice  # and those of them that are recorded among the recorded ones
    recorded: NDArray[np.int64]  # which those are, counted from the part's first
    draws: NDArray[np.int64]
    train: Table
    validation: Table | None
    test: Table
    tells_classes: bool  # whether the targets are classes, or two numbers
    start: Floats  # (p,)
    # (N, p) eigenvalues, the largest first, of what the Hessian is nowhere above; of a network that of its weights
    bound: Floats
    minimiser: Floats  # (N, p) NaN where there is none, or no single one
    floor: Floats  # (N,)
    initial: Floats  # (N,) the train loss at the start
    target: Floats | None  # (N, outputs d) theta_star, where the labels come from one

    @property
    def unit(self) -> Floats:
        """1 / unit is what rates in units of 1/sharpness are multiplied by, (N,)."""
        return np.where(self.bound[:, 0] > 0.0, self.bound[:, 0], 1.0)

    def weights(self, theta: Floats) -> Floats:
        """The weights of the scores at parameters (..., p)."""
        return weights_of(MODELS[self.train.model], theta)


class RowDescent:
    """Computes blocks of a plan whose grid is `by_rows`.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    sources : list of Source
        The problems, one of each combination of problem parameters.
    exact : ExactDescent
        Of the same plan.
    stops : StopRules
        Of the same plan.
    launch : callable
        Runs a sweep over all its tasks.
    workers : int
        The number of threads that it runs on.
    """

    def __init__(
        self, plan: Plan, sources: list[Source], exact: ExactDescent, stops: StopRules, launch: Callable, workers: int
    ):  # fmt: skip
        self._plan, self._sources, self._exact, self._stops = plan, sources, exact, stops
        self._launch, self._workers = launch, workers
        self._few = len(plan.grid.schedules) <= FEW_SCHEDULES

    def block(self, first: int, last: int, buffers: Buffers) -> dict[str, NDArray]:
        """Compute the seeds first..last - 1 into arrays of `buffers`; as `Engine.block` gives them."""
        _, recorded = self._plan.recorded_rows(first, last)
        results = buffers.take(last - first, recorded.size)
        for values in results.values():
            values[...] = np.nan if values.dtype.kind == "f" else 0
        shapes = {field.name: len(field.dims) for field in file_format.problem_fields(self._plan)}
        size = last - first, self._plan.dimension
        problem = {name: np.full(size[:axes], np.nan) for name, axes in shapes.items()}
        for part in self._parts(first, last, recorded - first):
            self._describe(part, problem)
            for indices in self._batches():
                self._run(part, indices, results)
        return problem | results

    def _parts(self, first, last, recorded) -> Iterator[Part]:
        """The block's parts; `recorded` are its recorded seeds, counted from its first."""
        root = self._plan.config.seeds["root"]
        for index, begin, first_draw, last_draw in self._plan.pieces(first, last):
            source, draws = self._sources[index], np.arange(first_draw, last_draw, dtype=np.int64)
            assert source.samples is not None  # the job has seen to it
            place = slice(begin - first, begin - first + draws.size)
            rows = slice(*np.searchsorted(recorded, [place.start, place.stop]).tolist())
            sets, terms = source.samples(root, draws, self._workers), source.terms
            inputs = sets.train.x.shape[2]
            if terms.ridge.size != terms.outputs * inputs:  # of the plain squared loss
                terms = terms._replace(ridge=np.zeros(inputs))
            bare = terms._replace(ridge=np.zeros_like(terms.ridge))
            middles = [_middle(terms, y) for y in sets.train.y]
            bound, minimiser, floor, initial = self._minima(terms, sets.train)
            yield Part(
                place,
                rows,
                recorded[rows] - place.start,
                draws,
                table_of(terms, sets.train, middles, BLOCK if self._few and terms.outputs == 1 else QUAD),
                None if sets.validation is None else table_of(bare, sets.validation, middles),
                table_of(bare, sets.test, middles),
                not np.isnan(middles).any(),
                terms.start,
                *(bound, minimiser, floor, initial, sets.target),
            )

    def _minima(self, terms, train):
        """Bounds of the curvature, minimisers, floors and losses at the start of the seeds of a part."""

        def of_seed(n):
            objective = Objective(terms.kind, train.x[n], train.y[n], terms.outputs, terms.delta, terms.ridge)
            found: Minimum = minimum(objective)
            return curvature_bound(objective), *found, train_loss(objective, np.zeros(terms.ridge.size))

        with lapack.one_thread(), ThreadPool(self._workers) as pool:
            found = pool.map(of_seed, range(len(train.x)))
        bound, minimiser, floor, initial = (np.array(column) for column in zip(*found, strict=True))
        if terms.model == DIAGONAL:  # whose minimisers are many
            bound = np.hstack([bound, np.zeros_like(bound)])
            minimiser = np.full_like(bound, np.nan)
        return bound, minimiser, floor, initial

    def _describe(self, part, problem):
        """Put what is known of the problems of a part into the block's arrays."""
        own = (part.place, slice(0, part.bound.shape[1]))
        problem["curvature"][own], problem["train_minimiser"][own] = part.bound, part.minimiser
        problem["sharpness"][part.place] = part.bound[:, 0]
        problem["train_floor"][part.place] = part.floor
        problem["initial_train_loss"][part.place] = part.initial
        if part.target is not None:
            problem["target"][part.place, : part.target.shape[1]] = part.target

    def _batches(self):
        """The schedules in batches of one kind of steps each."""
        kinds = [launched_as(self._plan, s) for s in range(len(self._plan.schedules))]
        for kind in dict.fromkeys(kinds):
            indices = np.flatnonzero([other == kind for other in kinds])
            yield from batches(indices, np.ones(indices.size, np.int64))

    def _run(self, part, indices, results):
        """Take the steps of some schedules with the seeds of a part, and write what comes of it."""
        order, threshold = of_rows(self._plan.config, part.floor, part.initial)
        row = np.full(part.draws.size, -1, np.int64)
        row[part.recorded] = np.arange(part.recorded.size)
        scale = np.stack([part.bound, part.bound / part.unit[:, None]])
        cells, (rates, _) = arrays.Cells(scale, threshold, row), self._exact.rates(indices)
        by_loss = self._plan.config.level_kind in LOSS_KINDS
        if by_loss or (self._plan.points and part.recorded.size):
            steps = RowSteps(self._plan, part, indices, cells, self._plan.points, self._launch)
            passages = steps.run(rates)
            mark_out_of_reach(cells, passages)
            self._write_moments(part, indices, steps, results)
        stops = passages._asdict() if by_loss else self._other_stops(part, indices, cells, rates)
        self._write_stops(part, indices, stops, np.argsort(order), results)

    def _other_stops(self, part, indices, cells, rates):
        """The stops of some schedules by budgets of steps, or by their validation loss."""
        cells = without_levels(cells)
        steps = RowSteps(self._plan, part, indices, cells, self._stops.moments, self._launch)
        stopping = None
        if part.validation is not None and VALIDATION in self._plan.config.stop:
            rule, state = self._plan.config.stop[VALIDATION], steps.state
            stopping = RowStopping(rule, part.validation, steps.passages, state.r, state.average, self._launch)
        return self._stops.of_steps(steps, indices, rates, stopping)

    def _write_stops(self, part, indices, stops, given, results):
        """What is known at the stops, levels in the grid's order."""
        in_sharpness = np.array([self._plan.schedules[s].unit == "sharpness" for s in indices])[:, None, None]
        time = stops["stop_time"]
        known = {name: stops[name] for name in ("status", "stop_step", "stop_look_step") if name in stops}
        if self._plan.landing:
            known["stop_fraction"] = stops["stop_fraction"]
        known["stop_time"] = np.where(in_sharpness & (time > 0.0), time / part.unit[:, None], time)
        everyone = np.arange(part.draws.size)
        known |= self._losses(part, everyone, stops["stop_r"], stops["stop_average"])
        known["margin"] = margins(part.train, part.weights(stops["stop_r"]))
        if "validation_loss" in results:
            known["validation_loss"] = measure(part.validation, everyone, stops["stop_r"], self._launch)[0]
        for name, values in known.items():
            results[name][indices, part.place] = values[:, :, given]

    def _write_moments(self, part, indices, steps, results):
        """What is known at the recorded moments."""
        if not (self._plan.points and part.recorded.size):
            return
        passages = steps.passages
        known = self._losses(part, part.recorded, passages.record_r, passages.record_average)
        if self._plan.has_plateaus:
            known["learning_rate"] = steps.recorded_rates(part.recorded)
        for name, values in known.items():
            results[f"trajectory_{name}"][indices, part.rows] = values
        if self._plan.sharpness:
            found = sharpness_along(part, passages.record_r, self._workers)
            results["trajectory_sharpness"][indices, part.rows] = found
        if self._plan.config.record["iterates"]:
            own = slice(0, passages.record_r.shape[3])
            results["trajectory_iterate"][indices, part.rows, :, own] = passages.record_r

    def _losses(self, part, seeds, theta, average):
        """{dataset: (S, R, M)} of the iterates, and of their averages where some schedule has one."""
        known = {"train_loss": measure(part.train, seeds, theta, self._launch)[0]}
        known["test_loss"], accuracy = measure(part.test, seeds, theta, self._launch)
        known["test_accuracy"] = accuracy if part.tells_classes else np.full_like(accuracy, np.nan)
        if has_diagonal(self._plan.config.problem):
            known["l1_norm"], known["effective_entries"] = sizes(part.weights(theta))
        if self._plan.averages:
            for name, table in (("train", part.train), ("test", part.test)):
                found = np.full(theta.shape[:3], np.nan)
                if average.shape[3]:
                    found = measure(table, seeds, average, self._launch)[0]
                known[f"average_{name}_loss"] = found
        return known


class RowSteps(Stochastic):
    """Schedules of one kind with the seeds of a part, step by step; the parameters stand in the place of residuals."""

    def __init__(
        self, plan: Plan, part: Part, indices: NDArray[np.int64], cells: arrays.Cells, points: int, launch: Callable
    ):  # fmt: skip
        self._plan, self._indices, self._cells, self._launch = plan, indices, cells, launch
        self.plateaus, self._part = Plateaus.of([plan.schedules[s] for s in indices], part.draws.size), part
        methods = [plan.methods[s] for s in indices]
        optimizer, average, source, batch, sigma = kind_of(*methods[0])
        self._method = arrays.Method(optimizer, average, *(column(methods, 0, key) for key in OF_METHOD))
        parameters, seeds, root = part.bound.shape[1], part.draws.size, plan.config.seeds["root"]
        counts, labels = np.full(seeds, parameters, np.int64), np.full(indices.size, sigma)
        self._noise = arrays.Noise(source, root, batch, labels, part.draws, counts)
        self._rows, averaging = part.train, average != averages.NO_AVERAGE
        levels, recorded = cells.threshold.shape[1], int((cells.row >= 0).sum())
        start = np.tile(part.start, (indices.size, seeds, 1))
        state, self.passages = arrays.empty_passages(
            start, levels, recorded, points, moving=False, averaging=averaging, landing=plan.landing
        )
        own = [method[0] for method in methods]
        velocity = carried(own, optimizer, part.start)[:, None].repeat(seeds, axis=1)
        self.state = state._replace(velocity=velocity)
        numbers = np.array([numbers_of(one) for one in own])
        limits = numbers[:, [by_rows.CLIP_NORM, by_rows.CLIP_VALUE]]
        self._rules = by_rows.Rules(numbers, int(np.isfinite(limits).any() or numbers[:, by_rows.COUPLED].any()))

    def _monitored(self):
        """The losses (S, N) that rates depend on, of the last iterates."""
        table = self._part.validation if self.plateaus.monitor == VALIDATION_LOSS else self._part.train
        return measure(table, np.arange(self._part.draws.size), self.state.r[:, :, None], self._launch)[0][:, :, 0]

    def _step(self, rates, first):
        """Take the steps of `rates`, as they are."""
        given = self._cells, rates, self._method, self._rules, self._noise, self._rows
        self._launch(convex_sweep, *given, self.state, self.passages, first)


class RowStopping(EarlyStopping):
    """Checks of the mean loss over validation rows; see `EarlyStopping`."""

    def __init__(
        self, stop: dict, table: Table, course: arrays.Passages, iterate: Floats, average: Floats, launch: Callable
    ):  # fmt: skip
        nothing = arrays.Validation(*(np.empty((0,) * axes) for axes in (2, 2, 3, 1, 2)))
        super().__init__(stop, nothing, course, iterate, average, launch)
        self._table = table

    def checks_of(self, steps: NDArray[np.int64], time: Floats, iterate: Floats, average: Floats) -> arrays.Checks:
        """What is checked, with its losses."""
        loss = measure(self._table, np.arange(iterate.shape[1]), iterate, self._launch)[0]
        return arrays.Checks(steps, time, iterate, average, loss)


def measure(table: Table, seeds: NDArray[np.int64], theta: Floats, launch: Callable) -> tuple[Floats, Floats]:
    """The mean loss over the rows of a table, and the share of them whose class is told.

    Parameters
    ----------
    table : Table
        Of N seeds.
    seeds : (R,) int64
        Which of them.
    theta : (S, R, M, p) float64
        Parameters at M moments of S schedules.
    launch : callable
        Runs a sweep over all its tasks.

    Returns
    -------
    loss, accuracy : (S, R, M) float64
    """
    loss, hits = np.empty(theta.shape[:3]), np.empty(theta.shape[:3])
    launch(measure_sweep, table, seeds, np.ascontiguousarray(theta), loss, hits)
    return loss, hits


def sharpness_along(part: Part, theta: Floats, workers: int) -> Floats:
    """The sharpness (S, R, M) of the train loss at parameters (S, R, M, p) of the recorded seeds of a part."""
    table = part.train

    def of_seed(r):
        n = part.recorded[r]
        rows = table.x[n, : table.count[n]], table.y[n, : table.count[n]]
        about = table.outputs, table.delta, table.ridge, MODELS[table.model]
        objective = Objective(LOSSES[table.kind], *rows, *about)
        return sharpness(objective, theta[:, r].reshape(-1, theta.shape[3])).reshape(theta.shape[0], theta.shape[2])

    with lapack.one_thread(), ThreadPool(workers) as pool:
        return np.stack(pool.map(of_seed, range(theta.shape[1])), axis=1)


def _middle(terms, y):
    """Between the two classes that a score tells: 0, or midway between the two numbers of a target; NaN of others."""
    if terms.kind in OF_CLASSES:
        return 0.0
    low, high = y.min(), y.max()
    return 0.5 * (low + high) if low < high and ((y == low) | (y == high)).all() else np.nan


def table_of(terms: Terms, rows: Samples, middles: list[float], side: int = QUAD) -> Table:
    """Rows as the kernels want them, padded to a multiple of QUAD, and where `side` is BLOCK with rows in lanes."""
    seeds, count, inputs = rows.x.shape
    padded, wide = (-(-count // size) * size for size in (QUAD, side))
    x, y, weight = np.zeros((seeds, padded, inputs)), np.zeros((seeds, wide)), np.zeros(wide)
    x[:, :count], y[:, :count], weight[:count] = rows.x, rows.y, 1.0 / count
    columns = np.zeros((seeds, inputs, wide) if side == BLOCK else (seeds, 0, 0))
    if side == BLOCK:
        columns[:, :, :count] = rows.x.swapaxes(1, 2)
    with np.errstate(over="ignore"):
        reach = (x**2).sum(axis=2).max(axis=1)
    counts, kind = np.full(seeds, count, np.int64), LOSSES.index(terms.kind)
    about = counts, reach, np.array(middles), kind, terms.outputs, terms.delta, terms.ridge
    return Table(x, columns, y, weight, *about, MODELS.index(terms.model))
