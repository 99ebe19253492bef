"""Wu, Ren, Liao, Grosse (2018), Understanding Short-Horizon Bias in Stochastic Meta-Optimization.

arXiv:1803.02021 (ICLR 2018). Rates tuned for the loss a few steps later end far too small: on an ill-conditioned
quadratic with noise a small rate pays at once, since it quiets the noise along steep axes, and a large one later, along
flat axes. The model: loss 1/2 sum_i h_i x_i^2, gradients h_i x_i + xi_i with Var xi_i = h_i^e sigma^2, e = 2: the
minimum of each batch lies elsewhere, sigma away along every axis. With p_i = E x_i^2 the best rate for the loss right
after its own step, the greedy one, is

    eta = sum_i h_i^2 p_i / sum_i h_i (h_i^2 p_i + h_i^e sigma^2).

Compared are rates that are the best for the loss at the end of blocks of 1, 4, 16, ... steps, each block begun where
the one before ended, up to one block of all steps, of 24 pieces of constant rate; or, where those of a shorter horizon
end lower still, these, which are rates for all steps as well. They are local optima: the true optimum is lower, which
only adds to what is claimed. Means are exact, no gradient is drawn. Drawn are problems:
curvatures i^-capacity exp(jitter z), z normal, and normal starts.

In units y_i = x_i h_i^((1 - e)/2) the noise has the covariance sigma^2 H and the loss is 1/2 sum_i h_i^e E y_i^2, so
that simlr's greedy rates, gradient and search serve.

The paper's body was not read. Judged is its claim alone: no number of its is known here.
"""

import importlib.util
import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import (
    FAILS,
    HOLDS,
    NOT_RUN,
    UNDECIDED,
    Control,
    Finding,
    Verdict,
    at_most,
    outside,
    undecided,
    verdict,
)
from ..config.study import Study, Task
from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..store.file_format import Field
from ..store.run import Run
from ._drawn_problems import curvatures, spectrum, tested

Array = NDArray[np.float64]
SOURCE = "Wu, Ren, Liao, Grosse (2018), arXiv:1803.02021, its claim on noisy quadratics; the body was not read"
CLAIM = (
    "On an ill-conditioned noisy quadratic, rates that are tuned for a short horizon are far too small and end at a "
    "far higher loss than those tuned for all steps; the shorter the horizon, the more so."
)
RECONSTRUCTION = (
    "The greedy rate is the paper's model's. Ours are the power-law spectrum, its draws, 256 steps, horizons as blocks "
    "one after another, at most 24 pieces of constant rate in a block (more would end lower still), and that far means "
    "a factor 2."
)
GRID = """
name = "wu2018"

[study]
kind = "wu2018"

[seeds]
count = 8
"""
FAR = 2.0
LEAST_NOISE, LEAST_FALL = 1e-3, 0.25  # of the last greedy loss; of the loss, by rates tuned for all steps
LEAST_STEPS = 32  # from which on a horizon is long
OWN_NOISE = 2.0  # exponent of the curvature in the variance of the claim's noise
SINGLE_STEPS, PIECES = 16, 24
SEARCHED = 1e-6  # of a rate: where the loss is flat, its last bits are lost to half of its digits
LARGEST = 2.0  # over the largest curvature
SCIPY = 'needs SciPy: pip install "simlr[optimal]"'


class Problem(NamedTuple):
    """One drawn quadratic, in units in which the noise has the covariance sigma^2 H."""

    curvature: Array  # (d,)
    residual: Array  # (d,) the root of E y^2
    weight: Array  # (d,) of E y^2 in the loss
    sigma: float

    @property
    def noise(self) -> dict[str, Any]:
        """The noise as simlr has it."""
        return {"kind": "gradient", "covariance": "hessian", "sigma": self.sigma}

    def courses(self, rates: Array) -> Array:
        """E y^2 after 0, ..., T steps at rates (T,), as (T + 1, d)."""
        p = self.residual**2
        found = [p]
        for eta in rates:
            p = (1.0 - eta * self.curvature) ** 2 * p + eta**2 * self.sigma**2 * self.curvature
            found.append(p)
        return np.array(found)


