"""The kernels of deep ReLU networks against the twin, and their laws."""

import numpy as np
import pytest

from naive import layers as naive
from simlr.kernels import jit
from simlr.kernels.papers import layers
from simlr.papers import _networks

ROOT, ROWS, TRAIN, SEEDS, BATCH = 3, 90, 70, 3, 16
SHAPES = [(5, 3), (6, 7, 4), (5, 9, 8, 3), (4, 6, 5, 7, 2)]
rates = np.stack([np.full(30, 0.3), np.linspace(0.5, 0.01, 30)])
draws = np.random.default_rng(0)
inputs, classes = draws.standard_normal((ROWS, 8)), draws.integers(0, 100, ROWS)


def data(sizes):
    """(inputs, labels, rows to train on, rows to test on) for a network of these sizes."""
    x, labels = np.ascontiguousarray(inputs[:, : sizes[0]]), classes % sizes[-1]
    return x, labels, *_networks.split_rows(x, labels, ROOT, SEEDS, TRAIN)


def trained(sizes, rows, threads=2, **changes):
    weights = _networks.start(sizes, ROOT, SEEDS, len(rates), 1.3)
    return _networks.train(sizes, rows, rates, weights, root=ROOT, batch=BATCH, decay=0.01, threads=threads, **changes)


def twin(sizes, x, labels, rows, network):
    seed, schedule = divmod(network, len(rates))
    own = rows.row[seed]
    begun = naive.start(ROOT, seed, sizes, 1.3)
    return naive.train(begun, x[own], labels[own], rates[schedule], BATCH, 0.01, ROOT, seed)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_training_is_that_of_the_twin(sizes):
    x, labels, rows, _ = data(sizes)
    found = trained(sizes, rows)
    for network in range(SEEDS * len(rates)):
        for own, other in zip(found.matrices(network), twin(sizes, x, labels, rows, network), strict=True):
            np.testing.assert_allclose(own, other, rtol=0, atol=1e-12 * abs(other).max())


def test_what_pads_the_matrices_stays_zero():
    sizes = (5, 9, 8, 3)
    found = trained(sizes, data(sizes)[2])
    for weights, out, into in zip(found.weights, sizes[1:], sizes[:-1], strict=True):
        assert not weights[:, out:].any() and not weights[:, :, into + 1 :].any()


def test_the_twins_gradient_is_that_of_its_loss():
    """By central differences, so that the twin is no copy of the kernel's mistakes."""
    sizes = (5, 9, 8, 3)
    x, labels, _, _ = data(sizes)
    matrices = naive.start(ROOT, 0, sizes, 1.0)
    for place, slope in enumerate(naive.gradient(matrices, x, labels)):
        for at in [(0, 0), (1, 2), (2, -1)]:
            sides = []
            for step in (1e-6, -1e-6):
                moved = [matrix.copy() for matrix in matrices]
                moved[place][at] += step
                sides.append(naive.loss(moved, x, labels))
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(slope[at], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("change", ["threads", "launches"])
def test_bits_depend_on_no_cut(change, monkeypatch):
    sizes = (6, 7, 4)
    rows = data(sizes)[2]
    whole = trained(sizes, rows, threads=1)
    if change == "launches":
        monkeypatch.setattr(_networks, "LAUNCHES", 5)
    other = trained(sizes, rows, threads=1 if change == "launches" else 2)
    for one, two in zip(whole.weights, other.weights, strict=True):
        assert np.array_equal(one, two)


def test_errors_are_those_of_the_twin():
    """At the weights and around them, draws by NumPy's address."""
    sizes = (6, 7, 4)
    x, labels, rows, test = data(sizes)
    found = trained(sizes, rows)
    for part in (rows, test):
        plain, noisy = _networks.wrong(found, part), _networks.wrong(found, part, 0.2, 3)
        for network in range(len(plain)):
            seed = network // len(rates)
            own = part.row[seed]
            for draw in range(3):
                shapes = [weights.shape[1:] for weights in found.weights]
                normal = naive.stream(ROOT, seed, naive.POSTERIOR, draw).standard_normal(sum(m * k for m, k in shapes))
                around, place = [], 0
                for matrix, (m, k) in zip(found.matrices(network), shapes, strict=True):
                    xi = normal[place : place + m * k].reshape(m, k)[: len(matrix), : matrix.shape[1]]
                    around.append(matrix + 0.2 * xi)
                    place += m * k
                f, _ = naive.outputs(around, x[own])
                assert noisy[network, draw] == (f.argmax(axis=1) != labels[own]).sum()
            f, _ = naive.outputs(found.matrices(network), x[own])
            assert plain[network, 0] == (f.argmax(axis=1) != labels[own]).sum()


def test_a_network_that_diverged_gets_all_wrong():
    sizes = (6, 7, 4)
    _, _, rows, test = data(sizes)
    weights = _networks.start(sizes, ROOT, SEEDS, 1)
    found = _networks.train(sizes, rows, np.full((1, 400), 1e8), weights, root=ROOT, batch=BATCH)
    lost = [not all(np.isfinite(matrix).all() for matrix in found.matrices(k)) for k in range(SEEDS)]
    assert any(lost)
    assert (_networks.wrong(found, test)[lost] == ROWS - TRAIN).all()


def test_a_stop_that_is_asked_for_is_heeded():
    sizes = (6, 7, 4)
    rows = data(sizes)[2]
    weights = _networks.start(sizes, ROOT, SEEDS, 2)
    before = [matrix.copy() for matrix in weights]
    scratch = layers.make_scratch(sizes, BATCH, 2)
    own = layers.Rules(np.array(sizes), rates, 0.0, ROOT)
    jit.launch(layers.train_sweep, rows, own, weights, 0, 30, scratch, np.array([0, 1]), 2)
    assert all(np.array_equal(one, two) for one, two in zip(weights, before, strict=True))
