"""Shards and their merge: the bits of one run, every wrong set of files named, and nothing half-made left."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import with_sigterm

import simlr
from simlr.analysis import summary
from simlr.analysis.verdict import verdict_of
from simlr.errors import InputError, RunError
from simlr.grid.job import Job
from simlr.store import file_format, file_io, merging, verify
from simlr.store.metadata import survey

BLOCK_TABLE = ("block", "block_start", "block_done", "block_crc32")


def shard(config, index, count, path=None, resume=False, blocks=None):
    """Compute one shard, or only some blocks of it; its path."""
    path = path or f"{index}-of-{count}.h5"
    job = Job(config, (index, count))
    writer, all_blocks = job.open(path, resume=resume)
    job.run(writer, all_blocks if blocks is None else blocks)
    return str(path)


@pytest.fixture(scope="module")
def thirds(tmp_path_factory):
    """The files of the three shards of the small run; not to be changed."""
    folder = tmp_path_factory.mktemp("thirds")
    return [shard(runs.grid(), index, 3, folder / f"{index}-of-3.h5") for index in range(3)]


@pytest.fixture
def copies(thirds, folder):
    """The same three in the working directory, to be changed."""
    return [shutil.copy(path, ".") and Path(path).name for path in thirds]


def assert_one_run(path, whole):
    """The file holds what the run has, the block table included, and verifies."""
    merged, whole = simlr.load(path), simlr.load(whole)
    runs.assert_same_bits(merged, whole)
    for name in BLOCK_TABLE:
        assert (merged[name] == whole[name]).all(), name
    assert merged.complete and "shard" not in merged.attributes
    assert "sound" in verify.verify(path)


# ---- the shards ----


def test_a_shard_says_which_seeds_it_holds(thirds, finished):
    whole, first = simlr.load(finished), 0
    for index, path in enumerate(thirds):
        run = simlr.load(path)
        assert run.attributes["shard"] == f"{index}/3" and run.config == runs.grid() and run.complete
        seeds = run.seed
        assert seeds.tolist() == list(range(first, first + seeds.size))
        for name in ("draw", "sharpness", "curvature"):
            assert run[name].tobytes() == whole[name][seeds].tobytes()
        assert run.test_loss.tobytes() == np.ascontiguousarray(whole.test_loss[:, seeds]).tobytes()
        assert (run.block_start == whole.block_start[run.block]).all()
        first += seeds.size
    assert first == 40
    # 11 seeds are recorded: those of the first shard
    assert simlr.load(thirds[0]).recorded_seed.tolist() == list(range(11))
    assert "recorded_seed" not in simlr.load(thirds[1]).names


def test_recorded_seeds_of_a_later_shard(folder):
    config = runs.grid(record__seeds="all", record__iterates=True)
    run, whole = simlr.load(shard(config, 1, 3)), simlr.run(config)
    assert run.recorded_seed.tolist() == run.seed.tolist() == list(range(14, 28))
    wanted = np.ascontiguousarray(whole.trajectory_iterate[:, 14:28])
    assert run.trajectory_iterate.tobytes() == wanted.tobytes()
    unfinished = simlr.load(shard(config, 1, 3, "half.h5", blocks=[1]))
    assert np.isnan(unfinished.trajectory_test_loss[:, :7]).all()
    assert np.isfinite(unfinished.trajectory_test_loss[:, 7:, 0]).all()


@pytest.mark.slow
def test_a_shard_is_read_by_xarray_and_reported(thirds, folder):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with xarray.open_dataset(thirds[1], engine="h5netcdf") as dataset:
        assert dataset.seed.values.tolist() == list(range(14, 28))
        assert dataset.test_loss.sel(seed=20).shape == (6, 2)
    assert summary.rows(simlr.load(thirds[1]))[0].seeds == 14
    # a claim about all draws is not judged by some of them
    assert verdict_of(simlr.load(thirds[1])) is None
    pytest.importorskip("matplotlib")
    for path in (thirds[1], shard(runs.grid(record__seeds="all", record__iterates=True), 2, 3)):
        done = subprocess.run(
            [sys.executable, "-m", "simlr.report", path, "--out", "report"],
            env=runs.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr


def test_a_shard_goes_on_where_it_was(folder, thirds):
    path = shard(runs.grid(), 1, 3, blocks=[1])
    inode = os.stat(path).st_ino
    assert shard(runs.grid(run__block_seeds=3, name="other"), 1, 3, path, resume=True) == path
    assert os.stat(path).st_ino == inode
    runs.assert_same_bits(simlr.load(path), simlr.load(thirds[1]))


@pytest.mark.parametrize(
    ("index", "count", "message"),
    [
        (0, 3, "holds shard '1/3', and wanted is shard '0/3'"),
        (1, 2, "holds shard '1/3', and wanted is shard '1/2'"),
        (None, None, "holds shard '1/3', and wanted is the whole grid"),
    ],
)
def test_another_shard_is_not_gone_on_with(index, count, message, copies):
    before = Path(copies[1]).read_bytes()
    with pytest.raises(InputError, match=message):
        Job(runs.grid(), (index, count) if count else None).open(copies[1], resume=True)
    assert Path(copies[1]).read_bytes() == before


def test_shards_share_the_blocks_evenly():
    plan = Job(runs.grid()).plan
    for count in range(1, plan.blocks + 1):
        parts = [plan.part(index, count) for index in range(count)]
        assert [part.first for part in parts[1:]] == [part.first + part.seeds for part in parts[:-1]]
        assert sum(part.seeds for part in parts) == 40 and sum(part.blocks for part in parts) == 6
        assert max(part.blocks for part in parts) - min(part.blocks for part in parts) <= 1
    with pytest.raises(InputError, match="--shard 0/7: the grid has 6 blocks, so at most as many shards"):
        plan.part(0, 7)


@pytest.mark.parametrize(
    "text", ["", "/", "1", "3/3", "1/0", "-1/3", "1/3/4", "a/b", "1/ 3", "9" * 30 + "/3", "\u0661/3"]
)
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="must be I/N"):
        file_format.shard_of(text)


# ---- the merge ----


def test_the_merge_is_one_run(thirds, finished, folder):
    seen = []
    merging.merge([thirds[2], thirds[0], thirds[1]], "run.h5", progress=lambda done, total: seen.append((done, total)))
    assert_one_run("run.h5", finished)
    assert seen == [(done, 6) for done in range(1, 7)]
    assert os.listdir() == ["run.h5"]
    seconds = sum(float(simlr.load(path).wall_seconds) for path in thirds)
    assert float(simlr.load("run.h5").wall_seconds) == pytest.approx(seconds)
    # it can be gone on with like any other
    assert simlr.run(runs.grid(), "run.h5", resume=True).complete


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_shards_of_any_grid_are_one_run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    config = runs.grid(
        seeds__count=data.draw(st.integers(1, 60)),
        run__block_seeds=data.draw(st.integers(0, 30)),
        record__seeds=data.draw(st.one_of(st.integers(0, 70), st.just("all"))),
        record__points=data.draw(st.integers(0, 12)),
        problem__samples=data.draw(st.sampled_from(["random", "all", ["random", "all"]])),
    )
    simlr.run(config, folder / "whole.h5")
    count = data.draw(st.integers(1, min(9, Job(config).plan.blocks)))
    paths = [shard(config, index, count, folder / f"{index}.h5") for index in range(count)]
    merging.merge(paths, folder / "run.h5")
    assert_one_run(folder / "run.h5", folder / "whole.h5")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([0, 2], "shards missing: 1/3"),
        ([1], "shards missing: 0/3, 2/3"),
        ([0, 1, 2, 1], r"shards doubled: 1/3 \(1-of-3.h5, 1-of-3.h5\)"),
    ],
)
def test_shards_that_are_missing_or_doubled(chosen, message, copies):
    with pytest.raises(InputError, match=message):
        merging.merge([copies[index] for index in chosen], "run.h5")
    assert sorted(os.listdir()) == copies


def test_very_many_missing_shards_are_few_words(folder):
    config = runs.grid(seeds__count=2000, run__block_seeds=1)
    with pytest.raises(InputError, match=r"shards missing: 0/2000, .* and 1,979 more") as refusal:
        merging.merge([shard(config, 20, 2000)], "run.h5")
    assert len(str(refusal.value)) < 300


def test_shards_that_do_not_belong_together(copies, finished):
    other = shard(runs.grid(seeds__root=1), 1, 3, "other.h5")
    with pytest.raises(InputError, match=r"other.h5: is a shard of another grid \(seeds.root is 1 there, 0 in 0-of"):
        merging.merge([copies[0], other, copies[2]], "run.h5")
    with pytest.raises(InputError, match=r"half.h5: is shard 1/2, and 0-of-3.h5 is 0/3"):
        merging.merge([copies[0], shard(runs.grid(), 1, 2, "half.h5")], "run.h5")
    with pytest.raises(InputError, match="is no shard, but a whole run"):
        merging.merge([copies[0], str(finished)], "run.h5")
    recut = shard(runs.grid(run__block_seeds=5), 1, 3, "recut.h5")
    with pytest.raises(InputError, match=r"shard 1/3 \(recut.h5\) begins with seed 10, not 14: other blocks"):
        merging.merge([copies[0], recut, copies[2]], "run.h5")


@pytest.mark.parametrize("key", ["kernel_digest", "code_digest", "blas", "processor_features"])
def test_shards_of_other_code(key, copies, monkeypatch):
    before = Job.attributes
    monkeypatch.setattr(Job, "attributes", lambda self, origin: before(self, origin) | {key: "another"})
    other = shard(runs.grid(), 1, 3, "other.h5")
    message = f"other.h5: was written with {key.replace('_', ' ')} 'another', 0-of-3.h5 with "
    with pytest.raises(InputError, match=message):
        merging.merge([copies[0], other, copies[2]], "run.h5")


def test_shards_that_are_unfinished(copies):
    half = shard(runs.grid(), 1, 3, "half.h5", blocks=[1])
    with pytest.raises(InputError, match=r"unfinished: 1/3 \(half.h5\): 1 of 2 blocks are missing; --resume goes on"):
        merging.merge([copies[0], half, copies[2]], "run.h5")
    assert "run.h5" not in os.listdir()
    merging.merge([copies[0], shard(runs.grid(), 1, 3, half, resume=True), copies[2]], "run.h5")


def test_shards_that_are_damaged(copies, finished):
    place = survey(copies[1]).places["test_loss"]
    runs.flip(copies[1], place.start + 8 * 8)
    with pytest.raises(InputError, match=r"1-of-3.h5: shard 1/3 is damaged: block 0 \(seeds 14 to 20\); --resume"):
        merging.merge(copies, "run.h5")
    assert sorted(os.listdir()) == copies
    shard(runs.grid(), 1, 3, copies[1], resume=True)
    merging.merge(copies, "run.h5")
    assert_one_run("run.h5", finished)
    content = Path(copies[2]).read_bytes()
    runs.flip(copies[2], content.index(b"annealed"))
    with pytest.raises(InputError, match=r"2-of-3.h5: is damaged: names, types, attributes"):
        merging.merge(copies, "run.h5", overwrite=True)
    Path(copies[2]).write_bytes(content[:-1000])
    with pytest.raises(InputError, match=r"2-of-3.h5: is cut short"):
        merging.merge(copies, "run.h5", overwrite=True)
    Path(copies[2]).write_text("something else")
    with pytest.raises(InputError, match=r"2-of-3.h5: is no simlr run"):
        merging.merge(copies, "run.h5", overwrite=True)
    # what was there is there still
    assert_one_run("run.h5", finished)


def test_a_shard_that_another_program_changed_is_not_merged(copies):
    with h5py.File(copies[1], "r+") as file:
        file.attrs["note"] = "mine"
    with pytest.raises(InputError, match=r"1-of-3.h5: .* have no seal: another program changed it"):
        merging.merge(copies, "run.h5")


def test_short_datasets_are_those_of_the_shards(copies, monkeypatch, finished):
    """Merged on another processor, whose NumPy may round the rates otherwise."""
    before = file_format.record_fields

    def rounded(plan):
        return [(f, lambda made=made: made() + 1e-9) if f.dtype == "<f8" else (f, made) for f, made in before(plan)]

    monkeypatch.setattr(file_format, "record_fields", rounded)
    merging.merge(copies, "run.h5")
    assert_one_run("run.h5", finished)


def test_where_the_merge_may_not_go(copies, thirds):
    merging.merge(copies, "run.h5")
    for out, overwrite, message in (
        ("run.h5", False, "run.h5: exists; --overwrite replaces it"),
        ("none/run.h5", False, "the folder none does not exist"),
        (copies[0], True, "is one of the shards"),
        (".", True, "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            merging.merge(copies, out, overwrite=overwrite)
    merging.merge(copies, "run.h5", overwrite=True)
    for path, original in zip(copies, thirds, strict=True):
        assert Path(path).read_bytes() == Path(original).read_bytes()


def test_a_file_that_is_written_to_is_not_replaced_by_a_merge(copies):
    file, _ = Job(runs.grid()).open("run.h5")
    with pytest.raises(RunError, match="another run is writing to it"):
        merging.merge(copies, "run.h5", overwrite=True)
    file.close()
    assert sorted(os.listdir()) == [*copies, "run.h5"]


def test_a_disk_that_fills_up_leaves_nothing(copies, monkeypatch):
    before, left = file_io.pwrite, [60]

    def pwrite(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return before(*arguments)

    monkeypatch.setattr(file_io, "pwrite", pwrite)
    with pytest.raises(RunError, match="writing failed: No space left on device; nothing is left of it"):
        merging.merge(copies, "run.h5")
    assert sorted(os.listdir()) == copies


KILLED = """
import os, signal, sys
from simlr import merge
from simlr.store import file_io
before, left = file_io.pwrite, [int(sys.argv.pop(1))]
def pwrite(*arguments):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.{signal})
    before(*arguments)
