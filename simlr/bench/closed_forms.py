"""Benchmark sections of what skips steps and of what takes noisy ones: closed forms, and walks."""

from collections.abc import Iterator

import numpy as np

from . import machine, noisy_peers
from .harness import Bench, Figure

MILLION = 1_000_000
SIZES = (10**3, 10**4, 10**5, 10**6, 10**7)


def _kernel_seconds(config, sweeps, repeats):
    """Best seconds of each of these sweeps over some blocks, the first one with its tables; and what a run gives."""
    from ..engine.block_engine import Engine
    from ..grid.job import Job, run

    job, best = Job(config), dict.fromkeys(sweeps, np.inf)
    for _ in range(repeats):
        engine = Engine(job.plan, job.sources)
        engine.block(0, job.plan.seeds)
        best = {name: min(best[name], engine.seconds.get(name, 0.0)) for name in sweeps}
    return best, run(config)


def _long_grid(bench, engine, schedule, steps, seeds):
    """d = 2, one level, one block; the rates are such that the mean stop lies beyond half of the steps."""
    generator = np.random.default_rng(0)
    curvature, residual = generator.uniform(0.5, 1.5, (seeds, 2)), generator.normal(size=(seeds, 2))
    np.savez(bench.folder / "long.npz", curvature=curvature, residual=residual)
    tables = {
        "problem": {"kind": "quadratic", "file": "long.npz"},
        "seeds": {"count": seeds},
        "stop": {"train_loss": [1e-3], "max_steps": steps},
        "run": {"block_seeds": seeds},
    }
    return bench.grid([schedule], **tables).replace(engine=engine)


def closed_form(bench: Bench) -> Iterator[Figure]:
    """Closed forms that skip the steps, against the stepping kernel on the same grid."""
    seeds, steps = bench.pick(4096, 64), bench.pick(MILLION, 20_000)
    small = 5.5 / steps
    cases = {
        "constant": {"kind": "constant", "learning_rate": small},
        "two": {
            "phases": [
                {"kind": "constant", "learning_rate": 0.5, "steps": 1},
                {"kind": "constant", "learning_rate": 0.76 * small},
            ]
        },
        "cosine": {"kind": "cosine", "learning_rate": 1.4 * small, "steps": steps},
    }
    names = {"constant": "constant", "two": "large, then small", "cosine": "cosine"}
    for key, schedule in cases.items():
        yield from _one_closed_form(bench, key, names[key], schedule, steps, seeds)


def _one_closed_form(bench, key, name, schedule, steps, seeds):
    """One schedule in closed form."""
    repeats = bench.pick(5, 1)
    stepping, stepped = _kernel_seconds(
        _long_grid(bench, "recurrence", schedule, steps, seeds), ("descend_sweep",), repeats
    )
    leaping, leapt = _kernel_seconds(
        _long_grid(bench, "closed-form", schedule, steps, seeds), ("closed_form_sweep", "row_sweep"), repeats
    )
    worst = np.max(np.abs(leapt.test_loss / stepped.test_loss - 1.0))
    apart = int(np.max(np.abs(leapt.stop_step - stepped.stop_step)))
    both = leaping["closed_form_sweep"] + leaping["row_sweep"]
    ratios = {"the stepping kernel": stepping["descend_sweep"] / leaping["closed_form_sweep"]}
    if leaping["row_sweep"] > 0.0:
        ratios["the stepping kernel, tables included"] = stepping["descend_sweep"] / both
    how = (
        f"{seeds} seeds, {steps} steps, mean stop {stepped.stop_step.mean():.0f}; losses differ by {worst:.1e}, "
        f"stops by {apart}"
    )
    rate = float(stepped.stop_step.sum()) / leaping["closed_form_sweep"]
    yield Figure(f"closed.{key}", name, rate, "cell-steps/s in effect", ratios, "exponentials, latency", how)


def closed_form_growth(bench: Bench) -> Iterator[Figure]:
    """What a cell takes in closed form as its schedule gets longer."""
    seeds = bench.pick(4096, 64)
    first: dict[str, float] = {}
    for steps in SIZES[: bench.pick(5, 2)]:
        small = 5.5 / steps
        cases = {
            "constant": {"kind": "constant", "learning_rate": small},
            "cosine": {"kind": "cosine", "learning_rate": 1.4 * small, "steps": steps},
        }
        for key, schedule in cases.items():
            config = _long_grid(bench, "closed-form", schedule, steps, seeds)
            best, _ = _kernel_seconds(config, ("closed_form_sweep",), bench.pick(7, 1))
            cell = 1e9 * best["closed_form_sweep"] / seeds
            ratios = {"1000 steps": cell / first.setdefault(key, cell)}
            yield Figure(
                f"growth.{key}.{steps}", f"{key}, {steps} steps", cell, "ns a cell", ratios, "exponentials, latency",
                f"{seeds} seeds on all threads, tables made beforehand",
            )  # fmt: skip


def smaller_rates(bench: Bench) -> Iterator[Figure]:
    """The default grid against itself with all rates a hundredfold smaller and a hundredfold more steps."""
    from ..config.grid import GridConfig
    from ..grid.job import run
    from ..papers import nakkiran2020

    config = GridConfig.from_toml(nakkiran2020.GRID, [("seeds.count", bench.pick(4096, 64))])
    slow = config.replace(
        schedule=[_hundredth(table) for table in config.tables()["schedule"]],
        stop={"max_steps": 100 * config.stop["max_steps"]},
    )
    best = machine.race({"default": lambda: run(config), "slow": lambda: run(slow)}, bench.pick(7, 1))
    ratios = {"the default grid": best["slow"] / best["default"]}
    how = "rates / 100, max_steps x 100, in memory"
    yield Figure("grid.hundredth", "wall time", best["slow"], "s", ratios, "closed forms, stepping", how)


def _hundredth(table):
    """A [[schedule]] table with rates a hundredfold smaller."""
    smaller = {}
    for key, value in table.items():
        if key == "phases":
            value = [_hundredth(phase) for phase in value]
        elif key == "learning_rate":
            value = [v / 100 for v in value] if isinstance(value, list) else value / 100
        smaller[key] = value
    return smaller


def walks(bench: Bench) -> Iterator[Figure]:
    """Noisy steps: 64 schedules x 64 seeds, the loss checked at every step, beside JAX where wanted."""
    steps = bench.pick(2000, 100)
    cases = {
        "noise": ("additive noise, d = 16", noisy_peers.noise_case(16, 64, 64, steps)),
        "sgd": ("mini-batches of 8 of 442 rows, d = 10", noisy_peers.sgd_case(64, 64, steps)),
    }
    for key, (name, case) in cases.items():
        contestants = {"ours": case.ours}
        if bench.with_jax:
            contestants["jax"] = case.jax()
        best = machine.race(contestants, bench.pick(4, 1))
        ratios = {"JAX scan": best["jax"] / best["ours"]} if "jax" in best else {}
        rate = 64 * 64 * steps / best["ours"]
        yield Figure(
            f"walks.{key}", name, rate, "cell-steps/s", ratios, "loads and stores in level-1 cache",
            f"64 schedules x 64 seeds x {steps} steps, noise drawn as the steps go",
        )  # fmt: skip


SECTIONS = {
    "closed": closed_form,
    "growth": closed_form_growth,
    "hundredth": smaller_rates,
    "walks": walks,
}
