"""Learning-rate schedules: what the kinds of `shapes` and `optimal` are put together to, checked, and tabulated.

A schedule is a list of phases; a phase is one kind over a number of steps, and the last may be a gradient flow, which
has no steps and ends by itself. To add a kind, write its function in `shapes` and mark it with @schedule: the grid
file, `tabulate` and `--list` then know it. A schedule written in Python needs no kind: see `from_callable`.
"""

import inspect
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import optimal, shapes  # optimal and shapes enter their kinds
from .errors import InputError, show, unknown
from .inputs import datafiles, rules
from .registry import KINDS, Rates, schedule

__all__ = ["FLOW", "KINDS", "PHASES", "RULES", "Phase", "Rates", "Schedule", "optimal", "schedule"]

FLOW = "flow"
MOST_PIECES = 4096
MOST_VARYING_STEPS = 1 << 33  # their sum is taken, and takes a minute
MOST_RATES = 1_000_000  # in a table, which the grid holds as text
PHASES = "phases"
FILE_KEYS = ("file", "column")  # of a table, in place of its rates


def rate_list(key, value):
    """A list of rates, each finite and 0 or more, as `Rates`."""
    if isinstance(value, Rates):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, list | tuple) or not value:
        rules.refuse(key, "a list of numbers >= 0, not empty", value)
    if len(value) > MOST_RATES:
        raise InputError(f"{key} must be a list of at most {MOST_RATES:,} rates, got {len(value):,}")
    return Rates(rules.not_negative(f"{key}[{i}]", rate) for i, rate in enumerate(value))


rate_list.is_vector = True


def ascending(key, value):
    """A list of steps, each later than the one before."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    rule = "a list of ascending whole numbers >= 1"
    if not isinstance(value, list | tuple) or not value:
        rules.refuse(key, rule, value)
    steps = tuple(rules.count(f"{key}[{i}]", step) for i, step in enumerate(value))
    if any(late <= early for early, late in itertools.pairwise(steps)):
        rules.refuse(key, rule, value)
    return steps


ascending.is_vector = True


def _source(key, value):
    """Where a table comes from: text, or nothing."""
    return value if value == "" else rules.text(key, value)


# What each parameter of any kind must be.
RULES = {
    "learning_rate": rules.not_negative,
    "start_learning_rate": rules.not_negative,
    "end_learning_rate": rules.not_negative,
    "learning_rates": rate_list,
    "boundaries": ascending,
    "milestones": ascending,
    "gamma": rules.positive,
    "power": rules.positive,
    "time_scale": rules.positive,
    "step_size": rules.count,
    "transition_steps": rules.count,
    "cycle_steps": rules.count,
    "cycle_factor": rules.count,
    "up_steps": rules.count,
    "down_steps": rules.count_or_none,
    "warmup_steps": rules.count_or_none,
    "decay_steps": rules.count,
    "warmup_fraction": rules.positive,
    "division_factor": rules.positive,
    "final_division_factor": rules.positive,
    "three_phase": rules.flag,
    "anneal": rules.one_of(*shapes.INTERPOLATIONS),
    "interpolation": rules.one_of(*shapes.INTERPOLATIONS),
    "decay": rules.one_of(*shapes.DECAYS),
    "smallest_curvature": rules.positive,
    "largest_curvature": rules.positive,
    "source": _source,
    "steps": rules.count,
}


@dataclass(frozen=True)
class Phase:
    """One learning-rate function over a number of steps."""

    kind: str
    steps: int
    parameters: tuple  # ((name, value), ...)

    def rates(self, first, last):
        """Learning rates of the phase's steps first..last - 1, float64 (last - first,)."""
        t = np.arange(first, last, dtype=np.float64)
        # A rate may grow beyond all numbers, where a run diverges without a warning; 0 times that is 0.
        with np.errstate(over="ignore", invalid="ignore"):
            rates = KINDS[self.kind].function(t, self.steps, **dict(self.parameters))
        return np.nan_to_num(np.asarray(rates, dtype=np.float64), nan=0.0, posinf=np.inf)

    def pieces(self):
        """The phase as [(first step, steps, learning rate), ...], the rate None where it varies from step to step."""
        kind, own = KINDS[self.kind], dict(self.parameters)
        starts = kind.starts(self.steps, **own) if kind.starts and self.steps else []
        if 0 < len(starts) <= MOST_PIECES:
            ends = [*starts[1:], self.steps]
            return [(a, b - a, self._rate(a)) for a, b in zip(starts, ends, strict=True)]
        first, end = kind.stable(self.steps, **own) if kind.stable else (0, 0)
        found = [(0, first, None), (first, end - first, self._rate(first)), (end, self.steps - end, None)]
        return [piece for piece in found if piece[1] > 0]

    def _rate(self, t):
        """The rate of one step; 0 after the last."""
        return float(self.rates(t, t + 1)[0]) if t < self.steps else 0.0


