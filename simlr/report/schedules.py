"""The learning rates of a grid, and what convex theory promises of them, as tables and CSV."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.grid import GridConfig
from ..config.schedule_tables import expand_schedule
from ..schedules import bounds
from ..schedules.schedule import Schedule
from ..text import listed, many, number, shortened
from .tables import MOST_LINES, Table

POINTS = 600  # a curve
WHOLE = 1 << 18  # steps that are all looked at
WINDOW = 64  # steps looked at around each point of a longer schedule
CSV_ROWS, CSV_STEPS = 200_000, 4096
# Steps looked at for all bounds of the tables, and for all curves of bounds; the points of a curve.
LOOKS, CURVE_LOOKS = 1 << 25, 1 << 24
MOST_BOUND_POINTS, FEWEST_BOUND_POINTS = 64, 8
EARLY = 16  # a curve of bounds leaves out this part of the steps, where it is so large that nothing else would be seen


class Group(NamedTuple):
    """One [[schedule]] table: its name, and its schedules with what tells them apart."""

    name: str
    schedules: list
    labels: list


def schedule_groups(config: GridConfig) -> list[Group]:
    """The `Group`s of a grid."""
    found = []
    for table in config.schedule:
        made = [made for made, _ in expand_schedule(f"schedule {table['name']!r}", table, config.stop["max_steps"])]
        labels = [one.name.removeprefix(table["name"]).strip("[]") for one in made]
        found.append(Group(table["name"], made, labels))
    return found


def curve(schedule: Schedule) -> tuple[NDArray, NDArray[np.float64]]:
    """Steps and rates to draw: all of them, or of every stretch the smallest and the largest, in their order."""
    length = schedule.length
    if length <= POINTS:
        return np.arange(length), schedule.rates(0, length)
    starts = np.linspace(0, length, POINTS // 2 + 1).astype(np.int64)
    whole = schedule.rates(0, length) if length <= WHOLE else None
    steps, rates = [0], [schedule.rates(0, 1)[0]]
    for first, after in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        last = after if whole is not None else min(after, first + WINDOW)
        window = whole[first:last] if whole is not None else schedule.rates(first, last)
        for place in sorted({int(window.argmin()), int(window.argmax())}):
            steps.append(first + place)
            rates.append(window[place])
    return np.array([*steps, length - 1]), np.array([*rates, schedule.rates(length - 1, length)[0]])


def terms_of(schedules: Sequence[Schedule]) -> list[bounds.Terms | None]:
    """The `bounds.Terms` of each schedule; None where it has no steps or, among so many, too many to look at."""
    room = LOOKS // max(len(schedules), 1)
    return [bounds.of_schedule(one) if one.length and bounds.cost(one) <= room else None for one in schedules]


def bound_curve(schedule: Schedule, looks: int) -> tuple[NDArray, NDArray[np.float64]]:
    """Steps and the bound had one stopped there, all rates multiplied so that the last one is smallest; none where
    that would take more than `looks` steps looked at."""
    points = min(MOST_BOUND_POINTS, looks // max(bounds.cost(schedule), 1))
    if not schedule.length or points < FEWEST_BOUND_POINTS:
        return np.empty(0, np.int64), np.empty(0)
    factor = bounds.of_schedule(schedule).best_factor
    steps = np.unique(np.linspace(-(-schedule.length // EARLY), schedule.length, points).astype(np.int64))
    return steps, np.array([bounds.of_schedule(schedule, int(step)).at(factor) for step in steps])


# ---- in words and numbers ----


def as_table(found: Sequence[Group]) -> Table:
    """The schedules as a `Table`: steps, first, largest and last rate."""
    made = [one for group in found for one in group.schedules]
    lines = [_line(one) for one in made[:MOST_LINES]]
    notes = ["in units of 1/sharpness: " + _in_sharpness(made)] if _in_sharpness(made) else []
    if len(made) > MOST_LINES:
        notes.append(f"{len(made) - MOST_LINES} more are in schedules.csv")
    header = ("schedule", "steps", "first", "smallest", "largest", "last", "then")
    return Table("Learning rates", header, tuple(lines), tuple(notes))


def _in_sharpness(made):
    names = [one.name for one in made if one.unit == "sharpness"]
    return listed(names)


def _line(schedule):
    """One line of the table."""
    after = "flow" if schedule.flows else "-"
    if not schedule.length:
        return (shortened(schedule.name), "0", "-", "-", "-", "-", after)
    _, rates = curve(schedule)
    told = (number(float(value)) for value in (rates[0], rates.min(), rates.max(), rates[-1]))
    return (shortened(schedule.name), f"{schedule.length:,}", *told, after)


def as_bounds(found: Sequence[Group]) -> Table:
    """The last-iterate bounds as a `Table`: at the rates given, and at the best multiple of them."""
    made = [one for group in found for one in group.schedules][:MOST_LINES]
    lines = [(shortened(one.name), *_bound_cells(one, told)) for one, told in zip(made, terms_of(made), strict=True)]
    notes = (
        "f(x_T) - f* <= bound after the steps, before any flow, for convex f with subgradients of norm <= 1 and a",
        "minimiser at distance 1 (Schaipp et al. 2025); at the best multiple of all rates it is smallest",
    )
    header = ("schedule", "bound", "best multiple", "largest rate there", "bound there", "x sqrt(steps)")
    return Table("Bound on the last iterate, convex f, D = G = 1", header, tuple(lines), notes)


def _bound_cells(schedule, terms):
    """What the table of bounds has of one schedule."""
    if terms is None:
        return ("-",) * 5
    scaled = terms.best * schedule.length**0.5
    return tuple(number(float(value)) for value in (terms.at(), terms.best_factor, terms.best_rate, terms.best, scaled))


def bounds_csv(found: Sequence[Group]) -> str:
    """One row a schedule: its bound as given, the best multiple of its rates and the bound there; "" if not known."""
    made = [one for group in found for one in group.schedules]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["schedule", "unit", "steps", "bound", "best_multiple", "best_largest_rate", "best_bound"])
    for one, terms in zip(made, terms_of(made), strict=True):
        told = (terms.at(), terms.best_factor, terms.best_rate, terms.best) if terms else ("",) * 4
        writer.writerow([one.name, one.unit, one.length, *told])
    return text.getvalue()


def as_csv(found: Sequence[Group]) -> str:
    """schedule, unit, step, learning_rate: every step, or of long schedules evenly chosen ones, with all digits."""
    made = [one for group in found for one in group.schedules]
    most = max(2, min(CSV_STEPS, CSV_ROWS // len(made)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["schedule", "unit", "step", "learning_rate"])
    for one in made:
        for step, rate in zip(*_chosen(one, most), strict=True):
            writer.writerow([one.name, one.unit, step, repr(rate)])
    return text.getvalue()


def _chosen(schedule, most):
    """At most so many steps, evenly chosen, and their rates."""
    if schedule.length <= most:
        return range(schedule.length), schedule.rates(0, schedule.length).tolist()
    steps = np.unique(np.linspace(0, schedule.length - 1, most).astype(np.int64)).tolist()
    return steps, [float(schedule.rates(step, step + 1)[0]) for step in steps]


def page_parts(found: Sequence[Group]) -> tuple[str, list[Table]]:
    """What stands on the page beside the pictures: title line and the tables."""
    total = sum(len(group.schedules) for group in found)
    return many(total, "schedule"), [as_table(found), as_bounds(found)]
