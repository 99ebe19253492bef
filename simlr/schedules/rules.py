"""What each parameter of a schedule kind must be, RULES, and what it is, MEANINGS; rules that only schedules have."""

import itertools
from functools import partial
from typing import Any

import numpy as np

from ..errors import InputError
from ..inputs import rules
from ..inputs.rules import Rule, VectorRule
from . import shapes
from .registry import Rates

MOST_RATES = 1_000_000  # in a table, which the grid holds as text


@VectorRule
def rate_list(key: str, value: Any) -> Rates:
    """A list of rates, each finite and 0 or more, as `Rates`."""
    if isinstance(value, Rates):
        return value
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, list | tuple) or not value:
        rules.refuse(key, "a list of numbers >= 0, not empty", value)
    if len(value) > MOST_RATES:
        raise InputError(f"{key} must be a list of at most {MOST_RATES:,} rates, got {len(value):,}")
    return Rates(rules.not_negative(f"{key}[{i}]", rate) for i, rate in enumerate(value))


@VectorRule
def ascending(key: str, value: Any) -> tuple[int, ...]:
    """A list of steps, each later than the one before."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    rule = "a list of ascending whole numbers >= 1"
    if not isinstance(value, list | tuple) or not value:
        rules.refuse(key, rule, value)
    steps = tuple(rules.count(f"{key}[{i}]", step) for i, step in enumerate(value))
    if any(late <= early for early, late in itertools.pairwise(steps)):
        rules.refuse(key, rule, value)
    return steps


@VectorRule
def positive_list(key: str, value: Any) -> Rates:
    """A list of numbers above 0, as `Rates`."""
    found = Rates(rate_list(key, value))
    for i, one in enumerate(found):
        rules.positive(f"{key}[{i}]", one)
    return found


# What each parameter of any kind must be.
RULES: dict[str, Rule] = {
    "learning_rate": rules.not_negative,
    "start_learning_rate": rules.not_negative,
    "end_learning_rate": rules.not_negative,
    "learning_rates": rate_list,
    "boundaries": ascending,
    "milestones": ascending,
    "gamma": rules.positive,
    "power": rules.positive,
    "time_scale": rules.positive,
    "step_size": rules.count,
    "transition_steps": rules.count,
    "cycle_steps": rules.count,
    "cycle_factor": rules.count,
    "up_steps": rules.count,
    "down_steps": rules.count_or_none,
    "warmup_steps": rules.count_or_none,
    "decay_steps": rules.count,
    # Of the steps; a rise may be left out, a fall may not: without one there is no such kind.
    "warmup_fraction": partial(rules.number, least=0.0, most=1.0, rule="a number from 0 to 1"),
    "decay_fraction": partial(rules.number, above=0.0, most=1.0, rule="a number > 0, at most 1"),
    "cycle_growth": partial(rules.number, least=1.0, rule="a finite number >= 1"),
    "peak_factor": partial(rules.number, above=0.0, most=1.0, rule="a number > 0, at most 1"),
    "division_factor": rules.positive,
    "final_division_factor": rules.positive,
    "three_phase": rules.flag,
    "anneal": rules.one_of(*shapes.INTERPOLATIONS),
    "interpolation": rules.one_of(*shapes.INTERPOLATIONS),
    "decay": rules.one_of(*shapes.DECAYS),
    "smallest_curvature": rules.positive,
    "largest_curvature": rules.positive,
    "curvature": positive_list,
    "interval_ratio": lambda key, value: rules.number(key, value, above=1.0, rule="a finite number > 1"),
    # Where a table comes from, or nothing.
    "source": lambda key, value: value if value == "" else rules.text(key, value),
    "steps": rules.count,
}
# What each is, in words, for those who ask for a kind by name.
MEANINGS = {
    "learning_rate": "as in the formula",
    "start_learning_rate": "the rate at the start",
    "end_learning_rate": "the rate that it comes to",
    "learning_rates": "a list of rates",
    "boundaries": "the steps at which the next rate begins, or is reached, ascending",
    "milestones": "the steps at which the rate is multiplied by gamma, ascending",
    "gamma": "what the rate is multiplied by",
    "power": "the exponent in the formula",
    "time_scale": "in steps: at so many the rate has fallen to 1 / sqrt(2) of the first",
    "step_size": "steps from fall to fall",
    "transition_steps": "steps in which the rate is multiplied by gamma once",
    "cycle_steps": "steps of the first cycle",
    "cycle_factor": "how many times as long as the one before each cycle is",
    "cycle_growth": "how many times as long as the one before each cycle is",
    "peak_factor": "what the peak is multiplied by from cycle to cycle",
    "up_steps": "steps in which the rate rises",
    "down_steps": "steps in which it falls; 0 = as many as up_steps",
    "warmup_steps": "steps of the linear rise before",
    "decay_steps": "the last steps, in which the rate falls",
    "warmup_fraction": "share of the steps in which the rate rises",
    "division_factor": "the first rate is learning_rate over it",
    "final_division_factor": "the last rate is the first one over it",
    "three_phase": "whether the way down is as long as the way up, with a third phase to the last rate",
    "anneal": f"the form of rise and fall: {' or '.join(shapes.INTERPOLATIONS)}",
    "interpolation": f"the form between two rates: {' or '.join(shapes.INTERPOLATIONS)}",
    "decay": f"the form of the fall: {', '.join(shapes.DECAYS)}",
    "smallest_curvature": "m, the smallest eigenvalue that counts",
    "largest_curvature": "L, the largest eigenvalue",
    "curvature": "the spectrum, a list of eigenvalues",
    "interval_ratio": "b, the ratio of the two ends of an interval of eigenvalues",
    "source": "where the rates come from, in words",
    # of reduce_on_plateau
    "factor": "what the rate is multiplied by after a plateau",
    "patience": "looks in a row that may pass without an improvement",
    "threshold": "of an improvement: loss < best (1 - threshold), or best - threshold where that is absolute",
    "threshold_mode": "relative or absolute",
    "cooldown": "looks after a fall that do not count",
    "min_learning_rate": "no rate is below it",
    "epsilon": "a fall of at most so much is not made",
    "every": "steps from look to look; the start is no look",
    "monitor": "the loss that is looked at: train_loss, of all train rows, or validation_loss",
}
