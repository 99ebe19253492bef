"""`simlr status`: what is done, missing and damaged, of which grid and code, and how long the rest takes."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import runs

import simlr
from simlr import status
from simlr.__main__ import main as simlr_main
from simlr.grid.job import Job


@pytest.fixture
def shards(folder):
    """Shard 0 of 3 finished, shard 1 begun, shard 2 not there; in a folder."""
    os.mkdir("data")
    for index, blocks in enumerate([None, [0]]):
        job = Job(runs.grid(), (index, 3))
        writer, all_blocks = job.open(f"data/{index}.h5")
        job.run(writer, list(all_blocks) if blocks is None else blocks)
    return "data"


def test_a_shard_that_is_not_there_is_missing(folder, capsys):
    """Beside others; one that is asked about by itself is whole."""
    for index in (0, 2):
        job = Job(runs.grid(), (index, 3))
        job.run(*job.open(f"{index}.h5"))
    assert status.main(["0.h5", "2.h5", "--quiet"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "shards that are not here: 1/3"
    assert status.main(["0.h5", "--quiet"]) == 0
    job = Job(runs.grid(), (1, 3))
    job.run(*job.open("1.h5"))
    assert status.main([".", "--quiet"]) == 0


def test_shards_in_a_folder(shards, capsys):
    assert status.main([shards, "--quiet"]) == 1
    table, rest = capsys.readouterr().out.split("\n\n")
    header, _, first, second = table.splitlines()
    assert header.split() == ["file", "grid", "shard", "blocks", "done", "missing", "damaged", "left", "state"]
    assert first.split() == ["data/0.h5", "small", "0/3", "2", "2", "0", "0", "-", "finished"]
    assert second.split()[:7] == ["data/1.h5", "small", "1/3", "2", "1", "1", "0"] and "unfinished" in second
    told = rest.splitlines()
    assert told[0] == "2 files: 3 of 4 blocks done, 1 missing, 0 damaged"
    assert told[1].startswith("about ") and told[1].endswith("where all go on at once")
    assert told[-1] == "shards that are not here: 2/3"


def test_finished_and_sound_is_status_0(finished, capsys):
    assert simlr_main(["status", str(finished), "--quiet"]) == 0
    assert "1 file: 6 of 6 blocks done, 0 missing, 0 damaged" in capsys.readouterr().out


def test_damage_is_counted_or_with_quick_not_looked_for(finished, folder, capsys):
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", simlr.store.survey("run.h5").places["test_loss"].start + 8)
    assert status.main(["run.h5", "--quiet"]) == 1
    assert "5 of 6 blocks done, 0 missing, 1 damaged" in capsys.readouterr().out
    assert status.main(["run.h5", "--quick"]) == 0
    runs.flip("run.h5", 60)
    assert status.main(["run.h5", "--quiet"]) == 1
    assert "run.h5: is damaged" in capsys.readouterr().out


def test_a_run_that_goes_on_is_running(half, folder, capsys):
    shutil.copy(half, "run.h5")
    os.symlink("run.h5", "link.h5")
    writer, _ = Job(runs.grid()).open("run.h5", resume=True)
    assert status.main(["run.h5", "--quiet"]) == status.main(["link.h5", "--quiet"]) == 1
    assert capsys.readouterr().out.count(" running\n") == 2
    writer.close()
    assert status.main(["run.h5", "--quiet"]) == 1
    assert " unfinished\n" in capsys.readouterr().out


def test_other_grids_and_files_that_are_none(finished, folder, capsys):
    simlr.run(runs.grid(seeds__root=5, seeds__count=3), "other.h5")
    shutil.copy(finished, "run.h5")
    Path("text.h5").write_text("no run\n")
    assert status.main([".", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "\n2 grids\n" in told and told.endswith("text.h5: is no simlr run (no HDF5 file)\n")
    assert status.main(["text.h5", "--quiet"]) == 2
    assert capsys.readouterr().err == "simlr: text.h5: is no simlr run (no HDF5 file)\n"
    os.mkdir("empty")
    assert status.main(["empty"]) == 2
    assert capsys.readouterr().err == "simlr: empty: no *.h5 there\n"
    assert status.main(["missing.h5"]) == 2


def test_nothing_done_nobody_knows(folder, capsys):
    runs.run_blocks(runs.grid(), "run.h5", [])
    assert status.main(["run.h5", "--quiet"]) == 1
    told = capsys.readouterr().out
    assert " ?  unfinished" in told and "nobody knows how long" in told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "-"), (np.nan, "?"), (0.3, "1 s"), (119.0, "119 s"), (600.0, "10 min"), (36000.0, "10.0 h")],
)
def test_durations(seconds, text):
    assert status._duration(seconds) == text


def test_many_shards_are_looked_at_in_little_time(finished, folder, capsys):
    for index in range(60):
        shutil.copy(finished, f"{index:03}.h5")
    assert status.main([".", "--quick"]) == 0
    assert "60 files: 360 of 360 blocks done" in capsys.readouterr().out
