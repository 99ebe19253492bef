"""The paper's figure: paths of gradient descent in the plane of two parameters."""

import numpy as np

from ...analysis.levels import level_text
from ...store.file_format import STATUS_REACHED
from ...text import powers, shortened
from ..view import View
from . import plane, style
from .style import Picture

PIXELS = 160
PANEL_INCHES = 4.6
DARKEST = 0.3  # of 1: the shade of the largest losses


def trajectories(view: View) -> Picture | None:
    """Paths of a small and of a large-then-small learning rate, over the train loss and over the test loss."""
    pair = _paths(view)
    if pair is None:
        return None
    land, level, paths = pair
    known = bool(np.isfinite(land.target).all())
    low, high = _limits(land, level, paths)
    tall = PANEL_INCHES * (high[1] - low[1]) / (high[0] - low[0])
    figure, panels = style.figure(1 + known, width=1.1 * PANEL_INCHES * (1 + known), height=tall + 1.2)
    for panel in panels:
        _draw_paths(view, panel, land, paths)
        panel.set(
            xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xlabel=r"$\theta_1$", ylabel=r"$\theta_2$"
        )
    _contours(panels[0], land.train_loss, "train loss")
    height = level + land.train_floor * view.excess
    _through(panels[0], land.train_loss, [height], colors="#D55E00", linewidths=2.6)
    stops = {name: float(land.test_loss(theta[-1])) for name, theta in paths.items()}
    if known:
        _contours(panels[1], land.test_loss, "test loss")
        _through(panels[1], land.test_loss, stops.values(), colors="#000000", linestyles="--", linewidths=1.2)
    style.legend(figure, panels[0])
    where = f"Both stop at train loss {level_text(level)}" + (" above the floor" if view.excess else "")
    losses = " and ".join(f"{powers(f'{loss:.3g}')} ({shortened(name, 26)})" for name, loss in stops.items())
    style.title(figure, where + (f", with test loss {losses}" if known else ""))
    both = (
        (" (left)", " and of the test loss (right)", " Dashed: the test losses of the stops.") if known else ("",) * 3
    )
    caption = (
        f"Paths of one seed in the plane of its two parameters, over contours of the train loss{both[0]}{both[1]}. "
        f"Thick line: where the train loss is {level_text(level)}; large markers: the stops; cross: the train "
        f"minimum.{both[2]}{_why(view, level)}{view.problem}"
    )
    return style.Picture("paths", caption, figure)


def _why(view, level):
    """Why the level is not the lowest one, where it is not."""
    return "" if level == view.last else f" At {level_text(view.last)} the stops would lie on the minimum, to the eye."


def _paths(view):
    """(landscape, level, {schedule: theta (T, 2)}) of a typical seed, or None where there is none."""
    run = view.run
    if view.rival is None or run["axis"].size != 2 or not view.by_loss:
        return None
    pair = [view.index(view.base), view.index(view.rival)]
    reached = (run["status"][pair] == STATUS_REACHED).all(axis=0)
    test = run["test_loss"][pair]
    last = view.levels.index(view.last)
    with np.errstate(all="ignore"):
        ratio = np.where(reached[view.seeds, last], test[0, view.seeds, last] / test[1, view.seeds, last], np.nan)
    typical = plane.typical_seed(ratio)
    seed = None if typical is None else view.seeds[typical]
    land = None if seed is None else plane.landscape(run, seed)
    if land is None:
        return None
    floor = land.train_floor if view.excess else 0.0
    level = plane.level_far_below(view.levels, reached[seed], float(land.train_loss(land.theta(land.start))) - floor)
    paths = {view.names[i]: plane.path(run, i, seed, view.levels[level] + floor) for i in pair}
    paths = {name: theta for name, theta in paths.items() if theta is not None and len(theta)}
    return (land, view.levels[level], paths) if len(paths) == 2 else None


def _draw_paths(view, panel, land, paths):
    """The paths, their stops, the start and the minimiser."""
    for name, theta in paths.items():
        line = style.schedule_line(view, name)
        few = len(theta) < 60
        panel.plot(*theta.T, **{**line, "marker": line["marker"] if few else ""}, markersize=5, zorder=4)
        panel.plot(
            *theta[-1], color=line["color"], marker=line["marker"], markersize=13, markeredgecolor="white", zorder=6
        )
    panel.plot(*land.theta(land.start), "o", markersize=9, markerfacecolor="white", markeredgecolor="black", zorder=5)
    panel.plot(*land.minimiser, "+", markersize=14, markeredgewidth=2, color="black", zorder=5)
    start, rightmost = land.theta(land.start), max(theta[:, 0].max() for theta in paths.values())
    aside = {"xytext": (-10, -4), "ha": "right"} if start[0] >= rightmost else {"xytext": (10, -4)}
    panel.annotate("start", start, textcoords="offset points", **aside)
    panel.grid(False)


def _limits(land, level, paths):
    """The corners of a panel that holds the paths, the minimiser and, where it is not too long, the level's ellipse."""
    points = np.vstack([*paths.values(), land.minimiser])
    wide = max(np.ptp(points, axis=0).max(), 1e-300)
    with np.errstate(divide="ignore"):
        radii = np.minimum(np.sqrt(2.0 * level / land.curvature), wide)
    points = np.vstack([points, land.theta(np.diag(radii)), land.theta(-np.diag(radii))])
    low, high = points.min(axis=0), points.max(axis=0)
    wide = max(high - low)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 0.3 * wide) + 0.1 * wide
    return middle - half, middle + half


def _mesh(panel, loss):
    """The loss on the pixels of a panel."""
    x, y = (np.linspace(*limits, PIXELS) for limits in (panel.get_xlim(), panel.get_ylim()))
    return x, y, loss(np.stack(np.meshgrid(x, y), axis=-1))


def _contours(panel, loss, title):
    """Contours of a loss, closer near its minimum."""
    x, y, values = _mesh(panel, loss)
    smallest, largest = values.min(), values.max()
    panel.set_title(title)
    if not largest > smallest:
        return
    heights = smallest + (largest - smallest) * np.linspace(0.0, 1.0, 12)[1:] ** 2
    shades = [(0.0, 0.0, 0.0, shade) for shade in np.linspace(0.0, DARKEST, len(heights))]  # of ink
    panel.contourf(x, y, values, levels=[smallest, *heights], colors=shades, zorder=0)
    panel.contour(x, y, values, levels=heights, colors="#9a9a9a", linewidths=0.7, zorder=1)


def _through(panel, loss, heights, **properties):
    """The contours at given losses, where the panel holds them."""
    x, y, values = _mesh(panel, loss)
    inside = sorted({height for height in heights if values.min() < height < values.max()})
    if inside:
        panel.contour(x, y, values, levels=inside, zorder=3, **properties)
