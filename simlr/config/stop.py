"""The [stop] table of a grid: the rule by which its runs are stopped and compared, one a grid, checked and cast.

The values of a rule are its levels: a run is looked at once for each of them, and they are the run file's axis `level`.
"""

from functools import partial

from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import REQUIRED, Parameter, check_keys, read_parameters
from ..schedules.schedule import Schedule
from ..text import powers
from .axes import cast_different

LARGEST_LEVEL = 1e100
# Budgets are levels, and levels are written as float64.
LARGEST_BUDGET = 2**53
DEFAULT_MAX_STEPS = 1_000_000
LANDINGS = STEP, EXACT = "step", "exact"
VALIDATION, PATIENCE = "validation", "validation_patience"
DELTA_MODES = ABSOLUTE, RELATIVE = "absolute", "relative"  # of stop.validation.min_delta
# rule -> its meaning, for a list of them.
RULES = {
    "train_loss": "first step, or moment of a flow, with train loss <= level",
    "excess_train_loss": "the same with train loss - train_floor <= level",
    "train_loss_fraction": "the same with train loss <= level * the seed's train loss at the start",
    "steps": "after exactly so many discrete steps",
    VALIDATION: "{ patience = [5, 20], every = 10, min_delta = 0.0, restore = true }: once the validation loss, looked "
    "at every so many steps, has not fallen by more than min_delta, a loss or, with min_delta_mode = 'relative', "
    "a share of the best, for `patience` looks in a row",
}
# What a run of these stops at is a train loss; of the first ones the same for every seed, but for its floor.
SAME_LOSS_KINDS = ("train_loss", "excess_train_loss")
LOSS_KINDS = (*SAME_LOSS_KINDS, "train_loss_fraction")


def check(table: dict) -> dict:
    """The rule and the largest number of steps: {rule: levels or its table, "max_steps": ...}.

    `landing` is there only where it is EXACT, and `min_delta_mode` where it is RELATIVE, so that other grids are what
    they were without such keys.
    """
    check_keys("stop", table, (*RULES, "landing", "max_steps"))
    given = [rule for rule in RULES if rule in table]
    if len(given) != 1:
        raise InputError(f"stop must have exactly one of {', '.join(RULES)}, got {' and '.join(given) or 'none'}")
    rule = given[0]
    if rule != VALIDATION:
        checked = _levels(f"stop.{rule}", table[rule], CHECKS[rule])
    elif not isinstance(table[rule], dict):
        rules.refuse("stop.validation", "a table, e.g. { patience = [5, 20], every = 10 }", table[rule])
    else:
        check_keys("stop.validation", table[rule], (parameter.name for parameter in VALIDATION_PARAMETERS))
        if "patience" not in table[rule]:
            raise InputError("stop.validation.patience is missing: looks in a row without an improvement, e.g. [5, 20]")
        checked = _checked_validation(table[rule])
    # Where there are budgets, by default and at least the largest of them.
    largest = max(checked) if rule == "steps" else None
    given_steps = table.get("max_steps", largest or DEFAULT_MAX_STEPS)
    steps = rules.count("stop.max_steps", given_steps)
    if largest and steps < largest:
        rules.refuse("stop.max_steps", f"at least the largest of stop.steps, {largest}", given_steps)
    landing = rules.one_of(*LANDINGS, noun="landing")("stop.landing", table.get("landing", STEP))
    if landing == EXACT and rule not in LOSS_KINDS:
        raise InputError(f"stop.landing = 'exact' shortens a step to a train loss, and stop.{rule} has none to land on")
    return {rule: checked, **({"landing": EXACT} if landing == EXACT else {}), "max_steps": steps}


def lands(stop: dict) -> bool:
    """Whether the step at which a level is met is shortened to it."""
    return stop.get("landing") == EXACT


def level_kind(stop: dict) -> str:
    """What the levels are: the rule, and PATIENCE where that is VALIDATION."""
    return PATIENCE if VALIDATION in stop else next(rule for rule in RULES if rule in stop)


