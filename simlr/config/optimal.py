"""The [[schedule]] tables of kind "optimal": the rates that make the grid's expected loss least after so many steps.

What is asked for stands in the grid file. The rates are computed once, when a grid is planned
(`simlr.engine.optimal.in_grid`), and stand from then on in the table itself, under `found`, as the run file's
description of the grid has them. `found_for` is a digest of all that they depend on: where it is another one, they are
computed anew.
"""

from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError, nearest
from ..inputs import rules
from ..inputs.parameters import REQUIRED, Parameter, read_parameters
from ..schedules import checking
from ..schedules.batch_sizes import GROWTH, grows
from ..schedules.registry import Array
from ..schedules.schedule import Phase, Piece, Schedule
from .axes import check_axis, count_combinations, expand
from .optimizers import first_by_rows, goes_by_rows

KIND = "optimal"
MEANING = "the rates that make the expected loss of this grid least after so many steps; docs/optimal.md"
SHAPES, OBJECTIVES = ("free", "monotone", "unimodal"), ("test_loss", "train_loss")
CAPS = ["none", "stability"]


def _cap(key, value):
    """A rate, or a word."""
    if not isinstance(value, str):
        return rules.positive(key, value)
    if not nearest(value, CAPS):
        rules.refuse(key, f"a finite number > 0, {' or '.join(map(repr, CAPS))}", value)
    return rules.one_of(*CAPS)(key, value)


PARAMETERS = (
    Parameter("steps", rules.count_or_none, 0, "the horizon; 0 = each of stop.steps"),
    Parameter("cap", _cap, "none", 'no rate is above it: a rate, "stability" or "none"'),
    Parameter("peak", rules.not_negative, 0.0, "the highest rate, with a shape; 0 = as is best"),
    Parameter("shape", rules.one_of(*SHAPES, noun="shape"), "free", "of the rates after the warm-up"),
    Parameter("warmup_steps", rules.count_or_none, 0, "of the steps, linear from 0"),
    Parameter(
        "equal_pieces", rules.count_or_none, 0, "of constant rate; 0 = pieces that grow where the loss needs them"
    ),
    Parameter("objective", rules.one_of(*OBJECTIVES, noun="objective"), "test_loss", "the loss that is made least"),
    Parameter("draws", rules.count_or_none, 0, "of the problem, over which it is averaged; 0 = all of them"),
)
COMPUTED = "found_for", "found_with", "found"
# Of one optimum: which of the grid's problems and methods it is of, what speaks for it, and its rates.
FOUND = (
    Parameter("optimised_for", lambda key, value: value if value == "" else rules.text(key, value), REQUIRED),
    Parameter("expected_loss", rules.not_negative, REQUIRED),
    Parameter("gradient_norm", rules.not_negative, REQUIRED),
    Parameter("start_gap", rules.not_negative, REQUIRED),
    Parameter("boundaries", lambda key, value: value, REQUIRED),
    Parameter("learning_rates", lambda key, value: value, REQUIRED),
)
EVIDENCE = "expected_loss", "gradient_norm", "start_gap"
TOLD = "optimised_for", *EVIDENCE


@dataclass(frozen=True)
class Uncomputed(Phase):
    """Steps whose rates are not known before the grid is planned."""

    def rates(self, first: int, last: int) -> Array:
        """Refused."""
        raise InputError("schedule of kind 'optimal': its rates are computed by simlr.run, and stand in run.config")

    def pieces(self) -> list[Piece]:
        """Refused."""
        return self.rates(0, 0)  # type: ignore[return-value]


def is_optimal(table: Any) -> bool:
    """Whether a [[schedule]] table is of this kind."""
    return isinstance(table, dict) and table.get("kind") == KIND


def check_table(key: str, table: dict) -> dict:
    """What is asked for, cast and complete, lists stay lists; and what is computed, if it is."""
    if table.get("unit", "absolute") != "absolute":
        raise InputError(f"{key}.unit: rates of kind 'optimal' are absolute; leave unit out")
    given = {name: value for name, value in table.items() if name not in ("name", "unit")}
    checked = read_parameters(key, given, PARAMETERS, KIND, others=("kind", *COMPUTED), cast=check_axis)
    checked = {"kind": KIND, **checked}
    if "found" not in table:
        return checked
    found = table["found"]
    if not isinstance(found, list | tuple) or not found or not all(isinstance(one, dict) for one in found):
        rules.refuse(f"{key}.found", "a list of at least one table; leave it out to have it computed", found)
    told = {name: rules.text(f"{key}.{name}", table.get(name)) for name in ("found_for", "found_with")}
    # Of each optimum: the values of the lists that it is of, its rates, and what speaks for it.
    axes = [Parameter(one.name, one.rule, REQUIRED) for one in PARAMETERS if isinstance(checked[one.name], list)]
    entries = [read_parameters(f"{key}.found[{i}]", one, (*axes, *FOUND)) for i, one in enumerate(found)]
    return {**checked, **told, "found": entries}


