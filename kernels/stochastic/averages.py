"""Averages of the iterates, carried beside the last one; they change nothing of the run itself.

Tail           a_t = mean of theta_start .. theta_t, and theta_t itself before step `start`; theta_0 is the start
Exponential    a_t = decay a_(t-1) + (1 - decay) theta_t,    a_0 = theta_0, without a correction of the early bias

Both are a_t = keep a_(t-1) + take theta_t; for the tail, with k = t - start + 1 iterates so far, take = 1/k and
keep = (k - 1)/k. Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992,
doi:10.1137/0330046. Averaging commutes with turning into the Hessian's axes, so a is carried as a residual.
"""

from ..intrinsics import fma
from ..jit import cell

NO_AVERAGE, TAIL, EXPONENTIAL = 0, 1, 2


@cell
def weigh_iterate(average, step, tail_start, decay, keep, take, filled):
    """Weights (width,) of the past and of the iterate after `step` steps in every lane's average."""
    if average == TAIL:
        for lane in range(filled):
            count = float(max(step - tail_start[lane] + 1, 1))
            take[lane] = 1.0 / count
            keep[lane] = (count - 1.0) / count
    else:
        for lane in range(filled):
            take[lane] = 1.0 - decay[lane]
            keep[lane] = decay[lane]


@cell
def blend_lanes(r, average, keep, take, filled):
    """a <- keep a + take r; arrays (d, width)."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            average[i, lane] = fma(take[lane], r[i, lane], keep[lane] * average[i, lane])


@cell
def average_lanes(kind, step, tail_start, decay, r, average, keep, take, filled):
    """Take the iterates after `step` steps into the averages of their lanes; keep and take are scratch."""
    if kind == NO_AVERAGE:
        return
    weigh_iterate(kind, step, tail_start, decay, keep, take, filled)
    blend_lanes(r, average, keep, take, filled)
