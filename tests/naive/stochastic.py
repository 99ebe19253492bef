"""Slow, obvious twins of the stochastic steps: optimisers, averages and noisy gradients. Imports nothing of simlr.

Noise is drawn with NumPy's own generators. On rows they live in theta and know no eigenvalue.
"""

import math

import numpy as np

GRADIENT_NOISE, BATCH = 3, 4


def stream(root, draw, purpose, step):
    """NumPy's generator at an address."""
    key = np.array([root % 2**64, draw % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, step, purpose, 0]))


# ---- gradients: functions of (where, step) ----


def exact(curvature):
    return lambda r, t: curvature * r


def isotropic(curvature, sigma, root, draw):
    def gradient(r, t):
        return curvature * r + sigma * stream(root, draw, GRADIENT_NOISE, t).standard_normal(len(r))

    return gradient


def hessian(curvature, sigma, root, draw):
    def gradient(r, t):
        xi = stream(root, draw, GRADIENT_NOISE, t).standard_normal(len(r))
        return curvature * r + sigma * np.sqrt(curvature) * xi

    return gradient


def batch_gradient(x, y, theta, rows):
    return 2 / len(rows) * x[rows].T @ (x[rows] @ theta - y[rows])


def picked(root, draw, step, batch, count):
    """A batch with replacement."""
    return [math.floor(u * count) for u in stream(root, draw, BATCH, step).random(batch)]


def dealt(root, draw, step, batch, count):
    """The batch of a step of shuffled epochs; the last of an epoch has what is left."""
    batches = -(-count // batch)
    epoch, place = divmod(step, batches)
    order = np.argsort(stream(root, draw, BATCH, epoch).random(count), kind="stable")
    return order[place * batch : (place + 1) * batch]


def with_replacement(x, y, batch, root, draw):
    return lambda theta, t: batch_gradient(x, y, theta, picked(root, draw, t, batch, len(x)))


def shuffled(x, y, batch, root, draw):
    return lambda theta, t: batch_gradient(x, y, theta, dealt(root, draw, t, batch, len(x)))


# ---- optimisers ----


def iterates(gradient, start, rates, optimizer="gd", beta=0.0):
    """The iterates before the first step and after each, as an array (T + 1, d)."""
    theta, v = np.array(start, dtype=float), np.zeros(len(start))
    found = [theta]
    for t, eta in enumerate(rates):
        g = gradient(theta, t)
        v = beta * v + g
        move = {"gd": g, "momentum": v, "nesterov": g + beta * v}[optimizer]
        theta = theta - eta * move
        found.append(theta)
    return np.array(found)


def heavy_ball(gradient, start, rate, beta, steps):
    """Polyak's own form at a constant rate: theta <- theta - eta g + beta (theta - the one before)."""
    before = now = np.array(start, dtype=float)
    found = [now]
    for t in range(steps):
        before, now = now, now - rate * gradient(now, t) + beta * (now - before)
        found.append(now)
    return np.array(found)


def companion_power(optimizer, eta, lam, beta, steps):
    """The 2 x 2 matrix that takes (r, v) of one axis through `steps` steps at a constant rate."""
    one = {
        "gd": [[1 - eta * lam, 0.0], [lam, 0.0]],
        "momentum": [[1 - eta * lam, -eta * beta], [lam, beta]],
        "nesterov": [[1 - eta * lam - eta * beta * lam, -eta * beta * beta], [lam, beta]],
    }[optimizer]
    return np.linalg.matrix_power(np.array(one), steps)


# ---- averages of an array of iterates ----


def tail(iterates, start, t):
    """The mean of iterates start .. t; the iterate t itself before that."""
    return iterates[start : t + 1].mean(axis=0) if t >= start else iterates[t]


def exponential(iterates, decay):
    """a <- decay a + (1 - decay) theta, from the first iterate on."""
    found = [iterates[0]]
    for theta in iterates[1:]:
        found.append(decay * found[-1] + (1 - decay) * theta)
    return np.array(found)


# ---- exact moments of one step: mean (d,) and second moment E[r r^T] (d, d) ----


def additive_moments(mean, second, eta, curvature, covariance):
    """After r <- r - eta (H r + noise), the noise with this covariance."""
    shrink = np.diag(1 - eta * curvature)
    return shrink @ mean, shrink @ second @ shrink + eta**2 * covariance


def momentum_moments(mean, second, eta, beta, curvature, covariance):
    """The same of (r, v), stacked (2 d,), after v <- beta v + H r + noise, r <- r - eta v."""
    d, h, one = len(curvature), np.diag(curvature), np.eye(len(curvature))
    step = np.block([[one - eta * h, -eta * beta * one], [h, beta * one]])
    push = np.vstack([-eta * one, one])
    assert step.shape == (2 * d, 2 * d)
    return step @ mean, step @ second @ step.T + push @ covariance @ push.T


def batch_moments(mean, second, eta, z, rho, batch):
    """After r <- r - eta (2/b) sum_j z_j (<z_j, r> - rho_j) over b rows drawn with replacement.

    The rows' gradients A_j r - c_j are independent given r, so E[g g^T] is 1/b of one row's second moment and
    1 - 1/b of the square of their mean.
    """
    new_mean, hessian_, pull, noise = np.zeros_like(mean), 0.0, 0.0, np.zeros_like(second)
    for row, label in zip(z, rho, strict=True):
        a, c = 2 * np.outer(row, row), 2 * label * row
        hessian_, pull = hessian_ + a / len(z), pull + c / len(z)
        cross = a @ np.outer(mean, c)
        noise += (a @ second @ a - cross - cross.T + np.outer(c, c)) / len(z)
    cross = hessian_ @ np.outer(mean, pull)
    square = hessian_ @ second @ hessian_ - cross - cross.T + np.outer(pull, pull)
    new_mean = mean - eta * (hessian_ @ mean - pull)
    with_step = second @ hessian_ - np.outer(mean, pull)
    outer = noise / batch + (1 - 1 / batch) * square
    return new_mean, second - eta * (with_step + with_step.T) + eta**2 * outer
