"""`simlr.stability`: the largest stable learning rate of stochastic gradient descent, and its noise floor."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.rules import array, not_negative, number
from .expectation import one_optimizer, read_noise

HALVINGS = 200
SCANNED = 400  # rates over fourteen powers of ten below the limit of the mean, for the first unstable one
LOWEST = 1e-14


class Stability(NamedTuple):
    """Of each of N problems."""

    limit: NDArray[np.float64]  # (N,) the mean loss stays bounded at constant rates below it
    gain: NDArray[np.float64]  # (N,) at the given rate: what share of the excess loss the noise gives back
    floor: NDArray[np.float64]  # (N,) the mean excess train loss that it settles at, inf where it does not


def stability(
    curvature: ArrayLike, noise: dict[str, Any], optimizer: dict[str, Any] | None = None,
    learning_rate: float | None = None,
) -> Stability:  # fmt: skip
    """The limit of stability, and at a constant rate the gain and the noise floor.

    Along one axis, noise of variance 1 in every gradient settles at a variance c(eta, lam) of r, the fixed point of the
    recursions of `simlr.expected_losses`. With a = eta lam and beta the momentum, 0 for gradient descent,

        momentum    c = (eta / lam) (1 + beta) / ((1 - beta) (2 (1 + beta) - a)),                    a < 2 (1 + beta)
        Nesterov    c = (eta / lam) (1 + beta + beta (1 + 2 beta) a)
                        / ((1 - beta + beta a) (2 (1 + beta) - (1 + 2 beta) a)),     a < 2 (1 + beta) / (1 + 2 beta).

    Fresh Gaussian rows, B a step, have the variance (2 lam (e + sigma^2) + lam^2 r^2) / B with the mean excess loss e,
    so that

        G = sum_i c_i lam_i^2 / (B - c_i lam_i^2),    e = G (e + sigma^2) = sigma^2 G / (1 - G),

    and a rate is stable where the mean is, every c_i lam_i^2 < B, and G < 1. With noise that does not depend on r the
    mean alone decides, and the floor is 1/2 sum_i lam_i c_i times its variance along axis i.

    Parameters
    ----------
    curvature : (N, d)
        lam >= 0; flat axes do not move with fresh rows, and wander without end with isotropic noise.
    noise, optimizer
        As `simlr.expected_losses` has them, the batch size a number; not mini-batches of given rows.
    learning_rate
        Where gain and floor are wanted; NaN without.

    Raises
    ------
    InputError (a ValueError) for wrong shapes and values.
    """
    lam, source = array("curvature", curvature, (2,), least=0.0), read_noise(noise, ("none", "gradient", "fresh"))
    method = {"kind": "gd"} if optimizer is None else one_optimizer(optimizer)
    beta, nesterov, size = method.get("momentum", 0.0), method["kind"] == "nesterov", source.get("sigma", 0.0)
    batch = number("noise.batch_size", source.get("batch_size", 1.0), least=1.0, rule="a number >= 1")
    kind = source.get("covariance", source["kind"])

    def gains(axes, eta):
        return _gain(axes, eta, batch, beta, nesterov) if kind == "fresh" else 0.0

    limit = np.array([_limit(one[one > 0.0], gains, beta, nesterov) for one in lam])
    nothing = np.full(len(lam), np.nan)
    if learning_rate is None:
        return Stability(limit, nothing, nothing.copy())
    eta = not_negative("learning_rate", learning_rate)
    gain = np.array([gains(one[one > 0.0], eta) for one in lam])
    floor = np.array([_floor(one, kind, eta, size * size, beta, nesterov) for one in lam])
    if kind == "fresh":
        with np.errstate(all="ignore"):
            floor = np.where(gain < 1.0, size * size * gain / (1.0 - gain), np.inf)
    return Stability(limit, gain, np.where(eta < limit, floor, np.inf))


def _mean_limit(lam, beta, nesterov):
    """The largest eta at which the mean along the largest lam stays bounded."""
    return 2.0 * (1.0 + beta) / ((1.0 + 2.0 * beta if nesterov else 1.0) * lam.max())


def _variances(lam, eta, beta, nesterov):
    """c (d,): the stationary variance of r along each axis under noise of variance 1, below `_mean_limit`.

    r_(t+2) = tr r_(t+1) - det r_t - k xi_(t+1) - w xi_t is an ARMA(2, 1) process, of variance
    ((k^2 + w^2) (1 + det) + 2 k w tr) / ((1 - det) (1 + det - tr) (1 + det + tr)).
    """
    a = eta * lam
    if nesterov:
        above = (1.0 + beta) + beta * (1.0 + 2.0 * beta) * a
        below = (1.0 - beta + beta * a) * (2.0 * (1.0 + beta) - (1.0 + 2.0 * beta) * a)
    else:
        above, below = 1.0 + beta, (1.0 - beta) * (2.0 * (1.0 + beta) - a)
    return eta / lam * (above / below)


def _gain(lam, eta, batch, beta, nesterov):
    """G, inf where the variance along some axis has no limit."""
    if eta == 0.0 or lam.size == 0:
        return 0.0
    if not eta < _mean_limit(lam, beta, nesterov):
        return np.inf
    part = _variances(lam, eta, beta, nesterov) * lam * lam
    return float((part / (batch - part)).sum()) if (part < batch).all() else np.inf


def _limit(lam, gains, beta, nesterov):
    """The first rate at which the mean or the variance has no limit."""
    if lam.size == 0:
        return np.inf
    high = _mean_limit(lam, beta, nesterov)
    if gains(lam, high * (1.0 - 1e-12)) < 1.0:
        return high
    scanned = high * np.geomspace(LOWEST, 1.0 - 1e-12, SCANNED)
    first = next(place for place, eta in enumerate(scanned) if gains(lam, eta) >= 1.0)
    low, high = (scanned[first - 1] if first else 0.0), scanned[first]
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if gains(lam, middle) < 1.0:
            low = middle
        else:
            high = middle
    return low


def _floor(lam, kind, eta, sigma_2, beta, nesterov):
    """The mean excess loss that noise of fixed size settles at."""
    if kind == "none" or sigma_2 == 0.0 or eta == 0.0:
        return 0.0
    moving = lam[lam > 0.0]
    if moving.size == 0:
        return 0.0
    own = moving * _variances(moving, eta, beta, nesterov) * sigma_2
    return float(0.5 * (own * moving if kind == "hessian" else own).sum())
