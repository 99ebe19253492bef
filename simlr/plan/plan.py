"""From a grid description to the work: which cells, which blocks, which moments are recorded, what it takes.

No input, no output, no compiled code: everything here is arithmetic on the description.
"""

from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..config.grid import GridConfig
from ..config.methods import is_plain, method_parameters
from ..config.stop import LOSS_KINDS, VALIDATION
from ..errors import InputError
from .rate_tables import CHUNK, RateTables

# Seeds a block where the grid leaves the choice to us: enough to fill the SIMD lanes of all cores, few enough that a
# block takes a fraction of a second and its arrays stay small.
CELLS_A_BLOCK = 1 << 15
BYTES_A_BLOCK = 64 << 20
BYTES_OF_ROWS = 128 << 20  # train rows, beside those
LEAST_SEEDS = 64
LEAST_BLOCKS = 16
LANES = 8
# A piece of fewer steps is stepped through in less time than its closed form takes.
STEPS_A_PIECE = 64
MOST_CELLS = 1 << 52
# Looks whose iterates are held at a time: enough to fill the SIMD lanes, few enough to stay near the processor.
WINDOW = 16
# Moments of every cell that are then in memory: the looks, the one before, and what the best one is kept in.
MOMENTS_A_WINDOW = WINDOW + 4
# As a problem hands its train rows over, as wide as the widest problem's, and end to end.
COPIES_OF_ROWS = 3
# How the steps of a schedule are taken.
STEPS, LEAPS, BOTH, WALKS = "steps", "leaps", "both", "walks"
FIRST_FLOW_FRACTION = 1000.0


