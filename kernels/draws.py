"""Random numbers by address: Philox4x64-10 and NumPy's ways of turning its words into uniforms and normals.

A stream is named by (root, seed, purpose, step), and its words are those of

    np.random.Philox(key=np.array([root, seed], np.uint64), counter=np.array([0, step, purpose, 0], np.uint64))

so any draw of any run can be made again with one line of NumPy, and none depends on threads, blocks or shards. Root
and seed may be int64 or uint64; negative ones stand for their value modulo 2^64. (Between an int64 and a uint64 the
compiler would compute in float64, and lose bits: every number below is therefore made uint64 before it is used.)

Philox: Salmon, Moraes, Dror, Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC11, doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

import math

import numpy as np

from .intrinsics import mulhi
from .jit import cell, inline, worker
from .ziggurat import DENSITY, TAIL_RATE, TAIL_START, THRESHOLD, WIDTH

# What a stream is for. Published results depend on these numbers: add new ones, change none.
SAMPLE = 0
SPLIT = 1
LABEL_NOISE = 2
GRADIENT_NOISE = 3
BATCH = 4
FEATURES = 5
TARGET = 6
BASIS = 7
NETWORK_POINTS = 20
NETWORK_START = 21
NETWORK_NOISE = 22
NETWORK_ORDER = 23
NETWORK_POSTERIOR = 24

ROUNDS = 10
_MULTIPLIER_0 = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1 = np.uint64(0xCA5A826395121157)
_WEYL_0 = np.uint64(0x9E3779B97F4A7C15)
_WEYL_1 = np.uint64(0xBB67AE8584CAA73B)
_ONE = np.uint64(1)
_LAYER_MASK = np.uint64(0xFF)
_LAYER_BITS = np.uint64(8)
_SIGN_AND_LAYER_BITS = np.uint64(9)
_MAGNITUDE_MASK = np.uint64((1 << 52) - 1)
_UNIFORM_SHIFT = np.uint64(11)
_UNIFORM_SCALE = 2.0**-53
_TAIL_SIGN = np.int64(1 << 8)


@inline
def philox(counter_0, counter_1, counter_2, counter_3, key_0, key_1):
    """The four words that Philox4x64-10 makes of a counter of four words and a key of two (all uint64).

    One round: (c0, c1, c2, c3) <- (hi(m1 c2) ^ c1 ^ k0, lo(m1 c2), hi(m0 c0) ^ c3 ^ k1, lo(m0 c0)), and the key
    steps by the Weyl constants.
    """
    for _ in range(ROUNDS):
        high_0, low_0 = mulhi(_MULTIPLIER_0, counter_0), _MULTIPLIER_0 * counter_0
        high_1, low_1 = mulhi(_MULTIPLIER_1, counter_2), _MULTIPLIER_1 * counter_2
        counter_0, counter_1 = high_1 ^ counter_1 ^ key_0, low_1
        counter_2, counter_3 = high_0 ^ counter_3 ^ key_1, low_0
        key_0 += _WEYL_0
        key_1 += _WEYL_1
    return counter_0, counter_1, counter_2, counter_3


@inline
def philox_block(root, seed, purpose, step, block):
    """Words 4 block .. 4 block + 3 of a stream, as four uint64."""
    # NumPy counts up before it makes a block, so the first one has counter 1.
    counter = np.uint64(block) + _ONE
    return philox(counter, np.uint64(step), np.uint64(purpose), np.uint64(0), np.uint64(root), np.uint64(seed))


@inline
def word_at(root, seed, purpose, step, index):
    """Word number `index` of a stream, uint64: what random_raw() gives after `index` others."""
    return philox_block(root, seed, purpose, step, index >> 2)[index & 3]


@inline
def as_uniform(word):
    """A uniform of [0, 1) from one uint64: its upper 53 bits, times 2^-53."""
    # The signed conversion is one instruction on every processor, the unsigned one is not.
    return np.float64(np.int64(word >> _UNIFORM_SHIFT)) * _UNIFORM_SCALE


@inline
def uniform_at(root, seed, purpose, step, index):
    """Uniform number `index` of a stream, float64 in [0, 1): what random() gives after `index` others."""
    return as_uniform(word_at(root, seed, purpose, step, index))


@cell
def fill_uniform(out, root, seed, purpose, step):
    """Fill `out`, (n,) float64, with uniforms of [0, 1): Generator(Philox).random(n)."""
    whole = out.size & ~3
    for first in range(0, whole, 4):
        words = philox_block(root, seed, purpose, step, first >> 2)
        out[first], out[first + 1] = as_uniform(words[0]), as_uniform(words[1])
        out[first + 2], out[first + 3] = as_uniform(words[2]), as_uniform(words[3])
    if whole < out.size:
        words = philox_block(root, seed, purpose, step, whole >> 2)
        for lane in range(out.size - whole):
            out[whole + lane] = as_uniform(words[lane])


@inline
def ziggurat_try(word):
    """What one word offers: (accepted at once, layer, magnitude, value).

    From the lowest bit on: 8 bits of layer, one of sign, 52 of abscissa.
    """
    layer = np.int64(word & _LAYER_MASK)
    magnitude = np.int64((word >> _SIGN_AND_LAYER_BITS) & _MAGNITUDE_MASK)
    value = magnitude * WIDTH[layer]
    value = -value if (word >> _LAYER_BITS) & _ONE else value
    return magnitude < THRESHOLD[layer], layer, magnitude, value


@inline
def four_normals(out, filled, words):
    """Store the normals of four words and tell whether all count: 95 times in 100 each is accepted at once."""
    fine_0, _, _, value_0 = ziggurat_try(words[0])
    fine_1, _, _, value_1 = ziggurat_try(words[1])
    fine_2, _, _, value_2 = ziggurat_try(words[2])
    fine_3, _, _, value_3 = ziggurat_try(words[3])
    fine = fine_0 & fine_1 & fine_2 & fine_3
    if fine:
        out[filled], out[filled + 1], out[filled + 2], out[filled + 3] = value_0, value_1, value_2, value_3
    return fine


@cell
def tail_normal(negative, stream, used):
    """A normal beyond TAIL_START by Marsaglia's method, two uniforms a try: (value, words used by then)."""
    while True:
        excess = -TAIL_RATE * math.log1p(-uniform_at(*stream, used))
        height = -math.log1p(-uniform_at(*stream, used + 1))
        used += 2
        if height + height > excess * excess:
            return (-(TAIL_START + excess) if negative else TAIL_START + excess), used


