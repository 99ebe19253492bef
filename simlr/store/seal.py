"""A checksum over what never changes in a run file, kept behind its end, where HDF5 does not look.

HDF5 checks its headers itself, but neither names nor the heap that holds them: its library was seen to run for ever on
a damaged heap. So the file is looked over before the library is let near it. A program that changes the file through
the library cuts the seal off, and then there is none to check.

    seal = spans (first byte, byte after the last), CRC-32 of what lies in them, CRC-32 and size of their list, SEALED
"""

import os
import struct
import zlib
from pathlib import Path

from . import file_io
from .blocks import Place
from .file_format import FORMAT

SEALED = b"simlr-ok"
TAIL = struct.Struct("<III8s")
SPAN = struct.Struct("<QQ")
BYTES_AT_ONCE = 1 << 24
HEAD_BYTES = 1 << 16  # the attributes of the root stand there, and the name of the format is among them
SIGNATURE = b"\x89HDF\r\n\x1a\n"
NO_HDF5, CUT_SHORT, UNSEALED, BROKEN, WHOLE = "no HDF5", "cut short", "unsealed", "broken", "whole"
SUPERBLOCK = struct.Struct("<8sB19xQ")  # signature, version (2 or 3), end of the file as HDF5 sees it


def write(descriptor: int, changing: list[Place]) -> None:
    """Seal a file.

    Parameters
    ----------
    descriptor : int
        The file, laid out and closed by HDF5, open for reading and writing.
    changing : list of Place
        Where the datasets lie that are written later, which the seal does not cover.
    """
    size = os.fstat(descriptor).st_size
    spans, start = [], 0
    for place in sorted(changing, key=lambda place: place.start):
        if start < place.start:
            spans.append((start, place.start))
        start = place.start + place.bytes
    if start < size:
        spans.append((start, size))
    listed = b"".join(SPAN.pack(*span) for span in spans)
    file_io.pwrite(
        descriptor, listed + TAIL.pack(_checksum(descriptor, listed), zlib.crc32(listed), len(listed), SEALED), size
    )


def state(path: str | Path) -> str:
    """NO_HDF5, CUT_SHORT, UNSEALED, BROKEN or WHOLE; HDF5 has no part in it. OSError where the file cannot be read."""
    with open(path, "rb", buffering=0) as file:
        descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
        head = file_io.pread(descriptor, SUPERBLOCK.size, 0)
        if len(head) < SUPERBLOCK.size or not head.startswith(SIGNATURE):
            return NO_HDF5
        _, version, end = SUPERBLOCK.unpack(head)
        if version not in (2, 3) or size == end:
            return UNSEALED
        if size < end:
            return CUT_SHORT
        if size < end + TAIL.size:
            return BROKEN
        tail = file_io.pread(descriptor, TAIL.size, size - TAIL.size)
        if len(tail) < TAIL.size:  # it was cut short meanwhile
            return BROKEN
        checksum, of_list, length, sealed = TAIL.unpack(tail)
        if sealed != SEALED or end + length + TAIL.size != size:
            return BROKEN
        listed = file_io.pread(descriptor, length, end)
        return WHOLE if zlib.crc32(listed) == of_list and _checksum(descriptor, listed) == checksum else BROKEN


def is_run(path: str | Path) -> bool:
    """Whether a file is a simlr run, whole or damaged, by its first bytes or its last; HDF5 has no part in it."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    return (head.startswith(SIGNATURE) and FORMAT.encode() in head) or is_signed(path)


def is_signed(path: str | Path) -> bool:
    """Whether a file ends as a run file does."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - len(SEALED)))
        return file.read(len(SEALED)) == SEALED


def _checksum(descriptor, listed):
    """CRC-32 of the file's bytes in a list of spans."""
    crc = 0
    for first, last in SPAN.iter_unpack(listed):
        for start in range(first, last, BYTES_AT_ONCE):
            crc = zlib.crc32(file_io.pread(descriptor, min(BYTES_AT_ONCE, last - start), start), crc)
    return crc
