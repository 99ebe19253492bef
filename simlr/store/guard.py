"""What is looked at of a run file before HDF5 sees it, whose library may hang or die of damage, or want all memory.

A seal says whether the metadata are what was written. Of a file without one nothing is known, so it is looked at by a
process of its own.
"""

import functools
import os
import subprocess
import sys
from pathlib import Path

from ..errors import DamageError, InputError
from ..inputs.files import reading, size_of
from . import seal

# Of the processor's time, so that a busy machine makes no file bad; of the clock's, for all that may keep it waiting.
PROCESSOR_SECONDS = 5
SECONDS = 120
BYTES = 4 << 30
# Isolated, so that Python itself looks neither into the working folder nor into PYTHONPATH: a module beside somebody's
# file must not be run. Where this process has its packages from comes last, behind all of Python's own.
PROBE = """
import sys
sys.path += sys.argv[2:]
import contextlib, math, os
from simlr.errors import DamageError
from simlr.platform import HERE
from simlr.store.metadata import try_out
used = math.ceil(sum(os.times()[:2]))
HERE.set_limits(used + {seconds}, {bytes})
with contextlib.suppress(DamageError):  # which is named where the file is looked at next
    try_out(sys.argv[1])
"""


def check(path: str | Path) -> None:
    """Refuse what cannot be read, a file whose seal is broken, and one without a seal that HDF5 cannot read."""
    size_of(path)
    with reading(path):
        state = seal.state(path)
    if state == seal.NO_HDF5 and Path(path).suffix == ".toml":
        raise InputError(f"{path}: is a grid, and no run file; simlr run {path} makes one of it")
    if state == seal.BROKEN:
        raise DamageError(f"{path}: is damaged: what lies beside its data is not what was written")
    if state == seal.UNSEALED and not is_readable(path):
        raise DamageError(f"{path}: is damaged: it has no seal, and HDF5 cannot read it")


def is_readable(path: str | Path) -> bool:
    """Whether another process comes through a look at the file, in bounded time and memory."""
    if not sys.executable:  # Python lives in another program, and there is nobody to ask
        return True
    status = os.stat(path)
    return _is_readable(os.path.abspath(path), (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


@functools.lru_cache
def _is_readable(path, version):
    """The same, asked once of every version of a file."""
    probe = PROBE.format(bytes=BYTES, seconds=PROCESSOR_SECONDS)
    command = [sys.executable, "-I", "-c", probe, path, *_package_folders()]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    try:
        return not subprocess.run(command, **silent, env=environment, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return False


def _package_folders():
    """Where simlr, h5py and NumPy lie, first of all simlr: folders that this process has already run code from."""
    root = Path(__file__).resolve().parents[2]
    packages = (Path(sys.modules[name].__file__ or "").resolve().parents[1] for name in ("h5py", "numpy"))
    return list(dict.fromkeys(map(str, (root, *packages))))
