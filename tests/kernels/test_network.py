"""The kernels of two-layer networks against the twin in all coordinates, and their laws."""

from types import SimpleNamespace

import numpy as np
import pytest

from naive import network as naive
from simlr.kernels import jit
from simlr.kernels.papers.network import DIVERGED, MEASURES, OUT_OF_STEPS, REACHED, Rules, begin, train_sweep
from simlr.kernels.papers.patterns import Patterns, draw_sweep, empty

COUNTS = (3, 7, 4)
SHAPE = (12, 0.05, 0.6, 3.0, (0.5, 1.0))  # d, margin, separation, scale, bounds of alpha
UNITS, SPREAD, TESTS, ROOT = 16, 2.0, 50, 5
RATES = [(6.0, 0.5), (0.5, 0.5)]


def patterns(reduced=True, counts=COUNTS, shape=SHAPE):
    d, margin, separation, scale, alphas = shape
    return Patterns(d, *counts, margin, separation, scale, *alphas, UNITS, SPREAD, TESTS, int(reduced))


def drawn(seeds, **changes):
    """(x1, x2, points, first, second) and the sharpness of some seeds."""
    made = patterns(**changes)
    arrays, sharpness = empty(made, np.array(seeds)), np.zeros((len(seeds), 2))
    jit.launch(draw_sweep, made, ROOT, *arrays, sharpness, np.zeros(2, np.int64), jit.threads())
    return arrays, sharpness


def rules(steps, rates=RATES, switch_step=6, decay=0.01, sigma=0.0, stop_loss=0.0, learnt_loss=0.5):
    """Schedules with these rates, measured at every step."""
    count = len(rates)
    return Rules(
        np.array(rates), np.full(count, switch_step), np.full(count, -1.0), np.full(count, decay),
        np.full(count, sigma), stop_loss, learnt_loss, steps, np.arange(steps + 1),
    )  # fmt: skip


def trained(arrays, own, chunk=10_000):
    """The networks after all of their steps, taken in launches of `chunk`."""
    x1, x2, points, first, second = arrays
    networks = begin(own, first, second)
    while (networks.status == 0).any():
        tasks = np.zeros(2, np.int64)
        jit.launch(train_sweep, x1, x2, points, own, networks, ROOT, chunk, tasks, jit.threads())
    return networks


def twin(draw, own, s, counts=COUNTS, shape=SHAPE):
    """The twin's training of schedule s on one seed."""
    data = naive.train_points(ROOT, draw, counts, *shape)
    test = naive.points(ROOT, draw, 1, TESTS, *shape)
    rule = SimpleNamespace(
        rates=own.rate[s], switch_step=own.switch_step[s], switch_loss=own.switch_loss[s], decay=own.decay[s],
        sigma=own.sigma[s], stop_loss=own.stop_loss, max_steps=own.max_steps,
    )  # fmt: skip
    return naive.train(data, test, counts, naive.start(ROOT, draw, UNITS, shape[0], SPREAD), rule, ROOT, draw)


def test_the_twins_gradients_are_the_slopes_of_its_loss():
    data = naive.train_points(ROOT, 0, COUNTS, *SHAPE)
    w, v, sign = naive.start(ROOT, 0, UNITS, SHAPE[0], SPREAD)
    w += 0.1 * np.random.default_rng(0).standard_normal(w.shape)
    for number, found in enumerate(naive.gradients(*data, w, v, sign)):
        for place in ((0, 0), (3, 1), (UNITS - 1, 0), (9, 1)):
            moved = []
            for step in (1e-6, -1e-6):
                weights = [w.copy(), v.copy()]
                weights[number][place] += step
                moved.append(naive.loss(*data, *weights, sign))
            assert found[place] == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-6, abs=1e-10)


def test_points_and_start_are_the_twins():
    (x1, x2, points, first, second), sharpness = drawn([0, 3], reduced=False)
    for n, draw in enumerate((0, 3)):
        label, full, plane = naive.train_points(ROOT, draw, COUNTS, *SHAPE)
        w, v, sign = naive.start(ROOT, draw, UNITS, SHAPE[0], SPREAD)
        assert np.array_equal(points.label[n], label)
        np.testing.assert_allclose(x1.rows[n, :10, :12], full[:10], rtol=1e-14)
        np.testing.assert_allclose(x2.rows[n, :11, :2], plane[3:], rtol=1e-14)
        assert np.array_equal(x1.rows[n].T, x1.columns[n])
        assert np.array_equal(first[n, :, :12], w)
        assert np.array_equal(second[n, :, :2], v)
        test_label, test_full, test_plane = naive.points(ROOT, draw, 1, TESTS, *SHAPE)
        assert np.array_equal(points.test_label[n], test_label)
        np.testing.assert_allclose(x1.test[n].T, test_full, rtol=1e-14)
        np.testing.assert_allclose(x2.test[n].T[:, :2], test_plane, rtol=1e-14)
        wanted = [naive.sharpness(x, weights, sign, 14) for x, weights in ((full, w), (plane, v))]
        np.testing.assert_allclose(sharpness[n], wanted, rtol=1e-12)


