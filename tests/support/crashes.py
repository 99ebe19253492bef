"""Every crash point: a writer that ends before its n-th call that changes a file, for all n; and what is left of it.

    LD_PRELOAD=shim.so python tests/support/crashes.py canned|computed STAGE:MODE:STEP ...

prints [{"stage": ..., "mode": ..., "points": ..., "lost": [...]}, ...] as JSON. Every point is a process of its own,
forked from one that has all parts loaded and has launched nothing. `canned` has the blocks computed beforehand, which
takes a third of the time; all else is the real command. `build` makes the shim.
"""

import contextlib
import ctypes
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import runs

import simlr
from simlr import merge
from simlr.engine import block_engine
from simlr.errors import DamageError, InputError, RunError
from simlr.grid import __main__
from simlr.grid import job as _grid
from simlr.store import writer
from simlr.store.verify import verify

MODES = ("kill", "torn", "full", "interrupt", "terminate")
STAGES = ("create", "overwrite", "resume", "merge", "extend")
NAMES = ("test_loss", "train_loss", "stop_step", "stop_time", "status")
RUN, SHARDS = "run.h5", [f"shard{i}.h5" for i in range(3)]
TINY = runs.SMALL.replace("count = 40", "count = 12").replace("block_seeds = 7", "block_seeds = 4")
TINY = TINY.replace("points = 20\nseeds = 11", "points = 4\nseeds = 5").replace("[0.01, 1.4, 2.5]", "2.5")


def build(folder):
    """The shim, compiled; None where there is no C compiler or no Linux."""
    compiler = shutil.which("cc")
    if not compiler or sys.platform != "linux":
        return None
    shim = Path(folder) / "crashshim.so"
    source = Path(__file__).with_name("crashshim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-w", "-o", shim, source, "-ldl"], check=True)
    return shim


