"""The learning rates of a grid as pictures, a table and CSV: small multiples, one panel for every [[schedule]] table.

Needs matplotlib for the pictures only. Nothing is run, and of a long schedule only as much is computed as can be seen.
"""

import csv
import io
from typing import NamedTuple

import numpy as np

from . import style
from .layout import MOST_LINES, Table, many, number, shortened
from .scheduling import expand_schedule

COLUMNS, PANELS_A_PICTURE, MOST_PICTURES = 3, 12, 6
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
    """The `Picture`s: at most 12 panels each."""
    shown = found[: PANELS_A_PICTURE * MOST_PICTURES]
    parts = [shown[i : i + PANELS_A_PICTURE] for i in range(0, len(shown), PANELS_A_PICTURE)]
    left = f" {len(found) - len(shown)} more are not drawn; schedules.csv has them." if len(found) > len(shown) else ""
    with style.applied():
        return [_picture(i, part, left if part is parts[-1] else "") for i, part in enumerate(parts)]


def _picture(index, part, left):
    """One picture of some panels."""
    columns = min(COLUMNS, len(part)) if len(part) != 4 else 2
    rows = -(-len(part) // columns)
    figure, axes = style.panels(rows, columns, width=max(4.2 * columns, 6.5), height=3.0 * rows + 0.4)
    for panel, group in zip(axes, part, strict=False):
        _draw(panel, group)
    for unused in axes[len(part) :]:
        unused.set_axis_off()
    caption = (
        "Learning rate against step, one panel for every [[schedule]] table; logarithmic where rates of one panel "
        "differ by orders of magnitude. Of long schedules, the smallest and the largest rate of every stretch of steps"
        f" (of its first {WINDOW} steps, beyond {WHOLE:,} steps). Rates above {LARGEST:g} are not drawn."
    )
    return style.Picture(f"schedules-{index + 1}", caption + left, figure)


def _draw(axes, group):
    """One panel."""
    count = len(group.schedules)
    axes.set_title(style.plain(shortened(group.name, 32)), fontsize=12.5, fontweight="bold")
    axes.tick_params(labelsize=10.5)
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_CURVES)).astype(int)).tolist()
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
    """What stands on the page beside the pictures: title line and the table."""
    total = sum(len(group.schedules) for group in found)
    return many(total, "schedule"), as_table(found)
