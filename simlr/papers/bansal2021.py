"""Bansal, Kaplun, Barak (2021), For Self-Supervised Learning, Rationality Implies Generalization, Provably.

arXiv:2010.08508, ICLR. A classifier that fits a few parameters to representations learned without labels has a small
gap between train and test accuracy, since what could make it large is small: how much it loses by a little label noise
(robustness), how much better it does on rows whose label was right than on corrupted ones (memorisation), and how much
it would gain by knowing a row's wrong label (rationality). Their sum bounds the gap, whatever the classifier. A network
trained end to end fits corrupted labels too: its memorisation gap is nearly 1, and the bound says nothing.
`simlr.papers._bansal` has the definitions.

On the digits, three classifiers are trained by SGD (`kernels.papers.layers`) under two schedules: softmax regression on
the first principal components, the same on random ReLU features, and a network of two layers on the pixels, until it
fits its labels. Each seed is a split of the rows, with one training on true labels and K on noisy ones.

Judged are that the published rows satisfy the definitions; that theorem II's bound, from the K trials, holds of every
classifier and seed; that the memorisation gap of the network, which must fit its noisy labels, lies above those of both
simple classifiers by more than a half (the published ones are 95 and .8 to 5.7 per cent, one 17); and that the sums of
the simple ones' gaps, their bounds, lie below a half. By t-tests over the seeds; the differences are some 40 standard
errors away from a half, where 8 seeds need 9 for a power of 0.99. That the sum bounds the gap is an identity and no
finding. What is tested was fixed on roots from 1,000 on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import schedules
from ..claims import evidence
from ..claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED, Control, Finding, Verdict, undecided, verdict
from ..config.study import Study, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..store.file_format import Field
from ..store.run import Run
from . import _networks
from ._bansal import Gaps, corrupt, deviation_bound, gaps
from ._digits import INSTALL, load_digits

SOURCE = "Bansal, Kaplun, Barak (2021), arXiv:2010.08508, theorem II, and the tables of the authors' repository"
CLAIM = (
    "Simple classifiers on representations learned without labels do not memorise label noise, so that robustness, "
    "memorisation and rationality bound their generalisation gap; a network trained end to end memorises it."
)
RECONSTRUCTION = (
    "The gaps, theorem II with K noisy trials and label noise of 5 % are the paper's. Their representations are deep "
    "networks trained on CIFAR-10 and ImageNet; principal components and random features of the digits, softmax "
    "regression by SGD, the network of one hidden layer, sizes and schedules are ours."
)
GRID = """
name = "bansal2021"

[study]
kind = "bansal2021"

[seeds]
count = 8
"""

CLASSES, PIXELS = 10, 64
CLASSIFIERS = ["principal components", "random features", "end to end"]
SIMPLE, END_TO_END = slice(0, 2), 2
SCHEDULES = ["constant", "cosine"]
HALF = 0.5
FITTED = 0.99  # of its noisy labels, which the network must have to count as trained to the end
# Per cent: gap, robustness, memorisation, rationality, sum of the three as printed beside them.
PUBLISHED = (
    ("SimCLR resnet50", 1.974, 0.2158, 0.7845, 0.9737, 1.974),
    ("SimCLR resnet18", 1.434, 0.2830, 0.7913, 0.3597, 1.434),
    ("MoCo v2 resnet18", 1.4253, 0.1503, 1.2433, 0.0318, 1.4253),
    ("AMDIM encoder", 6.682, 2.0763, 5.6887, 0.0, 7.765),
    ("AMDIM resnet50_bn", 14.731, 1.8098, 16.625, 0.0, 18.435),
    ("end to end resnet18", 12.747, 4.992, 95.008, 0.0, 100.0),
    ("end to end wide resnet", 8.843, 4.977, 95.023, 0.0, 100.0),
)
PRINTED = 0.001  # half a digit of four terms


def measure(task: Task) -> dict[str, Any]:
    """Train every classifier with and without noise, and take its gaps."""
    own, data = task.parameters, load_digits()
    _networks.check_batch(own["batch"], own["train_rows"])
    each = (len(CLASSIFIERS), len(SCHEDULES), task.seeds)
    found = {field.name: np.full(each, np.nan) for field in ARRAYS if field.dims == _EACH}
    if data is not None:
        pixels, labels = data[0] / 16.0, data[1]
        inputs = (
            principal_components(pixels, own["components"]),
            random_features(pixels, own["features"], task.root),
            pixels,
        )
        for place, x in enumerate(inputs):
            for name, values in _of_classifier(task, place, x, labels).items():
                found[name][place] = values
            task.progress(place + 1, len(inputs))
    return found | {"classifier": CLASSIFIERS, "schedule": SCHEDULES, "rows": 0 if data is None else len(data[1])}


def principal_components(pixels: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The first components (R, count) of the rows around their mean: no label is looked at."""
    from ..kernels.problems.spectrum import symmetric_eigen

    around = pixels - pixels.mean(axis=0)
    values, axes = np.empty(pixels.shape[1]), np.empty((pixels.shape[1],) * 2)
    symmetric_eigen(np.einsum("ri,rj->ij", around, around, optimize=False), values, axes)
    return np.einsum("ri,ki->rk", around, axes[:count], optimize=False)


