"""The tables of single settings that a grid or study file may have, and its name."""

from functools import partial
from typing import Any

from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import Parameter, read_parameters

MOST_POINTS = 1_000_000
LONGEST_NAME = 200  # bytes: a file name has at most 255, and something is put after it


def _recorded_seeds(key, value):
    """A number of seeds, or "all"."""
    if isinstance(value, str):
        return rules.one_of("all")(key, value)
    return rules.count_or_none(key, value)


_points = partial(rules.count, least=0, most=MOST_POINTS)  # they are held in memory
SETTINGS: dict[str, tuple[Parameter, ...]] = {
    "seeds": (
        Parameter("count", rules.count, 1000, "draws of every combination of problem parameters"),
        Parameter("root", rules.count_or_none, 0, "the root of all random numbers"),
    ),
    "record": (
        Parameter("points", _points, 200, "recorded moments of every schedule; 0 = none"),
        Parameter("flow_time", rules.positive, 20.0, "how long a flow is recorded"),
        Parameter("seeds", _recorded_seeds, 64, "trajectories of the first so many draws; all = of every one"),
        Parameter("iterates", rules.flag, False, "the iterates, too, not only the losses"),
        Parameter("stop_residual", rules.flag, False, "the residuals at the stops"),
        Parameter("sharpness", rules.flag, False, "the largest eigenvalue of the Hessian at the recorded moments"),
        Parameter("dtype", rules.one_of("float64", "float32"), "float64", "the type of trajectories"),
    ),
    "expectation": (
        Parameter(
            "bin_error",
            partial(rules.number, least=0.0, most=0.5, rule="a number from 0 to 0.5"),
            0.0,
            "axes go in bins, halved until no loss moves by more than this share; 0 = every axis by itself",
        ),
    ),
    "run": (Parameter("block_seeds", rules.count_or_none, 0, "seeds a block of work; 0 = as suits the grid"),),
}
# Left out where they are off, as in files that were written before there were such keys.
LATER = (("record", "sharpness"),)


def table_at(tables: dict, key: str, required: bool = False) -> dict:
    """One table of the file, {} where it is missing and not required; InputError where it is something else."""
    if required and key not in tables:
        raise InputError(f"[{key}] is missing")
    table = tables.get(key, {})
    if not isinstance(table, dict):
        rules.refuse(key, "a table", table)
    return table


def check_name(name: Any) -> str:
    """The grid's name, which names its output file."""
    rules.text("name", name)
    if "/" in name or "\\" in name or name.startswith(".") or len(name.encode()) > LONGEST_NAME:
        rules.refuse("name", f"fit for a file name (no slash, no leading dot, at most {LONGEST_NAME} bytes)", name)
    return name


def check_settings(tables: dict, key: str) -> dict:
    """One of the tables of SETTINGS, cast and complete; of LATER keys those alone that say something."""
    table = read_parameters(key, table_at(tables, key), SETTINGS[key])
    return {name: value for name, value in table.items() if value or (key, name) not in LATER}
