"""The expected loss after given steps, and its derivative by every rate: a reverse pass through the moments.

Along one axis the second moments p = E x^2, q = E x v, r = E v^2 of residual and velocity and the means x, v follow, in
the letters of `expectation`, with k = eta c1, m = eta c2, s = 1 - k lam and noise of variance C,

    p' = s^2 p - 2 m s q + m^2 r + k^2 C            x' = s x - m v
    q' = s (b q + lam p) - m (b r + lam q) - k C    v' = b v + lam x
    r' = b^2 r + 2 b lam q + lam^2 p + C.

The loss is linear in them, sum_i M_ii (p_i + 2 delta_i x_i + delta_i^2), so its derivatives by the moments after a step
give those before it by the transposed maps (the adjoint), from the last step to the first. Fresh rows tie the axes
together by the mean excess loss e = 1/2 sum_i count_i lam_i p_i, in which an axis may stand for several.

A schedule is pieces of constant rate and batch. The states that the reverse pass needs are taken again from
checkpoints, about sqrt(T) states apart for T steps: memory for 2 sqrt(T) states in place of T, and each step is taken
three times. Gradient descent carries p and x alone.

Noise of fixed size leaves the axes independent, and gradient descent takes a piece of n steps at once: with
u = 1 - eta lam, a = u^2, c = eta^2 C,

    p <- a^n p + c (1 + a + ... + a^(n-1)),    x <- u^n x.
"""

from math import expm1, log, log1p
from typing import NamedTuple

import numpy as np
from numba import prange

from ..intrinsics import fma
from ..jit import cell, sweep, worker
from ..tasks import NONE_LEFT, claim_cells
from .expectation import FRESH, HESSIAN, ISOTROPIC, NO_NOISE

MODES_A_TASK = 128
# Rows of a state.
P, X, Q, R, V = 0, 1, 2, 3, 4
PLAIN_ROWS, MOVING_ROWS = 2, 5
# Below this |n log a| a geometric sum is its own series, whose next term is below 1e-12 of it.
SHORT = 1e-4


class Modes(NamedTuple):
    """The problems and what is asked of their ends: N of them in d axes."""

    curvature: np.ndarray  # (N, d)
    residual: np.ndarray  # (N, d) of the start
    count: np.ndarray  # (N, d) how many axes each stands for in the mean excess loss of fresh rows
    weight: np.ndarray  # (N, d) of p at the end
    slope: np.ndarray  # (N, d) of x at the end


class Pieces(NamedTuple):
    """One schedule: P pieces of constant rate, with the optimiser and the noise."""

    eta: np.ndarray  # (P,)
    batch: np.ndarray  # (P,) rows a step, of fresh rows
    first: np.ndarray  # (P + 1,) steps before each piece, and in all
    b: float
    c1: float
    c2: float
    kind: int  # of noise, as in `expectation`
    sigma: float


class Slopes(NamedTuple):
    """What is found; `loss` without the part that no rate changes."""

    loss: np.ndarray  # (N,) or, where axes are independent, (N, tasks)
    eta: np.ndarray  # (N, P) or (N, tasks, P): derivative by the rate of each piece
    batch: np.ndarray  # (N, P), by its batch size


# ---- step by step ----


@cell
def excess(count, lam, p):
    """1/2 sum_i count_i lam_i p_i, in four running sums."""
    s0 = s1 = s2 = s3 = 0.0
    whole = lam.size // 4 * 4
    for i in range(0, whole, 4):
        s0 = fma(count[i] * lam[i], p[i], s0)
        s1 = fma(count[i + 1] * lam[i + 1], p[i + 1], s1)
        s2 = fma(count[i + 2] * lam[i + 2], p[i + 2], s2)
        s3 = fma(count[i + 3] * lam[i + 3], p[i + 3], s3)
    for i in range(whole, lam.size):
        s0 = fma(count[i] * lam[i], p[i], s0)
    return 0.5 * ((s0 + s2) + (s1 + s3))


@cell
def set_variances(out, lam, count, p, batch, kind, sigma):
    """out (d,) = the variance C of a step's noise along each axis; p (d,) the second moments before it."""
    sigma_2 = sigma * sigma
    if kind == FRESH:
        both = 2.0 * (excess(count, lam, p) + sigma_2)
        for i in range(lam.size):
            out[i] = lam[i] * fma(lam[i], p[i], both) / batch
    elif kind == HESSIAN:
        for i in range(lam.size):
            out[i] = sigma_2 * lam[i]
    else:
        out[:] = sigma_2 if kind == ISOTROPIC else 0.0


