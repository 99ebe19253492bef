"""The excess train loss from residuals: sum_i lam_i r_i^2 = 2 (train loss - floor), in one order and rounding."""

from ..intrinsics import fma
from ..jit import inline


@inline
def curved_sum(lam, r):
    """sum_i lam_i r_i^2 of one cell, with the bits that curved_sums gives it."""
    total = 0.0
    for i in range(r.size):
        total = fma(lam[i] * r[i], r[i], total)
    return total


@inline
def curved_sums(lam, r, energy, filled):
    """energy = sum_i lam_i r_i^2 of every lane; arrays (d, width)."""
    for lane in range(filled):
        energy[lane] = lam[0, lane] * r[0, lane] * r[0, lane]
    for i in range(1, lam.shape[0]):
        for lane in range(filled):
            energy[lane] = fma(lam[i, lane] * r[i, lane], r[i, lane], energy[lane])
