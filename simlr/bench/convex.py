"""Benchmark section of losses of rows: steps beside the same in NumPy, JAX and C++, and the processor's limit.

Everybody takes the same steps on one thread, JAX on as many as it likes, and has to come to the same parameters. Of all
rows at a time everybody has the train loss at every step; of mini-batches nobody has, and all but ours, which draws its
rows, are given them beforehand.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from . import cpp_peers, machine, twins
from .harness import Bench, Figure

SIZES = (442, 10), (2000, 50)  # rows and features
LOSSES = {"logistic": 1, "softmax": 2, "huber": 3, "squared_hinge": 4}  # of kernels.convex.losses
CLASSES, BATCH, MANY = 3, 32, 64
WORK, SMALL = 1e8, 2e6  # multiply-adds of a contestant's turn


class Training(NamedTuple):
    """What is taken: steps of S schedules on the rows of one problem."""

    loss: str
    x: np.ndarray  # (n, d)
    y: np.ndarray  # (n,)
    rates: np.ndarray  # (S, T)
    picked: np.ndarray | None  # (T, BATCH) rows of every step; None = all rows
    adam: bool = False

    @property
    def outputs(self) -> int:
        """Scores of a row."""
        return CLASSES if self.loss == "softmax" else 1


def convex(bench: Bench) -> Iterator[Figure]:
    """Gradient descent, mini-batches and Adam, by loss and size."""
    libraries = cpp_peers.libraries(bench.folder)
    limit, most = machine.multiply_adds(1, bench.pick(machine.FMA_ROUNDS, 1000))
    for rows, inputs in bench.pick(SIZES, SIZES[:1]):
        for name, training in _trainings(bench, rows, inputs):
            ours, peers = _contestants(bench, libraries, training)
            with machine.using_threads(1):
                best = machine.race({"ours": ours, "limit": limit, **peers}, bench.pick(5, 1))
            taken, steps = _work(training), training.rates.size
            ratios = {peer: best[peer] / best["ours"] for peer in peers}
            ratios["limit"] = steps * taken / best["ours"] / (most / best["limit"])
            how = f"{rows} rows, {inputs} features, {len(training.rates)} schedules x {training.rates.shape[1]} steps"
            key = f"convex.{rows}.{name.replace(', ', '.').replace(' ', '-')}"
            value = steps / best["ours"]
            yield Figure(key, f"{rows} x {inputs}, {name}", value, "steps/s", ratios, "ports, exponentials", how)


def _work(training):
    """Multiply-adds of a step's products: scores, and gradient."""
    rows = len(training.x) if training.picked is None else BATCH
    return 2 * rows * training.x.shape[1] * training.outputs


def _trainings(bench, rows, inputs):
    """(name, Training) of all that is timed at one size."""
    for loss in LOSSES:
        for method in ("all rows", f"batches of {BATCH}"):
            yield f"{loss}, {method}", _training(bench, rows, inputs, loss, MANY, method != "all rows")
    yield "logistic, all rows, one schedule", _training(bench, rows, inputs, "logistic", 1, False)
    yield "logistic, all rows, Adam", _training(bench, rows, inputs, "logistic", MANY, False)._replace(adam=True)


