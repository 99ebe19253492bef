"""What a schedule of a plan is, whatever it is called and wherever it stands: how two plans' schedules are matched."""

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from ..config import optimal
from .plan import Plan

NONE = -1


def definition(plan: Plan, s: int) -> Hashable:
    """What schedule s is, with its optimiser and noise, but for its name, its length and what was computed for it."""
    parameters = {key: value for key, value in plan.parameters[s].items() if key not in optimal.TOLD[1:]}
    optimizer, noise = plan.methods[s]
    return plan.schedules[s].unit, plan.schedules[s].flows, *map(_as_key, (parameters, optimizer, noise))


def _as_key(table):
    """A table that can be looked up, whatever the order of its keys."""
    return tuple(sorted((key, repr(value)) for key, value in table.items()))


def matched(plan: Plan, other: Plan) -> tuple[NDArray[np.int64], list[int]]:
    """Which schedule of another plan each of a plan's is.

    Returns
    -------
    found : (S,) int64
        The other's number of every schedule; NONE where it has none of this definition.
    lost : list of int
        The other's schedules that the plan has not.
    """
    waiting: dict[Hashable, list[int]] = {}
    for s in range(len(other.schedules)):
        waiting.setdefault(definition(other, s), []).append(s)
    found = np.full(len(plan.schedules), NONE)
    for s in range(found.size):
        same = waiting.get(definition(plan, s))
        if same:
            found[s] = same.pop(0)
    return found, sorted(s for left in waiting.values() for s in left)
