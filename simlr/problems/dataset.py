"""The problem kind `dataset`: least squares on the user's own table, or on features of its rows."""

import math
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import resources
from ..errors import InputError
from ..inputs import rules, splits, tables
from ..inputs.frame import MOST_CLASSES
from ..inputs.parameters import REQUIRED, Parameter
from ..inputs.wanted import PARAMETERS, of_parameters
from . import features, lapack, losses
from .source import Batch, Problem, Quadratic, Samples, SamplesOf, Sets, Sloped, Source, ValidationOf, empty_batch

# Each at its number in kernels.problems.regression: RAW, TRAIN, ALL (which is not imported before something is drawn).
_STANDARDIZE = "none", "train", "all"
_SCALING = {
    "none": "not scaled",
    "train": "mean 0 and spread 1 over the train rows",
    "all": "mean 0 and spread 1 over all rows, held-out ones too",
}
# Within these, the square of a length scale is a float, and so is anything divided by it.
_SHORTEST, _LONGEST = 1e-100, 1e100
ALL = "all"
# A target of up to so many whole numbers may be one of classes.
MOST_LIKELY_CLASSES = 20
_NO_TRAIN_ROWS = "problem (kind 'dataset'): train_rows is missing"


def _train_rows(key, value):
    """A count, or ALL of the train rows of a split that is given."""
    return value if isinstance(value, str) and value == ALL else rules.count(key, value)


def _length_scale(key, value):
    """A length, or 0."""
    rule = f"0, or a number from {_SHORTEST:g} to {_LONGEST:g}"
    cast = rules.number(key, value, least=0.0, most=_LONGEST, rule=rule)
    return cast if cast == 0.0 or cast >= _SHORTEST else rules.refuse(key, rule, value)


def _drawn(parameters, table):
    """(train, validation, test) rows of every split where the seeds draw it."""
    train, validation = parameters["train_rows"], parameters["validation_rows"]
    if train == ALL:
        raise InputError(_NO_TRAIN_ROWS)
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


class _Dataset(Source):
    """Every draw is a split of the rows into train, held out and unused; into given ones, where the table says so."""

    validation_needs = "whose validation_rows are 0"

    def __init__(self, parameters, folder):
        second = Path(folder) / parameters["test_data"] if parameters["test_data"] else None
        loss, self._is_plain = parameters.get("loss", losses.SQUARED), losses.is_plain(parameters)
        wanted = of_parameters(parameters)._replace(classes=_most_classes(loss))
        table = tables.of_file(Path(folder) / parameters["file"], wanted, second)
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
        if parameters["features"] != "linear":
            asked = f"loss = {loss!r}" if loss != losses.SQUARED else "ridge"
            raise InputError(f"problem.{asked} goes with features = 'linear', got {parameters['features']!r}")
        if loss in losses.OF_CLASSES and parameters["label_noise"]:
            raise InputError(f"problem.label_noise is added to numbers, and loss = {loss!r} has classes; leave it out")
        outputs = len(self._table.class_names) if loss == losses.SOFTMAX else 1
        has_one = parameters["intercept"]
        if has_one:
            self._intercept = "intercept by a column of ones" + ", without a ridge" * (parameters.get("ridge", 0) > 0)
        elif loss in losses.OF_CLASSES:
            self._intercept = "no intercept (intercept = true adds one)"
        inputs = self.dimension + has_one
        self.terms = losses.terms_of(parameters, inputs, outputs, has_one)
        self.dimension = outputs * inputs

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

    def describe(self):
        """What was read, how it is scaled, and whether there is an intercept, in one line."""
        alike = "; nothing is drawn: one seed, but for noise" if self.is_same else ""
        told = "" if self._is_plain else f"; loss {self.terms.kind}"
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

    def draw(self, root, draws, workers):
        """Splits `draws`: the stable argsort of one uniform a row; train rows, validation rows, held-out rows."""
        from ..kernels.jit import launch
        from ..kernels.problems import regression

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

        inputs, counts = self.dimension // self.terms.outputs, (self._train, self._validation, self._test)
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

    def rows(self, root, draws, batch, workers):
        """The train rows of splits `draws`, drawn again."""
        from ..kernels.jit import launch
        from ..kernels.problems import regression

        z, rho = np.empty((draws.size, self._train, self.dimension)), np.empty((draws.size, self._train))
        tasks = np.zeros(2, np.int64)
        known = self._split, root, draws, *self._own(batch)
        launch(regression.rows_sweep, *known, z, rho, tasks, workers)
        return z, rho


