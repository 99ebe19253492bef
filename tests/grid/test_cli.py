"""The command `python -m simlr.grid` as its users meet it: in processes of its own."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import runs

import simlr
from simlr.cli import progress
from simlr.errors import InputError
from simlr.grid import command as commands
from simlr.grid.__main__ import main
from simlr.grid.pipeline import Pipeline, still_working
from simlr.store import target


@pytest.fixture
def small(folder):
    """A small grid file in an otherwise empty working directory."""
    Path("small.toml").write_text(runs.SMALL)
    return folder


@pytest.fixture
def long(folder):
    """A grid file that takes many seconds."""
    Path("long.toml").write_text(runs.LONG)
    return folder


@pytest.fixture(scope="module")
def without_numba(tmp_path_factory):
    """A PYTHONPATH on which Numba cannot be loaded."""
    path = tmp_path_factory.mktemp("forbidden")
    for package in ("numba", "llvmlite"):
        (path / package).mkdir()
        (path / package / "__init__.py").write_text("raise SystemExit('Numba was loaded')\n")
    return f"{path}{os.pathsep}{runs.ROOT}"


# ---- what needs no compiler ----


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "usage: python -m simlr.grid"),
        (["--list"], "nakkiran2020\n"),
        (["--dry-run"], "cells     49,152 "),
        (["small.toml", "--dry-run", "--set", "stop.train_loss=[0.1]"], " 1 level each"),
        (["small.toml", "--dry-run", "--set", "seeds.count=100000000000000"], "cells     600,000,000,000,000 "),
        (["small.toml", "--dry-run", "--seeds", "100000000000000", "--set", "record.seeds=all"], "seeds"),
    ],
    ids=["help", "list", "dry-run", "one-level", "huge", "huge-recorded"],
)
def test_what_runs_nothing_needs_no_numba(arguments, expected, small, without_numba):
    process = runs.command(*arguments, cwd=small, PYTHONPATH=without_numba)
    assert process.returncode == 0, process.stderr
    assert expected in process.stdout and process.stderr == ""
    assert os.listdir() == ["small.toml"]


def test_the_help_lists_every_option_with_its_exit_statuses():
    text = " ".join(commands.parser().format_help().split())
    for option in (
        "--out",
        "--set",
        "--seeds",
        "--threads",
        "--dask",
        "--shard",
        "--resume",
        "--overwrite",
        "--verify",
        "--dry-run",
        "--list",
        "--quiet",
    ):
        assert option in text
    assert "0 done, 1 failed, 2 bad usage or bad input, 130 interrupted (what was computed is kept)" in text


def test_the_list_names_every_kind_and_parameter(capsys):
    assert commands.grid_command(["--list"]) == 0
    text = capsys.readouterr().out
    for kind in (*simlr.schedules.kinds(), *simlr.problems.kinds(), "gd"):
        assert f"  {kind}" in text
    for parameter in ("theta_star", "train_rows", "step_size", "gamma = 0.1", "steps = to max_steps"):
        assert parameter in text


SMALL = "small.toml"
BAD = [
    (["nakiran2020"], "simlr: grid: unknown file or paper 'nakiran2020'; did you mean 'nakkiran2020'?"),
    (["none.toml"], "simlr: none.toml: cannot be read: No such file or directory"),
    (["n" * 5000], "simlr: grid: unknown file or paper 'nnnn"),
    (["n" * 5000 + ".toml"], "cannot be read: File name too long"),
    (["."], "simlr: .: cannot be read: Is a directory"),
    (["a", "b"], "python -m simlr.grid: unrecognized arguments: b"),
    ([SMALL, "--seed", "3"], "unrecognized arguments: --seed"),
    (["two\nlines", "--no\nsuch"], "unrecognized arguments: --no such"),
    (["two\nlines"], r"unknown file or paper 'two\nlines'"),
    ([SMALL, "--seeds", "0"], "argument --seeds: must be a whole number from 1 to 10^18, got '0'"),
    ([SMALL, "--seeds", "9" * 5000], "argument --seeds: must be a whole number from 1 to 10^18, got '9999"),
    ([SMALL, "--seeds", "1e3"], "got '1e3'"),
    ([SMALL, "--threads", "-1"], "argument --threads: must be a whole number from 1"),
    ([SMALL, "--resume", "--overwrite"], "argument --overwrite: not allowed with argument --resume"),
    ([SMALL, "--shard", "3/3"], "argument --shard: must be I/N with I from 0 to N - 1, got '3/3'"),
    ([SMALL, "--shard", "3"], "argument --shard: must be I/N, shard I of N, e.g. 0/4, got '3'"),
    ([SMALL, "--shard", "1/7"], "simlr: --shard 1/7: the grid has 6 blocks, so at most as many shards"),
    (["--verify", SMALL], "simlr: small.toml: is no simlr run (no HDF5 file)"),
    (["--verify", "none.h5"], "simlr: none.h5: cannot be read: No such file or directory"),
    (["--verify", "x.h5", "--overwrite"], "argument --overwrite: not allowed with argument --verify"),
    ([SMALL, "--set"], "argument --set: expected one argument"),
    ([SMALL, "--set", "seeds"], "argument --set: must be KEY.PATH=VALUE, got 'seeds'"),
    ([SMALL, "--set", "a..b=1"], "argument --set: must be KEY.PATH=VALUE, got 'a..b=1'"),
    ([SMALL, "--set", "seeds.cuont=1"], "simlr: small.toml: seeds: unknown key 'cuont'; did you mean 'count'?"),
    ([SMALL, "--set", "seeds.count=true"], "simlr: small.toml: seeds.count must be a whole number >= 1, got True"),
    (
        [SMALL, "--set", "seeds.count=" + "9" * 5000],
        "simlr: small.toml: seeds.count must be a whole number >= 1, got '9999",
    ),
    (
        [SMALL, "--set", "schedule.9.kind=flow"],
        "simlr: --set schedule.9.kind: '9' is no entry; there are 4, counted from 0",
    ),
    ([SMALL, "--set", "name.x=1"], "simlr: --set name.x: 'name' is a value, not a table"),
    ([SMALL, "--set", "name=\udcff"], "simlr: small.toml: name must be a string in UTF-8, got"),
    ([SMALL, "--out", "none/run.h5"], "simlr: --out none/run.h5: the folder none does not exist"),
    ([SMALL, "--out", "none\n/run.h5"], "simlr: --out none /run.h5: the folder none  does not exist"),
    ([SMALL, "--out", ""], "simlr: --out: needs a file name"),
    ([SMALL, "--out", "."], "simlr: --out .: is a folder"),
    ([SMALL, "--out", "/dev/null", "--overwrite"], "simlr: --out /dev/null: is no ordinary file"),
    ([SMALL, "--seeds", "100000000000000"], "bytes, and the disk has"),
    ([SMALL, "--seeds", "1000000000000000"], "simlr: small.toml: grid: "),
]

# The command, many times in one process, where Numba cannot be loaded.
MANY = """
import contextlib, io, json, os, sys
from simlr.grid.command import grid_command
results = []
for arguments in json.loads(sys.argv[1]):
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = grid_command(arguments)
        except SystemExit as end:
            status = end.code
    results.append((status, output.getvalue(), errors.getvalue(), sorted(os.listdir())))
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory, without_numba):
    """What the command did with all that is bad: [(status, output, errors, files), ...]."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "small.toml").write_text(runs.SMALL)
    command = [sys.executable, "-c", MANY, json.dumps([arguments for arguments, _ in BAD])]
    keywords = {"capture_output": True, "text": True, "timeout": 120, "cwd": folder}
    done = subprocess.run(command, env=runs.environment(PYTHONPATH=without_numba), **keywords)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", range(len(BAD)), ids=[message[:50] for _, message in BAD])
def test_bad_input_is_one_line_and_touches_nothing(number, refusals):
    status, output, errors, files = refusals[number]
    assert BAD[number][1] in errors
    assert (status, output, files) == (2, "", ["small.toml"])
    assert len(errors.splitlines()) == 1 and len(errors) < 7000


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--set", "seeds.count=0"], ["--set", b"name=\xff"]], ids=str)
def test_bad_input_to_the_real_command(arguments, small, without_numba):
    command = [sys.executable, "-m", "simlr.grid", "small.toml", *arguments]
    done = subprocess.run(command, capture_output=True, env=runs.environment(PYTHONPATH=without_numba), timeout=60)
    assert (done.returncode, done.stdout) == (2, b"") and len(done.stderr.splitlines()) == 1
    assert os.listdir() == ["small.toml"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = ", "bad.toml: not valid TOML: Invalid value (at end of document)"),
        (b"name = \xff", "bad.toml: not UTF-8 text"),
        (b'problem.kind = "nakkiran2020"\nschedule = [{ kind = "flow" }]', "bad.toml: [stop] is missing"),
        (b"x = " + b"[" * 100000, "bad.toml: not valid TOML"),
        (b"name = " + b"9" * 10000, "bad.toml: not valid TOML"),
        (b"name = 0x" + b"f" * 10000, "got a int too long to be shown"),
        (b"\0", "bad.toml: not valid TOML"),
    ],
    ids=["invalid", "latin-1", "no-stop", "deep", "digits", "hexadecimal", "nul"],
)
def test_bad_grid_files_are_one_line(content, message, folder, without_numba):
    if message.startswith("got"):
        content += b"\n" + runs.SMALL.replace('name = "small"', "").encode()
    Path("bad.toml").write_bytes(content)
    assert message in runs.assert_refused(runs.command("bad.toml", cwd=folder, PYTHONPATH=without_numba))
    assert os.listdir() == ["bad.toml"]


def test_an_empty_grid_is_told_all_that_it_lacks(folder, without_numba):
    Path("bad.toml").write_bytes(b"")
    done = runs.command("bad.toml", cwd=folder, PYTHONPATH=without_numba)
    told = ("[problem]", "[stop]", "[[schedule]]")
    assert done.returncode == 2
    for what, line in zip(told, done.stderr.splitlines(), strict=True):
        assert line.startswith(f"simlr: bad.toml: {what} is missing")


def test_existing_output_is_kept(small, finished, without_numba):
    shutil.copy(finished, "run.h5")
    before = Path("run.h5").read_bytes()
    refused = runs.command("small.toml", "--out", "run.h5", cwd=small, PYTHONPATH=without_numba)
    assert "run.h5: exists; --resume goes on with it, --overwrite replaces it" in runs.assert_refused(refused)
    assert Path("run.h5").read_bytes() == before


def test_loading_and_reporting_need_no_numba(finished, folder, without_numba):
    shutil.copy(finished, "run.h5")
    code = "import simlr; run = simlr.load('run.h5'); print(run.test_loss.shape, run.config.name, run.complete)"
    environment = runs.environment(PYTHONPATH=without_numba)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.stdout, done.returncode) == ("(6, 40, 2) small True\n", 0), done.stderr
    pytest.importorskip("matplotlib")
    report = runs.command("run.h5", cwd=folder, module="simlr.report", PYTHONPATH=without_numba)
    assert report.returncode == 0, report.stderr


def test_numba_that_does_not_compile_is_refused(small):
    for arguments in ([], ["--resume"]):
        refused = runs.command("small.toml", *arguments, cwd=small, NUMBA_DISABLE_JIT="1")
        message = "simlr: NUMBA_DISABLE_JIT is set: simlr's kernels need the compiler; unset it\n"
        assert runs.assert_refused(refused, status=1) == message
    assert os.listdir() == ["small.toml"]


def test_numba_is_loaded_without_scipy_which_is_found_afterwards(small):
    pytest.importorskip("scipy")
    program = """
