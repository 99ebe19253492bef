"""Li, Wei, Ma (2019), Towards Explaining the Regularization Effect of Initial Large Learning Rate in Training Neural
Networks. arXiv:1907.04595, NeurIPS 2019.

A two-layer ReLU network learns points x = (x1, x2) that hold a pattern P in x1, a pattern Q in x2, or both. P is easy
to fit and hard to generalise, Q easy to generalise and hard to fit; `simlr.kernels.papers.patterns` has their formulas,
`simlr.kernels.papers.network` the network's. Two schedules are trained to the same train loss:

    S     a small learning rate throughout. It fits Q first; points with both patterns are then right without P, and P
          is learnt from the few points that have nothing else.
    L-S   a large one, then the small one. It learns P first, from all points that have it.

So S ends with the higher error on test points that hold P only (section 3, theorems 3.4 and 3.5).
"""

import math
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Finding, Verdict, verdict
from ..config.study import Study, StudyConfig, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..kernels.status import REACHED
from ..store.file_format import Field
from ..store.run import Run

SOURCE = "Li, Wei, Ma (2019), arXiv:1907.04595, NeurIPS 2019, section 3"
CLAIM = (
    "Trained to the same train loss, a small learning rate fits Q first and ends with a higher error on points with P "
    "only than a large rate that is made small later."
)
RECONSTRUCTION = (
    "The patterns, the two-layer network and the two schedules are the paper's. Its cause is not: there the noise of "
    "the gradients at a large rate keeps Q from being learnt, over some 10^5 steps of very wide networks. Here nothing "
    "is noisy. The large rate lies beyond 2/sharpness along the direction that all points with Q share, so that Q "
    "cannot settle while it lasts, and far below 2/sharpness along P. Sizes, rates, alpha from 1/2 on, the scale 7 of "
    "x2 and the antisymmetric start are ours. docs/li-wei-ma.md has what was found where noise alone has to do it."
)
GRID = """
name = "li2019"

[study]
kind = "li2019"

[seeds]
count = 32
"""

SMALL, LARGE = 0, 1
SCHEDULES, PATTERNS = ["S", "L-S"], ["P", "Q"]
SAME_LOSS = 0.02  # relative
FEWEST_PAIRS = 10
SIGNIFICANT = 1e-3
LAUNCH_STEPS = 400


# ---- what is measured ----


def _fours(key, value):
    """A count that is a multiple of 4."""
    if rules.count(key, value, least=4) % 4:
        rules.refuse(key, "a multiple of 4", value)
    return value


PARAMETERS = (
    Parameter("dimension", partial(rules.count, least=2), 200, "d, coordinates of x1"),
    Parameter("only_p", rules.count, 20, "train points that hold P only"),
    Parameter("both", partial(rules.count, least=0), 60, "train points that hold both patterns"),
    Parameter("only_q", rules.count, 20, "train points that hold Q only"),
    Parameter("separation", rules.positive, 0.35, "r, by which the two classes of Q differ"),
    Parameter("scale", rules.positive, 7.0, "length of x2 where alpha is 1"),
    Parameter("alpha", rules.vector(2), (0.5, 1.0), "alpha is uniform between these"),
    Parameter("units", _fours, 100, "m, units for x1 and as many for x2"),
    Parameter("spread", rules.positive, 10.0, "standard deviation of the weights at the start"),
    Parameter("small_rate", rules.positive, 0.25, "learning rate of S, and of L-S in the end"),
    Parameter("large_rate", rules.positive, 40.0, "learning rate of L-S at first,"),
    Parameter("large_steps", rules.count, 20, "for so many steps"),
    Parameter("anneal_loss", rules.not_negative, 0.0, "or to this train loss, where that comes first"),
    Parameter("weight_decay", rules.not_negative, 1e-5, "lambda"),
    Parameter("noise", rules.not_negative, 0.0, "sigma of the noise added to every gradient"),
    Parameter("train_loss", rules.positive, 0.05, "both schedules stop at this train loss"),
    Parameter("learnt_loss", rules.positive, 0.35, "a pattern is learnt where the points with nothing else have it"),
    Parameter("max_steps", rules.count, 20000, "steps after which a network that has not stopped is given up"),
    Parameter("points", rules.count, 60, "recorded moments, at geometric steps"),
    Parameter("tests", rules.count, 1000, "test points of each seed"),
)

