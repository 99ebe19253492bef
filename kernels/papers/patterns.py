"""Data sets of two patterns and the weights that a network starts from; see `network` for how it is trained on them.

A point x = (x1, x2) with label y = +-1 (Li, Wei, Ma 2019, section 2), N = n_P + n_PQ + n_Q of them in that order:

    P   x1 = y gamma e_1 + z, z ~ N(0, I/d), of which z_1 has the sign of y: easy to fit, since every point has a z of
        its own, and hard to generalise, since only e_1 is common to all
    Q   x2 = scale alpha e_1 for y = +1, and scale alpha (e_1 +- r e_2) for y = -1, alpha uniform between two bounds:
        easy to generalise, since all of it lies in a plane, and hard to fit, since r is small

Points with P only have x2 = 0, with Q only x1 = 0. Test points have both. Directions are those of the coordinate axes:
the start is isotropic, N(0, spread^2), so that no other choice would differ in law; and of the d coordinates that x2
has in the paper two are enough, since the others never meet a point. Half of the units start with weights of their
own, the other half with the same weights and the opposite sign, so that f = 0 at the start.

Draws, in NumPy's words, with stream(purpose, step) as in `gradients`: for train points k = 0, for test points k = 1,

    u = stream(NETWORK_POINTS, k).random((N, 3)): y = +1 where u_0 < 1/2, alpha from u_1, the plus sign where u_2 < 1/2
    z = stream(NETWORK_POINTS, 2 + k).standard_normal((N, d)) / sqrt(d), its first column turned to the side of y
    w = spread stream(NETWORK_START, 0).standard_normal((m/2, d)), v = spread stream(NETWORK_START, 1)...(m/2, 2)
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..draws import NETWORK_POINTS, NETWORK_START, fill_normal, fill_uniform
from ..intrinsics import claim, fma
from ..jit import cell, sweep, worker
from ..matrices.block_products import QUAD, add_product, set_product
from ..problems.spectrum import symmetric_eigen
from .network import Part, Points, scale

PLANE = 2
TRAIN, TEST = 0, 1


class Patterns(NamedTuple):
    """What the data sets are like."""

    dimension: int  # d
    only_first: int  # n_P
    both: int  # n_PQ
    only_second: int  # n_Q
    margin: float  # gamma
    separation: float  # r
    scale: float
    least_alpha: float
    most_alpha: float
    units: int  # m, of each part; a multiple of 2 QUAD
    spread: float
    tests: int
    reduced: int  # 1: x1 in coordinates along the span of the train points, where these are fewer than d


def padded(count):
    """The next multiple of QUAD."""
    return -(-count // QUAD) * QUAD


@cell
def draw_labels(root, draw, kind, label, uniform):
    """Uniforms (3 N,) of the points of a kind, point after point, and their labels."""
    fill_uniform(uniform, root, draw, NETWORK_POINTS, kind)
    for i in range(label.size):
        label[i] = 1.0 if uniform[3 * i] < 0.5 else -1.0


@cell
def draw_first(root, draw, kind, label, stop, patterns, normal, rows):
    """rows[i] = x1 of the points 0 .. stop - 1 of a kind; normal (N d or more) is scratch."""
    d = patterns.dimension
    fill_normal(normal[: label.size * d], root, draw, NETWORK_POINTS, 2 + kind)
    weight = 1.0 / math.sqrt(d)
    for i in range(stop):
        for k in range(d):
            rows[i, k] = weight * normal[i * d + k]
        rows[i, 0] = label[i] * (abs(rows[i, 0]) + patterns.margin)


@cell
def make_second(patterns, label, uniform, start, rows):
    """rows[i - start] = x2 of the points from `start` on, in the plane of the two directions."""
    for i in range(start, label.size):
        alpha = fma(patterns.most_alpha - patterns.least_alpha, uniform[3 * i + 1], patterns.least_alpha)
        rows[i - start, 0] = patterns.scale * alpha
        if label[i] < 0.0:
            side = 1.0 if uniform[3 * i + 2] < 0.5 else -1.0
            rows[i - start, 1] = side * patterns.separation * patterns.scale * alpha


@cell
def draw_start(root, draw, step, dimension, spread, normal, weights):
    """Weights (m, dimension padded): the second half of the units repeats the first one."""
    half = weights.shape[0] // 2
    fill_normal(normal[: half * dimension], root, draw, NETWORK_START, step)
    for j in range(half):
        for k in range(dimension):
            weights[j, k] = spread * normal[j * dimension + k]
            weights[half + j, k] = weights[j, k]


@cell
def dot(x, y):
    """sum_i x_i y_i."""
    total = 0.0
    for i in range(x.size):
        total = fma(x[i], y[i], total)
    return total


@cell
def orthonormalise(rows, count, basis):
    """basis[k], k < count: orthonormal, with rows 0 .. k in the span of basis 0 .. k. Gram-Schmidt, done twice."""
    for k in range(count):
        for i in range(basis.shape[1]):
            basis[k, i] = rows[k, i]
        for _ in range(2):
            for other in range(k):
                share = dot(basis[k], basis[other])
                for i in range(basis.shape[1]):
                    basis[k, i] = fma(-share, basis[other, i], basis[k, i])
        length = math.sqrt(dot(basis[k], basis[k]))
        for i in range(basis.shape[1]):
            basis[k, i] /= length


@cell
def copy(matrix, out):
    """out = matrix."""
    for i in range(matrix.shape[0]):
        for k in range(matrix.shape[1]):
            out[i, k] = matrix[i, k]


@cell
def transpose(matrix, out):
    """out (n, m) = the transpose of matrix (m, n)."""
    for i in range(matrix.shape[0]):
        for k in range(matrix.shape[1]):
            out[k, i] = matrix[i, k]


@worker
def reduce_first(rows, count, tests, weights, part, d, first):
    """x1 in coordinates along its train points: fills the part's arrays of data set d, and the start `first` there.

    rows (n, d) train points, tests (d, t) test points transposed, weights (m, d) the start.
    """
    basis = np.zeros((part.rows.shape[2], rows.shape[1]))
    axes = np.empty((rows.shape[1], part.rows.shape[2]))
    orthonormalise(rows, count, basis)
    transpose(basis, axes)
    set_product(rows, axes, part.rows[d])
    set_product(basis, tests, part.test[d])
    set_product(weights, axes, first)
    set_product(weights, tests, part.far[d])
    scale(first, -1.0)
    add_product(first, part.test[d], part.far[d])
    scale(first, -1.0)


@worker
def draw_x1(patterns, root, n, x1, points, first):
    """x1 of data set n, its labels given, and the start of its units."""
    d, draw = patterns.dimension, points.draw[n]
    wide = -(-d // QUAD) * QUAD
    train, weights = np.zeros((x1.rows.shape[1], wide)), np.zeros((first.shape[1], wide))
    test, test_columns = np.zeros((patterns.tests, wide)), np.zeros((wide, patterns.tests))
    normal = np.empty(max(points.bounds[2], patterns.tests, weights.shape[0]) * d)
    draw_first(root, draw, TRAIN, points.label[n], points.bounds[1], patterns, normal, train)
    draw_first(root, draw, TEST, points.test_label[n], patterns.tests, patterns, normal, test)
    draw_start(root, draw, 0, d, patterns.spread, normal, weights)
    transpose(test, test_columns)
    if x1.far.shape[1] > 0:
        reduce_first(train, points.bounds[1], test_columns, weights, x1, n, first[n])
    else:
        copy(train, x1.rows[n])
        copy(test_columns, x1.test[n])
        copy(weights, first[n])
    transpose(x1.rows[n], x1.columns[n])


@worker
def draw_x2(patterns, root, n, uniform, test_uniform, x2, points, second):
    """x2 of data set n, its labels and uniforms given, and the start of its units."""
    make_second(patterns, points.label[n], uniform, points.bounds[0], x2.rows[n])
    transpose(x2.rows[n], x2.columns[n])
    test = np.zeros((patterns.tests, x2.rows.shape[2]))
    make_second(patterns, points.test_label[n], test_uniform, 0, test)
    transpose(test, x2.test[n])
    draw_start(root, points.draw[n], 1, PLANE, patterns.spread, np.empty(second.shape[1] * PLANE), second[n])


@worker
def start_sharpness(part, d, weights, count):
    """The largest eigenvalue of the Hessian of the loss of `count` points in one part's weights, at the start.

    There f = 0, where each point's loss has the second derivative 1/4, and relu has none: the Hessian is J^T J / (4 N),
    with the eigenvalues of J J^T / (4 N), (J J^T)_ik = <x_i, x_k> times the share of units that are active at both.
    """
    units, n = weights.shape[0], part.rows.shape[1]
    active, across, shared = np.empty((units, n)), np.empty((n, units)), np.empty((n, n))
    set_product(weights, part.columns[d], active)
    for j in range(units):
        for i in range(n):
            active[j, i] = 1.0 if active[j, i] > 0.0 else 0.0
    transpose(active, across)
    set_product(across, active, shared)
    matrix, values, vectors = np.empty((n, n)), np.empty(n), np.empty((n, n))
    set_product(part.rows[d], part.columns[d], matrix)
    for i in range(n):
        for k in range(n):
            matrix[i, k] *= shared[i, k] / (4.0 * count * units)
    symmetric_eigen(matrix, values, vectors)
    return values[0]


@worker
def draw_cell(patterns, root, n, x1, x2, points, first, second, sharpness):
    """Draw data set n, and its start."""
    uniform, test_uniform = np.empty(3 * points.label.shape[1]), np.empty(3 * patterns.tests)
    draw_labels(root, points.draw[n], TRAIN, points.label[n], uniform)
    draw_labels(root, points.draw[n], TEST, points.test_label[n], test_uniform)
    draw_x1(patterns, root, n, x1, points, first)
    draw_x2(patterns, root, n, uniform, test_uniform, x2, points, second)
    sharpness[n, 0] = start_sharpness(x1, n, first[n], points.label.shape[1])
    sharpness[n, 1] = start_sharpness(x2, n, second[n], points.label.shape[1])


@worker
def draw_worker(patterns, root, x1, x2, points, first, second, sharpness, tasks):
    """Claim one data set after the other."""
    while tasks[1] == 0:
        n = claim(tasks)
        if n >= points.draw.size:
            return
        draw_cell(patterns, root, n, x1, x2, points, first, second, sharpness)


@sweep
def draw_sweep(patterns, root, x1, x2, points, first, second, sharpness, tasks, workers):
    """Fill the zeros that `empty` made with data sets and starts.

    Parameters: `Patterns`; root; what `empty` gave; sharpness (D, 2), filled with the largest curvature of the train
    loss at the start in the weights of either part; tasks and workers as in `descent.descend_sweep`.
    """
    for _ in prange(workers):
        draw_worker(patterns, root, x1, x2, points, first, second, sharpness, tasks)


def empty(patterns, draws):
    """Zeros to be filled for the seeds `draws`: x1, x2, points, and the starts first (D, m, r1), second (D, m, r2)."""
    seeds, units, tests = draws.size, patterns.units, patterns.tests
    n1, n2 = patterns.only_first + patterns.both, patterns.both + patterns.only_second
    reduces = patterns.reduced and n1 < patterns.dimension
    dimension = n1 if reduces else patterns.dimension
    x1 = _empty_part(seeds, n1, dimension, tests, units if reduces else 0, 0)
    x2 = _empty_part(seeds, n2, PLANE, tests, 0, patterns.only_first)
    bounds = np.cumsum([patterns.only_first, patterns.both, patterns.only_second])
    sign = np.repeat([1.0, -1.0], units // 2)
    points = Points(np.zeros((seeds, bounds[2])), np.zeros((seeds, tests)), bounds, sign, draws)
    return x1, x2, points, *(np.zeros((seeds, units, part.rows.shape[2])) for part in (x1, x2))


def _empty_part(seeds, count, dimension, tests, far_units, first):
    n, r = padded(count), padded(dimension)
    return Part(
        rows=np.zeros((seeds, n, r)),
        columns=np.zeros((seeds, r, n)),
        test=np.zeros((seeds, r, tests)),
        far=np.zeros((seeds, far_units, tests)),
        first=first,
        dimension=dimension,
    )
