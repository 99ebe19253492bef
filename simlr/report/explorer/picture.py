"""The explorer's first picture, as SVG: what the page shows where no script runs."""

import math
from collections.abc import Callable, Sequence

from ...text import some
from .data import Sample
from .recurrence import End, Pair, flow

# Of the viewBox of 400 x 285 in body.html, as explorer.js has it.
LEFT, RIGHT, TOP, BOTTOM = 54, 385, 8, 245
FLOW_POINTS, ELLIPSE_POINTS = 120, 120
# Of the large steps: points at most, and how many are drawn of a path that diverges.
MOST_POINTS, FIRST_STEPS = 400, 4
FLATTEST = 1e-9


def picture(sample: Sample, small: End, large: End, level: float) -> str:
    """The two paths, the ellipse of the level and the marks, as the inside of an SVG element.

    Parameters
    ----------
    sample
        The problem.
    small, large
        The paths of gradient flow alone, and of large steps first.
    level
        Excess train loss.
    """
    ways = {"small": _way(sample, small), "large": _way(sample, large)}
    points = [point for way in ways.values() for point in way]
    put = _scale([*points, _theta(sample, (0.0, 0.0))])
    parts = [_line("level", _ellipse(sample, level), put)]
    parts += [_line(f"path {kind}", ways[kind], put) for kind in ("large", "small")]
    parts += [_dot("mark start", points[0], put)]
    ends = (("large", large), ("small", small))
    parts += [_dot(f"end {kind}", ways[kind][-1], put) for kind, end in ends if not end.diverged]
    frame = f'x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"'
    view = f'viewBox="{LEFT} {TOP} {RIGHT - LEFT} {BOTTOM - TOP}"'
    names = (
        f'<text class="middle" x="{(LEFT + RIGHT) / 2:g}" y="{BOTTOM + 20}">parameter 1</text>'
        f'<text class="middle" transform="translate(30 {(TOP + BOTTOM) / 2:g}) rotate(-90)">parameter 2</text>'
    )
    return f'{names}<svg {frame} {view}>{"".join(parts)}</svg><rect class="frame" {frame}/>'


def _theta(sample, residual):
    """theta = theta_hat + Q r."""
    return [m + q[0] * residual[0] + q[1] * residual[1] for m, q in zip(sample.minimiser, sample.axes, strict=True)]


def _way(sample, end):
    """A path in theta, the flow at its end with more points near its beginning."""
    times = [end.flow_time * (k / FLOW_POINTS) ** 3 for k in range(1, FLOW_POINTS + 1)] if end.flow_time else []
    if end.diverged:
        return [_theta(sample, residual) for residual in end.path[:FIRST_STEPS]]
    residuals = [*some(end.path, MOST_POINTS), *(flow(sample.curvature, end.path[-1], time) for time in times)]
    return [_theta(sample, residual) for residual in residuals]


def _ellipse(sample, level):
    """The points whose excess train loss is the level; along a flat direction it is a long one."""
    least = FLATTEST * max(sample.curvature)
    radii = [math.sqrt(2.0 * level / max(lam, least)) for lam in sample.curvature]
    angles = [2.0 * math.pi * k / ELLIPSE_POINTS for k in range(ELLIPSE_POINTS + 1)]
    return [_theta(sample, (radii[0] * math.cos(angle), radii[1] * math.sin(angle))) for angle in angles]


def _scale(points: Sequence[Pair]) -> Callable[[Pair], str]:
    """From theta to "x y" in the picture, with one scale for both axes and room around the points."""
    low, high = ([pick(point[i] for point in points) for i in (0, 1)] for pick in (min, max))
    size = max((high[0] - low[0]) / (RIGHT - LEFT), (high[1] - low[1]) / (BOTTOM - TOP), 1e-300)
    middle = [(a + b) / 2.0 for a, b in zip(low, high, strict=True)]

    def put(point):
        x, y = ((point[i] - middle[i]) / (1.25 * size) for i in (0, 1))
        x, y = (max(-9e4, min(9e4, value)) for value in (x, y))
        return f"{(LEFT + RIGHT) / 2 + x:.1f} {(TOP + BOTTOM) / 2 - y:.1f}"

    return put


def _line(kind, points, put):
    """A line through points."""
    return f'<path class="{kind}" d="M{"L".join(map(put, points))}"/>'


def _dot(kind, point, put):
    """A dot."""
    x, y = put(point).split()
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="5"/>'
