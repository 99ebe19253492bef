"""Other people's files: what is read from them, and one line for whatever is wrong with them."""

import contextlib
import hashlib
import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

from simlr.config.grid import GridConfig
from simlr.errors import InputError
from simlr.grid.job import Job
from simlr.inputs import arrays as array_files
from simlr.inputs import formats, tables


def refused(message):
    return pytest.raises(InputError, match=re.escape(message))


def table(content, target=-1, header="guess"):
    """A CSV file with this content, read."""
    Path("table.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return tables.read_table("table.csv", target, header=header).columns


# ---- CSV ----


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (-1, [[1, 4], [2, 5], [3, 6]]),
        (0, [[2, 5], [3, 6], [1, 4]]),
        ("b", [[1, 4], [3, 6], [2, 5]]),
        (1, [[1, 4], [3, 6], [2, 5]]),
        (-3, [[2, 5], [3, 6], [1, 4]]),
    ],
)
def test_the_target_is_moved_to_the_end(target, expected, folder):
    assert table("a,b,c\n1,2,3\n4,5,6\n", target).tolist() == expected
    if not isinstance(target, str):
        assert table("1,2,3\n4,5,6\n", target, header=False).tolist() == expected


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n",
        b"a,b\n\n1,2\n ,\n3,4\n\n",
        b'"a"," b "\n"1", 2\n3,4',
        b"a,b\n1.0,2e0\n+3,0004\n",
        b'"a\nlong name",b\n1,2\n3,4\n',
        b"a;b\n1;2\n3;4\n",
        "a,b\n1,2\n3,4\n".encode("utf-16"),
    ],
    ids=["windows", "blank-lines", "quotes", "numbers", "line-break", "semicolons", "utf-16"],
)
def test_dialects(content, folder):
    assert table(content).tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_every_digit_is_kept(folder):
    read = table("a,b\n0.1,1e-308\n123456789.123456789,-0.0\n")
    assert read.tolist() == [[0.1, 123456789.123456789], [1e-308, -0.0]]
    assert read.dtype == np.float64 and read.flags.c_contiguous


BAD_TABLES = [
    ("", {}, "table.csv: no rows of numbers"),
    ("a,b\n", {}, "table.csv: no rows of numbers"),
    ("a,b\n1,x\n", {}, "table.csv, line 2, column 'b', the target: 'x' is not a number"),
    ("a,b\n1,2\n\n3,\n", {}, "table.csv, line 4, column 'b': '' is not a number"),
    ('a,b\n"1\n",2\n3,x\n', {}, "table.csv, line 4, column 'b': 'x' is not a number"),
    ("a,b\n1,nan\n", {}, "table.csv, line 2, column 'b': 'nan' is not finite"),
    ("a,b\n1,-inf\n", {}, "table.csv, line 2, column 'b': '-inf' is not finite"),
    ("a,b\n1,1e999\n", {}, "table.csv, line 2, column 'b': '1e999' is not finite"),
    ("a,b\n1_000,2\n", {}, "table.csv, line 2, column 'a': '1_000' is not a number"),
    ("a,b\n1,2\n3\n", {}, "table.csv, line 3: 1 field, expected 2"),
    ("a,b\n1,2,3\n", {}, "table.csv, line 2: 3 fields, expected 2"),
    ("1,2\n3,4\n", {}, "table.csv: its first line holds numbers only; where it is no header, say header = false"),
    ("a,b\n1,2\n", {"header": False}, "table.csv, line 1, column 0: 'a' is not a number"),
    ("a,b\n1,2\n", {"target": "c"}, "table.csv: target column: unknown name 'c'; valid are 'a', 'b'"),
    ("age,bmi\n1,2\n", {"target": "bm"}, "table.csv: target column: unknown name 'bm'; did you mean 'bmi'?"),
    ("1,2\n", {"target": "a", "header": False}, "table.csv: target column 'a': no header row"),
    ("a,b\n1,2\n", {"target": 2}, "table.csv: target column 2 is not there; it has 2 columns"),
    ("a,b\n1,2\n", {"target": -3}, "table.csv: target column -3 is not there"),
    ("a,a,b\n1,2,3\n", {"target": "a"}, "table.csv: target column 'a' is there 2 times"),
    ("a\n1\n", {}, "table.csv: one column only; a target and at least one feature are needed"),
    (b"a,b\n1,\xff\n", {}, "is not a number"),
    (b"a,b\n1,\x00\n", {}, "table.csv"),
    ("a,b\n1," + "9" * 200_000 + "\n", {}, "table.csv: not a CSV file: field larger than field limit"),
    ("a,b\n1," + "x" * 1000 + "\n", {}, "xxx... is not a number"),
]


