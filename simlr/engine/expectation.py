"""`simlr.expected_losses`: exact means over the noise of stochastic gradient descent on quadratics, no seed drawn."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config.methods import NOISES, check_kind, check_optimizers
from ..config.optimizers import first_by_rows, goes_by_rows
from ..errors import InputError
from ..inputs.parameters import REQUIRED, Parameter, read_parameters
from ..inputs.rules import array, not_negative
from ..plan.engines import MOST_PAIRED_AXES

AVERAGES = "none", "tail", "exponential"  # at their numbers in the kernels


def _anything(_key, value):
    return value


_BATCH = Parameter("batch_size", _anything, REQUIRED, "rows a step: a number, (T,) or (S, T)")
SOURCES = {
    "none": (),
    "gradient": NOISES["gradient"].parameters,
    "fresh": (_BATCH, Parameter("sigma", not_negative, 0.0, "standard deviation of the labels")),
    "minibatch": (_BATCH, Parameter("rows", _anything, REQUIRED), Parameter("misfits", _anything, REQUIRED)),
}


class Source(NamedTuple):
    """A checked noise."""

    kind: int
    sigma: float
    batch: ArrayLike
    rows: NDArray[np.float64]  # (N, n, d), n = 0 but for mini-batches
    misfits: NDArray[np.float64]  # (N, n)


class Expectation(NamedTuple):
    """Mean losses over the noise after each of K numbers of steps; inf where the excess train loss is beyond 1e100.

    S schedules, N problems. The train loss is that above its floor.
    """

    step: NDArray[np.int64]  # (K,)
    train_loss: NDArray[np.float64]  # (S, N, K)
    test_loss: NDArray[np.float64]  # (S, N, K)
    train_loss_variance: NDArray[np.float64]  # (S, N, K), NaN where the iterate is not normal
    average_train_loss: NDArray[np.float64]  # (S, N, K) at the averaged iterate, NaN without an average
    average_test_loss: NDArray[np.float64]  # (S, N, K)


def expected_losses(
    curvature: ArrayLike, residual: ArrayLike, learning_rate: ArrayLike, noise: dict[str, Any],
    optimizer: dict[str, Any] | None = None, *,
    test_matrix: ArrayLike | None = None, offset: ArrayLike | None = None, steps: ArrayLike | None = None,
) -> Expectation:  # fmt: skip
    """The mean train and test loss over the noise, by the recursions of the first two moments: exact but for rounding.

    The loss is a mean square, without a factor 1/2: train loss = 1/2 sum_i lam_i r_i^2 above its floor, lam the
    eigenvalues of its Hessian, r the distance from the minimiser along the Hessian's axes. For Gaussian inputs of
    covariance Sigma, lam are those of 2 Sigma, and the loss is the population's above the labels' variance.

    Parameters
    ----------
    curvature, residual : (N, d)
        lam >= 0, and r at the start.
    learning_rate : (S, T)
        eta_t >= 0 of each schedule, in units of 1/curvature.
    noise
        Of each step's gradient, as a grid's [[noise]] has it. {"kind": "none"}. {"kind": "gradient", "sigma": s}:
        N(0, s^2 I), or N(0, s^2 H) with "covariance": "hessian"; fresh label noise of standard deviation l on n train
        rows is "hessian" with s = l sqrt(2/n). {"kind": "fresh", "batch_size": B, "sigma": l}: the mean gradient of B
        new rows, Gaussian inputs and labels of standard deviation l around the minimiser: one-pass SGD. {"kind":
        "minibatch", "batch_size": B, "rows": z, "misfits": rho}: that of B of the n train rows, drawn with replacement,
        z (n, d) or (N, n, d) being Q^T x of each, so that (2/n) z^T z = diag(lam), and rho (n,) or (N, n)
        y - <x, theta_hat>, at right angles to them. B >= 1 may be (T,) or (S, T): it may change from step to step.
    optimizer
        As a grid's [[optimizer]] has it: {"kind": "momentum", "momentum": 0.9, "average": "tail"}; default {"kind":
        "gd"}. They are those of torch.optim.SGD, and losses are at the parameters.
    test_matrix : (d,), (N, d), (d, d) or (N, d, d)
        M, or its diagonal; the test loss is E (r + offset)^T M (r + offset). Default M = I/2.
    offset : (N, d)
        Default 0.
    steps : (K,)
        After how many steps the losses are wanted, ascending; default after all T.

    Raises
    ------
    InputError (a ValueError) for wrong shapes and values, and for more than 2,000 axes where all pairs are carried:
    with mini-batches, and with a test_matrix that is not a diagonal.

    Notes
    -----
    The recursions stand in `kernels/stochastic/expectation.py`. For "fresh", E x_i x_j <x, u>^2 of a Gaussian gives the
    noise its part 2 lam_i (e + sigma^2) that couples the axes, e the mean excess loss: Wang, Huang, Li, Wu 2026;
    Paquette et al. 2024, arXiv:2405.15074, where R = loss/2 and their eta is twice ours. A step takes work d, d^2 with
    pairs, n d^2 with rows.
    """
    from ..kernels.stochastic import expectation as kernels
    from .sweeps import run_sweep

    lam, start = array("curvature", curvature, (2,), least=0.0), array("residual", residual, (2,))
    eta = array("learning_rate", learning_rate, (2,), least=0.0)
    shift = np.zeros_like(start) if offset is None else array("offset", offset, (2,))
    check_shape("residual", start, lam.shape)
    check_shape("offset", shift, lam.shape)
    source, at = _source(noise, lam), _moments(steps, eta.shape[1])
    method = {"kind": "gd"} if optimizer is None else one_optimizer(optimizer)
    average = method.get("average", "none")
    test = _test_matrix(test_matrix, *lam.shape)
    pairs = source.kind == kernels.ROWS or test.ndim == 3
    if pairs and lam.shape[1] > MOST_PAIRED_AXES:
        raise InputError(
            f"all pairs of {lam.shape[1]:,} axes are more than memory holds: mini-batches and a test_matrix that is no "
            f"diagonal go up to {MOST_PAIRED_AXES:,} axes"
        )
    if pairs and test.ndim == 2:
        test = np.stack([np.diag(one) for one in test])
    averaged = np.nan if average == "none" else np.inf
    filled = np.inf, np.inf, np.nan, averaged, averaged
    found = kernels.Losses(*(np.full((len(eta), len(lam), at.size), value) for value in filled))
    weights = AVERAGES.index(average), method.get("average_start", 0), method.get("average_decay", 0.0)
    run_sweep(
        kernels.pairs_sweep if pairs else kernels.modes_sweep,
        kernels.Quadratics(lam, start, shift, test),
        kernels.Steps(eta, _batches(source.batch, eta.shape), *coefficients(method), *weights, at),
        kernels.Noise(source.kind, source.sigma, source.rows, source.misfits),
        found,
    )
    return Expectation(at, *found)


# ---- checking ----


def one_optimizer(optimizer: dict[str, Any]) -> dict[str, Any]:
    """The checked table of one optimiser that draws nothing itself."""
    (checked,) = check_optimizers([optimizer])
    if goes_by_rows([checked]):
        raise InputError(
            f"{first_by_rows([checked])}: goes through the rows of a loss, and here are quadratics in their Hessian's "
            "axes; use simlr.run with a problem that has rows, such as 'dataset'"
        )
    if checked["kind"] == "sgd":
        raise InputError("optimizer 'sgd': draws mini-batches itself; use 'gd' with noise 'minibatch' or 'fresh'")
    for name, value in checked.items():
        if isinstance(value, list):
            raise InputError(f"optimizer.{name} must be one value here, got a list of {len(value)}")
    return checked


def coefficients(method: dict[str, Any]) -> tuple[float, float, float]:
    """beta, c1, c2 of an optimiser: v' = beta v + g, and the step goes along c1 g + c2 v."""
    beta = method.get("momentum", 0.0)
    return (beta, 1.0 + beta, beta * beta) if method["kind"] == "nesterov" else (beta, 1.0, beta)


