"""The paper of diagonal networks: training against a naive twin, and a verdict that can fail."""

import numpy as np
import pytest

import simlr
from naive.diagonal import iterates
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers._judging import judge_control

PAPER = load_paper("andriushchenko2023")


@pytest.fixture(scope="module")
def run():
    return simlr.run(read(PAPER.GRID, [("seeds.count", 16), ("study.steps", 8000)]))


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS


@pytest.mark.parametrize("control", [one for one in PAPER.controls() if one.always], ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    assert judge_control("andriushchenko2023", control).outcome == control.expected


@pytest.mark.proof
@pytest.mark.parametrize("control", [one for one in PAPER.controls() if not one.always], ids=lambda one: one.name)
def test_its_other_controls_come_out_as_they_must(control):
    assert judge_control("andriushchenko2023", control).outcome == control.expected


OWN = {"rows": 6, "dimension": 9, "nonzero": 3}


@pytest.mark.parametrize(("batch", "sigma"), [(1, 0.0), (3, 0.1), (0, 0.0), (0, 0.2)])
@pytest.mark.parametrize("schedules", [1, 8, 11])
def test_training_equals_its_twin(batch, sigma, schedules):
    """To 1e-11, whatever shares the lanes, with single rows, batches, all rows, and noise in the labels."""
    rng = np.random.default_rng(3)
    problems = [PAPER.problem_of(OWN, 4, seed) for seed in range(3)]
    x = np.stack([rows for rows, _ in problems])
    y = np.stack([rows @ teacher for rows, teacher in problems])
    rates, unit = 0.05 * rng.random((schedules, 150)), np.array([1.0, 0.7, 1.3])
    start, recorded = rng.normal(size=(2, 9)) * 0.3, np.array([0, 1, 60, 150])
    found = PAPER.train(x, y, unit, rates, start, recorded, batch, sigma, 4, threads=2)
    for s in range(schedules):
        for n in range(3):
            wanted = iterates(x[n], y[n], start, unit[n] * rates[s], batch, sigma, 4, n)
            np.testing.assert_allclose(found[s, n], wanted[recorded], rtol=0.0, atol=1e-11 * abs(wanted).max())


def test_bits_do_not_depend_on_threads_or_company():
    problems = [PAPER.problem_of(OWN, 4, seed) for seed in range(5)]
    x = np.stack([rows for rows, _ in problems])
    y = np.stack([rows @ teacher for rows, teacher in problems])
    rates, start = np.full((9, 40), 0.1), np.full((2, 9), 0.1)
    whole = PAPER.train(x, y, np.ones(5), rates, start, np.array([40]), 1, 0.1, 4, threads=1)
    np.testing.assert_array_equal(PAPER.train(x, y, np.ones(5), rates, start, np.array([40]), 1, 0.1, 4, 2), whole)
    some = PAPER.train(x[:2], y[:2], np.ones(2), rates[:2], start, np.array([40]), 1, 0.1, 4, threads=1)
    np.testing.assert_array_equal(some, whole[:2, :2])


def test_the_draws_are_numpys():
    x, teacher = PAPER.problem_of(OWN, 4, 2)
    stream = [np.random.Philox(key=[4, 2], counter=[0, step, 0, 0]) for step in range(2)]
    np.testing.assert_array_equal(x, np.random.Generator(stream[0]).standard_normal((6, 9)))
    size = np.abs(np.random.Generator(stream[1]).standard_normal(9)) * (np.arange(9) < 3)
    np.testing.assert_allclose(teacher, size / np.linalg.norm(size), rtol=1e-15)


def test_a_units_rate_keeps_the_mean_square_of_a_step():
    x, teacher = PAPER.problem_of(OWN, 4, 0)
    s = 2.0 * (x**2) @ teacher
    assert np.mean((1.0 - PAPER.unit_of(x, teacher) * s) ** 2) == pytest.approx(1.0, rel=1e-12)


def test_losses_and_counts_are_those_of_the_networks(run):
    """At the start u * v is 0; at the end the small rate has fitted the rows."""
    _, teacher = PAPER.problem_of(run.config.study, 0, 0)
    start = 0.5 * (teacher**2).sum()  # u * v = 0 at the start
    np.testing.assert_allclose(run["test_loss"][:, 0, 0], start)
    assert (run["entries"][:, :, 0] == 0).all() and (run["length"][:, :, 0] == 0.0).all()
    assert (run["train_loss"][0, :, -1] < 1e-4).all()
    assert list(run["share"]) == [0.0, 0.05, 0.5]


def test_rates_are_large_for_their_share_of_the_steps():
    own = {"steps": 10, "shares": (0.0, 0.3), "large": 1.0, "small": 0.25, "reverse": False}
    np.testing.assert_array_equal(PAPER.rates_of(own), [[0.25] * 10, [1.0] * 3 + [0.25] * 7])
    np.testing.assert_array_equal(PAPER.rates_of(own | {"reverse": True})[1], [0.25] * 7 + [1.0] * 3)


def test_a_tampered_run_fails(run):
    """The draws of two shares swapped; and a draw that diverged."""

    class Tampered:
        config, complete = run.config, True

        def __init__(self, change):
            self._change = change

        def __getitem__(self, name):
            return self._change(run[name]) if name in ("test_loss", "entries") else run[name]

    assert PAPER.check(Tampered(lambda values: values[::-1])).outcome != HOLDS
    assert (
        PAPER.check(Tampered(lambda values: np.where(values == values.flat[-1], np.nan, values))).outcome == UNDECIDED
    )
    nothing = PAPER.check(Tampered(lambda values: values * (values.dtype != np.int64)))
    assert [one.outcome for one in nothing.findings] == [HOLDS, FAILS, HOLDS, FAILS]  # 0 entries are not fewer than 0


@pytest.mark.parametrize("shares", [[0.1], [0.5, 0.1], [0.0, 1.5]])
def test_bad_shares_are_refused(shares):
    with pytest.raises(InputError, match="at least two numbers from 0 to 1 that rise"):
        read(PAPER.GRID, [("study.shares", shares)])
