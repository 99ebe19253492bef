"""The papers, by name: each is a module of `simlr.papers`, of a package, or of a file; loaded when it is asked for."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import InputError
from ..plugins.kinds import PAPER, Plugin, plugin_of
from ..plugins.loading import from_package, installed, run_file

PAPERS = "simlr.papers"
WANTED = ("SOURCE", "CLAIM", "RECONSTRUCTION", "GRID", "check", "controls")


def own_names() -> list[str]:
    """The names of simlr's own papers."""
    modules = pkgutil.iter_modules(importlib.import_module(PAPERS).__path__)
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def paper_names() -> list[str]:
    """The names of all papers: simlr's own, and those of installed packages, whose names may not be one of these."""
    own = own_names()
    return [*own, *sorted(set(installed(PAPER)) - set(own))]


def is_paper(name: Any) -> bool:
    """Whether a name is that of a paper, or a Python file, which is one."""
    return isinstance(name, str) and (name.endswith(".py") or name in own_names() or name in installed(PAPER))


def load_paper(name: str) -> ModuleType:
    """The module of one paper.

    Parameters
    ----------
    name
        One of `paper_names()`, or the path of a Python file, which is run.

    Raises
    ------
    InputError
        Where a plug-in is no paper, or cannot be loaded.
    ModuleNotFoundError
        Where there is none of that name.
    """
    if name in own_names():
        return importlib.import_module(f"{PAPERS}.{name}")
    if name.endswith(".py"):
        return _checked(run_file(name)[0], name)
    found = from_package(PAPER, "paper", name, lambda module, plugin: (_checked(module, plugin.where), {}))
    return found.plugin.entry if found else importlib.import_module(f"{PAPERS}.{name}")


def folder_of(name: str) -> str:
    """The folder that relative files in a paper's grid start from: a file's own, else the working folder."""
    return str(Path(name).parent) if name.endswith(".py") else "."


def paper_behind(kind: str) -> ModuleType | None:
    """The paper that a grid or a study of this kind belongs to; None where there is none, or it is not loaded."""
    plugin: Plugin | None = plugin_of(kind)
    if plugin is not None:
        module = plugin.module
        return module if module is not None and all(hasattr(module, name) for name in WANTED) else None
    return load_paper(kind) if kind in own_names() else None


def papers_having(attribute: str) -> list[str]:
    """The names of simlr's own papers that have PROBLEM, or STUDY."""
    return [name for name in own_names() if hasattr(load_paper(name), attribute)]


def _checked(module, where):
    """A module that has what a paper has; InputError where it has not."""
    if not isinstance(module, ModuleType):
        raise InputError(f"{where}: a paper is a module, got a {type(module).__name__}")
    lacking = [name for name in WANTED if not hasattr(module, name)]
    hint = f'; a grid names its schedules and problems: kind = "{where}:NAME"' if lacking == [*WANTED] else ""
    if lacking:
        raise InputError(f"{where}: is no paper: it has no {lacking[0]}{hint}")
    return module


__all__ = ["folder_of", "is_paper", "load_paper", "own_names", "paper_behind", "paper_names", "papers_having"]
