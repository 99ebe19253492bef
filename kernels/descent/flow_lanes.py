"""Gradient flows of many cells side by side: the times at which they cross a level, in SIMD lanes.

With weights w_i = x_i(tau)^2 / q, q = sum_i x_i(tau)^2, and the mean m and variance v of the curvatures under them,

    d log q / d tau = -2 m,    d^2 log q / d tau^2 = 4 v,

so that from tau the level lies at s = n + (v / m) s^2 + ..., n = log(q / threshold) / (2 m) being Newton's step. A
lane takes s to second order, and is there once the next order is below the rounding of tau: it takes two looks where
levels lie a decade apart. Every lane goes its own way, whatever the others do. What is out of the ordinary (sums near
the ends of float64, very many steps) is left to `flow.crossing_time`.
"""

from typing import NamedTuple

import numpy as np

from ..intrinsics import fma
from ..jit import cell, inline, worker
from .exponential import LOWEST_EXPONENT, exp_lane, log_lane
from .flow import SAFE

MOST_LOOKS = 60
# A multiple of what the compiler does at once.
LANES, FEWEST_LANES = 64, 16
NUMBERS = 2048  # in each of the arrays over axes and lanes, which should stay in the first-level cache
# The series in s is cut off where sharpness * s is below this.
SHORT = 0.5
# Of tau: half a rounding, over a factor for the orders that are left out.
CLOSE = 2.0**-54 / 4.0
MOST_CORRECTION = 0.5


class Lanes(NamedTuple):
    """W cells: x and curvature at the start, and where each is on its way."""

    x: np.ndarray  # (d, W)
    curvature: np.ndarray  # (d, W)
    y: np.ndarray  # (d, W) x at tau
    sharpness: np.ndarray  # (W,)
    threshold: np.ndarray  # (W,)
    tau: np.ndarray  # (W,)
    total: np.ndarray  # (W,) sum y^2
    first: np.ndarray  # (W,) sum lam y^2
    second: np.ndarray  # (W,) sum lam^2 y^2
    moving: np.ndarray  # (W,) 1 on the way, 0 there or not asked for
    seed: np.ndarray  # (W,) int64
    alone: np.ndarray  # (W,) int64, 1 where a cell goes on by itself
    before: np.ndarray  # (W,) tau at the level before
    x_alone: np.ndarray  # (d,)
    curvature_alone: np.ndarray  # (d,)


@worker
def make_lanes(dimension):
    """Lanes for cells of d axes, as many as stay in the first-level cache."""
    width = max(FEWEST_LANES, min(LANES, NUMBERS // max(dimension, 1) // FEWEST_LANES * FEWEST_LANES))
    x, curvature, y = np.zeros((dimension, width)), np.zeros((dimension, width)), np.zeros((dimension, width))
    own = np.zeros((8, width))
    seed, alone = np.zeros(width, np.int64), np.zeros(width, np.int64)
    return Lanes(
        *(x, curvature, y, own[0], own[1], own[2], own[3], own[4], own[5], own[6]),
        *(seed, alone, own[7], np.empty(dimension), np.empty(dimension)),
    )


@cell
def look(lanes, width):
    """The sums of each lane at its tau."""
    tau, total, first, second = lanes.tau, lanes.total, lanes.first, lanes.second
    for k in range(width):
        total[k] = 0.0
        first[k] = 0.0
        second[k] = 0.0
    for i in range(lanes.x.shape[0]):
        x, curvature, y = lanes.x[i], lanes.curvature[i], lanes.y[i]
        for k in range(width):
            lam = curvature[k]
            # max: in sums, what is smaller is 0.
            now = x[k] * exp_lane(max(-lam * tau[k], LOWEST_EXPONENT))
            square = now * now
            weighted = lam * square
            y[k] = now
            total[k] += square
            first[k] += weighted
            second[k] = fma(lam, weighted, second[k])


@cell
def advance(lanes, width):
    """Take the lanes that move on to where the level should be; how many are not there yet."""
    tau, total, first, second = lanes.tau, lanes.total, lanes.first, lanes.second
    threshold, sharpness, moving = lanes.threshold, lanes.sharpness, lanes.moving
    for k in range(width):
        m = first[k] / total[k]
        newton = 0.5 * log_lane(total[k] / threshold[k]) / m
        bend = max(second[k] / total[k] - m * m, 0.0) / m
        step = newton * (1.0 + min(max(bend * newton, -MOST_CORRECTION), MOST_CORRECTION))
        following = tau[k] + step
        size = abs(step)
        left_out = bend * (2.0 * bend + sharpness[k]) * size * size * size
        there = (left_out <= CLOSE * following) & (sharpness[k] * size <= SHORT)
        tau[k] = following if moving[k] > 0.0 else tau[k]
        moving[k] = 0.0 if there else moving[k]
    left = 0.0
    for k in range(width):
        left += moving[k]
    return left


@inline
def cross_together(lanes, width):
    """Take the moving lanes to their thresholds, and look there."""
    for _ in range(MOST_LOOKS):
        left = advance(lanes, width)
        look(lanes, width)
        if not left > 0.0:
            return


@inline
def is_ordinary(lanes, k):
    """Whether a lane came to its threshold, and by sums that lose no digits."""
    total, ratio = lanes.total[k], lanes.total[k] / lanes.threshold[k]
    first, second = lanes.first[k], lanes.second[k]
    sums = SAFE <= total < np.inf and SAFE <= first < np.inf and SAFE <= second < np.inf
    return lanes.moving[k] == 0.0 and sums and SAFE <= ratio < np.inf
