"""The [[schedule]] tables of a grid: checked and cast, and their lists expanded to single schedules."""

import hashlib
import itertools
import math
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import Faults, InputError, nearest, unknown
from ..inputs import rules
from ..inputs.parameters import check_keys
from ..plugins.kinds import plugin_of
from ..schedules import checking
from ..schedules.plugin import with_plugins
from ..schedules.schedule import PHASES, Schedule
from . import optimal
from .axes import check_axis, check_combinations, count_combinations

UNITS = ("absolute", "sharpness")
BUDGET = "budget"  # in place of steps: those that each of [stop] steps leaves
ZIP = "zip"
LONGEST_SHOWN = 8  # a longer vector has its length and a digest in names and in the run file


def budgets_of(tables: dict) -> list:
    """The budgets of a grid's tables, as given, under a misspelled key too; none where it stops by another rule."""
    stop = tables.get("stop")
    stop = stop if isinstance(stop, dict) else {}
    meant = "steps" if "steps" in stop else next((key for key in stop if nearest(str(key), ["steps"])), "")
    budgets = stop.get(meant, [])
    return budgets if isinstance(budgets, list) else [budgets]


def check_schedules(entries: Any, folder: str | Path, budgets: Sequence[Any] = ()) -> tuple[dict, ...]:
    """Every [[schedule]] table, named, its values still as given (lists are axes); "budget" is the list of budgets."""
    if entries is None:
        raise InputError("[[schedule]] is missing: at least one is needed")
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse("schedule", "a list of at least one table, [[schedule]]", entries)
    tables = []
    for index, given in enumerate(entries):
        entry = with_plugins(f"schedule {given.get('name', f'schedule-{index + 1}')!r}", given, folder)
        files = entry.get("file")
        if not isinstance(files, list):
            tables.append((index, entry))
            continue
        # A table for each of its files: what is read from them is no list of values.
        name = _name(index, entry)
        check_axis(f"schedule {name!r}.file", files, rules.text)
        tables += [(index, {**entry, "file": file, "name": f"{name}[file={file!r}]"}) for file in files]
    faults, checked = Faults(), []
    for index, table in tables:
        with faults:
            checked.append(_check_schedule(index, table, folder, budgets))
    faults.raise_all()
    check_combinations("schedule", sum(map(count_schedules, checked)))
    return tuple(checked)


def count_schedules(table: dict) -> int:
    """How many schedules a checked table stands for: keys that are zipped count once."""
    if optimal.is_optimal(table):
        return optimal.count(table)
    whole = math.prod(map(count_combinations, _phases_of(table)))
    lengths = {_key(PHASES in table, *place): len(values) for place, values in _lists_of(table).items()}
    return whole // math.prod(lengths[key] for group in table.get(ZIP, ()) for key in group[1:])


def _name(index, entry):
    """The name of a [[schedule]] table, by default its kind."""
    kind = entry.get("kind")
    if plugin := plugin_of(kind):
        return entry.get("name", plugin.short)
    is_known = isinstance(kind, str) and kind in (*checking.kinds(), *checking.ALIASES, optimal.KIND)
    return entry.get("name", kind if is_known else f"schedule-{index + 1}")


def _check_schedule(index, entry, folder, budgets):
    """One [[schedule]] table: a name, a unit, and a kind with parameters or phases."""
    name = _name(index, entry)
    key = f"schedule {rules.text(f'schedule[{index}].name', name)!r}"
    if optimal.is_optimal(entry) and PHASES not in entry:
        return {"name": name, "unit": "absolute", **optimal.check_table(key, entry)}
    unit = rules.one_of(*UNITS, noun="unit")(f"{key}.unit", entry.get("unit", "absolute"))
    rest = {k: v for k, v in entry.items() if k not in ("name", "unit", ZIP)}
    if (astray := sorted({"noise", "optimizer"} & set(rest))) and not plugin_of(rest.get("kind")):
        raise InputError(f"{key}: unknown key {astray[0]!r}; every schedule is run with each [[{astray[0]}]] table")
    if PHASES not in rest and "kind" not in rest and (near := get_close_matches(PHASES, map(str, rest), n=1)):
        raise unknown(key, near[0], [PHASES], "key")
    if PHASES not in rest:
        if "kind" in rest:
            checking.check_kind(key, rest["kind"], (optimal.KIND,))
        (rest,) = _with_budgets(key, [rest], budgets)
        return _zipped(key, {"name": name, "unit": unit, **_listed(key, rest, folder)}, entry)
    if "kind" in rest:
        raise InputError(f"{key}: has both kind and phases; phases have kinds of their own")
    check_keys(key, {k: v for k, v in entry.items() if k != "kind"}, ("name", "unit", ZIP, PHASES))
    phases = rest[PHASES]
    if not isinstance(phases, list | tuple) or not phases or not all(isinstance(p, dict) for p in phases):
        rules.refuse(f"{key}.phases", "a list of at least one table", phases)
    faults, listed = Faults(), []
    for i, phase in enumerate(_with_budgets(key, phases, budgets)):
        with faults:
            listed.append(_listed(f"{key}, phase {i + 1}", phase, folder, least_steps=0))
    faults.raise_all()
    return _zipped(key, {"name": name, "unit": unit, PHASES: listed}, entry)


