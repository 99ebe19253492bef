"""A slow twin of power-law random features, and of one-pass SGD on them. Imports nothing of simlr."""

import numpy as np


def stream(root, draw, purpose):
    """NumPy's generator at an address."""
    key = np.array([root % 2**64, draw % 2**64], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, purpose, 0]))


def power_law(count, capacity, source):
    """(variances, target) of inputs 1 .. count."""
    rank = np.arange(1.0, count + 1)
    variances = rank**-capacity
    return variances, np.sqrt(rank ** -(1 + source * capacity) / variances)


def weights(root, draw, inputs, features):
    """W (inputs, features), feature after feature of the stream of features."""
    return stream(root, draw, 5).standard_normal((features, inputs)).T / np.sqrt(features)


def reduced(variances, target, matrix):
    """(eigenvalues of K, largest first; theta_hat; floor) by the normal equations."""
    weighed = variances[:, None] * matrix
    inner = matrix.T @ weighed
    best = np.linalg.solve(inner, weighed.T @ target)
    wrong = matrix @ best - target
    return np.linalg.eigvalsh(inner)[::-1], best, (variances * wrong * wrong).sum()


def one_pass(variances, target, matrix, eta, batch, sigma, runs, seed):
    """E (y - <theta, z>)^2 of many runs of SGD on new rows, without the labels' sigma^2: (steps + 1, runs)."""
    generator = np.random.default_rng(seed)
    theta, losses = np.zeros((runs, matrix.shape[1])), []
    for t in range(len(eta) + 1):
        wrong = theta @ matrix.T - target
        losses.append((variances * wrong * wrong).sum(axis=1))
        if t < len(eta):
            x = np.sqrt(variances) * generator.standard_normal((runs, batch, len(variances)))
            z = x @ matrix
            error = np.einsum("kbi,ki->kb", z, theta) - x @ target - sigma * generator.standard_normal((runs, batch))
            theta = theta - eta[t] * 2 / batch * np.einsum("kbi,kb->ki", z, error)
    return np.array(losses)