_PAIR = ("schedule", "seed")
_CURVE = ("schedule", "seed", "record")
ARRAYS = (
    Field("schedule", ("schedule",), "str", "S: small rate throughout; L-S: large, then small"),
    Field("pattern", ("pattern",), "str", "P: in x1; Q: in x2"),
    Field("sharpness", ("seed", "pattern"), "<f8", "largest curvature of the train loss at the start, by weights"),
    Field("status", _PAIR, "u1", "1 stopped at the train loss, 2 out of steps, 3 diverged"),
    Field("stop_step", _PAIR, "<i8", "steps taken"),
    Field("anneal_step", _PAIR, "<i8", "step from which the rate was small"),
    Field("learnt_step", ("schedule", "seed", "pattern"), "<i8", "step at which the pattern was learnt, -1: never"),
    Field("train_loss", _PAIR, "<f8", "at the end"),
    Field("loss_p", _PAIR, "<f8", "at the end, of the train points with P only"),
    Field("loss_q", _PAIR, "<f8", "the same with Q only"),
    Field("error_p", _PAIR, "<f8", "share of test points with P only that are wrong at the end"),
    Field("error_q", _PAIR, "<f8", "the same with Q only"),
    Field("error_both", _PAIR, "<f8", "the same with both"),
    Field("recorded_step", ("record",), "<i8", "steps taken"),
    Field("trajectory_train_loss", _CURVE, "<f8", "NaN beyond the end"),
    Field("trajectory_loss_p", _CURVE, "<f8", "of the train points with P only"),
    Field("trajectory_loss_q", _CURVE, "<f8", "of the train points with Q only"),
    Field("trajectory_error_p", _CURVE, "<f8", "of test points with P only"),
)


def measure(task: Task) -> dict[str, Any]:
    """Train both schedules on every seed's points, from the same start."""
    from ..kernels.papers import network

    arrays, sharpness = _drawn(task)
    own = _rules(task.parameters)
    networks = network.begin(own, *arrays[3:])
    _train(task, arrays, own, networks)
    final, measured = np.moveaxis(networks.final, -1, 0), np.moveaxis(networks.measured, -1, 0)
    return {
        "schedule": SCHEDULES,
        "pattern": PATTERNS,
        "sharpness": sharpness,
        "status": networks.status,
        "stop_step": networks.step,
        "anneal_step": networks.switched,
        "learnt_step": networks.learnt,
        "train_loss": final[network.TRAIN_LOSS],
        "loss_p": final[network.FIRST_LOSS],
        "loss_q": final[network.SECOND_LOSS],
        "error_p": final[network.FIRST_ERROR],
        "error_q": final[network.SECOND_ERROR],
        "error_both": final[network.BOTH_ERROR],
        "recorded_step": own.moments,
        "trajectory_train_loss": measured[network.TRAIN_LOSS],
        "trajectory_loss_p": measured[network.FIRST_LOSS],
        "trajectory_loss_q": measured[network.SECOND_LOSS],
        "trajectory_error_p": measured[network.FIRST_ERROR],
    }


def _launch(task, sweep, *arguments):
    """Run a sweep with its tasks."""
    from ..kernels import jit

    jit.launch(sweep, *arguments, np.zeros(2, np.int64), task.threads or jit.threads())


def _drawn(task):
    """Points and starts of all seeds, as `kernels.papers.patterns.empty` lays them out, and their sharpness."""
    from ..kernels.papers import patterns

    given = task.parameters
    known = patterns.Patterns(
        dimension=given["dimension"],
        only_first=given["only_p"],
        both=given["both"],
        only_second=given["only_q"],
        margin=given["dimension"] ** -0.5,
        separation=given["separation"],
        scale=given["scale"],
        least_alpha=given["alpha"][0],
        most_alpha=given["alpha"][1],
        units=given["units"],
        spread=given["spread"],
        tests=given["tests"],
        # Noise leaves the span of the train points.
        reduced=int(given["noise"] == 0.0),
    )
    arrays, sharpness = patterns.empty(known, np.arange(task.seeds)), np.zeros((task.seeds, 2))
    _launch(task, patterns.draw_sweep, known, task.root, *arrays, sharpness)
    return arrays, sharpness


