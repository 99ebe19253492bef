"""How many seeds make a block of work, and how much memory a seed takes while it is computed."""

from typing import NamedTuple

from ..config.grid import GridConfig
from ..config.stop import LOSS_KINDS, VALIDATION, lands
from .engines import MOST_PAIRED_AXES

# Seeds a block where the grid leaves the choice to us: enough to fill the SIMD lanes of all cores, few enough that a
# block takes a fraction of a second and its arrays stay small.
CELLS_A_BLOCK = 1 << 15
BYTES_A_BLOCK = 64 << 20
BYTES_OF_ROWS = 128 << 20  # train rows, beside those
LEAST_SEEDS = 64
LEAST_BLOCKS = 16
LANES = 8
# Looks whose iterates are held at a time: enough to fill the SIMD lanes, few enough to stay near the processor.
WINDOW = 16
# Moments of every cell that are then in memory: the looks, the one before, and what the best one is kept in.
MOMENTS_A_WINDOW = WINDOW + 4
# As a problem hands its train rows over, as wide as the widest problem's, and end to end.
COPIES_OF_ROWS = 3
VECTORS_OF_A_PROBLEM = 16


class SeedBytes(NamedTuple):
    """Bytes that one seed takes while all of its schedules are computed."""

    arrays: int  # its problem, and of every schedule the state, the stops and, at most, the trajectory
    train_rows: int  # where mini-batches are drawn from them


def bytes_a_seed(config: GridConfig, schedules: int, dimension: int, all_recorded: bool) -> SeedBytes:
    """What one seed of a grid takes.

    Parameters
    ----------
    config
        The grid.
    schedules, dimension
        S and d, the largest where it varies.
    all_recorded
        Whether every seed is recorded; else trajectories are counted as nothing.
    """
    levels = len(config.levels)
    losses = 8 * (dimension * (2 if config.record["stop_residual"] else 1) + 5) * levels
    losses += 8 * levels if lands(config.stop) else 0
    if config.level_kind not in LOSS_KINDS:
        losses += 8 * (dimension + 1) * (MOMENTS_A_WINDOW if VALIDATION in config.stop else levels + 1)
    trajectory = 8 * config.record["points"] * (dimension + 2) if all_recorded else 0
    problem = 8 * 4 * dimension * (dimension + 2)
    if config.expectation is not None and dimension > MOST_PAIRED_AXES:  # there are vectors alone
        problem = 8 * VECTORS_OF_A_PROBLEM * dimension
    rows = config.problem.get("train_rows", 0) if config.draws_rows or config.by_rows else 0
    counts = [row for row in (rows if isinstance(rows, list) else [rows]) if isinstance(row, int)]
    # All of a table whose length is not known here: as few seeds at a time as share a vector.
    most_rows = max(counts) if counts else BYTES_OF_ROWS // (8 * COPIES_OF_ROWS * (dimension + 1) * LANES)
    return SeedBytes(
        schedules * (losses + trajectory + 8 * dimension + 16) + problem,
        8 * COPIES_OF_ROWS * most_rows * (dimension + 1),
    )


def seeds_a_block(wanted: int, seeds: int, schedules: int, one: SeedBytes, together: int = 1) -> int:
    """Seeds a block of a grid: as it says, or as suits its size.

    Parameters
    ----------
    wanted
        `run.block_seeds` of the grid; 0 leaves the choice to us.
    seeds, schedules
        N, of the whole grid, and S.
    one
        What a seed takes.
    together
        How many seeds make a block, if there are so many, however few blocks that gives: where a seed is a task.
    """
    if wanted:
        return min(wanted, seeds)
    few_cells = max(LEAST_SEEDS, CELLS_A_BLOCK // schedules)
    most = min(few_cells, BYTES_A_BLOCK // one.arrays, max(seeds // LEAST_BLOCKS, min(together, seeds)))
    most = min(most, BYTES_OF_ROWS // one.train_rows) if one.train_rows else most
    return max(1, most // LANES * LANES or most)
