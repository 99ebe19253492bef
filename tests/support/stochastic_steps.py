"""Stochastic steps for tests: arrays for the kernels from a few keywords, and one launch for every chunk of steps."""

import itertools
from typing import NamedTuple

import numpy as np

from simlr.kernels import arrays, jit
from simlr.kernels.stochastic import averages, gradients, optimizers
from simlr.kernels.stochastic.steps import stochastic_sweep

OPTIMIZERS = {"gd": optimizers.GRADIENT_DESCENT, "momentum": optimizers.MOMENTUM, "nesterov": optimizers.NESTEROV}
AVERAGES = {"none": averages.NO_AVERAGE, "tail": averages.TAIL, "exponential": averages.EXPONENTIAL}
NOISES = {
    "none": gradients.NO_NOISE,
    "isotropic": gradients.ISOTROPIC,
    "hessian": gradients.HESSIAN,
    "with_replacement": gradients.WITH_REPLACEMENT,
    "shuffled": gradients.SHUFFLED,
}


class Left(NamedTuple):
    """All that the steps leave: State and Passages."""

    r: np.ndarray
    velocity: np.ndarray
    average: np.ndarray
    decided: np.ndarray
    status: np.ndarray
    stop_step: np.ndarray
    stop_time: np.ndarray
    stop_r: np.ndarray
    stop_average: np.ndarray
    stop_fraction: np.ndarray
    record_r: np.ndarray
    record_average: np.ndarray


def spread(values, count, dtype=np.float64):
    """One value a schedule, from one for all or from as many."""
    return np.broadcast_to(np.asarray(values, dtype), (count,)).copy()


def cells_of(curvature, levels, recorded):
    seeds = len(curvature)
    sharpness = curvature.max(axis=1)
    unit = np.where(sharpness > 0.0, sharpness, 1.0)[:, None]
    threshold = np.broadcast_to(2.0 * np.array(sorted(levels, reverse=True), dtype=float), (seeds, len(levels)))
    row = np.where(np.arange(seeds) < recorded, np.arange(seeds), -1)
    return arrays.Cells(np.stack([curvature, curvature / unit]), threshold.copy(), row)


def rows_of(seeds, axes, z, rho, row_count):
    if z is None:
        return arrays.Rows(np.zeros((1, 0, axes)), np.zeros((1, 0)), np.zeros(seeds, np.int64))
    count = np.full(seeds, z.shape[1]) if row_count is None else np.asarray(row_count, np.int64)
    return arrays.Rows(np.ascontiguousarray(z), np.ascontiguousarray(rho), count)


def take_steps(
    curvature, residual, eta, *, optimizer="gd", beta=0.9, average="none", tail_start=0, decay=0.9, noise="none",
    sigma=0.1, batch=4, root=0, draw=None, dimension=None, z=None, rho=None, row_count=None, levels=(-1.0,),
    record=None, recorded=None, lengths=None, unit=0, cuts=(), threads=None, landing=False,
):  # fmt: skip
    """Take the steps of S schedules eta (S, T) on N seeds, curvature and residual (N, d), launched anew at each cut.

    The default level is out of reach, so that every step is taken.
    """
    curvature, residual, eta = (np.array(a, dtype=np.float64, ndmin=2, order="C") for a in (curvature, residual, eta))
    (seeds, size), (schedules, steps) = curvature.shape, eta.shape
    record = np.zeros((schedules, 0), np.int64) if record is None else np.array(record, np.int64, ndmin=2)
    recorded = (seeds if recorded is None else recorded) if record.size else 0
    cells = cells_of(curvature, levels, recorded)
    time = np.concatenate([np.zeros((schedules, 1)), np.cumsum(eta, axis=1)], axis=1)
    lengths = spread(steps if lengths is None else lengths, schedules, np.int64)
    plan = arrays.Rates(eta, time, spread(unit, schedules, np.int64), lengths, record, record.max(axis=1, initial=0))
    method = arrays.Method(
        OPTIMIZERS[optimizer], AVERAGES[average], spread(beta, schedules), spread(tail_start, schedules, np.int64),
        spread(decay, schedules),
    )  # fmt: skip
    draw = np.arange(seeds) if draw is None else np.asarray(draw, np.int64)
    dimension = spread(size if dimension is None else dimension, seeds, np.int64)
    source = arrays.Noise(NOISES[noise], root, batch, spread(sigma, schedules), draw, dimension)
    start = np.broadcast_to(residual, (schedules, seeds, size)).copy()
    state, passages = arrays.empty_passages(
        start, len(levels), recorded, record.shape[1], optimizer != "gd", average != "none", landing
    )
    rows = rows_of(seeds, size, z, rho, row_count)
    edges = [0, *cuts, steps]
    jit.set_threads(threads)
    try:
        for first, last in itertools.pairwise(edges):
            chunk = plan._replace(eta=eta[:, first:last].copy(), time=time[:, first : last + 1].copy())
            tasks = np.zeros(2, np.int64)
            jit.launch(
                stochastic_sweep, cells, chunk, method, source, rows, state, passages, first, tasks, jit.threads()
            )
    finally:
        jit.set_threads(None)
    return Left(*state, *passages)


def assert_equal(one, other, schedules=slice(None), seeds=slice(None)):
    """`one` has the bits of some schedules and seeds of `other`."""
    for name, values in one._asdict().items():
        np.testing.assert_array_equal(values, getattr(other, name)[schedules][:, seeds], err_msg=name)


class RowProblem(NamedTuple):
    """Least squares on rows, in theta and in the Hessian's axes."""

    x: np.ndarray
    y: np.ndarray
    minimiser: np.ndarray
    axes: np.ndarray
    curvature: np.ndarray
    z: np.ndarray
    rho: np.ndarray

    def residual(self, theta):
        return (theta - self.minimiser) @ self.axes


def draw_rows(rng, rows, axes):
    x, y = rng.normal(size=(rows, axes)), rng.normal(size=rows)
    minimiser = np.linalg.lstsq(x, y, rcond=None)[0]
    curvature, q = np.linalg.eigh(2 / rows * x.T @ x)
    curvature = np.where(curvature > 1e-12 * curvature.max(), curvature, 0.0)
    return RowProblem(x, y, minimiser, q, curvature, x @ q, y - x @ minimiser)
