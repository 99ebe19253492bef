"""Dask's client, as far as a run on a cluster needs it: who is there, calls on a worker of ours choosing, results."""

import contextlib
import uuid
from collections.abc import Callable
from typing import Any

from ...errors import RunError

POLL_SECONDS = 0.2


class SchedulerLost(RunError):
    """The scheduler is gone, and with it all that was on its way."""

    def __init__(self):
        super().__init__("the Dask scheduler is gone; what was written is kept, --resume goes on from there")


def error_text(error: BaseException) -> str:
    """What an exception says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


class Client:
    """Calls on the workers behind a connected `distributed.Client`; all tasks of a run begin with its `key`."""

    def __init__(self, dask):
        self._dask = dask
        self.key = f"simlr-{uuid.uuid4().hex}"
        self._number = 0

    @property
    def is_running(self) -> bool:
        """Whether the scheduler is there, as far as is known."""
        return self._dask.status == "running"

    def workers(self) -> dict[str, int]:
        """{worker: its number of threads}; SchedulerLost where there is no scheduler any more."""
        try:
            threads = dict(self._dask.nthreads())
        except Exception:
            threads = None
        if threads is None or not self.is_running:
            raise SchedulerLost
        return threads

    def submit(self, worker: str, function: Callable, *arguments) -> Any:
        """The future of a call, `function(*arguments)`, on one worker and on no other."""
        self._number += 1
        placement = {"workers": [worker], "allow_other_workers": False, "pure": False}
        return self._dask.submit(function, *arguments, **placement, key=f"{self.key}-{self._number}")

    def ask(self, worker: str, function: Callable, *arguments) -> Any:
        """Call a function on a worker, and wait for it.

        Parameters
        ----------
        worker : str
            The worker.
        function : callable
            What it calls.
        *arguments
            With what.

        Returns
        -------
        What the function returns.

        Raises
        ------
        Exception
            What the function raises.
        ConnectionError
            Where the worker dies.
        SchedulerLost
            Where there is no scheduler any more.
        """
        future = self.submit(worker, function, *arguments)
        while worker in self.workers():
            with contextlib.suppress(TimeoutError):
                return future.result(timeout=POLL_SECONDS)
        raise ConnectionError("it died while it took the grid over")

    def gather(self, futures: dict[str, Any]) -> dict[str, Any]:
        """The results of {key: future}, as far as they can be had."""
        try:
            return self._dask.gather(futures, errors="skip")
        except Exception:  # the scheduler is gone, or a worker in the midst of it
            return {}

    def cancel(self, futures: list[Any]) -> None:
        """Forget some futures, which also ends a `gather` that waits for them."""
        if futures and self.is_running:
            self._dask.cancel(futures)

    def run_everywhere(self, function: Callable, *arguments) -> None:
        """Have all workers call a function now, whatever they compute; what goes wrong is of no interest."""
        with contextlib.suppress(Exception):
            self._dask.run(function, *arguments, on_error="ignore")
