"""The grid description: frozen, checked, from TOML and back.

`GridConfig.from_toml` takes a path or the text itself. Whatever is wrong is refused in one line that names the key, the
rule and the value. After that every value is cast and every default filled in, so `to_toml` states the whole grid.
"""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

from . import problems, rules, schedules, toml
from .errors import InputError, unknown

MOST_COMBINATIONS = 1_000_000
MOST_POINTS = 1_000_000
LARGEST_LEVEL = 1e100
LONGEST_NAME = 200  # bytes: a file name has at most 255, and something is put after it
TABLES = ("name", "engine", "problem", "seeds", "stop", "record", "schedule", "optimizer", "run")
LEVEL_KINDS = ("train_loss", "excess_train_loss")
OPTIMIZERS = {"gd": "gradient descent: theta <- theta - eta_t grad L(theta)"}
UNITS = ("absolute", "sharpness")
ENGINES = ("auto", "recurrence", "closed-form")


def _recorded_seeds(key, value):
    """A number of seeds, or "all"."""
    if isinstance(value, str):
        return rules.one_of("all")(key, value)
    return rules.count_or_none(key, value)


def _points(key, value):
    """A number of recorded moments; they are held in memory."""
    return rules.count(key, value, least=0, most=MOST_POINTS)


# table -> key -> (rule, default)
SETTINGS = {
    "seeds": {"count": (rules.count, 1000), "root": (rules.count_or_none, 0)},
    "record": {
        "points": (_points, 200),
        "flow_time": (rules.positive, 20.0),
        "seeds": (_recorded_seeds, 64),
        "iterates": (rules.flag, False),
        "dtype": (rules.one_of("float64", "float32"), "float64"),
    },
    "run": {"block_seeds": (rules.count_or_none, 0)},
}
DEFAULT_MAX_STEPS = 1_000_000


