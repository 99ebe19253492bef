"""How a text of columns is written: separator, decimal mark and comments, guessed where only one reading fits.

A guess is taken where nothing else fits; where two readings fit, the text is refused with the key that settles it.
"""

import csv
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import InputError, show
from . import numbers

SEPARATORS = (",", ";", "\t", "|")
BLANKS = " "  # runs of blanks and tabs
WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", BLANKS: "blanks"}
COMMENTS = ("#", "%", "//")
GUESS, NO_COMMENT = "guess", "none"
EITHER = "header = true where it names the columns, header = false where it is the first row"


class Options(NamedTuple):
    """What is known of a text beforehand; GUESS stands for nothing."""

    separator: str = GUESS
    decimal: str = GUESS
    comment: str = GUESS
    header: bool | str = GUESS
    encoding: str = GUESS
    numbers_only: bool = False  # a list or matrix of numbers: a first line of numbers is one of them
    way: str = EITHER  # how to say whether there is a header


class Dialect(NamedTuple):
    """How one text is written."""

    separator: str
    decimal: str
    comment: str | None
    skipped: int  # lines before the first of the table
    names: list[str] | None  # of a comment line that holds them
    notes: list[str]  # what was guessed, in words
    is_guessed: bool = False  # whether the mark of comments is


def fields_of(lines: Iterable[str], separator: str) -> Any:
    """A csv reader over lines, which are kept one by one: what is blank gives an empty list."""
    if separator == BLANKS:
        lines = (line.replace("\t", " ").strip(" \r\n") for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def is_comment(line: str, comment: str | None) -> bool:
    """Whether a line is a comment."""
    return comment is not None and comment in line and line.lstrip(" ").startswith(comment)


def guess(path: str | os.PathLike, lines: list[str], options: Options, whole: bool) -> Dialect:
    """The `Dialect` of a text that begins with these lines; `whole` says that they are all of it."""
    skipped, notes = 0, []
    separator = options.separator
    if lines and lines[0].strip().lower().startswith("sep=") and len(lines[0].strip()) == 5:
        separator, skipped = (lines[0].strip()[4] if separator == GUESS else separator), 1
    comment = None if options.comment == NO_COMMENT else options.comment
    if comment == GUESS:  # what the lines before the table begin with
        first = next((line.lstrip(" ") for line in lines[skipped:] if line.strip()), "")
        comment = next((mark for mark in COMMENTS if first.startswith(mark)), "#")
    body = [line for line in lines[skipped:] if line.strip(" \t\r\n,;|") and not is_comment(line, comment)]
    if separator == GUESS:
        separator = _separator(path, body if whole or len(body) < 3 else body[:-1])
    if separator != ",":
        notes.append(f"columns apart by {WORDS.get(separator, repr(separator))}")
    try:
        rows = [row for row in fields_of(body, separator) if row]
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file: {error}") from None
    decimal = options.decimal if options.decimal != GUESS else _decimal(path, rows[1:] or rows, separator)
    if decimal == ",":
        notes.append("decimal comma")
    names = _names_in_comments(lines[skipped:], comment, separator, rows)
    return Dialect(separator, decimal, comment, skipped, names, notes, options.comment == GUESS)


def _fits(lines, separator):
    """The rows of lines of the same number of fields, 2 or more; None where they are not."""
    try:
        rows = [row for row in fields_of(lines, separator) if row]
    except csv.Error:
        return None
    widths = {len(row) for row in rows[1:]} or {len(row) for row in rows}
    if len(widths) != 1 or max(widths) < 2:
        return None
    # As R writes them, the names of the rows have no name in the header.
    short = separator in (BLANKS, "\t") and len(rows[0]) == max(widths) - 1
    return rows if len(rows[0]) == max(widths) or short else None


def _share_of_numbers(rows, separator):
    """Which share of the fields below the first line is a number or a gap."""
    fields = [field for row in rows[1:] or rows for field in row]
    may_be_comma = separator != ","
    good = sum(
        numbers.number_of(field) is not None or (may_be_comma and numbers.is_decimal_comma(field)) for field in fields
    )
    return good / len(fields)


def _separator(path, lines):
    """The one separator that parts all lines alike; where none does, the one that most lines have."""
    fitting = {mark: rows for mark in SEPARATORS if (rows := _fits(lines, mark))}
    if not fitting and (rows := _fits(lines, BLANKS)):
        fitting = {BLANKS: rows}
    if list(fitting) == [","] and (rows := _fits(lines, BLANKS)) and _share_of_numbers(fitting[","], ",") < 1.0:
        fitting[BLANKS] = rows  # 1,5 2,5: decimal commas between blanks
    if len(fitting) < 2:
        held = {mark: sum(mark in line for line in lines) for mark in SEPARATORS}
        return next(iter(fitting), max(held, key=held.get))
    shares = {mark: _share_of_numbers(rows, mark) for mark, rows in fitting.items()}
    best = [mark for mark, share in shares.items() if share == max(shares.values())]
    if len(best) > 1:
        both = " and ".join(WORDS[mark] for mark in best)
        raise InputError(f"{path}: {both} part its columns alike; say which: separator = {best[0]!r} or {best[1]!r}")
    return best[0]


def _decimal(path, rows, separator):
    """The decimal mark: a comma where a number has one and no number has a point."""
    fields = [field.strip() for row in rows for field in row]
    commas = [field for field in fields if numbers.is_decimal_comma(field)]
    if separator == "," or not commas:
        return "."
    if any("." in field and numbers.plain(field) is not None for field in fields):
        return "."
    if all(numbers.may_be_thousands(field) for field in commas):
        raise InputError(
            f"{path}: {show(commas[0], 40)} has a decimal comma, or one that sets off thousands: decimal = ',' for "
            "the first; for the second, write the numbers without"
        )
    return ","


def _names_in_comments(lines, comment, separator, rows):
    """The names in the comment line right before the first row, where it has as many fields, none of them a number."""
    before = None
    for line in lines:
        if line.strip() and not is_comment(line, comment):
            break
        before = line if line.strip() else before
    if before is None or comment is None or not rows:
        return None
    try:
        found = next(fields_of([before.strip().removeprefix(comment).strip()], separator), [])
    except csv.Error:
        return None
    names = [name.strip() for name in found]
    if names and not names[0] and all(names[1:]):  # "#,a,b": what looks like a mark is a name
        names[0] = comment
    is_named = len(names) == len(rows[0]) and all(names) and all(numbers.plain(name) is None for name in names)
    return names if is_named else None
