"""Noise behind residuals: its likelihood against the dense formula, its draws against their law."""

import numpy as np
import pytest

from simlr.laws import noise
from simlr.laws.noise import noise_of

PLACES = [np.array([1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0]), np.arange(1.0, 13.0)]


def covariance(r, fresh, scales):
    """Of both curves (19, 19), entry by entry."""
    found, places = np.zeros((19, 19)), [(c, x) for c, curve in enumerate(PLACES) for x in curve]
    for i, (one, x) in enumerate(places):
        for j, (other, y) in enumerate(places):
            if one == other:
                found[i, j] = scales[one] ** 2 * (fresh * (i == j) + (1.0 - fresh) * r ** abs(x - y))
    return found


def restricted(matrix, slopes, left):
    """The logarithm of the restricted likelihood, the variance profiled out (Patterson and Thompson 1971)."""
    inverse = np.linalg.inv(matrix)
    inner = slopes.T @ inverse @ slopes
    off = left - slopes @ np.linalg.solve(inner, slopes.T @ inverse @ left)
    degrees = len(left) - slopes.shape[1]
    logs = np.linalg.slogdet(matrix)[1] + np.linalg.slogdet(inner)[1]
    return -0.5 * (logs + degrees * np.log(off @ inverse @ off))


@pytest.fixture(scope="module")
def found():
    random = np.random.default_rng(5)
    slopes = np.column_stack([np.ones(19), np.concatenate([np.log(one) for one in PLACES])])
    left = random.normal(size=19) * np.repeat([1.0, 3.0], [7, 12])
    left -= slopes @ np.linalg.lstsq(slopes, left, rcond=None)[0]
    return slopes, left, noise_of(slopes, np.split(left, [7]), PLACES)


def test_likelihoods_are_those_of_the_dense_formula(found):
    """Differences between all that is tried, with each one's own scales of the curves."""
    slopes, left, own = found
    reaches = np.tanh(np.linspace(0.0, np.arctanh(noise.LARGEST), noise.TRIED))
    tried = [(r, fresh) for r in reaches for fresh in (noise.FRESH if r else (0.0,))]
    assert len(tried) == len(own.tried)
    exact = []
    for (r, fresh), one in zip(tried, own.tried, strict=True):
        ends = [one.deviations[:7], one.deviations[7:]]
        values = [np.linalg.eigvalsh(r ** abs(x[:, None] - x)) for x in PLACES]
        scales = [float(a[-1] / ((1.0 - fresh) * b[-1] + fresh) ** 0.5) for a, b in zip(ends, values, strict=True)]
        exact.append(restricted(covariance(r, fresh, scales), slopes, left))
    logs = np.array([one.likelihood for one in own.tried])
    np.testing.assert_allclose(logs - logs[0], np.array(exact) - exact[0], atol=1e-6)
    assert own.shares.sum() == pytest.approx(1.0) and own.degrees == 17


def test_draws_have_the_covariance_of_what_is_tried(found):
    """One of those tried alone: means of products over 20,000 draws, over their t variance 17/15."""
    own = found[2]
    for place in (0, 30, len(own.tried) - 1):
        one = own.tried[place]
        alone = own._replace(tried=[one], shares=np.ones(1))
        random = np.random.default_rng(place)
        drawn = np.array([alone.drawn(random) for _ in range(20_000)])
        exact = np.zeros((19, 19))
        for part, axes, own_part in ((slice(7), one.axes[0], one.deviations[:7]),
                                     (slice(7, 19), one.axes[1], one.deviations[7:])):  # fmt: skip
            exact[part, part] = axes * own_part**2 @ axes.T
        exact *= one.variance * 17.0 / 15.0
        size = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
        np.testing.assert_allclose(drawn.T @ drawn / 20_000 / size, exact / size, atol=0.06)


def test_slow_noise_is_found_though_a_fit_follows_it():
    """AR(1) of 0.95 along 3 curves of 190, with a polynomial of degree 6 fitted to each alike: within 0.04."""
    random, t, curves = np.random.default_rng(1), np.linspace(-1.0, 1.0, 190), []
    for _ in range(3):
        values = random.normal(size=190)
        for k in range(1, 190):
            values[k] = 0.95 * values[k - 1] + (1.0 - 0.95**2) ** 0.5 * values[k]
        curves.append(values)
    slopes = np.tile(np.polynomial.legendre.legvander(t, 6), (3, 1))
    left = np.concatenate(curves) - slopes @ np.linalg.lstsq(slopes, np.concatenate(curves), rcond=None)[0]
    assert noise_of(slopes, np.split(left, 3), [np.arange(190.0)] * 3).correlation == pytest.approx(0.95, abs=0.04)
