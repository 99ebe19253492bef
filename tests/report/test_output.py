"""Where a report's files go: over files of a report alone, and before anything is printed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import runs

from simlr.errors import InputError
from simlr.report import __main__ as report
from simlr.report import contents, output
from simlr.store import lock


@pytest.fixture
def copy(finished, folder):
    """A finished run in a folder of its own."""
    shutil.copy(finished, "run.h5")
    return "run.h5"


@pytest.mark.parametrize("name", ["summary.csv", "report.md", "pairs.csv"])
def test_somebody_elses_file_is_not_replaced(name, copy, capsys):
    os.mkdir("made")
    Path("made", name).write_text("month,costs\n1,2\n")
    assert report.main([copy, "--out", "made", "--format", "csv,md"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == (
        f"simlr: --out made: {name} there was not made by simlr, so it is not replaced; name another folder\n"
    )
    assert os.listdir("made") == [name] and Path("made", name).read_text() == "month,costs\n1,2\n"


def test_a_report_is_made_again_in_its_place(copy):
    for _ in range(2):
        assert report.main([copy, "--out", "made", "--format", "csv,md"]) == 0
        assert {"summary.csv", "report.md"} <= set(os.listdir("made"))
        assert not [name for name in os.listdir("made") if name.startswith(".")]


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_a_link_is_replaced_and_not_written_through(copy):
    os.mkdir("made")
    assert report.main([copy, "--out", "elsewhere", "--format", "md"]) == 0
    before = Path("elsewhere/report.md").read_bytes()
    os.symlink("../elsewhere/report.md", "made/report.md")
    output.write(Path("made"), {"report.md": before + b"more"})
    assert Path("elsewhere/report.md").read_bytes() == before
    assert not os.path.islink("made/report.md") and Path("made/report.md").read_bytes() == before + b"more"


def test_names_of_others_are_left_alone(copy):
    os.mkdir("made")
    Path("made/report.md.new").write_text("mine")
    assert report.main([copy, "--out", "made", "--format", "md"]) == 0
    assert Path("made/report.md.new").read_text() == "mine"


def test_a_folder_that_cannot_be_written_to_is_one_line(copy):
    Path("file").write_text("")
    with pytest.raises(InputError, match="--out file: cannot be written"):
        output.write(Path("file"), {"report.md": b""})


def test_a_reader_of_the_first_line_costs_no_file(copy):
    line = f"{sys.executable} -m simlr.report {copy} --out made --format csv,md | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=runs.environment(), timeout=120)
    assert len(done.stdout.splitlines()) == 1 and "Traceback" not in done.stderr
    assert {"summary.csv", "report.md"} <= set(os.listdir("made"))


def test_three_reports_into_one_folder_at_once_and_one_that_was_killed(copy):
    os.mkdir("made")
    left, descriptor = lock.working_file(Path("made/summary.csv"))
    os.close(descriptor)
    command = [sys.executable, "-m", "simlr.report", copy, "--out", "made", "--format", "csv,md"]
    started = [subprocess.Popen(command, env=runs.environment(), stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert not left.exists() and {"summary.csv", "report.md"} <= set(os.listdir("made"))
    assert not [name for name in os.listdir("made") if name.startswith(".")]


def test_one_that_is_still_being_written_is_left_to_its_maker(folder):
    new, descriptor = lock.working_file(Path("report.md"))
    assert lock.is_being_made(Path("report.md")) and new.exists()
    os.close(descriptor)
    assert not lock.is_being_made(Path("report.md")) and not new.exists()


@pytest.mark.parametrize("setting", ["text.usetex: True", "svg.fonttype: none", "axes.formatter.use_locale: True"])
def test_somebodys_matplotlibrc_decides_nothing(setting, copy, tmp_path):
    pytest.importorskip("matplotlib")
    Path("matplotlibrc").write_text(setting + "\n")
    command = [sys.executable, "-m", "simlr.report", copy, "--out"]
    for out, more in (("with", {}), ("without", {"MATPLOTLIBRC": os.devnull})):
        done = subprocess.run(
            [*command, out], capture_output=True, text=True, env=runs.environment(**more), timeout=200
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert Path("with/report.html").read_bytes() == Path("without/report.html").read_bytes()


def test_what_cannot_be_drawn_is_no_damage(copy, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise RuntimeError("latex could\nnot be found")

    monkeypatch.setattr(contents, "as_html", fail)
    monkeypatch.setattr(contents.importing, "available", lambda: True)
    assert report.main([copy, "--out", "made"]) == 0
    said = "no page with pictures, for matplotlib cannot draw them: RuntimeError: latex could not be found\n"
    assert capsys.readouterr().err == f"simlr: {said}"
    assert {"summary.csv", "report.md"} <= set(os.listdir("made")) and "report.html" not in os.listdir("made")
    assert report.main([copy, "--out", "other", "--format", "html"]) == 1
    assert capsys.readouterr().err == f"simlr: {said}" and not os.path.exists("other")


def test_warnings_of_packages_never_reach_the_screen(copy):
    code = "import sys, warnings; from simlr.cli import signals; signals.is_command = lambda: True; "
    code += "import simlr.cli.arguments as a; a.is_command = signals.is_command; "
    code += "a.one_line('x', lambda: warnings.warn('strange') or 0)"
    for options, said in (([], False), (["-W", "default"], True)):
        done = subprocess.run(
            [sys.executable, *options, "-c", code], capture_output=True, text=True, env=runs.environment(), timeout=60
        )
        assert ("strange" in done.stderr) == said
