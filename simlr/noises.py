"""The [[noise]] tables of a grid: where the noise of the gradients comes from.

Noise is drawn by address, from the root, the draw and the step, so all schedules and optimisers meet the same. To add a
source, add it to `kernels.gradients` and its line to NOISES.
"""

from .errors import InputError
from .inputs import parameters, rules
from .optimizers import SAMPLING, check_kind, check_parameters, check_tables

# kind -> (formula, parameters: name -> (rule, default))
NOISES = {
    "none": ("the exact gradient of the train loss", {}),
    "gradient": (
        "g + sigma xi, xi ~ N(0, I) (isotropic) or N(0, H) (hessian), fresh at every step",
        {
            "sigma": (rules.not_negative, parameters.REQUIRED),
            "covariance": (rules.one_of("isotropic", "hessian", noun="covariance"), "isotropic"),
        },
    ),
    "minibatch": (
        "mean gradient of batch_size train rows, with replacement or in shuffled epochs",
        {"batch_size": (rules.count, parameters.REQUIRED), "sampling": (SAMPLING, "replacement")},
    ),
}
NO_NOISE = {"kind": "none"}


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
