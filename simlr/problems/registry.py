"""Learning problems that can be solved exactly: each is a train quadratic and a test quadratic a seed.

The registry of problem kinds: each has its module beside this one, and an entry here; `source` says what a kind is made
of. Kinds that belong to one published claim live in `simlr.papers`, and are found there by name.
"""

from ..errors import unknown
from ..inputs import rules
from .dataset import DATASET
from .gaussian import GAUSSIAN
from .population import POPULATION
from .quadratic import QUADRATIC
from .source import Problem

_GENERIC = {problem.kind: problem for problem in (GAUSSIAN, QUADRATIC, DATASET, POPULATION)}


def kinds() -> list[str]:
    """The names of all problem kinds."""
    from ..claims.registry import papers_having

    return [*_GENERIC, *papers_having("PROBLEM")]


def find(key: str, kind: str) -> Problem:
    """The Problem of a kind.

    Parameters
    ----------
    key
        Where the kind stands in a grid, for the message: "problem.kind".
    kind
        Its name: one of `kinds()`.

    Raises
    ------
    InputError
        Where there is no such kind; it names the nearest.
    """
    from ..claims.registry import load_paper, paper_names

    if not isinstance(kind, str):
        rules.refuse(key, "a string", kind)
    if kind in _GENERIC:
        return _GENERIC[kind]
    problem = getattr(load_paper(kind), "PROBLEM", None) if kind in paper_names() else None
    if problem is None:
        raise unknown(key, kind, kinds(), "kind")
    return problem
