"""Extending a run: `simlr run GRID --extend`, more seeds, schedules, levels or steps in the place of a run file.

It may be a shard, which becomes that shard of the larger grid; what is missing may be computed on a cluster. A new file
is written beside the old one and gets its name when it is whole. Until then the old one is as it was, and the new one,
under the old one's name with `.extend`, is an unfinished run that the same command goes on with.
"""

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DamageError, InputError, RunError
from ..inputs.files import reading
from ..store import file_format
from ..store.compatibility import ACCEPTED, check_same
from ..store.lock import kept_alone
from ..store.metadata import survey
from ..store.run_file import Opened, opened
from ..store.target import sync_folder
from .growth import NEW, Growth
from .parts import PartEngine, parts

if TYPE_CHECKING:
    from .job import Job, Origin

ENDING = ".extend"
BLOCKS_HELD = 2


def grows(job: "Job", path: str | Path) -> bool:
    """Whether a grid is another one than that of a run file; InputError where there is no such file."""
    return survey(path).attributes.get("identity") != job.config.identity()


class Extension:
    """A run file and the grid that it grows to; and what computes that grid's blocks, for `Job.run`.

    Parameters
    ----------
    job : Job
        The grid.
    path : str or Path
        The run file.
    threads : int, optional
        How many to compute with; all of them by default.
    accept_other : bool
        Whether other code, versions or another processor may have computed the file.
    progress : callable, optional
        Called with (blocks of the file looked at, all of them).
    workers : cluster.pool.Pool, optional
        What computes in the place of this process, after its `meet`.
    origin : Origin, optional
        Where the blocks come from then.

    Attributes
    ----------
    computed : int
        How many cells of the grid are computed; the others are taken over.
    damaged : list of str
        The blocks of the file whose bytes are not what was written; they are computed again.

    Raises
    ------
    InputError
        Where there is no such file, it is of another grid or code, or the grid has less than it.
    """

    def __init__(
        self, job: "Job", path: str | Path, threads: int | None = None, accept_other: bool = False,
        progress: Callable[[int, int], None] | None = None, workers: Any = None, origin: "Origin | None" = None,
    ):  # fmt: skip
        self.path = Path(os.path.realpath(path))
        with reading(self.path):
            self._before = os.stat(self.path)
        self._job, self._workers, self._origin = job, workers, origin
        self._old: Opened = opened(self.path)
        recorded = self._old.survey.attributes
        wanted = {**job.attributes(origin), "identity": recorded.get("identity")}
        _check_part(path, recorded, wanted)
        self._growth = Growth(path, self._old.plan, job.plan)
        self._other = check_same(path, recorded, wanted, accept_other)
        self._held: dict[int, dict[str, NDArray]] = {}
        self._parts = None if workers else PartEngine(job.plan, job.sources, threads)
        self.damaged = self._look(progress or (lambda done, total: None))
        plan = job.plan
        ends = [*plan.block_starts.tolist(), plan.seeds]
        self.computed = sum(int(self._growth.missing(a, b).sum()) for a, b in pairwise(ends))

    def _kept_attributes(self):
        """What the new file says of the old one's beginning, and of other code that had a part in it."""
        recorded = self._old.survey.attributes
        lines = [f"before it was extended, {line}" for line in str(recorded.get(ACCEPTED, "")).splitlines()]
        lines += [f"what was there before it was extended: {self._other}"] if self._other else []
        kept = {"started_at": recorded["started_at"]} if "started_at" in recorded else {}
        return {**kept, **({ACCEPTED: "\n".join(lines)} if lines else {})}

    def _look(self, progress):
        """Read every block that is done, and note what of it is final; return the names of those that are damaged."""
        damaged, total = [], self._old.plan.blocks
        with self._old.blocks() as blocks:
            for block, mark in enumerate(blocks.done().tolist()):
                arrays = blocks.read(block) if mark == 1 else None
                if arrays is not None:
                    self._growth.note(*blocks.ends(block), arrays)
                elif mark:
                    damaged.append(blocks.named(block))
                progress(block + 1, total)
        return damaged

    @property
    def reused(self) -> int:
        """How many cells are taken over."""
        return self._job.plan.cells - self.computed

    @property
    def moved(self) -> int:
        """How many seeds of a shard are another's in the grid; what the file has of them is not taken over."""
        return self._old.plan.seeds - int((self._growth.seed != NEW).sum())

    def run(
        self,
        progress: Callable[[int, int], None] | None = None,
        on_interrupt: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Write the grown file, and put it in the old one's place.

        Parameters
        ----------
        progress, on_interrupt
            As of `Job.run`.
        tell : callable
            Is told in a line where it goes on with what was begun before, or starts again.

        Raises
        ------
        InputError
            Where there is no room for both.
        RunError
            Where another run writes to either, or it cannot be written; the old file is as it was.
        """
        with kept_alone(self.path):
            new = self.path.with_name(self.path.name + ENDING)
            try:
                writer, blocks = self._open(new, tell)
                self._job.run(writer, blocks, None, progress, on_interrupt, self)
            except RunError as error:
                raise RunError(str(error).replace("--resume", "--extend")) from None
            now = os.stat(self.path)
            if not os.path.samestat(self._before, now) or self._before.st_mtime_ns != now.st_mtime_ns:
                raise RunError(f"{self.path}: was replaced or changed meanwhile; {new} has the extended run")
            os.replace(new, self.path)
            sync_folder(self.path.parent)

    def _open(self, new, tell):
        """(writer, blocks to write) of the new file, which goes on where that was begun before."""
        if os.path.lexists(new):
            try:
                writer, blocks = self._job.open(new, resume=True, origin=self._origin)
            except InputError as error:
                tell(f"{new}: cannot be gone on with, and starts again ({error})")
            else:
                tell(f"{new}: goes on with it; {self._job.plan.blocks - len(blocks):,} of its blocks are there")
                return writer, blocks
        self._job.kept = self._kept_attributes()
        writer, blocks = self._job.open(new, os.path.lexists(new), origin=self._origin)
        with self._old.blocks() as old:
            writer.finish(old.seconds()[0], complete=False)
        return writer, blocks

    # ---- what `Job.run` asks of whatever computes ----

    def results(self, blocks: list[int], ends: Callable[[int], tuple[int, int]]) -> Iterator[tuple[int, dict]]:
        """(block, arrays) of all blocks; `ends(block)` are the first seed of a block and the one after its last."""
        missing = self._growth.missing
        with self._old.blocks() as old:
            if self._parts:
                for block in blocks:
                    first, last = ends(block)
                    yield block, self._block(old, first, last, self._parts.computed(first, missing(first, last)))
                return
            lacking = []
            for block in blocks:
                if missing(*ends(block)).any():
                    lacking.append(block)
                else:  # which no worker need have
                    yield block, self._block(old, *ends(block), ())
            for block, found in self._workers.results(lacking, ends, missing):
                wanted = parts(missing(*ends(block)))
                known = ((part, {name: found[k, name] for i, name in found if i == k}) for k, part in enumerate(wanted))
                yield block, self._block(old, *ends(block), known)

    def stop(self) -> None:
        """Ask for an end, soon."""
        (self._parts or self._workers).stop()

    def give_back(self, arrays: dict[str, NDArray]) -> None:
        """Nothing: every block has its own arrays."""

    def check(self) -> None:
        """RunError where workers have died of a block, again and again."""
        if self._workers:
            self._workers.check()

    def _block(self, old, first, last, computed):
        """The arrays of one block: what is in the file, then what is computed, (part, arrays) each, over it."""
        plan = self._job.plan
        _, recorded = plan.recorded_rows(first, last)
        sizes = file_format.dimensions(plan) | {"seed": last - first, "recorded_seed": recorded.size}
        arrays = {}
        for field in file_format.block_fields(plan):
            arrays[field.name] = np.zeros(tuple(sizes[name] for name in field.dims), field.dtype)
            if "average_" in field.name:  # which the file may lack
                arrays[field.name][...] = np.nan
        for block in self._blocks_with(old, first, last, self._growth.missing(first, last)):
            self._take_over(old, block, first, last, arrays)
        for (schedules, begin, end), found in computed:
            rows = slice(*np.searchsorted(recorded, [first + begin, first + end]))
            for field in file_format.block_fields(plan):
                if field.dims[0] == "seed":
                    arrays[field.name][begin:end] = found[field.name]
                else:
                    along = rows if field.dims[1] == "recorded_seed" else slice(begin, end)
                    arrays[field.name][schedules, along] = found[field.name]
        return arrays

    def _blocks_with(self, old, first, last, missing):
        """The blocks of the file that have seeds of which not all is computed."""
        wanted = self._growth.seed[first:last][~missing.all(axis=0)]
        starts = self._old.plan.block_starts
        return np.unique(np.searchsorted(starts, wanted[wanted != NEW], side="right") - 1).tolist()

    def _read(self, old, block):
        """The arrays of a block of the file, of which the last few are held."""
        if block not in self._held:
            arrays = old.read(block)
            if arrays is None:
                raise DamageError(f"{self.path}: is damaged: {old.named(block)}; the same command computes it again")
            while len(self._held) >= BLOCKS_HELD:
                self._held.pop(next(iter(self._held)))
            self._held[block] = arrays
        return self._held[block]

    def _take_over(self, old, block, first, last, arrays):
        """Put what a block of the file says of the seeds first..last - 1 of the grid into their arrays."""
        growth, (begin, end) = self._growth, old.ends(block)
        seeds = growth.seed[first:last]
        here = np.flatnonzero((seeds >= begin) & (seeds < end))
        there = seeds[here] - begin
        rows_here, rows_there = self._recorded_pairs(first, last, begin, end)
        sizes = file_format.dimensions(self._old.plan) | {"seed": end - begin, "recorded_seed": -1}
        known = np.flatnonzero(growth.schedule != NEW)
        found = self._read(old, block)
        for field in file_format.block_fields(self._job.plan):
            if field.name not in found:
                continue
            values = found[field.name].reshape(tuple(sizes[name] for name in field.dims))
            if field.dims[0] == "seed":
                arrays[field.name][here] = values[there]
                continue
            along, other = (rows_here, rows_there) if field.dims[1] == "recorded_seed" else (here, there)
            taken = values[np.ix_(growth.schedule[known], other)]
            if "level" in field.dims:
                taken = taken[:, :, growth.level]
            arrays[field.name][np.ix_(known, along)] = taken

    def _recorded_pairs(self, first, last, begin, end):
        """Where recorded seeds have their rows in a block of the grid, and where in one of the file."""
        _, here = self._job.plan.recorded_rows(first, last)
        _, there = self._old.plan.recorded_rows(begin, end)
        wanted = self._growth.seed[here]
        found = np.flatnonzero(np.isin(wanted, there))
        return found, np.searchsorted(there, wanted[found])


def _check_part(path, recorded, wanted):
    """Refuse a shard where the whole grid is wanted, another shard, and the other way round."""
    there, here = recorded.get("shard"), wanted.get("shard")
    if there == here:
        return
    if not there:
        raise InputError(f"{path}: holds a whole run, which --extend leaves whole; leave --shard {here} out")
    there = "{}/{}".format(*file_format.shard_of(there))
    if not here:
        raise InputError(
            f"{path}: holds shard {there}: --extend with --shard {there} extends it alone; or join the shards first, "
            "by simlr.merge"
        )
    raise InputError(f"{path}: holds shard {there}, and wanted is {here}; --extend leaves shards cut as they are")
