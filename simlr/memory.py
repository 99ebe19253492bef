"""How much memory there is, and refusing by arithmetic what takes more."""

import contextlib
import os
import resource
from pathlib import Path

from .errors import InputError

# Where Linux says what a job or a container may use; its own group first.
_GROUPS = Path("/sys/fs/cgroup")


def there():
    """Bytes of memory that this process may use: the machine's, or less where a limit is set on it or on its group."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_group_limits()]
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(limits + ([own] if own != resource.RLIM_INFINITY else []))


def _group_limits():
    """The limits of the control groups (version 2) that this process is in."""
    with contextlib.suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").split("::")[-1].strip().lstrip("/")
        for group in (_GROUPS / own, *(_GROUPS / own).parents):
            with contextlib.suppress(OSError, ValueError):
                yield int((group / "memory.max").read_text(encoding="ascii"))


def check(needed, what, instead=""):
    """Refuse, before anything is allocated, what takes more bytes than there are; `instead` says what else to do."""
    if needed > there():
        raise InputError(f"{what} {needed:,} bytes, and there are {there():,}{instead}")
