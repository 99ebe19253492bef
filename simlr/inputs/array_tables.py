"""The columns of a table kept as arrays: a matrix of features and a vector, one array, or one array a column."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import arrays
from .dialects import GUESS
from .formats import NPY, kind_of
from .frame import Frame

FEATURES, TARGET = "features", "target"


def read(path: str | os.PathLike, wanted: Any) -> Frame:
    """The `Frame` of an NPY, NPZ or HDF5 file, in which a row of an array is a row of the table."""
    path = Path(path)
    if path.suffix == ".npy" or (path.suffix != ".npz" and kind_of(path) == NPY):
        return _of_matrix(path, arrays.read_npy(path))
    held = arrays.shapes(path)
    target = wanted.target if isinstance(wanted.target, str) else TARGET
    whole = _name(held, wanted.array) if wanted.array != GUESS else _only(held)
    if whole and held[whole][1].names and target not in held:
        return _with_target(_of_records(path, whole), wanted.target)
    name = _name(held, target)
    if wanted.array == GUESS and name and _name(held, FEATURES) is None and not _matrices(held, name):
        columns = [other for other, (shape, _) in held.items() if shape == held[name][0] and len(shape) == 1]
        if len(columns) > 1:
            return _with_target(_of_columns(path, columns), wanted.target)
    return _of_features(path, held, _features(path, held, wanted.array, name), name, target)


def _name(held, wanted):
    """The array of a name, or the only one whose last part it is; None where there is none."""
    if wanted in held:
        return wanted
    within = [name for name in held if name.rsplit("/", 1)[-1] == wanted]
    return within[0] if len(within) == 1 else None


def _only(held):
    """The name of the only array."""
    return next(iter(held)) if len(held) == 1 else None


def _with_target(frame, wanted):
    """The frame with the target that an array or a field of the name TARGET is, where no other is asked for."""
    if not isinstance(wanted, str) and TARGET in frame.names and wanted == -1:
        frame.target = frame.names.index(TARGET)
    return frame


def _matrices(held, target):
    """The arrays of two axes that have as many rows as the target."""
    rows = held[target][0][:1]
    return [name for name, (shape, _) in held.items() if len(shape) == 2 and shape[:1] == rows and name != target]


def _features(path, held, wanted, target):
    """The name of the array of features."""
    if wanted != GUESS:
        if _name(held, wanted) is None:
            raise InputError(f"{path}: array {wanted!r} is missing; {arrays.known(held)}")
        return _name(held, wanted)
    found = _name(held, FEATURES)
    if found is None and target is not None:
        fitting = _matrices(held, target)
        found = fitting[0] if len(fitting) == 1 else None
    if found is None:
        raise InputError(f"{path}: array {FEATURES!r} is missing; {arrays.known(held)}; array = ... names it")
    return found


def _of_features(path, held, features, target, wanted):
    """Those of a matrix of features and a vector."""
    if target is None:
        raise InputError(f"{path}: array {wanted!r} is missing; {arrays.known(held)}; target = ... names it")
    for name, axes in ((features, 2), (target, 1)):
        shape, dtype = held[name]
        if len(shape) != axes and not (axes == 2 and dtype.names and len(shape) == 1):
            advice = f": one feature, make it ({shape[0]}, 1)" if axes == 2 and len(shape) == 1 else ""
            advice = ": one column, flatten it" if axes == 1 and len(shape) == 2 and 1 in shape else advice
            raise InputError(f"{path}: array {name!r} must have {axes} axes, got shape {shape}{advice}")
    found = arrays.read_with_gaps(path, (features, target))
    inputs, own = found[features], found[target]
    if not inputs.size or len(inputs) != len(own):
        turned = "; rows and columns look swapped: transpose it" if inputs.shape[1:] == own.shape else ""
        raise InputError(f"{path}: {features} {inputs.shape} and {target} {own.shape} must have the same rows{turned}")
    names = held[features][1].names or [f"{features}[{j}]" for j in range(inputs.shape[1])]
    given = [f"features from array {features!r}"] if features != FEATURES else []
    frame = _frame(path, [*names, target], np.vstack([inputs.T, own]), given)
    frame.target = len(names)
    return frame


def _of_columns(path, names):
    """Those of arrays of one axis and the same length."""
    found = arrays.read_with_gaps(path, names)
    return _frame(path, list(names), np.vstack([found[name] for name in names]), ["one array a column"])


def _of_records(path, name):
    """Those of the fields of one array."""
    fields = arrays.shapes(path)[name][1].names
    return _frame(path, list(fields), arrays.read_with_gaps(path, (name,))[name].T, [f"the fields of array {name!r}"])


def _of_matrix(path, array):
    """Those of an NPY file."""
    names = list(array.dtype.names or [])
    array = arrays.cast(path, "in it", array)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{path}: the array must have 2 axes, rows and columns, got shape {array.shape}")
    return _frame(path, names, array.T, [])


def _frame(path, names, values, notes):
    """A Frame of numbers; what is infinite is refused, what is NaN is a gap."""
    frame = Frame(path, names, np.ascontiguousarray(values), notes=notes, unit="row")
    for j, own in enumerate(frame.values):
        if np.isinf(own).any():
            raise InputError(f"{path}: {frame.name(j)!r} holds values that are not finite")
        if np.isnan(own).any():
            frame.gaps[j] = int(np.isnan(own).argmax()), str(math.nan)
    return frame
