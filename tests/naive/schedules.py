"""Slow, obvious twins of the schedules: one rate at a time, from the words of their definition.

Imports nothing of simlr. The recursive ones are recursive here, so that a closed form is checked by what it stands for.
"""

import itertools
import math


def rate(kind, t, steps, p):
    """The learning rate of step t of a phase of `steps` steps, from the dict of its parameters."""
    return TWINS[kind](t, steps, **p)


def rates(kind, steps, **parameters):
    """The learning rates of all steps of a phase."""
    return [rate(kind, t, steps, parameters) for t in range(steps)]


def mean(a, b, part):
    """The way from a to b, of which `part` lies behind."""
    return a * (1 - part) + b * part


def times_often(value, factor, often):
    """value * factor * factor * ..."""
    for _ in range(often):
        value *= factor
    return value


def constant(t, steps, learning_rate):
    return learning_rate


def step(t, steps, learning_rate, step_size, gamma=0.1):
    return times_often(learning_rate, gamma, t // step_size)


def multistep(t, steps, learning_rate, milestones, gamma=0.1):
    return times_often(learning_rate, gamma, sum(milestone <= t for milestone in milestones))


def exponential(t, steps, learning_rate, gamma, transition_steps=1, end_learning_rate=0.0):
    found = times_often(learning_rate, gamma, t // transition_steps) * math.pow(
        gamma, (t % transition_steps) / transition_steps
    )
    if end_learning_rate:
        return max(found, end_learning_rate) if gamma < 1 else min(found, end_learning_rate)
    return found


def linear(t, steps, learning_rate, end_learning_rate=0.0):
    return mean(learning_rate, end_learning_rate, t / steps)


def polynomial(t, steps, learning_rate, power, end_learning_rate=0.0):
    return end_learning_rate + (learning_rate - end_learning_rate) * math.pow((steps - t) / steps, power)


def inverse_sqrt(t, steps, learning_rate, time_scale=1.0):
    return learning_rate / math.sqrt(1 + t / time_scale)


def fallen(part, power=1.0):
    """The cosine's fall from 1 to 0, as the square of a cosine of half the angle."""
    return math.pow(math.cos(math.pi * part / 2) ** 2, power)


def cosine(t, steps, learning_rate, end_learning_rate=0.0, power=1.0):
    return mean(end_learning_rate, learning_rate, fallen(t / steps, power))


def warmup(t, steps, learning_rate, start_learning_rate=0.0):
    return mean(start_learning_rate, learning_rate, t / steps)


def warmup_exponential(t, steps, learning_rate, start_learning_rate):
    return math.exp(mean(math.log(start_learning_rate), math.log(learning_rate), t / steps))


def piecewise_constant(t, steps, boundaries, learning_rates):
    current = learning_rates[0]
    for boundary, following in zip(boundaries, learning_rates[1:], strict=True):
        if t >= boundary:
            current = following
    return current


def along(t, corners, shape):
    """The rate at t of a path through corners [(time, rate), ...], linear or cosine between them."""
    for (t0, a), (t1, b) in itertools.pairwise(corners):
        if t <= t1 and t1 > t0:
            part = (t - t0) / (t1 - t0)
            return mean(a, b, part if shape == "linear" else 1 - fallen(part))
    return corners[-1][1]


def piecewise_interpolated(t, steps, boundaries, learning_rates, interpolation="linear"):
    return along(t, list(zip([0, *boundaries], learning_rates, strict=True)), interpolation)


def one_cycle(
    t,
    steps,
    learning_rate,
    warmup_fraction=0.3,
    division_factor=25.0,
    final_division_factor=1e4,
    anneal="cosine",
    three_phase=False,
):
    start = learning_rate / division_factor
    top = warmup_fraction * steps - 1
    corners = [(0, start), (top, learning_rate)]
    if three_phase:
        corners.append((2 * top, start))
    corners.append((steps - 1, start / final_division_factor))
    first = max(i for i, (time, _) in enumerate(corners[:-1]) if i == 0 or time < t)
    return along(t, corners[first : first + 2], anneal)


def warmup_stable_decay(
    t,
    steps,
    learning_rate,
    decay_steps,
    warmup_steps=0,
    start_learning_rate=0.0,
    end_learning_rate=0.0,
    decay="linear",
):
    if t < warmup_steps:
        return mean(start_learning_rate, learning_rate, t / warmup_steps)
    left = steps - t
    if left >= decay_steps:
        return learning_rate
    part = (decay_steps - left) / decay_steps
    kept = {"linear": 1 - part, "cosine": fallen(part), "1-sqrt": 1 - math.sqrt(part)}[decay]
    return mean(end_learning_rate, learning_rate, kept)


def cosine_restarts(t, steps, learning_rate, cycle_steps, cycle_factor=1, end_learning_rate=0.0):
    while t >= cycle_steps:
        t -= cycle_steps
        cycle_steps *= cycle_factor
    return mean(end_learning_rate, learning_rate, fallen(t / cycle_steps))


def falling_restarts(t, steps, learning_rate, cycle_steps, cycle_growth=1.0, peak_factor=1.0, end_learning_rate=0.0):
    """Torch's CosineAnnealingWarmRestarts.step(epoch), with T_mult = cycle_growth: the cycle by a logarithm."""
    if cycle_growth == 1.0:
        n, within, period = t // cycle_steps, t % cycle_steps, cycle_steps
    else:
        n = int(math.log(t / cycle_steps * (cycle_growth - 1) + 1, cycle_growth))
        # The logarithm may be off by one where a cycle ends at a whole step.
        starts = [cycle_steps * (cycle_growth**k - 1) / (cycle_growth - 1) for k in range(n + 3)]
        n = max(k for k, start in enumerate(starts) if start <= t)
        within, period = t - starts[n], cycle_steps * cycle_growth**n
    peak = end_learning_rate + (learning_rate - end_learning_rate) * peak_factor**n
    return end_learning_rate + (peak - end_learning_rate) * (1 + math.cos(math.pi * within / period)) / 2


def triangle(t, up_steps, down_steps):
    """Cycles passed, and the height in this one, walked step by step."""
    cycle, within = 0, 0
    for _ in range(t):
        within += 1
        if within == up_steps + (down_steps or up_steps):
            cycle, within = cycle + 1, 0
    down = down_steps or up_steps
    return cycle, within / up_steps if within <= up_steps else 1 - (within - up_steps) / down


def triangular(t, steps, learning_rate, up_steps, down_steps=0, start_learning_rate=0.0):
    return mean(start_learning_rate, learning_rate, triangle(t, up_steps, down_steps)[1])


def triangular2(t, steps, learning_rate, up_steps, down_steps=0, start_learning_rate=0.0):
    cycle, height = triangle(t, up_steps, down_steps)
    return mean(start_learning_rate, learning_rate, height / 2**cycle)


def exp_range(t, steps, learning_rate, up_steps, gamma, down_steps=0, start_learning_rate=0.0):
    return mean(start_learning_rate, learning_rate, times_often(triangle(t, up_steps, down_steps)[1], gamma, t))


def table(t, steps, learning_rates, source=""):
    return learning_rates[t]


def chebyshev_order(steps):
    """The odd numbers 1 .. 2 steps - 1 in the order of Samarskii and Nikolaev, by its recursion."""
    if steps == 1:
        return [1]
    if steps % 2:
        return [*chebyshev_order(steps - 1), 2 * steps - 1]
    return [j for odd in chebyshev_order(steps // 2) for j in (odd, 2 * steps - odd)]


def chebyshev(t, steps, smallest_curvature, largest_curvature):
    root = math.cos(math.pi * chebyshev_order(steps)[t] / (2 * steps))
    return 1 / ((largest_curvature + smallest_curvature) / 2 + (largest_curvature - smallest_curvature) / 2 * root)


def silver(t, steps, learning_rate):
    """Halves like the whole, and a large step between them."""
    ratio = 1 + math.sqrt(2)
    order = 0
    while 2 ** (order + 1) - 1 <= t:
        order += 1
    large = 1 + ratio ** (order - 1)
    return learning_rate * large if t == 2**order - 1 else silver(t - 2**order, steps, learning_rate)


def eigencurve(t, steps, learning_rate, curvature, interval_ratio=2.0):
    """Counts the curvatures of every interval, deals the steps out, and walks."""
    smallest, kappa = min(curvature), max(curvature) / min(curvature)
    counts = {}
    for value in curvature:
        i = 0
        while smallest * interval_ratio ** (i + 1) <= value:
            i += 1
        counts[i] = counts.get(i, 0) + 1
    roots = sum(math.sqrt(count) for count in counts.values())
    dealt = {i: math.floor((steps - len(counts)) * (math.sqrt(counts[i]) / roots)) + 1 for i in sorted(counts)}
    for i in list(dealt)[: steps - sum(dealt.values())]:
        dealt[i] += 1
    total, left = 0.0, t
    for i, length in dealt.items():
        taken = min(left, length)
        total, left = total + taken * interval_ratio**i, left - taken
    return learning_rate / (1 + total / kappa)


TWINS = {
    function.__name__: function
    for function in (
        *(constant, step, multistep, exponential, linear, polynomial, inverse_sqrt, cosine, warmup, warmup_exponential),
        *(piecewise_constant, piecewise_interpolated, one_cycle, warmup_stable_decay, cosine_restarts, triangular),
        falling_restarts,
        *(triangular2, exp_range, table, chebyshev, silver, eigencurve),
    )
}
