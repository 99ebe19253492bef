"""How much memory there is, and refusing by arithmetic what takes more."""

import os

from .errors import InputError


def there():
    """Bytes of physical memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check(needed, what, instead=""):
    """Refuse, before anything is allocated, what takes more bytes than there are; `instead` says what else to do."""
    if needed > there():
        raise InputError(f"{what} {needed:,} bytes, and there are {there():,}{instead}")
