"""Where runs stop by the rules that are no train loss: after budgets of steps, or by their validation loss.

What is found is {field: array} with the fields of a Course or Passages, levels ascending: status, stop_step and
stop_time (S, N, E), and stop_x, or stop_r and stop_average (S, N, E, d); with validation also stop_look_step (S, N, E),
the step of the check that stopped the run.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..config.stop import VALIDATION
from ..kernels import arrays
from ..kernels.descent.recurrence import descend_sweep
from ..plan.block_size import WINDOW
from ..plan.engines import CLOSED_FORM
from ..plan.plan import Plan
from ..plan.rate_tables import chunks_of
from . import step_budgets
from .block_inputs import BlockSeeds
from .deterministic import ExactDescent
from .early_stopping import EarlyStopping, closed_form_and_check, losses_of_r, losses_of_x, step_and_check
from .stochastic import Stochastic

Found = dict[str, NDArray]


class StopRules:
    """Stops the schedules of a plan. `launch` runs a sweep over all its tasks, on so many `workers`."""

    def __init__(self, plan: Plan, exact: ExactDescent, launch: Callable, workers: int):
        self._plan, self._exact, self._launch, self._workers = plan, exact, launch, workers
        self._stop = plan.config.stop

    def of_exact_descent(self, seeds: BlockSeeds, rows: NDArray[np.int64]) -> Found:
        """The stops of the schedules `rows` (S,) with exact gradient descent."""
        if VALIDATION in self._stop:
            return self._validated_descent(seeds, rows)
        return self._budgeted_descent(seeds, rows)

    def _budgeted_descent(self, seeds, rows):
        """Exact gradient descent to every budget of steps."""
        cells, (rates, phase) = step_budgets.without_levels(seeds.cells), self._exact.rates(rows)
        budgets = self._budgets()
        course = arrays.empty_course(seeds.start_x(rows.size), 1, cells.row.size, budgets.size + 1)
        own, phase = step_budgets.rates_to(rates, budgets), phase._replace(flows=np.zeros_like(phase.flows))
        self._exact.run(seeds.landscape.curvature, cells, course, rows, own, phase)
        return self._at_budgets(rows, rates.length, course, {"stop_x": course.stop_x}, {"stop_x": course.record_x})

    def _validated_descent(self, seeds, rows):
        """Exact gradient descent until no patience is left."""
        cells, (rates, _) = step_budgets.without_levels(seeds.cells), self._exact.rates(rows)
        x = seeds.start_x(rows.size)
        course = arrays.empty_course(x, 1, cells.row.size, WINDOW + 1)
        no_average = np.empty((*x.shape[:2], 0))
        quadratic = losses_of_x(seeds.landscape, seeds.validation)
        stopping = EarlyStopping(self._stop[VALIDATION], quadratic, course, x, no_average, self._launch)
        if self._plan.engines[rows[0]] == CLOSED_FORM:
            schedules = [self._plan.schedules[s] for s in rows]
            closed_form_and_check(schedules, cells, rates, stopping, self._launch)
        else:
            self._step_and_check(rows, cells, rates, stopping)
        return self._where_stopped(rows, rates, stopping, {"stop_x": course.x}, {"stop_x": course.stop_x})

    def _step_and_check(self, rows, cells, rates, stopping):
        """Take all steps of exact gradient descent one by one, and check."""
        course = stopping.course

        def take(now, first):
            self._launch(descend_sweep, cells, now, course, first)

        moments = course.record_x, np.empty((*course.record_x.shape[:3], 0))
        spans = self._plan.tables.spans(rows, chunks_of(rates.length), ahead=self._workers > 1)
        step_and_check(spans, cells, rates, stopping, take, moments)

    def of_stochastic(
        self, seeds: BlockSeeds, rows: NDArray[np.int64], rows_of: Callable[[BlockSeeds], arrays.Rows]
    ) -> Found:
        """The stops of the schedules `rows` (S,) with one kind of stochastic steps, on the train rows `rows_of`."""
        cells, (rates, _) = step_budgets.without_levels(seeds.cells), self._exact.rates(rows)
        validation = seeds.validation  # given where, and only where, it stops runs
        moments = self._budgets().size if validation is None else WINDOW
        steps = Stochastic(self._plan, seeds, rows, cells, moments + 1, rows_of, self._launch)
        state, passages = steps.state, steps.passages
        end = {"stop_r": passages.stop_r, "stop_average": passages.stop_average}
        if validation is None:
            steps.run(step_budgets.rates_to(rates, self._budgets()))
            recorded = {"stop_r": passages.record_r, "stop_average": passages.record_average}
            return self._at_budgets(rows, rates.length, passages, end, recorded)
        quadratic = losses_of_r(validation)
        stopping = EarlyStopping(self._stop[VALIDATION], quadratic, passages, state.r, state.average, self._launch)
        spans = self._plan.tables.spans(rows, chunks_of(rates.length), ahead=True)
        step_and_check(spans, cells, rates, stopping, steps.take, (passages.record_r, passages.record_average))
        return self._where_stopped(rows, rates, stopping, {"stop_r": state.r, "stop_average": state.average}, end)

    def _budgets(self):
        """The budgets of steps, ascending."""
        return np.sort(np.array(self._stop["steps"]))

    def _at_budgets(self, rows, length, course, end, moments):
        """What the cells were after each budget."""
        budgets = self._budgets()
        taken = np.minimum(budgets, length[:, None])
        times = np.stack([self._plan.tables.at(s, steps)[1] for s, steps in zip(rows, taken, strict=True)])
        ends = course.status, course.stop_step, course.stop_time, end
        return step_budgets.stopped(budgets, times, length, ends, moments)

    def _where_stopped(self, rows, rates, stopping, now, end):
        """Where the patiences ended, or the schedules."""
        elapsed = np.array([self._plan.tables.elapsed(s) for s in rows])
        return stopping.stops(rates.length, elapsed, now, end)
