"""Decompositions and products of large matrices by the LAPACK and BLAS behind NumPy, on one thread.

What they return depends on the number of their threads: on two threads an eigenvector has other last digits than on
one. So they get one, whatever simlr's own threads are.
"""

import contextlib
import ctypes
import functools
import threading

import numpy as np

# (set, get) of the libraries that NumPy is built with: OpenBLAS as in its wheels, as elsewhere, and MKL.
_SETTERS = (
    ("scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"),
    ("scipy_openblas_set_num_threads", "scipy_openblas_get_num_threads"),
    ("openblas_set_num_threads64_", "openblas_get_num_threads64_"),
    ("openblas_set_num_threads", "openblas_get_num_threads"),
    ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
)
_one_at_a_time = threading.RLock()


@functools.cache
def _thread_functions():
    """(set, get) of the library's number of threads, or None where it has neither: one that has no threads, mostly."""
    from numpy.linalg import _umath_linalg

    # Names are looked for in the library and in all that it was linked with.
    library = ctypes.CDLL(_umath_linalg.__file__)
    for setter, getter in _SETTERS:
        if hasattr(library, setter) and hasattr(library, getter):
            return getattr(library, setter), getattr(library, getter)
    return None


@contextlib.contextmanager
def one_thread():
    """One thread for BLAS and LAPACK for the duration; other threads of ours wait for their turn."""
    functions = _thread_functions()
    with _one_at_a_time:
        before = functions[1]() if functions else 1
        try:
            if before > 1:
                functions[0](1)
            yield
        finally:
            if before > 1:
                functions[0](before)


def symmetric_eigen(matrix):
    """Eigenvalues (d,), the largest first, and eigenvectors as columns (d, d) of a symmetric matrix; LinAlgError.

    Takes 5 d^2 numbers of memory beside the matrix.
    """
    values, axes = np.linalg.eigh(matrix)
    return np.ascontiguousarray(values[::-1]), np.ascontiguousarray(axes[:, ::-1])


def singular(rows):
    """U (n, k), s (k,) and V^T (p, p) of rows (n, p) = U diag(s) V^T, k = min(n, p), s_1 the largest; LinAlgError."""
    count = min(rows.shape)
    left, values, right = np.linalg.svd(rows, full_matrices=rows.shape[1] > count)
    return left[:, :count], values, right
