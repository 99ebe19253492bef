"""Slow, obvious twins of descent on convex losses of rows: values, gradients, splits. Imports nothing of simlr."""

import math

import numpy as np

SPLIT = 1


def row_loss(kind, z, y, delta=1.0):
    """The loss of one row at its scores z (k,): a list of numbers, by the formula as it is printed."""
    if kind == "softmax":
        above = [value - z[int(y)] for c, value in enumerate(z) if c != int(y)]
        top = max(0.0, *above)
        if top == 0.0:
            return math.log1p(math.fsum(map(math.exp, above)))
        return top + math.log(math.exp(-top) + math.fsum(math.exp(value - top) for value in above))
    (score,) = z
    if kind == "squared":
        return (score - y) ** 2
    if kind == "logistic":
        u = y * score
        return math.log1p(math.exp(-u)) if u > 0 else -u + math.log1p(math.exp(u))
    if kind == "squared_hinge":
        return max(0.0, 1.0 - y * score) ** 2
    error = abs(score - y)
    return error**2 / 2 if error <= delta else delta * (error - delta / 2)


def loss(kind, x, y, theta, ridge=0.0, delta=1.0):
    """Mean of the rows' losses + 1/2 sum ridge theta^2; theta (k, d), ridge a number or an array like it."""
    rows = [row_loss(kind, list(theta @ row), label, delta) for row, label in zip(x, y, strict=True)]
    return math.fsum(rows) / len(rows) + 0.5 * float(np.sum(ridge * theta**2))


def gradient(kind, x, y, theta, ridge=0.0, delta=1.0):
    """Its gradient, (k, d)."""
    z = x @ theta.T
    if kind == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        slope = e / e.sum(axis=1, keepdims=True) - np.eye(z.shape[1])[np.asarray(y, int)]
    else:
        y = np.asarray(y, float)[:, None]
        slope = {
            "squared": lambda: 2 * (z - y),
            "logistic": lambda: -y * np.where(y * z > 0, np.exp(-np.abs(z)), 1.0) / (1 + np.exp(-np.abs(z))),
            "squared_hinge": lambda: -2 * y * np.maximum(0.0, 1 - y * z),
            "huber": lambda: np.clip(z - y, -delta, delta),
        }[kind]()
    return slope.T @ x / len(x) + ridge * theta


def accuracy(kind, x, y, theta):
    """The share of the rows whose class is told: the first largest score, or the sign, -1 at 0."""
    z = x @ theta.T
    told = np.argmax(z, axis=1) if kind == "softmax" else np.where(z[:, 0] > 0, 1, -1)
    return np.mean(told == np.asarray(y))


def split(table, root, draw, train, test, standardize=True):
    """(train, test) rows of a table (rows, columns) as one draw deals them, by the train rows' means and spreads."""
    generator = np.random.Generator(np.random.Philox(key=np.array([root, draw], np.uint64), counter=[0, 0, SPLIT, 0]))
    order = np.argsort(generator.random(len(table)), kind="stable")
    own, others = table[order[:train]], table[order[train : train + test]]
    if not standardize:
        return own, others
    mean, spread = own.mean(axis=0), own.std(axis=0)
    return (own - mean) / spread, (others - mean) / spread
