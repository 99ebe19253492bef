"""A run as its user sees it: datasets as attributes, from a file or from memory."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.reading import read_recorded
from ..errors import InputError, unknown
from . import file_format
from .compatibility import ACCEPTED

NOT_YET = -1


class Run:
    """One run. Every dataset of the run file is an attribute: `run.test_loss`, `run.schedule`, `run.curvature`, ...

    Where a block is not marked as done, floating-point values are NaN, stop_step is -1 and status 0. A mark is set when
    all before it is on the disk, once a second while a run goes on: after a loss of power, too, no value is shown that
    did not get there. Each access looks anew, so a run that goes on in another process shows how far it is, and what is
    read of a file has its checksum: a block whose bytes changed is an error, never a result.
    """

    def __init__(self, source):
        self._source = source
        self._config = self._block_sizes = None

    def __getattr__(self, name):
        if name.startswith("_"):  # not set yet, as in a copy
            raise AttributeError(name)
        if name not in self._source.dims:
            raise AttributeError(f"run has no dataset {name!r}; it has {', '.join(self.names)}")
        return self[name]

    def __dir__(self):
        return sorted({*super().__dir__(), *self._source.dims})

    def __getitem__(self, name):
        """One dataset as an array, not yet computed cells masked."""
        return self.part(name)

    def __repr__(self):
        """What ran, how far it is, and how large it is, in one line."""
        config = self.config
        state = "complete" if self.complete else f"not complete{self._how_far()}"
        sizes = {
            name: self._source.read(name).size for name in ("schedule", "seed", "level") if name in self._source.dims
        }
        told = ", ".join(f"{size} {name}{'' if size == 1 else 's'}" for name, size in sizes.items())
        return f"<Run {config.name!r} of {config.paper}: {told}; {state}>"

    def _how_far(self):
        """How many seeds of a run that is not complete are computed."""
        if self.is_study:
            return ""
        done, blocks = self._source.read("block_done") == 1, self._blocks_of(False)
        return f", {done[blocks].sum():,} of {blocks.size:,} seeds are computed"

    def part(self, name: str, *where: int | slice) -> NDArray | np.generic:
        """A part of one dataset, as `self[name][where]` without reading the rest.

        Parameters
        ----------
        name : str
            The dataset.
        *where : int or slice
            Of the first axes, one each; by default all of it.

        Returns
        -------
        array or number

        Raises
        ------
        InputError
            A ValueError, where the run has no such dataset.
        """
        if name not in self._source.dims:
            raise unknown("run", name, sorted(self._source.dims), "dataset")
        if self.is_study or name not in file_format.BLOCK_DATASETS:  # a study is written whole, under its seal
            return self._source.read(name, where)
        # The marks are looked at first: what is then done was written before.
        done = self._source.read("block_done") == 1
        dims = self._source.dims[name]
        axis = int(dims[0] == "schedule")
        blocks = self._blocks_of("recorded_seed" in dims)
        blocks = blocks[where[axis]] if len(where) > axis else blocks
        wanted = np.unique(blocks) if len(where) > axis else np.arange(done.size)
        if not self._source.check(wanted[done[wanted]]):
            return self.part(name, *where)
        values = self._source.read(name, where)
        missing = ~done[blocks]
        if not missing.any():
            return values
        before = axis - sum(isinstance(one, int | np.integer) for one in where[:axis])
        missing = missing.reshape(missing.shape + (1,) * (values.ndim - before - missing.ndim))
        fill = {"u": file_format.STATUS_NOT_RUN, "i": NOT_YET}.get(values.dtype.kind, np.nan)
        return np.where(missing, values.dtype.type(fill), values)

    def _blocks_of(self, recorded):
        """(N,) or, of the recorded seeds, (R,): the number of each seed's block."""
        if self._block_sizes is None:
            starts, seeds = self._source.read("block_start"), self._source.read("seed").size
            self._block_sizes = np.diff([*starts, starts[0] + seeds])
        blocks = np.repeat(np.arange(self._block_sizes.size, dtype=np.int32), self._block_sizes)
        return blocks[self.recorded_rows] if recorded else blocks

    @property
    def recorded_rows(self) -> NDArray[np.int64]:
        """Where the recorded seeds lie along `seed`: a shard's seeds are counted through the whole grid."""
        return self._source.read("recorded_seed") - self._source.read("block_start")[0]

    @property
    def config(self) -> Any:
        """The grid, as a GridConfig, or the study, as a StudyConfig. Read once: a thousand rates take a tenth of a
        second to check."""
        if self._config is None:
            schedules = None if self.is_study else self._source.read("schedule").size
            self._config = read_recorded(self._source.attributes, schedules)
        return self._config

    @property
    def is_study(self) -> bool:
        """Whether it is a study's run (`simlr.config.study`), not a grid's."""
        return "study" in self._source.attributes

    @property
    def attributes(self) -> dict[str, Any]:
        """The run's provenance: versions, kernel digest, processor, start time, the grid's TOML."""
        return dict(self._source.attributes)

    @property
    def accepted_other(self) -> list[str]:
        """Which seeds other code than that of `attributes` has computed, where that was accepted: a line each."""
        return str(self._source.attributes.get(ACCEPTED, "")).splitlines()

    @property
    def complete(self) -> bool:
        """Whether the run has ended with nothing missing: every block is marked as done, and the end is noted."""
        ended = float(self._source.read("finished_at")) != 0.0
        return ended and (self.is_study or bool((self._source.read("block_done") == 1).all()))

    @property
    def names(self) -> list[str]:
        """The names of all datasets."""
        return sorted(self._source.dims)

    def dims(self, name: str) -> tuple[str, ...]:
        """The names of a dataset's dimensions."""
        return self._source.dims[name]

    def to_xarray(self) -> Any:
        """The run as an xarray.Dataset with named dimensions and all attributes (needs the extra `xarray`)."""
        xarray, said = _needed("xarray", "to_xarray"), self._source.said()
        variables = {name: (self._source.dims[name], self[name], said.get(name, {})) for name in self.names}
        coordinates = {name for name, (dims, *_) in variables.items() if dims == (name,)}
        dataset = xarray.Dataset(
            {name: variable for name, variable in variables.items() if name not in coordinates},
            coords={name: variables[name] for name in coordinates},
            attrs=self.attributes,
        )
        return dataset

    def to_pandas(self) -> Any:
        """The run as a pandas.DataFrame, a row for each schedule, seed and level (needs the extra `xarray`).

        Returns
        -------
        pandas.DataFrame
            S N E rows, by schedule, then seed and level. Columns are `schedule`, `seed` and `level`, and all that has
            no other dimension: results (`test_loss`, `status`, ...), what belongs to a seed (`train_floor`,
            `problem_<key>`, ...), the parameters of the schedules (`schedule_<key>`, NaN or "" where they have none).

        Raises
        ------
        InputError
            Of a study, which has no schedules.
        """
        if self.is_study:
            raise InputError("to_pandas: a study has no schedules; use to_xarray")
        xarray = _needed("xarray", "to_pandas")
        _needed("pandas", "to_pandas")
        axes = ("schedule", "seed", "level")
        names = [name for name in self.names if self.dims(name) and set(self.dims(name)) <= set(axes)]
        data = {name: (self.dims(name), self[name]) for name in names if name not in axes}
        dataset = xarray.Dataset(data, coords={name: self[name] for name in axes})
        return dataset.to_dataframe(dim_order=list(axes)).reset_index()


def _needed(package, asking):
    """An optional package; InputError in one line where it is missing."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f'{asking}: needs the package {error.name or package}; pip install "simlr[xarray]"') from None
