"""Eigenvalues and eigenvectors of symmetric matrices, one matrix a thread; small ones by cyclic Jacobi rotations.

Loops over scalars in a fixed order, so the bits depend neither on BLAS, nor on its threads, nor on the processor's
width. Golub and Van Loan, Matrix Computations (2013), section 8.5.
"""

import math

from ..intrinsics import fma
from ..jit import cell, worker
from .tridiagonal import tridiagonal_eigen

MOST_SWEEPS = 60
# Larger matrices are made tridiagonal first, which takes a sixth of the time at d = 50 and a thirtieth at d = 400.
LARGEST_ROTATED = 16


@cell
def rotation(app, aqq, apq):
    """Cosine and sine of the rotation that makes apq zero, by the smaller angle."""
    theta = 0.5 * (aqq - app) / apq
    t = 1.0 / (abs(theta) + math.sqrt(fma(theta, theta, 1.0)))
    if theta < 0.0:
        t = -t
    c = 1.0 / math.sqrt(fma(t, t, 1.0))
    return c, t * c


@cell
def rotate_rows(matrix, p, q, c, s):
    """Rows p and q of a matrix, turned in their plane."""
    for j in range(matrix.shape[1]):
        x, y = matrix[p, j], matrix[q, j]
        matrix[p, j] = c * x - s * y
        matrix[q, j] = s * x + c * y


@cell
def null_bound(largest, rows, d):
    """The size at or below which an eigenvalue of a matrix (d, d), made of so many rows, counts as null.

    max(n, d) 2^-52 of the largest one: what rounding alone can make of 0. `simlr.problems.lapack.null_bound` is its
    equal outside of compiled code.
    """
    return max(rows, d) * 2.0**-52 * max(largest, 0.0)


@cell
def sort_descending(values, vectors):
    """Sort values, and the rows that belong to them, the largest first (insertion: equal values keep their order)."""
    for i in range(1, values.size):
        j = i
        while j > 0 and values[j] > values[j - 1]:
            values[j], values[j - 1] = values[j - 1], values[j]
            for k in range(vectors.shape[1]):
                vectors[j, k], vectors[j - 1, k] = vectors[j - 1, k], vectors[j, k]
            j -= 1


@worker
def symmetric_eigen(matrix, values, vectors):
    """Eigenvalues (d,), the largest first, and eigenvectors as rows (d, d); the matrix (d, d) is used up."""
    if values.size > LARGEST_ROTATED:
        tridiagonal_eigen(matrix, values, vectors)
    else:
        rotated_eigen(matrix, values, vectors)


@cell
def rotated_eigen(matrix, values, vectors):
    """The same by Jacobi rotations, for any size.

    A rotation is skipped where its element is below 2^-53 of the geometric mean of its diagonal neighbours, or of the
    whole matrix's scale: what is left then does not reach the eigenvalues' last digits.
    """
    d = values.size
    scale = 0.0
    for i in range(d):
        for j in range(d):
            vectors[i, j] = 1.0 if i == j else 0.0
            scale = max(scale, abs(matrix[i, j]))
    negligible = scale * 2.0**-70
    for _ in range(MOST_SWEEPS):
        turned = False
        for p in range(d - 1):
            for q in range(p + 1, d):
                apq = matrix[p, q]
                size = math.sqrt(abs(matrix[p, p])) * math.sqrt(abs(matrix[q, q]))
                if abs(apq) <= negligible or abs(apq) <= 2.0**-53 * size:
                    continue
                c, s = rotation(matrix[p, p], matrix[q, q], apq)
                rotate_rows(matrix.T, p, q, c, s)
                rotate_rows(matrix, p, q, c, s)
                matrix[p, q] = matrix[q, p] = 0.0
                rotate_rows(vectors, p, q, c, s)
                turned = True
        if not turned:
            break
    for i in range(d):
        values[i] = matrix[i, i]
    sort_descending(values, vectors)
