"""Nothing is lost: crashes, kills, full disks, damage, and going on afterwards with the same bits."""

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
import zlib
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import of_unix

import simlr
from simlr.engine import block_engine
from simlr.errors import InputError, RunError
from simlr.grid.job import Job
from simlr.platform import HERE
from simlr.store import compatibility, file_format, file_io, lock, seal, writer
from simlr.store import resume as resume_module
from simlr.store.metadata import places_of, survey


@pytest.fixture(scope="module")
def whole():
    """The small run, undisturbed."""
    return simlr.run(runs.grid())


@pytest.fixture
def computed(monkeypatch):
    """The first seeds of the blocks that are computed from now on."""
    found = []
    before = block_engine.Engine.block

    def block(self, first, last):
        found.append(first)
        return before(self, first, last)

    monkeypatch.setattr(block_engine.Engine, "block", block)
    return found


def resume(path="run.h5", config=None):
    return simlr.run(config or runs.grid(), path, resume=True)


def assert_committed_blocks_are_right(path, whole):
    """The file opens, its done blocks hold what an undisturbed run has, and all that has a status is final."""
    run = simlr.load(path)
    starts = [*run.block_start.tolist(), run.seed.size]
    for block in np.flatnonzero(run.block_done):
        seeds = slice(starts[block], starts[block + 1])
        for name in ("test_loss", "train_loss", "stop_step", "stop_time", "status"):
            assert run[name][:, seeds].tobytes() == whole[name][:, seeds].tobytes(), name
        assert run.curvature[seeds].tobytes() == whole.curvature[seeds].tobytes()
    final = run.status > 0
    assert (run.test_loss[final] == whole.test_loss[final]).all()
    return int(run.block_done.sum())


# ---- going on ----


def test_only_what_is_missing_is_computed(half, folder, whole, computed):
    shutil.copy(half, "run.h5")
    inode = os.stat("run.h5").st_ino
    run = resume()
    assert computed == [14, 21, 35]
    assert run.complete and os.stat("run.h5").st_ino == inode
    runs.assert_same_bits(run, whole)


def test_a_finished_run_is_left_as_it_is(finished, folder, computed):
    shutil.copy(finished, "run.h5")
    before = Path("run.h5").read_bytes()
    resume()
    assert computed == [] and Path("run.h5").read_bytes() == before


def test_without_a_file_it_starts_one(folder, whole):
    runs.assert_same_bits(resume(), whole)


def test_the_blocks_are_those_of_the_file(half, folder, whole, computed):
    """The grid may ask for other blocks, another name and other threads by now."""
    shutil.copy(half, "run.h5")
    run = simlr.run(runs.grid(run__block_seeds=3, name="other"), "run.h5", resume=True, threads=1)
    assert computed == [14, 21, 35]
    runs.assert_same_bits(run, whole)
    assert run.config.name == "small"


def test_wall_seconds_add_up(half, folder):
    shutil.copy(half, "run.h5")
    before = float(simlr.load("run.h5").wall_seconds)
    assert before > 0.0
    assert float(resume().wall_seconds) > before


def test_a_relative_path_survives_a_change_of_folder(half, folder, whole):
    shutil.copy(half, "run.h5")
    os.mkdir("elsewhere")
    simlr.run(runs.grid(), "run.h5", resume=True, progress=lambda done, of: os.chdir(folder / "elsewhere"))
    runs.assert_same_bits(simlr.load(folder / "run.h5"), whole)


# ---- damage ----


def block_bytes(path, name, seed, schedule=0):
    """The place of one seed's entry of a dataset, and its length."""
    with h5py.File(path, "r") as file:
        place = places_of(file)[name]
    if place.shape[0] == 6 and len(place.shape) > 1:
        size = place.row_bytes // place.shape[1]
        return place.start + schedule * place.row_bytes + seed * size, size
    return place.start + seed * place.row_bytes, place.row_bytes


@pytest.mark.parametrize(
    "name", ["test_loss", "stop_step", "status", "curvature", "test_matrix", "trajectory_test_loss"]
)
def test_a_damaged_block_is_computed_again(name, finished, folder, whole, computed):
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", block_bytes("run.h5", name, seed=8, schedule=3)[0])
    run = resume()
    assert computed == [7]
    assert run.complete
    runs.assert_same_bits(run, whole)


