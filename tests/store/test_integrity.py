"""No result that was not computed or is not on the disk is shown, and no file is replaced that is not a run."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import runs

import simlr
from simlr.engine.environment import code_digest
from simlr.errors import DamageError, InputError, RunError
from simlr.problems import lapack
from simlr.report import __main__ as report
from simlr.store import file_io, guard, writer
from simlr.store.metadata import survey
from simlr.store.verify import verify


@pytest.fixture(scope="module")
def whole():
    return simlr.run(runs.grid())


@pytest.fixture
def copy(finished, folder):
    """A finished run that may be changed."""
    Path("run.h5").write_bytes(finished.read_bytes())
    return "run.h5"


@pytest.fixture
def unfinished(half, folder):
    """Three blocks of six, which may be changed."""
    Path("run.h5").write_bytes(half.read_bytes())
    return "run.h5"


def flip(path, name, index=0, bit=0):
    """Change one bit of a dataset."""
    runs.flip(path, survey(path).places[name].start + index, bit)


# ---- a disk that fails ----


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("which", range(1, 9))
def test_a_sync_that_fails_once_ends_the_run_and_marks_nothing_after_it(which, number, folder, whole, monkeypatch):
    """Linux tells of a failed write-back once; the next sync goes well, and what was lost stays lost."""
    calls, marked, sync = [], [], file_io.sync

    def failing(descriptor):
        calls.append(None)
        if len(calls) == which:
            marked.append(runs.blocks_done("run.h5"))
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(file_io, "sync", failing)
    with pytest.raises(RunError) as failure:
        simlr.run(runs.grid(), "run.h5")
    text = str(failure.value)
    assert len(text.splitlines()) == 1 and os.strerror(number) in text and "remount" in text and "--resume" in text
    assert len(calls) == which  # nothing is synced, so nothing is trusted, after the failure
    assert runs.blocks_done("run.h5") == marked[0]
    found = simlr.load("run.h5")
    assert not found.complete or which > 7  # the end was noted, and its note alone was not synced
    runs.assert_same_bits(simlr.run(runs.grid(), "run.h5", resume=True), whole)


@pytest.mark.parametrize("kind", ["error", "cut short", "cut short for a moment"])
def test_a_read_that_fails_is_one_line_that_names_the_file(kind, copy, whole, monkeypatch):
    """A disk that gives no more, or a file that is cut short while it is looked at."""
    calls, fails_at, pread = [], [1 << 62], file_io.pread

    def failing(descriptor, size, offset):
        calls.append(None)
        found = pread(descriptor, size, offset)
        if len(calls) < fails_at[0] or (kind.endswith("moment") and len(calls) > fails_at[0]):
            return found
        if kind == "error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return found[: len(found) // 2]

    monkeypatch.setattr(file_io, "pread", failing)
    for look in (verify, simlr.load, lambda path: simlr.run(runs.grid(), path, resume=True)):
        fails_at[0] = 1 << 62
        calls.clear()
        look(copy)
        for first in {2, len(calls) // 2, len(calls) - 1}:
            calls.clear()
            fails_at[0] = first
            try:
                look(copy)
            except (InputError, RunError) as error:
                assert "run.h5: " in str(error) and len(str(error).splitlines()) == 1
    fails_at[0] = 1 << 62
    runs.assert_same_bits(simlr.load(copy), whole)


# ---- marks and checksums ----


@pytest.mark.parametrize(("index", "bit"), [(0, 0), (3, 5), (7, 6)])
def test_a_flipped_end_makes_no_results(unfinished, whole, index, bit):
    """Zeros of blocks that were never computed, in a file that says that it is finished."""
    flip(unfinished, "finished_at", index, bit)
    with pytest.raises(DamageError, match=r"run\.h5: is damaged: finished_at, wall_seconds or their checksum"):
        simlr.load(unfinished)
    with pytest.raises(RunError):
        verify(unfinished)
    runs.assert_same_bits(simlr.run(runs.grid(), unfinished, resume=True), whole)


def test_an_end_with_its_checksum_is_not_enough(unfinished):
    places = survey(unfinished).places
    with open(unfinished, "r+b") as file:
        for name, value in (("finished_at", 1.0), ("wall_seconds", 0.0)):
            file.seek(places[name].start)
            file.write(np.float64(value).tobytes())
        file.seek(places["end_crc32"].start)
        file.write(np.array([writer.end_checksum(0.0, 1.0)], places["end_crc32"].dtype).tobytes())
    run = simlr.load(unfinished)
    assert not run.complete
    assert np.isnan(run.test_loss).sum() > 0 and (run.status == 0).any()


@pytest.mark.parametrize("name", ["test_loss", "stop_step", "status", "block_crc32"])
def test_a_block_that_changed_is_an_error_wherever_it_is_looked_at(copy, name, whole):
    assert simlr.load(copy).test_loss.shape  # as it was
    flip(copy, name)
    run = simlr.load(copy)
    for look in (lambda: run.test_loss, lambda: run.part("train_loss", 0, slice(0, 3)), lambda: run["status"]):
        with pytest.raises(DamageError, match=r"run\.h5: is damaged: block 0 \(seeds 0 to 6\); --resume computes it"):
            look()
    np.testing.assert_array_equal(run.part("test_loss", slice(None), slice(7, 9)), whole.test_loss[:, 7:9])
    done = runs.command(copy, cwd=".", module="simlr.report")
    assert "block 0 (seeds 0 to 6)" in runs.assert_refused(done)
    runs.assert_same_bits(simlr.run(runs.grid(), copy, resume=True), whole)


@pytest.mark.parametrize("name", ["seed", "draw"])
def test_a_changed_coordinate_is_shown_nowhere(name, copy, whole, capsys):
    """Which seed, and which problem, a number belongs to."""
    flip(copy, name, 9, 2)
    for look in (lambda run: run[name], lambda run: run.test_loss):
        with pytest.raises(DamageError, match=rf"run\.h5: is damaged: dataset {name} is not what was"):
            look(simlr.load(copy))
    assert report.main([copy, "--out", "made", "--format", "csv"]) == 2
    assert f"run.h5: is damaged: dataset {name} is not what was written" in capsys.readouterr().err
    runs.assert_same_bits(simlr.run(runs.grid(), copy, resume=True), whole)


def test_a_resumed_run_says_what_it_computes_again(copy):
    Path("small.toml").write_text(runs.SMALL)
    flip(copy, "test_loss")
    done = runs.command("small.toml", "--out", copy, "--resume", cwd=".")
    assert done.returncode == 0, done.stderr
    assert "what is there is not what was written, and is computed again: block 0 (seeds 0 to 6)\n" in done.stderr


def test_an_edited_description_is_not_gone_on_with(unfinished):
    with h5py.File(unfinished, "r+") as file:
        file.attrs["config"] = file.attrs["config"].replace("max_steps = 300", "max_steps = 301")
    with pytest.raises(InputError, match="its description of the grid was changed"):
        simlr.run(runs.grid(), unfinished, resume=True)


# ---- other code, other libraries ----


def asked_of_a_copy(folder, change=lambda folder: None):
    """The digest of a copy of the code, changed; the kernels are not copied, so that none need be compiled."""
    shutil.copytree(runs.ROOT / "simlr", folder / "simlr", ignore=shutil.ignore_patterns("__pycache__"))
    change(folder / "simlr")
    code = (
        f"import simlr; simlr.__path__.append({str(runs.ROOT)!r}); "
        "from simlr.engine.environment import code_digest; print(code_digest())"
    )
    environment = runs.environment(PYTHONPATH=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=folder, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_digest_of_the_code_knows_a_changed_rate(tmp_path):
    def change(folder):
        shapes = folder / "schedules/shapes.py"
        text = shapes.read_text(encoding="utf-8")
        assert "np.cos(" in text
        shapes.write_text(text.replace("np.cos(", "0.999 * np.cos(", 1), encoding="utf-8")

    assert asked_of_a_copy(tmp_path / "same") == code_digest()
    assert asked_of_a_copy(tmp_path / "other", change) != code_digest()


@pytest.mark.slow
def test_another_blas_is_not_mixed_in(unfinished):
    """The last bits of large products depend on the kind of processor that the library takes this one for."""
    if not lapack.description().startswith("OpenBLAS"):
        pytest.skip("NumPy's BLAS is not OpenBLAS")
    Path("small.toml").write_text(runs.SMALL)
    arguments = ("small.toml", "--out", unfinished, "--resume", "--quiet")
    error = runs.assert_refused(runs.command(*arguments, cwd=".", OPENBLAS_CORETYPE="Nehalem"))
    assert "was written with blas 'OpenBLAS" in error
    assert runs.command(*arguments, cwd=".").returncode == 0


# ---- files that come and go ----


def test_a_loaded_run_is_the_file_that_was_loaded(copy):
    run = simlr.load(copy)
    simlr.run(runs.grid(seeds__count=20), copy, overwrite=True)
    for look in (lambda: run.test_loss, lambda: run.seed, lambda: run.complete):
        with pytest.raises(
            InputError, match=r"run\.h5: was replaced by another file since it was loaded; load it again"
        ):
            look()
    run = simlr.load(copy)
    os.remove(copy)
    with pytest.raises(InputError, match=r"run\.h5: was removed since it was loaded"):
        _ = run.test_loss


@pytest.mark.parametrize("locking", [True, False, "best-effort", None])
def test_a_run_that_this_process_has_open_is_no_damage(copy, locking, whole):
    with h5py.File(copy, "r", locking=locking):
        runs.assert_same_bits(simlr.load(copy), whole)


@pytest.mark.parametrize("name", ["grid.toml", "data.csv", "other.h5", "short"])
def test_only_runs_are_replaced(name, folder):
    contents = {"grid.toml": runs.SMALL.encode(), "data.csv": b"x,y\n1,2\n", "short": b"\x89HDF"}
    with h5py.File("other.h5", "w") as file:
        file["mine"] = np.arange(5.0)
    for other, content in contents.items():
        Path(other).write_bytes(content)
    before = Path(name).read_bytes()
    with pytest.raises(InputError, match=f"out: {name}: is no simlr run, so it is not replaced"):
        simlr.run(runs.grid(), name, overwrite=True)
    assert Path(name).read_bytes() == before


@pytest.mark.parametrize("size", [0, 40, 5000, -1])
def test_a_damaged_run_may_be_replaced(copy, size, whole):
    content = Path(copy).read_bytes()
    Path(copy).write_bytes(content[:size] if size >= 0 else bytes(9) + content[9:])
    if 0 < size < 4000:  # too little is left to tell whose it was
        with pytest.raises(InputError, match="is no simlr run, so it is not replaced"):
            simlr.run(runs.grid(), copy, overwrite=True)
    else:
        runs.assert_same_bits(simlr.run(runs.grid(), copy, overwrite=True), whole)


# ---- other people's files and modules ----


def test_a_module_beside_the_file_is_not_run(copy):
    """A file without a seal is looked at by a process of its own, which imports nothing from the working folder."""
    with h5py.File(copy, "r+") as file:
        file.attrs["mine"] = 1  # the seal is gone
    for name in ("resource", "math", "h5py", "numpy", "simlr"):
        Path(f"{name}.py").write_text(f"open('ran-{name}', 'w').close()\n")
    code = f"import sys; sys.path.append({str(runs.ROOT)!r}); import simlr; print(simlr.load('run.h5').complete)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert not list(Path().glob("ran-*"))
    assert guard.is_readable(copy)


def hostile(file, kind):
    """Something in a run file that leads out of it."""
    del file["test_loss"]
    if kind == "external link":
        file["test_loss"] = h5py.ExternalLink("elsewhere.h5", "/secret")
    elif kind == "soft link":
        file["test_loss"] = h5py.SoftLink("/train_loss")
    elif kind == "raw data":
        file.create_dataset("test_loss", (10,), "u1", external=[("/etc/passwd", 0, 10)])
    else:
        layout = h5py.VirtualLayout((10,), "<f8")
        layout[:] = h5py.VirtualSource("elsewhere.h5", "secret", (10,))
        file.create_virtual_dataset("test_loss", layout)


@pytest.mark.parametrize("kind", ["external link", "soft link", "raw data", "virtual"])
def test_what_leads_out_of_a_file_is_not_followed(copy, kind):
    os.mkfifo("elsewhere.h5")  # who opens it waits for ever
    with h5py.File(copy, "r+") as file:
        hostile(file, kind)
    for look in (simlr.load, verify, survey):
        with pytest.raises((DamageError, RunError), match=r"run\.h5: "):
            look(copy)
