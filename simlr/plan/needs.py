"""What a grid asks of its problem: rows to draw from or to go through, a validation set, a population."""

from collections.abc import Sequence

from ..config import by_rows
from ..config.grid import GridConfig
from ..config.stop import VALIDATION
from ..errors import InputError
from ..problems.source import Source
from ..schedules.plateau import VALIDATION_LOSS


def check_sources(config: GridConfig, sources: Sequence[Source]) -> None:
    """Refuse a problem that lacks what its grid asks for.

    Parameters
    ----------
    config
        The grid.
    sources
        Its problem, one of each combination of parameters.

    Raises
    ------
    InputError
        In one line, with the key that asks.
    """
    kind = config.problem["kind"]
    noises = {noise["kind"] for _, noise, _ in config.methods()}
    drawing = noises & {"minibatch", "labels"}
    if drawing and any(source.rows is None for source in sources):
        raise InputError(f"noise {min(drawing)!r}: problem {kind!r} has no rows to draw from")
    if config.by_rows and any(source.samples is None for source in sources):
        raise InputError(
            f"{by_rows.asked(config)} goes with problems that have rows, such as 'dataset', not with {kind!r}"
        )
    blind = next((source for source in sources if source.validation is None), None)
    looks = what_looks_at_validation(config) if blind else ""
    if blind and looks:
        raise InputError(f"{looks} needs a validation set of problem {kind!r}, {blind.validation_needs}")
    if "fresh" in noises and not all(source.is_population for source in sources):
        raise InputError(
            f"noise 'fresh': problem {kind!r} has no population of Gaussian inputs to draw new rows from; use problem "
            "'population' or 'quadratic', or noise 'minibatch'"
        )
    is_binned = config.expectation is not None and config.expectation["bin_error"] > 0.0
    if is_binned and not all(source.modes for source in sources):
        raise InputError(
            f"expectation.bin_error groups axes that are alike, of problem 'population', and not of {kind!r}; leave it "
            "out"
        )


def what_looks_at_validation(config: GridConfig) -> str:
    """The key of a grid that asks for validation losses, "" where none does."""
    if VALIDATION in config.stop:
        return "stop.validation"
    looking = (s.name for s, _ in config.schedules() if s.plateau.get("monitor") == VALIDATION_LOSS)
    name = next(looking, None)
    return "" if name is None else f"schedule {name!r}: monitor = {VALIDATION_LOSS!r}"
