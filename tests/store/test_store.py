"""The run file: what is in it, how it reads while it grows, and what is refused as no run file."""

import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import of_unix

import simlr
from simlr.errors import InputError, RunError
from simlr.grid.job import Job
from simlr.platform import HERE
from simlr.store import create, file_format, layout, lock, merging, writer
from simlr.store.lock import locked

SEED, CELL = ("seed",), ("schedule", "seed", "level")
TRAJECTORY = ("schedule", "recorded_seed", "record")
# dataset -> its dimensions and type: what other people's scripts rely on.
CONTRACT = {
    "schedule": (("schedule",), "str"),
    "schedule_unit": (("schedule",), "str"),
    "schedule_kind": (("schedule",), "str"),
    "schedule_learning_rate": (("schedule",), "f8"),
    "schedule_phase1_learning_rate": (("schedule",), "f8"),
    "engine": (("schedule",), "u1"),
    "seed": (SEED, "i8"),
    "draw": (SEED, "i8"),
    "problem_samples": (SEED, "str"),
    "problem_start": (SEED, "str"),
    "level": (("level",), "f8"),
    "test_loss": (CELL, "f8"),
    "train_loss": (CELL, "f8"),
    "stop_step": (CELL, "i8"),
    "stop_time": (CELL, "f8"),
    "status": (CELL, "u1"),
    "train_floor": (SEED, "f8"),
    "test_floor": (SEED, "f8"),
    "sharpness": (SEED, "f8"),
    "curvature": (("seed", "axis"), "f8"),
    "initial_residual": (("seed", "axis"), "f8"),
    "train_minimiser": (("seed", "axis"), "f8"),
    "target": (("seed", "axis"), "f8"),
    "curvature_axes": (("seed", "axis", "axis_2"), "f8"),
    "test_matrix": (("seed", "axis", "axis_2"), "f8"),
    "record": (("record",), "i8"),
    "recorded_seed": (("recorded_seed",), "i8"),
    "recorded_step": (("schedule", "record"), "i8"),
    "recorded_time": (("schedule", "record"), "f8"),
    "learning_rate": (("schedule", "record"), "f8"),
    "trajectory_train_loss": (TRAJECTORY, "f4"),
    "trajectory_test_loss": (TRAJECTORY, "f4"),
    "trajectory_iterate": ((*TRAJECTORY, "axis"), "f4"),
    "axis": (("axis",), "i8"),
    "axis_2": (("axis_2",), "i8"),
    "block": (("block",), "i8"),
    "block_start": (("block",), "i8"),
    "block_done": (("block",), "u1"),
    "block_crc32": (("block",), "u4"),
    "finished_at": ((), "f8"),
    "wall_seconds": ((), "f8"),
    "end_crc32": ((), "u4"),
}
# 2 x 2 problems of 8 or 40 draws.
AXES = {
    "schedule__2__learning_rate": [0.01, 0.5],
    "problem__samples": ["random", "all"],
    "problem__start": [[0.0, 0.0], [3.0, -1.0]],
    "record__iterates": True,
    "record__dtype": "float32",
}
SIZES = {"schedule": 5, "seed": 96, "level": 2, "axis": 2, "axis_2": 2, "record": 20, "recorded_seed": 38, "block": 14}


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A run with everything that a file can hold."""
    path = tmp_path_factory.mktemp("rich") / "rich.h5"
    simlr.run(runs.grid(**AXES), out=path)
    return path


def test_the_file_holds_what_the_contract_says(rich):
    with h5py.File(rich) as file:
        assert set(CONTRACT) <= set(file)
        for name, (dims, kind) in CONTRACT.items():
            dataset = file[name]
            assert dataset.shape == tuple(SIZES[dim] for dim in dims), name
            found = h5py.check_string_dtype(dataset.dtype)
            assert (found and (found.encoding, found.length)) == (("utf-8", None) if kind == "str" else None), name
            assert kind == "str" or dataset.dtype == np.dtype(f"<{kind}"), name


def test_every_axis_of_every_dataset_has_its_own_scale(rich):
    with h5py.File(rich) as file:
        for name, dataset in file.items():
            if dataset.is_scale:
                assert dataset.shape == (SIZES[name],)
                continue
            scales = [[scale.name.lstrip("/") for scale in dim.values()] for dim in dataset.dims]
            wanted = CONTRACT[name][0] if name in CONTRACT else ("schedule",)
            assert scales == [[dim] for dim in wanted], name
        assert {name for name, dataset in file.items() if dataset.is_scale} == set(SIZES)


def test_every_dataset_is_contiguous_and_of_a_plain_type(rich):
    with h5py.File(rich) as file:
        for name, dataset in file.items():
            assert dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS, name
            assert dataset.dtype.kind in "iuf" or h5py.check_string_dtype(dataset.dtype), name
            assert dataset.dtype != np.float16, name
            assert dataset.attrs["long_name"]


def test_the_attributes_say_where_the_run_comes_from(rich):
    with h5py.File(rich) as file:
        found = dict(file.attrs)
        assert (found["format"], found["format_version"]) == ("simlr", 1)
        assert simlr.GridConfig.from_toml(found["config"]) == runs.grid(**AXES)
        for key in ("simlr_version", "numba_version", "numpy_version", "kernel_digest", "processor", "python_version"):
            assert isinstance(found[key], str) and found[key], key
        assert found["started_at"] <= file["finished_at"][()] <= found["started_at"] + 600
        assert 0.0 < file["wall_seconds"][()] < 600.0
        assert file["level"].attrs["level_kind"] == "train_loss"
        meanings = file["status"].attrs["flag_meanings"].split()
        assert meanings[:4] == ["not_run", "reached", "out_of_steps", "diverged"]
        assert file["status"].attrs["flag_values"].tolist() == list(range(len(meanings)))


def test_what_the_axes_hold(rich):
    run = simlr.load(rich)
    assert run.seed.tolist() == list(range(96))
    assert run.draw.tolist() == [*range(40), *range(40), *range(8), *range(8)]
    assert run.problem_samples.tolist() == ["random"] * 80 + ["all"] * 16
    starts = ["(0.0, 0.0)", "(3.0, -1.0)"]
    assert run.problem_start.tolist() == [start for count in (40, 8) for start in starts for _ in range(count)]
    assert run.level.tolist() == [1e-4, 1e-2]
    assert run.recorded_seed.tolist() == [*range(11), *range(40, 51), *range(80, 96)]
    assert run.block_start.tolist() == list(range(0, 96, 7))
    assert run.block_done.tolist() == [1] * 14
    assert run.schedule.tolist()[:3] == ["flow", "annealed", "constant[learning_rate=0.01]"]
    assert run.schedule_unit.tolist() == ["absolute", "sharpness", *["absolute"] * 3]
    assert np.isnan(run.schedule_learning_rate[:2]).all()
    assert run.schedule_learning_rate[2:].tolist() == [0.01, 0.5, 0.7]
    assert set(np.unique(run.status)) == {1, 2}


def test_common_random_numbers(rich):
    """A draw is the same sample whatever the problem's parameters, and whatever the number of seeds."""
    run = simlr.load(rich)
    assert (run.curvature[:40] == run.curvature[40:80]).all()
    fewer = simlr.run(runs.grid(seeds__count=5))
    assert (fewer.curvature == run.curvature[:5]).all()
    other = simlr.run(runs.grid(seeds__root=1))
    assert (other.curvature != run.curvature[:40]).any()


