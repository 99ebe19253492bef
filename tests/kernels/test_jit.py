"""The jit policy in processes of its own: what the cache keeps, what it survives, and how sweeps are launched.

Each test lays out a package `lab`, how simlr compiles and two kernels, and imports it in fresh Pythons: so nothing
here waits for the real kernels to compile, and their cache is left alone.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simlr.kernels import intrinsics, jit, separate, trust

HELPER = """
from .jit import cell

@cell
def half(x):
    return x // 2
"""

KERNELS = """
import numba
from .jit import cell, launch, sweep
from .helper import half

@cell
def twice_half(x):
    return 2 * half(x)

@sweep
def count_threads(out):
    for i in numba.prange(out.size):
        out[i] = numba.get_num_threads()

def hits():
    return sum(twice_half.dispatcher.stats.cache_hits.values())
"""

CALL = "from lab.kernels import twice_half, hits; print(twice_half(7.0), hits())"


class Lab:
    """A package with kernels, a home for its cache, and Pythons that import it."""

    def __init__(self, folder):
        self.site = folder / "site"
        self.home = folder / "home"
        self.temporary = folder / "temporary"
        for path in (self.site / "lab", self.home, self.temporary):
            path.mkdir(parents=True)
        self.write("__init__.py", "")
        for module in (jit, separate, trust):
            source = Path(module.__file__)
            self.write(source.name, source.read_text(encoding="utf-8"))
        self.write("helper.py", HELPER)
        self.write("kernels.py", KERNELS)

    def write(self, name, text):
        """Write a file of the package."""
        (self.site / "lab" / name).write_text(text, encoding="utf-8")

    def start(self, code, **changes):
        """A fresh Python that runs the code; a change to None removes the variable from its environment."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))}
        plain |= {"HOME": str(self.home), "TMPDIR": str(self.temporary), "PYTHONPATH": str(self.site)}
        plain |= {"PYTHONDONTWRITEBYTECODE": "1", **changes}
        environment = {name: str(value) for name, value in plain.items() if value is not None}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=self.temporary, **pipes)

    def run(self, code, **changes):
        """Standard output of a fresh Python that must succeed."""
        return finished(self.start(code, **changes))

    def files(self, pattern, base=None):
        """The cache files below a base."""
        return sorted((base or self.home / ".cache/simlr").rglob(pattern))


