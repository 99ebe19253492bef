"""What the benchmark measures: sections of figures, each a function of a `Bench`.

SECTIONS names them; to add one, write a function and enter it there. Comparisons are races (`limits.race`): the
contestants take turns in one run, and the best time of each counts. Everything goes through simlr's public functions,
but for the draws, which have none.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from . import jax_peers, machine, twins
from .harness import Bench, Figure, many_threads, python

LEVEL = 1e-3
LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


# ---- sections ----


def machine_limits(bench: Bench) -> Iterator[Figure]:
    """Multiply-adds, memory and disk at their best, by small programs of their own."""
    runs = {threads: machine.multiply_adds(threads) for threads in bench.threads}
    best = machine.race({threads: run for threads, (run, _) in runs.items()}, bench.pick(9, 3))
    rates = {threads: runs[threads][1] / best[threads] for threads in runs}
    for threads, rate in rates.items():
        ratios = {"1 thread": rate / rates[1]} if threads > 1 else {}
        name, how = f"multiply-adds, {many_threads(threads)}", "64 lanes, chains of 32 in registers"
        yield Figure(f"limit.multiply_adds.{threads}", name, rate, "/s", ratios, "ports", how)
    size = bench.pick(192 << 20, 24 << 20)
    for threads in bench.threads:
        speed = machine.memory_bandwidth(threads, size)
        how = f"a = b + s c, {size >> 20} MiB; 24 bytes an element"
        yield Figure(f"limit.memory.{threads}", f"memory, {many_threads(threads)}", speed, "B/s", {}, "memory", how)
    total = bench.pick(512 << 20, 16 << 20)
    speed = machine.disk_speed(bench.folder, total)
    yield Figure(
        "limit.disk", "disk, written and synced", speed, "B/s", {}, "disk", f"{total >> 20} MiB by pwrite, fdatasync"
    )


def stepping(bench: Bench) -> Iterator[Figure]:
    """`simlr.descend`: useful cell-steps a second, that is the sum of all stop steps over the seconds."""
    for axes in bench.pick((2, 3, 5, 10, 50), (2, 10)):
        seeds = bench.pick(4096 if axes < 10 else 1024, 256)
        inputs = twins.descent_inputs(axes, seeds, *bench.pick((64, 2000), (16, 500)))
        steps, best = _race_of_steppers(bench, axes, inputs)
        rates = {name: steps[name] / best[name] for name in best}
        size = f"{inputs[2].shape[0]} schedules x {seeds} seeds x {inputs[2].shape[1]} steps"
        for threads in bench.threads:
            ours, endless = rates[threads], rates[bench.threads[-1], "endless"]
            # A step multiplies every coordinate by a factor that takes one multiply-add: 2 d operations at least.
            most = rates[threads, "limit"] / (2 * axes)
            ratios = {name: ours / rate for name, rate in rates.items() if isinstance(name, str)}
            ratios |= {"1 thread": ours / rates[1]} if threads > 1 else {}
            ratios |= {"limit": ours / most}
            bound = "multiply-add ports" if rates[bench.threads[-1]] > 0.6 * endless else "cells that stop"
            name, how = f"d = {axes}, {many_threads(threads)}", f"{size}, level {LEVEL:g}, sum of the stop steps"
            yield Figure(f"stepping.d{axes}.{threads}", name, ours, "cell-steps/s", ratios, bound, how)
        name, ratios = f"d = {axes}, {many_threads(threads)}, none stops", {"limit": endless / most}
        key, how = f"stepping.d{axes}.endless", f"{size}, a level that no cell reaches"
        yield Figure(key, name, endless, "cell-steps/s", ratios, "multiply-add ports", how)


def _race_of_steppers(bench, axes, inputs):
    """Useful steps and best seconds of simlr on each number of threads, the NumPy loop, and JAX where wanted."""
    from ..engine.descend import descend

    curvature, residual, rates = inputs
    stop_step = descend(*inputs, LEVEL).stop_step[..., 0]

    def ours(threads, level):
        with machine.using_threads(threads):
            descend(*inputs, level)

    contestants = {threads: partial(ours, threads, LEVEL) for threads in bench.threads}
    steps = dict.fromkeys(contestants, int(stop_step.sum()))
    most = bench.threads[-1]
    contestants[most, "endless"], steps[most, "endless"] = partial(ours, most, 1e-60), stop_step.size * rates.shape[1]
    for threads in bench.threads:
        # Beside the kernels, so that both meet the same clock rate and the same other work.
        contestants[threads, "limit"], steps[threads, "limit"] = machine.multiply_adds(threads)
    # The peers get fewer seeds where all would take long: per step that is as fast or faster, being in a nearer cache.
    loops = [("NumPy", twins.numpy_loop, bench.pick(256 if axes < 50 else 32, 64))]
    if bench.with_jax:
        seeds = len(curvature) if axes < 50 else 128
        loops += [(f"JAX {layout}", jax_peers.jax_scan(layout), seeds) for layout in jax_peers.jax_layouts(axes)]
    for name, loop, seeds in loops:
        few = (curvature[:seeds], residual[:seeds], rates, LEVEL)
        twins.expect(f"{name} loop, d = {axes}: stop step", np.asarray(loop(*few)), stop_step[:, :seeds])
        contestants[name] = partial(loop, *few)
        steps[name] = int(stop_step[:, :seeds].sum())
    return steps, machine.race(contestants, bench.pick(3 if bench.with_jax else 5, 1))


def gradient_flow(bench: Bench) -> Iterator[Figure]:
    """Exact crossing times of a run without discrete steps, losses included."""
    from ..grid.job import run

    for axes in (2, 10):
        curvature, residual, _ = twins.descent_inputs(axes, bench.pick(200_000, 2_000), 1, 1)
        config = bench.quadratics(curvature, residual, [{"kind": "flow"}], LEVELS)
        few = curvature[:2000], residual[:2000]
        contestants: dict[str, Callable[[], object]] = {
            "simlr": partial(run, config),
            "NumPy": partial(twins.numpy_crossing, *few, LEVELS),
        }
        best = machine.race(contestants, bench.pick(3, 1))
        rate = len(curvature) * len(LEVELS) / best["simlr"]
        ratios = {"NumPy Newton": rate * best["NumPy"] / (len(few[0]) * len(LEVELS))}
        how = f"simlr.run in memory, {len(curvature)} seeds x {len(LEVELS)} levels, all threads"
        yield Figure(f"flow.d{axes}", f"crossings, d = {axes}", rate, "/s", ratios, "latency of exp", how)


def draws(bench: Bench) -> Iterator[Figure]:
    """Counter-based random numbers on one thread, beside NumPy's generators."""
    from ..kernels.draws import FEATURES, fill_normal, fill_uniform

    out = np.empty(bench.pick(1 << 20, 1 << 14))
    generators = {"NumPy Philox": twins.philox(0, 1, FEATURES, 0), "NumPy PCG64": np.random.default_rng(0)}
    for name, fill, method in (("uniforms", fill_uniform, "random"), ("normals", fill_normal, "standard_normal")):
        contestants = {"simlr": partial(fill, out, 0, 1, FEATURES, 0)}
        contestants |= {title: partial(getattr(one, method), out=out) for title, one in generators.items()}
        best = machine.race(contestants, bench.pick(9, 3))
        ratios = {title: best[title] / best["simlr"] for title in generators}
        bound = "multiplier ports" if name == "uniforms" else "table look-ups and branches"
        yield Figure(
            f"draws.{name}", name, out.size / best["simlr"], "/s", ratios, bound, f"{out.size} at a time, 1 thread"
        )


