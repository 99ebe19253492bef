"""The picture of the optimum beside the best of each family: learning rates over the steps.

Needs matplotlib.
"""

from collections.abc import Sequence
from typing import Any

from ...analysis.wording import at_value
from ...text import shortened
from ..schedules import curve
from ..view import View
from . import style
from .style import Picture

MOST_PANELS, MOST_CURVES, LABEL = 6, 6, 24
BELOW = 10.0


def optima(view: View, rows: Sequence[Any], headline: str) -> Picture | None:
    """A panel for each problem combination and horizon, the longest horizons first."""
    schedules = {schedule.name: schedule for schedule, *_ in view.run.config.combinations()}
    places = list(dict.fromkeys((row.problem, row.level) for row in rows))
    places = sorted(places, key=lambda place: -place[1])[:MOST_PANELS]
    columns = 1 if len(places) == 1 else 2
    lines = -(-len(places) // columns)
    figure, panels = style.panels(lines, columns, width=12.0, height=4.2 * lines + 0.8)
    families = sorted({row.family for row in rows}, key=[row.family for row in rows].index)[:MOST_CURVES]
    for panel, (problem, level) in zip(panels, places, strict=False):
        here = [row for row in rows if (row.problem, row.level) == (problem, level) and row.family in families]
        drawn = [(row, *_drawn(schedules[row.schedule], level)) for row in here]
        values: list[float] = []
        least = min((rates[rates > 0.0].min() for row, _, rates in drawn if row.is_optimum), default=0.0)
        for row, steps, rates in drawn:
            seen = rates >= least / BELOW
            i = families.index(row.family)
            look = {"color": style.COLOURS[i], "linestyle": style.DASHES[i]}
            name = style.plain(shortened(row.family, LABEL))
            panel.plot(steps[seen], rates[seen], label=name, linewidth=2.6 if row.is_optimum else 1.4, **look)
            values += rates[seen & (rates > 0.0)].tolist()
        style.positive_axis(panel, "y", values)
        parts = [at_value(key, value) for key, value in problem]
        panel.set_title(style.plain(", ".join([f"{level:,.0f} steps", *parts])), fontsize=10)
        panel.set_xlabel("step")
        panel.set_ylabel("learning rate")
    for panel in panels[len(places) :]:
        panel.set_visible(False)
    style.legend(figure, panels[0])
    style.title(figure, headline)
    caption = (
        "Learning rate against step: the optimum (thick) and the best of each other [[schedule]] table; "
        f"rates below the optimum's least by a factor of {BELOW:g} are left out."
    )
    return Picture("optima", caption, figure)


def _drawn(schedule, level):
    """The rates of the steps that are taken up to a horizon."""
    steps, rates = curve(schedule)
    return steps[steps < level], rates[steps < level]