def finished(process):
    """Standard output of a process that must succeed."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.strip()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def test_the_second_process_takes_compiled_code_from_the_cache(lab):
    assert lab.run(CALL) == "6.0 0"
    assert lab.run(CALL) == "6.0 1"
    assert not list(lab.site.rglob("__pycache__"))


def test_neither_the_place_nor_the_date_of_the_sources_matters(lab):
    assert lab.run(CALL) == "6.0 0"
    other = lab.site.with_name("elsewhere")
    shutil.copytree(lab.site, other)  # written now
    assert lab.run(CALL, PYTHONPATH=other) == "6.0 1"


def test_functions_of_the_user_keep_their_own_cache(lab):
    (lab.site / "mine.py").write_text("import lab.kernels, numba\n@numba.njit(cache=True)\ndef f(x):\n    return x\n")
    code = "import mine, numba; print(repr(numba.config.CACHE_DIR), mine.f.stats.cache_path)"
    assert lab.run(code) == f"'' {lab.site / '__pycache__'}"


@pytest.mark.slow
def test_an_edited_callee_is_not_stale(lab):
    assert lab.run(CALL) == "6.0 0"
    lab.write("helper.py", HELPER.replace("x // 2", "x // 2 + 1"))
    assert lab.run(CALL) == "8.0 0"
    lab.write("helper.py", HELPER)
    assert lab.run(CALL) == "6.0 1"


@pytest.mark.slow
def test_read_only_install_without_home_uses_a_private_temporary_directory(lab):
    (lab.site / "lab").chmod(0o555)
    for hits in (0, 1):
        assert lab.run(CALL, HOME="/dev/null") == f"6.0 {hits}"
    (private,) = lab.temporary.iterdir()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


WHERE = "from lab.jit import cache_directory; print(cache_directory())"
PLACES = {"NUMBA_CACHE_DIR": "simlr", "XDG_CACHE_HOME": "simlr", "HOME": ".cache/simlr"}


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("variable", PLACES)
def test_code_below_a_folder_that_others_can_write_to_is_never_loaded(variable, depth, lab, tmp_path):
    """Whoever can rename a folder on the way puts another one in its place: not this one, nor one below it."""
    shared = tmp_path / "shared"
    chosen = shared.joinpath(*["mine"] * depth)
    chosen.mkdir(parents=True)
    shared.chmod(0o777)
    used = lab.run(WHERE, **{variable: chosen})
    assert not used.startswith(str(shared)) and used != "None"
    shared.chmod(0o755)
    assert lab.run(WHERE, **{variable: chosen}).startswith(str(chosen / PLACES[variable]))
    shared.chmod(0o1777)  # where each may move only what is his own, a folder of our own is made
    assert lab.run(WHERE, **{variable: chosen}).startswith(str(chosen / PLACES[variable]))
    assert stat.S_IMODE((chosen / PLACES[variable]).stat().st_mode) == 0o700


def test_a_fresh_folder_of_the_users_own_is_taken(lab, tmp_path):
    used = lab.run(WHERE, NUMBA_CACHE_DIR=tmp_path / "new/and/deep")
    assert used.startswith(str(tmp_path / "new/and/deep/simlr"))


def test_a_link_through_a_folder_that_others_can_write_to_is_not_followed(lab, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/link").symlink_to(tmp_path / "mine")
    (tmp_path / "first").symlink_to("shared/link")
    assert lab.run(WHERE, NUMBA_CACHE_DIR=tmp_path / "first").startswith(str(tmp_path / "first"))
    (tmp_path / "shared").chmod(0o777)
    assert not lab.run(WHERE, NUMBA_CACHE_DIR=tmp_path / "first").startswith(str(tmp_path / "first"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_what_belongs_to_another_user_is_refused(lab, tmp_path):
    for name in ("folder", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("mine")
    for name in ("folder", "link"):
        os.chown(tmp_path / name, 12345, 0, follow_symlinks=False)
        assert not lab.run(WHERE, NUMBA_CACHE_DIR=tmp_path / name).startswith(str(tmp_path / name))
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    (tmp_path / "sticky/simlr").mkdir(mode=0o700)
    os.chown(tmp_path / "sticky/simlr", 12345, 0)
    assert not lab.run(WHERE, NUMBA_CACHE_DIR=tmp_path / "sticky").startswith(str(tmp_path / "sticky"))


@pytest.mark.parametrize(("mode", "group", "ok"), [(0o775, 0, True), (0o775, 54321, False), (0o755, 54321, True)])
@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_folder_of_a_group(mode, group, ok, tmp_path):
    (tmp_path / "folder").mkdir()
    os.chown(tmp_path / "folder", 0, group)
    (tmp_path / "folder").chmod(mode)
    if ok:
        trust.check(tmp_path / "folder")
    else:
        with pytest.raises(PermissionError, match="may be written to by others"):
            trust.check(tmp_path / "folder")


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="leads nowhere"):
        trust.check(tmp_path / "circle")


FORKING = """
import os, sys, numpy
from lab.jit import launch, set_threads
from lab.kernels import count_threads
out = numpy.zeros(4)
launch(count_threads, out)
pid = os.fork()
if not pid:
    try:
        launch(count_threads, out)
        print("computed")
    except RuntimeError as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(
    ("layer", "said"),
    [("omp", "start processes by spawn, as multiprocessing.get_context('spawn') does"), ("workqueue", "computed")],
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_was_forked_after_a_launch_says_so_at_once(layer, said, lab):
    output = lab.run(FORKING, NUMBA_THREADING_LAYER=layer).splitlines()
    assert output[0].endswith(said) and output[1:] == ["0"]


def test_a_temporary_directory_that_others_can_write_to_is_refused(lab):
    private = lab.temporary / f"simlr-{os.getuid()}"
    private.mkdir()
    private.chmod(0o777)
    code = "from lab.jit import cache_directory; print(cache_directory())"
    assert lab.run(code, HOME="/dev/null") == "None"
    private.rmdir()
    private.symlink_to(lab.home, target_is_directory=True)
    assert lab.run(code, HOME="/dev/null") == "None"


def test_without_any_place_for_a_cache_all_works_and_one_line_says_so(lab):
    process = lab.start(f"import tempfile; tempfile.tempdir = '/dev/null'; {CALL}", HOME="/dev/null")
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output.strip()) == (0, "6.0 0")
    assert len(errors.splitlines()) == 1
    assert "NUMBA_CACHE_DIR" in errors