def random_features(pixels: NDArray[np.float64], count: int, root: int) -> NDArray[np.float64]:
    """relu(V x) (R, count), V standard normal over the root of the pixels' number: stream (root, 0, FEATURES)."""
    from ..kernels.draws import FEATURES, fill_normal

    normal = np.empty(count * pixels.shape[1])
    fill_normal(normal, root, 0, FEATURES, 0)
    weights = normal.reshape(count, -1) / np.sqrt(pixels.shape[1])
    return np.maximum(np.einsum("ri,ki->rk", pixels, weights, optimize=False), 0.0)


def _of_classifier(task, place, x, labels):
    """Every array of one classifier, (schedules, seeds) each."""
    own, trials = task.parameters, task.parameters["trials"]
    train, test, noisy = _data(task, x, labels)
    sizes = (x.shape[1], own["units"], CLASSES) if place == END_TO_END else (x.shape[1], CLASSES)
    rates = learning_rates(own, own["network_rate" if place == END_TO_END else "rate"])
    weights = _networks.start(sizes, task.root, len(noisy.row), len(SCHEDULES))
    trained = _networks.train(sizes, noisy, rates, weights, root=task.root, batch=own["batch"], threads=task.threads)
    shape = (task.seeds, trials + 1, len(SCHEDULES), -1)
    named = _networks.predictions(trained, noisy, task.threads).reshape(shape)
    tested = _networks.predictions(trained, test, task.threads).reshape(shape)
    given, held_out = noisy.label.reshape(task.seeds, trials + 1, -1), test.label.reshape(task.seeds, trials + 1, -1)
    found = {field.name: np.full((len(SCHEDULES), task.seeds), np.nan) for field in ARRAYS if field.dims == _EACH}
    for seed in range(task.seeds):
        for schedule in range(len(SCHEDULES)):
            one = named[seed, :, schedule], given[seed], train.label[seed], tested[seed, 0, schedule], held_out[seed, 0]
            for name, value in of_trials(*one, own["noise"]).items():
                found[name][schedule, seed] = value
    return found


def _data(task, x, labels):
    """Rows with true labels by seed; by seed and trial, the first without noise, test rows and noisy train rows."""
    from ..kernels.papers.layers import Rows

    own, trials = task.parameters, task.parameters["trials"] + 1
    train, test = _networks.split_rows(x, labels, task.root, task.seeds, own["train_rows"])
    many = [np.repeat(array, trials, axis=0) for array in (train.row, train.label, test.row, test.label)]
    draws = np.arange(task.seeds * trials)
    for draw in draws[draws % trials > 0]:
        many[1][draw] = corrupt(many[1][draw], CLASSES, own["noise"], task.root, draw)
    return train, Rows(test.inputs, many[2], many[3], draws), Rows(train.inputs, many[0], many[1], draws)


