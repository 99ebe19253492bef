"""Slow, obvious twins of the optimisers, one formula after the other, in NumPy. Imports nothing of simlr."""

import numpy as np


def clipped(g, norm=0.0, value=0.0, convention="torch"):
    """The gradient with its entries, then its length, cut; 0 cuts nothing."""
    if value:
        g = np.clip(g, -value, value)
    if norm:
        length = np.sqrt(np.sum(g**2))
        if convention == "torch":
            g = g * min(1.0, norm / (length + 1e-6))
        elif length >= norm:
            g = g / length * norm
    return g


def iterates(kind, gradient, start, rates, clip_norm=0.0, clip_value=0.0, convention="torch", **settings):
    """The parameters before the first step and after each, (T + 1, p); `gradient(theta, t)`, t from 0."""
    step = KINDS[kind](np.array(start, float), convention=convention, **settings)
    found, at = [np.array(start, float)], np.array(start, float)
    for t, rate in enumerate(rates):
        g = clipped(gradient(at, t), clip_norm, clip_value, convention)
        theta, at = step(g, rate, t + 1)
        found.append(theta)
    return np.array(found)


def momentum(theta, momentum=0.9, dampening=0.0, weight_decay=0.0, convention="torch"):
    v = None

    def step(g, rate, t):
        nonlocal theta, v
        g = g + weight_decay * theta
        v = g if v is None else momentum * v + (1 - dampening) * g
        theta = theta - rate * v
        return theta, theta

    return step


def nesterov(theta, momentum=0.9, weight_decay=0.0, convention="torch"):
    v = np.zeros_like(theta)

    def step(g, rate, t):
        nonlocal theta, v
        g = g + weight_decay * theta
        v = momentum * v + g
        theta = theta - rate * (g + momentum * v)
        return theta, theta

    return step


def polyak(theta, momentum=0.9, weight_decay=0.0, convention="torch"):
    before = theta

    def step(g, rate, t):
        nonlocal theta, before
        g = g + weight_decay * theta
        theta, before = theta - rate * g + momentum * (theta - before), theta
        return theta, theta

    return step


def adam(theta, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0, apart=False, convention="torch"):
    m, v = np.zeros_like(theta), np.zeros_like(theta)

    def step(g, rate, t):
        nonlocal theta, m, v
        g = g if apart else g + weight_decay * theta
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        move = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        theta = theta - rate * (move + (weight_decay * theta if apart else 0.0))
        return theta, theta

    return step


def adamw(theta, weight_decay=None, convention="torch", **settings):
    decay = {"torch": 1e-2, "optax": 1e-4}[convention] if weight_decay is None else weight_decay
    return adam(theta, weight_decay=decay, apart=True, **settings)


def nadam(
    theta, beta1=0.9, beta2=0.999, epsilon=1e-8, momentum_decay=0.004, weight_decay=0.0, convention="torch"
):  # fmt: skip
    m, v, product = np.zeros_like(theta), np.zeros_like(theta), 1.0

    def step(g, rate, t):
        nonlocal theta, m, v, product
        g = g + weight_decay * theta
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        if convention == "torch":
            mu, following = (beta1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
            product *= mu
            top = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
        else:
            top = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
        theta = theta - rate * top / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        return theta, theta

    return step


def rmsprop(theta, beta2=None, epsilon=1e-8, weight_decay=0.0, convention="torch"):
    v = np.zeros_like(theta)
    kept = {"torch": 0.99, "optax": 0.9}[convention] if beta2 is None else beta2

    def step(g, rate, t):
        nonlocal theta, v
        g = g + weight_decay * theta
        v = kept * v + (1 - kept) * g**2
        root = np.sqrt(v) + epsilon if convention == "torch" else np.sqrt(v + epsilon)
        theta = theta - rate * g / root
        return theta, theta

    return step


def adagrad(theta, initial_accumulator=None, epsilon=None, weight_decay=0.0, convention="torch"):
    start = {"torch": 0.0, "optax": 0.1}[convention] if initial_accumulator is None else initial_accumulator
    small = {"torch": 1e-10, "optax": 1e-7}[convention] if epsilon is None else epsilon
    v = np.full_like(theta, start)

    def step(g, rate, t):
        nonlocal theta, v
        g = g + weight_decay * theta
        v = v + g**2
        theta = theta - rate * g / (np.sqrt(v) + small if convention == "torch" else np.sqrt(v + small))
        return theta, theta

    return step


def sign(theta, weight_decay=0.0, convention="torch"):
    def step(g, rate, t):
        nonlocal theta
        theta = theta - rate * np.sign(g + weight_decay * theta)
        return theta, theta

    return step


def lion(theta, beta1=0.9, beta2=0.99, weight_decay=1e-3, convention="torch"):
    m = np.zeros_like(theta)

    def step(g, rate, t):
        nonlocal theta, m
        theta = theta - rate * (np.sign(beta1 * m + (1 - beta1) * g) + weight_decay * theta)
        m = beta2 * m + (1 - beta2) * g
        return theta, theta

    return step


def schedule_free(theta, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0, scaled=False, convention="torch"):
    x = y = z = theta
    v, total, largest = np.zeros_like(theta), 0.0, 0.0

    def step(g, rate, t):
        nonlocal x, y, z, v, total, largest
        if scaled:
            v = beta2 * v + (1 - beta2) * g**2
            g = g / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        z = z - rate * (g + weight_decay * y)
        largest = max(largest, rate)
        total += largest**2
        share = largest**2 / total if total else 0.0
        x = (1 - share) * x + share * z
        y = beta1 * x + (1 - beta1) * z
        return x, y

    return step


def plain(theta, weight_decay=0.0, convention="torch"):
    return momentum(theta, 0.0, weight_decay=weight_decay)


KINDS = {
    "gd": plain,
    "sgd": plain,
    "momentum": momentum,
    "nesterov": nesterov,
    "polyak_momentum": polyak,
    "adam": adam,
    "adamw": adamw,
    "nadam": nadam,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "sign": sign,
    "lion": lion,
    "schedule_free_sgd": schedule_free,
    "schedule_free_adamw": lambda theta, **settings: schedule_free(theta, scaled=True, **settings),
}
