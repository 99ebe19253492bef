"""Learning-rate schedules as pure functions of the step.

A schedule is a list of phases; a phase is one of the functions below over a number of steps, and the last may be a
gradient flow, which has no steps and ends by itself. Each function takes the steps t as a float64 array (0 is the first
step of its phase) and returns the learning rates eta_t, in units of the inverse curvature. To add a schedule, write its
function and mark it with @schedule: the grid file, `tabulate` and `--list` then know it.
"""

import inspect
from dataclasses import dataclass

import numpy as np

from . import rules
from .errors import InputError, unknown

FLOW = "flow"
MOST_PIECES = 4096
PHASES = "phases"

# What each parameter of any schedule must be.
RULES = {
    "learning_rate": rules.not_negative,
    "start_learning_rate": rules.not_negative,
    "end_learning_rate": rules.not_negative,
    "gamma": rules.positive,
    "step_size": rules.count,
    "power": rules.positive,
    "steps": rules.count,
}

_FUNCTIONS = {}


def schedule(function):
    """Enter a function (t, steps, **parameters) -> rates among the schedules, under its own name."""
    _FUNCTIONS[function.__name__] = function
    return function


@schedule
def constant(t, steps, learning_rate):
    """eta_t = learning_rate."""
    return np.full(t.shape, learning_rate)


@schedule
def step(t, steps, learning_rate, step_size, gamma=0.1):
    """eta_t = learning_rate * gamma^floor(t / step_size)  (torch.optim.lr_scheduler.StepLR)."""
    return learning_rate * gamma ** np.floor(t / step_size)


@schedule
def exponential(t, steps, learning_rate, gamma):
    """eta_t = learning_rate * gamma^t  (torch.optim.lr_scheduler.ExponentialLR)."""
    return learning_rate * gamma**t


@schedule
def linear(t, steps, learning_rate, end_learning_rate=0.0):
    """eta_t = learning_rate + (end_learning_rate - learning_rate) t / steps  (optax.linear_schedule)."""
    return learning_rate + (end_learning_rate - learning_rate) * (t / steps)


@schedule
def polynomial(t, steps, learning_rate, power, end_learning_rate=0.0):
    """eta_t = end + (learning_rate - end) (1 - t / steps)^power  (optax.polynomial_schedule)."""
    return end_learning_rate + (learning_rate - end_learning_rate) * (1.0 - t / steps) ** power


@schedule
def cosine(t, steps, learning_rate, end_learning_rate=0.0):
    """eta_t = end + (learning_rate - end) (1 + cos(pi t / steps)) / 2  (Loshchilov and Hutter 2017, eq. 5)."""
    return end_learning_rate + (learning_rate - end_learning_rate) * (0.5 * (1.0 + np.cos(np.pi * (t / steps))))


@schedule
def warmup(t, steps, learning_rate, start_learning_rate=0.0):
    """eta_t = start + (learning_rate - start) t / steps: linear warm-up, to be followed by another phase."""
    return start_learning_rate + (learning_rate - start_learning_rate) * (t / steps)


