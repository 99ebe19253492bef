"""Slow twins of the estimates over seeds: enumerations, loops over seeds, resamples made one by one."""

import itertools
import math
import statistics

import numpy as np


def sign_test(wins, losses):
    """Two-sided p, by counting the outcomes of all fair coins that are at least as lopsided."""
    trials = wins + losses
    outcomes = [sum(coins) for coins in itertools.product((0, 1), repeat=trials)]
    far = abs(wins - trials / 2)
    return sum(abs(heads - trials / 2) >= far for heads in outcomes) / len(outcomes)


def wins_by_resampling(losses, times, seed):
    """How often each of V lists of losses has the smallest median of a resample of the seeds; ties shared."""
    rng = np.random.default_rng(seed)
    wins = [0.0] * len(losses)
    for _ in range(times):
        picked = rng.integers(0, len(losses[0]), len(losses[0]))
        medians = [statistics.median(own[i] for i in picked) for own in losses]
        best = [v for v, median in enumerate(medians) if median == min(medians)]
        for v in best:
            wins[v] += 1.0 / len(best)
    return [won / times for won in wins]


def bias_and_variance(errors, sigma):
    """(bias^2, variance) of errors (N, d) in the metric sigma, unbiased, by the sum over all pairs of seeds."""
    count = len(errors)
    inner = [[float(a @ sigma @ b) for a in errors] for b in errors]
    between = sum(inner[m][n] for m in range(count) for n in range(count) if m != n) / (count * (count - 1))
    return between, sum(inner[n][n] for n in range(count)) / count - between


def jackknife(estimate, count):
    """The jackknife's standard error of estimate(list of seeds)."""
    left_out = [estimate([m for m in range(count) if m != n]) for n in range(count)]
    mean = sum(left_out) / count
    return math.sqrt((count - 1) / count * sum((value - mean) ** 2 for value in left_out))


def compared(a, b, train_a, train_b, excess):
    """The rule of comparisons by loops: a and b are losses, inf where a level was not reached, None where none can.

    Returns {name: number} of what is counted, and the logarithms of the ratios.
    """
    found = dict.fromkeys(("pairs", "apart", "missed_a", "missed_b", "missed_both", "wins", "losses", "ties"), 0)
    logs = []
    for x, y, one, other in zip(a, b, train_a, train_b, strict=True):
        if x is None or y is None:
            continue
        if x < math.inf and y < math.inf and abs(one - other) > 0.01 * excess:
            found["apart"] += 1
            continue
        found["pairs"] += 1
        found["missed_a"] += x == math.inf
        found["missed_b"] += y == math.inf
        found["missed_both"] += x == y == math.inf
        found["wins"] += x < y
        found["losses"] += x > y
        found["ties"] += x == y
        logs.append(0.0 if x == y else math.inf if x == math.inf else -math.inf if y == math.inf else math.log(x / y))
    return found, sorted(logs)


def median_ends(values):
    """The k-th smallest and k-th largest of n values, k the largest with 2 P(B < k) <= 5 %, B heads of n fair coins."""
    n = len(values)
    below = [sum(math.comb(n, j) for j in range(k)) / 2**n for k in range(n + 1)]
    rank = max((k for k in range(n // 2 + 1) if 2.0 * below[k] <= 0.05), default=0)
    return (sorted(values)[rank - 1], sorted(values)[n - rank]) if rank else (-math.inf, math.inf)


def shares(curvature, residual, offset, matrix):
    """Train and test shares of one cell, the steepest direction first."""
    axes = range(len(curvature))
    train = [0.5 * curvature[i] * residual[i] ** 2 for i in axes]
    v = [residual[i] + offset[i] for i in axes]
    test = [v[i] * sum(matrix[i][j] * v[j] for j in axes) for i in axes]
    order = sorted(axes, key=lambda i: -curvature[i])
    return [train[i] / sum(train) for i in order], [test[i] / sum(test) for i in order]


def tuned_ratio(first, second):
    """Two sides {name: losses of the seeds}: the best median of each on seeds 0, 2, ..., compared on seeds 1, 3, ...

    Returns the two names, the median ratio (of logarithms), seeds in which the first is smaller, and seeds compared.
    """
    chosen = []
    for side in (first, second):
        medians = {name: statistics.median(losses[::2]) for name, losses in side.items()}
        chosen.append(min(medians, key=medians.get))
    a, b = first[chosen[0]][1::2], second[chosen[1]][1::2]
    logs = [math.log(x / y) for x, y in zip(a, b, strict=True)]
    wins = sum(x < y for x, y in zip(a, b, strict=True))
    return *chosen, math.exp(statistics.median(logs)), wins, len(logs)
