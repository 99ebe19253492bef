"""Losses as quadratics: y^T (b + M y) of one vector, or of many side by side in SIMD lanes."""

from .intrinsics import fma
from .jit import cell, inline


@inline
def quadratic_form(y, slope, matrices, n, which):
    """y^T (b + M y) with b = slope[n] and M = matrices[which]; y (d,), slope (N, d), matrices (.., d, d)."""
    total = 0.0
    for i in range(y.size):
        part = slope[n, i]
        for j in range(y.size):
            part = fma(matrices[which, i, j], y[j], part)
        total = fma(part, y[i], total)
    return total


@inline
def quadratic_forms(y, slope, matrices, n, which, count, part, total):
    """total[k] = y_k^T (b + M y_k) for `count` columns of y (d, W), to the bits of quadratic_form; part is scratch."""
    for i in range(y.shape[0]):
        for j in range(y.shape[0]):
            weight = matrices[which, i, j]
            for k in range(count):
                part[k] = fma(weight, y[j, k], part[k] if j > 0 else slope[n, i])
        for k in range(count):
            total[k] = fma(part[k], y[i, k], total[k] if i > 0 else 0.0)


@cell
def triangular_forms(y, slope, matrices, n, count, part, total):
    """The same for M = matrices[n] that is 0 above the diagonal: half the work, in an order of sums of its own."""
    for k in range(count):
        total[k] = 0.0
    for i in range(y.shape[0]):
        for k in range(count):
            part[k] = fma(matrices[n, i, i], y[i, k], slope[n, i])
        for j in range(i):
            weight = matrices[n, i, j]
            for k in range(count):
                part[k] = fma(weight, y[j, k], part[k])
        for k in range(count):
            total[k] = fma(part[k], y[i, k], total[k])
