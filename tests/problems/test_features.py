"""Feature maps of a dataset: random features against descent on their rows, the kernel against its dual space."""

from pathlib import Path

import numpy as np
import pytest
import runs

import simlr
from naive import descent as naive
from naive import features as naive_features
from naive import stopping as naive_stopping
from simlr import resources
from simlr.errors import InputError, RunError
from simlr.problems import lapack
from simlr.problems.dataset import DATASET

REACHED, OUT_OF_STEPS, VALIDATION_STOPPED = 1, 2, 6
ROOT_SEED = 5
DIGITS = Path(__file__).resolve().parents[2] / "data/digits.npz"
CLOSE = {"rtol": 1e-9, "atol": 1e-20}
SCHEDULES = [
    {"name": "constant", "kind": "constant", "learning_rate": 1.0, "steps": 100, "unit": "sharpness"},
    {"name": "cosine", "kind": "cosine", "learning_rate": 1.9, "steps": 100, "unit": "sharpness"},
]


def made_table(rows, inputs, seed=0):
    """Inputs of different size and a curved, noisy target."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs)) * 10 ** rng.uniform(-0.5, 0.5, inputs) + rng.normal(size=inputs)
    return np.column_stack([x, np.sin(x[:, 0]) + 0.3 * x[:, -1] + 0.1 * rng.normal(size=rows)])


def save(folder, table):
    np.savez(folder / "t.npz", features=table[:, :-1], target=table[:, -1])


def problem(**changes):
    return {"kind": "dataset", "file": "t.npz", "train_rows": 12, **changes}


class Split:
    """The rows of one draw as the twin has them: inputs x, y to train on; z, target held out; v, w for validation."""

    def __init__(self, table, seed, train, test, validation=0, standardize="train"):
        order, _ = naive.split(ROOT_SEED, seed, len(table), len(table), 0)
        if standardize != "none":
            table = naive.standardized(table, order[:train] if standardize == "train" else np.arange(len(table)))
        places = np.split(table[order], [train, train + validation, train + validation + test])
        (self.x, self.y), (self.v, self.w), (self.z, self.target), _ = ((p[:, :-1], p[:, -1]) for p in places)


MAPS = {
    "fewer features than rows": {"features": "relu", "feature_count": 7},
    "more features than rows": {"features": "relu", "feature_count": 40},
    "waves": {"features": "fourier", "feature_count": 9, "length_scale": 2.5},
    "many waves": {"features": "fourier", "feature_count": 33, "standardize": "all"},
    "as they are": {"features": "fourier", "feature_count": 12, "standardize": "none", "length_scale": 4.0},
}


def twin_features(own, x, seed):
    scale = own.get("length_scale") or x.shape[1] ** 0.5
    return naive_features.features(own["features"], x, ROOT_SEED, seed, own["feature_count"], scale)


@pytest.mark.parametrize("case", MAPS)
def test_descent_on_random_features_is_that_on_their_rows(case, run_grid, tmp_path):
    """Curvature, iterates and losses at the stops, the features made and run by plain loops."""
    own, table = MAPS[case], made_table(40, 3)
    save(tmp_path, table)
    record = {"points": 9, "seeds": "all", "iterates": True}
    stop = {"train_loss": [0.6, 0.3], "max_steps": 100}
    given = problem(test_rows=20, **own)
    tables = {"seeds": {"count": 3, "root": ROOT_SEED}, "record": record, "folder": tmp_path, "stop": stop}
    run = run_grid(given, SCHEDULES, None, **tables)
    for n in range(3):
        rows = Split(table, n, 12, 20, standardize=own.get("standardize", "train"))
        x, z = (twin_features(own, inputs, n) for inputs in (rows.x, rows.z))
        values = np.linalg.eigvalsh(naive.hessian(x))[::-1]
        np.testing.assert_allclose(run.curvature[n], values, rtol=1e-9, atol=1e-14 * values[0])
        for s, schedule in enumerate(SCHEDULES):
            own_rates = {k: v for k, v in schedule.items() if k not in ("name", "unit")}
            path = naive.descend_rows(x, rows.y, np.zeros(x.shape[1]), naive.rates(**own_rates) / run.sharpness[n])
            losses = [naive.mean_squared_error(x, rows.y, theta) for theta in path]
            for e, level in enumerate(run.level):
                step = next((t for t, loss in enumerate(losses) if loss <= level), 100)
                assert run.stop_step[s, n, e] == step
                np.testing.assert_allclose(run.train_loss[s, n, e], losses[step], **CLOSE)
                held_out = naive.mean_squared_error(z, rows.target, path[step])
                np.testing.assert_allclose(run.test_loss[s, n, e], held_out, **CLOSE)
            for slot in np.flatnonzero(run.recorded_step[s] >= 0):
                theta = path[run.recorded_step[s, slot]]
                np.testing.assert_allclose(run.trajectory_iterate[s, n, slot], theta, rtol=1e-9, atol=1e-9)
        assert np.isnan(run.test_floor[n])
        assert np.isnan(run.target[n]).all()


def test_the_first_features_are_the_same_for_any_number(tmp_path):
    """Common random numbers along the axis feature_count."""
    from simlr.kernels.problems.features import FOURIER, RELU, fill_features

    rows = made_table(5, 3)
    for kind in (RELU, FOURIER):
        few, many = np.empty((5, 10)), np.empty((5, 90))
        for out in (few, many):
            fill_features(rows, ROOT_SEED, 2, kind, 1.5, out)
        np.testing.assert_allclose(many[:, :10] * 3.0, few, rtol=1e-14)


LIMITS = {"fourier": naive_features.rbf, "relu": naive_features.arc_cosine}


@pytest.mark.parametrize("kind", LIMITS)
def test_many_features_have_the_inner_products_of_a_kernel(kind):
    """Their mean over draws is the kernel, within 5 standard errors for each of 10 pairs."""
    from simlr.kernels.problems.features import fill_features
    from simlr.problems.features import DRAWN

    rows, products = made_table(4, 3), []
    for draw in range(200):
        out = np.empty((4, 500))
        fill_features(rows, 0, draw, DRAWN.index(kind), 2.0, out)
        products.append(out @ out.T)
    error = np.std(products, axis=0, ddof=1) / np.sqrt(len(products))
    away = np.mean(products, axis=0) - LIMITS[kind](rows[:, :-1], rows[:, :-1], 2.0)
    assert (abs(away) < 5.0 * error).all(), away / error
    assert (error < 0.02 * np.abs(products).max()).all()


def test_the_kernel_is_that_of_its_twin():
    from simlr.kernels.problems.features import fill_kernel

    rows, others = made_table(6, 3), made_table(4, 3, seed=1)
    out = np.empty((6, 4))
    fill_kernel(rows, others, 0.8, out)
    np.testing.assert_allclose(out, naive_features.rbf(rows[:, :-1], others[:, :-1], 0.8), rtol=1e-12)


# ---- kernel gradient descent ----


def load_digits():
    """The digits as a table, the digit last."""
    with np.load(DIGITS) as arrays:
        return np.column_stack([arrays["features"], arrays["target"]]).astype(float)


@pytest.mark.parametrize("length_scale", [0.0, 30.0])
def test_kernel_descent_on_the_digits_is_that_of_the_dual_space(length_scale, run_grid):
    """Train and held-out loss over 1,000 steps of plain descent on alpha; 30 makes the kernel nearly of low rank."""
    table, train, test = load_digits(), 300, 200
    schedules = [dict(schedule, steps=1000) for schedule in SCHEDULES]
    given = {"kind": "dataset", "file": str(DIGITS), "train_rows": train, "test_rows": test, "features": "rbf"}
    record = {"points": 40, "seeds": "all"}
    tables = {"seeds": {"count": 2, "root": ROOT_SEED}, "record": record}
    run = run_grid(given | {"length_scale": length_scale}, schedules, [1e-3], **tables)
    for n in range(2):
        rows, scale = Split(table, n, train, test), length_scale or 8.0
        away = ((np.vstack([rows.x, rows.z])[:, None] - rows.x) ** 2).sum(axis=2)
        kernel, other = np.split(np.exp(-away / (2 * scale**2)), [train])
        assert run.sharpness[n] == pytest.approx(2 / train * np.linalg.eigvalsh(kernel)[-1], rel=1e-12)
        for s, schedule in enumerate(schedules):
            own = {k: v for k, v in schedule.items() if k not in ("name", "unit")}
            path = naive_features.dual_descent(kernel, rows.y, naive.rates(**own) / run.sharpness[n])
            steps = run.recorded_step[s][run.recorded_step[s] >= 0]
            assert (steps[0], steps[-1]) == (0, 1000)
            wanted = [np.mean((kernel @ path[t] - rows.y) ** 2) for t in steps]
            np.testing.assert_allclose(run.trajectory_train_loss[s, n, : steps.size], wanted, rtol=1e-9)
            wanted = [np.mean((other @ path[t] - rows.target) ** 2) for t in steps]
            np.testing.assert_allclose(run.trajectory_test_loss[s, n, : steps.size], wanted, rtol=1e-9)


def test_a_kernels_iterates_are_its_square_root_times_alpha(run_grid, tmp_path):
    """theta = K^(1/2) alpha: Q r + theta_hat, |theta| the norm of f."""
    table = made_table(30, 2)
    save(tmp_path, table)
    record = {"points": 5, "seeds": "all", "iterates": True}
    given = problem(features="rbf", length_scale=0.7, standardize="none")
    tables = {"seeds": {"count": 2, "root": ROOT_SEED}, "record": record, "folder": tmp_path}
    run = run_grid(given, SCHEDULES[:1], [1e-9], **tables)
    for n in range(2):
        rows = Split(table, n, 12, 18, standardize="none")
        kernel = naive_features.rbf(rows.x, rows.x, 0.7)
        path = naive_features.dual_descent(kernel, rows.y, [1.0 / run.sharpness[n]] * 100)
        for slot, step in enumerate(run.recorded_step[0]):
            theta, alpha = run.trajectory_iterate[0, n, slot], path[step]
            assert theta @ theta == pytest.approx(alpha @ kernel @ alpha, rel=1e-9, abs=1e-20)
            values, axes = np.linalg.eigh(kernel)
            np.testing.assert_allclose(theta, axes @ (np.sqrt(values) * (axes.T @ alpha)), rtol=1e-8, atol=1e-9)


def test_rows_that_are_there_several_times_have_the_floor_of_their_means(run_grid, tmp_path):
    """K has the rank of the different rows, and no function fits two targets at one place."""
    table = made_table(8, 3)[np.arange(24) % 8]
    table[:, -1] += np.random.default_rng(1).normal(size=24)
    save(tmp_path, table)
    given = problem(features="rbf", train_rows=20, standardize="none")
    run = run_grid(given, [{"kind": "flow"}], [1e-9], seeds={"count": 4, "root": ROOT_SEED}, folder=tmp_path)
    for n in range(4):
        train = naive.split(ROOT_SEED, n, 24, 20, 4)[0]
        groups = [table[train[train % 8 == k], -1] for k in range(8)]
        assert np.count_nonzero(run.curvature[n]) == sum(group.size > 0 for group in groups)
        floor = sum(((group - group.mean()) ** 2).sum() for group in groups if group.size) / 20
        np.testing.assert_allclose(run.train_floor[n], floor, rtol=1e-10)


def test_one_row(run_grid, tmp_path):
    """Standardised by itself it is 0, and so is its target: a kernel sees it, but nothing moves."""
    table = made_table(9, 3)
    save(tmp_path, table)
    options = {"seeds": {"count": 2, "root": ROOT_SEED}, "folder": tmp_path}
    for standardize, curvature in (("train", 2.0), ("none", 2.0)):
        given = problem(features="rbf", train_rows=1, standardize=standardize)
        run = run_grid(given, SCHEDULES, [1e-6], **options)
        assert run.curvature.tolist() == [[curvature]] * 2
        assert np.isfinite(run.test_loss).all()
    relu = problem(features="relu", feature_count=3, train_rows=1)
    run = run_grid(relu, SCHEDULES, [1e-6], **options)
    assert run.curvature.tolist() == [[0.0] * 3] * 2
    rows = Split(table, 0, 1, 8)
    np.testing.assert_allclose(run.test_loss[0, 0, 0], np.mean(rows.target**2), rtol=1e-12)


@pytest.mark.parametrize(("length_scale", "rank"), [(1e-100, 12), (1e-3, 12), (1e9, 1), (1e100, 1)])
def test_kernels_that_see_nothing_or_no_difference(length_scale, rank, run_grid, tmp_path):
    """Very short: K = I, and held-out rows are at 0 for ever. Very long: only the mean is learnt."""
    table = made_table(30, 3)
    save(tmp_path, table)
    given = problem(features="rbf", length_scale=length_scale)
    run = run_grid(given, SCHEDULES, [0.5], seeds={"count": 3, "root": ROOT_SEED}, folder=tmp_path)
    expected = np.zeros(12)
    expected[:rank] = 2.0 / rank
    np.testing.assert_allclose(run.curvature, [expected] * 3, rtol=1e-12)
    for n in range(3):
        rows = Split(table, n, 12, 18)
        # The train targets' mean is 0.
        np.testing.assert_allclose(run.test_loss[:, n, 0], np.mean(rows.target**2), rtol=1e-9)


# ---- with validation, noise, and beside each other ----

KINDS = {
    "relu": {"features": "relu", "feature_count": 20},
    "fourier": {"features": "fourier", "feature_count": 9},
    "rbf": {"features": "rbf"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_validation_stops_where_a_loop_does(kind, run_grid, tmp_path):
    table = made_table(60, 3)
    save(tmp_path, table)
    given = problem(validation_rows=15, test_rows=25, label_noise=0.5, **KINDS[kind])
    rule = {"patience": [2, 5], "every": 3}
    tables = {"seeds": {"count": 3, "root": ROOT_SEED}, "folder": tmp_path}
    tables["stop"] = {"validation": rule, "max_steps": 100}
    run = run_grid(given, SCHEDULES, None, **tables)
    assert (run.status == VALIDATION_STOPPED).any()
    for n in range(3):
        rows = Split(table, n, 12, 25, 15)
        noise = np.random.Generator(np.random.Philox(key=[ROOT_SEED, n], counter=[0, 0, 2, 0])).standard_normal(12)
        parts = _as_rows(kind, rows, n)
        for s, schedule in enumerate(SCHEDULES):
            own = {k: v for k, v in schedule.items() if k not in ("name", "unit")}
            rates = naive.rates(**own) / run.sharpness[n]
            path = naive.descend_rows(parts[0], rows.y + 0.5 * noise, np.zeros(parts[0].shape[1]), rates)
            losses = [naive.mean_squared_error(parts[1], rows.w, theta) for theta in path]
            for e, patience in enumerate(rule["patience"]):
                _, step, look = naive_stopping.validated(losses.__getitem__, 100, False, 3, patience, 0.0, True)
                assert (run.stop_step[s, n, e], run.stop_look_step[s, n, e]) == (step, look)
                np.testing.assert_allclose(run.validation_loss[s, n, e], losses[step], rtol=1e-9)
                held_out = naive.mean_squared_error(parts[2], rows.target, path[step])
                np.testing.assert_allclose(run.test_loss[s, n, e], held_out, rtol=1e-9)


def _as_rows(kind, rows, seed):
    """Features of the train, validation and held-out rows by a twin; of a kernel those of its square root."""
    inputs = rows.x, rows.v, rows.z
    if kind != "rbf":
        return [twin_features(KINDS[kind], x, seed) for x in inputs]
    train, *others = (naive_features.rbf(x, rows.x, 3**0.5) for x in inputs)
    values, axes = np.linalg.eigh(train)
    root = axes @ np.diag(np.sqrt(values)) @ axes.T
    return [root, *(other @ np.linalg.inv(root) for other in others)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mini_batch_of_all_rows_is_the_gradient(kind, run_grid, tmp_path):
    """Shuffled epochs of one batch: rows and what theta_hat leaves of their labels are those of the problem."""
    save(tmp_path, made_table(40, 3))
    schedules = [dict(schedule, steps=30) for schedule in SCHEDULES]
    noise = [{"kind": "none"}, {"kind": "minibatch", "batch_size": 12, "sampling": "epochs"}]
    given = problem(label_noise=0.3, **KINDS[kind])
    run = run_grid(given, schedules, [1e-9], seeds={"count": 3}, folder=tmp_path, noise=noise)
    assert run.schedule.size == 4
    for name in ("train_loss", "test_loss"):
        np.testing.assert_allclose(run[name][1::2], run[name][::2], rtol=1e-9)


@pytest.mark.parametrize("noise", [{"kind": "gradient", "sigma": 0.01}, {"kind": "minibatch", "batch_size": 2}])
def test_noisy_steps_on_features_stay_finite(noise, run_grid, tmp_path):
    save(tmp_path, made_table(40, 3))
    given = problem(features=["linear", "rbf"])
    schedules = [{"kind": "constant", "unit": "sharpness", "learning_rate": 0.3, "steps": 40}]
    run = run_grid(given, schedules, [1e-9], seeds={"count": 2}, folder=tmp_path, noise=[noise])
    assert np.isfinite(run.test_loss).all()


BITS = """
name = "features"

