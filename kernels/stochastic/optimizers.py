"""Optimisers: how the gradients g_t of all lanes become steps, with a rate eta_t and a decay beta for every lane.

Gradient descent        theta <- theta - eta_t g
Momentum                v <- beta v + g;    theta <- theta - eta_t v
Nesterov's momentum     v <- beta v + g;    theta <- theta - eta_t (g + beta v), with the v just made

v starts at 0. These are the forms of torch.optim.SGD (dampening 0) and optax.sgd. At a constant rate momentum is
Polyak's heavy ball, theta_(t+1) = theta_t - eta g_t + beta (theta_t - theta_(t-1)). When the rate varies, the rate
multiplies the whole velocity here, so that the last move has the weight beta eta_t / eta_(t-1); Polyak's own form,
whose last move has the weight beta, is not offered.

Polyak, Some methods of speeding up the convergence of iteration methods, 1964, doi:10.1016/0041-5553(64)90137-5;
Sutskever, Martens, Dahl, Hinton, On the importance of initialization and momentum in deep learning, ICML 2013.

Each moves theta by -eta_t times its `move`, which is what landing on a level within a step goes along.

Arrays of a pool are (d, width), those of its lanes (width,), and `rates` (steps, width), of which row k is taken.
"""

from ..intrinsics import fma
from ..jit import cell, inline

GRADIENT_DESCENT, MOMENTUM, NESTEROV = 0, 1, 2


@cell
def descend_lanes(gradient, rates, k, r, filled):
    """r <- r - eta g."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            r[i, lane] = fma(-rates[k, lane], gradient[i, lane], r[i, lane])


@cell
def momentum_lanes(gradient, rates, k, beta, r, velocity, filled):
    """v <- beta v + g, r <- r - eta v."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            v = fma(beta[lane], velocity[i, lane], gradient[i, lane])
            velocity[i, lane] = v
            r[i, lane] = fma(-rates[k, lane], v, r[i, lane])


@cell
def nesterov_lanes(gradient, rates, k, beta, r, velocity, filled):
    """v <- beta v + g, r <- r - eta (g + beta v)."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            v = fma(beta[lane], velocity[i, lane], gradient[i, lane])
            velocity[i, lane] = v
            r[i, lane] = fma(-rates[k, lane], fma(beta[lane], v, gradient[i, lane]), r[i, lane])


@inline
def update_lanes(optimizer, gradient, rates, k, beta, r, velocity, filled):
    """One step of all lanes by the optimiser. Updates r and, but for gradient descent, velocity."""
    if optimizer == GRADIENT_DESCENT:
        descend_lanes(gradient, rates, k, r, filled)
    elif optimizer == MOMENTUM:
        momentum_lanes(gradient, rates, k, beta, r, velocity, filled)
    else:
        nesterov_lanes(gradient, rates, k, beta, r, velocity, filled)


@inline
def move_of(optimizer, gradient, beta, velocity, i, lane):
    """What the rate of the step just taken was multiplied with, along axis i in a lane."""
    if optimizer == GRADIENT_DESCENT:
        return gradient[i, lane]
    if optimizer == MOMENTUM:
        return velocity[i, lane]
    return fma(beta[lane], velocity[i, lane], gradient[i, lane])
