"""Ridge regression and one pass of SGD over its rows, a row and a weight at a time."""

import math


def loss(rows, labels, alpha, weights):
    """mean_k (<x_k, w> - y_k)^2 + alpha |w|^2."""
    misfits = [sum(a * b for a, b in zip(row, weights, strict=True)) - y for row, y in zip(rows, labels, strict=True)]
    return sum(one * one for one in misfits) / len(labels) + alpha * sum(w * w for w in weights)


def one_pass(rows, labels, alpha, rates, order):
    """The weights after a step along the gradient of each row's loss, from 0."""
    weights = [0.0] * len(rows[0])
    for rate, k in zip(rates, order, strict=True):
        misfit = sum(a * b for a, b in zip(rows[k], weights, strict=True)) - labels[k]
        weights = [w - rate * (2 * misfit * a + 2 * alpha * w) for w, a in zip(weights, rows[k], strict=True)]
    return weights


def shape(name, t, steps, share):
    """Rate over first rate at a step."""
    z = t / steps
    if name == "constant":
        return 1.0
    if name == "inverse":
        return 1 / (1 + (1 / share - 1) * z)
    if name == "step":
        return share ** (math.floor(4 * z) / 3)
    if name == "exponential":
        return math.exp(z * math.log(share))
    return share + (1 - share) * (1 + math.cos(math.pi * z)) / 2


def category(uniform, size, skew):
    """The category of a uniform number: the first whose probabilities up to it add to more."""
    shares = [(k + 1) ** -skew for k in range(size)]
    total, place = 0.0, 0
    for place, share in enumerate(shares):
        total += share / sum(shares)
        if uniform < total:
            return place
    return place
