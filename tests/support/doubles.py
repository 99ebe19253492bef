"""A preload for Dask workers: in the midst of a block they do what `orders.json` in the folder of the test says.

An order is {"do": "die", "seed": first seed of a block or null for any, "times": how often in all}; `do` may also be
"raise", "signal" with "pid" and "number", or "wait", for a file "go" in the folder. `computed` in the folder
has a line for every block that was begun, its first seed; `features`, if it is there, is what the next worker that
starts has for processor features.
"""

import json
import os
import signal
import time
from pathlib import Path

from simlr.engine import block_engine, environment

FOLDER = Path(os.environ.get("SIMLR_TEST_FOLDER", "."))


def write_orders(folder, *orders):
    """Have the workers of a folder obey these orders, and no older ones; what was computed is forgotten."""
    for path in Path(folder).glob("done-*"):
        path.unlink()
    (Path(folder) / "computed").write_text("")
    (Path(folder) / "new").write_text(json.dumps(orders))
    os.replace(Path(folder) / "new", Path(folder) / "orders.json")


def computed(folder):
    """First seeds of the blocks that were begun."""
    return [int(line) for line in (Path(folder) / "computed").read_text().split()]


def _is_due(number, order, first):
    """Whether an order is for this block, and has not been obeyed often enough by all workers together."""
    if order["seed"] not in (first, None):
        return False
    for turn in range(order["times"]):
        try:
            os.close(os.open(FOLDER / f"done-{number}-{turn}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return True
    return False


def _obey(first):
    """What is ordered for a block."""
    for number, order in enumerate(json.loads((FOLDER / "orders.json").read_text())):
        if _is_due(number, order, first):
            if order["do"] == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if order["do"] == "signal":
                os.kill(order["pid"], order["number"])
            while order["do"] == "wait" and not (FOLDER / "go").exists():
                time.sleep(0.01)
            if order["do"] == "raise":
                raise ValueError("as it was\nordered")


def _double(block, launch):
    """The engine's methods, which obey."""

    def double_block(self, first, last):
        self._first_seed = first
        with open(FOLDER / "computed", "a") as file:
            file.write(f"{first}\n")
        return block(self, first, last)

    def double_launch(self, *arguments):
        launch(self, *arguments)
        first, self._first_seed = self._first_seed, None
        if first is not None:
            _obey(first)

    return double_block, double_launch


def dask_setup(worker):
    """Called by Dask in every worker that starts."""
    engine = block_engine.Engine
    engine.block, engine.launch = _double(engine.block, engine.launch)
    mine = FOLDER / f"features-{os.getpid()}"
    try:
        os.rename(FOLDER / "features", mine)
    except OSError:
        return
    unlike = environment.environment() | {"processor_features": mine.read_text()}
    environment.environment = lambda: unlike
