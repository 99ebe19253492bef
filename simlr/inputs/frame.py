"""Columns as they were read, before it is known which of them are wanted; and the classes that a column holds.

Classes of numbers are ordered by size, those of words by their letters (false before true); class c is number c of that
order, from 0.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown
from ..text import first_few
from . import numbers

MOST_CLASSES = 100
REGRESSION = "loss = 'squared' or 'huber' takes numbers"


class Text(NamedTuple):
    """What is known of a column of words."""

    line: int
    first: str
    refusal: str  # why it is no number
    is_miswritten: bool = False  # whether it seems to be one in another writing

    @classmethod
    def of(cls, lines: Sequence[int], words: Sequence[str], decimal: str = ".") -> Self:
        """That of a column which holds these words in these lines."""
        which, is_miswritten = numbers.word_of(words, decimal)
        word = words[which].strip()
        return cls(lines[which], word, numbers.refusal(word, decimal), is_miswritten)


@dataclass
class Frame:
    """Columns of numbers: values (columns, rows) float64, NaN where a field is a gap or no number.

    Attributes: names, "" of a column without one, empty where there is no header; texts, of columns that hold words;
    words, of columns whose words are wanted; gaps and offences, the first field of a column that is a gap, or no
    number: column -> (line, what it is); notes, what was guessed.
    """

    path: Path
    names: list[str]
    values: NDArray[np.float64]
    texts: dict[int, Text] = field(default_factory=dict)
    words: dict[int, list[str]] = field(default_factory=dict)
    gaps: dict[int, tuple[int, str]] = field(default_factory=dict)
    offences: dict[int, tuple[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    target: int | None = None  # the target, where it is known by an array's name
    labels: Sequence | None = None  # what says of every row whether it is held out, where that is no column
    unit: str = "line"  # what gaps and offences are counted in
    has_labels: bool = False  # whether whole numbers are names, and other ones than the columns' places

    def keep_words(self, columns: Iterable[str | int]) -> None:
        """Ask for the words of columns, given by name or number, before they are read."""
        for column in columns:
            self.words[self.index(column, "categorical or split column")] = []

    def labels_of(self, column: str | int) -> Sequence:
        """What a column holds in every row: words where they are kept, else numbers."""
        if self.labels is not None:
            return self.labels
        j = self.index(column, "split column")
        return self.words[j] if j in self.words else self.values[j].tolist()

    def cut(self, rows: int) -> None:
        """Keep the first rows only, in place."""
        count, most = self.values.shape
        if rows < most:
            flat = self.values.reshape(-1)
            for j in range(count):  # each goes where none is that is still to be moved
                flat[j * rows : (j + 1) * rows] = flat[j * most : j * most + rows].copy()
            self.values = flat[: count * rows].reshape(count, rows)

    def name(self, j: int) -> str:
        """A column as it is called in a message."""
        return self.names[j] if self.names and self.names[j] else f"column {j}"

    def place(self, line: int, j: int) -> str:
        """Where a field of a column stands, as a message begins: the file, the line and the column."""
        column = f"column {self.names[j]!r}" if self.names and self.names[j] else self.name(j)
        return f"{self.path}, {self.unit} {line}, {column}"

    def index(self, wanted: str | int, noun: str) -> int:
        """The number of a column that is given by its name or number."""
        count = len(self.values)
        if isinstance(wanted, str):
            where = f"{self.path}: {noun}"
            if wanted not in self.names:
                known = [name for name in self.names if name]
                if known:
                    raise unknown(where, wanted, known, "name")
                raise InputError(f"{where} {wanted!r}: no header row; it has columns 0 to {count - 1}")
            if self.names.count(wanted) > 1:
                raise InputError(f"{where} {wanted!r} is there {self.names.count(wanted)} times")
            return self.names.index(wanted)
        if self.has_labels and wanted >= 0:
            raise InputError(
                f"{self.path}: {noun} {wanted} may be the column labelled {wanted}, or column number {wanted}; "
                f"'{wanted}' is the label, {wanted - count} the place from the end"
            )
        if not -count <= wanted < count:
            raise InputError(f"{self.path}: {noun} {wanted} is not there; it has {count} columns")
        return wanted % count

    def trim(self) -> None:
        """Take off last columns that have neither a name nor a field: of lines that end in a separator."""
        last = len(self.values) - 1
        while last > 0 and not (self.names and self.names[last]) and last not in self.texts and self.is_empty(last):
            if last in self.gaps and self.gaps[last][1].strip():  # NA, or NaN in an array: a gap, and no missing field
                break
            last -= 1
        if last + 1 < len(self.values):
            self.values, self.names = self.values[: last + 1], self.names[: last + 1]

    def nameless_numbers(self, dropped: Collection[int] = ()) -> list[int]:
        """The columns without a name beside others that have one, which are the numbers of the rows; [] mostly.

        InputError where a nameless column of numbers is something else.
        """
        if not any(self.names):
            return []
        found = []
        for j, name in enumerate(self.names):
            if name or j in self.texts or j in self.words or j in dropped or self.is_empty(j):
                continue
            own = self.values[j]
            if j == 0 and own.size and own[0] in (0.0, 1.0) and (own == own[0] + np.arange(own.size)).all():
                found.append(j)
                continue
            raise InputError(
                f"{self.path}: column {j} has no name and does not count the rows; drop = [{j}] leaves it out, "
                "header = false takes the first line as numbers"
            )
        return found

    def is_empty(self, j: int) -> bool:
        """Whether a column holds nothing at all."""
        held = (self.offences, self.words, self.texts)
        return not any(j in kind for kind in held) and bool(np.isnan(self.values[j]).all())


def classes_of(
    frame: Frame, j: int, kept: NDArray[np.bool_] | None, most: int
) -> tuple[list[str], NDArray, tuple[str, ...]]:
    """The classes that column j of a frame holds in the rows that are kept.

    Parameters
    ----------
    frame
        Its columns, with the words of this one where it was read as words.
    j
        The column.
    kept : bool (rows,) or None
        The rows that are; None for all.
    most
        How many classes the loss takes: 2, or more.

    Returns
    -------
    names : list of str
    number : float64 (rows,)
        NaN where there is a gap.
    notes : tuple of str
        What is to be said of words that differ by case alone: those for true and false are one class each.

    Raises
    ------
    InputError
        Where there are fewer than two classes, or more than the loss takes, with the way out.
    """
    values = _as_numbers(frame.words[j]) if j in frame.words else frame.values[j]
    notes: tuple[str, ...] = ()
    if values is None:
        words = frame.words[j]
        gaps = np.array([numbers.is_gap(word) for word in words])
        spelled = {word for word, own in zip(words, _used(gaps, kept), strict=True) if own}
        called, notes = _names_of(spelled)
        names = sorted(set(called.values()), key=_by_letters)
        place = {word: float(names.index(name)) for word, name in called.items()}
        found = np.array([place.get(word, math.nan) for word in words])
    else:
        used = _used(np.isnan(values), kept)
        distinct = np.unique(values[used])
        if distinct.size > 2:
            _refuse_fractions(frame, j, distinct)
        names = [f"{value:.15g}" for value in distinct]
        found = np.full(values.size, math.nan)
        found[used] = np.searchsorted(distinct, values[used])
    _check_classes(frame, j, names, most)
    return names, found, notes


def _by_letters(name):
    """Words in the order of their letters, false before true however they are written."""
    folded = name.lower()
    return (folded if folded in numbers.TRUTHS else name), name


def _names_of(words):
    """({word: its class}, notes): words for true that differ by case are one class, and so are those for false."""
    alike: dict[str, list[str]] = {}
    for word in sorted(words):
        alike.setdefault(word.lower(), []).append(word)
    called, notes = {word: word for word in words}, []
    for folded, own in alike.items():
        if len(own) == 1:
            continue
        listed = first_few([repr(word) for word in own], 4)
        if folded in numbers.TRUTHS:
            called |= dict.fromkeys(own, folded)
            notes.append(f"{listed} are one class, {folded!r}")
        else:
            notes.append(f"the classes {listed} differ by case alone")
    return called, tuple(notes)


def _as_numbers(words: Sequence[str]) -> NDArray[np.float64] | None:
    """Words as numbers, NaN for gaps; None where one is none. Words for true and false stay words."""
    found = np.full(len(words), math.nan)
    for row, word in enumerate(words):
        if numbers.is_gap(word):
            continue
        value = numbers.plain(word)
        if value is None or not math.isfinite(value):
            return None
        found[row] = value
    return found


def _used(gaps, kept):
    """The rows that count."""
    return ~gaps if kept is None else ~gaps & kept


def _refuse_fractions(frame, j, distinct):
    """Refuse numbers that can hardly be classes."""
    fractions = distinct[distinct != np.rint(distinct)]
    if fractions.size:
        raise InputError(
            f"{frame.path}: the target {frame.name(j)!r} holds {fractions[0]:g}, which names no class; {REGRESSION}"
        )


def _check_classes(frame, j, names, most):
    """Refuse a number of classes that the loss does not take."""
    where = f"{frame.path}: the target {frame.name(j)!r} has"
    if len(names) < 2:
        raise InputError(f"{where} {len(names)} class{'' if len(names) == 1 else 'es'}; two at least are needed")
    if len(names) > most == 2:
        known = first_few([repr(name) for name in names], 4)
        way = "loss = 'softmax' takes all of them" if len(names) <= MOST_CLASSES else REGRESSION
        raise InputError(f"{where} {len(names)} classes ({known}), and this loss takes two; {way}")
    if len(names) > most:
        raise InputError(f"{where} {len(names):,} different values, more than {most} classes; {REGRESSION}")
