"""`simlr.descend`: gradient descent on many quadratics with many schedules, arrays in, arrays out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..inputs.rules import array
from ..plan.rate_tables import CHUNK


class Descent(NamedTuple):
    """Where each cell stood when its train loss first was at or below each level, else at the end.

    S schedules, N seeds, E levels, d axes; status 1 reached, 2 out of steps, 3 diverged, 4 level at or below the floor.
    """

    stop_step: NDArray[np.int64]  # (S, N, E)
    status: NDArray[np.uint8]  # (S, N, E)
    train_loss: NDArray[np.float64]  # (S, N, E)
    test_loss: NDArray[np.float64]  # (S, N, E)
    residual: NDArray[np.float64]  # (S, N, E, d)


def descend(
    curvature: ArrayLike, residual: ArrayLike, learning_rate: ArrayLike, levels: ArrayLike,
    test_matrix: ArrayLike | None = None,
) -> Descent:  # fmt: skip
    """Run r_i <- (1 - eta_t lam_i) r_i until train loss = 1/2 sum_i lam_i r_i^2 is at or below each level.

    Parameters
    ----------
    curvature : (N, d), lam >= 0, the eigenvalues of each seed's Hessian.
    residual : (N, d), r at the start, in the Hessian's axes.
    learning_rate : (S, T), eta_t >= 0 of each schedule, in units of 1/curvature.
    levels : (E,), train losses >= 0 (a single number is one level).
    test_matrix : (d, d) or (N, d, d); the test loss is r^T M r. Default M = I/2.

    Returns
    -------
    A `Descent`. The check is made at every step, step 0 (the start) included. A cell has diverged at the first step
    where not (train loss <= 1e100).

    Raises
    ------
    InputError (a ValueError) for wrong shapes, negative curvature, rates or levels, and values that are not finite.
    """
    lam = array("curvature", curvature, (2,), least=0.0)
    start = array("residual", residual, (2,))
    eta = array("learning_rate", learning_rate, (2,), least=0.0)
    losses = array("levels", np.atleast_1d(levels), (1,), least=0.0)
    if start.shape != lam.shape:
        raise InputError(f"residual must have the shape of curvature, {lam.shape}, got {start.shape}")
    seeds, dimension = lam.shape
    if test_matrix is None:
        matrix = 0.5 * np.eye(dimension)
    else:
        matrix = array("test_matrix", test_matrix, (2, 3))
        if matrix.shape not in ((dimension, dimension), (seeds, dimension, dimension)):
            shapes = f"{(dimension, dimension)} or {(seeds, dimension, dimension)}"
            raise InputError(f"test_matrix must have shape {shapes}, got {matrix.shape}")
    return _descend(lam, start, eta, losses, matrix.reshape(-1, dimension, dimension))


def _descend(curvature, residual, eta, levels, matrix):
    """The same for checked arrays, M as (1, d, d) or (N, d, d)."""
    from ..kernels.descent.ending import finish_sweep, mark_out_of_reach
    from ..kernels.losses import losses_sweep
    from .deterministic import step_through
    from .sweeps import run_sweep
    from .thresholds import highest_first

    order, (schedules, steps) = highest_first(levels), eta.shape
    cells, rates, course, flows, landscape = _arrays(curvature, residual, eta, levels[order], matrix)
    chunks = ((first, np.ascontiguousarray(eta[:, first : first + CHUNK])) for first in range(0, steps, CHUNK))
    # Times are not asked for.
    spans = ((first, part, np.zeros((schedules, part.shape[1] + 1))) for first, part in chunks)
    step_through(spans, cells, rates, course, run_sweep)
    if (course.decided < levels.size).any():
        run_sweep(finish_sweep, curvature, cells, rates, course, flows, np.zeros(schedules))
    mark_out_of_reach(cells, course)
    train, test = np.empty(course.status.shape), np.empty(course.status.shape)
    everyone, everything = np.arange(len(curvature)), np.arange(schedules)
    run_sweep(losses_sweep, landscape, everyone, course.stop_x, True, everything, train, test)
    descent = Descent(course.stop_step, course.status, train, test, course.stop_x)
    if (order == np.arange(order.size)).all():
        return descent
    back = np.argsort(order)  # to the caller's order of the levels
    return Descent(*(np.ascontiguousarray(values[:, :, back]) for values in descent))


def _arrays(curvature, residual, eta, levels, matrix):
    """What the kernels take: nothing is recorded, nothing flows, floors and minimisers are 0; levels highest first."""
    from ..kernels import arrays
    from .thresholds import energies

    (seeds, dimension), (schedules, steps) = curvature.shape, eta.shape
    cells = arrays.Cells(
        np.broadcast_to(curvature, (2, seeds, dimension)).copy(),
        np.broadcast_to(energies(levels), (seeds, levels.size)).copy(),
        np.full(seeds, -1, np.int64),
    )
    length, none = np.full(schedules, steps, np.int64), np.zeros(schedules, np.int64)
    nothing = np.zeros((schedules, 0))
    rates = arrays.Rates(nothing, nothing, none, length, np.zeros((schedules, 0), np.int64), none, eta.max(axis=1))
    x = np.broadcast_to(np.sqrt(curvature) * residual, (schedules, seeds, dimension)).copy()
    course = arrays.empty_course(x, levels.size, 0, 0)
    zeros, origin = np.zeros(seeds), np.zeros_like(residual)
    landscape = arrays.Landscape(curvature, residual, origin, matrix, zeros, zeros, origin)
    return cells, rates, course, arrays.Flows(none, nothing), landscape
