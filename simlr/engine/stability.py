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
    step_floor: NDArray[np.float64]  # (N,) the same where a step of Nesterov's ends, before the momentum; else floor
    critical_batch: NDArray[np.float64]  # (N,) of fresh rows, the size above which the given rate is stable; else NaN


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

    Nesterov's losses are at torch's parameters theta, where the gradient g is taken. The point after its step, theta -
    eta g, which others call the iterate, has the variance ((1 - a)^2 c + eta^2) times that of the noise: `step_floor`.
    `critical_batch` is the B at which G = 1, no whole number in general: below it the noise alone makes the rate
    unstable. At the `limit` of a batch size, where noise decides it, it is that batch size; inf above the mean's limit.

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
    if learning_rate is None:
        unknown = np.full(len(lam), np.nan)
        return Stability(limit, unknown, unknown.copy(), unknown.copy(), unknown.copy())
    eta = not_negative("learning_rate", learning_rate)
    gain = np.array([gains(one[one > 0.0], eta) for one in lam])
    floors = np.full((2, len(lam)), np.inf)
    for n in np.flatnonzero((eta < limit) & (gain < 1.0)):
        label = size * size / (1.0 - gain[n])  # of fresh rows, e + sigma^2
        floors[:, n] = _floors(lam[n], kind, eta, label if kind == "fresh" else size * size, batch, beta, nesterov)
    critical = np.array([_critical_batch(one[one > 0.0], eta, beta, nesterov) for one in lam])
    return Stability(limit, gain, floors[0], floors[1], critical if kind == "fresh" else np.full(len(lam), np.nan))


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


def _critical_batch(lam, eta, beta, nesterov):
    """The batch size at which the gain is 1."""
    if eta == 0.0 or lam.size == 0:
        return 0.0
    if not eta < _mean_limit(lam, beta, nesterov):
        return np.inf
    part = _variances(lam, eta, beta, nesterov) * lam * lam
    low, high = part.max(), part.max() + part.sum()  # G is inf, and at most 1
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        if (part / (middle - part)).sum() > 1.0:
            low = middle
        else:
            high = middle
    return high


def _floors(lam, kind, eta, sigma_2, batch, beta, nesterov):
    """The mean excess losses that noise settles at: at the parameters, and where a step ends."""
    moving = lam[lam > 0.0]
    if kind == "none" or sigma_2 == 0.0 or eta == 0.0 or moving.size == 0:
        return 0.0, 0.0
    ratio = _variances(moving, eta, beta, nesterov)
    noise = {"isotropic": np.ones_like(moving), "hessian": moving}.get(kind)
    if noise is None:  # fresh: (2 lam (e + sigma^2) + lam^2 r^2) / B with r^2 = ratio times it
        noise = 2.0 * moving / (batch - ratio * moving * moving)
    after = (1.0 - eta * moving) ** 2 * ratio + eta * eta if nesterov else ratio
    return tuple(0.5 * sigma_2 * (moving * noise * part).sum() for part in (ratio, after))
