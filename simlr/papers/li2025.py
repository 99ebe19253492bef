"""Li et al. (2025), Functional Scaling Laws in Kernel Regression: how the schedule enters the exponents of the loss.

arXiv:2509.19189, NeurIPS. One-pass SGD on a power-law problem, capacity beta and source s (`simlr.papers._power_laws`).
With t the sum of rates and gamma = rate / batch size, the excess loss is up to constants

    e(t) + int_0^t K(t - z) [e(z) + sigma^2] gamma(z) dz,   e = (1 + t)^-s,   K = (1 + t)^-(2 - 1/beta).

From it, of D rows with the best peak: a constant rate has D^-s/(s + 1). In the easy regime, s >= 1 - 1/beta,
exponential decay has (D / log D)^-p, p = s beta/(1 + s beta), and warmup-stable-decay, whose decay is exponential,
D^-p (log D)^((s beta - s)/(1 + s beta)); in the hard one they have (D / log D)^-s and D^-s.

Judged are the six exponents on exact losses, at D = 10^6 to 10^10, and that exact losses divided by the law stay
within constants over all schedules and D. A slope is near its limit by terms D^-(1/(2 s beta + 2)) and smaller, some
.005 here, and the drawn factors spread it by .004; leaving out a logarithm moves it by .75/18 = .04 or .3/18 = .016.
The tolerance .02, t-tests over the draws, and all else that is tested were fixed on roots from 1,000 on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Finding, Verdict, outside, undecided, verdict
from ..config.study import Study, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..schedules.rules import ascending
from ..store.file_format import Field
from ..store.run import Run
from . import _power_laws as laws

SOURCE = (
    "Li et al. (2025), arXiv:2509.19189, NeurIPS: the functional scaling law and the data-limited exponents of three "
    "schedules, as quoted; the body was not read"
)
CLAIM = (
    "At the best peak the excess loss over D rows falls as D^-(s/(s+1)) at a constant rate, and, up to known "
    "logarithms, as D^-(s beta/(1 + s beta)) in the easy regime and D^-s in the hard one with exponential decay and "
    "with warmup-stable-decay; one functional law has all of it up to constants."
)
RECONSTRUCTION = (
    "The law, its exponents and the border of the regimes are the paper's. The decay down to 1/D of the peak, over all "
    "steps or their last half; label noise alone, without the noise of the excess loss itself, which is smaller the "
    "longer the training; batch size 1, the cap 1/lam_1, the two problems, factors within sqrt(2) on every bin of "
    "modes, D and the tolerances are ours. The limit of the model's size, M^-(s beta), is not looked at."
)
GRID = """
name = "li2025"

[study]
kind = "li2025"

[seeds]
count = 16
"""

SCHEDULES = ["constant", "exponential", "warmup-stable-decay"]
TOLERANCE = 0.02  # of an exponent
CONSTANTS = 10.0  # largest over smallest of loss / law: Gamma(s) 2^-s/beta to zeta(1 + s beta) is a factor of 7
# Two powers of ten at least, up to 10^8 at least: else a logarithm is no different from a power.
LEAST_RANGE, LEAST_HORIZON = 100.0, 1e8


def pieces(name: str, steps: int, own: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rates (P,) of peak 1 and lengths (P,) of a schedule over so many steps; a decay is taken at its middle."""
    if name == "constant":
        return np.ones(1), np.array([steps])
    plateau = int(own["stable"] * steps) if name == "warmup-stable-decay" else 0
    lengths = laws.split(steps - plateau, laws.STAIRS)
    passed = (np.cumsum(lengths) - 0.5 * lengths) / (steps - plateau)
    rates = float(steps) ** (-own["decay_power"] * passed)
    if plateau:
        rates, lengths = np.append(1.0, rates), np.append(plateau, lengths)
    return (rates[::-1].copy(), lengths[::-1].copy()) if own["reversed"] else (rates, lengths)


def law(rates: NDArray[np.float64], lengths: NDArray[np.int64], s: float, beta: float, sigma: float) -> float:
    """The paper's law with label noise alone, the integral exact on pieces of constant rate."""
    ends = np.append(0.0, np.cumsum(rates * lengths))
    to_go = ends[-1] - ends
    memory = (1.0 + to_go) ** -(1.0 - 1.0 / beta) / (1.0 - 1.0 / beta)
    return float((1.0 + ends[-1]) ** -s + sigma * sigma * (rates * np.diff(memory)).sum())


