"""Schaipp, Haegele, Taylor, Simsekli, Bach (2025), The Surprising Agreement Between Convex Optimization Theory and
Learning-Rate Scheduling for Large Model Training.

arXiv:2501.18965. The bound Omega_T on the last iterate (`bounds`), each schedule at its best base rate gamma*,
with D = G = 1. At a constant rate T Omega_T^2 = 1 + H_{T-1}, which grows as log T; with a linear cooldown to 0 it tends
to a number. The paper's Theorem 9 bounds it: where the rate is 1 up to step T_0 and falls linearly to 0 at step T + 1,

    T Omega_T^2 <= 4 T / (T + T_0) [2/3 + (T + 2 T_0) / (3 (T + T_0)) + H_{T+T_0-2} - H_{T-T_0+1}
        - (T - T_0)(T_0 - 1) / (3 (T - T_0 + 2)(T + T_0)) + 1 / (T - T_0)^2 + H_{T-T_0-1} / (T - T_0 + 1)].

It is judged where it has a plateau and a cooldown, T_0 >= 2 and two steps of cooldown.

No finite T tells a cooldown to 1e-6 of the peak from one to 0. In the limit it can be told: of a shape that ends at the
rate phi, with mean rate m, the terms k near T of Omega_T's last sum are phi / (T - k), so T Omega_T^2 grows as
(phi / m) log T. The check takes this coefficient in closed form beside the growth that is measured.

Nothing is drawn, so there is no sampling error: the verdict is the same at every root. It costs a second or two.
"""

import math
from functools import partial
from typing import Any

import numpy as np

from ..claims.verdict import (
    FAILS,
    HOLDS,
    NOT_RUN,
    UNDECIDED,
    Control,
    Finding,
    Verdict,
    at_least,
    at_most,
    near,
    undecided,
    verdict,
)
from ..config.study import Study, Task
from ..inputs import rules
from ..inputs.parameters import Parameter
from ..schedules import bounds, checking
from ..schedules.rules import ascending
from ..schedules.schedule import Schedule
from ..store.file_format import Field
from ..store.run import Run

SOURCE = "Schaipp et al. (2025), arXiv:2501.18965, Theorems 1 and 9 and the comparison of schedules at T = 400"
CLAIM = (
    "A cooldown to 0 frees the last-iterate bound of the logarithm that a constant rate has: at the best base rate "
    "T Omega_T^2 stays bounded for warmup-stable-decay, linear decay and cosine, and grows as log T for a constant "
    "rate."
)
RECONSTRUCTION = (
    "The bound, Theorem 9, the cooldown over the last fifth, T = 400 and D = G = 1 are the paper's. Judging the "
    "logarithm by how much T Omega_T^2 grows with log T between the two longest horizons and by its coefficient in the "
    "limit, those horizons, and the limit of 0.01 are ours. The bound is evaluated; no model is trained."
)
GRID = """
name = "schaipp2025"

[study]
kind = "schaipp2025"
"""

NAMES = ("constant", "1/sqrt(t)", "warmup-stable-decay", "1-sqrt", "cosine", "linear")
FREE = ("warmup-stable-decay", "1-sqrt", "cosine", "linear")  # of the logarithm
GROWTH_LIMIT = 0.01
# The sums of a million terms are good to 1e-13, the square of the bound to twice that.
ROUNDING = 1e-12
# Below these, terms of order log(T)/T, and those of order 1 over the steps of the cooldown, are no longer small beside
# 0.01: of a cooldown of 16, 32, 40 and 64 steps gamma* has an exponent that is off by up to 0.0138, 0.0103, 0.0093 and
# 0.0074, at T = 1000 and 2000 or 3000.
LEAST_HORIZON, LEAST_FACTOR, LEAST_COOLDOWN = 1000, 2.0, 40


def schedule(name: str, steps: int, parameters: dict[str, Any]) -> Schedule:
    """A schedule of the paper, with base rate 1, as a `simlr.schedules.Schedule` of `steps` steps."""
    final, cooldown = parameters["final"], steps_of_cooldown(steps, parameters["cooldown"])
    decaying = {"learning_rate": 1.0, "end_learning_rate": final, "steps": steps}
    table = {
        "constant": {"kind": "constant", "learning_rate": 1.0, "steps": steps},
        "1/sqrt(t)": {"kind": "inverse_sqrt", "learning_rate": 1.0, "steps": steps},
        "warmup-stable-decay": {"kind": "warmup_stable_decay", "decay_steps": cooldown, **decaying},
        "1-sqrt": {"kind": "warmup_stable_decay", "decay_steps": steps, "decay": "1-sqrt", **decaying},
        "cosine": {"kind": "cosine", **decaying},
        "linear": {"kind": "linear", **decaying},
    }[name]
    return checking.build(name, name, "absolute", [checking.check_phase(name, table)], steps)