def test_the_default_grid_takes_less_than_60_megabytes(folder):
    from simlr.papers import nakkiran2020

    plan = Job(simlr.GridConfig.from_toml(nakkiran2020.GRID)).plan
    create.create("default.h5", plan, {"format": "simlr"}).close()
    assert os.path.getsize("default.h5") <= create.bytes_needed(plan) <= 60e6


@pytest.mark.parametrize(
    "changes",
    [
        {},
        AXES,
        {"record__points": 0},
        {"record__seeds": 0},
        {"record__points": 1, "seeds__count": 1},
        {"run__block_seeds": 1, "seeds__count": 5000},
        {"schedule__2__learning_rate": [0.001 * k for k in range(1, 300)], "seeds__count": 1},
        {"stop__train_loss": [0.5 / k for k in range(1, 3000)], "seeds__count": 1, "record__points": 0},
        {"problem__samples": ["random", "all"], "seeds__count": 20000, "record__points": 0},
    ],
    ids=str,
)
def test_the_bytes_needed_are_known_beforehand(changes, folder):
    plan = Job(runs.grid(**changes)).plan
    attributes = {"config": plan.config.to_toml(), "identity": plan.config.identity()}
    create.create("run.h5", plan, attributes).close()
    size = os.path.getsize("run.h5")
    assert size <= create.bytes_needed(plan) <= 1.6 * size + 100_000


