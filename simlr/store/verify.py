"""Looking a run file over: layout, metadata, coordinates and every block, without a word of trust in any of them.

The seal is looked at first, then the file is opened; so HDF5 never sees damaged metadata. A file without a seal the
store has another process look at beforehand.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ..config.reading import read_recorded
from ..config.study import StudyConfig
from ..errors import DamageError, InputError, RunError
from ..text import first_few, printable
from . import file_format, seal
from .compatibility import ACCEPTED
from .metadata import looked_into, survey
from .run_file import opened, state_of_seal

MOST_NAMED = 5
NO_SEAL = "its metadata have no seal: it was cut off, or another program changed the file"


class Verified(NamedTuple):
    """What was checked of a run file, and what is wrong with it."""

    path: str
    faults: tuple[str, ...]  # none of a sound and finished run
    study: str | None  # its name, where it is a study's run
    blocks: int
    seeds: int
    datasets: int
    bytes: int
    accepted_other: tuple[str, ...]  # which seeds other code has computed


def verify(path: str | Path, progress: Callable[[int, int], None] | None = None) -> str:
    """One line that says what was checked of a sound and finished run.

    Parameters
    ----------
    path : str or Path
        The run file.
    progress : callable, optional
        Called with (blocks checked, all blocks).

    Raises
    ------
    InputError
        Where the file is no run of a format that is known here.
    RunError
        Where it is damaged or unfinished, naming what is wrong.
    """
    found = check(path, progress)
    if found.faults:
        raise RunError(faults_text(found))
    name = printable(str(path))
    if found.study is not None:
        return (
            f"{name}: sound: the run of study {found.study!r} has its seal over all {found.datasets:,} datasets; "
            f"{found.bytes:,} bytes"
        )
    return (
        f"{name}: sound: {found.blocks:,} blocks ({found.seeds:,} seeds) have their CRC-32, the metadata "
        f"their seal, {found.datasets:,} datasets their shape, type and place; {found.bytes:,} bytes{_other(found)}"
    )


def faults_text(found: Verified) -> str:
    """What is wrong, in one line."""
    return found.faults[0] if not found.datasets else f"{found.path}: {'; '.join(found.faults)}"


def check(path: str | Path, progress: Callable[[int, int], None] | None = None) -> Verified:
    """What there is and what is wrong, as `verify` tells it; InputError where the file is no run that is known here."""
    try:
        faults = [NO_SEAL] if state_of_seal(path) == seal.UNSEALED else []
        description = survey(path)
        file = None if "study" in description.attributes else opened(path)
    except DamageError as damage:
        return Verified(str(path), (str(damage),), None, 0, 0, 0, os.path.getsize(path), ())
    blocks_there = seeds = 0
    if file is not None:
        faults += [f"dataset {name} is not what its grid says" for name in _strange(path, file.plan)]
        with file.blocks() as blocks:
            faults += _faults(file.plan, blocks, *blocks.check(progress))
        blocks_there, seeds = file.plan.blocks, file.plan.seeds
    elif not _is_study(description.attributes):  # the seal of a study's run covers all of it
        faults.append("it says that it is the run of a study, and is none that is known here")
    return Verified(
        str(path),
        tuple(faults),
        None if file is not None else str(description.attributes["study"]),
        blocks_there,
        seeds,
        len(description.places),
        os.path.getsize(path),
        tuple(str(description.attributes.get(ACCEPTED, "")).splitlines()),
    )


def _is_study(attributes):
    """Whether a study's run says of itself what it measured: a paper's study, as its description has it."""
    try:
        config = read_recorded(attributes)
    except (InputError, KeyError, TypeError):
        return False
    return isinstance(config, StudyConfig) and config.paper == attributes["study"]


def _strange(path, plan):
    """The names of short datasets that are not what the grid says, whatever code has made the file."""
    wanted = {field.name: made for field, made in file_format.small_fields(plan)}
    plain = [name for name in wanted if name.startswith("schedule_")]
    with looked_into(path) as file:
        for name in ("level", "axis", "axis_2", "record", "recorded_seed", "block", *plain):
            if name in wanted and not _equal(file[name], wanted[name]()):
                yield name
        if not np.isin(file["engine"][()], file_format.ENGINES).all():
            yield "engine"


def _equal(dataset, wanted):
    """Whether a dataset has these values, NaN where they are."""
    if h5py.check_string_dtype(dataset.dtype):
        return np.array_equal(dataset.asstr()[()], wanted)
    return np.array_equal(dataset[()], wanted, equal_nan=wanted.dtype.kind == "f")


def _other(found):
    """What other code has computed, in words."""
    lines = found.accepted_other
    few = first_few([printable(line) for line in lines[:MOST_NAMED]], MOST_NAMED, len(lines))
    return f"; other code has computed {few}" if lines else ""


def _faults(plan, blocks, damaged, missing):
    """What is wrong, in words."""
    faults = [f"dataset {name} is damaged (--resume mends it)" for name in blocks.damaged_indices()]
    if damaged:
        few = [blocks.named(block) for block in damaged[:MOST_NAMED]]
        faults.append(f"damaged: {first_few(few, MOST_NAMED, len(damaged))} (--resume computes them again)")
    _, finished_at = blocks.seconds()
    if missing:
        faults.append(f"unfinished: {len(missing):,} of {plan.blocks:,} blocks are missing (--resume computes them)")
        faults += ["it is marked as finished all the same"] if finished_at else []
    elif not finished_at:
        faults.append("unfinished: no block is missing, but the end is not noted (--resume notes it)")
    elif not blocks.is_ended():
        faults.append("wall_seconds, finished_at or their checksum are damaged (--resume notes the end anew)")
    return faults
