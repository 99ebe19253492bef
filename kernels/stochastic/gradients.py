"""Gradients of the train loss along the Hessian's axes, for all lanes of a pool at once, exact or noisy.

No noise            g_i = lam_i r_i
Isotropic           g_i = lam_i r_i + sigma xi_i,             covariance sigma^2 I
Hessian             g_i = lam_i r_i + sigma sqrt(lam_i) xi_i, covariance sigma^2 H
Mini-batches        g = (2/b) sum_j z_j (<z_j, r> - rho_j) over the b rows j of the batch,
                    z = Q^T x, rho = y - <x, theta_hat>

xi_i is the normal of axis i, in the order of the curvature: isotropic noise has the same law along any axes. A batch
is either drawn with replacement, or cut from a random order of the n rows, which is drawn anew for every epoch of
ceil(n / batch) steps; the last batch of an epoch has the rows that are left, and is a mean over those.

Step t (0 is the first) of a run draws its noise by address, in NumPy's words with
stream(purpose, step) = np.random.Generator(np.random.Philox(key=[root, draw], counter=[0, step, purpose, 0])):

    xi = stream(GRADIENT_NOISE, t).standard_normal(axes)
    rows with replacement = np.floor(stream(BATCH, t).random(batch) * n)
    order of epoch e = np.argsort(stream(BATCH, e).random(n), kind="stable"); step t = e ceil(n / batch) + j takes
    order[j batch : (j + 1) batch]

None of it knows of the schedule, so every schedule meets the same noise, and one draw serves all lanes of a pool that
holds one seed.
"""

import math
from typing import NamedTuple

import numpy as np

from ..draws import BATCH, GRADIENT_NOISE, fill_normal, fill_order, fill_uniform
from ..intrinsics import fma
from ..jit import cell, inline, worker
from ..matrices.block_products import QUAD, add_block

# The last one takes all rows in their order, for the noise of their labels: see `convex.steps`.
NO_NOISE, ISOTROPIC, HESSIAN, WITH_REPLACEMENT, SHUFFLED, ALL_ROWS = 0, 1, 2, 3, 4, 5


class Drawn(NamedTuple):
    """What is drawn for the steps of one pool, from step to step; 0 rows where none are drawn."""

    normal: np.ndarray  # (axes that the seed has,)
    noise: np.ndarray  # (d,)
    order: np.ndarray  # (rows that the seed has,) of this epoch
    uniform: np.ndarray  # (batch,)
    picked: np.ndarray  # (batch,) rows
    batch_z: np.ndarray  # (b, d), b the batch rounded up to a multiple of QUAD
    batch_weighted: np.ndarray  # (b, d)
    batch_rho: np.ndarray  # (b,)
    misfit: np.ndarray  # (QUAD, width) scratch


@worker
def make_drawn(dimension, own_dimension, batch, rows, width):
    """Nothing drawn yet; batch and rows are 0 where no rows, or no orders of them, are drawn."""
    padded = (batch + QUAD - 1) // QUAD * QUAD
    return Drawn(
        np.zeros(own_dimension), np.zeros(dimension), np.zeros(rows, np.int64), np.zeros(batch),
        np.zeros(batch, np.int64), np.zeros((padded, dimension)), np.zeros((padded, dimension)), np.zeros(padded),
        np.zeros((QUAD, width)),
    )  # fmt: skip


@inline
def exact_lanes(lam, r, gradient, filled):
    """g = lam r; arrays (d, width)."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            gradient[i, lane] = lam[i, lane] * r[i, lane]


@inline
def noisy_lanes(lam, r, noise, sigma, gradient, filled):
    """g = lam r + sigma noise, with one noise (d,) for all lanes and a sigma (width,) for each."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            gradient[i, lane] = fma(sigma[lane], noise[i], lam[i, lane] * r[i, lane])


@inline
def draw_noise(drawn, noise, curvature, n, step):
    """drawn.noise: standard normals, or sqrt(lam) of them; 0 along the axes beyond drawn.normal, which seed n lacks."""
    fill_normal(drawn.normal, noise.root, noise.draw[n], GRADIENT_NOISE, step)
    for i in range(drawn.normal.size):
        normal = drawn.normal[i]
        drawn.noise[i] = math.sqrt(curvature[n, i]) * normal if noise.kind == HESSIAN else normal


@inline
def rows_with_replacement(drawn, noise, n, count, step):
    """drawn.picked (batch,): some of the first `count` rows of seed n."""
    fill_uniform(drawn.uniform, noise.root, noise.draw[n], BATCH, step)
    for j in range(drawn.picked.size):
        drawn.picked[j] = int(drawn.uniform[j] * count)


@inline
def steps_an_epoch(rows, batch):
    """The steps in which all rows are taken once."""
    return (rows + batch - 1) // batch


@inline
def rows_of_epoch(drawn, step):
    """Put the rows of this step into drawn.picked, from the order of its epoch; return how many."""
    order, picked = drawn.order, drawn.picked
    first = step % steps_an_epoch(order.size, picked.size) * picked.size
    count = min(picked.size, order.size - first)
    for j in range(count):
        picked[j] = order[first + j]
    return count


