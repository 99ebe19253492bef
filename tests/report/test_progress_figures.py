"""A table of classes from `simlr new` to its page: accuracy and sharpness among the pictures, and in words."""

import re

import numpy as np
import pytest

import simlr
from simlr.analysis.run_analysis import Analysis
from simlr.analysis.summary import rows
from simlr.grid import new
from simlr.report import __main__ as report
from simlr.report import tables
from simlr.report.view import View

pytest.importorskip("matplotlib")
datasets = pytest.importorskip("sklearn.datasets")
linear_model = pytest.importorskip("sklearn.linear_model")
RIDGE = 0.05


def write_table(folder, name):
    """The table as somebody has it: iris with its species in words, wine with numbers from 0 to 2."""
    data = {"iris": datasets.load_iris, "wine": datasets.load_wine}[name]()
    labels = data.target_names[data.target] if name == "iris" else data.target
    names = [text.replace(" (cm)", "").replace(" ", "_") for text in data.feature_names]
    lines = [",".join([*names, "species" if name == "iris" else "class"])]
    lines += [",".join([*map(repr, map(float, row)), str(label)]) for row, label in zip(data.data, labels, strict=True)]
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return data


@pytest.fixture(scope="module", params=["iris", "wine"])
def table(request, tmp_path_factory):
    """(folder, name, data, run): what the commented grid makes, with few seeds and the sharpness recorded."""
    folder, name = tmp_path_factory.mktemp(request.param), request.param
    data = write_table(folder, name)
    assert new.main([str(folder / f"{name}.csv")]) == 0
    changes = [("seeds.count", 12), ("record.points", 40), ("record.seeds", 6), ("record.sharpness", True)]
    run = simlr.run(simlr.GridConfig.from_toml(folder / f"{name}.toml", changes), folder / f"{name}.h5")
    return folder, name, data, run


def test_the_commented_grid_has_the_loss_of_classes(table):
    _, name, _, run = table
    problem = run.config.problem
    assert (problem["loss"], problem["intercept"]) == ("softmax", True)
    assert "3 classes" in run.attributes["problem_data"], name


def test_the_page_has_accuracy_and_sharpness_and_plain_titles(table):
    folder, name, _, _ = table
    if name != "iris":
        pytest.skip("one page is enough")
    assert report.main([str(folder / f"{name}.h5"), "--out", str(folder / "page"), "--format", "html"]) == 0
    page = (folder / "page/report.html").read_text(encoding="utf-8")
    figures = re.findall(r'<figure id="([^"]*)"', page)
    assert {"accuracy", "sharpness", "course"} <= set(figures)
    for title in (
        "How many test rows are classified correctly along the way?",
        "How sharp is the train loss along the way?",
    ):
        assert title in page
    heading = re.search(r"<h1>(.*?)</h1>", page)[1]
    assert heading == "Which schedules end with less test loss than constant at learning rate 0.3?"


def test_the_pictures_draw_what_the_run_has(table):
    """Medians over the recorded seeds, in percent, and 2 / eta in absolute rates."""
    from simlr.report.figures import progress, style

    run = simlr.load(table[0] / f"{table[1]}.h5")
    view = View(run, rows(run), Analysis(run).lead)
    with style.applied():
        drawn, sharp = progress.accuracy(view), progress.sharpness(view)
    index = view.index(view.base)
    line = drawn.figure.axes[0].get_lines()[0]
    wanted = 100.0 * np.median(run["trajectory_test_accuracy"][index], axis=0)
    at = run["recorded_step"][index] > 0
    np.testing.assert_allclose(line.get_ydata(), wanted[at])
    share = view.rows[view.base, view.last].test_accuracy
    assert (
        f"Accuracy at 1000 steps: {100.0 * share:.1f} % (constant at learning rate 0.3)" in drawn.figure.get_suptitle()
    )
    lines = sharp.figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), np.median(run["trajectory_sharpness"][index], axis=0)[at])
    edge = lines[len(view.shown)].get_ydata()
    np.testing.assert_allclose(edge[0], 2.0 * np.median(run["sharpness"]) / 0.3)


def test_all_panels_of_the_course_have_the_steps_at_one_place(table):
    """Losses that vary by little have a linear axis, which once made that of the steps linear too."""
    from simlr.report.figures import run as figures
    from simlr.report.figures import style

    run = simlr.load(table[0] / f"{table[1]}.h5")
    with style.applied():
        panels = figures.course(View(run, rows(run), Analysis(run).lead)).figure.axes
    assert "linear" in {panel.get_yscale() for panel in panels}
    for step in (1.0, 30.0, 1000.0):
        places = [panel.transScale.transform((step, 1.0))[0] for panel in panels]
        assert places == [np.log10(step)] * len(panels)


