"""Averages of the iterates, carried beside the last one; they change nothing of the run itself.

Tail           a_t = mean of theta_start .. theta_t, and theta_t itself before step `start`; theta_0 is the start
Exponential    a_t = decay a_(t-1) + (1 - decay) theta_t,    a_0 = theta_0, without a correction of the early bias

Both are a_t = past a_(t-1) + present theta_t; for the tail, with k = t - start + 1 iterates so far, present = 1/k and
past = (k - 1)/k. Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992,
doi:10.1137/0330046. Averaging commutes with turning into the Hessian's axes, so a is carried as a residual.
"""

from ..intrinsics import fma
from ..jit import cell, inline

NO_AVERAGE, TAIL, EXPONENTIAL = 0, 1, 2


@inline
def tail_weights(step, start):
    """Weights of the past and of the iterate after `step` steps in the mean of those from step `start` on."""
    count = float(max(step - start + 1, 1))
    return (count - 1.0) / count, 1.0 / count


@cell
def weigh_iterate(average, step, tail_start, decay, past, present, filled):
    """Weights (width,) of the past and of the iterate after `step` steps in every lane's average."""
    if average == TAIL:
        for lane in range(filled):
            past[lane], present[lane] = tail_weights(step, tail_start[lane])
    else:
        for lane in range(filled):
            present[lane] = 1.0 - decay[lane]
            past[lane] = decay[lane]


@cell
def blend_lanes(r, average, past, present, filled):
    """a <- past a + present r; arrays (d, width)."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            average[i, lane] = fma(present[lane], r[i, lane], past[lane] * average[i, lane])


@inline
def average_lanes(kind, step, tail_start, decay, r, average, past, present, filled):
    """Take the iterates after `step` steps into the averages of their lanes; past and present (width,) are scratch."""
    if kind == NO_AVERAGE:
        return
    weigh_iterate(kind, step, tail_start, decay, past, present, filled)
    blend_lanes(r, average, past, present, filled)
