"""Wang, Huang, Li, Wu (2026): how momentum and the batch size enter the scaling of one-pass SGD.

On a power law, capacity beta and source s (`simlr.papers._power_laws`), at a constant rate eta and momentum rho, with B
rows a step, eta_rho = eta/(1 - rho):

    largest stable rates  ~ 1 (SGD), min(1, B (1 - rho)) (Polyak), min(1, B^beta (1 - rho)) (Nesterov),
    noise floors          ~ (sigma^2/B) eta_rho (Polyak), (sigma^2/B) min(eta_rho, eta_rho^(1/beta)) (Nesterov),

and with B = D^b of D rows the best rate and momentum have a loss of D^-p: p = s/(s + 1) at small b; SGD s (1 - b) from
b1 = s/(s + 1) on; Polyak 2 s (1 - b) from b3 = (2 s + 1)/(2 s + 2) on; Nesterov s (1 + (beta - 1) b)/(s beta + 1) from
b1 and 2 s (1 - b) from b2 = (2 s + 1/beta)/(2 s + 1 + 1/beta) on.

Rates and floors are those of `simlr.stability` on d = 4096 modes, in the paper's scale, where R has a factor 1/2.
Losses are exact, of label noise alone, after up to 2^28 steps (`simlr.papers._momentum`), with rates at which the
excess loss's own noise gives back less than half of it. Exponents in B and 1 - rho are off by terms 1/B and by the
modes that end at d, some .01 to .05; those in D by powers of D that are smaller, some .01. The tolerances, .1 for beta
and .05 and .03 for the others, and the t-tests over the draws were fixed on roots from 1,000 on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims.verdict import FAILS, HOLDS, UNDECIDED, Control, Finding, Verdict, outside, undecided, verdict
from ..config.study import Study, Task
from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..store.file_format import Field
from ..store.run import Run
from . import _momentum as momentum
from . import _power_laws as laws

SOURCE = "Wang, Huang, Li, Wu (2026): critical rates, floors and exponents in the batch size, as quoted; body not read"
CLAIM = (
    "Polyak's momentum is stable up to min(1, B (1 - rho)) and Nesterov's up to min(1, B^beta (1 - rho)), with floors "
    "(sigma^2/B) eta_rho and (sigma^2/B) min(eta_rho, eta_rho^(1/beta)); so with B = D^b momentum keeps the exponent "
    "of the loss in D up to larger b than SGD, and Nesterov's improves on it in between."
)
RECONSTRUCTION = (
    "The rates, floors, exponents and borders, d = 4096 and beta = 2 for limits are the paper's. Nesterov's floor is "
    "taken after the gradient's step, as there, its losses in D at torch's parameters. Label noise alone for these, "
    "beta = 3, s = 1, b = .25, .65 and .85, factors within sqrt(1.2), numbers of steps and tolerances are ours."
)
GRID = """
name = "wang2026"

[study]
kind = "wang2026"