class _Featured(_Dataset):
    """The same on features of the rows, by LAPACK: axes are many, and seeds few."""

    @property
    def samples(self) -> SamplesOf | None:
        """None: there are no parameters along columns."""
        return None

    def __init__(self, parameters, folder):
        super().__init__(parameters, folder)
        kind, count = parameters["features"], parameters["feature_count"]
        length_scale = parameters["length_scale"] or math.sqrt(self._columns.shape[0] - 1)
        if kind not in features.DRAWN:
            self._map = features.GaussianKernel(self._train, length_scale)
        elif not count:
            raise InputError(f"problem.feature_count must be a whole number >= 1 for features = {kind!r}, got 0")
        else:
            self._map = features.RandomFeatures(kind, count, length_scale)
        self.dimension = self._map.dimension
        # Refuse what takes more than there is: at most so many matrices (d, d) and (rows, d) at a time.
        rows = self._train + self._validation + self._test
        needed = 8 * self.dimension * (SQUARES_AT_ONCE * self.dimension + TALL_AT_ONCE * rows)
        size = f"{self.dimension} features of {rows} rows" if kind in features.DRAWN else f"{self._train} train rows"
        resources.check_memory(needed, f"problem: {size} take, with features = {kind!r},")

    def _stretch(self, root, draw, first, count):
        """Rows (count, D + 1) from place `first` of a split on, standardised; the train rows with their label noise."""
        from ..kernels.problems.features import fill_stretch

        out = np.empty((count, self._columns.shape[0]))
        fill_stretch(self._split, root, draw, first, out)
        return out

    def draw(self, root, draws, workers):
        """The quadratics of splits `draws`, y measured from the start."""
        return Batch(*_each(lambda draw: self._draw(root, draw), draws, workers))

    def _draw(self, root, draw):
        """The fields of the Batch of one draw."""
        train = self._stretch(root, draw, 0, self._train)
        spectrum = self._map.spectrum(train, root, draw)
        best, floor = features.minimum(spectrum, train[:, -1])
        curvature, axes = spectrum.curvature, spectrum.axes
        del spectrum  # it may be large
        found = self._held_out(root, draw, train, self._train + self._validation, self._test, axes, curvature)
        matrix, slope, constant = found
        unknown = np.full(self.dimension, np.nan)
        return curvature, axes, -best, axes @ best, matrix, best, floor, constant, unknown, slope

    def _held_out(self, root, draw, train, first, count, axes, curvature):
        """`features.held_out` of the rows from place `first` of a split on."""
        rows = self._stretch(root, draw, first, count)
        return features.held_out(self._map.along(rows, train, root, draw, axes, curvature), rows[:, -1])

    def _known(self, root, draws, batch):
        """What is known of every draw: (draw, its train rows, Q, curvature, residual at the start)."""
        d = self.dimension
        for n, draw in enumerate(draws):
            parts = batch.curvature_axes[n, :d, :d], batch.curvature[n, :d], batch.initial_residual[n, :d]
            yield draw, self._stretch(root, draw, 0, self._train), *parts

    def _validation_loss(self, root, draws, batch, workers):
        """The mean squared error on the validation rows of splits `draws`, which come behind the train rows."""

        def one(known):
            draw, train, axes, curvature, residual = known
            matrix, slope, constant = self._held_out(root, draw, train, self._train, self._validation, axes, curvature)
            return matrix, -residual, constant, slope

        return Sloped(*_each(one, self._known(root, draws, batch), workers))

    def rows(self, root, draws, batch, workers):
        """The train rows' features of splits `draws`."""

        def one(known):
            draw, train, axes, curvature, residual = known
            z = self._map.train_along(train, root, draw, axes, curvature)
            return z, train[:, -1] + z @ residual

        return _each(one, self._known(root, draws, batch), workers)


