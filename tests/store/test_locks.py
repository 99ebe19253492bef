"""Which lock a run takes where the system, or the disk, has not the usual one; and who is named that keeps it out."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import runs
from systems import of_linux, of_unix

import simlr
from simlr.errors import RunError
from simlr.grid.job import Job
from simlr.store import lock

REFUSALS = [errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP]


def refuse(patch, name, number):
    """Let one kind of lock be refused by the system."""

    def refused(*arguments):
        raise OSError(number, os.strerror(number))

    patch.setattr(fcntl, name, refused)


def runs_on(folder):
    """A run, its resume, a second writer meanwhile and an overwrite: what is left in the folder."""
    job = Job(runs.grid())
    writer, blocks = job.open("run.h5")
    try:
        if writer.lock.kind != lock.NONE:
            for keywords in ({"resume": True}, {"overwrite": True}):
                with pytest.raises(RunError, match=r"run\.h5: another run is writing to it"):
                    simlr.run(runs.grid(), "run.h5", **keywords)
        job.run(writer, list(blocks)[:2])
    finally:
        writer.close()
    assert simlr.run(runs.grid(), "run.h5", resume=True).complete
    assert simlr.run(runs.grid(), "run.h5", overwrite=True).complete
    return sorted(os.listdir())


@pytest.mark.parametrize("number", REFUSALS)
def test_a_file_beside_it_is_locked_where_bytes_cannot_be(number, folder, monkeypatch):
    refuse(monkeypatch, "fcntl", number)
    writer, _ = Job(runs.grid()).open("first.h5")
    assert writer.lock.kind == lock.BESIDE
    writer.close()
    assert runs_on(folder) == ["first.h5", "run.h5"]


@of_unix
@pytest.mark.parametrize("number", REFUSALS)
def test_without_any_lock_a_run_goes_on(number, folder, monkeypatch):
    refuse(monkeypatch, "fcntl", number)
    refuse(monkeypatch, "flock", number)
    writer, _ = Job(runs.grid()).open("first.h5")
    assert writer.lock.kind == lock.NONE and os.strerror(number) in writer.lock.why_none
    writer.close()
    assert [name for name in runs_on(folder) if not name.endswith(".lock")] == ["first.h5", "run.h5"]


def test_a_system_that_knows_no_such_lock(folder, monkeypatch):
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    assert runs_on(folder) == ["run.h5"]


@pytest.mark.parametrize("system", lock.ONE_KIND_OF_LOCK)
def test_on_a_network_disk_readers_are_not_met(system, folder, monkeypatch):
    """There flock is a lock of the file's bytes: ours would keep readers out, and theirs a resume."""
    monkeypatch.setattr(lock, "_file_system", lambda device: system)
    locked = []
    before = fcntl.fcntl
    monkeypatch.setattr(fcntl, "fcntl", lambda *arguments: (locked.append(arguments), before(*arguments))[1])
    assert runs_on(folder) == ["run.h5"]
    assert not [one for one in locked if one[1] == fcntl.F_OFD_SETLK]


@of_linux
def test_the_disk_of_a_folder_is_known(folder):
    assert lock._file_system(os.stat("/proc").st_dev) == "proc"
    assert lock._file_system(os.makedev(4000, 7)) == ""


@pytest.mark.parametrize("value", ["FALSE", "false", "0"])
def test_hdf5s_switch_is_honoured_and_said(value, folder):
    Path("grid.toml").write_text(runs.SMALL)
    for more in ((), ("--resume",), ("--overwrite",)):
        done = runs.command("grid.toml", "--out", "run.h5", *more, cwd=folder, HDF5_USE_FILE_LOCKING=value)
        assert done.returncode == 0, done.stderr
        assert f"run.h5: is not locked (HDF5_USE_FILE_LOCKING is {value}): see to it that no other run" in done.stderr
    assert sorted(os.listdir()) == ["grid.toml", "run.h5"]


@of_linux
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES + 0])
def test_a_lock_that_fails_leaves_nothing(number, folder, monkeypatch):
    refuse(monkeypatch, "fcntl", number)
    with pytest.raises((RunError, ValueError)):
        simlr.run(runs.grid(), "run.h5")
    assert os.listdir() == []


READER = """
import fcntl, os, struct, sys
descriptor = os.open("run.h5", os.O_RDWR)
kind = getattr(fcntl, sys.argv[1])
fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, 0, 0, 0, 0))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("kind", "said"),
    [("F_RDLCK", "a reader has it open and keeps writers out"), ("F_WRLCK", "another program has locked it")],
)
@of_linux
def test_who_keeps_a_run_out_is_named(kind, said, half, folder):
    """What flock of HDF5 is on a network disk: a lock of all bytes."""
    shutil.copy(half, "run.h5")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", READER, kind], **pipes) as reader:
        assert reader.stdout.readline() == b"locked\n"
        for keywords in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(RunError, match=rf"run\.h5: {said}"):
                simlr.run(runs.grid(), "run.h5", **keywords)
        reader.stdin.close()
    assert simlr.run(runs.grid(), "run.h5", resume=True).complete
    assert os.listdir() == ["run.h5"]


@of_unix
def test_somebodys_file_of_the_name_of_a_lock_is_kept(folder, monkeypatch):
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    writer, _ = Job(runs.grid()).open("run.h5")
    name = os.path.basename(writer.lock._beside)
    writer.close()
    assert not os.path.exists(name)
    Path(name).write_text("mine")
    simlr.run(runs.grid(), "run.h5", resume=True)
    assert Path(name).read_text() == "mine"
    os.remove(name)
    os.symlink("elsewhere", name)
    with pytest.raises((RunError, ValueError)):
        simlr.run(runs.grid(), "run.h5", resume=True)
    assert not os.path.exists("elsewhere")


def test_readers_with_and_without_locks_are_not_kept_out(folder, monkeypatch):
    for patched in (False, True):
        if patched:
            monkeypatch.setattr(lock, "_file_system", lambda device: "nfs")
        writer, _ = Job(runs.grid()).open("run.h5", overwrite=patched)
        for locking in (True, False, "best-effort"):
            with h5py.File("run.h5", "r", locking=locking) as file:
                assert file["block_done"].size
        writer.close()
