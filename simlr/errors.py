"""Errors that a person can act on, each one line long."""

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

MOST_NAMES = 40


class InputError(ValueError):
    """Bad input: the message names the key, the rule and the value. The commands print it and exit with status 2."""

    @property
    def faults(self) -> list[str]:
        """Every fault in a line of its own; of one error there is one."""
        return [str(self)]


class InputErrors(InputError):
    """Several faults of one input, found in one go: the message has a line for each of them."""

    @property
    def faults(self) -> list[str]:
        """Every fault in a line of its own."""
        return str(self).split("\n")


class Faults:
    """Collects the faults of an input, so that all are told at once.

        faults = Faults()
        with faults:
            check_one()
        with faults:
            check_another()
        faults.raise_all()

    An InputError ends the block that it was raised in, and is kept.
    """

    def __init__(self):
        self._lines = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if type(error) not in (InputError, InputErrors):
            return False
        self._lines += [line for line in error.faults if line not in self._lines]
        return True

    def __bool__(self):
        return bool(self._lines)

    def raise_all(self, shown: Callable[[str], str] = str) -> None:
        """Raise what was collected, if anything was: one InputError, or InputErrors. `shown` changes each line."""
        if self._lines:
            kind = InputError if len(self._lines) == 1 else InputErrors
            raise kind("\n".join(map(shown, self._lines))) from None


@contextlib.contextmanager
def of_keys(keys: Mapping[str, str]) -> Iterator[None]:
    """Have an InputError that begins with a file's name begin with the key that names the file: {beginning: key}."""
    try:
        yield
    except InputError as error:
        key = next((key for start, key in keys.items() if str(error).startswith(start)), "")
        if not key:
            raise
        raise InputError(f"{key}: {error}") from None


class DamageError(InputError):
    """A run file that is not what was written. The message names what is wrong."""


class RunError(RuntimeError):
    """A run that could not go on (disk full, output lost). The commands print it and exit with status 1."""


def unknown(key: str, name: Any, valid: Iterable[Any], noun: str) -> InputError:
    """The InputError for a name that is not among the valid ones, with the nearest of them where one is close."""
    valid = [str(v) for v in valid]
    near = nearest(str(name), valid)
    more = f" and {len(valid) - MOST_NAMES} more" if len(valid) > MOST_NAMES else ""
    listed = ", ".join(map(repr, valid[:MOST_NAMES])) + more
    hint = f"did you mean {near!r}?" if near else f"valid are {listed}" if valid else "there is none here"
    return InputError(f"{key}: unknown {noun} {show(name)}; {hint}")


def nearest(name: str, valid: list[str]) -> str:
    """The valid name that another one is near to, or is the beginning of, before a label or a suffix, or a word of.

    Else the first whose beginning, before a label, is near; or the one that is the stem of a path; "" of none.
    """
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
    longer = (one for one in valid if one.startswith((f"{name}[", f"{name}.")) or name in one.split("_"))
    labelled = {one.partition("[")[0]: one for one in reversed(valid)}
    heads = difflib.get_close_matches(name, labelled, n=1, cutoff=0.6)
    stem = PurePath(name).stem
    return close[0] if close else next(longer, labelled[heads[0]] if heads else stem if stem in valid else "")


def show(value: Any, limit: int = 80) -> str:
    """A value as it stands in a message: on one line, shortened where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of too many digits, or too deep a nesting
        text = f"a {type(value).__name__} too long to be shown"
    return text if len(text) <= limit else text[: limit - 3] + "..."
