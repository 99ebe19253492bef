"""Learning problems that can be solved exactly: each is a train quadratic and a test quadratic a seed.

The registry of problem kinds; `sources` says what a kind is made of, and each kind has its module. Kinds that belong
to one published claim live in `simlr.papers`.
"""

import importlib
import pkgutil

from . import rules
from .datasets import DATASET
from .errors import unknown
from .gaussian import GAUSSIAN
from .quadratics import QUADRATIC

_GENERIC = {problem.kind: problem for problem in (GAUSSIAN, QUADRATIC, DATASET)}


def kinds():
    """The names of all problem kinds."""
    from . import papers

    return [*_GENERIC, *(module.name for module in pkgutil.iter_modules(papers.__path__))]


def find(key, kind):
    """The Problem of a kind; InputError where there is none."""
    if not isinstance(kind, str):
        rules.refuse(key, "a string", kind)
    if kind in _GENERIC:
        return _GENERIC[kind]
    if kind not in kinds():
        raise unknown(key, kind, kinds(), "kind")
    return importlib.import_module(f"simlr.papers.{kind}").PROBLEM
