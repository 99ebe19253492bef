"""Whether a folder is one that only this user, or the system, can have written to: loading compiled code runs it."""

import os
import stat
from pathlib import Path

MOST_STEPS = 1000


def check(path, is_shared=False):
    """PermissionError where somebody else may put files into a folder, or another folder in its place.

    All on the way to it, links too, belongs to this user or the system, and nobody else may write there, but for
    folders that all share where each may move only what is his own (the sticky bit). The last one may be such a
    folder only where `is_shared` says so: where a folder of our own is then made in it.
    """
    if not hasattr(os, "getuid"):
        return
    owners = {os.getuid(), 0, os.stat("/").st_uid}  # in a container the system's number may be another one
    for place, found, is_last in _walked(path):
        if found.st_uid not in owners:
            raise PermissionError(f"{place} belongs to another user")
        sticky = found.st_mode & stat.S_ISVTX and (is_shared or not is_last)
        if not stat.S_ISLNK(found.st_mode) and not sticky and _others_may_write(found):
            raise PermissionError(f"{place} may be written to by others")


def _walked(path):
    """(path, what lstat says, whether it is the last) of every folder and link on the way to an absolute path."""
    root = Path(path.anchor)
    here, left = root, [*reversed(path.parts[1:])]
    yield here, here.lstat(), not left
    for _ in range(MOST_STEPS):
        if not left:
            return
        part = left.pop()
        here = here.parent if part == ".." else here / part
        found = here.lstat()
        yield here, found, not left
        if stat.S_ISLNK(found.st_mode):
            target = Path(os.readlink(here))
            here = root if target.is_absolute() else here.parent
            left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    raise OSError(f"{path} leads nowhere")


def _others_may_write(found):
    """Whether more than one user may write to a folder; in the group that is a user's own, there is one alone."""
    if found.st_mode & stat.S_IWOTH:
        return True
    if not found.st_mode & stat.S_IWGRP or found.st_gid == 0:
        return False
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(found.st_gid)
    except KeyError:
        return True
    return user.pw_gid != found.st_gid or user.pw_name != group.gr_name or bool({*group.gr_mem} - {user.pw_name})
