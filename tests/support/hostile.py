"""Run files that somebody made to do harm: kinds of them, each with the seal cut off and with one that was forged.

    python tests/support/hostile.py FOLDER FIRST LAST STEP       tries some, memory and time limited

`search` tries all of a list. A command has to end by itself, in one line where it fails, without a traceback, without a
word of another file, without control sequences; and what is no run's must not pass for one.
"""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import runs

SECRET = "SECRET-OF-ANOTHER-FILE"
# Of the processor's time, so that a busy machine makes no fault; and of the clock's, for what waits.
BYTES, SECONDS, MOST_SECONDS = 3 << 30, 40, 300
RESULTS = ("test_loss", "train_loss", "stop_step", "stop_time", "status")
NAMED = (*RESULTS, "curvature", "initial_residual", "seed", "draw", "block_start", "block_done", "block_crc32")
SMALL = ("schedule", "level", "engine", "schedule_unit", "schedule_kind", "schedule_learning_rate")
ENDS = ("finished_at", "wall_seconds", "end_crc32")
ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\x85next"


# ---- pieces ----


def replaced(name, **dataset):
    """A dataset in the place of another one."""

    def change(file):
        del file[name]
        file.create_dataset(name, **dataset)

    return change


def retyped(name, make):
    """A dataset with its own shape and other values."""

    def change(file):
        shape = file[name].shape
        del file[name]
        make(file, name, shape)

    return change


def linked(name, link):
    """A link in the place of a dataset."""

    def change(file):
        del file[name]
        file[name] = link() if callable(link) else link

    return change


def attribute(name, value):
    """Another attribute of the root."""

    def change(file):
        if name in file.attrs:
            del file.attrs[name]
        if value is not None:
            file.attrs[name] = value() if callable(value) else value

    return change


def edited(old, new):
    """The grid's text with a piece replaced, in the description and in the identity."""

    def change(file):
        for name in ("config", "identity"):
            file.attrs[name] = file.attrs[name].replace(old, new)

    return change


def together(*changes):
    """Several changes."""

    def change(file):
        for one in changes:
            one(file)

    return change


def without(*names):
    """Datasets or attributes that are missing."""

    def change(file):
        for name in names:
            del (file if name in file else file.attrs)[name]

    return change


def virtual(name, source):
    """A dataset made of another file's."""

    def make(file, name, shape):
        layout = h5py.VirtualLayout(shape or (1,), "<f8")
        layout[...] = h5py.VirtualSource(source, "secret", shape or (1,))
        file.create_virtual_dataset(name, layout)

    return retyped(name, make)


def raw(name, target):
    """A dataset whose bytes are another file's."""

    def make(file, name, shape):
        file.create_dataset(name, shape or (1,), "u1", external=[(target, 0, h5py.h5f.UNLIMITED)])

    return retyped(name, make)


def one_text_many_times(file):
    """A million names that are one long text in the file: the heap is referred to again and again."""
    del file["schedule"]
    names = file.create_dataset("schedule", (1 << 20,), h5py.string_dtype("utf-8"))
    names[0] = "x" * 60_000
    file.flush()
    start = names.id.get_offset()
    with open("input.h5", "r+b") as content:
        content.seek(start)
        one = content.read(16)
        file.close()
        content.seek(start)
        content.write(one * (1 << 20))


def circle(file):
    """A group that holds itself."""
    file.create_group("circle")["back"] = file["/"]


def scale(name, other):
    """A dimension that names another dataset."""

    def change(file):
        axis = file[name].dims[0]
        for old in list(axis.values()):
            axis.detach_scale(old)
        if other not in file:
            file.create_dataset(other, (3,), "<f8")
        file[other].make_scale(other)
        axis.attach_scale(file[other])

    return change


def filled(name, value):
    """A dataset of one value."""

    def change(file):
        file[name][...] = value

    return change


def names(value):
    """The names of all schedules."""

    def change(file):
        file["schedule"][...] = [f"{value}{i}" for i in range(file["schedule"].size)]

    return change


def texts(file, name, shape):
    """A dataset of texts."""
    file.create_dataset(name, shape or (1,), data=np.full(shape or (1,), "1.0", object), dtype=h5py.string_dtype())


def references(kind):
    """A dataset of references."""

    def make(file, name, shape):
        dtype = h5py.regionref_dtype if kind == "region" else h5py.ref_dtype
        dataset = file.create_dataset(name, shape or (1,), dtype)
        if kind == "region":
            dataset[(0,) * dataset.ndim] = file["seed"].regionref[:2]
        else:
            dataset[(0,) * dataset.ndim] = file["seed"].ref

    return make


