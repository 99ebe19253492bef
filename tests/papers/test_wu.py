"""SGD and GD by direction: rows and walks against twins in full dimension, closed forms, a verdict that can fail."""

import math
import warnings

import numpy as np
import pytest

import simlr
from naive import stochastic as naive
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError

PAPER = load_paper("wu2021")
SMALL = (("seeds.count", 24), ("record.points", 0), ("record.iterates", False))
SAMPLE, TARGET = 0, 6


def ran(grid=PAPER.GRID, *overrides):
    return simlr.run(read(grid, [*SMALL, *overrides]))


@pytest.fixture(scope="module")
def run():
    return ran()


class Tampered:
    """Arrays in place of a run's."""

    def __init__(self, run, **arrays):
        self._run, self._arrays, self.config, self.names = run, arrays, run.config, run.names

    def __getitem__(self, name):
        return self._arrays[name] if name in self._arrays else self._run[name]


# ---- the problem ----


def rows_of(root, draw, squares, d):
    """The rows (n, d) of a draw on the sphere, and the start's error, from NumPy's generator at their addresses."""
    normals = naive.stream(root, draw, SAMPLE, 0).standard_normal((len(squares), d))
    units = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    signs = np.where(naive.stream(root, draw, TARGET, 0).random(len(squares)) < 0.5, -1.0, 1.0)
    return units * np.sqrt(squares)[:, None], signs @ units


def test_the_quadratic_is_that_of_the_rows():
    d, squares = 40, np.array([1.0, 0.5, 0.5, 0.1])
    parameters = {"setting": "sphere", "rows": 4, "dimension": d, "middle": 0.5, "condition": 10.0}
    source = PAPER.PROBLEM.prepare(parameters, ".")
    draws = np.arange(3)
    batch = source.draw(5, draws, 1)
    z, rho = source.rows(5, draws, batch, 1)
    assert not rho.any() and not batch.offset.any()
    for draw in draws.tolist():
        x, error = rows_of(5, draw, squares, d)
        hessian = 2.0 / 4.0 * x.T @ x
        values, vectors = np.linalg.eigh(hessian)
        values, vectors = values[::-1][:4], vectors[:, ::-1][:, :4]
        np.testing.assert_allclose(batch.curvature[draw], values, rtol=1e-12)
        np.testing.assert_allclose(abs(batch.initial_residual[draw]), abs(vectors.T @ error), rtol=1e-9)
        np.testing.assert_allclose(z[draw] @ batch.initial_residual[draw], x @ error, rtol=1e-10)
        np.testing.assert_allclose(z[draw] @ z[draw].T, x @ x.T, atol=1e-13)
        assert (batch.initial_residual[draw] ** 2).sum() == pytest.approx(error @ error, rel=1e-12)


@pytest.mark.parametrize("sampling", ["replacement", "epochs"])
def test_a_walk_is_that_of_rows_in_full_dimension(sampling):
    """200 moderate and 60 small steps in 60 dimensions, the twin knowing no eigenvalue."""
    squares, d, rates = np.array([1.0, *[0.5] * 6, 0.1]), 60, [1.001] * 200 + [0.2] * 60
    made = simlr.run(read(PAPER.GRID, [
        ("seeds.count", 3), ("seeds.root", 2), ("record.points", 0), ("record.iterates", False),
        ("problem.setting", "sphere"), ("problem.dimension", d), ("stop", {"steps": [200, 260], "max_steps": 300}),
        ("noise", [{"kind": "minibatch", "batch_size": 1, "sampling": sampling}]),
        ("schedule", [{"kind": "table", "learning_rates": rates}]),
    ]))  # fmt: skip
    walker = {"replacement": naive.with_replacement, "epochs": naive.shuffled}[sampling]
    for draw in range(3):
        x, error = rows_of(2, draw, squares, d)
        walk = naive.iterates(walker(x, np.zeros(8), 1, 2, draw), error, rates)
        for place, step in enumerate((200, 260)):
            twin = walk[step]
            assert made["test_loss"][0, draw, place] == pytest.approx(twin @ twin, rel=1e-9)
            assert made["train_loss"][0, draw, place] == pytest.approx(((x @ twin) ** 2).mean(), rel=1e-9)


