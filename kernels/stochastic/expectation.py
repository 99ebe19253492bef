"""Exact means over the noise of gradient descent on quadratics: no seed is drawn.

In the Hessian's axes a step with gradient g = Lambda x + xi, E xi = 0, is, for x = r and the velocity v,

    v' = b v + g,    x' = x - eta (c1 g + c2 v) = s x - eta c2 v - eta c1 xi,    s = 1 - eta c1 lam,

with (b, c1, c2) = (0, 1, 0) for gradient descent, (beta, 1, beta) for momentum and (beta, 1 + beta, beta^2) for
Nesterov's, as torch has them. All is linear, so the means follow the steps without noise, and the covariances
P = cov(x, x), Q = cov(x, v), R = cov(v, v) of two axes i and j, with C = cov(xi, xi), follow

    P'_ij = s_i s_j P_ij - eta c2 (s_i Q_ij + s_j Q_ji) + (eta c2)^2 R_ij + (eta c1)^2 C_ij
    Q'_ij = s_i (b Q_ij + lam_j P_ij) - eta c2 (b R_ij + lam_j Q_ji) - eta c1 C_ij
    R'_ij = b^2 R_ij + b (lam_i Q_ij + lam_j Q_ji) + lam_i lam_j P_ij + C_ij.

An average a' = p a + q x' adds D = cov(a, x), V = cov(a, v), A = cov(a, a). With S = E x x^T = P + m m^T and
e = 1/2 sum_i lam_i S_ii, the excess train loss, the noise of a step is

    isotropic, Hessian      C = sigma^2 I,  sigma^2 Lambda
    fresh Gaussian rows     C_ij = (2 lam_i (e + sigma^2) [i = j] + lam_i lam_j S_ij) / B,  sigma that of the labels
    rows with replacement   C_ij = ((4/n) sum_k z_ki z_kj E(<z_k, x> - rho_k)^2 - lam_i lam_j S_ij) / B

of a batch of B rows; the second has the fourth moments of a Gaussian, E x_i x_j <x, u>^2 for any u.

Where no two axes are ever asked for together the diagonals suffice (`modes_sweep`); else all pairs are carried.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..arrays import DIVERGED_SUM
from ..intrinsics import fma
from ..jit import cell, inline, sweep, worker
from ..tasks import NONE_LEFT, claim_cells
from .averages import EXPONENTIAL, NO_AVERAGE, tail_weights

NO_NOISE, ISOTROPIC, HESSIAN, FRESH, ROWS = 0, 1, 2, 3, 4
# Covariances of (x, x), (x, v), (v, v), (a, x), (a, v), (a, a); means of x, v, a.
P, Q, R, D, V, A = 0, 1, 2, 3, 4, 5
X_MEAN, V_MEAN, A_MEAN = 0, 1, 2


class Quadratics(NamedTuple):
    """The problems: N of them in d axes."""

    curvature: np.ndarray  # (N, d)
    residual: np.ndarray  # (N, d) of the start
    offset: np.ndarray  # (N, d) delta: the test loss is E (r + delta)^T M (r + delta)
    test: np.ndarray  # (1 or N, d), the diagonal of M; for pairs (1 or N, d, d)


class Steps(NamedTuple):
    """The schedules and the optimiser."""

    eta: np.ndarray  # (S, T)
    batch: np.ndarray  # (S, T) rows a step
    b: float
    c1: float
    c2: float
    average: int  # a kind of `stochastic.averages`
    average_start: int
    average_decay: float
    at: np.ndarray  # (K,) steps after which the losses are asked for, ascending


class Noise(NamedTuple):
    """Where the noise of a step comes from."""

    kind: int
    sigma: float
    z: np.ndarray  # (N, n, d) rows in the Hessian's axes, (N, 0, d) but for ROWS
    rho: np.ndarray  # (N, n) their misfits at the minimiser


class Losses(NamedTuple):
    """What is found, (S, N, K) each."""

    train: np.ndarray
    test: np.ndarray
    variance: np.ndarray  # of the train loss over the noise, where the iterate is Gaussian
    average_train: np.ndarray
    average_test: np.ndarray


@inline
def weights_of_average(steps, count):
    """p and q of the average after `count` steps."""
    if steps.average == EXPONENTIAL:
        return steps.average_decay, 1.0 - steps.average_decay
    return tail_weights(count, steps.average_start)


@inline
def pair_after(p, q, q_back, r, lam_i, lam_j, s_i, s_j, move, kick, b, noise):
    """P', Q', R' of one pair of axes; q_back is Q_ji, move eta c2, kick eta c1."""
    after_p = s_i * s_j * p - move * (s_i * q + s_j * q_back) + move * move * r + kick * kick * noise
    after_q = s_i * (b * q + lam_j * p) - move * (b * r + lam_j * q_back) - kick * noise
    after_r = b * b * r + b * (lam_i * q + lam_j * q_back) + lam_i * lam_j * p + noise
    return after_p, after_q, after_r


