"""Splits that are given by a column or a second file, in any format, or refused with what settles it."""

import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import simlr
from simlr.errors import InputError

ROWS = np.array([[0.5, 1.0, 3.0], [1.5, 2.0, 4.0], [2.5, 0.0, 6.5], [3.5, 1.0, 5.0], [4.5, 7.0, 1.0]])
IS_TEST = [False, True, False, False, True]


def written(labels, name="set"):
    """A table with one more column, in the middle."""
    lines = [f"a,{name},b,y", *(f"{a},{label},{b},{y}" for (a, b, y), label in zip(ROWS, labels, strict=True))]
    Path("t.csv").write_text("\n".join(lines) + "\n")


def check(table, is_test=IS_TEST):
    """The train and test rows are those, and the column itself is no feature."""
    is_test = np.array(is_test)
    assert table.features[-2:] == ("a", "b") or len(table.features) == 2
    np.testing.assert_array_equal(table.part("train"), ROWS[~is_test].T)
    np.testing.assert_array_equal(table.part("test"), ROWS[is_test].T)


@pytest.mark.parametrize(
    ("labels", "name", "keys"),
    [
        (["train", "test", "train", "train", "test"], "set", {}),
        (["Training", "Testing", "Training", "Training", "Testing"], "set", {}),
        ([0, 1, 0, 0, 1], "set", {"test_value": 1}),
        ([0, 1, 0, 0, 1], "set", {"train_value": 0}),
        (["a", "b", "a", "a", "b"], "set", {"test_value": "b"}),
        ([1, 3, 2, 1, 3], "fold", {"test_value": 3}),
        ([1, 0, 1, 1, 0], "train", {}),
        (["F", "T", "F", "F", "T"], "is_test", {}),
        (["True", "False", "True", "True", "False"], "train", {}),
        (["no", "yes", "no", "no", "yes"], "held", {"test_value": "yes"}),
    ],
)
def test_a_column_says_which_rows_are_held_out(labels, name, keys, folder):
    written(labels, name)
    table = simlr.read_table("t.csv", split=name, **keys)
    check(table)
    assert f"split by column '{name}': 3 train (" in table.describe() and "2 test (" in table.describe()
    frame = pd.read_csv("t.csv")
    check(simlr.read_table(frame, split=name, **keys))


@pytest.mark.parametrize(
    ("labels", "keys", "message"),
    [
        ([0, 1, 0, 0, 1], {}, "split column 'set' holds 0 (3 rows), 1 (2 rows): test_value = ... says which of them"),
        ([1, 2, 3, 4, 5], {}, "1 (1 row), 2 (1 row), 3 (1 row), 4 (1 row) and 1 more: test_value"),
        (["train", "test", "extra", "train", "test"], {}, "'extra' (1 row): test_value = ... says"),
        (["train", "test", "extra", "train", "test"], {"test_value": "test"}, "'extra' (1 row): test_value"),
        (["train"] * 5, {}, "holds 'train' (5 rows): test_value = ... says which of them are test rows"),
        (["train", "test", "", "train", "test"], {}, "row 2, counted from 0, has no value"),
        (
            ["train", "test", "train", "train", "test"],
            {"test_value": "tset"},
            "unknown value 'tset'; did you mean 'test'",
        ),
        ([0, 1, 0, 0, 1], {"test_value": 1, "train_value": 1}, "1 cannot be for train and test rows both"),
        ([0, 1, 2, 0, 1], {"train_value": 0}, "test_value = ... says which of them are test rows"),
    ],
)
def test_a_column_that_may_be_meant_in_two_ways_is_refused(labels, keys, message, folder):
    written(labels)
    with pytest.raises(InputError, match=re.escape(message)) as refusal:
        simlr.read_table("t.csv", split="set", **keys)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith("t.csv: split column 'set'")


def test_rows_for_validation_and_unused_ones(folder):
    written(["train", "test", "val", "train", "extra"])
    table = simlr.read_table("t.csv", split="set", train_value="train")
    assert table.part("validation").T.tolist() == ROWS[2:3].tolist() and table.rows == 4
    assert "2 train ('train'), 1 validation ('val'), 1 test ('test'), 1 unused ('extra')" in table.describe()
    assert simlr.read_table("t.csv", split="set", test_value="val", train_value="train").part("test").T.tolist() == [
        ROWS[2].tolist()
    ]


def second_file(order=("a", "b", "y"), rows=slice(3, None)):
    """The first three rows in one file, the others in another."""
    frame = pd.DataFrame(ROWS, columns=["a", "b", "y"])
    frame[:3].to_csv("train.csv", index=False)
    frame[rows][list(order)].to_csv("test.csv", index=False)
    return frame


