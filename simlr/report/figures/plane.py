"""Paths of gradient descent in the plane of two parameters, redrawn from a run: pure arithmetic on its arrays.

In curvature axes the path is known in closed form: r_i(t) = prod (1 - eta lam_i) r_i(0); r_i exp(-lam_i tau) in a flow.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...schedules.schedule import Schedule
from ...store.run import Run

# Steps redrawn at most, points along a flow, and halvings of the interval that holds the crossing time.
MOST_STEPS, FLOW_POINTS, HALVINGS = 20000, 200, 80
# The picture's level is at most this share of the train loss at the start, so that there is a way to see.
FAR_BELOW_START = 0.03


class Landscape(NamedTuple):
    """The two quadratics of one seed with d = 2."""

    curvature: np.ndarray  # (2,) lam
    eigenvectors: np.ndarray  # (2, 2) Q, a column each
    start: np.ndarray  # (2,) r at the start
    minimiser: np.ndarray  # (2,) theta_hat
    target: np.ndarray  # (2,) theta_star, NaN where it is not known
    test_matrix: np.ndarray  # (2, 2) M
    train_floor: float
    test_floor: float

    def train_loss(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Train loss at theta (..., 2)."""
        residual = (theta - self.minimiser) @ self.eigenvectors
        return self.train_floor + 0.5 * (self.curvature * residual**2).sum(axis=-1)

    def test_loss(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Test loss at theta (..., 2); NaN where the target is not known."""
        offset = (theta - self.target) @ self.eigenvectors
        return self.test_floor + np.einsum("...i,ij,...j->...", offset, self.test_matrix, offset)

    def theta(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """theta = theta_hat + Q r, for r (..., 2)."""
        return self.minimiser + residual @ self.eigenvectors.T


def landscape(run: Run, seed: int) -> Landscape | None:
    """The two quadratics of one seed.

    Parameters
    ----------
    run
        Finished or not.
    seed
        The place of the seed.

    Returns
    -------
    Landscape or None
        None where the run is not of two parameters, or the seed is not done.
    """
    if run["axis"].size != 2 or "curvature_axes" not in run.names:
        return None
    names = ("curvature", "curvature_axes", "initial_residual", "train_minimiser", "target", "test_matrix")
    land = Landscape(*(run[name][seed] for name in (*names, "train_floor", "test_floor")))
    known = land._replace(target=np.zeros(2))
    return land if all(np.isfinite(part).all() for part in known) else None


def path(run: Run, index: int, seed: int, level: float) -> NDArray[np.float64] | None:
    """The path of a schedule from the start to its stop at a train loss.

    From the recorded iterates where there are any, else in closed form.

    Parameters
    ----------
    run
        Of a grid with d = 2.
    index, seed
        The places of the schedule and of the seed.
    level
        The train loss.

    Returns
    -------
    float64 (T, 2) or None
        theta; None where it is not known.
    """
    recorded: Any = np.flatnonzero(run.recorded_rows == seed) if "trajectory_iterate" in run.names else []
    if len(recorded):
        train = run["trajectory_train_loss"][index, recorded[0]]
        below = np.flatnonzero(train <= level)
        last = below[0] + 1 if below.size else np.isfinite(train).sum()
        return run["trajectory_iterate"][index, recorded[0]][:last]
    if "schedule_optimizer" in run.names and run["schedule_optimizer"][index] != "gd":
        return None
    schedules = {schedule.name: schedule for schedule, _ in run.config.schedules()}
    schedule = schedules.get(str(run["schedule"][index]))
    land = landscape(run, seed)
    if schedule is None or land is None:
        return None
    return redrawn(schedule, land, level, lands="stop_fraction" in run.names)


def redrawn(schedule: Schedule, land: Landscape, level: float, lands: bool = False) -> NDArray[np.float64]:
    """The path of a schedule by the closed form, up to the first point at or below a train loss.

    Parameters
    ----------
    schedule
        Redrawn are at most MOST_STEPS of its steps.
    land
        Of one seed.
    level
        The train loss.
    lands
        Whether the last step ends where the train loss is the level.

    Returns
    -------
    float64 (T, 2)
        theta.
    """
    unit = land.curvature.max() if schedule.unit == "sharpness" else 1.0
    if schedule.plateau:  # whose rates are those of the run
        return np.empty((0, 2))
    rates = schedule.rates(0, min(schedule.length, MOST_STEPS)) / unit
    if np.isnan(rates).any():  # of a plug-in that is not loaded
        return np.empty((0, 2))
    factors = np.vstack([np.ones(2), 1.0 - rates[:, None] * land.curvature])
    with np.errstate(over="ignore", invalid="ignore"):
        residual = land.start * np.cumprod(factors, axis=0)
        theta = land.theta(residual)
        below = np.flatnonzero(land.train_loss(theta) <= level)
    if below.size:
        last = below[0]
        if lands and last > 0:
            theta[last] = land.theta(_landed(land, residual[last - 1], residual[last], level))
        return theta[: last + 1]
    if schedule.flows and schedule.length <= MOST_STEPS:
        return np.vstack([theta, land.theta(_flow(land, residual[-1], level))])
    return theta


def _landed(land, before, after, level):
    """The point between two ends of a step at which the train loss is the level: 1/2 sum lam (after + psi back)^2."""
    back = before - after
    square, product = (land.curvature * back**2).sum(), (land.curvature * after * back).sum()
    rest = max(2.0 * (level - land.train_floor) - (land.curvature * after**2).sum(), 0.0)
    root = np.sqrt(product**2 + square * rest)
    return after + back * (rest / (product + root) if product >= 0.0 < rest else (root - product) / square)


def _flow(land, residual, level):
    """r (FLOW_POINTS, 2) along the flow from r until the level, or until little is left to move."""
    fastest = land.curvature.max()
    if fastest == 0.0:
        return residual[None]

    def train(tau):
        return land.train_loss(land.theta(residual * np.exp(-land.curvature * tau)))

    low, high = 0.0, 1.0 / fastest
    while train(high) > level and high < 1e6 / fastest:
        high *= 2.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if train(middle) > level else (low, middle)
    taus = high * np.linspace(0.0, 1.0, FLOW_POINTS) ** 2
    return residual * np.exp(-land.curvature * taus[:, None])


def typical_seed(ratio: NDArray[np.float64]) -> int | None:
    """The seed that is typical of those with an effect: at the quartile of the ratio that is farther from 1.

    Parameters
    ----------
    ratio : float64 (N,)
        Of the two schedules in every seed, NaN where it is not known.

    Returns
    -------
    int or None
        Its place; None where no ratio is known.
    """
    logs = np.log(np.where(ratio > 0.0, ratio, np.nan))
    known = logs[np.isfinite(logs)]
    if not known.size:
        return None
    wanted = np.quantile(known, 0.75 if np.median(known) >= 0.0 else 0.25)
    return int(np.nanargmin(np.where(np.isfinite(logs), abs(logs - wanted), np.nan)))


def level_far_below(levels: NDArray[np.float64], reached: NDArray, start_loss: float) -> int | None:
    """The highest level far below the start that both schedules reached, else the lowest that they did.

    Parameters
    ----------
    levels : (E,)
        Train losses.
    reached : bool (E,)
        Where both did.
    start_loss
        The train loss at the start.

    Returns
    -------
    int or None
        Its place; None where there is none.
    """
    known = np.flatnonzero(reached)
    if not known.size:
        return None
    low = [e for e in known if levels[e] <= FAR_BELOW_START * start_loss]
    return int(max(low, key=lambda e: levels[e]) if low else min(known, key=lambda e: levels[e]))
