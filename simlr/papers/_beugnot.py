"""What `beugnot2022` measures with: constant rates to their stops, and kernel regression on the digits.

Kernel regression on n rows, in the kernel matrix's eigenvectors V, K = V diag(w) V^T: with labels Y (n, classes) and
train loss (1/n) |Y - f|^2, all classes together, gradient descent in the kernel's space from f = 0 multiplies component
i of the residual V^T (Y - f) by 1 - eta 2 w_i/n at every step. So it is a quadratic with curvature 2 w_i/n.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..claims import evidence
from ..claims.verdict import FAILS, NOT_RUN, UNDECIDED, Finding, undecided
from ..config.study import Task
from ..errors import InputError
from ..store.run import Run
from ._digits import INSTALL, load_digits, shuffled

MOST_STEPS = 10**9
DIGITS_LEVEL = 0.1  # a tenth of the train loss at the start
MAINLY, HARDLY = 0.5, 0.1
LARGE = 1.5  # of rates of the digits, in 1/sharpness
PRACTICAL_WINDOW, PRACTICAL_LEVEL = 0.1, 1e-3
NEAR = 10.0001  # the factor within which a level, and a window below 1, is as good as these
NO_SPLITS = "study.splits is 0"
SCORES = "accuracy", "held_out_loss", "digits_top_share"
EXTRA = "gain_row_error", "digits_shared"


def stops(
    curvature: NDArray[np.float64],
    residual: NDArray[np.float64],
    rates: Sequence[float],
    stop: dict[str, Any],
    threads: int | None,
    unit: str = "absolute",
) -> Run:
    """Run constant rates on quadratics down to levels, exactly unless asked otherwise, with the residuals there.

    Parameters
    ----------
    curvature, residual : (N, d)
        Of the quadratics, and of the start along its axes.
    rates : (S,)
        In `unit`: "absolute", or "sharpness" for multiples of 1/sharpness.
    stop
        The levels, as the grid's [stop] has them: {"train_loss": [...]}, where wanted with "landing": "step".
    """
    from ..config.grid import GridConfig
    from ..grid.job import run

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "quadratics.npz", curvature=curvature, residual=residual)
        tables = {
            "engine": "closed-form",
            "problem": {"kind": "quadratic", "file": "quadratics.npz"},
            "seeds": {"count": len(curvature)},
            "stop": {"landing": "exact", **stop, "max_steps": MOST_STEPS},
            "record": {"points": 0, "stop_residual": True},
            "schedule": [
                {"name": str(k), "kind": "constant", "unit": unit, "learning_rate": float(rate)}
                for k, rate in enumerate(rates)
            ],
        }
        return run(GridConfig.from_tables(tables, folder), threads=threads)


def not_practical(window: float, fraction: float) -> str:
    """Why the nearest rate and train loss are not those of the claim; "" where they are."""
    if not PRACTICAL_WINDOW / NEAR < window < 1.0:
        return f"no rate of study.windows is near w = {PRACTICAL_WINDOW:g}, beyond 2/(sigma_1 + sigma_n)"
    if not PRACTICAL_LEVEL / NEAR < fraction < PRACTICAL_LEVEL * NEAR:
        return f"no train loss of study.fractions is near {PRACTICAL_LEVEL:g}"
    return ""


def digits_study(task: Task) -> dict[str, Any]:
    """Accuracy and square loss on the rows held out, and the share of the train loss along the top eigenvector.

    (scale, rate, digits_level, split) each; NaN where nothing is run. Beside them the EXTRA of `_regression`.
    """
    from ..kernels.draws import SPLIT, fill_order

    own = task.parameters
    data = load_digits() if own["splits"] else None
    shape = (*(len(own[key]) for key in ("scales", "digits_rates", "digits_levels")), own["splits"])
    found = {name: np.full(shape, np.nan) for name in SCORES}
    found |= {"gain_row_error": np.full((shape[0], shape[2]), np.nan), "digits_shared": np.full(shape[::3], np.nan)}
    if data is None:
        return found | {"digits_rows": 0}
    pixels, digits = data
    if own["train_rows"] >= len(digits):
        raise InputError(f"study.train_rows must leave some of the {len(digits):,} digits, got {own['train_rows']:,}")
    if own["labels"] == "shuffled":
        digits = shuffled(digits, task.root, own["splits"])  # the stream after those of the splits
    squares = (pixels**2).sum(axis=1)
    distance = (squares[:, None] + squares - 2 * pixels @ pixels.T).astype(float)  # exact: whole numbers
    unit = np.median(distance[np.triu_indices(len(digits), 1)])
    orders = np.empty((own["splits"], len(digits)), np.int64)
    for split, order in enumerate(orders):
        fill_order(order, task.root, split, SPLIT, 0)
    for place, scale in enumerate(own["scales"]):
        kernel = np.exp(-distance / (2.0 * scale**2 * unit))
        for name, values in zip((*SCORES, *EXTRA), _regression(task, kernel, np.eye(10)[digits], orders), strict=True):
            found[name][place] = values
        task.progress(3 + place, 3 + len(own["scales"]))
    return found | {"digits_rows": len(digits)}


def _regression(task, kernel, labels, orders):
    """The SCORES (rate, level, split) of one kernel, and the EXTRA.

    gain_row_error (level,): the standard error of the gain in accuracy from the first rate to the last that comes from
    the rows held out, which are nearly the same in all splits: that of the rows' own mean gains. digits_shared
    (split,): (1^T v)^2 / n of the top eigenvector v, 1 where it is constant, the same for all classes.

    The residuals of all classes shrink by the same factors, so together they are one quadratic, with the root of their
    sum of squares as its residual.
    """
    from ..kernels.problems.spectrum import symmetric_eigen

    own, n = task.parameters, task.parameters["train_rows"]
    values, vectors, targets = [], [], []
    for order in orders:
        train = order[:n]
        value, axes = np.empty(n), np.empty((n, n))
        symmetric_eigen(np.ascontiguousarray(kernel[np.ix_(train, train)]), value, axes)
        values.append(np.maximum(value, 0.0))
        vectors.append(axes)
        targets.append(np.einsum("in,nc->ic", axes, labels[train], optimize=False))
    values, size = np.array(values), np.sqrt((np.array(targets) ** 2).sum(axis=-1))
    rooted = np.sqrt(np.where(values > 0.0, values, np.inf))
    stop = {"train_loss": list(own["digits_levels"])}
    run = stops(2.0 * values / n, size / rooted, own["digits_rates"], stop, task.threads, "sharpness")
    left = np.where(run["status"][..., None] == 1, run["stop_residual"] * rooted[:, None] / size[:, None], np.nan)
    found = np.full((3, left.shape[0], left.shape[2], len(orders)), np.nan)
    gains, times = np.zeros((left.shape[2], len(labels))), np.zeros(len(labels))
    for split, order in enumerate(orders):
        train, held = order[:n], order[n:]
        onto = np.einsum("mn,in->mi", kernel[np.ix_(held, train)], vectors[split], optimize=False) / rooted[split] ** 2
        for place in np.ndindex(found.shape[1:3]):
            kept = left[place[0], split, place[1]]
            fitted = targets[split] * (1.0 - kept)[:, None]
            unfitted = (kept * size[split]) ** 2
            right, loss = _scores(onto, fitted, labels[held])
            found[(slice(None), *place, split)] = right.mean(), loss, unfitted[0] / unfitted.sum()
            gains[place[1], held] += right * ((place[0] == left.shape[0] - 1) - 1.0 * (place[0] == 0))
        times[held] += 1.0
    own = gains[:, times > 0.0] / times[times > 0.0]
    shared = [axes[0].sum() ** 2 / n for axes in vectors]
    return *found, own.std(axis=1, ddof=1) / np.sqrt(own.shape[1]), np.array(shared)


def _scores(onto, fitted, labels):
    """Which rows' largest output is their label's, and the mean square loss over rows, all classes together."""
    outputs = np.einsum("mi,ic->mc", onto, fitted, optimize=False)
    if np.isnan(outputs).any():
        return np.full(len(labels), np.nan), np.nan
    right = outputs.argmax(axis=1) == labels.argmax(axis=1)
    return right.astype(float), ((outputs - labels) ** 2).sum(axis=1).mean()


def digits_found(run: Run) -> list[tuple[Finding, evidence.Evidence | None]]:
    """[(finding, evidence or None), ...] of the gain in accuracy from the first rate to the last.

    Judged where the top eigenvector is one that all classes share and the large rate leaves mainly error along it.
    """
    own = run.config.study
    if not int(run["digits_rows"]):
        return [
            (
                Finding(
                    "kernel regression on the digits", "", "", "", NOT_RUN, INSTALL if own["splits"] else NO_SPLITS
                ),
                None,
            )
        ]
    level = int(np.argmin(abs(np.log(run["digits_level"] / DIGITS_LEVEL))))
    at = run["digits_level"][level]
    if abs(np.log(at / DIGITS_LEVEL)) > np.log(1.5):
        return [(undecided(f"no train loss of the digits is near {DIGITS_LEVEL:g}"), None)]
    top, shared = run["digits_top_share"][:, -1, level].mean(axis=-1), run["digits_shared"].mean(axis=-1)
    judged = np.minimum(top, shared) > MAINLY
    gain = run["accuracy"][:, -1] - run["accuracy"][:, 0]
    found = []
    for place, scale in enumerate(run["scale"]):
        what = f"digits, width {scale:g}: accuracy gained at train loss {at:g}"
        mean = gain[place].mean(axis=-1)
        every = ", ".join(f"{100 * one:.2f} at {of:g}" for one, of in zip(mean, run["digits_level"], strict=True))
        loss = run["held_out_loss"][place, :, level].mean(axis=-1)
        note = (
            f"in %, {every}; held-out square loss {loss[0]:.3f} and {loss[-1]:.3f} at {at:g}; {100 * top[place]:.0f} % "
        )
        note += f"of the train loss lies along the top eigenvector, which is constant to {100 * shared[place]:.0f} %"
        found.append((Finding(what, float(mean[level]), "", "", NOT_RUN, "told, not judged: " + note), None))
    if judged.any():
        own_gain, row_error = gain[judged, level].mean(axis=0), run["gain_row_error"][judged, level].mean()
        shown = evidence.of_mean(own_gain, 0.0, own["train_rows"] / int(run["digits_rows"]), float(row_error))
        widths = ", ".join(f"{scale:g}" for scale in run["scale"][judged])
        what = f"digits: accuracy gained at train loss {at:g}, mean over the widths {widths}"
        return [*found, (Finding(what, float(own_gain.mean()), "> 0", str(shown)), shown)]
    what = "digits: share of the train loss along the top eigenvector, large rate, largest of all widths"
    outcome, why = FAILS if top.max() < HARDLY else UNDECIDED, ""
    if not np.isfinite(top).all():
        why = f"train loss {at:g} is not reached in all splits"
    elif outcome == FAILS and own["digits_rates"][-1] > LARGE:
        outcome, why = UNDECIDED, "all other eigenvalues are so small that even a large rate has learnt the top one"
    return [*found, (Finding(what, float(top.max()), f"> {MAINLY:g}", "", outcome, why), None)]