# ---- reading ----


def opened_with_xarray(path):
    """The file as xarray has it; a warning would be a failure."""
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xarray.open_dataset(path, engine="h5netcdf") as dataset:
            return dataset.load()


def test_xarray_opens_a_finished_run_and_equals_to_xarray(rich):
    dataset = opened_with_xarray(rich)
    for name, (dims, _) in CONTRACT.items():
        assert dataset[name].dims == dims
    assert dict(dataset.sizes) == SIZES
    assert set(dataset.coords) == set(SIZES)
    made = simlr.load(rich).to_xarray()
    assert made.equals(dataset)
    assert made.attrs["config"] == dataset.attrs["config"]
    assert float(dataset.test_loss.sel(seed=3, level=1e-2, schedule="flow")) == simlr.load(rich).test_loss[0, 3, 1]


def test_xarray_opens_an_unfinished_run(half):
    dataset = opened_with_xarray(half)
    assert dataset.test_loss.dims == CELL
    assert (dataset.status[:, 14:28] == 0).all() and (dataset.status[:, :14] > 0).all()
    # to_xarray masks what the file has as zeros
    assert simlr.load(half).to_xarray().test_loss.isnull().sum() >= (dataset.status == 0).sum()


def test_a_run_in_memory_is_the_same_as_in_a_file(finished, rich):
    for path, changes in ((finished, {}), (rich, AXES)):
        memory = simlr.run(runs.grid(**changes))
        runs.assert_same_bits(memory, simlr.load(path))
        assert memory.complete
        assert memory.config == simlr.load(path).config
        assert (
            memory.to_xarray()
            .drop_vars(runs.LEDGER - {"block"})
            .equals(simlr.load(path).to_xarray().drop_vars(runs.LEDGER - {"block"}))
        )


def test_what_is_not_computed_yet_is_nan(half, finished):
    run, whole = simlr.load(half), simlr.load(finished)
    missing = np.zeros(40, bool)
    missing[14:28] = missing[35:] = True
    assert not run.complete and float(run.finished_at) == 0.0
    assert run.block_done.tolist() == [1, 1, 0, 0, 1, 0]
    assert ((run.status == 0) == missing[None, :, None]).all()
    for name in run.names:
        masked, wanted = run[name], whole[name]
        if name in runs.LEDGER or name == "status" or not {"seed", "recorded_seed"} & set(run.dims(name)):
            continue
        axis = run.dims(name).index("seed" if "seed" in run.dims(name) else "recorded_seed")
        gone = missing if "seed" in run.dims(name) else missing[whole.recorded_seed]
        masked, wanted = np.moveaxis(masked, axis, 0), np.moveaxis(wanted, axis, 0)
        assert (np.ascontiguousarray(masked[~gone]).tobytes()) == np.ascontiguousarray(wanted[~gone]).tobytes(), name
        if name in ("seed", "draw", "recorded_seed"):
            assert (masked == wanted).all()
        elif name == "stop_step":
            assert (masked[gone] == -1).all()
        else:
            assert np.isnan(masked[gone]).all(), name


def test_parameters_of_the_problem_are_known_before_the_seeds_are(folder):
    run = runs.run_blocks(runs.grid(**AXES), "run.h5", [0])
    assert run.problem_samples.tolist() == ["random"] * 80 + ["all"] * 16
    assert np.isnan(run.sharpness[7:]).all()


