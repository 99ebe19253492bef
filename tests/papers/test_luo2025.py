"""The multi-power law: predictions against a twin, public curves that are made here, and verdicts that can fail."""

import math

import numpy as np
import pytest

import simlr
from naive import loss_laws as naive
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.laws.law import PUBLISHED as PARAMETERS

pytest.importorskip("scipy")
PAPER = load_paper("luo2025")
FEW = (("seeds.count", 5), ("study.modes", 60), ("study.losses", 15), ("study.starts", 1), ("study.steps", 1000))
CONTROLS = {control.name: control for control in PAPER.controls()}


@pytest.fixture(scope="module")
def run():
    return simlr.run(read(PAPER.GRID, FEW))


def test_the_claim_holds_and_the_public_curves_are_not_run(run):
    found = verdict_of(run)
    assert found.outcome == HOLDS
    assert [finding.outcome for finding in found.findings] == [HOLDS] * 4 + [NOT_RUN] * 3


@pytest.mark.parametrize(
    "name", ["without the sum over changes", "rates told backwards", "one seed", "400 steps", "a rate beyond the limit"]
)
def test_its_controls_come_out_as_they_must(name):
    control = CONTROLS[name]
    assert verdict_of(simlr.run(read(PAPER.GRID, [*FEW, *control.overrides]))).outcome == control.expected


@pytest.mark.parametrize("name", PAPER.TESTED)
def test_the_authors_schedules_are_theirs(name):
    """Warm-up from 0 in the first step to the peak in the last, then the values that their files print."""
    rates = PAPER.public_rates(name, 24_000)
    assert rates[0] == 0.0 and rates[2159] == PAPER.PEAK and rates[1] == pytest.approx(PAPER.PEAK / 2159)
    expected = {
        "constant_72000": (3e-4, 3e-4),
        "cosine_72000": (0.000299997762238507, None),
        "wsd_20000_24000": (3e-4, 3e-4 * 10.0 ** -(3999 / 4000)),
        "wsdld_20000_24000": (3e-4, 3e-4 - 2.7e-4 * 3999 / 4000),
        "wsdcon_3": (3e-4, 3e-5),
        "wsdcon_18": (3e-4, 1.8e-4),
    }[name]
    assert rates[2288] == pytest.approx(expected[0], rel=1e-12)
    if expected[1] is not None:
        assert rates[-1] == pytest.approx(expected[1], rel=1e-12)


def test_public_curves_that_are_the_law_but_for_a_shift_have_that_error(tmp_path):
    """A row's step counts from 0: its loss is that after one update more. Losses by the twin, 0.002 above."""
    for name in PAPER.TESTED:
        rates = PAPER.public_rates(name, 9000).tolist()
        rows = [
            (s, naive.multi_power(PARAMETERS["multi-power"]["25M"], rates, s + 1) + 0.002) for s in (2300, 5000, 8999)
        ]
        text = "".join(f"{s},{rates[s]!r},{loss!r}\n" for s, loss in rows)
        (tmp_path / f"25M-{name}.csv").write_text("step,lr,loss\n" + text)
    found = PAPER._published(str(tmp_path))
    assert found[0, 1:] == pytest.approx(0.002, rel=1e-8)
    assert np.isnan(found[1:]).all()


def test_errors_are_those_of_their_definitions():
    observed, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0])
    r2, mae, rmse = PAPER.errors(observed, predicted)
    around = (1.0 - 7 / 3) ** 2 + (2.0 - 7 / 3) ** 2 + (4.0 - 7 / 3) ** 2
    assert (r2, mae, rmse) == pytest.approx((1.0 - 1.25 / around, 0.5, math.sqrt(1.25 / 3)))
    assert math.isnan(PAPER.errors(np.ones(3), predicted)[0])


def test_a_tampered_run_does_not_pass(run):
    for name, value, outcome in (("r2", 0.98, FAILS), ("r2", math.nan, UNDECIDED), ("public", 0.9, FAILS)):
        arrays = {key: np.array(run[key]) for key in run.names}
        arrays[name][0] = value - 1e-4 * np.arange(len(arrays[name][0]))  # equal draws would show nothing
        assert PAPER.check(Tampered(arrays, run.config)).outcome == outcome, name


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, arrays, config):
        super().__init__(arrays)
        self.config = config


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="a list of constant, cosine, two-stage"):
        read(PAPER.GRID, [("study.fitted", ["linear"])])
    with pytest.raises(InputError, match="a list of schedules, each once"):
        read(PAPER.GRID, [("study.fitted", ["cosine", "cosine"])])
    with pytest.raises(InputError, match="there is no folder"):
        PAPER._published(str(tmp_path / "nowhere"))
    for name in PAPER.TESTED:
        (tmp_path / f"25M-{name}.csv").write_text("a,b\n1,2\n2,3\n")
    with pytest.raises(InputError, match=r"constant_72000\.csv is no table with the columns step and loss"):
        PAPER._published(str(tmp_path))
    (tmp_path / f"25M-{PAPER.TESTED[0]}.csv").write_text("step,loss\n1,2\n2,nan\n")
    with pytest.raises(InputError, match="needs two rows of numbers at least"):
        PAPER._published(str(tmp_path))
