"""Eigenvalues and eigenvectors of symmetric matrices of some size: Householder's reduction, then implicit QL steps.

Loops over scalars in a fixed order, the innermost along rows: the bits depend neither on BLAS, nor on its threads, nor
on the processor's width. Martin, Reinsch and Wilkinson (1968) and Bowdler, Martin, Reinsch and Wilkinson (1968), in
Wilkinson and Reinsch, Linear Algebra (1971), II/2 and II/3; Golub and Van Loan, Matrix Computations (2013), 8.3.
"""

import math

import numpy as np

from ..intrinsics import fma
from ..jit import cell, worker

MOST_STEPS = 60  # for one eigenvalue; two or three are usual
# In a matrix of size 1, squares that sum up to less stand for nothing; smaller ones would lose their digits.
NEGLIGIBLE = 2.0**-960


@cell
def ascending(keys, order):
    """order = the stable argsort of the keys."""
    for i in range(keys.size):
        j = i
        while j > 0 and keys[order[j - 1]] > keys[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i


@cell
def reflector(u, size):
    """Make the first `size` numbers of u the vector whose reflection leaves only the last: that one, and u^T u / 2."""
    square = 0.0
    for k in range(size):
        square = fma(u[k], u[k], square)
    last = u[size - 1]
    if size == 1 or square < NEGLIGIBLE:
        return last, 0.0
    left = -math.sqrt(square) if last >= 0.0 else math.sqrt(square)
    u[size - 1] = last - left
    return left, fma(-last, left, square)


@cell
def reflect_both_sides(matrix, u, half, size, work):
    """A <- P A P = A - u q^T - q u^T in the leading block, P = I - u u^T / half.

    q = p - (u^T p / (2 half)) u, p = A u / half.
    """
    work[:size] = 0.0
    for k in range(size):
        for j in range(size):
            work[j] = fma(u[k], matrix[k, j], work[j])
    along = 0.0
    for j in range(size):
        work[j] /= half
        along = fma(u[j], work[j], along)
    along /= 2.0 * half
    for j in range(size):
        work[j] = fma(-along, u[j], work[j])
    for k in range(size):
        mine, other = -u[k], -work[k]
        for j in range(size):
            matrix[k, j] = fma(mine, work[j], fma(other, u[j], matrix[k, j]))


@worker
def reduce_to_tridiagonal(matrix, values, beside, halves):
    """A = Q T Q^T: the diagonal of T and what is beside it (d,), element i left of and above diagonal i.

    Row by row from the last one. Row i of the matrix keeps the i numbers of its reflection, `halves` u^T u / 2, 0 where
    there is none.
    """
    work = np.empty(values.size)
    for i in range(values.size - 1, -1, -1):
        values[i] = matrix[i, i]
        beside[i], halves[i] = 0.0, 0.0
        if i > 0:
            beside[i], halves[i] = reflector(matrix[i], i)
        if halves[i] > 0.0:
            reflect_both_sides(matrix, matrix[i], halves[i], i, work)


@worker
def gather_reflections(matrix, halves, vectors):
    """vectors = Q^T, from what `reduce_to_tridiagonal` left in the matrix, which is used up."""
    d = halves.size
    q, work = np.zeros((d, d)), np.empty(d)
    for i in range(d):
        if halves[i] > 0.0:
            work[:i] = 0.0
            for k in range(i):
                for j in range(i):
                    work[j] = fma(matrix[i, k], q[k, j], work[j])
            for k in range(i):
                weight = -matrix[i, k] / halves[i]
                for j in range(i):
                    q[k, j] = fma(weight, work[j], q[k, j])
        q[i, i] = 1.0
    for i in range(d):
        for j in range(d):
            vectors[i, j] = q[j, i]


@cell
def turn_pair(rows, i, c, s):
    """Rows i and i + 1, turned in their plane."""
    for k in range(rows.shape[1]):
        x, y = rows[i, k], rows[i + 1, k]
        rows[i, k] = fma(c, x, -(s * y))
        rows[i + 1, k] = fma(s, x, c * y)


@cell
def end_of_block(values, beside, first):
    """The first place from `first` on whose element beside the next diagonal one is negligible against both."""
    last = first
    while last < values.size - 1 and abs(beside[last]) > 2.0**-53 * (abs(values[last]) + abs(values[last + 1])):
        last += 1
    return last


@cell
def ql_step(values, beside, vectors, first, last):
    """One implicit QL step with Wilkinson's shift on the block from `first` to `last`."""
    ahead = (values[first + 1] - values[first]) / (2.0 * beside[first])
    root = math.sqrt(fma(ahead, ahead, 1.0))
    g = values[last] - values[first] + beside[first] / (ahead + (root if ahead >= 0.0 else -root))
    s, c, moved = 1.0, 1.0, 0.0
    for i in range(last - 1, first - 1, -1):
        f, b = s * beside[i], c * beside[i]
        square = fma(f, f, g * g)
        root = math.sqrt(square)
        beside[i + 1] = root
        if square < NEGLIGIBLE:  # the block falls apart here
            values[i + 1] -= moved
            beside[last] = 0.0
            return
        s, c = f / root, g / root
        g = values[i + 1] - moved
        root = fma(values[i] - g, s, 2.0 * c * b)
        moved = s * root
        values[i + 1] = g + moved
        g = fma(c, root, -b)
        turn_pair(vectors, i, c, s)
    values[first] -= moved
    beside[first], beside[last] = g, 0.0


@cell
def diagonalise(values, beside, vectors):
    """T = Z diag Z^T: the eigenvalues of a tridiagonal matrix in place of its diagonal, and vectors <- Z^T vectors.

    `beside` (d,), element i right of and below diagonal i, is used up.
    """
    for first in range(values.size):
        for _ in range(MOST_STEPS):
            last = end_of_block(values, beside, first)
            if last == first:
                break
            ql_step(values, beside, vectors, first, last)


@worker
def tridiagonal_eigen(matrix, values, vectors):
    """Eigenvalues (d,), the largest first, and eigenvectors as rows (d, d); the matrix (d, d) is used up.

    The axes are taken in ascending order of the diagonal, from the largest back, so that where it spans many orders of
    magnitude the small eigenvalues keep their digits. The size is taken off as a power of two: squares stay in range.
    """
    d = values.size
    largest = 0.0
    for i in range(d):
        for j in range(d):
            largest = max(largest, abs(matrix[i, j]))
    _, exponent = math.frexp(largest)
    order, place, diagonal = np.empty(d, np.int64), np.empty(d, np.int64), np.empty(d)
    for i in range(d):
        diagonal[i] = matrix[i, i]
    ascending(diagonal, order)
    # In two halves: the whole may be no number of its own.
    near, far = math.ldexp(1.0, -(exponent // 2)), math.ldexp(1.0, -(exponent - exponent // 2))
    for i in range(d):
        for j in range(d):
            vectors[i, j] = matrix[order[i], order[j]] * near * far
    beside, halves, turned = np.empty(d), np.empty(d), np.empty((d, d))
    reduce_to_tridiagonal(vectors, diagonal, beside, halves)
    gather_reflections(vectors, halves, turned)
    for i in range(d):
        beside[i] = beside[i + 1] if i + 1 < d else 0.0
    diagonalise(diagonal, beside, turned)
    ascending(-diagonal, place)
    for i in range(d):
        values[i] = diagonal[place[i]] / near / far
        for j in range(d):
            vectors[i, order[j]] = turned[place[i], j]
