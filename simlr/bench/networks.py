"""Benchmark section of the networks: training steps beside the same in JAX, as one would write it there.

JAX trains in all coordinates, and also in those along the train points, which spare it as much work as ours; one
compiled scan over the steps, vmapped over the seeds, in float64. Both must come to the same weights.
"""

from collections.abc import Iterator

import numpy as np

from . import machine, twins
from .harness import Bench, Figure

RATE, DECAY = 0.25, 1e-5


def networks(bench: Bench) -> Iterator[Figure]:
    """Training of two-layer networks at the size of the study li2019."""
    seeds, steps = bench.pick((16, 300), (4, 20))
    ours = _ours(seeds, steps)
    contestants = {"ours": ours}
    if bench.with_jax:
        contestants["JAX scan, all coordinates"] = _jax(seeds, steps, reduced=0)
        contestants["JAX scan, our coordinates"] = same = _jax(seeds, steps, reduced=1)
        for name, weights, wanted in zip(("x1", "x2"), ours(), same(), strict=True):
            twins.expect(f"networks, weights of {name}", weights, np.asarray(wanted), 1e-6)
    best = machine.race(contestants, bench.pick(5, 1))
    ours_best = best.pop("ours")
    how = f"{seeds} networks x {steps} steps, d = 200, 100 train points, 100 + 100 units, the loss at every step"
    ratios = {name: seconds / ours_best for name, seconds in best.items()}
    rate = seeds * steps / ours_best
    yield Figure("networks.steps", "training steps", rate, "network-steps/s", ratios, "multiply-add ports", how)


def _points(seeds, reduced):
    """Points and starts of the study's default size."""
    from ..engine.sweeps import run_sweep
    from ..kernels.papers import patterns

    population = patterns.Patterns(200, 20, 60, 20, 200**-0.5, 0.35, 7.0, 0.5, 1.0, 100, 10.0, 4, reduced)
    arrays, sharpness = patterns.empty(population, np.arange(seeds)), np.zeros((seeds, 2))
    run_sweep(patterns.draw_sweep, population, 0, *arrays, sharpness)
    return arrays


def _ours(seeds, steps):
    """A function that takes all steps, and returns the weights that it came to."""
    from ..engine.sweeps import run_sweep
    from ..kernels.papers import network

    x1, x2, points, first, second = _points(seeds, reduced=1)
    rules = network.Rules(
        np.full((1, 2), RATE), np.zeros(1, np.int64), np.full(1, -1.0), np.full(1, DECAY), np.zeros(1), 0.0, 0.0,
        steps, np.zeros(0, np.int64),
    )  # fmt: skip

    def train():
        trained = network.begin(rules, first, second)
        run_sweep(network.train_sweep, x1, x2, points, rules, trained, 0, steps)
        return trained.first[0], trained.second[0]

    train()
    return train


def _jax(seeds, steps, reduced):
    """The same by JAX."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    x1, x2, points, first, second = _points(seeds, reduced)
    count = points.label.shape[1]
    inputs_of_all = [np.zeros((seeds, count, part.rows.shape[2])) for part in (x1, x2)]
    for rows, part in zip(inputs_of_all, (x1, x2), strict=True):
        last = min(count, part.first + part.rows.shape[1])
        rows[:, part.first : last] = part.rows[:, : last - part.first]
    sign = jnp.asarray(points.sign) / np.sqrt(points.sign.size)

    def loss(weights, inputs, label):
        f = sum(jax.nn.relu(x @ w.T) @ sign for x, w in zip(inputs, weights, strict=True))
        return jnp.logaddexp(0.0, -label * f).mean()

    def train(weights, inputs, label):
        def step(now, _):
            value, slopes = jax.value_and_grad(loss)(now, inputs, label)
            return [(1.0 - RATE * DECAY) * w - RATE * g for w, g in zip(now, slopes, strict=True)], value

        return jax.lax.scan(step, weights, None, length=steps)  # the weights, and the loss at every step

    compiled = jax.jit(jax.vmap(train))
    start, inputs = [jnp.asarray(first), jnp.asarray(second)], [jnp.asarray(x) for x in inputs_of_all]
    arguments = start, inputs, jnp.asarray(points.label)
    jax.block_until_ready(compiled(*arguments))
    return lambda: jax.block_until_ready(compiled(*arguments))[0]


SECTIONS = {"networks": networks}
