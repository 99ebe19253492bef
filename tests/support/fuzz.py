"""Inputs with something wrong, from a root and a number: the commands have to refuse them in one line, or to work.

    python tests/support/fuzz.py KIND FIRST LAST FOLDER

tries inputs FIRST to LAST - 1 of a kind in the empty FOLDER, and writes faults, one JSON line each, to FOLDER/faults.
The process may take four gigabytes of memory and twenty seconds an input: what takes more ends it, and FOLDER/at says
which input that was. `search` runs it, over and over, behind such an end.
"""

import contextlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import runs

SECONDS, BYTES = 20, 4 << 30
PIECES = [
    b"\0",
    b"\xff",
    b"\n",
    b",",
    b"=",
    b"[",
    b"]",
    b'"',
    b"1e999",
    b"-1",
    b"nan",
    b"9" * 30,
    b"1" + b"0" * 400,
    b"../",
]
PIECES += [bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"<script>", b"\xe4", b"[[", b"{", b"'", b"true", b"flow"]
KEYS = ["name", "problem", "problem.kind", "problem.samples", "problem.file", "problem.start", "seeds", "seeds.count"]
KEYS += ["seeds.root", "stop.train_loss", "stop.steps", "stop.max_steps", "stop.validation.patience", "record.points"]
KEYS += ["record.seeds", "record.flow_time", "record.dtype", "schedule", "schedule.0", "schedule.0.kind", "schedule.9"]
KEYS += ["schedule.1.phases.0.steps", "schedule.2.learning_rate", "schedule.2.learning_rate.0", "schedule.3.steps"]
KEYS += ["optimizer", "optimizer.0.kind", "noise.0.sigma", "run.block_seeds", "engine", "a.b.c", "0"]
VALUES = ["1", "0", "-1", "1.5", "1e300", "-1e-300", "nan", "inf", "true", "false", "all", "flow", "[]", "[1,2]", "{}"]
VALUES += ["[[1,2],[3]]", "{kind='flow'}", "'x'", '""', "1000000000000000", "4611686018427387904", "9" * 23, "../x"]
VALUES += [
    "[1e-3,1e-3]",
    "\x1b[31m",
    "<script>",
    "[{kind='constant',learning_rate=1}]",
    "1979-05-27",
    "0x7fffffffffffffff",
]
VALUES += ["[[[[[[]]]]]]", '"\\u0000"', "nakkiran2020", "quadratic", "dataset", "gaussian"]
TABLE = runs.SMALL.replace('kind = "nakkiran2020"', 'kind = "dataset"\nfile = "input.SUFFIX"\ntrain_rows = 3')
RATES = runs.SMALL.replace("steps = 200", 'file = "input.SUFFIX"').replace(
    'kind = "cosine"\nlearning_rate = 0.7', 'kind = "table"'
)


def mutated(content, choose):
    """Bytes with a few pieces flipped, replaced, put in, taken out or doubled, or the end cut off."""
    content = bytearray(content)
    for _ in range(choose.choice([1, 1, 2, 3, 8])):
        at = choose.randrange(len(content) + 1)
        action = choose.randrange(7)
        if action == 0 and at < len(content):
            content[at] ^= 1 << choose.randrange(8)
        elif action == 1:
            piece = choose.choice(PIECES)
            content[at : at + len(piece)] = piece
        elif action == 2:
            content[at:at] = choose.choice(PIECES)
        elif action == 3:
            del content[at : at + choose.choice([1, 2, 16, 200])]
        elif action == 4:
            content[at:at] = content[at : at + choose.choice([4, 40, 400])]
        elif action == 5 and at < len(content):
            content[at] = choose.randrange(256)
        elif choose.randrange(8) == 0:
            del content[at:]
    return bytes(content)


# ---- kinds: (prepare(), which gives the sound input; the commands to be run on a mutated one) ----


def _grid_file(text, suffix):
    Path("grid.toml").write_text(text.replace("SUFFIX", suffix))
    return [("grid", ["grid.toml", "--dry-run"])]


def _toml():
    return "grid.toml", runs.SMALL.encode(), [("grid", ["grid.toml", "--dry-run"])]


def _csv():
    rows = [[f"{v:.6g}" for v in row] for row in np.random.default_rng(0).normal(size=(9, 3))]
    text = "\n".join(["a,b,c", *map(",".join, rows)]) + "\n"
    return "input.csv", text.encode(), _grid_file(TABLE, "csv")


