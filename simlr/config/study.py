"""Studies: what a paper measures that is no grid of quadratics. Their description, and the arrays that they make.

A study is a network that is trained, a bound that is evaluated, an integral over a population: anything that a function
can put into named arrays. Its run is one file like a grid's, with the same provenance, seal, report and verdict:

    name = "wu2021"

    [study]
    kind = "wu2021"            # the paper; the rest of the table are that study's parameters
    dimension = 128

    [seeds]
    count = 20
    root = 0

It is short, minutes at most, so it is written whole once it is measured: an interruption leaves nothing, --shard is
refused, and --resume finds the file finished or starts anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

from ..errors import InputError, unknown
from ..inputs import rules, toml
from ..inputs.parameters import REQUIRED, Parameter, check_keys, read_parameters
from ..plugins import recorded
from ..plugins.kinds import STUDY, Plugin, PluginKind, plugin_of
from ..plugins.loading import guarded, installed
from ..plugins.signatures import rule_of_sort, sort_of
from .settings import check_name, check_settings

TABLES = ("name", "study", "seeds")


@dataclass(frozen=True)
class Study:
    """What a paper measures.

    kind: the paper's name; meaning: one line; parameters: `Parameter`s, single values or, by a rule of
    vectors, lists; arrays: the `Field`s (name, dimensions, type, meaning, units) that `measure` returns;
    measure: a function of a `Task` that returns {name: array}, the same bits for the same task whatever its threads.
    A dimension gets its coordinate from an array of its own name, numbers or strings ("str"); one without is counted
    from 0. The dimension "seed" has as many entries as the task has seeds.
    """

    kind: str
    meaning: str
    parameters: tuple[Parameter, ...]
    arrays: tuple[Any, ...]
    measure: Callable[..., dict]


class Task(NamedTuple):
    """What `measure` is asked for."""

    parameters: dict  # every parameter, checked
    seeds: int  # measure seeds 0..seeds - 1; draw = f(root, seed), nothing else
    root: int
    threads: int | None  # to compute with; None: all
    progress: Callable[[int, int], None]  # (done, all): call it now and then, with whole numbers


@dataclass(frozen=True)
class StudyConfig:
    """One study as it is to be run: checked, every default filled in. The twin of `simlr.GridConfig`."""

    name: str
    study: dict
    seeds: dict
    folder: str = field(default=".", compare=False)

    @classmethod
    def from_tables(cls, tables: dict, folder: str | Path = ".") -> Self:
        """The study described by nested dicts, as TOML reads them; InputError where anything is wrong."""
        check_keys("study", tables, TABLES)
        name, table = check_name(tables.get("name", "study")), tables["study"]
        if not isinstance(table, dict):
            rules.refuse("study", "a table", table)
        if "kind" not in table:
            raise InputError("study.kind is missing")
        kind, definition = resolved("study.kind", table["kind"], folder)
        parameters = read_parameters("study", table, definition.parameters, kind, others=("kind",))
        study = {"kind": kind, **parameters}
        return cls(name, study, check_settings(tables, "seeds"), str(folder))

    def replace(self, **changes: Any) -> Self:
        """A copy with whole tables or single keys replaced: `replace(seeds={"count": 10})` keeps the root."""
        tables = self.tables()
        folder = changes.pop("folder", self.folder)
        for key, value in changes.items():
            tables[key] = {**tables[key], **value} if isinstance(value, dict) and key in tables else value
        return type(self).from_tables(tables, folder)

    def tables(self) -> dict:
        """The study as nested dicts, every default filled in."""
        return {"name": self.name, "study": dict(self.study), "seeds": dict(self.seeds)}

    def to_toml(self) -> str:
        """The study as TOML text."""
        return toml.write(self.tables())

    def identity(self) -> str:
        """What must agree for two runs to be of one study: everything but the name."""
        return replace(self, name="study").to_toml()

    @property
    def paper(self) -> str:
        """The name of the paper that it belongs to."""
        return self.study["kind"]

    @property
    def plugins(self) -> list[PluginKind]:
        """Its kind, where that is not simlr's own."""
        return [self.paper] if isinstance(self.paper, PluginKind) else []

    @property
    def definition(self) -> Study:
        """The `Study` behind it."""
        return resolved("study.kind", self.paper, self.folder)[1]

    def task(self, threads: int | None = None, progress: Callable[[int, int], None] | None = None) -> Task:
        """The `Task` for its `measure`."""
        parameters = {key: value for key, value in self.study.items() if key != "kind"}
        tell = progress or (lambda done, total: None)
        return Task(parameters, self.seeds["count"], self.seeds["root"], threads, tell)


def resolved(key: str, kind: Any, folder: str | Path) -> tuple[str, Study]:
    """The kind of a study as a grid then has it, and its `Study`; InputError where there is none.

    Parameters
    ----------
    key
        What messages call the kind.
    kind
        The name of a paper, or "file.py:name" of a Study.
    folder
        That of the study file.
    """
    from ..claims.registry import load_paper, own_names, papers_having

    if not isinstance(kind, str):
        rules.refuse(key, "a string", kind)
    plugin = plugin_of(kind)
    if plugin is not None:
        return kind, plugin.entry
    study = getattr(load_paper(kind), "STUDY", None) if kind in own_names() else None
    if study is not None:
        return study.kind, study
    found = recorded.kind_of(STUDY, key, kind, folder, _adopt, lambda shape: _stand_in(kind, shape))
    if found is None:
        raise unknown(key, kind, [*papers_having("STUDY"), *installed(STUDY)], "study")
    return found, found.plugin.entry


def _adopt(found: Any, plugin: Plugin) -> tuple[Study, dict]:
    """The `Study` of a plug-in, or of the paper that has it; and what it is without its code."""
    study = getattr(found, "STUDY", None) if isinstance(found, ModuleType) else found
    if not isinstance(study, Study):
        raise InputError(f"{plugin.where}: is no simlr.config.Study")
    measure: Any = guarded(plugin, "measure", study.measure)
    return replace(study, measure=measure), {"parameters": {one.name: sort_of(one.rule) for one in study.parameters}}


def _stand_in(kind: str, shape: dict) -> Study:
    """A study of which the parameters are known alone."""

    def measure(task):
        raise InputError(f"study {kind!r}: its source is not loaded; read the study file itself, beside its plug-in")

    told = tuple(
        Parameter(str(name), rule_of_sort(sort), REQUIRED) for name, sort in dict(shape.get("parameters", {})).items()
    )
    return Study(kind, "a plug-in that is not loaded", told, (), measure)
