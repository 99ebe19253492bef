"""The command `python -m simlr.grid`: arguments in, messages and an exit status out."""

import argparse
import os
import shlex
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from ..cli import progress
from ..cli.arguments import DONE, MOST_DIGITS, Parser, answered, called, harmless, one_line, positive, say, setting
from ..cli.signals import is_command
from ..cli.structured import as_json
from ..config.reading import read_named
from ..config.study import StudyConfig
from ..errors import InputError, RunError, show
from ..store import create, file_format
from ..store.metadata import survey
from ..store.target import make_lasting
from . import catalogue, listing, values
from .execute import LOCAL, announce, display_of, execute
from .options import RunOptions
from .pipeline import still_working
from .startup import compiling_told, load_numba

DEFAULT_PAPER = "nakkiran2020"
# Reading so much back takes a second or more: it is said beforehand.
LONG_CHECK_BYTES = 1 << 30


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "grid",
        "Run a grid of learning-rate schedules x seeds and stream it into one HDF5 file.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted (what was computed is kept)",
    )
    add = options.add_argument
    add(
        "grid", nargs="?", metavar="GRID.toml | PAPER", default=DEFAULT_PAPER,
        help="a grid or study file, or the name of a published claim (default: %(default)s)",
    )  # fmt: skip
    add("--out", metavar="FILE", help="the run file (default: data/<name>.h5, or <name>.shard-I-of-N.h5)")
    add(
        "--set", metavar="KEY.PATH=VALUE", action="append", default=[], type=setting, dest="settings",
        help="replace one value of the grid, e.g. seeds.root=7 or schedule.0.learning_rate=[0.1,1.0]; may repeat",
    )  # fmt: skip
    add("--seeds", metavar="N", type=positive, help="the number of seeds: the same as --set seeds.count=N")
    add(
        "--threads", metavar="N", type=positive,
        help="threads to compute with (default: all); with --dask, threads of every worker (default: those that Dask "
        "gave it; of a local one: 1)",
    )  # fmt: skip
    _add_cluster(options)
    add(
        "--shard", metavar="I/N", type=shard,
        help="compute only shard I of N, counted from 0: consecutive blocks of seeds, in a file that simlr.merge joins",
    )  # fmt: skip
    _add_what_is_there(options)
    add("--dry-run", action="store_true", help="print cells, steps, bytes and memory; run nothing")
    add("--list", action="store_true", help="print papers, problems and schedules with their parameters")
    add("--json", action="store_true", help="print JSON in place of text (docs/json.md)")
    add("--quiet", action="store_true", help="no progress, no table; errors only")
    return options


def _add_cluster(options):
    """The arguments for a cluster."""
    options.add_argument(
        "--dask", metavar="ADDRESS",
        help="compute the blocks on the Dask cluster whose scheduler (its address, or its scheduler file) is named, or "
        f'on "{LOCAL}" worker processes started for it; needs the extra `cluster`',
    )  # fmt: skip
    options.add_argument(
        "--dask-security", metavar="FILE",
        help="with --dask tls://...: a TOML file with ca, cert and key, the names of certificate files",
    )  # fmt: skip


def _add_what_is_there(options):
    """The arguments for a run file that is there."""
    existing = options.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on with the run file, or start it where there is none"
    )
    existing.add_argument(
        "--extend", action="store_true",
        help="give the run file the seeds, schedules, levels and steps that the grid has more than it",
    )  # fmt: skip
    existing.add_argument("--overwrite", action="store_true", help="replace the run file")
    existing.add_argument(
        "--verify", metavar="FILE", help="check a run file's layout and every block's CRC; nothing else is looked at"
    )
    options.add_argument(
        "--accept-other", action="store_true",
        help="with --resume or --extend: go on with what other code, versions or processor began; the file says so",
    )  # fmt: skip


