"""The picture of an answer: the ratio of the two sides, or the best value, with intervals, along the axes of the grid.

Needs matplotlib. The horizontal axis is what the answer depends on most; the next axis is told by colour, the third by
panels.
"""

import math

import numpy as np

from ...analysis.answers import Comparison, value_at
from ...analysis.levels import WORDS, last, place
from ...analysis.outcomes import WORDS as MEASURES
from ...analysis.outcomes import Answer
from ...analysis.wording import at_value, noun
from ...config.question import side_name
from ...store.run import Run
from ...text import shortened, some, value_text
from . import style
from .style import Picture

MOST_PANELS = 3


def picture(run: Run, answer: Answer) -> Picture | None:
    """The picture of an answer.

    Parameters
    ----------
    run
        Whose grid asks the question.
    answer
        Its answer.

    Returns
    -------
    Picture or None
        None where no row has finite figures.
    """
    draw, lowest = (_best, -math.inf) if "best" in run.config.question else (_ratios, 0.0)
    rows = [row for row in answer.rows if all(lowest < value < math.inf for value in _estimate(row))]
    if not rows:
        return None
    with style.applied():
        return draw(run, answer, rows)


def _estimate(row):
    """What a row is drawn by: its median ratio or its best value, and the interval."""
    if isinstance(row, Comparison):
        return row.ratio, row.ratio_low, row.ratio_high
    return row.best, row.best_low, row.best_high


def _axes_for(answer):
    """The axes in the order in which they are drawn: horizontal, colour, panel; others are not told apart."""
    numeric = [name for name, values in answer.axes if all(isinstance(v, int | float) for v in values)]
    return sorted(dict(answer.axes), key=lambda name: (name not in answer.depends, name not in numeric))


def _told(axis, value):
    """One value of an axis, in words."""
    return place(axis, value) if axis in WORDS else at_value(axis, value)


def _of(run, row, axis):
    """The value of a row along an axis, one that has none included."""
    return row.against if axis == "" else value_at(run, row, axis)


def _panels(run, answer, rows, axes):
    """A figure with a panel for every value of the third axis: (figure, [(panel, title, rows), ...])."""
    known = dict(answer.axes)
    values = some(known[axes[2]], MOST_PANELS) if len(axes) > 2 else [None]
    figure, empty = style.figure(len(values), width=10.0 if len(values) == 1 else 4.4 * len(values) + 2.2)
    panels = []
    for panel, value in zip(empty, values, strict=True):
        of_panel = [row for row in rows if value is None or _of(run, row, axes[2]) == value]
        for axis in axes[3:]:  # of what there is no room for, the last value
            kept = last(axis, list(known[axis])) if axis in WORDS else known[axis][-1]
            of_panel = [row for row in of_panel if _of(run, row, axis) == kept]
        panels.append((panel, "" if value is None else _told(axes[2], value), of_panel))
    return figure, panels


def _lines(run, answer, rows, axes):
    """The rows of a panel by the value of the second axis: [(place of its colour, label, rows), ...]."""
    if len(axes) < 2:
        return [(0, None, rows)]
    values = some(dict(answer.axes)[axes[1]], len(style.COLOURS))
    by_value = [(i, value, [row for row in rows if _of(run, row, axes[1]) == value]) for i, value in enumerate(values)]
    return [(i, _told(axes[1], value), of_line) for i, value, of_line in by_value if of_line]


def _errorbar(panel, i, label, x, rows):
    """The estimates of some rows with their intervals, at places x, joined."""
    middle, low, high = (np.array(values) for values in zip(*map(_estimate, rows), strict=True))
    line = {**style.line(i), "markersize": 6}
    errors = [np.maximum(middle - low, 0.0), np.maximum(high - middle, 0.0)]
    text = style.plain(label) if label else None
    panel.errorbar(np.array(x), middle, yerr=errors, capsize=3, linewidth=1.6, label=text, **line)


