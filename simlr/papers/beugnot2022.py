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

The theorem's part is exact but for rounding. In the practical regime the mean log ratio of test losses is tested, and
the share of seeds with a gain against 95 %. On the digits one gain is tested, two-sided, at the train loss 0.1, a tenth
of the first: the mean over the kernel's widths for which the top eigenvector is mainly constant and the large rate
leaves mainly error along it; neither is looked up in the accuracy. Splits overlap: the variance is s^2 (1/40 + n/N), as
two train sets of n of the N rows have n/N of theirs in common, and on top that of the held-out rows, nearly the same in
all splits. (Nadeau and Bengio's n_test / n_train is for test sets that are small; these are nine tenths of the rows.)
The level and the two conditions were fixed on root 0; all roots share the 1,797 digits. The gain is 6 to 7 standard
errors, where 5.7 make a power of 0.99 at `evidence.LEVEL` with t of 39 degrees of freedom.

Gradient descent here is simlr's own, in closed form, on the problem kind `quadratic`, with engine = "closed-form".
"""

from typing import Any

import numpy as np

from ..claims import evidence
from ..claims.verdict import (
    FAILS,
    HOLDS,
    UNDECIDED,
    Control,
    Finding,
    Verdict,
    at_least,
    at_most,
    near,
    outside,
    undecided,
    verdict,
)
from ..config.study import Study, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..kernels.status import REACHED
from ..store.file_format import Field
from ..store.run import Run
from ._beugnot import PRACTICAL_LEVEL, PRACTICAL_WINDOW, digits_found, digits_study, not_practical, stops
from ._power_laws import at_least_one
from ._power_laws import sources as above_zero

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
PURE, ROUNDING = 1e-6, 1e-9
LEAST_CONDITION = 10.0  # of T, from which on the theorem is judged
HARDLY_APART = f"with a condition number below {LEAST_CONDITION:g} the ends of the spectrum are hardly apart"
SMALL_LEVEL = 1e-60  # the theorem is about small train losses: above, what is not so decides nothing


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


def theorem_regime(task: Task) -> dict[str, Any]:
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


def _quotient(above, below):
    """above / below; NaN and infinity where below is 0, as it is where one step takes all of the loss."""
    with np.errstate(all="ignore"):
        return above / below


def _ends(run, spectrum, own, basis, apart):
    """What there is to say of both ends, (seed, level) each."""
    reached = (run["status"] == REACHED).all(axis=0)
    loss, steps = np.where(reached, run["train_loss"], np.nan), run["stop_step"]
    residual = np.where(reached[..., None], run["stop_residual"], np.nan)
    weights = _quotient(0.5 * spectrum * residual**2, loss[..., None])
    off = residual + apart[:, None, :]
    if own["test"] == "train":
        test = plain = 0.5 * (spectrum * off**2).sum(axis=-1)
    else:
        turned = np.einsum("nij,snej->snei", basis, off, optimize=False)
        test = 0.5 * (np.geomspace(1.0, 1.0 / own["kappa_u"], own["axes"]) * turned**2).sum(axis=-1)
        plain = 0.5 * (off**2).sum(axis=-1)
    return {
        "test_ratio": _quotient(test[1], test[0]),
        "plain_ratio": _quotient(plain[1], plain[0]),
        "small_train_loss": loss[0],
        "large_train_loss": loss[1],
        "bottom_share": weights[0, ..., -1],
        "top_share": weights[1, ..., 0],
        "small_steps": steps[0],
        "large_steps": steps[1],
    }


# ---- the practical regime ----


def practical_regime(task: Task) -> dict[str, Any]:
    """How many times the test loss of the rate 1/sigma_1 is that of rates near 2/sigma_1, at ordinary levels."""
    from ..kernels.draws import SAMPLE

    own, n, found = task.parameters, task.parameters["practical_axes"], []
    start = _normals(task.root, task.seeds, SAMPLE, (n,))
    for kappa in own["practical_kappas"]:
        spectrum = np.tile(np.geomspace(1.0, 1.0 / kappa, n), (task.seeds, 1))
        rates = [1.0, *(large_rate(kappa, window) for window in own["windows"])]
        run = stops(spectrum, start, rates, {"train_loss_fraction": list(own["fractions"])}, task.threads)
        weights = spectrum[0] if own["test"] == "train" else np.ones(n)
        test = np.where(run["status"] == REACHED, (weights * run["stop_residual"] ** 2).sum(axis=-1), np.nan)
        with np.errstate(all="ignore"):
            found.append(test[0] / test[1:])
    return {"practical_gain": np.stack(found)}


# ---- the study ----


@rules.VectorRule
def _conditions(key, value):
    """Condition numbers."""
    found = rules.vector()(key, value)
    return found if min(found) >= 1.0 and max(found) <= 1e15 else rules.refuse(key, "numbers from 1 to 1e15", value)


def measure(task: Task) -> dict[str, Any]:
    """The theorem's regime, the practical one, and the digits."""
    steps = 3 + len(task.parameters["scales"])
    found = theorem_regime(task)
    task.progress(1, steps)
    found |= practical_regime(task)
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
        Parameter("kappas", _conditions, (10.0, 100.0, 1e3, 1e4), "condition numbers of T, theorem's regime"),
        Parameter("axes", rules.count, 10, "dimension there"),
        Parameter("levels", above_zero, (1e-10, 1e-30, 1e-60, 1e-126), "train losses alpha there"),
        Parameter("window", rules.positive, 0.1, "w of the large rate 2/(sigma_1 + w sigma_n); small beyond 1"),
        Parameter("test", rules.one_of("other", "train"), "other", "U: another matrix, or T itself"),
        Parameter("kappa_u", at_least_one, 10.0, "condition number of that other matrix"),
        Parameter("apart", rules.not_negative, 0.0, "distance of nu_star from theta_star"),
        Parameter("practical_kappas", _conditions, (100.0, 1e3, 1e4), "condition numbers, practical regime"),
        Parameter("practical_axes", rules.count, 50, "dimension there"),
        Parameter("fractions", above_zero, (0.1, 0.01, 1e-3, 1e-4), "train losses there, in those of the start"),
        Parameter("windows", above_zero, (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0), "w of the rates there"),
        Parameter("scales", above_zero, (0.25, 0.5, 1.0, 2.0), "kernel widths in root median square distances"),
        Parameter("digits_rates", above_zero, (0.1, 1.0, 1.9, 1.99, 1.999, 1.9999), "rates, in 1/sharpness"),
        Parameter("digits_levels", above_zero, (0.3, 0.1, 0.03, 0.01), "train losses of the digits"),
        Parameter("train_rows", rules.count, 200, "rows of the digits to train on; the rest is held out"),
        Parameter("splits", rules.count_or_none, 40, "random splits of the digits; 0 = none are run"),
        Parameter("labels", rules.one_of("own", "shuffled"), "own", "digits: each row's own, or those of another row"),
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
        Field("gain_row_error", ("scale", "digits_level"), "<f8", "standard error of the gain that is due to its rows"),
        Field("digits_shared", ("scale", "split"), "<f8", "how constant the top eigenvector is, (1^T v)^2 / n"),
        Field("digits_rows", (), "<i8", "rows of the digits, 0 where they were not run"),
    ),
    measure,
)  # fmt: skip


