"""Tiles of products, and products tile by tile, against chains of multiply-adds that are rounded once each."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlr.kernels.matrices.block_products import add_product, scale_add_product, set_product
from simlr.kernels.papers.layers import turn

draws = np.random.default_rng(5)


def chain(left, right, begun):
    """begun + left right: float of exact sums, one term after the other."""
    found = np.empty(begun.shape)
    for row, column in np.ndindex(begun.shape):
        total = float(begun[row, column])
        for term in range(len(right)):
            total = float(Fraction(left[row, term]) * Fraction(right[term, column]) + Fraction(total))
        found[row, column] = total
    return found


def laid(shape, kind):
    """Numbers in an array that is a part of a larger one, or of its transpose."""
    rows, columns = shape
    if kind == "turned":
        return draws.standard_normal((columns + 2, rows + 3)).T[:rows, :columns]
    return draws.standard_normal((rows + 1, columns + 5))[:rows, :columns]


@pytest.mark.parametrize("kind", ["plain", "turned"])
@given(st.integers(1, 5), st.integers(0, 6), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_a_product_is_its_chains(kind, quads, terms, lanes):
    left, right, out = laid((4 * quads, terms), kind), laid((terms, lanes), "plain"), laid((4 * quads, lanes), "plain")
    for factor in (0.0, 1.0, 0.7):
        found = out.copy()
        scale_add_product(left, right, found, factor)
        assert np.array_equal(found, chain(left, right, factor * out))


def test_blocks_of_rows_and_terms_change_no_bits():
    """68 rows and 130 terms go beyond one block of each."""
    left, right, out = laid((68, 130), "plain"), laid((130, 5), "plain"), laid((68, 5), "plain")
    added, placed = out.copy(), np.full(out.shape, np.nan)
    add_product(left, right, added)
    set_product(left, right, placed)
    assert np.array_equal(added, chain(left, right, out))
    assert np.array_equal(placed, chain(left, right, np.zeros(out.shape)))


def test_nothing_beyond_the_result_is_written():
    for lanes in range(1, 30):
        whole = np.full((12, 40), 7.0)
        set_product(laid((8, 3), "plain"), laid((3, lanes), "plain"), whole[2:10, 3 : 3 + lanes])
        whole[2:10, 3 : 3 + lanes] = 7.0
        assert (whole == 7.0).all()


@given(st.integers(0, 11), st.integers(0, 11))
@settings(max_examples=40, deadline=None)
def test_a_matrix_is_turned(rows, columns):
    matrix = draws.standard_normal((rows, columns))
    out = np.zeros((columns + 1, rows + 1))
    turn(matrix, out)
    assert np.array_equal(out[:columns, :rows], matrix.T)
    assert not out[columns:].any() and not out[:, rows:].any()