@dataclass(frozen=True)
class GridConfig:
    """One grid: schedules x seeds on a problem. All tables are checked and complete; lists in them are grid axes.

    Attributes: name; engine, how steps are taken ("auto" skips them where that is exact and pays); problem, seeds,
    stop, record and run, each a dict; schedule and optimizer, tuples of dicts; folder, where relative data files are
    looked for (not part of the grid's identity).
    """

    name: str
    engine: str
    problem: dict
    seeds: dict
    stop: dict
    record: dict
    schedule: tuple
    optimizer: tuple
    run: dict
    folder: str = field(default=".", compare=False)

    @classmethod
    def from_toml(cls, source, overrides=()):
        """The grid described by a TOML file (a path) or by TOML text; InputError where anything is wrong.

        `overrides` are (dotted key, value) pairs that replace or add single values before the check.
        """
        tables, folder = toml.read(source)
        for key, value in overrides:
            toml.override(tables, key, value)
        return cls.from_tables(tables, folder)

    @classmethod
    def from_tables(cls, tables, folder="."):
        """The grid described by nested dicts, as TOML reads them."""
        if not isinstance(tables, dict):
            rules.refuse("grid", "a table", tables)
        for key in tables:
            if key not in TABLES:
                raise unknown("grid", key, TABLES, "key")
        stop = _check_stop(_table(tables, "stop", required=True))
        config = cls(
            name=_check_name(tables.get("name", "grid")),
            engine=rules.one_of(*ENGINES, noun="engine")("engine", tables.get("engine", "auto")),
            problem=_check_problem(_table(tables, "problem", required=True)),
            seeds=_check_settings(tables, "seeds"),
            stop=stop,
            record=_check_settings(tables, "record"),
            schedule=_check_schedules(tables.get("schedule"), stop["max_steps"]),
            optimizer=_check_optimizers(tables.get("optimizer", [{"kind": "gd"}])),
            run=_check_settings(tables, "run"),
            folder=str(folder),
        )
        config.schedules()  # names and lengths of all combinations
        return config

    def replace(self, **changes):
        """A copy with whole tables or single keys replaced: `replace(seeds={"count": 10})` keeps the root."""
        tables = self.tables()
        folder = changes.pop("folder", self.folder)
        for key, value in changes.items():
            merge = isinstance(value, dict) and isinstance(tables.get(key), dict) and key != "problem"
            tables[key] = {**tables[key], **value} if merge else value
        return type(self).from_tables(tables, folder)

    def tables(self):
        """The grid as nested dicts, every default filled in."""
        lists = {"schedule": [dict(s) for s in self.schedule], "optimizer": [dict(o) for o in self.optimizer]}
        parts = {key: dict(getattr(self, key)) for key in ("problem", "seeds", "stop", "record")}
        return {"name": self.name, "engine": self.engine, **parts, **lists, "run": dict(self.run)}

    def to_toml(self):
        """The grid as TOML text; `from_toml` of it gives an equal grid."""
        return toml.write(self.tables())

    def identity(self):
        """What must agree for two runs to be of one grid: everything but the name and how the work is cut."""
        tables = self.tables()
        return toml.write({key: value for key, value in tables.items() if key not in ("name", "run")})

    @property
    def levels(self):
        """The levels in the order given."""
        return self.stop[self.level_kind]

    @property
    def level_kind(self):
        """ "train_loss" or "excess_train_loss"."""
        return next(kind for kind in LEVEL_KINDS if kind in self.stop)

    def schedules(self):
        """All schedules of the grid, lists expanded: [(Schedule, {parameter: value}), ...], names unique."""
        expanded = []
        for table in self.schedule:
            expanded += _expand_schedule(f"schedule {table['name']!r}", table, self.stop["max_steps"])
        counts = Counter(made.name for made, _ in expanded)
        for name, times in counts.items():
            if times > 1:
                raise InputError(f"schedule name must be unique, got {name!r} {times} times")
        return expanded

    def problem_combinations(self):
        """All combinations of problem parameters, lists expanded: (axis names, [{parameter: value}, ...])."""
        kind = problems.find("problem.kind", self.problem["kind"])
        axes, choices = [], []
        for parameter in kind.parameters:
            value = self.problem[parameter.name]
            is_axis = isinstance(value, list)
            axes += [parameter.name] if is_axis else []
            choices.append(value if is_axis else [value])
        names = [parameter.name for parameter in kind.parameters]
        return axes, [dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]


# ---- checking ----


def _table(tables, key, required=False):
    """One table of the grid."""
    if required and key not in tables:
        raise InputError(f"[{key}] is missing")
    table = tables.get(key, {})
    if not isinstance(table, dict):
        rules.refuse(key, "a table", table)
    return table


def _check_name(name):
    """The grid's name, which names its output file."""
    rules.text("name", name)
    if "/" in name or "\\" in name or name.startswith(".") or len(name.encode()) > LONGEST_NAME:
        rules.refuse("name", f"fit for a file name (no slash, no leading dot, at most {LONGEST_NAME} bytes)", name)
    return name


def _check_settings(tables, key):
    """A table of single values, each with a rule and a default."""
    table, known = _table(tables, key), SETTINGS[key]
    for name in table:
        if name not in known:
            raise unknown(key, name, known, "key")
    return {name: rule(f"{key}.{name}", table.get(name, default)) for name, (rule, default) in known.items()}


def _check_stop(table):
    """The levels and the largest number of steps."""
    for name in table:
        if name not in (*LEVEL_KINDS, "max_steps"):
            raise unknown("stop", name, (*LEVEL_KINDS, "max_steps"), "key")
    given = [kind for kind in LEVEL_KINDS if kind in table]
    if len(given) != 1:
        raise InputError(f"stop must have one of {' and '.join(LEVEL_KINDS)}, got {' and '.join(given) or 'neither'}")
    kind = given[0]
    levels = table[kind] if isinstance(table[kind], list | tuple) else [table[kind]]
    if not levels:
        rules.refuse(f"stop.{kind}", "a list of at least one level", table[kind])
    cast = [_check_level(kind, level) for level in levels]
    if len(set(cast)) < len(cast):
        rules.refuse(f"stop.{kind}", "a list of different levels", levels)
    return {kind: cast, "max_steps": rules.count("stop.max_steps", table.get("max_steps", DEFAULT_MAX_STEPS))}