@dataclass(frozen=True)
class Plan:
    """The work of one grid, or of one part of its seeds.

    `sizes` holds (d, number of draws) of every combination of problem parameters of the grid; `window`, the grid's
    seeds that are this plan's, (first, one after the last), None for all. Seeds are counted from 0 in every plan;
    `first` is the grid's number of the 0th. How a cell is computed is a matter of the grid, never of the window.
    """

    config: GridConfig
    sizes: tuple
    window: tuple | None = None
    schedules: tuple = field(init=False)
    methods: tuple = field(init=False)  # (optimizer, noise) of every schedule
    parameters: tuple = field(init=False)

    def __post_init__(self):
        made = self.config.combinations()
        object.__setattr__(self, "schedules", tuple(schedule for schedule, _, _, _ in made))
        object.__setattr__(self, "methods", tuple((optimizer, noise) for _, _, optimizer, noise in made))
        object.__setattr__(self, "parameters", tuple(p | method_parameters(o, w) for _, p, o, w in made))
        self.engines  # noqa: B018 - refuses what has no closed form
        if self.cells > MOST_CELLS:
            raise InputError(f"grid: {self.cells} cells, more than the {MOST_CELLS} that can be counted in one file")

    # ---- the axes of the run file ----

    @property
    def names(self):
        """Names of the S schedules."""
        return [schedule.name for schedule in self.schedules]

    @cached_property
    def offsets(self):
        """First seed of every combination of problem parameters, and the number of all seeds."""
        offsets = [0]
        for _, draws in self.sizes:
            offsets.append(offsets[-1] + draws)
        return offsets

    @property
    def all_seeds(self):
        """The seeds of the grid."""
        return self.offsets[-1]

    @property
    def first(self):
        """The grid's number of this plan's first seed."""
        return self.window[0] if self.window else 0

    @property
    def seeds(self):
        """N."""
        return self.window[1] - self.window[0] if self.window else self.all_seeds

    @property
    def axes(self):
        """d, the largest where it varies."""
        return max(axes for axes, _ in self.sizes)

    @property
    def averages(self):
        """Whether some schedule carries an average of its iterates."""
        return any("average" in optimizer for optimizer, _ in self.methods)

    @property
    def stop_residual(self):
        """Whether the residuals at the stops are kept."""
        return self.config.record["stop_residual"]

    @property
    def levels(self):
        """E."""
        return len(self.config.levels)

    @property
    def cells(self):
        """S N."""
        return len(self.schedules) * self.seeds

    def pieces(self, first, last):
        """Seeds first..last - 1 by combination: [(combination, first seed, first draw, last draw), ...]."""
        found = []
        for index, start in enumerate(self.offsets[:-1]):
            begin, end = max(first + self.first, start), min(last + self.first, self.offsets[index + 1])
            if begin < end:
                found.append((index, begin - self.first, begin - start, end - start))
        return found

    # ---- how the steps are taken ----

    @cached_property
    def engines(self):
        """How every schedule's steps are taken: STEPS, LEAPS, BOTH (a first chunk of steps, then leaps), WALKS."""
        return [self._engine(schedule, *method) for schedule, method in zip(self.schedules, self.methods, strict=True)]

    def _engine(self, schedule, optimizer, noise):
        """The engine of one schedule: a function of the grid alone."""
        if not is_plain(optimizer, noise):
            if self.config.engine == "closed-form":
                raise InputError(
                    f"engine 'closed-form': schedule {schedule.name!r} has no closed form with optimizer "
                    f"{optimizer['kind']!r} and noise {noise['kind']!r}; use 'auto'"
                )
            return WALKS
        if self.config.engine == "recurrence" or not schedule.length:
            return STEPS
        if VALIDATION in self.config.stop:
            return self._looking_engine(schedule)
        if self.config.engine == "closed-form":
            return LEAPS
        pieces = schedule.pieces()
        if all(rate is not None for _, _, rate in pieces):
            return LEAPS if schedule.length >= STEPS_A_PIECE * len(pieces) else STEPS
        # Tables of products take as long to make as a few dozen cells take to step through.
        worthwhile = schedule.length >= 2 * CHUNK and self.all_seeds >= LEAST_SEEDS
        return BOTH if worthwhile and schedule.length >= STEPS_A_PIECE * len(pieces) else STEPS

    def _looking_engine(self, schedule):
        """The engine of a schedule that is looked at between its steps: leaps from look to look at constant rates."""
        constant = all(rate is not None for _, _, rate in schedule.pieces())
        if self.config.engine == "closed-form" and not constant:
            raise InputError(
                f"engine 'closed-form': schedule {schedule.name!r}, of varying rates, has no closed form from look to "
                "look of stop.validation; use 'auto'"
            )
        worthwhile = self.config.stop[VALIDATION]["every"] >= STEPS_A_PIECE
        worthwhile &= schedule.length >= STEPS_A_PIECE * len(schedule.pieces())
        return LEAPS if constant and (worthwhile or self.config.engine == "closed-form") else STEPS

    # ---- what is recorded ----

    @property
    def points(self):
        """K, 0 where nothing is recorded of these seeds."""
        return self.config.record["points"] if self.recorded else 0

    @property
    def _recorded_draws(self):
        """How many draws of every combination are recorded."""
        wanted = self.config.record["seeds"]
        return 0 if not self.config.record["points"] else self.all_seeds if wanted == "all" else wanted

    @cached_property
    def _recorded_offsets(self):
        """First row of every combination, and the number of all rows."""
        rows = [min(self._recorded_draws, draws) for _, draws in self.sizes]
        return [sum(rows[:i]) for i in range(len(rows) + 1)]

    def _rows_before(self, seed):
        """How many of the grid's rows belong to seeds before this one of the grid."""
        offsets = self._recorded_offsets
        kept = [last - first for first, last in pairwise(offsets)]
        return sum(min(rows, max(0, seed - start)) for rows, start in zip(kept, self.offsets, strict=False))

    @cached_property
    def _first_row(self):
        """The grid's number of this plan's first row."""
        return self._rows_before(self.first) if self.window else 0

    @cached_property
    def recorded(self):
        """R."""
        return self._rows_before(self.window[1]) - self._first_row if self.window else self._recorded_offsets[-1]

    def recorded_rows(self, first, last):
        """The rows of seeds first..last - 1: (first row, the seeds themselves); rows of one block lie together."""
        seeds, row = [], None
        for index, begin, first_draw, last_draw in self.pieces(first, last):
            kept = min(last_draw, self._recorded_offsets[index + 1] - self._recorded_offsets[index])
            if first_draw < kept:
                row = self._recorded_offsets[index] + first_draw - self._first_row if row is None else row
                seeds.append(np.arange(begin, begin + kept - first_draw, dtype=np.int64))
        return (row or 0), np.concatenate(seeds) if seeds else np.empty(0, np.int64)

    @cached_property
    def record_step(self):
        """(S, K) int64: discrete steps taken at each recorded moment; -1 in slots that are not used."""
        return np.stack([steps for steps, _ in self._all_slots])

    @cached_property
    def record_flow_time(self):
        """(S, K) float64: flow time at the moments that lie in a flow, in the schedule's unit; NaN elsewhere."""
        return np.stack([flow for _, flow in self._all_slots])

    @cached_property
    def _all_slots(self):
        """Steps and flow times of every schedule."""
        return [self._slots(schedule) for schedule in self.schedules]

    def _slots(self, schedule):
        """Steps and flow times of one schedule's slots: the start, steps from 1 to T, then the flow."""
        steps = np.full(self.points, -1, np.int64)
        flow = np.full(self.points, np.nan)
        if not self.points:
            return steps, flow
        steps[0] = 0
        room = self.points - 1
        taken = _spread_steps(schedule.length, room // 2 if schedule.flows else room)
        steps[1 : 1 + taken.size] = taken
        if schedule.flows and taken.size < room:
            longest = self.config.record["flow_time"]
            steps[1 + taken.size :] = schedule.length
            flow[1 + taken.size :] = np.geomspace(longest / FIRST_FLOW_FRACTION, longest, room - taken.size)
        return steps, flow

    # ---- blocks ----

    @cached_property
    def block_starts(self):
        """(B,) int64: the first seed of every block."""
        return np.arange(0, self.seeds, self.block_seeds, dtype=np.int64)

    @property
    def blocks(self):
        """B, without making the list of them."""
        known = self.__dict__.get("block_starts")
        return -(-self.seeds // self.block_seeds) if known is None else len(known)

    @property
    def block_sizes(self):
        """(B,) seeds of every block."""
        return np.diff([*self.block_starts, self.seeds]).tolist()

    def with_blocks(self, starts):
        """The plan of the whole grid, cut into blocks that begin with these seeds."""
        return self._of_window(None, starts)

    def with_part(self, starts, seeds):
        """The plan of a part of the grid, as a file has it: the first seeds of its blocks, and the number of seeds."""
        first = int(starts[0]) if np.size(starts) else 0
        return self._of_window((first, first + seeds), starts)

    def _of_window(self, window, starts=None):
        """The same plan with another window, cut into blocks that begin with these of the grid's seeds."""
        twin = copy(self)
        object.__setattr__(twin, "window", window)
        for name in ("block_starts", "_first_row", "recorded", "record_step", "record_flow_time", "_all_slots"):
            twin.__dict__.pop(name, None)
        if starts is not None:
            twin.__dict__["block_starts"] = np.asarray(starts, dtype=np.int64) - twin.first
        return twin

    def part(self, index, count):
        """The plan of shard `index` of `count`: consecutive whole blocks of this one. InputError where one has none."""
        if count > self.blocks:
            raise InputError(
                f"--shard {index}/{count}: the grid has {self.blocks:,} blocks, so at most as many shards "
                "(a smaller run.block_seeds makes more)"
            )
        first, last = (self.blocks * k // count * self.block_seeds for k in (index, index + 1))
        return self._of_window((first, min(last, self.all_seeds)))

    @property
    def block_seeds(self):
        """Seeds a block, as the grid says or as suits its size."""
        wanted = self.config.run["block_seeds"]
        if wanted:
            return min(wanted, self.all_seeds)
        few_cells = max(LEAST_SEEDS, CELLS_A_BLOCK // len(self.schedules))
        rows = self._bytes_of_rows
        most = min(few_cells, BYTES_A_BLOCK // (self.bytes_a_seed - rows), self.all_seeds // LEAST_BLOCKS)
        most = min(most, BYTES_OF_ROWS // rows) if rows else most
        return max(1, most // LANES * LANES or most)

    @property
    def bytes_a_seed(self):
        """What one seed takes while it is computed: state, stops and, at most, trajectories, of all schedules."""
        losses = 8 * (self.axes * (2 if self.stop_residual else 1) + 5) * self.levels
        if self.config.level_kind not in LOSS_KINDS:
            losses += 8 * (self.axes + 1) * (MOMENTS_A_WINDOW if VALIDATION in self.config.stop else self.levels + 1)
        all_recorded = self._recorded_offsets[-1] == self.all_seeds
        trajectory = 8 * self.config.record["points"] * (self.axes + 2) if all_recorded else 0
        problem = 8 * 4 * self.axes * (self.axes + 2) + self._bytes_of_rows
        return len(self.schedules) * (losses + trajectory + 8 * self.axes + 16) + problem

    @property
    def _bytes_of_rows(self):
        """What the train rows of one seed take, and copies of them, where mini-batches are drawn from them."""
        rows = self.config.problem.get("train_rows", 0) if self.config.draws_rows else 0
        return 8 * COPIES_OF_ROWS * (max(rows) if isinstance(rows, list) else rows) * (self.axes + 1)

    @cached_property
    def tables(self):
        """The learning rates of all schedules."""
        return RateTables(self.schedules)

    @property
    def most_steps(self):
        """Discrete steps of the longest schedule."""
        return max(schedule.length for schedule in self.schedules)


def _spread_steps(steps, slots):
    """At most `slots` steps from 1 to `steps`, in geometric progression, rounded, without repeats."""
    wanted = min(steps, slots)
    if wanted < 1:
        return np.empty(0, np.int64)
    if wanted == steps:
        return np.arange(1, steps + 1)
    return np.unique(np.rint(np.geomspace(1, steps, wanted)).astype(np.int64))