def of_type(dtype, **options):
    """A dataset of another type or layout."""

    def make(file, name, shape):
        file.create_dataset(name, shape or (1,), dtype, **options)

    return make


def scalar(file, name, shape):
    """A dataset without axes."""
    file.create_dataset(name, (), h5py.string_dtype() if "schedule" in name else "<f8")


def empty(file, name, shape):
    """A dataset without a place for a value."""
    file.create_dataset(name, data=h5py.Empty("<f8"))


def huge(file, name, shape):
    """A dataset of more numbers than there is room for."""
    file.create_dataset(name, (1 << 40,), "<f8", chunks=(1024,))


def group(file, name, shape):
    """A group."""
    file.create_group(name)["within"] = np.arange(3)


def kinds():
    """{what it is: function of an open file}; more than a hundred."""
    made = {}
    for name in (*NAMED, *SMALL, *ENDS):
        made[f"{name}: external link"] = linked(name, lambda: h5py.ExternalLink("other.h5", "/secret"))
        made[f"{name}: link to a pipe"] = linked(name, lambda: h5py.ExternalLink("pipe", "/secret"))
        made[f"{name}: bytes of another file"] = raw(name, "secret.txt")
    for name in (*RESULTS, "schedule", "seed"):
        made[f"{name}: soft link"] = linked(name, h5py.SoftLink("/level"))
        made[f"{name}: link to itself"] = linked(name, h5py.SoftLink(f"/{name}"))
        made[f"{name}: link to a file that is not there"] = linked(name, lambda: h5py.ExternalLink("nowhere.h5", "/x"))
        made[f"{name}: bytes of a pipe"] = raw(name, "pipe")
        made[f"{name}: made of another file"] = virtual(name, "other.h5")
        made[f"{name}: made of a pipe"] = virtual(name, "pipe")
        made[f"{name}: made of itself"] = virtual(name, ".")
        made[f"{name}: region references"] = retyped(name, references("region"))
        made[f"{name}: references"] = retyped(name, references("object"))
        made[f"{name}: texts"] = retyped(name, texts if name != "schedule" else of_type("<f8"))
        made[f"{name}: without axes"] = retyped(name, scalar)
        made[f"{name}: without a value"] = retyped(name, empty)
        made[f"{name}: huge"] = retyped(name, huge)
        made[f"{name}: a group"] = retyped(name, group)
        made[f"{name}: missing"] = without(name)
        made[f"{name}: bytes"] = retyped(name, of_type("S8"))
        made[f"{name}: records"] = retyped(name, of_type(np.dtype([("a", "<f8"), ("b", "<i4")])))
        made[f"{name}: compressed"] = retyped(name, of_type("<f8", compression="gzip", chunks=True))
    for name in ("test_loss", "stop_step", "curvature"):
        made[f"{name}: other end first"] = retyped(name, of_type(">f8"))
        made[f"{name}: other dimension"] = scale(name, "level" if name == "curvature" else "axis")
        made[f"{name}: unknown dimension"] = scale(name, "elsewhere")
    for size in (
        "999999999999x99999999",
        "-1x-1",
        "2x40 2x40",
        "0x0",
        "2x0",
        "1e9x3",
        "",
        "2x" + "9" * 4000,
        "\x1b[2J",
    ):
        made[f"problem_sizes {size[:24]!r}"] = attribute("problem_sizes", size)
    for value in (None, 5, np.arange(3), "", "[[[[", "x = " + "[" * 100_000, 'name = "a"', "\0", h5py.Empty("S1")):
        made[f"config {str(value)[:12]!r}"] = attribute("config", value)
    made["config: a text of 8 MB"] = attribute("config", lambda: "#" * (8 << 20))
    made["attributes: texts in a table"] = attribute("mine", lambda: np.full(1 << 12, "x" * 60_000, object))
    made["attributes: a reference"] = attribute("mine", None)
    for old, new in (
        ("count = 40", "count = 999999999999"),
        ("count = 40", "count = -1"),
        ("block_seeds = 7", "block_seeds = 1"),
        ("max_steps = 300", "max_steps = 10000000000"),
        ("points = 20", "points = 1000000"),
        ('kind = "nakkiran2020"', 'kind = "dataset"\nfile = "secret.txt"'),
        ('kind = "nakkiran2020"', 'kind = "gaussian"\nsamples = 99999999\ndimension = 99999999'),
        ('name = "annealed"', f'name = "{SECRET[:0]}\\u001b[2J\\u009b"'),
        ("[0.01, 1.4, 2.5]", "[" + "0.1, " * 20_000 + "0.1]"),
    ):
        made[f"grid: {new[:40]!r}"] = edited(old, new)
    for what, *changes in LIMITS:
        made[f"limits: {what}"] = together(*(edited(old, new) for old, new in changes))
    made["limits: a million problems"] = attribute("problem_sizes", " ".join(["2x1"] * 1_000_000))
    made["shard of nothing"] = attribute("shard", "999999999/1000000000")
    made["shard: no text"] = attribute("shard", 7)
    made["study that is none"] = attribute("study", "no such paper")
    made["study: no text"] = attribute("study", 3.0)
    made["format_version: a table"] = attribute("format_version", np.arange(3))
    made["accepted_other: control sequences"] = attribute("accepted_other", ESCAPES)
    made["a group that holds itself"] = circle
    made["a million names that are one"] = one_text_many_times
    for name, value in (
        *(("block_start", v) for v in (-1, 0, 1 << 62)),
        *(("block_done", v) for v in (2, 255)),
        *(("finished_at", v) for v in (np.nan, np.inf, -1.0)),
        ("recorded_seed", 1 << 40),
        ("seed", -5),
        ("level", np.nan),
        ("engine", 77),
        ("status", 200),
        ("wall_seconds", -np.inf),
    ):
        made[f"{name} = {value}"] = filled(name, value)
    for value in (ESCAPES, "=HYPERLINK(1)", "<script>alert(1)</script>", "\u202eright to left", "n" * 30_000, ""):
        made[f"names {value[:12]!r}"] = names(value)
    for key in (ESCAPES, "x" * 60_000, "a/b", ".", "\u202e"):
        made[f"an attribute called {key[:12]!r}"] = attribute(key, "value")
    made["a dataset with control sequences"] = lambda file: file.create_dataset(ESCAPES, data=np.arange(3))
    made["thousands of datasets"] = lambda file: [file.create_dataset(f"more{i}", data=i) for i in range(3000)]
    made["an object of a type"] = lambda file: file.__setitem__("type", np.dtype("<f8"))
    return made


