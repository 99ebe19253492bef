"""Medvedev, Lyu, Yu, Arora, Li, Srebro (2025), Weak-to-Strong Generalization Even in Random Feature Networks, Provably.

arXiv:2503.02877. A weak teacher, few random features, is fitted to the target f* on the whole population; a strong
student, infinitely many features of the same kind, is trained by gradient flow on the teacher's labels alone and
stopped early. With ||f*|| = 1 and the teacher f of loss L_TE, <f, f*> = ||f||^2 = 1 - L_TE. The student's kernel has
eigenvalue lam_l on the part of degree l, of energy E_l in f, and learns it by the factor a_l = 1 - exp(-lam_l t), so at
time t

    L_ST = (1 - a_1 (1 - L_TE))^2 + a_1^2 (E_1 - (1 - L_TE)^2) + sum_{l != 1} a_l^2 E_l.

At t = infinity it is L_TE. No a_1 <= 1 brings it below L_TE^2, the limit of the gain. ReLU: x and the units uniform on
the sphere, f*(x) = sqrt(d) x_1, exact by `simlr.papers._sphere`. Linear: x ~ N(0, I), M = d^{2/3} units N(0, Psi) with
Psi = (1, s, .., s), s = d^{-2/3}, f*(x) = x_1; there lam_1 = 1, all others are s and share the energy
(1 - L_TE) L_TE, and L_TE = s / (s + q) with q = g^T (Z Z^T)^{-1} g, g (M,) and Z (M, d - 1) standard normal, which has
the law of a quotient of chi-squares of M and d - M degrees of freedom: not even the units need be drawn.

An exponent is a slope through all teachers of a model, judged by a t-test on its standard error at `evidence.LEVEL`;
that the linear one is near 2, by two. Its nearest bound, 2.1, is some 8 of its standard errors away with 8 seeds, where
5.6 make a power of 0.99. That takes some 10 s of processor time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from ..schedules.rules import ascending
from ..store.file_format import Field
from ..store.run import Run
from . import _sphere

SOURCE = "Medvedev et al. (2025), arXiv:2503.02877, abstract and main theorems"
CLAIM = (
    "Stopped early, a strong student of a weak random-feature teacher has a loss that falls as a power of the "
    "teacher's, by an exponent of at least 1.49 for ReLU and of 2 for linear features; run to convergence it gains "
    "nothing."
)
RECONSTRUCTION = (
    "The models, the exponents 1.49 (a proven bound) and 2, d = 32 and d = 200 are the paper's. The linear target, the "
    "spiked covariance d^(-2/3) with d^(2/3) units, the student of infinite width that stops at its best time, the "
    "widths of the teachers, the powers fitted where L_TE <= 1/2 and the larger d of the linear model are ours. All "
    "losses are exact integrals over the population; only the teacher's units are drawn."
)
GRID = """
name = "medvedev2025"

[study]
kind = "medvedev2025"

