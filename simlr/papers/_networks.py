"""Fully connected ReLU networks on the digits: split, start, training under schedules, and errors, for some papers.

Of seed k: the split is an order of all rows (stream SPLIT), the first `train_rows` to train on and the others to test;
the start is He's (2015), normal with variance 2 / inputs and biases 0, of the stream (root, k, NETWORK_START, layer),
row after row. Every schedule of a seed starts there and meets the same batches.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs import rules

LAUNCHES = 8  # of a training, between which progress is told


class Trained(NamedTuple):
    """Networks of one shape: number s + S k has schedule s and seed k."""

    sizes: tuple[int, ...]
    own: Any  # kernels.papers.layers.Rules
    weights: tuple  # L arrays (C, m_l, k_l), padded

    def matrices(self, network: int) -> tuple:
        """The L matrices (outputs, inputs + 1) of one, biases last."""
        sides = zip(self.weights, self.sizes[1:], self.sizes[:-1], strict=True)
        return tuple(weights[network, :out, : into + 1] for weights, out, into in sides)


def split_rows(
    inputs: NDArray[np.float64], labels: NDArray[np.int64], root: int, seeds: int, train_rows: int
) -> tuple[Any, Any]:
    """`kernels.papers.layers.Rows` to train and to test on; inputs (R, p), labels (R,)."""
    from ..kernels.draws import SPLIT, fill_order
    from ..kernels.papers.layers import Rows

    if train_rows >= len(labels):
        raise InputError(f"study.train_rows must be below the {len(labels)} rows that there are, got {train_rows}")
    orders = np.empty((seeds, len(labels)), np.int64)
    for seed, order in enumerate(orders):
        fill_order(order, root, seed, SPLIT, 0)
    inputs, draws = np.ascontiguousarray(inputs, np.float64), np.arange(seeds)
    parts = orders[:, :train_rows].copy(), orders[:, train_rows:].copy()
    train, test = (Rows(inputs, part, labels[part], draws) for part in parts)
    return train, test


def check_batch(batch: int, rows: int) -> None:
    """InputError for a batch of more rows than there are: no epoch has one."""
    if batch > rows:
        raise InputError(f"study.batch must be at most study.train_rows, {rows}, got {batch}")


def start(sizes: Sequence[int], root: int, seeds: int, schedules: int, scale: float = 1.0) -> tuple:
    """He's start of every seed, times `scale`, once for each schedule: L arrays (schedules * seeds, m_l, k_l)."""
    from ..kernels.draws import NETWORK_START, fill_normal
    from ..kernels.papers.layers import shapes

    found = []
    for layer, shape in enumerate(shapes(sizes)):
        out, into = sizes[layer + 1], sizes[layer]
        weights = np.zeros((seeds, *shape))
        normal = np.empty(out * into)
        for seed in range(seeds):
            fill_normal(normal, root, seed, NETWORK_START, layer)
            weights[seed, :out, :into] = scale * np.sqrt(2.0 / into) * normal.reshape(out, into)
        found.append(np.repeat(weights, schedules, axis=0))
    return tuple(found)


def train(
    sizes: Sequence[int],
    rows: Any,
    rates: NDArray[np.float64],
    weights: tuple,
    *,
    root: int,
    batch: int,
    decay: float = 0.0,
    threads: int | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> Trained:
    """Train from `weights`, which are moved, by SGD under S schedules of T steps each, rates (S, T)."""
    from ..kernels import jit
    from ..kernels.papers import layers

    check_batch(batch, rows.row.shape[1])
    own = layers.Rules(np.array(sizes), np.ascontiguousarray(rates), decay, root)
    workers = threads or jit.threads()
    scratch = layers.make_scratch(sizes, batch, workers)
    cuts = np.linspace(0, rates.shape[1], LAUNCHES + 1).astype(int)
    for first, last in itertools.pairwise(cuts):
        tasks = np.zeros(2, np.int64)
        given = rows, own, weights, int(first), int(last), scratch
        jit.launch(layers.train_sweep, *given, tasks, workers)
        tell(last / rates.shape[1])
    return Trained(tuple(sizes), own, weights)


def predictions(trained: Trained, rows: Any, threads: int | None = None) -> NDArray[np.int64]:
    """The classes (C, n) that each network gives the rows of its data set; -1 where its outputs are NaN."""
    from ..kernels import jit
    from ..kernels.papers import layers

    workers = threads or jit.threads()
    scratch = layers.make_scratch(trained.sizes, layers.CHUNK, workers)
    found = np.empty((len(trained.weights[0]), rows.row.shape[1]), np.int64)
    given = rows, trained.own, trained.weights, scratch, found
    jit.launch(layers.predict_sweep, *given, np.zeros(2, np.int64), workers)
    return found


def wrong(
    trained: Trained, rows: Any, deviation: float = 0.0, draws: int = 1, threads: int | None = None
) -> NDArray[np.int64]:
    """How many of the rows each network gets wrong, (C, draws), with weights drawn from N(weights, deviation^2)."""
    from ..kernels import jit
    from ..kernels.papers import layers

    workers = threads or jit.threads()
    scratch = layers.make_scratch(trained.sizes, layers.CHUNK, workers)
    deviations = tuple(np.zeros_like(weights) for weights in trained.weights)
    for matrix, out, into in zip(deviations, trained.sizes[1:], trained.sizes[:-1], strict=True):
        matrix[:, :out, : into + 1] = deviation
    noisy = tuple(np.zeros((workers, *weights.shape[1:])) for weights in trained.weights)
    found = np.zeros((len(trained.weights[0]), draws), np.int64)
    given = rows, trained.own, trained.weights, deviations, noisy, scratch, found
    jit.launch(layers.noisy_sweep, *given, np.zeros(2, np.int64), workers)
    return found


def batch_size(key: str, value: Any) -> int:
    """A rule: rows of a batch, a multiple of 4."""
    if rules.count(key, value, least=4) % 4:
        rules.refuse(key, "a multiple of 4", value)
    return value
