"""The rules of the house: who may import whom, how long things may be, and that simlr is found wherever it lies."""

import ast
import configparser
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import simlr

ROOT = Path(__file__).resolve().parent.parent
# From top to bottom: a folder imports only what stands below it, anywhere in a file, in functions too. The single
# files of the last row stand on the ground.
LAYERS = (
    *(
        "__main__",
        "bench",
        "papers",
        "merge",
        "status",
        "grid",
        "interactive",
        "laws",
        "report",
        "analysis",
        "engine",
        "store",
        "plan",
        "config",
        "problems",
    ),
    *("schedules", "claims", "plugins", "kernels", "inputs", "cli"),
    *("resources", "text", "platform", "errors", "simlr"),
)
# Importing any other module loads neither Numba nor the kernels, however long the chain of imports.
MAY_LOAD_NUMBA = ("simlr.kernels", "simlr.engine", "simlr.grid.cluster", "simlr.bench")
# package -> the only folders or files that may import it.
OWNED_PACKAGES = {
    "h5py": ("simlr.store", "simlr.inputs.arrays"),  # run files; and other people's
    "numba": ("simlr.kernels", "simlr.engine.sweeps"),  # which counts what is compiled
    "llvmlite": ("simlr.kernels",),
    "tqdm": ("simlr.cli.progress",),
    "argcomplete": ("simlr.cli.completion",),
    "matplotlib": ("simlr.report.figures.importing", "simlr.report.figures.style"),
    "jax": ("simlr.bench",),
    "scipy": ("simlr.engine.optimal.search", "simlr.laws.fitting"),
    "pandas": ("simlr.inputs.columnar",),
    "pyarrow": ("simlr.inputs.columnar",),
    "dask": ("simlr.grid.cluster",),
    "distributed": ("simlr.grid.cluster",),
    # What not every system has.
    "fcntl": ("simlr.platform",),
    "resource": ("simlr.platform",),
    "msvcrt": ("simlr.platform",),
    "_winapi": ("simlr.platform",),
}
# Nor these; simlr.platform alone uses them.
OF_ONE_SYSTEM = {
    *("pread", "pwrite", "fsync", "fdatasync", "posix_fadvise", "sched_getaffinity", "sysconf", "major", "minor"),
    *("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "st_blocks", "fork", "SIGTERM", "SIGKILL", "SIGBREAK"),
}
HEAVY = ("numba", "llvmlite", "tqdm", "matplotlib", "xarray", "jax")
# What compiles, and how: kernels/jit.py alone says.
JIT_FILE = Path("kernels/jit.py")
JIT_NAMES = {"jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc"}
JIT_OPTIONS = {"fastmath", "nogil", "parallel", "error_model", "boundscheck", "forceinline", "inline", "cache"}

LONGEST_FUNCTION = 45
LONGEST_FILE = 400
MOST_FILES = 18
MOST_ARGUMENTS, MOST_ARGUMENTS_OF_A_CELL = 10, 12


class Import(NamedTuple):
    """One imported name: the dotted name, its line, and whether it is loaded together with the module."""

    name: str
    line: int
    at_module_level: bool


def sources(*folders):
    """The Python files below the folders, relative to the root."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in found)


CODE = sources("simlr", "kernels")
of_each_file = pytest.mark.parametrize("path", CODE, ids=str)


@cache
def tree_of(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def dotted(path):
    """The module's name: kernels/jit.py is simlr.kernels.jit."""
    parts = path.with_suffix("").parts
    parts = parts if parts[0] == "simlr" else ("simlr", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(name):
    """simlr.kernels.jit -> kernels, simlr -> simlr; None for a name that is not ours."""
    pieces = name.split(".")
    if pieces[0] != "simlr":
        return None
    return pieces[1] if len(pieces) > 1 else "simlr"


def is_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def walk(node, at_module_level=True):
    """Every node below, with whether it runs while the module is imported."""
    for child in ast.iter_child_nodes(node):
        if is_for_type_checkers(child):
            continue
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield child, at_module_level
        yield from walk(child, at_module_level and not inside)


def base_of(node, path):
    """The package or module that a `from ... import` names, its dots resolved."""
    if not node.level:
        return node.module
    package = dotted(path).split(".")
    up = node.level - (path.name == "__init__.py")
    package = package[: len(package) - up]
    return ".".join([*package, node.module] if node.module else package)


@cache
def imports_of(path):
    """The imports of a file, at any depth; of `from simlr import x`, simlr.x."""
    found = []
    for node, at_module_level in walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{base_of(node, path)}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [Import(name, node.lineno, at_module_level) for name in names]
    return found


def at(path, line, text):
    return f"{path}:{line}: {text}"


MODULES = {dotted(path): path for path in CODE}


def module_of(name):
    """The module that an imported name belongs to: of `simlr.kernels.jit.digest` simlr.kernels.jit."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


@of_each_file
def test_imports_follow_the_direction_of_flow(path):
    part = part_of(dotted(path))
    assert part in LAYERS, f"{path} is in no folder of LAYERS"
    below = LAYERS[LAYERS.index(part) :]
    wrong = [
        at(path, found.line, f"{part} may not import {found.name}: it does not stand below")
        for found in imports_of(path)
        if part_of(module_of(found.name)) not in {*below, None}
    ]
    assert not wrong, "\n".join(wrong)


def test_no_import_leads_back():
    """Kahn: take away, again and again, what imports nothing that is left; what then remains is a circle."""
    left = {name: {module_of(found.name) for found in imports_of(path)} - {name} for name, path in MODULES.items()}
    while free := {name for name, used in left.items() if not used & left.keys()}:
        left = {name: used for name, used in left.items() if name not in free}
    assert not left


def test_kernels_take_arrays_and_import_nothing_else_of_ours():
    wrong = [at(path, f.line, f.name) for path in CODE if path.parts[0] == "kernels" for f in imports_of(path)
             if part_of(f.name) not in {None, "kernels"}]  # fmt: skip
    assert not wrong, "\n".join(wrong)


@of_each_file
def test_the_public_face_is_not_used_inside(path):
    """`import simlr` inside simlr hides which part is used."""
    wrong = [
        at(path, found.line, "import the module that you need") for found in imports_of(path) if found.name == "simlr"
    ]
    assert not wrong, "\n".join(wrong)


def is_within(name, places):
    return any(name == place or name.startswith(place + ".") for place in places)


@of_each_file
def test_packages_are_imported_by_their_owners(path):
    wrong = [
        at(path, found.line, f"only {', '.join(OWNED_PACKAGES[package])} may import {package}")
        for found in imports_of(path)
        for package in [found.name.split(".")[0]]
        if package in OWNED_PACKAGES and not is_within(dotted(path), OWNED_PACKAGES[package])
    ]
    assert not wrong, "\n".join(wrong)


@of_each_file
def test_one_module_asks_which_system_it_is(path):
    used = [
        at(path, node.lineno, f"{node.attr} is not on every system: simlr.platform has it")
        for node, _ in walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in OF_ONE_SYSTEM
        if node.attr == "st_blocks" or ast.unparse(node.value) in ("os", "signal")
    ]
    assert path == Path("simlr/platform.py") or not used, "\n".join(used)


LIGHT = [name for name in MODULES if not is_within(name, MAY_LOAD_NUMBA)]


def test_light_modules_load_no_numba(tmp_path):
    """What they import as they are imported, and so on; found by trial."""
    code = f"import importlib, sys; [importlib.import_module(name) for name in {LIGHT}]"
    code += f"; print({set(HEAVY)} & set(sys.modules))"
    assert python("-c", code, path=ROOT, cwd=tmp_path).strip() == "set()"


@of_each_file
def test_compiling_is_the_business_of_one_file(path):
    if path == JIT_FILE:
        return
    wrong = [
        at(path, found.line, f"take it from kernels/jit.py, not {found.name}")
        for found in imports_of(path)
        if found.name.split(".")[0] == "numba" and found.name.split(".")[-1] in JIT_NAMES
    ]
    for node, _ in walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"numba", "nb"} and node.attr in JIT_NAMES:
            wrong.append(at(path, node.lineno, f"take it from kernels/jit.py, not {ast.unparse(node)}"))
        for decorator in getattr(node, "decorator_list", []):
            options = {keyword.arg for keyword in getattr(decorator, "keywords", [])} & JIT_OPTIONS
            if options and path.parts[0] == "kernels":
                wrong.append(at(path, decorator.lineno, f"set in kernels/jit.py alone: {', '.join(sorted(options))}"))
        if isinstance(node, ast.keyword) and node.arg == "fastmath":
            wrong.append(at(path, node.value.lineno, "fastmath is off"))
    assert not wrong, "\n".join(wrong)


def functions_of(path):
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_length(function):
    """Lines of the body, the docstring excluded."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@of_each_file
def test_no_long_function(path):
    wrong = [
        at(path, function.lineno, f"{function.name} has {body_length(function)} lines, over {LONGEST_FUNCTION}")
        for function in functions_of(path)
        if body_length(function) > LONGEST_FUNCTION
    ]
    assert not wrong, "\n".join(wrong)


@of_each_file
def test_no_long_file(path):
    length = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert length <= LONGEST_FILE, f"{path} has {length} lines, over {LONGEST_FILE}"


@of_each_file
def test_no_function_takes_too_much(path):
    """A cell of a kernel works on what its sweep holds, and may take a little more."""
    most = MOST_ARGUMENTS_OF_A_CELL if path.parts[0] == "kernels" else MOST_ARGUMENTS
    wrong = [
        at(path, function.lineno, f"{function.name} takes {count} arguments, over {most}")
        for function in functions_of(path)
        if (count := len(arguments_of(function))) > most
    ]
    assert not wrong, "\n".join(wrong)


def arguments_of(function):
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def is_method(function):
    return bool(function.args.args) and function.args.args[0].arg in ("self", "cls")


@of_each_file
def test_public_functions_are_annotated(path):
    """What a type checker can check; what is compiled has the types that Numba finds."""
    if path.parts[0] == "kernels":
        pytest.skip("compiled")
    wrong = []
    for found in public_definitions(tree_of(path)):
        if isinstance(found, ast.ClassDef):
            continue
        taken = arguments_of(found)[is_method(found) :]
        bare = [one.arg for one in taken if one.annotation is None] + ["return"] * (found.returns is None)
        if bare:
            wrong.append(at(path, found.lineno, f"{found.name} has no annotation of {', '.join(bare)}"))
    assert not wrong, "\n".join(wrong)


def test_folders_are_small_enough_to_be_seen():
    """Papers are one file each, however many."""
    folders = {path.parent for path in CODE} - {Path("simlr/papers")}
    counted = {
        str(folder): len([path for path in CODE if path.parent == folder and path.name != "__init__.py"])
        for folder in folders
    }
    assert not {folder: count for folder, count in counted.items() if count > MOST_FILES}


def test_test_files_have_names_of_their_own():
    """pytest imports them by their base names."""
    names = [path.name for path in sources("tests") if path.name.startswith("test_")]
    assert len(names) == len(set(names))


BUILD_FILES = [
    Path(name)
    for name in (
        "Makefile",
        "setup.cfg",
        "pyproject.toml",
        "MANIFEST.in",
        ".ci/run",
        ".ci/release",
        ".gitignore",
        "LICENSE",
    )
]


@pytest.mark.parametrize("path", [*CODE, *sources("tests"), *BUILD_FILES], ids=str)
def test_sources_are_ascii(path):
    lines = (ROOT / path).read_bytes().splitlines()
    wrong = [at(path, number, repr(line)) for number, line in enumerate(lines, start=1) if not line.isascii()]
    assert not wrong, "\n".join(wrong)


def public_definitions(node):
    """The functions and classes that a reader of the documentation sees, methods included."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child)


@of_each_file
def test_public_names_have_docstrings(path):
    tree = tree_of(path)
    wrong = [] if ast.get_docstring(tree) else [at(path, 1, "the module has no docstring")]
    wrong += [
        at(path, found.lineno, f"{found.name} has no docstring")
        for found in public_definitions(tree)
        if not ast.get_docstring(found)
    ]
    assert not wrong, "\n".join(wrong)


TWINS = sources("tests/naive")


@pytest.mark.parametrize("path", TWINS, ids=str)
def test_the_naive_twins_import_nothing_of_ours(path):
    """A twin that shares code with what it checks would share its faults."""
    ours = {"simlr", "kernels"} | {other.stem for other in sources("tests")}
    wrong = [at(path, found.line, found.name) for found in imports_of(path) if found.name.split(".")[0] in ours]
    assert not wrong, "\n".join(wrong)


def test_every_package_is_installed():
    """setup.cfg lists the packages one by one; a forgotten one would be missing from the wheel only."""
    settings = configparser.RawConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = set(settings["options"]["packages"].split())
    assert {dotted(path.with_name("__init__.py")) for path in CODE} <= listed


# From here on: simlr imported by another Python, as a user would.


def python(*arguments, path, cwd):
    """Standard output of a fresh Python which finds packages in the folder `path` first."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout


def folder_of_kernels(path, cwd):
    return Path(python("-c", "import simlr.kernels as k; print(k.__path__[0])", path=path, cwd=cwd).strip())


def copy_package(source, target):
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def write_foreign_kernels(folder):
    """A package of the bare name `kernels`, as Hugging Face's is."""
    (folder / "kernels").mkdir(parents=True)
    (folder / "kernels/__init__.py").write_text("owner = 'someone else'\n")


def test_importing_simlr_loads_nothing_heavy(tmp_path):
    code = "import sys, simlr; print(simlr.__version__, {'numba', 'numpy', 'h5py'} & set(sys.modules))"
    assert python("-c", code, path=ROOT, cwd=tmp_path).split(maxsplit=1)[1].strip() == "set()"


def test_lazy_names_are_listed_and_unknown_ones_refused(tmp_path):
    assert {"run", "load", "descend", "GridConfig", "schedules", "problems", "__version__"} <= set(dir(simlr))
    with pytest.raises(AttributeError, match="'simlr' has no attribute 'runn'"):
        simlr.runn  # noqa: B018
    for name in dir(simlr):
        assert getattr(simlr, name)


@pytest.mark.parametrize("command", ["grid", "merge", "papers", "report", "bench", "__main__"])
def test_commands_start_without_a_warning(command, tmp_path):
    if not ((ROOT / f"simlr/{command}.py").exists() or (ROOT / f"simlr/{command}").is_dir()):
        pytest.skip(f"there is no simlr/{command}.py")
    assert "usage" in python("-m", f"simlr.{command}", "--help", path=ROOT, cwd=tmp_path)


def test_kernels_are_found_in_a_bare_checkout(tmp_path):
    assert folder_of_kernels(ROOT, tmp_path) == ROOT / "kernels"


def test_kernels_are_found_beside_a_package_of_the_same_name(tmp_path):
    """As installed from a wheel: the bare name stays the other package's."""
    site = tmp_path / "site"
    copy_package(ROOT / "simlr", site / "simlr")
    copy_package(ROOT / "kernels", site / "simlr/kernels")
    write_foreign_kernels(site)
    (tmp_path / "elsewhere").mkdir()
    assert folder_of_kernels(site, tmp_path / "elsewhere") == site / "simlr/kernels"
    code = "import simlr.kernels, kernels; print(kernels.owner)"
    assert python("-c", code, path=site, cwd=tmp_path / "elsewhere").strip() == "someone else"


def test_foreign_kernels_are_never_taken_for_ours(tmp_path):
    """A simlr without its kernels fails, rather than run another package's."""
    site = tmp_path / "site"
    copy_package(ROOT / "simlr", site / "simlr")
    write_foreign_kernels(site)
    code = "import importlib.util, simlr; print(importlib.util.find_spec('simlr.kernels'))"
    # -S: the environment of the tests may hold an editable install, which would find the real ones
    assert python("-S", "-c", code, path=site, cwd=tmp_path).strip() == "None"