[problem]
kind = "dataset"
file = "t.npz"
features = ["linear", "relu", "rbf"]
feature_count = 17
train_rows = 20
validation_rows = 5

[seeds]
count = 7

[stop]
train_loss = [0.5, 0.1]
max_steps = 200

[record]
points = 10
seeds = 3

[[schedule]]
kind = "constant"
unit = "sharpness"
learning_rate = [0.5, 1.9]

[[schedule]]
kind = "flow"
"""


def grid_of(folder, text=BITS):
    save(folder, made_table(60, 4))
    (folder / "grid.toml").write_text(text)
    return simlr.GridConfig.from_toml(folder / "grid.toml")


def test_the_bits_do_not_depend_on_threads_blocks_or_resuming(tmp_path):
    config = grid_of(tmp_path)
    first = simlr.run(config, threads=1)
    for block_seeds in (1, 4, 21):
        runs.assert_same_bits(first, simlr.run(config.replace(run={"block_seeds": block_seeds}), threads=2))
    config = config.replace(run={"block_seeds": 4})
    runs.run_blocks(config, tmp_path / "half.h5", [0, 3])
    runs.assert_same_bits(first, simlr.run(config, out=tmp_path / "half.h5", resume=True))


def test_maps_side_by_side_are_each_as_alone(tmp_path):
    """An axis of the grid: the same splits, NaN beyond the axes of each."""
    config = grid_of(tmp_path)
    both = simlr.run(config)
    assert both.problem_features.tolist() == ["linear"] * 7 + ["relu"] * 7 + ["rbf"] * 7
    for i, (kind, axes) in enumerate((("linear", 4), ("relu", 17), ("rbf", 20))):
        own = slice(7 * i, 7 * i + 7)
        assert np.isnan(both.curvature[own, axes:]).all()
        changed = {**config.problem, "features": kind}
        if kind != "relu":
            changed["feature_count"] = 0
        alone = simlr.run(config.replace(problem=changed))
        np.testing.assert_array_equal(both.curvature[own, :axes], alone.curvature)
        for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status"):
            np.testing.assert_array_equal(both[name][:, own], alone[name], err_msg=name)


def test_residuals_at_the_stops_have_no_test_minimiser(run_grid, tmp_path):
    """Shares of the train loss are known, those of the test loss are not."""
    from simlr.analysis import directions

    save(tmp_path, made_table(40, 3))
    given, record = problem(features="rbf"), {"points": 0, "stop_residual": True}
    run = run_grid(given, SCHEDULES, [0.5], seeds={"count": 3}, folder=tmp_path, record=record)
    assert np.isnan(run.offset).all()
    found = directions.directions(run)
    assert found[1].train_share > 0.0  # of the steepest, nothing is left at a rate of 1/sharpness
    assert np.isnan(found[0].test_share)
    assert directions.bias_and_variance(run)[0].note == directions.NO_TARGET


# ---- one thread ----


def test_the_threads_of_openblas_are_found():
    """Where NumPy says that it has OpenBLAS, its module and symbols are where they are looked for."""
    name = np.show_config(mode="dicts")["Build Dependencies"]["blas"].get("name", "")
    if "openblas" not in name:
        pytest.skip(f"this NumPy's BLAS is {name or 'unknown'}, not OpenBLAS")
    setter, getter = lapack.thread_functions()
    before = getter()
    assert before >= 1
    try:
        setter(1)
        assert getter() == 1
    finally:
        setter(before)


def test_what_counts_as_null_is_the_same_in_compiled_code():
    from simlr.kernels.problems.spectrum import null_bound

    for largest, rows, d in ((1.0, 3, 7), (2.5e-9, 400, 64), (0.0, 1, 1), (-1.0, 2, 2)):
        assert null_bound(largest, rows, d) == lapack.null_bound(largest, rows, d)


def test_eigenvectors_are_rows_in_both_decompositions():
    from simlr.kernels.problems.spectrum import symmetric_eigen

    x = np.random.default_rng(3).standard_normal((30, 6))
    matrix = x.T @ x
    values, vectors = np.empty(6), np.empty((6, 6))
    symmetric_eigen(matrix.copy(), values, vectors)
    for found, rows in ((values, vectors), lapack.symmetric_eigen(matrix)):
        assert (np.diff(found) <= 0.0).all()
        np.testing.assert_allclose(rows @ matrix, found[:, None] * rows, rtol=0, atol=1e-12 * found[0])


def test_blas_has_one_thread_for_the_duration():
    functions = lapack.thread_functions()
    if functions is None:
        pytest.skip("this NumPy's BLAS has no number of threads")
    setter, getter = functions
    before = getter()
    try:
        setter(2)
        with lapack.one_thread():
            assert getter() == 1
            with lapack.one_thread():
                assert getter() == 1
        assert getter() == 2
    finally:
        setter(before)


# ---- bad input ----


def prepare(folder, **changes):
    defaults = {parameter.name: parameter.default for parameter in DATASET.parameters}
    return DATASET.prepare({**defaults, **problem(**changes)}, folder)


BAD_GRIDS = [
    ({"features": "reul"}, "problem.features: unknown value 'reul'; did you mean 'relu'?"),
    ({"features": 3}, "problem.features must be 'linear' or 'relu' or 'fourier' or 'rbf', got 3"),
    ({"feature_count": 8}, "problem.feature_count goes with features = 'relu' or 'fourier', got 'linear'"),
    ({"features": "rbf", "feature_count": 8}, "problem.feature_count goes with features = 'relu' or 'fourier'"),
    ({"length_scale": 2.0}, "problem.length_scale goes with features = 'relu' or 'fourier' or 'rbf', got 'linear'"),
    ({"features": "relu", "feature_count": -1}, "problem.feature_count must be a whole number >= 0, got -1"),
    ({"features": "rbf", "length_scale": -1.0}, "problem.length_scale must be 0, or a number from 1e-100 to 1e.100"),
    ({"features": "rbf", "length_scale": 1e-200}, "problem.length_scale must be 0, or a number from 1e-100"),
    ({"features": "rbf", "length_scale": float("inf")}, "problem.length_scale must be 0, or a number from 1e-100"),
    ({"features": "rbf", "length_scale": "long"}, "problem.length_scale must be 0, or a number from 1e-100"),
]


@pytest.mark.parametrize(("change", "message"), BAD_GRIDS)
def test_bad_parameters_are_refused(change, message):
    tables = {"problem": problem(**change), "schedule": [{"kind": "flow"}], "stop": {"train_loss": [0.1]}}
    with pytest.raises(InputError, match=message) as caught:
        simlr.GridConfig.from_tables(tables)
    assert "\n" not in str(caught.value)


def test_random_features_need_a_number(tmp_path):
    save(tmp_path, made_table(30, 3))
    wanted = "problem.feature_count must be a whole number >= 1 for features = 'relu', got 0"
    with pytest.raises(InputError, match=wanted):
        prepare(tmp_path, features="relu")


def test_a_target_may_be_any_array_of_the_file(tmp_path):
    prepare(tmp_path, file=str(DIGITS), target="odd", features="rbf")
    with pytest.raises(InputError, match=r"digits\.npz: array 'even' is missing"):
        prepare(tmp_path, file=str(DIGITS), target="even")


def test_more_than_memory_holds_is_refused_by_arithmetic(tmp_path, monkeypatch):
    """8 d^2 + 3 d rows numbers, before any is allocated: 10,000 train rows go with 24 GB, 30,000 do not."""
    save(tmp_path, made_table(40000, 1))
    monkeypatch.setattr(resources, "memory_limit", lambda: 24 * 2**30)
    prepare(tmp_path, features="rbf", train_rows=10000)
    with pytest.raises(
        InputError, match="30000 train rows take, with features = 'rbf', 86,400,000,000 bytes, and ther"
    ):
        prepare(tmp_path, features="rbf", train_rows=30000)
    with pytest.raises(InputError, match=r"1000000 features of 40000 rows take, with features = 'relu', .* bytes, and"):
        prepare(tmp_path, features="relu", feature_count=10**6)


def test_limits_of_the_process_and_of_its_group_count_as_memory(tmp_path, monkeypatch):
    machine = resources.memory_limit()
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    assert resources.memory_limit() >= machine
    (tmp_path / "memory.max").write_text("4096000\n")
    assert resources.memory_limit() == 4096000
    monkeypatch.setattr(resources.HERE, "limit", lambda name: 2048000)
    assert resources.memory_limit() == 2048000
    with pytest.raises(InputError, match=r"^it takes 2,048,001 bytes, and there are 2,048,000; take less$"):
        resources.check_memory(2048001, "it takes", "; take less")


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/job\n", "job/memory.max"),
        ("0::/job/deep\n", "job/memory.max"),
        ("5:cpu:/x\n4:memory:/job\n1:name=systemd:/x\n", "memory/job/memory.limit_in_bytes"),
        ("7:hugetlb,memory:/docker/abc\n", "memory/memory.limit_in_bytes"),  # a container's own, mounted as the top
        ("4:memory:/job\n0::/\n", "memory/job/memory.limit_in_bytes"),
    ],
)
def test_limits_of_control_groups_of_both_versions(own, file, tmp_path, monkeypatch):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("4096000\n")
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(resources, "_GROUPS", tmp_path)
    monkeypatch.setattr(resources, "_OWN_GROUPS", tmp_path / "own")
    assert resources.memory_limit() == 4096000
    (tmp_path / file).write_text("9223372036854771712\n")  # none, as version 1 says it
    assert resources.memory_limit() > 4096000


def test_features_that_overflow_end_the_run_in_one_line(run_grid, tmp_path):
    table = made_table(20, 3)
    table[:, :-1] = 1e308 * np.sign(table[:, :-1])
    save(tmp_path, table)
    given = problem(features="relu", feature_count=5, standardize="none", length_scale=1e-90)
    with pytest.raises(RunError, match="the features of draw 0 overflow; standardize = 'train' keeps them in range"):
        run_grid(given, SCHEDULES, [0.5], seeds={"count": 1}, folder=tmp_path)