def measure(task: Task) -> dict[str, Any]:
    """The loss at the best peak of every schedule at every horizon, and that of the law at the same rates."""
    own = task.parameters
    problems = laws.problems_of(own)
    horizons = [int(steps) for steps in own["horizons"]]
    found = np.full((3, len(problems), len(SCHEDULES), task.seeds, len(horizons)), np.nan)
    for i, (beta, s) in enumerate(problems):
        drawn = laws.drawn(task.root, task.seeds, beta, s, own["modes"], own["bins"], own["spread"])
        start = own["distance"] * drawn.start
        loss = laws.losses_of(drawn._replace(start=start), own["sigma"])
        for k in range(task.seeds):
            cap = own["cap"] / drawn.curvature[k].max()
            for j, name in enumerate(SCHEDULES):
                for n, steps in enumerate(horizons):
                    rates, lengths = pieces(name, steps, own)
                    found[:, i, j, k, n] = _best(loss, k, rates, lengths, cap, own["tuned"])
                    found[2, i, j, k, n] = law(found[0, i, j, k, n] * rates, lengths, s, beta, own["sigma"])
            task.progress(i * task.seeds + k + 1, len(problems) * task.seeds)
    return {
        "schedule": SCHEDULES, "horizon": horizons, "capacity": [beta for beta, _ in problems],
        "source": [s for _, s in problems], "peak": found[0], "loss": found[1], "law": found[2],
    }  # fmt: skip


def _best(loss, k, rates, lengths, cap, tuned):
    """(peak, loss, NaN): the best, or at the cap."""
    if not tuned:
        return cap, loss(k, cap * rates, lengths), np.nan
    return (*laws.best_peak(lambda peak: loss(k, peak * rates, lengths), cap), np.nan)


@rules.VectorRule
def _horizons(key, value):
    """Whole numbers of steps, ascending, at least three."""
    found = ascending(key, value)
    if len(found) < 3 or found[0] < 8 or found[-1] > 10**14:
        rules.refuse(key, "at least three ascending whole numbers from 8 to 10^14", value)
    return found


def _share(key, value):
    return rules.number(key, value, least=0.0, most=1.0, rule="a number from 0 to 1")


_EACH = "problem", "schedule", "seed", "horizon"
STUDY = Study(
    "li2025",
    "exact excess losses of three schedules, at their best peaks, on drawn power laws",
    (
        Parameter("capacity", laws.capacities, (2.0, 4.0), "beta of each problem"),
        Parameter("source", laws.sources, (1.5, 0.3), "s of each problem, as many"),
        Parameter("horizons", _horizons, tuple(10**k for k in range(6, 11)), "numbers of rows D, one a step"),
        Parameter("sigma", rules.not_negative, 1.0, "standard deviation of the labels' noise"),
        Parameter("decay_power", rules.not_negative, 1.0, "a decay ends at D^-this of the peak"),
        Parameter("stable", _share, 0.5, "the part of the steps before warmup-stable-decay decays"),
        Parameter("tuned", rules.flag, True, "take the best peak; else the cap"),
        Parameter("reversed", rules.flag, False, "run the rates backwards"),
        Parameter("cap", rules.positive, 1.0, "the largest peak, in units of 1/lam_1"),
        Parameter("modes", rules.count, 10**7, "axes"),
        Parameter("bins", rules.count, 200, "in which they are counted"),
        Parameter("spread", laws.at_least_one, 2.0, "largest over smallest factor on eigenvalues and coefficients"),
        Parameter("distance", rules.not_negative, 1.0, "of the start, in units of the nominal one"),
    ),
    (
        Field("schedule", ("schedule",), "str", "schedule"),
        Field("horizon", ("horizon",), "<i8", "number of rows D"),
        Field("capacity", ("problem",), "<f8", "beta"),
        Field("source", ("problem",), "<f8", "s"),
        Field("peak", _EACH, "<f8", "the best peak"),
        Field("loss", _EACH, "<f8", "excess loss there"),
        Field("law", _EACH, "<f8", "the functional scaling law at the same rates"),
    ),
    measure,
)


# ---- the check ----


