"""The [[optimizer]] and [[noise]] tables of a grid: how gradients become steps, and where their noise comes from.

To add an optimiser, add its recurrence to `kernels.stochastic.optimizers` and its line to OPTIMIZERS; to add a source
of noise, add it to `kernels.stochastic.gradients` and its line to NOISES. Noise is drawn by address, from the root, the
draw and the step, so all schedules and optimisers meet the same.
"""

import itertools
from functools import partial

from ..errors import InputError, unknown
from ..inputs import rules
from ..inputs.parameters import REQUIRED
from .axes import check_axis, check_combinations

_fraction = partial(rules.number, least=0.0, rule="a number from 0 to below 1", most=1.0 - 2.0**-53)
SAMPLING = rules.one_of("replacement", "epochs", noun="sampling")
AVERAGES = ("none", "tail", "exponential")

# kind -> (formula, parameters: name -> (rule, default))
OPTIMIZERS = {
    "gd": ("gradient descent: theta <- theta - eta_t g", {}),
    "momentum": (
        "heavy ball, as torch.optim.SGD and optax.sgd have it: v <- momentum v + g, theta <- theta - eta_t v",
        {"momentum": (_fraction, 0.9)},
    ),
    "nesterov": (
        "Nesterov's momentum, as torch and optax have it: v <- momentum v + g, theta <- theta - eta_t (g + momentum v)",
        {"momentum": (_fraction, 0.9)},
    ),
    "sgd": (
        "gradient descent on mini-batches: 'gd' with [[noise]] kind 'minibatch'",
        {"batch_size": (rules.count, REQUIRED), "sampling": (SAMPLING, "replacement")},
    ),
}
# average -> (formula, parameters), for every optimiser
AVERAGING = {
    "none": ("the last iterate alone", {}),
    "tail": ("mean of the iterates from step average_start on", {"average_start": (rules.count_or_none, 0)}),
    "exponential": (
        "a <- average_decay a + (1 - average_decay) theta, from the start on",
        {"average_decay": (_fraction, 0.99)},
    ),
}

# kind -> (formula, parameters: name -> (rule, default))
NOISES = {
    "none": ("the exact gradient of the train loss", {}),
    "gradient": (
        "g + sigma xi, xi ~ N(0, I) (isotropic) or N(0, H) (hessian), fresh at every step",
        {
            "sigma": (rules.not_negative, REQUIRED),
            "covariance": (rules.one_of("isotropic", "hessian", noun="covariance"), "isotropic"),
        },
    ),
    "minibatch": (
        "mean gradient of batch_size train rows, with replacement or in shuffled epochs",
        {"batch_size": (rules.count, REQUIRED), "sampling": (SAMPLING, "replacement")},
    ),
}
NO_NOISE = {"kind": "none"}

# What a name need not say.
UNSAID = {"average_start": 0, "average_decay": 0.99, "sampling": "replacement", "covariance": "isotropic"}


def check_optimizers(entries):
    """Every [[optimizer]] table, its values cast and complete; lists stay lists, which are axes."""
    return check_tables("optimizer", entries, _check_optimizer)


def check_tables(noun, entries, check_one):
    """A list of tables, [[noun]], none of them twice."""
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, dict) for e in entries):
        rules.refuse(noun, f"a list of at least one table, [[{noun}]]", entries)
    checked = tuple(check_one(index, entry) for index, entry in enumerate(entries))
    check_combinations(noun, sum(count_of(table) for table in checked))
    singles = {frozenset(one.items()) for one in expand(checked)}
    if len(singles) < sum(count_of(table) for table in checked):
        raise InputError(f"{noun}: the same one is given twice")
    return checked


def count_of(table):
    """How many combinations the lists of one table have."""
    count = 1
    for value in table.values():
        count *= len(value) if isinstance(value, list) else 1
    return count


