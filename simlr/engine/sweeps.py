"""Running one sweep by itself, outside an `Engine`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import jit


def run_sweep(sweep: Callable, *arguments: Any) -> None:
    """Run a sweep, a compiled function of (*arguments, tasks, workers), over all its tasks on all threads."""
    jit.launch(sweep, *arguments, np.zeros(2, np.int64), jit.threads())
