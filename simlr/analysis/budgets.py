"""Which schedules are made for a budget of steps: what it would cut off is compared with nothing at that budget.

Schedules that differ in nothing but the budget that each is made for are one schedule, and a line of a table.
"""

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..config import optimal
from ..schedules.schedule import FLOW, Schedule
from ..store.run import Run

STEPS = "steps"
# Of every run that is still in use: a grid of thousands of schedules takes long to expand.
_made_of_runs: WeakKeyDictionary = WeakKeyDictionary()
_lines_of_runs: WeakKeyDictionary = WeakKeyDictionary()


def made_for(run: Run) -> NDArray[np.bool_]:
    """Whether each schedule of a run is made for each level.

    Where levels are budgets of steps: one that has as many steps, or has one learning rate throughout, or is given
    without an end and so runs as long as one lets it. Every schedule is made for a level that is no budget.

    Parameters
    ----------
    run
        Finished or not.

    Returns
    -------
    bool (S, E)
        Read-only.
    """
    if run not in _made_of_runs:
        budgets = run["level"]
        made = np.ones((run["schedule"].size, budgets.size), bool)
        if run.config.level_kind == STEPS:
            for s, (schedule, parameters, *_) in enumerate(run.config.combinations()):
                endless = is_constant(schedule) or _is_endless(schedule, parameters, run.config.stop["max_steps"])
                made[s] = budgets <= schedule.length if endless else budgets == schedule.length
        made.setflags(write=False)
        _made_of_runs[run] = made
    return _made_of_runs[run]


def lines_of(run: Run) -> dict[int, list[int]]:
    """The schedules of a run that are one schedule, made anew for each budget of steps.

    They are of one [[schedule]] table, each is made for one budget that no other one is made for, and their parameters
    differ in numbers of steps alone; what speaks for an optimal one is no parameter.

    Parameters
    ----------
    run
        Finished or not.

    Returns
    -------
    dict
        {place: the places of all that are one with it}; without those that stand alone.
    """
    if run not in _lines_of_runs:
        _lines_of_runs[run] = _found_lines(run)
    return _lines_of_runs[run]


def _found_lines(run):
    """`lines_of` a run that was not looked at before."""
    made = made_for(run)
    alike: dict = {}
    if run.config.level_kind != STEPS or run["level"].size < 2:
        return {}
    for s, (table, (_, own, *method)) in enumerate(zip(run.config.families(), run.config.combinations(), strict=True)):
        if made[s].sum() == 1:
            found = optimal.EVIDENCE if optimal.is_optimal(own) else ()
            fixed = {key: value for key, value in own.items() if not key.endswith(STEPS) and key not in found}
            alike.setdefault((table, repr(fixed), repr(method)), []).append(s)
    lines = [places for places in alike.values() if len(places) > 1 and made[places].sum(axis=0).max() == 1]
    return {s: places for places in lines for s in places}


def at_each_budget(run: Run, s: int) -> list[int]:
    """The place, for each level, of what is one schedule with that at place `s` and made for the level; else `s`."""
    made, line = made_for(run), lines_of(run).get(s, [s])
    return [next((other for other in line if made[other, e]), s) for e in range(run["level"].size)]


def is_constant(schedule: Schedule) -> bool:
    """Whether the discrete steps of a schedule have one learning rate."""
    rates = [rate for _, steps, rate in schedule.pieces() if steps]
    return bool(rates) and rates[0] is not None and len(set(rates)) == 1


def _is_endless(schedule, parameters, most):
    """Whether no number of steps was given for the end of a schedule, and it has as many as there are."""
    last = f"phase{len(schedule.phases)}_" if "phase1_kind" in parameters else ""
    kind = parameters[f"{last}kind"]
    return kind not in ("table", FLOW) and f"{last}steps" not in parameters and schedule.length == most
