"""The papers, by name: each is a module of `simlr.papers`, loaded when it is asked for."""

import importlib
import pkgutil
from types import ModuleType

PAPERS = "simlr.papers"


def paper_names() -> list[str]:
    """The names of all papers."""
    modules = pkgutil.iter_modules(importlib.import_module(PAPERS).__path__)
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def load_paper(name: str) -> ModuleType:
    """The module of one paper; ModuleNotFoundError where there is none of that name."""
    return importlib.import_module(f"{PAPERS}.{name}")


def papers_having(attribute: str) -> list[str]:
    """The names of the papers that have PROBLEM, or STUDY."""
    return [name for name in paper_names() if hasattr(load_paper(name), attribute)]
