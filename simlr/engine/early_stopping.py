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
    found = []
    while first < last:
        end = min(last, (first // every + WINDOW) * every)
        found.append((first, end))
        first = end
    return found


def check_steps(first: int, last: int, every: int, length: NDArray[np.int64]) -> NDArray[np.int64]:
    """The checks of the window that ends after step `last`, (S, WINDOW + 1), -1 in the rest; the start is one."""
    found = np.full(WINDOW + 1, -1)
    begin = 0 if first == 0 else first // every + 1
    steps = np.arange(begin, last // every + 1) * every
    found[: steps.size] = steps
    return np.where(found <= length[:, None], found, -1)


def folded(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (N, d, d) with the same quadratic form, 0 above the diagonal."""
    return np.ascontiguousarray(np.tril(matrix) + np.triu(matrix, 1).transpose(0, 2, 1))


def losses_of_x(landscape: arrays.Landscape, quadratic: Sloped) -> arrays.Validation:
    """The validation losses as functions of x = sqrt(lam) r; along null directions r is what it was at the start."""
    steep = landscape.curvature > 0.0
    unit = np.where(steep, 1.0 / np.sqrt(np.where(steep, landscape.curvature, 1.0)), 0.0)
    shift = quadratic.offset + np.where(steep, 0.0, landscape.residual)
    return arrays.Validation(unit, shift, folded(quadratic.matrix), quadratic.floor, quadratic.slope)


def losses_of_r(quadratic: Sloped) -> arrays.Validation:
    """The validation losses as functions of r."""
    unit, matrix = np.ones_like(quadratic.offset), folded(quadratic.matrix)
    return arrays.Validation(unit, quadratic.offset, matrix, quadratic.floor, quadratic.slope)


class EarlyStopping:
    """The validation checks of some schedules with a block of seeds. `launch` runs a sweep over all its tasks."""

    def __init__(
        self, stop: dict, validation: arrays.Validation, course: arrays.Course | arrays.Passages,
        where: NDArray[np.float64], average: NDArray[np.float64], launch: Callable,
    ):  # fmt: skip
        """where and average (S, N, d) at the start; course, a Course or Passages whose one level is never reached."""
        self.every, self.course = stop["every"], course
        self._validation, self._launch = validation, launch
        patience = np.sort(np.array(stop["patience"]))
        self._rule = arrays.Patience(patience, stop["min_delta"], int(stop["restore"]))
        self._watch = arrays.empty_watch(where, average, patience.size)

    def check(
        self, steps: NDArray[np.int64], time: NDArray[np.float64], where: NDArray[np.float64],
        average: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """Check one window, of which the moments (S, N, WINDOW + 1, d) were recorded at steps and times (S, ..)."""
        runs = arrays.Runs(self.course.decided, self.course.status, self.course.stop_step)
        checks = arrays.Checks(steps, time, where, average)
        self._launch(validation_sweep, checks, self._validation, self._rule, self._watch, runs)

    def stops(
        self, length: NDArray[np.int64], elapsed: NDArray[np.float64], now: dict[str, NDArray],
        end: dict[str, NDArray],
    ) -> dict[str, NDArray]:  # fmt: skip
        """Where every patience ended, in the fields of a Course or Passages, the patiences ascending.

        Parameters: length (S,) and elapsed (S,), the steps of the schedules and their time; now, {field: (S, N, d)}
        where the cells are after the last step; end, {field: (S, N, 1, d)} where they diverged. What is left open ends
        diverged, or out of steps, and is then given as its best check, or as it is, as the rule has it.
        """
        watch, course = self._watch, self.course
        found = {"status": watch.status, "stop_step": watch.stop_step, "stop_time": watch.stop_time}
        names = list(now)
        found |= dict(zip(names, (watch.stop, watch.stop_average), strict=False))
        left = np.arange(watch.status.shape[2]) >= watch.decided[..., None]
        diverged = left & (course.status == status.DIVERGED)
        ended = left & ~diverged
        found["status"][diverged], found["status"][ended] = status.DIVERGED, status.OUT_OF_STEPS
        best = {"stop_step": watch.best_step[:, :, None], "stop_time": watch.best_time[:, :, None]}
        best |= dict(zip(names, (watch.best, watch.best_average), strict=False))
        here = {"stop_step": length[:, None, None], "stop_time": elapsed[:, None, None]}
        here |= {name: values[:, :, None] for name, values in now.items()}
        given = best if self._rule.restore else here
        at_divergence = {"stop_step": course.stop_step, "stop_time": course.stop_time, **end}
        for name in ("stop_step", "stop_time", *names):
            _fill(found[name], diverged, at_divergence[name])
            _fill(found[name], ended, given[name])
        check_step = watch.check_step
        _fill(check_step, diverged, course.stop_step)
        _fill(check_step, ended, length[:, None, None])
        return found | {"stop_look_step": check_step}


def _fill(target, where, values):
    """target (S, N, E, ..) = values, which broadcast to it, where (S, N, E)."""
    target[where] = np.broadcast_to(values, target.shape)[where]


def step_and_check(
    spans: Generator[Span], cells: arrays.Cells, rates: arrays.Rates, stopping: EarlyStopping,
    take: Callable[[arrays.Rates, int], None], moments: tuple[NDArray, NDArray],
) -> None:  # fmt: skip
    """Take all steps of some schedules one by one, a window at a time with `take(rates, first step)`, and check.

    Parameters
    ----------
    spans : (first step, eta (S, T), time (S, T + 1)), such as `plan.rate_tables.RateTables.spans` gives.
    moments : the arrays (S, N, WINDOW + 1, d) in which a window is recorded: x, or r, and the averages.
    """
    # Whoever checks no further must not leave a thread behind that still makes tables.
    with closing(spans):
        for first, eta, time in spans:
            for begin, end in windows(first, first + eta.shape[1], stopping.every):
                steps = check_steps(begin, end, stopping.every, rates.length)
                part = np.ascontiguousarray(eta[:, begin - first : end - first])
                own = np.ascontiguousarray(time[:, begin - first : end - first + 1])
                take(rates._replace(eta=part, time=own, record_step=steps), begin)
                at = np.take_along_axis(own, np.maximum(steps - begin, 0), axis=1)
                stopping.check(steps, at, *moments)
                if not any_stepping(cells, stopping.course, rates, end):
                    return


def closed_form_and_check(
    schedules: list[Schedule], cells: arrays.Cells, rates: arrays.Rates, stopping: EarlyStopping, launch: Callable
) -> None:
    """The same for schedules of constant pieces, in closed form."""
    course, constant = stopping.course, [_ConstantPieces(schedule) for schedule in schedules]
    for begin, end in windows(0, int(rates.length.max()), stopping.every):
        steps = check_steps(begin, end, stopping.every, rates.length)
        before, elapsed = np.full(len(constant), begin), np.array([own.time(begin) for own in constant])
        pieces = arrays.Pieces(*_cut(constant, begin, end), before, elapsed)
        launch(closed_form_sweep, cells, rates._replace(record_step=steps), pieces, no_products(), course)
        at = np.stack([own.time(np.maximum(wanted, 0)) for own, wanted in zip(constant, steps, strict=True)])
        stopping.check(steps, at, course.record_x, np.empty((*course.record_x.shape[:3], 0)))
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


def _cut(constant, begin, end):
    """eta, steps and table (S, P) of `arrays.Pieces` for the steps begin..end - 1."""
    parts = [own.within(begin, end) for own in constant]
    shape = len(parts), max(1, *(eta.size for eta, _ in parts))
    eta, steps = np.zeros(shape), np.zeros(shape, np.int64)
    for i, (own_eta, own_steps) in enumerate(parts):
        eta[i, : own_eta.size], steps[i, : own_steps.size] = own_eta, own_steps
    return eta, steps, np.full(shape, -1)