def test_coordinates_along_the_train_points_keep_every_product():
    (x1, _, _, first, _), sharpness = drawn([1])
    (whole, _, _, w, _), same = drawn([1], reduced=False)
    assert x1.rows.shape[2] == 12  # 10 axes, padded; 12 as well without
    assert x1.dimension == 10
    np.testing.assert_allclose(x1.rows[0] @ first[0].T, whole.rows[0] @ w[0].T, atol=1e-13)
    np.testing.assert_allclose(first[0] @ x1.test[0] + x1.far[0], w[0] @ whole.test[0], atol=1e-13)
    np.testing.assert_allclose(sharpness, same, rtol=1e-12)


@pytest.mark.parametrize("reduced", [True, False])
def test_training_is_the_twins_at_every_step(reduced):
    own = rules(300)
    networks = trained(drawn([0, 3], reduced=reduced)[0], own)
    for s in range(2):
        for n, draw in enumerate((0, 3)):
            wanted = twin(draw, own, s)
            np.testing.assert_allclose(networks.measured[s, n], wanted.history, rtol=1e-9, atol=1e-12)
            assert networks.switched[s, n] == wanted.switched == 6
            np.testing.assert_allclose(networks.second[s, n, :, :2], wanted.v, rtol=1e-9, atol=1e-9)
            learnt = [np.flatnonzero(wanted.history[:, 1 + group] <= own.learnt_loss) for group in range(2)]
            assert networks.learnt[s, n].tolist() == [steps[0] if steps.size else -1 for steps in learnt]
    assert len(np.unique(networks.measured[..., 3])) > 5  # the test errors do move


def test_noisy_training_is_the_twins():
    own = rules(200, sigma=0.3, rates=[(1.0, 0.3)])
    networks = trained(drawn([2], reduced=False)[0], own)
    wanted = twin(2, own, 0)
    np.testing.assert_allclose(networks.measured[0, 0], wanted.history, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(networks.first[0, 0, :, :12], wanted.w, rtol=1e-9, atol=1e-9)


def test_more_points_than_dimensions():
    counts, shape = (5, 9, 4), (6, *SHAPE[1:])
    own = rules(50)
    networks = trained(drawn([1], counts=counts, shape=shape)[0], own)
    wanted = twin(1, own, 0, counts, shape)
    np.testing.assert_allclose(networks.measured[0, 0], wanted.history, rtol=1e-9, atol=1e-12)


def test_training_stops_with_the_small_rate_at_the_level():
    own = rules(400, stop_loss=0.55, switch_step=3)
    networks = trained(drawn([0, 3])[0], own)
    assert (networks.status == REACHED).all()
    for s in range(2):
        wanted = twin(3, own, s).history
        assert networks.step[s, 1] == len(wanted) - 1 < 400
        np.testing.assert_allclose(networks.final[s, 1], wanted[-1], rtol=1e-9)
        assert wanted[-1, 0] <= 0.55 < wanted[-2, 0]
    beyond = networks.measured[0, 1, networks.step[0, 1] + 1 :]
    assert np.isnan(beyond).all()


def test_the_rate_becomes_small_at_a_loss():
    own = rules(60, switch_step=1000)._replace(switch_loss=np.array([0.6, -1.0]))
    networks = trained(drawn([3])[0], own)
    assert networks.switched[:, 0].tolist() == [twin(3, own, 0).switched, -1]
    assert 0 < networks.switched[0, 0] < 60
    assert (networks.status == OUT_OF_STEPS).all()


def test_divergence_is_an_outcome():
    own = rules(20, rates=[(1e200, 1e200)])
    networks = trained(drawn([0])[0], own)
    assert networks.status[0, 0] == DIVERGED
    assert networks.step[0, 0] < 20
    assert networks.final.shape == (1, 1, MEASURES)


@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_bits_do_not_depend_on_threads_launches_or_neighbours(sigma):
    own = rules(120, sigma=sigma)
    wanted = trained(drawn([0, 1, 2, 3], reduced=sigma == 0.0)[0], own)
    try:
        jit.set_threads(1)
        turned = trained(drawn([3, 1, 0], reduced=sigma == 0.0)[0], own, chunk=7)
    finally:
        jit.set_threads(None)
    for name in ("measured", "final", "first", "second", "learnt", "step"):
        assert np.array_equal(getattr(turned, name), getattr(wanted, name)[:, [3, 1, 0]], equal_nan=True), name
