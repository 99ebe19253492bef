"""Laws on the runs of grids: their recorded trajectories as curves, and the exact optimum of their problem."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..analysis.summary import problem_groups
from ..config import optimal
from ..errors import InputError, unknown
from ..inputs import rules
from ..problems import registry
from ..schedules import batch_sizes
from ..store.run import Run
from .curve import Curve
from .files import MOST_STEPS, Read

LOSSES = ("test_loss", "train_loss")


class Exact(NamedTuple):
    """What the problem of a run says of schedules."""

    rates: NDArray[np.float64]  # (T,) of the optimum
    optimum: float  # the expected loss after its last step
    losses: dict[str, float]  # the same of the schedules that it is held against


def curves_of_run(run: Run, problem: Mapping[str, Any] | None = None, loss: str = "test_loss") -> list[Read]:
    """The recorded trajectories of a run as loss curves, one a schedule: means over the recorded seeds.

    Parameters
    ----------
    run
        Of a grid with [record] points.
    problem
        Values of the problem's parameters that are axes, for a law is of one problem: {"capacity": 2.0}. As far as the
        run has several.
    loss
        "test_loss" or "train_loss".

    Returns
    -------
    list of Read
        Schedules that diverge, and gradient flows, are left out, which the notes of the first curve say.

    Raises
    ------
    InputError
        A ValueError: nothing is recorded, several problems, optimisers or noises, rates in units of the sharpness.
    """
    rules.one_of(*LOSSES, noun="loss")("loss", loss)
    if run.is_study or "recorded_step" not in run.names:
        raise InputError("no trajectories are recorded: a law is fitted to the losses along the way; use record.points")
    cells, moments = run.config.combinations(), run["recorded_step"]
    _, noise = _method(run)
    if batch_sizes.grows(noise):
        raise InputError("a law of a run is of one batch size, and here it grows; take losses from CSV files")
    batch = float(noise.get("batch_size", 1))
    seeds = _seeds(run, problem or {})
    rows = np.flatnonzero(np.isin(run.recorded_rows, seeds))
    if not rows.size:
        raise InputError("of that problem no seed's trajectory is recorded; use record.seeds")
    found, left = [], []
    for s, (schedule, *_) in enumerate(cells):
        steps = moments[s]
        losses = np.asarray(run.part(f"trajectory_{loss}", s))[rows].mean(axis=0)
        used = steps >= 1
        if schedule.flows or not used.any() or not (np.isfinite(losses[used]) & (losses[used] > 0.0)).all():
            left.append(schedule.name)
            continue
        if schedule.unit != "absolute":
            raise InputError(f"schedule {schedule.name!r}: a law is of absolute rates, and these are in units of the "
                             f"{schedule.unit}")  # fmt: skip
        at, places = np.unique(steps[used], return_index=True)
        if at[-1] > MOST_STEPS:
            raise InputError(f"schedule {schedule.name!r}: a law takes at most {MOST_STEPS:,} steps, got {at[-1]:,}")
        rates = schedule.rates(0, int(at[-1]))
        if np.isnan(rates).any():
            raise InputError(f"schedule {schedule.name!r}: its rates are not known, for its plug-in is not loaded")
        found.append(Curve(schedule.name, rates, at, losses[used][places], batch))
    if not found:
        raise InputError("no schedule has a trajectory of finite losses after its first step")
    notes = (f"left out, for they diverge or take no steps: {', '.join(left)}",) if left else ()
    return [Read(curve, notes if i == 0 else ()) for i, curve in enumerate(found)]


def exact_losses(
    run: Run, schedules: Mapping[str, ArrayLike], problem: Mapping[str, Any] | None = None, loss: str = "test_loss",
    *, warmup: int = 0,
) -> Exact:  # fmt: skip
    """The exact optimum of a run's problem that never rises after the warm-up, and the exact losses of schedules.

    Parameters
    ----------
    run
        Of a grid with a problem, a noise and an optimiser that `simlr.optimise` takes.
    schedules
        {name: rates (T,)}, all of as many steps; the optimum's highest rate is the highest of theirs.
    problem, loss
        As for `curves_of_run`.
    warmup
        Steps in which the optimum rises, part of T.

    Raises
    ------
    InputError
        A ValueError: where there is no such optimum, as with mini-batches of rows.
    """
    from ..engine.optimal import in_grid

    given = {name: np.asarray(rates, np.float64) for name, rates in schedules.items()}
    steps, peak = next(iter(given.values())).size, max(float(rates.max()) for rates in given.values())
    asked = {**{one.name: one.default for one in optimal.PARAMETERS}, "steps": steps, "objective": loss}
    asked |= {"shape": "monotone", "peak": peak, "warmup_steps": warmup}
    optimizer, noise = _method(run)
    optimal.check_methods(({"kind": optimal.KIND},), [(optimizer, noise, "")])
    axes, combinations = run.config.problem_combinations()
    chosen = _chosen(axes, combinations, problem or {})
    source = registry.find("problem.kind", run.config.problem["kind"]).prepare(chosen, Path(run.config.folder))
    draws = 1 if source.is_same else min(run.config.seeds["count"], source.limit or run.config.seeds["count"])
    setting = in_grid.Setting("", source, draws, chosen, optimizer, noise)
    return Exact(*in_grid.optimum_beside("the run's problem", asked, setting, run.config.seeds["root"], given))


def _method(run):
    """(optimizer, noise) of a run with one of each."""
    methods = {repr(cell[2:]): cell[2:] for cell in run.config.combinations()}
    if len(methods) > 1:
        raise InputError(f"a law is of one optimiser and one noise, and the run has {len(methods)} of them")
    return next(iter(methods.values()))


def _chosen(axes: Sequence[str], combinations: list[dict], wanted: Mapping[str, Any]) -> dict:
    """The one combination of problem parameters that has the wanted values."""
    for name in wanted:
        if name not in axes:
            raise unknown("--problem", name, axes, "axis of the problem")
    fitting = [one for one in combinations if all(one[name] == value for name, value in wanted.items())]
    if len(fitting) == 1:
        return fitting[0]
    open_axes = {name: sorted({one[name] for one in fitting or combinations}, key=repr) for name in axes}
    told = "; ".join(f"{name}: {', '.join(map(str, values))}" for name, values in open_axes.items() if len(values) > 1)
    raise InputError(
        f"a law is of one problem, and {len(fitting)} have these values; --problem NAME=VALUE chooses, of {told}"
    )


def _seeds(run, wanted):
    """The places of the seeds of one problem."""
    axes, combinations = run.config.problem_combinations()
    chosen = _chosen(axes, combinations, wanted)
    for parameters, seeds in problem_groups(run):
        if all(chosen[name] == value for name, value in parameters if name in axes):
            return seeds
    raise InputError("the run has no seed of that problem")