def default_grid(bench: Bench) -> Iterator[Figure]:
    """The reference problem as `python -m simlr.grid` runs it, without its start-up and table."""
    from ..config.grid import GridConfig
    from ..grid.job import run
    from ..papers import nakkiran2020

    config = GridConfig.from_toml(nakkiran2020.GRID, [("seeds.count", bench.pick(4096, 64))])
    out = bench.folder / "default.h5"
    status = run(config, out, overwrite=True).status
    cells = status.shape[0] * status.shape[1]
    best = machine.race(
        {"file": lambda: run(config, out, overwrite=True), "memory": lambda: run(config)}, bench.pick(4, 1)
    )
    how = f"{cells} cells, {out.stat().st_size / 1e6:.1f} MB"
    ratios = {"in memory": best["file"] / best["memory"]}
    yield Figure("grid.seconds", "wall time", best["file"], "s", ratios, "stepping", how)
    yield Figure("grid.cells", "cells", cells / best["file"], "cells/s", {}, "stepping", how)


def scaling(bench: Bench) -> Iterator[Figure]:
    """A grid that does nothing but step, on one thread and on two."""
    from ..grid.job import run

    steps = bench.pick(60_000, 1_000)
    rates = np.linspace(1e-4, 1e-3, 16).tolist()
    config = bench.grid(
        [{"kind": "cosine", "learning_rate": rates, "steps": steps}], seeds={"count": bench.pick(32_768, 256)}
    ).replace(engine="recurrence")
    run(config)
    best = machine.race(
        {n: partial(run, config, threads=n) for n in sorted({1, min(2, machine.cores())})}, bench.pick(3, 1)
    )
    how = f"16 schedules x {config.seeds['count']} seeds x {steps} steps, nothing recorded"
    for threads, seconds in best.items():
        ratios = {"1 thread": best[1] / seconds} if threads > 1 else {}
        rate = 16 * config.seeds["count"] * steps / seconds
        yield Figure(f"threads.{threads}", many_threads(threads), rate, "cell-steps/s", ratios, "cores", how)


def start_up(bench: Bench) -> Iterator[Figure]:
    """A process that runs a grid of one cell, warm, beside one that imports numba and h5py."""
    grid, out = bench.folder / "one.toml", bench.folder / "one.h5"
    one = bench.grid(
        [{"kind": "constant", "learning_rate": 0.1}], seeds={"count": 1}, stop={"train_loss": [0.1], "max_steps": 9}
    )
    grid.write_text(one.to_toml(), encoding="utf-8")
    contestants = {
        "imports": lambda: python("-c", "import numba, h5py"),
        "grid": lambda: python("-m", "simlr.grid", str(grid), "--out", str(out), "--overwrite", "--quiet"),
    }
    contestants["grid"]()
    best = machine.race(contestants, bench.pick(5, 1))
    ratios, bound = {"import numba, h5py": best["grid"] / best["imports"]}, "importing"
    yield Figure(
        "start.grid", "a grid of one cell", best["grid"], "s", ratios, bound, "python -m simlr.grid, warm cache"
    )
    yield Figure("start.imports", "import numba, h5py", best["imports"], "s", {}, bound, "python -c")


SECTIONS = {
    "limits of this machine": machine_limits,
    "stepping": stepping,
    "gradient flow": gradient_flow,
    "draws": draws,
    "the default grid": default_grid,
    "threads": scaling,
    "start-up": start_up,
}
