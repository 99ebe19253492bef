"""Progress: a bar on a terminal, sparse plain lines in a log, nothing where it is not wanted.

What a display cannot write, because its terminal or log is gone or full, is dropped: it must never end a run.
"""

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TextIO

LINE_SECONDS = 30.0
LINE_SHARE = 0.05
LEAST_SECONDS = 1.0
PLAIN_SIZE = 80, 24


class Silent:
    """No progress."""

    def update(self, done: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A tqdm bar on a terminal: of `total` units, of which `done` were done before."""

    def __init__(self, total, done, unit, stream):
        from tqdm import tqdm

        # A terminal that does not know its size says 0, and would get no bar.
        known = os.get_terminal_size(stream.fileno()).columns > 0
        size = {"dynamic_ncols": True} if known else {"ncols": PLAIN_SIZE[0], "nrows": PLAIN_SIZE[1]}
        self._bar = tqdm(total=total, initial=done, unit=f" {unit}", file=stream, unit_scale=True, **size)

    def update(self, done: int) -> None:
        """Show that `done` are done in all."""
        with contextlib.suppress(OSError, ValueError):
            self._bar.update(done - self._bar.n)

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        with contextlib.suppress(OSError, ValueError):
            self._bar.write(text, file=self._bar.fp)

    def close(self) -> None:
        """Leave the bar as it is."""
        with contextlib.suppress(OSError, ValueError):
            self._bar.close()


class NotebookBar(Bar):
    """The same as a widget of a notebook, which has no terminal; as text where the widgets are missing."""

    def __init__(self, total, done, unit):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the widgets are missing
            from tqdm.auto import tqdm
        self._bar = tqdm(total=total, initial=done, unit=f" {unit}", unit_scale=True)


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


class Lines:
    """One line at a time: each 5 %, or after 30 s, whichever is rarer to come first."""

    def __init__(self, total, done, unit, stream):
        self._total, self._unit, self._stream = total, unit, stream
        self._done_before, self._began = done, time.monotonic()
        self._reported, self._reported_at = done, self._began

    def update(self, done: int) -> None:
        """Write a line where one is due."""
        now = time.monotonic()
        waited = now - self._reported_at
        enough = done - self._reported >= LINE_SHARE * self._total and waited >= LEAST_SECONDS
        if enough or waited >= LINE_SECONDS:
            rate = (done - self._done_before) / (now - self._began)
            left = f", {(self._total - done) / rate:.0f} s left" if rate > 0 else ""
            share = 100 * done / self._total
            with contextlib.suppress(OSError, ValueError):
                print(f"{share:.0f} %: {done} of {self._total} {self._unit}{left}", file=self._stream, flush=True)
            self._reported, self._reported_at = done, now

    def note(self, text: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to end."""


@contextlib.contextmanager
def shown(unit: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, all) that shows how far something is, for the duration."""
    displays: list[Silent | Bar | Lines] = []

    def tell(done, total):
        displays.extend([] if displays else [show(total, unit=unit, quiet=quiet)])
        displays[0].update(done)

    try:
        yield tell
    finally:
        for display in displays:
            display.close()


def show(
    total: int, done: int = 0, unit: str = "seeds", quiet: bool = False, stream: TextIO | None = None
) -> Silent | Bar | Lines:
    """The progress display that suits a stream.

    Parameters
    ----------
    total, done : int
        How many units there are, and how many were done before.
    unit : str
        What they are.
    quiet : bool
        Whether nothing is to be shown.
    stream : text file, optional
        Standard error by default.
    """
    if not quiet and total and stream is None and in_notebook():
        return NotebookBar(total, done, unit)
    stream = stream or sys.stderr
    if quiet or not total or stream is None:
        return Silent()
    try:
        return (Bar if stream.isatty() else Lines)(total, done, unit, stream)
    except (OSError, ValueError):
        return Silent()
