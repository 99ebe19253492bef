"""Momentum and batch size: squared steps against single ones, limits and floors against references, and verdicts."""

import math

import numpy as np
import pytest

import simlr
from naive import scaling as naive
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers import _momentum as momentum
from simlr.papers import _power_laws as laws

PAPER = load_paper("wang2026")
FEW = (("seeds.count", 10), ("study.bins", 60))
CONTROLS = {control.name: control for control in PAPER.controls()}


@pytest.fixture(scope="module")
def run():
    return simlr.run(read(PAPER.GRID, FEW))


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS
    assert len(verdict_of(run).findings) == 20


@pytest.mark.parametrize("name", ["no momentum", "one seed", "a batch size at a border"])
def test_its_controls_come_out_as_they_must(name):
    control = CONTROLS[name]
    few = (*FEW, *control.overrides, ("seeds.count", 10 if name == "no momentum" else 1))
    assert verdict_of(simlr.run(read(PAPER.GRID, few))).outcome == control.expected


@pytest.mark.parametrize("name", momentum.OPTIMIZERS)
@pytest.mark.parametrize("doublings", [0, 1, 5])
def test_squared_steps_are_single_ones(name, doublings):
    """By torch's update, a step at a time, for the mean and the covariance."""
    left = np.array([1.0]) if name == "SGD" else np.array([0.5, 0.05])
    lam, rate = np.array([1.0, 0.3, 1e-3]), 0.4
    found = momentum.after(name, rate, left[:, None], lam[None, :], doublings)
    for i, gone in enumerate(left):
        for j, one in enumerate(lam):
            mean, variance = naive.momentum_moments(name, rate, 1.0 - gone, one, 2**doublings)
            assert found.across[i, j] == pytest.approx(mean, rel=1e-11, abs=1e-14)
            assert found.variance[i, j] == pytest.approx(variance, rel=1e-11)


def test_tiny_rates_over_many_steps_keep_what_they_add():
    """2^50 steps of 2^-50 along lam = 1: (1 - 2^-50)^(2^50) is 1/e; by numbers near 1 some tenth would be lost."""
    found = momentum.after("SGD", np.array([2.0**-50]), np.array([1.0]), np.array([1.0]), 50)
    assert found.across[0] == pytest.approx(math.exp(-1.0), rel=1e-12)
    assert found.variance[0] == pytest.approx(2.0**-51 * (1.0 - math.exp(-2.0)), rel=1e-12)


@pytest.mark.parametrize(("name", "kind"), PAPER.KINDS.items())
def test_gains_are_those_of_stability(name, kind):
    lam, count = np.array([1.0, 0.5, 0.1, 1e-3]), np.array([1.0, 2.0, 3.0, 5.0])
    left, rate, batch = (1.0 if name == "SGD" else 0.125), 0.2, 8.0
    method = {"kind": kind} | ({} if name == "SGD" else {"momentum": 1.0 - left})
    axes = np.repeat(lam, count.astype(int))[None]
    noise = {"kind": "fresh", "batch_size": batch, "sigma": 1.0}
    expected = simlr.stability(2.0 * axes, noise, method, rate / 2.0)
    found = momentum.gain(name, np.array([[rate]]), np.array([[left]]), lam, count, batch)
    assert found == pytest.approx(expected.gain, rel=1e-12)
    beyond = momentum.gain(name, np.array([[10.0]]), np.array([[left]]), lam, count, batch)
    assert np.isinf(beyond).all()


def test_limits_of_the_nominal_problem_are_the_reference_ones():
    """Those of d = 4096, beta = 2, without factors on the eigenvalues."""
    made = simlr.run(read(PAPER.GRID, [("seeds.count", 1), ("study.spread", 1.0), ("study.bins", 5)]))
    found = dict(zip(made["batch"].tolist(), made["sgd_limit"][:, 0], strict=True))
    assert [found[batch] for batch in (1, 4, 1024)] == pytest.approx([0.6110058786, 1.304152, 1.996099942], rel=1e-6)


