"""Several run files as one run, for a report: what sets them apart is an axis of it.

The grids of the files are joined to the grid that has all of their seeds' problems, levels, schedules, optimisers and
noises. Every cell of that grid has to be in one of the files; all else has to be the same in all of them.
"""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import resources
from ..config.axes import expand
from ..config.grid import GridConfig
from ..errors import InputError, show
from ..inputs import toml
from ..inputs.parameters import REQUIRED
from ..plan.definitions import NONE, matched
from ..plan.plan import Plan
from ..problems import registry
from ..schedules.schedule import PHASES
from ..store import file_format
from ..store.compatibility import JOINED, LISTS, PROBLEM, first_difference, tables_without_axes
from ..store.create import bytes_needed
from ..store.read import load
from ..store.run import Run
from ..store.run_file import Opened, opened, state_of_seal
from ..text import first_few

MOST_NAMED = 5
LAST = "seeds of one number and root, one rule of stopping and its max_steps, and one [record] are wanted of all"


class _File(NamedTuple):
    """One of the files, and where its seeds and schedules are in the joined run."""

    path: str
    run: Run
    plan: Plan


def joined(paths: Sequence[str]) -> Run:
    """The run of several files.

    Parameters
    ----------
    paths : sequence of str
        Run files of grids that differ in lists of problem parameters, in levels, schedules, optimisers or noises; or
        the shards of one grid.

    Returns
    -------
    Run
        In memory. Where two files have the same cell, it is that of the first. Its attribute `joined` has a line a
        file.

    Raises
    ------
    InputError
        By key, where the grids differ in something else; and where a cell of the joined grid is in none of the files.
    """
    files = [_opened(path) for path in paths]
    config = joined_config([(file.path, file.plan.config) for file in files])
    plan = Plan.of_grid(config, _sizes(config, files))
    plan = plan.with_blocks(np.arange(plan.seeds))  # so that what is missing of a file is missing seed by seed
    _check_data(files)
    resources.check_memory(2 * bytes_needed(plan), "the joined run takes", "; report on the files one by one")
    source = _Source(plan, _attributes(config, files))
    covered = np.zeros((len(plan.schedules), plan.seeds, plan.levels), bool)
    known, done = np.zeros(plan.seeds, bool), np.ones(plan.seeds, bool)
    for file in files:
        _put(source, plan, file, covered, known, done)
    _check_covered(plan, files, covered)
    source.arrays["block_done"][...] = done
    ended = [float(file.run.finished_at) for file in files]
    source.arrays["finished_at"][...] = max(ended) if min(ended) else 0.0
    source.arrays["wall_seconds"][...] = sum(float(file.run.wall_seconds) for file in files)
    return Run(source)


def _opened(path):
    """One of the files; InputError where it is no run of a grid."""
    state_of_seal(path)
    found: Opened = opened(path)
    return _File(str(path), load(path), found.plan)


class _Source:
    """What `Run` reads of: arrays, all of them in memory."""

    def __init__(self, plan: Plan, attributes: dict[str, Any]):
        self.attributes, sizes = attributes, file_format.dimensions(plan)
        self.arrays: dict[str, NDArray] = {}
        self.dims: dict[str, tuple[str, ...]] = {}
        for field, array in file_format.small_datasets(plan):
            self.arrays[field.name], self.dims[field.name] = array, field.dims
        for field, along in file_format.index_fields(plan):
            self.arrays[field.name], self.dims[field.name] = along(0, plan.seeds), field.dims
        for field in (*file_format.block_fields(plan), *file_format.ledger_fields()):
            shape, is_float = tuple(sizes[name] for name in field.dims), np.dtype(field.dtype).kind == "f"
            self.arrays[field.name] = np.full(shape, np.nan if is_float else 0, field.dtype)
            self.dims[field.name] = field.dims

    def read(self, name: str, where: tuple[int | slice, ...] = ()) -> NDArray | np.generic:
        """One dataset, or a part of it."""
        return self.arrays[name][where] if where else self.arrays[name]

    def check(self, blocks: NDArray[np.int64]) -> bool:
        """True: the files were checked as they were read."""
        return True


# ---- the joined grid ----


