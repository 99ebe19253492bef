"""Rouchouse et al. (2025): bounds and rescaling against formulas and other searches, the check, the claim in small."""

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
from simlr.papers import _digits, _networks, _pac_bayes, rouchouse2025
from simlr.papers._pac_bayes import Posterior
from simlr.papers._rouchouse import one_neuron

needs_digits = pytest.mark.skipif(_digits.load_digits() is None, reason="scikit-learn is missing")
SMALL = {"widths": [32], "steps": 300, "draws": 40}


def network(seed, sizes, spread=1.0):
    """A posterior with deviations of its own for every weight."""
    draws = np.random.default_rng(seed)
    shapes = [(out, into + 1) for into, out in itertools.pairwise(sizes)]
    means = tuple(draws.standard_normal(shape) * np.exp(spread * draws.standard_normal(shape)) for shape in shapes)
    return Posterior(means, tuple(np.exp(draws.uniform(-3.0, 0.0, shape)) for shape in shapes))


def outputs(matrices, x):
    for matrix in matrices[:-1]:
        x = np.maximum(np.append(x, 1.0) @ matrix.T, 0.0)
    return np.append(x, 1.0) @ matrices[-1].T


# ---- formulas ----


def test_the_one_neuron_network():
    """The published 11.6464 and 4.6825, and KL at lambda^2 = 1, 4 and the best, by the formula written out."""
    w1, w2, sigma = 4.0, 0.25, 0.1

    def divergence(square):
        terms = [square * (w1**2 + sigma**2), (w2**2 + sigma**2) / square]
        return sum(0.5 * term for term in terms) - 1.0 - 2.0 * math.log(sigma)

    assert one_neuron() == pytest.approx([divergence(1.0), divergence(0.0672935341445518)], rel=1e-14)
    assert one_neuron() == pytest.approx([11.646420185988, 4.682539667642366], rel=1e-13)
    a, b = w1**2 + sigma**2, w2**2 + sigma**2
    assert one_neuron()[1] == pytest.approx(math.sqrt(a * b) - 1.0 - 2.0 * math.log(sigma), rel=1e-14)
    # Around the rescaled weights with the same deviation it is another posterior, and so is that of (1, 1).
    again = Posterior((np.array([[1.0]]), np.array([[1.0]])), (np.array([[sigma]]), np.array([[sigma]])))
    least = _pac_bayes.best_factors(again, 1.0, biases=False)
    found = _pac_bayes.divergence(_pac_bayes.rescale(again, least, biases=False), 1.0)
    assert found == pytest.approx(4.61517, abs=5e-6)


def test_the_inverse_of_kl():
    """The golden of a q of .02, and both sides of the definition."""
    excess = (5000.0 + math.log(2.0 * math.sqrt(60000) / 0.05)) / 60000
    assert _pac_bayes.inverse_kl(0.02, excess) == pytest.approx(0.1343401917, abs=1e-10)
    assert _pac_bayes.maurer(0.02, 5000.0, 60000, 0.05) == pytest.approx(0.1343401917, abs=1e-10)


@given(st.floats(0.0, 1.0), st.floats(0.0, 5.0))
@settings(deadline=None)
def test_the_inverse_of_kl_is_the_largest(q, excess):
    p = _pac_bayes.inverse_kl(q, excess)
    assert q <= p <= 1.0
    if q < p < 1.0 - 1e-8:  # beyond, the digits of 1 - p are too few to tell
        heads = q * math.log(q / p) if q else 0.0
        tails = (1.0 - q) * math.log((1.0 - q) / (1.0 - p)) if q < 1.0 else 0.0
        assert heads + tails == pytest.approx(excess, rel=1e-6, abs=1e-9)


@given(st.integers(0, 2**32), st.sampled_from([(3, 4, 2), (3, 5, 4, 2), (2, 3, 4, 3, 2)]), st.floats(0.05, 3.0))
@settings(max_examples=100, deadline=None)
def test_the_least_divergence_depends_on_no_rescaling(seed, sizes, prior):
    """Over 100 random networks: to 1e-9, never above the plain one, of slope 0, and the function stays."""
    posterior, draws = network(seed, sizes), np.random.default_rng(seed)
    factors = _pac_bayes.best_factors(posterior, prior)
    best = _pac_bayes.rescale(posterior, factors)
    least = _pac_bayes.divergence(best, prior)
    plain = _pac_bayes.divergence(posterior, prior)
    assert least <= plain * (1.0 + 1e-14)
    assert _pac_bayes.steepest(best, prior) <= 1e-6 * abs(plain)
    pushed = _pac_bayes.rescale(posterior, [np.exp(draws.uniform(-2.0, 2.0, f.size)) for f in factors])
    again = _pac_bayes.rescale(pushed, _pac_bayes.best_factors(pushed, prior))
    assert _pac_bayes.divergence(again, prior) == pytest.approx(least, rel=1e-9)
    x = draws.standard_normal(sizes[0])
    np.testing.assert_allclose(outputs(best.mean, x), outputs(posterior.mean, x), rtol=1e-9, atol=1e-9)