def _training(bench, rows, inputs, loss, schedules, in_batches):
    """Normal rows, labels of a noisy score, and cosines of different height that no step of which diverges."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, inputs))
    score = x @ generator.normal(size=inputs) + generator.normal(size=rows)
    y = {"huber": score, "softmax": np.digitize(score, [-1.0, 1.0]) * 1.0}.get(loss, np.sign(score))
    work = 2 * (BATCH if in_batches else rows) * inputs * schedules * (CLASSES if loss == "softmax" else 1)
    steps = max(4, int(bench.pick(WORK, SMALL) / work))
    shape = 0.05 * (1.0 + np.cos(np.pi * np.arange(steps) / steps))
    rates = shape * (np.arange(1, schedules + 1) / schedules)[:, None]
    picked = None
    if in_batches:
        draws = [twins.philox(0, 0, 4, t).random(BATCH) for t in range(steps)]
        picked = np.floor(np.array(draws) * rows).astype(np.int64)
    return Training(loss, x, np.ascontiguousarray(y), rates, picked)


def _contestants(bench, libraries, training):
    """Ours, and {name: another's}: functions that take all steps and return the parameters (S, outputs d)."""
    ours, peers = _ours(training), {"NumPy": _numpy(training)}
    if bench.with_jax:
        peers["JAX"] = _jax(training)
    for name, library in libraries.items():
        given = LOSSES[training.loss], training.x, training.y, training.picked, training.outputs, training.rates
        peers[name] = cpp_peers.loops(library, *given, training.adam)
    found = ours()
    for name, peer in peers.items():
        tops = np.abs(found).max(axis=1, keepdims=True)
        twins.expect(f"convex, {training.loss}, {name}", found / tops + 2.0, np.asarray(peer()) / tops + 2.0, 1e-8)
    return ours, peers


def _ours(training) -> Callable[[], np.ndarray]:
    """Ours."""
    from ..engine.stochastic import carried, numbers_of
    from ..engine.sweeps import run_sweep
    from ..kernels import arrays
    from ..kernels.convex import optimizers
    from ..kernels.convex.steps import convex_sweep
    from ..kernels.stochastic import averages, gradients
    from ..kernels.stochastic.optimizers import GRADIENT_DESCENT

    (schedules, steps), parameters = training.rates.shape, training.x.shape[1] * training.outputs
    none, zeros = np.zeros(schedules, np.int64), np.zeros(schedules)
    level = 1e-300 if training.picked is None else -1.0  # never reached; below 0 the loss is not looked at
    ones = np.ones((2, 1, parameters))
    cells = arrays.Cells(ones, np.full((1, 1), level), np.full(1, -1, np.int64))
    rates = arrays.Rates(
        training.rates, np.zeros((schedules, steps + 1)), none, none + steps, np.zeros((schedules, 0), np.int64), none
    )
    own = {"kind": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8} if training.adam else {"kind": "gd"}
    kind = optimizers.ADAM if training.adam else GRADIENT_DESCENT
    method = arrays.Method(kind, averages.NO_AVERAGE, zeros, none, zeros)
    rules = optimizers.Rules(np.array([numbers_of(own)] * schedules), 0)
    source = gradients.NO_NOISE if training.picked is None else gradients.WITH_REPLACEMENT
    noise = arrays.Noise(source, 0, BATCH, zeros, np.zeros(1, np.int64), np.full(1, parameters))
    table = _table(training)

    def run():
        start = np.zeros((schedules, 1, parameters))
        state, passages = arrays.empty_passages(start, 1, 0, 0, moving=False, averaging=False)
        state = state._replace(velocity=carried([own] * schedules, kind, np.zeros(parameters))[:, None].copy())
        run_sweep(convex_sweep, cells, rates, method, rules, noise, table, state, passages, 0)
        return state.r[:, 0]

    return run


def _table(training) -> Any:
    """The rows as the engine lays them out for so many schedules."""
    from ..engine.convex import FEW_SCHEDULES, table_of
    from ..kernels.convex.in_lanes import BLOCK
    from ..kernels.matrices.block_products import QUAD
    from ..problems.losses import Terms
    from ..problems.source import Samples

    terms = Terms(training.loss, training.outputs, 1.0, np.zeros(training.x.shape[1] * training.outputs))
    few = len(training.rates) <= FEW_SCHEDULES and training.outputs == 1
    return table_of(terms, Samples(training.x[None], training.y[None]), [0.0], BLOCK if few else QUAD)


def _numpy(training) -> Callable[[], np.ndarray]:
    """All schedules at once, matrix products for all rows of a step."""
    outputs, adam = training.outputs, training.adam

    def run():
        theta = np.zeros((len(training.rates), training.x.shape[1] * outputs))
        m, v = np.zeros_like(theta), np.zeros_like(theta)
        for t, eta in enumerate(training.rates.T[:, :, None]):
            chosen = slice(None) if training.picked is None else training.picked[t]
            x, y = training.x[chosen], training.y[chosen]
            z = (x @ theta.reshape(-1, x.shape[1]).T).reshape(len(x), -1, outputs)
            slope, losses = _slopes(np, training.loss, z, y)
            if training.picked is None:
                losses().mean(axis=0)
            g = (slope.reshape(len(x), -1).T @ x / len(x)).reshape(theta.shape)
            if not adam:
                theta -= eta * g
                continue
            m, v = 0.9 * m + (1.0 - 0.9) * g, 0.999 * v + (1.0 - 0.999) * g * g
            theta -= eta * (m / (1.0 - 0.9 ** (t + 1))) / (np.sqrt(v / (1.0 - 0.999 ** (t + 1))) + 1e-8)
        return theta

    return run


def _slopes(np, loss, z, y):
    """Slopes (b, S, outputs) at scores, and a function that gives losses (b, S); in NumPy or in JAX's NumPy."""
    if loss == "softmax":
        top = z.max(axis=2, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(axis=2, keepdims=True)
        own = (np.arange(CLASSES) == y[:, None])[:, None]
        return e / total - own, lambda: np.log(total[..., 0]) - ((z - top) * own).sum(axis=2)
    y = y[:, None, None]
    if loss == "logistic":
        u = y * z
        e = np.exp(-np.abs(u))
        return -y * np.where(u >= 0.0, e, 1.0) / (1.0 + e), lambda: (np.maximum(-u, 0.0) + np.log1p(e))[..., 0]
    if loss == "huber":
        error = z - y
        inside = np.minimum(np.abs(error), 1.0)
        return np.clip(error, -1.0, 1.0), lambda: (0.5 * inside**2 + (np.abs(error) - inside))[..., 0]
    lack = np.maximum(0.0, 1.0 - y * z)
    return -2.0 * y * lack, lambda: (lack**2)[..., 0]


def _jax(training) -> Callable[[], Any]:
    """One compiled scan over the steps, all schedules at once, the slopes written out."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    outputs, all_rows = training.outputs, training.picked is None

    @jax.jit
    def scan(x, y, rates, picked):
        def step(carry, now):
            theta, m, v, first, second = carry
            eta, chosen = now
            rows, labels = (x, y) if all_rows else (x[chosen], y[chosen])
            z = (rows @ theta.reshape(-1, x.shape[1]).T).reshape(len(rows), -1, outputs)
            slope, losses = _slopes(jnp, training.loss, z, labels)
            g = (slope.reshape(len(rows), -1).T @ rows / len(rows)).reshape(theta.shape)
            loss = losses().mean(axis=0) if all_rows else None
            if not training.adam:
                return (theta - eta[:, None] * g, m, v, first, second), loss
            m, v, first, second = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, 0.9 * first, 0.999 * second
            move = (m / (1.0 - first)) / (jnp.sqrt(v / (1.0 - second)) + 1e-8)
            return (theta - eta[:, None] * move, m, v, first, second), loss

        zero = jnp.zeros((rates.shape[0], x.shape[1] * outputs))
        (theta, *_), losses = jax.lax.scan(step, (zero, zero, zero, 1.0, 1.0), (rates.T, picked))
        return theta, losses

    picked = jnp.zeros(training.rates.shape[1]) if all_rows else jnp.asarray(training.picked)
    arguments = jnp.asarray(training.x), jnp.asarray(training.y), jnp.asarray(training.rates), picked
    jax.block_until_ready(scan(*arguments))
    return lambda: jax.block_until_ready(scan(*arguments))[0]


SECTIONS = {"convex": convex}
