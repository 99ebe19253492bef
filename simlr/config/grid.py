"""The grid description: frozen, checked, from TOML and back.

`GridConfig.from_toml` takes a path or the text itself. Whatever is wrong is refused in one line that names the key, the
rule and the value. After that every value is cast and every default filled in, so `to_toml` states the whole grid.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from ..errors import Faults, InputError, nearest
from ..inputs import rules, toml
from ..inputs.parameters import check_keys, missing_kind, read_parameters
from ..plugins.kinds import PluginKind
from ..problems import losses, registry
from ..schedules.schedule import PHASES, Schedule
from . import by_rows, optimal
from . import expectation as expectations
from . import question as questions
from . import stop as stopping
from .axes import check_axis, check_combinations, count_combinations, expand
from .methods import NO_NOISE, check_noises, check_optimizers, is_plain, label, noise_of
from .optimizers import goes_by_rows
from .schedule_tables import budgets_of, check_schedules, count_schedules, expand_schedule
from .settings import check_name, check_settings, table_at

TABLES = (
    *("name", "engine", "problem", "seeds", "stop", "record", "schedule", "optimizer", "noise", "expectation"),
    *("question", "run"),
)
ENGINES = ("auto", "recurrence", "closed-form")


@dataclass(frozen=True)
class GridConfig:
    """One grid: schedules x seeds on a problem. All tables are checked and complete; lists in them are grid axes.

    Attributes
    ----------
    name : str
        Names the run.
    engine : str
        How steps are taken: "auto" skips them where that is exact and pays, "recurrence" never, "closed-form" always.
    problem, seeds, stop, record, run : dict
        The tables of these names.
    schedule, optimizer, noise : tuple of dict
        The lists of tables of these names.
    question : dict
        What the report answers; empty where nothing is asked.
    expectation : dict or None
        How exact means over the noise are computed; None where noise is drawn.
    folder : str
        Where relative data files are looked for; no part of the grid's identity.
    file : str
        The TOML file that it was read from, which messages name; "" where it was made otherwise, or changed.
    """

    name: str
    engine: str
    problem: dict
    seeds: dict
    stop: dict
    record: dict
    schedule: tuple[dict, ...]
    optimizer: tuple[dict, ...]
    noise: tuple[dict, ...]
    run: dict
    question: dict = field(default_factory=dict)
    expectation: dict | None = None
    folder: str = field(default=".", compare=False)
    file: str = field(default="", compare=False)

    @classmethod
    def from_toml(cls, source: str | Path, overrides: Iterable[tuple[str, Any]] = ()) -> Self:
        """The grid described by a TOML file (a path) or by TOML text.

        Parameters
        ----------
        source
            A path, or the text itself, which is told by its "=" or by its lines. A Python file that it names as a kind
            is run: docs/plugins.md.
        overrides
            (dotted key, value) pairs that replace or add single values before the check.

        Raises
        ------
        InputError
            Where anything is wrong, in one line that names the key, the rule and the value.
        """
        tables, folder = toml.read(source)
        for key, value in overrides:
            toml.override(tables, key, value)
        return cls.from_tables(tables, folder, toml.file_of(source))

    @classmethod
    def from_tables(cls, tables: dict, folder: str | Path = ".", file: str = "") -> Self:
        """The grid described by nested dicts, as TOML reads them; InputError where anything is wrong.

        The faults of all tables are told in one go, each in a line of its own (`InputError.faults`), which begins with
        the file that they were read from, where there is one; what no table shows by itself is looked at once they are
        right.
        """
        with toml.placed(file):
            return cls._checked(tables, folder, file)

    @classmethod
    def _checked(cls, tables, folder, file):
        """The same, the faults without the file."""
        if not isinstance(tables, dict):
            rules.refuse("grid", "a table", tables)
        if "study" in tables:
            raise InputError("[study] makes it a study, not a grid; simlr.config.read takes both")
        parts = _checked_parts(tables, folder)
        schedules = optimal.with_budgets(parts["schedule"], parts["stop"], parts["expectation"] is not None)
        config = cls(**{**parts, "schedule": schedules}, folder=str(folder), file=file)
        config.check_count()
        expectations.check_grid(config)
        by_rows.check_grid(config)
        optimal.check_methods(config.schedule, config.methods())
        config.combinations()  # names and lengths of all of them
        return replace(config, question=questions.check(table_at(tables, "question"), config))

    @property
    def paper(self) -> str:
        """The name of the paper that it belongs to, where that is one: its problem kind."""
        return self.problem["kind"]

    def replace(self, **changes: Any) -> Self:
        """A copy with whole tables or single keys replaced: `replace(seeds={"count": 10})` keeps the root."""
        tables = self.tables()
        folder = changes.pop("folder", self.folder)
        for key, value in changes.items():
            merge = isinstance(value, dict) and isinstance(tables.get(key), dict) and key not in ("problem", "question")
            tables[key] = {**tables[key], **value} if merge else value
        return type(self).from_tables(tables, folder)

    def tables(self) -> dict:
        """The grid as nested dicts, every default filled in."""
        lists = {key: [dict(table) for table in getattr(self, key)] for key in ("schedule", "optimizer", "noise")}
        parts = {key: dict(getattr(self, key)) for key in ("problem", "seeds", "stop", "record")}
        asked = {} if self.expectation is None else {"expectation": dict(self.expectation)}
        asked |= {"question": dict(self.question)} if self.question else {}
        return {"name": self.name, "engine": self.engine, **parts, **lists, **asked, "run": dict(self.run)}

    def to_toml(self) -> str:
        """The grid as TOML text; `from_toml` of it gives an equal grid."""
        return toml.write(self.tables())

    def identity(self) -> str:
        """What must agree for two runs to be of one grid: all but the name, the question and how the work is cut."""
        tables = self.tables()
        if not self.record["stop_residual"]:  # as in files that were written before there was such a key
            del tables["record"]["stop_residual"]
        return toml.write({key: value for key, value in tables.items() if key not in ("name", "question", "run")})

    @property
    def plugins(self) -> list[PluginKind]:
        """The kinds of its tables that are not simlr's own."""
        phases = (phase for table in self.schedule for phase in table.get(PHASES, ()))
        kinds = [self.problem["kind"], *(table.get("kind") for table in (*self.schedule, *phases))]
        return [kind for kind in kinds if isinstance(kind, PluginKind)]

    @property
    def levels(self) -> list[float] | list[int]:
        """The levels in the order given."""
        return stopping.levels(self.stop)

    @property
    def level_kind(self) -> str:
        """What the levels are: see `stopping.level_kind`."""
        return stopping.level_kind(self.stop)

    def schedules(self) -> list[tuple[Schedule, dict]]:
        """All schedules of the grid, lists expanded: [(Schedule, {parameter: value}), ...], names unique."""
        expanded = []
        for table in self.schedule:
            expanded += expand_schedule(f"schedule {table['name']!r}", table, self.stop["max_steps"])
        counts = Counter(schedule.name for schedule, _ in expanded)
        for name, times in counts.items():
            if times > 1:
                raise InputError(f"schedule name must be unique, got {name!r} {times} times")
        return expanded

    def methods(self) -> list[tuple[dict, dict, str]]:
        """All combinations of optimiser and noise: [(optimizer, noise, name), ...]; "" where there is only one."""
        optimizers, noises = expand(self.optimizer), expand(self.noise)
        methods = []
        for optimizer, noise in itertools.product(optimizers, noises):
            parts = [label(optimizer)] if len(optimizers) > 1 else []
            parts += [label(noise)] if len(noises) > 1 else []
            methods.append((optimizer, noise_of(optimizer, noise), ", ".join(parts)))
        return methods

    @property
    def draws_rows(self) -> bool:
        """Whether some schedule draws mini-batches."""
        return any(noise["kind"] in ("minibatch", "labels") for _, noise, _ in self.methods())

    @property
    def by_rows(self) -> bool:
        """Whether rows are gone through: for a loss but the squared one, a ridge, a network, an optimiser or a noise
        that asks for it."""
        noisy = any(noise["kind"] == "labels" for noise in self.noise)
        return noisy or not losses.is_plain(self.problem) or goes_by_rows(self.optimizer)

    def check_count(self) -> None:
        """Refuse, by arithmetic, more schedules than anybody can have meant."""
        schedules = sum(map(count_schedules, self.schedule))
        optimizers, noises = (sum(map(count_combinations, tables)) for tables in (self.optimizer, self.noise))
        check_combinations("grid", schedules * optimizers * noises)

    def combinations(self) -> list[tuple[Schedule, dict, dict, dict]]:
        """The S schedules: [(Schedule, its parameters, optimizer, noise), ...], every schedule with every method.

        Raises
        ------
        InputError
            Where a flow meets another method than gradient descent, or a schedule a stop rule that cannot stop it.
        """
        combinations = []
        for (schedule, parameters), (optimizer, noise, name) in itertools.product(self.schedules(), self.methods()):
            if schedule.flows and not is_plain(optimizer, noise):
                other = label(optimizer) if not is_plain(optimizer, NO_NOISE) else label(noise)
                raise InputError(f"schedule {schedule.name!r}: a flow goes with exact gradient descent, not {other!r}")
            stopping.check_schedule(self.stop, schedule)
            named = replace(schedule, name=f"{schedule.name}, {name}") if name else schedule
            combinations.append((named, parameters, optimizer, noise))
        return combinations

    def families(self) -> list[str]:
        """The name of the [[schedule]] table that each of the S schedules comes from."""
        methods = len(self.methods())
        return [table["name"] for table in self.schedule for _ in range(count_schedules(table) * methods)]

    def problem_combinations(self) -> tuple[list[str], list[dict]]:
        """All combinations of problem parameters, lists expanded: (axis names, [{parameter: value}, ...])."""
        parameters = {name: value for name, value in self.problem.items() if name != "kind"}
        return [name for name, value in parameters.items() if isinstance(value, list)], expand([parameters])

    def axes(self) -> list[tuple[str, list]]:
        """The axes of the grid, every list in it: [("problem.train_rows", its values), ...]; the levels among them."""
        problem = [(f"problem.{key}", value) for key, value in self.problem.items() if isinstance(value, list)]
        axes = [*problem, (self.level_kind, self.levels)]
        for table in self.schedule:
            phases = enumerate(table[PHASES], 1) if PHASES in table else [(0, table)]
            axes += [
                (f"{table['name']}.{f'phase{i}.' if i else ''}{key}", value)
                for i, phase in phases
                for key, value in phase.items()
                if isinstance(value, list) and key not in (PHASES, "found")
            ]
        for table in (*self.optimizer, *self.noise):
            axes += [(f"{table['kind']}.{key}", value) for key, value in table.items() if isinstance(value, list)]
        return axes


