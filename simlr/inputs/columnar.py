"""The columns of a DataFrame, and of Parquet and Arrow files; pandas is loaded when one is there, and not before."""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, show
from . import numbers
from .formats import PARQUET
from .frame import Frame, Text


def of_file(path: str | os.PathLike, kind: str, categories: Iterable[str | int] = ()) -> Frame:
    """The `Frame` of a Parquet or an Arrow (Feather) file."""
    try:
        import pandas
        import pyarrow  # noqa: F401 (what pandas reads them with)
    except ImportError:
        needed = "pandas and pyarrow: pip install 'simlr[tables]', or save it as CSV"
        raise InputError(f"{path}: is a {kind} file, which needs {needed}") from None
    try:
        table = (pandas.read_parquet if kind == PARQUET else pandas.read_feather)(path)
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise InputError(f"{path}: not a readable {kind} file: {show(str(error))}") from None
    return of_frame(table, categories, path)


def of_frame(table: Any, categories: Iterable[str | int] = (), path: str | os.PathLike = "DataFrame") -> Frame:
    """The `Frame` of a DataFrame of pandas or polars; its index is left out."""
    if hasattr(table, "to_pandas"):
        table = table.to_pandas()
    if not hasattr(table, "columns") or not hasattr(table, "iloc"):
        raise InputError(f"a table must be a path or a DataFrame, got {show(table)}")
    names = [str(name) for name in table.columns]
    frame = Frame(Path(path), names, np.full((len(names), len(table)), math.nan), unit="row")
    frame.keep_words(categories)
    for j in range(len(names)):
        _fill(frame, j, table.iloc[:, j])
    return frame


def _fill(frame, j, column):
    """One column: numbers, gaps, or words."""
    gaps = column.isna().to_numpy()
    if j in frame.words:
        frame.words[j] = ["" if gap else str(word) for word, gap in zip(column, gaps, strict=True)]
        return
    dtype = getattr(column.dtype, "numpy_dtype", column.dtype)
    kind = getattr(dtype, "kind", "O")
    kinds = {type(value) for value, gap in zip(column, gaps, strict=True) if not gap} if kind == "O" else set()
    if kind in "fiub" or (kinds and kinds <= {int, float, bool}):
        known = column[~gaps]
        frame.values[j, ~gaps] = np.asarray(known.tolist() if kind == "O" else known.to_numpy(), dtype=np.float64)
        if gaps.any():
            frame.gaps[j] = int(gaps.argmax()), "nan"
        if np.isinf(frame.values[j]).any():
            frame.offences[j] = int(np.isinf(frame.values[j]).argmax()), "'inf' is not finite"
        return
    if not gaps.all():
        first = int((~gaps).argmax())
        text = str(column.iloc[first])
        if kinds & {int, float}:
            frame.offences[j] = first, "numbers and words in one column"
        else:
            frame.texts[j] = Text(first, text, numbers.refusal(text), numbers.is_miswritten(text))
