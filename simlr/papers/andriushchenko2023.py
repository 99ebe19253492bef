"""Andriushchenko, Varre, Pillaud-Vivien, Flammarion (2023), SGD with Large Step Sizes Learns Sparse Features.

arXiv:2210.05337 (ICML 2023). The smallest network that is not convex: f(x) = <u * v, x>, u and v multiplied entry by
entry, started at u = 0.1, v = 0, and trained by SGD, one row a step, on fewer rows than there are inputs, whose labels
are a sparse combination of these. At a large rate the loss hovers, and the noise of SGD drives entries of u * v that
are not needed to 0; the longer, the sparser, and the better on new rows, once a smaller rate lets the loss come down.

The rows are standard normal, n = 80 of d = 200 inputs; the teacher has 20 entries |z|, z normal, of length 1; these,
the start and the steps are those of the authors' code (`diag_nets.py` and its notebook). Its test loss on 1,000 rows is
the population's here, 1/2 |u * v - teacher|^2. Their rates, 0.25 and 0.282, were tuned to one draw, and in other draws
they are too large, so that a seed's rates are in units of

    2 mean_i(s_i) / mean_i(s_i^2),   s_i = 2 sum_j x_ij^2 |teacher_j|,

where E (1 - eta s_i)^2 = 1: s_i is the curvature of row i's loss where |u| = |v| and u * v is the teacher.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Finding, Verdict, undecided, verdict
from ..config.study import Study, Task
from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..store.file_format import Field
from ..store.run import Run

Array = NDArray[np.float64]
SOURCE = (
    "Andriushchenko, Varre, Pillaud-Vivien, Flammarion (2023), arXiv:2210.05337, its diagonal networks and their code"
)
CLAIM = (
    "A diagonal linear network that SGD trains at a large rate for longer, before a small one, ends sparser and with "
    "less test loss."
)
RECONSTRUCTION = (
    "The network, rows, teacher, start and single-row steps are those of the authors' code. Ours are 20,000 steps in "
    "place of 100,001, one small rate, about a fifth of the large one, rates in units of each draw, the population's "
    "test loss, and the tests, over draws: in more than half of them a longer phase wins."
)
GRID = """
name = "andriushchenko2023"

[study]
kind = "andriushchenko2023"

