"""The functional scaling laws: losses and the law against twins, exponents of made losses, verdicts that can fail."""

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
from simlr.papers import _power_laws as laws

PAPER = load_paper("li2025")
FEW = (("seeds.count", 8), ("study.horizons", [10**6, 10**8, 10**10]), ("study.spread", 1.2))
CONTROLS = {control.name: control for control in PAPER.controls()}


def ran(*overrides):
    return simlr.run(read(PAPER.GRID, [*FEW, *overrides]))


@pytest.fixture(scope="module")
def run():
    return ran()


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS
    assert len(verdict_of(run).findings) == 8


@pytest.mark.parametrize(
    "name",
    ["peaks that are not tuned", "a spectrum that ends", "noise of 30", "copies to seven digits",
     "a rate beyond 2/lam_1", "short horizons", "one seed",
     "a start at the minimiser", "the easy regime alone", "horizons side by side"],
)  # fmt: skip
def test_its_controls_come_out_as_they_must(name):
    control = CONTROLS[name]
    assert verdict_of(ran(*control.overrides)).outcome == control.expected


@pytest.mark.parametrize("name", PAPER.SCHEDULES)
@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_losses_are_those_of_a_step_and_a_mode_at_a_time(name, sigma):
    own = {"decay_power": 1.0, "stable": 0.5, "reversed": False}
    drawn = laws.drawn(3, 2, 2.0, 1.0, 40, 12, 2.0)
    rates, lengths = PAPER.pieces(name, 300, own)
    assert lengths.sum() == 300
    found = laws.losses_of(drawn, sigma)(1, 0.4 * rates, lengths)
    steps = np.repeat(0.4 * rates, lengths).tolist()
    twin = naive.label_noise_loss(drawn.curvature[1].tolist(), drawn.start[1], drawn.modes, steps, sigma)
    assert found == pytest.approx(twin, rel=1e-12)


@pytest.mark.parametrize("name", PAPER.SCHEDULES)
def test_the_law_is_its_integral(name):
    own = {"decay_power": 1.0, "stable": 0.5, "reversed": False}
    rates, lengths = PAPER.pieces(name, 200, own)
    steps = np.repeat(0.3 * rates, lengths).tolist()
    assert PAPER.law(0.3 * rates, lengths, 0.8, 2.5, 1.3) == pytest.approx(
        naive.functional_law(steps, 0.8, 2.5, 1.3), rel=1e-6
    )


def test_decays_end_where_they_are_said_to():
    own = {"decay_power": 1.0, "stable": 0.5, "reversed": False}
    for name, plateau in (("exponential", 0), ("warmup-stable-decay", 5000)):
        rates, lengths = PAPER.pieces(name, 10_000, own)
        falling = rates[1:] if plateau else rates
        assert lengths.sum() == 10_000 and (np.diff(falling) < 0.0).all()
        assert (lengths[0] if plateau else plateau) == plateau
        assert 1e-4 < falling[-1] < 1.05e-4
    own["reversed"] = True
    assert PAPER.pieces("exponential", 10_000, own)[0][-1] > 0.98


def test_problems_are_within_their_factors_of_the_nominal_one():
    drawn = laws.drawn(5, 3, 2.0, 1.5, 10_000, 60, 2.0)
    nominal = laws.drawn(5, 3, 2.0, 1.5, 10_000, 60, 1.0)
    ratio = drawn.curvature / nominal.curvature
    assert 0.70 < ratio.min() < 0.75 and 1.35 < ratio.max() < 1.42
    assert drawn.modes.sum() == 10_000
    j = (np.cumsum(drawn.modes))[:6]
    assert (drawn.modes[:6] == 1).all()
    np.testing.assert_allclose(nominal.curvature[0, :6], j**-2.0, rtol=1e-14)
    np.testing.assert_allclose((nominal.curvature * nominal.start**2)[0, :6], j**-4.0, rtol=1e-13)
    assert not np.array_equal(drawn.curvature, laws.drawn(6, 3, 2.0, 1.5, 10_000, 60, 2.0).curvature)


def test_the_best_peak_is_that_of_a_scan():
    loss = lambda x: 1.0 / x + 3.0 * x * x  # noqa: E731 - its least is at 6^(-1/3)
    peak, value = laws.best_peak(loss, 10.0)
    scanned = min(map(loss, np.geomspace(1e-3, 10.0, 20_001)))
    assert value == pytest.approx(scanned, rel=1e-3) and peak == pytest.approx(6.0 ** (-1 / 3), rel=0.03)
    assert laws.best_peak(lambda x: -x, 2.0)[0] == 2.0


