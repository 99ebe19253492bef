"""Problems from files: splits of a table against descent on its actual rows, arrays as they are given, bad files."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from naive import descent as naive
from simlr.errors import InputError
from simlr.problems import table_rows
from simlr.problems.dataset import DATASET
from simlr.problems.quadratic import QUADRATIC

REACHED, OUT_OF_STEPS = 1, 2
ROOT = Path(__file__).resolve().parents[2]
DIABETES = str(ROOT / "data/diabetes.csv")
ROOT_SEED = 11

# Every kind of phase; rates in units of 1/sharpness, so that no table makes them diverge.
SCHEDULES = [
    {"name": "constant", "kind": "constant", "learning_rate": 1.0, "steps": 150},
    {"name": "cosine", "kind": "cosine", "learning_rate": 1.9, "steps": 100},
    {"name": "decay", "kind": "step", "learning_rate": 1.9, "step_size": 50, "gamma": 0.5, "steps": 150},
]
# Relative, and for a loss that vanishes: the square of an error of 1e-10.
CLOSE = {"rtol": 1e-9, "atol": 1e-20}
RECORD = {"points": 12, "seeds": "all", "iterates": True}


def write_table(path, table, header=None):
    """A CSV file; repr keeps every digit."""
    lines = [",".join(repr(float(value)) for value in row) for row in table]
    path.write_text("\n".join([header, *lines] if header else lines) + "\n")


def draw_table(rng, rows, features, constant=False):
    """Rows of features and a noisy linear target, the columns of different size; column 0 may be constant."""
    x = rng.normal(size=(rows, features)) * 10 ** rng.uniform(-0.5, 0.5, features) + rng.normal(size=features)
    if constant:
        x[:, 0] = 0.1
    return np.column_stack([x, x @ rng.normal(size=features) + rng.normal(size=rows)])


class Rows:
    """One draw's train and held-out rows, as the twin has them."""

    def __init__(self, table, seed, train_rows, test_rows, standardize):
        train, test = naive.split(ROOT_SEED, seed, len(table), train_rows, test_rows)
        if standardize != "none":
            table = naive.standardized(table, train if standardize == "train" else np.arange(len(table)))
        self.x, self.y = table[train, :-1], table[train, -1]
        self.z, self.target = table[test, :-1], table[test, -1]
        self.start = np.zeros(table.shape[1] - 1)
        self.sharpness = np.linalg.eigvalsh(naive.hessian(self.x))[-1]
        # A single row standardised by itself is 0: nothing moves, in any unit.
        self.unit = self.sharpness or 1.0

    def train_loss(self, theta):
        return naive.mean_squared_error(self.x, self.y, theta)

    def test_loss(self, theta):
        return naive.mean_squared_error(self.z, self.target, theta)

    def path(self, schedule):
        """theta after every step of a schedule in units of 1/sharpness."""
        own = {k: v for k, v in schedule.items() if k not in ("name", "unit")}
        return naive.descend_rows(self.x, self.y, self.start, [eta / self.unit for eta in naive.rates(**own)])


# n < d, n > d, a column that is constant, all rows or some of them.
CASES = {
    "more rows than columns": {"rows": 40, "features": 4, "train": 15, "test": 0, "constant": False},
    "fewer rows than columns": {"rows": 30, "features": 12, "train": 5, "test": 20, "constant": False},
    "a constant column": {"rows": 30, "features": 3, "train": 12, "test": 0, "constant": True},
    "one column": {"rows": 10, "features": 1, "train": 4, "test": 3, "constant": False},
    "one row": {"rows": 10, "features": 3, "train": 1, "test": 1, "constant": False},
    "few rows and a constant column": {"rows": 25, "features": 9, "train": 6, "test": 0, "constant": True},
}