def read_noise(noise: dict[str, Any], kinds: tuple[str, ...] = tuple(SOURCES)) -> dict[str, Any]:
    """The noise's parameters, checked but for arrays."""
    if not isinstance(noise, dict) or "kind" not in noise:
        raise InputError(f"noise must be a table with a kind, one of {', '.join(map(repr, kinds))}")
    kind = check_kind("noise", 0, noise, kinds, None)
    return {"kind": kind, **read_parameters(f"noise {kind!r}", noise, SOURCES[kind], others=("kind",))}


def _source(noise, lam):
    """The noise as a `Source`, for problems of curvatures lam (N, d)."""
    from ..kernels.stochastic import expectation as kernels

    given = read_noise(noise)
    none = np.zeros((len(lam), 0, lam.shape[1])), np.zeros((len(lam), 0))
    match given["kind"]:
        case "none":
            return Source(kernels.NO_NOISE, 0.0, 1.0, *none)
        case "gradient":
            return Source(
                kernels.HESSIAN if given["covariance"] == "hessian" else kernels.ISOTROPIC, given["sigma"], 1.0, *none
            )
        case "fresh":
            return Source(kernels.FRESH, given["sigma"], given["batch_size"], *none)
    return Source(kernels.ROWS, 0.0, given["batch_size"], *_rows(given["rows"], given["misfits"], lam))


