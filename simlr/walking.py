"""Steps with momentum, averages or noise: from methods and problems to what `kernels.stochastic` takes, and back."""

import numpy as np

from .kernels import arrays, averages, gradients, optimizers
from .kernels.residual_losses import residual_losses_sweep
from .kernels.stochastic import walk_sweep
from .tables import CHUNK

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


def kind_of(optimizer, noise):
    """What schedules of one launch have in common: (optimiser, average, noise, batch size)."""
    source = NOISE[noise["kind"], noise.get("covariance", noise.get("sampling"))]
    return OPTIMIZER[optimizer["kind"]], AVERAGE[optimizer.get("average", "none")], source, noise.get("batch_size", 1)


def walk(plan, seeds, rows, rates, rows_of, launch):
    """Take all steps of the schedules `rows`, which are of one kind; return their State and Passages, all decided.

    `rows_of(seeds)` gives the train rows as `arrays.Rows`; `launch` runs a sweep over all its tasks.
    """
    methods = [plan.methods[s] for s in rows]
    optimizer, average, source, batch = kind_of(*methods[0])
    method = arrays.Method(optimizer, average, *(_column(methods, 0, key) for key in _OF_METHOD))
    noise = arrays.Noise(
        source, plan.config.seeds["root"], batch, _column(methods, 1, "sigma"), seeds.draws, seeds.axes
    )
    table = rows_of(seeds) if source >= gradients.WITH_REPLACEMENT else _no_rows(seeds.axes.size, plan.axes)
    residual = np.broadcast_to(seeds.landscape.residual, (rows.size, *seeds.landscape.residual.shape)).copy()
    moving, averaging = optimizer != optimizers.GRADIENT_DESCENT, average != averages.NO_AVERAGE
    state, passages = arrays.empty_walk(
        residual, plan.levels, seeds.recorded.size, plan.points, moving=moving, averaging=averaging
    )
    for chunk in range(max(1, -(-int(rates.length.max()) // CHUNK))):
        eta, time = plan.tables.chunk(rows, chunk)
        now = rates._replace(eta=eta, time=time)
        launch(walk_sweep, seeds.cells, now, method, noise, table, state, passages, chunk * CHUNK)
        if not seeds.any_stepping(passages, rates.length, rates.last_record, (chunk + 1) * CHUNK):
            break
    _end(plan, rows, rates, seeds.cells, state, passages)
    return passages


_OF_METHOD = {"momentum": np.float64, "average_start": np.int64, "average_decay": np.float64}


def _column(methods, which, key):
    """One parameter of every schedule's method; 0 where it has none."""
    return np.array([method[which].get(key, 0) for method in methods], dtype=_OF_METHOD.get(key, np.float64))


def _no_rows(seeds, axes):
    """Rows where none are drawn."""
    return arrays.Rows(np.zeros((1, 0, axes)), np.zeros((1, 0)), np.zeros(seeds, np.int64))


def _end(plan, rows, rates, cells, state, passages):
    """Out of steps: the levels that are left get the end's state."""
    decided, levels = passages.decided, np.arange(plan.levels)
    left = (levels >= decided[..., None]) & (decided != arrays.GONE)[..., None]
    schedule, seed, _ = np.nonzero(left)
    elapsed = np.array([plan.tables.elapsed(s) if left[i].any() else 0.0 for i, s in enumerate(rows)])
    passages.status[left] = arrays.OUT_OF_STEPS
    passages.stop_step[left] = rates.length[schedule]
    passages.stop_time[left] = elapsed[schedule]
    passages.stop_r[left] = state.r[schedule, seed]
    if state.average.shape[2]:
        passages.stop_average[left] = state.average[schedule, seed]
    passages.status[:, cells.threshold < 0.0] = arrays.AT_FLOOR


def losses(landscape, seeds, residuals, launch):
    """Train and test losses (S, R, M) of residuals (S, R, M, d) of some seeds."""
    train, test = np.empty(residuals.shape[:3]), np.empty(residuals.shape[:3])
    launch(residual_losses_sweep, landscape, seeds, residuals, train, test)
    return train, test
