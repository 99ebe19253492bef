"""Figures as files for a paper, and the numbers of all their curves as one table.

SVG and PDF hold text as text; in a PDF the font is embedded. Nothing in them depends on the time, or on whose settings
of matplotlib they are drawn under.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import style
from .inline import axis_name, axis_value, label_below, legend_entries
from .style import Picture

FORMATS = ("svg", "pdf", "png")
PREFIX, NUMBERS = "figure-", "figures.csv"
HEADER = ("figure", "panel", "curve", "x_name", "y_name", "x", "y", "low", "high", "interval_of")
LEFT_OUT = {"*", "+", "|", "_"}  # markers of what is told by a curve already, of the minimum, of the ends of intervals
Values = NDArray[np.float64]


def figure_files(pictures: Sequence[Picture], formats: Sequence[str]) -> dict[str, bytes]:
    """Every figure in every format.

    Parameters
    ----------
    pictures
        Of a page, in its order.
    formats
        Of FORMATS.

    Returns
    -------
    dict
        {name: content}.
    """
    return {
        f"{PREFIX}{picture.key}.{name}": style.saved(picture.figure, name) for picture in pictures for name in formats
    }


def numbers(pictures: Sequence[Picture]) -> Iterator[tuple]:
    """The lines of the table of all curves.

    Parameters
    ----------
    pictures
        Of a page, in its order.

    Yields
    ------
    tuple
        As HEADER, of every point that can be drawn: figure, panel and curve as they are drawn; x and y in the units of
        the axes, text where an axis has names; low and high, the ends of an interval or of a shaded band around what
        `interval_of` names, "" without. Contours are not among them.
    """
    for picture in pictures:
        figure: Any = picture.figure
        curves = {entry.colour: entry.label for entry in legend_entries(figure)}
        for place, panel in enumerate(figure.axes, start=1):
            names = axis_name(label_below(panel)), axis_name(panel.get_ylabel())
            title = axis_name(panel.get_title()) or names[1] or str(place)
            for colour, x, y, low, high, of in _curves(panel):
                told = ((axis_value(panel.xaxis, a), axis_value(panel.yaxis, b)) for a, b in zip(x, y, strict=True))
                for known, xy, *ends in zip(np.isfinite(x) & np.isfinite(y), told, low, high, strict=True):
                    if not known:  # and not drawn
                        continue
                    interval = (*ends, of) if np.isfinite(ends).any() else ("", "", "")
                    yield (picture.key, title, curves.get(colour, ""), *names, *xy, *interval)


def _curves(panel):
    """(colour, x, y, low, high, what the interval is of) of all that is drawn in a panel."""
    aside = set()
    for container in panel.containers:
        found = _bars(container) if hasattr(container, "datavalues") else _dots(container)
        aside |= {id(child) for child in container.get_children()}
        if found:
            yield found
    bands = {style.colour_of(one): one for one in panel.collections if not style.is_contour(one)}
    for line in panel.lines:
        x, y = (np.asarray(values, float) for values in line.get_data())
        in_data = all(line.get_transform().contains_branch_seperately(panel.transData))
        if id(line) in aside or not in_data or line.get_marker() in LEFT_OUT or line.get_alpha() == style.THICK:
            continue
        colour = style.colour_of(line)
        yield (colour, x, y, *_band(bands.get(colour), x), "y")


def _dots(container):
    """The curve of dots with intervals; None of the intervals of bars."""
    line, _, intervals = container
    if line is None:
        return None
    x, y = (np.asarray(values, float) for values in line.get_data())
    of = "x" if container.has_xerr else "y"
    return (style.colour_of(line), x, y, *_ends(intervals, of, x.size), of)


def _bars(container):
    """The curve of some bars: where they stand, and how long they are."""
    upright = container.orientation == "vertical"
    middles = [p.get_x() + p.get_width() / 2 if upright else p.get_y() + p.get_height() / 2 for p in container.patches]
    values, of = np.asarray(container.datavalues, float), "y" if upright else "x"
    low = high = np.full(values.size, np.nan)
    if container.errorbar is not None:
        low, high = _ends(container.errorbar[2], of, values.size)
        starts = np.array([0.0 if upright else patch.get_x() for patch in container.patches])
        low, high = low - starts, high - starts
    middles = np.round(middles, 9)
    colour = style.colour_of(container.patches[0]) if container.patches else ""
    return (colour, *((middles, values) if upright else (values, middles)), low, high, of)


def _ends(intervals, of, count):
    """The lower and upper ends of intervals that matplotlib has drawn as pieces of lines."""
    if not intervals:
        return np.full((2, count), np.nan)
    axis = "xy".index(of)
    return np.array([[ends[0, axis], ends[-1, axis]] for ends in intervals[0].get_segments()]).reshape(-1, 2).T


def _band(band, x):
    """The lower and upper edges of a shaded band at places x, NaN where there is none."""
    edges = np.full((2, x.size), np.nan)
    if band is None or not len(band.get_paths()):
        return edges
    corners = np.vstack([path.vertices for path in band.get_paths()])
    for i, place in enumerate(x):
        heights = corners[corners[:, 0] == place, 1]
        if heights.size:
            edges[:, i] = heights.min(), heights.max()
    return edges
