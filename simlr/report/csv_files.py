"""The rows of a run, its verdict and its analysis as CSV files: {name: text}. docs/analysis.md defines the columns.

Of what a run has no rows of, there is no file.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

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


def csv_files(found: Any) -> dict[str, str]:
    """The files of a run, of its `simlr.analysis.Analysis`."""
    rows = {name: getattr(found, part) for name, (part, _) in FILES.items()}
    return {name: as_csv(own) for name, own in rows.items() if own}


def as_csv(rows: Sequence[Any]) -> str:
    """Rows as CSV, with a header; NaN is an empty field, numbers have all their digits."""
    text = io.StringIO()
    records = [row.record() for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: "" if value != value else value for key, value in record.items()})
    return text.getvalue()
