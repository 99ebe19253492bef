"""Fits of the laws to loss curves: robust, from several starts, with intervals from noise like their residuals'."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..analysis.statistics import generator
from ..errors import InputError, unknown
from ..inputs import rules
from ..problems.lapack import one_thread
from .curve import Curve, CurveError, Observed, error_of, observed
from .law import Law, law_of
from .noise import UNDETERMINED, noise_of

Array = NDArray[np.float64]
SCREENED = 64  # starts of which the best are followed
SEARCHED, MOST_LOSSES = 50, 200  # losses of a curve, evenly spaced, that the search sees, and the fit at its end
CORRECTIONS, CORRECT = 6, 1e-7  # rounds, and the share of a loss that groups of steps may still be off
PARTS = 2  # groups of steps an octave of steps to the next loss
# Losses times steps up to which errors are of single steps; beyond, losses of a block and groups an octave of its past.
MOST_SINGLE, BLOCK, FINE_PARTS = 1 << 26, 256, 64
BEYOND = 30.0  # times the range of its starts is where a parameter may go
LEAST_SHARE = 1e-9  # of the losses' scale: a coefficient is above it
REWEIGHTED = 12
LEAST_DRAWS = 20  # for the ends of an interval


class Fit(NamedTuple):
    """A law fitted to curves."""

    law: str
    parameters: dict[str, float]
    intervals: dict[str, tuple[float, float]]  # (0, inf) of one that is not determined; {} without
    level: float  # of the intervals
    errors: tuple[CurveError, ...]  # of every curve, in the order given
    objective: float  # mean Huber loss of the log residuals, in units of delta^2
    start_gap: float  # the same of the second-best start over the best, less 1: near 0 where starts agree
    grouping_error: float  # largest change of a loss by the groups of steps, as a share
    correlation: float  # of the noise of neighbouring losses that were fitted, the likeliest; NaN without intervals
    at_bounds: tuple[str, ...]  # parameters that ended where the search was bounded

    def error(self, held_out: bool) -> float:
        """Root mean square error over all losses of the curves that were fitted, or held out; NaN of none."""
        chosen = [one for one in self.errors if one.held_out == held_out]
        total = sum(one.losses for one in chosen)
        return float(np.sqrt(sum(one.losses * one.rmse**2 for one in chosen) / total)) if total else np.nan


class _Space(NamedTuple):
    """Parameters as a search sees them: logarithms, of shares log(p / (1 - p))."""

    law: Law
    low: Array
    high: Array

    @classmethod
    def of(cls, law: Law, scales: Array) -> "_Space":
        """With coefficients between LEAST_SHARE and its inverse of their scales."""
        low, high = list(np.log(LEAST_SHARE * scales)), list(np.log(scales / LEAST_SHARE))
        for one in law.shape:
            ends = (0.5, 1.0 - 1e-6) if one.is_share else (max(one.low / BEYOND, one.least), one.high * BEYOND)
            low.append(_inside(ends[0], one.is_share))
            high.append(_inside(ends[1], one.is_share))
        return cls(law, np.array(low), np.array(high))

    def values(self, x: Array) -> dict[str, float]:
        """The parameters at a place x (p,)."""
        with np.errstate(over="ignore"):
            found = dict(zip(self.law.parameters, np.exp(x).tolist(), strict=True))
        for one, place in zip(self.law.shape, x[len(self.law.linear) :], strict=True):
            if one.is_share:
                found[one.name] = float(1.0 / (1.0 + np.exp(-place)))
        return found


def _inside(value, is_share):
    return np.log(value / (1.0 - value)) if is_share else np.log(value)


class _Residuals:
    """log(predicted / observed) over all curves as a function of the place x."""

    def __init__(self, law: Law, curves: Sequence[Observed]):
        self.law = law
        self.curves = [one._replace(history=one.history.grouped(PARTS)) for one in curves]
        self.single = curves  # step by step
        self.logs = np.concatenate([np.log(one.losses) for one in curves])
        self.correction = np.zeros(self.logs.size)  # of the groups of steps

    def predicted(self, values: dict[str, float]) -> Array:
        """Logarithms of the losses (N,), with the correction."""
        return self._logs_of(self.curves, values) + self.correction

    def correct(self, values: dict[str, float]) -> float:
        """Make the prediction that of single steps at these parameters; returns by how much of a loss it was off."""
        exact = self._logs_of(self.single, values)
        change = float(np.abs(np.expm1(self.predicted(values) - exact)).max())
        self.correction = exact - self._logs_of(self.curves, values)
        return change

    def _logs_of(self, curves, values):
        """Below a hundredth of the observed loss the tangent there, so that all are finite."""
        found = np.concatenate([self.law.losses(one.history, values) for one in curves])
        least = 0.01 * np.exp(self.logs)
        low = np.minimum(found, least) / least - 1.0
        return np.log(np.maximum(found, least)) + np.maximum(low, -1e6)


def scipy_optimize() -> Any:
    """The module scipy.optimize, or one line of what is missing."""
    try:
        import scipy.optimize
    except ImportError:
        raise InputError("fits need SciPy: pip install 'simlr[optimal]'") from None
    return scipy.optimize


def _minimum(residuals, start, space, delta):
    """Place and objective (in delta^2) of the nearest minimum of the Huber loss."""
    found = scipy_optimize().least_squares(
        lambda x: residuals.predicted(space.values(x)) - residuals.logs, start, bounds=(space.low, space.high),
        loss="huber", f_scale=delta, x_scale=1.0, max_nfev=200, xtol=1e-9, ftol=1e-9, gtol=1e-12,
    )  # fmt: skip
    return found.x, float(found.cost / (delta * delta * found.fun.size))


def _huber(residual, delta):
    """The mean Huber loss in units of delta^2."""
    size = np.abs(residual) / delta
    return float(np.where(size <= 1.0, 0.5 * size * size, size - 0.5).mean())


def _starts(residuals: _Residuals, space: _Space, delta: float, count: int) -> list[Array]:
    """The best places of many: shapes drawn in their ranges, the coefficients by least squares of relative errors."""
    law = residuals.law
    draws = generator(SCREENED).random((SCREENED, len(law.shape)))
    observed_losses = np.exp(residuals.logs)
    found = []
    for draw in draws:
        ends = [(_inside(one.low, one.is_share), _inside(one.high, one.is_share)) for one in law.shape]
        shape = np.array([low + (high - low) * share for (low, high), share in zip(ends, draw, strict=True)])
        values = space.values(np.concatenate([np.zeros(len(law.linear)), shape]))
        parts = [law.features(one.history, values) for one in residuals.curves]
        matrix = np.stack([np.concatenate(column) for column in zip(*parts, strict=True)], axis=1)
        coefficients = _not_negative(matrix / observed_losses[:, None])
        place = np.concatenate([np.log(np.maximum(coefficients, 1e-300)), shape])
        place = np.clip(place, space.low, space.high)
        found.append((_huber(residuals.predicted(space.values(place)) - residuals.logs, delta), place))
    found.sort(key=lambda one: one[0])
    return [place for _, place in found[:count]]


def _not_negative(matrix):
    """Coefficients >= 0 with matrix @ c near 1: those that come out negative are left out, one after the other."""
    used = np.ones(matrix.shape[1], bool)
    found = np.zeros(matrix.shape[1])
    while used.any():
        solved = np.linalg.lstsq(matrix[:, used], np.ones(len(matrix)), rcond=None)[0]
        if (solved >= 0.0).all():
            found[used] = solved
            break
        used[np.flatnonzero(used)[np.argmin(solved)]] = False
    return found


@one_thread()
def fit(
    law: str, curves: Iterable[Curve], *, hold_out: Iterable[str] = (), delta: float = 1e-3, starts: int = 6,
    resamples: int = 200, level: float = 0.95, progress: Callable[[int, int], None] | None = None,
) -> Fit:  # fmt: skip
    """A law's parameters from loss curves, with intervals, and its errors in and out of sample.

    The sum over all losses of the Huber loss of log(predicted) - log(observed), quadratic up to delta, as Luo et al.
    2025 have it, is made least in the logarithms of the parameters, from the best of 64 starts on 50 losses of each
    curve, then from the best minimum on 200. Between losses neighbouring steps are summed together, which is put right
    at the minimum and the fit repeated; `grouping_error` says by what share of itself a loss is off at the end.
    Errors are those of all losses and single steps; of over 2^26 pairs of a loss and a step with 64 groups an octave
    of steps long past and of their sums of rates, which moves what is felt of the past by at most 5e-5 of itself, and
    a loss, of which that is a small part, by less.

    Intervals: residuals along a curve are correlated, so noise is drawn that is as slow and as large as they say of it
    (`simlr.laws.noise`: its likelihood once what the parameters take of it is out; Patterson and Thompson 1971) and
    added to the fitted curve. The refit is one of the model made linear at the fit. The ends are quantiles of the
    parameters. They hold what chance does if the law is true: where it is not, its misfit counts as noise. There is
    none, (0, inf), of a parameter that the curves do not determine, that ended where the search was bounded, or whose
    interval would reach from bound to bound.

    Parameters
    ----------
    law
        One of `names()`.
    curves
        The curves, each of a name of its own.
    hold_out
        Names of curves that are not fitted, whose errors are out of sample.
    delta
        Of the Huber loss, in the logarithm of the loss.
    starts
        How many starts are followed to their minimum.
    resamples
        Draws for the intervals; 0 for none.
    level
        Of the intervals, between 0 and 1.
    progress
        What is called with (parts done, parts in all).

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        A ValueError: without SciPy, for curves that are no curves, for fewer losses than parameters, names unknown.
    """
    found = law_of(law)
    delta, count = rules.positive("delta", delta), rules.count("starts", starts, most=SCREENED)
    draws = rules.count_or_none("resamples", resamples)
    if 0 < draws < LEAST_DRAWS:
        raise InputError(f"resamples must be 0, for no intervals, or at least {LEAST_DRAWS}, got {draws}")
    level = rules.number("level", level, above=0.0, most=1.0 - 1e-9, rule="a number between 0 and 1")
    everything = observed(list(curves))
    fitted = _fitted(found, everything, list(hold_out))
    tell = _Parts(progress, count + 2 + len(everything))
    residuals = _Residuals(found, [_thinned(one, SEARCHED) for one in fitted])
    space = _Space.of(found, _scales(found, residuals))
    place, gap = _searched(residuals, space, delta, count, tell)
    residuals = _Residuals(found, [_thinned(one, MOST_LOSSES) for one in fitted])
    at, objective, change = _corrected(residuals, place, space, delta)
    tell.one()
    values = space.values(at)
    edge = np.minimum(at - space.low, space.high - at) < 1e-6
    at_bounds = tuple(name for name, is_there in zip(found.parameters, edge, strict=True) if is_there)
    intervals, related = _intervals(residuals, space, at, delta, draws, level) if draws else ({}, np.nan)
    tell.one()
    names, errors = {one.name for one in fitted}, []
    for one in everything:
        errors.append(error_of(one, _along(found, one.history, values), one.name not in names))
        tell.one()
    lowest, highest = space.values(space.low), space.values(space.high)
    open_ended = [
        name for name, (low, high) in intervals.items()
        if name in at_bounds or (low <= (1.0 + 1e-6) * lowest[name] and high >= (1.0 - 1e-6) * highest[name])
    ]  # fmt: skip
    intervals |= dict.fromkeys(open_ended, (0.0, np.inf))
    return Fit(law, values, intervals, level, tuple(errors), objective, gap, change, related, at_bounds)


def _thinned(one, most):
    """At most so many of a curve's losses, evenly spaced, the last among them."""
    size = one.losses.size
    if size <= most:
        return one
    chosen = np.unique(np.round(np.linspace(0, size - 1, most)).astype(np.int64))
    history = one.history._replace(steps=one.history.steps[chosen], area=one.history.area[chosen])
    return one._replace(history=history, losses=one.losses[chosen])