COSINE, MOST = "learning_rate = 0.7\nsteps = 200", "max_steps = 300"
# Grids that would take long, or much, if they were believed: sums of eight thousand million rates, schedules, moments
# and levels by the million.
LIMITS = (
    ("long cosine", (COSINE, "learning_rate = 0.7\nsteps = 8000000000"), (MOST, "max_steps = 8000000000")),
    ("longest phase", ("steps = 1 }", "steps = 1000000000000000 }"), (MOST, "max_steps = 1000000000000000")),
    ("steps beyond all", (MOST, "max_steps = 1" + "0" * 400)),
    ("digits without end", (MOST, "max_steps = 1" + "0" * 5000)),
    ("a million moments", ("points = 20", "points = 1000000")),
    ("a thousand million moments", ("points = 20", "points = 1000000000")),
    ("all seeds recorded", ("seeds = 11", 'seeds = "all"')),
    (
        "a million schedules",
        (COSINE, f"learning_rate = {[k / 1e6 for k in range(1, 1001)]}\nsteps = {[*range(1, 991)]}"),
        (MOST, "max_steps = 1000"),
    ),
    (
        "a million methods",
        (
            "[run]",
            f"""[[optimizer]]\nkind = "momentum"\nmomentum = {[k / 1e3 for k in range(1, 400)]}
[[noise]]\nkind = "gradient"\nsigma = {[k / 1e3 for k in range(1, 400)]}\n\n[run]""",
        ),
    ),
    (
        "levels by the hundred thousand",
        ("train_loss = [", f"train_loss = {[1 + k / 1e6 for k in range(99_999)]}"[:-1] + ", "),
    ),
    ("a huge problem", ('kind = "nakkiran2020"', 'kind = "gaussian"\ntrain_rows = 1000000\ndimension = 1000000')),
    (
        "a million times a batch grows",
        (
            "[run]",
            """[[noise]]\nkind = "minibatch"\nbatch_size = 1
batch_growth = 1.0000001\nbatch_every = 1\n\n[run]""",
        ),
        (MOST, "max_steps = 900000"),
    ),
    ("names of megabytes", ('name = "small"', f'name = "{"x" * (3 << 20)}"')),
)

# What a run may have besides its own, or what only says something else in words. Whoever forges a seal may also say
# that other limits held; nothing in the file tells otherwise.
HARMLESS = (
    *("an attribute called", "attributes:", "a dataset with control", "thousands of", "accepted_other", "names "),
    *("grid: 'count = 99", "grid: 'block_seeds = 1'", "grid: 'max_steps = 1"),
)


# ---- laying down and trying ----