@pytest.mark.parametrize(
    ("content", "keywords", "message"), BAD_TABLES, ids=[message[:50] for *_, message in BAD_TABLES]
)
def test_tables_that_are_refused(content, keywords, message, folder):
    with refused(message) as refusal:
        table(content, **keywords)
    assert len(str(refusal.value).splitlines()) == 1 and len(str(refusal.value)) < 300


@given(st.one_of(st.binary(max_size=80), st.text("0123456789.,-e\n\"'a nif", max_size=80).map(str.encode)))
def test_any_table_is_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "table.csv"
    path.write_bytes(content)
    for header in ("guess", True, False):
        with contextlib.suppress(InputError):
            read = tables.read_table(path, header=header).columns
            assert read.ndim == 2 and len(read) >= 2 and np.isfinite(read).all()


# ---- NPZ and HDF5 ----


def written(suffix, **arrays):
    """A file that holds these arrays."""
    path = f"arrays{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
        return path
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


both = pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])


@both
def test_arrays_are_read_as_float64(suffix, folder):
    path = written(suffix, a=np.arange(6, dtype=np.int8).reshape(2, 3), b=np.float32(0.5), c=np.array([True, False]))
    read = array_files.read_arrays(path, ("a", "b", "c", "absent"))
    assert set(read) == {"a", "b", "c"}
    assert read["a"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] and read["c"].tolist() == [1.0, 0.0]
    assert all(array.dtype == np.float64 for array in read.values())
    assert formats.digest(path) == hashlib.sha256(Path(path).read_bytes()).hexdigest()


@both
def test_arrays_that_are_no_real_finite_numbers(suffix, folder):
    for array, kind in ((np.array([1j]), "complex128"), (np.array([np.nan]), "finite"), (np.array([np.inf]), "finite")):
        with refused(f"arrays{suffix}: array 'a' holds ") as refusal:
            array_files.read_arrays(written(suffix, a=array), ("a",))
        assert kind in str(refusal.value)


def test_arrays_of_objects_and_texts(folder):
    with refused("arrays.npz: not a readable NPZ file: 'Object arrays cannot be loaded"):
        array_files.read_arrays(written(".npz", a=np.array([{}], dtype=object)), ("a",))
    with refused("arrays.npz: array 'a' holds <U1, not real numbers"):
        array_files.read_arrays(written(".npz", a=np.array(["x"])), ("a",))
    for value in ("text", h5py.Empty("f8")):
        with pytest.raises(InputError, match=r"arrays\.h5: array 'a' holds \S+, not real numbers"):
            array_files.read_arrays(written(".h5", a=value), ("a",))


def test_a_group_of_that_name_is_no_array(folder):
    with h5py.File("arrays.h5", "w") as file:
        file.create_group("a")
    assert array_files.read_arrays("arrays.h5", ("a",)) == {}


def test_what_is_too_large_to_be_meant(folder):
    with h5py.File("arrays.h5", "w") as file:
        file.create_dataset("a", (1 << 40,), "f8", chunks=(1024,))
    with refused("arrays.h5: array 'a' takes 8796093022208 bytes, more than the 8589934592 that are read whole"):
        array_files.read_arrays("arrays.h5", ("a",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.npz", "none.npz: cannot be read: No such file or directory"),
        ("none.h5", "none.h5: cannot be read: No such file or directory"),
        ("folder.npz", "folder.npz: cannot be read: Is a directory"),
        ("folder.h5", "folder.h5: cannot be read: Is a directory"),
        ("text.npz", "text.npz: not a readable NPZ file"),
        ("text.h5", "text.h5: not a readable HDF5 file"),
        ("single.npz", "single.npz: not a readable NPZ file"),
        ("arrays.npy", "arrays.npy: the file name must end in .npz, .h5 or .hdf5"),
        ("n" * 300 + ".npz", "cannot be read: File name too long"),
    ],
    ids=lambda value: value[:20],
)
def test_files_that_hold_no_arrays(name, message, folder):
    for suffix in (".npz", ".h5"):
        os.mkdir(f"folder{suffix}")
        Path(f"text{suffix}").write_text("text\n")
    with open("single.npz", "wb") as file:
        np.save(file, np.arange(3))
    with refused(message):
        array_files.read_arrays(name, ("a",))


