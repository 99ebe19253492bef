"""The machine beside which a figure is to be read: what it is, what it can do at most, and how time is taken on it.

Every comparison is a race: the contestants take turns, round after round, so that what drifts (clock rate, other work,
caches of the disk) meets them alike, and the best time of each counts.
"""

import contextlib
import os
import platform
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..platform import HERE

PIECE = 1 << 20
SYNC_SECONDS = 1.0
FMA_ROUNDS = 200_000
TRIAD_BYTES = 192 << 20


# ---- taking times ----


def seconds_of(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def race(
    contestants: Mapping[Any, Callable[[], object]], rounds: int, between: Callable[[], object] = lambda: None
) -> dict[Any, float]:
    """Best wall seconds of each of {name: function}, called in turn, `rounds` times; `between` them is not timed."""
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds):
        for name, work in contestants.items():
            between()
            best[name] = min(best[name], seconds_of(work))
    return best


# ---- what the machine is ----


def cores() -> int:
    """Processor cores that this process may use."""
    return HERE.cores()


def processor_name() -> str:
    """The processor as the system calls it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load_average() -> float:
    """Processes that ran or waited in the last minute, on average; -1 where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return -1.0


def peak_bytes() -> int:
    """The largest resident memory of this process so far.

    From /proc where there is one: what getrusage says of a process that was started by a larger one may be the peak of
    that one.
    """
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return HERE.peak_memory()


# ---- what it can do at most ----


@contextlib.contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Launch the kernels on `count` threads (None: all) for the duration."""
    from ..kernels import jit

    jit.set_threads(count)
    try:
        yield
    finally:
        jit.set_threads(None)


def multiply_adds(threads: int, rounds: int = FMA_ROUNDS) -> tuple[Callable[[], None], int]:
    """A function that takes fused multiply-adds in float64 on so many threads at full speed; their number."""
    from ..kernels import jit, probes

    sums = np.ones(threads)

    def run():
        with using_threads(threads):
            jit.launch(probes.fma_sweep, sums, rounds, 0.999, 0.001)

    return run, threads * rounds * probes.LANES * probes.CHAIN


def memory_bandwidth(threads: int, size: int = TRIAD_BYTES) -> float:
    """Bytes a second of a = b + s c over three arrays of `size` bytes in all: two read, one written."""
    from ..kernels import jit, probes

    a, b, c = (np.ones((threads, size // 24 // threads)) for _ in range(3))

    def run():
        with using_threads(threads):
            jit.launch(probes.triad_sweep, a, b, c, 3.0)

    run()
    return 3 * a.nbytes / race({"run": run}, 7)["run"]


class Written(NamedTuple):
    """How long it took to bring bytes to the disk."""

    seconds: float
    processor_seconds: float


def write(path: Path, pieces: Sequence[memoryview], total: int, checksum: bool) -> Written:
    """Write `total` bytes, taken from `pieces` in turn, to a new file by pwrite; sync once a second and at the end.

    With `checksum`, the CRC-32 of all bytes is computed on the way, as the store does. Returns `Written`.
    """
    descriptor = HERE.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        begin, processor = time.perf_counter(), time.thread_time()
        synced, offset, crc, turn = begin, 0, 0, 0
        while offset < total:
            piece = pieces[turn % len(pieces)][: total - offset]
            if checksum:
                crc = zlib.crc32(piece, crc)
            written = 0
            while written < len(piece):
                written += HERE.pwrite(descriptor, piece[written:], offset + written)
            offset, turn = offset + written, turn + 1
            if time.perf_counter() - synced >= SYNC_SECONDS:
                HERE.sync(descriptor)
                synced = time.perf_counter()
        HERE.sync(descriptor)
        return Written(time.perf_counter() - begin, time.thread_time() - processor)
    finally:
        os.close(descriptor)
        os.unlink(path)


def in_pieces(arrays: Iterable[NDArray]) -> list[memoryview]:
    """The bytes of some arrays as views of at most 1 MiB."""
    views = [np.ascontiguousarray(array).data.cast("B") for array in arrays if array.size]
    return [view[first : first + PIECE] for view in views for first in range(0, len(view), PIECE)]


def disk_speed(folder: Path, total: int) -> float:
    """Bytes a second of writing `total` bytes to a new file and syncing them."""
    pieces = in_pieces([np.random.default_rng(0).random(PIECE)])
    return total / min(write(folder / "disk", pieces, total, checksum=False).seconds for _ in range(3))
