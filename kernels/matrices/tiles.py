"""The innermost step of a product of matrices: a tile of the result in registers, over all terms of the sum.

A tile has four rows and 4, 8 or 12 columns: 12 vectors of four numbers fill the 16 registers of AVX2 together with what
they are multiplied by, and one load from the left matrix serves 12 multiply-adds. Numba vectorises no such loop by
itself, so the vectors are written down; processors with other vectors get the same bits. Each number of the result is
one chain of fused multiply-adds, in the order of the terms.

A column of the left matrix and a row of the right one may lie anywhere; columns of the right one and of the result lie
side by side.
"""

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..intrinsics import fma

ROWS = 4  # of a tile
VECTOR = 4  # numbers in a vector

_NUMBER, _WORD, _INDEX = ir.DoubleType(), ir.IntType(64), ir.IntType(32)
_LANES = ir.VectorType(_NUMBER, VECTOR)
_NOTHING = ir.Constant(_LANES, ir.Undefined)


class _Places:
    """Where numbers of an array lie, for code that is being written."""

    def __init__(self, context, builder, kind, value):
        array = context.make_array(kind)(context, builder, value)
        self.builder, self.data = builder, array.data
        self.bytes = cgutils.unpack_tuple(builder, array.strides)
        self.shape = cgutils.unpack_tuple(builder, array.shape)

    def place(self, row, column):
        """The pointer to one number."""
        by = self.builder.add(self.builder.mul(row, self.bytes[0]), self.builder.mul(column, self.bytes[1]))
        return cgutils.pointer_add(self.builder, self.data, by)


def _vector(builder, place, number):
    """The pointer to the vector that lies so many vectors behind a number."""
    behind = builder.gep(place, [ir.Constant(_WORD, number * VECTOR)])
    return builder.bitcast(behind, _LANES.as_pointer())


def _load(builder, place, number):
    """That vector; numbers are aligned, vectors need not be."""
    loaded = builder.load(_vector(builder, place, number))
    loaded.align = 8
    return loaded


