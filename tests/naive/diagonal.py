"""Slow, obvious twin of SGD on a diagonal linear network, f(x) = <u * v, x>, loss 1/2 (f - y)^2. Imports nothing of
simlr."""

import numpy as np

LABEL_NOISE, BATCH = 2, 4


def stream(root, draw, purpose, step):
    return np.random.Generator(np.random.Philox(key=[root, draw], counter=[0, step, purpose, 0]))


def iterates(x, y, start, rates, batch, sigma, root, draw):
    """(u, v) before the first step and after each, (T + 1, 2, d)."""
    u, v = np.array(start[0]), np.array(start[1])
    found = [np.array([u, v])]
    for t, rate in enumerate(rates):
        rows = np.arange(len(y))
        if batch:
            rows = np.floor(stream(root, draw, BATCH, t).random(batch) * len(y)).astype(int)
        noise = (
            sigma * stream(root, draw, LABEL_NOISE, t + 1).standard_normal(len(rows)) if sigma else np.zeros(len(rows))
        )
        gradient = np.zeros_like(u)
        for row, xi in zip(rows, noise, strict=True):
            gradient += (x[row] @ (u * v) - y[row] - xi) * x[row] / len(rows)
        u, v = u - rate * gradient * v, v - rate * gradient * u
        found.append(np.array([u, v]))
    return np.array(found)
