"""Computing one block of seeds with every schedule: from problems and rates to the arrays of the run file."""

import math

import numpy as np

from . import runfile
from .kernels import arrays, jit
from .kernels.descent import descend_sweep
from .kernels.finish import finish_sweep, mark_out_of_reach
from .kernels.leaps import leap_sweep
from .kernels.losses import losses_sweep
from .results import Buffers
from .tables import CHUNK

# Schedules are taken in batches whose rate tables stay small.
SCHEDULES_A_BATCH = 256


def environment():
    """What the bits of a run depend on besides the grid, for the run file's attributes."""
    import platform
    from importlib.metadata import version

    name, features = jit.processor()
    return {
        "kernel_digest": jit.digest(),
        "numba_version": version("numba"),
        "numpy_version": np.__version__,
        "h5py_version": version("h5py"),
        "python_version": platform.python_version(),
        "processor": name,
        "processor_features": features,
    }


class Stopped(Exception):
    """The work was told to stop; what it had in hand is dropped."""


class Engine:
    """Computes blocks of a plan. `stop()`, from any thread, makes the kernels in hand return at their next task."""

    def __init__(self, plan, sources, threads=None):
        self._plan, self._sources = plan, sources
        jit.set_threads(threads)
        self._workers = jit.threads()
        self._tasks = np.zeros(2, np.int64)
        self._buffers = Buffers(plan)

    def stop(self):
        """Ask for an end, soon."""
        self._tasks[1] = 1

    def launch(self, sweep, *arguments):
        """Run one sweep over all its tasks; Stopped where it was told to."""
        self._tasks[0] = 0
        jit.launch(sweep, *arguments, self._tasks, self._workers)
        if self._tasks[1]:
            raise Stopped

    def block(self, first, last):
        """The arrays of seeds first..last - 1 by dataset name, in the run file's types; see `give_back`."""
        batch = self.problems(first, last)
        seeds = _Seeds(self._plan, batch, first, last, self._buffers)
        results = self._buffers.take(last - first, seeds.recorded.size)
        for rows in self._batches():
            course = self._run(seeds, rows)
            self._write_stops(seeds, rows, course, results)
            if self._plan.points and seeds.recorded.size:
                self._write_trajectories(seeds, rows, course, results)
        return seeds.all_arrays(results)

    def give_back(self, arrays):
        """Let another block have the memory of a block's arrays, once they have been written."""
        self._buffers.give_back(arrays)

    def problems(self, first, last):
        """The problems of these seeds, as one Batch; axes that a seed lacks have curvature and residual 0."""
        parts = []
        for index, _, first_draw, last_draw in self._plan.pieces(first, last):
            draws = np.arange(first_draw, last_draw, dtype=np.int64)
            source = self._sources[index]
            parts.append(_pad(source.draw(self._plan.config.seeds["root"], draws, self._workers), self._plan.axes))
        return parts[0]._make(np.ascontiguousarray(np.concatenate(columns)) for columns in zip(*parts, strict=True))

    def _batches(self):
        """The schedules in batches of one engine each, as arrays of their indices."""
        leaping = np.array([pieces is not None for pieces in self._plan.pieces_of])
        for rows in (np.flatnonzero(~leaping), np.flatnonzero(leaping)):
            for begin in range(0, rows.size, SCHEDULES_A_BATCH):
                yield rows[begin : begin + SCHEDULES_A_BATCH]

    def _run(self, seeds, rows):
        """Step, flow and stop every cell of some schedules."""
        plan = self._plan
        schedules = [plan.schedules[s] for s in rows]
        course = seeds.start(rows.size)
        length = np.array([schedule.length for schedule in schedules])
        unit = np.array([int(schedule.unit == "sharpness") for schedule in schedules])
        flows = np.array([int(schedule.flows) for schedule in schedules])
        record_step, flow_time = _moments(plan, rows)
        last_record = np.where(flows, length, record_step.max(axis=1, initial=0))
        nothing = np.empty((rows.size, 0))
        rates = arrays.Rates(nothing, nothing, unit, length, record_step, last_record)
        if plan.pieces_of[rows[0]] is None:
            elapsed = self._step(seeds, rows, rates, course)
        else:
            elapsed = self._leap(seeds, rows, rates, course)
        phase = arrays.Flows(flows, flow_time)
        self.launch(finish_sweep, seeds.landscape.curvature, seeds.cells, rates, course, phase, elapsed)
        mark_out_of_reach(seeds.cells, course)
        return course

    def _step(self, seeds, rows, rates, course):
        """Take all steps, a chunk of them at a time; return the time that they take, where somebody needs it."""
        tables, levels = self._plan.tables, self._plan.levels
        for chunk in range(max(1, -(-int(rates.length.max()) // CHUNK))):
            eta, time = tables.chunk(rows, chunk)
            self.launch(descend_sweep, seeds.cells, rates._replace(eta=eta, time=time), course, chunk * CHUNK)
            if not seeds.any_stepping(course, rates.length, rates.last_record, (chunk + 1) * CHUNK):
                break
        undecided = (course.decided < levels).any(axis=1)
        return np.array([tables.elapsed(s) if needed else 0.0 for s, needed in zip(rows, undecided, strict=True)])

    def _leap(self, seeds, rows, rates, course):
        """Skip all steps; return the time that they take."""
        pieces = [self._plan.pieces_of[s] for s in rows]
        shape = len(pieces), max(len(own) for own in pieces)
        eta, steps = np.zeros(shape), np.zeros(shape, np.int64)
        for i, own in enumerate(pieces):
            eta[i, : len(own)], steps[i, : len(own)] = zip(*own, strict=True)
        self.launch(leap_sweep, seeds.cells, rates, eta, steps, course)
        return np.array([math.fsum(rate * count for rate, count in own) for own in pieces])

    def _write_stops(self, seeds, rows, course, results):
        """What is known at the stops, in the levels' own order, into the results' rows."""
        everyone, back = np.arange(course.x.shape[1]), np.argsort(seeds.order)
        found = {"stop_time": seeds.absolute_time(rows, course.stop_time)}
        found |= {"stop_step": course.stop_step, "status": course.status}
        if (seeds.order == np.arange(back.size)).all():
            train, test, place = results["train_loss"], results["test_loss"], rows
        else:
            train, test, place = np.empty(course.status.shape), np.empty(course.status.shape), np.arange(rows.size)
            found |= {"train_loss": train, "test_loss": test}
        self.launch(losses_sweep, seeds.landscape, everyone, course.stop_x, True, place, train, test)
        for name, values in found.items():
            results[name][rows] = values if place is rows else values[..., back]

    def _write_trajectories(self, seeds, rows, course, results):
        """Losses, and iterates where they are wanted, at the recorded moments, into the results' rows."""
        iterates = self._plan.config.record["iterates"]
        train, test = results["trajectory_train_loss"], results["trajectory_test_loss"]
        self.launch(losses_sweep, seeds.landscape, seeds.recorded, course.record_x, iterates, rows, train, test)
        if iterates:
            with np.errstate(over="ignore"):
                results["trajectory_iterate"][rows] = seeds.iterates(course.record_x)
            course.record_x.fill(np.nan)


def _moments(plan, rows):
    """Recorded steps (-1 in slots that lie in a flow) and flow times (NaN in the others) of some schedules."""
    if not plan.points:
        return np.empty((rows.size, 0), np.int64), np.empty((rows.size, 0))
    steps, flow_time = plan.record_step[rows], plan.record_flow_time[rows]
    return np.where(np.isnan(flow_time), steps, -1), flow_time


def _pad(batch, axes):
    """A batch with the axes that it lacks: zeros."""
    lacking = axes - batch.curvature.shape[1]
    if not lacking:
        return batch
    widths = {1: [(0, 0)], 2: [(0, 0), (0, lacking)], 3: [(0, 0), (0, lacking), (0, lacking)]}
    return batch._make(np.pad(values, widths[values.ndim]) for values in batch)


class _Seeds:
    """The seeds of one block, as the kernels want them."""

    def __init__(self, plan, batch, first, last, buffers):
        self._plan, self._batch, self._buffers = plan, batch, buffers
        self._first, self._last = first, last
        count = batch.curvature.shape[0]
        self.sharpness = batch.curvature.max(axis=1)
        self.unit = np.where(self.sharpness > 0.0, self.sharpness, 1.0)[:, None]
        self.order, threshold = thresholds(plan.config, batch.train_floor)
        _, recorded = plan.recorded_rows(first, last)
        self.recorded = recorded - first
        row = np.full(count, -1, np.int64)
        row[self.recorded] = np.arange(self.recorded.size)
        self.cells = arrays.Cells(np.stack([batch.curvature, batch.curvature / self.unit]), threshold, row)
        self.landscape = arrays.Landscape(
            *(batch.curvature, batch.initial_residual, batch.offset, batch.test_matrix),
            *(batch.train_floor, batch.test_floor),
        )

    def start(self, schedules):
        """The course of every cell before its first step."""
        x = np.sqrt(self._batch.curvature) * self._batch.initial_residual
        x = np.broadcast_to(x, (schedules, *x.shape)).copy()
        shape = (schedules, self.recorded.size, self._plan.points, x.shape[2])
        return arrays.empty_course(x, self._plan.levels, 0, 0)._replace(record_x=self._buffers.moments(shape))

    def absolute_time(self, rows, time):
        """Times (S, N, E) of some schedules in absolute learning rates."""
        in_sharpness = np.array([self._plan.schedules[s].unit == "sharpness" for s in rows])[:, None, None]
        return np.where(in_sharpness & (time > 0.0), time / self.unit, time) if in_sharpness.any() else time

    def any_stepping(self, course, length, last_record, step):
        """Whether some cell has a step to take after `step`."""
        open_levels = course.decided < self._plan.levels
        to_record = (self.cells.row >= 0) & (course.decided != arrays.GONE) & (last_record > step)[:, None]
        return bool(((open_levels | to_record) & (length > step)[:, None]).any())

    def iterates(self, residual):
        """theta = theta_hat + Q r at recorded moments, residual (S, R, K, d)."""
        axes = self._batch.curvature_axes[self.recorded]
        # A sum over axes in a fixed order: einsum without BLAS.
        theta = np.einsum("rij,srkj->srki", axes, residual, optimize=False)
        return theta + self._batch.train_minimiser[self.recorded][:, None, :]

    def all_arrays(self, results):
        """The results beside the problem's own datasets; axes that a seed lacks are NaN."""
        problem = {"sharpness": self.sharpness, **self._batch._asdict()}
        names = [field.name for field in runfile.block_fields(self._plan) if field.name not in results]
        return {name: self._mark_absent(problem[name]) for name in names} | results

    def _mark_absent(self, values):
        """NaN beyond each seed's own number of axes."""
        values = np.array(values)
        for index, begin, first_draw, last_draw in self._plan.pieces(self._first, self._last):
            own = self._plan.sizes[index][0]
            seeds = slice(begin - self._first, begin - self._first + last_draw - first_draw)
            if values.ndim > 1:
                values[seeds, own:] = np.nan
            if values.ndim > 2:
                values[seeds, :, own:] = np.nan
        return values


def thresholds(config, train_floor):
    """Which level is the k-th highest (E,), and what sum_i x_i^2 must fall to for it (N, E); -1 where out of reach.

    2 (level - floor), rounded so that floor + 1/2 threshold is never above the level: a cell that has passed has a
    train loss at or below the level in the file too.
    """
    levels = np.array(config.levels)
    order = np.argsort(-levels, kind="stable")
    excess = np.broadcast_to(levels[order], (train_floor.size, levels.size)).copy()
    if config.level_kind == "train_loss":
        wanted = excess.copy()
        excess -= train_floor[:, None]
        above = train_floor[:, None] + excess > wanted
        excess[above] = np.nextafter(excess[above], -np.inf)
    return order, np.where(excess > 0.0, 2.0 * excess, -1.0)