@cell
def step_means(mean, lam, eta, b, c1, c2, past, present):
    """The means (3, d) after a step."""
    for i in range(lam.size):
        x, v = mean[X_MEAN, i], mean[V_MEAN, i]
        after = fma(-eta * c2, v, fma(-eta * c1, lam[i], 1.0) * x)
        mean[X_MEAN, i], mean[V_MEAN, i] = after, fma(lam[i], x, b * v)
        mean[A_MEAN, i] = past * mean[A_MEAN, i] + present * after


# ---- one axis at a time ----


@cell
def mean_energy(lam, mean, variance):
    """1/2 sum_i lam_i (variance_i + mean_i^2), in four running sums, which do not wait for each other."""
    s0 = s1 = s2 = s3 = 0.0
    whole = lam.size // 4 * 4
    for i in range(0, whole, 4):
        s0 = fma(lam[i], fma(mean[i], mean[i], variance[i]), s0)
        s1 = fma(lam[i + 1], fma(mean[i + 1], mean[i + 1], variance[i + 1]), s1)
        s2 = fma(lam[i + 2], fma(mean[i + 2], mean[i + 2], variance[i + 2]), s2)
        s3 = fma(lam[i + 3], fma(mean[i + 3], mean[i + 3], variance[i + 3]), s3)
    for i in range(whole, lam.size):
        s0 = fma(lam[i], fma(mean[i], mean[i], variance[i]), s0)
    return 0.5 * ((s0 + s2) + (s1 + s3))


@cell
def step_modes(covariance, mean, lam, eta, batch, steps, noise, past, present):
    """Take covariances (6, d) and means (3, d) through a step."""
    energy = mean_energy(lam, mean[X_MEAN], covariance[P]) if noise.kind == FRESH else 0.0
    step_modes_at(covariance, mean, lam, energy, eta, batch, steps, noise, past, present)


@cell
def step_modes_at(covariance, mean, lam, energy, eta, batch, steps, noise, past, present):
    """The same where the mean excess train loss before the step, which fresh rows see, is known."""
    b, c1, c2, sigma_2, kind = steps.b, steps.c1, steps.c2, noise.sigma * noise.sigma, noise.kind
    for i in range(lam.size):
        s = fma(-eta * c1, lam[i], 1.0)
        p, q, r = covariance[P, i], covariance[Q, i], covariance[R, i]
        own = 0.0
        if kind == ISOTROPIC:
            own = sigma_2
        elif kind == HESSIAN:
            own = sigma_2 * lam[i]
        elif kind == FRESH:
            second = fma(mean[X_MEAN, i], mean[X_MEAN, i], p)
            own = lam[i] * (2.0 * (energy + sigma_2) + lam[i] * second) / batch
        p, after_q, after_r = pair_after(p, q, q, r, lam[i], lam[i], s, s, eta * c2, eta * c1, b, own)
        if steps.average != NO_AVERAGE:
            d, v = covariance[D, i], covariance[V, i]
            moved = s * d - eta * c2 * v
            covariance[A, i] = past * past * covariance[A, i] + 2.0 * past * present * moved + present * present * p
            covariance[D, i] = past * moved + present * p
            covariance[V, i] = past * (b * v + lam[i] * d) + present * after_q
        covariance[P, i], covariance[Q, i], covariance[R, i] = p, after_q, after_r
    step_means(mean, lam, eta, b, c1, c2, past, present)


