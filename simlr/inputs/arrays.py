"""Arrays out of NPY, NPZ and HDF5 files, as float64, with one clear line for whatever is wrong with them."""

import math
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..errors import InputError, show
from . import fillers
from .formats import HDF5, NPZ, kind_of, opened

LARGEST_BYTES = 8 << 30
BY_SUFFIX = {".npz": NPZ, ".h5": HDF5, ".hdf5": HDF5, ".hdf": HDF5, ".he5": HDF5, ".nc": HDF5, ".mat": HDF5}


class Gapped(NamedTuple):
    """An array as float64, NaN where the file says that a number stands for no value."""

    values: NDArray[np.float64]  # of any shape
    inexact: dict[int, tuple[int, int]]  # column -> (row, whole number) of the first that is no float64


def read_arrays(path: str | os.PathLike, names: Iterable[str]) -> dict[str, NDArray[np.float64]]:
    """The named arrays of an NPZ or HDF5 file: name -> array of any shape; a name that is not there is left out.

    A filler in one of them, named by an attribute or known of a program, is refused: it would be taken for a number.
    """
    found = read_with_gaps(path, names)
    for name, (array, inexact) in found.items():
        _refuse_inexact(path, name, inexact)
        _check_finite(path, name, array)
        _refuse_filler(path, name, array)
    return {name: array for name, (array, _) in found.items()}


def read_with_gaps(path: str | os.PathLike, names: Iterable[str]) -> dict[str, Gapped]:
    """The same with gaps, and with whole numbers that are no float64 noted and not refused."""
    return _readers(path)[0](path, names, lambda *given: cast_with_gaps(path, *given))


def read_labels(path: str | os.PathLike, name: str) -> list[str | float | int]:
    """The words or numbers of an array of one axis of an NPZ or HDF5 file; NaN where it has its filler."""

    def keep(name, array, fillers=()):
        filled = np.isin(array, fillers) if array.dtype.kind in "fiu" and len(fillers) else np.zeros(array.shape, bool)
        if filled.any():
            array = array.astype(object)
            array[filled] = math.nan
        return Gapped(array, {})

    found = _readers(path)[0](path, (name,), keep)[name].values
    if found.ndim != 1 or found.dtype.kind not in "fiubSUO":
        raise InputError(f"{path}: array {name!r} must be of one axis and hold words or numbers, got {found.dtype}")
    if found.dtype.kind == "b":
        return [str(value).lower() for value in found.tolist()]
    decoded = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in found.tolist()]
    return decoded


def shapes(path: str | os.PathLike) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The arrays of an NPZ or HDF5 file and their shapes: {name: (shape, dtype)}."""
    return _readers(path)[1](path)


def read_npy(path: str | os.PathLike) -> NDArray[Any]:
    """The array of an NPY file, without pickle, as it is, of any shape."""
    path = Path(path)
    with opened(path, most=most_bytes()) as file:
        try:
            with warnings.catch_warnings(action="ignore"):  # of headers as Python 2 wrote them
                _check_claim(path, "in it", file, path.stat().st_size)
                file.seek(0)
                return np.lib.format.read_array(file, allow_pickle=False)
        except InputError:
            raise
        except Exception as error:  # whatever a damaged file makes its reader raise
            raise InputError(f"{path}: not a readable NPY file: {show(str(error))}") from None


def cast(path: str | os.PathLike, name: str, array: NDArray[Any]) -> NDArray[np.float64]:
    """An array of any shape as float64, refused where it holds anything but real numbers, or one that is no float64."""
    found = cast_with_gaps(path, name, array)
    _refuse_inexact(path, name, found.inexact)
    return found.values


def cast_with_gaps(path: str | os.PathLike, name: str, array: NDArray[Any], fillers: Iterable[Any] = ()) -> Gapped:
    """The same, NaN for fillers; whole numbers that are no float64 are noted and not refused."""
    fields = array.dtype.names
    if fields and not array.dtype.hasobject:
        kinds = {array.dtype[field].kind for field in fields}
        if not kinds <= set("fiub") or array.ndim != 1 or any(array.dtype[field].shape for field in fields):
            raise InputError(f"{path}: array {name!r} holds {show(str(array.dtype), 60)}, not real numbers")
        inexact = {j: wrong for j, field in enumerate(fields) for wrong in _inexact(array[field]).values()}
        return Gapped(np.column_stack([array[field].astype(np.float64) for field in fields]), inexact)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: array {name!r} holds {array.dtype}, not real numbers")
    values, gaps = np.array(array, dtype=np.float64, order="C", copy=None), [array == filler for filler in fillers]
    for where in gaps:
        values[where] = np.nan
    return Gapped(values, _inexact(array, np.logical_or.reduce(gaps) if gaps else False))


def _inexact(array, gaps=False):
    """{column: (row, number)} of the first whole numbers of an array, but for its gaps, that are no float64."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or not array.size:
        return {}
    if max(abs(int(array.max())), abs(int(array.min()))) <= 1 << 53:
        return {}
    array = np.where(gaps, array.dtype.type(0), array)
    found = {}
    for j, column in enumerate(array.reshape(len(array) if array.ndim else 1, -1).T):
        large = np.flatnonzero((column > 1 << 53) | (column < max(-(1 << 53), int(np.iinfo(column.dtype).min))))
        row = next((row for row in large.tolist() if int(float(int(column[row]))) != int(column[row])), None)
        if row is not None:
            found[j] = row, int(column[row])
    return found


def _refuse_inexact(path, name, inexact):
    for _, value in inexact.values():
        raise InputError(
            f"{path}: array {name!r} holds whole numbers over 2^53, which floats do not tell apart: {value}"
        )