@pytest.mark.slow
def test_numba_cache_dir_is_used_where_it_can_be(lab, tmp_path):
    chosen = tmp_path / "chosen"
    in_tree = {"NUMBA_CACHE_LOCATOR_CLASSES": "InTreeCacheLocator"}
    assert lab.run(CALL, NUMBA_CACHE_DIR=chosen, **in_tree) == "6.0 0"
    assert lab.files("*.nbi", chosen)
    assert not lab.files("*")
    assert lab.run(CALL, NUMBA_CACHE_DIR="/dev/null/cache") == "6.0 0"
    assert lab.files("*.nbi")


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
def test_truncated_cache_files_are_replaced(lab, pattern):
    lab.run(CALL)
    for path, part in zip(lab.files(pattern), (0.5, 0.0), strict=True):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    assert lab.run(CALL) == "6.0 0"
    assert lab.run(CALL) == "6.0 1"


@pytest.mark.slow
def test_code_for_other_types_is_never_run(lab):
    """Two processes that save at once may leave one's code under the other's name."""
    both = "from lab.kernels import twice_half, hits; print(twice_half(7.0), twice_half(7), hits())"
    assert lab.run(both) == "6.0 6 0"
    first, second = lab.files("kernels.twice_half*.nbc")
    second.write_bytes(first.read_bytes())
    assert lab.run(both) == "6.0 6 1"
    assert lab.run(both) == "6.0 6 2"


@pytest.mark.slow
def test_a_full_disk_costs_only_the_cache(lab):
    pytest.importorskip("resource")
    limit = "import lab.kernels, resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); "
    assert lab.run(limit + CALL) == "6.0 0"
    assert lab.run(CALL) == "6.0 0"
    assert lab.run(CALL) == "6.0 1"


@pytest.mark.slow
def test_eight_cold_starts_at_once(lab):
    processes = [lab.start(CALL.replace("7.0", value)) for value in ("7.0", "7") * 4]
    found = [finished(process).split()[0] for process in processes]
    assert found == ["6.0", "6"] * 4
    assert lab.run(CALL).split()[0] == "6.0"


def test_numba_disable_jit_runs_plain_python(lab):
    assert lab.run("from lab.kernels import *; print(twice_half(7.0), half, launch(half, 3))", NUMBA_DISABLE_JIT="1")
    assert not lab.files("*.nbi")


LAUNCHES = """
import threading, numba, numpy
from lab.kernels import count_threads, launch
from lab.jit import set_threads, threads

def ask(seen):
    for _ in range(50):
        out = numpy.zeros(64, dtype=numpy.int64)
        launch(count_threads, out)
        seen.update(out.tolist())

def ask_from_four_threads():
    seen = set()
    workers = [threading.Thread(target=ask, args=(seen,)) for _ in range(4)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    return seen

print(threads())
for count in (1, 2, 99, None):
    set_threads(count)
    print(ask_from_four_threads(), threads())
print(numba.threading_layer())
"""


def test_launches_from_several_threads_take_turns_and_use_the_chosen_threads(lab):
    """Numba's workqueue aborts where two launches meet, and keeps a number of threads for each calling thread."""
    output = lab.run(LAUNCHES, NUMBA_NUM_THREADS=3, NUMBA_THREADING_LAYER="workqueue")
    assert output.splitlines() == ["3", "{1} 1", "{2} 2", "{3} 3", "{3} 3", "workqueue"]


