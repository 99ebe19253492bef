"""Power laws near a nominal one, and their losses under schedules at the best peak: what scaling-law papers share.

The problem is that of one-pass SGD on Gaussian inputs: R = 1/2 sum_j lam_j r_j^2, lam_j ~ j^-beta (capacity beta),
lam_j r_j^2 ~ j^-(1 + s beta) at the start (source s). Every "~" is up to constants, so each drawn problem has factors
of its own, within sqrt(spread) and 1/sqrt(spread), on every eigenvalue and every coefficient. Neighbouring modes are
binned: a bin of n modes is one mode that counts n times. The label noise sigma^2 enters a gradient along mode j with
variance sigma^2 lam_j.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import Finding, outside
from ..errors import InputError
from ..inputs import rules

Array = NDArray[np.float64]
GOLDEN = 0.5 * (5.0**0.5 - 1.0)
CLOSE = 0.03  # of the logarithm of a best peak: the loss is then within 1e-3 of its least, since it is flat there
LEAST_PEAK = 1e-18  # of the largest one, that is looked at
STAIRS = 256  # pieces of constant rate that a decay is taken in
LEAST_BINS = 8  # for a factor of ten in modes: with wider ones the spectrum has gaps
# Spreads from which on draws are others than the nominal problem, and up to which their exponents are its.
NARROWEST, WIDEST = 1.05, 4.0
# Settings at whose sizes exponents are near their limits, on which the tolerances were fixed.
NEAR = {"capacity": (1.5, 4.0), "source": (0.3, 1.5), "sigma": (0.3, 3.0), "cap": (0.1, 1.0)}
TURNING = 0.2  # of what an exponent is off: what it changes by from the first half of the budgets to the last


class PowerLaw(NamedTuple):
    """Drawn problems, one a row: N problems of d bins."""

    curvature: Array  # (N, d) lam
    start: Array  # (N, d) r at the start
    modes: Array  # (d,) in each bin

    @property
    def weight(self) -> Array:
        """Of r^2 in the excess loss, (N, d)."""
        return 0.5 * self.curvature * self.modes


def problems_of(own: dict[str, Any]) -> list[tuple[float, float]]:
    """(beta, s) of each problem of a study; InputError where it has more of the one than of the other."""
    count = len(own["capacity"])
    if len(own["source"]) != count:
        raise InputError(
            f"study.source must have as many numbers as study.capacity, {count}, got {len(own['source'])}: "
            "a problem has one of each"
        )
    return list(zip(own["capacity"], own["source"], strict=True))


def drawn(root: int, problems: int, capacity: float, source: float, modes: int, bins: int, spread: float) -> PowerLaw:
    """Problems near lam = j^-capacity, lam r^2 = j^-(1 + source capacity), j up to `modes`.

    The factors are spread^(u - 1/2), u uniform on [0, 1): of the curvature of problem k the stream (root, k, SAMPLE,
    0), of its start (root, k, TARGET, 0).
    """
    from ..kernels.draws import SAMPLE, TARGET, fill_uniform

    first = np.unique(np.round(np.geomspace(1.0, modes + 1.0, bins + 1))).astype(np.int64)
    count = np.diff(first).astype(np.float64)
    middle = np.sqrt(first[:-1] * (first[1:] - 1.0))
    factor = np.empty((2, problems, middle.size))
    for k in range(problems):
        fill_uniform(factor[0, k], root, k, SAMPLE, 0)
        fill_uniform(factor[1, k], root, k, TARGET, 0)
    factor = spread ** (factor - 0.5)
    with np.errstate(all="ignore"):
        lam = middle**-capacity * factor[0]
        start = np.sqrt(middle ** -(1.0 + source * capacity) * factor[1] / lam)
    if not (np.isfinite(lam) & (lam > 0.0) & np.isfinite(start)).all():
        raise InputError(
            f"study: capacity {capacity:g}, source {source:g} and spread {spread:g} make curvatures or a start that "
            f"are 0 or infinite as numbers, over {modes} modes"
        )
    return PowerLaw(lam, start, count)


def losses_of(law: PowerLaw, sigma: float) -> Callable[[int, Array, Array], float]:
    """The excess loss of problem k after pieces at rates (P,) over lengths (P,), exact, as a function of the three.

    The noise is the label noise alone; that of one-pass SGD has e + sigma^2 in place of sigma^2, e the excess loss.
    """
    from ..engine.optimal.gradient import read_objective

    noise = {"kind": "gradient", "covariance": "hessian", "sigma": sigma} if sigma > 0.0 else {"kind": "none"}
    objectives = [
        read_objective(law.curvature[k : k + 1], law.start[k : k + 1], noise, test_matrix=law.weight[k : k + 1])
        for k in range(len(law.curvature))
    ]

    def loss(k, rates, lengths):
        found = float(objectives[k].evaluate(rates, lengths, slopes=False).loss[0])
        return found if np.isfinite(found) else np.inf

    return loss


def best_peak(loss: Callable[[float], float], largest: float, least: float = LEAST_PEAK) -> tuple[float, float]:
    """(peak, loss) of the least loss at peaks up to `largest`, by golden section in the logarithm.

    The loss first falls and then rises with the peak. An end is taken where it is no worse than what is found.
    """
    low, high = np.log(least * largest), np.log(largest)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at = {x: loss(float(np.exp(x))) for x in (low, left, right, high)}
    while high - low > CLOSE:
        if at[left] <= at[right]:
            high, right, left = right, left, right - GOLDEN * (right - low)
            at[left] = loss(float(np.exp(left)))
        else:
            low, left, right = left, right, left + GOLDEN * (high - left)
            at[right] = loss(float(np.exp(right)))
    best = min(at, key=at.__getitem__)
    return float(np.exp(best)), at[best]


def cannot_tell(own: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings of a study whose draws show nothing of a power law, as (what, why)."""
    if own["spread"] < NARROWEST:
        why = f"study.spread is below {NARROWEST:g}, and copies of one problem tell nothing of others"
        yield "draws that are all one", why
    if own["spread"] > WIDEST:
        yield "draws that are no power laws", f"study.spread is above {WIDEST:g}, which moves the exponents of each"
    if own.get("bins", own["modes"]) < min(own["modes"], LEAST_BINS * np.log10(own["modes"])):
        yield "bins that are too coarse", f"study.bins has less than {LEAST_BINS} for a factor of ten in study.modes"


