"""A checksum over what never changes in a run file, kept behind its end, where HDF5 does not look.

HDF5 checks its headers itself, but neither names nor the heap that holds them: its library was seen to run for ever on
a damaged heap. So the file is looked over before the library is let near it. A program that changes the file through
the library cuts the seal off, and then there is none to check.

    seal = spans (first byte, byte after the last), CRC-32 of what lies in them, CRC-32 and size of their list, SEALED
"""

import os
import struct
import zlib

from .writer import pread, pwrite

SEALED = b"simlr-ok"
TAIL = struct.Struct("<III8s")
SPAN = struct.Struct("<QQ")
PIECE = 1 << 24
SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK = struct.Struct("<8sB19xQ")  # signature, version (2 or 3), end of the file as HDF5 sees it


def write(descriptor, changing):
    """Seal a file, laid out and closed, but for the places of the datasets that are written later."""
    size = os.fstat(descriptor).st_size
    listed = b"".join(SPAN.pack(*span) for span in _gaps(size, changing))
    pwrite(descriptor, listed + TAIL.pack(_checksum(descriptor, listed), zlib.crc32(listed), len(listed), SEALED), size)


def is_broken(path):
    """Whether a file has a seal that does not fit it; a file that is no HDF5, or has no seal, has none to break."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _is_broken(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _is_broken(descriptor, size):
    head = pread(descriptor, SUPERBLOCK.size, 0)
    if len(head) < SUPERBLOCK.size:
        return False
    signature, version, end = SUPERBLOCK.unpack(head)
    if signature != SIGNATURE or version not in (2, 3) or size <= end:
        return False
    if size < end + TAIL.size:
        return True
    checksum, of_list, length, sealed = TAIL.unpack(pread(descriptor, TAIL.size, size - TAIL.size))
    if sealed != SEALED or end + length + TAIL.size != size:
        return True
    listed = pread(descriptor, length, end)
    return zlib.crc32(listed) != of_list or _checksum(descriptor, listed) != checksum


def _checksum(descriptor, listed):
    """CRC-32 of the file's bytes in a list of spans."""
    crc = 0
    for first, last in SPAN.iter_unpack(listed):
        for start in range(first, last, PIECE):
            crc = zlib.crc32(pread(descriptor, min(PIECE, last - start), start), crc)
    return crc


def _gaps(size, places):
    """The spans of a file of this size that lie in none of the places."""
    gaps, start = [], 0
    for place in sorted(places, key=lambda place: place.start):
        if start < place.start:
            gaps.append((start, place.start))
        start = place.start + place.bytes
    return [*gaps, (start, size)] if start < size else gaps
