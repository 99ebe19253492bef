"""Plain text as Markdown."""

import re

CODE = re.compile(r"(`[^`]*`)")
# What Markdown takes for emphasis, a tag, a formula, a link or the end of a cell.
MARKS = re.compile(r"([*<$\[\]|])")


def escaped(text: str) -> str:
    """A text whose stars, bars and brackets stand for themselves, but in code."""
    return "".join(one if one.startswith("`") else MARKS.sub(r"\\\1", one) for one in CODE.split(text))


def cell(text: str) -> str:
    """A text as a cell of a table, in which a bar ends the cell also within code."""
    return "".join(
        one.replace("|", r"\|") if one.startswith("`") else escaped(one) for one in CODE.split(text.replace("\n", " "))
    )
