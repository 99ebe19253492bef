"""DataFrames of pandas and polars, and Parquet and Arrow files: every type is read as what it is, or refused."""

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import simlr
from simlr.errors import InputError

BIG = 2**60 + 1
MOMENT = datetime.datetime(2020, 1, 2)


def with_column(values):
    """A DataFrame with this column before two of plain numbers."""
    return pd.DataFrame({"a": values, "x": [1.5, 2.0, 3.0], "y": [1.0, 2.0, 4.0]})


READ = {
    "decimals": ([Decimal("0.1"), Decimal(2), Decimal("3.5")], [0.1, 2.0, 3.5]),
    "truths": ([True, False, True], [1.0, 0.0, 1.0]),
    "small integers": (np.array([1, 2, 255], np.uint8), [1.0, 2.0, 255.0]),
    "large ones that are floats": ([2**60, 1, 2], [2.0**60, 1.0, 2.0]),
    "pandas' own": (pd.array([1, 2, 3], dtype="Int64"), [1.0, 2.0, 3.0]),
    "categories of numbers": (pd.Categorical([1, 2, 1]), [1.0, 2.0, 1.0]),
    "sparse": (pd.arrays.SparseArray([1, 0, 0]), [1.0, 0.0, 0.0]),
    "objects": (np.array([1, 2.5, np.int8(3)], object), [1.0, 2.5, 3.0]),
}


@pytest.mark.parametrize("case", READ)
def test_numbers_of_any_type_are_read(case):
    values, expected = READ[case]
    table = simlr.read_table(with_column(values), fillers=[])
    assert table.columns[0].tolist() == expected and table.features == ("a", "x")


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 3],
        pd.array([1, None, 3], dtype="Int64"),
        [Decimal(1), None, Decimal(3)],
        [Decimal(1), Decimal("NaN"), Decimal(3)],
        np.array([1.0, np.nan, 3.0], np.float32),
    ],
)
def test_gaps_of_any_type_are_gaps(values):
    table = simlr.read_table(with_column(values))
    assert table.columns.tolist() == [[1.0, 3.0], [1.5, 3.0], [1.0, 4.0]]
    assert "2 rows of 3 (1 with gaps dropped)" in table.describe()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1j, 2, 3], "is not a real number; drop = ['a'] leaves it out"),
        ([10**400, 2, 3], "is too large for a float"),
        ([BIG, 2, 3], f"'{BIG}' is a whole number over 2^53"),
        (pd.array([BIG, None, 3], dtype="Int64"), f"'{BIG}' is a whole number over 2^53"),
        ([Decimal(BIG), 2, 3], f"'{BIG}' is a whole number over 2^53"),
        ([Decimal("Infinity"), 2, 3], "not finite"),
        ([np.inf, 2, 3], "'inf' is not finite"),
        ([[1], [2], {}], "[1] is not a real number"),
        ([1, "x", 2], "row 1, column 'a': numbers and words in one column"),
        (["1.5", "2", "3"], "'1.5' is text, not a number; astype(float) makes numbers of it"),
        (["$1", "$2", "$3"], "write it without the currency"),
    ],
)
def test_what_is_no_number_is_refused_by_name(values, message):
    frame = with_column(values)
    with pytest.raises(InputError) as refusal:
        simlr.read_table(frame)
    assert message in str(refusal.value) and str(refusal.value).startswith("DataFrame, row ")
    assert simlr.read_table(frame, drop="a").features == ("x",)


