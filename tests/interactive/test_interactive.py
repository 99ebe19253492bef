"""A run in a notebook or a script: words, pictures, comparison and report, the same from a file and from memory."""

import csv
import io
import sys
import threading
import types
import warnings

import numpy as np
import pytest
import runs

import simlr
from simlr.analysis.run_analysis import Analysis
from simlr.cli import progress
from simlr.errors import InputError
from simlr.report import __main__ as command
from simlr.report.csv_files import csv_files
from simlr.report.figures.files import numbers
from simlr.report.figures.style import Picture
from simlr.report.pages import drawn, run_pictures
from simlr.report.story import leading
from simlr.report.view import View

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:matplotlib")
TABLES = {
    "name": "face",
    "problem": {"kind": "nakkiran2020"},
    "seeds": {"count": 60},
    "stop": {"train_loss": (1e-2, 1e-3), "max_steps": 4000},
    "record": {"points": 30},
    "schedule": [
        {"kind": "flow"},
        {"name": "small", "kind": "constant", "learning_rate": np.array([0.1, 0.3])},
        {"name": "annealed", "phases": ({"kind": "constant", "learning_rate": 1.5, "steps": 1}, {"kind": "flow"})},
    ],
}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same run, from memory and from its file."""
    path = tmp_path_factory.mktemp("face") / "face.h5"
    return simlr.run(TABLES), simlr.run(TABLES, out=path)


# ---- what runs ----


def test_arrays_stand_in_the_grid_as_in_a_file(tmp_path):
    rng = np.random.default_rng(7)
    arrays = {"curvature": rng.uniform(0.5, 2.0, (5, 3)), "residual": rng.normal(size=(5, 3))}
    arrays |= {"test_matrix": np.eye(3), "train_floor": np.array(0.25)}
    np.savez(tmp_path / "arrays.npz", **arrays)
    tables = {"stop": {"steps": (3, 7)}, "record": {"points": 0}, "schedule": TABLES["schedule"][1:2]}
    here = simlr.run({"problem": {"kind": "quadratic", **arrays}, **tables})
    there = simlr.run({"problem": {"kind": "quadratic", "file": str(tmp_path / "arrays.npz")}, **tables})
    for name in set(here.names) - {"finished_at", "wall_seconds", "end_crc32"}:
        np.testing.assert_array_equal(here[name], there[name])
    assert there.config.problem == {"kind": "quadratic", "file": str(tmp_path / "arrays.npz")}
    assert simlr.GridConfig.from_toml(here.config.to_toml()) == here.config


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"curvature": [1.0]}, "problem (kind 'quadratic'): residual is missing"),
        ({"curvature": [1.0], "residual": [[1.0, 2.0]]}, "problem: array 'residual' must have shape (1, 1) or (1,)"),
        ({"curvature": [[1.0], [2.0, 3.0]], "residual": [1.0]}, "problem.curvature must be an array of numbers"),
        ({"curvature": [np.nan], "residual": [1.0]}, "problem.curvature must be finite"),
        ({"curvature": [1.0], "residual": [1.0], "file": "a.npz"}, "has both file and curvature"),
        ({"curvature": np.ones((1001, 1000)), "residual": [1.0]}, "1,001,001 numbers, more than the 1,000,000"),
    ],
)
def test_arrays_that_do_not_do_are_refused(arrays, message):
    with pytest.raises(InputError) as refusal:
        simlr.run({**TABLES, "problem": {"kind": "quadratic", **arrays}})
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_an_interrupted_run_is_what_was_computed(monkeypatch):
    first = []

    def interrupt(done, total):
        first.append(done)
        raise KeyboardInterrupt

    tables = {**TABLES, "seeds": {"count": 4000}, "run": {"block_seeds": 50}}
    with monkeypatch.context() as patch:
        runs.hold_after(patch, 3)
        run = simlr.run(tables, progress=interrupt)
    done = np.repeat(run.block_done == 1, 50)
    assert not run.complete and 0 < first[0] <= done.sum() <= 150
    assert f"not complete, {done.sum():,} of 4,000 seeds are computed" in repr(run)
    assert np.isfinite(run.test_loss[:, done]).all() and np.isnan(run.test_loss[:, ~done]).all()
    assert (run.stop_step[:, ~done] == -1).all() and (run.status[:, ~done] == 0).all()
    assert "not complete" in run._repr_html_()
    whole = simlr.run(tables)
    np.testing.assert_array_equal(run.test_loss[:, done], whole.test_loss[:, done])


def test_an_interrupted_run_into_a_file_still_says_so(tmp_path, monkeypatch):
    def interrupt(done, total):
        raise KeyboardInterrupt

    runs.hold_after(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        simlr.run({**TABLES, "run": {"block_seeds": 10}}, out=tmp_path / "cut.h5", progress=interrupt)
    assert not simlr.load(tmp_path / "cut.h5").complete


def test_progress_is_shown(capsys, monkeypatch):
    simlr.run(TABLES, progress=True)
    assert capsys.readouterr().out == ""

    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = progress.show(10)
    display.update(4)
    assert isinstance(display, progress.Bar) and display._bar.n == 4
    display.close()


# ---- what it says ----


def test_words(both):
    for run in both:
        assert "4 schedules, 60 seeds, 2 levels; complete" in repr(run) and "verdict: " in repr(run)
        page = run._repr_html_()
        assert page.count("<svg") == 1 and "Nakkiran" in page and "verdict" not in page.split("<svg")[1]
        assert {"test_loss", "schedule", "plot", "report"} <= set(dir(run))
    assert both[0]._repr_html_() == both[1]._repr_html_()


def test_frames_have_all_of_it(both):
    pytest.importorskip("xarray")
    memory, loaded = (run.to_xarray() for run in both)
    ours = {"finished_at", "wall_seconds", "end_crc32"}
    assert memory.drop_vars(ours).equals(loaded.drop_vars(ours))
    assert set(memory.attrs) == set(loaded.attrs) and memory.attrs["config"] == loaded.attrs["config"]
    for name in memory.variables:
        assert {k: np.asarray(v).tolist() for k, v in memory[name].attrs.items()} == {
            k: np.asarray(v).tolist() for k, v in loaded[name].attrs.items()
        }
    assert memory["stop_step"].attrs == {"long_name": "discrete steps taken", "units": "steps"}
    assert "diverged" in memory["status"].attrs["flag_meanings"]
    frame = both[0].to_pandas()
    assert len(frame) == 4 * 60 * 2 and {"schedule_learning_rate", "test_loss", "status"} <= set(frame.columns)


def test_what_is_missing_is_one_line(both, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    for ask in (both[0].to_xarray, both[0].to_pandas):
        with pytest.raises(InputError, match=r'needs the package xarray; pip install "simlr\[xarray\]"'):
            ask()
    monkeypatch.setattr("simlr.report.figures.importing.available", lambda: False)
    with pytest.raises(InputError, match=r'plot: needs matplotlib; pip install "simlr\[report\]"'):
        both[0].plot()
    assert "<svg" not in simlr.run(TABLES)._repr_html_()


# ---- comparison ----


def _cells(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_comparison_has_the_numbers_of_the_file(both):
    for run in both:
        table = _cells(csv_files(Analysis(run))["pairs.csv"])
        for a, b in [("flow", "annealed"), ("small[learning_rate=0.1]", "annealed")]:
            wanted = [line for line in table if (line["a"], line["b"]) == (a, b)]
            found = [row.record() for row in simlr.compare(run, a, b)]
            assert len(found) == len(wanted) == 2
            for row, line in zip(found, wanted, strict=True):
                assert {key: str(value) if value == value else "" for key, value in row.items()} == {
                    key: line[key] for key in row
                }


def test_the_other_way_round_it_says_the_opposite(both):
    opposite = {"better": "worse", "worse": "better"}
    run = both[0]
    for there, back in zip(simlr.compare(run, "flow", "annealed"), simlr.compare(run, "annealed", "flow"), strict=True):
        assert (back.a, back.b, back.level) == ("annealed", "flow", there.level)
        assert (back.p_holm, back.pairs, back.wins, back.losses) == (
            there.p_holm,
            there.pairs,
            there.losses,
            there.wins,
        )
        assert back.ratio == pytest.approx(1.0 / there.ratio, rel=1e-12)
        assert back.outcome == opposite.get(there.outcome, there.outcome)


def test_schedules_that_are_not_there_are_named(both):
    with pytest.raises(InputError, match="compare: unknown schedule 'anealed'; did you mean 'annealed'"):
        simlr.compare(both[0], "flow", "anealed")


def test_what_is_no_run_is_told_in_one_line(both):
    with pytest.raises(InputError, match="annealed: cannot be read: No such file"):
        simlr.compare("annealed", "flow", both[0])
    for call in (lambda: simlr.compare({}, "annealed", "flow"), lambda: simlr.report({}, "page")):
        with pytest.raises(InputError, match="run must be a run or the path of a run file, got a dict"):
            call()


# ---- pictures ----


def test_the_pictures_are_the_reports(both):
    run = both[1]
    analysis, said = run._said()
    made = run_pictures(analysis, said, View(run, analysis.rows))
    report = {picture.key: list(numbers([picture])) for picture in made.values()}
    for key, lines in report.items():
        again = list(numbers([Picture(key, "", run.plot(key))]))
        assert [tuple(map(str, line)) for line in again] == [tuple(map(str, line)) for line in lines]


@pytest.mark.parametrize("name", ["test-against-train", "ratio", "distribution", "course"])
def test_pictures_go_onto_own_axes(both, name):
    from matplotlib.figure import Figure

    run, figure = both[0], Figure(figsize=(7, 9))
    wanted = run.plot(name)
    panels = len(wanted.axes)
    axes = figure.subplots(panels, 1)
    assert run.plot(name, ax=axes) is axes
    for mine, theirs in zip(np.ravel(axes), wanted.axes, strict=True):
        assert mine.get_ylabel() == theirs.get_ylabel() and len(mine.lines) == len(theirs.lines)
        for line, other in zip(mine.lines, theirs.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())
    assert np.ravel(axes)[0].get_title() and np.ravel(axes)[0].get_legend() is not None
    assert wanted.get_suptitle().split() == np.ravel(axes)[0].get_title().split()


def test_the_leading_picture_is_the_pages(both):
    page = drawn(*both[0]._said())
    first = leading(page.pictures, page.own)
    assert run_numbers(both[0].plot()) == run_numbers(first.figure) and first.key == "paths"


def run_numbers(figure):
    """The points of a figure's curves."""
    return [str(line) for line in numbers([Picture("", "", figure)])]