# ---- the check ----


def check(run: Run) -> Verdict:
    """The theorem at the lowest level, the gain at ordinary ones, and the gain in accuracy."""
    of_draws = [*practical_found(run), *digits_found(run)]
    judged = [(found, shown) for found, shown in of_draws if shown]
    outcomes = iter(evidence.outcomes([shown for _, shown in judged]))
    findings = [found._replace(outcome=next(outcomes)) if shown else found for found, shown in of_draws]
    return verdict(CLAIM, [*theorem_findings(run), *findings])


def theorem_findings(run: Run) -> list[Finding]:
    """The bound, the pure ends and their directions, over all condition numbers and seeds at the lowest level."""
    own, level = run.config.study, int(np.argmin(run["level"]))
    if own["axes"] == 1:
        return [undecided("ends along the top and the bottom eigenvector", "study.axes is 1: they are the same")]
    at = {name: run[name][..., level] for name in run.names if run.dims(name) == _ENDS}
    kappa = run["condition"][:, None]
    kappa_u = kappa if own["test"] == "train" else own["kappa_u"]
    alpha = run["level"][level]
    unknown = ~((at["small_train_loss"] > 0.0) & (at["large_train_loss"] > 0.0))
    counted = (at["small_train_loss"] >= HALF * alpha) & (at["large_train_loss"] >= HALF * alpha)
    if unknown.any():
        return [
            undecided(f"both stops at F = {alpha:g}", f"{unknown.sum()} of {unknown.size} are out of steps, or at 0")
        ]
    where = f"at F = {alpha:g}"
    scaled = np.where(counted, at["test_ratio"] * kappa / kappa_u, -np.inf)  # of none, the largest is not finite
    pure = at["plain_ratio"] * kappa * at["small_train_loss"] / at["large_train_loss"]
    off = {side: abs(1.0 - run[f"{side}_share"]) for side in ("top", "bottom")}
    impure = kappa * off["top"][..., level] + off["bottom"][..., level]
    with np.errstate(all="ignore"):
        worst = pure.flat[np.argmax(abs(np.log(pure)))]
    most_steps = int(max(run["small_steps"].max(), run["large_steps"].max()))
    note = f"{counted.sum()} of {counted.size} runs have F >= alpha/2 at both stops; up to {most_steps:,} steps"
    room = min(2.0 * np.max(impure) + ROUNDING, PURE)
    findings = [
        at_most(f"R_l/R_s in units of kappa_U/kappa_T {where}, largest", scaled.max(), BOUND, note),
        near(f"R_l/R_s in units of (F_l/F_s)/kappa_T {where}, U = I", worst, 1.0, room),
        at_least(f"share of F along the top eigenvector {where}, large rate", at["top_share"].min(), 1.0 - PURE),
        at_least(f"share of F along the bottom eigenvector {where}, small rate", at["bottom_share"].min(), 1.0 - PURE),
    ]
    why = ""
    if alpha > SMALL_LEVEL or any(_still_falling(run["level"], values) for values in off.values()):
        why = "the train loss is not small enough for the theorem: the error is still turning to its direction"
    if run["condition"].min() < LEAST_CONDITION:
        why = HARDLY_APART
    if own["window"] == 1.0:
        why = "study.window is 1: that rate, 2/(sigma_1 + sigma_n), is neither large nor small"
    return [outside(one, why) for one in findings]


