"""The problem kind `quadratic`: the user's own arrays, from a file or in the grid itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, of_keys
from ..inputs import arrays, formats, rules
from ..inputs.parameters import Parameter
from .source import Batch, Problem, Quadratic, Source, ValidationOf, empty_batch


class _Quadratic(Source):
    """Row k of the arrays is draw k."""

    is_population = True  # where the grid takes it for one
    validation_needs = "whose file has no array validation_matrix"

    def __init__(self, parameters: dict[str, Any], folder: Path):
        if "file" in parameters:
            path = str(Path(folder) / parameters["file"])
            self._where = f"problem.file: {path}"
            with of_keys({path: "problem.file"}):
                self._arrays = arrays.read_arrays(path, NAMES)
                for name in REQUIRED_NAMES:
                    if name not in self._arrays:
                        raise InputError(f"{path}: array {name!r} is missing; {arrays.known(arrays.shapes(path))}")
                self.identity = formats.digest(path)
        else:
            self._where, self.validation_needs = "problem", "which has no validation_matrix"
            self._arrays = {name: np.array(parameters[name]) for name in NAMES if name in parameters}
        curvature, residual = self._arrays["curvature"], self._arrays["residual"]
        if curvature.ndim not in (1, 2) or curvature.size == 0:
            raise InputError(f"{self._where}: array 'curvature' must have shape (N, d) or (d,), got {curvature.shape}")
        if curvature.min() < 0.0:
            raise InputError(f"{self._where}: array 'curvature' must be >= 0, got {curvature.min()}")
        self.dimension = curvature.shape[-1]
        # One of the two may be common to all seeds; the other then says how many there are.
        self.limit = next((len(array) for array in (curvature, residual) if array.ndim == 2), 1)
        vectors = dict.fromkeys(("curvature", "residual", "offset", "validation_offset"), (self.limit, self.dimension))
        matrices = dict.fromkeys(("test_matrix", "validation_matrix"), (self.limit, self.dimension, self.dimension))
        floors = dict.fromkeys(("train_floor", "test_floor", "validation_floor"), (self.limit,))
        self._shapes = vectors | matrices | floors
        for name, array in self._arrays.items():
            self._arrays[name] = self._spread(name, array)

    def _spread(self, name, array):
        """An array of its full shape; one without the first axis is the same for all seeds."""
        shape = self._shapes[name]
        if array.shape not in (shape, shape[1:]):
            expected = f"{shape} or {shape[1:]}"
            raise InputError(f"{self._where}: array {name!r} must have shape {expected}, got {array.shape}")
        return np.broadcast_to(array, shape)

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """Rows `draws` of the arrays; the curvature axes are the coordinates."""
        return batch_of({name: array[draws] for name, array in self._arrays.items()})

    @property
    def validation(self) -> ValidationOf | None:
        """The validation losses, where there is a validation set."""
        return self._validation_loss if "validation_matrix" in self._arrays else None

    def _validation_loss(self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int) -> Quadratic:
        """The validation quadratics of rows `draws`; offset and floor are 0 where the file has none."""
        return validation_of({name: self._arrays[name][draws] for name in _VALIDATION if name in self._arrays})


def batch_of(taken: Mapping[str, NDArray[np.float64]]) -> Batch:
    """The `Batch` of arrays by their names, (N, ...) each: curvature and residual, and what else of NAMES there is."""
    count, dimension = taken["curvature"].shape
    batch = empty_batch(count, dimension)
    batch.curvature[:] = taken["curvature"]
    batch.initial_residual[:] = taken["residual"]
    batch.offset[:] = taken.get("offset", 0.0)
    batch.test_matrix[:] = taken.get("test_matrix", 0.5 * np.eye(dimension))
    batch.train_floor[:] = taken.get("train_floor", 0.0)
    batch.test_floor[:] = taken.get("test_floor", 0.0)
    batch.curvature_axes[:] = np.eye(dimension)
    batch.target[:] = -batch.offset
    return batch


def validation_of(taken: Mapping[str, NDArray[np.float64]]) -> Quadratic:
    """The validation quadratics of arrays by their names, (N, ...) each; offset and floor are 0 without one."""
    matrix = np.array(taken["validation_matrix"])
    offset = np.array(taken.get("validation_offset", np.zeros(matrix.shape[:2])))
    return Quadratic(matrix, offset, np.array(taken.get("validation_floor", np.zeros(len(matrix)))))


_VALIDATION = ("validation_matrix", "validation_offset", "validation_floor")
REQUIRED_NAMES = ("curvature", "residual")
NAMES = (*REQUIRED_NAMES, "test_matrix", "offset", "train_floor", "test_floor", *_VALIDATION)
MOST_NUMBERS = 1_000_000  # in the grid, which holds them as text
_MEANINGS = {
    "curvature": "or here: eigenvalues lam, (N, d) or (d,), the same for all seeds",
    "residual": "r at the start, (N, d) or (d,)",
    "test_matrix": "M, (N, d, d) or (d, d); 1/2 of the identity without it",
}


def _given(name):
    """The rule of an array in the grid itself; () stands for none."""
    axes = (0, 1) if name.endswith("floor") else (2, 3) if name.endswith("matrix") else (1, 2)
    of_numbers = rules.numbers(axes)

    @rules.ArrayRule
    def rule(key, value):
        return () if isinstance(value, tuple) and not value else of_numbers(key, value)

    return rule


def _file(key, value):
    """A file's name; "" stands for none."""
    return value if value == "" else rules.text(key, value)


def _check(table):
    """Refuse arrays from a file and in the grid at once, and neither of the two."""
    here = [name for name in NAMES if table[name] != ()]
    if not here and table["file"] == "":
        raise InputError("problem (kind 'quadratic'): file is missing, or the arrays curvature and residual themselves")
    if here and table["file"] != "":
        raise InputError(f"problem (kind 'quadratic'): has both file and {here[0]}; a file holds all arrays")
    for name in REQUIRED_NAMES if here else ():
        if name not in here:
            raise InputError(f"problem (kind 'quadratic'): {name} is missing")
    count = sum(np.size(table[name]) for name in here)
    if count > MOST_NUMBERS:
        raise InputError(
            f"problem (kind 'quadratic'): its arrays hold {count:,} numbers, more than the {MOST_NUMBERS:,} that a "
            "grid keeps as text; save them with numpy.savez and name the file"
        )


QUADRATIC = Problem(
    "quadratic",
    "your own arrays: curvature, residual [, test_matrix, offset, train_floor, test_floor, "
    "validation_matrix, validation_offset, validation_floor], one row a seed",
    (
        Parameter("file", _file, "", "NPZ or HDF5 file with the arrays, relative to the grid file"),
        *(Parameter(name, _given(name), (), _MEANINGS.get(name, "as in a file")) for name in NAMES),
    ),
    _Quadratic,
    _check,
    optional=("file", *NAMES),
)
