"""Reading run files through HDF5: what they say of themselves, their datasets, and the run that a file holds."""

import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..errors import DamageError, InputError, show
from . import file_format, guard
from .blocks import Place
from .run import Run

MOST_TRIED = 1 << 16  # strings of a file without a seal


def load(path: str | Path) -> Run:
    """The run in a file, finished or not; InputError (a ValueError) where the file is no simlr run."""
    return Run(FileSource(path))


class FileSource:
    """Looks into a run file, opening it anew each time: an open dataset would keep showing old zeros."""

    def __init__(self, path):
        self.path = Path(path)
        guard.check(self.path)
        with _opened(self.path) as file:
            self.attributes = {name: _plain(value) for name, value in file.attrs.items()}
            self.dims = {name: _dims(name, item) for name, item in file.items() if isinstance(item, h5py.Dataset)}
        always = {"finished_at"} if "study" in self.attributes else {"status", "finished_at"}
        if "config" not in self.attributes or not always <= set(self.dims):
            raise DamageError(f"{self.path}: is damaged (something that every run has is missing)")

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
            Where it cannot be read.
        """
        with _opened(self.path) as file:
            dataset = file[name]
            size = (dataset.size or 0) * dataset.dtype.itemsize if not where else 0
            resources.check_memory(size, f"{self.path}: {name} takes", "; run.part reads a part of it")
            return dataset.asstr()[where] if h5py.check_string_dtype(dataset.dtype) else dataset[where]


class Survey(NamedTuple):
    """What a run file says of itself: attributes, places of its datasets, first seeds of its blocks."""

    attributes: dict[str, Any]
    places: dict[str, Place]
    starts: NDArray[np.int64]

    @property
    def seeds(self) -> int:
        """How many seeds the file holds."""
        place = self.places.get("seed")
        return place.shape[0] if place and place.shape else 0


def survey(path: str | Path) -> Survey:
    """The `Survey` of a run file; InputError where it is none, DamageError where it cannot be had."""
    guard.check(path)
    with _opened(path) as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        starts = () if "study" in attributes else file["block_start"][()]  # a study has no blocks
        return Survey(attributes, places_of(file), np.asarray(starts, dtype=np.int64))


def places_of(file: h5py.File) -> dict[str, Place]:
    """{name: Place} of the contiguous datasets of an open HDF5 file."""
    datasets = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    offsets = {name: item.id.get_offset() for name, item in datasets.items()}
    return {
        name: Place(offset, datasets[name].shape, datasets[name].dtype)
        for name, offset in offsets.items()
        if offset is not None
    }


def try_out(path: str | Path) -> None:
    """Read of a run what HDF5 may not come back from, in a process that may be ended: all but rows of numbers."""
    with h5py.File(path, "r", locking=False) as file:
        if str(file.attrs.get("format")) != file_format.FORMAT:
            return
        dict(file.attrs)
        for name, item in file.items():
            if isinstance(item, h5py.Dataset):
                _dims(name, item)
                item[(slice(0, MOST_TRIED if h5py.check_string_dtype(item.dtype) else 1),) * item.ndim]


@contextlib.contextmanager
def _opened(path):
    """The run file open for reading; InputError where it is none, or so damaged that h5py cannot read it."""
    try:
        file = h5py.File(path, "r", locking=False)
    except Exception as error:  # whatever a damaged file makes h5py raise
        raise DamageError(f"{path}: is no simlr run, or damaged: {show(str(error))}") from None
    try:
        with file:
            # Refuse another program's HDF5 and newer formats.
            name, version = file.attrs.get("format"), file.attrs.get("format_version")
            wanted, newest = file_format.FORMAT, file_format.FORMAT_VERSION
            if not isinstance(name, str) or name != wanted:
                raise InputError(f"{path}: is no simlr run (the attribute `format` is not {wanted!r})")
            if not isinstance(version, int | np.integer) or version > newest:
                raise InputError(f"{path}: has format version {version}; this simlr reads up to {newest}")
            yield file
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise DamageError(f"{path}: is damaged: {show(str(error))}") from None


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _dims(name, dataset):
    """Names of a dataset's dimensions."""
    if dataset.is_scale:
        return (name,)
    return tuple(dim[0].name.lstrip("/") if len(dim) else f"{name}_{i}" for i, dim in enumerate(dataset.dims))
