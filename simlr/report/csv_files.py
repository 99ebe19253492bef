"""The rows of a run, its verdict and its analysis as CSV files: {name: text}. docs/analysis.md defines the columns.

Of what a run has no rows of, there is no file.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from ..analysis.families import parameters_of
from ..cli.structured import strict

# What a cell of a spreadsheet begins with that is computed.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# file -> (what `Analysis` calls its rows, columns by which a file of this kind is known)
FILES = {
    "findings.csv": ("findings", {"what", "measured", "paper", "tolerance", "outcome"}),
    "answer.csv": ("answer_rows", {"level", "outcome"}),
    "summary.csv": ("rows", {"schedule", "level_kind", "level", "baseline"}),
    "pairs.csv": ("pairs", {"a", "b", "level", "win_share"}),
    "best.csv": ("best", {"family", "parameter", "value", "level"}),
    "optima.csv": ("optima", {"family", "schedule", "ratio", "is_optimum"}),
    "annealing.csv": ("annealing", {"a", "b", "level", "win_share"}),
    "directions.csv": ("directions", {"schedule", "level", "rank", "train_share"}),
    "bias-variance.csv": ("spread", {"schedule", "level", "bias_squared"}),
}
# file -> {column that names a schedule: what its parameters' columns begin with}
SCHEDULES = {"summary.csv": {"schedule": "schedule_"}, "pairs.csv": {"a": "a_", "b": "b_"}}


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
    return {name: csv_text(*table) for name, table in _tables(analysis, FILES).items()}


def json_tables(analysis: Any) -> dict[str, list[dict[str, Any]]]:
    """The same for JSON: {"summary": [{column: value}, ...], ...}; null for what is not known or not finite."""
    return {name.removesuffix(".csv"): _json_lines(*table) for name, table in _tables(analysis, FILES).items()}


def json_table(analysis: Any, name: str) -> list[dict[str, Any]]:
    """The lines of one of the tables for JSON, such as "summary"; none where the run has no such rows."""
    table = _tables(analysis, [f"{name}.csv"]).get(f"{name}.csv")
    return _json_lines(*table) if table else []


def _json_lines(header, lines):
    """The lines of a table as {column: value}."""
    return [dict(zip(header, map(json_value, line), strict=True)) for line in lines]


def json_value(value: Any) -> Any:
    """A cell for JSON, which has no numbers that are not finite: null in their place, and for an empty field."""
    return None if isinstance(value, str) and not value else strict(value)


def _tables(analysis, names):
    """{file: (header, lines)} of those that have rows, of the named ones."""
    rows = {name: getattr(analysis, FILES[name][0]) for name in names}
    parameters = {} if analysis.run.is_study else _parameters(analysis.run)
    return {
        name: as_table(rows_of_file, SCHEDULES.get(name, {}), parameters)
        for name, rows_of_file in rows.items()
        if rows_of_file
    }


def _parameters(run):
    """{schedule: {parameter: its value}}, what does not apply to a schedule as an empty field."""
    known = parameters_of(run)
    return {
        str(name): {key: value for key, values in known.items() for value in [_known(values[s])]}
        for s, name in enumerate(run["schedule"])
    }


def _known(value):
    """A value; an empty field for NaN."""
    return value if value == value else ""


def as_table(
    rows: Sequence[Any], schedules: dict[str, str], parameters: dict[str, dict[str, Any]]
) -> tuple[list[str], Iterable[list[Any]]]:
    """(header, lines) of rows; NaN is an empty field.

    Parameters
    ----------
    rows
        At least one, all with the same columns, which their `record()` has as {column: value}.
    schedules
        {column that names a schedule: what stands before the names of the columns of its parameters}, these last.
    parameters
        {schedule: {parameter: its value}}, the same parameters of all.
    """
    records = [row.record() for row in rows]
    keys = next(iter(parameters.values()), {}) if schedules else {}
    header = [*records[0], *(f"{before}{key}" for before in schedules.values() for key in keys)]
    lines = (
        [*map(_known, record.values()), *(v for name in schedules for v in parameters[record[name]].values())]
        for record in records
    )
    return header, lines


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
