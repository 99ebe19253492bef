"""Exact gradient descent of a block of seeds, by steps or in closed form, to first passages and recorded moments."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ..kernels import arrays
from ..kernels.descent.closed_form import closed_form_sweep
from ..kernels.descent.ending import finish_sweep
from ..kernels.descent.recurrence import descend_sweep
from ..plan.engines import CLOSED_FORM, RECURRENCE
from ..plan.plan import Plan
from ..plan.rate_tables import CHUNK, chunks_of
from ..plan.stages import stages
from ..schedules.schedule import Schedule
from .product_tables import ProductTables

# Up to so many rates of a piece are all looked at for the largest one; of more, some.
MOST_RATES, SPACED_RATES = 1 << 20, 1 << 8


class ExactDescent:
    """Takes the steps of a plan's schedules.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    launch : callable
        `launch(sweep, *arguments)` runs a sweep over all its tasks.
    workers : int
        The number of threads that it runs on.
    """

    def __init__(self, plan: Plan, launch: Callable, workers: int):
        self._plan, self._launch, self._workers = plan, launch, workers
        self._products = ProductTables(plan.schedules, launch)
        self._peaks: dict[int, float] = {}

    def rates(self, indices: NDArray[np.int64]) -> tuple[arrays.Rates, arrays.Flows]:
        """What the kernels need to know of some schedules besides their rates; and the flows after them.

        Parameters
        ----------
        indices : (S,) int64
            Which of the plan's schedules.

        Returns
        -------
        Rates
            Without rates and times. Of the K recorded moments, record_step (S, K) is -1 in slots that lie in a flow.
        Flows
            flow_time (S, K) is NaN in slots that do not.
        """
        schedules = [self._plan.schedules[s] for s in indices]
        length = np.array([schedule.length for schedule in schedules])
        unit = np.array([int(schedule.unit == "sharpness") for schedule in schedules])
        flows = np.array([int(schedule.flows) for schedule in schedules])
        record_step, flow_time = np.empty((indices.size, 0), np.int64), np.empty((indices.size, 0))
        if self._plan.points:
            flow_time = self._plan.record_flow_time[indices]
            record_step = np.where(np.isnan(flow_time), self._plan.record_step[indices], -1)
        last_record = np.where(flows, length, record_step.max(axis=1, initial=0))
        nothing = np.empty((indices.size, 0))
        peak = np.array([self._peak(s) for s in indices])
        rates = arrays.Rates(nothing, nothing, unit, length, record_step, last_record, peak)
        return rates, arrays.Flows(flows, flow_time)

    def _peak(self, s):
        """The largest rate of schedule s; where it varies over very many steps, of evenly spaced ones."""
        if s not in self._peaks:
            schedule = self._plan.schedules[s]
            self._peaks[s] = schedule.plateau.get("learning_rate") or largest_rate(schedule)
        return self._peaks[s]

    def run(
        self, curvature: NDArray[np.float64], cells: arrays.Cells, course: arrays.Course, indices: NDArray[np.int64],
        rates: arrays.Rates, flows: arrays.Flows,
    ) -> None:  # fmt: skip
        """Step every cell of some schedules, and let it flow or end, until its levels and moments are passed.

        Parameters
        ----------
        curvature : (N, d), lam of the block's seeds.
        cells : of N seeds.
        course : of (S, N) cells, updated.
        indices : (S,) which of the plan's schedules they are; all of one engine.
        rates, flows : what `rates(indices)` gives.
        """
        engine = self._plan.engines[indices[0]]
        if engine == RECURRENCE:
            elapsed = self._step(cells, indices, rates, course, chunks_of(rates.length))
        elif engine == CLOSED_FORM:
            elapsed = self._skip(cells, indices, rates, course, 0, np.zeros(indices.size))
        else:
            self._step(cells, indices, rates, course, 1)
            elapsed = np.array([self._plan.tables.one(s, 0)[1][-1] for s in indices])
            elapsed = self._skip(cells, indices, rates, course, CHUNK, elapsed)
        self._launch(finish_sweep, curvature, cells, rates, course, flows, elapsed)

    def _step(self, cells, indices, rates, course, chunks):
        """Take the steps of the first chunks; return the time of all steps, where somebody needs it."""
        tables, levels = self._plan.tables, cells.threshold.shape[1]
        step_through(tables.spans(indices, chunks, ahead=self._workers > 1), cells, rates, course, self._launch)
        undecided = (course.decided < levels).any(axis=1) & (rates.length <= chunks * CHUNK)
        return np.array([tables.elapsed(s) if needed else 0.0 for s, needed in zip(indices, undecided, strict=True)])

    def _skip(self, cells, indices, rates, course, first, elapsed):
        """Skip the steps from `first` on, a stage at a time; return the time of all steps, where somebody needs it."""
        before = np.full(indices.size, first)
        stages_of_each = [stages(self._plan.schedules[s], first) for s in indices]
        for stage in range(max(len(each) for each in stages_of_each)):
            if before.any() and not any_stepping(cells, course, rates, before[:, None]):
                break
            pieces, products = self._products.stage(indices, stages_of_each, stage)
            stretch = arrays.Pieces(*pieces, before, elapsed)
            self._launch(closed_form_sweep, cells, rates, stretch, products, course)
            elapsed = elapsed + self._products.duration(pieces, products)
            before = before + pieces[1].sum(axis=1)
        return elapsed


def largest_rate(schedule: Schedule) -> float:
    """The largest rate of a schedule's steps, 0 where it has none; of very many that vary, evenly spaced ones count."""
    found = 0.0
    for first, steps, rate in schedule.pieces():
        if rate is not None:
            found = max(found, rate)
        elif steps <= MOST_RATES:
            found = max(found, float(schedule.rates(first, first + steps).max()))
        else:
            spaced = np.unique(np.linspace(0, steps - 1, SPACED_RATES).astype(np.int64))
            found = max(found, *(float(schedule.rates(first + t, first + t + 1)[0]) for t in spaced))
    return found


Span = tuple[int, NDArray[np.float64], NDArray[np.float64]]


def step_through(
    spans: Iterable[Span], cells: arrays.Cells, rates: arrays.Rates, course: arrays.Course, launch: Callable
) -> None:
    """Take the steps of some spans as long as a cell has one to take.

    Parameters
    ----------
    spans : of (first step, eta (S, T), time (S, T + 1)), one after the other.
    cells : of N seeds.
    rates : of S schedules; its eta and time are not read.
    course : of (S, N) cells, updated.
    launch : runs a sweep over all its tasks.
    """
    for first, eta, time in spans:
        launch(descend_sweep, cells, rates._replace(eta=eta, time=time), course, first)
        if not any_stepping(cells, course, rates, first + eta.shape[1]):
            break


def any_stepping(
    cells: arrays.Cells, course: arrays.Course | arrays.Passages, rates: arrays.Rates, step: int | NDArray[np.int64]
) -> bool:
    """Whether some cell has a step to take.

    Parameters
    ----------
    cells : of N seeds.
    course : of (S, N) cells.
    rates : of S schedules.
    step : int or (S, 1)
        How many steps each schedule has taken.
    """
    length, last_record = rates.length, rates.last_record
    if (length[:, None] <= step).all():
        return False
    open_levels = course.decided < cells.threshold.shape[1]
    to_record = (cells.row >= 0) & (course.decided != arrays.ENDED) & (last_record[:, None] > step)
    return bool(((open_levels | to_record) & (length[:, None] > step)).any())
