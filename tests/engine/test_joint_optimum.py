"""Rates and batch sizes searched together: derivatives, what optima satisfy, a naive twin, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from simlr.engine.optimal.gradient import read_objective
from simlr.engine.optimal.joint import JointProblem
from simlr.engine.optimal.search import Layout
from simlr.errors import InputError

pytest.importorskip("scipy")
LAM = 2.0 * np.arange(1, 6)[None] ** -1.5
START = np.ones_like(LAM)
ROWS = {"kind": "fresh", "batch_size": 1, "sigma": 1.0}


def joint(steps, samples, lam=LAM, start=START, noise=ROWS, **limits):
    return simlr.optimise(lam, start, steps, noise, limits={"cap": 0.5, "samples": samples, **limits})


def twin(lam, start, rates, batches, sigma):
    """The mean excess loss of one-pass descent on Gaussian inputs of variances lam / 2, one axis after the other."""
    p = start**2
    for eta, batch in zip(rates, batches, strict=True):
        excess = 0.5 * (lam * p).sum()
        p = (1.0 - eta * lam) ** 2 * p + eta**2 * lam * (2.0 * (excess + sigma**2) + lam * p) / batch
    return 0.5 * (lam * p).sum()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), warmup=st.integers(0, 3), optimizer=st.sampled_from(["gd", "momentum", "nesterov"]))
def test_the_derivative_is_that_of_differences(seed, warmup, optimizer):
    generator = np.random.default_rng(seed)
    table = {"kind": optimizer} if optimizer == "gd" else {"kind": optimizer, "momentum": 0.6}
    objective = read_objective(LAM, generator.standard_normal(LAM.shape), ROWS, table)
    problem = JointProblem(objective, Layout(generator.integers(1, 5, 4), warmup), 80)
    numbers = np.exp(generator.normal(0.0, 0.7, 8)) * np.repeat([0.1, 1.0], 4)
    _, slope = problem.slopes(numbers)
    found = [
        (problem.slopes(numbers * np.exp(1e-5 * unit))[0] - problem.slopes(numbers * np.exp(-1e-5 * unit))[0]) / 2e-5
        for unit in np.eye(8)
    ]
    np.testing.assert_allclose(slope * numbers, found, rtol=0, atol=1e-7 * np.abs(found).max())
    assert abs((slope * numbers)[4:].sum()) < 1e-12 * np.abs(found).max()  # all weights alike change nothing


def test_a_search_of_its_own_over_a_twin_finds_no_less():
    from scipy.optimize import minimize

    steps, samples, lam, start = 4, 30, LAM[0, :2], np.array([1.0, -2.0])
    best = joint(steps, samples, lam[None], start[None])
    assert best.batches().sum() == pytest.approx(samples, rel=1e-12) and (best.batches() >= 1.0).all()
    loss = best.loss[0]
    assert twin(lam, start, best.rates(), best.batches(), 1.0) == pytest.approx(loss, rel=1e-12)
    generator, least = np.random.default_rng(1), np.inf
    for _ in range(12):
        first = np.concatenate([generator.uniform(0.05, 0.5, steps), generator.dirichlet(np.ones(steps)) * 20 + 2.5])
        found = minimize(
            lambda x: np.log(twin(lam, start, x[:steps], x[steps:], 1.0)),
            first,
            method="SLSQP",
            bounds=[(1e-9, 0.5)] * steps + [(1.0, samples)] * steps,
            constraints={"type": "eq", "fun": lambda x: x[steps:].sum() - samples},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        least = min(least, np.exp(found.fun))
    assert loss == pytest.approx(least, rel=1e-6)


def test_where_the_noise_is_that_of_the_labels_batches_go_as_the_noise_that_is_left():
    """Then step t adds eta_t^2 lam 2 sigma^2 / B_t, of which prod_{s > t} (1 - eta_s lam)^2 is left; by Cauchy and
    Schwarz its sum is least where B_t goes as the root of what stands above it."""
    lam, steps, samples = 1.0, 5, 50_000
    noise = {"kind": "fresh", "batch_size": 1, "sigma": 1000.0}
    best = joint(steps, samples, np.array([[lam]]), np.array([[30.0]]), noise)
    rates = best.rates()
    left = np.array([np.prod(1.0 - rates[t + 1 :] * lam) for t in range(steps)])
    assert rates.max() < 0.5 and left.min() > 0.0
    wanted = rates * left / (rates * left).sum() * samples
    np.testing.assert_allclose(best.batches(), wanted, rtol=3e-3)
    assert best.batches()[-1] > 1.2 * best.batches()[0]


def test_it_is_no_worse_than_the_best_rates_at_one_batch_size():
    generator = np.random.default_rng(3)
    for _ in range(3):
        lam = 2.0 * np.sort(generator.uniform(0.01, 1.0, 6))[None, ::-1].copy()
        start, steps = generator.standard_normal(lam.shape), int(generator.integers(2, 12))
        even = {**ROWS, "batch_size": 6.0}
        rates = simlr.optimise(lam, start, steps, even, limits={"cap": 0.5})
        both = joint(steps, 6 * steps, lam, start)
        assert both.loss[0] <= rates.loss[0] * (1.0 + 1e-12)
        assert both.gradient_norm < 1e-5 and min(both.over_optimum().values()) >= 1.0


def test_no_samples_to_spare_leave_the_rates_alone():
    both, rates = joint(10, 10), simlr.optimise(LAM, START, 10, ROWS, limits={"cap": 0.5})
    np.testing.assert_array_equal(both.batches(), 1.0)
    assert both.loss[0] == pytest.approx(rates.loss[0], rel=1e-9)


@pytest.mark.slow
def test_pieces_grow_and_the_warm_up_has_the_first_batch():
    best = joint(72, 288, warmup_steps=5)
    batches, rates = best.batches(), best.rates()
    assert batches.size == rates.size == 72 and batches.sum() == pytest.approx(288.0, rel=1e-12)
    assert (batches[:5] == batches[5]).all() and rates[0] == 0.0 and rates[4] < rates[5]
    assert 16 < best.lengths.size - 5 <= 67


@pytest.mark.parametrize(
    ("noise", "limits", "words"),
    [
        ({"kind": "gradient", "sigma": 1.0}, {"samples": 100}, "limits.samples goes with noise of kind 'fresh'"),
        (ROWS, {"samples": 9}, "limits.samples must be at least batch_size x steps = 10, got 9"),
        (ROWS, {"samples": 100, "shape": "monotone"}, "limits.samples goes with the shape 'free', got 'monotone'"),
        (ROWS, {"samples": 10.5}, "limits.samples must be"),
        (ROWS, {"sample": 10}, "samples"),
    ],
)
def test_bad_input_is_one_line(noise, limits, words):
    with pytest.raises(InputError) as refusal:
        simlr.optimise(LAM, START, 10, noise, limits=limits)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_what_has_no_room_for_batches_refuses_them(tmp_path):
    best = joint(4, 30)
    for take in (best.table, lambda: simlr.schedules.export(best, "torch")):
        with pytest.raises(InputError, match=r"take .*batches\(\)"):
            take()
    with pytest.raises(InputError, match=r"limits\.samples searches"):
        simlr.optimise(LAM, START, 4, ROWS).batches()
