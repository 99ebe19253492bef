"""How pictures look: palette, figure, title, legend and saving. matplotlib is imported only when a picture is made.

Colours are those of Okabe and Ito (2008), told apart by the colour-blind; every line has dashes and a marker of its
own as well, for grey print.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...analysis.levels import WORDS, level_text, text
from ...text import brief, powers, printable
from ..view import View
from . import target

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (9, 3)))
MARKERS = "osD^vPX"
ONE_PLACE = 1.0 + 1e-9
POINTS_AN_INCH = 72.0  # the unit of SVG
PIXELS_AN_INCH = 150  # of PNG
# Who made a file, and no time.
METADATA: dict[str, dict] = {
    "svg": {"Creator": "simlr", "Date": None},
    "pdf": {"Creator": "simlr", "CreationDate": None},
    "png": {"Software": "simlr"},
}
LETTERS_AN_INCH = 9.0  # of a title
MOST_TICKS = 9
TICK_INCHES = 0.6
PANEL = 1.3  # the width of a panel with its numbers and margins, over that of what is drawn
BETWEEN_TICKS = 0.25  # inches from one number of an axis to the next
FEW_DECADES = 1000.0
THICK = 0.3  # alpha of a line that marks a part of another
FAR = 10.0  # quartiles farther from the median than this factor are not shaded
SCALE = 0.72  # of inches on the page: text is read at 400 pixels too
LEGEND_COLUMNS = 3
KEY_INCHES, LETTER_INCHES, LINE_INCHES = 0.8, 0.09, 0.24  # of a legend: a key, a letter, a line
GRID = "#d9d9d9"
STYLE = {
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.labelsize": 12,
    "legend.fontsize": 11,
    "lines.linewidth": 2.0,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "svg.hashsalt": "simlr",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


class Picture(NamedTuple):
    """One picture and what is to be said of it."""

    key: str
    caption: str
    figure: object  # matplotlib.figure.Figure


@contextmanager
def applied() -> Iterator[None]:
    """The settings of matplotlib that pictures are drawn and saved with, as a context."""
    import matplotlib

    # What somebody's matplotlibrc says, TeX for all text, say, is not for these pictures: all is as by default.
    default: Any = matplotlib.rcParamsDefault
    settings: Any = {key: value for key, value in default.items() if not key.startswith("backend")} | STYLE
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the tables have the name in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def svg(figure: Any) -> bytes:
    """A figure as SVG, bytes; the same bytes for the same data."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    with applied():
        _write_numbers_whole(figure)
        # Laid out, then drawn: `savefig` would draw all of it once more, to nowhere, before it draws.
        figure.set_dpi(POINTS_AN_INCH)
        canvas, engine = FigureCanvasSVG(figure), figure.get_layout_engine()
        engine.execute(figure)
        figure.set_layout_engine("none")
        try:
            canvas.print_svg(buffer, metadata={"Date": None})
        finally:
            figure.set_layout_engine(engine)
    return buffer.getvalue()


def saved(figure: Any, name: str, dpi: int = PIXELS_AN_INCH) -> bytes:
    """A figure with its title and legend as a file of its own.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What is drawn.
    name
        Of the format: svg, pdf or png.
    dpi
        Pixels an inch of a PNG.

    Returns
    -------
    bytes
        The same for the same data; it says that simlr made it. The file is higher than the figure is on a page by what
        its title and its legend take, so that they leave the panels as they are.
    """
    buffer, height = io.BytesIO(), figure.get_figheight()
    with applied():
        _write_numbers_whole(figure)
        figure.set_figheight(height + LINE_INCHES * _lines_of_words(figure))
        try:
            figure.savefig(buffer, format=name, dpi=dpi, metadata=METADATA[name])
        finally:
            figure.set_figheight(height)
    return buffer.getvalue()


def _lines_of_words(figure):
    """How many lines the title and the legend of a figure have."""
    words = figure.get_suptitle()
    lines = [1 + words.count("\n")] if words else []
    for one in figure.legends:
        texts = [text.get_text() for text in one.get_texts()]
        columns = _columns(figure, texts)
        lines += [1 + max(text.count("\n") for text in texts[i : i + columns]) for i in range(0, len(texts), columns)]
    return sum(lines)


