"""Cohen, Kaur, Li, Kolter, Talwalkar (2021), Gradient Descent on Neural Networks Typically Occurs at the Edge of
Stability.

arXiv:2103.00065 (ICLR 2021). Trained by gradient descent on all rows, a network's sharpness, the largest eigenvalue of
the Hessian of the train loss, rises until it is 2 / eta, where on a quadratic every further step would overshoot more;
there it stays, while the train loss, which rises in some steps, falls in the long run. Damian, Nichani, Lee (2022),
arXiv:2209.15594, say why: the oscillation along the steepest axis itself drives the parameters to where it is less
steep.

Here the network is the smallest that is not convex, f(x) = <u * v, x>, u and v multiplied entry by entry, from u = 0.1,
v = 0, of fewer rows than inputs, with the loss 1/2 (f - y)^2. A small rate ends at a sharpness S of each draw; rates
are in units of 2 / S: below 1 that end is stable, above 1 it is not.
"""

from functools import partial
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
SOURCE = "Cohen, Kaur, Li, Kolter, Talwalkar (2021), arXiv:2103.00065, abstract and section 3"
CLAIM = (
    "Gradient descent on a network brings the sharpness up to 2 / eta and keeps it there, while the train loss, which "
    "rises in some steps, falls in the long run."
)
RECONSTRUCTION = (
    "The claim is the paper's, which has it of deep networks on images and other data. The diagonal network, 10 normal "
    "rows of 20 inputs, a teacher of length 3, the start, rates of 1.1 and 1.2 times what the end of a small rate "
    "bears, 5,000 steps, what counts as being at the edge (the median over the second half within 5 % of 2 / eta) "
    "and the tests over draws are ours."
)
GRID = """
name = "cohen2021"

[study]
kind = "cohen2021"

[seeds]
count = 120
"""
TEACHER = 1  # the step of its stream, behind the rows'
SMALL, SMALL_STEPS = 0.1, 20_000  # the small rate over what the linear model's Hessian and the teacher bear
EACH, MOMENTS = 200, 61  # the first steps are all recorded, and then some
WITHIN, FALLEN, MOST = 0.05, 0.01, 2.0 / 3.0  # of 2 / eta, of the first loss, of all draws


def problem_of(own: dict[str, Any], root: int, seed: int) -> tuple[Array, Array]:
    """The rows (n, d) and labels (n,) of a seed."""
    from ..kernels.draws import SAMPLE, fill_normal

    x, teacher = np.empty(own["rows"] * own["dimension"]), np.empty(own["dimension"])
    fill_normal(x, root, seed, SAMPLE, 0)
    fill_normal(teacher, root, seed, SAMPLE, TEACHER)
    x = x.reshape(own["rows"], -1)
    return x, (x * (own["length"] * teacher / np.sqrt((teacher**2).sum()))).sum(axis=1)


def hessians(x: Array, y: Array, theta: Array) -> Array:
    """The Hessians (..., 2 d, 2 d) of the mean of 1/2 (<u * v, x> - y)^2 over rows x (n, d), at theta (..., 2, d)."""
    u, v = theta[..., 0, :], theta[..., 1, :]
    gram, d = x.T @ x / len(x), x.shape[1]
    slope = (u * v) @ gram - x.T @ y / len(x)
    made = np.empty((*u.shape[:-1], 2 * d, 2 * d))
    made[..., :d, :d] = v[..., :, None] * gram * v[..., None, :]
    made[..., d:, d:] = u[..., :, None] * gram * u[..., None, :]
    made[..., :d, d:] = v[..., :, None] * gram * u[..., None, :]
    made[..., np.arange(d), d + np.arange(d)] += slope
    made[..., d:, :d] = np.swapaxes(made[..., :d, d:], -1, -2)
    return made


def sharpness_of(x: Array, y: Array, kept: Array) -> Array:
    """Largest eigenvalues (S, N, K) at the kept u and v (S, N, K, 2, d); NaN where these are not finite or huge."""
    found = np.full(kept.shape[:3], np.nan)
    known = np.abs(np.nan_to_num(kept, nan=np.inf)).max(axis=(3, 4)) < 1e100
    for n in range(len(x)):
        chosen = kept[:, n][known[:, n]]
        if len(chosen):
            found[:, n][known[:, n]] = np.linalg.eigvalsh(hessians(x[n], y[n], chosen))[..., -1]
    return found


