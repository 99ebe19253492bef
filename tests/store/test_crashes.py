"""Every crash point, in a real process and from C on; the long version is in soak.py."""

import json
import os
import signal
import subprocess
import sys

import crashes
import power
import pytest
import runs
from systems import with_sigterm

from simlr.platform import HERE
from simlr.report import __main__ as report
from simlr.report import contents

# A sample of the points of every stage; soak.py tries them all, in every mode.
SAMPLES = ["create:kill:3", "resume:torn:2", "overwrite:kill:13", "merge:kill:17", "merge:full:23", "create:full:17"]
SAMPLES += ["resume:full:13", "create:interrupt:37", "resume:terminate:23"]
SAMPLES += ["extend:kill:11", "extend:torn:23", "extend:full:31"]


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The preloaded part."""
    return crashes.build(tmp_path_factory.mktemp("shim")) or pytest.skip("needs Linux and a C compiler")


@pytest.mark.slow
def test_no_crash_point_loses_anything(shim):
    samples = [one for one in SAMPLES if "terminate" not in one or signal.SIGTERM in HERE.ending]
    output, errors = crashes.start(shim, "canned", *samples).communicate(timeout=600)
    found = json.loads(output or "[]")
    assert len(found) == len(samples), errors
    assert [what for one in found for what in one["lost"]] == []
    assert found[0]["points"] > 50 and found[1]["points"] > 40


@pytest.mark.proof
def test_no_loss_of_power_loses_anything(tmp_path):
    """And the control: where syncs count for nothing, something is found."""
    found = power.search(tmp_path, 12)
    assert {name: (tried + again, faults) for name, (tried, again, faults) in found.items()} == dict.fromkeys(
        power.STAGES, (12, [])
    )
    assert all(tried > 3 for tried, _, _ in found.values())
    command = [sys.executable, power.__file__, str(tmp_path), "create", "0", "30", "unsynced"]
    done = subprocess.run(command, env=runs.environment(), capture_output=True, text=True, check=True)
    assert any(json.loads(line) for line in done.stdout.splitlines())


SCRIPT = "import sys; from {module} import command; sys.exit(command())"  # as pip makes it
MODULES = {"merge": "simlr.merge"}


@pytest.mark.parametrize("name", ["grid", "merge", "report", "bench", "papers"])
@pytest.mark.parametrize("as_script", [False, pytest.param(True, marks=with_sigterm)])
def test_a_signal_while_the_parts_are_loaded(name, as_script, folder):
    """In the middle of an import, of NumPy say, where a traceback would come."""
    os.mkdir("first")
    number = signal.SIGTERM if as_script else signal.SIGINT
    with open("first/numpy.py", "w") as file:
        file.write(f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(5)\n")
    with open(f"simlr-{name}", "w") as file:
        file.write(SCRIPT.format(module=MODULES.get(name, f"simlr.{name}.__main__")))
    command = [sys.executable, *([f"simlr-{name}"] if as_script else ["-m", f"simlr.{name}"])]
    path = os.pathsep.join(["first", str(runs.ROOT)])
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(PYTHONPATH=path), timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted; nothing was begun\n")


@with_sigterm
def test_a_report_that_is_interrupted_is_one_line(finished, folder, capsys, monkeypatch):
    monkeypatch.setattr(contents, "material", lambda *told: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert report.main([str(finished), "--out", "made"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert os.listdir() == [] and signal.getsignal(signal.SIGTERM) is before
