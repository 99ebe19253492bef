"""Names of schedules as reports write them: numbers as people do, and still told apart."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlr
from simlr.analysis import levels, pairs, summary
from simlr.analysis.wording import told_apart
from simlr.errors import InputError
from simlr.report.tables import tables
from simlr.text import as_written, brief, labels, meant, value_text

GRID = {
    "problem": {"kind": "nakkiran2020"},
    "seeds": {"count": 5},
    "stop": {"steps": [3]},
    "record": {"points": 0},
    "schedule": [{"kind": "cosine", "learning_rate": np.linspace(0.2, 1.0, 5), "steps": 3}],
}


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_number_of_few_digits_is_written_with_them_whatever_its_last_bits(numerator, denominator):
    """x + x/d - x/d, which may be a last bit off x, is written as x; and what has twelve digits of its own stays."""
    value = numerator / 1000.0
    assert as_written(repr(value + value / denominator - value / denominator)) == repr(value)
    other = value * (1.0 + 1e-11)
    assert float(as_written(repr(other))) != value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *((1e-4, "1e-4"), (0.001, "0.001"), (2.5e-4, "2.5e-4"), (-1e-5, "-1e-5"), (0.0, "0"), (12345.0, "12345")),
        *((3.2e66, "3.2e66"), (math.inf, "inf"), (math.nan, "nan")),
    ],
)
def test_a_small_number_is_written_alike_in_tables_and_in_the_lists_of_what_was_varied(value, told):
    assert value_text(value) == brief(value, 5) == told
    assert not 0 < value < 1e-3 or levels.level_text(value) == told


def test_names_that_differ_in_their_last_bits_alone_stay_told_apart():
    near, far = "a[x=0.6000000000000001]", "a[x=0.6]"
    for tell in (labels, told_apart):
        assert set(tell([near, "a[x=0.7]"]).values()) <= {"a[x=0.6]", "a[x=0.7]", "x 0.6", "x 0.7", "0.6", "0.7"}
        assert len(set(tell([near, far]).values())) == 2
    assert meant(far, [near, "b"]) == near and meant(far, [near, far]) == far
    assert meant("a[x=0.60]", [near]) == "" and meant("a[x=0.6000000000000002]", [near, far]) == ""


@pytest.fixture(scope="module")
def run():
    """A run whose rates are 0.2, 0.4, 0.6000000000000001, 0.8, 1.0, and a question by the names of reports."""
    sides = ["cosine[learning_rate=0.6]", "cosine[learning_rate=0.8]"]
    return simlr.run({**GRID, "question": {"text": "?", "compare": sides}})


def test_a_schedule_is_found_by_the_name_that_a_report_gives_it(run):
    assert str(run["schedule"][2]) == "cosine[learning_rate=0.6000000000000001]"
    assert pairs.index_of(run, "cosine[learning_rate=0.6]") == 2
    assert run.config.question["compare"][0]["schedule"] == [str(run["schedule"][2])]
    with pytest.raises(InputError, match=r"unknown schedule 'cosin'; did you mean 'cosine\[learning_rate=0.2\]'"):
        pairs.index_of(run, "cosin")
    with pytest.raises(InputError, match=r"unknown schedule 'cosine\[learning_rate=0.5\]'; did you mean"):
        pairs.index_of(run, "cosine[learning_rate=0.5]")


def test_a_report_writes_0_6(run, tmp_path):
    folder = simlr.report(run, tmp_path / "report", formats=["md"])
    tables = (folder / "report.md").read_text().partition("The whole grid:")[0]
    assert "rate=0.6" in tables and "rate 0.6 " in tables and "0.6000000000000001" not in tables


def test_the_notes_of_a_table_name_schedules_as_its_lines_do_and_count_only_what_is_partly_missing():
    """A cosine of 2 steps has ended before 4; after 2 steps, all of its seeds are there, and nothing is "left"."""
    cosines = {"kind": "cosine", "learning_rate": [0.2, 0.4], "steps": [2, 4]}
    run = simlr.run({**GRID, "stop": {"steps": [2, 4]}, "schedule": [cosines]})
    (first, *_) = tables(summary.rows(run))
    assert [line[0] for line in first.lines][-1] == "rate 0.4, 4 steps"
    (note,) = [note for note in first.notes if note.startswith("*")]
    ended = [line[0].removesuffix(" (baseline)") for line in first.lines if line[2].endswith("*")]
    assert len(ended) == 2 and note == f"* out of steps: {'; '.join(ended)}: 5 at steps 4 of 5 seeds"
