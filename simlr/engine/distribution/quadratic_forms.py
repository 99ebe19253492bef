"""The distribution of a sum of squares of normal numbers, Q = sum_i w_i (m_i + s_i Z_i)^2 with w_i >= 0, to 1e-10.

With a_i = w_i s_i^2 and b_i = w_i m_i^2 let K(t) = sum_i -1/2 log(1 - 2 a_i t) + b_i t/(1 - 2 a_i t), the logarithm of
E exp(t Q). P(Q > x) = 1/(2 pi i) int exp(K(t) - t x) dt/t along a path that passes the real axis between 0 and
1/(2 max a); to the left of 0 it gives -P(Q < x). The path goes through the saddle point of the integrand and bends to
the right as the path of steepest descent does there, a hyperbola: along it the integrand falls at least exponentially,
however few terms there are, and sums over equal steps converge geometrically (Rice 1980, Helstrom 1983).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEP, LEAST_STEP = 0.25, 0.02  # along the path, in standard deviations of the integrand
CLOSE = 1e-11  # relative change of a sum as its steps are halved
SLANT = 0.5  # of the path far away, to the right for each unit up
SMALL = 40.0  # logarithm of what the integrand falls by until it is left out
BISECTIONS, NEAR, MOST_TRIES = 100, 1e-6, 200
AT_ONCE = 1 << 20  # terms x places on the path
TOLERANCE = 1e-12
NARROW = 1e-3
LEAST_LOG = -700.0  # of a tail that is not 0
CONSTANT = 1e-12  # what varies by less than this share of what varies most is a constant


class Form(NamedTuple):
    """Q, its terms in units of `deviation`; its places are (x - origin) / deviation."""

    spread: NDArray[np.float64]  # (d',) a_i > 0
    shift: NDArray[np.float64]  # (d',) b_i
    mean: float
    deviation: float  # standard deviation of Q; 0 where nothing varies
    lowest: float  # what Q is never below
    narrow: bool  # whether Q varies so little that places are counted from its mean, and not from `lowest`

    @property
    def origin(self) -> float:
        """What places are counted from."""
        return self.mean if self.narrow else self.lowest

    @property
    def ends(self) -> tuple[float, float]:
        """The places of the lowest value and of the mean."""
        between = float((self.spread + self.shift).sum())
        return (-between, 0.0) if self.narrow else (0.0, between)


def form_of(weight: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Form:
    """The form of a sum of squares.

    Parameters
    ----------
    weight, mean, variance : (d,)
        w_i >= 0, m_i and s_i^2 >= 0; what is infinite makes a form of infinite mean.
    """
    w, m, v = (np.asarray(values, np.float64) for values in (weight, mean, variance))
    a, b = w * v, w * m * m
    with np.errstate(over="ignore", invalid="ignore"):
        # A root for each term, so that no square leaves the range of numbers.
        own, total = np.sqrt(a) * np.sqrt(2.0 * a + 4.0 * b), float((a + b).sum())
        deviation = float(np.linalg.norm(own))
    varies = own > CONSTANT * own.max(initial=0.0)
    lowest = float((a + b)[~varies].sum())
    unit = deviation if 0.0 < deviation < math.inf else 1.0
    narrow = deviation < NARROW * float((a + b)[varies].sum())
    return Form(a[varies] / unit, b[varies] / unit, total, deviation, lowest, narrow)


def cdf(form: Form, x: float) -> float:
    """P(Q <= x)."""
    if not math.isfinite(form.deviation) or not math.isfinite(form.mean):
        return 0.0 if x < math.inf else 1.0
    if form.deviation == 0.0:
        return float(x >= form.mean)
    below, above, _ = tails(form, (x - form.origin) / form.deviation)
    return below if below <= above else 1.0 - above


def quantile(form: Form, p: float) -> float:
    """The x with P(Q <= x) = p, 0 < p < 1; inf where the mean is infinite.

    By Newton's method within a bracket, for the logarithm of the smaller tail, which is nearly straight far out against
    the place, or near the lowest value against the logarithm of the height above it.
    """
    if not math.isfinite(form.deviation) or not math.isfinite(form.mean):
        return math.inf
    if form.deviation == 0.0:
        return form.mean
    lower, wanted = p <= 0.5, min(p, 1.0 - p)
    (low, place), high = form.ends, math.inf
    for _ in range(MOST_TRIES):
        below, above, density = tails(form, place)
        tail = below if lower else above
        low, high = (low, place) if (tail > wanted) == lower else (place, high)
        excess = math.log(tail / wanted) if tail > 0.0 else -math.inf
        if abs(excess) <= TOLERANCE or high - low <= TOLERANCE * abs(place):
            break
        step = excess * tail / density if density > 0.0 and tail > 0.0 else math.nan
        if form.narrow:
            place += max(-4.0, min(4.0, -step if lower else step))
        else:
            place = place * math.exp(-max(-5.0, min(5.0, step / place))) if lower else place + step
        if not low < place < high:
            place = 0.5 * (low + high) if high < math.inf else 2.0 * abs(low) + 1.0
    return form.origin + form.deviation * place


def tails(form: Form, place: float) -> tuple[float, float, float]:
    """(P(Q < x), P(Q > x), density) at x = origin + deviation * place, the density that of the place."""
    lowest, middle = form.ends
    if place <= lowest:
        return 0.0, 1.0, 0.0
    side = -1.0 if place <= middle else 1.0
    saddle = _saddle(form, place, side)
    _, second, third = _slopes(form, saddle)
    width = 1.0 / math.sqrt(second + saddle**-2)
    bend = (third - 2.0 / saddle**3 if side < 0.0 else third) * width * width / 6.0
    # What is nearly normal along the path is counted from its mean, the rest from its lowest value: no digits cancel.
    normal, means = abs(form.spread * saddle) < 0.5, form.spread + form.shift
    height = place + float(means[~normal].sum()) if form.narrow else place - float(means[normal].sum())
    peak = float(_cumulant(form, normal, np.array([saddle]))[0]) - saddle * height
    if peak < LEAST_LOG:
        return (0.0, 1.0, 0.0) if side < 0.0 else (1.0, 0.0, 0.0)
    path = saddle, width, bend, peak
    found, step = _sums(form, height, normal, path, STEP), STEP
    while step > LEAST_STEP:
        step *= 0.5
        before, found = found, _sums(form, height, normal, path, step)
        if abs(found - before).max() <= CLOSE * abs(found).max():
            break
    tail = min(max(side * float(found[0]), 0.0), 1.0)
    return (tail, 1.0 - tail, float(found[1])) if side < 0.0 else (1.0 - tail, tail, float(found[1]))


def _cumulant(form, normal, t):
    """K(t) at places t (n,) on a path, less t times the mean of the terms that are `normal`."""
    total = np.zeros(t.shape, t.dtype)
    most = max(1, AT_ONCE // t.size)
    for first in range(0, form.spread.size, most):
        part = slice(first, first + most)
        at, bt = np.multiply.outer(t, form.spread[part]), np.multiply.outer(t, form.shift[part])
        linear = np.where(normal[part], 2.0 * at * bt / (1.0 - 2.0 * at) - at, bt / (1.0 - 2.0 * at))
        total += (linear - 0.5 * np.log1p(-2.0 * at)).sum(axis=-1)
    return total


def _slopes(form, t):
    """The first three derivatives of K(t) - t origin at a real t."""
    left = 1.0 / (1.0 - 2.0 * form.spread * t)
    a, b = form.spread * left, form.shift * left * left
    mean = 2.0 * t * a * (form.spread + form.shift * (left + 1.0)) if form.narrow else a + b
    return float(mean.sum()), float((2.0 * a * a + 4.0 * a * b).sum()), float((8.0 * a**3 + 24.0 * a * a * b).sum())


def _saddle(form, place, side):
    """Where K'(t) - origin - place = 1/t: on the left of 0, or between 0 and the first pole."""

    def is_left(t):
        return _slopes(form, t)[0] - place - 1.0 / t < 0.0

    pole, away = 0.5 / float(form.spread.max()), side
    while (side < 0.0 or away < pole) and is_left(away) == (side > 0.0):
        away *= 2.0
    low, high = (away, 0.0) if side < 0.0 else (0.0, min(away, pole))
    for _ in range(BISECTIONS):
        t = 0.5 * (low + high)
        low, high = (t, high) if is_left(t) else (low, t)
        if high - low <= NEAR * abs(t):
            break
    return 0.5 * (low + high)


def _sums(form, height, normal, path, step):
    """(signed tail, density) by sums over steps of a path: its saddle point, width, bend, and the exponent there."""
    saddle, width, bend, peak = path
    sums, first, count, falls = np.zeros(2), 0, 64, 0.0
    while falls <= SMALL:
        u = step * (first + np.arange(count))
        # So many steps away from where the hyperbola turns from `bend` to `SLANT`.
        turn = u * (2.0 * bend * width / SLANT)
        root = np.sqrt(1.0 + turn * turn)
        t = saddle + width * u * (1j + SLANT * turn / (1.0 + root))
        values = _cumulant(form, normal, t) - t * height - peak
        flow = np.exp(values) * (width * (1j + SLANT * turn / root))
        flow[0] *= 0.5 if first == 0 else 1.0
        sums += (step / math.pi) * np.array([(flow / t).imag.sum(), flow.imag.sum()])
        falls, first, count = -float(values[-1].real), first + count, 2 * count
    return math.exp(peak) * sums
