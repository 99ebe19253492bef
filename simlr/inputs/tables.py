"""A table out of any file that holds one: which column is the target, which are features, and which rows are whole."""

import math
import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show
from ..text import listed, many
from . import array_tables, columnar, delimited, splits
from . import fillers as fillers_of
from .dialects import GUESS
from .files import size_of
from .formats import COLUMNAR, TEXT, digest, kind_of
from .frame import Frame, classes_of
from .numbers import is_gap
from .parameters import read_parameters
from .wanted import PARAMETERS, Wanted, of_parameters

MOST_CLASSES = 1000  # columns that one column of words may become
# Those in use, so that a file is read once for all who want the same of it.
_tables: weakref.WeakValueDictionary[tuple, "Table"] = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Table:
    """Numbers of a table: columns (features + 1, rows) float64, the target last; finite, and shared: not to be changed.

    Attributes: features, their names; target, its name; rows_found, the rows of the file; gaps, how many of them had
    some; left_out, the columns that are not used, each with the reason; notes, what was guessed; digest, of the file;
    split, which rows are held out where that is given, and no groups where it is not; class_names, of a target of
    classes, which then holds their numbers, from 0.
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
    split: splits.Rows = splits.DRAWN
    class_names: tuple = ()

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

    def part(self, name: str) -> NDArray[np.float64]:
        """The columns (features + 1, rows) in the "train", "validation" or "test" rows of a given split."""
        if self.split.groups is None or name not in splits.NAMES:
            raise InputError(f"{self.path}: there are no {show(name)} rows; split = ... or test_data = ... gives some")
        return self.columns[:, self.split.groups == splits.NAMES.index(name)]

    def describe(self) -> str:
        """What was read, in one line: 12 features, target y, 442 rows of 450 (8 with gaps dropped)."""
        whole = f"{self.rows:,} rows"
        if self.rows < self.rows_found:
            whole += f" of {self.rows_found:,} ({self.rows_found - self.rows:,} with gaps dropped)"
        filled = self.gaps - (self.rows_found - self.rows)
        if self.missing == "mean" and filled:
            whole += f" ({filled:,} with gaps, the mean of the column in their place)"
        parts = [f"{many(len(self.features), 'feature')}, target {self.target}, {whole}"]
        if self.split.groups is not None:
            parts.append(self.split.describe())
        if self.class_names:
            parts.append(f"{len(self.class_names)} classes: {listed([show(name, 20) for name in self.class_names], 6)}")
        elif self.classes:
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
    test_data: Any = "",
    **others: Any,
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
    test_data : a second file or DataFrame of the same columns, whose rows are the test rows
    **others : `split`, the column that says which rows are held out, with test_value, train_value and validation_value,
        what it holds there; `array`, the name of the array of features in NPZ and HDF5; separator, decimal, comment,
        header (True or False) and encoding of a text

    Raises
    ------
    InputError
        where anything is no number, or may be read in two ways; in one line, with the way out
    """
    if (header := others.get("header", GUESS)) not in (True, False, GUESS):
        raise InputError(f"header must be True, False or {GUESS!r}, got {show(header)}")
    listed: dict[str, Any] = {"columns": columns, "drop": drop, "categorical": categorical, "fillers": fillers}
    for key, values in listed.items():
        if isinstance(values, Iterable) and not isinstance(values, str | bytes):
            listed[key] = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    given = {"target": target, "missing": missing, **listed, **others}
    checked = read_parameters(
        "read_table", given, PARAMETERS, cast=lambda key, value, rule: rule(key.removeprefix("read_table."), value)
    )
    wanted, held_out = of_parameters(checked), None
    wanted.split.check(isinstance(test_data, str) and not test_data)
    if not isinstance(test_data, str | os.PathLike):
        held_out = columnar.of_frame(test_data, wanted.words, "test_data")
    if not isinstance(source, str | os.PathLike):
        if held_out is None and test_data:
            held_out = _frame_of(Path(test_data), wanted)
        return assemble(columnar.of_frame(source, wanted.words), wanted, held_out=held_out)
    if held_out is not None:
        return assemble(_frame_of(Path(source), wanted), wanted, held_out=held_out)
    return of_file(Path(source), wanted, Path(test_data) if test_data else None)


