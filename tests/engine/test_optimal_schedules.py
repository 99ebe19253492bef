"""The adjoint of the expected loss and the schedules that are optimal by it: twins, closed forms, published numbers."""

import numpy as np
import pytest

import naive.expected as naive
import simlr

OPTIMIZERS = ("gd", 0.0), ("momentum", 0.8), ("nesterov", 0.7)
NOISES = "none", "isotropic", "hessian", "fresh"


def noise_table(noise, sigma, batch):
    """The noise as simlr has it."""
    if noise == "none":
        return {"kind": "none"}
    if noise == "fresh":
        return {"kind": "fresh", "sigma": sigma, "batch_size": batch}
    return {"kind": "gradient", "sigma": sigma, "covariance": noise}


def optimizer_table(optimizer, beta):
    return {"kind": optimizer} if optimizer == "gd" else {"kind": optimizer, "momentum": beta}


def random_problem(seed):
    """Curvature, start, rates, batches, offset and weight of a problem of a few axes and steps."""
    generator = np.random.default_rng(seed)
    size, steps = generator.integers(1, 7), generator.integers(1, 20)
    lam = 10.0 ** generator.uniform(-2, 0.3, size)
    rates = generator.uniform(0.0, 1.2, steps) / lam.max()
    offset = generator.standard_normal(size)
    batch = generator.integers(1, 9, steps).astype(float)
    return lam, generator.standard_normal(size), rates, batch, offset, generator.uniform(0.1, 1.0, size)


@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
@pytest.mark.parametrize("noise", NOISES)
def test_the_gradient_is_that_of_the_naive_twin(noise, optimizer, beta):
    """On nine random problems for each of the twelve: 108 in all; by complex steps, and by central differences."""
    for seed in range(9):
        lam, start, rates, batch, offset, weight = random_problem([seed, *noise.encode(), *optimizer.encode()])
        table, method = noise_table(noise, 0.3, batch), optimizer_table(optimizer, beta)
        found = simlr.loss_gradient(
            lam[None], start[None], rates, table, method, test_matrix=weight, offset=offset[None]
        )
        rest = optimizer, beta, noise, 0.3, weight, offset
        expected = naive.derivatives(lam, start, rates, batch, *rest)
        np.testing.assert_allclose(found.loss[0], naive.expected_loss(lam, start, rates, batch, *rest), rtol=1e-12)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found.learning_rate[0], expected, rtol=1e-9, atol=1e-12 * scale)
        step = 1e-3 / lam.max()
        t = seed % len(rates)
        beside = np.array([rates, rates, rates, rates])
        beside[:, t] += step * np.array([-2.0, -1.0, 1.0, 2.0])
        if beside.min() >= 0.0:
            losses = simlr.expected_losses(
                lam[None], start[None], beside, table, method, test_matrix=weight, offset=offset[None]
            ).test_loss[:, 0, 0]
            central = (losses[0] - 8.0 * losses[1] + 8.0 * losses[2] - losses[3]) / (12.0 * step)
            rounding = 1e-15 * found.loss[0] / step  # of the losses, in their difference
            assert central == pytest.approx(found.learning_rate[0, t], rel=1e-6, abs=rounding)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("optimizer", "beta"), [("gd", 0.0), ("nesterov", 0.7)])
def test_pieces_equal_their_steps(noise, optimizer, beta):
    """Rates on both sides of 1/lam, at it and at 2/lam; odd and even lengths; several problems at once."""
    lam = np.array([[1.0, 0.5, 1e-9, 0.0], [2.0, 1.0, 0.3, 0.1]])
    start = np.array([[1.0, -2.0, 3.0, 1.0], [0.5, 0.4, -0.3, 0.2]])
    eta, lengths = np.array([0.3, 1.0, 0.9, 0.05, 0.0, 0.99999999]), np.array([7, 1, 4, 300, 3, 11])
    offset = np.full((2, 4), 0.1)
    options = {"test_matrix": np.array([0.5, 1.0, 2.0, 0.1]), "offset": offset}
    table, method = noise_table(noise, 0.2, 16.0), optimizer_table(optimizer, beta)
    if optimizer == "nesterov":
        eta = eta / 4.0
    pieces = simlr.loss_gradient(lam, start, eta, table, method, lengths=lengths, **options)
    steps = simlr.loss_gradient(lam, start, np.repeat(eta, lengths), table, method, **options)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    np.testing.assert_allclose(pieces.loss, steps.loss, rtol=1e-12)
    summed = np.add.reduceat(steps.learning_rate, first, axis=1)
    np.testing.assert_allclose(pieces.learning_rate, summed, rtol=1e-9, atol=1e-11 * np.abs(summed).max())


def test_the_gradient_by_the_batch_size_is_that_of_differences():
    lam, start, rates, batch, _, _ = random_problem(3)
    found = simlr.loss_gradient(lam[None], start[None], rates, noise_table("fresh", 0.3, batch))
    for t in range(len(rates)):
        losses = []
        for step in (-1e-4, 1e-4):
            moved = batch + 10.0
            moved[t] += step
            losses.append(simlr.loss_gradient(lam[None], start[None], rates, noise_table("fresh", 0.3, moved)).loss[0])
        at = simlr.loss_gradient(lam[None], start[None], rates, noise_table("fresh", 0.3, batch + 10.0))
        assert at.batch_size[0, t] == pytest.approx((losses[1] - losses[0]) / 2e-4, rel=1e-6, abs=1e-10)
    assert (found.batch_size <= 0.0).all()
