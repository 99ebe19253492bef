"""Runs that stop after budgets of steps: the state after exactly so many, in whatever way the steps are taken.

A budget is a moment that is recorded of every seed, in a run without levels; closed forms jump from one to the next.
"""

import numpy as np
from numpy.typing import NDArray

from ..kernels.arrays import Cells, Rates
from ..kernels.status import BUDGET_SPENT, DIVERGED, OUT_OF_STEPS


def without_levels(cells: Cells) -> Cells:
    """Cells that no level stops but one, never reached, at which a divergence is noted; all have their moments kept."""
    seeds = cells.row.size
    return cells._replace(threshold=np.full((seeds, 1), -1.0), row=np.arange(seeds))


def rates_to(rates: Rates, budgets: NDArray[np.int64]) -> Rates:
    """Rates as far as the largest budget, which record what the cells are at the budgets.

    Parameters
    ----------
    rates : arrays.Rates
        Of S schedules.
    budgets : (E,) int64
        Steps, ascending.

    Returns
    -------
    arrays.Rates
        With record_step (S, E + 1): the start and the budgets, -1 where a schedule is shorter.
    """
    length = np.minimum(rates.length, budgets[-1])
    moments = np.append(0, budgets)
    record_step = np.where(moments <= length[:, None], moments, -1)
    return rates._replace(length=length, record_step=record_step, last_record=record_step.max(axis=1))


def stopped(
    budgets: NDArray[np.int64], times: NDArray[np.float64], length: NDArray[np.int64], end: tuple,
    moments: dict[str, NDArray[np.float64]],
) -> dict[str, NDArray]:  # fmt: skip
    """What the cells were after each budget, in the fields of a Course or Passages.

    Parameters
    ----------
    budgets : (E,) steps, ascending.
    times : (S, E) of so many steps, in the schedules' units.
    length : (S,) steps of the schedules.
    end : (status, step, time, {field: (S, N, 1, ..)}) where a cell without levels diverged or ended.
    moments : {field: (S, N, E + 1, ..)} at the start and the budgets.

    Returns
    -------
    {field: (S, N, E, ..)}. A schedule that has fewer steps than the budget ends out of steps, and is what it was at its
    end.
    """
    status, step, time, last = end
    diverged = (status == DIVERGED) & (step <= budgets)
    complete = ~diverged & (budgets <= length[:, None])[:, None, :]
    outcome = np.where(diverged, DIVERGED, OUT_OF_STEPS)
    stops = {
        "status": np.where(complete, BUDGET_SPENT, outcome).astype(np.uint8),
        "stop_step": np.where(complete, budgets, step),
        "stop_time": np.where(complete, times[:, None, :], time),
    }
    states = {name: np.where(complete[..., None], moments[name][:, :, 1:], last[name]) for name in last}
    return stops | {name: np.ascontiguousarray(values) for name, values in states.items()}