@pytest.mark.parametrize("order", [("a", "b", "y"), ("y", "a", "b")])
def test_a_second_file_holds_the_test_rows(order, folder):
    frame = second_file(order)
    table = simlr.read_table("train.csv", test_data="test.csv")
    check(table, [False] * 3 + [True] * 2)
    assert "split by test_data test.csv: 3 train, 2 test" in table.describe()
    check(simlr.read_table(frame[:3], test_data=frame[3:]), [False] * 3 + [True] * 2)
    check(simlr.read_table("train.csv", test_data=frame[3:]), [False] * 3 + [True] * 2)
    assert simlr.read_table("train.csv", test_data="test.csv") is table
    Path("test.csv").write_text("a,b,y\n9,9,9\n")
    assert simlr.read_table("train.csv", test_data="test.csv").part("test").tolist() == [[9.0], [9.0], [9.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "test.csv: test_data must have the columns of train.csv: 'y' is in train.csv alone"),
        ("a,c,y\n1,2,3\n", "'b' is in train.csv alone"),
        ("0.5,1.5,2.25\n0.25,1.0,2.0\n", "test.csv: its first line holds numbers only"),
        ("a,b,y\n1,x,3\n", "test.csv, line 2, column 'b': 'x' is not a number"),
        ("a,b,y\n1,NA,3\n4,NA,6\n", "test.csv, line 2, column 'b': 'NA' is not a number, a gap"),
        ("a,b,y\n1,-999,3\n4,2,6\n2,3,4\n", "test.csv: column 'b' holds -999 1 time, as a filler"),
        ("a,b,y\n", "test.csv: no rows of numbers"),
    ],
)
def test_a_second_file_of_other_columns_is_refused(content, message, folder):
    second_file()
    Path("test.csv").write_text(content)
    with pytest.raises(InputError, match=re.escape(message)) as refusal:
        simlr.read_table("train.csv", test_data="test.csv")
    assert "\n" not in str(refusal.value)


def test_words_and_means_are_those_of_the_train_rows(folder):
    Path("train.csv").write_text("kind,a,y\nred,1,0\nblue,3,1\nred,NA,2\n")
    Path("test.csv").write_text("kind,a,y\nblue,NA,5\nblue,100,6\n")
    keys = {"categorical": ["kind"], "missing": "mean", "test_data": "test.csv"}
    table = simlr.read_table("train.csv", **keys)
    assert table.features == ("kind=blue", "kind=red", "a")
    assert table.part("test").tolist() == [[1.0, 1.0], [0.0, 0.0], [2.0, 100.0], [5.0, 6.0]]
    Path("test.csv").write_text("kind,a,y\ngreen,1,5\n")
    with pytest.raises(InputError, match="'green' in categorical column 'kind' is in no train row"):
        simlr.read_table("train.csv", **keys)


def test_gaps_in_words_have_no_mean(folder):
    Path("t.csv").write_text("kind,a,y\nred,1,0\n,3,1\nblue,2,2\n")
    with pytest.raises(InputError, match="'kind' has 1 gap, and words have no mean; missing = 'drop'"):
        simlr.read_table("t.csv", categorical=["kind"], missing="mean")
    assert simlr.read_table("t.csv", categorical=["kind"]).rows == 2


def test_what_does_not_go_together_is_refused(folder):
    written(["train", "test", "train", "train", "test"])
    second_file()
    for keys, message in (
        ({"test_value": 1}, "are of the column that split = ... names"),
        ({"split": "set", "test_data": "test.csv"}, "one of them is enough"),
        ({"split": "set", "target": "set"}, "the target is the split column, 'set'"),
        ({"split": "set", "columns": ["a", "set"]}, "columns: 'set' is left out by drop or split"),
        ({"split": "sett"}, "unknown name 'sett'; did you mean 'set'"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            simlr.read_table("t.csv", **keys)


@pytest.mark.parametrize("labels", [[0, 1, 0, 0, 1], np.array(["train", "test", "train", "train", "test"])])
def test_an_array_says_which_rows_are_held_out(labels, folder):
    keys = {"split": "set", **({} if isinstance(labels, np.ndarray) else {"test_value": 1})}
    np.savez("t.npz", features=ROWS[:, :2], target=ROWS[:, 2], set=labels)
    check(simlr.read_table("t.npz", **keys))
    with h5py.File("t.h5", "w") as file:
        file["features"], file["target"] = ROWS[:, :2], ROWS[:, 2]
        file["set"] = labels if isinstance(labels, list) else [str(label) for label in labels]
    check(simlr.read_table("t.h5", **keys))
    np.savez("t.npz", a=ROWS[:, 0], b=ROWS[:, 1], target=ROWS[:, 2], set=labels)
    check(simlr.read_table("t.npz", **keys))
    np.savez("t.npz", features=ROWS[:, :2], target=ROWS[:, 2], set=labels[:4])
    with pytest.raises(InputError, match="array 'set' must have a value for each of the 5 rows"):
        simlr.read_table("t.npz", **keys)


def test_a_column_of_a_matrix_says_which_rows_are_held_out(folder):
    np.save("t.npy", np.column_stack([IS_TEST, ROWS]))
    table = simlr.read_table("t.npy", split=0, test_value=1)
    check(table)
    assert table.rows == 5
