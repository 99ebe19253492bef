"""Laws on runs: trajectories are the exact curves, and the exact optimum beside a law's best is `simlr.optimise`'s."""

import json

import numpy as np
import pytest

import simlr
from simlr.__main__ import main
from simlr.errors import InputError
from simlr.laws import curves_of_run, exact_losses

GRID = """
name = "of-run"
[expectation]
[problem]
kind = "population"
dimension = 40
capacity = [1.5, 2.0]
source = 1.0
[seeds]
count = 1
[stop]
steps = [100, 300]
[record]
points = 30
[[noise]]
kind = "fresh"
batch_size = 4
sigma = 0.3
[[schedule]]
kind = "constant"
learning_rate = [0.05, 0.1]
[[schedule]]
kind = "cosine"
learning_rate = 0.1
steps = "budget"
[[schedule]]
name = "too high"
kind = "constant"
learning_rate = 50.0
"""
PROBLEM = {"capacity": 2.0}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    out = tmp_path_factory.mktemp("of-run") / "run.h5"
    simlr.run(GRID, out)
    return out


def spectrum(capacity, source, axes):
    """2 j^-capacity and the distances at the start (1, axes) of the population's power law, written anew."""
    rank = np.arange(1.0, axes + 1.0)
    return 2.0 * rank[None] ** -capacity, rank[None] ** (0.5 * (capacity - 1.0 - source * capacity))


def test_the_curves_are_the_exact_means(path):
    read = curves_of_run(simlr.load(path), PROBLEM)
    assert [one.curve.name for one in read] == [
        *("constant[learning_rate=0.05]", "constant[learning_rate=0.1]", "cosine[steps=100]", "cosine[steps=300]"),
    ]
    assert "too high" in read[0].notes[0]
    noise = {"kind": "fresh", "batch_size": 4, "sigma": 0.3}
    for one in read:
        curve = one.curve
        assert curve.batch == 4.0 and curve.steps[0] == 1
        found = simlr.expected_losses(*spectrum(2.0, 1.0, 40), [curve.rates], noise, steps=curve.steps)
        np.testing.assert_allclose(curve.losses, found.train_loss[0, 0], rtol=1e-10)
    np.testing.assert_allclose(
        read[3].curve.rates, simlr.schedules.tabulate("cosine", steps=300, learning_rate=0.1), rtol=1e-14
    )


def test_the_optimum_is_that_of_optimise_and_none_is_below_it(path):
    pytest.importorskip("scipy")
    rates = {
        "linear": simlr.schedules.tabulate("linear", steps=60, learning_rate=0.1),
        "constant": np.full(60, 0.1),
    }
    found = exact_losses(simlr.load(path), rates, PROBLEM)
    curvature, start = spectrum(2.0, 1.0, 40)
    noise = {"kind": "fresh", "batch_size": 4, "sigma": 0.3}
    limits = {"shape": "monotone", "peak": 0.1}
    best = simlr.optimise(curvature, start, 60, noise, limits=limits)
    assert found.optimum == pytest.approx(best.loss, rel=1e-6) and found.optimum < min(found.losses.values())
    assert found.rates.max() == pytest.approx(0.1) and (np.diff(found.rates) <= 1e-15).all()
    told = simlr.expected_losses(curvature, start, np.stack([*rates.values(), found.rates]), noise)
    np.testing.assert_allclose([*found.losses.values(), found.optimum], told.train_loss[:, 0, 0], rtol=1e-10)


def test_the_command_holds_the_laws_best_beside_the_exact_optimum(path, tmp_path, capsys):
    pytest.importorskip("scipy")
    few = ["--law", "annealing", "--starts", "1", "--resamples", "0", "--from", "10", "--problem", "capacity=2.0"]
    assert main(["fit", str(path), *few, "--optimise", "--horizon", "60", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["exact"]["losses"]) == {"best to the law", "constant", "cosine", "linear", "wsd"}
    assert told["exact"]["optimum"] <= min(told["exact"]["losses"].values())
    assert main(["fit", str(path), *few, "--optimise", "--horizon", "60", "--out", str(tmp_path / "o")]) == 0
    assert "Exact last losses" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ({}, "a law is of one problem, and 2 have these values; --problem NAME=VALUE chooses, of capacity: 1.5, 2.0"),
        ({"capacity": 3.0}, "and 0 have these values"),
        ({"capacty": 2.0}, "unknown axis of the problem 'capacty'; did you mean 'capacity'?"),
    ],
)
def test_which_problem_is_meant_has_to_be_said(path, problem, message):
    with pytest.raises(InputError) as told:
        curves_of_run(simlr.load(path), problem)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points = 30", "points = 0", "no trajectories are recorded"),
        ("sigma = 0.3", "sigma = [0.3, 0.4]", "the run has 2 of them"),
        ("learning_rate = 50.0", 'learning_rate = 0.5\nunit = "sharpness"', "in units of the sharpness"),
    ],
)
def test_what_no_law_takes_is_refused_in_one_line(old, new, message):
    run = simlr.run(GRID.replace(old, new))
    with pytest.raises(InputError) as told:
        curves_of_run(run, PROBLEM)
    assert message in str(told.value) and "\n" not in str(told.value)


MINIBATCHES = """
name = "mini-batches"
[problem]
kind = "gaussian"
dimension = 5
train_rows = 20
label_noise = 0.5
[seeds]
count = 8
[stop]
steps = 100
[record]
points = 30
[[optimizer]]
kind = "sgd"
batch_size = 2
[[schedule]]
kind = "constant"
learning_rate = [0.02, 0.05]
"""


def test_where_there_is_no_exact_optimum_the_law_stands_alone(tmp_path, capsys):
    pytest.importorskip("scipy")
    simlr.run(MINIBATCHES, tmp_path / "run.h5")
    few = ["--law", "annealing", "--starts", "1", "--resamples", "0", "--from", "10"]
    given = ["fit", str(tmp_path / "run.h5"), *few, "--optimise", "--horizon", "60", "--out", str(tmp_path / "o")]
    assert main(given) == 0
    said = capsys.readouterr()
    assert "no exact optimum beside it" in said.err and "Exact last losses" not in said.out
