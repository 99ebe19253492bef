"""What `beugnot2022` measures with: constant rates to their stops, and kernel regression on the digits.

Kernel regression on n rows, in the kernel matrix's eigenvectors V, K = V diag(w) V^T: with labels Y (n, classes) and
train loss (1/n) |Y - f|^2, all classes together, gradient descent in the kernel's space from f = 0 multiplies component
i of the residual V^T (Y - f) by 1 - eta 2 w_i/n at every step. So it is a quadratic with curvature 2 w_i/n.
"""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config.study import Task
from ..store.run import Run

MOST_STEPS = 10**9
SCORES = "accuracy", "held_out_loss", "digits_top_share"


def stops(
    curvature: NDArray[np.float64],
    residual: NDArray[np.float64],
    rates: Sequence[float],
    stop: dict[str, Any],
    threads: int | None,
    unit: str = "absolute",
) -> Run:
    """Run constant rates on quadratics, with the residuals at the stops.

    Parameters
    ----------
    curvature, residual : (N, d)
        Of the quadratics, and of the start along its axes.
    rates : (S,)
        In `unit`: "absolute", or "sharpness" for multiples of 1/sharpness.
    stop
        The level, as the grid's [stop] has it: {"train_loss": [...]}.
    """
    from ..config.grid import GridConfig
    from ..grid.job import run

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "quadratics.npz", curvature=curvature, residual=residual)
        tables = {
            "engine": "closed-form",
            "problem": {"kind": "quadratic", "file": "quadratics.npz"},
            "seeds": {"count": len(curvature)},
            "stop": {**stop, "max_steps": MOST_STEPS},
            "record": {"points": 0, "stop_residual": True},
            "schedule": [
                {"name": str(k), "kind": "constant", "unit": unit, "learning_rate": float(rate)}
                for k, rate in enumerate(rates)
            ],
        }
        return run(GridConfig.from_tables(tables, folder), threads=threads)


def load_digits() -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Pixels (rows, 64) as whole numbers from 0 to 16, and digits (rows,), of scikit-learn; None without it.

    The file inside the package is read as it is: importing scikit-learn takes seconds, and SciPy with it.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        return None
    file = Path(package.submodule_search_locations[0]) / "datasets/data/digits.csv.gz"
    if not file.is_file():
        return None
    table = np.loadtxt(file, delimiter=",").astype(np.int64)
    return table[:, :-1], table[:, -1]


def digits_study(task: Task) -> dict[str, Any]:
    """Accuracy and square loss on the rows held out, and the share of the train loss along the top eigenvector.

    (scale, rate, digits_level, split) each; NaN where nothing is run.
    """
    from ..kernels.draws import SPLIT, fill_order

    own = task.parameters
    data = load_digits() if own["splits"] else None
    shape = (*(len(own[key]) for key in ("scales", "digits_rates", "digits_levels")), own["splits"])
    found = {name: np.full(shape, np.nan) for name in SCORES}
    if data is None:
        return found | {"digits_rows": 0}
    pixels, digits = data
    squares = (pixels**2).sum(axis=1)
    distance = (squares[:, None] + squares - 2 * pixels @ pixels.T).astype(float)  # exact: whole numbers
    unit = np.median(distance[np.triu_indices(len(digits), 1)])
    orders = np.empty((own["splits"], len(digits)), np.int64)
    for split, order in enumerate(orders):
        fill_order(order, task.root, split, SPLIT, 0)
    for place, scale in enumerate(own["scales"]):
        kernel = np.exp(-distance / (2.0 * scale**2 * unit))
        for name, values in zip(SCORES, _regression(task, kernel, np.eye(10)[digits], orders), strict=True):
            found[name][place] = values
        task.progress(3 + place, 3 + len(own["scales"]))
    return found | {"digits_rows": len(digits)}


def _regression(task, kernel, labels, orders):
    """The SCORES (rate, level, split) of one kernel.

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
    for split, order in enumerate(orders):
        train, held = order[:n], order[n:]
        onto = np.einsum("mn,in->mi", kernel[np.ix_(held, train)], vectors[split], optimize=False) / rooted[split] ** 2
        for place in np.ndindex(found.shape[1:3]):
            kept = left[place[0], split, place[1]]
            fitted = targets[split] * (1.0 - kept)[:, None]
            unfitted = (kept * size[split]) ** 2
            scores = *_scores(onto, fitted, labels[held]), unfitted[0] / unfitted.sum()
            found[(slice(None), *place, split)] = scores
    return found


def _scores(onto, fitted, labels):
    """Share of rows whose largest output is their label's, and the mean square loss over rows, all classes together."""
    outputs = np.einsum("mi,ic->mc", onto, fitted, optimize=False)
    if np.isnan(outputs).any():
        return np.nan, np.nan
    right = outputs.argmax(axis=1) == labels.argmax(axis=1)
    return right.mean(), ((outputs - labels) ** 2).sum(axis=1).mean()
