"""Optimisers for losses of rows: clipping, decay, and how the gradients of all lanes become steps.

A gradient g is clipped to +- clip_value, then multiplied with min(1, clip_norm / (|g| + offset)), and decay theta is
added to it where the decay is not apart. With t = 1 the first step, eta its rate, roots and divisions axis by axis, and
c = 1 - eta apart:

Damped momentum     v <- beta v + (1 - dampening) g, at t = 1 v <- g;     theta <- theta - eta v
Polyak's momentum   u <- beta u + eta g;                                  theta <- theta - u
Adam                m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2;    theta <- c theta - eta (A m + B g) / s,
                    s = sqrt(v / (1 - b2^t) + inside) + outside,  A = 1 / (1 - b1^t),  B = 0
NAdam of optax      A = b1 / (1 - b1^(t+1)),  B = (1 - b1) / (1 - b1^t)
NAdam of torch      A = mu_(t+1) / (1 - mu_1 .. mu_(t+1)),  B = (1 - mu_t) / (1 - mu_1 .. mu_t),
                    mu_t = b1 (1 - 0.96^(psi t) / 2)
Root mean square    v <- b2 v + gain g^2;                                 theta <- c theta - eta g / s without b2^t
Sign                theta <- theta - eta sign(g)
Lion                theta <- c theta - eta sign(b1 m + (1 - b1) g);       m <- b2 m + (1 - b2) g
Schedule-free       z <- z - eta g, or z - eta (g / s + apart y), g at y; w = (largest eta so far)^2, W <- W + w,
                    theta <- (1 - w / W) theta + (w / W) z;               y <- b1 theta + (1 - b1) z

What a kind carries lies in the rows of a pool's velocity: see `room`. Powers b^t are carried as products to twice the
digits of float64, so that 1 - b^t is right to its last digits at every t. Each step is a line in theta.

Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter, arXiv:1711.05101; Dozat, Incorporating Nesterov Momentum into
Adam, 2016; Duchi, Hazan, Singer, JMLR 12, 2011; Bernstein et al., arXiv:1802.04434; Chen et al., arXiv:2302.06675;
Defazio et al., arXiv:2405.15682; Polyak 1964, doi:10.1016/0041-5553(64)90137-5.
"""

import math
from typing import NamedTuple

import numpy as np

from ..descent.exponential import LOWEST_EXPONENT, exp_lane
from ..intrinsics import fma
from ..jit import cell, inline, worker
from ..stochastic.optimizers import GRADIENT_DESCENT, NESTEROV, update_lanes

DAMPED, POLYAK, ADAM, NADAM_TORCH, NADAM_OPTAX, ROOT_MEAN_SQUARE, SIGN, LION, FREE, FREE_ADAM = range(3, 13)
# Rows of the numbers of every schedule.
BETA1, BETA2, GAIN, INSIDE, OUTSIDE, COUPLED, APART, CLIP_NORM, CLIP_OFFSET, CLIP_VALUE, DAMPENING, PSI = range(12)
NUMBERS = 12
# Rows of what a lane carries as single numbers; POWER and the one behind it: the digits that it has no room for.
PRODUCT, LARGEST, POWER1, POWER2, TOTAL, SCALARS = 0, 1, 2, 4, 6, 7
# Those of them that start at 1.
ONES = (PRODUCT, POWER1, POWER2)
LOG_096 = math.log(0.96)


class Rules(NamedTuple):
    """The numbers of every schedule of a launch."""

    numbers: np.ndarray  # (S, NUMBERS)
    prepares: int  # whether some gradient is clipped, or has a decay


class Memory(NamedTuple):
    """What the steps of a pool are made with; the first four are views of its velocity, empty where not needed."""

    first: np.ndarray  # (p, width) v, u, m or z
    second: np.ndarray  # (p, width) the mean or sum of g^2
    point: np.ndarray  # (p, width) where the gradient is taken, if that is not theta
    scalars: np.ndarray  # (SCALARS, width)
    numbers: np.ndarray  # (NUMBERS, width)
    weights: np.ndarray  # (4, width) scratch: A, B, 1 / (1 - b2^t), c
    size: np.ndarray  # (width,) scratch
    prepares: int


