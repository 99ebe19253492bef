"""The one module that asks which system this is: files, locks, limits, signals as Linux, macOS and Windows have them.

`HERE` is the system, chosen when this is imported. SIMLR_TEST_SYSTEM=linux, macos or windows chooses another one, for
tests alone: what that system lacks is not used then, and what only it has is replaced by what stands beside it here.
"""

import contextlib
import os
import signal
import struct
import sys
import threading
from typing import Any

SWITCH = "SIMLR_TEST_SYSTEM"
# Far beyond the end of every file.
LOCK_BYTE = 1 << 62
FREE, READER, OTHER, WRITER = "free", "a reader", "another program", "another run"
MOST_AT_ONCE = 1 << 30
NO_LIMIT = None
_LOCK = struct.Struct("hhqqi")  # of Linux: type, from where, start, length, process


class System:
    """What any system has; the others say where theirs differs."""

    name = "any"
    # Of a file that is made or looked at: not handed on to children, no link followed, no pipe waited for.
    not_followed = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    flags = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    # What ends a command as Ctrl-C does.
    ending = (signal.SIGINT, signal.SIGTERM)

    # ---- files ----

    def open(self, path: str | os.PathLike, flags: int, mode: int = 0o666) -> int:
        """A descriptor of a file, which may be renamed and removed while it is open."""
        return os.open(path, flags | self.flags, mode)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """At most `size` bytes from a place of a file."""
        return os.pread(descriptor, min(size, MOST_AT_ONCE), offset)

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        """Write bytes at a place of a file; return how many were taken."""
        return os.pwrite(descriptor, data, offset)

    def sync(self, descriptor: int) -> None:
        """Bring a file's data to the disk."""
        os.fsync(descriptor)

    def sync_all(self, descriptor: int) -> None:
        """Bring a file to the disk with all that is said of it."""
        self.sync(descriptor)

    def sync_folder(self, folder: str | os.PathLike) -> None:
        """Make the names in a folder last."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            self.sync_all(descriptor)
        finally:
            os.close(descriptor)

    def start_writing(self, descriptor: int, offset: int, size: int) -> None:
        """Let the disk begin with some bytes, where a system can be told to."""

    def allocated(self, status: os.stat_result) -> int:
        """Bytes that a file takes on the disk."""
        return status.st_blocks * 512

    # ---- locks ----

    def lock_byte(self, descriptor: int) -> bool:
        """Lock LOCK_BYTE of an open file, until that is closed; False where the system has no such lock.

        BlockingIOError or PermissionError where another has it, OSError where this file can have none.
        """
        return False

    def holder(self, descriptor: int) -> str | None:
        """Who has the lock of a byte: FREE, READER, OTHER or WRITER; None where the system cannot say."""
        return None

    def lock_file(self, descriptor: int) -> None:
        """Lock a whole file, which is there for that alone; errors as of `lock_byte`."""
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock_file(self, descriptor: int) -> None:
        """Give up what is not given up as the file is closed."""

    def file_system(self, device: int) -> str:
        """The kind of file system that a device holds, as Linux calls it; "" where that is not known."""
        return ""

    # ---- what this process may use ----

    def cores(self) -> int:
        """How many cores this process may use."""
        return os.cpu_count() or 1

    def memory(self) -> int:
        """Bytes of memory that the machine has."""
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    def limit(self, name: str) -> int | None:
        """A limit of this process, "RLIMIT_AS" or "RLIMIT_FSIZE", in bytes; NO_LIMIT where there is none."""
        import resource

        value, _ = resource.getrlimit(getattr(resource, name))
        return NO_LIMIT if value == resource.RLIM_INFINITY else value

    def address_space(self) -> int:
        """How many bytes of addresses this process has taken, of those that RLIMIT_AS counts; 0 where nobody says."""
        return 0

    def peak_memory(self) -> int:
        """The most bytes of memory that this process has had at a time; 0 where the system does not say."""
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def set_limits(self, seconds: int, size: int) -> None:
        """Let this process have so many seconds of the processor in all, and so many bytes of memory."""
        import resource

        for limit, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, size)):
            with contextlib.suppress(ValueError, OSError):  # macOS refuses some
                resource.setrlimit(limit, (value, value))


class Linux(System):
    """Locks that belong to the open file, and a sync of the data alone."""

    name = "linux"

    def sync(self, descriptor: int) -> None:
        """Bring a file's data to the disk."""
        os.fdatasync(descriptor)

    def sync_all(self, descriptor: int) -> None:
        """Bring a file to the disk with all that is said of it."""
        os.fsync(descriptor)

    def start_writing(self, descriptor: int, offset: int, size: int) -> None:
        """Let the disk begin with these bytes: Linux does where it is told that they are not needed in memory."""
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)

    def lock_byte(self, descriptor: int) -> bool:
        """A lock of the open file description, of type OFD."""
        import fcntl

        if not hasattr(fcntl, "F_OFD_SETLK"):  # before 3.15, and in other C libraries
            return False
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK))
        return True

    def holder(self, descriptor: int) -> str | None:
        """Whose lock of type OFD would be in the way."""
        import fcntl

        try:
            told = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK))
        except (AttributeError, OSError):
            return None
        kind, _, start, _, _ = _LOCK.unpack(told)
        if kind == fcntl.F_WRLCK:
            return WRITER if start == LOCK_BYTE else OTHER
        return READER if kind == fcntl.F_RDLCK else FREE

    def address_space(self) -> int:
        """What /proc says of this process."""
        with contextlib.suppress(OSError, ValueError), open("/proc/self/statm", encoding="ascii") as line:
            return int(line.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        return 0

    def file_system(self, device: int) -> str:
        """What /proc says of the device."""
        wanted = f"{os.major(device)}:{os.minor(device)}"
        with (
            contextlib.suppress(OSError, ValueError),
            open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines,
        ):
            for line in lines:
                mount, _, system = line.partition(" - ")
                if mount.split()[2] == wanted:
                    return system.split()[0]
        return ""

    def cores(self) -> int:
        """Those that this process may run on."""
        return len(os.sched_getaffinity(0))


class MacOS(System):
    """A sync that reaches the disk itself, and locks of whole files alone."""

    name = "macos"

    def sync(self, descriptor: int) -> None:
        """F_FULLFSYNC: fsync leaves the data in the disk's own memory there."""
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined]
        except (AttributeError, OSError):  # which some file systems do not have
            os.fsync(descriptor)

    def peak_memory(self) -> int:
        """The same, which is said in bytes there."""
        return super().peak_memory() // 1024


