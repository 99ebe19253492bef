"""Varying learning rates in closed form: prod_t (1 - eta_t lam) as a function of lam, tabulated once per schedule.

Steps 0 .. t_j - 1 of a piece of rates multiply the coordinate of an axis with curvature lam by

    P_j(lam) = prod_{s < t_j} (1 - eta_s lam) = exp(lam h_j(lam)),    h_j(lam) = sum_s log(1 - eta_s lam) / lam,

at rows t_j = j `every` (and at the end). Over 0 <= lam <= cap = REACH / max eta no factor is below 1 - REACH, and h_j
is analytic in lam with its nearest singularity at 1 / max eta. On the interval, stretched to [-1, 1], that point lies
at 2 / REACH - 1 = 5.67, on the Bernstein ellipse with rho = 11.2; so interpolation at NODES = 16 Chebyshev nodes errs
by a small multiple of rho^-16 = 2e-17, that is by rounding alone (Trefethen, Approximation Theory and Approximation
Practice, theorem 8.2). Smoothness in time is not needed: any rates will do.

Divided by lam, the interpolation keeps its relative accuracy down to lam = 0. The factors at the nodes are the
recurrence's own, fma(-eta, lam, 1), multiplied GROUP at a time and summed over rows with compensation. What rounding
does to them is measured, not believed: every row is compared with the products at CHECKS further points, and a piece
that misses ALLOWED there gets cap = 0, which sends every cell through its steps one by one.

Each factor of the recurrence is rounded to 2^-53, and as the rate varies these errors change sign; where eta lam itself
is below about 2^-40 they may not, and the two ways may differ by up to 2^-53 a step in the coordinate of such an axis.
"""

import math

import numpy as np
from numba import prange

from ..intrinsics import claim, fma
from ..jit import cell, inline, sweep, worker
from .unrolled import EIGHT, load_eight, product_of_eight

REACH = 0.3
NODES = 16
CHECKS = 8
POINTS = NODES + CHECKS
GROUP = 256  # 0.7^256 = 2e-40 is far from underflow
ALLOWED = 1e-14
ROWS_A_TASK = 16
LARGEST_CAP = 1e300

_ANGLES = [math.pi * (m + 0.5) / NODES for m in range(NODES)]
# Between the nodes, where interpolation errs most, and at the end of the interval.
_ANGLES_BETWEEN = [math.pi * 2 * m / NODES for m in range(CHECKS)]
FRACTIONS = np.array([0.5 * (1.0 + math.cos(angle)) for angle in (*_ANGLES, *_ANGLES_BETWEEN)])
TO_COEFFICIENTS = np.array([[(2.0 if k else 1.0) / NODES * math.cos(k * a) for a in _ANGLES] for k in range(NODES)])
AT_CHECKS = np.array([[math.cos(k * angle) for k in range(NODES)] for angle in _ANGLES_BETWEEN])


@worker
def log_products(eta, first, last, lam, logs):
    """logs[p] = sum over steps first..last - 1 of log(1 - eta lam[p]), (POINTS,); returns the sum of the rates."""
    product = np.empty(POINTS)
    logs[:] = 0.0
    time = 0.0
    for start in range(first, last, GROUP):
        product[:] = 1.0
        end = min(start + GROUP, last)
        whole = start + (end - start) // EIGHT * EIGHT
        for t in range(start, whole, EIGHT):
            e = load_eight(eta, t)
            for p in range(POINTS):
                product[p] *= product_of_eight(e, lam[p])
        for t in range(whole, end):
            for p in range(POINTS):
                product[p] *= fma(-eta[t], lam[p], 1.0)
        for p in range(POINTS):
            logs[p] += math.log(product[p])
        for t in range(start, end):
            time += eta[t]
    return time


@worker
def row_worker(eta, every, lam, logs, time, tasks):
    """Claim tasks of a few rows; row j of logs is for the steps that lead to it from row j - 1."""
    rows = time.size - 1
    while tasks[1] == 0:
        first = claim(tasks) * ROWS_A_TASK
        if first >= rows:
            return
        for j in range(first, min(first + ROWS_A_TASK, rows)):
            time[j + 1] = log_products(eta, j * every, min((j + 1) * every, eta.size), lam, logs[j + 1])


@sweep
def row_sweep(eta, every, lam, logs, time, tasks, workers):
    """Logarithms of the products of each row's own steps: logs (J + 1, POINTS), time (J + 1,); rows 0 stay 0."""
    for _ in prange(workers):
        row_worker(eta, every, lam, logs, time, tasks)


@cell
def running_sum(values, carried):
    """values[j] <- values[0] + ... + values[j], with compensation: (J + 1, n), carried (n,) scratch."""
    carried[:] = 0.0
    for j in range(1, values.shape[0]):
        for p in range(values.shape[1]):
            term = values[j, p] - carried[p]
            total = values[j - 1, p] + term
            carried[p] = (total - values[j - 1, p]) - term
            values[j, p] = total


@cell
def fit_row(logs, lam, coefficient):
    """Chebyshev coefficients (NODES,) of log P / lam from logs (POINTS,)."""
    coefficient[:] = 0.0
    for m in range(NODES):
        h = logs[m] / lam[m]
        for k in range(NODES):
            coefficient[k] = fma(TO_COEFFICIENTS[k, m], h, coefficient[k])


@cell
def misfit(logs, lam, coefficient):
    """How far the interpolated log P lies from the products at the check points, relative to max(1, |log P|)."""
    worst = 0.0
    for c in range(CHECKS):
        h = 0.0
        for k in range(NODES):
            h = fma(coefficient[k], AT_CHECKS[c, k], h)
        exact = logs[NODES + c]
        error = abs(lam[NODES + c] * h - exact) / max(1.0, abs(exact))
        if not error <= worst:
            worst = error
    return worst


@worker
def fit_rows(logs, time, lam, coefficient):
    """Sum up the rows and interpolate each one: coefficient (J + 1, NODES); returns the worst misfit."""
    carried = np.empty(POINTS)
    running_sum(logs, carried)
    running_sum(time.reshape(time.size, 1), carried[:1])
    worst = 0.0
    for j in range(time.size):
        fit_row(logs[j], lam, coefficient[j])
        error = misfit(logs[j], lam, coefficient[j])
        if not error <= worst:
            worst = error
    return worst


@inline
def set_weights(lam, cap, weight):
    """weight_k = lam T_k(2 lam / cap - 1), (NODES,), so that log P_j = sum_k coefficient_jk weight_k."""
    z = 2.0 * (lam / cap) - 1.0
    two = 2.0 * z * z - 1.0
    weight[0], weight[1], weight[2], weight[3] = lam, lam * z, lam * two, lam * (z * (2.0 * two - 1.0))
    # T_(k+4) = 2 T_4 T_k - T_|k-4|: four chains side by side where one would wait for itself.
    four = 2.0 * two * two - 1.0
    weight[4] = lam * four
    for k in range(5, NODES):
        weight[k] = 2.0 * four * weight[k - 4] - weight[abs(k - 8)]


@inline
def log_product(coefficient, row, weight, i):
    """log P of one row for the lam of weight[i]."""
    s0 = s1 = s2 = s3 = 0.0
    for k in range(0, NODES, 4):
        s0 = fma(coefficient[row, k], weight[i, k], s0)
        s1 = fma(coefficient[row, k + 1], weight[i, k + 1], s1)
        s2 = fma(coefficient[row, k + 2], weight[i, k + 2], s2)
        s3 = fma(coefficient[row, k + 3], weight[i, k + 3], s3)
    return (s0 + s2) + (s1 + s3)
