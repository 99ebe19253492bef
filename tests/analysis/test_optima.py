"""How far schedules end from the optimum: rows, exponents, and the report's section, picture and file."""

import base64
import re

import numpy as np
import pytest

import simlr
from simlr.analysis.optima import distances, shape_exponent
from simlr.analysis.run_analysis import Analysis
from simlr.report import __main__ as report

GRID = """
name = "distances"
[expectation]
[problem]
kind = "population"
dimension = 8
source = [0.4, 1.2]
[stop]
steps = [5, 12]
[record]
points = 0
[[schedule]]
kind = "optimal"
cap = 0.5
[[schedule]]
kind = "linear"
learning_rate = [0.1, 0.2, 0.3]
steps = [5, 12]
[[schedule]]
kind = "constant"
learning_rate = [0.05, 0.1, 0.2]
[[optimizer]]
kind = "gd"
[[optimizer]]
kind = "momentum"
momentum = 0.5
[[noise]]
kind = "gradient"
sigma = 0.3
covariance = "hessian"
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("distances") / "run.h5"
    return simlr.run(simlr.GridConfig.from_toml(GRID), out=path), path


def test_each_ratio_is_to_the_least_loss_of_the_optima_with_the_same_method(saved):
    run, _ = saved
    rows, names, loss = distances(run), run["schedule"].tolist(), run["test_loss"]
    # 2 problems x 2 methods x 2 horizons x (4 optima, of 2 problems and 2 methods, 3 linear, 3 constant)
    assert len(rows) == 2 * 2 * 2 * (4 + 3 + 3)
    for row in rows:
        n, e = [0.4, 1.2].index(row.problem[0][1]), [5, 12].index(int(row.level))
        method = row.schedule.rpartition(", ")[2]
        of_method = [s for s, name in enumerate(names) if name.startswith("optimal") and name.endswith(", " + method)]
        of_horizon = [s for s in of_method if f"steps={row.level:.0f}" in names[s]]
        least = min(loss[s, n, e] for s in of_horizon)
        assert row.optimum == least
        assert row.loss == loss[names.index(row.schedule), n, e]
        assert row.ratio == row.loss / least >= 1.0 - 1e-9


def test_one_row_of_every_family_is_the_best(saved):
    kept = {}
    for row in distances(saved[0]):
        method = row.schedule.rpartition(", ")[2]
        kept.setdefault((row.problem, row.level, method, row.family), []).append(row)
    assert len(kept) == 2 * 2 * 2 * 3
    for rows in kept.values():
        (best,) = (row for row in rows if row.best)
        assert best.loss == min(row.loss for row in rows)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("steps", [10, 5000])
def test_the_exponent_of_a_power_of_the_steps_to_go_is_that_power(gamma, steps):
    rates = (1.0 - np.arange(steps) / steps) ** gamma
    tables = {"kind": "table", "learning_rates": rates}
    config = simlr.GridConfig.from_tables(
        {"problem": {"kind": "nakkiran2020"}, "stop": {"train_loss": 0.1}, "schedule": [tables]}
    )
    (schedule, _), *_ = config.schedules()
    assert shape_exponent(schedule) == pytest.approx(gamma, rel=1e-10)


def test_the_report_has_the_section_its_picture_and_its_file(saved, tmp_path):
    run, path = saved
    assert report.main([str(path), "--out", str(tmp_path / "made"), "--format", "html,csv,md"]) == 0
    text = (tmp_path / "made/report.md").read_text()
    assert "How far from the optimum does each shape end?" in text
    assert "times the optimum's loss" in text
    page = (tmp_path / "made/report.html").read_text()
    assert page.index("How far from the optimum") < page.index("<svg")
    lines = (tmp_path / "made/optima.csv").read_text().splitlines()
    assert lines[0].startswith("family,schedule,problem_source,level,measure,loss,optimum,ratio")
    assert len(lines) == 1 + len(Analysis(run).optima)


def test_a_grid_without_an_optimum_has_no_rows():
    text = GRID.replace('[[schedule]]\nkind = "optimal"\ncap = 0.5\n', "")
    run = simlr.run(simlr.GridConfig.from_toml(text))
    assert distances(run) == []


def test_the_page_holds_the_optimal_rates_as_a_file_for_torch(saved, tmp_path):
    """Each is a Python file, whose rates are the run's at every step."""
    pytest.importorskip("matplotlib")
    run, path = saved
    assert report.main([str(path), "--out", str(tmp_path / "made"), "--format", "html"]) == 0
    page = (tmp_path / "made/report.html").read_text(encoding="utf-8")
    links = re.findall(r'<a download="([^"]+)" href="data:text/plain;base64,([^"]+)">', page)
    rates = [one[0].rates(0, one[0].length).tolist() for one in run.config.combinations()]
    assert links and len({name for name, _ in links}) == len(links)
    for name, text in links:
        made = {}
        exec(base64.b64decode(text).decode(), made)
        assert name.endswith(".py") and "/" not in name
        assert [made["learning_rate"](t) for t in range(made["STEPS"])] in rates
