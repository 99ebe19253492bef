"""Errors that a person can act on, each one line long."""

import difflib


class InputError(ValueError):
    """Bad input: the message names the key, the rule and the value. The commands print it and exit with status 2."""


class DamageError(InputError):
    """A run file that is not what was written. The message names what is wrong."""


class RunError(RuntimeError):
    """A run that could not go on (disk full, output lost). The commands print it and exit with status 1."""


def unknown(key, name, valid, noun):
    """The InputError for a name that is not among the valid ones, with the nearest of them where one is close."""
    near = difflib.get_close_matches(str(name), [str(v) for v in valid], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(repr(v) for v in valid)}"
    return InputError(f"{key}: unknown {noun} {show(name)}; {hint}")


def show(value, limit=80):
    """A value as it stands in a message: on one line, shortened where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of too many digits, or too deep a nesting
        text = f"a {type(value).__name__} too long to be shown"
    return text if len(text) <= limit else text[: limit - 3] + "..."
