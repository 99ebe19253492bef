"""Memory, room on the disk and limits of the process: refusing by arithmetic what takes more than there is."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from .errors import InputError
from .platform import HERE

MARGIN_BYTES = 1 << 20
# Of addresses, besides those of Python with Numba and its threads: what kernels of a small grid were measured to take.
LOADED_BYTES, COMPILED_BYTES = 96 << 20, 290 << 20

# Where Linux says what a job or a container may use; its own group first.
_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def memory_limit() -> int:
    """Bytes of memory that this process may use: the machine's, or less where a limit is set on it or on its group."""
    address_space = HERE.limit("RLIMIT_AS")
    return min([HERE.memory(), *_group_limits(), *([] if address_space is None else [address_space])])


def _group_limits():
    """The limits of the control groups that this process is in: of version 2, and of version 1 those for memory."""
    lines = []
    with contextlib.suppress(OSError, ValueError):
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    for line in lines:  # number:controllers:path
        _, controllers, name = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        top, file = (_GROUPS / "memory", "memory.limit_in_bytes") if controllers else (_GROUPS, "memory.max")
        group = top / name.lstrip("/")
        # In a container the group's own folder may be what is mounted as the top.
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):
                yield int((folder / file).read_text(encoding="ascii"))


def check_memory(needed: int, what: str, instead: str = "") -> None:
    """Refuse, before anything is allocated, what takes more bytes than there are: an InputError.

    `what` begins the message ("the run takes"), and `instead` ends it, with what else to do.
    """
    if needed > memory_limit():
        raise InputError(f"{what} {needed:,} bytes, and there are {memory_limit():,}{instead}")


def check_compiler(is_warm: Callable[[], bool]) -> None:
    """Refuse to load kernels, or to compile them, where the limit on memory leaves too little: an InputError.

    LLVM would end the process. What it takes at least is checked; larger kernels were seen to take twice as much.
    """
    limit, taken = HERE.limit("RLIMIT_AS"), HERE.address_space()
    if limit is None or not taken or limit - taken >= COMPILED_BYTES:
        return
    what, needed = "the compiled kernels take", LOADED_BYTES
    if not is_warm():
        what, needed = "to compile the kernels takes", COMPILED_BYTES
    left = max(0, limit - taken)
    if left < needed:
        raise InputError(
            f"{what} {needed:,} bytes of addresses, and the limit of {limit:,} leaves {left:,} (ulimit -v)"
        )


def check_room(folder: str | Path, needed: int, path: str | Path) -> None:
    """Refuse a file of `needed` bytes for which the folder's disk has no room: an InputError."""
    free = shutil.disk_usage(folder).free
    if needed + MARGIN_BYTES > free:
        raise InputError(f"{path}: needs {needed:,} bytes, and the disk has {free:,} free")


def check_limit(size: int, path: str | Path) -> None:
    """Refuse a file of `size` bytes, more than this process may write: an InputError."""
    limit = HERE.limit("RLIMIT_FSIZE")
    if limit is not None and size > limit:
        raise InputError(f"{path}: needs {size:,} bytes, and the limit on the size of a file is {limit:,} (ulimit -f)")
