"""Drawing the schedules of a grid: what is on the page and in the CSV, whatever the schedules, and what is refused."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
from test_report import FORBID, HOSTILE, Page

from simlr.config.grid import GridConfig
from simlr.report import __main__
from simlr.report import schedules as schedules_module
from simlr.report.figures import schedules as rateplots
from simlr.report.figures import style
from simlr.report.schedules import (
    as_bounds,
    as_csv,
    as_table,
    bound_curve,
    bounds_csv,
    curve,
    schedule_groups,
    terms_of,
)
from simlr.schedules import bounds

HEAD = 'name = "{name}"\nproblem = {{ kind = "nakkiran2020" }}\nstop = {{ train_loss = [0.1], max_steps = {steps} }}\n'
COSINES = '[[schedule]]\nkind = "cosine"\nlearning_rate = [0.1, 0.2]\nsteps = 7\n[[schedule]]\nkind = "flow"\n'


def written(folder, schedules, steps=1000, name="mine"):
    path = folder / "mine.toml"
    path.write_text(HEAD.format(name=name, steps=steps) + schedules)
    return path


def groups(schedules, max_steps=1000):
    stop = {"train_loss": [0.1], "max_steps": max_steps}
    tables = {"problem": {"kind": "nakkiran2020"}, "stop": stop, "schedule": schedules}
    return schedule_groups(GridConfig.from_tables(tables))


def drawn(schedules, max_steps=1000):
    """The pictures, saved, as matplotlib figures."""
    made = rateplots.pictures(groups(schedules, max_steps))
    for picture in made:
        assert style.svg(picture.figure)
    return [picture.figure for picture in made]


def test_the_command_writes_a_page_and_the_rates(tmp_path, capsys):
    assert __main__.main(["--schedules", str(written(tmp_path, COSINES))]) == 0
    out = capsys.readouterr().out
    assert "cosine[learning_rate=0.1]" in out and out.splitlines()[-3].endswith("mine-schedules/schedules.html")
    page = Page(tmp_path / "mine-schedules/schedules.html")
    assert len(page.pictures()) == 1
    assert "cosine[learning_rate=0.1]" in page.text and "then" in page.text
    rows = list(csv.DictReader((tmp_path / "mine-schedules/schedules.csv").open()))
    assert len(rows) == 14
    found = [float(row["learning_rate"]) for row in rows if row["schedule"] == "cosine[learning_rate=0.2]"]
    ours = groups([{"kind": "cosine", "learning_rate": 0.2, "steps": 7}])[0].schedules[0]
    assert found == ours.rates(0, 7).tolist()


def test_the_rates_written_can_be_read_as_a_table(tmp_path, capsys):
    one = '[[schedule]]\nkind = "polynomial"\nlearning_rate = 0.3\npower = 3\nsteps = 50\n'
    assert __main__.main(["--schedules", str(written(tmp_path, one)), "--format", "csv"]) == 0
    lines = (tmp_path / "mine-schedules/schedules.csv").read_text().replace("polynomial,absolute,", "").splitlines()
    (tmp_path / "rates.csv").write_text("\n".join(["step,learning_rate", *lines[1:]]))
    twin = written(tmp_path, '[[schedule]]\nkind = "table"\nfile = "rates.csv"\n')
    ours = groups([{"kind": "polynomial", "learning_rate": 0.3, "power": 3, "steps": 50}])[0].schedules[0]
    made, _ = GridConfig.from_toml(twin).schedules()[0]
    np.testing.assert_array_equal(made.rates(0, 50), ours.rates(0, 50))


def test_a_paper_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert __main__.main(["--schedules", "nakkiran2020", "--out", "made"]) == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"schedules.html", "schedules.csv", "bounds.csv"}


def test_names_are_escaped(tmp_path):
    hostile = [
        {"name": HOSTILE.replace("\n", " ").replace("\x1b", ""), "kind": "cosine", "learning_rate": 1.0, "steps": 5}
    ]
    stop = {"train_loss": [0.1]}
    config = GridConfig.from_tables({"problem": {"kind": "nakkiran2020"}, "stop": stop, "schedule": hostile})
    path = tmp_path / "hostile.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert __main__.main(["--schedules", str(path), "--out", str(tmp_path / "made")]) == 0
    page = Page(tmp_path / "made/schedules.html")
    assert len(page.pictures()) == 1


MANY = [0.01 * k for k in range(1, 101)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "schedules",
    [
        [{"kind": "flow"}],
        [{"kind": "constant", "learning_rate": [0.0, 1e200], "steps": 3}],
        [{"kind": "exponential", "learning_rate": 1.0, "gamma": [2.0, 0.1], "steps": 5000}],
        [{"kind": "cosine", "learning_rate": MANY, "steps": 1}],
        [{"kind": "cosine", "learning_rate": MANY, "steps": 1000, "unit": "sharpness"}],
        [{"kind": "silver", "learning_rate": 1.0}, {"kind": "chebyshev", "smallest_curvature": 0.1,
                                                    "largest_curvature": 1.0, "steps": [1, 2, 3000]}],
        [{"name": "$ \\frac{",
          "phases": [{"kind": "constant", "learning_rate": [1, 2], "steps": 1}, {"kind": "flow"}]}],
        [{"name": f"s{k}", "kind": "constant", "learning_rate": 1.0} for k in range(5)],
    ],
    ids=range(8),
)  # fmt: skip
def test_anything_can_be_drawn(schedules):
    assert len(drawn(schedules, max_steps=10_000_000)) == 1


def test_every_schedule_table_has_its_panel():
    figures = drawn([{"name": f"s{k}", "kind": "constant", "learning_rate": 1.0} for k in range(14)])
    titles = [axes.get_title() for figure in figures for axes in figure.axes if axes.get_title()]
    assert titles == [f"s{k}" for k in range(14)]
    assert len(figures) == 3


def test_the_bound_stands_beside_each_curve():
    wsd = {"kind": "warmup_stable_decay", "learning_rate": 0.3, "decay_steps": 40, "steps": 200}
    tables = [wsd, {"kind": "flow"}, {"kind": "step", "learning_rate": 1.0, "step_size": 5, "steps": 90}]
    found = groups(tables)
    rates, bound, _, none, *_ = drawn(tables)[0].axes
    assert len(rates.get_lines()) == len(bound.get_lines()) == 1 and not none.get_lines()
    steps, values = bound.get_lines()[0].get_data()
    terms = bounds.terms(found[0].schedules[0].rates(0, 200))
    assert steps[-1] == 200 and values[-1] == pytest.approx(terms.best, rel=1e-12)
    first = bounds.terms(found[0].schedules[0].rates(0, int(steps[0])))
    assert values[0] == pytest.approx(first.at(terms.best_factor), rel=1e-12)
    table = as_bounds(found)
    assert [line[0] for line in table.lines] == ["warmup_stable_decay", "flow", "step"]
    assert table.lines[1][1:] == ("-",) * 5
    rows = list(csv.DictReader(io.StringIO(bounds_csv(found))))
    assert float(rows[0]["best_bound"]) == pytest.approx(terms.best, rel=1e-12) and rows[1]["best_bound"] == ""


def test_many_long_schedules_have_no_bounds(monkeypatch):
    monkeypatch.setattr(schedules_module, "TABLE_STEPS", 3000)
    made = groups([{"kind": "cosine", "learning_rate": [1.0, 2.0], "steps": [1000, 5000]}], 5000)[0].schedules
    assert [terms is None for terms in terms_of(made[:2])] == [False, True]
    assert [terms is None for terms in terms_of(made)] == [True] * 4
    assert bound_curve(made[0], 7000)[0].size == 0


def test_more_schedules_than_can_be_drawn_are_counted():
    made = groups([{"name": f"s{k}", "kind": "constant", "learning_rate": 1.0} for k in range(80)])
    assert "8 more are not drawn" in rateplots.pictures(made)[-1].caption
    assert "56 more are in schedules.csv" in as_table(made).notes


def test_few_curves_have_names_and_many_a_count():
    few, many = (
        drawn([{"kind": "cosine", "learning_rate": rates, "steps": 100}])[0].axes[0] for rates in ([1, 2], MANY)
    )
    assert [text.get_text() for text in few.get_legend().get_texts()] == ["learning_rate=1.0", "learning_rate=2.0"]
    assert len(many.get_lines()) == rateplots.MOST_CURVES
    assert len(many.get_legend().get_texts()) == 2
    assert many.get_legend().get_title().get_text() == "100 combinations, first to last (48 drawn)"


PLATEAU = '[[schedule]]\nname = "falling"\nkind = "reduce_on_plateau"\nlearning_rate = [0.5, 0.25]\nsteps = 60\n'


@pytest.mark.parametrize("others", [COSINES, ""], ids=["with others", "alone"])
def test_a_schedule_without_fixed_rates_hides_no_others(others, tmp_path, capsys):
    """Of reduce_on_plateau the first rate is told, which is its largest; its table of rates and its bound are not."""
    assert __main__.main(["--schedules", str(written(tmp_path, PLATEAU + others))]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if "[learning_rate=" in line}
    assert rows["falling[learning_rate=0.5]"] == ["-"] * 5  # of the bounds, which come last
    first = next(line.split() for line in out.splitlines() if line.startswith("falling[learning_rate=0.5]"))
    assert first == ["falling[learning_rate=0.5]", "60", "0.500", "-", "0.500", "-", "-"]
    assert "reduce_on_plateau lowers the rate by the loss of each seed: a run has its rates, and no bound" in out
    folder = tmp_path / "mine-schedules"
    told = list(csv.DictReader((folder / "schedules.csv").open()))
    fixed = {f"cosine[learning_rate={rate}]" for rate in (0.1, 0.2)}
    assert {row["schedule"] for row in told} == (fixed if others else set())
    known = {row["schedule"]: row["bound"] for row in csv.DictReader((folder / "bounds.csv").open())}
    assert known["falling[learning_rate=0.25]"] == "" and len(known) == (5 if others else 2)
    page = Page(folder / "schedules.html")
    assert len(page.pictures()) == 1


@pytest.mark.parametrize("steps", [1, 2, 600, 601, 5000, 300_000, 10_000_000])
def test_a_curve_holds_its_ends_and_its_extremes(steps):
    made = groups([{"kind": "linear", "learning_rate": 1.0, "end_learning_rate": 2.0, "steps": steps}], 10_000_000)
    found, rates = curve(made[0].schedules[0])
    assert found[0] == 0 and found[-1] == steps - 1
    assert found.size <= 2 * schedules_module.POINTS and (np.diff(found) >= 0).all()
    np.testing.assert_array_equal(rates, 1.0 + found / steps)


def test_one_high_step_among_many_is_seen():
    rates = np.full(50_000, 0.1)
    rates[31_415] = 5.0
    made = groups([{"kind": "table", "learning_rates": rates}], 50_000)[0].schedules[0]
    assert curve(made)[1].max() == 5.0


@pytest.mark.slow
def test_the_csv_is_bounded():
    made = groups([{"name": f"s{k}", "kind": "constant", "learning_rate": 1.0} for k in range(100)], 10_000_000)
    lines = as_csv(made).splitlines()
    assert len(lines) == 1 + schedules_module.CSV_ROWS
    assert lines[1] == "s0,absolute,0,1.0" and lines[2000].startswith("s0,absolute,9999999,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of RUN.h5 and --schedules GRID.toml is required"),
        (["x.h5", "--schedules", "mine.toml"], "one of RUN.h5 and --schedules GRID.toml is required"),
        (["--schedules", "schaipp2025"], "--schedules schaipp2025: is a study, which has no schedules"),
        (["--schedules", "none.toml"], "none.toml: cannot be read: No such file or directory"),
        (["--schedules", "mine.toml", "--format", "md"], "--format md: goes with a run file; schedules have html, csv"),
        (["--schedules", "mine.toml", "--out", "a/b"], "--out a/b: the folder a does not exist"),
        (["--schedules", "wrong.toml"], "schedule 'schedule-1': unknown kind 'cosin'; did you mean 'cosine'?"),
    ],
)
def test_what_is_refused(folder, capsys, arguments, message):
    written(folder, COSINES)
    (folder / "wrong.toml").write_text(HEAD.format(name="x", steps=9) + '[[schedule]]\nkind = "cosin"\n')
    try:
        status = __main__.main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    told = capsys.readouterr().err
    assert status == 2 and message in told and len(told.splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == {"mine.toml", "wrong.toml"}


def test_without_matplotlib_there_is_the_csv(folder):
    written(folder, COSINES)
    code = FORBID.replace("{names}", "('matplotlib', 'numba')")
    command = [sys.executable, "-c", code, "--schedules", "mine.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "matplotlib is missing" in done.stderr
    assert {path.name for path in (folder / "mine-schedules").iterdir()} == {"schedules.csv", "bounds.csv"}