def _with_budgets(key, phases, budgets):
    """Phases whose steps are "budget" with the list of those that the other phases leave of each budget."""
    places = [i for i, phase in enumerate(phases) if phase.get("steps") == BUDGET]
    if not places:
        return phases
    if not budgets:
        raise InputError(f"{key}.steps: 'budget' stands for each of stop.steps, and the grid has no budgets there")
    others = [phase.get("steps", 0) for i, phase in enumerate(phases) if i != places[0]]
    if not all(isinstance(steps, int) for steps in [*others, *budgets]):
        raise InputError(f"{key}.steps: with 'budget' in one phase, the steps of each other are one whole number")
    if min(budgets) <= sum(others):
        rules.refuse("stop.steps", f"more than the {sum(others)} steps of the other phases of {key}", min(budgets))
    left = [budget - sum(others) for budget in budgets]
    return [{**phase, "steps": left} if i == places[0] else phase for i, phase in enumerate(phases)]


def _zipped(key, table, entry):
    """A checked table with the groups of keys that go together, each of lists of one length."""
    if ZIP not in entry:
        return table
    groups, lists = entry[ZIP], {_key(PHASES in table, *place): v for place, v in _lists_of(table).items()}
    if not isinstance(groups, list | tuple) or not all(isinstance(g, list | tuple) and len(g) > 1 for g in groups):
        rules.refuse(f"{key}.{ZIP}", "a list of lists of two keys or more, e.g. [['learning_rate', 'steps']]", groups)
    names = [name for group in groups for name in group]
    for name in names:
        if name not in lists:
            raise unknown(f"{key}.{ZIP}", name, lists, "list of the table")
        if names.count(name) > 1:
            rules.refuse(f"{key}.{ZIP}", "a list with every key once", groups)
    for group in groups:
        lengths = [len(lists[name]) for name in group]
        if len(set(lengths)) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in zip(group, lengths, strict=True))
            raise InputError(f"{key}.{ZIP}: lists that go together are of one length; {told}")
    return {**table, ZIP: tuple(map(tuple, groups))}


def _listed(key, table, folder, least_steps=1):
    """A phase's table with its values cast and its file read; lists stay lists."""
    kind, cast = checking.check_keys(key, table), {}
    given = {**checking.read_file(key, table, folder), "kind": kind}
    faults, own = Faults(), {"steps": partial(rules.count, least=least_steps)}
    known = (*checking.parameters(kind), *checking.fractions(kind))
    for name, value in given.items():
        with faults:
            rule = own.get(name) or (checking.rule_of(kind, name) if name in known else None)
            cast[name] = check_axis(f"{key}.{name}", value, rule) if rule else value
    if len(cast) < len(given):
        with faults:
            checking.check_present(key, kind, given)
    else:
        # Checked with the first value of every list, so that what is missing is found before any expansion.
        first = {name: value[0] if isinstance(value, list) and value else value for name, value in cast.items()}
        with faults:
            checking.check_phase(key, first, least_steps)
    faults.raise_all()
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
    phased, phases = PHASES in table, _phases_of(table)
    expanded = []
    for parts in itertools.product(*_axes_of(table)):
        chosen = {place: value for part in parts for place, value in part.items()}
        single = [{key: chosen.get((i, key), v) for key, v in phase.items()} for i, phase in enumerate(phases)]
        label = ",".join(f"{_key(phased, *place)}={_shown(value)}" for place, value in chosen.items())
        name = f"{table['name']}[{label}]" if label else table["name"]
        checked = [checking.check_phase(key, phase, 0 if phased else 1) for phase in single]
        schedule = checking.build(key, name, table["unit"], checked, max_steps)
        parameters = {
            _key(phased, i, key, "_"): _shown(value) if isinstance(value, tuple) else value
            for i, phase in enumerate(checked)
            for key, value in phase.items()
        }
        expanded.append((schedule, {"kind": PHASES, **parameters} if phased else parameters))
    return expanded


def _lists_of(table):
    """The lists of a checked table: {(number of the phase, key): values}."""
    phases = enumerate(_phases_of(table))
    return {(i, key): values for i, phase in phases for key, values in phase.items() if isinstance(values, list)}


def _axes_of(table):
    """The axes of a checked table, a list of {(number of the phase, key): value} each; keys that are zipped are one."""
    groups = {key: number for number, group in enumerate(table.get(ZIP, ())) for key in group}
    axes: dict = {}
    for place, values in _lists_of(table).items():
        name = groups.get(_key(PHASES in table, *place), place)
        axis = axes.get(name, [{}] * len(values))
        axes[name] = [{**one, place: value} for one, value in zip(axis, values, strict=True)]
    return axes.values()


def _phases_of(table):
    """The phases of a schedule's table; a single kind is one phase."""
    if PHASES in table:
        return table[PHASES]
    return [{k: v for k, v in table.items() if k not in ("name", "unit", ZIP)}]


def _key(phased, phase, key, separator="."):
    """A parameter's name among those of all phases, where there are several."""
    return f"phase{phase + 1}{separator}{key}" if phased else key


def _shown(value):
    """A value in the name of a combination; of a long vector its length and the start of its SHA-256."""
    if not isinstance(value, tuple) or len(value) <= LONGEST_SHOWN:
        return repr(value)
    return f"{len(value)} values {hashlib.sha256(repr(tuple(value)).encode()).hexdigest()[:12]}"
