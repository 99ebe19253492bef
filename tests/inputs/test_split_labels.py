"""What says which rows are held out may be written in more ways than one: refused, not guessed."""

import h5py
import numpy as np
import pytest

from simlr.errors import InputError
from simlr.inputs.tables import read_table


def table(labels, header="x,y,s", folder="."):
    """A text with these labels in its last column."""
    path = f"{folder}/table.csv"
    rows = [f"{i}.5,{i},{label}" for i, label in enumerate(labels)]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("labels", "keys", "words"),
    [
        (["train", "Train", "test"], {"train_value": "train"}, "'train' and 'Train', which may be one"),
        (["test", "Test", "train"], {"test_value": "test"}, "'test' and 'Test', which may be one"),
        (["A", "a", "B"], {"test_value": "A"}, "'A' and 'a', which may be one"),
        (["test", "testing", "other"], {"test_value": "test"}, "'testing' says test, and test_value is 'test'"),
        (["train", "training", "other"], {"train_value": "train"}, "'training' says train, and train_value is 'train'"),
        (["1", "01", "2"], {"test_value": 1}, "'1' and '01', which may be one"),
        (["1E3", "1000", "2"], {"test_value": 1000}, "'1E3' and '1000', which may be one"),
        (["9007199254740992", "9007199254740993", "1"], {"test_value": 2**53}, "unknown value"),
        (
            ["a", "NA", "b"],
            {"test_value": "a"},
            "row 1, counted from 0, has no value; take the row out, or write a word",
        ),
        (["a", "b", "b"], {"test_value": "NA"}, "'NA' stands for no value"),
    ],
)
def test_what_may_be_one_is_refused(labels, keys, words, folder):
    with pytest.raises(InputError) as refused:
        read_table(table(labels), "y", split="s", **keys)
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_large_whole_numbers_are_told_apart(folder):
    found = read_table(
        table(["9007199254740992", "9007199254740993", "1"]), "y", split="s", test_value="9007199254740993"
    )
    assert found.part("test")[0].tolist() == [1.5] and found.part("train")[0].tolist() == [0.5, 2.5]


def test_blanks_are_no_difference(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [0.5, 1.5, 2.5], "y": [0, 1, 2], "s": ["train", "train ", "test"]})
    assert read_table(frame, "y", split="s").part("train")[0].tolist() == [0.5, 1.5]


@pytest.mark.parametrize("kind", ["npz", "h5", "filler"])
def test_a_gap_in_an_array_of_labels_is_one(kind, folder):
    labels = np.array([0.0, 1.0, np.nan if kind != "filler" else -999.0, 0.0])
    arrays = {"features": np.arange(8.0).reshape(4, 2), "target": np.arange(4.0), "s": labels}
    if kind == "npz":
        np.savez("table.npz", **arrays)
    else:
        with h5py.File("table.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
            if kind == "filler":
                file["s"].attrs["_FillValue"] = -999.0
    with pytest.raises(InputError, match="row 2, counted from 0, has no value"):
        read_table("table.npz" if kind == "npz" else "table.h5", split="s", test_value=1)


def test_labels_of_columns_are_no_places(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([[1.5, 2.0, 3.0], [2.5, 4.0, 5.0], [3.5, 1.0, 0.0]], columns=[2, 1, 0])
    with pytest.raises(InputError, match=r"target column 2 may be the column labelled 2, or column number 2; '2' is"):
        read_table(frame, 2)
    assert read_table(frame, "2").columns[-1].tolist() == [1.5, 2.5, 3.5]
    assert read_table(frame).columns[-1].tolist() == [3.0, 5.0, 0.0]
    counted = frame.set_axis([0, 1, 2], axis=1)
    assert read_table(counted, 0).columns[-1].tolist() == [1.5, 2.5, 3.5]


def test_a_mark_may_be_the_name_of_the_first_column(folder):
    with open("table.csv", "w") as file:
        file.write("#,HP,Attack\n1,45.5,45.5\n2,60,62\n3,80,82\n")
    found = read_table("table.csv", "Attack")
    assert found.features == ("#", "HP") and found.rows == 3
    assert found.columns[1].tolist() == [45.5, 60.0, 80.0]


def test_words_of_rows_that_are_left_out_are_not_learnt(folder):
    with open("table.csv", "w") as file:
        file.write("c,x,s,y\na,1.5,train,1\nb,2.5,train,2\nz,,train,3\nz,4.5,test,3\n")
    with pytest.raises(InputError, match="'z' in categorical column 'c' is in no train row"):
        read_table("table.csv", "y", categorical=["c"], split="s")
    with open("table.csv", "w") as file:
        file.write("c,x,s,y\na,1.5,train,1\nb,2.5,train,2\nz,,train,3\nb,4.5,test,3\na,2.5,test,1\nq,,test,1\n")
    assert read_table("table.csv", "y", categorical=["c"], split="s").features == ("c=a", "c=b", "x")


def two(first, second):
    for name, text in (("train.csv", first), ("test.csv", second)):
        with open(name, "w") as file:
            file.write(text)


def test_a_filler_in_one_of_two_files_is_seen_beside_the_other(folder):
    two("x,y\n1.5,2\n2.5,3\n3.5,4\n", "x,y\n-999,5\n-999,6\n")
    with pytest.raises(InputError, match="-999 2 times, as a filler does"):
        read_table("train.csv", "y", test_data="test.csv")


def test_a_file_is_not_its_own_test_data(folder):
    two("x,y\n1.5,2\n2.5,3\n3.5,4\n", "")
    with pytest.raises(InputError, match="test_data is the same file"):
        read_table("train.csv", "y", test_data="train.csv")


def test_numbers_of_columns_do_not_go_with_another_order(folder):
    two("c,a,y\n1,1.5,2\n2,2.5,3\n1,3.5,4\n", "a,c,y\n1.5,1,4\n2.5,2,5\n")
    with pytest.raises(InputError, match="categorical names columns, not their numbers"):
        read_table("train.csv", "y", categorical=[0], test_data="test.csv")
    found = read_table("train.csv", "y", categorical=["c"], test_data="test.csv")
    assert found.features == ("c=1", "c=2", "a") and found.part("test")[2].tolist() == [1.5, 2.5]


def test_gaps_that_are_filled_are_counted_without_the_rows_left_out(folder):
    with open("table.csv", "w") as file:
        file.write("x,y\n1.5,2\n,3\n,4\n3.5,\n4.5,6\n")
    found = read_table("table.csv", "y", missing="mean").describe()
    assert "4 rows of 5 (1 with gaps dropped) (2 with gaps, the mean of the column in their place)" in found