def expand(tables):
    """All combinations of the tables' lists, in order: [{"kind": ..., parameter: value, ...}, ...]."""
    found = []
    for table in tables:
        choices = [value if isinstance(value, list) else [value] for value in table.values()]
        found += [dict(zip(table, values, strict=True)) for values in itertools.product(*choices)]
    return found


def label(table):
    """A name for one combination: its kind, and its parameters, those of UNSAID only where they differ."""
    own = {name: value for name, value in table.items() if name != "kind" and value != UNSAID.get(name)}
    shown = ",".join(f"{name}={value}" for name, value in own.items())
    return f"{table['kind']}[{shown}]" if shown else table["kind"]


def check_kind(noun, index, entry, kinds, default):
    """The kind of one table."""
    kind = entry.get("kind", default)
    if not isinstance(kind, str):
        rules.refuse(f"{noun}[{index}].kind", "a string", kind)
    if kind not in kinds:
        raise unknown(f"{noun} {kind!r}", kind, kinds, "kind")
    return kind


def check_parameters(key, entry, known):
    """The parameters of one table, cast, every default filled in."""
    for name in entry:
        if name != "kind" and name not in known:
            raise unknown(key, name, ["kind", *known], "key")
    checked = {}
    for name, (rule, default) in known.items():
        value = entry.get(name, default)
        if value is REQUIRED:
            raise InputError(f"{key}: {name} is missing")
        checked[name] = check_axis(f"{key}.{name}", value, rule)
    return checked


def _check_optimizer(index, entry):
    """One [[optimizer]] table."""
    kind = check_kind("optimizer", index, entry, OPTIMIZERS, "gd")
    key = f"optimizer {kind!r}"
    average = rules.one_of(*AVERAGES, noun="average")(f"{key}.average", entry.get("average", "none"))
    for other, (_, parameters) in AVERAGING.items():
        for name in parameters:
            if name in entry and other != average:
                raise InputError(f"{key}: {name} goes with average = {other!r}, not with {average!r}")
    known = OPTIMIZERS[kind][1] | AVERAGING[average][1]
    own = check_parameters(key, {k: v for k, v in entry.items() if k != "average"}, known)
    if average == "none":
        return {"kind": kind, **own}
    averaging = {name: own.pop(name) for name in AVERAGING[average][1]}
    return {"kind": kind, **own, "average": average, **averaging}


def is_plain(optimizer, noise):
    """Whether steps are those of gradient descent on the exact gradient, with nothing carried beside the iterate."""
    return optimizer == {"kind": "gd"} and noise == NO_NOISE


def check_noises(entries):
    """Every [[noise]] table, its values cast and complete; lists stay lists, which are axes."""
    return check_tables("noise", entries, _check_noise)


def _check_noise(index, entry):
    """One [[noise]] table."""
    if "kind" not in entry:
        raise InputError(f"noise[{index}]: kind is missing; valid are {', '.join(repr(kind) for kind in NOISES)}")
    kind = check_kind("noise", index, entry, NOISES, None)
    return {"kind": kind, **check_parameters(f"noise {kind!r}", entry, NOISES[kind][1])}


def noise_of(optimizer, noise):
    """The noise that an optimiser meets: 'sgd' draws its mini-batches itself."""
    if optimizer["kind"] != "sgd":
        return noise
    if noise["kind"] != "none":
        raise InputError(f"optimizer 'sgd': draws mini-batches itself; use 'gd' with noise {noise['kind']!r}")
    return {"kind": "minibatch", "batch_size": optimizer["batch_size"], "sampling": optimizer["sampling"]}


def method_parameters(optimizer, noise):
    """Optimiser and noise as parameters of a schedule, in the run file under their own names."""
    own = {"optimizer": optimizer["kind"], **{k: v for k, v in optimizer.items() if k not in ("kind", *noise)}}
    if noise["kind"] == "none":
        return own
    return own | {"noise": noise["kind"], **{k: v for k, v in noise.items() if k != "kind"}}