@cell
def step_forward(after, before, lam, noise, eta, b, c1, c2):
    """after (rows, d) = the state a step later than before (rows, d); they may be one array. noise (d,)."""
    k, m = eta * c1, eta * c2
    if before.shape[0] == PLAIN_ROWS:
        for i in range(lam.size):
            s = fma(-k, lam[i], 1.0)
            after[P, i] = fma(s * s, before[P, i], k * k * noise[i])
            after[X, i] = s * before[X, i]
        return
    for i in range(lam.size):
        s, la, c = fma(-k, lam[i], 1.0), lam[i], noise[i]
        p, x, q, r, v = before[P, i], before[X, i], before[Q, i], before[R, i], before[V, i]
        after[P, i] = s * s * p - 2.0 * m * s * q + m * m * r + k * k * c
        after[Q, i] = s * (b * q + la * p) - m * (b * r + la * q) - k * c
        after[R, i] = b * b * r + 2.0 * b * la * q + la * la * p + c
        after[X, i] = s * x - m * v
        after[V, i] = b * v + la * x


@cell
def step_back_plain(adjoint, before, lam, noise, eta, spread):
    """`step_back` for gradient descent."""
    by_eta = 0.0
    for i in range(lam.size):
        s, up, ux = fma(-eta, lam[i], 1.0), adjoint[P, i], adjoint[X, i]
        by_eta += 2.0 * up * (eta * noise[i] - lam[i] * s * before[P, i]) - ux * lam[i] * before[X, i]
        spread[i] = eta * eta * up
        adjoint[P, i], adjoint[X, i] = s * s * up, s * ux
    return by_eta


@cell
def step_back(adjoint, before, lam, noise, eta, b, c1, c2, spread):
    """Take the adjoint (rows, d) from after a step to before it, but for what the noise hands back; d loss / d eta.

    before (rows, d) is the state before the step; spread (d,) becomes the derivative by each axis' noise.
    """
    k, m, by_eta = eta * c1, eta * c2, 0.0
    for i in range(lam.size):
        s, la, c = fma(-k, lam[i], 1.0), lam[i], noise[i]
        p, x, q, r, v = before[P, i], before[X, i], before[Q, i], before[R, i], before[V, i]
        up, ux, uq, ur, uv = adjoint[P, i], adjoint[X, i], adjoint[Q, i], adjoint[R, i], adjoint[V, i]
        by_k = 2.0 * (k * c + la * (m * q - s * p))  # of p'
        by_m = 2.0 * (m * r - s * q)
        by_eta += up * (c1 * by_k + c2 * by_m) - ux * (c1 * la * x + c2 * v)
        by_eta -= uq * (c1 * (la * (b * q + la * p) + c) + c2 * (b * r + la * q))
        spread[i] = k * k * up - k * uq + ur
        adjoint[P, i] = s * s * up + s * la * uq + la * la * ur
        adjoint[Q, i] = -2.0 * m * s * up + (s * b - m * la) * uq + 2.0 * b * la * ur
        adjoint[R, i] = m * m * up - m * b * uq + b * b * ur
        adjoint[X, i] = s * ux + la * uv
        adjoint[V, i] = b * uv - m * ux
    return by_eta


@cell
def hand_back(adjoint, lam, count, noise, spread, batch):
    """Add to the adjoint (rows, d) what the noise of fresh rows hands back to p; d loss / d batch."""
    shared = by_batch = 0.0
    for i in range(lam.size):
        shared = fma(lam[i], spread[i], shared)
        by_batch = fma(spread[i], noise[i], by_batch)
    for i in range(lam.size):
        adjoint[P, i] += lam[i] * fma(lam[i], spread[i], count[i] * shared) / batch
    return -by_batch / batch