def finite(path: str | os.PathLike, name: str, array: NDArray[Any]) -> NDArray[np.float64]:
    """The same, refused where a value is not finite or a filler."""
    array = cast(path, name, array)
    _check_finite(path, name, array)
    _refuse_filler(path, name, array)
    return array


def most_bytes() -> int:
    """How many bytes are read whole: of a machine's memory at most the half."""
    return min(LARGEST_BYTES, resources.memory_limit() // 2)


def known(arrays: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> str:
    """Arrays and their shapes, in words."""
    shown = ", ".join(f"{name!r} {shape}" for name, (shape, _) in list(arrays.items())[:6])
    more = f" and {len(arrays) - 6} more" if len(arrays) > 6 else ""
    return f"it holds {shown}{more}" if arrays else "it holds none"


def _readers(path):
    """The readers of arrays and of shapes, by content; by the name where the content is none that is known."""
    path = Path(path)
    by_name, kind = BY_SUFFIX.get(path.suffix), None
    if os.path.exists(path) and path.suffix != ".npz":
        kind = kind_of(path)
    kind = kind if kind in (NPZ, HDF5) else by_name
    if kind is None:
        raise InputError(f"{path}: the file name must end in .npz, .h5 or .hdf5, or its content be of that kind")
    return (_read_npz, _npz_shapes) if kind == NPZ else (_read_hdf5, _hdf5_shapes)


def _check_finite(path, name, array):
    if not np.isfinite(array).all():
        raise InputError(f"{path}: array {name!r} holds values that are not finite")


def _refuse_filler(path, name, array):
    """Refuse a value that stands for none."""
    filler = fillers.found_in(array.ravel()) if array.size > 1 else None
    if filler and filler[0] in fillers.BY_PROGRAM:
        value, what, times = filler
        raise InputError(f"{path}: array {name!r} holds {value:g} {times} times, {what}: such rows have to go first")


def _check_size(path, name, size):
    """Refuse, before reading, what cannot be meant to be read whole; `size`, of this array and those before it."""
    if size > most_bytes():
        raise InputError(f"{path}: array {name!r} takes {size} bytes, more than the {most_bytes()} that are read whole")


def _check_claim(path, name, file, size):
    """Refuse an array whose header claims more than the file has: room for it would be made before it is read."""
    shape, dtype = _npy_header(file)
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise InputError(f"{path}: the array {name} claims shape {show(shape)}, more than the file holds")


def _npy_header(file):
    """Shape and dtype of an open NPY file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _with_npz(path, work):
    """What `work` makes of an open NPZ file, read without pickle."""
    with opened(path) as file:
        try:
            with warnings.catch_warnings(action="ignore"), np.load(file, allow_pickle=False) as archive:
                return work(archive)
        except InputError:
            raise
        except Exception as error:  # whatever a damaged archive makes its reader raise
            advice = "; array.astype(float) makes numbers of them" if "Object arrays" in str(error) else ""
            raise InputError(f"{path}: not a readable NPZ file: {show(str(error))}{advice}") from None


def _read_npz(path, names, make):
    """What `make` gives of the named arrays of an NPZ file, read without pickle."""

    def work(archive):
        found, total = {}, 0
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.zip.infolist()}
        for name in names:
            if name in archive.files:
                total += sizes.get(name, 0)
                _check_size(path, name, total)
                with archive.zip.open(f"{name}.npy") as member:
                    _check_claim(path, repr(name), member, sizes.get(name, 0))
                found[name] = make(name, archive[name])
        return found

    return _with_npz(path, work)


def _npz_shapes(path):
    def work(archive):
        found = {}
        for name in archive.files:
            with archive.zip.open(f"{name}.npy") as member:
                found[name] = _npy_header(member)
        return found

    return _with_npz(path, work)


def _with_hdf5(path, work):
    """What `work` makes of an open HDF5 file."""
    import h5py

    opened(path).close()
    try:
        with h5py.File(path, "r", locking=False) as file:
            return work(file, h5py)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise InputError(f"{path}: not a readable HDF5 file: {show(str(error))}") from None


def _read_hdf5(path, names, make):
    """What `make` gives of datasets of an HDF5 file, their fillers NaN."""

    def work(file, h5py):
        found, total = {}, 0
        for name in names:
            dataset = file.get(name)
            if isinstance(dataset, h5py.Dataset):
                total += dataset.size * max(dataset.dtype.itemsize, 8) if dataset.shape else 8
                _check_size(path, name, total)
                found[name] = make(name, np.asarray(dataset[()]), _fillers_of(path, name, dataset))
        return found

    return _with_hdf5(path, work)


def _hdf5_shapes(path):
    def work(file, h5py):
        found = {}

        def note(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = item.shape or (), item.dtype

        file.visititems(note)
        return found

    return _with_hdf5(path, work)


def _fillers_of(path, name, dataset):
    """The numbers that stand for no value, as the dataset's own type has them; refused where its numbers are packed."""
    told = dataset.attrs
    for key, plain in (("scale_factor", 1.0), ("add_offset", 0.0)):
        packed = [float(value) for value in np.ravel(told.get(key, plain)) if float(value) != plain]
        if packed:
            raise InputError(
                f"{path}: array {name!r} has {key} = {packed[0]:g}: its numbers are packed; write the unpacked ones"
            )
    if dataset.dtype.kind not in "fiu":
        return ()
    given = [value for key in ("_FillValue", "missing_value") if key in told for value in np.ravel(told[key])]
    given += [dataset.fillvalue] if dataset.fillvalue != 0 else []
    known = [value for value in given if isinstance(value, int | float | np.number)]
    # -999.9 is another number in single precision.
    return [np.asarray(v).astype(dataset.dtype) for v in known if dataset.dtype.kind == "f" or np.isfinite(v)]
