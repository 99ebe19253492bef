"""Every optimiser's step: against twins, published numbers, and torch and optax where they are installed."""

import numpy as np
import pytest
from optimizer_steps import iterates

from naive import optimizers as naive

SETTINGS = 20
STEPS = 60
KINDS = [
    *("gd", "momentum", "nesterov", "polyak_momentum", "adam", "adamw", "nadam", "rmsprop", "adagrad", "sign", "lion"),
    *("schedule_free_sgd", "schedule_free_adamw"),
]
CONVENTIONS = dict.fromkeys(("adamw", "nadam", "rmsprop", "adagrad"), ("torch", "optax"))
# Its own numbers of each kind, and the range that they are drawn from.
OWN = {
    "momentum": {"momentum": (0.0, 0.95), "dampening": (0.1, 0.9)},
    "nesterov": {"momentum": (0.1, 0.95)},
    "polyak_momentum": {"momentum": (0.0, 0.95)},
    "adam": {"beta1": (0.0, 0.95), "beta2": (0.5, 0.9999)},
    "nadam": {"beta1": (0.1, 0.95), "beta2": (0.5, 0.9999)},
    "rmsprop": {"beta2": (0.5, 0.999)},
    "adagrad": {"initial_accumulator": (0.0, 0.3)},
    "lion": {"beta1": (0.1, 0.95), "beta2": (0.5, 0.99)},
    "schedule_free_sgd": {"beta1": (0.3, 0.95)},
    "schedule_free_adamw": {"beta1": (0.3, 0.95), "beta2": (0.5, 0.9999)},
}
OWN["adamw"] = OWN["adam"]


def setting(kind, convention, number):
    """(table without its kind, gradient, start, rates): one of many, drawn."""
    rng = np.random.default_rng([KINDS.index(kind), convention == "optax", number])
    table = {name: rng.uniform(*ends) for name, ends in OWN.get(kind, {}).items()}
    table |= {"convention": convention} if kind in CONVENTIONS else {}
    if number % 2:
        table["weight_decay"] = rng.uniform(0.0, 0.3)
    if number % 3 == 0:
        table |= {"clip_norm": rng.uniform(0.1, 2.0), "convention": convention}
    if number % 5 == 0:
        table["clip_value"] = rng.uniform(0.05, 0.5)
    curvature, bottom, push = rng.uniform(0.1, 2.0, 5), rng.normal(size=5), rng.normal(size=(STEPS, 5))
    rates = rng.uniform(0.001, 0.1) * (1.0 + np.cos(np.arange(STEPS) / STEPS * 3.0))
    return table, lambda theta, t: curvature * (theta - bottom) + push[t], rng.normal(size=5), rates


def assert_close(found, wanted, bound=1e-12):
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=bound * np.abs(wanted).max())


@pytest.mark.parametrize("kind", KINDS)
def test_steps_equal_their_twin(kind):
    for convention in CONVENTIONS.get(kind, ("torch",)):
        for number in range(SETTINGS):
            table, gradient, start, rates = setting(kind, convention, number)
            found = iterates({"kind": kind, **table}, gradient, start, rates)
            assert_close(found, naive.iterates(kind, gradient, start, rates, **table))


PUBLISHED = [
    ({"kind": "adam"}, 0.003, 13.820698453840055, 1e-15),
    ({"kind": "adamw", "convention": "optax"}, 0.003, 13.820656835771036, 1e-15),
    ({"kind": "sign"}, 0.003, 13.820675, 1e-15),
    ({"kind": "adagrad", "convention": "optax"}, 1.0, 0.38519432709208856, 1e-14),
    ({"kind": "schedule_free_sgd"}, 1.0, 0.24098816, 1e-7),
    ({"kind": "schedule_free_adamw"}, 1.0, 0.413, 2e-3),
    ({"kind": "rmsprop", "convention": "optax"}, 0.003, 13.6, 5e-3),
]


@pytest.mark.parametrize(("table", "rate", "last", "bound"), PUBLISHED, ids=str)
def test_five_steps_down_a_parabola_end_at_the_published_value(table, rate, last, bound):
    """The sum of squares from (1, 2, 3), as in optax's own examples."""
    found = iterates(table, lambda theta, t: 2.0 * theta, [1.0, 2.0, 3.0], [rate] * 5)
    assert (found[-1] ** 2).sum() == pytest.approx(last, rel=bound)


def test_the_published_values_on_the_way():
    """Two digits or three, step by step."""
    along = {
        "adagrad": ("optax", [5.01, 2.40, 1.25, 0.686, 0.385]),
        "schedule_free_sgd": (None, [14.0, 0.0, 0.996, 0.806, 0.241]),
        "schedule_free_adamw": (None, [5.00, 3.05, 1.73, 0.894, 0.413]),
    }
    for kind, (convention, wanted) in along.items():
        table = {"kind": kind} | ({"convention": convention} if convention else {})
        found = iterates(table, lambda theta, t: 2.0 * theta, [1.0, 2.0, 3.0], [1.0] * 5)
        np.testing.assert_allclose((found[1:] ** 2).sum(axis=1), wanted, rtol=5e-3, atol=1e-12)


