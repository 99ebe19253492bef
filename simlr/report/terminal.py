"""Tables and verdicts as text for a terminal."""

import textwrap
from collections.abc import Sequence

from ..analysis.summary import Row
from ..claims.verdict import Verdict
from ..text import WIDTH, printable
from . import answer_text
from .material import Material
from .tables import MARKS, MOST_LINES, Table, describe, tables


def verdict_text(verdict: Verdict) -> str:
    """A `simlr.papers.Verdict` for a terminal."""
    lines = textwrap.wrap(printable(verdict.claim), WIDTH)
    for finding in verdict.lines:
        lines += textwrap.wrap(printable(finding), WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join([*lines, f"verdict: {verdict.outcome}"])


# ---- tables ----


def table(rows: Sequence[Row], most: int = MOST_LINES) -> str:
    """The tables as text for a terminal, at most 120 columns for names of ordinary length."""
    return "\n\n".join([describe(rows), *(as_text(one) for one in tables(rows, most))])


def as_text(one: Table) -> str:
    """A `Table` in columns, numbers to the right."""
    lines = _aligned([one.header, *one.lines])
    widths = [max(len(line[i]) for line in lines) for i in range(len(one.header))]
    body = [_in_columns(line, widths) for line in lines]
    return "\n".join([one.title, body[0], "-" * max(map(len, body)), *body[1:], *one.notes])


def _aligned(lines):
    """The lines with room for the widest mark of each column, so that the digits stand below each other."""
    columns = []
    for column in zip(*lines, strict=True):
        room = max(len(cell) - len(cell.rstrip(MARKS)) for cell in column)
        columns.append([cell + " " * (room - len(cell) + len(cell.rstrip(MARKS))) for cell in column])
    return list(zip(*columns, strict=True))


def _in_columns(line, widths):
    """One line of a table, padded."""
    numbers = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
    return "  ".join([line[0].ljust(widths[0]), *numbers]).rstrip()


def as_terminal(found: Material) -> str:
    """The report as text: tables, then the verdict."""
    parts = [printable(found.title) + "\n" + found.covers, *map(as_text, found.tables)]
    if found.answer:
        parts.append(answer_text.as_text(found.answer))
    if found.verdict:
        parts.append(verdict_text(found.verdict))
    parts += ["\n".join(textwrap.wrap(printable(text), WIDTH)) for text in found.about]
    return "\n\n".join(parts)
