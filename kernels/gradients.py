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

from .draws import BATCH, GRADIENT_NOISE, fill_normal, fill_order, fill_uniform
from .intrinsics import fma
from .jit import cell

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


@cell
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
def gather_rows(z, rho, which, picked, count, batch_z, batch_rho):
    """Copy the picked rows side by side: batch_z (batch, d), batch_rho (batch,)."""
    for j in range(count):
        for i in range(z.shape[2]):
            batch_z[j, i] = z[which, picked[j], i]
        batch_rho[j] = rho[which, picked[j]]


@cell
def misfit_lanes(z, rho, j, weight, r, misfit, filled):
    """misfit[j] = weight (<z_j, r> - rho_j) of every lane, summed axis after axis, four a pass to spare stores."""
    axes = r.shape[0]
    for lane in range(filled):
        misfit[j, lane] = -rho[j]
    whole = axes & ~3
    for i in range(0, whole, 4):
        a, b, c, d = z[j, i], z[j, i + 1], z[j, i + 2], z[j, i + 3]
        for lane in range(filled):
            total = fma(b, r[i + 1, lane], fma(a, r[i, lane], misfit[j, lane]))
            misfit[j, lane] = fma(d, r[i + 3, lane], fma(c, r[i + 2, lane], total))
    for i in range(whole, axes):
        for lane in range(filled):
            misfit[j, lane] = fma(z[j, i], r[i, lane], misfit[j, lane])
    for lane in range(filled):
        misfit[j, lane] *= weight


@cell
def gather_gradient(z, i, count, misfit, gradient, filled):
    """gradient[i] = sum_j z_ji misfit[j], row after row, four a pass."""
    for lane in range(filled):
        gradient[i, lane] = 0.0
    whole = count & ~3
    for j in range(0, whole, 4):
        a, b, c, d = z[j, i], z[j + 1, i], z[j + 2, i], z[j + 3, i]
        for lane in range(filled):
            total = fma(b, misfit[j + 1, lane], fma(a, misfit[j, lane], gradient[i, lane]))
            gradient[i, lane] = fma(d, misfit[j + 3, lane], fma(c, misfit[j + 2, lane], total))
    for j in range(whole, count):
        for lane in range(filled):
            gradient[i, lane] = fma(z[j, i], misfit[j, lane], gradient[i, lane])


@cell
def batch_lanes(z, rho, count, r, misfit, gradient, filled):
    """g = (2/count) sum_j z_j (<z_j, r> - rho_j) over the first `count` gathered rows; misfit (batch, width)."""
    for j in range(count):
        misfit_lanes(z, rho, j, 2.0 / count, r, misfit, filled)
    for i in range(r.shape[0]):
        gather_gradient(z, i, count, misfit, gradient, filled)


@cell
def gradient_lanes(
    kind, root, draw, step, fresh, lam, r, sigma, curvature, normal, push,
    z, rho, which, rows, order, uniform, picked, batch_z, batch_rho, misfit, gradient, filled,
):  # fmt: skip
    """The gradient (d, width) of all lanes at their r, for step number `step`.

    For kinds with noise all lanes are cells of the seed whose stream is `draw`, curvature (d,), rows z[which] and
    rho[which], of which it has `rows`.
    """
    if kind == NO_NOISE:
        exact_lanes(lam, r, gradient, filled)
    elif kind == ISOTROPIC or kind == HESSIAN:
        draw_push(kind, root, draw, step, curvature, normal, push)
        pushed_lanes(lam, r, push, sigma, gradient, filled)
    else:
        count = picked.size
        if kind == WITH_REPLACEMENT:
            pick_rows(uniform, root, draw, step, picked, rows)
        else:
            count = deal_rows(order, root, draw, step, fresh, picked)
        gather_rows(z, rho, which, picked, count, batch_z, batch_rho)
        batch_lanes(batch_z, batch_rho, count, r, misfit, gradient, filled)
