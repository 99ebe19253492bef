"""The learning rates of a grid, and what convex theory promises of them, as tables and CSV."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..config.grid import GridConfig
from ..config.schedule_tables import expand_schedule
from ..schedules import bounds
from ..schedules.registry import PLATEAU
from ..schedules.schedule import Schedule
from ..text import listed, many, number, shortened
from .csv_files import csv_text
from .tables import MOST_LINES, Table

POINTS = 600  # a curve
WHOLE = 1 << 18  # steps that are all looked at
WINDOW = 64  # steps looked at around each point of a longer schedule
CSV_ROWS, CSV_STEPS = 200_000, 4096
# Steps looked at for all bounds of the tables, and for all curves of bounds; the points of a curve.
TABLE_STEPS, CURVE_STEPS = 1 << 25, 1 << 24
MOST_BOUND_POINTS, FEWEST_BOUND_POINTS = 64, 8
EARLY = 16  # a curve of bounds leaves out this part of the steps, where it is so large that nothing else would be seen


class Group(NamedTuple):
    """One [[schedule]] table: its name, and its schedules with what tells them apart."""

    name: str
    schedules: list
    labels: list


def schedule_groups(config: GridConfig) -> list[Group]:
    """The `Group`s of a grid, one a [[schedule]] table."""
    groups = []
    for table in config.schedule:
        expanded = expand_schedule(f"schedule {table['name']!r}", table, config.stop["max_steps"])
        schedules = [schedule for schedule, _ in expanded]
        labels = [schedule.name.removeprefix(table["name"]).strip("[]") for schedule in schedules]
        groups.append(Group(table["name"], schedules, labels))
    return groups


def _all_schedules(groups):
    """Those of all groups."""
    return [schedule for group in groups for schedule in group.schedules]


def is_known(schedule: Schedule) -> bool:
    """Whether it has steps, whose rates are known before a run; those of `reduce_on_plateau` are each seed's own."""
    return bool(schedule.length) and not schedule.plateau


def curve(schedule: Schedule) -> tuple[NDArray, NDArray[np.float64]]:
    """The rates of a schedule that are drawn: all of them, or of every stretch the smallest and the largest.

    Returns
    -------
    steps : int64 (T,)
        Ascending.
    rates : float64 (T,)
        In the schedule's unit.
    """
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
    """The `bounds.Terms` of each schedule; None where it has no known rates or, among so many, too many of them."""
    room = TABLE_STEPS // max(len(schedules), 1)
    return [bounds.of_schedule(one) if is_known(one) and bounds.cost(one) <= room else None for one in schedules]