def test_epochs_in_the_plane_are_powers():
    """Each row once an epoch: the error along row i is multiplied by 1 - 2 eta ||x_i||^2, whatever the order."""
    steps = 2 * 20
    made = ran(PAPER.GRID, ("problem.setting", "plane"), ("stop", {"steps": [steps], "max_steps": 401}))
    index = PAPER.roles(made)["annealed", "epochs"]
    along = np.array([1.0 - 2.0 * PAPER.MODERATE, 1.0 - 2.0 * PAPER.MODERATE / 10.0]) ** 20
    np.testing.assert_allclose(made["test_loss"][index, :, 0], (along**2).sum(), rtol=1e-12)
    np.testing.assert_allclose(made["train_loss"][index, :, 0], (along**2 * [1.0, 0.1]).mean(), rtol=1e-12)


# ---- the verdict ----


def test_the_claim_holds(run):
    verdict = verdict_of(run)
    assert verdict.outcome == HOLDS
    assert len(verdict.findings) == 15


FAST = ("a small rate from the start", "rows of one length", "eigenvalues that are nearly equal", "one seed",
        "too few steps", "0.6 in place of the moderate rate", "high levels", "GD alone", "one of two settings",
        "a moderate phase of 20 steps", "batches of all rows", "8 random rows in 16 dimensions")  # fmt: skip


@pytest.mark.parametrize("name", FAST)
def test_its_controls_come_out_as_they_must(name):
    """In the plane and on the sphere of few dimensions, which takes no time."""
    control = next(control for control in PAPER.controls() if control.name == name)
    small = [] if "16" in name else [("problem.setting", "plane")]
    verdict = verdict_of(simlr.run(read(PAPER.GRID, [*control.overrides, *small])))
    assert verdict.outcome == control.expected
    assert control.expected != FAILS or any("SGD" in one.what and one.outcome == FAILS for one in verdict.findings)


def test_the_quotient_is_that_of_the_error(run):
    """2 train / test is r^T H r / r^T r, and no point of a train loss has a smaller test loss than 2 alpha / lam_1."""
    top, bottom = (f(run["curvature"], axis=1)[None, :, None] for f in (np.nanmax, np.nanmin))
    quotient = 2.0 * run["train_loss"] / run["test_loss"]
    assert (quotient <= top * (1.0 + 1e-12)).all() and (quotient >= bottom * (1.0 - 1e-12)).all()


@pytest.mark.parametrize("name", ["train_loss", "test_loss"])
def test_a_tampered_run_does_not_pass(run, name):
    factor = {"train_loss": 0.8, "test_loss": 1.3}[name]
    assert PAPER.check(Tampered(run, **{name: run[name] * factor})).outcome == FAILS


def test_without_its_schedules_nothing_is_decided(run):
    made = ran(PAPER.GRID, ("noise", [{"kind": "none"}]), ("problem.setting", "plane"))
    verdict = verdict_of(made)
    assert verdict.outcome == UNDECIDED and "'annealed' with replacement" in str(verdict.findings[0])
    out_of_steps = np.full_like(run["status"], 2)
    assert PAPER.check(Tampered(run, status=out_of_steps)).outcome == UNDECIDED
    status = run["status"].copy()
    status[0, 0] = 0
    assert PAPER.check(Tampered(run, status=status)).outcome == UNDECIDED


def test_a_last_row_that_grows_without_bound_decides_nothing():
    growing = ("problem.condition", 0.01), ("problem.setting", "plane")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verdict_of(ran(PAPER.GRID, *growing)).outcome == UNDECIDED


def test_what_is_refused():
    with pytest.raises(InputError, match=r"problem\.dimension must be at least rows = 8, got 5"):
        ran(PAPER.GRID, ("problem.dimension", 5))
    with pytest.raises(InputError, match="setting"):
        ran(PAPER.GRID, ("problem.setting", "planes"))


def test_rates_are_in_their_regimes():
    assert 1.0 < PAPER.MODERATE < 2.0 and PAPER.SMALL < 0.5
    assert math.isclose(float(read(PAPER.GRID).schedules()[0][0].rates(0, 1)[0]), PAPER.MODERATE)
