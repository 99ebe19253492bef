"""The rates of a schedule as an array, and a schedule from a function of the step."""

from collections.abc import Callable
from typing import Any

from ..errors import InputError, show
from ..inputs import rules
from ..inputs.parameters import check_keys
from .checking import build, check_phase, read_file
from .plugin import with_plugins
from .registry import Array, Rates
from .rules import MOST_RATES
from .schedule import FLOW, PHASES


def tabulate(kind: str, steps: int, **parameters: Any) -> Array:
    """The learning rates eta_0 .. eta_{steps - 1} of one schedule.

    `tabulate("cosine", steps=100, learning_rate=0.1)`; for joined phases `tabulate("phases", steps=110,
    phases=[{"kind": "warmup", "learning_rate": 0.1, "steps": 10}, {"kind": "cosine", ...}])`, where the phases may not
    be longer than `steps`.

    Parameters
    ----------
    kind
        One of `kinds()` but "flow", or "phases".
    steps
        The number of steps.
    **parameters
        Those of the kind, as a grid file has them; a file is relative to the working folder.

    Returns
    -------
    float64 (steps,)
        Rates in units of the inverse curvature; fewer where phases end before.

    Raises
    ------
    InputError
        A ValueError: for an unknown kind, a parameter that is unknown, missing or out of range, and for a flow, which
        has no steps.
    """
    steps = rules.count("steps", steps)
    if kind == PHASES:
        phases = parameters.pop("phases", [])
        if not isinstance(phases, list | tuple):
            rules.refuse("phases", "a list of at least one phase", phases)
        tables = [_read_and_checked(f"phases[{i}]", table) for i, table in enumerate(phases)]
        check_keys("phases", parameters, ["phases"])
    else:
        tables = [_read_and_checked(f"schedule {kind!r}", {"kind": kind, "steps": steps, **parameters})]
    if any(table["kind"] == FLOW for table in tables):
        raise InputError("a flow has no steps to tabulate")
    return build("tabulate", kind, "absolute", tables, steps).rates(0, steps)


def _read_and_checked(key, table):
    """A phase given from Python; its file, if it has one, is relative to the working folder."""
    return check_phase(key, read_file(key, with_plugins(key, table, ".")))


def from_callable(function: Callable[[int], Any], steps: int, name: str | None = None, unit: str = "absolute") -> dict:
    """The [[schedule]] table of any function step -> rate, tabulated for the steps 0 .. steps - 1.

    A schedule of optax is such a function, as it is: `own = from_callable(optax.cosine_decay_schedule(0.1, 500), 500,
    name="own")`, then `config.replace(schedule=[own])`. The grid holds the rates themselves, so that it can be written,
    read and resumed without the function.

    Parameters
    ----------
    function
        step, from 0 -> rate, a finite number >= 0.
    steps
        How many steps are tabulated.
    name
        The schedule's name; by default the function's.
    unit
        "absolute", or "sharpness": rates in units of 1/sharpness.

    Returns
    -------
    dict
        A table of kind "table".

    Raises
    ------
    InputError
        Where the function fails, or gives anything but a finite number >= 0.
    """
    name = name or getattr(function, "__name__", "callable")
    steps = rules.count("steps", steps, most=MOST_RATES)
    if not callable(function):
        rules.refuse(f"schedule {name!r}", "a function step -> rate", function)
    rates = []
    for step in range(steps):
        try:
            rate = float(function(step))  # arrays of one number, as JAX returns them, are numbers here
        except Exception as error:
            message = f"fails at step {step}: {type(error).__name__}: {show(str(error))}"
            raise InputError(f"schedule {name!r}: {message}") from error
        rates.append(rules.not_negative(f"schedule {name!r} at step {step}", rate))
    return {"name": name, "unit": unit, "kind": "table", "learning_rates": Rates(rates)}
