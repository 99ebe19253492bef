"""Axes that are too small for float64 for a while: they go on with an exponent of their own, and may grow again.

Steps that only shrink an axis hold it at the smallest number, 5e-324, or at 0, while in exact arithmetic it goes on
falling; later rates beyond 2 / lam grow it again from where it is, and by then float64 is wrong by any number of powers
of ten. So an axis whose schedule has such rates (`can_grow`) is carried, below DEEP, as

    x_i = value 2^(-600 depth),    2^-900 <= |value| < 2^-300,

with the rounding of the steps themselves: powers of two cost none. A square below 2^-1200 is 0 beside any level or
limit, so nothing else has to know of it: everywhere `Course.x` holds x_i rounded to float64, and `Course.value` and
`Course.depth` what is carried. Axes that no rate of their schedule can grow are left to float64.
"""

import math

import numpy as np

from ..intrinsics import fma
from ..jit import cell, inline

BITS = 600
UP, DOWN = 2.0**BITS, 2.0**-BITS
DEEP = 2.0**-900
HIGHEST = 2.0**-300
LOG_STEP, LOG_DEEP = BITS * math.log(2.0), -900.0 * math.log(2.0)
SMALLEST_NORMAL = 2.0**-1022
# exp(a) is a normal number for |a| up to this.
LARGEST_EXPONENT = 700.0
# The recurrence looks for lost axes before rates could have grown one by more than MOST_GROWTH since the last look: one
# that fell below the normal numbers meanwhile is then still below SUSPECT, and was never seen in a sum of squares.
MOST_GROWTH = 2.0**300
SUSPECT = 2.0**-700


@inline
def can_grow(peak, lam):
    """Whether a schedule whose largest rate is `peak` has one that grows an axis of curvature lam."""
    return fma(-peak, lam, 1.0) < -1.0


@inline
def grown(x, exponent):
    """x exp(exponent), in two halves where exp alone would overflow or vanish; without 0 times infinity."""
    if x == 0.0:
        return x
    if abs(exponent) > LARGEST_EXPONENT:
        half = math.exp(0.5 * exponent)
        return x * half * half
    return x * math.exp(exponent)


@inline
def exponent_of(shift, decay, i, k):
    """log of what x_i is multiplied with by step k; shift (d,), or (0,) where nothing is carried."""
    own = shift[i] if shift.size > 0 else 0.0
    # k = 0 too may meet an infinite decay.
    return own if k == 0.0 or decay[i] == 0.0 else own - decay[i] * k


@cell
def log_sums(x, shift, decay, k):
    """log q(k) and -(log q)'(k) / 2, however small q is: squares are added relative to the largest.

    q(k) = sum_i x_i(k)^2 with x_i(k) = x_i exp(shift_i - decay_i k). decay (d,) are those of steps k at a constant
    rate, or the curvatures where k is the time of a gradient flow.
    """
    largest = -np.inf
    for i in range(x.size):
        if x[i] != 0.0:
            largest = max(largest, math.log(abs(x[i])) + exponent_of(shift, decay, i, k))
    if largest == -np.inf:
        return largest, 0.0
    total = 0.0
    slope = 0.0
    for i in range(x.size):
        if x[i] != 0.0:
            square = math.exp(2.0 * (math.log(abs(x[i])) + exponent_of(shift, decay, i, k) - largest))
            total += square
            if square != 0.0:
                slope += decay[i] * square
    return 2.0 * largest + math.log(total), slope / total


@inline
def plain(value, depth):
    """The axis as float64 has it."""
    if depth == 0:
        return value
    return value * DOWN if depth == 1 else value * 0.0


@inline
def rescaled(value, depth):
    """(value, depth) of the same axis with `value` in its range."""
    while value != 0.0 and abs(value) < DEEP:
        value *= UP
        depth += 1
    while depth > 0 and abs(value) >= HIGHEST:
        value *= DOWN
        depth -= 1
    return value, depth if value != 0.0 else 0


@inline
def stepped(value, depth, eta, lam):
    """(value, depth) after one step; also where eta lam is beyond all numbers."""
    factor = fma(-eta, lam, 1.0)
    if abs(factor) < np.inf or value == 0.0:
        return rescaled(value * factor if value != 0.0 else value, depth)
    # Where it overflows, the rate is far from the smallest numbers.
    scaled = value * fma(-eta * DOWN, lam, DOWN)
    if depth > 0:
        return rescaled(scaled, depth - 1)
    return scaled * UP, 0


@inline
def decay_of(eta, lam):
    """-log |1 - eta lam| of the rounded factor; infinite where that is 0."""
    factor = abs(fma(-eta, lam, 1.0))
    if factor == 0.0:
        return np.inf
    return -math.log(factor) if factor < np.inf else -LOG_STEP - math.log(abs(fma(-eta * DOWN, lam, DOWN)))


@inline
def log_ratio(a, b):
    """log(a / b) of a >= 0 and b > 0, also where a / b is beyond all numbers."""
    if a == 0.0:
        return -np.inf
    ratio = a / b
    return math.log(ratio) if SMALLEST_NORMAL <= ratio < np.inf else math.log(a) - math.log(b)


@inline
def from_exponent(x, exponent):
    """x exp(exponent) as (value, depth)."""
    if x == 0.0 or exponent == -np.inf:
        return x * 0.0, 0
    size = math.log(abs(x)) + exponent
    depth = math.ceil((LOG_DEEP - size) / LOG_STEP) if size < LOG_DEEP else 0
    return grown(x, exponent + depth * LOG_STEP), depth


@inline
def where_it_stands(course, s, n, i):
    """(value, depth) of axis i of a cell."""
    depth = course.depth[s, n, i]
    return course.value[s, n, i] if depth > 0 else course.x[s, n, i], depth


@inline
def put(course, s, n, i, value, depth):
    """Store axis i of a cell."""
    course.x[s, n, i] = plain(value, depth)
    if depth > 0 or course.depth[s, n, i] > 0:
        course.depth[s, n, i] = depth
        course.value[s, n, i] = value


@cell
def take_axis(value, depth, eta, first, last, lam):
    """(value, depth) of one axis after the steps first..last - 1, each rounded as the recurrence rounds it."""
    for t in range(first, last):
        if value == 0.0:
            break
        value, depth = stepped(value, depth, eta[t], lam)
    return value, depth
