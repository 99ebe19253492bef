"""Twins of exact descent with more digits: many cells at once in long double, single ones in fifty decimal digits.

Imports nothing of simlr. A twin does not say where a run stops, but within which steps it may: from the first at which
a level may have been passed, given how far the loss may be off, to the first at which it surely has been.
"""

from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np

DIGITS = 50
NEVER = 1 << 60
LIMIT = 2e100
SMALLEST = 2.0**-1074
# Steps between two looks at the exponents: no factor of doubles is below 2^-107 or beyond 2^1100.
STRIDE = 8

Real = np.longdouble


class Passages(NamedTuple):
    """When a cell may first have passed a level or the limit, and surely has; q at the steps asked for."""

    possible: np.ndarray  # (N, E)
    sure: np.ndarray  # (N, E)
    diverged_possibly: np.ndarray  # (N,)
    diverged_surely: np.ndarray  # (N,)
    energy: np.ndarray  # (N, G) q = sum lam r^2 at the steps `at`
    error: np.ndarray  # (N, G) how far it may be off, relative


def relative_error(steps, logarithms):
    """How far q may be off after so many steps, whose |log factor| add up to so much: the documented bound."""
    return 1e-13 + 1e-15 * (steps + logarithms)


def product_error(a, b, product):
    """a b - product of long doubles, exactly (Dekker)."""
    splitter = Real(2**32 + 1)
    high_a, high_b = a * splitter - (a * splitter - a), b * splitter - (b * splitter - b)
    low_a, low_b = a - high_a, b - high_b
    return ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


def factors(curvature, rate):
    """1 - rate curvature, to all digits of a long double."""
    lam, eta = Real(curvature), Real(rate)
    product = lam * eta
    return (1 - product) - product_error(lam, np.broadcast_to(eta, lam.shape), product)


def descend(curvature, residual, rates, thresholds, at):
    """Passages of N cells, step by step: curvature, residual (N, d), rates (T,), thresholds of q (N, E), at (N, G)."""
    seeds, dimension = curvature.shape
    mantissa, exponent = np.frexp(np.sqrt(Real(curvature)) * Real(residual))
    exponent = exponent.astype(np.int64)
    found = Passages(
        np.full(thresholds.shape, NEVER), np.full(thresholds.shape, NEVER),
        np.full(seeds, NEVER), np.full(seeds, NEVER),
        np.full(at.shape, np.nan, Real), np.full(at.shape, np.nan),
    )  # fmt: skip
    smallest, logarithms = dimension * SMALLEST, np.zeros(curvature.shape)
    doubled = np.clip(2 * exponent, -40000, 40000).astype(np.int32)
    for t in range(len(rates) + 1):
        if t > 0:
            if t == 1 or rates[t - 1] != rates[t - 2]:
                factor = factors(curvature, rates[t - 1])
                sizes = np.abs(np.log(np.abs(factor), where=factor != 0, out=np.zeros_like(factor))).astype(float)
            mantissa = mantissa * factor
            logarithms += sizes
            if t % STRIDE == 0:
                mantissa, moved = np.frexp(mantissa)
                exponent += moved
                doubled = np.clip(2 * exponent, -40000, 40000).astype(np.int32)
        energy = np.ldexp(mantissa * mantissa, doubled).sum(axis=1)
        error = relative_error(t, logarithms.max(axis=1))
        low, high = energy * (1 - error) - smallest, energy * (1 + error) + smallest
        _first(found.possible, low[:, None] <= thresholds, t)
        _first(found.sure, high[:, None] <= thresholds, t)
        _first(found.diverged_possibly, high > LIMIT, t)
        _first(found.diverged_surely, low > LIMIT, t)
        here = at == t
        if here.any():
            found.energy[here] = np.broadcast_to(energy[:, None], at.shape)[here]
            found.error[here] = np.broadcast_to(error[:, None], at.shape)[here]
    return found


def _first(found, holds, t):
    found[holds & (found == NEVER)] = t


def descend_in_digits(curvature, residual, rates, threshold, at):
    """Passages of one cell (d,) and one level, in fifty digits; at (G,)."""
    possible = sure = diverged_possibly = diverged_surely = NEVER
    energies, errors = np.full(len(at), np.nan, Real), np.full(len(at), np.nan)
    with localcontext() as context:
        context.prec = DIGITS
        lam = [Decimal(float(c)) for c in curvature]
        x = [c.sqrt() * Decimal(float(r)) for c, r in zip(lam, residual, strict=True)]
        logarithms = np.zeros(len(lam))
        wanted, smallest = Decimal(float(threshold)), len(lam) * Decimal(SMALLEST)
        for t in range(len(rates) + 1):
            if t > 0:
                factor = [1 - Decimal(float(rates[t - 1])) * c for c in lam]
                x = [v * f for v, f in zip(x, factor, strict=True)]
                if t == 1 or rates[t - 1] != rates[t - 2]:
                    sizes = np.array([abs(float(abs(f).ln())) if f else 0.0 for f in factor])
                logarithms += sizes
            energy = sum(v * v for v in x)
            error = Decimal(relative_error(t, logarithms.max()))
            low, high = energy * (1 - error) - smallest, energy * (1 + error) + smallest
            possible = t if low <= wanted and possible == NEVER else possible
            sure = t if high <= wanted and sure == NEVER else sure
            diverged_possibly = t if high > Decimal(LIMIT) and diverged_possibly == NEVER else diverged_possibly
            diverged_surely = t if low > Decimal(LIMIT) and diverged_surely == NEVER else diverged_surely
            energies[at == t], errors[at == t] = Real(str(energy)), float(error)
    lone = (np.array([[v]]) for v in (possible, sure))
    ends = (np.array([v]) for v in (diverged_possibly, diverged_surely))
    return Passages(*lone, *ends, energies[None], errors[None])


def log_energy_in_flow(curvature, residual, tau):
    """log q and its fall per log tau, -d log q / d log tau, after the flow times tau (N, E): (N, E) each."""
    lam, start = Real(curvature)[:, None], np.log(np.abs(Real(residual)[:, None]))
    logs = 2 * start + np.log(lam) - 2 * lam * Real(tau)[..., None]
    largest = logs.max(axis=2, keepdims=True)
    weights = np.exp(logs - largest)
    total = weights.sum(axis=2)
    fall = (2 * lam * Real(tau)[..., None] * weights).sum(axis=2) / total
    return largest[..., 0] + np.log(total), fall


def log_energy_in_flow_in_digits(curvature, residual, tau):
    """The same of one cell and one time, in fifty digits."""
    with localcontext() as context:
        context.prec = DIGITS
        lam = [Decimal(float(c)) for c in curvature]
        squares = [c * Decimal(float(r)) ** 2 for c, r in zip(lam, residual, strict=True)]
        weights = [s * (-2 * c * Decimal(float(tau))).exp() for s, c in zip(squares, lam, strict=True)]
        total = sum(weights)
        fall = sum(2 * c * Decimal(float(tau)) * w for c, w in zip(lam, weights, strict=True)) / total
        return float(total.ln()), float(fall)
