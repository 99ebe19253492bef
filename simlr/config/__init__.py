"""From TOML to a checked grid or study."""

from .grid import GridConfig
from .reading import read
from .study import StudyConfig

__all__ = ["GridConfig", "StudyConfig", "read"]