def levels(stop: dict) -> list[float] | list[int]:
    """The levels in the order given."""
    return stop[VALIDATION]["patience"] if VALIDATION in stop else stop[level_kind(stop)]


def describe(stop: dict) -> str:
    """The rule in one line."""
    kind, given = level_kind(stop), ", ".join(f"{level:g}" if level < 1 else str(level) for level in levels(stop))
    if kind != PATIENCE:
        return powers(f"{kind} {given}{', steps shortened to land on it' if lands(stop) else ''}")
    rule = stop[VALIDATION]
    least = f"{rule['min_delta']:g}{' of the best' if 'min_delta_mode' in rule else ''}"
    return powers(f"validation with patience {given}, a look every {rule['every']} steps, min_delta {least}")


def check_schedule(stop: dict, schedule: Schedule) -> None:
    """Refuse a schedule that the rule cannot stop."""
    if "steps" in stop and schedule.flows:
        beyond = [budget for budget in stop["steps"] if budget > schedule.length]
        if beyond:
            raise InputError(
                f"stop.steps: a budget of {min(beyond)} steps falls into the flow of schedule {schedule.name!r}, "
                f"which begins after {schedule.length}"
            )
    if schedule.plateau and schedule.plateau["every"] > schedule.length:
        raise InputError(
            f"schedule {schedule.name!r}: every must be at most its {schedule.length} steps, else no look is taken, "
            f"got {schedule.plateau['every']}"
        )
    if VALIDATION in stop:
        if schedule.flows:
            raise InputError(
                f"stop.validation looks between steps, and schedule {schedule.name!r} has a flow; "
                "a constant of a small learning rate comes near to it"
            )
        if schedule.length < stop[VALIDATION]["every"]:
            raise InputError(
                f"stop.validation.every must be at most the steps of every schedule, "
                f"{schedule.length} of {schedule.name!r}, got {stop[VALIDATION]['every']}"
            )


def _checked_validation(table):
    """The table of stop.validation, cast."""
    checked = read_parameters("stop.validation", table, VALIDATION_PARAMETERS)
    if checked["min_delta_mode"] == ABSOLUTE:
        del checked["min_delta_mode"]
    elif checked["min_delta"] >= 1.0:
        rule = "a share of the best loss where min_delta_mode is 'relative': a number >= 0, below 1"
        rules.refuse("stop.validation.min_delta", rule, checked["min_delta"])
    return checked


def _levels(key, value, rule):
    """A list of different levels; a single value is a list of one."""
    given = value if isinstance(value, list | tuple) else [value]
    return cast_different(key, given, rule, "levels", "a list of at least one level")


def _budget(key, value):
    """A number of steps."""
    return rules.count(key, value, most=LARGEST_BUDGET)


CHECKS = {
    # A run beyond the largest train loss has diverged.
    "train_loss": partial(rules.number, least=0.0, most=LARGEST_LEVEL, rule=f"a number from 0 to {LARGEST_LEVEL:g}"),
    # An excess of 0 is never reached.
    "excess_train_loss": partial(
        rules.number, above=0.0, most=LARGEST_LEVEL, rule=f"a number > 0, at most {LARGEST_LEVEL:g}"
    ),
    # All of the train loss at the start is no stop.
    "train_loss_fraction": partial(
        rules.number, above=0.0, most=1.0 - 2.0**-53, rule="a number between 0 and 1, neither included"
    ),
    "steps": _budget,
}
VALIDATION_PARAMETERS = (
    Parameter(
        "patience", lambda key, value: _levels(key, value, _budget), REQUIRED, "looks in a row, a list of levels"
    ),
    Parameter("every", _budget, 10, "steps from look to look"),
    Parameter("min_delta", rules.not_negative, 0.0, "the least fall of the loss that counts"),
    Parameter(
        "min_delta_mode",
        rules.one_of(*DELTA_MODES, noun="mode"),
        ABSOLUTE,
        "whether that is a loss, or a share of the best loss so far",
    ),
    Parameter("restore", rules.flag, True, "whether the losses are those of the best look"),
)