def _everywhere(builder, number):
    """The vector that has this number in all its places."""
    first = builder.insert_element(_NOTHING, number, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(first, _NOTHING, ir.Constant(ir.VectorType(_INDEX, VECTOR), [0] * VECTOR))


def _begun(builder, factor, places, vectors):
    """factor times what the tile has, or zeros without a look at it where the factor is 0: one vector after another."""
    before = builder.block
    reads = builder.append_basic_block("tile.read")
    ready = builder.append_basic_block("tile.ready")
    builder.cbranch(builder.fcmp_ordered("==", factor, ir.Constant(_NUMBER, 0.0)), ready, reads)
    builder.position_at_end(reads)
    by = _everywhere(builder, factor)
    read = [builder.fmul(by, _load(builder, place, v)) for place in places for v in range(vectors)]
    builder.branch(ready)
    builder.position_at_end(ready)
    begun = [builder.phi(_LANES) for _ in read]
    for sums, own in zip(begun, read, strict=True):
        sums.add_incoming(ir.Constant(_LANES, [0.0] * VECTOR), before)
        sums.add_incoming(own, reads)
    return begun


def _summed(builder, begun, left, right, steps, terms):
    """The sums of a tile: begun + left right; `left` are the pointers to its rows, `steps` bytes to the next term."""
    vectors = len(begun) // ROWS
    multiply_add = ir.FunctionType(_LANES, [_LANES] * 3)
    multiply_add = cgutils.get_or_insert_function(builder.module, multiply_add, f"llvm.fma.v{VECTOR}f64")
    before = builder.block
    head = builder.append_basic_block("tile.head")
    body = builder.append_basic_block("tile.body")
    done = builder.append_basic_block("tile.done")
    builder.branch(head)
    builder.position_at_end(head)
    carried = [(builder.phi(value.type), value) for value in (ir.Constant(_WORD, 0), *left, right, *begun)]
    now = [phi for phi, _ in carried]
    builder.cbranch(builder.icmp_signed("<", now[0], terms), body, done)
    builder.position_at_end(body)
    columns = [_load(builder, now[1 + ROWS], v) for v in range(vectors)]
    next_ = [builder.add(now[0], ir.Constant(_WORD, 1))]
    next_ += [cgutils.pointer_add(builder, place, steps[0]) for place in now[1 : 1 + ROWS]]
    next_.append(cgutils.pointer_add(builder, now[1 + ROWS], steps[1]))
    for row in range(ROWS):
        number = _everywhere(builder, builder.load(now[1 + row]))
        for v, column in enumerate(columns):
            next_.append(builder.call(multiply_add, [number, column, now[2 + ROWS + row * vectors + v]]))
    for (phi, value), later in zip(carried, next_, strict=True):
        phi.add_incoming(value, before)
        phi.add_incoming(later, body)
    builder.branch(head)
    builder.position_at_end(done)
    return now[2 + ROWS :]


def _tile_in_llvm(vectors):
    """`tile` of so many vectors a row."""

    @intrinsic
    def tile(typing_context, left, u, right, p, out, factor):
        signature = types.void(left, types.int64, right, types.int64, out, types.float64)

        def emit(context, builder, signature, arguments):
            arrays = [_Places(context, builder, signature.args[n], arguments[n]) for n in (0, 2, 4)]
            u, p, factor = arguments[1], arguments[3], arguments[5]
            zero = ir.Constant(_WORD, 0)
            rows = [builder.add(u, ir.Constant(_WORD, row)) for row in range(ROWS)]
            places = [arrays[2].place(row, p) for row in rows]
            begun = _begun(builder, factor, places, vectors)
            starts = [arrays[0].place(row, zero) for row in rows]
            steps = arrays[0].bytes[1], arrays[1].bytes[0]
            sums = _summed(builder, begun, starts, arrays[1].place(zero, p), steps, arrays[1].shape[0])
            for row, place in enumerate(places):
                for v in range(vectors):
                    builder.store(sums[row * vectors + v], _vector(builder, place, v)).align = 8
            return context.get_dummy_value()

        return signature, emit

    return tile


def _tile_in_python(vectors):
    """The same, number by number."""

    def tile(left, u, right, p, out, factor):
        for row in range(u, u + ROWS):
            for column in range(p, p + vectors * VECTOR):
                total = 0.0 if factor == 0.0 else factor * out[row, column]
                for term in range(right.shape[0]):
                    total = fma(left[row, term], right[term, column], total)
                out[row, column] = total

    return tile


@intrinsic
def _turn_in_llvm(typing_context, matrix, i, j, out):
    """Four vectors, mixed in pairs, and the pairs in pairs."""
    signature = types.void(matrix, types.int64, types.int64, out)

    def emit(context, builder, signature, arguments):
        i, j = arguments[1:3]
        source, target = (_Places(context, builder, signature.args[n], arguments[n]) for n in (0, 3))
        places = [builder.add(i, ir.Constant(_WORD, row)) for row in range(ROWS)]
        a, b, c, d = (_load(builder, source.place(row, j), 0) for row in places)

        def mixed(one, other, order):
            return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, VECTOR), order))

        low, high = (0, 4, 2, 6), (1, 5, 3, 7)
        pairs = mixed(a, b, low), mixed(a, b, high), mixed(c, d, low), mixed(c, d, high)
        first, last = (0, 1, 4, 5), (2, 3, 6, 7)
        for row, (half, order) in enumerate([(0, first), (1, first), (0, last), (1, last)]):
            place = target.place(builder.add(j, ir.Constant(_WORD, row)), i)
            builder.store(mixed(pairs[half], pairs[half + 2], order), _vector(builder, place, 0)).align = 8
        return context.get_dummy_value()

    return signature, emit


def _turn_in_python(matrix, i, j, out):
    """The same, number by number."""
    out[j : j + VECTOR, i : i + ROWS] = matrix[i : i + ROWS, j : j + VECTOR].T


_tile = _tile_in_python if numba.config.DISABLE_JIT else _tile_in_llvm

# tile4, tile8, tile12(left, u, right, p, out, factor): of so many columns from p on, in rows u .. u + 3,
# out <- factor out + left right, where out is not read if the factor is 0. left (m, k), right (k, n), out (m, n).
tile4, tile8, tile12 = _tile(1), _tile(2), _tile(3)

# turn4(matrix, i, j, out): out[j .. j + 3, i .. i + 3] = the transpose of matrix[i .. i + 3, j .. j + 3].
turn4 = _turn_in_python if numba.config.DISABLE_JIT else _turn_in_llvm
