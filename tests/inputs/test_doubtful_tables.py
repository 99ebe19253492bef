"""What could be read wrong in silence: numbers that no float holds, second headers, comments, numbers in disguise."""

import io
import re
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import simlr
from simlr.errors import InputError
from simlr.inputs import delimited, vectors

BIG = 2**60 + 1


def read(content, **keywords):
    """A CSV file with this content, read."""
    Path("t.csv").write_text(content)
    return simlr.read_table("t.csv", **keywords)


def refused(content, message, **keywords):
    """It is refused in one line that holds this."""
    with pytest.raises(InputError, match=re.escape(message)) as refusal:
        read(content, **keywords)
    assert "\n" not in str(refusal.value)


# ---- whole numbers over 2^53 ----


@pytest.mark.parametrize("number", [2**53 + 1, BIG, -BIG, 10**22 + 1])
def test_a_whole_number_that_no_float_is_is_refused(number, folder):
    content = f"id,x,y\n{number},1,2\n3,4,5\n"
    refused(content, f"line 2, column 'id': '{number}' is a whole number over 2^53, which floats do not tell apart")
    refused(content, "; drop = ['id'] leaves it out")
    assert read(content, drop="id").features == ("x",)


def test_large_numbers_that_are_floats_are_read(folder):
    table = read(f"a,b,y\n{2**53 + 2},1e30,2\n-{2**62},1.5e300,5.5\n")
    assert table.columns[:2].tolist() == [[2.0**53 + 2, -(2.0**62)], [1e30, 1.5e300]]
    exact = format(1.1e200, ".1f")  # as printf writes it: every digit of the float
    assert read(f"a,y\n{exact},1\n2,3\n", fillers=[]).columns[0, 0] == 1.1e200


def test_arrays_of_whole_numbers_that_no_float_is(folder):
    ids, x, y = np.array([BIG, 3]), np.array([1.5, 2.5]), np.array([1.0, 4.0])
    for array in (ids, ids.astype(np.uint64)):
        np.savez("t.npz", id=array, x=x, target=y)
        with pytest.raises(
            InputError, match=f"row 0, column 'id': '{BIG}' is a whole number over 2.53.* drop = .'id'."
        ):
            simlr.read_table("t.npz")
        assert simlr.read_table("t.npz", drop="id").columns.tolist() == [[1.5, 2.5], [1.0, 4.0]]
    np.save("t.npy", np.column_stack([ids, [1, 2], [3, 4]]))
    with pytest.raises(InputError, match="is a whole number over 2"):
        simlr.read_table("t.npy")
    assert simlr.read_table("t.npy", drop=0).columns.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    np.save("t.npy", np.array(list(zip(ids, x, y, strict=True)), [("id", "i8"), ("x", "f8"), ("y", "f8")]))
    with pytest.raises(InputError, match="is a whole number over 2"):
        simlr.read_table("t.npy")
    np.save("v.npy", ids)
    with pytest.raises(InputError, match="whole numbers over 2"):
        vectors.read_vector("v.npy")


def test_a_filler_that_no_float_is_is_a_gap_as_others_are(folder):
    """netCDF's of 64 bits is -2^63 + 2."""
    filler = -(2**63) + 2
    with h5py.File("t.h5", "w") as file:
        file["features"], file["target"] = np.array([[1, 2], [filler, 3], [4, 5]]), [1.0, 2.5, 3.0]
        file["features"].attrs["_FillValue"] = np.int64(filler)
    assert simlr.read_table("t.h5").columns[0].tolist() == [1.0, 4.0]
    with h5py.File("t.h5", "a") as file:
        file["features"][2, 0] = BIG
    with pytest.raises(InputError, match=f"row 2, column .features.0..: '{BIG}' is a whole number over"):
        simlr.read_table("t.h5")


# ---- headers and comments ----


