"""Laying out a run file with HDF5: all metadata and the short datasets, and the places of the long ones.

The only module that writes through h5py. What is laid out is closed; the blocks are put at the datasets' places in the
file by the `writer`, so that no HDF5 handle is open for writing while a run goes on.

HDF5 never meets a disk that fails. A file that it could not write it cannot close either: h5py's destructors print a
traceback for every handle of it, and the process ends by SIGSEGV. So it writes through a `_Sink`.
"""

import os
import threading
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..config.grid import GridConfig
from ..plan.plan import Plan
from . import file_format
from .file_format import Field
from .file_io import pread, pwrite

STRINGS_AT_ONCE = 1 << 20
# The oldest layout that has all that is used: every HDF5 since 1.8 reads it, and a killed writer leaves it readable.
VERSIONS = ("v108", "v108")


def lay_out(
    descriptor: int, plan: Plan, attributes: dict[str, Any], small: list[tuple[Field, NDArray]] | None = None
) -> None:
    """Make the run file of a plan, its blocks still without data.

    Parameters
    ----------
    descriptor : int
        The file, open for reading and writing; what is in it goes.
    plan : Plan
        The grid's plan.
    attributes : dict
        The attributes of the root.
    small : list of (Field, array), optional
        The short datasets, where they are not to be made from the plan.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """
    sizes = file_format.dimensions(plan)
    small = small or file_format.small_datasets(plan)
    long = (*file_format.block_fields(plan), *file_format.ledger_fields())
    index = file_format.index_fields(plan)

    def fill(file):
        for field, array in small:
            _write(file, field, array)
        for field in long:
            _reserve(file, field, tuple(sizes[name] for name in field.dims))
        for field, along in index:
            if field.dtype != "str":
                _reserve(file, field, (plan.seeds,))
                continue
            texts = file.create_dataset(field.name, (plan.seeds,), dtype=h5py.string_dtype("utf-8"))
            for first in range(0, plan.seeds, STRINGS_AT_ONCE):
                last = min(first + STRINGS_AT_ONCE, plan.seeds)
                texts[first:last] = along(first, last)
            _describe(field, texts)
        for name, others in further_attributes(plan.config).items():
            file[name].attrs.update(others)
        attach_scales(file, sizes, [*(field for field, _ in (*small, *index)), *long])

    _fill_new(descriptor, attributes, fill)


def lay_out_whole(
    descriptor: int, attributes: dict[str, Any], sizes: dict[str, int], datasets: list[tuple[Field, NDArray]]
) -> None:
    """Make the run file of a study, with all that is in it.

    Parameters
    ----------
    descriptor, attributes
        As of `lay_out`.
    sizes, datasets
        As of `create.create_whole`.

    Raises
    ------
    OSError
        Where the file cannot be written.
    """

    def fill(file):
        for field, array in datasets:
            _write(file, field, array)
        attach_scales(file, sizes, [field for field, _ in datasets])

    _fill_new(descriptor, attributes, fill)


def attach_scales(file: h5py.File, dimensions: dict[str, int], fields: list[Field]) -> None:
    """Put a dimension scale on every axis of every variable; without one xarray guesses.

    Parameters
    ----------
    file : h5py.File
        Open for writing, its datasets made.
    dimensions : dict of str to int
        The lengths of the dimensions, each of which has a dataset of its name.
    fields : list of Field
        The datasets.
    """
    for name in dimensions:
        file[name].make_scale(name)
    for field in fields:
        for axis, name in enumerate(field.dims):
            if field.name != name:
                file[field.name].dims[axis].attach_scale(file[name])


def _fill_new(descriptor, attributes, fill):
    """Have `fill(file)` fill a new HDF5 file with these attributes; OSError where it cannot be written."""
    sink, failures = _Sink(descriptor), []

    def work():
        try:
            with h5py.File(sink, "w", libver=VERSIONS) as file:
                file.attrs.update(attributes)
                fill(file)
        except BaseException as error:
            failures.append(error)

    # In a thread of its own, where no signal's handler can raise an error in the midst of what HDF5 writes.
    thread = threading.Thread(target=work, daemon=True, name="simlr-layout")
    thread.start()
    _wait_for(thread)
    if sink.failure or failures:
        raise sink.failure or failures[0]


def _wait_for(thread):
    """Wait until a thread has ended, however often a signal's handler raises an error; then that is raised."""
    try:
        thread.join()
    except BaseException:
        _wait_for(thread)
        raise


class _Sink:
    """A file as HDF5 writes it, which never fails: the first error is kept, and what comes after it is dropped."""

    def __init__(self, descriptor):
        os.ftruncate(descriptor, 0)
        self.failure = None
        self._descriptor, self._place = descriptor, 0

    def seek(self, offset, whence=os.SEEK_SET):
        """Go to a place of the file."""
        self._place = offset + (os.fstat(self._descriptor).st_size if whence == os.SEEK_END else 0)
        return self._place

    def tell(self):
        """Where it is."""
        return self._place

    def readinto(self, buffer):
        """Fill a buffer with the next bytes; what did not get into the file reads as zeros.

        HDF5 asks for as many bytes as it has written and does not look how many came. Of a write that was dropped it
        would take what the memory happens to hold for references to strings, and free them.
        """
        buffer[:] = pread(self._descriptor, len(buffer), self._place).ljust(len(buffer), b"\0")
        return len(buffer)

    read = readinto  # which h5py asks for, and does not call

    def write(self, data):
        """Write bytes, unless there has been an error."""
        self._try(pwrite, self._descriptor, data, self._place)
        return len(data)

    def truncate(self, size):
        """Give the file its size, unless there has been an error."""
        self._try(os.ftruncate, self._descriptor, size)
        return size

    def flush(self):
        """Nothing: nothing is held back."""

    def _try(self, function, *arguments):
        try:
            if not self.failure:
                function(*arguments)
        except OSError as error:
            self.failure = error


def _write(file, field, array):
    """Make a dataset with its data."""
    if field.dtype == "str":
        dataset = file.create_dataset(field.name, data=array, dtype=h5py.string_dtype("utf-8"))
    else:
        dataset = file.create_dataset(field.name, data=array.astype(field.dtype), dtype=field.dtype)
    _describe(field, dataset)


def _reserve(file, field, shape):
    """Make a contiguous dataset whose place in the file is fixed now and filled later."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(np.dtype(field.dtype), logical=True)
    _describe(field, h5py.Dataset(h5py.h5d.create(file.id, field.name.encode(), kind, space, properties)))


def _describe(field, dataset):
    """What a dataset means, in its attributes."""
    dataset.attrs.update(field_attributes(field))


def field_attributes(field: Field) -> dict[str, Any]:
    """What a dataset says of itself."""
    return {"long_name": field.meaning, **({"units": field.units} if field.units else {})}


def further_attributes(config: GridConfig) -> dict[str, dict[str, Any]]:
    """What some datasets of a grid's run say besides: {dataset: {attribute: value}}."""
    meanings = file_format.STATUS_MEANINGS
    flags = {"flag_values": np.arange(len(meanings), dtype=np.uint8), "flag_meanings": " ".join(meanings)}
    return {"status": flags, "level": {"level_kind": config.level_kind}}
