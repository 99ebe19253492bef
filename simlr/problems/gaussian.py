"""The problem kind `gaussian`: linear regression on normally distributed inputs, in any number of dimensions.

x = Sigma_train^(1/2) g, y = <x, theta_star> + label_noise xi on the train rows; the test loss is the population's,
label_noise^2 + (theta - theta_star)^T Sigma_test (theta - theta_star), in closed form. It is the setting of Hastie,
Montanari, Rosset and Tibshirani (2022), Surprises in High-Dimensional Ridgeless Least Squares Interpolation, Annals of
Statistics 50(2), doi:10.1214/21-AOS2133, with a test covariance of its own.
"""

import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show
from ..inputs import formats, rules
from ..inputs.parameters import REQUIRED, Parameter
from . import basis, covariances, lapack, losses
from .covariances import ISOTROPIC, POWER_LAW, SPIKED, WORDS, word_or_numbers
from .source import Batch, Problem, Quadratic, Samples, SamplesOf, Sets, Source, ValidationOf, empty_batch

SAME, RANDOM, ONES, ZERO = "train", "random", "ones", "zero"
LARGEST_BYTES = 1 << 30  # of one draw, in each thread
HELD_OUT_ROWS = 1000  # on which a loss without a closed form is tested, by default
MATRICES_OF_A_DRAW = 10  # matrices (d, d) in hand while one is made
# Parameters that may be lists or files.
READ = ("train_covariance", "test_covariance", "target", "start")
# Parameters that mean nothing but with some words: (parameter, the parameter that holds the word, the words).
GOES_WITH = (
    *((f"{side}_exponent", f"{side}_covariance", (POWER_LAW,)) for side in ("train", "test")),
    *(
        (f"{side}_{name}", f"{side}_covariance", (SPIKED,))
        for side in ("train", "test")
        for name in ("spikes", "spike")
    ),
    *((name, "target", (RANDOM, ONES)) for name in ("target_norm", "target_source")),
)