[seeds]
count = 10
"""

NAMES = momentum.OPTIMIZERS
KINDS = {"SGD": "gd", "Polyak": "momentum", "Nesterov": "nesterov"}
PLACES = 4  # numbers of steps, batch sizes or momenta of each exponent
# What is measured of limits and floors: (label, optimiser, [(log2 B, log2 (1 - rho), log10 of the rate), ...], which of
# the three the exponent is of); limits have no rate.
LIMITS = (
    ("Polyak: largest rate in 1 - rho", "Polyak", [(5, -10 - 2 * k) for k in range(PLACES)], 1),
    ("Polyak: largest rate in B", "Polyak", [(3 + k, -20) for k in range(PLACES)], 0),
    ("Nesterov: largest rate in 1 - rho", "Nesterov", [(5, -18 - 2 * k) for k in range(PLACES)], 1),
    ("Nesterov: largest rate in B", "Nesterov", [(4 + k, -24) for k in range(PLACES)], 0),
)
FLOORS = (
    ("Polyak: floor in eta_rho", "Polyak", [(14, -6 - 2 * k, -3) for k in range(PLACES)], 1),
    ("Polyak: floor in B", "Polyak", [(14 + 2 * k, -6, -3) for k in range(PLACES)], 0),
    ("Nesterov: floor in eta_rho, small", "Nesterov", [(14, -2 - 2 * k, -4) for k in range(PLACES)], 1),
    ("Nesterov: floor in eta_rho, large", "Nesterov", [(14, -16 - 2 * k, -2) for k in range(PLACES)], 1),
    ("Nesterov: floor in B", "Nesterov", [(14 + 2 * k, -16, -2) for k in range(PLACES)], 0),
)
SGD_BATCHES = tuple(2 ** (2 * k) for k in range(6))
LARGE_BATCH, LARGE_LEFT = 2.0**20, 2.0**-4
CONSTANTS, LOWEST, HIGHEST = 4.0, 0.5, 4.0  # limits ~ 1: of SGD over B, largest over smallest; of all at a large batch
RATE_TOLERANCE, CAPACITY_TOLERANCE, TOLERANCE = 0.05, 0.1, 0.03
LEAST_MOVE = 0.01  # of the best eta_rho times the steps
MOST_LOG_BATCH = 900  # a batch beyond 2^900 has a square that is no number
LEAST_LOG_STEPS, FROM_BORDER = 20, 0.03  # of the most steps; of b, within which two exponents cannot be told
# The fewest modes that Nesterov's limits and floors may reach, how many there are for one; most log2 B^beta (1 - rho).
LEAST_REACH, BEYOND, MOST_BOUND = 8.0, 16.0, -2.0


def measure(task: Task) -> dict[str, Any]:
    """Limits and floors of the nominal problem's draws, and best losses at every b and number of steps."""
    own = task.parameters
    # So many bins leave every mode in one of its own.
    spectrum = laws.drawn(task.root, task.seeds, own["limit_capacity"], 1.0, own["dimension"], own["dimension"] * 20,
                          own["spread"])  # fmt: skip
    problem = laws.drawn(task.root, task.seeds, own["capacity"], own["source"], own["modes"], own["bins"],
                         own["spread"])  # fmt: skip
    shape = len(own["batch_powers"]), len(NAMES), task.seeds, PLACES
    found = {
        "sgd_limit": np.empty((len(SGD_BATCHES), task.seeds)),
        "large_limit": np.empty((len(NAMES), task.seeds)),
        "limit": np.empty((len(LIMITS), task.seeds, PLACES)),
        "floor": np.empty((len(FLOORS), task.seeds, PLACES)),
        "loss": np.empty(shape),
        "rate": np.empty(shape),
        "left": np.empty(shape),
    }
    for k in range(task.seeds):
        _of_stability(found, k, spectrum.curvature[k], own)
        for i, b in enumerate(own["batch_powers"]):
            for n in range(PLACES):
                m = int(own["log_steps"][i]) + n * own["log_apart"]
                batch = _batch(m, b)
                setting = momentum.Setting(problem.curvature[k], (own["distance"] * problem.start[k]) ** 2,
                                           problem.modes, batch, own["sigma"], m, own["least_left"])  # fmt: skip
                for j, name in enumerate(NAMES):
                    runs = "Polyak" if own["polyak_alone"] and name == "Nesterov" else name
                    found["loss"][i, j, k, n], found["rate"][i, j, k, n], found["left"][i, j, k, n] = momentum.best(
                        runs, setting
                    )
        task.progress(k + 1, task.seeds)
    log_rows = np.array([[(m0 + n * own["log_apart"]) / (1.0 - b) for n in range(PLACES)]
                         for m0, b in zip(own["log_steps"], own["batch_powers"], strict=False)])  # fmt: skip
    return found | {"optimizer": NAMES, "batch_power": list(own["batch_powers"]), "log_rows": log_rows,
                    "batch": SGD_BATCHES, "of_limit": [one[0] for one in LIMITS],
                    "of_floor": [one[0] for one in FLOORS]}  # fmt: skip