def _check_level(kind, value):
    """One level; an excess of 0 is never reached, and a run beyond the largest has diverged."""
    if kind == "train_loss":
        bounds = {"least": 0.0, "rule": f"a number from 0 to {LARGEST_LEVEL:g}"}
    else:
        bounds = {"above": 0.0, "rule": f"a number > 0, at most {LARGEST_LEVEL:g}"}
    return rules.number(f"stop.{kind}", value, most=LARGEST_LEVEL, **bounds)


def _check_problem(table):
    """The problem's kind and parameters."""
    if "kind" not in table:
        raise InputError(f"problem.kind is missing; valid are {', '.join(repr(k) for k in problems.kinds())}")
    kind = problems.find("problem.kind", table["kind"])
    known = {parameter.name: parameter for parameter in kind.parameters}
    for name in table:
        if name != "kind" and name not in known:
            raise unknown(f"problem (kind {kind.kind!r})", name, ["kind", *known], "key")
    checked = {"kind": kind.kind}
    for name, parameter in known.items():
        value = table.get(name, parameter.default)
        if value is problems.REQUIRED:
            raise InputError(f"problem (kind {kind.kind!r}): {name} is missing")
        checked[name] = _check_axis(f"problem.{name}", value, parameter.rule)
    _check_combinations("problem", math.prod(len(v) for v in checked.values() if isinstance(v, list)))
    return checked


def _check_combinations(key, count):
    """Refuse, before any is made, what nobody can have meant."""
    if count > MOST_COMBINATIONS:
        given = f"{count:,}" if count < 10**15 else "far too many"
        raise InputError(f"{key}: its lists give {given} combinations, more than {MOST_COMBINATIONS:,}")


def _check_axis(key, value, rule):
    """One value, or a list of values, which is a grid axis. Vectors are kept as tuples, axes as lists."""
    is_vector = getattr(rule, "is_vector", False)
    is_axis = isinstance(value, list) and (not is_vector or any(isinstance(v, list | tuple) for v in value))
    if not is_axis:
        return rule(key, value)
    if not value:
        rules.refuse(key, "a value, or a list of at least one", value)
    cast = [rule(key, v) for v in value]
    if len(set(cast)) < len(cast):
        rules.refuse(key, "a list of different values", value)
    return cast


def _check_schedules(entries, max_steps):
    """Every [[schedule]] table, named, its values still as given (lists are axes)."""
    if entries is None:
        raise InputError("[[schedule]] is missing: at least one is needed")
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse("schedule", "a list of at least one table, [[schedule]]", entries)
    checked = tuple(_check_schedule(index, entry) for index, entry in enumerate(entries))
    _check_combinations("schedule", sum(math.prod(len(values) for _, values in _axes(table)) for table in checked))
    return checked


def _check_schedule(index, entry):
    """One [[schedule]] table: a name, a unit, and a kind with parameters or phases."""
    kind = entry.get("kind")
    name = entry.get("name", kind if isinstance(kind, str) and kind in schedules.kinds() else f"schedule-{index + 1}")
    key = f"schedule {rules.text(f'schedule[{index}].name', name)!r}"
    unit = rules.one_of(*UNITS, noun="unit")(f"{key}.unit", entry.get("unit", "absolute"))
    rest = {k: v for k, v in entry.items() if k not in ("name", "unit")}
    if schedules.PHASES not in rest:
        return {"name": name, "unit": unit, **_listed(key, rest)}
    if "kind" in rest:
        raise InputError(f"{key}: has both kind and phases; phases have kinds of their own")
    for other in rest:
        if other != schedules.PHASES:
            raise unknown(key, other, ["name", "unit", schedules.PHASES], "key")
    phases = rest[schedules.PHASES]
    if not isinstance(phases, list | tuple) or not phases or not all(isinstance(p, dict) for p in phases):
        rules.refuse(f"{key}.phases", "a list of at least one table", phases)
    return {"name": name, "unit": unit, "phases": [_listed(f"{key}, phase {i + 1}", p) for i, p in enumerate(phases)]}