class _Gaussian(Source):
    """Every draw is a train set, and a target where that is random."""

    validation_needs = "whose validation_rows are 0"

    def __init__(self, parameters: dict[str, Any], folder: Path):
        _check_companions(parameters)
        self._is_plain = losses.is_plain(parameters)
        self._tested = (parameters.get("held_out_rows") or HELD_OUT_ROWS) if not self._is_plain else 0
        self._parameters, self._rows = parameters, parameters["train_rows"]
        self._held_out = parameters["validation_rows"]
        arrays = {key: covariances.read(key, parameters[key], folder) for key in READ}  # None of a word
        arrays = {key: array for key, array in arrays.items() if array is not None}
        self.dimension = _dimension(parameters, arrays)
        self._check_size()
        self._train = self._covariance("train", arrays)
        self._test = self._covariance("test", arrays)
        self._target, self._start = (arrays.get(key, np.zeros(self.dimension)) for key in ("target", "start"))
        self._target_given = "target" in arrays
        sizes = {"target": self._target, "start": self._start}
        for key, values in (sizes | {key: parameters[key] for key in ("target_norm", "label_noise")}).items():
            covariances.check_size(key, values)
        self._check_source()
        self._check_loss()
        files = dict.fromkeys(parameters[key] for key in READ if covariances.is_file(parameters[key]))
        self.identity = " ".join(formats.digest(Path(folder) / file) for file in files)

    def _check_size(self):
        """Refuse, before anything of that size is made, what cannot be held for one draw."""
        rows, d = max(self._rows, self._held_out, self._tested), self.dimension
        needed = 8 * (2 * rows * (d + 1) + MATRICES_OF_A_DRAW * d * d)
        if needed > LARGEST_BYTES:
            raise InputError(
                f"problem: {rows} rows of {d} axes take {needed:,} bytes a draw, over the limit of {LARGEST_BYTES:,}"
            )

    def _covariance(self, side, arrays):
        """Sigma_train or Sigma_test, (1, d) where diagonal, else (d, d)."""
        key = f"{side}_covariance"
        value, scale = self._parameters[key], self._parameters[f"{side}_scale"]
        if key in arrays:
            found = covariances.given(key, value, arrays[key])
        elif value == SAME:
            found = self._train
        else:
            found = covariances.shaped(side, value, self._parameters, self.dimension)
        return covariances.scaled(key, found, scale)

    def _check_source(self):
        """Refuse a source condition that the covariance does not allow, with eigenvalues that only this looks at."""
        source = self._parameters["target_source"]
        if not source:
            return
        setting, values = f"target_source = {source}", self._train[0]
        if len(self._train) > 1:
            values = np.linalg.eigvalsh(self._train)
            values = np.where(values > lapack.null_bound(values[-1], self.dimension, self.dimension), values, 0.0)
        largest = covariances.powers(setting, values, source / 2.0).max()
        if not covariances.LEAST <= largest <= covariances.MOST:
            raise InputError(f"problem.{setting}: the powers of the eigenvalues are out of range, up to {largest:.3g}")
        if self._parameters["target"] == ONES and len(self._train) > 1:
            turned = abs(self._train.sum(axis=0)).max()
            if turned <= lapack.null_bound(values[-1], self.dimension, self.dimension):
                raise InputError(f"problem.{setting}: the matrix of train_covariance takes the vector of ones to 0")

    def _check_loss(self):
        """Refuse what another loss than the plain squared one does not go with."""
        given = losses.DEFAULTS | self._parameters
        if given["loss"] == losses.SOFTMAX:
            raise InputError("problem.loss 'softmax': labels of Gaussian inputs have two classes; use 'logistic'")
        if self._is_plain:
            if given["held_out_rows"]:
                raise InputError("problem.held_out_rows: the plain squared loss is tested on the population itself")
            return
        if self._start.any():
            raise InputError(f"problem.start goes with the plain squared loss, not with loss = {given['loss']!r}")
        self.terms = losses.terms_of(self._parameters, self.dimension, 1, False)
        self.dimension = self.terms.start.size

    @property
    def samples(self) -> SamplesOf | None:
        """Train, validation and test rows; where the loss has classes, labels are the signs of noisy scores."""
        return self._samples

    def _samples(self, root, draws, workers):
        """The rows of the train sets `draws`, and fresh ones of the test distribution."""
        from ..kernels.jit import launch
        from ..kernels.problems import gaussian

        test = self._population._replace(root=self._test_root)
        steps = gaussian.TRAIN_ROWS, gaussian.VALIDATION_ROWS, gaussian.TEST_ROWS
        counts = self._rows, self._held_out, self._tested or HELD_OUT_ROWS
        is_class, found = self.terms.kind in losses.OF_CLASSES, []
        for population, step, count in zip((self._population, self._population, test), steps, counts, strict=True):
            x, y = np.empty((draws.size, count, self._target.size)), np.empty((draws.size, count))
            target, tasks = np.empty((draws.size, self._target.size)), np.zeros(2, np.int64)
            launch(gaussian.samples_sweep, population, root, draws, step, is_class, target, x, y, tasks, workers)
            found.append(Samples(x, y))
        sets = Sets(found[0], found[1] if self._held_out else None, found[2], target)
        return basis.turned(sets, self._parameters.get("basis", basis.FEATURES), root)

    @cached_property
    def _test_root(self):
        """Sigma_test^(1/2), as a covariance."""
        if len(self._test) == 1:
            return np.sqrt(self._test)
        from ..kernels.problems.gaussian import spectral_power

        return spectral_power(self._test.copy(), 0.5)

    @cached_property
    def _population(self):
        """What the kernels draw from."""
        from ..kernels.problems.gaussian import Population

        power = self._parameters["target_source"] / 2.0
        inputs = self._target.size
        prior = np.ones((1, inputs)) if not power else self._train_power(power)
        word, norm = self._parameters["target"], self._parameters["target_norm"]
        if self._target_given:
            vector, prior = self._target, np.empty((0, inputs))
        elif word == RANDOM:
            vector, prior = self._target, prior * (norm / _length(prior))
        else:
            vector = np.array([math.fsum(row) for row in prior]) if len(prior) == inputs else prior[0]
            vector, prior = vector * (norm / _length(vector)), np.empty((0, inputs))
        return Population(
            self._train_power(0.5), self._test, vector, prior, self._start, self._parameters["label_noise"]
        )

    def _train_power(self, power):
        """Sigma_train^power, as a covariance."""
        if len(self._train) == 1:
            return covariances.powers("train_covariance", self._train[0], power)[None, :]
        from ..kernels.problems.gaussian import spectral_power

        return spectral_power(self._train.copy(), power)

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The quadratics of the train sets `draws`."""
        from ..kernels.jit import launch
        from ..kernels.problems import gaussian

        losses.check_quadratic(self.terms)
        batch = empty_batch(draws.size, self.dimension)
        tasks = np.zeros(2, np.int64)
        launch(gaussian.draw_sweep, self._population, self._rows, root, draws, batch, tasks, workers)
        return batch

    def _fit(self, batch):
        """The `Fit` of a Batch that may have more axes than the source."""
        from ..kernels.problems.gaussian import Fit

        d = self.dimension
        parts = batch.target[:, :d], batch.curvature_axes[:, :d, :d], batch.train_minimiser[:, :d]
        return Fit(*map(np.ascontiguousarray, parts))

    @property
    def validation(self) -> ValidationOf | None:
        """The validation losses, where there is a validation set."""
        return self._validation_loss if self._held_out else None

    def _validation_loss(self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int) -> Quadratic:
        """The mean squared error on validation rows, drawn as the train rows are."""
        from ..kernels.jit import launch
        from ..kernels.problems import gaussian

        shape = draws.size, self.dimension
        quadratic = Quadratic(np.zeros((*shape, self.dimension)), np.zeros(shape), np.zeros(draws.size))
        drawn = self._population, self._held_out, root, draws, self._fit(batch)
        launch(gaussian.held_out_sweep, *drawn, quadratic, np.zeros(2, np.int64), workers)
        return quadratic

    def rows(
        self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The train rows of `draws`, drawn again."""
        from ..kernels.jit import launch
        from ..kernels.problems import gaussian

        z, rho = np.empty((draws.size, self._rows, self.dimension)), np.empty((draws.size, self._rows))
        drawn = self._population, root, draws, self._fit(batch)
        launch(gaussian.seen_rows_sweep, *drawn, z, rho, np.zeros(2, np.int64), workers)
        return z, rho


