"""A quicker start of a command in a process of its own."""

import contextlib
import importlib
import sys

BLAS = "scipy.linalg"
# What looks for SciPy's BLAS as it is loaded, which Numba does in the midst of the first call of a kernel.
LOOKS_FOR_BLAS = "numba.np.arraymath"


def load_numba() -> None:
    """Load what Numba needs for any kernel, but not all of SciPy's linear algebra, where that is installed.

    Numba would load it for products of matrices, which no kernel takes. In a program of somebody else's this is not
    for us to say: there Numba's own kernels may want them. SciPy is found again afterwards.
    A Numba that does not work is told of where it is used.
    """
    with _hidden(BLAS), contextlib.suppress(ImportError, OSError, ValueError):
        importlib.import_module(LOOKS_FOR_BLAS)


@contextlib.contextmanager
def _hidden(name):
    """Let a module that is not loaded yet not be found, for the duration."""

    class Finder:
        @staticmethod
        def find_spec(wanted, path=None, target=None):
            if wanted == name:
                raise ModuleNotFoundError(f"{name} is not looked for now", name=name)

    sys.meta_path.insert(0, Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(Finder)