def test_exponents_of_made_losses_are_exact(run):
    """Losses that are the paper's powers and logarithms to the letter."""
    rows = run["horizon"].astype(float)
    made = {"horizon": run["horizon"], "capacity": run["capacity"], "source": run["source"]}
    log = np.log(rows)
    made["loss"] = np.array(
        [[[rows**-0.6], [(rows / log) ** -0.75], [rows**-0.75 * log ** (1.5 / 4)]],
         [[rows ** (-0.3 / 1.3)], [(rows / log) ** -0.3], [rows**-0.3]]]
    )  # fmt: skip
    for i, (beta, s) in enumerate(((2.0, 1.5), (4.0, 0.3))):
        for j, name in enumerate(PAPER.SCHEDULES):
            assert laws.slopes(*PAPER.plain_powers(made, i, j))[0] == pytest.approx(
                PAPER.theory(name, beta, s), rel=1e-12
            )
            ends = naive.slope_between_ends(rows, made["loss"][i, j, 0])
            assert laws.slopes(rows[[0, -1]], made["loss"][i, j, 0, [0, -1]]) == pytest.approx(ends, rel=1e-12)


def test_the_noise_of_the_loss_itself_hardly_matters_in_the_end():
    """One pass over Gaussian rows, whose noise is that of e + sigma^2: its share of the loss falls with D."""
    drawn = laws.drawn(1, 1, 2.0, 1.5, 60, 60, 1.0)
    lam, start = (np.repeat(values, drawn.modes.astype(int), axis=1) for values in (drawn.curvature, drawn.start))
    shares = []
    for steps, rate in ((256, 0.06), (16_384, 0.0025)):
        alone = laws.losses_of(drawn, 1.0)(0, np.array([rate]), np.array([steps]))
        fresh = {"kind": "fresh", "batch_size": 1, "sigma": 1.0}
        whole = simlr.expected_losses(2.0 * lam, start, np.full((1, steps), rate / 2), fresh)
        shares.append(0.5 * whole.train_loss.item() / alone - 1.0)
    assert 0.0 < shares[1] < shares[0] / 3.0 < 0.1


def test_exponents_that_still_turn_refute_nothing():
    """Of losses n^-p + c n^-q the slope moves; pure powers, however wrong, do not, and two budgets show nothing."""
    rows = np.array([1e6, 1e7, 1e8, 1e9, 1e10])
    factors = np.array([[1.0], [1.1], [0.9]])
    bent = factors * (rows**-0.5 + 1e4 * rows**-1.2)
    assert "still turning" in laws.turning(rows, bent, 0.5)
    assert "still turning" in laws.turning(rows, factors * np.exp(-1e-9 * rows), 0.5)
    assert laws.turning(rows, factors * rows**-0.3, 0.5) == ""
    assert laws.turning(rows[[0, -1]], bent[:, [0, -1]], 0.5) == ""
    judged = [laws.of_power("one", rows, losses, 0.5, 0.02, "") for losses in (bent, factors * rows**-0.3)]
    spread = np.linspace(-1e-3, 1e-3, 12)
    wide = [one._replace(found=one.found.mean() + spread) for one in judged]
    assert [one.outcome for one in laws.tested(wide)] == [UNDECIDED, FAILS]


@pytest.mark.parametrize(
    ("own", "moved", "why"),
    [
        ({}, 0.9, ""),
        ({}, 1.0, "the last of study.modes is learnt"),
        ({"sigma": 0.1}, 0.0, "study.sigma over study.distance is not from 0.3 to 3"),
        ({"sigma": 0.1, "distance": 0.1}, 0.0, ""),
        ({"capacity": (2.0, 9.0)}, 0.0, "study.capacity is not from 1.5 to 4"),
        ({"source": 0.1}, 0.0, "study.source is not from 0.3 to 1.5"),
        ({"cap": 1e-3}, 0.0, "study.cap is not from 0.1 to 1"),
    ],
)
def test_limits_are_near_where_tolerances_were_fixed(own, moved, why):
    given = {"capacity": (2.0, 4.0), "source": (1.5, 0.3), "sigma": 1.0, "distance": 1.0, "cap": 1.0} | own
    found = "; ".join(laws.far_from_limits(given, moved))
    assert found.startswith(why) and bool(found) == bool(why)


def test_a_tampered_run_does_not_pass(run):
    arrays = {name: np.array(run[name]) for name in run.names}
    arrays["loss"][0, 2] *= (run["horizon"] / 1e8) ** 0.05
    assert PAPER.check(Tampered(arrays, run.config)).outcome == FAILS
    arrays["loss"][0, 2, 0, 0] = math.nan
    assert PAPER.check(Tampered(arrays, run.config)).outcome == UNDECIDED


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, arrays, config):
        super().__init__(arrays)
        self.config = config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((("study.horizons", [64, 128]),), "at least three ascending whole numbers"),
        ((("study.capacity", [1.0]),), "a list of numbers > 1"),
        ((("study.source", [0.0]),), "a list of numbers > 0"),
        ((("study.stable", 1.5),), "study.stable must be a number from 0 to 1"),
        ((("study.spread", 0.5),), "study.spread must be"),
    ],
)
def test_what_is_refused(overrides, message):
    with pytest.raises(InputError, match=message):
        read(PAPER.GRID, overrides)
