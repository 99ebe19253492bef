"""The examples of docs/architecture.md, put into a copy of simlr as the page says, and run there."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import runs

DOCUMENT = (runs.ROOT / "docs/architecture.md").read_text(encoding="utf-8")
# The code below each sentence that ends in the name of a file.
EXAMPLES = re.findall(r"`(simlr/\w+/\w+\.py)`[^`]*:\n\n```(\w+)\n(.*?)```", DOCUMENT, re.DOTALL)
EDITED = {"simlr/schedules/shapes.py", "simlr/schedules/rules.py", "simlr/problems/registry.py"}
NEW = {"simlr/problems/bowl.py", "simlr/papers/euler1734.py"}
GRID = """
name = "bowls"

[problem]
kind = "bowl"
curvature = [1.0, 4.0]

[seeds]
count = 3

[stop]
train_loss = 1e-300
max_steps = 5

[record]
points = 0

[[schedule]]
kind = "bent"
learning_rate = 0.4
bend = 2.0
steps = 5
"""

SCRIPT = """
import json, sys
import simlr

simlr.__path__.append(sys.argv[2])
from simlr.analysis.verdict import verdict_of
from simlr.claims.registry import load_paper
from simlr.config import read

run = simlr.run(simlr.GridConfig.from_toml(sys.argv[1]))
paper = load_paper("euler1734")
judged = [paper.GRID, *(read(paper.GRID, control.overrides) for control in paper.controls())]
print(json.dumps({
    "rates": simlr.schedules.tabulate("bent", steps=5, learning_rate=0.4, bend=2.0).tolist(),
    "curvature": run["problem_curvature"].tolist(),
    "start": run["initial_residual"][:, 0].tolist(),
    "train_loss": run["train_loss"][0, :, 0].tolist(),
    "verdicts": [verdict_of(simlr.run(read(one) if isinstance(one, str) else one)).outcome for one in judged],
}))
"""


def added(text, name, language, code):
    """The text of a file with its example in it."""
    if language == "diff":
        for hunk in code.split("@@\n"):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if not line.startswith("+"))
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, "".join(line[1:] for line in lines if not line.startswith("-")))
        return text
    table = re.search(r"^RULES\b.*?(?=^\})", text, re.DOTALL | re.MULTILINE)
    if name.endswith("rules.py"):
        return text[: table.end()] + code + text[table.end() :]
    return f"{text}\n\n{code}" if text else code


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the copy computes. The kernels are not copied, so that they need not be compiled once more."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(runs.ROOT / "simlr", root / "simlr", ignore=shutil.ignore_patterns("__pycache__"))
    for name, language, code in EXAMPLES:
        text = (root / name).read_text(encoding="utf-8") if (root / name).exists() else ""
        (root / name).write_text(added(text, name, language, code), encoding="utf-8")
    command = [sys.executable, "-c", SCRIPT, GRID, str(runs.ROOT)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_files_a_schedule_two_a_problem_one_a_paper():
    names = [name for name, _, _ in EXAMPLES]
    assert set(names) == EDITED | NEW and len(names) == len(EDITED | NEW)
    assert [name for name in names if (runs.ROOT / name).exists()] == [name for name in names if name in EDITED]


def test_the_schedule_has_the_rates_of_its_formula(results):
    rates = [0.4 * (1.0 - t / 5.0) / (1.0 + 2.0 * t / 5.0) for t in range(5)]
    np.testing.assert_allclose(results["rates"], rates, rtol=1e-15)


def test_the_problem_descends_as_its_formula_says(results):
    curvature, residual = np.array(results["curvature"]), np.array(results["start"])
    assert set(curvature) == {1.0, 4.0} and np.unique(abs(residual)).size == 3
    for t in range(5):
        residual = residual * (1.0 - 0.4 * (1.0 - t / 5.0) / (1.0 + 2.0 * t / 5.0) * curvature)
    np.testing.assert_allclose(results["train_loss"], 0.5 * curvature * residual**2, rtol=1e-13)


def test_the_paper_holds_and_its_control_does_not(results):
    assert results["verdicts"] == ["holds", "does not hold"]


def test_the_page_is_neat(tmp_path):
    for name, language, code in EXAMPLES:
        if language == "python" and name in NEW:
            (tmp_path / name.rpartition("/")[2]).write_text(code, encoding="utf-8")
    settings = ("--config", str(runs.ROOT / "pyproject.toml"), ".")
    for action in (("check",), ("format", "--check")):
        command = [sys.executable, "-m", "ruff", *action, *settings]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
