"""Beugnot, Mairal, Rudi (2022), On the Benefits of Large Learning Rates for Kernel Methods (COLT).

arXiv:2202.13733. Train loss F = 1/2 |theta - theta_star|_T^2, test loss R = 1/2 |theta - nu_star|_U^2, a constant rate,
stopped as soon as F <= alpha. With sigma_1 > ... > sigma_n the eigenvalues of T, kappa its condition number,

    small  eta_s < 2/(sigma_1 + sigma_n): the slowest direction is the bottom one, so for small alpha the error that is
           left lies along it, where F = 1/2 sigma_n r_n^2;
    large  2/(sigma_1 + sigma_n) < eta_l < 2/sigma_1: the top one, which only changes sign, so F = 1/2 sigma_1 r_1^2.

Theorem 5: if F >= alpha/2 at both stops, R(theta_l) <= 34 (kappa_U / kappa_T) R(theta_s). Where both ends are pure and
U = I the ratio is (F_l/F_s) / kappa_T. The paper then looks at levels that are not so small, and at kernel regression:
with several classes, error along a direction that all classes share (the top eigenvector of a Gaussian kernel is nearly
constant) changes no arg max, so a large rate classifies better at the same train loss, though its square loss does not
fall.

Gradient descent here is simlr's own, in closed form, on the problem kind `quadratic`, with engine = "closed-form".
"""

from typing import Any

import numpy as np

from ..claims.verdict import NOT_RUN, Control, Finding, Verdict, at_least, at_most, near, outcome_of, verdict
from ..config.study import Study, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..store.file_format import Field
from ..store.run import Run
from ._beugnot import digits_study, stops

SOURCE = "Beugnot, Mairal, Rudi (2022), arXiv:2202.13733, theorem 5 and the experiments on kernel regression"
CLAIM = (
    "Stopped at the same small train loss, a rate beyond 2/(sigma_1 + sigma_n) ends along the top eigenvector and one "
    "below it along the bottom one, so it has at most 34 kappa_U / kappa_T times the small one's test loss; at "
    "ordinary train losses too it is better, and kernel regression classifies better with it."
)
RECONSTRUCTION = (
    "The theorem and its constant 34 are the paper's. Ours: geometric spectra of 10 axes, normal starts, U with a "
    "geometric spectrum in random axes, nu_star = theta_star; in the practical regime (n = 50, kappa 100 to 10,000) "
    "rates written as 2/(sigma_1 + w sigma_n); and the digits of 8 x 8 pixels in scikit-learn in place of larger "
    "images, 10 classes at once, the kernel's width in units of the median distance."
)
GRID = """
name = "beugnot2022"

[study]
kind = "beugnot2022"

[seeds]
count = 100
"""
BOUND, HALF = 34.0, 0.5
SHARE = 0.95  # of the seeds that must be better in the practical regime
ERRORS = 4.0  # a mean gain in accuracy counts from so many standard errors on
PURE, ROUNDING = 1e-6, 1e-9
PRACTICAL_WINDOW, PRACTICAL_LEVEL = 0.1, 1e-3
INSTALL = 'needs scikit-learn: pip install "simlr[papers]"'


def large_rate(kappa: float, window: float) -> float:
    """2/(sigma_1 + w sigma_n) for sigma_1 = 1: large for 0 < w < 1, small for w > 1."""
    return 2.0 / (1.0 + window / kappa)


def _normals(root, seeds, purpose, shape):
    """Standard normals of each seed's own stream, (N, *shape)."""
    from ..kernels.draws import fill_normal

    found = np.empty((seeds, int(np.prod(shape))))
    for seed in range(seeds):
        fill_normal(found[seed], root, seed, purpose, 0)
    return found.reshape(seeds, *shape)


# ---- the theorem's regime ----