[seeds]
count = 40
"""
SHOWN = 1e-3  # entries of u * v above it count
POINTS = 60
TEACHER, START = 1, 0.1  # the step of the teacher's stream, behind the rows'; u at the start


def problem_of(own: dict[str, Any], root: int, seed: int) -> tuple[Array, Array]:
    """The rows (n, d) and the teacher (d,) of a seed."""
    from ..kernels.draws import SAMPLE, fill_normal

    x, teacher = np.empty(own["rows"] * own["dimension"]), np.zeros(own["dimension"])
    fill_normal(x, root, seed, SAMPLE, 0)
    fill_normal(teacher, root, seed, SAMPLE, TEACHER)
    teacher[own["nonzero"] :] = 0.0
    teacher = np.abs(teacher)
    return x.reshape(own["rows"], -1), teacher / np.sqrt((teacher**2).sum())


def unit_of(x: Array, teacher: Array) -> float:
    """What rates of this draw are multiplied by."""
    s = 2.0 * (x**2 * teacher).sum(axis=1)
    return float(2.0 * s.mean() / (s**2).mean())


def rates_of(own: dict[str, Any]) -> Array:
    """Learning rates (S, T): the large one for each share of the steps, then the small one; reversed where asked."""
    steps = own["steps"]
    phases = [round(share * steps) for share in own["shares"]]
    if len(set(phases)) < len(phases):
        raise InputError(f"study.shares must be apart by a step at least, got {phases} of {steps} steps")
    large = np.arange(steps) < np.array(phases)[:, None]
    rates = np.where(large, own["large"], own["small"])
    return np.ascontiguousarray(rates[:, ::-1]) if own["reverse"] else rates


def train(
    x: Array, y: Array, unit: Array, rates: Array, start: Array, recorded: NDArray[np.int64],
    batch: int, sigma: float, root: int, threads: int | None = None,
) -> Array:  # fmt: skip
    """u and v (S, N, K, 2, d) of diagonal networks after the recorded steps.

    Parameters
    ----------
    x, y : (N, n, d), (N, n)
        Rows and labels.
    unit : (N,)
        What the rates of each seed are multiplied by.
    rates : (S, T)
        Of every schedule.
    start : (2, d)
        u and v.
    recorded : (K,)
        Steps, up to T, rising.
    batch, sigma, root, threads
        Rows a step (0 = all), deviation of the label noise of every step, root of the draws, and threads.
    """
    from ..kernels import jit
    from ..kernels.papers.diagonal import Rows, Rules, diagonal_sweep

    kept = np.full((len(rates), len(x), recorded.size, 2, x.shape[2]), np.nan)
    rows, told = Rows(x, y, unit, np.arange(len(x))), Rules(rates, batch, float(sigma), root)
    tasks, workers = np.zeros(2, np.int64), threads or jit.threads()
    jit.launch(diagonal_sweep, rows, told, start, recorded, kept, tasks, workers)
    return kept


def measure(task: Task) -> dict[str, Any]:
    """Losses, sizes and counts of entries along the way, of every share and seed."""
    own = task.parameters
    if own["nonzero"] > own["dimension"]:
        raise InputError(f"study.nonzero must be at most study.dimension, {own['dimension']}, got {own['nonzero']}")
    problems = [problem_of(own, task.root, seed) for seed in range(task.seeds)]
    x, teacher = (np.stack(parts) for parts in zip(*problems, strict=True))
    y, unit = (x * teacher[:, None]).sum(axis=2), np.array([unit_of(*one) for one in problems])
    steps = np.unique(np.geomspace(1, own["steps"], POINTS).round().astype(np.int64))
    recorded = np.union1d([0], steps)
    start = np.stack([np.full(own["dimension"], own["start"]), np.zeros(own["dimension"])])
    sampling = own["batch"], own["sigma"], task.root, task.threads
    kept = train(x, y, unit, rates_of(own), start, recorded, *sampling)
    task.progress(1, 1)
    with np.errstate(all="ignore"):
        product = kept[:, :, :, 0] * kept[:, :, :, 1]
        test = 0.5 * ((product - teacher[:, None]) ** 2).sum(axis=3)
        length = np.abs(product).sum(axis=3)
        fitted = np.einsum("nrd,snkd->snkr", x, product)
        train_loss = 0.5 * ((fitted - y[:, None]) ** 2).mean(axis=3)
    return {"share": list(own["shares"]), "record": np.arange(recorded.size), "step": recorded, "unit": unit,
            "train_loss": train_loss, "test_loss": test, "length": length,
            "entries": (np.abs(product) > SHOWN).sum(axis=3)}  # fmt: skip


@rules.VectorRule
def _shares(key, value):
    """At least two rising shares of the steps."""
    found = rules.vector()(key, value)
    if len(found) < 2 or found[0] < 0.0 or found[-1] > 1.0 or sorted(set(found)) != list(found):
        raise InputError(f"{key} must be at least two numbers from 0 to 1 that rise, got {value!r}")
    return found


STUDY = Study(
    "andriushchenko2023",
    "diagonal linear networks trained by SGD at a large rate for some of the steps, then at a small one",
    (
        Parameter("rows", rules.count, 80, "n"),
        Parameter("dimension", rules.count, 200, "d"),
        Parameter("nonzero", rules.count, 20, "entries of the teacher, the first ones"),
        Parameter("steps", rules.count, 20000, "steps in all"),
        Parameter("shares", _shares, (0.0, 0.05, 0.5), "shares of the steps at the large rate"),
        Parameter("large", rules.not_negative, 0.95, "large rate, in units of each draw"),
        Parameter("small", rules.not_negative, 0.2, "small rate, in the same units"),
        Parameter("reverse", rules.flag, False, "the large rate last"),
        Parameter("start", rules.finite, START, "every entry of u at the start; v is 0 there"),
        Parameter("batch", rules.count_or_none, 1, "rows a step, with replacement; 0 = all"),
        Parameter("sigma", rules.not_negative, 0.0, "deviation of the noise added to the labels at every step"),
    ),
    (
        Field("share", ("share",), "<f8", "share of the steps at the large rate"),
        Field("record", ("record",), "<i8", "recorded moments"),
        Field("step", ("record",), "<i8", "steps taken"),
        Field("unit", ("seed",), "<f8", "what the rates of a draw are multiplied by"),
        Field("train_loss", ("share", "seed", "record"), "<f8", "mean of 1/2 (f(x) - y)^2 over the train rows"),
        Field("test_loss", ("share", "seed", "record"), "<f8", "its mean over the population"),
        Field("entries", ("share", "seed", "record"), "<i8", f"entries of u * v beyond {SHOWN:g}"),
        Field("length", ("share", "seed", "record"), "<f8", "sum of |u * v|"),
    ),
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """Each share beside the next one, draw by draw: by sign tests."""
    test, entries, shares = run["test_loss"][:, :, -1], run["entries"][:, :, -1], run["share"]
    known = np.isfinite(test).all(axis=0)
    if not known.any():
        return verdict(CLAIM, [undecided("all draws diverged")])
    test, entries, lost, judged = test[:, known], entries[:, known], int((~known).sum()), []
    for i in range(len(shares) - 1):
        pair = f"{shares[i + 1]:g} of the steps at the large rate / {shares[i]:g}"
        judged.append((f"test loss, {pair}", test[i + 1] / test[i]))
        fewer = np.where(entries[i + 1] == entries[i], 1.0, entries[i + 1] / np.maximum(entries[i], 1))  # 0 and 0 too
        judged.append((f"entries, {pair}", fewer))
    shown = [evidence.of_share(int((ratio < 1.0).sum()), known.size, 0.5, lost) for _, ratio in judged]
    findings = []
    for (what, ratio), told, outcome in zip(judged, shown, evidence.outcomes(shown), strict=True):
        wins = f"below 1 in {int((ratio < 1.0).sum())} of {known.size} draws" + f", {lost} diverged" * (lost > 0)
        findings.append(Finding(f"{what}, median", float(np.median(ratio)), "< 1", "", outcome, f"{wins}, {told}"))
    return verdict(CLAIM, findings)


def controls() -> list[Control]:
    """Nothing for the noise to choose, no noise, no large rate, or too little of it all."""
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("one draw", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        (
            "few steps",
            "the loss has not yet come down, and no entry has been driven to 0",
            FAILS,
            (("study.steps", 50),),
        ),
        ("five draws", "of five draws five by chance is not rare enough", UNDECIDED, (("seeds.count", 5),)),
        ("800 rows", "four for each input: the rows alone say which entries there are", FAILS, (("study.rows", 800),)),
        (
            "the large rate last",
            "the noise comes when it is too late, and stays in the loss",
            FAILS,
            (("study.reverse", True), ("seeds.count", 80)),
        ),
        (
            "a fifth of the rates",
            "noise so small drives hardly an entry to 0",
            UNDECIDED,
            (("study.large", 0.2), ("study.small", 0.05)),
        ),
        ("a rate of 4 units", "every draw diverges", UNDECIDED, (("study.large", 4.0),)),
        ("a teacher of 200 entries", "what is sparse is not better", FAILS, (("study.nonzero", 200),)),
        ("one rate", "the phases do not differ", FAILS, (("study.small", 0.95),)),
        ("a start at 0", "a saddle, which no step leaves", FAILS, (("study.start", 0.0),)),
        (
            "a start at 1",
            "so far out the rates are too large, and every draw diverges",
            UNDECIDED,
            (("study.start", 1.0),),
        ),
        ("all steps at the large rate", "the longest phase of all", HOLDS, (("study.shares", [0.0, 1.0]),)),
        ("a small rate of 1/2", "the small rate is not what matters", HOLDS, (("study.small", 0.5),)),
        ("5,000 steps", "the order is there early", HOLDS, (("study.steps", 5000),)),
    )
    return [
        Control(name, why, changes, expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """Medians over the draws: test loss and entries along the way; none where at some moment all have diverged."""
    from ..report.figures import style

    if not np.isfinite(run["test_loss"]).any(axis=1).all():
        return []
    figure, (left, right) = style.figure(2, width=12.0)
    step = run["step"][1:]
    for i, share in enumerate(run["share"]):
        look = {"color": style.COLOURS[i % len(style.COLOURS)]}
        left.plot(
            step, np.nanmedian(run["test_loss"][i, :, 1:], axis=0), label=f"{100 * share:g} % at the large rate", **look
        )
        right.plot(step, np.median(run["entries"][i, :, 1:], axis=0), **look)
    right.axhline(run.config.study["nonzero"], color="black", linewidth=0.8)
    for axes, name in ((left, "test loss"), (right, f"entries of u * v beyond {SHOWN:g}")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(name)
    style.legend(figure, left)
    last = np.median(run["entries"][:, :, -1], axis=1)
    style.title(figure, f"The longer at the large rate, the fewer entries: {last[0]:g} to {last[-1]:g}")
    caption = f"Medians over {run['unit'].size} draws. Line: how many entries the teacher has."
    return [style.Picture("sparsity", caption, figure)]
