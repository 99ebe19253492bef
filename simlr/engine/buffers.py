"""Memory that is used again: the arrays of a block, from the kernels to the writer and back.

Fresh memory costs more than filling it, since the system hands it out page by page, zeroed. So the writer gives a
block's arrays back, and the next block is written into them: there are as many as blocks are under way at a time.
"""

import numpy as np
from numpy.typing import NDArray

from ..plan.plan import Plan
from ..store import file_format


class Buffers:
    """The arrays of the blocks of one plan. Two threads may use it at once: one that takes, and one that gives back."""

    def __init__(self, plan: Plan):
        self._plan = plan
        self._fields = file_format.result_fields(plan)
        self._free: list[dict[str, NDArray | None]] = []
        self._moments = np.empty(0)

    def take(self, seeds: int, recorded: int) -> dict[str, NDArray]:
        """Arrays for everything that is computed of a block, in the run file's types; what they hold is undefined."""
        sizes = file_format.dimensions(self._plan) | {"seed": seeds, "recorded_seed": recorded}
        flat = self._free.pop() if self._free else {}
        return {
            field.name: _view(flat.get(field.name), tuple(sizes[name] for name in field.dims), field.dtype)
            for field in self._fields
        }

    def give_back(self, arrays: dict[str, NDArray]) -> None:
        """Let the next block have the memory of these arrays, which nobody may look at any more."""
        self._free.append({field.name: arrays[field.name].base for field in self._fields})

    def moments(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """An array of NaN for the recorded moments; it must be NaN again when it is asked for the next time."""
        size = int(np.prod(shape))
        if self._moments.size < size:
            self._moments = np.full(size, np.nan)
        return self._moments[:size].reshape(shape)


def _view(flat, shape, dtype):
    """An array of this shape at the start of a flat one, or of a new one where that is too short."""
    size = int(np.prod(shape))
    if flat is None or flat.size < size:
        flat = np.empty(size, dtype)
    return flat[:size].reshape(shape)