def problem(own: dict[str, Any], root: int, seed: int) -> Problem:
    """The problem of a seed."""
    curvature, start = spectrum(own, root, seed)
    with np.errstate(all="ignore"):
        start = own["start"] * start * curvature ** (0.5 * (1.0 - own["noise_exponent"]))
        found = Problem(curvature, start, 0.5 * curvature ** own["noise_exponent"], own["sigma"])
        sizes = np.concatenate([found.weight, 1.0 / found.weight, found.residual**2, [np.square(found.sigma)]])
    if not np.isfinite(sizes).all():
        keys = "study.start, study.sigma or study.noise_exponent"
        raise InputError(f"{keys}: too large, what is made of them is 0 or infinite as a number")
    return found


def measure(task: Task) -> dict[str, Any]:
    """Rates and losses of every horizon on every drawn problem."""
    own, horizons = task.parameters, [int(one) for one in task.parameters["horizons"]]
    shape = len(horizons), task.seeds, horizons[-1]
    rates, loss = np.full(shape, np.nan), np.full((*shape[:2], shape[2] + 1), np.nan)
    greedy = np.full((2, task.seeds), np.nan)
    scipy = importlib.util.find_spec("scipy") is not None
    for seed in range(task.seeds):
        one = problem(own, task.root, seed)
        for i, horizon in enumerate(horizons):
            if scipy or horizon == 1:
                rates[i, seed] = tuned(one, horizons[-1], horizon)
                loss[i, seed] = (one.weight * one.courses(rates[i, seed])).sum(axis=1)
        best = int(np.argmin(np.nan_to_num(loss[:, seed, -1], nan=np.inf))) if scipy else -1
        rates[-1, seed], loss[-1, seed] = rates[best, seed], loss[best, seed]
        greedy[0, seed] = min(rates[0, seed, 0], LARGEST / one.curvature.max())  # beyond which none is searched for
        if scipy:
            greedy[1, seed] = best_block(one, np.ones(1, np.int64), rates[0, seed, :1] * 2.0 + 1e-300)[0]
        task.progress(seed + 1, task.seeds)
    return {"horizon": horizons, "step": np.arange(horizons[-1] + 1), "rate": rates, "loss": loss,
            "greedy_rate": greedy[0], "searched_rate": greedy[1], "searched": int(scipy)}  # fmt: skip


def tuned(one: Problem, steps: int, horizon: int) -> Array:
    """Rates (steps,), the best for the loss at the end of each block of `horizon` steps."""
    from ..engine.optimal.families import greedy_rates
    from ..engine.optimal.search import geometric_lengths

    if horizon == 1:
        arguments = one.curvature[None], one.residual[None], steps, one.noise
        return greedy_rates(*arguments, test_matrix=one.weight)
    lengths = np.ones(horizon, np.int64) if horizon <= SINGLE_STEPS else geometric_lengths(horizon, PIECES)
    found, begun = np.empty(steps), one
    start = np.full(lengths.size, 0.5 / one.curvature.max())
    for first in range(0, steps, horizon):
        pieces = best_block(begun, lengths, start)
        found[first : first + horizon] = np.repeat(pieces, lengths)
        after = begun.courses(found[first : first + horizon])[-1]
        begun, start = begun._replace(residual=np.sqrt(after)), np.maximum(pieces, 1e-3 * pieces.max())
    return found


def best_block(one: Problem, lengths: NDArray[np.int64], start: Array) -> Array:
    """The rates (P,) of pieces, near some, that make the loss at their end least; NaN where it is 0, or no number."""
    from ..engine.optimal import search
    from ..engine.optimal.gradient import read_objective

    if not (np.isfinite(one.residual).all() and one.residual.any()):
        return np.full(lengths.size, np.nan)
    objective = read_objective(one.curvature[None], one.residual[None], one.noise, test_matrix=one.weight)
    limits = search.Limits(LARGEST / float(one.curvature.max()), None, "free", 0)
    return search.solve_shape(search.Problem(objective, search.Layout(lengths)), start, limits).rates


