"""Losses of power: what may be on the disk after one, for random moments of a run; and what simlr makes of it.

    python tests/support/power.py FOLDER STAGE FIRST LAST       tries the states FIRST..LAST - 1 of a stage

All writes, syncs and renames of the real command are noted. At a loss, what was synced is on the disk; of what was
written since, any pieces of 512 bytes may be, and of renames since the folder's last sync any first few. `failing` is a
run whose n-th sync fails, and which then loses power. State N of a stage is always the same one. With `unsynced` after
it all, syncs count for nothing: the control, which has to find something wrong.

After each: a file that is there opens, and every block that is marked as done is right; the same command goes on
without a word, `--verify` finds the file sound, its bits are those of a run that nobody disturbed, and nothing else is
left.

A state that is byte by byte one that was tried before is drawn, and not tried again. So that finished files are alike,
the clock stands still: one that is byte by byte a file that was found right is not read through again.
"""

import contextlib
import copy
import functools
import hashlib
import io
import json
import os
import random
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import crashes
import numpy as np
import runs

import simlr
from simlr import resources
from simlr.claims import registry
from simlr.engine import block_engine
from simlr.errors import DamageError, InputError, RunError
from simlr.grid import job, provenance
from simlr.platform import HERE
from simlr.store import file_io, metadata, read, writer
from simlr.store.verify import verify

SECTOR = 512
FILES_KNOWN = 100
SHARES = (0.0, 0.05, 0.2, 0.5, 0.5, 0.8, 0.95, 1.0)  # of what was not synced
STAGES = ("create", "overwrite", "resume", "extend", "merge", "failing")


class Disk:
    """What one command does to the files of the working folder: a list of what happened, in order."""

    def __init__(self):
        self.events, self.fail_at, self._syncs = [], None, 0
        self.before = {name: Path(name).read_bytes() for name in os.listdir()}
        self._content = {}  # of every file as far as it is noted

    @contextlib.contextmanager
    def noting(self):
        """Note it, for the duration."""
        system = type(HERE)
        kept = file_io.pwrite, system.sync, system.sync_all, system.sync_folder, os.replace, os.unlink

        def pwrite(descriptor, data, offset):
            kept[0](descriptor, data, offset)
            self._written(self._file(descriptor), [(offset, bytes(memoryview(data).cast("B")))])

        def synced(number):
            def sync(system, descriptor):
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    return kept[number](system, descriptor)
                self._syncs += 1
                self._catch_up(descriptor)
                if self.fail_at is not None and self._syncs >= self.fail_at:
                    raise OSError(5, os.strerror(5))
                kept[number](system, descriptor)
                inode = self._file(descriptor)
                self.events.append(("sync", inode, bytes(self._content[inode])))
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
                self.events.append(("removed", os.stat(path).st_ino, Path(path).name, None))
            kept[5](path, **options)

        file_io.pwrite, os.replace, os.unlink = pwrite, replace, unlink
        system.sync, system.sync_all, system.sync_folder = synced(1), synced(2), sync_folder
        try:
            yield
        finally:
            file_io.pwrite, system.sync, system.sync_all, system.sync_folder, os.replace, os.unlink = kept

    def _file(self, descriptor):
        """The number of an open file; that it was made is noted where it is a new one."""
        inode = os.fstat(descriptor).st_ino
        if inode not in self._content:
            self._content[inode] = bytearray(self.contents.get(inode, b""))
            if inode not in self.contents:
                name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
                self.events.append(("made", inode, None, name))
        return inode

    def _written(self, inode, pieces):
        """Note what was written, as (offset, data)."""
        content = self._content[inode]
        for offset, data in pieces:
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data
        self.events.append(("write", inode, pieces))

    def _catch_up(self, descriptor):
        """Note what was written by HDF5: where the file is not what was noted."""
        inode = self._file(descriptor)
        found, known = os.pread(descriptor, os.fstat(descriptor).st_size, 0), self._content[inode]
        places = range(0, len(found), SECTOR)
        pieces = [(k, found[k : k + SECTOR]) for k in places if found[k : k + SECTOR] != known[k : k + SECTOR]]
        if pieces:
            self._written(inode, pieces)

    def after(self, moment, choose):
        """{name: content} of the folder after a loss of power before the event of this number."""
        names, on_disk, pending, changes = dict(self.names), dict(self.contents), {}, []
        for kind, *event in self.events[:moment]:
            if kind == "write":
                pending.setdefault(event[0], []).extend(event[1])
            elif kind == "sync":
                on_disk[event[0]], pending[event[0]] = event[1], []
            elif kind == "folder":
                _change(names, changes)
                changes = []
            else:
                changes.append(event)
        _change(names, changes[: choose.choice((len(changes), len(changes), choose.randint(0, len(changes))))])
        share = choose.choice(SHARES)
        return {
            name: _with(on_disk.get(inode, b""), pending.get(inode, ()), share, choose) for name, inode in names.items()
        }

    def note_files(self):
        """Which files are there before anything happens."""
        self.names = {name: os.stat(name).st_ino for name in self.before}
        self.contents = {inode: self.before[name] for name, inode in self.names.items()}


