"""A report in Markdown."""

import re

from ..text import printable
from .material import Material
from .tables import findings_table

# ---- files ----


def as_markdown(found: Material) -> str:
    """The report in Markdown, without pictures."""
    parts = [f"# {_marked(found.title)}", _marked(found.covers)]
    if found.axes:
        parts.append("\n".join(f"- {_marked(axis)}" for axis in found.axes))
    if found.answer:
        parts += [f"**{_marked(found.answer.question)}** {_marked(found.answer.sentence)}"]
        parts += ["\n".join(f"- {_marked(note)}" for note in found.answer.notes)] if found.answer.notes else []
        parts += [_markdown_table(found.answer_table)] if found.answer_table else []
    if found.verdict:
        parts += [f"**Verdict: {found.verdict.outcome}.** {_marked(found.verdict.claim)}"]
        parts += [_markdown_table(findings_table(found.verdict))]
    parts += map(_marked, found.about)
    parts += map(_markdown_table, found.tables)
    for section in found.sections:
        parts += [f"# {_marked(section.title)}", *([_marked(section.note)] if section.note else [])]
        parts += map(_markdown_table, section.tables)
    parts += ["## Where this comes from", "\n".join(f"- {name}: {_marked(v)}" for name, v in found.provenance)]
    indented = "\n".join(f"    {printable(line)}" for line in found.grid.rstrip("\n").split("\n"))
    return "\n\n".join([*parts, "The whole grid:", indented]) + "\n"


def _markdown_table(table):
    """One table with its title and notes."""
    lines = [table.header, ["---"] + ["---:"] * (len(table.header) - 1)]
    rows = [f"| {' | '.join(map(_marked, table.header))} |", f"| {' | '.join(lines[1])} |"]
    rows += [f"| {' | '.join(map(_marked, line))} |" for line in table.lines]
    notes = "\n".join(f"- {_marked(note)}" for note in table.notes)
    return "\n\n".join(part for part in (f"## {_marked(table.title)}", "\n".join(rows), notes) if part)


def _marked(text):
    """Text on one line in which nothing is Markdown or HTML."""
    escaped = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~$-])", r"\\\1", escaped)
