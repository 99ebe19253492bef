"""Population quantities of ReLU features on the sphere S^{d-1}, without sampling an input: harmonics and teachers.

A function of <u, x> acts on spherical harmonics of degree l by a number (Funk and Hecke): for relu, with the uniform
probability measure,

    mu_0 = Gamma(d/2) / (2 sqrt(pi) Gamma((d + 1)/2)), mu_1 = 1 / (2 d), mu_l = 0 for odd l >= 3, and for even l >= 2
    mu_l = (-1)^{l/2 - 1} Gamma(d/2) Gamma(l - 1) / (2^l sqrt(pi) Gamma(l/2) Gamma((l + d + 1)/2)).

The kernel E_u relu(<u, x>) relu(<u, y>) has the eigenvalue mu_l^2 on the N(d, l) harmonics of degree l. (By Rodrigues'
formula and two integrations by parts; cf. Bach 2017, Breaking the Curse of Dimensionality with Convex Neural Networks,
appendix D.)
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def multiplicity(d: int, degree: int) -> int:
    """N(d, l), the number of spherical harmonics of degree l in dimension d >= 3: a whole number."""
    if degree == 0:
        return 1
    return (2 * degree + d - 2) * math.comb(degree + d - 3, degree - 1) // degree


def relu_eigenvalue(d: int, degree: int) -> float:
    """mu_l of relu in dimension d >= 3, float64."""
    if degree == 0:
        return math.exp(math.lgamma(d / 2) - math.lgamma((d + 1) / 2)) / (2.0 * math.sqrt(math.pi))
    if degree == 1:
        return 0.5 / d
    if degree % 2:
        return 0.0
    logs = math.lgamma(d / 2) + math.lgamma(degree - 1) - math.lgamma(degree / 2) - math.lgamma((degree + d + 1) / 2)
    return (-1.0) ** (degree // 2 - 1) * math.exp(logs - degree * math.log(2.0)) / math.sqrt(math.pi)


class Teachers(NamedTuple):
    """ReLU teachers of one width, fitted to f*(x) = sqrt(d) x_1 on the whole population: one a seed."""

    captured: NDArray[np.float64]  # (N,) ||f||^2 = <f, f*>; the loss is 1 - captured
    energies: NDArray[np.float64]  # (N, L + 1) the square of f's part in the harmonics of degree 0 .. L


def teachers(root: int, seeds: int, d: int, width: int, degrees: int) -> Teachers:
    """The `Teachers` of seeds 0 .. seeds - 1, exact but for rounding; degrees: L. NaN where K is singular."""
    from ..kernels.jit import launch
    from ..kernels.papers.teachers import teachers_sweep

    captured, forms = np.empty(seeds), np.empty((seeds, degrees + 1))
    launch(teachers_sweep, root, d, width, captured, forms)
    scale = [relu_eigenvalue(d, degree) ** 2 * multiplicity(d, degree) for degree in range(degrees + 1)]
    return Teachers(captured, np.maximum(forms * np.array(scale), 0.0))
