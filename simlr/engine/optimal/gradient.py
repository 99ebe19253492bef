"""`simlr.loss_gradient`: the expected loss at the end of a schedule, and its derivative by every rate."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from ...inputs.rules import array
from ..expectation import coefficients, one_optimizer, read_noise
from ..sweeps import run_sweep

NOISES = "none", "gradient", "fresh"
LARGEST_MEMORY = 1 << 31  # bytes of states that the reverse pass keeps, a thread


class Gradient(NamedTuple):
    """Of N problems and a schedule of P pieces, single steps where no lengths are given."""

    loss: NDArray[np.float64]  # (N,) after the last step; the train loss is that above its floor
    learning_rate: NDArray[np.float64]  # (N, P) its derivative by the rate of each piece
    batch_size: NDArray[np.float64]  # (N, P) by the batch size; 0 but for fresh rows


class Objective(NamedTuple):
    """The checked problems, their noise and optimiser, and the loss that is looked at."""

    curvature: NDArray[np.float64]  # (N, d)
    residual: NDArray[np.float64]  # (N, d)
    weight: NDArray[np.float64]  # (N, d) of E r_i^2 in the loss
    slope: NDArray[np.float64]  # (N, d) of E r_i
    constant: NDArray[np.float64]  # (N,)
    kind: int  # of noise, in the kernels
    sigma: float
    batch: float | NDArray[np.float64]
    method: tuple[float, float, float]  # b, c1, c2

    @property
    def leaps(self) -> bool:
        """Whether a piece is taken at once: gradient descent, and noise that ties no axes together."""
        from ...kernels.stochastic import expectation as kernels

        return self.method == (0.0, 1.0, 0.0) and self.kind != kernels.FRESH

    def evaluate(self, eta: ArrayLike, lengths: ArrayLike, *, slopes: bool = True) -> Gradient:
        """Losses, and derivatives where wanted, of pieces at rates eta (P,) over lengths (P,) of steps."""
        from ...kernels.stochastic import adjoint

        rates = np.ascontiguousarray(eta, np.float64)
        first = np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])
        batch = np.ascontiguousarray(np.broadcast_to(np.asarray(self.batch, np.float64), rates.shape)).copy()
        pieces = adjoint.Pieces(rates, batch, first, *self.method, self.kind, self.sigma)
        count = np.ones_like(self.curvature)
        modes = adjoint.Modes(self.curvature, self.residual, count, self.weight, self.slope)
        problems, size = self.curvature.shape
        shape: tuple[int, ...] = (problems,)
        if self.leaps:
            shape = problems, -(-size // adjoint.MODES_A_TASK)
        elif slopes:
            self._check_memory(int(first[-1]))
        found = adjoint.Slopes(np.zeros(shape), np.zeros((*shape, rates.size)), np.zeros((problems, rates.size)))
        with np.errstate(all="ignore"):
            run_sweep(adjoint.pieces_sweep if self.leaps else adjoint.steps_sweep, modes, pieces, found, int(slopes))
            loss, by_eta = (found.loss.sum(axis=1), found.eta.sum(axis=1)) if self.leaps else found[:2]
            return Gradient(loss + self.constant, by_eta, found.batch)

    def _check_memory(self, steps):
        """Refuse what the checkpoints have no room for."""
        rows = 2 if self.method == (0.0, 1.0, 0.0) else 5
        wanted = 16 * int(np.ceil(np.sqrt(steps))) * rows * self.curvature.shape[1]
        if wanted > LARGEST_MEMORY:
            raise InputError(
                f"{steps:,} steps with {self.curvature.shape[1]:,} axes keep {wanted:,} bytes of checkpoints, more "
                f"than {LARGEST_MEMORY:,}: take fewer axes, such as bins of neighbouring ones"
            )


def read_objective(
    curvature: ArrayLike, residual: ArrayLike, noise: dict[str, Any], optimizer: dict[str, Any] | None = None,
    test_matrix: ArrayLike | None = None, offset: ArrayLike | None = None,
) -> Objective:  # fmt: skip
    """The checked `Objective` of arguments as `simlr.expected_losses` has them; M a diagonal (d,) or (N, d).

    Without test_matrix and offset the loss is the train loss.
    """
    lam, start = array("curvature", curvature, (2,), least=0.0), array("residual", residual, (2,))
    if start.shape != lam.shape:
        raise InputError(f"residual must have shape {lam.shape}, got {start.shape}")
    shift = np.zeros_like(lam) if offset is None else array("offset", offset, (2,))
    if shift.shape != lam.shape:
        raise InputError(f"offset must have shape {lam.shape}, got {shift.shape}")
    weight = 0.5 * lam if offset is None else np.full_like(lam, 0.5)
    if test_matrix is not None:
        given = array("test_matrix", test_matrix, (1, 2), least=0.0)
        if given.shape not in (lam.shape, lam.shape[1:]):
            raise InputError(
                f"test_matrix must be a diagonal of shape {lam.shape[1:]} or {lam.shape}, got {given.shape}"
            )
        weight = np.broadcast_to(given, lam.shape).copy()
    method = {"kind": "gd"} if optimizer is None else one_optimizer(optimizer)
    if method.get("average", "none") != "none":
        raise InputError(f"optimizer.average {method['average']!r}: the loss is that of the last iterate here")
    kind, sigma, batch = _kind_of(read_noise(noise, NOISES))
    constant = (weight * shift * shift).sum(axis=1)
    return Objective(lam, start, weight, 2.0 * weight * shift, constant, kind, sigma, batch, coefficients(method))


def _kind_of(given):
    """The noise's number in the kernels, its size, and its batch size."""
    from ...kernels.stochastic import expectation as kernels

    if given["kind"] == "none":
        return kernels.NO_NOISE, 0.0, 1.0
    if given["kind"] == "gradient":
        return kernels.HESSIAN if given["covariance"] == "hessian" else kernels.ISOTROPIC, given["sigma"], 1.0
    return kernels.FRESH, given["sigma"], array("batch_size", given["batch_size"], (0, 1), least=1.0)


