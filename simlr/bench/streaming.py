"""Sections of the benchmark that write whole trajectories to the disk: how fast, and in how much memory."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from numpy.typing import NDArray

from . import machine
from .harness import Bench, Figure, python


class Shape(NamedTuple):
    """A streamed grid of which the number of steps sets how long its kernels take beside its writing."""

    iterates: bool  # twice the bytes for hardly more work
    least: int  # so few steps that it does little but write
    most: int  # so many that it does little but step


# kernels : writing -> the grid that can have it, and that ratio.
SHAPES = {
    "1:3": (Shape(True, 1, 200), 1 / 3),
    "1:1": (Shape(False, 200, 50_000), 1.0),
    "3:1": (Shape(False, 200, 50_000), 3.0),
}


def streaming(bench: Bench) -> Iterator[Figure]:
    """A run that writes the trajectories of all seeds, beside its kernels alone and the same bytes written plainly."""
    for name, (shape, target) in bench.pick(SHAPES, {"1:1": SHAPES["1:1"]}).items():
        few, many = (_streamed(bench, steps, shape.iterates) for steps in (shape.least, shape.most))
        pieces, size = _bytes_of(few)
        plain = min(machine.write(bench.folder / "plain", pieces, size, checksum=True) for _ in range(3))
        least, most = (min(machine.seconds_of(partial(_compute, job)) for _ in range(2)) for job in (few, many))
        # What the steps take grows with their number, what the writing takes does not: from both, the steps for which
        # the kernels take `target` times as long as plain writing; the nearest that there are.
        share = (target * plain.seconds - least) / max(most - least, 1e-3)
        steps = shape.least + int((shape.most - shape.least) * min(max(share, 0.0), 2.0))
        yield _streaming_figure(bench, _streamed(bench, steps, shape.iterates), name)


def _streamed(bench, steps, iterates):
    """A job that records 200 moments of all seeds, those beyond its steps empty."""
    from ..grid.job import Job

    schedule = [{"kind": "cosine", "learning_rate": [1e-4, 2e-4, 3e-4, 4e-4], "steps": steps}]
    record = {"points": 200, "seeds": "all", "iterates": iterates}
    config = bench.grid(schedule, seeds={"count": bench.pick(98_304, 512) >> iterates}, record=record)
    return Job(config.replace(engine="recurrence"))


class _Nowhere:
    """A writer that drops what it is given, but for the arrays of the first block."""

    def __init__(self):
        self.arrays, self.bytes = None, 0

    def write_block(self, block: int, first: int, last: int, arrays: dict[str, NDArray]) -> None:
        """Count the bytes."""
        self.arrays = self.arrays or {name: array.copy() for name, array in arrays.items()}
        self.bytes += sum(array.nbytes for array in arrays.values())

    def finish(self, seconds: float, complete: bool) -> None:
        """Nothing to finish."""

    def close(self) -> None:
        """Nothing to close."""


def _compute(job):
    """Compute all blocks, and drop them; the writer that they went to."""
    writer = _Nowhere()
    job.run(writer, range(job.plan.blocks))
    return writer


def _bytes_of(job):
    """The bytes of one block, in pieces, and the number of bytes of all blocks."""
    writer = _compute(job)
    return machine.in_pieces(writer.arrays.values()), writer.bytes


def _streaming_figure(bench, job, wanted):
    """One race of the whole run, its kernels, and plain writing."""
    from ..grid.job import run

    written, out = [], bench.folder / "stream.h5"
    pieces, size = _bytes_of(job)
    contestants = {
        "kernels": partial(_compute, job),
        "write": lambda: written.append(machine.write(bench.folder / "plain", pieces, size, checksum=True)),
        "run": lambda: run(job.config, out),
    }
    # Removing a large file takes long, and is nobody's part of the race.
    best = machine.race(contestants, bench.pick(4, 1), between=lambda: out.unlink(missing_ok=True))
    plain = min(written)
    # Cores that compute cannot write at the same time: no run can be faster than the longest of these three.
    bounds = {
        "kernels": best["kernels"],
        "disk and CRC-32": plain.seconds,
        "processor": best["kernels"] + plain.processor_seconds / machine.cores(),
    }
    name = f"kernels : writing = {best['kernels'] / plain.seconds:.2f} (wanted {wanted})"
    ratios = {
        "plain write + CRC-32": plain.seconds / best["run"],
        "kernels alone": best["kernels"] / best["run"],
        "bound": max(bounds.values()) / best["run"],
    }
    took = f"kernels {best['kernels']:.3f} s, plain writing {plain.seconds:.3f} s, run {best['run']:.3f} s"
    bound, how = max(bounds, key=bounds.get), f"{size / 1e6:.0f} MB; {took}"
    return Figure(f"streaming.{wanted}", name, size / best["run"], "B/s", ratios, bound, how)


def memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory of a streaming run in a process of its own, above an idle import; the grid grows fourfold."""
    peaks = {}
    for seeds in bench.pick((16_384, 65_536), (128, 512)):
        record = {"points": 200, "seeds": "all"}
        schedule = [{"kind": "constant", "learning_rate": [1e-3, 2e-3, 3e-3, 4e-3]}]
        stop = {"train_loss": [1e-30], "max_steps": 200}
        config = bench.grid(schedule, seeds={"count": seeds}, stop=stop, record=record)
        grid, out = bench.folder / "memory.toml", bench.folder / "memory.h5"
        grid.write_text(config.to_toml(), encoding="utf-8")
        code = f"from simlr.bench.streaming import print_peak; print_peak({str(grid)!r}, {str(out)!r})"
        peaks[seeds] = int(python("-c", code))
        how = f"{seeds} seeds, a file of {out.stat().st_size / 1e6:.0f} MB"
        ratios = {"a quarter of the grid": peaks[seeds] / peaks[seeds // 4]} if seeds // 4 in peaks else {}
        yield Figure(
            f"memory.{seeds}", f"above an idle import, {seeds} seeds", peaks[seeds], "B", ratios, "blocks", how
        )
        out.unlink()


def print_peak(grid: str, out: str) -> None:
    """Run a grid file and print by how many bytes the peak memory grew beyond that of the imports."""
    from ..config.grid import GridConfig
    from ..kernels import jit
    from ..store import create

    assert create and jit  # h5py and numba, loaded
    idle = machine.peak_bytes()
    from ..grid.job import run

    run(GridConfig.from_toml(Path(grid)), out, overwrite=True)
    print(machine.peak_bytes() - idle)


SECTIONS = {
    "streaming": streaming,
    "memory": memory,
}
