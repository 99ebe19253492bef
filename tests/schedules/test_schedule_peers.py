"""Every schedule that torch or optax has equals theirs at every step, on 20 random sets of parameters.

Skipped where the library is missing. Both are asked in double precision. Rates at the end stay above a thousandth of
the peak, so that a relative tolerance is one: near 0 only the cancellation in 1 + cos(pi t / steps) is left of them.
torch's recursive forms multiply step by step and round at each, hence the moderate lengths.
"""

import contextlib
import itertools
import warnings

import numpy as np
import pytest

from simlr.schedules.tabulation import from_callable, tabulate

SETS = 20
TOLERANCE = 1e-12


def random_sets(name):
    """Random numbers of each set; the same at every run."""
    return [np.random.default_rng([*name.encode(), i]) for i in range(SETS)]


def drawn(random):
    """A length, a peak, and an end or start well below it."""
    peak = 10 ** random.uniform(-3, 1)
    return int(random.integers(20, 200)), peak, peak * 10 ** random.uniform(-3, -0.3)


def whole(random, low, high):
    return int(random.integers(low, high))


def steps_in(random, steps, count=3):
    """Ascending steps inside a schedule."""
    return sorted(random.choice(np.arange(1, steps), count, replace=False).tolist())


def compare(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE, atol=0.0)


# ---- torch ----


def torch_rates(scheduler, peak, steps, **own):
    """The learning rates that an optimiser of torch has under a scheduler, before each of its steps."""
    torch = pytest.importorskip("torch")
    made = getattr(torch.optim.lr_scheduler, scheduler)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=peak)
    own = {key: value(optimizer) if callable(value) else value for key, value in own.items()}
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        running = made(optimizer, **own)
        for _ in range(steps):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            with contextlib.suppress(ValueError):  # OneCycleLR after its last step
                running.step()
    return found


def torch_steps(r):
    steps, peak, _ = drawn(r)
    own = {"step_size": whole(r, 5, 50), "gamma": r.uniform(0.3, 1.1)}
    return tabulate("step", steps, learning_rate=peak, **own), torch_rates("StepLR", peak, steps, **own)


def torch_multistep(r):
    steps, peak, _ = drawn(r)
    own = {"milestones": steps_in(r, steps), "gamma": r.uniform(0.1, 1.1)}
    return tabulate("multistep", steps, learning_rate=peak, **own), torch_rates("MultiStepLR", peak, steps, **own)


def torch_exponential(r):
    steps, peak, _ = drawn(r)
    gamma = r.uniform(0.9, 1.01)
    found = torch_rates("ExponentialLR", peak, steps, gamma=gamma)
    return tabulate("exponential", steps, learning_rate=peak, gamma=gamma), found


def torch_constant(r):
    """ConstantLR is two constant phases."""
    steps, peak, _ = drawn(r)
    factor, first = r.uniform(0.1, 1.0), whole(r, 1, 19)
    phases = [{"kind": "constant", "learning_rate": peak * factor, "steps": first}]
    phases += [{"kind": "constant", "learning_rate": peak}]
    found = torch_rates("ConstantLR", peak, steps, factor=factor, total_iters=first)
    return tabulate("phases", steps, phases=phases), found


def torch_linear(r):
    steps, peak, end = drawn(r)
    found = torch_rates("LinearLR", peak, steps, start_factor=1.0, end_factor=end / peak, total_iters=steps)
    return tabulate("linear", steps, learning_rate=peak, end_learning_rate=end), found


def torch_warmup(r):
    """LinearLR upwards, then constant."""
    steps, peak, start = drawn(r)
    first = whole(r, 1, 19)
    phases = [{"kind": "warmup", "learning_rate": peak, "start_learning_rate": start, "steps": first}]
    phases += [{"kind": "constant", "learning_rate": peak}]
    found = torch_rates("LinearLR", peak, steps, start_factor=start / peak, total_iters=first)
    return tabulate("phases", steps, phases=phases), found


def torch_polynomial(r):
    steps, peak, _ = drawn(r)
    power = r.uniform(0.5, 3.0)
    found = torch_rates("PolynomialLR", peak, steps, total_iters=steps, power=power)
    return tabulate("polynomial", steps, learning_rate=peak, power=power), found