def descend(task: Task, x: Array, y: Array, unit: Array, rates: Array, recorded: NDArray[np.int64]) -> Array:
    """u and v (S, N, K, 2, d) of every draw after the recorded steps, at constant rates (S,) times the unit (N,)."""
    from ..kernels import jit
    from ..kernels.papers.diagonal import Rows, Rules, diagonal_sweep

    start = np.stack([np.full(x.shape[2], task.parameters["start"]), np.zeros(x.shape[2])])
    kept = np.full((len(rates), len(x), recorded.size, 2, x.shape[2]), np.nan)
    told = Rules(np.repeat(rates[:, None], recorded[-1], axis=1), 0, 0.0, task.root)
    tasks, workers = np.zeros(2, np.int64), task.threads or jit.threads()
    jit.launch(diagonal_sweep, Rows(x, y, unit, np.arange(len(x))), told, start, recorded, kept, tasks, workers)
    return kept


def measure(task: Task) -> dict[str, Any]:
    """Sharpness and train loss along the way, of every rate and seed, in units of where a small rate ends."""
    own = task.parameters
    problems = [problem_of(own, task.root, seed) for seed in range(task.seeds)]
    x, y = (np.stack(parts) for parts in zip(*problems, strict=True))
    top = np.array([np.linalg.eigvalsh(rows @ rows.T / len(rows))[-1] for rows in x])
    ends = np.array([0, SMALL_STEPS])
    small = descend(task, x, y, 1.0 / top, np.array([SMALL / max(own["length"], own["start"] ** 2)]), ends)
    flow = sharpness_of(x, y, small)[0, :, 1]
    task.progress(1, 2)
    later = np.linspace(0, own["steps"], MOMENTS).round().astype(np.int64)
    recorded = np.union1d(np.arange(min(EACH, own["steps"])), later)
    ratios = np.array(own["ratios"])
    kept = descend(task, x, y, 2.0 / flow, ratios, recorded)
    task.progress(2, 2)
    with np.errstate(all="ignore"):
        error = np.einsum("nrd,snkd->snkr", x, kept[:, :, :, 0] * kept[:, :, :, 1]) - y[:, None]
        train_loss = 0.5 * (error**2).mean(axis=3)
        over = sharpness_of(x, y, kept) * ratios[:, None, None] * 2.0 / flow[:, None] / own["edge"]
    return {"ratio": ratios, "record": np.arange(recorded.size), "step": recorded, "flow_sharpness": flow,
            "train_loss": train_loss, "sharpness_over_edge": over}  # fmt: skip


_size = partial(rules.number, least=1e-50, most=1e50, rule="a number from 1e-50 to 1e50")


@rules.VectorRule
def _ratios(key, value):
    """At least two rising rates above 0."""
    found = rules.vector()(key, value)
    if len(found) < 2 or found[0] <= 0.0 or sorted(set(found)) != list(found):
        raise InputError(f"{key} must be at least two numbers above 0 that rise, got {value!r}")
    return found


