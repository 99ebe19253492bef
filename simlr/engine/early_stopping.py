"""Runs that a validation set stops: steps in windows of a few checks, each window followed by the checks themselves.

Where a window ends depends on `every` alone, so the bits do not depend on how the seeds are cut into blocks.
"""

from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from ..kernels import arrays, status
from ..kernels.descent.closed_form import closed_form_sweep
from ..kernels.validation import validation_sweep
from ..plan.block_size import WINDOW
from ..problems.source import Sloped
from ..schedules.schedule import Schedule
from .deterministic import Span, any_stepping
from .product_tables import no_products


def windows(first: int, last: int, every: int) -> list[tuple[int, int]]:
    """The steps first..last - 1 cut behind every WINDOW-th check: [(first, last), ...]."""
    cuts = []
    while first < last:
        end = min(last, (first // every + WINDOW) * every)
        cuts.append((first, end))
        first = end
    return cuts


def check_steps(first: int, last: int, every: int, length: NDArray[np.int64]) -> NDArray[np.int64]:
    """The checks of one window.

    Parameters
    ----------
    first, last : int
        The window goes from step `first`, which no longer counts unless it is the start, to the end of step `last`.
    every : int
        Steps from one check to the next.
    length : (S,) int64
        Steps of the schedules.

    Returns
    -------
    (S, WINDOW + 1) int64
        The steps of the checks, -1 in the rest; the start is one.
    """
    steps = np.full(WINDOW + 1, -1)
    begin = 0 if first == 0 else first // every + 1
    checked = np.arange(begin, last // every + 1) * every
    steps[: checked.size] = checked
    return np.where(steps <= length[:, None], steps, -1)


def folded(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (N, d, d) with the same quadratic form, 0 above the diagonal."""
    return np.ascontiguousarray(np.tril(matrix) + np.triu(matrix, 1).transpose(0, 2, 1))


def losses_of_x(landscape: arrays.Landscape, quadratic: Sloped) -> arrays.Validation:
    """The validation losses as functions of x = sqrt(lam) r; along null directions r is what it was at the start.

    Parameters
    ----------
    landscape : arrays.Landscape
        Curvature and residual (N, d) at the start.
    quadratic : Sloped
        The validation losses of the N seeds as functions of r.
    """
    steep = landscape.curvature > 0.0
    unit = np.where(steep, 1.0 / np.sqrt(np.where(steep, landscape.curvature, 1.0)), 0.0)
    shift = quadratic.offset + np.where(steep, 0.0, landscape.residual)
    return arrays.Validation(unit, shift, folded(quadratic.matrix), quadratic.floor, quadratic.slope)


def losses_of_r(quadratic: Sloped) -> arrays.Validation:
    """The validation losses as functions of r."""
    unit, matrix = np.ones_like(quadratic.offset), folded(quadratic.matrix)
    return arrays.Validation(unit, quadratic.offset, matrix, quadratic.floor, quadratic.slope)


class EarlyStopping:
    """The validation checks of some schedules with a block of seeds.

    Parameters
    ----------
    stop : dict
        The grid's stop.validation.
    validation : arrays.Validation
        The validation losses of the N seeds.
    course : Course or Passages
        Of (S, N) cells, whose one level is never reached.
    iterate, average : (S, N, d) float64
        x, or r, and the averaged iterate at the start; an average of no axes where there is none.
    launch : callable
        Runs a sweep over all its tasks.
    """

    def __init__(
        self, stop: dict, validation: arrays.Validation, course: arrays.Course | arrays.Passages,
        iterate: NDArray[np.float64], average: NDArray[np.float64], launch: Callable,
    ):  # fmt: skip
        self.every, self.course = stop["every"], course
        self._validation, self._launch = validation, launch
        patience = np.sort(np.array(stop["patience"]))
        fall, share = (0.0, stop["min_delta"]) if "min_delta_mode" in stop else (stop["min_delta"], 0.0)
        self._rule = arrays.Patience(patience, fall, share, int(stop["restore"]))
        self._watch = arrays.empty_watch(iterate, average, patience.size)

    def check(
        self, steps: NDArray[np.int64], time: NDArray[np.float64], iterate: NDArray[np.float64],
        average: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Check one window.

        Parameters
        ----------
        steps, time : (S, WINDOW + 1)
            When its moments were recorded; step -1 in slots that are not used.
        iterate, average : (S, N, WINDOW + 1, d)
            x, or r, and the averaged iterate at those moments.
        """
        runs = arrays.Runs(self.course.decided, self.course.status, self.course.stop_step)
        checks = self.checks_of(steps, time, iterate, average)
        self._launch(validation_sweep, checks, self._validation, self._rule, self._watch, runs)

    def checks_of(
        self, steps: NDArray[np.int64], time: NDArray[np.float64], iterate: NDArray[np.float64],
        average: NDArray[np.float64],
    ) -> arrays.Checks:  # fmt: skip
        """What is checked; the parameters are those of `check`."""
        return arrays.Checks(steps, time, iterate, average)

    def stops(
        self, length: NDArray[np.int64], elapsed: NDArray[np.float64], state: dict[str, NDArray],
        end: dict[str, NDArray],
    ) -> dict[str, NDArray]:  # fmt: skip
        """Where every patience ended.

        What is left open ends diverged, or out of steps, and is then given as its best check, or as it is, as the rule
        has it.

        Parameters
        ----------
        length, elapsed : (S,)
            The steps of the schedules, and the time that they take.
        state : {field: (S, N, d)}
            What the cells are after the last step: stop_x, or stop_r and stop_average.
        end : {field: (S, N, 1, d)}
            What they were where they diverged.

        Returns
        -------
        {field: (S, N, E, ..)}
            The fields of a Course or Passages, and stop_look_step; the E patiences ascending.
        """
        watch, course = self._watch, self.course
        stops = {"status": watch.status, "stop_step": watch.stop_step, "stop_time": watch.stop_time}
        names = list(state)
        stops |= dict(zip(names, (watch.stop, watch.stop_average), strict=False))
        left = np.arange(watch.status.shape[2]) >= watch.decided[..., None]
        diverged = left & (course.status == status.DIVERGED)
        ended = left & ~diverged
        stops["status"][diverged], stops["status"][ended] = status.DIVERGED, status.OUT_OF_STEPS
        best = {"stop_step": watch.best_step[:, :, None], "stop_time": watch.best_time[:, :, None]}
        best |= dict(zip(names, (watch.best, watch.best_average), strict=False))
        last = {"stop_step": length[:, None, None], "stop_time": elapsed[:, None, None]}
        last |= {name: values[:, :, None] for name, values in state.items()}
        at_end = best if self._rule.restore else last
        at_divergence = {"stop_step": course.stop_step, "stop_time": course.stop_time, **end}
        for name in ("stop_step", "stop_time", *names):
            _fill(stops[name], diverged, at_divergence[name])
            _fill(stops[name], ended, at_end[name])
        check_step = watch.check_step
        _fill(check_step, diverged, course.stop_step)
        _fill(check_step, ended, length[:, None, None])
        return stops | {"stop_look_step": check_step}


def _fill(target, where, values):
    """target (S, N, E, ..) = values, which broadcast to it, where (S, N, E)."""
    target[where] = np.broadcast_to(values, target.shape)[where]


def step_and_check(
    spans: Generator[Span], cells: arrays.Cells, rates: arrays.Rates, stopping: EarlyStopping,
    take: Callable[[arrays.Rates, int], None], moments: tuple[NDArray, NDArray],
) -> None:  # fmt: skip
    """Take all steps of some schedules one by one, a window at a time, and check.

    Parameters
    ----------
    spans : (first step, eta (S, T), time (S, T + 1)), such as `plan.rate_tables.RateTables.spans` gives.
    cells : of N seeds.
    rates : of S schedules; eta, time and record_step are not read.
    stopping : of these cells, updated.
    take : `take(rates, first step)` takes the steps of a window.
    moments : the arrays (S, N, WINDOW + 1, d) in which a window is recorded: x, or r, and the averages.
    """
    # Whoever checks no further must not leave a thread behind that still makes tables.
    with closing(spans):
        for first, eta, time in spans:
            for begin, end in windows(first, first + eta.shape[1], stopping.every):
                steps = check_steps(begin, end, stopping.every, rates.length)
                window_eta = np.ascontiguousarray(eta[:, begin - first : end - first])
                window_time = np.ascontiguousarray(time[:, begin - first : end - first + 1])
                take(rates._replace(eta=window_eta, time=window_time, record_step=steps), begin)
                times = np.take_along_axis(window_time, np.maximum(steps - begin, 0), axis=1)
                stopping.check(steps, times, *moments)
                if not any_stepping(cells, stopping.course, rates, end):
                    return


def closed_form_and_check(
    schedules: list[Schedule], cells: arrays.Cells, rates: arrays.Rates, stopping: EarlyStopping, launch: Callable
) -> None:
    """The same for schedules of constant pieces, in closed form.

    Parameters
    ----------
    schedules : the S schedules.
    cells, rates, stopping : as of `step_and_check`.
    launch : runs a sweep over all its tasks.
    """
    course, constant = stopping.course, [_ConstantPieces(schedule) for schedule in schedules]
    for begin, end in windows(0, int(rates.length.max()), stopping.every):
        steps = check_steps(begin, end, stopping.every, rates.length)
        parts = [pieces.within(begin, end) for pieces in constant]
        shape = len(parts), max(1, *(eta.size for eta, _ in parts))
        eta, counts = np.zeros(shape), np.zeros(shape, np.int64)
        for i, (part_eta, part_counts) in enumerate(parts):
            eta[i, : part_eta.size], counts[i, : part_counts.size] = part_eta, part_counts
        before, elapsed = np.full(len(constant), begin), np.array([pieces.time(begin) for pieces in constant])
        window = arrays.Pieces(eta, counts, np.full(shape, -1), before, elapsed)
        launch(closed_form_sweep, cells, rates._replace(record_step=steps), window, no_products(), course)
        times = np.stack([pieces.time(np.maximum(at, 0)) for pieces, at in zip(constant, steps, strict=True)])
        stopping.check(steps, times, course.record_x, np.empty((*course.record_x.shape[:3], 0)))
        if not any_stepping(cells, course, rates, end):
            return


class _ConstantPieces:
    """A schedule of constant pieces: where they begin, how long they are, their rates, and the time before each."""

    def __init__(self, schedule):
        starts, steps, eta = zip(*schedule.pieces(), strict=True)
        self.starts, self.steps, self.eta = np.array(starts), np.array(steps), np.array(eta)
        with np.errstate(over="ignore"):
            self._before = np.append(0.0, np.cumsum(self.eta * self.steps))

    def time(self, step):
        """The sum of the rates of the first so many steps, an array of them or one."""
        step = np.minimum(step, self.starts[-1] + self.steps[-1])
        piece = np.searchsorted(self.starts, step, side="right") - 1
        return self._before[piece] + self.eta[piece] * (step - self.starts[piece])

    def within(self, begin, end):
        """(rate, steps) of the pieces that lie between two steps."""
        first = np.maximum(self.starts, begin)
        steps = np.minimum(self.starts + self.steps, end) - first
        return self.eta[steps > 0], steps[steps > 0]