import sys
from simlr.grid import main, startup
finders = list(sys.meta_path)
startup.load_numba()
assert sys.meta_path == finders
assert main(["small.toml", "--quiet"]) == 0
assert "numba" in sys.modules and "scipy.linalg" not in sys.modules
import scipy.linalg
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(), timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- where files go ----


def test_the_default_folder_is_made_and_the_run_goes_there(small):
    done = runs.command("small.toml", cwd=small)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["data/small.h5", "python -m simlr.report data/small.h5"]
    assert simlr.load("data/small.h5").complete
    again = runs.command("small.toml", "--resume", cwd=small)
    assert again.returncode == 0
    assert again.stderr == "data/small.h5: nothing is missing\n"
    assert again.stdout == done.stdout


def test_a_default_folder_that_cannot_be(small):
    Path("data").write_text("a file of that name")
    refused = runs.assert_refused(runs.command("small.toml", cwd=small))
    assert "simlr: --out data/small.h5: " in refused
    os.unlink("data")
    os.symlink("nowhere", "data")
    assert "the folder data does not exist" in runs.assert_refused(runs.command("small.toml", cwd=small))


def test_names_in_any_alphabet(folder):
    """Spaces and umlauts in paths and names, under a terminal that knows only ASCII."""
    names = {"folder": "Gr\u00f6\u00dfe und Ma\u00df", "grid": "\u00fcbung 1.toml", "run": "l\u00e4uft \u4e00.h5"}
    os.mkdir(names["folder"])
    text = runs.SMALL.replace('name = "small"', 'name = "\u00fcbung"').replace('"annealed"', '"abgek\u00fchlt"')
    Path(names["folder"], names["grid"]).write_text(text, encoding="utf-8-sig")
    out = f"{names['folder']}/{names['run']}"
    for settings in (
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ):
        environment = runs.environment(**settings)
        command = [
            sys.executable,
            "-m",
            "simlr.grid",
            f"{names['folder']}/{names['grid']}",
            "--out",
            out,
            "--overwrite",
        ]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert simlr.load(out).schedule[1] == "abgek\u00fchlt"
    assert simlr.load(out).config.name == "\u00fcbung"


