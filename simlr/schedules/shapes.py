"""The usual learning-rate schedules, as torch.optim.lr_scheduler and optax have them: functions of the step.

t are steps of the phase (0 is the first), float64; rates are in units of the inverse curvature. Where torch and optax
differ, the docstring says whose convention is ours. "end" and "start" in a formula are end_learning_rate and
start_learning_rate. Delays and joined schedules (ConstantLR, SequentialLR, warmup_cosine_decay_schedule, ...) are
phases.
"""

import math

import numpy as np

from ..inputs import rules
from .registry import Array, as_array, schedule

# ---- decay ----


@schedule(starts=lambda steps, **others: range(0, steps, steps))
def constant(t: Array, steps: int, learning_rate: float) -> Array:
    """eta_t = learning_rate."""
    return np.full(t.shape, learning_rate)


@schedule(starts=lambda steps, step_size, **others: range(0, steps, step_size))
def step(t: Array, steps: int, learning_rate: float, step_size: int, gamma: float = 0.1) -> Array:
    """eta_t = learning_rate * gamma^floor(t / step_size)  (torch.optim.lr_scheduler.StepLR)."""
    return learning_rate * gamma ** np.floor(t / step_size)


def _starts_at(steps, boundaries):
    """First steps of the pieces that boundaries cut."""
    return [0, *(boundary for boundary in boundaries if boundary < steps)]


@schedule(starts=lambda steps, milestones, **others: _starts_at(steps, milestones))
def multistep(t: Array, steps: int, learning_rate: float, milestones: tuple[int, ...], gamma: float = 0.1) -> Array:
    """eta_t = learning_rate * gamma^(number of milestones <= t)  (torch.optim.lr_scheduler.MultiStepLR)."""
    return learning_rate * gamma ** np.searchsorted(as_array(milestones), t, side="right").astype(np.float64)


def _beyond_bound(steps, learning_rate, gamma, transition_steps=1, end_learning_rate=0.0):
    """The steps at which an exponential lies at its bound, if it has one."""
    if not (end_learning_rate > 0.0 and learning_rate > 0.0 and gamma != 1.0):
        return 0, 0
    first = transition_steps * (math.log(end_learning_rate) - math.log(learning_rate)) / math.log(gamma)
    # A step later, so that rounding cannot put it before.
    return (0, 0) if first >= steps - 2 else (max(math.ceil(first) + 1, 0), steps)


@schedule(stable=_beyond_bound)
def exponential(
    t: Array, steps: int, learning_rate: float, gamma: float, transition_steps: int = 1, end_learning_rate: float = 0.0
) -> Array:
    """eta_t = learning_rate * gamma^(t / transition_steps)  (torch ExponentialLR, optax.exponential_decay).

    An end_learning_rate above 0 is a bound: from below where gamma < 1, else from above, as optax has it.
    """
    rates = learning_rate * gamma ** (t / transition_steps)
    if end_learning_rate > 0.0:
        rates = np.maximum(rates, end_learning_rate) if gamma < 1.0 else np.minimum(rates, end_learning_rate)
    return rates


@schedule(needs_steps=True)
def linear(t: Array, steps: int, learning_rate: float, end_learning_rate: float = 0.0) -> Array:
    """eta_t = learning_rate + (end - learning_rate) t / steps  (optax.linear_schedule, torch LinearLR)."""
    return learning_rate + (end_learning_rate - learning_rate) * (t / steps)


@schedule(needs_steps=True)
def polynomial(t: Array, steps: int, learning_rate: float, power: float, end_learning_rate: float = 0.0) -> Array:
    """eta_t = end + (learning_rate - end) (1 - t / steps)^power  (optax.polynomial_schedule; torch PolynomialLR)."""
    return end_learning_rate + (learning_rate - end_learning_rate) * (1.0 - t / steps) ** power


@schedule
def inverse_sqrt(t: Array, steps: int, learning_rate: float, time_scale: float = 1.0) -> Array:
    """eta_t = learning_rate / sqrt(1 + t / time_scale)  (Vaswani et al. 2017; Raffel et al. 2020).

    The time scale counts steps. After a linear warm-up over time_scale steps this is the 1/sqrt(step) of the
    transformer, learning_rate being its peak; after a constant phase as long, that of T5.
    """
    return learning_rate * np.sqrt(time_scale / (time_scale + t))