@cell
def take_steps(states, modes, pieces, n, start, stop, piece, noise):
    """Fill states (>= stop - start, rows, d) with those before the steps start .. stop - 1 of problem n; the piece.

    states[0] is that before step `start`, which lies in `piece`; where `states` has one place only, the state moves on
    in it to the one before step `stop`.
    """
    lam, count = modes.curvature[n], modes.count[n]
    for t in range(start, stop):
        while pieces.first[piece + 1] <= t:
            piece += 1
        here = min(t - start, states.shape[0] - 1)
        there = min(here + 1, states.shape[0] - 1)
        set_variances(noise, lam, count, states[here, P], pieces.batch[piece], pieces.kind, pieces.sigma)
        step_forward(states[there], states[here], lam, noise, pieces.eta[piece], pieces.b, pieces.c1, pieces.c2)
    return piece


@cell
def reverse_steps(adjoint, states, modes, pieces, slopes, n, start, stop, piece, noise, spread):
    """Take the adjoint back through the steps stop - 1 .. start, of which `states` has the states before; the piece."""
    lam, count = modes.curvature[n], modes.count[n]
    for t in range(stop - 1, start - 1, -1):
        while pieces.first[piece] > t:
            piece -= 1
        eta, batch, before = pieces.eta[piece], pieces.batch[piece], states[t - start]
        set_variances(noise, lam, count, before[P], batch, pieces.kind, pieces.sigma)
        if before.shape[0] == PLAIN_ROWS:
            slopes.eta[n, piece] += step_back_plain(adjoint, before, lam, noise, eta, spread)
        else:
            by_eta = step_back(adjoint, before, lam, noise, eta, pieces.b, pieces.c1, pieces.c2, spread)
            slopes.eta[n, piece] += by_eta
        if pieces.kind == FRESH:
            slopes.batch[n, piece] += hand_back(adjoint, lam, count, noise, spread, batch)
    return piece


@worker
def differentiate(modes, pieces, slopes, n, wanted):
    """Loss and slopes of one problem; slopes where `wanted`."""
    size, total = modes.curvature.shape[1], pieces.first[-1]
    rows = PLAIN_ROWS if pieces.b == 0.0 and pieces.c2 == 0.0 else MOVING_ROWS
    stride = max(1, int(np.ceil(np.sqrt(total)))) if wanted else total
    marks = (total + stride - 1) // stride
    kept = np.zeros((marks if wanted else 1, rows, size))
    state, noise = np.zeros((1, rows, size)), np.zeros(size)
    state[0, P], state[0, X] = modes.residual[n] * modes.residual[n], modes.residual[n]
    piece = 0
    for mark in range(marks):
        kept[mark if wanted else 0] = state[0]
        piece = take_steps(state, modes, pieces, n, mark * stride, min((mark + 1) * stride, total), piece, noise)
    loss = 0.0
    for i in range(size):
        loss += modes.weight[n, i] * state[0, P, i] + modes.slope[n, i] * state[0, X, i]
    slopes.loss[n] = loss
    if not wanted:
        return
    adjoint, spread = np.zeros((rows, size)), np.zeros(size)
    adjoint[P], adjoint[X] = modes.weight[n], modes.slope[n]
    states = np.zeros((stride, rows, size))
    for mark in range(marks - 1, -1, -1):
        start, stop = mark * stride, min((mark + 1) * stride, total)
        while pieces.first[piece] > start:
            piece -= 1
        states[0] = kept[mark]
        piece = take_steps(states, modes, pieces, n, start, stop - 1, piece, noise)
        while pieces.first[piece + 1] < stop:
            piece += 1
        piece = reverse_steps(adjoint, states, modes, pieces, slopes, n, start, stop, piece, noise, spread)


@worker
def steps_worker(modes, pieces, slopes, wanted, tasks):
    """Claim problems until none is left."""
    while tasks[1] == 0:
        n, _, _ = claim_cells(tasks, modes.curvature.shape[0], 1, 1)
        if n == NONE_LEFT:
            return
        differentiate(modes, pieces, slopes, n, wanted)


@sweep
def steps_sweep(modes, pieces, slopes, wanted, tasks, workers):
    """Loss and slopes of every problem, step by step: `Modes`, `Pieces`, `Slopes` that are 0 at first.

    wanted: 1 where slopes are asked for, else the loss alone, for a third of the work and with no checkpoints.
    """
    for _ in prange(workers):
        steps_worker(modes, pieces, slopes, wanted, tasks)


# ---- a piece at once, where the noise ties no axes together ----


