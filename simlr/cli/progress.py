"""Progress: a bar on a terminal, sparse plain lines in a log, nothing where it is not wanted.

What a display cannot write, because its terminal or log is gone or full, is dropped: it must never end a run.
"""

import contextlib
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TextIO

LINE_SECONDS = 30.0
COMPILING_SECONDS = 10.0
LATE_SECONDS = 1.5
LINE_SHARE = 0.05
LEAST_SECONDS = 1.0
PLAIN_SIZE = 80, 24
LARGE = 10_000  # from here on a bar writes 12.3k for 12,345


_left_out = 0.0


def leave_out(seconds: float) -> None:
    """Have all displays count that much less time: what it was used for will not come again."""
    global _left_out
    _left_out += seconds


def _clock():
    """Seconds, but for those that are left out."""
    return time.monotonic() - _left_out


class Silent:
    """No progress."""

    def update(self, done: int) -> None:
        """Nothing."""

    def grow(self, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A tqdm bar on a terminal or in a notebook: of `total` units, of which `done` were done before.

    With `late` it shows up where it takes long, and goes when it is done.
    """

    def __init__(self, total, done, unit, stream, late=False):
        kept: dict[str, Any] = {"delay": LATE_SECONDS, "leave": False} if late else {}
        kept |= {"unit_scale": total >= LARGE}
        self._bar = _tqdm(stream)(total=total, initial=done, unit=f" {unit}", **_size(stream), **kept)
        self._left_out = _left_out

    def update(self, done: int) -> None:
        """Show that `done` are done in all."""
        seconds, self._left_out = _left_out - self._left_out, _left_out
        self._bar.start_t += seconds
        self._bar.last_print_t += seconds
        with contextlib.suppress(OSError, ValueError):
            self._bar.update(done - self._bar.n)

    def grow(self, total: int) -> None:
        """Have so many units in all."""
        self._bar.total = total

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        with contextlib.suppress(OSError, ValueError):
            self._bar.write(text, file=self._bar.fp)

    def close(self) -> None:
        """Leave the bar as it is."""
        with contextlib.suppress(OSError, ValueError):
            self._bar.close()


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


def _tqdm(stream):
    """The bar that suits: of a notebook its own."""
    if in_notebook():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its widgets are missing: the bar is text then
            from tqdm.auto import tqdm as automatic

        return automatic
    from tqdm import tqdm

    return partial(tqdm, file=stream)


def _size(stream):
    """A terminal that does not know its size says 0, and would get no bar; a notebook has none."""
    if in_notebook():
        return {}
    known = os.get_terminal_size(stream.fileno()).columns > 0
    return {"dynamic_ncols": True} if known else {"ncols": PLAIN_SIZE[0], "nrows": PLAIN_SIZE[1]}


class Lines:
    """One line at a time: each 5 %, or after 30 s, whichever is rarer to come first."""

    def __init__(self, total, done, unit, stream):
        self._total, self._unit, self._stream = total, unit, stream
        self._done_before, self._began = done, _clock()
        self._reported, self._reported_at = done, self._began

    def update(self, done: int) -> None:
        """Write a line where one is due."""
        now = _clock()
        waited = now - self._reported_at
        enough = done - self._reported >= LINE_SHARE * self._total and waited >= LEAST_SECONDS
        if enough or waited >= LINE_SECONDS:
            rate = (done - self._done_before) / (now - self._began)
            left = f", {(self._total - done) / rate:.0f} s left" if rate > 0 else ""
            share = 100 * done / self._total
            with contextlib.suppress(OSError, ValueError):
                print(f"{share:.0f} %: {done} of {self._total} {self._unit}{left}", file=self._stream, flush=True)
            self._reported, self._reported_at = done, now

    def grow(self, total: int) -> None:
        """Have so many units in all."""
        self._total = total

    def note(self, text: str) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to end."""


def compiling_text(done: int, total: int, left: float) -> str:
    """How far the compiling of kernels is; `left` seconds, NaN where nobody knows."""
    text = f"compiling kernels, first run only: {done} of {total}"
    return text + (f", about {left:.0f} s left" if left >= 0.5 else "")


class Compiling:
    """How far the compiling of kernels is: a line that changes on a terminal, one every 10 s in a log."""

    def __init__(self, stream: TextIO | None = None):
        self._stream: Any = stream or sys.stderr
        self._line: Any = None
        self._told_at = -math.inf

    def update(self, done: int, total: int, left: float) -> None:
        """Show it, where it is time."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if self._stream.isatty():
                if self._line is None:
                    self._line = _tqdm(self._stream)(total=0, bar_format="{desc}", leave=False, **_size(self._stream))
                self._line.set_description_str(compiling_text(done, total, left))
            elif time.monotonic() - self._told_at >= COMPILING_SECONDS:
                self._told_at = time.monotonic()
                print(compiling_text(done, total, left), file=self._stream, flush=True)

    def close(self) -> None:
        """Take the line away."""
        if self._line is not None:
            with contextlib.suppress(OSError, ValueError):
                self._line.close()


@contextlib.contextmanager
def shown(unit: str, quiet: bool, late: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, all) that shows how far something is, for the duration.

    With `late` there is a bar alone, on a terminal or in a notebook, from when it has taken 1.5 seconds, until it ends.
    """
    displays: list[Silent | Bar | Lines] = []

    def tell(done, total):
        if not displays:
            displays.append(show(total, unit=unit, quiet=quiet, late=late))
        displays[0].grow(total)
        displays[0].update(done)

    try:
        yield tell
    finally:
        for display in displays:
            display.close()


def show(
    total: int, done: int = 0, unit: str = "seeds", quiet: bool = False, stream: TextIO | None = None,
    late: bool = False,
) -> Silent | Bar | Lines:  # fmt: skip
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
    late : bool
        Whether it is for a terminal or a notebook alone, and only where it takes more than 1.5 seconds.
    """
    stream = stream or sys.stderr
    if quiet or not total or stream is None:
        return Silent()
    try:
        if stream.isatty() or in_notebook():
            return Bar(total, done, unit, stream, late)
        return Silent() if late else Lines(total, done, unit, stream)
    except (OSError, ValueError):
        return Silent()