def test_a_folder_that_may_not_be_written_to():
    """As a user who is not root: one line, and nothing is left."""
    program = """
import os, sys
import simlr.grid.command, simlr.papers.nakkiran2020, simlr.engine.block_engine, simlr.grid
os.getuid() or os.setuid(65534)
sys.exit(simlr.grid.main(["nakkiran2020", "--out", "closed/run.h5"]))
"""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/closed", 0o555)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=runs.environment(), timeout=60)
        assert done.returncode == 2, done.stderr
        assert done.stderr == "simlr: --out closed/run.h5: the folder closed may not be written to\n"
        assert os.listdir(f"{folder}/closed") == []


# ---- what it prints ----


def test_quiet_prints_nothing(small):
    done = runs.command("small.toml", "--quiet", cwd=small)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_log_gets_a_few_lines(long):
    done = runs.command("long.toml", "--out", "run.h5", "--seeds", "30000", cwd=long)
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if "compiling" not in line]
    assert re.fullmatch(r"long: 6 schedules x 30000 seeds, \d+ threads -> run.h5", lines[0])
    assert len(lines) < 30
    assert all(re.fullmatch(r"\d+ %: \d+ of 30000 seeds(, \d+ s left)?", line) for line in lines[1:])


def test_lines_are_sparse(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = progress.Lines(1000, 100, "seeds", sys.stderr)
    for step in range(1, 901):
        now[0] += 0.1
        shown.update(100 + step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 18
    assert lines[0] == "15 %: 150 of 1000 seeds, 85 s left"


def test_progress_that_nobody_can_see_is_dropped():
    class Gone:
        def write(self, text=""):
            raise BrokenPipeError

        flush = isatty = write

    progress.show(10, stream=Gone()).update(5)
    lines = progress.Lines(10, 0, "seeds", Gone())
    lines._reported_at -= 100.0
    lines.update(9)
    lines.close()


def test_a_terminal_gets_a_bar(long):
    """Under a pseudo-terminal; Ctrl-C is typed into it."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "simlr.grid", "long.toml", "--out", "run.h5"]
    keywords = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True, "env": runs.environment()}
    process = subprocess.Popen(command, preexec_fn=_take_terminal, **keywords)
    os.close(slave)
    shown = _read_until(master, b"k seeds/s]")
    assert b"%|" in shown
    os.write(master, b"\x03")
    shown += _read_until(master, b"--resume\r\n")
    assert process.wait(30) == 130
    os.close(master)
    assert b"stopping ..." in shown and b"interrupted; what was computed is kept. Go on with: python -m " in shown
    assert b"Traceback" not in shown


def _take_terminal():
    """Make standard input the terminal of this session."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_until(descriptor, wanted, seconds=60):
    """Read from a terminal until something appears."""
    found, deadline = b"", time.monotonic() + seconds
    while wanted not in found:
        ready, _, _ = select.select([descriptor], [], [], deadline - time.monotonic())
        assert ready, found
        found += os.read(descriptor, 4096)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "{grid} small.toml | head -1",
        "{grid} --list | true",
        "{grid} --help | true",
        "{grid} --list >/dev/full",
        "{grid} --list >&-",
        "{grid} --help >&-",
        "{grid} small.toml 2>&1 | true",
        "{grid} small.toml 2>/dev/full",
        "{grid} small.toml 2>&- >&-",
        "{grid} none.toml 2>&-",
    ],
)
def test_output_that_nobody_reads(line, small):
    """No traceback, neither at once nor at exit; and a run goes to its end."""
    grid = f"{sys.executable} -m simlr.grid"
    command = ["bash", "-c", "set -o pipefail; " + line.format(grid=grid)]
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(), timeout=120)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
    assert done.returncode == (2 if "none" in line else 1 if "--list >/dev/full" in line else 0)
    if "small.toml" in line:
        assert simlr.load("data/small.h5").complete


