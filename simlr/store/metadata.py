"""Looking into run files through HDF5: what they say of themselves, and where their datasets lie.

A run file has everything in itself. A link to elsewhere, data in another file, or a dataset made of others' is not
followed, but refused by name: what it would show is not what the run wrote.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import DamageError, InputError, show
from . import file_format, file_io, guard
from .blocks import Place

MOST_TRIED = 1 << 16  # strings of a file without a seal
# In one process HDF5 opens a file again only with the locking that it is open with.
OTHER_LOCKING = "locking flag"
# How a text stands in a dataset: its length, and where it lies in the file's heap.
TEXT = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
BYTES_AT_ONCE = 1 << 24
MOST_PROBLEM_AXES = 200


class Survey(NamedTuple):
    """What a run file says of itself: attributes, places of its datasets, first seeds of its blocks."""

    attributes: dict[str, Any]
    places: dict[str, Place]
    starts: NDArray[np.int64]

    @property
    def seeds(self) -> int:
        """How many seeds the file holds."""
        return self._length("seed")

    @property
    def schedules(self) -> int:
        """How many schedules."""
        return self._length("schedule")

    def _length(self, name):
        """The length of a dataset with one dimension."""
        place = self.places.get(name)
        return place.shape[0] if place and place.shape else 0


def survey(path: str | Path) -> Survey:
    """The `Survey` of a run file; InputError where it is none, DamageError where it cannot be had."""
    guard.check(path)
    with looked_into(path) as file:
        check_own(path, file)
        attributes = attributes_of(file)
        if "study" not in attributes:
            check_datasets(path, file)
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
        check_own(path, file)
        if "study" not in attributes_of(file):
            check_datasets(path, file)
        for name, item in file.items():
            if isinstance(item, h5py.Dataset):
                _dims(name, item)
                item[(slice(0, MOST_TRIED if h5py.check_string_dtype(item.dtype) else 1),) * item.ndim]


@contextlib.contextmanager
def looked_into(path: str | Path, loaded: os.stat_result | None = None) -> Iterator[h5py.File]:
    """The run file open for reading; where the status of a file is given, that very file.

    InputError where it is none or another one, DamageError where it is so damaged that h5py cannot read it.
    """
    try:
        file = _opened(path)
    except Exception as error:  # whatever a damaged file makes h5py raise
        if loaded and not os.path.exists(path):
            raise InputError(f"{path}: was removed since it was loaded") from None
        raise DamageError(f"{path}: is no simlr run, or damaged: {show(str(error))}") from None
    try:
        with file:
            if loaded and not os.path.samestat(status_of(file), loaded):
                raise InputError(f"{path}: was replaced by another file since it was loaded; load it again")
            _check_format(path, file)
            yield file
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise DamageError(f"{path}: is damaged: {show(str(error))}") from None


def _opened(path):
    """An h5py.File for reading, also where the process has the file open already, in h5py or xarray."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if OTHER_LOCKING not in str(error):
            raise
    try:
        return h5py.File(path, "r", locking=True)
    except OSError:
        return h5py.File(path, "r", locking="best-effort")


def status_of(file: h5py.File) -> os.stat_result:
    """Which file it is that h5py has open."""
    return os.fstat(file.id.get_vfd_handle())


def check_own(path: str | Path, file: h5py.File) -> None:
    """Refuse what is not in the file itself, before HDF5 follows it."""
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise DamageError(f"{path}: {show(name, 60)} is a link to elsewhere, which no run has")
        if file.get(name, getclass=True) is not h5py.Dataset:
            raise DamageError(f"{path}: {show(name, 60)} is no dataset, and a run has nothing else")
        if file[name].external or file[name].is_virtual:
            raise DamageError(f"{path}: the data of {show(name, 60)} lie in another file, which no run's do")