def note(name, line):
    """Add a line to a file."""
    with open(name, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def lay(kind, forged):
    """`input.h5`, from `sound.h5`; False where HDF5 itself refuses to make such a thing."""
    from simlr.store import file_format, seal
    from simlr.store.run_file import opened

    shutil.copy("sound.h5", "input.h5")
    plan = opened("sound.h5").plan
    later = [field.name for field in file_format.later_fields(plan)]
    try:
        with h5py.File("input.h5", "r+") as file:
            kinds()[kind](file)
    except (ValueError, TypeError, RuntimeError, OSError, KeyError, OverflowError) as error:
        note("not-made", f"{kind}: {error}")
        return False
    if forged:
        from simlr.store.metadata import Place

        with h5py.File("input.h5", "r", locking=False) as file:
            places = []
            for name in later:
                item = file.get(name) if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
                if (
                    isinstance(item, h5py.Dataset)
                    and not item.external
                    and not item.is_virtual
                    and item.shape is not None
                ):
                    offset = item.id.get_offset()
                    places += [Place(offset, item.shape, item.dtype)] if offset is not None else []
        descriptor = os.open("input.h5", os.O_RDWR)
        seal.write(descriptor, places)
        os.close(descriptor)
    return True


COMMANDS = (
    ("grid", ["--verify", "input.h5"]),
    ("report", ["input.h5", "--format", "csv,md", "--out", "made"]),
    ("merge", ["input.h5", "--out", "joined.h5"]),
    ("status", ["input.h5", "--quiet"]),
    ("grid", ["grid.toml", "--out", "input.h5", "--resume", "--quiet"]),
    ("grid", ["grid.toml", "--out", "input.h5", "--extend", "--seeds", "41", "--quiet"]),
)


def fault(module, arguments, kind):
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
    told, out = errors.getvalue(), output.getvalue()
    if status not in (0, 1, 2):
        return f"status {status}"
    in_lines = module == "status" or runs.is_told_by_lines(told)  # it has a table of the files, and no more to say
    if status and (not in_lines or len(told) > 2000):
        return f"status {status}, said {len(told)}: {told[:300]!r}"
    if SECRET in told + out or any(not c.isprintable() and c != "\n" for c in told + out):
        return f"said what it must not: {(told + out)[:300]!r}"
    passes = status == 0 and (arguments[0] == "--verify" or module == "merge")
    return "passes for a run" if passes and not kind.startswith(HARMLESS) else None


def main(folder, first, last, step):
    """Try every `step`-th of the kinds, both ways."""
    import simlr.grid.command
    import simlr.merge
    import simlr.report.__main__  # noqa: F401

    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    for number, kind in list(enumerate(kinds()))[int(first) : int(last) : int(step)]:
        for forged in (False, True):
            Path("at").write_text(f"{number} {int(forged)} {kind}")
            for name in ("made", "joined.h5"):
                shutil.rmtree(name, ignore_errors=True)
                Path(name).unlink(missing_ok=True)
            if not lay(kind, forged):
                continue
            for module, arguments in COMMANDS:
                signal.alarm(MOST_SECONDS)
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                found = fault(module, arguments, kind)
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.alarm(0)
                for made in Path("made").glob("*"):
                    if SECRET in made.read_text(encoding="utf-8", errors="replace"):
                        found = f"{made} holds a word of another file"
                if found:
                    note("faults", json.dumps([kind, forged, module, arguments[0], found]))
                note("tried", json.dumps([kind, forged, module]))


def prepare(folder):
    """What the files are made from, and what they would like to read."""
    import simlr

    with contextlib.chdir(folder):
        Path("grid.toml").write_text(runs.SMALL)
        simlr.run(runs.grid(), "sound.h5")
        Path("secret.txt").write_text(SECRET * 1000)
        with h5py.File("other.h5", "w") as file:
            file["secret"] = np.full(40, 123456789.0)
        os.mkfifo("pipe")


def search(folder, first=0, step=1):
    """(commands tried, faults) of every `step`-th kind; ends of the process are faults, too."""
    folder = Path(folder)
    prepare(folder)
    at, end, faults = first, len(kinds()), []
    while at < end:
        command = [sys.executable, __file__, str(folder), str(at), str(end), str(step)]
        done = subprocess.run(command, env=runs.environment(OPENBLAS_NUM_THREADS="1"), capture_output=True, text=True)
        if not done.returncode:
            break
        number, forged, kind = (folder / "at").read_text().split(" ", 2)
        at = int(number) + step
        faults.append([kind, bool(int(forged)), "process", f"ended with {done.returncode}: {done.stderr[-300:]}"])
    if (folder / "faults").exists():
        faults += map(json.loads, (folder / "faults").read_text(encoding="utf-8").splitlines())
    return len((folder / "tried").read_text().splitlines()), faults


if __name__ == "__main__":
    main(*sys.argv[1:])
