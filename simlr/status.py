"""The command `python -m simlr.status`: what is done, missing and damaged of run files, of which grid and code.

For one file, all shards of a grid, or a folder of them; beside runs that go on, too: nothing is locked or written.
"""

from .cli import signals  # noqa: I001 - first: it minds signals from then on

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .cli import progress
from .cli.arguments import DONE, FAILED, Parser, answered, harmless
from .cli.structured import as_json
from .errors import DamageError, InputError
from .store import file_format, lock
from .store.metadata import survey
from .store.run_file import opened, state_of_seal
from .text import first_few, many, printable, shortened

FORMAT = "simlr status 1"
MOST_NAMED = 20
HEADER = ("file", "grid", "shard", "blocks", "done", "missing", "damaged", "left", "state")
# What tells one code from another, in few words.
CODE = ("simlr_version", "kernel_digest", "code_digest", "numba_version", "processor")


class Status(NamedTuple):
    """One file: what it is of, how far it is, and how long the rest will take, in seconds; NaN where nobody knows."""

    path: Path
    state: str  # finished, running, unfinished, damaged, no run
    grid: str = ""
    identity: str = ""
    code: str = ""
    shard: str = ""
    blocks: int = 0
    done: int = 0
    missing: int = 0
    damaged: int = 0
    left: float = 0.0
    fault: str = ""


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "status",
        "Say what is done, missing and damaged of run files: of one, of the shards of a grid, of all in a folder.",
        "0 all are finished and sound, 1 something is missing or damaged, 2 bad usage or no run file at all",
    )
    options.add_argument("runs", nargs="+", metavar="FILE | FOLDER", help="run files; of a folder, all *.h5 in it")
    options.add_argument("--quick", action="store_true", help="go by the marks alone: do not read what is done")
    options.add_argument("--quiet", action="store_true", help="no progress while blocks are read")
    options.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m simlr.status`; returns the exit status."""
    options = parser().parse_args(arguments)
    return answered(lambda: _run(options), "interrupted")


def _run(options):
    """Look at every file, and tell."""
    paths = [path for name in options.runs for path in _files(Path(name))]
    if not paths:
        raise InputError(f"{', '.join(options.runs)}: no *.h5 there")
    with progress.shown("files", options.quiet or options.quick) as tell:
        found = []
        for path in paths:
            found.append(status_of(path, options.quick))
            tell(len(found), len(paths))
    if all(one.state == "no run" for one in found):
        raise InputError(first_few([one.fault for one in found[:MOST_NAMED]], MOST_NAMED, len(found)))
    print(as_json({"format": FORMAT, **as_values(found)}) if options.json else harmless(as_text(found)))
    whole = all(one.state == "finished" for one in found if one.state != "no run")
    # One shard is asked about by itself; of several, those that are not there are missing.
    return DONE if whole and (len(found) == 1 or not [*_missing_shards(found)]) else FAILED


def _files(path):
    """A file, or the run files in a folder."""
    return sorted(path.glob("*.h5")) if path.is_dir() else [path]


def status_of(path: Path, quick: bool = False) -> Status:
    """The `Status` of a file.

    Parameters
    ----------
    path : Path
        The file.
    quick : bool
        Whether what is marked as done is taken for it; else its bytes have to have their CRC-32.
    """
    try:
        state_of_seal(path)
        attributes = survey(path).attributes
        found = Status(
            path,
            "finished",
            identity=str(attributes.get("identity", "")),
            code=", ".join(printable(attributes.get(key, "unknown")) for key in CODE),
            shard=str(attributes.get("shard", "")),
        )
        if "study" in attributes:  # which is written whole
            return found._replace(grid=str(attributes["study"]), blocks=1, done=1)
        file = opened(path)
    except DamageError as error:
        return Status(path, "damaged", fault=str(error))
    except InputError as error:
        return Status(path, "no run", fault=str(error))
    with file.blocks() as blocks:
        marks = blocks.done()
        damaged, missing = map(len, ([], (marks != 1).nonzero()[0]) if quick else blocks.check())
        done, is_ended = len(marks) - missing - damaged, blocks.is_ended()
        seconds, _ = blocks.seconds()
    state = "running" if lock.is_written(path) else "finished" if is_ended and done == len(marks) else "unfinished"
    left = _left(path, attributes, seconds, done, missing + damaged, state)
    found = found._replace(grid=file.plan.config.name, blocks=len(marks), done=done, missing=missing, left=left)
    return found._replace(damaged=damaged, state="damaged" if damaged else state)


def _left(path, attributes, seconds, done, rest, state):
    """Seconds for what is missing, as the blocks before have taken them; NaN where there are none."""
    if state == "running" or not seconds:  # of which the file will be told at the end
        until = time.time() if state == "running" else os.path.getmtime(path)
        seconds = max(seconds, until - float(attributes.get("started_at", until)))
    return 0.0 if not rest else seconds / done * rest if done else float("nan")


def as_text(found: Sequence[Status]) -> str:
    """A line for each file, what they are together, and what is wrong with them."""
    lines = [_cells(one) for one in found]
    widths = [max(map(len, column)) for column in zip(HEADER, *lines, strict=True)]
    sides = "<<<>>>>><"
    table = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in (HEADER, *lines)
    ]
    faults = [one.fault for one in found if one.fault]
    return "\n".join([table[0], "-" * max(map(len, table)), *table[1:], "", *_together(found), *faults[:MOST_NAMED]])


def as_values(found: Sequence[Status]) -> dict[str, Any]:
    """All of it for JSON; null where nobody knows how long the rest takes."""
    files = []
    for one in found:
        told = one._asdict()
        file, left = str(told.pop("path")), told.pop("left")
        files.append({"file": file, **told, "seconds_left": left})
    return {"files": files, "together": list(_together(found))}


def _cells(one):
    """A file's line."""
    counts = [f"{count:,}" if one.blocks else "-" for count in (one.blocks, one.done, one.missing, one.damaged)]
    grid = shortened(one.grid) or "-"
    return [printable(one.path), grid, printable(one.shard) or "-", *counts, _duration(one.left), one.state]


def _together(found):
    """What the files are together: how much is done, how long the rest takes, whether they belong together."""
    blocks, done = sum(one.blocks for one in found), sum(one.done for one in found)
    missing, damaged = sum(one.missing for one in found), sum(one.damaged for one in found)
    yield f"{many(len(found), 'file')}: {done:,} of {blocks:,} blocks done, {missing:,} missing, {damaged:,} damaged"
    left = [one.left for one in found if one.left > 0.0]
    if left:
        yield f"about {_duration(sum(left))} of computing left, {_duration(max(left))} where all go on at once"
    if any(one.left != one.left for one in found):
        yield "of files without a block that is done, nobody knows how long they take"
    for name, values in (
        ("grids", {one.identity for one in found}),
        ("states of the code", {one.code for one in found}),
    ):
        values -= {""}
        if len(values) > 1:
            yield f"{len(values)} {name}" + (f": {'; '.join(sorted(values)[:3])}" if name != "grids" else "")
    yield from _missing_shards(found)


def _missing_shards(found):
    """Which shards of a cut are not among the files."""
    cuts: dict[tuple[str, int], set[int]] = {}
    for one in found:
        if one.shard and one.blocks:
            index, count = file_format.shard_of(one.shard)
            cuts.setdefault((one.identity, count), set()).add(index)
    for (_, count), there in cuts.items():
        if len(there) < count:
            lacking = (f"{index}/{count}" for index in range(count) if index not in there)
            few = [name for name, _ in zip(lacking, range(MOST_NAMED), strict=False)]
            yield f"shards that are not here: {first_few(few, MOST_NAMED, count - len(there))}"


def _duration(seconds):
    """Seconds as people say them; "-" for none, "?" where nobody knows."""
    if seconds != seconds:
        return "?"
    if seconds <= 0.0:
        return "-"
    if seconds < 120.0:
        return f"{seconds:.0f} s" if seconds >= 1.0 else "1 s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