@pytest.mark.parametrize("name", ["block_crc32", "block_done"])
def test_a_damaged_ledger_costs_a_block(name, finished, folder, whole, computed):
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", block_bytes("run.h5", name, seed=2)[0])
    runs.assert_same_bits(resume(), whole)
    assert computed == [14]


def test_a_damaged_block_is_not_final_while_it_is_computed(finished, folder):
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", block_bytes("run.h5", "test_loss", seed=8)[0])
    job = Job(runs.grid())
    file, blocks = job.open("run.h5", resume=True)
    run = simlr.load("run.h5")
    assert blocks == [1] and not run.complete
    assert run.block_done.tolist() == [1, 0, 1, 1, 1, 1]
    assert np.isnan(run.test_loss[:, 7:14]).all() and (run.status[:, 14:] > 0).all()
    file.close()


def test_a_block_is_checked_by_the_crc_of_its_datasets(finished):
    """As other people's tools may check it, with h5py and zlib alone."""
    order = ["train_floor", "test_floor", "sharpness", "curvature", "initial_residual", "train_minimiser", "target"]
    order += ["curvature_axes", "test_matrix", "trajectory_train_loss", "trajectory_test_loss"]
    order += ["train_loss", "test_loss", "stop_step", "stop_time", "status"]
    with h5py.File(finished) as file:
        starts = [*file["block_start"][()], 40]
        for block, (first, last) in enumerate(pairwise(starts)):
            crc = 0
            for name in order:
                dataset = file[name]
                along = dataset.dims[0 if dataset.dims[0][0].name != "/schedule" else 1][0].name
                part = slice(first, last) if along == "/seed" else slice(min(first, 11), min(last, 11))
                values = dataset[part] if dataset.dims[0][0].name == along else dataset[:, part]
                crc = zlib.crc32(np.ascontiguousarray(values).tobytes(), crc)
            assert crc == file["block_crc32"][block]


@pytest.mark.parametrize("name", ["seed", "draw"])
def test_damaged_coordinates_are_mended(name, finished, folder, whole, computed):
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", block_bytes("run.h5", name, seed=8)[0])
    runs.assert_same_bits(resume(), whole)
    assert computed == []


def test_damaged_names_are_refused_before_hdf5_sees_them(finished, folder):
    """The library checks its headers, but not the heap that holds the strings: damaged, it may never return."""
    content = Path(finished).read_bytes()
    for place in (
        content.index(b"GCOL") + 16,
        content.index(b"annealed"),
        content.index(b"long_name"),
        len(content) - 60,
    ):
        damaged = bytearray(content)
        damaged[place : place + 8] = bytes(8)
        Path("run.h5").write_bytes(damaged)
        for use in (simlr.load, resume):
            with pytest.raises(
                InputError, match=r"run\.h5: is damaged: what lies beside its data is not what was written"
            ):
                use("run.h5")


def test_a_file_that_another_program_changed_has_no_seal(finished, folder, whole):
    shutil.copy(finished, "run.h5")
    size = os.path.getsize("run.h5")
    with h5py.File("run.h5", "r+") as file:
        file.attrs["note"] = "mine"
    assert os.path.getsize("run.h5") != size and seal.state("run.h5") != seal.BROKEN
    runs.assert_same_bits(resume(), whole)