@schedule(needs_steps=True)
def cosine(t: Array, steps: int, learning_rate: float, end_learning_rate: float = 0.0, power: float = 1.0) -> Array:
    """eta_t = end + (learning_rate - end) ((1 + cos(pi t / steps)) / 2)^power  (Loshchilov and Hutter 2017, eq. 5).

    torch CosineAnnealingLR; with a power, optax.cosine_decay_schedule, whose alpha is end / learning_rate.
    """
    falling = 0.5 * (1.0 + np.cos(np.pi * (t / steps)))
    falling = falling if power == 1.0 else falling**power
    return end_learning_rate + (learning_rate - end_learning_rate) * falling


# ---- warm-up ----


@schedule(needs_steps=True)
def warmup(t: Array, steps: int, learning_rate: float, start_learning_rate: float = 0.0) -> Array:
    """eta_t = start + (learning_rate - start) t / steps: linear warm-up, to be followed by another phase."""
    return start_learning_rate + (learning_rate - start_learning_rate) * (t / steps)


def _both_positive(key, steps, learning_rate, start_learning_rate):
    """A geometric progression leads neither from 0 nor to 0."""
    rules.positive(f"{key}.learning_rate", learning_rate)
    rules.positive(f"{key}.start_learning_rate", start_learning_rate)


@schedule(needs_steps=True, check=_both_positive)
def warmup_exponential(t: Array, steps: int, learning_rate: float, start_learning_rate: float) -> Array:
    """eta_t = start (learning_rate / start)^(t / steps): exponential warm-up, to be followed by another phase."""
    return start_learning_rate * (learning_rate / start_learning_rate) ** (t / steps)


# ---- from point to point ----

INTERPOLATIONS = {
    "linear": lambda u: (1.0 - u, u),
    "cosine": lambda u: (np.cos(0.5 * np.pi * u) ** 2, np.sin(0.5 * np.pi * u) ** 2),
}


def _between(t, times, values, interpolation):
    """Rates that pass through values at ascending times; weights of both ends, so that a small end keeps its digits."""
    part = np.searchsorted(times[1:-1], t, side="left")
    width = times[part + 1] - times[part]
    fraction = np.clip((t - times[part]) / np.where(width > 0.0, width, 1.0), 0.0, 1.0)
    from_weight, to_weight = INTERPOLATIONS[interpolation](fraction)
    return values[part] * from_weight + values[part + 1] * to_weight


def _one_rate_more(key, steps, boundaries, learning_rates, **others):
    """A rate for every piece, or for the start and every boundary."""
    if len(learning_rates) != len(boundaries) + 1:
        rule = f"a list of {len(boundaries) + 1} rates, one more than boundaries"
        rules.refuse(f"{key}.learning_rates", rule, list(learning_rates))


@schedule(check=_one_rate_more, starts=lambda steps, boundaries, **others: _starts_at(steps, boundaries))
def piecewise_constant(t: Array, steps: int, boundaries: tuple[int, ...], learning_rates: tuple[float, ...]) -> Array:
    """eta_t = learning_rates[number of boundaries <= t]  (optax.piecewise_constant_schedule).

    optax multiplies scales; here are the rates themselves, one more than there are boundaries.
    """
    return as_array(learning_rates)[np.searchsorted(as_array(boundaries), t, side="right")]


@schedule(check=_one_rate_more)
def piecewise_interpolated(
    t: Array, steps: int, boundaries: tuple[int, ...], learning_rates: tuple[float, ...], interpolation: str = "linear"
) -> Array:
    """eta_t = learning_rates[0] at 0, [k] at boundaries[k - 1], between them linear or cosine, then constant.

    optax.piecewise_interpolate_schedule, with the rates themselves in place of scales. optax's one-cycle schedules are
    this one: of T steps, boundaries int(0.3 T) (then int(0.85 T) in the linear one) and T.
    """
    times = np.concatenate([[0.0], as_array(boundaries)])
    return _between(t, times, as_array(learning_rates), interpolation)


def _room_for_three(key, steps, warmup_fraction, three_phase, **others):
    """A fall as long as the rise must end before the schedule does."""
    most = 0.5 if three_phase else 1.0
    rules.number(f"{key}.warmup_fraction", warmup_fraction, above=0.0, most=most, rule=f"a number > 0, at most {most}")