@inline
def under_curve(layer, value, uniform):
    """Whether a point of the layer's wedge, at a uniform height between the layer's edges, lies under the density."""
    height = (DENSITY[layer - 1] - DENSITY[layer]) * uniform + DENSITY[layer]
    return height < math.exp(-0.5 * value * value)


@cell
def hard_normal(layer, magnitude, value, stream, used):
    """The 1.2 % of tries that are not accepted at once: (accepted, value, words used by then)."""
    if layer == 0:
        value, used = tail_normal((magnitude & _TAIL_SIGN) != 0, stream, used)
        return True, value, used
    return under_curve(layer, value, uniform_at(*stream, used)), value, used + 1


@cell
def next_normals(out, filled, words, stream, used):
    """Store normals from the block in hand one by one, up to the first hard try: (filled, used) as they are then."""
    first = used & 3
    for lane in range(first, min(4, first + out.size - filled)):
        accepted, layer, magnitude, value = ziggurat_try(words[lane])
        used += 1
        hard = not accepted
        if hard:
            accepted, value, used = hard_normal(layer, magnitude, value, stream, used)
        if accepted:
            out[filled] = value
            filled += 1
        if hard:
            break
    return filled, used


@cell
def fill_normal(out, root, seed, purpose, step):
    """Fill `out`, (n,) float64, with standard normals: Generator(Philox).standard_normal(n).

    The ziggurat takes one word for most normals and more for a few, so normals, unlike words and uniforms, have no
    address of their own: normal i is found by drawing those before it.
    """
    stream = (np.uint64(root), np.uint64(seed), np.uint64(purpose), np.uint64(step))
    filled = used = 0
    while filled < out.size:
        words = philox_block(root, seed, purpose, step, used >> 2)
        if used & 3 == 0 and filled + 4 <= out.size and four_normals(out, filled, words):
            filled += 4
            used += 4
        else:
            filled, used = next_normals(out, filled, words, stream, used)


@worker
def fill_order(out, root, seed, purpose, step):
    """Fill `out`, (n,) int64, with a random order of 0 .. n-1: the stable argsort of the stream's first n uniforms.

    np.argsort(Generator(Philox(key=[root, seed], counter=[0, step, purpose, 0])).random(n), kind="stable")
    """
    keys = np.empty(out.size)
    fill_uniform(keys, root, seed, purpose, step)
    out[:] = np.argsort(keys, kind="mergesort")


@cell
def _fill_streams(out, root, seeds, purpose):
    """Row k of `out` (N, n) from step 0 of the stream of seeds[k]."""
    for k in range(seeds.size):
        fill_uniform(out[k], root, seeds[k], purpose, 0)


def uniforms(root, seeds, purpose, count):
    """`count` uniforms of [0, 1) for each of the seeds, float64 (N, count): the start of each one's stream."""
    out = np.empty((seeds.size, count))
    _fill_streams(out, root, seeds, purpose)
    return out
