"""Losses of gradient descent on a noisy quadratic in its own units, and the best rates by trying all of a mesh."""

import itertools


def losses(curvatures, seconds, rates, sigma, exponent):
    """Losses 1/2 sum h E x^2 after 0, 1, ... steps, from seconds E x^2; gradients have variance h^exponent sigma^2."""
    now = list(seconds)
    found = [0.5 * sum(h * p for h, p in zip(curvatures, now, strict=True))]
    for rate in rates:
        now = [(1 - rate * h) ** 2 * p + rate**2 * h**exponent * sigma**2 for h, p in zip(curvatures, now, strict=True)]
        found.append(0.5 * sum(h * p for h, p in zip(curvatures, now, strict=True)))
    return found


def greedy(curvatures, seconds, sigma, exponent):
    """sum h^2 p over sum h (h^2 p + h^exponent sigma^2)."""
    above = sum(h * h * p for h, p in zip(curvatures, seconds, strict=True))
    below = sum(h * (h * h * p + h**exponent * sigma**2) for h, p in zip(curvatures, seconds, strict=True))
    return above / below


def best_of_mesh(curvatures, seconds, count, mesh, sigma, exponent):
    """The least loss after `count` steps with rates of a mesh."""
    tried = itertools.product(mesh, repeat=count)
    return min(losses(curvatures, seconds, rates, sigma, exponent)[-1] for rates in tried)