def _horizontal(panel, axis, values):
    """The horizontal axis: numbers as they are, what is no number in even steps; a function from value to place."""
    text = noun(axis).name if axis not in WORDS else WORDS[axis].axis
    panel.set_xlabel(style.plain(text))
    if all(isinstance(value, int | float) and value > 0 for value in values):
        span = max(values) / min(values)
        if span > 5.0:
            style.logarithmic(panel, "x")
        ticks = some(values, 9)
        panel.set_xticks(ticks, [value_text(float(value)) for value in ticks])
        if axis in WORDS and WORDS[axis].falls:
            panel.invert_xaxis()
        return float
    panel.set_xticks(range(len(values)), [style.plain(shortened(value_text(value), 14)) for value in values])
    panel.set_xlim(-0.4, len(values) - 0.6)
    return list(values).index


def _ratios(run, answer, rows):
    """The ratio of the two sides."""
    axes, question = _axes_for(answer), run.config.question
    figure, panels = _panels(run, answer, rows, axes)
    ends = [1.0, *(value for row in rows for value in (row.ratio_low, row.ratio_high))]
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low + 0.01)
    margin = 1.0 + question["margin"]
    for panel, title, of_panel in panels:
        panel.axhspan(1.0 / margin, margin, color="#7f7f7f", alpha=0.2, linewidth=0)
        panel.axhline(1.0, color="#000000", linewidth=1.0)
        if axes:
            position = _horizontal(panel, axes[0], dict(answer.axes)[axes[0]])
        else:
            panel.set_xticks([])
        for i, label, of_line in _lines(run, answer, of_panel, axes):
            x = [position(_of(run, row, axes[0])) if axes else 0.0 for row in of_line]
            _errorbar(panel, i, label, x, of_line)
        style.positive_axis(panel, "y", ends)
        # The limits are the same in all panels.
        panel.set_ylim(*((low / 1.1, high * 1.1) if panel.get_yscale() == "log" else (low - room, high + room)))
        panel.set_title(style.plain(title))
    first, second = (side_name(side) for side in question["compare"])
    measure = MEASURES[question["measure"]]
    caption = (
        f"{measure.capitalize()} of {first} over that of {second}, in the same seed: median and its exact "
        f"95 % interval. Below 1 {first} has less; grey: differences that do not count."
    )
    return _finished(figure, panels, answer, axes, f"{measure}, ratio", caption)


def _best(run, answer, rows):
    """The best value against the other parameter, beside the expected growth."""
    question = run.config.question
    axes = ["", *_axes_for(answer)]
    figure, panels = _panels(run, answer, rows, axes)
    for panel, title, of_panel in panels:
        values = sorted({row.against for row in of_panel})
        _horizontal(panel, question["against"], values)
        for i, label, of_line in _lines(run, answer, of_panel, axes):
            _errorbar(panel, i, label, [row.against for row in of_line], of_line)
        if of_panel:
            first = of_panel[0]
            expected = [first.best * (x / first.against) ** question["exponent"] for x in values]
            text = f"expected: exponent {question['exponent']:g}"
            panel.plot(values, expected, color="#7f7f7f", linewidth=6, alpha=0.35, zorder=0, label=text)
            highest = max(row.best_high for row in of_panel)
            style.positive_axis(panel, "y", [v for row in of_panel for v in (row.best_low, row.best_high)])
            panel.set_ylim(top=min(3.0 * highest, 1.2 * max(*expected, highest)))
        panel.set_title(style.plain(title))
    best = noun(question["best"]).name
    caption = (
        f"The {best} of the least {MEASURES[question['measure']]} against the {noun(question['against']).name}, with "
        f"its 95 % interval over resamples of the seeds; grey: growth as expected, from the first value on."
    )
    return _finished(figure, panels, answer, axes, f"best {best}", caption)


def _finished(figure, panels, answer, axes, label, caption):
    """The `Picture`, with its legend and title; the caption says of which axes there was no room for all values."""
    first = panels[0][0]
    first.set_ylabel(label)
    style.legend(figure, first)
    style.title(figure, f"{answer.question} {answer.lead}")
    caption += "".join(f" Of {axis} the last value." for axis in axes[3:])
    return style.Picture("answer", caption, figure)
