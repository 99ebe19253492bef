"""Least squares on some rows of a table, measured on others: each seed draws its own split.

train loss  (1/n) |X theta - y|^2, Hessian H = (2/n) X^T X = Q diag(lam) Q^T
theta_hat   the train minimiser nearest to the start 0;  r = Q^T (theta - theta_hat)
test loss   (1/m) |Z theta - z|^2 on m held-out rows = test_floor + (theta - theta_star)^T A (theta - theta_star),
            A = Z^T Z / m, theta_star its minimiser nearest to theta_hat
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..draws import LABEL_NOISE, SPLIT, fill_normal, fill_order
from ..intrinsics import claim, fma
from ..jit import cell, sweep, worker
from .spectrum import null_bound, symmetric_eigen

# Statistics for standardising: none, of the train rows, of all rows.
RAW, TRAIN, ALL = 0, 1, 2


class Split(NamedTuple):
    """A table, and how its rows, in the order of a draw, are dealt: train, then validation, then test rows."""

    columns: np.ndarray  # (d + 1, rows) float64, the target last
    train_rows: int  # n
    validation_rows: int
    test_rows: int  # m
    standardize: int  # RAW, TRAIN or ALL
    label_noise: float  # sigma of N(0, sigma^2) on the train rows' labels, after standardising
    groups: np.ndarray  # (rows,) int8: where the split is given, 0, 1 or 2 of every row; else empty
    quota: np.ndarray  # (3,) int64: how many rows of each group are dealt; those of group 0 first


@cell
def mean_and_spread_of_close(column, rows):
    """The same of numbers that lie close together, by their differences from the first, which are exact.

    A column that is constant but for the rounding of its mean has nothing to be scaled by: its spread is 1.
    """
    first, shift = column[rows[0]], 0.0
    for row in rows:
        shift += column[row] - first
    shift /= rows.size
    square = 0.0
    for row in rows:
        square = fma(column[row] - first - shift, column[row] - first - shift, square)
    mean, spread = first + shift, math.sqrt(square / rows.size)
    return mean, spread if spread > 2.0**-50 * abs(mean) else 1.0


@cell
def mean_and_spread(column, rows):
    """Mean and standard deviation (1/n) of a column over some rows; a constant column has spread 1."""
    mean = 0.0
    for row in rows:
        mean += column[row]
    mean /= rows.size
    square = 0.0
    for row in rows:
        square = fma(column[row] - mean, column[row] - mean, square)
    spread = math.sqrt(square / rows.size)
    if spread > rows.size * 2.0**-52 * abs(mean):  # more than the sum's rounding can have moved the mean
        return mean, spread
    return mean_and_spread_of_close(column, rows)


@cell
def take_rows(columns, picked, basis, standardize, out):
    """out (rows, columns) = the picked rows, standardised by the statistics of the rows `basis`."""
    for j in range(columns.shape[0]):
        mean, spread = 0.0, 1.0
        if standardize != RAW:
            mean, spread = mean_and_spread(columns[j], basis)
        for i in range(picked.size):
            out[i, j] = (columns[j, picked[i]] - mean) / spread


@worker
def add_label_noise(table, d, sigma, root, draw):
    """y <- y + sigma xi, xi the draw's stream of label noise, one normal a row in the order of the split."""
    if sigma == 0.0:
        return
    normal = np.empty(table.shape[0])
    fill_normal(normal, root, draw, LABEL_NOISE, 0)
    for k in range(table.shape[0]):
        table[k, d] = fma(sigma, normal[k], table[k, d])


@cell
def gram(table, d, matrix, vector):
    """X^T X and X^T y of a table whose last column is y."""
    for i in range(d):
        vector[i] = 0.0
        for j in range(d):
            matrix[i, j] = 0.0
    for k in range(table.shape[0]):
        for i in range(d):
            for j in range(i + 1):
                matrix[i, j] = fma(table[k, i], table[k, j], matrix[i, j])
            vector[i] = fma(table[k, i], table[k, d], vector[i])
    for i in range(d):
        for j in range(i):
            matrix[j, i] = matrix[i, j]


@cell
def multiply(matrix, vector, out):
    """out = matrix vector."""
    for i in range(out.size):
        total = 0.0
        for j in range(vector.size):
            total = fma(matrix[i, j], vector[j], total)
        out[i] = total


@cell
def multiply_transposed(matrix, vector, out):
    """out = matrix^T vector."""
    for j in range(out.size):
        out[j] = 0.0
    for i in range(vector.size):
        for j in range(out.size):
            out[j] = fma(matrix[i, j], vector[i], out[j])


