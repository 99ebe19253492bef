"""Decompositions and products of large matrices by the LAPACK and BLAS behind NumPy, on one thread.

What they return depends on the number of their threads: on two threads an eigenvector has other last digits than on
one. So they get one, whatever simlr's own threads are.
"""

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

# (set, get) of the libraries that NumPy is built with: OpenBLAS as in its wheels, as elsewhere, and MKL.
_SETTERS = (
    ("scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"),
    ("scipy_openblas_set_num_threads", "scipy_openblas_get_num_threads"),
    ("openblas_set_num_threads64_", "openblas_get_num_threads64_"),
    ("openblas_set_num_threads", "openblas_get_num_threads"),
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
)
# What OpenBLAS says of itself: its version and options, and the kind of processor that it computes for.
_DESCRIPTIONS = (
    ("scipy_openblas_get_config64_", "scipy_openblas_get_corename64_"),
    ("scipy_openblas_get_config", "scipy_openblas_get_corename"),
    ("openblas_get_config64_", "openblas_get_corename64_"),
    ("openblas_get_config", "openblas_get_corename"),
)
_one_at_a_time = threading.RLock()


@functools.cache
def _library():
    """The BLAS and LAPACK behind NumPy: names are looked for in an extension module and all that it was linked with."""
    from numpy.linalg import _umath_linalg

    return ctypes.CDLL(_umath_linalg.__file__)


@functools.cache
def description() -> str:
    """Which BLAS it is, and for which kind of processor it computes: the last bits of large products depend on it."""
    for names in _DESCRIPTIONS:
        functions = [getattr(_library(), name) for name in names if hasattr(_library(), name)]
        if len(functions) == len(names):
            for function in functions:
                function.restype = ctypes.c_char_p
            said = [(function() or b"").decode("utf-8", "replace") for function in functions]
            return " ".join(" on ".join(said).split())
    built = np.show_config(mode="dicts") or {}
    blas = built.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()


@functools.cache
def thread_functions() -> tuple[Callable[[int], None], Callable[[], int]] | None:
    """The functions (set, get) of the number of threads of NumPy's BLAS; None where it has none.

    NumPy has no call for it, environment variables count only before it is loaded, and threadpoolctl, which does the
    same as here, would be one more package that simlr cannot do without. So the library is asked directly, through the
    extension module that NumPy linked with it. That module is private to NumPy: should its name or its symbols change,
    nothing would fail here, but BLAS would have its threads back and bits would depend on them; so a test asks for it.
    """
    library = _library()
    for setter, getter in _SETTERS:
        if hasattr(library, setter) and hasattr(library, getter):
            return getattr(library, setter), getattr(library, getter)
    return None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread for BLAS and LAPACK for the duration; other threads of ours wait for their turn."""
    functions = thread_functions()
    with _one_at_a_time:
        before = functions[1]() if functions else 1
        try:
            if functions and before > 1:
                functions[0](1)
            yield
        finally:
            if functions and before > 1:
                functions[0](before)


def symmetric_eigen(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors of a symmetric matrix, by LAPACK's divide and conquer.

    Takes 5 d^2 numbers of memory beside the matrix.

    Parameters
    ----------
    matrix : (d, d)

    Returns
    -------
    values : (d,)
        The largest first.
    vectors : (d, d)
        Row i is the eigenvector of value i, as in `simlr.kernels.problems.spectrum.symmetric_eigen`; a view.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the iteration does not converge.
    """
    values, columns = np.linalg.eigh(matrix)
    return np.ascontiguousarray(values[::-1]), columns.T[::-1]


def singular(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The singular value decomposition U diag(s) V^T of rows (n, p), k = min(n, p).

    Returns
    -------
    left : (n, k)
        U.
    values : (k,)
        s, the largest first.
    right : (p, p)
        V^T, whole: its rows beyond k are the axes that no row has a part in.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the iteration does not converge.
    """
    count = min(rows.shape)
    left, values, right = np.linalg.svd(rows, full_matrices=rows.shape[1] > count)
    return left[:, :count], values, right


def null_bound(largest: float, rows: int, dimension: int) -> float:
    """The size at or below which an eigenvalue of a matrix (d, d), made of so many rows, counts as null.

    max(n, d) 2^-52 times the largest eigenvalue: what rounding alone can make of 0. Its equal in compiled code is
    `simlr.kernels.problems.spectrum.null_bound`, which cannot be had here without loading Numba.
    """
    return max(rows, dimension) * 2.0**-52 * max(largest, 0.0)
