"""The workers of a Dask cluster, as what computes a run: blocks out, results back, all through Dask's client.

Every block is a task for one worker, chosen here rather than by Dask's scheduler, so that it is known which block a
worker was at when it died, and so that no worker computes before it has taken the grid over and been compared. A worker
has one block in hand, and at most two whose results wait; these are fetched a few at a time, when the writer has room.
"""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ...errors import InputError, RunError
from ...text import first_few
from ..job import Origin
from . import worker as remote
from .agreement import Agreement
from .client import POLL_SECONDS, Client, SchedulerLost, error_text
from .dispatch import MOST_DEATHS, Dispatch

WAIT_SECONDS = 0.05
PATIENCE_SECONDS = 5.0  # until a quiet run, too, says that it waits for workers
MOST_FETCHED = 8
MOST_BYTES_FETCHED = 64 << 20
# So many in a row: workers that die before they have taken the grid over, or results that cannot be fetched.
MOST_IN_VAIN = 10
MOST_NAMED = 5


class _Attempt(NamedTuple):
    """A task on a worker: a block, or None where the grid is to be taken over."""

    future: Any  # distributed.Future; Dask need not be there
    worker: str
    block: int | None


class Pool:
    """The workers behind a Dask client; see `Job.run`.

    A worker is refused, by name, where something that the bits depend on differs from what the run has been begun with.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    address : str
        The cluster, as it is called in messages.
    job : Job
        What is computed.
    threads : int or None
        Threads of every worker; None: as many as Dask has started it with.
    tell : callable
        `tell(text)` gets what there is to say.
    """

    def __init__(self, client, address, job, threads, tell):
        self._client, self.address, self._job, self._threads, self.tell = Client(client), address, job, threads, tell
        self.warn = tell
        self._order = remote.order(job.config, threads)
        self._agreement = None
        self._events, self._to_fetch = queue.Queue(), queue.Queue()
        self._over, self._handling, self._helpers = threading.Event(), threading.Lock(), []
        self._attempts, self._finished = {}, deque()  # by their keys
        self._present, self._known, self._refused = {}, set(), set()
        self._fetching, self._batch, self._in_vain, self._waiting = False, 1, 0, False
        self._waits_since, self._warned = 0.0, False
        self._work, self._ends, self._wanted = Dispatch([]), None, None

    # ---- before the run ----

    def meet(self, recorded: dict[str, Any] | None = None) -> Origin:
        """Wait for a worker that fits, have it take the grid over, and want all others like it.

        Parameters
        ----------
        recorded : dict, optional
            The attributes of the run file that is to be gone on with.

        Returns
        -------
        Origin
            Of what is computed here.

        Raises
        ------
        InputError
            Where no worker fits.
        """
        self._agreement = Agreement(self._job.attributes(), recorded)
        asked, reason = set(), None
        while True:
            present = self._client.workers()
            for worker in [worker for worker in present if worker not in asked]:
                asked.add(worker)
                try:
                    attributes = self._client.ask(worker, *self._take_over(present[worker]))
                except RunError:
                    raise
                except Exception as error:
                    reason = error_text(error)
                    continue
                reason = self._agreement.difference(attributes)
                if reason is None:
                    self._agreement.settle(attributes)
                    with contextlib.suppress(remote.NotTaken):  # it has been started anew meanwhile
                        return self._client.ask(worker, remote.origin, self._client.key)
                    asked.discard(worker)
            if present and reason and asked >= present.keys():
                raise InputError(f"--dask: worker {worker} is refused: {reason}")
            if not present:
                self._wait_for_workers()
                self._warn_of_waiting(PATIENCE_SECONDS)
            time.sleep(WAIT_SECONDS)

    def _take_over(self, threads):
        """The call by which a worker takes the grid over, which Dask has started with so many threads."""
        return remote.take_over, self._client.key, self._order._replace(threads=self._threads or threads)

    # ---- the run: this is called by the thread that takes the results ----

    def results(
        self, blocks: list[int], ends: Callable[[int], tuple[int, int]], wanted: Callable | None = None
    ) -> Iterator[tuple[int, dict]]:
        """The blocks as they come.

        Parameters
        ----------
        blocks : list of int
            Which ones.
        ends : callable
            `ends(block)` are the first seed of a block and the one after its last.
        wanted : callable, optional
            `wanted(first, last)` are the cells (S, N) of a block that are wanted, where not all are.

        Yields
        ------
        (block, arrays)
            What `worker.compute` returns.

        Raises
        ------
        RunError
            Where the run cannot go on.
        """
        self._work, self._ends, self._wanted = Dispatch(blocks), ends, wanted
        self._help(self._watch)
        self._help(self._fetch)
        try:
            while not self._work.done and not self._over.is_set():
                handler, *arguments = self._events.get()
                with self._handling:
                    results = () if self._over.is_set() else self._handle(handler, arguments)
                yield from results
        finally:
            self._over.set()
            self._to_fetch.put(None)

    def _handle(self, handler, arguments):
        """The results that an event brings; then all workers with room get work."""
        try:
            results = handler(*arguments) or ()
            for worker, block in self._work.assign():
                ends, before = self._ends(block), self._job.plan.first
                cells = self._wanted(*ends) if self._wanted else None
                self._start(worker, block, remote.compute, self._client.key, *(seed + before for seed in ends), cells)
        except Exception:
            if not self._client.is_running:
                raise SchedulerLost from None
            raise
        return results

    def _start(self, worker, block, function, *arguments):
        """Send a task to a worker."""
        future = self._client.submit(worker, function, *arguments)
        self._attempts[future.key] = _Attempt(future, worker, block)
        future.add_done_callback(lambda future: self._events.put((self._on_ended, future.key)))

    def _on_workers(self, present):
        """These workers are there now: {worker: its number of threads}."""
        self._present = present
        for worker in self._known - present.keys():
            self._known.discard(worker)
            self._refused.discard(worker)
            self._on_gone(worker)
        for worker in present.keys() - self._known:
            self._known.add(worker)
            self._start(worker, None, *self._take_over(present[worker]))
        if not self._known - self._refused:
            self._wait_for_workers()

    def _on_gone(self, worker):
        """A worker has died or left."""
        if any(task.block is None for task in self._drop(worker)):
            self._count_in_vain("workers in a row died while they took the grid over")
        block = self._work.leave(worker)
        after = "" if block is None else f"; {self._named(block)} is computed again"
        if block in self._work.set_aside:
            after = f"; {self._named(block)} has killed {MOST_DEATHS} workers and is set aside"
        self.tell(f"worker {worker} is gone{after}")

    def _drop(self, *workers):
        """Forget the tasks of some workers, and return them."""
        keys = [key for key, attempt in self._attempts.items() if attempt.worker in workers]
        tasks = [self._attempts.pop(key) for key in keys]
        self._client.cancel([task.future for task in tasks])
        return tasks

    def _begin_anew(self, worker):
        """Have a worker take the grid over once more: it has forgotten it."""
        self._drop(worker)
        self._work.leave(worker, died=False)
        self._known.discard(worker)
        self._on_workers(self._present)

    def _on_ended(self, key):
        """A task has ended, one way or the other."""
        attempt = self._attempts.get(key)
        if attempt is None:
            return  # given up since
        status = attempt.future.status
        if status == "finished":
            if attempt.block is not None:
                self._work.finish(attempt.worker, attempt.block)
            self._finished.append(key)
            self._fetch_next()
        elif status == "error":
            self._on_error(attempt, attempt.future.exception())
        elif not self._client.is_running:
            raise SchedulerLost
        else:  # somebody has restarted the workers
            self._begin_anew(attempt.worker)

    def _on_error(self, attempt, error):
        """A task has failed."""
        from distributed import KilledWorker

        if isinstance(error, remote.NotTaken):
            self._begin_anew(attempt.worker)
        elif isinstance(error, KilledWorker):  # of a worker that came back under its old address
            self._on_gone(attempt.worker)
            self._begin_anew(attempt.worker)
        elif attempt.block is None:
            self._attempts.pop(attempt.future.key)
            self._refuse(attempt.worker, error_text(error))
        else:
            raise RunError(
                f"{self._named(attempt.block)}: {error_text(error)}, on worker {attempt.worker}; "
                "what was written is kept, --resume goes on from there"
            )

    def _refuse(self, worker, reason):
        """Give a worker no work."""
        self._refused.add(worker)
        self.tell(f"worker {worker} is refused: {reason}")
        if not self._known - self._refused:
            self._wait_for_workers()

    def _wait_for_workers(self):
        """Say that nothing goes on without workers."""
        if not self._waiting:
            self._waiting, self._waits_since, self._warned = True, time.monotonic(), False
            self.tell(f"no workers at {self.address}: waiting for some to join ...")

    def _warn_of_waiting(self, patience):
        """Say so in a quiet run, too, where nobody has come for so many seconds."""
        if self._waiting and not self._warned and time.monotonic() - self._waits_since >= patience:
            self._warned = True
            if self.warn != self.tell:
                self.warn(f"no workers at {self.address}: waiting for some to join ...")

    def _count_in_vain(self, what):
        """End what would go on for ever."""
        self._in_vain += 1
        if self._in_vain >= MOST_IN_VAIN:
            raise RunError(f"{MOST_IN_VAIN} {what}; what was written is kept, --resume goes on from there")

    def _fetch_next(self):
        """Have some results fetched, unless some are on their way."""
        batch = {}
        while self._finished and not self._fetching and len(batch) < self._batch:
            key = self._finished.popleft()
            if key in self._attempts:
                batch[key] = self._attempts[key].future
        if batch:
            self._fetching = True
            self._to_fetch.put(batch)

    def _on_fetched(self, keys, values):
        """Results have come; those of blocks."""
        self._fetching, results = False, []
        for key in keys:
            attempt = self._attempts.get(key)
            if attempt is None:
                continue  # its worker is gone, and the block on its way again
            if values.get(key) is None:
                self._count_in_vain("results in a row could not be fetched from their workers")
                self._begin_anew(attempt.worker)
                continue
            self._in_vain = 0
            del self._attempts[key]
            if attempt.block is None:
                self._on_taken_over(attempt.worker, values[key])
            else:
                self._work.fetch(attempt.worker, attempt.block)
                results.append((attempt.block, values[key]))
                size = max(1, sum(array.nbytes for array in values[key].values()))
                self._batch = max(1, min(MOST_FETCHED, MOST_BYTES_FETCHED // size))
        self._fetch_next()
        return results

    def _on_taken_over(self, worker, attributes):
        """A worker is ready for blocks, if it fits."""
        reason = self._agreement.difference(attributes)
        if reason:
            self._refuse(worker, reason)
            return
        if self._waiting:
            self._waiting = False
            self.tell(f"going on with worker {worker}")
        self._work.join(worker)

    def _named(self, block):
        """A block by its number and its seeds, counted through the grid."""
        first, last = (seed + self._job.plan.first for seed in self._ends(block))
        return f"block {block + self._job.plan.first // self._job.plan.block_seeds} (seeds {first} to {last - 1})"

    # ---- threads of their own, which may wait for Dask ----

    def _help(self, work, *arguments):
        """Start a thread, which does not keep the process alive."""
        name = f"simlr-cluster {work.__name__}"
        self._helpers.append(threading.Thread(target=work, args=arguments, daemon=True, name=name))
        self._helpers[-1].start()

    def _watch(self):
        """See which workers are there, now and then."""
        before = None
        while not self._over.is_set():
            try:
                present = self._client.workers()
            except SchedulerLost:
                self._events.put((self._raise_lost,))
                return
            if present != before:
                self._events.put((self._on_workers, present))
                before = present
            self._warn_of_waiting(PATIENCE_SECONDS)
            self._over.wait(POLL_SECONDS)

    @staticmethod
    def _raise_lost():
        raise SchedulerLost

    def _fetch(self):
        """Fetch results, a batch at a time."""
        while (batch := self._to_fetch.get()) is not None:
            self._events.put((self._on_fetched, list(batch), self._client.gather(batch)))
            del batch  # of which nothing is held while the next one is waited for

    # ---- what else a run asks of what computes it ----

    def stop(self) -> None:
        """Let `results` end, soon."""
        self._over.set()
        self._events.put((self._raise_lost,))

    def give_back(self, arrays: dict[str, NDArray]) -> None:
        """Nothing: the memory of results that have come over the network is not used again."""

    def check(self) -> None:
        """RunError where blocks have been set aside."""
        aside = self._work.set_aside
        if aside:
            named = first_few([self._named(block) for block in aside], MOST_NAMED)
            of = "each" if len(aside) > 1 else "it"
            raise RunError(
                f"{named}: set aside, since {MOST_DEATHS} workers died of {of}; the rest is done, and --resume "
                "tries again"
            )

    def close(self, seconds: float) -> None:
        """Let the workers forget the run and stop what they have in hand; no longer than so many seconds."""
        self._over.set()
        self._to_fetch.put(None)
        # Nobody may be asking the client something while it is closed: the answer would never come.
        if self._handling.acquire(timeout=seconds):
            self._drop(*{attempt.worker for attempt in self._attempts.values()})
        if self._client.is_running:
            self._help(self._client.run_everywhere, remote.forget, self._client.key)
        deadline = time.monotonic() + seconds
        for helper in self._helpers:
            helper.join(max(0.0, deadline - time.monotonic()))