def _batch(m, b):
    """B = D^b where D = 2^m B; refused where it is beyond all numbers."""
    power = m * b / (1.0 - b)
    if power > MOST_LOG_BATCH:
        raise InputError(
            f"study.batch_powers: b = {b:g} takes batches of 2^{power:.0f} rows in 2^{m} steps; "
            f"at most 2^{MOST_LOG_BATCH}"
        )
    return 2.0**power


def _of_stability(found, k, lam, own):
    """Limits and floors of draw k, in the paper's scale: simlr's curvature is twice, its rate half of the paper's."""
    first = float(lam.max())

    def of(name, batch, left, rate=None):
        from ..engine.stability import stability

        runs = "Polyak" if own["polyak_alone"] and name == "Nesterov" and rate is None else name
        method = {"kind": KINDS[runs]} | ({} if runs == "SGD" else {"momentum": 1.0 - left})
        noise = {"kind": "fresh", "batch_size": batch, "sigma": own["sigma"]}
        if not own["own_noise"]:
            noise = {"kind": "gradient", "covariance": "hessian", "sigma": own["sigma"] / np.sqrt(0.5 * batch)}
        return stability(2.0 * lam[None], noise, method, None if rate is None else 0.5 * rate / first)

    found["sgd_limit"][:, k] = [2.0 * first * of("SGD", batch, 1.0).limit[0] for batch in SGD_BATCHES]
    found["large_limit"][:, k] = [2.0 * first * of(name, LARGE_BATCH, LARGE_LEFT).limit[0] for name in NAMES]
    for i, (_, name, places, _) in enumerate(LIMITS):
        found["limit"][i, k] = [2.0 * first * of(name, 2.0**b, 2.0**left).limit[0] for b, left in places]
    for i, (_, name, places, _) in enumerate(FLOORS):
        found["floor"][i, k] = [of(name, 2.0**b, 2.0**left, 10.0**rate).step_floor[0] for b, left, rate in places]


@rules.VectorRule
def _batch_powers(key, value):
    found = rules.vector(3)(key, value)
    if min(found) < 0.0 or max(found) >= 1.0 or sorted(found) != list(found):
        rules.refuse(key, "three ascending numbers from 0 to below 1", value)
    return found


@rules.VectorRule
def _log_steps(key, value):
    found = rules.vector(3)(key, value)
    if min(found) < 1.0 or max(found) > 40.0 or any(one != int(one) for one in found):
        rules.refuse(key, "three whole numbers from 1 to 40", value)
    return found


def _log_apart(key, value):
    return rules.count(key, value, most=20)


def _least_left(key, value):
    return rules.number(key, value, above=0.0, most=1.0, rule="a number > 0, at most 1")


