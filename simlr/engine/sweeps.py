"""Sweeps: running one by itself, outside an `Engine`, and how far their compiling is, as it goes on.

Numba sends an event when it begins to compile a function and when it has ended; what is loaded from the cache sends
none. What a function calls is compiled within it. How many functions are still to come is looked up in the functions
themselves: those that one in hand or an expected parallel loop calls, and so on, and that are not compiled or loaded
yet. Loops that nobody expects add to it when they are called. What comes from the cache meanwhile is done: neither
count ever falls.
"""

import time
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numba.core import event

from ..kernels import jit
from ..plan.engines import CLOSED_FORM, EXPECTATION, MIXED, RECURRENCE, STOCHASTIC
from ..plan.plan import Plan

COMPILE = "numba:compile"
PACKAGE = "simlr.kernels"
LEAST_SHARE = 0.15  # of the functions, which is done before anything is said of the rest: the first function takes long


def run_sweep(sweep: Callable, *arguments: Any) -> None:
    """Run a sweep, a compiled function of (*arguments, tasks, workers), over all its tasks on all threads."""
    jit.launch(sweep, *arguments, np.zeros(2, np.int64), jit.threads())


class State(NamedTuple):
    """Where the compiling is."""

    done: int  # functions that this process has compiled, or expected to and then did not have to
    total: int  # those and the ones that are known to come: it never falls
    seconds: float  # that compiling has taken
    left: float  # seconds for those that are known to come; NaN before a share of them is done
    active: bool  # whether a function is being compiled


class Watch(event.Listener):
    """Calls `tell(State)` whenever the compiling of a kernel begins or ends, by the thread that compiles, which waits.

    `expected` are the sweeps that will be called. As a context manager it listens for the duration.
    """

    def __init__(self, tell: Callable[[State], None], expected: Iterable[Any] = ()):
        self._tell, self._expected = tell, tuple(expected)
        self._open: list[Callable] = []
        self._compiled: list[Callable] = []
        self._spared: set[Callable] = set()  # expected once, and then loaded from the cache, or never called
        self._waiting: set[Callable] = set()
        self._began, self._seconds = 0.0, 0.0

    def __enter__(self):
        event.register(COMPILE, self)
        return self

    def __exit__(self, *error):
        event.unregister(COMPILE, self)

    def on_start(self, told: Any) -> None:
        """A function's compiling begins."""
        function = told.data["dispatcher"].py_func
        if function.__module__.startswith(PACKAGE):
            if not self._open:
                self._began = time.monotonic()
            self._open.append(function)
            self._say()

    def on_end(self, told: Any) -> None:
        """It has ended, or failed."""
        function = told.data["dispatcher"].py_func
        if function in self._open:
            self._open.remove(function)
            self._compiled.append(function)
            if not self._open:
                self._seconds += time.monotonic() - self._began
            self._say()

    def _say(self):
        """Tell where it is."""
        seconds = self._seconds + (time.monotonic() - self._began if self._open else 0.0)
        roots = [*self._open, *(sweep.py_func for sweep in self._expected if not getattr(sweep, "overloads", True))]
        waiting = {function for one in roots for function in to_come(one)} | set(roots)
        self._spared |= self._waiting.difference(waiting, self._compiled)
        self._waiting = waiting
        done = len(self._compiled) + len(self._spared)
        total = done + len(waiting)
        known = len(self._compiled) > LEAST_SHARE * total
        left = len(waiting) * seconds / len(self._compiled) if known else float("nan")
        self._tell(State(done, total, seconds, left, bool(self._open)))


def called_by(function: Any) -> list[Any]:
    """The kernels whose names stand in a function, by themselves or behind a module of ours."""
    code, found = [function.__code__], []
    while code:
        one = code.pop()
        code += [constant for constant in one.co_consts if isinstance(constant, types.CodeType)]
        values = [function.__globals__[name] for name in one.co_names if name in function.__globals__]
        for module in [value for value in values if isinstance(value, types.ModuleType)]:
            if module.__name__.startswith(PACKAGE):
                values += [vars(module)[name] for name in one.co_names if name in vars(module)]
        found += [value for value in values if hasattr(value, "inner") and hasattr(value, "separate")]
    return found


def to_come(function: Any) -> set[Any]:
    """The functions that are called by a function, at any depth, and of which there is no compiled code yet."""
    found, waiting = set(), called_by(function)
    while waiting:
        kernel = waiting.pop()
        if kernel.py_func not in found and not kernel.inner.overloads:
            found.add(kernel.py_func)
            waiting += called_by(kernel.py_func)
    return found


def expected_sweeps(plan: Plan) -> list[Callable]:
    """The large ones; small ones, such as those that draw a problem, show when they are called."""
    from ..kernels import losses
    from ..kernels.descent import closed_form, ending, recurrence
    from ..kernels.stochastic import mean_curves, steps

    if plan.config.by_rows:
        from ..kernels.convex.steps import convex_sweep

        return [convex_sweep]
    engines = set(plan.engines)
    named: list[tuple[bool, Callable]] = [
        (bool(engines & {RECURRENCE, MIXED}), recurrence.descend_sweep),
        (bool(engines & {CLOSED_FORM, MIXED}), closed_form.closed_form_sweep),
        (any(schedule.flows for schedule in plan.schedules), ending.finish_sweep),
        (STOCHASTIC in engines, steps.stochastic_sweep),
        (EXPECTATION in engines, mean_curves.mean_modes_sweep),
        (engines != {EXPECTATION}, losses.losses_sweep),
    ]
    return [sweep for is_called, sweep in named if is_called]
