"""Whether the first line of a table names its columns: said where it is plain, refused where it may be either."""

import math
import os
import re
from typing import NamedTuple

from ..errors import InputError, show
from . import numbers
from .dialects import BLANKS, GUESS, Dialect, Options


class Header(NamedTuple):
    """The names of the columns."""

    names: list[str]  # "" of a column without one; empty where none has a name
    width: int
    in_line: bool  # whether the names are the first row
    notes: list[str]


def header_of(
    path: str | os.PathLike, sample: list[tuple[int, list[str]]], dialect: Dialect, options: Options
) -> Header:
    """The `Header` of a table that begins with these rows, (line, fields) each."""
    first = [field.strip() for field in sample[0][1]]
    width = len(sample[1][1]) if len(sample) > 1 else len(first)
    if options.header is False:
        return Header([], len(first), False, [])
    if dialect.names and any(numbers.number_of(field) for field in first):
        if options.header == GUESS and not options.numbers_only and _is_prose(dialect):
            shown = show(" ".join(dialect.names) if dialect.separator == BLANKS else ",".join(dialect.names), 40)
            raise InputError(
                f"{path}: the comment {shown} may hold the names of the columns; header = true where it does, "
                "header = false where not"
            )
        return Header(dialect.names, len(first), False, ["names in the comment before the rows"])
    if len(first) == width - 1 and dialect.separator in (BLANKS, "\t"):
        # The rows end in a separator; else they begin with their names, as R writes a table.
        ends_blank = all(not row[-1].strip() for _, row in sample[1:])
        first = [*first, ""] if ends_blank else ["", *first]
    if options.header == GUESS and not _names(path, sample, first, options, dialect.decimal):
        return Header([], len(first), False, [])
    # Without quotes of the other kind, and without the name that pandas gives what has none.
    first = [name[1:-1].strip() if len(name) > 1 and name[0] == name[-1] == "'" else name for name in first]
    return Header(["" if name.startswith("Unnamed: ") else name for name in first], len(first), True, [])


def _is_prose(dialect):
    """Whether what may be the names in a comment may be a sentence, too: words apart by blanks, or many in a name."""
    if dialect.separator == BLANKS:
        return all(name.isalpha() for name in dialect.names) and max(map(len, dialect.names)) > 3
    return any(sum(word.isalpha() for word in name.split()) > 2 for name in dialect.names)


def _names(path, sample, first, options, decimal):
    """Whether the fields of a first line are names; InputError where they may be names or numbers."""
    is_number = [_is_number(field, decimal) for field in first]
    named = [bool(field) and not number for field, number in zip(first, is_number, strict=True)]
    if not any(is_number):
        if not any(named):
            raise InputError(f"{path}: its first line is empty; {options.way}")
        if all(numbers.is_gap(field) or numbers.plain(field) is not None for field in first):  # nan, inf, NA
            shown = show(",".join(first[:6]), 40)
            raise InputError(f"{path}: its first line, {shown}, is not finite, or the names of columns; {options.way}")
        _refuse_second_line(path, sample, first, decimal)
        return True
    if all(is_number):
        if not _may_be_labels(first, decimal, options.numbers_only):
            return False
        shown = show(",".join(first[:6]), 40)
        if options.numbers_only:
            raise InputError(
                f"{path}: its first line, {shown}, may be the numbers that pandas gives columns; {options.way}"
            )
        raise InputError(
            f"{path}: its first line holds numbers only; where it is no header, say header = false; where it is, "
            "header = true"
        )
    if not first[0] and first[1:] == [str(i) for i in range(len(first) - 1)]:  # pandas, with its row numbers
        return True
    named = [own and not numbers.is_gap(field) for field, own in zip(first, named, strict=True)]
    above_numbers = [
        j
        for j, own in enumerate(named)
        if own and all(j < len(row) and _is_number(row[j], decimal) for _, row in sample[1:])
    ]
    if len(above_numbers) > 1 and len(sample) > 2:
        return True
    what = "numbers and names" if any(named) else "numbers and an empty field"
    raise InputError(f"{path}: its first line, {show(','.join(first[:6]), 40)}, holds {what}; {options.way}")


def _is_number(field, decimal):
    """Whether a field is a finite number: inf may be a name."""
    found = numbers.number_of(field, decimal)
    return found is not None and math.isfinite(found[0])


def _may_be_labels(first, decimal, numbers_only):
    """Whether numbers may be the names of columns: counted by pandas, or in order, all different, and short."""
    if numbers_only:
        return first == [str(i) for i in range(len(first))]
    values = [numbers.number_of(field, decimal)[0] for field in first]
    if len(set(values)) < len(values) or any(re.search(r"[.,]\d{4}", field) for field in first):
        return False
    whole = all(value == int(value) for value in values)
    return whole or sorted(values) in (values, values[::-1])


def _refuse_second_line(path, sample, first, decimal):
    """Refuse a line of words between the names and the numbers, or one of small whole numbers below repeated names."""
    if len(sample) < 3:
        return
    (line, row), (_, below) = sample[1:3]
    if len(row) != len(first):
        title = show(",".join(first), 40)
        raise InputError(
            f"{path}: is its first line, {title}, a title above the table? take it out, or begin it with '#'"
        )
    given = [name for name in first if name]
    is_small = all(re.fullmatch(r"\d{1,3}", field.strip()) for field in row if field.strip())
    if len({*given}) < len(given) and is_small and len({*zip(first, row, strict=False)}) == len(first):
        shown = show(",".join(row[:6]), 40)
        raise InputError(
            f"{path}, line {line}: {shown} may be a second line of names (of pandas' MultiIndex); header = true where "
            "it is a row; where not, write one line of names"
        )
    is_words = len(row) > 1 and not any(_is_number(field, decimal) or numbers.is_gap(field) for field in row)
    if is_words and all(_is_number(field, decimal) for field in below):
        shown = show(row[0], 40)
        raise InputError(f"{path}, line {line}: {shown} is not a number: a second line of names, or units? take it out")
