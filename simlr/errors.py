"""Errors that a person can act on, each one line long."""

import difflib
from collections.abc import Iterable
from typing import Any

MOST_NAMES = 40


class InputError(ValueError):
    """Bad input: the message names the key, the rule and the value. The commands print it and exit with status 2."""


class DamageError(InputError):
    """A run file that is not what was written. The message names what is wrong."""


class RunError(RuntimeError):
    """A run that could not go on (disk full, output lost). The commands print it and exit with status 1."""


def unknown(key: str, name: Any, valid: Iterable[Any], noun: str) -> InputError:
    """The InputError for a name that is not among the valid ones, with the nearest of them where one is close."""
    valid = [str(v) for v in valid]
    near = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.6) or [
        v for v in valid if v.startswith(f"{name}[")
    ]
    more = f" and {len(valid) - MOST_NAMES} more" if len(valid) > MOST_NAMES else ""
    listed = ", ".join(map(repr, valid[:MOST_NAMES])) + more
    hint = f"did you mean {near[0]!r}?" if near else f"valid are {listed}"
    return InputError(f"{key}: unknown {noun} {show(name)}; {hint}")


def show(value: Any, limit: int = 80) -> str:
    """A value as it stands in a message: on one line, shortened where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of too many digits, or too deep a nesting
        text = f"a {type(value).__name__} too long to be shown"
    return text if len(text) <= limit else text[: limit - 3] + "..."
