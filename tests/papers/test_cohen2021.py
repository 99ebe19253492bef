"""The paper of the edge of stability: training and Hessians against naive twins, and a verdict that can fail."""

import numpy as np
import pytest

import simlr
from naive.diagonal import iterates
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import HOLDS
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers._judging import judge_control

PAPER = load_paper("cohen2021")
OWN = {"rows": 10, "dimension": 20, "length": 3.0}


@pytest.fixture(scope="module")
def run():
    return simlr.run(read(PAPER.GRID, [("seeds.count", 60)]))


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS


def test_below_the_edge_the_sharpness_is_not_that_of_the_edge(run):
    """It ends at half of it there, and at it beyond: the rate decides, not the rows."""
    late = np.median(run["sharpness_over_edge"][:, :, run["step"] >= 2500], axis=2)
    assert np.median(late[0]) == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(np.median(late[1:], axis=1), 1.0, atol=0.02)


@pytest.mark.parametrize("control", [one for one in PAPER.controls() if one.always], ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    assert judge_control("cohen2021", control).outcome == control.expected


@pytest.mark.proof
@pytest.mark.parametrize("control", [one for one in PAPER.controls() if not one.always], ids=lambda one: one.name)
def test_its_other_controls_come_out_as_they_must(control):
    assert judge_control("cohen2021", control).outcome == control.expected


def test_losses_and_sharpness_are_a_twin_s(run):
    """Of the rate beyond the edge, by its formulas, over the steps before small differences have grown."""
    for seed in (0, 7):
        x, y = PAPER.problem_of(OWN, 0, seed)
        start, flow = np.stack([np.full(20, 0.1), np.zeros(20)]), run["flow_sharpness"][seed]
        rate = 1.2 * 2.0 / flow
        found = iterates(x, y, start, np.full(40, rate), 0, 0.0, 0, seed)
        for t in (0, 1, 17, 40):
            error = x @ (found[t, 0] * found[t, 1]) - y
            assert run["train_loss"][2, seed, t] == pytest.approx(0.5 * np.mean(error**2), rel=1e-8)
            sharpness = np.linalg.eigvalsh(differences(x, y, found[t].reshape(-1)))[-1]
            assert run["sharpness_over_edge"][2, seed, t] == pytest.approx(sharpness * rate / 2.0, rel=1e-5)


def differences(x, y, theta):
    """The Hessian from differences of the gradient."""

    def gradient(at):
        u, v = np.split(at, 2)
        g = x.T @ (x @ (u * v) - y) / len(x)
        return np.concatenate([g * v, g * u])

    moves = 1e-5 * np.eye(theta.size)
    found = np.array([(gradient(theta + move) - gradient(theta - move)) / 2e-5 for move in moves])
    return 0.5 * (found + found.T)


def test_the_small_rate_ends_where_a_smaller_one_does():
    """S is that of an end, and not of the rate that found it: a flow within 1 % by a rate of a quarter."""
    x, y = PAPER.problem_of(OWN, 0, 1)
    top = np.linalg.eigvalsh(x @ x.T / 10)[-1]
    start = np.stack([np.full(20, 0.1), np.zeros(20)])
    found = iterates(x, y, start, np.full(20_000, 0.25 * PAPER.SMALL / 3.0 / top), 0, 0.0, 0, 1)[-1]
    smaller = np.linalg.eigvalsh(differences(x, y, found.reshape(-1)))[-1]
    run = simlr.run(read(PAPER.GRID, [("seeds.count", 2), ("study.steps", 20)]))
    assert run["flow_sharpness"][1] == pytest.approx(smaller, rel=0.01)


def test_bits_do_not_depend_on_threads_or_company():
    one, two = (
        simlr.run(read(PAPER.GRID, [("seeds.count", count), ("study.steps", 300)]), threads=count) for count in (2, 1)
    )
    np.testing.assert_array_equal(one["train_loss"][:, :1], two["train_loss"])
    np.testing.assert_array_equal(one["sharpness_over_edge"][:, :1], two["sharpness_over_edge"])


@pytest.mark.parametrize("ratios", [[1.0], [1.2, 1.1], [0.0, 1.0], [0.5, 0.5]])
def test_rates_that_cannot_be_are_refused(ratios):
    with pytest.raises(InputError, match=r"study\.ratios must be at least two numbers above 0 that rise"):
        read(PAPER.GRID, [("study.ratios", ratios)])


def test_its_picture_draws_the_medians(run):
    pytest.importorskip("matplotlib")
    from simlr.report.figures import style

    with style.applied():
        (picture,) = PAPER.pictures(run)
    line = picture.figure.axes[0].get_lines()[0]
    np.testing.assert_array_equal(line.get_ydata(), np.median(run["sharpness_over_edge"][0], axis=0))