def learning_rates(own: dict, rate: float) -> NDArray[np.float64]:
    """The two schedules, (2, steps)."""
    steps = own["epochs"] * (own["train_rows"] // own["batch"])
    return np.stack([schedules.tabulate(kind, steps=steps, learning_rate=rate) for kind in SCHEDULES])


def of_trials(
    named: NDArray[np.int64],
    given: NDArray[np.int64],
    true: NDArray[np.int64],
    tested: NDArray[np.int64],
    held_out: NDArray[np.int64],
    noise: float,
) -> dict[str, float]:
    """Accuracies, gaps and theorem II's bound of one classifier.

    Parameters
    ----------
    named, given : (K + 1, n)
        Predictions on the train rows, and the labels that they were trained on; the first trial is without noise.
    true : (n,)
        The true labels.
    tested, held_out : (t,)
        Predictions of the first trial on the test rows, and their labels.
    noise
        The probability eta of a corrupted label.
    """
    if (named < 0).any() or (tested < 0).any():
        return {}
    corrupted = given[1:] != true
    right = named[1:] == true
    train, test, noisy = float(np.mean(named[0] == true)), float(np.mean(tested == held_out)), float(right.mean())
    wrongly = float(right[corrupted].mean()) if corrupted.any() else np.nan
    parts = gaps(train, test, noisy, wrongly)
    bound = deviation_bound((given[1:] - true) % CLASSES, (named[1:] - true) % CLASSES, CLASSES, noise)
    return {
        "train_accuracy": train,
        "test_accuracy": test,
        "noisy_train_accuracy": noisy,
        "corrupted_accuracy": wrongly,
        "fitted": np.mean(named[1:] == given[1:]),
        **parts._asdict(),
        "theorem_bound": min(1.0, bound),
    }


def _noise(key, value):
    return rules.number(key, value, above=0.0, most=1.0, rule="a probability above 0")


def _components(key, value):
    return rules.count(key, value, most=PIXELS)


_EACH = ("classifier", "schedule", "seed")
ARRAYS = (
    Field("classifier", ("classifier",), "str", "what is trained"),
    Field("schedule", ("schedule",), "str", "learning-rate schedule"),
    Field("rows", (), "<i8", "rows of the digits; 0: they are not there, and nothing was trained"),
    Field("train_accuracy", _EACH, "<f8", "Train: on the train rows, trained without noise"),
    Field("test_accuracy", _EACH, "<f8", "Test: on the other rows, trained without noise"),
    Field("noisy_train_accuracy", _EACH, "<f8", "Train(eta): on the true labels, trained with noise; mean over trials"),
    Field("corrupted_accuracy", _EACH, "<f8", "NTrain(eta): the same over the rows with corrupted labels"),
    Field("fitted", _EACH, "<f8", "share of the noisy labels that are predicted; mean over trials"),
    Field("robustness", _EACH, "<f8", "(Train - Train(eta))+"),
    Field("memorisation", _EACH, "<f8", "(Train(eta) - NTrain(eta))+"),
    Field("rationality", _EACH, "<f8", "(NTrain(eta) - Test)+"),
    Field("theorem_bound", _EACH, "<f8", "theorem II's bound on the memorisation gap, at most 1"),
)
STUDY = Study(
    "bansal2021",
    "simple classifiers and a network on the digits, with and without label noise",
    (
        Parameter("train_rows", rules.count, 320, "rows to train on; the others of the 1,797 test"),
        Parameter("noise", _noise, 0.05, "probability of a corrupted label"),
        Parameter("trials", rules.count, 20, "trainings with noise"),
        Parameter("components", _components, 16, "principal components"),
        Parameter("features", rules.count, 32, "random ReLU features"),
        Parameter("units", rules.count, 128, "of the network"),
        Parameter("batch", _networks.batch_size, 32, "rows of a batch"),
        Parameter("epochs", rules.count, 150, "passes over the rows"),
        Parameter("rate", rules.positive, 0.1, "learning rate of softmax regression"),
        Parameter("network_rate", rules.positive, 0.5, "learning rate of the network"),
    ),
    ARRAYS,
    measure,
)


# ---- the check ----


def check(run: Run) -> Verdict:
    """The published rows, theorem II, and simple classifiers against the network."""
    findings = [_published()]
    if not int(run["rows"]):
        return verdict(CLAIM, [*findings, Finding("classifiers on the digits", INSTALL, "", "", NOT_RUN)])
    memorisation, total = run["memorisation"], sum_of_gaps(run)
    if not np.isfinite(total).all():
        return verdict(
            CLAIM, [*findings, undecided("gaps that are no numbers", "a training diverged, or met no noise")]
        )
    findings.append(_theorem(run))
    fitted = run["fitted"][END_TO_END]
    note = f"at least {fitted.min():.3f} of the noisy labels"
    if fitted.min() < FITTED:
        findings.append(undecided("the network does not fit its labels", note))
        return verdict(CLAIM, findings)
    judged = []
    for place, name in enumerate(CLASSIFIERS[SIMPLE]):
        apart = (memorisation[END_TO_END] - memorisation[place]).min(axis=0)
        judged.append((f"memorisation, end to end above {name}", apart, HALF, ">"))
        judged.append((f"sum of gaps of {name}", total[place].max(axis=0), HALF, "<"))
    shown = [evidence.of_mean(values - bound if side == ">" else bound - values) for _, values, bound, side in judged]
    for (what, values, bound, side), one, outcome in zip(judged, shown, evidence.outcomes(shown), strict=True):
        findings.append(Finding(what, float(values.mean()), f"{side} {bound:g}", "", outcome, str(one)))
    return verdict(CLAIM, findings)


def sum_of_gaps(run: Run) -> NDArray[np.float64]:
    """Robustness + memorisation + rationality, (classifier, schedule, seed)."""
    return np.asarray(Gaps(*(run[name] for name in Gaps._fields)).total)


def _published():
    """The published rows: the sum is that of the three, at least the gap, and equal to it where none is clipped."""
    agree = 0
    for _, gap, *parts, total in PUBLISHED:
        whole = abs(sum(parts) - total) <= PRINTED and gap <= total + PRINTED
        agree += whole and (min(parts) == 0.0 or abs(gap - total) <= PRINTED)
    outcome = HOLDS if agree == len(PUBLISHED) else FAILS
    return Finding("published rows whose gaps fit the definitions", f"{agree} of {len(PUBLISHED)}", "all", "", outcome)


def _theorem(run):
    """Theorem II over the noisy trials of every classifier and seed."""
    holds = run["memorisation"] <= run["theorem_bound"]
    bounds = np.median(run["theorem_bound"], axis=(1, 2))
    note = "medians " + ", ".join(f"{name} {bound:.2f}" for name, bound in zip(CLASSIFIERS, bounds, strict=True))
    outcome = HOLDS if holds.all() else FAILS
    return Finding(
        "theorem II bounds the memorisation gap", f"{int(holds.sum())} of {holds.size}", "all", "", outcome, note
    )


def controls() -> list[Control]:
    """Networks that cannot memorise, simple classifiers that can, and too little to tell."""
    few = (("study.trials", 10), ("seeds.count", 6))
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("a network without hidden capacity", "two units fit no wrong label", UNDECIDED, (("study.units", 2),)),
        ("one seed", "one split tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("1,000 random features", "there are more of them than rows, and they fit any label", FAILS,
         (("study.features", 1000), ("study.rate", 1.0), ("study.trials", 3), ("seeds.count", 3))),
        ("a network that is stopped early", "the right labels are learned first", UNDECIDED, (("study.epochs", 5),)),
        ("two seeds", "a t-test on two cannot be so sure", UNDECIDED, (("seeds.count", 2),)),
        ("a network at a small rate", "it has not come to wrong labels", UNDECIDED, (("study.network_rate", 1e-3),)),
        ("no step of note", "nothing is learned at all", UNDECIDED,
         (("study.network_rate", 1e-9), ("study.rate", 1e-9))),
        ("a rate of 1e9", "the network diverges", UNDECIDED, (("study.network_rate", 1e9),)),
        ("hardly any noise", "no label is corrupted in some of the seeds", UNDECIDED, (("study.noise", 1e-5),)),
        ("noise of a fifth", "it is memorised as well", HOLDS, (("study.noise", 0.2),)),
        ("24 principal components", "they are still far fewer than rows", HOLDS, (("study.components", 24),)),
        ("a wider network", "it memorises as well", HOLDS, (("study.units", 256),)),
        ("500 rows", "more of the same", HOLDS, (("study.train_rows", 500), ("study.network_rate", 1.0))),
    )  # fmt: skip
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """The three gaps of every classifier, one on the other; none where nothing was trained."""
    return [gaps_picture(run)] if int(run["rows"]) else []


