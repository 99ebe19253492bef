"""Mistakes in a grid and on the command line: one line that names the file, the key and the way out, and status 2."""

import pytest
import runs

import simlr
from simlr.__main__ import main
from simlr.grid.command import grid_command
from simlr.plan.needs import check_sources

GRID = """name = "mine"
[problem]
kind = "dataset"
file = "mine.csv"
train_rows = 30
[stop]
steps = [50]
[[schedule]]
name = "s"
kind = "constant"
learning_rate = 0.1
"""
ROWS = "a,b,c,y\n" + "".join(f"{i % 7},{i * i % 11},{i * 3 % 5},{0.5 * i + i % 3}\n" for i in range(60))
LOOKS = ("stop={validation = {patience = [2]}, max_steps = 100}",)
SUMS = '{kind = "quadratic", curvature = [1.0, 2.0], residual = [1.0, 1.0]}'
# What is set in the grid, and what is said of it, behind the file's name.
MISTAKES = {
    "a value of an axis": (
        ('optimizer=[{kind = "momentum", momentum = [0.9, 1.5]}]',),
        "optimizer 'momentum'.momentum must be a number from 0 to below 1, got 1.5",
    ),
    "a noise's axis": (
        ('noise=[{kind = "gradient", sigma = [0.1, -1.0]}]',),
        "noise 'gradient'.sigma must be a finite number >= 0, got -1.0",
    ),
    "an optimizer within a schedule": (
        ('schedule.0.optimizer={kind = "adam"}',),
        "schedule 's': unknown key 'optimizer'; every schedule is run with each [[optimizer]] table",
    ),
    "a word of a kind": (
        ('schedule.0.kind="plateau"',),
        "schedule 's': unknown kind 'plateau'; did you mean 'reduce_on_plateau'?",
    ),
    "a field of the table": (
        ('problem.target="a"', 'problem.file="bad.csv"'),
        "problem.file: bad.csv, line 3, column 'b': '1,107.5' is not a number: thousands seem set off",
    ),
    "too many train rows": (
        ("problem.train_rows=[30, 100]",),
        "problem: train_rows = 100 and test_rows = 0 need more than the 60 rows of mine.csv",
    ),
    "a validation set too large": (
        ("problem.validation_rows=30", *LOOKS),
        "problem: train_rows = 30 and validation_rows = 30 and test_rows = 0 need more than the 60 rows of mine.csv",
    ),
    "no validation set": (
        LOOKS,
        "stop.validation needs a validation set of problem 'dataset', whose validation_rows are 0",
    ),
    "none that a schedule looks at": (
        ('schedule.0={name = "p", kind = "reduce_on_plateau", learning_rate = 0.1, monitor = "validation_loss"}',),
        "schedule 'p': monitor = 'validation_loss' needs a validation set of problem 'dataset', whose validation_rows "
        "are 0",
    ),
    "no such table": (
        ('problem.file="mine.cvs"',),
        "problem.file: mine.cvs: cannot be read: No such file or directory; did you mean mine.csv?",
    ),
    "no such column": (
        ('problem.target="z"',),
        "problem.target: mine.csv: target column: unknown name 'z'; valid are 'a', 'b', 'c', 'y'",
    ),
    "no such feature": (
        ('problem.columns=["a", "q"]',),
        "problem.columns: mine.csv: columns: unknown name 'q'; valid are 'a', 'b', 'c', 'y'",
    ),
    "numbers that are no classes": (
        ('problem.loss="softmax"', 'problem.target="y"'),
        "problem.file: mine.csv: the target 'y' holds ",
    ),
    "features without a number": (
        ('problem.features="relu"',),
        "problem.feature_count must be a whole number >= 1 for features = 'relu', got 0",
    ),
    "bins of a table": (
        ("expectation={bin_error = 0.1}",),
        "expectation.bin_error groups axes that are alike, of problem 'population', and not of 'dataset'; leave it out",
    ),
    "no axes": (
        ('problem={kind = "gaussian", train_rows = 5}',),
        "problem.dimension is missing: there is no list and no file that says how many axes there are",
    ),
    "axes that do not fit": (
        ('problem={kind = "gaussian", train_rows = 5, dimension = 4, train_covariance = [1.0, 2.0]}',),
        "problem.train_covariance has 2 axes, problem.dimension 4",
    ),
    "arrays that do not fit": (
        ('problem={kind = "quadratic", curvature = [1.0, 2.0], residual = [1.0]}',),
        "problem: array 'residual' must have shape (1, 2) or (2,), got (1,)",
    ),
    "no rows for mini-batches": (
        (f"problem={SUMS}", 'noise=[{kind = "minibatch", batch_size = 3}]'),
        "noise 'minibatch': problem 'quadratic' has no rows to draw from",
    ),
    "no rows for an optimiser": (
        (f"problem={SUMS}", 'optimizer=[{kind = "adam"}]'),
        "optimizer 'adam' goes with problems that have rows, such as 'dataset', not with 'quadratic'",
    ),
    "no rows for labels": (
        (f"problem={SUMS}", 'noise=[{kind = "labels", sigma = 0.1}]'),
        "noise 'labels': problem 'quadratic' has no rows to draw from",
    ),
    "no population": (
        ("expectation={}", 'noise=[{kind = "fresh", batch_size = 4}]'),
        "noise 'fresh': problem 'dataset' has no population of Gaussian inputs to draw new rows from; use problem "
        "'population' or 'quadratic', or noise 'minibatch'",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a grid and its table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(GRID)
    (tmp_path / "mine.csv").write_text(ROWS)
    (tmp_path / "bad.csv").write_text(ROWS.replace("\n1,1,", '\n1,"1,107.5",', 1))
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_whatever_is_wrong_with_a_grid_its_file_is_named(mistake, folder, capsys):
    """Also where that shows only once the problem's data are read."""
    settings, said = MISTAKES[mistake]
    arguments = [part for one in settings for part in ("--set", one)]
    assert grid_command(["mine.toml", "--dry-run", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"simlr: mine.toml: {said}") and len(told.splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == {"mine.toml", "mine.csv", "bad.csv"}


def test_the_grid_of_the_mistakes_is_right(folder, capsys):
    assert grid_command(["mine.toml", "--dry-run"]) == 0 and capsys.readouterr().err == ""


def test_the_file_is_named_from_python_and_by_optimise_too(folder, capsys):
    (folder / "mine.toml").write_text(GRID.replace("30", "100"))
    with pytest.raises(ValueError, match=r"^mine\.toml: problem: train_rows = 100 "):
        simlr.run("mine.toml")
    assert main(["optimise", "mine.toml"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("simlr: mine.toml: problem: train_rows = 100 ")
    with pytest.raises(ValueError, match=r"^problem: train_rows = 100 "):  # of text there is no file
        simlr.run(GRID.replace("30", "100"))


def test_a_grid_that_was_changed_is_nobodys_file(folder):
    """Its faults may be none of the file's; and which file it was is no part of what it is."""
    config = simlr.GridConfig.from_toml("mine.toml")
    assert config.file == "mine.toml" and config.replace(seeds={"count": 3}).file == ""
    assert config == simlr.GridConfig.from_toml(GRID) and "mine.toml" not in config.to_toml()


@pytest.mark.parametrize(
    ("key", "value"), [("loss", "huber"), ("ridge", 0.1), ("model", "diagonal")]
)  # fmt: skip
def test_the_key_that_asks_for_rows_is_named(key, value, folder):
    rows = simlr.GridConfig.from_toml("mine.toml").replace(
        problem={"kind": "dataset", "file": "mine.csv", "train_rows": 30, key: value}
    )

    class Without:
        rows = samples = None

    with pytest.raises(ValueError, match=rf"^problem\.{key} = {value!r} goes with problems that have rows"):
        check_sources(rows, [Without()])


# ---- names and options ----

RUN_FILE = (runs.ROOT / "tests/kept/nakkiran2020.h5").read_bytes()
SLIPS = {
    "run mine.tml": "simlr: grid: unknown file or paper 'mine.tml'; did you mean 'mine.toml'?",
    "run mine": "simlr: grid: unknown file or paper 'mine'; did you mean 'mine.toml'?",
    "run min.toml": "simlr: min.toml: cannot be read: No such file or directory; did you mean mine.toml?",
    "run sub/min.toml": "simlr: sub/min.toml: cannot be read: No such file or directory",
    "run run.h5": "simlr: run.h5: is an HDF5 file, and no TOML; simlr report run.h5 reports a run file",
    "run mine.csv": "simlr: mine.csv: is a table, and no TOML; simlr new mine.csv writes a grid for it",
    "run mine.py": "simlr: mine.py: is no paper: it has no SOURCE; a grid names its schedules and problems: kind = "
    '"mine.py:NAME"',
    "optimise mine.tml": "simlr: mine.tml: cannot be read: No such file or directory; did you mean mine.toml?",
    "optimise run.h5": "simlr: run.h5: is an HDF5 file, and no TOML; simlr report run.h5 reports a run file",
    "report --schedules run.h5": "simlr: run.h5: is an HDF5 file, and no TOML; simlr report run.h5 reports a run file",
    "report mine.toml": "simlr: mine.toml: is a grid, and no run file; simlr run mine.toml makes one of it",
    "report rnu.h5": "simlr: rnu.h5: cannot be read: No such file or directory; did you mean run.h5?",
    "new min.csv": "simlr: min.csv: cannot be read: No such file or directory; did you mean mine.csv?",
    "verify": "simlr verify: the run file is missing: simlr verify RUN.h5",
    "run mine.toml --extnd": "unrecognized arguments: --extnd; did you mean --extend? (--help lists the options)",
    "run mine.toml --seed=3": "unrecognized arguments: --seed=3; did you mean --seeds? (--help lists the options)",
    "report run.h5 --figure": "unrecognized arguments: --figure; did you mean --figures? (--help lists the options)",
    "merge run.h5 --out a.h5 --overwrit": "unrecognized arguments: --overwrit; did you mean --overwrite?",
    "papers --jsn": "unrecognized arguments: --jsn; did you mean --json? (--help lists the options)",
    "run mine.toml other": "unrecognized arguments: other (--help lists the options)",
    "run mine.toml -q": "unrecognized arguments: -q (--help lists the options)",
}


@pytest.mark.parametrize("line", SLIPS)
def test_a_slip_of_the_pen_is_understood(line, folder, capsys):
    (folder / "mine.py").write_text("def bent(t, steps, learning_rate):\n    return learning_rate + 0.0 * t\n")
    (folder / "run.h5").write_bytes(RUN_FILE)
    try:
        status = main(line.split())
    except SystemExit as stopped:
        status = stopped.code
    told = capsys.readouterr().err
    assert status == 2 and SLIPS[line] in told and len(told.splitlines()) == 1


PAGE = (runs.ROOT / "docs/mistakes.md").read_text(encoding="utf-8")
TYPED = [line.strip("| `").split("` | `") for line in PAGE.splitlines() if line.startswith("| `simlr ")]


def test_the_document_has_what_is_said():
    assert len(TYPED) >= 6 and all(said in SLIPS[line.removeprefix("simlr ")] for line, said in TYPED)


@pytest.mark.parametrize(
    ("line", "name"), [("explore a.h5 --them dark", "simlr explore"), ("verify a.h5 --jsn", "simlr verify")]
)
def test_an_error_is_that_of_the_command_that_was_typed(line, name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["/usr/bin/simlr", *line.split()])
    with pytest.raises(SystemExit):
        main(line.split())
    assert capsys.readouterr().err.startswith(f"{name}: unrecognized arguments: --")
