"""Exact gradient descent of a block of seeds, by steps or by leaps, to the first passages and recorded moments."""

import numpy as np

from ..kernels import arrays
from ..kernels.descent.closed_form import leap_sweep
from ..kernels.descent.ending import finish_sweep
from ..kernels.descent.recurrence import descend_sweep
from ..plan.engines import CLOSED_FORM, RECURRENCE
from ..plan.rate_tables import CHUNK, chunks_of
from ..plan.stages import stages
from .product_tables import ProductTables


class Descending:
    """Takes the steps of a plan's schedules; `launch` runs a sweep over all its tasks, on so many `workers`."""

    def __init__(self, plan, launch, workers):
        self._plan, self._launch, self._workers = plan, launch, workers
        self._products = ProductTables(plan.schedules, launch)

    def rates(self, rows):
        """What the kernels need to know of some schedules besides their rates; and the phases after the steps."""
        schedules = [self._plan.schedules[s] for s in rows]
        length = np.array([schedule.length for schedule in schedules])
        unit = np.array([int(schedule.unit == "sharpness") for schedule in schedules])
        flows = np.array([int(schedule.flows) for schedule in schedules])
        record_step, flow_time = _moments(self._plan, rows)
        last_record = np.where(flows, length, record_step.max(axis=1, initial=0))
        nothing = np.empty((rows.size, 0))
        return arrays.Rates(nothing, nothing, unit, length, record_step, last_record), arrays.Flows(flows, flow_time)

    def run(self, curvature, cells, course, rows, rates, phase):
        """Step every cell of some schedules, and let it flow or end, until its levels and moments are passed."""
        elapsed = self._take_steps(cells, rows, rates, course)
        self._launch(finish_sweep, curvature, cells, rates, course, phase, elapsed)

    def _take_steps(self, cells, rows, rates, course):
        """Take all steps in the way that suits these schedules; return the time that they take."""
        engine = self._plan.engines[rows[0]]
        if engine == RECURRENCE:
            return self._step(cells, rows, rates, course, chunks_of(rates.length))
        if engine == CLOSED_FORM:
            return self._leap(cells, rows, rates, course, 0, np.zeros(rows.size))
        self._step(cells, rows, rates, course, 1)
        elapsed = np.array([self._plan.tables.one(s, 0)[1][-1] for s in rows])
        return self._leap(cells, rows, rates, course, CHUNK, elapsed)

    def _step(self, cells, rows, rates, course, chunks):
        """Take the steps of the first chunks; return the time of all steps, where somebody needs it."""
        tables, levels = self._plan.tables, cells.threshold.shape[1]
        for first, eta, time in tables.spans(rows, chunks, ahead=self._workers > 1):
            self._launch(descend_sweep, cells, rates._replace(eta=eta, time=time), course, first)
            if not any_stepping(cells, course, rates.length, rates.last_record, first + eta.shape[1]):
                break
        undecided = (course.decided < levels).any(axis=1) & (rates.length <= chunks * CHUNK)
        return np.array([tables.elapsed(s) if needed else 0.0 for s, needed in zip(rows, undecided, strict=True)])

    def _leap(self, cells, rows, rates, course, first, elapsed):
        """Skip the steps from `first` on, a stage at a time; return the time of all steps, where somebody needs it."""
        before = np.full(rows.size, first)
        own = [stages(self._plan.schedules[s], first) for s in rows]
        for stage in range(max(len(each) for each in own)):
            if before.any() and not any_stepping(cells, course, rates.length, rates.last_record, before[:, None]):
                break
            pieces, products = self._products.stage(rows, own, stage)
            now = arrays.Pieces(*pieces, before, elapsed)
            self._launch(leap_sweep, cells, rates, now, products, course)
            elapsed = elapsed + self._products.duration(pieces, products)
            before = before + pieces[1].sum(axis=1)
        return elapsed


def any_stepping(cells, course, length, last_record, step):
    """Whether some cell has a step to take after `step`, a number or (S, 1) of them; course is a Course or Passages."""
    if (length[:, None] <= step).all():
        return False
    open_levels = course.decided < cells.threshold.shape[1]
    to_record = (cells.row >= 0) & (course.decided != arrays.GONE) & (last_record[:, None] > step)
    return bool(((open_levels | to_record) & (length[:, None] > step)).any())


def _moments(plan, rows):
    """Recorded steps (-1 in slots that lie in a flow) and flow times (NaN in the others) of some schedules."""
    if not plan.points:
        return np.empty((rows.size, 0), np.int64), np.empty((rows.size, 0))
    steps, flow_time = plan.record_step[rows], plan.record_flow_time[rows]
    return np.where(np.isnan(flow_time), steps, -1), flow_time
