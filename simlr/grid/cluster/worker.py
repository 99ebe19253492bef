"""What a worker of a cluster does: it takes a grid over once, and then computes blocks of it. No Dask in here.

Everything is made anew on the worker from the grid's text and the bytes of its data files, as on a machine that runs
the grid alone, so that the bits are that machine's.
"""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config.grid import GridConfig
from ...engine.block_engine import Engine
from ...engine.environment import environment
from ...errors import InputError
from ...inputs.files import names_file
from ...plugins.kinds import plugin_of
from ...plugins.loading import run_source, source_text
from ...plugins.recorded import ATTRIBUTE, attribute_of, reading_back
from ...store import file_format
from ..job import Job, Origin
from ..parts import PartEngine
from .agreement import AGREEING

# A worker may serve several runs. Those whose client has gone without a word go, the longest unused first: never one
# that is computed, nor one that was a little while ago, whose client is about to ask for the next block.
MOST_GRIDS = 4
IDLE_SECONDS = 600.0


class NotTaken(Exception):
    """The worker does not know this run: it has been started anew, or has forgotten it."""


class Order(NamedTuple):
    """What a worker has to know of a grid."""

    text: str  # the grid, TOML
    files: dict[str, bytes]  # a data file's name in it -> its bytes
    threads: int | None
    plugins: str = ""  # as the run file describes them
    sources: tuple[tuple[str, bytes], ...] = ()  # of those from files: where each lay, and what is in it


class _Taken(NamedTuple):
    job: Job
    engine: Engine
    parts: PartEngine  # the same, of some cells alone
    lock: threading.Lock  # an engine computes one block at a time
    folder: tempfile.TemporaryDirectory  # its data files
    used: list[float]  # when a block of it was last begun or ended, of this worker's clock


_taken: dict[str, _Taken] = {}  # by the key of a run
_taking = threading.Lock()


# ---- on the client ----


def order(config: GridConfig, threads: int | None) -> Order:
    """The Order of a grid; its data files are read once more, and the digests of what is then used must agree.

    Parameters
    ----------
    config : GridConfig
        The grid.
    threads : int or None
        Threads of every worker.
    """
    names = set()
    for key, value in config.problem.items():
        for text in value if isinstance(value, list) else [value]:  # an axis is a list
            if names_file(key, text):
                names.add(text)
    files = {name: (Path(config.folder) / name).read_bytes() for name in sorted(names)}
    modules = [kind.plugin.module for kind in config.plugins if not kind.plugin.package]
    sources = {(module.__file__ or "", source_text(module)) for module in modules if module is not None}
    described = attribute_of(config.plugins).get(ATTRIBUTE, "")
    return Order(config.to_toml(), files, threads, described, tuple(sorted(sources)))


# ---- on the worker ----


def take_over(key: str, order: Order) -> dict[str, Any]:
    """Make ready for blocks of a run.

    Parameters
    ----------
    key : str
        The run's.
    order : Order
        Its grid.

    Returns
    -------
    dict
        What the bits depend on, by name: that of `AGREEING`.
    """
    with _taking:
        if key not in _taken:
            _make_room()
            job, folder = _job(order)
            given = job.plan, job.sources, order.threads
            engines = Engine(*given), PartEngine(*given)
            _taken[key] = _Taken(job, *engines, threading.Lock(), folder, [time.monotonic()])
        job = _taken[key].job
    attributes = job.attributes()
    return {name: attributes.get(name) for name in AGREEING}


def _make_room():
    """Forget grids that nobody asks for any more, as long as there are many."""
    for key, taken in sorted(_taken.items(), key=lambda item: item[1].used[0]):
        idle = not taken.lock.locked() and time.monotonic() - taken.used[0] > IDLE_SECONDS
        if len(_taken) >= MOST_GRIDS and idle:
            forget(key)


def _job(order):
    """The Job of a grid whose data files came with it, and the folder of these: a plug-in may read them at any time."""
    for path, source in order.sources:
        run_source(source, path)
    with reading_back(order.plugins):
        config = GridConfig.from_toml(order.text)
    for kind in config.plugins:
        if not kind.plugin.is_loaded:
            raise InputError(f"plug-in {kind.plugin.where} is not there in that version: install it on every worker")
    folder, places = tempfile.TemporaryDirectory(prefix="simlr-"), {}
    for number, (name, data) in enumerate(order.files.items()):
        places[name] = Path(folder.name) / str(number) / Path(name).name
        places[name].parent.mkdir()
        places[name].write_bytes(data)
    problem = {key: _placed(key, value, places) for key, value in config.problem.items()}
    job = Job(config.replace(problem=problem))
    if plugin_of(job.config.problem["kind"]) is None:
        folder.cleanup()  # simlr's own problems read their files once
    return job, folder


def _placed(key, value, places):
    """A parameter's value with the names of data files replaced by where they are here."""
    if isinstance(value, list):
        return [_placed(key, one, places) for one in value]
    known = names_file(key, value) and value in places
    return str(places[value]) if known else value


def origin(key: str) -> Origin:
    """The Origin of blocks that this worker computes."""
    plan = _of(key).job.plan.with_blocks([0])  # all blocks in one: their list may be long
    datasets = {field.name: values for field, values in file_format.small_datasets(plan)}
    return Origin(environment(), {name: datasets[name] for name in file_format.MOMENTS if name in datasets})


def compute(key: str, first: int, last: int, wanted: NDArray[np.bool_] | None = None) -> dict[Any, NDArray]:
    """The arrays of the grid's seeds first..last - 1, by dataset name; NotTaken where the run is not known here.

    Where only some of their cells are wanted, bool (S, N): those of their `parts`, by (number of the part, name).
    """
    taken = _of(key)
    with taken.lock:
        try:
            if wanted is None:
                return taken.engine.block(first, last)
            found = enumerate(taken.parts.computed(first, wanted))
            return {(k, name): values.copy() for k, (_, arrays) in found for name, values in arrays.items()}
        finally:
            taken.used[0] = time.monotonic()


def _of(key):
    """What has been taken over under this key."""
    if key not in _taken:
        raise NotTaken
    return _taken[key]


def forget(key: str) -> None:
    """Stop what is being computed of a run, and let go of it; without waiting for anything."""
    taken = _taken.pop(key, None)
    if taken:
        taken.engine.stop()
        taken.parts.stop()