def test_a_second_line_of_small_numbers_below_repeated_names(folder):
    content = "a,a,b\n0,1,0\n1.5,2,3\n2.5,3,4\n"
    refused(content, "line 2: '0,1,0' may be a second line of names (of pandas' MultiIndex); header = true where it is")
    assert read(content, header=True).rows == 3
    assert read("a,a,b\n0,0,0\n1.5,2,3\n2.5,3,4\n").rows == 3  # two columns would have one name
    assert read("a,c,b\n0,1,0\n1.5,2,3\n2.5,3,4\n").rows == 3


@pytest.mark.parametrize("header", ["guess", True])
@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("# x,y\n1,2\n3,4\n", ("x",), 2),
        ("#id,x,y\na,1,2\nb,3,4\n", ("x",), 2),
        ("#id,x,y\n1,1.5,2\n2,3,4\n", ("id", "x"), 2),
        ("# x1 x2 y\n1 2 3\n4 5 6.5\n", ("x1", "x2"), 2),
        ("# a text\n#x,y\n1,2\n3,4\n", ("x",), 2),
    ],
)
def test_names_in_a_comment_cost_no_row(content, names, rows, header, folder):
    table = read(content, header=header)
    assert table.features == names and table.target == "y" and table.rows == rows


@pytest.mark.parametrize("content", ["# made by Bob\n1 2 3\n4 5 6.5\n", "# made by Bob, twice\n1,2\n4,5.5\n"])
def test_a_sentence_in_a_comment_may_be_no_names(content, folder):
    refused(content, "may hold the names of the columns; header = true where it does, header = false where not")
    assert read(content, header=False).describe().startswith("2 features" if "," not in content else "1 feature")
    assert read(content, header=True).target == ("Bob" if "," not in content else "twice")


@pytest.mark.parametrize("content", ["My data of 2020\n\nx,y\n1,2\n3,4\n", "My data, of 2020\nx,y,z\n1,2,3\n3,4,5\n"])
def test_a_title_above_the_table_is_named(content, folder):
    refused(content, "a title above the table? take it out, or begin it with '#'")
    assert read("# " + content).rows == 2


def test_a_title_of_several_lines_is_named(folder):
    refused("My data\nof 2020\nx,y\n1,2\n3,4\n", "line 3: 2 fields, expected 1; a title above the table?")


# ---- numbers in disguise ----


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        ("5 EUR", "7 EUR", "write it without the currency"),
        ("$5", "$7", "write it without the currency"),
        ("EUR 5", "-7\u20ac", "write it without the currency"),
        ("(5)", "(7)", "a number in brackets, below 0? write it with a minus"),
        ("(5)", "7", "a number in brackets, below 0? write it with a minus"),
        ("($5)", "$7", "a number in brackets"),
        ("12%", "13%", "write it without '%'"),
        ("5 kg", "7.5 kg", "write it without the unit"),
        ('"1,234"', '"2,345"', "thousands seem set off"),
        ("1.234.567", "2.345.678", "thousands seem set off"),
    ],
)
def test_numbers_in_disguise_are_not_left_out_as_text(first, second, cause, folder):
    content = f"p,x,y\n{first},1,2\n{second},2,3\n{first},4,5\n"
    refused(content, cause)
    refused(content, "; drop = ['p'] leaves it out")
    assert read(content, drop=["p"]).features == ("x",)


def test_thousands_beside_decimal_commas(folder):
    refused("p;x;y\n1.234,50;1;2\n2.234,50;2;3\n", "thousands seem set off")


def test_a_column_is_judged_by_most_of_its_words(folder):
    refused(
        'p,x,y\nn.d.,1,2\n"1,234",2,3\n"2,345",2,3\n"3,345",2,5\n',
        "line 3, column 'p': '1,234' is not a number: thousands",
    )
    table = read("p,x,y\n5 kg,1,2\nred,2,3\nblue,3,4\nred,4,6\n")
    assert "left out p (text)" in table.describe()


@pytest.mark.parametrize("words", [("red", "blue"), ("12A", "12B"), ("1st", "2nd"), ("A (5)", "B (7)")])
def test_words_are_still_left_out(words, folder):
    assert "left out p (text)" in read(f"p,x,y\n{words[0]},1,2\n{words[1]},2,3\n").describe()


# ---- files ----