STUDY = Study(
    "cohen2021",
    "diagonal linear networks trained by gradient descent below and beyond what the end of a small rate bears",
    (
        Parameter("rows", rules.count, 10, "n"),
        Parameter("dimension", rules.count, 20, "d"),
        Parameter("length", _size, 3.0, "of the teacher, whose direction is random"),
        Parameter("start", _size, 0.1, "every entry of u at the start; v is 0 there"),
        Parameter("steps", rules.count, 5000, "steps of every rate"),
        Parameter("ratios", _ratios, (0.5, 1.1, 1.2), "rates, in units of 2 / S, S where a small rate ends"),
        Parameter("edge", rules.positive, 2.0, "over eta, what the sharpness is held beside"),
    ),
    (
        Field("ratio", ("ratio",), "<f8", "learning rate in units of 2 / flow_sharpness"),
        Field("record", ("record",), "<i8", "recorded moments"),
        Field("step", ("record",), "<i8", "steps taken"),
        Field("flow_sharpness", ("seed",), "<f8", "S, the sharpness at which a small rate ends"),
        Field("train_loss", ("ratio", "seed", "record"), "<f8", "mean of 1/2 (f(x) - y)^2 over the rows"),
        Field("sharpness_over_edge", ("ratio", "seed", "record"), "<f8", "sharpness times eta over edge"),
    ),
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """Draw by draw: below 1 the sharpness ends where it does anyway, above 1 it comes up to the edge and stays."""
    over, loss, ratios = run["sharpness_over_edge"], run["train_loss"], run["ratio"]
    edge = run.config.study["edge"] / 2.0
    second, draws, judged = run["step"] >= run["step"][-1] / 2, over.shape[1], []
    if not (ratios > 1.0).any():
        return verdict(CLAIM, [undecided("no rate is beyond what the end of a small one bears")])
    with np.errstate(all="ignore"):
        late = np.median(over[:, :, second], axis=2)  # NaN of a draw that diverged: it counts against
        for s, ratio in enumerate(ratios):
            name = f"rate {ratio:g}"
            if ratio < 1.0:
                stays = np.abs(late[s] * edge / ratio - 1.0) < WITHIN
                judged.append((f"{name}: sharpness where a small rate ends", stays, late[s]))
                continue
            rises = (over[s, :, 0] < 1.0) & (over[s] >= 1.0).any(axis=1)
            judged.append((f"{name}: sharpness from below to the edge", rises, over[s, :, 0]))
            judged.append((f"{name}: sharpness at the edge, of 2 / eta", np.abs(late[s] - 1.0) < WITHIN, late[s]))
            largest = np.max(loss[s, :, 1:] / loss[s, :, :-1], axis=1)
            judged.append((f"{name}: loss that rises in a step", largest > 1.0, largest))
            falls = loss[s, :, -1] / loss[s, :, 0]
            judged.append((f"{name}: loss at the end, of the first", falls < FALLEN, falls))
    shown = [evidence.of_share(int(keeps.sum()), draws, MOST) for _, keeps, _ in judged]
    findings = []
    for (what, keeps, values), told, outcome in zip(judged, shown, evidence.outcomes(shown), strict=True):
        note = f"in {int(keeps.sum())} of {draws} draws, {told}"
        known = values[np.isfinite(values)]
        median = float(np.median(known)) if known.size else np.nan
        findings.append(Finding(f"{what}, median", median, "most draws", "", outcome, note))
    return verdict(CLAIM, findings)


def controls() -> list[Control]:
    """No edge to come to, another edge, a start beyond it, too little of it all, and settings in which it is there."""
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("one draw", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("an edge at 3 / eta", "what is told is not where it stays", FAILS, (("study.edge", 3.0),)),
        ("twenty steps", "the sharpness has not yet come up", FAILS, (("study.steps", 20),)),
        ("five draws", "of five draws five by chance is not rare enough", UNDECIDED, (("seeds.count", 5),)),
        ("an edge at 1.5 / eta", "what is told is not where it stays", FAILS, (("study.edge", 1.5),)),
        ("rates of 2 and 2.5", "so far beyond the edge nothing holds it", FAILS, (("study.ratios", [0.5, 2.0, 2.5]),)),
        (
            "a start at 10",
            "so far out the network is nearly linear: the sharpness is there from the start, and every step overshoots",
            FAILS,
            (("study.start", 10.0),),
        ),
        (
            "rates below the edge",
            "there is nothing that would hold the sharpness up",
            UNDECIDED,
            (("study.ratios", [0.3, 0.6]),),
        ),
        ("a teacher of length 1", "all sharpness is a third, and so are the units", HOLDS, (("study.length", 1.0),)),
        ("a start at 0.05", "the start is small enough", HOLDS, (("study.start", 0.05),)),
        ("10,000 steps", "it stays", HOLDS, (("study.steps", 10000),)),
    )
    few = (("seeds.count", 60),)
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """Sharpness over the edge along the way: the median over the draws, and the first ones."""
    from ..analysis.statistics import most_medians
    from ..report.figures import style

    over, step = run["sharpness_over_edge"], run["step"]
    if not np.isfinite(over).any():
        return []
    figure, (panel,) = style.figure(1)
    for i, ratio in enumerate(run["ratio"]):
        look = {"color": style.COLOURS[i % len(style.COLOURS)]}
        panel.plot(step, most_medians(over[i]), label=f"rate {ratio:g}", linewidth=2.0, **look)
        for one in over[i, :3]:
            panel.plot(step, one, linewidth=0.6, alpha=0.5, **look)
    panel.axhline(1.0, color="black", linewidth=0.8)
    panel.set_xlabel("step")
    panel.set_ylabel("sharpness / (2 / eta)")
    style.legend(figure, panel)
    late = over[-1][:, step >= step[-1] / 2]
    last = np.median(late[np.isfinite(late)]) if np.isfinite(late).any() else np.nan
    style.title(figure, f"Beyond the edge the sharpness ends at {last:.3g} times 2 / eta")
    caption = f"Thick: medians over {over.shape[1]} draws; thin: three of them. Line: the edge."
    return [style.Picture("edge", caption, figure)]
