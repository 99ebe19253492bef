"""An HTML page that holds all it needs: one style, one script and its numbers, which a strict content policy names."""

import base64
import hashlib
import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from ..text import printable

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'"


def document(title: str, body: str, numbers: tuple[str, Any], files: Path, attributes: str = "") -> str:
    """A page that asks for nothing, and runs its own script alone.

    Parameters
    ----------
    title
        Plain text.
    body
        HTML.
    numbers
        (id, what the script reads from the element of that id, fit for JSON).
    files
        The path of style and script without .css and .js.
    attributes
        Of the root element, each with a space before it.

    Returns
    -------
    str
        HTML.
    """
    (style, style_hash), (script, script_hash) = _asset(files.with_suffix(".css")), _asset(files.with_suffix(".js"))
    policy = f"{POLICY}; style-src '{style_hash}'; script-src '{script_hash}'"
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(printable(title))}</title><style>{style}</style>"
    )
    # "<" could end the block, whatever stands behind it.
    values = json.dumps(numbers[1], separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    block = f'<script type="application/json" id="{numbers[0]}">{values}</script>\n<script>{script}</script>'
    top = f'<!doctype html>\n<html lang="en"{attributes}>\n<head>{head}</head>'
    return f"{top}\n<body>\n{body}\n{block}\n</body>\n</html>\n"


@cache
def _asset(path: Path) -> tuple[str, str]:
    """A style or script, and the hash by which the content policy names it."""
    text = path.read_text(encoding="utf-8")
    return text, "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
