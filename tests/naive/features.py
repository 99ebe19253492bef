"""Slow, obvious twins of feature maps and kernel gradient descent. Imports nothing of simlr.

A kernel's descent is carried in its dual space: f(x) = sum_i alpha_i k(x_i, x), which looks at no eigenvalue.
"""

import math

import numpy as np


def stream(root, seed, step):
    """The generator of a draw's features: weights at step 0, phases at step 1."""
    return np.random.Generator(np.random.Philox(key=[root, seed], counter=[0, step, 5, 0]))


def features(kind, x, root, seed, count, length_scale):
    """Random features (n, count) of inputs (n, D)."""
    weights = stream(root, seed, 0).standard_normal((count, x.shape[1]))
    phases = 2 * math.pi * stream(root, seed, 1).random(count)
    found = np.empty((len(x), count))
    for i, row in enumerate(x):
        for j in range(count):
            value = float(np.dot(weights[j], row)) / length_scale
            value = max(0.0, value) if kind == "relu" else math.cos(value + phases[j])
            found[i, j] = math.sqrt(2 / count) * value
    return found


def rbf(x, z, length_scale):
    """exp(-|x_i - z_j|^2 / (2 ell^2))."""
    return np.array([[math.exp(-sum((a - b) ** 2) / (2 * length_scale**2)) for b in z] for a in x])


def arc_cosine(x, z, length_scale):
    """E[2 max(0, <w, x>) max(0, <w, z>)] / ell^2 for w ~ N(0, I): Cho and Saul (2009), equation 6, order 1."""
    found = np.empty((len(x), len(z)))
    for i, a in enumerate(x):
        for j, b in enumerate(z):
            sizes = math.sqrt(sum(a * a)) * math.sqrt(sum(b * b))
            angle = math.acos(max(-1.0, min(1.0, float(np.dot(a, b)) / sizes)))
            found[i, j] = sizes * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi / length_scale**2
    return found


def dual_descent(kernel, y, rates):
    """alpha before the first step and after each: alpha <- alpha - eta (2/n) (K alpha - y)."""
    found = [np.zeros(len(y))]
    for eta in rates:
        found.append(found[-1] - eta * 2 / len(y) * (kernel @ found[-1] - y))
    return found
