"""Residuals at the stops: they give the losses of the file again, by all engines, and cost nothing unasked."""

import numpy as np
import pytest
import runs

import simlr
from simlr.grid.job import Job
from simlr.plan.plan import Plan
from simlr.store import create

KEPT = {"record__stop_residual": True, "record__points": 0}
UNORDERED = {"stop__train_loss": [1e-2, 1e-3, 1e-1]}
METHODS = [{"kind": "gd"}, {"kind": "momentum", "momentum": 0.5}]
DESCENTS = [{"kind": "constant", "learning_rate": [0.3, 2.9]}, {"kind": "cosine", "learning_rate": 0.7, "steps": 200}]


def losses(run):
    """Train and test losses (S, N, E) from the residuals, in plain einsum."""
    r = run.stop_residual
    train = run.train_floor[:, None] + 0.5 * np.einsum("nd,sned->sne", run.curvature, r**2)
    v = r + run.offset[:, None, :]
    return train, run.test_floor[:, None] + np.einsum("sned,ndf,snef->sne", v, run.test_matrix, v)


def assert_losses_are_those_of_the_file(run):
    there = np.isin(run.status, (1, 2))
    assert there.any()
    for found, expected in zip(losses(run), (run.train_loss, run.test_loss), strict=True):
        np.testing.assert_allclose(found[there], expected[there], rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(
    "changes",
    [{}, {"engine": "recurrence"}, {"schedule": DESCENTS, "optimizer": METHODS}, UNORDERED],
    ids=["closed form", "recurrence", "stochastic", "levels in no order"],
)  # fmt: skip
def test_residuals_give_the_losses_again(changes):
    assert_losses_are_those_of_the_file(simlr.run(runs.grid(**KEPT, **changes)))


def test_a_level_that_is_missed_has_the_residual_of_the_end():
    run = simlr.run(runs.grid(**KEPT, schedule=[{"kind": "constant", "learning_rate": 0.01, "steps": 3}]))
    assert (run.status == 2).all()
    factor = (1.0 - 0.01 * run.curvature) ** 3
    expected = np.broadcast_to((factor * run.initial_residual)[:, None, :], run.stop_residual[0].shape)
    np.testing.assert_allclose(run.stop_residual[0], expected, rtol=1e-12)


def test_axes_that_a_seed_lacks_are_nan_and_large_matrices_are_kept(tmp_path):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "data.npz", features=rng.standard_normal((60, 20)), target=rng.standard_normal(60))
    problem = {"kind": "dataset", "file": "data.npz", "train_rows": [10, 30]}
    tables = {"problem": problem, "seeds": {"count": 5}, "stop": {"train_loss": [0.2]}, "schedule": [{"kind": "flow"}]}
    config = simlr.GridConfig.from_tables(tables | {"record": {"points": 0, "stop_residual": True}}, tmp_path)
    run = simlr.run(config)
    assert run.test_matrix.shape[1] == run.stop_residual.shape[3] > 16
    assert (np.isnan(run.stop_residual[0, :, 0]) == np.isnan(run.curvature)).all()
    plain = simlr.run(config.replace(record={"stop_residual": False}))
    assert {"stop_residual", "offset", "test_matrix", "curvature_axes", "axis_2"}.isdisjoint(plain.names)
    assert (plain.test_loss == run.test_loss).all()


def test_the_same_bits_in_any_blocks_from_memory_and_from_a_file(tmp_path):
    config = runs.grid(**KEPT)
    whole = simlr.run(config, out=tmp_path / "a.h5", threads=2)
    cut = simlr.run(config.replace(run={"block_seeds": 3}), threads=1)
    runs.assert_same_bits(whole, cut)


def test_a_file_that_is_gone_on_with_ends_with_the_same_bits(tmp_path):
    config = runs.grid(**KEPT)
    half = runs.run_blocks(config, tmp_path / "half.h5", [0, 2])
    done = half.status[0, :, 0] != 0
    assert 0 < done.sum() < done.size
    assert (np.isnan(half.stop_residual).all(axis=(0, 2, 3)) == ~done).all()
    assert np.array_equal(half.part("stop_residual", 1, slice(3, 20)), half.stop_residual[1, 3:20], equal_nan=True)
    simlr.run(config, out=tmp_path / "half.h5", resume=True)
    runs.assert_same_bits(simlr.load(tmp_path / "half.h5"), simlr.run(config))


def test_a_file_without_residuals_has_the_identity_that_it_had():
    assert "stop_residual" not in runs.grid().identity()
    assert runs.grid(**KEPT).identity() != runs.grid(record__points=0).identity()


def test_room_and_memory_are_counted(tmp_path):
    grids = [runs.grid(record__points=0, record__stop_residual=kept) for kept in (False, True)]
    plans = [Plan.of_grid(grid, ((2, 40),)) for grid in grids]
    cells = 6 * 40 * 2
    more = [create.bytes_needed(plans[1]) - create.bytes_needed(plans[0]), 8 * cells * 2 + 8 * 40 * 2]
    assert abs(more[0] - more[1]) < 64
    assert plans[1].bytes_a_seed - plans[0].bytes_a_seed == 8 * cells * 2 // 40
    path = tmp_path / "run.h5"
    simlr.run(runs.grid(**KEPT), out=path)
    assert path.stat().st_size <= create.bytes_needed(Job(runs.grid(**KEPT)).plan)