def _fitted(law, everything, held_out):
    """The curves that are fitted."""
    names = [one.name for one in everything]
    for name in held_out:
        if name not in names:
            raise unknown("hold_out", name, names, "curve")
    fitted = [one for one in everything if one.name not in held_out]
    losses = sum(one.losses.size for one in fitted)
    if losses <= len(law.parameters):
        raise InputError(
            f"law {law.name!r} has {len(law.parameters)} parameters: more losses than that are needed, got {losses}"
        )
    return fitted


def _scales(law, residuals):
    """What a coefficient is compared with: the losses' size over that of its feature in the middle of the ranges."""
    middle = {one.name: float(np.sqrt(one.low * one.high)) for one in law.shape}
    parts = [law.features(one.history, middle) for one in residuals.curves]
    largest = np.array([max(float(np.abs(part).max()) for part in column) for column in zip(*parts, strict=True)])
    return float(np.exp(residuals.logs).mean()) / np.where(largest > 0.0, largest, 1.0)


class _Parts:
    """How many parts of a fit are done: every start, the minimum, the intervals and the errors of every curve."""

    def __init__(self, progress, total):
        self._progress, self._done, self._total = progress, 0, total

    def one(self):
        """One more is."""
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)


def _along(law, history, values):
    """The losses (K,) of a law, long past steps in groups where there are very many."""
    if history.steps.size * max(history.changes.step.size, history.updates.step.size) <= MOST_SINGLE:
        return law.losses(history, values)
    return np.concatenate([law.losses(block, values) for block in history.blocks(FINE_PARTS, BLOCK)])