def piece_lengths(lengths: ArrayLike) -> NDArray[np.int64]:
    """(P,) whole numbers of steps, each 1 or more."""
    found = np.atleast_1d(np.asarray(lengths))
    if found.ndim != 1 or found.size == 0 or not np.issubdtype(found.dtype, np.integer) or found.min() < 1:
        raise InputError("lengths of pieces must be whole numbers >= 1, at least one")
    return found.astype(np.int64)


def loss_gradient(
    curvature: ArrayLike, residual: ArrayLike, learning_rate: ArrayLike, noise: dict[str, Any],
    optimizer: dict[str, Any] | None = None, *,
    test_matrix: ArrayLike | None = None, offset: ArrayLike | None = None, lengths: ArrayLike | None = None,
) -> Gradient:  # fmt: skip
    """The mean loss over the noise at the end of a schedule, and its derivative by every rate and batch size.

    A reverse pass through the recursions of `simlr.expected_losses`: one gradient costs about four losses, whatever the
    number of steps.

    Parameters
    ----------
    curvature, residual : (N, d)
        As `simlr.expected_losses` has them.
    learning_rate : (P,)
        eta of each step; of each piece where lengths are given.
    noise, optimizer
        As there, without "minibatch" and without averages; batch_size a number or (P,).
    test_matrix : (d,) or (N, d)
        The diagonal of M >= 0. Without it and without offset the loss is the train loss above its floor; with an
        offset alone M = I/2.
    offset : (N, d)
        The test loss is E (r + offset)^T M (r + offset).
    lengths : (P,)
        Steps of each piece; default 1 each.

    Returns
    -------
    Gradient
        Loss (N,), its derivatives by the rates (N, P) and by the batch sizes (N, P).

    Raises
    ------
    InputError (a ValueError) for wrong shapes and values, and where checkpoints would take more than 2 GiB.

    Notes
    -----
    Gradient descent with noise of fixed size takes each piece at once, by powers, in work d P. All else goes step by
    step, with about 2 sqrt(T) states of 2 d (gradient descent) or 5 d numbers kept for T steps. The recursions stand
    in `kernels/stochastic/adjoint.py`.
    """
    objective = read_objective(curvature, residual, noise, optimizer, test_matrix, offset)
    eta = array("learning_rate", learning_rate, (1,), least=0.0)
    pieces = np.ones(eta.shape, np.int64) if lengths is None else piece_lengths(lengths)
    if pieces.shape != eta.shape:
        raise InputError(f"lengths must have shape {eta.shape}, got {pieces.shape}")
    if np.ndim(objective.batch) == 1 and np.shape(objective.batch) != eta.shape:
        raise InputError(f"batch_size must be a number or have shape {eta.shape}, got {np.shape(objective.batch)}")
    return objective.evaluate(eta, pieces)
