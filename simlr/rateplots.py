"""The learning rates of a grid, and what convex theory promises of them, as pictures, tables and CSV.

Small multiples: for every [[schedule]] table a panel of rates, and beside it one of the bound (`schedules.bounds`).

Needs matplotlib for the pictures only. Nothing is run, and of a long schedule only as much is computed as can be seen.
"""

import csv
import io
from typing import NamedTuple

import numpy as np

from . import style
from .config.schedule_tables import expand_schedule
from .layout import MOST_LINES, Table
from .schedules import bounds
from .text import many, number, shortened

GROUPS_A_PICTURE, MOST_PICTURES = 6, 12
MOST_CURVES = 48  # in one panel; of more, evenly chosen ones
NAMED_CURVES = 5  # that a legend still tells apart
POINTS = 600  # a curve
WHOLE = 1 << 18  # steps that are all looked at
WINDOW = 64  # steps looked at around each point of a longer schedule
STAIRS = 120  # steps that are drawn as such
WIDE, LARGEST = 30.0, 1e100
SHORT_LABEL = 16
RESTLESS = 0.5  # turns a step
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


def groups(config):
    """The `Group`s of a grid."""
    found = []
    for table in config.schedule:
        made = [made for made, _ in expand_schedule(f"schedule {table['name']!r}", table, config.stop["max_steps"])]
        labels = [one.name.removeprefix(table["name"]).strip("[]") for one in made]
        found.append(Group(table["name"], made, labels))
    return found


def curve(schedule):
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


def terms_of(schedules):
    """The `simlr.schedules.bounds.Terms` of each schedule; None where it has no steps or, among so many, too many to look at."""
    room = LOOKS // max(len(schedules), 1)
    return [bounds.of_schedule(one) if one.length and bounds.cost(one) <= room else None for one in schedules]


