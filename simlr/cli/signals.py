"""Signals before a command has begun: loading its parts takes half a second, in which Ctrl-C would end in a traceback.

Importing this does nothing but in the process of a command, `python -m simlr.NAME` or simlr-NAME, whose first import it
is.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from ..platform import HERE

FAILED, INTERRUPTED = 1, 130
LEAST_BYTES = 400 << 20  # of address space, for Python with NumPy and h5py


def _end(number, frame):
    """One line, and the end, whatever is being imported."""
    try:
        os.write(2, b"interrupted; nothing was begun\n")
    finally:
        os._exit(INTERRUPTED)


def is_command() -> bool:
    """Whether this process was started as one of our commands, by its module or by the script that pip has made."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name.startswith("simlr.")
    script = os.path.basename(getattr(main, "__file__", None) or "")
    return script.removesuffix(".exe") == "simlr" or script.startswith("simlr-")


def _tame_blas():
    """Where this user may not start a thread for each core, let NumPy's BLAS have one: else it says so, and interrupts.

    What then lacks a thread says so in one line.
    """
    end, threads = threading.Event(), []
    try:
        for _ in range(HERE.cores()):
            threads.append(threading.Thread(target=end.wait, daemon=True))
            threads[-1].start()
    except RuntimeError:
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        threads.pop()
    end.set()
    for thread in threads:
        thread.join()


def _check_memory():
    """End in one line where the limit on memory does not let NumPy be loaded, which would end in a traceback."""
    limit = HERE.limit("RLIMIT_AS")
    if limit is not None and limit < LEAST_BYTES:
        try:
            os.write(2, f"simlr: the limit on memory is {limit:,} bytes, and {LEAST_BYTES:,} are needed\n".encode())
        finally:
            os._exit(FAILED)


if is_command():
    _check_memory()
    _tame_blas()
    for _number in HERE.ending:
        # A shell that started it in the background may have it ignore them.
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, _end)


def finished(main: Callable[[], int]) -> int:
    """The exit status of a command's `main`, the last that happens in its process.

    Signals count no more then: all is written and said, and the interpreter's own end needs no second word.
    """
    status = main()
    for number in HERE.ending:
        signal.signal(number, signal.SIG_IGN)
    return status


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, and Ctrl-C what it does in Python; only a main thread can."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [n for n in HERE.ending if signal.getsignal(n) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
