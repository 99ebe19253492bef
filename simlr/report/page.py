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


def page(material: Any, images: Sequence[tuple[str, bytes]], of_sections: dict[str, tuple[str, bytes]]) -> str:
    """The page of a report.

    Parameters
    ----------
    material : Material
        What it says.
    images
        (caption, SVG) of each picture of the run.
    of_sections
        The same of each section of the analysis that has a picture, by the section's key, and of the "answer".
    """
    parts = [f"<h1>{_text(material.title)}</h1>", f'<p class="covers">{_text(material.covers)}</p>']
    parts += [f'<p class="covers">{_text(axis)}</p>' for axis in material.axes]
    if material.answer:
        answer = material.answer
        notes = "".join(f"<li>{_text(note)}</li>" for note in answer.notes)
        kind = ANSWERS.get(answer.outcome, "undecided")
        parts.append(_box(kind, answer.question, answer.sentence, f"<ul>{notes}</ul>"))
        parts.append(_picture(*of_sections["answer"]) if "answer" in of_sections else "")
        parts.append(_table(material.answer_table) if material.answer_table else "")
    if material.verdict:
        verdict = material.verdict
        kind = OUTCOMES.get(verdict.outcome, "undecided")
        parts.append(_box(kind, verdict.outcome, verdict.claim, _table(findings_table(verdict))))
    parts += [f"<p>{_text(text)}</p>" for text in material.about]
    parts += [f"<h2>{_text(material.compared)}</h2>" if material.tables else "", *map(_table, material.tables)]
    parts.append("<h2>Pictures</h2>" if images else "<p>This run holds nothing to draw yet.</p>")
    parts += [_picture(caption, svg) for caption, svg in images]
    for section in material.sections:
        parts += [f"<h2>{_text(section.title)}</h2>", f"<p>{_text(section.note)}</p>" if section.note else ""]
        parts.append(
            _picture(*of_sections[section.key])  # its title says the headline
            if section.key in of_sections
            else f"<p><strong>{_text(section.headline)}.</strong></p>" * bool(section.headline)
        )
        parts += map(_table, section.tables)
    lines = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in material.provenance)
    source = f"<h2>Where this comes from</h2><table>{lines}</table>"
    parts.append(f"<footer>{source}{_whole_grid(material.grid)}</footer>")
    return _document(f"{material.title} - simlr report", parts)


def schedules_page(
    title: str, covers: str, tables: Sequence[Table], images: Sequence[tuple[str, bytes]], grid: str
) -> str:
    """The page of a grid's learning rates.

    Parameters
    ----------
    title, covers
        What stands at its head.
    tables
        The tables below the pictures.
    images
        (caption, SVG) of each picture.
    grid
        TOML.
    """
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="covers">{_text(covers)}</p>',
        *(_picture(caption, svg) for caption, svg in images),
        *map(_table, tables),
        f"<footer>{_whole_grid(grid)}</footer>",
    ]
    return _document(f"{title} - simlr schedules", parts)


def _box(kind, head, claim, content):
    """What the reader should see first, in the colours of its kind."""
    return (
        f'<div class="verdict {kind}"><p class="outcome">{_text(head)}</p>'
        f'<p class="claim">{_text(claim)}</p>{content}</div>'
    )


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


def _whole_grid(toml):
    """A grid's TOML, each line printable."""
    lines = "\n".join(printable(line) for line in toml.split("\n"))
    return f"<p>The whole grid:</p><pre>{escape(lines)}</pre>"
