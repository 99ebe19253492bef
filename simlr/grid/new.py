"""The command `simlr new`: writes a commented grid for a table, which runs as it is."""

import json
from pathlib import Path

import numpy as np

from ..cli.arguments import DONE, Parser, harmless, one_line
from ..config.reading import read
from ..errors import InputError, show
from ..inputs import numbers
from ..inputs.frame import MOST_CLASSES
from ..inputs.tables import Table, of_file, read_table
from ..inputs.toml import quoted
from ..inputs.wanted import Wanted
from ..text import listed

# Names that the column to be predicted often has, the most telling ones first.
TARGET_NAMES = ("target", "label", "y", "outcome", "response", "class", "price")
MOST_TRAIN_ROWS = 1000
GRID = """# Which learning-rate schedule generalises best on {file}? Run it:  simlr run {grid}
# {described}

name = {name}

[problem]
kind = "dataset"
file = {file_text}
target = {target}          # {why}{loss}
train_rows = {train_rows}         # drawn anew for every seed; the other rows are held out: their loss is the test loss
{dropped}standardize = "train"    # mean 0 and spread 1 over the train rows

[seeds]
count = 100              # splits of the rows
root = 0                 # of all random numbers

[stop]
steps = [100, 1000]      # compare after so many steps; also: train_loss, excess_train_loss, validation

# A list of values is an axis: here three schedules. Rates are in units of 1/sharpness: beyond 2, descent diverges.
[[schedule]]
name = "constant"
kind = "constant"
unit = "sharpness"
learning_rate = [0.3, 1.0, 1.8]

[[schedule]]
name = "cosine"
kind = "cosine"
unit = "sharpness"
learning_rate = [0.3, 1.0, 1.8]
steps = "budget"         # one schedule for each number of steps in [stop]
"""
# Whole numbers in a column of such a name are classes, where there are few.
CLASS_NAMES, MOST_NUMBERED = ("class", "label"), 20
# Row numbers predict nothing that a new row has.
DROPPED = """drop = {names}{space}# what numbers the rows is no feature
"""
ROW_NAMES = ("id", "index", "row", "no", "number", "unnamed: 0", "rownames")
# For words: least squares take numbers alone.
LOSS = """
loss = {loss}       # of classes, docs/convex.md; the accuracy on the held-out rows stands beside it
intercept = true"""


def parser() -> Parser:
    """The command's arguments."""
    options = Parser(
        "new",
        "Write a commented grid for a table (CSV, NPY, NPZ, HDF5, Parquet), which runs as it is.",
        "0 done, 1 failed, 2 bad usage or bad input",
        program="simlr new",
    )
    options.add_argument("table", metavar="TABLE", help="the table; rows are examples")
    options.add_argument("--target", metavar="COLUMN", help="the column to predict (default: guessed, and said)")
    options.add_argument("--out", metavar="GRID.toml", help="the grid file (default: TABLE's name with .toml)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """The command `simlr new`; returns the exit status."""
    given = parser().parse_args(arguments)

    def work():
        out = Path(given.out) if given.out else Path(given.table).with_suffix(".toml")
        print(harmless("\n".join(write(Path(given.table), out, given.target))))
        return DONE

    return one_line("simlr", work)


def write(path: Path, out: Path, target: str | None = None) -> list[str]:
    """Write the grid of a table, and say in lines what was assumed.

    Parameters
    ----------
    path
        The table.
    out
        The grid file, which must not be there yet.
    target
        Name or number of the column to predict; guessed by its name where none is given, else the last.

    Raises
    ------
    InputError
        Where the table cannot be read, `out` is there, or the grid of it would be refused.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; --out names another file")
    chosen, why, others = (target, "as asked for", []) if target is not None else _guessed(path)
    column = int(chosen) if isinstance(chosen, str) and chosen.lstrip("-").isdecimal() else chosen
    table = _table_of(path, column)
    if table.rows < 3:
        raise InputError(f"{path}: has {table.rows} rows, and at least 3 are needed: two to train on, one to test")
    numbering = _numbering(table)
    drops = 0 < len(numbering) < len(table.features)
    text = GRID.format(
        dropped=DROPPED.format(names=json.dumps(numbering), space=" " * 9) if drops else "",
        name=quoted(out.stem), file=path.name, grid=out.name, described=table.describe(), why=why,
        file_text=quoted(_from(path, out.parent)), target=quoted(column),
        loss=_loss_of(table), train_rows=max(2, min(table.rows // 2, MOST_TRAIN_ROWS)),
    )  # fmt: skip
    read(text)
    with open(out, "x", encoding="utf-8") as file:
        file.write(text)
    lines = [f"{path}: {table.describe()}", f"target: {show(table.target)}, {why}"]
    others = [name for name in others if name not in numbering]
    lines += [f"other candidates for --target: {listed(others, 6)}"] if others else []
    named = listed(list(map(str, numbering)), 6)
    if len(numbering) == len(table.features):
        lines.append(f"kept, for there is no other feature, though it numbers the rows: {named}")
    elif numbering:
        lines.append(f"left out, for they number the rows: {named}")
    return [*lines, f"{out}: written. Run it:  simlr run {out}"]


def _table_of(path, target):
    """The table of a file; one of classes where the target holds words, or few whole numbers that its name calls so."""
    try:
        table = read_table(path, target)
        values = np.unique(table.columns[-1])
        is_named = str(table.target).strip().lower() in CLASS_NAMES and (values == np.rint(values)).all()
        if is_named and 1 < values.size <= min(MOST_NUMBERED, table.rows // 2):
            return of_file(path, Wanted(target, classes=MOST_CLASSES))
        return table
    except InputError:
        try:
            table = of_file(path, Wanted(target, classes=MOST_CLASSES))
        except InputError:
            table = None
        # Miswritten numbers and the rows' own names are no classes, and have a message of their own.
        if table is None or 2 * len(table.class_names) > table.rows or numbers.word_of(table.class_names)[1]:
            raise
        return table


def _numbering(table: Table) -> list:
    """The features that number the rows: 0, 1, 2, ... or 1, 2, 3, ..., and whole numbers named so, no two alike."""
    found = []
    for name, column in zip(table.features, table.columns, strict=False):
        counts = column[0] in (0.0, 1.0) and (np.diff(column) == 1.0).all()
        is_named = str(name).strip().lower() in ROW_NAMES and (column == np.floor(column)).all()
        if counts or (is_named and np.unique(column).size == column.size):
            found.append(name)
    return found


def _loss_of(table: Table) -> str:
    """The lines of a grid that a target of words needs."""
    if not table.class_names:
        return ""
    loss = "logistic" if len(table.class_names) == 2 else "softmax"
    return LOSS.format(loss=quoted(loss))


def _guessed(path):
    """(the target column, why it, other candidates)."""
    table = _table_of(path, -1)
    names = _names(table)
    by_name = [name for wanted in TARGET_NAMES for name in names if str(name).lower() == wanted]
    others = [str(name) for name in names if name not in by_name[:1]]
    if by_name:
        return by_name[0], "assumed by its name", others
    return -1, "assumed: the last column", others[:-1]


def _names(table: Table):
    return [name for name in (*table.features, table.target) if isinstance(name, str)]


def _from(path, folder):
    """The table's path as the grid in `folder` has to name it."""
    try:
        return path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return path.resolve().as_posix()
