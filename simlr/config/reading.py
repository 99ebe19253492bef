"""Reading a grid or study file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import Faults
from ..inputs import toml
from .grid import GridConfig
from .study import StudyConfig


def read(source: str | Path, overrides: Iterable[tuple[str, Any]] = ()) -> GridConfig | StudyConfig:
    """The GridConfig, or where it has a table [study] the StudyConfig, of a TOML file (a path) or of TOML text."""
    tables, folder = toml.read(source)
    for key, value in overrides:
        toml.override(tables, key, value)
    faults = Faults()
    with faults:
        return (StudyConfig if "study" in tables else GridConfig).from_tables(tables, folder)
    faults.raise_all(toml.placed(source))
    raise AssertionError("unreachable")
