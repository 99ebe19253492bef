"""Where runs stop by the rules that are no train loss: after budgets of steps, or by their validation loss.

What is found is {field: array} with the fields of a Course or Passages, levels ascending: status, stop_step and
stop_time (S, N, E), and stop_x, or stop_r and stop_average (S, N, E, d); with validation also stop_look_step (S, N, E).
"""

import numpy as np

from ..config.stop import VALIDATION
from ..kernels import arrays
from ..kernels.descent.recurrence import descend_sweep
from ..plan.block_size import WINDOW
from ..plan.engines import CLOSED_FORM
from ..plan.rate_tables import chunks_of
from . import step_budgets
from .early_stopping import Looking, leap_and_look, losses_of_r, losses_of_x, step_and_look
from .stochastic import Walk


class Stops:
    """Stops the schedules of a plan. `launch` runs a sweep over all its tasks, on so many `workers`."""

    def __init__(self, plan, descending, launch, workers):
        self._plan, self._descending, self._launch, self._workers = plan, descending, launch, workers
        self._stop = plan.config.stop

    def of_descent(self, seeds, rows):
        """The stops of schedules with exact gradient descent."""
        cells, (rates, phase) = step_budgets.without_levels(seeds.cells), self._descending.rates(rows)
        x, count = seeds.start_x(rows.size), cells.row.size
        if VALIDATION not in self._stop:
            spent = np.sort(np.array(self._stop["steps"]))
            course = arrays.empty_course(x, 1, count, spent.size + 1)
            own, phase = step_budgets.rates_to(rates, spent), phase._replace(flows=np.zeros_like(phase.flows))
            self._descending.run(seeds.landscape.curvature, cells, course, rows, own, phase)
            return self._spent(
                rows, spent, rates.length, course, {"stop_x": course.stop_x}, {"stop_x": course.record_x}
            )
        course = arrays.empty_course(x, 1, count, WINDOW + 1)
        quadratic = losses_of_x(seeds.landscape, seeds.validation)
        nothing = np.empty((*x.shape[:2], 0))
        looking = Looking(self._stop[VALIDATION], quadratic, course, x, nothing, self._launch)
        self._descend_and_look(rows, cells, rates, looking)
        return self._looked(rows, rates, course, looking, {"stop_x": course.x}, {"stop_x": course.stop_x})

    def of_walk(self, seeds, rows, rows_of):
        """The stops of schedules of one kind of walk."""
        cells, (rates, _) = step_budgets.without_levels(seeds.cells), self._descending.rates(rows)
        validated = VALIDATION in self._stop
        spent = None if validated else np.sort(np.array(self._stop["steps"]))
        points = WINDOW + 1 if validated else spent.size + 1
        walk = Walk(self._plan, seeds, rows, cells, points, rows_of, self._launch)
        state, passages = walk.state, walk.passages
        end = {"stop_r": passages.stop_r, "stop_average": passages.stop_average}
        if not validated:
            walk.run(step_budgets.rates_to(rates, spent))
            moments = {"stop_r": passages.record_r, "stop_average": passages.record_average}
            return self._spent(rows, spent, rates.length, passages, end, moments)
        looking = Looking(
            self._stop[VALIDATION], losses_of_r(seeds.validation), passages, state.r, state.average, self._launch
        )
        spans = self._plan.tables.spans(rows, chunks_of(rates.length), ahead=True)
        step_and_look(spans, cells, rates, looking, walk.take, (passages.record_r, passages.record_average))
        return self._looked(rows, rates, passages, looking, {"stop_r": state.r, "stop_average": state.average}, end)

    def _spent(self, rows, spent, length, course, end, moments):
        """What the cells were when each budget was spent."""
        taken = np.minimum(spent, length[:, None])
        times = np.stack([self._plan.tables.at(s, steps)[1] for s, steps in zip(rows, taken, strict=True)])
        return step_budgets.stopped(
            spent, times, length, (course.status, course.stop_step, course.stop_time, end), moments
        )

    def _descend_and_look(self, rows, cells, rates, looking):
        """Take all steps, by themselves or a window at a time, and look."""
        course = looking.course
        if self._plan.engines[rows[0]] == CLOSED_FORM:
            schedules = [self._plan.schedules[s] for s in rows]
            leap_and_look(schedules, cells, rates, looking, self._launch)
            return

        def take(now, first):
            self._launch(descend_sweep, cells, now, course, first)

        moments = course.record_x, np.empty((*course.record_x.shape[:3], 0))
        spans = self._plan.tables.spans(rows, chunks_of(rates.length), ahead=self._workers > 1)
        step_and_look(spans, cells, rates, looking, take, moments)

    def _looked(self, rows, rates, course, looking, now, end):
        """Where the patiences ended, or the schedules."""
        elapsed = np.array([self._plan.tables.elapsed(s) for s in rows])
        return looking.stops(rates.length, elapsed, now, end)
