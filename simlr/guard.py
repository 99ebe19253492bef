"""A look at a file by a process of its own: HDF5's library may hang or die of a damaged file, or want all memory.

Only for files without a seal, of which nothing is known beforehand.
"""

import os
import subprocess
import sys

SECONDS = 20
BYTES = 4 << 30
LOOK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({bytes}, {bytes}))
from simlr import errors, store
try:
    store.survey(sys.argv[1])
except errors.DamageError:
    sys.exit(1)
except errors.InputError:
    pass
"""


def is_readable(path):
    """Whether another process comes through a look at the file, in bounded time and memory."""
    found_by = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    command = [sys.executable, "-c", LOOK.format(bytes=BYTES), os.path.abspath(path)]
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "PYTHONPATH": found_by, "OPENBLAS_NUM_THREADS": "1"}
    try:
        return not subprocess.run(command, **silent, env=environment, timeout=SECONDS).returncode
    except subprocess.TimeoutExpired:
        return False
