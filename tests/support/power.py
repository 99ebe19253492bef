"""Losses of power: what may be on the disk after one, for random moments of a run; and what simlr makes of it.

    python tests/support/power.py FOLDER STAGE FIRST LAST       tries the states FIRST..LAST - 1 of a stage

All writes, syncs and renames of the real command are noted. At a loss, what was synced is on the disk; of what was
written since, any pieces of 512 bytes may be, and of renames since the folder's last sync any first few. `failing` is a
run whose n-th sync fails, and which then loses power. State N of a stage is always the same one. With `unsynced` after
it all, syncs count for nothing: the control, which has to find something wrong.

After each: a file that is there opens, and every block that is marked as done is right; the same command goes on
without a word, `--verify` finds the file sound, its bits are those of a run that nobody disturbed, and nothing else is
left.
"""

import contextlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import crashes
import numpy as np
import runs

import simlr
from simlr.engine import block_engine
from simlr.errors import DamageError, InputError, RunError
from simlr.platform import HERE
from simlr.store import file_io, writer
from simlr.store.verify import verify

SECTOR = 512
STAGES = ("create", "overwrite", "resume", "extend", "merge", "failing")


class Disk:
    """What one command does to the files of the working folder: a list of what happened, in order."""

    def __init__(self):
        self.events, self.fail_at, self._syncs = [], None, 0
        self.before = {name: Path(name).read_bytes() for name in os.listdir()}

    @contextlib.contextmanager
    def noting(self):
        """Note it, for the duration."""
        system = type(HERE)
        kept = file_io.pwrite, system.sync, system.sync_all, system.sync_folder, os.replace, os.unlink

        def pwrite(descriptor, data, offset):
            kept[0](descriptor, data, offset)
            self.events.append(("write", os.fstat(descriptor).st_ino, offset, bytes(memoryview(data).cast("B"))))

        def synced(number):
            def sync(system, descriptor):
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    return kept[number](system, descriptor)
                self._syncs += 1
                if self.fail_at is not None and self._syncs >= self.fail_at:
                    raise OSError(5, os.strerror(5))
                kept[number](system, descriptor)
                size = os.fstat(descriptor).st_size
                self.events.append(("sync", os.fstat(descriptor).st_ino, os.pread(descriptor, size, 0)))
                return None

            return sync

        def sync_folder(system, folder):
            kept[3](system, folder)
            self.events.append(("folder",))

        def replace(source, target):
            self.events.append(("rename", os.stat(source).st_ino, Path(source).name, Path(target).name))
            kept[4](source, target)

        def unlink(path, **options):
            with contextlib.suppress(OSError):
                self.events.append(("removed", os.stat(path).st_ino, Path(path).name))
            kept[5](path, **options)

        file_io.pwrite, os.replace, os.unlink = pwrite, replace, unlink
        system.sync, system.sync_all, system.sync_folder = synced(1), synced(2), sync_folder
        try:
            yield
        finally:
            file_io.pwrite, system.sync, system.sync_all, system.sync_folder, os.replace, os.unlink = kept

    def after(self, moment, choose):
        """{name: content} of the folder after a loss of power before the event of this number."""
        names, on_disk, pending, renames = dict(self.names), dict(self.contents), {}, []
        for kind, *event in self.events[:moment]:
            if kind == "write":
                pending.setdefault(event[0], []).append(event[1:])
            elif kind == "sync":
                on_disk[event[0]], pending[event[0]] = event[1], []
            elif kind == "folder":
                for inode, source, target in renames:
                    names.pop(source, None)
                    names[target] = inode
                renames = []
            elif kind == "rename":
                names.setdefault(event[1], event[0])
                renames.append(event)
            else:
                names.pop(event[1], None)
        for inode, source, target in renames[: choose.randint(0, len(renames))]:
            names.pop(source, None)
            names[target] = inode
        share = choose.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        return {
            name: _with(on_disk[inode], pending.get(inode, ()), share, choose)
            for name, inode in names.items()
            if inode in on_disk
        }

    def note_files(self):
        """Which files are there before anything happens."""
        self.names = {name: os.stat(name).st_ino for name in self.before}
        self.contents = {inode: self.before[name] for name, inode in self.names.items()}


def _with(content, writes, share, choose):
    """A file's content with some pieces of what was written since."""
    made = bytearray(content)
    for offset, data in writes:
        for begin in range(offset - offset % SECTOR, offset + len(data), SECTOR):
            first, last = max(begin, offset), min(begin + SECTOR, offset + len(data))
            if choose.random() < share:
                made.extend(bytes(max(0, last - len(made))))
                made[first:last] = data[first - offset : last - offset]
    return bytes(made)