file_io.pwrite = pwrite
sys.exit(merge.main())
"""


def merge_until(write, number, copies):
    """The command, sent a signal at its n-th write."""
    command = [
        sys.executable,
        "-c",
        KILLED.format(signal=number.name),
        str(write),
        *copies,
        "--out",
        "run.h5",
        "--quiet",
    ]
    return subprocess.run(command, env=runs.environment(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("write", [0, 5, 50, 200, 270, 271, 272, 273])
def test_a_killed_merge_leaves_no_file_and_does_not_hinder(write, copies, finished):
    killed = merge_until(write, signal.SIGKILL, copies)
    if killed.returncode == 0:  # it had fewer writes
        assert write > 200
    else:
        assert killed.returncode == -signal.SIGKILL and "run.h5" not in os.listdir()
        merging.merge(copies, "run.h5")
    assert_one_run("run.h5", finished)
    assert sorted(os.listdir()) == [*copies, "run.h5"]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=with_sigterm)])
def test_an_interrupted_merge_leaves_nothing(number, copies):
    ended = merge_until(50, number, copies)
    assert (ended.returncode, ended.stderr) == (130, "interrupted; no file is left\n")
    assert sorted(os.listdir()) == copies


# ---- the commands ----


def test_the_commands(folder, finished):
    Path("small.toml").write_text(runs.SMALL)
    for index in range(3):
        done = runs.command("small.toml", "--shard", f"{index}/3", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert f"small, shard {index}/3: 6 schedules x 1" in done.stderr
        assert done.stdout.splitlines()[-2] == f"data/small.shard-{index}-of-3.h5"
    names = [f"data/small.shard-{index}-of-3.h5" for index in range(3)]
    again = runs.command("small.toml", "--shard", "1/3", cwd=folder)
    assert f"{names[1]}: exists; --resume goes on" in runs.assert_refused(again)
    assert runs.command("small.toml", "--shard", "1/3", "--resume", "--quiet", cwd=folder).returncode == 0
    merged = runs.command(*names, "--out", "run.h5", cwd=folder, module="simlr.merge")
    assert merged.returncode == 0, merged.stderr
    assert merged.stdout.splitlines()[-1] == "python -m simlr.report run.h5"
    assert_one_run("run.h5", finished)
    refused = runs.command(names[0], names[2], "--out", "more.h5", cwd=folder, module="simlr.merge")
    assert runs.assert_refused(refused) == "simlr: shards missing: 1/3\n"
    refused = runs.command(*names, cwd=folder, module="simlr.merge")
    assert "the following arguments are required: --out" in runs.assert_refused(refused)


def test_shards_of_a_changed_grid(folder, capsys):
    from simlr.grid.__main__ import main

    Path("small.toml").write_text(runs.SMALL)
    changes = ["--seeds", "20", "--set", "seeds.root=3", "--quiet", "--shard"]
    for index in range(2):
        assert main(["small.toml", *changes, f"{index}/2", "--out", f"{index}.h5"]) == 0
    merging.merge(["0.h5", "1.h5"], "run.h5")
    runs.assert_same_bits(simlr.load("run.h5"), simlr.run(runs.grid(seeds__count=20, seeds__root=3)))
    assert main(["small.toml", "--shard", "1/3", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "cells     84 (6 schedules x 14 seeds)" in text and "shard     seeds 14 to 27 of 40" in text
    assert main(["small.toml", "--shard", "1/300"]) == 2
    assert "--shard 1/300: the grid has 6 blocks" in capsys.readouterr().err


def test_a_shard_of_a_huge_grid_is_planned_at_once(folder, capsys):
    from simlr.grid.__main__ import main

    Path("small.toml").write_text(runs.SMALL)
    assert main(["small.toml", "--seeds", "100000000000000", "--shard", "7/1000", "--dry-run"]) == 0
    assert "shard     seeds 700,000,000," in capsys.readouterr().out