@pytest.mark.parametrize(
    "starts", [[0, 7, 7, 21, 28, 35], [1, 7, 14, 21, 28, 35], [0, 7, 14, 21, 28, 40], [0, 9, 5, 21, 28, 35]]
)
def test_impossible_blocks_are_refused(starts, finished, folder):
    shutil.copy(finished, "run.h5")
    with h5py.File("run.h5", "r+") as file:
        file["block_start"][...] = starts
    with pytest.raises(InputError, match=r"run\.h5: is damaged .*; --overwrite starts anew"):
        resume()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_damage_is_refused_or_mended(data, finished, tmp_path_factory):
    """Random bytes anywhere in a finished file: loading and going on never end in anything but a result or one line."""
    path = tmp_path_factory.mktemp("damage") / "run.h5"
    content = bytearray(Path(finished).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        # half of the damage falls on the metadata and the short datasets
        end = data.draw(st.sampled_from([len(content), 8192]))
        offset = data.draw(st.integers(0, end - 1))
        piece = data.draw(st.one_of(st.binary(min_size=1, max_size=16), st.just(bytes(64)), st.just(b"\xff" * 64)))
        content[offset : offset + len(piece)] = piece
    path.write_bytes(content[: len(finished.read_bytes())])
    with contextlib.suppress(InputError, RunError):
        run = simlr.load(path)
        for name in run.names:
            run[name]
        run.config  # noqa: B018
    with contextlib.suppress(InputError, RunError):
        job = Job(runs.grid())
        file, blocks = job.open(path, resume=True)
        try:
            assert set(blocks) <= set(range(6))
        finally:
            file.close()


# ---- another grid, other code ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds__count": 41}, r"holds another grid \(seeds.count is 40 there, 41 here\)"),
        ({"seeds__root": 1}, r"\(seeds.root is 0 there, 1 here\)"),
        ({"schedule__3__learning_rate": 0.8}, r"\(schedule.3.learning_rate is 0.7 there, 0.8 here\)"),
        ({"schedule__1__phases": [{"kind": "flow"}]}, r"\(schedule.1.phases.0.kind is 'constant' there, 'flow' here\)"),
        ({"record__dtype": "float32"}, r"\(record.dtype is 'float64' there, 'float32' here\)"),
        ({"stop__train_loss": [1e-4]}, r"\(stop.train_loss is \[0.0001, 0.01\] there, \[0.0001\] here\)"),
        ({"problem__samples": "all"}, r"\(problem.samples is 'random' there, 'all' here\)"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_another_grid_is_refused(changes, message, half):
    before = Path(half).read_bytes()
    with pytest.raises(InputError, match=message + "; --resume needs the same one, --overwrite replaces it"):
        resume(half, runs.grid(**changes))
    assert Path(half).read_bytes() == before


@pytest.mark.parametrize("key", [key for key in compatibility.PROVENANCE if key != compatibility.PLUGINS])
def test_other_code_is_refused_by_name(key, half, folder):
    shutil.copy(half, "run.h5")
    with h5py.File("run.h5", "r+") as file:
        here = file.attrs[key]
        file.attrs[key] = "another"
    with pytest.raises(InputError, match=f"was written with {key.replace('_', ' ')} 'another', here is ") as refusal:
        resume()
    assert here[:20] in str(refusal.value) and len(str(refusal.value).splitlines()) == 1
    with h5py.File("run.h5", "r+") as file:
        del file.attrs[key]
    with pytest.raises(InputError, match=f"was written with {key.replace('_', ' ')} None, here is "):
        resume()


def test_a_changed_data_file_is_refused(folder):
    text = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "quadratic"\nfile = "mine.npz"')
    np.savez("mine.npz", curvature=np.array([[1.0, 0.5]] * 40), residual=np.ones((40, 2)))
    runs.run_blocks(runs.grid(text), "run.h5", [0])
    assert resume(config=runs.grid(text)).complete
    np.savez("mine.npz", curvature=np.array([[1.0, 0.4]] * 40), residual=np.ones((40, 2)))
    with pytest.raises(InputError, match="was written with problem identity"):
        resume(config=runs.grid(text))


# ---- one writer ----


def test_a_second_writer_is_refused(half, folder):
    shutil.copy(half, "run.h5")
    job = Job(runs.grid())
    file, _ = job.open("run.h5", resume=True)
    for keywords in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match=r"run\.h5: another run is writing to it"):
            simlr.run(runs.grid(), "run.h5", **keywords)
    file.close()
    assert resume().complete


def test_a_resume_that_is_broken_off_lets_go_of_the_file(half, folder, monkeypatch):
    shutil.copy(half, "run.h5")

    def interrupt(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writer.Writer, "check", interrupt)
        resume()
    assert resume().complete


def test_the_file_is_closed_only_after_a_write_in_hand(half, folder, whole):
    """The main thread ends an interrupted run while the other may still write: never to a descriptor used anew."""
    shutil.copy(half, "run.h5")
    file, _ = Job(runs.grid()).open("run.h5", resume=True)
    began, go_on = threading.Event(), threading.Event()
    before = file._write

    def slow(data, offset):
        began.set()
        go_on.wait(10)
        before(data, offset)

    file._write = slow
    arrays = {field.name: whole[field.name][..., 14:21, :] for field in file_format.RESULTS}
    plan = Job(runs.grid()).plan
    fields = {field.name: field for field in file_format.block_fields(plan)}
    arrays = {
        name: whole[name][(slice(None),) * (field.dims[0] == "schedule") + (slice(14, 21),)]
        for name, field in fields.items()
    }
    arrays |= {name: whole[name][:, :0] for name in file_format.TRAJECTORIES if name in fields}
    thread = threading.Thread(target=file.write_block, args=(2, 14, 21, arrays))
    thread.start()
    began.wait(10)
    closing = threading.Thread(target=file.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    go_on.set()
    thread.join(10)
    closing.join(10)
    with pytest.raises(RunError, match=r"is closed|was removed"):
        file.write_block(2, 14, 21, arrays)
    assert resume().complete


# ---- the end of the process, at any write ----


class Crash(BaseException):
    """The end of the process."""


def crash_at(monkeypatch, number):
    """Let the run end before its n-th write, nothing tidied up."""
    before, left = file_io.pwrite, [number]

    def pwrite(descriptor, data, offset):
        left[0] -= 1
        if left[0] < 0:
            raise Crash
        before(descriptor, data, offset)

    monkeypatch.setattr(file_io, "pwrite", pwrite)
    monkeypatch.setattr(writer.Writer, "finish", lambda *a: None)
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.0)


@pytest.mark.parametrize("number", [0, 1, 8, 9, 30, 45, 46, 47, 48, 49, 50, 51, 52, 77, 97, 98, 130, 150, 200, 260])
def test_a_crash_at_any_write_loses_nothing(number, half, folder, whole, monkeypatch):
    shutil.copy(half, "run.h5")
    with monkeypatch.context() as patch, contextlib.suppress(Crash):
        crash_at(patch, number)
        resume()
    assert assert_committed_blocks_are_right("run.h5", whole) >= 3
    runs.assert_same_bits(resume(), whole)


def test_kill_and_resume_give_the_same_bits(folder):
    """A real process, ended by SIGKILL in mid-run, again and again."""
    Path("grid.toml").write_text(runs.LONG.replace("count = 600000", "count = 20000"))
    config = simlr.GridConfig.from_toml(Path("grid.toml"))
    done = [0]
    for _ in range(3):
        process = runs.start("grid.toml", "--out", "run.h5", "--resume", "--quiet", "--threads", "1", cwd=folder)
        while process.poll() is None and runs.blocks_done("run.h5") == done[-1]:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        done.append(runs.blocks_done("run.h5"))
    assert done[1] > 0
    assert done == sorted(done)
    whole = simlr.run(config)
    assert_committed_blocks_are_right("run.h5", whole)
    runs.assert_same_bits(resume(config=config), whole)


def test_the_lock_dies_with_its_owner_only(folder):
    Path("grid.toml").write_text(runs.LONG)
    process = runs.start("grid.toml", "--out", "run.h5", "--quiet", cwd=folder)
    runs.wait_until(lambda: runs.blocks_done("run.h5"), process)
    config = simlr.GridConfig.from_toml(Path("grid.toml"))
    for keywords in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(RunError, match="another run is writing to it"):
            Job(config).open("run.h5", **keywords)
    # a reader is welcome meanwhile
    run = simlr.load("run.h5")
    assert np.isfinite(run.test_loss).any() and np.isnan(run.test_loss).any()
    process.kill()
    process.communicate()
    Job(config).open("run.h5", resume=True)[0].close()


# ---- the disk ----


@contextlib.contextmanager
def room_for(bytes_):
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@of_unix
def test_a_limit_on_the_size_of_a_file(folder, whole):
    with room_for(20_000), pytest.raises(InputError, match=r"needs \d+,\d+ bytes, and the limit .* is 20,000 \(ulimit"):
        resume()
    assert os.listdir() == []
    job = Job(runs.grid())
    file, blocks = job.open("run.h5")
    with (
        room_for(50_000),
        pytest.raises(RunError, match="writing failed: File too large; what was committed is kept; make"),
    ):
        job.run(file, blocks)
    assert_committed_blocks_are_right("run.h5", whole)
    runs.assert_same_bits(resume(), whole)


@pytest.mark.parametrize("after", [0, 5, 60, 100])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails(after, error, folder, whole, monkeypatch):
    """Every write from the n-th on fails, those at the end of the run too."""
    job = Job(runs.grid())
    file, blocks = job.open("run.h5")
    before, left = HERE.pwrite, [after]

    def pwrite(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(error, os.strerror(error))
        return before(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(HERE, "pwrite", pwrite)
        with pytest.raises(
            RunError, match=f"writing failed: {os.strerror(error)}; what was committed is kept; .*--resume"
        ):
            job.run(file, blocks)
    assert_committed_blocks_are_right("run.h5", whole)
    runs.assert_same_bits(resume(), whole)


def test_a_sync_that_fails(folder, whole, monkeypatch):
    job = Job(runs.grid())
    file, blocks = job.open("run.h5")

    def sync(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(file_io, "sync", sync)
        with pytest.raises(RunError, match="did not take what was written: Input/output error; what was committed"):
            job.run(file, blocks)
    assert runs.blocks_done("run.h5") == 0
    runs.assert_same_bits(resume(), whole)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of eight megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_real_disk_fills_up(small_disk, whole):
    """The command: one line, exit status 1; after room is made it goes on."""
    grid = small_disk.parent / "grid.toml"
    grid.write_text(runs.LONG.replace("count = 600000", "count = 8000"))
    config = simlr.GridConfig.from_toml(grid)
    out = small_disk / "run.h5"
    job = Job(config)
    job.open(out)[0].close()
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(bytes(free - 1_000_000))
    refused = runs.command(grid, "--out", out, "--resume", "--quiet", cwd=small_disk.parent)
    assert "bytes, and the disk has" in runs.assert_refused(refused)
    # what a check beforehand cannot see: the room goes away while the run goes on
    program = "import shutil, sys; from simlr import grid; u = shutil.disk_usage('/'); "
    program += "shutil.disk_usage = lambda path: u._replace(free=1 << 40); sys.exit(grid.main())"
    command = [os.sys.executable, "-c", program, str(grid), "--out", str(out), "--resume", "--quiet"]
    failed = subprocess.run(command, capture_output=True, text=True, env=runs.environment(), timeout=120)
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        f"simlr: {out}: writing failed: No space left on device; what was committed is kept; "
        "make room, then go on with --resume"
    ]
    whole = simlr.run(config)
    assert 0 < assert_committed_blocks_are_right(out, whole) < 16
    (small_disk / "filler").unlink()
    runs.assert_same_bits(resume(out, config), whole)


@pytest.mark.parametrize("replace", [False, True], ids=["removed", "replaced"])
def test_an_output_that_is_lost_is_noticed(replace, folder, whole):
    Path("other.h5").write_text("other")

    def lose(done, of):
        if replace and Path("other.h5").exists():
            os.replace("other.h5", "run.h5")
        elif not replace:
            Path("run.h5").unlink(missing_ok=True)

    config = runs.grid(run__block_seeds=1, seeds__count=400)
    with pytest.raises(RunError, match=r"run\.h5: was removed or replaced while the run went on"):
        simlr.run(config, "run.h5", threads=1, progress=lose)
    assert not replace or Path("run.h5").read_text() == "other"


@pytest.mark.parametrize("left", [0, 4096, 0.5, -1], ids=["empty", "metadata", "half", "but one byte"])
def test_an_output_that_is_cut_short_is_noticed(left, folder):
    """At the next commit, not only at the end of a long run."""
    config = runs.grid(run__block_seeds=1, seeds__count=400)
    told, size = [], []

    def cut(done, of):
        told.append(done)
        if not size:
            size.append(os.path.getsize("run.h5"))
            os.truncate("run.h5", int(size[0] * left) if left == 0.5 else left % size[0])

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(RunError, match=r"run\.h5: was cut short while the run went on, to [\d,]+ bytes of "),
    ):
        patch.setattr(writer, "SYNC_SECONDS", 0.0)
        simlr.run(config, "run.h5", threads=1, progress=cut)
    assert told[-1] < 400
    with pytest.raises(InputError, match=r"run\.h5: "):
        simlr.load("run.h5")
    if not left:  # nothing tells any more that it was a run, so it is not replaced either
        os.truncate("run.h5", size[0])  # a block written before the cut was seen made it long again, or none did
        with pytest.raises(InputError, match="is no simlr run, so it is not replaced"):
            simlr.run(config, "run.h5", overwrite=True)
        os.remove("run.h5")
    assert simlr.run(config, "run.h5", overwrite=True).complete


def test_a_file_that_cannot_be_mended_is_let_go_of(finished, folder, whole, monkeypatch):
    """The first write of going on fails: one line, and neither descriptor nor lock is kept."""
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", block_bytes("run.h5", "draw", seed=8)[0])
    open_before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []

    def fail(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(HERE, "pwrite", fail)
        with pytest.raises(RunError, match=r"run\.h5: writing failed: No space left on device; what was committed is"):
            resume()
    if open_before:
        assert len(os.listdir("/proc/self/fd")) == len(open_before)
    runs.assert_same_bits(resume(), whole)


def test_a_file_that_is_replaced_while_it_is_looked_at(finished, half, folder, monkeypatch):
    """Another run's --overwrite between the look and the lock: its places would be written to blindly."""
    shutil.copy(finished, "run.h5")
    shutil.copy(half, "other.h5")
    before = lock.locked_output

    def replaced(*arguments):
        os.replace("other.h5", "run.h5")
        return before(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(resume_module, "locked_output", replaced)
        with pytest.raises(RunError, match=r"run\.h5: was replaced or changed meanwhile"):
            resume()
    assert Path("run.h5").read_bytes() == Path(half).read_bytes()
    assert resume().complete


def test_nothing_is_marked_as_done_when_its_values_go(finished, folder, monkeypatch):
    """Going on with a damaged block: the marks are off the disk before anything else of it changes."""
    shutil.copy(finished, "run.h5")
    runs.flip("run.h5", block_bytes("run.h5", "block_crc32", seed=1)[0])
    job, happened = Job(runs.grid()), []
    pwrite, sync = file_io.pwrite, file_io.sync
    monkeypatch.setattr(file_io, "pwrite", lambda *a: (happened.append(a[2]), pwrite(*a)))
    monkeypatch.setattr(file_io, "sync", lambda descriptor: (happened.append("sync"), sync(descriptor)))
    file, blocks = job.open("run.h5", resume=True)
    file.close()
    assert blocks == [1]
    places = survey("run.h5").places
    assert happened[:3] == [places["finished_at"].start, places["block_done"].start + 1, "sync"]
    first = places["status"].start
    assert len(happened) == 9 and all(first <= offset < first + places["status"].bytes for offset in happened[3:])


def test_a_progress_function_that_fails_ends_the_run(folder):
    def fail(done, of):
        raise ZeroDivisionError("in the user's own function")

    config = runs.grid(run__block_seeds=1, seeds__count=800)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="in the user's own function"):
        simlr.run(config, "run.h5", threads=1, progress=fail)
    assert threading.active_count() <= before
    assert simlr.run(config, "run.h5", threads=1, resume=True).complete


def test_an_interrupted_run_in_a_program_goes_on(folder, monkeypatch):
    def interrupt(done, of):
        raise KeyboardInterrupt

    config = runs.grid(run__block_seeds=1, seeds__count=800)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        runs.hold_after(patch, 5)
        simlr.run(config, "run.h5", threads=1, progress=interrupt)
    assert 0 < runs.blocks_done("run.h5") <= 5
    told = []
    run = simlr.run(config, "run.h5", threads=1, resume=True, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (800, 800) and told[0][0] > 0
    runs.assert_same_bits(run, simlr.run(config, threads=1))


def test_signals_are_handled_as_before_after_a_run(folder):
    handler = signal.getsignal(signal.SIGTERM)
    from simlr.grid.__main__ import main

    assert main(["--list"]) == 0
    Path("grid.toml").write_text(runs.SMALL)
    assert main(["grid.toml", "--out", "run.h5", "--quiet"]) == 0
    assert signal.getsignal(signal.SIGTERM) is handler
