"""Least squares on rows drawn from a normal distribution, measured on a population: each seed draws its own rows.

x = Sigma^(1/2) g, g ~ N(0, I);  y = <x, theta_star> + sigma xi, xi ~ N(0, 1);  theta_star = given + P h, h ~ N(0, I)
train loss  (1/n) |X theta - y|^2, Hessian H = (2/n) X^T X = Q diag(lam) Q^T, theta_hat its minimiser nearest the start
test loss   E (<theta, x> - y)^2 = sigma^2 + (theta - theta_star)^T T (theta - theta_star), T = E[x x^T] when tested

Streams: g of SAMPLE, row by row, and xi of LABEL_NOISE, one a row, at step 0 for the train rows, at step 1 for the
validation rows and at step 2 for test rows, where a loss wants some; h of TARGET at step 0. So fewer rows are the first
of more, and what only scales them changes no draw.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..draws import LABEL_NOISE, SAMPLE, TARGET, fill_normal
from ..intrinsics import claim, fma
from ..jit import cell, sweep, worker
from .regression import multiply_transposed, test_quadratic, train_quadratic, turn
from .spectrum import null_bound, symmetric_eigen

# Steps of the streams.
TRAIN_ROWS, VALIDATION_ROWS, TEST_ROWS = 0, 1, 2


class Population(NamedTuple):
    """What the rows, labels and targets of all seeds are drawn from. Symmetric matrices, (1, d) where diagonal."""

    root: np.ndarray  # Sigma^(1/2) of the rows
    test: np.ndarray  # T
    given: np.ndarray  # (d,) theta_star, or what its random part is added to
    prior: np.ndarray  # P; (0, d) where no part of theta_star is random
    start: np.ndarray  # (d,) theta before the first step
    label_noise: float  # sigma


class Fit(NamedTuple):
    """What `draw_sweep` made of N draws, for what is drawn of the same seeds afterwards."""

    target: np.ndarray  # (N, d) theta_star
    axes: np.ndarray  # (N, d, d) Q
    minimiser: np.ndarray  # (N, d) theta_hat


@worker
def spectral_power(matrix, power):
    """matrix^power of a symmetric matrix (d, d) without negative eigenvalues, which is used up; null ones stay 0."""
    d = matrix.shape[0]
    values, vectors, out = np.empty(d), np.empty((d, d)), np.zeros((d, d))
    symmetric_eigen(matrix, values, vectors)
    for k in range(d):
        if not values[k] > null_bound(values[0], d, d):
            break
        weight = values[k] ** power
        for i in range(d):
            for j in range(d):
                out[i, j] = fma(weight * vectors[k, i], vectors[k, j], out[i, j])
    return out


@cell
def apply(matrix, vector, out):
    """out = A vector, A symmetric, or diagonal and (1, d)."""
    if matrix.shape[0] == 1:
        for i in range(out.size):
            out[i] = matrix[0, i] * vector[i]
    else:
        multiply_transposed(matrix, vector, out)


@worker
def draw_target(population, root, draw, target):
    """theta_star of one seed."""
    d = target.size
    target[:] = population.given
    if population.prior.shape[0] > 0:
        normal, away = np.empty(d), np.empty(d)
        fill_normal(normal, root, draw, TARGET, 0)
        apply(population.prior, normal, away)
        for i in range(d):
            target[i] += away[i]


@worker
def draw_rows(population, theta, root, draw, step, table):
    """Rows of one seed: x, and in the last column <x, theta> + sigma xi."""
    rows, d = table.shape[0], theta.size
    normal, noise, x = np.empty(rows * d), np.zeros(rows), np.empty(d)
    fill_normal(normal, root, draw, SAMPLE, step)
    if population.label_noise > 0.0:
        fill_normal(noise, root, draw, LABEL_NOISE, step)
    for k in range(rows):
        apply(population.root, normal[k * d : (k + 1) * d], x)
        y = population.label_noise * noise[k]
        for i in range(d):
            table[k, i] = x[i]
            y = fma(x[i], theta[i], y)
        table[k, d] = y


@worker
def turn_diagonal(values, axes, out):
    """out = Q^T diag(values) Q; where the values are all equal, that value times the identity."""
    d = values.size
    out[:] = 0.0
    if (values == values[0]).all():
        for i in range(d):
            out[i, i] = values[0]
        return
    for k in range(d):
        for i in range(d):
            weight = values[k] * axes[k, i]
            for j in range(i + 1):
                out[i, j] = fma(weight, axes[k, j], out[i, j])
    for i in range(d):
        for j in range(i):
            out[j, i] = out[i, j]


@worker
def draw_cell(population, rows, root, draw, n, problem):
    """One seed: draw its target and its train rows, and write its quadratics into row n of the problem's arrays."""
    d = population.start.size
    target, axes, minimiser = problem.target[n], problem.curvature_axes[n], problem.train_minimiser[n]
    table, away = np.empty((rows, d + 1)), np.empty(d)
    draw_target(population, root, draw, target)
    # Labels less what the start predicts: the minimiser nearest to 0 is then the one nearest to the start, less it.
    for i in range(d):
        away[i] = target[i] - population.start[i]
    draw_rows(population, away, root, draw, TRAIN_ROWS, table)
    problem.train_floor[n] = train_quadratic(
        table, d, problem.curvature[n], axes, problem.initial_residual[n], minimiser
    )
    problem.test_floor[n] = population.label_noise**2
    for i in range(d):
        away[i] = minimiser[i] - away[i]
        minimiser[i] += population.start[i]
    multiply_transposed(axes, away, problem.offset[n])
    if population.test.shape[0] == 1:
        turn_diagonal(population.test[0], axes, problem.test_matrix[n])
    else:
        turn(population.test, axes, np.empty((d, d)), problem.test_matrix[n])


