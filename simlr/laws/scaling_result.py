"""What the exponents of a grid say: as text, as values for JSON, as CSV, and as a page with pictures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..report.csv_files import csv_text
from ..report.figures import style
from ..report.figures.inline import inline
from ..report.page import plain_page
from ..report.tables import Table
from ..text import number, shortened
from .sizes import Line

# What stands on the axis of each budget.
BUDGETS = {"steps": "steps", "rows": "rows seen", "work": "steps x batch size x size"}
COLUMNS = ("family", "problem", "against", "budget", "loss", "schedule", "steps", "rows", "size")
MOST_LINES = len(style.COLOURS)
UNDETERMINED = "not determined"
FEW = 6  # budgets of one seed, of which intervals are too short


def tables(lines: Sequence[Line]) -> list[Table]:
    """The exponents, and the frontiers that they are of."""
    rows = []
    for line in lines:
        found = line.exponent
        told = ("-", "-", line.why) if found is None else (
            f"{found.exponent:.4g}" + (" (at the bound of the search)" if found.at_bound else ""),
            UNDETERMINED if found.exponent_interval == (0.0, math.inf) else "{:.4g} to {:.4g}".format(
                *found.exponent_interval), number(found.floor),
        )  # fmt: skip
        rows.append((line.family, _problem(line), BUDGETS[line.against], str(len(line.points)), *told))
    header = ("schedules", "problem", "against", "budgets", "exponent p", "95 % interval", "floor")
    notes: tuple[str, ...] = (
        "loss = floor + amplitude budget^-p, of the best schedule of each budget",
        "intervals are of the seeds or, of one seed, of the misfit; a power law that bends over these budgets has none",
        "an end of 0 or inf lies beyond the exponents that are looked at, 0.001 to 10",
    )
    if any(line.exponent and len(line.points) < FEW and line.points[0].losses.size == 1 for line in lines):
        notes = (*notes, f"of fewer than {FEW} budgets of one seed they are too short: of four they held 4 times in 5")
    notes = (*notes, *(told for line in lines for told in _doubts(line)))
    made = [Table("Exponents of the tuned loss", header, tuple(rows), notes)]
    for line in lines:
        if line.against == "work":
            made.append(_frontier(line))
    return made


def _doubts(line):
    """What speaks against an exponent, a line each: best rates at an end of those tried, and a law that bends."""
    name = ", ".join(filter(None, (line.family, _problem(line, ""), f"against {BUDGETS[line.against]}")))
    for (rate, edge), count in line.edges.items():
        yield (
            f"{name}: the best {rate} is the {edge} tried at {count} of {len(line.points)} budgets, and a better one "
            "may lie beyond"
        )
    if line.bends:
        both = "{:.3g} over the first half of the budgets, {:.3g} over the last".format(*line.halves)
        yield f"{name}: one power law does not fit: p = {both}"


def _frontier(line):
    """The table of a frontier."""
    rows = tuple(
        (f"{one.work:.4g}", f"{one.size:g}", f"{one.steps:,}", f"{one.rows:,.0f}", number(one.loss), one.schedule)
        for one in line.points
    )  # fmt: skip
    slope, low, high = line.size_exponent
    told = "too few points between the smallest and the largest size to tell how the best one grows"
    if not math.isnan(slope):
        told = f"the best size grows as work^{slope:.3g} (95 % {low:.3g} to {high:.3g} around a straight line), by "
        told += "the points between the smallest and the largest size"
    title = f"Which size is best for how much work: {line.family}{', ' if line.problem else ''}{_problem(line, '')}"
    return Table(title, ("work", "size", "steps", "rows", "loss", "schedule"), rows, (told,))


def _problem(line, none="-"):
    return ", ".join(f"{name} {value:g}" if isinstance(value, float | int) else f"{name} {value}"
                     for name, value in line.problem) or none  # fmt: skip


def as_values(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """All of it for JSON; null for what is not known."""
    return [
        {
            "family": line.family,
            "problem": dict(line.problem),
            "against": line.against,
            "exponent": None if line.exponent is None else line.exponent._asdict(),
            "why": line.why,
            "halves": None if math.isnan(line.halves[0]) else list(line.halves),
            "bends": line.bends,
            "edges": [
                {"parameter": rate, "edge": edge, "budgets": count} for (rate, edge), count in line.edges.items()
            ],
            "size_exponent": None if math.isnan(line.size_exponent[0]) else list(line.size_exponent),
            "points": [dict(zip(COLUMNS[3:], _values(line, point), strict=True)) for point in line.points],
        }
        for line in lines
    ]


def _values(line, point):
    budget = getattr(point, line.against)
    return budget, point.loss, point.schedule, point.steps, point.rows, point.size


def as_csv(lines: Sequence[Line]) -> str:
    """All points, a line each."""
    rows = [(line.family, _problem(line, ""), line.against, *_values(line, p)) for line in lines for p in line.points]
    return csv_text(COLUMNS, rows)


def as_page(name: str, lines: Sequence[Line]) -> str:
    """The page: a picture for every kind of budget, and the tables."""
    images = [inline(_picture(against, lines)) for against in BUDGETS if any(one.against == against for one in lines)]
    covers = f"{len({line.family for line in lines})} families of schedules, {len(lines)} curves"
    return plain_page(f"How the loss of {name} falls", covers, tables(lines), images)


def _picture(against, lines):
    """The best losses against a budget, with the fitted power laws, of as many curves as there are looks."""
    own = [line for line in lines if line.against == against and line.points]
    with style.applied():
        figure, (panel,) = style.figure()
        for i, line in enumerate(own[:MOST_LINES]):
            budgets = np.array([getattr(point, against) for point in line.points], np.float64)
            label = shortened(f"{line.family} {_problem(line, '')}".strip().replace("_", " "), 40)
            look = {"color": style.COLOURS[i], "linestyle": style.DASHES[i]}
            panel.plot(budgets, [point.loss for point in line.points], "o", color=look["color"], markersize=4)
            if line.exponent is not None:
                fit, dense = line.exponent, np.geomspace(budgets[0], budgets[-1], 100)
                label += f": p = {fit.exponent:.3g}"
                panel.plot(dense, fit.floor + fit.amplitude * dense**-fit.exponent, **look, label=style.plain(label))
            else:
                panel.plot(budgets, [point.loss for point in line.points], **look, label=style.plain(label))
        panel.set(xscale="log", yscale="log", xlabel=BUDGETS[against], ylabel="loss of the best schedule")
        style.title(figure, f"The best loss against {BUDGETS[against]}")
        style.legend(figure, panel)
    left = len(own) - MOST_LINES
    more = f" {left} more curves are in the tables alone." if left > 0 else ""
    caption = f"Points: the best schedule of each budget. Lines: floor + amplitude budget^-p.{more}"
    return style.Picture(f"against-{against}", caption, figure)