def torch_cosine(r):
    steps, peak, end = drawn(r)
    found = torch_rates("CosineAnnealingLR", peak, steps, T_max=steps, eta_min=end)
    return tabulate("cosine", steps, learning_rate=peak, end_learning_rate=end), found


def torch_cosine_restarts(r):
    steps, peak, end = drawn(r)
    first, factor = whole(r, 1, 40), whole(r, 1, 4)
    found = torch_rates("CosineAnnealingWarmRestarts", peak, steps, T_0=first, T_mult=factor, eta_min=end)
    own = {"cycle_steps": first, "cycle_factor": factor, "end_learning_rate": end}
    return tabulate("cosine_restarts", steps, learning_rate=peak, **own), found


def torch_one_cycle(r):
    steps, peak, _ = drawn(r)
    three_phase, anneal = bool(r.integers(2)), str(r.choice(["cosine", "linear"]))
    fraction, division, final = r.uniform(0.1, 0.45), r.uniform(2, 30), r.uniform(1, 30)
    found = torch_rates(
        "OneCycleLR", peak, steps, max_lr=peak, total_steps=steps, pct_start=fraction, div_factor=division,
        final_div_factor=final, three_phase=three_phase, anneal_strategy="cos" if anneal == "cosine" else "linear",
    )  # fmt: skip
    own = {"warmup_fraction": fraction, "division_factor": division, "final_division_factor": final}
    own |= {"anneal": anneal, "three_phase": three_phase}
    return tabulate("one_cycle", steps, learning_rate=peak, **own), found


def torch_cycle(mode):
    def made(r):
        steps, peak, start = drawn(r)
        up, down = whole(r, 1, 30), whole(r, 0, 30)
        gamma = {"gamma": r.uniform(0.95, 1.0)} if mode == "exp_range" else {}
        found = torch_rates(
            "CyclicLR", peak, steps, base_lr=start, max_lr=peak, step_size_up=up, step_size_down=down or None,
            mode=mode, cycle_momentum=False, **gamma,
        )  # fmt: skip
        own = {"up_steps": up, "down_steps": down, "start_learning_rate": start, **gamma}
        return tabulate(mode, steps, learning_rate=peak, **own), found

    return made


def torch_joined(r):
    """SequentialLR of a linear warm-up and a cosine."""
    torch = pytest.importorskip("torch")
    steps, peak, end = drawn(r)
    first = whole(r, 1, 19)

    def parts(optimizer):
        return [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=end / peak, total_iters=first),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - first, eta_min=end),
        ]

    phases = [{"kind": "warmup", "learning_rate": peak, "start_learning_rate": end, "steps": first}]
    phases += [{"kind": "cosine", "learning_rate": peak, "end_learning_rate": end, "steps": steps - first}]
    found = torch_rates("SequentialLR", peak, steps, schedulers=parts, milestones=[first])
    return tabulate("phases", steps, phases=phases), found


