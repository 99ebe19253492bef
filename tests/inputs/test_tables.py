"""Tables as they come: every dialect is read back equal, and what may be read in two ways is refused with its way."""

import bz2
import gzip
import io
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.errors import InputError
from simlr.inputs import arrays, delimited, fillers, tables, vectors

ROWS = [[0.5, 10.25, 3.0], [-1.5, 20.5, 4.0], [2.25, 30.125, 6.5], [0.125, 25.0, 5.0]]
NAMES = ["a", "b", "y"]
PLAIN = np.array(ROWS).T


def text(separator=",", names=NAMES, rows=ROWS, decimal=".", end="\n"):
    """A table as text."""
    lines = [separator.join(names)] if names else []
    lines += [separator.join(repr(value).replace(".", decimal) for value in row) for row in rows]
    return end.join([*lines, ""])


def read(content, name="table.csv", **keywords):
    """A file with this content, read."""
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return simlr.read_table(name, **keywords)


def zipped(content):
    """A ZIP archive of one text."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside.csv", content)
    return file.getvalue()


COUNTED = "\n".join(["," + text().splitlines()[0], *(f"{i},{row}" for i, row in enumerate(text().splitlines()[1:]))])
READ_ALIKE = {
    "plain": text(),
    "semicolons": text(";"),
    "semicolons and a decimal comma": text(";", decimal=","),
    "tabs": text("\t"),
    "tabs and a decimal comma": text("\t", decimal=","),
    "bars": text("|"),
    "blanks": text("  "),
    "Excel's line": "sep=;\r\n" + text(";", end="\r\n"),
    "old ends of lines": text(end="\r"),
    "empty last fields": text().replace("\n", ",\n"),
    "empty rows": text() + ",,\n,,\n",
    "comments": "# made by hand\n# twice\n" + text() + "# the end\n",
    "names in a comment": "# " + text(),
    "row numbers of pandas": COUNTED,
    "row numbers of pandas, read once more": COUNTED.replace(",a", "Unnamed: 0,a", 1),
    "a column of words": "\n".join(f"w{line}" if i else "word," + line for i, line in enumerate(text().splitlines()))
    .replace("w0", "w,0").replace("w-", "w,-").replace("w2", "w,2"),
    "an empty column": re.sub(r",(?=[^,]*\n)", ",,", text()).replace("b,,y", "b,e,y"),
    "minus of typesetters": text().replace("-", "\u2212"),
    "Fortran": text().replace("\n0.5,", "\n5.0D-01,"),
    "a mark": b"\xef\xbb\xbf" + text().encode(),
    "UTF-16": text().encode("utf-16"),
    "gzip": gzip.compress(text().encode()),
    "bzip2": bz2.compress(text().encode()),
    "zip": zipped(text()),
}  # fmt: skip


@pytest.mark.parametrize("case", READ_ALIKE)
def test_one_table_in_many_dialects(case, folder):
    table = read(READ_ALIKE[case])
    np.testing.assert_array_equal(table.columns, PLAIN)
    assert table.features == ("a", "b") and table.target == "y" and table.rows == 4
    assert table.columns.flags.c_contiguous and table.describe().startswith("2 features, target y, 4 rows")


@given(
    data=st.data(),
    separator=st.sampled_from([",", ";", "\t", "|", " "]),
    decimal=st.sampled_from([".", ","]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    pack=st.sampled_from([bytes, gzip.compress, bz2.compress, zipped]),
)
def test_what_is_written_in_a_dialect_is_read_back(tmp_path_factory, data, separator, decimal, end, encoding, pack):
    """Every bit of every number, with the keys said; where they are guessed, the same or a refusal."""
    decimal = "." if separator == "," else decimal
    width = data.draw(st.integers(2, 5))
    number = st.floats(-1e12, 1e12).filter(lambda value: value not in (-99.0, -999.0, -9999.0))
    rows = data.draw(st.lists(st.lists(number, min_size=width, max_size=width), min_size=2, max_size=8))
    names = [f"x{i}" for i in range(width)] if data.draw(st.booleans()) else []
    path = tmp_path_factory.mktemp("any") / "table"
    path.write_bytes(pack(text(separator, names, rows, decimal, end).encode(encoding)))
    said = {"separator": separator, "decimal": decimal, "header": bool(names), "fillers": []}
    expected = np.array(rows).T
    np.testing.assert_array_equal(simlr.read_table(path, **said).columns, expected)
    try:
        table = simlr.read_table(path)
    except InputError:
        return
    np.testing.assert_array_equal(table.columns, expected)


REFUSED = {
    "numbers alone": ("0,1,2\n" + text(names=[]), {}, "its first line holds numbers only"),
    "half empty": (",1.0,3.0\n2.0,3.5,7.0\n1.0,2.5,4.0\n", {}, "holds numbers and an empty field; header = true"),
    "names and numbers": ("a,1,2\nx,2,3\ny,3,4\n", {}, "holds numbers and names; header = true"),
    "a nameless column": (
        COUNTED.replace("\n2,", "\n7,"),
        {},
        "column 0 has no name and does not count the rows; drop",
    ),
    "thousands": (
        text().replace("10.25", '"1,110.25"'),
        {},
        "line 2, column 'b': '1,110.25' is not a number: thousands seem set off; write the number without marks",
    ),
    "decimal comma": (text().replace("10.25", '"10,25"'), {}, "a decimal comma? decimal = ','"),
    "comma of both kinds": ("a;y\n1,234;1\n2,345;2\n", {}, "has a decimal comma, or one that sets off thousands"),
    "units": (
        text().replace("y\n", "y\nm,s,kg\n"),
        {},
        "line 2: 'm' is not a number: a second line of names, or units",
    ),
    "totals": (text() + "Total,,9\n", {}, "line 6, column 'a': 'Total' is not a number: a line of totals? take it out"),
    "Latin-1": (text().replace("a,", "\u00e9,").encode("latin-1"), {}, "line 1: '\\xe9' is not a number, nor a letter"),
    "UTF-16 without a mark": (text().encode("utf-16-le"), {}, "UTF-16 without its mark; encoding = 'utf-16-le'"),
    "per cent": (text().replace("10.25", "10.25%"), {}, "write it without '%'"),
    "per cent throughout": (
        "a,b,y\n5%,1,1\n6%,2,2\n",
        {},
        "line 2, column 'a': '5%' is not a number: write it without '%'; drop",
    ),
    "an error": (
        text().replace("10.25", "#DIV/0!"),
        {},
        "line 2, column 'b': '#DIV/0!' is not a number: an error of a spreadsheet",
    ),
    "infinity": (text().replace("10.25", "inf"), {}, "line 2, column 'b': 'inf' is not finite"),
    "a filler": (text().replace("10.25", "-999"), {}, "column 'b' holds -999 1 time, as a filler does"),
    "NumPy's filler": (text().replace("10.25", "1e20"), {}, "holds 1e+20 1 time, NumPy's filler of masked arrays"),
    "words in the target": (
        "a,b,y\n1,2,x\n3,4,z\n",
        {},
        "line 2, column 'y', the target: 'x' is not a number; target = 'b'",
    ),
    "a gap": (
        text().replace("10.25", "NA"),
        {"missing": "refuse"},
        "line 2, column 'b': 'NA' is not a number, a gap",
    ),
    "JSON": ('[{"a": 1}]', {}, "is JSON; pandas.read_json"),
    "a pickle": (b"\x80\x04\x95", {}, "is a Python pickle, which may run anything"),
    "Excel": (b"PK\x03\x04\x14\x00", {}, "an Excel workbook (.xlsx) or a ZIP archive; save it as CSV"),
    "Excel before 2007": (b"\xd0\xcf\x11\xe0", {}, "an Excel workbook (.xls); save it as CSV"),
    "a page": ("<!DOCTYPE html>", {}, "a page of HTML or XML"),
    "cut gzip": (gzip.compress(text().encode())[:30], {}, "cannot be unpacked"),
    "unknown drop": (text(), {"drop": ["c"]}, "drop: unknown name 'c'; valid are 'a', 'b', 'y'"),
    "dropped target": (text(), {"drop": ["y"]}, "drop holds the target, 'y'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_plain_is_refused_with_its_cause(case, folder):
    content, keywords, message = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(message)) as refusal:
        read(content, **keywords)
    assert "\n" not in str(refusal.value) and str(refusal.value).startswith("table.csv")


def test_the_keys_settle_what_is_refused(folder):
    counted = read("0,1,2\n" + text(names=[]), header=True)
    np.testing.assert_array_equal(counted.columns, PLAIN)
    assert read("0,1,2\n" + text(names=[]), header=False).rows == 5
    assert read("a;y\n1,234;1\n2,345;2\n", decimal=",").columns[0].tolist() == [1.234, 2.345]
    assert read(text().replace("a,", "\u00e9,").encode("latin-1"), encoding="latin-1").features == ("\u00e9", "b")
    assert read(text().replace("10.25", "-999"), fillers=[]).columns[1, 0] == -999.0
    assert read(text().replace("10.25", "-999"), fillers=[-999]).rows == 3
    assert read(COUNTED.replace("\n2,", "\n7,"), drop=[0]).features == ("a", "b")
    assert read(text(), columns=["b"]).columns.tolist() == PLAIN[1:].tolist()


def test_gaps_are_dropped_or_filled_and_said(folder):
    holed = text().replace("10.25", "NA")
    dropped, filled = read(holed), read(holed, missing="mean")
    np.testing.assert_array_equal(dropped.columns, PLAIN[:, 1:])
    assert dropped.describe() == "2 features, target y, 3 rows of 4 (1 with gaps dropped)"
    assert (
        filled.columns[1, 0] == np.mean(PLAIN[1, 1:]) and "the mean of the column in their place" in filled.describe()
    )
    many = "a,y\n" + "1,\n" * 30 + "1,2\n3,4\n"
    with pytest.raises(InputError, match=r"30 of 32 rows have gaps .*missing = 'drop'"):
        read(many)
    assert read(many, missing="drop").rows == 2


def test_words_become_columns_of_0_and_1(folder):
    content = "kind,a,y\nred,1,no\nblue,2,yes\nred,3,no\n"
    table = read(content, target="y", categorical=["kind", "y"])
    assert table.features == ("kind=blue", "kind=red", "a")
    assert table.columns.tolist() == [[0, 1, 0], [1, 0, 1], [1, 2, 3], [-1, 1, -1]]
    assert "'no' is -1, 'yes' is 1" in table.describe() and "classes -1 and 1" in table.describe()


def test_a_table_in_use_is_read_once(folder):
    first = read(text())
    assert simlr.read_table("table.csv") is first
    assert read(text(rows=[*ROWS, ROWS[0]])) is not first


def test_data_frames_are_read(folder):
    frame = pd.DataFrame(ROWS, columns=NAMES).assign(word="x")
    table = simlr.read_table(frame, "y")
    np.testing.assert_array_equal(table.columns, PLAIN)
    assert "left out word (text)" in table.describe()
    assert simlr.read_table(frame.assign(a=[1.0, None, 2.0, 3.0]), "y").rows == 3


@pytest.mark.parametrize(("content", "expected"), [(",0\n0,0.5\n1,0.25\n", [0.5, 0.25]), ("lr\n1\n2\n", [1.0, 2.0])])
def test_a_series_of_pandas_is_its_numbers(content, expected, folder):
    Path("rates.csv").write_text(content)
    assert vectors.read_column("rates.csv", -1) == expected


def test_a_header_of_pandas_is_no_number(folder):
    """As rates it gave one too many, and as a spectrum one eigenvalue."""
    Path("rates.csv").write_text("0\n0.5\n0.25\n")
    with pytest.raises(InputError, match="may be the numbers that pandas gives columns; header = true"):
        vectors.read_column("rates.csv", -1)
    assert vectors.read_column("rates.csv", -1, True) == [0.5, 0.25]
    assert vectors.read_column("rates.csv", -1, False) == [0.0, 0.5, 0.25]
    with pytest.raises(InputError, match=r"write it without such a line \(pandas: index=False, header=False\)"):
        vectors.read_array("rates.csv", "target")


def test_fillers_of_arrays_are_refused_or_honoured(folder):
    values = np.array(ROWS)[:, :2].copy()
    values[0, 0] = 9.969209968386869e36
    with h5py.File("t.h5", "w") as file:
        file["features"], file["target"] = values, PLAIN[2]
        file["features"].attrs["_FillValue"] = values[0, 0]
    assert simlr.read_table("t.h5").describe().endswith("3 rows of 4 (1 with gaps dropped)")
    with pytest.raises(InputError, match="'features' holds values that are not finite"):
        arrays.read_arrays("t.h5", ("features",))
    np.savez("t.npz", features=values, target=PLAIN[2])
    with pytest.raises(InputError, match=r"holds 9.96921e\+36 1 time, netCDF's filler: fillers = "):
        simlr.read_table("t.npz")
    with h5py.File("t.h5", "a") as file:
        file["features"].attrs["scale_factor"] = 0.1
    with pytest.raises(InputError, match=r"has scale_factor = 0\.1: its numbers are packed"):
        simlr.read_table("t.h5")


def test_real_variation_is_no_filler():
    assert fillers.found_in(np.array([90.0, 95.0, 99.0, 101.0])) is None
    assert fillers.found_in(np.array([-99.0, -98.0, 5.0])) is None
    assert fillers.found_in(np.array([np.nan, np.nan])) is None


def test_arrays_of_other_names_and_shapes(folder):
    features, target = np.array(ROWS)[:, :2], PLAIN[2]
    np.savez("t.npz", X=features, y=target)
    np.testing.assert_array_equal(simlr.read_table("t.npz", "y").columns, PLAIN)
    np.savez("t.npz", X=features, Z=features, y=target)
    with pytest.raises(InputError, match=r"array 'features' is missing; it holds 'X' \(4, 2\).*array = ... names it"):
        simlr.read_table("t.npz", "y")
    np.testing.assert_array_equal(simlr.read_table("t.npz", "y", array="Z").columns, PLAIN)
    np.savez("t.npz", features=features.T, target=target)
    with pytest.raises(InputError, match="rows and columns look swapped"):
        simlr.read_table("t.npz")
    np.savez("t.npz", features=features, target=target[:, None])
    with pytest.raises(InputError, match=r"got shape \(4, 1\): one column, flatten it"):
        simlr.read_table("t.npz")
    np.save("t.npy", PLAIN.T)
    np.testing.assert_array_equal(simlr.read_table("t.npy").columns, PLAIN)


def test_many_chunks_are_read_as_one(folder, monkeypatch):
    monkeypatch.setattr(delimited, "CHUNK", 3)
    rows = np.random.default_rng(0).normal(size=(50, 3)).tolist()
    np.testing.assert_array_equal(read(text(rows=rows)).columns, np.array(rows).T)
    assert read(text(rows=rows).replace(repr(rows[40][1]), "NA")).rows == 49


def test_what_memory_does_not_hold_is_refused_before(folder, monkeypatch):
    monkeypatch.setattr("simlr.resources.memory_limit", lambda: 100)
    with pytest.raises(InputError, match="its numbers take 144 bytes, more than the 50 that are read whole"):
        read(text())


def test_parquet_needs_its_library_or_is_read(folder):
    frame = pd.DataFrame(ROWS, columns=NAMES)
    try:
        frame.to_parquet("t.parquet")
    except ImportError:
        Path("t.parquet").write_bytes(b"PAR1")
        with pytest.raises(InputError, match=r"is a Parquet file, which needs pandas and pyarrow: pip install"):
            simlr.read_table("t.parquet")
        return
    np.testing.assert_array_equal(tables.read_table("t.parquet").columns, PLAIN)


@pytest.mark.parametrize("content", ["nan\n0.5\n0.25\n", "inf\n0.5\n", "NA\n1\n2\n"])
def test_a_first_line_that_is_no_finite_number_is_not_lost(content, folder):
    Path("rates.csv").write_text(content)
    with pytest.raises(InputError, match="is not finite, or the names of columns; header = true"):
        vectors.read_column("rates.csv", -1)


def test_rates_with_decimal_commas_are_not_two_columns(folder):
    Path("rates.csv").write_text("0,5\n0,25\n")
    with pytest.raises(InputError, match="two columns of whole numbers, or decimal commas"):
        vectors.read_column("rates.csv", -1)
    assert vectors.read_column("rates.csv", 1) == [5.0, 25.0]


# ---- one reading, or none ----


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ('x,y,note\n1,2,"foo\n3,4,bar\n5,6,baz\n', "unexpected end of data"),
        (
            "name,x,y\nfoo,1,2\n#1 Crush,3,4\nbar,5,6\n",
            "line 3: '#1 Crush,3,4' starts with '#' and has the fields of a row",
        ),
        ("x,y\n1,2\n#N/A,3\n4,5\n", "starts with '#'"),
        ("63,1,?,NA,0\n1,2,3,4,5\n6,7,8,9,10\n3,4,5,6,7\n", "holds numbers and an empty field"),
        ("a,b,c\n1,2,NA\n3,4,NA\n5,7,NA\n", "column 'c': 'NA' is not a number, a gap"),
        ("temp,y\n-5.1,1\n12.3,2\n-9999,3\n20.1,4\n", "column 'temp' holds -9999"),
    ],
)
def test_what_may_be_read_wrong_is_refused(content, cause, folder):
    Path("a.csv").write_text(content)
    with pytest.raises(InputError) as refusal:
        tables.read_table("a.csv")
    assert cause in str(refusal.value)


def test_rows_that_end_in_a_tab_have_no_names(folder):
    Path("a.tsv").write_text("id\tx\ty\tz\n1\t10\t100\t5\t\n2\t20\t200\t6\t\n3\t30\t300\t7\t\n")
    assert tables.read_table("a.tsv", target="y").columns[-1].tolist() == [100.0, 200.0, 300.0]


def test_decimal_commas_between_blanks(folder):
    Path("a.txt").write_text("1,5 2,5 3,5\n3,5 4,5 7,5\n2,5 6,5 8,5\n")
    assert tables.read_table("a.txt", header=False).columns.tolist() == [
        [1.5, 3.5, 2.5],
        [2.5, 4.5, 6.5],
        [3.5, 7.5, 8.5],
    ]


@pytest.mark.parametrize("order", [("target", "x1", "x2"), ("x1", "target", "x2")])
def test_an_array_of_the_name_target_is_the_target(order, folder):
    np.savez("a.npz", **{name: np.arange(4.0) + 10 * len(name) for name in order})
    table = tables.read_table("a.npz")
    assert table.target == "target" and table.columns[-1].tolist() == [60.0, 61.0, 62.0, 63.0]


def test_a_last_column_of_gaps_stays_the_target(folder):
    np.save("a.npy", np.array([[1.0, 2.0, np.nan], [3.0, 4.0, np.nan]]))
    with pytest.raises(InputError, match="a gap"):
        tables.read_table("a.npy")


def test_a_filler_counts_as_the_dataset_s_own_type_has_it(folder):
    with h5py.File("a.h5", "w") as file:
        file["features"] = np.array([[1.0, -999.9], [2.0, 3.0], [4.0, 5.0]], np.float32)
        file["features"].attrs["_FillValue"] = -999.9
        file["target"] = [1.0, 2.5, 3.0]
    assert tables.read_table("a.h5").rows == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"missing": "droop"}, "missing: unknown value 'droop'; did you mean 'drop'"),
        ({"decimal": ";"}, "decimal: unknown value"),
        ({"header": "no"}, "header must be True, False"),
    ],
)
def test_arguments_are_checked(arguments, message, folder):
    Path("a.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(InputError, match=message):
        tables.read_table("a.csv", **arguments)


def test_one_name_stands_for_a_list(folder):
    Path("a.csv").write_text("ab,x,y\n1,5,2\n3,-999,4\n2,7,1\n")
    table = tables.read_table("a.csv", drop="ab", fillers=-999)
    assert table.features == ("x",) or list(table.features) == ["x"]
    assert table.rows == 2
