"""Random ReLU features on the sphere: the population least-squares fit of a linear target, and its harmonics.

A teacher has M units u_i, uniform on the sphere S^{d-1}, and computes sum_i w_i relu(<u_i, x>), x uniform there too.
Its weights solve K w = b with K_ij = E relu(<u_i, x>) relu(<u_j, x>), an arc-cosine kernel, and
b_i = E relu(<u_i, x>) sqrt(d) x_1 = u_i1 / (2 sqrt(d)). Loops over scalars in a fixed order: the bits depend on no
thread.
"""

import math

import numpy as np
from numba import prange

from ..draws import FEATURES, fill_normal
from ..jit import cell, sweep, worker


@worker
def fill_units(units, root, seed):
    """Rows (M, d) uniform on the sphere: normals of the stream (root, seed, FEATURES, d), each row to length 1. Of a
    larger M the first rows are the same."""
    count, d = units.shape
    fill_normal(units.reshape(count * d), root, seed, FEATURES, d)
    for i in range(count):
        total = 0.0
        for k in range(d):
            total += units[i, k] * units[i, k]
        length = math.sqrt(total)
        for k in range(d):
            units[i, k] /= length


@cell
def fill_cosines(units, cosines):
    """The lower half of <u_i, u_j>, (M, M)."""
    for i in range(units.shape[0]):
        for j in range(i):
            total = 0.0
            for k in range(units.shape[1]):
                total += units[i, k] * units[j, k]
            cosines[i, j] = min(1.0, max(-1.0, total))
        cosines[i, i] = 1.0


@cell
def arc_cosine(s, d):
    """E relu(<u, x>) relu(<v, x>) for <u, v> = s and x uniform on S^{d-1} (Cho and Saul 2009, degree 1, over 2 d)."""
    return (math.sqrt((1.0 - s) * (1.0 + s)) + (math.pi - math.acos(s)) * s) / (2.0 * math.pi * d)


@worker
def factor(matrix):
    """Cholesky's factor of a symmetric positive matrix in the place of its lower half; False where it is not positive.

    Row by row of what remains, so that the inner loop adds to a row and fills the vector units without reordering.
    """
    count = matrix.shape[0]
    column = np.empty(count)
    for j in range(count):
        if not matrix[j, j] > 0.0:
            return False
        pivot = math.sqrt(matrix[j, j])
        matrix[j, j] = pivot
        for i in range(j + 1, count):
            column[i] = matrix[i, j] / pivot
            matrix[i, j] = column[i]
        for i in range(j + 1, count):
            scale = column[i]
            row = matrix[i]
            for k in range(j + 1, i + 1):
                row[k] -= scale * column[k]
    return True


@cell
def solve(lower, right):
    """Solve L L^T w = right in the place of right."""
    count = right.size
    for i in range(count):
        for k in range(i):
            right[i] -= lower[i, k] * right[k]
        right[i] /= lower[i, i]
    for i in range(count - 1, -1, -1):
        right[i] /= lower[i, i]
        for k in range(i):
            right[k] -= lower[i, k] * right[i]


@cell
def add_forms(weights, cosines, d, forms):
    """forms[l] = sum_ij w_i w_j P_l(<u_i, u_j>), P_l the Legendre polynomial of dimension d with P_l(1) = 1:
    (l + d - 3) P_l(s) = (2 l + d - 4) s P_{l-1}(s) - (l - 1) P_{l-2}(s)."""
    forms[:] = 0.0
    for i in range(weights.size):
        for j in range(i + 1):
            pair = weights[i] * weights[j] * (1.0 if i == j else 2.0)
            s = cosines[i, j]
            before, now = 1.0, s
            forms[0] += pair
            forms[1] += pair * s
            for degree in range(2, forms.size):
                before, now = now, ((2 * degree + d - 4) * s * now - (degree - 1) * before) / (degree + d - 3)
                forms[degree] += pair * now


@sweep
def teachers_sweep(root, d, count, captured, forms):
    """For seed k a teacher of `count` units in dimension d: captured[k] = b^T w, the part of the target's square that
    it captures, NaN where K is not positive to working precision; forms[k] (L + 1,) as `add_forms` has them."""
    for k in prange(captured.size):
        units, cosines = np.empty((count, d)), np.zeros((count, count))
        fill_units(units, root, k)
        fill_cosines(units, cosines)
        matrix = np.zeros((count, count))
        for i in range(count):
            for j in range(i + 1):
                matrix[i, j] = arc_cosine(cosines[i, j], d)
        right = units[:, 0] / (2.0 * math.sqrt(d))
        weights = right.copy()
        if factor(matrix):
            solve(matrix, weights)
            total = 0.0
            for i in range(count):
                total += right[i] * weights[i]
            captured[k] = total
            add_forms(weights, cosines, d, forms[k])
        else:
            captured[k] = np.nan
            forms[k] = np.nan
