"""Exponents and frontiers of grids: against loops over the run's own arrays, a known power law, and what is refused."""

import csv
import json
import math
import re

import numpy as np
import pytest
import runs

import simlr
from simlr.__main__ import main
from simlr.errors import InputError
from simlr.laws import scaling, sizes

GRID = """
name = "sizes"
[expectation]
[problem]
kind = "population"
dimension = 60
capacity = 1.5
source = 0.8
random_features = [5, 10, 20, 40]
[seeds]
count = 3
[stop]
steps = [30, 100, 300, 1000]
[record]
points = 0
[[noise]]
kind = "fresh"
batch_size = [1, 4]
sigma = 0.1
[[schedule]]
kind = "constant"
learning_rate = [0.01, 0.05]
[[schedule]]
kind = "linear"
learning_rate = [0.05, 0.1]
steps = "budget"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    out = tmp_path_factory.mktemp("scaling") / "run.h5"
    simlr.run(GRID, out)
    return out


@pytest.fixture(scope="module")
def lines(path):
    return scaling(simlr.load(path), resamples=20)


def best_by(run, cost):
    """{(family, features or None): [(budget, best mean loss), ...]}, by loops over everything."""
    found = {}
    features, levels = run["problem_random_features"], run["level"]
    for s, name in enumerate(run["schedule"]):
        name = name if isinstance(name, str) else name.decode()
        batch = 4 if "batch_size=4" in name else 1
        for size in (5, 10, 20, 40):
            for e, steps in enumerate(levels):
                if name.startswith("linear") and f"steps={int(steps)}]" not in name.split(", fresh")[0]:
                    continue
                loss = np.mean([run["test_loss"][s, n, e] for n in np.flatnonzero(features == size)])
                budget = {"steps": steps, "rows": steps * batch, "work": steps * batch * size}[cost]
                key = name.split("[")[0], None if cost == "work" else size
                found.setdefault(key, {}).setdefault(budget, []).append(loss)
    return {key: [(b, min(losses)) for b, losses in sorted(own.items())] for key, own in found.items()}


def test_exponents_are_those_of_least_squares(path):
    """Of the relative differences, p by SciPy, of what lies above the floors, along steps at each size."""
    least_squares = pytest.importorskip("scipy.optimize").least_squares
    run, found = simlr.load(path), scaling(simlr.load(path), resamples=20, floor=0.0)
    for (family, size), points in best_by(run, "steps").items():
        budgets, losses = (np.array(one, np.float64) for one in zip(*points, strict=True))
        scaled = np.log(budgets / budgets[-1])

        def off(v, scaled=scaled, losses=losses):
            return np.exp(v[0] - v[1] * scaled) / losses - 1.0

        line = next(
            one for one in found if one.against == "steps" and one.family.startswith(family)
            and dict(one.problem)["random_features"] == size
        )  # fmt: skip
        assert line.exponent.exponent == pytest.approx(least_squares(off, [np.log(losses[-1]), 0.5]).x[1], rel=1e-4)


def test_a_floor_above_losses_is_named(path):
    found = [line for line in scaling(simlr.load(path), floor=10.0, resamples=20) if line.against == "steps"]
    assert found and all(line.exponent is None and "floor 10 is not below the loss" in line.why for line in found)


@pytest.mark.parametrize("against", ["steps", "rows", "work"])
def test_the_points_are_the_best_of_all_that_was_tried(path, lines, against):
    run = simlr.load(path)
    expected = best_by(run, against)
    own_lines = [line for line in lines if line.against == against]
    assert len(own_lines) == len(expected)
    for line in own_lines:
        kept, own = [], expected[line.family, dict(line.problem).get("random_features")]
        for budget, loss in own:
            if against == "steps" or not kept or loss < kept[-1][1]:
                kept.append((budget, loss))
        assert [getattr(point, against) for point in line.points] == [budget for budget, _ in kept]
        np.testing.assert_allclose([point.loss for point in line.points], [loss for _, loss in kept], rtol=1e-12)


def test_each_seeds_own_floor_is_taken_off(path, lines):
    run = simlr.load(path)
    line = next(one for one in lines if one.against == "steps" and ("random_features", 40) in one.problem)
    seeds = np.flatnonzero(run["problem_random_features"] == 40)
    above = np.array([point.losses for point in line.points]).T - run["test_floor"][seeds][:, None]
    alone = simlr.laws.exponent([point.steps for point in line.points], above, floor=0.0, resamples=20)
    assert line.exponent.exponent == alone.exponent and line.exponent.exponent_interval == alone.exponent_interval
    assert line.exponent.floor == pytest.approx(run["test_floor"][seeds].mean(), rel=1e-12)


def test_optimisers_and_noises_are_apart():
    """Each of two optimisers has the line that it has alone."""
    text = GRID.replace("random_features = [5, 10, 20, 40]", "random_features = 10").replace("[1, 4]", "4")
    tables = ('[[optimizer]]\nkind = "gd"\n', '[[optimizer]]\nkind = "momentum"\nmomentum = [0.5, 0.8]\n')
    both = scaling(simlr.run(text + "".join(tables)), resamples=20)
    alone = [line for table in tables for line in scaling(simlr.run(text + table), resamples=20)]
    assert len(both) == len(alone) == 6 and len({line.family for line in both}) == 6
    assert sorted(line.exponent.exponent for line in both) == sorted(line.exponent.exponent for line in alone)


def test_a_known_power_law_has_its_exponent():
    """Gradient flow on a power law from a cut-off: E loss ~ time^-(source capacity / capacity), the source."""
    text = GRID.replace("random_features = [5, 10, 20, 40]\n", "").replace("dimension = 60", "dimension = 4000")
    text = text.replace("steps = [30, 100, 300, 1000]", "steps = [300, 600, 1200, 2400]").replace(
        "count = 3", "count = 1"
    )
    text = text.replace('[[noise]]\nkind = "fresh"\nbatch_size = [1, 4]\nsigma = 0.1\n', "")
    text = text[: text.index("[[schedule]]")] + '[[schedule]]\nkind = "constant"\nlearning_rate = 0.4\n'
    (line,) = scaling(simlr.run(text.replace("[expectation]\n", "")), resamples=20)
    assert line.exponent.exponent == pytest.approx(0.8, rel=0.03)


def test_a_size_that_grows_as_the_root_of_the_work():
    """Loss = size^-1 + steps^-1 is best where size = steps = work^(1/2)."""
    from simlr.laws.sizes import Point, _frontier, _size_exponent

    sizes = np.geomspace(10, 10_000, 31)
    points = [
        Point(int(t), float(int(t)), float(n), "", np.array([1.0 / n + 1.0 / int(t)]), np.array([math.nan]), {})
        for n in sizes
        for t in sizes
    ]
    slope, low, high = _size_exponent(_frontier(points, "work"), points)
    assert slope == pytest.approx(0.5, abs=0.01) and low < 0.5 < high


def test_the_command_prints_writes_and_replaces_its_own(path, lines, tmp_path, capsys):
    out = tmp_path / "out"
    for _ in range(2):
        assert main(["fit", str(path), "--scaling", "--resamples", "20", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "Exponents of the tuned loss" in printed and "Which size is best for how much work: linear" in printed
    with open(out / "scaling.csv", newline="", encoding="utf-8") as file:
        assert {row["against"] for row in csv.DictReader(file)} == {"steps", "rows", "work"}
    assert main(["fit", str(path), "--scaling", "--resamples", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["file"]) == ("simlr scaling 1", str(path)) and len(told["lines"]) == len(lines)
    one = told["lines"][0]
    assert one["exponent"]["exponent"] > 0.0
    page = (runs.ROOT / "docs/json.md").read_text(encoding="utf-8")
    section = page.partition("\n## `simlr fit RUN.h5 --scaling --json`\n")[2].partition("\n## ")[0]
    table = "\n".join(row for row in section.splitlines() if row.startswith("| `"))
    parts = {*one["exponent"], *one["points"][0], "parameter", "edge", "budgets", "work"}
    assert set(re.findall(r"`(\w+)`", table)) == {*told, *one, *parts}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scaling", "--size", "dimensoin"], "did you mean 'dimension'?"),
        (["--scaling", "--size", "target"], "--size target: must be a number above 0"),
        (["--scaling", "--loss", "tests"], "unknown loss"),
        (["--size", "dimension"], "--size goes with --scaling"),
        (["--scaling", "--law", "annealing"], "--law goes with the fit of a law; --scaling fits none"),
        (["--scaling", "--hold-out", "cosine"], "--hold-out goes with the fit of a law"),
        (["--scaling", "--from", "10"], "--from goes with the fit of a law"),
        (["--scaling", "--optimise"], "--optimise goes with the fit of a law"),
        (["--scaling", "--problem", "capacity=2"], "--problem goes with the fit of a law"),
        (["--first-step", "0"], "--first-step is of files of curves; a run file says it itself"),
        (["--loss", "train_loss", "--rate", "lr"], "--rate is of files of curves"),
    ],
)
def test_bad_use_is_one_line(path, arguments, message, capsys):
    assert main(["fit", str(path), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_levels_are_no_budgets():
    text = GRID.replace("steps = [30, 100, 300, 1000]", "train_loss = [0.5, 0.4]").replace(
        'steps = "budget"', "steps = 9"
    )
    with pytest.raises(InputError, match=r"they need a grid with stop.steps"):
        scaling(simlr.run(text))


def test_rates_at_an_end_and_laws_that_bend_are_told(path, lines, capsys, tmp_path):
    """The best rate of each budget beside all that were tried there, and exponents of halves by the points alone."""
    run = simlr.load(path)
    names, levels = [str(name) for name in run["schedule"]], run["level"].tolist()
    line = next(one for one in lines if one.against == "steps" and one.family.startswith("constant"))
    size = dict(line.problem)["random_features"]
    seeds, highest = np.flatnonzero(run["problem_random_features"] == size), 0
    for e in range(len(levels)):
        means = {}
        for s, name in enumerate(names):
            if name.startswith("constant"):
                rate = 0.05 if "learning_rate=0.05" in name else 0.01
                means.setdefault(rate, []).append(float(np.mean(run["test_loss"][s, seeds, e])))
        highest += min(means[0.05]) <= min(means[0.01])
    found = {edge: count for (_, edge), count in line.edges.items()}
    assert found.get("highest", 0) == highest and found.get("lowest", 0) == len(levels) - highest
    assert main(["fit", str(path), "--scaling", "--resamples", "20", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert f"the best learning_rate is the highest tried at {highest} of 4 budgets" in told
    assert main(["fit", str(path), "--scaling", "--resamples", "20", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)["lines"]
    for one, line in zip(values, lines, strict=True):
        assert one["bends"] == line.bends
        assert sum(edge["budgets"] for edge in one["edges"]) == sum(line.edges.values())


@pytest.mark.parametrize(("rates", "edges"), [((0.01, 0.1, 1.0), ["", "", ""]), ((0.01, 0.1), ["highest"] * 3)])
def test_edges_are_of_the_rates_that_were_tried_at_a_budget(rates, edges):
    points = [
        sizes.Point(steps, steps, 1.0, f"{rate}", np.array([(math.log10(rate) + 1.0) ** 2 + 1.0 / steps]),
                    np.array([0.0]), {"learning_rate": rate})
        for steps in (10, 100, 1000) for rate in rates
    ]  # fmt: skip
    found = sizes._best(points, "steps")
    assert [dict(point.edges).get("learning_rate", "") for point in found] == edges
    assert {point.rates["learning_rate"] for point in found} == {0.1}


def test_halves_of_a_power_law_are_it_and_those_of_two_are_not():
    budgets = np.array([10.0, 100.0, 1e3, 1e4, 1e5])
    halves, bends = sizes._halves(budgets, 3.0 * budgets**-0.4, 0.4)
    assert halves == pytest.approx((0.4, 0.4)) and not bends
    bent = budgets**-1.0 + 0.01 * budgets**-0.2
    halves, bends = sizes._halves(budgets, bent, 0.5)
    assert bends and halves[0] > 0.6 > 0.3 > halves[1]
    noisy = budgets**-0.4 * np.exp(np.random.default_rng(3).normal(size=(4, 5)))
    assert not sizes._halves(budgets, noisy, 0.4)[1]
