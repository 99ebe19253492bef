"""The picture of an answer: the ratio of the two sides, or the best value, with intervals, along the axes of the grid.

Needs matplotlib. The horizontal axis is what the answer depends on most; the next axis is told by colour, the third by
panels.
"""

import math

import numpy as np

from ...analysis.answers import Comparison, value_at
from ...analysis.levels import WORDS, last
from ...analysis.outcomes import WORDS as MEASURES
from ...analysis.outcomes import Answer
from ...config.question import side_name
from ...store.run import Run
from ...text import shortened, some, value_text
from . import style
from .style import Picture

MOST_PANELS = 3


def picture(run: Run, answer: Answer) -> Picture | None:
    """The `Picture` of an `Answer`; None where it has nothing to draw."""
    rows = [row for row in answer.rows if _drawn(row)]
    if not rows:
        return None
    with style.applied():
        make = _ratios if isinstance(rows[0], Comparison) else _best
        return make(run, answer, rows)


def _drawn(row):
    """Whether a row has finite figures."""
    if isinstance(row, Comparison):
        return row.pairs > 0 and all(0.0 < v < math.inf for v in (row.ratio, row.ratio_low, row.ratio_high))
    return all(math.isfinite(v) for v in (row.best, row.best_low, row.best_high))


def _axes_for(answer):
    """The axes in the order in which they are drawn: horizontal, colour, panel; others are not told apart."""
    numeric = [name for name, values in answer.axes if all(isinstance(v, int | float) for v in values)]
    return sorted(dict(answer.axes), key=lambda name: (name not in answer.depends, name not in numeric))


def _of(run, row, axis):
    """The value of a row along an axis, one that has none included."""
    return row.against if axis == "" else value_at(run, row, axis)


def _panels(run, answer, rows, axes):
    """A figure with a panel for every value of the third axis: (figure, [(axes, title, rows), ...])."""
    known = dict(answer.axes)
    values = some(known[axes[2]], MOST_PANELS) if len(axes) > 2 else [None]
    figure, made = style.figure(len(values), width=10.0 if len(values) == 1 else 4.4 * len(values) + 2.2)
    panels = []
    for panel, value in zip(made, values, strict=True):
        own = [row for row in rows if value is None or _of(run, row, axes[2]) == value]
        for axis in axes[3:]:  # of what there is no room for, the last value
            kept = last(axis, list(known[axis])) if axis in WORDS else known[axis][-1]
            own = [row for row in own if _of(run, row, axis) == kept]
        panels.append((panel, "" if value is None else f"{axes[2]} = {value_text(value)}", own))
    return figure, panels


def _lines(run, answer, rows, axes):
    """The rows of a panel by the value of the second axis: [(place of its colour, label, rows), ...]."""
    if len(axes) < 2:
        return [(0, None, rows)]
    values = some(dict(answer.axes)[axes[1]], len(style.COLOURS))
    by_value = [(i, value, [row for row in rows if _of(run, row, axes[1]) == value]) for i, value in enumerate(values)]
    return [(i, f"{axes[1]} = {value_text(value)}", own) for i, value, own in by_value if own]


def _errorbar(axes, i, label, points):
    """Points (x, middle, low, high) with their intervals, joined."""
    x, middle, low, high = (np.array(v) for v in zip(*points, strict=True))
    look = {**style.curve_look(i), "markersize": 6}
    errors = [np.maximum(middle - low, 0.0), np.maximum(high - middle, 0.0)]
    axes.errorbar(x, middle, yerr=errors, capsize=3, linewidth=1.6, label=style.plain(label) if label else None, **look)


def _horizontal(axes, axis, values):
    """The horizontal axis: numbers as they are, what is no number in even steps; a function from value to place."""
    text = axis if axis not in WORDS else WORDS[axis].axis
    axes.set_xlabel(style.plain(text))
    if all(isinstance(value, int | float) and value > 0 for value in values):
        span = max(values) / min(values)
        if span > 5.0:
            style.logarithmic(axes, "x")
        ticks = some(values, 9)
        axes.set_xticks(ticks, [value_text(float(value)) for value in ticks])
        if axis in WORDS and WORDS[axis].falls:
            axes.invert_xaxis()
        return float
    axes.set_xticks(range(len(values)), [style.plain(shortened(value_text(value), 14)) for value in values])
    axes.set_xlim(-0.4, len(values) - 0.6)
    return list(values).index


