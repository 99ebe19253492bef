"""What an optimal schedule is held against: the usual shapes with their best peaks, and greedy rates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...inputs import rules
from .gradient import Objective, read_objective
from .search import Layout, Problem, geometric_lengths

Array = NDArray[np.float64]
EXACT_STEPS = 4096  # beyond, shapes are staircases of so many pieces, geometric in steps to go
STAIRS = 1024
SCANNED, NARROWED = 25, 40

# Height over z, the share of the steps that have passed.
FAMILIES: dict[str, Callable[[Array], Array]] = {
    "constant": np.ones_like,
    "linear": lambda z: 1.0 - z,
    "cosine": lambda z: 0.5 * (1.0 + np.cos(np.pi * z)),
    "warmup_stable_decay": lambda z: np.minimum(1.0, (1.0 - z) / 0.2),
}


class Family(NamedTuple):
    """The best of one family."""

    learning_rate: float  # its peak
    loss: float


def heights(name: str, lengths: NDArray[np.int64]) -> Array:
    """The shape of a family over pieces (P,), of peak 1: its value in the middle of each."""
    first = np.cumsum(lengths) - lengths
    return FAMILIES[name]((first + 0.5 * (lengths - 1)) / lengths.sum())


def best_of(problem: Problem, name: str, largest: float, peak: float | None = None) -> Family:
    """The family's best peak at most `largest`, or the one that is given, and its loss."""
    shape = heights(name, problem.layout.lengths)
    if peak is not None:
        return Family(peak, _loss(problem.value(peak * shape)))
    tried = largest * np.geomspace(1e-7, 1.0, SCANNED)
    values = [problem.value(rate * shape) for rate in tried]
    best = int(np.argmin(values))
    low, high = np.log(tried[max(best - 1, 0)]), np.log(tried[min(best + 1, SCANNED - 1)])
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    found = {np.log(tried[best]): values[best]}

    def at(x):
        if x not in found:
            found[x] = problem.value(np.exp(x) * shape)
        return found[x]

    for _ in range(NARROWED):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if at(left) <= at(right) else (left, high)
        if high - low < 1e-6:
            break
    rate, value = min(found.items(), key=lambda item: item[1])
    return Family(float(np.exp(rate)), _loss(value))


def _loss(logarithm):
    """The loss of a logarithm: infinite where it has diverged."""
    with np.errstate(over="ignore"):
        return float(np.exp(logarithm))


def compared(
    objective: Objective, steps: int, warmup_steps: int, largest: float, peak: float | None
) -> dict[str, Family]:
    """The best of each family over so many steps, the warm-up included."""
    free = steps - warmup_steps
    lengths = np.ones(free, np.int64) if free <= EXACT_STEPS else geometric_lengths(free, STAIRS)
    problem = Problem(objective, Layout(lengths, warmup_steps))
    return {name: best_of(problem, name, largest, peak) for name in FAMILIES}


def greedy_rates(
    curvature: ArrayLike, residual: ArrayLike, steps: int, noise: dict[str, Any], *,
    test_matrix: ArrayLike | None = None, offset: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """The rates (T,) of gradient descent that each make the mean loss right after their own step least.

    With weights M_ii of the loss, second moments p = E r^2 and variances C of the gradient's noise,

        eta_t = sum_i lam_i M_ii (p_i + delta_i E r_i) / sum_i M_ii (lam_i^2 p_i + C_i),

    0 where that is negative: what tuning over a horizon of one step finds, which ends with rates far too small (Wu,
    Ren, Liao, Grosse 2018, arXiv:1803.02021). Arguments as in `simlr.loss_gradient`; over N problems the sums go over
    all.

    Raises
    ------
    InputError (a ValueError) for wrong shapes and values.
    """
    from ...kernels.stochastic import expectation as kernels

    given = read_objective(curvature, residual, noise, None, test_matrix, offset)
    count = rules.count("steps", steps)
    lam, p, x = given.curvature, given.residual**2, given.residual.copy()
    batch, sigma_2 = np.broadcast_to(given.batch, (count,)), given.sigma**2
    fixed = np.full_like(lam, sigma_2 if given.kind == kernels.ISOTROPIC else 0.0)
    if given.kind == kernels.HESSIAN:
        fixed = sigma_2 * lam
    rates = np.zeros(count)
    for t in range(count):
        variance = fixed
        if given.kind == kernels.FRESH:
            excess = 0.5 * (lam * p).sum(axis=1, keepdims=True)
            variance = lam * (2.0 * (excess + sigma_2) + lam * p) / batch[t]
        above = (lam * (given.weight * p + 0.5 * given.slope * x)).sum()
        below = (given.weight * (lam * lam * p + variance)).sum()
        eta = max(above / below, 0.0) if below > 0.0 else 0.0
        rates[t] = eta
        p, x = (1.0 - eta * lam) ** 2 * p + eta * eta * variance, (1.0 - eta * lam) * x
    return rates