@cell
def room(kind, parameters):
    """Rows that a kind carries: of `Memory`'s first, second, point and scalars."""
    first = 0 if kind in (GRADIENT_DESCENT, ROOT_MEAN_SQUARE, SIGN) else parameters
    has_second = ADAM <= kind <= ROOT_MEAN_SQUARE or kind == FREE_ADAM
    scalars = SCALARS if ADAM <= kind <= NADAM_OPTAX or kind >= FREE else 0
    return first, parameters if has_second else 0, parameters if kind >= FREE else 0, scalars


@worker
def make_memory(kind, velocity, parameters, prepares):
    """Views of a pool's velocity for a kind, and room for its numbers."""
    first, second, point, scalars = room(kind, parameters)
    width = velocity.shape[1]
    to_second, to_point = first + second, first + second + point
    return Memory(
        velocity[:first], velocity[first:to_second], velocity[to_second:to_point],
        velocity[to_point : to_point + scalars], np.zeros((NUMBERS, width)), np.zeros((4, width)), np.zeros(width),
        prepares,
    )  # fmt: skip


@cell
def fill_numbers(memory, schedule, rules):
    """The numbers of the schedule (width,) in every lane; lanes without one get those of the first."""
    for lane in range(schedule.size):
        s = schedule[lane] if schedule[lane] >= 0 else schedule[0]
        for k in range(NUMBERS):
            memory.numbers[k, lane] = rules.numbers[s, k]


@inline
def is_elsewhere(kind):
    """Whether the gradient is taken at `Memory.point`, not at theta."""
    return kind >= FREE


# ---- clipping and decay ----


@inline
def norm_of(gradient, lane):
    """|g| in a lane where the sum of squares left the range of float64."""
    largest, total = 0.0, 0.0
    for i in range(gradient.shape[0]):
        largest = max(largest, abs(gradient[i, lane]))
    if not 0.0 < largest < np.inf:
        return largest
    for i in range(gradient.shape[0]):
        ratio = gradient[i, lane] / largest
        total = fma(ratio, ratio, total)
    return largest * math.sqrt(total)


@inline
def share_left(memory, gradient, lane):
    """What the gradient in a lane is multiplied with; memory.size is the sum of its squares."""
    limit, total = memory.numbers[CLIP_NORM, lane], memory.size[lane]
    if limit == np.inf:
        return 1.0
    norm = math.sqrt(total) if 1e-280 < total < np.inf else norm_of(gradient, lane)
    norm += memory.numbers[CLIP_OFFSET, lane]
    return limit / norm if norm > limit else 1.0


@cell
def prepare_lanes(memory, gradient, at, filled):
    """Clip the gradients, and add the decay of the parameters at which they are."""
    numbers, size = memory.numbers, memory.size
    for lane in range(filled):
        size[lane] = 0.0
    for i in range(gradient.shape[0]):
        for lane in range(filled):
            g, most = gradient[i, lane], numbers[CLIP_VALUE, lane]
            g = most if g > most else (-most if g < -most else g)  # what is no number stays none
            gradient[i, lane] = g
            size[lane] = fma(g, g, size[lane])
    for lane in range(filled):
        size[lane] = share_left(memory, gradient, lane)
    for i in range(gradient.shape[0]):
        for lane in range(filled):
            gradient[i, lane] = fma(numbers[COUPLED, lane], at[i, lane], size[lane] * gradient[i, lane])


# ---- what is one number a lane ----


@inline
def raise_power(memory, row, lane, base):
    """Multiply the power in rows `row` and `row + 1` with its base; return 1 less it."""
    high, low = memory.scalars[row, lane], memory.scalars[row + 1, lane]
    product = high * base
    low = fma(low, base, fma(high, base, -product))
    memory.scalars[row, lane], memory.scalars[row + 1, lane] = product, low
    return (1.0 - product) - low