@pytest.mark.parametrize("name", ["PK", "ORC", "RDX", "BZh", "PAR1", "ARROW1", "%PDF"])
def test_names_that_begin_as_other_files_do(name, folder):
    table = read(f"{name},x,y\n1.5,2,3\n2,3,5\n", comment="none")
    assert table.features == (name, "x") and table.rows == 2


def test_a_zip_archive_of_one_file_and_what_systems_add(folder):
    with zipfile.ZipFile("t.zip", "w") as archive:
        for name, content in (("data/", ""), ("data/t.csv", "x,y\n1,2\n3,4\n"), ("__MACOSX/data/._t.csv", "junk")):
            archive.writestr(name, content)
    assert simlr.read_table("t.zip").columns.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    with zipfile.ZipFile("t.zip", "a") as archive:
        archive.writestr("data/other.csv", "x,y\n")
    with pytest.raises(InputError, match="is a ZIP archive of 2 files; one is needed"):
        simlr.read_table("t.zip")


def test_first_lines_of_more_than_what_is_looked_at(folder, monkeypatch):
    monkeypatch.setattr(delimited, "_READ", 64)
    names = [f"a_name_of_some_length_{j}" for j in range(40)]
    rows = np.arange(200.0).reshape(5, 40) + 0.5
    lines = [",".join(names), *(",".join(map(repr, row)) for row in rows.tolist())]
    np.testing.assert_array_equal(read("\n".join(lines) + "\n").columns, rows.T)


def test_quotes_that_the_first_lines_cut_through(folder):
    content = "x,y,note\n" + "".join(f'{i},{2 * i},"a\nb\nc"\n' for i in range(300))
    assert read(content, target="y").rows == 300


def test_many_columns_are_read_in_small_chunks(folder, monkeypatch):
    monkeypatch.setattr(delimited, "CELLS", 25)
    rows = np.random.default_rng(0).integers(0, 9, (30, 10)).astype(float) + 0.5
    content = (
        ",".join(f"x{j}" for j in range(10)) + "\n" + "".join(",".join(map(repr, r)) + "\n" for r in rows.tolist())
    )
    np.testing.assert_array_equal(read(content).columns, rows.T)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 4096])
@pytest.mark.parametrize("header", ["x,word,y\n", "# made\n# by\n# hand\nx,word,y\n"])
def test_plain_and_other_lines_take_turns(chunk, header, folder, monkeypatch):
    """Whatever stretch of lines is read at once: the numbers, and the lines in which something is wrong."""
    monkeypatch.setattr(delimited, "CHUNK", chunk)
    plain = [f"{i}.5,w{i},{i * i}\r\n" for i in range(12)]
    others = [*plain[:5], "\n", "# a comment\n", *plain[5:7], ",,\n", '"7.5","w\n7",49\n', *plain[8:]]
    expected = [[i + 0.5 for i in range(12)], [float(i * i) for i in range(12)]]
    for lines in (plain, others):
        Path("t.csv").write_bytes((header + "".join(lines)).encode())
        table = simlr.read_table("t.csv")
        assert table.columns.tolist() == expected and "left out word (text)" in table.describe()
    words = simlr.read_table("t.csv", categorical="word")
    assert len(words.features) == 13 and words.columns[:-1, :].sum() == 12 + sum(expected[0])
    for where in (3, 9, len(others)):
        wrong = [*others[:where], "x1,w,2\n", *others[where:]]
        Path("t.csv").write_bytes((header + "".join(wrong)).encode())
        line = (header + "".join(wrong[: where + 1])).count("\n")
        with pytest.raises(InputError, match=f"t.csv, line {line}, column 'x': 'x1' is not a number"):
            simlr.read_table("t.csv")
        wrong[where] = "#1,w,2\n"
        Path("t.csv").write_bytes((header + "".join(wrong)).encode())
        with pytest.raises(InputError, match=f"line {line}: '#1,w,2' starts with '#' and has the fields of a row"):
            simlr.read_table("t.csv")


