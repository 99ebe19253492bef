"""Exact mean loss curves of one-pass SGD on a power law under the usual schedules, as `Curve`s to fit."""

import numpy as np

import simlr
from simlr.laws import Curve

STEPS, WARMUP = 2000, 100


def schedules(peak):
    """{name: rates (T,)}, each rising over the same warm-up."""
    rest = STEPS - WARMUP
    rising = peak * np.arange(1, WARMUP + 1) / WARMUP
    z = np.arange(rest) / rest
    shapes = {
        "constant": np.ones(rest),
        "cosine": 0.1 + 0.45 * (1.0 + np.cos(np.pi * z)),
        "linear": 1.0 - 0.9 * z,
        "wsd": np.minimum(1.0, 0.1 + 0.9 * (1.0 - z) / 0.2),
        "two-stage": np.where(z < 0.5, 1.0, 0.3),
    }
    return {name: np.concatenate([rising, peak * shape]) for name, shape in shapes.items()}


def spectrum(capacity, source, axes=300):
    """Curvature and distance at the start (1, d): lam_j = 2 j^-capacity, lam_j r_j^2 / 2 = j^-(1 + source capacity)."""
    rank = np.arange(1.0, axes + 1.0)
    return 2.0 * rank[None] ** -capacity, rank[None] ** (0.5 * (capacity - 1.0 - source * capacity))


def curves(capacity, source, peak, sigma=0.5, count=60):
    """Losses with the labels' variance, at so many steps from the warm-up's end on."""
    curvature, start = spectrum(capacity, source)
    at = np.unique(np.round(np.geomspace(WARMUP + 1, STEPS, count)).astype(int))
    rates = schedules(peak)
    noise = {"kind": "fresh", "batch_size": 4, "sigma": sigma}
    found = simlr.expected_losses(curvature, start, np.stack([*rates.values()]), noise, steps=at)
    losses = found.train_loss[:, 0] + sigma * sigma
    return [Curve(name, own, at, loss) for (name, own), loss in zip(rates.items(), losses, strict=True)]