[seeds]
count = 8
"""

DEGREES = 24  # harmonics of the teacher that are followed; those above are learned last, and only lead away from f*
LARGEST_FITTED = 0.5
FEWEST_SEEDS = 3
# The linear model's power is one of large d: between d = 8 and 32 it is 1.1 to 1.3, which says nothing of it.
LEAST_LINEAR_DIMENSION = 200
LEAST_RANGE = 2.0  # largest over smallest teacher loss: below it no power is seen
RELU_EXPONENT, LINEAR_EXPONENT = 1.49, 2.0
# d = 200 .. 819,200: corrections to the power, of order log(d)^2 d^(-1/3), leave this much.
LINEAR_ROOM = 0.1
ROUNDING = 1e-9
UNFOLLOWED = 0.05  # of a teacher's loss may lie above the degrees that are followed
LIMIT = "the limit of any gain: a student shrinks what its teacher has of f*, 1 - L_TE at most"
COURSE = 160
ZOOMS, POINTS = 6, 65


class Student:
    """The strong student of some teachers: N losses as functions of the time in units of 1/lam_1.

    rates (J,): lam_j / lam_1 of every part, the target's first; teacher_loss (N,): L_TE, which would lose digits as 1
    less what is captured; energies (N, J): of f in each part. `converged`: the losses (N,) once all parts are learned;
    `unfollowed`: the energies (N,) in no part.
    """

    def __init__(self, rates: NDArray[np.float64], teacher_loss: NDArray[np.float64], energies: NDArray[np.float64]):
        captured = 1.0 - teacher_loss
        self._rates, self._energies, self.teacher_loss = np.asarray(rates), energies, teacher_loss
        self._across = energies[:, 0] - captured**2  # of the part in the target's degree that is not along it
        self.converged = teacher_loss**2 + self._across + energies[:, 1:].sum(axis=1)
        self.unfollowed = np.maximum(captured - energies.sum(axis=1), 0.0)

    def losses(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """L_ST at times (N, K), or (K,) for all teachers: (N, K)."""
        exponents = -np.asarray(times)[..., None] * self._rates
        learned = -np.expm1(exponents)
        own = learned[..., 0]
        missing = np.exp(exponents[..., 0]) + own * self.teacher_loss[:, None]
        target = missing**2 + own**2 * self._across[:, None]
        return target + (learned[..., 1:] ** 2 * self._energies[:, None, 1:]).sum(axis=-1)

    def best(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(time, loss) of each teacher's student at the best time to stop, (N,) each: zooming in on a grid of times."""
        low, high = np.full((self.teacher_loss.size, 1), 1e-3), np.full((self.teacher_loss.size, 1), 1e3)
        rows = np.arange(low.size)
        for _ in range(ZOOMS):
            times = low * (high / low) ** np.linspace(0.0, 1.0, POINTS)
            found = self.losses(times)
            place = found.argmin(axis=1)
            low = times[rows, np.maximum(place - 1, 0)][:, None]
            high = times[rows, np.minimum(place + 1, POINTS - 1)][:, None]
        return times[rows, place], found[rows, place]


def relu_student(d: int, teachers: _sphere.Teachers) -> Student:
    """The `Student` of `simlr.papers._sphere.Teachers`."""
    parts = [1, *(degree for degree in range(DEGREES + 1) if degree != 1)]
    rates = np.array([_sphere.relu_eigenvalue(d, degree) ** 2 for degree in parts])
    return Student(rates / rates[0], 1.0 - teachers.captured, teachers.energies[:, parts])


def linear_student(scale: float, teacher_loss: NDArray[np.float64]) -> Student:
    """The `Student` of linear teachers of such losses, (N,), all directions but the target's having variance scale."""
    captured = 1.0 - teacher_loss
    return Student(np.array([1.0, scale]), teacher_loss, np.stack([captured**2, captured * teacher_loss], axis=1))


def linear_teacher_losses(root: int, seeds: int, d: int, width: int, scale: float) -> NDArray[np.float64]:
    """L_TE of linear teachers, (seeds,): draws of its law; of seed k by the stream (root, k, FEATURES, d) of NumPy."""
    from ..kernels.draws import FEATURES

    found = np.empty(seeds)
    for seed in range(seeds):
        key, counter = np.array([root, seed], np.uint64), np.array([0, d, FEATURES, 0], np.uint64)
        draws = np.random.Generator(np.random.Philox(key=key, counter=counter))
        quotient = draws.chisquare(width) / draws.chisquare(d - width)
        found[seed] = scale / (scale + quotient)
    return found


def measure(task: Task) -> dict[str, Any]:
    """Teachers of every width in every dimension, and their students."""
    asked = task.parameters
    dimensions, widths, larger = ([int(n) for n in asked[key]] for key in ("dimensions", "widths", "linear_dimensions"))
    shape, times = (len(dimensions), len(widths), task.seeds), np.geomspace(1e-2, 1e9, COURSE)
    names = ("teacher_loss", "student_loss", "stop_time", "converged_loss", "unfollowed")
    found = {name: np.empty(shape) for name in names}
    course = np.empty((*shape[:2], COURSE))
    for i, d in enumerate(dimensions):
        for j, width in enumerate(widths):
            teachers = _sphere.teachers(task.root, task.seeds, d, width, DEGREES)
            student = relu_student(d, teachers)
            for name, own in zip(names, _losses(student, asked["stop"]), strict=True):
                found[name][i, j] = own
            course[i, j] = student.losses(times)[0]
            task.progress(i * len(widths) + j + 1, len(dimensions) * len(widths))
    linear = {f"linear_{name}": np.empty((len(larger), task.seeds)) for name in names}
    for i, d in enumerate(larger):
        scale = float(d) ** -asked["spread"]
        losses = linear_teacher_losses(task.root, task.seeds, d, round(d ** (2.0 / 3.0)), scale)
        for name, own in zip(names, _losses(linear_student(scale, losses), asked["stop"]), strict=True):
            linear[f"linear_{name}"][i] = own
    lengths = {"dimension": dimensions, "width": widths, "time": times, "linear_dimension": larger}
    return {**lengths, **found, "course": course, **linear}


