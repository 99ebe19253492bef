"""Luo et al. (2025), A Multi-Power Law for Loss Curve Prediction Across Learning Rate Schedules.

arXiv:2503.12811, ICLR. After t steps of rates eta_k, S(t) their sum,

    L(t) = L0 + A S(t)^-alpha + B sum_{k<=t} (eta_k - eta_{k-1}) [1 - (1 + C eta_k^-gamma (S(t) - S(k-1)))^-beta],

fitted on a cosine, a constant and a two-stage schedule, predicts the loss curves of others (`simlr.laws`).

Judged is what the law does where the truth is known: one-pass SGD on a drawn power law (`simlr.papers._power_laws`),
whose mean loss curves are exact. The law, fitted to three schedules, has to predict two that it has not seen, linear
decay and warmup-stable-decay, with R2 of at least .99 (the paper's own are .998 on language models), and to do better
there than the same fit without its sum over changes of the rate. Where a folder with the authors' public curves is
given, the published parameters have to have the published errors on them, to all digits that are printed. They count a
row's step from 0: the loss beside step s is that after s + 1 updates, the last at the rate beside it, and the warm-up
of 2,160 steps rises evenly from 0 in the first to the peak in the last. The tests were fixed on roots from 1,000 on.
"""

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
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
from . import _power_laws as laws

SOURCE = (
    "Luo et al. (2025), arXiv:2503.12811, ICLR: the law, its fits and their errors, from the authors' code and data"
)
CLAIM = (
    "The multi-power law, fitted to a cosine, a constant and a two-stage schedule, predicts the loss curves of "
    "schedules that it has not seen; the published fits have the published errors on the public curves."
)
RECONSTRUCTION = (
    "The law, its three fitted schedules, published parameters and errors are the authors'. Exact curves of one-pass "
    "SGD on drawn power laws in place of language models, 2,000 steps, batches of 4, two schedules to predict, the "
    "bound of .99 on R2 and the fit by simlr.laws are ours."
)
GRID = """
name = "luo2025"

[study]
kind = "luo2025"

[seeds]
count = 6
"""

FITTED, UNSEEN = ["constant", "cosine", "two-stage"], ["linear", "wsd"]
SIZES = ["25M", "100M", "400M"]
PUBLISHED = {"25M": (0.9988, 0.00376, 0.00465), "100M": (0.9983, 0.00435, 0.00592), "400M": (0.9978, 0.00484, 0.00730)}
ERRORS = ["R2", "MAE", "RMSE"]
ROUNDED = (5.01e-5, 5.01e-6, 5.01e-6)  # half of the last digit that is printed
PEAK, END, WARMUP = 3e-4, 3e-5, 2160
# The authors' six test curves, as "SIZE-NAME.csv" in the folder.
TESTED = ("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdcon_3", "wsdcon_18", "wsdld_20000_24000")
LEAST_R2, LEAST_STEPS, RISING = 0.99, 500, 0.05
PARAMETERS = 7  # of the law
FLAT = 1e-4  # of its mean
FEWER = f"the claim is of fits to all of {', '.join(FITTED)}"
NO_CHANGES = "the sum of rates alone tells these curves: noise is not felt, and no change of the rate either"


def exact_rates(steps: int, peak: float) -> dict[str, NDArray[np.float64]]:
    """{name: rates (T,)} of the exact curves: a linear warm-up over a twentieth, then down to a tenth of the peak."""
    rising = max(int(RISING * steps), 1)
    z = np.arange(steps - rising) / (steps - rising)
    shapes = {
        "constant": np.ones_like(z),
        "cosine": 0.1 + 0.45 * (1.0 + np.cos(np.pi * z)),
        "two-stage": np.where(z < 0.5, 1.0, 0.3),
        "linear": 1.0 - 0.9 * z,
        "wsd": np.minimum(1.0, 0.1 + 0.9 * (1.0 - z) / 0.2),
    }
    warmup = np.arange(1, rising + 1) / rising
    return {name: peak * np.concatenate([warmup, shape]) for name, shape in shapes.items()}


