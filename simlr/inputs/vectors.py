"""Single columns, vectors and matrices out of a file: the rates of a schedule, a spectrum, a covariance."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..text import many
from . import arrays, delimited, fillers
from .dialects import GUESS, Options
from .formats import NPY, TEXT, kind_of

_WAY = "write it without such a line (pandas: index=False, header=False)"


def read_column(path: str | os.PathLike, column: str | int, header: bool | str = GUESS) -> list[float]:
    """One column of a text, by its name or number, as a list of floats; a first line that holds no number names it.

    A number counts from 0, or from the end with -1.
    """
    if kind_of(path) != TEXT:
        raise InputError(f"{path}: is no text of columns; an NPY file of one axis goes by the suffix .npy")
    frame = _numbers(path, Options(header=header, numbers_only=True))
    j = frame.index(column, "column")
    if column == -1 and not frame.names and len(frame.values) == 2 and (frame.values == np.floor(frame.values)).all():
        raise InputError(f"{path}: two columns of whole numbers, or decimal commas? column = 1 takes the second")
    _check(frame, [j])
    return frame.values[j].tolist()


def read_vector(path: str | os.PathLike) -> list[float]:
    """The numbers of an NPY file of one axis, as a list of floats; read without pickle."""
    array = arrays.read_npy(path)
    if array.ndim != 1:
        advice = ": one column, flatten it" if array.ndim == 2 and 1 in array.shape else ""
        raise InputError(f"{path}: the array must have 1 axis, got shape {array.shape}{advice}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"{path}: the array holds {array.dtype}, not real numbers")
    return arrays.cast(path, "in it", array).tolist()


def read_array(path: str | os.PathLike, name: str) -> NDArray[np.float64]:
    """An array of any shape: that of an NPY file, the named one of an NPZ or HDF5 file, or the rows of a text.

    The first line of a text is left out where it names its columns, and a nameless column that counts the rows too.
    """
    path = Path(path)
    if path.suffix == ".npy" or (path.suffix not in arrays.BY_SUFFIX and kind_of(path) == NPY):
        return arrays.finite(path, name, arrays.read_npy(path))
    if path.suffix == ".csv" and kind_of(path) == TEXT:
        frame = _numbers(path, Options(numbers_only=True, way=_WAY))
        left_out = frame.nameless_numbers()
        taken = [j for j in range(len(frame.values)) if j not in left_out]
        _check(frame, taken)
        for j in taken:
            if filler := fillers.found_in(frame.values[j]):
                value, what, count = filler
                raise InputError(
                    f"{path}: column {frame.name(j)!r} holds {value:g} {many(count, 'time')}, {what}: it would be "
                    "taken for a number; where it is one, save the numbers as an NPY file"
                )
        return np.ascontiguousarray(frame.values[taken].T)
    found = arrays.read_arrays(path, (name,))
    if name not in found:
        raise InputError(f"{path}: array {name!r} is missing; {arrays.known(arrays.shapes(path))}")
    return found[name]


def _numbers(path, options):
    """The `Frame` of a text of numbers."""
    frame = delimited.read(path, options)
    frame.trim()
    return frame


def _check(frame, taken):
    """Refuse a field of these columns that is no number."""
    for j in taken:
        if j in frame.texts:
            raise InputError(f"{frame.path}, line {frame.texts[j].line}: {frame.texts[j].refusal}")
    wrong = [frame.offences[j] for j in taken if j in frame.offences]
    wrong += [(line, gap_text(gap)) for j in taken if j in frame.gaps for line, gap in [frame.gaps[j]]]
    if wrong:
        line, what = min(wrong)
        raise InputError(f"{frame.path}, line {line}: {what}")


def gap_text(gap: str) -> str:
    """A gap as it is refused."""
    return f"{gap!r} is not finite" if "nan" in gap.lower() else f"{gap!r} is not a number"
