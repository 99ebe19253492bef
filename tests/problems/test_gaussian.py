"""The problem kind `gaussian`: NumPy's draws and plain descent, random-matrix closed forms, laws, bits, bad input."""

import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from naive import gaussian as naive_gaussian
from simlr.analysis import directions
from simlr.errors import InputError
from simlr.grid.job import Job
from simlr.problems.gaussian import GAUSSIAN

REACHED, OUT_OF_STEPS = 1, 2
ROOT_SEED = 5
CLOSE = {"rtol": 1e-9, "atol": 1e-18}
MATRIX = np.array([[2.0, 0.6, -0.3, 0.1], [0.6, 1.0, 0.2, 0.0], [-0.3, 0.2, 0.5, 0.3], [0.1, 0.0, 0.3, 1.5]])


def parameters(**changes):
    """The parameters of the kind, the defaults filled in."""
    defaults = {parameter.name: parameter.default for parameter in GAUSSIAN.parameters}
    return {**defaults, "train_rows": 5, **changes}


def prepare(folder=".", **changes):
    return GAUSSIAN.prepare(parameters(**changes), folder)


def batch_of(source, seeds=3, root=ROOT_SEED):
    return source.draw(root, np.arange(seeds), 1)


# ---- the twin ----

RANK = np.arange(1, 5)
LISTED = [0.3, 2.0, 1.0, 0.7]
TARGET = [1.0, -2.0, 0.5, 3.0]
# What the grid says -> what the twin is told: the covariances, and the target as a function of the seed.
CASES = {
    "isotropic": ({"dimension": 4, "test_scale": 2.0}, np.eye(4), 2.0 * np.eye(4), None),
    "one axis": ({"dimension": 1, "train_scale": 3.0}, 3.0 * np.eye(1), 3.0 * np.eye(1), None),
    "power law, tested isotropic": (
        {"dimension": 4, "train_covariance": "power_law", "train_exponent": 1.5, "test_covariance": "isotropic"},
        *(np.diag(RANK**-1.5), np.eye(4), None),
    ),
    "spiked, tested on a power law": (
        {"dimension": 4, "train_covariance": "spiked", "train_spikes": 2, "train_spike": 5.0, "train_scale": 0.5}
        | {"test_covariance": "power_law", "test_exponent": -1.0, "test_scale": 3.0},
        *(np.diag([3.0, 3.0, 0.5, 0.5]), 3.0 * np.diag(RANK), None),
    ),
    "lists, a given target and start": (
        {"train_covariance": LISTED, "test_covariance": [1.0, 0.0, 2.0, 3.0], "target": TARGET, "start": [1, 2, 3, 4]},
        *(np.diag(LISTED), np.diag([1.0, 0.0, 2.0, 3.0]), lambda seed: np.array(TARGET)),
    ),
    "a matrix, a source condition": (
        {"train_covariance": "sigma.npy", "target_source": 1.5, "target_norm": 2.0},
        *(MATRIX, MATRIX, lambda seed: naive_gaussian.drawn_target(ROOT_SEED, seed, MATRIX, 2.0, 1.5)),
    ),
    "ones along a matrix, tested on a matrix": (
        {"train_covariance": "sigma.csv", "test_covariance": "tau.npz", "target": "ones", "target_source": -1.0},
        *(MATRIX, MATRIX @ MATRIX, lambda seed: naive_gaussian.ones_target(MATRIX, 1.0, -1.0)),
    ),
}
ROWS = [2, 4, 9]


@pytest.fixture(scope="module")
def matrices(tmp_path_factory):
    """A folder with matrices as NPY, CSV and NPZ."""
    folder = tmp_path_factory.mktemp("matrices")
    np.save(folder / "sigma.npy", MATRIX)
    np.savetxt(folder / "sigma.csv", MATRIX, delimiter=",", fmt="%.17g")
    np.savez(folder / "tau.npz", test_covariance=MATRIX @ MATRIX, other=np.ones(3))
    return folder


def drawn(case, rows, seed, label_noise, held_out=3):
    """The twin's draw of a case."""
    _, train, test, target = CASES[case]
    target = target(seed) if target else naive_gaussian.drawn_target(ROOT_SEED, seed, train, 1.0, 0.0)
    return naive_gaussian.draw(ROOT_SEED, seed, rows, held_out, train, test, target, label_noise)