def _still_falling(levels, impure):
    """Whether the ends were much less pure at the level above the lowest, and are not yet pure at it."""
    order = np.argsort(levels)
    worst = impure[..., order].max(axis=(0, 1))
    return worst.size > 1 and worst[0] > PURE and worst[0] < 0.5 * worst[1]


def practical_found(run: Run) -> list[tuple[Finding, evidence.Evidence | None]]:
    """[(finding, evidence), ...] on whether the large rate is better in most seeds at an ordinary level."""
    if run.config.study["practical_axes"] == 1:
        return [(undecided("R_s/R_l at ordinary train losses", "study.practical_axes is 1: they differ nowhere"), None)]
    window = int(np.argmin(abs(np.log(run["window"] / PRACTICAL_WINDOW))))
    level = int(np.argmin(abs(np.log(run["fraction"] / PRACTICAL_LEVEL))))
    why = not_practical(run["window"][window], run["fraction"][level])
    if why:
        return [(undecided("R_s/R_l at ordinary train losses", why), None)]
    found: list[tuple[Finding, evidence.Evidence | None]] = []
    for place, kappa in enumerate(run["practical_condition"]):
        gain = run["practical_gain"][place, window, :, level]
        count, known = int((gain > 1.0).sum()), bool(np.isfinite(gain).all())
        if kappa < LEAST_CONDITION:
            found.append((undecided(f"R_s/R_l at ordinary train losses, kappa {kappa:g}", HARDLY_APART), None))
            continue
        what = f"n = {run.config.study['practical_axes']}, kappa {kappa:g}: R_s/R_l at F = "
        what += f"{run['fraction'][level]:g} F_0, median"
        with np.errstate(all="ignore"):
            mean = evidence.of_mean(np.log(gain))
        share = evidence.of_share(count, gain.size, SHARE)
        # It is refuted by either; shown by the mean, where the share is not refuted.
        both = evidence.Evidence(
            max(mean.below, float(share.above <= evidence.LEVEL)), min(mean.above, share.above)
        ) if known and gain.size > 1 else evidence.UNKNOWN  # fmt: skip
        missing = int((~np.isfinite(gain)).sum())
        note = f"above 1 in {count} of {gain.size} seeds; "
        note += f"{missing} are out of steps, or at 0" if missing else str(mean)
        tolerance = f"mean log > 0; > 1 in {100 * SHARE:.0f} % of the seeds"
        found.append((Finding(what, float(np.median(gain)), "> 1", tolerance, note=note), both))
    return found


