"""Every crash point, in a real process and from C on; the long version is in soak.py."""

import json
import os
import signal
import subprocess
import sys

import crashes
import pytest
import runs

# A sample of the points of every stage; soak.py tries them all, in every mode.
SAMPLES = ["create:kill:3", "resume:torn:2", "overwrite:kill:13", "merge:kill:17", "merge:full:23", "create:full:17"]
SAMPLES += ["resume:full:13", "create:interrupt:37", "resume:terminate:23"]


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The preloaded part."""
    return crashes.build(tmp_path_factory.mktemp("shim")) or pytest.skip("needs Linux and a C compiler")


def test_no_crash_point_loses_anything(shim):
    output, errors = crashes.start(shim, "canned", *SAMPLES).communicate(timeout=240)
    found = json.loads(output or "[]")
    assert len(found) == len(SAMPLES), errors
    assert [what for one in found for what in one["lost"]] == []
    assert found[0]["points"] > 50 and found[1]["points"] > 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_parts_are_loaded(number, folder):
    """In the middle of an import, of NumPy say, where a traceback would come."""
    os.mkdir("first")
    with open("first/h5py.py", "w") as file:
        file.write(f"import os, time; os.kill(os.getpid(), {int(number)}); time.sleep(5)\n")
    command = [sys.executable, "-m", "simlr.grid", "--dry-run"]
    path = os.pathsep.join(["first", str(runs.ROOT)])
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(PYTHONPATH=path), timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted; nothing was begun\n")
