"""Numbers from other people's files: CSV, NPZ and HDF5, with one clear line for whatever is wrong with them."""

import csv
import hashlib
import math
import warnings
from pathlib import Path

import numpy as np

from .. import resources
from ..errors import InputError, show, unknown
from .files import size_of

LARGEST_BYTES = 8 << 30
LARGEST_TEXT = 1 << 30  # which takes some twenty times as much memory while it is read


def digest(path):
    """SHA-256 of a file's bytes, hexadecimal."""
    with _opened(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_table(path, target, header):
    """Feature columns and the target of a CSV file, as float64 (features + 1, rows) with the target last.

    `target` is a column's name, or its number (0 is the first, -1 the last); without a header, only its number.
    """
    path = Path(path)
    names, columns = _columns(path, lambda lines: header)
    return _target_last(path, columns, names, target)


def read_column(path, column):
    """One column of a CSV file, by its name or number, as a list of floats; a first line that holds no number names it.

    A number counts from 0, or from the end with -1.
    """
    path = Path(path)
    names, columns = _columns(path, _names_columns)
    return columns[_index(path, columns, names, column, "column")].tolist()


def read_vector(path):
    """The numbers of an NPY file of one axis, as a list of floats; read without pickle."""
    array = _read_npy(Path(path))
    if array.ndim != 1:
        raise InputError(f"{path}: the array must have 1 axis, got shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: the array holds {array.dtype}, not real numbers")
    return array.astype(np.float64).tolist()


def read_array(path, name):
    """An array of float64: that of an NPY file, the named one of an NPZ or HDF5 file, or a CSV file's rows.

    The first line of a CSV file is left out where it holds no number.
    """
    path = Path(path)
    if path.suffix == ".npy":
        return _cast(path, name, _read_npy(path))
    if path.suffix == ".csv":
        _, columns = _columns(path, _names_columns)
        return np.ascontiguousarray(columns.T)
    arrays = read_arrays(path, (name,))
    if name not in arrays:
        raise InputError(f"{path}: array {name!r} is missing")
    return arrays[name]


def _read_npy(path):
    """The array of an NPY file, without pickle."""
    with _opened(path, "rb", most=_most()) as file:
        try:
            with warnings.catch_warnings(action="ignore"):  # of headers as Python 2 wrote them
                _check_claim(path, "in it", file, path.stat().st_size)
                file.seek(0)
                return np.lib.format.read_array(file, allow_pickle=False)
        except InputError:
            raise
        except Exception as error:  # whatever a damaged file makes its reader raise
            raise InputError(f"{path}: not a readable NPY file: {show(str(error))}") from None


def _names_columns(lines):
    """Whether the first of these lines holds no number."""
    return not any(_is_number(field) for field in lines[0][1])


def _columns(path, has_header):
    """Names, if any, and columns (float64, (columns, rows)) of a CSV file; `has_header` looks at its lines."""
    with _opened(path, most=LARGEST_TEXT, newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        try:
            lines = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
        except csv.Error as error:
            raise InputError(f"{path}: not a CSV file: {error}") from None
    names = [name.strip() for name in lines.pop(0)[1]] if lines and has_header(lines) else []
    if names and all(_is_number(name) for name in names):
        raise InputError(f"{path}: its first line holds numbers only; where it is no header, say header = false")
    if not lines:
        raise InputError(f"{path}: no rows of numbers")
    width = len(names or lines[0][1])
    rows = [_numbers(path, number, row, width) for number, row in lines]
    return names, np.array(rows, dtype=np.float64).T


def read_arrays(path, names):
    """The named arrays of an NPZ or HDF5 file: name -> float64 array; a name that is not there is left out."""
    path = Path(path)
    if path.suffix == ".npz":
        return _read_npz(path, names)
    if path.suffix in (".h5", ".hdf5"):
        return _read_hdf5(path, names)
    raise InputError(f"{path}: the file name must end in .npz, .h5 or .hdf5")


def _opened(path, *arguments, most=None, **keywords):
    """open() of an ordinary file of at most `most` bytes, refusing in one line."""
    size_of(path, most)
    try:
        return open(path, *arguments, **keywords)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _numbers(path, number, row, width):
    """The fields of one line as floats."""
    if len(row) != width:
        raise InputError(f"{path}, line {number}: {len(row)} fields, expected {width}")
    for field in row:
        if not _is_number(field):
            raise InputError(f"{path}, line {number}: {show(field, 40)} is not a number")
        if not math.isfinite(float(field)):
            raise InputError(f"{path}, line {number}: {show(field, 40)} is not finite")
    return [float(field) for field in row]


def _is_number(text):
    """Whether a field is a number as CSV files have it; Python also takes 1_000, which may be a slip."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _target_last(path, columns, names, target):
    """The columns with the target moved to the end."""
    index = _index(path, columns, names, target, "target column")
    if len(columns) < 2:
        raise InputError(f"{path}: one column only; a target and at least one feature are needed")
    order = [i for i in range(len(columns)) if i != index] + [index]
    return np.ascontiguousarray(columns[order])


def _index(path, columns, names, wanted, noun):
    """The number of a column that is given by its name or number."""
    if isinstance(wanted, str):
        if wanted not in names:
            where = f"{path}: {noun}"
            raise unknown(where, wanted, names, "name") if names else InputError(f"{where} {wanted!r}: no header row")
        if names.count(wanted) > 1:
            raise InputError(f"{path}: {noun} {wanted!r} is there {names.count(wanted)} times")
        return names.index(wanted)
    if not -len(columns) <= wanted < len(columns):
        raise InputError(f"{path}: {noun} {wanted} is not there; it has {len(columns)} columns")
    return wanted % len(columns)


def _cast(path, name, array):
    """An array as float64, refused where it holds anything but finite real numbers."""
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: array {name!r} holds {array.dtype}, not real numbers")
    array = np.asarray(array, dtype=np.float64, order="C")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: array {name!r} holds values that are not finite")
    return array


def _most():
    """How many bytes are read whole: of a machine's memory at most the half."""
    return min(LARGEST_BYTES, resources.memory_limit() // 2)


def _check_size(path, name, size):
    """Refuse, before reading, what cannot be meant to be read whole; `size`, of this array and those before it."""
    if size > _most():
        raise InputError(f"{path}: array {name!r} takes {size} bytes, more than the {_most()} that are read whole")


def _check_claim(path, name, file, size):
    """Refuse an array whose header claims more than the file has: room for it would be made before it is read."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise InputError(f"{path}: the array {name} claims shape {show(shape)}, more than the file holds")


def _read_npz(path, names):
    """NPZ without pickle."""
    found, total = {}, 0
    with _opened(path, "rb") as file:
        try:
            with warnings.catch_warnings(action="ignore"), np.load(file, allow_pickle=False) as archive:
                sizes = {Path(info.filename).stem: info.file_size for info in archive.zip.infolist()}
                for name in names:
                    if name in archive.files:
                        total += sizes.get(name, 0)
                        _check_size(path, name, total)
                        with archive.zip.open(f"{name}.npy") as member:
                            _check_claim(path, repr(name), member, sizes.get(name, 0))
                        found[name] = _cast(path, name, archive[name])
        except InputError:
            raise
        except Exception as error:  # whatever a damaged archive makes its reader raise
            raise InputError(f"{path}: not a readable NPZ file: {show(str(error))}") from None
    return found


def _read_hdf5(path, names):
    """Datasets of an HDF5 file."""
    import h5py

    found, total = {}, 0
    _opened(path, "rb").close()
    try:
        with h5py.File(path, "r", locking=False) as file:
            for name in names:
                dataset = file.get(name)
                if isinstance(dataset, h5py.Dataset):
                    total += dataset.size * max(dataset.dtype.itemsize, 8) if dataset.shape else 8
                    _check_size(path, name, total)
                    found[name] = _cast(path, name, np.asarray(dataset[()]))
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise InputError(f"{path}: not a readable HDF5 file: {show(str(error))}") from None
    return found
