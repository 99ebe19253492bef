"""Whether a run file is of this grid, of this code and of this layout: compared by what it says of itself. No HDF5."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.grid import GridConfig
from ..config.stop import VALIDATION
from ..errors import InputError, show
from ..inputs.files import names_file
from ..plan.plan import Plan
from ..plugins.kinds import told
from ..plugins.recorded import ATTRIBUTE
from ..text import first_few
from . import file_format
from .blocks import Place
from .file_format import Field

# What must agree for the bits of two files to go together, besides the grid: what is computed, and by what. Only the
# second may differ where that is accepted.
PROBLEM = "problem_identity"
PLUGINS = ATTRIBUTE
CODE = (
    *("kernel_digest", "code_digest", "numba_version", "numpy_version", "blas"),
    *("processor", "processor_features"),
)
PROVENANCE = (PROBLEM, PLUGINS, *CODE)
# The attribute that says what else than the file's own code has computed parts of it: a line each.
ACCEPTED = "accepted_other"
MOST_PLUGINS = MOST_FILES = 5
ACCEPT = "--accept-other takes them together all the same, and says so in the file"

# The tables of a description that do not tell one grid from another.
NOT_IDENTITY = ("name", "question", "run")
# Those that are lists, of which one grid may have more than another that has the same cells.
LISTS = ("schedule", "optimizer", "noise")
# The attribute that says of which files a run was joined: a line each.
JOINED = "joined"


def tables_without_axes(config: GridConfig) -> dict[str, Any]:
    """The tables of a grid without its lists and its levels, which two grids may have more or less of."""
    tables = config.tables()
    for key in (*NOT_IDENTITY, *LISTS):
        tables.pop(key, None)
    stop = tables["stop"]
    if VALIDATION in stop:
        stop[VALIDATION] = {key: value for key, value in stop[VALIDATION].items() if key != "patience"}
    else:
        stop[config.level_kind] = "levels"
    return tables


def check_same(
    path: str | Path, recorded: dict[str, Any], wanted: dict[str, Any], accept_other: bool = False
) -> str | None:
    """Refuse to go on with a file of another grid, another part of it, other data or other code, by name.

    Parameters
    ----------
    path : str or Path
        The file.
    recorded : dict
        Its root attributes, whatever they are.
    wanted : dict
        Those of the run that is to go on with it.
    accept_other : bool
        Whether other code is accepted.

    Returns
    -------
    str or None
        What of the code is another one, with what it is in the file; None where all is the same.

    Raises
    ------
    InputError
        Where they differ in what must agree.
    """
    if recorded.get("identity") != wanted["identity"]:
        other = first_difference(recorded.get("identity"), wanted["identity"])
        raise InputError(f"{path}: holds another grid ({other}); --resume needs the same one, --overwrite replaces it")
    if not _describes(recorded.get("config"), wanted["identity"]):
        raise InputError(
            f"{path}: its description of the grid was changed and no longer is that of what was computed; --overwrite "
            "starts anew"
        )
    there, here = (attributes.get("shard") for attributes in (recorded, wanted))
    if there != here:
        there, here = (f"shard {show(part, 40)}" if part else "the whole grid" for part in (there, here))
        raise InputError(f"{path}: holds {there}, and wanted is {here}; --overwrite replaces it")
    if recorded.get(PROBLEM) != wanted[PROBLEM]:
        what = "the paper's code is not what it was" if "study" in wanted else _data_changed(wanted)
        raise InputError(
            f"{path}: was written with problem identity {show(recorded.get(PROBLEM), 40)}, here is "
            f"{show(wanted[PROBLEM], 40)}: {what}; --overwrite starts anew"
        )
    if recorded.get(PLUGINS, "") != wanted.get(PLUGINS, ""):
        there, here = (plugins_told(attributes) for attributes in (recorded, wanted))
        raise InputError(
            f"{path}: was written with {there}, here is {here}: its code is not what it was; --overwrite starts anew"
        )
    differing = other_code(recorded, wanted)
    if differing and not accept_other:
        key = differing[0]
        raise InputError(
            f"{path}: was written with {key.replace('_', ' ')} {show(recorded.get(key), 40)}, here is "
            f"{show(wanted[key], 40)}; going on would mix results that differ in their last bits; {ACCEPT}"
        )
    return named(differing, recorded) if differing else None


def _data_changed(wanted):
    """That a data file is not what it was, by the names of those that the grid has."""
    problem = tomllib.loads(wanted["config"])["problem"].items()
    names = [(key, name) for key, value in problem for name in (value if isinstance(value, list) else [value])]
    files = [show(name, 60) for key, name in names if names_file(key, name)]
    named = f" ({first_few(files[:MOST_FILES], MOST_FILES, len(files))})" if files else ""
    return f"the data that the grid names{named} are not what they were"


def plugins_told(attributes: dict[str, Any]) -> str:
    """The plug-ins of a run, on one line."""
    lines = told(str(attributes.get(PLUGINS, "")))
    return f"plug-in {first_few(lines[:MOST_PLUGINS], MOST_PLUGINS, len(lines))}" if lines else "no plug-in"


def other_code(attributes: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """The attributes in CODE that differ, by name."""
    return [key for key in CODE if attributes.get(key) != wanted.get(key)]


def named(keys: Sequence[str], attributes: dict[str, Any]) -> str:
    """Attributes with their values, on one line."""
    return ", ".join(f"{key.replace('_', ' ')} {show(attributes.get(key), 40)}" for key in keys)


def check_alike(
    path: str | Path,
    attributes: dict[str, Any],
    first_path: str | Path,
    first: dict[str, Any],
    accept_other: bool = False,
) -> None:
    """Refuse to join a shard to another one that is not of the same grid, cut and code.

    Parameters
    ----------
    path, first_path : str or Path
        The two shards.
    attributes, first : dict
        Their root attributes, of which `shard` is known to be one.
    accept_other : bool
        Whether other code is accepted.

    Raises
    ------
    InputError
        Where they differ in what must agree.
    """
    if attributes.get("identity") != first.get("identity"):
        other = first_difference(attributes.get("identity"), first.get("identity"), ("there", f"in {first_path}"))
        raise InputError(f"{path}: is a shard of another grid ({other})")
    counts = [file_format.shard_of(each["shard"])[1] for each in (attributes, first)]
    if counts[0] != counts[1]:
        raise InputError(f"{path}: is shard {attributes['shard']}, and {first_path} is {first['shard']}: other cuts")
    for key in ("problem_sizes", PROBLEM):
        if attributes.get(key) != first.get(key):
            raise InputError(
                f"{path}: was written with {key.replace('_', ' ')} {show(attributes.get(key), 40)}, {first_path} with "
                f"{show(first.get(key), 40)}: they are not of the same data"
            )
    if attributes.get(PLUGINS, "") != first.get(PLUGINS, ""):
        there, here = (plugins_told(each) for each in (attributes, first))
        raise InputError(f"{path}: was written with {there}, {first_path} with {here}: they are not of the same code")
    for key in other_code(attributes, first) if not accept_other else ():
        raise InputError(
            f"{path}: was written with {key.replace('_', ' ')} {show(attributes.get(key), 40)}, {first_path} with "
            f"{show(first.get(key), 40)}; merging would mix results that differ in their last bits; {ACCEPT}"
        )


def _describes(description, identity):
    """Whether a file's description is of the grid of this identity: equal, but for what an identity leaves out."""
    try:
        described, identified = (dict(_flat("", tomllib.loads(text))) for text in (description, identity))
    except (AttributeError, TypeError, ValueError, RecursionError):
        return False
    others = {key for key in described.keys() - identified.keys() if key.partition(".")[0] not in NOT_IDENTITY}
    same = all(described.get(key) == value for key, value in identified.items() if key != "name")
    return same and (not others or (others == {"record.stop_residual"} and not described["record.stop_residual"]))


