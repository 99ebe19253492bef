"""Schedules that are optimal for quadratics or for smooth convex functions: each rate a function of its index."""

import numpy as np

from ..inputs import rules
from .registry import Array, schedule

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