def _rules(given):
    """How S and L-S train."""
    from ..kernels.papers import network

    moments = np.unique(np.rint(np.geomspace(1, given["max_steps"], given["points"])).astype(np.int64))
    return network.Rules(
        rate=np.array([[given["small_rate"]] * 2, [given["large_rate"], given["small_rate"]]]),
        switch_step=np.array([0, given["large_steps"]]),
        switch_loss=np.array([np.inf, given["anneal_loss"]]),
        decay=np.full(2, given["weight_decay"]),
        sigma=np.full(2, given["noise"]),
        stop_loss=given["train_loss"],
        learnt_loss=given["learnt_loss"],
        max_steps=given["max_steps"],
        moments=moments,
    )


def _train(task, arrays, own, networks):
    """Train all networks to their ends, in short launches between which progress is told."""
    from ..kernels.papers.network import train_sweep

    x1, x2, points = arrays[:3]
    while True:
        done = int(np.count_nonzero(networks.status))
        task.progress(done, networks.status.size)
        if done == networks.status.size:
            return
        _launch(task, train_sweep, x1, x2, points, own, networks, task.root, LAUNCH_STEPS)


STUDY = Study(
    "li2019",
    "two-layer ReLU networks on a pattern that is easy to fit and one that is easy to generalise",
    PARAMETERS,
    ARRAYS,
    measure,
)


# ---- how it is judged ----


def check(run: Run) -> Verdict:
    """Errors and order of learning, paired over the seeds whose two networks end at the same train loss."""
    same = same_loss(run)
    found = [_pairs(run, same)]
    if same.sum() >= FEWEST_PAIRS:
        config = cast(StudyConfig, run.config)  # the claim is a study's
        weights = [config.study[key] for key in ("only_p", "only_q", "both")]
        errors = run["error_p"], run["error_q"], run["error_both"]
        mixed = sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
        found += [
            _paired("error on points with P only", run["error_p"][:, same]),
            _paired("error on points as in the train set", mixed[:, same]),
            _order(run, SMALL, same),
            _order(run, LARGE, same),
        ]
    return verdict(CLAIM, found)


def same_loss(run: Run) -> NDArray[np.bool_]:
    """Which seeds count, bool (N,): both networks stopped at the level, with losses equal to SAME_LOSS."""
    loss = run["train_loss"]
    return (run["status"] == REACHED).all(axis=0) & (abs(loss[0] - loss[1]) <= SAME_LOSS * loss.max(axis=0))


def _pairs(run, same):
    """How many pairs there are to judge by."""
    loss, count = run["train_loss"][:, same], int(same.sum())
    off = float(np.max(abs(loss[0] / loss[1] - 1.0), initial=0.0))
    outcome = HOLDS if count >= FEWEST_PAIRS else UNDECIDED
    note = f"the others are left out; the largest relative difference that is left is {off:.2g}"
    return Finding(
        "pairs with equal train loss", f"{count} of {same.size}", "", f"{SAME_LOSS:g} relative", outcome, note
    )


def chance(wins: int, losses: int) -> float:
    """One-sided p of the sign test: of fair coins, wins + losses of them, `wins` or more show heads."""
    count = wins + losses
    return sum(math.comb(count, k) for k in range(wins, count + 1)) / 2**count


def _judged(what, wins, losses, measured, paper, note=""):
    """A finding by the sign test; ties count for nothing."""
    p = chance(wins, losses)
    note = f"sign test p = {p:.2g}" + (f"; {note}" if note else "")
    return Finding(what, measured, paper, f"p <= {SIGNIFICANT:g}", HOLDS if p <= SIGNIFICANT else FAILS, note)


def _paired(what, error):
    """S has the higher error."""
    small, large = error
    wins, losses = int((small > large).sum()), int((small < large).sum())
    spread = error.std(axis=1, ddof=1) / math.sqrt(error.shape[1])
    note = f"S {small.mean():.4f} +- {spread[0]:.4f}, L-S {large.mean():.4f} +- {spread[1]:.4f}"
    return _judged(f"{what}, S above L-S", wins, losses, f"{wins} of {wins + losses}", "higher", note)


def learnt(run: Run) -> NDArray[np.float64]:
    """Steps at which the patterns were learnt, float (S, N, 2); infinity where they never were."""
    steps = run["learnt_step"].astype(float)
    return np.where(steps < 0, np.inf, steps)


def _order(run, schedule, same):
    """Which pattern is learnt first: Q by S, P by L-S."""
    steps = learnt(run)[schedule, same]
    first, second = (1, 0) if schedule == SMALL else (0, 1)
    wins, losses = (int((steps[:, a] < steps[:, b]).sum()) for a, b in ((first, second), (second, first)))
    rate = run.config.study["small_rate" if schedule == SMALL else "large_rate"]
    p, q = np.median(rate * run["sharpness"][same], axis=0) / 2.0
    note = f"its rate at first is {p:.3g} of 2/sharpness along P, {q:.3g} along Q"
    what = f"{SCHEDULES[schedule]} learns {PATTERNS[first]} first"
    return _judged(what, wins, losses, f"{wins} of {wins + losses}", "first", note)


