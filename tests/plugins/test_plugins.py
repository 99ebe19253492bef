"""Plug-ins: from a file and from a package, the same bits as simlr's own, and never run where a run file is read."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import runs

import simlr
from simlr import merge, status
from simlr.config.reading import read_recorded
from simlr.errors import InputError
from simlr.grid import __main__ as grid
from simlr.grid import catalogue
from simlr.papers import __main__ as papers
from simlr.problems import registry
from simlr.report import __main__ as report

DOCUMENT = (runs.ROOT / "docs/plugins.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(python|toml)\n(.*?)```", DOCUMENT, re.DOTALL)
STAYS_THE_SAME = {"finished_at", "wall_seconds", "end_crc32", "block_crc32"}
# A copy of simlr's cosine, and of `quadratic`, as a function and as a Problem.
COPIES = '''
import numpy as np

from simlr.inputs import rules
from simlr.inputs.parameters import REQUIRED, Parameter
from simlr.problems.source import Problem, Source, empty_batch


def cosine(t, steps, learning_rate, end_learning_rate=0.0, power=1.0):
    """The cosine."""
    falling = 0.5 * (1.0 + np.cos(np.pi * (t / steps)))
    falling = falling if power == 1.0 else falling**power
    return end_learning_rate + (learning_rate - end_learning_rate) * falling


def stairs(t, steps, rates: tuple[float, ...] = (1.0, 0.5)):
    return np.asarray(rates)[np.minimum((t * len(rates) / steps).astype(int), len(rates) - 1)]


def one(draw, file: str):
    with np.load(draw.folder / file) as arrays:
        return {name: arrays[name][draw.number] for name in arrays.files}


class Rows(Source):
    def __init__(self, parameters, folder):
        with np.load(folder / parameters["file"]) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
        self.limit, self.dimension = self.arrays["curvature"].shape

    def draw(self, root, draws, workers):
        batch = empty_batch(draws.size, self.dimension)
        batch.curvature[:], batch.initial_residual[:] = self.arrays["curvature"][draws], self.arrays["residual"][draws]
        batch.test_matrix[:], batch.curvature_axes[:] = 0.5 * np.eye(self.dimension), np.eye(self.dimension)
        batch.test_floor[:] = self.arrays["test_floor"][draws]
        batch.target[:] = 0.0
        return batch


rows = Problem("rows", "a file's", (Parameter("file", rules.text, REQUIRED),), Rows)
'''
FAULTS = """
import numpy as np

counter = iter(range(10**9))


def shape(t, steps, learning_rate):
    return np.ones(3)


def nan(t, steps, learning_rate):
    return np.where(t > 2, np.nan, 1.0)


def negative(t, steps, learning_rate):
    return learning_rate - t


def raising(t, steps, learning_rate):
    return missing * t


def by_length(t, steps, learning_rate):
    return learning_rate * np.linspace(1.0, 0.0, len(t))


def taking(step, learning_rate):
    return step


def unit_taken(t, steps, unit):
    return t


def no_residual(draw):
    return {"curvature": [1.0]}


def other_shape(draw):
    return {"curvature": [1.0, 2.0], "residual": [1.0]}


def not_finite(draw):
    return {"curvature": [1.0], "residual": [np.inf]}


def no_draw(seed):
    return {}


def unlike(draw):
    size = 1 + (draw.number > 3)
    return {"curvature": np.ones(size), "residual": np.ones(size)}


def changing(draw):
    return {"curvature": [1.0], "residual": [1.0 + next(counter)]}


def throwing(draw):
    return draw.root / 0


def few_targets(draw):
    x = np.ones((20, 3))
    return {"x": x, "y": np.ones(19), "test_x": x, "test_y": np.ones(20)}


def flat_rows(draw):
    return {"x": np.ones(20), "y": np.ones(20), "test_x": np.ones(20), "test_y": np.ones(20)}
"""
# Two classes on either side of a line, some of them mistaken.
SIDES = """

def sides(draw):
    x = draw.random.normal(size=(60, 2))
    y = x[:, 0] > 0.3 * draw.random.normal(size=60)
    return {"x": x[:40], "y": y[:40], "test_x": x[40:], "test_y": y[40:]}
