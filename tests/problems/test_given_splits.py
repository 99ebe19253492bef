"""Given splits in runs: the train and test rows are exactly those of the table, and nothing else is scaled with."""

import numpy as np
import pytest

from naive import descent as naive
from simlr.errors import InputError

ROOT_SEED = 5
TRAIN, VALIDATION, TEST = 0, 1, 2


def draw_table(rows=24, features=3):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(rows, features)) * [1.0, 5.0, 0.2] + 2.0
    return np.column_stack([x, x @ rng.normal(size=features) + rng.normal(size=rows)])


TABLE = draw_table()
GROUPS = np.array([0, 2, 0, 0, 1, 0, 2, 0, 0, 1, 0, 2] * 2)
WORDS = np.array(["train", "val", "test"])


def write(path, rows, groups=None):
    lines = [",".join(repr(float(value)) for value in row) for row in rows]
    if groups is not None:
        lines = [f"{line},{word}" for line, word in zip(lines, WORDS[groups], strict=True)]
    path.write_text("\n".join(["a,b,c,y" + (",set" if groups is not None else ""), *lines]) + "\n")


def run_on(run_grid, folder, seeds=1, **problem):
    """One schedule to its end."""
    problem = {"kind": "dataset", "file": "t.csv", "target": "y", **problem}
    schedules = [{"kind": "constant", "unit": "sharpness", "learning_rate": 0.7, "steps": 12}]
    options = {"seeds": {"count": seeds, "root": ROOT_SEED}, "folder": folder}
    options["record"] = {"points": 2, "seeds": "all"}
    return run_grid(problem, schedules, None, stop={"steps": [1, 12]}, **options)


def losses(train, test, standardize, everything):
    """Train and test losses of 1 and 12 steps at 0.7/sharpness from 0, by plain descent on these rows."""
    basis = {"train": train, "all": everything, "none": None}[standardize]
    if basis is not None:
        both = naive.standardized(np.vstack([basis, train, test]), np.arange(len(basis)))[len(basis) :]
        train, test = both[: len(train)], both[len(train) :]
    x, y, z, target = train[:, :-1], train[:, -1], test[:, :-1], test[:, -1]
    rate = 0.7 / np.linalg.eigvalsh(naive.hessian(x))[-1]
    path = naive.descend_rows(x, y, np.zeros(x.shape[1]), [rate] * 12)
    ends = path[1], path[12]
    return [(naive.mean_squared_error(x, y, theta), naive.mean_squared_error(z, target, theta)) for theta in ends]


def check(run, n, train, test, standardize="train", everything=None):
    expected = losses(train, test, standardize, everything)
    for k, (train_loss, test_loss) in enumerate(expected):
        np.testing.assert_allclose(run.train_loss[0, n, k], train_loss, rtol=1e-9)
        np.testing.assert_allclose(run.test_loss[0, n, k], test_loss, rtol=1e-9)


@pytest.mark.parametrize("standardize", ["train", "all", "none"])
def test_a_column_gives_the_rows(run_grid, tmp_path, standardize):
    groups = np.where(GROUPS == VALIDATION, TRAIN, GROUPS)
    write(tmp_path / "t.csv", TABLE, groups)
    run = run_on(run_grid, tmp_path, split="set", standardize=standardize)
    check(run, 0, TABLE[groups == TRAIN], TABLE[groups == TEST], standardize, TABLE)
    assert "split by column 'set': 18 train ('train'), 6 test ('test')" in run.attributes["problem_data"]


@pytest.mark.parametrize("standardize", ["train", "all", "none"])
def test_a_second_file_gives_the_test_rows(run_grid, tmp_path, standardize):
    write(tmp_path / "t.csv", TABLE[:15])
    write(tmp_path / "test.csv", TABLE[15:])
    run = run_on(run_grid, tmp_path, test_data="test.csv", standardize=standardize)
    check(run, 0, TABLE[:15], TABLE[15:], standardize, TABLE)


def test_fewer_rows_are_drawn_from_the_given_ones(run_grid, tmp_path):
    """The first of a random order that are of the group."""
    write(tmp_path / "t.csv", TABLE, GROUPS)
    run = run_on(run_grid, tmp_path, seeds=6, split="set", train_rows=8, test_rows=3)
    assert run.attributes["problem_data"].count("14 train ('train'), 4 validation ('val'), 6 test ('test')") == 1
    for seed in range(6):
        order = np.concatenate(naive.split(ROOT_SEED, seed, 24, 12, 12))
        train, test = order[GROUPS[order] == TRAIN][:8], order[GROUPS[order] == TEST][:3]
        check(run, seed, TABLE[train], TABLE[test])


