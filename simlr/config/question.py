"""The [question] table of a grid, what its report answers: checked and cast. `simlr.analysis.answers` answers it.

Of one of two forms. Two sides, the first against the second, so that "yes" means that the first ends with less:

    [question]
    text = "Does annealing help?"
    compare = ["annealed", { name = "steady", schedule = ["constant", "small"] }]
    over = ["batch_size"]     # parameters that both sides have equal, value by value; all others are tuned

or how the best value of one parameter grows with another one:

    best = "learning_rate"
    against = "batch_size"
    exponent = 1.0            # what is expected: best ~ against^exponent
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InputError, unknown
from ..inputs import rules
from ..inputs.parameters import check_keys
from ..text import as_written, meant
from .methods import method_parameters

if TYPE_CHECKING:  # which checks its question here
    from .grid import GridConfig

# A loss above its floor -> the loss and its floor.
EXCESS = {"excess_test_loss": ("test_loss", "test_floor"), "excess_train_loss": ("train_loss", "train_floor")}
LOSSES = ("test_loss", "train_loss", *EXCESS)
MEASURES = (*LOSSES, "stop_step", "stop_time")
END = "end"
# Of differences smaller than this share it is said that there is none.
DEFAULT_MARGIN = 0.02
# form -> its meaning, for a list of them.
FORMS = {
    "compare": 'two sides, names of schedules or tables that pick some, e.g. ["annealed", { optimizer = "gd" }], '
    "each tuned, with over = [parameters that both have equal], measure and margin",
    "best": "the parameter whose best value is followed as `against` grows, with exponent (the expected one) and among",
}
COMMON = ("text", "measure", "margin")
PAIR, GROWTH = ("compare", "over"), ("best", "against", "among", "exponent")
FEWEST_POINTS = 3  # recorded moments: the start, the first step and the end


class Entry(NamedTuple):
    """One schedule of a grid as a question knows it."""

    table: str  # the [[schedule]] table that it comes from
    name: str
    flows: bool
    length: int  # discrete steps
    parameters: dict  # its own, its unit, and those of its optimiser and noise


def entries_of(config: "GridConfig") -> list[Entry]:
    """The `Entry`s of the S schedules of a grid."""
    entries = []
    for table, (schedule, own, optimizer, noise) in zip(config.families(), config.combinations(), strict=True):
        parameters = {"unit": schedule.unit, **own, **method_parameters(optimizer, noise)}
        entries.append(Entry(table, schedule.name, schedule.flows, schedule.length, parameters))
    return entries


def check(table: dict, config: "GridConfig") -> dict:
    """The table of a grid, cast and complete; {} where there is none."""
    if not table:
        return {}
    check_keys("question", table, (*COMMON, *PAIR, *GROWTH))
    if "text" not in table:
        raise InputError("question.text is missing: the question in words")
    if ("compare" in table) == ("best" in table):
        given = "both" if "compare" in table else "none"
        raise InputError(f"question must have exactly one of compare and best, got {given}")
    for name in table:
        if name in (GROWTH if "compare" in table else PAIR):
            raise InputError(f"question.{name} goes with {'best' if name in GROWTH else 'compare'}")
    common = {
        "text": rules.text("question.text", table["text"]),
        "measure": rules.one_of(*MEASURES, noun="measure")("question.measure", table.get("measure", "test_loss")),
        "margin": rules.not_negative("question.margin", table.get("margin", DEFAULT_MARGIN)),
    }
    check_form = _check_pair if "compare" in table else _check_growth
    return common | check_form(table, config, common["measure"])


# ---- two sides ----


def _check_pair(table, config, measure):
    """The two sides, and what they have equal."""
    sides = table["compare"]
    if not isinstance(sides, list | tuple) or len(sides) != 2:
        rules.refuse("question.compare", "a list of two sides", sides)
    entries = entries_of(config)
    checked = [_check_side(f"question.compare[{i}]", side, entries, config, measure) for i, side in enumerate(sides)]
    both = [{entries[s].name for s in members(side, entries)} for side in checked]
    if both[0] & both[1] and checked[0].get("at") == checked[1].get("at"):
        raise InputError(f"question.compare: both sides have schedule {min(both[0] & both[1])!r}")
    if side_name(checked[0]) == side_name(checked[1]):
        raise InputError(f"question.compare: both sides are called {side_name(checked[0])!r}")
    over = table.get("over", [])
    if not isinstance(over, list | tuple):
        rules.refuse("question.over", "a list of parameters of the schedules", over)
    for key in over:
        for i, side in enumerate(checked):
            _check_parameter(f"question.over, compare[{i}]", key, [entries[s] for s in members(side, entries)])
    if over and not cells(over, checked, entries):
        raise InputError(f"question.over: the two sides have no value of {', '.join(map(repr, over))} in common")
    return {"compare": checked, "over": list(over)}


def _check_side(key, side, entries, config, measure):
    """One side: a name, the schedules, and what their parameters must be."""
    side = {"schedule": side} if isinstance(side, str) else side
    if not isinstance(side, dict):
        rules.refuse(key, "the name of a schedule, or a table that picks some", side)
    parameters = dict.fromkeys(name for entry in entries for name in entry.parameters)
    checked = {}
    for name, value in side.items():
        if name not in ("name", "schedule", "at", *parameters):
            raise unknown(key, name, ("name", "schedule", "at", *parameters), "key")
        if name == "name":
            checked[name] = rules.text(f"{key}.name", value)
        elif name == "at":
            checked[name] = _check_moment(f"{key}.at", value, config, measure)
        else:
            checked[name] = list(value) if isinstance(value, list | tuple) else [value]
    names = list(dict.fromkeys(name for entry in entries for name in (entry.table, entry.name)))
    for i, name in enumerate(checked.get("schedule", [])):
        checked["schedule"][i] = meant(str(name), names)
        if not checked["schedule"][i]:
            raise unknown(f"{key}.schedule", name, names, "schedule")
    picked = members(checked, entries)
    if not picked:
        _check_values(key, checked, entries)
        wanted = ", ".join(f"{name} = {value}" for name, value in checked.items() if name not in ("name", "at"))
        raise InputError(f"{key}: no schedule has {wanted}")
    flowing = [entries[s].name for s in picked if entries[s].flows]
    if measure == "stop_step" and flowing:
        raise InputError(f"{key}: schedule {flowing[0]!r} has a flow, which takes no steps; use measure = 'stop_time'")
    if checked.get("at") == END and any(entries[s].flows for s in picked):
        raise InputError(f"{key}.at = 'end': schedule {entries[picked[0]].name!r} has a flow, which has no last step")
    return checked


def _check_values(key, side, entries):
    """Refuse a word that no schedule has as the value of a parameter, with the nearest that one has."""
    for name, values in side.items():
        known = dict.fromkeys(entry.parameters[name] for entry in entries if name in entry.parameters)
        for value in values if name not in ("name", "schedule", "at") else ():
            if isinstance(value, str) and value not in known:
                raise unknown(f"{key}.{name}", value, known, name)


def _check_moment(key, value, config, measure):
    """A level, or the end of the schedule, whose losses are among the recorded ones."""
    if value != END:
        if isinstance(value, str) or value not in config.levels:
            rules.refuse(key, f"one of the levels {config.levels}, or 'end'", value)
        return value
    if measure not in LOSSES:
        raise InputError(f"{key} = 'end' goes with measure {' or '.join(map(repr, LOSSES))}, not with {measure!r}")
    if config.record["points"] < FEWEST_POINTS or config.record["seeds"] != "all":
        raise InputError(
            f"{key} = 'end' needs the recorded ends of all seeds: record.points >= {FEWEST_POINTS} and "
            "record.seeds = 'all'"
        )
    return value


def _check_parameter(key, name, entries):
    """The name of a parameter that all of some schedules have."""
    parameters = dict.fromkeys(name for entry in entries for name in entry.parameters)
    if name not in parameters:
        raise unknown(key, name, list(parameters), "parameter")
    lacking = [entry.name for entry in entries if name not in entry.parameters]
    if lacking:
        raise InputError(f"{key}: schedule {lacking[0]!r} has no {name}")


# ---- best against ----


def _check_growth(table, config, measure):
    """The two parameters, and the schedules among which they vary."""
    entries = entries_of(config)
    among = _check_side("question.among", table.get("among", {}), entries, config, measure)
    if "at" in among:
        raise InputError("question.among: at goes with compare")
    chosen = [entries[s] for s in members(among, entries)]
    checked = {}
    for key in ("best", "against"):
        if key not in table:
            raise InputError(f"question.{key} is missing: the name of a parameter")
        name = rules.text(f"question.{key}", table[key])
        _check_parameter(f"question.{key}", name, chosen)
        values = {entry.parameters[name] for entry in chosen}
        if len(values) < 2 or not all(rules.is_number(value) and value > 0 for value in values):
            raise InputError(f"question.{key}: {name} must have at least two values, all numbers > 0")
        checked[key] = name
    if checked["best"] == checked["against"]:
        raise InputError(f"question: best and against are both {checked['best']!r}")
    exponent = rules.finite("question.exponent", table.get("exponent", 1.0))
    return {**checked, "exponent": exponent, "among": among}


# ---- who is meant ----


def members(side: dict, entries: Sequence[Entry]) -> list[int]:
    """The places of the schedules that a checked side picks."""
    wanted = {name: values for name, values in side.items() if name not in ("name", "schedule", "at")}
    return [
        s
        for s, entry in enumerate(entries)
        if ("schedule" not in side or {entry.table, entry.name} & set(side["schedule"]))
        and all(name in entry.parameters and entry.parameters[name] in values for name, values in wanted.items())
    ]


def cells(over: Sequence[str], sides: Sequence[dict], entries: Sequence[Entry]) -> list[tuple[tuple, list[list[int]]]]:
    """What is compared: [(((parameter, value), ...), [places of each side]), ...], in the order of the first side."""
    grouped: dict[tuple, list[list[int]]] = {}
    for i, side in enumerate(sides):
        for s in members(side, entries):
            values = tuple((key, entries[s].parameters[key]) for key in over)
            grouped.setdefault(values, [[] for _ in sides])[i].append(s)
    return [(values, places) for values, places in grouped.items() if all(places)]


def side_name(side: dict) -> str:
    """What a side is called, with numbers as people write them."""
    if "name" in side:
        return side["name"]
    parts = list(side.get("schedule", []))
    parts += [f"{name} = {' or '.join(map(str, v))}" for name, v in side.items() if name not in ("schedule", "at")]
    at = f" at {'the end' if side['at'] == END else side['at']}" if "at" in side else ""
    return (as_written(", ".join(parts)) or "all schedules") + at
