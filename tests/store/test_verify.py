"""Looking a run file over: every flipped bit is found, named where it can be, and mended where it can be."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st

import simlr
from simlr.errors import DamageError, InputError, RunError
from simlr.grid import command
from simlr.grid.job import Job
from simlr.store import file_format, guard, seal, writer
from simlr.store.metadata import survey
from simlr.store.verify import verify


@pytest.fixture
def copy(finished, folder):
    """A finished run, to be damaged."""
    return shutil.copy(finished, "run.h5")


@pytest.fixture(scope="module")
def content(finished):
    return Path(finished).read_bytes()


def place_of(path, name):
    return survey(path).places[name]


def test_a_sound_run(finished):
    seen = []
    found = verify(finished, lambda done, total: seen.append((done, total)))
    assert "small.h5: sound: 6 blocks (40 seeds) have their CRC-32, the metadata their seal, 46 datasets" in found
    assert seen == [(done, 6) for done in range(1, 7)]


def test_a_run_in_any_shape(folder):
    axes = {"problem__samples": ["random", "all"], "problem__start": [[0.0, 0.0], [3.0, -1.0]]}
    for changes in (axes, {"record__points": 0}, {"record__seeds": "all", "record__dtype": "float32"}):
        simlr.run(runs.grid(**changes), "run.h5", overwrite=True)
        assert "sound" in verify("run.h5")


def test_the_data_of_the_grid_need_not_be_there(folder):
    text = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "quadratic"\nfile = "mine.npz"')
    np.savez("mine.npz", curvature=np.array([[1.0, 0.5]] * 40), residual=np.ones((40, 2)))
    simlr.run(runs.grid(text), "run.h5")
    os.unlink("mine.npz")
    assert "sound" in verify("run.h5")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_is_found(data, finished, tmp_path_factory):
    """In any of the datasets, however short, or anywhere else."""
    content = finished.read_bytes()
    path = tmp_path_factory.mktemp("flip") / "run.h5"
    path.write_bytes(content)
    places = survey(finished).places
    name = data.draw(st.sampled_from([None, *places]))
    first, size = (0, len(content)) if name is None else (places[name].start, places[name].bytes)
    runs.flip(path, first + data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 7)))
    with pytest.raises((InputError, RunError)) as found:
        verify(path)
    assert len(str(found.value).splitlines()) == 1
    # the end of the file says that it is a run, even where its beginning does not
    assert isinstance(found.value, RunError)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_truncation_is_found(data, finished, tmp_path_factory):
    content = finished.read_bytes()
    path = tmp_path_factory.mktemp("short") / "run.h5"
    _, _, end = seal.SUPERBLOCK.unpack(content[: seal.SUPERBLOCK.size])
    least = seal.SUPERBLOCK.size
    special = st.sampled_from([0, 1, least - 1, least, end - 1, end, end + 1, len(content) - 1])
    path.write_bytes(content[: data.draw(st.one_of(special, st.integers(0, len(content) - 1)))])
    size = path.stat().st_size
    with pytest.raises(RunError if size >= least else InputError) as found:
        verify(path)
    expected = (
        "no HDF5 file" if size < least else "is cut short" if size < end else "no seal" if size == end else "damaged"
    )
    assert expected in str(found.value)


@pytest.mark.parametrize("name", ["test_loss", "status", "curvature", "trajectory_test_loss", "block_crc32"])
def test_a_damaged_block_is_named_and_mended(name, copy, finished):
    place = place_of(copy, name)
    per_schedule = place.row_bytes if place.shape[0] == 6 and len(place.shape) > 1 else 0
    inner = place.row_bytes // place.shape[1] if per_schedule else place.row_bytes
    runs.flip(copy, place.start + (1 if name == "block_crc32" else 8) * inner + 3 * per_schedule)
    with pytest.raises(RunError, match=r"run.h5: damaged: block 1 \(seeds 7 to 13\) \(--resume computes them again\)"):
        verify(copy)
    runs.assert_same_bits(simlr.run(runs.grid(), copy, resume=True), simlr.load(finished))
    assert "sound" in verify(copy)


@pytest.mark.parametrize("name", ["seed", "draw"])
def test_a_damaged_coordinate_is_named_and_mended(name, copy):
    runs.flip(copy, place_of(copy, name).start + 8 * 8)
    with pytest.raises(RunError, match=f"dataset {name} is damaged \\(--resume mends it\\)"):
        verify(copy)
    simlr.run(runs.grid(), copy, resume=True)
    assert "sound" in verify(copy)


@pytest.mark.parametrize("name", ["wall_seconds", "finished_at", "end_crc32"])
def test_a_damaged_end_is_named_and_noted_anew(name, copy):
    runs.flip(copy, place_of(copy, name).start)
    with pytest.raises(RunError, match="wall_seconds, finished_at or their checksum are damaged"):
        verify(copy)
    simlr.run(runs.grid(), copy, resume=True)
    assert "sound" in verify(copy)


def test_many_damaged_blocks_are_few_words(folder):
    simlr.run(runs.grid(run__block_seeds=1), "run.h5")
    place = place_of("run.h5", "sharpness")
    Path("run.h5").write_bytes(
        Path("run.h5").read_bytes()[: place.start]
        + bytes(place.bytes)
        + Path("run.h5").read_bytes()[place.start + place.bytes :]
    )
    with pytest.raises(RunError, match=r"block 4 \(seeds 4 to 4\) and 35 more \(--resume"):
        verify("run.h5")


def test_an_unfinished_run(half, folder):
    with pytest.raises(RunError, match=r"unfinished: 3 of 6 blocks are missing \(--resume computes them\)$"):
        verify(half)
    path = shutil.copy(half, "run.h5")
    runs.flip(path, place_of(path, "test_loss").start)
    runs.flip(path, place_of(path, "block_done").start + 2, bit=0)
    with pytest.raises(RunError, match=r"damaged: block 0 \(seeds 0 to 6\), block 2 \(.*; unfinished: 2 of 6 blocks"):
        verify(path)


def test_a_run_whose_end_is_not_noted(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writer.Writer, "is_ended", lambda self: True)
        simlr.run(runs.grid(), "run.h5")
    with pytest.raises(RunError, match="unfinished: no block is missing, but the end is not noted"):
        verify("run.h5")
    simlr.run(runs.grid(), "run.h5", resume=True)
    assert "sound" in verify("run.h5")


def test_a_run_that_goes_on_is_unfinished(folder):
    job = Job(runs.grid())
    file, _ = job.open("run.h5")
    with pytest.raises(RunError, match="unfinished: 6 of 6 blocks are missing"):
        verify("run.h5")
    file.close()


# ---- what is no run ----


def write_h5(path, **attributes):
    """Another program's HDF5 file."""
    with h5py.File(path, "w", libver=attributes.pop("libver", None)) as file:
        file["x"] = np.arange(5)
        file.attrs.update(attributes)


