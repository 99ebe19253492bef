"""The exact means over the noise of a block of seeds: from a grid's methods to what `kernels.stochastic` takes."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..kernels import arrays
from ..kernels.descent.ending import mark_out_of_reach
from ..kernels.stochastic import expectation, mean_curves
from ..plan.engines import MOST_PAIRED_AXES
from ..plan.plan import Plan
from ..plan.rate_tables import chunks_of
from ..schedules import batch_sizes
from . import bins
from .block_inputs import BlockSeeds
from .deterministic import any_stepping
from .expectation import coefficients
from .stochastic import AVERAGE

NOISE = {
    ("none", None): expectation.NO_NOISE,
    ("gradient", "isotropic"): expectation.ISOTROPIC,
    ("gradient", "hessian"): expectation.HESSIAN,
    ("fresh", None): expectation.FRESH,
    ("minibatch", "replacement"): expectation.ROWS,
}
# Of the means and covariances of the cells that are under way at a time.
BYTES_AT_ONCE = 128 << 20
MOST_SCHEDULES = 256
# The run file's names of what the kernels keep, in their order.
STOPS = "train_loss", "test_loss", "train_loss_variance", "average_train_loss", "average_test_loss"


class ExactMeans:
    """Mean losses of a plan's schedules.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    launch : callable
        Runs a sweep over all its tasks.
    workers : int
        The number of threads that it runs on.
    train_rows : callable
        `train_rows(seeds)` gives the train rows of mini-batches as `arrays.Rows`; not called where none are drawn.
    """

    def __init__(
        self, plan: Plan, launch: Callable, workers: int, train_rows: Callable[[BlockSeeds], arrays.Rows]
    ):  # fmt: skip
        self._plan, self._launch, self._workers, self._train_rows = plan, launch, workers, train_rows
        self._budgets = np.sort(np.array(plan.config.stop.get("steps", []), np.int64))

    def of(
        self, seeds: BlockSeeds, indices: NDArray[np.int64], rates: arrays.Rates
    ) -> tuple[mean_curves.Found, tuple[NDArray, NDArray] | None]:
        """The mean losses of some schedules at their levels and recorded moments.

        Parameters
        ----------
        seeds : BlockSeeds
            The N seeds of a block.
        indices : (S,) int64
            Which of the plan's schedules; all with mini-batches of the train rows, or none.
        rates : arrays.Rates
            As of `ExactDescent.rates`.

        Returns
        -------
        Found
            Every level decided, in the order of `BlockSeeds`.
        (bins, change) or None
            Where axes are grouped, (S, N) each: how many bins, and by what share a loss moved as they were halved last.
        """
        cells, landscape = seeds.cells, seeds.landscape
        if self._budgets.size:
            cells = cells._replace(threshold=np.full((cells.row.size, self._budgets.size), -1.0))
        methods = self._methods(indices, int(rates.length.max(initial=0)))
        work = _Work(seeds, indices, cells, rates, methods, self._rows(seeds, methods))
        found = self._nothing_found(work)
        if self._plan.bin_error:
            sizes = self._refine(work, found)
        else:
            self._follow(work, bins.every_axis(landscape, seeds.dimension), found)
            sizes = None
        if not self._budgets.size:
            mark_out_of_reach(cells, found)
        return found, sizes

    def _refine(self, work, found):
        """Halve the bins of axes until the losses of every cell stay where they are; (bins, change) of each, (S, N)."""
        seeds, bound, halvings = work.seeds, self._plan.bin_error, 0
        landscape = _with_diagonal(seeds.landscape)
        change, count = np.full(found.decided.shape, np.inf), np.zeros(found.decided.shape, np.int64)
        while (change > bound).any():
            axes = bins.every_axis(landscape, seeds.dimension)
            if halvings < bins.MOST_HALVINGS:
                axes = bins.grouped(landscape, seeds.dimension, bins.FIRST_BINS << halvings)
            open_cells, newer = change > bound, self._nothing_found(work)
            bins.skip(newer, ~open_cells)
            self._follow(work, axes, newer)
            moved = bins.change(found, newer, seeds.recorded) if halvings else np.full(change.shape, np.inf)
            change[open_cells] = np.where(axes.exact, 0.0, moved)[open_cells]
            count[open_cells] = np.broadcast_to(axes.dimension, count.shape)[open_cells]
            bins.take_over(found, newer, open_cells, seeds.recorded)
            halvings += 1
        return count, change

    def _follow(self, work, axes, found):
        """Take all steps of all cells, and note what is found."""
        for pairs, chosen in self._seeds_by_work(work, axes.landscape.test_matrix):
            # Seeds, as many at a time as memory holds the moments of; at least one.
            seed_bytes = work.indices.size * _cell_bytes(axes.landscape.curvature.shape[1], pairs)
            most = max(1, BYTES_AT_ONCE // seed_bytes)
            for first in range(0, chosen.size, most):
                part = chosen[first : first + most]
                self._take(self._start(work, axes, found, part, pairs), work.indices, pairs)

    def batches(self, indices: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Schedules in batches for `of`: with mini-batches or without, as many as memory holds the moments of."""
        drawn = np.array([self._plan.methods[s][1]["kind"] == "minibatch" for s in indices], bool)
        # Whether a seed needs all pairs of axes is not known before it is drawn.
        pairs = self._plan.dimension <= MOST_PAIRED_AXES
        most = max(self._workers, min(MOST_SCHEDULES, BYTES_AT_ONCE // _cell_bytes(self._plan.dimension, pairs)))
        for chosen in (indices[~drawn], indices[drawn]):
            for first in range(0, chosen.size, most):
                yield chosen[first : first + most]

    def _methods(self, indices, steps):
        """The `Methods` of some schedules, of which none has more steps."""
        chosen = [self._plan.methods[s] for s in indices]
        kinds = [NOISE[noise["kind"], noise.get("covariance", noise.get("sampling"))] for _, noise in chosen]
        b, c1, c2 = (np.array(column) for column in zip(*(coefficients(one) for one, _ in chosen), strict=True))
        return mean_curves.Methods(
            np.array(kinds, np.int64),
            np.array([noise.get("sigma", 0.0) for _, noise in chosen]),
            *_batches([batch_sizes.pieces(noise, steps) for _, noise in chosen]),
            *(b, c1, c2),
            np.array([AVERAGE[one.get("average", "none")] for one, _ in chosen], np.int64),
            np.array([one.get("average_start", 0) for one, _ in chosen], np.int64),
            np.array([one.get("average_decay", 0.0) for one, _ in chosen], np.float64),
        )

    def _nothing_found(self, work):
        """Levels and moments before the first step."""
        (count, levels), losses, schedules = work.cells.threshold.shape, mean_curves.LOSSES, work.indices.size
        shape = schedules, count, levels
        return mean_curves.Found(
            np.zeros((schedules, count), np.int64),
            np.zeros(shape, np.uint8),
            np.zeros(shape, np.int64),
            np.zeros(shape),
            np.full((*shape, losses), np.nan),
            np.full((schedules, work.seeds.recorded.size, self._plan.points, losses), np.nan),
        )

    def _rows(self, seeds, methods):
        """The train rows, none where no mini-batch is drawn."""
        if (methods.kind == expectation.ROWS).any():
            return self._train_rows(seeds)
        count = np.zeros(seeds.dimension.size, np.int64)
        return arrays.Rows(np.zeros((1, 0, self._plan.dimension)), np.zeros((1, 0)), count)

    def _seeds_by_work(self, work, matrix):
        """(whether all pairs of axes are needed, which seeds): a matter of each seed and method, not of the block."""
        everyone = np.arange(work.seeds.dimension.size)
        if (work.methods.kind == expectation.ROWS).any():
            return [(True, everyone)]
        if matrix.ndim == 2:
            return [(False, everyone)]
        diagonal = np.array([not (one - np.diag(np.diag(one))).any() for one in matrix])
        diagonal = np.broadcast_to(diagonal, everyone.shape)
        if not diagonal.all() and self._plan.dimension > MOST_PAIRED_AXES:
            raise RunError(
                f"[expectation]: a test loss that is no sum over the {self._plan.dimension:,} axes needs all their "
                f"pairs, and memory holds those of up to {MOST_PAIRED_AXES:,} axes"
            )
        parts = (False, everyone[diagonal]), (True, everyone[~diagonal])
        return [(pairs, chosen) for pairs, chosen in parts if chosen.size]

    def _start(self, work, axes, found, part, pairs):
        """The `Launch` of some seeds, whose moments are those of the start."""
        landscape = axes.landscape if pairs else _with_diagonal(axes.landscape)
        d, shape = landscape.curvature.shape[1], (work.indices.size, part.size)
        covariance = np.zeros((*shape, mean_curves.COVARIANCES, d, *((d,) if pairs else ())))
        mean = np.zeros((*shape, mean_curves.MEANS, d))
        mean[:, :, expectation.X_MEAN] = mean[:, :, expectation.A_MEAN] = landscape.residual[part]
        moments = mean_curves.Moments(part, covariance, mean)
        unit = np.ascontiguousarray(work.seeds.unit[:, 0])
        setting = mean_curves.Setting(self._budgets, axes.dimension, axes.weight, unit)
        return mean_curves.Launch(work.cells, work.rates, landscape, setting, work.methods, work.rows, moments, found)

    def _take(self, launch, indices, pairs):
        """Take all steps of some seeds."""
        sweep = mean_curves.mean_pairs_sweep if pairs else mean_curves.mean_modes_sweep
        for first, eta, time in self._plan.tables.spans(indices, chunks_of(launch.rates.length), ahead=True):
            self._launch(sweep, *launch._replace(rates=launch.rates._replace(eta=eta, time=time)), first)
            part = launch.moments.seed
            of_part = launch.cells._replace(threshold=launch.cells.threshold[part], row=launch.cells.row[part])
            decided = launch.found._replace(decided=launch.found.decided[:, part])
            if not any_stepping(of_part, decided, launch.rates, first + eta.shape[1]):
                break


class _Work(NamedTuple):
    """The cells of some schedules with the seeds of a block."""

    seeds: BlockSeeds
    indices: NDArray[np.int64]
    cells: arrays.Cells
    rates: arrays.Rates
    methods: mean_curves.Methods
    rows: arrays.Rows


def _batches(pieces):
    """(S, K) batch sizes and where each ends, of schedules with fewer sizes the last one again."""
    count = max(sizes.size for sizes, _ in pieces)
    sizes = [np.pad(sizes, (0, count - sizes.size), mode="edge") for sizes, _ in pieces]
    return np.array(sizes), np.array([np.pad(until, (0, count - until.size), mode="edge") for _, until in pieces])


def _cell_bytes(dimension, pairs):
    """Of the means and covariances of one cell."""
    covariances = dimension * dimension if pairs else dimension
    return 8 * (mean_curves.COVARIANCES * covariances + mean_curves.MEANS * dimension)


def _with_diagonal(landscape):
    """A Landscape whose test_matrix (N, d) is the diagonal of M."""
    if landscape.test_matrix.ndim == 2:
        return landscape
    diagonal = np.ascontiguousarray(np.diagonal(landscape.test_matrix, axis1=1, axis2=2))
    return landscape._replace(test_matrix=diagonal)
