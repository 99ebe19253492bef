"""What the bits of a run depend on besides its grid."""

import numpy as np

from ..kernels import jit


def environment() -> dict[str, str]:
    """What the bits of a run depend on besides the grid, for the run file's attributes."""
    import platform
    from importlib.metadata import version

    jit.launch(lambda: None)  # starts the threads: a layer that is not there is better found now than in a block
    name, features = jit.processor()
    return {
        "kernel_digest": jit.digest(),
        "numba_version": version("numba"),
        "numpy_version": np.__version__,
        "h5py_version": version("h5py"),
        "python_version": platform.python_version(),
        "processor": name,
        "processor_features": features,
    }
