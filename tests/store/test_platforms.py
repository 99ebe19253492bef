"""What simlr does on macOS and Windows, as far as Linux can be taken for them; nothing of it was run there."""

import os
import subprocess
import sys

import elsewhere
import pytest
import runs

from simlr import platform
from simlr.store import file_io


@pytest.mark.skipif(sys.platform != "linux", reason="is tried on Linux")
@pytest.mark.parametrize("system", [pytest.param("macos", marks=pytest.mark.slow), "windows"])
def test_the_life_of_a_run_on_another_system(system, folder):
    done = subprocess.run(
        [sys.executable, elsewhere.__file__, system, "suite", str(folder)],
        env=runs.environment(PYTHONPATH=os.pathsep.join([str(runs.ROOT), os.path.dirname(elsewhere.__file__)])),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr


SYSTEMS = [platform.System, platform.Linux, platform.MacOS, platform.Windows]


@pytest.mark.parametrize("kind", SYSTEMS)
def test_places_of_a_file(kind, folder, monkeypatch):
    """What is written at a place is read there, and nowhere else, whichever way the system has for it."""
    here = kind()
    monkeypatch.setattr(file_io, "HERE", here)
    descriptor = here.open("file", os.O_RDWR | os.O_CREAT | here.not_followed)
    try:
        file_io.pwrite(descriptor, bytes(range(100)), 1000)
        file_io.pwrite(descriptor, memoryview(b"abc"), 10)
        file_io.start_writing(descriptor, 0, 1 << 20)
        file_io.sync(descriptor)
        here.sync_all(descriptor)
        here.sync_folder(".")
        assert file_io.pread(descriptor, 5, 9) == b"\0abc\0"
        assert file_io.pread(descriptor, 200, 1000) == bytes(range(100))
        assert 0 < here.allocated(os.fstat(descriptor)) and here.cores() >= 1 and here.memory() > 1 << 20
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_lock_file_has_one_owner(kind, folder):
    here = kind()
    first, second = (here.open("lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    here.lock_file(first)
    with pytest.raises((BlockingIOError, PermissionError)):
        here.lock_file(second)
    here.unlock_file(first)
    os.close(first)
    here.lock_file(second)
    here.unlock_file(second)
    os.close(second)


def test_macos_syncs_through_the_disks_own_memory(folder, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    asked = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda *told: asked.append(told))
    platform.MacOS().sync(7)
    assert asked == [(7, 51)]


def test_the_switch_chooses(monkeypatch):
    for name in ("linux", "macos", "windows"):
        monkeypatch.setenv(platform.SWITCH, name)
        assert platform._chosen().name == name
