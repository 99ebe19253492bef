"""Lines of theory on the pictures of a run of exact means: the limit of stability, and the noise floor."""

import math
from typing import Any

import numpy as np

from ...analysis.summary import problem_groups
from ...store.run import Run
from ..view import View

MOST_SEEDS, MOST_AXES = 16, 10_000  # of each problem, that are looked at; beyond so many axes nothing is drawn
NEAR = 3.0  # a limit is drawn up to so many times the largest rate that was tried
LOOK = {"linestyle": (0, (1, 2)), "linewidth": 1.4, "zorder": 0}


def draw_limit(view: View, panel: Any, schedule: str, problem: tuple, line: dict) -> bool:
    """Draw where a constant rate of a schedule's optimiser and noise stops being stable, if near what was tried."""
    limit = _median(view.run, schedule, problem, "limit")
    tried = max((float(value) for drawn in panel.get_lines() for value in drawn.get_xdata()), default=math.nan)
    if not limit <= NEAR * tried:
        return False
    panel.axvline(limit, color=line["color"], **LOOK)
    return True


def draw_floor(view: View, panel: Any, schedule: str, line: dict) -> bool:
    """Draw the train loss at which a constant rate settles."""
    if view.run.config.expectation is None or "schedule_learning_rate" not in view.run.names:
        return False
    kind, rate = (view.run[f"schedule_{key}"][view.index(schedule)] for key in ("kind", "learning_rate"))
    if kind != "constant":
        return False
    floor = _median(view.run, schedule, problem_groups(view.run)[0][0], "floor", float(rate))
    if not 0.0 < floor < math.inf:
        return False
    panel.axhline(floor, color=line["color"], **LOOK)
    return True


def _median(run: Run, schedule: str, problem: tuple, what: str, rate: float | None = None) -> float:
    """The median over a problem's seeds of the limit, in the schedule's unit, or of the floor of a rate in that unit.

    NaN where the theory says nothing (draws of noise, mini-batches, batches that grow), and for a floor beside one that
    no rate goes below.
    """
    from ...engine.stability import stability
    from ...errors import InputError

    if run.config.expectation is None or run.part("curvature", 0).size > MOST_AXES:
        return math.nan
    seeds = dict(problem_groups(run))[problem][:MOST_SEEDS]
    index = run["schedule"].tolist().index(schedule)
    *_, optimizer, noise = run.config.combinations()[index]
    curvature = np.maximum([run.part("curvature", seed) for seed in seeds.tolist()], 0.0)
    unit = run["sharpness"][seeds] if run["schedule_unit"][index] == "sharpness" else np.ones(seeds.size)
    if what == "floor" and (run["train_floor"][seeds] > 0.0).any():
        return math.nan
    try:
        if what == "limit":
            return float(np.median(stability(curvature, noise, optimizer).limit * unit))
        found = [stability(lam[None], noise, optimizer, rate / one) for lam, one in zip(curvature, unit, strict=True)]
    except InputError:
        return math.nan
    return float(np.median([one.floor[0] for one in found]))
