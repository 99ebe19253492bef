"""Populations with power-law spectra, and random features of them: against a twin, sampling and reference losses."""

import numpy as np
import pytest

import simlr
from naive import random_features as naive
from simlr.errors import InputError
from simlr.grid.job import Job
from simlr.inputs import toml

ONE_PASS = """
name = "one-pass"
[expectation]
[problem]
kind = "population"
dimension = 100
[seeds]
count = 4
root = 3
[stop]
steps = [10, 100]
[record]
points = 5
[[schedule]]
kind = "constant"
learning_rate = 0.05
steps = 100
[[schedule]]
kind = "linear"
learning_rate = 0.1
steps = 10
[[noise]]
kind = "fresh"
batch_size = 1
sigma = 1.0
"""


def grid(text=ONE_PASS, folder=".", **problem):
    tables = toml.read(text)[0]
    tables["problem"] |= problem
    return simlr.GridConfig.from_tables(tables, folder)


def test_the_reference_losses_come_from_a_grid():
    """Capacity 2, source 1/2, one new row a step; the reference has half our loss, and twice our rate."""
    run = simlr.run(grid())
    assert run["seed"].size == 1  # nothing is drawn
    constant, linear = 0.5 * run["train_loss"][:, 0]
    np.testing.assert_allclose(constant, [0.37364221579085716, 0.14557063998483968], rtol=1e-12)
    np.testing.assert_allclose(linear[0], 0.37401869407137783, rtol=1e-12)
    assert run["status"][:, 0].tolist() == [[5, 5], [5, 2]]
    np.testing.assert_allclose(run["test_loss"], run["train_loss"], rtol=1e-12)


