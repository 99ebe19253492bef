"""What one would write without simlr: slow and obvious twins to check its kernels by, and loops to time beside them.

Arrays in, arrays out, in float64; nothing here is compiled by simlr or shares a line with it. The twins are

    descent     r_i <- (1 - eta_t lam_i) r_i, stopped where 1/2 sum_i lam_i r_i^2 <= level
    crossing    the time tau at which 1/2 sum_i lam_i exp(-2 lam_i tau) r_i^2 = level, by halving a bracket
    philox      NumPy's own generator at the address of a stream
    regression  eigenvalues, residual and floors of least squares on some rows, tested on others

and `numpy_loop`, `numpy_crossing` and `jax_scan` are the fastest forms of the same found in NumPy and JAX.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels.status import DIVERGED, OUT_OF_STEPS, REACHED

LIMIT = 1e100


def descent_inputs(
    axes: int, seeds: int, schedules: int = 64, steps: int = 2000, root: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Curvature (N, d) uniform in [0.2, 1.4], residuals (N, d) standard normal, and cosine rates (S, T).

    Schedule s has the rates 0.014 (1 + cos(pi t / T)) (s + 1) / S: its cells stop at very different steps.
    """
    generator = np.random.default_rng(root)
    curvature = generator.uniform(0.2, 1.4, (seeds, axes))
    residual = generator.standard_normal((seeds, axes))
    cosine = 0.014 * (1.0 + np.cos(np.pi * np.arange(steps) / steps))
    return curvature, residual, np.outer(np.arange(1, schedules + 1) / schedules, cosine)


class Mismatch(Exception):
    """simlr and its twin do not agree."""


def expect(what: str, values: NDArray, wanted: NDArray, tolerance: float = 0.0) -> None:
    """Raise `Mismatch` where an array differs from the twin's by more than a relative tolerance (NaN equals NaN)."""
    values, wanted = np.asarray(values), np.asarray(wanted)
    if values.shape != wanted.shape:
        raise Mismatch(f"{what}: shape {values.shape}, the twin has {wanted.shape}")
    same = (values == wanted) | np.isclose(values, wanted, rtol=tolerance, atol=0.0, equal_nan=True)
    if not same.all():
        place = tuple(int(i) for i in np.argwhere(~same)[0])
        count = f"{np.count_nonzero(~same)} of {same.size} values differ"
        raise Mismatch(f"{what}: {count}, the first at {place}: {values[place]!r}, the twin has {wanted[place]!r}")


# ---- twins ----


def descent(
    curvature: NDArray[np.float64], residual: NDArray[np.float64], rates: NDArray[np.float64], levels: Sequence[float]
) -> tuple[NDArray, ...]:
    """Stop step, status, train loss and test loss 1/2 sum_i r_i^2 of every cell at every level, each (S, N, E)."""
    shape = (len(rates), len(curvature), len(levels))
    step, status = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    train, test = np.zeros(shape), np.zeros(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for s, eta in enumerate(rates):
            r = residual.copy()
            for t in range(eta.size + 1):
                loss, half_square = 0.5 * (curvature * r * r).sum(axis=1), 0.5 * (r * r).sum(axis=1)
                diverged = ~(loss <= LIMIT)
                for e, level in enumerate(levels):
                    reached = loss <= level
                    ends = (status[s, :, e] == 0) & (diverged | reached | (t == eta.size))
                    status[s, ends, e] = np.where(diverged, DIVERGED, np.where(reached, REACHED, OUT_OF_STEPS))[ends]
                    step[s, ends, e], train[s, ends, e], test[s, ends, e] = t, loss[ends], half_square[ends]
                if t < eta.size:
                    r = (1.0 - eta[t] * curvature) * r
    return step, status, train, test


def crossing(curvature: NDArray[np.float64], residual: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The time at which the gradient flow crosses a level below its start, (N,); every curvature positive."""

    def loss(tau):
        return 0.5 * (curvature * np.exp(-2.0 * curvature * tau[:, None]) * residual**2).sum(axis=1)

    low, high = np.zeros(len(curvature)), np.ones(len(curvature))
    while (loss(high) > level).any():
        high = np.where(loss(high) > level, 2.0 * high, high)
    for _ in range(100):
        middle = 0.5 * (low + high)
        above = loss(middle) > level
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def philox(root: int, seed: int, purpose: int, step: int) -> np.random.Generator:
    """NumPy's generator of the stream (root, seed, purpose, step)."""
    key = np.array([root, seed], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, step, purpose, 0], np.uint64)))


def regression(
    features: NDArray[np.float64], target: NDArray[np.float64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple:
    """Of least squares on the rows `train`, tested on the rows `test`: what simlr keeps of one such problem.

    Returns curvature (descending), the square of the start's residual along each axis (the sign of an eigenvector is
    free), the train floor and the test floor.
    """
    x, y, z, w = features[train], target[train], features[test], target[test]
    theta, star = (np.linalg.lstsq(*rows, rcond=None)[0] for rows in ((x, y), (z, w)))
    curvature, axes = np.linalg.eigh(2.0 / len(y) * x.T @ x)
    floors = [np.mean((a @ b - c) ** 2) for a, b, c in ((x, theta, y), (z, star, w))]
    return curvature[::-1], ((axes.T @ theta) ** 2)[::-1], *floors


# ---- loops to time ----


def numpy_loop(
    curvature: NDArray[np.float64], residual: NDArray[np.float64], rates: NDArray[np.float64], level: float
) -> NDArray:
    """Stop steps (S, N): all cells at once, a column an axis, in place, until the last one has stopped."""
    shape = (len(rates), len(curvature))
    lam = [np.ascontiguousarray(column) for column in curvature.T]
    r = [np.broadcast_to(column, shape).copy() for column in residual.T]
    stop, loss, work = np.zeros(shape, np.int64), np.empty(shape), np.empty(shape)
    for t in range(rates.shape[1]):
        loss[:] = 0.0
        for column, x in zip(lam, r, strict=True):
            np.multiply(x, x, out=work)
            work *= 0.5 * column
            loss += work
        live = loss > level
        stop += live
        if t % 64 == 0 and not live.any():
            break
        gain = np.where(live, -rates[:, t, None], 0.0)
        for column, x in zip(lam, r, strict=True):
            np.multiply(gain, column, out=work)
            work += 1.0
            x *= work
    return stop


def numpy_crossing(
    curvature: NDArray[np.float64], residual: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Crossing times (N, E) for falling levels: Newton's method on the logarithm of the loss, all seeds at once."""
    weight, tau, times = 0.5 * curvature * residual**2, np.zeros(len(curvature)), []
    for level in levels:
        while True:
            terms = weight * np.exp(-2.0 * tau[:, None] * curvature)
            loss = terms.sum(axis=1)
            move = np.maximum(np.log(loss / level) * loss / (2.0 * (curvature * terms).sum(axis=1)), 0.0)
            tau = tau + move
            if (move <= 1e-14 * tau).all():
                break
        times.append(tau)
    return np.stack(times, axis=1)