def _theorem(task):
    """Arrays (condition, seed, level) of both rates at the levels."""
    from ..kernels.draws import FEATURES, SAMPLE, TARGET

    own, n = task.parameters, task.parameters["axes"]
    start = _normals(task.root, task.seeds, SAMPLE, (n,))
    basis, _ = np.linalg.qr(_normals(task.root, task.seeds, FEATURES, (n, n)))
    apart = _normals(task.root, task.seeds, TARGET, (n,))
    apart *= own["apart"] / np.sqrt((apart**2).sum(axis=1, keepdims=True))
    parts = []
    for kappa in own["kappas"]:
        spectrum = np.geomspace(1.0, 1.0 / kappa, n)
        run = stops(
            np.tile(spectrum, (task.seeds, 1)), start, (1.0, large_rate(kappa, own["window"])),
            {"train_loss": list(own["levels"])}, task.threads,
        )  # fmt: skip
        parts.append(_ends(run, spectrum, own, basis, apart))
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def _ends(run, spectrum, own, basis, apart):
    """What there is to say of both ends, (seed, level) each."""
    residual, loss, steps = run["stop_residual"], run["train_loss"], run["stop_step"]
    weights = 0.5 * spectrum * residual**2 / loss[..., None]
    off = residual + apart[:, None, :]
    if own["test"] == "train":
        test = plain = 0.5 * (spectrum * off**2).sum(axis=-1)
    else:
        turned = np.einsum("nij,snej->snei", basis, off, optimize=False)
        test = 0.5 * (np.geomspace(1.0, 1.0 / own["kappa_u"], own["axes"]) * turned**2).sum(axis=-1)
        plain = 0.5 * (off**2).sum(axis=-1)
    return {
        "test_ratio": test[1] / test[0],
        "plain_ratio": plain[1] / plain[0],
        "small_train_loss": loss[0],
        "large_train_loss": loss[1],
        "bottom_share": weights[0, ..., -1],
        "top_share": weights[1, ..., 0],
        "small_steps": steps[0],
        "large_steps": steps[1],
    }


# ---- the practical regime ----


def _practical(task):
    """How many times the test loss of the rate 1/sigma_1 is that of rates near 2/sigma_1, at ordinary levels."""
    from ..kernels.draws import SAMPLE

    own, n, found = task.parameters, task.parameters["practical_axes"], []
    start = _normals(task.root, task.seeds, SAMPLE, (n,))
    for kappa in own["practical_kappas"]:
        spectrum = np.tile(np.geomspace(1.0, 1.0 / kappa, n), (task.seeds, 1))
        rates = [1.0, *(large_rate(kappa, window) for window in own["windows"])]
        run = stops(spectrum, start, rates, {"train_loss_fraction": list(own["fractions"])}, task.threads)
        weights = spectrum[0] if own["test"] == "train" else np.ones(n)
        test = (weights * run["stop_residual"] ** 2).sum(axis=-1)
        found.append(test[0] / test[1:])
    return {"practical_gain": np.stack(found)}


# ---- the study ----


def measure(task: Task) -> dict[str, Any]:
    """The theorem's regime, the practical one, and the digits."""
    steps = 3 + len(task.parameters["scales"])
    found = _theorem(task)
    task.progress(1, steps)
    found |= _practical(task)
    task.progress(2, steps)
    found |= digits_study(task)
    own = task.parameters
    coordinates = {"condition": "kappas", "level": "levels", "practical_condition": "practical_kappas"}
    coordinates |= {"window": "windows", "fraction": "fractions", "scale": "scales"}
    coordinates |= {"rate": "digits_rates", "digits_level": "digits_levels"}
    return found | {name: own[key] for name, key in coordinates.items()}