@schedule(needs_steps=True, check=_room_for_three)
def one_cycle(
    t: Array,
    steps: int,
    learning_rate: float,
    warmup_fraction: float = 0.3,
    division_factor: float = 25.0,
    final_division_factor: float = 1e4,
    anneal: str = "cosine",
    three_phase: bool = False,
) -> Array:
    """eta_t: start = learning_rate / division_factor, up to learning_rate, down to start / final_division_factor.

    torch OneCycleLR (Smith and Topin 2018), and its convention: the end is the rate of the last step, steps - 1, and
    the peak lies at warmup_fraction * steps - 1. With three phases the fall is as long as the
    rise and leads back to start; the rest leads to end. optax reaches the end one step later and rounds its peak to a
    step: see piecewise_interpolated.
    """
    start = learning_rate / division_factor
    peak = warmup_fraction * steps - 1.0
    back = [2.0 * warmup_fraction * steps - 2.0] if three_phase else []
    times = np.array([0.0, peak, *back, steps - 1.0])
    rates = [start, learning_rate, *([start] if three_phase else []), start / final_division_factor]
    return _between(t, times, np.array(rates), anneal)


DECAYS = {
    "linear": lambda u: 1.0 - u,
    "cosine": lambda u: np.cos(0.5 * np.pi * u) ** 2,
    "1-sqrt": lambda u: 1.0 - np.sqrt(u),
}


def _fits(key, steps, decay_steps, warmup_steps, **others):
    """Warm-up and decay do not overlap."""
    if steps is not None and warmup_steps + decay_steps > steps:
        rules.refuse(f"{key}.decay_steps", f"at most steps - warmup_steps = {steps - warmup_steps}", decay_steps)


@schedule(
    needs_steps=True,
    check=_fits,
    stable=lambda steps, decay_steps, warmup_steps=0, **others: (warmup_steps, steps - decay_steps),
)
def warmup_stable_decay(
    t: Array,
    steps: int,
    learning_rate: float,
    decay_steps: int,
    warmup_steps: int = 0,
    start_learning_rate: float = 0.0,
    end_learning_rate: float = 0.0,
    decay: str = "linear",
) -> Array:
    """eta_t = linear warm-up, learning_rate, then end + (learning_rate - end) f(u) over the last decay_steps.

    u = (t - (steps - decay_steps)) / decay_steps and f(u) = 1 - u (linear), (1 + cos(pi u)) / 2 (cosine) or
    1 - sqrt(u) (1-sqrt): the trapezoid, or warmup-stable-decay (Hu et al. 2024; Haegele et al. 2024).
    """
    risen = np.minimum(t / max(warmup_steps, 1), 1.0) if warmup_steps else np.ones(t.shape)
    kept = DECAYS[decay](np.clip((t - (steps - decay_steps)) / decay_steps, 0.0, 1.0))
    rising = start_learning_rate * (1.0 - risen) + learning_rate * risen
    return np.where(t < warmup_steps, rising, end_learning_rate * (1.0 - kept) + learning_rate * kept)


# ---- cycles ----


@schedule
def cosine_restarts(
    t: Array, steps: int, learning_rate: float, cycle_steps: int, cycle_factor: int = 1, end_learning_rate: float = 0.0
) -> Array:
    """eta_t = end + (learning_rate - end) (1 + cos(pi s / T)) / 2, s steps into a cycle of T = cycle_steps.

    Loshchilov and Hutter (2017); torch CosineAnnealingWarmRestarts: T_0 is cycle_steps, and every cycle is
    cycle_factor = T_mult times as long as the one before. optax.sgdr_schedule is phases of warm-ups and cosines.
    """
    if cycle_factor == 1:
        start, period = t - np.mod(t, cycle_steps), np.full(t.shape, cycle_steps, np.float64)
    else:
        # Whole numbers, so that no restart is missed by rounding.
        starts, periods = [0], [cycle_steps]
        while t.size and starts[-1] + periods[-1] <= t[-1]:
            starts.append(starts[-1] + periods[-1])
            periods.append(periods[-1] * cycle_factor)
        cycle = np.searchsorted(starts, t, side="right") - 1
        start, period = (np.array(values, dtype=np.float64)[cycle] for values in (starts, periods))
    angle = 0.5 * np.pi * ((t - start) / period)
    return end_learning_rate * np.sin(angle) ** 2 + learning_rate * np.cos(angle) ** 2