def first_difference(recorded: str | None, wanted: str | None, places: tuple[str, str] = ("there", "here")) -> str:
    """The first key in which two grids differ, with what it is in both.

    Parameters
    ----------
    recorded, wanted : str or None
        The grids, as the attribute `identity` has them: TOML.
    places : (str, str)
        What to call where they are.
    """
    if recorded is None or wanted is None:
        return "its description is damaged"
    try:
        theirs, ours = (dict(_flat("", tomllib.loads(text))) for text in (recorded, wanted))
    except (AttributeError, TypeError, ValueError, RecursionError):
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
    """The first of some datasets that is not where, or not what, its grid wants.

    Parameters
    ----------
    plan : Plan
        The plan of the file's own grid, or part of it.
    fields : sequence of Field
        The datasets that are looked at.
    starts : (B,) int64
        The first seeds of its blocks, counted through the grid, as the file has them.
    places : dict of str to Place
        Where its datasets lie, by name.
    size : int
        Bytes of the file.

    Returns
    -------
    str or None
        The name of a dataset; None where all are right.
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
    # By place: none may lie in another one, or beyond the end of the file.
    end = 0
    numeric = {field.name: places[field.name] for field in fields if field.dtype != "str"}
    for name, place in sorted(numeric.items(), key=lambda item: item[1].start):
        if place.start < end or place.start + place.bytes > size:
            return name
        end = place.start + place.bytes
    return None
