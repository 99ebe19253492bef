"""Which engine takes the steps of each schedule: a function of the grid alone, never of how its work is split."""

from ..config.grid import GridConfig
from ..config.methods import is_plain
from ..config.stop import VALIDATION
from ..errors import InputError
from ..schedules.schedule import Schedule
from .rate_tables import CHUNK

# Step by step; by the closed form of many steps; a first chunk of steps, then the closed form; step by step with
# noise, momentum or an average.
RECURRENCE, CLOSED_FORM, MIXED, STOCHASTIC = "recurrence", "closed form", "mixed", "stochastic"
# Means and covariances, step by step.
EXPECTATION = "expectation"
# Row by row, where losses are no quadratics.
ROWS = "rows"
MOST_PAIRED_AXES = 2_000  # eight matrices of this size are 256 MB a thread

# A piece of fewer steps is stepped through in less time than its closed form takes.
STEPS_A_PIECE = 64
# Tables of products take as long to make as so many cells take to step through.
LEAST_SEEDS = 64


def engine_of(config: GridConfig, seeds: int, schedule: Schedule, optimizer: dict, noise: dict) -> str:
    """The engine of one schedule.

    Parameters
    ----------
    config
        The grid, whose key `engine` may ask for one.
    seeds
        Seeds of the whole grid.
    schedule, optimizer, noise
        One of its combinations.

    Returns
    -------
    str
        RECURRENCE, CLOSED_FORM, MIXED, STOCHASTIC, EXPECTATION or ROWS.

    Raises
    ------
    InputError
        Where the grid asks for a closed form, and the combination has none.
    """
    if config.by_rows:
        return ROWS
    if schedule.plateau and config.engine == "closed-form":
        raise InputError(
            f"engine 'closed-form': the rates of schedule {schedule.name!r} are known as steps are taken; use 'auto'"
        )
    if schedule.plateau or not is_plain(optimizer, noise):
        if config.engine == "closed-form":
            raise InputError(
                f"engine 'closed-form': schedule {schedule.name!r} has no closed form with optimizer "
                f"{optimizer['kind']!r} and noise {noise['kind']!r}; use 'auto'"
            )
        return STOCHASTIC if config.expectation is None else EXPECTATION
    if config.expectation is not None and config.engine == "auto" and not schedule.flows:
        return EXPECTATION
    if config.engine == "recurrence" or not schedule.length:
        return RECURRENCE
    pieces = schedule.pieces()
    constant = all(rate is not None for _, _, rate in pieces)
    long_pieces = schedule.length >= STEPS_A_PIECE * len(pieces)
    looks = VALIDATION in config.stop
    if config.engine == "closed-form":
        if looks and not constant:
            raise InputError(
                f"engine 'closed-form': schedule {schedule.name!r}, of varying rates, has no closed form from look to "
                "look of stop.validation; use 'auto'"
            )
        return CLOSED_FORM
    if constant:
        worthwhile = long_pieces and not (looks and config.stop[VALIDATION]["every"] < STEPS_A_PIECE)
        return CLOSED_FORM if worthwhile else RECURRENCE
    many = schedule.length >= 2 * CHUNK and seeds >= LEAST_SEEDS and long_pieces
    return MIXED if many and not looks else RECURRENCE
