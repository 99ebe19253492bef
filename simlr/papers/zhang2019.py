"""Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse (2019), Which Algorithmic Choices Matter at Which Batch
Sizes? Insights From a Noisy Quadratic Model.

arXiv:1907.04164. The model: curvatures h_i = 1/i of 10,000 axes, gradients of variance h_i / B at batch size B, the
start at 1 along every axis, and the number of steps to a loss of 0.01 at the best constant rate, with the best
momentum, and with the best ten pieces of constant rates (`simlr.papers._quadratic_model`). Means are exact, no gradient
is drawn.

What is drawn are problems: each curvature is multiplied by exp(jitter z), z normal, and the start is normal along every
axis. The claims are judged on those, the numbers on the paper's own problem, where a root makes no difference.

The paper was read in part: settings and mesh are those of its code; its figures have no numbers, and those that the
check has were computed from these settings elsewhere. Its experiments with networks and with preconditioning are not
judged.
"""

import importlib.util
import itertools
import math
from typing import Any

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
    near,
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
from . import _quadratic_model as model
from ._drawn_problems import curvatures, spectrum, tested

SOURCE = "Zhang et al. (2019), arXiv:1907.04164 (NeurIPS), the noisy quadratic model; its code's settings"
CLAIM = (
    "The steps to a loss fall in proportion to the batch size up to a critical one and then hardly; momentum helps "
    "beyond that of gradient descent and raises it, and hardly helps at small batches, where a schedule of ten pieces "
    "does."
)
RECONSTRUCTION = (
    "The model, its mesh of rates and momenta and the ten pieces are the paper's; its figures have no numbers, and "
    "those beside ours are computed from its settings. Ours are the drawn problems, the batch sizes, the critical "
    "batch size as least B x steps over least steps, and the bounds: exponents of -0.9 and -0.1, factors of 2, and "
    "1.25 for hardly, set once it was seen that momenta with a memory as long as the run save a seventh on the "
    "paper's own problem."
)
GRID = """
name = "zhang2019"

[study]
kind = "zhang2019"

[seeds]
count = 8
"""

# batch size -> steps, of the paper's settings: constant rate, ten pieces, momenta up to 0.99.
FIXED = {16: 379858, 64: 95759, 256: 25880, 4096: 8117}
PIECES = {16: 53310}
MOMENTUM = {16: 374776}
SHORT_MEMORY = 0.01  # 1 - momentum from which on the published number is the fewest; longer memories save more
CLOSE = 1e-3  # of these numbers: the starts of pieces and halvings are ours, and the largest difference is 1e-4
OF_DRAWS, OF_PAPER = 0.02, 5e-5  # to what share the steps of pieces are found
PROPORTIONAL, LEVEL_OFF, HARDLY, MUCH = 0.9, 0.1, 1.25, 2.0
APART = 4.0  # of the two smallest, and the two largest batch sizes from the critical one, by a factor
LEAST_RATES, LEAST_MOMENTA, LEAST_BINS, TEN = 30, 5, 30, 10  # of the mesh, of the spectrum, of a schedule
SCIPY = 'needs SciPy: pip install "simlr[optimal]"'


def measure(task: Task) -> dict[str, Any]:
    """Fewest steps on every drawn problem, and on the paper's."""
    own, batches = task.parameters, np.array(task.parameters["batches"])
    momenta = 1.0 - np.logspace(math.log10(own["least_share"]), 0.0, own["momenta"])
    rates = np.logspace(-5.0, 0.5, own["rates"]), np.logspace(-8.0, 1.0, own["rates"])
    drawn = [problem(own, task.root, seed) for seed in range(task.seeds)]
    found: dict[str, list] = {name: [] for name in ("fixed", "fixed_rate", "momentum", "pieces", "own_by_momentum")}
    for done, one in enumerate(drawn):
        fixed, rate = model.fewest(one, own, rates[0], np.zeros(1), batches)
        moving, _ = model.fewest(one, own, rates[1], momenta, batches)
        pieces, _ = _of_pieces(one, own, batches[0], fixed[0], OF_DRAWS)
        for name, value in zip(found, (fixed, rate, moving, pieces), strict=False):
            found[name].append(value)
        task.progress(done + 1, task.seeds + 1)
    paper = problem(own)
    for momentum in momenta:
        found["own_by_momentum"].append(model.fewest(paper, own, rates[1], np.array([momentum]), batches)[0])
    fixed, rate = model.fewest(paper, own, rates[0], np.zeros(1), batches)
    pieces, best = _of_pieces(paper, own, batches[0], fixed[0], OF_PAPER)
    task.progress(task.seeds + 1, task.seeds + 1)
    named = {"own_fixed": fixed, "own_fixed_rate": rate, "own_pieces": pieces, "own_piece_rate": best}
    return {"batch": batches, "share": 1.0 - momenta, **named, **{name: np.array(v) for name, v in found.items()}}


