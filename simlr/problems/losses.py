"""The losses that a problem of rows may have, and what is known of each: names, targets, curvature, values.

With z = <x, theta> the score of a row, u = y z where y is +-1, and z_c = <x, theta_c> where there are classes c:

    squared          (z - y)^2
    logistic         log(1 + exp(-u))
    softmax          log sum_c exp(z_c) - z_y
    huber            (z - y)^2 / 2 where |z - y| <= delta, else delta (|z - y| - delta / 2)
    squared_hinge    max(0, 1 - u)^2

Train loss: the mean over the train rows, and with a ridge 1/2 ridge |theta|^2, without the intercept's parameter. Test
and validation loss: the mean over their rows, without the ridge.

The weights of the scores are theta itself, or, in a diagonal linear network, beta = u * v entry by entry of theta =
(u, v), which starts at u = initial_scale, v = 0.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs import rules
from ..inputs.parameters import Parameter
from . import lapack

if TYPE_CHECKING:
    from ..kernels.convex.losses import Table

Floats = NDArray[np.float64]

SQUARED, LOGISTIC, SOFTMAX, HUBER, SQUARED_HINGE = LOSSES = (
    *("squared", "logistic", "softmax", "huber", "squared_hinge"),
)  # each at its number in kernels.convex.losses
# Their targets are classes: two, which become -1 and 1, or any number of them for softmax.
OF_TWO_CLASSES, OF_CLASSES = (LOGISTIC, SQUARED_HINGE), (LOGISTIC, SQUARED_HINGE, SOFTMAX)
# The second derivative in z is never above it, nor is the largest eigenvalue of softmax's.
MOST_CURVATURE = {SQUARED: 2.0, LOGISTIC: 0.25, SOFTMAX: 0.5, HUBER: 1.0, SQUARED_HINGE: 2.0}
LINEAR, DIAGONAL = MODELS = "linear", "diagonal"  # each at its number in kernels.convex.models
# What an entry of the table [problem] is where it is left out, and then it is not kept either.
DEFAULTS = {
    "loss": SQUARED,
    "ridge": 0.0,
    "huber_delta": 1.0,
    "model": LINEAR,
    "initial_scale": 0.1,
    "held_out_rows": 0,
    "basis": "features",
}
PARAMETERS = (
    Parameter("loss", rules.one_of(*LOSSES, noun="loss"), SQUARED, f"{', '.join(LOSSES)}; docs/convex.md"),
    Parameter("ridge", rules.not_negative, 0.0, "1/2 ridge |theta|^2 is added to the train loss"),
    Parameter("huber_delta", rules.positive, 1.0, "of loss = 'huber': errors beyond it count linearly"),
    Parameter(
        "model", rules.one_of(*MODELS, noun="model"), LINEAR, "linear, or diagonal: <u * v, x>; docs/diagonal.md"
    ),
    Parameter("initial_scale", rules.positive, 0.1, "of model = 'diagonal': every entry of u at the start; v is 0"),
)


# What a report says of each.
MEANINGS = {
    SQUARED: "the mean squared error",
    LOGISTIC: "the mean log loss in nats, log(1 + exp(-y z)) of a score z and a class y of -1 or 1",
    SOFTMAX: "the mean log loss in nats, -log of the right class's share under softmax",
    HUBER: "the mean of Huber's loss, half the square of an error up to huber_delta and linear beyond",
    SQUARED_HINGE: "the mean of max(0, 1 - y z)^2, of a score z and a class y of -1 or 1",
}


class Terms(NamedTuple):
    """What a problem's train loss is made of."""

    kind: str = SQUARED  # of LOSSES
    outputs: int = 1  # scores of a row: the number of classes for softmax
    delta: float = 1.0  # of Huber's loss
    ridge: Floats = np.zeros(1)  # (outputs d,) what half the square of each weight is multiplied with and added
    model: str = LINEAR  # of MODELS
    scale: float = 0.1  # u at the start of a diagonal network

    @property
    def start(self) -> Floats:
        """The parameters at the start, (p,)."""
        if self.model == LINEAR:
            return np.zeros(self.ridge.size)
        return np.repeat([self.scale, 0.0], self.ridge.size)