def is_easy(beta: float, s: float) -> bool:
    """Whether a problem is in the easy regime."""
    return s >= 1.0 - 1.0 / beta


def theory(name: str, beta: float, s: float) -> float:
    """The paper's exponent, logarithms apart."""
    if name == "constant":
        return s / (s + 1.0)
    return s * beta / (1.0 + s * beta) if is_easy(beta, s) else s


def plain_powers(run: Run, i: int, j: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Budgets (K,) and losses (seed, K) of problem i and schedule j, the paper's logarithms taken out."""
    beta, s = float(run["capacity"][i]), float(run["source"][i])
    rows = run["horizon"].astype(np.float64)
    budgets, losses = rows, run["loss"][i, j]
    if SCHEDULES[j] == "exponential":
        budgets = rows / np.log(rows)
    if SCHEDULES[j] == "warmup-stable-decay" and is_easy(beta, s):
        losses = losses / np.log(rows) ** ((s * beta - s) / (1.0 + s * beta))
    return budgets, losses


def check(run: Run) -> Verdict:
    """The exponents of both regimes, and the constants of the law."""
    easy = [is_easy(*pair) for pair in zip(run["capacity"].tolist(), run["source"].tolist(), strict=True)]
    why = list(_cannot_tell(run, easy))
    if why:
        return verdict(CLAIM, [undecided(what, note) for what, note in why])
    judged, constants = [], []
    for i, is_i_easy in enumerate(easy):
        beta, s = float(run["capacity"][i]), float(run["source"][i])
        far = "; ".join(laws.far_from_limits(run.config.study, _moved(run, i)))
        for j, name in enumerate(SCHEDULES):
            what = f"{name}: exponent, {'easy' if is_i_easy else 'hard'} (beta {beta:g}, s {s:g})"
            judged.append(laws.of_power(what, *plain_powers(run, i, j), theory(name, beta, s), TOLERANCE, far))
        constants.append(outside(_constants(run, i), far))
    return verdict(CLAIM, [*laws.tested(judged), *constants])


def _moved(run, i):
    """The largest sum of rates in problem i, were none to fall, times the smallest curvature."""
    return float((run["peak"][i] * run["horizon"]).max()) * run.config.study["modes"] ** -float(run["capacity"][i])


def _cannot_tell(run, easy):
    """What keeps the exponents from being measured, [(what, why), ...]."""
    horizons, own = run["horizon"], run.config.study
    yield from laws.cannot_tell(own)
    if horizons[-1] < LEAST_HORIZON or horizons[-1] < LEAST_RANGE * horizons[0]:
        yield (
            "horizons that are too short",
            f"D up to {LEAST_HORIZON:g} and over a factor of {LEAST_RANGE:g} are needed",
        )
    if len(set(easy)) < 2:
        yield "one regime alone", "the claim is about both"
    if not np.isfinite(run["loss"]).all() or run["loss"].min() <= 0.0:
        yield "losses that are no positive numbers", "a rate is not stable, or there is nothing to learn"
    low = run["peak"] <= 10.0 * laws.LEAST_PEAK * run["peak"].max()
    if low.any():
        yield "a best peak that is nearly 0", "there is nothing to learn"
    if own["tuned"] and (run["peak"][:, 0] >= 0.9 * run["peak"].max(axis=(1, 3))[..., None]).any():
        yield "a constant rate that is best at the cap", "the noise is not felt at these horizons"


def _constants(run, i):
    """Largest over smallest ratio of exact loss and law."""
    ratio = run["loss"][i] / run["law"][i]
    found = float(ratio.max() / ratio.min())
    what = f"loss / law, largest over smallest (beta {run['capacity'][i]:g}, s {run['source'][i]:g})"
    note = f"from {ratio.min():.3g} to {ratio.max():.3g}, over schedules, D and draws"
    return Finding(what, found, f"<= {CONSTANTS:g}", "", HOLDS if found <= CONSTANTS else FAILS, note)


def controls() -> list[Control]:
    """Schedules that are not those, noise and spectra that are none, and too little to tell."""
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("peaks that are not tuned", "at the cap a constant rate stays on its floor", FAILS, (("tuned", False),)),
        ("no decay to speak of", "a rate that ends at D^-0.02 of its peak is as good as constant", FAILS,
         (("decay_power", 0.02),)),
        ("rates that run backwards", "they end at the peak, on a constant rate's floor", FAILS, (("reversed", True),)),
        ("a spectrum that ends", "sixteen axes are learnt at exponential speed, and are no power law", UNDECIDED,
         (("modes", 16), ("bins", 16))),
        ("noise of 30", "exponents are far from their limits at these horizons", UNDECIDED, (("sigma", 30.0),)),
        ("a decay over 1e-6 of the steps", "it is too short to take the noise away", FAILS, (("stable", 0.999999),)),
        ("no noise", "then no schedule has anything to gain", UNDECIDED, (("sigma", 0.0),)),
        ("noise of 1e-6", "it is not felt at these horizons", UNDECIDED, (("sigma", 1e-6),)),
        ("short horizons", "a logarithm cannot be told from a power", UNDECIDED, (("horizons", [100, 1000, 10000]),)),
        ("horizons side by side", "they have no slope to speak of", UNDECIDED,
         (("horizons", [10**9, 2 * 10**9, 3 * 10**9]),)),
        ("a rate beyond 2/lam_1", "losses grow without end", UNDECIDED, (("tuned", False), ("cap", 4.0))),
        ("a start at the minimiser", "there is nothing to learn", UNDECIDED, (("distance", 0.0),)),
        ("copies of one problem", "they tell no more of others than one does", UNDECIDED, (("spread", 1.0),)),
        ("copies to seven digits", "they are no more than copies", UNDECIDED, (("spread", 1.0000001),)),
        ("20 bins", "each is a factor 2.2 of modes", UNDECIDED, (("bins", 20),)),
        ("the easy regime alone", "half of the claim is not looked at", UNDECIDED,
         (("capacity", [2.0]), ("source", [1.5]))),
        ("another pair of problems", "the exponents are those of any beta and s", HOLDS,
         (("capacity", [3.0, 3.0]), ("source", [1.0, 0.3]))),
        ("a decay to 1/sqrt(D) of the peak", "the sum of rates changes by a constant", HOLDS, (("decay_power", 0.5),)),
        ("a decay over the last fifth", "the sums of rates change by a constant", HOLDS, (("stable", 0.8),)),
        ("near the nominal power laws", "they are in the middle of what is drawn", HOLDS, (("spread", 1.1),)),
    )  # fmt: skip
    made = [
        Control(
            name, why, tuple((f"study.{key}", value) for key, value in changes), expected=expected, always=place < 3
        )
        for place, (name, why, expected, changes) in enumerate(table)
    ]
    return [*made, Control("one seed", "one draw tells nothing of others", (("seeds.count", 1),), "", UNDECIDED)]


