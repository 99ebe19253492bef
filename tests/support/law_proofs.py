"""Parts of `make proofs`: how often a law's intervals hold the true values, and what each law makes of exact curves."""

import os
from typing import NamedTuple

import exact_curves
import numpy as np

from simlr.laws import PUBLISHED, Curve, exponent, fit, leave_one_out, predict

SETS = int(os.environ.get("SIMLR_PROOF_SETS", "25"))
HEADER = ("law", "noise", "held", "sets")
SPREAD, LOSSES, FITTED = 1e-3, 80, ("constant", "cosine", "two-stage")
SCHEDULES = exact_curves.schedules(3e-3)
ANNEALING = {"L0": 2.6, "A": 0.5, "C": 1.0, "alpha": 0.5, "lambda": 0.99}
PROBLEMS = {"capacity 2, source 1": (2.0, 1.0), "capacity 1.5, source 0.5": (1.5, 0.5),
            "capacity 3, source 0.3": (3.0, 0.3)}  # fmt: skip
LAWS = ("multi-power", "annealing", "functional-scaling", "forcing-memory")


class Noise(NamedTuple):
    """What is added to the logarithm of a loss: normal, of spread SPREAD, correlated from one loss to the next."""

    name: str
    correlation: float
    losses: int = LOSSES  # along each curve
    fresh: float = 0.0  # the share that is drawn anew at every loss
    window: int = 1  # losses over which it is a moving mean

    def drawn(self, random, size):
        """So many values of it."""
        values = random.normal(size=size + self.window - 1)
        for k in range(1, values.size):
            values[k] = self.correlation * values[k - 1] + np.sqrt(1.0 - self.correlation**2) * values[k]
        values = np.convolve(values, np.full(self.window, self.window**-0.5), "valid")
        return SPREAD * (np.sqrt(1.0 - self.fresh) * values + np.sqrt(self.fresh) * random.normal(size=size))


DENSE = 190  # a loss every ten steps
INDEPENDENT = Noise("independent", 0.0)
NOISES = (
    INDEPENDENT,
    Noise("correlation 0.7 from loss to loss", 0.7),
    Noise("0.95, a loss every ten steps", 0.95, DENSE),
    Noise("0.95 and as much fresh noise, every ten steps", 0.95, DENSE, 0.5),
    Noise("means of 20 losses, every ten steps", 0.0, DENSE, 0.0, 20),
)


EXPONENT_HEADER = ("losses", "noise", "held")
EXPONENTS = (  # name, budgets, seeds, relative spread, noise
    ("12 budgets, 1 curve, 2 %", 12, 1, 0.02, INDEPENDENT),
    ("60 budgets, 1 curve, 1 %", 60, 1, 0.01, Noise("correlation 0.9 from budget to budget", 0.9)),
    ("4 budgets, 1 curve, 0.5 %", 4, 1, 0.005, INDEPENDENT),
    ("12 budgets, 3 seeds, 2 %", 12, 3, 0.02, INDEPENDENT),
    ("12 budgets, 30 seeds, 10 %", 12, 30, 0.1, INDEPENDENT),
)


def synthetic(law, parameters, noise, seed):
    """Curves of a law with noise."""
    random = np.random.default_rng(seed)
    found = []
    for name in FITTED:
        rates = SCHEDULES[name]
        at = np.unique(np.round(np.linspace(exact_curves.WARMUP + 1, rates.size, noise.losses)).astype(int))
        losses = predict(law, parameters, rates, at) * np.exp(noise.drawn(random, at.size))
        found.append(Curve(name, rates, at, losses))
    return found


def held(law, parameters, noise, seed):
    """(intervals that hold the true value, intervals that have two ends) of one set of curves."""
    found = fit(law, synthetic(law, parameters, noise, seed), starts=4)
    ended = {name: ends for name, ends in found.intervals.items() if np.isfinite(ends).all()}
    return sum(low <= parameters[name] <= high for name, (low, high) in ended.items()), len(ended)


def coverage():
    """The lines of the table of coverage."""
    lines = []
    for law, parameters in (("annealing", ANNEALING), ("multi-power", PUBLISHED["multi-power"]["25M"])):
        for noise in NOISES:
            own = [held(law, parameters, noise, seed) for seed in range(SETS)]
            hits, total = np.sum(own, axis=0)
            lines.append((f"`{law}`", noise.name, f"{hits} of {total} ({100 * hits / total:.0f} %)", str(SETS)))
            print(*lines[-1], sep=" | ", flush=True)
    return lines


def exponents():
    """The lines of the table of exponents: of 0.3 + 2 n^-0.5 with relative noise."""
    lines = []
    for name, budgets, seeds, spread, noise in EXPONENTS:
        n = np.geomspace(100.0, 10_000.0, budgets)
        hits = 0
        for seed in range(SETS):
            random = np.random.default_rng(seed)
            off = np.stack([noise.drawn(random, budgets) for _ in range(seeds)]) / SPREAD
            low, high = exponent(n, (0.3 + 2.0 * n**-0.5) * (1.0 + spread * off), resamples=200).exponent_interval
            hits += low <= 0.5 <= high
        lines.append((name, noise.name, f"{hits} of {SETS} ({100 * hits / SETS:.0f} %)"))
        print(*lines[-1], sep=" | ", flush=True)
    return lines


def unseen(laws=LAWS):
    """(header, lines) of the table of exact curves: the error along the schedule that was left out."""
    lines, names = [], []
    for problem, (capacity, source) in PROBLEMS.items():
        own = exact_curves.curves(capacity, source, 0.1)
        names = [one.name for one in own]
        for law in laws:
            errors = {one.name: one.rmse for one in leave_one_out(law, own, starts=4)}
            lines.append((f"{problem}, `{law}`", *(f"{errors[name]:.1e}" for name in names)))
            print(*lines[-1], sep=" | ", flush=True)
    return ("problem and law", *names), lines
