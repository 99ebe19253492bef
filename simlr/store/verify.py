"""Looking a run file over: layout, metadata, coordinates and every block, without a word of trust in any of them.

The seal is looked at first, then the file is opened; so HDF5 never sees damaged metadata. A file without a seal the
store has another process look at beforehand.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import DamageError, RunError
from ..text import first_few
from . import seal
from .read import survey
from .run_file import opened, state_of_seal

MOST_NAMED = 5
NO_SEAL = "its metadata have no seal: it was cut off, or another program changed the file"


def verify(path: str | Path, progress: Callable[[int, int], None] | None = None) -> str:
    """One line that says what was checked of a sound and finished run.

    `progress` is a function of (blocks checked, all blocks). Raises InputError where the file is no run of a format
    that is known here, RunError where it is damaged or unfinished, naming what is wrong.
    """
    try:
        findings = [NO_SEAL] if state_of_seal(path) == seal.UNSEALED else []
        found = survey(path)
        if "study" in found.attributes:
            return _study(path, found, findings)
        file = opened(path)
    except DamageError as damage:
        raise RunError(str(damage)) from None
    with file.blocks() as blocks:
        damaged, missing = _look_at_blocks(blocks, progress)
        findings += _findings(file, blocks, damaged, missing)
    if findings:
        raise RunError(f"{path}: {'; '.join(findings)}")
    plan, size = file.plan, os.path.getsize(path)
    return (
        f"{path}: sound: {plan.blocks:,} blocks ({plan.seeds:,} seeds) have their CRC-32, the metadata their seal, "
        f"{len(file.survey.places):,} datasets their shape, type and place; {size:,} bytes"
    )


def _study(path, found, findings):
    """The line for a study's run, whose seal covers all of it."""
    if findings:
        raise RunError(f"{path}: {'; '.join(findings)}")
    return (
        f"{path}: sound: the run of study {found.attributes['study']!r} has its seal over all {len(found.places):,} "
        f"datasets; {os.path.getsize(path):,} bytes"
    )


def _look_at_blocks(blocks, progress):
    """The damaged blocks, and those that are not done."""
    damaged, missing, done = [], [], blocks.done()
    for block, mark in enumerate(done.tolist()):
        if mark == 0:
            missing.append(block)
        elif mark != 1 or not blocks.fits(block):
            damaged.append(block)
        if progress:
            progress(block + 1, len(done))
    return damaged, missing


def _findings(file, blocks, damaged, missing):
    """What is wrong, in words."""
    found = [f"dataset {name} is damaged (--resume mends it)" for name in blocks.damaged_indices()]
    if damaged:
        found.append(f"damaged: {_named(file.plan, blocks, damaged)} (--resume computes them again)")
    _, finished_at = blocks.seconds()
    if missing:
        found.append(
            f"unfinished: {len(missing):,} of {file.plan.blocks:,} blocks are missing (--resume computes them)"
        )
        found += ["it is marked as finished all the same"] if finished_at else []
    elif not finished_at:
        found.append("unfinished: no block is missing, but the end is not noted (--resume notes it)")
    elif not blocks.is_ended():
        found.append("wall_seconds, finished_at or their checksum are damaged (--resume notes the end anew)")
    return found


def _named(plan, blocks, numbers):
    """Blocks with their seeds, the first few of them."""
    named = []
    for block in numbers[:MOST_NAMED]:
        first, last = (seed + plan.first for seed in blocks.ends(block))
        named.append(f"block {block} (seeds {first} to {last - 1})")
    return first_few(named, MOST_NAMED, len(numbers))
