"""The paper of short horizons: rates and losses against a walk and a mesh, and a verdict that can fail."""

import importlib.util

import numpy as np
import pytest

import simlr
from naive.short_horizons import best_of_mesh, greedy, losses
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers._judging import judge_control

PAPER = load_paper("wu2018")
SMALL = (("study.horizons", [1, 16, 64]), ("study.dimension", 30), ("seeds.count", 6))
pytestmark = pytest.mark.skipif(importlib.util.find_spec("scipy") is None, reason="the searches need SciPy")


def ran(*overrides):
    return simlr.run(read(PAPER.GRID, [*SMALL, *overrides]))


@pytest.fixture(scope="module")
def run():
    return ran()


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS


@pytest.mark.parametrize("control", [one for one in PAPER.controls() if one.always], ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    assert judge_control("wu2018", control).outcome == control.expected


@pytest.mark.proof
@pytest.mark.parametrize("control", [one for one in PAPER.controls() if not one.always], ids=lambda one: one.name)
def test_its_other_controls_come_out_as_they_must(control):
    assert judge_control("wu2018", control).outcome == control.expected


def test_rates_for_all_steps_end_no_higher_than_those_of_any_horizon():
    """Along one axis the greedy rates are the optimum, which 24 pieces are not."""
    made = ran(("study.dimension", 1), ("study.horizons", [1, 8, 64]), ("seeds.count", 3))
    last = made["loss"][:, :, -1]
    assert (last[-1] <= last.min(axis=0)).all()
    np.testing.assert_allclose(last[-1], last[0], rtol=1e-14)


@pytest.mark.parametrize("exponent", [2.0, 1.0, 0.5])
def test_losses_and_greedy_rates_are_those_of_a_walk(exponent):
    """In the paper's units; ours have the noise's covariance in proportion to the Hessian."""
    made = ran(("study.dimension", 5), ("study.horizons", [1, 4]), ("seeds.count", 2), ("study.sigma", 0.7),
               ("study.noise_exponent", exponent))  # fmt: skip
    for seed in range(2):
        one = PAPER.problem(made.config.study, 0, seed)
        h, p = one.curvature, one.residual**2 * one.curvature ** (exponent - 1.0)
        for i in range(2):
            expected = losses(h, p, made["rate"][i, seed], 0.7, exponent)
            np.testing.assert_allclose(made["loss"][i, seed], expected, rtol=1e-12)
        assert made["rate"][0, seed, 0] == pytest.approx(greedy(h, p, 0.7, exponent), rel=1e-13)
        after = p
        for rate in made["rate"][0, seed]:
            assert rate == pytest.approx(greedy(h, after, 0.7, exponent), rel=1e-12)
            after = (1.0 - rate * h) ** 2 * after + rate**2 * h**exponent * 0.49


def test_blocks_are_the_best_of_a_mesh():
    """Two blocks of two steps: the loss after each is at most that of any pair of 61 rates, and not far below."""
    made = ran(("study.dimension", 4), ("study.horizons", [1, 2, 4]), ("seeds.count", 1))
    one = PAPER.problem(made.config.study, 0, 0)
    h, p = one.curvature, one.residual**2 * one.curvature
    for block in range(2):
        first = 2 * block
        mesh = np.linspace(0.0, 2.0 / h.max(), 61).tolist()
        least = best_of_mesh(h.tolist(), p.tolist(), 2, mesh, 1.0, 2.0)
        assert least * 0.99 <= made["loss"][1, 0, first + 2] <= least * (1.0 + 1e-12)
        for rate in made["rate"][1, 0, first : first + 2]:
            p = (1.0 - rate * h) ** 2 * p + rate**2 * h**2


def test_all_steps_end_near_the_optimum_of_optimise(run):
    """Both are local optima of the same pieces, from other starts."""
    one = PAPER.problem(run.config.study, 0, 0)
    rates = run["rate"][-1, 0]
    lengths = np.diff(np.append(np.flatnonzero(np.diff(rates, prepend=np.nan) != 0.0), rates.size))
    best = simlr.optimise(
        one.curvature[None], one.residual[None], 64, one.noise, test_matrix=one.weight, pieces=lengths, starts=1
    )
    assert run["loss"][-1, 0, -1] == pytest.approx(best.loss[0], rel=0.05)


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, run, **changes):
        super().__init__({name: np.array(run[name]) for name in run.names} | changes)
        self.config = run.config


def test_tampered_runs_do_not_pass(run):
    loss, rate = np.array(run["loss"]), np.array(run["rate"])
    assert PAPER.check(Tampered(run, loss=loss[::-1].copy())).outcome == FAILS
    assert PAPER.check(Tampered(run, rate=rate[::-1].copy())).outcome == FAILS
    assert PAPER.check(Tampered(run, searched_rate=1.001 * run["searched_rate"])).outcome == FAILS
    loss[1, 2, -1] = np.nan
    assert PAPER.check(Tampered(run, loss=loss)).outcome == UNDECIDED


def test_without_scipy_nothing_is_judged(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    made = PAPER.measure(read(PAPER.GRID, SMALL).task())
    assert made["searched"] == 0 and np.isfinite(made["rate"][0]).all() and np.isnan(made["rate"][1:]).all()
    found = PAPER.check(made)
    assert found.outcome == UNDECIDED and found.findings[0].outcome == "not run"


@pytest.mark.parametrize("horizons", [[1], [2, 4], [1, 4, 6], [4, 1], [1, 1], [1, 2.5]])
def test_what_is_refused(horizons):
    with pytest.raises(InputError, match=r"study.horizons must be"):
        read(PAPER.GRID, [("study.horizons", horizons)])
