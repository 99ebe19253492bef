"""PAC-Bayes bounds for ReLU networks with Gaussian posteriors, and the rescaling of neurons that lowers them most.

A network is L matrices W_l (n_(l + 1), n_l + 1), the last column its biases. Multiplying what enters a hidden neuron by
lam > 0 and dividing what leaves it by lam changes no output, since relu(lam x) = lam relu(x). A posterior N(W, S^2),
entry by entry, pushed through such a rescaling is another posterior over weights and the same over functions, so its
errors are the same while its divergence from the prior N(0, sP^2),

    KL = sum_e [a_e^2 (w_e^2 + s_e^2) / (2 sP^2) - 1/2 - log(a_e s_e / sP)],

is not; a_e is the factor of weight e. KL is convex in the log lam jointly. All neurons but those of a layer held, with
A and B the sums of a^2 (w^2 + s^2) over what enters and what leaves a neuron without its own factor, and
c = (n_in - n_out) sP^2, the best is lam^2 = (c + sqrt(c^2 + 4 A B)) / (2 A): all neurons of a layer at once, layer
after layer, until nothing moves (Rouchouse, Gonon, Gribonval, Guedj, 2025, arXiv:2509.26149).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrices = Sequence[NDArray[np.float64]]

SWEEPS = 1000
SETTLED = 1e-13  # relative change of the factors at which they have settled


class Posterior(NamedTuple):
    """N(mean, deviation^2), entry by entry: L matrices (n_(l + 1), n_l + 1) each, deviations above 0."""

    mean: tuple
    deviation: tuple


def rescale(posterior: Posterior, factors: Matrices, biases: bool = True) -> Posterior:
    """The posterior pushed through the rescaling by the factors of the hidden neurons, L - 1 arrays (n_l,).

    Weights are multiplied by the factor of where they lead over that of where they come from, biases, the last column
    where there are any, by the first.
    """
    ends, shares = [np.ones(posterior.mean[0].shape[1] - biases), *factors, np.ones(len(posterior.mean[-1]))], []
    for layer in range(len(posterior.mean)):
        into = 1.0 / ends[layer]
        shares.append(ends[layer + 1][:, None] * (np.append(into, 1.0) if biases else into))
    return Posterior(*(tuple(a * m for a, m in zip(shares, matrices, strict=True)) for matrices in posterior))


def divergence(posterior: Posterior, prior_deviation: float) -> float:
    """KL(N(mean, deviation^2) || N(0, prior_deviation^2))."""
    total = 0.0
    for mean, deviation in zip(*posterior, strict=True):
        ratio = deviation / prior_deviation
        total += float((0.5 * (mean / prior_deviation) ** 2 + 0.5 * ratio**2 - 0.5 - np.log(ratio)).sum())
    return total


def best_factors(posterior: Posterior, prior_deviation: float, biases: bool = True) -> list[NDArray[np.float64]]:
    """The factors of the hidden neurons, L - 1 arrays (n_l,), with the least KL."""
    moments = [mean**2 + deviation**2 for mean, deviation in zip(*posterior, strict=True)]
    squares = [np.ones(len(moment)) for moment in moments[:-1]]  # lam^2
    for _ in range(SWEEPS):
        moved = 0.0
        for layer, old in enumerate(squares):
            into, out = _around(moments, squares, layer, biases)
            squares[layer] = _best_squares(into, out, prior_deviation**2)
            moved = max(moved, float(abs(squares[layer] / old - 1.0).max()))
        if moved <= SETTLED or len(squares) == 1:
            break
    return [np.sqrt(square) for square in squares]


def _around(moments, squares, layer, biases):
    """a^2 (w^2 + s^2) of what enters (n, n_in) and leaves (n_out, n) a layer's neurons, without their own factors."""
    into, out = moments[layer], moments[layer + 1]
    if layer:
        into = into / (np.append(squares[layer - 1], 1.0) if biases else squares[layer - 1])
    if layer + 1 < len(squares):
        out = out * squares[layer + 1][:, None]
    return into, out[:, :-1] if biases else out


def _best_squares(into, out, variance):
    """lam^2 (n,) of a layer's neurons, from `_around`; of the two forms of the root, the one where nothing cancels."""
    a, b = into.sum(axis=1), out.sum(axis=0)
    c = (into.shape[1] - len(out)) * variance
    root = np.sqrt(c * c + 4.0 * a * b)
    return (c + root) / (2.0 * a) if c >= 0.0 else 2.0 * b / (root - c)


def steepest(posterior: Posterior, prior_deviation: float) -> float:
    """The largest |dKL / dlog lam| over all hidden neurons, where all factors are 1; 0 where KL is least."""
    moments = [mean**2 + deviation**2 for mean, deviation in zip(*posterior, strict=True)]
    ones = [np.ones(len(moment)) for moment in moments[:-1]]
    most = 0.0
    for layer in range(len(ones)):
        into, out = _around(moments, ones, layer, True)
        slopes = (into.sum(axis=1) - out.sum(axis=0)) / prior_deviation**2 - into.shape[1] + len(out)
        most = max(most, float(abs(slopes).max()))
    return most


def inverse_kl(q: float, excess: float) -> float:
    """The largest p >= q with kl(q || p) = q log(q / p) + (1 - q) log((1 - q) / (1 - p)) <= excess, by bisection."""
    low, high = q, 1.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if _kl(q, middle) <= excess:
            low = middle
        else:
            high = middle
    return low


def _kl(q, p):
    """kl(q || p) of two coins, p in (0, 1)."""
    heads = q * math.log(q / p) if q > 0.0 else 0.0
    return heads + ((1.0 - q) * math.log((1.0 - q) / (1.0 - p)) if q < 1.0 else 0.0)


def maurer(error: float, divergence: float, rows: int, failure: float) -> float:
    """kl^-1(error, (KL + log(2 sqrt(n) / failure)) / n), Maurer's bound on a posterior's error but for such a chance.

    error: its mean error on the n train rows (Maurer, 2004, arXiv:cs/0411099).
    """
    return inverse_kl(error, (divergence + math.log(2.0 * math.sqrt(rows) / failure)) / rows)


def sampled_error(wrong: int, trials: int, draws: int, failure: float) -> float:
    """An upper bound on the mean error of a posterior from `draws` draws of it, each counted on `trials` rows.

    kl^-1(share, log(2 / failure) / draws) but for a chance of `failure` (Langford and Caruana, 2002): draws are
    independent, the rows of one are not.
    """
    return inverse_kl(wrong / (trials * draws), math.log(2.0 / failure) / draws)