def test_parts_of_an_unfinished_run_are_those_of_the_whole(half):
    run = simlr.load(half)
    places = {
        "test_loss": [(), (2,), (2, 15), (slice(1, 3), 15, 0), (slice(None), slice(3, 20)), (1, slice(3, 20), 1)],
        "status": [(0,), (0, 15), (slice(0, 2), slice(10, 16), 1)],
        "sharpness": [(15,), (slice(3, 20),)],
        "curvature": [(15,), (3, 1), (slice(3, 20), 1), (slice(3, 20), slice(0, 1))],
        "trajectory_test_loss": [(1,), (1, 2), (slice(0, 2), slice(1, 9), 3), (slice(None), 10)],
    }
    for name, parts in places.items():
        for where in parts:
            assert np.array_equal(run.part(name, *where), run[name][where], equal_nan=True), (name, where)


def test_what_is_written_and_not_committed_is_not_shown(folder):
    """After a loss of power a status may be on the disk whose values are not."""
    job = Job(runs.grid())
    made, blocks = job.open("run.h5")
    made.commit = lambda: None
    job.run(made, blocks)
    run = simlr.load("run.h5")
    with h5py.File("run.h5", "r", locking=False) as file:
        assert (file["status"][()] > 0).all()
    assert (run.status == 0).all() and np.isnan(run.test_loss).all() and not run.complete


def test_a_run_that_goes_on_shows_how_far_it_is(folder, monkeypatch):
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.0)
    job = Job(runs.grid())
    file, blocks = job.open("run.h5")
    run = simlr.load("run.h5")
    assert (run.status == 0).all() and np.isnan(run.test_loss).all()
    seen = []

    class Spy:
        """The writer, with a look at the file after each block."""

        def __getattr__(self, name):
            return getattr(file, name)

        def write_block(self, block, *arguments):
            file.write_block(block, *arguments)
            seen.append(int(np.isfinite(run.sharpness).sum()))
            assert (np.isnan(run.test_loss) == (run.status == 0)).all()

    job.run(Spy(), blocks)
    assert seen == [7, 14, 21, 28, 35, 40]
    assert run.complete and np.isfinite(run.test_loss[run.status == 1]).all()


def test_names_of_a_run(finished):
    run = simlr.load(finished)
    assert "test_loss" in dir(run) and "load" not in dir(run)
    with pytest.raises(AttributeError, match="run has no dataset 'test_los'"):
        run.test_los  # noqa: B018
    with pytest.raises(InputError, match="unknown dataset 'test_los'; did you mean 'test_loss'"):
        run["test_los"]
    assert run.attributes["format"] == "simlr"
    for twin in (copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert (twin.level == run.level).all()


def test_datasets_that_are_not_known_are_left_alone(finished, folder):
    shutil.copy(finished, "more.h5")
    with h5py.File("more.h5", "a") as file:
        file["later"] = np.arange(3.0)
    run = simlr.load("more.h5")
    assert run.later.tolist() == [0.0, 1.0, 2.0]
    runs.assert_same_bits(simlr.run(runs.grid(), "more.h5", resume=True), run)


# ---- what is no run ----


def foreign(name="foreign.h5", **attributes):
    """Another program's HDF5 file."""
    with h5py.File(name, "w") as file:
        file["x"] = np.arange(5)
        file.attrs.update(attributes)
    return name


def other_files(finished):
    """Files that are no run, and why."""
    Path("text.h5").write_text("not HDF5 at all\n" * 100)
    Path("empty.h5").touch()
    shutil.copy(finished, "short.h5")
    os.truncate("short.h5", os.path.getsize(finished) - 1000)
    yield "text.h5", "text.h5: is no simlr run, or damaged"
    yield "empty.h5", "empty.h5: is no simlr run, or damaged"
    yield "short.h5", "short.h5: is no simlr run, or damaged: .*truncated"
    yield ".", "cannot be read: Is a directory"
    for number, attributes in enumerate(({}, {"format": "other"}, {"format": np.arange(3)}, {"format": 5})):
        yield foreign(f"{number}.h5", **attributes), rf"{number}.h5: is no simlr run \(the attribute `format`"
    yield foreign("none.h5", format="simlr"), r"none\.h5: has format version None"
    yield foreign("new.h5", format="simlr", format_version=2), "has format version 2; this simlr reads up to 1"


@pytest.mark.parametrize("resume", [False, True])
def test_what_is_no_run_is_refused(resume, finished, folder):
    for path, message in other_files(finished):
        with pytest.raises(InputError, match=message) as refusal:
            simlr.run(runs.grid(), path, resume=True) if resume else simlr.load(path)
        assert len(str(refusal.value).splitlines()) == 1


def test_a_missing_file_is_refused(folder):
    with pytest.raises(InputError, match=r"none\.h5: cannot be read: No such file"):
        simlr.load("none.h5")
    with pytest.raises(InputError, match=r"is damaged \(something that every run has is missing"):
        simlr.load(foreign(format="simlr", format_version=1))


# ---- creating ----


def test_an_output_that_exists_is_kept(finished, folder):
    shutil.copy(finished, "run.h5")
    before = Path("run.h5").read_bytes()
    with pytest.raises(InputError, match=r"run\.h5: exists; --resume goes on with it, --overwrite replaces it"):
        simlr.run(runs.grid(), out="run.h5")
    with pytest.raises(InputError, match="resume and overwrite cannot both be asked for"):
        simlr.run(runs.grid(), out="run.h5", resume=True, overwrite=True)
    assert Path("run.h5").read_bytes() == before
    assert os.listdir() == ["run.h5"]
    simlr.run(runs.grid(seeds__count=9), out="run.h5", overwrite=True)
    assert simlr.load("run.h5").seed.size == 9


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none/run.h5", "the folder none does not exist"),
        (".", "is a folder"),
        ("pipe", "is no ordinary file"),
        ("n" * 300, "cannot be written: File name too long"),
        ("n" * 253, "cannot be written: File name too long"),
        ("a\0b/run.h5", "the folder .* does not exist"),
    ],
    ids=["folder", "is-folder", "pipe", "long", "long-with-suffix", "nul"],
)
def test_where_no_file_can_be(path, message, folder):
    os.mkfifo("pipe")
    with pytest.raises(InputError, match=message):
        simlr.run(runs.grid(), out=path, overwrite=True)
    assert os.listdir() == ["pipe"]


