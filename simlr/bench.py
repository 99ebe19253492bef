"""The command `python -m simlr.bench`: how fast simlr is on this machine, beside what bounds it.

First every kernel is checked against its naive twin in `peers`; a mismatch ends the benchmark. Then the sections of
`measure` and `throughput` are run, and their figures printed as tables, or all together as JSON.
"""

from .cli import signals  # noqa: I001 - first: it minds signals from then on

import contextlib
import json
import os
import platform
import sys
import tempfile
import time

import numpy as np

from . import __version__, closedbench, limits, measure, networkbench, peers, throughput
from .cli.arguments import DONE, FAILED, INTERRUPTED, Parser, one_line
from .cli.signals import terminate_as_interrupt
from .errors import RunError, unknown

PROGRAM = "python -m simlr.bench"
FORMAT_VERSION = 1
BUSY = 0.5
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
CHECKS = []
SECTIONS = {**measure.SECTIONS, **closedbench.SECTIONS, **networkbench.SECTIONS, **throughput.SECTIONS}


def parser():
    """The command's arguments."""
    made = Parser(
        prog=PROGRAM,
        description="Check the kernels, measure their speed, and compare it with the limits of this machine.",
        epilog="exit status: 0 done, 1 failed (a kernel and its twin disagree), 2 bad usage, 130 interrupted",
        allow_abbrev=False,
    )
    made.add_argument("--json", action="store_true", help="print one JSON object with every figure instead of tables")
    made.add_argument("--peers", action="store_true", help="also time JAX, where it is installed")
    made.add_argument("--quick", action="store_true", help="small sizes: shows that all works; the figures mean little")
    made.add_argument(
        "--only",
        metavar="SECTION",
        action="append",
        default=[],
        help=f"one of: {', '.join(SECTIONS)}; may repeat",
    )
    return made


def main(arguments=None):
    """Run the command; return its exit status."""
    options = parser().parse_args(arguments)
    try:
        with terminate_as_interrupt():
            return one_line(PROGRAM, lambda: _run(options))
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except peers.Mismatch as mismatch:
        say(f"{PROGRAM}: check failed: {mismatch}")
        return FAILED


def say(text):
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)


def _run(options):
    """Check, measure, and tell."""
    titles = options.only or list(SECTIONS)
    for title in titles:
        if title not in SECTIONS:
            raise unknown("--only", title, list(SECTIONS), "section")
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise RunError("NUMBA_DISABLE_JIT is set: there is nothing to measure without the compiler")
    with _folder() as folder:
        bench = measure.Bench(folder, options.quick, options.peers and peers.has_jax())
        notes = _notes(options, bench)
        begin, load = time.monotonic(), limits.load_average()
        figures = _measure(bench, titles, tables=not options.json)
    for note in notes:
        say(f"note: {note}")
    if options.json:
        took = {"quick": options.quick, "seconds": time.monotonic() - begin, "load_average": load, "notes": notes}
        print(json.dumps(as_json(figures, bench, took), indent=2))
    return DONE


