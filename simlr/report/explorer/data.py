"""What the explorer knows of a run: the two quadratics of some of its samples, and the setting it opens with."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...analysis.summary import problem_groups
from ...errors import InputError
from ...store.run import Run
from ...text import many, printable, value_text
from .recurrence import excess

# Samples in the page at most, of all combinations of problem parameters together; combinations at most.
MOST_SAMPLES, MOST_GROUPS = 200, 40
# The page opens with the run's level that is nearest to this share of the train loss at the start.
NEAR_START = 0.01
# Steps at most that the control for them takes.
MOST_STEPS = 10_000
# Moments of a flow that a test loss without a known minimum is fitted to, at least; and how closely, relative to it.
FEWEST_MOMENTS, CLOSE = 8, 1e-10


class Sample(NamedTuple):
    """The train and test loss of one seed, in the axes of its curvature, r = Q^T (theta - theta_hat).

    Train loss = train_floor + 1/2 sum_i lam_i r_i^2; test loss = test_floor + y^T (slope + M y), y = r + offset.
    """

    seed: int
    curvature: list[float]  # lam
    axes: list[list[float]]  # Q, a column each
    start: list[float]  # r at the start
    minimiser: list[float]  # theta_hat
    offset: list[float]
    matrix: list[list[float]]  # M
    slope: list[float]
    train_floor: float
    test_floor: float


class Setting(NamedTuple):
    """What the controls say."""

    rate: float
    steps: int
    level: float  # excess train loss
    group: int
    sample: int


class Material(NamedTuple):
    """All that the page holds of a run."""

    groups: list[tuple[str, list[Sample]]]  # (problem parameters that are axes, samples)
    own: Setting
    is_own: bool  # whether the rate and its steps are those of one of the run's schedules
    covers: str


def material(run: Run) -> Material:
    """What the explorer shows of a run.

    Raises
    ------
    InputError
        Where the run is a study, is not finished, has not two parameters, or has no sample whose losses are known.
    """
    _check(run)
    combinations = problem_groups(run)[:MOST_GROUPS]
    each = max(MOST_SAMPLES // len(combinations), 1)
    known = _Known(run)
    groups = []
    for parameters, places in combinations:
        samples = [sample for place in places[:each] if (sample := known.sample(place))]
        if samples:
            name = ", ".join(f"{printable(key)} = {value_text(value)}" for key, value in parameters)
            groups.append((name, samples))
    if not groups:
        raise InputError(
            "no sample has a test loss that the run file tells; record.points = 100 and a flow let it do so"
        )
    own, is_own = _own_setting(run, groups[0][1])
    count = sum(len(samples) for _, samples in groups)
    covers = f"{many(count, 'sample')} of {run['seed'].size:,}" if count < run["seed"].size else many(count, "sample")
    return Material(groups, own, is_own, covers)


def _check(run):
    """That a run can be explored."""
    if run.is_study:
        raise InputError("is a study, which has no plane of two parameters to explore")
    if run.config.by_rows:
        raise InputError("has another loss than the plain squared one; the explorer draws quadratics")
    if run["axis"].size != 2 or "test_matrix" not in run.names:
        raise InputError(f"has d = {run['axis'].size} parameters; the explorer draws runs of d = 2")
    if not run.complete:
        done, blocks = int((run["block_done"] == 1).sum()), run["block_done"].size
        raise InputError(f"is not finished: {done} of {many(blocks, 'block')} done; --explore wants a finished run")


class _Known:
    """A run's datasets of its problems, read once."""

    def __init__(self, run):
        names = ("seed", "curvature", "curvature_axes", "initial_residual", "train_minimiser", "target", "test_matrix")
        self._arrays = {name: run[name] for name in (*names, "train_floor", "test_floor")}
        self._run = run
        names, flows = run["schedule"].tolist(), [s.name for s, _ in run.config.schedules() if s.flows and not s.length]
        self._flow = next((names.index(name) for name in flows if name in names), None)

    def sample(self, place: int) -> Sample | None:
        """The sample of one seed; None where one of its losses is not known."""
        own = {name: values[place] for name, values in self._arrays.items()}
        if not all(np.isfinite(own[name]).all() for name in own if name not in ("target", "test_floor")):
            return None
        test = self._known_minimum(own) if np.isfinite(own["target"]).all() else self._fitted(own, place)
        if test is None or not own["curvature"].max() > 0.0:
            return None
        offset, slope, test_floor = test
        return Sample(
            int(own["seed"]), own["curvature"].tolist(), own["curvature_axes"].tolist(),
            own["initial_residual"].tolist(), own["train_minimiser"].tolist(), offset.tolist(),
            own["test_matrix"].tolist(), slope.tolist(), float(own["train_floor"]), float(test_floor),
        )  # fmt: skip

    @staticmethod
    def _known_minimum(own):
        """Offset, slope and floor of a test loss whose minimum is the target."""
        return own["curvature_axes"].T @ (own["train_minimiser"] - own["target"]), np.zeros(2), own["test_floor"]

    def _fitted(self, own, place):
        """The same where the minimum is not known: from the test losses that a recorded flow had on its way.

        With M known they are linear in slope and floor; r there is known in closed form. None where they are not
        recorded, or say too little.
        """
        recorded: Any = np.flatnonzero(self._run.recorded_rows == place) if "recorded_seed" in self._run.names else []
        if self._flow is None or not len(recorded) or "trajectory_test_loss" not in self._run.names:
            return None
        losses = self._run.part("trajectory_test_loss", self._flow, int(recorded[0])).astype(np.float64)
        times = self._run["recorded_time"][self._flow]
        if self._run["schedule_unit"][self._flow] == "sharpness":
            times = times / own["curvature"].max()
        r = own["initial_residual"] * np.exp(-np.outer(times, own["curvature"]))
        return fitted(r[known], losses[known], own["test_matrix"]) if (known := np.isfinite(losses)).any() else None


