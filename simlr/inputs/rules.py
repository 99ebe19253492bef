"""Rules for single values of a grid description: each takes (key, value), returns the value cast, or refuses it."""

import math
from numbers import Integral, Real

from ..errors import InputError, show, unknown

LARGEST_COUNT = 2**62


def refuse(key, rule, value):
    """Raise the InputError that says what the key must be."""
    raise InputError(f"{key} must be {rule}, got {show(value)}")


def is_number(value):
    """Whether value is a real number, NumPy's included, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def number(key, value, least=-math.inf, above=-math.inf, most=math.inf, rule="a finite number"):
    """A finite float within bounds."""
    if not is_number(value):
        refuse(key, rule, value)
    try:
        cast = float(value)
    except OverflowError:
        refuse(key, rule, value)
    if not math.isfinite(cast) or cast < least or cast <= above or cast > most:
        refuse(key, rule, value)
    return cast


def finite(key, value):
    """Any finite number."""
    return number(key, value)


def not_negative(key, value):
    """A finite number, 0 or more."""
    return number(key, value, least=0.0, rule="a finite number >= 0")


def positive(key, value):
    """A finite number above 0."""
    return number(key, value, above=0.0, rule="a finite number > 0")


def count(key, value, least=1, most=LARGEST_COUNT):
    """A whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        refuse(key, f"a whole number >= {least}", value)
    if value > most:
        refuse(key, f"a whole number from {least} to {most}", value)
    return int(value)


def count_or_none(key, value):
    """A whole number of 0 or more."""
    return count(key, value, least=0)


def text(key, value):
    """A string with something in it, on one line."""
    if not isinstance(value, str) or not value.strip() or any(ord(letter) < 32 for letter in value):
        refuse(key, "a string of one line, not empty", value)
    if not _is_unicode(value):
        refuse(key, "a string in UTF-8", value)
    return value


def _is_unicode(text):
    """Whether a string can be written as UTF-8: arguments in another encoding cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def flag(key, value):
    """true or false."""
    if not isinstance(value, bool):
        refuse(key, "true or false", value)
    return value


def one_of(*valid, noun="value"):
    """The rule that the value is one of these strings."""

    def rule(key, value):
        if not isinstance(value, str):
            refuse(key, " or ".join(repr(v) for v in valid), value)
        if value not in valid:
            raise unknown(key, value, valid, noun)
        return value

    return rule


def vector(length=None):
    """The rule that the value is a list of finite numbers, of a given length where one is given."""
    size = f"a list of {length} finite numbers" if length else "a list of finite numbers, not empty"

    def rule(key, value):
        if not isinstance(value, list | tuple) or not value or (length and len(value) != length):
            refuse(key, size, value)
        return tuple(number(key, v, rule=size) for v in value)

    rule.is_vector = True
    return rule
