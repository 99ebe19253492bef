"""Twins of the losses and laws of power-law problems: a step, a mode, a part of an integral at a time.

Imports nothing of simlr.
"""

import math


def label_noise_loss(curvature, start, count, rates, sigma):
    """1/2 sum_j n_j lam_j E r_j^2 after every rate: r <- (1 - eta lam) r, plus noise of variance eta^2 sigma^2 lam."""
    squares = [r * r for r in start]
    for eta in rates:
        for j, lam in enumerate(curvature):
            squares[j] = (1.0 - eta * lam) ** 2 * squares[j] + eta * eta * sigma * sigma * lam
    return 0.5 * math.fsum(n * lam * v for n, lam, v in zip(count, curvature, squares, strict=True))


def functional_law(rates, s, beta, sigma, parts=200):
    """(1 + T)^-s + int_0^T (1 + T - z)^-(2 - 1/beta) sigma^2 gamma(z) dz by midpoints of every step."""
    end = math.fsum(rates)
    total, passed = (1.0 + end) ** -s, 0.0
    for eta in rates:
        for k in range(parts):
            z = passed + (k + 0.5) * eta / parts
            total += (1.0 + end - z) ** -(2.0 - 1.0 / beta) * sigma * sigma * eta * eta / parts
        passed += eta
    return total


def slope_between_ends(budgets, losses):
    """- d log(loss) / d log(budget) of two points."""
    return -math.log(losses[-1] / losses[0]) / math.log(budgets[-1] / budgets[0])


def momentum_moments(name, rate, rho, lam, steps):
    """(mean, variance) of x after so many steps of torch.optim.SGD along lam from x = 1, noise of variance lam a step.

    The variance adds up the answers to a unit of noise in each step, so it is a sum of squares of means.
    """

    def follow(x, v, count, kick=0.0):
        for t in range(count):
            g = lam * x + (kick if t == 0 else 0.0)
            v = rho * v + g
            x = x - rate * (g + rho * v if name == "Nesterov" else v)
        return x

    mean = follow(1.0, 0.0, steps)
    return mean, lam * math.fsum(follow(0.0, 0.0, steps - t, 1.0) ** 2 for t in range(steps))