def test_memory_is_that_of_the_numbers(folder):
    """8 bytes a field, however short the field and however many columns, and a few MiB for what is read at a time."""
    rows, columns = 60, 8000
    line = ",".join(f"{j % 90 + 0.123456:.6f}" for j in range(columns))
    Path("t.csv").write_text("\n".join([",".join(f"x{j}" for j in range(columns)), *[line] * rows]))
    tracemalloc.start()
    try:
        table = simlr.read_table("t.csv", fillers=[])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert table.columns.shape == (columns, rows)
    assert peak < 8 * columns * (rows + 1) + (24 << 20)


def test_a_tab_of_two_letters_is_told_from_one(folder):
    refused("x\ty\n1\t2\n", 'a tab is "\\t" between double quotes, and not between single ones', separator="\\t")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"target": 1.5}, "target must be a column's name or number, got 1.5"),
        ({"target": None}, "target must be a column's name or number, got None"),
        ({"separator": 5}, "separator must be one letter that parts columns"),
        ({"separator": "e"}, "separator must be one letter that parts columns"),
        ({"columns": 1.5}, "columns: each value must be a column's name or number, got 1.5"),
        ({"fillers": ["x"]}, "fillers: each value must be a finite number"),
        ({"encoding": 3}, "encoding must be a string"),
        ({"seperator": ","}, "read_table: unknown key 'seperator'; did you mean 'separator'?"),
    ],
)
def test_arguments_of_other_types_are_refused(keywords, message, folder):
    refused("x,y\n1,2\n3,4\n", message, **keywords)


def test_columns_may_be_named_by_anything_that_lists_them(folder):
    content = "a,b,y\n1,2,3\n4,5,6.5\n"
    assert read(content, columns=np.array([0])).features == ("a",)
    assert read(content, drop=(name for name in "a")).features == ("b",)


# ---- arrays ----


def test_arrays_that_are_not_used_are_said(folder):
    features, target = np.arange(8.0).reshape(4, 2), np.arange(4.0)
    np.savez("t.npz", features=features, target=target, mean=np.ones(2))
    assert "not used: 'mean' (2,)" in simlr.read_table("t.npz").describe()
    np.savez("t.npz", a=target, target=target, long=np.ones(7))
    assert "not used: 'long' (7,)" in simlr.read_table("t.npz").describe()
    np.savez("t.npz", X=features, y=target)
    with pytest.raises(
        InputError, match=r"'features' and 'target' are missing; .*; array = \.\.\. and target = \.\.\."
    ):
        simlr.read_table("t.npz")
    np.savez("t.npz", features=features, y=target)
    with pytest.raises(InputError, match=r"array 'target' is missing; .*; target = \.\.\. names it"):
        simlr.read_table("t.npz")


def test_numbers_of_arrays_may_be_categories(folder):
    np.savez("t.npz", kind=[0, 2, 0, 1], x=[1.5, 2, 3, 4], target=[1.0, 2, 3, 5])
    table = simlr.read_table("t.npz", categorical="kind")
    assert table.features == ("kind=0", "kind=1", "kind=2", "x")
    assert table.columns[:3].tolist() == [[1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


def test_fillers_in_a_covariance_are_refused_as_in_a_table(folder):
    Path("c.csv").write_text("1.5,0.5\n0.5,-999\n")
    with pytest.raises(InputError, match=r"column 'column 1' holds -999 1 time, as a filler does.*NPY file"):
        vectors.read_array("c.csv", "train_covariance")
    Path("c.csv").write_text("4.0\n2.0\n1e20\n")
    with pytest.raises(InputError, match=r"NumPy's filler of masked arrays"):
        vectors.read_array("c.csv", "train_covariance")
    Path("c.csv").write_text("4.0\n2.0\n1.0\n")
    assert vectors.read_array("c.csv", "train_covariance").ravel().tolist() == [4.0, 2.0, 1.0]


def test_nothing_of_a_packed_file_is_read_by_its_size(folder):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", "x,y\n" + "1,2\n" * 5000 + "3,4\n")
    Path("t.zip").write_bytes(file.getvalue())
    assert simlr.read_table("t.zip").rows == 5001