# ---- the picture ----


def pictures(run: Run) -> list:
    """Losses against D, on the paper's slopes."""
    return [losses_picture(run)]


def losses_picture(run: Run) -> Any:
    """Median losses of each schedule, and lines of the paper's exponents through the last."""
    from ..report.figures import style

    figure, panels = style.figure(len(run["capacity"]), width=6.0 * len(run["capacity"]))
    rows = run["horizon"].astype(np.float64)
    for i, axes in enumerate(panels):
        beta, s = float(run["capacity"][i]), float(run["source"][i])
        for j, name in enumerate(SCHEDULES):
            losses = np.median(run["loss"][i, j], axis=0)
            axes.plot(rows, losses, style.MARKERS[j], color=style.COLOURS[j], label=name)
            line = rows ** -theory(name, beta, s)
            if name == "exponential":
                line = (rows / np.log(rows)) ** -theory(name, beta, s)
            elif name == "warmup-stable-decay" and is_easy(beta, s):
                line = line * np.log(rows) ** ((s * beta - s) / (1.0 + s * beta))
            axes.plot(rows, line / line[-1] * losses[-1], color=style.COLOURS[j], linestyle=style.DASHES[j])
        axes.set_xscale("log")
        style.logarithmic(axes, "y")
        axes.set_title(f"{'easy' if is_easy(beta, s) else 'hard'}: beta {beta:g}, s {s:g}")
        axes.set_xlabel("rows D")
    panels[0].set_ylabel("excess loss at the best peak")
    style.legend(figure, panels[0])
    style.title(figure, "The schedule sets the exponent: a decay falls faster than any constant rate")
    return style.Picture("losses", "Points: exact losses, medians over the draws. Lines: the paper's laws.", figure)
