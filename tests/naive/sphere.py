"""Twins of teachers and students on the sphere: quadrature, sampling and plain linear algebra; no spherical harmonics.

Imports nothing of simlr.
"""

import math

import mpmath
import numpy as np

FEATURES = 5


def funk_hecke(d, degree):
    """The number by which relu(<u, x>) acts on harmonics of a degree: its integral against the Legendre polynomial."""
    with mpmath.workdps(40):
        order = mpmath.mpf(d) / 2 - 1
        top = mpmath.gegenbauer(degree, order, 1)
        weight = mpmath.gamma(mpmath.mpf(d) / 2) / (mpmath.sqrt(mpmath.pi) * mpmath.gamma(mpmath.mpf(d - 1) / 2))
        # In the angle the weight is smooth.
        integral = mpmath.quad(
            lambda a: mpmath.cos(a) * mpmath.gegenbauer(degree, order, mpmath.cos(a)) * mpmath.sin(a) ** (d - 2),
            [0, mpmath.pi / 4, mpmath.pi / 2],
        )
        return weight * integral / top


def legendre(d, degree, s):
    """The Legendre polynomial of dimension d with value 1 at 1."""
    order = mpmath.mpf(d) / 2 - 1
    return float(mpmath.gegenbauer(degree, order, float(s)) / mpmath.gegenbauer(degree, order, 1))


def units(root, seed, d, count):
    """A teacher's units, from NumPy's generator at their address."""
    key, counter = np.array([root, seed], np.uint64), np.array([0, d, FEATURES, 0], np.uint64)
    found = np.random.Generator(np.random.Philox(key=key, counter=counter)).standard_normal((count, d))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def kernel(left, right, d):
    """E relu(<u, x>) relu(<v, x>), x uniform on the sphere."""
    angle = np.arccos(np.clip(left @ right.T, -1.0, 1.0))
    return (np.sin(angle) + (math.pi - angle) * np.cos(angle)) / (2.0 * math.pi * d)


def weights(own, d):
    """The teacher's weights for the target sqrt(d) x_1, and the part of its square that it captures."""
    right = own[:, 0] / (2.0 * math.sqrt(d))
    found = np.linalg.solve(kernel(own, own, d), right)
    return found, right @ found


def outputs(own, found, x):
    """The teacher's values at points x (P, d)."""
    return np.maximum(x @ own.T, 0.0) @ found


def ball_points(rows):
    """A product rule on the sphere in three dimensions: points (P, 3) and weights that sum to 1."""
    heights, weight = np.polynomial.legendre.leggauss(rows)
    turns = 2.0 * math.pi * (np.arange(2 * rows) + 0.5) / (2 * rows)
    ring = np.sqrt(1.0 - heights**2)
    x = np.stack([np.outer(ring, np.cos(turns)), np.outer(ring, np.sin(turns)), np.outer(heights, np.ones(2 * rows))])
    return x.reshape(3, -1).T, np.repeat(weight / (4.0 * rows), 2 * rows)


def student_loss(own, found, time, rows=20):
    """L_ST in three dimensions after a time of the kernel's gradient flow on the teacher's values at many points."""
    x, weight = ball_points(rows)
    root = np.sqrt(weight)
    values, vectors = np.linalg.eigh(root[:, None] * kernel(x, x, 3) * root)
    learned = vectors @ (-np.expm1(-values * time) * (vectors.T @ (root * outputs(own, found, x))))
    return ((math.sqrt(3.0) * x[:, 0] * root - learned) ** 2).sum()


def linear_teacher(rng, d, count, scale):
    """A linear teacher's vector: the projection of e_1 on the span of `count` units N(0, diag(1, s, .., s))."""
    rows = rng.standard_normal((count, d)) * np.sqrt(np.array([1.0] + [scale] * (d - 1)))
    return rows.T @ np.linalg.solve(rows @ rows.T, rows[:, 0])


def linear_student_loss(teacher, scale, time):
    """||e_1 - beta(t)||^2 of the gradient flow with the kernel x^T Psi y on the teacher's values."""
    learned = -np.expm1(-np.array([1.0] + [scale] * (len(teacher) - 1)) * time) * teacher
    return ((np.eye(len(teacher))[0] - learned) ** 2).sum()
