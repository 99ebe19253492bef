"""Values of a grid that are single or lists; a list is an axis of the grid, and axes multiply."""

from ..errors import InputError
from ..inputs import rules

MOST_COMBINATIONS = 1_000_000


def check_combinations(key, count):
    """Refuse, before any is made, what nobody can have meant."""
    if count > MOST_COMBINATIONS:
        given = f"{count:,}" if count < 10**15 else "far too many"
        raise InputError(f"{key}: its lists give {given} combinations, more than {MOST_COMBINATIONS:,}")


def check_axis(key, value, rule):
    """One value, or a list of values, which is a grid axis. Vectors are kept as tuples, axes as lists.

    Where a value may be a vector, only a list with a list or a word in it is an axis.
    """
    is_vector = getattr(rule, "is_vector", False)
    is_axis = isinstance(value, list) and (not is_vector or any(isinstance(v, list | tuple | str) for v in value))
    if not is_axis:
        return rule(key, value)
    if not value:
        rules.refuse(key, "a value, or a list of at least one", value)
    cast = [rule(key, v) for v in value]
    if len(set(cast)) < len(cast):
        rules.refuse(key, "a list of different values", value)
    return cast
