"""The worked example of docs/adding-a-problem.md: two files, and the losses of its closed form."""

import importlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import runs

import simlr
from simlr import problems
from simlr.problems import registry

DOCUMENT = (runs.ROOT / "docs/adding-a-problem.md").read_text(encoding="utf-8")
MODULE = re.search(r"```python\n(.*?)```", DOCUMENT, re.DOTALL).group(1)
ENTRY = re.search(r"```diff\n(.*?)```", DOCUMENT, re.DOTALL).group(1)
RATE, STEPS = 0.5, 7
EXPONENTS = (0.0, 1.5)
GRID = f"""
name = "worked"

[problem]
kind = "power_law"
dimension = 5
exponent = {list(EXPONENTS)}

[seeds]
count = 3

[stop]
train_loss = [1e-300]
max_steps = {STEPS}

[record]
points = 0

[[schedule]]
kind = "constant"
name = "constant"
learning_rate = {RATE}
"""


def without(sign):
    """The lines of the entry that do not begin with the sign, as they stand in the file."""
    return "".join(line[1:] for line in ENTRY.splitlines(keepends=True) if not line.startswith(sign))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in ("simlr", "kernels")
        for path in (folder / part).rglob("*.py")
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the code with the problem kind of the document in it."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("simlr", "kernels"):
        shutil.copytree(runs.ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(runs.ROOT / "setup.cfg", folder)  # by which simlr knows that the kernels beside it are its own
    (folder / "simlr/problems/power_law.py").write_text(MODULE, encoding="utf-8")
    path = folder / "simlr/problems/registry.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(without("+")) == 1
    path.write_text(text.replace(without("+"), without("-")), encoding="utf-8")
    return folder


def command(checkout, *arguments):
    """Standard output of simlr.grid of the copy."""
    done = subprocess.run(
        [sys.executable, "-m", "simlr.grid", *arguments], cwd=checkout, env=runs.environment() | {"PYTHONPATH": "."},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_takes_two_files(checkout):
    before, after = contents(runs.ROOT), contents(checkout)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"simlr/problems/power_law.py", "simlr/problems/registry.py"}


def test_it_is_listed(checkout):
    assert "a quadratic with curvatures i^-a" in command(checkout, "--list")


def test_it_runs_as_the_closed_form_says(checkout, monkeypatch):
    """In this process, whose kernels are compiled: those of the copy would be compiled anew."""
    monkeypatch.setattr(problems, "__path__", [*problems.__path__, str(checkout / "simlr/problems")])
    module = importlib.import_module("simlr.problems.power_law")
    monkeypatch.delitem(sys.modules, "simlr.problems.power_law")
    monkeypatch.setitem(registry._GENERIC, "power_law", module.POWER_LAW)
    run = simlr.run(simlr.GridConfig.from_toml(GRID))
    exponent, start = run["problem_exponent"], run["initial_residual"]
    assert np.unique(exponent).tolist() == sorted(EXPONENTS)
    assert (run["stop_step"] == STEPS).all()
    assert np.array_equal(start[exponent == EXPONENTS[0]], start[exponent == EXPONENTS[1]])
    assert np.unique(start).size == 3 * 5 and abs(start).max() <= 1.0
    curvature = np.arange(1.0, 6.0) ** -exponent[:, None]
    residual = start * (1.0 - RATE * curvature) ** STEPS
    np.testing.assert_allclose(run["train_loss"][0, :, 0], 0.5 * (curvature * residual**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(run["test_loss"][0, :, 0], 0.5 * (residual**2).sum(axis=1), rtol=1e-12)


def test_the_documents_file_is_neat(tmp_path):
    (tmp_path / "power_law.py").write_text(MODULE)
    settings = ("--config", str(runs.ROOT / "pyproject.toml"), "power_law.py")
    for action in (("check",), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *action, *settings], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
