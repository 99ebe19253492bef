"""What a file is, by its first bytes and not by its name; its digest; and its text, unpacked and decoded."""

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError, show
from .files import reading, size_of

LARGEST_TEXT = 1 << 30
TEXT, NPY, NPZ, HDF5, OTHER = "text", "NPY", "NPZ", "HDF5", "other"
COLUMNAR = PARQUET, ARROW, ARROW_STREAM = "Parquet", "Arrow", "Arrow stream"
HDF5_MARK = b"\x89HDF\r\n\x1a\n"
_FIRST_BYTES = (
    (b"\x93NUMPY", NPY),
    (HDF5_MARK, HDF5),
    (b"ARROW1\x00\x00", ARROW),
    (b"\xff\xff\xff\xff", ARROW_STREAM),
)
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_PACKED_BZIP2 = b"1AY&SY", b"\x17rE8P\x90"  # what follows the digit behind BZh
_ZIP = b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"
_SAVE_AS_CSV, _WRITE_CSV = "save it as CSV", "write.csv(..., row.names = FALSE) makes a CSV of it"
# What cannot be read, what it is called, and what to do.
_STRANGERS = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _SAVE_AS_CSV),
    (b"MATLAB 5.0", "a MATLAB file before version 7.3", "save it with -v7.3, or as CSV"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"<stata_dta>", "a Stata file", "pandas.read_stata(...).to_csv(..., index=False) makes a CSV of it"),
    (b"RDX2\n", "an R data file", _WRITE_CSV),
    (b"RDX3\n", "an R data file", _WRITE_CSV),
    (b"%PDF-", "a PDF document", "a CSV of its table is needed"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"\x89PNG", "a picture", "a CSV of its numbers is needed"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "git lfs pull fetches it"),
)
_EXCEL = "an Excel workbook"
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)


def digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opened(path: str | os.PathLike, most: int | None = None) -> io.BufferedReader:
    """An ordinary file of at most `most` bytes, open for reading; InputError in one line where that cannot be."""
    size_of(path, most)
    with reading(path):
        return open(path, "rb")


def kind_of(path: str | os.PathLike) -> str:
    """One of the kinds above, by content; what is no readable table is refused with its name and the way out."""
    path = Path(path)
    with opened(path) as file:
        head = file.read(512)
    for first, kind in _FIRST_BYTES:
        if head.startswith(first):
            return kind
    if head.startswith(b"PAR1") and (b"\0" in head or len(head) == 4):
        return PARQUET
    if head.startswith(_ZIP):
        return _kind_of_zip(path)
    if head.startswith(b"ORC") and b"\0" in head:
        raise InputError(f"{path}: is an ORC file; pandas.read_orc(...).to_csv(..., index=False) makes a CSV of it")
    for first, name, advice in _STRANGERS:
        if head.startswith(first):
            raise InputError(f"{path}: is {name}; {advice}")
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        raise InputError(f"{path}: is a Python pickle, which may run anything when it is read; save it as CSV or NPZ")
    if head.lstrip()[:1] in (b"[", b"{") and b'"' in head:
        raise InputError(f"{path}: is JSON; pandas.read_json(...).to_csv(..., index=False) makes a CSV of it")
    if head.lstrip()[:5].lower() in (b"<html", b"<!doc", b"<?xml"):
        raise InputError(f"{path}: is a page of HTML or XML, perhaps of a failed download; a CSV is needed")
    return TEXT


def _kind_of_zip(path):
    """NPZ, a packed CSV, or a workbook."""
    try:
        with zipfile.ZipFile(path) as archive:
            names, files = archive.namelist(), _files_in(archive)
    except Exception:  # whatever a damaged archive makes its reader raise
        if path.suffix in (".npz", ".h5", ".hdf5"):  # whose readers say what is wrong with it
            return OTHER
        raise InputError(f"{path}: begins as {_EXCEL} (.xlsx) or a ZIP archive; {_SAVE_AS_CSV}") from None
    if any(name.endswith(".npy") for name in names) or path.suffix == ".npz":
        return NPZ
    if any(name.startswith("xl/") or name == "[Content_Types].xml" for name in names):
        raise InputError(f"{path}: is {_EXCEL} (.xlsx); {_SAVE_AS_CSV}")
    if "content.xml" in names:
        raise InputError(f"{path}: is an OpenDocument spreadsheet; {_SAVE_AS_CSV}")
    if len(files) != 1:
        raise InputError(f"{path}: is a ZIP archive of {len(files)} files; one is needed: unpack it")
    return TEXT


def _files_in(archive):
    """The files of a ZIP archive, without folders and what macOS and Windows add of their own."""
    own = (".DS_Store", "Thumbs.db", "desktop.ini")
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    return [name for name in names if name.rsplit("/", 1)[-1] not in own]


def is_packed(path: str | os.PathLike) -> bool:
    """Whether a text comes unpacked out of another format, so that its size is not that of the file."""
    with opened(path) as file:
        head = file.read(10)
    return head.startswith(_ZIP) or _packing(head) is not None


def _packing(head):
    """What opens a file that begins with these ten bytes, where it is packed."""
    unpack = next((unpack for first, unpack in _PACKED.items() if head.startswith(first)), None)
    return unpack if unpack is not bz2.open or head[4:10] in _PACKED_BZIP2 else None


@contextlib.contextmanager
def text_of(path: str | os.PathLike, encoding: str | None = None) -> Iterator[io.TextIOWrapper]:
    """The text of a file, unpacked where it is packed, as an open stream with its own ends of lines.

    Without an encoding it is what the mark at its beginning says, UTF-8 where there is none. What cannot be unpacked or
    decoded while it is read is refused in one line.
    """
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(opened(path, LARGEST_TEXT))
            raw = stack.enter_context(_unpacked(path, file))
            stream = io.BufferedReader(raw) if not hasattr(raw, "peek") else raw
            encoding = encoding or _guessed(path, stream.peek(4096)[:4096])
            encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
            yield io.TextIOWrapper(stream, encoding=encoding, newline="")
    except UnicodeDecodeError as error:
        bad = f"'\\x{error.object[error.start]:02x}'"
        advice = "encoding = 'latin-1' or 'cp1252' reads it" if error.encoding.startswith("utf") else "name another"
        raise InputError(
            f"{path}{_line_of(path, error.encoding)}: {bad} is not a number, nor a letter in {error.encoding}; {advice}"
        ) from None
    except (LookupError, UnicodeError):
        raise InputError(f"{path}: encoding {show(encoding, 40)} is unknown, or not that of the file") from None
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile, RuntimeError) as error:
        raise InputError(f"{path}: cannot be unpacked: {show(str(error))}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _unpacked(path, file):
    """The bytes of an open file as a readable stream."""
    head = file.read(10)
    file.seek(0)
    if (unpack := _packing(head)) is not None:
        return unpack(file)
    if head.startswith(_ZIP):
        archive = zipfile.ZipFile(file)
        return archive.open(_files_in(archive)[0])
    return file


def _guessed(path, head):
    """The encoding that the first bytes show."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[::2], head[1::2]
    for zeros, letters, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(head) >= 8 and zeros.count(0) > 0.8 * len(zeros) and letters.count(0) < 0.2 * len(letters):
            raise InputError(f"{path}: looks like UTF-16 without its mark; encoding = {name!r} reads it")
    return "utf-8"


def _line_of(path, encoding):
    """', line 3', where that is the first line that is not in an encoding of whole bytes."""
    if not encoding.replace("-", "").lower().startswith(("utf8", "ascii")) or is_packed(path):
        return ""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f", line {number}"
    return ""
