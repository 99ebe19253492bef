"""What the machine can do at most: fused multiply-adds a second, and bytes a second to and from memory.

Used by the benchmark alone, to say how far the recurrences are from the processor's limit.
"""

import numpy as np
from numba import prange

from .intrinsics import fma
from .jit import cell, sweep

# Lanes that fit the first-level cache many times over, yet fill the pipelines of any SIMD width.
LANES = 64
# Multiply-adds that a lane takes between a load and a store, so that these do not count; the chains of neighbouring
# vectors overlap, which hides the latency.
CHAIN = 32


@cell
def chain_lanes(x, a, b):
    """CHAIN multiply-adds x <- a x + b on every lane."""
    for lane in range(x.size):
        y = x[lane]
        for _ in range(CHAIN):
            y = fma(a, y, b)
        x[lane] = y


@sweep
def fma_sweep(out, rounds, a, b):
    """Take `rounds` times CHAIN multiply-adds on LANES lanes, once for every element of `out`, which keeps the sums.

    That is out.size rounds LANES CHAIN multiply-adds in float64; |a| < 1 keeps them finite.
    """
    for worker in prange(out.size):
        x = np.full(LANES, out[worker])
        for _ in range(rounds):
            chain_lanes(x, a, b)
        out[worker] = x.sum()


@sweep
def triad_sweep(out, b, c, scale):
    """out = b + scale c, the arrays (parts, n) each in parts of their own: reads 16 bytes an element, writes 8."""
    for part in prange(out.shape[0]):
        for k in range(out.shape[1]):
            out[part, k] = b[part, k] + scale * c[part, k]
