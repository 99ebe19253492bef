"""Computing one block of seeds with every schedule: from problems and rates to the arrays of the run file."""

from time import perf_counter

import numpy as np

from . import runfile
from .kernels import arrays, jit
from .kernels.descent import descend_sweep
from .kernels.finish import finish_sweep, mark_out_of_reach
from .kernels.leaps import leap_sweep
from .kernels.losses import losses_sweep
from .plan import BOTH, LEAPS, STEPS, WALKS
from .products import ProductTables
from .results import Buffers
from .stages import batches, longest_table, stages
from .tables import CHUNK, chunks_of
from .walking import kind_of, losses, walk


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
        self.seconds = {}  # by the sweep's name: where the time went
        self._products = ProductTables(plan.schedules, self.launch)
        self._buffers = Buffers(plan)

    def stop(self):
        """Ask for an end, soon."""
        self._tasks[1] = 1

    def launch(self, sweep, *arguments):
        """Run one sweep over all its tasks; Stopped where it was told to."""
        self._tasks[0] = 0
        begin = perf_counter()
        jit.launch(sweep, *arguments, self._tasks, self._workers)
        self.seconds[sweep.__name__] = self.seconds.get(sweep.__name__, 0.0) + perf_counter() - begin
        if self._tasks[1]:
            raise Stopped

    def block(self, first, last):
        """The arrays of seeds first..last - 1 by dataset name, in the run file's types; see `give_back`."""
        batch = self.problems(first, last)
        seeds = _Seeds(self._plan, batch, first, last, self._buffers)
        results = self._buffers.take(last - first, seeds.recorded.size)
        for rows in self._batches():
            if self._plan.engines[rows[0]] == WALKS:
                self._write_walk(seeds, rows, results)
                continue
            course = self._run(seeds, rows)
            self._write_no_averages(rows, results)
            self._write_stops(seeds, rows, course, results)
            if self._plan.points and seeds.recorded.size:
                self._write_trajectories(seeds, rows, course, results)
        if self._plan.stop_residual:
            seeds.mark_absent_axes(results["stop_residual"])
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
        engines = np.array(self._plan.engines)
        for engine in (STEPS, LEAPS, BOTH):
            rows = np.flatnonzero(engines == engine)
            weights = [1 if engine == STEPS else longest_table(self._plan.schedules[s]) for s in rows]
            yield from batches(rows, weights)
        walks = np.flatnonzero(engines == WALKS)
        kinds = [kind_of(*self._plan.methods[s]) for s in walks]
        for kind in dict.fromkeys(kinds):
            rows = walks[[own == kind for own in kinds]]
            yield from batches(rows, np.ones(rows.size, np.int64))

    def _run(self, seeds, rows):
        """Step, flow and stop every cell of some schedules."""
        course = seeds.start(rows.size)
        rates, phase = self._rates(rows)
        elapsed = self._take_steps(seeds, rows, rates, course)
        self.launch(finish_sweep, seeds.landscape.curvature, seeds.cells, rates, course, phase, elapsed)
        mark_out_of_reach(seeds.cells, course)
        return course

    def _rates(self, rows):
        """What the kernels need to know of some schedules besides their rates; and the phases after the steps."""
        schedules = [self._plan.schedules[s] for s in rows]
        length = np.array([schedule.length for schedule in schedules])
        unit = np.array([int(schedule.unit == "sharpness") for schedule in schedules])
        flows = np.array([int(schedule.flows) for schedule in schedules])
        record_step, flow_time = _moments(self._plan, rows)
        last_record = np.where(flows, length, record_step.max(axis=1, initial=0))
        nothing = np.empty((rows.size, 0))
        return arrays.Rates(nothing, nothing, unit, length, record_step, last_record), arrays.Flows(flows, flow_time)

    def _take_steps(self, seeds, rows, rates, course):
        """Take all steps in the way that suits these schedules; return the time that they take."""
        engine = self._plan.engines[rows[0]]
        if engine == STEPS:
            return self._step(seeds, rows, rates, course, chunks_of(rates.length))
        if engine == LEAPS:
            return self._leap(seeds, rows, rates, course, 0, np.zeros(rows.size))
        self._step(seeds, rows, rates, course, 1)
        elapsed = np.array([self._plan.tables.one(s, 0)[1][-1] for s in rows])
        return self._leap(seeds, rows, rates, course, CHUNK, elapsed)

    def _step(self, seeds, rows, rates, course, chunks):
        """Take the steps of the first chunks; return the time of all steps, where somebody needs it."""
        tables, levels = self._plan.tables, self._plan.levels
        for first, eta, time in tables.spans(rows, chunks, ahead=self._workers > 1):
            self.launch(descend_sweep, seeds.cells, rates._replace(eta=eta, time=time), course, first)
            if not seeds.any_stepping(course, rates.length, rates.last_record, first + eta.shape[1]):
                break
        undecided = (course.decided < levels).any(axis=1) & (rates.length <= chunks * CHUNK)
        return np.array([tables.elapsed(s) if needed else 0.0 for s, needed in zip(rows, undecided, strict=True)])

    def _leap(self, seeds, rows, rates, course, first, elapsed):
        """Skip the steps from `first` on, a stage at a time; return the time of all steps, where somebody needs it."""
        before = np.full(rows.size, first)
        own = [stages(self._plan.schedules[s], first) for s in rows]
        for stage in range(max(len(each) for each in own)):
            if not seeds.any_stepping(course, rates.length, rates.last_record, before[:, None]) and before.any():
                break
            pieces, products = self._products.stage(rows, own, stage)
            now = arrays.Pieces(*pieces, before, elapsed)
            self.launch(leap_sweep, seeds.cells, rates, now, products, course)
            elapsed = elapsed + self._products.duration(pieces, products)
            before = before + pieces[1].sum(axis=1)
        return elapsed

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
        if self._plan.stop_residual:  # what the sweep has left in the place of x
            results["stop_residual"][rows] = course.stop_x[:, :, back]

    def _write_trajectories(self, seeds, rows, course, results):
        """Losses, and iterates where they are wanted, at the recorded moments, into the results' rows."""
        iterates = self._plan.config.record["iterates"]
        train, test = results["trajectory_train_loss"], results["trajectory_test_loss"]
        self.launch(losses_sweep, seeds.landscape, seeds.recorded, course.record_x, iterates, rows, train, test)
        if iterates:
            with np.errstate(over="ignore"):
                results["trajectory_iterate"][rows] = seeds.iterates(course.record_x)
            course.record_x.fill(np.nan)

    def _write_walk(self, seeds, rows, results):
        """Walk the cells of some schedules, and write what is known at their stops and recorded moments."""
        rates, _ = self._rates(rows)
        passages = walk(self._plan, seeds, rows, rates, self._rows_of, self.launch)
        found = {"stop_time": seeds.absolute_time(rows, passages.stop_time)}
        found |= {"stop_step": passages.stop_step, "status": passages.status}
        everyone = np.arange(passages.decided.shape[1])
        found |= self._walk_losses(seeds, everyone, "", passages.stop_r, passages.stop_average)
        back = np.argsort(seeds.order)
        for name, values in found.items():
            results[name][rows] = values[..., back]
        if self._plan.stop_residual:
            results["stop_residual"][rows] = passages.stop_r[:, :, back]
        if self._plan.points and seeds.recorded.size:
            moments = passages.record_r, passages.record_average
            for name, values in self._walk_losses(seeds, seeds.recorded, "trajectory_", *moments).items():
                results[name][rows] = values
            if self._plan.config.record["iterates"]:
                results["trajectory_iterate"][rows] = seeds.iterates(passages.record_r)

    @staticmethod
    def _write_no_averages(rows, results):
        """NaN for what only schedules with an average of their iterates have."""
        for name, values in results.items():
            if "average_" in name:
                values[rows] = np.nan

    def _walk_losses(self, seeds, which, prefix, residual, average):
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
        for index, begin, first_draw, last_draw in self._plan.pieces(seeds.first, seeds.last):
            draws = np.arange(first_draw, last_draw, dtype=np.int64)
            own = seeds.problems(slice(begin - seeds.first, begin - seeds.first + draws.size))
            parts.append(self._sources[index].rows(self._plan.config.seeds["root"], draws, own, self._workers))
        most = max(rho.shape[1] for _, rho in parts)
        wide = [np.pad(z, [(0, 0), (0, most - z.shape[1]), (0, self._plan.axes - z.shape[2])]) for z, _ in parts]
        rho = [np.pad(rho, [(0, 0), (0, most - rho.shape[1])]) for _, rho in parts]
        count = [np.full(rho.shape[0], rho.shape[1], np.int64) for _, rho in parts]
        return arrays.Rows(*(np.ascontiguousarray(np.concatenate(part)) for part in (wide, rho, count)))


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
        self.first, self.last = first, last
        pieces = plan.pieces(first, last)
        self.draws = np.concatenate([np.arange(a, b, dtype=np.int64) for _, _, a, b in pieces])
        self.axes = np.concatenate([np.full(b - a, plan.sizes[i][0], np.int64) for i, _, a, b in pieces])
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

    def problems(self, seeds):
        """The problems of some of these seeds."""
        return self._batch._make(values[seeds] for values in self._batch)

    def absolute_time(self, rows, time):
        """Times (S, N, E) of some schedules in absolute learning rates."""
        in_sharpness = np.array([self._plan.schedules[s].unit == "sharpness" for s in rows])[:, None, None]
        return np.where(in_sharpness & (time > 0.0), time / self.unit, time) if in_sharpness.any() else time

    def any_stepping(self, course, length, last_record, step):
        """Whether some cell has a step to take after `step`, a number or (S, 1) of them."""
        if (length[:, None] <= step).all():
            return False
        open_levels = course.decided < self._plan.levels
        to_record = (self.cells.row >= 0) & (course.decided != arrays.GONE) & (last_record[:, None] > step)
        return bool(((open_levels | to_record) & (length[:, None] > step)).any())

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

    def mark_absent_axes(self, residuals):
        """NaN, in place, beyond each seed's own number of axes; residuals (S, N, E, d)."""
        for index, begin, first_draw, last_draw in self._plan.pieces(self.first, self.last):
            seeds = slice(begin - self.first, begin - self.first + last_draw - first_draw)
            residuals[:, seeds, :, self._plan.sizes[index][0] :] = np.nan

    def _mark_absent(self, values):
        """NaN beyond each seed's own number of axes."""
        values = np.array(values)
        for index, begin, first_draw, last_draw in self._plan.pieces(self.first, self.last):
            own = self._plan.sizes[index][0]
            seeds = slice(begin - self.first, begin - self.first + last_draw - first_draw)
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
