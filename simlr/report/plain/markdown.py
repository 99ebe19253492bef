"""A report in Markdown."""

import re

from ...text import printable
from ..material import Material
from ..tables import findings_table

# ---- files ----


def as_markdown(material: Material) -> str:
    """The report in Markdown, without pictures."""
    parts = [f"# {_marked(material.title)}", _marked(material.covers)]
    if material.axes:
        parts.append("\n".join(f"- {_marked(axis)}" for axis in material.axes))
    if material.answer:
        parts += [f"**{_marked(material.answer.question)}** {_marked(material.answer.sentence)}"]
        parts += ["\n".join(f"- {_marked(note)}" for note in material.answer.notes)] if material.answer.notes else []
        parts += [_markdown_table(material.answer_table)] if material.answer_table else []
    if material.verdict:
        parts += [f"**Verdict: {material.verdict.outcome}.** {_marked(material.verdict.claim)}"]
        parts += [_markdown_table(findings_table(material.verdict))]
    parts += map(_marked, material.about)
    parts += map(_markdown_table, material.tables)
    for section in material.sections:
        parts += [f"# {_marked(section.title)}", *([_marked(section.note)] if section.note else [])]
        parts += [f"**{_marked(section.headline)}.**"] if section.headline else []
        parts += map(_markdown_table, section.tables)
    parts += ["## Where this comes from", "\n".join(f"- {name}: {_marked(v)}" for name, v in material.provenance)]
    indented = "\n".join(f"    {printable(line)}" for line in material.grid.rstrip("\n").split("\n"))
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
