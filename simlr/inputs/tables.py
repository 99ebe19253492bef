"""A table out of any file that holds one: which column is the target, which are features, and which rows are whole."""

import os
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show, unknown
from ..text import listed, many
from . import array_tables, columnar, delimited, fillers
from .dialects import GUESS, Options
from .formats import ARROW, PARQUET, TEXT, digest, kind_of
from .frame import Frame
from .numbers import is_gap

MISSING = GUESS, "refuse", "drop", "mean"
DECIMALS = GUESS, ".", ","
LEAST_SHARE = 0.1  # of the rows has to be whole, or nobody can have meant to drop the others
MOST_CLASSES = 1000  # columns that one column of words may become
# Those in use, so that a file is read once for all who want the same of it.
_tables: weakref.WeakValueDictionary[tuple, "Table"] = weakref.WeakValueDictionary()


class Wanted(NamedTuple):
    """What is wanted of a file: columns by name or number, and what is known of how it is written."""

    target: str | int = -1
    columns: tuple = ()  # () for all that there are
    drop: tuple = ()
    categorical: tuple = ()
    missing: str = GUESS
    fillers: str | tuple = GUESS
    array: str = GUESS
    text: Options = Options()


@dataclass(frozen=True)
class Table:
    """Numbers of a table: columns (features + 1, rows) float64, the target last; finite, and shared: not to be changed.

    Attributes: features, their names; target, its name; rows_found, the rows of the file; gaps, how many of them had
    some; left_out, the columns that are not used, each with the reason; notes, what was guessed; digest, of the file.
    """

    columns: NDArray[np.float64]
    features: tuple
    target: str
    rows_found: int
    gaps: int = 0
    missing: str = "drop"
    left_out: tuple = ()
    notes: tuple = ()
    digest: str = ""
    path: str = ""

    @property
    def rows(self) -> int:
        """How many rows are kept."""
        return self.columns.shape[1]

    @property
    def classes(self) -> list:
        """The two values of the target, where it has two; else []."""
        target = self.columns[-1]
        low, high = target.min(), target.max()
        return [float(low), float(high)] if ((target == low) | (target == high)).all() and low < high else []

    def describe(self) -> str:
        """What was read, in one line: 12 features, target y, 442 rows of 450 (8 with gaps dropped)."""
        whole = f"{self.rows:,} rows"
        if self.rows < self.rows_found:
            whole += f" of {self.rows_found:,} ({self.rows_found - self.rows:,} with gaps dropped)"
        if self.missing == "mean" and self.gaps:
            whole += f" ({self.gaps:,} with gaps, the mean of the column in their place)"
        parts = [f"{many(len(self.features), 'feature')}, target {self.target}, {whole}"]
        if self.classes:
            parts.append("classes {:g} and {:g}".format(*self.classes))
        if self.left_out:
            parts.append("left out " + listed([f"{name} ({why})" for name, why in self.left_out], 4))
        return "; ".join([*parts, *self.notes])


def read_table(
    source: Any,
    target: str | int = -1,
    *,
    columns: Iterable[str | int] = (),
    drop: Iterable[str | int] = (),
    categorical: Iterable[str | int] = (),
    missing: str = GUESS,
    fillers: str | Iterable[float] = GUESS,
    array: str = GUESS,
    **text: Any,
) -> Table:
    """The `Table` of a file, or of a DataFrame.

    Parameters
    ----------
    source : path of a CSV or other text of columns (packed or not), NPY, NPZ, HDF5, Parquet or Arrow file, by content;
        or a DataFrame of pandas or polars
    target : name or number of its column (-1 is the last); in NPZ and HDF5 the name of an array
    columns, drop : names or numbers of the features to take, or to leave out
    categorical : of the columns of words that become one column of 0 and 1 a word; a target of two words becomes -1, 1
    missing : "refuse", "drop" (the rows with gaps) or "mean" (of the column, in their place); "guess" drops them where
        a tenth of the rows or more are left
    fillers : the numbers that stand for no value, as -999; "guess" refuses what looks like one
    array : the name of the array of features in NPZ and HDF5; "guess" takes `features`, or the only one that fits
    **text : separator, decimal, comment, header (True or False) and encoding of a text; each "guess" by default

    Raises
    ------
    InputError
        where anything is no number, or may be read in two ways; in one line, with the way out
    """
    for key, value, valid in (("missing", missing, MISSING), ("decimal", text.get("decimal", GUESS), DECIMALS)):
        if value not in valid:
            raise unknown(key, value, valid, "value")
    if text.get("header", GUESS) not in (True, False, GUESS):
        raise InputError(f"header must be True, False or {GUESS!r}, got {show(text['header'])}")
    fillers = GUESS if isinstance(fillers, str) else _several(fillers)
    chosen = (_several(columns), _several(drop), _several(categorical))
    wanted = Wanted(target, *chosen, missing, fillers, array, Options(**text))
    if not isinstance(source, str | os.PathLike):
        return assemble(columnar.of_frame(source, wanted.categorical), wanted)
    return of_file(Path(source), wanted)


