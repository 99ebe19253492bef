"""Bansal et al. (2021): the gaps and their identity, the information and its sum, the check, the claim in small."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from simlr.claims.registry import load_paper
from simlr.claims.verdict import FAILS, HOLDS, NOT_RUN, UNDECIDED
from simlr.config.reading import read
from simlr.papers import _bansal, _digits, _networks, bansal2021

needs_digits = pytest.mark.skipif(_digits.load_digits() is None, reason="scikit-learn is missing")
SMALL = [("study.trials", 4), ("seeds.count", 2), ("study.train_rows", 160), ("study.epochs", 120)]
shares = st.floats(0.0, 1.0)


# ---- definitions ----


@given(shares, shares, shares, shares)
@settings(deadline=None)
def test_the_sum_bounds_the_gap(train, test, noisy, corrupted):
    """An identity: train - test <= the sum, equal where nothing is clipped."""
    found = _bansal.gaps(train, test, noisy, corrupted)
    assert train - test <= found.total + 1e-15
    if train >= noisy >= corrupted >= test:
        assert found.total == pytest.approx(train - test, abs=1e-15)


@pytest.mark.parametrize("row", bansal2021.PUBLISHED, ids=lambda row: row[0])
def test_the_published_rows_fit_the_definitions(row):
    _, gap, *parts, total = row
    assert sum(parts) == pytest.approx(total, abs=1e-3) and gap <= total + 1e-3
    if min(parts) > 0.0:
        assert gap == pytest.approx(total, abs=1e-3)


def information(pairs):
    """Of a list of pairs, by the definition written out."""
    total, count = 0.0, len(pairs)
    for a, b in set(pairs):
        joint = pairs.count((a, b)) / count
        first = sum(one == a for one, _ in pairs) / count
        second = sum(two == b for _, two in pairs) / count
        total += joint * math.log(joint / (first * second))
    return total


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
@settings(deadline=None)
def test_mutual_information_is_the_sum(pairs):
    first, second = np.array(pairs).T[:, :, None]
    found = _bansal.mutual_information(first, second, 4)
    assert found == pytest.approx([information(pairs)], abs=1e-12)


def test_what_knows_nothing_of_the_noise_has_a_bound_of_zero():
    """And what repeats the noise has that of its entropy."""
    noise = np.array([[0, 1], [0, 0], [2, 0], [0, 0]])
    assert _bansal.deviation_bound(noise, np.zeros_like(noise), 3, 0.25) == 0.0
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert _bansal.deviation_bound(noise, noise, 3, 0.25) == pytest.approx(math.sqrt(entropy / 2.0) / 0.25)


def test_corrupted_labels_are_uniform_among_the_others():
    labels = np.repeat(np.arange(10), 5000)
    noisy = _bansal.corrupt(labels, 10, 0.2, 3, 7)
    wrong = noisy != labels
    assert abs(wrong.mean() - 0.2) < 4.0 * math.sqrt(0.16 / labels.size)
    counts = np.bincount((noisy[wrong] - labels[wrong]) % 10, minlength=10)
    assert counts[0] == 0 and abs(counts[1:] / wrong.sum() - 1.0 / 9.0).max() < 4.0 * math.sqrt(1 / 9 / wrong.sum())
    assert np.array_equal(noisy, _bansal.corrupt(labels, 10, 0.2, 3, 7))
    assert not np.array_equal(noisy, _bansal.corrupt(labels, 10, 0.2, 3, 8))
    assert np.array_equal(_bansal.corrupt(labels, 10, 1e-12, 3, 7), labels)


def test_principal_components_are_numpys():
    draws = np.random.default_rng(0)
    rows = draws.standard_normal((50, 6)) * np.arange(1, 7)
    found = bansal2021.principal_components(rows, 3)
    around = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(around, full_matrices=False)
    np.testing.assert_allclose(abs(found), abs(around @ axes[:3].T), rtol=1e-9, atol=1e-9)


def test_accuracies_by_hand():
    """Three rows, two noisy trials."""
    true = np.array([0, 1, 2])
    given_labels = np.array([[0, 1, 2], [0, 1, 3], [5, 1, 2]])
    named = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 1]])
    found = bansal2021.of_trials(named, given_labels, true, np.array([0, 0]), np.array([0, 1]), 0.05)
    assert found["train_accuracy"] == 1.0 and found["test_accuracy"] == 0.5
    assert found["noisy_train_accuracy"] == pytest.approx(4 / 6) and found["corrupted_accuracy"] == 0.5
    assert found["fitted"] == pytest.approx(4 / 6)
    gaps = [found[name] for name in ("robustness", "memorisation", "rationality")]
    assert gaps == pytest.approx([1 / 3, 1 / 6, 0.0]) and found["theorem_bound"] == 1.0
    named[1, 0] = -1  # diverged
    assert bansal2021.of_trials(named, given_labels, true, np.array([0, 0]), np.array([0, 1]), 0.05) == {}


# ---- the study and its check ----


@pytest.fixture(scope="module")
def claimed():
    return simlr.run(read(bansal2021.GRID, SMALL))


class Tampered:
    """A run with other arrays."""

    def __init__(self, run, **arrays):
        self.config, self._run, self._arrays = run.config, run, arrays

    def __getitem__(self, name):
        return self._arrays.get(name, self._run[name])


@needs_digits
def test_a_small_run_shows_what_is_claimed(claimed):
    """But for its few seeds."""
    assert claimed["memorisation"][2].min() > 0.8 > 0.4 > claimed["memorisation"][:2].max()
    assert claimed["corrupted_accuracy"][2].max() < 0.1
    gap = claimed["train_accuracy"] - claimed["test_accuracy"]
    assert (gap <= bansal2021.sum_of_gaps(claimed) + 1e-12).all()
    outcomes = [finding.outcome for finding in bansal2021.check(claimed).findings]
    assert outcomes[:2] == [HOLDS, HOLDS] and bansal2021.check(claimed).outcome == UNDECIDED


@needs_digits
def test_the_check_can_fail(claimed):
    """Eight seeds as claimed; a bound below its gap; classifiers swapped; a simple one that memorises."""

    def spread(name, values):
        draws = np.random.default_rng(0).uniform(0.9, 1.0, (3, 2, 8))
        return {name: np.array(values)[:, None, None] * draws}

    def judged(memorisation, bound=(1.0, 1.0, 1.0), fitted=1.0):
        arrays = spread("memorisation", memorisation) | {
            "theorem_bound": np.array(bound)[:, None, None] * np.ones((3, 2, 8))
        }
        arrays |= spread("robustness", [0.01, 0.01, 0.05]) | spread("rationality", [0.01, 0.01, 0.0])
        arrays["fitted"] = np.full((3, 2, 8), fitted)
        return bansal2021.check(Tampered(claimed, **arrays)).outcome

    assert judged([0.05, 0.05, 0.95]) == HOLDS
    assert judged([0.05, 0.05, 0.95], bound=(0.04, 1.0, 1.0)) == FAILS
    assert judged([0.95, 0.05, 0.05]) == FAILS
    assert judged([0.05, 0.9, 0.95]) == FAILS
    assert judged([0.05, 0.05, 0.95], fitted=0.9) == UNDECIDED
    assert judged([0.05, 0.05, math.nan]) == UNDECIDED


def test_without_the_digits_nothing_is_trained(monkeypatch):
    monkeypatch.setattr(bansal2021, "load_digits", lambda: None)
    run = simlr.run(read(bansal2021.GRID))
    assert not run["rows"] and bansal2021.pictures(run) == []
    assert bansal2021.check(run).findings[-1].outcome == NOT_RUN


@needs_digits
def test_bits_do_not_depend_on_threads(claimed):
    again = simlr.run(claimed.config, threads=1)
    for field in bansal2021.ARRAYS:
        assert np.array_equal(again[field.name], claimed[field.name], equal_nan=field.dtype == "<f8")


@needs_digits
def test_softmax_regression_comes_near_its_minimum(claimed):
    """Scikit-learn's, on the same rows and components, has a train accuracy that ours is near to."""
    linear = pytest.importorskip("sklearn.linear_model")
    pixels, labels = _digits.load_digits()
    x = bansal2021.principal_components(pixels / 16.0, 16)
    for seed in range(2):
        rows = _networks.split_rows(x, labels, 0, 2, 160)[0].row[seed]
        best = (
            linear.LogisticRegression(C=np.inf, max_iter=5000).fit(x[rows], labels[rows]).score(x[rows], labels[rows])
        )
        assert claimed["train_accuracy"][0, :, seed].max() >= best - 0.06


def test_it_has_ten_controls_of_all_three_kinds():
    controls = load_paper("bansal2021").controls()
    assert len(controls) >= 10 and {control.expected for control in controls} == {HOLDS, FAILS, UNDECIDED}
    assert all(one.name != other.name for one, other in itertools.combinations(controls, 2))


@needs_digits
def test_its_picture_is_drawn(claimed):
    (picture,) = bansal2021.pictures(claimed)
    assert len(picture.figure.axes) == 2 and picture.caption
