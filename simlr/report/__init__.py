"""From a run file to a page: tables, pictures and texts; the command `python -m simlr.report`.

The package can be called: `simlr.report(run, out)` is `simlr.interactive.run.report`.
"""

import sys
from types import ModuleType
from typing import Any

from .. import lazily

__getattr__ = lazily(__name__, {"main": f"{__name__}.__main__:main", "report": "simlr.interactive.run:report"})


class _Callable(ModuleType):
    """A package whose name is also that of what it does."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Write a report: see `simlr.interactive.run.report`."""
        return self.report(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