def bound_curve(schedule: Schedule, most_steps: int) -> tuple[NDArray, NDArray[np.float64]]:
    """The bound on f(x) - f* had one stopped there, all rates multiplied so that the last bound is smallest.

    Parameters
    ----------
    schedule
        Its flow, if it has one, is left out.
    most_steps
        How many steps may be evaluated for it.

    Returns
    -------
    steps : int64 (T,)
        Ascending; none where that would take more.
    bound : float64 (T,)
        In units of D G; see `schedules.bounds`.
    """
    points = min(MOST_BOUND_POINTS, most_steps // max(bounds.cost(schedule), 1)) if is_known(schedule) else 0
    if points < FEWEST_BOUND_POINTS:
        return np.empty(0, np.int64), np.empty(0)
    factor = bounds.of_schedule(schedule).best_factor
    steps = np.unique(np.linspace(-(-schedule.length // EARLY), schedule.length, points).astype(np.int64))
    return steps, np.array([bounds.of_schedule(schedule, int(step)).at(factor) for step in steps])


# ---- in words and numbers ----


def as_table(groups: Sequence[Group]) -> Table:
    """The schedules as a `Table`: steps, first, largest and last rate."""
    schedules = _all_schedules(groups)
    lines = []
    for schedule in schedules[:MOST_LINES]:
        cells: tuple[str, ...] = ("-",) * 4
        if is_known(schedule):
            _, rates = curve(schedule)
            cells = tuple(number(float(rate)) for rate in (rates[0], rates.min(), rates.max(), rates[-1]))
        elif schedule.plateau:
            first = number(schedule.plateau["learning_rate"])
            cells = (first, "-", first, "-")
        after = "flow" if schedule.flows else "-"
        lines.append((shortened(schedule.name), f"{schedule.length:,}", *cells, after))
    in_sharpness = listed([schedule.name for schedule in schedules if schedule.unit == "sharpness"])
    notes = [f"in units of 1/sharpness: {in_sharpness}"] if in_sharpness else []
    if any(schedule.plateau for schedule in schedules):
        notes.append(f"{PLATEAU} lowers the rate by the loss of each seed: a run has its rates, and no bound is known")
    if len(schedules) > MOST_LINES:
        notes.append(f"{len(schedules) - MOST_LINES} more are in schedules.csv")
    header = ("schedule", "steps", "first", "smallest", "largest", "last", "then")
    return Table("Learning rates", header, tuple(lines), tuple(notes))


def as_bounds(groups: Sequence[Group]) -> Table:
    """The last-iterate bounds as a `Table`: at the rates given, and at the best multiple of them."""
    schedules = _all_schedules(groups)[:MOST_LINES]
    lines = []
    for schedule, terms in zip(schedules, terms_of(schedules), strict=True):
        cells: tuple[str, ...] = ("-",) * 5
        if terms is not None:
            values = (terms.at(), terms.best_factor, terms.best_rate, terms.best, terms.best * schedule.length**0.5)
            cells = tuple(number(float(value)) for value in values)
        lines.append((shortened(schedule.name), *cells))
    notes = (
        "f(x_T) - f* <= bound after the steps, before any flow, for convex f, subgradients <= 1, |x_0 - x*| = 1",
        "at the best multiple of all rates the bound is smallest (Schaipp et al. 2025)",
    )
    header = ("schedule", "bound", "best multiple", "largest rate there", "bound there", "x sqrt(steps)")
    return Table("Bound on the last iterate, convex f, D = G = 1", header, tuple(lines), notes)


def bounds_csv(groups: Sequence[Group]) -> str:
    """One line a schedule: its bound as given, the best multiple of its rates and the bound there; "" if not known."""
    schedules, lines = _all_schedules(groups), []
    for schedule, terms in zip(schedules, terms_of(schedules), strict=True):
        values = (terms.at(), terms.best_factor, terms.best_rate, terms.best) if terms else ("",) * 4
        lines.append([schedule.name, schedule.unit, schedule.length, *values])
    header = ("schedule", "unit", "steps", "bound", "best_multiple", "best_largest_rate", "best_bound")
    return csv_text(header, lines)


def as_csv(groups: Sequence[Group]) -> str:
    """schedule, unit, step, learning_rate: every step, or of long schedules evenly chosen ones, with all digits."""
    schedules, lines = _all_schedules(groups), []
    most = max(2, min(CSV_STEPS, CSV_ROWS // len(schedules)))
    for schedule in filter(is_known, schedules):
        if schedule.length <= most:
            steps, rates = list(range(schedule.length)), schedule.rates(0, schedule.length).tolist()
        else:
            steps = np.unique(np.linspace(0, schedule.length - 1, most).astype(np.int64)).tolist()
            rates = [float(schedule.rates(step, step + 1)[0]) for step in steps]
        lines += [(schedule.name, schedule.unit, *pair) for pair in zip(steps, rates, strict=True)]
    return csv_text(("schedule", "unit", "step", "learning_rate"), lines)


def page_parts(groups: Sequence[Group]) -> tuple[str, list[Table]]:
    """What stands on the page beside the pictures: title line and the tables."""
    return many(len(_all_schedules(groups)), "schedule"), [as_table(groups), as_bounds(groups)]
