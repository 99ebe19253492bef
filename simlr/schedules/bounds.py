"""The bound on the last iterate of (sub)gradient descent on convex functions, for any schedule of learning rates.

For a convex f, a minimiser at distance D from the start, and subgradients g_t of norm at most G_t, the T steps
x_{t+1} = x_t - eta_t g_t end with f(x_T) - f* <= Omega_T, S = sum_{t<=T} eta_t:

    Omega_T = D^2 / (2 S) + sum_t eta_t^2 G_t^2 / (2 S)
              + 1/2 sum_{k<T} [eta_k / sum_{t>k} eta_t] [sum_{t>=k} eta_t^2 G_t^2 / sum_{t>=k} eta_t]

Source: Defazio, Cutkosky, Mehta, Mishchenko (2023), arXiv:2310.07831, Theorem 10, in the form of Schaipp et al. (2025),
arXiv:2501.18965, Theorem 1. Of eta_t = gamma shape_t the bound is distance / gamma + gamma noise, so the best base rate
is gamma* = sqrt(distance / noise) and the bound there 2 sqrt(distance noise), whatever the scale of the shape.

Units: f in those of D G, rates in those of D / G. Zero rates at the end change nothing and are dropped. All sums run
from the end backwards over numbers >= 0, so nothing cancels; stretches at one rate are summed in closed form.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError
from ..inputs import rules
from .schedule import Schedule

CHUNK = 1 << 16  # rates at a time
BLOCK = 256  # of a cumulative sum: the error of 10^6 summands is that of a few thousand
SHORT_STRETCH = 8  # steps at one rate from which on the closed form pays
COST_OF_STRETCH = 256  # steps that take as long


class Terms(NamedTuple):
    """A schedule's bound as a function of a factor on all its rates: distance / factor + factor noise.

    Both terms are those of rates divided by 4^fours, so that they are finite for the largest rates too.
    """

    distance: float  # D^2 / (2 S)
    noise: float  # all the rest
    largest: float  # the largest rate at factor 1, not divided
    fours: int = 0

    def at(self, factor: float = 1.0) -> float:
        """The bound where all rates are multiplied by `factor`."""
        if math.isinf(self.distance) or math.isinf(self.noise):
            return math.inf
        return _doubled(self.distance, -2 * self.fours) / factor + factor * _doubled(self.noise, 2 * self.fours)

    @property
    def best_factor(self) -> float:
        """The factor with the smallest bound."""
        return _doubled(math.sqrt(self.distance) / math.sqrt(self.noise), -2 * self.fours) if self.noise else math.nan

    @property
    def best_rate(self) -> float:
        """The largest rate of the schedule at that factor: the base rate of a schedule whose shape peaks at 1."""
        if not self.noise:
            return math.nan
        return math.sqrt(self.distance) / math.sqrt(self.noise) * _doubled(self.largest, -2 * self.fours)

    @property
    def best(self) -> float:
        """The bound there; infinite where all rates are 0."""
        return 2.0 * math.sqrt(self.distance) * math.sqrt(self.noise) if self.noise else math.inf


def last_iterate_bound(rates: ArrayLike, distance: float = 1.0, gradient_norm: ArrayLike = 1.0) -> float:
    """Omega_T of learning rates, in O(T); the formula and its source are at the head of this module.

    Parameters
    ----------
    rates : (T,)
        eta_1 .. eta_T >= 0, in units of D / G.
    distance
        D > 0, from the start to a minimiser.
    gradient_norm : number or (T,)
        G > 0, or G_t for each step.

    Returns
    -------
    float
        The bound on f(x_T) - f*, in units of D G; infinite where all rates are 0.

    Raises
    ------
    InputError
        For rates that are not a vector of at least one finite number >= 0, and for D or G out of range.
    """
    return terms(rates, distance, gradient_norm).at()


def best_base_rate(shape: ArrayLike, distance: float = 1.0, gradient_norm: ArrayLike = 1.0) -> tuple[float, float]:
    """(gamma*, Omega_T at gamma*) of eta_t = gamma shape_t; parameters and errors as of `last_iterate_bound`.

    (nan, inf) where all of the shape is 0.
    """
    bound = terms(shape, distance, gradient_norm)
    return bound.best_factor, bound.best


def terms(rates: ArrayLike, distance: float = 1.0, gradient_norm: ArrayLike = 1.0) -> Terms:
    """The `Terms` of a vector of rates; parameters and errors as of `last_iterate_bound`."""
    eta = _vector("rates", rates, "a finite number >= 0")
    distance = rules.positive("distance", distance)
    if np.ndim(gradient_norm) == 0:
        gradient_norm = np.full(eta.shape, rules.positive("gradient_norm", gradient_norm))
    norms = _vector("gradient_norm", gradient_norm, "a finite number > 0")
    if norms.shape != eta.shape:
        rules.refuse("gradient_norm", f"one number, or one for each of the {eta.size} rates", f"{norms.size} numbers")
    largest, norm = float(eta.max()), float(norms.max())
    sums = _Backwards()
    if largest > 0.0:
        used = int(np.flatnonzero(eta)[-1]) + 1
        sums.varying(eta[:used] / largest, (norms[:used] / norm) ** 2)
    return sums.terms(largest, distance, norm)


def of_schedule(schedule: Schedule, steps: int | None = None) -> Terms:
    """The `Terms` with D = G = 1 of a schedule.

    Constant stretches cost the same whatever their length, so 10^12 steps at one rate are no trouble.

    Parameters
    ----------
    schedule
        Its flow, if it has one, is left out.
    steps
        How many of its first steps count; None for all.

    Returns
    -------
    Terms
        Infinite where a rate overflows, and where there are no steps or only rates of 0.
    """
    steps = schedule.length if steps is None else min(steps, schedule.length)
    pieces = [(a, min(n, steps - a), rate) for a, n, rate in schedule.pieces() if a < steps]
    largest = 0.0
    for first, count, rate in pieces:
        starts = range(first, first + count, CHUNK)
        peaks = (float(schedule.rates(start, min(start + CHUNK, first + count)).max()) for start in starts)
        largest = max(largest, rate if rate is not None else max(peaks))
    if not 0.0 < largest < math.inf:
        return Terms(math.inf, math.inf if largest else 0.0, largest)
    sums = _Backwards()
    for first, count, rate in reversed(pieces):
        if rate is not None and count >= SHORT_STRETCH:
            sums.constant(rate / largest, count)
        else:
            for start in reversed(range(first, first + count, CHUNK)):
                sums.varying(schedule.rates(start, min(start + CHUNK, first + count)) / largest)
    return sums.terms(largest)


def harmonic(n: int) -> float:
    """H_n = 1 + 1/2 + ... + 1/n, to 1e-15."""
    return _digamma_difference(1.0, n)


def cost(schedule: Schedule) -> int:
    """About how many steps of a schedule `of_schedule` looks at one by one, stretches at one rate counted as a few."""
    return sum(count if rate is None else min(count, COST_OF_STRETCH) for _, count, rate in schedule.pieces())


def _vector(key, values, rule):
    """Numbers as a float64 vector, each as the rule says."""
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        rules.refuse(key, f"a vector, each {rule}", values)
    if vector.ndim != 1 or not vector.size:
        raise InputError(f"{key} must be a vector of at least one number, got shape {vector.shape}")
    valid = np.isfinite(vector) & ((vector > 0.0) if rule.endswith("> 0") else (vector >= 0.0))
    if not valid.all():
        at = int((~valid).argmax())
        rules.refuse(f"{key}[{at}]", rule, float(vector[at]))
    return vector


class _Backwards:
    """The sums of the bound, taken from the last step to the first, over rates relative to the largest, G = 1.

    after = sum_{t>k} eta_t, squares = sum_{t>k} eta_t^2 G_t^2, third = sum of the products so far.
    """

    def __init__(self):
        self.after = self.squares = self.third = 0.0

    def varying(self, rates, norms=1.0):
        """Steps before those seen so far, in their order in time; norms: G_t^2."""
        rates, energies = rates[::-1], (rates**2 * norms)[::-1]
        sums, squares = _cumulative(self.after, rates), _cumulative(self.squares, energies)
        # After the last step with a rate above 0 there is nothing to sum.
        later = sums[:-1] > 0.0
        with np.errstate(over="ignore", under="ignore"):
            third = (rates[later] / sums[:-1][later]) * (squares[1:][later] / sums[1:][later])
        self.third += float(third.sum())
        self.after, self.squares = float(sums[-1]), float(squares[-1])

    def constant(self, rate, count):
        """`count` steps at one rate. With A = sum_{t>k} and B = A + rate, rate / (A B) = 1/A - 1/B telescopes, and
        rate^2 / A sums to the rate times a difference of digammas."""
        if rate == 0.0:
            return
        if self.after == 0.0:
            self.varying(np.array([rate]))
            count -= 1
        before = self.after + rate * count
        self.third += (self.squares / self.after - rate) * (rate * count / before)
        self.third += rate * _digamma_difference(self.after / rate, count)
        self.squares += rate * rate * count
        self.after = before

    def terms(self, largest, distance=1.0, norm=1.0):
        """The `Terms` of all that was seen; `largest` and `norm` are what rates and G were divided by."""
        if self.after == 0.0:
            return Terms(math.inf, 0.0, 0.0)
        noise, fours = 0.5 * (self.squares / self.after + self.third), math.frexp(largest)[1] // 2
        scaled = math.ldexp(largest, -2 * fours)
        return Terms(0.5 * distance * distance / self.after / scaled, noise * scaled * norm * norm, largest, fours)


def _doubled(value, times):
    """value 2^times, infinite where it overflows."""
    try:
        return math.ldexp(value, times)
    except OverflowError:
        return math.copysign(math.inf, value)


def _cumulative(start, values):
    """start, start + values[0], ..., float64 (n + 1,), in blocks, so that rounding grows with sqrt(n) at worst."""
    blocks = -(-values.size // BLOCK)
    padded = np.zeros(blocks * BLOCK)
    padded[: values.size] = values
    within = np.cumsum(padded.reshape(blocks, BLOCK), axis=1)
    ends = start + np.concatenate([[0.0], np.cumsum(within[:, -1])])
    return np.concatenate([[start], (within + ends[:-1, None]).ravel()[: values.size]])


def _digamma_difference(x, count):
    """psi(x + count) - psi(x) = sum_{m < count} 1 / (x + m), for x > 0; 0 for an infinite x."""
    first = min(count, math.ceil(20.0 - min(x, 20.0)))
    total = math.fsum(1.0 / (x + m) for m in range(first))
    x, count = x + first, count - first
    if not count:
        return total
    end = x + count
    return total + (math.log1p(count / x) + (_series(x) - _series(end)))


def _series(x):
    """log x - psi(x) for x >= 20, to 1e-17."""
    u = 1.0 / (x * x)
    return 0.5 / x + u * (1 / 12 - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u * (1 / 132)))))