# ---- being interrupted ----


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_at_once_and_goes_on(number, long):
    arguments = ["long.toml", "--out", "run.h5", "--seeds", "12000", "--set", "run.block_seeds=100", "--overwrite"]
    process = runs.start(*arguments, "--quiet", cwd=long)
    runs.wait_until(lambda: runs.has_begun("run.h5"), process)
    process.send_signal(number)
    runs.ended(process)
    assert process.returncode == 130
    again = " ".join(["python -m simlr.grid", *arguments[:-1], "--quiet --resume"])
    assert process.stderr == f"interrupted; what was computed is kept. Go on with: {again}\n"
    done = runs.blocks_done("run.h5")
    assert 0 < done < 120
    again = runs.command(*arguments[:-1], "--quiet", "--resume", cwd=long)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    config = simlr.GridConfig.from_toml(Path("long.toml"), [("seeds.count", 12000)])
    runs.assert_same_bits(simlr.load("run.h5"), simlr.run(config))


@pytest.mark.slow
def test_an_interrupted_compilation_ends_soon(small):
    """The compiler cannot be told to stop: what is to be kept is on the disk, so the process just ends."""
    process = runs.start("small.toml", cwd=small, NUMBA_CACHE_DIR=str(small / "cache"))
    assert "small: 6 schedules" in process.stderr.readline()
    assert "compiling kernels, first run only: 0 of " in process.stderr.readline()
    # One kernel is in the cache: the next is being compiled.
    runs.wait_until(lambda: any((small / "cache").rglob("*.nbi")), process)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    runs.ended(process)
    assert time.monotonic() - began < 4.0  # 2 s where nothing else runs
    assert process.returncode == 130
    assert process.stderr.splitlines()[-1].startswith("interrupted; what was computed is kept. Go on with: ")
    assert simlr.load("data/small.h5").complete is False


