"""Shortening the step at which a level of the train loss is met, so that the loss is the level.

With `after` the parameters after the step and back = before - after, the loss along after + s back, 0 <= s <= 1, is
convex, above the level at s = 1 and not above it at s = 0: there is one s at which it is met. Newton's steps from s = 1
come down to it without passing it; where rounding lets one leave the bracket, the bracket is halved.
"""

from typing import NamedTuple

import numpy as np

from ..intrinsics import fma
from ..jit import cell, inline, worker
from ..landing import fraction_taken
from ..pool import LANES
from ..status import REACHED
from .passes import full_pass

MOST_LOOKS = 80
# Of the level: a loss so close to it has met it.
CLOSE = 2.0**-50


class Trial(NamedTuple):
    """What steps are shortened with; lanes of 0 where they are whole."""

    before: np.ndarray  # (p, width) the parameters before the step in hand
    theta: np.ndarray  # (p, LANES) on trial, in lane 0
    gradient: np.ndarray  # (p, LANES)
    back: np.ndarray  # (p,) before - after


@worker
def make_trial(parameters, width):
    """Room for trials; width is 0 where steps are whole."""
    lanes = LANES if width > 0 else 0
    return Trial(
        np.zeros((parameters, width)),
        np.zeros((parameters, lanes)),
        np.zeros((parameters, lanes)),
        np.zeros(parameters),
    )


@inline
def keep_before(trial, theta, filled):
    """Note the parameters before a step."""
    if trial.before.shape[1] > 0:
        for i in range(theta.shape[0]):
            for lane in range(filled):
                trial.before[i, lane] = theta[i, lane]


@cell
def share_back(table, n, theta, lane, level, trial, scratch):
    """The s at which the loss of seed n along the step in a lane is the level."""
    low, high, share = 0.0, 1.0, 1.0
    for _ in range(MOST_LOOKS):
        for i in range(trial.back.size):
            trial.theta[i, 0] = fma(share, trial.back[i], theta[i, lane])
        full_pass(table, n, trial.theta, scratch, trial.gradient, 1)
        excess = scratch.total[0] - level
        if abs(excess) <= CLOSE * level:
            break
        if excess > 0.0:
            high = share
        else:
            low = share
        slope = 0.0
        for i in range(trial.back.size):
            slope = fma(trial.gradient[i, 0], trial.back[i], slope)
        following = share - excess / slope
        if not low < following < high:
            following = 0.5 * (low + high)
            if not low < following < high:
                break
        share = following
    return share


@cell
def land_lane(pool, lane, launch, trial, scratch, first, t):
    """Shorten step t of the chunk for the levels from `first` on that are met with it.

    The landed iterate is averaged in the place of the step's.
    """
    cells, passages, s, n = launch.cells, launch.passages, pool.schedule[lane], pool.seed[lane]
    for i in range(trial.back.size):
        trial.back[i] = trial.before[i, lane] - pool.r[i, lane]
    for level in range(first, cells.threshold.shape[1]):
        if passages.status[s, n, level] != REACHED:
            break
        share = share_back(launch.rows, n, pool.r, lane, 0.5 * cells.threshold[n, level], trial, scratch)
        for i in range(trial.back.size):
            passages.stop_r[s, n, level, i] = fma(share, trial.back[i], pool.r[i, lane])
        for i in range(pool.average.shape[0]):
            average = fma(pool.present[lane] * share, trial.back[i], pool.average[i, lane])
            passages.stop_average[s, n, level, i] = average
        passages.stop_fraction[s, n, level] = fraction_taken(share)
        passages.stop_time[s, n, level] -= share * launch.rates.eta[s, t]