@pytest.mark.parametrize("told", [True, False])
def test_validation_rows_are_the_given_ones_or_some_of_the_train_rows(run_grid, tmp_path, told):
    groups = GROUPS if told else np.where(GROUPS == VALIDATION, TRAIN, GROUPS)
    write(tmp_path / "t.csv", TABLE, groups)
    problem = {"kind": "dataset", "file": "t.csv", "target": "y", "split": "set"}
    problem |= {} if told else {"validation_rows": 4}
    schedules = [{"kind": "constant", "unit": "sharpness", "learning_rate": 0.7, "steps": 1}]
    stop = {"validation": {"patience": 1, "every": 1}, "max_steps": 1}
    run = run_grid(problem, schedules, None, stop=stop, seeds={"count": 1, "root": ROOT_SEED}, folder=tmp_path)
    order = np.concatenate(naive.split(ROOT_SEED, 0, 24, 12, 12))
    own = [order[groups[order] == group] for group in range(3)]
    train, validation = (own[0], own[1]) if told else (own[0][:14], own[0][14:])
    table = naive.standardized(TABLE, train)
    rate = 0.7 / np.linalg.eigvalsh(naive.hessian(table[train, :-1]))[-1]
    theta = naive.descend_rows(table[train, :-1], table[train, -1], np.zeros(3), [rate])[-1]
    held_out = naive.mean_squared_error(table[validation, :-1], table[validation, -1], theta)
    at_start = np.mean(table[validation, -1] ** 2)
    np.testing.assert_allclose(run.validation_loss[0, 0].min(), min(held_out, at_start), rtol=1e-9)


def test_one_split_is_one_seed_unless_there_is_noise(run_grid, tmp_path):
    """Many seeds of the same problem would look like evidence."""
    write(tmp_path / "t.csv", TABLE[:15])
    write(tmp_path / "test.csv", TABLE[15:])
    alone = run_on(run_grid, tmp_path, seeds=9, test_data="test.csv")
    assert alone.draw.tolist() == [0] and "one seed, but for noise" in alone.attributes["problem_data"]
    assert run_on(run_grid, tmp_path, seeds=9, test_data="test.csv", label_noise=0.5).draw.size == 9
    assert run_on(run_grid, tmp_path, seeds=9, test_data="test.csv", train_rows=5).draw.size == 9
    schedules = [{"kind": "constant", "unit": "sharpness", "learning_rate": 0.1, "steps": 3}]
    noisy = run_grid(
        {"kind": "dataset", "file": "t.csv", "test_data": "test.csv"},
        schedules,
        None,
        stop={"steps": [3]},
        seeds={"count": 9},
        noise=[{"kind": "minibatch", "batch_size": 4}],
        folder=tmp_path,
    )
    assert noisy.draw.size == 9 and len(set(noisy.test_loss[0, :, 0].tolist())) == 9


def test_folds_are_an_axis(run_grid, tmp_path):
    fold = np.arange(24) % 4
    lines = [",".join(map(repr, [*map(float, row), int(k)])) for row, k in zip(TABLE, fold, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,c,y,fold", *lines]) + "\n")
    run = run_on(run_grid, tmp_path, split="fold", test_value=[0, 1, 2, 3])
    assert run.problem_test_value.tolist() == [0.0, 1.0, 2.0, 3.0]
    for k in range(4):
        check(run, k, TABLE[fold != k], TABLE[fold == k])


@pytest.mark.parametrize("features", ["rbf", "relu"])
def test_features_are_of_the_given_rows(run_grid, tmp_path, features):
    write(tmp_path / "t.csv", TABLE, np.where(GROUPS == VALIDATION, TRAIN, GROUPS))
    counted = {"feature_count": 7} if features == "relu" else {}
    run = run_on(run_grid, tmp_path, split="set", features=features, **counted)
    train = np.flatnonzero(GROUPS != TEST)
    y = naive.standardized(TABLE, train)[:, -1]
    np.testing.assert_allclose(run.trajectory_train_loss[0, 0, 0], np.mean(y[train] ** 2), rtol=1e-12)
    np.testing.assert_allclose(run.trajectory_test_loss[0, 0, 0], np.mean(y[GROUPS == TEST] ** 2), rtol=1e-12)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"train_rows": 15}, "train_rows need more than the 14 train rows of"),
        ({"test_rows": 7}, "test_rows need more than the 6 test rows of"),
        ({"validation_rows": 5}, "validation_rows need more than the 4 validation rows of"),
    ],
)
def test_more_rows_than_given_are_refused(run_grid, tmp_path, keys, message):
    write(tmp_path / "t.csv", TABLE, GROUPS)
    with pytest.raises(InputError, match=message):
        run_on(run_grid, tmp_path, split="set", **keys)
    with pytest.raises(InputError, match=r"problem \(kind 'dataset'\): train_rows is missing"):
        run_on(run_grid, tmp_path)