def test_the_digest_is_that_of_names_and_contents(lab, tmp_path):
    total = hashlib.sha256()
    for path in sorted((lab.site / "lab").glob("*.py")):
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    ask = "from lab.jit import digest; print(digest())"
    assert lab.run(ask) == total.hexdigest()[:16]
    for path in (lab.site / "lab").glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert lab.run(ask) == total.hexdigest()[:16]
    lab.write("helper.py", HELPER + "# another")
    assert lab.run(ask) != total.hexdigest()[:16]
    assert len(jit.digest()) == 16


def test_only_our_old_directories_are_removed(tmp_path):
    name = jit._directory_name()
    old, young, foreign = tmp_path / name, tmp_path / name.replace("numba", "numba9"), tmp_path / "precious"
    long_ago = time.time() - jit.STALE_SECONDS - 60
    for path in (old, young, foreign):
        (path / "sub").mkdir(parents=True)
    for path in (old, foreign):
        os.utime(path, (long_ago, long_ago))
    jit._remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, foreign])
    jit._remove_stale(tmp_path / "missing")


def test_a_new_directory_removes_the_old_and_use_keeps_it(tmp_path, monkeypatch):
    """Two checkouts that take turns keep their directories: what is opened counts as young."""
    names = iter(["0" * 16 + "-a-numba0-" + "0" * 8, "1" * 16 + "-a-numba0-" + "0" * 8] * 2)
    monkeypatch.setattr(jit, "_directory_name", lambda: next(names))
    long_ago = time.time() - jit.STALE_SECONDS - 60
    first = jit._opened(tmp_path)
    os.utime(first, (long_ago, long_ago))
    second = jit._opened(tmp_path)
    assert sorted(tmp_path.iterdir()) == [second]
    first = jit._opened(tmp_path)
    os.utime(second, (long_ago, long_ago))
    assert jit._opened(tmp_path) == second
    assert second.stat().st_mtime > long_ago + 1
    assert sorted(tmp_path.iterdir()) == [first, second]


class Pair(NamedTuple):
    """Arrays as kernels are given them."""

    x: np.ndarray
    y: np.ndarray


def _add(pair, n):
    """A sum over two arrays in turns, as the kernels exchange what is now and what comes after."""
    now, after = pair.x, pair.y
    total = 0.0
    for k in range(n):
        total += now[k]
        now, after = after, now
    return total


@pytest.mark.parametrize(("options", "counted"), [({}, True), (jit.UNCOUNTED, False)])
def test_a_cell_counts_no_references(options, counted):
    """Numba may rename or drop the option, or count in spite of it. Compiled here: cached code shows no IR."""
    function = numba.njit(**jit.OPTIONS, **options)(_add)
    assert function(Pair(np.full(3, 1.0), np.full(3, 2.0)), 3) == 4.0
    (signature,) = function.signatures
    text = function.inspect_llvm(signature)
    # The wrapper that Python calls counts what it unpacks, so look at the function itself.
    name = function.overloads[signature].fndesc.llvm_func_name
    begin = next(place for place in re.finditer(r"^define .*$", text, re.M) if f"@{name}(" in place[0]).start()
    body = text[begin : text.index("\n}", begin)]
    assert ("NRT_incref" in body) is counted


@jit.cell
def _fused(a, b, c):
    return intrinsics.fma(a, b, c)


finite = st.floats(-1e100, 1e100, allow_subnormal=False)


@settings(deadline=None)
@given(a=finite, b=finite, c=finite)
def test_fma_rounds_once(a, b, c):
    expected = float(Fraction(a) * Fraction(b) + Fraction(c))
    assert _fused(a, b, c) == expected
    assert intrinsics._fma_in_python(a, b, c) == expected
    # cancellation shows the product's second half, which two roundings lose
    assert _fused(a, b, -(a * b)) == float(Fraction(a) * Fraction(b) - Fraction(a * b))


@pytest.mark.parametrize("values", [(1e200, 1e200, 0.0), (1e200, -1e200, 1.0), (-0.0, 1.0, -0.0), (-0.0, 1.0, 0.0)])
def test_fma_at_the_edges(values):
    assert repr(_fused(*values)) == repr(intrinsics._fma_in_python(*values))