def _write_numbers_whole(figure):
    """Ticks as people write them: no number beside the axis that all others are to be multiplied by or added to.

    Of a horizontal axis no more than have room beside each other.
    """
    from matplotlib.ticker import AutoLocator, FuncFormatter, ScalarFormatter

    for axis in (axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)):
        if not isinstance(axis.get_major_formatter(), ScalarFormatter):
            continue
        axis.set_major_formatter(FuncFormatter(partial(_tick_text, axis)))
        if axis.axis_name == "x" and isinstance(axis.get_major_locator(), AutoLocator):
            longest = max((len(_tick_text(axis, value, 0)) for value in axis.get_majorticklocs()), default=1)
            beside = LETTER_INCHES * longest + BETWEEN_TICKS
            axis.get_major_locator().set_params(nbins=max(2, int(target.width_of(axis.axes) / beside) - 1))


def _tick_text(axis, value, _):
    """A tick in as few digits as tell it from the next one."""
    low, high = sorted(axis.get_view_interval())
    step = (high - low) / MOST_TICKS
    digits = next((d for d in range(1, 16) if abs(float(f"{value:.{d}g}") - value) < 1e-3 * step), 16)
    text = f"{0.0 if abs(value) < 1e-6 * step else value:.{digits}g}"
    return f"{float(text):g}" if "e" in text and 1e-4 <= abs(value) < 1e6 else powers(text)


def figure(columns: int = 1, width: float = 10.0, height: float = 5.2) -> Any:
    """A figure with one row of panels.

    Parameters
    ----------
    columns
        How many.
    width, height
        Of the figure, in inches of a wide page; a figure is drawn smaller by SCALE.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : array (columns,) of matplotlib.axes.Axes
        From left to right.
    """
    canvas, drawn = panels(1, columns, width, height)
    return canvas, np.array(drawn)


def panels(lines: int, columns: int, width: float, height: float) -> Any:
    """A figure of lines x columns panels.

    Parameters
    ----------
    lines, columns
        How many panels stand below and beside each other.
    width, height
        Of the figure, in inches of a wide page; a figure is drawn smaller by SCALE.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : list of matplotlib.axes.Axes
        Line by line, from left to right.
    """
    from matplotlib.figure import Figure

    if own := target.given(lines * columns):
        return own
    canvas = Figure(figsize=(SCALE * width, SCALE * height), layout="constrained")
    return canvas, np.ravel(canvas.subplots(lines, columns, squeeze=False)).tolist()


def gradient(part: float) -> tuple[float, float, float, float]:
    """A colour from dark (0) to light (1), in grey print too."""
    import matplotlib

    return matplotlib.colormaps["viridis"](0.9 * part)


def plain(text: str) -> str:
    """Printable text with which matplotlib does no mathematics: a $ in a name is a $."""
    return printable(text).replace("$", r"\$")


