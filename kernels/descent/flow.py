"""Gradient flow on diagonal quadratics, x_i(tau) = exp(-lam_i tau) x_i, and the exact time of crossing a level."""

import math

import numpy as np

from ..intrinsics import fma
from ..jit import cell, inline
from .carried import log_sums

MOST_ITERATIONS = 500
RESOLUTION = 2.0**-52
# Sums below this lose digits; they, and what is beyond all numbers, are had as logarithms instead.
SAFE = 1e-280


@inline
def flow_sums(x, lam, tau):
    """q = sum_i x_i(tau)^2 = 2 (train loss - floor), and -q'/2 = sum_i lam_i x_i(tau)^2."""
    total = 0.0
    slope = 0.0
    for i in range(x.size):
        y = x[i] * math.exp(-lam[i] * tau) if lam[i] > 0.0 else x[i]
        total = fma(y, y, total)
        slope = fma(lam[i] * y, y, slope)
    return total, slope


@inline
def excess_and_step(x, lam, tau, threshold):
    """log(q / threshold), or some number of its sign, and the step of Newton's method from tau."""
    total, slope = flow_sums(x, lam, tau)
    if SAFE <= total < np.inf and SAFE <= slope < np.inf and SAFE <= total / threshold < np.inf:
        return total - threshold, 0.5 * total / slope * math.log(total / threshold)
    logarithm, slope = log_sums(x, x[:0], lam, tau)
    excess = logarithm - math.log(threshold)
    return excess, 0.5 / slope * excess if slope > 0.0 else np.inf


@cell
def crossing_time(x, lam, threshold, start):
    """The time tau at which q(tau) = threshold, given q(start) > threshold > 0; inf where q never falls so far.

    log q is convex and falling (a sum of exponentials is log-convex), so Newton's method on log q - log threshold,
    begun where q lies above, climbs to the root from below without passing it; each iterate is a lower bound. Rounding
    may carry the last one past the root, which then becomes the upper end of a bracket that is halved instead.
    """
    low, high = start, np.inf
    tau = start
    for _ in range(MOST_ITERATIONS):
        excess, step = excess_and_step(x, lam, tau, threshold)
        if excess > 0.0:
            low = tau
        else:
            high = tau
        if not abs(step) > RESOLUTION * tau:
            return tau
        following = tau + step
        if not low <= following <= high:
            following = 0.5 * (low + high)
            if following <= low or following >= high:
                return high
        if following == np.inf:
            return np.inf
        tau = following
    return tau