def _several(values):
    """One value, or some, as a tuple."""
    return (values,) if isinstance(values, str | int | float) else tuple(values)


def of_file(path: Path, wanted: Wanted) -> Table:
    """The `Table` of a file; the same object where it is in use already and the file has not changed."""
    kind = kind_of(path)
    found = os.stat(path)
    key = (os.path.realpath(path), found.st_mtime_ns, found.st_size, found.st_ino, wanted)
    table = _tables.get(key)
    if table is None:
        if kind == TEXT and path.suffix not in (".npz", ".npy", ".h5", ".hdf5"):
            frame = delimited.read(path, wanted.text, wanted.categorical)
        elif kind in (PARQUET, ARROW):
            frame = columnar.of_file(path, kind, wanted.categorical)
        else:
            frame = array_tables.read(path, wanted)
        table = _tables[key] = assemble(frame, wanted, digest(path))
    return table


def assemble(frame: Frame, wanted: Wanted, file_digest: str = "") -> Table:
    """The `Table` that is wanted of a Frame, whose values are used up."""
    frame.trim()
    target = frame.index(wanted.target, "target column") if frame.target is None else frame.target
    if len(frame.values) < 2:
        if 0 in frame.texts:
            raise InputError(f"{frame.path}, {frame.unit} {frame.texts[0].line}: {frame.texts[0].refusal}")
        raise InputError(f"{frame.path}: one column only; a target and at least one feature are needed")
    taken, left_out = _chosen(frame, target, wanted)
    _refuse_offences(frame, taken, target)
    _clear_fillers(frame, [*taken, target], wanted.fillers)
    made = {j: _one_hot(frame, j, j == target) for j in (*taken, target) if j in frame.words}
    for j, (_, block) in made.items():  # where they have gaps, for the rows that are whole
        frame.values[j] = block[0]
    kept, gaps = _whole_rows(frame, [*taken, target], target, wanted.missing)
    names = tuple(name for j in taken for name in (made[j][0] if j in made else [frame.name(j)]))
    return Table(
        columns=_packed(frame, [*taken, target], made, kept),
        features=names,
        target=frame.name(target),
        rows_found=frame.values.shape[1],
        gaps=gaps,
        missing=wanted.missing,
        left_out=tuple(left_out),
        notes=(*frame.notes, *(f"{frame.name(j)} as {many(len(found), 'column')}" for j, (found, _) in made.items())),
        digest=file_digest,
        path=str(frame.path),
    )


def _chosen(frame, target, wanted):
    """The features, and what is left out: [(name, why), ...]."""
    dropped = {frame.index(column, "drop") for column in wanted.drop}
    if target in dropped:
        raise InputError(f"{frame.path}: drop holds the target, {frame.name(target)!r}")
    if wanted.columns:
        taken = [frame.index(column, "columns") for column in wanted.columns]
        for j in taken:
            if j == target or j in dropped or taken.count(j) > 1:
                why = "is the target" if j == target else "is in drop, too" if j in dropped else "is there twice"
                raise InputError(f"{frame.path}: columns: {frame.name(j)!r} {why}")
        return sorted(taken), []
    others = [j for j in range(len(frame.values)) if j != target and j not in dropped]
    counts = frame.nameless_numbers(dropped)
    text = {j: found for j, found in frame.texts.items() if j not in frame.words}
    why = dict.fromkeys(counts, "counts the rows") | {j: "text" for j, own in text.items() if not own.is_miswritten}
    why |= {j: "empty" for j in others if frame.is_empty(j) and j not in why}
    taken = [j for j in others if j not in why]
    if not taken and target not in text:
        words = next((f", {frame.unit} {text[j].line}: {text[j].refusal}" for j in others if j in text), "")
        raise InputError(f"{frame.path}{words}: no feature of numbers is left beside the target {frame.name(target)!r}")
    return taken, [(frame.name(j), why[j]) for j in others if j in why]


def _refuse_offences(frame, taken, target):
    """Refuse a field that is no number."""
    if target in frame.texts and target not in frame.words:
        where = f"{frame.path}, {frame.unit} {frame.texts[target].line}"
        numeric = [frame.name(j) for j in taken if j not in frame.words]
        way = f"; target = {numeric[-1]!r} is the last column of numbers" if numeric and frame.names else ""
        raise InputError(f"{where}: {frame.texts[target].refusal} in the target {frame.name(target)!r}{way}")
    for j in taken:
        if j in frame.texts and j not in frame.words:
            text = frame.texts[j]
            raise InputError(
                f"{frame.path}, {frame.unit} {text.line}: {text.refusal} in column {frame.name(j)!r}; "
                f"categorical = [{frame.name(j)!r}] makes columns of 0 and 1 of it"
            )
    wrong = sorted((*frame.offences[j], j) for j in (*taken, target) if j in frame.offences)
    if wrong:
        line, what, j = wrong[0]
        where = f" in column {frame.name(j)!r}" if frame.names else ""
        where += "" if j == target else f"; drop = [{frame.name(j)!r}] leaves it out" if frame.names else ""
        raise InputError(f"{frame.path}, {frame.unit} {line}: {what}{where}")


