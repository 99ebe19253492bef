"""Values of a grid that are single or lists; a list is an axis of the grid, and axes multiply."""

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..errors import InputError
from ..inputs import rules
from ..inputs.rules import ArrayRule, ListRule, Rule, VectorRule

MOST_COMBINATIONS = 1_000_000
_in_file: ContextVar[int | None] = ContextVar("in_file", default=None)


@contextmanager
def of_file_with(schedules: int | None) -> Iterator[None]:
    """Read the grid of a run file that has so many schedules: more are not made of what it says of itself."""
    token = _in_file.set(schedules)
    try:
        yield
    finally:
        _in_file.reset(token)


def check_axis(key: str, value: Any, rule: Rule) -> Any:
    """One value, or a list of values, which is a grid axis, by the rule. Vectors are kept as tuples, axes as lists.

    Where a value may be a vector, only a list with a list or a word in it is an axis; where it may be a list of words,
    only a list of lists. An array is no axis.
    """
    is_axis = isinstance(value, list) and not isinstance(rule, ArrayRule)
    if is_axis and isinstance(rule, VectorRule):
        single = list | tuple if isinstance(rule, ListRule) else list | tuple | str
        is_axis = any(isinstance(v, single) for v in value)
    return cast_different(key, value, rule) if is_axis else rule(key, value)


def cast_different(
    key: str, values: Any, rule: Rule, noun: str = "values", least: str = "a value, or a list of at least one"
) -> list:
    """Values cast by the rule; InputError where there is none, or one of them twice, by what the messages call them."""
    if not values:
        rules.refuse(key, least, values)
    cast = [rule(key, value) for value in values]
    if len(set(cast)) < len(cast):
        rules.refuse(key, f"a list of different {noun}", values)
    return cast


def check_combinations(key: str, count: int) -> None:
    """Refuse, before any is made, what nobody can have meant."""
    if count > MOST_COMBINATIONS:
        given = f"{count:,}" if count < 10**15 else "far too many"
        raise InputError(f"{key}: its lists give {given} combinations, more than {MOST_COMBINATIONS:,}")
    there = _in_file.get()
    if there is not None and key != "problem" and count > there:
        raise InputError(f"{key}: its lists give {count:,} combinations, and the file has {there:,} schedules")


def count_combinations(table: dict) -> int:
    """How many combinations the lists of one table have."""
    return math.prod(len(value) for value in table.values() if isinstance(value, list))


def expand(tables: Iterable[dict]) -> list[dict]:
    """All combinations of the lists of each table, in order: [{"kind": ..., parameter: value, ...}, ...]."""
    singles = []
    for table in tables:
        choices = [value if isinstance(value, list) else [value] for value in table.values()]
        singles += [dict(zip(table, values, strict=True)) for values in itertools.product(*choices)]
    return singles
