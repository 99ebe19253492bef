"""One writer at a time: a lock that readers never meet, and names for files that are being made.

What is made gets its own name when it is whole. Until then it has a working name, which nobody else has: its end
follows from the output's name and from what is random in it. Its maker holds its lock, so what a killed one left is
told from what is still being made, and goes when the same output is made or gone on with again.
"""

import contextlib
import errno
import functools
import hashlib
import os
import random
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, RunError
from ..platform import HERE, OTHER, READER, WRITER

# What a system says that has no lock of a kind, for this file or for any.
NO_SUCH_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
# Where the flock that HDF5's readers take is a lock of the whole file's bytes, which ours would meet.
ONE_KIND_OF_LOCK = ("nfs", "nfs4", "cifs", "smb3", "9p")
NONE, BYTE, BESIDE = "none", "a byte of the file", "a file beside it"
# HDF5's own switch, for disks whose locks do harm: whoever sets it wants none.
SWITCH = "HDF5_USE_FILE_LOCKING"
WORKING = ".simlr-", ".new"
# Without locks nobody can say whether a working file is still being made; a day later it is not.
STALE_SECONDS = 86400
# Two that begin at the same moment both give way, and try again a little later.
TRIES, MOST_WAITED = 6, 0.1
MOST_NAMES = 100


class FileLock:
    """A lock that dies with its owner: on a byte far beyond the end of the file, held by the open file itself.

    Where the system has no such lock for the file, or readers would meet it, flock on a file beside it; where it has
    neither, or HDF5_USE_FILE_LOCKING is FALSE, none. Never flock on the run file: readers would fail.

    Parameters
    ----------
    path : str or Path
        The output that is locked: what `descriptor` is, or will be when it is renamed.
    descriptor : int
        The open file.

    Attributes
    ----------
    kind : str
        NONE, BYTE or BESIDE.
    why_none : str
        Of NONE, why.

    Raises
    ------
    BlockingIOError, PermissionError
        Where another has the lock.
    """

    def __init__(self, path, descriptor):
        self.kind, self.why_none, self._beside = NONE, "", None
        if _switched_off():
            self.why_none = f"{SWITCH} is {os.environ[SWITCH].strip()}"
            return
        if _lock_byte(descriptor):
            self.kind = BYTE
            return
        try:
            self._beside = _beside(path)
            self._descriptor = _flocked(self._beside)
            self.kind = BESIDE
        except OSError as error:
            self._beside = None
            if error.errno not in NO_SUCH_LOCK:
                raise
            self.why_none = f"the disk has no locks: {error.strerror}"

    def close(self) -> None:
        """Give up what is not given up with the descriptor."""
        if self._beside:
            with contextlib.suppress(OSError):
                if not os.fstat(self._descriptor).st_size:  # ours is empty
                    os.unlink(self._beside)
            HERE.unlock_file(self._descriptor)
            os.close(self._descriptor)
            self._beside = None


def _switched_off():
    """Whether no locks are wanted."""
    return os.environ.get(SWITCH, "").strip().upper() in ("FALSE", "0")


def _lock_byte(descriptor):
    """Lock the byte of a file; False where it has none that can be locked, or readers would meet that lock.

    BlockingIOError or PermissionError where another has it.
    """
    if _switched_off() or _file_system(os.fstat(descriptor).st_dev) in ONE_KIND_OF_LOCK:
        return False
    try:
        return HERE.lock_byte(descriptor)
    except OSError as error:
        if error.errno not in NO_SUCH_LOCK:
            raise
        return False


@functools.cache
def _file_system(device):
    """The kind of file system that a device holds, as Linux calls it; "" where that is not known."""
    return HERE.file_system(device)


def _flocked(path):
    """A descriptor of an empty file of this name, which is made where it is missing, with its flock."""
    while True:
        descriptor = HERE.open(path, os.O_RDWR | os.O_CREAT | HERE.not_followed)
        try:
            HERE.lock_file(descriptor)
            # Its former owner may have removed it between the two.
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _held_by(descriptor):
    """Who has the lock of a file: "another run is writing to it", or what else is at it."""
    holder = HERE.holder(descriptor)
    if holder == READER:
        return f"a reader has it open and keeps writers out; close it there, or open it with {SWITCH}=FALSE"
    if holder == OTHER:
        return "another program has locked it"
    return "another run is writing to it"


def is_written(path: str | Path) -> bool:
    """Whether a run is writing to a file, as far as its lock says so; nothing is locked."""
    try:
        descriptor = HERE.open(os.path.realpath(path), os.O_RDONLY | HERE.not_followed)
    except OSError:
        return False
    try:
        holder = HERE.holder(descriptor)
        return os.path.exists(_beside(path)) if holder is None else holder in (WRITER, OTHER)
    finally:
        os.close(descriptor)


def _beside(path):
    """The file whose lock is that of an output, where the system has no better one."""
    path = Path(os.path.realpath(path))
    return path.with_name(f".simlr-{_digest(path.name)}.lock")


