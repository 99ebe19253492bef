"""The command `python -m simlr.grid`."""

from ..cli import signals  # noqa: I001 - first: it minds signals from then on

import sys

from ..cli.arguments import Parser


def parser() -> Parser:
    """The command's arguments."""
    from .command import parser as grid_parser

    return grid_parser()


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m simlr.grid`; returns the exit status."""
    from .command import grid_command

    return grid_command(arguments)


def command() -> int:
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
