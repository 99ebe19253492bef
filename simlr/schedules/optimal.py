"""Schedules that are optimal for quadratics or for smooth convex functions: each rate a function of its index."""

import numpy as np

from ..inputs import rules
from .registry import Array, as_array, schedule

SILVER_RATIO = 1.0 + np.sqrt(2.0)


def _ordered(key, steps, smallest_curvature, largest_curvature):
    """A spectrum has its smallest curvature below its largest."""
    if smallest_curvature > largest_curvature:
        rules.refuse(
            f"{key}.smallest_curvature", f"at most largest_curvature = {largest_curvature}", smallest_curvature
        )


@schedule(needs_steps=True, check=_ordered)
def chebyshev(t: Array, steps: int, smallest_curvature: float, largest_curvature: float) -> Array:
    """eta_t = 1 / ((L + m) / 2 + (L - m) / 2 cos(pi j / (2 steps))), odd j in a stable order; m, L the curvatures.

    The roots of the Chebyshev polynomial of degree `steps` on [m, L], smallest_curvature to largest_curvature in the
    schedule's unit (with unit = "sharpness", L = 1): after the last step, and only then, no residual with its curvature
    in [m, L] is larger than 1 / T_steps((L + m) / (L - m)) of what it was, the least that any rates can promise (Young
    1953). The order is that of Lebedev and Finogenov (1971) where the number of steps is a power of 2, else its
    extension after Samarskii and Nikolaev (1978); sorted, rounding errors would overwhelm the rest.
    """
    half = (0.25 * np.pi / steps) * _stable_root(t.astype(np.int64), steps)
    # As a sum of squares: near the smallest curvature (L + m) / 2 + (L - m) / 2 cos() would cancel.
    return 1.0 / (largest_curvature * np.cos(half) ** 2 + smallest_curvature * np.sin(half) ** 2)


def _stable_root(t, steps):
    """The odd numbers 1 .. 2 steps - 1 in stable order, at places t (int64, from 0).

    Order 1 of one step is (1). That of 2 n puts 4 n - j behind every j of the order of n, so that a root at one end of
    the spectrum is followed by its mirror image; that of 2 n + 1 puts 4 n + 1 behind the order of 2 n.
    """
    place = t.copy()
    sign, shift = np.ones(t.shape, np.int64), np.zeros(t.shape, np.int64)
    root = np.zeros(t.shape, np.int64)  # 0: not known yet
    size = steps
    while size > 1:
        if size % 2:
            size -= 1
            last = (place == size) & (root == 0)
            root[last] = (shift + sign * (2 * size + 1))[last]
            continue
        mirrored = place % 2 == 1
        shift = np.where(mirrored, shift + sign * 2 * size, shift)
        sign = np.where(mirrored, -sign, sign)
        place //= 2
        size //= 2
    return np.where(root == 0, shift + sign, root)


@schedule
def silver(t: Array, steps: int, learning_rate: float) -> Array:
    """eta_t = learning_rate (1 + rho^(v - 1)), rho = 1 + sqrt(2), 2^v the largest power of 2 that divides t + 1.

    The silver steps of Altschuler and Parrilo (2023), arXiv:2309.16530, for smooth convex functions; learning_rate is
    1 / L, L the largest curvature (with unit = "sharpness", 1). After 2^k - 1 steps the loss is above its minimum by at
    most L |theta_0 - theta*|^2 / (1 + sqrt(4 rho^(2 k) - 3)), which is O(steps^-1.27).
    """
    number = t.astype(np.int64) + 1
    _, exponent = np.frexp((number & -number).astype(np.float64))
    return learning_rate * (1.0 + SILVER_RATIO ** (exponent - 2.0))


def _interval_steps(steps, curvature, interval_ratio):
    """Steps of each interval of the spectrum, int64, the flattest first: all of them together."""
    values = np.sort(as_array(curvature))
    count = int(np.ceil(np.log(values[-1] / values[0]) / np.log(interval_ratio))) + 2
    with np.errstate(over="ignore"):  # the last edge lies above all curvatures, infinite or not
        edges = values[0] * interval_ratio ** np.arange(count)
    inside = np.bincount(np.searchsorted(edges, values, side="right") - 1, minlength=count)
    share = np.sqrt(inside) / np.sqrt(inside).sum()
    lengths = np.where(inside > 0, np.floor((steps - np.count_nonzero(inside)) * share).astype(np.int64) + 1, 0)
    first = np.flatnonzero(inside)[: max(steps - lengths.sum(), 0)]
    lengths[first] += 1
    return lengths


def _a_step_an_interval(key, steps, learning_rate, curvature, interval_ratio=2.0):
    """Every interval that holds curvatures takes a step at least."""
    if steps is None:
        return
    lengths = _interval_steps(max(steps, len(curvature)), curvature, interval_ratio)
    if steps < np.count_nonzero(lengths):
        rules.refuse(f"{key}.steps", f"at least {np.count_nonzero(lengths)}, one for each interval", steps)


@schedule(needs_steps=True, check=_a_step_an_interval)
def eigencurve(
    t: Array, steps: int, learning_rate: float, curvature: tuple[float, ...], interval_ratio: float = 2.0
) -> Array:
    """eta_t = learning_rate / (1 + (sum_(j<i) D_j b^j + b^i (t - t_i)) / kappa), D_j steps in [m b^j, m b^(j+1)).

    b is interval_ratio, m and kappa m the smallest and largest curvature, and t_i the first step of interval i, in
    which t lies. Of the steps T, interval i with n_i curvatures gets D_i = floor((T - intervals with any) sqrt(n_i) /
    sum_j sqrt(n_j)) + 1 and the first of them one more each until T are given (Pan, Ye, Zhang 2022, arXiv:2110.14109:
    optimal up to a constant for noise in proportion to the Hessian). Only ratios of curvatures count.
    """
    lengths = _interval_steps(steps, curvature, interval_ratio)
    kappa = max(curvature) / min(curvature)
    growth = interval_ratio ** np.arange(lengths.size, dtype=np.float64)
    first = np.cumsum(lengths) - lengths
    passed = np.cumsum(lengths * growth) - lengths * growth
    interval = np.searchsorted(np.cumsum(lengths), t, side="right")
    return learning_rate / (1.0 + (passed[interval] + growth[interval] * (t - first[interval])) / kappa)