"""


def tables(kind="cosine", problem=None, **changes):
    """A small grid."""
    own = {"kind": kind, "name": "mine", "learning_rate": [0.3, 1.0], "steps": 400, "unit": "sharpness"}
    return {
        "problem": problem or {"kind": "nakkiran2020"},
        "seeds": {"count": 40},
        "stop": {"train_loss": [1e-2, 1e-3], "max_steps": 400},
        "record": {"points": 20},
        "run": {"block_seeds": 10},
        "schedule": [own],
        **changes,
    }


def same_bits(first, second):
    """Whether two runs have the same numbers."""
    assert first.names == second.names
    for name in set(first.names) - STAYS_THE_SAME:
        if first[name].dtype != object:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.fixture
def copies(folder):
    """A folder with the copies, and three quadratics."""
    (folder / "mine.py").write_text(COPIES)
    (folder / "faults.py").write_text(FAULTS)
    rng = np.random.default_rng(3)
    arrays = {"curvature": rng.uniform(0.5, 2.0, (9, 3)), "residual": rng.normal(size=(9, 3))}
    np.savez(folder / "arrays.npz", **arrays, test_floor=rng.uniform(size=9))
    return folder


# ---- the same bits ----


def test_a_copy_of_cosine_has_its_bits(copies):
    same_bits(simlr.run(tables()), simlr.run(tables("mine.py:cosine")))
    rates = [simlr.schedules.tabulate(kind, steps=9, learning_rate=0.3) for kind in ("cosine", "mine.py:cosine")]
    assert rates[0].tobytes() == rates[1].tobytes()


@pytest.mark.parametrize("name", ["one", "rows"])
def test_a_copy_of_quadratic_has_its_bits(copies, name):
    made = [
        simlr.run(tables(problem={"kind": kind, "file": "arrays.npz"}, seeds={"count": 9}))
        for kind in ("quadratic", f"mine.py:{name}")
    ]
    same_bits(*made)
    assert made[1].config.paper == f"mine.py:{name}" and np.isfinite(made[0].test_loss).all()


def test_a_vector_is_no_axis_and_a_list_of_them_is(copies):
    schedule = {"name": "s", "kind": "mine.py:stairs", "steps": 4, "rates": [[1.0, 0.5], [0.4, 0.3, 0.2, 0.1]]}
    config = simlr.GridConfig.from_tables(tables(schedule=[schedule]))
    assert [one.rates(0, 4).tolist() for one, _ in config.schedules()] == [[1.0, 1.0, 0.5, 0.5], [0.4, 0.3, 0.2, 0.1]]
    assert simlr.GridConfig.from_toml(config.to_toml()) == config


# ---- faults ----


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shape", r"faults.py:shape: rates of 7 steps must have shape \(7,\), got \(3,\)"),
        ("nan", "faults.py:nan: the rate must be a number >= 0, got nan at step 3"),
        ("negative", "faults.py:negative: the rate must be a number >= 0, got -0.7 at step 1"),
        ("raising", "faults.py:raising: fails for steps 0 to 6: line 20: NameError: name 'missing' is not defined"),
        ("by_length", "faults.py:by_length: the rate of step 1 .* must depend on t alone, element by element"),
        ("taking", r"faults.py:taking: a schedule is a function \(t, steps, parameters\), each parameter by its name"),
        ("unit_taken", "faults.py:unit_taken: a parameter cannot be called 'unit', which a schedule's table has"),
        ("shap", "faults.py: unknown name 'shap'; did you mean 'shape'"),
    ],
)
def test_faults_of_a_schedule_are_one_line(copies, name, message):
    with pytest.raises(InputError, match=message) as refusal:
        simlr.run(tables(f"faults.py:{name}"))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_residual", "faults.py:no_residual: returns no 'residual'"),
        ("other_shape", r"faults.py:other_shape: residual must have shape \(2,\), got \(1,\)"),
        ("not_finite", "faults.py:not_finite: residual of draw 0 must be finite"),
        ("no_draw", r"faults.py:no_draw: a problem is a function \(draw, parameters\), each parameter by its name"),
        ("unlike", r"faults.py:unlike: returns curvature of shape \(2,\) in draw 4 and \(1,\) in the first"),
        ("changing", "faults.py:changing: residual of one draw differs the second time; take random numbers"),
        ("throwing", "faults.py:throwing: fails in draw 0 of root 0: line 61: ZeroDivisionError: division by zero"),
        ("few_targets", r"faults.py:few_targets: y must have shape \(20,\), got \(19,\)"),
        ("flat_rows", r"faults.py:flat_rows: x must have shape \(rows, features\), got \(20,\)"),
        ("nan", r"faults.py:nan: a problem is a function \(draw, parameters\)"),
    ],
)
def test_faults_of_a_problem_are_one_line(copies, name, message):
    with pytest.raises(InputError, match=message) as refusal:
        simlr.run(tables(problem={"kind": f"faults.py:{name}"}))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:", "broken.py: cannot be loaded: line 1: "),
        ("x = 1\nraise SystemExit(3)", "broken.py: cannot be loaded: line 2: SystemExit: 3"),
        ("import no_such_package", "broken.py: cannot be loaded: line 1: ModuleNotFoundError: No module named"),
        (None, "broken.py: cannot be read: No such file or directory"),
    ],
)
def test_files_that_cannot_be_run_are_one_line(folder, source, message):
    if source is not None:
        (folder / "broken.py").write_text(source)
    with pytest.raises(InputError, match=message) as refusal:
        simlr.run(tables("broken.py:f"))
    assert "\n" not in str(refusal.value)


# ---- the run file ----


# A source that this process does not run, so that its run files are somebody else's; one that tells of being run.
FOREIGN = COPIES + "# of another process\n"
TELLING = "open('has-been-run', 'w').close()\n" + COPIES
SHARDS = """
from simlr.grid.__main__ import main
for shard in range(2):
    assert main(["grid.toml", "--shard", f"{shard}/2", "--out", f"{shard}.h5", "--quiet"]) == 0
