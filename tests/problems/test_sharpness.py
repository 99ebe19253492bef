"""The largest eigenvalue of the Hessian: against eigvalsh of the whole Hessian, and along a run."""

import numpy as np
import pytest

import simlr
from naive import convex as naive
from simlr.errors import InputError
from simlr.problems.losses import LOSSES, Objective
from simlr.problems.sharpness import sharpness


def hessian(kind, x, y, theta, ridge):
    """The Hessian at theta (k, d), row by row, of Huber's delta 1."""
    total = np.diag(np.full(theta.size, ridge))
    for row, label in zip(x, y, strict=True):
        z = theta @ row
        if kind == "softmax":
            p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
            own = np.diag(p) - np.outer(p, p)
        else:
            second = {
                "squared": 2.0,
                "logistic": 1.0 / (2.0 + np.exp(z[0]) + np.exp(-z[0])),
                "huber": float(abs(z[0] - label) <= 1.0),
                "squared_hinge": 2.0 * (label * z[0] < 1.0),
            }[kind]
            own = np.array([[second]])
        total += np.kron(own, np.outer(row, row)) / len(x)
    return total


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("rows", "inputs"), [(30, 4), (12, 40), (3, 1)])
@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_it_is_that_of_the_whole_hessian(kind, rows, inputs, ridge):
    """More rows than parameters and fewer, near the start and far away, where whole rows curve no more."""
    rng, outputs = np.random.default_rng(rows), 4 if kind == "softmax" else 1
    x = rng.normal(size=(rows, inputs))
    y = rng.integers(0, outputs, rows).astype(float) if outputs > 1 else rng.choice([-1.0, 1.0], rows)
    theta = rng.normal(size=(9, outputs * inputs)) * np.geomspace(1e-3, 30.0, 9)[:, None]
    objective = Objective(kind, x, y, outputs, 1.0, np.full(outputs * inputs, ridge))
    wanted = [np.linalg.eigvalsh(hessian(kind, x, y, one.reshape(outputs, -1), ridge))[-1] for one in theta]
    np.testing.assert_allclose(sharpness(objective, theta), wanted, rtol=1e-9, atol=1e-15)


def test_close_eigenvalues_and_large_spectra_are_told():
    """A diagonal Hessian: 200 eigenvalues from 1 down by thousandths, the largest within the tolerance."""
    values = 1.0 - 1e-3 * np.arange(200)
    x = np.diag(np.sqrt(values * 200 / 2.0))
    objective = Objective("squared", x, np.zeros(200), 1, 1.0, np.zeros(200))
    assert sharpness(objective, np.zeros((1, 200)))[0] == pytest.approx(1.0, rel=1e-9)


def test_what_is_no_number_has_no_sharpness():
    objective = Objective("logistic", np.ones((3, 2)), np.ones(3), 1, 1.0, np.zeros(2))
    found = sharpness(objective, np.array([[np.nan, 0.0], [np.inf, 0.0], [0.0, 0.0]]))
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(0.5, rel=1e-12)


GRID = """
name = "sharp"
[problem]
kind = "gaussian"
dimension = 3
train_rows = 10
loss = "logistic"
ridge = 0.02
[seeds]
count = 3
root = 2
[stop]
steps = [60]
[record]
points = 10
seeds = 2
iterates = true
sharpness = true
[[schedule]]
kind = "constant"
learning_rate = [0.5, 4.0]
"""


def test_a_run_has_it_at_its_recorded_moments():
    """At the iterates that it has, from rows of a twin; the bound that rates are counted in is never below it."""
    from naive import gaussian as draws

    run = simlr.run(simlr.GridConfig.from_toml(GRID))
    assert run["trajectory_sharpness"].shape == (2, 2, 10)
    for seed in range(2):
        target = draws.drawn_target(2, seed, np.eye(3), 1.0, 0.0)
        drawn = draws.draw(2, seed, 10, 1, np.eye(3), np.eye(3), target, 0.0)
        y = np.where(drawn.y > 0.0, 1.0, -1.0)
        for s in range(2):
            at = run["recorded_step"][s] >= 0
            theta = run["trajectory_iterate"][s, seed, at]
            wanted = [np.linalg.eigvalsh(hessian("logistic", drawn.x, y, one[None], 0.02))[-1] for one in theta]
            np.testing.assert_allclose(run["trajectory_sharpness"][s, seed, at], wanted, rtol=1e-9)
            loss = naive.loss("logistic", drawn.x, y, theta[-1][None], 0.02)
            assert run["trajectory_train_loss"][s, seed, at][-1] == pytest.approx(loss, rel=1e-10)
            assert (run["trajectory_sharpness"][s, seed, at] <= run["sharpness"][seed] * (1.0 + 1e-12)).all()


def test_bits_do_not_depend_on_blocks_or_threads():
    whole = simlr.run(simlr.GridConfig.from_toml(GRID), threads=1)
    other = simlr.run(simlr.GridConfig.from_toml(GRID, [("run.block_seeds", 1)]), threads=2)
    np.testing.assert_array_equal(other["trajectory_sharpness"], whole["trajectory_sharpness"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("problem.loss", "squared"), ("problem.ridge", 0.0)], "least squares have one Hessian everywhere"),
        ([("record.points", 0)], "recorded at the moments of record.points"),
    ],
)
def test_it_is_refused_where_it_says_nothing(changes, said):
    with pytest.raises(InputError, match=said):
        simlr.GridConfig.from_toml(GRID, changes)


def test_a_grid_without_it_is_the_one_that_it_was():
    plain = simlr.GridConfig.from_toml(GRID, [("record.sharpness", False)])
    assert "sharpness" not in plain.tables()["record"]
    assert simlr.GridConfig.from_toml(GRID).tables()["record"]["sharpness"] is True
