"""What a schedule may be: its kinds and their parameters, phases checked and cast, and schedules put together of them.

A schedule is a list of phases; a phase is one kind over a number of steps, and the last may be a gradient flow, which
has no steps and ends by itself. docs/adding-a-schedule.md says how a kind is added. A schedule written in Python needs
none: see `from_callable`.
"""

import inspect
from pathlib import Path
from typing import Any

from ..errors import Faults, InputError, of_keys, unknown
from ..inputs import rules, vectors
from ..inputs.parameters import REQUIRED, Parameter, missing_kind, read_parameters
from ..inputs.parameters import check_keys as refuse_unknown_keys
from ..inputs.rules import Rule
from ..plugins.kinds import SCHEDULE, PluginKind
from ..plugins.loading import installed
from . import optimal, plateau  # which enter their kinds, as shapes do
from .plugin import try_out
from .registry import ALIASES, KINDS, PLATEAU, kind_of
from .rules import MEANINGS, RULES, rate_list
from .schedule import FLOW, Phase, Schedule

MOST_VARYING_STEPS = 1 << 33  # their sum is taken, and takes a minute
# key of a table -> the parameter that it gives as a share of the steps, rounded to whole ones.
FRACTIONS = {"warmup_fraction": "warmup_steps", "decay_fraction": "decay_steps"}
FILE_KEYS = ("file", "column", "header")  # of a table, in place of its rates


def kinds() -> list[str]:
    """The names of all schedule kinds that a phase can have, the flow included."""
    # The usual ones first, whatever was imported first.
    later = optimal.__name__, plateau.__name__
    return [*sorted(KINDS, key=lambda kind: KINDS[kind].function.__module__ in later), FLOW]


def parameters(kind: str) -> dict[str, Any]:
    """The parameters of a kind besides `steps`: name -> default, or None where it must be given."""
    return {} if kind == FLOW else kind_of(kind).parameters


def describe(kind: str) -> str:
    """The formula of a kind, in one line."""
    if kind == FLOW:
        return "d theta / d tau = -grad L: gradient flow, the limit of small learning rates; it ends by itself."
    text = inspect.getdoc(kind_of(kind).function)
    return text.splitlines()[0] if text else ""


def needs_steps(kind: str) -> bool:
    """Whether a kind has no shape without a number of steps; a constant and its like run on to max_steps."""
    return kind != FLOW and kind_of(kind).needs_steps


def rule_of(kind: str, name: str) -> Rule:
    """The rule of a parameter of a kind, `steps` among them."""
    own = {} if kind == FLOW else kind_of(kind).rules
    return own.get(name) or RULES[name]


def meaning_of(kind: str, name: str) -> str:
    """What a parameter of a kind is, in words; "" where that is nobody's but a plug-in's."""
    return MEANINGS.get(name, "") if kind in KINDS else ""


# ---- checking ----


def check_kind(key: str, kind: Any, others: tuple[str, ...] = ()) -> str:
    """Refuse a kind that does not exist; `others` are those of the grid alone, which a message may propose."""
    if callable(kind):
        raise InputError(f"{key}.kind is a function; simlr.schedules.from_callable(function, steps) makes its schedule")
    if not isinstance(kind, str):
        rules.refuse(f"{key}.kind", "a string", kind)
    if isinstance(kind, PluginKind):
        return kind
    kind = ALIASES.get(kind, kind)
    if kind not in kinds():
        raise unknown(key, kind, [*kinds(), *ALIASES, *others, *installed(SCHEDULE)], "kind")
    return kind


def fractions(kind: str) -> dict[str, str]:
    """FRACTIONS of a kind: those that stand for a parameter that it has, and are none themselves."""
    known = parameters(kind)
    return {name: steps for name, steps in FRACTIONS.items() if steps in known and name not in known}


def check_phase(key: str, table: Any, least_steps: int = 1) -> dict:
    """A phase's parameters, cast and complete: {"kind": ..., "steps": ... or None, parameter: value, ...}.

    A phase of 0 steps, where those are allowed, is left out of its schedule.
    """
    kind = check_keys(key, table)
    shares = {name: RULES[name](f"{key}.{name}", table[name]) for name in fractions(kind) if name in table}
    table = _with_steps_of(key, kind, shares, table)
    defaults = {name: REQUIRED if default is None else default for name, default in parameters(kind).items()}
    # None, from Python, stands for a value that is not given.
    given = {name: REQUIRED if table[name] is None else table[name] for name in defaults if name in table}
    expected = [Parameter(name, rule_of(kind, name), default) for name, default in defaults.items()]
    checked = {"kind": kind, **read_parameters(key, given, expected, kind)}
    if kind == FLOW:
        return checked
    entry, values = kind_of(kind), {name: value for name, value in checked.items() if name != "kind"}
    checked |= shares
    steps = rules.count(f"{key}.steps", table["steps"], least_steps) if "steps" in table else None
    if steps is None and entry.needs_steps:
        raise InputError(f"{key} (kind {kind!r}): steps is missing")
    if steps is None and entry.length:
        steps = entry.length(**values)
    if entry.check and steps != 0:
        entry.check(key, steps, **values)
    return checked if steps is None else {**checked, "steps": steps}


