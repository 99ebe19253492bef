"""Tables and verdicts as text for a terminal."""

import textwrap
from collections.abc import Sequence

from ...analysis.on_page import MOST_LINES
from ...analysis.summary import Row
from ...claims.verdict import Verdict
from ...text import WIDTH, printable
from .. import answer_text
from ..material import Material
from ..tables import MARKS, Table, agreement, describe, short_table, tables


def verdict_text(verdict: Verdict) -> str:
    """A `simlr.papers.Verdict` for a terminal."""
    lines = textwrap.wrap(printable(verdict.claim), WIDTH)
    for finding in verdict.lines:
        lines += textwrap.wrap(printable(finding), WIDTH, initial_indent="  - ", subsequent_indent="    ")
    return "\n".join([*lines, f"verdict: {verdict.outcome}"])


def verdict_in_short(verdict: Verdict) -> str:
    """The claim and what came of it, without the figures that the report has."""
    claim = textwrap.fill(printable(verdict.claim), WIDTH)
    return f"{claim}\nverdict: {verdict.outcome}" + (f" ({agreement(verdict)})" if verdict.findings else "")


# ---- tables ----


def table(rows: Sequence[Row], most: int = MOST_LINES) -> str:
    """The tables of a run for a terminal, at most 120 columns for names of ordinary length.

    Parameters
    ----------
    rows
        Of all schedules, levels and problem combinations.
    most
        How many schedules a table has at most.
    """
    return "\n\n".join([describe(rows), *(as_text(one) for one in tables(rows, most))])


def ending(rows: Sequence[Row], lines: Sequence[Row]) -> str:
    """What a command prints of its run when it ends: what its rows cover, and a short table of them as lines."""
    return f"{describe(rows)}\n\n{as_text(short_table(lines))}"


def as_text(one: Table) -> str:
    """A `Table` in columns, numbers to the right."""
    columns: list[list[str]] = []
    for column in zip(one.header, *one.lines, strict=True):
        # With room for the widest mark, so that the digits stand below each other.
        marks = [len(cell) - len(cell.rstrip(MARKS)) for cell in column]
        cells = [cell + " " * (max(marks) - mark) for cell, mark in zip(column, marks, strict=True)]
        width = max(map(len, cells))
        columns.append([cell.rjust(width) if columns else cell.ljust(width) for cell in cells])
    body = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join([one.title, body[0], "-" * max(map(len, body)), *body[1:], *one.notes])


def as_terminal(material: Material) -> str:
    """The report as text: tables of losses, what the sections say, then the verdict; the ratios are in the files."""
    parts = [printable(material.title) + "\n" + material.covers, *map(as_text, material.loss_tables)]
    told = list(dict.fromkeys(section.headline for section in material.sections if section.headline))
    parts += (
        ["\n".join(textwrap.fill(f"- {printable(text)}", WIDTH, subsequent_indent="  ") for text in told)]
        if told
        else []
    )
    if material.answer:
        parts.append(answer_text.as_text(material.answer))
    if material.verdict:
        parts.append(verdict_text(material.verdict))
    parts += ["\n".join(textwrap.wrap(printable(text), WIDTH)) for text in material.about]
    return "\n\n".join(parts)
