"""Eight steps at once: the rates of a span and what is made of them, written out once.

The rates are loaded before the loops over axes or lanes, whose stores might otherwise make the compiler load them anew.
"""

from ..intrinsics import fma
from ..jit import inline

EIGHT = 8


@inline
def load_eight(eta, t):
    """The rates of the steps t .. t + 7."""
    return eta[t], eta[t + 1], eta[t + 2], eta[t + 3], eta[t + 4], eta[t + 5], eta[t + 6], eta[t + 7]


@inline
def product_of_eight(e, lam):
    """prod_s (1 - e_s lam), multiplied in pairs, so that no factor waits for all others."""
    early = (fma(-e[0], lam, 1.0) * fma(-e[1], lam, 1.0)) * (fma(-e[2], lam, 1.0) * fma(-e[3], lam, 1.0))
    late = (fma(-e[4], lam, 1.0) * fma(-e[5], lam, 1.0)) * (fma(-e[6], lam, 1.0) * fma(-e[7], lam, 1.0))
    return early * late


@inline
def step_eight(e, lam, x):
    """x after eight steps one after the other, each rounded as the recurrence rounds it."""
    x *= fma(-e[0], lam, 1.0)
    x *= fma(-e[1], lam, 1.0)
    x *= fma(-e[2], lam, 1.0)
    x *= fma(-e[3], lam, 1.0)
    x *= fma(-e[4], lam, 1.0)
    x *= fma(-e[5], lam, 1.0)
    x *= fma(-e[6], lam, 1.0)
    x *= fma(-e[7], lam, 1.0)
    return x


@inline
def sum_of_eight(e):
    """The time of eight steps, added in pairs."""
    return ((e[0] + e[1]) + (e[2] + e[3])) + ((e[4] + e[5]) + (e[6] + e[7]))
