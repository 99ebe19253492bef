"""Figures as files, the numbers of their curves, and that nobody's settings of matplotlib change a report."""

import csv
import itertools
import re
import shutil
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import runs

import simlr
from simlr.analysis.run_analysis import Analysis
from simlr.report import __main__ as report
from simlr.report.figures import style
from simlr.report.figures.inline import legend_entries
from simlr.report.figures.run import course
from simlr.report.view import View

pytest.importorskip("matplotlib")
KEYS = {"against", "annealing", "course", "distribution", "paths", "ratio", "test-against-train"}


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory):
    """(the run, the folder of its report with figures)."""
    folder = tmp_path_factory.mktemp("figures")
    shutil.copy(finished, folder / "run.h5")
    assert report.main([str(folder / "run.h5"), "--out", str(folder / "made"), "--figures", "svg, pdf,png"]) == 0
    return simlr.load(folder / "run.h5"), folder / "made"


def curves(folder):
    with open(folder / "figures.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_figure_of_the_page_is_a_file_in_every_format(made):
    page = (made[1] / "report.html").read_text(encoding="utf-8")
    on_page = set(re.findall(r'<figure id="([^"]*)"', page))
    assert on_page == KEYS
    for suffix in ("svg", "pdf", "png"):
        assert {path.name for path in made[1].glob(f"*.{suffix}")} == {f"figure-{key}.{suffix}" for key in on_page}
    # Whether figures are asked for does not change the page.
    assert report.main([str(made[1].parent / "run.h5"), "--out", str(made[1].parent / "bare"), "--format", "html"]) == 0
    assert (made[1].parent / "bare/report.html").read_text(encoding="utf-8") == page


def test_text_is_text_in_svg_and_pdf(made):
    for key in KEYS:
        root = ET.parse(made[1] / f"figure-{key}.svg").getroot()
        words = " ".join("".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text"))
        assert "loss" in words or "rate" in words or "percent" in words, key
        pdf = (made[1] / f"figure-{key}.pdf").read_bytes()
        # The font itself is inside, with what its glyphs mean, so that text can be selected and searched.
        assert pdf.startswith(b"%PDF") and b"/FontFile2" in pdf and b"/ToUnicode" in pdf and b"CreationDate" not in pdf
        streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
        contents = b"".join(_inflated(stream) for stream in streams)
        assert b" Tj" in contents or b" TJ" in contents
        assert (made[1] / f"figure-{key}.png").read_bytes().startswith(b"\x89PNG")


def _inflated(stream):
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""


def test_the_numbers_of_the_curves_are_those_of_the_analysis(made):
    run, folder = made
    found, lines = Analysis(run), curves(folder)
    assert {line["figure"] for line in lines} == KEYS
    drawn = {line["y"]: line for line in lines if line["figure"] == "against"}
    told = {pair.a: pair for pair in found.against.values() if pair.pairs and pair.outcome != "apart"}
    assert drawn and set(drawn) <= {re.sub(r"\b[\w.]+=", "", name) for name in told} | set(told)
    for name, line in drawn.items():
        pair = next(pair for a, pair in told.items() if name in (a, re.sub(r"\b[\w.]+=", "", a)))
        assert float(line["x"]) == pytest.approx(pair.ratio, rel=1e-12)
        # matplotlib is given the ends as distances from the middle.
        np.testing.assert_allclose(
            [float(line["low"]), float(line["high"])], [pair.ratio_low, pair.ratio_high], rtol=1e-9
        )
        assert line["interval_of"] == "x"
    assert not {"nan", "inf"} & {line[column].lower() for line in lines for column in ("x", "y", "low", "high")}
    rows = {row.level: row for row in found.rows if row.schedule == "annealed"}
    of_figure = [line for line in lines if line["figure"] == "test-against-train" and line["curve"] == "annealed"]
    for level, row in rows.items():
        assert any(
            float(line["x"]) == pytest.approx(row.train_loss)
            and float(line["y"]) == pytest.approx(row.test_loss / row.train_loss)
            for line in of_figure
        ), level


def test_bad_names_are_one_line(finished, capsys):
    for arguments, said in (
        (["--figures", "svg,eps"], "unknown format 'eps'; valid are svg, pdf, png"),
        (["--figures", "svg", "--explore"], "--figures goes with a report, not with --explore"),
    ):
        with pytest.raises(SystemExit) as stopped:
            report.main([str(finished), *arguments])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]


def test_figures_that_another_run_left_go_and_other_peoples_stay(made, tmp_path):
    out = tmp_path / "made"
    shutil.copytree(made[1], out)
    (out / "figure-mine.svg").write_text("<svg/>")
    run = tmp_path / "one.h5"
    simlr.run(runs.grid(schedule=[{"kind": "flow"}], record__points=0), out=run)
    assert report.main([str(run), "--out", str(out), "--format", "md", "--figures", "svg"]) == 0
    left = {path.name for path in out.glob("figure-*.svg")}
    assert "figure-mine.svg" in left and "figure-paths.svg" not in left and "figure-distribution.svg" in left
    assert (out / "figure-paths.pdf").exists()  # of PDF nothing was asked for
    (out / "figure-distribution.svg").write_text("<svg/>")
    assert report.main([str(run), "--out", str(out), "--format", "md", "--figures", "svg"]) == 2


SETTINGS = """
backend: TkAgg
font.family: serif
font.size: 31
text.usetex: True
figure.dpi: 301
savefig.dpi: 33
savefig.transparent: True
axes.prop_cycle: cycler("color", ["ff0000", "00ff00"])
axes.facecolor: 123456
axes.formatter.use_locale: True
lines.linewidth: 9
svg.fonttype: path
pdf.fonttype: 3
"""


def test_settings_of_a_notebook_change_no_byte(made, tmp_path):
    """MPLBACKEND, one that there is not, and a matplotlibrc in the working folder."""
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    run = made[1].parent / "run.h5"
    command = [sys.executable, "-m", "simlr.report", run, "--out", "made", "--format", "html", "--figures", "svg,pdf"]
    environment = runs.environment(MPLBACKEND="no-such-backend")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    for path in (tmp_path / "made").iterdir():
        assert path.read_bytes() == (made[1] / path.name).read_bytes(), path.name
    assert len(list(Path(tmp_path / "made").iterdir())) == 2 * len(KEYS) + 3


def test_a_long_title_and_legend_do_not_squash_the_panels_of_a_file():
    with style.applied():
        figure, (panel,) = style.figure()
        for i in range(7):
            panel.plot([1, 2], [i, i + 1], label=f"a schedule of many letters and a number {i}", **style.line(i))
        style.legend(figure, panel)
        style.title(figure, "a sentence of some length " * 12)
    page_height = figure.get_figheight()
    image = style.saved(figure, "png")
    height = struct.unpack(">II", image[16:24])[1] / style.PIXELS_AN_INCH
    assert panel.get_position().height * height > 0.6 * page_height
    assert figure.get_figheight() == page_height


def test_the_panels_of_the_course_have_one_axis_of_time():
    """Where the losses of a panel span little its axis is linear, and that of time, which all share, is not."""
    run = simlr.run(runs.grid(runs.ROOT / "data/diabetes.toml", seeds__count=30, record__seeds=30, record__points=30))
    found = Analysis(run)
    with style.applied():
        figure = course(View(run, found.rows, found.lead)).figure
        figure.canvas.draw()
    scales = {panel.get_yscale() for panel in figure.axes}
    places = [[panel.transData.transform((time, 1.0))[0] for time in (0.1, 1.0, 10.0)] for panel in figure.axes]
    assert scales == {"linear", "log"} and places[0] == places[1] == places[2] and places[0][0] < places[0][1]


def test_a_legend_has_dashes_and_marker_of_a_line_with_intervals():
    with style.applied():
        figure, (panel,) = style.figure()
        panel.errorbar([1, 2], [1, 2], yerr=0.5, label="a line", **style.line(1))
        style.legend(figure, panel)
    (entry,) = legend_entries(figure)
    assert (entry.label, entry.marker) == ("a line", style.MARKERS[1]) and entry.dashes


def test_contours_are_shades_of_ink_which_a_dark_page_turns_to_light(made):
    """The ink is what a page fills with where nothing is said; a colour of its own would be one of the light page."""
    page = (made[1] / "report.html").read_text(encoding="utf-8")
    picture = page[page.index('class="plot"', page.index('id="paths"')) :]
    areas = re.findall(r'<path [^>]*fill-opacity="[^"]*"[^>]*>', picture[: picture.index("</svg>")])
    shades = {re.search(r'fill-opacity="([^"]*)"', area)[1] for area in areas if " fill=" not in area}
    assert len(shades) > 5
    assert not re.search(r'<path [^>]*fill="var\(--line\)"', picture[: picture.index("</svg>")])


def test_shares_on_an_axis_of_train_loss_are_written_as_other_numbers_are():
    view = SimpleNamespace(depths=[1e69, 3.2e66, 0.5], by_loss=False, excess=False)
    with style.applied():
        figure, panels = style.figure()
        panels[0].plot(view.depths, [1, 2, 3])
        style.train_loss_axis(view, panels[0])
        figure.draw_without_rendering()
    told = [text.get_text() for text in panels[0].get_xticklabels()]
    assert told and "1e69" in told and not any("+" in text for text in told)


@pytest.mark.parametrize("span", [4.0, 6.0, 10.0, 15.0, 30.0, 60.0, 100.0, 700.0])
@pytest.mark.parametrize("columns", [1, 3])
def test_the_ticks_of_an_axis_have_room_beside_each_other(span, columns):
    with style.applied():
        figure, panels = style.figure(columns)
        for panel in panels:
            panel.plot([0.003, 0.003 * span], [1, 2])
            style.positive_axis(panel, "x", [0.003, 0.003 * span])
        style.svg(figure)  # with ticks as they are written
        figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in panels[0].get_xticklabels() if text.get_text()]
    left, right = panels[0].get_window_extent().intervalx
    boxes = sorted((box.x0, box.x1) for box in boxes if left <= (box.x0 + box.x1) / 2 <= right)
    assert len(boxes) > 1
    # With the room of half a letter: a page has a font of its own, which may be wider.
    assert all(end + 0.05 * figure.dpi < start for (_, end), (start, _) in itertools.pairwise(boxes))


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_long_numbers_of_an_axis_have_room_beside_each_other(columns):
    with style.applied():
        figure, panels = style.figure(columns)
        panels[0].plot([0, 53310], [1, 2])
        style.svg(figure)
        figure.draw_without_rendering()
    boxes = sorted(text.get_window_extent().intervalx.tolist() for text in panels[0].get_xticklabels())
    assert all(end + 0.1 * figure.dpi < start for (_, end), (start, _) in itertools.pairwise(boxes))


BACKEND = """
import os, sys
os.environ["MPLBACKEND"] = sys.argv[1]
from simlr.report.figures import importing
assert importing.available()
import matplotlib
print(matplotlib.get_backend(), os.environ["MPLBACKEND"])
"""


@pytest.mark.parametrize(("backend", "left"), [("svg", "svg"), ("module://theirs", "module://theirs")])
def test_a_notebook_still_shows_its_readers_pictures(backend, left):
    """Its kernel names how pictures are shown, which matplotlib looks at as it is imported, perhaps by simlr."""
    told = subprocess.run(
        [sys.executable, "-c", BACKEND, backend], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.split() == [left, backend]


def test_a_backend_that_is_none_does_no_harm():
    told = subprocess.run([sys.executable, "-c", BACKEND, "nonesuch"], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