@schedule
def falling_restarts(
    t: Array,
    steps: int,
    learning_rate: float,
    cycle_steps: int,
    cycle_growth: float = 1.0,
    peak_factor: float = 1.0,
    end_learning_rate: float = 0.0,
) -> Array:
    """eta_t = end + height_n (1 + cos(pi s / T_n)) / 2, s steps into cycle n, height_n and T_n geometric in n.

    T_n = cycle_steps * cycle_growth^n and height_n = (learning_rate - end) peak_factor^n. Cycles need not begin at
    a whole step: cycle n begins at cycle_steps * (cycle_growth^n - 1) / (cycle_growth - 1), as torch's
    CosineAnnealingWarmRestarts has it where T_mult is no whole number. With a growth of 1 or 2 and a factor of 1 these
    are cosine_restarts. For falling peaks torch chains a decay; here it is one kind.
    """
    growth, first = cycle_growth, float(cycle_steps)
    if growth == 1.0:
        cycle = np.floor(t / first)
        start, period = cycle * first, np.full(t.shape, first)
    else:
        ends = [first]  # of the cycles
        while t.size and ends[-1] <= t[-1]:
            ends.append(first * (growth ** (len(ends) + 1) - 1.0) / (growth - 1.0))
        cycle = np.searchsorted(ends, t, side="right")
        start, period = np.concatenate([[0.0], ends])[cycle], first * growth**cycle
    falling = np.cos(0.5 * np.pi * ((t - start) / period)) ** 2
    return end_learning_rate + (learning_rate - end_learning_rate) * peak_factor**cycle * falling


def _triangle(t, up_steps, down_steps):
    """Number of the cycle, from 0, and height in it, from 0 up to 1 and back; without down_steps, down is as up."""
    down = down_steps or up_steps
    cycle, within = np.divmod(t, up_steps + down)
    return cycle, np.where(within <= up_steps, within / up_steps, (up_steps + down - within) / down)


@schedule
def triangular(
    t: Array, steps: int, learning_rate: float, up_steps: int, down_steps: int = 0, start_learning_rate: float = 0.0
) -> Array:
    """eta_t = start + (learning_rate - start) z, z from 0 up to 1 over up_steps and back over down_steps, again.

    Smith (2017), torch CyclicLR. down_steps = 0: as many as up_steps.
    """
    _, height = _triangle(t, up_steps, down_steps)
    return start_learning_rate + (learning_rate - start_learning_rate) * height


@schedule
def triangular2(
    t: Array, steps: int, learning_rate: float, up_steps: int, down_steps: int = 0, start_learning_rate: float = 0.0
) -> Array:
    """eta_t = start + (learning_rate - start) z / 2^k, k whole cycles passed, z as in triangular  (Smith 2017)."""
    cycle, height = _triangle(t, up_steps, down_steps)
    return start_learning_rate + (learning_rate - start_learning_rate) * height * 0.5**cycle


@schedule
def exp_range(
    t: Array,
    steps: int,
    learning_rate: float,
    up_steps: int,
    gamma: float,
    down_steps: int = 0,
    start_learning_rate: float = 0.0,
) -> Array:
    """eta_t = start + (learning_rate - start) z gamma^t, z as in triangular  (Smith 2017, torch CyclicLR)."""
    _, height = _triangle(t, up_steps, down_steps)
    return start_learning_rate + (learning_rate - start_learning_rate) * height * gamma**t


# ---- a table ----


def _changes(steps, learning_rates, **others):
    """First steps of the stretches of equal rates."""
    rates = as_array(learning_rates)[:steps]
    return [0, *(np.flatnonzero(rates[1:] != rates[:-1]) + 1).tolist()]


def _long_enough(key, steps, learning_rates, **others):
    """A table says nothing of steps beyond its end."""
    if steps is not None and steps > len(learning_rates):
        rules.refuse(f"{key}.steps", f"at most {len(learning_rates)}, the rates in the table", steps)


@schedule(check=_long_enough, starts=_changes, length=lambda learning_rates, **others: len(learning_rates))
def table(t: Array, steps: int, learning_rates: tuple[float, ...], source: str = "") -> Array:
    """eta_t = learning_rates[t]; in their place a file, CSV (its column, default -1, the last) or NPY.

    The file is read once, relative to the grid's; the grid then holds the rates themselves, with the file's name as
    their source, so that a run file needs no other. See also simlr.schedules.from_callable.
    """
    return as_array(learning_rates)[t.astype(np.int64)]
