"""The section on how far the schedules of a grid end from the optimum, where the grid has one."""

import re
from typing import Any

from ..analysis.answer_words import digits
from ..analysis.levels import heading
from ..analysis.on_page import MOST_LINES
from ..analysis.wording import begun, joined, told_apart
from ..schedules import export
from ..text import number, powers, shortened
from .sections import Section
from .tables import Table, label

MOST_NAMED = MOST_FILES = 4
FILE_NAME = re.compile(r"[^A-Za-z0-9.=_]+")  # what a name of a schedule has, and that of a file has not


def optima(analysis: Any) -> list[Section]:
    """The best of each family beside the optimum, at every horizon, of the problem combinations that have room."""
    shown = analysis.shown
    rows = [row for row in analysis.optima if row.best and row.problem in shown]
    if not rows:
        return []
    kind = analysis.run.config.level_kind
    tables = tuple(_table(kind, problem, [row for row in rows if row.problem == problem]) for problem in shown)
    title = "How far from the optimum does each shape end?"
    return [Section("optima", title, tables, rows, headline=_headline(rows), files=_to_take_away(analysis.run, rows))]


def _to_take_away(run, rows):
    """The rates of the first few optima, for training with torch."""
    names = list(dict.fromkeys(row.schedule for row in rows if row.is_optimum))[:MOST_FILES]
    places, cells = list(run["schedule"]), run.config.combinations()
    chosen = {name: cells[places.index(name)][0] for name in names}
    return tuple((f"{FILE_NAME.sub('-', name).strip('-')}.py", export(one, "torch")) for name, one in chosen.items())


def _headline(rows):
    """How far the nearest and the farthest family are, over all horizons and problems that are shown."""
    families: dict[str, list] = {}
    for row in rows:
        if not row.is_optimum and row.ratio == row.ratio:
            families.setdefault(row.family, []).append(row.ratio)
    if not families:
        return "Nothing ends beside the optimum"
    ordered = sorted(families.items(), key=lambda item: max(item[1]))[:MOST_NAMED]
    said = [f"the best {shortened(name)} ends at {_range(min(ratios), max(ratios))}" for name, ratios in ordered]
    return f"{begun(joined(said))} times the optimum's loss"


def _range(low, high):
    """Two ratios, or one where they read alike."""
    texts = list(dict.fromkeys(map(digits, (low, high))))
    return " to ".join(texts)


def _table(kind, problem, rows):
    """The table of one problem combination."""
    measure = rows[0].measure.replace("_", " ")
    header = ("at", "best of", "schedule", f"{measure} above its floor", "over the optimum's", "shape exponent")
    told = told_apart([row.schedule for row in rows])
    lines = [
        (heading(kind, row.level), shortened(row.family), told[row.schedule], number(row.loss),
         "1 (the optimum)" if row.is_optimum else powers(f"{row.ratio:.4g}"),
         f"{row.exponent:.2f}" if row.exponent == row.exponent else "-")
        for row in rows[:MOST_LINES]
    ]  # fmt: skip
    notes = [
        f"means over the seeds; the optimum is the least {measure} of the schedules of kind 'optimal' of as many steps",
        "shape exponent: gamma of a rate in proportion to (1 - t/N)^gamma, fitted over the first half of the N steps",
    ]
    if len(rows) > MOST_LINES:
        notes.append(f"{len(rows) - MOST_LINES} more: see the report's optima.csv")
    return Table(f"The best of each shape beside the optimum{label(problem)}", header, tuple(lines), tuple(notes))
