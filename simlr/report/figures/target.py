"""Somebody's own axes in the place of a new figure, for the picture that is drawn next."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from ...errors import InputError
from ...text import many


class Canvas:
    """What a picture takes for its figure where it is drawn onto axes that are part of another one.

    Title and legend go to the first of the axes; all else is asked of the figure itself.
    """

    def __init__(self, axes):
        self._axes = list(axes)
        self._figure = axes[0].get_figure()

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._figure, name)

    @property
    def axes(self) -> list[Any]:
        """The axes that are drawn onto."""
        return list(self._axes)

    def get_figwidth(self) -> float:
        """The width of the axes together, in inches."""
        boxes = [panel.get_window_extent() for panel in self._axes]
        return (max(box.x1 for box in boxes) - min(box.x0 for box in boxes)) / self._figure.dpi

    def suptitle(self, text: str, **_: Any) -> None:
        """The title, above the first of the axes."""
        below = self._axes[0].get_title()
        self._axes[0].set_title(f"{text}\n{below}" if below else text)

    def legend(self, handles: Any, labels: Any, **_: Any) -> None:
        """The legend, within the first of the axes."""
        if handles:
            self._axes[0].legend(handles, labels, frameon=False, handlelength=3.2)


def width_of(panel: Any) -> float:
    """The inches that a panel and what stands beside it have."""
    place, whole = panel.get_subplotspec(), panel.get_figure()
    if place is None or not hasattr(whole, "get_figwidth"):  # axes of somebody else's figure
        return panel.get_window_extent().width / whole.dpi
    return whole.get_figwidth() / place.get_gridspec().ncols


class _Wanted(NamedTuple):
    key: str
    axes: Sequence[Any]
    left: list[int]  # how many figures are made before


_wanted: ContextVar[_Wanted | None] = ContextVar("wanted", default=None)


@contextmanager
def onto(key: str, axes: Sequence[Any], after: int = 0) -> Iterator[None]:
    """Have a picture drawn onto axes.

    Parameters
    ----------
    key
        The picture's name, for messages.
    axes : sequence of matplotlib.axes.Axes
        As many as it has panels.
    after
        How many figures are made before it.
    """
    wanted = _Wanted(key, axes, [after])
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def given(count: int) -> tuple[Canvas, list[Any]] | None:
    """The canvas and the axes for a figure of so many panels, where it is the one that is wanted; else None."""
    wanted = _wanted.get()
    if wanted is None:
        return None
    wanted.left[0] -= 1
    if wanted.left[0] != -1:
        return None
    if count != len(wanted.axes):
        raise InputError(
            f"plot: {wanted.key!r} has {many(count, 'panel')}, and given are {len(wanted.axes)} axes; "
            "ax takes a list of as many"
        )
    return Canvas(wanted.axes), list(wanted.axes)
