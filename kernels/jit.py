"""How simlr compiles: the only file that names Numba's options, chooses the cache and launches threads.

`cell` compiles a function, `inline` one that always goes into its caller, `worker` one that allocates or calls what
does, and `sweep` one with a parallel loop. A sweep is run by `launch`, which holds the one lock: two parallel launches
at once abort the process under Numba's workqueue layer. Never fork after a launch, since OpenMP ends the child: start
processes by spawn.

Compiled code is kept in a directory of its own for every state of the kernel sources. Numba looks only at the file of
the function it loads, so with one directory for all states a caller would keep the old code of an edited callee. Where
the sources lie does not matter: a clone, or a new environment, takes the code that another one compiled.
Nothing that happens to that directory makes an import or a call fail; at worst each start compiles anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import threading
import time
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding
from numba.core import caching

from . import trust
from .separate import Kernel

# Where another process has one of the cores, OpenMP's threads would wait for each other in turns, spinning: two were
# half as fast as one. Read when OpenMP is loaded, which is at the first launch; what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
OPTIONS = {"nogil": True, "fastmath": False, "error_model": "numpy", "no_cfunc_wrapper": True}
# Numba's switch for code without its runtime, NRT, which counts references. It is no documented option, and there is no
# other that does the same: a test says when it is gone.
UNCOUNTED = {"_nrt": False}
STALE_SECONDS = 30 * 86400
SOURCES = Path(__file__).absolute().parent

_log = logging.getLogger("simlr.kernels")
_launching = threading.Lock()
_tried = threading.local()  # .count: how many threads this one has been seen to get
_wanted_threads = None


class _Forked:
    """Stands for the lock of launches in a process that was forked after one: OpenMP's threads are not in it."""

    def __enter__(self):
        raise RuntimeError(
            "this process was forked from one in which simlr had computed, and has none of its threads: start "
            "processes by spawn, as multiprocessing.get_context('spawn') does"
        )

    def __exit__(self, *error):
        """Never called."""


def _after_fork():
    """A lock that was held when the process was forked is never given back in it."""
    global _launching
    _launching = threading.Lock()
    # Asked without loading it: nothing may be imported in the midst of a fork.
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if getattr(parallel, "_is_initialized", False) and numba.threading_layer() == "omp":
        _launching = _Forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---- what the compiled code depends on ----


@functools.cache
def digest():
    """`digest_of` all kernel sources."""
    return digest_of(SOURCES)


def digest_of(folder, parts=(".",)):
    """16 hexadecimal digits of the SHA-256 of the sources in parts of a folder, names and contents.

    The same on every machine.
    """
    total = hashlib.sha256()
    for name in sorted(path.relative_to(folder).as_posix() for part in parts for path in (folder / part).rglob("*.py")):
        content = (folder / name).read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()[:16]


def processor():
    """The processor's name and features, as the compiler sees them."""
    try:
        return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM does not know the features of every processor
        return binding.get_host_cpu_name(), ""


def _directory_name():
    """The name of the cache directory: sources, Python, Numba, and a hash of the processor and compiler switches.

    Machines that share a home start at once, and Numba's index can lose a race between two processors: with a
    directory each they cannot meet.
    """
    switches = [str(getattr(numba.config, name, "")) for name in ("CPU_NAME", "CPU_FEATURES", "OPT", "BOUNDSCHECK")]
    machine = hashlib.sha256(repr((processor(), llvmlite.__version__, switches)).encode()).hexdigest()[:8]
    return f"{digest()}-{sys.implementation.cache_tag}-numba{numba.__version__}-{machine}"


# ---- where it is kept ----


def _bases():
    """The places to try for the cache, the best first."""
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR) / "simlr"
    if os.environ.get("XDG_CACHE_HOME"):
        yield Path(os.environ["XDG_CACHE_HOME"]) / "simlr"
    with contextlib.suppress(RuntimeError):  # no home at all
        yield Path.home() / ".cache" / "simlr"
    with contextlib.suppress(OSError):  # no temporary directory at all
        yield _private_temporary()


