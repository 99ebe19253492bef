"""Losses at stops and moments: the same bits whether few moments of a cell are weighed or many, and those of NumPy."""

import numpy as np
import pytest

from simlr.kernels import arrays, jit
from simlr.kernels.losses import FEW_MOMENTS, losses_sweep


def weigh(landscape, moments, keep=True):
    """Losses (S, R, M) of moments (S, R, M, d) of all seeds, and what is left of the moments."""
    moments = moments.copy()
    schedules, seeds, count, _ = moments.shape
    train, test = np.empty((2, schedules, seeds, count))
    everyone, everything = np.arange(seeds), np.arange(schedules)
    tasks = np.zeros(2, np.int64)
    jit.launch(losses_sweep, landscape, everyone, moments, keep, everything, train, test, tasks, jit.threads())
    return train, test, moments


def landscape_of(axes, seeds, common):
    """A random landscape with one null direction, and one test matrix for all seeds or one each."""
    generator = np.random.default_rng(axes)
    curvature = generator.uniform(0.2, 1.4, (seeds, axes))
    curvature[:, -1] = 0.0
    matrix = generator.normal(size=(1 if common else seeds, axes, axes))
    residual, offset, slope = generator.normal(size=(3, seeds, axes))
    return arrays.Landscape(
        curvature, residual, offset, matrix + matrix.transpose(0, 2, 1), *np.ones((2, seeds)), slope
    )


@pytest.mark.parametrize("common", [True, False])
@pytest.mark.parametrize("axes", [1, 2, 7, 50])
def test_few_moments_give_the_bits_of_many(axes, common):
    landscape = landscape_of(axes, 70, common)
    moments = np.random.default_rng(1).normal(size=(3, 70, FEW_MOMENTS + 33, axes))
    many = weigh(landscape, moments)
    for few in (1, FEW_MOMENTS - 1, FEW_MOMENTS):
        for found, wanted in zip(weigh(landscape, moments[:, :, :few]), many, strict=True):
            assert np.array_equal(found, wanted[:, :, :few])


def test_losses_are_those_of_the_formula():
    landscape = landscape_of(5, 9, common=False)
    moments = np.random.default_rng(2).normal(size=(2, 9, 3, 5))
    train, test, residual = weigh(landscape, moments)
    curved = landscape.curvature > 0.0
    root = np.sqrt(np.where(curved, landscape.curvature, 1.0))[:, None]
    r = np.where(curved[:, None], moments / root, landscape.residual[:, None])
    assert np.allclose(residual, r, rtol=1e-14, atol=0.0)
    assert np.allclose(train, 1.0 + 0.5 * (moments**2).sum(axis=-1), rtol=1e-13, atol=0.0)
    away = r + landscape.offset[:, None]
    expected = 1.0 + np.einsum("srki,rij,srkj->srk", away, landscape.test_matrix, away)
    expected += np.einsum("srki,ri->srk", away, landscape.test_slope)
    assert np.allclose(test, expected, rtol=1e-11)
