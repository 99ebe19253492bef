"""The rows of a run, its verdict and its analysis as CSV files: {name: text}. docs/analysis.md defines the columns.

Of what a run has no rows of, there is no file.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

# What a cell of a spreadsheet begins with that is computed.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# file -> (what `Analysis` calls its rows, columns by which a file of this kind is known)
FILES = {
    "findings.csv": ("findings", {"what", "measured", "paper", "tolerance", "outcome"}),
    "answer.csv": ("answer_rows", {"level", "outcome"}),
    "summary.csv": ("rows", {"schedule", "level_kind", "level", "baseline"}),
    "pairs.csv": ("pairs", {"a", "b", "level", "win_share"}),
    "best.csv": ("best", {"family", "parameter", "value", "level"}),
    "annealing.csv": ("annealing", {"a", "b", "level", "win_share"}),
    "directions.csv": ("directions", {"schedule", "level", "rank", "train_share"}),
    "bias-variance.csv": ("spread", {"schedule", "level", "bias_squared"}),
}


def csv_files(analysis: Any) -> dict[str, str]:
    """The files of a run.

    Parameters
    ----------
    analysis : Analysis or StudyAnalysis
        Of the run.

    Returns
    -------
    dict
        {name: text} of those of FILES that have rows.
    """
    rows = {name: getattr(analysis, part) for name, (part, _) in FILES.items()}
    return {name: as_csv(rows_of_file) for name, rows_of_file in rows.items() if rows_of_file}


def as_csv(rows: Sequence[Any]) -> str:
    """Rows as CSV, with a header; NaN is an empty field, numbers have all their digits.

    Parameters
    ----------
    rows
        At least one, all with the same columns, which their `record()` has as {column: value}.
    """
    records = [row.record() for row in rows]
    lines = ([value if value == value else "" for value in record.values()] for record in records)
    return csv_text(records[0], lines)


def csv_text(header: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """A table as CSV.

    Parameters
    ----------
    header
        The names of the columns.
    lines
        The values of each line; floating-point numbers are written with all their digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(_inert, line) for line in lines)
    return text.getvalue()


def _inert(value):
    """A value that no spreadsheet takes for a formula: where a name begins like one, an apostrophe is put before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
