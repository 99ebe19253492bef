"""The run that a file holds, looked into anew at every access, and checked: `simlr.load`."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..errors import DamageError
from . import file_format, guard
from .blocks import end_checksum
from .metadata import attributes_of, check_datasets, check_own, dims_of, looked_into, said_of, status_of
from .run import Run
from .run_file import opened

BYTES_HELD = 1 << 29  # of all datasets together; what has no room is read anew at every look


def load(path: str | Path) -> Run:
    """The run in a file, as `simlr.load` has it, without what draws and reports it."""
    return Run(FileSource(path))


def held(run: Run) -> Run:
    """The same run for a report, which looks at datasets many times; each is read once where the run has ended."""
    return Run(HeldSource(run._source)) if isinstance(run._source, FileSource) and run.complete else run


class FileSource:
    """Looks into a run file, opening it anew each time: an open dataset would keep showing old zeros."""

    def __init__(self, path):
        self.path = Path(path)
        guard.check(self.path)
        with looked_into(self.path) as file:
            check_own(self.path, file)
            self._loaded = status_of(file)
            self.attributes, self.dims = attributes_of(file), dims_of(file)
            is_study = "study" in self.attributes
            if not is_study:
                check_datasets(self.path, file)
        always = {"finished_at"} if is_study else {"status", "block_done", "finished_at", "wall_seconds", "end_crc32"}
        text = isinstance(self.attributes.get("config"), str)
        if not text or not always <= set(self.dims):
            raise DamageError(f"{self.path}: is damaged (something that every run has is missing)")
        self._file, self._checked = None, np.zeros(0, dtype=bool)
        # Coordinates along the seeds, which neither the seal nor a block's checksum covers.
        self._unchecked = set() if is_study else {name for name, dims in self.dims.items() if dims == ("seed",)}
        self._unchecked -= file_format.BLOCK_DATASETS
        if not is_study:
            self._check_end()

    def _check_end(self):
        """DamageError where an end is noted that does not have its checksum."""
        wall_seconds, ended = float(self.read("wall_seconds")), float(self.read("finished_at"))
        if ended and int(self.read("end_crc32")) != end_checksum(wall_seconds, ended):
            raise DamageError(
                f"{self.path}: is damaged: finished_at, wall_seconds or their checksum are not what was written; "
                "--resume computes what is missing and notes the end anew"
            )

    def read(self, name: str, where: tuple[int | slice, ...] = ()) -> NDArray | np.generic:
        """Read a dataset.

        Parameters
        ----------
        name : str
            The dataset.
        where : tuple of int or slice
            The part of it that is read, one of each of the first axes; by default all.

        Returns
        -------
        array or number
            Strings as Python's.

        Raises
        ------
        InputError
            Where it does not fit in the memory.
        DamageError
            Where it cannot be read, or numbers the seeds otherwise than the grid does.
        """
        if name in self._unchecked:
            self._check_along()
        with looked_into(self.path, self._loaded) as file:
            dataset = file[name]
            size = (dataset.size or 0) * dataset.dtype.itemsize if not where else 0
            resources.check_memory(size, f"{self.path}: {name} takes", "; run.part reads a part of it")
            return dataset.asstr()[where] if h5py.check_string_dtype(dataset.dtype) else dataset[where]

    def said(self) -> dict[str, dict[str, Any]]:
        """{dataset: its attributes}: long_name, units, and what flags mean."""
        with looked_into(self.path, self._loaded) as file:
            return said_of(file)

    def bytes_of(self, name: str) -> int:
        """How many bytes a dataset takes in memory."""
        with looked_into(self.path, self._loaded) as file:
            return int(file[name].size or 0) * file[name].dtype.itemsize

    def check(self, blocks: NDArray[np.int64]) -> bool:
        """Whether the bytes of blocks that are marked as done have their CRC-32; each is looked at once.

        DamageError where one has not; False where that is because a run has begun to compute it again.
        """
        file = self._opened()
        blocks = blocks[~self._checked[blocks]]
        if not blocks.size:
            return True
        with file.blocks() as found:
            for block in blocks.tolist():
                if not found.fits(block):
                    if found.done()[block] != 1:
                        return False
                    raise DamageError(f"{self.path}: is damaged: {found.named(block)}; --resume computes it again")
        self._checked[blocks] = True
        return True

    def _opened(self):
        """Where the blocks lie, looked at once."""
        if self._file is None:
            self._file = opened(self.path)
            self._checked = np.zeros(self._file.plan.blocks, dtype=bool)
        return self._file

    def _check_along(self):
        """DamageError where the numbers along the seeds are not what the grid says; looked at once."""
        with self._opened().blocks() as found:
            wrong = found.damaged_indices()
        if wrong:
            raise DamageError(f"{self.path}: is damaged: dataset {wrong[0]} is not what was written; --resume mends it")
        self._unchecked = set()


class HeldSource:
    """A `FileSource` that keeps what it has read, up to BYTES_HELD; only for a file that no run writes any more."""

    def __init__(self, source: Any):
        self._source, self._bytes = source, 0
        self._held: dict[str, NDArray] = {}
        self.attributes, self.dims = source.attributes, source.dims
        self.check, self.said = source.check, source.said

    def read(self, name: str, where: tuple[int | slice, ...] = ()) -> NDArray | np.generic:
        """As `FileSource.read`; what is returned may be changed."""
        if name not in self._held:
            size = self._source.bytes_of(name)
            if self._bytes + size > BYTES_HELD:
                return self._source.read(name, where)
            self._held[name], self._bytes = np.asarray(self._source.read(name)), self._bytes + size
        part = self._held[name][where]
        return part.copy() if isinstance(part, np.ndarray) else part
