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
ANYONE = {"errors"}

# part -> the parts that it may import, anywhere in it. A part is a module of simlr/, or the folder papers/ or kernels/.
MAY_IMPORT = {
    "simlr": set(),  # simlr/__init__.py: lazily, by name
    "errors": set(),
    "progress": set(),
    "early": set(),
    "rules": set(),
    "inputs": set(),
    "toml": {"inputs"},
    "pipeline": set(),
    "arguments": set(),
    "datafiles": {"inputs", "memory"},
    "registry": set(),
    "shapes": {"registry", "rules"},
    "optimal": {"registry", "rules"},
    "schedules": {"registry", "shapes", "optimal", "rules", "datafiles"},
    "axes": {"rules"},
    "scheduling": {"schedules", "axes", "rules"},
    "tables": set(),
    "sources": set(),
    "quadratics": {"sources", "rules", "datafiles"},
    "memory": set(),
    "lapack": set(),
    "features": {"lapack", "kernels"},
    "datasets": {"sources", "rules", "datafiles", "features", "lapack", "memory", "kernels"},
    "covariances": {"rules", "datafiles"},
    "gaussian": {"covariances", "sources", "rules", "datafiles", "kernels"},
    "problems": {"gaussian", "quadratics", "datasets", "rules", "papers"},
    # What a paper may need, so that a new one needs no edit here; of these only some as it is loaded (below).
    "papers": {
        *{"sources", "studies", "runfile", "schedules", "rules", "layout", "datafiles", "estimates"},
        *{"config", "grid", "stepping", "summary", "directions", "pairs", "families", "style", "kernels"},
        *{"problems", "datasets", "features", "lapack", "gaussian", "covariances", "bounds", "sphere"},
        *{"early", "claims"},  # the command
    },
    "studies": {"runfile", "rules", "toml", "config", "papers"},
    "studyruns": {"studies", "runfile", "store", "rundata", "agreement", "papers", "execute", "kernels"},
    "claims": {
        *{"papers", "progress", "store", "summary", "arguments", "config", "layout", "pipeline", "grid"},
    },
    "optimizers": {"rules", "axes"},
    "noises": {"rules", "optimizers"},
    "stopping": {"rules"},
    "questions": {"noises", "rules"},
    "config": {
        "questions",
        "studies",
        "stopping",
        "noises",
        "optimizers",
        "scheduling",
        "axes",
        "problems",
        "rules",
        "toml",
    },
    "plan": {"stopping", "noises", "config", "schedules", "tables"},
    "runfile": {"stopping"},
    "blocks": {"runfile"},
    "writer": {"runfile", "blocks"},
    "seal": {"blocks", "writer"},
    "disk": set(),
    "agreement": {"runfile"},
    "rundata": {"config", "runfile"},
    "store": {
        *{"config", "runfile", "rundata", "blocks", "writer", "seal", "disk", "agreement", "silence"},
        *{"guard", "memory"},
    },
    "silence": set(),
    "guard": {"seal", "inputs"},
    "opened": {"store", "seal", "runfile", "blocks", "agreement", "config", "plan", "inputs"},
    "verify": {"opened", "store", "seal"},
    "stepping": {"tables", "kernels"},
    "stages": set(),
    "products": {"stages", "kernels"},
    "results": {"runfile"},
    "thresholds": {"stopping"},
    "descending": {"plan", "tables", "stages", "products", "kernels"},
    "walking": {"tables", "descending", "kernels"},
    "budgets": {"kernels"},
    "looking": {"plan", "descending", "products", "kernels"},
    "stops": {"plan", "stopping", "tables", "descending", "walking", "budgets", "looking", "kernels"},
    "execute": {
        *{"plan", "runfile", "results", "stages", "stopping", "thresholds", "descending", "walking", "stops"},
        *{"sources", "kernels"},
    },
    "grid": {
        *{"early", "memory", "studies", "studyruns", "commands", "config", "problems", "plan", "pipeline", "rundata"},
        *{"store", "execute"},
    },
    "listing": {
        "answers",
        "answertext",
        "questions",
        "rules",
        "stopping",
        "noises",
        "optimizers",
        "config",
        "papers",
        "problems",
        "schedules",
        "store",
        "summary",
        "layout",
    },
    "commands": {
        *{"grid", "config", "papers", "store", "listing", "progress", "pipeline", "arguments", "kernels"},
        *{"runfile", "verify", "studies", "studyruns", "cluster"},
    },
    "merge": {
        *{"early", "store", "runfile", "seal", "disk", "agreement", "opened", "listing", "progress", "arguments"},
    },
    "dispatch": set(),
    "remote": {"agreement", "config", "runfile", "grid", "execute"},
    "pool": {"remote", "dispatch"},
    "cluster": {"pool"},
    "levels": {"stopping"},
    "layout": {"levels", "stopping"},
    "plane": set(),
    "view": {"summary", "layout", "levels", "runfile"},
    "style": {"layout", "levels"},
    "paths": {"plane", "style", "layout", "levels"},
    "summary": {"papers", "runfile", "levels", "layout"},
    "estimates": set(),
    "pairs": {"estimates", "summary", "runfile"},
    "families": {"estimates", "pairs", "summary", "runfile"},
    "directions": {"estimates", "summary", "runfile"},
    "figures": {"summary", "layout", "levels", "style", "view", "paths"},
    "page": {"layout"},
    "bounds": {"rules"},
    "sphere": {"kernels"},
    "rateplots": {"scheduling", "bounds", "style", "layout"},
    "report": {
        *{"store", "summary", "layout", "style", "figures", "page", "arguments"},
        *{"early", "config", "csvfiles", "papers", "rateplots", "analysis", "analysisplots", "sections", "view"},
        *{"levels", "pairs", "studies", "answerplots", "answertext"},
    },
    "outcomes": {"questions", "runfile"},
    "growth": {"questions", "outcomes", "estimates", "layout", "levels", "summary"},
    "answers": {
        *{"questions", "outcomes", "growth", "estimates", "families", "pairs", "layout", "levels", "summary"},
    },
    "answertext": {"answers", "outcomes", "questions", "layout", "levels"},
    "answerplots": {"answers", "outcomes", "questions", "style", "layout", "levels"},
    "analysis": {"answers", "arguments", "directions", "families", "pairs", "summary"},
    "csvfiles": set(),
    "sections": {"directions", "families", "pairs", "summary", "layout", "levels", "view"},
    "analysisplots": {"sections", "style", "layout", "levels"},
    "peers": set(),
    "limits": {"kernels"},
    "measure": {"limits", "peers", "kernels", "config", "papers", "stepping", "grid"},
    "throughput": {"measure", "limits", "kernels", "config", "grid", "store"},
    "noisypeers": {"kernels"},
    "networkbench": {"measure", "limits", "peers", "kernels"},
    "closedbench": {"measure", "limits", "noisypeers", "kernels", "config", "papers", "execute", "grid"},
    "bench": {
        "early",
        "closedbench",
        "networkbench",
        "measure",
        "throughput",
        "limits",
        "peers",
        "kernels",
        "arguments",
        "execute",
        "stepping",
        "grid",
    },
    "kernels": set(),
}
# Importing any other part loads neither Numba nor the kernels, however long the chain of imports.
MAY_LOAD_NUMBA = {
    *{"kernels", "products", "descending", "walking", "budgets", "looking", "stops", "execute"},
    *{"remote", "pool", "cluster"},
}
# package -> the only parts that may import it.
OWNED_PACKAGES = {
    "h5py": {"store", "datafiles"},  # run files; and other people's
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
    "tqdm": {"progress"},
    "matplotlib": {"style"},
    "jax": {"peers", "noisypeers", "networkbench"},
    "dask": {"cluster"},
    "distributed": {"cluster"},
}
HEAVY = ("numba", "llvmlite", "tqdm", "matplotlib", "xarray", "jax")
# What compiles, and how: kernels/jit.py alone says.
JIT_FILE = Path("kernels/jit.py")
JIT_NAMES = {"jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc"}
JIT_OPTIONS = {"fastmath", "nogil", "parallel", "error_model", "boundscheck", "forceinline", "inline", "cache"}

