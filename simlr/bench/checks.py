"""Before anything is timed: do the kernels and their twins give the same?"""

from collections.abc import Callable

import numpy as np

from . import basics, twins
from .harness import Bench

CHECKS: list[Callable[[Bench], None]] = []


# ---- checks: every kernel against its twin ----


def check(function: Callable) -> Callable:
    """Decorator: a function of a `Bench` that raises `twins.Mismatch` where a kernel is wrong."""
    CHECKS.append(function)
    return function


@check
def check_stepping(bench: Bench) -> None:
    """stepping, several levels, runs that diverge"""
    from ..engine.descend import descend

    for axes in (1, 2, 3, 10):
        curvature, residual, rates = twins.descent_inputs(axes, 77, 5, 300, root=axes)
        rates = np.concatenate([rates, np.full((1, 300), 1.6), np.full((1, 300), 3.0)])
        descent = descend(curvature, residual, rates, basics.LEVELS)
        wanted = twins.descent(curvature, residual, rates, basics.LEVELS)
        for name, values in zip(("stop_step", "status", "train_loss", "test_loss"), wanted, strict=True):
            tolerance = 0.0 if name in ("stop_step", "status") else 1e-9
            twins.expect(f"stepping, d = {axes}: {name}", getattr(descent, name), values, tolerance)


@check
def check_flow(bench: Bench) -> None:
    """gradient flow, alone and after steps, recorded"""
    from ..grid.job import run

    curvature, residual, _ = twins.descent_inputs(3, 50, 1, 1)
    phases = [{"kind": "constant", "learning_rate": 0.5, "steps": 4}, {"kind": "flow"}]
    schedules: list[dict] = [{"kind": "flow"}, {"name": "after steps", "phases": phases}]
    levels = (1e-3, 1e-5)
    flow = run(
        bench.quadratics(curvature, residual, schedules, levels, record={"points": 9, "flow_time": 3.0, "seeds": "all"})
    )
    for s, start in enumerate((residual, (1.0 - 0.5 * curvature) ** 4 * residual)):
        times = [twins.crossing(curvature, start, level) + 2.0 * s for level in levels]
        twins.expect(f"flow, schedule {s}: stop_time", flow.stop_time[s], np.stack(times, axis=1), 1e-10)
        flow_time = flow.recorded_time[s, -1] - 2.0 * s
        r = np.exp(-flow_time * curvature) * start
        losses = 0.5 * (curvature * r * r).sum(axis=1), 0.5 * (r * r).sum(axis=1)
        twins.expect(
            f"flow, schedule {s}: trajectory_train_loss", flow.trajectory_train_loss[s, :, -1], losses[0], 1e-9
        )
        twins.expect(f"flow, schedule {s}: trajectory_test_loss", flow.trajectory_test_loss[s, :, -1], losses[1], 1e-9)


@check
def check_draws(bench: Bench) -> None:
    """draws, to the bit"""
    from ..kernels.draws import FEATURES, fill_normal, fill_uniform

    for seed in (0, 3):
        for fill, method in ((fill_uniform, "random"), (fill_normal, "standard_normal")):
            out = np.empty(10_001)
            fill(out, 7, seed, FEATURES, 5)
            wanted = getattr(twins.philox(7, seed, FEATURES, 5), method)(out.size)
            twins.expect(f"draws: {method}", out, wanted)


@check
def check_regression(bench: Bench) -> None:
    """least squares on splits of a fits"""
    from ..grid.job import run
    from ..kernels.draws import SPLIT

    generator = np.random.default_rng(0)
    features, target = generator.standard_normal((60, 4)), generator.standard_normal(60)
    np.savez(bench.folder / "fits.npz", features=features, target=target)
    problem = {"kind": "dataset", "file": "fits.npz", "standardize": "none", "train_rows": 20}
    fits = run(bench.grid([{"kind": "flow"}], problem=problem, seeds={"count": 5}))
    for seed in range(5):
        order = np.argsort(twins.philox(0, seed, SPLIT, 0).random(60), kind="stable")
        wanted = twins.regression(features, target, order[:20], order[20:])
        ours = fits.curvature[seed], fits.initial_residual[seed] ** 2, fits.train_floor[seed], fits.test_floor[seed]
        names = ("curvature", "residual", "train_floor", "test_floor")
        for name, value, theirs in zip(names, ours, wanted, strict=True):
            twins.expect(f"regression, seed {seed}: {name}", value, theirs, 1e-9)
