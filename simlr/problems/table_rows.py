"""Rows of a user's table, which every seed deals into train, validation and test rows: the source of `dataset`."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..errors import InputError, of_keys
from ..inputs import splits, tables
from ..inputs.frame import MOST_CLASSES
from ..inputs.wanted import of_parameters
from . import features, losses
from .source import Batch, Quadratic, Samples, SamplesOf, Sets, Source, ValidationOf, empty_batch

# Each at its number in kernels.problems.regression: RAW, TRAIN, ALL (which is not imported before something is drawn).
_STANDARDIZE = "none", "train", "all"
_SCALING = {
    "none": "not scaled",
    "train": "mean 0 and spread 1 over the train rows",
    "all": "mean 0 and spread 1 over all rows, held-out ones too",
}
# What a message calls a column that is not there, and the key that asks for it.
_COLUMN_KEYS = {"target column": "target", "drop": "drop", "columns": "columns", "split column": "split"}
ALL = "all"
# A target of up to so many whole numbers may be one of classes.
MOST_LIKELY_CLASSES = 20
NO_TRAIN_ROWS = "problem (kind 'dataset'): train_rows is missing"


def _read(path, wanted, second):
    """The table of a file, or of two; what is wrong in one of them is said of the key that names it."""
    keys = {f"{path}: {noun}": f"problem.{key}" for noun, key in _COLUMN_KEYS.items()}
    keys |= {str(second): "problem.test_data"} if second else {}
    with of_keys(keys | {str(path): "problem.file"}):
        return tables.of_file(path, wanted, second)


def _drawn(parameters, table):
    """(train, validation, test) rows of every split where the seeds draw it."""
    train, validation = parameters["train_rows"], parameters["validation_rows"]
    if train == ALL:
        raise InputError(NO_TRAIN_ROWS)
    test = parameters["test_rows"] or table.rows - train - validation
    if train + validation + max(test, 1) > table.rows:
        named = ("train_rows", *(("validation_rows",) if validation else ()), "test_rows")
        wanted = " and ".join(f"{name} = {parameters[name]}" for name in named)
        raise InputError(f"problem: {wanted} need more than the {table.rows} rows of {table.path}")
    return train, validation, test


def _given(parameters, table):
    """The same where the table says which rows are held out: as many of each group as are asked for, or all."""
    held = [table.split.count(group) for group in (splits.TRAIN, splits.VALIDATION, splits.TEST)]
    wanted = [parameters[name] for name in ("train_rows", "validation_rows", "test_rows")]
    is_told = held[1] > 0
    validation = wanted[1] or held[1]
    train = wanted[0] if wanted[0] != ALL else held[0] - (0 if is_told else validation)
    taken = [train + (0 if is_told else validation), validation if is_told else 0, wanted[2] or held[2]]
    for name, count, most in zip(("train", "validation", "test"), taken, held, strict=True):
        if count > most or (name == "train" and train < 1):
            also = " and validation_rows" if name == "train" and not is_told and validation else ""
            raise InputError(f"problem: {name}_rows{also} need more than the {most} {name} rows of {table.path}")
    return train, validation, taken[2]


def _most_classes(loss):
    """How many classes the target has at most, 0 where it is a number."""
    if loss not in losses.OF_CLASSES:
        return 0
    return 2 if loss in losses.OF_TWO_CLASSES else MOST_CLASSES


class TableRows(Source):
    """Every draw is a split of the rows into train, held out and unused; into given ones, where the table says so."""

    validation_needs = "whose validation_rows are 0"
    _adds_one = False  # whether a feature of 1 comes behind the columns once they are standardised

    def __init__(self, parameters: dict[str, Any], folder: Path):
        second = Path(folder) / parameters["test_data"] if parameters["test_data"] else None
        loss, self._is_plain = parameters.get("loss", losses.SQUARED), losses.is_plain(parameters)
        wanted = of_parameters(parameters)._replace(classes=_most_classes(loss))
        table = _read(Path(folder) / parameters["file"], wanted, second)
        self._table, self._columns, self.identity = table, table.columns, table.digest
        self._kind = parameters["standardize"]
        self._standardize = _STANDARDIZE.index(self._kind)
        self._intercept = "intercept by the train rows' means" if self._kind == "train" else "no intercept"
        if parameters["intercept"] and self._is_plain:
            self._add_intercept(parameters["features"])
        self.dimension = self._columns.shape[0] - 1
        if not self._is_plain:
            self._learn_by_rows(parameters, loss)
        if parameters["features"] == "linear":  # Q and M of one draw
            needed = 16 * self.dimension**2
            resources.check_memory(needed, f"problem: the Hessian of {self.dimension} features, with its axes, takes")
        self._label_noise = parameters["label_noise"]
        self._groups, self._quota = np.empty(0, np.int8), np.zeros(3, np.int64)
        if table.split.groups is None:
            self._train, self._validation, self._test = _drawn(parameters, table)
        else:
            self._train, self._validation, self._test = _given(parameters, table)
            self._groups = table.split.groups
            is_told = table.split.count(splits.VALIDATION) > 0
            self._quota[:] = self._train + (0 if is_told else self._validation), self._validation * is_told, self._test
            drawn = self._quota.sum() < table.rows or (self._validation and not is_told) or self._label_noise > 0.0
            self.is_same = not drawn and parameters["features"] not in features.DRAWN

    def _learn_by_rows(self, parameters, loss):
        """Another loss than the squared one, or a ridge: parameters of the features' own axes, for each class."""
        if parameters["intercept"] and parameters["features"] != "linear":
            raise InputError(f"problem.intercept goes with features = 'linear', got {parameters['features']!r}")
        if loss in losses.OF_CLASSES and parameters["label_noise"]:
            raise InputError(f"problem.label_noise is added to numbers, and loss = {loss!r} has classes; leave it out")
        outputs = len(self._table.class_names) if loss == losses.SOFTMAX else 1
        # Centred on the train rows, targets of the squared loss leave nothing to a column of ones but rounding errors,
        # which optimisers that divide by the size of a gradient would blow up.
        is_centred = loss == losses.SQUARED and self._kind == "train"
        has_one = self._adds_one = parameters["intercept"] and not is_centred
        if has_one:
            self._intercept = "intercept by a column of ones" + ", without a ridge" * (parameters.get("ridge", 0) > 0)
        elif loss in losses.OF_CLASSES:
            self._intercept = "no intercept (intercept = true adds one)"
        inputs = self.dimension + has_one
        self.terms = losses.terms_of(parameters, inputs, outputs, has_one)
        self.dimension = self.terms.start.size

    def _add_intercept(self, kind_of_features):
        """A column of ones behind the features, standardised over all rows beforehand where that is asked for.

        Centred on the train rows, the features have an intercept, as the targets do: the best one is 0.
        """
        if kind_of_features != "linear":
            raise InputError(f"problem.intercept goes with features = 'linear', got {kind_of_features!r}")
        if self._kind == "train":
            return
        values, self._intercept = self._columns, "intercept by a column of ones"
        if self._kind == "all":
            mean, spread = values.mean(axis=1, keepdims=True), values.std(axis=1, keepdims=True)
            low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
            values = (values - mean) / np.where(low == high, 1.0, spread)
            self._standardize = _STANDARDIZE.index("none")
        self._columns = np.ascontiguousarray(np.vstack([values[:-1], np.ones((1, values.shape[1])), values[-1:]]))

    def describe(self) -> str:
        """What was read, how it is scaled, and whether there is an intercept, in one line."""
        alike = "; nothing is drawn: one seed, but for noise" if self.is_same else ""
        told = "" if self._is_plain else f"; loss {self.terms.kind}"
        told += "; a diagonal linear network" * (self.terms.model == losses.DIAGONAL)
        if self.terms.kind not in losses.OF_CLASSES:
            told += self._looks_like_classes()
        if self.terms.kind in losses.OF_TWO_CLASSES:
            told += ": {!r} is -1, {!r} is 1".format(*self._table.class_names)
        return f"{self._table.describe()}{told}; {_SCALING[self._kind]}; {self._intercept}{alike}"

    def _looks_like_classes(self):
        """What is to be said of a target of numbers that may be classes."""
        distinct = np.unique(self._table.columns[-1])
        if not 2 < distinct.size <= MOST_LIKELY_CLASSES or (distinct != np.rint(distinct)).any():
            return ""
        return f"; its {distinct.size} whole numbers are taken as numbers (loss = 'softmax' takes classes)"

    @cached_property
    def _split(self):
        """What the kernels draw from."""
        from ..kernels.problems.regression import Split

        rows = self._train, self._validation, self._test
        return Split(self._columns, *rows, self._standardize, self._label_noise, self._groups, self._quota)

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """Splits `draws`: the stable argsort of one uniform a row; train rows, validation rows, held-out rows."""
        from ..kernels.jit import launch
        from ..kernels.problems import regression

        losses.check_quadratic(self.terms)
        batch = empty_batch(draws.size, self.dimension)
        launch(regression.split_sweep, self._split, root, draws, batch, np.zeros(2, np.int64), workers)
        batch.target[:] = np.nan
        return batch

    @property
    def samples(self) -> SamplesOf | None:
        """The rows of these splits themselves."""
        return self._samples

    def _samples(self, root, draws, workers):
        """The rows of splits `draws`, features standardised, targets too where they are numbers."""
        from ..kernels.jit import launch
        from ..kernels.problems.samples import Rows, samples_sweep

        inputs, counts = len(self._columns) - 1 + self._adds_one, (self._train, self._validation, self._test)
        sets = [Rows(np.empty((draws.size, rows, inputs)), np.empty((draws.size, rows))) for rows in counts]
        is_class = self.terms.kind in losses.OF_CLASSES
        launch(samples_sweep, self._split, root, draws, is_class, *sets, np.zeros(2, np.int64), workers)
        for rows in sets:
            if self.terms.kind in losses.OF_TWO_CLASSES:
                rows.y[...] = 2.0 * rows.y - 1.0
        train, validation, test = (Samples(*rows) for rows in sets)
        return Sets(train, validation if self._validation else None, test)

    def _own(self, batch):
        """Curvature axes (N, d, d) and train minimiser (N, d) of a Batch that may have more axes than the source."""
        d = self.dimension
        return np.ascontiguousarray(batch.curvature_axes[:, :d, :d]), np.ascontiguousarray(batch.train_minimiser[:, :d])

    @property
    def validation(self) -> ValidationOf | None:
        """The validation losses, where there is a validation set."""
        return self._validation_loss if self._validation else None

    def _validation_loss(self, root, draws, batch, workers):
        """The mean squared error on the validation rows of splits `draws`, which come behind the train rows."""
        from ..kernels.jit import launch
        from ..kernels.problems import regression

        shape = draws.size, self.dimension
        found = Quadratic(np.zeros((*shape, self.dimension)), np.zeros(shape), np.zeros(draws.size))
        known = self._split, root, draws, *self._own(batch)
        launch(regression.validation_sweep, *known, found, np.zeros(2, np.int64), workers)
        return found

    def rows(self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int) -> Sequence[NDArray[np.float64]]:
        """The train rows of splits `draws`, drawn again."""
        from ..kernels.jit import launch
        from ..kernels.problems import regression

        z, rho = np.empty((draws.size, self._train, self.dimension)), np.empty((draws.size, self._train))
        tasks = np.zeros(2, np.int64)
        known = self._split, root, draws, *self._own(batch)
        launch(regression.rows_sweep, *known, z, rho, tasks, workers)
        return z, rho
