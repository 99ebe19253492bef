"""Reading a grid or study file."""

from ..inputs import toml
from .grid import GridConfig
from .study import StudyConfig


def read(source, overrides=()):
    """The GridConfig, or where it has a table [study] the StudyConfig, of a TOML file (a path) or of TOML text."""
    tables, folder = toml.read(source)
    for key, value in overrides:
        toml.override(tables, key, value)
    return (StudyConfig if "study" in tables else GridConfig).from_tables(tables, folder)
