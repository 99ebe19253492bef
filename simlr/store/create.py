"""Making a run file: laid out under another name, closed, synced, and then renamed: it appears whole or not at all."""

import contextlib
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, RunError, show
from ..plan.plan import Plan
from ..platform import HERE
from ..resources import check_limit, check_room
from . import file_format, file_io, seal
from .file_format import Field
from .layout import lay_out, lay_out_whole
from .lock import BYTE, FileLock, claimed, kept_alone, release
from .metadata import places_of
from .target import ADVICE, check_target, sync_folder
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

    made = begin(path, plan, attributes, overwrite, small)
    made.put_in_place(overwrite)
    return made.writer


class Made(NamedTuple):
    """A run file that is laid out, and whose name is still a working name.

    Attributes
    ----------
    path : Path
        The output that it is to be, behind links.
    new : Path
        Where it is.
    writer : Writer
        What writes its blocks.
    """

    path: Path
    new: Path
    writer: Writer

    def put_in_place(self, overwrite: bool, advice: str = ADVICE) -> None:
        """Give it its name; where that fails, nothing is left of it."""
        with _nothing_left(self.path, self.new, self.writer.close):
            _put_in_place(self.new, self.path, self.writer.lock, overwrite, advice)
            self.writer.place = self.path

    def remove(self) -> None:
        """Leave nothing of it."""
        with contextlib.suppress(OSError):
            os.unlink(self.new)
        self.writer.close()


def begin(
    path: str | Path,
    plan: Plan,
    attributes: dict[str, Any],
    overwrite: bool = False,
    small: list[tuple[Field, NDArray]] | None = None,
) -> Made:
    """Lay out the run file of a plan, still under a working name; all else is as of `create`."""

    def fill(new, descriptor):
        lay_out(descriptor, plan, attributes, small)
        with h5py.File(new, "r", locking=False) as file:
            places = places_of(file)
        fill_indices(path, descriptor, plan, places)
        for field in file_format.ledger_fields():
            # Written, so that a disk which fills up later still has the place where blocks are noted as done.
            file_io.pwrite(descriptor, bytes(places[field.name].bytes), places[field.name].start)
        # What is written later, or known and long, the seal does not cover.
        seal.write(descriptor, [places[field.name] for field in file_format.later_fields(plan)])
        HERE.sync_all(descriptor)
        return places

    target, new, descriptor, lock, places = _begin(path, bytes_needed(plan), overwrite, fill)
    return Made(target, new, Writer(target, descriptor, lock, plan, places, new))


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
        HERE.sync_all(descriptor)

    needed = sum(array.nbytes for _, array in datasets) + 1024 * len(datasets) + (1 << 16)
    target, new, descriptor, lock, _ = _begin(path, needed, overwrite, fill)
    with _nothing_left(target, new, lambda: release(descriptor, lock)):
        _put_in_place(new, target, lock, overwrite)
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


def _begin(path, needed, overwrite, fill):
    """Have `fill(new, descriptor)` lay a file out under a working name; whatever goes wrong, nothing of it is left.

    Returns its path behind links, where it is, its descriptor, its lock, and what `fill` returned.
    """
    check_target(Path(path), overwrite)
    path = Path(os.path.realpath(path))  # behind a link, the file itself is replaced
    check_room(path.parent, needed, path)
    check_limit(needed, path)
    try:
        new, descriptor, lock = claimed(path)
    except OSError as error:
        raise InputError(f"--out {path}: cannot be written: {error.strerror}") from None
    with _nothing_left(path, new, lambda: release(descriptor, lock)):
        # Checked once more: whoever made it before may have ended meanwhile.
        check_target(path, overwrite)
        if path.exists() and lock.kind == BYTE:
            with kept_alone(path):  # else it is refused only when all is laid out
                pass
        filled = fill(new, descriptor)
    return path, new, descriptor, lock, filled


def _put_in_place(new: Path, path: Path, lock: FileLock, overwrite: bool, advice: str = ADVICE) -> None:
    """Rename a file that is whole to what it is to be, unless that is another's by now, or is being written to."""
    check_target(path, overwrite, advice)
    # A lock beside the file is that of whatever has its name.
    with kept_alone(path) if path.exists() and lock.kind == BYTE else contextlib.nullcontext():
        os.replace(new, path)
        sync_folder(path.parent)


@contextlib.contextmanager
def _nothing_left(path, new, let_go):
    """Where something goes wrong, remove the working file and let go of it; what it was becomes one line."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(new)
        let_go()
        if isinstance(error, InputError | RunError | MemoryError) or not isinstance(error, Exception):
            raise
        # Whatever h5py raises on a full disk.
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else show(str(error))
        raise RunError(f"{path}: could not be laid out: {reason}") from None
