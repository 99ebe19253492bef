"""The blocks of a run file as they lie in it: where, how long, with which CRC, done or not. No HDF5 here."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DamageError
from ..inputs.files import reading
from . import file_format, file_io

BYTES_AT_ONCE = 1 << 24
INDICES_AT_ONCE = 1 << 20


class Place(NamedTuple):
    """Where a contiguous dataset lies in the file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        """Bytes of one entry along the first axis."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def bytes(self) -> int:
        """All bytes."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))


def end_checksum(wall_seconds: float, finished_at: float) -> int:
    """What `end_crc32` of a finished file must be."""
    return zlib.crc32(np.array([wall_seconds, finished_at], "<f8").tobytes())


class Blocks:
    """The blocks of a file that is open for reading at least. InputError, with its name, where it cannot be read.

    Parameters
    ----------
    path : str or Path
        The file, as errors name it.
    descriptor : int
        The open file.
    plan : Plan
        The plan of its grid, with its own blocks.
    places : dict of str to Place
        Where its datasets lie, by name.
    """

    def __init__(self, path, descriptor, plan, places):
        self.path = Path(path)
        self._descriptor, self._plan, self._places = descriptor, plan, places
        self._fields = file_format.block_fields(plan)
        self._ends = [*plan.block_starts.tolist(), plan.seeds]

    def ends(self, block: int) -> tuple[int, int]:
        """The first seed of a block, and the one after its last."""
        return self._ends[block], self._ends[block + 1]

    def done(self) -> NDArray[np.uint8]:
        """(B,) uint8: 1 where a block is done."""
        return self._get("block_done")

    def is_ended(self) -> bool:
        """Whether the end is noted, with the checksum of what is noted."""
        wall_seconds, finished_at = self._get("wall_seconds")[0], self._get("finished_at")[0]
        return bool(finished_at) and self._get("end_crc32")[0] == end_checksum(wall_seconds, finished_at)

    def seconds(self) -> tuple[float, float]:
        """`wall_seconds` and `finished_at`."""
        return float(self._get("wall_seconds")[0]), float(self._get("finished_at")[0])

    def check(self, progress: Callable[[int, int], None] | None = None) -> tuple[list[int], list[int]]:
        """Read every block that is marked as done.

        Parameters
        ----------
        progress : callable, optional
            Called with (blocks checked, all blocks).

        Returns
        -------
        damaged, missing : list of int
            The blocks whose bytes do not have their CRC, or whose mark is none; and those that are not done.
        """
        damaged, missing, done = [], [], self.done()
        for block, mark in enumerate(done.tolist()):
            if mark == 0:
                missing.append(block)
            elif mark != 1 or not self.fits(block):
                damaged.append(block)
            if progress:
                progress(block + 1, len(done))
        return damaged, missing

    def fits(self, block: int) -> bool:
        """Whether the bytes of a block have their CRC."""
        crc = 0
        for field in self._fields:
            for offset, size in self._spans(field, *self.ends(block)):
                for first in range(0, size, BYTES_AT_ONCE):
                    crc = zlib.crc32(self._bytes(min(BYTES_AT_ONCE, size - first), offset + first), crc)
        return crc == self._get("block_crc32", block)[0]

    def read(self, block: int) -> dict[str, NDArray] | None:
        """{dataset: flat array} of a block, or None where its bytes do not have their CRC."""
        crc, data = 0, {}
        for field in self._fields:
            spans = self._spans(field, *self.ends(block))
            data[field] = b"".join(self._bytes(size, offset) for offset, size in spans)
            crc = zlib.crc32(data[field], crc)
        if crc != self._get("block_crc32", block)[0]:
            return None
        return {field.name: np.frombuffer(of_field, field.dtype) for field, of_field in data.items()}

    def named(self, block: int) -> str:
        """A block with its seeds, as people count them."""
        first, last = (seed + self._plan.first for seed in self.ends(block))
        return f"block {block} (seeds {first} to {last - 1})"

    def damaged_indices(self) -> list[str]:
        """Names of the numeric coordinates along the seeds that are not what the plan says."""
        wrong = (name for name, values, offset in self.indices() if not self.holds(values, offset))
        return list(dict.fromkeys(wrong))

    def indices(self) -> Iterator[tuple[str, NDArray, int]]:
        """The numeric coordinates along the seeds a piece at a time: (name, values, offset in the file)."""
        for field, along in file_format.index_fields(self._plan):
            if field.dtype == "str":
                continue
            for first in range(0, self._plan.seeds, INDICES_AT_ONCE):
                values = along(first, min(first + INDICES_AT_ONCE, self._plan.seeds)).astype(field.dtype)
                yield field.name, values, self._places[field.name].start + first * values.itemsize

    def holds(self, values: NDArray, offset: int) -> bool:
        """Whether the file has these values at a place, in bytes from its start."""
        return self._bytes(values.nbytes, offset) == values.tobytes()

    def _bytes(self, size, offset):
        """Bytes from a place of the file, fewer where it ends before."""
        with reading(self.path):
            return file_io.pread(self._descriptor, size, offset)

    def _spans(self, field, first, last):
        """Offset and size of the contiguous pieces of a block's part of a dataset, in the order of its array."""
        place = self._places[field.name]
        begin, count = first, last - first
        if "recorded_seed" in field.dims:
            begin, seeds = self._plan.recorded_rows(first, last)
            count = seeds.size
        if not count:
            return []
        if field.dims[0] != "schedule":
            return [(place.start + begin * place.row_bytes, count * place.row_bytes)]
        inner = place.row_bytes // place.shape[1]
        return [(place.start + s * place.row_bytes + begin * inner, count * inner) for s in range(place.shape[0])]

    def _get(self, name, index=None):
        """All numbers of a short dataset, or one."""
        place = self._places[name]
        size = place.bytes if index is None else place.dtype.itemsize
        data = self._bytes(size, place.start + (index or 0) * size)
        if len(data) < size:
            raise DamageError(f"{self.path}: was cut short meanwhile")
        return np.frombuffer(data, place.dtype)
