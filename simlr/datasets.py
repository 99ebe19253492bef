"""The problem kind `dataset`: least squares on the user's own table."""

from pathlib import Path

import numpy as np

from . import datafiles, rules
from .errors import InputError
from .sources import Parameter, Problem, Quadratic, Source, empty_batch

# Each at its number in kernels.regression: RAW, TRAIN, ALL (which is not imported before something is drawn).
_STANDARDIZE = "none", "train", "all"


def _target_rule(key, value):
    """A column's name or number."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        rules.refuse(key, "a column's name or number", value)
    return value


class _Dataset(Source):
    """Every draw is a split of the rows into train, held out and unused."""

    validation_needs = "whose validation_rows are 0"

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
        self._standardize = _STANDARDIZE.index(parameters["standardize"])
        self._label_noise = parameters["label_noise"]
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
        tasks = np.zeros(2, np.int64)
        launch(
            *(regression.split_sweep, self._columns, root, draws, self._train),
            *(self._train + self._validation, self._test),
            *(self._standardize, self._label_noise, problem, tasks, workers),
        )
        batch.target[:] = np.nan
        return batch

    def _own(self, batch):
        """Curvature axes (N, d, d) and train minimiser (N, d) of a Batch that may have more axes than the source."""
        d = self.axes
        return np.ascontiguousarray(batch.curvature_axes[:, :d, :d]), np.ascontiguousarray(batch.train_minimiser[:, :d])

    def validation(self, root, draws, batch, workers):
        """The mean squared error on the validation rows of splits `draws`, which come behind the train rows."""
        from .kernels import regression
        from .kernels.jit import launch

        shape = draws.size, self.axes
        found = Quadratic(np.zeros((*shape, self.axes)), np.zeros(shape), np.zeros(draws.size))
        known = self._columns, root, draws, self._train, self._validation, self._standardize, *self._own(batch)
        launch(regression.validation_sweep, *known, *found, np.zeros(2, np.int64), workers)
        return found

    def rows(self, root, draws, batch, workers):
        """The train rows of splits `draws`, drawn again."""
        from .kernels import regression
        from .kernels.jit import launch

        z, rho = np.empty((draws.size, self._train, self.axes)), np.empty((draws.size, self._train))
        tasks = np.zeros(2, np.int64)
        known = self._columns, root, draws, self._standardize, self._label_noise
        launch(regression.rows_sweep, *known, *self._own(batch), z, rho, tasks, workers)
        return z, rho


DATASET = Problem(
    "dataset",
    "least squares on your own table: every seed is a split into train and held-out rows",
    (
        Parameter("file", rules.text, rules.REQUIRED, "CSV, or NPZ / HDF5 with features (rows, d) and target (rows,)"),
        Parameter("target", _target_rule, -1, "target column of a CSV: its name, or its number (-1 is the last)"),
        Parameter("header", rules.flag, True, "whether the first line of a CSV names the columns"),
        Parameter(
            "standardize",
            rules.one_of("train", "all", "none"),
            "train",
            "features and target to mean 0 and spread 1 over the train rows, over all rows, or not at all",
        ),
        Parameter("train_rows", rules.count, rules.REQUIRED, "rows to train on"),
        Parameter(
            "validation_rows", rules.count_or_none, 0, "rows for stop.validation, behind the train rows; 0 = none"
        ),
        Parameter("label_noise", rules.not_negative, 0.0, "sigma of N(0, sigma^2) added to the train rows' targets"),
        Parameter("test_rows", rules.count_or_none, 0, "held-out rows; 0 = all that are left"),
    ),
    _Dataset,
)
