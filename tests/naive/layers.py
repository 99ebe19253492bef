"""Slow, obvious twin of deep ReLU networks: their start, batches, gradients and errors. Imports nothing of simlr."""

import itertools

import numpy as np

BATCH_ORDER, START, POSTERIOR = 23, 21, 24


def stream(root, draw, purpose, step):
    """NumPy's generator at an address."""
    key = np.array([root, draw], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, step, purpose, 0]))


def start(root, seed, sizes, scale):
    """He's start: matrices (outputs, inputs + 1) with biases 0."""
    matrices = []
    for layer, (into, out) in enumerate(itertools.pairwise(sizes)):
        weights = np.zeros((out, into + 1))
        weights[:, :into] = scale * np.sqrt(2 / into) * stream(root, seed, START, layer).standard_normal((out, into))
        matrices.append(weights)
    return matrices


def outputs(matrices, x):
    """f(x) (n, classes), and what enters each layer."""
    entered, z = [], x
    for layer, weights in enumerate(matrices):
        entered.append(np.hstack([z, np.ones((len(z), 1))]))
        z = entered[-1] @ weights.T
        if layer + 1 < len(matrices):
            z = np.maximum(z, 0)
    return z, entered


def loss(matrices, x, labels):
    """The mean of log sum exp f - f_y."""
    f, _ = outputs(matrices, x)
    top = f.max(axis=1)
    return np.mean(np.log(np.exp(f - top[:, None]).sum(axis=1)) + top - f[np.arange(len(labels)), labels])


def gradient(matrices, x, labels):
    """dL/dW of every matrix."""
    f, entered = outputs(matrices, x)
    pull = np.exp(f - f.max(axis=1, keepdims=True))
    pull /= pull.sum(axis=1, keepdims=True)
    pull[np.arange(len(labels)), labels] -= 1
    pull /= len(labels)
    found = []
    for layer in reversed(range(len(matrices))):
        found.insert(0, pull.T @ entered[layer])
        pull = (pull @ matrices[layer])[:, :-1] * (entered[layer][:, :-1] > 0)
    return found


def train(matrices, x, labels, rates, batch, decay, root, seed):
    """SGD in epochs; rows that fill no batch are left out of an epoch."""
    per_epoch = len(labels) // batch
    for step, rate in enumerate(rates):
        if step % per_epoch == 0:
            keys = stream(root, seed, BATCH_ORDER, step // per_epoch).random(len(labels))
            order = np.argsort(keys, kind="stable")
        rows = order[step % per_epoch * batch :][:batch]
        slopes = gradient(matrices, x[rows], labels[rows])
        matrices = [(1 - rate * decay) * w - rate * g for w, g in zip(matrices, slopes, strict=True)]
    return matrices