class Objective(NamedTuple):
    """A train loss as it is minimised: kind of LOSSES, rows, targets, and what the ridge weighs each parameter with."""

    kind: str
    x: Floats  # (n, d)
    y: Floats  # (n,) a number, +-1, or a class number
    outputs: int  # scores of a row: the number of classes for softmax, else 1
    delta: float  # of Huber's loss
    ridge: Floats  # (outputs d,)
    model: str = LINEAR  # of MODELS

    def scores(self, theta: Floats) -> Floats:
        """z (n, outputs) at weights (outputs d,), class after class."""
        return self.x @ theta.reshape(self.outputs, -1).T


def told(table: dict) -> list[str]:
    """What the losses of a problem's table are, a sentence each; none for the plain squared loss."""
    if is_plain(table):
        return []
    kinds = table.get("loss", SQUARED)
    kinds = kinds if isinstance(kinds, list) else [kinds]
    said = [f"Test loss under loss = {kind!r}: {MEANINGS[kind]}, over the held-out rows." for kind in kinds]
    ridge = ["The train loss has 1/2 ridge |theta|^2 beside it, the test loss has not."] if "ridge" in table else []
    scales = table.get("initial_scale", DEFAULTS["initial_scale"])
    network = [
        "With model = 'diagonal' the score of a row is <u * v, x>, and training starts at v = 0 and u = "
        f"{' or '.join(f'{scale:g}' for scale in (scales if isinstance(scales, list) else [scales]))}."
    ] * has_diagonal(table)
    return [*said, *network, *ridge]


def is_plain(table: dict) -> bool:
    """Whether a problem's table asks for linear models of the squared loss, without a ridge: what quadratics solve."""
    return all(table.get(key, DEFAULTS[key]) == DEFAULTS[key] for key in ("loss", "ridge", "model"))


def has_diagonal(table: dict) -> bool:
    """Whether a problem's table asks for diagonal networks, among others."""
    chosen = table.get("model", LINEAR)
    return DIAGONAL in (chosen if isinstance(chosen, list) else [chosen])


def weights_of(model: str, theta: Floats) -> Floats:
    """The weights (..., outputs d) of the scores, of parameters (..., p) of a model."""
    if model == LINEAR:
        return theta
    u, v = np.split(theta, 2, axis=-1)
    return u * v


def without_defaults(table: dict) -> dict:
    """The table without those of its losses' keys that say nothing, as it was before there were any."""
    return {key: value for key, value in table.items() if key not in DEFAULTS or value != DEFAULTS[key]}


def terms_of(parameters: dict, features: int, outputs: int, intercept: bool) -> Terms:
    """The `Terms` of one combination of a problem's parameters, with so many features, the intercept's last."""
    given = DEFAULTS | parameters
    ridge = np.full((outputs, features), given["ridge"])
    if intercept:
        ridge[:, -1] = 0.0
    about = given["model"], given["initial_scale"]
    return Terms(given["loss"], outputs, given["huber_delta"], ridge.reshape(-1), *about)


def check_quadratic(terms: Terms) -> None:
    """Refuse to make quadratics of a train loss that is none, or is another one."""
    if terms.kind != SQUARED or terms.ridge.any() or terms.model != LINEAR:
        raise InputError(f"problem: loss {terms.kind!r} with its ridge has no quadratics; `samples` gives its rows")


def check(table: dict) -> None:
    """Refuse a problem's table with a number that nothing asks for, or a ridge of a network."""
    chosen = table["loss"] if isinstance(table["loss"], list) else [table["loss"]]
    if table["huber_delta"] != DEFAULTS["huber_delta"] and HUBER not in chosen:
        raise InputError(f"problem.huber_delta goes with loss = 'huber', got {chosen[0]!r}")
    if not has_diagonal(table):
        if table["initial_scale"] != DEFAULTS["initial_scale"]:
            raise InputError("problem.initial_scale goes with model = 'diagonal', got 'linear'")
    elif table["ridge"] != DEFAULTS["ridge"]:
        raise InputError(
            f"problem.ridge goes with model = 'linear', got {table['ridge']!r} with 'diagonal'; weight_decay of an "
            "[[optimizer]] shrinks u and v"
        )