def test_no_other_search_finds_less():
    """L-BFGS over the log factors, from three starts, on the divergence written out."""
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(5):
        posterior, prior = network(seed, (3, 5, 4, 2), 0.5), 0.7

        def divergence(logs, posterior=posterior, prior=prior):
            total = 0.0
            out = [np.ones(3), np.exp(logs[:5]), np.exp(logs[5:]), np.ones(2)]
            for layer, (mean, deviation) in enumerate(zip(*posterior, strict=True)):
                for (u, i), w in np.ndenumerate(mean):
                    a = out[layer + 1][u] / (out[layer][i] if i < mean.shape[1] - 1 else 1.0)
                    s = a * deviation[u, i]
                    total += ((a * w) ** 2 + s**2) / (2.0 * prior**2) - 0.5 - math.log(s / prior)
            return total

        factors = _pac_bayes.best_factors(posterior, prior)
        least = _pac_bayes.divergence(_pac_bayes.rescale(posterior, factors), prior)
        assert divergence(np.log(np.concatenate(factors))) == pytest.approx(least, rel=1e-12)
        for start in (np.zeros(9), np.ones(9), np.linspace(-1.0, 1.0, 9)):
            found = optimize.minimize(divergence, start, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8})
            assert found.fun == pytest.approx(least, rel=1e-8)


def test_the_bound_from_draws_covers():
    """Of posteriors whose mean error is .3, in no more than `failure` of trials does the bound lie below it."""
    draws, failure = np.random.default_rng(0), 0.05
    wrong = draws.binomial(50, draws.beta(3, 7, size=(2000, 40))).sum(axis=1)
    below = [_pac_bayes.sampled_error(int(count), 50, 40, failure) < 0.3 for count in wrong]
    assert np.mean(below) <= failure


# ---- the start and the split ----


def test_start_and_split_depend_on_root_and_seed_alone():
    few, many = _networks.start((5, 4, 3), 7, 2, 3), _networks.start((5, 4, 3), 7, 4, 3)
    assert all(np.array_equal(one, two[:6]) for one, two in zip(few, many, strict=True))
    assert np.array_equal(few[0][0], few[0][2]) and not np.array_equal(few[0][0], few[0][3])
    train, test = _networks.split_rows(np.zeros((20, 2)), np.arange(20), 7, 3, 15)
    for seed in range(3):
        assert sorted([*train.row[seed], *test.row[seed]]) == list(range(20))
        assert np.array_equal(train.label[seed], train.row[seed])


# ---- the study and its check ----


@pytest.fixture(scope="module")
def claimed():
    changes = [(f"study.{key}", value) for key, value in SMALL.items()]
    return simlr.run(read(rouchouse2025.GRID, [*changes, ("seeds.count", 4)]))


class Tampered:
    """A run with other arrays."""

    def __init__(self, run, **arrays):
        self.config, self._run, self._arrays = run.config, run, arrays

    def __getitem__(self, name):
        return self._arrays.get(name, self._run[name])


def outcomes(run):
    return [finding.outcome for finding in rouchouse2025.check(run).findings]


@needs_digits
def test_a_small_run_agrees_but_for_its_few_seeds(claimed):
    *others, wider = outcomes(claimed)
    assert others == [HOLDS] * 6 and wider == UNDECIDED  # of one width
    assert (claimed["rescaled_bound"] >= claimed["test_error"]).all()
    assert (claimed["plain_sampled_error"] >= claimed["train_error"]).all()


@needs_digits
@pytest.mark.parametrize(
    "name, place", [("rescaled_bound", 2), ("slope", 3), ("moved_rescaled", 4), ("moved_plain", 5)]
)
def test_one_network_is_enough_to_fail(claimed, name, place):
    wrong = claimed[name].copy()
    wrong.flat[3] = (
        claimed["plain_bound"].flat[3] if name == "rescaled_bound" else 0.0 if name == "moved_plain" else 1e-3
    )
    assert outcomes(Tampered(claimed, **{name: wrong}))[place] == FAILS


