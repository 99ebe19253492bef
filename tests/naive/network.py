"""Slow, obvious twin of the networks: their data sets, gradients and training, in all coordinates. Imports nothing of
simlr."""

import math
from types import SimpleNamespace

import numpy as np

NETWORK_POINTS, NETWORK_START, NETWORK_NOISE = 20, 21, 22


def stream(root, draw, purpose, step):
    """NumPy's generator at an address."""
    key = np.array([root % 2**64, draw % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, step, purpose, 0]))


# ---- data ----


def points(root, draw, kind, count, d, margin, separation, scale, alphas):
    """Labels (N,), x1 (N, d) and x2 (N, 2) of points with both patterns; kind 0 for train points, 1 for test points."""
    uniform = stream(root, draw, NETWORK_POINTS, kind).random((count, 3))
    normal = stream(root, draw, NETWORK_POINTS, 2 + kind).standard_normal((count, d)) / math.sqrt(d)
    label, x2 = np.zeros(count), np.zeros((count, 2))
    for i, (u0, u1, u2) in enumerate(uniform):
        y = label[i] = 1 if u0 < 0.5 else -1
        if normal[i, 0] * y < 0:  # on the wrong side of the direction that is common to all
            normal[i, 0] = -normal[i, 0]
        normal[i, 0] += y * margin
        alpha = alphas[0] + (alphas[1] - alphas[0]) * u1
        zeta = np.array([0.0, separation if u2 < 0.5 else -separation])
        z = np.array([1.0, 0.0])
        x2[i] = scale * alpha * (z if y > 0 else z + zeta)
    return label, normal, x2


def train_points(root, draw, counts, *shape):
    """The same for N = n_P + n_PQ + n_Q train points; the part that a point does not have is 0."""
    label, x1, x2 = points(root, draw, 0, sum(counts), *shape)
    x1[counts[0] + counts[1] :] = 0
    x2[: counts[0]] = 0
    return label, x1, x2


def start(root, draw, units, d, spread):
    """Weights w (m, d) and v (m, 2), and signs a (m,): the second half repeats the first with the other sign."""
    weights = []
    for step, axes in enumerate((d, 2)):
        half = spread * stream(root, draw, NETWORK_START, step).standard_normal((units // 2, axes))
        weights.append(np.vstack([half, half]))
    return (*weights, np.repeat([1.0, -1.0], units // 2))


# ---- the network ----


def answer(x, weights, sign):
    """m^(-1/2) sum_j a_j relu(<w_j, x>) of every row of x."""
    return np.maximum(x @ weights.T, 0) @ sign / math.sqrt(len(sign))


def loss(label, x1, x2, w, v, sign):
    """The mean logistic loss."""
    return np.mean(np.logaddexp(0, -label * (answer(x1, w, sign) + answer(x2, v, sign))))


def gradients(label, x1, x2, w, v, sign):
    """dL/dw and dL/dv, by the chain rule."""
    f = answer(x1, w, sign) + answer(x2, v, sign)
    slope = -label / (1 + np.exp(label * f)) / len(label)
    found = []
    for x, weights in ((x1, w), (x2, v)):
        gradient = np.zeros_like(weights)
        for j, (a, own) in enumerate(zip(sign, weights, strict=True)):
            for i, row in enumerate(x):
                if row @ own > 0:
                    gradient[j] += slope[i] * a * row / math.sqrt(len(sign))
        found.append(gradient)
    return found


def sharpness(x, weights, sign, count):
    """The largest curvature of the loss of `count` points in one part's weights where f = 0.

    The Hessian there is J^T J / (4 N), J the answers' derivatives: relu has no curvature, the logistic loss 1/4.
    """
    jacobian = np.zeros((len(x), weights.size))
    for i, row in enumerate(x):
        for j, own in enumerate(weights):
            if row @ own > 0:
                jacobian[i, j * len(row) : (j + 1) * len(row)] = sign[j] * row / math.sqrt(len(sign))
    return np.linalg.eigvalsh(jacobian.T @ jacobian)[-1] / (4 * count)


def share_wrong(label, f):
    """Of these points, the share on the wrong side; half of those with f = 0, which rounding may have moved."""
    tie = abs(f) <= 1e-9
    return np.mean((label * f < 0) & ~tie) + 0.5 * np.mean(tie)


def measures(data, test, counts, w, v, sign):
    """[train loss, that of the points with x1 only, with x2 only, test error by x1, by x2, by both]."""
    label, x1, x2 = data
    first, last = slice(0, counts[0]), slice(counts[0] + counts[1], None)
    losses = [loss(label[own], x1[own], x2[own], w, v, sign) for own in (slice(None), first, last)]
    answers = answer(test[1], w, sign), answer(test[2], v, sign)
    return [*losses, *(share_wrong(test[0], f) for f in (*answers, sum(answers)))]


def train(data, test, counts, begin, rule, root=0, draw=0):
    """Train one network; rule has rates (large, small), switch_step, switch_loss, decay, sigma, stop_loss, max_steps.

    Returns history, the measures at every step from 0 on, and the step from which the rate was small (-1: never).
    """
    w, v, sign = (array.copy() for array in begin)
    history, switched, t = [], -1, 0
    while True:
        history.append(measures(data, test, counts, w, v, sign))
        now = history[-1][0]
        if switched < 0 and (t >= rule.switch_step or now <= rule.switch_loss):
            switched = t
        if (switched >= 0 and now <= rule.stop_loss) or t >= rule.max_steps:
            return SimpleNamespace(history=np.array(history), switched=switched, w=w, v=v)
        eta = rule.rates[1 if switched >= 0 else 0]
        dw, dv = gradients(*data, w, v, sign)
        if rule.sigma > 0:
            normal = stream(root, draw, NETWORK_NOISE, t).standard_normal(w.size + v.size)
            dw += rule.sigma * normal[: w.size].reshape(w.shape)
            dv += rule.sigma * normal[w.size :].reshape(v.shape)
        w, v = (1 - eta * rule.decay) * w - eta * dw, (1 - eta * rule.decay) * v - eta * dv
        t += 1
