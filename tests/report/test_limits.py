"""Lines of theory on the pictures of exact means: where they stand, and where there are none."""

import pytest

import simlr
from simlr.analysis.run_analysis import Analysis
from simlr.report.figures import limits
from simlr.report.view import View

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

GRID = {
    "name": "lines",
    "expectation": {},
    "problem": {"kind": "population", "dimension": 12, "capacity": 1.5, "source": 0.8},
    "stop": {"steps": [300]},
    "record": {"points": 10},
    "schedule": [
        {"name": "steady", "kind": "constant", "learning_rate": [0.05, 0.2], "steps": 300},
        {"name": "scaled", "kind": "constant", "unit": "sharpness", "learning_rate": [0.1, 0.4], "steps": 300},
        {"name": "falling", "kind": "linear", "learning_rate": [0.05, 0.2], "steps": 300},
    ],
    "optimizer": [{"kind": "gd"}, {"kind": "momentum", "momentum": 0.5}],
    "noise": [{"kind": "fresh", "batch_size": 2, "sigma": 0.5}],
}


def drawn(run, name, what, tried=0.4):
    """(where the line stands, None without one) for the schedule whose name begins so."""
    view = View(run, Analysis(run).rows)
    panel = Figure().subplots()
    panel.plot([0.01, tried], [1.0, 2.0])
    (name,) = [one for one in run["schedule"] if one.startswith(name)]
    if what == "floor":
        is_drawn = limits.draw_floor(view, panel, name, {"color": "C0"})
    else:
        is_drawn = limits.draw_limit(view, panel, name, (), {"color": "C0"})
    lines = panel.get_lines()[1:]
    assert len(lines) == is_drawn
    return (lines[0].get_ydata() if what == "floor" else lines[0].get_xdata())[0] if lines else None


@pytest.fixture(scope="module")
def run():
    return simlr.run(GRID)


@pytest.mark.parametrize(("method", "table"), [("gd", {"kind": "gd"}), ("mom", {"kind": "momentum", "momentum": 0.5})])
def test_they_stand_where_theory_says(run, method, table):
    found = simlr.stability(run["curvature"], GRID["noise"][0], table, learning_rate=0.2)
    names = [name for name in run["schedule"] if f", {method}" in name]
    steady = next(name for name in names if name.startswith("steady") and "0.2" in name)
    scaled = next(name for name in names if name.startswith("scaled") and "0.4" in name)
    assert drawn(run, steady, "limit") == pytest.approx(found.limit[0], rel=1e-12)
    assert drawn(run, scaled, "limit", 1.0) == pytest.approx(found.limit[0] * run["sharpness"][0], rel=1e-12)
    assert drawn(run, steady, "floor") == pytest.approx(found.floor[0], rel=1e-12)
    rate = 0.4 / run["sharpness"][0]
    floor = simlr.stability(run["curvature"], GRID["noise"][0], table, learning_rate=rate).floor[0]
    assert drawn(run, scaled, "floor") == pytest.approx(floor, rel=1e-12)


def test_curves_of_constant_rates_settle_there(run):
    (name,) = [one for one in run["schedule"] if one.startswith("steady") and "0.2" in one and ", gd" in one]
    last = run["train_loss"][run["schedule"].tolist().index(name), 0, 0]
    assert drawn(run, name, "floor") == pytest.approx(last, rel=0.05)


def test_nothing_is_drawn_that_theory_does_not_say(run):
    (falling,) = [one for one in run["schedule"] if one.startswith("falling") and "0.2" in one and ", gd" in one]
    assert drawn(run, falling, "floor") is None and drawn(run, falling, "limit") is not None
    assert drawn(run, falling, "limit", tried=0.02) is None  # far from all that was tried
    noisy = {**GRID, "problem": {"kind": "gaussian", "dimension": 3, "train_rows": 9}, "optimizer": [{"kind": "gd"}]}
    rows = simlr.run({**noisy, "noise": [{"kind": "minibatch", "batch_size": 2}], "seeds": {"count": 2}})
    phases = [{"name": "two", "phases": [{"kind": "constant", "learning_rate": 0.1, "steps": 150}] * 2}]
    assert drawn(simlr.run({**GRID, "schedule": phases, "optimizer": [{"kind": "gd"}]}), "two", "floor") is None
    growing = [{**GRID["noise"][0], "batch_growth": 2.0, "batch_every": 50}]
    sampled = {key: value for key, value in noisy.items() if key != "expectation"}
    drawn_noise = simlr.run({**sampled, "noise": [{"kind": "gradient", "sigma": 0.1}], "seeds": {"count": 2}})
    for other in (rows, simlr.run({**GRID, "noise": growing}), drawn_noise):
        name = next(one for one in other["schedule"] if one.startswith("steady"))
        assert drawn(other, name, "limit", 1e9) is None and drawn(other, name, "floor") is None