def _npz():
    content = io.BytesIO()
    np.savez(content, features=np.random.default_rng(0).normal(size=(9, 2)), target=np.arange(9.0))
    return "input.npz", content.getvalue(), _grid_file(TABLE, "npz")


def _hdf5():
    import h5py

    with h5py.File("sound.h5", "w") as file:
        file["features"], file["target"] = np.random.default_rng(0).normal(size=(9, 2)), np.arange(9.0)
    return "input.h5", Path("sound.h5").read_bytes(), _grid_file(TABLE, "h5")


def _npy():
    content = io.BytesIO()
    np.save(content, np.linspace(1.0, 0.0, 20))
    return "input.npy", content.getvalue(), _grid_file(RATES, "npy")


def _rates():
    text = "step,rate\n" + "".join(f"{step},{1 / (1 + step)}\n" for step in range(20))
    return "input.csv", text.encode(), _grid_file(RATES, "csv")


def _run():
    import simlr

    if not Path("sound.h5").exists():
        simlr.run(runs.grid(seeds__count=10), "sound.h5")
    commands = [("grid", ["--verify", "input.h5"]), ("report", ["input.h5", "--format", "csv,md", "--out", "made"])]
    commands += [("merge", ["input.h5", "--out", "joined.h5"])]
    return "input.h5", Path("sound.h5").read_bytes(), commands


KINDS = {"toml": _toml, "csv": _csv, "npz": _npz, "hdf5": _hdf5, "npy": _npy, "rates": _rates, "run": _run, "set": None}


# ---- trying ----


def inputs(kind):
    """A function number -> the commands to run, the input laid down."""
    if kind == "set":
        Path("grid.toml").write_text(runs.SMALL)

        def given(number):
            choose, arguments = random.Random(f"set {number}"), ["grid.toml", "--dry-run"]
            for _ in range(choose.choice([1, 1, 2])):
                setting = f"{choose.choice(KEYS)}={choose.choice(VALUES)}"
                if choose.randrange(4) == 0:
                    setting = mutated(setting.encode(), choose).decode("utf-8", "surrogateescape")
                arguments += ["--set", setting]
            return [("grid", arguments)]

        return given
    name, content, commands = KINDS[kind]()

    def laid(number):
        Path(name).write_bytes(mutated(content, random.Random(f"{kind} {number}")))
        return commands

    return laid


def fault(module, arguments):
    """What was wrong with how a command ended, or None."""
    import importlib

    main = importlib.import_module(f"simlr.{module}").main
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
        except BaseException as error:
            return f"{type(error).__name__}: {error}"
    told = errors.getvalue()
    if status not in (0, 1, 2):
        return f"status {status}"
    if status and (not runs.is_told_by_lines(told) or len(told) > 9000):
        return f"status {status}, said {told[:300]!r}"
    return None


def main(kind, first, last, folder):
    """Try some inputs."""
    os.chdir(folder)
    import simlr.grid.command
    import simlr.report.__main__  # noqa: F401

    given = inputs(kind)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in range(int(first), int(last)):
        Path("at").write_text(str(number))
        before = set(os.listdir()) | {"input.h5", "made", "faults", "joined.h5"}
        for module, arguments in given(number):
            signal.alarm(SECONDS)
            found = fault(module, arguments)
            signal.alarm(0)
            strange = sorted(set(os.listdir()) - before - {"input.csv", "input.npz", "input.npy", "grid.toml"})
            if found or strange:
                with open("faults", "a") as file:
                    file.write(json.dumps([kind, number, module, found or f"wrote {strange}"]) + "\n")


def search(kind, count, folder, first=0):
    """(inputs tried, faults) of one kind; ends of the process are faults, too."""
    folder = Path(folder) / kind
    folder.mkdir()
    faults, at, end = [], first, first + count
    while at < end:
        command = [sys.executable, __file__, kind, str(at), str(end), str(folder)]
        done = subprocess.run(command, env=runs.environment(OPENBLAS_NUM_THREADS="1"), capture_output=True, text=True)
        if not done.returncode:
            break
        at = int((folder / "at").read_text()) + 1 if (folder / "at").exists() else end
        faults.append([kind, at - 1, "process", f"ended with {done.returncode}: {done.stderr[-300:]}"])
    if (folder / "faults").exists():
        faults += map(json.loads, (folder / "faults").read_text().splitlines())
    return count, faults


if __name__ == "__main__":
    main(*sys.argv[1:])