def _of_pieces(one, own, batch, enough, close):
    """The steps of the best pieces and their rates; NaN without SciPy."""
    if importlib.util.find_spec("scipy") is None:
        return math.nan, np.full(own["pieces"], math.nan)
    return model.fewest_of_pieces(one, own, float(batch), float(enough), close)


def problem(own: dict[str, Any], root: int = 0, seed: int | None = None) -> model.Model:
    """The paper's problem, or one drawn around it from the streams (root, seed, SAMPLE) and (root, seed, TARGET)."""
    curvature, start = spectrum(own, root, seed)
    return model.binned(curvature, start**2, own["noise"], own["bins"])


@rules.VectorRule
def _batches(key, value):
    """Batch sizes, ascending."""
    found = rules.vector()(key, value)
    if len(found) < 3 or found[0] < 1.0 or found[-1] > 1e15 or any(b <= a for a, b in itertools.pairwise(found)):
        raise InputError(f"{key} must be a list of ascending numbers from 1 to 1e15, at least three")
    return found


def _least_share(key, value):
    return rules.number(key, value, above=0.0, most=1.0, rule="a number > 0, at most 1")


_EACH = ("seed", "batch")
STUDY = Study(
    "zhang2019",
    "steps of the noisy quadratic model to a loss: constant rates, momentum, and pieces",
    (
        Parameter("curvature", curvatures, (), "the spectrum; empty: i^-capacity, i <= dimension"),
        Parameter("dimension", rules.count, 10_000, "number of axes"),
        Parameter("capacity", rules.not_negative, 1.0, "exponent of the spectrum"),
        Parameter("jitter", rules.not_negative, 0.5, "deviation of the logarithms of drawn curvatures"),
        Parameter("noise", rules.not_negative, 1.0, "variance of a gradient over its curvature, at batch size 1"),
        Parameter("target", rules.positive, 0.01, "loss to reach"),
        Parameter("batches", _batches, tuple(4.0**k for k in range(2, 9)), "batch sizes"),
        Parameter("pieces", rules.count, 10, "pieces of constant rate"),
        Parameter("rates", rules.count, 100, "rates of a mesh"),
        Parameter("momenta", rules.count, 20, "momenta of the mesh"),
        Parameter("least_share", _least_share, 1e-5, "1 - the largest momentum"),
        Parameter("bins", rules.count, 100, "that the axes are put into"),
        Parameter("most_steps", rules.count, 2**20, "steps beyond which a rate is given up"),
    ),
    (
        Field("batch", ("batch",), "<f8", "batch size B"),
        Field("share", ("momentum_of",), "<f8", "1 - momentum of the mesh"),
        Field("fixed", _EACH, "<f8", "fewest steps at a constant rate; inf: none"),
        Field("fixed_rate", _EACH, "<f8", "that rate"),
        Field("momentum", _EACH, "<f8", "fewest steps at a constant rate with momentum"),
        Field("pieces", ("seed",), "<f8", "fewest steps with pieces, at the smallest batch size"),
        Field("own_fixed", ("batch",), "<f8", "fewest steps at a constant rate on the paper's problem"),
        Field("own_fixed_rate", ("batch",), "<f8", "that rate"),
        Field("own_by_momentum", ("momentum_of", "batch"), "<f8", "fewest steps with each momentum there"),
        Field("own_pieces", (), "<f8", "fewest steps with pieces there, at the smallest batch size"),
        Field("own_piece_rate", ("piece",), "<f8", "the rates of those pieces"),
    ),
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """The numbers on the paper's problem, and the claims on drawn ones."""
    return verdict(CLAIM, [*_published(run), *_drawn(run)])


def _published(run):
    """The steps beside those of the paper's settings, where these are the paper's."""
    own = run.config.study
    free = "jitter", "batches", "most_steps"
    if any(own[one.name] != one.default for one in STUDY.parameters if one.name not in free):
        return [Finding("steps on the paper's problem", "another problem", "", "", NOT_RUN)]
    with_momentum = run["own_by_momentum"][run["share"] >= SHORT_MEMORY].min(axis=0)
    return [
        *_beside(run["batch"], FIXED, run["own_fixed"], "steps at a constant rate"),
        *_beside(run["batch"], MOMENTUM, with_momentum, "steps with momentum <= 0.99"),
        *_beside(run["batch"], PIECES, [run["own_pieces"]], "steps of ten pieces"),
    ]


def _beside(batches, published, measured, what):
    """A finding for each batch size that has both numbers; not run where SciPy is missing."""
    found = []
    for batch, steps in zip(batches, measured, strict=False):
        if batch in published and np.isnan(steps):
            found.append(Finding(f"{what}, B = {batch:g}", SCIPY, published[batch], "", NOT_RUN))
        elif batch in published:
            found.append(near(f"{what}, B = {batch:g}", float(steps), published[batch], CLOSE, relative=True))
    return found


def critical(steps: NDArray[np.float64], batches: NDArray[np.float64]) -> NDArray[np.float64]:
    """The critical batch size of steps (..., B): the least B x steps over the least steps."""
    return (steps * batches).min(axis=-1) / steps.min(axis=-1)


def _drawn(run):
    """The claims, each by a t-test on the drawn problems."""
    fixed, moving, batches = run["fixed"], run["momentum"], run["batch"]
    reached = np.concatenate([fixed, moving], axis=1)
    if not (np.isfinite(reached) & (reached > 0.0)).all():
        return [undecided("steps on drawn problems", "a loss is not reached, or there from the start")]
    logs, widths = np.log(fixed), np.log(batches)
    small = (logs[:, 0] - logs[:, 1]) / (widths[1] - widths[0])
    large = (logs[:, -2] - logs[:, -1]) / (widths[-1] - widths[-2])
    gain = np.log(fixed / moving)
    raised = np.log(critical(moving, batches) / critical(fixed, batches))
    judged = [
        ("steps ~ B^-a at small batches: a", small, PROPORTIONAL, ">", False),
        ("steps ~ B^-a at large batches: a", large, LEVEL_OFF, "<", False),
        (f"steps without / with momentum, B = {batches[0]:g}", gain[:, 0], HARDLY, "<", True),
        (f"steps without / with momentum, B = {batches[-1]:g}", gain[:, -1], MUCH, ">", True),
        ("critical batch size with / without momentum", raised, MUCH, ">", True),
    ]
    what, why = f"steps of one rate / of pieces, B = {batches[0]:g}", "; ".join(_outside(run))
    if np.isnan(run["pieces"]).any():
        return [*(outside(one, why) for one in tested(judged)), Finding(what, SCIPY, "", "", NOT_RUN)]
    found = tested([*judged, (what, np.log(fixed[:, 0] / run["pieces"]), MUCH, ">", True)])
    return [outside(one, why) for one in found]


def _outside(run):
    """Why these are not the batch sizes, or the mesh, of the claim: settings that refute nothing."""
    own, batches = run.config.study, run["batch"]
    size = float(np.median(critical(run["fixed"], batches)))
    if batches[1] > size / APART:
        yield f"two batch sizes at least have to be below the critical one, {size:.3g}, by a factor {APART:g}"
    if batches[-2] < size * APART:
        yield f"two batch sizes at least have to be above the critical one, {size:.3g}, by a factor {APART:g}"
    for key, least in (("rates", LEAST_RATES), ("momenta", LEAST_MOMENTA)):
        if own[key] < least:
            yield f"study.{key} below {least} tunes nothing"
    if own["bins"] < min(LEAST_BINS, own["dimension"]):
        yield f"study.bins below {LEAST_BINS} is another spectrum"
    if 1 < own["pieces"] < TEN:
        yield f"the claim is about {TEN} pieces"


# ---- controls ----


def controls() -> list[Control]:
    """Problems without noise or without ill-conditioning, batch sizes on one side, no momentum, no schedule."""
    few = (("study.rates", 60), ("study.momenta", 10), ("seeds.count", 6))
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("no momentum", "the mesh has momentum 0 alone", FAILS, (("study.least_share", 1.0),)),
        ("one piece", "it is no schedule", FAILS, (("study.pieces", 1),)),
        ("one problem", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("equal curvatures", "momentum has nothing to speed up", FAILS,
         (("study.capacity", 0.0), ("study.jitter", 0.0), ("study.batches", [4.0**k for k in range(2, 13)]))),
        ("no noise", "the batch size then makes no difference, and none is critical", UNDECIDED,
         (("study.noise", 0.0),)),
        ("small batches only", "they are all below the critical size", UNDECIDED,
         (("study.batches", [32, 64, 128]),)),
        ("large batches only", "they are all above the critical size", UNDECIDED,
         (("study.batches", [65536, 131072, 262144]),)),
        ("one momentum", "it is not the best", UNDECIDED, (("study.momenta", 1),)),
        ("a target near the start", "steep axes alone are learnt, and no batch size is small", UNDECIDED,
         (("study.target", 0.9),)),
        ("a loss that is not reached", "there are no steps to compare", UNDECIDED, (("study.most_steps", 1000),)),
        ("a loss from the start", "no step is needed", UNDECIDED, (("study.target", 1e3),)),
        ("two problems", "a t-test on two cannot be so sure", UNDECIDED, (("seeds.count", 2),)),
        ("noise without end", "no rate reaches the loss in so many steps", UNDECIDED, (("study.noise", 1e12),)),
        ("1,000 axes", "the same model", HOLDS, (("study.dimension", 1000),)),
        ("curvatures of the power law alone", "starts still differ", HOLDS, (("study.jitter", 0.0),)),
        ("a spectrum of one's own", "500 curvatures, geometric from 1 to 1e-4", HOLDS,
         (("study.curvature", np.geomspace(1.0, 1e-4, 500).tolist()), ("study.target", 0.1))),
    )  # fmt: skip
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """Steps against batch size, of the paper's problem and of drawn ones; none where some do not get there."""
    own = np.concatenate([run["own_fixed"], run["own_by_momentum"].min(axis=0)])
    return [steps_picture(run)] if (np.isfinite(own) & (own > 0.0)).all() else []


def steps_picture(run: Run) -> Any:
    """Constant rate, momentum and ten pieces; drawn problems as thin lines."""
    from ..report.figures import style

    figure, (axes,) = style.figure()
    batches, fixed = run["batch"], run["own_fixed"]
    lines = (("constant rate", fixed, run["fixed"]), ("momentum", run["own_by_momentum"].min(axis=0), run["momentum"]))
    for i, (name, steps, drawn) in enumerate(lines):
        axes.plot(batches, drawn.T, color=style.COLOURS[i], alpha=0.25, linewidth=1.0)
        axes.plot(batches, steps, color=style.COLOURS[i], marker=style.MARKERS[i], label=name)
    axes.plot(batches, fixed[0] * batches[0] / batches, color="0.6", linestyle=":", label="as 1/B")
    axes.plot(batches[:1], [float(run["own_pieces"])], "D", color=style.COLOURS[2], label="ten pieces")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.5 * run["own_by_momentum"].min(), 2.0 * fixed.max())
    axes.set_xlabel("batch size B")
    axes.set_ylabel(f"steps to a loss of {run.config.study['target']:g}")
    style.legend(figure, axes)
    style.title(figure, "Momentum pays beyond the critical batch size of gradient descent, schedules below it")
    caption = "The noisy quadratic model at its best rates; thin lines are drawn problems."
    return style.Picture("steps", caption, figure)