def far_from_limits(own: dict[str, Any], moved: float) -> Iterator[str]:
    """Why exponents at these settings may be far from their limits, which then refutes nothing.

    `moved` is the largest sum of rates times the smallest curvature: from 1 on the last mode is being learnt, and
    losses fall as those of a spectrum that ends.
    """
    noise = own["sigma"] / own["distance"] if own["distance"] else 1.0
    for key, (low, high) in NEAR.items():
        value = np.ravel(noise if key == "sigma" else own.get(key, low))
        if value.min() < low or value.max() > high:
            over = " over study.distance" if key == "sigma" else ""
            yield f"study.{key}{over} is not from {low:g} to {high:g}, where exponents are near their limits"
    if moved >= 1.0:
        yield "the last of study.modes is learnt: the spectrum ends"


def turning(budgets: Array, losses: Array, paper: float) -> str:
    """What is told of losses (seed, K) whose exponent still changes, by budget, as it would near or leave the paper's.

    "" where it changes by less than `TURNING` of what it is off, or of fewer than three budgets.
    """
    half = (budgets.size + 1) // 2
    off = float(slopes(budgets, losses).mean()) - paper
    first, last = (float(slopes(budgets[part], losses[..., part]).mean()) for part in (slice(half), slice(-half, None)))
    if budgets.size < 3 or not abs(last - first) >= TURNING * abs(off):
        return ""
    return f"still turning: {first:.3g} over the first half, {last:.3g} over the last"


class Judged(NamedTuple):
    """Exponents of the draws beside the paper's."""

    what: str
    found: Array  # (seed,)
    paper: float
    tolerance: float  # 0: the paper's is a lower bound
    why: str = ""  # what a difference does not refute the paper for


def of_power(what: str, budgets: Array, values: Array, paper: float, tolerance: float, far: str) -> Judged:
    """What is judged of values (seed, K) ~ budgets^-paper (K,), which may be `far` from their limits, or still turn."""
    return Judged(what, slopes(budgets, values), paper, tolerance, far or turning(budgets, values, paper))


def tested(judged: Sequence[Judged]) -> list[Finding]:
    """The findings of one claim, by t-tests over the draws on what is left of the tolerances."""
    rooms = [one.tolerance - abs(one.found - one.paper) if one.tolerance else one.found - one.paper for one in judged]
    shown = [evidence.of_mean(room) for room in rooms]
    findings = []
    for one, shown_of, outcome in zip(judged, shown, evidence.outcomes(shown), strict=True):
        paper = one.paper if one.tolerance else f">= {one.paper:.3g}"
        found = Finding(one.what, float(one.found.mean()), paper, one.tolerance or "", outcome, str(shown_of))
        findings.append(outside(found, one.why))
    return findings


def slopes(budgets: Array, losses: Array) -> Array:
    """The exponents p (...) of losses (..., K) ~ budgets^-p (K,), by least squares of the logarithms."""
    x = np.log(budgets) - np.log(budgets).mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return -(np.log(losses) * x).sum(axis=-1) / (x * x).sum()


def split(steps: int, pieces: int) -> NDArray[np.int64]:
    """Lengths (P,) of at most so many pieces of nearly one length."""
    ends = np.unique(np.round(np.linspace(0.0, steps, min(pieces, steps) + 1)).astype(np.int64))
    return np.diff(ends)


# ---- rules of parameters ----


def at_least_one(key: str, value: Any) -> float:
    """A finite number >= 1."""
    return rules.number(key, value, least=1.0, rule="a finite number >= 1")


def above_one(key: str, value: Any) -> float:
    """A finite number > 1: a capacity."""
    return rules.number(key, value, above=1.0, rule="a finite number > 1")


@rules.VectorRule
def capacities(key: str, value: Any) -> tuple[float, ...]:
    """A list of numbers > 1."""
    found = rules.vector()(key, value)
    if min(found) <= 1.0:
        rules.refuse(key, "a list of numbers > 1", value)
    return found


@rules.VectorRule
def sources(key: str, value: Any) -> tuple[float, ...]:
    """A list of numbers > 0."""
    found = rules.vector()(key, value)
    if min(found) <= 0.0:
        rules.refuse(key, "a list of numbers > 0", value)
    return found
