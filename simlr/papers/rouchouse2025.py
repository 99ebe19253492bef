"""Rouchouse, Gonon, Gribonval, Guedj (2025), PAC-Bayes bounds that know the rescaling of ReLU networks.

arXiv:2509.26149. The weights that enter a hidden neuron times lam > 0, and those that leave it over lam, are another
network and the same function. PAC-Bayes bounds compare weights, so they differ; the least divergence over all
rescalings gives the tightest bound, for the same errors. `simlr.papers._pac_bayes` has the formulas.

Networks are trained on the digits by SGD (`kernels.papers.layers`) under four schedules, at some widths, with one
hidden layer or more. The posterior is N(W, sQ^2), the prior N(0, sP^2), both sides of the comparison with the best of
a few sQ and of 20 sP, which the union bound pays for; the posterior's error on the train rows is bounded from draws of
it. A bound is called vacuous where it is no better than guessing one of the classes.

That a rescaled bound lies below the plain one, that it is the least (the slope of KL in every log lam is 0, and KL is
convex), and that pushing the posterior through any rescaling changes it by nothing and the plain one by something, must
be so of every network. Which vacuous bounds become others depends on the widths that are looked at: those between the
width at which the plain bound becomes vacuous and that at which the rescaled one does. So these two are compared, by
linear interpolation in log width: that the second is larger, by a fiftieth or more, is judged by a t-test over the
seeds, each with the mean of log ratios over its schedules. That is some 10 standard errors above with 16 seeds, where
6.5 make a power of 0.99. What is tested was fixed on roots from 1,000 on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import schedules
from ..claims import evidence
from ..claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED, Control, Finding, Verdict, near, undecided, verdict
from ..config.study import Study, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..schedules.rules import ascending, positive_list
from ..store.file_format import Field
from ..store.run import Run
from . import _networks, _pac_bayes
from ._digits import INSTALL, load_digits, shuffled
from ._rouchouse import BEST, FAILURE, balanced, bounds_of, one_neuron

SOURCE = "Rouchouse, Gonon, Gribonval, Guedj (2025), arXiv:2509.26149, the rescaled divergence and its figure of MLPs"
CLAIM = (
    "A PAC-Bayes bound with the least divergence over all rescalings of a ReLU network's neurons does not depend on "
    "how they are scaled, lies below the plain one, and is informative where that one is vacuous already."
)
RECONSTRUCTION = (
    "The posterior pushed through a rescaling, the Gaussian prior around 0 and the descent layer by layer are the "
    "paper's; so is the one-neuron network. Its figure shows networks on MNIST without numbers, sizes or the bound's "
    "form. Maurer's bound, the digits, widths, schedules, grids of deviations and what is called vacuous are ours."
)
GRID = """
name = "rouchouse2025"

[study]
kind = "rouchouse2025"

