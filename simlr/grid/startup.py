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
    A Numba that does not work is reported where it is used.
    """

    class Hider:
        """Lets BLAS not be found, unless it is loaded already."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == BLAS:
                raise ModuleNotFoundError(f"{BLAS} is not looked for now", name=BLAS)

    sys.meta_path.insert(0, Hider)
    try:
        with contextlib.suppress(ImportError, OSError, ValueError):
            importlib.import_module(LOOKS_FOR_BLAS)
    finally:
        sys.meta_path.remove(Hider)