def check_datasets(path: str | Path, file: h5py.File) -> None:
    """Refuse, by name, a dataset of a grid's run that has not the dimensions, type or place that every run's has."""
    sizes: dict[str, int] = {}
    if sum(name.startswith("problem_") for name in file) > MOST_PROBLEM_AXES:
        raise DamageError(f"{path}: is damaged: it has more parameters of its problem than any problem has")
    for name, item in file.items():
        dims, types = file_format.known(name) or (None, ())
        if dims is None:
            continue
        of_text = h5py.check_string_dtype(item.dtype)
        if ("str" if of_text else item.dtype.str) not in types or (of_text and of_text.length is not None):
            raise _unwanted(path, name, f"it is of type {show(str(item.dtype), 40)}")
        # What is added to the parameters of schedules and problems need not name its dimension.
        is_named = name not in file_format.KNOWN or (item.shape is not None and _dims(name, item) == dims)
        if item.shape is None or len(item.shape) != len(dims) or not is_named:
            raise _unwanted(path, name, f"its dimensions are not {', '.join(dims) or 'none'}")
        for dimension, size in zip(dims, item.shape, strict=True):
            if sizes.setdefault(dimension, size) != size:
                raise _unwanted(path, name, f"it has another length than its {dimension}")
        if item.size and item.id.get_offset() is None:
            raise _unwanted(path, name, "it does not lie in one piece")
        if of_text:
            _check_texts(path, name, item)


def _unwanted(path, name, why):
    """The error of a dataset that is none of a run's."""
    label = name if name in file_format.KNOWN else show(name, 60)
    return DamageError(f"{path}: is damaged: dataset {label} is not what its grid wants: {why}")


def _check_texts(path, name, item):
    """Refuse texts that would take more memory than the file has bytes: many that are one in the file."""
    descriptor = item.file.id.get_vfd_handle()
    most, start = os.fstat(descriptor).st_size, item.id.get_offset() or 0
    for first in range(0, item.size * TEXT.itemsize, BYTES_AT_ONCE):
        size = min(BYTES_AT_ONCE, item.size * TEXT.itemsize - first)
        read = file_io.pread(descriptor, size, start + first)
        most -= int(np.frombuffer(read[: len(read) // TEXT.itemsize * TEXT.itemsize], TEXT)["length"].sum())
        if most < 0 or len(read) < size:
            raise DamageError(f"{path}: is damaged: the texts of {show(name, 60)} are not those of the file")


def attributes_of(file: h5py.File) -> dict[str, Any]:
    """The attributes of the root; texts in tables, which no run has, are left out: they may be one text, many times."""
    found = {}
    for name in file.attrs:
        kind = file.attrs.get_id(name)
        if kind.shape == () or (kind.shape is not None and kind.dtype.kind in "iufb"):
            value = file.attrs[name]
            found[name] = value.item() if isinstance(value, np.generic) else value
    return found


SAID = ("long_name", "units", "flag_values", "flag_meanings", "level_kind")


def said_of(file: h5py.File) -> dict[str, dict[str, Any]]:
    """{dataset: what it says of itself}, as `layout` has written it."""
    found: dict[str, dict[str, Any]] = {}
    for name, item in file.items():
        kinds = {one: item.attrs.get_id(one) for one in SAID if one in item.attrs}
        short = [one for one, kind in kinds.items() if kind.shape == () or (one == SAID[2] and kind.dtype.kind in "ui")]
        found[name] = {one: item.attrs[one] for one in short}
    return found


def dims_of(file: h5py.File) -> dict[str, tuple[str, ...]]:
    """{dataset: names of its dimensions}."""
    return {name: _dims(name, item) for name, item in file.items() if isinstance(item, h5py.Dataset)}


def _check_format(path, file):
    """Refuse another program's HDF5 and newer formats."""
    name, version = file.attrs.get("format"), file.attrs.get("format_version")
    if not isinstance(name, str) or name != file_format.FORMAT:
        raise InputError(f"{path}: is no simlr run (the attribute `format` is not {file_format.FORMAT!r})")
    if not isinstance(version, int | np.integer) or version > file_format.FORMAT_VERSION:
        raise InputError(f"{path}: has format version {version}; this simlr reads up to {file_format.FORMAT_VERSION}")


def _dims(name, dataset):
    """Names of a dataset's dimensions."""
    if dataset.is_scale:
        return (name,)
    return tuple(dim[0].name.lstrip("/") if len(dim) else f"{name}_{i}" for i, dim in enumerate(dataset.dims))