@cell
def test_of_modes(test, offset, mean, variance):
    """sum_i M_ii (variance_i + (mean_i + delta_i)^2)."""
    total = 0.0
    for i in range(test.size):
        y = mean[i] + offset[i]
        total = fma(test[i], fma(y, y, variance[i]), total)
    return total


@cell
def spread_of_modes(lam, mean, variance):
    """The variance of 1/2 sum_i lam_i x_i^2 of independent normal x_i."""
    total = 0.0
    for i in range(lam.size):
        total += lam[i] * lam[i] * variance[i] * (0.5 * variance[i] + mean[i] * mean[i])
    return total


@cell
def look_at_modes(quadratics, steps, noise, covariance, mean, losses, s, n, k):
    """Write the losses of a cell at moment k; whether it goes on."""
    lam, which = quadratics.curvature[n], n if quadratics.test.shape[0] > 1 else 0
    test, offset = quadratics.test[which], quadratics.offset[n]
    energy = mean_energy(lam, mean[X_MEAN], covariance[P])
    if not 2.0 * energy <= DIVERGED_SUM:
        return False
    losses.train[s, n, k] = energy
    losses.test[s, n, k] = test_of_modes(test, offset, mean[X_MEAN], covariance[P])
    if noise.kind < FRESH:
        losses.variance[s, n, k] = spread_of_modes(lam, mean[X_MEAN], covariance[P])
    if steps.average != NO_AVERAGE:
        losses.average_train[s, n, k] = mean_energy(lam, mean[A_MEAN], covariance[A])
        losses.average_test[s, n, k] = test_of_modes(test, offset, mean[A_MEAN], covariance[A])
    return True


@worker
def expect_modes(quadratics, steps, noise, losses, s, n):
    """Take one cell through its steps, axis by axis."""
    lam = quadratics.curvature[n]
    covariance, mean = np.zeros((6, lam.size)), np.zeros((3, lam.size))
    mean[X_MEAN] = quadratics.residual[n]
    mean[A_MEAN] = mean[X_MEAN]
    k = 0
    for t in range(steps.eta.shape[1] + 1):
        if k < steps.at.size and steps.at[k] == t:
            if not look_at_modes(quadratics, steps, noise, covariance, mean, losses, s, n, k):
                return
            k += 1
        if k == steps.at.size:
            return
        past, present = weights_of_average(steps, t + 1)
        step_modes(covariance, mean, lam, steps.eta[s, t], steps.batch[s, t], steps, noise, past, present)


@worker
def modes_worker(quadratics, steps, noise, losses, tasks):
    """Claim cells until none is left."""
    while tasks[1] == 0:
        s, n, _ = claim_cells(tasks, steps.eta.shape[0], quadratics.curvature.shape[0], 1)
        if s == NONE_LEFT:
            return
        expect_modes(quadratics, steps, noise, losses, s, n)


@sweep
def modes_sweep(quadratics, steps, noise, losses, tasks, workers):
    """Mean losses of every schedule with every problem, where axes are never asked for together.

    Parameters: `Quadratics` (test (1 or N, d)), `Steps`, `Noise` of any kind but ROWS, `Losses`, which are filled up to
    the first look at which a cell's excess train loss is beyond the limit; tasks and workers as in `descend_sweep`.
    """
    for _ in prange(workers):
        modes_worker(quadratics, steps, noise, losses, tasks)


# ---- all pairs of axes ----