LONGEST_FUNCTION = 60
LONGEST_FILE = 400


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


@of_each_file
def test_imports_follow_the_direction_of_flow(path):
    part = part_of(dotted(path))
    assert part in MAY_IMPORT, f"{path} is new: say in MAY_IMPORT of {Path(__file__).name} what it may import"
    allowed = MAY_IMPORT[part] | {part, "simlr"} | (ANYONE if part != "kernels" else set())
    wrong = [
        at(path, found.line, f"{part} may not import {found.name}")
        for found in imports_of(path)
        if part_of(found.name) is not None and part_of(found.name) not in allowed | {"__version__"}
    ]
    assert not wrong, "\n".join(wrong)


@of_each_file
def test_the_public_face_is_not_used_inside(path):
    """`import simlr` inside simlr hides which part is used."""
    wrong = [
        at(path, found.line, "import the module that you need") for found in imports_of(path) if found.name == "simlr"
    ]
    assert not wrong, "\n".join(wrong)


@of_each_file
def test_packages_are_imported_by_their_owners(path):
    part = part_of(dotted(path))
    wrong = [
        at(path, found.line, f"only {', '.join(sorted(OWNED_PACKAGES[package]))} may import {package}")
        for found in imports_of(path)
        for package in [found.name.split(".")[0]]
        if part not in OWNED_PACKAGES.get(package, {part})
    ]
    assert not wrong, "\n".join(wrong)


def loaded_with(part):
    """What importing a part loads at once: {name: the chain of parts that leads to it}."""
    chains, waiting = {}, [(part, (part,))]
    while waiting:
        current, chain = waiting.pop()
        for path in CODE:
            if part_of(dotted(path)) != current:
                continue
            for found in imports_of(path):
                name = part_of(found.name) or found.name.split(".")[0]
                if found.at_module_level and name not in chains:
                    chains[name] = (*chain, name)
                    waiting.append((name, chains[name]))
    return chains


@pytest.mark.parametrize("part", sorted(set(MAY_IMPORT) - MAY_LOAD_NUMBA))
def test_light_parts_load_no_numba(part):
    chains = loaded_with(part)
    wrong = [" -> ".join(chains[name]) for name in ("kernels", "numba") if name in chains]
    assert not wrong, "imported at module level: " + "; ".join(wrong)


def test_light_parts_load_no_numba_when_imported(tmp_path):
    """The same by trial, with what they import in functions as they are imported."""
    parts = [dotted(path) for path in CODE if part_of(dotted(path)) not in MAY_LOAD_NUMBA]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {parts}]"
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


BUILD_FILES = [Path(name) for name in ("Makefile", "setup.cfg", "pyproject.toml", ".ci/run", ".gitignore", "LICENSE")]


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


TWINS = [path for path in sources("tests") if path.name.startswith("naive")]


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
    for name, module in simlr._OWNERS.items():
        if (ROOT / f"{module.replace('.', '/')}.py").exists():
            assert getattr(simlr, name).__name__ == name


@pytest.mark.parametrize("command", ["grid", "merge", "papers", "report", "bench"])
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
