"""The kinds of an [[optimizer]] table: their formulas, parameters and defaults, and where torch and optax differ.

To add one that has closed forms or goes with drawn quadratics, add its recurrence to `kernels.stochastic.optimizers`
and its kind to BY_QUADRATICS; any other goes through the rows of a loss at every step: `kernels.convex.optimizers`. Its
numbers are told in `engine.stochastic`.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import REQUIRED, Parameter

_fraction = partial(rules.number, least=0.0, rule="a number from 0 to below 1", most=1.0 - 2.0**-53)


class Method(NamedTuple):
    """One kind of optimiser, average or noise."""

    formula: str
    parameters: tuple[Parameter, ...] = ()


TORCH, OPTAX = CONVENTIONS = "torch", "optax"
BATCH = (
    Parameter("batch_size", rules.count, REQUIRED, "train rows a step"),
    Parameter("sampling", rules.one_of("replacement", "epochs", noun="sampling"), "replacement", "how they are drawn"),
)
MOMENTUM = (Parameter("momentum", _fraction, 0.9, "what is kept of the velocity"),)
CLIPPING = (
    Parameter("clip_norm", rules.not_negative, 0.0, "the longest gradient, a longer one is scaled to it; 0 = any"),
    Parameter("clip_value", rules.not_negative, 0.0, "the largest entry of a gradient, before clip_norm; 0 = any"),
)
DECAY = (Parameter("weight_decay", rules.not_negative, 0.0, "so much of theta is added to the gradient, once clipped"),)
EVERY = DECAY + CLIPPING
CONVENTION = (
    Parameter(
        "convention", rules.one_of(*CONVENTIONS, noun="convention"), TORCH, "torch or optax, with its formula, defaults"
    ),
)


def _apart(default):
    """The decay that is no part of the gradient."""
    meaning = "theta <- (1 - eta_t weight_decay) theta, apart from the gradient"
    return (Parameter("weight_decay", rules.not_negative, default, meaning),)


def _betas(first, second):
    """What is kept of the mean gradient and of the mean square."""
    return (
        Parameter("beta1", _fraction, first, "what is kept of the mean gradient"),
        Parameter("beta2", _fraction, second, "what is kept of the mean square, or with lion of the mean gradient"),
    )


_EPSILON = Parameter("epsilon", rules.positive, 1e-8, "added to the root, or with optax's rmsprop, adagrad inside it")
_ADAM = (*_betas(0.9, 0.999), _EPSILON)
_BETWEEN = Parameter("beta1", _fraction, 0.9, "the gradient is taken at beta1 theta + (1 - beta1) z")

OPTIMIZERS = {
    "gd": Method("gradient descent: theta <- theta - eta_t g", EVERY),
    "momentum": Method(
        "heavy ball, as torch.optim.SGD and optax.sgd have it: v <- momentum v + g, theta <- theta - eta_t v",
        (*MOMENTUM, Parameter("dampening", _fraction, 0.0, "g is multiplied with 1 less it, but at step 1"), *EVERY),
    ),
    "nesterov": Method(
        "Nesterov's momentum, as torch and optax have it: v <- momentum v + g, theta <- theta - eta_t (g + momentum v)",
        MOMENTUM + EVERY,
    ),
    "polyak_momentum": Method(
        "Polyak's own heavy ball: theta <- theta - eta_t g + momentum (theta - the theta before)", MOMENTUM + EVERY
    ),
    "sgd": Method("gradient descent on mini-batches: 'gd' with [[noise]] kind 'minibatch'", BATCH + EVERY),
    "adam": Method(
        "m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2, theta <- theta - eta_t (m / (1 - beta1^t)) / "
        "(sqrt(v / (1 - beta2^t)) + epsilon)",
        _ADAM + EVERY,
    ),
    "adamw": Method("'adam' with its decay apart from the gradient", _ADAM + _apart(1e-2) + CLIPPING + CONVENTION),
    "nadam": Method(
        "'adam' with Nesterov's look ahead: docs/optimizers.md",
        (
            *_ADAM,
            Parameter("momentum_decay", rules.not_negative, 0.004, "of torch: beta1 grows to its value as 0.96^(t it)"),
            *EVERY,
            *CONVENTION,
        ),
    ),
    "rmsprop": Method(
        "v <- beta2 v + (1 - beta2) g^2, theta <- theta - eta_t g / (sqrt(v) + epsilon)",
        (*_betas(0.0, 0.99)[1:], _EPSILON, *EVERY, *CONVENTION),
    ),
    "adagrad": Method(
        "v <- v + g^2 from initial_accumulator on, theta <- theta - eta_t g / (sqrt(v) + epsilon)",
        (
            Parameter("initial_accumulator", rules.not_negative, 0.0, "v before the first step"),
            _EPSILON._replace(default=1e-10),
            *EVERY,
            *CONVENTION,
        ),
    ),
    "sign": Method("theta <- theta - eta_t sign(g), sign(0) = 0: signSGD", EVERY),
    "lion": Method(
        "theta <- theta - eta_t sign(beta1 m + (1 - beta1) g), m <- beta2 m + (1 - beta2) g",
        _betas(0.9, 0.99) + _apart(1e-3) + CLIPPING,
    ),
    "schedule_free_sgd": Method(
        "z <- z - eta_t g, theta the mean of the z weighed with (largest eta so far)^2, g between them",
        (_BETWEEN, *EVERY),
    ),
    "schedule_free_adamw": Method(
        "the same with z <- z - eta_t (g / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay y), g and decay at y",
        (_BETWEEN, *_ADAM[1:], *EVERY),
    ),
}
# For every optimiser, under its key `average`.
AVERAGING = {
    "none": Method("the last iterate alone"),
    "tail": Method(
        "mean of the iterates from step average_start on",
        (Parameter("average_start", rules.count_or_none, 0, "the first of them"),),
    ),
    "exponential": Method(
        "a <- average_decay a + (1 - average_decay) theta, from the start on",
        (Parameter("average_decay", _fraction, 0.99, "what is kept of the average"),),
    ),
}
# They go with drawn quadratics, and there only as long as a table has none of the keys that came later.
BY_QUADRATICS = ("gd", "momentum", "nesterov", "sgd")
LATER = ("dampening", "weight_decay", "clip_norm", "clip_value", "convention")
# What they do is the same along any axes, unless a gradient is clipped entry by entry.
WITHOUT_AXES = (*BY_QUADRATICS, "polyak_momentum", "schedule_free_sgd")
# What else optax has.
OF_OPTAX: dict[str, dict[str, float]] = {
    "adamw": {"weight_decay": 1e-4},
    "nadam": {},
    "rmsprop": {"beta2": 0.9},
    "adagrad": {"epsilon": 1e-7, "initial_accumulator": 0.1},
}


def parameters_of(key: str, kind: str, entry: dict) -> tuple[Parameter, ...]:
    """The parameters of a kind, with the defaults of the convention that its table names.

    Parameters
    ----------
    key
        What messages call the table.
    kind
        Of OPTIMIZERS.
    entry
        The table as it was given.

    Raises
    ------
    InputError
        Where the convention is none, or says nothing of this table.
    """
    parameters = OPTIMIZERS[kind].parameters
    given = entry.get("convention", TORCH)
    if isinstance(given, list):
        raise InputError(f"{key}.convention: one a table, as defaults follow it; write a second [[optimizer]] table")
    convention = CONVENTION[0].rule(f"{key}.convention", given)
    if kind not in OF_OPTAX:
        if "convention" in entry and not entry.get("clip_norm"):
            raise InputError(f"{key}: torch and optax agree on it but for clip_norm; leave convention out")
        return parameters + CONVENTION * ("convention" in entry)
    if convention == TORCH:
        return parameters
    if kind == "nadam":  # which has no such decay there
        parameters = tuple(one for one in parameters if one.name != "momentum_decay")
    return tuple(one._replace(default=OF_OPTAX[kind].get(one.name, one.default)) for one in parameters)


def without_defaults(checked: dict, parameters: Iterable[Parameter]) -> dict:
    """A checked table without those of the later keys that say nothing, as it was before there were any."""
    nothing = {one.name for one in parameters if one.name in LATER and one.default == 0.0}
    return {name: value for name, value in checked.items() if name not in nothing or value != 0.0}


def said_of(table: dict) -> dict[str, Any]:
    """What the name of a table need not say, as it is the kind's own default: {parameter: default}."""
    if table["kind"] not in OPTIMIZERS or table["kind"] in BY_QUADRATICS:
        return {}
    given = {key: table[key] for key in ("convention", "clip_norm") if key in table}
    known = parameters_of("optimizer", table["kind"], given)
    return {one.name: one.default for one in known if one.name != "momentum"}