def measure(task: Task) -> dict[str, Any]:
    """Bounds at every horizon, and their course at one."""
    horizons = [int(steps) for steps in task.parameters["horizons"]]
    shown = task.parameters["shown"]
    course = np.arange(1, shown + 1)
    found: dict[str, Any] = {
        "schedule": NAMES,
        "horizon": horizons,
        "step": course,
        **{name: np.empty((len(NAMES), len(horizons))) for name in ("best_bound", "best_rate")},
        **{name: np.empty((len(NAMES), shown)) for name in ("rate", "bound")},
        "theorem_9": [theorem_9(steps, task.parameters["cooldown"]) for steps in horizons],
    }
    for i, name in enumerate(NAMES):
        for j, steps in enumerate(horizons):
            terms = bounds.of_schedule(schedule(name, steps, task.parameters))
            found["best_bound"][i, j], found["best_rate"][i, j] = terms.best, terms.best_rate
        made = schedule(name, shown, task.parameters)
        gamma = bounds.of_schedule(made).best_factor
        found["rate"][i] = gamma * made.rates(0, shown)
        found["bound"][i] = [bounds.of_schedule(made, int(step)).at(gamma) for step in course]
        task.progress(i + 1, len(NAMES))
    return found


def theorem_9(steps: int, cooldown: float) -> float:
    """The paper's bound on Omega_T at gamma*, D = G = 1, for a linear cooldown over that part of T + 1 steps."""
    start = steps + 1 - steps_of_cooldown(steps, cooldown)  # T_0, the last step at the full rate
    falling, both = steps - start, steps + start
    if falling < 1:
        return math.nan
    inner = 2 / 3 + (steps + 2 * start) / (3 * both) + bounds.harmonic(both - 2) - bounds.harmonic(falling + 1)
    inner += -falling * (start - 1) / (3 * (falling + 2) * both) + falling**-2.0
    inner += bounds.harmonic(falling - 1) / (falling + 1)
    return math.sqrt(4 * inner / both)


@rules.VectorRule
def _horizons(key, value):
    """Whole numbers of steps, ascending, at least two."""
    found = ascending(key, value)
    if len(found) < 2 or found[0] < 8:
        rules.refuse(key, "at least two ascending whole numbers >= 8", value)
    return found


STUDY = Study(
    "schaipp2025",
    "the last-iterate bound of convex theory for the paper's schedules, each at its best base rate",
    (
        Parameter("horizons", _horizons, tuple(4**k for k in range(3, 11)), "numbers of steps T"),
        Parameter(
            "cooldown",
            partial(rules.number, above=0.0, most=1.0, rule="a finite number > 0 and <= 1"),
            0.2,
            "the part of the steps over which warmup-stable-decay decays",
        ),
        Parameter("final", rules.not_negative, 0.0, "what the decaying schedules end at, in units of the base rate"),
        Parameter("shown", rules.count, 400, "the T whose course is drawn"),
    ),
    (
        Field("schedule", ("schedule",), "str", "schedule"),
        Field("horizon", ("horizon",), "<i8", "number of steps T"),
        Field("step", ("step",), "<i8", "step, from 1"),
        Field("best_bound", ("schedule", "horizon"), "<f8", "Omega_T at the best base rate", "D G"),
        Field("best_rate", ("schedule", "horizon"), "<f8", "the largest rate there", "D/G"),
        Field("rate", ("schedule", "step"), "<f8", "learning rate at the best base rate", "D/G"),
        Field("bound", ("schedule", "step"), "<f8", "Omega_t had one stopped there", "D G"),
        Field("theorem_9", ("horizon",), "<f8", "the paper's bound on warmup-stable-decay's Omega_T", "D G"),
    ),
    measure,
)


# ---- the check ----


def coefficient(name: str, cooldown: float, final: float) -> float:
    """The coefficient of log T in T Omega_T^2 as T grows without end: the last rate over the mean one."""
    falls = {"warmup-stable-decay": cooldown / 2.0, "1-sqrt": 2.0 / 3.0, "cosine": 0.5, "linear": 0.5}[name]
    return final / (1.0 - falls * (1.0 - final))


