"""Running a study: measured by the paper's own function, then written whole, or kept in memory.

Unlike a grid's, its run has no blocks: what is interrupted leaves nothing, and what is there is finished.
"""

import hashlib
import inspect
import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..claims.registry import load_paper
from ..config.study import StudyConfig
from ..plugins.loading import told_as
from ..store import create
from ..store.compatibility import check_same
from ..store.file_format import Field
from ..store.metadata import survey
from .in_memory import StudySource
from .options import RunOptions
from .pipeline import background_thread
from .provenance import environment_here, root_attributes

if TYPE_CHECKING:
    from ..interactive.run import Run

SEED = Field("seed", ("seed",), "<i8", "index")
WAIT_SECONDS = 0.05
ENDED = (
    Field("finished_at", (), "<f8", "Unix seconds", "s"),
    Field("wall_seconds", (), "<f8", "seconds of measuring", "s"),
)


def run_study(config: StudyConfig, out: str | Path | None, options: RunOptions) -> "Run":
    """Run a study.

    With resume, a file that is there is the finished run, of the same study and code, or it is refused.

    Parameters
    ----------
    config : StudyConfig
        What is run.
    out, options
        As of `simlr.run`.

    Returns
    -------
    Run

    Raises
    ------
    InputError, RunError, KeyboardInterrupt
        As of `simlr.run`; of an interrupted study nothing is kept.
    """
    from ..interactive.run import Run, load  # late: it has the report with it

    options.check()
    # The identity tells one state of the paper's code, and of the helpers beside it, from another.
    identity = "" if config.plugins else _digest_of_paper(config.paper)  # plug-ins have one of their own
    attributes = root_attributes(config, identity, environment_here(), study=str(config.paper))
    if out is not None:
        if options.resume and os.path.exists(out):
            check_same(out, survey(out).attributes, attributes, options.accept_other)
            return load(out)
        create.check_target(Path(out), options.overwrite)  # before it is measured, which takes long
    begin = time.monotonic()
    measured = _measure(config, options)
    with told_as(config.plugins[0].plugin.where, "measure fails") if config.plugins else nullcontext():
        datasets, sizes = study_datasets(config, measured)
    ended = zip(ENDED, (time.time(), time.monotonic() - begin), strict=True)
    datasets += [(field, np.array(seconds, field.dtype)) for field, seconds in ended]
    if out is None:
        return Run(StudySource(datasets, attributes))
    create.create_whole(out, attributes, sizes, datasets, options.overwrite)
    return load(out)


def _digest_of_paper(name):
    """SHA-256 of the code of one of simlr's own papers, and of the helpers beside it, shortened."""
    path = Path(inspect.getfile(load_paper(name)))
    code = b"".join(file.read_bytes() for file in [path, *sorted(path.parent.glob("_*.py"))])
    return hashlib.sha256(code).hexdigest()[:16]


def _measure(config, options):
    """What `measure` returns. It works in a thread of its own, so that this one can be interrupted at any time."""
    from ..kernels import jit

    jit.set_threads(options.threads)
    outcome, reached = {}, [0, 0]

    def tell(done, total):
        reached[:] = done, total

    def work():
        try:
            with np.errstate(all="ignore"):  # what is no number is undecided in the check
                outcome["arrays"] = config.definition.measure(config.task(options.threads, tell))
        except BaseException as error:
            outcome["error"] = error

    thread = background_thread(work, "simlr-study")
    thread.start()
    while thread.is_alive():
        thread.join(WAIT_SECONDS)
        if options.progress and reached[1]:
            options.progress(*reached)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["arrays"]


# ---- arrays ----


def study_datasets(
    config: StudyConfig, measured: dict[str, NDArray]
) -> tuple[list[tuple[Field, NDArray]], dict[str, int]]:
    """What the run file holds of a study.

    Parameters
    ----------
    config : StudyConfig
        The study.
    measured : dict of str to array
        What its `measure` has returned.

    Returns
    -------
    datasets : list of (Field, array)
        Coordinates first.
    sizes : dict of str to int
        The length of every dimension.

    Raises
    ------
    ValueError
        Where the arrays are not those that the paper's code declares, which is a fault of it.
    """
    fields = {field.name: field for field in config.definition.arrays}
    if set(fields) != set(measured):
        raise ValueError(f"study {config.paper!r} declares {sorted(fields)} and measured {sorted(measured)}")
    # Only what loses nothing is cast.
    arrays = {
        name: np.array(measured[name], dtype=object)
        if field.dtype == "str"
        else np.asarray(measured[name]).astype(field.dtype, order="C", casting="same_kind")
        for name, field in fields.items()
    }
    sizes = _sizes(config, fields, arrays)
    missing = [SEED if name == SEED.name else Field(name, (name,), "<i8", "index") for name in sizes]
    counted = [(field, np.arange(sizes[field.name], dtype="<i8")) for field in missing if field.name not in fields]
    datasets = counted + [(fields[name], arrays[name]) for name in fields]
    return sorted(datasets, key=lambda pair: pair[0].dims != (pair[0].name,)), sizes


def _sizes(config, fields, arrays):
    """Lengths of the dimensions, by the arrays that have them; ValueError where these do not agree."""
    sizes = {}
    for name, field in fields.items():
        if arrays[name].ndim != len(field.dims):
            raise ValueError(f"{name} must have the dimensions {field.dims}, got shape {arrays[name].shape}")
        for dimension, length in zip(field.dims, arrays[name].shape, strict=True):
            sizes.setdefault(dimension, length)
    if SEED.name in sizes:
        sizes[SEED.name] = config.seeds["count"]
    for name, array in arrays.items():
        expected = tuple(sizes[dimension] for dimension in fields[name].dims)
        if array.shape != expected:
            raise ValueError(f"study {config.paper!r}: {name} must have shape {expected}, got {array.shape}")
    return sizes
