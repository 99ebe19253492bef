"""`simlr.optimise`: the learning rates that make the expected loss at the end of training least."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from ...inputs import rules
from ...inputs.parameters import Parameter, read_parameters
from ..stability import stability
from .families import FAMILIES, Family, best_of, compared, heights
from .gradient import Objective, piece_lengths, read_objective
from .joint import JointProblem, with_batches
from .search import Layout, Limits, Problem, Solution, geometric_lengths, grow, solve_shape, zeroed

FIRST_PIECES, MOST_PIECES = 16, 400
SINGLE_STEPS = 64  # up to so many each step has a rate of its own
SHAPES = "free", "monotone", "unimodal"


def _cap(key, value):
    if isinstance(value, str):
        return rules.one_of("none", "stability")(key, value)
    return rules.positive(key, value)


LIMITS = (
    Parameter("cap", _cap, "none", 'no rate is above it: a number, "stability" or "none"'),
    Parameter("peak", lambda key, value: value if value is None else rules.positive(key, value), None),
    Parameter("shape", rules.one_of(*SHAPES), "free", "of the rates after the warm-up"),
    Parameter("warmup_steps", rules.count_or_none, 0, "linear from 0 to the first rate"),
    Parameter("samples", lambda key, value: value if value is None else rules.count(key, value), None),
)


class Optimum(NamedTuple):
    """The best schedule that was found, and what speaks for it."""

    learning_rate: NDArray[np.float64]  # (P,) of each piece
    lengths: NDArray[np.int64]  # (P,) steps of each piece
    loss: NDArray[np.float64]  # (N,) mean over the noise after the last step, of each problem
    gradient_norm: float  # largest projected derivative of log(mean loss) by the logarithm of a rate
    start_gap: float  # worst over best mean loss of the starts, less 1, over the first pieces
    largest: float  # the cap, or what the search was bounded by
    cap_binds: bool  # whether some rate is there
    families: dict[str, Family]  # the best of each usual shape under the same limits: peak and mean loss
    evaluations: int  # losses and gradients taken by the search
    batch_size: NDArray[np.float64] | None = None  # (P,) rows a step, where they were searched too

    def batches(self) -> NDArray[np.float64]:
        """The batch size of every step, (T,), as a real number; InputError where it was not searched."""
        if self.batch_size is None:
            raise InputError("this optimum is of rates alone: limits.samples searches batch sizes too")
        return np.repeat(self.batch_size, self.lengths)

    def rates(self) -> NDArray[np.float64]:
        """The rate of every step, (T,)."""
        return np.repeat(self.learning_rate, self.lengths)

    def over_optimum(self) -> dict[str, float]:
        """Loss of the best of each family over the optimum's: at least 1, but for what pieces cannot follow."""
        best = float(self.loss.mean())
        return {name: family.loss / best if best > 0.0 else np.inf for name, family in self.families.items()}

    def table(self) -> dict[str, Any]:
        """The [[schedule]] table of a grid with these rates; InputError where batch sizes go with them."""
        if self.batch_size is not None:
            raise InputError("a grid has no schedule of batch sizes such as this: take rates() and batches()")
        if self.lengths.size == 1:
            return {"kind": "constant", "learning_rate": float(self.learning_rate[0]), "steps": int(self.lengths[0])}
        return {
            "kind": "piecewise_constant",
            "boundaries": np.cumsum(self.lengths)[:-1].tolist(),
            "learning_rates": self.learning_rate.tolist(),
            "steps": int(self.lengths.sum()),
        }


