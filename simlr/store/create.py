"""Run files: created whole, written by pwrite, committed block by block, and read at any time.

The only module that knows h5py (but for the user's own data files, in `datafiles`). A file is laid out under another
name, closed, synced and renamed; after that its metadata never changes and no HDF5 handle is open for writing: the
`writer` puts the blocks at the datasets' file offsets.
"""

import contextlib
import gc
import os
import sys
import traceback
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError, RunError, show
from ..resources import check_limit, check_room
from . import file_format, seal
from .blocks import Blocks
from .file_io import pwrite
from .lock import _let_go, _locked, kept_alone
from .read import _places
from .target import check_target
from .target import sync_folder as _sync_folder
from .writer import Writer

PIECE = 1 << 20


# ---- creating ----


def bytes_needed(plan):
    """Size of the run file, by arithmetic; a little more than it comes to."""
    sizes = file_format.dimensions(plan)
    index = [field for field, _ in file_format.index_fields(plan)]
    fields = [*file_format.block_fields(plan), *file_format.ledger_fields(), *index]
    total = sum(_field_bytes(field, sizes) for field in fields) + 16 * sizes["block"] + 8 * sizes["level"]
    # Names, units and parameters of the schedules; the recorded moments.
    total += sizes["schedule"] * (512 + 24 * sizes.get("record", 0)) + 8 * sizes.get("recorded_seed", 0)
    return total + len(plan.config.to_toml()) * 3 + 24 * len(plan.sizes) + 64 * 1024


def _field_bytes(field, sizes):
    """Bytes of one dataset; a string takes a reference and an entry in the file's heap."""
    count = 1
    for name in field.dims:
        count *= sizes[name]
    return count * (64 if field.dtype == "str" else np.dtype(field.dtype).itemsize)


def create(path, plan, attributes, overwrite=False, small=None):
    """Lay out the run file of a plan and return its `Writer`; InputError where it may not or cannot be.

    `small`, the short datasets [(Field, array), ...], where they are not to be made anew from the plan.
    """
    path = Path(os.path.realpath(_checked(path, overwrite)))  # behind a link, the file itself is replaced

    def lay_out(new, descriptor):
        return _laid_out(new, descriptor, plan, attributes, small)

    descriptor, lock, places = _made(path, bytes_needed(plan), overwrite, lay_out)
    return Writer(path, descriptor, lock, plan, places)


def create_whole(path, attributes, sizes, datasets, overwrite=False):
    """Write the run file of a study: `sizes` are its dimensions, `datasets` [(Field, array), ...] all that is in it.

    It appears whole or not at all, and its seal covers every byte. InputError where it may not or cannot be.
    """
    path = Path(os.path.realpath(_checked(path, overwrite)))

    def lay_out(new, descriptor):
        with h5py.File(new, "w", libver=("v108", "v108"), locking=False) as file:
            file.attrs.update(attributes)
            for field, array in datasets:
                _describe(file, field, _written(file, field, array))
            _attach_scales(file, sizes, [field for field, _ in datasets])
        seal.write(descriptor, [])
        os.fsync(descriptor)

    needed = sum(array.nbytes for _, array in datasets) + 1024 * len(datasets) + (1 << 16)
    descriptor, lock, _ = _made(path, needed, overwrite, lay_out)
    _let_go(descriptor, lock)


def _checked(path, overwrite):
    """A path where a run file may be made."""
    path = Path(path)
    check_target(path, overwrite)
    return path


def _made(path, needed, overwrite, lay_out):
    """Let `lay_out(new, descriptor)` fill a new file, and put it in its place: descriptor, lock and what that returned.

    Whatever goes wrong, nothing of it is left.
    """
    check_room(path.parent, needed, path)
    check_limit(needed, path)
    with contextlib.ExitStack() as held:
        new = path.with_name(path.name + ".new")
        descriptor, lock = _locked(new, path, os.O_CREAT)
        try:
            # Looked at once more: whoever had the lock before may have made the file meanwhile.
            check_target(path, overwrite)
            if path.exists():
                held.enter_context(kept_alone(path))
            with silent_hdf5():
                found = lay_out(new, descriptor)
            os.rename(new, path)
            _sync_folder(path.parent)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(new)
            _let_go(descriptor, lock)
            if isinstance(error, InputError | RunError | MemoryError) or not isinstance(error, Exception):
                raise
            # Whatever h5py raises on a full disk.
            number = getattr(error, "errno", None)
            raise RunError(
                f"{path}: could not be laid out: {os.strerror(number) if number else show(str(error))}"
            ) from None
    return descriptor, lock, found