@cell
def set_noise(out, second, mean, lam, batch, noise, n, misfits):
    """out (d, d) = the covariance of the noise of a step; second (d, d) = E x x^T; misfits (n,) scratch."""
    kind, sigma_2, size = noise.kind, noise.sigma * noise.sigma, lam.size
    out[:] = 0.0
    if kind == ROWS:
        z, rho = noise.z[n], noise.rho[n]
        for k in range(rho.size):
            # E <z, x>^2 - 2 rho E <z, x> + rho^2
            total, reach = rho[k] * rho[k], 0.0
            for i in range(size):
                row = 0.0
                for j in range(size):
                    row = fma(second[i, j], z[k, j], row)
                total = fma(z[k, i], row, total)
                reach = fma(z[k, i], mean[i], reach)
            misfits[k] = (total - 2.0 * rho[k] * reach) * 4.0 / rho.size
        for k in range(rho.size):
            for i in range(size):
                weighted = misfits[k] * z[k, i]
                for j in range(size):
                    out[i, j] = fma(weighted, z[k, j], out[i, j])
    energy = 0.0
    for i in range(size):
        energy = fma(0.5 * lam[i], second[i, i], energy)
    for i in range(size):
        if kind == ISOTROPIC:
            out[i, i] = sigma_2
        elif kind == HESSIAN:
            out[i, i] = sigma_2 * lam[i]
        elif kind == FRESH:
            for j in range(size):
                out[i, j] = lam[i] * lam[j] * second[i, j] / batch
            out[i, i] += 2.0 * lam[i] * (energy + sigma_2) / batch
        elif kind == ROWS:
            for j in range(size):
                out[i, j] = (out[i, j] - lam[i] * lam[j] * second[i, j]) / batch


@cell
def step_pairs(covariance, mean, lam, eta, steps, spread, past, present):
    """Take covariances (6, d, d) and means (3, d) through a step with noise of covariance spread (d, d)."""
    b, c1, c2 = steps.b, steps.c1, steps.c2
    for i in range(lam.size):
        for j in range(i + 1):
            s_i, s_j = fma(-eta * c1, lam[i], 1.0), fma(-eta * c1, lam[j], 1.0)
            p, r, own = covariance[P, i, j], covariance[R, i, j], spread[i, j]
            q, q_back = covariance[Q, i, j], covariance[Q, j, i]
            p_1, q_1, r_1 = pair_after(p, q, q_back, r, lam[i], lam[j], s_i, s_j, eta * c2, eta * c1, b, own)
            _, q_2, _ = pair_after(p, q_back, q, r, lam[j], lam[i], s_j, s_i, eta * c2, eta * c1, b, own)
            if steps.average != NO_AVERAGE:
                d, v = covariance[D, i, j], covariance[V, i, j]
                d_back, v_back = covariance[D, j, i], covariance[V, j, i]
                moved, moved_back = s_j * d - eta * c2 * v, s_i * d_back - eta * c2 * v_back
                a = past * past * covariance[A, i, j] + past * present * (moved + moved_back) + present * present * p_1
                covariance[A, i, j] = covariance[A, j, i] = a
                covariance[D, i, j], covariance[D, j, i] = (
                    past * moved + present * p_1,
                    past * moved_back + present * p_1,
                )
                covariance[V, i, j] = past * (b * v + lam[j] * d) + present * q_1
                covariance[V, j, i] = past * (b * v_back + lam[i] * d_back) + present * q_2
            covariance[P, i, j] = covariance[P, j, i] = p_1
            covariance[Q, i, j], covariance[Q, j, i] = q_1, q_2
            covariance[R, i, j] = covariance[R, j, i] = r_1
    step_means(mean, lam, eta, b, c1, c2, past, present)


