"""Tables of parameters: which keys a table may have, the rule of each, its default, and one reader for them all."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..errors import Faults, InputError, unknown

REQUIRED = object()  # stands where a parameter has no default


class Parameter(NamedTuple):
    """One key of a table.

    Where a table's values may be axes of a grid, a list of values is one (for a vector: a list of lists).
    """

    name: str
    rule: Callable[[str, Any], Any]  # (key, value) -> the value cast, or an InputError
    default: Any  # or REQUIRED
    meaning: str = ""


def check_keys(where: str, table: dict, valid: Iterable[str]) -> None:
    """Refuse a table with a key that is not among the valid ones; `where` is what the message calls the table."""
    valid, faults = list(valid), Faults()
    for name in table:
        with faults:
            if name not in valid:
                raise unknown(where, name, valid, "key")
    faults.raise_all()


def missing_kind(where: str, table: dict, kinds: Iterable[str], key: str = "") -> InputError:
    """The InputError for a table without a kind: a key that nearly says "kind" is named before what is missing.

    `key` is what the message calls the kind, by default `where`, a colon and "kind".
    """
    near = difflib.get_close_matches("kind", [name for name in table if isinstance(name, str)], n=1, cutoff=0.6)
    if near:
        return unknown(where, near[0], ["kind"], "key")
    return InputError(f"{key or where + ': kind'} is missing; valid are {', '.join(map(repr, kinds))}")


def read_parameters(
    key: str,
    table: dict,
    parameters: Iterable[Parameter],
    kind: str | None = None,
    others: Iterable[str] = (),
    cast: Callable = lambda key, value, rule: rule(key, value),
) -> dict:
    """The values of all parameters of a table, cast, defaults filled in.

    Parameters
    ----------
    key
        The table's name, which that of a value begins with: "record" of "record.points".
    table
        The table as TOML reads it.
    parameters
        What it may hold.
    kind
        The kind that it is of, where the messages have to say so.
    others
        Keys that the table may have besides, which are left to the caller.
    cast
        (key, value, rule) -> the value cast; by default what the rule says.

    Returns
    -------
    dict
        {name: value}, in the order of the parameters.

    Raises
    ------
    InputError
        For a key that is unknown, one that is missing, and what `cast` refuses.
    """
    parameters = tuple(parameters)
    where = key if kind is None else f"{key} (kind {kind!r})"
    faults, checked = Faults(), {}
    with faults:
        check_keys(where, table, [*others, *(parameter.name for parameter in parameters)])
    is_spelled = not faults  # else what is missing may be there under another name, which was told
    for parameter in sorted(parameters, key=lambda one: table.get(one.name, one.default) is REQUIRED):
        with faults:
            value = table.get(parameter.name, parameter.default)
            if value is REQUIRED:
                if is_spelled:
                    raise InputError(f"{where}: {parameter.name} is missing")
                continue
            checked[parameter.name] = cast(f"{key}.{parameter.name}", value, parameter.rule)
    faults.raise_all()
    return {parameter.name: checked[parameter.name] for parameter in parameters}