@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_descent_on_the_rows_that_numpy_draws(run_grid, matrices, case):
    """Stops, losses and the quadratics behind them, for fewer, as many and more rows than axes."""
    problem = {"kind": "gaussian", **CASES[case][0], "train_rows": ROWS, "label_noise": 0.4}
    schedule = {"kind": "constant", "learning_rate": 1.9, "steps": 60, "unit": "sharpness"}
    stop = {"excess_train_loss": [0.3, 0.01, 1e-4], "max_steps": 60}
    seeds = {"count": 3, "root": ROOT_SEED}
    run = run_grid(problem, [schedule], None, stop=stop, seeds=seeds, folder=matrices)
    for n in range(len(run.seed)):
        twin = drawn(case, int(run["problem_train_rows"][n]), int(run.draw[n]), 0.4)
        start = np.array(CASES[case][0].get("start", np.zeros(twin.x.shape[1])), float)
        sharpness = np.linalg.eigvalsh(naive.hessian(twin.x))[-1]
        path = naive.descend_rows(twin.x, twin.y, start, [1.9 / sharpness] * 60)
        best = naive.minimiser(twin.x, twin.y, start)
        train = np.array([naive.mean_squared_error(twin.x, twin.y, theta) for theta in path])
        np.testing.assert_allclose(run.train_floor[n], naive.mean_squared_error(twin.x, twin.y, best), **CLOSE)
        np.testing.assert_allclose(run.train_minimiser[n], best, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(run.target[n], twin.target, rtol=1e-12)
        assert run.test_floor[n] == 0.4**2
        for k, excess in enumerate(run.level):
            below = np.flatnonzero(train <= run.train_floor[n] + excess)
            step = below[0] if below.size else 60
            assert (run.status[0, n, k], run.stop_step[0, n, k]) == (REACHED if below.size else OUT_OF_STEPS, step)
            np.testing.assert_allclose(run.train_loss[0, n, k], train[step], **CLOSE)
            np.testing.assert_allclose(run.test_loss[0, n, k], twin.test_loss(path[step]), **CLOSE)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rows", ROWS)
def test_rows_and_validation_are_those_that_numpy_draws(matrices, case, rows):
    """Mini-batches see z = Q^T x and rho = y - <x, theta_hat>; the validation loss is that of the held-out rows."""
    source = prepare(matrices, **CASES[case][0], train_rows=rows, validation_rows=3, label_noise=0.4)
    draws = np.arange(2)
    batch = source.draw(ROOT_SEED, draws, 1)
    z, rho = source.rows(ROOT_SEED, draws, batch, 1)
    held_out = source.validation(ROOT_SEED, draws, batch, 1)
    for n in draws:
        twin, axes, best = drawn(case, rows, n, 0.4), batch.curvature_axes[n], batch.train_minimiser[n]
        np.testing.assert_allclose(axes.T @ axes, np.eye(len(axes)), atol=1e-13)
        np.testing.assert_allclose(z[n], twin.x @ axes, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(rho[n], twin.y - twin.x @ best, rtol=1e-8, atol=1e-10)
        r = np.random.default_rng(n).normal(size=len(axes))
        away, theta = r + held_out.offset[n], best + axes @ r
        found = held_out.floor[n] + away @ held_out.matrix[n] @ away
        expected = naive.mean_squared_error(twin.held_out, twin.held_out_y, theta)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def test_fewer_rows_are_the_first_of_more():
    """And what only scales the draws changes none: grids compare equal seeds."""
    many, few, loud = (prepare(dimension=3, **change) for change in ({"train_rows": 9}, {}, {"label_noise": 2.0}))
    batches = [batch_of(source) for source in (many, few, loud)]
    z = [
        np.einsum("nki,nji->nkj", source.rows(ROOT_SEED, np.arange(3), batch, 1)[0], batch.curvature_axes)
        for source, batch in zip((many, few, loud), batches, strict=True)
    ]
    np.testing.assert_allclose(z[0][:, :5], z[1], atol=1e-13)
    np.testing.assert_array_equal(z[1], z[2])
    np.testing.assert_array_equal(batches[0].target, batches[2].target)


# ---- closed forms ----

SEEDS = 400


def risk(run, s=0, e=0):
    """Mean test loss over seeds of a run with one problem, and its standard error."""
    loss = run.test_loss[s, :, e]
    return loss.mean(), loss.std(ddof=1) / np.sqrt(loss.size)


def ridgeless(run_grid, train_rows, dimension, seeds=SEEDS, **problem):
    """The run of a flow to the train minimiser nearest to 0, to rounding."""
    problem = {"kind": "gaussian", "dimension": dimension, "train_rows": train_rows, **problem}
    tables = {"stop": {"excess_train_loss": [1e-16]}, "record": {"points": 0, "stop_residual": True}}
    return run_grid(problem, [{"kind": "flow"}], None, seeds={"count": seeds}, **tables)


@pytest.mark.parametrize(("n", "d"), [(20, 40), (40, 20)])
def test_bias_and_variance_of_ridgeless_regression(run_grid, n, d):
    """Exact for every n and d, isotropic: E bias = (1 - n/d)+ |theta_star|^2, since the rows span a random subspace,
    and E variance = sigma^2 E tr (X^T X)^+ = sigma^2 min(n, d) / (|n - d| - 1), by the inverse Wishart's mean. With
    n, d -> infinity these are the limits of Hastie et al. (2022). Taken apart by turning off the noise, or the target.
    """
    bias = ridgeless(run_grid, n, d, label_noise=0.0, target_norm=2.0)
    mean, error = risk(bias)
    assert abs(mean - 4.0 * max(0.0, 1 - n / d)) <= 4 * error + 1e-12
    noisy = ridgeless(run_grid, n, d, label_noise=0.5, target_norm=0.0)
    mean, error = risk(noisy)
    assert abs(mean - 0.25 * (1 + min(n, d) / (abs(n - d) - 1))) <= 4 * error


@pytest.mark.parametrize(("n", "d"), [(20, 40), (40, 20)])
def test_bias_and_variance_over_seeds(run_grid, n, d):
    """`directions` on a target that all seeds share: E theta_hat = min(1, n/d) theta_star, so that
    bias^2 = (1 - n/d)+^2 |theta_star|^2; the variance holds what is left of the risk.
    """
    run = ridgeless(run_grid, n, d, label_noise=0.5, target="ones", target_norm=2.0)
    (found,) = directions.bias_and_variance(run)
    share = min(1.0, n / d)
    bias, variance = 4.0 * (1 - share) ** 2, 4.0 * share * (1 - share) + 0.25 * min(n, d) / (abs(n - d) - 1)
    assert found.note == ""
    assert abs(found.bias_squared - bias) <= 4 * found.bias_squared_error
    assert abs(found.variance - variance) <= 4 * found.variance_error
    assert found.bias_squared_error < 0.05
    assert found.variance_error < 0.1 * variance


def test_the_price_of_a_mismatch(run_grid):
    """Least squares with n > d + 1 and other covariances: E risk - sigma^2 = sigma^2 tr(T Sigma^-1) / (n - d - 1)."""
    n, d, mismatch = 30, 10, {"train_covariance": "power_law", "train_exponent": 1.0, "test_covariance": "isotropic"}
    run = ridgeless(run_grid, n, d, label_noise=0.5, **mismatch)
    mean, error = risk(run)
    assert abs(mean - 0.25 * (1 + np.arange(1, d + 1).sum() / (n - d - 1))) <= 4 * error


def test_the_best_constant_is_the_norm(run_grid):
    """At the start 0 the test loss is sigma^2 + theta_star^T T theta_star, of mean sigma^2 + norm^2 tr(T P) / tr P."""
    problem = {"kind": "gaussian", "dimension": 30, "train_rows": 3, "label_noise": 0.1, "target_norm": 3.0}
    problem |= {"train_covariance": "power_law", "test_covariance": "isotropic", "target_source": 0.7}
    run = run_grid(problem, [{"kind": "constant", "learning_rate": 0.0}], [1e-9], seeds={"count": SEEDS}, max_steps=1)
    mean, error = risk(run)
    assert abs(mean - 9.01) <= 4 * error


# ---- the risk of gradient flow ----


def marchenko_pastur(f, ratio):
    """The mean of f over the spectrum of X^T X / n for n, d -> infinity with d / n = ratio: density
    sqrt((b - s) (s - a)) / (2 pi ratio s) on [a, b] = (1 -+ sqrt ratio)^2, the rest at 0 (Marchenko and Pastur 1967).
    """
    angle = (np.arange(20000) + 0.5) * np.pi / 20000
    s = 1 + ratio + 2 * np.sqrt(ratio) * np.cos(angle)
    weight = 4 * ratio * np.sin(angle) ** 2 / (2 * np.pi * ratio * s) * (np.pi / 20000)
    return (f(s) * weight).sum() + max(0.0, 1 - 1 / ratio) * f(np.zeros(1))[0]


def first_correction(f, ratio):
    """lim (E tr f(X^T X / n) - d mean of f), real normal rows, d < n: Bai and Silverstein (2004): a quarter of
    f(a) + f(b), less half the mean of f over the arcsine law on [a, b].
    """
    middle, half = 1 + ratio, 2 * np.sqrt(ratio)
    angle = (np.arange(20000) + 0.5) * np.pi / 20000
    return (f(middle - half) + f(middle + half)) / 4 - f(middle + half * np.cos(angle)).mean() / 2


def mean_over_spectrum(f, n, d):
    """E tr f(X^T X / n) / d up to O(1/d^2); with n < d by X X^T / d, which has the spectrum that is not 0."""
    if n > d:
        return marchenko_pastur(f, d / n) + first_correction(f, d / n) / d
    other = lambda s: f(s * d / n)  # noqa: E731
    share = n / d
    return share * (marchenko_pastur(other, share) + first_correction(other, share) / n) + (1 - share) * f(0.0)


def flow_risk(n, d, sigma, tau, mean=mean_over_spectrum):
    """E test loss of gradient flow from 0 after a time tau on (1/n) |X theta - y|^2, |theta_star| = 1, isotropic: with
    s the spectrum of X^T X / n, sigma^2 + mean of exp(-4 tau s) + sigma^2 (d/n) mean of (1 - exp(-2 tau s))^2 / s.
    (Ali, Kolter and Tibshirani 2019, arXiv:1810.10082, whose time is 2 tau.)
    """
    grown = lambda s: np.where(s > 0, (1 - np.exp(-2 * tau * s)) ** 2 / np.where(s > 0, s, 1.0), 0.0)  # noqa: E731
    return sigma**2 + mean(lambda s: np.exp(-4 * tau * s), n, d) + sigma**2 * d / n * mean(grown, n, d)


@pytest.mark.parametrize(("n", "d"), [(40, 80), (80, 40)])
def test_the_risk_of_gradient_flow_is_marchenko_and_pasturs_integral(run_grid, n, d):
    """At three times, early, midway and late. The target's length is that of all seeds, so that it adds no spread."""
    problem = {"kind": "gaussian", "dimension": d, "train_rows": n, "label_noise": 0.5, "target": "ones"}
    record = {"points": 4, "seeds": "all", "flow_time": 10.0}
    run = run_grid(problem, [{"kind": "flow"}], [1e-16], record=record, seeds={"count": 100})
    for k in (1, 2, 3):
        loss = run.trajectory_test_loss[0, :, k]
        expected = flow_risk(n, d, 0.5, run.recorded_time[0, k])
        error = loss.std(ddof=1) / np.sqrt(loss.size)
        assert abs(loss.mean() - expected) <= 4 * error
        assert error < 0.02 * expected


# ---- laws ----

SCHEDULES = [
    {"name": "steps", "kind": "constant", "learning_rate": 0.25, "steps": 40},
    {"name": "flow", "kind": "flow"},
]


def losses_of(run_grid, problem, rate=0.25, levels=(0.5, 0.1)):
    """The run of a small problem at a rate, and by flow."""
    problem = {"kind": "gaussian", "dimension": 6, "train_rows": 4, **problem}
    schedules = [{**SCHEDULES[0], "learning_rate": rate}, SCHEDULES[1]]
    stop = {"train_loss_fraction": list(levels), "max_steps": 40}
    return run_grid(problem, schedules, None, stop=stop, seeds={"count": 5})


shapes = st.sampled_from(
    [
        {"train_covariance": "isotropic"},
        {"train_covariance": "power_law", "train_exponent": 0.5},
        {"train_covariance": "spiked", "train_spike": 3.0},
    ]
)


@settings(max_examples=12)
@given(shape=shapes, twos=st.integers(-6, 6), noise=st.sampled_from([0.0, 0.5]), rows=st.integers(1, 9))
def test_inputs_scaled_by_c_at_a_rate_scaled_by_its_square(run_grid, shape, twos, noise, rows):
    """Covariance c^2 Sigma at the rate eta / c^2, labels c y: the same path, and c^2 its losses, to the bit where c is
    a power of two.
    """
    c = 2.0**twos
    one = losses_of(run_grid, {**shape, "train_rows": rows, "label_noise": noise})
    scaled = {"train_scale": c * c, "train_rows": rows, "label_noise": c * noise}
    other = losses_of(run_grid, shape | scaled, rate=0.25 / c**2)
    for name in ("stop_step", "status", "train_minimiser", "curvature_axes"):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    for name in ("train_loss", "test_loss"):
        np.testing.assert_array_equal(one[name][0] * c * c, other[name][0], err_msg=name)
        np.testing.assert_allclose(one[name][1] * c * c, other[name][1], rtol=1e-9, err_msg=name)


@settings(max_examples=12)
@given(shape=shapes, twos=st.integers(-6, 6), noise=st.sampled_from([0.0, 0.5]))
def test_labels_scaled_by_c(run_grid, shape, twos, noise):
    """Target and noise times c: the path times c, and c^2 its losses, to the bit where c is a power of two."""
    c = 2.0**twos
    one = losses_of(run_grid, {**shape, "label_noise": noise})
    other = losses_of(run_grid, {**shape, "label_noise": c * noise, "target_norm": c})
    for name, power in (("stop_step", 0), ("status", 0), ("train_minimiser", 1), ("train_loss", 2), ("test_loss", 2)):
        np.testing.assert_array_equal(one[name] * c**power, other[name], err_msg=name)


vectors = st.lists(st.floats(-3, 3), min_size=6, max_size=6)


@settings(max_examples=12)
@given(shape=shapes, target=vectors, shift=vectors)
def test_a_shift_of_target_and_start(run_grid, shape, target, shift):
    """Only theta_star less the start counts."""
    one = losses_of(run_grid, {**shape, "target": target, "label_noise": 0.3})
    shifted = {"target": (np.array(target) + shift).tolist(), "start": shift, "label_noise": 0.3}
    other = losses_of(run_grid, shape | shifted)
    np.testing.assert_allclose(one.test_loss, other.test_loss, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(one.train_minimiser + shift, other.train_minimiser, rtol=1e-9, atol=1e-10)


def test_a_diagonal_matrix_is_its_list(run_grid, tmp_path):
    """In any order of eigenvalues, 0 included."""
    values = [0.3, 2.0, 0.0, 1.0, 0.7, 3.0]
    np.save(tmp_path / "m.npy", np.diag(values))
    stop, problem = {"train_loss_fraction": [0.5, 0.1]}, {"kind": "gaussian", "train_rows": 4, "target_source": 1.0}
    tables = {"stop": stop, "seeds": {"count": 5}, "folder": tmp_path}
    one, other = (
        run_grid({**problem, "train_covariance": covariance}, [{"kind": "flow"}], None, **tables)
        for covariance in (values, "m.npy")
    )
    np.testing.assert_allclose(one.test_loss, other.test_loss, rtol=1e-9)
    np.testing.assert_allclose(one.curvature, other.curvature, rtol=1e-9, atol=1e-14)


def test_a_rotation_changes_no_mean(run_grid, tmp_path):
    """Sigma and theta_star turned together: the draws are others, their law is the same."""
    values, target = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.1]), np.array([*TARGET, 0.0, 1.0])
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    np.savez(tmp_path / "t.npz", train_covariance=axes @ np.diag(values) @ axes.T, target=axes @ target)
    shared = {"label_noise": 0.3, "test_covariance": "isotropic"}
    turned = {"train_covariance": "t.npz", "target": "t.npz"}
    tables = {"stop": {"train_loss_fraction": [0.1]}, "seeds": {"count": SEEDS}, "folder": tmp_path}
    plain = {"train_covariance": values.tolist(), "target": target.tolist()}
    (one, one_error), (other, other_error) = (
        risk(run_grid({"kind": "gaussian", "train_rows": 4, **shared, **given_as}, [{"kind": "flow"}], None, **tables))
        for given_as in (plain, turned)
    )
    assert abs(one - other) <= 4 * np.hypot(one_error, other_error)


# ---- grids, bits ----

FIVE_AXES = """
name = "five"

[problem]
kind = "gaussian"
dimension = 12
train_rows = [6, 12, 24]
train_covariance = "power_law"
train_exponent = [0.0, 1.0]
test_covariance = ["train", "isotropic"]
target_source = [-1.0, 1.0]
label_noise = [0.0, 0.3]
validation_rows = 5

[seeds]
count = 10

[stop]
excess_train_loss = [0.1, 0.01]
max_steps = 300

[record]
points = 8
seeds = 3

[[schedule]]
kind = "flow"

[[schedule]]
name = "annealed"
unit = "sharpness"
phases = [{ kind = "constant", learning_rate = [1.0, 1.9], steps = 20 }, { kind = "flow" }]

[[schedule]]
kind = "cosine"
unit = "sharpness"
learning_rate = 1.5
steps = 200
"""
AXES = {"train_rows", "train_exponent", "test_covariance", "target_source", "label_noise"}


@pytest.mark.slow
def test_a_grid_over_five_axes_and_its_report(folder):
    """In under 40 lines; the report names every axis."""
    assert len(FIVE_AXES.strip().splitlines()) < 40
    (folder / "five.toml").write_text(FIVE_AXES)
    ran = runs.command("five.toml", "--out", "five.h5", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    run = simlr.load(folder / "five.h5")
    assert run.test_loss.shape == (4, 480, 2)
    assert {name.removeprefix("problem_") for name in run.names if name.startswith("problem_")} == AXES
    made = runs.ended(runs.start("five.h5", "--out", "report", module="simlr.report", cwd=folder))
    assert made.returncode == 0, made.stderr
    page, header = (
        (folder / "report/report.html").read_text(),
        (folder / "report/summary.csv").read_text().split("\n")[0],
    )
    assert {name for name in AXES if name in page} == AXES
    assert {name for name in AXES if f"problem_{name}" in header.split(",")} == AXES


def varied(block_seeds, **changes):
    """The grid of five axes, and mini-batches and early stopping beside it, in blocks of some size."""
    return simlr.GridConfig.from_toml(FIVE_AXES, [("run.block_seeds", block_seeds), *changes.items()])


def test_bits_do_not_depend_on_threads_or_blocks(tmp_path):
    one = simlr.run(varied(480), threads=1)
    runs.assert_same_bits(one, simlr.run(varied(7), threads=2))
    part = tmp_path / "part.h5"
    runs.run_blocks(varied(50), part, [1, 4, 9])
    simlr.run(varied(50), out=part, resume=True)
    runs.assert_same_bits(one, simlr.load(part))


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": [{"kind": "minibatch", "batch_size": 2}], "schedule": [{"kind": "constant", "learning_rate": 0.01}]},
        {
            "stop": {"validation": {"patience": [3], "every": 5}},
            "schedule": [{"kind": "constant", "learning_rate": 1.0, "unit": "sharpness"}],
        },
    ],
    ids=["minibatch", "validation"],
)
def test_bits_of_rows_and_validation(changes):
    """Drawn again for each block, of problems with different numbers of rows and axes."""
    problem = {"kind": "gaussian", "dimension": [3, 5], "train_rows": [4, 9], "label_noise": 0.5, "validation_rows": 4}
    base = simlr.GridConfig.from_toml(FIVE_AXES).tables() | {"problem": problem, "record": {"points": 0}}
    base["stop"] = {"excess_train_loss": [0.1]}
    base = base | changes
    base["stop"]["max_steps"] = 100
    first = simlr.run(simlr.GridConfig.from_tables({**base, "run": {"block_seeds": 40}}), threads=1)
    second = simlr.run(simlr.GridConfig.from_tables({**base, "run": {"block_seeds": 3}}), threads=2)
    runs.assert_same_bits(first, second)
    assert np.isfinite(first.test_loss).all()
    assert (first.status != 0).all()