@dataclass(frozen=True)
class Phase:
    """One learning-rate function over a number of steps."""

    kind: str
    steps: int
    parameters: tuple  # ((name, value), ...)

    def rates(self, first, last):
        """Learning rates of the phase's steps first..last - 1, float64 (last - first,)."""
        t = np.arange(first, last, dtype=np.float64)
        # A rate may grow beyond all numbers, where a run diverges without a warning; 0 times that is 0.
        with np.errstate(over="ignore", invalid="ignore"):
            rates = _FUNCTIONS[self.kind](t, self.steps, **dict(self.parameters))
        return np.nan_to_num(np.asarray(rates, dtype=np.float64), nan=0.0, posinf=np.inf)

    def pieces(self):
        """The phase as [(first step, steps, learning rate), ...], the rate None where it varies from step to step."""
        own = dict(self.parameters)
        if self.kind == "constant":
            return [(0, self.steps, own["learning_rate"])]
        if self.kind == "step" and -(-self.steps // own["step_size"]) <= MOST_PIECES:
            size = own["step_size"]
            starts = range(0, self.steps, size)
            return [(t, min(size, self.steps - t), float(self.rates(t, t + 1)[0])) for t in starts]
        return [(0, self.steps, None)]


@dataclass(frozen=True)
class Schedule:
    """Phases one after the other, then a gradient flow where `flows`."""

    name: str
    unit: str  # "absolute", or "sharpness": rates in units of 1/sharpness
    phases: tuple
    flows: bool

    def pieces(self):
        """The steps as [(first step, steps, learning rate), ...], the rate None where it varies from step to step."""
        found, start = [], 0
        for phase in self.phases:
            found += [(start + first, steps, rate) for first, steps, rate in phase.pieces()]
            start += phase.steps
        return found

    @property
    def length(self):
        """The number of discrete steps."""
        return sum(phase.steps for phase in self.phases)

    def rates(self, first, last):
        """Learning rates of steps first..last - 1 in the schedule's unit, float64; fewer where the schedule ends."""
        pieces = [np.empty(0)]
        start = 0
        for phase in self.phases:
            begin, end = max(first - start, 0), min(last - start, phase.steps)
            if begin < end:
                pieces.append(phase.rates(begin, end))
            start += phase.steps
        return np.concatenate(pieces)


def kinds():
    """The names of all schedule kinds that a phase can have, the flow included."""
    return [*_FUNCTIONS, FLOW]


def parameters(kind):
    """The parameters of a kind besides `steps`: name -> default, or None where it must be given."""
    if kind == FLOW:
        return {}
    found = list(inspect.signature(_FUNCTIONS[kind]).parameters.values())[2:]
    return {p.name: None if p.default is p.empty else p.default for p in found}


def describe(kind):
    """The formula of a kind, in one line."""
    if kind == FLOW:
        return "d theta / d tau = -grad L: gradient flow, the limit of small learning rates; it ends by itself."
    return inspect.getdoc(_FUNCTIONS[kind]).splitlines()[0]


def needs_steps(kind):
    """Whether a kind has no shape without a number of steps; a constant and its like run on to max_steps."""
    return kind in ("linear", "polynomial", "cosine", "warmup")


def check_kind(key, kind):
    """Refuse a kind that does not exist."""
    if not isinstance(kind, str):
        rules.refuse(f"{key}.kind", "a string", kind)
    if kind not in kinds():
        raise unknown(key, kind, kinds(), "kind")
    return kind


def check_phase(key, table):
    """A phase's parameters, cast and complete: {"kind": ..., "steps": ... or None, parameter: value, ...}."""
    if not isinstance(table, dict):
        rules.refuse(key, "a table", table)
    if "kind" not in table:
        raise InputError(f"{key}: kind is missing; valid are {', '.join(repr(k) for k in kinds())}")
    kind = check_kind(key, table["kind"])
    known = parameters(kind)
    allowed = [] if kind == FLOW else ["steps", *known]
    for name in table:
        if name != "kind" and name not in allowed:
            raise unknown(f"{key} (kind {kind!r})", name, ["kind", *allowed], "key")
    checked = {"kind": kind}
    for name, default in known.items():
        value = table.get(name, default)
        if value is None:
            raise InputError(f"{key} (kind {kind!r}): {name} is missing")
        checked[name] = RULES[name](f"{key}.{name}", value)
    if "steps" in table:
        checked["steps"] = RULES["steps"](f"{key}.steps", table["steps"])
    elif needs_steps(kind):
        raise InputError(f"{key} (kind {kind!r}): steps is missing")
    return checked


def build(key, name, unit, tables, max_steps):
    """The Schedule of checked phase tables; phases without steps share none: only the last one may run to max_steps."""
    if not tables:
        raise InputError(f"{key}.phases must be a list of at least one phase, got []")
    flows = tables[-1]["kind"] == FLOW
    discrete = tables[:-1] if flows else tables
    if any(table["kind"] == FLOW for table in discrete):
        raise InputError(f"{key}: a flow ends by itself and must be the last phase")
    if any("steps" not in table for table in discrete[:-1]):
        raise InputError(f"{key}: steps is missing in a phase that is not the last")
    given = sum(table.get("steps", 0) for table in discrete)
    open_ended = bool(discrete) and "steps" not in discrete[-1]
    if given + open_ended > max_steps:
        raise InputError(f"{key}: its phases sum to {given} steps, more than stop.max_steps = {max_steps}")
    phases = tuple(_phase(table, max_steps - given) for table in discrete)
    return Schedule(name, unit, phases, flows)


def _phase(table, rest):
    """The Phase of a checked table; without steps it takes the rest."""
    own = tuple((k, v) for k, v in table.items() if k not in ("kind", "steps"))
    return Phase(table["kind"], table.get("steps", rest), own)


def tabulate(kind, steps, **parameters):
    """The learning rates eta_0 .. eta_{steps - 1} of one schedule, float64 (steps,).

    `tabulate("cosine", steps=100, learning_rate=0.1)`; for joined phases `tabulate("phases", steps=110,
    phases=[{"kind": "warmup", "learning_rate": 0.1, "steps": 10}, {"kind": "cosine", ...}])`, where the phases may not
    be longer than `steps`. Raises InputError (a ValueError) for an unknown kind, a parameter that is unknown, missing
    or out of range, and for a flow, which has no steps.
    """
    steps = rules.count("steps", steps)
    if kind == PHASES:
        phases = parameters.pop("phases", [])
        if not isinstance(phases, list | tuple):
            rules.refuse("phases", "a list of at least one phase", phases)
        tables = [check_phase(f"phases[{i}]", table) for i, table in enumerate(phases)]
        if parameters:
            raise unknown("phases", next(iter(parameters)), ["phases"], "key")
    else:
        tables = [check_phase(f"schedule {kind!r}", {"kind": kind, "steps": steps, **parameters})]
    if any(table["kind"] == FLOW for table in tables):
        raise InputError("a flow has no steps to tabulate")
    return build("tabulate", kind, "absolute", tables, steps).rates(0, steps)
