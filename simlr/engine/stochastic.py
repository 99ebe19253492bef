"""Steps with momentum, averages or noise: from methods and problems to what `kernels.stochastic` takes, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.optimizers import OPTAX, TORCH
from ..kernels import arrays, status
from ..kernels.convex import optimizers as by_rows
from ..kernels.residual_losses import residual_losses_sweep
from ..kernels.stochastic import averages, gradients, optimizers
from ..kernels.stochastic.steps import stochastic_sweep
from ..plan.plan import Plan
from ..plan.rate_tables import chunks_of
from ..schedules.plateau import VALIDATION_LOSS, Plateaus, look_of
from .block_inputs import BlockSeeds
from .deterministic import any_stepping

OPTIMIZER = {
    "gd": optimizers.GRADIENT_DESCENT,
    "sgd": optimizers.GRADIENT_DESCENT,
    "momentum": optimizers.MOMENTUM,
    "nesterov": optimizers.NESTEROV,
    "polyak_momentum": by_rows.POLYAK,
    "adam": by_rows.ADAM,
    "adamw": by_rows.ADAM,
    "nadam": by_rows.NADAM_TORCH,
    "rmsprop": by_rows.ROOT_MEAN_SQUARE,
    "adagrad": by_rows.ROOT_MEAN_SQUARE,
    "sign": by_rows.SIGN,
    "lion": by_rows.LION,
    "schedule_free_sgd": by_rows.FREE,
    "schedule_free_adamw": by_rows.FREE_ADAM,
}
# Their decay is no part of the gradient.
APART = ("adamw", "lion", "schedule_free_adamw")
# What torch adds to the norm that a gradient is clipped by.
TORCH_OFFSET = 1e-6
AVERAGE = {"none": averages.NO_AVERAGE, "tail": averages.TAIL, "exponential": averages.EXPONENTIAL}
NOISE = {
    ("none", None): gradients.NO_NOISE,
    ("gradient", "isotropic"): gradients.ISOTROPIC,
    ("gradient", "hessian"): gradients.HESSIAN,
    ("minibatch", "replacement"): gradients.WITH_REPLACEMENT,
    ("minibatch", "epochs"): gradients.SHUFFLED,
    ("labels", "replacement"): gradients.WITH_REPLACEMENT,
    ("labels", "epochs"): gradients.SHUFFLED,
}


def kind_of(optimizer: dict[str, Any], noise: dict[str, Any]) -> tuple[int, int, int, int, float]:
    """What schedules of one launch have in common.

    Parameters
    ----------
    optimizer, noise : dict
        A table of the grid's [[optimizer]], and one of its [[noise]], as of `Plan.methods`.

    Returns
    -------
    (optimiser, average, noise, batch size, sigma of the labels' noise), the first three as numbers of the kernels.
    """
    source, of_labels = NOISE[noise["kind"], noise.get("covariance", noise.get("sampling"))], noise["kind"] == "labels"
    if of_labels and not noise["batch_size"]:
        source = gradients.ALL_ROWS
    kind = OPTIMIZER[optimizer["kind"]]
    if "dampening" in optimizer:
        kind = by_rows.DAMPED
    elif kind == by_rows.NADAM_TORCH and optimizer["convention"] == OPTAX:
        kind = by_rows.NADAM_OPTAX
    average = AVERAGE[optimizer.get("average", "none")]
    return kind, average, source, noise.get("batch_size", 1), noise["sigma"] if of_labels else 0.0


def launched_as(plan: Plan, s: int) -> tuple:
    """What schedules of one launch have in common: `kind_of`, and where rates follow a loss which one, looked at when.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    s : int
        Which of its schedules.
    """
    return (*kind_of(*plan.methods[s]), *look_of(plan.schedules[s].plateau))


def numbers_of(optimizer: dict[str, Any]) -> list[float]:
    """The numbers of one schedule's optimiser, as `kernels.convex.optimizers` has them in a row.

    Parameters
    ----------
    optimizer : dict
        A table of the grid's [[optimizer]], as of `Plan.methods`.
    """
    given, kind = optimizer.get, optimizer["kind"]
    summed, convention = kind == "adagrad", given("convention", TORCH)
    inside = kind in ("rmsprop", "adagrad") and convention == OPTAX
    kept, decay, epsilon = 1.0 if summed else given("beta2", 0.0), given("weight_decay", 0.0), given("epsilon", 0.0)
    found = [0.0] * by_rows.NUMBERS
    found[by_rows.BETA1] = given("beta1", given("momentum", 0.0))
    found[by_rows.BETA2], found[by_rows.GAIN] = kept, 1.0 if summed else 1.0 - kept
    found[by_rows.INSIDE], found[by_rows.OUTSIDE] = (epsilon, 0.0) if inside else (0.0, epsilon)
    found[by_rows.COUPLED], found[by_rows.APART] = (0.0, decay) if kind in APART else (decay, 0.0)
    found[by_rows.CLIP_NORM], found[by_rows.CLIP_VALUE] = (given(key) or np.inf for key in ("clip_norm", "clip_value"))
    found[by_rows.CLIP_OFFSET] = TORCH_OFFSET if convention == TORCH else 0.0
    found[by_rows.DAMPENING], found[by_rows.PSI] = given("dampening", 0.0), given("momentum_decay", 0.0)
    return found


def carried(optimizers_of: list[dict[str, Any]], kind: int, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the optimisers of one kind carry before the first step, (S, rows): see `kernels.convex.optimizers`.

    Parameters
    ----------
    optimizers_of : list of S dict
        The optimiser of every schedule.
    kind : int
        The kernels' number of what they have in common.
    start : (p,) float64
        The problem's parameters at the start.
    """
    first, second, point, scalars = by_rows.room(kind, start.size)
    found = np.zeros((len(optimizers_of), first + second + point + scalars))
    initial = [optimizer.get("initial_accumulator", 0.0) for optimizer in optimizers_of]
    found[:, first : first + second] = np.array(initial)[:, None]
    if point:
        found[:, :first] = found[:, first + second : first + second + point] = start
    if scalars:
        found[:, [first + second + point + row for row in by_rows.ONES]] = 1.0
    return found


class Stochastic:
    """Schedules of one kind with the seeds of a block, step by step: `state` and `passages` of `arrays`.

    Parameters
    ----------
    plan : Plan
        The grid's plan.
    seeds : BlockSeeds
        The N seeds of the block.
    indices : (S,) int64
        Which of the plan's schedules; all of one kind, see `kind_of`.
    cells : arrays.Cells
        The levels, and which seeds have their moments recorded.
    points : int
        The largest number of moments that are recorded at a time.
    train_rows : callable
        `train_rows(seeds)` gives the train rows of mini-batches as `arrays.Rows`; not called where none are drawn.
    launch : callable
        Runs a sweep over all its tasks.
    """

    def __init__(
        self, plan: Plan, seeds: BlockSeeds, indices: NDArray[np.int64], cells: arrays.Cells, points: int,
        train_rows: Callable[[BlockSeeds], arrays.Rows], launch: Callable,
    ):  # fmt: skip
        self._plan, self._indices, self._cells, self._launch = plan, indices, cells, launch
        self.plateaus, self._seeds = Plateaus.of([plan.schedules[s] for s in indices], seeds.dimension.size), seeds
        methods = [plan.methods[s] for s in indices]
        optimizer, average, source, batch, _ = kind_of(*methods[0])
        self._method = arrays.Method(optimizer, average, *(column(methods, 0, key) for key in OF_METHOD))
        self._noise = arrays.Noise(
            source, plan.config.seeds["root"], batch, column(methods, 1, "sigma"), seeds.draws, seeds.dimension
        )
        if source >= gradients.WITH_REPLACEMENT:
            self._rows: Any = train_rows(seeds)
        else:
            count = np.zeros(seeds.dimension.size, np.int64)
            self._rows = arrays.Rows(np.zeros((1, 0, plan.dimension)), np.zeros((1, 0)), count)
        residual = np.broadcast_to(seeds.landscape.residual, (indices.size, *seeds.landscape.residual.shape)).copy()
        moving, averaging = optimizer != optimizers.GRADIENT_DESCENT, average != averages.NO_AVERAGE
        levels, recorded = cells.threshold.shape[1], int((cells.row >= 0).sum())
        self.state, self.passages = arrays.empty_passages(
            residual, levels, recorded, points, moving=moving, averaging=averaging, landing=plan.landing
        )

    @property
    def cells(self) -> arrays.Cells:
        """The levels, and which seeds have their moments recorded."""
        return self._cells

    def take(self, rates: arrays.Rates, first: int) -> None:
        """Take the steps of `rates`, of which `first` come before; where cells have their own rates, look at losses."""
        if self.plateaus is None:
            self._step(rates, first)
            return
        for begin, end in self.plateaus.windows(first, first + rates.eta.shape[1]):
            if not any_stepping(self._cells, self.passages, rates, begin):
                return
            # Neither is read.
            eta, time = (np.zeros((self._indices.size, end - begin + more)) for more in (0, 1))
            self._step(rates._replace(eta=eta, time=time, own=self.plateaus.rate), begin)
            if end % self.plateaus.every == 0:
                self.plateaus.look(end, self._monitored())

    def _monitored(self):
        """The losses (S, N) that rates depend on, of the last iterates."""
        looks_apart = self.plateaus.monitor == VALIDATION_LOSS
        landscape = self._seeds.held_out if looks_apart else self._seeds.landscape
        everyone = np.arange(self._seeds.dimension.size)
        return losses(landscape, everyone, self.state.r[:, :, None], self._launch)[int(looks_apart)][:, :, 0]

    def timed(self, stops: dict[str, NDArray]) -> dict[str, NDArray]:
        """Stops with the times of the rates that the cells had."""
        return stops if self.plateaus is None else stops | {"stop_time": self.plateaus.stop_times(stops)}

    def recorded_rates(self, recorded: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rates (S, R, K) at the recorded moments of some seeds, counted from the first."""
        if self.plateaus is None:
            return np.repeat(self._plan.recorded_rates(self._indices)[:, None], recorded.size, axis=1)
        steps = self._plan.record_step[self._indices]
        # At the end the rate is that of the last step.
        last = np.array([self._plan.schedules[s].length - 1 for s in self._indices])[:, None]
        cells = self._indices.size, self.plateaus.rate.shape[1], steps.shape[1]
        found = self.plateaus.rates_at(np.broadcast_to(np.minimum(steps, last)[:, None], cells))
        ended = np.isnan(self.passages.record_r).any(axis=3)
        return np.where(ended, np.nan, found[:, recorded])

    def _step(self, rates, first):
        """Take the steps of `rates`, as they are."""
        self._launch(
            stochastic_sweep,
            self._cells,
            rates,
            self._method,
            self._noise,
            self._rows,
            self.state,
            self.passages,
            first,
        )

    def run(self, rates: arrays.Rates) -> arrays.Passages:
        """Take all steps, and end: every level is decided."""
        tables, passages, state = self._plan.tables, self.passages, self.state
        for first, eta, time in tables.spans(self._indices, chunks_of(rates.length), ahead=True):
            self.take(rates._replace(eta=eta, time=time), first)
            if not any_stepping(self._cells, passages, rates, first + eta.shape[1]):
                break
        # Out of steps: the levels that are left get the end's state.
        levels, decided = np.arange(self._cells.threshold.shape[1]), passages.decided
        left = (levels >= decided[..., None]) & (decided != arrays.ENDED)[..., None]
        schedule, seed, _ = np.nonzero(left)
        elapsed = np.array([tables.elapsed(s) if left[i].any() else 0.0 for i, s in enumerate(self._indices)])
        passages.status[left] = status.OUT_OF_STEPS
        passages.stop_step[left] = rates.length[schedule]
        passages.stop_time[left] = elapsed[schedule]
        passages.stop_r[left] = state.r[schedule, seed]
        if state.average.shape[2]:
            passages.stop_average[left] = state.average[schedule, seed]
        return passages._replace(**self.timed(passages._asdict()))


OF_METHOD = {"momentum": np.float64, "average_start": np.int64, "average_decay": np.float64}


def column(methods: list[tuple[dict, dict]], which: int, key: str) -> NDArray:
    """One parameter of every schedule's method, of the optimiser (0) or the noise (1); 0 where it has none."""
    return np.array([method[which].get(key, 0) for method in methods], dtype=OF_METHOD.get(key, np.float64))


def losses(
    landscape: arrays.Landscape, seeds: NDArray[np.int64], residuals: NDArray[np.float64], launch: Callable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The losses at some residuals.

    Parameters
    ----------
    landscape : arrays.Landscape
        The losses of the block's N seeds.
    seeds : (R,) int64
        Whose residuals they are, of these seeds.
    residuals : (S, R, M, d) float64
        r at M moments of S schedules.
    launch : callable
        Runs a sweep over all its tasks.

    Returns
    -------
    train, test : (S, R, M) float64
    """
    train, test = np.empty(residuals.shape[:3]), np.empty(residuals.shape[:3])
    launch(residual_losses_sweep, landscape, seeds, residuals, train, test)
    return train, test
