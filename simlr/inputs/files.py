"""Files that somebody names, before they are read: a pipe would keep us waiting, a device never end."""

import os
import stat

from ..errors import InputError


def size_of(path, most=None):
    """The size of an ordinary file, at most `most` bytes; InputError where it is none, or larger."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path}: cannot be read: Is a directory")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path}: is no ordinary file")
    if most is not None and found.st_size > most:
        raise InputError(f"{path}: has {found.st_size:,} bytes, more than the {most:,} that are read whole")
    return found.st_size
