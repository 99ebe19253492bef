"""Machine operations that Python has no word for: fused multiply-add, half a product, a number's bits, claiming.

LLVM expands the first two correctly on every processor (in software where the hardware has neither), so that results
keep their bits from machine to machine, and it vectorises `fma`. fastmath's "contract" would fuse at the compiler's
whim, and give other bits on other processors. They are called from compiled code only; with NUMBA_DISABLE_JIT set,
from Python.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(64)
_DOUBLE_WORD = ir.IntType(128)


def _fma_in_python(a, b, c):
    """a b + c rounded once, by exact fractions."""
    plain = a * b + c
    if not math.isfinite(plain):
        return plain
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    # A fraction has no signed zero, but where the sum is exactly zero the plain expression made no rounding error.
    return float(exact) if exact else plain


def _mulhi_in_python(a, b):
    """The high 64 bits of the 128-bit product of two uint64."""
    return np.uint64((int(a) * int(b)) >> 64)


@intrinsic
def _fma_in_llvm(typing_context, a, b, c):
    """The call of llvm.fma.f64; arguments of other number types are converted to float64 first."""
    signature = types.float64(types.float64, types.float64, types.float64)

    def emit(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return signature, emit


@intrinsic
def _mulhi_in_llvm(typing_context, a, b):
    """A 128-bit multiplication of which the upper word is kept: one instruction on x86 and ARM."""
    signature = types.uint64(types.uint64, types.uint64)

    def emit(context, builder, signature, arguments):
        wide = [builder.zext(argument, _DOUBLE_WORD) for argument in arguments]
        return builder.trunc(builder.lshr(builder.mul(*wide), _DOUBLE_WORD(64)), _WORD)

    return signature, emit


# fma(a, b, c): a b + c in float64 with one rounding (IEEE 754 fusedMultiplyAdd).
fma = _fma_in_python if numba.config.DISABLE_JIT else _fma_in_llvm

# mulhi(a, b): floor(a b / 2^64) of two uint64. Both must be uint64 already: a signed word would be sign-converted.
mulhi = _mulhi_in_python if numba.config.DISABLE_JIT else _mulhi_in_llvm


@intrinsic
def _bits_in_llvm(typing_context, value):
    """The 64 bits of a float64, as int64."""
    signature = types.int64(types.float64)

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], _WORD)

    return signature, emit


@intrinsic
def _from_bits_in_llvm(typing_context, bits):
    """The float64 that has these 64 bits, int64."""
    signature = types.float64(types.int64)

    def emit(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return signature, emit


# bits_of(value): the bits of a float64 as int64, and from_bits(bits) the way back.
bits_of = (lambda value: np.float64(value).view(np.int64)) if numba.config.DISABLE_JIT else _bits_in_llvm
from_bits = (lambda bits: np.int64(bits).view(np.float64)) if numba.config.DISABLE_JIT else _from_bits_in_llvm


@intrinsic
def _claim_in_llvm(typing_context, tasks):
    """An atomic add of 1 on the first element of an int64 array."""
    signature = types.int64(tasks)

    def emit(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.atomic_rmw("add", array.data, _WORD(1), "monotonic")

    return signature, emit


def _claim_in_python(tasks):
    """The same for one thread."""
    task = int(tasks[0])
    tasks[0] += 1
    return task


# claim(tasks): the next task number, tasks[0], which no other thread gets; tasks[0] is raised by 1.
claim = _claim_in_python if numba.config.DISABLE_JIT else _claim_in_llvm
