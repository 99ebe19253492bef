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

from ..block_products import QUAD, add_block
from ..draws import BATCH, GRADIENT_NOISE, fill_normal, fill_order, fill_uniform
from ..intrinsics import fma
from ..jit import cell, inline, worker

NO_NOISE, ISOTROPIC, HESSIAN, WITH_REPLACEMENT, SHUFFLED = 0, 1, 2, 3, 4


@cell
def exact_lanes(lam, r, gradient, filled):
    """g = lam r; arrays (d, width)."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            gradient[i, lane] = lam[i, lane] * r[i, lane]


@cell
def pushed_lanes(lam, r, push, sigma, gradient, filled):
    """g = lam r + sigma push, with one push (d,) for all lanes and a sigma (width,) for each."""
    for i in range(r.shape[0]):
        for lane in range(filled):
            gradient[i, lane] = fma(sigma[lane], push[i], lam[i, lane] * r[i, lane])


@cell
def draw_push(kind, root, draw, step, curvature, normal, push):
    """push (d,): standard normals, or sqrt(lam) of them; 0 along the axes beyond normal.size, which the seed lacks."""
    fill_normal(normal, root, draw, GRADIENT_NOISE, step)
    for i in range(normal.size):
        push[i] = math.sqrt(curvature[i]) * normal[i] if kind == HESSIAN else normal[i]


@cell
def pick_rows(uniform, root, draw, step, picked, rows):
    """picked (batch,): rows with replacement; uniform (batch,) is scratch."""
    fill_uniform(uniform, root, draw, BATCH, step)
    for j in range(picked.size):
        picked[j] = int(uniform[j] * rows)


@worker
def deal_rows(order, root, draw, step, fresh, picked):
    """Put the rows of this step of a shuffled epoch into picked; return how many. A fresh order (n,) is drawn at need.

    `fresh` says that the order in hand may be another epoch's.
    """
    batches = (order.size + picked.size - 1) // picked.size
    epoch, place = step // batches, step % batches
    if fresh or place == 0:
        fill_order(order, root, draw, BATCH, epoch)
    first = place * picked.size
    count = min(picked.size, order.size - first)
    for j in range(count):
        picked[j] = order[first + j]
    return count


@cell
def gather_rows(z, rho, which, picked, count, batch_z, batch_pull, batch_rho):
    """Copy the picked rows side by side: batch_z (b, d), batch_pull = (2/count) batch_z, batch_rho (b,).

    b is a multiple of QUAD; rows beyond `count` are 0, and add nothing to a gradient.
    """
    weight = 2.0 / count
    for j in range(batch_rho.size):
        row = picked[j] if j < count else 0
        present = 1.0 if j < count else 0.0
        for i in range(z.shape[2]):
            batch_z[j, i] = present * z[which, row, i]
            batch_pull[j, i] = weight * batch_z[j, i]
        batch_rho[j] = present * rho[which, row]


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
def add_axis(z, j, i, r, misfit, filled):
    """misfit += z_i r_i for the rows j .. j + 3 and all lanes."""
    z0, z1, z2, z3 = z[j, i], z[j + 1, i], z[j + 2, i], z[j + 3, i]
    for lane in range(filled):
        x = r[i, lane]
        misfit[0, lane] = fma(z0, x, misfit[0, lane])
        misfit[1, lane] = fma(z1, x, misfit[1, lane])
        misfit[2, lane] = fma(z2, x, misfit[2, lane])
        misfit[3, lane] = fma(z3, x, misfit[3, lane])


@inline
def pull_axis(pull, j, i, misfit, gradient, filled):
    """gradient_i += sum over the rows j .. j + 3 of pull_i misfit."""
    p0, p1, p2, p3 = pull[j, i], pull[j + 1, i], pull[j + 2, i], pull[j + 3, i]
    for lane in range(filled):
        total = fma(p1, misfit[1, lane], fma(p0, misfit[0, lane], gradient[i, lane]))
        gradient[i, lane] = fma(p3, misfit[3, lane], fma(p2, misfit[2, lane], total))


@cell
def batch_lanes(z, pull, rho, r, misfit, gradient, filled):
    """g = sum_j pull_j (<z_j, r> - rho_j) over gathered rows, QUAD at a time; misfit (QUAD, width) is scratch.

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
            add_axis(z, j, i, r, misfit, filled)
        for i in range(0, quartered, 4):
            add_block(pull.T, i, j, misfit, 0, gradient, i, filled)
        for i in range(quartered, axes):
            pull_axis(pull, j, i, misfit, gradient, filled)


@worker
def gradient_lanes(
    kind, root, draw, step, fresh, lam, r, sigma, curvature, normal, push,
    z, rho, which, rows, order, uniform, picked, batch_z, batch_pull, batch_rho, misfit, gradient, filled,
):  # fmt: skip
    """The gradient (d, width) of all lanes at their r, for step number `step`.

    For kinds with noise all lanes are cells of the seed whose stream is `draw`, curvature (d,), rows z[which] and
    rho[which], of which it has `rows`.
    """
    if kind == NO_NOISE:
        exact_lanes(lam, r, gradient, filled)
    elif kind in (ISOTROPIC, HESSIAN):
        draw_push(kind, root, draw, step, curvature, normal, push)
        pushed_lanes(lam, r, push, sigma, gradient, filled)
    else:
        count = picked.size
        if kind == WITH_REPLACEMENT:
            pick_rows(uniform, root, draw, step, picked, rows)
        else:
            count = deal_rows(order, root, draw, step, fresh, picked)
        gather_rows(z, rho, which, picked, count, batch_z, batch_pull, batch_rho)
        batch_lanes(batch_z, batch_pull, batch_rho, r, misfit, gradient, filled)