def shard(text: str) -> tuple[int, int]:
    """I/N as two numbers."""
    try:
        return file_format.shard_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def grid_command(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parser().parse_args(arguments)
    if options.list:
        if options.json:
            return catalogue.main(["--json"])
        return one_line("simlr", lambda: _print(catalogue.everything()))
    if options.verify is not None:
        return _verify(options)
    if options.dask_security is not None and options.dask is None:
        return one_line("simlr", lambda: _refuse("--dask-security goes with --dask"))
    if options.accept_other and not options.resume and not options.extend:
        return one_line("simlr", lambda: _refuse("--accept-other goes with --resume or --extend"))
    given = sys.argv[1:] if arguments is None else list(arguments)

    def interrupted(stopped):
        kept = f"; what was computed is kept. Go on with: {resume_command(given)}"
        return "interrupted" + ("" if options.dry_run else f"; {stopped.args[0]}" if stopped.args else kept)

    # All that is to be kept is on the disk by then.
    return answered(lambda: _run(options), interrupted, still_working=still_working)


def _verify(options):
    """Check a run file, and say how it is."""
    from ..store.verify import check, faults_text, verify

    def work():
        with progress.shown("blocks", options.quiet) as tell:
            if not options.json:
                verdict = verify(options.verify, tell)
                return DONE if options.quiet else _print(verdict)
            found = check(options.verify, tell)
        told = found._asdict()
        print(as_json({"format": values.VERIFY_FORMAT, "file": told.pop("path"), "sound": not found.faults, **told}))
        if found.faults:
            raise RunError(faults_text(found))
        return DONE

    return answered(work, "interrupted")


def resume_command(arguments: list[str]) -> str:
    """The command that goes on with what one of these arguments has left."""
    kept = [argument for argument in arguments if argument not in ("--overwrite", "--resume")]
    return shlex.join([*called("grid").split(), *kept, *([] if "--extend" in kept else ["--resume"])])


def _refuse(text):
    raise InputError(text)


def _print(text):
    print(harmless(text))
    return DONE


def _run(options):
    """Read the grid or study, and run it into its file."""
    overrides = list(options.settings)
    if options.seeds:
        overrides.append(("seeds.count", options.seeds))
    config = read_named("grid", options.grid, overrides)
    if options.out is not None and not options.out.strip():
        raise InputError("--out: needs a file name")
    part = ".shard-{}-of-{}".format(*options.shard) if options.shard else ""
    out = Path("data") / f"{config.name}{part}.h5" if options.out is None else Path(options.out)
    return (_run_study if isinstance(config, StudyConfig) else _run_grid)(config, out, options)


def _run_grid(config, out, options):
    """Compute a grid, and say what came out."""
    from .extend import grows
    from .job import Job, as_recorded

    job = Job(as_recorded(config, out) if options.resume else config, options.shard)
    if options.extend and grows(job, out):
        return _extend(job, out, options)
    options.resume |= options.extend  # where nothing is to be added, what is missing is
    if options.dry_run:
        needed = create.bytes_needed(job.plan)
        if options.json:
            return _print(as_json(values.estimate_values(job.plan, needed, out) | {"data": job.data()}))
        return _print(listing.estimate(job.plan, needed, out, job.data()))
    _require_compiler()
    with _output(out, options), _workers(job, out, options) as (workers, origin):
        if options.resume and not options.quiet:
            _say_long_check(out, say)
        if is_command():
            load_numba()
        writer, blocks = job.open(out, options.overwrite, options.resume, origin, options.accept_other)
        if writer.lock.why_none and not options.quiet:
            say(f"{out}: is not locked ({writer.lock.why_none}): see to it that no other run writes to it")
        execute(job, writer, list(blocks), out, options, workers)
    return _tell_outcome(out, options)


def _extend(job, out, options):
    """Give a run file what the grid has more, and say beforehand how much of it is there."""
    from .extend import Extension

    _require_compiler()
    _say_long_check(out, (lambda text: None) if options.quiet else say)
    with _workers(job, out, options) as (workers, origin):
        extension = Extension(job, out, options.threads, options.accept_other, workers=workers, origin=origin)
        plan = job.plan
        told = f"{extension.reused:,} cells of {plan.cells:,} are there, {extension.computed:,} are computed"
        if extension.moved:
            told += f" ({extension.moved:,} seeds become another shard's; shards that are joined first keep them)"
        if not options.dry_run:
            _run_extension(extension, job, out, options, workers, told)
            return _tell_outcome(out, options)
    needed = create.bytes_needed(plan)
    if options.json:
        known = values.estimate_values(plan, needed, out) | {"data": job.data()}
        return _print(as_json(known | {"reused": extension.reused, "computed": extension.computed}))
    return _print(f"{listing.estimate(plan, needed, out, job.data())}\n{'extends':<9} {told}")


def _run_extension(extension, job, out, options, workers, told):
    """Extend a run file in front of somebody."""
    from ..engine.sweeps import expected_sweeps

    tell, plan = (lambda text: None) if options.quiet else say, job.plan
    create.check_room(out.parent, create.bytes_needed(plan), out)
    if is_command():
        load_numba()
    job.recomputed = extension.damaged
    tell(f"{out}: extends: {told}; until it is whole, the file is as it was")
    announce(job, out, options, workers, tell)
    with display_of(plan.seeds, 0, options, tell) as (display, on_interrupt):
        if workers:
            workers.tell = display.note
        with compiling_told(options.quiet, [] if workers else expected_sweeps(plan)):
            extension.run(lambda seeds, _: display.update(seeds), on_interrupt, tell)


def _say_long_check(out, tell):
    """Say that a large file is read back first."""
    with suppress(OSError, ValueError):
        size = os.path.getsize(out)
        if size >= LONG_CHECK_BYTES:
            tell(f"{out}: checking the CRCs of what is done ({size:,} bytes) ...")


def _run_study(config, out, options):
    """Check what is asked of a study, measure it, and say what came out."""
    if options.extend:
        raise InputError(f"--extend: {config.name!r} is a study, which is measured whole; use --overwrite")
    if options.shard:
        raise InputError(f"--shard: {config.name!r} is a study, which is measured whole")
    if options.dask:
        raise InputError(f"--dask: {config.name!r} is a study, which is measured on this machine")
    if options.dry_run and options.json:
        raise InputError(
            f"--json: {config.name!r} is a study, whose --dry-run has no numbers; leave one of the two out"
        )
    if options.dry_run:
        return _print(listing.study_estimate(config, out))
    from .study import run_study

    _require_compiler()
    try:
        with _output(out, options), progress.shown("parts", options.quiet) as tell:
            if is_command():
                load_numba()
            if not options.quiet:
                say(f"{config.name}: {config.definition.meaning} -> {out}")
            wanted = (options.threads, options.overwrite, options.resume, tell, options.accept_other)
            with compiling_told(options.quiet):
                run_study(config, out, RunOptions(*wanted))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("of an unfinished study nothing is kept") from None
    return _tell_outcome(out, options)


def _tell_outcome(out, options):
    """What came out of a run, where it is wanted."""
    if options.json:
        return _print(as_json(values.outcome_values(out)))
    return DONE if options.quiet else _print(listing.outcome(out))


@contextmanager
def _workers(job, out, options):
    """The workers of a cluster and the origin of what they compute; None and None where this process does it."""
    if options.dask is None or options.dry_run:
        yield None, None
        return
    from .cluster import connect

    recorded = None
    if (options.resume or options.extend) and os.path.lexists(out) and not options.accept_other:
        recorded = survey(out).attributes
    tell = (lambda text: None) if options.quiet else say
    with connect.connected(
        options.dask, job, options.threads, tell, say if options.quiet else tell, options.dask_security
    ) as workers:
        yield workers, workers.meet(recorded)


@contextmanager
def _output(out, options):
    """Check, before anything that takes long, that the run file can be made or gone on with.

    The default folder is made where it is missing, and removed again where nothing came to be in it.
    """
    folder = out.parent
    is_ours = options.out is None and not os.path.lexists(folder)
    try:
        if is_ours:
            make_lasting(folder)  # another shard may have made it meanwhile
    except OSError as error:
        raise InputError(f"--out: the default folder {folder} cannot be made: {error.strerror}") from None
    try:
        if not (options.resume and os.path.lexists(out)):
            create.check_target(out, options.overwrite)
        yield
    except BaseException:
        if is_ours:
            with suppress(OSError):
                folder.rmdir()  # which fails where there is a file in it
        raise


def _require_compiler():
    """Refuse to crawl: without the compiler a grid would take thousands of times longer."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise RunError("NUMBA_DISABLE_JIT is set: simlr's kernels need the compiler; unset it")
    wanted = os.environ.get("NUMBA_NUM_THREADS", "1").strip() or "1"
    if not (wanted.isascii() and wanted.isdecimal() and int(wanted[:MOST_DIGITS])):
        raise RunError(f"NUMBA_NUM_THREADS must be a whole number of 1 or more, got {show(wanted, 40)}; unset it")