def _check_companions(parameters):
    """Refuse a parameter that would be of no effect: a slip, or an axis of equal problems."""
    defaults = {parameter.name: parameter.default for parameter in GAUSSIAN.parameters}
    for name, key, words in GOES_WITH:
        if parameters[name] != defaults[name] and parameters[key] not in words:
            only = " or ".join(map(repr, words))
            raise InputError(f"problem.{name} goes with {key} = {only} alone, got {show(parameters[key], 40)}")


def _dimension(parameters, arrays):
    """d: as it is given, and as long as every list and file is."""
    lengths = {"dimension": parameters["dimension"]} if parameters["dimension"] else {}
    for key, array in arrays.items():
        check = covariances.check_square if key.endswith("covariance") else covariances.check_vector
        check(key, parameters[key], array)
        lengths[key] = len(array)
    if not lengths:
        raise InputError("problem.dimension is missing: there is no list and no file that says how many axes there are")
    first = next(iter(lengths))
    for key, length in lengths.items():
        if length != lengths[first]:
            raise InputError(f"problem.{key} has {length} axes, problem.{first} {lengths[first]}")
    return lengths[first]


def _length(values):
    """Euclidean (Frobenius) norm, summed without rounding."""
    return math.sqrt(math.fsum(value * value for value in values.ravel().tolist()))


def _covariance_parameters(side, default, meaning):
    """The parameters of one of the two covariances."""
    words = (*((SAME,) if default == SAME else ()), *WORDS)
    rule = word_or_numbers(words, rules.not_negative, "eigenvalues")
    return (
        Parameter(f"{side}_covariance", rule, default, meaning),
        Parameter(f"{side}_scale", rules.positive, 1.0, "what it is multiplied by"),
        Parameter(f"{side}_exponent", rules.finite, 1.0, "a of power_law: eigenvalues i^-a, i = 1 .. d"),
        Parameter(f"{side}_spikes", rules.count, 1, "of spiked: how many axes stand out"),
        Parameter(f"{side}_spike", rules.not_negative, 10.0, "of spiked: eigenvalue 1 + spike there, 1 elsewhere"),
    )


GAUSSIAN = Problem(
    "gaussian",
    "linear regression on Gaussian inputs: every seed draws its own train rows; the test loss is the population's",
    (
        Parameter("dimension", rules.count_or_none, 0, "d; 0 = as long as a list or file is"),
        Parameter("train_rows", rules.count, REQUIRED, "n, below, at or above d"),
        *_covariance_parameters(
            "train", ISOTROPIC, "isotropic, power_law, spiked, a list of eigenvalues, or a file with those or a matrix"
        ),
        *_covariance_parameters("test", SAME, "train, or any of the same in the test distribution"),
        Parameter(
            "target",
            word_or_numbers((RANDOM, ONES), rules.finite, "numbers"),
            RANDOM,
            "theta_star: random for each seed, ones (the same for all), a list or a file",
        ),
        Parameter("target_norm", rules.not_negative, 1.0, "root mean square length of a random target, length of ones"),
        Parameter(
            "target_source", rules.finite, 0.0, "s: random is Sigma_train^(s/2) N(0, I), ones Sigma_train^(s/2) 1"
        ),
        Parameter(
            "label_noise", rules.not_negative, 0.0, "sigma of N(0, sigma^2) in every label, tested ones included"
        ),
        Parameter("start", word_or_numbers((ZERO,), rules.finite, "numbers"), ZERO, "zero, a list or a file"),
        Parameter(
            "validation_rows", rules.count_or_none, 0, "rows for stop.validation, drawn as train rows are; 0 = none"
        ),
        *losses.PARAMETERS,
        basis.PARAMETER,
        Parameter(
            "held_out_rows",
            rules.count_or_none,
            0,
            "rows of the test distribution, on which other losses than the plain squared one are tested; 0 = 1000",
        ),
    ),
    _Gaussian,
    losses.check,
)
