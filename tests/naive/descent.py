"""Slow, obvious twins of the maths: plain loops in double precision, and Decimal where that is not enough.

Imports nothing of simlr. A problem is a `Quadratic` in its curvature's axes, or a table of rows with theta in the
original coordinates; descent on rows never looks at an eigenvalue.
"""

import math
from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np

LIMIT = 1e100
REACHED, OUT_OF_STEPS, DIVERGED, AT_FLOOR = 1, 2, 3, 4
DIGITS = 60


# ---- schedules ----


def rate(kind, t, steps, p):
    """The learning rate of step t of a phase of `steps` steps, from the dict of its parameters."""
    top = p["learning_rate"]
    end = p.get("end_learning_rate", 0.0)
    if kind == "constant":
        return top
    if kind == "step":
        for _ in range(t // p["step_size"]):
            top *= p.get("gamma", 0.1)
        return top
    if kind == "exponential":
        for _ in range(t):
            top *= p["gamma"]
        return top
    if kind == "linear":
        return top * (steps - t) / steps + end * t / steps
    if kind == "polynomial":
        return end + (top - end) * math.pow((steps - t) / steps, p["power"])
    if kind == "cosine":
        return top * math.cos(math.pi * t / steps / 2) ** 2 + end * math.sin(math.pi * t / steps / 2) ** 2
    if kind == "warmup":
        return top * t / steps + p.get("start_learning_rate", 0.0) * (steps - t) / steps
    raise ValueError(kind)


def rates(kind, steps, **parameters):
    """The learning rates of all steps of a phase."""
    return [rate(kind, t, steps, parameters) for t in range(steps)]


# ---- quadratics ----


class Quadratic(NamedTuple):
    """Train loss = train_floor + 1/2 sum lam r^2; test loss = test_floor + (r + offset)^T M (r + offset)."""

    curvature: np.ndarray
    residual: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray
    train_floor: float = 0.0
    test_floor: float = 0.0


class Stop(NamedTuple):
    """Where a run stood when it stopped for one level."""

    status: int
    step: int
    time: float
    train_loss: float
    test_loss: float
    residual: np.ndarray


def quadratic(curvature, residual, matrix=None, offset=None, train_floor=0.0, test_floor=0.0):
    """A Quadratic, by default without offset and with M = I/2."""
    d = len(curvature)
    matrix = np.eye(d) / 2 if matrix is None else matrix
    offset = np.zeros(d) if offset is None else offset
    return Quadratic(*map(np.asarray, (curvature, residual, matrix, offset)), train_floor, test_floor)


def train_loss(problem, r):
    return problem.train_floor + sum(problem.curvature * r * r) / 2


def test_loss(problem, r):
    away = r + problem.offset
    return problem.test_floor + away @ problem.matrix @ away


# Or pytest would take it for a test.
test_loss.__test__ = False


def path(problem, rates):
    """Residuals before the first step and after each, up to the first with not (train loss <= 1e100), that included."""
    found = [problem.residual]
    for eta in rates:
        if not train_loss(problem, found[-1]) <= LIMIT:
            break
        found.append(found[-1] - eta * problem.curvature * found[-1])
    return found


def flow(problem, r, tau):
    """The residual after gradient flow for a time tau, which may be inf."""
    return np.array([x * math.exp(-lam * tau) if lam > 0 else x for lam, x in zip(problem.curvature, r, strict=True)])


def crossing_time(problem, r, level):
    """The flow time at which the train loss is the level, by bisection; the level is above the floor."""
    pairs = [(float(lam * x * x), 2 * float(lam)) for lam, x in zip(problem.curvature, r, strict=True)]
    excess = 2 * (level - problem.train_floor)

    def above(tau):
        return sum(weight * math.exp(-decay * tau) for weight, decay in pairs) > excess

    low, high = 0.0, 1.0
    while above(high):
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if above(middle) else (low, middle)
    return high


def crossing_time_in_digits(x, lam, threshold):
    """The tau at which sum x_i^2 exp(-2 lam_i tau) = threshold, by Decimal, right to many more digits than a float."""
    with localcontext() as context:
        context.prec = DIGITS
        squares, decays = [Decimal(v) * Decimal(v) for v in x], [-2 * Decimal(v) for v in lam]
        threshold = Decimal(threshold)

        def above(tau):
            return sum(s * (c * tau).exp() for s, c in zip(squares, decays, strict=True)) > threshold

        low, high = Decimal(0), Decimal(1)
        while above(high):
            low, high = high, 2 * high
        while high - low > high * Decimal(10) ** -25:
            middle = (low + high) / 2
            low, high = (middle, high) if above(middle) else (low, middle)
        return high


def stop(problem, rates, level, flows=False):
    """Where a run of these rates, and a gradient flow after them, stops for the level."""
    steps = path(problem, rates)
    losses = [train_loss(problem, r) for r in steps]
    out_of_reach = level <= problem.train_floor
    for step, loss in enumerate(losses):
        if loss <= level and loss <= LIMIT and not out_of_reach:
            return _stop(problem, REACHED, step, math.fsum(rates[:step]), steps[step])
    last = len(steps) - 1
    time = math.fsum(rates[:last])
    if not losses[-1] <= LIMIT:
        return _stop(problem, AT_FLOOR if out_of_reach else DIVERGED, last, time, steps[-1])
    if not flows:
        return _stop(problem, AT_FLOOR if out_of_reach else OUT_OF_STEPS, last, time, steps[-1])
    tau = math.inf if out_of_reach else crossing_time(problem, steps[-1], level)
    return _stop(problem, AT_FLOOR if out_of_reach else REACHED, last, time + tau, flow(problem, steps[-1], tau))


def _stop(problem, status, step, time, r):
    return Stop(status, step, time, train_loss(problem, r), test_loss(problem, r), r)


def in_sharpness(rates, curvature):
    """Rates in units of 1/sharpness, as absolute ones."""
    return [eta / max(curvature) for eta in rates]


# ---- rows ----


def split(root, seed, rows, train_rows, test_rows):
    """The rows of one draw: (train, held out)."""
    stream = np.random.Philox(key=[root, seed], counter=[0, 0, 1, 0])
    order = np.argsort(np.random.Generator(stream).random(rows), kind="stable")
    return order[:train_rows], order[train_rows : train_rows + test_rows]


def standardized(table, rows):
    """The table with every column's mean over `rows` taken off and its standard deviation divided out."""
    table = table.copy()
    for j in range(table.shape[1]):
        column = table[rows, j]
        spread = 1.0 if column.max() == column.min() else np.std(column)
        table[:, j] = (table[:, j] - np.mean(column)) / spread
    return table


def mean_squared_error(x, y, theta):
    return float(np.mean((x @ theta - y) ** 2))


def hessian(x):
    return 2 / len(x) * x.T @ x


def descend_rows(x, y, theta, rates):
    """theta before the first step and after each: theta <- theta - eta (2/n) X^T (X theta - y)."""
    found = [theta]
    for eta in rates:
        found.append(found[-1] - eta * 2 / len(x) * (x.T @ (x @ found[-1] - y)))
    return found


def minimiser(x, y, start):
    """The train minimiser nearest to the start."""
    return start + np.linalg.lstsq(x, y - x @ start, rcond=None)[0]


def flow_rows(x, y, theta, tau):
    """theta after gradient flow for a time tau: the minimiser, and exp(-H tau) of what lies between."""
    values, axes = np.linalg.eigh(hessian(x))
    values[values < 1e-12 * values.max()] = 0.0
    end = minimiser(x, y, theta)
    return end + axes @ (np.exp(-values * tau) * (axes.T @ (theta - end)))


# ---- Nakkiran (2020) ----


def axis_sample(number):
    """Sample 0 .. 7 of three rows: row k is e_2 where bit k of the number is set, else e_1."""
    return np.array([[0.0, 1.0] if number >> k & 1 else [1.0, 0.0] for k in range(3)])


def axis_sample_at(root, seed):
    """The random sample of a seed: row k is e_2 where its uniform is 1/2 or more."""
    uniforms = np.random.Generator(np.random.Philox(key=[root, seed], counter=[0, 0, 0, 0])).random(3)
    return np.array([[0.0, 1.0] if u >= 0.5 else [1.0, 0.0] for u in uniforms])
