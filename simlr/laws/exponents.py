"""How a loss falls with a budget of steps, rows or work: the exponent of a power law above a floor."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.statistics import generator
from ..errors import InputError
from ..inputs import rules
from .noise import noise_of

Array = NDArray[np.float64]
LEAST, MOST = 1e-3, 10.0  # the exponents that are looked at
FLAT = 1e-12  # of the losses, below which nothing falls
SCANNED, NARROWED, REFINED = 200, 9, 21  # exponents at first, rounds, and exponents in each later one


class Exponent(NamedTuple):
    """loss = floor + amplitude budget^-exponent, with intervals."""

    exponent: float
    floor: float
    amplitude: float
    exponent_interval: tuple[float, float]  # (0, inf) where the losses do not determine it
    floor_interval: tuple[float, float]
    rmse: float  # of the relative differences
    at_bound: bool  # the exponent is the least or the most that was looked at


def exponent(
    budgets: ArrayLike, losses: ArrayLike, *, floor: float | None = None, resamples: int = 400, level: float = 0.95
) -> Exponent:
    """The exponent p of loss = floor + amplitude budget^-p, by least squares of the relative differences.

    For each p the floor and the amplitude, both >= 0, are linear; p is looked for from 0.001 to 10. Intervals are
    quantiles of fits to curves as they might have been. Of several seeds these are their mean and normal sums of how
    each seed is off it, all budgets of a seed together, over a chi-squared deviation: of what is linear in the losses
    the interval is Student's t. Of one curve they are the fit and normal noise like its differences, correlated along
    the logarithm of the budgets (`simlr.laws.noise`); on exact means it tells of the misfit of a single power law, not
    of chance. An end that is at an end of the search is 0 or infinite: from flat losses follows no exponent, (0, inf).
    A floor below all losses and an exponent are told apart only where the losses come near the floor: look at
    `floor_interval`, and give `floor` where it is known.

    Parameters
    ----------
    budgets : (K,)
        Ascending, above 0: steps, rows or work. At least 4, 3 where the floor is given.
    losses : (K,) or (R, K)
        Above 0; of R seeds, whose mean is fitted.
    floor
        Where it is known, 0 too; else it is fitted.
    resamples
        Draws for the intervals, at least 20.
    level
        Of the intervals.

    Returns
    -------
    Exponent

    Raises
    ------
    InputError
        A ValueError, for wrong shapes and values.
    """
    n, found = rules.array("budgets", budgets, (1,)), rules.array("losses", losses, (1, 2))
    seeds = np.atleast_2d(found)
    if n.min() <= 0.0 or (np.diff(n) <= 0.0).any():
        raise InputError("budgets must be above 0 and ascend")
    if seeds.shape[1] != n.size or n.size < (4 if floor is None else 3):
        raise InputError(f"losses: one for each of at least {4 if floor is None else 3} budgets, got {seeds.shape[1]}")
    if seeds.min() <= 0.0:
        raise InputError(f"losses must be > 0, got {seeds.min():g}")
    known = None if floor is None else rules.not_negative("floor", floor)
    if known is not None and known >= seeds.mean(axis=0).min():
        raise InputError(f"floor must be below all losses, got {known:g}")
    draws = rules.count("resamples", resamples, least=20)
    outside = 0.5 * (1.0 - rules.number("level", level, above=0.0, most=0.999, rule="a number between 0 and 0.999"))
    mean = seeds.mean(axis=0)
    p, base, amplitude, fitted = _fitted(n, mean, known)
    drawn = np.array([_fitted(n, one, known)[:2] for one in _as_might_be(n, seeds, (base, fitted), known, draws)])
    low, high = np.quantile(drawn, [outside, 1.0 - outside], axis=0)
    rmse = float(np.sqrt((((fitted - mean) / mean) ** 2).mean()))
    is_flat = float(np.ptp(fitted)) <= FLAT * float(mean.mean())
    ends = (0.0 if is_flat or low[0] < 1.001 * LEAST else float(low[0]),
            np.inf if is_flat or high[0] > 0.999 * MOST else float(high[0]))  # fmt: skip
    is_at_bound = not 1.001 * LEAST < p < 0.999 * MOST
    return Exponent(p, base, amplitude, ends, (float(low[1]), float(high[1])), rmse, is_at_bound)


def _as_might_be(n, seeds, found, known, draws):
    """Curves (K,) as they might have been, of seeds (R, K) and (floor, fitted (K,)) of their mean."""
    random, count, mean = generator(draws), len(seeds), seeds.mean(axis=0)
    base, fitted = found
    power = (fitted - base) / fitted
    slopes = np.stack([power, -power * np.log(n / n[-1]), *([] if known is not None else [base / fitted])], axis=1)
    noise = noise_of(slopes, [mean / fitted - 1.0], [np.log(n)]) if count == 1 else None
    for _ in range(draws):
        if noise is None:
            off = random.standard_normal(count) @ (seeds - mean) / np.sqrt(count * random.chisquare(count - 1))
            yield np.maximum(mean + off, 1e-3 * mean)
        else:
            yield fitted * np.maximum(1.0 + noise.drawn(random), 1e-3)


def _fitted(n, losses, known):
    """(exponent, floor, amplitude, fitted (K,))."""
    scaled = np.log(n / n[-1])
    tried = np.geomspace(LEAST, MOST, SCANNED)
    for _ in range(NARROWED):
        errors, base, amplitude = _linear(scaled, losses, known, tried)
        best = int(np.argmin(errors))
        p = float(tried[best])
        found = p, float(base[best]), float(amplitude[best] * n[-1] ** p)
        tried = np.geomspace(tried[max(best - 1, 0)], tried[min(best + 1, tried.size - 1)], REFINED)
    return (*found, found[1] + amplitude[best] * np.exp(-p * scaled))


def _linear(scaled, losses, known, tried):
    """(sum of squares, floor, amplitude at the last budget) of exponents (P,), both >= 0."""
    one, power = 1.0 / losses, np.exp(-tried[:, None] * scaled) / losses
    b, c = power @ one, (power * power).sum(axis=1)
    if known is None:
        a = one @ one
        determinant = a * c - b * b
        is_told = determinant > 1e-14 * a * c
        base = np.where(is_told, one.sum() * c - power.sum(axis=1) * b, 0.0) / np.where(is_told, determinant, 1.0)
        base = np.maximum(base, 0.0)
    else:
        base = np.full(tried.size, known)
    amplitude = np.maximum((power.sum(axis=1) - base * b) / c, 0.0)
    left = base[:, None] * one + amplitude[:, None] * power - 1.0
    return (left * left).sum(axis=1), base, amplitude