_ENDS = ("condition", "seed", "level")
_DIGITS = ("scale", "rate", "digits_level", "split")
STUDY = Study(
    "beugnot2022",
    "large and small constant rates at equal train loss: the theorem's regime, the practical one, kernels on digits",
    (
        Parameter("kappas", rules.vector(), (10.0, 100.0, 1e3, 1e4), "condition numbers of T, theorem's regime"),
        Parameter("axes", rules.count, 10, "dimension there"),
        Parameter("levels", rules.vector(), (1e-10, 1e-30, 1e-60, 1e-126), "train losses alpha there"),
        Parameter("window", rules.positive, 0.1, "w of the large rate 2/(sigma_1 + w sigma_n); small beyond 1"),
        Parameter("test", rules.one_of("other", "train"), "other", "U: another matrix, or T itself"),
        Parameter("kappa_u", rules.positive, 10.0, "condition number of that other matrix"),
        Parameter("apart", rules.not_negative, 0.0, "distance of nu_star from theta_star"),
        Parameter("practical_kappas", rules.vector(), (100.0, 1e3, 1e4), "condition numbers, practical regime"),
        Parameter("practical_axes", rules.count, 50, "dimension there"),
        Parameter("fractions", rules.vector(), (0.1, 0.01, 1e-3, 1e-4), "train losses there, in those of the start"),
        Parameter("windows", rules.vector(), (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0), "w of the rates there"),
        Parameter("scales", rules.vector(), (0.25, 0.5, 1.0, 2.0), "kernel widths in root median square distances"),
        Parameter("digits_rates", rules.vector(), (0.1, 1.0, 1.9, 1.99, 1.999, 1.9999), "rates, in 1/sharpness"),
        Parameter("digits_levels", rules.vector(), (0.3, 0.1, 0.03, 0.01), "train losses of the digits"),
        Parameter("train_rows", rules.count, 200, "rows of the digits to train on; the rest is held out"),
        Parameter("splits", rules.count_or_none, 20, "random splits of the digits; 0 = none are run"),
    ),
    (
        Field("condition", ("condition",), "<f8", "kappa_T"),
        Field("level", ("level",), "<f8", "alpha"),
        Field("test_ratio", _ENDS, "<f8", "R of the large rate / R of the small one"),
        Field("plain_ratio", _ENDS, "<f8", "the same with U = I (with U = T where test is train)"),
        Field("small_train_loss", _ENDS, "<f8", "F at the small rate's stop"),
        Field("large_train_loss", _ENDS, "<f8", "F at the large rate's stop"),
        Field("bottom_share", _ENDS, "<f8", "share of F along the bottom eigenvector at the small rate's stop"),
        Field("top_share", _ENDS, "<f8", "share of F along the top eigenvector at the large rate's stop"),
        Field("small_steps", _ENDS, "<i8", "steps of the small rate", "steps"),
        Field("large_steps", _ENDS, "<i8", "steps of the large rate", "steps"),
        Field("practical_condition", ("practical_condition",), "<f8", "kappa_T"),
        Field("window", ("window",), "<f8", "w of the rate 2/(sigma_1 + w sigma_n)"),
        Field("fraction", ("fraction",), "<f8", "train loss over that of the start"),
        Field(
            "practical_gain", ("practical_condition", "window", "seed", "fraction"), "<f8",
            "R of the rate 1/sigma_1 / R of the window's rate, U = I",
        ),
        Field("scale", ("scale",), "<f8", "kernel width over the root of the median square distance"),
        Field("rate", ("rate",), "<f8", "learning rate times sharpness"),
        Field("digits_level", ("digits_level",), "<f8", "train loss, mean square over rows, all classes together"),
        Field("accuracy", _DIGITS, "<f8", "share of held-out rows classified rightly"),
        Field("held_out_loss", _DIGITS, "<f8", "square loss on the held-out rows"),
        Field("digits_top_share", _DIGITS, "<f8", "share of the train loss along the kernel's top eigenvector"),
        Field("digits_rows", (), "<i8", "rows of the digits, 0 where they were not run"),
    ),
    measure,
)  # fmt: skip


# ---- the check ----


def check(run: Run) -> Verdict:
    """The theorem at the lowest level, the gain at ordinary ones, and the gain in accuracy."""
    return verdict(CLAIM, [*_theorem_findings(run), *_practical_findings(run), *_digits_findings(run)])


def _theorem_findings(run):
    """The bound, the pure ends and their directions, over all condition numbers and seeds at the lowest level."""
    own, level = run.config.study, int(np.argmin(run["level"]))
    at = {name: run[name][..., level] for name in run.names if run.dims(name) == _ENDS}
    kappa = run["condition"][:, None]
    kappa_u = kappa if own["test"] == "train" else own["kappa_u"]
    alpha = run["level"][level]
    counted = (at["small_train_loss"] >= HALF * alpha) & (at["large_train_loss"] >= HALF * alpha)
    where = f"at F = {alpha:g}"
    scaled = np.where(counted, at["test_ratio"] * kappa / kappa_u, np.nan)
    pure = at["plain_ratio"] * kappa * at["small_train_loss"] / at["large_train_loss"]
    impure = kappa * abs(1.0 - at["top_share"]) + abs(1.0 - at["bottom_share"])
    room = 2.0 * np.max(impure) + ROUNDING
    worst = pure.flat[np.argmax(abs(np.log(pure)))]
    most_steps = int(max(run["small_steps"].max(), run["large_steps"].max()))
    note = f"{counted.sum()} of {counted.size} runs have F >= alpha/2 at both stops; up to {most_steps:,} steps"
    return [
        at_most(f"R_l/R_s in units of kappa_U/kappa_T {where}, largest", np.nanmax(scaled, initial=0.0), BOUND, note)
        if counted.any()
        else Finding("runs with F >= alpha/2 at both stops", 0, "some", "", outcome_of(False)),
        near(f"R_l/R_s in units of (F_l/F_s)/kappa_T {where}, U = I", worst, 1.0, min(room, PURE)),
        at_least(f"share of F along the top eigenvector {where}, large rate", at["top_share"].min(), 1.0 - PURE),
        at_least(f"share of F along the bottom eigenvector {where}, small rate", at["bottom_share"].min(), 1.0 - PURE),
    ]


