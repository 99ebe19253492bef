"""Run files: created whole, written by pwrite, committed block by block, and read at any time.

The only module that knows h5py (but for the user's own data files, in `datafiles`). A file is laid out under another
name, closed, synced and renamed; after that its metadata never changes and no HDF5 handle is open for writing: the
`writer` puts the blocks at the datasets' file offsets.
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from . import guard, resources, runfile, seal
from .agreement import check_same, misplaced
from .blocks import Blocks, Place
from .disk import check_target
from .disk import sync_folder as _sync_folder
from .errors import DamageError, InputError, RunError, show
from .resources import check_limit, check_room
from .silence import silent_hdf5
from .writer import Writer, failure, locked, pwrite

PIECE = 1 << 20
MOST_TRIED = 1 << 16  # strings of a file without a seal


# ---- creating ----


def bytes_needed(plan):
    """Size of the run file, by arithmetic; a little more than it comes to."""
    sizes = runfile.dimensions(plan)
    index = [field for field, _ in runfile.index_fields(plan)]
    fields = [*runfile.block_fields(plan), *runfile.ledger_fields(), *index]
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


def _locked(file, path, flags=0):
    """The descriptor and the lock of a file; InputError where it cannot be written."""
    try:
        return locked(file, flags)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def kept_alone(path):
    """Keep other writers off a file for the duration; RunError where one is at it."""
    owned = _locked(path, path)
    try:
        yield
    finally:
        _let_go(*owned)


def _let_go(descriptor, lock):
    os.close(descriptor)
    lock.close()


def _laid_out(path, descriptor, plan, attributes, small):
    """Everything but the blocks, on the disk; the places of the datasets."""
    _lay_out(path, plan, attributes, small)
    with h5py.File(path, "r", locking=False) as file:
        places = _places(file)
    _fill_indices(descriptor, plan, places)
    for field in runfile.ledger_fields():
        # Written, so that a disk which fills up later still has the place where blocks are noted as done.
        pwrite(descriptor, bytes(places[field.name].bytes), places[field.name].start)
    # What is written later, or known and long, the seal does not cover.
    seal.write(descriptor, [places[field.name] for field in runfile.later_fields(plan)])
    os.fsync(descriptor)
    return places


def _lay_out(path, plan, attributes, small=None):
    """All metadata and the short datasets; the long ones without their data."""
    sizes = runfile.dimensions(plan)
    with h5py.File(path, "w", libver=("v108", "v108"), locking=False) as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        small, long = small or runfile.small_datasets(plan), (*runfile.block_fields(plan), *runfile.ledger_fields())
        for field, array in small:
            _describe(file, field, _written(file, field, array))
        for field in long:
            _describe(file, field, _reserved(file, field, tuple(sizes[name] for name in field.dims)))
        index = runfile.index_fields(plan)
        for field, along in index:
            of_text = field.dtype == "str"
            made = _written_texts(file, field, along, plan.seeds) if of_text else _reserved(file, field, (plan.seeds,))
            _describe(file, field, made)
        file["status"].attrs["flag_values"] = np.arange(len(runfile.STATUS_MEANINGS), dtype=np.uint8)
        file["status"].attrs["flag_meanings"] = " ".join(runfile.STATUS_MEANINGS)
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


def _places(file):
    """The place of every contiguous dataset of an open file."""
    datasets = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    offsets = {name: item.id.get_offset() for name, item in datasets.items()}
    found = {name: offset for name, offset in offsets.items() if offset is not None}
    return {name: Place(offset, datasets[name].shape, datasets[name].dtype) for name, offset in found.items()}


# ---- resuming ----


def resume(path, make_plan, attributes):
    """The `Writer` of a run file that is to be gone on with; InputError where it is of another grid or other code.

    `make_plan(block_starts, seeds)` gives the plan with the file's own blocks.
    """
    path = Path(os.path.abspath(path))
    before = _state_of(path)
    found = survey(path)
    check_same(path, found.attributes, attributes)
    plan, places = make_plan(found.starts, found.seeds), found.places
    size = max((place.start + place.bytes for place in places.values()), default=0)
    wrong = misplaced(plan, runfile.later_fields(plan), found.starts, places, size)
    if wrong:
        raise DamageError(f"{path}: is damaged (dataset {wrong}); --overwrite starts anew")
    if before.st_size < size:
        raise InputError(f"{path}: is cut short: {before.st_size:,} bytes of {size:,}; --overwrite starts anew")
    check_room(path.parent, max(0, size - before.st_blocks * 512), path)
    check_limit(size, path)
    descriptor, lock = _locked(path, path)
    try:
        # Whoever had the lock before may have put another file in the place of the one looked at.
        now = os.fstat(descriptor)
        if not os.path.samestat(before, now) or before.st_size != now.st_size:
            raise RunError(f"{path}: was replaced or changed meanwhile")
        _fill_indices(descriptor, plan, places)
        _remove_unfinished(path.with_name(path.name + ".new"))
        return Writer(path, descriptor, lock, plan, places)
    except BaseException as error:
        _let_go(descriptor, lock)
        if isinstance(error, OSError):
            raise failure(path, error) from None
        raise


def _remove_unfinished(new):
    """Remove what an --overwrite that was killed has left, unless one is at it."""
    with contextlib.suppress(OSError, RunError):
        owned = locked(new)
        os.unlink(new)
        _let_go(*owned)


def _state_of(path):
    """os.stat in one line."""
    try:
        return os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


# ---- reading ----


def try_out(path):
    """Read of a run what HDF5 may not come back from, in a process that may be ended: all but rows of numbers."""
    with h5py.File(path, "r", locking=False) as file:
        if str(file.attrs.get("format")) != runfile.FORMAT:
            return
        dict(file.attrs)
        for name, item in file.items():
            if isinstance(item, h5py.Dataset):
                _dims(name, item)
                item[(slice(0, MOST_TRIED if h5py.check_string_dtype(item.dtype) else 1),) * item.ndim]


@contextlib.contextmanager
def _looked_into(path):
    """The run file open for reading; InputError where it is none, or so damaged that h5py cannot read it."""
    try:
        file = h5py.File(path, "r", locking=False)
    except Exception as error:  # whatever a damaged file makes h5py raise
        raise DamageError(f"{path}: is no simlr run, or damaged: {show(str(error))}") from None
    try:
        with file:
            _check_format(path, file)
            yield file
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise DamageError(f"{path}: is damaged: {show(str(error))}") from None


def _check_format(path, file):
    """Refuse another program's HDF5 and newer formats."""
    name, version = file.attrs.get("format"), file.attrs.get("format_version")
    if not isinstance(name, str) or name != runfile.FORMAT:
        raise InputError(f"{path}: is no simlr run (the attribute `format` is not {runfile.FORMAT!r})")
    if not isinstance(version, int | np.integer) or version > runfile.FORMAT_VERSION:
        raise InputError(f"{path}: has format version {version}; this simlr reads up to {runfile.FORMAT_VERSION}")


