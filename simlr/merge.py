"""The command `python -m simlr.merge`: joins shards by copying; the work is in `store.merging`."""

from .cli import signals  # noqa: I001 - first: it minds signals from then on

import sys
from pathlib import Path

from .cli import progress
from .cli.arguments import DONE, Parser, answered, harmless
from .errors import InputError
from .grid import listing
from .store.merging import merge


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "merge",
        "Join the shards of a grid (python -m simlr.grid --shard I/N) into one run file, bit for bit.",
        "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted (no file is left)",
    )
    options.add_argument("shards", nargs="+", metavar="SHARD.h5", help="the files of all shards, in any order")
    options.add_argument("--out", metavar="FILE", required=True, help="the joined run file")
    options.add_argument("--overwrite", action="store_true", help="replace FILE")
    options.add_argument(
        "--accept-other", action="store_true", help="join shards of other code or versions, too; the file says which"
    )
    options.add_argument("--quiet", action="store_true", help="no progress, no table; errors only")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m simlr.merge`; returns the exit status."""
    options = parser().parse_args(arguments)
    return answered(lambda: _run(options), "interrupted; no file is left")


def _run(options):
    """Merge, and tell."""
    if not options.out.strip():
        raise InputError("--out: needs a file name")
    with progress.shown("blocks", options.quiet) as tell:
        merge(options.shards, options.out, options.overwrite, tell, options.accept_other)
    if not options.quiet:
        print(harmless(listing.outcome(Path(options.out))))
    return DONE


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