def test_other_files_are_no_runs(folder):
    Path("text").write_text("not HDF5 at all\n" * 100)
    Path("empty").touch()
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for libver in ("earliest", "v108", "latest"):
        write_h5(libver, libver=libver)
    write_h5("new", format="simlr", format_version=2)
    for path, message in (
        ("text", "is no simlr run"),
        ("empty", "is no simlr run"),
        ("folder", "cannot be read: Is a directory"),
        ("pipe", "is no ordinary file"),
        ("none", "cannot be read: No such file"),
        ("earliest", "is no simlr run"),
        ("v108", "is no simlr run"),
        ("latest", "is no simlr run"),
        ("new", "has format version 2; this simlr reads up to 1"),
    ):
        with pytest.raises(InputError, match=message):
            verify(path)


def test_a_newer_format_with_its_seal(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(file_format, "FORMAT_VERSION", 2)
        simlr.run(runs.grid(), "run.h5")
    with pytest.raises(InputError, match="has format version 2; this simlr reads up to 1"):
        verify("run.h5")


def test_a_run_that_another_program_changed(copy):
    with h5py.File(copy, "r+") as file:
        file.attrs["note"] = "mine"
    with pytest.raises(
        RunError, match=r"its metadata have no seal: it was cut off, or another program changed the file$"
    ):
        verify(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.__delitem__("stop_time"), "dataset stop_time is not what its grid wants"),
        (lambda file: file["block_start"].__setitem__(0, 3), "dataset block_start is not what"),
        (lambda file: file.attrs.__setitem__("config", "name = 3\n"), "its description of the grid is not understood"),
        (lambda file: file.attrs.__setitem__("problem_sizes", "2x"), "its description of the grid is not understood"),
        (lambda file: file.attrs.__delitem__("problem_sizes"), "its description of the grid is not understood"),
        (lambda file: file.attrs.__setitem__("problem_sizes", "2x41"), "dataset block_start|dataset seed is not what"),
        (lambda file: file.attrs.__setitem__("shard", "0/2"), "no seal"),
    ],
    ids=range(7),
)
def test_a_layout_that_does_not_fit_the_grid(change, message, copy):
    with h5py.File(copy, "r+") as file:
        file.attrs["note"] = "mine"
        change(file)
    with pytest.raises(RunError, match=message):
        verify(copy)


