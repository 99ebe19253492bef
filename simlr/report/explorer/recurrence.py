"""Large steps, then gradient flow, until the train loss above its minimum is a level: what explorer.js computes, too.

In the axes of the curvature lam, with r = Q^T (theta - theta_hat) and excess train loss E = 1/2 sum_i lam_i r_i^2:

    r_i <- (1 - eta lam_i) r_i    at every large step,
    r_i <- exp(-lam_i tau) r_i    in the flow.

The step that meets the level is shortened to it (a root in closed form, as in simlr.kernels.landing). In the flow
log E is convex and falling in tau, so Newton's method from 0 comes to the root from the left and never goes past it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

Pair = Sequence[float]
HIGHEST = 1e100
MOST_ROUNDS = 200


class End(NamedTuple):
    """Where a path ends, and the way there."""

    residual: Pair  # r at the end
    path: list[Pair]  # r at the start, after each large step, and at the landing where a step is shortened
    flow_time: float  # tau, 0 where the large steps meet the level
    diverged: bool


def excess(curvature: Pair, residual: Pair) -> float:
    """1/2 sum_i lam_i r_i^2: the train loss above its minimum."""
    return 0.5 * (curvature[0] * residual[0] ** 2 + curvature[1] * residual[1] ** 2)


def descend(curvature: Pair, start: Pair, rate: float, steps: int, level: float) -> End:
    """The path of some large steps and then gradient flow, until the excess train loss is the level.

    Parameters
    ----------
    curvature, start : two numbers each
        lam >= 0, and r at the start.
    rate, steps
        The large learning rate, and its number of steps; without steps it is gradient flow alone.
    level : float
        Excess train loss > 0.

    Returns
    -------
    End
        Diverged where the excess passes 1e100.
    """
    now, path = start, [start]
    for _ in range(steps):
        if excess(curvature, now) <= level:
            break
        after = [(1.0 - rate * lam) * r for lam, r in zip(curvature, now, strict=True)]
        if not excess(curvature, after) <= HIGHEST:
            return End(after, path, 0.0, diverged=True)
        if excess(curvature, after) <= level:
            share = _share_left(curvature, now, after, level)
            after = [a + share * (b - a) for a, b in zip(after, now, strict=True)]
            return End(after, [*path, after], 0.0, diverged=False)
        now = after
        path.append(now)
    time = _crossing(curvature, now, level)
    return End(flow(curvature, now, time), path, time, diverged=False)


def flow(curvature: Pair, residual: Pair, time: float) -> Pair:
    """r_i exp(-lam_i tau)."""
    return [r * math.exp(-lam * time) for lam, r in zip(curvature, residual, strict=True)]


def _share_left(curvature, before, after, level):
    """The share of a step that is left out so that it ends on the level."""
    square, product, rest = 0.0, 0.0, 2.0 * level
    for lam, b, a in zip(curvature, before, after, strict=True):
        square, product, rest = square + lam * (b - a) ** 2, product + lam * a * (b - a), rest - lam * a * a
    root = math.sqrt(product * product + square * max(rest, 0.0))
    if product < 0.0:
        return (root - product) / square
    return rest / (product + root) if rest > 0.0 else 0.0


def _crossing(curvature, residual, level):
    """The time tau of the flow at which the excess is the level; 0 where it is not above it."""
    time = 0.0
    for _ in range(MOST_ROUNDS):
        now = flow(curvature, residual, time)
        value = excess(curvature, now)
        if not value > level:
            break
        fall = sum((lam * r) ** 2 for lam, r in zip(curvature, now, strict=True))
        later = time + math.log(value / level) * value / fall
        if later == time:
            break
        time = later
    return time
