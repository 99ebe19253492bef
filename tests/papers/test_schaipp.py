"""The paper of the last-iterate bound: its numbers against exact fractions, and a verdict that can fail."""

import math

import numpy as np
import pytest

import simlr
from naive.bounds import harmonic, last_iterate_bound, wsd_theorem
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError

PAPER = load_paper("schaipp2025")
SMALL = (("study.horizons", [16384, 65536]), ("study.shown", 60))


def ran(*overrides):
    return simlr.run(read(PAPER.GRID, [*SMALL, *overrides]))


@pytest.fixture(scope="module")
def run():
    return ran()


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS


@pytest.mark.parametrize("control", PAPER.controls(), ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    assert simlr_verdict(control).outcome == control.expected


def simlr_verdict(control):
    """The verdict on a control, at the paper's own horizons where it is about the longest."""
    own = [] if ("study.cooldown", 2e-6) in control.overrides else SMALL
    return verdict_of(simlr.run(read(PAPER.GRID, [*own, *control.overrides])))


@pytest.mark.parametrize("final", [1e-1, 1e-2])
def test_the_coefficient_of_the_logarithm_is_what_the_bound_grows_by(final):
    made = ran(("study.horizons", [4**9, 4**10]), ("study.final", final))
    scaled = made["horizon"] * made["best_bound"] ** 2
    for name in PAPER.FREE:
        growth = np.diff(scaled[PAPER.NAMES.index(name)])[0] / np.log(4.0)
        assert growth == pytest.approx(PAPER.coefficient(name, 0.2, final), rel=0.05)


@pytest.mark.parametrize("final", [1e-3, 1e-4, 1e-6, 1e-300])
def test_a_cooldown_to_what_is_not_nothing_does_not_hold(final):
    assert verdict_of(ran(("study.final", final))).outcome == FAILS


@pytest.mark.parametrize("cooldown", [0.016, 0.03])
def test_a_cooldown_of_a_few_steps_to_nothing_is_not_refuted(cooldown):
    assert verdict_of(ran(("study.horizons", [1000, 2000]), ("study.cooldown", cooldown))).outcome == UNDECIDED


@pytest.mark.parametrize("horizons", [[8, 9], [64, 256], [100_000, 100_001]])
def test_horizons_that_cannot_tell_decide_nothing(horizons):
    assert verdict_of(ran(("study.horizons", horizons))).outcome == UNDECIDED


def test_bounds_are_exact_fractions_at_the_best_rate():
    small = ran(("study.horizons", [9, 40]), ("study.shown", 30))
    decays = PAPER.schedule("warmup-stable-decay", 40, small.config.study).rates(0, 40)
    assert (decays[:32] == 1.0).all() and decays[32] == 1.0 and decays[33] == pytest.approx(7 / 8)
    for i, name in enumerate(PAPER.NAMES):
        shape = PAPER.schedule(name, 40, small.config.study).rates(0, 40)
        gamma = small["best_rate"][i, 1] / shape.max()
        assert small["best_bound"][i, 1] == pytest.approx(float(last_iterate_bound(gamma * shape)), rel=1e-13)
        shape = PAPER.schedule(name, 30, small.config.study).rates(0, 30)
        for step in (1, 17, 30):
            exact = float(last_iterate_bound(small["rate"][i, :step]))
            assert small["bound"][i, step - 1] == pytest.approx(exact, rel=1e-13)
        assert shape.max() * small["rate"][i, 0] == pytest.approx(shape[0] * small["rate"][i].max())
    assert small["best_bound"][0, 1] == pytest.approx(math.sqrt((1 + harmonic(39)) / 40), rel=1e-14)


@pytest.mark.parametrize("steps", [10, 400, 1023])
@pytest.mark.parametrize("cooldown", [0.1, 0.2, 0.9, 1.0])
def test_the_theorem_is_the_papers(steps, cooldown):
    length = min(int(cooldown * (steps + 1)), steps)
    if length < 2:
        assert math.isnan(PAPER.theorem_9(steps, cooldown))
        return
    exact = math.sqrt(wsd_theorem(steps, steps + 1 - length))
    assert PAPER.theorem_9(steps, cooldown) == pytest.approx(exact, rel=1e-13)


def test_a_tampered_run_does_not_pass(run):
    """A hundredth at the longest horizon alone is a growth of seven hundredths with log T."""
    arrays = {name: np.array(run[name]) for name in run.names}
    arrays["best_bound"][PAPER.NAMES.index("warmup-stable-decay"), -1] *= 1.01
    assert PAPER.check(Tampered(arrays, run.config)).outcome == FAILS


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, arrays, config):
        super().__init__(arrays)
        self.config = config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((("study.horizons", [64]),), "at least two ascending whole numbers >= 8"),
        ((("study.horizons", [64, 32]),), "a list of ascending whole numbers >= 1"),
        ((("study.horizons", [4, 32]),), "at least two ascending whole numbers >= 8"),
        ((("study.cooldown", 0.0),), "study.cooldown must be a finite number > 0 and <= 1"),
        ((("study.cooldown", 2.0),), "study.cooldown must be"),
    ],
)
def test_what_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        read(PAPER.GRID, overrides)
