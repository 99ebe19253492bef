"""`make soak`: crash points, kills, damaged input, merges, dying workers, and the arithmetic of exact descent.

The figures go to docs/reliability.md.

    python tests/support/soak.py [PART ...]      all of PARTS by default: crashes power kills fuzz hostile ... platforms

Exit status 1 where anything was lost or wrong; what, is printed. A part that was not run keeps its lines.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import crashes
import elsewhere
import fuzz
import hostile
import numpy as np
import power
import runs

import simlr
from simlr.errors import InputError
from simlr.grid import job as _grid
from simlr.store import merging
from simlr.store.run import NOT_YET

PAGE = runs.ROOT / "docs/reliability.md"
BEGIN, END = "<!-- figures of make soak -->", "<!-- end of the figures -->"
STEPS = {"kill": 1, "torn": 1, "full": 2, "interrupt": 4, "terminate": 4}
STAGES = {
    "create": "a run",
    "overwrite": "a run over another",
    "resume": "`--resume`",
    "merge": "a merge",
    "extend": "`--extend`",
}
MODES = {
    "kill": "ended before the n-th call",
    "torn": "ended in the middle of the n-th call",
    "full": "disk full from the n-th call on",
    "interrupt": "SIGINT at the n-th call",
    "terminate": "SIGTERM at the n-th call",
}
SUITES = ["tests/store", "tests/grid/test_extend.py"]
LOSSES_OF_POWER = 4000  # drawn of each stage; of these about half are new
KILLS, WORKERS_KILLED, LONGEST_LIFE, SHORTEST_LIFE = 60, 30, 2.5, 0.3
INPUTS = {"run": 1500}
MOST_INPUTS = 5000
# Of each kind of arithmetic, batches, and what they are called.
BATCHES = {"plain": 100, "extreme": 150, "varying": 80, "flow": 25}
BATCHES_A_PROCESS = 20
ARITHMETIC = {
    "plain": "stops of ordinary problems, stepped and in closed form",
    "extreme": "stops of extreme problems, stepped and in closed form",
    "varying": "stops of extreme problems with varying rates, in all engines",
    "flow": "crossings of extreme flows",
}


def crash_points(folder):
    """Every stage in every mode, two processes at a time."""
    shim = crashes.build(folder)
    if not shim:
        raise SystemExit("the crash points need Linux and a C compiler")
    lines, lost = [], []
    for pair in (("create", "resume"), ("overwrite", "merge"), ("extend",)):
        started = [
            crashes.start(shim, "canned", *(f"{stage}:{mode}:{step}" for mode, step in STEPS.items())) for stage in pair
        ]
        for process in started:
            output, errors = process.communicate()
            if process.returncode:
                raise SystemExit(errors)
            for one in json.loads(output):
                lines.append((f"{STAGES[one['stage']]}: {MODES[one['mode']]}", one["points"], len(one["lost"])))
                lost += one["lost"]
    return lines, lost


def power_losses(folder):
    """What may be on the disk after a loss of power, at random moments."""
    lines, lost, repeated = [], [], 0
    for name, (tried, again, faults) in power.search(folder, LOSSES_OF_POWER).items():
        what = "a run of which a sync failed" if name == "failing" else STAGES[name]
        lines.append((f"{what}: states after a loss of power", tried, len(faults)))
        lost, repeated = lost + faults, repeated + again
    return [*lines, ("such states that were drawn again, byte by byte, and not tried again", repeated, 0)], lost


def random_kills(folder):
    """A run that is killed, terminated and interrupted at random moments, a reader beside it; then it is finished."""
    choose, lost, looks, number, whole_runs = random.Random(0), [], 0, 0, 0
    with contextlib.chdir(folder):
        Path("long.toml").write_text(runs.LONG.replace("count = 600000", "count = 240000"))
        whole = crashes.Held(simlr.run(simlr.GridConfig.from_toml(Path("long.toml"))))
        arguments = ["long.toml", "--out", "run.h5", "--resume", "--quiet", "--threads", "1"]
        while number < KILLS:
            what = choose.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            process = runs.start(*arguments, cwd=folder)
            end = time.monotonic() + choose.uniform(SHORTEST_LIFE, LONGEST_LIFE)
            while time.monotonic() < end and process.poll() is None:
                time.sleep(0.05)
                looks += 1
                lost += [f"kill {number}, beside it: {w}" for w in wrong(whole)]
            process.send_signal(what)
            output, errors = process.communicate()
            number += 1
            expected = (-9, 0) if what == signal.SIGKILL else (130, 0)
            if process.returncode not in expected or len((output + errors).splitlines()) != (process.returncode == 130):
                lost.append(f"kill {number} by {what.name}: {process.returncode}, {errors!r}")
            lost += [f"kill {number} by {what.name}: {w}" for w in wrong(whole)]
            if process.returncode == 0:
                whole_runs += 1
                lost += unequal(whole)
                os.unlink("run.h5")
        runs.command(*arguments, cwd=folder)
        lost += unequal(whole)
    label = "processes killed, terminated or interrupted at random moments"
    return [
        (label, number, sum(w.startswith("kill") and "beside" not in w for w in lost)),
        ("runs finished after such ends, compared bit by bit", whole_runs + 1, sum("bits" in w for w in lost)),
        ("looks of a reader meanwhile", looks, sum("beside" in w for w in lost)),
    ], lost


def wrong(whole):
    """What is wrong in the file as it is; nothing where there is none yet."""
    if not os.path.exists("run.h5"):
        return []
    try:
        run = simlr.load("run.h5")
        done = run["block_done"] == 1  # looked at before the values
        values = {name: run[name] for name in crashes.NAMES[:-1]}
    except InputError as error:
        return [f"does not open: {error}"]
    ends = [*whole["block_start"].tolist(), whole["seed"].size]
    committed = np.repeat(done, np.diff(ends))[None, :, None]
    lacking = [f"{name} lacks what is committed" for name, v in values.items() if (np.isnan(v) & committed).any()]
    # Where a run is gone on with meanwhile, more may be known by now than was then.
    known = {name: ~np.isnan(found) & (found != NOT_YET) for name, found in values.items()}
    different = {name: (found != whole[name]) & known[name] for name, found in values.items()}
    return lacking + [
        f"{name} is wrong: {values[name][d][:3]}, not {whole[name][d][:3]}" for name, d in different.items() if d.any()
    ]


def unequal(whole):
    """Whether the finished file has other bits than a run that nobody disturbed."""
    try:
        runs.assert_same_bits(simlr.load("run.h5"), whole)
    except AssertionError as error:
        return [f"other bits: {error}"]
    return []


def fuzzing(folder):
    """Damaged input of every kind."""
    lines, lost = [], []
    names = {"toml": "grid files", "set": "`--set` overrides", "csv": "CSV tables", "npz": "NPZ files"}
    names |= {"hdf5": "HDF5 data files", "npy": "schedule tables, NPY", "rates": "schedule tables, CSV"}
    names |= {"run": "run files: verified, reported, merged"}
    for kind, name in names.items():
        tried, faults = fuzz.search(kind, INPUTS.get(kind, MOST_INPUTS), folder)
        lines.append((f"{name}: inputs with something wrong", tried, len(faults)))
        lost += map(str, faults)
    return lines, lost


def hostile_files(folder):
    """Run files that somebody made to do harm."""
    tried, faults = hostile.search(folder)
    label = f"hostile run files of {len(hostile.kinds())} kinds, with and without a forged seal: commands"
    return [(label, tried, len(faults))], list(map(str, faults))


def merges(folder):
    """Shards of several cuts, merged, against one run."""
    lost, cuts = [], (2, 3, 4, 5, 6)
    with contextlib.chdir(folder):
        config = runs.grid()
        whole = simlr.run(config)
        for count in cuts:
            names = [f"{i}-of-{count}.h5" for i in range(count)]
            for i, name in enumerate(names):
                job = _grid.Job(config, (i, count))
                job.run(*job.open(name))
            merging.merge(names[::-1], f"{count}.h5")
            try:
                runs.assert_same_bits(simlr.load(f"{count}.h5"), whole)
            except AssertionError as error:
                lost.append(f"merged from {count}: other bits: {error}")
    return [("merged files compared bit by bit with one run", len(cuts), len(lost))], lost


def platforms(folder):
    """The suites of the store with simlr taking Linux for another system; what it lacks is skipped by name."""
    lines, lost = [], []
    for system in elsewhere.SYSTEMS:
        command = [sys.executable, "-m", "pytest", "-q", *SUITES, "-m", "not proof"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", f"--basetemp={folder}/{system}"],
            cwd=runs.ROOT, env=runs.environment(SIMLR_TEST_SYSTEM=system), capture_output=True, text=True,
        )  # fmt: skip
        passed, failed = (int((re.findall(rf"(\d+) {what}", done.stdout) or [0])[-1]) for what in ("passed", "failed"))
        lines.append((f"tests of store, resume and extension as on {system}", passed + failed, failed))
        lost += re.findall(r"^FAILED .*$", done.stdout, re.M)
    return lines, lost


def dying_workers(folder):
    """Runs on a Dask cluster of two workers, one of which is killed again and again while they compute."""
    from simlr.grid.cluster.connect import local_cluster, silence_dask

    silence_dask()
    choose, lost, killed, whole_runs = random.Random(0), [], 0, 0
    with contextlib.chdir(folder), local_cluster(1, n_workers=2) as cluster:
        Path("long.toml").write_text(runs.LONG.replace("count = 600000", "count = 120000"))
        whole = simlr.run(simlr.GridConfig.from_toml(Path("long.toml")))
        while killed < WORKERS_KILLED:
            arguments = ["long.toml", "--out", "run.h5", "--overwrite", "--quiet", "--dask", cluster.scheduler_address]
            process = runs.start(*arguments, cwd=folder)
            while killed < WORKERS_KILLED and process.poll() is None:
                time.sleep(choose.uniform(SHORTEST_LIFE, LONGEST_LIFE))
                alive = [nanny.pid for nanny in cluster.workers.values() if nanny.pid]
                if alive and process.poll() is None and os.path.exists("run.h5"):
                    os.kill(choose.choice(alive), signal.SIGKILL)
                    killed += 1
            _, errors = process.communicate(timeout=300)
            whole_runs += 1
            lost += [f"status {process.returncode}: {errors!r}"] if process.returncode else unequal(whole)
    return [
        ("Dask workers killed while they compute", killed, sum("status" in w for w in lost)),
        ("runs on a cluster that lost them, compared bit by bit", whole_runs, sum("bits" in w for w in lost)),
    ], lost


def arithmetic(folder):
    """Exact descent against its twins of more digits, in two processes at a time."""
    script = runs.ROOT / "tests/support/arithmetic.py"
    path = os.pathsep.join(str(runs.ROOT / part) for part in (".", "tests", "tests/support"))
    own = runs.environment(PYTHONPATH=path, NUMBA_NUM_THREADS=1)

    def judged(job):
        kind, first, last = job
        command = [sys.executable, str(script), kind, str(first), str(last)]
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return kind, *json.loads(done.stdout)

    stride = BATCHES_A_PROCESS
    jobs = [(kind, k, min(k + stride, most)) for kind, most in BATCHES.items() for k in range(0, most, stride)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(judged, jobs))
    lines = []
    for kind, name in ARITHMETIC.items():
        parts = [(count, faults) for own_kind, count, faults in found if own_kind == kind]
        lines.append((name, sum(count for count, _ in parts), sum(len(faults) for _, faults in parts)))
    return lines, [fault for _, _, faults in found for fault in faults]


PARTS = {
    "crashes": crash_points,
    "power": power_losses,
    "kills": random_kills,
    "fuzz": fuzzing,
    "hostile": hostile_files,
    "merges": merges,
    "platforms": platforms,
    "workers": dying_workers,
    "arithmetic": arithmetic,
}


def write(lines):
    """Put lines into the page's table: those of the same name are replaced, others kept."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    table, tail = rest.split(END)
    rows = dict(row.strip("| ").split(" | ", 1) for row in table.strip().splitlines()[2:])
    rows |= {name: f"{tried:,} | {bad:,}" for name, tried, bad in lines}
    body = "\n".join(
        ["| what | tried | lost or wrong |", "|---|---:|---:|", *(f"| {k} | {v} |" for k, v in rows.items())]
    )
    PAGE.write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", encoding="utf-8")


def main(names):
    """Run the parts; the exit status."""
    status = 0
    for name in names or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            lines, lost = PARTS[name](folder)
        for what, tried, bad in lines:
            print(f"{what}: {tried:,} tried, {bad:,} lost or wrong")
        print("\n".join(lost[:50]), f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)
        write(lines)
        status = status or int(bool(lost))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