def _searched(residuals, space, delta, count, tell):
    """The place of the best minimum, and by how much the second best is worse."""
    found = []
    for x in _starts(residuals, space, delta, count):
        found.append(_minimum(residuals, x, space, delta))
        tell.one()
    found.sort(key=lambda one: one[1])
    least = max(found[0][1], 1e-300)
    return found[0][0], (found[1][1] / least - 1.0) if len(found) > 1 else np.inf


def _corrected(residuals, place, space, delta):
    """Place and objective of the minimum near a place, and by how much of a loss groups of steps are still off."""
    at, objective = _minimum(residuals, place, space, delta)
    for _ in range(CORRECTIONS):
        change = residuals.correct(space.values(at))
        if change < CORRECT:
            break
        at, objective = _minimum(residuals, at, space, delta)
    return at, objective, change


def _slopes(residuals, space, at):
    """The derivative (N, p) of the logarithms by the place, by central differences."""
    columns = []
    for j in range(at.size):
        step = np.zeros(at.size)
        step[j] = 1e-5
        both = [residuals.predicted(space.values(at + sign * step)) for sign in (1.0, -1.0)]
        columns.append((both[0] - both[1]) / 2e-5)
    return np.stack(columns, axis=1)


def _intervals(residuals, space, at, delta, draws, level):
    """{name: (low, high)}, and the likeliest correlation of the noise of neighbouring losses."""
    slopes, left = _slopes(residuals, space, at), residuals.logs - residuals.predicted(space.values(at))
    ends = np.cumsum([one.losses.size for one in residuals.curves])
    places = [one.history.steps.astype(np.float64) for one in residuals.curves]
    noise = noise_of(slopes, np.split(left, ends[:-1]), places)
    _, singular, right = np.linalg.svd(slopes, full_matrices=False)
    null = right[singular < UNDETERMINED * singular[0]]
    is_open = (null**2).sum(axis=0) > 1e-6
    random = generator(draws)
    drawn = np.array([at + _robust_step(slopes, noise.drawn(random), delta) for _ in range(draws)])
    outside = 0.5 * (1.0 - level)
    low, high = (
        space.values(np.clip(x, space.low, space.high)) for x in np.quantile(drawn, [outside, 1.0 - outside], axis=0)
    )
    intervals = {
        name: (0.0, np.inf) if is_open[j] else (low[name], high[name]) for j, name in enumerate(space.law.parameters)
    }
    return intervals, noise.correlation


def _robust_step(slopes, noise, delta):
    """The step that makes the Huber loss of slopes @ step - noise least, by least squares reweighted."""
    step = np.zeros(slopes.shape[1])
    for _ in range(REWEIGHTED):
        size = np.abs(slopes @ step - noise)
        weight = np.sqrt(np.minimum(1.0, delta / np.maximum(size, 1e-300)))
        step = np.linalg.lstsq(weight[:, None] * slopes, weight * noise, rcond=UNDETERMINED)[0]
    return step


def leave_one_out(law: str, curves: Iterable[Curve], **options: Any) -> list[CurveError]:
    """The error on every curve of the law fitted to the others.

    Parameters
    ----------
    law
        One of `names()`.
    curves
        At least two.
    **options
        Of `fit`; there are no intervals.

    Raises
    ------
    InputError
        A ValueError: as `fit`.
    """
    given = list(curves)
    if len(given) < 2:
        raise InputError(f"curves: leaving one out needs at least two, got {len(given)}")
    settings = {"resamples": 0, **options}
    fits = [fit(law, given, hold_out=[one.name], **settings) for one in given]
    return [found.errors[i] for i, found in enumerate(fits)]
