"""What the bits of a run depend on besides its grid."""

import functools
from pathlib import Path

import numpy as np

from ..kernels import jit
from ..problems import lapack

# The folders of simlr that have a part in the numbers; the kernels have a digest of their own.
COMPUTING = ("inputs", "plugins", "schedules", "problems", "config", "plan", "engine", "papers")


def environment() -> dict[str, str]:
    """What the bits of a run depend on besides the grid, for the run file's attributes."""
    import platform
    from importlib.metadata import version

    jit.launch(lambda: None)  # starts the threads: a layer that is not there is better found now than in a block
    name, features = jit.processor()
    return {
        "kernel_digest": jit.digest(),
        "code_digest": code_digest(),
        "numba_version": version("numba"),
        "numpy_version": np.__version__,
        "blas": lapack.description(),
        "h5py_version": version("h5py"),
        "python_version": platform.python_version(),
        "processor": name,
        "processor_features": features,
    }


@functools.cache
def code_digest() -> str:
    """The `digest_of` the Python that computes."""
    return jit.digest_of(Path(__file__).resolve().parents[1], COMPUTING)
