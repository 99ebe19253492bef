"""From a grid description to the work: which cells there are, and in which blocks of seeds they are computed.

No input, no output, no compiled code: everything here is arithmetic on the description. `engines` says how the steps
of a schedule are taken, `recording` what is recorded, `block_size` how large a block is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config.grid import GridConfig
from ..config.methods import method_parameters
from ..config.stop import lands
from ..errors import InputError
from ..schedules.schedule import Schedule
from . import block_size
from .engines import MOST_PAIRED_AXES, engine_of
from .needs import what_looks_at_validation
from .rate_tables import RateTables
from .recording import RecordedSeeds, recorded_moments

MOST_CELLS = 1 << 52


@dataclass(frozen=True, eq=False)
class Plan:
    """The work of one grid, or of one part of its seeds; `Plan.of_grid` makes the first, its methods the others.

    Seeds are counted from 0 in every plan; `first` is the grid's number of the 0th. How a cell is computed is a matter
    of the grid, never of the part.

    Attributes
    ----------
    config : GridConfig
        The grid.
    sizes : tuple of (int, int)
        (d, number of draws) of every combination of problem parameters of the grid.
    schedules : tuple of S Schedule
        One for each combination of schedule, optimiser and noise.
    methods : tuple of S (dict, dict)
        The optimiser and the noise of every schedule.
    parameters : tuple of S dict
        What the run file says of every schedule.
    engines : tuple of S str
        How the steps of every schedule are taken, of `engines`.
    tables : RateTables
        The learning rates of all schedules.
    window : (int, int) or None
        The grid's seeds that are this plan's, (first, one after the last); None for all.
    starts : int64 (B,) or None
        The first seed of every block, where they are not those that `block_seeds` gives.
    whole : Plan or None
        The plan with all schedules of the grid, where this one has only some; None where it has all.
    """

    config: GridConfig
    sizes: tuple[tuple[int, int], ...]
    schedules: tuple[Schedule, ...]
    methods: tuple[tuple[dict, dict], ...]
    parameters: tuple[dict, ...]
    engines: tuple[str, ...]
    tables: RateTables
    window: tuple[int, int] | None = None
    starts: NDArray[np.int64] | None = None
    whole: Self | None = None

    @classmethod
    def of_grid(cls, config: GridConfig, sizes: tuple[tuple[int, int], ...]) -> Self:
        """The plan of a whole grid; `sizes` is (d, number of draws) of every combination of problem parameters.

        Raises
        ------
        InputError
            Where the grid asks for a closed form that there is not, or has too many cells.
        """
        combinations = config.combinations()
        schedules = tuple(schedule for schedule, _, _, _ in combinations)
        methods = tuple((optimizer, noise) for _, _, optimizer, noise in combinations)
        parameters = tuple(own | method_parameters(optimizer, noise) for _, own, optimizer, noise in combinations)
        seeds = sum(draws for _, draws in sizes)
        engines = tuple(engine_of(config, seeds, s, *method) for s, method in zip(schedules, methods, strict=True))
        plan = cls(config, sizes, schedules, methods, parameters, engines, RateTables(schedules))
        if plan.expects and config.draws_rows and plan.dimension > MOST_PAIRED_AXES:
            raise InputError(
                f"noise 'minibatch': with [expectation] all pairs of axes are carried, up to {MOST_PAIRED_AXES:,} of "
                f"them, and the problem has {plan.dimension:,}; leave [expectation] out"
            )
        if plan.cells > MOST_CELLS:
            raise InputError(f"grid: {plan.cells} cells, more than the {MOST_CELLS} that can be counted in one file")
        return plan

    # ---- the axes of the run file ----

    @property
    def names(self) -> list[str]:
        """Names of the S schedules."""
        return [schedule.name for schedule in self.schedules]

    @cached_property
    def offsets(self) -> list[int]:
        """First seed of every combination of problem parameters, and the number of all seeds."""
        offsets = [0]
        for _, draws in self.sizes:
            offsets.append(offsets[-1] + draws)
        return offsets

    @property
    def all_seeds(self) -> int:
        """The seeds of the grid."""
        return self.offsets[-1]

    @property
    def first(self) -> int:
        """The grid's number of this plan's first seed."""
        return self.window[0] if self.window else 0

    @property
    def seeds(self) -> int:
        """N."""
        return self.window[1] - self.window[0] if self.window else self.all_seeds

    @property
    def dimension(self) -> int:
        """d, the largest where it varies."""
        return max(dimension for dimension, _ in self.sizes)

    @property
    def averages(self) -> bool:
        """Whether some schedule of the grid carries an average of its iterates."""
        return any("average" in optimizer for optimizer, _ in self.grid.methods)

    @property
    def has_plateaus(self) -> bool:
        """Whether some schedule of the grid has rates of its own for every seed."""
        return any(schedule.plateau for schedule in self.grid.schedules)

    @cached_property
    def looks_at_validation(self) -> bool:
        """Whether a stop rule or a schedule of the grid looks at validation losses."""
        return bool(what_looks_at_validation(self.config))

    @property
    def grid(self) -> Self:
        """The plan with all schedules of the grid: how a cell is computed is a matter of all of them."""
        return self.whole or self

    @property
    def expects(self) -> bool:
        """Whether losses are exact means over the noise."""
        return self.config.expectation is not None

    @property
    def bin_error(self) -> float:
        """By what share losses may move as bins of axes are halved; 0 where every axis is by itself."""
        return (self.config.expectation or {}).get("bin_error", 0.0)

    @property
    def stop_residual(self) -> bool:
        """Whether the residuals at the stops are kept."""
        return self.config.record["stop_residual"]

    @property
    def sharpness(self) -> bool:
        """Whether the largest eigenvalue of the Hessian is recorded along the trajectories."""
        return self.config.record.get("sharpness", False)

    @property
    def landing(self) -> bool:
        """Whether the step at which a level is met is shortened to it."""
        return lands(self.config.stop)

    @property
    def levels(self) -> int:
        """E."""
        return len(self.config.levels)

    @property
    def cells(self) -> int:
        """S N."""
        return len(self.schedules) * self.seeds

    def pieces(self, first: int, last: int) -> list[tuple[int, int, int, int]]:
        """Seeds first..last - 1 by combination: [(combination, first seed, first draw, last draw), ...]."""
        pieces = []
        for index, start in enumerate(self.offsets[:-1]):
            begin, end = max(first + self.first, start), min(last + self.first, self.offsets[index + 1])
            if begin < end:
                pieces.append((index, begin - self.first, begin - start, end - start))
        return pieces

    # ---- what is recorded ----

    @property
    def points(self) -> int:
        """K, 0 where nothing is recorded of these seeds."""
        return self.config.record["points"] if self.recorded else 0

    @cached_property
    def _recorded_seeds(self):
        """The recorded seeds of the whole grid."""
        wanted = self.config.record["seeds"] if self.config.record["points"] else 0
        return RecordedSeeds(tuple(self.offsets), self.all_seeds if wanted == "all" else wanted)

    @cached_property
    def _first_row(self):
        """The grid's number of this plan's first row."""
        return self._recorded_seeds.rows_before(self.first)

    @cached_property
    def recorded(self) -> int:
        """R."""
        return self._recorded_seeds.rows_before(self.first + self.seeds) - self._first_row

    def recorded_rows(self, first: int, last: int) -> tuple[int, NDArray[np.int64]]:
        """The rows of seeds first..last - 1: (first row, the seeds themselves); rows of one block lie together."""
        row, seeds = self._recorded_seeds.rows_of(self.pieces(first, last))
        return (0 if row is None else row - self._first_row), seeds

    @property
    def record_step(self) -> NDArray[np.int64]:
        """(S, K): discrete steps taken at each recorded moment; -1 in slots that are not used."""
        return self._moments[0]

    def recorded_rates(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """(S, K): the learning rates at the recorded moments of some schedules, in their units; 0 in a flow."""
        rates = np.array([self.tables.at(s, self.record_step[s])[0] for s in indices])
        return np.where(np.isnan(self.record_flow_time[indices]), rates, 0.0)

    @cached_property
    def recorded_rates_and_times(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(S, K) each: learning rates at the recorded moments, 0 in a flow, and the sums of all rates before them."""
        found = [self.tables.at(s, steps) for s, steps in enumerate(self.record_step)]
        rates, times = (np.array(values) for values in zip(*found, strict=True))
        flow = self.record_flow_time
        return np.where(np.isnan(flow), rates, 0.0), times + np.where(np.isnan(flow), 0.0, flow)

    @property
    def record_flow_time(self) -> NDArray[np.float64]:
        """(S, K): flow time at the moments that lie in a flow, in the schedule's unit; NaN elsewhere."""
        return self._moments[1]

    @cached_property
    def _moments(self):
        """The recorded moments of all schedules."""
        moments = [recorded_moments(s, self.points, self.config.record["flow_time"]) for s in self.schedules]
        return tuple(np.stack(arrays) for arrays in zip(*moments, strict=True))

    # ---- blocks ----

    @cached_property
    def block_starts(self) -> NDArray[np.int64]:
        """(B,): the first seed of every block."""
        return np.arange(0, self.seeds, self.block_seeds, dtype=np.int64) if self.starts is None else self.starts

    @property
    def blocks(self) -> int:
        """B, without making the list of them."""
        return -(-self.seeds // self.block_seeds) if self.starts is None else len(self.starts)

    @property
    def block_sizes(self) -> list[int]:
        """Seeds of each of the B blocks."""
        return np.diff([*self.block_starts, self.seeds]).tolist()

    @cached_property
    def _bytes_a_seed(self):
        """What one seed takes: of the grid, whatever the part."""
        everyone = self._recorded_seeds.every_one
        return block_size.bytes_a_seed(self.config, len(self.schedules), self.dimension, everyone)

    @property
    def bytes_a_seed(self) -> int:
        """What one seed takes while it is computed: state, stops and, at most, trajectories, of all schedules."""
        return sum(self._bytes_a_seed)

    @property
    def block_seeds(self) -> int:
        """Seeds a block, as the grid says or as suits its size."""
        wanted = self.config.run["block_seeds"]
        together = block_size.LANES if self.config.by_rows else 1
        return block_size.seeds_a_block(wanted, self.all_seeds, len(self.schedules), self._bytes_a_seed, together)

    # ---- parts ----

    def with_blocks(self, starts: ArrayLike) -> Self:
        """The plan of the whole grid, cut into blocks that begin with these seeds, int64 (B,)."""
        return replace(self, window=None, starts=np.asarray(starts, dtype=np.int64))

    def with_part(self, starts: ArrayLike, seeds: int) -> Self:
        """The plan of a part of the grid, as a file has it: the first seeds of its blocks, and the number of seeds."""
        starts = np.asarray(starts, dtype=np.int64)
        first = int(starts[0]) if starts.size else 0
        return replace(self, window=(first, first + seeds), starts=starts - first)

    def some(self, indices: Sequence[int]) -> Self:
        """The plan of some of the schedules, by their indices, with all seeds."""
        chosen: dict[str, Any] = {
            name: tuple(getattr(self, name)[s] for s in indices)
            for name in ("schedules", "methods", "parameters", "engines")
        }
        return replace(self, **chosen, tables=RateTables(chosen["schedules"]), whole=self.grid)

    def part(self, index: int, count: int) -> Self:
        """The plan of shard `index` of `count`: consecutive whole blocks of this one.

        Raises
        ------
        InputError
            Where a shard would have no block.
        """
        if count > self.blocks:
            raise InputError(
                f"--shard {index}/{count}: the grid has {self.blocks:,} blocks, so at most as many shards "
                "(a smaller run.block_seeds makes more)"
            )
        first, last = (self.blocks * k // count * self.block_seeds for k in (index, index + 1))
        return replace(self, window=(first, min(last, self.all_seeds)), starts=None)
