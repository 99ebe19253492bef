"""Joining shards by copying: `python -m simlr.merge`. Nothing is computed again, and every block is checked on its way.

The joined file is made under another name, block by block and by the run's own writer, and gets its own name when it
is whole: whatever happens, there is either no file or all of it.
"""

from .cli import signals  # noqa: I001 - first: it minds signals from then on

import sys
from pathlib import Path

from .cli import progress
from .cli.arguments import DONE, Parser, answered
from .errors import InputError
from .grid import listing
from .store.merging import merge


def parser() -> Parser:
    """The command's arguments."""
    made = Parser(
        "merge",
        "Join the shards of a grid (python -m simlr.grid --shard I/N) into one run file, bit for bit.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted (no file is left)",
    )
    made.add_argument("shards", nargs="+", metavar="SHARD.h5", help="the files of all shards, in any order")
    made.add_argument("--out", metavar="FILE", required=True, help="the joined run file")
    made.add_argument("--overwrite", action="store_true", help="replace FILE")
    made.add_argument("--quiet", action="store_true", help="no progress, no table; errors only")
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m simlr.merge`; returns the exit status."""
    options = parser().parse_args(arguments)
    return answered(lambda: _run(options), "interrupted; no file is left")


def _run(options):
    """Merge, and tell."""
    if not options.out.strip():
        raise InputError("--out: needs a file name")
    with progress.shown("blocks", options.quiet) as tell:
        merge(options.shards, options.out, overwrite=options.overwrite, progress=tell)
    if not options.quiet:
        print(listing.outcome(Path(options.out)))
    return DONE


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
