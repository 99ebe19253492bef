"""What goes with losses whose train rows are gone through at every step: those that no quadratic stands for."""

from typing import Any

from ..errors import InputError


def check_grid(config: Any) -> None:
    """Refuse what is made for quadratics alone in a grid with another loss, or with a ridge.

    Parameters
    ----------
    config : GridConfig
        All its tables are checked.

    Raises
    ------
    InputError
        In one line, with the way out.
    """
    if not config.by_rows:
        return
    asked = "problem.loss" if "loss" in config.problem else "problem.ridge"
    value = config.problem.get("loss", config.problem.get("ridge"))
    here = f"{asked} = {value!r}"
    if config.engine == "closed-form":
        raise InputError(f"engine 'closed-form': {here} has no closed form; use 'auto'")
    if config.expectation is not None:
        raise InputError(f"[expectation]: {here} has no exact means; leave the table out")
    if config.record["stop_residual"]:
        raise InputError(f"record.stop_residual: {here} has no residuals; record.iterates keeps the parameters")
    flowing = next((schedule.name for schedule, _ in config.schedules() if schedule.flows), None)
    if flowing is not None:
        raise InputError(
            f"schedule {flowing!r}: a flow goes with the plain squared loss, not with {here}; a constant of a small "
            "learning rate comes near to it"
        )
    other = next(
        (noise["kind"] for _, noise, _ in config.methods() if noise["kind"] not in ("none", "minibatch")), None
    )
    if other is not None:
        raise InputError(f"noise {other!r} goes with the plain squared loss, not with {here}; use noise 'minibatch'")
