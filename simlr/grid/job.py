"""Running a grid: `simlr.run`, and the `Job` that the command and the workers of a cluster share."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from .. import resources
from ..cli.progress import shown as progress_shown
from ..config import expectation, optimal
from ..config.grid import GridConfig
from ..config.reading import config_of, read_recorded
from ..config.settings import SETTINGS
from ..config.study import StudyConfig
from ..errors import DamageError, InputError
from ..inputs import toml
from ..plan.needs import check_sources
from ..plan.plan import Plan
from ..problems import registry
from ..problems.source import Source
from ..store import create, file_format
from ..store.metadata import survey
from ..store.resume import resume_file
from ..store.writer import Writer
from .in_memory import MemoryWriter
from .options import RunOptions, out_as_argument
from .pipeline import Pipeline
from .provenance import environment_here, root_attributes
from .startup import compiling_told
from .study import run_study

if TYPE_CHECKING:
    from ..interactive.run import Run


def run(
    config: GridConfig | StudyConfig | dict | str | Path,
    out: str | Path | None = None,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int], None] | bool | None = None,
    accept_other: bool = False,
    extend: bool = False,
) -> "Run":
    """Run a grid, or a paper's study.

    Parameters
    ----------
    config : GridConfig, StudyConfig, dict, str or Path
        What is run: a config, which `simlr.config.read` makes; nested dicts, in which arrays, ranges and tuples are
        lists; the path of a grid or study file; TOML text; the name of a paper, or the path of its Python file. A
        Python file that it names as a kind is run (docs/plugins.md), relative to the grid's or the working folder.
    out : str or Path, optional
        The run file; without one everything is kept in memory.
    threads : int, optional
        How many to use; all of them by default.
    overwrite : bool
        Whether a file that is there is replaced.
    resume : bool
        Whether a file that is there is gone on with; where there is none, it is started.
    progress : bool or callable, optional
        True shows a bar, that of the notebook in a notebook. A function is called with (seeds done, all seeds) now and
        then, by this thread.
    accept_other : bool
        With resume or extend: whether other code, versions or another processor may have begun the file. It then says
        which of its seeds those have computed: `Run.accepted_other`.
    extend : bool
        Whether the file that is there, which has fewer seeds, schedules, levels or steps, is to have all of the grid's.
        What it has already is taken over; see docs/grids.md.

    Returns
    -------
    Run
        Where a run of a grid in memory is interrupted, what was computed by then: its `complete` is False, and what is
        missing is NaN.

    Raises
    ------
    InputError
        A ValueError: bad input; nothing has been touched.
    RunError
        The run could not go on.
    KeyboardInterrupt
        Of a run into a file, which has what was computed, and of a study, of which nothing is kept.
    """
    with out_as_argument():
        return _run(config_of(config), out, RunOptions(threads, overwrite, resume, progress, accept_other, extend))


def _run(config, out, options):
    if isinstance(options.progress, bool):
        unit, quiet = "seeds" if isinstance(config, GridConfig) else "parts", not options.progress
        with compiling_told(quiet), progress_shown(unit, quiet) as tell:
            return _run(config, out, options._replace(progress=tell))
    if isinstance(config, StudyConfig):
        return run_study(config, out, options)
    if options.extend:
        return _extended(config, out, options)
    job = Job(as_recorded(config, out) if options.resume else config)
    writer, blocks = job.open(out, options.overwrite, options.resume, accept_other=options.accept_other)
    from ..interactive.run import Run, load  # late: with it comes the report, which the grid command does without

    in_memory = isinstance(writer, MemoryWriter)
    with contextlib.suppress(*[KeyboardInterrupt] if in_memory else []):
        job.run(writer, blocks, options.threads, options.progress)
    return Run(writer.source) if in_memory else load(writer.path)


def _extended(config, out, options):
    """The run of a grid in the place of the file of a smaller one."""
    from ..interactive.run import load
    from .extend import Extension, grows

    options.check()
    if out is None:
        raise InputError("extend: needs out, the run file that grows")
    job = Job(config)
    if not grows(job, out):
        return _run(config, out, options._replace(extend=False, resume=True, accept_other=False))
    Extension(job, out, options.threads, options.accept_other).run(options.progress)
    return load(out)


def as_recorded(config: GridConfig, path: str | Path | None) -> GridConfig:
    """The grid with the optimal schedules that a run file of it has, so that going on with it computes none anew."""
    wanted = any(optimal.is_optimal(table) and "found" not in table for table in config.schedule)
    if not wanted or path is None or not os.path.exists(path):
        return config
    try:
        there = survey(path)
        recorded = read_recorded(there.attributes, there.schedules)
    except (InputError, DamageError, KeyError):
        return config  # which is refused when the file is opened, by what is wrong with it
    return optimal.as_computed(config, recorded)


class Origin(NamedTuple):
    """Where blocks come from that are computed elsewhere: what the file says of that machine, and short datasets of it.

    Attributes
    ----------
    environment : dict of str to str
        As of `provenance.environment_here`.
    moments : dict of str to (S, K) array
        The datasets `file_format.MOMENTS`, by name, for S schedules and K recorded moments.
    """

    environment: dict[str, str]
    moments: dict[str, NDArray]


class Job:
    """One grid on its way, or one shard of it: its problems, its plan, and what is to be done.

    Parameters
    ----------
    config : GridConfig
        The grid.
    shard : (int, int), optional
        (I, N): shard I of N, counted from 0.

    Attributes
    ----------
    sources : list of Source
        The problems, one of each combination of problem parameters.
    plan : Plan
        The grid as cells; of a file that is gone on with, with its own blocks.
    fewer : str
        That the problem has fewer draws than seeds are asked for, in words; "" where it has enough.
    recomputed : list of str
        The blocks of such a file that were done, and whose bytes are not what was written.
    kept : dict
        Root attributes of the run file in the place of those that `attributes` would give it.

    Raises
    ------
    InputError
        Where the problem's parameters or data do not do.
    """

    def __init__(self, config: GridConfig, shard: tuple[int, int] | None = None):
        self.shard = shard
        self.recomputed: list[str] = []
        self.kept: dict[str, Any] = {}
        with toml.placed(config.file):
            whole: Plan = self._prepare(config)
        self.plan = whole.part(*shard) if shard else whole

    def _prepare(self, config):
        """Find the problems, and plan the work: the `Plan` of all seeds."""
        for plugin in (each.plugin for each in config.plugins):
            if not plugin.is_loaded:
                raise InputError(
                    f"{plugin.role} {plugin.name!r}: its source is not loaded, which no run file has; run the grid file"
                )
        kind = registry.find("problem.kind", config.problem["kind"])
        _, combinations = config.problem_combinations()
        self.sources = [kind.prepare(combination, Path(config.folder)) for combination in combinations]
        check_sources(config, self.sources)
        wanted, noises = config.seeds["count"], {noise["kind"] for _, noise, _ in config.methods()}
        is_noisy = noises != {"none"} and config.expectation is None
        limits = [1 if source.is_same and not is_noisy else source.limit or wanted for source in self.sources]
        sizes = tuple((source.dimension, min(wanted, most)) for source, most in zip(self.sources, limits, strict=True))
        if any(map(optimal.is_optimal, config.schedule)):
            from ..engine.optimal.in_grid import solved  # which loads Numba

            config = solved(config, self.sources, different_draws(self.sources, sizes))
        fewest = min(most for _, most in sizes)
        is_asked = wanted != SETTINGS["seeds"][0].default  # by default there are more than such a problem has
        self.fewer = (
            f"{fewest} of the {wanted} seeds: the problem has no more draws" if is_asked and fewest < wanted else ""
        )
        self.config = config
        return Plan.of_grid(config, sizes)

    def open(
        self,
        out: str | Path | None,
        overwrite: bool = False,
        resume: bool = False,
        origin: Origin | None = None,
        accept_other: bool = False,
    ) -> tuple[Writer | MemoryWriter, Sequence[int]]:
        """Make ready for the results.

        Parameters
        ----------
        out, overwrite, resume, accept_other
            As of `run`.
        origin : Origin, optional
            Where the blocks come from, if they are computed elsewhere.

        Returns
        -------
        writer : Writer or MemoryWriter
            What takes the blocks.
        blocks : sequence of int
            The numbers of those to compute.

        Raises
        ------
        InputError, RunError
            As of `run`.
        """
        RunOptions(overwrite=overwrite, resume=resume, accept_other=accept_other).check()
        if out is None:
            resources.check_memory(create.bytes_needed(self.plan), "the run takes", "; out=PATH streams it to a file")
            return MemoryWriter(self.plan, self.attributes(origin)), range(len(self.plan.block_starts))
        if resume and os.path.exists(out):
            return self._go_on(out, origin, accept_other)
        create.check_target(Path(out), overwrite)  # before the attributes, for which Numba is loaded
        create.check_room(Path(out).parent, create.bytes_needed(self.plan), out)
        small = None
        if origin:  # some of the short datasets have its bits
            computed = file_format.small_datasets(self.plan)
            small = [(field, origin.moments.get(field.name, array)) for field, array in computed]
        writer = create.create(out, self.plan, self.attributes(origin), overwrite, small)
        return writer, range(len(self.plan.block_starts))

    def _go_on(self, out, origin, accept_other):
        """The writer of a file that is gone on with, and the blocks that it lacks."""

        def with_its_blocks(starts, seeds):
            self.plan = self.plan.with_part(starts, seeds) if self.shard else self.plan.with_blocks(starts)
            return self.plan

        writer = resume_file(out, with_its_blocks, self.attributes(origin), accept_other)
        try:
            damaged, missing = writer.check()
            self.recomputed = [writer.named(block) for block in damaged]
            blocks = sorted([*damaged, *missing])
            writer.reopen(blocks)
        except BaseException:
            writer.close()
            raise
        return writer, blocks

    def data(self) -> list[str]:
        """What the problems read from files, a line each."""
        return list(dict.fromkeys(text for source in self.sources if (text := source.describe())))

    def attributes(self, origin: Origin | None = None) -> dict[str, Any]:
        """The root attributes of the run file: what ran, on what, when."""
        others = {"problem_sizes": file_format.sizes_text(self.plan.sizes)}
        if self.data():
            others["problem_data"] = "\n".join(text[:1000] for text in self.data()[:20])
        if self.config.expectation is not None:
            others["expectation"] = expectation.MEANING
        if self.shard:
            others["shard"] = "{}/{}".format(*self.shard)
        identity = " ".join(source.identity for source in self.sources).strip()
        environment = origin.environment if origin else environment_here()
        return {**root_attributes(self.config, identity, environment, **others), **self.kept}

    def run(
        self,
        writer: Writer | MemoryWriter,
        blocks: Sequence[int],
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        on_interrupt: Callable[[], None] = lambda: None,
        computer: Any = None,
    ) -> None:
        """Compute and write blocks; whatever happens, what is written gets committed, and the writer closed.

        Parameters
        ----------
        writer, blocks
            What `open` has given.
        threads : int, optional
            How many to use; all of them by default.
        progress : callable, optional
            Called with (seeds done, all seeds) now and then, by this thread.
        on_interrupt : callable
            Called at once where a KeyboardInterrupt ends it.
        computer : optional
            What computes the blocks in the place of this process: see `cluster.pool.Pool`.
        """
        begin, complete = time.monotonic(), False
        try:
            if blocks:
                computer = computer or _Here(self, threads)
                self._compute(writer, list(blocks), computer, progress, on_interrupt)
                computer.check()
            complete = True
        finally:
            try:
                writer.finish(time.monotonic() - begin if blocks else 0.0, complete)
            except Exception:
                if complete:  # else it would hide an earlier error
                    raise
            finally:
                writer.close()

    def _compute(self, writer, blocks, computer, progress, on_interrupt):
        """The same, without the end."""
        plan = self.plan
        starts, sizes = [*plan.block_starts.tolist(), plan.seeds], plan.block_sizes
        done = plan.seeds - sum(sizes[b] for b in blocks)

        def ends(block):
            return starts[block], starts[block + 1]

        def tell(count):
            if progress:
                progress(done, plan.seeds)

        def write(block, arrays):
            nonlocal done
            writer.write_block(block, *ends(block), arrays)
            computer.give_back(arrays)
            done += sizes[block]

        Pipeline(computer.results(blocks, ends), write).run(tell, computer.stop, on_interrupt)


def different_draws(sources: Sequence[Source], sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Of every problem (d, draws) how many draws differ."""
    return [1 if source.is_same else draws for source, (_, draws) in zip(sources, sizes, strict=True)]


class _Here:
    """Computes blocks in this process, in order."""

    def __init__(self, job, threads):
        from ..engine.block_engine import Engine

        engine = Engine(job.plan, job.sources, threads)
        self._block, self.stop, self.give_back = engine.block, engine.stop, engine.give_back

    def results(self, blocks: list[int], ends: Callable[[int], tuple[int, int]]) -> Iterator[tuple[int, dict]]:
        """(block, arrays) of all blocks; `ends(block)` are the first seed of a block and the one after its last."""
        return ((block, self._block(*ends(block))) for block in blocks)

    def check(self) -> None:
        """Nothing: every block has been computed, or an error has ended the run."""
