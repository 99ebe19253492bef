"""The rows of a run and of its analysis as CSV files: {name: text}. docs/analysis.md defines the columns.

Of what a run has no rows of, there is no file.
"""

import csv
import io

from . import directions, families, pairs
from .arguments import say
from .summary import baseline

# Every annealed schedule meets every steady one: of more schedules than these that is too many rows.
MOST_SCHEDULES = 500


def csv_files(run, rows):
    """The files of a run whose `summary.Row`s are given."""
    found = {
        "summary.csv": rows,
        "pairs.csv": pairs.table_of_pairs(run, baseline(run))[0],
        "best.csv": families.best_values(run),
        "annealing.csv": _annealing(run),
        "directions.csv": directions.directions(run),
        "bias-variance.csv": directions.bias_and_variance(run),
    }
    return {name: as_csv(own) for name, own in found.items() if own}


def _annealing(run):
    """Annealed against steady schedules; none, and a line that says so, where they are too many to be read."""
    if run["schedule"].size > MOST_SCHEDULES:
        say(f"simlr: no annealing.csv beyond {MOST_SCHEDULES:,} schedules; simlr.families.annealing makes its rows")
        return []
    return families.annealing(run)


def as_csv(rows):
    """Rows as CSV, with a header; NaN is an empty field, numbers have all their digits."""
    text = io.StringIO()
    records = [row.record() for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: "" if value != value else value for key, value in record.items()})
    return text.getvalue()