def optimise(
    curvature: ArrayLike, residual: ArrayLike, steps: int, noise: dict[str, Any],
    optimizer: dict[str, Any] | None = None, *,
    test_matrix: ArrayLike | None = None, offset: ArrayLike | None = None, pieces: int | ArrayLike | None = None,
    limits: dict[str, Any] | None = None, starts: int = 3,
) -> Optimum:  # fmt: skip
    """The learning rates that make the mean over N problems of the expected loss after T steps least.

    Found by L-BFGS-B (SciPy, the extra `optimal`) in the logarithms of the rates, with the exact gradient of
    `simlr.loss_gradient`.

    Parameters
    ----------
    curvature, residual, noise, optimizer, test_matrix, offset
        As in `simlr.loss_gradient`; a batch size is one number. Without test_matrix and offset the loss is the train
        loss.
    steps
        T, the horizon.
    pieces
        How many pieces of constant rate, geometric in the steps to go; or the lengths of all pieces after the warm-up,
        (P,). By default each step has its own rate up to 64 steps; beyond, 16 pieces are halved where their halves
        want different rates, until the loss falls by less than 1e-6 of itself or there are 400.
    limits
        {"cap": a rate, or "stability" for the lowest of `simlr.stability(...).limit`; "peak": the highest rate exactly,
        which goes with a shape; "shape": "monotone" for rates that never rise, "unimodal" for rates that rise, then
        fall; "warmup_steps": W, rates t / W times the first one in the first W steps, part of T; "samples": D}. Without
        a cap no rate is above 2 (1 + momentum) over the smallest curvature above 0. With D the batch sizes of fresh
        rows are searched too: real numbers, the noise's own or more, that sum to D over the T steps.
    starts
        How many starts: the usual shapes with their best peaks, the best one first, then random ones around it.

    Returns
    -------
    Optimum
        Rates and lengths of the pieces, the loss, and certificates.

    Raises
    ------
    InputError (a ValueError) for wrong shapes and values, and where SciPy is missing.

    Notes
    -----
    The loss is not convex in the rates: an optimum is local, and `start_gap` says how far starts ended from each other.
    Without an offset no rate of gradient descent is 0 at an optimum: the loss falls with each rate at 0, by
    2 sum_i w_i lam_i E r_i^2, w >= 0 the weights of E r_i^2 after that step. With an offset a rate of 0 may be best:
    rates below a millionth of the highest are set to 0 where that makes the loss no larger.
    """
    objective = read_objective(curvature, residual, noise, optimizer, test_matrix, offset)
    if np.ndim(objective.batch) != 0:
        raise InputError("noise.batch_size must be one number here")
    length, begun = rules.count("steps", steps), rules.count("starts", starts)
    allowed = read_limits(limits, length, objective, (curvature, noise, optimizer))
    even = _at_one_batch(objective, allowed, length)
    problem, best, gap = search(even, length, allowed._replace(samples=None), pieces, begun)
    if allowed.samples is None:
        return _result(problem, best, gap, allowed)
    most = MOST_PIECES if pieces is None else problem.layout.lengths.size
    return _result(*with_batches(problem, best, allowed, allowed.samples, float(objective.batch), most), allowed)


def search(
    objective: Objective, steps: int, allowed: Limits, pieces: int | ArrayLike | None = None, starts: int = 3
) -> tuple[Problem, Solution, float]:
    """The problem in its last pieces, the best solution, and `Optimum.start_gap`; arguments are checked."""
    free = steps - allowed.warmup_steps
    grows = pieces is None and free > SINGLE_STEPS
    problem = Problem(objective, Layout(_lengths(pieces, free), allowed.warmup_steps))
    found = [solve_shape(problem, start, allowed) for start in _starts(problem, allowed, starts)]
    best, worst = min(found, key=lambda one: one.value), max(one.value for one in found)
    gap = float(np.expm1(worst - best.value))
    if grows:
        problem, best = grow(problem, best, allowed, MOST_PIECES)
    return problem, best if allowed.shape != "free" else zeroed(problem, best), gap


def _result(problem: Problem, best: Solution, gap: float, limits: Limits) -> Optimum:
    """The Optimum, with the families that it is held against."""
    layout, objective, batch = problem.layout, problem.objective, None
    rates, lengths = layout.all_rates(best.rates[: layout.lengths.size]), layout.all_lengths
    steps = int(lengths.sum())
    families = usual_shapes(_at_one_batch(objective, limits, steps), steps, limits)
    if isinstance(problem, JointProblem):
        batch = layout.all_batches(problem.batches(best.rates[layout.lengths.size :]))
        objective = objective._replace(batch=batch)
    return Optimum(
        learning_rate=rates,
        lengths=lengths,
        loss=objective.evaluate(rates, lengths, slopes=False).loss,
        gradient_norm=best.gradient_norm,
        start_gap=gap,
        largest=limits.largest,
        cap_binds=cap_binds(rates, limits),
        families=families,
        evaluations=problem.evaluations,
        batch_size=batch,
    )


