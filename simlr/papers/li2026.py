"""Li et al. (2026), the optimal learning-rate schedules of functional scaling laws: two regimes.

arXiv:2602.06797, COLT. One-pass SGD on a power-law problem, capacity beta and source s (`simlr.papers._power_laws`), N
steps, z of which have passed. In the easy regime, s >= 1 - 1/beta, the best schedule is

    eta_peak (1 - z/N)^(2 beta - 1),   eta_peak ~ N^-(s - 1 + 1/beta)/(s + 1/beta),   loss ~ N^-(s beta)/(1 + s beta);

in the hard one it stays at the largest rate that is admitted and decays over a share of the steps that vanishes, loss ~
N^-s. A schedule (1 - z/N)^gamma, its peak the best, does as the optimum would at capacity min(beta, gamma + 1).

The optimum is searched for, not assumed: L-BFGS-B on exact losses (`simlr.engine.optimal`), rates free on 24 pieces of
equal length and some 50 that are geometric in the steps to go, from the best cosine. Its exponent gamma is that of a
line through the logarithms over the first half. At N steps it lies below 2 beta - 1 by terms that fall by a fifth to a
quarter with every factor 10, from 1.1 at N = 10^3 to .15 at 10^10 for beta = 2, and the slope of the loss is off by .02
over 10^6 to 10^10. So the tolerances: .3 for gamma (the next candidates, beta and 1, are farther), .03 for exponents.
They and the t-tests over the draws were fixed on roots from 1,000 on.
"""

import importlib.util
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
    at_least,
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
from . import _power_laws as laws
from .li2025 import is_easy

SOURCE = (
    "Li et al. (2026), arXiv:2602.06797, COLT: the optimal schedules of two regimes and the capacity that a power "
    "shape acts as, as quoted; the body was not read"
)
CLAIM = (
    "In the easy regime the best schedule is a power (1 - z/N)^(2 beta - 1) whose peak falls with N, in the hard one "
    "the largest rate with a decay over a vanishing share of the steps; losses fall as N^-(s beta/(1 + s beta)) and "
    "N^-s, and a power gamma in place of the best acts as capacity min(beta, gamma + 1)."
)
RECONSTRUCTION = (
    "The shapes, the exponents of peak and loss and the capacity of powers are the paper's; the exponent of the easy "
    "regime's loss follows from its peak. Label noise alone, the cap 1/lam_1, the problems, factors within sqrt(1.2) "
    "on every bin of modes, the pieces, N, the tolerances, and that a share vanishes if it halves from N to 10^4 N are "
    "ours."
)
GRID = """
name = "li2026"

[study]
kind = "li2026"

[seeds]
count = 8
"""

GAMMA_TOLERANCE, TOLERANCE = 0.3, 0.03
VANISHING = float(np.log(2.0) / np.log(1e4))  # least exponent of the decay's share of the steps
AT_CAP = 0.999
SETTLED = 1e-2  # largest derivative of log(loss) by the logarithm of a rate at what counts as an optimum
LEAST_RANGE, LEAST_HORIZON = 100.0, 1e9
EVEN, RATIO, FIRST = 24, 1.5, 0.75  # pieces, and the ratio of lengths of the others in the steps to go, after FIRST
RATES = "optimal", "cosine", "linear", "constant"


def pieces(steps: int) -> NDArray[np.int64]:
    """Lengths (P,): 24 of one length over the first three quarters, the others geometric in the steps to go."""
    even = laws.split(int(FIRST * steps), EVEN)
    rest = steps - int(even.sum())
    late = np.geomspace(1.0, rest, max(int(np.log(steps) / np.log(RATIO)), 2))
    to_go = np.unique(np.round(late).astype(np.int64))
    return np.concatenate([even, np.diff(np.append(0, to_go))[::-1]])


