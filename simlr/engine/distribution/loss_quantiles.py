"""`simlr.loss_quantiles`: quantiles of the losses over the noise, where the iterate is normal; no seed drawn."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from ...inputs.rules import array
from ..expectation import check_shape, coefficients, expected_losses, one_optimizer, read_noise
from . import quadratic_forms

FIXED = "none", "gradient"  # noise of a fixed size, which leaves the iterate normal


class LossQuantiles(NamedTuple):
    """Quantiles of the losses after each of K numbers of steps, at Q probabilities; inf where the mean is.

    S schedules, N problems. The train loss is that above its floor.
    """

    step: NDArray[np.int64]  # (K,)
    probability: NDArray[np.float64]  # (Q,)
    train_loss: NDArray[np.float64]  # (S, N, K, Q)
    test_loss: NDArray[np.float64]  # (S, N, K, Q)


def loss_quantiles(
    curvature: ArrayLike, residual: ArrayLike, learning_rate: ArrayLike, noise: dict[str, Any],
    probability: ArrayLike = (0.05, 0.5, 0.95), optimizer: dict[str, Any] | None = None, *,
    test_diagonal: ArrayLike | None = None, offset: ArrayLike | None = None, steps: ArrayLike | None = None,
) -> LossQuantiles:  # fmt: skip
    """Quantiles of the train and test loss over gradient noise: exact, for a normal iterate's loss is a sum of squares.

    Every axis of the Hessian moves by itself there, r_i ~ N(m_i, s_i^2), by recursions of their own; the train loss
    1/2 sum_i lam_i r_i^2 and the test loss sum_i M_i (r_i + offset_i)^2 have the distribution of
    `distribution.quadratic_forms`, whose integral is taken to about 14 digits.

    Parameters
    ----------
    curvature, residual, learning_rate, optimizer, offset, steps
        As of `simlr.expected_losses`.
    noise
        {"kind": "gradient", ...} or {"kind": "none"}, as of `simlr.expected_losses`: with mini-batches and fresh rows
        the iterate is not normal.
    probability : (Q,) or a number
        Between 0 and 1, ends left out; 0.5 is the median.
    test_diagonal : (d,) or (N, d)
        M_i >= 0; default 1/2.

    Raises
    ------
    InputError (a ValueError) for wrong shapes and values, other noise, and averages, whose quantiles are not known.

    Notes
    -----
    One quantile of one loss takes about 10 ms for up to 100 axes, and grows with their number.
    """
    p = np.atleast_1d(array("probability", probability, (0, 1)))
    if not ((p > 0.0) & (p < 1.0)).all():
        raise InputError(f"probability must lie between 0 and 1, got {p[~((p > 0.0) & (p < 1.0))][0]:g}")
    if read_noise(noise)["kind"] not in FIXED:
        raise InputError(
            f"noise {noise['kind']!r}: its size depends on the iterate, which is not normal, so that quantiles are not "
            "known; take 'gradient', or draw seeds with simlr.run"
        )
    method = {"kind": "gd"} if optimizer is None else one_optimizer(optimizer)
    if method.get("average", "none") != "none":
        raise InputError(f"optimizer.average {method['average']!r}: quantiles are those of the last iterate")
    lam, start = array("curvature", curvature, (2,), least=0.0), array("residual", residual, (2,))
    moved = np.zeros_like(start) if offset is None else array("offset", offset, (2,))
    weight = np.full(start.shape, 0.5) if test_diagonal is None else array("test_diagonal", test_diagonal, (1, 2), 0.0)
    check_shape("residual", start, lam.shape)
    check_shape("offset", moved, lam.shape)
    if weight.shape not in (start.shape, start.shape[1:]):
        raise InputError(f"test_diagonal must have shape {start.shape[1:]} or {start.shape}, got {weight.shape}")
    at, variance = _variances(lam, learning_rate, noise, optimizer, steps)
    mean = _means(lam, start, np.asarray(learning_rate, np.float64), method, at)
    train = _quantiles(0.5 * lam[:, None], mean, variance, p)
    test = _quantiles(np.broadcast_to(weight, start.shape)[:, None], mean + moved[:, None], variance, p)
    return LossQuantiles(at, p, train, test)


def _means(lam, start, eta, method, at):
    """The mean iterate (S, N, K, d): the noise has none, and so it is that of exact gradients."""
    beta, own, old = coefficients(method)
    mean = np.broadcast_to(start, (len(eta), *start.shape)).copy()
    velocity, kept = np.zeros_like(mean), []
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(int(at[-1]) + 1):
            if t in at:
                kept.append(mean.copy())
            if t < at[-1]:
                gradient = lam * mean
                mean -= eta[:, t, None, None] * (own * gradient + old * velocity)
                velocity = beta * velocity + gradient
    return np.stack(kept, axis=2)


def _variances(lam, eta, noise, optimizer, steps):
    """Steps (K,), and the variance (S, N, K, d) of every axis: the mean square of one that starts at its minimum."""
    alone = lam.reshape(-1, 1)
    found = expected_losses(alone, np.zeros_like(alone), eta, noise, optimizer, test_matrix=np.ones(1), steps=steps)
    return found.step, np.moveaxis(found.test_loss.reshape(-1, *lam.shape, found.step.size), 2, 3)


def _quantiles(weight, mean, variance, p):
    """(S, N, K, Q) of sums of squares, weight (N, 1, d), mean and variance (S, N, K, d)."""
    found = np.empty((*mean.shape[:3], p.size))
    for place in np.ndindex(mean.shape[:3]):
        known = np.isfinite(mean[place]).all() and np.isfinite(variance[place]).all()
        form = quadratic_forms.form_of(weight[place[1], 0], mean[place], variance[place]) if known else None
        found[place] = [quadratic_forms.quantile(form, float(one)) if form else np.inf for one in p]
    return found