def test_a_signal_before_the_run_begins(small):
    """While the file is laid out: nothing half-made is left."""
    program = """
import os, signal, sys
from simlr.store import create
before = create.fill_indices
def slow(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    before(*arguments)
create.fill_indices = slow
from simlr.grid import main
sys.exit(main(["small.toml", "--quiet"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=runs.environment(), timeout=60
    )
    assert done.returncode == 130, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "--resume" in done.stderr
    assert os.listdir() == ["small.toml"]


# ---- the parts ----


def test_a_setting_is_toml_or_else_text():
    read = commands.setting
    assert read("seeds.root=7") == ("seeds.root", 7)
    assert read("schedule.0.learning_rate=[0.1, 1e-3]") == ("schedule.0.learning_rate", [0.1, 1e-3])
    assert read("problem={kind = 'x'}") == ("problem", {"kind": "x"})
    assert read("record.seeds=all") == ("record.seeds", "all")
    assert read(" name = my run ") == ("name", "my run")
    assert read("name=") == ("name", "")
    assert read("name=a=b") == ("name", "a=b")


def test_the_command_that_goes_on_is_quoted():
    given = ["my grid.toml", "--overwrite", "--set", "name=a b", "--resume"]
    expected = "python -m simlr.grid 'my grid.toml' --set 'name=a b' --resume"
    assert commands.resume_command(given) == expected


def test_a_pipeline_that_fails_ends_both_threads():
    def fail(block, result=None):
        if block == 3:
            raise InputError(f"block {block}")
        return block

    for compute, write in ((fail, lambda *a: None), (lambda block: block, fail)):
        with pytest.raises(InputError, match="block 3"):
            Pipeline(((block, compute(block)) for block in range(100)), write).run(lambda done: None, lambda: None)
        assert not still_working()


def test_a_pipeline_writes_every_block_once_and_in_order():
    written, told = [], []
    work = Pipeline(((block, -block) for block in range(50)), lambda *item: written.append(item))
    work.run(told.append, lambda: None)
    assert written == [(block, -block) for block in range(50)]
    assert told[-1] == 50 and told == sorted(told)


def test_new_folders_last(folder, monkeypatch):
    """A loss of power after the run must not take the folder that was made for it."""
    synced = []
    before = target.sync_folder
    monkeypatch.setattr(target, "sync_folder", lambda path: (synced.append(str(path)), before(path)))
    Path("grid.toml").write_text(runs.SMALL)
    assert main(["grid.toml", "--quiet"]) == 0
    assert synced == ["."] and os.path.exists("data/small.h5")
    target.make_lasting(Path("data"))
    target.make_folder(Path("report"))
    assert synced == [".", "."] and os.path.isdir("report")


def test_no_room_for_a_thread_is_one_line(folder, monkeypatch, capsys):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    Path("grid.toml").write_text(runs.SMALL)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert main(["grid.toml", "--out", "run.h5", "--quiet"]) == 1
    told = capsys.readouterr().err
    assert "can't start new thread" in told and len(told.splitlines()) == 1


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() or not shutil.which("setpriv") or not shutil.which("prlimit"),
    reason="needs root, who becomes a user with few processes",
)
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_user_who_may_start_no_thread_gets_one_line(processes):
    """NumPy's BLAS says four lines and interrupts the process; an end beside the compiler crashes."""
    rights = "-all,+dac_override,+dac_read_search"
    become = ["setpriv", "--reuid", "64321", "--clear-groups", f"--inh-caps={rights}", f"--ambient-caps={rights}"]
    command = [
        *become,
        "prlimit",
        f"--nproc={processes}",
        sys.executable,
        "-m",
        "simlr.grid",
        "--quiet",
        "--out",
        "r.h5",
    ]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # every folder on the way is open to that user
        os.chmod(folder, 0o777)
        environment = runs.environment(HOME=folder, NUMBA_CACHE_DIR=folder)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, cwd=folder)
    assert done.returncode == 1 and done.stdout == ""
    assert "can't start new thread" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("megabytes", [200, 300, 395])
