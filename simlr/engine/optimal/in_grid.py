"""The schedules of kind "optimal" of a grid: computed for its problems and methods, before it is planned."""

import hashlib
import itertools
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...config import optimal
from ...config.grid import GridConfig
from ...errors import InputError
from ...problems.source import Source
from .families import Family
from .gradient import read_objective
from .optimise import cap_binds, read_limits, search, usual_shapes

MOST_OPTIMA = 256
LOSS_FLOORS = {"test_loss": "test_floor", "train_loss": "train_floor"}


class Setting(NamedTuple):
    """One of the grid's problems with one of its methods."""

    label: str
    source: Source
    draws: int  # different ones
    parameters: dict[str, Any]
    optimizer: dict[str, Any]
    noise: dict[str, Any]


class Found(NamedTuple):
    """An optimum of a grid, and the best of each usual shape under the same limits."""

    table: str  # the name of the [[schedule]] table that it is of
    asked: dict[str, Any]
    entry: dict[str, Any]  # of the table's `found`
    floor: float  # of the losses, the mean over the draws
    largest: float  # the cap, or what the search was bounded by
    cap_binds: bool  # whether some rate is there
    families: dict[str, Family]  # peak, and mean loss with its floor


def solved(config: GridConfig, sources: Sequence[Source], draws: Sequence[int]) -> GridConfig:
    """The grid with the rates of its optimal schedules.

    Of each [[schedule]] table of kind "optimal" there is one optimum for every combination of what it asks for, of the
    problem's parameters, and of optimiser and noise. Each makes the mean over the problem's draws of the expected loss
    after its steps least, floors included.

    Parameters
    ----------
    config : GridConfig
        The grid.
    sources, draws
        Of every combination of problem parameters its problem, and the number of different draws.

    Returns
    -------
    GridConfig
        Equal to the one given where there is nothing to compute: where there is no such table, or the tables have the
        rates for these problems and methods already.

    Raises
    ------
    InputError
        Where SciPy is missing, for more than 256 optima, and where the loss is no sum over the axes.
    """
    if not any(map(optimal.is_optimal, config.schedule)):
        return config
    settings = _settings(config, sources, draws)
    tables = [
        _solved(config, dict(table), settings) if optimal.is_optimal(table) else table for table in config.schedule
    ]
    return config if tables == list(config.schedule) else config.replace(schedule=tables)


def beside_shapes(config: GridConfig, sources: Sequence[Source], draws: Sequence[int]) -> list[Found]:
    """Every optimum of a grid that `solved` has given, beside the best of each usual shape; arguments as there."""
    told, settings = [], _settings(config, sources, draws)
    for table in filter(optimal.is_optimal, config.schedule):
        pairs = itertools.product(optimal.requests(table), settings)
        for (asked, setting), entry in zip(pairs, table["found"], strict=True):
            key = f"schedule {table['name']!r} (kind 'optimal')"
            objective, limits, floors = _posed(key, asked, setting, config.seeds["root"])
            floor, rates = float(floors.mean()), np.array(entry["learning_rates"])
            best = usual_shapes(objective, asked["steps"], limits)
            families = {name: one._replace(loss=one.loss + floor) for name, one in best.items()}
            told.append(Found(table["name"], asked, entry, floor, limits.largest, cap_binds(rates, limits), families))
    return told


def _settings(config, sources, draws):
    """Every problem with every method, named by what sets it apart from the others."""
    axes, combinations = config.problem_combinations()
    settings = []
    for (source, count, parameters), (optimizer, noise, method) in itertools.product(
        zip(sources, draws, combinations, strict=True), config.methods()
    ):
        label = ",".join([*(f"{name}={parameters[name]}" for name in axes), *([method] if method else [])])
        settings.append(Setting(label, source, count, parameters, optimizer, noise))
    return settings


def _solved(config, table, settings):
    """One table with its rates: its own, where they were computed for the same."""
    asked = optimal.requests(table)
    key = f"schedule {table['name']!r} (kind 'optimal')"
    if len(asked) * len(settings) > MOST_OPTIMA:
        raise InputError(
            f"{key}: {len(asked):,} horizons and limits for {len(settings):,} problems and methods are more than the "
            f"{MOST_OPTIMA} optima of a grid; use shorter lists"
        )
    root = config.seeds["root"]
    digest = _digest(asked, settings, root)
    if table.get("found_for") == digest:
        return table
    axes = [one.name for one in optimal.PARAMETERS if isinstance(table[one.name], list)]
    found = [
        _entry(f"{key} of {setting.label}" if setting.label else key, one, setting, root, axes)
        for one, setting in itertools.product(asked, settings)
    ]
    return {**table, "found_for": digest, "found_with": _versions(), "found": found}


def _digest(asked, settings, root):
    """Of all that the rates depend on, but the code; files by their contents."""
    told = []
    for one in settings:
        names_file = {name for name, value in one.parameters.items() if isinstance(value, str) and Path(value).suffix}
        parameters = [(name, value) for name, value in one.parameters.items() if name not in names_file]
        told.append((one.label, parameters, one.source.identity, one.draws, one.optimizer, one.noise))
    draws_matter = any(not one.source.is_same for one in settings)
    text = repr((asked, [repr(one) for one in told], root if draws_matter else 0))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _versions():
    """What searched."""
    from ... import __version__

    return f"simlr {__version__}, SciPy {version('scipy')}"