def _practical_findings(run):
    """Whether the large rate is better in most seeds at an ordinary level."""
    window = int(np.argmin(abs(np.log(run["window"] / PRACTICAL_WINDOW))))
    level = int(np.argmin(abs(np.log(run["fraction"] / PRACTICAL_LEVEL))))
    found = []
    for place, kappa in enumerate(run["practical_condition"]):
        gain = run["practical_gain"][place, window, :, level]
        share = (gain > 1.0).mean()
        what = f"n = {run.config.study['practical_axes']}, kappa {kappa:g}: R_s/R_l at F = "
        what += f"{run['fraction'][level]:g} F_0, median"
        tolerance = f"> 1 in {100 * SHARE:.0f} % of the seeds"
        note = f"above 1 in {100 * share:.0f} % of the seeds"
        found.append(Finding(what, np.median(gain), "> 1", tolerance, outcome_of(share >= SHARE), note))
    return found


def _digits_findings(run):
    """The gain in accuracy from the smallest rate to the largest over the splits, for every width of the kernel.

    It is there once the error that is left lies along the top eigenvector, which takes another level for every width:
    judged is the level that tells most, by as many standard errors as the choice among the levels wants.
    """
    if not int(run["digits_rows"]):
        why = INSTALL if run.config.study["splits"] else "study.splits is 0"
        return [Finding("kernel regression on the digits", "", "", "", NOT_RUN, why)]
    found = []
    for place, scale in enumerate(run["scale"]):
        gain = run["accuracy"][place, -1] - run["accuracy"][place, 0]
        mean = gain.mean(axis=-1)
        error = gain.std(axis=-1, ddof=1) / np.sqrt(gain.shape[-1])
        best = int(np.nanargmax(mean / np.maximum(error, ROUNDING)))
        level, loss = run["digits_level"][best], run["held_out_loss"][place, :, best].mean(axis=-1)
        what = f"digits, width {scale:g}: accuracy gained at train loss {level:g}"
        every = ", ".join(f"{100 * one:.2f} at {at:g}" for one, at in zip(mean, run["digits_level"], strict=True))
        note = f"in %, {every}; held-out square loss {loss[0]:.3f} and {loss[-1]:.3f} at {level:g}"
        room = ERRORS * error[best]
        outcome = outcome_of(mean[best] > room)
        found.append(Finding(what, mean[best], "> 0", f"{ERRORS:g} standard errors, {room:.2g}", outcome, note))
    return found


def controls() -> list[Control]:
    """Settings in which the mechanism, or one of its parts, is taken away."""
    without = (("seeds.count", 20), ("study.splits", 0))
    return [
        Control(
            "no mismatch: U = T",
            "at equal train loss the test losses are then equal",
            (*without, ("study.test", "train")),
        ),
        Control(
            "both rates small",
            "2/(sigma_1 + w sigma_n) with w = 10^6 lies below 2/(sigma_1 + sigma_n), so both end along the bottom",
            (*without, ("study.window", 1e6), ("study.windows", [1e6])),
        ),
        Control(
            "train and test minimisers apart by 1",
            "the distance of the minimisers then makes up both test losses",
            (*without, ("study.apart", 1.0)),
        ),
        Control(
            "digits with a stable large rate: 1/sharpness",
            "both rates then leave the error along the same small eigenvectors",
            (("seeds.count", 20), ("study.splits", 6), ("study.digits_rates", [0.1, 1.0])),
        ),
    ]


