"""Draws: the published answers of Philox, NumPy's bits, and streams that do not depend on one another."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import prange

from naive.draws import order, philox, uniforms, words, ziggurat_edges
from simlr.kernels import draws, ziggurat
from simlr.kernels.jit import launch, set_threads, sweep, worker

ONES = 2**64 - 1

# Random123, tests/kat_vectors, philox4x64 with 10 rounds: counter, key, answer.
KNOWN_ANSWERS = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
    ),
    (
        (ONES, ONES, ONES, ONES),
        (ONES, ONES),
        (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
    ),
    (
        (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
    ),
]


def numpy_stream(root, seed, purpose, step):
    """NumPy's own generator at the address."""
    key = np.array([int(root) % 2**64, int(seed) % 2**64], dtype=np.uint64)
    counter = np.array([0, step, purpose, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def filled(fill, count, *stream, dtype=np.float64):
    """The array of `count` elements that `fill` makes."""
    out = np.empty(count, dtype)
    fill(out, *stream)
    return out


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    assert draws.philox(*(np.uint64(word) for word in (*counter, *key))) == answer
    assert tuple(philox(counter, key)) == answer


def test_purposes_are_as_published():
    names = ["SAMPLE", "SPLIT", "LABEL_NOISE", "GRADIENT_NOISE", "BATCH", "FEATURES", "TARGET"]
    assert [getattr(draws, name) for name in names] == list(range(7))
    assert [draws.NETWORK_POINTS, draws.NETWORK_START, draws.NETWORK_NOISE] == [20, 21, 22]
    assert [draws.NETWORK_ORDER, draws.NETWORK_POSTERIOR] == [23, 24]


# Both integer types, from end to end: an int64 and a uint64 met in one expression would become a float64.
whole_numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 2**64 - 1).map(np.uint64),
)
addresses = st.tuples(whole_numbers, whole_numbers, st.integers(0, 6), st.integers(0, 2**63 - 1))


@settings(deadline=None, max_examples=60)
@given(address=addresses, count=st.integers(0, 70))
def test_words_and_uniforms_are_those_of_the_twin_and_of_numpy(address, count):
    root, seed, purpose, step = address
    expected = words(int(root), int(seed), purpose, step, count)
    assert [draws.word_at(*address, index) for index in range(count)] == expected
    assert numpy_stream(*address).bit_generator.random_raw(count).tolist() == expected
    uniform = filled(draws.fill_uniform, count, *address)
    assert uniform.tolist() == uniforms(int(root), int(seed), purpose, step, count)
    assert np.array_equal(uniform, numpy_stream(*address).random(count))


@settings(deadline=None, max_examples=60)
@given(address=addresses, count=st.integers(0, 500))
def test_normals_are_those_of_numpy(address, count):
    assert np.array_equal(filled(draws.fill_normal, count, *address), numpy_stream(*address).standard_normal(count))


@settings(deadline=None, max_examples=60)
@given(address=addresses, count=st.integers(0, 70))
def test_orders_are_those_of_the_twin_and_of_numpy(address, count):
    found = filled(draws.fill_order, count, *address, dtype=np.int64)
    assert found.tolist() == order(*(int(part) for part in address), count)
    assert np.array_equal(found, np.argsort(numpy_stream(*address).random(count), kind="stable"))