def test_where_bounds_become_vacuous():
    """Log-linear between two widths; the first rise counts; NaN where there is none."""
    widths = np.array([10, 20, 40])
    found = rouchouse2025.vacuous_from(widths, np.array([0.8, 1.0, 1.0]))
    assert found == pytest.approx(10.0 * math.sqrt(2.0))
    assert rouchouse2025.vacuous_from(widths, np.array([0.5, 0.7, 1.1])) == pytest.approx(20.0 * math.sqrt(2.0))
    assert rouchouse2025.vacuous_from(widths, np.array([0.8, 0.95, 0.85])) < 20.0
    assert np.isnan(rouchouse2025.vacuous_from(widths, np.array([0.5, 0.6, 0.7])))
    assert np.isnan(rouchouse2025.vacuous_from(widths, np.array([0.95, 0.96, 0.99])))


def judged(shifts, plain=(0.8, 0.95)):
    """The last finding of a run of two widths, 8 and 16, whose rescaled bounds lie below the plain ones by `shifts`."""
    bounds = np.broadcast_to(np.array(plain)[None, :, None, None], (1, 2, 4, len(shifts))).copy()
    arrays = {"width": np.array([8, 16]), "plain_bound": bounds, "rescaled_bound": bounds - np.array(shifts)}
    return rouchouse2025._wider(arrays)


def test_the_widths_are_compared_by_seed():
    """All seeds gain, all lose, as many gain as lose, one seed, and no width at which a bound becomes vacuous."""
    draws = np.random.default_rng(0).uniform(0.9, 1.1, 16)
    gain = 0.02 * draws
    assert judged(gain).outcome == HOLDS and judged(-gain).outcome == FAILS
    assert judged(gain * np.tile([1.5, -1.0], 8)).outcome == UNDECIDED
    assert judged(gain[:1]).outcome == UNDECIDED
    assert judged(gain, plain=(0.95, 0.97)).outcome == UNDECIDED
    assert judged(0.0 * gain).outcome == judged(0.05 * gain).outcome == FAILS
    share = (0.9 - 0.8) / 0.15
    moved = (0.9 - 0.78) / 0.15
    assert judged(0.02 * np.ones(16)).measured == pytest.approx(2.0 ** (moved - share))


def test_bounds_of_one_hide_what_rescaling_does():
    plain = np.full((1, 1, 4, 3), 0.9)
    assert rouchouse2025._fall(plain, plain - 0.1).outcome == HOLDS
    assert rouchouse2025._fall(plain, plain).outcome == FAILS
    plain[..., 0] = 1.0
    assert rouchouse2025._fall(plain, np.where(plain == 1.0, 1.0, 0.8)).outcome == UNDECIDED


@needs_digits
def test_a_network_that_diverged_leaves_it_undecided(claimed):
    for name in ("plain_bound", "moved_rescaled"):
        lost = claimed[name].copy()
        lost.flat[0] = np.nan
        assert rouchouse2025.check(Tampered(claimed, **{name: lost})).outcome == UNDECIDED


def test_without_the_digits_nothing_is_trained(monkeypatch):
    monkeypatch.setattr(rouchouse2025, "load_digits", lambda: None)
    run = simlr.run(read(rouchouse2025.GRID))
    assert not run["rows"] and np.isnan(run["plain_bound"]).all()
    assert rouchouse2025.check(run).findings[-1].outcome == NOT_RUN
    assert rouchouse2025.pictures(run) == []


@needs_digits
def test_bits_do_not_depend_on_threads(claimed):
    again = simlr.run(claimed.config, threads=1)
    for field in rouchouse2025.ARRAYS:
        assert np.array_equal(again[field.name], claimed[field.name], equal_nan=field.dtype == "<f8")


def test_it_has_ten_controls_of_all_three_kinds():
    controls = load_paper("rouchouse2025").controls()
    assert len(controls) >= 10 and {control.expected for control in controls} == {HOLDS, FAILS, UNDECIDED}


@needs_digits
@pytest.mark.parametrize("push", ["means", "nothing"])
def test_without_the_whole_posterior_it_fails(push):
    changes = [(f"study.{key}", value) for key, value in SMALL.items()]
    run = simlr.run(read(rouchouse2025.GRID, [*changes, ("seeds.count", 2), ("study.push", push)]))
    assert rouchouse2025.check(run).outcome == FAILS


@needs_digits
def test_its_picture_is_drawn(claimed):
    (picture,) = rouchouse2025.pictures(claimed)
    assert len(picture.figure.axes) == 1 and picture.caption
