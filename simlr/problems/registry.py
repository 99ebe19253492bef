"""Learning problems that can be solved exactly: each is a train quadratic and a test quadratic a seed.

The registry of problem kinds; `sources` says what a kind is made of, and each kind has its module. Kinds that belong
to one published claim live in `simlr.papers`.
"""

from ..errors import unknown
from ..inputs import rules
from .dataset import DATASET
from .gaussian import GAUSSIAN
from .quadratic import QUADRATIC

_GENERIC = {problem.kind: problem for problem in (GAUSSIAN, QUADRATIC, DATASET)}


def kinds():
    """The names of all problem kinds."""
    from ..claims.registry import papers_having

    return [*_GENERIC, *papers_having("PROBLEM")]


def find(key, kind):
    """The Problem of a kind; InputError where there is none."""
    from ..claims.registry import load_paper, paper_names

    if not isinstance(kind, str):
        rules.refuse(key, "a string", kind)
    if kind in _GENERIC:
        return _GENERIC[kind]
    problem = getattr(load_paper(kind), "PROBLEM", None) if kind in paper_names() else None
    if problem is None:
        raise unknown(key, kind, kinds(), "kind")
    return problem