# What is held at a time of d axes: of LAPACK's five squares, or of Q, M and what is made of them with a validation set.
SQUARES_AT_ONCE, TALL_AT_ONCE = 8, 3


def _each(one, given, workers):
    """The arrays that `one` gives of every draw, each as one array along the draws; BLAS has one thread a draw."""
    from multiprocessing.pool import ThreadPool

    def quietly(each):
        with np.errstate(over="ignore", invalid="ignore"):
            return one(each)

    given = list(given)
    with lapack.one_thread():
        if workers == 1 or len(given) == 1:
            found = [quietly(each) for each in given]
        else:
            with ThreadPool(min(workers, len(given))) as pool:
                found = pool.map(quietly, given, chunksize=1)
    columns = zip(*found, strict=True)
    return [np.asarray(column[0])[None] if len(column) == 1 else np.stack(column) for column in columns]


def _check(table):
    """Refuse what only some feature maps use where there are none of these, and no number of train rows to be drawn."""
    losses.check(table)
    if table["train_rows"] == ALL and table["split"] == "" and table["test_data"] == "":
        raise InputError(_NO_TRAIN_ROWS)
    chosen = table["features"] if isinstance(table["features"], list) else [table["features"]]
    goes_with = {"feature_count": features.DRAWN, "length_scale": features.MAPS[1:]}
    for name, kinds in goes_with.items():
        if table[name] != 0 and not set(kinds) & set(chosen):
            wanted = " or ".join(repr(kind) for kind in kinds)
            raise InputError(f"problem.{name} goes with features = {wanted}, got {chosen[0]!r}")


DATASET = Problem(
    "dataset",
    "least squares on your own table or on features of it: every seed is a split into train and held-out rows",
    (
        Parameter(
            "file",
            rules.text,
            REQUIRED,
            "CSV or the like (docs/tables.md), or NPZ / HDF5 with features (rows, d) and target (rows,)",
        ),
        *PARAMETERS,
        Parameter(
            "standardize",
            rules.one_of("train", "all", "none"),
            "train",
            "features and target to mean 0 and spread 1 over the train rows, over all rows, or not at all",
        ),
        Parameter(
            "intercept",
            rules.flag,
            False,
            "a column of ones; without it there is an intercept with standardize = train alone, by the means",
        ),
        Parameter("train_rows", _train_rows, ALL, "rows to train on; all of split or test_data where one is given"),
        Parameter(
            "validation_rows", rules.count_or_none, 0, "rows for stop.validation, behind the train rows; 0 = none"
        ),
        Parameter("label_noise", rules.not_negative, 0.0, "sigma of N(0, sigma^2) added to the train rows' targets"),
        Parameter("test_rows", rules.count_or_none, 0, "held-out rows; 0 = all that are left"),
        Parameter(
            "features",
            rules.one_of(*features.MAPS),
            "linear",
            "linear: the columns themselves; relu, fourier: random features of them; rbf: kernel gradient descent",
        ),
        Parameter("feature_count", rules.count_or_none, 0, "random features, drawn anew for every seed"),
        Parameter(
            "length_scale",
            _length_scale,
            0.0,
            "ell: relu is max(0, <w, x>/ell), rbf exp(-|x - y|^2 / (2 ell^2)); 0 = the square root of the columns",
        ),
        *losses.PARAMETERS,
    ),
    lambda given, folder: (_Dataset if given["features"] == "linear" else _Featured)(given, folder),
    _check,
)