@cell
def turn(matrix, axes, spare, out):
    """out = Q^T A Q; `spare` is used up. The innermost loops run along rows, over sums that do not wait for another."""
    d = matrix.shape[0]
    for i in range(d):
        for j in range(d):
            spare[i, j] = 0.0
            out[i, j] = 0.0
        for k in range(d):
            for j in range(d):
                spare[i, j] = fma(matrix[i, k], axes[k, j], spare[i, j])
    for k in range(d):
        for i in range(d):
            for j in range(i + 1):
                out[i, j] = fma(axes[k, i], spare[k, j], out[i, j])
    for i in range(d):
        for j in range(i):
            out[j, i] = out[i, j]


@cell
def drop_null(values, rows):
    """Set eigenvalues (d,), the largest first, of a matrix made of so many rows to 0 where they count as null."""
    least = null_bound(values[0], rows, values.size)
    for i in range(values.size):
        if not values[i] > least:
            values[i] = 0.0


@cell
def step_to_minimum(values, vectors, gradient, work, out):
    """out = pinv(A) gradient, for A with these eigenvalues (d,) and eigenvectors as rows (d, d)."""
    multiply(vectors, gradient, work)
    for i in range(values.size):
        work[i] = work[i] / values[i] if values[i] > 0.0 else 0.0
    multiply_transposed(vectors, work, out)


@cell
def mean_square(table, d, theta):
    """(1/n) |X theta - y|^2, from the errors themselves."""
    total = 0.0
    for k in range(table.shape[0]):
        error = -table[k, d]
        for i in range(d):
            error = fma(table[k, i], theta[i], error)
        total = fma(error, error, total)
    return total / table.shape[0]


@worker
def train_quadratic(table, d, curvature, axes, residual, minimiser):
    """Curvature, its axes (columns of Q), the start's residual and theta_hat of one train table; return its floor."""
    n = table.shape[0]
    hessian, vectors = np.empty((d, d)), np.empty((d, d))
    vector, work = np.empty(d), np.empty(d)
    gram(table, d, hessian, vector)
    for i in range(d):
        vector[i] *= 2.0 / n
        for j in range(d):
            hessian[i, j] *= 2.0 / n
    symmetric_eigen(hessian, curvature, vectors)
    drop_null(curvature, n)
    step_to_minimum(curvature, vectors, vector, work, minimiser)
    multiply(vectors, minimiser, residual)
    for i in range(d):
        residual[i] = -residual[i] if curvature[i] > 0.0 else 0.0
        for j in range(d):
            axes[j, i] = vectors[i, j]
    return mean_square(table, d, minimiser)


@worker
def test_quadratic(table, d, axes, minimiser, matrix, offset):
    """M = Q^T A Q and delta = Q^T (theta_hat - theta_star) of one held-out table; return its floor."""
    m = table.shape[0]
    second, spare, vectors = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    values, vector, work, away = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    gram(table, d, second, vector)
    for i in range(d):
        vector[i] /= m
        for j in range(d):
            second[i, j] /= m
            spare[i, j] = second[i, j]
    multiply(second, minimiser, work)
    for i in range(d):
        vector[i] -= work[i]
    symmetric_eigen(spare, values, vectors)
    drop_null(values, m)
    step_to_minimum(values, vectors, vector, work, away)
    turn(second, axes, spare, matrix)
    multiply_transposed(axes, away, offset)
    for i in range(d):
        offset[i] = -offset[i]
        work[i] = minimiser[i] + away[i]
    return mean_square(table, d, work)


@worker
def deal(split, root, draw, order):
    """order (rows,) = the rows as one draw deals them: train, validation and test rows, then those that are unused.

    A random order; where the split is given, each group's quota is filled by its own rows, in that order.
    """
    fill_order(order, root, draw, SPLIT, 0)
    if split.groups.size == 0:
        return
    drawn, place = order.copy(), np.zeros(4, np.int64)
    for group in range(3):
        place[group + 1] = place[group] + split.quota[group]
    end = place.copy()
    for row in drawn:
        group = np.int64(split.groups[row])
        if place[group] == end[group + 1]:
            group = 3
        order[place[group]] = row
        place[group] += 1


