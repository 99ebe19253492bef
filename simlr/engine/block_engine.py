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
from ..plan.engines import CLOSED_FORM, EXPECTATION, MIXED, RECURRENCE, STOCHASTIC
from ..plan.plan import Plan
from ..plan.stages import batches, longest_table
from ..problems.source import Batch, Sloped, Source
from ..store.file_format import LARGEST_MATRIX_AXES
from .block_inputs import BlockSeeds, end_to_end, pad
from .buffers import Buffers
from .convex import RowDescent
from .deterministic import ExactDescent
from .exact_means import STOPS, ExactMeans
from .stochastic import Stochastic, launched_as, losses
from .stop_rules import StopRules


class Stopped(Exception):
    """The work was told to stop; what it had in hand is dropped."""


class Engine:
    """Computes blocks of a plan.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    sources : list of Source
        The problems, one of each combination of problem parameters.
    threads : int, optional
        How many to compute with; all of them by default.

    Attributes
    ----------
    seconds : dict of str to float
        Where the time went, by the sweep's name.
    """

    def __init__(self, plan: Plan, sources: list[Source], threads: int | None = None):
        self._plan, self._sources = plan, sources
        jit.set_threads(threads)
        self._workers = jit.threads()
        self._tasks = np.zeros(2, np.int64)
        self.seconds: dict[str, float] = {}
        self._exact = ExactDescent(plan, self.launch, self._workers)
        # Matrices are not made where nothing asks for them, and there may be no room for them.
        self._as_modes = (
            set(plan.grid.engines) == {EXPECTATION}
            and plan.dimension > LARGEST_MATRIX_AXES
            and all(source.modes for source in sources)
        )
        self._by_loss = plan.config.level_kind in LOSS_KINDS
        self._stops = StopRules(plan, self._exact, self.launch, self._workers)
        self._means = ExactMeans(plan, self.launch, self._workers, self._train_rows)
        self._buffers = Buffers(plan)
        self._rows = None
        if plan.config.by_rows:
            self._rows = RowDescent(plan, sources, self._exact, self._stops, self.launch, self._workers)

    def stop(self) -> None:
        """Ask for an end, soon, from any thread: the kernels in hand return at their next task."""
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
        """Compute one block.

        Parameters
        ----------
        first, last : int
            Its seeds are first..last - 1.

        Returns
        -------
        dict of str to array
            By dataset name, in the run file's types; see `give_back`.

        Raises
        ------
        Stopped
            Where `stop` was called.
        """
        if self._rows:
            return self._rows.block(first, last, self._buffers)
        batch = self.problems(first, last)
        validation = self._validation(first, last, batch)
        seeds = BlockSeeds(self._plan, batch, validation, first, last, self._buffers)
        results = self._buffers.take(last - first, seeds.recorded.size)
        for name, values in results.items():
            if "average_" in name:  # of iterates, which only some stochastic schedules have
                values[...] = np.nan
        if self._plan.expects:  # of the schedules that are not drawn at all
            results["train_loss_variance"][...] = 0.0
        if self._plan.bin_error:
            results["bins"][...], results["bin_change"][...] = seeds.dimension, 0.0
        for indices in self._batches():
            if self._plan.engines[indices[0]] == STOCHASTIC:
                self._write_stochastic(seeds, indices, results)
            elif self._plan.engines[indices[0]] == EXPECTATION:
                self._write_means(seeds, indices, results)
            else:
                self._write_descent(seeds, indices, results)
        if self._plan.stop_residual:
            seeds.mark_absent_axes(results["stop_residual"])
        return seeds.all_arrays(results)

    def give_back(self, arrays: dict[str, NDArray]) -> None:
        """Let another block have the memory of a block's arrays, once they have been written."""
        self._buffers.give_back(arrays)

    def problems(self, first: int, last: int) -> Batch:
        """The problems of the seeds first..last - 1, as one Batch; axes that a seed lacks have only zeros."""
        parts = []
        for source, draws, _ in self._parts(first, last):
            draw = source.modes if self._as_modes else source.draw
            drawn = draw(self._plan.config.seeds["root"], draws, self._workers)
            if drawn.test_slope is None:
                drawn = drawn._replace(test_slope=np.zeros_like(drawn.offset))
            parts.append(pad(drawn, self._plan.dimension - source.dimension))
        return end_to_end(parts)

    def _parts(self, first, last):
        """(source, draws, where they lie in the block) of every problem combination that these seeds touch."""
        for index, begin, first_draw, last_draw in self._plan.pieces(first, last):
            draws = np.arange(first_draw, last_draw, dtype=np.int64)
            yield self._sources[index], draws, slice(begin - first, begin - first + draws.size)

    def _validation(self, first, last, batch):
        """The validation quadratics of these seeds, whose problems are given; None where nothing looks at them."""
        if not self._plan.looks_at_validation:
            return None
        parts = []
        for source, draws, place in self._parts(first, last):
            drawn = batch._make(values[place] for values in batch)
            quadratic = source.validation(self._plan.config.seeds["root"], draws, drawn, self._workers)
            if not isinstance(quadratic, Sloped):
                quadratic = Sloped(*quadratic, np.zeros_like(quadratic.offset))
            parts.append(pad(quadratic, self._plan.dimension - source.dimension))
        return end_to_end(parts)

    def _batches(self):
        """The schedules in batches of one engine each, as arrays of their indices."""
        engines = np.array(self._plan.engines)
        for engine in (RECURRENCE, CLOSED_FORM, MIXED):
            indices = np.flatnonzero(engines == engine)
            weights = [1 if engine == RECURRENCE else longest_table(self._plan.schedules[s]) for s in indices]
            yield from batches(indices, weights)
        stochastic = np.flatnonzero(engines == STOCHASTIC)
        kinds = [launched_as(self._plan, s) for s in stochastic]
        for kind in dict.fromkeys(kinds):
            indices = stochastic[[other == kind for other in kinds]]
            yield from batches(indices, np.ones(indices.size, np.int64))
        yield from self._means.batches(np.flatnonzero(engines == EXPECTATION))

    def _write_descent(self, seeds, indices, results):
        """Run the cells of some schedules by exact gradient descent, and write their stops and recorded moments."""
        recorded = self._plan.points and seeds.recorded.size
        if self._by_loss or recorded:
            course, (rates, flows) = seeds.start(indices.size), self._exact.rates(indices)
            self._exact.run(seeds.landscape.curvature, seeds.cells, course, indices, rates, flows)
            mark_out_of_reach(seeds.cells, course)
        stops = course._asdict() if self._by_loss else self._stops.of_exact_descent(seeds, indices)
        everyone, at_stops = np.arange(seeds.dimension.size), (results["train_loss"], results["test_loss"])
        # The sweep leaves the residuals in the place of x.
        self.launch(losses_sweep, seeds.landscape, everyone, stops["stop_x"], True, indices, *at_stops)
        if not seeds.has_levels_in_order:
            for values in at_stops:
                values[indices] = seeds.as_given(values[indices])
        self._write_stops(seeds, indices, stops, stops["stop_x"], results)
        if recorded:
            iterates, moments = self._plan.config.record["iterates"], course.record_x
            along = results["trajectory_train_loss"], results["trajectory_test_loss"]
            self.launch(losses_sweep, seeds.landscape, seeds.recorded, moments, iterates, indices, *along)
            if iterates:
                self._write_iterates(seeds, indices, moments, True, results)
            if self._plan.has_plateaus:
                known = ~np.isnan(results["trajectory_train_loss"][indices])
                rates = self._plan.recorded_rates(indices)[:, None]
                results["trajectory_learning_rate"][indices] = np.where(known, rates, np.nan)

    def _write_stops(self, seeds, indices, stops, residual, results):
        """What is known at the stops but for the losses, with residuals (S, N, E, d); levels in the grid's order."""
        known = {name: stops[name] for name in ("stop_step", "status", "stop_look_step") if name in stops}
        known["stop_time"] = seeds.absolute_time(indices, stops["stop_time"])
        if VALIDATION in self._plan.config.stop:
            everyone = np.arange(seeds.dimension.size)
            known["validation_loss"] = losses(seeds.held_out, everyone, residual, self.launch)[1]
        if self._plan.stop_residual:
            known["stop_residual"] = residual
        if self._plan.landing:
            known["stop_fraction"] = stops["stop_fraction"]
        for name, values in known.items():
            results[name][indices] = seeds.as_given(values)

    def _write_iterates(self, seeds, indices, residual, clear, results):
        """theta at the recorded moments; the residuals become NaN where `clear` is true."""
        eigenvectors, minimiser = seeds.recorded_frame()
        self.launch(iterates_sweep, eigenvectors, minimiser, residual, clear, indices, results["trajectory_iterate"])

    def _write_stochastic(self, seeds, indices, results):
        """Take the stochastic steps of some schedules, and write what is known at their stops and recorded moments."""
        recorded = self._plan.points and seeds.recorded.size
        if self._by_loss or recorded:
            rates, _ = self._exact.rates(indices)
            steps = Stochastic(
                self._plan, seeds, indices, seeds.cells, self._plan.points, self._train_rows, self.launch
            )
            passages = steps.run(rates)
            mark_out_of_reach(seeds.cells, passages)
        stops = passages._asdict() if self._by_loss else self._stops.of_stochastic(seeds, indices, self._train_rows)
        self._write_stops(seeds, indices, stops, stops["stop_r"], results)
        everyone, at_stops = np.arange(seeds.dimension.size), (stops["stop_r"], stops["stop_average"])
        for name, values in self._stochastic_losses(seeds, everyone, "", *at_stops).items():
            results[name][indices] = seeds.as_given(values)
        if recorded:
            moments = passages.record_r, passages.record_average
            for name, values in self._stochastic_losses(seeds, seeds.recorded, "trajectory_", *moments).items():
                results[name][indices] = values
            if self._plan.has_plateaus:
                results["trajectory_learning_rate"][indices] = steps.recorded_rates(seeds.recorded)
            if self._plan.config.record["iterates"]:
                self._write_iterates(seeds, indices, passages.record_r, False, results)

    def _write_means(self, seeds, indices, results):
        """The mean losses of some schedules at their stops and recorded moments."""
        rates, _ = self._exact.rates(indices)
        found, bins = self._means.of(seeds, indices, rates)
        if bins is not None:
            results["bins"][indices], results["bin_change"][indices] = bins
        self._write_stops(seeds, indices, found._asdict(), None, results)
        for which, name in enumerate(STOPS):
            if name in results:
                results[name][indices] = seeds.as_given(found.stop[..., which])
            if f"trajectory_{name}" in results:
                results[f"trajectory_{name}"][indices] = found.record[..., which]

    def _stochastic_losses(self, seeds, which, prefix, residual, average):
        """Losses of the last iterates of some seeds, and of their averages where some schedule has one."""
        train, test = losses(seeds.landscape, which, residual, self.launch)
        datasets = {f"{prefix}train_loss": train, f"{prefix}test_loss": test}
        if self._plan.averages:
            known = average.shape[3] > 0
            train, test = losses(seeds.landscape, which, average, self.launch) if known else (np.nan, np.nan)
            datasets |= {f"{prefix}average_train_loss": np.broadcast_to(train, residual.shape[:3])}
            datasets |= {f"{prefix}average_test_loss": np.broadcast_to(test, residual.shape[:3])}
        return datasets

    def _train_rows(self, seeds):
        """The train rows of a block's seeds in the Hessian's axes, for mini-batches; rows that a seed lacks are 0."""
        parts = []
        for source, draws, place in self._parts(seeds.first, seeds.last):
            problems = seeds.problems(place)
            parts.append(source.rows(self._plan.config.seeds["root"], draws, problems, self._workers))
        most = max(rho.shape[1] for _, rho in parts)
        wide = [np.pad(z, [(0, 0), (0, most - z.shape[1]), (0, self._plan.dimension - z.shape[2])]) for z, _ in parts]
        rho = [np.pad(rho, [(0, 0), (0, most - rho.shape[1])]) for _, rho in parts]
        count = [np.full(rho.shape[0], rho.shape[1], np.int64) for _, rho in parts]
        return arrays.Rows(*(np.ascontiguousarray(np.concatenate(part)) for part in (wide, rho, count)))
