"""Columns as they were read, before it is known which of them are wanted."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown
from . import numbers


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