def public_rates(name: str, steps: int) -> NDArray[np.float64]:
    """The rates (T,) of one of the authors' schedules; index 0 is the first update."""
    t, parts = np.arange(steps), name.split("_")
    rates = np.full(steps, PEAK)
    if parts[0] == "cosine":
        z = np.clip((t - WARMUP) / (int(parts[1]) - WARMUP), 0.0, 1.0)
        rates = END + 0.5 * (PEAK - END) * (1.0 + np.cos(np.pi * z))
    elif parts[0] == "wsdcon":
        rates = np.where(t >= 8000, int(parts[1]) * 1e-5, PEAK)
    elif parts[0] in ("wsd", "wsdld"):
        begin, end = int(parts[1]), int(parts[2])
        z = np.clip((t - begin) / (end - begin), 0.0, 1.0)
        rates = PEAK * (END / PEAK) ** z if parts[0] == "wsd" else PEAK + (END - PEAK) * z
    rates[:WARMUP] = np.linspace(0.0, PEAK, WARMUP)
    return rates


def errors(observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> tuple[float, float, float]:
    """R2, mean absolute and root mean square error of a curve (K,); R2 is NaN of one that is flat to `FLAT`."""
    off, around = predicted - observed, observed - observed.mean()
    total = float((around * around).sum())
    squares = float((off * off).sum())
    r2 = 1.0 - squares / total if total > off.size * (FLAT * observed.mean()) ** 2 else math.nan
    return r2, float(abs(off).mean()), math.sqrt(squares / off.size)


def measure(task: Task) -> dict[str, Any]:
    """R2 of the law and of the power alone on unseen exact curves, and the published fits' errors where curves are."""
    own, public = task.parameters, _published(task.parameters["folder"])  # which is refused before anything is run
    if own["losses"] * len(own["fitted"]) <= PARAMETERS:
        raise InputError(f"study.losses: {own['losses']} on each of {len(own['fitted'])} curves are not more than the "
                         f"{PARAMETERS} parameters of the law")  # fmt: skip
    found = {name: np.full((len(UNSEEN), task.seeds), np.nan) for name in ("r2", "power_r2", "rmse")}
    drawn = laws.drawn(task.root, task.seeds, own["capacity"], own["source"], own["modes"], 20 * own["modes"],
                       own["spread"])  # fmt: skip
    able = importlib.util.find_spec("scipy") is not None
    for k in range(task.seeds if able else 0):
        curves = _exact_curves(drawn, k, own)
        if all(np.isfinite(curve.losses).all() and curve.losses.max() < 1e3 for curve in curves):
            for name, values in _unseen(curves, own).items():
                found[name][:, k] = values
        task.progress(k + 1, task.seeds)
    return found | {"unseen": UNSEEN, "size": SIZES, "error": ERRORS, "public": public}


def _exact_curves(drawn, k, own):
    """The mean loss curves of problem k with the labels' variance, as the paper's would be: one a schedule."""
    from ..engine.expectation import expected_losses
    from ..laws.curve import Curve

    steps, sigma = own["steps"], own["sigma"]
    rates = exact_rates(steps, own["peak"])
    at = np.unique(np.round(np.geomspace(max(RISING * steps, 1.0) + 1, steps, own["losses"])).astype(np.int64))
    noise = {"kind": "fresh", "batch_size": own["batch"], "sigma": sigma}
    table = np.stack([*rates.values()])
    found = expected_losses(2.0 * drawn.curvature[k : k + 1], drawn.start[k : k + 1], table, noise, steps=at)
    seen = {name: one[::-1].copy() if own["wrong_rates"] else one for name, one in rates.items()}
    losses = found.train_loss[:, 0] + sigma * sigma
    return [Curve(name, seen[name], at, own_losses) for name, own_losses in zip(rates, losses, strict=True)]


def _unseen(curves, own):
    """Errors on the curves that were not fitted: of the law, and of its power of the sum of rates alone."""
    from ..laws.fitting import fit
    from ..laws.law import predict

    used = [curve for curve in curves if curve.name in (*own["fitted"], *UNSEEN)]
    law = fit("multi-power", used, hold_out=UNSEEN, starts=own["starts"], resamples=0)
    found = {"r2": [], "power_r2": [], "rmse": []}
    for name in UNSEEN:
        one = next(curve for curve in curves if curve.name == name)
        losses = np.asarray(one.losses)
        predicted = predict("multi-power", law.parameters, one.rates, one.steps)
        alone = predict("multi-power", law.parameters | {"B": 0.0}, one.rates, one.steps)
        r2, _, rmse = errors(losses, predicted if own["drops"] else alone)
        found["r2"].append(r2)
        found["rmse"].append(rmse)
        found["power_r2"].append(errors(losses, alone)[0])
    return found


def _published(folder):
    """(size, error): means over the six test curves in a folder; NaN of a size of which not all are there."""
    found = np.full((len(SIZES), len(ERRORS)), np.nan)
    if folder == "none":
        return found
    if not Path(folder).is_dir():
        raise InputError(f"study.folder: there is no folder {folder!r}")
    from ..laws.law import predict

    for i, size in enumerate(SIZES):
        files = [Path(folder) / f"{size}-{name}.csv" for name in TESTED]
        if not all(file.is_file() for file in files):
            continue
        each = []
        for name, file in zip(TESTED, files, strict=True):
            steps, losses = _curve_of(file)
            rates = public_rates(name, int(steps[-1]))
            each.append(errors(losses, predict("multi-power", size, rates, steps)))
        found[i] = np.mean(each, axis=0)
    return found


def _curve_of(file):
    """Steps (K,), counted from 1, and losses (K,) of a public curve; there they are counted from 0."""
    try:
        rows = np.genfromtxt(file, delimiter=",", names=True)
        steps, losses = np.atleast_1d(rows["step"]), np.atleast_1d(rows["loss"])
    except (ValueError, IndexError):
        raise InputError(f"study.folder: {file} is no table with the columns step and loss") from None
    if not (steps.size > 1 and np.isfinite(steps).all() and np.isfinite(losses).all() and steps[0] >= 0.0):
        raise InputError(f"study.folder: {file} needs two rows of numbers at least, steps from 0")
    return steps.astype(np.int64) + 1, losses


@rules.ListRule
def _fitted(key, value):
    """Names of the schedules that are fitted."""
    if not isinstance(value, list | tuple) or not value or any(one not in FITTED for one in value):
        rules.refuse(key, f"a list of {', '.join(FITTED)}", value)
    if len({*value}) < len(value):
        rules.refuse(key, "a list of schedules, each once", value)
    return tuple(value)


_EACH = "unseen", "seed"
STUDY = Study(
    "luo2025",
    "the multi-power law on exact loss curves that it has not seen, and the published fits on the public curves",
    (
        Parameter("folder", rules.text, "none", "of the authors' public curves, SIZE-SCHEDULE.csv; or none"),
        Parameter("capacity", laws.above_one, 2.0, "beta of the problem"),
        Parameter("source", rules.positive, 1.0, "its s"),
        Parameter("modes", rules.count, 200, "its modes"),
        Parameter("spread", laws.at_least_one, 1.5, "largest over smallest factor on eigenvalues and coefficients"),
        Parameter("steps", rules.count, 2000, "of every schedule"),
        Parameter("losses", rules.count, 25, "along each curve"),
        Parameter("peak", rules.positive, 0.1, "the largest rate"),
        Parameter("sigma", rules.not_negative, 0.5, "standard deviation of the labels' noise"),
        Parameter("batch", rules.count, 4, "rows a step"),
        Parameter("fitted", _fitted, tuple(FITTED), "schedules that the law is fitted to"),
        Parameter("starts", rules.count, 2, "of a fit that are followed"),
        Parameter("drops", rules.flag, True, "predict with the law's sum over changes of the rate"),
        Parameter("wrong_rates", rules.flag, False, "tell the law the rates backwards"),
    ),
    (
        Field("unseen", ("unseen",), "str", "schedule that is predicted"),
        Field("size", ("size",), "str", "parameters of a language model"),
        Field("error", ("error",), "str", "R2, mean absolute and root mean square error"),
        Field("r2", _EACH, "<f8", "R2 along a curve that was not fitted"),
        Field("power_r2", _EACH, "<f8", "the same without the sum over changes of the rate"),
        Field("rmse", _EACH, "<f8", "root mean square error there"),
        Field("public", ("size", "error"), "<f8", "errors of the published fits, means over six curves"),
    ),
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """R2 on unseen exact curves, what the sum over changes adds, and the published errors where there are curves."""
    own, published = run.config.study, list(_of_published(run))
    if np.isnan(run["r2"]).all() and importlib.util.find_spec("scipy") is None:
        missing = Finding("fits to exact curves", "", "", "", NOT_RUN, "needs SciPy")
        return verdict(CLAIM, [missing, *published])
    why = list(laws.cannot_tell(own))
    if own["steps"] < LEAST_STEPS or own["losses"] < 8:
        why.append(("curves that are too short", f"{LEAST_STEPS} steps and 8 losses at least are needed"))
    unknown = int(np.isnan(run["r2"]).any(axis=0).sum())
    if not why and unknown:
        why.append((f"{unknown} of {run['r2'].shape[1]} draws have no R2", "their losses are beyond 1,000, or flat"))
    if why:
        return verdict(CLAIM, [*(undecided(*one) for one in why), *published])
    judged = [(f"{name}: R2 of the law, not fitted", run["r2"][i], LEAST_R2) for i, name in enumerate(UNSEEN)]
    judged += [
        (f"{name}: 1 - R2 without the sum over changes, over that of the law",
         np.log10((1.0 - run["power_r2"][i]) / (1.0 - run["r2"][i])), 0.5)
        for i, name in enumerate(UNSEEN)
    ]  # fmt: skip
    shown = [evidence.of_mean(values, bound) for _, values, bound in judged]
    findings = []
    for (what, values, bound), one, outcome in zip(judged, shown, evidence.outcomes(shown), strict=True):
        mean = float(values.mean()) if bound == LEAST_R2 else float(10.0 ** values.mean())
        least = bound if bound == LEAST_R2 else 10.0**bound
        findings.append(Finding(what, mean, f">= {least:.3g}", "", outcome, str(one)))
    beyond = "" if {*own["fitted"]} == {*FITTED} else FEWER
    beyond = NO_CHANGES if np.median(run["power_r2"]) >= LEAST_R2 else beyond
    return verdict(CLAIM, [*(outside(one, beyond) for one in findings), *published])


def _of_published(run):
    """The published errors beside those found; not run without the curves."""
    for i, size in enumerate(SIZES):
        if np.isnan(run["public"][i]).all():
            note = "its public curves are not in study.folder"
            yield Finding(f"{size}: errors of the published fit", "", "", "", NOT_RUN, note)
            continue
        for j, name in enumerate(ERRORS):
            what = f"{size}: {name} of the published fit"
            yield near(what, float(run["public"][i, j]), PUBLISHED[size][j], ROUNDED[j])


def controls() -> list[Control]:
    """Fits that cannot know, laws without their last part, and too little to tell."""
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("without the sum over changes", "the power alone does not feel a decay", FAILS, (("study.drops", False),)),
        ("rates told backwards", "the law is then fitted to other schedules", FAILS, (("study.wrong_rates", True),)),
        ("one seed", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("400 steps", "the curves are too short", UNDECIDED, (("study.steps", 400),)),
        ("four losses a curve", "there are more parameters", UNDECIDED, (("study.losses", 4),)),
        ("a rate beyond the limit", "losses grow without end", UNDECIDED, (("study.peak", 3.0),)),
        ("two seeds", "a t-test on two cannot be so sure", UNDECIDED, (("seeds.count", 2),)),
        ("no noise", "a change of the rate then changes the sum of rates alone", UNDECIDED, (("study.sigma", 0.0),)),
        ("another problem", "the law is not about one spectrum", HOLDS,
         (("study.capacity", 1.5), ("study.source", 0.5))),
        ("batches of 16", "nor about one batch size", HOLDS, (("study.batch", 16),)),
        ("noise of 1", "nor about one noise", HOLDS, (("study.sigma", 1.0),)),
        ("4,000 steps", "nor about one horizon", HOLDS, (("study.steps", 4000),)),
    )  # fmt: skip
    return [
        Control(name, why, changes, expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """What the law misses on curves that it has not seen; none where nothing was fitted."""
    return [] if np.isnan(run["r2"]).all() else [unseen_picture(run)]


def unseen_picture(run: Run) -> Any:
    """1 - R2 of every draw, with the sum over changes of the rate and without."""
    from ..report.figures import style

    figure, (axes,) = style.figure()
    for i, (name, label) in enumerate((("power_r2", "without the sum over changes"), ("r2", "multi-power law"))):
        for j in range(len(UNSEEN)):
            left = 1.0 - run[name][j]
            places = np.full(left.size, j) + np.linspace(-0.15, 0.15, left.size)
            axes.plot(places, left, style.MARKERS[i], color=style.COLOURS[i], label=label if j == 0 else None)
    axes.set_xticks(range(len(UNSEEN)), UNSEEN)
    style.logarithmic(axes, "y")
    axes.set_ylabel("1 - R2 along a curve that was not fitted")
    style.legend(figure, axes)
    style.title(figure, "The law predicts schedules that it has not seen, by what it says of changes of the rate")
    caption = "One point a draw of the problem: exact loss curves, the law fitted to three others."
    return style.Picture("unseen", caption, figure)
