"""Twins of the bound on the last iterate: the formula as it is printed, in exact fractions; and its known sums.

Imports nothing of simlr.
"""

from fractions import Fraction


def last_iterate_bound(rates, distance=1, norms=None):
    """Omega_T of Schaipp et al. (2025), by sums over sums; `norms`: G_t of each step, 1 where there are none."""
    etas = [Fraction(float(rate)) for rate in rates]
    while etas[-1] == 0:
        etas.pop()
    energies = [(eta * Fraction(float(norm))) ** 2 for eta, norm in zip(etas, norms or [1] * len(rates), strict=False)]
    found = (Fraction(distance) ** 2 + sum(energies)) / (2 * sum(etas))
    for k in range(len(etas) - 1):
        found += Fraction(1, 2) * etas[k] / sum(etas[k + 1 :]) * sum(energies[k:]) / sum(etas[k:])
    return found


def harmonic(n):
    """1 + 1/2 + ... + 1/n."""
    return sum((Fraction(1, k) for k in range(1, n + 1)), Fraction(0))


def wsd_theorem(steps, start):
    """The square of the paper's bound on Omega_T at its best base rate, D = G = 1: a constant rate, which from step
    `start` (its T_0) on falls linearly to 0 at step T + 1."""
    t, t0, cooldown = steps, start, steps - start
    inner = Fraction(2, 3) + Fraction(t + 2 * t0, 3 * (t + t0)) + harmonic(t + t0 - 2) - harmonic(cooldown + 1)
    inner += -Fraction(cooldown * (t0 - 1), 3 * (cooldown + 2) * (t + t0)) + Fraction(1, cooldown**2)
    inner += harmonic(cooldown - 1) / (cooldown + 1)
    return 4 * inner / (t + t0)
