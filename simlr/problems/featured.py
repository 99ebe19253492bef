"""Features of the rows of a user's table, or a kernel between them: the source of `dataset` with `features`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..errors import InputError
from . import features, lapack, losses
from .source import Batch, Samples, Sets, Sloped
from .table_rows import TableRows

# What is held at a time of d axes: of LAPACK's five squares, or of Q, M and what is made of them with a validation set.
SQUARES_AT_ONCE, TALL_AT_ONCE = 8, 3


class Featured(TableRows):
    """The same on features of the rows, by LAPACK: axes are many, and seeds few."""

    def __init__(self, parameters: dict[str, Any], folder: Path):
        super().__init__(parameters, folder)
        kind, count = parameters["features"], parameters["feature_count"]
        length_scale = parameters["length_scale"] or math.sqrt(self._columns.shape[0] - 1)
        if kind not in features.DRAWN:
            self._map: features.GaussianKernel | features.RandomFeatures
            self._map = features.GaussianKernel(self._train, length_scale)
        elif not count:
            raise InputError(f"problem.feature_count must be a whole number >= 1 for features = {kind!r}, got 0")
        else:
            self._map = features.RandomFeatures(kind, count, length_scale)
        self.dimension = self._map.dimension * self.terms.outputs
        if not self._is_plain:
            ridge = np.full(self.dimension, parameters.get("ridge", 0.0))
            self.terms = self.terms._replace(ridge=ridge)
        # Refuse what takes more than there is: at most so many matrices (d, d) and (rows, d) at a time.
        rows = self._train + self._validation + self._test
        needed = 8 * self.dimension * (SQUARES_AT_ONCE * self.dimension + TALL_AT_ONCE * rows)
        size = f"{self.dimension} features of {rows} rows" if kind in features.DRAWN else f"{self._train} train rows"
        resources.check_memory(needed, f"problem: {size} take, with features = {kind!r},")

    def _samples(self, root, draws, workers):
        """The rows' features along the axes of the train rows' spectrum: descent is the same along any axes."""
        columns = super()._samples(root, draws, workers)
        parts = [part for part in columns if part is not None]

        def one(n):
            tables = [np.column_stack([part.x[n], part.y[n]]) for part in parts]
            spectrum, train = self._map.spectrum(tables[0], root, draws[n]), tables[0]
            known = root, draws[n], spectrum.axes, spectrum.curvature
            along = [self._map.along(table, train, *known) for table in tables[1:]]
            return self._map.train_along(train, *known), *along

        found = [Samples(x, part.y) for x, part in zip(_each(one, range(draws.size), workers), parts, strict=True)]
        return Sets(found[0], found[1] if columns.validation is not None else None, found[-1])

    def _stretch(self, root, draw, first, count):
        """Rows (count, D + 1) from place `first` of a split on, standardised; the train rows with their label noise."""
        from ..kernels.problems.features import fill_stretch

        out = np.empty((count, self._columns.shape[0]))
        fill_stretch(self._split, root, draw, first, out)
        return out

    def draw(self, root: int, draws: NDArray[np.int64], workers: int) -> Batch:
        """The quadratics of splits `draws`, y measured from the start."""
        losses.check_quadratic(self.terms)
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

    def rows(self, root: int, draws: NDArray[np.int64], batch: Batch, workers: int) -> Sequence[NDArray[np.float64]]:
        """The train rows' features of splits `draws`."""

        def one(known):
            draw, train, axes, curvature, residual = known
            z = self._map.train_along(train, root, draw, axes, curvature)
            return z, train[:, -1] + z @ residual

        return _each(one, self._known(root, draws, batch), workers)


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
