"""Making a run file: laid out under another name, closed, synced, and then renamed: it appears whole or not at all."""

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, RunError, show
from ..plan.plan import Plan
from ..resources import check_limit, check_room
from . import file_format, file_io, seal
from .file_format import Field
from .layout import lay_out, lay_out_whole
from .lock import kept_alone, locked_output, release
from .metadata import places_of
from .target import check_target, sync_folder
from .writer import Writer, fill_indices


def create(
    path: str | Path,
    plan: Plan,
    attributes: dict[str, Any],
    overwrite: bool = False,
    small: list[tuple[Field, NDArray]] | None = None,
) -> Writer:
    """Lay out the run file of a plan.

    Parameters
    ----------
    path : str or Path
        The file; of a link, what it leads to.
    plan : Plan
        The grid's plan.
    attributes : dict
        The attributes of the root.
    overwrite : bool
        Whether a file that is there may be replaced.
    small : list of (Field, array), optional
        The short datasets, where they are not to be made from the plan.

    Returns
    -------
    Writer
        What writes its blocks.

    Raises
    ------
    InputError
        Where the file may not or cannot be made.
    RunError
        Where another run is writing to it, or it could not be laid out.
    """

    def fill(new, descriptor):
        lay_out(descriptor, plan, attributes, small)
        with h5py.File(new, "r", locking=False) as file:
            places = places_of(file)
        fill_indices(descriptor, plan, places)
        for field in file_format.ledger_fields():
            # Written, so that a disk which fills up later still has the place where blocks are noted as done.
            file_io.pwrite(descriptor, bytes(places[field.name].bytes), places[field.name].start)
        # What is written later, or known and long, the seal does not cover.
        seal.write(descriptor, [places[field.name] for field in file_format.later_fields(plan)])
        os.fsync(descriptor)
        return places

    path, descriptor, lock, places = _create(path, bytes_needed(plan), overwrite, fill)
    return Writer(path, descriptor, lock, plan, places)


def create_whole(
    path: str | Path,
    attributes: dict[str, Any],
    sizes: dict[str, int],
    datasets: list[tuple[Field, NDArray]],
    overwrite: bool = False,
) -> None:
    """Write the run file of a study, whose seal covers every byte.

    Parameters
    ----------
    path, attributes, overwrite
        As of `create`.
    sizes : dict
        The length of every dimension.
    datasets : list of (Field, array)
        All that is in the file.

    Raises
    ------
    InputError, RunError
        As of `create`.
    """

    def fill(new, descriptor):
        lay_out_whole(descriptor, attributes, sizes, datasets)
        seal.write(descriptor, [])
        os.fsync(descriptor)

    needed = sum(array.nbytes for _, array in datasets) + 1024 * len(datasets) + (1 << 16)
    _, descriptor, lock, _ = _create(path, needed, overwrite, fill)
    release(descriptor, lock)


def bytes_needed(plan: Plan) -> int:
    """Size of the run file, by arithmetic; a little more than it comes to."""
    sizes = file_format.dimensions(plan)
    index = [field for field, _ in file_format.index_fields(plan)]
    fields = [*file_format.block_fields(plan), *file_format.ledger_fields(), *index]
    total = 16 * sizes["block"] + 8 * sizes["level"]
    for field in fields:
        # A string takes a reference and an entry in the file's heap.
        item = 64 if field.dtype == "str" else np.dtype(field.dtype).itemsize
        total += item * math.prod(sizes[name] for name in field.dims)
    # Names, units and parameters of the schedules; the recorded moments.
    total += sizes["schedule"] * (512 + 24 * sizes.get("record", 0)) + 8 * sizes.get("recorded_seed", 0)
    return total + len(plan.config.to_toml()) * 3 + 24 * len(plan.sizes) + 64 * 1024


def _create(path, needed, overwrite, fill):
    """Have `fill(new, descriptor)` lay a file out, and put it in its place; whatever goes wrong, nothing of it is left.

    Returns its path behind links, its descriptor, its lock, and what `fill` returned.
    """
    check_target(Path(path), overwrite)
    path = Path(os.path.realpath(path))  # behind a link, the file itself is replaced
    check_room(path.parent, needed, path)
    check_limit(needed, path)
    with contextlib.ExitStack() as held:
        new = path.with_name(path.name + ".new")
        descriptor, lock = locked_output(new, path, os.O_CREAT)
        try:
            # Checked once more: whoever had the lock before may have made the file meanwhile.
            check_target(path, overwrite)
            if path.exists():
                held.enter_context(kept_alone(path))
            filled = fill(new, descriptor)
            os.rename(new, path)
            sync_folder(path.parent)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.unlink(new)
            release(descriptor, lock)
            if isinstance(error, InputError | RunError | MemoryError) or not isinstance(error, Exception):
                raise
            # Whatever h5py raises on a full disk.
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number else show(str(error))
            raise RunError(f"{path}: could not be laid out: {reason}") from None
    return path, descriptor, lock, filled
