"""Two threads and a main one: one computes the next block while the other writes the last; the main one waits.

The main thread does nothing but wait, so that Ctrl-C and signals are answered at once.
"""

import contextlib
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
    """A thread for `work()`, not started yet; it does not keep the process alive, and `still_working` knows of it."""
    thread = threading.Thread(target=work, daemon=True, name=name)
    _background.add(thread)
    return thread


class Pipeline:
    """Takes results as they are computed and writes them, overlapping the two.

    Parameters
    ----------
    results : iterable of (block, result)
        What is computed, one after the other.
    write : callable
        `write(block, result)`.
    """

    def __init__(self, results, write):
        self._computed, self._write = iter(results), write
        self._results = queue.Queue(maxsize=BLOCKS_IN_FLIGHT)
        self._ending = threading.Event()
        self._failure = None
        self.done = 0

    def run(
        self, tell: Callable[[int], None], stop: Callable[[], None], on_interrupt: Callable[[], None] = lambda: None
    ) -> None:
        """Go through all blocks.

        Parameters
        ----------
        tell : callable
            `tell(number done)` is called by this thread.
        stop : callable
            Makes the iterator return, soon.
        on_interrupt : callable
            Called at once after a KeyboardInterrupt.

        Raises
        ------
        Exception
            What the iterator, `write` or `tell` raised, and KeyboardInterrupt. By then both threads have ended, unless
            one still compiles.
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
            deadline = time.monotonic() + PATIENCE_SECONDS
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
            raise
        if self._failure:
            raise self._failure
        tell(self.done)

    def _wait(self, threads, tell, stop):
        """Wait for the threads, and say how far they are; where one has failed, the other need not go on."""
        reached = 0
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(WAIT_SECONDS)
            if self._failure:
                stop()
            if self.done != reached:
                reached = self.done
                tell(reached)

    def _guarded(self, work):
        """Run one thread's work; its failure ends the other."""
        try:
            work()
        except BaseException as error:
            if not self._ending.is_set():
                self._failure = error
            self._ending.set()

    def _produce(self):
        """Take the results as they are computed, and hand each over unless the run ends meanwhile; at last, None."""
        item = ()
        while item is not None and not self._ending.is_set():
            item = next(self._computed, None)
            handed_over = False
            while not handed_over and not self._ending.is_set():
                with contextlib.suppress(queue.Full):
                    self._results.put(item, timeout=WAIT_SECONDS)
                    handed_over = True

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