@pytest.fixture(scope="module", params=[(case, how) for case in CASES for how in ("none", "train", "all")], ids=str)
def split_run(request, run_grid, tmp_path_factory):
    """A run on one kind of table, and the twin's rows of its seeds."""
    case, standardize = request.param
    size = CASES[case]
    table = draw_table(np.random.default_rng(1), size["rows"], size["features"], size["constant"])
    folder = tmp_path_factory.mktemp("table")
    write_table(folder / "t.csv", table)
    problem = {"kind": "dataset", "file": "t.csv", "header": False, "standardize": standardize}
    problem |= {"train_rows": size["train"], "test_rows": size["test"]}
    schedules = [{**schedule, "unit": "sharpness"} for schedule in SCHEDULES]
    schedules.append({"name": "flow", "kind": "flow", "unit": "sharpness"})
    stop = {"excess_train_loss": [0.5, 0.1, 1e-3], "max_steps": 1000}
    options = {"seeds": {"count": 6, "root": ROOT_SEED}, "stop": stop, "record": RECORD, "folder": folder}
    run = run_grid(problem, schedules, None, **options)
    held_out = size["test"] or size["rows"] - size["train"]
    return run, [Rows(table, seed, size["train"], held_out, standardize) for seed in range(6)]


def test_the_quadratics_are_those_of_the_rows(split_run):
    """Curvature, axes, minimiser and floors."""
    run, draws = split_run
    for n, rows in enumerate(draws):
        hessian = naive.hessian(rows.x)
        np.testing.assert_allclose(run.sharpness[n], rows.sharpness, rtol=1e-12)
        expected = np.linalg.eigvalsh(hessian)[::-1]
        np.testing.assert_allclose(run.curvature[n], expected, rtol=1e-9, atol=1e-14 * rows.sharpness)
        axes = run.curvature_axes[n]
        np.testing.assert_allclose(axes @ np.diag(run.curvature[n]) @ axes.T, hessian, atol=1e-13 * rows.sharpness)
        np.testing.assert_allclose(run.test_matrix[n], axes.T @ (naive.hessian(rows.z) / 2) @ axes, atol=1e-12)
        best = naive.minimiser(rows.x, rows.y, rows.start)
        np.testing.assert_allclose(run.train_minimiser[n], best, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(run.initial_residual[n], axes.T @ -best, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(run.train_floor[n], rows.train_loss(best), rtol=1e-9, atol=1e-20)
        at_best = rows.test_loss(naive.minimiser(rows.z, rows.target, best))
        np.testing.assert_allclose(run.test_floor[n], at_best, rtol=1e-9, atol=1e-20)
        assert np.isnan(run.target[n]).all()


def test_null_directions_are_counted(split_run):
    """As many curvatures are exactly 0 as the train rows lack rank, and the minimiser does not go there."""
    run, draws = split_run
    for n, rows in enumerate(draws):
        assert np.count_nonzero(run.curvature[n]) == np.linalg.matrix_rank(rows.x)
        assert (run.initial_residual[n][run.curvature[n] == 0.0] == 0.0).all()


def test_stops_are_those_of_descent_on_the_rows(split_run):
    """Train and test loss at the stop are mean squared errors of theta, run by plain steps in its own coordinates."""
    run, draws = split_run
    for n, rows in enumerate(draws):
        for s, schedule in enumerate(SCHEDULES):
            path = rows.path(schedule)
            losses = np.array([rows.train_loss(theta) for theta in path])
            for k, excess in enumerate(run.level):
                below = np.flatnonzero(losses <= run.train_floor[n] + excess)
                step = below[0] if below.size else len(path) - 1
                assert run.status[s, n, k] == (REACHED if below.size else OUT_OF_STEPS)
                assert run.stop_step[s, n, k] == step
                np.testing.assert_allclose(run.train_loss[s, n, k], losses[step], **CLOSE)
                np.testing.assert_allclose(run.test_loss[s, n, k], rows.test_loss(path[step]), **CLOSE)


def test_iterates_are_those_of_descent_on_the_rows(split_run):
    """theta = theta_hat + Q r, and its losses."""
    run, draws = split_run
    for n, rows in enumerate(draws):
        for s, schedule in enumerate(SCHEDULES):
            path = rows.path(schedule)
            for slot in np.flatnonzero(run.recorded_step[s] >= 0):
                theta = path[run.recorded_step[s, slot]]
                np.testing.assert_allclose(run.trajectory_iterate[s, n, slot], theta, rtol=1e-9, atol=1e-10)
                np.testing.assert_allclose(run.trajectory_train_loss[s, n, slot], rows.train_loss(theta), **CLOSE)
                np.testing.assert_allclose(run.trajectory_test_loss[s, n, slot], rows.test_loss(theta), **CLOSE)


def test_flows_are_those_of_the_rows(split_run):
    run, draws = split_run
    s = len(SCHEDULES)
    for n, rows in enumerate(draws):
        for k, excess in enumerate(run.level):
            theta = naive.flow_rows(rows.x, rows.y, rows.start, run.stop_time[s, n, k])
            loss = rows.train_loss(theta)
            at_start = run.stop_time[s, n, k] == 0.0
            assert loss <= run.train_floor[n] + excess if at_start else True
            np.testing.assert_allclose(run.train_loss[s, n, k], loss, **CLOSE)
            np.testing.assert_allclose(run.test_loss[s, n, k], rows.test_loss(theta), **CLOSE)
        for slot in range(RECORD["points"]):
            theta = naive.flow_rows(rows.x, rows.y, rows.start, run.recorded_time[s, slot] / rows.unit)
            np.testing.assert_allclose(run.trajectory_iterate[s, n, slot], theta, rtol=1e-9, atol=1e-10)


def dataset_run(run_grid, folder, **problem):
    """Two schedules on a table."""
    stop = {"excess_train_loss": [0.5, 0.1], "max_steps": 100}
    problem = {"kind": "dataset", "file": "t.csv", "header": False, "train_rows": 8, **problem}
    schedules = [{"kind": "flow"}, {"unit": "sharpness", **SCHEDULES[1]}]
    return run_grid(problem, schedules, None, stop=stop, seeds={"count": 9}, folder=folder)


@given(
    number=st.integers(0, 2**32 - 1), train=st.integers(1, 30), features=st.integers(1, 20), copies=st.integers(0, 3)
)
def test_rank_is_recognised_for_any_table(run_grid, tmp_path_factory, number, train, features, copies):
    """Copied columns and sums of columns add no curvature; the minimiser is the shortest one."""
    rng = np.random.default_rng(number)
    table = draw_table(rng, train + 5, features)
    extra = [table[:, rng.integers(features)] + (i > 0) * table[:, 0] for i in range(copies)]
    table = np.column_stack([*extra, table])
    folder = tmp_path_factory.mktemp("table")
    write_table(folder / "t.csv", table)
    run = dataset_run(run_grid, folder, train_rows=train, standardize="none")
    for n in range(9):
        rows = naive.split(0, n, len(table), train, 5)[0]
        x, y = table[rows, :-1], table[rows, -1]
        assert np.count_nonzero(run.curvature[n]) == np.linalg.matrix_rank(x, tol=1e-10 * np.linalg.norm(x, 2))
        best = np.linalg.lstsq(x, y, rcond=1e-10)[0]
        # What is lost by squaring the condition number.
        room = 1e-14 * run.sharpness[n] / run.curvature[n][run.curvature[n] > 0.0].min()
        np.testing.assert_allclose(run.train_minimiser[n], best, atol=room * max(1.0, np.abs(best).max()))


@pytest.mark.parametrize("standardize", ["none", "train", "all"])
def test_the_diabetes_data(run_grid, standardize):
    """Real columns: unstandardised ones span six decades of curvature."""
    table = np.loadtxt(DIABETES, delimiter=",", skiprows=1)
    problem = {"kind": "dataset", "file": DIABETES, "train_rows": 30, "target": "target", "standardize": standardize}
    schedules = [{**schedule, "unit": "sharpness"} for schedule in SCHEDULES]
    run = run_grid(problem, schedules, [1e-9], seeds={"count": 5, "root": ROOT_SEED})
    for n in range(5):
        rows = Rows(table, n, 30, 412, standardize)
        for s, schedule in enumerate(SCHEDULES):
            theta = rows.path(schedule)[-1]
            np.testing.assert_allclose(run.train_loss[s, n, 0], rows.train_loss(theta), rtol=1e-9)
            np.testing.assert_allclose(run.test_loss[s, n, 0], rows.test_loss(theta), rtol=1e-9)


def test_the_diabetes_data_have_their_published_fit(run_grid):
    """R^2 = 0.5177484222203498 of least squares on all rows, as users of scikit-learn print it.

    One row is held out: n floor = n_all (1 - R^2) - e_i^2 / (1 - h_i), the leave-one-out formula, with e_i and h_i
    the residual and the leverage of row i in the fit to all rows.
    """
    problem = {"kind": "dataset", "file": DIABETES, "train_rows": 441, "standardize": "all"}
    run = run_grid(problem, [{"kind": "flow"}], [1e-9], seeds={"count": 20})
    table = np.loadtxt(DIABETES, delimiter=",", skiprows=1)
    table = naive.standardized(table, np.arange(442))
    x, y = table[:, :-1], table[:, -1]
    residual = y - x @ naive.minimiser(x, y, np.zeros(10))
    leverage = np.sum(x * np.linalg.solve(x.T @ x, x.T).T, axis=1)
    for n in range(20):
        left_out = naive.split(0, n, 442, 441, 1)[1][0]
        explained = residual[left_out] ** 2 / (1 - leverage[left_out])
        np.testing.assert_allclose(run.train_floor[n] * 441, 442 * (1 - 0.5177484222203498) - explained, rtol=1e-10)
        np.testing.assert_allclose(run.test_floor[n], 0.0, atol=1e-20)


def test_a_column_constant_in_the_train_rows_only(run_grid, tmp_path):
    """It has nothing to be scaled by, so only its mean is taken off."""
    rng = np.random.default_rng(2)
    table = draw_table(rng, 12, 3)
    table[:, 1] = 7.0
    table[5, 1] = 8.0
    write_table(tmp_path / "t.csv", table)
    problem = {"kind": "dataset", "file": "t.csv", "header": False, "train_rows": 8}
    run = run_grid(problem, [{"kind": "flow"}], [0.0], folder=tmp_path, seeds={"count": 9})
    for n in range(9):
        train, test = naive.split(0, n, 12, 8, 4)
        own = naive.standardized(table, train)
        theta = run.train_minimiser[n]
        best = naive.minimiser(own[train, :-1], own[train, -1], np.zeros(3))
        np.testing.assert_allclose(theta, best, rtol=1e-9, atol=1e-10)
        held_out = naive.mean_squared_error(own[test, :-1], own[test, -1], theta)
        np.testing.assert_allclose(run.test_loss[0, n, 0], held_out, rtol=1e-9)


@pytest.mark.parametrize(("rows", "value"), [(100_001, 0.1), (1000, 1 / 3), (7, 1e100)])
def test_a_constant_column_is_constant_whatever_its_length(rows, value):
    """The rounding of its mean grows with the rows; it is not taken for a spread."""
    from simlr.kernels.problems.regression import mean_and_spread

    column = np.full(rows, value)
    assert mean_and_spread(column, np.arange(rows))[1] == 1.0


@pytest.mark.parametrize("share", [1e-11, 1e-12, 1e-13])
def test_real_variation_is_not_called_constant(share):
    from simlr.kernels.problems.regression import mean_and_spread

    column = 1e9 * (1.0 + share * np.random.default_rng(0).normal(size=500))
    exact = np.std((column - column[0]).astype(np.longdouble))
    np.testing.assert_allclose(mean_and_spread(column, np.arange(500))[1], float(exact), rtol=1e-6)


@pytest.mark.parametrize("standardize", ["none", "all"])
def test_an_intercept_is_a_column_of_ones(run_grid, tmp_path, standardize):
    """It fits as least squares with a constant do, on train rows whose mean is not 0."""
    table = draw_table(np.random.default_rng(6), 30, 3)
    write_table(tmp_path / "t.csv", table)
    run = dataset_run(run_grid, tmp_path, intercept=True, standardize=standardize)
    for n in range(9):
        train = naive.split(0, n, 30, 8, 22)[0]
        own = table if standardize == "none" else naive.standardized(table, np.arange(30))
        x = np.column_stack([own[:, :-1], np.ones(30)])
        best = naive.minimiser(x[train], own[train, -1], np.zeros(4))
        np.testing.assert_allclose(run.train_minimiser[n], best, rtol=1e-8, atol=1e-9)
    assert "intercept by a column of ones" in run.attributes["problem_data"]


def test_an_intercept_goes_with_the_columns_themselves(tmp_path):
    write_table(tmp_path / "t.csv", draw_table(np.random.default_rng(6), 30, 3))
    defaults = {parameter.name: parameter.default for parameter in DATASET.parameters}
    parameters = {**defaults, "file": "t.csv", "header": False, "train_rows": 5, "intercept": True}
    with pytest.raises(InputError, match=r"problem\.intercept goes with features = 'linear', got 'rbf'"):
        DATASET.prepare({**parameters, "features": "rbf"}, tmp_path)


# ---- where the columns come from ----


def test_one_table_in_many_formats(run_grid, tmp_path):
    """CSV with and without header, the target by name, by number and last; NPZ and HDF5: the same bits."""
    table = draw_table(np.random.default_rng(3), 20, 3)
    write_table(tmp_path / "t.csv", table)
    write_table(tmp_path / "named.csv", np.roll(table, 2, axis=1), "c,target, a, b")
    features, target = table[:, :-1], table[:, -1]
    np.savez(tmp_path / "t.npz", features=features, target=target)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["features"], file["target"] = features, target
    first = dataset_run(run_grid, tmp_path)
    others = [
        dataset_run(run_grid, tmp_path, file="t.npz"),
        dataset_run(run_grid, tmp_path, file="t.h5"),
        dataset_run(run_grid, tmp_path, target=3),
    ]
    for other in others:
        for name in ("train_loss", "test_loss", "train_minimiser", "stop_step"):
            np.testing.assert_array_equal(first[name], other[name], err_msg=name)
    renamed = dataset_run(run_grid, tmp_path, file="named.csv", header=True, target="target")
    numbered = dataset_run(run_grid, tmp_path, file="named.csv", header=True, target=1)
    np.testing.assert_array_equal(renamed.test_loss, numbered.test_loss)
    np.testing.assert_allclose(renamed.test_loss, first.test_loss, rtol=1e-10)
    np.testing.assert_allclose(renamed.train_minimiser, first.train_minimiser[:, [2, 0, 1]], rtol=1e-10)


def test_draws_are_the_same_for_all_parameters(run_grid, tmp_path):
    """Common random numbers: with more train rows the smaller sample is part of the larger; each as if run alone."""
    table = draw_table(np.random.default_rng(4), 20, 3)
    write_table(tmp_path / "t.csv", table)
    both = dataset_run(run_grid, tmp_path, train_rows=[5, 8], test_rows=4)
    assert both.draw.tolist() == [*range(9), *range(9)]
    assert both.problem_train_rows.tolist() == [5.0] * 9 + [8.0] * 9
    for i, train_rows in enumerate((5, 8)):
        alone = dataset_run(run_grid, tmp_path, train_rows=train_rows, test_rows=4)
        for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status"):
            np.testing.assert_array_equal(both[name][:, 9 * i : 9 * i + 9], alone[name], err_msg=name)


def test_tables_of_different_width(run_grid, tmp_path):
    """The largest d counts; NaN beyond a table's own columns; the same bits as alone."""
    for features in (2, 5):
        write_table(tmp_path / f"{features}.csv", draw_table(np.random.default_rng(5), 20, features))
    both = dataset_run(run_grid, tmp_path, file=["2.csv", "5.csv"])
    assert both.curvature.shape == (18, 5)
    assert np.isnan(both.curvature[:9, 2:]).all()
    assert np.isnan(both.test_matrix[:9, 2:]).all()
    assert np.isnan(both.test_matrix[:9, :, 2:]).all()
    assert np.isfinite(both.curvature[9:]).all()
    for i, features in enumerate((2, 5)):
        alone = dataset_run(run_grid, tmp_path, file=f"{features}.csv")
        own = slice(9 * i, 9 * i + 9)
        for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status"):
            np.testing.assert_array_equal(both[name][:, own], alone[name], err_msg=name)
        np.testing.assert_array_equal(both.curvature[own, :features], alone.curvature)
        np.testing.assert_array_equal(both.sharpness[own], alone.sharpness)


# ---- arrays of one's own ----

ARRAYS = {
    "curvature": np.array([[2.0, 1.0], [3.0, 0.0], [1.0, 5.0]]),
    "residual": np.array([[1.0, -1.0], [2.0, 0.5], [0.0, 1.0]]),
    "test_matrix": np.array([[1.0, 0.2], [0.2, 2.0]]),
    "offset": np.array([0.3, -0.1]),
    "train_floor": np.array([0.1, 0.0, 0.2]),
    "test_floor": np.array(0.05),
}


def spread(arrays):
    """Every array of its full shape."""
    shapes = {"test_matrix": (3, 2, 2), "train_floor": (3,), "test_floor": (3,)}
    return {name: np.broadcast_to(array, shapes.get(name, (3, 2))) for name, array in arrays.items()}


def test_arrays_without_the_first_axis_are_the_same_for_all_seeds(run_arrays):
    schedules = [{"kind": "flow"}, {"kind": "constant", "learning_rate": 0.1, "steps": 40}]
    one, other = (run_arrays(arrays, schedules, [0.5, 0.3]) for arrays in (ARRAYS, spread(ARRAYS)))
    for name in ("train_loss", "test_loss", "stop_step", "stop_time", "status", "test_matrix", "target"):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    np.testing.assert_array_equal(one.target, np.broadcast_to([-0.3, 0.1], (3, 2)))
    np.testing.assert_array_equal(one.train_minimiser, np.zeros((3, 2)))
    np.testing.assert_array_equal(one.curvature_axes, np.broadcast_to(np.eye(2), (3, 2, 2)))


@pytest.mark.parametrize("missing", ["test_matrix", "offset", "train_floor", "test_floor"])
def test_arrays_that_may_be_missing(run_arrays, missing):
    """M = I/2, no offset, floors of 0."""
    default = {"test_matrix": np.eye(2) / 2, "offset": np.zeros(2), "train_floor": np.zeros(3), "test_floor": 0.0}
    without = {name: array for name, array in ARRAYS.items() if name != missing}
    one, other = (
        run_arrays(arrays, [{"kind": "flow"}], [0.5, 0.3])
        for arrays in (without, {**ARRAYS, missing: default[missing]})
    )
    for name in ("train_loss", "test_loss", "stop_time", "status"):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_arrays_of_one_seed_and_of_whole_numbers(run_arrays):
    run = run_arrays({"curvature": np.array([2, 1]), "residual": np.array([1, 1])}, [{"kind": "flow"}], [0.5])
    assert run.curvature.tolist() == [[2.0, 1.0]]
    assert run.status.tolist() == [[[REACHED]]]


@pytest.mark.parametrize(("count", "seeds"), [(2, 2), (3, 3), (100, 3)])
def test_no_more_seeds_than_rows(run_arrays, count, seeds):
    run = run_arrays(ARRAYS, [{"kind": "flow"}], [0.5], seeds={"count": count})
    assert run.draw.tolist() == list(range(seeds))


def test_arrays_from_hdf5(run_grid, run_arrays, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in ARRAYS.items():
            file[name] = array
    problem = {"kind": "quadratic", "file": "a.h5"}
    one = run_grid(problem, [{"kind": "flow"}], [0.5], folder=tmp_path, seeds={"count": 3})
    np.testing.assert_array_equal(one.test_loss, run_arrays(ARRAYS, [{"kind": "flow"}], [0.5]).test_loss)


# ---- what is refused ----

BAD_ARRAYS = [
    ({"curvature": None}, "array 'curvature' is missing"),
    ({"residual": None}, "array 'residual' is missing"),
    ({"curvature": np.ones((3, 2, 2))}, r"array 'curvature' must have shape \(N, d\) or \(d,\)"),
    ({"curvature": np.ones((0, 2))}, r"array 'curvature' must have shape \(N, d\) or \(d,\)"),
    ({"curvature": -ARRAYS["curvature"]}, r"array 'curvature' must be >= 0, got -5.0"),
    ({"curvature": ARRAYS["curvature"] * np.nan}, "array 'curvature' holds values that are not finite"),
    ({"residual": np.full((3, 2), np.inf)}, "array 'residual' holds values that are not finite"),
    ({"residual": np.ones((3, 3))}, r"array 'residual' must have shape \(3, 2\) or \(2,\), got \(3, 3\)"),
    ({"residual": np.ones((2, 2))}, r"array 'residual' must have shape \(3, 2\) or \(2,\), got \(2, 2\)"),
    ({"residual": np.ones(3)}, r"array 'residual' must have shape \(3, 2\) or \(2,\), got \(3,\)"),
    ({"residual": np.ones((3, 2)) * 1j}, "array 'residual' holds complex128, not real numbers"),
    ({"residual": np.full((3, 2), "1")}, "array 'residual' holds <U1, not real numbers"),
    ({"offset": np.ones(5)}, r"array 'offset' must have shape \(3, 2\) or \(2,\), got \(5,\)"),
    ({"test_matrix": np.eye(3)}, r"array 'test_matrix' must have shape \(3, 2, 2\) or \(2, 2\), got \(3, 3\)"),
    ({"train_floor": np.ones(2)}, r"array 'train_floor' must have shape \(3,\) or \(\), got \(2,\)"),
    ({"test_floor": np.ones((3, 1))}, r"array 'test_floor' must have shape \(3,\) or \(\), got \(3, 1\)"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ARRAYS)
def test_bad_arrays_are_refused(tmp_path, change, message):
    arrays = {name: array for name, array in {**ARRAYS, **change}.items() if array is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        QUADRATIC.prepare({"file": "a.npz"}, tmp_path)
    assert str(tmp_path / "a.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_refused(tmp_path):
    """Reading one would run whatever is in it."""
    np.savez(tmp_path / "a.npz", curvature=np.array([{}, 1], dtype=object), residual=np.ones(2))
    with pytest.raises(InputError, match="Object arrays cannot be loaded"):
        QUADRATIC.prepare({"file": "a.npz"}, tmp_path)


BAD_FILES = [
    ("a.npz", b"", "not a readable NPZ file"),
    ("a.npz", b"PK\x03\x04 and no more", "not a readable NPZ file"),
    ("a.npz", b"\x93NUMPY", "not a readable NPZ file"),
    ("a.h5", b"not HDF5", "not a readable HDF5 file"),
    ("a.npy", b"", r"the file name must end in .npz, .h5 or .hdf5"),
    ("missing.npz", None, "cannot be read: No such file or directory"),
    ("missing.h5", None, "cannot be read: No such file or directory"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_files_that_are_no_arrays_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        QUADRATIC.prepare({"file": name}, tmp_path)


BAD_TABLES = [
    ("", {}, "no rows of numbers"),
    ("a,b\n", {}, "no rows of numbers"),
    ("a,b\n1,2\n3\n", {}, "line 3: 1 field, expected 2"),
    ("a,b\n1,2\n3,x\n", {}, "problem.file: .*t.csv, line 3, column 'b': 'x' is not a number"),
    ("a,b\n1,2\n3,\n", {}, "line 3, column 'b': '' is not a number"),
    ("a,b\n1,nan\n", {}, "line 2, column 'b': 'nan' is not finite"),
    ("a,b\n1,1e999\n", {}, "line 2, column 'b': '1e999' is not finite"),
    ("a\n1\n2\n", {}, "one column only; a target and at least one feature are needed"),
    ("a,b\n1,2\n3,4\n", {"target": "c"}, "target column: unknown name 'c'"),
    ("1,2\n3,4\n", {"target": "c", "header": False}, "target column 'c': no header row"),
    ("a,b\n1,2\n3,4\n", {"target": 2}, "target column 2 is not there; it has 2 columns"),
    ("a,b\n1,2\n3,4\n", {"train_rows": 2}, "train_rows = 2 and test_rows = 0 need more than the 2 rows"),
    ("a,b\n1,2\n3,4\n", {"test_rows": 2}, "train_rows = 1 and test_rows = 2 need more than the 2 rows"),
]


@pytest.mark.parametrize(("text", "change", "message"), BAD_TABLES)
def test_bad_tables_are_refused(tmp_path, text, change, message):
    (tmp_path / "t.csv").write_text(text)
    defaults = {parameter.name: parameter.default for parameter in DATASET.parameters}
    parameters = {**defaults, "file": "t.csv", "train_rows": 1, **change}
    with pytest.raises(InputError, match=message) as caught:
        DATASET.prepare(parameters, tmp_path)
    assert "\n" not in str(caught.value)


BAD_TABLE_ARRAYS = [
    ({"features": np.ones((4, 2))}, "array 'target' is missing"),
    ({"target": np.ones(4)}, "array 'features' is missing"),
    ({"features": np.ones(4), "target": np.ones(4)}, r"array 'features' must have 2 axes, got shape \(4,\)"),
    (
        {"features": np.ones((4, 2)), "target": np.ones(3)},
        r"features \(4, 2\) and target \(3,\) must have the same rows",
    ),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_TABLE_ARRAYS)
def test_bad_table_arrays_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "t.npz", **arrays)
    defaults = {parameter.name: parameter.default for parameter in DATASET.parameters}
    with pytest.raises(InputError, match=message):
        DATASET.prepare({**defaults, "file": "t.npz", "train_rows": 1}, tmp_path)


def test_one_curvature_serves_many_residuals(run_arrays):
    residual = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.1]])
    schedules = [{"kind": "constant", "learning_rate": 0.1, "steps": 50}]
    one = run_arrays({"curvature": np.array([1.0, 0.3]), "residual": residual}, schedules, [1e-3])
    each = run_arrays({"curvature": np.tile([1.0, 0.3], (3, 1)), "residual": residual}, schedules, [1e-3])
    np.testing.assert_array_equal(one.test_loss, each.test_loss)
    assert one.test_loss.shape == (1, 3, 1)


def test_standardize_is_named_by_the_kernels_numbers():
    """The names stand at the numbers that the kernels know them by."""
    from simlr.kernels.problems import regression

    assert table_rows._STANDARDIZE.index("none") == regression.RAW
    assert table_rows._STANDARDIZE.index("train") == regression.TRAIN
    assert table_rows._STANDARDIZE.index("all") == regression.ALL


def test_the_first_pages_state_what_the_diabetes_grid_gives():
    """Medians of the held-out loss at train loss 0.4 over all 1,000 splits; nothing is scaled by held-out rows."""
    grid = simlr.GridConfig.from_toml(ROOT / "data/diabetes.toml", [("stop.train_loss", [0.4]), ("record.points", 0)])
    assert grid.problem["standardize"] == "train"
    run = simlr.run(
        grid.replace(schedule=[one for one in grid.schedule if one["name"] in ("flow", "large", "annealed")])
    )
    reached = run.status[:, :, 0] == REACHED
    found = [np.median(run.test_loss[s, reached[s], 0]) for s in range(7)]
    flow, moderate, _, large, short, _, long = (f"{value:.2f}" for value in found)
    loses = np.mean((run.test_loss[4:, :, 0] > run.test_loss[0, :, 0])[:, reached[0]], axis=1)
    assert ((loses > 0.9) & (loses < 0.97)).all()
    told = " ".join((ROOT / "docs/start.md").read_text(encoding="utf-8").split())
    for words in (
        f"with a median held-out loss of {large}, annealed from it with {short} (after 10 steps) to {long} (after 200)",
        f"and gradient flow with {flow}:",
        f"1/sharpness, does as well as the flow ({moderate})",
    ):
        assert words in told
