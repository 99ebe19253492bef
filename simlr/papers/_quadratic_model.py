"""The noisy quadratic model: how many steps a constant rate, momentum or pieces of constant rates take to a loss.

The loss is 1/2 sum_i h_i x_i^2, and the gradient h_i x_i + xi_i with Var xi_i = noise h_i / B at batch size B. With the
velocity v' = b v + g and x' = x - eta v', one axis goes through y = (x, v) by y' = A y + n xi,

    A = [1 - eta h, -eta b; h, b],  n = (-eta, 1).

After t steps E x^2 is the square of A^t's first column times E x_0^2, and noise h / B times W_t = sum_{k<t} A^k n n^T
A^kT. Both come by doubling, W_{s+t} = W_t + A^t W_s A^tT, so that any number of steps is some twenty products.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[np.float64]


class Model(NamedTuple):
    """A quadratic, its axes in bins of nearly equal curvature."""

    curvature: Array  # (m,) h
    start: Array  # (m,) E x_0^2
    weight: Array  # (m,) of E x^2 in the loss: half the curvature times the axes of the bin
    noise: float

    def loss(self, x_squared: Array) -> Array:
        """The loss of E x^2 (..., m)."""
        return (self.weight * x_squared).sum(axis=-1)


def binned(curvature: Array, start: Array, noise: float, bins: int) -> Model:
    """Axes (d,) in bins whose curvatures are geometric from the largest down to the smallest.

    An axis counts in the first bin whose curvature is not above its own, as in the paper's code. Empty bins are left
    out, and E x_0^2 of a bin is the mean over its axes.
    """
    if bins == 1 and np.ptp(curvature):
        raise InputError("study.bins must be 2 or more for curvatures that differ, got 1")
    values = np.geomspace(curvature.max(), curvature.min(), bins) if np.ptp(curvature) else curvature[:1]
    place = np.searchsorted(-values, -curvature * (1.0 + 1e-12))
    count = np.bincount(place, minlength=values.size)
    total = np.bincount(place, weights=start, minlength=values.size)
    kept = count > 0
    weight = np.asarray(0.5 * values * count, np.float64)
    return Model(values[kept], total[kept] / count[kept], weight[kept], noise)


class _Doubled(NamedTuple):
    """A^t (K, m), its four entries, and W_t, its three."""

    a: Array
    b: Array
    c: Array
    d: Array
    xx: Array
    xv: Array
    vv: Array


def _through(power, xx, xv, vv):
    """A^t S A^tT of symmetric S."""
    after_x, after_v = power.a * xx + power.b * xv, power.a * xv + power.b * vv
    other_x, other_v = power.c * xx + power.d * xv, power.c * xv + power.d * vv
    return power.a * after_x + power.b * after_v, power.c * after_x + power.d * after_v, (
        power.c * other_x + power.d * other_v
    )  # fmt: skip


def _twice(one: _Doubled) -> _Doubled:
    """Powers and sums of twice as many steps."""
    both = one.b * one.c
    more = _through(one, one.xx, one.xv, one.vv)
    trace = one.a + one.d
    return _Doubled(
        one.a * one.a + both, one.b * trace, one.c * trace, one.d * one.d + both,
        one.xx + more[0], one.xv + more[1], one.vv + more[2],
    )  # fmt: skip


def _first(model, rates, momentum):
    """One step at each rate."""
    eta, h = rates[:, None], model.curvature
    wide = np.ones((rates.size, h.size))
    return _Doubled(1.0 - eta * h, -eta * momentum * wide, h * wide, momentum * wide, eta**2 * wide, -eta * wide, wide)


def steps_to(model: Model, rates: Array, momentum: float, batches: Array, target: float, most: int) -> Array:
    """Steps (K, B) after which the loss is at most `target`, at each constant rate (K,) and batch size (B,).

    By halving, so where a loss is not falling throughout, one of the steps at which it falls below the target. 0 where
    it starts there; inf for rates that are not stable, and where it takes more than `most` steps or two powers of it.
    """
    found = np.full((rates.size, batches.size), np.inf)
    stable = rates * model.curvature.max() < 2.0 * (1.0 + momentum)
    if model.loss(model.start) <= target:
        return np.zeros_like(found)
    powers = [_first(model, rates[stable], momentum)]
    while 2 ** len(powers) <= most:
        powers.append(_twice(powers[-1]))
    shape = batches.size, int(stable.sum()), model.curvature.size
    x, v, xx, xv, vv = np.ones(shape), *(np.zeros(shape) for _ in range(4))
    scale = model.noise * model.curvature / batches[:, None, None]
    steps = np.zeros(shape[:2])
    for k in range(len(powers) - 1, -1, -1):
        power = powers[k]
        after = _through(power, xx, xv, vv)
        moved = power.a * x + power.b * v, power.c * x + power.d * v
        sums = after[0] + power.xx, after[1] + power.xv, after[2] + power.vv
        above = ~(model.loss(moved[0] ** 2 * model.start + scale * sums[0]) <= target)
        steps += np.where(above, 2.0**k, 0.0)
        x, v, xx, xv, vv = (
            np.where(above[:, :, None], new, old) for new, old in zip((*moved, *sums), (x, v, xx, xv, vv), strict=True)
        )
    found[stable] = np.where(steps + 1.0 <= most, steps + 1.0, np.inf).T
    return found


def fewest(model: Model, own: dict[str, Any], rates: Array, momenta: Array, batches: Array) -> tuple[Array, Array]:
    """The fewest steps (B,) over rates and momenta, and the rate that takes them."""
    best, rate = np.full(batches.size, np.inf), np.full(batches.size, np.nan)
    for momentum in momenta:
        steps = steps_to(model, rates, float(momentum), batches, own["target"], own["most_steps"])
        least = steps.argmin(axis=0)
        here = np.take_along_axis(steps, least[None], axis=0)[0]
        better = here < best
        best, rate = np.where(better, here, best), np.where(better, rates[least], rate)
    return best, rate


def fewest_of_pieces(
    model: Model, own: dict[str, Any], batch: float, enough: float, close: float
) -> tuple[float, Array]:
    """The fewest steps with the best rates of so many equal pieces, to `close` of themselves; and those rates.

    The loss of the best rates falls with the number of steps, so halving finds it, from the number `enough` that one
    rate takes. Each search starts at the best rates of another number of steps.
    """
    count = own["pieces"]
    found = np.full(count, np.nan)
    if not 0.0 < enough < np.inf:
        return float(enough), found
    low, high, start = 1, -(-int(enough) // count), np.geomspace(1.0, 1e-2, count) / model.curvature.max()
    while high - low > max(1.0, close * high):
        middle = max(int(np.sqrt(low * high)), low + 1) if low < high / 2 else (low + high) // 2
        loss, start = best_pieces(model, start, middle, batch)
        if loss <= own["target"]:
            high, found = middle, start
        else:
            low = middle
    return float(high * count), found


def best_pieces(model: Model, start: Array, length: int, batch: float) -> tuple[float, Array]:
    """Loss and rates (P,) of the best pieces of a length, near some rates, none above 2 / (1.0002 max h)."""
    from ..engine.optimal.gradient import read_objective
    from ..engine.optimal.search import Layout, Limits, Problem, solve_shape

    noise = {"kind": "gradient", "covariance": "hessian", "sigma": float(np.sqrt(model.noise / batch))}
    curvature, residual = model.curvature[None], np.sqrt(model.start)[None]
    objective = read_objective(curvature, residual, noise, test_matrix=model.weight)
    problem = Problem(objective, Layout(np.full(start.size, length)))
    limits = Limits(2.0 / (1.0002 * float(model.curvature.max())), None, "free", 0)
    best = solve_shape(problem, start, limits)
    return float(np.exp(best.value)), best.rates
