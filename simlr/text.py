"""Pieces of text for a reader: names cut to fit, numbers as people write them, lists with an end."""

import math
import re
from collections.abc import Sequence
from typing import Any

MOST_NAMES = 6
NAME_WIDTH, WIDTH = 44, 110
MOST_VALUES = 12  # of an axis, in one line
# In the names of schedules: a whole number as a float, and the kind of noise that is none.
PARAMETER = re.compile(r"\b[\w.]+=")
POWER = re.compile(r"(?<=\de)\+?(-?)0*(?=\d)")  # of ten, in a number of Python's
# A float whose last digits are its rounding error, as those of a range of numbers often are.
LONG = re.compile(r"(?<![\w.])\d+\.\d{10,}(?:e[-+]?\d+)?(?![\w.])")
WHOLE, NO_NOISE = re.compile(r"(?<=[=,\[])(-?\d+)\.0(?=[,\]])"), re.compile(r", none$")


def printable(text: Any) -> str:
    """Text from a file on one line: what is not printable (control sequences of a terminal, too) is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def as_written(text: str) -> str:
    """A text in which numbers are as people write them: 0.6 for 0.6000000000000001, where 12 digits are 15."""

    def short(found):
        value = float(found[0])
        brief = float(f"{value:.12g}")
        return repr(brief) if brief == float(f"{value:.15g}") else found[0]

    return LONG.sub(short, text)


def meant(name: str, names: Sequence[str]) -> str:
    """The name itself where there is one, else the only one that is written like it; "" of none or several."""
    if name in names:
        return name
    alike = [one for one in names if as_written(one) == as_written(name)]
    return alike[0] if len(alike) == 1 else ""


def shortened(text: Any, width: int = NAME_WIDTH) -> str:
    """Printable text of at most `width` letters: without the names of parameters, then without the middle.

    Numbers are as people write them, 1 for 1.0, and a schedule of a grid with noise that has none is "without noise".
    """
    text = NO_NOISE.sub(", without noise", WHOLE.sub(r"\1", as_written(printable(text))))
    if len(text) > width:
        text = PARAMETER.sub("", text)
    tail = width // 3
    return text if len(text) <= width else f"{text[: width - tail - 2]}..{text[-tail:]}"


def labels(names: Sequence[Any], width: int = NAME_WIDTH) -> dict[Any, str]:
    """Names beside each other: shortened alike, and none so far that it equals another one's.

    Parameters
    ----------
    names
        Of schedules, say.
    width
        Letters that there is room for; more where that is needed to tell them apart.

    Returns
    -------
    dict
        {name: label}: all with the names of their parameters, or none.
    """
    whole = {name: shortened(name, len(printable(name)) + len(", without noise")) for name in names}
    if len(set(whole.values())) < len(whole):  # but for digits that nobody would write
        return {name: printable(name) for name in names}
    if all(len(label) <= width for label in whole.values()):
        return whole
    bare = {name: PARAMETER.sub("", label) for name, label in whole.items()}
    cut = {name: shortened(label, width) for name, label in bare.items()}
    return next((told for told in (cut, bare) if len(set(told.values())) == len(told)), whole)


def number(value: float) -> str:
    """A number in four digits or so; "-" for NaN."""
    if math.isnan(value):
        return "-"
    if value != 0.0 and not 1e-2 <= abs(value) < 1e4:
        return powers(f"{value:.2e}")
    return f"{value:.3f}" if abs(value) < 100.0 else f"{value:.1f}"


def powers(text: str) -> str:
    """A text in which powers of ten are as people write them: 1e-6 for 1e-06, 1e6 for 1e+06."""
    return POWER.sub(r"\1", text)


def brief(value: float, digits: int = 6) -> str:
    """A number in so many digits, below 0.001 as a power of ten: 0.25, 0.001, 1e-4, 3.2e66."""
    if value == 0.0 or not abs(value) < 1e-3:
        return powers(f"{value:.{digits}g}")
    lead, power = f"{value:.{digits - 1}e}".split("e")
    return f"{float(lead):g}e{int(power)}"


def some(values: Sequence, most: int) -> Sequence:
    """At most so many of a list of values, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def many(count: int, noun: str, mark: str = "") -> str:
    """1 seed, 2 seeds; `mark` stands between thousands."""
    return f"{count:{mark}} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[Any], most: int = MOST_NAMES) -> str:
    """Names in one line: the first few, and how many more there are."""
    return first_few([shortened(name) for name in names[:most]], most, len(names))


def first_few(names: Sequence[str], most: int, count: int | None = None, between: str = ", ") -> str:
    """The first few of some names as they are, and how many more of `count` (default: of them) there are."""
    more = (len(names) if count is None else count) - most
    return between.join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def value_text(value: Any) -> str:
    """A value of a parameter: 20, 0.1, 1e-4, text."""
    return brief(value) if isinstance(value, float) else shortened(value, 24)


def values_text(values: Sequence[Any]) -> str:
    """The values of an axis in one line; of many the first and the last few."""
    shown = [value_text(value) for value in values]
    return ", ".join(shown if len(shown) <= MOST_VALUES else [*shown[: MOST_VALUES - 3], "...", *shown[-2:]])
