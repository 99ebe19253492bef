"""Losses of momentum at constant rates after 2^m steps, by squaring the step: a mode at a time, billions of steps.

With w = eta v, v the velocity, and a = eta lam, a step of torch.optim.SGD along a mode is

    w' = rho w + a x + eta xi,    x' = x - c1 (a x + eta xi) - c2 w,    xi of variance sigma^2 lam / B,

c1 = 1, c2 = rho for Polyak's momentum and c1 = 1 + rho, c2 = rho^2 for Nesterov's; rho = 0 is SGD. n steps are a matrix
I + A_n and a covariance Q_n: A_2n = 2 A_n + A_n A_n, Q_2n = Q_n + (I + A_n) Q_n (I + A_n)^T. A_n, the difference from
I, keeps what a rate of 1e-20 adds.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
OPTIMIZERS = ["SGD", "Polyak", "Nesterov"]
DIVERGED = 1e100


class Moments(NamedTuple):
    """After n steps: x_n = across x_0 + noise, where noise has variance `variance` times sigma^2 / B; any one shape."""

    across: Array
    variance: Array


def coefficients(name: str, rho: Array) -> tuple[Array, Array]:
    """c1, c2 of an optimiser of `OPTIMIZERS` with momentum rho."""
    return (1.0 + rho, rho * rho) if name == "Nesterov" else (np.ones_like(rho), rho)


def after(name: str, rate: Array, left: Array, lam: Array, doublings: int) -> Moments:
    """Moments along curvatures lam after 2^doublings steps at a rate, left = 1 - rho; shapes that broadcast."""
    a, gone, lam = np.broadcast_arrays(rate * lam, left, lam)
    c1, c2 = coefficients(name, 1.0 - gone)
    eta_2 = (a / lam) ** 2 * lam
    xx, xw, wx, ww = -c1 * a, -c2, a, -gone  # A
    p, q, r = c1 * c1 * eta_2, -c1 * eta_2, eta_2  # Q: of x, x w, w
    with np.errstate(all="ignore"):
        for _ in range(doublings):
            m, n = 1.0 + xx, 1.0 + ww
            p, q, r = (
                p + m * m * p + 2.0 * m * xw * q + xw * xw * r,
                q + m * wx * p + (m * n + xw * wx) * q + xw * n * r,
                r + wx * wx * p + 2.0 * wx * n * q + n * n * r,
            )
            both = xw * wx
            xx, xw, wx, ww = (
                2.0 * xx + xx * xx + both,
                xw * (2.0 + xx + ww),
                wx * (2.0 + xx + ww),
                2.0 * ww + ww * ww + both,
            )
        return Moments(1.0 + xx, p)


def gain(name: str, rate: Array, left: Array, lam: Array, count: Array, batch: float) -> Array:
    """G = sum_j n_j g_j / (B - g_j) over the last axis: what share of the excess loss the rows' own noise gives back.

    g_j = c_j lam_j^2, c_j the stationary variance under noise of variance 1 (see `simlr.stability`); a rate is stable
    where G < 1. inf where the mean is not stable, or some g_j is not below B.
    """
    a, gone, count = np.broadcast_arrays(rate * lam, left, count)
    rho = 1.0 - gone
    with np.errstate(all="ignore"):
        if name == "Nesterov":
            above = a * (1.0 + rho + rho * (1.0 + 2.0 * rho) * a)
            limit = 2.0 * (1.0 + rho) - (1.0 + 2.0 * rho) * a
            part = above / ((gone + rho * a) * limit)
        else:
            limit = 2.0 * (1.0 + rho) - a
            part = a * (1.0 + rho) / (gone * limit)
        total = (count * part / (batch - part)).sum(axis=-1)
    return np.where((limit > 0.0).all(axis=-1) & (part < batch).all(axis=-1), total, np.inf)


class Setting(NamedTuple):
    """One problem and how it is run."""

    lam: Array  # (d,)
    start: Array  # (d,) r^2 at the start
    modes: Array  # (d,) in each bin
    batch: float
    sigma: float
    doublings: int  # m of 2^m steps
    least_left: float  # of 1 - rho


def losses(name: str, rate: Array, left: Array, own: Setting) -> Array:
    """Excess losses, rate and left = 1 - rho of any one shape; inf where a rate is not stable: G >= 1/2."""
    stable = gain(name, rate[..., None], left[..., None], own.lam, own.modes, own.batch) < 0.5
    found = after(name, rate[..., None], left[..., None], own.lam, own.doublings)
    with np.errstate(all="ignore"):
        squares = found.across**2 * own.start + found.variance * (own.sigma**2 / own.batch)
        value = 0.5 * (own.modes * own.lam * squares).sum(axis=-1)
        return np.where(stable & (value < DIVERGED), value, np.inf)


def best(name: str, own: Setting) -> tuple[float, float, float]:
    """(loss, rate, 1 - rho) of the least loss over rates and momenta.

    1 - rho from 1 down in powers of 2 to 2^-(m + 4), rates from 4/lam_1 down in powers of 2, then in powers of 2^(1/4)
    around the best. A rate below 2^-(m + 10) hardly moves anything.
    """
    least = 1.0 if name == "SGD" else own.least_left
    left = np.maximum(0.5 ** np.arange(own.doublings + 5), least)
    left = np.unique(left)
    rates = 4.0 / own.lam.max() * 0.5 ** np.arange(own.doublings + 12)
    found = losses(name, rates[:, None], left[None, :], own)
    row, column = np.unravel_index(int(np.argmin(found)), found.shape)
    finer = rates[row] * 2.0 ** (np.arange(-3, 4) / 4.0)
    narrow = losses(name, finer, np.full(finer.size, left[column]), own)
    at = int(np.argmin(narrow))
    return float(narrow[at]), float(finer[at]), float(left[column])