@settings(deadline=None, max_examples=30)
@given(address=addresses, index=st.integers(0, 10**12))
def test_any_word_is_found_by_its_address(address, index):
    root, seed, purpose, step = (int(part) for part in address)
    block = philox([index // 4 + 1, step, purpose, 0], [root % 2**64, seed % 2**64])
    assert draws.word_at(*address, index) == block[index % 4]
    assert draws.uniform_at(*address, index) == (block[index % 4] >> 11) * 2.0**-53


@pytest.mark.parametrize("seed", range(4))
def test_a_million_normals_have_numpy_bits(seed):
    """Long enough for every rare path: 4 x 270 in the tail, some of them refused there once or more."""
    stream = (20200507, seed, draws.GRADIENT_NOISE, 3)
    expected = numpy_stream(*stream).standard_normal(1_000_000)
    assert np.abs(expected).max() > ziggurat.TAIL_START
    assert np.array_equal(filled(draws.fill_normal, 1_000_000, *stream), expected)


def test_normals_of_many_short_streams_have_numpy_bits():
    """A cell's noise is a few numbers a step, so that streams start more often than they run on."""
    for step in range(2000):
        stream = (1, 2, draws.GRADIENT_NOISE, step)
        count = 1 + step % 9
        assert np.array_equal(filled(draws.fill_normal, count, *stream), numpy_stream(*stream).standard_normal(count))


def test_a_prefix_does_not_depend_on_the_length():
    stream = (5, 6, draws.FEATURES, 0)
    for fill in (draws.fill_normal, draws.fill_uniform):
        long = filled(fill, 1000, *stream)
        assert all(np.array_equal(filled(fill, n, *stream), long[:n]) for n in (0, 1, 2, 3, 4, 5, 999))


@worker
def _order_of(keys):
    """As fill_order sorts its keys."""
    return np.argsort(keys, kind="mergesort")


@pytest.mark.parametrize("count", [0, 1, 5, 20, 21, 1000])
def test_equal_keys_keep_their_order(count):
    keys = np.random.default_rng(count).integers(0, 3, count) / 4
    assert _order_of(keys).tolist() == np.argsort(keys, kind="stable").tolist()


def test_a_long_order_is_a_permutation():
    found = filled(draws.fill_order, 100_003, 0, 0, draws.SPLIT, 0, dtype=np.int64)
    assert np.array_equal(np.sort(found), np.arange(100_003))
    assert np.array_equal(found, np.argsort(numpy_stream(0, 0, draws.SPLIT, 0).random(100_003), kind="stable"))


def test_the_tables_are_those_that_numba_took_from_numpy():
    constants = pytest.importorskip("numba.np.random._constants")
    assert np.array_equal(ziggurat.THRESHOLD, constants.ki_double)
    assert np.array_equal(ziggurat.WIDTH, constants.wi_double)
    assert np.array_equal(ziggurat.DENSITY, constants.fi_double)
    assert ziggurat.TAIL_START == constants.ziggurat_nor_r
    assert ziggurat.TAIL_RATE == constants.ziggurat_nor_inv_r == pytest.approx(1 / ziggurat.TAIL_START, rel=1e-15)


def test_the_tables_are_those_of_the_recipe_but_for_rounding():
    edges, area = ziggurat_edges("3.6541528853610087963519472518", layers=256)
    x = np.array([math.nan, *(float(edge) for edge in edges)])
    density = np.exp(-0.5 * x * x)
    np.testing.assert_allclose(ziggurat.WIDTH[1:], x[1:] * 2.0**-52, rtol=1e-13)
    np.testing.assert_allclose(ziggurat.DENSITY[1:], density[1:], rtol=1e-13)
    np.testing.assert_allclose(ziggurat.THRESHOLD[2:] * 2.0**-52, x[1:-1] / x[2:], rtol=1e-13)
    np.testing.assert_allclose(ziggurat.WIDTH[0] * 2.0**52, float(area) / density[255], rtol=1e-13)
    assert ziggurat.DENSITY[0] == 1.0
    assert ziggurat.THRESHOLD[1] == 0


@sweep
def _fill_rows(out, root):
    """Each row its own seed."""
    for row in prange(out.shape[0]):
        draws.fill_normal(out[row], root, row, draws.GRADIENT_NOISE, 0)


def test_rows_drawn_in_parallel_do_not_depend_on_the_threads():
    rows = np.empty((2, 301, 7))
    try:
        for out, count in zip(rows, (1, None), strict=True):
            set_threads(count)
            launch(_fill_rows, out, 9)
    finally:
        set_threads(None)
    assert np.array_equal(rows[0], rows[1])
    expected = [numpy_stream(9, row, draws.GRADIENT_NOISE, 0).standard_normal(7) for row in range(301)]
    assert np.array_equal(rows[0], expected)


def neighbours():
    """Pairs of streams that differ in one part of the address, and in two that are exchanged."""
    base = (0, 1, 2, 3)
    yield from ((base, (*base[:part], base[part] + 1, *base[part + 1 :])) for part in range(4))
    yield (0, 1, 0, 0), (1, 0, 0, 0)
    yield (0, 0, 1, 2), (0, 0, 2, 1)


@pytest.mark.parametrize(("one", "other"), list(neighbours()))
def test_neighbouring_streams_are_uncorrelated(one, other):
    count = 200_000
    x, y = filled(draws.fill_normal, count, *one), filled(draws.fill_normal, count, *other)
    for lag in range(3):
        assert abs(np.mean(x[lag:] * y[: count - lag])) < 4.5 / math.sqrt(count)


def test_first_words_over_a_grid_of_addresses_are_distinct_and_even():
    first = np.array(
        [
            draws.word_at(root, seed, purpose, step, 0)
            for root in range(4)
            for seed in range(50)
            for purpose in range(7)
            for step in range(20)
        ],
        dtype=np.uint64,
    )
    assert np.unique(first).size == first.size
    counts = np.bincount((first >> np.uint64(60)).astype(int), minlength=16)
    expected = first.size / 16
    assert ((counts - expected) ** 2 / expected).sum() < 45.0  # chi-squared, 15 degrees of freedom: 1e-4 at 44.3


def test_orders_of_three_are_equally_likely():
    found = [tuple(filled(draws.fill_order, 3, 0, seed, draws.SPLIT, 0, dtype=np.int64)) for seed in range(6000)]
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert counts.size == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 26.0  # chi-squared, 5 degrees of freedom: 1e-4 at 25.7


def test_normals_have_the_moments_of_the_normal():
    x = filled(draws.fill_normal, 1_000_000, 0, 0, draws.LABEL_NOISE, 0)
    moments = [np.mean(x**power) for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0.0, 1.0, 0.0, 3.0], atol=0.045)
