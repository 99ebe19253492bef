"""Products of matrices, tile by tile.

Each number of a product is one chain of fused multiply-adds over the terms, in their order: how the work is cut into
tiles and blocks changes no bits. Blocks of rows of the left matrix stay in the second cache, and of terms in the first.
"""

from ..intrinsics import fma
from ..jit import cell, inline
from .tiles import ROWS, tile4, tile8, tile12

# Rows of the left matrix, and terms of the sum, that a pass takes at once.
QUAD = 4
ROW_BLOCK, TERM_BLOCK = 64, 128


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


@inline
def add_rows(left, right, out, factor, first, last):
    """Rows first .. last - 1 of `scale_add_product`, without a cut in the terms."""
    lanes = out.shape[1]
    p = 0
    while lanes - p >= 12 and lanes - p != 16:
        for u in range(first, last, ROWS):
            tile12(left, u, right, p, out, factor)
        p += 12
    while lanes - p >= 8:
        for u in range(first, last, ROWS):
            tile8(left, u, right, p, out, factor)
        p += 8
    if lanes - p >= 4:
        for u in range(first, last, ROWS):
            tile4(left, u, right, p, out, factor)
        p += 4
    for u in range(first, last):
        for lane in range(p, lanes):
            total = 0.0 if factor == 0.0 else factor * out[u, lane]
            for k in range(right.shape[0]):
                total = fma(left[u, k], right[k, lane], total)
            out[u, lane] = total


@cell
def scale_add_product(left, right, out, factor):
    """out <- factor out + left right, of (m, k), (k, n) and (m, n), m a multiple of QUAD; factor 0: out is not read."""
    terms = right.shape[0]
    for row in range(0, out.shape[0], ROW_BLOCK):
        last = min(row + ROW_BLOCK, out.shape[0])
        add_rows(left[:, :TERM_BLOCK], right[:TERM_BLOCK], out, factor, row, last)
        for k in range(TERM_BLOCK, terms, TERM_BLOCK):
            add_rows(left[:, k : k + TERM_BLOCK], right[k : k + TERM_BLOCK], out, 1.0, row, last)


@cell
def add_product(left, right, out):
    """out += left right, of (m, k), (k, n) and (m, n), m a multiple of QUAD."""
    scale_add_product(left, right, out, 1.0)


@cell
def set_product(left, right, out):
    """out = left right, of shapes as for `add_product`."""
    scale_add_product(left, right, out, 0.0)