def _losses(student, stop):
    """teacher_loss, student_loss, stop_time, converged_loss, unfollowed, (N,) each."""
    loss = student.teacher_loss
    time, own = student.best() if stop == "best" else (np.full(loss.shape, np.inf), student.converged)
    return loss, own, time, student.converged, student.unfollowed


def _whole(least):
    """A rule: ascending whole numbers from `least` on."""

    @rules.VectorRule
    def rule(key, value):
        found = ascending(key, value)
        if found[0] < least:
            rules.refuse(key, f"ascending whole numbers >= {least}", value)
        return found

    return rule


_OF = ("dimension", "width", "seed")
_LINEAR = ("linear_dimension", "seed")
STUDY = Study(
    "medvedev2025",
    "weak random-feature teachers fitted to the population, and strong students of theirs, stopped early",
    (
        Parameter("dimensions", _whole(3), (32, 200), "d of the ReLU model"),
        Parameter("widths", _whole(1), tuple(2**k for k in range(4, 11)), "units M of the ReLU teachers"),
        Parameter("linear_dimensions", _whole(8), tuple(200 * 2**k for k in range(13)), "d of the linear model"),
        Parameter("spread", rules.not_negative, 2.0 / 3.0, "x of the linear model's variances d^(-x)"),
        Parameter("stop", rules.one_of("best", "converged"), "best", "when the student stops"),
    ),
    (
        Field("dimension", ("dimension",), "<i8", "dimension d, ReLU model"),
        Field("width", ("width",), "<i8", "units M of the teacher"),
        Field("time", ("time",), "<f8", "time of the student's gradient flow", "1/lam_1"),
        Field("linear_dimension", ("linear_dimension",), "<i8", "dimension d, linear model"),
        Field("teacher_loss", _OF, "<f8", "L_TE"),
        Field("student_loss", _OF, "<f8", "L_ST where the student stops"),
        Field("stop_time", _OF, "<f8", "when it stops", "1/lam_1"),
        Field("converged_loss", _OF, "<f8", "L_ST once all harmonics up to degree 24 are learned"),
        Field("unfollowed", _OF, "<f8", "the teacher's energy above degree 24"),
        Field("course", ("dimension", "width", "time"), "<f8", "L_ST of seed 0's student"),
        Field("linear_teacher_loss", _LINEAR, "<f8", "L_TE"),
        Field("linear_student_loss", _LINEAR, "<f8", "L_ST where the student stops"),
        Field("linear_stop_time", _LINEAR, "<f8", "when it stops", "1/lam_1"),
        Field("linear_converged_loss", _LINEAR, "<f8", "L_ST in the limit of long training"),
        Field("linear_unfollowed", _LINEAR, "<f8", "the teacher's energy that is not followed: 0 but for rounding"),
    ),
    measure,
)


# ---- the check ----


def exponent(teacher: NDArray[np.float64], student: NDArray[np.float64]) -> tuple[float, float, int]:
    """The slope of log L_ST on log L_TE by least squares, its standard error, and its degrees of freedom.

    NaN for fewer than 3 teachers, where they are too much alike, and where a loss is not a positive number.
    """
    losses = np.stack([teacher.ravel(), student.ravel()])
    if losses.size < 6 or not (losses > 0.0).all() or losses[0].max() < LEAST_RANGE * losses[0].min():
        return np.nan, np.nan, 1
    return evidence.slope(*np.log(losses))


