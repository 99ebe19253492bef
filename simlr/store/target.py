"""Where a run file may be made: the folder, the room on the disk, the limits of the process. No HDF5 here."""

import os

from ..errors import InputError


def check_target(path, overwrite=False, advice="--resume goes on with it, --overwrite replaces it"):
    """Refuse an output that must not or cannot be made; touches nothing."""
    try:
        if not path.parent.is_dir():
            raise InputError(f"--out {path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise InputError(f"--out {path}: is a folder")
        if path.exists() and not path.is_file():
            raise InputError(f"--out {path}: is no ordinary file")
        if path.exists() and not overwrite:
            raise InputError(f"--out {path}: exists; {advice}")
        path.with_name(path.name + ".new").exists()  # whose name may be too long
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(f"--out {path}: the folder {path.parent} may not be written to")
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from None


def sync_folder(folder):
    """Make a rename last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