_LOSSES = "b", "optimizer", "seed", "place"
STUDY = Study(
    "wang2026",
    "largest rates, floors and exponents of SGD, Polyak's and Nesterov's momentum on drawn power laws",
    (
        Parameter("limit_capacity", laws.above_one, 2.0, "beta of the problem of limits and floors"),
        Parameter("dimension", rules.count, 4096, "its modes"),
        Parameter("capacity", laws.above_one, 3.0, "beta of the problem of losses"),
        Parameter("source", rules.positive, 1.0, "its s"),
        Parameter("modes", rules.count, 10**7, "its modes"),
        Parameter("bins", rules.count, 70, "in which they are counted"),
        Parameter(
            "batch_powers", _batch_powers, (0.25, 0.65, 0.85), "b of B = D^b, one before, between, after borders"
        ),
        Parameter("log_steps", _log_steps, (16.0, 14.0, 10.0), "m of the fewest steps 2^m, for each b"),
        Parameter("log_apart", _log_apart, 4, "what m grows by, three times"),
        Parameter("sigma", rules.not_negative, 1.0, "standard deviation of the labels' noise"),
        Parameter("spread", laws.at_least_one, 1.2, "largest over smallest factor on eigenvalues and coefficients"),
        Parameter("distance", rules.not_negative, 1.0, "of the start, in units of the nominal one"),
        Parameter("least_left", _least_left, 1e-12, "the least 1 - rho that is tried"),
        Parameter("own_noise", rules.flag, True, "limits with the rows' own noise; else with that of labels alone"),
        Parameter("polyak_alone", rules.flag, False, "run Polyak's momentum in Nesterov's place, floors apart"),
    ),
    (
        Field("optimizer", ("optimizer",), "str", "SGD, and two kinds of momentum"),
        Field("batch_power", ("b",), "<f8", "b of B = D^b"),
        Field("log_rows", ("b", "place"), "<f8", "log2 of the rows D"),
        Field("batch", ("batch",), "<i8", "batch sizes of SGD's largest rates"),
        Field("of_limit", ("of_limit",), "str", "exponent of a largest rate"),
        Field("of_floor", ("of_floor",), "str", "exponent of a floor"),
        Field("sgd_limit", ("batch", "seed"), "<f8", "largest stable rate of SGD", "1/lam_1"),
        Field("large_limit", ("optimizer", "seed"), "<f8", "largest stable rate, B = 2^20, rho = 15/16", "1/lam_1"),
        Field("limit", ("of_limit", "seed", "place"), "<f8", "largest stable rate", "1/lam_1"),
        Field("floor", ("of_floor", "seed", "place"), "<f8", "noise floor, after the gradient's step"),
        Field("loss", _LOSSES, "<f8", "excess loss at the best rate and momentum"),
        Field("rate", _LOSSES, "<f8", "the rate"),
        Field("left", _LOSSES, "<f8", "1 - rho"),
    ),
    measure,
)


# ---- the check ----


def borders(s: float, beta: float) -> tuple[float, float, float]:
    """b1, b2, b3."""
    return s / (s + 1.0), (2.0 * s + 1.0 / beta) / (2.0 * s + 1.0 + 1.0 / beta), (2.0 * s + 1.0) / (2.0 * s + 2.0)


def theory(name: str, s: float, beta: float, b: float) -> float:
    """The exponent p of the loss D^-p."""
    b1, b2, b3 = borders(s, beta)
    if b <= {"SGD": b1, "Polyak": b3, "Nesterov": b1}[name]:
        return s / (s + 1.0)
    if name == "SGD":
        return s * (1.0 - b)
    if name == "Nesterov" and b <= b2:
        return s * (1.0 + (beta - 1.0) * b) / (s * beta + 1.0)
    return 2.0 * s * (1.0 - b)


def check(run: Run) -> Verdict:
    """Limits, floors and the exponents of the loss in the rows."""
    why = list(_cannot_tell(run))
    if why:
        return verdict(CLAIM, [undecided(what, note) for what, note in why])
    judged, far = [*_of_limits(run), *_of_losses(run)], _few_modes(run.config.study)
    spread = float((run["sgd_limit"].max(axis=0) / run["sgd_limit"].min(axis=0)).max())
    outcome = HOLDS if spread <= CONSTANTS else FAILS
    low, high = float(run["large_limit"].min()), float(run["large_limit"].max())
    at_large = HOLDS if low >= LOWEST and high <= HIGHEST else FAILS
    of_one = [
        Finding("SGD: largest rates over B = 1 to 1024", spread, f"within a factor {CONSTANTS:g}", "", outcome),
        Finding("largest rates at a large batch, 1/lam_1", f"{low:.3g} to {high:.3g}", f"{LOWEST:g} to {HIGHEST:g}", "",
                at_large),
    ]  # fmt: skip
    return verdict(CLAIM, [*laws.tested(judged), *(outside(one, far) for one in of_one)])