def check_shape(name: str, values: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    """InputError where an array has another shape."""
    if values.shape != shape:
        raise InputError(f"{name} must have shape {shape}, got {values.shape}")


def _test_matrix(matrix, count, size):
    """M as (1 or N, d), its diagonal, or (1 or N, d, d)."""
    if matrix is None:
        return np.full((1, size), 0.5)
    given = array("test_matrix", matrix, (1, 2, 3))
    # (N, d) and (d, d) are the same shape where N = d: then it is a matrix, as a caller of `simlr.descend` has it.
    shapes = {(size,): (1, size), (size, size): (1, size, size), (count, size, size): (count, size, size)}
    shapes.setdefault((count, size), (count, size))
    if given.shape not in shapes:
        raise InputError(f"test_matrix must have shape {', '.join(map(str, shapes))}, got {given.shape}")
    return given.reshape(shapes[given.shape])


def _batches(batch_size, shape):
    """(S, T) rows a step."""
    batch = array("batch_size", batch_size, (0, 1, 2), least=1.0)
    if batch.ndim > 0 and batch.shape not in (shape, shape[1:]):
        raise InputError(f"batch_size must be a number or have shape {shape[1:]} or {shape}, got {batch.shape}")
    return np.ascontiguousarray(np.broadcast_to(batch, shape)).copy()


def _moments(steps, length):
    """(K,) numbers of steps, ascending."""
    if steps is None:
        return np.array([length], np.int64)
    at = np.atleast_1d(np.asarray(steps))
    if at.ndim != 1 or at.size == 0 or not np.issubdtype(at.dtype, np.integer):
        raise InputError("steps must be whole numbers, at least one")
    if at[0] < 0 or at[-1] > length or (np.diff(at) <= 0).any():
        raise InputError(f"steps must ascend from 0 to at most the {length:,} of the learning rates")
    return at.astype(np.int64)


def _rows(rows, misfits, lam):
    """(N, n, d) and (N, n), checked against the curvature."""
    z, rho = array("rows", rows, (2, 3)), array("misfits", misfits, (1, 2))
    z, rho = (z[None] if z.ndim == 2 else z), (rho[None] if rho.ndim == 1 else rho)
    count, size = lam.shape
    if z.shape[0] not in (1, count) or z.shape[2] != size or rho.shape != z.shape[:2]:
        raise InputError(
            f"rows must have shape (n, {size}) or ({count}, n, {size}) and misfits one number a row, got {z.shape} and "
            f"{rho.shape}"
        )
    scale = lam.max(axis=1)[:, None, None]
    gram = 2.0 / z.shape[1] * np.einsum("kni,knj->kij", z, z, optimize=False)
    off = np.abs(gram - lam[:, :, None] * np.eye(size)).max(where=scale > 0.0, initial=0.0)
    if off > 1e-8 * lam.max():
        raise InputError("(2/n) rows^T rows must be diag(curvature): give the rows along the Hessian's axes")
    across = np.abs(np.einsum("kni,kn->ki", z, rho, optimize=False)).max()
    if across > 1e-8 * (np.sqrt((z**2).sum(axis=1).max() * (rho**2).sum(axis=1).max()) or 1.0):
        raise InputError("misfits must be at right angles to the rows: those at the train minimiser")
    return np.broadcast_to(z, (count, *z.shape[1:])).copy(), np.broadcast_to(rho, (count, rho.shape[1])).copy()
