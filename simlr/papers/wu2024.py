"""Wu, Bartlett, Telgarsky, Yu (2024), Large Stepsize Gradient Descent for Logistic Loss.

arXiv:2402.15926 (COLT 2024). Mean logistic loss of n rows that a hyperplane through 0 separates, at distance gamma from
the nearest: gradient descent at a constant rate eta, however large, first oscillates, over O(eta) steps, and then falls
as 1/(eta t); of T steps at a rate in proportion to T that makes 1/T^2. In the limit, where the rows at distance gamma
are all that counts, eta gamma^2 t L -> 1: they have u = gamma |theta| in the direction of the largest margin, L is in
proportion to exp(-u), and u grows by eta gamma^2 L a step.

Drawn are rows x y in d dimensions. Two lie at (gamma, a v) and (gamma, -b v), v a unit vector and a, b uniform in
[1/2, 1]: the segment between them passes (gamma, 0), so that the largest margin is gamma, along the first axis,
whatever the others are. Those have 2 to 3 gamma there, and a uniform share of a unit vector of their own across.

Orders are those of large t. The paper has the second phase begin at max(eta, n, (n/eta) log(n/eta))/gamma^2 up to a
constant; so what is found before that does not refute it, nor a rate at which nothing oscillates.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Verdict, at_most, outside, undecided, verdict
from ..config.study import Study, Task
from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..store.file_format import Field
from ..store.run import Run
from ._drawn_problems import tested

Array = NDArray[np.float64]
SOURCE = "Wu, Bartlett, Telgarsky, Yu (2024), arXiv:2402.15926, its theorems as the abstract states them"
CLAIM = (
    "Gradient descent on separable logistic regression at a large constant rate oscillates at first, for O(eta) steps, "
    "and then falls as 1/(eta t); at a rate in proportion to the number of steps T it ends at O(1/T^2)."
)
RECONSTRUCTION = (
    "The two phases and their orders are the paper's. That eta gamma^2 t L tends to 1 is computed here. Ours are the "
    "rows, the rates, 10,000 steps and the bounds: oscillation over before step eta, at most 2/(eta gamma^2 s) s steps "
    "later, the limit within a tenth, exponents within 0.2."
)
GRID = """
name = "wu2024"

[study]
kind = "wu2024"