def gaps_picture(run: Run) -> Any:
    """Stacked bars of the mean gaps, and the gap between train and test accuracy that they bound."""
    from ..report.figures import style

    figure, panels = style.figure(len(run["schedule"]), width=12.0)
    places, gap = np.arange(len(run["classifier"])), run["train_accuracy"] - run["test_accuracy"]
    for schedule, (axes, name) in enumerate(zip(panels, run["schedule"], strict=True)):
        floor = np.zeros(places.size)
        for k, part in enumerate(("robustness", "memorisation", "rationality")):
            mean = run[part][:, schedule].mean(axis=-1)
            axes.bar(places, mean, 0.6, bottom=floor, color=style.COLOURS[k + 1], label=part)
            floor = floor + mean
        actual = gap[:, schedule].mean(axis=-1)
        axes.plot(places, actual, "D", color=style.COLOURS[0], markersize=9.0, label="train - test accuracy")
        axes.set_xticks(places, [word.replace(" ", "\n", 1) for word in run["classifier"]])
        axes.set_title(f"{name} learning rate")
        axes.set_axisbelow(True)
        axes.set_ylim(0.0, 1.08)
    panels[0].set_ylabel("gap")
    style.legend(figure, panels[0])
    style.title(
        figure, "A network memorises wrong labels; simple classifiers do not, so their gaps bound what they lose"
    )
    caption = "Means over the seeds. The three gaps add up to a bound on train minus test accuracy."
    return style.Picture("gaps", caption, figure)