@pytest.mark.parametrize("values", [["u", "v", "u"], pd.Categorical(["u", "v", "u"])])
def test_words_are_left_out_or_categories(values):
    assert "left out a (text)" in simlr.read_table(with_column(values)).describe()
    assert simlr.read_table(with_column(values), categorical="a").columns[:2].tolist() == [[1, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("values", [[MOMENT] * 3, [datetime.timedelta(1)] * 3, [MOMENT.date()] * 3])
def test_moments_are_left_out(values):
    assert "left out a (text)" in simlr.read_table(with_column(values)).describe()


@pytest.mark.parametrize("source", [None, 5, {"a": 1}, pd.Series([1, 2]), np.ones((3, 2))])
def test_what_is_no_table_is_refused_in_one_line(source):
    with pytest.raises(InputError, match="must be a path or a DataFrame, got a ") as refusal:
        simlr.read_table(source)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("frame", [pd.DataFrame(), with_column([1, 2, 3])[:0]])
def test_a_frame_without_rows(frame):
    with pytest.raises(InputError, match="DataFrame: no rows of numbers"):
        simlr.read_table(frame)


# ---- polars ----


@pytest.fixture
def polars():
    return pytest.importorskip("polars", reason="polars is not installed")


def test_polars_frames_are_read(polars):
    frame = polars.DataFrame(
        {
            "i": [1, None, 3],
            "f": [1.5, 2.5, float("nan")],
            "d": [Decimal("1.10"), Decimal("2.20"), None],
            "s": ["u", "v", "u"],
            "t": [MOMENT] * 3,
            "b": [True, False, None],
            "y": [1.0, 2.0, 4.0],
        }
    )
    table = simlr.read_table(frame, missing="mean")
    assert table.features == ("i", "f", "d", "b") and "left out s (text), t (text)" in table.describe()
    expected = [[1, 2, 3], [1.5, 2.5, 2.0], [1.1, 2.2, 1.65], [1, 0, 0.5], [1, 2, 4]]
    np.testing.assert_allclose(table.columns, expected, rtol=1e-15)
    assert simlr.read_table(frame, columns="s", categorical="s").features == ("s=u", "s=v")
    with pytest.raises(InputError, match=r"got a LazyFrame; collect\(\) makes"):
        simlr.read_table(frame.lazy())
    with pytest.raises(InputError, match=f"'{BIG}' is a whole number over"):
        simlr.read_table(polars.DataFrame({"id": [BIG, None, 3], "y": [1.5, 2.0, 3.0]}))


# ---- Parquet and Arrow ----


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow", reason="pyarrow is not installed")


def arrow_table(arrow):
    return arrow.table(
        {
            "i8": arrow.array([1, None, 3], arrow.int8()),
            "u64": arrow.array([1, 2, 2**60], arrow.uint64()),
            "f32": arrow.array([1.5, 2.5, None], arrow.float32()),
            "dec": arrow.array([Decimal("1.10"), Decimal("2.20"), Decimal("3.30")]),
            "dic": arrow.array(["u", "v", "u"]).dictionary_encode(),
            "ts": arrow.array([MOMENT] * 3),
            "b": arrow.array([True, False, None]),
            "y": arrow.array([1.0, 2.0, 4.0]),
        }
    )


EXPECTED = [[1, 2, 3], [1, 2, 2.0**60], [1.5, 2.5, 2.0], [1.1, 2.2, 3.3], [1, 0, 0.5], [1, 2, 4]]


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream", "table"])
def test_columns_of_arrow_are_read(kind, arrow, folder):
    from pyarrow import feather, ipc, parquet

    source = table = arrow_table(arrow)
    if kind != "table":
        source = "t.bin"  # the content says what it is
    if kind == "parquet":
        parquet.write_table(table, source)
    elif kind == "feather":
        feather.write_feather(table, source)
    elif kind == "stream":
        with arrow.OSFile(source, "wb") as file, ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    found = simlr.read_table(source, missing="mean", fillers=[])
    assert found.features == ("i8", "u64", "f32", "dec", "b") and "left out dic (text), ts (text)" in found.describe()
    np.testing.assert_allclose(found.columns, EXPECTED, rtol=1e-15)
    words = simlr.read_table(source, categorical="dic", columns=["dic", "dec"])
    assert words.features == ("dec", "dic=u", "dic=v")
    assert simlr.read_table(source, split="dic", test_value="v", columns="dec").part("test").tolist() == [[2.2], [2.0]]


def test_whole_numbers_beside_nulls_stay_whole(arrow, folder):
    from pyarrow import parquet

    parquet.write_table(arrow.table({"id": [BIG, None, 3], "x": [1, 2, 4], "y": [1.5, 2.0, 3.0]}), "t.parquet")
    with pytest.raises(
        InputError, match=rf"t.parquet, row 0, column 'id': '{BIG}' is a whole number over 2\^53.*drop = \['id'\]"
    ):
        simlr.read_table("t.parquet", missing="drop")


def test_an_index_of_pandas_is_left_out(arrow, folder):
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [1.5, 2.5]}, index=pd.Index([7, 9], name="when"))
    frame.to_parquet("t.parquet")
    assert simlr.read_table("t.parquet").features == ("x",)


def test_a_cut_file_of_parquet(arrow, folder):
    pd.DataFrame({"x": [1.0, 2.0], "y": [1.5, 2.5]}).to_parquet("t.parquet")
    Path("t.parquet").write_bytes(Path("t.parquet").read_bytes()[:200])
    with pytest.raises(InputError, match=r"t\.parquet: not a readable Parquet file"):
        simlr.read_table("t.parquet")