"""


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A folder in which another process has computed two shards of a grid with a plug-in."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "mine.py").write_text(FOREIGN)
    text = simlr.GridConfig.from_tables(tables()).to_toml().replace('"cosine"', '"mine.py:cosine"')
    (folder / "grid.toml").write_text(text)
    command = [sys.executable, "-c", SHARDS]
    done = subprocess.run(command, cwd=folder, env=runs.environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def shards(computed, folder):
    """The same two shards, whose source has changed since."""
    for name in ("grid.toml", "0.h5", "1.h5"):
        shutil.copy(computed / name, folder)
    (folder / "mine.py").write_text(TELLING)
    return folder


def test_a_run_file_names_the_source_and_never_runs_it(shards, capsys):
    assert merge.main(["0.h5", "1.h5", "--out", "whole.h5"]) == 0
    assert grid.main(["--verify", "whole.h5"]) == 0 and status.main(["whole.h5"]) == 0
    assert report.main(["whole.h5", "--out", "page", "--format", "csv,md"]) == 0
    run = simlr.load("whole.h5")
    assert run.plot("course").axes and np.isnan(run.config.schedules()[0][0].rates(0, 2)).all()
    with pytest.raises(InputError, match=r"schedule 'mine.py:cosine': its source is not loaded"):
        simlr.run(run.config)
    assert run.config.replace(name="x").schedule == run.config.schedule
    assert not os.path.exists("has-been-run")
    page = (shards / "page/report.md").read_text().replace("\\", "")
    assert "mine.py:cosine, SHA-256" in page and "runs nobody's code: mine.py:cosine" in page
    # The file that is trusted by name has to be the one.
    assert report.main(["whole.h5", "--plugin", "mine.py"]) == 2
    assert report.main(["--explore", "whole.h5", "--plugin", "mine.py"]) == 2
    assert capsys.readouterr().err.count("is not what the run was computed with") == 2
    (shards / "mine.py").write_text(FOREIGN)
    assert report.main(["whole.h5", "--plugin", "mine.py", "--out", "page", "--format", "md"]) == 0
    assert "nobody's code" not in (shards / "page/report.md").read_text()
    assert simlr.load("whole.h5").config.plugins[0].plugin.is_loaded  # by now
    same_bits(simlr.load("whole.h5"), simlr.run(tables()))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        '[{"role": "schedule"}]',
        '[{"role": "schedule", "name": "mine.py:cosine", "digest": 3, "package": "", "parameters": "abc"}]',
        '[{"role": "schedule", "name": "mine.py:cosine", "parameters": {"x": "value"}, "defaults": 7}]',
    ],
)
def test_descriptions_that_are_damaged_are_one_line(text):
    grid = simlr.GridConfig.from_tables(tables()).to_toml().replace('"cosine"', '"mine.py:cosine"')
    with pytest.raises(InputError, match="its description of plug-ins is damaged") as refusal:
        read_recorded({"config": grid, "plugins": text})
    assert "\n" not in str(refusal.value)


def test_a_run_file_without_a_description_runs_no_file(copies):
    (copies / "mine.py").write_text(TELLING)
    grid = simlr.GridConfig.from_tables(tables()).to_toml().replace('"cosine"', '"mine.py:cosine"')
    for text in (grid, grid.replace('"nakkiran2020"', '"mine.py:one"')):
        with pytest.raises(InputError, match=r"unknown kind 'mine.py:\w+'"):
            read_recorded({"config": text})
    with pytest.raises(InputError, match=r"unknown study 'mine.py:one'"):
        read_recorded({"config": '[study]\nkind = "mine.py:one"\n'})
    assert not os.path.exists("has-been-run")


def test_another_source_is_refused(shards, capsys):
    for more in ([], ["--accept-other"]):
        assert grid.main(["grid.toml", "--shard", "0/2", "--out", "0.h5", "--resume", *more]) == 2
        assert "its code is not what it was" in capsys.readouterr().err
    assert os.path.exists("has-been-run")  # a grid's file is
    assert grid.main(["grid.toml", "--shard", "0/2", "--out", "0.h5", "--overwrite", "--quiet"]) == 0
    assert merge.main(["0.h5", "1.h5", "--out", "other.h5"]) == 2
    assert "they are not of the same code" in capsys.readouterr().err


def test_workers_get_the_source(copies):
    """What travels to a worker is enough there, without the folder."""
    from simlr.grid.cluster import worker
    from simlr.plugins import loading

    config = simlr.GridConfig.from_tables(tables("mine.py:cosine", {"kind": "mine.py:one", "file": "arrays.npz"}))
    order = worker.order(config, 1)
    assert [source for _, source in order.sources] == [COPIES.encode()] and set(order.files) == {"arrays.npz"}
    for name in os.listdir(copies):
        os.remove(name)
    loading._run.clear()
    attributes = worker.take_over("plug-ins", order)
    try:
        assert json.loads(attributes["plugins"])[0]["name"] == "mine.py:one"
        arrays = worker.compute("plug-ins", 0, 5)
        assert np.isfinite(arrays["test_loss"]).all()
    finally:
        worker.forget("plug-ins")
    with pytest.raises(
        InputError, match=r"plug-in mine.py:\w+ is not there in that version: install it on every worker"
    ):
        loading._run.clear()
        worker.take_over("without", order._replace(sources=()))


# ---- packages ----


@pytest.fixture
def package(folder, monkeypatch):
    """An installed package with a schedule, a problem and a paper."""
    site = folder / "site"
    (site / "mypack-1.5.dist-info").mkdir(parents=True)
    (site / "mypack").mkdir()
    (site / "mypack/__init__.py").write_text("")
    (site / "mypack/copies.py").write_text(COPIES)
    (site / "mypack/euler.py").write_text(EXAMPLES[3][1].replace("euler1734.py:STUDY", "euler"))
    (site / "mypack-1.5.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: mypack\nVersion: 1.5\n")
    points = "[simlr.schedules]\nours = mypack.copies:cosine\ncosine = mypack.copies:cosine\n"
    points += "[simlr.problems]\nmany = mypack.copies:one\n[simlr.papers]\neuler = mypack.euler\nbroken = mypack.none\n"
    (site / "mypack-1.5.dist-info/entry_points.txt").write_text(points)
    np.savez("arrays.npz", curvature=np.ones((9, 2)), residual=np.ones((9, 2)))
    monkeypatch.syspath_prepend(site)
    yield site
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypack"]:
        del sys.modules[name]


def test_packages_offer_kinds(package):
    run = simlr.run(tables("ours", {"kind": "many", "file": "arrays.npz"}, seeds={"count": 9}), out="packed.h5")
    recorded = json.loads(run.attributes["plugins"])
    assert [(one["name"], one["package"]) for one in recorded] == [("many", "mypack 1.5"), ("ours", "mypack 1.5")]
    assert run.config.plugins[0].plugin.is_loaded
    assert not simlr.run(tables("cosine")).config.plugins  # simlr's own name stays simlr's
    with pytest.raises(InputError, match="unknown kind 'our'; did you mean 'ours'"):
        simlr.run(tables("our"))


def test_packages_are_listed_and_their_papers_judged(package, capsys):
    assert catalogue.main([]) == 0
    listed = capsys.readouterr().out
    assert "ours  (schedule)" in listed and "(package mypack 1.5)" in listed
    assert "simlr's own of this name is used" in listed and "euler" in listed
    assert "broken of package mypack 1.5: cannot be loaded: ModuleNotFoundError" in listed
    assert papers.main(["euler"]) == 0 and "as it must" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"broken of package mypack 1.5: cannot be loaded"):
        simlr.run("broken")


def test_a_file_is_listed(copies, capsys):
    assert catalogue.main(["mine.py:cosine"]) == 0 and "The cosine." in capsys.readouterr().out
    assert catalogue.main(["mine.py", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["entries"]
    assert [one["name"] for one in found] == ["mine.py:cosine", "mine.py:stairs", "mine.py:one", "mine.py:rows"]
    assert catalogue.main(["mine.py:cosin"]) == 2
    meanings = {one["name"]: one["meaning"] for one in found[2]["parameters"]}
    assert meanings["model"].startswith("where it returns rows: linear, or diagonal") and meanings["file"] == ""


# ---- the document ----


@pytest.fixture
def documented(folder):
    """The examples of docs/plugins.md in their files."""
    code = [text for language, text in EXAMPLES if language == "python"]
    (folder / "mine.py").write_text(code[0] + code[1])
    (folder / "euler1734.py").write_text(code[2])
    (folder / "own.toml").write_text(next(text for language, text in EXAMPLES if language == "toml"))
    return folder


def test_the_documents_schedule_and_problem(documented):
    run = simlr.run("own.toml")
    curvature, residual = run["curvature"], run["initial_residual"].copy()
    np.testing.assert_array_equal(curvature[:20], np.tile(np.arange(1.0, 4.0) ** -0.5, (20, 1)))
    for t in range(50):
        residual = residual * (1.0 - 1.5 * (1.0 - t / 50.0) / (1.0 + 2.0 * t / 50.0) * curvature)
    np.testing.assert_allclose(run["test_loss"][1, :, 0], 0.5 * (residual**2).sum(axis=1), rtol=1e-11)
    assert (run["initial_residual"][:20] == run["initial_residual"][20:]).all()


def test_the_documents_rows_descend_as_least_squares(documented):
    grid = tables(problem={"kind": "mine.py:line", "noise": [0.1, 0.5]}, seeds={"count": 2}, stop={"steps": [5]})
    grid["schedule"] = [{"kind": "constant", "learning_rate": 0.1, "steps": 5}]
    run = simlr.run(grid)
    for seed in range(4):
        random = np.random.Generator(np.random.Philox(key=np.array([0, seed % 2], np.uint64)))
        x = random.normal(size=(120, 3))
        y = x @ [1.0, -2.0, 0.5] + (0.1, 0.5)[seed // 2] * random.normal(size=120)
        theta = np.zeros(3)
        for _ in range(5):
            theta -= 0.1 * 2.0 / 20.0 * x[:20].T @ (x[:20] @ theta - y[:20])
        assert run["test_loss"][0, seed, 0] == pytest.approx(np.mean((x[20:] @ theta - y[20:]) ** 2), rel=1e-11)


COUNTED = """

