"""Optimal schedules of power laws: losses against twins, optima that nothing near beats, verdicts that can fail."""

import math

import numpy as np
import pytest

import simlr
from naive import scaling as naive
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers import _power_laws as laws

pytest.importorskip("scipy")
PAPER = load_paper("li2026")
FEW = (("seeds.count", 6), ("study.horizons", [10**6, 10**10]))
CONTROLS = {control.name: control for control in PAPER.controls()}


@pytest.fixture(scope="module")
def run():
    return simlr.run(read(PAPER.GRID, FEW))


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS
    assert len(verdict_of(run).findings) == 10


@pytest.mark.parametrize(
    "name",
    ["the best cosine in place of the optimum", "the best constant rate", "the best linear decay", "one seed",
     "a start at the minimiser"],
)  # fmt: skip
def test_its_controls_come_out_as_they_must(name):
    control = CONTROLS[name]
    assert verdict_of(simlr.run(read(PAPER.GRID, control.overrides))).outcome == control.expected


@pytest.mark.parametrize("steps", [64, 1000, 10**6])
def test_pieces_cover_the_steps(steps):
    lengths = PAPER.pieces(steps)
    assert lengths.sum() == steps and lengths.min() >= 1 and lengths[-1] == 1
    assert lengths[:24].max() - lengths[:24].min() <= 1


def test_no_schedule_near_the_optimum_has_a_lower_loss():
    """Its loss is that of a step and a mode at a time, and neither other shapes nor small changes lower it."""
    own = {"cap": 1.0, "sigma": 1.0, "rates": "optimal", "rounds": 500, "reversed": False}
    drawn = laws.drawn(2, 2, 2.0, 1.5, 300, 20, 1.2)
    lengths = PAPER.pieces(400)
    rates, gradient = PAPER._optimum(own, drawn, 1, lengths)
    assert gradient < 1e-4
    modes = drawn.curvature[1].tolist(), drawn.start[1].tolist(), drawn.modes.tolist()

    def loss(values):
        return naive.label_noise_loss(*modes, np.repeat(values, lengths).tolist(), 1.0)

    best = loss(rates)
    assert PAPER._seen(rates, lengths, own, drawn, 1)["loss"] == pytest.approx(best, rel=1e-11)
    random = np.random.default_rng(0)
    for size in (0.01, 0.1, 0.5):
        assert loss(rates * np.exp(size * random.standard_normal(rates.size))) > best
    for power in (0.0, 1.0, 2.0, 3.0):
        shape = (1.0 - PAPER.middles(lengths)) ** power
        assert laws.best_peak(lambda peak, r=shape: loss(peak * r), 1.0)[1] > best


def test_what_is_seen_of_a_power_is_that_power():
    own, drawn, lengths = {"sigma": 1.0}, laws.drawn(0, 1, 2.0, 1.5, 50, 20, 1.0), PAPER.pieces(10**6)
    seen = PAPER._seen((1.0 - PAPER.middles(lengths)) ** 2.5, lengths, own, drawn, 0)
    assert seen["gamma"] == pytest.approx(2.5, rel=1e-12)
    assert seen["share"] == pytest.approx(0.5 ** (1.0 / 2.5), abs=1.0 / 24)


def test_the_papers_exponents_are_consistent():
    """loss ~ (peak N)^-s where the rate falls as a power of the share of the steps: the quoted ones agree."""
    for s, beta in ((1.5, 2.0), (1.0, 3.0), (2.0, 1.5)):
        peak = (s - 1.0 + 1.0 / beta) / (s + 1.0 / beta)
        assert PAPER.of_capacity(s, beta) == pytest.approx(s * (1.0 - peak))
    assert PAPER.of_capacity(1.0, 1.0) == 0.5  # a constant rate: s/(s + 1)


def test_a_tampered_run_does_not_pass(run):
    arrays = {name: np.array(run[name]) for name in run.names}
    for name, place, value, outcome in (
        ("gamma", np.s_[0, :, -1], np.linspace(1.9, 2.1, 6), FAILS),
        ("peak", np.s_[1, 0, 0], 0.9, FAILS),
        ("gradient", np.s_[0, 0, 0], 0.1, UNDECIDED),
        ("loss", np.s_[0, 0, 0], math.nan, UNDECIDED),
    ):
        changed = {key: values.copy() for key, values in arrays.items()}
        changed[name][place] = value
        assert PAPER.check(Tampered(changed, run.config)).outcome == outcome, name


def test_without_scipy_powers_are_judged_alone(run, monkeypatch):
    monkeypatch.setattr(PAPER.importlib.util, "find_spec", lambda name: None)
    found = verdict_of(simlr.run(read(PAPER.GRID, FEW)))
    assert [finding.outcome for finding in found.findings].count(NOT_RUN) == 2
    assert found.outcome == HOLDS


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, arrays, config):
        super().__init__(arrays)
        self.config = config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((("study.horizons", [128]),), "at least two ascending whole numbers from 64"),
        ((("study.powers", [-1.0]),), "a list of numbers >= 0"),
        ((("study.rates", "wsd"),), "study.rates"),
        ((("study.shape_capacity", 1.0),), "a finite number > 1"),
    ],
)
def test_what_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        read(PAPER.GRID, overrides)