def of_file(path: Path, wanted: Wanted, test_data: Path | None = None) -> Table:
    """The `Table` of a file, or of two; the same object where it is in use already and the files have not changed."""
    wanted.split.check(test_data is None)
    files = [path] if test_data is None else [path, test_data]
    if test_data is not None and size_of(test_data) and os.path.samefile(path, test_data):
        raise InputError(f"{path}: test_data is the same file, and its rows would be train and test rows both")
    found = [(os.path.realpath(file), size_of(file), os.stat(file)) for file in files]
    key = (*((name, size, status.st_mtime_ns, status.st_ino) for name, size, status in found), wanted)
    table = _tables.get(key)
    if table is None:
        frames = [_frame_of(file, wanted) for file in files]
        table = assemble(frames[0], wanted, " ".join(map(digest, files)), frames[1] if test_data else None)
        _tables[key] = table
    return table


def _frame_of(path, wanted):
    """The `Frame` of a file, by its content."""
    kind = kind_of(path)
    if kind == TEXT and path.suffix not in (".npz", ".npy", ".h5", ".hdf5"):
        return delimited.read(path, wanted.text, wanted.words)
    if kind in COLUMNAR:
        return columnar.of_file(path, kind, wanted.words)
    return array_tables.read(path, wanted)


def assemble(frame: Frame, wanted: Wanted, file_digest: str = "", held_out: Frame | None = None) -> Table:
    """The `Table` that is wanted of a Frame, whose values are used up; with the test rows of another one."""
    frame.trim()
    target = frame.index(wanted.target, "target column") if frame.target is None else frame.target
    if len(frame.values) < 2:
        if 0 in frame.texts:
            raise InputError(f"{frame.path}, {frame.unit} {frame.texts[0].line}: {frame.texts[0].refusal}")
        raise InputError(f"{frame.path}: one column only; a target and at least one feature are needed")
    taken, left_out = _chosen(frame, target, wanted)
    used = [*taken, target]
    _check(frame, used, wanted)
    frame, used, split = _grouped(frame, used, wanted, held_out)
    kept, gaps = _whole_rows(frame, used, wanted.missing, split.groups)
    words = [j for j in used if j in frame.words and not (wanted.classes and j == used[-1])]
    made = {j: _one_hot(frame, j, j == used[-1], split.groups, kept) for j in words}
    notes = (*frame.notes, *(f"{frame.name(j)} as {many(len(found), 'column')}" for j, (found, _) in made.items()))
    class_names: list = []
    if wanted.classes:
        class_names, numbered, told = classes_of(frame, used[-1], kept, wanted.classes)
        notes = (*notes, *told)
        made[used[-1]] = [frame.name(used[-1])], numbered[None, :]
    return Table(
        columns=_packed(frame, used, made, kept),
        features=tuple(name for j in used[:-1] for name in (made[j][0] if j in made else [frame.name(j)])),
        target=frame.name(used[-1]),
        rows_found=frame.values.shape[1],
        gaps=gaps,
        missing=wanted.missing,
        left_out=tuple(left_out),
        notes=notes,
        digest=file_digest,
        path=str(frame.path),
        split=split.of_rows(frame.path, kept),
        class_names=tuple(class_names),
    )


def _check(frame, used, wanted):
    """Refuse what is no number, and gaps where they are not to be left out; fillers become gaps."""
    for j in used:
        if j in frame.words:
            frame.values[j] = [math.nan if is_gap(word) else 0.0 for word in frame.words[j]]
    _refuse_offences(frame, used[:-1], used[-1])
    fillers_of.clear(frame, used, wanted.fillers)
    fillers_of.refuse_gaps(frame, used, wanted.missing)


def _grouped(frame, used, wanted, held_out):
    """(Frame, columns used, `splits.Rows`): with the test rows of a second Frame, without those that are unused."""
    if wanted.split.column != "":
        split = splits.rows_of(frame, wanted.split)
        if (is_used := split.groups != splits.UNUSED).all():
            return frame, used, split
        words = {j: [word for word, own in zip(held, is_used, strict=True) if own] for j, held in frame.words.items()}
        return replace(frame, values=frame.values[:, is_used], words=words), used, split.without_unused()
    if held_out is None:
        return frame, used, splits.DRAWN
    held_out.trim()
    theirs = splits.columns_of(held_out, frame, used)
    if any((j in frame.words) != (k in held_out.words) for j, k in zip(used, theirs, strict=True)):
        raise InputError(
            f"{held_out.path}: its columns stand in another order than in {frame.path}; "
            "categorical names columns, not their numbers"
        )
    _check(held_out, theirs, wanted)
    both = Frame(
        frame.path,
        [frame.name(j) for j in used],
        np.hstack([frame.values[used], held_out.values[theirs]]),
        words={k: frame.words[j] + held_out.words[theirs[k]] for k, j in enumerate(used) if j in frame.words},
        notes=list(dict.fromkeys([*frame.notes, *held_out.notes])),
    )
    fillers_of.clear(both, list(range(len(used))), wanted.fillers)  # which in one file alone may look like a number
    return both, list(range(len(used))), splits.of_two(frame, held_out)