def check_present(key: str, kind: str, table: Any) -> None:
    """Refuse a phase's table that lacks what its kind cannot do without, whatever its values are."""
    faults, shares = Faults(), {steps for name, steps in fractions(kind).items() if name in table}
    needed = [name for name, default in parameters(kind).items() if default is None and name not in shares]
    for name in (*needed, *(["steps"] if needs_steps(kind) else [])):
        with faults:
            if name not in table:
                raise InputError(f"{key} (kind {kind!r}): {name} is missing")
    faults.raise_all()


def _with_steps_of(key, kind, shares, table):
    """A phase's table with the shares of its steps as whole numbers of them, under the names of those."""
    table = dict(table)
    for name, share in shares.items():
        steps = FRACTIONS[name]
        if steps in table:
            raise InputError(f"{key} (kind {kind!r}): has both {name} and {steps}; give one of them")
        if "steps" not in table:
            raise InputError(f"{key} (kind {kind!r}): steps is missing, of which {name} is a share")
        whole = rules.count(f"{key}.steps", table["steps"], 0)
        table[steps] = _nearest(share, whole, table.get("warmup_steps", 0) if steps == "decay_steps" else 0)
        if share > 0.0 and table[steps] == 0 and whole:
            raise InputError(f"{key}.{name} = {share:g} of {whole} steps is less than half a step; give it more")
    return table


def _nearest(share, whole, taken):
    """The nearest whole number of steps, of two as near the even one; the lower one if no more are left."""
    steps = round(share * whole)
    is_tie = steps - share * whole == 0.5
    return steps - 1 if is_tie and isinstance(taken, int) and steps + taken == whole + 1 else steps


def check_keys(key: str, table: Any) -> str:
    """The kind of a phase's table, in which every key is known."""
    if not isinstance(table, dict):
        rules.refuse(key, "a table", table)
    if "kind" not in table:
        raise missing_kind(key, table, kinds())
    kind = check_kind(key, table["kind"])
    allowed = (
        [] if kind == FLOW else ["steps", *parameters(kind), *fractions(kind), *(FILE_KEYS if kind == "table" else ())]
    )
    refuse_unknown_keys(f"{key} (kind {kind!r})", table, ["kind", *allowed])
    return kind


def read_file(key: str, table: Any, folder: str | Path = ".") -> Any:
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
    header = table.get("header", "guess")
    if header != "guess":
        rules.flag(f"{key}.header", header)
    rates = _rates_in(key, path, column, "column" in table, header)
    rest = {k: v for k, v in table.items() if k not in FILE_KEYS}
    return {**rest, "learning_rates": rates, "source": name + (f", column {column}" if "column" in table else "")}


def _rates_in(key, path, column, column_given, header):
    """The rates in a file."""
    if path.suffix == ".npy" and column_given:
        raise InputError(f"{key}.column: an NPY file has no columns")
    if isinstance(column, bool) or not isinstance(column, int | str):
        rules.refuse(f"{key}.column", "a column's name or number", column)
    with of_keys({str(path): f"{key}.file"}):
        values = vectors.read_vector(path) if path.suffix == ".npy" else vectors.read_column(path, column, header)
        return rate_list(f"{path}: learning_rates", values)


def build(key: str, name: str, unit: str, tables: list[dict], max_steps: int) -> Schedule:
    """The Schedule of checked phase tables.

    Parameters
    ----------
    key
        What messages call it.
    name, unit
        Of the schedule; "absolute", or "sharpness": rates in units of 1/sharpness.
    tables
        What `check_phase` returns, at least one. Of the discrete phases only the last may have no steps: it takes the
        rest.
    max_steps
        The most steps of all phases together.

    Raises
    ------
    InputError
        Where the phases do not fit together, or are longer than that.
    """
    if not tables:
        raise InputError(f"{key}.phases must be a list of at least one phase, got []")
    flows = tables[-1]["kind"] == FLOW
    discrete = tables[:-1] if flows else tables
    if any(table["kind"] == FLOW for table in discrete):
        raise InputError(f"{key}: a flow ends by itself and must be the last phase")
    if len(tables) > 1 and any(table["kind"] == PLATEAU for table in tables):
        raise InputError(f"{key}: a {PLATEAU} is a whole schedule, and no phase beside others")
    if any("steps" not in table for table in discrete[:-1]):
        raise InputError(f"{key}: steps is missing in a phase that is not the last")
    discrete = [table for table in discrete if table.get("steps") != 0]
    if not discrete and not flows:
        raise InputError(f"{key}: none of its phases has a step")
    given = sum(table.get("steps", 0) for table in discrete)
    open_ended = bool(discrete) and "steps" not in discrete[-1]
    if open_ended and given == max_steps:
        raise InputError(
            f"{key}: no steps are left for its last phase: those before it take all stop.max_steps = {given}"
        )
    if given > max_steps:
        raise InputError(f"{key}: its phases sum to {given} steps, more than stop.max_steps = {max_steps}")
    phases = []
    for table in discrete:
        besides = ("kind", "steps", *fractions(table["kind"]))
        values = tuple((name, value) for name, value in table.items() if name not in besides)
        phase = Phase(table["kind"], table.get("steps", max_steps - given), values)
        try_out(key, phase)
        phases.append(phase)
        if any(rate is None and steps > MOST_VARYING_STEPS for _, steps, rate in phase.pieces()):
            raise InputError(
                f"{key}: a {phase.kind} of {phase.steps} steps, more than the {MOST_VARYING_STEPS} over which a rate "
                "may vary; give it steps, or a smaller stop.max_steps"
            )
    return Schedule(name, unit, tuple(phases), flows)
