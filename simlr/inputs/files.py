"""Files that somebody names, refused in one line: a pipe would keep us waiting, a device never end."""

import contextlib
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, nearest

MOST_BESIDE = 1000


def names_file(key: str, value: object) -> bool:
    """Whether the value of a problem's parameter is a data file's name; words such as "random" have no suffix."""
    return isinstance(value, str) and key != "kind" and (key == "file" or bool(Path(value).suffix))


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """What the system says of a file that cannot be read, as an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        meant = near(path)
        hint = f"; did you mean {meant}?" if meant else ""
        raise InputError(f"{path}: cannot be read: {error.strerror}{hint}") from None
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def near(path: str | os.PathLike, suffix: str = "") -> str:
    """The file whose name is nearest to that of one that is not there, in its folder; "" where none is near.

    Only names that end in the suffix count, and of a large folder only some.
    """
    given = Path(path)
    try:
        with os.scandir(given.parent) as entries:
            names = [one.name for one in itertools.islice(entries, MOST_BESIDE) if one.is_file()]
        name = nearest(given.name, sorted(name for name in names if name.endswith(suffix)))
        return str(given.with_name(name)) if name else ""
    except (OSError, ValueError):
        return ""


def size_of(path: str | os.PathLike, most: int | None = None) -> int:
    """The bytes of an ordinary file, at most `most`; InputError where it is none, or larger."""
    with reading(path):
        status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: cannot be read: Is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is no ordinary file")
    if most is not None and status.st_size > most:
        raise InputError(f"{path}: has {status.st_size:,} bytes, more than the {most:,} that are read whole")
    return status.st_size


def read_text(path: str | os.PathLike, most: int | None = None) -> str:
    """The text of an ordinary file of at most `most` bytes, in UTF-8, a byte order mark left out; else InputError."""
    size_of(path, most)
    with reading(path):
        try:
            return Path(path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8 text") from None