[seeds]
count = 16
"""

CLASSES, PIXELS = 10, 64
GUESSING = 1.0 - 1.0 / CLASSES
SCHEDULES = ["small", "large", "annealed", "cosine"]
ROUNDING = 1e-9
MEASURED = ("plain_bound", "rescaled_bound", "slope", "moved_plain", "moved_rescaled")
MOST_HIDDEN = 0.1  # of the bounds, which may be 1: of networks that learnt nothing
LEAST_GAIN = 0.02  # log of the ratio of widths: with less, nothing is gained
LEAST_CHANGE = 1e-6  # relative, of the plain divergence by a random rescaling; only by a rare chance is it less
# w1 = 4, w2 = 1/4 without biases, sQ = 0.1, sP = 1: KL as it is, and the least, sqrt(AB) - 1 - 2 log sQ.
ONE_NEURON = 11.646420185988, 4.682539667642366


def measure(task: Task) -> dict[str, Any]:
    """Train the networks of every shape, and bound their errors with and without rescaling."""
    own, data = task.parameters, load_digits()
    shapes = [(int(layers), int(width)) for layers in own["layers"] for width in own["widths"]]
    each = (len(own["layers"]), len(own["widths"]), len(SCHEDULES), task.seeds)
    found = {field.name: np.full(each, np.nan) for field in ARRAYS if field.dims == _EACH}
    if data is not None:
        # The stream after those of the splits.
        labels = data[1] if own["labels"] == "true" else shuffled(data[1], task.root, task.seeds)
        rows = _networks.split_rows(data[0] / 16.0, labels, task.root, task.seeds, own["train_rows"])
        for done, shape in enumerate(shapes):
            place = np.unravel_index(done, each[:2])
            for name, values in _of_shape(task, shape, rows, 100 * done, 100 * len(shapes)).items():
                found[name][place] = values.reshape(task.seeds, len(SCHEDULES)).T
    return found | {
        "layers": [int(layers) for layers in own["layers"]],
        "width": [int(width) for width in own["widths"]],
        "schedule": SCHEDULES,
        "one_neuron": one_neuron(own["push"]),
        "rows": 0 if data is None else len(data[1]),
    }


def learning_rates(own: dict) -> NDArray[np.float64]:
    """The four schedules, (4, steps): a small rate, a large one, the large one and then the small one, a cosine."""
    steps, small, large = own["steps"], own["small_rate"], own["large_rate"]
    half = steps // 2
    phases = [
        {"kind": "constant", "learning_rate": rate, "steps": length}
        for rate, length in ((large, half), (small, steps - half))
        if length
    ]
    return np.stack(
        [
            schedules.tabulate("constant", steps=steps, learning_rate=small),
            schedules.tabulate("constant", steps=steps, learning_rate=large),
            schedules.tabulate("phases", steps=steps, phases=phases),
            schedules.tabulate("cosine", steps=steps, learning_rate=large),
        ]
    )


def _of_shape(task, shape, rows, done, total):
    """Every array of the networks of one shape (hidden layers, units), (C,) each."""
    own, (layers, width) = task.parameters, shape
    rates, sizes = learning_rates(own), (PIXELS, *[width] * layers, CLASSES)
    trained = _networks.train(
        sizes,
        rows[0],
        rates,
        _networks.start(sizes, task.root, task.seeds, len(rates), own["start"]),
        root=task.root,
        batch=own["batch"],
        threads=task.threads,
        tell=lambda share: task.progress(done + round(50 * share), total),
    )
    found = _bounds(task, trained, rows)
    task.progress(done + 100, total)
    return found


def _bounds(task, trained, rows):
    """Every array of networks of one shape, (C,) each."""
    own, train_rows = task.parameters, rows[0].row.shape[1]
    networks = len(trained.weights[0])
    found = {field.name: np.full(networks, np.nan) for field in ARRAYS if field.dims == _EACH}
    for name, part in zip(("train_error", "test_error"), rows, strict=True):
        named = _networks.predictions(trained, part, task.threads)
        found[name][:] = (named != np.repeat(part.label, len(SCHEDULES), axis=0)).mean(axis=1)
    errors = [_networks.wrong(trained, rows[0], s, own["draws"], task.threads).sum(axis=1) for s in own["deviations"]]
    share = 0.2 * FAILURE / len(own["deviations"])
    for network in range(networks):
        matrices = trained.matrices(network)
        if not all(np.isfinite(matrix).all() for matrix in matrices):
            continue
        if own["balanced"]:
            matrices = balanced(matrices)
        sampled = [_pac_bayes.sampled_error(int(wrong[network]), train_rows, own["draws"], share) for wrong in errors]
        for name, value in bounds_of(own, matrices, sampled, train_rows, network).items():
            found[name][network] = value
    return found


_EACH = ("layers", "width", "schedule", "seed")
ARRAYS = (
    Field("layers", ("layers",), "<i8", "hidden layers"),
    Field("width", ("width",), "<i8", "units of each hidden layer"),
    Field("schedule", ("schedule",), "str", "learning-rate schedule"),
    Field("one_neuron", ("side",), "<f8", "KL of the one-neuron network: plain, rescaled"),
    Field("rows", (), "<i8", "rows of the digits; 0: they are not there, and nothing was trained"),
    Field("train_error", _EACH, "<f8", "share of train rows that the trained network gets wrong"),
    Field("test_error", _EACH, "<f8", "the same of the other rows"),
    *(
        Field(f"{side}_{name}", _EACH, "<f8", meaning)
        for side, own in (("plain", "as it is"), ("rescaled", "with the best rescaling"))
        for name, meaning in zip(
            BEST,
            (
                f"bound on the test error, {own}, at the best deviations",
                f"KL of posterior and prior there, {own}",
                "sQ there",
                "sP there",
                "upper bound on the posterior's error on the train rows there",
            ),
            strict=True,
        )
    ),
    Field("slope", _EACH, "<f8", "largest |dKL / dlog lam| at the best rescaling, over the plain KL"),
    Field("moved_plain", _EACH, "<f8", "relative change of the plain KL by a random rescaling of the posterior"),
    Field("moved_rescaled", _EACH, "<f8", "the same of the least KL"),
    Field("shifted_divergence", _EACH, "<f8", "KL of N(rescaled means, sQ^2), which is another posterior"),
)
STUDY = Study(
    "rouchouse2025",
    "ReLU networks on the digits under four schedules, and PAC-Bayes bounds with and without rescaling",
    (
        Parameter("widths", ascending, (16, 24, 32, 44), "units of each hidden layer"),
        Parameter("layers", ascending, (1,), "hidden layers"),
        Parameter("train_rows", rules.count, 1500, "rows to train on; the others of the 1,797 test"),
        Parameter("batch", _networks.batch_size, 32, "rows of a batch"),
        Parameter("steps", rules.count, 2000, "of SGD"),
        Parameter("small_rate", rules.positive, 0.02, "the small learning rate"),
        Parameter("large_rate", rules.positive, 0.5, "the large one"),
        Parameter("start", rules.positive, 1.0, "scale of the weights at the start, times He's"),
        Parameter("deviations", positive_list, (0.2, 0.3), "sQ to choose from"),
        Parameter("draws", rules.count, 100, "of each posterior"),
        Parameter("labels", rules.one_of("true", "shuffled"), "true", "of all rows"),
        Parameter("balanced", rules.flag, False, "whether networks are rescaled before anything is measured"),
        Parameter("push", rules.one_of("both", "means", "nothing"), "both", "what of the posterior is rescaled"),
    ),
    ARRAYS,
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """The one-neuron network, and of every network the fall, the least divergence, and what rescaling changes."""
    names = "KL of the one-neuron network", "the least KL of the one-neuron network"
    findings = [
        near(name, float(found), wanted, ROUNDING, relative=True)
        for name, found, wanted in zip(names, run["one_neuron"], ONE_NEURON, strict=True)
    ]
    if not int(run["rows"]):
        return verdict(CLAIM, [*findings, Finding("networks on the digits", INSTALL, "", "", NOT_RUN)])
    plain, rescaled = run["plain_bound"], run["rescaled_bound"]
    known = np.isfinite([run[name] for name in MEASURED]).all(axis=0)
    if not known.all():
        what = f"{int((~known).sum())} of {known.size} networks diverged, or their divergence is no number"
        findings.append(undecided(what, "their bounds are unknown"))
        return verdict(CLAIM, findings)
    findings += [
        _fall(plain, rescaled),
        _every("least KL: its slope is 0", run["slope"] <= 1e-6, f"at most {run['slope'].max():.1g} of KL"),
        _every(
            "least KL unchanged by a random rescaling",
            abs(run["moved_rescaled"]) <= ROUNDING,
            f"at most {abs(run['moved_rescaled']).max():.1g} of it",
        ),
        _every(
            "plain KL changed by it",
            abs(run["moved_plain"]) >= LEAST_CHANGE,
            f"median {np.median(abs(run['moved_plain'])):.2g} of it",
        ),
        _wider(run),
    ]
    return verdict(CLAIM, findings)


def _fall(plain, rescaled):
    """That every bound falls, but those of 1 up to rounding, of which nothing can be seen; there may be few of them."""
    seen = plain < 1.0 - ROUNDING
    finding = _every("rescaled bound below the plain one", ~seen | (rescaled < plain), "")
    note = f"median fall {np.median(plain - rescaled):.2g}; the best schedule is {best_schedule(rescaled)}"
    if not seen.all():
        note += f"; {int((~seen).sum())} bounds are 1, which hides what rescaling does"
    if finding.outcome == HOLDS and (~seen).mean() > MOST_HIDDEN:
        finding = finding._replace(outcome=UNDECIDED)
    return finding._replace(note=note)


def _every(what, holds, note):
    """A finding that must be so of every network."""
    outcome = HOLDS if holds.all() else FAILS
    return Finding(what, f"{int(holds.sum())} of {holds.size}", "all", "", outcome, note)


def vacuous_from(widths: NDArray[np.int64], bounds: NDArray[np.float64]) -> float:
    """The width at which bounds (W,) rise to `GUESSING` for the first time, log-linear; NaN where they never do so."""
    vacuous = bounds >= GUESSING
    rises = np.flatnonzero(~vacuous[:-1] & vacuous[1:])
    if not rises.size:
        return np.nan
    k = int(rises[0])
    share = (GUESSING - bounds[k]) / (bounds[k + 1] - bounds[k])
    return float(np.exp((1.0 - share) * np.log(widths[k]) + share * np.log(widths[k + 1])))


def wider(run: Run) -> NDArray[np.float64]:
    """Mean log ratio, over schedules and layers, of the widths at which bounds become vacuous, rescaled over plain.

    (seeds,), of a seed without a schedule whose two widths lie among those of the run NaN.
    """
    both = [
        np.apply_along_axis(lambda bounds: vacuous_from(run["width"], bounds), 1, run[name])
        for name in ("plain_bound", "rescaled_bound")
    ]
    ratios = np.log(both[1] / both[0])
    known = np.isfinite(ratios)
    counts = known.sum(axis=(0, 1))
    return np.where(known, ratios, 0.0).sum(axis=(0, 1)) / np.where(counts, counts, np.nan)


def _wider(run):
    """That rescaled bounds become vacuous at larger widths; undecided where that is not among those of the run."""
    ratios = wider(run)
    known = ratios[np.isfinite(ratios)]
    shown = evidence.of_mean(known if known.size > len(ratios) // 2 else [], LEAST_GAIN)
    vacuous = run["plain_bound"] >= GUESSING
    became = vacuous & (run["rescaled_bound"] < GUESSING)
    note = (
        f"{shown}; {known.size} of {ratios.size} seeds, {int(became.sum())} of {int(vacuous.sum())} vacuous bounds turn"
    )
    measured = float(np.exp(known.mean())) if known.size else np.nan
    what = "width from which a bound is vacuous, rescaled over plain"
    return Finding(what, measured, f"> {np.exp(LEAST_GAIN):.2f}", "", evidence.outcomes([shown])[0], note)


def best_schedule(rescaled: NDArray[np.float64]) -> str:
    """The schedule with the lowest median of the rescaled bounds, with what it and the highest have."""
    medians = np.median(rescaled, axis=(0, 1, 3))
    best, worst = int(medians.argmin()), int(medians.argmax())
    return f"{SCHEDULES[best]} ({medians[best]:.3f}; {SCHEDULES[worst]} {medians[worst]:.3f})"


def controls() -> list[Control]:
    """No rescaling, half of one, nothing to gain by it, and too little to tell."""
    few = (("study.widths", [16, 24, 32, 44]), ("study.steps", 1000))
    another, none = "another posterior, whose divergence is not bounded so", "all bounds are then vacuous"
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("nothing is rescaled", "the two bounds are then one", FAILS, (("study.push", "nothing"),)),
        ("the means alone are rescaled", another, FAILS, (("study.push", "means"),)),
        ("one seed", "one seed tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("two seeds", "a t-test on two cannot be so sure", UNDECIDED, (("seeds.count", 2),)),
        ("networks rescaled beforehand", "nearly nothing is left to gain", FAILS, (("study.balanced", True),)),
        ("shuffled labels", none, UNDECIDED, (("study.labels", "shuffled"),)),
        ("wide networks alone", none, UNDECIDED, (("study.widths", [80, 96]),)),
        ("narrow networks at large rates", "no bound is then vacuous", UNDECIDED,
         (("study.widths", [16]), ("study.small_rate", 0.3))),
        ("100 rows", none, UNDECIDED, (("study.train_rows", 100),)),
        ("five draws of the posterior", none, UNDECIDED, (("study.draws", 5),)),
        ("a rate of 10,000", "what learns nothing has bounds of 1", UNDECIDED, (("study.large_rate", 1e4),)),
        ("other widths", "none was chosen for the claim", HOLDS, (("study.widths", [18, 27, 36, 45]),)),
        ("two hidden layers", "the same of deeper networks", HOLDS,
         (("study.layers", [2]), ("study.widths", [14, 18, 22]))),
        ("larger weights at the start", "the same of other networks", HOLDS,
         (("study.start", 2.0), ("study.widths", [12, 18, 24, 32]))),
    )  # fmt: skip
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """Plain and rescaled bounds by width and schedule; none where no network was trained."""
    return [bounds_picture(run)] if int(run["rows"]) else []


def bounds_picture(run: Run) -> Any:
    """For every schedule, an arrow from the plain to the rescaled bound, over the widths."""
    from ..report.figures import style

    figure, panels = style.figure(len(run["layers"]), width=9.0 if len(run["layers"]) == 1 else 12.0)
    places = np.arange(len(run["width"]))
    for axes, layers, plain, rescaled in zip(panels, run["layers"], *_medians(run), strict=True):
        for k, schedule in enumerate(run["schedule"]):
            x = places + 0.16 * (k - 0.5 * (len(run["schedule"]) - 1))
            look = {"color": style.COLOURS[k], "linestyle": "", "markersize": 8.0}
            axes.vlines(x, rescaled[:, k], plain[:, k], color=style.COLOURS[k], linewidth=2.0)
            axes.plot(x, plain[:, k], "o", markerfacecolor="none", **look)
            axes.plot(x, rescaled[:, k], "o", label=f"{schedule} rate" if k < 2 else str(schedule), **look)
        axes.axhline(GUESSING, color="#000000", linestyle=":", linewidth=1.4)
        axes.annotate("guessing", (places[0] - 0.4, GUESSING), textcoords="offset points", xytext=(0, 4))
        axes.set_xticks(places, [str(width) for width in run["width"]])
        axes.set_xlabel("units" if layers == 1 else f"units of each of {layers} layers")
    panels[0].set_ylabel("bound on the test error")
    style.legend(figure, panels[0])
    style.title(figure, "Rescaled, the same networks have the lower bound")
    caption = "Median over the seeds: the plain bound (open), and with the best rescaling (filled)."
    return style.Picture("bounds", caption, figure)


def _medians(run):
    """Medians over the seeds of both bounds, (layers, width, schedule) each."""
    return (np.median(run[f"{side}_bound"], axis=-1) for side in ("plain", "rescaled"))
