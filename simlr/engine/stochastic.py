"""Steps with momentum, averages or noise: from methods and problems to what `kernels.stochastic` takes, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels import arrays, status
from ..kernels.residual_losses import residual_losses_sweep
from ..kernels.stochastic import averages, gradients, optimizers
from ..kernels.stochastic.steps import stochastic_sweep
from ..plan.plan import Plan
from ..plan.rate_tables import chunks_of
from .block_inputs import BlockSeeds
from .deterministic import any_stepping

OPTIMIZER = {
    "gd": optimizers.GRADIENT_DESCENT,
    "sgd": optimizers.GRADIENT_DESCENT,
    "momentum": optimizers.MOMENTUM,
    "nesterov": optimizers.NESTEROV,
}
AVERAGE = {"none": averages.NO_AVERAGE, "tail": averages.TAIL, "exponential": averages.EXPONENTIAL}
NOISE = {
    ("none", None): gradients.NO_NOISE,
    ("gradient", "isotropic"): gradients.ISOTROPIC,
    ("gradient", "hessian"): gradients.HESSIAN,
    ("minibatch", "replacement"): gradients.WITH_REPLACEMENT,
    ("minibatch", "epochs"): gradients.SHUFFLED,
}


def kind_of(optimizer: dict[str, Any], noise: dict[str, Any]) -> tuple[int, int, int, int]:
    """What schedules of one launch have in common: (optimiser, average, noise, batch size)."""
    source = NOISE[noise["kind"], noise.get("covariance", noise.get("sampling"))]
    return OPTIMIZER[optimizer["kind"]], AVERAGE[optimizer.get("average", "none")], source, noise.get("batch_size", 1)


class Stochastic:
    """Schedules of one kind with the seeds of a block, step by step: `state` and `passages` of `arrays`.

    cells have the levels, and the rows of those whose moments are recorded, at most `points` of them at a time;
    `rows_of(seeds)` gives the train rows as `arrays.Rows`; `launch` runs a sweep over all its tasks.
    """

    def __init__(
        self, plan: Plan, seeds: BlockSeeds, rows: NDArray[np.int64], cells: arrays.Cells, points: int,
        rows_of: Callable[[BlockSeeds], arrays.Rows], launch: Callable,
    ):  # fmt: skip
        self._plan, self._rows, self._cells, self._launch = plan, rows, cells, launch
        methods = [plan.methods[s] for s in rows]
        optimizer, average, source, batch = kind_of(*methods[0])
        self._method = arrays.Method(optimizer, average, *(_column(methods, 0, key) for key in _OF_METHOD))
        self._noise = arrays.Noise(
            source, plan.config.seeds["root"], batch, _column(methods, 1, "sigma"), seeds.draws, seeds.dimension
        )
        drawn = source >= gradients.WITH_REPLACEMENT
        self._table = rows_of(seeds) if drawn else _no_rows(seeds.dimension.size, plan.dimension)
        residual = np.broadcast_to(seeds.landscape.residual, (rows.size, *seeds.landscape.residual.shape)).copy()
        moving, averaging = optimizer != optimizers.GRADIENT_DESCENT, average != averages.NO_AVERAGE
        levels, recorded = cells.threshold.shape[1], int((cells.row >= 0).sum())
        self.state, self.passages = arrays.empty_passages(
            residual, levels, recorded, points, moving=moving, averaging=averaging
        )

    def take(self, rates: arrays.Rates, first: int) -> None:
        """Take the steps of `rates`, of which `first` come before."""
        self._launch(
            stochastic_sweep,
            self._cells,
            rates,
            self._method,
            self._noise,
            self._table,
            self.state,
            self.passages,
            first,
        )

    def run(self, rates: arrays.Rates) -> arrays.Passages:
        """Take all steps, and end: every level is decided."""
        tables = self._plan.tables
        for first, eta, time in tables.spans(self._rows, chunks_of(rates.length), ahead=True):
            self.take(rates._replace(eta=eta, time=time), first)
            if not any_stepping(self._cells, self.passages, rates, first + eta.shape[1]):
                break
        self._end(rates)
        return self.passages

    def _end(self, rates):
        """Out of steps: the levels that are left get the end's state."""
        passages, state, levels = self.passages, self.state, np.arange(self._cells.threshold.shape[1])
        decided = passages.decided
        left = (levels >= decided[..., None]) & (decided != arrays.ENDED)[..., None]
        schedule, seed, _ = np.nonzero(left)
        elapsed = np.array([self._plan.tables.elapsed(s) if left[i].any() else 0.0 for i, s in enumerate(self._rows)])
        passages.status[left] = status.OUT_OF_STEPS
        passages.stop_step[left] = rates.length[schedule]
        passages.stop_time[left] = elapsed[schedule]
        passages.stop_r[left] = state.r[schedule, seed]
        if state.average.shape[2]:
            passages.stop_average[left] = state.average[schedule, seed]


_OF_METHOD = {"momentum": np.float64, "average_start": np.int64, "average_decay": np.float64}


def _column(methods, which, key):
    """One parameter of every schedule's method; 0 where it has none."""
    return np.array([method[which].get(key, 0) for method in methods], dtype=_OF_METHOD.get(key, np.float64))


def _no_rows(seeds, dimension):
    """Rows where none are drawn."""
    return arrays.Rows(np.zeros((1, 0, dimension)), np.zeros((1, 0)), np.zeros(seeds, np.int64))


def losses(
    landscape: arrays.Landscape, seeds: NDArray[np.int64], residuals: NDArray[np.float64], launch: Callable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Train and test losses (S, R, M) of residuals (S, R, M, d) of some seeds."""
    train, test = np.empty(residuals.shape[:3]), np.empty(residuals.shape[:3])
    launch(residual_losses_sweep, landscape, seeds, residuals, train, test)
    return train, test