@cell
def geometric_sum(a, small, log_a, n):
    """1 + a + ... + a^(n-1) and its derivative by a; a >= 0, small = a - 1 and log_a its logarithm."""
    if abs(n * log_a) < SHORT:
        two = 0.5 * n * (n - 1.0)
        three = two * (n - 2.0) / 3.0
        return (
            n + small * (two + small * three),
            two + small * three * (2.0 + small * 0.75 * (n - 3.0)),
        )
    grown = expm1(n * log_a)
    power = (grown + 1.0) / a if a > 0.0 else 0.0  # a^(n-1)
    total = grown / small
    return total, (n * power - total) / small


@cell
def leap(table, lam, pieces):
    """Fill table (4, P) with what each piece does along an axis of curvature lam, for noise of variance 1.

    Its rows are u^n, c_1 = eta^2 (1 + ... + a^(n-1)), and the derivatives of both by the rate.
    """
    for k in range(pieces.eta.size):
        eta, n = pieces.eta[k], float(pieces.first[k + 1] - pieces.first[k])
        u = fma(-eta, lam, 1.0)
        if n == 1.0:
            table[0, k], table[1, k], table[2, k], table[3, k] = u, eta * eta, -lam, 2.0 * eta
            continue
        step = eta * lam
        # Near |u| = 1 by what it differs by.
        log_u = log1p(-step) if step < 0.5 else (log1p(step - 2.0) if step > 1.5 else log(abs(u)))
        odd = (pieces.first[k + 1] - pieces.first[k]) % 2 == 1
        before = np.exp((n - 1.0) * log_u)  # |u|^(n-1)
        before = -before if u < 0.0 and not odd else before
        total, by_a = geometric_sum(u * u, -step * (2.0 - step), 2.0 * log_u, n)
        table[0, k], table[1, k] = before * u, eta * eta * total
        table[2, k] = -n * lam * before
        table[3, k] = 2.0 * eta * (total - step * u * by_a)


@cell
def differentiate_mode(modes, pieces, by_eta, n, i, table, before, wanted):
    """The loss of axis i of problem n; its slopes are added to by_eta (P,). table (4, P), before (2, P) scratch."""
    lam, start = modes.curvature[n, i], modes.residual[n, i]
    variance = pieces.sigma * pieces.sigma * (lam if pieces.kind == HESSIAN else 1.0)
    variance = 0.0 if pieces.kind == NO_NOISE else variance
    leap(table, lam, pieces)
    p, x = start * start, start
    for k in range(pieces.eta.size):
        before[0, k], before[1, k] = p, x
        p = fma(table[0, k] * table[0, k], p, variance * table[1, k])
        x *= table[0, k]
    up, ux = modes.weight[n, i], modes.slope[n, i]
    loss = up * p + ux * x
    if wanted:
        for k in range(pieces.eta.size - 1, -1, -1):
            power = table[0, k]
            by_power = 2.0 * up * power * before[0, k] + ux * before[1, k]
            by_eta[k] += by_power * table[2, k] + up * variance * table[3, k]
            up *= power * power
            ux *= power
    return loss


@worker
def modes_worker(modes, pieces, slopes, wanted, tasks):
    """Claim `MODES_A_TASK` axes of a problem at a time until none are left."""
    count, size = pieces.eta.size, modes.curvature.shape[1]
    table, before = np.zeros((4, count)), np.zeros((2, count))
    while tasks[1] == 0:
        n, part, _ = claim_cells(tasks, modes.curvature.shape[0], slopes.loss.shape[1], 1)
        if n == NONE_LEFT:
            return
        for i in range(part * MODES_A_TASK, min((part + 1) * MODES_A_TASK, size)):
            by_eta = slopes.eta[n, part]
            slopes.loss[n, part] += differentiate_mode(modes, pieces, by_eta, n, i, table, before, wanted)


@sweep
def pieces_sweep(modes, pieces, slopes, wanted, tasks, workers):
    """`steps_sweep` for gradient descent with noise of fixed size, in a time that knows no lengths of pieces.

    `Slopes` of (N, tasks) and (N, tasks, P), one task for each `MODES_A_TASK` axes, to be summed in that order.
    """
    for _ in prange(workers):
        modes_worker(modes, pieces, slopes, wanted, tasks)
