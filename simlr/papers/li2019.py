"""Li, Wei, Ma (2019), Towards Explaining the Regularization Effect of Initial Large Learning Rate in Training Neural
Networks. arXiv:1907.04595, NeurIPS 2019.

A two-layer ReLU network learns points x = (x1, x2) that hold a pattern P in x1, a pattern Q in x2, or both. P is easy
to fit and hard to generalise, Q easy to generalise and hard to fit; `simlr.kernels.papers.patterns` has their formulas,
`simlr.kernels.papers.network` the network's. Two schedules are trained to the same train loss:

    S     a small learning rate throughout. It fits Q first; points with both patterns are then right without P, and P
          is learnt from the few points that have nothing else.
    L-S   a large one, then the small one. It learns P first, from all points that have it.

So S ends with the higher error on test points that hold P only (section 3, theorems 3.4 and 3.5).

Each of four statements, that more than half of the pairs are so, is judged by a sign test at `evidence.LEVEL`. The
weakest is that L-S learns P first, true of some 82 % of pairs: 61 pairs make a power of 0.99 there
(`evidence.draws_needed`), and about nine seeds in ten make a pair, so that 72 seeds are drawn. They take a minute of
processor time.
"""

import math
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
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
count = 72
"""

SMALL, LARGE = 0, 1
SCHEDULES, PATTERNS = ["S", "L-S"], ["P", "Q"]
SAME_LOSS = 0.02  # relative
FEWEST_PAIRS = 10
FEWEST_TESTS = 100  # with fewer a difference of a hundredth is a tie
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
    loss, count = run["train_loss"][:, same], int(same.sum())
    off = float(np.max(abs(loss[0] / loss[1] - 1.0), initial=0.0))
    enough = HOLDS if count >= FEWEST_PAIRS else UNDECIDED
    note = f"the others are left out; the largest relative difference that is left is {off:.2g}"
    what, measured = "pairs with equal train loss", f"{count} of {same.size}"
    findings = [Finding(what, measured, "", f"{SAME_LOSS:g} relative", enough, note)]
    if enough != HOLDS:
        return verdict(CLAIM, findings)
    config = cast(StudyConfig, run.config)  # the claim is a study's
    weights = [config.study[key] for key in ("only_p", "only_q", "both")]
    errors = run["error_p"], run["error_q"], run["error_both"]
    mixed = sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights)
    judged = [
        _higher("error on points with P only, S above L-S", run["error_p"][:, same], config.study["tests"]),
        _higher("error on points as in the train set, S above L-S", mixed[:, same], config.study["tests"]),
        _order(run, SMALL, same),
        _order(run, LARGE, same),
    ]
    outcomes = evidence.outcomes([shown for _, shown in judged])
    findings += [finding._replace(outcome=own) for (finding, _), own in zip(judged, outcomes, strict=True)]
    return verdict(CLAIM, findings)


def same_loss(run: Run) -> NDArray[np.bool_]:
    """Which seeds count, bool (N,): both networks stopped at the level, with losses equal to SAME_LOSS."""
    loss = run["train_loss"]
    return (run["status"] == REACHED).all(axis=0) & (abs(loss[0] - loss[1]) <= SAME_LOSS * loss.max(axis=0))


def chance(wins: int, losses: int) -> float:
    """One-sided p of the sign test: of fair coins, wins + losses of them, `wins` or more show heads."""
    return evidence.binomial_tail(wins, wins + losses, 0.5)


def _higher(what, error, tests):
    """(finding, evidence) that S has the higher error in more than half of the pairs; a tie is none."""
    wins, pairs = int((error[0] > error[1]).sum()), error.shape[1]
    known = tests >= FEWEST_TESTS and bool(np.isfinite(error).all())
    shown = evidence.of_share(wins, pairs, 0.5) if known else evidence.UNKNOWN
    mean, spread = error.mean(axis=1), error.std(axis=1, ddof=1) / math.sqrt(pairs)
    note = f"S {mean[0]:.4f} +- {spread[0]:.4f}, L-S {mean[1]:.4f} +- {spread[1]:.4f}"
    note += "" if known else f"; fewer than {FEWEST_TESTS} test points tell no difference"
    return Finding(what, f"{wins} of {pairs}", "higher", str(shown), note=note), shown


def learnt(run: Run) -> NDArray[np.float64]:
    """Steps at which the patterns were learnt, float (S, N, 2); infinity where they never were."""
    steps = run["learnt_step"].astype(float)
    return np.where(steps < 0, np.inf, steps)


def _order(run, schedule, same):
    """(finding, evidence) on which pattern is learnt first, Q by S, P by L-S; where neither is, nothing is told."""
    steps = learnt(run)[schedule, same]
    first, second = (1, 0) if schedule == SMALL else (0, 1)
    wins, losses = (int((steps[:, a] < steps[:, b]).sum()) for a, b in ((first, second), (second, first)))
    shown = evidence.of_share(wins, wins + losses, 0.5) if wins + losses >= FEWEST_PAIRS else evidence.UNKNOWN
    rate = run.config.study["small_rate" if schedule == SMALL else "large_rate"]
    p, q = np.median(rate * run["sharpness"][same], axis=0) / 2.0
    note = f"its rate at first is {p:.3g} of 2/sharpness along P, {q:.3g} along Q"
    what = f"{SCHEDULES[schedule]} learns {PATTERNS[first]} first"
    return Finding(what, f"{wins} of {wins + losses}", "first", str(shown), note=note), shown


def controls() -> list[Control]:
    """Settings in which nothing is gained by learning P first, nothing makes it first, or nothing can be told."""
    few, small = ("seeds.count", 16), ("study.tests", 300)
    apart = (("study.only_p", 80), ("study.both", 0), ("study.only_q", 20))
    stable = (("study.large_rate", 0.5), ("study.large_steps", 1600), ("study.anneal_loss", 0.1))
    many = (("study.only_p", 80), ("study.both", 240), ("study.only_q", 80))
    rates = (("study.large_rate", 0.25), ("study.small_rate", 40.0), ("study.max_steps", 2000))
    early = "Q is learnt first by both schedules, or neither is"
    table = (
        ("the large rate below 2/sharpness", "Q is then learnt first by both schedules", FAILS, stable),
        ("one seed", "one pair tells nothing", UNDECIDED, (("seeds.count", 1),)),
        ("never both patterns in a point", "Q then makes no point right that P is learnt from", FAILS, apart),
        ("no large rate", "L-S is then S, to the last bit", FAILS, (("study.large_rate", 0.25),)),
        ("a large rate of 1/sharpness for a step", early, FAILS, (("study.large_rate", 0.5), ("study.large_steps", 1))),
        ("the two rates the other way round", "S does not come to rest, so there are no pairs", UNDECIDED, rates),
        ("too few steps", "no network comes to the train loss", UNDECIDED, (("study.max_steps", 60),)),
        ("three seeds", "three pairs tell nothing", UNDECIDED, (("seeds.count", 3),)),
        ("one test point", "errors are then 0 or 1, and most are equal", UNDECIDED, (("study.tests", 1),)),
        ("learnt before it begins", "both patterns count as learnt at once", UNDECIDED, (("study.learnt_loss", 0.7),)),
        # Half of the seeds make pairs there, and ten are needed.
        ("many more points than dimensions", "the points with P only are then enough to learn it", FAILS,
         (("study.dimension", 20), *many, ("seeds.count", 40))),
        ("a large rate of 60", "it too lies between the two limits", HOLDS,
         (("study.large_rate", 60.0), ("seeds.count", 72))),
    )  # fmt: skip
    return [
        Control(name, why, (few, small, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


def pictures(run: Run) -> list:
    """What each schedule learns first, and what comes of it; none where there is no pair."""
    from ._li_pictures import order_of_learning

    same = same_loss(run)
    return [order_of_learning(run, same)] if same.any() else []