TORCH = {
    "step": torch_steps,
    "multistep": torch_multistep,
    "exponential": torch_exponential,
    "constant": torch_constant,
    "linear": torch_linear,
    "warmup": torch_warmup,
    "polynomial": torch_polynomial,
    "cosine": torch_cosine,
    "cosine_restarts": torch_cosine_restarts,
    "one_cycle": torch_one_cycle,
    **{mode: torch_cycle(mode) for mode in ("triangular", "triangular2", "exp_range")},
    "warmup then cosine": torch_joined,
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_has_the_same_rates(name):
    pytest.importorskip("torch")
    for random in random_sets(name):
        compare(*TORCH[name](random))


# ---- optax ----


@pytest.fixture(scope="module")
def optax():
    """optax in double precision."""
    found = pytest.importorskip("optax")
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield found
    jax.config.update("jax_enable_x64", before)


def scales(rates):
    """What optax multiplies at each boundary."""
    return [late / early for early, late in itertools.pairwise(rates)]


def optax_exponential(optax, r):
    steps, peak, end = drawn(r)
    every, gamma = whole(r, 1, 40), r.uniform(0.2, 1.1)
    bound = end if gamma < 1 else 1.5 * peak
    theirs = optax.exponential_decay(peak, every, gamma, end_value=bound)
    own = {"gamma": gamma, "transition_steps": every, "end_learning_rate": bound}
    return tabulate("exponential", steps, learning_rate=peak, **own), theirs


def optax_staircase(optax, r):
    steps, peak, _ = drawn(r)
    every, gamma = whole(r, 1, 40), r.uniform(0.2, 1.1)
    theirs = optax.exponential_decay(peak, every, gamma, staircase=True)
    return tabulate("step", steps, learning_rate=peak, step_size=every, gamma=gamma), theirs


def optax_linear(optax, r):
    steps, peak, end = drawn(r)
    return tabulate("linear", steps, learning_rate=peak, end_learning_rate=end), optax.linear_schedule(peak, end, steps)


def optax_polynomial(optax, r):
    steps, peak, end = drawn(r)
    power = r.uniform(0.5, 3.0)
    ours = tabulate("polynomial", steps, learning_rate=peak, power=power, end_learning_rate=end)
    return ours, optax.polynomial_schedule(peak, end, power, steps)


def optax_cosine(optax, r):
    steps, peak, end = drawn(r)
    power = r.uniform(0.5, 3.0)
    ours = tabulate("cosine", steps, learning_rate=peak, power=power, end_learning_rate=end)
    return ours, optax.cosine_decay_schedule(peak, steps, alpha=end / peak, exponent=power)


def optax_warmup_exponential(optax, r):
    """A geometric progression upwards."""
    steps, peak, start = drawn(r)
    ours = tabulate("warmup_exponential", steps, learning_rate=peak, start_learning_rate=start)
    return ours, optax.exponential_decay(start, steps, peak / start)


def optax_multistep(optax, r):
    steps, peak, _ = drawn(r)
    milestones, gamma = steps_in(r, steps), r.uniform(0.1, 0.9)
    theirs = optax.piecewise_constant_schedule(peak, dict.fromkeys(milestones, gamma))
    return tabulate("multistep", steps, learning_rate=peak, milestones=milestones, gamma=gamma), theirs


def optax_piecewise_constant(optax, r):
    steps, _, _ = drawn(r)
    boundaries, rates = steps_in(r, steps), r.uniform(0.1, 2.0, 4).tolist()
    theirs = optax.piecewise_constant_schedule(rates[0], dict(zip(boundaries, scales(rates), strict=True)))
    return tabulate("piecewise_constant", steps, boundaries=boundaries, learning_rates=rates), theirs


def optax_piecewise_interpolated(optax, r):
    steps, _, _ = drawn(r)
    boundaries, rates = steps_in(r, steps), r.uniform(0.1, 2.0, 4).tolist()
    shape = str(r.choice(["linear", "cosine"]))
    theirs = optax.piecewise_interpolate_schedule(shape, rates[0], dict(zip(boundaries, scales(rates), strict=True)))
    own = {"boundaries": boundaries, "learning_rates": rates, "interpolation": shape}
    return tabulate("piecewise_interpolated", steps, **own), theirs


def optax_one_cycle(optax, r):
    """As our docstring says: optax's one-cycle is a path through its own corners."""
    steps, peak, _ = drawn(r)
    linear = bool(r.integers(2))
    division, final = r.uniform(2, 30), r.uniform(1, 30)
    start, end = peak / division, peak / (division * final)
    if linear:
        theirs = optax.linear_onecycle_schedule(steps, peak, 0.3, 0.85, division, final)
        corners = [int(0.3 * steps), int(0.85 * steps), steps], [start, peak, start, end]
    else:
        theirs = optax.cosine_onecycle_schedule(steps, peak, 0.3, division, final)
        corners = [int(0.3 * steps), steps], [start, peak, end]
    own = {"boundaries": corners[0], "learning_rates": corners[1], "interpolation": "linear" if linear else "cosine"}
    return tabulate("piecewise_interpolated", steps, **own), theirs


def optax_restarts(optax, r):
    """sgdr_schedule is phases of warm-ups and cosines."""
    _, peak, end = drawn(r)
    cycles = [(whole(r, 1, 9), whole(r, 1, 40), peak * r.uniform(0.5, 1.0)) for _ in range(3)]
    given = [
        {"init_value": end, "peak_value": top, "warmup_steps": up, "decay_steps": up + down, "end_value": end}
        for up, down, top in cycles
    ]
    phases = []
    for up, down, top in cycles:
        phases.append({"kind": "warmup", "learning_rate": top, "start_learning_rate": end, "steps": up})
        phases.append({"kind": "cosine", "learning_rate": top, "end_learning_rate": end, "steps": down})
    steps = sum(phase["steps"] for phase in phases)
    return tabulate("phases", steps, phases=phases), optax.sgdr_schedule(given)


def optax_warmup_cosine(optax, r):
    steps, peak, end = drawn(r)
    first = whole(r, 1, 19)
    phases = [{"kind": "warmup", "learning_rate": peak, "start_learning_rate": end, "steps": first}]
    phases += [{"kind": "cosine", "learning_rate": peak, "end_learning_rate": end, "steps": steps - first}]
    theirs = optax.warmup_cosine_decay_schedule(end, peak, first, steps, end)
    return tabulate("phases", steps, phases=phases), theirs


def optax_warmup_then_exponential(optax, r):
    steps, peak, start = drawn(r)
    first, every, gamma = whole(r, 1, 19), whole(r, 1, 40), r.uniform(0.2, 0.99)
    phases = [{"kind": "warmup", "learning_rate": peak, "start_learning_rate": start, "steps": first}]
    phases += [{"kind": "exponential", "learning_rate": peak, "gamma": gamma, "transition_steps": every}]
    theirs = optax.warmup_exponential_decay_schedule(start, peak, first, every, gamma)
    return tabulate("phases", steps, phases=phases), theirs


def optax_warmup_constant(optax, r):
    steps, peak, start = drawn(r)
    first = whole(r, 1, 19)
    phases = [{"kind": "warmup", "learning_rate": peak, "start_learning_rate": start, "steps": first}]
    phases += [{"kind": "constant", "learning_rate": peak}]
    return tabulate("phases", steps, phases=phases), optax.warmup_constant_schedule(start, peak, first)


def optax_stable_decay(optax, r):
    """The trapezoid, joined from optax's parts."""
    steps, peak, end = drawn(r)
    first, last, decay = whole(r, 1, 10), whole(r, 1, 10), str(r.choice(["linear", "cosine"]))
    parts = [optax.linear_schedule(end, peak, first), optax.constant_schedule(peak)]
    if decay == "linear":
        parts.append(optax.linear_schedule(peak, end, last))
    else:
        parts.append(optax.cosine_decay_schedule(peak, last, alpha=end / peak))
    own = {"warmup_steps": first, "decay_steps": last, "decay": decay}
    own |= {"start_learning_rate": end, "end_learning_rate": end}
    theirs = optax.join_schedules(parts, [first, steps - last])
    return tabulate("warmup_stable_decay", steps, learning_rate=peak, **own), theirs


def optax_constant(optax, r):
    steps, peak, _ = drawn(r)
    return tabulate("constant", steps, learning_rate=peak), optax.constant_schedule(peak)


OPTAX = {
    "constant": optax_constant,
    "exponential": optax_exponential,
    "step": optax_staircase,
    "linear": optax_linear,
    "polynomial": optax_polynomial,
    "cosine": optax_cosine,
    "warmup_exponential": optax_warmup_exponential,
    "multistep": optax_multistep,
    "piecewise_constant": optax_piecewise_constant,
    "piecewise_interpolated": optax_piecewise_interpolated,
    "one_cycle": optax_one_cycle,
    "restarts": optax_restarts,
    "warmup then cosine": optax_warmup_cosine,
    "warmup then exponential": optax_warmup_then_exponential,
    "warmup then constant": optax_warmup_constant,
    "warmup_stable_decay": optax_stable_decay,
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax_has_the_same_rates(name, optax):
    for random in random_sets(name):
        ours, theirs = OPTAX[name](optax, random)
        compare(ours, [float(theirs(step)) for step in range(len(ours))])


def test_a_schedule_of_optax_passes_through_as_it_is(optax):
    theirs = optax.warmup_cosine_decay_schedule(0.1, 1.0, 10, 50, 0.01)
    own = from_callable(theirs, 50, name="own")
    assert own["learning_rates"] == tuple(float(theirs(step)) for step in range(50))
    assert own["name"] == "own"
