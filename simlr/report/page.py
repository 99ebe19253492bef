"""The report as one HTML page: no scripts, nothing from outside, fit for print. What comes from a file is escaped."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

from ..text import printable
from .tables import Table, findings_table

# What a browser may load for the page: pictures inside it, and its own style.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 1080px; margin: 2em auto;
       padding: 0 1.2em; }
h1 { font-size: 1.7em; margin: 0 0 .1em; } h2 { font-size: 1.25em; margin: 2em 0 .4em; }
.covers { color: #555; margin-top: 0; }
.verdict { border: 2px solid; border-left-width: 12px; padding: .6em 1em; margin: 1.4em 0; }
.verdict .claim { font-weight: 600; margin: .2em 0; } .verdict ul { margin: .4em 0; font-size: .92em; }
.verdict td { white-space: normal; }
.verdict .outcome { font-weight: 700; text-transform: uppercase; letter-spacing: .04em; margin: 0; }
.holds { border-color: #009e73; background: #eefaf5; } .fails { border-color: #d55e00; background: #fdf1e9; }
.undecided { border-color: #8a8a8a; background: #f5f5f5; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9em; }
caption { text-align: left; font-weight: 600; padding: .3em 0; }
th, td { padding: .18em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #333; }
.notes { font-size: .88em; color: #444; margin: .3em 0 1.4em; padding-left: 1.2em; }
figure { margin: 1.6em 0 2.2em; page-break-inside: avoid; } figure img { width: 100%; height: auto; }
figcaption { font-size: .93em; color: #333; }
footer { margin-top: 3em; border-top: 1px solid #999; font-size: .88em; }
footer th { text-align: left; font-weight: 600; vertical-align: top; }
footer td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
pre { background: #f5f5f5; padding: .8em 1em; font-size: .92em; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } * { print-color-adjust: exact; } }
"""
ANSWERS = {"yes": "holds", "no": "fails"}
OUTCOMES = {"holds": "holds", "does not hold": "fails", "undecided": "undecided"}


def page(material: Any, images: Sequence[tuple[str, bytes]], of_sections: Any) -> str:
    """The page of a report: `material` is a `simlr.report.Material`, images are (caption, SVG bytes).

    `of_sections` has the image of each section of the analysis that has one, by the section's key.
    """
    return _document(f"{material.title} - simlr report", _parts(material, images, of_sections))


def schedules_page(
    title: str, covers: str, tables: Sequence[Table], images: Sequence[tuple[str, bytes]], grid: str
) -> str:
    """The page of a grid's learning rates; `grid` is its TOML."""
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="covers">{_text(covers)}</p>',
        *(_picture(caption, svg) for caption, svg in images),
        *map(_table, tables),
        f"<footer><p>The whole grid:</p><pre>{escape(_lines(grid))}</pre></footer>",
    ]
    return _document(f"{title} - simlr schedules", parts)


def _parts(material, images, of_sections):
    """What stands on the page of a report."""
    return [
        f"<h1>{_text(material.title)}</h1>",
        f'<p class="covers">{_text(material.covers)}</p>',
        *(f'<p class="covers">{_text(axis)}</p>' for axis in material.axes),
        _answer(material, of_sections.get("answer")) if material.answer else "",
        _verdict(material.verdict) if material.verdict else "",
        *(f"<p>{_text(text)}</p>" for text in material.about),
        f"<h2>{_text(material.compared)}</h2>" if material.tables else "",
        *map(_table, material.tables),
        "<h2>Pictures</h2>" if images else "<p>This run holds nothing to draw yet.</p>",
        *(_picture(caption, svg) for caption, svg in images),
        *(_section(section, of_sections.get(section.key)) for section in material.sections),
        _footer(material),
    ]


def _answer(material, image):
    """The question, its answer, the picture, and what was compared."""
    answer = material.answer
    notes = "".join(f"<li>{_text(note)}</li>" for note in answer.notes)
    kind = ANSWERS.get(answer.outcome, "undecided")
    parts = [
        f'<div class="verdict {kind}"><p class="outcome">{_text(answer.question)}</p>'
        f'<p class="claim">{_text(answer.sentence)}</p><ul>{notes}</ul></div>',
        _picture(*image) if image else "",
        _table(material.answer_table) if material.answer_table else "",
    ]
    return "\n".join(part for part in parts if part)


def _section(section, image):
    """One part of the analysis: what it answers, its picture, its tables."""
    note = f"<p>{_text(section.note)}</p>" if section.note else ""
    parts = [f"<h2>{_text(section.title)}</h2>", note, _picture(*image) if image else "", *map(_table, section.tables)]
    return "\n".join(part for part in parts if part)


def _document(title, parts):
    """The page of some parts of HTML."""
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style>"
    )
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _text(value):
    """Text on one line, fit for HTML."""
    return escape(printable(value))


def _verdict(verdict):
    """The claim, whether it holds, and what was found."""
    kind = OUTCOMES.get(verdict.outcome, "undecided")
    return (
        f'<div class="verdict {kind}"><p class="outcome">{_text(verdict.outcome)}</p>'
        f'<p class="claim">{_text(verdict.claim)}</p>{_table(findings_table(verdict))}</div>'
    )


def _table(table):
    """One `Table`."""
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in line) + "</tr>" for line in table.lines)
    notes = "".join(f"<li>{_text(note)}</li>" for note in table.notes)
    return (
        f'<div class="table"><table><caption>{_text(table.title)}</caption><thead><tr>{head}</tr></thead>'
        f'<tbody>{lines}</tbody></table></div><ul class="notes">{notes}</ul>'
    )


def _picture(caption, svg):
    """One picture; inside an img, so that nothing in it can run."""
    data = base64.b64encode(svg).decode("ascii")
    text = _text(caption)
    return f'<figure><img alt="{text}" src="data:image/svg+xml;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _footer(material):
    """Where the numbers come from."""
    lines = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in material.provenance)
    return (
        f"<footer><h2>Where this comes from</h2><table>{lines}</table>"
        f"<p>The whole grid:</p><pre>{escape(_lines(material.grid))}</pre></footer>"
    )


def _lines(text):
    """Text of several lines, each of them printable."""
    return "\n".join(printable(line) for line in text.split("\n"))
