"""Two threads and a main one: one computes the next block while the other writes the last; the main one waits.

The main thread does nothing but wait, so that Ctrl-C and signals are answered at once.
"""

import queue
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial

WAIT_SECONDS = 0.05
BLOCKS_IN_FLIGHT = 2
PATIENCE_SECONDS = 1.5

_background: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def still_working() -> bool:
    """Whether a thread of an interrupted run has not ended yet: the compiler cannot be told to stop."""
    return any(thread.is_alive() for thread in _background)


def background_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """A thread, not started yet, that does not keep the process alive; `still_working` knows of it."""
    thread = threading.Thread(target=work, daemon=True, name=name)
    _background.add(thread)
    return thread


class Pipeline:
    """Takes (block, result) from an iterator and calls `write(block, result)`, overlapping the two."""

    def __init__(self, results, write):
        self._computed, self._write = iter(results), write
        self._results = queue.Queue(maxsize=BLOCKS_IN_FLIGHT)
        self._ending = threading.Event()
        self._failure = None
        self.done = 0

    def run(
        self, tell: Callable[[int], None], stop: Callable[[], None], on_interrupt: Callable[[], None] = lambda: None
    ) -> None:
        """Go through all blocks. `tell(number done)` is called by this thread; `stop()` makes the iterator return.

        Raises what the iterator, `write` or `tell` raised, and KeyboardInterrupt, after `on_interrupt()`. By then both
        threads have ended, unless one still compiles.
        """
        both = self._produce, self._consume
        threads = [background_thread(partial(self._guarded, work), "simlr-pipeline") for work in both]
        try:
            for thread in threads:
                thread.start()
            self._wait(threads, tell, stop)
        except BaseException as error:
            self._ending.set()
            stop()
            if isinstance(error, KeyboardInterrupt):
                on_interrupt()
            self._abandon(threads)
            raise
        if self._failure:
            raise self._failure
        tell(self.done)

    def _wait(self, threads, tell, stop):
        """Wait for the threads, telling how far they are; where one has failed, the other need not go on."""
        reached = 0
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(WAIT_SECONDS)
            if self._failure:
                stop()
            if self.done != reached:
                reached = self.done
                tell(reached)

    @staticmethod
    def _abandon(threads):
        """Give the threads a moment to end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _guarded(self, work):
        """Run one thread's work; its failure ends the other."""
        try:
            work()
        except BaseException as error:
            if not self._ending.is_set():
                self._failure = error
            self._ending.set()

    def _produce(self):
        """Take the results as they are computed."""
        item = ()
        while item is not None and not self._ending.is_set():
            item = next(self._computed, None)
            self._put(item)

    def _put(self, item):
        """Hand over an item, unless the run ends meanwhile."""
        while not self._ending.is_set():
            try:
                return self._results.put(item, timeout=WAIT_SECONDS)
            except queue.Full:
                continue

    def _consume(self):
        """Write blocks as they come."""
        while not self._ending.is_set():
            try:
                item = self._results.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            self._write(*item)
            self.done += 1