def test_a_link_is_followed(finished, folder):
    os.mkdir("disk")
    os.symlink("disk/run.h5", "link.h5")
    simlr.run(runs.grid(), out="link.h5")
    simlr.run(runs.grid(), out="link.h5", overwrite=True)
    assert os.path.islink("link.h5") and os.listdir("disk") == ["run.h5"]
    runs.assert_same_bits(simlr.load("link.h5"), simlr.load(finished))


@pytest.mark.parametrize("target", ["none/run.h5", "link.h5"])
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_link_that_leads_nowhere_is_refused_and_kept(target, options, folder):
    os.symlink(target, "link.h5")
    with pytest.raises(InputError, match=f"out: link.h5: is a link that leads nowhere: {target}"):
        simlr.run(runs.grid(), out="link.h5", **options)
    assert os.readlink("link.h5") == target and os.listdir() == ["link.h5"]


def test_a_full_disk_is_seen_beforehand(folder, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=50_000))
    with pytest.raises(InputError, match=r"run.h5: needs \d+,\d+ bytes, and the disk has 50,000 free"):
        simlr.run(runs.grid(), out="run.h5")
    assert os.listdir() == []


def left_by_a_killed_one(path):
    """A working file whose maker is no more."""
    new, descriptor = lock.working_file(Path(path))
    os.write(descriptor, b"half a file" * 1000)
    os.close(descriptor)
    return new


def test_what_a_killed_creation_left_does_not_hinder(finished, folder):
    left_by_a_killed_one("run.h5")
    others = left_by_a_killed_one("other.h5").name
    simlr.run(runs.grid(), out="run.h5")
    assert sorted(os.listdir()) == [others, "run.h5"]
    runs.assert_same_bits(simlr.load("run.h5"), simlr.load(finished))
    left_by_a_killed_one("run.h5")
    simlr.run(runs.grid(), out="run.h5", resume=True)
    assert sorted(os.listdir()) == [others, "run.h5"]