def test_wrong_pictures_are_refused(both):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    with pytest.raises(InputError, match="plot: unknown picture 'rato'; did you mean 'ratio'"):
        both[0].plot("rato")
    with pytest.raises(
        InputError, match="plot: 'course' has 3 panels, and given are 1 axes; ax takes a list of as many"
    ):
        both[0].plot("course", ax=axes)
    assert not axes.lines


# ---- the report ----


def test_the_report_is_the_commands(both, tmp_path):
    path = both[1]._source.path
    assert command.main([str(path), "--out", str(tmp_path / "command"), "--format", "csv,md"]) == 0
    assert simlr.report(path, tmp_path / "path", formats=("csv", "md")) == tmp_path / "path"
    _same_files(tmp_path / "path", tmp_path / "command")
    both[0].report(tmp_path / "memory", formats=["csv"])
    assert (tmp_path / "memory/pairs.csv").read_bytes() == (tmp_path / "command/pairs.csv").read_bytes()


@pytest.mark.slow
def test_the_page_is_the_commands(both, tmp_path):
    path = both[1]._source.path
    assert command.main([str(path), "--out", str(tmp_path / "command")]) == 0
    _same_files(simlr.report(both[1], tmp_path / "run"), tmp_path / "command")


def _same_files(one, other):
    """Whether two folders have the same files, to the byte."""
    names = sorted(file.name for file in other.iterdir())
    assert names == sorted(file.name for file in one.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_report_needs_a_place_and_known_formats(both, tmp_path):
    with pytest.raises(InputError, match=r"report: a run in memory needs a folder to write to: report\(run, out\)"):
        both[0].report()
    with pytest.raises(InputError, match="report: formats: unknown format 'pdf'"):
        both[0].report(tmp_path / "no", formats=["pdf"])
    assert not (tmp_path / "no").exists() and threading.active_count() < 50
