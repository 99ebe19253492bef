"""The parameters of a table: each with its rule and its default."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import InputError, unknown

REQUIRED = object()  # stands where a parameter has no default


def read_parameters(section, kind, table, check=lambda key, value, rule: rule(key, value)):
    """The kind and all parameters of a [problem] or [study] table, defaults filled in.

    `kind` is a Problem or a Study, which have `kind` and `parameters`; `check(key, value, rule)` returns a value cast.
    InputError for a key that is unknown, one that is missing, and what `check` refuses.
    """
    known = {parameter.name: parameter for parameter in kind.parameters}
    for name in table:
        if name != "kind" and name not in known:
            raise unknown(f"{section} (kind {kind.kind!r})", name, ["kind", *known], "key")
    checked = {"kind": kind.kind}
    for name, parameter in known.items():
        value = table.get(name, parameter.default)
        if value is REQUIRED:
            raise InputError(f"{section} (kind {kind.kind!r}): {name} is missing")
        checked[name] = check(f"{section}.{name}", value, parameter.rule)
    return checked


class Parameter(NamedTuple):
    """One key of the [problem] table; a list of values is a grid axis (for a vector: a list of lists)."""

    name: str
    rule: Callable  # (key, value) -> value
    default: Any
    meaning: str
