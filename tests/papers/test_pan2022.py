"""The paper of eigencurve: passes, rows and shapes against naive ones, and a verdict that can fail."""

import numpy as np
import pytest

import simlr
from naive import ridge as naive
from naive.schedules import eigencurve
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, UNDECIDED
from simlr.config.reading import read
from simlr.errors import InputError
from simlr.papers import _ridge

PAPER = load_paper("pan2022")
SMALL = (("study.tuning", 6), ("seeds.count", 40))
FEW = (("study.rows", 60), ("study.tuning", 2), ("seeds.count", 2), ("study.rates", 3))


def ran(*overrides):
    return simlr.run(read(PAPER.GRID, overrides))


@pytest.fixture(scope="module")
def run():
    return ran(*SMALL)


def test_the_claim_holds(run):
    assert verdict_of(run).outcome == HOLDS


@pytest.mark.parametrize("control", [one for one in PAPER.controls() if one.always], ids=lambda control: control.name)
def test_its_controls_come_out_as_they_must(control):
    assert verdict_of(ran(*control.overrides)).outcome == control.expected


@pytest.mark.proof
@pytest.mark.parametrize("control", [one for one in PAPER.controls() if not one.always], ids=lambda one: one.name)
def test_its_other_controls_come_out_as_they_must(control):
    assert verdict_of(ran(*control.overrides)).outcome == control.expected


# ---- twins ----


def test_a_pass_is_that_of_a_walk():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(20, 5)) * (generator.random((20, 5)) < 0.6)
    labels, order, rates = generator.normal(size=20), generator.permutation(20)[:15], generator.random((3, 15)) * 0.3
    problem = _ridge.ridge(rows, labels, 0.05)
    found = _ridge.one_pass(problem, rates, order)
    least = naive.loss(rows, labels, 0.05, problem.minimiser)
    assert problem.least == pytest.approx(least, rel=1e-12)
    for c in range(3):
        weights = naive.one_pass(rows.tolist(), labels.tolist(), 0.05, rates[c].tolist(), order.tolist())
        assert found[c] == pytest.approx(naive.loss(rows, labels, 0.05, weights) - least, rel=1e-9)
    for place in range(5):
        for step in (-1e-3, 1e-3):
            moved = problem.minimiser + step * (np.arange(5) == place)
            assert naive.loss(rows, labels, 0.05, moved) > least
    np.testing.assert_allclose(
        problem.curvature, np.linalg.eigvalsh(rows.T @ rows / 10.0 + 0.1 * np.eye(5))[::-1], rtol=1e-12
    )


def test_made_up_rows_are_those_of_their_streams():
    rows, labels = _ridge.made_up(50, 1.5, 1.0, False, 3)
    philox = np.random.Philox(key=np.array([3, 0], np.uint64), counter=np.zeros(4, np.uint64))
    uniforms = np.random.Generator(philox).random((50, 14))
    for k in range(50):
        first, ones = 0, []
        for uniform, size in zip(uniforms[k], _ridge.ATTRIBUTES, strict=True):
            ones.append(first + naive.category(uniform, size, 1.5))
            first += size
        assert np.flatnonzero(rows[k]).tolist() == ones
    assert rows.shape == (50, 122) and set(labels) == {-1.0, 1.0} and (labels == 1.0).sum() == 13
    _, linear = _ridge.made_up(50, 1.5, 1.0, True, 3)
    assert _ridge.ridge(rows, linear, 1e-9).least < 1e-6


def test_rates_are_the_shapes_at_every_rate():
    own = read(PAPER.GRID, FEW).study
    curvature = np.array([4.0, 1.0, 0.5, 0.1])
    found = PAPER.tuned_rates(own, 40, curvature)
    first = [0.1, 0.1 * 10**-1.5, 1e-4]
    for name in PAPER.FAMILIES[:-1]:
        shares = (1.0,) if name == "constant" else PAPER.SHARES
        expected = [[eta * naive.shape(name, t, 40, share) for t in range(40)] for share in shares for eta in first]
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)
    expected = [[eigencurve(t, 40, eta, curvature.tolist()) for t in range(40)] for eta in first]
    np.testing.assert_allclose(found["eigencurve"], expected, rtol=1e-12)


