"""Reading a grid or study file."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..claims.registry import folder_of, is_paper, load_paper, paper_names
from ..errors import unknown
from ..inputs import rules, toml
from ..inputs.files import near
from ..plugins import recorded
from . import axes
from .grid import GridConfig
from .study import StudyConfig


def config_of(source: Any) -> GridConfig | StudyConfig:
    """What is to be run, from what a user has: a config, nested dicts, a path, TOML text, or a paper's name.

    In dicts a tuple, a range, a NumPy array and whatever else has `tolist` is the list of its values.
    """
    if isinstance(source, GridConfig | StudyConfig):
        return source
    if isinstance(source, dict):
        tables = _plain(source)
        return (StudyConfig if "study" in tables else GridConfig).from_tables(tables)
    if not isinstance(source, str | Path):
        rules.refuse("run", "a GridConfig, a dict, a path, TOML text or a paper's name", source)
    return read(source) if isinstance(source, Path) or toml.is_text(source) else read_named("run", source)


def read_named(key: str, source: str, overrides: Iterable[tuple[str, Any]] = ()) -> GridConfig | StudyConfig:
    """What a file describes, or what is run for a paper.

    Parameters
    ----------
    key
        What messages call the source.
    source
        A file, or a paper's name.
    overrides
        (dotted key, value) pairs that replace or add single values before the check.

    Raises
    ------
    InputError
        Where there is no such file or paper, or something in it is wrong.
    """
    if is_paper(source):
        return read_paper(source, overrides)
    if not source.endswith(".toml") and not os.path.exists(source):
        meant = near(source, ".toml") or near(source, ".py")
        raise unknown(key, source, [*paper_names(), *([meant] if meant else [])], "file or paper")
    return read(Path(source), overrides)


def _plain(value):
    """The value with lists in the place of arrays, ranges, tuples and their like, at any depth, as TOML has them."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if type(value) in (list, tuple, range):
        return [_plain(one) for one in value]
    # Arrays of NumPy and JAX, columns of pandas; a vector of rates, which is checked, stays what it is.
    return value.tolist() if callable(getattr(value, "tolist", None)) else value


def read_recorded(attributes: Mapping[str, Any], schedules: int | None = None) -> GridConfig | StudyConfig:
    """What ran, from the root attributes of a run: a config whose plug-ins are those described there.

    No file that it names is run; see `simlr.plugins.recorded`. Where the number of the run's schedules is given, a
    description of more is refused, by arithmetic.
    """
    with recorded.reading_back(attributes.get(recorded.ATTRIBUTE, "")), axes.of_file_with(schedules):
        return read(attributes["config"])


def read_paper(name: str, overrides: Iterable[tuple[str, Any]] = ()) -> GridConfig | StudyConfig:
    """What is run for a paper, by its name, or by the path of its Python file."""
    return read(load_paper(name).GRID, overrides, folder_of(name))


def read(
    source: str | Path, overrides: Iterable[tuple[str, Any]] = (), folder: str | None = None
) -> GridConfig | StudyConfig:
    """The GridConfig, or where it has a table [study] the StudyConfig, of a TOML file (a path) or of TOML text.

    `folder` is what relative files in it start from, by default that of the file.
    """
    tables, own_folder = toml.read(source)
    folder = own_folder if folder is None else folder
    for key, value in overrides:
        toml.override(tables, key, value)
    if "study" not in tables:
        return GridConfig.from_tables(tables, folder, toml.file_of(source))
    with toml.placed(toml.file_of(source)):
        return StudyConfig.from_tables(tables, folder)