@pytest.mark.parametrize(("capacity", "source", "features"), [(2.0, 0.5, 4), (1.2, 1.5, 6), (0.5, 0.0, 20)])
def test_random_features_are_the_twins(capacity, source, features):
    config = grid(dimension=20, random_features=features, capacity=capacity, source=source)
    run = simlr.run(config)
    assert run["seed"].size == 4
    batch = Job(config).sources[0].draw(3, np.arange(4), 1)
    for n in range(4):
        variances, target = naive.power_law(20, capacity, source)
        matrix = naive.weights(3, n, 20, features)
        values, best, floor = naive.reduced(variances, target, matrix)
        np.testing.assert_allclose(run["curvature"][n], 2 * values, rtol=1e-8)
        np.testing.assert_allclose(run["train_floor"][n], floor, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(batch.train_minimiser[n], best, rtol=1e-6, atol=1e-9)
        # The Hessian itself, and the loss at the start, whatever the signs of the axes.
        axes = batch.curvature_axes[n]
        hessian = 2 * matrix.T @ (variances[:, None] * matrix)
        np.testing.assert_allclose(axes @ np.diag(batch.curvature[n]) @ axes.T, hessian, atol=1e-12)
        start = (variances * target**2).sum()
        np.testing.assert_allclose(run["trajectory_train_loss"][:, n, 0], start, rtol=1e-10)
    # Fewer features are the first of more.
    np.testing.assert_allclose(naive.weights(3, 0, 20, 4) * 2, naive.weights(3, 0, 20, 9)[:, :4] * 3, rtol=1e-14)


def test_what_features_cannot_tell_is_noise_of_the_labels():
    """20,000 runs of SGD on new rows of random features, within four standard errors."""
    config = grid(dimension=6, random_features=3, capacity=1.0)
    eta = np.linspace(0.15, 0.05, 12)
    tables = config.tables() | {
        "stop": {"steps": [1, 4, 12]},
        "schedule": [{"kind": "table", "learning_rates": eta.tolist()}],
        "noise": [{"kind": "fresh", "batch_size": 2, "sigma": 0.2}],
    }
    run = simlr.run(simlr.GridConfig.from_tables(tables))
    for n in range(2):
        variances, target = naive.power_law(6, 1.0, 0.5)
        matrix = naive.weights(3, n, 6, 3)
        sample = naive.one_pass(variances, target, matrix, eta, 2, 0.2, 20_000, n)[[1, 4, 12]]
        error = sample.std(axis=1, ddof=1) / np.sqrt(20_000)
        assert (abs(sample.mean(axis=1) - run["train_loss"][0, n]) <= 4 * error).all()


def test_problems_without_matrices_have_the_losses_of_those_with_them():
    """A flow asks for the matrices, which nothing else does."""
    flow = '\n[[schedule]]\nkind = "flow"\n'
    for features in (0, 18):
        bare = simlr.run(grid(ONE_PASS.replace("sigma = 1.0", "sigma = 1.0"), dimension=40, random_features=features))
        tables = toml.read(ONE_PASS.replace('[[noise]]\nkind = "fresh"\nbatch_size = 1\nsigma = 1.0', flow))[0]
        tables["problem"] |= {"dimension": 40, "random_features": features}
        tables["stop"] = {"train_loss": 0.5, "max_steps": 200}
        full = simlr.run(simlr.GridConfig.from_tables(tables))
        for name in ("curvature", "initial_residual", "train_floor", "sharpness"):
            assert bare[name].tobytes() == full[name].tobytes()
        start = bare["trajectory_test_loss"][0, :, 0], full["trajectory_test_loss"][0, :, 0]
        np.testing.assert_allclose(*start, rtol=1e-12)


def test_a_million_inputs_need_no_matrix():
    run = simlr.run(grid(ONE_PASS.replace("steps = [10, 100]", "steps = [3]\nmax_steps = 100"), dimension=10**6))
    assert run["curvature"].shape == (1, 10**6)
    assert (run["train_loss"] < run["trajectory_train_loss"][0, 0, 0]).all()


def test_eigenvalues_and_target_come_from_a_list_or_a_file(tmp_path):
    variances, target = np.array([2.0, 0.5, 0.0, 0.1]), np.array([1.0, -1.0, 3.0, 0.5])
    np.savez(tmp_path / "mine.npz", eigenvalues=variances, target=target)
    np.savetxt(tmp_path / "target.csv", target)
    given = simlr.run(grid(dimension=0, eigenvalues=variances.tolist(), target=target.tolist()))
    files = simlr.run(grid(folder=tmp_path, dimension=0, eigenvalues="mine.npz", target="target.csv"))
    assert given["train_loss"].tobytes() == files["train_loss"].tobytes()
    assert (given["curvature"][0] == 2 * variances).all() and (given["target"][0] == target).all()
    noise = {"kind": "fresh", "batch_size": 1, "sigma": 1.0}
    eta = np.full((1, 100), 0.05)
    got = simlr.expected_losses(2 * variances[None], -target[None], eta, noise, steps=[10, 100])
    np.testing.assert_allclose(given["train_loss"][0], got.train_loss[0], rtol=1e-13)


# ---- bins of axes ----

BINNED = """
name = "binned"
[expectation]
[problem]
kind = "population"
dimension = 3000
capacity = [1.3, 2.0]
[stop]
train_loss = [1.2, 0.9]
max_steps = 60
[record]
points = 8
[[schedule]]
kind = "cosine"
unit = "sharpness"
learning_rate = 0.3
steps = 60
[[optimizer]]
kind = "gd"
average = "exponential"
average_decay = 0.8
[[optimizer]]
kind = "nesterov"
momentum = 0.6
[[noise]]
kind = "fresh"
batch_size = 4
sigma = 0.5
[[noise]]
kind = "gradient"
sigma = 0.1
covariance = "hessian"
[[noise]]
kind = "none"
"""
LOSSES = "train_loss", "test_loss", "average_train_loss", "average_test_loss"


def with_bins(text, error, **problem):
    return grid(text, **problem).replace(expectation={"bin_error": error})


def test_bins_move_no_loss_by_more_than_they_say():
    """The change at the last halving is a bound on what is left, since the error falls with the square of the width."""
    exact = simlr.run(grid(BINNED))
    for error in (1e-3, 1e-5):
        run = simlr.run(with_bins(BINNED, error))
        assert (run["bin_change"] <= error).all() and (run["bins"] < 600).all() and (run["bins"] > 10).all()
        assert (run["stop_step"] == exact["stop_step"]).all() and (run["status"] == exact["status"]).all()
        for name in (*LOSSES, *(f"trajectory_{name}" for name in LOSSES)):
            moved = np.nan_to_num(abs(run[name] / exact[name] - 1.0))
            assert (moved.max(axis=2) <= np.maximum(run["bin_change"], 1e-12)).all(), name
        spread, of_each = run["train_loss_variance"], exact["train_loss_variance"]
        np.testing.assert_allclose(spread, of_each, rtol=10 * error, atol=1e-300)


def test_bins_of_one_axis_lose_nothing_and_say_so():
    exact, run = simlr.run(grid(BINNED, dimension=4)), simlr.run(with_bins(BINNED, 1e-3, dimension=4))
    assert (run["bins"] == 4).all() and (run["bin_change"] == 0.0).all()
    for name in LOSSES:
        np.testing.assert_allclose(run[name], exact[name], rtol=1e-13)
    alike = simlr.run(with_bins(BINNED, 1e-3, dimension=0, capacity=2.0, eigenvalues=[1.0, 0.5, 0.5, 0.0, 0.5, 0.0]))
    assert (alike["bins"] == 3).all() and (alike["bin_change"] == 0.0).all()
    each = simlr.run(grid(BINNED, dimension=0, capacity=2.0, eigenvalues=[1.0, 0.5, 0.5, 0.0, 0.5, 0.0]))
    for name in LOSSES:
        np.testing.assert_allclose(alike[name], each[name], rtol=1e-13)


def test_the_bins_of_a_seed_do_not_depend_on_its_block():
    """Every seed has features, and bins, of its own."""
    whole = with_bins(BINNED, 1e-4, dimension=200, random_features=60).replace(seeds={"count": 5})
    assert whole.expectation == {"bin_error": 1e-4}
    one, other = simlr.run(whole), simlr.run(whole.replace(run={"block_seeds": 3}), threads=1)
    assert len(set(one["bins"].ravel().tolist())) > 2
    for name in (*LOSSES, "bins", "bin_change", "trajectory_train_loss", "stop_step"):
        assert one[name].tobytes() == other[name].tobytes(), name


def test_problems_without_like_axes_have_no_bins():
    tables = grid().tables() | {"problem": {"kind": "nakkiran2020"}, "expectation": {"bin_error": 0.1}}
    tables["noise"] = [{"kind": "gradient", "sigma": 0.1}]
    with pytest.raises(InputError, match=r"expectation\.bin_error groups axes that are alike, of problem 'population'"):
        Job(simlr.GridConfig.from_tables(tables))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ({"dimension": 0}, "problem.dimension is missing"),
        ({"random_features": 101}, "problem.random_features must be at most the 100 inputs, got 101"),
        ({"eigenvalues": [1.0, 2.0]}, "problem.eigenvalues has 2 axes, problem.dimension 100"),
        ({"eigenvalues": [-1.0, 2.0]}, "-1.0"),
        ({"dimension": 2, "eigenvalues": [0.0, 0.0]}, "eigenvalues must be >= 0, and one above 0"),
        ({"capacity": 60.0, "source": -1.0}, "problem.target must be at most 1e+50 in size"),
        ({"capacity": -1.0}, "problem.capacity"),
        ({"target": "powerlaw"}, "did you mean 'power_law'?"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(problem, words):
    with pytest.raises(InputError) as caught:
        Job(grid(**problem))
    assert words in str(caught.value) and "\n" not in str(caught.value)