[seeds]
count = 40
"""
ROOM, CLOSE, LATEST = 2.0, 1.1, 0.2
POINTS = 200
TOLD = "0, or a number from 1e-100 to 1e100"
EARLY = "too early to count against a limit of many steps: study.horizons or study.margin is too small for the rate"
QUIET = "nothing is shown to oscillate, so that no rate is a large one"
NOT_SMALL = "the rate may be above 2 / smoothness, where a loss may rise"


class Course(NamedTuple):
    """What is known of runs at rates (R,) on N problems."""

    loss: Array  # (R, N, K) at the recorded steps
    rises: NDArray[np.int64]  # (R, N) steps that raised the loss
    last_rise: NDArray[np.int64]  # (R, N) the last of them, counted from 1; 0 = none
    peak: Array  # (R, N) the largest eta s L, s steps after it


def rows_of(own: dict[str, Any], root: int, seed: int) -> Array:
    """Rows times their labels, (n, d), of one seed."""
    from ..kernels.draws import SAMPLE, fill_normal, fill_uniform

    n, d, gamma = own["rows"], own["dimension"], own["margin"]
    across, uniform = np.empty((n, d - 1)), np.empty(2 * n)
    fill_normal(across.reshape(-1), root, seed, SAMPLE, 0)
    fill_uniform(uniform, root, seed, SAMPLE, 1)
    across /= np.sqrt((across**2).sum(axis=1, keepdims=True))
    across[1] = -across[0]
    share, along = uniform[:n].copy(), gamma * (2.0 + uniform[n:])
    share[:2], along[:2] = 0.5 + 0.5 * share[:2], gamma
    rows = np.column_stack([along, share[:, None] * across])
    rows[n - own["wrong"] :] *= -1.0
    return rows


def descend(rows: Array, rates: Array, recorded: NDArray[np.int64], decay: float = 0.0) -> Course:
    """Gradient descent from 0 at rates eta (t + 1)^-decay with all problems.

    Parameters
    ----------
    rows : (N, n, d)
        Rows times their labels.
    rates : (R,)
        eta.
    recorded : (K,)
        The steps after which the loss is kept, rising, the last one of all last.
    decay
        Of the rates; 0 = constant.
    """
    shape = rates.size, rows.shape[0]
    theta, loss = np.zeros((*shape, rows.shape[2])), np.empty((*shape, recorded.size))
    rises, last_rise, peak = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape)
    before, slot = np.full(shape, np.inf), 0
    for t in range(int(recorded[-1]) + 1):
        z = (rows * theta[:, :, None, :]).sum(axis=3)
        e = np.exp(-np.abs(z))
        now = (np.maximum(-z, 0.0) + np.log1p(e)).mean(axis=2)
        is_up = now > before
        rises += is_up
        last_rise[is_up] = t
        peak = np.maximum(np.where(is_up, 0.0, peak), rates[:, None] * (t - last_rise) * now)
        if t == recorded[slot]:
            loss[:, :, slot] = now
            slot += 1
        before = now
        wrong = np.where(z > 0.0, e, 1.0) / (1.0 + e)
        eta = rates[:, None, None] * (t + 1.0) ** -decay
        theta += eta * (wrong[:, :, :, None] * rows).mean(axis=2)
    return Course(loss, rises, last_rise, peak)


@np.errstate(over="ignore", invalid="ignore")
def measure(task: Task) -> dict[str, Any]:
    """Losses at constant rates, and at the end of horizons whose rates grow with them."""
    own, rates = task.parameters, np.array(task.parameters["rates"])
    if own["wrong"] > own["rows"]:
        raise InputError(f"study.wrong must be at most study.rows, {own['rows']}, got {own['wrong']}")
    horizons = np.array([int(one) for one in own["horizons"]])
    steps = np.unique(np.geomspace(1, horizons[-1], POINTS).round().astype(np.int64))
    recorded = np.union1d(np.union1d([0], steps), horizons)
    coupled = own["share"] * horizons.astype(np.float64) ** own["power"]
    rows = np.stack([rows_of(own, task.root, seed) for seed in range(task.seeds)])
    found = descend(rows, np.concatenate([rates, coupled]), recorded, own["decay"])
    task.progress(1, 1)
    count, places = rates.size, np.searchsorted(recorded, horizons)
    ends = found.loss[count + np.arange(horizons.size), :, places]
    return {"rate": rates, "record": np.arange(recorded.size), "step": recorded, "loss": found.loss[:count],
            "rises": found.rises[:count], "last_rise": found.last_rise[:count],
            "peak": own["margin"] ** 2 * found.peak[:count],
            "horizon": horizons, "coupled_rate": coupled, "coupled_loss": ends}  # fmt: skip


@rules.VectorRule
def _horizons(key, value):
    """At least three rising whole numbers."""
    found = [rules.count(key, one) for one in value] if isinstance(value, list | tuple) else []
    if len(found) < 3 or sorted(set(found)) != found:
        raise InputError(f"{key} must be at least three whole numbers >= 1 that rise, got {value!r}")
    return tuple(found)


@rules.VectorRule
def _rates(key, value):
    """At least two rising numbers above 0."""
    found = rules.vector()(key, value)
    if len(found) < 2 or found[0] <= 0.0 or sorted(set(found)) != list(found):
        raise InputError(f"{key} must be at least two numbers > 0 that rise, got {value!r}")
    return found


def _margin(key, value):
    """Above 0, with a square that is a number."""
    return rules.number(key, value, above=0.0, most=1e100, rule="a number > 0, at most 1e100")


def _told_margin(key, value):
    """0, or a margin whose square is a number."""
    found = rules.number(key, value, least=0.0, most=1e100, rule=TOLD)
    return found if found == 0.0 or found >= 1e-100 else rules.refuse(key, TOLD, value)


def _dimension(key, value):
    """Two or more."""
    found = rules.count(key, value)
    return found if found >= 2 else rules.refuse(key, "a whole number >= 2", value)


STUDY = Study(
    "wu2024",
    "gradient descent at constant rates, large ones too, on logistic regression of separable rows",
    (
        Parameter("rows", _dimension, 4, "n"),
        Parameter("dimension", _dimension, 3, "d"),
        Parameter("margin", _margin, 0.1, "gamma, the largest margin"),
        Parameter("wrong", rules.count_or_none, 0, "rows of the wrong label, the last ones: then nothing separates"),
        Parameter("rates", _rates, (1.0, 4.0, 16.0, 64.0), "constant rates; the first is below 2 / smoothness"),
        Parameter("horizons", _horizons, (625, 1250, 2500, 5000, 10000), "numbers of steps T; the last is of all"),
        Parameter("share", rules.positive, 0.0064, "the rate at a horizon T is share T^power"),
        Parameter("power", rules.not_negative, 1.0, "of T in that rate"),
        Parameter("decay", rules.not_negative, 0.0, "rates are multiplied by t^-decay in step t = 1, 2, ..."),
        Parameter("told_margin", _told_margin, 0.0, "what the check takes for gamma; 0 = gamma"),
    ),
    (
        Field("rate", ("rate",), "<f8", "constant learning rate"),
        Field("record", ("record",), "<i8", "recorded moments"),
        Field("step", ("record",), "<i8", "steps taken"),
        Field("loss", ("rate", "seed", "record"), "<f8", "train loss"),
        Field("rises", ("rate", "seed"), "<i8", "steps that raised the loss"),
        Field("last_rise", ("rate", "seed"), "<i8", "the last of them; 0 = none"),
        Field("peak", ("rate", "seed"), "<f8", "the largest eta gamma^2 s L, s steps after it"),
        Field("horizon", ("horizon",), "<i8", "steps T"),
        Field("coupled_rate", ("horizon",), "<f8", "the rate that goes with T"),
        Field("coupled_loss", ("horizon", "seed"), "<f8", "train loss after T steps at that rate"),
    ),
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """Both phases, the limit, and the orders; of what lies outside the claim's own times and rates, nothing against."""
    own, horizons = run.config.study, run["horizon"]
    small, large = run["rate"][0], run["rate"][-1]
    rises = at_most(f"steps that raise the loss at the rate {small:g}", int(run["rises"][0].max()), 0)
    stable = 8.0 / (1.0 + 9.0 * own["margin"] ** 2)  # no row is longer than the root of this denominator
    rises = outside(rises, NOT_SMALL if small > stable else "")
    loss, coupled = run["loss"], run["coupled_loss"]
    if not ((loss > 0.0).all() and (coupled > 0.0).all() and (run["peak"] > 0.0).all()):
        return verdict(CLAIM, [rises, undecided("losses", "some are 0, or no numbers")])
    gamma = own["told_margin"] or own["margin"]
    limit = np.log(run["rate"][:, None] * gamma**2 * horizons[-1] * loss[:, :, -1])
    places = np.searchsorted(run["step"], horizons)
    constant = exponents(horizons, loss[0][:, places].T)
    accelerated = exponents(horizons, coupled)
    ending = f"eta gamma^2 t L after {horizons[-1]} steps at the rate"
    judged = [
        (f"steps that raise the loss at the rate {large:g}", run["rises"][-1].astype(float), 1.0, ">", False),
        (f"last such step / eta at the rate {large:g}", run["last_rise"][-1] / large, 1.0, "<", False),
        (f"largest eta gamma^2 s L, s steps later, at the rate {large:g}", np.log(run["peak"][-1]), ROOM, "<", True),
    ]
    why = [QUIET, "" if has_settled(own, large, horizons[-1], 1.0) else EARLY, ""]
    for rate, values in ((small, limit[0]), (large, limit[-1])):
        judged.append((f"{ending} {rate:g}", values, 1.0 / CLOSE, ">", True))
        judged.append((f"{ending} {rate:g}", values, CLOSE, "<", True))
        why += 2 * ["" if has_settled(own, rate, horizons[-1]) else EARLY]
    for what, values, theory, rates in (
        ("constant", constant, -1.0, (small, small)), ("in proportion to T", accelerated, -2.0, run["coupled_rate"])
    ):  # fmt: skip
        judged.append((f"exponent of T in the loss, rate {what}", values, theory - LATEST, ">", False))
        judged.append((f"exponent of T in the loss, rate {what}", values, theory + LATEST, "<", False))
        ends = has_settled(own, rates[0], horizons[0], 1.0) and has_settled(own, rates[-1], horizons[-1])
        why += 2 * ["" if ends else EARLY]
    return verdict(CLAIM, [rises, *(outside(one, of) for one, of in zip(tested(judged), why, strict=True))])


