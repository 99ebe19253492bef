"""Learning problems that can be solved exactly: each is a train quadratic and a test quadratic a seed.

A problem kind is a `Problem`: its parameters, and `prepare`, which checks them, reads what is to be read, and returns
an object that draws. Kinds that belong to one published claim live in `simlr.papers`.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import datafiles, rules
from .errors import InputError, unknown

REQUIRED = object()


class Parameter(NamedTuple):
    """One key of the [problem] table; a list of values is a grid axis (for a vector: a list of lists)."""

    name: str
    rule: Callable  # (key, value) -> value
    default: Any
    meaning: str


@dataclass(frozen=True)
class Problem:
    """A kind of problem."""

    kind: str
    meaning: str
    parameters: tuple
    prepare: Callable  # (parameters, folder of the grid file) -> an object with the attributes of `Source`


class Source:
    """What `prepare` returns. Draw number k with a root is a pure function of (root, k)."""

    axes = 0  # d
    limit = None  # the number of different draws, where there are only so many
    identity = ""  # digest of the files behind it; a run is resumed only where it is the same

    # Where mini-batches can be drawn, a method (root, draws, their Batch, workers) -> the train rows in curvature axes,
    # z (N, n, d) = Q^T x, and their labels' residuals, rho (N, n) = y - <x, theta_hat>.
    rows = None

    # Where there is a validation set, a method (root, draws, their Batch, workers) -> the `Quadratic` of these draws;
    # the Batch may have more axes than the source, all 0.
    validation = None
    # What such a set takes, for who asks for one in vain.
    validation_needs = "which has none"

    def draw(self, root, draws, workers):
        """The `Batch` of these draws, (N,) int64."""
        raise NotImplementedError


class Batch(NamedTuple):
    """The quadratics of N draws, in curvature axes. Train loss = train_floor + 1/2 sum_i lam_i r_i^2; test loss =
    test_floor + (r + offset)^T M (r + offset), r = Q^T (theta - train_minimiser). Float64."""

    curvature: np.ndarray  # (N, d) lam
    curvature_axes: np.ndarray  # (N, d, d) Q, columns are axes
    initial_residual: np.ndarray  # (N, d) r at the start
    train_minimiser: np.ndarray  # (N, d) theta_hat
    test_matrix: np.ndarray  # (N, d, d) M
    offset: np.ndarray  # (N, d) delta = Q^T (theta_hat - theta_star)
    train_floor: np.ndarray  # (N,)
    test_floor: np.ndarray  # (N,)
    target: np.ndarray  # (N, d) theta_star, NaN where it is not known


class Quadratic(NamedTuple):
    """A loss of N draws in the axes of their Batch: floor + (r + offset)^T M (r + offset). Float64."""

    matrix: np.ndarray  # (N, d, d) M
    offset: np.ndarray  # (N, d)
    floor: np.ndarray  # (N,)


def empty_batch(count, axes):
    """A Batch of zeros, to be filled."""
    vector, matrix = (count, axes), (count, axes, axes)
    shapes = (vector, matrix, vector, vector, matrix, vector, (count,), (count,), vector)
    return Batch(*(np.zeros(shape) for shape in shapes))


def kinds():
    """The names of all problem kinds."""
    from . import papers

    return [*_GENERIC, *(module.name for module in pkgutil.iter_modules(papers.__path__))]


def find(key, kind):
    """The Problem of a kind; InputError where there is none."""
    if not isinstance(kind, str):
        rules.refuse(key, "a string", kind)
    if kind in _GENERIC:
        return _GENERIC[kind]
    if kind not in kinds():
        raise unknown(key, kind, kinds(), "kind")
    return importlib.import_module(f"simlr.papers.{kind}").PROBLEM


# ---- quadratic: the user's own arrays ----


class _Quadratic(Source):
    """Row k of the file's arrays is draw k."""

    def __init__(self, parameters, folder):
        path = Path(folder) / parameters["file"]
        self._path = path
        self._arrays = datafiles.read_arrays(path, ("curvature", "residual", *_OPTIONAL))
        for name in ("curvature", "residual"):
            if name not in self._arrays:
                raise InputError(f"{path}: array {name!r} is missing")
        curvature, residual = self._arrays["curvature"], self._arrays["residual"]
        if curvature.ndim not in (1, 2) or curvature.size == 0:
            raise InputError(f"{path}: array 'curvature' must have shape (N, d) or (d,), got {curvature.shape}")
        if curvature.min() < 0.0:
            raise InputError(f"{path}: array 'curvature' must be >= 0, got {curvature.min()}")
        self.axes = curvature.shape[-1]
        # One of the two may be common to all seeds; the other then says how many there are.
        self.limit = next((len(array) for array in (curvature, residual) if array.ndim == 2), 1)
        self._shapes = self._expected_shapes()
        for name, array in self._arrays.items():
            self._arrays[name] = self._spread(name, array)
        self.identity = datafiles.digest(path)
        if "validation_matrix" not in self._arrays:
            self.validation = None

    def _expected_shapes(self):
        n, d = self.limit, self.axes
        vectors = dict.fromkeys(("curvature", "residual", "offset", "validation_offset"), (n, d))
        matrices = dict.fromkeys(("test_matrix", "validation_matrix"), (n, d, d))
        return vectors | matrices | dict.fromkeys(("train_floor", "test_floor", "validation_floor"), (n,))

    def _spread(self, name, array):
        """An array of its full shape; one without the first axis is the same for all seeds."""
        shape = self._shapes[name]
        if array.shape not in (shape, shape[1:]):
            expected = f"{shape} or {shape[1:]}"
            raise InputError(f"{self._path}: array {name!r} must have shape {expected}, got {array.shape}")
        return np.broadcast_to(array, shape)

    def draw(self, root, draws, workers):
        """Rows `draws` of the arrays; the curvature axes are the coordinates."""
        batch = empty_batch(draws.size, self.axes)
        taken = {name: array[draws] for name, array in self._arrays.items()}
        batch.curvature[:] = taken["curvature"]
        batch.initial_residual[:] = taken["residual"]
        batch.offset[:] = taken.get("offset", 0.0)
        batch.test_matrix[:] = taken.get("test_matrix", 0.5 * np.eye(self.axes))
        batch.train_floor[:] = taken.get("train_floor", 0.0)
        batch.test_floor[:] = taken.get("test_floor", 0.0)
        batch.curvature_axes[:] = np.eye(self.axes)
        batch.target[:] = -batch.offset
        return batch

    validation_needs = "whose file has no array validation_matrix"

    def validation(self, root, draws, batch, workers):
        """The validation quadratics of rows `draws`; offset and floor are 0 where the file has none."""
        taken = {name: self._arrays[name][draws] for name in _VALIDATION if name in self._arrays}
        matrix = np.array(taken["validation_matrix"])
        offset = np.array(taken.get("validation_offset", np.zeros((draws.size, self.axes))))
        return Quadratic(matrix, offset, np.array(taken.get("validation_floor", np.zeros(draws.size))))