@worker
def draw_worker(population, rows, root, draws, problem, tasks):
    """Claim one seed after the other."""
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        draw_cell(population, rows, root, draws[n], n, problem)


@sweep
def draw_sweep(population, rows, root, draws, problem, tasks, workers):
    """The train and test quadratics of one draw a seed.

    Parameters: population, a `Population`; the number of train rows; root; draws (N,) int64; problem, a named tuple of
    arrays of zeros to fill, with the names and shapes of `simlr.problems.source.Batch`; tasks and workers as in
    `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        draw_worker(population, rows, root, draws, problem, tasks)


@worker
def held_out_worker(population, rows, root, draws, fit, quadratic, tasks):
    """Claim one seed after the other: draw its validation rows, and write their quadratic."""
    d = population.start.size
    table = np.empty((rows, d + 1))
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        draw_rows(population, fit.target[n], root, draws[n], VALIDATION_ROWS, table)
        quadratic.floor[n] = test_quadratic(
            table, d, fit.axes[n], fit.minimiser[n], quadratic.matrix[n], quadratic.offset[n]
        )


@sweep
def held_out_sweep(population, rows, root, draws, fit, quadratic, tasks, workers):
    """The quadratics of `rows` validation rows a seed.

    Parameters: as for `draw_sweep`; the `Fit` that it made; quadratic, a named tuple to fill: matrix (N, d, d), offset
    (N, d), floor (N,).
    """
    for _ in prange(workers):
        held_out_worker(population, rows, root, draws, fit, quadratic, tasks)


@worker
def seen_rows_worker(population, root, draws, fit, z, rho, tasks):
    """Claim one seed after the other: draw its train rows again, along the curvature's axes."""
    d = population.start.size
    table, away = np.empty((rho.shape[1], d + 1)), np.empty(d)
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        for i in range(d):
            away[i] = fit.target[n, i] - fit.minimiser[n, i]
        draw_rows(population, away, root, draws[n], TRAIN_ROWS, table)
        for k in range(rho.shape[1]):
            multiply_transposed(fit.axes[n], table[k, :d], z[n, k])
            rho[n, k] = table[k, d]


@sweep
def seen_rows_sweep(population, root, draws, fit, z, rho, tasks, workers):
    """The train rows of one draw a seed, as mini-batches need them: z = Q^T x and rho = y - <x, theta_hat>.

    Parameters: as for `draw_sweep`; the `Fit` that it made; z (N, n, d) and rho (N, n), filled.
    """
    for _ in prange(workers):
        seen_rows_worker(population, root, draws, fit, z, rho, tasks)


@worker
def samples_worker(population, root, draws, step, is_class, target, x, y, tasks):
    """Claim one seed after the other: draw its target, and rows."""
    d = population.start.size
    table, theta = np.empty((y.shape[1], d + 1)), np.empty(d)
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        draw_target(population, root, draws[n], theta)
        draw_rows(population, theta, root, draws[n], step, table)
        for i in range(d):
            target[n, i] = theta[i]
        for k in range(y.shape[1]):
            for i in range(d):
                x[n, k, i] = table[k, i]
            y[n, k] = (1.0 if table[k, d] > 0.0 else -1.0) if is_class else table[k, d]


@sweep
def samples_sweep(population, root, draws, step, is_class, target, x, y, tasks, workers):
    """Rows of one draw a seed themselves, in their own axes: those of a step of the streams.

    Parameters: as for `draw_sweep`; step; is_class, whether labels become their signs, -1 and 1; target (N, d) =
    theta_star, x (N, rows, d) and y (N, rows), filled.
    """
    for _ in prange(workers):
        samples_worker(population, root, draws, step, is_class, target, x, y, tasks)
