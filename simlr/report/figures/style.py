"""How pictures look: palette, figure, title, legend and saving. matplotlib is imported only when a picture is made.

Colours are those of Okabe and Ito (2008), told apart by the colour-blind; every line has dashes and a marker of its
own as well, for grey print.
"""

import io
import logging
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ...analysis.levels import WORDS, level_text, text
from ...text import printable, shortened
from ..view import View

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (9, 3)))
MARKERS = "osD^vPX"
LETTERS_AN_INCH = 7.5  # of a title
MOST_TICKS = 9
FEW_DECADES = 1000.0
FAR = 10.0  # quartiles farther from the median than this factor are not shaded
STYLE = {
    "font.size": 13,
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "legend.fontsize": 11.5,
    "lines.linewidth": 2.2,
    "axes.grid": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "simlr",
}


class Picture(NamedTuple):
    """One picture and what is to be said of it."""

    key: str
    caption: str
    figure: object  # matplotlib.figure.Figure


def available() -> bool:
    """Whether matplotlib can be imported."""
    # It tells of its caches and fonts, from the import on; that is nothing to the reader of a report.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


@contextmanager
def applied() -> Iterator[None]:
    """The settings of matplotlib that pictures are drawn and saved with, as a context."""
    import matplotlib

    settings: Any = STYLE
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; the tables have the name in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def svg(figure: Any) -> bytes:
    """A figure as SVG, bytes; the same bytes for the same data."""
    return _saved(figure, format="svg", metadata={"Date": None})


def png(figure: Any, dpi: int = 150) -> bytes:
    """A figure as PNG, bytes."""
    return _saved(figure, format="png", dpi=dpi)


def _saved(figure, **options):
    buffer = io.BytesIO()
    with applied():
        figure.savefig(buffer, **options)
    return buffer.getvalue()


def figure(columns: int = 1, width: float = 10.0, height: float = 5.2) -> Any:
    """A figure and its axes."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, np.atleast_1d(made.subplots(1, columns))


def panels(rows: int, columns: int, width: float, height: float) -> Any:
    """A figure of rows x columns panels, and their axes, row by row."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, np.ravel(made.subplots(rows, columns, squeeze=False)).tolist()


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
    figure.suptitle(textwrap.fill(plain(text), min(room, len(text) // lines + 12)), fontsize=15, fontweight="bold")


def legend(figure: Any, axes: Any) -> None:
    """One legend for the figure, beside the axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, handlelength=3.2)


def train_loss_axis(view: View, axes: Any) -> None:
    """The horizontal axis of train loss, falling to the right as training goes on, with ticks at the levels."""
    logarithmic(axes, "x")
    axes.invert_xaxis()
    axes.set_xlabel("train loss" + (" above its floor" if view.excess else "") + ", falling as training goes on")
    left, right = np.log(axes.get_xlim())
    ticks: list[float] = []
    for level in sorted(view.depths, reverse=True):
        if not ticks or np.log(ticks[-1] / level) > (left - right) / MOST_TICKS:
            ticks.append(level)
    axes.set_xticks(ticks, [level_text(level) for level in ticks])


def level_axis(view: View, axes: Any) -> None:
    """The horizontal axis of levels, in the order in which a run passes them."""
    if view.by_loss:
        train_loss_axis(view, axes)
        return
    logarithmic(axes, "x")
    if WORDS[view.kind].falls:
        axes.invert_xaxis()
    axes.set_xlabel(WORDS[view.kind].axis)
    axes.set_xticks(view.levels, [text(view.kind, level) for level in view.levels])


def logarithmic(axes: Any, side: str, span: Any = None) -> None:
    """A logarithmic axis, "x" or "y", whose labels read like the levels in the tables.

    `span`, the largest over the smallest value: where it is a decade or two, ticks stand between the powers of ten.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set(**{f"{side}scale": "log"})
    axis = getattr(axes, f"{side}axis")
    if span is not None and span < FEW_DECADES:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, place: level_text(value))
    axis.set_minor_locator(NullLocator())


def log_where_wide(axes: Any, values: Any) -> None:
    """A logarithmic vertical axis where positive values span more than a factor of 30."""
    known = np.concatenate([np.ravel(v) for v in values])
    known = known[np.isfinite(known) & (known > 0.0)]
    if known.size and known.max() > 30.0 * known.min():
        logarithmic(axes, "y")


def positive_axis(axes: Any, side: str, values: Any) -> None:
    """An axis of positive values: logarithmic where they span more than a factor of 5."""
    known = [value for value in values if 0.0 < value < np.inf]
    if known and max(known) > 5.0 * min(known):
        logarithmic(axes, side, max(known) / min(known))


def band(axes: Any, look: Any, places: Any, middle: Any, quarters: Any) -> bool:
    """Shade between the quartiles; False where they lie so far from the median that shading would hide the rest."""
    middle, low, high = (np.asarray(values, dtype=float) for values in (middle, *quarters))
    with np.errstate(invalid="ignore"):
        far = (high > FAR * middle) | (low < middle / FAR)
    if far.any():
        return False
    axes.fill_between(places, low, high, color=look["color"], alpha=0.13, linewidth=0)
    return True


def curve_look(i: int) -> dict:
    """Colour, dashes and marker of the curve of one place, as matplotlib takes them."""
    return {"color": COLOURS[i], "linestyle": DASHES[i], "marker": MARKERS[i]}


def look(view: View, name: str) -> dict[str, Any]:
    """Colour, dashes, marker and label of a schedule, the same in every picture."""
    i = view.shown.index(name)
    return {**curve_look(i), "label": plain(shortened(name, 28))}
