"""Noisy steps as they would be written with JAX today, and the same work for our own kernels.

JAX draws the additive noise as it goes, anew for every schedule, and is given the rows of its mini-batches beforehand;
ours draws both, once for all schedules.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

SIGMA = 0.1
BATCH = 8
ROWS = 442


class Case(NamedTuple):
    """One piece of work: a function that does it, and one that makes JAX's function."""

    ours: Callable[[], Any]
    jax: Callable[[], Callable[[], Any]]


def _rates(schedules, steps):
    """Cosines of different height, (S, T)."""
    shape = 0.014 * (1.0 + np.cos(np.pi * np.arange(steps) / steps))
    return shape * (np.arange(1, schedules + 1) / schedules)[:, None]


def _our_steps(curvature, residual, rates, kind, batch, rows):
    """A function that takes all steps of plain gradient descent with noise; it has one level, never reached."""
    from ..engine.sweeps import run_sweep
    from ..kernels import arrays
    from ..kernels.stochastic import averages, optimizers
    from ..kernels.stochastic.steps import stochastic_sweep

    (seeds, axes), (schedules, steps) = curvature.shape, rates.shape
    none, zeros = np.zeros(schedules, np.int64), np.zeros(schedules)
    spectra, threshold = np.stack([curvature, curvature]), np.full((seeds, 1), 1e-300)
    cells = arrays.Cells(spectra, threshold, np.full(seeds, -1, np.int64))
    no_times, no_record = np.zeros((schedules, steps + 1)), np.zeros((schedules, 0), np.int64)
    all_rates = arrays.Rates(rates, no_times, none, none + steps, no_record, none)
    method = arrays.Method(optimizers.GRADIENT_DESCENT, averages.NO_AVERAGE, zeros, none, zeros)
    sigma, dimension = np.full(schedules, SIGMA), np.full(seeds, axes, np.int64)
    noise = arrays.Noise(kind, 0, batch, sigma, np.arange(seeds), dimension)

    def take_steps():
        start = np.broadcast_to(residual, (schedules, *residual.shape)).copy()
        state, passages = arrays.empty_passages(start, 1, 0, 0, moving=False, averaging=False)
        run_sweep(stochastic_sweep, cells, all_rates, method, noise, arrays.Rows(*rows), state, passages, 0)
        return state.r

    return take_steps


def noise_case(axes: int, seeds: int, schedules: int, steps: int) -> Case:
    """N(0, sigma^2 I) added to every gradient."""
    from ..kernels.stochastic import gradients

    generator = np.random.default_rng(0)
    curvature, residual = generator.uniform(0.2, 1.4, (seeds, axes)), generator.normal(size=(seeds, axes))
    rates = _rates(schedules, steps)
    rows = np.zeros((1, 0, axes)), np.zeros((1, 0)), np.zeros(seeds, np.int64)
    ours = _our_steps(curvature, residual, rates, gradients.ISOTROPIC, 1, rows)
    return Case(ours, partial(_jax_noise, curvature, residual, rates))


def sgd_case(seeds: int, schedules: int, steps: int) -> Case:
    """Mini-batches with replacement from rows that are common to all seeds; the labels are the seed's own."""
    from ..kernels.stochastic import gradients

    generator = np.random.default_rng(0)
    rows, targets = generator.normal(size=(ROWS, 10)), generator.normal(size=(seeds, ROWS))
    curvature, axes = np.linalg.eigh(2.0 / ROWS * rows.T @ rows)
    minimiser = np.linalg.lstsq(rows, targets.T, rcond=None)[0].T
    left = targets - minimiser @ rows.T
    table = (rows @ axes)[None], np.ascontiguousarray(left), np.full(seeds, ROWS, np.int64)
    table = np.broadcast_to(table[0], (seeds, ROWS, 10)).copy(), *table[1:]
    rates = _rates(schedules, steps)
    spectra = np.broadcast_to(curvature, (seeds, 10)).copy()
    ours = _our_steps(spectra, -minimiser @ axes, rates, gradients.WITH_REPLACEMENT, BATCH, table)
    index = generator.integers(0, ROWS, (steps, seeds, BATCH))
    return Case(ours, partial(_jax_sgd, rows, targets, rates, index))


def _jax_noise(curvature, residual, rates):
    """A function that takes all steps; the train loss is kept at every step."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    shape = (rates.shape[0], *residual.shape)

    @jax.jit
    def scan(lam, start, eta, key):
        def step(carry, now):
            r, key = carry
            key, this_key = jax.random.split(key)
            r = r - now[:, None, None] * (lam * r + SIGMA * jax.random.normal(this_key, shape))
            return (r, key), 0.5 * (lam * r * r).sum(axis=-1)

        return jax.lax.scan(step, (jnp.broadcast_to(start, shape), key), eta.T)

    arguments = [jnp.asarray(array) for array in (curvature, residual, rates)]
    jax.block_until_ready(scan(*arguments, jax.random.key(0)))
    return lambda: jax.block_until_ready(scan(*arguments, jax.random.key(0)))


def _jax_sgd(rows, targets, rates, index):
    """A function that takes all steps from theta = 0."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    @jax.jit
    def scan(x, y, eta, index):
        def step(theta, now):
            rate, picked = now
            batch = x[picked]
            error = jnp.einsum("nbd,snd->snb", batch, theta) - jnp.take_along_axis(y, picked, axis=1)
            return theta - rate[:, None, None] * (2.0 / BATCH) * jnp.einsum("snb,nbd->snd", error, batch), None

        theta = jnp.zeros((eta.shape[0], y.shape[0], x.shape[1]))
        return jax.lax.scan(step, theta, (eta.T, index))[0]

    arguments = [jnp.asarray(array) for array in (rows, targets, rates, index)]
    jax.block_until_ready(scan(*arguments))
    return lambda: jax.block_until_ready(scan(*arguments))
