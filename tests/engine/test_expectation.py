"""Exact means over the noise: against all outcomes of small batches, linear responses, sampling, published numbers."""

import itertools

import expectation_proofs
import numpy as np
import pytest

import simlr
from simlr.errors import InputError

OPTIMIZERS = ("gd", 0.0), ("momentum", 0.8), ("nesterov", 0.7)
AVERAGES = ("none", {}), ("tail", {"average_start": 2}), ("exponential", {"average_decay": 0.6})


def follow(optimizer, beta, average, eta, start, gradient):
    """One run in plain Python: [(iterate, average), ...] after 0, 1, ... steps; gradient(t, x)."""
    kind, keys = average
    x, v, a = start.copy(), np.zeros_like(start), start.copy()
    seen = [(x, a)]
    for t, rate in enumerate(eta):
        g = gradient(t, x)
        v = beta * v + g if optimizer != "gd" else g
        x = x - rate * (g + beta * v if optimizer == "nesterov" else v)
        if kind == "exponential":
            a = keys["average_decay"] * a + (1.0 - keys["average_decay"]) * x
        elif kind == "tail":
            first = keys["average_start"]
            count = max(t + 1 - first + 1, 1)
            a = x.copy() if count == 1 else a + (x - a) / count
        seen.append((x, a))
    return seen


def losses_of(seen, lam, matrix, offset):
    """(train, test, average train, average test) at each moment."""

    def train(x):
        return 0.5 * (lam * x * x).sum()

    def test(x):
        return (x + offset) @ matrix @ (x + offset)

    return np.array([(train(x), test(x), train(a), test(a)) for x, a in seen])


def method(optimizer, beta, average=("none", {})):
    """The table of an optimiser."""
    kind, keys = average
    table = {"kind": optimizer, "average": kind, **keys}
    return table if optimizer == "gd" else {**table, "momentum": beta}


def found_by(lam, start, eta, noise, optimizer, **options):
    """The same four from simlr, (T + 1, 4)."""
    at = np.arange(len(eta) + 1)
    got = simlr.expected_losses(lam[None], start[None], eta[None], noise, optimizer, steps=at, **options)
    names = "train_loss", "test_loss", "average_train_loss", "average_test_loss"
    return np.stack([getattr(got, name)[0, 0] for name in names], axis=1), got


@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
@pytest.mark.parametrize("average", AVERAGES)
def test_batches_of_given_rows_equal_the_mean_over_every_batch_that_there_is(optimizer, beta, average):
    """3 rows, two of them a step, 3 steps: 9^3 equally likely runs."""
    generator = np.random.default_rng(1)
    rows, label = generator.standard_normal((3, 2)), generator.standard_normal(3)
    lam, axes = np.linalg.eigh(2.0 / 3.0 * rows.T @ rows)
    z = rows @ axes
    minimiser = np.linalg.lstsq(z, label, rcond=None)[0]
    rho, start, eta = label - z @ minimiser, np.array([0.7, -1.1]), np.array([0.3, 0.5, 0.1])
    matrix = np.array([[1.0, 0.3], [0.3, 0.5]])
    offset = np.array([0.2, -0.4])
    runs = []
    for batches in itertools.product(itertools.product(range(3), repeat=2), repeat=3):

        def gradient(t, x, batches=batches):
            batch = list(batches[t])
            return z[batch].T @ (z[batch] @ x - rho[batch])  # 2/2 of the sum

        runs.append(losses_of(follow(optimizer, beta, average, eta, start, gradient), lam, matrix, offset))
    expected = np.mean(runs, axis=0)
    noise = {"kind": "minibatch", "rows": z, "misfits": rho, "batch_size": 2}
    table = method(optimizer, beta, average)
    got, whole = found_by(lam, start, eta, noise, table, test_matrix=matrix, offset=offset[None])
    used = 2 if average[0] == "none" else 4
    np.testing.assert_allclose(got[:, :used], expected[:, :used], rtol=1e-12)
    assert np.isnan(whole.train_loss_variance).all()


