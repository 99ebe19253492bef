"""What a function of somebody's own takes: its parameters, the rule of each, and what a run file says of them."""

import inspect
from collections.abc import Callable, Collection, Mapping
from numbers import Integral
from typing import Any

from ..errors import InputError
from ..inputs import rules
from ..inputs.rules import ArrayRule, ListRule, Rule, VectorRule
from .recorded import ARRAY, LIST, VALUE, VECTOR

WORD = {bool: rules.flag, int: lambda key, value: rules.count(key, value, -rules.LARGEST_COUNT), str: rules.text}


def parameters_of(
    function: Callable, first: tuple[str, ...], where: str, noun: str, taken: Collection[str], known: Mapping[str, Rule]
) -> dict[str, Rule]:
    """The rules of a function's parameters: {name: rule}.

    Parameters
    ----------
    function
        Its first parameters have the names `first`, the others are those of a grid.
    first
        What it is called with.
    where, noun
        What messages call it, and what it is.
    taken
        Names that a parameter cannot have.
    known
        The rules of some names; of others the annotation or the default tells the rule.

    Raises
    ------
    InputError
        Where the function takes something else.
    """
    try:
        found = list(inspect.signature(function, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        raise InputError(f"{where}: its parameters are not understood: {error}") from None
    named = all(one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) for one in found)
    if not named or tuple(one.name for one in found[: len(first)]) != first:
        raise InputError(
            f"{where}: a {noun} is a function ({', '.join(first)}, parameters), each parameter by its name"
        )
    own = {}
    for one in found[len(first) :]:
        if one.name in taken:
            raise InputError(f"{where}: a parameter cannot be called {one.name!r}, which a {noun}'s table has")
        own[one.name] = known.get(one.name) or rule_for(one.annotation, one.default)
    return own


def defaults_of(function: Callable) -> dict[str, Any]:
    """The defaults of those of a function's parameters that have one."""
    found = inspect.signature(function).parameters.values()
    return {one.name: one.default for one in found if one.default is not one.empty}


def source_of(function: Any) -> str:
    """The file of a function, as a traceback has it."""
    return getattr(getattr(function, "__code__", None), "co_filename", "")


def rule_for(annotation: Any, default: Any) -> Rule:
    """The rule of a parameter, by its annotation or the type of its default; any single value without both."""
    is_told = isinstance(annotation, type) and annotation is not inspect.Parameter.empty
    kind = annotation if is_told else type(default)
    if kind in (tuple, list) or getattr(annotation, "__origin__", None) in (tuple, list):
        return rules.vector()
    if kind is float:
        return rules.finite
    return WORD.get(kind, _single)


def _single(key, value):
    """A number, a text, or true or false: what a parameter without an annotation or a default may be."""
    if isinstance(value, str | bool):
        return rules.text(key, value) if isinstance(value, str) else value
    if isinstance(value, Integral):
        return int(value)
    return rules.number(key, value, rule="a finite number, a string, or true or false")


def sort_of(rule: Rule) -> str:
    """Of what sort a rule's values are, which tells lists that are axes of a grid from those that are values."""
    kinds = ((ArrayRule, ARRAY), (ListRule, LIST), (VectorRule, VECTOR))
    return next((sort for kind, sort in kinds if isinstance(rule, kind)), VALUE)


def rule_of_sort(sort: Any) -> Rule:
    """A rule that takes whatever another one of that sort has taken."""
    kinds = {ARRAY: ArrayRule, LIST: ListRule, VECTOR: VectorRule}
    return kinds[sort](lambda key, value: _frozen(value)) if sort in kinds else lambda key, value: value


def _frozen(value):
    """Nested lists as nested tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
