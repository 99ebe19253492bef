"""A process that is taken for one of another system: what that lacks is taken away before simlr is loaded.

python tests/support/elsewhere.py macos|windows MODULE ARGUMENT ...     a command of simlr
python tests/support/elsewhere.py macos|windows suite FOLDER            a run's whole life, in that folder
"""

import os
import runpy
import sys

SYSTEMS = ("macos", "windows")
LACKS = {
    "macos": {"os": ("fdatasync", "posix_fadvise", "POSIX_FADV_DONTNEED", "sched_getaffinity")},
    "windows": {
        "os": (
            *("pread", "pwrite", "fdatasync", "posix_fadvise", "POSIX_FADV_DONTNEED", "sched_getaffinity", "sysconf"),
            *("major", "minor", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "getuid"),
        )
    },
}
MODULES = {"macos": (), "windows": ("fcntl", "resource", "termios", "pwd", "grp")}


def become(system):
    """Take away what a system lacks, and let simlr take this one for it."""
    os.environ["SIMLR_TEST_SYSTEM"] = system
    for name in LACKS[system]["os"]:
        if hasattr(os, name):
            delattr(os, name)
    if system == "macos":
        import fcntl

        for name in [name for name in dir(fcntl) if name.startswith("F_OFD")]:
            delattr(fcntl, name)
    for name in MODULES[system]:
        sys.modules[name] = None


def life(system):
    """A run that is begun, refused to others, gone on with, replaced, damaged, verified, cut, joined and extended."""
    import pytest
    import runs

    import simlr
    from simlr.errors import RunError
    from simlr.grid.job import Job
    from simlr.platform import HERE
    from simlr.report import __main__ as report
    from simlr.store import lock, merging
    from simlr.store.verify import verify

    assert HERE.name == system
    config, whole = runs.grid(), simlr.run(runs.grid())
    job = Job(config)
    writer, blocks = job.open("run.h5")
    assert writer.lock.kind == lock.BESIDE and lock.is_written("run.h5")
    for keywords in ({"resume": True}, {"overwrite": True}, {"extend": True}):
        with pytest.raises(RunError, match="another run is writing to it"):
            simlr.run(runs.grid(seeds__count=50) if "extend" in keywords else config, "run.h5", **keywords)
    job.run(writer, list(blocks)[:2])
    assert not lock.is_written("run.h5") and os.listdir() == ["run.h5"]
    runs.assert_same_bits(simlr.run(config, "run.h5", resume=True), whole)
    runs.flip("run.h5", simlr.store.survey("run.h5").places["test_loss"].start + 16)
    with pytest.raises(RunError, match="block 0"):
        verify("run.h5")
    runs.assert_same_bits(simlr.run(config, "run.h5", resume=True), whole)
    assert "sound" in verify("run.h5")
    runs.assert_same_bits(simlr.run(config, "run.h5", overwrite=True), whole)
    for index in range(2):
        job = Job(config, (index, 2))
        job.run(*job.open(f"{index}.h5"))
    merging.merge(["0.h5", "1.h5"], "merged.h5")
    runs.assert_same_bits(simlr.load("merged.h5"), whole)
    large = runs.grid(seeds__count=50)
    runs.assert_same_bits(simlr.run(large, "run.h5", extend=True), simlr.run(large))
    assert report.main(["run.h5", "--format", "csv", "--out", "made"]) == 0
    assert sorted(os.listdir()) == ["0.h5", "1.h5", "made", "merged.h5", "run.h5"]
    killed(system)


def killed(system):
    """A command that is killed, and the same that goes on."""
    import subprocess
    from pathlib import Path

    import runs

    Path("grid.toml").write_text(runs.LONG)
    command = [sys.executable, __file__, system, "simlr.grid", "grid.toml", "--out", "long.h5", "--quiet", "--seeds"]
    process = subprocess.Popen([*command, "100000"], env=runs.environment())
    runs.wait_until(lambda: runs.has_begun("long.h5"), process)
    process.kill()
    process.wait()
    before = [name for name in os.listdir() if name.startswith(".simlr")]
    done = subprocess.run([*command, "100000", "--resume"], env=runs.environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), done.stderr
    assert not [name for name in os.listdir() if name.startswith(".simlr")], before
    verified = subprocess.run([*command[:4], "--verify", "long.h5"], env=runs.environment(), capture_output=True)
    assert verified.returncode == 0, verified.stderr


def main(system, what, *arguments):
    """Run a command, or the suite."""
    become(system)
    if what == "suite":
        os.chdir(arguments[0])
        life(system)
        return
    sys.argv = [what, *arguments]
    runpy.run_module(what, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