def _clear_fillers(frame, used, given):
    """Make gaps of the numbers that stand for no value; refuse what only looks like one."""
    if given != GUESS:
        for j in used:
            if j not in frame.words:
                frame.values[j][np.isin(frame.values[j], given)] = np.nan
        return
    for j in used:
        found = None if j in frame.words else fillers.found_in(frame.values[j])
        if found:
            value, what, times = found
            raise InputError(
                f"{frame.path}: column {frame.name(j)!r} holds {value:g} {many(times, 'time')}, {what}: "
                f"fillers = [{value:g}] takes it for a gap, fillers = [] for a number"
            )


def _one_hot(frame, j, is_target):
    """Names and columns of 0 and 1, one a word, NaN in gaps; of a target of two words -1 and 1."""
    words = frame.words[j]
    gaps = np.array([is_gap(word) for word in words])
    kinds = sorted(count for count in Counter(words) if not is_gap(count))
    rule = "two are needed, for -1 and 1" if is_target else f"from 1 to {MOST_CLASSES} can be told apart"
    if (is_target and len(kinds) != 2) or not 0 < len(kinds) <= MOST_CLASSES:
        raise InputError(f"{frame.path}: categorical column {frame.name(j)!r} has {len(kinds)} words; {rule}")
    place = {kind: i for i, kind in enumerate(kinds)}
    at = np.array([place.get(word, 0) for word in words])
    if is_target:
        frame.notes.append(f"{show(kinds[0], 20)} is -1, {show(kinds[1], 20)} is 1")
        block = np.where(at == 0, -1.0, 1.0)[None, :]
    else:
        block = (at == np.arange(len(kinds))[:, None]).astype(np.float64)
    block[:, gaps] = np.nan
    return [f"{frame.name(j)}={kind}" for kind in kinds] if not is_target else [frame.name(j)], block


def _whole_rows(frame, used, target, missing):
    """Which rows are kept (None for all), and how many have gaps; the mean is put into gaps where it is wanted."""
    gaps = np.zeros(frame.values.shape[1], bool)
    held = {j: count for j in used if (count := int(np.isnan(frame.values[j]).sum()))}
    for j in held:
        gaps |= np.isnan(frame.values[j])
    count, rows = int(gaps.sum()), gaps.size
    if not count:
        if not rows:
            raise InputError(f"{frame.path}: no rows of numbers")
        return None, 0
    if missing == "refuse" or (rows - count < 2 and missing != "mean"):
        raise InputError(f"{_first_gap(frame, held)}; missing = 'drop' leaves such rows out, 'mean' fills them in")
    if missing == GUESS and rows - count < LEAST_SHARE * rows:
        _refuse_many_gaps(frame, held, count, target)
    if missing != "mean":
        return ~gaps, count
    for j in held:
        if j != target:
            own = frame.values[j]
            own[np.isnan(own)] = np.nanmean(own)
    return ~np.isnan(frame.values[target]), count


def _first_gap(frame, held):
    """Where the first gap is, in words."""
    found = sorted((frame.gaps[j], j) for j in held if j in frame.gaps)
    if not found:
        j = next(iter(held))
        return f"{frame.path}: column {frame.name(j)!r} has {many(held[j], 'gap')}"
    (line, text), j = found[0]
    what = f"{show(text, 40)} is not {'finite' if 'nan' in text.lower() else 'a number'}"
    where = f", a gap in column {frame.name(j)!r}" if frame.names else ", a gap"
    return f"{frame.path}, {frame.unit} {line}: {what}{where}"


def _refuse_many_gaps(frame, held, count, target):
    """Refuse to leave out most rows, with the columns that cost them."""
    rows = frame.values.shape[1]
    worst = sorted((j for j in held if j != target), key=held.get, reverse=True)[:3]
    said = ", ".join(f"{frame.name(j)!r} {held[j]:,}" for j in worst)
    names = ", ".join(repr(frame.name(j)) for j in worst)
    raise InputError(
        f"{frame.path}: {count:,} of {rows:,} rows have gaps (column {said}): missing = 'drop' leaves these rows out, "
        f"'mean' fills them in, drop = [{names}] leaves out the columns with most"
    )


def _packed(frame, used, made, kept):
    """The columns that are used, the target last, in the rows that are kept; in place where no column is made."""
    if made:
        found = np.vstack([made[j][1] if j in made else frame.values[j][None, :] for j in used])
        return np.ascontiguousarray(found if kept is None else found[:, kept])
    values = frame.values
    if kept is None and used == list(range(len(values))):
        return np.ascontiguousarray(values)
    flat, last = values.reshape(-1), values[used[-1]].copy()
    rows = values.shape[1] if kept is None else int(kept.sum())
    for place, j in enumerate(used[:-1]):  # each goes where none is that is still to be moved
        own = values[j].copy() if kept is None else values[j][kept]
        flat[place * rows : (place + 1) * rows] = own
    flat[(len(used) - 1) * rows : len(used) * rows] = last if kept is None else last[kept]
    return flat[: len(used) * rows].reshape(len(used), rows)
