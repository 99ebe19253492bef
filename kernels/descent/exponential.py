"""exp and log as polynomials: without a branch or a call, so that a loop over lanes is done in SIMD.

Both are right to three units in the last place of 2^-53, and have the same bits in every lane and on every processor.
"""

import math

from ..intrinsics import bits_of, fma, from_bits
from ..jit import inline

# exp(z) is a normal number from here on.
LOWEST_EXPONENT = -700.0

LOG2_E = 1.0 / math.log(2.0)
# log 2 = LN_2 + LN_2_REST to twice the digits of float64.
LN_2, LN_2_REST = math.log(2.0), 2.3190468138462996e-17
# Adding it rounds a number below 2^51 to a whole one, which then stands in the lowest bits.
ROUNDER = 1.5 * 2.0**52
ROUNDER_BITS = 0x4338000000000000
BIAS, FRACTION = 1023, 52
ONE_BITS, ROOT_HALF_BITS = 0x3FF0000000000000, 0x3FE6A09E667F3BCD

E_2, E_3, E_4, E_5, E_6, E_7 = (1.0 / math.factorial(k) for k in range(2, 8))
E_8, E_9, E_10, E_11, E_12, E_13 = (1.0 / math.factorial(k) for k in range(8, 14))
L_3, L_5, L_7, L_9, L_11, L_13 = (2.0 / k for k in range(3, 14, 2))
L_15, L_17, L_19, L_21, L_23 = (2.0 / k for k in range(15, 24, 2))


@inline
def exp_lane(z):
    """exp(z), LOWEST_EXPONENT <= z <= 700: exp(z) = 2^n exp(r), |r| <= log(2) / 2, by thirteen terms in r."""
    rounded = fma(z, LOG2_E, ROUNDER)
    n = rounded - ROUNDER
    r = fma(-n, LN_2_REST, fma(-n, LN_2, z))
    p = fma(fma(fma(E_13, r, E_12), r, E_11), r, E_10)
    p = fma(fma(fma(fma(p, r, E_9), r, E_8), r, E_7), r, E_6)
    p = fma(fma(fma(fma(p, r, E_5), r, E_4), r, E_3), r, E_2)
    power = from_bits((bits_of(rounded) + BIAS) << FRACTION)
    return fma(power, fma(p * r, r, r), power)


@inline
def log_lane(v):
    """log(v) of a normal v > 0: v = 2^e m with m within a factor sqrt(2) of 1, log m = 2 artanh((m - 1) / (m + 1))."""
    bits = bits_of(v)
    biased = (bits + (ONE_BITS - ROOT_HALF_BITS)) >> FRACTION
    m = from_bits(bits - ((biased - BIAS) << FRACTION))
    e = from_bits(biased + ROUNDER_BITS) - (ROUNDER + BIAS)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    p = fma(fma(fma(L_23, q, L_21), q, L_19), q, L_17)
    p = fma(fma(fma(fma(p, q, L_15), q, L_13), q, L_11), q, L_9)
    p = fma(fma(fma(p, q, L_7), q, L_5), q, L_3)
    return fma(e, LN_2, fma(s * q, p, 2.0 * s) + e * LN_2_REST)
