"""The point of a run's last step at which its train loss is the level.

A step moves an iterate along a segment, on which the energy, 2 (train loss - floor), is a quadratic: with `after` where
the step ends and `back` = before - after,

    x(psi) = after + psi back,    energy(psi) = sum_i w_i x_i(psi)^2,    psi the share of the step that is left out.

At the step at which a run stops the energy is at or below the threshold at psi = 0 and above it at psi = 1, and it is
convex: there is one root between. With A = sum w back^2, B = sum w after back and rest = threshold - sum w after^2 >= 0

    A psi^2 + 2 B psi = rest,    psi = rest / (B + R) = (R - B) / A,    R = sqrt(B^2 + A rest),

where R adds what is not negative, and the first form is taken for B >= 0, the second for B < 0: nothing cancels. It is
counted from the step's end since no term of x(psi) is much larger there than the level allows, so that the landed
energy is the threshold to rounding, however far the step falls; from its start it would be to that of 1 - eta lam.
"""

import math

from .intrinsics import fma
from .jit import cell, inline

EPSILON = 2.0**-52
# A step that is taken at all has a share of at least this.
SMALLEST_FRACTION = 2.0**-53


@inline
def weight_of(weight, i):
    """w_i; 1 where there are no weights."""
    return weight[i] if weight.size > 0 else 1.0


@cell
def share_left(after, back, weight, threshold):
    """psi but for rounding. `back` is taken relative to its largest, `after` to the threshold, so no square is lost."""
    unit, size = math.sqrt(threshold), 0.0
    for i in range(after.size):
        size = max(size, math.sqrt(weight_of(weight, i)) * abs(back[i]))
    if not size > 0.0:
        return 0.0
    square, product, rest = 0.0, 0.0, 1.0
    for i in range(after.size):
        root = math.sqrt(weight_of(weight, i))
        u, v = root * back[i] / size, root * after[i] / unit
        square, product, rest = fma(u, u, square), fma(u, v, product), fma(-v, v, rest)
    rest = max(rest, 0.0)
    root = math.sqrt(fma(square, rest, product * product))
    if product < 0.0:
        share = (root - product) / square
    else:
        share = rest / (product + root) if rest > 0.0 else 0.0
    return min(share * (unit / size), 1.0)


@cell
def put_point(after, back, weight, share, landed):
    """landed = after + share back; its energy, in the order and rounding in which runs are stopped by it."""
    energy = 0.0
    for i in range(after.size):
        x = fma(share, back[i], after[i])
        landed[i] = x
        energy = fma(weight_of(weight, i) * x, x, energy)
    return energy


@cell
def land(after, back, weight, threshold, landed):
    """Shorten a step until its energy is the threshold: psi, with the point in `landed`.

    Parameters: after and back (d,); weight (d,), or (0,) where all are 1; threshold > 0; landed (d,), filled. The
    energy of `after`, as `put_point` adds it up, is at or below the threshold, and so is that of the landed point:
    where rounding leaves it above, a little more of the step is taken.
    """
    share, more = share_left(after, back, weight, threshold), EPSILON
    while put_point(after, back, weight, share, landed) > threshold and share > 0.0:
        share *= 1.0 - min(more, 1.0)
        more *= 2.0
    return share


@inline
def fraction_taken(share):
    """The share of the step that is taken, in (0, 1]."""
    return max(1.0 - share, SMALLEST_FRACTION)
