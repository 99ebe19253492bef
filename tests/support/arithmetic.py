"""Exact descent against twins of more digits: random problems, ordinary and extreme, in every engine.

    python tests/support/arithmetic.py KIND FIRST LAST

runs the batches FIRST to LAST - 1 of a kind, `plain`, `extreme`, `varying` or `flow`, and prints how many results were
compared and which were wrong, as JSON. A batch follows from its kind and number. Long double judges; what it finds
wrong is judged again in fifty digits, and only what both find wrong counts.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

import simlr
from naive import precise

REACHED, OUT_OF_STEPS, DIVERGED, AT_FLOOR = 1, 2, 3, 4
ENGINES = "recurrence", "closed-form"
LEVELS = 8
LARGEST = np.finfo(np.float64).max
Steps = list[tuple[float, int]]  # (rate, so many steps) one after the other


class Problems(NamedTuple):
    """A batch of problems, all with the same schedules and levels."""

    curvature: np.ndarray  # (N, d)
    residual: np.ndarray  # (N, d)
    schedules: list[dict]  # tables of the grid
    levels: np.ndarray  # (E,)


# ---- problems ----


def constant(steps: Steps) -> list[dict]:
    """Phases of constant rates."""
    return [{"kind": "constant", "learning_rate": float(rate), "steps": int(count)} for rate, count in steps]


def plain(rng):
    """Curvatures over three decades, levels over twelve, one to four phases of rates up to 2.5 / sharpness."""
    seeds, axes = 400, rng.integers(1, 5)
    curvature, residual = 10 ** rng.uniform(-2.0, 1.0, (seeds, axes)), rng.normal(size=(seeds, axes))
    schedules = []
    for name in "ab":
        steps = [(rng.uniform(0.0, 0.25), rng.integers(1, 500)) for _ in range(rng.integers(1, 5))]
        schedules.append({"name": name, "phases": constant(steps)})
    return Problems(curvature, residual, schedules, 10 ** rng.uniform(-11.0, 1.0, LEVELS))


def extreme_problems(rng, seeds):
    """(curvature, residual, scale): scales from 1e-290 to 1e290, conditions to 1e16, losses from 1e-40 to 1e40."""
    axes = rng.integers(1, 4)
    scale = 10 ** rng.choice([0.0, rng.uniform(-6.0, 6.0), rng.uniform(-290.0, 290.0)])
    curvature = scale * 10 ** -rng.uniform(0.0, rng.choice([1e-3, 1.0, 16.0]), (seeds, axes))
    curvature[:, 0] = scale * rng.choice([1.0, 1.0 - 1e-9, rng.uniform(0.5, 1.0)], seeds)
    start = 10 ** rng.uniform(-20.0, 20.0, (seeds, 1)) * rng.normal(size=(seeds, axes))
    return curvature, start / np.sqrt(curvature), scale


def extreme_levels(rng):
    """Losses from the smallest number to 1e40, some of them below the normal ones."""
    levels = 10 ** rng.uniform(-323.0, 40.0, LEVELS)
    levels[:2] = 10 ** rng.uniform(-323.3, -300.0, 2)
    levels[2:4] = 10 ** rng.uniform(-30.0, 3.0, 2)
    return np.maximum(levels, 5e-324)


def multiple(rng):
    """A rate in units of 1 / scale: calm, near 1, near 2, beyond."""
    near = 10 ** rng.uniform(-12.0, -1.0) * rng.choice([-1.0, 1.0])
    choices = [rng.uniform(0.0, 2.0), 1.0 + near, 2.0 + near, rng.uniform(2.0, 5.0), 10 ** rng.uniform(-4.0, 4.0), 0.0]
    return rng.choice(choices, p=[0.3, 0.15, 0.25, 0.15, 0.1, 0.05])


def dying(rng):
    """Phases in which an axis falls far below the smallest number, then grows back into sight, or nearly so."""
    fall = rng.choice([rng.uniform(0.1, 0.95), 1.0 + 10 ** rng.uniform(-9.0, -1.0)])
    rise = rng.uniform(2.2, 5.0)
    slope = np.log(rise - 1.0)
    count = int(min(rng.uniform(700.0, 1800.0) / -np.log(abs(1.0 - fall)), 2500.0))
    back = int(min(-count * np.log(abs(1.0 - fall)) / slope * rng.uniform(0.7, 1.1), 3000.0))
    return [(fall, count), (rise, back + 1)]


def extreme(rng):
    """Rates of every kind, levels of every size; in half of the schedules an axis dies and grows again."""
    curvature, residual, scale = extreme_problems(rng, 100)
    schedules = []
    for name in "ab":
        wild = [(multiple(rng), rng.integers(1, 900)) for _ in range(rng.integers(1, 5))]
        steps = dying(rng) + wild[: rng.integers(0, 2)] if rng.random() < 0.5 else wild
        schedules.append({"name": name, "phases": constant([(rate / scale, count) for rate, count in steps])})
    return Problems(curvature, residual, schedules, extreme_levels(rng))


def growing(rng, scale):
    """Rates that grow past 1 and 2 / scale: the steepest axis dies, and grows again in the same phase."""
    gamma = 1.0 + 10 ** rng.uniform(-3.3, -2.3)
    first, last = 10 ** rng.uniform(-4.0, -1.0), 10 ** rng.uniform(0.3, 1.2)
    steps = int(min(np.log(last / first) / np.log(gamma), 9000.0))
    return {"kind": "exponential", "learning_rate": float(first / scale), "gamma": float(gamma), "steps": steps}


def varying(rng):
    """Rates that change from step to step, before and after constant ones; extreme problems."""
    curvature, residual, scale = extreme_problems(rng, 70)
    top = {"learning_rate": float(rng.uniform(0.05, 2.5) / scale)}
    phases = [
        {"kind": "cosine", **top, "steps": int(rng.integers(70, 5000))},
        {
            "kind": "linear",
            **top,
            "end_learning_rate": float(multiple(rng) / scale),
            "steps": int(rng.integers(70, 900)),
        },
        {"kind": "exponential", **top, "gamma": float(rng.uniform(0.99, 1.0)), "steps": int(rng.integers(70, 5000))},
        {"kind": "warmup", **top, "steps": int(rng.integers(70, 4000))},
        growing(rng, scale),
        *constant([(multiple(rng) / scale, rng.integers(1, 900)), *((r / scale, n) for r, n in dying(rng))]),
    ]
    chosen = [phases[i] for i in rng.permutation(len(phases))[: rng.integers(1, 5)]]
    return Problems(curvature, residual, [{"name": "a", "phases": chosen}], extreme_levels(rng))


def flow(rng):
    """Gradient flows alone, from losses up to 1e60 to levels down to the smallest number."""
    curvature, residual, _ = extreme_problems(rng, 2000)
    residual = residual * 10 ** rng.uniform(-10.0, 10.0)
    return Problems(curvature, residual, [{"name": "flow", "kind": "flow"}], extreme_levels(rng))


KINDS = {"plain": plain, "extreme": extreme, "varying": varying, "flow": flow}


# ---- runs ----


def run(problems: Problems, engine: str, folder: Path):
    """The batch in one engine."""
    np.savez(folder / "batch.npz", curvature=problems.curvature, residual=problems.residual)
    tables = {
        "engine": engine,
        "problem": {"kind": "quadratic", "file": "batch.npz"},
        "seeds": {"count": len(problems.curvature)},
        "stop": {"train_loss": problems.levels.tolist(), "max_steps": 100_000},
        "record": {"points": 0},
        "schedule": problems.schedules,
    }
    return simlr.run(simlr.GridConfig.from_tables(tables, folder))


def wrong_stops(run, s, judged, steps):
    """Which results (N, E) of schedule s a Passages contradicts that was asked for their own stops."""
    status, step, loss = run["status"][s], run["stop_step"][s], run["train_loss"][s]
    with np.errstate(all="ignore"):
        exact, allowed = judged.energy / 2, np.abs(judged.energy / 2) * judged.error
        allowed += 8 * precise.SMALLEST
        close = (np.abs(loss - exact) <= allowed) | (np.isinf(loss) & (exact * (1 + judged.error) > LARGEST))
    possible, sure = judged.possible, judged.sure
    early, late = judged.diverged_possibly[:, None], judged.diverged_surely[:, None]
    reached = (possible <= step) & (step <= sure) & (step < late)
    diverged = (early <= step) & (step <= late) & (step < sure)
    out = (step == steps) & (sure == precise.NEVER) & (late == precise.NEVER)
    right = np.select([status == REACHED, status == DIVERGED, status == OUT_OF_STEPS], [reached, diverged, out], False)
    return ~(right & close)


def judge_steps(problems: Problems, s: int, runs: dict) -> list[str]:
    """What is wrong in one schedule of steps, by the engines' runs."""
    schedule = next(iter(runs.values())).config.schedules()[s][0]
    rates, order = schedule.rates(0, schedule.length), np.arange(len(problems.levels))
    thresholds = np.tile(2.0 * problems.levels, (len(problems.curvature), 1))
    claims = np.concatenate([one["stop_step"][s] for one in runs.values()], axis=1)
    with np.errstate(all="ignore"):
        judged = precise.descend(problems.curvature, problems.residual, rates, thresholds, claims)
    faults = []
    for g, (engine, one) in enumerate(runs.items()):
        own = judged._replace(
            energy=judged.energy[:, g * order.size + order], error=judged.error[:, g * order.size + order]
        )
        for n, k in np.argwhere(wrong_stops(one, s, own, rates.size)):
            faults += judge_again(problems, s, n, k, engine, one, rates)
    return faults


