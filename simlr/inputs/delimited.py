"""Columns of numbers out of text: read line by line into one array, which is all that is held of it."""

import csv
import math
import os
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path

import numpy as np

from .. import resources
from ..errors import InputError, show
from ..text import many
from . import dialects, numbers
from .dialects import GUESS
from .formats import LARGEST_TEXT, text_of
from .frame import Frame, Text
from .headers import header_of

HEAD_LINES, LEAST_LINES = 200, 4
CHUNK, CELLS = 4096, 1 << 16  # rows at a time, and fields
INEXACT = 2.0**53  # from here on a whole number may be no float
MOSTLY = 0.75  # words among the first fields of a column of words
_READ = 1 << 20


def read(
    path: str | os.PathLike,
    options: dialects.Options = dialects.Options(),  # noqa: B008 (a tuple)
    categories: Iterable[str | int] = (),
) -> Frame:
    """The `Frame` of a text; the columns `categories`, by name or number, are kept as words."""
    path = Path(path)
    encoding = None if options.encoding == GUESS else options.encoding
    most, lines, whole = _survey(path, encoding)
    dialect = dialects.guess(path, lines, options, whole)
    sample = list(_Rows(path, dialect).of([line + "\n" for line in lines[dialect.skipped :]]))[:HEAD_LINES]
    if not sample:
        raise InputError(f"{path}: no rows of numbers")
    header = header_of(path, sample, dialect, options)
    if len(sample) == 1 and header.in_line:
        raise InputError(f"{path}: no rows of numbers")
    size, limit = 8 * header.width * most, resources.memory_limit() // 2
    if size > limit:  # refused before it is made
        raise InputError(f"{path}: its numbers take {size:,} bytes, more than the {limit:,} that are read whole")
    frame = Frame(path, header.names, np.empty((header.width, most)), notes=[*dialect.notes, *header.notes])
    frame.keep_words(categories)
    filling = _Filling(frame, dialect, header, sample[header.in_line :])
    with text_of(path, encoding) as stream:
        filling.fill(stream)
    return frame


def _survey(path, encoding):
    """How many rows there can be at most, the first lines, three of them at least, and whether these are all."""
    count, letters, ends, head = 1, 0, 0, []
    with text_of(path, encoding) as stream:
        while text := stream.read(_READ):
            if ends < LEAST_LINES:
                head.append(text)
            letters, ends = letters + len(text), max(text.count("\n"), text.count("\r")) + ends
            count = ends + 1
            if letters > LARGEST_TEXT:
                raise InputError(f"{path}: has over {LARGEST_TEXT:,} letters, more than are read whole")
    lines = "".join(head).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    whole = letters <= sum(map(len, head)) and len(lines) <= HEAD_LINES
    return count, lines if whole else _without_a_cut(lines[:-1][:HEAD_LINES] or lines), whole


def _without_a_cut(lines):
    """First lines up to the last one that ends outside of quotes, where there are some."""
    quotes, end = 0, 0
    for number, line in enumerate(lines, 1):
        quotes += line.count('"')
        end = number if quotes % 2 == 0 else end
    return lines[:end] if end >= LEAST_LINES else lines


class _Rows:
    """The rows of a text's lines, taken in stretches that no row goes across."""

    def __init__(self, path, dialect):
        self._path, self._dialect = path, dialect
        self._line = dialect.skipped  # lines so far
        self._marks = None  # separators of the first row, once it is known

    def of(self, lines):
        """(line number, fields) of all rows of a stretch that are not blank."""
        start, reader = self._line, dialects.fields_of(self._without_comments(lines), self._dialect.separator)
        try:
            for row in reader:
                if row and (row[0].strip() or any(field.strip() for field in row)):
                    yield start + reader.line_num, row
        except csv.Error as error:
            raise InputError(f"{self._path}: not a CSV file: {error}") from None

    def skip(self, lines, marks):
        """Count a stretch of rows with so many separators each, read elsewhere."""
        self._line += lines
        self._marks = marks if self._marks is None else self._marks

    def _without_comments(self, lines):
        """The lines with a blank one in the place of each comment, so that they are counted as the file has them.

        Below the first row a line with as many separators as that may be a row: refused where nothing says which it is.
        """
        mark, separator = self._dialect.comment, self._dialect.separator
        for line in lines:
            self._line += 1
            if not dialects.is_comment(line, mark):
                self._marks = line.count(separator) if self._marks is None and line.strip() else self._marks
                yield line
                continue
            if self._dialect.is_guessed and self._marks and line.count(separator) >= self._marks:
                raise InputError(
                    f"{self._path}, line {self._line}: {show(line.strip(), 30)} starts with {mark!r} and has the "
                    f"fields of a row; comment = {mark!r} where it is a comment, comment = {dialects.NO_COMMENT!r} "
                    "where not"
                )
            yield "\n"


