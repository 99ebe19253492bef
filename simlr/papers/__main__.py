"""The command `python -m simlr.papers`."""

import sys

from ..cli import signals  # first: it minds signals from then on


def main():
    """Run, and judge, the papers; returns the exit status."""
    from ..claims import main as command

    return command()


def command():
    """The command as a process of its own; returns the exit status."""
    return signals.finished(main)


if __name__ == "__main__":
    sys.exit(command())
