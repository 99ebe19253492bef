"""Input that would do harm: damaged, hostile, or too large to be meant. The long version is in soak.py."""

import csv
import io
import os
import resource
import shutil
import time
import zipfile
from pathlib import Path

import fuzz
import h5py
import hostile
import numpy as np
import pytest
import runs

import simlr
from simlr import merge
from simlr.errors import InputError
from simlr.grid.__main__ import main as grid_main
from simlr.inputs import arrays as array_files
from simlr.inputs import formats, tables, toml, vectors
from simlr.report import __main__
from simlr.store import guard, verify
from simlr.store.read import FileSource


@pytest.mark.parametrize("kind", fuzz.KINDS)
@pytest.mark.parametrize("share", [0.1, pytest.param(1.0, marks=pytest.mark.slow)])
def test_damaged_input_is_refused_in_one_line_or_works(share, kind, tmp_path):
    count = round(share * (60 if kind == "run" else 300))
    assert fuzz.search(kind, count, tmp_path) == (count, [])


@pytest.mark.parametrize(("first", "step"), [(3, 14), pytest.param(1, 4, marks=pytest.mark.slow)])
def test_run_files_made_to_do_harm(first, step, tmp_path):
    """Verified, reported, merged and gone on with, with and without a forged seal."""
    tried, faults = hostile.search(tmp_path, first, step)
    assert faults == [] and tried > 7 * len(hostile.kinds()) // step and len(hostile.kinds()) > 200


def test_ten_to_the_fifteen_cells_are_refused_by_arithmetic(folder):
    Path("grid.toml").write_text(runs.SMALL)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    for arguments in (
        ["--seeds", str(10**15)],
        ["--set", "schedule.2.learning_rate=[0.1,0.2]", "--seeds", str(10**14)],
    ):
        refused = runs.assert_refused(runs.command("grid.toml", *arguments, cwd=folder))
        assert "cells, more than the" in refused or "bytes, and the disk has" in refused
    assert time.monotonic() - began < 30
    # the interpreter with its packages, and no more than that
    assert max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) < (1 << 20) + before
    assert os.listdir() == ["grid.toml"]


