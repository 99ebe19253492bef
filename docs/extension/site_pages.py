"""The site's extension of Sphinx: pages made from the code, links into the repository, formulas without a script."""

import os
import re
from pathlib import Path

import api_pages
import grid_pages
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

MADE = "made"  # the folder of the pages that are made; git ignores it
# Files of the repository that lie outside docs/, and the pages that show them.
SHOWN = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "data/README.md": "data.md",
}
LINK = re.compile(r"(\]\()([^)\s#]+)")


def write_pages(app) -> None:
    """Write every page whose text has changed, so that a second build reads only those anew."""
    folder = Path(app.srcdir) / MADE
    folder.mkdir(exist_ok=True)
    for name, page in {**grid_pages.PAGES, **api_pages.PAGES}.items():
        path, text = folder / f"{name}.md", page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def relinked(text: str, read_in: Path, shown_in: Path, docs: Path) -> str:
    """A text with its links to files as they are on the site.

    Parameters
    ----------
    text
        Markdown, or a notebook's JSON.
    read_in, shown_in
        The folders of the file that has the links, and of the page that shows them.
    docs
        The folder of the pages, inside the repository.
    """

    def moved(match):
        if ":" in match[2]:  # an address
            return match[0]
        target = Path(os.path.normpath(read_in / match[2]))
        name = os.path.relpath(target, docs.parent)
        target = docs / SHOWN[name] if name in SHOWN else target
        return match[1] + os.path.relpath(target, shown_in)

    return LINK.sub(moved, text)


def read_source(app, name, content) -> None:
    """Let the links of a page lead to pages."""
    path = Path(app.env.doc2path(name))
    content[0] = relinked(content[0], path.parent, path.parent, Path(app.srcdir))


def read_included(app, path, parent, content) -> None:
    """The same for a file that a page includes: its links are those of its own folder."""
    docs = Path(app.srcdir)
    content[0] = relinked(content[0], (docs / path).resolve().parent, (docs / parent).parent, docs)


def visit_formula(writer, node) -> None:
    """A formula as MathML, in its line or as a block."""
    is_block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=is_block)
    writer.body.append(f'<div class="formula">{formula}</div>' if is_block else formula)
    raise nodes.SkipNode


def setup(app) -> dict:
    """What Sphinx calls."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", read_source)
    app.connect("include-read", read_included)
    app.add_html_math_renderer("mathml", (visit_formula, None), (visit_formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
