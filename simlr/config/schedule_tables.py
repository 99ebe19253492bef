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
from .axes import check_axis, check_combinations, count_combinations

UNITS = ("absolute", "sharpness")
LONGEST_SHOWN = 8  # a longer vector has its length and a digest in names and in the run file


def check_schedules(entries: Any, folder: str | Path) -> tuple[dict, ...]:
    """Every [[schedule]] table, named, its values still as given (lists are axes)."""
    if entries is None:
        raise InputError("[[schedule]] is missing: at least one is needed")
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse("schedule", "a list of at least one table, [[schedule]]", entries)
    single = [one for index, entry in enumerate(entries) for one in _one_file_each(index, entry)]
    checked = tuple(_check_schedule(index, entry, folder) for index, entry in single)
    check_combinations("schedule", sum(map(count_schedules, checked)))
    return checked


def count_schedules(table: dict) -> int:
    """How many schedules a checked table stands for."""
    return math.prod(map(count_combinations, _phases_of(table)))


def _one_file_each(index, entry):
    """A [[schedule]] table as (index, table) for each of its files: what is read from them is no list of values."""
    files = entry.get("file")
    if not isinstance(files, list):
        return [(index, entry)]
    check_axis(f"schedule {_name(index, entry)!r}.file", files, rules.text)
    return [(index, {**entry, "file": file, "name": f"{_name(index, entry)}[file={file!r}]"}) for file in files]


def _name(index, entry):
    """The name of a [[schedule]] table, by default its kind."""
    kind = entry.get("kind")
    return entry.get("name", kind if isinstance(kind, str) and kind in checking.kinds() else f"schedule-{index + 1}")


def _check_schedule(index, entry, folder):
    """One [[schedule]] table: a name, a unit, and a kind with parameters or phases."""
    name = _name(index, entry)
    key = f"schedule {rules.text(f'schedule[{index}].name', name)!r}"
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


def _axes(table):
    """The lists in a schedule's table: [((phase number or None, key), values), ...]."""
    if "phases" not in table:
        return [((None, key), value) for key, value in table.items() if isinstance(value, list)]
    phases = enumerate(table["phases"])
    return [((i, key), value) for i, phase in phases for key, value in phase.items() if isinstance(value, list)]


def expand_schedule(key: str, table: dict, max_steps: int) -> list[tuple[Schedule, dict]]:
    """Every combination of one table's lists, as [(Schedule, parameters), ...]."""
    axes = _axes(table)
    expanded = []
    for values in itertools.product(*(v for _, v in axes)):
        chosen = dict(zip((where for where, _ in axes), values, strict=True))
        phases = [
            {k: chosen.get((i if "phases" in table else None, k), v) for k, v in phase.items()}
            for i, phase in enumerate(_phases_of(table))
        ]
        label = ",".join(f"{_place(*where)}={_shown(value)}" for where, value in chosen.items())
        name = f"{table['name']}[{label}]" if label else table["name"]
        checked = [checking.check_phase(key, phase) for phase in phases]
        schedule = checking.build(key, name, table["unit"], checked, max_steps)
        expanded.append((schedule, _parameters(table, checked)))
    return expanded


def _phases_of(table):
    """The phases of a schedule's table; a single kind is one phase."""
    if "phases" in table:
        return table["phases"]
    return [{k: v for k, v in table.items() if k not in ("name", "unit")}]


def _place(phase, key):
    """A list's place in the name of a combination."""
    return key if phase is None else f"phase{phase + 1}.{key}"


def _parameters(table, phases):
    """What the run file says of one combination: {"kind": ..., "learning_rate": ...}; of phases, phase1_kind, ..."""
    if "phases" not in table:
        return {key: _plain(value) for key, value in phases[0].items()}
    named = {f"phase{i + 1}_{key}": _plain(value) for i, phase in enumerate(phases) for key, value in phase.items()}
    return {"kind": PHASES, **named}


def _plain(value):
    """A parameter's value as the run file has it: numbers and text."""
    return _shown(value) if isinstance(value, tuple) else value


def _shown(value):
    """A value in the name of a combination; of a long vector its length and the start of its SHA-256."""
    if not isinstance(value, tuple) or len(value) <= LONGEST_SHOWN:
        return repr(value)
    return f"{len(value)} values {hashlib.sha256(repr(tuple(value)).encode()).hexdigest()[:12]}"
