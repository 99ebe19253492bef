"""The digits: 1,797 pictures of 8 x 8 pixels in ten classes (UCI, Alpaydin and Kaynak, 1998), out of scikit-learn."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

INSTALL = 'needs scikit-learn: pip install "simlr[papers]"'


def load_digits() -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Pixels (rows, 64) as whole numbers from 0 to 16, and digits (rows,), of scikit-learn; None without it.

    The file inside the package is read as it is: importing scikit-learn takes seconds, and SciPy with it.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        return None
    file = Path(package.submodule_search_locations[0]) / "datasets/data/digits.csv.gz"
    if not file.is_file():
        return None
    table = np.loadtxt(file, delimiter=",").astype(np.int64)
    return table[:, :-1], table[:, -1]


def shuffled(labels: NDArray[np.int64], root: int, draw: int) -> NDArray[np.int64]:
    """The labels in the random order of the stream (root, draw, SPLIT)."""
    from ..kernels.draws import SPLIT, fill_order

    order = np.empty(len(labels), np.int64)
    fill_order(order, root, draw, SPLIT, 0)
    return labels[order]