@contextlib.contextmanager
def kept_alone(path: str | Path) -> Iterator[None]:
    """Keep other writers off a file for the duration; RunError where one is at it."""
    descriptor, lock = locked_output(path, path)
    try:
        yield
    finally:
        release(descriptor, lock)


def locked_output(file: str | Path, path: str | Path) -> tuple[int, FileLock]:
    """`locked` of the file that is an output.

    Parameters
    ----------
    file : str or Path
        What is opened.
    path : str or Path
        The output, as an error names it.

    Raises
    ------
    RunError
        Where another run is writing to it.
    InputError
        Where it cannot be opened.
    """
    try:
        return locked(file)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from None


def locked(path: str | Path) -> tuple[int, FileLock]:
    """Open a file for reading and writing, and lock it.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    descriptor : int
        The open file; see `release`.
    lock : FileLock
        What makes it the only writer.

    Raises
    ------
    RunError
        Where another has the lock.
    OSError
        Where the file cannot be opened.
    """
    descriptor = HERE.open(path, os.O_RDWR)
    lock = None
    try:
        lock = FileLock(path, descriptor)
        # The lock may be that of a file which was renamed or replaced since it was opened.
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            raise BlockingIOError
    except BaseException as error:
        held_by = _held_by(descriptor)
        os.close(descriptor)
        if lock:
            lock.close()
        if isinstance(error, BlockingIOError | PermissionError | FileNotFoundError):
            raise RunError(f"{path}: {held_by}") from None
        raise
    return descriptor, lock


def release(descriptor: int, lock: FileLock) -> None:
    """Let go of a file: close it, and give up its lock."""
    os.close(descriptor)
    lock.close()


# ---- files that are being made ----


def claimed(path: Path) -> tuple[Path, int, FileLock]:
    """Begin to make an output, under a working name; what others have left of it goes.

    Parameters
    ----------
    path : Path
        The output, behind links.

    Returns
    -------
    new : Path
        The working file, empty.
    descriptor, lock
        As of `locked`: of the output, once it has its name.

    Raises
    ------
    RunError
        Where another run is making it.
    InputError
        Where no file can be made there.
    """
    for _ in range(TRIES):
        new, descriptor = working_file(path)
        lock = None
        try:
            with contextlib.suppress(BlockingIOError, PermissionError):
                lock = FileLock(path, descriptor)
            if lock and not is_being_made(path, new, lock.kind):
                return new, descriptor, lock
        except BaseException:
            _give_up(new, descriptor, lock)
            raise
        _give_up(new, descriptor, lock)
        time.sleep(random.uniform(0.0, MOST_WAITED))
    raise RunError(f"{path}: another run is writing to it")


def _give_up(new, descriptor, lock=None):
    """Remove a working file of ours, and let go of it and of its lock, if it has one."""
    with contextlib.suppress(OSError):
        os.unlink(new)
    os.close(descriptor)
    if lock is not None:
        lock.close()


def working_file(path: Path) -> tuple[Path, int]:
    """A new file under a working name of an output: its path, and it open for reading and writing, with its lock.

    OSError where it cannot be made.
    """
    for _ in range(MOST_NAMES):
        token = secrets.token_hex(6)
        new = path.with_name(f"{WORKING[0]}{token}-{_digest(token, path.name)}{WORKING[1]}")
        try:
            descriptor = HERE.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | HERE.not_followed)
        except FileExistsError:
            continue
        try:
            _lock_byte(descriptor)
            if os.path.samestat(os.fstat(descriptor), os.lstat(new)):
                return new, descriptor
        except (BlockingIOError, PermissionError, FileNotFoundError):
            pass  # taken for one that was left, in the moment before it had its lock
        except BaseException:
            _give_up(new, descriptor)
            raise
        _give_up(new, descriptor)
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _digest(*texts):
    """Eight hexadecimal digits that follow from some texts."""
    return hashlib.sha256(b"\0".join(map(os.fsencode, texts))).hexdigest()[:8]


def is_being_made(path: Path, but: Path | None = None, kind: str = BYTE) -> bool:
    """Whether another is making an output; what those have left who no longer are goes.

    Parameters
    ----------
    path : Path
        The output, behind links.
    but : Path, optional
        Our own working file.
    kind : str
        That of our lock of the output, where we have one.
    """
    alive = False
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            token = entry.name.removeprefix(WORKING[0])[:12]
            if entry.name != f"{WORKING[0]}{token}-{_digest(token, path.name)}{WORKING[1]}":
                continue
            if but is None or entry.name != but.name:
                alive |= not _remove_unless_made(path.with_name(entry.name), kind)
    return alive


def _remove_unless_made(path, kind):
    """Remove a working file that its maker has left; False where its maker is still at it. Links are not followed."""
    try:
        descriptor = HERE.open(path, os.O_RDWR | HERE.not_followed)
    except OSError:
        return True  # gone, or not ours
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and (
            _lock_byte(descriptor) or kind == BESIDE or status.st_mtime < time.time() - STALE_SECONDS
        ):
            os.unlink(path)
        return True
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
