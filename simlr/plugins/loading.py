"""Running the file that a grid names, finding what installed packages offer, and telling their faults in one line."""

import functools
import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RunError, show, unknown
from ..inputs.files import reading, size_of
from .kinds import PAPER, PROBLEM, SCHEDULE, STUDY, Plugin, PluginKind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

IN_FILE = re.compile(r"(?s)(.+\.py):([^:/\\]*)")
# role -> the groups of entry points that offer it. A paper has the problem and the study of its name.
GROUPS = {SCHEDULE: ("simlr.schedules",), PROBLEM: ("simlr.problems", "simlr.papers"), STUDY: ("simlr.papers",)}
GROUPS[PAPER] = ("simlr.papers",)
SOURCE = "__simlr_source__"  # what a module has been run from, beside its own names
MOST_BYTES = 1 << 24
MOST_FILES = 2000  # of a package, whose digest is that of all of them
# Modules that this process has run, by the digest of their source and by where it lies.
_run: dict[tuple[str, str], ModuleType] = {}

# (object, the Plugin so far) -> what a grid works with, and what is known of it without its source
Adopt = Callable[[Any, Plugin], tuple[Any, dict]]


def is_in_file(kind: Any) -> bool:
    """Whether a kind names a Python file: "file.py:name"."""
    return isinstance(kind, str) and IN_FILE.fullmatch(kind) is not None


# ---- files ----


def from_file(role: str, key: str, kind: str, folder: str | Path, adopt: Adopt) -> PluginKind:
    """What "file.py:name" stands for; the file is run unless this process has done so before.

    Parameters
    ----------
    role
        SCHEDULE, PROBLEM or STUDY.
    key
        What messages call the table.
    kind
        As the grid has it; the file is relative to `folder`.
    folder
        That of the grid file.
    adopt
        Makes of the object what a grid works with; it refuses what is none.

    Raises
    ------
    InputError
        Where there is no such file or name in it, or it cannot be run.
    """
    match = IN_FILE.fullmatch(kind)
    if match is None:
        raise InputError(f"{key}: a kind from a file is 'file.py:name', got {show(kind)}")
    file, name = match.groups()
    path = Path(folder) / file
    module, digest = run_file(path)
    own = [known for known in vars(module) if not known.startswith("_")]
    if name not in own:
        raise unknown(file, name, own, "name")
    return adopted(Plugin(role, kind, digest, module=module), getattr(module, name), adopt)


def run_file(path: str | Path) -> tuple[ModuleType, str]:
    """The module of a Python file, and the SHA-256 of its source."""
    size_of(path, MOST_BYTES)
    with reading(path):
        source = Path(path).read_bytes()
    return run_source(source, str(path)), hashlib.sha256(source).hexdigest()


def run_source(source: bytes, path: str) -> ModuleType:
    """The module of a source; `path` is where it lies, for messages and for its __file__."""
    digest = hashlib.sha256(source).hexdigest()
    key = digest, path
    if key in _run:
        return _run[key]
    module = ModuleType(f"simlr_plugin_{digest[:16]}_{len(_run)}")
    module.__file__ = path
    vars(module)[SOURCE] = source
    sys.modules[module.__name__] = module  # where dataclasses and pickles look for it
    try:
        with told_as(Path(path).name, "cannot be loaded", path):
            exec(compile(source, path, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    _run[key] = module
    return module


def source_text(module: ModuleType) -> bytes:
    """The source that a module was run from."""
    return vars(module)[SOURCE]


def run_before(digest: str) -> ModuleType | None:
    """The module whose source has this digest, where this process has run it."""
    return next((module for (known, _), module in _run.items() if known == digest), None)


def adopted(plugin: Plugin, found: Any, adopt: Adopt) -> PluginKind:
    """The kind of an object that has been found."""
    entry, shape = adopt(found, plugin)
    return PluginKind(Plugin(plugin.role, plugin.name, plugin.digest, plugin.package, entry, plugin.module, shape))


@contextmanager
def told_as(where: str, what: str, path: str = "") -> Iterator[None]:
    """What goes wrong in somebody's code as an InputError of one line, which names the place.

    Parameters
    ----------
    where
        The file and the name of what is called.
    what
        What it does then: "fails", "cannot be loaded".
    path
        Its source, so that the line is told.
    """
    try:
        yield
    except (InputError, RunError, MemoryError) as error:
        if isinstance(error, InputError) and where not in str(error):
            raise InputError(f"{where}: {error}") from None
        raise
    except SyntaxError as error:
        raise InputError(f"{where}: {what}: line {error.lineno}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename == path]
        line = f"line {frames[-1].lineno}: " if frames else ""
        text = " ".join(str(error).split())
        raise InputError(f"{where}: {what}: {line}{type(error).__name__}: {show(text, 200)[1:-1]}") from error


def guarded(plugin: Plugin, what: str, function: Callable | None) -> Callable | None:
    """A function of a plug-in whose faults are told in one line; None where there is none."""
    if function is None:
        return None

    @functools.wraps(function)
    def called(*arguments, **options):
        with told_as(plugin.where, f"{what} fails", file_of(plugin)):
            return function(*arguments, **options)

    return called


def file_of(plugin: Plugin) -> str:
    """Where the source of a plug-in lies, as a traceback has it; "" where that is not known."""
    return getattr(plugin.module, "__file__", "") or ""


# ---- packages ----


def installed(role: str) -> "dict[str, list[EntryPoint]]":
    """{name: the entry points of that name} that installed packages offer; nothing of them is run."""
    from importlib.metadata import entry_points  # late: it takes as long as all of this module

    found: dict[str, list] = {}
    for group in GROUPS[role]:
        for point in entry_points(group=group):
            found.setdefault(point.name, []).append(point)
    return found


def from_package(role: str, key: str, name: str, adopt: Adopt) -> PluginKind | None:
    """What an installed package offers under a name; None where none does.

    Raises
    ------
    InputError
        Where two packages do, or it cannot be loaded.
    """
    points = installed(role).get(name, [])
    if not points:
        return None
    packages = [package_of(point) for point in points]
    if len(set(packages)) > 1:
        raise InputError(f"{key}: {name!r} is offered by packages {' and '.join(sorted(set(packages)))}; uninstall one")
    point, package = points[0], packages[0]
    plugin = Plugin(role, name, digest_of(point), package)
    with told_as(plugin.where, "cannot be loaded"):
        found = point.load()
    module = found if isinstance(found, ModuleType) else sys.modules.get(point.module)
    return adopted(Plugin(role, name, plugin.digest, package, module=module), found, adopt)


def package_of(point: "EntryPoint") -> str:
    """ "name version" of the package that an entry point is of."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.module.partition(".")[0]


def digest_of(point: "EntryPoint") -> str:
    """SHA-256 of the Python files of the package that an entry point leads to; nothing of it is run."""
    return _digest_of(point.module.partition(".")[0])


@functools.cache
def _digest_of(top):
    """The same of a package or a module by its name; once in a process, which does not load it twice either."""
    spec = importlib.util.find_spec(top)
    if spec is None:
        return ""
    folders = [Path(folder) for folder in spec.submodule_search_locations or []]
    files = [(path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")]
    files = sorted(files)[:MOST_FILES] if folders else [("", Path(spec.origin or ""))]
    found = hashlib.sha256()
    for name, path in files:
        data = path.read_bytes() if path.is_file() else b""
        found.update(f"{name}\n{len(data)}\n".encode() + data)
    return found.hexdigest()