class _Filling:
    """Rows going into a Frame, by the thousand: at once where all are numbers, field by field where not."""

    def __init__(self, frame, dialect, header, sample):
        self._frame, self._dialect, self._header = frame, dialect, header
        self._filled, self._line = 0, 0
        for j in range(header.width):
            held = [(line, row[j]) for line, row in sample if j < len(row) and not numbers.is_gap(row[j])]
            words = [(line, word) for line, word in held if numbers.number_of(word, dialect.decimal) is None]
            if words and len(words) >= MOSTLY * len(held):  # of codes, some look like numbers
                frame.texts[j] = Text.of(*zip(*words, strict=True), dialect.decimal)
        self._number_columns = [j for j in range(header.width) if j not in frame.texts and j not in frame.words]

    def fill(self, stream):
        """All rows of a stream."""
        for _ in range(self._dialect.skipped):
            stream.readline()
        rows, is_above = _Rows(self._frame.path, self._dialect), self._header.in_line
        at_once = max(1, min(CHUNK, CELLS // self._header.width))
        while lines := list(islice(stream, at_once)):
            text = "".join(lines)
            if '"' in text:  # a field may go on in the next line, and so the stretch to the end
                lines = chain(lines, stream)
            elif not is_above and self._put_plain(lines, text):
                rows.skip(len(lines), self._header.width - 1)
                continue
            found = rows.of(lines)
            if is_above:
                is_above = next(found, None) is None
            while chunk := list(islice(found, at_once)):
                self._check_widths(chunk)
                self._put(chunk)
        self._frame.cut(self._filled)

    def _put_plain(self, lines, text):
        """Whether lines without quotes are rows of plain numbers, and words; then they are in their place.

        Parting them all at once is three times as fast as the csv module, and what is not plain is left to that.
        """
        dialect, width, count = self._dialect, self._header.width, len(lines)
        if dialect.separator == dialects.BLANKS or dialect.decimal != "." or width < 2 or "_" in text:
            return False
        if dialect.comment and dialect.comment in text:
            return False
        if any(line.count(dialect.separator) != width - 1 for line in lines):
            return False
        fields, columns = dialect.separator.join(lines).split(dialect.separator), self._number_columns
        block = slice(self._filled, self._filled + count)
        try:
            if len(columns) == width:
                found = np.fromiter(map(float, fields), np.float64, len(fields)).reshape(count, width).T
            else:
                found = np.array([np.fromiter(map(float, fields[j::width]), np.float64, count) for j in columns])
        except ValueError:
            return False
        if not (abs(found) < INEXACT).all():
            return False
        if len(columns):
            self._frame.values[slice(None) if len(columns) == width else columns, block] = found
        self._frame.values[list(self._frame.texts), block] = math.nan
        for j, words in self._frame.words.items():
            words.extend(field.strip() for field in fields[j::width])
        self._filled += count
        return True

    def _check_widths(self, chunk):
        """Refuse a row that is too long or too short."""
        width = self._header.width
        for line, row in chunk:
            if len(row) == width:
                continue
            what = ""
            if width == 1 or (self._filled == 0 and len(row) > width + 1 and row is chunk[0][1]):
                what = "; a title above the table? take such lines out, or begin them with '#'"
            elif self._dialect.separator == "," and len(row) == width + 1:
                what = "; is a comma in a field without quotes, or decimal?"
            raise InputError(f"{self._frame.path}, line {line}: {many(len(row), 'field')}, expected {width}{what}")

    def _put(self, chunk):
        """A chunk of rows."""
        n, values = len(chunk), self._frame.values
        block = slice(self._filled, self._filled + n)
        if not self._put_at_once(chunk, block):
            for j in self._number_columns:
                values[j, block] = [self._number(j, line, row[j]) for line, row in chunk]
        for j in self._frame.texts:
            values[j, block] = math.nan
        for j, words in self._frame.words.items():
            words.extend(row[j].strip() for _, row in chunk)
        self._filled += n

    def _put_at_once(self, chunk, block):
        """Whether all number columns of a chunk are plain numbers, which then are in their place."""
        columns, whole = self._number_columns, len(self._number_columns) == self._header.width
        fields = chain.from_iterable(row if whole else [row[j] for j in columns] for _, row in chunk)
        if self._dialect.decimal == ",":  # a point is then no part of a number
            fields = (field.replace(".", "x").replace(",", ".") for field in fields)
        try:
            found = np.fromiter(map(float, fields), np.float64, len(chunk) * len(columns))
        except ValueError:
            return False
        # What is no number, infinite, or so large that a whole number may be no float goes field by field.
        if not (abs(found) < INEXACT).all() or any("_" in "".join(row) for _, row in chunk):
            return False
        found = found.reshape(len(chunk), len(columns)).T
        if whole:
            self._frame.values[:, block] = found
        else:
            self._frame.values[columns, block] = found
        return True

    def _number(self, j, line, text):
        """One field as a float; NaN where it is a gap or no number, which is noted."""
        decimal = self._dialect.decimal
        if decimal == "." and (value := numbers.plain(text)) is not None and abs(value) < INEXACT:
            return value
        frame, found = self._frame, numbers.number_of(text, decimal)
        if found is None:
            frame.offences.setdefault(j, (line, numbers.refusal(text, decimal)))
            return math.nan
        value, done = found
        if math.isnan(value):
            frame.gaps.setdefault(j, (line, text.strip()))
        elif math.isinf(value):
            frame.offences.setdefault(j, (line, f"{text.strip()[:40]!r} is not finite"))
            return math.nan
        elif abs(value) >= INEXACT and (wrong := numbers.inexact(text)):
            frame.offences.setdefault(j, (line, wrong))
        if done and done not in frame.notes:
            frame.notes.append(done)
        return value