@dataclass(frozen=True)
class Schedule:
    """Phases one after the other, then a gradient flow where `flows`."""

    name: str
    unit: str  # "absolute", or "sharpness": rates in units of 1/sharpness
    phases: tuple
    flows: bool

    def pieces(self):
        """The steps as [(first step, steps, learning rate), ...], the rate None where it varies from step to step."""
        found, start = [], 0
        for phase in self.phases:
            found += [(start + first, steps, rate) for first, steps, rate in phase.pieces()]
            start += phase.steps
        return found

    @property
    def length(self):
        """The number of discrete steps."""
        return sum(phase.steps for phase in self.phases)

    def rates(self, first, last):
        """Learning rates of steps first..last - 1 in the schedule's unit, float64; fewer where the schedule ends."""
        pieces = [np.empty(0)]
        start = 0
        for phase in self.phases:
            begin, end = max(first - start, 0), min(last - start, phase.steps)
            if begin < end:
                pieces.append(phase.rates(begin, end))
            start += phase.steps
        return np.concatenate(pieces)


def kinds():
    """The names of all schedule kinds that a phase can have, the flow included."""
    # The usual ones first, whatever was imported first.
    return [*sorted(KINDS, key=lambda kind: KINDS[kind].function.__module__ == optimal.__name__), FLOW]


def parameters(kind):
    """The parameters of a kind besides `steps`: name -> default, or None where it must be given."""
    if kind == FLOW:
        return {}
    found = list(inspect.signature(KINDS[kind].function).parameters.values())[2:]
    return {p.name: None if p.default is p.empty else p.default for p in found}


def describe(kind):
    """The formula of a kind, in one line."""
    if kind == FLOW:
        return "d theta / d tau = -grad L: gradient flow, the limit of small learning rates; it ends by itself."
    return inspect.getdoc(KINDS[kind].function).splitlines()[0]


def needs_steps(kind):
    """Whether a kind has no shape without a number of steps; a constant and its like run on to max_steps."""
    return kind != FLOW and KINDS[kind].needs_steps


# ---- checking ----


def check_kind(key, kind):
    """Refuse a kind that does not exist."""
    if not isinstance(kind, str):
        rules.refuse(f"{key}.kind", "a string", kind)
    if kind not in kinds():
        raise unknown(key, kind, kinds(), "kind")
    return kind


def check_phase(key, table):
    """A phase's parameters, cast and complete: {"kind": ..., "steps": ... or None, parameter: value, ...}."""
    kind = check_keys(key, table)
    known = parameters(kind)
    checked = {"kind": kind}
    for name, default in known.items():
        value = table.get(name, default)
        if value is None:
            raise InputError(f"{key} (kind {kind!r}): {name} is missing")
        checked[name] = RULES[name](f"{key}.{name}", value)
    return checked if kind == FLOW else _with_steps(key, table, checked)


def check_keys(key, table):
    """The kind of a phase's table, in which every key is known."""
    if not isinstance(table, dict):
        rules.refuse(key, "a table", table)
    if "kind" not in table:
        raise InputError(f"{key}: kind is missing; valid are {', '.join(repr(k) for k in kinds())}")
    kind = check_kind(key, table["kind"])
    allowed = [] if kind == FLOW else ["steps", *parameters(kind), *(FILE_KEYS if kind == "table" else ())]
    for name in table:
        if name != "kind" and name not in allowed:
            raise unknown(f"{key} (kind {kind!r})", name, ["kind", *allowed], "key")
    return kind


def _with_steps(key, table, checked):
    """The same with the number of steps, where there is one, and looked at as a whole."""
    kind = checked["kind"]
    entry, own = KINDS[kind], {name: value for name, value in checked.items() if name != "kind"}
    steps = RULES["steps"](f"{key}.steps", table["steps"]) if "steps" in table else None
    if steps is None and entry.needs_steps:
        raise InputError(f"{key} (kind {kind!r}): steps is missing")
    if steps is None and entry.length:
        steps = entry.length(**own)
    if entry.check:
        entry.check(key, steps, **own)
    return checked if steps is None else {**checked, "steps": steps}


def read_file(key, table, folder="."):
    """The table of a phase with its file, if it has one, read: the rates themselves, and where they come from."""
    if not isinstance(table, dict) or table.get("kind") != "table":
        return table
    check_keys(key, table)
    given = [name for name in FILE_KEYS if name in table]
    if not given and "learning_rates" not in table:
        raise InputError(f"{key} (kind 'table'): learning_rates, or a file in their place, is missing")
    if not given:
        return table
    for name in ("learning_rates", "source"):
        if name in table:
            raise InputError(f"{key} (kind 'table'): has both {given[0]} and {name}; a file holds the rates")
    if "file" not in table:
        raise InputError(f"{key} (kind 'table'): file is missing")
    name, column = rules.text(f"{key}.file", table["file"]), table.get("column", -1)
    path = Path(folder) / name
    rates = _rates_in(key, path, column, "column" in table)
    rest = {k: v for k, v in table.items() if k not in FILE_KEYS}
    return {**rest, "learning_rates": rates, "source": name + (f", column {column}" if "column" in table else "")}