def claiming(count):
    """An NPY file that claims more numbers than it holds."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (count,)})
    return content.getvalue() + bytes(80)


@pytest.mark.parametrize("count", [11, 10**9, 10**15, 10**30])
def test_arrays_that_claim_more_than_there_is(count, folder):
    """No room is made for what a header says."""
    Path("rates.npy").write_bytes(claiming(count))
    with pytest.raises(
        InputError, match=r"rates\.npy: the array in it claims shape \(1\d*,\), more than the file holds"
    ):
        vectors.read_vector("rates.npy")
    with zipfile.ZipFile("arrays.npz", "w") as archive:
        archive.writestr("a.npy", claiming(count))
    with pytest.raises(InputError, match=r"arrays\.npz: the array 'a' claims shape"):
        array_files.read_arrays("arrays.npz", ("a",))


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_files_that_never_end_are_not_begun(kind, folder, capsys):
    """As a grid, a table, arrays and a run: neither waited for nor read."""
    for name in ("grid.toml", "table.csv", "rates.npy", "arrays.npz", "arrays.h5", "run.h5"):
        if kind == "pipe":
            os.mkfifo(name)
        else:
            os.symlink("/dev/zero", name)
    refusals = [
        *(lambda: toml.read(Path("grid.toml")), lambda: tables.read_table("table.csv", -1)),
        *(lambda: formats.digest("table.csv"), lambda: vectors.read_vector("rates.npy")),
        *(lambda: array_files.read_arrays("arrays.npz", ("a",)), lambda: array_files.read_arrays("arrays.h5", ("a",))),
        *(lambda: simlr.load("run.h5"), lambda: simlr.run(runs.grid(), "run.h5", resume=True)),
        *(lambda: simlr.run(runs.grid(), "run.h5", overwrite=True), lambda: verify.verify("run.h5")),
    ]
    for refused in refusals:
        with pytest.raises(InputError, match="is no ordinary file"):
            refused()
    for main, arguments in ((__main__.main, ["run.h5"]), (merge.main, ["run.h5", "--out", "joined.h5"])):
        assert main(arguments) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_arrays_that_would_fill_the_memory(folder, monkeypatch):
    """Zeros pack well: a file of a few kilobytes may unpack to gigabytes, in one array or in several."""
    names = ("a", "b", "c")
    np.savez_compressed("bomb.npz", **{name: np.zeros(1 << 18) for name in names})
    with h5py.File("bomb.h5", "w") as file:
        for name in names:
            file.create_dataset(name, (1 << 18,), "f8", chunks=True)
    for name in ("bomb.npz", "bomb.h5"):
        assert os.path.getsize(name) < 1 << 15
        with monkeypatch.context() as patch:
            patch.setattr(array_files, "LARGEST_BYTES", 5 << 20)
            with pytest.raises(InputError, match=r"array 'c' takes 6\d* bytes, more than the 5242880"):
                array_files.read_arrays(name, names)
        assert len(array_files.read_arrays(name, names)) == 3
    Path("long.csv").write_text("1\n" * 100)
    monkeypatch.setattr(formats, "LARGEST_TEXT", 99)
    with pytest.raises(InputError, match=r"long\.csv: has 200 bytes, more than the 99 that are read whole"):
        vectors.read_column("long.csv", 0)


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("harm", "w")


def test_pickles_are_never_loaded(folder):
    np.save("rates.npy", np.array([Harm()]), allow_pickle=True)
    np.savez("arrays.npz", a=np.array([Harm()]))
    for read in (lambda: vectors.read_vector("rates.npy"), lambda: array_files.read_arrays("arrays.npz", ("a",))):
        with pytest.raises(InputError, match=r"Object arrays cannot be loaded|objects?"):
            read()
    assert not os.path.exists("harm")


NAMES = [
    "../../evil",
    "/tmp/evil.csv",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b]0;x\x07\x9b2J",
]


def test_a_report_on_hostile_names_writes_only_where_it_should(folder, finished, capsys):
    """Names of schedules, of the grid, of parameters and of datasets, all from the file."""
    os.makedirs("deep/er")
    shutil.copy(finished, "deep/er/run.h5")
    with h5py.File("deep/er/run.h5", "r+") as file:
        names = file["schedule"].asstr()[()]
        names[1 : 1 + len(NAMES)] = NAMES
        file["schedule"][...] = names
        file.attrs["config"] = file.attrs["config"].replace('name = "small"', 'name = "<b>.."')
        for attribute in ("processor", "kernel_digest", "simlr_version"):
            file.attrs[attribute] = NAMES[2] + NAMES[4]
        file.create_dataset("problem_<script>", data=file["seed"][()] % 2)
    assert __main__.main(["deep/er/run.h5", "--out", "deep/er/made"]) == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err and "\x9b" not in told.out + told.err
    assert sorted(os.listdir()) == ["deep"] and os.listdir("deep") == ["er"]
    assert sorted(os.listdir("deep/er")) == ["made", "run.h5"]
    assert {Path(name).suffix for name in os.listdir("deep/er/made")} <= {".html", ".md", ".csv"}
    assert not os.path.exists("/tmp/evil.csv")
    page = Path("deep/er/made/report.html")
    if page.exists():
        text = page.read_text(encoding="utf-8")
        # The page's own script and its numbers, and no more.
        assert text.count("<script") == text.count("</script") == 2
        assert not any(harm in text for harm in (NAMES[2], "<img src=x", "<b>", "\x1b"))
    with open("deep/er/made/summary.csv", newline="", encoding="utf-8") as file:
        assert set(NAMES) <= {row["schedule"] for row in csv.DictReader(file)}


def test_a_key_of_very_many_parts_is_refused_at_once(folder, capsys):
    """Python's own reader takes 20 GB for it."""
    for part in ("a", "'a'", '"a"', '"a\\"b"', "a "):
        Path("grid.toml").write_text(".".join([part] * 100_000) + " = 1\n" + runs.SMALL)
        began = time.monotonic()
        assert grid_main(["grid.toml", "--dry-run"]) == 2
        assert "a key of more than 100 parts" in capsys.readouterr().err and time.monotonic() - began < 30
    assert grid_main(["nakkiran2020", "--dry-run", "--set", ".".join("a" * 100_000) + "=1"]) == 2
    assert len(capsys.readouterr().err) < 2000
    assert toml.read(".".join("a" * 90) + " = 1\n" + "x = '" + "1.2." * 9 + "'\n")[0]["x"].startswith("1.2.")


