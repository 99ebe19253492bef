"""Memory, room on the disk and limits of the process: refusing by arithmetic what takes more than there is."""

import contextlib
import os
import resource
import shutil
from pathlib import Path

from .errors import InputError

MARGIN_BYTES = 1 << 20

# Where Linux says what a job or a container may use; its own group first.
_GROUPS = Path("/sys/fs/cgroup")


def memory_limit() -> int:
    """Bytes of memory that this process may use: the machine's, or less where a limit is set on it or on its group."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_group_limits()]
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(limits + ([address_space] if address_space != resource.RLIM_INFINITY else []))


def _group_limits():
    """The limits of the control groups (version 2) that this process is in."""
    with contextlib.suppress(OSError, ValueError):
        name = Path("/proc/self/cgroup").read_text(encoding="ascii").split("::")[-1].strip().lstrip("/")
        for group in (_GROUPS / name, *(_GROUPS / name).parents):
            with contextlib.suppress(OSError, ValueError):
                yield int((group / "memory.max").read_text(encoding="ascii"))


def check_memory(needed: int, what: str, instead: str = "") -> None:
    """Refuse, before anything is allocated, what takes more bytes than there are: an InputError.

    `what` begins the message ("the run takes"), and `instead` ends it, with what else to do.
    """
    if needed > memory_limit():
        raise InputError(f"{what} {needed:,} bytes, and there are {memory_limit():,}{instead}")


def check_room(folder: str | Path, needed: int, path: str | Path) -> None:
    """Refuse a file of `needed` bytes for which the folder's disk has no room: an InputError."""
    free = shutil.disk_usage(folder).free
    if needed + MARGIN_BYTES > free:
        raise InputError(f"{path}: needs {needed:,} bytes, and the disk has {free:,} free")


def check_limit(size: int, path: str | Path) -> None:
    """Refuse a file of `size` bytes, more than this process may write: an InputError."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and size > limit:
        raise InputError(f"{path}: needs {size:,} bytes, and the limit on the size of a file is {limit:,} (ulimit -f)")