def counted(draw):
    y = np.concatenate([np.arange(12.0), np.arange(100.0, 105.0), np.arange(200.0, 207.0)])
    x = np.stack([y, y * y], axis=1)
    parts = {"": slice(0, 12), "validation_": slice(12, 17), "test_": slice(17, 24)}
    return {f"{name}{key}": values[part] for name, part in parts.items() for key, values in (("x", x), ("y", y))}
"""


def test_rows_go_with_classes_and_mini_batches(documented):
    source = (documented / "mine.py").read_text() + SIDES
    (documented / "mine.py").write_text(source)
    steps = {"stop": {"steps": [30]}, "schedule": [{"kind": "constant", "learning_rate": 0.5, "steps": 30}]}
    run = simlr.run(tables(problem={"kind": "mine.py:sides", "loss": "logistic"}, seeds={"count": 5}, **steps))
    assert (run["test_accuracy"] > 0.7).all() and (run["test_loss"] < np.log(2.0)).all()
    noisy = tables(problem={"kind": "mine.py:line"}, seeds={"count": 5}, noise=[{"kind": "minibatch", "batch_size": 4}])
    noisy |= {"stop": {"steps": [30]}, "schedule": [{"kind": "constant", "learning_rate": 0.05, "steps": 30}]}
    assert np.isfinite(simlr.run(noisy).test_loss).all()
    for key, value in (("loss", "logistic"), ("model", "diagonal"), ("ridge", 0.1)):
        asked = (
            rf"problem\.{key} = {value!r} goes with problems that have rows, such as 'dataset', not with 'mine.py:sp"
        )
        with pytest.raises(InputError, match=asked):
            simlr.run(tables(problem={"kind": "mine.py:spread", key: value}))


def test_rows_stay_in_their_sets_and_each_draw_orders_them_anew(documented):
    """As docs/plugins.md says."""
    source = (documented / "mine.py").read_text() + COUNTED
    (documented / "mine.py").write_text(source)
    problem = registry.find("problem.kind", "mine.py:counted", documented)
    sets = problem.prepare({"ridge": 0.1}, documented).samples(0, np.arange(3), 1)
    for rows, expected in ((sets.train, range(12)), (sets.validation, range(100, 105)), (sets.test, range(200, 207))):
        for x, y in zip(rows.x, rows.y, strict=True):
            np.testing.assert_array_equal(x, np.stack([y, y * y], axis=1))
            assert sorted(y) == list(expected)
        assert len({tuple(y) for y in rows.y}) == 3


def test_the_documents_paper(documented, capsys):
    run = simlr.run("euler1734.py")
    assert run.verdict.outcome == "holds" and "verdict: holds" in repr(run)
    assert papers.main(["euler1734.py"]) == 0 and "as it must" in capsys.readouterr().out
    again = simlr.run("euler1734.py", out="euler.h5")
    assert again.verdict.outcome == "holds" and simlr.run("euler1734.py", out="euler.h5", resume=True).complete
    (documented / "euler1734.py").write_text((documented / "euler1734.py").read_text() + "# changed\n")
    with pytest.raises(InputError, match="its code is not what it was"):
        simlr.run("euler1734.py", out="euler.h5", resume=True)


@pytest.mark.parametrize(
    ("line", "changed", "message"),
    [
        ('return {"total"', 'return {"totl"', "euler1734.py:STUDY: measure fails: ValueError: study .* declares"),
        ('return {"total"', 'return unknown or {"total"', "euler1734.py:STUDY: measure fails: line 23: NameError"),
        (
            "float(run[",
            "float(run.no[",
            "euler1734.py:STUDY: check fails: line 36: AttributeError: run has no dataset 'no'",
        ),
        ("CLAIM = ", "CLAM = ", "euler1734.py: is no paper: it has no CLAIM"),
    ],
)
def test_faults_of_a_paper_are_one_line(documented, line, changed, message):
    text = (documented / "euler1734.py").read_text()
    assert line in text
    (documented / "euler1734.py").write_text(text.replace(line, changed))
    with pytest.raises(InputError, match=message) as refusal:
        simlr.run("euler1734.py").verdict  # noqa: B018
    assert "\n" not in str(refusal.value)


def test_the_document_is_neat(documented):
    settings = ("--config", str(runs.ROOT / "pyproject.toml"))
    for action in (("check", "--select", "E,F,W"), ("format", "--check")):
        files = ("euler1734.py",) if action[0] == "format" else ("mine.py", "euler1734.py")
        command = [sys.executable, "-m", "ruff", *action, *settings, "--ignore" if action[0] == "check" else "--quiet"]
        command += ["E402"] if action[0] == "check" else []
        done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
