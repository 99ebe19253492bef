"""What `rouchouse2025` measures of one network: its bounds with and without rescaling, and what shows them right."""

from typing import Any

import numpy as np

from . import _pac_bayes

PRIORS = tuple(float(deviation) for deviation in np.geomspace(0.1, 2.0, 20))
FAILURE = 0.05  # of the bound: a fifth for the draws, the rest for Maurer's
BEST = ("bound", "divergence", "posterior_deviation", "prior_deviation", "sampled_error")


def bounds_of(own: dict[str, Any], matrices: tuple, sampled: list[float], rows: int, network: int) -> dict[str, float]:
    """The arrays of one network but its own errors.

    Parameters
    ----------
    own
        The study's parameters.
    matrices
        The trained weights, L matrices (outputs, inputs + 1).
    sampled
        An upper bound on the posterior's error on the train rows for each of the deviations.
    rows
        How many train rows there are.
    network
        Its number, which the random rescaling is drawn for.
    """
    failure = 0.8 * FAILURE / len(PRIORS)
    plain: list[tuple[float, ...]] = []
    rescaled: list[tuple[float, ...]] = []
    for deviation, error in zip(own["deviations"], sampled, strict=True):
        posterior = _posterior(matrices, deviation)
        for prior in PRIORS:
            factors = _factors(posterior, prior, own["push"])
            both = posterior, _pushed(posterior, factors, own["push"])
            for one, best in zip(both, (plain, rescaled), strict=True):
                divergence = _pac_bayes.divergence(one, prior)
                bound = _pac_bayes.maurer(error, divergence, rows, failure)
                best.append((bound, divergence, deviation, prior, error))
    found: dict[str, float] = {}
    for side, least in (("plain", min(plain)), ("rescaled", min(rescaled))):
        found |= {f"{side}_{name}": value for name, value in zip(BEST, least, strict=True)}
    posterior = _posterior(matrices, found["rescaled_posterior_deviation"])
    return found | _witnesses(own, posterior, found["rescaled_prior_deviation"], network)


def _posterior(matrices, deviation):
    """N(W, deviation^2)."""
    return _pac_bayes.Posterior(tuple(matrices), tuple(np.full(matrix.shape, deviation) for matrix in matrices))


def _factors(posterior, prior, push):
    """The best factors, or, where nothing is to be pushed, ones."""
    if push == "nothing":
        return [np.ones(len(matrix)) for matrix in posterior.mean[:-1]]
    return _pac_bayes.best_factors(posterior, prior)


def _pushed(posterior, factors, push):
    """The posterior pushed through a rescaling, or its means alone."""
    whole = _pac_bayes.rescale(posterior, factors)
    return whole._replace(deviation=posterior.deviation) if push == "means" else whole


def balanced(matrices: tuple) -> tuple:
    """The same function, rescaled beforehand so that what enters and what leaves a neuron weighs the same."""
    posterior = _posterior(matrices, 0.2)
    return _pac_bayes.rescale(posterior, _pac_bayes.best_factors(posterior, 0.5)).mean


def _witnesses(own, posterior, prior, network):
    """How far the factors are from the least divergence, and what a random rescaling changes."""
    factors = _factors(posterior, prior, own["push"])
    least = _pac_bayes.divergence(_pushed(posterior, factors, own["push"]), prior)
    random = np.random.Generator(np.random.Philox(key=np.array([network, 0], np.uint64)))
    any_factors = [np.exp(random.uniform(-1.0, 1.0, factor.size)) for factor in factors]
    elsewhere = _pushed(posterior, any_factors, own["push"])
    again = _pushed(elsewhere, _factors(elsewhere, prior, own["push"]), own["push"])
    shifted = _pac_bayes.rescale(posterior, factors)._replace(deviation=posterior.deviation)
    plain = _pac_bayes.divergence(posterior, prior)
    return {
        "slope": _pac_bayes.steepest(_pac_bayes.rescale(posterior, factors), prior) / plain,
        "moved_plain": _pac_bayes.divergence(elsewhere, prior) / plain - 1.0,
        "moved_rescaled": _pac_bayes.divergence(again, prior) / least - 1.0,
        "shifted_divergence": _pac_bayes.divergence(shifted, prior),
    }


def one_neuron(push: str = "both") -> list[float]:
    """KL of the paper's f(x) = w2 relu(w1 x) with w = (4, 1/4), sQ = 0.1, sP = 1, and the least over its rescalings."""
    posterior = _posterior((np.array([[4.0]]), np.array([[0.25]])), 0.1)
    factors = [np.ones(1)] if push == "nothing" else _pac_bayes.best_factors(posterior, 1.0, biases=False)
    pushed = _pac_bayes.rescale(posterior, factors, biases=False)
    if push == "means":
        pushed = pushed._replace(deviation=posterior.deviation)
    return [_pac_bayes.divergence(posterior, 1.0), _pac_bayes.divergence(pushed, 1.0)]
