"""The schedule kinds by name: each is one pure function of the step, and what has to be known of it besides.

    @schedule
    def constant(t, steps, learning_rate): ...

    @schedule(needs_steps=True, check=_not_longer)
    def decay(t, steps, learning_rate, decay_steps): ...

The function takes the steps t of its phase, float64, ascending, any stretch of them, and returns the rates. The first
line of its docstring is the formula.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.rules import Rule
from ..plugins.kinds import plugin_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """One kind of schedule."""

    function: Callable[..., Array]  # (t, steps, **parameters) -> rates
    needs_steps: bool = False  # whether it has no shape without a number of steps
    check: Callable | None = None  # (key, steps or None, **parameters): refuses what no single parameter shows
    starts: Callable | None = None  # (steps, **parameters) -> the first steps of its constant pieces, ascending from 0
    stable: Callable | None = None  # (steps, **parameters) -> (first, end) of a stretch over which it is constant
    length: Callable | None = None  # (**parameters) -> its own number of steps, which holds where none is given
    rules: Mapping[str, Rule] = field(default_factory=dict)  # of parameters that `rules.RULES` has no rule of
    is_known: bool = True  # whether the function is there; of a plug-in that is not loaded it is not, and then
    # Those of its parameters that have one, where these are no arguments of the function but all names of `rules`.
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Name -> default, or None where it must be given."""
        if self.defaults or not self.is_known:
            return {name: self.defaults.get(name) for name in self.rules}
        _, _, *signature = inspect.signature(self.function).parameters.values()
        return {p.name: None if p.default is p.empty else p.default for p in signature}


KINDS: dict[str, Kind] = {}
# another usual name -> the kind
ALIASES = {
    "wsd": "warmup_stable_decay",
    "trapezoid": "warmup_stable_decay",
    "onecycle": "one_cycle",
    "sgdr": "cosine_restarts",
    "poly": "polynomial",
}
GRID_KINDS = ("optimal",)  # which a grid alone has
PLATEAU = "reduce_on_plateau"  # the kind whose rates depend on the losses of a run


def kind_of(name: str) -> Kind:
    """The `Kind` of a name that has been checked."""
    plugin = plugin_of(name)
    return plugin.entry if plugin else KINDS[name]


def schedule(function: Callable | None = None, **properties) -> Callable:
    """Enter a function (t, steps, **parameters) -> rates among the kinds, under its own name; a decorator.

    Parameters
    ----------
    function
        t, float64 (T,), are steps of the phase, ascending; the rates are float64 (T,).
    **properties
        What else `Kind` has.
    """
    if function is None:
        return lambda decorated: schedule(decorated, **properties)
    KINDS[function.__name__] = Kind(function, **properties)
    return function


class Rates(tuple):
    """A vector of rates as a parameter: a tuple of floats, which is also an array without making one at every call."""

    @cached_property
    def array(self) -> Array:
        """The same as float64, read-only."""
        array = np.array(self, dtype=np.float64)
        array.flags.writeable = False
        return array


def as_array(values: ArrayLike) -> Array:
    """A vector of numbers as a float64 array."""
    return values.array if isinstance(values, Rates) else np.asarray(values, dtype=np.float64)