@cell
def test_of_pairs(test, offset, mean, covariance):
    """sum_ij M_ij (covariance_ij + (mean_i + delta_i) (mean_j + delta_j))."""
    total = 0.0
    for i in range(mean.size):
        for j in range(mean.size):
            both = (mean[i] + offset[i]) * (mean[j] + offset[j])
            total = fma(test[i, j], both + covariance[i, j], total)
    return total


@cell
def energy_of_pairs(lam, mean, covariance):
    """1/2 sum_i lam_i (covariance_ii + mean_i^2)."""
    total = 0.0
    for i in range(lam.size):
        total = fma(0.5 * lam[i], fma(mean[i], mean[i], covariance[i, i]), total)
    return total


@cell
def spread_of_pairs(lam, mean, covariance):
    """The variance of 1/2 sum_i lam_i x_i^2 of jointly normal x: 1/2 tr (Lambda C)^2 + m^T Lambda C Lambda m."""
    total = 0.0
    for i in range(lam.size):
        for j in range(lam.size):
            both = 0.5 * covariance[i, j] + mean[i] * mean[j]
            total += lam[i] * lam[j] * covariance[i, j] * both
    return total


@cell
def look_at_pairs(quadratics, steps, noise, covariance, mean, losses, s, n, k):
    """Write the losses of a cell at moment k; whether it goes on."""
    lam, which = quadratics.curvature[n], n if quadratics.test.shape[0] > 1 else 0
    test, offset = quadratics.test[which], quadratics.offset[n]
    energy = energy_of_pairs(lam, mean[X_MEAN], covariance[P])
    if not 2.0 * energy <= DIVERGED_SUM:
        return False
    losses.train[s, n, k] = energy
    losses.test[s, n, k] = test_of_pairs(test, offset, mean[X_MEAN], covariance[P])
    if noise.kind < FRESH:
        losses.variance[s, n, k] = spread_of_pairs(lam, mean[X_MEAN], covariance[P])
    if steps.average != NO_AVERAGE:
        losses.average_train[s, n, k] = energy_of_pairs(lam, mean[A_MEAN], covariance[A])
        losses.average_test[s, n, k] = test_of_pairs(test, offset, mean[A_MEAN], covariance[A])
    return True


@worker
def expect_pairs(quadratics, steps, noise, losses, s, n):
    """Take one cell through its steps with all pairs of axes."""
    lam = quadratics.curvature[n]
    size = lam.size
    covariance, mean = np.zeros((6, size, size)), np.zeros((3, size))
    spread, second, misfits = np.zeros((size, size)), np.zeros((size, size)), np.zeros(noise.rho.shape[1])
    mean[X_MEAN] = quadratics.residual[n]
    mean[A_MEAN] = mean[X_MEAN]
    k = 0
    for t in range(steps.eta.shape[1] + 1):
        if k < steps.at.size and steps.at[k] == t:
            if not look_at_pairs(quadratics, steps, noise, covariance, mean, losses, s, n, k):
                return
            k += 1
        if k == steps.at.size:
            return
        for i in range(size):
            for j in range(size):
                second[i, j] = fma(mean[X_MEAN, i], mean[X_MEAN, j], covariance[P, i, j])
        set_noise(spread, second, mean[X_MEAN], lam, steps.batch[s, t], noise, n, misfits)
        past, present = weights_of_average(steps, t + 1)
        step_pairs(covariance, mean, lam, steps.eta[s, t], steps, spread, past, present)


@worker
def pairs_worker(quadratics, steps, noise, losses, tasks):
    """Claim cells until none is left."""
    while tasks[1] == 0:
        s, n, _ = claim_cells(tasks, steps.eta.shape[0], quadratics.curvature.shape[0], 1)
        if s == NONE_LEFT:
            return
        expect_pairs(quadratics, steps, noise, losses, s, n)


@sweep
def pairs_sweep(quadratics, steps, noise, losses, tasks, workers):
    """`modes_sweep` with all pairs of axes, for any M (test (1 or N, d, d)) and any noise."""
    for _ in prange(workers):
        pairs_worker(quadratics, steps, noise, losses, tasks)
