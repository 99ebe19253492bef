"""The columns of a DataFrame, and of Parquet and Arrow files; pandas is loaded when one is there, and not before."""

import math
import os
from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, show
from . import arrays, numbers
from .formats import ARROW, PARQUET, opened
from .frame import Frame, Text

_MOST_WORDS = 200  # of a column, from which its kind is seen
_MOMENTS = date, time, timedelta, np.datetime64, np.timedelta64, bytes


def of_file(path: str | os.PathLike, kind: str, categories: Iterable[str | int] = ()) -> Frame:
    """The `Frame` of a Parquet or an Arrow (Feather) file."""
    try:
        from pyarrow import feather, ipc, parquet
    except ImportError:
        needed = "pandas and pyarrow: pip install 'simlr[tables]', or save it as CSV"
        raise InputError(f"{path}: is a {kind} file, which needs {needed}") from None
    try:
        if kind == PARQUET:
            table = parquet.ParquetFile(
                path
            ).read()  # of one file; read_table would take columns out of its folder's name
        elif kind == ARROW:
            table = feather.read_table(path)
        else:
            with opened(path) as file:
                table = ipc.open_stream(file).read_all()
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise InputError(f"{path}: not a readable {kind} file: {show(str(error))}") from None
    return of_frame(table, categories, path)


def of_frame(table: Any, categories: Iterable[str | int] = (), path: str | os.PathLike = "DataFrame") -> Frame:
    """The `Frame` of a DataFrame of pandas or polars, or of a table of pyarrow; its index is left out."""
    if hasattr(table, "collect"):
        raise InputError(
            f"a table must be a path or a DataFrame, got a {type(table).__name__}; collect() makes one of it"
        )
    if hasattr(table, "get_columns"):
        names, columns = list(table.columns), [_of_polars(column) for column in table.get_columns()]
    elif hasattr(table, "column_names"):
        own = (table.schema.pandas_metadata or {}).get("index_columns", [])
        names = [name for name in table.column_names if name not in own]
        places = [j for j, name in enumerate(table.column_names) if name not in own]
        columns = [_of_arrow(table.column(j)) for j in places]
    elif hasattr(table, "columns") and hasattr(table, "iloc"):
        names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in table.columns]
        columns = [_of_pandas(table.iloc[:, j]) for j in range(len(names))]
    else:
        raise InputError(f"a table must be a path or a DataFrame, got a {type(table).__name__}")
    if not len(table) or not names:
        raise InputError(f"{path}: no rows of numbers")
    frame = Frame(Path(path), names, np.full((len(names), len(table)), math.nan), unit="row")
    labels = list(table.columns) if hasattr(table, "iloc") else []
    frame.has_labels = any(isinstance(label, Integral) and label != j for j, label in enumerate(labels))
    frame.keep_words(categories)
    for j, (gaps, known) in enumerate(columns):
        _fill(frame, j, gaps, known)
    return frame


def _of_pandas(column):
    """(gaps (rows,), what is known) of a column: an array of numbers, or a list of anything."""
    gaps = column.isna().to_numpy(dtype=bool)
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
    known = column[~gaps]
    return gaps, known.to_numpy() if getattr(dtype, "kind", "O") in "fiubc" else known.tolist()


def _of_arrow(column):
    """The same of a column of pyarrow, whose whole numbers stay whole beside gaps."""
    gaps, known = column.is_null().to_numpy(), column.drop_null()
    is_float = str(column.type) in ("halffloat", "float", "double")
    return gaps, known.to_numpy() if is_float else known.to_pylist()


def _of_polars(column):
    """The same of polars."""
    if column.dtype.is_float():
        return np.zeros(len(column), bool), column.to_numpy()  # NaN where it has nulls
    values = column.to_list()
    return np.array([value is None for value in values], bool), [value for value in values if value is not None]


def _fill(frame, j, gaps, known):
    """One column: numbers, gaps, or words."""
    places = np.flatnonzero(~gaps)
    if j in frame.words:
        frame.words[j] = [""] * len(gaps)
        for row, value in zip(places, known, strict=True):
            frame.words[j][row] = str(value)
        return
    if isinstance(known, np.ndarray) and known.dtype.kind in "fiub":
        frame.values[j, places], inexact = arrays.cast_with_gaps(frame.path, frame.name(j), known)
        for row, value in inexact.values():
            frame.offences[j] = int(places[row]), numbers.inexact(str(value))
    else:
        _fill_with_objects(frame, j, places.tolist(), known)
    if j in frame.texts:
        return
    own = frame.values[j]
    if np.isnan(own).any() and j not in frame.offences:
        frame.gaps[j] = int(np.isnan(own).argmax()), "nan"
    if np.isinf(own).any():
        frame.offences[j] = int(np.isinf(own).argmax()), "'inf' is not finite"


def _fill_with_objects(frame, j, places, known):
    """A column of Python's objects: numbers of any kind, words, or what is neither."""
    is_number = [isinstance(value, Real | Decimal | np.bool_) for value in known]
    if not all(is_number):
        which = is_number.index(False)
        if any(is_number):
            frame.offences[j] = places[which], "numbers and words in one column"
        elif isinstance(known[which], str):
            words = known[:_MOST_WORDS]
            frame.texts[j] = Text.of(places, words)
            if 2 * sum(numbers.number_of(word) is not None for word in words) > len(words):
                refusal = f"{show(words[0], 40)} is text, not a number; astype(float) makes numbers of it"
                frame.texts[j] = Text(places[0], words[0], refusal, True)
        elif isinstance(known[which], _MOMENTS):
            frame.texts[j] = Text(places[which], str(known[which]), numbers.refusal(str(known[which])))
        else:
            frame.offences[j] = places[which], f"{show(known[which], 40)} is not a real number"
        return
    for row, value in zip(places, known, strict=True):
        try:
            frame.values[j, row] = number = float(value)
            is_exact = abs(number) < 2.0**53 or value != int(value) or int(number) == int(value)
        except (OverflowError, ValueError):  # of 10**400; of the NaN that signals, or infinity
            number, is_exact = math.inf, True
        if not is_exact:
            frame.offences.setdefault(j, (row, numbers.inexact(str(int(value)))))
        elif math.isinf(number):
            frame.offences.setdefault(j, (row, f"{show(value, 40)} is too large for a float, or not finite"))
