"""Two parts of `make proofs`: exact means beside 100,000 drawn runs, and long runs beside the limit of stability."""

import os
from typing import Any, NamedTuple

import numpy as np

import simlr

SEEDS = int(os.environ.get("SIMLR_PROOF_SEEDS", "100000"))
MOMENTS = 10
SIGMAS = 4.0
HEADER = ("noise, optimiser, average", "means", "beyond 4 standard errors", "farthest, in standard errors")
OPTIMIZERS = {"gd": {}, "momentum": {"momentum": 0.7}, "nesterov": {"momentum": 0.6}}
AVERAGES = {"none": {}, "tail": {"average_start": 4}, "exponential": {"average_decay": 0.8}}
NOISES = {
    "gradient, isotropic": {"kind": "gradient", "sigma": 0.3},
    "gradient, hessian": {"kind": "gradient", "sigma": 0.3, "covariance": "hessian"},
    "fresh rows": {"kind": "fresh", "sigma": 0.5, "batch_size": 2},
    "mini-batches": {"kind": "minibatch", "batch_size": 2},
}
INPUTS = np.array([1.0, 0.5, 0.2])  # variances of fresh rows
SPECTRA = int(os.environ.get("SIMLR_PROOF_SPECTRA", "100"))
BESIDE = {"kind": "fresh", "sigma": 1.0}, {"kind": "gradient", "sigma": 1.0, "covariance": "hessian"}
STABLE_HEADER = ("noise, optimiser", "spectra", "bounded at .999", "within .1 % of the floor", "grows at 1.001")


class Setting(NamedTuple):
    """What is sampled."""

    noise: str
    optimizer: str
    average: str

    def table(self) -> dict[str, Any]:
        """The [[optimizer]] table."""
        average = {} if self.average == "none" else {"average": self.average, **AVERAGES[self.average]}
        return {"kind": self.optimizer, **OPTIMIZERS[self.optimizer], **average}


def sampled():
    """(the lines of the table, what is not as it must be): every noise with every optimiser and average."""
    lines, wrong = [], []
    for noise in NOISES:
        for optimizer in OPTIMIZERS:
            for average in AVERAGES:
                one = Setting(noise, optimizer, average)
                off = _of_naive_steps(one) if noise == "fresh rows" else _of_kernels(one)
                beyond = int((~(off <= SIGMAS)).sum())
                lines.append((", ".join(one), str(off.size), str(beyond), f"{off.max():.1f}"))
                wrong += [": ".join(lines[-1])] if beyond else []  # by chance in one of 16,000 means
    return lines, wrong


def _of_kernels(one):
    """Standard errors that means of drawn runs lie from the exact ones, at every recorded moment; by `simlr.run`."""
    generator = np.random.default_rng(5)
    x = generator.standard_normal((12, 3)) * np.sqrt(INPUTS)
    y = x @ np.array([1.0, -1.0, 2.0]) + 0.5 * generator.standard_normal(12)
    table = np.column_stack([x, y, np.repeat([0.0, 1.0], [8, 4])])
    folder = os.environ.get("TMPDIR", "/tmp")
    path = os.path.join(folder, f"simlr-sampled-{os.getpid()}.csv")
    np.savetxt(path, table, delimiter=",", header="a,b,c,y,part", comments="", fmt="%.17g")
    grid = {
        "problem": {"kind": "dataset", "file": path, "target": "y", "split": "part", "test_value": 1},
        "seeds": {"count": SEEDS},
        "stop": {"steps": [30]},
        "record": {"points": MOMENTS, "seeds": "all"},
        "schedule": [{"kind": "linear", "learning_rate": 0.1, "steps": 30}],
        "optimizer": [one.table()],
        "noise": [NOISES[one.noise]],
    }
    try:
        drawn, exact = simlr.run(grid), simlr.run({**grid, "expectation": {}, "seeds": {"count": 1}})
    finally:
        os.unlink(path)
    off = []
    for name in ("trajectory_train_loss", "trajectory_test_loss") + (
        () if one.average == "none" else ("average_train_loss", "average_test_loss")
    ):
        values, mean = (np.asarray(run[name][0]) for run in (drawn, exact))
        is_moment = np.isfinite(mean.reshape(-1))  # some slots of a record may be no step
        assert is_moment.sum() >= (MOMENTS - 2 if name.startswith("trajectory") else 1)
        off.append(_standard_errors(values.reshape(SEEDS, -1)[:, is_moment], mean.reshape(-1)[is_moment]))
    return np.concatenate(off)


