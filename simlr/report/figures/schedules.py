"""The learning rates of a grid, and what convex theory promises of them, as pictures, tables and CSV.

Small multiples: for every [[schedule]] table a panel of rates, and beside it one of the bound (`schedules.bounds`).

Needs matplotlib for the pictures only. Nothing is run, and of a long schedule only as much is computed as can be seen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...text import shortened
from ..schedules import CURVE_LOOKS, WHOLE, WINDOW, bound_curve, curve
from . import style
from .style import Picture

GROUPS_A_PICTURE, MOST_PICTURES = 6, 12
MOST_CURVES = 48  # in one panel; of more, evenly chosen ones
NAMED_CURVES = 5  # that a legend still tells apart


STAIRS = 120  # steps that are drawn as such
WIDE, LARGEST = 30.0, 1e100
SHORT_LABEL = 16
RESTLESS = 0.5  # turns a step


# ---- pictures ----


def pictures(found: Sequence[Any]) -> list[Picture]:
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
