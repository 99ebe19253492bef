"""What goes with losses whose train rows are gone through at every step: those that no quadratic stands for."""

from typing import Any

from ..errors import InputError
from ..problems import losses
from .optimizers import depends_on_axes, first_by_rows, goes_by_rows


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
        if config.record.get("sharpness"):
            raise InputError(
                "record.sharpness: least squares have one Hessian everywhere, and the run file has its largest "
                "eigenvalue as sharpness; leave it out"
            )
        return
    if config.record.get("sharpness") and not config.record["points"]:
        raise InputError("record.sharpness is recorded at the moments of record.points, which are 0")
    here = asked(config)
    _check_axes(config, here)
    _check_labels(config)
    if config.engine == "closed-form":
        raise InputError(f"engine 'closed-form': {here} has no closed form; use 'auto'")
    if config.expectation is not None:
        raise InputError(f"[expectation]: {here} has no exact means; leave the table out")
    if config.record["stop_residual"]:
        raise InputError(f"record.stop_residual: {here} has no residuals; record.iterates keeps the parameters")
    flowing = next((schedule.name for schedule, _ in config.schedules() if schedule.flows), None)
    if flowing is not None:
        goes = "the plain squared loss" if here.startswith("problem") else "exact gradient descent"
        raise InputError(
            f"schedule {flowing!r}: a flow goes with {goes}, not with {here}; a constant of a small learning rate "
            "comes near to it"
        )
    other = next(
        (noise["kind"] for _, noise, _ in config.methods() if noise["kind"] not in ("none", "minibatch", "labels")),
        None,
    )
    if other is not None:
        raise InputError(f"noise {other!r} goes with the plain squared loss, not with {here}; use noise 'minibatch'")


def asked(config: Any) -> str:
    """What makes a grid go through rows, in words: the key and its value, or the optimiser or noise."""
    for key in ("loss", "ridge", "model"):
        if key in config.problem:  # where it is not the default
            return f"problem.{key} = {config.problem[key]!r}"
    return first_by_rows(config.optimizer) if goes_by_rows(config.optimizer) else "noise 'labels'"


def _check_labels(config):
    """Refuse noise of labels that are classes."""
    kinds = config.problem.get("loss", losses.SQUARED)
    of_classes = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind in losses.OF_CLASSES]
    if of_classes and any(noise["kind"] == "labels" for noise in config.noise):
        raise InputError(f"noise 'labels' is added to numbers, and loss = {of_classes[0]!r} has classes; leave it out")


def _check_axes(config, here):
    """Refuse optimisers that act axis by axis where the axes are not the features' own, and a start that is not 0."""
    kinds = config.problem.get("features", "linear")
    other = next((kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "linear"), None)
    if other is not None and losses.has_diagonal(config.problem):
        raise InputError(
            f"problem.model = 'diagonal' acts axis by axis, and features = {other!r} have no axes of their own; use "
            "features = 'linear'"
        )
    acting = next((table["kind"] for table in config.optimizer if depends_on_axes(table)), None)
    if other is not None and acting is not None:
        raise InputError(
            f"optimizer {acting!r} acts axis by axis, and features = {other!r} have no axes of their own; use features "
            "= 'linear', or 'gd', 'momentum', 'nesterov', 'polyak_momentum' or 'schedule_free_sgd' without clip_value"
        )
    if config.problem["kind"] == "gaussian" and config.problem["start"] != "zero" and losses.is_plain(config.problem):
        raise InputError(f"problem.start: {here} starts at 0; leave start out")
