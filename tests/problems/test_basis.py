"""The axes that Gaussian rows are given in: descent is the same along all, and what acts entry by entry has twins."""

import numpy as np
import pytest
from runs import assert_same_bits

import simlr
from naive import convex as naive
from naive import gaussian as draws
from naive import optimizers as twins
from simlr.problems.basis import random_axes, turned
from simlr.problems.source import Samples, Sets

ROOT, ROWS, BASES = 5, 12, ("features", "eigen", "random")
GRID = """
name = "bases"
[problem]
kind = "gaussian"
dimension = 4
train_rows = 12
train_covariance = [4.0, 1.0, 0.25, 0.1]
target = [1.0, -1.0, 0.5, 2.0]
label_noise = 0.3
loss = "logistic"
basis = ["features", "eigen", "random"]
[seeds]
count = 2
root = 5
[stop]
steps = [1, 20, 200]
[record]
points = 0
[[schedule]]
kind = "constant"
learning_rate = 0.02
"""
TURNING = ("momentum", "nesterov", "polyak_momentum", "schedule_free_sgd", "gd")
ENTRYWISE = ("adam", "sign", "adagrad")


def tables(*kinds):
    return "".join(f'[[optimizer]]\nkind = "{kind}"\n' for kind in kinds)


def by_basis(run, name):
    """{basis: (S, draws, E)}."""
    return {basis: run[name][:, 2 * i : 2 * i + 2] for i, basis in enumerate(BASES)}


def grid_of(text=GRID, **changes):
    return simlr.GridConfig.from_toml(text, [(key.replace("__", "."), value) for key, value in changes.items()])


@pytest.mark.parametrize("changes", [{}, {"problem__train_rows": 3}, {"problem__loss": "squared"}])
@pytest.mark.parametrize("noise", ["", '[[noise]]\nkind = "minibatch"\nbatch_size = 2\n'])
def test_descent_is_the_same_along_any_axes(changes, noise):
    """Losses to rounding: in fewer rows than axes, with mini-batches, with a decay and a clipped length."""
    text = GRID + tables(*TURNING) + '[[optimizer]]\nkind = "gd"\nweight_decay = 0.1\nclip_norm = 0.2\n' + noise
    run = simlr.run(grid_of(text, problem__ridge=0.05, **changes))
    for name in ("train_loss", "test_loss"):
        found = by_basis(run, name)
        for basis in BASES[1:]:
            np.testing.assert_allclose(found[basis], found["features"], rtol=1e-11)


def axes_of(basis, x):
    """The columns of the axes, for the twin."""
    if basis == "eigen":
        return np.linalg.eigh(x.T @ x)[1]
    if basis == "random":
        stream = np.random.Philox(key=[ROOT, 0], counter=[0, 0, 7, 0])
        q, r = np.linalg.qr(np.random.Generator(stream).standard_normal((4, 4)))
        return q * np.sign(np.diag(r))
    return np.eye(4)


def test_what_acts_entry_by_entry_equals_its_twin():
    """Adam, signs and Adagrad on turned rows, losses at the stops."""
    run = simlr.run(grid_of(GRID + tables(*ENTRYWISE)))
    covariance, target = np.diag([4.0, 1.0, 0.25, 0.1]), np.array([1.0, -1.0, 0.5, 2.0])
    found = by_basis(run, "train_loss")
    for seed in range(2):
        drawn = draws.draw(ROOT, seed, ROWS, 1, covariance, covariance, target, 0.3)
        y = np.where(drawn.y > 0.0, 1.0, -1.0)
        for basis in BASES:
            x = drawn.x @ axes_of(basis, drawn.x)
            for s, kind in enumerate(ENTRYWISE):
                path = twins.iterates(
                    kind,
                    lambda w, t, x=x, y=y: naive.gradient("logistic", x, y, w[None])[0],
                    np.zeros(4),
                    np.full(200, 0.02),
                )
                wanted = [naive.loss("logistic", x, y, path[step][None]) for step in (1, 20, 200)]
                np.testing.assert_allclose(found[basis][s, seed], wanted, rtol=1e-9, err_msg=f"{basis} {kind}")
    for s in range(len(ENTRYWISE)):
        assert abs(found["random"][s] / found["features"][s] - 1.0).max() > 1e-3


def test_axes_that_no_row_has_anything_of_stay_where_they_are():
    """Signs of what rounding leaves there would move them by eta."""
    run = simlr.run(
        grid_of(GRID + tables("sign"), problem__train_rows=2, record__points=3, record__iterates=True, seeds__count=2)
    )
    moved = run["trajectory_iterate"][0, 2:4, -1]
    assert (moved[:, :2] != 0.0).all()
    assert (moved[:, 2:] == 0.0).all()


def test_random_axes_are_orthogonal_and_one_matrix_a_root():
    axes = random_axes(3, 6)
    np.testing.assert_allclose(axes.T @ axes, np.eye(6), atol=1e-14)
    np.testing.assert_array_equal(random_axes(3, 6), axes)
    assert abs(random_axes(4, 6) - axes).max() > 0.1


def test_all_rows_and_the_target_are_turned_alike():
    """Scores are what they were."""
    rng = np.random.default_rng(0)
    parts = [Samples(rng.normal(size=(2, n, 3)), np.zeros((2, n))) for n in (5, 4, 6)]
    sets = Sets(*parts, rng.normal(size=(2, 3)))
    for basis in BASES:
        new = turned(sets, basis, 1)
        for before, after in zip(sets[:3], new[:3], strict=True):
            for n in range(2):
                np.testing.assert_allclose(after.x[n] @ new.target[n], before.x[n] @ sets.target[n], atol=1e-14)
    new = turned(sets, "eigen", 1)
    for x in new.train.x:
        gram = x.T @ x
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-13)
        assert (np.diff(np.diag(gram)) <= 0.0).all()


def test_bits_do_not_depend_on_blocks_or_threads():
    whole = simlr.run(grid_of(GRID + tables("adam")), threads=1)
    assert_same_bits(simlr.run(grid_of(GRID + tables("adam"), run__block_seeds=1), threads=2), whole)


def test_the_features_own_axes_are_no_key_of_older_files():
    assert "basis" not in grid_of(problem__basis="features").tables()["problem"]
    assert grid_of(problem__basis="eigen").tables()["problem"]["basis"] == "eigen"


def test_plain_least_squares_have_the_same_losses_to_the_bit():
    """They are solved along the curvature's axes, whatever the basis."""
    run = simlr.run(grid_of(problem__loss="squared"))
    found = by_basis(run, "test_loss")
    for basis in BASES[1:]:
        np.testing.assert_array_equal(found[basis], found["features"])
