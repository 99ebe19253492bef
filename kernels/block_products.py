"""Products of matrices, four rows by four of what they sum over at a time: 16 numbers of the left one in registers.

Sums run over one term after the other; that four are taken at once spares loads and stores of the result, which bound
the speed, and changes no bits.
"""

from .intrinsics import fma
from .jit import cell, inline

# Rows of the left matrix, and terms of the sum, that a pass takes at once.
QUAD = 4


@inline
def add_block(left, u, i, right, k, out, row, lanes):
    """out[row .. row + 3] += left[u .. u + 3, i .. i + 3] right[k .. k + 3], for the first so many lanes (columns)."""
    a0, a1, a2, a3 = left[u, i], left[u, i + 1], left[u, i + 2], left[u, i + 3]
    b0, b1, b2, b3 = left[u + 1, i], left[u + 1, i + 1], left[u + 1, i + 2], left[u + 1, i + 3]
    c0, c1, c2, c3 = left[u + 2, i], left[u + 2, i + 1], left[u + 2, i + 2], left[u + 2, i + 3]
    d0, d1, d2, d3 = left[u + 3, i], left[u + 3, i + 1], left[u + 3, i + 2], left[u + 3, i + 3]
    for lane in range(lanes):
        w, x, y, z = right[k, lane], right[k + 1, lane], right[k + 2, lane], right[k + 3, lane]
        out[row, lane] = fma(a3, z, fma(a2, y, fma(a1, x, fma(a0, w, out[row, lane]))))
        out[row + 1, lane] = fma(b3, z, fma(b2, y, fma(b1, x, fma(b0, w, out[row + 1, lane]))))
        out[row + 2, lane] = fma(c3, z, fma(c2, y, fma(c1, x, fma(c0, w, out[row + 2, lane]))))
        out[row + 3, lane] = fma(d3, z, fma(d2, y, fma(d1, x, fma(d0, w, out[row + 3, lane]))))


@cell
def add_product(left, right, out):
    """out += left right, of (m, k), (k, n) and (m, n), m and k multiples of QUAD."""
    for u in range(0, out.shape[0], QUAD):
        for i in range(0, right.shape[0], QUAD):
            add_block(left, u, i, right, i, out, u, out.shape[1])


@cell
def set_product(left, right, out):
    """out = left right, of shapes as for `add_product`."""
    for u in range(out.shape[0]):
        for lane in range(out.shape[1]):
            out[u, lane] = 0.0
    add_product(left, right, out)