def test_a_dataset_of_another_type(copy):
    with h5py.File(copy, "r+") as file:
        values = file["stop_step"][()]
        del file["stop_step"]
        file["stop_step"] = values.astype("i4")
    with pytest.raises(RunError, match="dataset stop_step is not what its grid wants"):
        verify(copy)


# ---- damaged metadata without a seal ----


@pytest.mark.parametrize(("name", "value"), [("schedule_learning_rate", 0.25), ("schedule_kind", "linear")])
def test_a_parameter_that_is_not_the_grids(name, value, copy):
    with h5py.File(copy, "r+") as file:
        file[name][-1] = value
    with pytest.raises(RunError, match=f"dataset {name} is not what its grid says"):
        verify(copy)


def test_rates_are_not_added_up_to_look_at_a_file(copy, monkeypatch):
    """Those of a long schedule take a minute."""

    def at(*arguments):
        raise AssertionError("added up")

    monkeypatch.setattr(simlr.plan.rate_tables.RateTables, "at", at)
    assert "sound" in verify(copy)
    assert simlr.load(copy).test_loss.size and simlr.run(runs.grid(), copy, resume=True).complete


def test_no_more_schedules_are_made_than_the_file_has(copy, monkeypatch):
    def build(*arguments):
        raise AssertionError("made")

    rates = [rate / 1e6 for rate in range(1, 1001)]
    with h5py.File(copy, "r+") as file:
        file.attrs["config"] = file.attrs["config"].replace("learning_rate = 0.7", f"learning_rate = {rates}")
    monkeypatch.setattr(simlr.schedules.checking, "build", build)
    with pytest.raises(RunError, match="its lists give 1,005 combinations, and the file has 6 schedules"):
        verify(copy)
    with pytest.raises(InputError, match="the file has 6 schedules"):
        simlr.load(copy).config  # noqa: B018


def test_a_damaged_heap_without_a_seal_ends(copy, content, monkeypatch):
    """The library was seen to run for ever on one: another process looks first, for a while."""
    monkeypatch.setattr(guard, "PROCESSOR_SECONDS", 1)
    _, _, end = seal.SUPERBLOCK.unpack(content[: seal.SUPERBLOCK.size])
    for place in (content.index(b"GCOL") + 16, content.index(b"GCOL") + 8, content.index(b"annealed") - 8):
        damaged = bytearray(content[:end])
        damaged[place : place + 8] = bytes(8)
        Path(copy).write_bytes(damaged)
        began = time.monotonic()
        with pytest.raises(RunError, match=r"no seal|not understood|is damaged"):
            verify(copy)
        with contextlib.suppress(DamageError):
            simlr.load(copy)["schedule"]
        assert time.monotonic() - began < 20.0


def test_a_process_that_hangs_or_dies_is_no_look(copy, monkeypatch):
    for look, seconds in (("while True: pass", 0.5), ("import os; os.abort()", 20), ("bytearray(1 << 62)", 20)):
        monkeypatch.setattr(guard, "PROBE", look)
        monkeypatch.setattr(guard, "SECONDS", seconds)
        guard._is_readable.cache_clear()
        assert not guard.is_readable(copy)


# ---- the command ----


def test_the_command(copy, folder, capsys):
    assert command.grid_command(["--verify", copy]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("run.h5: sound: 6 blocks") and len(said.out.splitlines()) == 1 and not said.err
    assert command.grid_command(["--verify", copy, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    os.rename(copy, "two\nlines.h5")
    assert command.grid_command(["--verify", "two\nlines.h5"]) == 0
    assert capsys.readouterr().out.startswith("two\\nlines.h5: sound: 6 blocks")
    os.rename("two\nlines.h5", copy)
    runs.flip(copy, place_of(copy, "test_loss").start)
    damaged = runs.command("--verify", copy, cwd=folder)
    assert "run.h5: damaged: block 0 (seeds 0 to 6)" in runs.assert_refused(damaged, status=1)
    Path("text").write_text("text")
    assert "no simlr run" in runs.assert_refused(runs.command("--verify", "text", cwd=folder))
    refused = runs.command("--verify", copy, "--resume", cwd=folder)
    assert "not allowed with argument" in runs.assert_refused(refused)


def test_a_long_check_before_going_on_is_announced(copy, capsys, monkeypatch):
    Path("small.toml").write_text(runs.SMALL)
    monkeypatch.setattr(command, "LONG_CHECK_BYTES", 1000)
    assert command.grid_command(["small.toml", "--resume", "--out", copy]) == 0
    size = os.path.getsize(copy)
    assert f"run.h5: checking the CRCs of what is done ({size:,} bytes) ..." in capsys.readouterr().err.splitlines()
