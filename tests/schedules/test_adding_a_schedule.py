"""The schedule kind of docs/adding-a-schedule.md, added to a copy of simlr as the document says, and run there."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import runs

DOCUMENT = (runs.ROOT / "docs/adding-a-schedule.md").read_text(encoding="utf-8")
# The code under each heading, by the file that the heading names.
ADDED = dict(re.findall(r"^## [^\n]*`(simlr/\S+\.py)`\n+```python\n(.*?)```", DOCUMENT, re.DOTALL | re.MULTILINE))
GRID = re.search(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL).group(1)

# What is asked of the copy: the rates, a tiny grid, what is refused, and what --list says.
SCRIPT = """
import json, sys
import simlr

simlr.__path__.append(sys.argv[2])
from simlr.grid.listing import everything

config = simlr.GridConfig.from_toml(sys.argv[1])
run = simlr.run(config)
refusals = []
for fraction in (0.0, 1.5):
    try:
        simlr.schedules.tabulate("cooldown", steps=10, learning_rate=1.0, cooldown_fraction=fraction)
    except ValueError as error:
        refusals.append(str(error))
twice = run.config.replace(engine="recurrence")
print(json.dumps({
    "rates": simlr.schedules.tabulate("cooldown", steps=10, learning_rate=1.0, cooldown_fraction=0.5).tolist(),
    "pieces": config.schedules()[0][0].pieces(),
    "names": run.schedule.tolist(),
    "engine": run.engine.tolist(),
    "recorded": [run.recorded_step.tolist(), run.learning_rate.tolist()],
    "stops": [run.stop_step.tolist(), simlr.run(twice).stop_step.tolist()],
    "status": run.status.tolist(),
    "refusals": refusals,
    "listed": everything(),
}))
"""


def formula(t, steps, learning_rate, fraction):
    return learning_rate * min(1.0, (steps - t) / (fraction * steps))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the copy answers. The kernels are not copied, so that they need not be compiled once more."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(runs.ROOT / "simlr", root / "simlr", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in ADDED.items():
        text = (root / name).read_text(encoding="utf-8")
        end = re.search(r"^RULES\b.*?(?=^\})", text, re.DOTALL | re.MULTILINE)
        place = end.end() if name.endswith("rules.py") else len(text)
        (root / name).write_text(text[:place] + ("" if place < len(text) else "\n\n") + code + text[place:], "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", SCRIPT, GRID, str(runs.ROOT)]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_touches_two_files():
    assert set(ADDED) == {"simlr/schedules/shapes.py", "simlr/schedules/rules.py"}
    assert all((runs.ROOT / name).is_file() for name in ADDED)


def test_its_rates_are_the_formula(found):
    np.testing.assert_allclose(found["rates"], [formula(t, 10, 1.0, 0.5) for t in range(10)], rtol=1e-14)
    np.testing.assert_allclose(found["rates"], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2], rtol=1e-14)


def test_a_grid_runs_it(found):
    assert found["names"] == ["cooldown[cooldown_fraction=0.25]", "cooldown[cooldown_fraction=1.0]"]
    for steps, rates, fraction in zip(*found["recorded"], (0.25, 1.0), strict=True):
        expected = [formula(min(t, 399), 400, 0.5, fraction) for t in steps]  # at the end, that of the last step
        assert steps[-1] == 400
        np.testing.assert_allclose(rates, expected, rtol=1e-13)
    assert {one for of_schedule in found["status"] for of_seed in of_schedule for one in of_seed} == {1}


def test_its_constant_stretch_is_one_piece(found):
    assert found["pieces"] == [[0, 300, 0.5], [300, 100, None]]
    one, other = found["stops"]
    assert one == other  # by all engines


def test_what_is_wrong_is_refused_by_its_rule(found):
    rule = "schedule 'cooldown'.cooldown_fraction must be a number > 0, at most 1, got"
    assert found["refusals"] == [f"{rule} 0.0", f"{rule} 1.5"]


def test_it_is_listed(found):
    assert (
        "  cooldown     learning_rate, cooldown_fraction = 0.2, steps\n      eta_t = learning_rate min(1, "
        in found["listed"]
    )
