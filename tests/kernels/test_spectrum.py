"""The eigen solver: LAPACK's answer, closed forms, a published number, and axes that are orthonormal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlr.kernels.problems.spectrum import LARGEST_ROTATED, rotated_eigen, symmetric_eigen
from simlr.kernels.problems.tridiagonal import tridiagonal_eigen

EPSILON = 2.0**-52


def solve(matrix, solver=symmetric_eigen):
    """Eigenvalues, and eigenvectors as rows; the matrix is kept."""
    d = len(matrix)
    values, rows = np.full(d, np.nan), np.full((d, d), np.nan)
    solver(np.array(matrix, dtype=np.float64), values, rows)
    return values, rows


def assert_is_spectrum(matrix):
    """By either way LAPACK's eigenvalues to 32 d roundings of the largest entry, descending; A = Q diag Q^T with
    Q^T Q = I.
    """
    for solver in (rotated_eigen, tridiagonal_eigen):
        assert_is_solved(np.asarray(matrix), *solve(matrix, solver))


def assert_is_solved(matrix, values, rows):
    d, size = len(values), np.abs(matrix).max()
    unit = matrix / size if size else matrix
    room = 32 * d * EPSILON
    assert (np.diff(values) <= 0.0).all()
    scaled = values / size if size else values
    np.testing.assert_allclose(scaled, np.linalg.eigvalsh(unit)[::-1], rtol=0.0, atol=room)
    np.testing.assert_allclose(rows @ rows.T, np.eye(d), rtol=0.0, atol=room)
    np.testing.assert_allclose(rows.T @ (scaled[:, None] * rows), unit, rtol=0.0, atol=room)


def turned(rng, values):
    """A symmetric matrix with these eigenvalues, but for rounding."""
    axes, _ = np.linalg.qr(rng.normal(size=(len(values), len(values))))
    matrix = axes @ np.diag(values) @ axes.T
    return (matrix + matrix.T) / 2


numbers = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 40)


@given(number=numbers, d=sizes, decades=st.integers(-140, 140))
def test_any_symmetric_matrix(number, d, decades):
    matrix = np.random.default_rng(number).normal(size=(d, d)) * 10.0**decades
    assert_is_spectrum(matrix + matrix.T)


@given(number=numbers, d=sizes, different=st.integers(1, 4))
def test_repeated_eigenvalues(number, d, different):
    rng = np.random.default_rng(number)
    assert_is_spectrum(turned(rng, rng.choice(rng.normal(size=different), d)))


@given(number=numbers, d=sizes, rows=st.integers(1, 40), decades=st.integers(-100, 100))
def test_moment_matrices_of_any_rank(number, d, rows, decades):
    """X^T X / n: what is null stays within max(n, d) 2^-52 of the largest, where it counts as 0."""
    table = np.random.default_rng(number).normal(size=(rows, d)) * 10.0**decades
    matrix = table.T @ table / rows
    assert_is_spectrum(matrix)
    for solver in (rotated_eigen, tridiagonal_eigen):
        values, _ = solve(matrix, solver)
        null = np.abs(values[min(rows, d) :])
        assert (null <= max(rows, d) * EPSILON * values[0]).all()


@given(number=numbers, d=sizes, rows=st.integers(1, 40))
def test_it_ends_because_nothing_is_left(number, d, rows):
    """Each element left off the diagonal is as small as promised: the sweeps have not merely run out."""
    table = np.random.default_rng(number).normal(size=(rows, d))
    used = table.T @ table / rows
    size = np.abs(used).max()
    rotated_eigen(used, np.empty(d), np.empty((d, d)))
    means = np.sqrt(np.abs(np.outer(np.diag(used), np.diag(used))))
    left = np.abs(used - np.diag(np.diag(used)))
    assert (left <= np.maximum(size * 2.0**-70, means * 2.0**-53)).all()


@given(number=numbers, d=sizes)
def test_eigenvalues_over_twenty_decades(number, d):
    rng = np.random.default_rng(number)
    assert_is_spectrum(turned(rng, 10 ** rng.uniform(-20, 0, d)))


@pytest.mark.parametrize("scale", [1e-320, 1e-307, 1e-200, 1e200, 1e306])
def test_huge_and_tiny_matrices(scale):
    """Down to the numbers without full precision, and up to those whose squares overflow."""
    matrix = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]]) * scale
    exact = (2 + np.sqrt(2) * np.array([1.0, 0.0, -1.0])) * scale
    for solver in (rotated_eigen, tridiagonal_eigen):
        values, rows = solve(matrix, solver)
        np.testing.assert_allclose(values, exact, rtol=1e-14, atol=16 * 5e-324)
        np.testing.assert_allclose(rows @ rows.T, np.eye(3), rtol=0.0, atol=1e-14)


@pytest.mark.parametrize("d", [1, 2, 3, 10, 40, 300])
def test_second_difference(d):
    """2 - 2 cos(pi k / (d + 1)), and eigenvectors sin(pi j k / (d + 1))."""
    matrix = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    values, rows = solve(matrix)
    k = np.arange(d, 0, -1)
    np.testing.assert_allclose(values, 2 - 2 * np.cos(np.pi * k / (d + 1)), rtol=0.0, atol=32 * d * EPSILON)
    waves = np.sin(np.pi * np.outer(k, np.arange(1, d + 1)) / (d + 1)) * np.sqrt(2 / (d + 1))
    np.testing.assert_allclose(np.abs(np.sum(waves * rows, axis=1)), 1.0, rtol=1e-12)


def test_wilkinson_s_matrix():
    """W21+: its largest two eigenvalues agree to 15 digits (Wilkinson, The Algebraic Eigenvalue Problem, 1965)."""
    matrix = np.diag(np.abs(np.arange(-10.0, 11.0))) + np.eye(21, k=1) + np.eye(21, k=-1)
    values, rows = solve(matrix)
    np.testing.assert_allclose(values[:2], 10.746194182903393, rtol=1e-14)
    np.testing.assert_allclose(rows @ rows.T, np.eye(21), rtol=0.0, atol=1e-13)


PLAIN = [[[0.0]], [[-3.0]], np.zeros((4, 4)), np.eye(5), np.ones((6, 6)), np.diag([1.0, 3.0, -2.0, 3.0])]


@pytest.mark.parametrize("matrix", PLAIN, ids=lambda matrix: f"{np.array(matrix).shape}")
def test_plain_matrices(matrix):
    assert_is_spectrum(matrix)


@pytest.mark.parametrize("solver", [rotated_eigen, tridiagonal_eigen])
def test_a_diagonal_matrix_is_only_sorted(solver):
    values, rows = solve(np.diag([1.0, 3.0, 2.0, 3.0]), solver)
    assert values.tolist() == [3.0, 3.0, 2.0, 1.0]
    np.testing.assert_array_equal(rows, np.eye(4)[[1, 3, 2, 0]])


@pytest.mark.parametrize("d", [LARGEST_ROTATED, LARGEST_ROTATED + 1])
def test_the_size_alone_says_which_way(d):
    matrix = np.cov(np.random.default_rng(d).normal(size=(d, 3 * d)))
    way = rotated_eigen if d <= LARGEST_ROTATED else tridiagonal_eigen
    for one, other in zip(solve(matrix), solve(matrix, way), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("exponent", [1.0, 4.0, 8.0])
def test_small_eigenvalues_keep_their_digits(exponent):
    """Axes of very different size, in any order: rotations are known to keep them (Demmel and Veselic 1992)."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 40)) * rng.permutation(np.arange(1.0, 41.0) ** (-exponent / 2))
    (rotated, _), (reduced, _) = (solve(x.T @ x / 80, solver) for solver in (rotated_eigen, tridiagonal_eigen))
    assert rotated[0] > 30.0**exponent * rotated[-1]
    np.testing.assert_allclose(reduced, rotated, rtol=1e-12)


@pytest.mark.parametrize(("rows", "d"), [(100, 250), (250, 250), (400, 250)])
def test_moment_matrices_of_some_size(rows, d):
    table = np.random.default_rng(rows).normal(size=(rows, d))
    matrix = table.T @ table / rows
    values, axes = solve(matrix)
    assert_is_solved(matrix, values, axes)
    assert (np.abs(values[min(rows, d) :]) <= max(rows, d) * EPSILON * values[0]).all()