def controls() -> list[Control]:
    """Settings in which there is nothing to gain by learning P first, or nothing that makes it first."""
    few = ("seeds.count", 12)
    apart = (("study.only_p", 80), ("study.both", 0), ("study.only_q", 20), few)
    stable = (("study.large_rate", 0.5), ("study.large_steps", 1600), ("study.anneal_loss", 0.1), few)
    many = (("study.only_p", 80), ("study.both", 240), ("study.only_q", 80))
    plenty = (("study.dimension", 20), *many, ("seeds.count", 20))
    return [
        Control("never both patterns in a point", "Q then makes no point right that P is learnt from", apart),
        Control("the large rate below 2/sharpness", "Q is then learnt first by both schedules", stable),
        Control("many more points than dimensions", "the points with P only are then enough to learn it", plenty),
    ]


# ---- the picture of a talk ----


def pictures(run: Run) -> list:
    """Errors of the pairs, and in what order each schedule learns the two patterns; none where there is no pair."""
    from ..report.figures import style

    same = same_loss(run)
    if not same.any():
        return []
    figure, axes = style.figure(columns=3, width=13.0, height=5.2)
    _draw_pairs(axes[0], run["error_p"][:, same])
    axes[2].sharey(axes[1])
    for schedule, panel in enumerate(axes[1:]):
        _draw_learning(panel, run, schedule, same)
    axes[1].set_ylabel("loss on train points with one pattern")
    axes[1].legend(frameon=False, loc="lower left")
    small, large = 100 * run["error_p"][:, same].mean(axis=1)
    head = f"At equal train loss {small:.1f} % of P-only points are wrong after a small rate throughout"
    style.title(figure, f"{head}, {large:.1f} % after a large one first")
    caption = (
        "Left: the share of test points with P only that are wrong, a line for each seed whose two networks end at the "
        "same train loss, and the means. Right: the mean loss on train points that hold P only, and Q only, step by "
        "step: median of those seeds, shaded between the quartiles; a network that has stopped keeps its last loss. "
        "Below the grey line a pattern counts as learnt; at the dotted one the rate becomes small."
    )
    return [style.Picture("order-of-learning", caption, figure)]


def _draw_pairs(axes, error):
    """A line a seed from S to L-S, and the means."""
    from ..report.figures import style

    axes.plot([0, 1], 100 * error, color="#9a9a9a", linewidth=0.9, marker="o", markersize=4)
    for place, own in enumerate(error):
        if own.size:
            axes.plot([place - 0.12, place + 0.12], [100 * own.mean()] * 2, color=style.COLOURS[2], linewidth=4)
    axes.set_xticks([0, 1], ["S\nsmall throughout", "L-S\nlarge, then small"])
    axes.set_xlim(-0.4, 1.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("wrong test points with P only, %")


def _draw_learning(axes, run, schedule, same):
    """Losses of both patterns while one schedule trains."""
    from ..report.figures import style

    step, last = run["recorded_step"], run["stop_step"][schedule, same].max()
    for pattern, key in enumerate(("loss_p", "loss_q")):
        curves, ends = run[f"trajectory_{key}"][schedule, same], run[key][schedule, same]
        curves = np.where(np.isnan(curves), ends[:, None], curves)[:, step <= last]
        low, middle, high = (np.quantile(curves, q, axis=0) for q in (0.25, 0.5, 0.75))
        look = {"color": style.COLOURS[1 + pattern], "linestyle": style.DASHES[pattern]}
        axes.plot(step[step <= last], middle, label=f"{PATTERNS[pattern]} only", **look)
        axes.fill_between(step[step <= last], low, high, color=look["color"], alpha=0.15, linewidth=0)
    style.logarithmic(axes, "x")
    style.logarithmic(axes, "y")
    if schedule == LARGE:
        axes.axvline(np.median(run["anneal_step"][LARGE, same]), color="#555555", linewidth=1, linestyle=":")
    axes.axhline(run.config.study["learnt_loss"], color="#555555", linewidth=1)
    axes.set_xlabel("steps")
    axes.set_title(["S: Q first", "L-S: P first"][schedule])
