"""Diagonal linear networks, f(x) = <u * v, x> entry by entry, trained by SGD with label noise, many at a time.

The loss of a row is 1/2 (f(x) - y)^2. Step t draws B rows with replacement, or takes all, adds noise to their labels,

    e_b = <u * v, x_b> - y_b - sigma xi_b,   g = (1/B) sum_b e_b x_b,   u <- u - eta_t g * v,   v <- v - eta_t g * u,

with both on the right those before the step. Rows are numbers floor(n U_b), U from stream(BATCH, t), and xi from
stream(LABEL_NOISE, t + 1); stream(purpose, step) is that of `draws`, with the seed's own number.

The LANES of SIMD are schedules of one seed, so that a row that is loaded serves them all, and no sum runs over lanes.
The unit of parallel work is LANES schedules of a seed.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..draws import BATCH, LABEL_NOISE, fill_normal, fill_uniform
from ..intrinsics import fma
from ..jit import cell, inline, sweep, worker
from ..pool import LANES
from ..tasks import NONE_LEFT, claim_cells


class Rows(NamedTuple):
    """What N seeds are trained on."""

    x: np.ndarray  # (N, n, d)
    y: np.ndarray  # (N, n)
    unit: np.ndarray  # (N,) what the rates of a seed are multiplied by
    draw: np.ndarray  # (N,) int64, whose rows and noise a seed meets


class Rules(NamedTuple):
    """How S schedules train."""

    rate: np.ndarray  # (S, T) eta_t
    batch: int  # B; 0 = all rows
    sigma: float  # of the label noise
    root: int


class Scratch(NamedTuple):
    """What a worker computes with."""

    u: np.ndarray  # (d, LANES)
    v: np.ndarray  # (d, LANES)
    g: np.ndarray  # (d, LANES) 0 between steps
    error: np.ndarray  # (LANES,)
    rate: np.ndarray  # (LANES,)
    uniform: np.ndarray  # (rows of a step,)
    normal: np.ndarray  # the same


@worker
def make_scratch(dimension, batch):
    """Room for networks of so many inputs, and steps of so many rows."""
    lanes = (dimension, LANES)
    return Scratch(
        np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(LANES), np.zeros(LANES), np.zeros(batch),
        np.zeros(batch),
    )  # fmt: skip


@inline
def add_row(x, target, weight, scratch):
    """g += weight (<u * v, x> - target) x, of one row x (d,)."""
    u, v, g, error = scratch.u, scratch.v, scratch.g, scratch.error
    for lane in range(LANES):
        error[lane] = -target
    for i in range(x.size):
        for lane in range(LANES):
            error[lane] = fma(u[i, lane] * v[i, lane], x[i], error[lane])
    for lane in range(LANES):
        error[lane] *= weight
    for i in range(x.size):
        for lane in range(LANES):
            g[i, lane] = fma(error[lane], x[i], g[i, lane])


@inline
def move(scratch):
    """u and v after a step; g is 0 again."""
    u, v, g, rate = scratch.u, scratch.v, scratch.g, scratch.rate
    for i in range(u.shape[0]):
        for lane in range(LANES):
            pull, before = -rate[lane] * g[i, lane], u[i, lane]
            u[i, lane] = fma(pull, v[i, lane], before)
            v[i, lane] = fma(pull, before, v[i, lane])
            g[i, lane] = 0.0


@inline
def take_step(rows, rules, n, t, scratch):
    """Step t of the schedules in hand with seed n."""
    x, y, uniform = rows.x[n], rows.y[n], scratch.uniform
    if rules.batch > 0:
        fill_uniform(uniform, rules.root, rows.draw[n], BATCH, t)
    if rules.sigma > 0.0:
        fill_normal(scratch.normal, rules.root, rows.draw[n], LABEL_NOISE, t + 1)
    for b in range(uniform.size):
        row = b if rules.batch == 0 else min(int(uniform[b] * y.size), y.size - 1)
        add_row(x[row], y[row] + rules.sigma * scratch.normal[b], 1.0 / uniform.size, scratch)
    move(scratch)


@cell
def train_lanes(rows, rules, n, first, last, start, recorded, scratch, kept):
    """All steps of schedules first .. last - 1 with seed n."""
    for i in range(start.shape[1]):
        for lane in range(LANES):
            scratch.u[i, lane], scratch.v[i, lane], scratch.g[i, lane] = start[0, i], start[1, i], 0.0
    slot, steps = 0, rules.rate.shape[1]
    for t in range(steps + 1):
        if slot < recorded.size and recorded[slot] == t:
            for s in range(first, last):
                for i in range(start.shape[1]):
                    kept[s, n, slot, 0, i], kept[s, n, slot, 1, i] = scratch.u[i, s - first], scratch.v[i, s - first]
            slot += 1
        if t == steps:
            return
        for s in range(first, last):
            scratch.rate[s - first] = rules.rate[s, t] * rows.unit[n]
        take_step(rows, rules, n, t, scratch)


@worker
def diagonal_worker(rows, rules, start, recorded, kept, tasks):
    """Claim a few schedules of a seed, until none is left or a stop is asked for."""
    batch = rules.batch if rules.batch > 0 else rows.y.shape[1]
    scratch = make_scratch(start.shape[1], batch)
    while tasks[1] == 0:
        n, first, last = claim_cells(tasks, rows.y.shape[0], rules.rate.shape[0], LANES)
        if n == NONE_LEFT:
            return
        train_lanes(rows, rules, n, first, last, start, recorded, scratch, kept)


@sweep
def diagonal_sweep(rows, rules, start, recorded, kept, tasks, workers):
    """Train S networks of N seeds, all from one start.

    Parameters: `Rows`; `Rules`; start (2, d), u and v; recorded (K,) int64, rising, the steps, up to T, after which u
    and v are kept in kept (S, N, K, 2, d); tasks and workers as in `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        diagonal_worker(rows, rules, start, recorded, kept, tasks)