@contextlib.contextmanager
def _folder():
    """A temporary folder on the disk of the working folder."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="simlr-bench-", dir=".")
    except OSError as error:
        raise RunError(f"the working folder cannot be written to: {error.strerror}") from None
    with folder as path:
        yield path


def _notes(options, bench):
    """What a reader of the figures has to know."""
    notes = []
    if options.peers and not bench.with_jax:
        notes.append("JAX is not installed, so it was not timed: pip install jax")
    if limits.load_average() > BUSY:
        notes.append(f"other work was running (load average {limits.load_average():.1f}): the figures may be too low")
    if options.quick:
        notes.append("small sizes (--quick): the figures mean little")
    return notes


def _measure(bench, titles, tables):
    """The figures of the sections, {title: [Figure]}, after all checks."""
    for check in CHECKS:
        say(f"checking {check.__doc__.splitlines()[0]}")
        check(bench)
    if tables:
        print("\n".join(f"{name}: {value}" for name, value in machine().items()))
    figures = {}
    for title in titles:
        begin = time.monotonic()
        figures[title] = list(SECTIONS[title](bench))
        say(f"measured: {title} ({time.monotonic() - begin:.0f} s)")
        if tables:
            print("\n" + as_text(title, figures[title]), flush=True)
    return figures


# ---- checks: every kernel against its twin ----


def check(function):
    """Decorator: a function of a `Bench` that raises `peers.Mismatch` where a kernel is wrong."""
    CHECKS.append(function)
    return function


@check
def check_stepping(bench):
    """stepping, several levels, runs that diverge"""
    from .engine.descend import descend

    for axes in (1, 2, 3, 10):
        curvature, residual, rates = peers.descent_inputs(axes, 77, 5, 300, root=axes)
        rates = np.concatenate([rates, np.full((1, 300), 1.6), np.full((1, 300), 3.0)])
        found = descend(curvature, residual, rates, measure.LEVELS)
        wanted = peers.descent(curvature, residual, rates, measure.LEVELS)
        for name, values in zip(("stop_step", "status", "train_loss", "test_loss"), wanted, strict=True):
            expect_close = 0.0 if name in ("stop_step", "status") else 1e-9
            peers.expect(f"stepping, d = {axes}: {name}", getattr(found, name), values, expect_close)


@check
def check_flow(bench):
    """gradient flow, alone and after steps, recorded"""
    from .grid.job import run

    curvature, residual, _ = peers.descent_inputs(3, 50, 1, 1)
    phases = [{"kind": "constant", "learning_rate": 0.5, "steps": 4}, {"kind": "flow"}]
    schedules = [{"kind": "flow"}, {"name": "after steps", "phases": phases}]
    levels = (1e-3, 1e-5)
    made = run(
        bench.quadratics(curvature, residual, schedules, levels, record={"points": 9, "flow_time": 3.0, "seeds": "all"})
    )
    for s, start in enumerate((residual, (1.0 - 0.5 * curvature) ** 4 * residual)):
        times = [peers.crossing(curvature, start, level) + 2.0 * s for level in levels]
        peers.expect(f"flow, schedule {s}: stop_time", made.stop_time[s], np.stack(times, axis=1), 1e-10)
        flow_time = made.recorded_time[s, -1] - 2.0 * s
        r = np.exp(-flow_time * curvature) * start
        losses = 0.5 * (curvature * r * r).sum(axis=1), 0.5 * (r * r).sum(axis=1)
        peers.expect(
            f"flow, schedule {s}: trajectory_train_loss", made.trajectory_train_loss[s, :, -1], losses[0], 1e-9
        )
        peers.expect(f"flow, schedule {s}: trajectory_test_loss", made.trajectory_test_loss[s, :, -1], losses[1], 1e-9)


@check
def check_draws(bench):
    """draws, to the bit"""
    from .kernels.draws import FEATURES, fill_normal, fill_uniform

    for seed in (0, 3):
        for fill, method in ((fill_uniform, "random"), (fill_normal, "standard_normal")):
            out = np.empty(10_001)
            fill(out, 7, seed, FEATURES, 5)
            wanted = getattr(peers.philox(7, seed, FEATURES, 5), method)(out.size)
            peers.expect(f"draws: {method}", out, wanted)


@check
def check_regression(bench):
    """least squares on splits of a table"""
    from .grid.job import run
    from .kernels.draws import SPLIT

    generator = np.random.default_rng(0)
    features, target = generator.standard_normal((60, 4)), generator.standard_normal(60)
    np.savez(bench.folder / "table.npz", features=features, target=target)
    problem = {"kind": "dataset", "file": "table.npz", "standardize": "none", "train_rows": 20}
    made = run(bench.grid([{"kind": "flow"}], problem=problem, seeds={"count": 5}))
    for seed in range(5):
        order = np.argsort(peers.philox(0, seed, SPLIT, 0).random(60), kind="stable")
        wanted = peers.regression(features, target, order[:20], order[20:])
        found = made.curvature[seed], made.initial_residual[seed] ** 2, made.train_floor[seed], made.test_floor[seed]
        for name, ours, theirs in zip(
            ("curvature", "residual", "train_floor", "test_floor"), found, wanted, strict=True
        ):
            peers.expect(f"regression, seed {seed}: {name}", ours, theirs, 1e-9)


# ---- telling ----


def machine():
    """What the figures were measured on."""
    return {
        "processor": limits.processor_name(),
        "cores": limits.cores(),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def versions(with_jax):
    """What was measured."""
    from .engine.environment import environment

    found = {"simlr_version": __version__, **environment()}
    if with_jax:
        from importlib.metadata import version

        found["jax_version"] = version("jax")
    return found


def as_json(figures, bench, took):
    """All figures with what belongs to them, for `json.dumps`."""
    rows = [{"section": title, **figure._asdict()} for title, found in figures.items() for figure in found]
    return {
        "benchmark": "simlr",
        "format_version": FORMAT_VERSION,
        **took,
        "machine": machine(),
        "versions": versions(bench.with_jax),
        "figures": rows,
    }


def as_text(title, figures):
    """The figures of one section in columns: what, how much, compared with what, bounded by what."""
    lines = [(one.name, amount(one.value, one.unit), _comparisons(one.ratios), one.bound) for one in figures]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    rows = [
        f"  {name.ljust(widths[0])}  {value.rjust(widths[1])}  {ratios.ljust(widths[2])}  <- {bound}"
        for name, value, ratios, bound in lines
    ]
    return "\n".join([title.upper(), *rows])


def amount(value, unit):
    """A value of three digits with a decimal prefix: 3.37 G/s, 118 MB, 0.217 s."""
    size, prefix = next(((size, prefix) for size, prefix in PREFIXES if abs(value) >= size), (1.0, ""))
    scaled = value / size
    digits = f"{scaled:.{3 - sum(scaled >= edge for edge in (1, 10, 100))}f}"
    return f"{digits} {prefix}{'' if len(unit) < 4 or not prefix else ' '}{unit}"


def _comparisons(ratios):
    """12.3 x NumPy, 0.62 of the limit."""
    return ", ".join(f"{ratio:.3g} x {name}" for name, ratio in ratios.items())


def command():
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