def test_the_best_of_every_family_is_judged_on_other_orders():
    made = ran(*FEW)
    own = made.config.study
    problem = _ridge.ridge(*_ridge.made_up(60, 1.5, 1.0, False, 0), 1e-3)
    tried = PAPER.tuned_rates(own, 60, problem.curvature)
    orders = {}
    for step, draw in ((1, 0), (1, 1), (0, 0), (0, 1)):
        philox = np.random.Philox(key=np.array([0, draw], np.uint64), counter=np.array([0, step, 4, 0], np.uint64))
        orders[step, draw] = np.argsort(np.random.Generator(philox).random(60), kind="stable")
    for i, name in enumerate(PAPER.FAMILIES):
        means = sum(_ridge.one_pass(problem, tried[name], orders[1, draw]) for draw in range(2)) / 2.0
        best = tried[name][np.argmin(means)]
        np.testing.assert_array_equal(made["rate"][i], best)
        expected = [_ridge.one_pass(problem, best[None], orders[0, draw])[0] for draw in range(2)]
        np.testing.assert_allclose(made["loss"][i], expected, rtol=1e-12)


# ---- files ----


def test_a_file_of_rows_takes_their_place(tmp_path):
    rows, labels = _ridge.made_up(60, 1.5, 1.0, False, 0)
    path = tmp_path / "rows.txt"
    lines = [
        f"{label:+g} " + " ".join(f"{index + 1}:1" for index in np.flatnonzero(row))
        for row, label in zip(rows, labels, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    read_rows, read_labels = _ridge.read_libsvm(str(path))
    wide = read_rows.shape[1]
    assert not rows[:, wide:].any()
    np.testing.assert_array_equal(read_rows, rows[:, :wide])
    np.testing.assert_array_equal(read_labels, labels)
    made = ran(*FEW, ("study.file", str(path)))
    assert int(made["rows"]) == 60 and made["curvature"].size == wide


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least two rows"),
        ("1\n-1\n", "at least two rows with a value"),
        ("1 1:1\n-1 x:1\n", "line 2: must be a label"),
        ("1 1:1\n-1 0:1\n", "line 2: indices are from 1"),
        ("1 1:1\n-1 2:nan\n", "line 2: indices are from 1, and values finite"),
        ("1 1:1\n\n", "line 2: must be a label"),
        ("1 1:1 1:5\n-1 2:1\n", "line 1: every index is given once"),
        ("1 1:1\n-1 999999999999:1\n", "line 2: every index is given once, and is at most 20000"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path, text, message):
    path = tmp_path / "rows.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        _ridge.read_libsvm(str(path))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        _ridge.read_libsvm(str(tmp_path / "none"))


# ---- tampering ----


class Tampered(dict):
    """Arrays in place of a run's."""

    def __init__(self, run, **changes):
        super().__init__({name: np.array(run[name]) for name in run.names} | changes)
        self.config = run.config


def test_tampered_runs_do_not_pass(run):
    loss = np.array(run["loss"])
    assert PAPER.check(Tampered(run, loss=loss[[5, 1, 2, 3, 4, 0]])).outcome == FAILS
    assert PAPER.check(Tampered(run, loss=loss[[0, 1, 2, 3, 5, 5]])).outcome in (FAILS, UNDECIDED)
    worse = loss.copy()
    worse[3] *= 0.5
    assert PAPER.check(Tampered(run, loss=worse)).outcome == FAILS
    worse[0, 0] = np.inf
    assert PAPER.check(Tampered(run, loss=worse)).outcome == UNDECIDED