def steps_of_cooldown(steps: int, cooldown: float) -> int:
    """How many of so many steps warmup-stable-decay's cooldown takes."""
    return min(max(1, int(cooldown * (steps + 1))), steps)


def check(run: Run) -> Verdict:
    """Closed forms at every horizon, growth with log T at the last and in the limit, and the figures at T = 400."""
    horizons, best = run["horizon"], run["best_bound"]
    scaled = {name: horizons * best[i] ** 2 for i, name in enumerate(NAMES)}  # T Omega_T^2
    exact = np.array([1.0 + bounds.harmonic(int(steps) - 1) for steps in horizons])
    own = run.config.study
    limit = max(coefficient(name, own["cooldown"], own["final"]) for name in FREE)
    cosine, wsd = (run["rate"][NAMES.index(name)].max() for name in ("cosine", "warmup-stable-decay"))
    return verdict(
        CLAIM,
        [
            at_most(
                "constant: T Omega_T^2 against 1 + H_{T-1}, worst relative error",
                float(abs(scaled["constant"] / exact - 1.0).max()),
                ROUNDING,
            ),
            at_most("largest coefficient of log T after a cooldown, in the limit", limit, 0.0, "last rate / mean rate"),
            *_growth(run, horizons[-2:].tolist(), {name: values[-2:] for name, values in scaled.items()}),
            _theorem(run),
            Finding(
                f"gamma* of cosine over that of warmup-stable-decay, T = {own['shown']}",
                float(cosine / wsd), "", "", note="told, not judged",
            ),
        ],
    )  # fmt: skip


def _growth(run, horizons, scaled):
    """What happens between the two longest horizons; undecided where they are too short to tell."""
    short, long = horizons
    lengths = [steps_of_cooldown(steps, run.config.study["cooldown"]) for steps in horizons]
    over = f"over log T, T = {short} to {long}"
    if short < LEAST_HORIZON or long < LEAST_FACTOR * short:
        why = f"T >= {LEAST_HORIZON} and a factor of {LEAST_FACTOR:g} between the two longest are needed"
        return [undecided(f"growth of T Omega_T^2 {over}", why)]
    wide = math.log(long) - math.log(short)
    growth = {name: float(values[1] - values[0]) / wide for name, values in scaled.items()}
    wsd, constant = (NAMES.index(name) for name in ("warmup-stable-decay", "constant"))
    fall = float(np.diff(np.log(run["best_rate"][wsd, -2:]))[0]) / wide
    ratio = float(run["best_bound"][wsd, -1] / run["best_bound"][constant, -1])
    own = [
        at_most(f"warmup-stable-decay: growth of T Omega_T^2 {over}", growth["warmup-stable-decay"], GROWTH_LIMIT),
        at_most(f"warmup-stable-decay: Omega_T over that of a constant rate, T = {long}", ratio, 1.0),
        near("warmup-stable-decay: exponent of gamma* in T", fall, -0.5, 0.01),
    ]
    if lengths[0] < LEAST_COOLDOWN and lengths[1] > 1:
        why = f"a cooldown of {lengths[0]} steps is too short to tell a part of T from a number of steps"
        own = [found if found.outcome == HOLDS else found._replace(outcome=UNDECIDED, note=why) for found in own]
    return [
        near(f"constant: growth of T Omega_T^2 {over}", growth["constant"], 1.0, 0.01),
        *(at_most(f"{name}: growth of T Omega_T^2 {over}", growth[name], GROWTH_LIMIT) for name in FREE[1:]),
        at_least(f"1/sqrt(t): growth of T Omega_T^2 {over}", growth["1/sqrt(t)"], 0.1, "keeps a logarithm, too"),
        *own,
    ]


def _theorem(run):
    """Theorem 9 beside the bound, where there is a plateau and a cooldown."""
    what = "warmup-stable-decay: Omega_T over Theorem 9, largest of all T"
    lengths = np.array([steps_of_cooldown(int(steps), run.config.study["cooldown"]) for steps in run["horizon"]])
    judged = (run["horizon"] + 1 - lengths >= 2) & (lengths >= 2)
    if not judged.any():
        return Finding(what, "", "<= 1", "", NOT_RUN, "no T has both a plateau and a cooldown of two steps")
    ratio = run["best_bound"][NAMES.index("warmup-stable-decay")] / run["theorem_9"]
    return at_most(what, float(ratio[judged].max()), 1.0, f"at {judged.sum()} of {judged.size} T")


