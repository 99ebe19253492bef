"""Whether a run file is of this grid, of this code and of this layout: compared by what it says of itself. No HDF5."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, show
from ..plan.plan import Plan
from . import file_format
from .blocks import Place
from .file_format import Field

# What must agree for the bits of two files to go together, besides the grid.
PROVENANCE = ("problem_identity", "kernel_digest", "numba_version", "numpy_version", "processor", "processor_features")


def check_same(path: str | Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse to go on with a file of another grid, another part of it, other data or other code, by name."""
    if found.get("identity") != wanted["identity"]:
        other = first_difference(found.get("identity"), wanted["identity"])
        raise InputError(f"{path}: holds another grid ({other}); --resume needs the same one, --overwrite replaces it")
    there, here = (attributes.get("shard") for attributes in (found, wanted))
    if there != here:
        there, here = (f"shard {show(part, 40)}" if part else "the whole grid" for part in (there, here))
        raise InputError(f"{path}: holds {there}, and wanted is {here}; --overwrite replaces it")
    for key in PROVENANCE:
        if found.get(key) != wanted[key]:
            label = key.replace("_", " ")
            raise InputError(
                f"{path}: was written with {label} {show(found.get(key), 40)}, here is {show(wanted[key], 40)}; "
                "going on would mix results that differ in their last bits"
            )


def first_difference(found: str | None, wanted: str | None, places: tuple[str, str] = ("there", "here")) -> str:
    """The first key in which two grids differ, with what it is in both."""
    if found is None or wanted is None:
        return "its description is damaged"
    try:
        theirs, ours = (dict(_flat("", tomllib.loads(text))) for text in (found, wanted))
    except (AttributeError, TypeError, ValueError):
        return "its description is damaged"
    missing = "nothing"
    for key in {**ours, **theirs}:
        there, here = theirs.get(key, missing), ours.get(key, missing)
        if there != here:
            return f"{key} is {show(there, 40)} {places[0]}, {show(here, 40)} {places[1]}"
    return "its description is damaged"


def _flat(prefix, value):
    """The values of nested tables by dotted key."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        pairs = enumerate(value)
    else:
        yield prefix, value
        return
    for key, inner in pairs:
        yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)


def misplaced(plan: Plan, fields: Sequence[Field], starts: NDArray, places: dict[str, Place], size: int) -> str | None:
    """The first of some datasets that is not where, or not what, its grid wants; None where all are.

    `size` is that of the file in bytes, `starts` are the grid's numbers of its blocks' first seeds.
    """
    ends = [*np.asarray(starts).ravel().tolist(), plan.first + plan.seeds]
    in_order = np.ndim(starts) == 1 and len(ends) > 1 and ends[0] == plan.first and (np.diff(ends) > 0).all()
    if not in_order or not 0 <= plan.first < ends[-1] <= plan.all_seeds:
        return "block_start"
    sizes = file_format.dimensions(plan)
    for field in fields:
        place, shape = places.get(field.name), tuple(sizes[name] for name in field.dims)
        dtype = np.dtype(object if field.dtype == "str" else field.dtype)
        if place is None or (place.shape, place.dtype) != (shape, dtype):
            return field.name
    return _overlapping({field.name: places[field.name] for field in fields if field.dtype != "str"}, size)


def _overlapping(places, size):
    """The first dataset, by place, that lies in another one or beyond the end of the file."""
    end = 0
    for name, place in sorted(places.items(), key=lambda item: item[1].start):
        if place.start < end or place.start + place.bytes > size:
            return name
        end = place.start + place.bytes
    return None
