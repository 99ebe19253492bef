"""The search for the rates of a schedule's pieces that make the expected loss at the end least."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .gradient import Objective

Array = NDArray[np.float64]
LEAST_SHARE = 1e-12  # of the largest rate: what is searched is its logarithm
SMALLEST = (
    1e-28  # of the losses at the start and at the minimiser: less counts as this much, so that there is a logarithm
)
RAISED = 5  # times that rates which ended near 0 are tried higher
DIVERGED = 1e3  # stands for the logarithm of a loss that is beyond all numbers


class Limits(NamedTuple):
    """What the rates may be."""

    largest: float  # no rate is above it
    peak: float | None  # what the highest rate is, where that is given
    shape: str  # "free", "monotone" or "unimodal"
    warmup_steps: int  # linear from 0 to the first rate
    samples: int | None = None  # of all steps, where batch sizes are searched too


class Solution(NamedTuple):
    """Where a search ended."""

    rates: Array  # (P,) of the pieces after the warm-up; of a `JointProblem` (2 P,), with the weights of their batches
    value: float  # logarithm of the mean loss
    gradient_norm: float  # largest entry of its projected gradient by the logarithms that are free
    evaluations: int


@dataclass(frozen=True)
class Layout:
    """The pieces of a schedule: a warm-up of single steps that lead to the first of the free pieces."""

    lengths: NDArray[np.int64]  # (P,) of the free pieces
    warmup_steps: int = 0

    @cached_property
    def all_lengths(self) -> NDArray[np.int64]:
        """Steps of every piece, those of the warm-up included."""
        return np.concatenate([np.ones(self.warmup_steps, np.int64), self.lengths])

    def all_rates(self, rates: Array) -> Array:
        """The rates of every piece; of step t of W of the warm-up t / W times the first."""
        rising = np.arange(self.warmup_steps) / max(self.warmup_steps, 1)
        return np.concatenate([rising * rates[0], rates])

    def by_free(self, by_all: Array) -> Array:
        """The derivative by the free pieces' rates from that by all."""
        found = by_all[self.warmup_steps :].copy()
        found[0] += by_all[: self.warmup_steps] @ (np.arange(self.warmup_steps) / max(self.warmup_steps, 1))
        return found

    def all_batches(self, batch: Array) -> Array:
        """The batch size of every piece: the warm-up has the first free piece's."""
        return np.concatenate([np.full(self.warmup_steps, batch[0]), batch])

    def sums_of_free(self, of_all: Array) -> Array:
        """What every piece has, added up where pieces have one batch size: (P,)."""
        found = of_all[self.warmup_steps :].copy()
        found[0] += of_all[: self.warmup_steps].sum()
        return found

    def halved(self, chosen: NDArray[np.bool_]) -> "Layout":
        """The same with the chosen pieces in two parts each."""
        parts = [[n - n // 2, n // 2] if cut else [n] for n, cut in zip(self.lengths, chosen, strict=True)]
        return Layout(np.array([n for part in parts for n in part], np.int64), self.warmup_steps)


def geometric_lengths(steps: int, pieces: int) -> NDArray[np.int64]:
    """Lengths of at most so many pieces that grow geometrically with the steps to go; the last is a single step."""
    ends = np.unique(np.round(np.concatenate([[0.0], np.geomspace(1.0, steps, pieces)])).astype(np.int64))
    return np.diff(ends)[::-1].copy()


class Problem:
    """The logarithm of the mean loss over N problems, as a function of the free pieces' rates."""

    def __init__(self, objective: Objective, layout: Layout):
        self.objective, self.layout = objective, layout
        self.evaluations = 0
        scale = (objective.weight * objective.residual**2).sum(axis=1) + objective.constant
        self._least = max(SMALLEST * float(scale.mean()), 1e-300)

    def value(self, rates: Array) -> float:
        """The logarithm alone."""
        self.evaluations += 1
        found = self.objective.evaluate(self.layout.all_rates(rates), self.layout.all_lengths, slopes=False)
        return self._log(float(found.loss.mean()))

    def _log(self, loss):
        return float(np.log(max(loss, self._least))) if np.isfinite(loss) else DIVERGED

    def slopes(self, rates: Array) -> tuple[float, Array]:
        """The logarithm and its derivative by each rate (not by its logarithm)."""
        value, by_rate, _ = self.differentiated(self.objective, rates)
        return value, self.layout.by_free(by_rate)

    def differentiated(self, objective: Objective, rates: Array) -> tuple[float, Array, Array]:
        """The logarithm for an objective, and its derivatives by rate and batch size of every piece."""
        self.evaluations += 1
        found = objective.evaluate(self.layout.all_rates(rates), self.layout.all_lengths)
        loss = float(found.loss.mean())
        with np.errstate(invalid="ignore"):  # of a loss beyond all numbers the derivative is none
            by_all = [slope.mean(axis=0) / max(loss, self._least) for slope in found[1:]]
        return self._log(loss), by_all[0], by_all[1]

    def of_layout(self, layout: Layout) -> Self:
        """The same in other pieces."""
        other = copy(self)
        other.layout, other.evaluations = layout, 0
        return other


AnyProblem = TypeVar("AnyProblem", bound=Problem)


def _shape_matrix(count, peak):
    """Logarithms of the rates (count,) from the highest one's and from the falls on both sides of place `peak`."""
    matrix = np.zeros((count, count))
    matrix[:, 0] = 1.0
    column = 1
    for k in range(peak + 1, count):
        matrix[k:, column] = -1.0
        column += 1
    for k in range(peak - 1, -1, -1):
        matrix[: k + 1, column] = -1.0
        column += 1
    return matrix


def solve(problem: Problem, rates: Array, limits: Limits, peak_at: int | None = None, most: int = 1000) -> Solution:
    """Rates of least loss near the given ones (P,), by L-BFGS-B in their logarithms.

    With `peak_at` they rise to that piece and fall after it: the search is over the highest rate and the falls. `most`
    bounds the iterations.
    """
    minimize = _minimizer()
    top = np.log(limits.largest)
    low = top + np.log(LEAST_SHARE)
    start = np.clip(np.log(np.maximum(rates, np.exp(low))), low, top)
    if peak_at is None:
        matrix, first, bounds = None, start, [(low, top)] * rates.size
    else:
        matrix, first, bounds = _shaped(start, peak_at, limits, low, top)
    best = [first, np.inf]

    def function(x):
        eta = np.exp(x if matrix is None else matrix @ x)
        value, by_rate = problem.slopes(eta)
        by_log = by_rate * eta
        slope = by_log if matrix is None else matrix.T @ by_log
        if value >= DIVERGED or not np.isfinite(slope).all():
            return DIVERGED, x - best[0]  # back to what was finite
        if value < best[1]:
            best[:] = [x.copy(), value]
        return value, slope

    options = {"maxiter": most, "maxfun": 2 * most, "maxcor": 30, "ftol": 1e-14, "gtol": 1e-8}
    minimize(function, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    x = best[0]
    value, slope = function(x)
    lower, upper = np.array(bounds).T
    projected = x - np.clip(x - slope, lower, upper)
    eta = np.exp(x if matrix is None else matrix @ x)
    return Solution(eta, value, float(np.abs(projected).max()), problem.evaluations)


def _minimizer():
    """SciPy's minimize, or one line of what is missing."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise InputError("optimal schedules need SciPy: pip install 'simlr[optimal]'") from None
    return minimize


def _shaped(start, peak_at, limits, low, top):
    """Matrix, start and bounds of the search for rates that rise to a piece and fall after it."""
    matrix = _shape_matrix(start.size, peak_at)
    falling = np.minimum.accumulate(start[peak_at:])
    rising = np.minimum.accumulate(start[: peak_at + 1][::-1])
    highest = start[peak_at] if limits.peak is None else np.log(limits.peak)
    first = np.concatenate([[highest], -np.diff(falling), -np.diff(rising)])
    ends = (low, top) if limits.peak is None else (highest, highest)
    return matrix, first, [ends] + [(0.0, top - low)] * (start.size - 1)


def solve_shape(problem: Problem, rates: Array, limits: Limits, most: int = 1000) -> Solution:
    """`solve` under the limits' shape; for "unimodal" the highest piece is moved while that makes the loss less."""
    if limits.samples is not None:
        return solve(problem, rates, limits, most=most)
    if limits.shape == "free":
        return _solve_free(problem, rates, limits, most)
    if limits.shape == "monotone":
        return solve(problem, rates, limits, 0, most)
    place = int(np.argmax(rates))
    best = solve(problem, rates, limits, place, most)
    for direction in (-1, 1):
        while 0 <= place + direction < rates.size:
            other = solve(problem, best.rates, limits, place + direction, most)
            if not other.value < best.value - 1e-12:
                break
            best, place = other, place + direction
    return best


def _solve_free(problem: Problem, rates: Array, limits: Limits, most: int) -> Solution:
    """`solve`, and again from higher rates where some ended near 0 although the loss falls as they rise.

    By a logarithm every derivative vanishes towards rates of 0, so that they could hold a search that is not at an
    optimum. Such a rate is below a tenth of the last one before it that is not such; the gradient's norm counts its
    derivative by the rate times that one.
    """
    best = solve(problem, rates, limits, most=most)
    for _ in range(RAISED):
        higher = best.rates.copy()
        for k in range(1, higher.size):
            if higher[k] < 0.1 * higher[k - 1]:
                higher[k] = higher[k - 1]
        _, slope = problem.slopes(best.rates)
        held = (higher > best.rates) & (slope < 0.0)
        if not held.any():
            return best
        missed = float((-slope * higher)[held].max())
        best = best._replace(gradient_norm=max(best.gradient_norm, missed))
        again = solve(problem, np.where(held, higher, best.rates), limits, most=most)
        if not again.value < best.value:
            return best
        best = again
    return best


def zeroed(problem: Problem, found: Solution) -> Solution:
    """The solution with its smallest rates exactly 0, where that makes the loss no larger."""
    small = found.rates < 1e-6 * found.rates.max()
    if not small.any() or small.all():
        return found
    rates = np.where(small, 0.0, found.rates)
    value = problem.value(rates)
    return found._replace(rates=rates, value=value) if value <= found.value else found


def grow(problem: AnyProblem, found: Solution, limits: Limits, most_pieces: int) -> tuple[AnyProblem, Solution]:
    """Halve the pieces whose halves want different rates, and solve again, until the loss hardly falls.

    At the optimum of some pieces the derivatives by the two halves of each add to 0; how far they differ is what a cut
    would gain. Cut are those with a tenth of the largest difference or more. Where weights are searched beside the
    rates, they follow in `found.rates`.
    """
    while problem.layout.lengths.size < most_pieces:
        layout, kinds = problem.layout, found.rates.size // problem.layout.lengths.size
        cut = layout.lengths > 1
        if not cut.any():
            break
        halves = layout.halved(cut)
        owner = np.repeat(np.arange(cut.size), 1 + cut)
        numbers = found.rates.reshape(kinds, -1)
        slope = problem.of_layout(halves).slopes(numbers[:, owner].reshape(-1))[1].reshape(kinds, -1)
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        ends = np.append(starts[1:], owner.size) - 1
        gain = np.where(cut, (np.abs(slope[:, starts] - slope[:, ends]) * numbers).sum(axis=0), 0.0)
        room = most_pieces - cut.size
        chosen = cut & (gain >= max(0.1 * gain.max(), np.sort(gain)[-min(room, gain.size)]))
        finer = problem.of_layout(layout.halved(chosen))
        finer.evaluations = problem.evaluations + 1
        better = solve_shape(finer, np.repeat(numbers, 1 + chosen, axis=1).reshape(-1), limits)
        gained = found.value - better.value
        if better.value <= found.value:
            problem, found = finer, better
        if gained < 1e-6:
            break
    return problem, found