def command(main, arguments):
    """(status, what it said)."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            status = main(arguments)
        except BaseException as error:  # a traceback is what must not be
            return type(error).__name__, str(error)
    return status, told.getvalue()


def wrong(whole, stage):
    """What a reader finds wrong in blocks that are marked as done."""
    if not os.path.exists(crashes.RUN):
        return ["the file that was there is gone"] if stage.files.get(crashes.RUN) else []
    before = stage.files.get(crashes.RUN) if stage.name in ("extend", "overwrite") else None
    if before and Path(crashes.RUN).read_bytes() == (stage.prepared / before).read_bytes():
        return []
    try:
        run = simlr.load(crashes.RUN)
        done = run["block_done"] == 1
        values = {name: run[name] for name in crashes.NAMES}
    except DamageError as error:
        known = stage.name == "resume" and crashes.DAMAGED in str(error)
        return [] if known else [f"does not open: {error}"]
    except (InputError, RunError) as error:
        return [f"does not open: {error}"]
    ends = [*run["block_start"].tolist(), run["seed"].size]
    marked = np.repeat(done, np.diff(ends))
    return [f"{name} is wrong" for name, v in values.items() if (v != whole[name])[:, marked].any()]


def tried(stage, disk, whole, number):
    """What is wrong after one state."""
    choose = random.Random(f"{stage.name} {number}")
    state = disk.after(choose.randint(0, len(disk.events)), choose)
    for name in os.listdir():
        os.unlink(name)
    for name, content in state.items():
        Path(name).write_bytes(content)
    found = wrong(whole, stage)
    status, told = command(stage.main, stage.again)
    if status or told:
        return [*found, f"going on ended with {status}: {told[-300:]!r}"]
    try:
        verify(crashes.RUN)
        runs.assert_same_bits(simlr.load(crashes.RUN), whole)
    except (AssertionError, InputError, RunError) as error:
        found.append(f"afterwards: {error}")
    left = sorted(set(os.listdir()) - {crashes.RUN, *stage.files})
    return found + ([f"left behind: {left}"] if left else [])


def noted(stage, fail_at=None):
    """What the command of a stage does to the disk."""
    stage.lay()
    disk = Disk()
    disk.note_files()
    disk.fail_at = fail_at
    with disk.noting():
        status, told = command(stage.main, stage.first)
    assert (status, told) == (0, "") or (fail_at and status == 1 and len(told.splitlines()) == 1), (status, told)
    return disk


def main(folder, name, first, last, control=""):
    """Try some states of a stage; what is wrong with each is printed as a line of JSON."""
    prepared = Path(folder)
    block_engine.Engine = crashes.Canned
    whole = crashes.Held(simlr.load(prepared / "whole.h5"))
    work = prepared / f"work-{name}-{first}{control}"
    work.mkdir()
    os.chdir(work)
    stage = crashes.Stage("create" if name == "failing" else name, prepared)
    disks = []
    for seconds in (0.0, 1e9):  # a commit after every block, or one at the end
        writer.SYNC_SECONDS = seconds
        if name == "failing":
            most = sum(event[0] == "sync" for event in noted(stage).events)
            disks += [noted(stage, n) for n in range(1, most + 1)]
        else:
            disks.append(noted(stage))
    writer.SYNC_SECONDS = 0.0
    for disk in disks if control else ():
        laid = next(
            i for i, event in enumerate(disk.events) if event[0] == "sync"
        )  # without it there is no file at all
        disk.events = [event for i, event in enumerate(disk.events) if event[0] != "sync" or i == laid]
    for number in range(int(first), int(last)):
        faults = tried(stage, disks[number % len(disks)], whole, number)
        print(json.dumps([f"{name} {number}: {what}" for what in faults]), flush=True)
    os.chdir("/")
    shutil.rmtree(work)


def search(folder, count):
    """{stage: (states tried, faults)}, so many of each stage."""
    code = "import sys, crashes; crashes.prepare(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=Path(__file__).parent, check=True)
    found = {}
    for name in STAGES:
        command = [sys.executable, __file__, str(folder), name, "0", str(count)]
        done = subprocess.run(command, env=runs.environment(), capture_output=True, text=True)
        states = [json.loads(line) for line in done.stdout.splitlines()]
        ended = [done.stderr[-2000:]] if done.returncode else []
        found[name] = len(states), sum(states, ended)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
