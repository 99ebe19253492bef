"""One writer at a time: a lock that readers never meet."""

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, RunError

LOCK_BYTE = 1 << 62


class FileLock:
    """A lock that dies with its owner: on a byte far beyond the end of the file, held by the open file itself.

    Where the system has no such lock, flock on a file beside it. Never flock on the run file: readers would fail.
    """

    def __init__(self, path, descriptor):
        self._beside = None
        if hasattr(fcntl, "F_OFD_SETLK"):
            request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, LOCK_BYTE, 1, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
        else:
            self._beside = open(f"{path}.lock", "w")  # noqa: SIM115 - held until close
            fcntl.flock(self._beside, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Give up what is not given up with the descriptor."""
        if self._beside:
            self._beside.close()


@contextlib.contextmanager
def kept_alone(path: str | Path) -> Iterator[None]:
    """Keep other writers off a file for the duration; RunError where one is at it."""
    descriptor, lock = locked_output(path, path)
    try:
        yield
    finally:
        release(descriptor, lock)


def locked_output(file: str | Path, path: str | Path, flags: int = 0) -> tuple[int, FileLock]:
    """`locked` of the file that is, or becomes, an output.

    Parameters
    ----------
    file : str or Path
        What is opened.
    path : str or Path
        The output, as an error names it.
    flags : int
        As of os.open, besides those for reading and writing.

    Raises
    ------
    RunError
        Where another run is writing to it.
    InputError
        Where it cannot be opened.
    """
    try:
        return locked(file, flags)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from None


def locked(path: str | Path, flags: int = 0) -> tuple[int, FileLock]:
    """Open a file for reading and writing, and lock it.

    Parameters
    ----------
    path : str or Path
        The file.
    flags : int
        As of os.open, besides those for reading and writing.

    Returns
    -------
    descriptor : int
        The open file; see `release`.
    lock : FileLock
        What makes it the only writer.

    Raises
    ------
    RunError
        Where another has the lock.
    OSError
        Where the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o666)
    lock = None
    try:
        lock = FileLock(path, descriptor)
        # The lock may be that of a file which was renamed or replaced since it was opened.
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            raise BlockingIOError
    except BaseException as error:
        os.close(descriptor)
        if lock:
            lock.close()
        if isinstance(error, BlockingIOError | PermissionError | FileNotFoundError):
            raise RunError(f"{path}: another run is writing to it") from None
        raise
    return descriptor, lock


def remove_unless_locked(path: str | Path) -> None:
    """Remove a file, where it is there, may be written, and no writer is at it."""
    with contextlib.suppress(OSError, RunError):
        descriptor, lock = locked(path)
        os.unlink(path)
        release(descriptor, lock)


def release(descriptor: int, lock: FileLock) -> None:
    """Let go of a file: close it, and give up its lock."""
    os.close(descriptor)
    lock.close()