@worker
def order_epoch(drawn, noise, n, step):
    """Draw the order of the rows of seed n in the epoch of this step."""
    epoch = step // steps_an_epoch(drawn.order.size, drawn.picked.size)
    fill_order(drawn.order, noise.root, noise.draw[n], BATCH, epoch)


@inline
def gather_rows(drawn, rows, which, count):
    """Copy the first `count` of drawn.picked side by side: batch_z (b, d), (2/count) batch_z, batch_rho (b,).

    b is a multiple of QUAD; rows beyond `count` are 0, and add nothing to a gradient.
    """
    weight = 2.0 / count
    for j in range(drawn.batch_rho.size):
        row = drawn.picked[j] if j < count else 0
        present = 1.0 if j < count else 0.0
        for i in range(rows.z.shape[2]):
            drawn.batch_z[j, i] = present * rows.z[which, row, i]
            drawn.batch_weighted[j, i] = weight * drawn.batch_z[j, i]
        drawn.batch_rho[j] = present * rows.rho[which, row]


@inline
def first_misfits(z, rho, j, r, misfit, filled):
    """misfit = z_0 r_0 - rho for the rows j .. j + 3 and all lanes."""
    z0, z1, z2, z3 = z[j, 0], z[j + 1, 0], z[j + 2, 0], z[j + 3, 0]
    rho0, rho1, rho2, rho3 = rho[j], rho[j + 1], rho[j + 2], rho[j + 3]
    for lane in range(filled):
        x = r[0, lane]
        misfit[0, lane] = fma(z0, x, -rho0)
        misfit[1, lane] = fma(z1, x, -rho1)
        misfit[2, lane] = fma(z2, x, -rho2)
        misfit[3, lane] = fma(z3, x, -rho3)


@inline
def misfit_axis(z, j, i, r, misfit, filled):
    """misfit += z_i r_i for the rows j .. j + 3 and all lanes."""
    z0, z1, z2, z3 = z[j, i], z[j + 1, i], z[j + 2, i], z[j + 3, i]
    for lane in range(filled):
        x = r[i, lane]
        misfit[0, lane] = fma(z0, x, misfit[0, lane])
        misfit[1, lane] = fma(z1, x, misfit[1, lane])
        misfit[2, lane] = fma(z2, x, misfit[2, lane])
        misfit[3, lane] = fma(z3, x, misfit[3, lane])


@inline
def gradient_axis(weighted, j, i, misfit, gradient, filled):
    """gradient_i += sum over the rows j .. j + 3 of weighted_i misfit."""
    p0, p1, p2, p3 = weighted[j, i], weighted[j + 1, i], weighted[j + 2, i], weighted[j + 3, i]
    for lane in range(filled):
        total = fma(p1, misfit[1, lane], fma(p0, misfit[0, lane], gradient[i, lane]))
        gradient[i, lane] = fma(p3, misfit[3, lane], fma(p2, misfit[2, lane], total))


@cell
def batch_lanes(z, weighted, rho, r, misfit, gradient, filled):
    """g = sum_j weighted_j (<z_j, r> - rho_j) over gathered rows, QUAD at a time; misfit (QUAD, width) is scratch.

    Sums run over axis after axis and row after row; that several are taken at once spares loads and stores, which
    bound the speed, and changes no bits.
    """
    axes = r.shape[0]
    for i in range(axes):
        for lane in range(filled):
            gradient[i, lane] = 0.0
    # The first axis is taken together with the labels.
    whole, quartered = 1 + (axes - 1) // 4 * 4, axes // 4 * 4
    for j in range(0, rho.size, QUAD):
        first_misfits(z, rho, j, r, misfit, filled)
        for i in range(1, whole, 4):
            add_block(z, j, i, r, i, misfit, 0, filled)
        for i in range(whole, axes):
            misfit_axis(z, j, i, r, misfit, filled)
        for i in range(0, quartered, 4):
            add_block(weighted.T, i, j, misfit, 0, gradient, i, filled)
        for i in range(quartered, axes):
            gradient_axis(weighted, j, i, misfit, gradient, filled)


@inline
def gradient_lanes(pool, drawn, launch, n, step, filled):
    """The gradient (d, width) of all lanes of a pool at their r, for step number `step`.

    For kinds with noise all lanes are cells of seed n; drawn.order is that of this epoch.
    """
    noise, rows = launch.noise, launch.rows
    if noise.kind == NO_NOISE:
        exact_lanes(pool.lam, pool.r, pool.gradient, filled)
    elif noise.kind in (ISOTROPIC, HESSIAN):
        draw_noise(drawn, noise, launch.cells.scale[0], n, step)
        noisy_lanes(pool.lam, pool.r, drawn.noise, pool.sigma, pool.gradient, filled)
    else:
        count = drawn.picked.size
        if noise.kind == WITH_REPLACEMENT:
            rows_with_replacement(drawn, noise, n, rows.count[n], step)
        else:
            count = rows_of_epoch(drawn, step)
        gather_rows(drawn, rows, n if rows.z.shape[0] > 1 else 0, count)
        batch_lanes(drawn.batch_z, drawn.batch_weighted, drawn.batch_rho, pool.r, drawn.misfit, pool.gradient, filled)