@inline
def first_weights(kind, memory, lane, step):
    """A and B of Adam's kinds in a lane."""
    beta = memory.numbers[BETA1, lane]
    less = raise_power(memory, POWER1, lane, beta)
    if kind == ADAM:
        return 1.0 / less, 0.0
    if kind == NADAM_OPTAX:
        following = fma(-beta, memory.scalars[POWER1, lane], 1.0)
        return beta / following, (1.0 - beta) / less
    decay = LOG_096 * memory.numbers[PSI, lane]
    mu = beta * fma(-0.5, exp_lane(max(decay * step, LOWEST_EXPONENT)), 1.0)
    following = beta * fma(-0.5, exp_lane(max(decay * (step + 1.0), LOWEST_EXPONENT)), 1.0)
    product = memory.scalars[PRODUCT, lane] * mu
    memory.scalars[PRODUCT, lane] = product
    return following / fma(-product, following, 1.0), (1.0 - mu) / (1.0 - product)


@inline
def weigh_lanes(kind, memory, rates, k, step, filled):
    """memory.weights of step number `step`, 1 the first."""
    for lane in range(filled):
        first, own, inverse = 0.0, 1.0, 1.0
        if ADAM <= kind <= NADAM_OPTAX:
            first, own = first_weights(kind, memory, lane, float(step))
        if ADAM <= kind <= NADAM_OPTAX or kind == FREE_ADAM:
            inverse = 1.0 / raise_power(memory, POWER2, lane, memory.numbers[BETA2, lane])
        memory.weights[0, lane], memory.weights[1, lane], memory.weights[2, lane] = first, own, inverse
        memory.weights[3, lane] = fma(-rates[k, lane], memory.numbers[APART, lane], 1.0)


# ---- steps ----


@inline
def scaled(memory, i, lane, g, top):
    """top / s along axis i in a lane, after g was taken into the mean square."""
    numbers = memory.numbers
    v = fma(numbers[BETA2, lane], memory.second[i, lane], numbers[GAIN, lane] * (g * g))
    memory.second[i, lane] = v
    return top / (math.sqrt(fma(memory.weights[2, lane], v, numbers[INSIDE, lane])) + numbers[OUTSIDE, lane])


@inline
def sign_of(value):
    """-1, 0 or 1; what is no number stays none."""
    return 1.0 if value > 0.0 else (-1.0 if value < 0.0 else value)


@cell
def damped_lanes(memory, gradient, rates, k, step, r, filled):
    """Momentum with a damped gradient, but at the first step."""
    numbers, v = memory.numbers, memory.first
    for i in range(r.shape[0]):
        for lane in range(filled):
            new = 1.0 if step == 1 else 1.0 - numbers[DAMPENING, lane]
            v[i, lane] = fma(numbers[BETA1, lane], v[i, lane], new * gradient[i, lane])
            r[i, lane] = fma(-rates[k, lane], v[i, lane], r[i, lane])


@cell
def polyak_lanes(memory, gradient, rates, k, r, filled):
    """Polyak's momentum, whose last move is not scaled with the rate."""
    u = memory.first
    for i in range(r.shape[0]):
        for lane in range(filled):
            u[i, lane] = fma(memory.numbers[BETA1, lane], u[i, lane], rates[k, lane] * gradient[i, lane])
            r[i, lane] -= u[i, lane]


@cell
def adam_lanes(memory, gradient, rates, k, r, filled):
    """Adam's kinds, their weights made."""
    m, weights = memory.first, memory.weights
    for i in range(r.shape[0]):
        for lane in range(filled):
            g, beta = gradient[i, lane], memory.numbers[BETA1, lane]
            m[i, lane] = fma(beta, m[i, lane], (1.0 - beta) * g)
            top = fma(weights[1, lane], g, weights[0, lane] * m[i, lane])
            move = scaled(memory, i, lane, g, top)
            r[i, lane] = fma(-rates[k, lane], move, weights[3, lane] * r[i, lane])


