"""A quicker start of a command in a process of its own."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence

from ..cli import progress

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


@contextlib.contextmanager
def compiling_told(quiet: bool, sweeps: Sequence[Callable] = ()) -> Iterator[None]:
    """Say how far the compiling of kernels is, for the duration, and leave its time out of what progress expects.

    `sweeps` are those that will be called. Nothing is said where all comes from the cache.
    """
    from ..engine.sweeps import Watch

    display, left_out = progress.Compiling(), 0.0

    def tell(state):
        nonlocal left_out
        if not quiet:
            display.update(state.done, state.total, state.left)
        if not state.active:
            progress.leave_out(state.seconds - left_out)
            left_out = state.seconds
            display.close()

    try:
        with Watch(tell, sweeps):
            yield
    finally:
        display.close()
