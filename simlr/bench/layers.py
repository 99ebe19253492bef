"""Benchmark section of the fully connected networks: SGD beside the same in JAX, and beside the processor's limit.

JAX trains by one compiled scan over the steps, in float64: all networks at once (vmapped), and one after the other;
the faster of the two is what ours has to be compared with. All must come to the same weights.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import machine, twins
from .harness import Bench, Figure

INPUTS, CLASSES, ROWS, NETWORKS = 64, 10, 512, 4
RATE = 0.05
WIDTHS, BATCHES = (32, 64, 128, 256), (32, ROWS)
WORK = 4e9  # multiply-adds of a contestant's turn


class Training(NamedTuple):
    """What is trained: NETWORKS networks of these sizes, each on all rows."""

    sizes: tuple[int, ...]
    batch: int
    steps: int
    rows: Any  # kernels.papers.layers.Rows
    start: tuple  # L matrices (NETWORKS, m_l, k_l)


def layers(bench: Bench) -> Iterator[Figure]:
    """Training of networks of two hidden layers, by width and batch size."""
    threads = machine.cores()
    limit, most = machine.multiply_adds(threads, bench.pick(machine.FMA_ROUNDS, 1000))
    for width in bench.pick(WIDTHS, WIDTHS[:1]):
        for batch in BATCHES:
            sizes = (INPUTS, width, width, CLASSES)
            work = NETWORKS * _multiply_adds(sizes, batch)
            steps = max(2, int(WORK / work)) if not bench.quick else 2
            ours, peers = _contestants(bench, _training(sizes, batch, steps))
            best = machine.race({"ours": ours, "limit": limit, **peers}, bench.pick(5, 1))
            speed = steps * work / best["ours"]
            ratios = {name: best[name] / best["ours"] for name in peers}
            ratios["limit"] = speed / (most / best["limit"])
            how = f"{NETWORKS} networks {INPUTS}-{width}-{width}-{CLASSES}, {steps} steps, {threads} threads"
            name = f"width {width}, batch {batch}" + (" (all rows)" if batch == ROWS else "")
            yield Figure(f"layers.{width}.{batch}", name, speed, "multiply-adds/s", ratios, "ports", how)


def _multiply_adds(sizes, batch):
    """Of a step's products: forward, to the weights, and, but for the first layer, to the inputs."""
    sides = list(zip(sizes[1:], sizes[:-1], strict=True))
    return batch * sum(out * (into + 1) * (3 if layer else 2) for layer, (out, into) in enumerate(sides))


def _training(sizes, batch, steps):
    """Rows that are uniform, labels too, and He's start."""
    from ..kernels.papers.layers import Rows
    from ..papers import _networks

    generator, draws = np.random.default_rng(0), np.arange(NETWORKS)
    label = generator.integers(0, CLASSES, (NETWORKS, ROWS))
    rows = Rows(generator.random((ROWS, INPUTS)), np.tile(np.arange(ROWS), (NETWORKS, 1)), label, draws)
    return Training(sizes, batch, steps, rows, _networks.start(sizes, 0, NETWORKS, 1))


def _contestants(bench, training):
    """Ours, and {name: JAX's}: functions that take all steps and return the weights that they came to."""
    from ..papers import _networks

    rates = np.full((1, training.steps), RATE)

    def ours():
        weights = tuple(matrix.copy() for matrix in training.start)
        return _networks.train(training.sizes, training.rows, rates, weights, root=0, batch=training.batch)

    found, peers = ours(), {}
    if bench.with_jax:
        peers = {"JAX scan, vmapped": _jax(training, True), "JAX scan, one by one": _jax(training, False)}
    for peer in peers.values():
        for network, weights in enumerate(peer()):
            for layer, (matrix, wanted) in enumerate(zip(found.matrices(network), weights, strict=True)):
                twins.expect(f"layers, network {network}, layer {layer}", matrix, np.asarray(wanted), 1e-6)
    return ours, peers


def _orders(training):
    """The rows of every step, (NETWORKS, T, B)."""
    from ..kernels.draws import NETWORK_ORDER, fill_order

    batches = ROWS // training.batch
    orders = np.empty((NETWORKS, -(-training.steps // batches), ROWS), np.int64)
    for network, epochs in enumerate(orders):
        for epoch, order in enumerate(epochs):
            fill_order(order, 0, network, NETWORK_ORDER, epoch)
    return orders.reshape(NETWORKS, -1, training.batch)[:, : training.steps]


def _jax(training, vmapped):
    """The same by JAX: a function that gives the matrices of each network."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    inputs = jnp.asarray(training.rows.inputs)

    def loss(weights, x, label):
        for place, matrix in enumerate(weights):
            x = x @ matrix[:, :-1].T + matrix[:, -1]
            x = jax.nn.relu(x) if place + 1 < len(weights) else x
        return (jax.nn.logsumexp(x, axis=1) - jnp.take_along_axis(x, label[:, None], axis=1)[:, 0]).mean()

    def train(weights, label, orders):
        def step(now, order):
            # A batch of all rows needs no order.
            x, y = (inputs, label) if training.batch == ROWS else (inputs[order], label[order])
            slopes = jax.grad(loss)(now, x, y)
            return [w - RATE * g for w, g in zip(now, slopes, strict=True)], None

        return jax.lax.scan(step, weights, orders)[0]

    sides = list(zip(training.start, training.sizes[1:], training.sizes[:-1], strict=True))
    start = [jnp.asarray(matrix[:, :out, : into + 1]) for matrix, out, into in sides]
    labels, orders = jnp.asarray(training.rows.label), jnp.asarray(_orders(training))
    if vmapped:
        together = jax.jit(jax.vmap(train))
        jax.block_until_ready(together(start, labels, orders))
        return lambda: list(zip(*jax.block_until_ready(together(start, labels, orders)), strict=True))
    alone = jax.jit(train)
    own = [([matrix[n] for matrix in start], labels[n], orders[n]) for n in range(NETWORKS)]
    jax.block_until_ready(alone(*own[0]))
    return lambda: [jax.block_until_ready(alone(*one)) for one in own]


SECTIONS = {"layers": layers}
