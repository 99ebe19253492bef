"""Computing the blocks of a run in front of somebody: what is said beforehand, a progress display, interruption."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..cli import progress
from ..cli.arguments import say
from ..text import first_few, many
from .startup import compiling_told

LOCAL = "local"
MOST_DATA_LINES = 3  # at the beginning of a run
MOST_BLOCKS_NAMED = 5


def execute(job: Any, writer: Any, blocks: Sequence[int], out: Path, options: Any, workers: Any) -> None:
    """Compute the blocks with progress; an interruption ends in one line that says how to go on."""
    from ..engine.sweeps import expected_sweeps

    tell = (lambda text: None) if options.quiet else say
    if blocks:
        announce(job, out, options, workers, tell)
    else:
        tell(f"{out}: nothing is missing")
    seeds, sizes = job.plan.seeds, job.plan.block_sizes
    done = seeds - sum(sizes[block] for block in blocks)
    with display_of(seeds, done, options, tell, hidden=not blocks) as (display, on_interrupt):
        if workers:
            workers.tell = display.note
        with compiling_told(options.quiet, [] if workers else expected_sweeps(job.plan)):
            job.run(writer, blocks, options.threads, lambda seeds, _: display.update(seeds), on_interrupt, workers)


@contextmanager
def display_of(
    seeds: int, done: int, options: Any, tell: Callable[[str], None], hidden: bool = False
) -> Iterator[tuple]:
    """(the progress, what is called at once where it is interrupted)."""
    display = progress.show(seeds, done, quiet=options.quiet or hidden)

    def on_interrupt():
        display.close()
        tell("stopping ...")

    try:
        yield display, on_interrupt
    finally:
        display.close()


def announce(job: Any, out: Path, options: Any, workers: Any, tell: Callable[[str], None]) -> None:
    """Say what is computed, by what, and from which data; and that workers have to compile their kernels first."""
    from ..kernels import jit

    if workers:
        resources = f"Dask {workers.address}"
    else:
        jit.set_threads(options.threads)
        resources = many(jit.threads(), "thread")
    size = f"{many(len(job.plan.schedules), 'schedule')} x {many(job.plan.seeds, 'seed')}"
    name = job.config.name + (", shard {}/{}".format(*job.shard) if job.shard else "")
    tell(f"{name}: {size}, {resources} -> {out}")
    if job.fewer:
        tell(f"seeds: {job.fewer}")
    for text in job.data()[:MOST_DATA_LINES]:
        tell(f"data: {text}")
    if job.recomputed:
        named = first_few(job.recomputed[:MOST_BLOCKS_NAMED], MOST_BLOCKS_NAMED, len(job.recomputed))
        tell(f"{out}: what is there is not what was written, and is computed again: {named}")
    if workers and options.dask == LOCAL and not jit.is_warm():
        tell("the workers are compiling kernels, first run only ...")