def test_blocks_of_many_rows_are_small():
    """Mini-batches need the rows of every seed of a block at a time."""
    tables = {"problem": {"kind": "gaussian", "dimension": 50, "train_rows": [100, 50_000]}, "stop": {"steps": [10]}}
    tables |= {"seeds": {"count": 1000}, "schedule": [{"kind": "constant", "learning_rate": 0.01}]}
    noisy = {**tables, "noise": [{"kind": "minibatch", "batch_size": 1}]}
    plain, many = (Job(simlr.GridConfig.from_tables(table)).plan for table in (tables, noisy))
    assert 1 <= many.block_seeds < 8 < plain.block_seeds
    assert many.bytes_a_seed >= 8 * 50_000 * 51


# ---- what is refused ----

WORDS = r"'isotropic' or 'power_law' or 'spiked', a list of eigenvalues, or a file \(.npy, .npz, .h5, .hdf5, .csv\)"
BAD_VALUES = [
    ({"train_covariance": "isotropc"}, "train_covariance: unknown word 'isotropc'; did you mean 'isotropic'"),
    ({"train_covariance": "zzz"}, "train_covariance: unknown word 'zzz'; valid are 'isotropic', 'power_law', 'spiked'"),
    ({"train_covariance": "train"}, "train_covariance: unknown word 'train'"),
    ({"train_covariance": "sigma.mat"}, f"train_covariance must be {WORDS}, got 'sigma.mat'"),
    ({"train_covariance": 3.0}, f"train_covariance must be {WORDS}, got 3.0"),
    ({"train_covariance": []}, f"train_covariance must be {WORDS}, got "),
    ({"train_covariance": [1.0, -1.0]}, "train_covariance: each value must be a finite number >= 0, got -1.0"),
    ({"train_covariance": [1.0, float("nan")]}, "train_covariance: each value must be a finite number >= 0, got nan"),
    ({"train_covariance": ["isotropic", "isotropic"]}, "train_covariance must be a list of different values"),
    ({"train_covariance": ["isotropic", 3.0]}, f"train_covariance must be {WORDS}, got 3.0"),
    ({"test_covariance": "trian"}, "test_covariance: unknown word 'trian'; did you mean 'train'"),
    (
        {"test_covariance": [[1.0, 2.0], [3.0, True]]},
        "test_covariance: each value must be a finite number >= 0, got Tr",
    ),
    ({"train_scale": 0.0}, "train_scale must be a finite number > 0, got 0.0"),
    ({"train_exponent": float("inf")}, "train_exponent must be a finite number, got inf"),
    ({"train_spikes": 0}, "train_spikes must be a whole number >= 1, got 0"),
    ({"test_spike": -2.0}, "test_spike must be a finite number >= 0, got -2.0"),
    ({"dimension": 2.5}, "dimension must be a whole number >= 0, got 2.5"),
    ({"train_rows": 0}, "train_rows must be a whole number >= 1, got 0"),
    ({"target": "rnadom"}, "target: unknown word 'rnadom'; did you mean 'random'"),
    ({"target": ["random", [1.0, "x"]]}, "target: each value must be a finite number, got 'x'"),
    ({"target_norm": -1.0}, "target_norm must be a finite number >= 0, got -1.0"),
    ({"start": "one"}, "start: unknown word 'one'; did you mean 'zero'|start: unknown word 'one'; valid are 'zero'"),
    ({"label_noise": "loud"}, "label_noise must be a finite number >= 0, got 'loud'"),
    ({"validation_rows": -1}, "validation_rows must be a whole number >= 0, got -1"),
    ({"train_covarience": "isotropic"}, "unknown key 'train_covarience'; did you mean 'train_covariance'"),
]