def _entry(key, asked, setting, root, axes):
    """One optimum, as the table has it."""
    objective, allowed, floor = _posed(key, asked, setting, root)
    pieces = None
    if asked["equal_pieces"]:
        free = asked["steps"] - asked["warmup_steps"]
        if asked["equal_pieces"] > free:
            raise InputError(f"{key}: equal_pieces must be at most {free}, a step each, got {asked['equal_pieces']}")
        pieces = np.diff(np.arange(asked["equal_pieces"] + 1) * free // asked["equal_pieces"])
    problem, best, gap = search(objective, asked["steps"], allowed, pieces)
    rates, lengths = problem.layout.all_rates(best.rates), problem.layout.all_lengths
    return {
        **{name: asked[name] for name in axes},
        "optimised_for": setting.label,
        "expected_loss": _expected_loss(objective, rates, lengths, floor),
        "gradient_norm": float(best.gradient_norm),
        "start_gap": gap,
        "boundaries": np.cumsum(lengths)[:-1].tolist(),
        "learning_rates": rates.tolist(),
    }


def optimum_beside(
    key: str, asked: dict[str, Any], setting: Setting, root: int, schedules: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], float, dict[str, float]]:
    """The rates (T,) of an optimum, its expected loss, and those of schedules {name: (T,)}, all floors included."""
    objective, allowed, floor = _posed(key, asked, setting, root)
    problem, best, _ = search(objective, asked["steps"], allowed)
    rates, lengths = problem.layout.all_rates(best.rates), problem.layout.all_lengths
    ones = np.ones(asked["steps"], np.int64)
    told = {name: _expected_loss(objective, given, ones, floor) for name, given in schedules.items()}
    return np.repeat(rates, lengths), _expected_loss(objective, rates, lengths, floor), told


def _expected_loss(objective, rates, lengths, floor):
    """The mean over the draws of the expected loss after pieces, their floors included."""
    return float(objective.evaluate(rates, lengths, slopes=False).loss.mean() + floor.mean())


def _posed(key, asked, setting, root):
    """(objective, limits, floors (N,)) of what is asked for."""
    given, floor = _problems(key, asked, setting, root)
    limits = {"cap": asked["cap"], "shape": asked["shape"], "warmup_steps": asked["warmup_steps"]}
    limits |= {"peak": asked["peak"]} if asked["peak"] else {}
    objective = read_objective(**given, optimizer=setting.optimizer)
    stable_arguments = given["curvature"], given["noise"], setting.optimizer
    return objective, read_limits(limits, asked["steps"], objective, stable_arguments, f"{key}: "), floor


def _problems(key, asked, setting, root) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What `optimise` takes of the draws of one problem with one noise, and the floors of their losses (N,).

    A population's train floor is in every new row as the labels' variance is, and differs between draws, which the
    search cannot have. So every draw is scaled: residuals by c, such that floor + sigma^2 becomes equal in all of them,
    and weights of the loss by c^-2, which leaves rates and losses as they are.
    """
    count = asked["draws"] or setting.draws
    if count > setting.draws:
        raise InputError(f"{key}: draws must be at most {setting.draws}, the problem's different draws, got {count}")
    drawn = [_one(key, asked["objective"], setting.source, root, draw) for draw in range(count)]
    curvature, residual, offset, weight, floor, train_floor = map(np.array, zip(*drawn, strict=True))
    noise = {name: value for name, value in setting.noise.items() if name != "sampling"}
    if noise["kind"] == "fresh":
        variance = noise["sigma"] ** 2 + train_floor
        largest = variance.max()
        if largest > 0.0 and variance.min() <= 0.0:
            raise InputError(f"{key}: some draws have labels without noise, others with; add noise.sigma")
        scale = np.sqrt(largest / variance)[:, None] if largest > 0.0 else np.ones((count, 1))
        residual, offset, weight = residual * scale, offset * scale, weight / scale**2
        noise["sigma"] = float(np.sqrt(largest))
    given = {"curvature": curvature, "residual": residual, "offset": offset, "test_matrix": weight, "noise": noise}
    return given, floor


def _one(key, objective, source, root, draw):
    """Curvature, residual, offset and weights of one draw, (d,) each, and the floors of the loss and the train loss."""
    batch = (source.modes or source.draw)(root, np.array([draw], np.int64), 1)
    lam, offset, weight = batch.curvature[0], batch.offset[0], batch.test_matrix[0]
    if objective == "train_loss":
        offset, weight = np.zeros_like(lam), 0.5 * lam
    is_sum = weight.ndim == 1 or not (weight - np.diag(np.diag(weight))).any()
    if not is_sum or (objective == "test_loss" and batch.test_slope is not None and batch.test_slope.any()):
        raise InputError(f"{key}: the test loss is no sum of squares along the axes; use objective = 'train_loss'")
    weight = np.diag(weight) if weight.ndim == 2 else weight
    return (
        lam,
        batch.initial_residual[0],
        offset,
        weight,
        getattr(batch, LOSS_FLOORS[objective])[0],
        batch.train_floor[0],
    )