def has_settled(own: dict[str, Any], rate: float, steps: int, times: float = 10.0) -> bool:
    """Whether so many steps at a rate are beyond the paper's time, of n `times` as late: the loss is then the limit's.

    Ours is a further time. The first step takes u to 3/2 eta gamma^2 at most; beyond log(eta gamma^2 t) it has to wait.
    """
    n, pace = own["rows"], float(rate) * own["margin"] ** 2
    few = max(n, n / rate * math.log(n / rate)) if n > rate else n
    is_late = steps * own["margin"] ** 2 >= max(rate, times * few)
    return is_late and 2.0 * pace <= math.log(pace * steps)


def exponents(steps: NDArray[np.int64], losses: Array) -> Array:
    """Slopes (N,) of log loss (H, N) over log steps (H,), by least squares."""
    off = np.log(steps) - np.log(steps).mean()
    return (off[:, None] * np.log(losses)).sum(axis=0) / (off**2).sum()


def controls() -> list[Control]:
    """Rows that nothing separates, rates that are all small or far too large, other orders, too little of it all."""
    early = "the losses are not yet those of the limit"
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("a row of the wrong label", "nothing separates the rows: the loss has a minimum above 0", FAILS,
         (("study.wrong", 1),)),
        ("one seed", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("another margin", "the limit is 4 for twice the margin", FAILS, (("study.told_margin", 0.2),)),
        ("few steps", early, UNDECIDED, (("study.horizons", [25, 50, 100, 200]),)),
        ("small rates", "below 2 / smoothness the loss never rises: no rate is large", UNDECIDED,
         (("study.rates", [0.5, 1.0, 2.0]),)),
        ("large rates alone", "none is small enough for a loss that never rises", UNDECIDED,
         (("study.rates", [32.0, 64.0]),)),
        ("two seeds", "a t-test on two cannot be so sure", UNDECIDED, (("seeds.count", 2),)),
        ("the same rate at every horizon", "then the loss falls as 1/T", FAILS,
         (("study.power", 0.0), ("study.share", 4.0))),
        ("a rate that grows as the root of T", "then it falls as T^-1.5", FAILS,
         (("study.power", 0.5), ("study.share", 0.1))),
        ("decaying rates", "rates that fall as 1/sqrt(t) add up to sqrt(T)", FAILS, (("study.decay", 0.5),)),
        ("an enormous rate", "it ends far beyond where 1/(eta t) would be, and waits there", UNDECIDED,
         (("study.rates", [1.0, 1e4]),)),
        ("a margin of 0.005", early, UNDECIDED, (("study.margin", 0.005),)),
        ("ten dimensions", "the claim knows none", HOLDS, (("study.dimension", 10),)),
        ("a margin of 0.08", "the same, a little later", HOLDS, (("study.margin", 0.08),)),
        ("20,000 steps", "the limit is nearer", HOLDS, (("study.horizons", [1250, 2500, 5000, 10000, 20000]),
                                                       ("study.share", 0.0032))),
    )  # fmt: skip
    return [
        Control(name, why, changes, expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """The loss of the first draw at every rate, times eta gamma^2 t on the right."""
    from ..report.figures import style

    if not (run["loss"] > 0.0).all():
        return []
    figure, (left, right) = style.figure(2, width=12.0)
    step, gamma = run["step"][1:], run.config.study["margin"]
    for i, rate in enumerate(run["rate"]):
        look = {"color": style.COLOURS[i % len(style.COLOURS)]}
        left.plot(step, run["loss"][i, 0, 1:], label=f"eta = {rate:g}", **look)
        right.plot(step, rate * gamma**2 * step * run["loss"][i, 0, 1:], **look)
    right.axhline(1.0, color="black", linewidth=0.8)
    for axes, name in ((left, "train loss L"), (right, "eta gamma^2 t L")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("step t")
        axes.set_ylabel(name)
    style.legend(figure, left)
    last, large = int(run["last_rise"][-1].max()), run["rate"][-1]
    style.title(figure, f"At eta = {large:g} the loss rises for {last} steps at most, then falls as 1/(eta t)")
    return [style.Picture("phases", "The first draw. Right: in units of the limit 1/(eta gamma^2 t).", figure)]