def fitted(
    residuals: NDArray[np.float64], losses: NDArray[np.float64], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """Offset 0, slope b (2,) and floor c of a test loss c + r^T (b + M r) through points.

    Parameters
    ----------
    residuals : (K, 2)
        r of the points.
    losses : (K,)
        The test losses there.
    matrix : (2, 2)
        M.

    Returns
    -------
    tuple or None
        None where the points are too few, or lie so that they do not fix it.
    """
    columns = np.column_stack([residuals, np.ones(len(residuals))])
    rest = losses - np.einsum("ki,ij,kj->k", residuals, matrix, residuals)
    if len(losses) < FEWEST_MOMENTS:
        return None
    found, _, rank, _ = np.linalg.lstsq(columns, rest, rcond=1e-9)
    if rank < 3 or not (abs(columns @ found - rest) <= CLOSE * abs(losses)).all():
        return None
    return np.zeros(2), found[:2], float(found[2])


def _own_setting(run, samples):
    """The setting of the run's first schedule that is one rate and then a flow, else the edge of stability."""
    place = next((i for i, sample in enumerate(samples) if min(sample.curvature) > 0.0), 0)
    sample = samples[place]
    sharpness = max(sample.curvature)
    rate, steps, is_own = 2.0 / sharpness, 1, False
    for schedule, _ in run.config.schedules():
        pieces = schedule.pieces()
        if schedule.flows and len(pieces) == 1 and pieces[0][2] is not None and pieces[0][1] <= MOST_STEPS:
            _, steps, rate = pieces[0]
            rate, is_own = rate / sharpness if schedule.unit == "sharpness" else rate, True
            break
    return Setting(rate, steps, _own_level(run, sample), 0, place), is_own


def _own_level(run, sample):
    """The run's level, as excess train loss of a sample, that is nearest to a share of the loss at the start."""
    start = excess(sample.curvature, sample.start)
    kind, levels = run.config.level_kind, np.array(run.config.levels, dtype=np.float64)
    if kind == "train_loss_fraction":
        levels = levels * (sample.train_floor + start)
    if kind in ("train_loss", "train_loss_fraction"):
        levels = levels - sample.train_floor
    elif kind != "excess_train_loss":
        levels = np.empty(0)
    wanted = NEAR_START * start if start > 0.0 else 1.0
    return min((float(level) for level in levels if level > 0.0), default=wanted,
               key=lambda level: abs(math.log(level / wanted)))  # fmt: skip