@cell
def root_lanes(memory, gradient, rates, k, r, filled):
    """RMSProp and AdaGrad."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            g = gradient[i, lane]
            move = scaled(memory, i, lane, g, g)
            r[i, lane] = fma(-rates[k, lane], move, memory.weights[3, lane] * r[i, lane])


@cell
def sign_lanes(gradient, rates, k, r, filled):
    """Signs of the gradient."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            r[i, lane] = fma(-rates[k, lane], sign_of(gradient[i, lane]), r[i, lane])


@cell
def lion_lanes(memory, gradient, rates, k, r, filled):
    """Lion."""
    numbers, m = memory.numbers, memory.first
    for i in range(r.shape[0]):
        for lane in range(filled):
            g, beta1, beta2 = gradient[i, lane], numbers[BETA1, lane], numbers[BETA2, lane]
            move = sign_of(fma(beta1, m[i, lane], (1.0 - beta1) * g))
            r[i, lane] = fma(-rates[k, lane], move, memory.weights[3, lane] * r[i, lane])
            m[i, lane] = fma(beta2, m[i, lane], (1.0 - beta2) * g)


@inline
def share_of_step(memory, lane, rate):
    """w / W of a schedule-free step; 0 as long as no rate was above 0."""
    largest = max(memory.scalars[LARGEST, lane], rate)
    total = fma(largest, largest, memory.scalars[TOTAL, lane])
    memory.scalars[LARGEST, lane], memory.scalars[TOTAL, lane] = largest, total
    return largest * largest / total if total > 0.0 else 0.0


@cell
def free_lanes(kind, memory, gradient, rates, k, r, filled):
    """Schedule-free steps; r is the mean of the z, and the point between them takes the next gradient."""
    z, y, share = memory.first, memory.point, memory.size
    for lane in range(filled):
        share[lane] = share_of_step(memory, lane, rates[k, lane])
    for i in range(r.shape[0]):
        for lane in range(filled):
            move = gradient[i, lane]
            if kind == FREE_ADAM:
                move = fma(memory.numbers[APART, lane], y[i, lane], scaled(memory, i, lane, move, move))
            z[i, lane] = fma(-rates[k, lane], move, z[i, lane])
            r[i, lane] = fma(share[lane], z[i, lane], (1.0 - share[lane]) * r[i, lane])
            beta = memory.numbers[BETA1, lane]
            y[i, lane] = fma(beta, r[i, lane], (1.0 - beta) * z[i, lane])


@inline
def step_lanes(kind, pool, memory, k, step, filled):
    """One step of all lanes, number `step`, 1 the first, at row k of the pool's rates."""
    gradient, rates, r = pool.gradient, pool.rates, pool.r
    if memory.prepares:
        if is_elsewhere(kind):
            prepare_lanes(memory, gradient, memory.point, filled)
        else:
            prepare_lanes(memory, gradient, r, filled)
    if kind <= NESTEROV:
        update_lanes(kind, gradient, rates, k, pool.beta, r, pool.velocity, filled)
        return
    if kind >= ADAM and kind != SIGN and kind != FREE:
        weigh_lanes(kind, memory, rates, k, step, filled)
    if kind == DAMPED:
        damped_lanes(memory, gradient, rates, k, step, r, filled)
    elif kind == POLYAK:
        polyak_lanes(memory, gradient, rates, k, r, filled)
    elif kind <= NADAM_OPTAX:
        adam_lanes(memory, gradient, rates, k, r, filled)
    elif kind == ROOT_MEAN_SQUARE:
        root_lanes(memory, gradient, rates, k, r, filled)
    elif kind == SIGN:
        sign_lanes(gradient, rates, k, r, filled)
    elif kind == LION:
        lion_lanes(memory, gradient, rates, k, r, filled)
    else:
        free_lanes(kind, memory, gradient, rates, k, r, filled)
