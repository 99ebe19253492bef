"""Putting the files of a report into its folder: each at once, and never over somebody else's."""

import contextlib
import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import InputError
from ..platform import HERE
from ..schedules.export import EXPORT_MARK, EXPORTED, JSON_START
from ..store.lock import is_being_made, working_file
from ..store.target import make_lasting, sync_folder
from .csv_files import FILES
from .explorer.page import NAME as EXPLORER
from .figures.files import HEADER, NUMBERS, PREFIX

HEAD_BYTES = 1 << 16
COLUMNS = {name: columns for name, (_, columns) in FILES.items()} | {
    "schedules.csv": {"schedule", "unit", "step", "learning_rate"},
    "bounds.csv": {"schedule", "unit", "steps", "bound"},
    "scaling.csv": {"family", "problem", "against", "budget", "loss", "schedule", "steps", "rows", "size"},
    NUMBERS: set(HEADER),
}
# What every page, and every report in Markdown, has.
FIGURE_MARK = b"simlr"
PAGE_MARK, MARKDOWN_MARKS = b"Content-Security-Policy", (b"## Where this comes from", b"The whole grid:")


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder, which is made where it is missing.

    Who looks at an older report never sees half of a new one. What has one of their names and is no file of a report
    is refused by an InputError, before anything is written; so is a folder that cannot be written to.
    """
    refuse_others(folder, files)
    try:
        make_lasting(folder)
        for name, content in files.items():
            _replace(folder / name, content)
        sync_folder(folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None


def refuse_others(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder where a name of a report is a file of somebody's own; touches nothing."""
    for name in names:
        if os.path.lexists(folder / name) and not is_ours(folder / name):
            raise InputError(
                f"--out {folder}: {name} there was not made by simlr, so it is not replaced; name another folder"
            )


def remove_stale(folder: Path, files: dict[str, bytes], formats: Sequence[str]) -> None:
    """Remove what an earlier report left and this run has nothing for; other people's files stay.

    Parameters
    ----------
    folder
        Of the report.
    files
        {name: content} of this report.
    formats
        Those that it was to have: "html", "csv", and of figures "svg", "pdf", "png".
    """
    older = [folder / name for name in FILES] if "csv" in formats else []
    older += [folder / EXPLORER] if "html" in formats else []
    older += [path for name in formats for path in folder.glob(f"{PREFIX}*.{name}")]
    for path in older:
        if path.name not in files and is_ours(path):
            with contextlib.suppress(OSError):
                os.remove(path)


def is_ours(path: Path) -> bool:
    """Whether a file of one of a report's names is such a file, by what it holds."""
    try:
        if path.suffix == ".csv":
            with open(path, newline="", encoding="utf-8") as file:
                header = next(csv.reader(file), [])
                return header == list(EXPORTED) or COLUMNS.get(path.name, {None}) <= set(header)
        content = path.read_bytes()
    except (OSError, ValueError, csv.Error):
        return False
    if path.suffix == ".html":
        return PAGE_MARK in content[:HEAD_BYTES] and b"simlr" in content[:HEAD_BYTES]
    if path.suffix == ".py":
        return EXPORT_MARK in content[:HEAD_BYTES]
    if path.suffix == ".json":
        return content.startswith(JSON_START)
    if path.name.startswith(PREFIX):
        return FIGURE_MARK in content
    return all(mark in content for mark in MARKDOWN_MARKS)


def _replace(path, content):
    """Put a file in its place, by way of a name that is nobody else's, and not through a link."""
    is_being_made(path)  # what a report that was killed has left goes
    new, descriptor = working_file(path)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            HERE.sync_all(descriptor)
            os.replace(new, path)  # while its lock is held
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