def test_what_is_not_reached_has_no_accuracy(table):
    """A schedule of 100 steps has none after 1,000: a dash, as in the table of losses."""
    shown = [one for one in tables.tables(rows(simlr.load(table[0] / f"{table[1]}.h5"))) if "classified" in one.title]
    cells = {cell for line in shown[0].lines for cell in line[1:]}
    assert "-*" in cells and not any("nan" in cell for cell in cells)


def test_a_run_of_least_squares_has_neither_picture(finished):
    from simlr.report.figures import progress

    run = simlr.load(finished)
    view = View(run, rows(run), Analysis(run).lead)
    assert progress.accuracy(view) is None
    assert progress.sharpness(view) is None


def test_at_the_minimum_it_is_scikit_learns_classifier(table):
    """Parameters, their loss and the accuracy on the held-out rows, with the ridge that C stands for."""
    folder, name, data, _ = table
    changes = [("seeds.count", 4), ("problem.ridge", RIDGE), ("stop.steps", [3000]), ("record.points", 0)]
    changes += [("optimizer", [{"kind": "nesterov"}])]
    config = simlr.GridConfig.from_toml(folder / f"{name}.toml", changes)
    run, train_rows = simlr.run(config), config.problem["train_rows"]
    features = data.data.shape[1]
    for seed in range(4):
        stream = np.random.Philox(key=np.array([0, seed], np.uint64), counter=[0, 0, 1, 0])
        order = np.argsort(np.random.Generator(stream).random(len(data.data)), kind="stable")
        train, test = order[:train_rows], order[train_rows:]
        mean, spread = data.data[train].mean(axis=0), data.data[train].std(axis=0)
        x, z = (data.data[train] - mean) / spread, (data.data[test] - mean) / spread
        other = linear_model.LogisticRegression(C=1.0 / (RIDGE * train_rows), tol=1e-10, max_iter=10_000)
        other.fit(x, data.target[train])
        theta = run["train_minimiser"][seed].reshape(3, features + 1)
        np.testing.assert_allclose(theta[:, :-1], other.coef_, atol=2e-5)
        np.testing.assert_allclose(
            theta[:, -1] - theta[:, -1].mean(), other.intercept_ - other.intercept_.mean(), atol=2e-5
        )
        best = [
            s for s in range(len(run["schedule"])) if run["train_loss"][s, seed, 0] < run["train_floor"][seed] + 1e-9
        ]
        assert best
        assert (run["test_accuracy"][best, seed, 0] == other.score(z, data.target[test])).all()


LARGER = """
name = "larger"
[problem]
kind = "dataset"
file = "rows.npz"
train_rows = {rows}
loss = "{loss}"
intercept = true
ridge = 0.05
[seeds]
count = 2
[stop]
steps = [{steps}]
[record]
points = 0
[[schedule]]
kind = "constant"
unit = "sharpness"
learning_rate = 1.0
steps = {steps}
[[optimizer]]
kind = "nesterov"
momentum = 0.95
"""


SIZES = [("breast_cancer", "logistic", 300, 1500), ("digits", "softmax", 400, 800)]


@pytest.mark.parametrize(("name", "loss", "rows", "steps"), SIZES)
def test_two_larger_tables_come_to_scikit_learns_classifier(name, loss, rows, steps, tmp_path):
    """Two classes of 30 features, and ten of 64 of which some are the same in every row."""
    data = getattr(datasets, f"load_{name}")()
    np.savez(tmp_path / "rows.npz", features=data.data, target=data.target)
    (tmp_path / "grid.toml").write_text(LARGER.format(rows=rows, loss=loss, steps=steps))
    run, d = simlr.run(simlr.GridConfig.from_toml(tmp_path / "grid.toml")), data.data.shape[1]
    for seed in range(2):
        stream = np.random.Philox(key=np.array([0, seed], np.uint64), counter=[0, 0, 1, 0])
        order = np.argsort(np.random.Generator(stream).random(len(data.data)), kind="stable")
        own, held = data.data[order[:rows]], data.data[order[rows:]]
        spread = np.where(own.std(axis=0) > 0.0, own.std(axis=0), 1.0)
        x, z = (own - own.mean(axis=0)) / spread, (held - own.mean(axis=0)) / spread
        other = linear_model.LogisticRegression(C=1.0 / (RIDGE * rows), tol=1e-10, max_iter=10_000)
        other.fit(x, data.target[order[:rows]])
        theta = run["train_minimiser"][seed].reshape(-1, d + 1)
        np.testing.assert_allclose(theta[:, :-1], other.coef_, atol=2e-5)
        bias = theta[:, -1] - (theta[:, -1].mean() if loss == "softmax" else 0.0)
        np.testing.assert_allclose(bias, other.intercept_, atol=2e-4)
        assert run["train_loss"][0, seed, 0] < run["train_floor"][seed] + 1e-9
        assert run["test_accuracy"][0, seed, 0] == other.score(z, data.target[order[rows:]])