_VALIDATION = ("validation_matrix", "validation_offset", "validation_floor")
_OPTIONAL = ("test_matrix", "offset", "train_floor", "test_floor", *_VALIDATION)

QUADRATIC = Problem(
    "quadratic",
    "your own arrays: curvature, residual [, test_matrix, offset, train_floor, test_floor, "
    "validation_matrix, validation_offset, validation_floor], one row a seed",
    (Parameter("file", rules.text, REQUIRED, "NPZ or HDF5 file, relative to the grid file"),),
    _Quadratic,
)


# ---- dataset: least squares on the user's own table ----


def _target_rule(key, value):
    """A column's name or number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        rules.refuse(key, "a column's name or number", value)
    return value


class _Dataset(Source):
    """Every draw is a split of the rows into train, held out and unused."""

    def __init__(self, parameters, folder):
        path = Path(folder) / parameters["file"]
        self._columns = self._read(path, parameters)
        self.identity = datafiles.digest(path)
        self.axes = self._columns.shape[0] - 1
        rows = self._columns.shape[1]
        self._train, self._validation = parameters["train_rows"], parameters["validation_rows"]
        self._test = parameters["test_rows"] or rows - self._train - self._validation
        if not self._validation:
            self.validation = None
        self._standardize, self._label_noise = parameters["standardize"], parameters["label_noise"]
        if self._train + self._validation + max(self._test, 1) > rows:
            named = ("train_rows", *(("validation_rows",) if self._validation else ()), "test_rows")
            wanted = " and ".join(f"{name} = {parameters[name]}" for name in named)
            raise InputError(f"problem: {wanted} need more than the {rows} rows of {path}")

    @staticmethod
    def _read(path, parameters):
        """Columns (d + 1, rows), the target last."""
        if path.suffix not in (".npz", ".h5", ".hdf5"):
            return datafiles.read_table(path, parameters["target"], parameters["header"])
        wanted = {"features": 2, "target": 1}
        arrays = datafiles.read_arrays(path, wanted)
        for name, axes in wanted.items():
            if name not in arrays:
                raise InputError(f"{path}: array {name!r} is missing")
            if arrays[name].ndim != axes:
                raise InputError(f"{path}: array {name!r} must have {axes} axes, got shape {arrays[name].shape}")
        features, target = arrays["features"], arrays["target"]
        if not features.size or len(features) != len(target):
            raise InputError(f"{path}: features {features.shape} and target {target.shape} must have the same rows")
        return np.ascontiguousarray(np.vstack([features.T, target]))

    def draw(self, root, draws, workers):
        """Splits `draws`: the stable argsort of one uniform a row; train rows, validation rows, held-out rows."""
        from .kernels import regression
        from .kernels.jit import launch

        batch = empty_batch(draws.size, self.axes)
        problem = (
            *(batch.curvature, batch.curvature_axes, batch.initial_residual, batch.train_minimiser),
            *(batch.test_matrix, batch.offset, batch.train_floor, batch.test_floor),
        )
        standardize = {"none": regression.RAW, "train": regression.TRAIN, "all": regression.ALL}[self._standardize]
        tasks = np.zeros(2, np.int64)
        launch(
            *(regression.split_sweep, self._columns, root, draws, self._train),
            *(self._train + self._validation, self._test),
            *(standardize, self._label_noise, problem, tasks, workers),
        )
        batch.target[:] = np.nan
        return batch

    validation_needs = "whose validation_rows are 0"

    def validation(self, root, draws, batch, workers):
        """The mean squared error on the validation rows of splits `draws`, which come behind the train rows."""
        from .kernels import regression
        from .kernels.jit import launch

        shape = draws.size, self.axes
        found = Quadratic(np.zeros((*shape, self.axes)), np.zeros(shape), np.zeros(draws.size))
        standardize = {"none": regression.RAW, "train": regression.TRAIN, "all": regression.ALL}[self._standardize]
        axes = np.ascontiguousarray(batch.curvature_axes[:, : self.axes, : self.axes])
        minimiser = np.ascontiguousarray(batch.train_minimiser[:, : self.axes])
        known = self._columns, root, draws, self._train, self._validation, standardize, axes, minimiser
        launch(regression.validation_sweep, *known, *found, np.zeros(2, np.int64), workers)
        return found

    def rows(self, root, draws, batch, workers):
        """The train rows of splits `draws`, drawn again."""
        from .kernels import regression
        from .kernels.jit import launch

        z, rho = np.empty((draws.size, self._train, self.axes)), np.empty((draws.size, self._train))
        standardize = {"none": regression.RAW, "train": regression.TRAIN, "all": regression.ALL}[self._standardize]
        own = np.ascontiguousarray(batch.curvature_axes[:, : self.axes, : self.axes])
        minimiser = np.ascontiguousarray(batch.train_minimiser[:, : self.axes])
        tasks = np.zeros(2, np.int64)
        known = self._columns, root, draws, standardize, self._label_noise
        launch(regression.rows_sweep, *known, own, minimiser, z, rho, tasks, workers)
        return z, rho


DATASET = Problem(
    "dataset",
    "least squares on your own table: every seed is a split into train and held-out rows",
    (
        Parameter("file", rules.text, REQUIRED, "CSV, or NPZ / HDF5 with arrays features (rows, d) and target (rows,)"),
        Parameter("target", _target_rule, -1, "target column of a CSV: its name, or its number (-1 is the last)"),
        Parameter("header", rules.flag, True, "whether the first line of a CSV names the columns"),
        Parameter(
            "standardize",
            rules.one_of("train", "all", "none"),
            "train",
            "features and target to mean 0 and spread 1 over the train rows, over all rows, or not at all",
        ),
        Parameter("train_rows", rules.count, REQUIRED, "rows to train on"),
        Parameter(
            "validation_rows", rules.count_or_none, 0, "rows for stop.validation, behind the train rows; 0 = none"
        ),
        Parameter("label_noise", rules.not_negative, 0.0, "sigma of N(0, sigma^2) added to the train rows' targets"),
        Parameter("test_rows", rules.count_or_none, 0, "held-out rows; 0 = all that are left"),
    ),
    _Dataset,
)

_GENERIC = {problem.kind: problem for problem in (QUADRATIC, DATASET)}