@worker
def take_stretch(split, root, draw, order, first, table):
    """table (rows, d + 1) = the rows from place `first` on of the split of one draw, standardised, the target last.

    order (rows of the whole table,) is the draw's, by `deal`. Of the train rows, which are first, the labels get
    their noise.
    """
    basis = order[: split.train_rows] if split.standardize == TRAIN else order
    take_rows(split.columns, order[first : first + table.shape[0]], basis, split.standardize, table)
    if first == 0:
        add_label_noise(table, split.columns.shape[0] - 1, split.label_noise, root, draw)


@worker
def split_cell(split, root, draw, n, problem):
    """One seed: draw the split, and write its quadratics into row n of the problem's arrays."""
    d = split.columns.shape[0] - 1
    order = np.empty(split.columns.shape[1], np.int64)
    train, held_out = np.empty((split.train_rows, d + 1)), np.empty((split.test_rows, d + 1))
    deal(split, root, draw, order)
    take_stretch(split, root, draw, order, 0, train)
    take_stretch(split, root, draw, order, split.train_rows + split.validation_rows, held_out)
    axes, minimiser = problem.curvature_axes[n], problem.train_minimiser[n]
    problem.train_floor[n] = train_quadratic(
        train, d, problem.curvature[n], axes, problem.initial_residual[n], minimiser
    )
    problem.test_floor[n] = test_quadratic(held_out, d, axes, minimiser, problem.test_matrix[n], problem.offset[n])


@worker
def split_worker(split, root, draws, problem, tasks):
    """Claim one seed after the other."""
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        split_cell(split, root, draws[n], n, problem)


@sweep
def split_sweep(split, root, draws, problem, tasks, workers):
    """The train and test quadratics of one split a seed.

    Parameters: a `Split`; root; draws (N,) int64; problem, a named tuple of arrays of zeros to fill, with the names and
    shapes of `simlr.problems.source.Batch`; tasks and workers as in `descent.recurrence.descend_sweep`.
    """
    for _ in prange(workers):
        split_worker(split, root, draws, problem, tasks)


@worker
def validation_worker(split, root, draws, axes, minimiser, quadratic, tasks):
    """Claim one seed after the other: draw its split again, and write the quadratic of its validation rows."""
    d = split.columns.shape[0] - 1
    order, table = np.empty(split.columns.shape[1], np.int64), np.empty((split.validation_rows, d + 1))
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        deal(split, root, draws[n], order)
        take_stretch(split, root, draws[n], order, split.train_rows, table)
        quadratic.floor[n] = test_quadratic(table, d, axes[n], minimiser[n], quadratic.matrix[n], quadratic.offset[n])


@sweep
def validation_sweep(split, root, draws, axes, minimiser, quadratic, tasks, workers):
    """The quadratics of the validation rows behind the train rows of one split a seed.

    Parameters: as for `split_sweep`; axes (N, d, d) = Q and minimiser (N, d) = theta_hat as it made them; quadratic, a
    named tuple to fill: matrix (N, d, d), offset (N, d), floor (N,).
    """
    for _ in prange(workers):
        validation_worker(split, root, draws, axes, minimiser, quadratic, tasks)


@worker
def rows_cell(split, root, draw, axes, minimiser, z, rho):
    """One seed: its train rows along the curvature's axes, and what theta_hat leaves of their labels."""
    d, train_rows = minimiser.size, rho.size
    order, table = np.empty(split.columns.shape[1], np.int64), np.empty((train_rows, d + 1))
    deal(split, root, draw, order)
    take_stretch(split, root, draw, order, 0, table)
    for k in range(train_rows):
        rho[k] = table[k, d]
        for i in range(d):
            rho[k] = fma(-table[k, i], minimiser[i], rho[k])
            z[k, i] = 0.0
            for j in range(d):
                z[k, i] = fma(axes[j, i], table[k, j], z[k, i])


@worker
def rows_worker(split, root, draws, axes, minimiser, z, rho, tasks):
    """Claim one seed after the other."""
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= draws.size:
            return
        rows_cell(split, root, draws[n], axes[n], minimiser[n], z[n], rho[n])


@sweep
def rows_sweep(split, root, draws, axes, minimiser, z, rho, tasks, workers):
    """The train rows of one split a seed, as mini-batches need them: z = Q^T x and rho = y - <x, theta_hat>.

    Parameters: as for `split_sweep`; axes (N, d, d) = Q and minimiser (N, d) = theta_hat as it made them; z (N, n, d)
    and rho (N, n), filled.
    """
    for _ in prange(workers):
        rows_worker(split, root, draws, axes, minimiser, z, rho, tasks)
