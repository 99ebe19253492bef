"""The explorer as one HTML page: its script, style and numbers inside it, and nothing loaded from anywhere."""

import base64
import hashlib
import json
import re
from html import escape
from pathlib import Path

from ...store.run import Run
from ...text import many, printable
from .data import Material, material
from .picture import picture
from .recurrence import descend

NAME = "explorer.html"
FOLDER = Path(__file__).parent


def explorer_page(run: Run, name: str) -> str:
    """The page in which a run of two parameters is trained again with other settings.

    Parameters
    ----------
    run
        A finished run of a grid with d = 2.
    name
        The name of its file, which the page says.

    Returns
    -------
    str
        HTML that runs its own script alone, by the content policy inside it, and asks for nothing.

    Raises
    ------
    InputError
        Where the run cannot be explored, with the reason.
    """
    found = material(run)
    script, style = _source("explorer.js"), _source("explorer.css")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(printable(run.config.name))} - simlr explorer</title><style>{style}</style>"
    )
    body = _body(run.config.name, name, found)
    values = f'<script type="application/json" id="data">{_values(found)}</script>'
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}{values}\n<script>{script}</script>\n'
        "</body>\n</html>\n"
    )


def _source(name):
    """A file beside this one."""
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text):
    """What a content policy calls a text by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _values(found: Material):
    """The page's numbers as JSON, in which no end of the script element can stand."""
    groups = [{"name": name, "samples": [sample._asdict() for sample in samples]} for name, samples in found.groups]
    text = json.dumps({"groups": groups, "own": found.own._asdict()}, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _body(title, name, found):
    """The body, with the run's own case as what is there before the script has run."""
    own, sample = found.own, found.groups[found.own.group][1][found.own.sample]
    small, large = (descend(sample.curvature, sample.start, own.rate, steps, own.level) for steps in (0, own.steps))
    above = any(one.train_floor > 0.0 for _, samples in found.groups for one in samples)
    filled = {
        "COVERS": escape(printable(f"{title}, of {name}: {found.covers}; opens with "
                                   + ("the run's own rate" if found.is_own else "the edge of stability"))),
        "SENTENCE": escape(_sentence(sample, own, small, large)),
        "GROUP": _choice([group for group, _ in found.groups]),
        "ABOVE": " <small>(above its minimum)</small>" if above else "",
        "STATIC": picture(sample, small, large, own.level),
    }  # fmt: skip
    # In one pass, so that a name that looks like a place to fill stays a name.
    return re.sub("@([A-Z]+)@", lambda place: filled[place[1]], _source("body.html"))


def _sentence(sample, own, small, large):
    """What the setting that the page opens with gives."""
    steps = f"{many(own.steps, 'large step')} of {own.rate:g} first"
    first, second = (f"{_test_loss(sample, end.residual):.3g}" for end in (small, large))
    at = f"at train loss {sample.train_floor + own.level:.3g}"
    if large.diverged:
        return f"Small steps alone end at test loss {first}, {at}; {steps} diverge."
    return f"Small steps alone end at test loss {first} and {steps} end at test loss {second}, both {at}."


def _choice(names):
    """The list of combinations of problem parameters; nothing where there is one."""
    if len(names) == 1:
        return ""
    options = "".join(f'<option value="{place}">{escape(name)}</option>' for place, name in enumerate(names))
    return f'<label for="group">Problem</label><select id="group">{options}</select>\n'


def _test_loss(sample, residual):
    """test_floor + y^T (slope + M y), y = r + offset."""
    y = [r + offset for r, offset in zip(residual, sample.offset, strict=True)]
    slopes = [
        b + sum(m * x for m, x in zip(row, y, strict=True)) for b, row in zip(sample.slope, sample.matrix, strict=True)
    ]
    return sample.test_floor + sum(x * slope for x, slope in zip(y, slopes, strict=True))
