"""Where outputs may be made: refused in one line before anything is touched. No HDF5 here."""

import os
from pathlib import Path

from ..errors import InputError
from ..platform import HERE
from . import seal

ADVICE = "--resume goes on with it, --overwrite replaces it"


def check_target(path: Path, overwrite: bool = False, advice: str = ADVICE) -> None:
    """Refuse an output that must not or cannot be made; touches nothing.

    Parameters
    ----------
    path : Path
        The output.
    overwrite : bool
        Whether a file that is there may be replaced.
    advice : str
        What to do about one that is there.

    Raises
    ------
    InputError
    """
    try:
        if not path.parent.is_dir():
            raise InputError(f"--out {path}: the folder {path.parent} does not exist")
        folder = _folder_of(path)
        if path.is_dir():
            raise InputError(f"--out {path}: is a folder")
        if path.exists() and not path.is_file():
            raise InputError(f"--out {path}: is no ordinary file")
        if path.exists() and not overwrite:
            raise InputError(f"--out {path}: exists; {advice}")
        if path.exists() and os.path.getsize(path) and not seal.is_run(path):
            raise InputError(f"--out {path}: is no simlr run, so it is not replaced; name another file, or remove it")
        path.with_name(path.name + "-report").exists()  # which may be too long for a name
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(f"--out {path}: the folder {folder} may not be written to")
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from None


def _folder_of(path):
    """The folder in which an output is made: behind a link, that of what it names; InputError where that is nowhere."""
    if not path.is_symlink():
        return path.parent
    file = Path(os.path.realpath(path))
    if file.is_symlink() or not file.parent.is_dir():
        raise InputError(f"--out {path}: is a link that leads nowhere: {os.readlink(path)}")
    return file.parent


def check_folder(folder: Path) -> None:
    """Refuse a folder of outputs, `--out DIR`, that must not or cannot be made; touches nothing."""
    if not folder.parent.is_dir():
        raise InputError(f"--out {folder}: the folder {folder.parent} does not exist")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is not a folder")


def make_folder(folder: Path) -> None:
    """Make a folder of outputs where it is missing; InputError where it cannot be one."""
    check_folder(folder)
    try:
        make_lasting(folder)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None


def make_lasting(folder: Path) -> None:
    """Make a folder where it is missing, which a loss of power then leaves; OSError where it cannot be made."""
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename last."""
    HERE.sync_folder(folder)