def _private_temporary():
    """A directory in the shared temporary one that only this user can have written; OSError where there is none.

    Loading a cache file runs what is in it, so a directory that somebody else laid out beforehand is refused.
    """
    user = os.getuid() if hasattr(os, "getuid") else "user"
    path = Path(tempfile.gettempdir()) / f"simlr-{user}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and (found.st_uid != user or found.st_mode & 0o077)):
        raise PermissionError(f"{path} is not private")
    return path


def _opened(base):
    """The cache directory below `base`, made, looked at and written to for trial; OSError where one of it fails."""
    path = base / _directory_name()
    trust.check(next(place for place in (base, *base.parents) if os.path.lexists(place)), is_shared=True)
    base.parent.mkdir(parents=True, exist_ok=True)
    base.mkdir(mode=0o700, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        with contextlib.suppress(OSError):
            os.utime(path)  # the mark that it is still in use
    else:
        _remove_stale(base)
    trust.check(path)
    with tempfile.TemporaryFile(dir=path) as probe:
        probe.write(b"probe")
    return path


def _remove_stale(base):
    """Remove what other states of the sources left in `base` and nobody has opened for a month; never fails."""
    ours = re.compile(r"[0-9a-f]{16}-.+-numba.+-[0-9a-f]{8}")
    limit = time.time() - STALE_SECONDS
    with contextlib.suppress(OSError):
        for path in base.iterdir():
            if ours.fullmatch(path.name) and path.stat().st_mtime < limit:
                shutil.rmtree(path, ignore_errors=True)


@functools.cache
def cache_directory():
    """The directory of the compiled code, as a Path; None where no place can be written to."""
    for base in _bases():
        try:
            return _opened(base.absolute())
        except OSError as error:
            _log.debug("no cache in %s: %s", base, error)
    _log.warning("found no place to keep compiled code, so each start compiles anew; NUMBA_CACHE_DIR can name one")
    return None


class SteadyCache:
    """Numba's cache of one function, with this difference: no state of the disk makes a call fail.

    A file that cannot be loaded, such as one cut short by a crash, is thrown away and compiled again; where nothing
    can be saved, nothing is.
    """

    def __init__(self, cache):
        self._cache = cache

    @property
    def cache_path(self):
        """The directory of this function's files."""
        return self._cache.cache_path

    def load_overload(self, signature, target_context):
        """The compiled code for these argument types, or None."""
        try:
            loaded = self._cache.load_overload(signature, target_context)
        except Exception as error:  # a broken pickle may raise anything
            _log.info("compiled code in %s was unreadable: %s", self.cache_path, error)
            self._forget()
            return None
        # Two processes that save two signatures at once may both take file 1: what it holds is not what was asked for.
        if loaded is None or tuple(loaded.signature.args) != tuple(getattr(signature, "args", signature)):
            return None
        # Numba hands what has to be loaded first on to those that code is inlined into, but forgets it in loaded code.
        loaded.library._reload_init.update(loaded.reload_init)
        return loaded

    def save_overload(self, signature, data):
        """Save compiled code, or give up saving for this process."""
        try:
            self._cache.save_overload(signature, data)
        except Exception as error:
            _log.warning("could not save compiled code in %s: %s", self.cache_path, error)
            self._forget()
            self.disable()

    def _forget(self):
        """Empty the index, so that nothing half-written is ever loaded."""
        try:
            self.flush()
        except Exception:
            self.disable()

    def flush(self):
        """Forget this function's compiled code."""
        self._cache.flush()

    def enable(self):
        """Load and save from now on."""
        self._cache.enable()

    def disable(self):
        """Neither load nor save from now on."""
        self._cache.disable()


class Locator(caching.UserProvidedCacheLocator):
    """Numba's place for a function's compiled code, which for ours goes by where its source lies among the sources.

    The directory is one of their state, so neither where they lie on the disk nor their dates decide anything.
    """

    @classmethod
    def get_suitable_cache_subpath(cls, py_file):
        """The folder below the cache directory."""
        folder = Path(py_file).absolute().parent
        if folder.is_relative_to(SOURCES):
            return folder.relative_to(SOURCES).as_posix()
        return super().get_suitable_cache_subpath(py_file)

    def get_source_stamp(self):
        """What the compiled code was made from."""
        return digest() if Path(self._py_file).absolute().is_relative_to(SOURCES) else super().get_source_stamp()


@contextlib.contextmanager
def _cache_settings(directory):
    """Numba's cache settings as we want them, for the duration; the user's own functions see theirs.

    Numba chooses a function's directory when it is decorated. Naming the one locator keeps it from falling back on a
    directory that all states of the sources share.
    """
    wanted = {"CACHE_DIR": str(directory), "CACHE_LOCATOR_CLASSES": f"{__name__}.{Locator.__name__}"}
    before = {name: getattr(numba.config, name, "") for name in wanted}
    try:
        for name, value in wanted.items():
            setattr(numba.config, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(numba.config, name, value)


def _enable_cache(dispatcher, kept_in):
    """Let a dispatcher load and save its code in the named part of our directory, if there is one."""
    directory = cache_directory()
    if directory is None:
        return
    try:
        with _cache_settings(directory / kept_in):
            dispatcher.enable_caching()
    except (OSError, RuntimeError) as error:  # Numba's words for "not a file" and "not writable"
        _log.debug("no cache for %s: %s", dispatcher, error)
    else:
        dispatcher._cache = SteadyCache(dispatcher._cache)


# ---- compiling ----


def _dispatcher(function, kept_in="", **options):
    """Numba's function under our options, with its cache in the named part of our directory."""
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    _enable_cache(dispatcher, kept_in)
    return dispatcher


def _kernel(function, **options):
    """A `Kernel` of the function under our options; the function itself where NUMBA_DISABLE_JIT is set."""
    if numba.config.DISABLE_JIT:
        return function
    inner = _dispatcher(function, no_cpython_wrapper=True, **options)
    separate = not options.get("forceinline", False)
    return Kernel(function, inner, lambda: _dispatcher(function, "called", **options), separate)


def cell(function):
    """Decorator: compile one cell's work, IEEE-strict and without the GIL; callable from Python and from kernels.

    It is compiled once, and kernels call it by address.

    It may not allocate, nor call what does, and references to its arrays are not counted, nor those to the arrays of
    its named tuples: whoever calls it holds them meanwhile. Each count is an atomic addition, and two threads that
    called a short function with twenty arrays spent most of their time on them.
    """
    return _kernel(function, **UNCOUNTED)


def inline(function):
    """Decorator: the same, inlined into each caller and compiled with it, as a call puts its arguments on the stack."""
    return _kernel(function, forceinline=True, **UNCOUNTED)


def worker(function):
    """Decorator: the same for what allocates arrays, or calls what does, and so is called once a task."""
    return _kernel(function)


def sweep(function):
    """Decorator: the same with numba.prange over independent cells in parallel. Call it through `launch`."""
    return function if numba.config.DISABLE_JIT else _dispatcher(function, parallel=True)


# ---- running ----


def set_threads(count):
    """Use `count` threads for every launch from now on, at most as many as Numba has; None for all of them."""
    global _wanted_threads
    _wanted_threads = count


def threads():
    """The number of threads that a launch uses."""
    available = numba.config.NUMBA_NUM_THREADS
    return available if _wanted_threads is None else max(1, min(_wanted_threads, available))


def _try_threads(count):
    """Start so many threads in all, and end them; RuntimeError where this user may have no more.

    OpenMP's runtime would end the process instead, with a line of its own. It keeps threads for each thread that
    launches, so each tries once.
    """
    if getattr(_tried, "count", 0) >= count:
        return
    gate, started = threading.Event(), []
    try:
        for _ in range(count - 1):
            started.append(threading.Thread(target=gate.wait))
            started[-1].start()
    finally:
        gate.set()
        for thread in started:
            if thread.ident is not None:
                thread.join()
    _tried.count = count


def launch(sweep_function, *arguments):
    """Call a sweep, one at a time in this process, with the threads that `set_threads` chose.

    Numba keeps the number of threads for each calling thread by itself, so it is set here, not once at the start.
    """
    with _launching:
        if not numba.config.DISABLE_JIT:
            _try_threads(threads())
            numba.set_num_threads(threads())
        return sweep_function(*arguments)


def is_warm():
    """Whether compiled code of this state of the sources lies in the cache, so that a run starts at once."""
    directory = cache_directory()
    return directory is not None and any(Path(directory).rglob("*descend_sweep*.nbc"))