def _at_one_batch(objective, limits, steps):
    """The objective with the samples, where there are any to share out, spread evenly over the steps."""
    return objective if limits.samples is None else objective._replace(batch=limits.samples / steps)


def usual_shapes(objective: Objective, steps: int, limits: Limits) -> dict[str, Family]:
    """The best of each usual shape under the limits: its peak, and its mean loss without floors."""
    scale = min(limits.largest, _scale(objective))
    return compared(objective, steps, limits.warmup_steps, scale, limits.peak)


def cap_binds(rates: NDArray[np.float64], limits: Limits) -> bool:
    """Whether some rate lies at the highest one that is allowed."""
    return bool((rates >= limits.largest * (1.0 - 1e-9)).any())


def read_limits(
    given: dict[str, Any] | None, steps: int, objective: Objective, stable_arguments: tuple[Any, ...],
    prefix: str = "limits.",
) -> Limits:  # fmt: skip
    """The checked `Limits`; `prefix` is what stands before a key in a message."""
    if given is not None and not isinstance(given, dict):
        rules.refuse("limits", "a table", given)
    table = read_parameters("limits", given or {}, LIMITS)
    cap, peak, shape, warmup = (table[name] for name in ("cap", "peak", "shape", "warmup_steps"))
    if warmup >= steps:
        rules.refuse(f"{prefix}warmup_steps", f"below the {steps} steps", warmup)
    if peak is not None and shape == "free":
        raise InputError(f"{prefix}peak goes with a shape, 'monotone' or 'unimodal'; without one use cap")
    moving = objective.curvature[objective.curvature > 0.0]
    if moving.size == 0:
        raise InputError("curvature must be above 0 somewhere: no rate changes anything")
    largest = 2.0 * (1.0 + objective.method[0]) / moving.min()
    if cap == "stability":
        largest = float(stability(*stable_arguments).limit.min())
    elif cap != "none":
        largest = cap
    if peak is not None and peak > largest:
        rules.refuse(f"{prefix}peak", f"at most the cap, {largest:g}", peak)
    if table["samples"] is not None:
        _check_samples(table["samples"], steps, objective, shape, prefix)
    return Limits(largest, peak, shape, warmup, table["samples"])


def _check_samples(samples, steps, objective, shape, prefix):
    """Refuse a number of samples that no batch sizes of the noise can sum to, and what is not searched beside them."""
    from ...kernels.stochastic import expectation as kernels

    if objective.kind != kernels.FRESH:
        raise InputError(f"{prefix}samples goes with noise of kind 'fresh', whose rows they are")
    if shape != "free":
        raise InputError(f"{prefix}samples goes with the shape 'free', got {shape!r}")
    least = float(np.max(objective.batch)) * steps
    if samples < least:
        raise InputError(f"{prefix}samples must be at least batch_size x steps = {least:,.10g}, got {samples:,}")


def _lengths(pieces, steps):
    """(P,) lengths of the first pieces."""
    if pieces is None:
        return np.ones(steps, np.int64) if steps <= SINGLE_STEPS else geometric_lengths(steps, FIRST_PIECES)
    if np.ndim(pieces) == 0:
        count = rules.count("pieces", pieces)
        if count == 1:
            return np.array([steps], np.int64)
        return np.ones(steps, np.int64) if count >= steps else geometric_lengths(steps, count)
    lengths = piece_lengths(pieces)
    if lengths.sum() != steps:
        raise InputError(f"pieces must sum to the {steps:,} steps after the warm-up, got {lengths.sum():,}")
    return lengths


def _scale(objective: Objective) -> float:
    """A rate beyond which no constant rate is of use."""
    return 2.0 * (1.0 + objective.method[0]) / float(objective.curvature.max())


def _starts(problem: Problem, limits: Limits, count: int):
    """Rates (P,) to start from: the usual shapes with their best peaks, the best first, then random ones around it."""
    scale, lengths = min(limits.largest, _scale(problem.objective)), problem.layout.lengths
    best = {name: best_of(problem, name, scale) for name in FAMILIES}
    ranked = sorted(best, key=lambda name: best[name].loss)
    shapes = [best[name].learning_rate * heights(name, lengths) for name in ranked]
    generator = np.random.default_rng(0)
    more = [shapes[0] * np.exp(generator.normal(0.0, 0.7, lengths.size)) for _ in range(count - len(shapes))]
    return [*shapes, *more][:count]