class Windows(System):
    """No places to read and write at, no limits, no SIGTERM, and locks through msvcrt."""

    name = "windows"
    not_followed = 0
    ending = (signal.SIGINT, getattr(signal, "SIGBREAK", signal.SIGINT))

    def __init__(self) -> None:
        self._place = threading.RLock()  # a file has one place, which all threads share

    def open(self, path: str | os.PathLike, flags: int, mode: int = 0o666) -> int:
        """A descriptor that lets the file be renamed and removed, which what os.open gives there does not."""
        try:
            from ctypes import WinDLL, c_void_p, get_last_error  # type: ignore[attr-defined]
        except ImportError:
            return os.open(path, flags | self.flags, mode)
        import msvcrt

        create = WinDLL("kernel32", use_last_error=True).CreateFileW
        create.restype = c_void_p
        access = 0xC0000000 if flags & (os.O_RDWR | os.O_WRONLY) else 0x80000000
        made = 1 if flags & os.O_EXCL else 4 if flags & os.O_CREAT else 3
        handle = create(str(path), access, 7, None, made, 0x80, None)  # shared for reading, writing and removal
        if handle in (None, c_void_p(-1).value):
            raise OSError(0, os.strerror(0), str(path), get_last_error())  # whose kind follows from the last number
        flags = flags & ~(os.O_CREAT | os.O_EXCL) | self.flags
        return msvcrt.open_osfhandle(handle, flags)  # type: ignore[attr-defined]

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        """Go there and read."""
        with self._place:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, min(size, MOST_AT_ONCE))

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        """Go there and write."""
        with self._place:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.write(descriptor, data[:MOST_AT_ONCE])

    def sync_folder(self, folder: str | os.PathLike) -> None:
        """Nothing: folders cannot be opened there, and a rename is written through."""

    def allocated(self, status: os.stat_result) -> int:
        """The length: there are no holes."""
        return status.st_size

    def lock_file(self, descriptor: int) -> None:
        """msvcrt, of the first byte."""
        try:
            import msvcrt
        except ImportError:
            _HELD.lock(descriptor)
            return
        with self._place:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]

    def unlock_file(self, descriptor: int) -> None:
        """What stands in for msvcrt elsewhere does not go with the descriptor."""
        _HELD.unlock(descriptor)

    def memory(self) -> int:
        """What GlobalMemoryStatusEx says; where it cannot be asked, more than any machine has."""
        try:
            from ctypes import byref, windll  # type: ignore[attr-defined]

            status = _memory_status()
            windll.kernel32.GlobalMemoryStatusEx(byref(status))
            return int(status.total)
        except (ImportError, AttributeError, OSError):
            return 1 << 62

    def limit(self, name: str) -> int | None:
        """None: there are no such limits."""
        return NO_LIMIT

    def peak_memory(self) -> int:
        """0: it is not asked."""
        return 0

    def set_limits(self, seconds: int, size: int) -> None:
        """Nothing: a probe is ended by the clock alone."""


class _LockFiles:
    """Files beside others that say which process has them: where msvcrt would lock, and this is not Windows."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def lock(self, descriptor: int) -> None:
        """BlockingIOError where a process that is alive has the file."""
        status = os.fstat(descriptor)
        name = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"simlr-{status.st_dev:x}-{status.st_ino:x}.lock")
        for _ in range(2):
            try:
                made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                self._remove_if_left(name)
                continue
            os.write(made, str(os.getpid()).encode())
            os.close(made)
            self._names[descriptor] = name
            return
        raise BlockingIOError

    @staticmethod
    def _remove_if_left(name: str) -> None:
        """Remove what a process has left that is no more."""
        with contextlib.suppress(OSError, ValueError):
            with open(name, encoding="ascii") as file:
                owner = int(file.read())
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                os.unlink(name)

    def unlock(self, descriptor: int) -> None:
        """Give a file up, where it is held."""
        name = self._names.pop(descriptor, None)
        if name:
            os.unlink(name)


_HELD = _LockFiles()


def _request(kind: int) -> bytes:
    """What is asked for of LOCK_BYTE."""
    return _LOCK.pack(kind, os.SEEK_SET, LOCK_BYTE, 1, 0)


def _memory_status() -> Any:
    """The structure MEMORYSTATUSEX."""
    from ctypes import Structure, c_ulong, c_ulonglong, sizeof

    class Status(Structure):
        _fields_ = [
            *((name, c_ulong) for name in ("length", "load")),
            *((name, c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        ]

    status = Status()
    status.length = sizeof(status)
    return status


def _chosen() -> System:
    """The system that this is, or is to be taken for."""
    here = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, "any")
    kinds = {kind.name: kind for kind in (System, Linux, MacOS, Windows)}
    return kinds[os.environ.get(SWITCH, here)]()


HERE = _chosen()