def _chosen(frame, target, wanted):
    """The features, and what is left out: [(name, why), ...]."""
    dropped = {frame.index(column, "drop") for column in wanted.drop}
    if target in dropped:
        raise InputError(f"{frame.path}: drop holds the target, {frame.name(target)!r}")
    if wanted.split.column != "" and frame.labels is None:
        dropped.add(frame.index(wanted.split.column, "split column"))
        if target in dropped:
            raise InputError(
                f"{frame.path}: the target is the split column, {frame.name(target)!r}; target = ... names it"
            )
    if wanted.columns:
        taken = [frame.index(column, "columns") for column in wanted.columns]
        for j in taken:
            if j == target or j in dropped or taken.count(j) > 1:
                why = (
                    "is the target"
                    if j == target
                    else "is left out by drop or split"
                    if j in dropped
                    else "is there twice"
                )
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
        where = frame.place(frame.texts[target].line, target)
        numeric = [frame.name(j) for j in taken if j not in frame.words]
        way = f"; target = {numeric[-1]!r} is the last column of numbers" if numeric and frame.names else ""
        way += "; classes? in a grid loss = 'logistic' takes two of them, 'softmax' any number"
        raise InputError(f"{where}, the target: {frame.texts[target].refusal}{way}")
    for j in taken:
        if j in frame.texts and j not in frame.words:
            text, name = frame.texts[j], frame.name(j)
            way = f"categorical = [{name!r}] makes columns of 0 and 1 of it"
            way = f"drop = [{name!r}] leaves it out" if text.is_miswritten else way
            raise InputError(f"{frame.place(text.line, j)}: {text.refusal}; {way}")
    wrong = sorted((*frame.offences[j], j) for j in (*taken, target) if j in frame.offences)
    if wrong:
        line, what, j = wrong[0]
        way = f"; drop = [{frame.name(j)!r}] leaves it out" if frame.names and j != target else ""
        raise InputError(f"{frame.place(line, j)}: {what}{way}")


def _one_hot(frame, j, is_target, groups, kept):
    """Names and columns of 0 and 1, one a word of the train rows kept, NaN in gaps; of a target of two words -1, 1."""
    words = frame.words[j]
    gaps = np.array([is_gap(word) for word in words])
    whole = [row for row in np.flatnonzero(~gaps).tolist() if kept is None or kept[row]]
    kinds = sorted({words[row] for row in whole if groups is None or groups[row] == splits.TRAIN})
    rule = "two are needed, for -1 and 1" if is_target else f"from 1 to {MOST_CLASSES} can be told apart"
    if (is_target and len(kinds) != 2) or not 0 < len(kinds) <= MOST_CLASSES:
        raise InputError(f"{frame.path}: categorical column {frame.name(j)!r} has {len(kinds)} words; {rule}")
    place = {kind: i for i, kind in enumerate(kinds)}
    strange = next((words[row] for row in whole if words[row] not in place), None)
    if strange is not None:
        raise InputError(
            f"{frame.path}: {show(strange, 40)} in categorical column {frame.name(j)!r} is in no train row, so nothing "
            "can be learnt of it; take these rows out of the others"
        )
    at = np.array([place.get(word, 0) for word in words])
    if is_target:
        frame.notes.append(f"{show(kinds[0], 20)} is -1, {show(kinds[1], 20)} is 1")
        block = np.where(at == 0, -1.0, 1.0)[None, :]
    else:
        block = (at == np.arange(len(kinds))[:, None]).astype(np.float64)
    block[:, gaps] = np.nan
    return [f"{frame.name(j)}={kind}" for kind in kinds] if not is_target else [frame.name(j)], block


def _whole_rows(frame, used, missing, groups):
    """Which rows are kept (None for all), and how many have gaps; where it is wanted, the mean is put into gaps.

    It is that of the train rows where a split is given.
    """
    gaps, held = fillers_of.gaps(frame, used)
    if not held:
        return None, 0
    if missing != "mean":
        return ~gaps, int(gaps.sum())
    basis = slice(None) if groups is None else groups == splits.TRAIN
    for j in held:
        if j != used[-1]:
            own = frame.values[j]
            if np.isnan(own[basis]).all():
                raise InputError(f"{frame.path}: column {frame.name(j)!r} has no number in the train rows, and no mean")
            own[np.isnan(own)] = np.nanmean(own[basis])
    return ~np.isnan(frame.values[used[-1]]), int(gaps.sum())


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
