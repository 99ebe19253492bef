"""Signals before a command has begun: loading its parts takes half a second, in which Ctrl-C would end in a traceback.

Importing this does nothing but in the process of `python -m simlr.NAME`, whose first import it is.
"""

import os
import signal
import sys

INTERRUPTED = 130


def _end(number, frame):
    """One line, and the end, whatever is being imported."""
    try:
        os.write(2, b"interrupted; nothing was begun\n")
    finally:
        os._exit(INTERRUPTED)


def _is_command():
    """Whether this process was started as one of our commands."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name.startswith("simlr.")


if _is_command():
    for _number in (signal.SIGINT, signal.SIGTERM):
        # A shell that started it in the background may have it ignore them.
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, _end)


def ignore_signals():
    """From now on: all is written and said, and what the interpreter does at its end needs no second word."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
