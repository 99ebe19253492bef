"""The problem kind `population`: Gaussian inputs whose spectrum and target follow power laws, or the user's own.

y = <x, theta_star>, x ~ N(0, diag(lam_in)), lam_in_j = j^-capacity and lam_in_j theta_star_j^2 = j^-(1 + source
capacity), j = 1 .. v, from theta = 0. There are no train rows: train and test loss are both the population's,

    E (<theta, x> - y)^2 = floor + sum_j lam_in_j (theta_j - theta_star_j)^2,    curvature = 2 lam_in,

without a factor 1/2. Where others have R = 1/2 E(.)^2 with the Hessian diag(lam_in), our loss is 2 R and their rate
twice ours. Caponnetto and de Vito, Optimal Rates for the Regularized Least-Squares Algorithm, 2007,
doi:10.1007/s10208-006-0196-8, have the two exponents; capacity and source are Li et al.'s, arXiv:2602.06797.

With `random_features` = p, what is learnt is linear in z = W^T x, W (v, p) of entries N(0, 1/p), drawn for every seed:
power-law random features (Paquette, Paquette, Xiao, Pennington 2024, arXiv:2405.15074, whose exponents are
capacity = 2 alpha, source = (2 alpha + 2 beta - 1) / (2 alpha)). With K = W^T diag(lam_in) W = Q diag(s^2) Q^T,

    theta_hat = K^-1 W^T diag(lam_in) theta_star,    floor = E (y - <theta_hat, z>)^2,    curvature = 2 s^2.

What the features cannot tell of y is normal and has no part in z, so that it is to SGD as noise of the labels.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..errors import InputError, RunError
from ..inputs import formats, rules
from ..inputs.parameters import Parameter
from . import covariances, lapack
from .covariances import POWER_LAW, word_or_numbers
from .source import Batch, Problem, Source, empty_batch

READ = "eigenvalues", "target"  # parameters that may be lists or files


class _Population(Source):
    """Without random features all draws are the same problem; with them every draw has features of its own."""

    is_population = True

    def __init__(self, parameters: dict[str, Any], folder: Path):
        self._parameters, self._features = parameters, parameters["random_features"]
        given = {key: covariances.read(key, parameters[key], folder) for key in READ}
        self._given = {key: array for key, array in given.items() if array is not None}
        self._inputs = self._count_inputs()
        if self._features > self._inputs:
            raise InputError(
                f"problem.random_features must be at most the {self._inputs:,} inputs, got {self._features:,}"
            )
        self.dimension, self.is_same = self._features or self._inputs, not self._features
        if self._features:
            needed = 8 * (3 * self._inputs * self._features + 2 * self._features**2)
            resources.check_memory(needed, f"problem: {self._features:,} features of {self._inputs:,} inputs take")
        files = dict.fromkeys(parameters[key] for key in READ if covariances.is_file(parameters[key]))
        self.identity = " ".join(formats.digest(Path(folder) / file) for file in files)
        if "eigenvalues" in self._given:
            covariances.given("eigenvalues", parameters["eigenvalues"], self._given["eigenvalues"])
        for key, values in zip(READ, self._population, strict=True):
            covariances.check_size(key, values)

    def _count_inputs(self):
        """v: as it is given, and as long as every list and file is."""
        lengths = {"dimension": self._parameters["dimension"]} if self._parameters["dimension"] else {}
        for key, array in self._given.items():
            covariances.check_vector(key, self._parameters[key], array)
            lengths[key] = len(array)
        if not lengths:
            raise InputError("problem.dimension is missing: there is no list and no file that says how many there are")
        first = next(iter(lengths))
        for key, length in lengths.items():
            if length != lengths[first]:
                raise InputError(f"problem.{key} has {length} axes, problem.{first} {lengths[first]}")
        return lengths[first]

    @cached_property
    def _population(self):
        """lam_in and theta_star, (v,) each."""
        rank = np.arange(1, self._inputs + 1)
        capacity, source = self._parameters["capacity"], self._parameters["source"]
        exponent = 0.5 * (capacity - 1.0 - source * capacity)
        setting = f"source = {source}"
        eigenvalues, target = (self._given.get(key) for key in READ)
        if eigenvalues is None:
            eigenvalues = covariances.powers(f"capacity = {capacity}", rank, -capacity)
        return eigenvalues, covariances.powers(setting, rank, exponent) if target is None else target

    @property
    def modes(self) -> Callable[[int, NDArray[np.int64], int], Batch] | None:
        """The same problems without their axes: see `Source`."""
        return self._modes

    def _modes(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The problems of these draws in their own axes, which are not kept; test_matrix (N, d) is M's diagonal."""
        shape = draws.size, self.dimension
        floors = np.zeros(draws.size), np.zeros(draws.size)
        vectors = (np.zeros(shape) for _ in range(6))
        curvature, residual, minimiser, test, offset, target = vectors
        batch = Batch(curvature, np.zeros((draws.size, 0)), residual, minimiser, test, offset, *floors, target)
        for n, draw in enumerate(draws):
            lam, best, floor, _ = self._one(root, draw)
            batch.curvature[n], batch.initial_residual[n] = lam, -best
            batch.test_matrix[n], batch.train_floor[n], batch.test_floor[n] = 0.5 * lam, floor, floor
            # In coordinates that are the axes.
            batch.train_minimiser[n] = batch.target[n] = best
        return batch

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The problems of these draws."""
        needed = 8 * (4 * draws.size + 2) * self.dimension**2
        advice = "; with [expectation] and no flow none is made"
        resources.check_memory(needed, f"problem: matrices of {self.dimension:,} axes take", advice)
        batch = empty_batch(draws.size, self.dimension)
        diagonal = np.arange(self.dimension)
        for n, draw in enumerate(draws):
            curvature, minimiser, floor, axes = self._one(root, draw)
            batch.curvature[n], batch.initial_residual[n] = curvature, -minimiser
            batch.test_matrix[n, diagonal, diagonal] = 0.5 * curvature
            batch.train_floor[n] = batch.test_floor[n] = floor
            batch.curvature_axes[n] = np.eye(self.dimension) if axes is None else axes
            batch.train_minimiser[n] = batch.target[n] = minimiser if axes is None else axes @ minimiser
        return batch

    def _one(self, root, draw):
        """curvature (d,), the minimiser along its axes (d,), the floor and Q, None where it is I, of one draw."""
        eigenvalues, target = self._population
        if not self._features:
            return 2.0 * eigenvalues, target, 0.0, None
        from ..kernels.draws import FEATURES, fill_normal

        drawn = np.empty(self._features * self._inputs)
        fill_normal(drawn, root, draw, FEATURES, 0)
        scale = np.sqrt(eigenvalues / self._features)
        rows, label = drawn.reshape(self._features, self._inputs).T * scale[:, None], np.sqrt(eigenvalues) * target
        try:
            with lapack.one_thread():
                left, root_of, right = lapack.singular(rows)
                along = left.T @ label
                rest = label - left @ along
        except np.linalg.LinAlgError as error:
            raise RunError(f"problem: LAPACK gave up on the features of draw {draw}: {error}") from None
        squares = root_of**2
        known = squares > lapack.null_bound(squares[0], self._inputs, self._features)
        minimiser = np.where(known, along / np.where(known, root_of, 1.0), 0.0)
        floor = float(rest @ rest + (along[~known] ** 2).sum())
        return np.where(known, 2.0 * squares, 0.0), minimiser, floor, np.ascontiguousarray(right.T)


POPULATION = Problem(
    "population",
    "a population of Gaussian inputs, spectrum and target power laws or your own, and power-law random features of it: "
    "train and test loss are the population's",
    (
        Parameter("dimension", rules.count_or_none, 0, "inputs; 0 = as long as a list or file is"),
        Parameter("capacity", rules.not_negative, 2.0, "the inputs' variances are j^-capacity; half the curvature"),
        Parameter("source", rules.finite, 0.5, "s: variance times target^2 is j^-(1 + s capacity)"),
        Parameter(
            "eigenvalues",
            word_or_numbers((POWER_LAW,), rules.not_negative, "variances"),
            POWER_LAW,
            "the inputs' variances: power_law, a list or a file",
        ),
        Parameter(
            "target",
            word_or_numbers((POWER_LAW,), rules.finite, "numbers"),
            POWER_LAW,
            "theta_star: power_law, by capacity and source, a list or a file",
        ),
        Parameter(
            "random_features",
            rules.count_or_none,
            0,
            "p features <w, x>, w ~ N(0, I/p), drawn anew for every seed; 0 = x",
        ),
    ),
    _Population,
)
