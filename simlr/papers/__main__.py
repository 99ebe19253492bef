"""The command `python -m simlr.papers`."""

import sys

from .. import early  # first: it minds signals from then on


def main():
    """Run, and judge, the papers; returns the exit status."""
    from ..claims import main as command

    return command()


if __name__ == "__main__":
    # As in simlr.grid: nobody here asks Numba for SciPy's linear algebra, which it would load for nothing.
    status = main()
    early.ignore_signals()
    sys.exit(status)
