"""Joining shards by copying: their blocks, one after the other, are the run's; each is checked on its way.

The joined file is made under another name by the run's own writer, and gets its own name when it is whole: whatever
happens, there is either no file or all of it.
"""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import DamageError, InputError, RunError
from ..text import first_few
from . import create, file_format, seal
from .compatibility import ACCEPTED, check_alike, named, other_code
from .metadata import survey
from .read import FileSource
from .run_file import Opened, as_cut, check_layout, plan_of, state_of_seal
from .target import check_target

MOST_NAMED = 20
# Datasets that a shard has for its own seeds alone.
PER_SHARD = {"recorded_seed", "block", "block_start"}


def merge(
    paths: list[str],
    out: str | Path,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    accept_other: bool = False,
) -> None:
    """Join shards into the run file that the whole grid would have been.

    Parameters
    ----------
    paths : list of str
        The shards, in any order.
    out : str or Path
        The run file; of a link, what it leads to.
    overwrite : bool
        Whether a file that is there may be replaced.
    progress : callable, optional
        Called with (blocks copied, all blocks).
    accept_other : bool
        Whether shards that other code has computed are joined, too; the file then says which.

    Raises
    ------
    InputError
        Where the shards are not those of one run, all of them and finished, or one is damaged. No file is left then.
    RunError
        Where the file cannot be written. No file is left then.
    """
    check_target(Path(out), overwrite, advice="--overwrite replaces it")
    out = Path(os.path.realpath(out))
    if any(os.path.realpath(path) == str(out) for path in paths):
        raise InputError(f"--out {out}: is one of the shards")
    parts = _parts(_in_order([(path, _surveyed(path)) for path in paths], accept_other))
    made = _begin(out, parts, overwrite)
    try:
        _copy(parts, made.writer, progress or (lambda done, total: None))
        made.put_in_place(overwrite, advice="--overwrite replaces it")
    except BaseException as error:
        made.remove()
        if isinstance(error, RunError):
            # The writer's advice is for runs, which keep what they have.
            raise RunError(f"{str(error).partition('; ')[0]}; nothing is left of it") from None
        raise
    made.writer.close()


# ---- which shards there are ----


def _surveyed(path):
    """What a shard says of itself; InputError where it is none."""
    if state_of_seal(path) != seal.WHOLE:
        raise DamageError(f"{path}: is no simlr run, or its metadata have no seal: another program changed it")
    found = survey(path)
    if "shard" not in found.attributes:
        raise InputError(f"{path}: is no shard, but a whole run")
    try:
        file_format.shard_of(found.attributes["shard"])
    except (AttributeError, ValueError) as error:
        raise DamageError(f"{path}: attribute shard {error}") from None
    return found


def _in_order(shards, accept_other):
    """The shards from 0 to N - 1; InputError where they are not of one run, or not each there once."""
    path, first = shards[0]
    for other, found in shards[1:]:
        check_alike(other, found.attributes, path, first.attributes, accept_other)
    _, count = file_format.shard_of(first.attributes["shard"])
    there = {}
    for path, found in shards:
        there.setdefault(file_format.shard_of(found.attributes["shard"])[0], []).append((path, found))
    doubled = [f"{i}/{count} ({', '.join(path for path, _ in there[i])})" for i in sorted(there) if len(there[i]) > 1]
    if doubled:
        raise InputError(f"shards doubled: {', '.join(doubled[:MOST_NAMED])}")
    if len(there) < count:
        missing = (f"{index}/{count}" for index in range(count) if index not in there)  # there may be 10^9 of them
        few = list(itertools.islice(missing, MOST_NAMED))
        raise InputError(f"shards missing: {first_few(few, MOST_NAMED, count - len(there))}")
    return [there[index][0] for index in range(count)]


def _parts(shards):
    """The shards as `Opened`; InputError where one is unfinished, or they do not lie one after the other."""
    plan = plan_of(*shards[0])
    parts = [Opened(path, found, as_cut(plan, found)) for path, found in shards]
    unfinished, end = [], 0
    for part in parts:
        name = f"{part.survey.attributes['shard']} ({part.path})"
        first = part is parts[0]
        check_layout(
            part.path,
            part.survey,
            part.plan,
            (file_format.all_fields if first else file_format.later_fields)(part.plan),
        )
        if part.plan.first != end:
            raise InputError(
                f"shard {name} begins with seed {part.plan.first}, not {end}: other blocks than its neighbour"
            )
        end += part.plan.seeds
        with part.blocks() as blocks:
            missing = int((blocks.done() != 1).sum())
        unfinished += [f"{name}: {missing:,} of {part.plan.blocks:,} blocks are missing"] if missing else []
    if unfinished:
        raise InputError(f"shards unfinished: {first_few(unfinished, MOST_NAMED)}; --resume goes on with them")
    if end != plan.all_seeds:
        raise InputError(f"the shards end with seed {end - 1}, the grid with {plan.all_seeds - 1}: other blocks")
    return parts


# ---- copying ----


def _begin(out, parts, overwrite):
    """The joined file `create.Made`, which has all but its blocks."""
    first, starts = parts[0], np.concatenate([part.survey.starts for part in parts])
    plan = first.plan.with_blocks(starts)
    # The shards agree in all attributes that matter.
    attributes = {key: value for key, value in first.survey.attributes.items() if key != "shard"}
    attributes["started_at"] = min(part.survey.attributes["started_at"] for part in parts)
    attributes |= _accepted(parts)
    # Short datasets that a shard has whole are copied, for the last bits' sake.
    source = FileSource(first.path)
    small = [
        (field, made() if field.name in PER_SHARD else source.read(field.name))
        for field, made in file_format.small_fields(plan)
    ]
    return create.begin(out, plan, attributes, overwrite, small)


def _accepted(parts):
    """What other code than the first shard's has computed of the joined file, as attributes."""
    lines = []
    for part in parts:
        found, last = part.survey.attributes, part.plan.first + part.plan.seeds - 1
        lines += str(found.get(ACCEPTED, "")).splitlines()
        other = other_code(found, parts[0].survey.attributes)
        lines += [f"seeds {part.plan.first} to {last}: {named(other, found)}"] if other else []
    return {ACCEPTED: "\n".join(lines)} if lines else {}


def _copy(parts, writer, progress):
    """Every block of every shard, checked; then the end."""
    copied, seconds, total = 0, 0.0, sum(part.plan.blocks for part in parts)
    no_trajectories = {name: np.empty(0) for name in file_format.TRAJECTORIES}  # of a shard that records no seed
    for part in parts:
        with part.blocks() as blocks:
            seconds += blocks.seconds()[0]
            for block in range(part.plan.blocks):
                first, last = (seed + part.plan.first for seed in blocks.ends(block))
                arrays = blocks.read(block)
                if arrays is None:
                    raise DamageError(
                        f"{part.path}: shard {part.survey.attributes['shard']} is damaged: block {block} "
                        f"(seeds {first} to {last - 1}); --resume computes it again"
                    )
                writer.write_block(copied, first, last, no_trajectories | arrays)
                copied += 1
                progress(copied, total)
    writer.finish(seconds, complete=True)