def bound_curve(schedule, looks):
    """Steps and the bound had one stopped there, all rates multiplied so that the last one is smallest; none where
    that would take more than `looks` steps looked at."""
    points = min(MOST_BOUND_POINTS, looks // max(bounds.cost(schedule), 1))
    if not schedule.length or points < FEWEST_BOUND_POINTS:
        return np.empty(0, np.int64), np.empty(0)
    factor = bounds.of_schedule(schedule).best_factor
    steps = np.unique(np.linspace(-(-schedule.length // EARLY), schedule.length, points).astype(np.int64))
    return steps, np.array([bounds.of_schedule(schedule, int(step)).at(factor) for step in steps])


# ---- in words and numbers ----


def as_table(found):
    """The schedules as a `Table`: steps, first, largest and last rate."""
    made = [one for group in found for one in group.schedules]
    lines = [_line(one) for one in made[:MOST_LINES]]
    notes = ["in units of 1/sharpness: " + _in_sharpness(made)] if _in_sharpness(made) else []
    if len(made) > MOST_LINES:
        notes.append(f"{len(made) - MOST_LINES} more are in schedules.csv")
    header = ("schedule", "steps", "first", "smallest", "largest", "last", "then")
    return Table("Learning rates", header, tuple(lines), tuple(notes))


def _in_sharpness(made):
    names = [shortened(one.name) for one in made if one.unit == "sharpness"]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _line(schedule):
    """One line of the table."""
    after = "flow" if schedule.flows else "-"
    if not schedule.length:
        return (shortened(schedule.name), "0", "-", "-", "-", "-", after)
    _, rates = curve(schedule)
    told = (number(float(value)) for value in (rates[0], rates.min(), rates.max(), rates[-1]))
    return (shortened(schedule.name), f"{schedule.length:,}", *told, after)


def as_bounds(found):
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


def bounds_csv(found):
    """One row a schedule: its bound as given, the best multiple of its rates and the bound there; "" if not known."""
    made = [one for group in found for one in group.schedules]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["schedule", "unit", "steps", "bound", "best_multiple", "best_largest_rate", "best_bound"])
    for one, terms in zip(made, terms_of(made), strict=True):
        told = (terms.at(), terms.best_factor, terms.best_rate, terms.best) if terms else ("",) * 4
        writer.writerow([one.name, one.unit, one.length, *told])
    return text.getvalue()


def as_csv(found):
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


# ---- pictures ----


def pictures(found):
    """The `Picture`s: at most 6 groups each, of each its rates and its bounds."""
    shown = found[: GROUPS_A_PICTURE * MOST_PICTURES]
    parts = [shown[i : i + GROUPS_A_PICTURE] for i in range(0, len(shown), GROUPS_A_PICTURE)]
    left = f" {len(found) - len(shown)} more are not drawn; schedules.csv has them." if len(found) > len(shown) else ""
    curves = sum(min(len(group.schedules), MOST_CURVES) for group in shown)
    with style.applied():
        return [_picture(i, part, CURVE_LOOKS // curves, left * (part is parts[-1])) for i, part in enumerate(parts)]


def _picture(index, part, looks, left):
    """One picture of some groups."""
    figure, axes = style.panels(len(part), 2, width=10.0, height=3.1 * len(part) + 0.4)
    for row, group in enumerate(part):
        _draw(axes[2 * row], group)
        _draw_bounds(axes[2 * row + 1], group, looks)
    caption = (
        "Left: learning rate against step, one panel for every [[schedule]] table; logarithmic where rates of one "
        "panel differ by orders of magnitude. Of long schedules, the smallest and the largest rate of every stretch "
        f"of steps (of its first {WINDOW} steps, beyond {WHOLE:,} steps). Rates above {LARGEST:g} are not drawn. "
        "Right: what convex theory promises of f(x) - f* had one stopped there, with subgradients of norm <= 1 and a "
        "minimiser at distance 1 (Schaipp et al. 2025), all rates multiplied by the factor that is best at the end; "
        "from a sixteenth of the steps on."
    )
    return style.Picture(f"schedules-{index + 1}", caption + left, figure)


def _draw(axes, group):
    """One panel."""
    count = len(group.schedules)
    axes.set_title(style.plain(shortened(group.name, 32)), fontsize=12.5, fontweight="bold")
    axes.tick_params(labelsize=10.5)
    places = _drawn(count)
    curves = {i: _finite(*curve(group.schedules[i])) for i in places if group.schedules[i].length}
    if not curves:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "gradient flow:\nno steps", ha="center", va="center", transform=axes.transAxes)
        return
    for i, (steps, rates) in curves.items():
        _draw_curve(axes, steps, rates, **_look(i, count), label=_label(group, i))
    _axes(axes, group, [rates for _, rates in curves.values()])
    if count > 1:
        short = count == 2 and max(map(len, group.labels)) <= SHORT_LABEL
        # Below the panel, for no place inside is free of curves.
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "ncols": 2 if short else 1}
        title = _legend_title(count, len(places))
        axes.legend(
            **place, frameon=False, fontsize=9, handlelength=2.4, markerscale=2.5, title=title, title_fontsize=9
        )


def _drawn(count):
    """Which of a panel's schedules are drawn."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_CURVES)).astype(int)).tolist()


def _draw_bounds(axes, group, looks):
    """The panel of bounds beside one of rates."""
    count = len(group.schedules)
    axes.tick_params(labelsize=10.5)
    curves = {i: _finite(*bound_curve(group.schedules[i], looks)) for i in _drawn(count)}
    curves = {i: curve for i, curve in curves.items() if curve[1].size}
    if not curves:
        axes.set_axis_off()
        return
    for i, (steps, values) in curves.items():
        axes.plot(steps, values, marker="" if steps.size > 1 else "o", **_look(i, count))
    axes.set_ylabel("bound on f(x) - f*", fontsize=11)
    axes.set_xlabel("step", fontsize=11)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    style.log_where_wide(axes, [values for _, values in curves.values()])
    axes.locator_params(axis="x", nbins=5, integer=True)


def _finite(steps, rates):
    """A curve without rates that no axis can hold: what is larger is left out, what is smaller is 0."""
    known = rates <= LARGEST
    return steps[known], np.where(rates[known] < 1.0 / LARGEST, 0.0, rates[known])


def _draw_curve(axes, steps, rates, **look):
    """Stairs where steps can be told apart, dots where rates go up and down from step to step, else a line."""
    if not rates.size:
        return
    turns = np.count_nonzero(np.diff(np.sign(np.diff(rates)))) > RESTLESS * rates.size
    if turns and rates.size > NAMED_CURVES:
        axes.plot(steps, rates, **{**look, "linestyle": "", "marker": "o", "markersize": 2.2, "markeredgewidth": 0.0})
    elif steps.size <= STAIRS and steps[-1] == steps.size - 1:
        axes.plot([*steps, steps.size], [*rates, rates[-1]], drawstyle="steps-post", **look)
    else:
        axes.plot(steps, rates, **look)


def _look(index, count):
    """Colour and dashes: distinct for few curves, from dark to light for many."""
    if count <= NAMED_CURVES:
        return {"color": style.COLOURS[index], "linestyle": style.DASHES[index], "linewidth": 1.9}
    return {"color": style.gradient(index / (count - 1)), "linewidth": 1.1}


def _label(group, index):
    """A curve's entry in the legend; of many curves, only the first and the last have one."""
    count = len(group.schedules)
    named = count <= NAMED_CURVES or index in (0, count - 1)
    return style.plain(shortened(group.labels[index], 34)) if named else "_"


def _legend_title(count, drawn):
    """What a legend of only the first and the last leaves out."""
    if count <= NAMED_CURVES:
        return None
    return f"{count} combinations, first to last" + (f" ({drawn} drawn)" if drawn < count else "")


def _axes(axes, group, rates):
    """Labels, scales and what follows the last step."""
    unit = "learning rate" + (" x sharpness" if group.schedules[0].unit == "sharpness" else "")
    axes.set_ylabel(unit, fontsize=11)
    flows = any(one.flows for one in group.schedules)
    axes.set_xlabel("step, then gradient flow" if flows else "step", fontsize=11)
    if _spread(rates) > WIDE:
        style.logarithmic(axes, "y")
    else:
        axes.set_ylim(bottom=0.0)
    longest = max(one.length for one in group.schedules)
    if longest < 8:
        axes.set_xticks(range(longest + 1))
    else:
        axes.locator_params(axis="x", nbins=5)


def _spread(rates):
    """How far apart the curves' largest rates lie, or the largest and the middle rate of one curve."""
    positive = [own[(own > 0.0) & np.isfinite(own)] for own in rates]
    peaks = np.array([own.max() for own in positive if own.size])
    middles = np.array([np.median(own) for own in positive if own.size])
    return max(peaks.max() / peaks.min(), (peaks / middles).max()) if peaks.size else 1.0


def page_parts(found):
    """What stands on the page beside the pictures: title line and the tables."""
    total = sum(len(group.schedules) for group in found)
    return many(total, "schedule"), [as_table(found), as_bounds(found)]