def judge_again(problems, s, n, k, engine, one, rates):
    """The same for one cell and level, in fifty digits."""
    claim = one["stop_step"][s, n, [k]]
    exact = precise.descend_in_digits(
        problems.curvature[n], problems.residual[n], rates, 2.0 * problems.levels[k], claim
    )
    lone = {name: one[name][s : s + 1, n : n + 1, k : k + 1] for name in ("status", "stop_step", "train_loss")}
    if not wrong_stops(lone, 0, exact, rates.size).any():
        return []
    found = {name: values.item() for name, values in lone.items()}
    return [
        f"{engine}: {problems.schedules[s]}, curvature {problems.curvature[n].tolist()}, residual "
        f"{problems.residual[n].tolist()}, level {problems.levels[k]!r}: {found}; exact: "
        f"{[np.asarray(v).item() if np.size(v) == 1 else v for v in exact]}"
    ]


def flow_error(fall):
    """How far log q may be off at the crossing, given its fall per log tau."""
    return precise.relative_error(0, 0.0) + 4e-16 * fall


def wrong_crossing(start, logarithm, fall, wanted, status, tau, loss, level):
    """Which flows do not stop where q crosses the level; of the loss 1e-11 is asked."""
    near = np.abs(logarithm - wanted) <= flow_error(fall)
    at_start = (tau == 0.0) & (start <= wanted + flow_error(0.0))
    close = (np.abs(loss - level) <= 1e-11 * level + 8 * precise.SMALLEST) | ((tau == 0.0) & (loss <= level))
    return ~((status == REACHED) & (near | at_start) & close)