# ---- the pictures ----


def pictures(run: Run) -> list:
    """The ratio against the condition number with its gain at ordinary levels, and accuracy against the rate."""
    drawn = [_rates_picture(run)]
    return [*drawn, _digits_picture(run)] if int(run["digits_rows"]) else drawn


def _rates_picture(run):
    from ..report.figures import style

    figure, (left, right) = style.figure(2, width=13.0)
    kappa, level = run["condition"], int(np.argmin(run["level"]))
    ratio, kappa_u = run["test_ratio"][..., level], run.config.study["kappa_u"]
    for seed, values in enumerate(ratio.T):
        label = "measured, one a seed" if seed == 0 else None
        left.plot(kappa, values, ".", color=style.COLOURS[0], alpha=0.35, label=label)
    left.plot(kappa, BOUND * kappa_u / kappa, color=style.COLOURS[2], label="theorem 5: 34 kappa_U / kappa_T")
    left.plot(kappa, 1.0 / kappa, "--", color=style.COLOURS[1], label="pure ends, U = I: 1 / kappa_T")
    left.set_xlabel("condition number kappa_T")
    left.set_ylabel("test loss, large rate / small rate")
    left.set_title(f"at train loss {run['level'][level]:g}")
    fraction = int(np.argmin(abs(np.log(run["fraction"] / PRACTICAL_LEVEL))))
    for place, condition in enumerate(run["practical_condition"]):
        gain = np.median(run["practical_gain"][place, :, :, fraction], axis=1)
        look = {"color": style.COLOURS[place + 3], "marker": style.MARKERS[place], "linestyle": style.DASHES[place]}
        right.plot(run["window"], gain, label=f"kappa {condition:g}", **look)
    right.axvline(1.0, color="#7f7f7f", linewidth=1.0)
    right.set_xlabel("w; the rate is 2/(sigma_1 + w sigma_n)")
    right.set_ylabel("test loss, rate 1/sigma_1 / this rate")
    right.set_title(
        f"n = {run.config.study['practical_axes']}, train loss {run['fraction'][fraction]:g} of the start's"
    )
    for axes in (left, right):
        style.logarithmic(axes, "x")
        style.logarithmic(axes, "y")
        axes.legend(frameon=False, fontsize=10.5)
    style.title(figure, "Beyond 2/(sigma_1 + sigma_n) the error that is left lies along the top eigenvector")
    caption = (
        "Left: every seed's ratio of test losses at equal train loss, below the theorem's bound. Right: how many times "
        "smaller the test loss is than at the rate 1/sigma_1, median over seeds; left of w = 1 rates are large."
    )
    return style.Picture("rates", caption, figure)


def _digits_picture(run):
    from ..report.figures import style

    scales, rates = run["scale"], run["rate"]
    rows = -(-scales.size // 2)
    figure, panels = style.panels(rows, 2, width=11.0, height=3.9 * rows + 0.6)
    places = np.arange(rates.size)
    for place, axes in enumerate(panels[: scales.size]):
        for k, level in enumerate(run["digits_level"]):
            values = 100.0 * run["accuracy"][place, :, k]
            middle, error = values.mean(axis=-1), values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
            look = {"color": style.COLOURS[k], "marker": style.MARKERS[k], "linestyle": style.DASHES[k]}
            axes.errorbar(places, middle, error, label=f"train loss {level:g}", capsize=3, **look)
        axes.set_xticks(places, [f"{rate:g}" for rate in rates])
        axes.set_title(f"kernel width {scales[place]:g}")
        axes.set_xlabel("learning rate x sharpness")
        axes.set_ylabel("test accuracy, %")
    for axes in panels[scales.size :]:
        axes.set_axis_off()
    style.legend(figure, panels[0])
    gain = (run["accuracy"][:, -1] - run["accuracy"][:, 0]).mean(axis=-1)
    cells = f"{(gain > 0.0).sum()} of {gain.size} pairs of kernel width and train loss"
    style.title(figure, f"The largest rate classifies the digits better than the smallest at {cells}")
    caption = (
        "Accuracy on held-out digits against the learning rate, at several levels of train loss and four widths of the "
        f"Gaussian kernel; means and standard errors over {run['accuracy'].shape[-1]} splits."
    )
    return style.Picture("digits", caption, figure)
