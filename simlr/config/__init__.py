"""From TOML to a checked grid or study: `read` takes a file of either.

`grid` and `study` are the two; a grid's tables are checked by `schedule_tables`, `methods` (optimisers and noises),
`stop`, `settings` (seeds, record, run) and `question`, and their lists are `axes`.
"""

from .grid import GridConfig
from .reading import read
from .study import StudyConfig

__all__ = ["GridConfig", "StudyConfig", "read"]
