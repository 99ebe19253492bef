"""The report as one HTML page, fit for print. Nothing comes from outside, and what comes from a file is escaped.

Its policy lets a browser apply one style and run one script, both told by their hashes; pictures are SVG within it.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..text import many, printable
from .document import document
from .figures.inline import Inline, legend_svg, scripts_data
from .story import Story
from .tables import Table

FILES = Path(__file__).parent / "page"
THEMES = ("auto", "light", "dark")
WIDE = 600.0  # a picture of more units is not squeezed into a phone
OF_PROBLEM = re.compile(r" \[[^\[\]]*\]$")  # at the end of a title
WORDS, LONG = 28, ' class="words"'  # cells of more letters are broken into lines


def page(material: Any, story: Story, theme: str = THEMES[0], explorer: str = "") -> str:
    """The page of a report.

    Parameters
    ----------
    material : Material
        What it says.
    story
        In what order, with the pictures.
    theme
        One of THEMES; "auto" is as the reader's system has it.
    explorer
        The name of the explorer's file beside the page; "" where there is none.
    """
    outcome = f'<span class="outcome">{_text(story.outcome.capitalize())}.</span> ' if story.outcome else ""
    drawn = [*filter(None, [story.first]), *(picture for chapter in story.chapters for picture in chapter.pictures)]
    parts = [
        f'<main><header class="first"><p class="name">{_text(material.title)} - {_text(material.covers)}</p>',
        f"<h1>{_text(story.question)}</h1>",
        f'<p class="verdict {story.kind}">{outcome}{_text(story.sentence)}</p>' if outcome or story.sentence else "",
        _picture(story.first, titled=material.answer is None) if story.first else "",
        f'<p class="covers">{_text(story.details)}</p>' if story.details else "",
        f'<p><a class="opens" href="{escape(explorer)}">Try other rates, steps and samples</a></p>' if explorer else "",
        "</header>",
        _files([file for section in material.sections for file in section.files]),
        "" if drawn else "<p>This run holds nothing to draw yet.</p>",
        _folded(story.tables, story.notes),
        _axes(material.axes),
        *(f'<p class="covers">{_text(text)}</p>' for text in material.about),
    ]
    for chapter in story.chapters:
        parts.append(f"<h2>{_text(chapter.title)}</h2>")
        parts += [f'<p class="says">{_text(chapter.says)}.</p>'] if chapter.says else []
        parts += map(_picture, chapter.pictures)
        parts.append(_folded(chapter.tables))
    notes = [section.note for section in material.sections if section.note and not section.tables]
    parts += [f'<p class="covers">{_text(note)}</p>' for note in notes]
    lines = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in material.provenance)
    source = f"<details><summary>Where this comes from</summary><table>{lines}</table></details>"
    parts.append(f"</main><footer>{source}{_whole_grid(material.grid)}</footer>")
    return _document(f"{material.title} - simlr report", parts, drawn, theme)


def schedules_page(title: str, covers: str, tables: Sequence[Table], images: Sequence[Inline], grid: str) -> str:
    """The page of a grid's learning rates.

    Parameters
    ----------
    title, covers
        What stands at its head.
    tables
        The tables below the pictures.
    images
        The pictures.
    grid
        TOML.
    """
    parts = [*_plain(title, covers, tables, images), f"</main><footer>{_whole_grid(grid)}</footer>"]
    return _document(f"{title} - simlr schedules", parts, images, THEMES[0])


def plain_page(title: str, covers: str, tables: Sequence[Table], images: Sequence[Inline]) -> str:
    """A page of pictures and tables with no run behind it.

    Parameters
    ----------
    title, covers
        What stands at its head.
    tables
        The tables below the pictures.
    images
        The pictures.
    """
    parts = [*_plain(title, covers, tables, images), "</main>"]
    return _document(f"{title} - simlr", parts, images, THEMES[0])


def _plain(title, covers, tables, images):
    """The head of a page without a story, its pictures and tables; the main part is left open."""
    head = f'<main><h1>{_text(title)}</h1><p class="covers">{_text(covers)}</p>'
    return [head, *map(_picture, images), *map(_table, tables)]


def _document(title, parts, pictures, theme):
    """The page of some parts of HTML."""
    body = "\n".join(part for part in parts if part)
    asked = "" if theme == THEMES[0] else f' data-theme="{theme}"'
    return document(title, body, ("values", scripts_data(pictures)), FILES, asked)


def _text(value):
    """Text on one line, fit for HTML."""
    return escape(printable(value))


def _folded(tables, notes=()):
    """Tables and notes that are opened by a click."""
    if not tables and not notes:
        return ""
    listed = "".join(f"<li>{_text(note)}</li>" for note in notes)
    titles = dict.fromkeys(OF_PROBLEM.sub("", table.title) for table in tables)  # each once, of many problems too
    each = ", by problem" if len(titles) < len(tables) else ""
    name = f"{many(len(tables), 'table')}{each}: {'; '.join(map(_text, titles))}" if tables else "Notes"
    body = "".join(map(_table, tables)) + (f'<ul class="notes">{listed}</ul>' if listed else "")
    return f"<details><summary>{name}</summary>{body}</details>"


def _files(files):
    """Links to files that the page holds itself."""
    links = ", ".join(
        f'<a download="{escape(name)}" href="data:text/plain;base64,{b64encode(text.encode()).decode()}">'
        f"{_text(name)}</a>"
        for name, text in files
    )
    return f'<p class="covers">The optimal rates, for torch: {links}</p>' if links else ""


def _axes(lines):
    """The axes of the grid, opened by a click."""
    listed = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f'<details><summary>What was varied</summary><ul class="notes">{listed}</ul></details>' if lines else ""


def _table(table):
    """One `Table`."""
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    lines = "".join(
        "<tr>" + "".join(f"<td{LONG if len(cell) > WORDS else ''}>{_text(cell)}</td>" for cell in line) + "</tr>"
        for line in table.lines
    )
    notes = "".join(f"<li>{_text(note)}</li>" for note in table.notes)
    return (
        f'<div class="table"><table class="sorts"><caption>{_text(table.title)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>" + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _picture(picture, titled=True):
    """One picture with its title, legend and caption."""
    says = f'<p class="says">{_text(picture.title)}</p>' if picture.title and titled else ""
    keys = "".join(
        f'<li><button type="button" aria-pressed="true" data-series="{i}">{legend_svg(entry)}{_text(entry.label)}'
        "</button></li>"
        for i, entry in enumerate(picture.legend)
    )
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    wide = float(picture.svg.split('viewBox="0 0 ', 1)[1].split(" ", 1)[0]) > WIDE
    return (
        f'<figure id="{picture.key}">{says}{legend}<div class="scroll{" wide" if wide else ""}">{picture.svg}</div>'
        f"<figcaption>{_text(picture.caption)}</figcaption></figure>"
    )


def _whole_grid(toml):
    """A grid's TOML, each line printable."""
    lines = "\n".join(printable(line) for line in toml.split("\n"))
    return f"<details><summary>The whole grid</summary><pre>{escape(lines)}</pre></details>"