def _ratios(run, answer, rows):
    """The ratio of the two sides."""
    axes = _axes_for(answer)
    names = [side_name(side) for side in run.config.question["compare"]]
    figure, panels = _panels(run, answer, rows, axes)
    ends = [value for row in rows for value in (row.ratio_low, row.ratio_high)]
    margin = 1.0 + run.config.question["margin"]
    for panel, title, own in panels:
        panel.axhspan(1.0 / margin, margin, color="#7f7f7f", alpha=0.2, linewidth=0)
        panel.axhline(1.0, color="#000000", linewidth=1.0)
        if axes:
            place = _horizontal(panel, axes[0], dict(answer.axes)[axes[0]])
        else:
            panel.set_xticks([])
        for i, label, line in _lines(run, answer, own, axes):
            points = [(place(_of(run, r, axes[0])) if axes else 0.0, r.ratio, r.ratio_low, r.ratio_high) for r in line]
            _errorbar(panel, i, label, points)
        style.positive_axis(panel, "y", [*ends, 1.0])
        panel.set_ylim(*_limits(panel, ends))
        panel.set_title(style.plain(title))
    measure = MEASURES[run.config.question["measure"]]
    panels[0][0].set_ylabel(f"{measure}, ratio")
    style.legend(figure, panels[0][0])
    style.title(figure, f"{answer.question} {answer.outcome[0].upper() + answer.outcome[1:]}")
    caption = (
        f"{measure.capitalize()} of {names[0]} over that of {names[1]}, in the same seed: median and its 95 % "
        f"bootstrap interval. Below 1 {names[0]} has less; grey: differences that do not count.{_kept(axes)}"
    )
    return style.Picture("answer", caption, figure)


def _kept(axes):
    """The sentence on axes that there is no room for."""
    return "".join(f" Of {axis} the last value." for axis in axes[3:])


def _limits(panel, ends):
    """The limits of the ratio, the same in all panels."""
    low, high = min(*ends, 1.0), max(*ends, 1.0)
    if panel.get_yscale() == "log":
        return low / 1.1, high * 1.1
    return low - 0.06 * (high - low + 0.01), high + 0.06 * (high - low + 0.01)


def _best(run, answer, rows):
    """The best value against the other parameter, beside the expected growth."""
    question = run.config.question
    axes = ["", *_axes_for(answer)]
    figure, panels = _panels(run, answer, rows, axes)
    for panel, title, own in panels:
        values = sorted({row.against for row in own})
        _horizontal(panel, question["against"], values)
        for i, label, line in _lines(run, answer, own, axes):
            _errorbar(panel, i, label, [(row.against, row.best, row.best_low, row.best_high) for row in line])
        if own:
            first = own[0]
            expected = [first.best * (x / first.against) ** question["exponent"] for x in values]
            text = f"expected: {question['against']}^{question['exponent']:g}"
            panel.plot(values, expected, color="#7f7f7f", linewidth=6, alpha=0.35, zorder=0, label=text)
            highest = max(row.best_high for row in own)
            style.positive_axis(panel, "y", [v for row in own for v in (row.best_low, row.best_high)])
            panel.set_ylim(top=min(3.0 * highest, 1.2 * max(*expected, highest)))
        panel.set_title(style.plain(title))
    panels[0][0].set_ylabel(f"best {question['best']}")
    style.legend(figure, panels[0][0])
    style.title(figure, f"{answer.question} {answer.outcome[0].upper() + answer.outcome[1:]}")
    caption = (
        f"The {question['best']} of the least {MEASURES[question['measure']]} against {question['against']}, with its "
        f"95 % interval over resamples of the seeds; grey: growth as expected, from the first value on."
        f"{_kept(axes)}"
    )
    return style.Picture("answer", caption, figure)
