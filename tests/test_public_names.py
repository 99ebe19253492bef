"""The names that `from simlr import ...` offers: the public ones, and the modules of the days of one folder."""

import importlib
import importlib.util
import subprocess
import sys

import pytest
import runs

import simlr

# Each former module, and something of its own that its users call. Those that are packages today are below.
FORMER = {
    "agreement": "check_same",
    "analysisplots": "pictures",
    "answerplots": "picture",
    "answers": "Comparison",
    "answertext": "as_text",
    "arguments": "Parser",
    "axes": "check_combinations",
    "blocks": "Place",
    "bounds": "Terms",
    "budgets": "without_levels",
    "closedbench": "closed_form",
    "cluster": "connected",
    "commands": "parser",
    "config": "GridConfig",
    "covariances": "word_or_numbers",
    "csvfiles": "csv_files",
    "datafiles": "read_table",
    "datasets": "DATASET",
    "descending": "ExactDescent",
    "directions": "Direction",
    "disk": "check_target",
    "dispatch": "Dispatch",
    "early": "finished",
    "errors": "InputError",
    "estimates": "generator",
    "execute": "Stopped",
    "families": "Choice",
    "features": "Spectrum",
    "figures": "pictures",
    "gaussian": "GAUSSIAN",
    "grid": "run",
    "growth": "Growth",
    "guard": "check",
    "lapack": "one_thread",
    "layout": "Table",
    "levels": "Words",
    "limits": "Written",
    "listing": "everything",
    "looking": "EarlyStopping",
    "measure": "Figure",
    "memory": "check_memory",
    "merge": "main",
    "networkbench": "networks",
    "noises": "is_plain",
    "noisypeers": "Case",
    "opened": "Opened",
    "optimal": "chebyshev",
    "optimizers": "check_optimizers",
    "outcomes": "Answer",
    "page": "page",
    "pairs": "Pair",
    "paths": "trajectories",
    "peers": "Mismatch",
    "pipeline": "Pipeline",
    "plan": "Plan",
    "plane": "Landscape",
    "pool": "SchedulerLost",
    "problems": "kinds",
    "products": "ProductTables",
    "progress": "Silent",
    "quadratics": "QUADRATIC",
    "questions": "Entry",
    "rateplots": "Group",
    "registry": "Kind",
    "remote": "NotTaken",
    "report": "main",
    "results": "Buffers",
    "rules": "refuse",
    "rundata": "Run",
    "runfile": "Field",
    "schedules": "Phase",
    "scheduling": "check_schedules",
    "seal": "write",
    "sections": "Section",
    "shapes": "constant",
    "silence": "create_whole",
    "sources": "Problem",
    "sphere": "Teachers",
    "stages": "stages",
    "stepping": "Descent",
    "stopping": "check_schedule",
    "stops": "StopRules",
    "store": "load",
    "studies": "Study",
    "studyruns": "run_study",
    "style": "Picture",
    "summary": "Row",
    "tables": "RateTables",
    "thresholds": "thresholds",
    "throughput": "Shape",
    "toml": "read",
    "verify": "verify",
    "view": "View",
    "walking": "Stochastic",
    "writer": "Writer",
}
PACKAGES = ("analysis", "bench", "claims", "inputs", "kernels", "papers")


def imported(name):
    """What `from simlr import NAME` gives."""
    namespace = {}
    exec(f"from simlr import {name}", namespace)
    return namespace[name]


@pytest.mark.parametrize("name", FORMER)
def test_former_modules_are_imported_by_their_names(name):
    module = imported(name)
    assert module is importlib.import_module(module.__name__) and module.__name__.startswith("simlr.")
    assert callable(getattr(module, FORMER[name])) or FORMER[name].isupper()


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_are_imported_by_their_names(name):
    assert imported(name) is importlib.import_module(f"simlr.{name}")


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("GridConfig", "simlr.config.grid"),
        ("descend", "simlr.engine.descend"),
        ("load", "simlr.interactive.run"),
        ("run", "simlr.grid.job"),
    ],
)
def test_public_names_are_what_their_modules_have(name, owner):
    assert imported(name) is getattr(importlib.import_module(owner), name)


def test_a_first_import_needs_no_other():
    code = "from simlr import pairs, bounds, tables; print(pairs.__name__, bounds.__name__, tables.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=runs.ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["simlr.analysis.pairs", "simlr.schedules.bounds", "simlr.plan.rate_tables"]


def test_all_of_them_are_listed():
    assert {*FORMER, *PACKAGES, "GridConfig", "descend", "load", "run", "__version__"} <= set(dir(simlr))


@pytest.mark.parametrize("package", ["simlr", "simlr.laws"])
def test_no_public_name_is_hidden_by_a_module_of_its_name(package):
    """Importing a module sets it as an attribute of its package, where a function of that name would be looked up."""
    owners = {"simlr": "_PUBLIC", "simlr.laws": "_OWNERS"}[package]
    hidden = []
    for name, owner in getattr(importlib.import_module(package), owners).items():
        is_module = importlib.util.find_spec(f"{package}.{name}") is not None
        hidden += [name] if is_module and owner != f"{package}.{name}" else []
    assert not hidden
