"""The problems of a block as arrays: those of different sizes padded, end to end."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import arrays
from ..plan.plan import Plan
from ..problems.source import Batch, Sloped
from ..store import file_format
from .buffers import Buffers
from .thresholds import initial_train_loss, thresholds


def pad(batch: Any, lacking: int) -> Any:
    """Give the problems of a batch more axes, along which everything is 0.

    Parameters
    ----------
    batch : NamedTuple of (N,), (N, d) and (N, d, d)
        Such as a `Batch` or a `Sloped`.
    lacking : int
        How many axes more.

    Returns
    -------
    The same NamedTuple of (N,), (N, d + lacking) and (N, d + lacking, d + lacking).
    """
    if not lacking:
        return batch
    widths = {1: [(0, 0)], 2: [(0, 0), (0, lacking)], 3: [(0, 0), (0, lacking), (0, lacking)]}
    return batch._make(np.pad(values, widths[values.ndim]) for values in batch)


def end_to_end(parts: list[Any]) -> Any:
    """Named tuples of arrays along seeds, as one."""
    if len(parts) == 1:  # which may be large
        return parts[0]._make(map(np.ascontiguousarray, parts[0]))
    return parts[0]._make(np.ascontiguousarray(np.concatenate(columns)) for columns in zip(*parts, strict=True))


class BlockSeeds:
    """The seeds of one block, as the kernels want them.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    batch : Batch
        The problems of the N seeds, d axes each.
    validation : Sloped or None
        Their validation losses, where they are looked at.
    first, last : int
        The seeds are first..last - 1.
    buffers : Buffers
        Memory for the recorded moments.

    Attributes
    ----------
    draws, dimension : (N,) int64
        The draw and the number of axes of each seed.
    sharpness : (N,) float64
        The largest curvature.
    unit : (N, 1) float64
        1 / unit is what rates in units of 1/sharpness are multiplied by.
    order : (E,) int64
        The order in which the kernels have the levels.
    recorded : (R,) int64
        Which seeds' trajectories are kept, counted from `first`.
    cells : arrays.Cells
    landscape : arrays.Landscape
    """

    def __init__(self, plan: Plan, batch: Batch, validation: Sloped | None, first: int, last: int, buffers: Buffers):
        self._plan, self._batch, self._buffers = plan, batch, buffers
        self.validation = validation
        self.first, self.last = first, last
        pieces = plan.pieces(first, last)
        self.draws = np.concatenate([np.arange(a, b, dtype=np.int64) for _, _, a, b in pieces])
        self.dimension = np.concatenate([np.full(b - a, plan.sizes[i][0], np.int64) for i, _, a, b in pieces])
        count, most = batch.curvature.shape
        self._absent = np.arange(most) >= self.dimension[:, None]  # the axes that each seed lacks, (N, d)
        self.sharpness = batch.curvature.max(axis=1)
        self.unit = np.where(self.sharpness > 0.0, self.sharpness, 1.0)[:, None]
        fractions = plan.config.level_kind == "train_loss_fraction"  # all else does not ask where runs start
        initial = initial_train_loss(batch) if fractions else batch.train_floor
        self.order, threshold = thresholds(plan.config, batch.train_floor, initial)
        _, recorded = plan.recorded_rows(first, last)
        self.recorded = recorded - first
        row = np.full(count, -1, np.int64)
        row[self.recorded] = np.arange(self.recorded.size)
        self.cells = arrays.Cells(np.stack([batch.curvature, batch.curvature / self.unit]), threshold, row)
        self.landscape = arrays.Landscape(
            *(batch.curvature, batch.initial_residual, batch.offset, batch.test_matrix),
            *(batch.train_floor, batch.test_floor, batch.test_slope),
        )

    @property
    def held_out(self) -> arrays.Landscape:
        """The landscape with the validation loss in the place of the test loss."""
        assert self.validation is not None
        held_out = self.validation
        return self.landscape._replace(
            offset=held_out.offset, test_matrix=held_out.matrix, test_floor=held_out.floor, test_slope=held_out.slope
        )

    def start(self, schedules: int) -> arrays.Course:
        """The course of every cell of so many schedules before its first step."""
        x = self.start_x(schedules)
        course = arrays.empty_course(x, self.cells.threshold.shape[1], 0, 0, landing=self._plan.landing)
        shape = (schedules, self.recorded.size, self._plan.points, x.shape[2])
        return course._replace(record_x=self._buffers.moments(shape))

    def start_x(self, schedules: int) -> NDArray[np.float64]:
        """x = sqrt(lam) r of every cell before its first step, (S, N, d)."""
        x = np.sqrt(self._batch.curvature) * self._batch.initial_residual
        return np.broadcast_to(x, (schedules, *x.shape)).copy()

    def problems(self, seeds: slice) -> Batch:
        """The problems of some of these seeds."""
        return Batch._make(None if values is None else values[seeds] for values in self._batch)

    def absolute_time(self, indices: NDArray[np.int64], time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times in absolute learning rates.

        Parameters
        ----------
        indices : (S,) int64
            Which of the plan's schedules they are of.
        time : (S, N, E) float64
            In the units of these.
        """
        in_sharpness = np.array([self._plan.schedules[s].unit == "sharpness" for s in indices])[:, None, None]
        return np.where(in_sharpness & (time > 0.0), time / self.unit, time) if in_sharpness.any() else time

    @property
    def has_levels_in_order(self) -> bool:
        """Whether the grid has the levels in the order in which the kernels have them."""
        return bool((self.order == np.arange(self.order.size)).all())

    def as_given(self, values: NDArray) -> NDArray:
        """Values (S, N, E) or (S, N, E, d) with the levels in the grid's order."""
        return values if self.has_levels_in_order else values[:, :, np.argsort(self.order)]

    def recorded_frame(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Q (R, d, d) and theta_hat (R, d) of the seeds that are recorded."""
        return self._batch.curvature_axes[self.recorded], self._batch.train_minimiser[self.recorded]

    def all_arrays(self, results: dict[str, NDArray]) -> dict[str, NDArray]:
        """The results beside the problem's own datasets; axes that a seed lacks are NaN."""
        problem: dict[str, Any] = {"sharpness": self.sharpness, **self._batch._asdict()}
        # The smallest test loss and where it is are not known where the test loss has a slope.
        known = ~problem["test_slope"].any(axis=1)
        problem["test_floor"] = np.where(known, problem["test_floor"], np.nan)
        problem["offset"] = np.where(known[:, None], problem["offset"], np.nan)
        datasets = {}
        for name in (field.name for field in file_format.block_fields(self._plan) if field.name not in results):
            datasets[name] = values = np.array(problem[name])
            if values.ndim > 1:
                values[self._absent] = np.nan
            if values.ndim > 2:
                np.swapaxes(values, 1, 2)[self._absent] = np.nan
        return datasets | results

    def mark_absent_axes(self, residuals: NDArray[np.float64]) -> None:
        """NaN, in place, beyond each seed's own number of axes; residuals (S, N, E, d)."""
        seeds, axes = np.nonzero(self._absent)
        residuals[:, seeds, :, axes] = np.nan
