"""Learning problems that can be solved exactly: each is a train quadratic and a test quadratic a seed.

The registry of problem kinds: each has its module beside this one, and an entry here; `source` says what a kind is made
of. Kinds that belong to one published claim live in `simlr.papers`, and are found there by name.
"""

from dataclasses import replace
from pathlib import Path

from ..errors import unknown
from ..inputs import rules
from ..plugins.kinds import PROBLEM, plugin_of
from ..plugins.loading import installed
from .dataset import DATASET
from .gaussian import GAUSSIAN
from .plugin import plugin_kind
from .population import POPULATION
from .quadratic import QUADRATIC
from .source import Problem

_GENERIC = {problem.kind: problem for problem in (GAUSSIAN, QUADRATIC, DATASET, POPULATION)}


def kinds() -> list[str]:
    """The names of all problem kinds."""
    from ..claims.registry import papers_having

    return [*_GENERIC, *papers_having("PROBLEM")]


def find(key: str, kind: str, folder: str | Path = ".") -> Problem:
    """The Problem of a kind.

    Parameters
    ----------
    key
        Where the kind stands in a grid, for the message: "problem.kind".
    kind
        Its name: one of `kinds()`, one that a package offers, or "file.py:name".
    folder
        That of the grid file, which a file's name is relative to.

    Raises
    ------
    InputError
        Where there is no such kind, naming the nearest, or where a plug-in cannot be loaded.
    """
    from ..claims.registry import load_paper, own_names

    if not isinstance(kind, str):
        rules.refuse(key, "a string", kind)
    if kind in _GENERIC:
        return _GENERIC[kind]
    plugin = plugin_of(kind)
    if plugin:
        return replace(plugin.entry, kind=kind)
    own = getattr(load_paper(kind), "PROBLEM", None) if kind in own_names() else None
    if own:
        return own
    found = plugin_kind(key, kind, folder)
    if found is None:
        raise unknown(key, kind, [*kinds(), *installed(PROBLEM)], "kind")
    return replace(found.plugin.entry, kind=found)