def check(run: Run) -> Verdict:
    """The powers, the limit of the gain, and what is left of it at convergence."""
    linear = run["linear_teacher_loss"], run["linear_student_loss"]
    fitted = ~(run["teacher_loss"] > LARGEST_FITTED)  # a teacher that is NaN is not left out
    of_powers = [
        (f"ReLU, d = {d}", run["teacher_loss"][i][fitted[i]], run["student_loss"][i][fitted[i]], RELU_EXPONENT, np.inf)
        for i, d in enumerate(run["dimension"])
    ]
    of_powers.append(("linear", *linear, LINEAR_EXPONENT - LINEAR_ROOM, LINEAR_EXPONENT + LINEAR_ROOM))
    findings = _powers_found(of_powers)
    if run["linear_dimension"].min() < LEAST_LINEAR_DIMENSION:
        findings[-1] = outside(findings[-1], f"a power of large d: judged against from d = {LEAST_LINEAR_DIMENSION} on")
    teacher, student, converged, unfollowed = (
        np.concatenate([run[name][fitted], run[f"linear_{name}"].ravel()])
        for name in ("teacher_loss", "student_loss", "converged_loss", "unfollowed")
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # of a loss that has underflowed no ratio is finite
        left, gain, beside_limit = converged / teacher, student / teacher, student / teacher**2
        over = float((unfollowed / teacher).max())
    farthest = left[np.argmax(abs(left - 1.0))]
    note = f"at most {over:.2g} of a teacher's loss lies above degree {DEGREES}, which is not followed"
    at_end = near("L_ST / L_TE at convergence, farthest from 1", farthest, 1.0, UNFOLLOWED, note=note)
    findings += [
        at_least("smallest L_ST / L_TE^2 of all students", beside_limit.min(), 1.0 - ROUNDING, LIMIT),
        at_most("largest L_ST / L_TE of all students", gain.max(), 1.0 - ROUNDING),
        at_end if over <= UNFOLLOWED else at_end._replace(outcome=UNDECIDED),
    ]
    if run["teacher_loss"].shape[-1] < FEWEST_SEEDS:
        findings.append(
            undecided(f"fewer than {FEWEST_SEEDS} seeds", "one draw of each teacher tells nothing of others")
        )
    return verdict(CLAIM, findings)


def _powers_found(models):
    """Of models (name, teacher losses, student losses, lowest exponent, highest): whether theirs lies between."""
    slopes = [exponent(*model[1:3]) for model in models]
    bounds = [(place, bound) for place, model in enumerate(models) for bound in model[3:] if np.isfinite(bound)]
    shown = []
    for place, bound in bounds:
        found, error, degrees = slopes[place]
        off = (found - bound if bound == models[place][3] else bound - found) / max(error, ROUNDING)
        shown.append(evidence.Evidence(*(evidence.student_tail(t, degrees) for t in (off, -off))))
    outcomes = evidence.outcomes(shown)
    findings = []
    for place, (name, teacher, _, low, high) in enumerate(models):
        own = {outcome for (at, _), outcome in zip(bounds, outcomes, strict=True) if at == place}
        outcome = next((outcome for outcome in (FAILS, UNDECIDED) if outcome in own), HOLDS)
        note = f"standard error {slopes[place][1]:.2g}, {teacher.size} teachers"
        note += f", L_TE = {teacher.min():.2g} to {teacher.max():.2g}" if teacher.size else ""
        paper, room = (f">= {low:g}", "") if np.isinf(high) else (0.5 * (low + high), LINEAR_ROOM)
        findings.append(Finding(f"{name}: exponent of L_ST in L_TE", slopes[place][0], paper, room, outcome, note))
    return findings


def controls() -> list[Control]:
    """No early stopping, and no spectrum to stop early in; and too little to fit a power to."""
    few = (("study.widths", [64, 128, 256]), ("study.dimensions", [32]), ("seeds.count", 3))
    copies = "the student then copies the teacher, whose loss is its own: exponent 1"
    flat = "all directions, the target's too, are then learned at one speed, and no time tells them apart"
    alike, draws = "teachers of nearly one loss show no power", "a draw or two of each teacher tell nothing of others"
    small = "the losses of all teachers are above 1/2, so that none is fitted"
    above = "more than a twentieth of a teacher's loss lies above the degrees that are followed"
    table = (
        ("run to convergence", copies, FAILS, "study.stop", "converged"),
        ("a flat spectrum in the linear model", flat, FAILS, "study.spread", 0.0),
        ("one seed", draws, UNDECIDED, "seeds.count", 1),
        ("two seeds", draws, UNDECIDED, "seeds.count", 2),
        ("one width", alike, UNDECIDED, "study.widths", [256]),
        ("teachers of one and two units", small, UNDECIDED, "study.widths", [1, 2]),
        ("one dimension of the linear model", alike, UNDECIDED, "study.linear_dimensions", [3200]),
        ("inputs in three dimensions", above, UNDECIDED, "study.dimensions", [3]),
        ("a linear model that is nearly flat", alike, UNDECIDED, "study.spread", 0.1),
        ("narrow teachers in many dimensions", small, UNDECIDED, "study.dimensions", [2000]),
        ("20 seeds", "more draws of the same", HOLDS, "seeds.count", 20),
    )
    return [
        Control(name, why, (*few, (key, value)), expected=expected, always=place < 3)
        for place, (name, why, expected, key, value) in enumerate(table)
    ]


# ---- pictures ----


def pictures(run: Run) -> list:
    """Student against teacher loss, and the student's loss in time."""
    losses = np.concatenate([run[name].ravel() for name in ("teacher_loss", "linear_teacher_loss")])
    return [powers_picture(run), courses_picture(run)] if (losses > 0.0).all() else []


def powers_picture(run: Run) -> Any:
    """L_ST against L_TE for every teacher, with the lines that no student may cross."""
    from ..report.figures import style

    figure, (axes,) = style.figure()
    clouds = [
        (f"ReLU, d = {d}", run["teacher_loss"][i], run["student_loss"][i]) for i, d in enumerate(run["dimension"])
    ]
    clouds.append(("linear, d = 200 and more", run["linear_teacher_loss"], run["linear_student_loss"]))
    for i, (label, teacher, student) in enumerate(clouds):
        look = {"color": style.COLOURS[i + 1], "marker": style.MARKERS[i], "markersize": 6.5, "alpha": 0.75}
        axes.plot(teacher.ravel(), student.ravel(), linestyle="", label=label, **look)
    line = np.geomspace(min(teacher.min() for _, teacher, _ in clouds), 1.0, 50)
    axes.plot(line, line, color="#000000", linewidth=1.4, label="L_ST = L_TE: no gain")
    axes.plot(line, line**RELU_EXPONENT, "--", color="#000000", linewidth=1.4, label="L_TE^1.49: proven, ReLU")
    axes.plot(line, line**2, ":", color="#000000", linewidth=1.8, label="L_TE^2: the limit")
    for side, text in (("x", "teacher loss L_TE"), ("y", "student loss L_ST, stopped early")):
        style.logarithmic(axes, side)
        axes.set(**{f"{side}label": text})
    style.legend(figure, axes)
    style.title(figure, "The student's loss is nearly the square of its teacher's")
    caption = "Each point is a teacher with its own random units, and the student trained on its labels alone."
    return style.Picture("powers", caption, figure)


def courses_picture(run: Run) -> Any:
    """L_ST / L_TE in time: down, and back to 1."""
    from ..report.figures import style

    figure, panels = style.figure(len(run["dimension"]), width=12.0)
    widths = len(run["width"])
    for i, (axes, d) in enumerate(zip(panels, run["dimension"], strict=True)):
        for j, width in enumerate(run["width"]):
            look = {"color": style.gradient(j / max(widths - 1, 1)), "linestyle": style.DASHES[j % len(style.DASHES)]}
            ratio = run["course"][i, j] / run["teacher_loss"][i, j, 0]
            axes.plot(run["time"], ratio, label=f"M = {width}" if i == 0 else "_", **look)
        style.logarithmic(axes, "x")
        style.logarithmic(axes, "y")
        axes.set_ylim(top=3.0)
        axes.set_xlabel("time of the student's flow, 1/lam_1")
        axes.set_title(f"d = {d}")
    panels[0].set_ylabel("L_ST / L_TE")
    style.legend(figure, panels[0])
    style.title(figure, "Stopped in time the student beats its teacher; trained on, it becomes it")
    caption = "ReLU students of seed 0's teachers with M units. The gain vanishes as the student converges."
    return style.Picture("courses", caption, figure)