def joined_config(grids: Sequence[tuple[str, GridConfig]]) -> GridConfig:
    """The grid that has all that some grids have.

    Parameters
    ----------
    grids : sequence of (str, GridConfig)
        Each with the name of its file.

    Raises
    ------
    InputError
        By key, where they differ in what is no axis.
    """
    path, first = grids[0]
    for other, config in grids[1:]:
        wanted, found = (toml.write(_fixed(one)) for one in (first, config))
        if wanted != found:
            rules = [_rule(one) for one in (first, config)]
            told = f"the rule of [stop] is {rules[0]} in {path}, {rules[1]} in {other}"
            if rules[0] == rules[1]:
                told = first_difference(wanted, found, (f"in {path}", f"in {other}"))
            raise InputError(f"{path} and {other} cannot be joined: {told}; {LAST}")
    tables = first.tables()
    tables["problem"] = _joined_table([_complete(config.problem) for _, config in grids])
    rule = _rule(first)
    levels = list(dict.fromkeys(level for _, config in grids for level in config.levels))
    tables["stop"][rule] = levels if rule != "validation" else {**first.stop[rule], "patience": levels}
    for key in LISTS:
        tables[key] = _joined_list(key, [(name, getattr(config, key)) for name, config in grids])
    return GridConfig.from_tables(tables, first.folder)


def _rule(config):
    """The key of [stop] that has the levels, or the rule for them."""
    return config.level_kind if config.level_kind in config.stop else "validation"


def _fixed(config):
    """The tables of a grid without what may be an axis."""
    return {**tables_without_axes(config), "problem": {"kind": config.problem["kind"]}}


def _complete(problem):
    """A problem's table with the keys that a checked one need not have, at their defaults."""
    parameters = registry.find("problem.kind", problem["kind"]).parameters
    return {**{one.name: one.default for one in parameters if one.default is not REQUIRED}, **problem}


def _joined_table(tables):
    """One table of several: what differs in value, or is a list, becomes a list of all values."""
    found = {}
    for key in tables[0]:
        several = [value for table in tables for value in _values(table[key])]
        values = list(dict.fromkeys(several))
        found[key] = values if len(values) > 1 or isinstance(tables[0][key], list) else values[0]
    return found


def _values(value):
    """The values of a key, one of which may be a vector, kept as a tuple."""
    return value if isinstance(value, list) else [value]


def _joined_list(key, lists):
    """The tables of all lists, each once; those of two files that are alike but for one value become one table."""
    if key != "schedule":
        singles = [single for _, tables in lists for single in expand(tables)]
        different = [one for i, one in enumerate(singles) if one not in singles[:i]]
        return _listed(different) or different
    named: dict[str, list] = {}
    for path, tables in lists:
        for table in tables:
            same = named.setdefault(table["name"], [])
            if all(table != other for _, other in same):
                same.append((path, table))
    found = []
    for name, same in named.items():
        one = (
            None
            if any(PHASES in table or "zip" in table or "found" in table for _, table in same)
            else _listed([table for _, table in same])
        )
        if len(same) == 1:
            found.append(same[0][1])
        elif one:
            found += one
        else:
            found += [{**table, "name": f"{name} of {Path(path).stem}"} for path, table in same]
    return found


def _listed(tables):
    """Tables that differ in one key alone, whose values are numbers, as one with a list, in a list; else None."""
    if len({tuple(table) for table in tables}) > 1:
        return None
    differing = [key for key in tables[0] if any(table[key] != tables[0][key] for table in tables)]
    if len(differing) != 1 or differing[0] in ("kind", "name", "unit", "average"):
        return None
    values = list(dict.fromkeys(value for table in tables for value in _values(table[differing[0]])))
    return [{**tables[0], differing[0]: values}]


# ---- its seeds and cells ----


def _combinations(config, plan):
    """What each combination of a grid's problem parameters is, as text that can be looked up."""
    return [repr(sorted(_complete({**one, "kind": config.problem["kind"]}).items())) for one in plan]


def _sizes(config, files):
    """(d, draws) of every combination of the joined grid; InputError where no file has one, or two differ."""
    known: dict[str, tuple[tuple[int, int], str]] = {}
    for file in files:
        names = _combinations(file.plan.config, file.plan.config.problem_combinations()[1])
        for name, size in zip(names, file.plan.sizes, strict=True):
            if known.setdefault(name, (size, file.path))[0] != size:
                raise InputError(f"{known[name][1]} and {file.path} cannot be joined: axes and draws are not the same")
    axes, wanted = config.problem_combinations()
    lacking = [one for one, name in zip(wanted, _combinations(config, wanted), strict=True) if name not in known]
    if lacking:
        told = ", ".join(f"problem.{key} = {show(lacking[0][key], 40)}" for key in axes)
        raise InputError(f"{_named(files)} cannot be joined: none of them has {told}")
    return tuple(known[name][0] for name in _combinations(config, wanted))


def _named(files):
    """The files by name, not all of very many."""
    return first_few([file.path for file in files[:MOST_NAMED]], MOST_NAMED, len(files))


