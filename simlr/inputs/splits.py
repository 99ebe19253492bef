"""Which rows of a table are for training and which are held out, where a column of it or a second file says so."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show, unknown
from ..text import first_few, many
from . import numbers
from .dialects import GUESS
from .frame import Frame
from .wanted import Split

TRAIN, VALIDATION, TEST, UNUSED = range(4)
EXACT = 2.0**53  # from here on a whole number may be no float
NAMES = "train", "validation", "test", "unused"
_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing", "held-out", "held_out", "holdout"), TEST),
}
# Columns of these names, where they hold yes and no.
_YES, _NO = (1.0, "true", "t", "yes", "y"), (0.0, "false", "f", "no", "n")
_FLAGS = {
    **dict.fromkeys(("train", "is_train", "training"), (TRAIN, TEST)),
    **dict.fromkeys(("test", "is_test", "testing"), (TEST, TRAIN)),
}


@dataclass(frozen=True)
class Rows:
    """Which rows are held out.

    Attributes: groups (rows,), of TRAIN, VALIDATION, TEST and UNUSED, None where a seed draws them; by, what says so;
    values, what that is for each of them; unused, how many rows are in none.
    """

    groups: NDArray[np.int8] | None = None
    by: str = ""
    values: tuple[str, ...] = ("", "", "", "")
    unused: int = 0

    def count(self, group: int) -> int:
        """How many rows of a given split are in a group."""
        return 0 if self.groups is None else int((self.groups == group).sum())

    def without_unused(self) -> Self:
        """The same, without the rows that are in no group."""
        return (
            self
            if self.groups is None
            else replace(self, groups=self.groups[self.groups != UNUSED], unused=self.count(UNUSED))
        )

    def of_rows(self, path: str | os.PathLike, kept: NDArray[np.bool_] | None) -> Self:
        """The same of the rows that are kept, None for all; InputError where no train or no test row is."""
        found = self if kept is None or self.groups is None else replace(self, groups=self.groups[kept])
        for group in (TRAIN, TEST):
            if found.groups is not None and not found.count(group):
                raise InputError(f"{path}: no {NAMES[group]} row is without gaps; missing = 'mean' fills them in")
        return found

    def describe(self) -> str:
        """In words: rows by column 'set': 300 train ('train'), 142 test ('test')."""
        counts = [self.count(TRAIN), self.count(VALIDATION), self.count(TEST), self.unused]
        held = [f"{count:,} {name} ({value})" if value else f"{count:,} {name}"
                for name, count, value in zip(NAMES, counts, self.values, strict=True) if count]  # fmt: skip
        return f"split by {self.by}: {', '.join(held)}"


DRAWN = Rows()


def of_two(frame: Frame, held_out: Frame) -> Rows:
    """Those of two files, of which the second holds the test rows."""
    sizes = frame.values.shape[1], held_out.values.shape[1]
    return Rows(np.repeat(np.array([TRAIN, TEST], np.int8), sizes), f"test_data {held_out.path.name}")


def rows_of(frame: Frame, wanted: Split) -> Rows:
    """Those that a column says; InputError where a row has no value, or the values may be meant in two ways."""
    where, labels = f"{frame.path}: split column {wanted.column!r}", frame.labels_of(wanted.column)
    kinds = [_plain(label) for label in labels]
    held = Counter(kinds)
    if None in held:
        raise InputError(
            f"{where}: row {kinds.index(None)}, counted from 0, has no value; take the row out, or write a word of its "
            "own there and give train_value and test_value"
        )
    _refuse_twins(where, labels)
    roles = _by_flag(wanted, held) or _roles(where, wanted, held)
    for role, key in ((TRAIN, "train_value"), (TEST, "test_value")):
        if role not in roles.values():
            raise InputError(f"{where} holds {_shown(held)}: {key} = ... says which of them are {NAMES[role]} rows")
    values = [[_text(kind) for kind in held if roles[kind] == role] for role in range(len(NAMES))]
    said = tuple(first_few(own, 3) for own in values)
    return Rows(np.array([roles[kind] for kind in kinds], np.int8), f"column {wanted.column!r}", said)


def _plain(label):
    """A value of the column as it is compared: a number, or a word without the blanks around it; None of a gap.

    A whole number that a float need not hold stays as it is written.
    """
    if not isinstance(label, str):
        if label != label:
            return None
        return float(label) if abs(label) < EXACT else str(label)
    word = label.strip()
    if numbers.is_gap(word):
        return None
    number = numbers.plain(word)
    if number is not None and abs(number) < EXACT:
        return number
    return word.lower() if word.lower() in (*_YES, *_NO) else word


def _refuse_twins(where, labels):
    """Refuse two values that differ in their writing alone: nobody can have meant other rows by them."""
    written = {}
    for label in dict.fromkeys(label.strip() if isinstance(label, str) else label for label in labels):
        kind = _plain(label)
        other = written.setdefault(kind.casefold() if isinstance(kind, str) else kind, label)
        if other != label:
            raise InputError(
                f"{where} holds {show(other, 24)} and {show(label, 24)}, which may be one: write them alike"
            )


def _text(kind):
    return f"{kind:g}" if isinstance(kind, float) else show(kind, 24)


def _shown(held):
    """The values that are there, and how often."""
    return first_few([f"{_text(kind)} ({many(count, 'row')})" for kind, count in held.most_common(4)], 4, len(held))


def _by_flag(wanted, held):
    """The roles of yes and no in a column of the name `train` or `test`; {} of any other, or where values are given."""
    name = str(wanted.column).lower().replace(" ", "_").replace(".", "_")
    if name not in _FLAGS or wanted != Split(wanted.column) or not held.keys() <= {*_YES, *_NO} or len(held) != 2:
        return {}
    yes, no = _FLAGS[name]
    return {kind: yes if kind in _YES else no for kind in held}


def _roles(where, wanted, held):
    """{value: its group}: what is given, then the words that say so themselves, then what is left."""
    values = (TRAIN, wanted.train), (VALIDATION, wanted.validation), (TEST, wanted.test)
    given = {role: value for role, value in values if value != GUESS}
    roles = {}
    for role, value in given.items():
        kind = _plain(value)
        if kind is None:
            raise InputError(f"{where}: {show(value)} stands for no value, so no rows are meant by it")
        if kind not in held:
            shown = [f"{own:g}" if isinstance(own, float) else own for own in (kind, *held)]
            raise unknown(where, shown[0], shown[1:], "value")
        if kind in roles:
            raise InputError(f"{where}: {_text(kind)} cannot be for {NAMES[roles[kind]]} and {NAMES[role]} rows both")
        roles[kind] = role
    words = {kind: _WORDS.get(kind.lower()) for kind in held if isinstance(kind, str) and kind not in roles}
    words = {kind: role for kind, role in words.items() if role is not None}
    for kind, role in words.items():
        if role in given and (role == TRAIN or TRAIN not in given):
            raise InputError(
                f"{where}: {show(kind, 24)} says {NAMES[role]}, and {NAMES[role]}_value is {show(given[role], 24)}: "
                "write them alike, or give train_value, beside which other rows are left out"
            )
    words = {kind: role for kind, role in words.items() if role not in given}
    roles |= words
    left = [kind for kind in held if kind not in roles]
    if TRAIN in given:
        is_test = TEST not in roles.values() and len(left) == 1
        return roles | dict.fromkeys(left, TEST if is_test else UNUSED)
    if TEST in given and TRAIN not in words.values():
        return roles | dict.fromkeys(left, TRAIN)
    if left:
        raise InputError(
            f"{where} holds {_shown(held)}: test_value = ... says which of them are test rows, train_value = ... "
            "which are train rows"
        )
    return roles


def columns_of(other: Frame, frame: Frame, used: list[int]) -> list[int]:
    """The columns of a second file that stand for the columns `used` of the first: by name, or by number without names.

    InputError where the two do not have the same columns.
    """
    mine, theirs = frame.names, other.names
    if mine == theirs and len(frame.values) == len(other.values):
        return used
    if any(mine) and len({*mine}) == len(mine) and sorted(mine) == sorted(theirs):
        return [theirs.index(mine[j]) for j in used]
    what = f"it has {len(other.values)} columns {'with' if any(theirs) else 'without'} names, the other "
    what += f"{len(frame.values)} {'with' if any(mine) else 'without'}"
    if any(mine) and any(theirs) and (apart := sorted({*mine} ^ {*theirs})):
        what = f"{apart[0]!r} is in {frame.path if apart[0] in mine else other.path} alone"
    raise InputError(f"{other.path}: test_data must have the columns of {frame.path}: {what}")