def _of_limits(run):
    """What is judged of limits and floors."""
    beta, far = run.config.study["limit_capacity"], _few_modes(run.config.study)
    for name, table, papers in (
        ("limit", LIMITS, (1.0, 1.0, 1.0, beta)),
        ("floor", FLOORS, (1.0, -1.0, 1.0, 1.0 / beta, -1.0)),
    ):
        for i, ((what, _, places, which), paper) in enumerate(zip(table, papers, strict=True)):
            budgets = 2.0 ** np.array([place[which] for place in places], np.float64)
            budgets = 1.0 / budgets if name == "floor" and which == 1 else budgets  # eta_rho grows as 1/(1 - rho)
            room = CAPACITY_TOLERANCE if paper == beta else RATE_TOLERANCE
            yield laws.Judged(f"{what} (beta {beta:g})", -laws.slopes(budgets, run[name][i]), paper, room, far)


def _few_modes(own):
    """Why limits and floors of Nesterov's momentum are those of too few modes, or of its other bound; "" where not.

    The modes that count are those with eta lam_j > 1 - rho, at a limit B of them, at a floor eta_rho^(1/beta); and a
    limit is a power up to B^beta (1 - rho) ~ 1.
    """
    beta = own["limit_capacity"]
    reached = [2.0**b for _, name, places, _ in LIMITS if name == "Nesterov" for b, _ in places]
    reached += [(10.0**rate / 2.0**left) ** (1.0 / beta) for _, left, rate in FLOORS[3][2]]
    bound = max(beta * b + left for _, name, places, _ in LIMITS if name == "Nesterov" for b, left in places)
    if own["dimension"] < BEYOND * max(reached):
        return f"the spectrum ends: study.dimension is below {BEYOND:g} times the {max(reached):.0f} modes that count"
    if min(reached) < LEAST_REACH or bound > MOST_BOUND:
        return "study.limit_capacity is so large that too few modes count, or rates are bound as those of SGD"
    return ""


def exponents(run: Run, i: int, j: int) -> NDArray[np.float64]:
    """p (seed,) of the loss at the i-th b of an optimiser."""
    return laws.slopes(2.0 ** run["log_rows"][i], run["loss"][i, j])


def _of_losses(run):
    """What is judged of the losses in D."""
    own = run.config.study
    s, beta = own["source"], own["capacity"]
    steps = run["log_rows"] * (1.0 - run["batch_power"][:, None])
    moved = run["rate"] / run["left"] * 2.0 ** steps[:, None, None, :]
    far = "; ".join(laws.far_from_limits(own, float(moved.max()) * own["modes"] ** -beta))
    for i, b in enumerate(run["batch_power"].tolist()):
        for j, name in enumerate(NAMES):
            what = f"{name}: exponent of the loss, B = D^{b:g} (beta {beta:g}, s {s:g})"
            rows, paper = 2.0 ** run["log_rows"][i], theory(name, s, beta, b)
            yield laws.of_power(what, rows, run["loss"][i, j], paper, TOLERANCE, far)


def _cannot_tell(run):
    """What keeps the claim from being judged, (what, why)."""
    own = run.config.study
    yield from laws.cannot_tell(own)
    b1, b2, b3 = borders(own["source"], own["capacity"])
    low, middle, high = run["batch_power"].tolist()
    if not (low < b1 < middle < min(b2, b3) and high > max(b2, b3)):
        yield "batch sizes that do not lie on the three sides of the borders", f"{b1:.3g}, {b2:.3g} and {b3:.3g}"
    if min(abs(b - border) for b in (low, middle, high) for border in (b1, b2, b3)) < FROM_BORDER:
        yield "a batch size at a border", f"two exponents cannot be told within {FROM_BORDER:g} of it"
    most = [m + (PLACES - 1) * own["log_apart"] for m in own["log_steps"]]
    if min(most) < LEAST_LOG_STEPS or own["log_apart"] < 2:
        yield "too few steps", f"2^{LEAST_LOG_STEPS} at least, and factors of 4 or more between"
    for name in ("limit", "floor", "loss", "sgd_limit", "large_limit"):
        if not (np.isfinite(run[name]).all() and run[name].min() > 0.0):
            yield f"{name}: no positive numbers", "not stable, without noise, or with nothing to learn"
    steps = run["log_rows"] * (1.0 - run["batch_power"][:, None])
    if (run["rate"] / run["left"] * 2.0 ** steps[:, None, None, :] < LEAST_MOVE).any():
        yield "a best rate that is nearly 0", "there is nothing to learn"


