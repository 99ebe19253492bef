"""Joining shards by copying: their blocks, one after the other, are the run's; each is checked on its way.

The joined file is made under another name by the run's own writer, and gets its own name when it is whole: whatever
happens, there is either no file or all of it.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import DamageError, InputError, RunError, show
from ..text import first_few
from . import create, file_format, lock, read, seal
from .compatibility import PROVENANCE, first_difference
from .run_file import Opened, as_cut, check_layout, plan_of, state_of_seal
from .target import check_target, sync_folder

MOST_NAMED = 20
UNDER_WAY = ".merging"
# Datasets that a shard has for its own seeds alone.
PER_SHARD = {"recorded_seed", "block", "block_start"}


def merge(
    paths: list[str],
    out: str | Path,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Join the shards in `paths`, in any order, into the run file `out`.

    `progress` is a function of (blocks copied, all blocks). Raises InputError where the shards are not those of one
    run, all of them and finished, or one is damaged; RunError where the file cannot be written. No file is left then.
    """
    check_target(Path(out), overwrite, advice="--overwrite replaces it")
    out = Path(os.path.realpath(out))
    if any(os.path.realpath(path) == str(out) for path in paths):
        raise InputError(f"--out {out}: is one of the shards")
    shards = _in_order([(path, _surveyed(path)) for path in paths])
    parts = _parts(shards)
    target = out.with_name(out.name + UNDER_WAY)
    whole = parts[0].plan.with_blocks(np.concatenate([part.survey.starts for part in parts]))
    writer = create.create(target, whole, _attributes(parts), overwrite=True, small=_small_datasets(parts[0], whole))
    try:
        _copy(parts, writer, whole.blocks, progress or (lambda done, total: None))
        _put_in_place(target, out, overwrite)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(target)
        if isinstance(error, RunError):
            # The writer's advice is for runs, which keep what they have.
            raise RunError(f"{str(error).partition('; ')[0]}; nothing is left of it") from None
        raise
    finally:
        writer.close()


# ---- which shards there are ----


def _surveyed(path):
    """What a shard says of itself; InputError where it is none."""
    if state_of_seal(path) != seal.WHOLE:
        raise DamageError(f"{path}: is no simlr run, or its metadata have no seal: another program changed it")
    survey = read.survey(path)
    if "shard" not in survey.attributes:
        raise InputError(f"{path}: is no shard, but a whole run")
    try:
        file_format.shard_of(survey.attributes["shard"])
    except (AttributeError, ValueError) as error:
        raise DamageError(f"{path}: attribute shard {error}") from None
    return survey


def _in_order(shards):
    """The shards from 0 to N - 1; InputError where they are not of one run, or not each there once."""
    path, first = shards[0]
    for other, survey in shards[1:]:
        _check_alike(other, survey.attributes, path, first.attributes)
    _, count = file_format.shard_of(first.attributes["shard"])
    there = {}
    for path, survey in shards:
        there.setdefault(file_format.shard_of(survey.attributes["shard"])[0], []).append((path, survey))
    doubled = [f"{i}/{count} ({', '.join(path for path, _ in there[i])})" for i in sorted(there) if len(there[i]) > 1]
    if doubled:
        raise InputError(f"shards doubled: {', '.join(doubled[:MOST_NAMED])}")
    if len(there) < count:
        raise InputError(f"shards missing: {first_few(_absent(there, count), MOST_NAMED, count - len(there))}")
    return [there[index][0] for index in range(count)]


def _absent(there, count):
    """The first few shards that are not there."""
    found, index = [], 0
    while len(found) < MOST_NAMED and index < count:
        found += [] if index in there else [f"{index}/{count}"]
        index += 1
    return found


def _check_alike(path, found, first_path, first):
    """InputError where two shards are not of one grid, one cut and one code."""
    if found.get("identity") != first.get("identity"):
        other = first_difference(found.get("identity"), first.get("identity"), ("there", f"in {first_path}"))
        raise InputError(f"{path}: is a shard of another grid ({other})")
    counts = [file_format.shard_of(attributes["shard"])[1] for attributes in (found, first)]
    if counts[0] != counts[1]:
        raise InputError(f"{path}: is shard {found['shard']}, and {first_path} is {first['shard']}: other cuts")
    for key in ("problem_sizes", *PROVENANCE):
        if found.get(key) != first.get(key):
            raise InputError(
                f"{path}: was written with {key.replace('_', ' ')} {show(found.get(key), 40)}, {first_path} with "
                f"{show(first.get(key), 40)}; merging would mix results that differ in their last bits"
            )


def _parts(shards):
    """The shards as `Opened`; InputError where one is unfinished, or they do not lie one after the other."""
    plan = plan_of(*shards[0])
    parts = [Opened(path, survey, as_cut(plan, survey)) for path, survey in shards]
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


def _attributes(parts):
    """The root attributes of the joined file: those of the shards, which agree in all that matters."""
    found = {key: value for key, value in parts[0].survey.attributes.items() if key != "shard"}
    return found | {"started_at": min(part.survey.attributes["started_at"] for part in parts)}


def _small_datasets(part, whole):
    """The short datasets of the joined file; those that a shard has whole are copied, for the last bits' sake."""
    source = read.FileSource(part.path)
    datasets = file_format.small_datasets(whole)
    return [(field, array if field.name in PER_SHARD else source.read(field.name)) for field, array in datasets]


def _copy(parts, writer, total, progress):
    """Every block of every shard, checked; then the end."""
    copied, seconds = 0, 0.0
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
                writer.write_block(copied, first, last, _with_absent(arrays))
                copied += 1
                progress(copied, total)
    writer.finish(seconds, complete=True)


def _with_absent(arrays):
    """The arrays of a block, and none of a trajectory where the shard records no seed."""
    return {name: np.empty(0) for name in file_format.TRAJECTORIES} | arrays


def _put_in_place(target, out, overwrite):
    """Give the joined file its name."""
    check_target(out, overwrite, advice="--overwrite replaces it")
    with lock.kept_alone(out) if out.exists() else contextlib.nullcontext():
        os.rename(target, out)
        sync_folder(out.parent)
