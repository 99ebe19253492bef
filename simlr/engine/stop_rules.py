"""Where runs stop by the rules that are no train loss: after budgets of steps, or by their validation loss.

Stops are {field: array} with the fields of a Course or Passages, levels ascending: status, stop_step and stop_time
(S, N, E), and stop_x, or stop_r and stop_average (S, N, E, d); with validation also stop_look_step (S, N, E), the step
of the check that stopped the run.
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

Stops = dict[str, NDArray]


class StopRules:
    """Stops the schedules of a plan.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    exact : ExactDescent
        Of the same plan.
    launch, workers
        As of `ExactDescent`.
    """

    def __init__(self, plan: Plan, exact: ExactDescent, launch: Callable, workers: int):
        self._plan, self._exact, self._launch, self._workers = plan, exact, launch, workers
        self._stop = plan.config.stop

    def of_exact_descent(self, seeds: BlockSeeds, indices: NDArray[np.int64]) -> Stops:
        """The stops of some schedules with exact gradient descent.

        Parameters
        ----------
        seeds : BlockSeeds
            The N seeds of a block.
        indices : (S,) int64
            Which of the plan's schedules; all of one engine.
        """
        if VALIDATION in self._stop:
            return self._until_no_patience(seeds, indices)
        cells, (rates, flows) = step_budgets.without_levels(seeds.cells), self._exact.rates(indices)
        budgets = self._budgets()
        course = arrays.empty_course(seeds.start_x(indices.size), 1, cells.row.size, budgets.size + 1)
        no_flows, to_budgets = flows._replace(flows=np.zeros_like(flows.flows)), step_budgets.rates_to(rates, budgets)
        self._exact.run(seeds.landscape.curvature, cells, course, indices, to_budgets, no_flows)
        return self._at_budgets(indices, rates.length, course, {"stop_x": course.stop_x}, {"stop_x": course.record_x})

    def _until_no_patience(self, seeds, indices):
        """Exact gradient descent until no patience is left."""
        cells, (rates, _) = step_budgets.without_levels(seeds.cells), self._exact.rates(indices)
        x = seeds.start_x(indices.size)
        course = arrays.empty_course(x, 1, cells.row.size, WINDOW + 1)
        no_average = np.empty((*x.shape[:2], 0))
        quadratic = losses_of_x(seeds.landscape, seeds.validation)
        stopping = EarlyStopping(self._stop[VALIDATION], quadratic, course, x, no_average, self._launch)

        def take(window, first):
            self._launch(descend_sweep, cells, window, course, first)

        if self._plan.engines[indices[0]] == CLOSED_FORM:
            schedules = [self._plan.schedules[s] for s in indices]
            closed_form_and_check(schedules, cells, rates, stopping, self._launch)
        else:
            moments = course.record_x, np.empty((*course.record_x.shape[:3], 0))
            spans = self._plan.tables.spans(indices, chunks_of(rates.length), ahead=self._workers > 1)
            step_and_check(spans, cells, rates, stopping, take, moments)
        return self._where_stopped(indices, rates, stopping, {"stop_x": course.x}, {"stop_x": course.stop_x})

    def of_stochastic(
        self, seeds: BlockSeeds, indices: NDArray[np.int64], train_rows: Callable[[BlockSeeds], arrays.Rows]
    ) -> Stops:
        """The stops of some schedules with one kind of stochastic steps.

        Parameters
        ----------
        seeds : BlockSeeds
            The N seeds of a block.
        indices : (S,) int64
            Which of the plan's schedules; all of one kind, see `stochastic.kind_of`.
        train_rows : callable
            As of `Stochastic`.
        """
        cells, (rates, _) = step_budgets.without_levels(seeds.cells), self._exact.rates(indices)
        steps = Stochastic(self._plan, seeds, indices, cells, self.moments, train_rows, self._launch)
        stopping = None
        if VALIDATION in self._stop:
            assert seeds.validation is not None
            rule, quadratic, state = self._stop[VALIDATION], losses_of_r(seeds.validation), steps.state
            stopping = EarlyStopping(rule, quadratic, steps.passages, state.r, state.average, self._launch)
        return self.of_steps(steps, indices, rates, stopping)

    @property
    def moments(self) -> int:
        """At how many steps cells are looked at together: the budgets, or the checks of a window, and the start."""
        return 1 + (WINDOW if VALIDATION in self._stop else self._budgets().size)

    def of_steps(
        self, steps: Stochastic, indices: NDArray[np.int64], rates: arrays.Rates, stopping: EarlyStopping | None
    ) -> Stops:
        """The stops of some schedules that have taken no step yet.

        Parameters
        ----------
        steps : Stochastic
            Takes their steps, and records as many `moments`; its cells have no levels.
        indices : (S,) int64
            Which of the plan's schedules.
        rates : arrays.Rates
            As of `ExactDescent.rates`.
        stopping : EarlyStopping or None
            Of their passages; None where budgets stop them.
        """
        state, passages = steps.state, steps.passages
        end = {"stop_r": passages.stop_r, "stop_average": passages.stop_average}
        if stopping is None:
            steps.run(step_budgets.rates_to(rates, self._budgets()))
            recorded = {"stop_r": passages.record_r, "stop_average": passages.record_average}
            return steps.timed(self._at_budgets(indices, rates.length, passages, end, recorded))
        spans = self._plan.tables.spans(indices, chunks_of(rates.length), ahead=True)
        step_and_check(spans, steps.cells, rates, stopping, steps.take, (passages.record_r, passages.record_average))
        left = {"stop_r": state.r, "stop_average": state.average}
        return steps.timed(self._where_stopped(indices, rates, stopping, left, end))

    def _budgets(self):
        """The budgets of steps, ascending."""
        return np.sort(np.array(self._stop["steps"]))

    def _at_budgets(self, indices, length, course, end, moments):
        """What the cells were after each budget."""
        budgets = self._budgets()
        taken = np.minimum(budgets, length[:, None])
        times = np.stack([self._plan.tables.at(s, steps)[1] for s, steps in zip(indices, taken, strict=True)])
        ends = course.status, course.stop_step, course.stop_time, end
        return step_budgets.stopped(budgets, times, length, ends, moments)

    def _where_stopped(self, indices, rates, stopping, state, end):
        """Where the patiences ended, or the schedules."""
        elapsed = np.array([self._plan.tables.elapsed(s) for s in indices])
        return stopping.stops(rates.length, elapsed, state, end)
