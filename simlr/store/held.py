"""A run that has ended, its smaller datasets each read once: for a report, which looks at them many times."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .run import Run

BYTES_HELD = 1 << 29  # of all datasets together; what has no room is read anew at every look


class HeldSource:
    """A `read.FileSource` that keeps what it has read; only for a file that no run writes any more."""

    def __init__(self, source: Any):
        self._source, self._bytes = source, 0
        self._held: dict[str, NDArray] = {}
        self.attributes, self.dims = source.attributes, source.dims
        self.check = source.check

    def read(self, name: str, where: tuple[int | slice, ...] = ()) -> NDArray | np.generic:
        """As `FileSource.read`; what is returned may be changed."""
        if name not in self._held:
            size = self._source.bytes_of(name)
            if self._bytes + size > BYTES_HELD:
                return self._source.read(name, where)
            self._held[name], self._bytes = np.asarray(self._source.read(name)), self._bytes + size
        part = self._held[name][where]
        return part.copy() if isinstance(part, np.ndarray) else part


def held(run: Run) -> Run:
    """The same run; where it has ended, one that reads each dataset once as long as they fit into BYTES_HELD."""
    return Run(HeldSource(run._source)) if run.complete else run
