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
import numpy as np
import pytest
import runs

from simlr import datafiles, report
from simlr.errors import InputError


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_input_is_refused_in_one_line_or_works(kind, tmp_path):
    count = 60 if kind == "run" else 300
    assert fuzz.search(kind, count, tmp_path) == (count, [])


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
        datafiles.read_vector("rates.npy")
    with zipfile.ZipFile("arrays.npz", "w") as archive:
        archive.writestr("a.npy", claiming(count))
    with pytest.raises(InputError, match=r"arrays\.npz: the array 'a' claims shape"):
        datafiles.read_arrays("arrays.npz", ("a",))


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("harm", "w")


def test_pickles_are_never_loaded(folder):
    np.save("rates.npy", np.array([Harm()]), allow_pickle=True)
    np.savez("arrays.npz", a=np.array([Harm()]))
    for read in (lambda: datafiles.read_vector("rates.npy"), lambda: datafiles.read_arrays("arrays.npz", ("a",))):
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
    assert report.main(["deep/er/run.h5", "--out", "deep/er/made"]) == 0
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err and "\x9b" not in told.out + told.err
    assert sorted(os.listdir()) == ["deep"] and os.listdir("deep") == ["er"]
    assert sorted(os.listdir("deep/er")) == ["made", "run.h5"]
    assert {Path(name).suffix for name in os.listdir("deep/er/made")} <= {".html", ".md", ".csv"}
    assert not os.path.exists("/tmp/evil.csv")
    page = Path("deep/er/made/report.html")
    if page.exists():
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and "<img src=x" not in text and "<b>" not in text and "\x1b" not in text
    with open("deep/er/made/summary.csv", newline="", encoding="utf-8") as file:
        assert set(NAMES) <= {row["schedule"] for row in csv.DictReader(file)}
