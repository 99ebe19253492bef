"""The schedule that a law calls best at a number of steps and a peak, beside the usual shapes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..inputs import rules
from ..schedules.tabulation import tabulate
from .fitting import scipy_optimize
from .history import History
from .law import law_of, parameters_of

Array = NDArray[np.float64]
KNOTS = 16  # of the decay, half of them evenly spaced, half geometric in the steps to go
LEAST_RATE = 1e-4  # of the peak
FOLLOWED = 2  # of the usual shapes are where a search begins


class Best(NamedTuple):
    """What a law calls best."""

    rates: Array  # (T,)
    loss: float  # after the last step
    shapes: dict[str, float]  # losses of the usual shapes with the same warm-up and peak
    shape_rates: dict[str, Array]  # their rates, (T,)


def best_schedule(
    law: str, parameters: Mapping[str, float] | str, steps: int, peak: float, *, warmup: int = 0, batch: float = 1.0
) -> Best:
    """The rates that never rise after the warm-up and make a law's loss after the last step least.

    They fall from the peak as straight lines between knots, to 1e-4 of it at the lowest; the search begins at the two
    best of the usual shapes, L-BFGS-B in the logarithms of the falls. What is best to a law is so only as far as the
    law holds: at rates that no fitted curve had it is an extrapolation.

    Parameters
    ----------
    law, parameters
        As for `predict`.
    steps
        T, the warm-up's included.
    peak
        The highest rate, in the unit of the curves that were fitted.
    warmup
        So many steps rise in a line, of step t = 1 .. W to t/W of the peak.
    batch
        The batch size.

    Returns
    -------
    Best

    Raises
    ------
    InputError
        A ValueError: without SciPy, for an unknown law or parameters, for a warm-up that leaves fewer than two steps.
    """
    found = law_of(law)
    values = parameters_of(found, parameters)
    count, rising = rules.count("steps", steps), rules.count_or_none("warmup", warmup)
    top = rules.positive("peak", peak)
    if rising > count - 2:
        raise InputError(f"warmup must leave at least 2 of the {count:,} steps, got {rising:,}")
    minimize = scipy_optimize().minimize
    knots = _knots(count - rising)

    def rates_of(falls):
        heights = np.exp(np.interp(np.arange(count - rising), knots, 0.0 - np.concatenate([[0.0], np.cumsum(falls)])))
        return _with_warmup(top * heights, top, rising)

    def loss(rates):
        return float(found.losses(History.of(rates, None, batch).grouped(8), values)[0])

    shapes = usual_shapes(count, top, rising)
    deepest = -np.log(LEAST_RATE)
    ends = []
    for rates in sorted(shapes.values(), key=loss)[:FOLLOWED]:
        heights = np.maximum(rates[rising + knots] / top, LEAST_RATE)
        start = np.maximum(np.diff(-np.log(heights), prepend=0.0)[1:], 0.0)
        options = {"maxiter": 100, "maxfun": 2000}
        end = minimize(
            lambda x: loss(rates_of(x)), start, method="L-BFGS-B", bounds=[(0.0, deepest)] * start.size, options=options
        )
        ends.append(end.x)
    exact = {name: _last(found, values, rates, batch) for name, rates in shapes.items()}
    best = min((rates_of(end) for end in ends), key=loss)
    return Best(best, _last(found, values, best, batch), exact, shapes)


def _last(law, values, rates, batch):
    """The loss after the last step."""
    return float(law.losses(History.of(rates, None, batch), values)[0])


def _knots(count):
    """Steps of the decay at which its slope may change, the first and the last among them."""
    even = np.linspace(0, count - 1, KNOTS // 2)
    late = count - 1 - np.geomspace(1.0, max(count / 4.0, 1.0), KNOTS // 2)
    return np.unique(np.round(np.clip(np.concatenate([even, late]), 0, count - 1)).astype(np.int64))


def _with_warmup(rates, peak, rising):
    return np.concatenate([peak * np.arange(1.0, rising + 1.0) / max(rising, 1), rates])


def usual_shapes(steps: int, peak: float, warmup: int = 0) -> dict[str, Array]:
    """The usual shapes (T,) with a linear warm-up: constant, cosine, linear, and constant with a decay of a fifth."""
    rest = steps - warmup
    decay = max(rest // 5, 1)
    shapes = {
        "constant": tabulate("constant", rest, learning_rate=peak),
        "cosine": tabulate("cosine", rest, learning_rate=peak),
        "linear": tabulate("linear", rest, learning_rate=peak),
        "wsd": np.minimum(peak, peak * (rest - np.arange(rest)) / decay),
    }
    return {name: _with_warmup(rates, peak, warmup) for name, rates in shapes.items()}


def rates_between(steps: ArrayLike, rates: ArrayLike, warmup: int = 0) -> Array:
    """The rate of each step 1 .. s_K from rates that are known at some steps s_k.

    A straight line between two of them. But where it changes by more than a tenth in one gap and not at all in those
    beside, it jumps, at the later step. Before s_1 it is that at s_1, after a linear warm-up.

    Parameters
    ----------
    steps : (K,)
        Ascending whole numbers, from 1.
    rates : (K,)
        Those of these steps.
    warmup
        Steps over which the rate rises from 0 to that at s_1; 0 for none. Where s_1 lies within them, it is there that
        the line to the row's own rate ends.
    """
    at, known = np.asarray(steps, np.int64), np.asarray(rates, np.float64)
    found = np.interp(np.arange(1, at[-1] + 1), at, known)
    for k in jumps(known):
        found[at[k] : at[k + 1] - 1] = known[k]
    rising = warmup if warmup <= at[0] else int(at[0]) - 1
    found[:rising] = known[0] * np.arange(rising) / max(rising, 1)
    return found


def jumps(rates: Array) -> list[int]:
    """The gaps (k, k + 1) in which a rate jumps: it changes by over a tenth there, and not at all right beside."""
    change = np.abs(np.diff(rates))
    large = change > 0.1 * np.maximum(rates[1:], rates[:-1])
    flat = np.concatenate([[False], change == 0.0, [False]])
    return [int(k) for k in np.flatnonzero(large & flat[:-2] & flat[2:])]
