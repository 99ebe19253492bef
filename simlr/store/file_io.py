"""Reading and writing at places of a file, and bringing it to the disk."""

from typing import Any

from ..platform import HERE

# What has a buffer of bytes: bytes, a memoryview, an array.
Buffer = Any

LEAST_BYTES_TO_START = 1 << 16


def pwrite(descriptor: int, data: Buffer, offset: int) -> None:
    """Write all bytes of a contiguous buffer, `offset` bytes from the start of the file; OSError where it cannot."""
    view = memoryview(data).cast("B")
    while view:
        written = HERE.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def sync(descriptor: int) -> None:
    """Bring the data of a file to the disk; OSError where that cannot be done."""
    HERE.sync(descriptor)


def start_writing(descriptor: int, offset: int, size: int) -> None:
    """Let the disk begin with these bytes, which the next sync would otherwise find all still to be done."""
    if size >= LEAST_BYTES_TO_START:
        HERE.start_writing(descriptor, offset, size)


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """`size` bytes, `offset` bytes from the start of the file, or what there is of them."""
    parts = []
    while size:
        part = HERE.pread(descriptor, size, offset)
        if not part:
            break
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)