@pytest.mark.parametrize(("change", "message"), BAD_VALUES)
def test_bad_values_are_refused(change, message):
    tables = {
        "problem": {"kind": "gaussian", "dimension": 4, "train_rows": 5, **change},
        "schedule": [{"kind": "flow"}],
    }
    with pytest.raises(InputError, match=message) as caught:
        simlr.GridConfig.from_tables(tables | {"stop": {"train_loss": [0.1]}})
    assert "\n" not in str(caught.value)


def test_train_rows_are_wanted():
    with pytest.raises(InputError, match=r"problem \(kind 'gaussian'\): train_rows is missing"):
        simlr.GridConfig.from_toml(
            '[problem]\nkind = "gaussian"\n[stop]\ntrain_loss = 0.1\n[[schedule]]\nkind = "flow"'
        )


SPIKED = {"train_covariance": "spiked"}
POWER = {"train_covariance": "power_law"}
BAD_TOGETHER = [
    ({"dimension": 0}, "dimension is missing: there is no list and no file"),
    ({"dimension": 3, "target": (1.0, 2.0)}, "target has 2 axes, problem.dimension 3"),
    (
        {"dimension": 0, "target": (1.0, 2.0), "train_covariance": (1.0,)},
        "target has 2 axes, problem.train_covariance 1",
    ),
    ({"dimension": 0, "start": (1.0, 2.0), "test_covariance": (1.0,)}, "start has 2 axes, problem.test_covariance 1"),
    (
        {"train_covariance": (0.0,) * 4},
        "train_covariance: eigenvalues must be >= 0, and one above 0, got 0 as the least",
    ),
    ({"train_exponent": 2.0}, "train_exponent goes with train_covariance = 'power_law' alone, got 'isotropic'"),
    ({**SPIKED, "train_exponent": 2.0}, "train_exponent goes with train_covariance = 'power_law' alone, got 'spiked'"),
    ({"train_spikes": 2}, "train_spikes goes with train_covariance = 'spiked' alone, got 'isotropic'"),
    ({"test_exponent": 2.0}, "test_exponent goes with test_covariance = 'power_law' alone, got 'train'"),
    ({"target": (1.0,) * 4, "target_norm": 2.0}, "target_norm goes with target = 'random' or 'ones' alone, got"),
    ({"target": (1.0,) * 4, "target_source": 2.0}, "target_source goes with target = 'random' or 'ones' alone, got"),
    ({**SPIKED, "train_spikes": 5}, "train_spikes must be at most the 4 axes, got 5"),
    ({**POWER, "train_exponent": -1e4}, "train_exponent = -10000.0: a power of an eigenvalue is no finite number"),
    (
        {**POWER, "train_exponent": -200.0},
        r"train_covariance: the largest entry must be from 1e-50 to 1e\+50, got 2.58e",
    ),
    ({"train_scale": 1e-200}, r"train_covariance: the largest entry must be from 1e-50 to 1e\+50, got 1e-200"),
    ({"test_scale": 1e200}, r"test_covariance: the largest entry must be from 1e-50 to 1e\+50, got 1e\+200"),
    ({"target": (1e60,) * 4}, r"target must be at most 1e\+50 in size, got 1e\+60"),
    ({"start": (-1e60,) * 4}, r"start must be at most 1e\+50 in size, got 1e\+60"),
    ({"target_norm": 1e60}, r"target_norm must be at most 1e\+50 in size, got 1e\+60"),
    ({"label_noise": 1e60}, r"label_noise must be at most 1e\+50 in size, got 1e\+60"),
    (
        {"train_covariance": (1.0, 2.0, 0.0, 1.0), "target_source": -1.0},
        "target_source = -1.0: a power of an eigenvalue",
    ),
    ({**POWER, "target_source": -1e4}, "target_source = -10000.0: a power of an eigenvalue is no finite number"),
    ({**POWER, "target_source": -500.0}, r"target_source = -500.0: the powers .* are out of range, up to 3.27e\+150"),
    (
        {"dimension": 10**6},
        r"5 rows of 1000000 axes take 80,000,080,000,080 bytes a draw, over the limit of 1,073,741,824",
    ),
    ({"train_rows": 10**12}, r"1000000000000 rows of 4 axes take .* bytes a draw, over"),
    ({"validation_rows": 10**12}, r"1000000000000 rows of 4 axes take .* bytes a draw, over"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TOGETHER)
def test_values_that_do_not_go_together_are_refused(change, message):
    with pytest.raises(InputError, match=message) as caught:
        prepare(**{"dimension": 4, **change})
    assert "\n" not in str(caught.value)


NOT_SYMMETRIC, INDEFINITE = np.array([[1.0, 0.5], [0.25, 1.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])
BAD_MATRICES = [
    (NOT_SYMMETRIC, "must be symmetric, got 0.5 in line 1, column 2 and 0.25 across"),
    (INDEFINITE, "must have no eigenvalue below 0 and one above, got -1 as the least"),
    (np.zeros((2, 2)), "must have no eigenvalue below 0 and one above, got 0 as the least"),
    (np.ones((2, 3)), r"must hold a square matrix or eigenvalues, got shape \(2, 3\)"),
    (np.ones((2, 2, 2)), r"must hold a vector or a matrix, got shape \(2, 2, 2\)"),
    (np.empty((0, 0)), r"must hold a vector or a matrix, got shape \(0, 0\)"),
    (np.array(1.0), r"must hold a vector or a matrix, got shape \(\)"),
    (np.array([1.0, -1.0]), "eigenvalues must be >= 0, and one above 0, got -1 as the least"),
    (np.array([1.0, np.nan]), "holds values that are not finite"),
    (np.array([1.0, 2j]), "holds complex128, not real numbers"),
    (np.array([{}, 1], dtype=object), "Object arrays cannot be loaded"),
]


@pytest.mark.parametrize(("matrix", "message"), BAD_MATRICES)
def test_bad_matrices_are_refused(tmp_path, matrix, message):
    np.save(tmp_path / "m.npy", matrix)
    np.savez(tmp_path / "m.npz", test_covariance=matrix)
    for change in ({"train_covariance": "m.npy"}, {"test_covariance": "m.npz"}):
        with pytest.raises(InputError, match=message) as caught:
            prepare(tmp_path, **change)
        assert "\n" not in str(caught.value)


BAD_FILES = [
    ("m.npy", b"", "not a readable NPY file"),
    ("m.npz", b"PK", "not a readable NPZ file"),
    ("m.h5", b"PK", "not a readable HDF5 file"),
    ("m.csv", b"", "no rows of numbers"),
    ("m.csv", b"1,2\n3\n", "line 2: 1 field, expected 2"),
    ("m.csv", b"1,2\n3,x\n", "line 2: 'x' is not a number"),
    ("none.npy", None, "cannot be read: No such file or directory"),
    ("none.csv", None, "cannot be read: No such file or directory"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_files_that_are_no_covariances_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for key in ("train_covariance", "target", "start"):
        with pytest.raises(InputError, match=message) as caught:
            prepare(tmp_path, **{key: name})
        assert "\n" not in str(caught.value)


def test_arrays_are_found_by_the_parameters_name(tmp_path):
    np.savez(tmp_path / "m.npz", covariance=np.eye(2), target=np.eye(2))
    with pytest.raises(InputError, match="array 'train_covariance' is missing"):
        prepare(tmp_path, train_covariance="m.npz")
    with pytest.raises(InputError, match=r"problem.target: m.npz must hold a vector, got shape \(2, 2\)"):
        prepare(tmp_path, target="m.npz")


def test_ones_in_the_null_space_have_no_source(tmp_path):
    centred = np.eye(3) - 1 / 3
    np.save(tmp_path / "m.npy", centred)
    with pytest.raises(InputError, match="the matrix of train_covariance takes the vector of ones to 0"):
        prepare(tmp_path, train_covariance="m.npy", target="ones", target_source=1.0)


def test_early_stopping_wants_validation_rows():
    tables = {
        "problem": {"kind": "gaussian", "dimension": 3, "train_rows": 4},
        "stop": {"validation": {"patience": [5]}},
    }
    config = simlr.GridConfig.from_tables({**tables, "schedule": [{"kind": "constant", "learning_rate": 0.1}]})
    with pytest.raises(InputError, match="validation set of problem 'gaussian', whose validation_rows are 0"):
        simlr.run(config)


def test_the_command_refuses_in_one_line(folder):
    (folder / "five.toml").write_text(FIVE_AXES)
    ran = runs.command("five.toml", "--out", "five.h5", "--set", "problem.train_exponent=zzz", cwd=folder)
    assert "problem.train_exponent must be a finite number, got 'zzz'" in runs.assert_refused(ran)
    assert not (folder / "five.h5").exists()
