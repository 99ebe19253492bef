"""The paper of large rates in separable logistic regression: losses against a walk, and a verdict that can fail."""

import math

import numpy as np
import pytest

import simlr
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers._judging import judge_control

PAPER = load_paper("wu2024")
GOLDENS = {
    1.0: (0.479802, 0.108022, 0.0103436, 0.00510427),
    10.0: (0.107306, 0.0103254, 0.00100559, 0.000501574),
}


@pytest.fixture(scope="module")
def run():
    return simlr.run(read(PAPER.GRID, [("seeds.count", 14)]))


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS


@pytest.mark.parametrize("control", [one for one in PAPER.controls() if one.always], ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    assert judge_control("wu2024", control).outcome == control.expected


@pytest.mark.proof
@pytest.mark.parametrize("control", [one for one in PAPER.controls() if not one.always], ids=lambda one: one.name)
def test_its_other_controls_come_out_as_they_must(control):
    assert judge_control("wu2024", control).outcome == control.expected


def test_two_known_points_have_the_known_losses():
    """Points (0.1, 0.9) and (0.1, -0.5) of one label, from 0."""
    rows = np.array([[[0.1, 0.9], [0.1, -0.5]]])
    found = PAPER.descend(rows, np.array(list(GOLDENS)), np.array([100, 1000, 10000, 20000]))
    np.testing.assert_allclose(found.loss[:, 0], list(GOLDENS.values()), rtol=6e-6)


def walk(rows, rate, decay, steps):
    """Losses before each step and after the last, one row after the other."""
    theta, losses = [0.0] * len(rows[0]), []
    for t in range(steps + 1):
        scores = [math.fsum(x * w for x, w in zip(row, theta, strict=True)) for row in rows]
        losses.append(math.fsum(max(-z, 0.0) + math.log1p(math.exp(-abs(z))) for z in scores) / len(rows))
        shares = [1.0 / (1.0 + math.exp(z)) for z in scores]
        moved = [math.fsum(p * row[i] for p, row in zip(shares, rows, strict=True)) for i in range(len(theta))]
        theta = [w + rate * (t + 1) ** -decay * g / len(rows) for w, g in zip(theta, moved, strict=True)]
    return losses


@pytest.mark.parametrize(("rate", "decay"), [(1.0, 0.0), (40.0, 0.0), (40.0, 0.5)])
def test_courses_are_those_of_a_walk(rate, decay):
    """Losses, the steps that raise them, and the peak after the last of these."""
    rows = PAPER.rows_of({"rows": 3, "dimension": 3, "margin": 0.1, "wrong": 0}, 7, 2)
    losses = walk(rows.tolist(), rate, decay, 200)
    found = PAPER.descend(rows[None], np.array([rate]), np.arange(201), decay)
    np.testing.assert_allclose(found.loss[0, 0], losses, rtol=1e-11)
    ups = [t for t in range(1, 201) if losses[t] > losses[t - 1]]
    assert (found.rises[0, 0], found.last_rise[0, 0]) == (len(ups), max(ups, default=0))
    last = max(ups, default=0)
    peak = max(rate * (t - last) * losses[t] for t in range(last, 201))
    assert found.peak[0, 0] == pytest.approx(peak, rel=1e-11)


def test_the_largest_margin_is_the_one_that_is_asked_for():
    """The first axis has it on every row, and the segment between two rows passes the first axis there."""
    own = {"rows": 6, "dimension": 4, "margin": 0.1, "wrong": 0}
    for seed in range(20):
        rows = PAPER.rows_of(own, 3, seed)
        assert (rows[:2, 0] == 0.1).all() and (rows[2:, 0] >= 0.2).all() and (rows[2:, 0] < 0.3).all()
        a, b = np.linalg.norm(rows[0, 1:]), np.linalg.norm(rows[1, 1:])
        assert 0.5 <= min(a, b) and max(a, b) <= 1.0
        np.testing.assert_allclose((b * rows[0] + a * rows[1]) / (a + b), [0.1, 0.0, 0.0, 0.0], atol=1e-15)
    assert not np.array_equal(PAPER.rows_of(own, 3, 0), PAPER.rows_of(own, 4, 0))
    normal = np.random.Generator(np.random.Philox(key=np.array([3, 1], np.uint64))).standard_normal(18).reshape(6, 3)
    found = PAPER.rows_of(own, 3, 1)[0, 1:]
    np.testing.assert_allclose(found / np.linalg.norm(found), normal[0] / np.linalg.norm(normal[0]), rtol=1e-12)


def test_a_tampered_run_fails(run):
    """Losses twice as large at the end are not the limit's."""

    class Tampered:
        config, complete = run.config, True

        def __getitem__(self, name):
            return 2.0 * run[name] if name == "loss" else run[name]

    assert PAPER.check(Tampered()).outcome != HOLDS


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"study.horizons": [50, 100, 200]}, PAPER.EARLY),
        ({"study.rows": 16, "study.horizons": [250, 500, 1000]}, PAPER.EARLY),
        ({"study.rates": [0.5, 1.0]}, PAPER.QUIET),
        ({"study.rates": [64.0, 128.0]}, PAPER.NOT_SMALL),
    ],
)
def test_what_is_not_the_claims_own_setting_refutes_nothing(change, why):
    """Every finding that does not hold says why it does not count."""
    settings = {"seeds.count": 12, "study.horizons": [250, 500, 1000]} | change
    found = verdict_of(simlr.run(read(PAPER.GRID, [*settings.items()])))
    assert found.outcome == UNDECIDED
    assert any(why in one.note for one in found.findings)
    assert FAILS not in {one.outcome for one in found.findings}


@pytest.mark.parametrize(
    ("rate", "steps", "margin", "settled"),
    [(1.0, 5000, 0.1, False), (1.0, 6000, 0.1, True), (64.0, 6000, 0.1, False), (64.0, 7000, 0.1, True),
     (1e4, 10**7, 0.1, False), (1.0, 10**6, 0.005, False), (1.0, 3 * 10**6, 0.005, True)],
)  # fmt: skip
def test_the_limit_is_settled_beyond_the_papers_time(rate, steps, margin, settled):
    """Of 4 rows: 10 * 4 log 4 / gamma^2 at a rate of 1, eta / gamma^2 at a large one, and never soon at 1e4."""
    assert PAPER.has_settled({"rows": 4, "margin": margin}, rate, steps) == settled


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("study.rates", [1.0]), "at least two numbers > 0 that rise"),
        (("study.rates", [2.0, 1.0]), "at least two numbers > 0 that rise"),
        (("study.horizons", [1, 2]), "at least three whole numbers"),
        (("study.dimension", 1), "a whole number >= 2"),
    ],
)
def test_bad_parameters_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        read(PAPER.GRID, [change])
