"""The [[schedule]] tables of a grid: checked and cast, and their lists expanded to single schedules."""

import hashlib
import itertools
import math
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import check_keys
from ..schedules import checking
from ..schedules.rules import RULES
from ..schedules.schedule import PHASES, Schedule
from . import optimal
from .axes import check_axis, check_combinations, count_combinations

UNITS = ("absolute", "sharpness")
LONGEST_SHOWN = 8  # a longer vector has its length and a digest in names and in the run file


def check_schedules(entries: Any, folder: str | Path) -> tuple[dict, ...]:
    """Every [[schedule]] table, named, its values still as given (lists are axes)."""
    if entries is None:
        raise InputError("[[schedule]] is missing: at least one is needed")
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse("schedule", "a list of at least one table, [[schedule]]", entries)
    tables = []
    for index, entry in enumerate(entries):
        files = entry.get("file")
        if not isinstance(files, list):
            tables.append((index, entry))
            continue
        # A table for each of its files: what is read from them is no list of values.
        name = _name(index, entry)
        check_axis(f"schedule {name!r}.file", files, rules.text)
        tables += [(index, {**entry, "file": file, "name": f"{name}[file={file!r}]"}) for file in files]
    checked = tuple(_check_schedule(index, table, folder) for index, table in tables)
    check_combinations("schedule", sum(map(count_schedules, checked)))
    return checked


def count_schedules(table: dict) -> int:
    """How many schedules a checked table stands for."""
    return optimal.count(table) if optimal.is_optimal(table) else math.prod(map(count_combinations, _phases_of(table)))


def _name(index, entry):
    """The name of a [[schedule]] table, by default its kind."""
    kind = entry.get("kind")
    known = isinstance(kind, str) and kind in (*checking.kinds(), optimal.KIND)
    return entry.get("name", kind if known else f"schedule-{index + 1}")


def _check_schedule(index, entry, folder):
    """One [[schedule]] table: a name, a unit, and a kind with parameters or phases."""
    name = _name(index, entry)
    key = f"schedule {rules.text(f'schedule[{index}].name', name)!r}"
    if optimal.is_optimal(entry) and PHASES not in entry:
        return {"name": name, "unit": "absolute", **optimal.check_table(key, entry)}
    unit = rules.one_of(*UNITS, noun="unit")(f"{key}.unit", entry.get("unit", "absolute"))
    rest = {k: v for k, v in entry.items() if k not in ("name", "unit")}
    if PHASES not in rest:
        return {"name": name, "unit": unit, **_listed(key, rest, folder)}
    if "kind" in rest:
        raise InputError(f"{key}: has both kind and phases; phases have kinds of their own")
    check_keys(key, {k: v for k, v in entry.items() if k != "kind"}, ("name", "unit", PHASES))
    phases = rest[PHASES]
    if not isinstance(phases, list | tuple) or not phases or not all(isinstance(p, dict) for p in phases):
        rules.refuse(f"{key}.phases", "a list of at least one table", phases)
    listed = [_listed(f"{key}, phase {i + 1}", phase, folder) for i, phase in enumerate(phases)]
    return {"name": name, "unit": unit, "phases": listed}


def _listed(key, table, folder):
    """A phase's table with its values cast and its file read; lists stay lists."""
    checking.check_keys(key, table)
    cast = {}
    for name, value in checking.read_file(key, table, folder).items():
        rule = RULES.get(name)
        cast[name] = check_axis(f"{key}.{name}", value, rule) if rule else value
    # Checked with the first value of every list, so that what is unknown or missing is found before any expansion.
    checking.check_phase(key, {k: v[0] if isinstance(v, list) and v else v for k, v in cast.items()})
    return cast


def expand_schedule(key: str, table: dict, max_steps: int) -> list[tuple[Schedule, dict]]:
    """Every combination of one table's lists, as [(Schedule, parameters), ...].

    Parameters
    ----------
    key
        What messages call the table.
    table
        A checked [[schedule]] table.
    max_steps
        The most steps of a schedule.

    Returns
    -------
    list of (Schedule, dict)
        The dict is what the run file says of one: {"kind": ..., "learning_rate": ...}; of phases, phase1_kind, ...
    """
    if optimal.is_optimal(table):
        return optimal.expand_table(key, table, max_steps)
    phased, phases = "phases" in table, _phases_of(table)
    # (number of the phase, key) -> the values of a list
    lists = {(i, key): v for i, phase in enumerate(phases) for key, v in phase.items() if isinstance(v, list)}
    expanded = []
    for values in itertools.product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        single = [{key: chosen.get((i, key), v) for key, v in phase.items()} for i, phase in enumerate(phases)]
        label = ",".join(f"{_key(phased, *place)}={_shown(value)}" for place, value in chosen.items())
        name = f"{table['name']}[{label}]" if label else table["name"]
        checked = [checking.check_phase(key, phase) for phase in single]
        schedule = checking.build(key, name, table["unit"], checked, max_steps)
        parameters = {
            _key(phased, i, key, "_"): _shown(value) if isinstance(value, tuple) else value
            for i, phase in enumerate(checked)
            for key, value in phase.items()
        }
        expanded.append((schedule, {"kind": PHASES, **parameters} if phased else parameters))
    return expanded


def _phases_of(table):
    """The phases of a schedule's table; a single kind is one phase."""
    if "phases" in table:
        return table["phases"]
    return [{k: v for k, v in table.items() if k not in ("name", "unit")}]


def _key(phased, phase, key, separator="."):
    """A parameter's name among those of all phases, where there are several."""
    return f"phase{phase + 1}{separator}{key}" if phased else key


def _shown(value):
    """A value in the name of a combination; of a long vector its length and the start of its SHA-256."""
    if not isinstance(value, tuple) or len(value) <= LONGEST_SHOWN:
        return repr(value)
    return f"{len(value)} values {hashlib.sha256(repr(tuple(value)).encode()).hexdigest()[:12]}"