def judge_flows(problems: Problems, s: int, runs: dict) -> list[str]:
    """What is wrong in one flow from the start. A crossing later than the largest number has none."""
    one = runs["auto"]
    tau, loss, status = one["stop_time"][s], one["train_loss"][s], one["status"][s]
    with np.errstate(all="ignore"):
        wanted = np.log(2 * np.longdouble(problems.levels))[None]
        start = precise.log_energy_in_flow(problems.curvature, problems.residual, np.zeros(tau.shape))[0]
        logarithm, fall = precise.log_energy_in_flow(problems.curvature, problems.residual, tau)
        wrong = wrong_crossing(start, logarithm, fall, wanted, status, tau, loss, problems.levels)
        never = precise.log_energy_in_flow(problems.curvature, problems.residual, np.full(tau.shape, LARGEST))[0]
    wrong &= ~((status == OUT_OF_STEPS) & (never > wanted))
    faults = []
    for n, k in np.argwhere(wrong):
        lam, residual, level = problems.curvature[n], problems.residual[n], problems.levels[k]
        logarithm, fall = precise.log_energy_in_flow_in_digits(lam, residual, min(tau[n, k], LARGEST))
        values = start[n, k], logarithm, fall, wanted[0, k], status[n, k], tau[n, k], loss[n, k], level
        if wrong_crossing(*values):
            faults.append(
                f"flow: curvature {lam.tolist()}, residual {residual.tolist()}, level {level!r}: "
                f"status {status[n, k]}, time {tau[n, k]!r}, loss {loss[n, k]!r}; "
                f"log q there is {logarithm!r}, of the level {wanted[0, k]!r}"
            )
    return faults


def batch(kind: str, number: int, folder: Path) -> tuple[int, list[str]]:
    """(results compared, faults) of one batch."""
    problems = KINDS[kind](np.random.default_rng([list(KINDS).index(kind), number]))
    engines = ("auto",) if kind == "flow" else (*ENGINES, "auto") if kind == "varying" else ENGINES
    runs = {engine: run(problems, engine, folder) for engine in engines}
    judge = judge_flows if kind == "flow" else judge_steps
    faults = [f"{kind} {number}: {one}" for s in range(len(problems.schedules)) for one in judge(problems, s, runs)]
    return sum(one["status"].size for one in runs.values()), faults


def search(kind: str, first: int, last: int) -> tuple[int, list[str]]:
    """(results compared, faults) of some batches."""
    with tempfile.TemporaryDirectory() as folder:
        found = [batch(kind, number, Path(folder)) for number in range(first, last)]
    return sum(count for count, _ in found), [fault for _, faults in found for fault in faults]


if __name__ == "__main__":
    print(json.dumps(search(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
