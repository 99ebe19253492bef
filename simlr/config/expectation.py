"""The [expectation] table of a grid: exact means over the noise in place of noise seeds.

The table's presence asks for them, since it is a property of the whole run file: every loss in it is then a mean.
"""

from typing import Any

from ..errors import InputError
from ..inputs.parameters import read_parameters
from ..schedules.batch_sizes import GROWTH, grows
from .settings import SETTINGS, table_at
from .stop import VALIDATION, lands

TABLE = "expectation"
# What the run file and the report say of such losses.
MEANING = (
    "losses are exact means over the noise; a level is met by the mean curve, which is not the mean of first passages"
)


def check(tables: dict) -> dict | None:
    """The table, cast and complete; None where the grid has none."""
    if tables.get(TABLE) is None:
        return None
    return read_parameters(TABLE, table_at(tables, TABLE), SETTINGS[TABLE])


def check_grid(config: Any) -> None:
    """Refuse what has no exact mean, and noise that has nothing else.

    Parameters
    ----------
    config : GridConfig
        All its other tables are checked.

    Raises
    ------
    InputError
        In one line, with the way out.
    """
    noises = [noise for _, noise, _ in config.methods()]
    if config.expectation is None:
        if any(noise["kind"] == "fresh" for noise in noises):
            raise InputError("noise 'fresh': has exact means alone, and no seeds; add a table [expectation]")
        if any(map(grows, noises)):
            raise InputError(f"noise 'minibatch': {GROWTH} has exact means alone; add a table [expectation]")
        return
    if VALIDATION in config.stop:
        raise InputError(
            "stop.validation looks at single runs, and [expectation] has only their mean; use stop.train_loss, or "
            "stop.steps"
        )
    if plateau := next((schedule for schedule, _ in config.schedules() if schedule.plateau), None):
        raise InputError(
            f"schedule {plateau.name!r}: its rates follow the loss of a single run, and [expectation] has only the "
            "mean; leave [expectation] out"
        )
    if lands(config.stop):
        raise InputError(
            "stop.landing = 'exact' shortens the step of a single run, and [expectation] has only their mean; "
            "leave it out"
        )
    for key in ("iterates", "stop_residual"):
        if config.record[key]:
            raise InputError(
                f"record.{key}: [expectation] has means of losses, and no single iterate; leave one of the two out"
            )
    if any(noise.get("sampling") == "epochs" for noise in noises):
        raise InputError(
            "noise 'minibatch': sampling = 'epochs' has no exact mean here; use sampling = 'replacement', or leave "
            "[expectation] out"
        )