def _check_data(files):
    """Refuse files of the same problem whose data are not the same."""
    for first, file in combinations(files, 2):
        digests = [each.run.attributes.get(PROBLEM) for each in (first, file)]
        if first.plan.config.problem == file.plan.config.problem and digests[0] != digests[1]:
            told = " and ".join(show(digest, 40) for digest in digests)
            raise InputError(f"{first.path} and {file.path} cannot be joined: their data have digests {told}")


def _attributes(config, files):
    """The attributes of the joined run: those of the first file, its grid, and a line a file."""
    found = {key: value for key, value in files[0].run.attributes.items() if key != "shard"}
    lines = [
        f"{file.path}: kernels {file.run.attributes.get('kernel_digest', 'unknown')}"
        f"{'' if file.run.complete else ', unfinished'}"
        for file in files
    ]
    return {**found, "config": config.to_toml(), "identity": config.identity(), JOINED: "\n".join(lines)}


def _put(source, plan, file, covered, known, done):
    """Put what a file has into the joined arrays, where no other file has been before it."""
    schedules, _ = matched(plan, file.plan)
    here = np.flatnonzero(schedules != NONE)
    seeds, there = _seeds(plan, file.plan)
    levels = [
        file.plan.config.levels.index(level) if level in file.plan.config.levels else NONE
        for level in plan.config.levels
    ]
    level_here = np.flatnonzero(np.array(levels) != NONE)
    level_there = np.array(levels)[level_here]
    done[seeds] &= (file.run.status[schedules[here][:1]][0, there] > 0).all(axis=1)
    new_seeds = ~known[seeds]
    rows = _rows(plan, file.plan, seeds, there)
    new = ~covered[np.ix_(here, seeds, level_here)]
    for field in file_format.block_fields(plan):
        if field.name not in file.run.names:
            if "average_" not in field.name and not (field.name in file_format.TRAJECTORIES and not file.plan.points):
                raise InputError(f"{file.path} cannot be joined: it lacks {field.name}, which the others have")
            continue
        values, target = file.run[field.name], source.arrays[field.name]
        if field.dims[0] == "seed":
            target[seeds[new_seeds]] = values[there[new_seeds]]
        elif "level" in field.dims:
            taken, place = values[np.ix_(schedules[here], there, level_there)], np.ix_(here, seeds, level_here)
            wide = new.reshape(new.shape + (1,) * (taken.ndim - 3))
            target[place] = np.where(wide, taken, target[place])
        else:
            along, other = rows if field.dims[1] == "recorded_seed" else (seeds, there)
            target[np.ix_(here, along)] = values[np.ix_(schedules[here], other)]
    source.arrays["engine"][here] = file.run["engine"][schedules[here]]
    covered[np.ix_(here, seeds, level_here)] = True
    known[seeds] = True


def _seeds(plan, other):
    """Which seeds of the joined run a file has, and where they are in the file."""
    ours = _combinations(plan.config, plan.config.problem_combinations()[1])
    places = {name: plan.offsets[i] for i, name in enumerate(ours)}
    names = _combinations(other.config, other.config.problem_combinations()[1])
    found = []
    for index, begin, first, last in other.pieces(0, other.seeds):
        draws = np.arange(last - first)
        found.append((places[names[index]] + first + draws, begin + draws))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _rows(plan, other, seeds, there):
    """The rows of recorded seeds in the joined run, and in the file."""
    if not plan.points:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    recorded_here, recorded_there = (one.recorded_rows(0, one.seeds)[1] for one in (plan, other))
    of_seed = dict(zip(there.tolist(), seeds.tolist(), strict=True))
    wanted = np.array([of_seed[seed] for seed in recorded_there.tolist()], np.int64)
    return np.searchsorted(recorded_here, wanted), np.arange(recorded_there.size)


def _check_covered(plan, files, covered):
    """Refuse files that do not have every cell of the joined grid between them, by the first that none has."""
    lacking = np.argwhere(~covered)
    if not lacking.size:
        return
    s, n, e = lacking[0].tolist()
    problems = plan.config.problem_combinations()
    index = int(np.searchsorted(plan.offsets, n, side="right")) - 1
    parts = [f"schedule {show(plan.names[s], 60)}"]
    parts += [f"problem.{key} = {show(problems[1][index][key], 40)}" for key in problems[0]]
    parts += [f"{plan.config.level_kind} {plan.config.levels[e]:g}"]
    raise InputError(
        f"{_named(files)} cannot be joined: none of them has {' with '.join(parts)}, seed {n}; together they need all "
        f"combinations of what sets them apart"
    )