@rules.VectorRule
def _horizons(key, value):
    """1, and whole numbers of which each divides the next."""
    found = [rules.count(key, one) for one in value] if isinstance(value, list | tuple) else []
    if len(found) < 2 or found[0] != 1 or any(b <= a or b % a for a, b in itertools.pairwise(found)):
        raise InputError(f"{key} must be 1 and whole numbers of which each divides the next, at least two in all")
    return tuple(found)


STUDY = Study(
    "wu2018",
    "rates tuned for the loss at the end of short and of long horizons, on noisy quadratics",
    (
        Parameter("curvature", curvatures, (), "the spectrum; empty: i^-capacity, i <= dimension"),
        Parameter("dimension", rules.count, 100, "number of axes"),
        Parameter("capacity", rules.not_negative, 1.0, "exponent of the spectrum"),
        Parameter("jitter", rules.not_negative, 0.5, "deviation of the logarithms of drawn curvatures"),
        Parameter("start", rules.not_negative, 1.0, "deviation of the start along each axis"),
        Parameter("sigma", rules.not_negative, 1.0, "of the noise"),
        Parameter("noise_exponent", rules.finite, OWN_NOISE, "e: the noise's variance is h^e sigma^2"),
        Parameter("horizons", _horizons, (1, 4, 16, 64, 256), "steps of a block; the last is all of them"),
    ),
    (
        Field("horizon", ("horizon",), "<i8", "steps of a block"),
        Field("step", ("step",), "<i8", "steps taken"),
        Field("rate", ("horizon", "seed", "rate_of_step"), "<f8", "learning rate"),
        Field("loss", ("horizon", "seed", "step"), "<f8", "mean loss"),
        Field("greedy_rate", ("seed",), "<f8", "first greedy rate, at most 2 over the largest curvature"),
        Field("searched_rate", ("seed",), "<f8", "the best rate of one step, searched for"),
        Field("searched", (), "<i8", "0: SciPy was missing, and the greedy rates are all there is"),
    ),
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """The formula, and short horizons against all steps."""
    if not int(run["searched"]):
        return verdict(CLAIM, [Finding("the optimum over all steps", SCIPY, "", "", NOT_RUN)])
    last, mean = run["loss"][:, :, -1], run["rate"].mean(axis=2)
    with np.errstate(all="ignore"):
        off = float(abs(run["greedy_rate"] / run["searched_rate"] - 1.0).max())
    if not (np.isfinite(last) & (last > 0.0) & np.isfinite(mean) & (mean > 0.0)).all():
        return verdict(CLAIM, [undecided("losses and rates", "some are 0, or no numbers")])
    formula = at_most("greedy rate against a search, worst relative error", off, SEARCHED)
    loss, rate = np.log(last), np.log(mean)
    horizons = run["horizon"]
    judged = [
        (f"last loss, greedy / tuned for {horizons[-1]} steps", loss[0] - loss[-1], FAR, ">", True),
        (f"mean rate, tuned for {horizons[-1]} steps / greedy", rate[-1] - rate[0], FAR, ">", True),
    ]
    for i, (short, long) in enumerate(itertools.pairwise(horizons)):
        judged.append((f"last loss, horizon {short} / {long}", loss[i] - loss[i + 1], 1.0, ">", True))
    why = "; ".join(_outside(run))
    return verdict(CLAIM, [outside(one, why) for one in (formula, *tested(judged))])


def _outside(run):
    """Why there is no noise to quiet, or no later to wait for: settings that refute nothing."""
    own, loss, felt = run.config.study, run["loss"], []
    for seed, rates in enumerate(run["rate"][0]):
        one = problem(own, int(run.config.seeds["root"]), seed)
        quiet, noisy = (float(one.weight @ each.courses(rates)[-1]) for each in (one._replace(sigma=0.0), one))
        felt.append(1.0 - quiet / noisy)
    if np.median(felt) < LEAST_NOISE:
        yield "noise is not felt: there is none, or so much that hardly a step is taken"
    if own["noise_exponent"] != OWN_NOISE:
        yield "noise whose variance is not h^2 sigma^2 is not the claim's"
    if run["horizon"][-1] < LEAST_STEPS:
        yield f"of fewer than {LEAST_STEPS} steps no horizon is long"
    if np.median(loss[-1, :, -1] / loss[-1, :, 0]) > LEAST_FALL:
        yield f"in so many steps the loss does not fall to {LEAST_FALL:g} of the first, and no horizon is long"


def controls() -> list[Control]:
    """Nothing to gain by waiting (equal curvatures, few steps, noise that swamps all), and too few problems."""
    few, many = (("study.horizons", [1, 16, 256]), ("seeds.count", 6)), (("seeds.count", 12),)
    flat = "with one curvature the loss falls along one axis, and greedy rates are the optimum"
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("equal curvatures", flat, FAILS, (*many, ("study.capacity", 0.0), ("study.jitter", 0.0))),
        ("two steps", "there is hardly a later to wait for", UNDECIDED, (("study.horizons", [1, 2]),)),
        ("one problem", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("two problems", "a t-test on two cannot be so sure", UNDECIDED, (("seeds.count", 2),)),
        ("curvatures within a tenth", flat, FAILS, (*many, ("study.capacity", 0.0), ("study.jitter", 0.03))),
        ("a single axis", flat, FAILS, (*many, ("study.dimension", 1))),
        ("noise that swamps all", "no rate lowers the loss by much in so many steps", UNDECIDED,
         (("study.sigma", 1e4),)),
        ("a start at the minimum", "the losses are 0", UNDECIDED, (("study.start", 0.0),)),
        ("no noise", "there is nothing to quiet", UNDECIDED, (("study.sigma", 0.0),)),
        ("four steps", "no horizon of theirs is long", UNDECIDED, (("study.horizons", [1, 4]),)),
        ("64 steps", "a horizon is short beside them", HOLDS, (("study.horizons", [1, 8, 64]),)),
        ("200 axes", "the same, more ill-conditioned", HOLDS, (("study.dimension", 200),)),
        ("a start further off", "the same as less noise", HOLDS, (("study.start", 3.0),)),
        ("little noise", "the same, later", HOLDS, (("study.sigma", 0.1),)),
        ("a spectrum of one's own", "50 curvatures, geometric from 1 to 1e-3", HOLDS,
         (("study.curvature", np.geomspace(1.0, 1e-3, 50).tolist()),)),
    )  # fmt: skip
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """Rates and losses of the first problem, by horizon."""
    drawn = np.concatenate([run["rate"].ravel(), run["loss"].ravel()])
    return [horizons_picture(run)] if (np.isfinite(drawn) & (drawn > 0.0)).all() else []


def horizons_picture(run: Run) -> Any:
    """Left the rates, right the losses."""
    from ..report.figures import style

    figure, (left, right) = style.figure(2, width=12.0)
    for i, horizon in enumerate(run["horizon"]):
        look = {"color": style.COLOURS[i % len(style.COLOURS)]}
        left.plot(run["step"][1:], run["rate"][i, 0], label=f"horizon {horizon}", **look)
        right.plot(run["step"], run["loss"][i, 0], **look)
    for axes, name in ((left, "learning rate"), (right, "mean loss")):
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(name)
    rates = run["rate"][:, 0]
    left.set_ylim(0.5 * np.median(rates[0]) / 10.0, 2.0 * rates.max())
    style.legend(figure, left)
    ratio = math.exp(float(np.log(run["loss"][0, :, -1] / run["loss"][-1, :, -1]).mean()))
    style.title(figure, f"Greedy rates end at {ratio:.3g} times the loss of rates tuned for all steps")
    caption = "The first drawn problem; each block of so many steps has the rates that are best for its end."
    return style.Picture("horizons", caption, figure)