def _listed(key, table):
    """A phase's table with its values cast; lists stay lists."""
    kind = table.get("kind")
    if kind is not None:
        schedules.check_kind(key, kind)
    cast = {}
    for name, value in table.items():
        rule = schedules.RULES.get(name)
        cast[name] = _check_axis(f"{key}.{name}", value, rule) if rule else value
    # Checked with the first value of every list, so that what is unknown or missing is found before any expansion.
    schedules.check_phase(key, {k: v[0] if isinstance(v, list) and v else v for k, v in cast.items()})
    return cast


def _axes(table):
    """The lists in a schedule's table: [((phase number or None, key), values), ...]."""
    if "phases" not in table:
        return [((None, key), value) for key, value in table.items() if isinstance(value, list)]
    phases = enumerate(table["phases"])
    return [((i, key), value) for i, phase in phases for key, value in phase.items() if isinstance(value, list)]


def _expand_schedule(key, table, max_steps):
    """Every combination of one table's lists, as [(Schedule, parameters), ...]."""
    axes = _axes(table)
    made = []
    for values in itertools.product(*(v for _, v in axes)):
        chosen = dict(zip((where for where, _ in axes), values, strict=True))
        phases = [
            {k: chosen.get((i if "phases" in table else None, k), v) for k, v in phase.items()}
            for i, phase in enumerate(_phases_of(table))
        ]
        label = ",".join(f"{_where(where)}={value!r}" for where, value in chosen.items())
        name = f"{table['name']}[{label}]" if label else table["name"]
        checked = [schedules.check_phase(key, phase) for phase in phases]
        built = schedules.build(key, name, table["unit"], checked, max_steps)
        made.append((built, _parameters(table, checked)))
    return made


def _phases_of(table):
    """The phases of a schedule's table; a single kind is one phase."""
    if "phases" in table:
        return table["phases"]
    return [{k: v for k, v in table.items() if k not in ("name", "unit")}]


def _where(where):
    """A list's place in the name of a combination."""
    phase, key = where
    return key if phase is None else f"phase{phase + 1}.{key}"


def _parameters(table, phases):
    """What the run file says of one combination: {"kind": ..., "learning_rate": ...}; of phases, phase1_kind, ..."""
    if "phases" not in table:
        return phases[0]
    named = {f"phase{i + 1}_{key}": value for i, phase in enumerate(phases) for key, value in phase.items()}
    return {"kind": schedules.PHASES, **named}


def _check_optimizers(entries):
    """Every [[optimizer]] table."""
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse("optimizer", "a list of at least one table, [[optimizer]]", entries)
    checked = []
    for index, entry in enumerate(entries):
        kind = entry.get("kind", "gd")
        if not isinstance(kind, str):
            rules.refuse(f"optimizer[{index}].kind", "a string", kind)
        if kind not in OPTIMIZERS:
            raise unknown(f"optimizer {kind!r}", kind, OPTIMIZERS, "kind")
        for name in entry:
            if name != "kind":
                raise unknown(f"optimizer {kind!r}", name, ["kind"], "key")
        checked.append({"kind": kind})
    if len(checked) > len({entry["kind"] for entry in checked}):
        raise InputError("optimizer: the same one is given twice")
    return tuple(checked)