def test_huge_gradients_are_clipped_to_their_direction():
    """Also where the sum of their squares is beyond the range of float64; what is no number stays none."""
    found = iterates({"kind": "gd", "clip_norm": 1.0}, lambda theta, t: [3e200, 4e200], [0.0, 0.0], [1.0])
    np.testing.assert_allclose(found[1], [-0.6, -0.8], rtol=1e-15)
    for clip in ("clip_norm", "clip_value"):
        found = iterates({"kind": "gd", clip: 1.0}, lambda theta, t: [np.nan, 1.0], [0.0, 0.0], [1.0])
        assert np.isnan(found[1, 0])
    assert np.isnan(iterates({"kind": "sign"}, lambda theta, t: [np.nan], [0.0], [1.0])[1])


def test_a_rate_of_zero_at_the_start_leaves_schedule_free_where_it_is():
    found = iterates({"kind": "schedule_free_sgd"}, lambda theta, t: theta, [1.0], [0.0, 0.0, 0.5])
    np.testing.assert_array_equal(found[:, 0], [1.0, 1.0, 1.0, 0.5])


# ---- the packages themselves ----


def torch_optimizer(torch, kind, table, parameters):
    """torch's optimiser of a table; None where it has none such."""
    betas = (table.get("beta1", 0.9), table.get("beta2", 0.999))
    decay = {"weight_decay": table["weight_decay"]} if "weight_decay" in table else {}
    momentum = {"momentum": table.get("momentum", 0.0)}
    make = {
        "gd": lambda: torch.optim.SGD(parameters, **decay),
        "momentum": lambda: torch.optim.SGD(parameters, **momentum, dampening=table["dampening"], **decay),
        "nesterov": lambda: torch.optim.SGD(parameters, **momentum, nesterov=True, **decay),
        "adam": lambda: torch.optim.Adam(parameters, betas=betas, **decay),
        "adamw": lambda: torch.optim.AdamW(parameters, betas=betas, **decay),
        "nadam": lambda: torch.optim.NAdam(parameters, betas=betas, **decay),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, alpha=betas[1], **decay),
        "adagrad": lambda: torch.optim.Adagrad(
            parameters, initial_accumulator_value=table["initial_accumulator"], **decay
        ),
    }
    return make[kind]() if kind in make else None


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch(kind):
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)  # else NAdam keeps a product of weights in float32
    for number in range(SETTINGS):
        table, gradient, start, rates = setting(kind, "torch", number)
        theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        optimizer = torch_optimizer(torch, kind, table, [theta])
        if optimizer is None:
            pytest.skip(f"torch has no {kind}")
        wanted = [start]
        for t, rate in enumerate(rates):
            theta.grad = torch.tensor(gradient(theta.detach().numpy().copy(), t))
            if "clip_value" in table:
                torch.nn.utils.clip_grad_value_([theta], table["clip_value"])
            if "clip_norm" in table:
                torch.nn.utils.clip_grad_norm_([theta], table["clip_norm"])
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            wanted.append(theta.detach().numpy().copy())
        assert_close(iterates({"kind": kind, **table}, gradient, start, rates), np.array(wanted))


def optax_optimizer(optax, kind, table, rates):
    """optax's clipping and decay, and its optimiser, of a table; None where it has none such."""
    own = {"b1": table.get("beta1", 0.9), "b2": table.get("beta2", 0.999)}
    decay, momentum = table.get("weight_decay", 0.0), table.get("momentum")
    apart = {"weight_decay": table["weight_decay"]} if "weight_decay" in table else {}

    def at(t):
        return rates[t]

    def free_at(t):
        return rates[t - 1]

    make = {
        "gd": lambda: optax.sgd(at),
        "nesterov": lambda: optax.sgd(at, momentum, nesterov=True),
        "adam": lambda: optax.adam(at, **own),
        "adamw": lambda: optax.adamw(at, **own, **apart),
        "nadam": lambda: optax.nadam(at, **own),
        "rmsprop": lambda: optax.rmsprop(at, own["b2"]),
        "adagrad": lambda: optax.adagrad(at, table["initial_accumulator"]),
        "sign": lambda: optax.sign_sgd(at),
        "lion": lambda: optax.lion(at, **own, **apart),
        "schedule_free_sgd": lambda: optax.contrib.schedule_free(optax.sgd(at), free_at, b1=own["b1"]),
        "schedule_free_adamw": lambda: optax.contrib.schedule_free(
            optax.chain(optax.scale_by_adam(b1=0.0, b2=own["b2"]), optax.add_decayed_weights(decay),
                        optax.scale_by_learning_rate(at)), free_at, b1=own["b1"]),
    }  # fmt: skip
    if kind not in make:
        return None
    before = [optax.clip(table["clip_value"])] if "clip_value" in table else []
    before += [optax.clip_by_global_norm(table["clip_norm"])] if "clip_norm" in table else []
    coupled = kind not in ("adamw", "lion", "schedule_free_adamw")
    before += [optax.add_decayed_weights(decay)] if coupled and decay else []
    return optax.chain(optax.identity(), *before), make[kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_optax(kind):
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    for number in range(SETTINGS):
        table, gradient, start, given = setting(kind, "optax", number)
        made = optax_optimizer(optax, kind, table, jnp.array(given))
        if made is None:
            pytest.skip(f"optax has no {kind}")
        before, optimizer = made
        at = jnp.array(start)
        state, early, wanted = optimizer.init(at), before.init(at), [start]
        for t in range(STEPS):
            g, early = before.update(jnp.array(gradient(np.array(at), t)), early, at)
            updates, state = optimizer.update(g, state, at)
            at = optax.apply_updates(at, updates)
            theta = at if not hasattr(state, "z") else optax.contrib.schedule_free_eval_params(state, at)
            wanted.append(np.array(theta))
        assert_close(iterates({"kind": kind, **table}, gradient, start, given), np.array(wanted))