def with_budgets(tables: tuple[dict, ...], stop: dict, expects: bool) -> tuple[dict, ...]:
    """The tables with the steps of each optimum; InputError where a grid has no budgets or no exact means."""
    filled = []
    for table in tables:
        if is_optimal(table):
            key = f"schedule {table['name']!r} (kind 'optimal')"
            if not expects:
                raise InputError(f"{key}: it is of the expected loss; add a table [expectation]")
            if "steps" not in stop:
                raise InputError(f"{key}: it is of the loss after so many steps; use stop.steps, not a level")
            table = {**table, "steps": table["steps"] or list(stop["steps"])}
        filled.append(table)
    return tuple(filled)


def check_methods(tables: tuple[dict, ...], methods: list[tuple[dict, dict, str]]) -> None:
    """Refuse optimisers and noises whose expected loss has no derivative here."""
    if not any(map(is_optimal, tables)):
        return
    for optimizer, noise, _ in methods:
        if goes_by_rows([optimizer]):
            raise InputError(
                f"schedule kind 'optimal': is found on quadratics, and {first_by_rows([optimizer])} goes through rows; "
                "use schedules that are given"
            )
        if noise["kind"] == "minibatch":
            raise InputError(
                "schedule kind 'optimal': goes with noise 'none', 'gradient' and 'fresh', not with mini-batches of the "
                "rows; near the minimum they are like noise 'gradient' with covariance = 'hessian' and sigma = "
                "sqrt(2 train_floor / batch_size)"
            )
        if grows(noise):
            raise InputError(f"schedule kind 'optimal': is of one batch size, and the noise has {GROWTH}; leave it out")
        if optimizer.get("average", "none") != "none":
            raise InputError(
                f"schedule kind 'optimal': is of the last iterate, and optimizer.average is {optimizer['average']!r}; "
                "leave it out"
            )


def requests(table: dict) -> list[dict]:
    """What is asked for, a dict an optimum."""
    return expand([{parameter.name: table[parameter.name] for parameter in PARAMETERS}])


def count(table: dict) -> int:
    """How many schedules a checked table stands for."""
    return len(table["found"]) if "found" in table else count_combinations(table)


def expand_table(key: str, table: dict, max_steps: int) -> list[tuple[Schedule, dict]]:
    """All schedules of a checked table, as `schedule_tables.expand_schedule` has them."""
    if "found" not in table:
        blank = {"optimised_for": "", "expected_loss": None, "gradient_norm": None, "start_gap": None}
        return [(_uncomputed(key, table, one, max_steps), _parameters(one, blank)) for one in requests(table)]
    expanded = []
    for entry in table["found"]:
        one = {parameter.name: entry.get(parameter.name, table[parameter.name]) for parameter in PARAMETERS}
        phase = checking.check_phase(key, phase_of(one["steps"], entry))
        name = _name(table, one, entry["optimised_for"])
        expanded.append((checking.build(key, name, "absolute", [phase], max_steps), _parameters(one, entry)))
    return expanded


def phase_of(steps: int, entry: dict) -> dict:
    """The phase with the rates of one optimum."""
    if not entry["boundaries"] and len(entry["learning_rates"]) == 1:
        return {"kind": "constant", "learning_rate": entry["learning_rates"][0], "steps": steps}
    return {
        "kind": "piecewise_constant",
        "boundaries": entry["boundaries"],
        "learning_rates": entry["learning_rates"],
        "steps": steps,
    }


def _uncomputed(key, table, one, max_steps):
    """A schedule of so many steps whose rates are not known yet."""
    if one["steps"] > max_steps:
        rules.refuse(f"{key}.steps", f"at most stop.max_steps = {max_steps}", one["steps"])
    return Schedule(_name(table, one, ""), "absolute", (Uncomputed(KIND, one["steps"], ()),), False)


def _name(table, one, optimised_for):
    """The table's name, with what sets this optimum apart from its others."""
    parts = [f"{name}={one[name]!r}" for name, value in table.items() if isinstance(value, list) and name in one]
    label = ",".join([*parts, *([optimised_for] if optimised_for else [])])
    return f"{table['name']}[{label}]" if label else table["name"]


def _parameters(one, told):
    """What the run file says of one optimum."""
    asked = {"kind": KIND, **one, "cap": str(one["cap"])}
    return asked | {name: told[name] for name in TOLD if told[name] is not None}


def as_computed(config: Any, other: Any) -> Any:
    """A grid whose optimal tables have what the tables of the same name of another grid have computed.

    Whether that is of the same problem and methods is asked when the grid is planned: `found_for`.
    """
    known = {table["name"]: table for table in other.schedule if is_optimal(table) and "found" in table}
    taken = []
    for table in config.schedule:
        twin = known.get(table["name"]) if is_optimal(table) and "found" not in table else None
        same = twin is not None and all(table[one.name] == twin[one.name] for one in PARAMETERS)
        taken.append({**table, **{name: twin[name] for name in COMPUTED}} if twin is not None and same else table)
    return config if taken == list(config.schedule) else replace(config, schedule=tuple(taken))