def usual_numbers(parameters: dict) -> dict[str, Any]:
    """The same of a schedule's parameters as a run file has them, NaN and "" where there is none."""
    given = {"kind": parameters.get("optimizer", "gd")}
    given |= {key: parameters[key] for key in ("convention", "clip_norm") if parameters.get(key, "") != ""}
    return said_of(given)


def goes_by_rows(tables: Iterable[dict]) -> bool:
    """Whether some checked table asks for steps that go through the rows of a loss, whatever that is."""
    return any(not _by_quadratics(table) for table in tables)


def _by_quadratics(table):
    """Whether the steps of a checked table are known for drawn quadratics."""
    return table["kind"] in BY_QUADRATICS and not any(key in table for key in LATER)


def first_by_rows(tables: Iterable[dict]) -> str:
    """The kind of the first table that goes by rows, with the key that makes it go so, in words."""
    table = next(table for table in tables if not _by_quadratics(table))
    key = next((key for key in LATER if key in table), "")
    return f"optimizer {table['kind']!r}" + (f" with {key}" if table["kind"] in BY_QUADRATICS else "")


def depends_on_axes(table: dict) -> bool:
    """Whether what a checked table does depends on the axes that the parameters are given in."""
    return table["kind"] not in WITHOUT_AXES or "clip_value" in table
