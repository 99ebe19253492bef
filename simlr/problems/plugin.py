"""Problem kinds of somebody's own: a function of a draw, or a `Problem`, in a Python file or in a package."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.parameters import REQUIRED, Parameter
from ..plugins import recorded
from ..plugins.kinds import PROBLEM, Plugin, PluginKind
from ..plugins.loading import file_of, guarded, told_as
from ..plugins.signatures import defaults_of, parameters_of, rule_of_sort, sort_of
from . import losses
from .functions import FunctionQuadratics, FunctionRows, _Function
from .source import Batch, Problem, Source

TAKEN = ("kind", *losses.DEFAULTS)


def plugin_kind(key: str, kind: str, folder: str | Path) -> PluginKind | None:
    """The kind of a problem that is not simlr's own; None where it is nobody's.

    Parameters
    ----------
    key
        What messages call it.
    kind
        As the grid has it.
    folder
        That of the grid file.

    Raises
    ------
    InputError
        Where it cannot be loaded.
    """
    return recorded.kind_of(PROBLEM, key, kind, folder, _adopt, lambda shape: _stand_in(kind, shape))


def _adopt(found: Any, plugin: Plugin) -> tuple[Problem, dict]:
    """The `Problem` of a function, of a Problem, or of a paper that has one; and what it is without its code."""
    if isinstance(found, ModuleType):
        found = getattr(found, "PROBLEM", None)
    if isinstance(found, Problem):
        made = found
    elif callable(found) and not isinstance(found, type):
        made = _of_function(found, plugin)
    else:
        raise InputError(f"{plugin.where}: a problem is a function (draw, parameters) of arrays by name, or a Problem")

    def prepare(parameters, folder):
        with told_as(plugin.where, "cannot be prepared", file_of(plugin)):
            source: Any = CheckedSource(plugin, made.prepare(parameters, folder))
            return source

    return replace(made, prepare=prepare, check=guarded(plugin, "check", made.check)), {
        "parameters": {one.name: sort_of(one.rule) for one in made.parameters}
    }


def _of_function(function: Callable, plugin: Plugin) -> Problem:
    """The `Problem` of a function of a draw."""
    own = parameters_of(function, ("draw",), plugin.where, "problem", TAKEN, {})
    defaults, text = defaults_of(function), inspect.getdoc(function)
    told = tuple(Parameter(name, rule, defaults.get(name, REQUIRED)) for name, rule in own.items())

    def prepare(parameters, folder):
        first = _Function(plugin.where, function, parameters, folder).one(0, 0)
        kind = FunctionRows if "x" in first else FunctionQuadratics
        return kind(plugin.where, function, parameters, folder)

    return Problem(
        plugin.name, text.splitlines()[0] if text else "", (*told, *losses.PARAMETERS), prepare, losses.check
    )


def _stand_in(kind: str, shape: dict) -> Problem:
    """A problem of which the parameters are known alone."""
    sorts = dict(shape.get("parameters", {}))
    told = tuple(Parameter(str(name), rule_of_sort(sort), None) for name, sort in sorts.items())

    def prepare(parameters, folder):
        raise InputError(f"problem {kind!r}: its source is not loaded; read the grid file itself, beside its plug-in")

    return Problem(kind, "a plug-in that is not loaded", told, prepare, optional=tuple(sorts))


class CheckedSource:
    """A source of somebody's own, whose faults are told in one line.

    Parameters
    ----------
    plugin
        Whose it is.
    source
        What its `prepare` has returned.
    """

    def __init__(self, plugin: Plugin, source: Source):
        self._plugin, self._source, self._is_tried = plugin, source, False
        if not isinstance(source, Source):
            raise InputError(f"{plugin.where}: prepare must return a Source, got a {type(source).__name__}")
        d = source.dimension
        if isinstance(d, bool) or not isinstance(d, int | np.integer) or d < 1:
            raise InputError(f"{plugin.where}: dimension must be a whole number >= 1, got {d!r}")

    def __getattr__(self, name):
        if name.startswith("__") or name in ("_plugin", "_source", "_is_tried"):
            raise AttributeError(name)
        value = getattr(self._source, name)
        return self._guarded(name, value) if callable(value) else value

    def _guarded(self, name, function):
        """A method whose faults are the plug-in's."""
        called: Any = guarded(self._plugin, name, function)
        return called

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The `Batch` of these draws, checked; of one of them also that it depends on nothing else."""
        batch = self._checked(root, draws, workers)
        if not self._is_tried:
            self._is_tried, alone = True, self._checked(root, draws[-1:], workers)
            for name, array in alone._asdict().items():
                if array is not None and not np.array_equal(array, getattr(batch, name)[-1:], equal_nan=True):
                    raise InputError(
                        f"{self._plugin.where}: {name} of draw {draws[-1]} is another one where it is drawn alone; a "
                        "draw must be a function of (root, draw) alone"
                    )
        return batch

    def _checked(self, root, draws, workers):
        """The `Batch` of these draws, its shapes and numbers checked."""
        batch = self._guarded("draw", self._source.draw)(root, draws, workers)
        if not isinstance(batch, Batch):
            raise InputError(f"{self._plugin.where}: draw must return a Batch, got a {type(batch).__name__}")
        count, d = draws.size, int(self._source.dimension)
        made = {}
        for name, array in batch._asdict().items():
            if array is None and name == "test_slope":
                made[name] = None
                continue
            shape = (count, d, d) if name in ("curvature_axes", "test_matrix") else (count, d)
            shape = (count,) if name.endswith("floor") else shape
            with told_as(self._plugin.where, "draw fails"):
                made[name] = np.ascontiguousarray(array, np.float64)
            if made[name].shape != shape:
                raise InputError(f"{self._plugin.where}: {name} must have shape {shape}, got {made[name].shape}")
            if name != "target" and not np.isfinite(made[name]).all():
                seed = int(draws[np.flatnonzero(~np.isfinite(made[name]).reshape(count, -1).all(axis=1))[0]])
                raise InputError(f"{self._plugin.where}: {name} of draw {seed} is not finite")
        if made["curvature"].min() < 0.0:
            raise InputError(f"{self._plugin.where}: curvature must be >= 0, got {made['curvature'].min():g}")
        return Batch(**made)
