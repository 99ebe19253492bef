"""The explorer as one HTML page: its script, style and numbers inside it, and nothing loaded from anywhere."""

import re
from html import escape
from pathlib import Path

from ...store.run import Run
from ...text import many, powers, printable
from ..document import document
from .data import material
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
    groups = [{"name": name, "samples": [sample._asdict() for sample in samples]} for name, samples in found.groups]
    numbers = "data", {"groups": groups, "own": found.own._asdict()}
    return document(
        f"{run.config.name} - simlr explorer", _body(run.config.name, name, found), numbers, FOLDER / "explorer"
    )


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
    return re.sub("@([A-Z]+)@", lambda place: filled[place[1]], (FOLDER / "body.html").read_text(encoding="utf-8"))


def _sentence(sample, own, small, large):
    """What the setting that the page opens with gives."""
    steps = powers(f"{many(own.steps, 'large step')} of {own.rate:g} first")
    first, second = (powers(f"{_test_loss(sample, end.residual):.3g}") for end in (small, large))
    at = powers(f"at train loss {sample.train_floor + own.level:.3g}")
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