@pytest.mark.parametrize("suffix", [".new", ".merging", ".lock"])
def test_names_of_others_are_left_alone(suffix, folder, finished):
    """Files and links that have the name of an output with something behind it."""
    shutil.copy(finished, "run.h5")
    Path("mine").write_text("mine")
    os.symlink("mine", "run.h5" + suffix)
    for keywords in ({"overwrite": True}, {"resume": True}):
        simlr.run(runs.grid(), "run.h5", **keywords)
    for i in range(2):
        job = Job(runs.grid(), (i, 2))
        job.run(*job.open(f"{i}.h5"))
    merging.merge(["0.h5", "1.h5"], "run.h5", overwrite=True)
    assert Path("mine").read_text() == "mine" and os.readlink("run.h5" + suffix) == "mine"
    assert sorted(os.listdir()) == ["0.h5", "1.h5", "mine", "run.h5", "run.h5" + suffix]


def test_a_link_or_pipe_under_a_working_name_is_not_followed(folder):
    """Whoever guesses such a name gains nothing: it is made anew, and what is there is not removed."""
    Path("mine").write_text("mine")
    tokens = iter(["a" * 12, "a" * 12, "b" * 12, "b" * 12, "c" * 12])
    name, descriptor = lock.working_file(Path("run.h5"))
    os.close(descriptor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock.secrets, "token_hex", lambda size: next(tokens))
        first, descriptor = lock.working_file(Path("run.h5"))
        os.close(descriptor)
        os.unlink(first)
        os.symlink("mine", first)
        second, descriptor = lock.working_file(Path("run.h5"))
        os.close(descriptor)
        os.unlink(second)
        os.mkfifo(second)
        third, descriptor = lock.working_file(Path("run.h5"))
        os.close(descriptor)
    assert len({name, first, second, third}) == 4
    assert not lock.is_being_made(Path("run.h5"))
    assert Path("mine").read_text() == "mine" and os.path.islink(first) and second.is_fifo()
    # Its maker is gone, which a lock of a byte tells; without one it takes time to be sure.
    assert third.exists() == (HERE.name != "linux")


def test_two_creations_at_once(folder, monkeypatch):
    """Whoever comes second is refused, at whatever moment it comes, and the first goes on undisturbed."""
    plan = Job(runs.grid()).plan
    refused = []

    def come_second(*arguments):
        with pytest.raises((InputError, RunError), match=r"another run is writing to it|exists") as refusal:
            create.create("run.h5", plan, {"format": "second"})
        refused.append(str(refusal.value))

    for moment in ("lay_out", "fill_indices", "sync_folder"):
        before = getattr(create, moment)
        monkeypatch.setattr(create, moment, lambda *a, before=before: (come_second(), before(*a)))
    file = create.create("run.h5", plan, {"format": "first"})
    come_second()
    assert len(refused) == 4
    file.close()
    with h5py.File("run.h5") as found:
        assert found.attrs["format"] == "first"
    assert os.listdir() == ["run.h5"]


def test_a_creation_that_comes_between_the_check_and_the_lock(folder, monkeypatch):
    plan = Job(runs.grid()).plan
    before = create.claimed

    def late(path):
        monkeypatch.setattr(create, "claimed", before)
        create.create("run.h5", plan, {"format": "first"}).close()
        return before(path)

    monkeypatch.setattr(create, "claimed", late)
    with pytest.raises(InputError, match="exists"):
        create.create("run.h5", plan, {"format": "second"})
    with h5py.File("run.h5") as found:
        assert found.attrs["format"] == "first"
    assert os.listdir() == ["run.h5"]


def test_a_file_that_is_written_to_is_not_replaced(folder):
    plan = Job(runs.grid()).plan
    file = create.create("run.h5", plan, {"format": "simlr"})
    with pytest.raises(RunError, match=r"run\.h5: another run is writing to it"):
        create.create("run.h5", plan, {"format": "simlr"}, overwrite=True)
    file.close()
    create.create("run.h5", plan, {"format": "simlr"}, overwrite=True).close()
    assert os.listdir() == ["run.h5"]