def start(shim, *arguments):
    """This file as a process with the shim preloaded."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(
        command, env=runs.environment(LD_PRELOAD=shim), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


# ---- what is there beforehand ----


def prepare(folder):
    """The whole run, a part of it with a damaged block, shards, and its blocks; made by a process that may compute."""
    with contextlib.chdir(folder):
        Path("grid.toml").write_text(TINY)
        config = runs.grid(TINY)
        blocks, before = {}, block_engine.Engine.block

        def block(self, first, last):
            found = before(self, first, last)
            blocks[first + self._plan.first, last + self._plan.first] = {k: np.array(v) for k, v in found.items()}
            return found

        block_engine.Engine.block = block
        simlr.run(config, "whole.h5")
        block_engine.Engine.block = before
        Path("blocks.pickle").write_bytes(pickle.dumps(blocks))
        runs.run_blocks(config, "half.h5", [0, 2])
        simlr.run(runs.grid(TINY, seeds__count=8), "small.h5")
        place = simlr.store.survey("half.h5").places["test_loss"]
        with open("half.h5", "r+b") as file:
            file.seek(place.start + 16)
            file.write(b"\x55" * 3)  # not a NaN, nor below 0
        for i, name in enumerate(SHARDS):
            job = _grid.Job(config, (i, 3))
            job.run(*job.open(name))


DAMAGED = "block 0 (seeds 0 to 3)"  # of half.h5, by `prepare`
TORN_END = "finished_at, wall_seconds or their checksum"


class Canned:
    """An engine that looks its blocks up."""

    def __init__(self, plan, sources, threads=None):
        self._first = plan.first
        self._blocks = pickle.loads(Path("../blocks.pickle").read_bytes())

    def block(self, first, last):
        """The arrays of seeds first..last - 1."""
        return self._blocks[first + self._first, last + self._first]

    def stop(self):
        """Nothing: it is done at once."""

    give_back = stop


Canned.give_back = lambda self, arrays: None


# ---- one point ----


class Stage:
    """One way in which files come to be: what is there before, the command, the one that goes on, what is left."""

    def __init__(self, name, prepared):
        self.name, self.prepared = name, Path(prepared)
        before = {"overwrite": "whole.h5", "resume": "half.h5", "extend": "small.h5"}
        self.files = {RUN: before[name]} if name in before else {}
        if name == "merge":
            self.files = {shard: shard for shard in SHARDS}
            self.main, given = merge.main, [*SHARDS, "--out", RUN, "--quiet"]
            self.first, self.again = given, [*given, "--overwrite"]
        else:
            self.main, given = __main__.main, ["../grid.toml", "--out", RUN, "--quiet", "--threads", "1"]
            flag = [f"--{name}"] if name in before else []
            self.first, self.again = given + flag, [*given, "--extend" if name == "extend" else "--resume"]

    def is_as_it_was(self):
        """Whether the run file is the one that was there, byte by byte, where another one is to replace it."""
        return self.name == "extend" and Path(RUN).read_bytes() == (self.prepared / self.files[RUN]).read_bytes()

    def lay(self):
        """The files that are there before, in an empty working folder."""
        for entry in os.listdir():
            os.unlink(entry)
        for name, source in self.files.items():
            shutil.copy(self.prepared / source, name)


def child(stage, arguments, shim=None, number=-1, mode=0):
    """(how it ended, what it said, calls counted) of a command in a process of its own."""
    told, pid = stage.prepared / "told", os.fork()
    if not pid:
        status = 99
        try:
            descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(fd, "w"), write_through=True) for fd in (1, 2))
            if shim:
                shim.crash_arm(os.fsencode(os.getcwd()), number, mode)
            try:
                status = stage.main(arguments)
            except BaseException:
                import traceback

                traceback.print_exc()
            if shim:
                (stage.prepared / "count").write_text(str(shim.crash_count()))
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return ended, told.read_text()


def lost(stage, known, mode, ended, told):
    """What is wrong after a point, as a list of texts."""
    found = []
    expected = {
        "kill": (-signal.SIGKILL,),
        "torn": (-signal.SIGKILL,),
        "full": (1, 2),
        "interrupt": (130, 0),
        "terminate": (130, 0),
    }[mode]
    if ended not in expected:
        found.append(f"ended with {ended}: {told[-300:]!r}")
    if ended in (1, 2, 130) and len(told.splitlines()) != 1:
        found.append(f"said {told[-6000:]!r}")
    if os.path.exists(RUN):
        found += [] if stage.is_as_it_was() else wrong(known)
    elif stage.files.get(RUN):
        found.append("the file that was there is gone")
    again, told = child(stage, stage.again)
    if again or told:
        return [*found, f"going on ended with {again}: {told[-300:]!r}"]
    try:
        verify(RUN)
        runs.assert_same_bits(simlr.load(RUN), known[0])
    except (AssertionError, InputError, RunError) as error:
        found.append(f"afterwards: {error}")
    left = sorted(set(os.listdir()) - {RUN, *stage.files})
    return found + ([f"left behind: {left}"] if left else [])


def wrong(known):
    """What a reader finds wrong in the file as it is: in committed blocks, and in all that is said to be final."""
    try:
        look_at_all()
        run = as_it_is(RUN)
    except (InputError, RunError, OSError) as error:
        return [f"does not open: {error}"]
    final = run["status"] > 0
    if run["finished_at"] and not (final.all() and run["block_done"].all()):
        return ["marked as finished, and is not"]
    ends, done = [*run["block_start"].tolist(), run["seed"].size], np.zeros(run["seed"].size, bool)
    for block in np.flatnonzero(run["block_done"]):
        done[ends[block] : ends[block + 1]] = True
    vouched = final | done[:, None]
    return [f"{name} is wrong" for name in NAMES if (differs(run[name], *(k[name] for k in known)) & vouched).any()]


def look_at_all():
    """Read all that simlr shows of the file; what was damaged before, or is torn, it refuses: --resume mends it."""
    try:
        Held(simlr.load(RUN))
    except DamageError as error:
        if DAMAGED not in str(error) and TORN_END not in str(error):
            raise


def as_it_is(path):
    """What other readers than simlr see: they go by the status."""
    with h5py.File(path, "r", locking=False) as file:
        return {name: file[name][()] for name in (*NAMES, "seed", "block_start", "block_done", "finished_at")}


def differs(found, whole, damaged):
    """Where values are neither those of the whole run nor those that were damaged before anything was written."""
    return (found != whole) & ~((found == damaged) & (damaged != whole) & (damaged > 0))


def points(stage, shim):
    """How many points a stage has."""
    stage.lay()
    ended, told = child(stage, stage.first, shim)
    assert ended == 0 and not told, told
    return int((stage.prepared / "count").read_text())


def main(engine, *wanted):
    """Every `step`-th point of each stage and mode."""
    shim = ctypes.CDLL(os.environ.pop("LD_PRELOAD"))
    writer.SYNC_SECONDS = 0.0
    with tempfile.TemporaryDirectory() as prepared:
        code = "import sys, crashes; crashes.prepare(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, prepared], cwd=Path(__file__).parent, check=True)
        if engine == "canned":
            block_engine.Engine = Canned
        # What simlr shows of the one, and refuses to show of the other.
        whole, damaged = Held(simlr.load(Path(prepared) / "whole.h5")), as_it_is(Path(prepared) / "half.h5")
        os.mkdir(Path(prepared) / "work")
        os.chdir(Path(prepared) / "work")
        found = [tried(*one.split(":"), prepared, shim, (whole, damaged)) for one in wanted]
        os.chdir("/")
    print(json.dumps(found))


def tried(name, mode, step, prepared, shim, known):
    """Every `step`-th point of a stage in one mode."""
    stage, found = Stage(name, prepared), []
    numbers = range(0, points(stage, shim), int(step))
    for number in numbers:
        stage.lay()
        ended, told = child(stage, stage.first, shim, number, MODES.index(mode))
        found += [f"{name} {mode} {number}: {what}" for what in lost(stage, known, mode, ended, told)]
    return {"stage": name, "mode": mode, "points": len(numbers), "lost": found}


class Held(dict):
    """All datasets of a run, read once."""

    def __init__(self, run):
        super().__init__({name: run[name] for name in run.names})
        self.names = run.names


if __name__ == "__main__":
    main(*sys.argv[1:])
