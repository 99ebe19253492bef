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
from ..platform import HERE
from ..resources import check_limit, check_room
from ..text import first_few
from . import create, file_format
from .compatibility import ACCEPTED, check_same, misplaced
from .lock import is_being_made, locked_output, release
from .metadata import survey
from .read import FileSource
from .run_file import Opened, check_layout
from .writer import Writer, fill_indices, write_error

MOST_SPANS = 20
NO_TRAJECTORIES = {name: np.empty(0) for name in file_format.TRAJECTORIES}  # of a shard that records no seed


def resume_file(
    path: str | Path,
    make_plan: Callable[[NDArray[np.int64], int], Plan],
    attributes: dict[str, Any],
    accept_other: bool = False,
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
    accept_other : bool
        Whether other code may have begun it; the file then says which of its seeds that has computed.

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
    other = check_same(path, recorded.attributes, attributes, accept_other)
    if other:
        _make_anew(path, recorded, make_plan(recorded.starts, recorded.seeds), attributes, other)
        return resume_file(path, make_plan, attributes)
    plan, places = make_plan(recorded.starts, recorded.seeds), recorded.places
    size = max((place.start + place.bytes for place in places.values()), default=0)
    wrong = misplaced(plan, file_format.later_fields(plan), recorded.starts, places, size)
    if wrong:
        raise DamageError(f"{path}: is damaged (dataset {wrong}); --overwrite starts anew")
    if before.st_size < size:
        raise InputError(f"{path}: is cut short: {before.st_size:,} bytes of {size:,}; --overwrite starts anew")
    check_room(path.parent, max(0, size - HERE.allocated(before)), path)
    check_limit(size, path)
    descriptor, lock = locked_output(path, path)
    try:
        # Whoever had the lock before may have put another file in the place of the one looked at.
        now = os.fstat(descriptor)
        if not os.path.samestat(before, now) or before.st_size != now.st_size:
            raise RunError(f"{path}: was replaced or changed meanwhile")
        fill_indices(path, descriptor, plan, places)
        is_being_made(Path(os.path.realpath(path)), kind=lock.kind)  # what an --overwrite that was killed has left goes
        return Writer(path, descriptor, lock, plan, places)
    except BaseException as error:
        release(descriptor, lock)
        if isinstance(error, OSError):
            raise write_error(path, error) from None
        raise


def _make_anew(path, found, plan, attributes, other):
    """Put a file in the place of one that other code has begun: with its blocks, and with a word about them.

    What a run file says of itself is never changed in its place.
    """
    check_layout(path, found, plan, file_format.all_fields(plan))
    before, source = os.stat(path), FileSource(path)
    small = [(field, source.read(field.name)) for field, _ in file_format.small_fields(plan)]
    with Opened(path, found, plan).blocks() as blocks:
        kept = [block for block in np.flatnonzero(blocks.done() == 1).tolist() if blocks.fits(block)]
        lines = str(found.attributes.get(ACCEPTED, "")).splitlines()
        lines += [f"seeds {_seeds(blocks, plan, kept)}: {other}"] if kept else []
        said = {ACCEPTED: "\n".join(lines)} if lines else {}
        started = {"started_at": found.attributes.get("started_at", attributes["started_at"])}
        made = create.begin(path, plan, {**attributes, **said, **started}, overwrite=True, small=small)
        try:
            for block in kept:
                made.writer.write_block(block, *blocks.ends(block), NO_TRAJECTORIES | (blocks.read(block) or {}))
            made.writer.finish(blocks.seconds()[0], complete=False)
            if os.stat(path).st_mtime_ns != before.st_mtime_ns:
                raise RunError(f"{path}: was replaced or changed meanwhile")
            made.put_in_place(overwrite=True)
        except BaseException:
            made.remove()
            raise
    made.writer.close()


def _seeds(blocks, plan, kept):
    """The seeds of some blocks, in as few words as it takes: "0 to 13, 28 to 34"."""
    spans = []
    for first, last in (blocks.ends(block) for block in kept):
        if spans and spans[-1][1] == first:
            spans[-1][1] = last
        else:
            spans.append([first, last])
    few = [f"{first + plan.first} to {last + plan.first - 1}" for first, last in spans[:MOST_SPANS]]
    return first_few(few, MOST_SPANS, len(spans))
