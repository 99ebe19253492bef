"""A slow twin of the exact means: one matrix for iterate, velocity and average together. Imports nothing of simlr."""

import numpy as np


def step_matrix(optimizer, beta, eta, curvature, past, present):
    """(T, G): (x, v, a) <- T (x, v, a) + G xi, for xi added to the gradient."""
    d = len(curvature)
    one, nothing, slopes = np.eye(d), np.zeros((d, d)), np.diag(curvature)
    keep = 0.0 if optimizer == "gd" else beta
    v_row, v_kick = np.hstack([slopes, keep * one, nothing]), one
    if optimizer == "nesterov":
        move, kick = np.hstack([slopes, nothing, nothing]) + beta * v_row, one + beta * v_kick
    else:
        move, kick = v_row, v_kick
    x_row, x_kick = np.hstack([one, nothing, nothing]) - eta * move, -eta * kick
    a_row, a_kick = past * np.hstack([nothing, nothing, one]) + present * x_row, present * x_kick
    return np.vstack([x_row, v_row, a_row]), np.vstack([x_kick, v_kick, a_kick])


def noise_covariance(noise, curvature, mean, second, floor, rows, misfits):
    """Of the gradient's noise where E x = mean and E x x^T = second."""
    d = len(curvature)
    if noise["kind"] == "gradient":
        return noise["sigma"] ** 2 * (np.diag(curvature) if noise.get("covariance") == "hessian" else np.eye(d))
    if noise["kind"] == "fresh":
        label = noise["sigma"] ** 2 + floor
        excess = 0.5 * (curvature * np.diag(second)).sum()
        whole = np.outer(curvature, curvature) * second + 2 * np.diag(curvature) * (excess + label)
        return whole / noise["batch_size"]
    if noise["kind"] == "minibatch":
        wrong = [z @ second @ z - 2 * rho * (z @ mean) + rho**2 for z, rho in zip(rows, misfits, strict=True)]
        whole = sum(4 / len(rows) * one * np.outer(z, z) for one, z in zip(wrong, rows, strict=True))
        return (whole - np.diag(curvature) @ second @ np.diag(curvature)) / noise["batch_size"]
    return np.zeros((d, d))


def weights(average, count):
    """Those of the past and of the iterate after `count` steps."""
    if average["kind"] == "exponential":
        return average["decay"], 1 - average["decay"]
    taken = max(count - average.get("start", 0) + 1, 1)
    return (taken - 1) / taken, 1 / taken


def means(problem, eta, optimizer, beta, average, noise):
    """[(train, test, variance of train, average train, average test)] after 0, 1, ... steps.

    problem: a dict of curvature, residual, offset, test_matrix, train_floor, test_floor, rows, misfits.
    """
    lam, d = problem["curvature"], len(problem["curvature"])
    mean = np.concatenate([problem["residual"], np.zeros(d), problem["residual"]])
    covariance = np.zeros((3 * d, 3 * d))
    found = []
    for t in range(len(eta) + 1):
        line = []
        for part in (slice(0, d), slice(2 * d, 3 * d)):
            m, c = mean[part], covariance[part, part]
            y = m + problem["offset"]
            train = problem["train_floor"] + 0.5 * (lam * (m * m + np.diag(c))).sum()
            line += [train, problem["test_floor"] + y @ problem["test_matrix"] @ y + (problem["test_matrix"] * c).sum()]
        curved = lam[:, None] * covariance[:d, :d]
        spread = 0.5 * np.trace(curved @ curved) + mean[:d] @ curved @ (lam * mean[:d])
        found.append((line[0], line[1], spread, line[2], line[3]))
        if t == len(eta):
            return np.array(found)
        second = covariance[:d, :d] + np.outer(mean[:d], mean[:d])
        floor = problem["train_floor"]
        spread = noise_covariance(noise, lam, mean[:d], second, floor, problem["rows"], problem["misfits"])
        turn, kick = step_matrix(optimizer, beta, eta[t], lam, *weights(average, t + 1))
        mean, covariance = turn @ mean, turn @ covariance @ turn.T + kick @ spread @ kick.T
