"""Going on with a run file: its lock, what of it is whole, and a writer for the rest."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DamageError, InputError, RunError
from ..inputs.files import reading
from ..plan.plan import Plan
from ..resources import check_limit, check_room
from . import file_format
from .compatibility import check_same, misplaced
from .lock import is_being_made, locked_output, release
from .metadata import survey
from .writer import Writer, fill_indices, write_error


def resume_file(
    path: str | Path, make_plan: Callable[[NDArray[np.int64], int], Plan], attributes: dict[str, Any]
) -> Writer:
    """Go on with a run file.

    Parameters
    ----------
    path : str or Path
        The file.
    make_plan : callable
        `make_plan(starts, seeds)` gives the plan with the file's own blocks, whose first seeds are starts (B,).
    attributes : dict
        What the attributes of its root would be if it were made now.

    Returns
    -------
    Writer

    Raises
    ------
    InputError
        Where it is of another grid or other code, cut short or damaged, or cannot be written.
    RunError
        Where another run is writing to it, or has changed it meanwhile.
    """
    path = Path(os.path.abspath(path))
    with reading(path):
        before = os.stat(path)
    recorded = survey(path)
    check_same(path, recorded.attributes, attributes)
    plan, places = make_plan(recorded.starts, recorded.seeds), recorded.places
    size = max((place.start + place.bytes for place in places.values()), default=0)
    wrong = misplaced(plan, file_format.later_fields(plan), recorded.starts, places, size)
    if wrong:
        raise DamageError(f"{path}: is damaged (dataset {wrong}); --overwrite starts anew")
    if before.st_size < size:
        raise InputError(f"{path}: is cut short: {before.st_size:,} bytes of {size:,}; --overwrite starts anew")
    check_room(path.parent, max(0, size - before.st_blocks * 512), path)
    check_limit(size, path)
    descriptor, lock = locked_output(path, path)
    try:
        # Whoever had the lock before may have put another file in the place of the one looked at.
        now = os.fstat(descriptor)
        if not os.path.samestat(before, now) or before.st_size != now.st_size:
            raise RunError(f"{path}: was replaced or changed meanwhile")
        fill_indices(descriptor, plan, places)
        is_being_made(Path(os.path.realpath(path)), kind=lock.kind)  # what an --overwrite that was killed has left goes
        return Writer(path, descriptor, lock, plan, places)
    except BaseException as error:
        release(descriptor, lock)
        if isinstance(error, OSError):
            raise write_error(path, error) from None
        raise