def title(figure: Any, text: str) -> None:
    """The picture's title: what is seen, in lines of about equal length."""
    room = int(LETTERS_AN_INCH * figure.get_figwidth())
    lines = -(-len(text) // room)
    figure.suptitle(textwrap.fill(plain(text), min(room, len(text) // lines + 12)), fontsize=13, fontweight="bold")


def legend(figure: Any, panel: Any) -> None:
    """One legend for the figure, that of a panel, below the panels."""
    handles, labels = panel.get_legend_handles_labels()
    handles = [one[0] or one if hasattr(one, "has_yerr") else one for one in handles]  # the line, not its bars
    figure.legend(
        handles, labels, loc="outside lower center", frameon=False, handlelength=3.2, ncols=_columns(figure, labels)
    )


def _columns(figure, labels):
    """How many columns of a legend the width of a figure has room for."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=0)
    return max(1, min(LEGEND_COLUMNS, int(figure.get_figwidth() / (KEY_INCHES + LETTER_INCHES * longest))))


def train_loss_axis(view: View, panel: Any) -> None:
    """The horizontal axis of train loss, falling to the right as training goes on, with ticks at the levels."""
    low, high = panel.dataLim.intervalx
    if 0.0 < low and high <= ONE_PLACE * low:  # one level, met exactly: limits from the values would lie on each other
        panel.set_xlim(low / 2.0, 2.0 * high)
    logarithmic(panel, "x")
    panel.invert_xaxis()
    panel.set_xlabel("train loss" + (" above its floor" if view.excess else "") + ", falling as training goes on")
    left, right = np.log(panel.get_xlim())
    ticks: list[float] = []
    for level in sorted(view.depths, reverse=True):
        if not ticks or np.log(ticks[-1] / level) > (left - right) / MOST_TICKS:
            ticks.append(level)
    panel.set_xticks(ticks, [level_text(level) if view.by_loss else brief(level, 2) for level in ticks])


def level_axis(view: View, panel: Any) -> None:
    """The horizontal axis of levels, in the order in which a run passes them."""
    if view.by_loss:
        train_loss_axis(view, panel)
        return
    logarithmic(panel, "x")
    if WORDS[view.kind].falls:
        panel.invert_xaxis()
    panel.set_xlabel(WORDS[view.kind].axis)
    panel.set_xticks(view.levels, [text(view.kind, level) for level in view.levels])


def logarithmic(panel: Any, side: str, span: float | None = None) -> None:
    """A logarithmic axis, whose labels read like the levels in the tables.

    Parameters
    ----------
    panel : matplotlib.axes.Axes
        Which has it.
    side
        "x" or "y".
    span
        The largest over the smallest value: where it is a decade or two, ticks stand between the powers of ten.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    panel.set(**{f"{side}scale": "log"})
    axis = getattr(panel, f"{side}axis")
    if span is not None and span < FEW_DECADES:
        # By the two that stand nearest to each other: of 1.5 and 2 an eighth of a decade.
        nearest = {(1, 1.5, 2, 3, 5, 7): 2 / 1.5, (1, 2, 5): 2, (1, 3): 3, (1,): 10}
        decades, most = math.log10(span), _most_ticks(panel, side)
        fits = (subs for subs in nearest if len(subs) * decades <= most)
        if side == "x":
            fits = (subs for subs in fits if PANEL * decades <= most * math.log10(nearest[subs]))
        subs = next(fits, (1,))
        axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(lambda value, place: level_text(value))
    axis.set_minor_locator(NullLocator())


def _most_ticks(panel, side):
    """How many ticks of a logarithmic axis of a panel have room beside each other."""
    return target.width_of(panel) / TICK_INCHES if side == "x" else MOST_TICKS


def log_where_wide(panel: Any, values: Any) -> None:
    """A logarithmic vertical axis where positive values span more than a factor of 30."""
    known = np.concatenate([np.ravel(v) for v in values])
    known = known[np.isfinite(known) & (known > 0.0)]
    if known.size and known.max() > 30.0 * known.min():
        logarithmic(panel, "y")


def positive_axis(panel: Any, side: str, values: Any) -> None:
    """An axis of positive values: logarithmic where they span more than a factor of 5.

    Parameters
    ----------
    panel : matplotlib.axes.Axes
        Which has it.
    side
        "x" or "y".
    values
        All that are drawn; those that are not positive and finite do not count.
    """
    known = [value for value in values if 0.0 < value < np.inf]
    if known and max(known) > 5.0 * min(known):
        logarithmic(panel, side, max(known) / min(known))
    elif known and side == "x" and panel.get_xscale() == "linear":
        panel.locator_params(axis=side, nbins=max(2, int(_most_ticks(panel, side)) - 1))


def band(panel: Any, colour: str, places: Any, middle: Any, quartiles: Any) -> bool:
    """Shade between the quartiles, unless that would hide the rest.

    Parameters
    ----------
    panel : matplotlib.axes.Axes
        Where to draw.
    colour
        Of the shading.
    places, middle : (X,)
        Along the horizontal axis, and the medians there.
    quartiles
        The lower and the upper ones, each (X,).

    Returns
    -------
    bool
        Whether it is drawn: not where they lie far from the median.
    """
    middle, low, high = (np.asarray(values, dtype=float) for values in (middle, *quartiles))
    with np.errstate(invalid="ignore"):
        far = (high > FAR * middle) | (low < middle / FAR)
    if far.any():
        return False
    panel.fill_between(places, low, high, color=colour, alpha=0.13, linewidth=0)
    return True


def line(i: int) -> dict[str, Any]:
    """Colour, dashes and marker of the line of one place, as matplotlib takes them."""
    return {"color": COLOURS[i], "linestyle": DASHES[i], "marker": MARKERS[i]}


def schedule_line(view: View, name: str) -> dict[str, Any]:
    """Colour, dashes, marker and label of a schedule, the same in every picture."""
    return {**line(view.shown.index(name)), "label": plain(view.labels[name])}


def colour_of(artist: Any) -> str:
    """The colour of what is drawn, as #rrggbb; "" where it has none."""
    from matplotlib.colors import to_hex

    for name in ("get_color", "get_facecolor", "get_edgecolor"):
        value = getattr(artist, name, lambda: ())()
        if isinstance(value, str) or np.size(value) >= 3:
            flat = value if isinstance(value, str) else np.atleast_2d(value)[0]
            return "" if isinstance(flat, str) and flat == "none" else to_hex(flat)
    return ""


def is_contour(artist: Any) -> bool:
    """Whether an artist is a set of contours, whose colours are not those of a series."""
    from matplotlib.contour import ContourSet

    return isinstance(artist, ContourSet)