def controls() -> list[Control]:
    """Settings in which the mechanism, or one of its parts, is taken away, or nothing can be told."""
    without = (("seeds.count", 20), ("study.splits", 0), ("study.practical_kappas", [100.0]))
    alone = (("seeds.count", 20), ("study.kappas", [10.0]), ("study.practical_kappas", [100.0]))
    digits = (*alone, ("study.scales", [0.5]))
    rates = "study.digits_rates"
    equal, both = "at equal train loss the test losses are then equal", "both rates end along the bottom eigenvector"
    same = "both rates then leave the error along the same small eigenvectors"
    steps, high = "the large rate runs out of its 10^9 steps", "the error has not yet turned to its direction"
    narrow = "the kernel is nearly diagonal, and its top eigenvector is not one that all classes share"
    table = (
        ("no mismatch: U = T", equal, FAILS, without, (("study.test", "train"),)),
        ("both rates small", both, FAILS, without, (("study.window", 1e6), ("study.windows", [1e6]))),
        ("digits with a stable large rate: 1/sharpness", same, FAILS,
         (*digits, ("study.splits", 6)), ((rates, [0.1, 1.0]),)),
        ("one seed", "a share of one", UNDECIDED, without, (("seeds.count", 1),)),
        ("train and test minimisers apart by 1", "their distance then makes up both test losses", FAILS,
         without, (("study.apart", 1.0),)),
        ("digits with the rates swapped", "the large one is the small one", FAILS, digits, ((rates, [1.9999, 0.1]),)),
        ("digits with shuffled labels", "there is nothing to predict", UNDECIDED,
         digits, (("study.labels", "shuffled"),)),
        ("one split of the digits", "one split has no standard error", UNDECIDED, digits, (("study.splits", 1),)),
        ("a kernel of a quarter of the width", narrow, UNDECIDED, digits, (("study.scales", [0.25]),)),
        ("condition number 3e7", steps, UNDECIDED, without, (("study.kappas", [3e7]),)),
        ("condition numbers 10 and 1e8", steps, UNDECIDED, without, (("study.kappas", [10.0, 1e8]),)),
        ("no eccentricity", "all axes shrink alike", UNDECIDED, without, (("study.kappas", [1.0]),)),
        ("train losses that are not small", high, UNDECIDED, without, (("study.levels", [1e-2, 1e-4]),)),
        ("one axis", "it is the top and the bottom one", UNDECIDED, without, (("study.axes", 1),)),
        ("condition number 1,000", "the theorem is about any", HOLDS, without, (("study.kappas", [1e3]),)),
    )  # fmt: skip
    return [
        Control(name, why, (*base, *changes), expected=expected, always=place < 4)
        for place, (name, why, expected, base, changes) in enumerate(table)
    ]


# ---- the pictures ----


def pictures(run: Run) -> list:
    """The ratio against the condition number with its gain at ordinary levels, and accuracy against the rate."""
    from ._beugnot_pictures import digits_picture, rates_picture

    drawn = [rates_picture(run, BOUND, PRACTICAL_LEVEL)]
    return [*drawn, digits_picture(run)] if int(run["digits_rows"]) else drawn