def _of_naive_steps(one):
    """The same with fresh rows, drawn and stepped through in NumPy."""
    generator, rates = np.random.default_rng(7), np.linspace(0.12, 0.02, 20)
    lam, start, noise = 2.0 * INPUTS, np.array([1.0, -1.0, 2.0]), NOISES[one.noise]
    at = np.arange(2, 2 * MOMENTS + 1, 2)
    found = simlr.expected_losses(lam[None], start[None], rates[None], noise, one.table(), steps=at)
    x = a = np.tile(start, (SEEDS, 1))
    velocity, off, beta = np.zeros_like(x), [], one.table().get("momentum", 0.0)
    for t, eta in enumerate(rates):
        rows = np.sqrt(INPUTS) * generator.standard_normal((SEEDS, noise["batch_size"], 3))
        miss = np.einsum("kbi,ki->kb", rows, x) - noise["sigma"] * generator.standard_normal(rows.shape[:2])
        gradient = 2.0 / noise["batch_size"] * np.einsum("kb,kbi->ki", miss, rows)
        velocity = beta * velocity + gradient
        x = x - eta * (gradient + beta * velocity if one.optimizer == "nesterov" else velocity)
        if one.average == "exponential":
            a = 0.8 * a + 0.2 * x
        elif one.average == "tail":
            count = t + 2 - AVERAGES["tail"]["average_start"]
            a = x if count <= 1 else a + (x - a) / count
        if t + 1 in at:
            k = int(np.flatnonzero(at == t + 1)[0])
            for point, names in ((x, ("train_loss", "test_loss")), (a, ("average_train_loss", "average_test_loss"))):
                if point is a and one.average == "none":
                    continue
                for name, weight in zip(names, (0.5 * lam, np.full(3, 0.5)), strict=True):
                    values = (weight * point**2).sum(axis=1)
                    off.append(_standard_errors(values[:, None], getattr(found, name)[0, 0, k : k + 1])[0])
    return np.array(off)


def _standard_errors(values, mean):
    """|mean of values (n, K) - mean (K,)| in standard errors; rounding alone where nothing varies."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return abs(values.mean(axis=0) - mean) / np.maximum(error, 1e-10 * abs(mean) + 1e-300)


def beside_the_limit(spectra=SPECTRA, steps=10**6, most_axes=100):
    """(the lines of the table, what is not as it must be): constant rates at .999 and 1.001 of `simlr.stability`."""
    lines, wrong = [], []
    for noise in BESIDE:
        for optimizer, table in OPTIMIZERS.items():
            seen = np.array(
                [_beside(np.random.default_rng(k), noise, optimizer, table, steps, most_axes) for k in range(spectra)]
            )
            bounded, settled, grows = seen.sum(axis=0)
            what = f"{noise['kind']}, {optimizer}"
            lines.append((what, str(spectra), str(bounded), str(settled), str(grows)))
            wrong += [": ".join(lines[-1])] if min(bounded, grows) < spectra else []
    return lines, wrong


def _beside(generator, noise, optimizer, table, steps, most_axes):
    """Whether the mean stays bounded below the limit, has come to its floor, and grows above: of one drawn spectrum.

    Curvatures are uniform in their logarithms over three powers of ten; momenta, and batch sizes of fresh rows, are
    drawn too.
    """
    lam = 2.0 * np.exp(generator.uniform(np.log(1e-3), 0.0, (1, int(generator.integers(1, most_axes + 1)))))
    start, batch, momentum = generator.standard_normal(lam.shape), int(generator.integers(1, 17)), generator.uniform()
    method = {"kind": optimizer, **({"momentum": 0.95 * momentum} if "momentum" in table else {})}
    drawn = {**noise, "batch_size": batch} if noise["kind"] == "fresh" else noise
    limit, last = simlr.stability(lam, drawn, method).limit[0], [steps // 10, steps]

    def losses(share):
        rates = np.full((1, steps), share * limit)
        return simlr.expected_losses(lam, start, rates, drawn, method, steps=[1, *last]).train_loss[0, 0]

    floor = simlr.stability(lam, drawn, method, learning_rate=0.999 * limit).floor[0]
    below, above = losses(0.999), losses(1.001)
    grows = not (np.isfinite(above[2]) and above[2] <= 2.0 * max(above[0], above[1]))  # inf: beyond all numbers
    return below[2] <= 1.001 * max(floor, below[0]), abs(below[2] / floor - 1.0) <= 1e-3, grows