def test_best_rates_and_momenta_are_those_of_a_scan():
    drawn = laws.drawn(0, 1, 2.0, 1.0, 200, 20, 1.2)
    own = momentum.Setting(drawn.curvature[0], drawn.start[0] ** 2, drawn.modes, 64.0, 1.0, 8, 1e-12)
    for name in momentum.OPTIMIZERS:
        best, rate, left = momentum.best(name, own)
        lefts = np.geomspace(1e-3, 1.0, 25) if name != "SGD" else np.ones(1)
        scanned = momentum.losses(name, np.geomspace(1e-3, 4.0, 200)[:, None], lefts[None, :], own).min()
        assert best == pytest.approx(scanned, rel=0.05)
        assert momentum.losses(name, np.array([rate]), np.array([left]), own)[0] == best


def test_the_papers_exponents_meet_at_its_borders():
    for s, beta in ((1.0, 3.0), (3.0, 2.0), (0.3, 4.0)):
        b1, b2, b3 = PAPER.borders(s, beta)
        assert b1 < b2 < b3
        for name, places in (("SGD", [b1]), ("Polyak", [b3]), ("Nesterov", [b1, b2])):
            for b in places:
                below, above = (PAPER.theory(name, s, beta, b * (1.0 + shift)) for shift in (-1e-12, 1e-12))
                assert below == pytest.approx(above, abs=1e-9)


def test_modes_that_count_are_those_of_the_limits():
    """At the largest stable rate of Nesterov's momentum, B modes have eta lam_j > 1 - rho, whose floors have others."""
    own = {"limit_capacity": 2.0, "dimension": 4096}
    assert PAPER._few_modes(own) == ""
    assert "below 16 times the 205 modes" in PAPER._few_modes(own | {"dimension": 3000})
    for beta, expected in ((1.2, "the spectrum ends"), (3.0, ""), (4.0, "bound as those of SGD"), (9.0, "too few")):
        assert expected in PAPER._few_modes(own | {"limit_capacity": beta}), beta
        assert bool(expected) == bool(PAPER._few_modes(own | {"limit_capacity": beta})), beta
    lam = np.arange(1.0, 4097.0) ** -2.0
    noise = {"kind": "fresh", "batch_size": 64, "sigma": 1.0}
    method = {"kind": "nesterov", "momentum": 1.0 - 2.0**-24}
    rate = 2.0 * simlr.stability(2.0 * lam[None], noise, method).limit[0]
    assert (rate * lam > 2.0**-24).sum() == pytest.approx(64, rel=0.3)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"dimension": 64, "modes": 100}, "the spectrum ends: study.dimension"),
        ({"dimension": 64, "modes": 100}, "the last of study.modes is learnt"),
        ({"dimension": 64, "sigma": 1e-12}, "study.sigma over study.distance is not from 0.3 to 3"),
    ],
)
def test_settings_far_from_the_limits_refute_nothing(settings, why):
    few = [("seeds.count", 2), ("study.bins", 60), *((f"study.{key}", value) for key, value in settings.items())]
    found = verdict_of(simlr.run(read(PAPER.GRID, few)))
    assert found.outcome == UNDECIDED and FAILS not in {one.outcome for one in found.findings}
    assert any(why in line for line in found.lines)


def test_a_tampered_run_does_not_pass(run):
    for name, place, outcome in (("loss", np.s_[1, 2], FAILS), ("limit", np.s_[3], FAILS), ("floor", np.s_[3], FAILS)):
        arrays = {key: np.array(run[key]) for key in run.names}
        arrays[name][place] *= 2.0 ** (0.6 * np.arange(PAPER.PLACES))
        assert PAPER.check(Tampered(arrays, run.config)).outcome == outcome, name
    arrays["loss"][0, 0, 0, 0] = math.nan
    assert PAPER.check(Tampered(arrays, run.config)).outcome == UNDECIDED


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, arrays, config):
        super().__init__(arrays)
        self.config = config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((("study.batch_powers", [0.5, 0.2, 0.9]),), "three ascending numbers from 0 to below 1"),
        ((("study.batch_powers", [0.5, 0.9]),), "a list of 3 finite numbers"),
        ((("study.log_steps", [1.5, 2.0, 3.0]),), "three whole numbers from 1 to 40"),
    ],
)
def test_what_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        read(PAPER.GRID, overrides)
