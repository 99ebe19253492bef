"""What the tests of runs share: small grids, unfinished files, the real command line, and runs compared bit by bit."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np

import simlr
from simlr.grid import job
from simlr.grid.job import Job

ROOT = Path(__file__).resolve().parents[2]

# Every kind of engine, both units, a divergence, a level out of reach in the steps, and trajectories.
SMALL = """
name = "small"

[problem]
kind = "nakkiran2020"

[seeds]
count = 40

[stop]
train_loss = [1e-4, 1e-2]
max_steps = 300

[record]
points = 20
seeds = 11

[run]
block_seeds = 7

[[schedule]]
kind = "flow"

[[schedule]]
name = "annealed"
unit = "sharpness"
phases = [{ kind = "constant", learning_rate = 2.0, steps = 1 }, { kind = "flow" }]

[[schedule]]
kind = "constant"
learning_rate = [0.01, 1.4, 2.5]

[[schedule]]
kind = "cosine"
learning_rate = 0.7
steps = 200
"""

# Computed and written for seconds, in blocks of a few milliseconds.
LONG = (
    SMALL.replace('"small"', '"long"')
    .replace("count = 40", "count = 600000")
    .replace("block_seeds = 7", "block_seeds = 500")
)

# What says how a run went, not what came out.
LEDGER = {"block", "block_start", "block_done", "block_crc32", "finished_at", "wall_seconds", "end_crc32"}


def grid(text=SMALL, **changes):
    """A grid, single values replaced by dotted keys with __ for the dot."""
    overrides = [(key.replace("__", "."), value) for key, value in changes.items()]
    return simlr.GridConfig.from_toml(text, overrides)


def bits(run):
    """{dataset: what must be equal in two runs of one grid}."""
    return {name: _bits(run[name]) for name in run.names if name not in LEDGER}


def _bits(values):
    values = np.asarray(values)
    return values.tolist() if values.dtype.kind == "O" else (values.dtype.str, values.shape, values.tobytes())


def assert_same_bits(first, second):
    """Two runs with the same datasets, each of the same bits."""
    first, second = bits(first), bits(second)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def run_blocks(config, path, blocks):
    """Lay out the run file of a grid and compute only these blocks of it."""
    job = Job(config)
    writer, _ = job.open(path)
    job.run(writer, blocks)
    return simlr.load(path)


def hold_after(monkeypatch, count):
    """Hold what is computed here after `count` blocks until the run is told to stop: an interruption comes in time."""

    class Held(job._Here):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._told, self._end = threading.Event(), self.stop
            self.stop = self._stop

        def _stop(self):
            self._told.set()
            self._end()

        def results(self, blocks, ends):
            for number, result in enumerate(super().results(blocks, ends)):
                if number >= count:
                    self._told.wait()
                yield result

    monkeypatch.setattr(job, "_Here", Held)


def blocks_done(path):
    """How many blocks of a run file are done; 0 where there is no file yet."""
    if not Path(path).exists():
        return 0
    with h5py.File(path, "r", locking=False) as file:
        return int(file["block_done"][()].sum())


def flip(path, offset, bit=4):
    """Change one bit of a file, as a disk may."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def has_begun(path):
    """Whether a block has been written to a run file."""
    if not Path(path).exists():
        return False
    with h5py.File(path, "r", locking=False) as file:
        return bool(file["status"][0, 0, 0])


# ---- the command line ----


def environment(**changes):
    """The environment of a command; a change to None removes a variable."""
    plain = {**os.environ, "PYTHONPATH": str(ROOT), **changes}
    return {name: str(value) for name, value in plain.items() if value is not None}


def start(*arguments, cwd, module="simlr.grid", **changes):
    """A command that has been started."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=environment(**changes), **pipes)


def command(*arguments, cwd, timeout=120, **changes):
    """A command that has ended: its Popen, with `stdout` and `stderr` as text."""
    process = start(*arguments, cwd=cwd, **changes)
    return ended(process, timeout)


def ended(process, timeout=60):
    """Wait for a command; its output must hold no traceback."""
    try:
        process.stdout, process.stderr = process.communicate(timeout=timeout)
    finally:
        if process.poll() is None:
            process.kill()
    assert "Traceback" not in process.stdout + process.stderr, process.stderr
    return process


def wait_until(condition, process, seconds=120.0):
    """Wait until a condition holds that a process is to bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def assert_refused(process, status=2):
    """The command said one line and exited with this status."""
    assert process.returncode == status, (process.stdout, process.stderr)
    assert process.stdout == ""
    assert len(process.stderr.splitlines()) == 1, process.stderr
    return process.stderr


def is_told_by_lines(told):
    """Whether what a command says of its input is a line for each fault, which begins as all that simlr says does."""
    lines = told.splitlines()
    return len(lines) == 1 or (bool(lines) and all(line.startswith("simlr: ") for line in lines))
