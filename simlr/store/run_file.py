"""A run file looked at as a whole: its plan, from its own description, and its blocks. Nothing is written."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..config.grid import GridConfig
from ..config.reading import read_recorded
from ..errors import DamageError, InputError
from ..inputs.files import reading, size_of
from ..plan.plan import Plan
from ..platform import HERE
from . import file_format, seal
from .blocks import Blocks
from .compatibility import misplaced
from .file_format import Field
from .metadata import Survey, survey


class Opened(NamedTuple):
    """One run file: where it is, what it says of itself, and the plan that follows from that."""

    path: str | Path
    survey: Survey
    plan: Plan

    @contextlib.contextmanager
    def blocks(self) -> Iterator[Blocks]:
        """Its `Blocks`, for the duration."""
        descriptor = HERE.open(self.path, os.O_RDONLY)
        try:
            yield Blocks(self.path, descriptor, self.plan, self.survey.places)
        finally:
            os.close(descriptor)


def state_of_seal(path: str | Path) -> str:
    """The state of a file's seal; InputError where it is no HDF5 file, DamageError where it cannot be a whole one."""
    size = size_of(path)
    with reading(path):
        state, signed = seal.state(path), seal.is_signed(path)
    if state == seal.NO_HDF5 and not signed:
        raise InputError(f"{path}: is no simlr run (no HDF5 file)")
    if state == seal.CUT_SHORT:
        raise DamageError(f"{path}: is cut short, at {size:,} bytes")
    if state == seal.BROKEN or (signed and state != seal.WHOLE):
        raise DamageError(f"{path}: is damaged: names, types, attributes or short datasets are not what was written")
    return state


def plan_of(path: str | Path, survey: Survey) -> Plan:
    """The plan of a file, from its own description; InputError where it has none, DamageError where it is damaged."""
    if "study" in survey.attributes:
        raise InputError(f"{path}: is the run of a study, which has no blocks")
    sizes: Any = survey.attributes.get("problem_sizes")  # in a damaged file it may be anything
    try:
        config = read_recorded(survey.attributes, survey.schedules)
        if not isinstance(config, GridConfig):
            raise ValueError("it is that of a study")
        plan = Plan.of_grid(config, file_format.sizes_of(sizes))
        if "shard" in survey.attributes and file_format.shard_of(survey.attributes["shard"])[1] > plan.all_seeds:
            raise ValueError(f"there are no {survey.attributes['shard']} of {plan.all_seeds:,} seeds")
        return as_cut(plan, survey)
    except Exception as error:  # whatever a damaged description brings about
        raise DamageError(f"{path}: its description of the grid is not understood: {error}") from None


def as_cut(plan: Plan, survey: Survey) -> Plan:
    """The plan of a file's own blocks and, where it is a shard, of its own seeds."""
    if "shard" in survey.attributes:
        return plan.with_part(survey.starts, survey.seeds)
    return plan.with_blocks(survey.starts)


def check_layout(path: str | Path, survey: Survey, plan: Plan, fields: Sequence[Field]) -> None:
    """Refuse a file of which a dataset is not where, or not what, its plan wants.

    Parameters
    ----------
    path : str or Path
        The file.
    survey : Survey
        What it says of itself.
    plan : Plan
        The plan of its own grid and blocks.
    fields : sequence of Field
        The datasets that are looked at.

    Raises
    ------
    DamageError
        Naming the dataset.
    """
    wrong = misplaced(plan, fields, survey.starts, survey.places, os.path.getsize(path))
    if wrong:
        raise DamageError(f"{path}: is damaged: dataset {wrong} is not what its grid wants")


def opened(path: str | Path) -> Opened:
    """The `Opened` of a run file, its layout checked; InputError where it is none, DamageError where it is damaged."""
    found = survey(path)
    plan = plan_of(path, found)
    check_layout(path, found, plan, file_format.all_fields(plan))
    return Opened(path, found, plan)
