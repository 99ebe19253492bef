"""A part of `make proofs`: do the gradients' noise and a large rate change which pattern is learnt first (li2019)?

The mechanism of Li, Wei and Ma (2019), beside its control without noise. S has the small rate throughout, L-S the large
one for half of the steps; the large rate lies below 2/sharpness, so that only noise can tell the two apart. At the
large rate the noise keeps the spread tau of the start,

    sigma^2 = tau^2 (1 - (1 - eta lam)^2) / eta^2.

Judged is the run of `LARGEST` alone, by two-sided sign tests over its seeds at `LEVEL`, fixed before it was run:

    noise decides   L-S learns P first and S Q first with noise, L-S does not learn P first without, and S ends with
                    the higher error on points with P only, at equal train loss
    it does not     one of these is shown to be the other way round
    undecided       anything else
"""

from typing import NamedTuple

import numpy as np

import simlr
from simlr.analysis.statistics import sign_test
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config import read
from simlr.papers import li2019

LEVEL = 0.01
# At this scale 2/sharpness along Q is 0.53 to 0.68.
RATE, SMALLER, DECAY, SCALE = 0.42, 10.0, 0.01, 8.0
DATA = {"dimension": 16, "only_p": 4, "both": 8, "only_q": 8}
FOURFOLD = {"dimension": 64, "only_p": 16, "both": 32, "only_q": 32}
HEADER = ("setting", "noise", "S learns first", "L-S learns first", "loss of P, of Q at the large rate",
          "pairs of equal loss", "wrong with P only: S, L-S", "train loss: S, L-S")  # fmt: skip


class Setting(NamedTuple):
    """One line of the table; `data` are keys of the study."""

    units: int
    tau: float
    noise: bool
    steps: int
    seeds: int
    data: dict = DATA

    @property
    def name(self):
        """What it is called in the table."""
        d = self.data["dimension"]
        return f"m = {self.units}, tau = {self.tau:g}, d = {d}, {self.steps:,} steps, {self.seeds} seeds"


LARGEST = Setting(1024, 0.12, True, 100_000, 8)
SCALES = [
    *(Setting(units, tau, True, 2000, 4) for units in (256, 1024) for tau in (0.06, 0.12, 0.24)),
    Setting(4096, 0.12, True, 2000, 4),
    *(Setting(units, 0.12, False, 2000, 4) for units in (256, 1024, 4096)),
    *(Setting(256, 0.12, noise, 2000, 4, FOURFOLD) for noise in (True, False)),
]


def sigma(setting):
    """Standard deviation of the noise of a gradient."""
    return setting.tau * np.sqrt(1.0 - (1.0 - RATE * DECAY) ** 2) / RATE if setting.noise else 0.0


def trained(setting, root=0):
    """The run of a setting."""
    own = {
        **setting.data, "separation": 0.5, "scale": SCALE, "units": setting.units, "spread": setting.tau,
        "small_rate": RATE / SMALLER, "large_rate": RATE, "large_steps": setting.steps // 2, "weight_decay": DECAY,
        "noise": float(sigma(setting)), "train_loss": 0.15, "max_steps": setting.steps, "points": 120, "tests": 1000,
    }  # fmt: skip
    changes = [("seeds.root", root), ("seeds.count", setting.seeds), *((f"study.{key}", own[key]) for key in own)]
    return simlr.run(read(li2019.GRID, changes))


def firsts(run, schedule):
    """(seeds that learn P first, seeds that learn Q first)."""
    p, q = li2019.learnt(run)[schedule].T
    return int((p < q).sum()), int((q < p).sum())


def at_large_rate(run):
    """Losses (2, N) of the train points with P only, Q only, by seed: means over the last moments of the large rate."""
    large = run.config.study["large_steps"]
    moments = (run["recorded_step"] > large // 4) & (run["recorded_step"] <= large)
    return np.stack([run[f"trajectory_loss_{one}"][1][:, moments].mean(axis=1) for one in "pq"])


def line(setting, run):
    """Cells of the table."""
    order = ["P in {}, Q in {}".format(*firsts(run, schedule)) for schedule in range(2)]
    loss, spread = at_large_rate(run).mean(axis=1), at_large_rate(run).std(axis=1, ddof=1) / np.sqrt(setting.seeds)
    losses = ", ".join(f"{one:.3f} +- {error:.3f}" for one, error in zip(loss, spread, strict=True))
    error, last = run["error_p"].mean(axis=1), run["train_loss"].mean(axis=1)
    pairs = f"{li2019.same_loss(run).sum()} of {setting.seeds}"
    ends = f"{100 * error[0]:.2f}, {100 * error[1]:.2f} %", f"{last[0]:.3f}, {last[1]:.3f}"
    return setting.name, "on" if setting.noise else "off", *order, losses, pairs, *ends


def judged(noisy, silent):
    """(outcome, lines) of the run with noise beside the one without."""
    same = li2019.same_loss(noisy)
    s, l_s = noisy["error_p"][:, same]
    findings = {
        "with noise L-S learns P first": firsts(noisy, li2019.LARGE),
        "with noise S learns Q first": firsts(noisy, li2019.SMALL)[::-1],
        "without noise L-S learns Q first": firsts(silent, li2019.LARGE)[::-1],
        "at equal train loss S has the higher error with P only": (int((s > l_s).sum()), int((s < l_s).sum())),
    }
    lines, shown = [], []
    for what, (wins, losses) in findings.items():
        p = sign_test(wins, losses)
        lines.append(f"{what}: {wins} to {losses}, p = {p:.2g}")
        shown.append(UNDECIDED if p > LEVEL else HOLDS if wins > losses else FAILS)
    outcome = FAILS if FAILS in shown else HOLDS if set(shown) == {HOLDS} else UNDECIDED
    return outcome, lines


def measured(scales, largest, root=0):
    """(cells of all lines, outcome, its lines)."""
    cells = [line(setting, trained(setting, root)) for setting in scales]
    noisy, silent = (trained(largest._replace(noise=noise), root) for noise in (True, False))
    cells += [line(largest, noisy), line(largest._replace(noise=False), silent)]
    return cells, *judged(noisy, silent)
