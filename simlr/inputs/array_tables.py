"""The columns of a table kept as arrays: a matrix of features and a vector, one array, or one array a column."""

import math
import os
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..text import first_few
from . import arrays, numbers
from .dialects import GUESS
from .formats import NPY, kind_of
from .frame import Frame
from .wanted import Wanted

FEATURES, TARGET = "features", "target"


def read(path: str | os.PathLike, wanted: Wanted) -> Frame:
    """The `Frame` of an NPY, NPZ or HDF5 file, in which a row of an array is a row of the table."""
    path = Path(path)
    if path.suffix == ".npy" or (path.suffix != ".npz" and kind_of(path) == NPY):
        array = arrays.read_npy(path)
        found = arrays.cast_with_gaps(path, "in it", array)
        if found.values.ndim != 2 or not found.values.size:
            raise InputError(f"{path}: the array must have 2 axes, rows and columns, got shape {found.values.shape}")
        names = list(array.dtype.names or [])
        return _with_words(_frame(path, names, found.values.T, found.inexact, []), wanted)
    held = arrays.shapes(path)
    by = _name(held, wanted.split.column) if isinstance(wanted.split.column, str) else None
    frame = _of_arrays(path, {name: own for name, own in held.items() if name != by}, wanted)
    if by is not None:
        frame.labels = arrays.read_labels(path, by)
        if len(frame.labels) != frame.values.shape[1]:
            raise InputError(f"{path}: array {by!r} must have a value for each of the {frame.values.shape[1]:,} rows")
    return _with_words(frame, wanted)


def _with_words(frame, wanted):
    """The frame with the numbers of columns whose words are wanted, as words."""
    frame.keep_words(wanted.categorical)
    for j in frame.words:
        frame.words[j] = ["" if math.isnan(value) else f"{value:.15g}" for value in frame.values[j]]
    return frame


def _of_arrays(path, held, wanted):
    """The columns of these arrays of a file, {name: (shape, dtype)}: the fields of one, one each, or a matrix's."""
    target = wanted.target if isinstance(wanted.target, str) else TARGET
    whole = _name(held, wanted.array) if wanted.array != GUESS else next(iter(held)) if len(held) == 1 else None
    if whole and held[whole][1].names and target not in held:
        found = arrays.read_with_gaps(path, (whole,))[whole]
        fields = list(held[whole][1].names)
        frame = _frame(path, fields, found.values.T, found.inexact, [f"the fields of array {whole!r}"])
        return _with_target(frame, wanted.target)
    name = _name(held, target)
    used = []  # arrays of one axis and of the target's length, where there is no matrix of features beside it
    if wanted.array == GUESS and name and _name(held, FEATURES) is None and not _matrices(held, name):
        used = [own for own, (shape, _) in held.items() if shape == held[name][0] and len(shape) == 1]
    if len(used) > 1:
        read = arrays.read_with_gaps(path, used)
        inexact = {j: read[column].inexact[0] for j, column in enumerate(used) if read[column].inexact}
        frame = _frame(path, used, np.vstack([read[own].values for own in used]), inexact, ["one array a column"])
        frame = _with_target(frame, wanted.target)
    else:
        used = _features(path, held, wanted.array, name, target), name
        frame = _of_features(path, held, *used)
    unused = [f"{other!r} {shape}" for other, (shape, _) in held.items() if other not in used]
    frame.notes += [f"not used: {first_few(unused, 4)}"] if unused else []
    return frame


def _name(held, wanted):
    """The array of a name, or the only one whose last part it is; None where there is none."""
    if wanted in held:
        return wanted
    within = [name for name in held if name.rsplit("/", 1)[-1] == wanted]
    return within[0] if len(within) == 1 else None


def _with_target(frame, wanted):
    """The frame with the target that an array or a field of the name TARGET is, where no other is asked for."""
    if not isinstance(wanted, str) and TARGET in frame.names and wanted == -1:
        frame.target = frame.names.index(TARGET)
    return frame


def _matrices(held, target):
    """The arrays of two axes that have as many rows as the target."""
    rows = held[target][0][:1]
    return [name for name, (shape, _) in held.items() if len(shape) == 2 and shape[:1] == rows and name != target]


def _features(path, held, given, target, wanted):
    """The name of the array of features; InputError where it, or the target, is not there."""
    found = _name(held, FEATURES if given == GUESS else given)
    if found is None and given == GUESS and target is not None:
        fitting = _matrices(held, target)
        found = fitting[0] if len(fitting) == 1 else None
    missing = [*([] if found else [FEATURES if given == GUESS else given]), *([] if target else [wanted])]
    if missing:
        what = " and ".join(map(repr, missing))
        what = f"array {what} is missing" if len(missing) == 1 else f"arrays {what} are missing"
        keys = " and ".join([*([] if found else ["array = ..."]), *([] if target else ["target = ..."])])
        raise InputError(
            f"{path}: {what}; {arrays.known(held)}; {keys} {'names it' if len(missing) == 1 else 'name them'}"
        )
    return found


def _of_features(path, held, features, target):
    """Those of a matrix of features and a vector."""
    for name, axes in ((features, 2), (target, 1)):
        shape, dtype = held[name]
        if len(shape) != axes and not (axes == 2 and dtype.names and len(shape) == 1):
            advice = f": one feature, make it ({shape[0]}, 1)" if axes == 2 and len(shape) == 1 else ""
            advice = ": one column, flatten it" if axes == 1 and len(shape) == 2 and 1 in shape else advice
            raise InputError(f"{path}: array {name!r} must have {axes} axes, got shape {shape}{advice}")
    found = arrays.read_with_gaps(path, (features, target))
    inputs, own = found[features].values, found[target].values
    if not inputs.size or len(inputs) != len(own):
        turned = "; rows and columns look swapped: transpose it" if inputs.shape[1:] == own.shape else ""
        raise InputError(f"{path}: {features} {inputs.shape} and {target} {own.shape} must have the same rows{turned}")
    names = list(held[features][1].names or [f"{features}[{j}]" for j in range(inputs.shape[1])])
    given = [f"features from array {features!r}"] if features != FEATURES else []
    inexact = found[features].inexact | {len(names): wrong for wrong in found[target].inexact.values()}
    frame = _frame(path, [*names, target], np.vstack([inputs.T, own]), inexact, given)
    frame.target = len(names)
    return frame


def _frame(path, names, values, inexact, notes):
    """A Frame of numbers; what is infinite is refused, what is NaN is a gap; `inexact` as `arrays.Gapped` has it."""
    frame = Frame(path, names, np.ascontiguousarray(values), notes=notes, unit="row")
    for j, own in enumerate(frame.values):
        if np.isinf(own).any():
            raise InputError(f"{path}: {frame.name(j)!r} holds values that are not finite")
        if np.isnan(own).any():
            frame.gaps[j] = int(np.isnan(own).argmax()), str(math.nan)
    frame.offences = {j: (row, numbers.inexact(str(value))) for j, (row, value) in inexact.items()}
    return frame