def values(objective: Objective, z: Floats) -> Floats:
    """The loss of every row, (n,), at scores (n, outputs)."""
    kind, y, score = objective.kind, objective.y, z[:, 0]
    if kind == LOGISTIC:
        return np.logaddexp(0.0, -y * score)
    if kind == SOFTMAX:
        below = z - np.take_along_axis(z, y.astype(int)[:, None], 1)
        top = np.maximum(below.max(axis=1), 0.0)
        others = np.exp(below - top[:, None])
        others[np.arange(y.size), y.astype(int)] = 0.0
        return np.where(top > 0.0, top + np.log(others.sum(axis=1) + np.exp(-top)), np.log1p(others.sum(axis=1)))
    if kind == SQUARED_HINGE:
        return np.maximum(0.0, 1.0 - y * score) ** 2
    error = np.abs(score - y)
    if kind == SQUARED:
        return error**2
    inside = np.minimum(error, objective.delta)
    return 0.5 * inside**2 + objective.delta * (error - inside)


def slopes(objective: Objective, z: Floats) -> tuple[Floats, Floats]:
    """First derivatives (n, outputs) and, but for softmax, second ones (n,) of every row's loss at scores (n, outputs).

    For softmax the second are the classes' shares p (n, outputs): the matrix of a row is diag(p) - p p^T. For Huber's
    loss they are those of the parabola that touches it at z and lies above, delta / |z - y| beyond delta.
    """
    kind, y, score = objective.kind, objective.y, z[:, 0]
    if kind == SOFTMAX:
        shares = np.exp(z - z.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        first = shares.copy()
        own = np.arange(y.size), y.astype(int)
        first[own] = 0.0
        first[own] = -first.sum(axis=1)
        return first, shares
    if kind == LOGISTIC:
        e = np.exp(-np.abs(score))
        wrong = np.where(y * score >= 0.0, e, 1.0) / (1.0 + e)
        return (-y * wrong)[:, None], e / (1.0 + e) ** 2
    if kind == SQUARED_HINGE:
        lack = np.maximum(0.0, 1.0 - y * score)
        return (-2.0 * y * lack)[:, None], np.where(lack > 0.0, 2.0, 0.0)
    error = score - y
    if kind == SQUARED:
        return (2.0 * error)[:, None], np.full(y.size, 2.0)
    first = np.clip(error, -objective.delta, objective.delta)
    return first[:, None], objective.delta / np.maximum(np.abs(error), objective.delta)


# ---- weights ----


def sizes(weights: Floats) -> tuple[Floats, Floats]:
    """|beta|_1 of weights (..., d), and |beta|_1^2 / |beta|_2^2: of k entries of one size k."""
    with np.errstate(all="ignore"):
        length = np.abs(weights).sum(axis=-1)
        largest = np.abs(weights).max(axis=-1, keepdims=True)
        shares = np.abs(weights) / largest
        return length, shares.sum(axis=-1) ** 2 / (shares**2).sum(axis=-1)


def margins(table: "Table", theta: Floats) -> Floats:
    """By how much of |theta| the row that is worst told is on its own side, below 0 where it is on the other one.

    Parameters
    ----------
    table : Table
        The train rows of N seeds.
    theta : (S, N, M, outputs d) float64
        Weights at M moments of S schedules.

    Returns
    -------
    (S, N, M) float64
        min y <x, theta> / |theta| over the rows, of softmax that of the right class's score less the largest other one;
        NaN where theta is 0 or the loss has no classes.
    """
    found = np.full(theta.shape[:3], np.nan)
    if LOSSES[table.kind] not in OF_CLASSES:
        return found
    with lapack.one_thread(), np.errstate(all="ignore"):
        for n, count in enumerate(table.count):
            x, y = table.x[n, :count], table.y[n, :count]
            score = theta[:, n].reshape(*found.shape[::2], table.outputs, -1) @ x.T  # (S, M, outputs, rows)
            if table.outputs == 1:
                side = y * score[:, :, 0]
            else:
                own = y.astype(int)[None, None, None]
                right = np.take_along_axis(score, own, 2)[:, :, 0]
                np.put_along_axis(score, own, -np.inf, 2)
                side = right - score.max(axis=2)
            found[:, n] = side.min(axis=2) / np.sqrt((theta[:, n] ** 2).sum(axis=2))
    return found
