"""Rules for single values of a grid description: each takes (key, value), returns the value cast, or refuses it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show, unknown

LARGEST_COUNT = 2**62

Rule = Callable[[str, Any], Any]


def refuse(key: str, rule: str, value: Any) -> NoReturn:
    """Raise the InputError that says what the key must be."""
    raise InputError(f"{key} must be {rule}, got {show(value)}")


def is_number(value: Any) -> bool:
    """Whether value is a real number, NumPy's included, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def number(
    key: str,
    value: Any,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    rule: str = "a finite number",
) -> float:
    """A finite float, at least `least`, larger than `above` and at most `most`; `rule` says so in words."""
    if not is_number(value):
        refuse(key, rule, value)
    try:
        cast = float(value)
    except OverflowError:
        refuse(key, rule, value)
    if not math.isfinite(cast) or cast < least or cast <= above or cast > most:
        refuse(key, rule, value)
    return cast


def finite(key: str, value: Any) -> float:
    """Any finite number."""
    return number(key, value)


def not_negative(key: str, value: Any) -> float:
    """A finite number, 0 or more."""
    return number(key, value, least=0.0, rule="a finite number >= 0")


def positive(key: str, value: Any) -> float:
    """A finite number above 0."""
    return number(key, value, above=0.0, rule="a finite number > 0")


def count(key: str, value: Any, least: int = 1, most: int = LARGEST_COUNT) -> int:
    """A whole number from `least` to `most`."""
    if isinstance(value, float) and value.is_integer() and value >= least:
        raise InputError(f"{key} must be a whole number >= {least}, got {show(value)}: write {int(value)}")
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        refuse(key, f"a whole number >= {least}", value)
    if int(value) > most:
        refuse(key, f"a whole number from {least} to {most}", value)
    return int(value)


def count_or_none(key: str, value: Any) -> int:
    """A whole number of 0 or more."""
    return count(key, value, least=0)


def text(key: str, value: Any) -> str:
    """A string with something in it, on one line."""
    if not isinstance(value, str) or not value.strip() or any(ord(letter) < 32 for letter in value):
        refuse(key, "a string of one line, not empty", value)
    try:
        value.encode()
    except UnicodeEncodeError:  # an argument in another encoding
        refuse(key, "a string in UTF-8", value)
    return value


def flag(key: str, value: Any) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        refuse(key, "true or false", value)
    return value


def one_of(*valid: str, noun: str = "value") -> Rule:
    """The rule that the value is one of these strings."""

    def rule(key, value):
        if not isinstance(value, str):
            refuse(key, " or ".join(repr(v) for v in valid), value)
        if value not in valid:
            raise unknown(key, value, valid, noun)
        return value

    return rule


@dataclass(frozen=True)
class VectorRule:
    """A rule for lists: of values that it takes, only a list of lists is an axis of a grid. Also a decorator."""

    check: Rule

    def __call__(self, key: str, value: Any) -> tuple:
        """The value cast, or an InputError."""
        return self.check(key, value)


class ListRule(VectorRule):
    """A rule for lists whose values may be words: only a list of lists is an axis of a grid. Also a decorator."""


class ArrayRule(VectorRule):
    """A rule for an array of numbers, which is never an axis of a grid, however many axes it has."""


def numbers(axes: tuple[int, ...], least: float = -math.inf) -> ArrayRule:
    """The rule that the value is an array of finite numbers with one of some numbers of axes, kept as nested tuples."""

    @ArrayRule
    def rule(key, value):
        return _nested(array(key, value, axes, least).tolist())

    return rule


def _nested(value):
    """Nested lists as nested tuples."""
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def vector(length: int | None = None) -> VectorRule:
    """The rule that the value is a list of finite numbers, of a given length where one is given."""
    size = f"a list of {length} finite numbers" if length else "a list of finite numbers, not empty"

    @VectorRule
    def rule(key, value):
        if not isinstance(value, list | tuple) or not value or (length and len(value) != length):
            refuse(key, size, value)
        return tuple(number(key, v, rule=size) for v in value)

    return rule


def array(key: str, values: Any, axes: tuple[int, ...], least: float = -math.inf) -> NDArray[np.float64]:
    """Finite numbers of at least `least`, as a C-contiguous float64 array with one of some numbers of axes, none empty.

    It is writable, though nothing is written: kernels would be compiled once more for read-only arrays.
    """
    try:
        found = np.require(values, np.float64, ["C", "A", "W"])
    except (TypeError, ValueError):
        raise InputError(f"{key} must be an array of numbers") from None
    if found.ndim not in axes or found.size == 0:
        way_out = "; of one, write [...] around it" if found.size and found.ndim + 1 in axes else ""
        wanted = f"{' or '.join(map(str, axes))} axes, none empty"
        raise InputError(f"{key} must have {wanted}, got shape {found.shape}{way_out}")
    if not np.isfinite(found).all():
        raise InputError(f"{key} must be finite")
    if found.min() < least:
        raise InputError(f"{key} must be >= {least:g}, got {found.min():g}")
    return found