def controls() -> list[Control]:
    """Cooldowns that are none, so that the logarithm is back; such as are; and horizons that cannot tell."""
    end = "near the end the rate is then as good as constant, at this part of the base rate, and the logarithm returns"
    short = "a cooldown over a single step, whatever T, leaves the constant rate as it is"
    true, few = "a cooldown to 0 over any part of T", "log T hardly grows, or terms in 1/T are not small"
    lower = "the claim is about long training, and this is the same bound"
    table = (
        ("a cooldown to a tenth of the base rate", end, FAILS, "final", 0.1),
        ("a cooldown of one step", short, FAILS, "cooldown", 1e-12),
        ("two short horizons", few, UNDECIDED, "horizons", [64, 128]),
        ("a cooldown to 1e-3 of the base rate", end, FAILS, "final", 1e-3),
        ("a cooldown to 1e-6 of the base rate", end, FAILS, "final", 1e-6),
        ("a cooldown to 1e-15 of the base rate", end, FAILS, "final", 1e-15),
        ("no cooldown", "all rates are then constant", FAILS, "final", 1.0),
        ("warming up in place of cooling down", "the rate then ends at twice the base rate", FAILS, "final", 2.0),
        ("a cooldown over a hundredth", true, HOLDS, "cooldown", 0.01),
        ("a cooldown over half of the steps", true, HOLDS, "cooldown", 0.5),
        ("a cooldown over all steps", true, HOLDS, "cooldown", 1.0),
        ("a cooldown over 2e-6 of the steps", "one and two steps at the longest T", UNDECIDED, "cooldown", 2e-6),
        ("two horizons side by side", few, UNDECIDED, "horizons", [100_000, 100_001]),
        ("two long horizons", lower, HOLDS, "horizons", [4096, 65536]),
    )  # fmt: skip
    return [
        Control(name, why, ((f"study.{key}", value), ("study.shown", 50)), expected=expected, always=place < 3)
        for place, (name, why, expected, key, value) in enumerate(table)
    ]


# ---- pictures ----


def pictures(run: Run) -> list:
    """The schedules beside their bounds at one T, and the bound's constant against T."""
    return [courses_picture(run), scaling_picture(run)]


def courses_picture(run: Run) -> Any:
    """Rates, and the bound had one stopped there."""
    from ..report.figures import style

    figure, (left, right) = style.figure(2, width=12.0)
    for i, name in enumerate(NAMES):
        look = {"color": style.COLOURS[i], "linestyle": style.DASHES[i]}
        left.plot(run["step"], run["rate"][i], label=name, **look)
        right.plot(run["step"], run["bound"][i], **look)
    last = run["bound"][:, -1]
    left.set_ylim(0.0, 1.1 * run["rate"][[NAMES.index(name) for name in FREE]].max())
    right.set_ylim(0.8 * last.min(), 3.0 * last.max())
    left.set_ylabel("learning rate at the best base rate")
    right.set_ylabel("bound on f(x) - f*, D = G = 1")
    for axes in (left, right):
        axes.set_xlabel("step")
    style.legend(figure, left)
    style.title(figure, "A cooldown pulls the bound down at the end, to that of linear decay and cosine")
    caption = (
        f"Left: the schedules over {run['step'][-1]} steps, each at its best base rate; 1/sqrt(t) starts above. Right: "
        "the last-iterate bound had one stopped at that step."
    )
    return style.Picture("courses", caption, figure)


def scaling_picture(run: Run) -> Any:
    """T Omega_T^2 against T: a line for a constant rate, level for what decays to 0."""
    from ..report.figures import style

    figure, (axes,) = style.figure()
    horizons = run["horizon"]
    for i, name in enumerate(NAMES):
        look = {"color": style.COLOURS[i], "linestyle": style.DASHES[i], "marker": style.MARKERS[i]}
        axes.plot(horizons, horizons * run["best_bound"][i] ** 2, label=name, **look)
    theorem = horizons * run["theorem_9"] ** 2
    axes.plot(horizons, theorem, color=style.COLOURS[6], linewidth=1.4, label="Theorem 9, warmup-stable-decay")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("number of steps T")
    axes.set_ylabel("T Omega_T^2 / (D G)^2 at the best base rate")
    style.legend(figure, axes)
    style.title(figure, "A constant rate pays a logarithm, a cooldown to 0 does not")
    caption = "The bound's square times T: level where it is the best possible, DG/sqrt(T), but for a factor."
    return style.Picture("scaling", caption, figure)