def middles(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """z/N in the middle of every piece."""
    return (np.cumsum(lengths) - 0.5 * lengths) / lengths.sum()


def measure(task: Task) -> dict[str, Any]:
    """The optimum of every problem, draw and horizon, and the best of every power."""
    own = task.parameters
    horizons = [int(steps) for steps in own["horizons"]]
    shaped = own["shape_capacity"], own["shape_source"]
    problems = laws.problems_of(own)
    names = "peak", "loss", "gamma", "share", "gradient"
    found = {name: np.full((len(problems), task.seeds, len(horizons)), np.nan) for name in names}
    drawn_rates = np.full((len(problems), len(horizons), _most_pieces(horizons)), np.nan)
    total = (len(problems) + 1) * task.seeds
    for i, (beta, s) in enumerate(problems):
        drawn = _drawn(task, beta, s)
        for k in range(task.seeds):
            for n, steps in enumerate(horizons):
                lengths = pieces(steps)
                rates, gradient = _optimum(own, drawn, k, lengths)
                for name, value in _seen(rates, lengths, own, drawn, k).items():
                    found[name][i, k, n] = value
                found["gradient"][i, k, n] = gradient
                if k == 0:
                    drawn_rates[i, n, : rates.size] = rates * drawn.curvature[k].max()
            task.progress(i * task.seeds + k + 1, total)
    powers = _powers(task, _drawn(task, *shaped), horizons, total)
    return found | {
        "horizon": horizons, "capacity": [beta for beta, _ in problems], "source": [s for _, s in problems],
        "power": list(own["powers"]), "power_loss": powers, "rate": drawn_rates,
    }  # fmt: skip


def _most_pieces(horizons):
    return max(pieces(steps).size for steps in horizons)


def _drawn(task, beta, s):
    own = task.parameters
    drawn = laws.drawn(task.root, task.seeds, beta, s, own["modes"], own["bins"], own["spread"])
    return drawn._replace(start=own["distance"] * drawn.start)


def _optimum(own, drawn, k, lengths):
    """(rates (P,), gradient's norm) of problem k: the optimum, or the best of a usual shape."""
    from ..engine.optimal.families import best_of, heights
    from ..engine.optimal.gradient import read_objective
    from ..engine.optimal.search import Layout, Limits, Problem, solve_shape

    cap = own["cap"] / float(drawn.curvature[k].max())
    noise = {"kind": "gradient", "covariance": "hessian", "sigma": own["sigma"]}
    objective = read_objective(drawn.curvature[k : k + 1], drawn.start[k : k + 1], noise, test_matrix=drawn.weight[k])
    problem = Problem(objective, Layout(lengths, 0))
    name = "cosine" if own["rates"] == "optimal" else own["rates"]
    with np.errstate(all="ignore"):
        rates = best_of(problem, name, cap).learning_rate * heights(name, lengths)
    if own["rates"] != "optimal":
        return rates, 0.0
    if importlib.util.find_spec("scipy") is None:
        return np.full(rates.size, np.nan), np.nan
    with np.errstate(all="ignore"):
        best = solve_shape(problem, rates, Limits(cap, None, "free", 0), own["rounds"])
    return (best.rates[::-1].copy() if own["reversed"] else best.rates), best.gradient_norm


def _seen(rates, lengths, own, drawn, k):
    """Peak and loss, the exponent over the first half, and the share of the steps after the rate has halved."""
    one = drawn._replace(curvature=drawn.curvature[k : k + 1], start=drawn.start[k : k + 1])
    loss = laws.losses_of(one, own["sigma"])(0, rates, lengths) if np.isfinite(rates).all() else np.nan
    z = middles(lengths)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = (values[z < 0.5] for values in (np.log1p(-z), np.log(rates)))
    off = x - x.mean()
    low = rates < 0.5 * rates.max()
    share = float(lengths[np.argmax(low) :].sum() / lengths.sum()) if low.any() else 0.0
    gamma = float((off * y).sum() / (off * off).sum()) if np.isfinite(y).all() else np.nan
    return {"peak": rates.max() * drawn.curvature[k].max(), "loss": loss, "gamma": gamma, "share": share}


def _powers(task, drawn, horizons, total):
    """Losses (power, seed, horizon) of (1 - z/N)^gamma at the best peak."""
    own = task.parameters
    found = np.full((len(own["powers"]), task.seeds, len(horizons)), np.nan)
    loss = laws.losses_of(drawn, own["sigma"])
    for k in range(task.seeds):
        cap = own["cap"] / float(drawn.curvature[k].max())
        for n, steps in enumerate(horizons):
            lengths = pieces(steps)
            z = middles(lengths)
            for g, power in enumerate(own["powers"]):
                shape = (1.0 - z) ** power
                found[g, k, n] = laws.best_peak(lambda peak, k=k, r=shape, l=lengths: loss(k, peak * r, l), cap)[1]
        task.progress(total - task.seeds + k + 1, total)
    return found


@rules.VectorRule
def _horizons(key, value):
    """Whole numbers of steps, ascending, at least two."""
    found = ascending(key, value)
    if len(found) < 2 or found[0] < 64 or found[-1] > 10**14:
        rules.refuse(key, "at least two ascending whole numbers from 64 to 10^14", value)
    return found


@rules.VectorRule
def _powers_rule(key, value):
    found = rules.vector()(key, value)
    if min(found) < 0.0:
        rules.refuse(key, "a list of numbers >= 0", value)
    return found


_OPTIMA = "problem", "seed", "horizon"
STUDY = Study(
    "li2026",
    "optimal schedules of drawn power laws in two regimes, and powers at their best peaks",
    (
        Parameter("capacity", laws.capacities, (2.0, 4.0), "beta of each problem"),
        Parameter("source", laws.sources, (1.5, 0.3), "s of each problem, as many"),
        Parameter("shape_capacity", laws.above_one, 3.0, "beta of the problem that powers are run on"),
        Parameter("shape_source", rules.positive, 1.0, "its s"),
        Parameter("powers", _powers_rule, (0.0, 0.5, 1.0, 3.0), "exponents gamma of the shapes (1 - z/N)^gamma"),
        Parameter("horizons", _horizons, (10**6, 10**8, 10**10), "numbers of steps N"),
        Parameter("sigma", rules.not_negative, 1.0, "standard deviation of the labels' noise"),
        Parameter("cap", rules.positive, 1.0, "the largest rate, in units of 1/lam_1"),
        Parameter("rates", rules.one_of(*RATES), "optimal", "or the best of a usual shape in its place"),
        Parameter("reversed", rules.flag, False, "run the optimum backwards"),
        Parameter("rounds", rules.count, 60, "of L-BFGS-B at most"),
        Parameter("modes", rules.count, 10**6, "axes"),
        Parameter("bins", rules.count, 80, "in which they are counted"),
        Parameter("spread", laws.at_least_one, 1.2, "largest over smallest factor on eigenvalues and coefficients"),
        Parameter("distance", rules.not_negative, 1.0, "of the start, in units of the nominal one"),
    ),
    (
        Field("horizon", ("horizon",), "<i8", "number of steps N"),
        Field("capacity", ("problem",), "<f8", "beta"),
        Field("source", ("problem",), "<f8", "s"),
        Field("power", ("power",), "<f8", "exponent gamma of a shape"),
        Field("peak", _OPTIMA, "<f8", "highest rate of the optimum", "1/lam_1"),
        Field("loss", _OPTIMA, "<f8", "its excess loss"),
        Field("gamma", _OPTIMA, "<f8", "exponent of 1 - z/N over the first half of its steps"),
        Field("share", _OPTIMA, "<f8", "of the steps from the first rate below half the highest on"),
        Field("gradient", _OPTIMA, "<f8", "largest derivative of log(loss) by the logarithm of a rate"),
        Field("power_loss", ("power", "seed", "horizon"), "<f8", "excess loss of each power at its best peak"),
        Field("rate", ("problem", "horizon", "piece"), "<f8", "rates of draw 0, NaN after the last piece", "1/lam_1"),
    ),
    measure,
)


# ---- the check ----


def of_capacity(s: float, capacity: float) -> float:
    """The exponent of the loss in the easy regime."""
    return s * capacity / (1.0 + s * capacity)


def check(run: Run) -> Verdict:
    """Shape, peak and loss of the optimum in both regimes, and the exponents of powers."""
    horizons = run["horizon"].astype(np.float64)
    pairs = list(zip(run["capacity"].tolist(), run["source"].tolist(), strict=True))
    no_search = run.config.study["rates"] == "optimal" and np.isnan(run["gradient"]).all()
    why = list(_cannot_tell(run, [is_easy(*pair) for pair in pairs], no_search))
    if why:
        return verdict(CLAIM, [undecided(what, note) for what, note in why])
    judged, others = [], []
    for i, (beta, s) in enumerate(pairs):
        if no_search:
            others.append(Finding(f"optimum (beta {beta:g}, s {s:g})", "", "", "", NOT_RUN, "needs SciPy"))
            continue
        judged += list(_of_optimum(run, i, beta, s, horizons))
        if not is_easy(beta, s):
            least = float((run["peak"][i] / run.config.study["cap"]).min())
            found = at_least("hard: highest rate over the largest admitted, least of all", least, AT_CAP)
            others.append(outside(found, _far(run, i)))
    beta, s = run.config.study["shape_capacity"], run.config.study["shape_source"]
    for g, power in enumerate(run["power"].tolist()):
        what = f"power {power:g}: exponent of the loss (beta {beta:g}, s {s:g})"
        paper, found = of_capacity(s, min(beta, power + 1.0)), run["power_loss"][g]
        judged.append(laws.of_power(what, horizons, found, paper, TOLERANCE, _far(run)))
    return verdict(CLAIM, [*laws.tested(judged), *others])


def _far(run, i=None):
    """Why the limits of problem i, or of that of powers, may be far; "" where they are near."""
    own = run.config.study
    peak, capacity = (own["cap"], own["shape_capacity"]) if i is None else (run["peak"][i], run["capacity"][i])
    moved = float(np.max(peak * run["horizon"])) * own["modes"] ** -float(capacity)
    shaped = {"capacity": own["shape_capacity"], "source": own["shape_source"]} if i is None else {}
    return "; ".join(laws.far_from_limits(own | shaped, moved))


def _of_optimum(run, i, beta, s, horizons):
    """What is judged of one problem's optimum."""
    tail, far, loss = f"(beta {beta:g}, s {s:g})", _far(run, i), run["loss"][i]
    if is_easy(beta, s):
        peak = (s - 1.0 + 1.0 / beta) / (s + 1.0 / beta)
        what = f"easy: exponent of the loss {tail}"
        yield laws.of_power(what, horizons, loss, of_capacity(s, beta), TOLERANCE, far)
        what = f"easy: exponent of the highest rate {tail}"
        yield laws.of_power(what, horizons, run["peak"][i], peak, TOLERANCE, far)
        what, gamma = f"easy: exponent of 1 - z/N at N = {horizons[-1]:g} {tail}", run["gamma"][i]
        yield laws.Judged(what, gamma[:, -1], 2.0 * beta - 1.0, GAMMA_TOLERANCE, far)
    else:
        yield laws.of_power(f"hard: exponent of the loss {tail}", horizons, loss, s, TOLERANCE, far)
        what = f"hard: exponent of the decay's share {tail}"
        yield laws.Judged(what, laws.slopes(horizons, run["share"][i]), VANISHING, 0.0, far)


def _cannot_tell(run, easy, no_search):
    """What keeps the claim from being judged, (what, why)."""
    horizons = run["horizon"]
    yield from laws.cannot_tell(run.config.study)
    if horizons[-1] < LEAST_HORIZON or horizons[-1] < LEAST_RANGE * horizons[0]:
        yield (
            "horizons that are too short",
            f"N up to {LEAST_HORIZON:g} and over a factor of {LEAST_RANGE:g} are needed",
        )
    if len(set(easy)) < 2:
        yield "one regime alone", "the claim is about both"
    if not (np.isfinite(run["power_loss"]).all() and run["power_loss"].min() > 0.0):
        yield "losses that are no positive numbers", "there is nothing to learn, or a rate is not stable"
    if (run["power_loss"][..., -1] >= run["power_loss"][..., 0]).all():
        yield "losses that do not fall with N", "there is nothing to learn"
    if no_search:
        return
    if not (np.isfinite(run["loss"]).all() and run["loss"].min() > 0.0):
        yield "optima whose losses are no positive numbers", "there is nothing to learn, or a rate is not stable"
    if not run["gradient"].max() <= SETTLED:
        yield "a search that has not come to an end", f"gradient {run['gradient'].max():.2g}, over {SETTLED:g}"
    felt = run["peak"][np.array(easy)] < AT_CAP * run.config.study["cap"]
    if not felt.all():
        yield "an easy problem whose best rates are at the cap", "the noise is not felt at these horizons"


def controls() -> list[Control]:
    """Other schedules in place of the best, spectra that end, and too little to tell."""
    two = ("study.horizons", [10**6, 10**10])
    fast = (two, ("seeds.count", 4))
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("the best cosine in place of the optimum", "it is the same shape at every beta", FAILS,
         (two, ("seeds.count", 12), ("study.rates", "cosine"))),
        ("the best constant rate", "it has the exponent of capacity 1", FAILS, (*fast, ("study.rates", "constant"))),
        ("one seed", "one draw tells nothing of others", UNDECIDED, (two, ("seeds.count", 1))),
        ("the best linear decay", "it loses as little in the exponent at beta = 2, but is no power 3", FAILS,
         (*fast, ("study.rates", "linear"))),
        ("the optimum run backwards", "it ends at its highest rate", FAILS, (*fast, ("study.reversed", True))),
        ("a spectrum that ends", "sixteen axes are learnt at exponential speed, and are no power law", UNDECIDED,
         (*fast, ("study.modes", 16), ("study.bins", 16))),
        ("no noise", "the largest rate is the best everywhere", UNDECIDED, (*fast, ("study.sigma", 0.0))),
        ("noise of 1e-9", "it is not felt at these horizons", UNDECIDED, (*fast, ("study.sigma", 1e-9))),
        ("noise of 30", "exponents are far from their limits", UNDECIDED, (*fast, ("study.sigma", 30.0))),
        ("short horizons", "the shape is not near its limit", UNDECIDED,
         (("study.horizons", [1000, 10**6]), ("seeds.count", 4))),
        ("horizons side by side", "they have no slope to speak of", UNDECIDED,
         (("study.horizons", [10**10, 2 * 10**10]), ("seeds.count", 2))),
        ("two rounds of search", "it ends where it began, near a cosine", UNDECIDED, (*fast, ("study.rounds", 2))),
        ("a start at the minimiser", "there is nothing to learn", UNDECIDED,
         (two, ("seeds.count", 2), ("study.distance", 0.0))),
        ("the hard regime alone", "half of the claim is not looked at", UNDECIDED,
         (*fast, ("study.capacity", [4.0]), ("study.source", [0.3]))),
        ("another pair of problems", "shapes and exponents are those of any beta and s", HOLDS,
         (two, ("seeds.count", 12), ("study.capacity", [1.5, 3.0]), ("study.source", [1.0, 0.3]))),
        ("noise of 3", "exponents do not depend on it", HOLDS, (two, ("seeds.count", 16), ("study.sigma", 3.0))),
        ("half of the largest rate", "the hard regime goes to whatever is admitted", HOLDS,
         (two, ("seeds.count", 12), ("study.cap", 0.5))),
    )  # fmt: skip
    return [
        Control(name, why, changes, expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """The optima of both regimes over the steps; none where nothing was searched."""
    return [] if np.isnan(run["rate"]).all() else [optima_picture(run)]


def optima_picture(run: Run) -> Any:
    """Rates over the highest one against z/N, at every horizon."""
    from ..report.figures import style

    figure, panels = style.figure(len(run["capacity"]), width=6.0 * len(run["capacity"]))
    for i, axes in enumerate(panels):
        beta, s = float(run["capacity"][i]), float(run["source"][i])
        for n, steps in enumerate(run["horizon"].tolist()):
            lengths = pieces(steps)
            rates = run["rate"][i, n, : lengths.size]
            label = f"N = 10^{np.log10(steps):.3g}"
            axes.plot(middles(lengths), rates / rates.max(), color=style.COLOURS[n], linestyle=style.DASHES[n],
                      label=label)  # fmt: skip
        if is_easy(beta, s):
            z = np.linspace(0.0, 1.0, 200)
            power = 2.0 * beta - 1.0
            axes.plot(z, (1.0 - z) ** power, color="#404040", linewidth=1.0, label=f"(1 - z/N)^{power:g}")
        axes.set_title(f"{'easy' if is_easy(beta, s) else 'hard'}: beta {beta:g}, s {s:g}")
        axes.set_xlabel("z/N")
        style.legend(figure, axes) if i == 0 else None
    panels[0].set_ylabel("optimal rate / its highest")
    style.title(figure, "Easy problems want a power of the steps to go, hard ones the largest rate and a late decay")
    caption = "Optimal rates of draw 0, found by search, and the paper's shape in the easy regime."
    return style.Picture("optima", caption, figure)