def test_error_lines_have_an_end(folder, capsys):
    Path("table.csv").write_text(",".join(f"column{i}" for i in range(300_000)) + "\n" + "1," * 299_999 + "1\n")
    Path("grid.toml").write_text(
        runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "dataset"\nfile = "table.csv"\ntarget = "none"')
    )
    assert grid_main(["grid.toml", "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and len(told) < 2000


CONTROLS = "\x1b]0;title\x07\x9b31m\x85"


@pytest.mark.parametrize("moment", ["refused", "run", "verified", "reported", "merged"])
def test_names_of_files_do_not_steer_the_terminal(moment, folder, finished, capsys):
    name = f"a{CONTROLS}b.h5"
    if moment != "refused":
        shutil.copy(finished, name)
    Path("grid.toml").write_text(runs.SMALL)
    command, status = {
        "refused": (lambda: __main__.main([name]), 2),
        "run": (lambda: grid_main(["grid.toml", "--out", name, "--resume"]), 0),
        "verified": (lambda: grid_main(["--verify", name]), 0),
        "reported": (lambda: __main__.main([name, "--format", "csv"]), 0),
        "merged": (lambda: merge.main([name, "--out", "b.h5"]), 2),
    }[moment]
    assert command() == status
    told = capsys.readouterr()
    assert all(c.isprintable() or c == "\n" for c in told.out + told.err), told


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", "plain"])
def test_a_name_is_no_formula_in_a_spreadsheet(name, folder, finished):
    shutil.copy(finished, "run.h5")
    with h5py.File("run.h5", "r+") as file:
        file["schedule"][1] = name
    assert __main__.main(["run.h5", "--out", "made", "--format", "csv"]) == 0
    with open("made/summary.csv", newline="", encoding="utf-8") as file:
        found = {row["schedule"] for row in csv.DictReader(file)}
    assert (name if name == "plain" else f"'{name}") in found and not any(n[0] in "=+-@\t" for n in found)


def test_a_dry_run_refuses_what_the_run_would(folder, capsys):
    np.savez("wide.npz", features=np.ones((4, 100_000)) * np.arange(4)[:, None], target=np.arange(4.0))
    text = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "dataset"\nfile = "wide.npz"\ntrain_rows = 2')
    Path("grid.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simlr.resources, "memory_limit", lambda: 1 << 36)
        for more in (["--dry-run"], ["--out", "run.h5"]):
            assert grid_main(["grid.toml", *more]) == 2
            assert (
                "the Hessian of 100000 features, with its axes, takes 160,000,000,000 bytes" in capsys.readouterr().err
            )
    assert not os.path.exists("run.h5")


def test_thousands_of_parameters_of_a_problem_are_refused(folder, finished, capsys, monkeypatch):
    """Before any of them is read: a report would draw one and the other against each other."""
    shutil.copy(finished, "run.h5")
    with h5py.File("run.h5", "r+") as file:
        for i in range(3000):
            file.create_dataset(f"problem_p{i}", data=np.zeros(file["seed"].size))
    read = []
    monkeypatch.setattr(FileSource, "read", lambda source, name, where=(): read.append(name))
    monkeypatch.setattr(guard, "PROCESSOR_SECONDS", 60)  # the file has no seal, and a slow machine is no fault of it
    assert __main__.main(["run.h5", "--out", "made"]) == 2
    assert "has more parameters of its problem than any" in capsys.readouterr().err
    assert not read and not os.path.exists("made")
