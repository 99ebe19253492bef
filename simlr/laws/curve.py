"""Loss curves: the learning rates of a run and the losses that it had after some numbers of steps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..inputs import rules
from .history import History

Array = NDArray[np.float64]
LEAST_LOSS, MOST_LOSS = 1e-100, 1e100  # squares of others are 0 or infinite as numbers


class Curve(NamedTuple):
    """One run: K losses, and the rates of its T steps."""

    name: str
    rates: ArrayLike  # (T,) >= 0, those of the warm-up included
    steps: ArrayLike  # (K,) numbers of steps, ascending from 1
    losses: ArrayLike  # (K,) > 0
    batch: ArrayLike = 1.0  # a number or (T,)


def since(curve: Curve, step: int) -> Curve:
    """The curve with its losses from a step on; InputError where there are fewer than two of them."""
    steps, losses = np.asarray(curve.steps), np.asarray(curve.losses)
    later = steps >= step
    if later.sum() < 2:
        raise InputError(f"curve {curve.name!r}: has {later.sum()} losses from step {step:,} on, and 2 are needed")
    return curve._replace(steps=steps[later], losses=losses[later])


class Observed(NamedTuple):
    """A checked curve as a fit sees it."""

    name: str
    history: History
    losses: Array  # (K,)

    @classmethod
    def of(cls, curve: Curve) -> "Observed":
        """The checked curve; InputError names it."""
        try:
            history = History.of(curve.rates, curve.steps, curve.batch)
            losses = rules.array("losses", curve.losses, (1,))
            if losses.size != history.steps.size:
                raise InputError(f"losses: one for each of the {history.steps.size:,} steps, got {losses.size:,}")
            if losses.min() <= 0.0:
                raise InputError(f"losses must be > 0, got {losses.min():g}")
            if losses.min() < LEAST_LOSS or losses.max() > MOST_LOSS:
                wrong = losses.min() if losses.min() < LEAST_LOSS else losses.max()
                raise InputError(f"losses must be from {LEAST_LOSS:g} to {MOST_LOSS:g}, got {wrong:g}")
        except InputError as error:
            raise InputError(f"curve {curve.name!r}: {error}") from None
        return cls(curve.name, history, losses)


class CurveError(NamedTuple):
    """How far a law is from one curve."""

    name: str
    held_out: bool
    losses: int  # how many
    mae: float  # mean |predicted - observed|
    rmse: float
    r2: float  # NaN where all losses are the same
    last: float  # predicted - observed at the last step


def observed(curves: Sequence[Curve]) -> list[Observed]:
    """The checked curves; InputError where two have one name."""
    found = [Observed.of(curve) for curve in curves]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"curves: two are called {twice!r}")
    return found


def error_of(one: Observed, predicted: Array, held_out: bool) -> CurveError:
    """The `CurveError` of predicted losses (K,)."""
    error = predicted - one.losses
    spread = float(((one.losses - one.losses.mean()) ** 2).sum())
    r2 = 1.0 - float(error @ error) / spread if spread > 0.0 else np.nan
    rmse = float(np.sqrt(error @ error / error.size))
    return CurveError(one.name, held_out, error.size, float(np.abs(error).mean()), rmse, r2, float(error[-1]))
