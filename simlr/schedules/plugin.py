"""Schedules of somebody's own: a function (t, steps, parameter, ...) -> rates in a Python file, or in a package.

    def bent(t, steps, learning_rate, bend=0.0):
        return learning_rate * (1.0 - t / steps) / (1.0 + bend * t / steps)

A grid names it as `kind = "file.py:bent"`. It needs `steps`, unless what is named is a `registry.Kind` that says
otherwise. A parameter with a name of `rules.RULES` has the rule there; of another one the annotation or the default
tells what it is: a number, a whole number, true or false, a text, or a list of numbers.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..plugins import recorded
from ..plugins.kinds import SCHEDULE, Plugin, PluginKind, plugin_of
from ..plugins.loading import guarded, told_as
from ..plugins.signatures import parameters_of, rule_of_sort, sort_of, source_of
from .registry import ALIASES, GRID_KINDS, KINDS, Array, Kind
from .rules import RULES
from .schedule import FLOW, PHASES, Phase

# Keys of a [[schedule]] table that are no parameters.
TAKEN = ("kind", "name", "unit", "zip", "steps", "file", "column", "header", PHASES)
# What simlr itself means by a name is never somebody else's.
OWN = (FLOW, *ALIASES, *GRID_KINDS)
PROBED = 7  # steps that are computed twice, in one stretch and in two


def with_plugins(key: str, table: Any, folder: str | Path) -> Any:
    """A [[schedule]] table, or a phase's, in which kinds that are not simlr's own are what they stand for.

    Parameters
    ----------
    key
        What messages call it.
    table
        As the grid has it; what is no table of a kind stays as it is.
    folder
        That of the grid file.

    Raises
    ------
    InputError
        Where a plug-in cannot be loaded.
    """
    if not isinstance(table, dict):
        return table
    if isinstance(table.get(PHASES), list | tuple):
        phases = [with_plugins(f"{key}, phase {i + 1}", phase, folder) for i, phase in enumerate(table[PHASES])]
        table = {**table, PHASES: phases}
    kind = table.get("kind")
    if not isinstance(kind, str) or isinstance(kind, PluginKind) or kind in OWN or kind in KINDS:
        return table
    found = recorded.kind_of(SCHEDULE, key, kind, folder, _adopt, _stand_in)
    return table if found is None else {**table, "kind": found}


def _adopt(found: Any, plugin: Plugin) -> tuple[Kind, dict]:
    """The `Kind` of a function, or of a Kind, whose rates are checked at every call; and what it is without them."""
    kind = found if isinstance(found, Kind) else Kind(found, needs_steps=True)
    function = kind.function
    if not callable(function) or isinstance(function, type):
        raise InputError(f"{plugin.where}: a schedule is a function (t, steps, parameters) -> rates, or a Kind of one")
    own = parameters_of(function, ("t", "steps"), plugin.where, "schedule", TAKEN, {**RULES, **kind.rules})

    @functools.wraps(function)
    def checked(t, steps, **parameters):
        return _rates(plugin, function, t, steps, parameters)

    parts: dict[str, Any] = {
        name: guarded(plugin, name, getattr(kind, name)) for name in ("check", "starts", "stable", "length")
    }
    entry = Kind(checked, kind.needs_steps, **parts, rules=own)
    sorts = {name: sort_of(own[name]) for name in entry.parameters}
    defaults = {name: value for name, value in entry.parameters.items() if value is not None}
    for name, value in defaults.items():
        own[name](f"{plugin.where}: the default of {name}", value)
    return entry, {"parameters": sorts, "defaults": defaults, "needs_steps": kind.needs_steps}


def _rates(plugin: Plugin, function: Any, t: Array, steps: int, parameters: dict) -> Array:
    """The rates (T,) of the steps t; InputError where there are others, or none."""
    what = f"fails for steps {t[0]:g} to {t[-1]:g}" if t.size else "fails"
    with told_as(plugin.where, what, source_of(function)):
        rates = np.asarray(function(t.copy(), steps, **parameters), dtype=np.float64)
    if rates.shape != t.shape:
        raise InputError(f"{plugin.where}: rates of {t.size} steps must have shape {t.shape}, got {rates.shape}")
    wrong = np.flatnonzero(~(rates >= 0.0))
    if wrong.size:
        step = int(t[wrong[0]])
        raise InputError(f"{plugin.where}: the rate must be a number >= 0, got {rates[wrong[0]]:g} at step {step}")
    return rates


def _stand_in(shape: dict) -> Kind:
    """A kind of which the rates are not known."""
    own = {str(name): rule_of_sort(sort) for name, sort in dict(shape.get("parameters", {})).items()}
    needs_steps, defaults = bool(shape.get("needs_steps")), dict(shape.get("defaults", {}))
    return Kind(lambda t, steps: np.full(t.shape, np.nan), needs_steps, rules=own, is_known=False, defaults=defaults)


def try_out(key: str, phase: Phase) -> None:
    """Refuse a plug-in whose rates fail, or depend on more than the step: runs ask for any stretch of steps."""
    plugin = plugin_of(phase.kind)
    if plugin is None or not plugin.is_loaded or not phase.steps:
        return
    end = min(phase.steps, PROBED)
    whole = phase.rates(0, end)
    parts = np.concatenate([phase.rates(0, end // 2), phase.rates(end // 2, end)])
    if not np.allclose(whole, parts, rtol=1e-9, atol=0.0):
        step = int(np.flatnonzero(~np.isclose(whole, parts, rtol=1e-9, atol=0.0))[0])
        raise InputError(
            f"{key}: {plugin.where}: the rate of step {step} is {whole[step]:g} or {parts[step]:g}, as other steps are "
            "asked for with it; it must depend on t alone, element by element"
        )
    phase.rates(phase.steps - 1, phase.steps)
