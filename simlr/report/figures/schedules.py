"""The learning rates of a grid, and what convex theory promises of them, as pictures, tables and CSV.

Small multiples: for every [[schedule]] table a panel of rates, and beside it one of the bound (`schedules.bounds`).

Needs matplotlib for the pictures only. Nothing is run, and of a long schedule only as much is computed as can be seen.
"""

from collections.abc import Sequence

import numpy as np

from ...text import shortened
from ..schedules import CURVE_STEPS, WHOLE, WINDOW, Group, bound_curve, curve, is_known
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


def pictures(groups: Sequence[Group]) -> list[Picture]:
    """The `Picture`s: at most 6 groups each, of each its rates and its bounds."""
    shown = groups[: GROUPS_A_PICTURE * MOST_PICTURES]
    curves = sum(min(len(group.schedules), MOST_CURVES) for group in shown)
    caption = (
        "Left: learning rate against step, one panel for every [[schedule]] table; logarithmic where rates of one "
        "panel differ by orders of magnitude. Of long schedules, the smallest and the largest rate of every stretch "
        f"of steps (of its first {WINDOW} steps, beyond {WHOLE:,} steps). Rates above {LARGEST:g} are not drawn. "
        "Right: what convex theory promises of f(x) - f* had one stopped there, with subgradients of norm <= 1 and a "
        "minimiser at distance 1 (Schaipp et al. 2025), all rates multiplied by the factor that is best at the end; "
        "from a sixteenth of the steps on."
    )
    left = len(groups) - len(shown)
    drawn: list[Picture] = []
    with style.applied():
        for first in range(0, len(shown), GROUPS_A_PICTURE):
            part = shown[first : first + GROUPS_A_PICTURE]
            figure, panels = style.panels(len(part), 2, width=12.0, height=4.3 * len(part) + 0.5)
            for i, group in enumerate(part):
                _draw(panels[2 * i], group)
                _draw_bounds(panels[2 * i + 1], group, CURVE_STEPS // curves)
            drawn.append(style.Picture(f"schedules-{len(drawn) + 1}", caption, figure))
    if left > 0:
        drawn[-1] = drawn[-1]._replace(caption=f"{caption} {left} more are not drawn; schedules.csv has them.")
    return drawn


def _draw(panel, group):
    """One panel."""
    count = len(group.schedules)
    panel.set_title(style.plain(shortened(group.name, 32)), fontsize=12.5, fontweight="bold")
    panel.tick_params(labelsize=10.5)
    places = _drawn(count)
    curves = {i: _finite(*curve(group.schedules[i])) for i in places if is_known(group.schedules[i])}
    if not curves:
        panel.set_axis_off()
        why = "rates by the loss\nof each seed" if group.schedules[0].plateau else "gradient flow:\nno steps"
        panel.text(0.5, 0.5, why, ha="center", va="center", transform=panel.transAxes)
        return
    for i, (steps, rates) in curves.items():
        # Of many curves, only the first and the last stand in the legend.
        named = count <= NAMED_CURVES or i in (0, count - 1)
        label = style.plain(shortened(group.labels[i], 34)) if named else "_"
        _draw_curve(panel, steps, rates, **_line(i, count), label=label)
    _scale(panel, group, [rates for _, rates in curves.values()])
    if count > 1:
        short = count == 2 and max(map(len, group.labels)) <= SHORT_LABEL
        # Below the panel, for no place inside is free of curves.
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "ncols": 2 if short else 1}
        title = f"{count} combinations, first to last" if count > NAMED_CURVES else None
        if title and len(places) < count:
            title += f" ({len(places)} drawn)"
        panel.legend(
            **place, frameon=False, fontsize=9, handlelength=2.4, markerscale=2.5, title=title, title_fontsize=9
        )


def _drawn(count):
    """Which of a panel's schedules are drawn."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_CURVES)).astype(int)).tolist()


def _draw_bounds(panel, group, most_steps):
    """The panel of bounds beside one of rates."""
    count = len(group.schedules)
    panel.tick_params(labelsize=10.5)
    curves = {i: _finite(*bound_curve(group.schedules[i], most_steps)) for i in _drawn(count)}
    curves = {i: curve for i, curve in curves.items() if curve[1].size}
    if not curves:
        panel.set_axis_off()
        return
    for i, (steps, values) in curves.items():
        panel.plot(steps, values, marker="" if steps.size > 1 else "o", **_line(i, count))
    panel.set_ylabel("bound on f(x) - f*", fontsize=11)
    panel.set_xlabel("step", fontsize=11)
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    style.log_where_wide(panel, [values for _, values in curves.values()])
    panel.locator_params(axis="x", nbins=5, integer=True)


def _finite(steps, rates):
    """A curve without rates that no axis can hold: what is larger is left out, what is smaller is 0."""
    known = rates <= LARGEST
    return steps[known], np.where(rates[known] < 1.0 / LARGEST, 0.0, rates[known])


def _draw_curve(panel, steps, rates, **line):
    """Stairs where steps can be told apart, dots where rates go up and down from step to step, else a line."""
    if not rates.size:
        return
    turns = np.count_nonzero(np.diff(np.sign(np.diff(rates)))) > RESTLESS * rates.size
    if turns and rates.size > NAMED_CURVES:
        panel.plot(steps, rates, **{**line, "linestyle": "", "marker": "o", "markersize": 2.2, "markeredgewidth": 0.0})
    elif steps.size <= STAIRS and steps[-1] == steps.size - 1:
        panel.plot([*steps, steps.size], [*rates, rates[-1]], drawstyle="steps-post", **line)
    else:
        panel.plot(steps, rates, **line)


def _line(index, count):
    """Colour and dashes: distinct for few curves, from dark to light for many."""
    if count <= NAMED_CURVES:
        return {"color": style.COLOURS[index], "linestyle": style.DASHES[index], "linewidth": 1.9}
    return {"color": style.gradient(index / (count - 1)), "linewidth": 1.1}


def _scale(panel, group, rates):
    """Labels, scales and what follows the last step; logarithmic where rates differ by orders of magnitude."""
    unit = "learning rate" + (" x sharpness" if group.schedules[0].unit == "sharpness" else "")
    panel.set_ylabel(unit, fontsize=11)
    flows = any(one.flows for one in group.schedules)
    panel.set_xlabel("step, then gradient flow" if flows else "step", fontsize=11)
    positive = [values[(values > 0.0) & np.isfinite(values)] for values in rates]
    # How far apart the curves' largest rates lie, or the largest and the middle rate of one curve.
    peaks = np.array([values.max() for values in positive if values.size])
    middles = np.array([np.median(values) for values in positive if values.size])
    if peaks.size and max(peaks.max() / peaks.min(), (peaks / middles).max()) > WIDE:
        style.logarithmic(panel, "y")
    else:
        panel.set_ylim(bottom=0.0)
    longest = max(one.length for one in group.schedules)
    if longest < 8:
        panel.set_xticks(range(longest + 1))
    else:
        panel.locator_params(axis="x", nbins=5)
