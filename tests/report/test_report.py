"""The report: what it writes, what it escapes, what it refuses, and what it does without."""

import base64
import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import runs

import simlr
from simlr.analysis import directions, families, pairs, run_analysis, summary
from simlr.analysis.summary import baseline
from simlr.grid.listing import outcome
from simlr.papers import nakkiran2020
from simlr.report import __main__, sections
from simlr.report.figures import plane, style
from simlr.report.figures import run as run_figures
from simlr.report.view import View
from simlr.text import number, shortened

CSV = ["annealing.csv", "best.csv", "findings.csv", "pairs.csv", "summary.csv"]
FILES = sorted([*CSV, "explorer.html", "report.html", "report.md"])
REFERENCE_FILES = sorted([*FILES, "bias-variance.csv", "directions.csv"])  # it keeps the residuals at its stops
WITHOUT_PAGE = [name for name in FILES if not name.endswith(".html")]
HOSTILE = '<script>alert(1)</script>\n../../x | $a$ `b` [c](javascript:d) "e" & \x1b[2J\u202e'

# Tags that are on the page; anything else came from a name that was not escaped.
TAGS = {"html", "head", "meta", "title", "style", "script", "body", "main", "header", "h1", "h2", "p", "span", "pre"}
TAGS |= {"div", "ul", "li", "button", "details", "summary", "footer", "figure", "figcaption", "a"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
EXPLORER = ("a", "explorer.html")  # the one page that another leads to
SVG_TAGS = {"svg", "defs", "g", "path", "use", "text", "tspan", "rect", "clipPath", "clippath"}

FORBID = """
import sys
class Forbidden:
    def find_spec(self, name, *rest):
        if name in {names} or name.startswith(tuple(n + "." for n in {names})):
            raise ImportError(f"no {{name}} here")
sys.meta_path.insert(0, Forbidden())
from simlr.report import main
sys.exit(main(sys.argv[1:]))
"""


class Page(HTMLParser):
    """What is on a page: tags, attributes that fetch something, text, pictures, scripts by their hashes."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.scripts, self.policy = set(), [], [], ""
        self.page = path.read_text(encoding="utf-8")
        self.feed(self.page)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            # Nothing is fetched, and nothing runs or is styled but what the policy names.
            assert not name.startswith("on") and name != "style" and name not in ("src", "data", "srcset", "action")
            assert name not in ("href", "xlink:href") or value.startswith("#") or (tag, value) == EXPLORER
        if dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"]

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts.append(data)
        elif self.cdata_elem != "style":
            self.words.append(data)

    def values(self):
        """{picture: what can be read off}; the only other script is the page's own."""
        values, script = self.scripts
        digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
        assert f"script-src 'sha256-{digest}'" in self.policy and "unsafe" not in self.policy
        assert len(script) <= 15_000 and "eval" not in script
        return json.loads(values)

    def pictures(self):
        """The SVG of each figure, parsed; no id is there twice."""
        assert self.tags <= TAGS | SVG_TAGS
        self.values()
        found = [ET.fromstring(text) for text in re.findall(r'<svg class="plot".*?</svg>', self.page, re.DOTALL)]
        found = found or [ET.fromstring(t) for t in re.findall(r"<svg [^>]*-plot.*?</svg>", self.page, re.DOTALL)]
        ids = re.findall(r' id="([^"]*)"', self.page)
        assert len(ids) == len(set(ids)) and len(found) == self.page.count("<figure ")
        used = re.findall(r'href="#([^"]*)"', self.page) + re.findall(r"url\(#([^)]*)\)", self.page)
        assert set(used) <= set(ids)
        return found


def made(path, *arguments, out=None):
    """The report's folder, made by the command in this process."""
    out = out or path.parent / "made"
    assert __main__.main([str(path), "--out", str(out), *arguments]) == 0
    return out


def without(names, *arguments, cwd):
    """The command in a Python that cannot import these."""
    command = [sys.executable, "-c", FORBID.format(names=repr(tuple(names))), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=runs.environment(), capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The report of a small run of the claim: (the run file, the folder)."""
    path = tmp_path_factory.mktemp("reference") / "claim.h5"
    simlr.run(runs.grid(nakkiran2020.GRID, seeds__count=300), out=path)
    return path, made(path)


# ---- what is written ----


def test_the_default_folder_lies_beside_the_run(folder, finished, capsys):
    shutil.copy(finished, "a.run.h5")
    assert __main__.main(["a.run.h5", "--format", "csv,md"]) == 0
    assert sorted(entry.name for entry in (folder / "a.run-report").iterdir()) == WITHOUT_PAGE
    out = capsys.readouterr().out
    assert "6 schedules x 40 seeds x 2 levels" in out
    assert out.rstrip().endswith("a.run-report/report.md")


def test_the_terminal_has_tables_and_verdict(reference, capsys):
    made(reference[0], "--format", "csv")
    out = capsys.readouterr().out
    assert "annealed-sharpness" in out
    assert nakkiran2020.CLAIM in " ".join(out.split())
    assert "verdict: holds" in out


def test_the_csv_has_every_row_with_all_digits(reference):
    path, out = reference
    rows = summary.rows(simlr.load(path))
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    assert len(records) == len(rows) == 12 * 6
    for record, row in zip(records, rows, strict=True):
        # The parameters of the schedule stand last, so that who reads by place reads what was there before.
        assert list(record)[: len(row.record())] == list(row.record())
        assert all(name.startswith("schedule_") for name in list(record)[len(row.record()) :])
        assert float(record["test_loss"] or "nan") == pytest.approx(row.test_loss, rel=0, nan_ok=True)
        assert (record["schedule"], int(record["reached"])) == (row.schedule, row.reached)


def test_the_json_has_the_numbers_of_the_csv_files(reference, capsys):
    path, out = reference
    before = sorted(out.iterdir())
    assert __main__.main([str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(out.iterdir()) == before and told["format"] == __main__.JSON_FORMAT
    assert (told["verdict"], told["claim"], told["complete"]) == ("holds", told["claim"], True) and told[
        "claim"
    ].startswith(nakkiran2020.CLAIM)
    assert {f"{name}.csv" for name in told["tables"]} == {file.name for file in out.glob("*.csv")}
    for name, lines in told["tables"].items():
        with open(out / f"{name}.csv", newline="", encoding="utf-8") as file:
            for line, record in zip(lines, csv.DictReader(file), strict=True):
                for key, value in line.items():
                    text = record[key]
                    same = float(text) == value if isinstance(value, float) else text in ("", "inf", "-inf")
                    assert same if value is None or isinstance(value, float) else str(value) in (text, text[1:]), key


def test_the_parameters_of_schedules_are_columns(reference):
    """In both files and in the data frame, as the grid has them; empty where a schedule has none."""
    path, out = reference
    run = simlr.load(path)
    rate = dict(zip(run.schedule.tolist(), run.schedule_learning_rate.tolist(), strict=True))
    kind = dict(zip(run.schedule.tolist(), run.schedule_kind.tolist(), strict=True))
    for name, columns in {"summary.csv": {"schedule": "schedule_"}, "pairs.csv": {"a": "a_", "b": "b_"}}.items():
        with open(out / name, newline="", encoding="utf-8") as file:
            records = list(csv.DictReader(file))
        for record in records:
            for column, before in columns.items():
                expected = rate[record[column]]
                assert record[f"{before}learning_rate"] == ("" if expected != expected else repr(expected))
                assert record[f"{before}kind"] == kind[record[column]]
    pytest.importorskip("xarray")
    frame = run.to_pandas()
    assert len(frame) == run.status.size and list(frame.columns[:3]) == ["schedule", "seed", "level"]
    np.testing.assert_array_equal(frame.test_loss.to_numpy(), run.test_loss.ravel())
    assert {key: set(part) for key, part in frame.groupby("schedule").schedule_kind} == {
        k: {v} for k, v in kind.items()
    }
    np.testing.assert_array_equal(frame.schedule_learning_rate, np.repeat(list(rate.values()), run.status[0].size))


def test_the_page_leads_to_the_explorer_where_a_run_can_be_explored(reference, half, tmp_path):
    page = Page(reference[1] / "report.html")
    assert "a" in page.tags and page.page.count('href="explorer.html"') == 1
    alone = tmp_path / "alone"
    assert __main__.main([str(reference[0]), "--explore", "--out", str(alone)]) == 0
    assert (alone / "explorer.html").read_bytes() == (reference[1] / "explorer.html").read_bytes()
    unfinished = made(half, "--format", "html", out=tmp_path / "half")
    assert [entry.name for entry in unfinished.iterdir()] == ["report.html"]
    assert "a" not in Page(unfinished / "report.html").tags


def test_names_are_written_as_people_write_numbers():
    for name, told in {
        "linear[1.0,100.0]": "linear[1,100]",
        "large[learning_rate=1.0]": "large[learning_rate=1]",
        "annealed, none": "annealed, without noise",
        "rate[0.10,1.05,-2.0]": "rate[0.10,1.05,-2]",
        "v1.0, gd": "v1.0, gd",
        "a[x=0.6000000000000001,y=-0.30000000000000004]": "a[x=0.6,y=-0.3]",
        "a[x=1.0000000000000002e-06]": "a[x=1e-06]",
        "a[x=0.3333333333333333,y=0.1234567890123]": "a[x=0.3333333333333333,y=0.1234567890123]",
    }.items():
        assert shortened(name) == told


def test_the_page_is_whole_and_fetches_nothing(reference):
    page = Page(reference[1] / "report.html")
    assert page.tags <= TAGS | SVG_TAGS
    assert len(page.pictures()) == 5 + 5
    assert not re.search(r"url\([^#]|@import", page.page)
    for words in ("holds", nakkiran2020.CLAIM, "kernel digest", "root seed", "blocks", 'kind = "nakkiran2020"'):
        assert words in page.text


def test_the_page_is_the_same_for_the_same_run(reference):
    before = {name: (reference[1] / name).read_bytes() for name in REFERENCE_FILES}
    made(reference[0])
    assert before == {name: (reference[1] / name).read_bytes() for name in REFERENCE_FILES}


def test_the_markdown_has_the_tables(reference):
    text = (reference[1] / "report.md").read_text(encoding="utf-8")
    assert "**Verdict: holds.**" in text
    assert r"| annealed\-sharpness |" in text
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert widths == {2, 4, 6, 7, 8}


@pytest.mark.parametrize(("formats", "expected"), [("csv", CSV), ("md,csv", WITHOUT_PAGE), ("md, md", ["report.md"])])
def test_formats_are_what_was_asked_for(formats, expected, folder, finished):
    shutil.copy(finished, "run.h5")
    assert sorted(entry.name for entry in made(folder / "run.h5", "--format", formats).iterdir()) == expected


def test_pictures_say_what_is_seen(reference):
    run = simlr.load(reference[0])
    drawn = run_figures.pictures(View(run, summary.rows(run)))
    titles = {picture.key: " ".join(picture.figure.get_suptitle().split()) for picture in drawn}
    assert titles["paths"] == "Both stop at train loss 0.01, with test loss 0.0146 (flow) and 0.0075 (annealed)"
    assert titles["ratio"].endswith("in theory 2.00")
    assert titles["test-against-train"] == "At train loss 1e-6, flow has 2.00 times the test loss of annealed"
    assert all("Not drawn: " in picture.caption for picture in drawn if picture.key != "paths")
    assert style.saved(drawn[0].figure, "png", dpi=30).startswith(b"\x89PNG")


def test_redrawn_paths_are_those_recorded(tmp_path):
    """The closed form against the iterates of the run itself."""
    config = runs.grid(nakkiran2020.GRID, seeds__count=8, record__iterates=True, record__points=40)
    run = simlr.run(config)
    seed = int(np.flatnonzero(run.curvature[:, 1] > 0.0)[0])
    land = plane.landscape(run, seed)
    for s, (made_, _) in enumerate(config.schedules()):
        drawn = plane.redrawn(made_, land, 1e-4, lands=True)
        steps = run.recorded_step[s]
        # The last point lies on its step, where the level is.
        for slot in np.flatnonzero((steps >= 0) & (steps < min(len(drawn) - 1, made_.length))):
            np.testing.assert_allclose(drawn[steps[slot]], run.trajectory_iterate[s, seed, slot], rtol=1e-9, atol=1e-12)
        stop = list(run.level).index(1e-4)
        assert land.test_loss(drawn[-1]) == pytest.approx(run.test_loss[s, seed, stop], rel=1e-9)


# ---- names that would do harm ----


@pytest.fixture
def hostile(folder, finished):
    """A run file whose schedules have harmful names."""
    shutil.copy(finished, "hostile.h5")
    with h5py.File("hostile.h5", "r+") as file:
        names = file["schedule"].asstr()[()]
        names[1], names[2] = HOSTILE, "</pre><img src=x onerror=alert(1)>"
        file["schedule"][...] = names
        config = file.attrs["config"]
        file.attrs["config"] = config.replace('name = "small"', 'name = "<script>alert(2)<!--"')
    return folder / "hostile.h5"


def test_names_are_escaped_in_the_page(hostile):
    page = Page(made(hostile) / "report.html")
    assert page.tags <= TAGS | SVG_TAGS
    assert len(page.pictures()) >= 4
    assert "<script>alert(1)" in page.text
    assert "\\u202e" in page.text
    assert "\x1b" not in page.text


def test_names_are_escaped_in_markdown(hostile):
    text = (made(hostile, "--format", "md") / "report.md").read_text(encoding="utf-8")
    prose = text[: text.index("The whole grid:")]
    assert "<" not in prose
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[`\[]", prose)
    counts = {len(re.findall(r"(?<!\\)\|", line)) for line in prose.splitlines() if line.startswith("|")}
    assert counts == {4, 5, 6, 7, 8, 9, 10}  # no name has added a column to any of the kinds of table


def test_names_are_whole_in_the_csv_and_name_no_file(hostile, capsys):
    out = made(hostile, "--format", "csv,md")
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        assert HOSTILE in {record["schedule"] for record in csv.DictReader(file)}
    assert sorted(entry.name for entry in out.iterdir()) == WITHOUT_PAGE
    assert sorted(entry.name for entry in out.parent.iterdir()) == ["hostile.h5", "made"]
    assert "\x1b" not in capsys.readouterr().out


def test_the_analysis_is_written_as_its_functions_give_it(folder):
    """Every row of every function, in its order; what a run has no rows of has no file."""
    grid = runs.grid(nakkiran2020.GRID, seeds__count=30, record__points=0, record__stop_residual=True)
    run = simlr.run(grid, out="run.h5")
    expected = {
        "pairs.csv": pairs.table_of_pairs(run, baseline(run))[0],
        "best.csv": families.best_values(run),
        "annealing.csv": families.annealing(run),
        "directions.csv": directions.directions(run),
        "bias-variance.csv": directions.bias_and_variance(run),
    }
    out = made(folder / "run.h5", "--format", "csv")
    assert sorted(entry.name for entry in out.iterdir()) == sorted([*expected, "findings.csv", "summary.csv"])
    for name, rows in expected.items():
        with open(out / name, newline="", encoding="utf-8") as file:
            written = list(csv.DictReader(file))
        told = [{key: "" if value != value else str(value) for key, value in row.record().items()} for row in rows]
        told_columns = list(rows[0].record())
        assert list(written[0])[: len(told_columns)] == told_columns
        written = [{key: line[key] for key in told_columns} for line in written]
        for line in (*written, *told):  # what depends on the comparisons beside it is another on the page
            line.pop("p_holm", None), line.pop("outcome", None)
        assert written == told


def test_too_many_schedules_for_every_pair_of_annealed_and_steady_are_told(folder, finished, monkeypatch, capsys):
    monkeypatch.setattr(run_analysis, "MOST_SCHEDULES", 3)
    out = made(finished, "--format", "csv", out=folder / "few")
    assert "no annealing.csv beyond 3 schedules" in capsys.readouterr().err
    assert "annealing.csv" not in {entry.name for entry in out.iterdir()}


# ---- unfinished and odd runs ----


def test_an_unfinished_run(half, tmp_path):
    page = Page(made(half, out=tmp_path / "made") / "report.html")
    assert "unfinished: " in page.text
    assert "undecided" in page.text
    assert "3 of 6 done" in page.text and "not yet" in page.text
    page.pictures()


def test_a_run_that_has_not_begun(tmp_path):
    path = tmp_path / "run.h5"
    runs.run_blocks(runs.grid(), path, [])
    page = Page(made(path) / "report.html")
    assert "holds nothing to draw yet" in page.text
    assert not page.pictures()


FLOW = {"kind": "flow"}
BOOM = {"name": "boom", "kind": "constant", "learning_rate": [50.0, 60.0]}
ODD = {
    "one level, few seeds, no records": {"stop__train_loss": [1e-3], "seeds__count": 2, "record__points": 0},
    "everything diverged": {"schedule": [BOOM]},
    "no flow, one record": {"schedule": [{"kind": "constant", "learning_rate": [0.1, 0.2]}], "record__points": 1},
    "two flows, a level of 0": {"stop__train_loss": [0.0, 1e-2], "schedule": [FLOW, {"name": "again", **FLOW}]},
    "excess levels, iterates": {"stop": {"excess_train_loss": [0.1, 0.01]}, "record__iterates": True},
    "problem axes": {"problem__theta_star": [[1.0, 1.0], [1.0, 3.0]], "problem__samples": ["all", "random"]},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_odd_runs_are_reported(changes, tmp_path):
    path = tmp_path / "run.h5"
    simlr.run(runs.grid(nakkiran2020.GRID, **({"seeds__count": 20} | changes)), out=path)
    page = Page(made(path) / "report.html")
    page.pictures()
    assert "nan" not in page.text.lower().split()


@pytest.mark.filterwarnings("error")
def test_real_data(tmp_path):
    path = tmp_path / "diabetes.h5"
    grid = runs.grid(runs.ROOT / "data/diabetes.toml", seeds__count=40)
    simlr.run(grid, out=path)
    page = Page(made(path) / "report.html")
    assert len(page.pictures()) == 4 + 3
    assert "level at or below the train floor" in page.text
    assert "Verdict" not in (tmp_path / "made/report.md").read_text(encoding="utf-8")


# ---- what is refused ----


def test_wrong_arguments_are_one_line(folder):
    refused = {
        "required": [],
        "unknown format 'pdf'": ["run.h5", "--format", "csv,pdf"],
        "run.h5: ": ["run.h5"],
        "--frmat": ["run.h5", "--frmat", "csv"],
    }
    for reason, arguments in refused.items():
        process = runs.command(*arguments, cwd=folder, module="simlr.report")
        assert reason in runs.assert_refused(process)
    assert not list(folder.iterdir())


def broken(path, kind):
    """A file that is no whole run."""
    whole = path.read_bytes()
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["a"] = 1.0
    other = path.with_name("other.h5").read_bytes()
    path.with_name("other.h5").unlink()
    garbled = bytearray(whole)
    garbled[2000:12000:5] = b"\x5a" * len(garbled[2000:12000:5])
    contents = {"empty": b"", "text": b"hello\n", "another": other, "truncated": whole[: len(whole) // 2]}
    return (contents | {"garbled": bytes(garbled)})[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "another", "truncated", "garbled"])
def test_a_file_that_is_no_run_is_refused_in_one_line(kind, folder, finished, capsys):
    path = folder / "run.h5"
    shutil.copy(finished, path)
    path.write_bytes(broken(path, kind))
    assert __main__.main(["run.h5"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "run.h5" in told.err
    assert [entry.name for entry in folder.iterdir()] == ["run.h5"]


@pytest.mark.parametrize("name", ["status", "test_loss", "schedule", "level", "curvature", "block_done"])
def test_a_run_that_lacks_a_dataset_is_refused(name, folder, finished, capsys):
    shutil.copy(finished, "run.h5")
    with h5py.File("run.h5", "r+") as file:
        del file[name]
    assert __main__.main(["run.h5"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
    assert [entry.name for entry in folder.iterdir()] == ["run.h5"]


def test_a_folder_that_cannot_be_written_is_refused(folder, finished, capsys):
    shutil.copy(finished, "run.h5")
    (folder / "file").touch()
    assert __main__.main(["run.h5", "--out", "file"]) == 2
    assert __main__.main(["run.h5", "--out", "none/made"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert sorted(entry.name for entry in folder.iterdir()) == ["file", "run.h5"]


# ---- what it does without ----


def test_no_numba_is_needed(folder, reference):
    process = without(["numba", "simlr.kernels.jit", "llvmlite"], reference[0], "--out", "made", cwd=folder)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert sorted(entry.name for entry in (folder / "made").iterdir()) == REFERENCE_FILES
    assert (folder / "made/report.html").read_bytes() == (reference[1] / "report.html").read_bytes()


def test_without_matplotlib_the_page_is_left_out(folder, finished):
    process = without(["matplotlib"], finished, "--out", "made", cwd=folder)
    assert process.returncode == 0, process.stderr
    assert 'pip install "simlr[report]"' in process.stderr
    assert sorted(entry.name for entry in (folder / "made").iterdir()) == WITHOUT_PAGE


def test_without_matplotlib_a_page_that_was_asked_for_is_refused(folder, finished):
    process = without(["matplotlib"], finished, "--out", "made", "--format", "csv,html", cwd=folder)
    assert 'pip install "simlr[report]"' in runs.assert_refused(process)
    assert not list(folder.iterdir())


# ---- the analysis on the page ----


def test_the_page_answers_with_the_rows_of_the_analysis(folder):
    """Every section is there, and what the tables say is what the functions give."""
    grid = runs.grid(nakkiran2020.GRID, seeds__count=60, record__points=0, record__stop_residual=True)
    run = simlr.run(grid, out="run.h5")
    found = run_analysis.Analysis(run)
    made_ = {section.key: section for section in sections.sections(found)}
    assert set(made_) == {"against", "best", "annealing", "directions", "spread"}
    (pair,) = [row for row in pairs.compare(run, "annealed", "flow") if row.level == 1e-6]
    (line,) = [line for line in made_["against"].tables[0].lines if line[0] == "annealed"]
    assert line[1] == number(pair.ratio)
    # The two directions of the ratio, and that the page says which is which.
    summed = {(row.schedule, row.level): row for row in summary.rows(run)}
    assert summed["annealed", 1e-6].ratio == pytest.approx(1.0 / pair.ratio, rel=1e-9)
    assert "the inverse, baseline / schedule" in made_["against"].tables[0].notes[0]
    page = Page(made(folder / "run.h5") / "report.html")
    for section in made_.values():
        assert section.title in page.text
    assert "learning rate of constant: 0.3, 0.1" in page.text
    assert len(page.pictures()) == 4 + 5
    text = (folder / "made/report.md").read_text(encoding="utf-8")
    assert "# Which directions kept their error?" in text


def test_the_likely_best_are_the_fewest_that_make_up_95_percent():
    rows = [SimpleNamespace(win_share=share) for share in (0.02, 0.5, 0.4, 0.06, 0.02)]
    assert [row.win_share for row in families.likely(rows)] == [0.5, 0.4, 0.06]
    assert families.likely([SimpleNamespace(win_share=float("nan"))]) == []


def test_another_baseline(folder, finished, capsys):
    out = made(finished, "--baseline", "annealed", "--format", "csv,md", out=folder / "made")
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        assert {record["baseline"] for record in csv.DictReader(file)} == {"annealed"}
    assert "than annealed?" in (out / "report.md").read_text(encoding="utf-8")
    assert "annealed (baseline)" in capsys.readouterr().out
    for name, nearest in (("anealed", "annealed"), ("constant", "constant[learning_rate=0.01]")):
        assert __main__.main([str(finished), "--out", str(folder / "no"), "--baseline", name]) == 2
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1 and f"did you mean {nearest!r}?" in told
    assert not (folder / "no").exists()


def test_files_that_another_run_left_are_removed_and_nothing_else(folder, finished):
    out = made(finished, "--format", "csv,md", out=folder / "made")
    (out / "directions.csv").write_text("turn,street\nleft,High Street\n")
    (out / "notes.txt").touch()
    alone = runs.grid(schedule=[FLOW])
    simlr.run(alone, out="alone.h5")
    made(folder / "alone.h5", "--format", "md", out=out)
    assert (out / "best.csv").exists()  # no CSV was asked for
    made(folder / "alone.h5", "--format", "csv", out=out)
    assert {path.name for path in out.iterdir()} == {
        "directions.csv",
        "findings.csv",
        "notes.txt",
        "report.md",
        "summary.csv",
    }


@pytest.mark.slow
def test_the_page_of_a_large_grid_stays_small(folder):
    """400 schedules, 6 problems, 9 levels: the page has what can be read."""
    rates = [0.01 * (k + 1) for k in range(50)]
    kinds = [{"name": name, "kind": "constant", "learning_rate": rates} for name in "abcdefgh"]
    grid = runs.grid(
        schedule=kinds,
        seeds__count=2,
        record__points=0,
        problem__theta_star=[[1.0, float(k)] for k in range(1, 7)],
        stop={"train_loss": [0.1 * 0.8**k for k in range(9)], "max_steps": 100},
    )
    simlr.run(grid, out="large.h5")
    out = made(folder / "large.h5", "--format", "html,md")
    assert (out / "report.html").stat().st_size < 2_000_000
    assert (out / "report.md").stat().st_size < 100_000


def test_command_and_report_print_other_tables(reference, capsys):
    """When a run ends the ratios and the verdict in a sentence; the report has the losses and the figures."""
    ended = outcome(reference[0])
    made(reference[0], "--format", "md")
    told = capsys.readouterr().out
    tables_of = [{line for line in text.splitlines() if line.startswith("Test loss")} for text in (ended, told)]
    assert all(len(tables) == 1 for tables in tables_of) and not tables_of[0] & tables_of[1]
    assert "verdict: holds (7 of 7 figures measured agree with the paper's)" in ended and "  - " not in ended
    assert ended.splitlines()[-2:] == [str(reference[0]), f"python -m simlr.report {reference[0]}"]
    assert len(ended.splitlines()) < 25
