"""The one writer of a run file: os.pwrite at the datasets' places, and a lock that dies with its owner. No HDF5 here.

A block's datasets are written, `status` last, then its CRC; once that is on the disk, its done byte. So whoever opens
the file after a crash, or beside the run, finds every committed block right.
"""

import errno
import os
import threading
import time
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RunError
from ..plan.plan import Plan
from . import file_format, file_io
from .blocks import Blocks, Place, end_checksum

SYNC_SECONDS = 1.0
BYTES_AT_ONCE = 1 << 18


class Writer(Blocks):
    """The one writer of a run file. Two threads may call it at once: one that writes, and one that ends the run.

    Parameters
    ----------
    path : str or Path
        The file.
    descriptor : int
        The same, open for reading and writing.
    lock : FileLock
        What keeps other writers off it.
    plan : Plan
        The plan of its grid, with its own blocks.
    places : dict of str to Place
        Where its datasets lie, by name.
    place : Path, optional
        Where the file is while it has a working name.
    """

    def __init__(self, path, descriptor, lock, plan, places, place=None):
        super().__init__(path, descriptor, plan, places)
        self.lock = lock
        self.place = place or self.path
        self._uncommitted = []
        self._failure = None  # the first sync that failed; the system says it once, and the next would go well
        self._synced = time.monotonic()
        self._mutex = threading.RLock()
        self._least_bytes = os.fstat(descriptor).st_size

    def write_block(self, block: int, first: int, last: int, arrays: dict[str, NDArray]) -> None:
        """Write a block and its CRC; its done byte follows with the next sync.

        Parameters
        ----------
        block : int
            Its number.
        first, last : int
            Its seeds are first..last - 1, counted from the file's first one.
        arrays : dict of str to array
            Its part of every dataset that is written block by block, by name.

        Raises
        ------
        RunError
            Where the file cannot be written.
        """
        with self._mutex:
            crc = 0
            for field in self._fields:
                array = np.ascontiguousarray(arrays[field.name], field.dtype)
                data = array.data.cast("B") if array.size else memoryview(b"")
                for offset, size in self._spans(field, first, last):
                    # Piece by piece, so that what the checksum has read is still near when it is written.
                    for begin in range(0, size, BYTES_AT_ONCE):
                        piece = data[begin : min(begin + BYTES_AT_ONCE, size)]
                        crc = zlib.crc32(piece, crc)
                        self._write(piece, offset + begin)
                    file_io.start_writing(self._descriptor, offset, size)
                    data = data[size:]
            self._put("block_crc32", crc, block)
            self._uncommitted.append(block)
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self.commit()

    def _put(self, name, value, index=0):
        """Write one number of a short dataset."""
        place = self._places[name]
        self._write(np.array([value], place.dtype), place.start + index * place.dtype.itemsize)

    def _write(self, data, offset):
        """pwrite; what goes wrong is reported with what to do about it."""
        if self._descriptor is None:
            raise RunError(f"{self.path}: is closed")
        if self._failure:
            raise self._failure
        try:
            file_io.pwrite(self._descriptor, data, offset)
        except OSError as error:
            raise write_error(self.path, error) from None

    def commit(self) -> None:
        """Bring what is written to the disk, then set the done bytes of its blocks."""
        with self._mutex:
            self._check_in_place()
            self._sync()
            for block in self._uncommitted:
                self._put("block_done", 1, block)
            self._uncommitted.clear()
            self._synced = time.monotonic()

    def _sync(self):
        """Bring what is written to the disk. After a failure nothing is ever marked: what did not get there is lost."""
        if self._failure:
            raise self._failure
        try:
            file_io.sync(self._descriptor)
        except OSError as error:
            self._failure = sync_error(self.path, error)
            raise self._failure from None

    def _check_in_place(self):
        """RunError where the file is no longer the one at its path, or no longer whole: what it had is lost."""
        try:
            status = os.stat(self.place)
        except OSError:
            status = None
        if self._descriptor is None or not status or not os.path.samestat(status, os.fstat(self._descriptor)):
            raise RunError(f"{self.path}: was removed or replaced while the run went on")
        # A write beyond a cut makes the file long again, but never as long: what is last in it is written once.
        if status.st_size < self._least_bytes:
            raise RunError(
                f"{self.path}: was cut short while the run went on, to {status.st_size:,} bytes of "
                f"{self._least_bytes:,}; --overwrite starts anew"
            )
        self._least_bytes = status.st_size

    def finish(self, wall_seconds: float, complete: bool) -> None:
        """Commit, and note how long it took and, where nothing is missing, when it ended.

        Parameters
        ----------
        wall_seconds : float
            The time since the file was made or gone on with, which is added to that of the parts before.
        complete : bool
            Whether all that was to be computed now has been.
        """
        with self._mutex:
            self.commit()
            if self.is_ended():  # and nothing was computed; a reader never sees an end without its checksum
                return
            before, _ = self.seconds()
            self._put("wall_seconds", before + wall_seconds)
            if complete and self.done().all():
                now = time.time()
                self._put("end_crc32", end_checksum(before + wall_seconds, now))
                self.commit()  # the end is noted once its checksum is on the disk
                self._put("finished_at", now)
            self.commit()

    def close(self) -> None:
        """Let go of the file; nothing is written."""
        with self._mutex:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
                self.lock.close()

    def reopen(self, blocks: list[int]) -> None:
        """Take back that these blocks, which are to be computed once more, are done and their values final."""
        if not blocks:
            return
        if self.seconds()[1]:
            self._put("finished_at", 0.0)
        done = self.done()
        for block in blocks:
            if done[block]:
                self._put("block_done", 0, block)
        # Else a loss of power could leave zeros in a block, or in a run, that is still marked as done.
        self._sync()
        for block in blocks:
            for offset, size in self._spans(file_format.STATUS, *self.ends(block)):
                if any(file_io.pread(self._descriptor, size, offset)):
                    self._write(bytes(size), offset)


def fill_indices(path: str | Path, descriptor: int, plan: Plan, places: dict[str, Place]) -> None:
    """Write the numbers along the seeds, where they are not there yet, a piece at a time.

    Parameters
    ----------
    path : str or Path
        The run file.
    descriptor : int
        The same, open for reading and writing.
    plan, places
        As of `Writer`.
    """
    blocks = Blocks(path, descriptor, plan, places)
    for _, values, offset in blocks.indices():
        # In a file that is gone on with they are there already, unless it was damaged.
        if not blocks.holds(values, offset):
            file_io.pwrite(descriptor, values, offset)


def sync_error(path: str | Path, error: OSError) -> RunError:
    """The RunError of a sync that failed: some of what was written since the last one may never get to the disk."""
    return RunError(
        f"{path}: the disk did not take what was written: {error.strerror}; what was committed before is kept. Look at "
        "the disk, make room or remount it, then go on with --resume"
    )


def write_error(path: str | Path, error: OSError) -> RunError:
    """The RunError of a write that failed."""
    room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    advice = "; make room, then go on with --resume" if room else "; --resume goes on from there"
    return RunError(f"{path}: writing failed: {error.strerror}; what was committed is kept{advice}")