def test_a_creation_that_fails_leaves_nothing(folder, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("h5py says\nsomething")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layout, "attach_scales", fail)
        with pytest.raises(RunError, match=r"run\.h5: could not be laid out: 'h5py says"):
            simlr.run(runs.grid(), out="run.h5")
    with monkeypatch.context() as patch:
        patch.setattr(create, "fill_indices", interrupt)
        with pytest.raises(KeyboardInterrupt):
            simlr.run(runs.grid(), out="run.h5")
    assert os.listdir() == []


FULL_DISK = """
import resource, signal
import runs
from simlr.errors import RunError
from simlr.grid.job import Job
from simlr.store import create
job = Job(runs.grid())
job.attributes()  # which loads Numba, while there is room for its lock
create.check_limit = lambda *told: None
for limit in {limits}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        job.open("run.h5")
    except RunError as error:
        print(error)
"""


@of_unix
@pytest.mark.parametrize("limits", [[0, 48, 1000, 3000, 8000, 20_000, 60_000], [48] * 12])
def test_a_disk_that_is_full_when_the_file_is_laid_out(limits, folder):
    """Not a word of h5py's, which prints through its destructors, and no end by SIGSEGV when HDF5 is unloaded.

    Nor does HDF5 take for its own, when it reads back, what the memory holds in the place of a write that was dropped.
    """
    path = os.pathsep.join([str(runs.ROOT), str(runs.ROOT / "tests/support")])
    command = [sys.executable, "-c", FULL_DISK.format(limits=limits)]
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(PYTHONPATH=path), timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{folder / 'run.h5'}: could not be laid out: File too large"] * len(limits)
    assert os.listdir() == []


def test_a_layout_that_is_interrupted_again_and_again_leaves_nothing(folder, monkeypatch):
    """HDF5 is let come to its end first: it writes in another thread to a file that must not be closed meanwhile."""
    before, ended = layout.attach_scales, []

    def interrupt(*arguments):
        for _ in range(5):
            signal.raise_signal(signal.SIGINT)
        before(*arguments)
        ended.append(True)

    monkeypatch.setattr(layout, "attach_scales", interrupt)
    with pytest.raises(KeyboardInterrupt):
        create.create("run.h5", Job(runs.grid()).plan, {"format": "simlr"})
    assert ended and os.listdir() == []


def test_the_lock_is_that_of_the_open_file(folder):
    """Opening and closing the file elsewhere in the process must not free it, and readers must not be kept out."""
    file = create.create("run.h5", Job(runs.grid()).plan, {"format": "simlr"})
    with h5py.File("run.h5", "r", locking=True):
        pass
    open("run.h5", "rb").close()
    with pytest.raises(RunError, match="another run is writing to it"):
        locked("run.h5")
    file.close()
    descriptor, lock = locked("run.h5")
    os.close(descriptor)
    lock.close()


# ---- the same bits ----


@pytest.mark.parametrize("changes", [{}, AXES], ids=["plain", "axes"])
@pytest.mark.parametrize("block_seeds", [1, 8, 40, 1000, 0])
def test_the_bits_do_not_depend_on_threads_and_blocks(changes, block_seeds, rich, finished):
    reference = simlr.load(rich if changes else finished)
    for threads in (1, 2):
        run = simlr.run(runs.grid(**changes, run__block_seeds=block_seeds), threads=threads)
        runs.assert_same_bits(run, reference)


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 60),
    block=st.integers(1, 70),
    recorded=st.one_of(st.integers(0, 70), st.just("all")),
    points=st.integers(0, 12),
    samples=st.sampled_from(["random", "all", ["random", "all"]]),
)
def test_memory_and_file_agree_for_any_shape(count, block, recorded, points, samples, tmp_path_factory):
    changes = {"seeds__count": count, "run__block_seeds": block, "record__seeds": recorded, "record__points": points}
    config = runs.grid(**changes, problem__samples=samples)
    path = tmp_path_factory.mktemp("any") / "run.h5"
    run = simlr.run(config, out=path)
    assert run.complete and (run.status > 0).all()
    runs.assert_same_bits(run, simlr.run(config))
    runs.assert_same_bits(run, simlr.run(config, out=path, resume=True))
    assert file_format.LEDGER == tuple(name for name in file_format.LEDGER if name in run.names)