class Survey(NamedTuple):
    """What a run file says of itself: attributes, places of its datasets, first seeds of its blocks."""

    attributes: dict
    places: dict
    starts: np.ndarray

    @property
    def seeds(self):
        """How many seeds the file holds."""
        place = self.places.get("seed")
        return place.shape[0] if place and place.shape else 0


def survey(path):
    """The `Survey` of a run file; InputError where it is none, DamageError where it cannot be had."""
    guard.check(path)
    with _looked_into(path) as file:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        starts = () if "study" in attributes else file["block_start"][()]  # a study has no blocks
        return Survey(attributes, _places(file), np.asarray(starts, dtype=np.int64))


class FileSource:
    """Looks into a run file, opening it anew each time: an open dataset would keep showing old zeros."""

    def __init__(self, path):
        self.path = Path(path)
        guard.check(self.path)
        with _looked_into(self.path) as file:
            self.attributes = {name: _plain(value) for name, value in file.attrs.items()}
            self.dims = {name: _dims(name, item) for name, item in file.items() if isinstance(item, h5py.Dataset)}
        always = {"finished_at"} if "study" in self.attributes else {"status", "finished_at"}
        if "config" not in self.attributes or not always <= set(self.dims):
            raise DamageError(f"{self.path}: is damaged (something that every run has is missing)")

    def read(self, name, where=()):
        """One dataset, or a part of it; strings as Python's."""
        with _looked_into(self.path) as file:
            dataset = file[name]
            size = (dataset.size or 0) * dataset.dtype.itemsize if not where else 0
            resources.check_memory(size, f"{self.path}: {name} takes", "; run.part reads a part of it")
            return dataset.asstr()[where] if h5py.check_string_dtype(dataset.dtype) else dataset[where]


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _dims(name, dataset):
    """Names of a dataset's dimensions."""
    if dataset.is_scale:
        return (name,)
    return tuple(dim[0].name.lstrip("/") if len(dim) else f"{name}_{i}" for i, dim in enumerate(dataset.dims))


def load(path):
    """The run in a file, finished or not; InputError (a ValueError) where the file is no simlr run."""
    from .rundata import Run

    return Run(FileSource(path))