def controls() -> list[Control]:
    """Momentum that is none, noise that is none, spectra that end, and too little to tell."""
    few = (("seeds.count", 12),)
    table: tuple[tuple[str, str, str, tuple[tuple[str, Any], ...]], ...] = (
        ("no momentum", "it cannot do better than SGD at large batches", FAILS, (("study.least_left", 1.0),)),
        ("Polyak's in Nesterov's place", "its limits are other powers", FAILS, (("study.polyak_alone", True),)),
        ("one seed", "one draw tells nothing of others", UNDECIDED, (("seeds.count", 1),)),
        ("label noise alone", "momentum is then stable at any batch size", FAILS,
         (("study.own_noise", False),)),
        ("momentum of a half at most", "it gains a factor of 2, no power", FAILS, (("study.least_left", 0.5),)),
        ("a spectrum that ends", "sixteen axes are learnt at exponential speed, and are no power law", UNDECIDED,
         (("study.modes", 16), ("study.bins", 16))),
        ("64 modes for the limits", "Nesterov's limit is that of a spectrum that ends", UNDECIDED,
         (("study.dimension", 64),)),
        ("no noise", "there are no floors", UNDECIDED, (("study.sigma", 0.0),)),
        ("noise of 1e-12", "it is not felt at these numbers of rows", UNDECIDED, (("study.sigma", 1e-12),)),
        ("few steps", "the powers are not near their limits", UNDECIDED,
         (("study.log_steps", [4, 4, 4]), ("study.log_apart", 2))),
        ("batch sizes below the first border", "all have one exponent there", UNDECIDED,
         (("study.batch_powers", [0.1, 0.2, 0.3]),)),
        ("a batch size at a border", "two exponents cannot be told there", UNDECIDED,
         (("study.batch_powers", [0.25, 0.65, 0.76]),)),
        ("a start at the minimiser", "there is nothing to learn", UNDECIDED, (("study.distance", 0.0),)),
        ("other batch sizes", "the exponents are those of any b", HOLDS,
         (("study.batch_powers", [0.3, 0.62, 0.88]),)),
        ("another problem", "and of any beta and s", HOLDS,
         (("study.capacity", 2.0), ("study.source", 1.5),
          ("study.batch_powers", [0.3, 0.7, 0.88]), ("study.log_steps", [18, 16, 12]))),
        ("noise of 2", "exponents do not depend on it", HOLDS, (("study.sigma", 2.0),)),
    )  # fmt: skip
    return [
        Control(name, why, (*few, *changes), expected=expected, always=place < 3)
        for place, (name, why, expected, changes) in enumerate(table)
    ]


# ---- the picture ----


def pictures(run: Run) -> list:
    """The exponents in D against b."""
    return [exponents_picture(run)]


def exponents_picture(run: Run) -> Any:
    """The paper's exponents as lines, those measured as points."""
    from ..report.figures import style

    figure, (axes,) = style.figure()
    s, beta = run.config.study["source"], run.config.study["capacity"]
    every = np.linspace(0.0, 0.99, 400)
    for j, name in enumerate(NAMES):
        axes.plot(every, [theory(name, s, beta, b) for b in every], color=style.COLOURS[j], linestyle=style.DASHES[j])
        found = [float(exponents(run, i, j).mean()) for i in range(len(run["batch_power"]))]
        axes.plot(run["batch_power"], found, style.MARKERS[j], color=style.COLOURS[j], label=name)
    axes.set_xlabel("b, of B = D^b")
    axes.set_ylabel("p, of loss D^-p")
    style.legend(figure, axes)
    style.title(figure, "Momentum keeps the exponent of the loss up to larger batches")
    caption = (
        f"Lines: the paper's exponents for beta = {beta:g}, s = {s:g}. Points: exact losses, means over the draws."
    )
    return style.Picture("exponents", caption, figure)
