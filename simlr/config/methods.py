"""The [[optimizer]] and [[noise]] tables of a grid: how gradients become steps, and where their noise comes from.

The kinds of optimisers are in `optimizers`; to add a source of noise, add it to `kernels.stochastic.gradients` and its
line to NOISES. Noise is drawn by address, from the root, the
draw and the step, so all schedules and optimisers meet the same.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..errors import Faults, InputError, unknown
from ..inputs import rules
from ..inputs.parameters import REQUIRED, Parameter, missing_kind, read_parameters
from ..schedules.batch_sizes import EVERY, GROWTH, MOST
from .axes import check_axis, check_combinations, count_combinations, expand
from .optimizers import AVERAGING, BATCH, OPTIMIZERS, Method, parameters_of, said_of, without_defaults

_growth = partial(rules.number, least=1.0, most=1e6, rule="a number from 1 to 1000000")
RAMP = (
    Parameter(GROWTH, _growth, 1.0, "the batch size grows by this factor; with [expectation] alone"),
    Parameter(EVERY, rules.count_or_none, 0, "each time after so many steps; goes with batch_growth"),
    Parameter(MOST, rules.count_or_none, 0, "the largest batch size that it grows to; 0 = any"),
)
RAMP_UNSAID = {GROWTH: 1.0, EVERY: 0, MOST: 0}
NOISES = {
    "none": Method("the exact gradient of the train loss"),
    "gradient": Method(
        "g + sigma xi, xi ~ N(0, I) (isotropic) or N(0, H) (hessian), fresh at every step",
        (
            Parameter("sigma", rules.not_negative, REQUIRED, "its size"),
            Parameter("covariance", rules.one_of("isotropic", "hessian", noun="covariance"), "isotropic", "its shape"),
        ),
    ),
    "minibatch": Method("mean gradient of batch_size train rows, with replacement or in shuffled epochs", BATCH + RAMP),
    "labels": Method(
        "mean gradient of batch_size train rows, 0 = all, with sigma xi, fresh at every step, added to their labels",
        (
            Parameter("sigma", rules.not_negative, REQUIRED, "of the noise of labels"),
            Parameter("batch_size", rules.count_or_none, 0, "train rows a step; 0 = all"),
            BATCH[1],
        ),
    ),
    "fresh": Method(
        "mean gradient of batch_size new rows, Gaussian inputs: one-pass SGD; with [expectation] alone",
        (
            Parameter("batch_size", rules.count, REQUIRED, "rows a step"),
            Parameter("sigma", rules.not_negative, 0.0, "standard deviation of the labels"),
            *RAMP,
        ),
    ),
}
NO_NOISE = {"kind": "none"}

# What a name need not say.
UNSAID = {"average_start": 0, "average_decay": 0.99, "sampling": "replacement", "covariance": "isotropic"}


def check_optimizers(entries: Any) -> tuple[dict, ...]:
    """Every [[optimizer]] table, its values cast and complete; lists stay lists, which are axes."""
    return check_tables("optimizer", entries, _check_optimizer)


def check_tables(noun: str, entries: Any, check_one: Callable[[int, dict], dict]) -> tuple[dict, ...]:
    """A list of tables, [[noun]], each checked by `check_one`, and none of them twice."""
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse(noun, f"a list of at least one table, [[{noun}]]", entries)
    checked, faults = [], Faults()
    for index, entry in enumerate(entries):
        with faults:
            checked.append(check_one(index, entry))
    faults.raise_all()
    count = sum(map(count_combinations, checked))
    check_combinations(noun, count)
    if len({frozenset(one.items()) for one in expand(checked)}) < count:
        raise InputError(f"{noun}: the same one is given twice")
    return tuple(checked)


def label(table: dict) -> str:
    """A name for one combination: its kind, and its parameters, those of UNSAID only where they differ."""
    unsaid = {**UNSAID, **said_of(table)}
    said = {name: value for name, value in table.items() if name != "kind" and value != unsaid.get(name)}
    shown = ",".join(f"{name}={value}" for name, value in said.items())
    return f"{table['kind']}[{shown}]" if shown else table["kind"]


def check_kind(noun: str, index: int, entry: dict, kinds: Iterable[str], default: str | None) -> str:
    """The kind of the table [[noun]] of this index, one of some kinds; `default` where it has none."""
    kind = entry.get("kind", default)
    if not isinstance(kind, str):
        rules.refuse(f"{noun}[{index}].kind", "a string", kind)
    if kind not in kinds:
        raise unknown(f"{noun} {kind!r}", kind, kinds, "kind")
    return kind


def _check_optimizer(index, entry):
    """One [[optimizer]] table."""
    kind = check_kind("optimizer", index, entry, OPTIMIZERS, "gd")
    key = f"optimizer {kind!r}"
    average = rules.one_of(*AVERAGING, noun="average")(f"{key}.average", entry.get("average", "none"))
    for other, method in AVERAGING.items():
        for parameter in method.parameters:
            if parameter.name in entry and other != average:
                raise InputError(f"{key}: {parameter.name} goes with average = {other!r}, not with {average!r}")
    own = parameters_of(key, kind, entry)
    if average != "none" and kind.startswith("schedule_free"):
        raise InputError(f"{key}: its iterate is an average already; leave average = {average!r} out")
    parameters = own + AVERAGING[average].parameters
    given = {name: value for name, value in entry.items() if name != "average"}
    checked = read_parameters(key, given, parameters, others=("kind",), cast=check_axis)
    averaging = {parameter.name: checked.pop(parameter.name) for parameter in AVERAGING[average].parameters}
    checked = without_defaults(checked, own)
    if average == "none":
        return {"kind": kind, **checked}
    return {"kind": kind, **checked, "average": average, **averaging}


def is_plain(optimizer: dict, noise: dict) -> bool:
    """Whether steps are those of gradient descent on the exact gradient, with nothing carried beside the iterate."""
    return optimizer == {"kind": "gd"} and noise == NO_NOISE


def check_noises(entries: Any) -> tuple[dict, ...]:
    """Every [[noise]] table, its values cast and complete; lists stay lists, which are axes."""
    return check_tables("noise", entries, _check_noise)


def _check_noise(index, entry):
    """One [[noise]] table."""
    if "kind" not in entry:
        raise missing_kind(f"noise[{index}]", entry, NOISES)
    kind = check_kind("noise", index, entry, NOISES, None)
    key, parameters = f"noise {kind!r}", NOISES[kind].parameters
    checked = {"kind": kind, **read_parameters(key, entry, parameters, others=("kind",), cast=check_axis)}
    return _with_ramp(key, checked)


def _with_ramp(key, checked):
    """A noise with the keys of a growing batch size only where it grows, as it was before there were any."""
    given = {name: value for name, value in checked.items() if name not in RAMP_UNSAID or value != RAMP_UNSAID[name]}
    if GROWTH not in given:
        if extra := [name for name in (EVERY, MOST) if name in given]:
            raise InputError(f"{key}: {extra[0]} goes with {GROWTH}, a number above 1")
        return given
    if not all(_values(given.get(EVERY, 0))):
        raise InputError(f"{key}: {GROWTH} goes with {EVERY}, after how many steps the batch size grows: at least 1")
    least, largest = min(filter(None, _values(given.get(MOST, 0))), default=math.inf), max(_values(given["batch_size"]))
    if least < largest:
        raise InputError(f"{key}.{MOST} must be at least the batch size {largest}, which grows to it, got {least}")
    return given


def _values(value):
    """The values of an axis, or the one value."""
    return value if isinstance(value, list) else [value]


def noise_of(optimizer: dict, noise: dict) -> dict:
    """The noise that an optimiser meets: 'sgd' draws its mini-batches itself."""
    if optimizer["kind"] != "sgd":
        return noise
    if noise["kind"] != "none":
        raise InputError(f"optimizer 'sgd': draws mini-batches itself; use 'gd' with noise {noise['kind']!r}")
    return {"kind": "minibatch", "batch_size": optimizer["batch_size"], "sampling": optimizer["sampling"]}


def method_parameters(optimizer: dict, noise: dict) -> dict:
    """Optimiser and noise as parameters of a schedule, in the run file under their own names."""
    parameters = {"optimizer": optimizer["kind"], **{k: v for k, v in optimizer.items() if k not in ("kind", *noise)}}
    if noise["kind"] == "none":
        return parameters
    return parameters | {"noise": noise["kind"], **{k: v for k, v in noise.items() if k != "kind"}}
