"""The slow, obvious twin of the problem kind `gaussian`: NumPy's own Philox, plain rows. Imports nothing of simlr."""

from typing import NamedTuple

import numpy as np

SAMPLE, LABEL_NOISE, TARGET = 0, 2, 6


class Draw(NamedTuple):
    """One seed's rows, labels and target, its held-out rows and labels, and the population it is tested on."""

    x: np.ndarray
    y: np.ndarray
    target: np.ndarray
    held_out: np.ndarray
    held_out_y: np.ndarray
    test_covariance: np.ndarray
    label_noise: float

    def test_loss(self, theta):
        """E (<theta, x> - y)^2 of a new x with the test covariance."""
        away = theta - self.target
        return self.label_noise**2 + away @ self.test_covariance @ away


def normals(root, seed, purpose, step, shape):
    stream = np.random.Philox(key=[root, seed], counter=[0, step, purpose, 0])
    return np.random.Generator(stream).standard_normal(shape)


def power(covariance, exponent):
    """A symmetric matrix to a power: on its eigenvalues."""
    values, axes = np.linalg.eigh(covariance)
    return axes @ np.diag(np.maximum(values, 0.0) ** exponent) @ axes.T


def drawn_target(root, seed, covariance, norm, source):
    """Sigma^(s/2) h, scaled so that the mean of its square length is norm^2."""
    h = normals(root, seed, TARGET, 0, len(covariance))
    return norm / np.sqrt(np.trace(power(covariance, source))) * power(covariance, source / 2) @ h


def ones_target(covariance, norm, source):
    vector = power(covariance, source / 2) @ np.ones(len(covariance))
    return norm * vector / np.linalg.norm(vector)


def draw(root, seed, rows, held_out, train, test, target, label_noise):
    """The draw of a seed; `train` and `test` are covariance matrices, `target` is theta_star."""
    d = len(train)
    x, z = (normals(root, seed, SAMPLE, step, (n, d)) @ power(train, 0.5) for step, n in enumerate((rows, held_out)))
    noise, held_out_noise = (normals(root, seed, LABEL_NOISE, step, n) for step, n in enumerate((rows, held_out)))
    y, held_out_y = x @ target + label_noise * noise, z @ target + label_noise * held_out_noise
    return Draw(x, y, target, z, held_out_y, test, label_noise)
