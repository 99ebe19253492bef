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
        """Arrays for everything that is computed of a block.

        Parameters
        ----------
        seeds, recorded : int
            How many seeds the block has, and of how many of them the trajectories are kept.

        Returns
        -------
        dict of str to array
            By dataset name, in the run file's types and shapes; what they hold is undefined.
        """
        sizes = file_format.dimensions(self._plan) | {"seed": seeds, "recorded_seed": recorded}
        free = self._free.pop() if self._free else {}
        arrays = {}
        for field in self._fields:
            shape = tuple(sizes[name] for name in field.dims)
            flat, size = free.get(field.name), int(np.prod(shape))
            if flat is None or flat.size < size:
                flat = np.empty(size, field.dtype)
            arrays[field.name] = flat[:size].reshape(shape)
        return arrays

    def give_back(self, arrays: dict[str, NDArray]) -> None:
        """Let the next block have the memory of these arrays, which nobody may look at any more."""
        self._free.append({field.name: arrays[field.name].base for field in self._fields})

    def moments(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """An array of NaN for the recorded moments; it must be NaN again when it is asked for the next time."""
        size = int(np.prod(shape))
        if self._moments.size < size:
            self._moments = np.full(size, np.nan)
        return self._moments[:size].reshape(shape)
