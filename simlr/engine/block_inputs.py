"""The problems of a block as arrays: those of different sizes padded, end to end."""

import numpy as np

from ..kernels import arrays
from ..store import file_format
from .thresholds import initial_train_loss, thresholds


def _pad(batch, lacking):
    """A named tuple of arrays along seeds and axes with the axes that it lacks: zeros."""
    if not lacking:
        return batch
    widths = {1: [(0, 0)], 2: [(0, 0), (0, lacking)], 3: [(0, 0), (0, lacking), (0, lacking)]}
    return batch._make(np.pad(values, widths[values.ndim]) for values in batch)


def _end_to_end(parts):
    """Named tuples of arrays along seeds, as one."""
    if len(parts) == 1:  # which may be large
        return parts[0]._make(map(np.ascontiguousarray, parts[0]))
    return parts[0]._make(np.ascontiguousarray(np.concatenate(columns)) for columns in zip(*parts, strict=True))


class _Seeds:
    """The seeds of one block, as the kernels want them."""

    def __init__(self, plan, batch, validation, first, last, buffers):
        self._plan, self._batch, self._buffers = plan, batch, buffers
        self.validation = validation  # Sloped, or None
        self.first, self.last = first, last
        pieces = plan.pieces(first, last)
        self.draws = np.concatenate([np.arange(a, b, dtype=np.int64) for _, _, a, b in pieces])
        self.axes = np.concatenate([np.full(b - a, plan.sizes[i][0], np.int64) for i, _, a, b in pieces])
        count, most = batch.curvature.shape
        self._absent = np.arange(most) >= self.axes[:, None]  # the axes that each seed lacks, (N, d)
        self.sharpness = batch.curvature.max(axis=1)
        self.unit = np.where(self.sharpness > 0.0, self.sharpness, 1.0)[:, None]
        self.order, threshold = thresholds(plan.config, batch.train_floor, initial_train_loss(batch))
        _, recorded = plan.recorded_rows(first, last)
        self.recorded = recorded - first
        row = np.full(count, -1, np.int64)
        row[self.recorded] = np.arange(self.recorded.size)
        self.cells = arrays.Cells(np.stack([batch.curvature, batch.curvature / self.unit]), threshold, row)
        self.landscape = arrays.Landscape(
            *(batch.curvature, batch.initial_residual, batch.offset, batch.test_matrix),
            *(batch.train_floor, batch.test_floor, batch.test_slope),
        )

    def start(self, schedules):
        """The course of every cell before its first step."""
        x = self.start_x(schedules)
        course = arrays.empty_course(x, self.cells.threshold.shape[1], 0, 0)
        shape = (schedules, self.recorded.size, self._plan.points, x.shape[2])
        return course._replace(record_x=self._buffers.moments(shape))

    def start_x(self, schedules):
        """x = sqrt(lam) r of every cell before its first step, (S, N, d)."""
        x = np.sqrt(self._batch.curvature) * self._batch.initial_residual
        return np.broadcast_to(x, (schedules, *x.shape)).copy()

    def problems(self, seeds):
        """The problems of some of these seeds."""
        return self._batch._make(values[seeds] for values in self._batch)

    def absolute_time(self, rows, time):
        """Times (S, N, E) of some schedules in absolute learning rates."""
        in_sharpness = np.array([self._plan.schedules[s].unit == "sharpness" for s in rows])[:, None, None]
        return np.where(in_sharpness & (time > 0.0), time / self.unit, time) if in_sharpness.any() else time

    def recorded_frame(self):
        """Q (R, d, d) and theta_hat (R, d) of the seeds that are recorded."""
        return self._batch.curvature_axes[self.recorded], self._batch.train_minimiser[self.recorded]

    def all_arrays(self, results):
        """The results beside the problem's own datasets; axes that a seed lacks are NaN."""
        problem = {"sharpness": self.sharpness, **self._batch._asdict(), **self._of_test_minimiser()}
        names = [field.name for field in file_format.block_fields(self._plan) if field.name not in results]
        return {name: self._mark_absent(problem[name]) for name in names} | results

    def _of_test_minimiser(self):
        """The smallest test loss and where it is, as far as it is known: NaN where the test loss has a slope."""
        known = ~self._batch.test_slope.any(axis=1)
        floor, offset = self._batch.test_floor, self._batch.offset
        return {"test_floor": np.where(known, floor, np.nan), "offset": np.where(known[:, None], offset, np.nan)}

    def mark_absent_axes(self, residuals):
        """NaN, in place, beyond each seed's own number of axes; residuals (S, N, E, d)."""
        seeds, axes = np.nonzero(self._absent)
        residuals[:, seeds, :, axes] = np.nan

    def _mark_absent(self, values):
        """NaN beyond each seed's own number of axes."""
        values = np.array(values)
        if values.ndim > 1:
            values[self._absent] = np.nan
        if values.ndim > 2:
            np.swapaxes(values, 1, 2)[self._absent] = np.nan
        return values
