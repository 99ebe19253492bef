"""A kind of somebody's own as a grid has it: its name, which carries what it stands for and where that comes from."""

import json
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

SCHEDULE, PROBLEM, STUDY, PAPER = "schedule", "problem", "study", "paper"
SHOWN_DIGITS = 12  # of a digest


@dataclass(frozen=True)
class Plugin:
    """One schedule, problem or study that is not simlr's own.

    Attributes
    ----------
    role : str
        SCHEDULE, PROBLEM, STUDY or PAPER.
    name : str
        As a grid has it: "file.py:name", or the name of an entry point.
    digest : str
        SHA-256 of its source, hexadecimal.
    package : str
        "name version" of the package that it comes from; "" of a file.
    entry : object
        What the grid works with: a schedule's Kind, a Problem, a Study; of one that is not loaded a stand-in, which
        knows its parameters and computes nothing.
    module : module or None
        Where it is defined; None where it is not loaded.
    shape : dict
        What is known of it without its source: see `recorded`.
    """

    role: str
    name: str
    digest: str
    package: str = ""
    entry: Any = field(default=None, compare=False)
    module: ModuleType | None = field(default=None, compare=False)
    shape: dict = field(default_factory=dict, compare=False)

    @property
    def short(self) -> str:
        """Its name alone, without the file's."""
        return self.name.rpartition(":")[2]

    @property
    def is_loaded(self) -> bool:
        """Whether its source has been run."""
        return self.module is not None

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.name} of package {self.package}" if self.package else self.name

    def record(self) -> dict[str, Any]:
        """What a run file says of it."""
        return {"role": self.role, "name": self.name, "digest": self.digest, "package": self.package, **self.shape}


class PluginKind(str):
    """The name of a kind that is a plug-in's. Two of them are equal only where their sources are."""

    plugin: Plugin

    def __new__(cls, plugin: Plugin):
        """The name, with the plug-in that it stands for."""
        kind = super().__new__(cls, plugin.name)
        kind.plugin = plugin
        return kind

    def __eq__(self, other):
        return str.__eq__(self, other) and (not isinstance(other, PluginKind) or self.plugin == other.plugin)

    def __ne__(self, other):
        return not self == other

    __hash__ = str.__hash__

    def __getnewargs__(self):
        return (self.plugin,)


def plugin_of(kind: Any) -> Plugin | None:
    """The plug-in that a kind of a checked grid stands for; None where it is simlr's own."""
    return kind.plugin if isinstance(kind, PluginKind) else None


def told(text: str) -> list[str]:
    """The plug-ins that an attribute of a run file names, a line each."""
    try:
        found = json.loads(text) if text else []
        return [
            f"{one['name']}"
            + (f" of package {one['package']}" if one["package"] else "")
            + f", SHA-256 {one['digest'][:SHOWN_DIGITS]}"
            for one in found
        ]
    except (KeyError, TypeError, ValueError):
        return ["a description that is damaged"]