def _checked_parts(tables, folder):
    """Every table by itself, checked and cast: {name: value}; InputErrors where several are wrong."""
    # A table that is missing is often there under a misspelled name, which its fault says: nothing more is told of it.
    strange = {nearest(str(key), list(TABLES)): table for key, table in tables.items() if key not in TABLES}
    misspelled = {key: table for key, table in strange.items() if key not in tables}
    checks = {
        "name": lambda: check_name(tables.get("name", "grid")),
        "engine": lambda: rules.one_of(*ENGINES, noun="engine")("engine", tables.get("engine", "auto")),
        "problem": lambda: _check_problem(table_at(tables, "problem", required=True), folder),
        "seeds": lambda: check_settings(tables, "seeds"),
        "stop": lambda: stopping.check(table_at(tables, "stop", required=True)),
        "record": lambda: check_settings(tables, "record"),
        "schedule": lambda: check_schedules(tables.get("schedule"), folder, budgets_of(misspelled | tables)),
        "optimizer": lambda: check_optimizers(tables.get("optimizer", [{"kind": "gd"}])),
        "noise": lambda: check_noises(tables.get("noise", [{"kind": "none"}])),
        "run": lambda: check_settings(tables, "run"),
        "expectation": lambda: expectations.check(tables),
    }
    faults, parts = Faults(), {}
    with faults:
        check_keys("grid", tables, TABLES)
    for key in sorted(checks, key=lambda key: key not in tables):
        with Faults() if key in misspelled else faults:
            parts[key] = checks[key]()
    faults.raise_all()
    return parts


def _check_problem(table, folder):
    """The problem's kind and parameters."""
    if "kind" not in table:
        raise missing_kind("problem", table, registry.kinds(), "problem.kind")
    kind = registry.find("problem.kind", table["kind"], folder)
    parameters = read_parameters("problem", table, kind.parameters, kind.kind, others=("kind",), cast=check_axis)
    checked = {"kind": kind.kind, **parameters}
    if kind.check:
        kind.check(checked)
    check_combinations("problem", count_combinations(checked))
    defaults = {one.name: one.default for one in kind.parameters if one.name in kind.optional}
    said = {key: value for key, value in checked.items() if key not in defaults or value != defaults[key]}
    return losses.without_defaults(said)