@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no such limit")
def test_little_memory_is_one_line(megabytes, folder):
    command = ["bash", "-c", f"ulimit -v {megabytes * 1024}; exec {sys.executable} -m simlr.grid --quiet --out r.h5"]
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(), timeout=60)
    assert (done.returncode, done.stdout, os.listdir()) == (1, "", [])
    assert done.stderr == f"simlr: the limit on memory is {megabytes << 20:,} bytes, and 419,430,400 are needed\n"


@pytest.mark.parametrize(("megabytes", "cold"), [(430, False), (500, False), (540, True), (650, True)])
@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no such limit")
def test_no_memory_for_the_compiler_is_one_line(megabytes, cold, folder):
    """LLVM would end the process by SIGABRT, after minutes. How much is taken by then depends on the machine."""
    command = ["bash", "-c", f"ulimit -v {megabytes * 1024}; exec {sys.executable} -m simlr.grid --quiet --out ../r.h5"]
    empty = {"NUMBA_CACHE_DIR": str(folder / "cache")} if cold else {}
    os.mkdir("within")
    done = subprocess.run(
        command, capture_output=True, text=True, env=runs.environment(**empty), timeout=60, cwd="within"
    )
    assert done.returncode in (1, 2) and done.stdout == "" and len(done.stderr.splitlines()) == 1
    assert "Numba cannot be used" in done.stderr or "(ulimit -v)" in done.stderr or "thread" in done.stderr
    assert not os.path.exists("r.h5")