@given(st.data())
def test_damaged_archives_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "arrays.npz"
    np.savez(path, a=np.arange(10.0), b=np.eye(3))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    with contextlib.suppress(InputError):
        for array in array_files.read_arrays(path, ("a", "b")).values():
            assert np.isfinite(array).all()


# ---- the problems that read them ----


def problem(kind="dataset", **parameters):
    """A job on a data file in the working directory."""
    text = runs.SMALL.replace('kind = "nakkiran2020"', f'kind = "{kind}"\nfile = "table.csv"')
    for key, value in parameters.items():
        text = text.replace("[seeds]\n", f"{key} = {value!r}\n[seeds]\n".replace("'", '"').replace("True", "true"))
    Path("grid.toml").write_text(text)
    return Job(GridConfig.from_toml("grid.toml"))


def test_problems_on_files_that_do_not_fit(folder):
    with refused("table.csv: cannot be read: No such file"):
        problem(train_rows=1)
    Path("table.csv").write_text("a,b\n1,2\n3,4\n")
    with refused("problem: train_rows = 2 and test_rows = 0 need more than the 2 rows of table.csv"):
        problem(train_rows=2)
    with refused("problem: train_rows = 1 and test_rows = 2 need more than the 2 rows of table.csv"):
        problem(train_rows=1, test_rows=2)
    with refused("problem.train_rows must be a whole number >= 1, got 0"):
        problem(train_rows=0)
    with refused("problem (kind 'dataset'): train_rows is missing"):
        problem()
    with refused("problem.header must be true or false, got 'yes'"):
        problem(train_rows=1, header="yes")
    with refused("problem.standardize: unknown value 'trian'; did you mean 'train'?"):
        problem(train_rows=1, standardize="trian")
    with refused("problem.target must be a column's name or number, got 1.5"):
        problem(train_rows=1, target=1.5)
    assert problem(train_rows=1).plan.dimension == 1


def arrays(**given):
    """A job on arrays in a file."""
    np.savez("arrays.npz", **given)
    text = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "quadratic"\nfile = "arrays.npz"')
    return Job(GridConfig.from_toml(text))


def test_arrays_that_do_not_fit(folder):
    curvature, residual = np.ones((4, 2)), np.ones((4, 2))
    with refused("arrays.npz: array 'residual' is missing"):
        arrays(curvature=curvature)
    with refused("arrays.npz: array 'curvature' is missing"):
        arrays(residual=residual)
    with refused("arrays.npz: array 'curvature' must be >= 0, got -1.0"):
        arrays(curvature=-curvature, residual=residual)
    with refused("arrays.npz: array 'residual' must have shape (4, 2) or (2,), got (4, 3)"):
        arrays(curvature=curvature, residual=np.ones((4, 3)))
    with refused("arrays.npz: array 'test_matrix' must have shape (4, 2, 2) or (2, 2), got (3, 3)"):
        arrays(curvature=curvature, residual=residual, test_matrix=np.eye(3))
    for shape in ((0, 2), (4, 0), (), (1, 1, 1)):
        with refused("arrays.npz: array 'curvature' must "):
            arrays(curvature=np.ones(shape), residual=residual)
    # only so many seeds as there are rows
    assert arrays(curvature=curvature, residual=residual).plan.seeds == 4
    assert arrays(curvature=curvature, residual=np.ones(2)).plan.seeds == 4


def test_a_relative_data_file_lies_beside_its_grid(folder):
    os.mkdir("sub")
    Path("sub/table.csv").write_text("a,b\n1,2\n3,4\n5,7\n")
    text = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "dataset"\nfile = "table.csv"\ntrain_rows = 2')
    Path("sub/grid.toml").write_text(text)
    assert Job(GridConfig.from_toml("sub/grid.toml")).plan.dimension == 1
    with refused("table.csv: cannot be read"):
        Job(GridConfig.from_toml(text))
