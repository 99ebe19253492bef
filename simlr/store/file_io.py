"""Reading and writing at places of a file, and bringing it to the disk."""

import contextlib
import os
from typing import Any

# What has a buffer of bytes: bytes, a memoryview, an array.
Buffer = Any

LEAST_BYTES_TO_START = 1 << 16
# Where the system cannot sync the data alone (macOS), all is synced.
sync = getattr(os, "fdatasync", os.fsync)


def pwrite(descriptor: int, data: Buffer, offset: int) -> None:
    """Write all bytes of a contiguous buffer, `offset` bytes from the start of the file; OSError where it cannot."""
    view = memoryview(data).cast("B")
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def start_writing(descriptor: int, offset: int, size: int) -> None:
    """Let the disk begin with these bytes, which the next sync would otherwise find all still to be done.

    That is what Linux does where it is told that they are not needed in memory; being on their way, they stay there.
    """
    if size >= LEAST_BYTES_TO_START and hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """`size` bytes, `offset` bytes from the start of the file, or what there is of them."""
    parts = []
    while size:
        part = os.pread(descriptor, min(size, 1 << 30), offset)
        if not part:
            break
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)
