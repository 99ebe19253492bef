"""What parameters, places and measures are called in a sentence."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..config.methods import NOISES, OPTIMIZERS
from ..text import brief, labels, shortened, value_text
from .levels import place

_PHASE = re.compile(r"^phase\d+_")
# The parts of a schedule's name that are no parameters.
_HEADS = "(table)", "(optimizer)", "(noise)"
# In the names of schedules: [learning_rate=0.1,phase1.steps=3], vectors within, and one of its parameters.
_LISTED = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]")
_PARAMETER = re.compile(r"(?:phase(\d+)[._])?([^\W\d]\w*)=(.+)", re.DOTALL)
_SPLIT = re.compile(r",\s*(?=[\w.]+=)")
# Optimisers and noise, where their names are no words.
METHODS = {
    "gd": "gradient descent",
    "nesterov": "Nesterov",
    "minibatch": "mini-batches",
    "none": "no noise",
    "labels": "label noise",
    "gradient": "gradient noise",
}
LONGEST_SPOKEN = 160  # of a name; a longer one stays as the grid has it, cut to fit


class Noun(NamedTuple):
    """A parameter in a sentence."""

    name: str  # the parameter
    at: str  # one value of it, after the word "at"
    more: str  # larger values, after the word "with"
    fewer: str  # smaller ones


NOUNS = {
    "train_rows": Noun("number of rows", "{} rows", "more rows", "fewer rows"),
    "validation_rows": Noun("number of validation rows", "{} validation rows", "more of them", "fewer of them"),
    "batch_size": Noun("batch size", "batches of {}", "larger batches", "smaller batches"),
    "batch_growth": Noun("growth of the batch size", "batches that grow {}-fold", "faster growth", "slower growth"),
    "batch_every": Noun("steps between growths", "growing each {} steps", "growing seldomer", "growing oftener"),
    "batch_most": Noun("largest batch size", "batches of {} at most", "larger batches", "smaller batches"),
    "label_noise": Noun("label noise", "label noise {}", "more label noise", "less label noise"),
    "dimension": Noun("dimension", "{} dimensions", "more dimensions", "fewer dimensions"),
    "steps": Noun("number of steps", "{} steps", "more steps", "fewer steps"),
    "decay_steps": Noun("length of the decay", "a decay of {} steps", "a longer decay", "a shorter decay"),
    "warmup_steps": Noun("length of the warm-up", "a warm-up of {} steps", "a longer warm-up", "a shorter warm-up"),
    "validation_patience": Noun("patience", "patience {}", "more patience", "less patience"),
    "optimizer": Noun("optimiser", "optimiser {}", "a larger optimiser", "a smaller optimiser"),
}
# Values that are none of what they are numbers of, and ways.
NONE_OF = {
    ("batch_size", "0"): "all rows in every batch",
    ("batch_growth", "1"): "batches that do not grow",
    ("label_noise", "0"): "no label noise",
    ("warmup_steps", "0"): "no warm-up",
    ("decay_steps", "0"): "no decay",
    ("momentum", "0"): "no momentum",
    ("sampling", "replacement"): "drawn with replacement",
    ("sampling", "epochs"): "shuffled epochs",
}
LOSSES = {"train_loss", "excess_train_loss", "train_loss_fraction"}


class Measure(NamedTuple):
    """A measure in a sentence: of a side that has less of it, more, or as much."""

    less: str
    more: str
    times: str
    same: str


MEASURES = {
    "test_loss": Measure("ends with less test loss", "ends with more test loss", "times as much", "test loss"),
    "train_loss": Measure("ends with less train loss", "ends with more train loss", "times as much", "train loss"),
    "excess_test_loss": Measure(
        "ends with less test loss above its floor",
        "ends with more test loss above its floor",
        "times as much",
        "test loss above its floor",
    ),
    "excess_train_loss": Measure(
        "ends nearer to the train floor", "ends further from the train floor", "times as far", "train loss"
    ),
    "stop_step": Measure("takes fewer steps", "takes more steps", "times as many", "number of steps"),
    "stop_time": Measure("takes less time", "takes more time", "times as long", "time"),
}


def noun(name: str) -> Noun:
    """The words for a parameter, or for a kind of level."""
    name = _PHASE.sub("", name)
    if name in NOUNS:
        return NOUNS[name]
    if name in LOSSES:
        return Noun("train loss", "train loss {}", "a higher train loss", "a lower train loss")
    plain = name.replace("_", " ")
    return Noun(plain, f"{plain} {{}}", f"a larger {plain}", f"a smaller {plain}")


def at(kind: str, where: dict[str, Any], axes: Sequence[str], level: float) -> str:
    """A setting in words, after "at": "160 rows, test exponent -1 and train loss 0.01".

    Parameters
    ----------
    kind
        Of the levels.
    where
        {parameter: value}.
    axes
        The names of those that are told, the kind of the levels among them where these are.
    level
        The level.

    Returns
    -------
    str
        "" where nothing is to be told.
    """
    parts = [at_value(key, value) for key, value in where.items() if key in axes]
    return joined([*parts, *([place(kind, level)] if kind in axes else [])])


def at_value(key: str, value: Any) -> str:
    """One value of a parameter, after "at": "160 rows", "optimiser gradient descent"."""
    none = _PHASE.sub("", key), str(value).removesuffix(".0")
    if none in NONE_OF:
        return NONE_OF[none]
    if key == "noise" and isinstance(value, str) and value in NOISES:  # the kind; a parameter of that name is told
        return METHODS.get(value, value)
    return noun(key).at.format(value_text(METHODS.get(value, value) if isinstance(value, str) else value))


def spoken(name: Any) -> str:
    """The name of a schedule, or of a family of them, in a sentence: "large at learning rate 1.99 in phase 1".

    Parameters
    ----------
    name
        As the grid makes it: "constant[learning_rate=0.1], momentum[momentum=0.9], minibatch[batch_size=8]".

    Returns
    -------
    str
        The names, then the values of the parameters in words, and without any "large with gradient descent"; a name of
        another form as it is, cut to fit.
    """
    whole = shortened(name, len(str(name)) + LONGEST_SPOKEN)
    found = [_PARAMETER.fullmatch(part) for inner in _LISTED.findall(whole) for part in _SPLIT.split(inner)]
    values = [_value_spoken(*match.groups()) for match in found if match]
    table, *methods = _LISTED.sub("", whole).split(", ")
    if not found and methods and all(method in (*OPTIMIZERS, *NOISES) for method in methods):
        return f"{table} with {joined([METHODS.get(method, method) for method in methods])}"
    heads = ", ".join(METHODS.get(head, head) for head in (table, *methods))
    text = f"{heads} at {joined(values)}"
    return text if values and all(found) and len(text) <= LONGEST_SPOKEN else shortened(name)


def _as_brief(text):
    """The text of a small number as a table has it, 1e-4 for 0.0001; any other text as it is."""
    try:
        told = brief(float(text)) if abs(float(text)) < 1e-3 else text
    except ValueError:
        return text
    return told if float(told) == float(text) else text


def _value_spoken(phase, key, value):
    """One value of a parameter, which may be that of a phase."""
    return at_value(key, _as_brief(value)) + (f" in phase {phase}" if phase else "")


# Parts of the name of a schedule: [[schedule]] table, optimiser, noise, each with its parameters.
_PART = re.compile(r"([^\[\],]+)(?:\[((?:[^\[\]]|\[[^\[\]]*\])*)\])?(?:, |$)")
BRIEF = {"learning_rate": "rate {}", "warmup_steps": "warm-up {}", "decay_steps": "decay {}"}
LONGEST_TOLD = 56


def told_apart(names: Sequence[Any], width: int = LONGEST_TOLD) -> dict[Any, str]:
    """Names of schedules beside each other, in words, by what they differ in: "annealed, rate 1.9, 10 steps".

    Parameters
    ----------
    names
        As the grid makes them, of schedules or of families of them.
    width
        Letters that there is room for.

    Returns
    -------
    dict
        {name: words}, no two alike; `text.labels` where a name is of another form, or words have no room.
    """
    parsed = {name: _parts_of(name) for name in names}
    if not all(parsed.values()):
        return labels(names)
    shared = set.intersection(*(set(parts) for parts in parsed.values())) if len(parsed) > 1 else set()
    kept = {name: [part for part in parts if part not in shared] for name, parts in parsed.items()}
    phases: dict[str, set] = {}
    for phase, key, _ in (part for parts in kept.values() for part in parts):
        phases.setdefault(key, set()).update({phase} - {""})
    for parts_of in (kept, _varying(kept)):
        told = {name: ", ".join(_words(parts, phases)) or str(parsed[name][0][2]) for name, parts in parts_of.items()}
        if len(set(told.values())) == len(told) and all(len(words) <= width for words in told.values()):
            return told
    return labels(names)


def _varying(kept):
    """The parts of some names without the parameters that have one value wherever they are."""
    values: dict[tuple, set] = {}
    for phase, key, value in (part for parts in kept.values() for part in parts):
        values.setdefault((phase, key), set()).add(value)
    return {
        name: [part for part in parts if _is_named(*part[1:]) or len(values[part[:2]]) > 1]
        for name, parts in kept.items()
    }


def _parts_of(name):
    """[(phase or "", key, value), ...] of a name: _HEADS and parameters; [] of another form."""
    whole, parts, end = shortened(name, len(str(name)) + LONGEST_SPOKEN), [], 0
    for i, found in enumerate(_PART.finditer(whole)):
        if found.start() != end:
            return []
        end = found.end()
        parts.append(("", _HEADS[min(i, 2)], found[1]))
        for text in _SPLIT.split(found[2]) if found[2] else []:
            parameter = _PARAMETER.fullmatch(text)
            if parameter is None:
                return []
            phase, key, value = parameter.groups()
            parts.append((phase or "", key, _as_brief(value)))
    return parts if end == len(whole) else []


def _is_named(key, value):
    """Whether a part is told by its value alone: a table or a method, and no parameter that is called noise."""
    return key in _HEADS or (key in ("optimizer", "noise") and value in (*OPTIMIZERS, *NOISES))


def _words(parts, phases):
    """The parts of one name in words; a method is told by its parameter of that name."""
    keys = {key for _, key, _ in parts}
    for phase, key, value in parts:
        if _is_named(key, value):
            is_told = key != "(table)" and (value in keys or (value == "minibatch" and "batch_size" in keys))
            yield from [] if is_told else [METHODS.get(value, value)]
        else:
            told = NONE_OF.get((key, value)) or BRIEF.get(key, noun(key).at).format(value)
            yield told + (f" in phase {phase}" if phase and len(phases[key]) > 1 else "")


def joined(parts: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def begun(text: str) -> str:
    """With a capital at its start."""
    return text[:1].upper() + text[1:]