def _change(names, changes):
    """Make, change and remove names, {name: number of a file}."""
    for inode, source, target in changes:
        names.pop(source, None)
        if target is not None:
            names[target] = inode


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


def drawn(stage, disk, number):
    """{name: content} of the folder in this state."""
    choose = random.Random(f"{stage.name} {number}")
    return disk.after(choose.randint(0, len(disk.events)), choose)


def digest(state):
    """What two folders have in common where they are byte by byte the same."""
    return hashlib.sha256(repr(sorted((k, hashlib.sha256(v).digest()) for k, v in state.items())).encode()).digest()


def tried(stage, state, whole, right):
    """What is wrong after one state; `right` has the digests of finished files in which nothing was, and gets more."""
    for name in os.listdir():
        os.unlink(name)
    for name, content in state.items():
        Path(name).write_bytes(content)
    found = wrong(whole, stage)
    with unsynced():
        status, told = command(stage.main, stage.again)
    if status or told:
        return [*found, f"going on ended with {status}: {told[-300:]!r}"]
    finished = hashlib.sha256(Path(crashes.RUN).read_bytes()).digest()
    if finished not in right:
        try:
            verify(crashes.RUN)
            runs.assert_same_bits(simlr.load(crashes.RUN), whole)
            right.add(finished)
        except (AssertionError, InputError, RunError) as error:
            found.append(f"afterwards: {error}")
    left = sorted(set(os.listdir()) - {crashes.RUN, *stage.files})
    return found + ([f"left behind: {left}"] if left else [])


@contextlib.contextmanager
def unsynced():
    """Let the real disk take its time: what goes on after a state is not cut off again."""
    system, names = type(HERE), ("sync", "sync_all", "sync_folder")
    kept = [getattr(system, name) for name in names]
    for name in names:
        setattr(system, name, lambda system, where: None)
    try:
        yield
    finally:
        for name, value in zip(names, kept, strict=True):
            setattr(system, name, value)


def stop_the_clock():
    """Have every run say that it began and ended at one moment, and look at the limits of memory once."""
    still = SimpleNamespace(time=lambda: 1.5e9, monotonic=lambda: 0.0)
    job.time = provenance.time = writer.time = still


def look_once():
    """Let what simlr reads again and again of the same bytes be read once: descriptions, limits of memory, plug-ins."""
    resources.memory_limit = functools.cache(resources.memory_limit)
    registry.installed = functools.cache(registry.installed)
    for name in ("check_own", "check_datasets", "attributes_of", "dims_of", "places_of"):
        function = _of_its_bytes(getattr(metadata, name))
        for module in (metadata, read):
            if hasattr(module, name):
                setattr(module, name, function)


def _of_its_bytes(function):
    """A function of an open run file that remembers, by the file's bytes, the last few things that it found."""
    known = {}

    def remembering(*arguments):
        descriptor = arguments[-1].id.get_vfd_handle()
        content = hashlib.sha256(os.pread(descriptor, os.fstat(descriptor).st_size, 0)).digest()
        if content not in known:
            found = function(*arguments)
            while len(known) >= FILES_KNOWN:
                known.pop(next(iter(known)))
            known[content] = found
        return copy.copy(known[content])

    return remembering


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
    """Try some states of a stage; what is wrong with each is printed as a line of JSON, null where it was there."""
    prepared = Path(folder)
    block_engine.Engine = crashes.Canned
    stop_the_clock()
    look_once()
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
    seen, right = set(), set()
    for number in range(int(first), int(last)):
        state = drawn(stage, disks[number % len(disks)], number)
        is_new = digest(state) not in seen
        seen.add(digest(state))
        faults = tried(stage, state, whole, right) if is_new else ()
        print(json.dumps([f"{name} {number}: {what}" for what in faults] if is_new else None), flush=True)
    os.chdir("/")
    shutil.rmtree(work)


def search(folder, count):
    """{stage: (states tried, states drawn again, faults)}, of so many drawn of each stage; two stages at a time."""
    code = "import sys, crashes; crashes.prepare(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=Path(__file__).parent, check=True)

    def searched(name):
        command = [sys.executable, __file__, str(folder), name, "0", str(count)]
        done = subprocess.run(command, env=runs.environment(), capture_output=True, text=True)
        states = [json.loads(line) for line in done.stdout.splitlines()]
        ended = [done.stderr[-2000:]] if done.returncode else []
        new = [faults for faults in states if faults is not None]
        return len(new), len(states) - len(new), sum(new, ended)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(STAGES, pool.map(searched, STAGES), strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