def _rates_in(key, path, column, column_given):
    """The rates in a file."""
    if path.suffix == ".npy" and column_given:
        raise InputError(f"{key}.column: an NPY file has no columns")
    if isinstance(column, bool) or not isinstance(column, int | str):
        rules.refuse(f"{key}.column", "a column's name or number", column)
    values = datafiles.read_vector(path) if path.suffix == ".npy" else datafiles.read_column(path, column)
    return rate_list(f"{path}: learning_rates", values)


def build(key, name, unit, tables, max_steps):
    """The Schedule of checked phase tables; phases without steps share none: only the last one may run to max_steps."""
    if not tables:
        raise InputError(f"{key}.phases must be a list of at least one phase, got []")
    flows = tables[-1]["kind"] == FLOW
    discrete = tables[:-1] if flows else tables
    if any(table["kind"] == FLOW for table in discrete):
        raise InputError(f"{key}: a flow ends by itself and must be the last phase")
    if any("steps" not in table for table in discrete[:-1]):
        raise InputError(f"{key}: steps is missing in a phase that is not the last")
    given = sum(table.get("steps", 0) for table in discrete)
    open_ended = bool(discrete) and "steps" not in discrete[-1]
    if open_ended and given == max_steps:
        raise InputError(
            f"{key}: no steps are left for its last phase: those before it take all stop.max_steps = {given}"
        )
    if given > max_steps:
        raise InputError(f"{key}: its phases sum to {given} steps, more than stop.max_steps = {max_steps}")
    phases = tuple(_phase(table, max_steps - given) for table in discrete)
    for phase in phases:
        if any(rate is None and steps > MOST_VARYING_STEPS for _, steps, rate in phase.pieces()):
            raise InputError(
                f"{key}: a {phase.kind} of {phase.steps} steps, more than the {MOST_VARYING_STEPS} over which a rate "
                "may vary; give it steps, or a smaller stop.max_steps"
            )
    return Schedule(name, unit, phases, flows)


def _phase(table, rest):
    """The Phase of a checked table; without steps it takes the rest."""
    own = tuple((k, v) for k, v in table.items() if k not in ("kind", "steps"))
    return Phase(table["kind"], table.get("steps", rest), own)


def tabulate(kind, steps, **parameters):
    """The learning rates eta_0 .. eta_{steps - 1} of one schedule, float64 (steps,).

    `tabulate("cosine", steps=100, learning_rate=0.1)`; for joined phases `tabulate("phases", steps=110,
    phases=[{"kind": "warmup", "learning_rate": 0.1, "steps": 10}, {"kind": "cosine", ...}])`, where the phases may not
    be longer than `steps`. Raises InputError (a ValueError) for an unknown kind, a parameter that is unknown, missing
    or out of range, and for a flow, which has no steps.
    """
    steps = rules.count("steps", steps)
    if kind == PHASES:
        phases = parameters.pop("phases", [])
        if not isinstance(phases, list | tuple):
            rules.refuse("phases", "a list of at least one phase", phases)
        tables = [_read_and_checked(f"phases[{i}]", table) for i, table in enumerate(phases)]
        if parameters:
            raise unknown("phases", next(iter(parameters)), ["phases"], "key")
    else:
        tables = [_read_and_checked(f"schedule {kind!r}", {"kind": kind, "steps": steps, **parameters})]
    if any(table["kind"] == FLOW for table in tables):
        raise InputError("a flow has no steps to tabulate")
    return build("tabulate", kind, "absolute", tables, steps).rates(0, steps)


def _read_and_checked(key, table):
    """A phase given from Python; its file, if it has one, is relative to the working folder."""
    return check_phase(key, read_file(key, table))


def from_callable(function, steps, name=None, unit="absolute"):
    """The [[schedule]] table of any function step -> rate, tabulated for the steps 0 .. steps - 1.

    A schedule of optax is such a function, as it is: `own = from_callable(optax.cosine_decay_schedule(0.1, 500), 500,
    name="own")`, then `config.replace(schedule=[own])`. The grid holds the rates themselves, so that it can be written,
    read and resumed without the function. Raises InputError where the function fails, or gives anything but a finite
    number >= 0.
    """
    name = name or getattr(function, "__name__", "callable")
    steps = rules.count("steps", steps, most=MOST_RATES)
    if not callable(function):
        rules.refuse(f"schedule {name!r}", "a function step -> rate", function)
    rates = Rates(_rate_of(f"schedule {name!r}", function, step) for step in range(steps))
    return {"name": name, "unit": unit, "kind": "table", "learning_rates": rates}


def _rate_of(key, function, step):
    """What a function says of one step, as a float; arrays of one number, as JAX returns them, are numbers here."""
    try:
        found = function(step)
        rate = float(found)
    except Exception as error:
        raise InputError(f"{key}: fails at step {step}: {type(error).__name__}: {show(str(error))}") from error
    return rules.not_negative(f"{key} at step {step}", rate)
