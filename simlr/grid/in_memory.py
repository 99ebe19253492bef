"""Runs that are kept in memory: what `Run` reads of them, and what takes their blocks."""

import time
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..store import file_format
from ..store.layout import field_attributes, further_attributes


class InMemory:
    """What all sources in memory have: their arrays, which nothing damages."""

    _arrays: dict[str, NDArray]
    _said: dict[str, dict[str, Any]]

    def said(self) -> dict[str, dict[str, Any]]:
        """{dataset: its attributes}, as a file has them."""
        return {name: dict(attributes) for name, attributes in self._said.items()}

    def read(self, name: str, where: tuple[int | slice, ...] = ()) -> NDArray | np.generic:
        """One dataset, or a part of it."""
        return self._arrays[name][where] if where else self._arrays[name]

    def check(self, blocks: NDArray[np.int64]) -> bool:
        """True: there is no disk that could have changed them."""
        return True


class MemorySource(InMemory):
    """A run held in arrays, those that blocks are written to all zeros.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    attributes : dict
        What the attributes of the root are in a file.
    """

    def __init__(self, plan, attributes):
        self.attributes = dict(attributes)
        sizes = file_format.dimensions(plan)
        self._arrays = {field.name: array for field, array in file_format.small_datasets(plan)}
        fields = [field for field, _ in file_format.small_fields(plan)]
        for field, along in file_format.index_fields(plan):
            self._arrays[field.name] = along(0, plan.seeds)
            fields.append(field)
        for field in (*file_format.block_fields(plan), *file_format.ledger_fields()):
            self._arrays[field.name] = np.zeros(tuple(sizes[name] for name in field.dims), field.dtype)
            fields.append(field)
        self.dims = {field.name: field.dims for field in fields}
        further = further_attributes(plan.config)
        self._said = {field.name: field_attributes(field) | further.get(field.name, {}) for field in fields}


class StudySource(InMemory):
    """The run of a study in memory.

    Parameters
    ----------
    datasets : list of (Field, array)
        All that it has.
    attributes : dict
        What the attributes of the root are in a file.
    """

    def __init__(self, datasets, attributes):
        self.attributes = dict(attributes)
        self.dims = {field.name: field.dims for field, _ in datasets}
        self._said = {field.name: field_attributes(field) for field, _ in datasets}
        self._arrays = {field.name: array for field, array in datasets}


class MemoryWriter:
    """Puts blocks into the arrays of a MemorySource, `source`: the store's writer without a file.

    Parameters
    ----------
    plan, attributes
        As of `MemorySource`.
    """

    def __init__(self, plan, attributes):
        self.source = MemorySource(plan, attributes)
        self._plan = plan
        self._fields = file_format.block_fields(plan)

    def write_block(self, block: int, first: int, last: int, arrays: dict[str, NDArray]) -> None:
        """Copy the arrays of a block to their place; the parameters are those of `Writer.write_block`."""
        row, seeds = self._plan.recorded_rows(first, last)
        crc = 0
        for field in self._fields:
            whole = self.source.read(field.name)
            along_seeds = "seed" in field.dims
            place = slice(first, last) if along_seeds else slice(row, row + seeds.size)
            array = np.ascontiguousarray(arrays[field.name], field.dtype)
            whole[place if field.dims[0] == "seed" else (slice(None), place)] = array
            crc = zlib.crc32(array.data.cast("B") if array.size else b"", crc)
        # As in a file: it tells these results from others.
        self.source.read("block_crc32")[block] = crc
        self.source.read("block_done")[block] = 1

    def commit(self) -> None:
        """Nothing: memory needs no commit."""

    def finish(self, wall_seconds: float, complete: bool) -> None:
        """Note how long it took and, where nothing is missing, when it ended."""
        self.source.read("wall_seconds")[...] += wall_seconds
        if complete and self.source.read("block_done").all():
            self.source.read("finished_at")[...] = time.time()

    def close(self) -> None:
        """Nothing to let go of."""
