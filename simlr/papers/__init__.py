"""Published claims, one file a paper.

Each module has PROBLEM (a `simlr.sources.Problem`), GRID (its default grid, TOML), CLAIM and SOURCE (text), and
`check(run)`, which returns a `Verdict`.
"""

import importlib
import pkgutil
from typing import NamedTuple


class Verdict(NamedTuple):
    """What a check found."""

    outcome: str  # "holds", "does not hold" or "undecided"
    claim: str
    findings: tuple  # lines: what was measured, beside what the theory says and the tolerance


def names():
    """The names of all papers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name):
    """The module of one paper."""
    return importlib.import_module(f"{__name__}.{name}")