def _laid_out(path, descriptor, plan, attributes, small):
    """Everything but the blocks, on the disk; the places of the datasets."""
    _lay_out(path, plan, attributes, small)
    with h5py.File(path, "r", locking=False) as file:
        places = _places(file)
    _fill_indices(descriptor, plan, places)
    for field in file_format.ledger_fields():
        # Written, so that a disk which fills up later still has the place where blocks are noted as done.
        pwrite(descriptor, bytes(places[field.name].bytes), places[field.name].start)
    # What is written later, or known and long, the seal does not cover.
    seal.write(descriptor, [places[field.name] for field in file_format.later_fields(plan)])
    os.fsync(descriptor)
    return places


def _lay_out(path, plan, attributes, small=None):
    """All metadata and the short datasets; the long ones without their data."""
    sizes = file_format.dimensions(plan)
    with h5py.File(path, "w", libver=("v108", "v108"), locking=False) as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        small, long = (
            small or file_format.small_datasets(plan),
            (*file_format.block_fields(plan), *file_format.ledger_fields()),
        )
        for field, array in small:
            _describe(file, field, _written(file, field, array))
        for field in long:
            _describe(file, field, _reserved(file, field, tuple(sizes[name] for name in field.dims)))
        index = file_format.index_fields(plan)
        for field, along in index:
            of_text = field.dtype == "str"
            made = _written_texts(file, field, along, plan.seeds) if of_text else _reserved(file, field, (plan.seeds,))
            _describe(file, field, made)
        file["status"].attrs["flag_values"] = np.arange(len(file_format.STATUS_MEANINGS), dtype=np.uint8)
        file["status"].attrs["flag_meanings"] = " ".join(file_format.STATUS_MEANINGS)
        file["level"].attrs["level_kind"] = plan.config.level_kind
        _attach_scales(file, sizes, [*(field for field, _ in (*small, *index)), *long])


def _written(file, field, array):
    """A dataset with its data."""
    dtype = h5py.string_dtype("utf-8") if field.dtype == "str" else field.dtype
    return file.create_dataset(field.name, data=array.astype(dtype) if field.dtype != "str" else array, dtype=dtype)


def _written_texts(file, field, along, seeds):
    """A dataset of strings along the seeds, written a piece at a time."""
    dataset = file.create_dataset(field.name, (seeds,), dtype=h5py.string_dtype("utf-8"))
    for first in range(0, seeds, PIECE):
        last = min(first + PIECE, seeds)
        dataset[first:last] = along(first, last)
    return dataset


def _reserved(file, field, shape):
    """A contiguous dataset whose place in the file is fixed now and filled later."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    kind = h5py.h5t.py_create(np.dtype(field.dtype), logical=True)
    return h5py.Dataset(h5py.h5d.create(file.id, field.name.encode(), kind, space, properties))


def _describe(file, field, dataset):
    """What a dataset means, in its attributes."""
    dataset.attrs["long_name"] = field.meaning
    if field.units:
        dataset.attrs["units"] = field.units


def _attach_scales(file, dimensions, fields):
    """A dimension scale on every axis of every variable; without one xarray guesses."""
    for name in dimensions:
        file[name].make_scale(name)
    for field in fields:
        for axis, name in enumerate(field.dims):
            if field.name != name:
                file[field.name].dims[axis].attach_scale(file[name])


def _fill_indices(descriptor, plan, places):
    """The numbers along the seeds, a piece at a time."""
    blocks = Blocks(descriptor, plan, places)
    for _, values, offset in blocks.indices():
        # In a file that is gone on with they are there already, unless it was damaged.
        if not blocks.holds(values, offset):
            pwrite(descriptor, values, offset)


@contextlib.contextmanager
def silent_hdf5():
    """Let h5py's objects of a file that could not be written go without a word: each would print a traceback."""
    before = sys.unraisablehook, sys.excepthook  # Cython prints through both
    sys.unraisablehook = sys.excepthook = lambda *told: None
    try:
        yield
    except Exception as error:
        # They are held by the frames of the error, of those behind it, and by cycles of them.
        behind = error
        while behind is not None:
            traceback.clear_frames(behind.__traceback__)
            behind = behind.__context__
        gc.collect()
        raise
    finally:
        sys.unraisablehook, sys.excepthook = before
