"""Running a study: measured by the paper's own function, then written whole, or kept in memory.

Unlike a grid's, its run has no blocks: what is interrupted leaves nothing, and what is there is finished.
"""

import hashlib
import inspect
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..claims.registry import load_paper
from ..config.study import StudyConfig
from ..errors import InputError
from ..store import create
from ..store.compatibility import check_same
from ..store.file_format import Field
from ..store.in_memory import StudySource
from ..store.read import load, survey
from ..store.run import Run
from .pipeline import background_thread
from .provenance import environment_here, root_attributes

SEED = Field("seed", ("seed",), "<i8", "index")
WAIT_SECONDS = 0.05
ENDED = (
    Field("finished_at", (), "<f8", "Unix seconds", "s"),
    Field("wall_seconds", (), "<f8", "seconds of measuring", "s"),
)


def run_study(
    config: StudyConfig,
    out: str | Path | None = None,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Run a `simlr.config.study.StudyConfig` and return its `Run`; parameters and errors are those of `simlr.run`.

    With resume, a file that is there is the finished run, of the same study and code, or it is refused.
    """
    if resume and overwrite:
        raise InputError("resume and overwrite cannot both be asked for")
    identity = _digest(load_paper(config.paper))
    attributes = root_attributes(config, identity, environment_here(), study=config.paper)
    if out is not None:
        if resume and os.path.exists(out):
            check_same(out, survey(out).attributes, attributes)
            return load(out)
        create.check_target(Path(out), overwrite)
    begin = time.monotonic()
    found, sizes = study_datasets(config, _measured(config, threads, progress))
    ended = zip(ENDED, (time.time(), time.monotonic() - begin), strict=True)
    found += [(field, np.array(seconds, field.dtype)) for field, seconds in ended]
    if out is None:
        return Run(StudySource(found, attributes))
    create.create_whole(out, attributes, sizes, found, overwrite)
    return load(out)


def _digest(paper):
    """What tells one state of a paper's code, and of the helpers beside it, from another."""
    path = Path(inspect.getfile(paper))
    files = [path, *sorted(path.parent.glob("_*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _measured(config, threads, progress):
    """What `measure` returns. It works in a thread of its own, so that this one can be interrupted at any time."""
    from ..kernels import jit

    jit.set_threads(threads)
    outcome, reached = {}, [0, 0]

    def tell(done, total):
        reached[:] = done, total

    def work():
        try:
            outcome["arrays"] = config.definition.measure(config.task(threads, tell))
        except BaseException as error:
            outcome["error"] = error

    thread = background_thread(work, "simlr-study")
    thread.start()
    while thread.is_alive():
        thread.join(WAIT_SECONDS)
        if progress and reached[1]:
            progress(*reached)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["arrays"]


# ---- arrays ----


def study_datasets(
    config: StudyConfig, measured: dict[str, NDArray]
) -> tuple[list[tuple[Field, NDArray]], dict[str, int]]:
    """What the run file holds of a study: [(Field, array), ...], coordinates first; its lengths: {dimension: length}.

    Raises ValueError, which is a fault of the paper's code, where the arrays are not those that it declares.
    """
    fields = {one.name: one for one in config.definition.arrays}
    if set(fields) != set(measured):
        raise ValueError(f"study {config.paper!r} declares {sorted(fields)} and measured {sorted(measured)}")
    arrays = {name: _cast(fields[name], measured[name]) for name in fields}
    sizes = _sizes(fields, arrays)
    if SEED.name in sizes:
        sizes[SEED.name] = config.seeds["count"]
    for name, array in arrays.items():
        expected = tuple(sizes[dimension] for dimension in fields[name].dims)
        if array.shape != expected:
            raise ValueError(f"study {config.paper!r}: {name} must have shape {expected}, got {array.shape}")
    missing = [SEED if name == SEED.name else Field(name, (name,), "<i8", "index") for name in sizes]
    counted = [(one, np.arange(sizes[one.name], dtype="<i8")) for one in missing if one.name not in fields]
    found = counted + [(fields[name], arrays[name]) for name in fields]
    return sorted(found, key=lambda pair: pair[0].dims != (pair[0].name,)), sizes


def _cast(one, values):
    """Values in the type of their field; only what loses nothing is cast."""
    if one.dtype == "str":
        return np.array(values, dtype=object)
    return np.asarray(values).astype(one.dtype, order="C", casting="same_kind")


def _sizes(fields, arrays):
    """Lengths of the dimensions, by the arrays that have them."""
    found = {}
    for name, one in fields.items():
        if arrays[name].ndim != len(one.dims):
            raise ValueError(f"{name} must have the dimensions {one.dims}, got shape {arrays[name].shape}")
        for dimension, length in zip(one.dims, arrays[name].shape, strict=True):
            found.setdefault(dimension, length)
    return found
