"""Steps of one optimiser by the kernels along any gradient, from a table of a grid."""

import numpy as np

from simlr.config.methods import check_optimizers
from simlr.engine.stochastic import carried, kind_of, numbers_of
from simlr.kernels.convex import optimizers as kernels
from simlr.kernels.pool import LANES
from simlr.kernels.stochastic.lanes import make_pool


def iterates(table, gradient, start, rates):
    """The parameters before the first step and after each, (T + 1, p); `gradient(theta, t)`, t from 0."""
    (checked,) = check_optimizers([table])
    kind, start = kind_of(checked, {"kind": "none"})[0], np.array(start, float)
    own = carried([checked], kind, start)[0]
    pool = make_pool(start.size, own.size, 0, 1, LANES)
    numbers = np.array([numbers_of(checked)])
    pool.r[:, 0], pool.velocity[:, 0], pool.schedule[0] = start, own, 0
    pool.beta[0] = numbers[0, kernels.BETA1]
    memory = kernels.make_memory(kind, pool.velocity, start.size, 1)
    kernels.fill_numbers(memory, pool.schedule, kernels.Rules(numbers, 1))
    elsewhere = kernels.is_elsewhere(kind)
    found = [start]
    for t, rate in enumerate(rates):
        at = memory.point if elsewhere else pool.r
        pool.gradient[:, 0], pool.rates[0, 0] = gradient(at[:, 0].copy(), t), rate
        kernels.step_lanes(kind, pool, memory, 0, t + 1, LANES)
        found.append(pool.r[:, 0].copy())
    return np.array(found)
