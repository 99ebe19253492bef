"""How far the schedules of a grid end from the optimum of the same steps, where the grid has an optimal schedule."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import optimal
from ..schedules.schedule import Schedule
from ..store.run import Run
from .budgets import STEPS, made_for
from .schedule_parts import ScheduleParts
from .summary import columns_of, problem_groups

FITTED = 200  # rates that an exponent is fitted to
LOSSES = {"test_loss": "test_floor", "train_loss": "train_floor"}


@dataclass(frozen=True, slots=True)
class Distance:
    """A schedule at the end of its steps, beside the optimum of as many steps, in one problem combination."""

    family: str  # the [[schedule]] table that it comes from
    schedule: str
    problem: tuple[tuple[str, Any], ...]
    level: float  # the number of steps
    measure: str  # the loss that the optimum makes least
    loss: float  # its mean over the seeds, above the floor where that is known
    optimum: float  # the same of the optimum
    ratio: float  # loss / optimum
    exponent: float  # gamma of a rate in proportion to (1 - t/N)^gamma, over the first half of the N steps
    best: bool  # whether its loss is the least of its family
    is_optimum: bool  # whether it is the optimum itself

    def record(self) -> dict[str, Any]:
        """The row as {column: value}, each problem parameter a column of its own."""
        return columns_of(self, "family", "schedule")


def shape_exponent(schedule: Schedule) -> float:
    """gamma of the least-squares line log eta_t = const + gamma log(1 - t/N) over the first half of the N steps.

    NaN where a rate is 0 there (a warm-up), and with fewer than 4 steps.
    """
    steps = schedule.length
    if steps < 4 or schedule.flows:
        return np.nan
    at = np.unique(np.linspace(0, steps // 2, FITTED).astype(np.int64))
    rates = np.array([schedule.rates(t, t + 1)[0] for t in at.tolist()])
    if not ((rates > 0.0) & np.isfinite(rates)).all():
        return np.nan
    x, y = np.log1p(-at / steps), np.log(rates)
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())


def distances(run: Run, parts: ScheduleParts | None = None) -> list[Distance]:
    """A `Distance` of every schedule, problem combination and budget of steps that it is made for.

    The optimum is the least loss of the schedules of kind "optimal" with the same optimiser and noise. None where the
    grid has no such schedule, or more than one loss that they make least.

    Parameters
    ----------
    run
        Finished or not.
    parts
        What was read of the run already; read anew where it is None.
    """
    if run.is_study or run.config.level_kind != STEPS or not any(map(optimal.is_optimal, run.config.schedule)):
        return []
    cells, tables = run.config.combinations(), run.config.families()
    measures = {own["objective"] for _, own, _, _ in cells if own.get("kind") == optimal.KIND}
    if len(measures) > 1:
        return []
    parts, made, rows, (measure,) = parts or ScheduleParts(run), made_for(run), [], measures
    exponents = [shape_exponent(schedule) for schedule, *_ in cells]
    groups: dict[str, list[int]] = {}
    for s, (_, _, optimizer, noise) in enumerate(cells):
        groups.setdefault(repr((optimizer, noise)), []).append(s)
    for problem, seeds in problem_groups(run):
        floor = run[LOSSES[measure]][seeds]
        floor = float(floor.mean()) if np.isfinite(floor).all() else 0.0
        for e, level in enumerate(run["level"].tolist()):
            for group in groups.values():
                members = [s for s in group if made[s, e]]
                loss = {s: float(parts(measure, s)[seeds, e].mean()) - floor for s in members}
                for s, is_best, optimum, is_optimum in _judged(loss, members, cells, tables):
                    name, ratio = cells[s][0].name, loss[s] / loss[optimum] if loss[optimum] > 0.0 else np.nan
                    told = (measure, loss[s], loss[optimum], ratio, exponents[s], is_best, is_optimum)
                    rows.append(Distance(tables[s], name, problem, level, *told))
    return rows


def _judged(loss, members, cells, tables):
    """(schedule, whether it is the best of its family, the optimum, whether it is that one) of each that is given."""
    finite = [s for s in members if np.isfinite(loss[s])]
    optima = [s for s in finite if cells[s][1].get("kind") == optimal.KIND]
    if not optima:
        return []
    optimum = min(optima, key=loss.__getitem__)
    best: dict[str, int] = {}
    for s in finite:
        if tables[s] not in best or loss[s] < loss[best[tables[s]]]:
            best[tables[s]] = s
    return [(s, best.get(tables[s]) == s, optimum, s == optimum) for s in members]