@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("noise", ["isotropic", "hessian"])
@pytest.mark.parametrize("diagonal", [True, False])
def test_noise_of_fixed_size_equals_the_sum_over_its_linear_responses(optimizer, beta, average, noise, diagonal):
    """All is linear in the noise: the covariance is the sum of the squares of what each single kick does."""
    lam, start = np.array([1.5, 0.4, 0.0]), np.array([1.0, -2.0, 0.5])
    eta, sigma = np.array([0.3, 0.0, 0.9, 0.2, 0.4]), 0.3
    offset = np.array([0.1, 0.0, -0.7])
    matrix = np.diag([0.5, 2.0, 1.0]) if diagonal else np.array([[1.0, 0.2, 0.0], [0.2, 0.5, 0.1], [0.0, 0.1, 2.0]])
    plain = follow(optimizer, beta, average, eta, start, lambda t, x: lam * x)
    kicks = []
    for time, axis in itertools.product(range(len(eta)), range(3)):
        size = sigma * (np.sqrt(lam[axis]) if noise == "hessian" else 1.0)

        def gradient(t, x, time=time, axis=axis, size=size):
            return lam * x + (size * np.eye(3)[axis] if t == time else 0.0)

        kicks.append(follow(optimizer, beta, average, eta, np.zeros(3), gradient))
    expected, spread = [], []
    for t in range(len(eta) + 1):
        line = []
        for which in (0, 1):
            mean = plain[t][which]
            covariance = sum(np.outer(kick[t][which], kick[t][which]) for kick in kicks)
            line += [
                0.5 * (lam * (mean**2 + np.diag(covariance))).sum(),
                (mean + offset) @ matrix @ (mean + offset) + np.trace(matrix @ covariance),
            ]
            if which == 0:
                curved = np.diag(lam) @ covariance
                spread.append(0.5 * np.trace(curved @ curved) + mean @ curved @ np.diag(lam) @ mean)
        expected.append(line)
    given = np.diag(matrix) if diagonal else matrix
    source = {"kind": "gradient", "sigma": sigma, "covariance": noise}
    table = method(optimizer, beta, average)
    got, whole = found_by(lam, start, eta, source, table, test_matrix=given, offset=offset[None])
    used = 2 if average[0] == "none" else 4
    np.testing.assert_allclose(got[:, :used], np.array(expected)[:, :used], rtol=1e-12)
    np.testing.assert_allclose(whole.train_loss_variance[0, 0], spread, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
@pytest.mark.parametrize("average", AVERAGES)
def test_fresh_rows_equal_sampling(optimizer, beta, average):
    """40,000 runs of 12 steps with batches that grow; within four standard errors at every moment."""
    generator, runs = np.random.default_rng(7), 40_000
    inputs = np.array([1.0, 0.5, 0.2])  # variances: lam is twice that
    lam, start, sigma = 2.0 * inputs, np.array([1.0, -1.0, 2.0]), 0.5
    eta, batch = np.linspace(0.12, 0.02, 12), np.array([1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])

    def gradient(t, x):
        rows = np.sqrt(inputs) * generator.standard_normal((runs, batch[t], 3))
        wrong = np.einsum("kbi,ki->kb", rows, x) - sigma * generator.standard_normal((runs, batch[t]))
        return 2.0 / batch[t] * np.einsum("kbi,kb->ki", rows, wrong)

    seen = follow(optimizer, beta, average, eta, np.tile(start, (runs, 1)), gradient)
    noise = {"kind": "fresh", "sigma": sigma, "batch_size": batch}
    got, _ = found_by(lam, start, eta, noise, method(optimizer, beta, average))
    for t, (x, a) in enumerate(seen):
        for sample, expected in ((x, got[t, :2]), (a, got[t, 2:])):
            if average[0] == "none" and sample is a:
                continue
            losses = 0.5 * (lam * sample**2).sum(axis=1), 0.5 * (sample**2).sum(axis=1)
            for values, mean in zip(losses, expected, strict=True):
                error = values.std(ddof=1) / np.sqrt(runs)
                assert abs(values.mean() - mean) <= 4.0 * error + 1e-12, (t, values.mean(), mean, error)


def test_the_noisy_kernels_have_these_means():
    """4,096 seeds through `simlr.run`, with gradient noise and momentum."""
    rates = [0.2, 0.5]
    run = simlr.run(
        simlr.GridConfig.from_tables(
            {
                "problem": {"kind": "nakkiran2020"},
                "seeds": {"count": 4096},
                "stop": {"train_loss": 1e-30, "max_steps": 40},
                "record": {"points": 0},
                "schedule": [{"kind": "constant", "learning_rate": rates}],
                "optimizer": [{"kind": "momentum", "momentum": 0.8}],
                "noise": [{"kind": "gradient", "sigma": 0.1}],
            }
        )
    )
    curvature, start = run["curvature"], run["initial_residual"]
    eta = np.repeat(np.array(rates)[:, None], 40, axis=1)
    noise = {"kind": "gradient", "sigma": 0.1}
    got = simlr.expected_losses(curvature, start, eta, noise, method("momentum", 0.8)).train_loss[:, :, 0]
    sampled = run["train_loss"][:, :, 0] - run["train_floor"]
    error = np.sqrt(np.var(sampled - got, axis=1, ddof=1) / sampled.shape[1])
    assert (abs((sampled - got).mean(axis=1)) <= 4.0 * error).all()


# ---- published settings ----

ONE_PASS = {"kind": "fresh", "batch_size": 1, "sigma": 1.0}

POWERS = np.arange(1, 101.0)
PUBLISHED = 2.0 * POWERS[None] ** -2.0, np.ones((1, 100))  # capacity 2, source 1/2; their R is half our loss


def test_one_pass_sgd_on_a_power_law_has_the_reference_losses():
    constant = simlr.expected_losses(*PUBLISHED, np.full((1, 100), 0.05), ONE_PASS, steps=[10, 100])
    np.testing.assert_allclose(0.5 * constant.train_loss[0, 0], [0.37364221579085716, 0.14557063998483968], rtol=1e-13)
    linear = 0.1 * (1.0 - np.arange(10) / 10)
    falling = simlr.expected_losses(*PUBLISHED, linear[None], ONE_PASS)
    assert 0.5 * falling.train_loss.item() == pytest.approx(0.37401869407137783, rel=1e-13)


@pytest.mark.parametrize(
    ("batch", "momentum", "limit"),
    [
        (1, 0.0, 0.6110058786), (4, 0.0, 1.304152), (32, 0.0, 1.881113058), (1024, 0.0, 1.996099942),
        (32, 1.0 - 2.0**-4, 1.2111339), (32, 1.0 - 2.0**-8, 0.1020421), (32, 1.0 - 2.0**-12, 0.0065076289),
    ],
)  # fmt: skip
def test_stability_limits_are_the_reference_ones(batch, momentum, limit):
    lam = 2.0 * np.arange(1, 4097.0)[None] ** -2.0
    optimizer = method("momentum" if momentum else "gd", momentum)
    found = simlr.stability(lam, {"kind": "fresh", "batch_size": batch}, optimizer)
    assert 2.0 * found.limit[0] == pytest.approx(limit, rel=5e-7)


def test_noise_floors_are_the_reference_ones():
    lam = 2.0 * np.arange(1, 21.0)[None] ** -2.0
    for optimizer, floor in (("momentum", 0.1438445800387), ("nesterov", 0.0931416777)):
        noise, table = {"kind": "fresh", "sigma": 1.0, "batch_size": 4}, method(optimizer, 0.9)
        settled = simlr.stability(lam, noise, table, 0.05)
        assert 0.5 * settled.floor[0] == pytest.approx(floor, rel=1e-9)
        late = simlr.expected_losses(lam, np.ones((1, 20)), np.full((1, 60_000), 0.05), noise, table)
        assert late.train_loss.item() == pytest.approx(settled.floor[0], rel=1e-9)
    # The reference has Nesterov's loss after the step of the gradient, before the momentum.
    assert 0.5 * settled.step_floor[0] == pytest.approx(0.0839335716085, rel=1e-11)
    capacity_2, per_label = 2.0 * np.arange(1, 4097.0)[None] ** -2.0, {"kind": "fresh", "sigma": 1.0, "batch_size": 32}
    # (the reference's number, that of the closed form in 50 decimal digits: the reference has 9 digits of the first)
    momentum = 0.0204851453913, 0.020485145394189234
    nesterov = 0.0115834708469, 0.011583470846551584
    for optimizer, (floor, precise) in (("momentum", momentum), ("nesterov", nesterov)):
        settled = simlr.stability(capacity_2, per_label, method(optimizer, 0.98), 0.015)
        assert 0.5 * settled.step_floor[0] == pytest.approx(precise, rel=1e-13)
        assert 0.5 * settled.step_floor[0] == pytest.approx(floor, rel=2e-10)


@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
def test_the_critical_batch_of_a_limit_is_the_batch_that_set_it(optimizer, beta):
    lam = 2.0 * np.arange(1, 51.0)[None] ** -1.5
    for batch in (1, 3, 10):
        noise, table = {"kind": "fresh", "batch_size": batch, "sigma": 1.0}, method(optimizer, beta)
        limit = simlr.stability(lam, noise, table).limit[0]
        found = simlr.stability(lam, noise, table, limit)
        assert found.critical_batch[0] == pytest.approx(batch, rel=1e-9)
        half = simlr.stability(lam, noise, table, 0.5 * limit)
        assert 0.0 < half.critical_batch[0] < batch
        assert simlr.stability(lam, noise, table, 9.0).critical_batch[0] == np.inf
        assert simlr.stability(lam, noise, table, 0.0).critical_batch[0] == 0.0
    fixed = simlr.stability(lam, {"kind": "gradient", "sigma": 1.0}, table, 0.1)
    assert np.isnan(fixed.critical_batch[0])


@pytest.mark.parametrize("covariance", ["isotropic", "hessian", "fresh"])
def test_the_floor_after_the_step_is_that_of_the_settled_linear_process(covariance):
    """One axis: the stationary covariance of (theta, velocity), by the linear equations themselves."""
    lam, eta, beta, batch, sigma = 0.8, 0.3, 0.6, 5, 0.7
    turn = np.array([[1 - eta * (1 + beta) * lam, -eta * beta * beta], [lam, beta]])
    kick = np.array([-eta * (1 + beta), 1.0])
    noise = 1.0
    for _ in range(400):  # the noise of fresh rows depends on the variance
        settled = np.linalg.solve(np.eye(4) - np.kron(turn, turn), noise * np.kron(kick, kick)).reshape(2, 2)
        variance = {"isotropic": sigma**2, "hessian": sigma**2 * lam}.get(covariance)
        if variance is None:
            variance = (2 * lam * (0.5 * lam * settled[0, 0] + sigma**2) + lam**2 * settled[0, 0]) / batch
        noise = variance
    expected = 0.5 * lam * ((1 - eta * lam) ** 2 * settled[0, 0] + eta**2 * noise)
    given = {"kind": "fresh", "batch_size": batch, "sigma": sigma}
    if covariance != "fresh":
        given = {"kind": "gradient", "covariance": covariance, "sigma": sigma}
    found = simlr.stability(np.array([[lam]]), given, method("nesterov", beta), eta)
    assert found.step_floor[0] == pytest.approx(expected, rel=1e-12)
    assert found.floor[0] == pytest.approx(0.5 * lam * settled[0, 0], rel=1e-12)


SOURCES = [
    {"kind": "gradient", "sigma": 0.4},
    {"kind": "gradient", "sigma": 0.4, "covariance": "hessian"},
    {"kind": "fresh", "sigma": 0.4, "batch_size": 2},
]


@pytest.mark.parametrize("noise", SOURCES)
@pytest.mark.parametrize(("optimizer", "beta"), OPTIMIZERS)
def test_the_floor_is_where_the_mean_loss_settles_and_beyond_the_limit_it_grows(noise, optimizer, beta):
    generator, table = np.random.default_rng(3), method(optimizer, beta)
    lam, start = generator.uniform(0.2, 2.0, (3, 8)), np.ones((1, 8))
    limits = simlr.stability(lam, noise, table).limit
    for n, limit in enumerate(limits):
        one = lam[n : n + 1]
        floor = simlr.stability(one, noise, table, 0.5 * limit).floor[0]
        settled = simlr.expected_losses(one, start, np.full((1, 5_000), 0.5 * limit), noise, table)
        assert settled.train_loss.item() == pytest.approx(floor, rel=1e-9)
        beside = np.array([0.999, 1.001])[:, None] * limit * np.ones((1, 60_000))
        found = simlr.expected_losses(one, start, beside, noise, table, steps=[30_000, 60_000])
        below, above = found.train_loss[:, 0]
        assert below[1] <= 1.01 * below[0]
        assert above[1] > 2.0 * above[0] or above[1] == np.inf


def test_diverged_runs_are_infinite_and_no_steps_are_the_start():
    lam, start, eta = np.array([[2.0, 1.0]]), np.array([[1.0, 3.0]]), np.full((1, 2000), 3.0)
    noise = {"kind": "fresh", "batch_size": 1}
    got = simlr.expected_losses(lam, start, eta, noise, steps=[0, 1, 2000])
    assert got.train_loss[0, 0, 0] == 0.5 * (2.0 + 9.0)
    assert got.train_loss[0, 0, 2] == np.inf
    assert got.test_loss[0, 0, 2] == np.inf
    assert np.isnan(got.train_loss_variance[0, 0, 2])
    kicked = {"kind": "gradient", "sigma": 1.0, "covariance": "hessian"}
    averaged = simlr.expected_losses(lam, start, eta, kicked, {"kind": "gd", "average": "tail"})
    assert averaged.average_train_loss.item() == averaged.average_test_loss.item() == np.inf
    assert simlr.stability(lam, noise, learning_rate=3.0).floor[0] == np.inf


def test_pairs_and_modes_agree_where_both_can():
    generator = np.random.default_rng(5)
    lam, start = generator.uniform(0.1, 1.0, (2, 5)), generator.standard_normal((2, 5))
    eta, weights = generator.uniform(0.0, 0.6, (3, 50)), generator.uniform(0.1, 1.0, 5)
    table = method("nesterov", 0.5, ("exponential", {"average_decay": 0.9}))
    for noise in SOURCES:
        modes = simlr.expected_losses(lam, start, eta, noise, table, test_matrix=weights)
        pairs = simlr.expected_losses(lam, start, eta, noise, table, test_matrix=np.diag(weights))
        for one, other in zip(modes, pairs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


ONE = np.ones((1, 2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": {"kind": "frsh"}}, "noise 'frsh': unknown kind 'frsh'; did you mean 'fresh'?"),
        ({"noise": "fresh"}, "noise must be a table with a kind, one of 'none', 'gradient', 'fresh', 'minibatch'"),
        ({"noise": {"kind": "fresh"}}, "noise 'fresh': batch_size is missing"),
        ({"noise": {"kind": "fresh", "batch_size": 0.5}}, "batch_size must be >= 1, got 0.5"),
        (
            {"noise": {"kind": "fresh", "batch_size": [1.0, 2.0]}},
            "batch_size must be a number or have shape (4,) or (1, 4), got (2,)",
        ),
        ({"noise": {"kind": "gradient", "sigma": -1.0}}, "sigma must be a finite number >= 0, got -1.0"),
        (
            {"noise": {"kind": "minibatch", "batch_size": 1, "rows": np.ones((3, 2)), "misfits": np.zeros(3)}},
            "rows^T rows must be diag(curvature)",
        ),
        ({"curvature": -ONE}, "curvature must be >= 0, got -1"),
        ({"residual": np.ones((1, 3))}, "residual must have shape (1, 2), got (1, 3)"),
        ({"learning_rate": np.ones(3)}, "2 axes, none empty, got shape (3,); of one, write [...] around it"),
        ({"optimizer": {"kind": "momentum", "momentum": 1.0}}, "momentum must be a number from 0 to below 1, got 1.0"),
        ({"optimizer": {"kind": "momentum", "momentum": [0.1, 0.2]}}, "momentum must be one value here"),
        ({"optimizer": {"kind": "sgd", "batch_size": 1}}, "optimizer 'sgd': draws mini-batches itself"),
        ({"steps": [3, 2]}, "steps must ascend from 0 to at most the 4 of the learning rates"),
        ({"steps": [0.5]}, "steps must be whole numbers, at least one"),
        ({"test_matrix": np.ones(3)}, "test_matrix must have shape (2,), (2, 2), (1, 2, 2), (1, 2), got (3,)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(changes, words):
    given = {
        "curvature": ONE,
        "residual": ONE,
        "learning_rate": np.full((1, 4), 0.1),
        "noise": {"kind": "none"},
        **changes,
    }
    with pytest.raises(InputError) as caught:
        simlr.expected_losses(**given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_small_proof_of_the_limit_of_stability():
    lines, wrong = expectation_proofs.beside_the_limit(spectra=3, steps=10**5, most_axes=6)
    assert wrong == [] and len(lines) == 6
