"""Computing one block of seeds with every schedule: from problems and rates to the arrays of the run file."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.stop import LOSS_KINDS, VALIDATION
from ..kernels import arrays, jit
from ..kernels.descent.ending import mark_out_of_reach
from ..kernels.iterates import iterates_sweep
from ..kernels.losses import losses_sweep
from ..plan.engines import CLOSED_FORM, MIXED, RECURRENCE, STOCHASTIC
from ..plan.plan import Plan
from ..plan.stages import batches, longest_table
from ..problems.source import Batch, Sloped, Source
from .block_inputs import BlockSeeds, end_to_end, pad
from .buffers import Buffers
from .deterministic import ExactDescent
from .stochastic import Stochastic, kind_of, losses
from .stop_rules import StopRules


class Stopped(Exception):
    """The work was told to stop; what it had in hand is dropped."""


class Engine:
    """Computes blocks of a plan. `stop()`, from any thread, makes the kernels in hand return at their next task."""

    def __init__(self, plan: Plan, sources: list[Source], threads: int | None = None):
        self._plan, self._sources = plan, sources
        jit.set_threads(threads)
        self._workers = jit.threads()
        self._tasks = np.zeros(2, np.int64)
        self.seconds: dict[str, float] = {}  # by the sweep's name: where the time went
        self._exact = ExactDescent(plan, self.launch, self._workers)
        self._by_loss = plan.config.level_kind in LOSS_KINDS
        self._stops = StopRules(plan, self._exact, self.launch, self._workers)
        self._buffers = Buffers(plan)

    def stop(self) -> None:
        """Ask for an end, soon."""
        self._tasks[1] = 1

    def launch(self, sweep: Callable, *arguments: Any) -> None:
        """Run one sweep over all its tasks; Stopped where it was told to."""
        self._tasks[0] = 0
        begin = perf_counter()
        jit.launch(sweep, *arguments, self._tasks, self._workers)
        self.seconds[sweep.__name__] = self.seconds.get(sweep.__name__, 0.0) + perf_counter() - begin
        if self._tasks[1]:
            raise Stopped

    def block(self, first: int, last: int) -> dict[str, NDArray]:
        """The arrays of seeds first..last - 1 by dataset name, in the run file's types; see `give_back`."""
        batch = self.problems(first, last)
        validation = self._validation(first, last, batch)
        seeds = BlockSeeds(self._plan, batch, validation, first, last, self._buffers)
        results = self._buffers.take(last - first, seeds.recorded.size)
        for rows in self._batches():
            if self._plan.engines[rows[0]] == STOCHASTIC:
                self._write_stochastic(seeds, rows, results)
            else:
                self._write_descent(seeds, rows, results)
        if self._plan.stop_residual:
            seeds.mark_absent_axes(results["stop_residual"])
        return seeds.all_arrays(results)

    def give_back(self, arrays: dict[str, NDArray]) -> None:
        """Let another block have the memory of a block's arrays, once they have been written."""
        self._buffers.give_back(arrays)

    def problems(self, first: int, last: int) -> Batch:
        """The problems of these seeds, as one Batch; axes that a seed lacks have curvature and residual 0."""
        parts = []
        for source, draws, _ in self._parts(first, last):
            own = source.draw(self._plan.config.seeds["root"], draws, self._workers)
            if own.test_slope is None:
                own = own._replace(test_slope=np.zeros_like(own.offset))
            parts.append(pad(own, self._plan.dimension - source.dimension))
        return end_to_end(parts)

    def _parts(self, first, last):
        """(source, draws, where they lie in the block) of every problem combination that these seeds touch."""
        for index, begin, first_draw, last_draw in self._plan.pieces(first, last):
            draws = np.arange(first_draw, last_draw, dtype=np.int64)
            yield self._sources[index], draws, slice(begin - first, begin - first + draws.size)

    def _validation(self, first, last, batch):
        """The validation quadratics of these seeds, whose problems are given; None where none stops a run."""
        if VALIDATION not in self._plan.config.stop:
            return None
        parts = []
        for source, draws, place in self._parts(first, last):
            own = batch._make(values[place] for values in batch)
            quadratic = source.validation(self._plan.config.seeds["root"], draws, own, self._workers)
            if not isinstance(quadratic, Sloped):
                quadratic = Sloped(*quadratic, np.zeros_like(quadratic.offset))
            parts.append(pad(quadratic, self._plan.dimension - source.dimension))
        return end_to_end(parts)

    def _batches(self):
        """The schedules in batches of one engine each, as arrays of their indices."""
        engines = np.array(self._plan.engines)
        for engine in (RECURRENCE, CLOSED_FORM, MIXED):
            rows = np.flatnonzero(engines == engine)
            weights = [1 if engine == RECURRENCE else longest_table(self._plan.schedules[s]) for s in rows]
            yield from batches(rows, weights)
        walks = np.flatnonzero(engines == STOCHASTIC)
        kinds = [kind_of(*self._plan.methods[s]) for s in walks]
        for kind in dict.fromkeys(kinds):
            rows = walks[[own == kind for own in kinds]]
            yield from batches(rows, np.ones(rows.size, np.int64))

    def _write_descent(self, seeds, rows, results):
        """Run the cells of some schedules by exact gradient descent, and write their stops and recorded moments."""
        self._write_no_averages(rows, results)
        recorded = self._plan.points and seeds.recorded.size
        if self._by_loss or recorded:
            course, (rates, phase) = seeds.start(rows.size), self._exact.rates(rows)
            self._exact.run(seeds.landscape.curvature, seeds.cells, course, rows, rates, phase)
            mark_out_of_reach(seeds.cells, course)
        stops = course._asdict() if self._by_loss else self._stops.of_exact_descent(seeds, rows)
        self._write_stops(seeds, rows, stops, results)
        if recorded:
            self._write_trajectories(seeds, rows, course, results)

    def _write_stops(self, seeds, rows, stops, results):
        """What is known at the stops, in the levels' own order, into the results' rows."""
        everyone, back = np.arange(seeds.dimension.size), np.argsort(seeds.order)
        found = self._found(seeds, rows, stops)
        if (seeds.order == np.arange(back.size)).all():
            train, test, place = results["train_loss"], results["test_loss"], rows
        else:
            train, test = np.empty(stops["status"].shape), np.empty(stops["status"].shape)
            place, found = np.arange(rows.size), found | {"train_loss": train, "test_loss": test}
        self.launch(losses_sweep, seeds.landscape, everyone, stops["stop_x"], True, place, train, test)
        found |= self._validation_losses(seeds, stops["stop_x"])  # which is now the residual
        for name, values in found.items():
            results[name][rows] = values if place is rows else values[..., back]
        if self._plan.stop_residual:  # what the sweep has left in the place of x
            results["stop_residual"][rows] = stops["stop_x"][:, :, back]

    @staticmethod
    def _found(seeds, rows, stops):
        """What is written of some stops as it is, but for the unit of time."""
        found = {name: stops[name] for name in ("stop_step", "status", "stop_look_step") if name in stops}
        return found | {"stop_time": seeds.absolute_time(rows, stops["stop_time"])}

    def _validation_losses(self, seeds, residual):
        """The validation losses at the stops (S, N, E, d), where a run has any."""
        if seeds.validation is None:
            return {}
        held_out = seeds.validation
        landscape = seeds.landscape._replace(
            offset=held_out.offset, test_matrix=held_out.matrix, test_floor=held_out.floor, test_slope=held_out.slope
        )
        return {"validation_loss": losses(landscape, np.arange(seeds.dimension.size), residual, self.launch)[1]}

    def _write_trajectories(self, seeds, rows, course, results):
        """Losses, and iterates where they are wanted, at the recorded moments, into the results' rows."""
        iterates = self._plan.config.record["iterates"]
        train, test = results["trajectory_train_loss"], results["trajectory_test_loss"]
        self.launch(losses_sweep, seeds.landscape, seeds.recorded, course.record_x, iterates, rows, train, test)
        if iterates:
            self._write_iterates(seeds, rows, course.record_x, True, results)

    def _write_iterates(self, seeds, rows, residual, clear, results):
        """theta at the recorded moments, into the results' rows; the residuals become NaN where `clear` is true."""
        eigenvectors, minimiser = seeds.recorded_frame()
        self.launch(iterates_sweep, eigenvectors, minimiser, residual, clear, rows, results["trajectory_iterate"])

    def _write_stochastic(self, seeds, rows, results):
        """Take the stochastic steps of some schedules, and write what is known at their stops and recorded moments."""
        recorded = self._plan.points and seeds.recorded.size
        if self._by_loss or recorded:
            rates, _ = self._exact.rates(rows)
            passages = Stochastic(
                self._plan, seeds, rows, seeds.cells, self._plan.points, self._rows_of, self.launch
            ).run(rates)
            mark_out_of_reach(seeds.cells, passages)
        stops = passages._asdict() if self._by_loss else self._stops.of_stochastic(seeds, rows, self._rows_of)
        everyone, back = np.arange(seeds.dimension.size), np.argsort(seeds.order)
        found = self._found(seeds, rows, stops) | self._validation_losses(seeds, stops["stop_r"])
        found |= self._stochastic_losses(seeds, everyone, "", stops["stop_r"], stops["stop_average"])
        for name, values in found.items():
            results[name][rows] = values[..., back]
        if self._plan.stop_residual:
            results["stop_residual"][rows] = stops["stop_r"][:, :, back]
        if recorded:
            moments = passages.record_r, passages.record_average
            for name, values in self._stochastic_losses(seeds, seeds.recorded, "trajectory_", *moments).items():
                results[name][rows] = values
            if self._plan.config.record["iterates"]:
                self._write_iterates(seeds, rows, passages.record_r, False, results)

    @staticmethod
    def _write_no_averages(rows, results):
        """NaN for what only schedules with an average of their iterates have."""
        for name, values in results.items():
            if "average_" in name:
                values[rows] = np.nan

    def _stochastic_losses(self, seeds, which, prefix, residual, average):
        """Losses of the last iterates of some seeds, and of their averages where some schedule has one."""
        train, test = losses(seeds.landscape, which, residual, self.launch)
        found = {f"{prefix}train_loss": train, f"{prefix}test_loss": test}
        if self._plan.averages:
            known = average.shape[3] > 0
            train, test = losses(seeds.landscape, which, average, self.launch) if known else (np.nan, np.nan)
            found |= {f"{prefix}average_train_loss": np.broadcast_to(train, residual.shape[:3])}
            found |= {f"{prefix}average_test_loss": np.broadcast_to(test, residual.shape[:3])}
        return found

    def _rows_of(self, seeds):
        """The train rows of a block's seeds in the Hessian's axes, for mini-batches; rows that a seed lacks are 0."""
        parts = []
        for source, draws, place in self._parts(seeds.first, seeds.last):
            own = seeds.problems(place)
            parts.append(source.rows(self._plan.config.seeds["root"], draws, own, self._workers))
        most = max(rho.shape[1] for _, rho in parts)
        wide = [np.pad(z, [(0, 0), (0, most - z.shape[1]), (0, self._plan.dimension - z.shape[2])]) for z, _ in parts]
        rho = [np.pad(rho, [(0, 0), (0, most - rho.shape[1])]) for _, rho in parts]
        count = [np.full(rho.shape[0], rho.shape[1], np.int64) for _, rho in parts]
        return arrays.Rows(*(np.ascontiguousarray(np.concatenate(part)) for part in (wide, rho, count)))
